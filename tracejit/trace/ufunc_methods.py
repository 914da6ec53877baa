"""``ufunc.reduce``, ``accumulate``, ``outer``, ``at`` and ``reduceat`` on tracers."""

import operator

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic import dims
from tracejit.symbolic.ir import const, dim
from tracejit.symbolic.ops import reduce as reductions
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.composite import logsumexp
from tracejit.symbolic.ops.index import scatter_add, scatter_max, scatter_min, scatter_multiply
from tracejit.symbolic.ops.scalar import cast, select
from tracejit.symbolic.ops.shape import (
    broadcast,
    broadcast_to,
    concatenate,
    full_like,
    iota,
    reshape,
    slice_,
    transpose,
    zeros,
)
from tracejit.symbolic.types import BOOL, I64, Type, supported_dtype
from tracejit.trace.indexing import fitted, scatter_at
from tracejit.trace.numpy.ufuncs import boolean, find
from tracejit.trace.promote import apply_ufunc, folded_order, mask_node, memory_order
from tracejit.trace.settle import settled
from tracejit.trace.shapes import spread
from tracejit.trace.tracer import PYTHON_DTYPES, as_tracer, python_const, wrap
from tracejit.trace.values import known
from tracejit.trace.views import is_value

#: A fold without an op of its own is written out for up to this many elements along the axis, else a loop.
_UNROLLED = 16


def _no_value(x):
    return x is None or x is np._NoValue


# ---------------------------------------------------------------- reduce
def reduce(ufunc, array, axis=0, dtype=None, out=None, keepdims=False, initial=np._NoValue, where=True):
    """Return ``ufunc.reduce(array, ...)``; the dtype of the fold, the identity and the errors are NumPy's."""
    if ufunc.nin != 2 or ufunc.nout != 1:
        raise ValueError("reduce only supported for binary functions")
    if ufunc.signature is not None:
        raise RuntimeError("Reduction not defined on ufunc with signature")
    x = as_tracer(array)
    out = _single(out)
    if x.ndim == 0 and axis in (0, -1):
        axis = ()  # which a scalar is taken to have
    axes = tuple(range(x.ndim)) if axis is None else tuple(sorted(normalize_axis_tuple(axis, x.ndim)))
    loop = reduction_dtype(ufunc, x, dtype, out)
    if not _has_fold(ufunc, loop[0]):
        x = settled(x, f"{ufunc.__name__}.reduce")
    if not _is_reorderable(ufunc) and len(axes) > 1:
        raise ValueError(f"reduction operation '{ufunc.__name__}' is not reorderable, so at most one axis may be "
                         "specified")
    node = _fold(ufunc, x, axes, loop, where, initial)
    shape = tuple(1 if a in axes else n for a, n in enumerate(x.type.shape)) if keepdims is True else node.shape
    node = reshape(node, shape)
    return _into(node, out, x, folded_order(x, axes, keepdims is True, node))


def _single(out):
    if isinstance(out, tuple):
        out, = out
    return None if out is None else as_tracer(out)


def _into(node, out, source=None, layout=None):
    """Return a result, written into `out` where there is one; a new one lies in memory as the source asks for."""
    if out is None:
        return wrap(node, scalar=node.ndim == 0, layout=layout, like=() if source is None else [source])
    if out.type.shape != node.shape:
        raise ValueError(f"output parameter for reduction operation has the wrong shape {out.shape}, not {node.shape}")
    out._write(cast(node, out.dtype))
    return out


def _is_reorderable(ufunc):
    return ufunc.identity is not None or ufunc in (
        np.maximum, np.minimum, np.fmax, np.fmin, np.logaddexp, np.logaddexp2)


def reduction_dtype(ufunc, x, dtype=None, out=None):
    """Return (dtype of the elements that are folded, dtype of the result)."""
    signature = None
    if dtype is not None:
        chosen = np.dtype(dtype)
        # comparisons and logic give bools whatever the dtype asked for
        signature = (chosen, None, None)
    extra = {} if signature is None else {"signature": signature}
    found = ufunc.resolve_dtypes((None if out is None else out.dtype, x.dtype, None), reduction=True,
                                 casting="unsafe", **extra)
    for kind in found:
        if supported_dtype(kind) is None:
            raise UnsupportedError(f"{ufunc.__name__}.reduce in dtype {kind}", where=user_frame(),
                                   do="convert the array to a numeric dtype of at most 64 bits (128 if complex)")
    return found[1], found[2]


def _fold(ufunc, x, axes, loop, where, initial):
    element, result = loop
    node = _elements(ufunc, x.node, element)
    whole = x.type.shape
    mask = None if where is True else spread(mask_node(where), whole)
    count = dims.product(whole[a] for a in axes)
    has_initial = not _no_value(initial) and initial is not None
    needs_initial = not has_initial and (initial is None or _needs_initial(ufunc))
    if needs_initial:
        if mask is not None:
            raise ValueError(f"reduction operation '{ufunc.__name__}' does not have an identity, so to use a where "
                             "mask one has to specify 'initial'")
        if count == 0:
            raise ValueError(f"zero-size array to reduction operation {ufunc.__name__} which has no identity")
    if mask is not None:
        neutral = _neutral(ufunc, node, initial)
        node = select(mask, node, neutral)
    kept = tuple(n for a, n in enumerate(whole) if a not in axes)
    if count == 0 or 0 in kept:
        value = initial if has_initial else ufunc.identity
        start = 0 if _no_value(value) else value
        return broadcast_to(_constant(start, result), kept)
    if not has_initial and ufunc in (np.hypot, np.gcd, np.lcm):
        has_initial, initial = True, ufunc.identity  # which makes them positive
    start = None
    if has_initial:
        start = broadcast_to(_constant(initial, result), kept)
    if start is not None and not _is_reorderable(ufunc) and axes:
        return cast(_unrolled(ufunc, node, axes, cast(start, element)), result)
    folded = cast(_fold_whole(ufunc, node, axes), result)
    if needs_initial and dims.interval(count)[0] < 1:
        some = broadcast(ops.greater(dim(count), const(0, I64)), folded.shape, ())
        folded = ops.check(folded, some, error=f"zero_size_{ufunc.__name__}", detail=())
    return folded if start is None else cast(find(ufunc)(start, folded), result)


def _constant(value, dtype):
    if type(value) in PYTHON_DTYPES or isinstance(value, np.generic):
        return python_const(value, dtype)
    return cast(as_tracer(value).node, dtype)


def _elements(ufunc, node, element):
    if ufunc in _LOGICAL:
        return boolean(node)
    return cast(node, element)


_LOGICAL = {np.logical_and, np.logical_or, np.logical_xor}


def _needs_initial(ufunc):
    return ufunc.identity is None or ufunc in (np.maximum, np.minimum, np.fmax, np.fmin)


def _neutral(ufunc, node, initial):
    """Return what an element outside `where` becomes: something that leaves the fold as it is."""
    if ufunc in (np.maximum, np.minimum, np.fmax, np.fmin):
        return broadcast_to(_constant(initial, node.dtype), node.shape)
    if ufunc is np.bitwise_and:
        return full_like(True if node.dtype == BOOL else np.array(-1).astype(node.dtype), node)
    if ufunc.identity is None:
        raise UnsupportedError(f"{ufunc.__name__}.reduce with where=", where=user_frame(),
                               do="select the elements before")
    return full_like(ufunc.identity, node)


_FOLDS = {np.add: reductions.reduce_sum, np.multiply: reductions.reduce_prod, np.maximum: reductions.reduce_max,
          np.minimum: reductions.reduce_min, np.bitwise_and: reductions.reduce_and, np.bitwise_or: reductions.reduce_or,
          np.bitwise_xor: reductions.reduce_xor, np.logical_and: reductions.reduce_and,
          np.logical_or: reductions.reduce_or, np.logical_xor: reductions.reduce_xor, np.logaddexp: logsumexp}


def _has_fold(ufunc, dtype):
    """Return whether a fold in this dtype is an op of its own."""
    extreme = ufunc in (np.maximum, np.minimum, np.fmax, np.fmin)
    return dtype.kind != "c" if extreme else ufunc in _FOLDS


def _fold_whole(ufunc, node, axes):
    """Return the fold over a non-empty range."""
    if not axes:
        return node
    if node.dtype == BOOL:  # bools add up to a bool by `or`, and multiply by `and`
        ufunc = {np.add: np.logical_or, np.multiply: np.logical_and}.get(ufunc, ufunc)
    if ufunc in (np.fmax, np.fmin) and node.type.kind == "f":
        return _fold_without_nan(ufunc, node, axes)
    ufunc = {np.fmax: np.maximum, np.fmin: np.minimum}.get(ufunc, ufunc) if node.type.kind != "c" else ufunc
    return _FOLDS[ufunc](node, axes=axes) if _has_fold(ufunc, node.dtype) else _unrolled(ufunc, node, axes)


def _fold_without_nan(ufunc, node, axes):
    largest = ufunc is np.fmax
    fold = reductions.reduce_max if largest else reductions.reduce_min
    missing = ops.isnan(node)
    out = fold(select(missing, full_like(-np.inf if largest else np.inf, node), node), axes=axes)
    return select(reductions.reduce_and(missing, axes=axes), full_like(np.nan, out), out)


def _unrolled(ufunc, node, axes, start=None):
    """Return the fold element after element: written out for short axes, a loop for others."""
    for axis in reversed(axes):
        n = node.shape[axis]
        if n > _UNROLLED:
            folded = _looped(ufunc, node, axis, start)
        else:
            parts = _parts(node, axis)
            if start is not None:
                parts.insert(0, reshape(start, parts[0].shape))
            total = parts[0]
            for part in parts[1:]:
                total = cast(find(ufunc)(total, part), node.dtype)
            folded = reshape(total, [n for a, n in enumerate(node.shape) if a != axis])
        node, start = folded, None
    return node


def _parts(node, axis):
    sizes = [1 if a == axis else m for a, m in enumerate(node.shape)]
    return [slice_(node, [k if a == axis else 0 for a in range(node.ndim)], [1] * node.ndim, sizes)
            for k in range(node.shape[axis])]


def _front(node, axis):
    """Return a Tracer of a node with one axis moved to the front."""
    return wrap(transpose(node, [axis, *(a for a in range(node.ndim) if a != axis)]))


def _step(ufunc, dtype):
    return lambda x, y: wrap(cast(find(ufunc)(as_tracer(x).node, as_tracer(y).node), dtype))


def _looped(ufunc, node, axis, start=None):
    """Return the fold along an axis as a loop."""
    from tracejit.trace.control import staged_for  # which stands on this module

    rows, step = _front(node, axis), _step(ufunc, node.dtype)
    first = 0 if start is not None else 1
    total = wrap(start) if start is not None else rows[0].copy()
    total, = staged_for(node.shape[axis] - first, lambda k, state: (step(state[0], rows[k + first]),), (total,),
                        what=f"{ufunc.__name__}.reduce")
    return as_tracer(total).node


# ---------------------------------------------------------------- accumulate
_RUNNING = {np.add: reductions.cumsum, np.multiply: reductions.cumprod, np.maximum: reductions.cummax,
            np.minimum: reductions.cummin, np.logical_and: reductions.cummin, np.logical_or: reductions.cummax}


def accumulate(ufunc, array, axis=0, dtype=None, out=None):
    """Return ``ufunc.accumulate(array, axis)``: running sums, products, extremes; others for short axes."""
    if ufunc.nin != 2 or ufunc.nout != 1:
        raise ValueError("accumulate only supported for binary functions")
    x = as_tracer(array)
    out = _single(out)
    if x.ndim == 0:
        raise TypeError("cannot accumulate on a scalar")
    axis = normalize_axis_index(operator.index(axis), x.ndim)
    element, result = reduction_dtype(ufunc, x, dtype, out)
    node = _elements(ufunc, x.node, element)
    running = _RUNNING.get(ufunc)
    if 0 in node.shape:
        node = cast(node, result)
    elif running is not None and node.type.kind != "c" or running in (reductions.cumsum, reductions.cumprod):
        if node.dtype == BOOL and ufunc in (np.add, np.multiply):
            running = reductions.cummax if ufunc is np.add else reductions.cummin
        node = cast(running(node, axis=axis, reverse=False), result)
    else:
        node = cast(_accumulated(ufunc, node, axis), result)
    return _into(node, out, x, memory_order([x], node))


def _accumulated(ufunc, node, axis):
    """Return the running fold of a ufunc that has no op for it."""
    n = node.shape[axis]
    if type(n) is int and n <= _UNROLLED:
        parts = _parts(node, axis)
        for k in range(1, len(parts)):
            parts[k] = cast(find(ufunc)(parts[k - 1], parts[k]), node.dtype)
        return concatenate(parts, axis)
    from tracejit.trace.control import staged_for  # which stands on this module

    rows, step = _front(node, axis).copy(), _step(ufunc, node.dtype)

    def body(k, state):
        state[0][k + 1] = step(state[0][k], state[0][k + 1])
        return state
    rows, = staged_for(dims.minus(n, 1), body, (rows,), what=f"{ufunc.__name__}.accumulate")
    return transpose(rows.node, [*range(1, axis + 1), 0, *range(axis + 1, node.ndim)])


# ---------------------------------------------------------------- outer, at, reduceat
def outer(ufunc, x, y, **kwargs):
    """Return ``ufunc(x[..., None], y)`` over all pairs of elements."""
    if ufunc.nin != 2:
        raise ValueError("outer product only supported for binary functions")
    x, y = as_tracer(x), as_tracer(y)
    if y.ndim:
        x = wrap(reshape(x.node, (*x.type.shape, *[1] * y.ndim)), weak=x.weak and not y.ndim)
    return apply_ufunc(ufunc, x, y, **kwargs)


_SCATTERS = {np.add: scatter_add, np.subtract: scatter_add, np.multiply: scatter_multiply, np.maximum: scatter_max,
             np.minimum: scatter_min}


def at(ufunc, array, indices, *values):
    """Do ``ufunc.at(array, indices, values)``: in place, repeated positions counting again."""
    if len(values) != ufunc.nin - 1 or ufunc.nout != 1:
        raise ValueError("second operand needed for ufunc" if ufunc.nin == 2 else
                         "Only two operand ufuncs are supported")
    x = as_tracer(array)
    if is_value(x):
        raise TypeError("first operand must be array")
    scatter = _SCATTERS.get(ufunc)
    if not values or not _scatters(ufunc, scatter, x, as_tracer(values[0])):
        _one_by_one(ufunc, x, indices, values)
        return
    value = wrap(cast(as_tracer(values[0]).node, x.dtype))
    if x.dtype == BOOL and ufunc in (np.add, np.multiply):
        scatter = scatter_max if ufunc is np.add else scatter_min
    if ufunc is np.subtract:
        value = apply_ufunc(np.negative, value)
    target = scatter_at(x, indices, value, scatter)
    if target is not None:
        result = apply_ufunc(np.add if ufunc is np.subtract else ufunc, target, value)
        target._write(fitted(result, target.type.shape, x.dtype))


def _scatters(ufunc, scatter, x, value):
    """Return whether a scatter op does the update: its arithmetic must be that of the array's own dtype."""
    if scatter is None or x.dtype.kind == "c" and ufunc in (np.maximum, np.minimum):
        return False
    loop = ufunc.resolve_dtypes((x.dtype, value.dtype, None))[0]
    if ufunc in (np.maximum, np.minimum):
        return loop == x.dtype
    return loop.kind == x.dtype.kind or (x.dtype.kind in "iu" and loop.kind in "iu")


def _one_by_one(ufunc, x, indices, values):
    """Update place after place, in a loop: a place that is named again is updated again."""
    from tracejit.trace.control import staged_for  # which stands on this module

    x = settled(x, f"{ufunc.__name__}.at")
    order = wrap(reshape(iota(I64, (x.size,)), x.shape))
    places = as_tracer(order[indices])
    values = [as_tracer(v) for v in values]
    rows = [wrap(fitted(v, places.type.shape, v.dtype)).reshape(-1) for v in values]
    places, flat = places.reshape(-1), x.reshape(-1).copy()

    def body(k, state):
        out, = state
        place = places[k]
        out[place] = apply_ufunc(ufunc, out[place], *(r[k] for r in rows))
        return state
    flat, = staged_for(places.size, body, (flat,), what=f"{ufunc.__name__}.at")
    x._write(reshape(flat.node, x.shape))


def reduceat(ufunc, array, indices, axis=0, dtype=None, out=None):
    """Return ``ufunc.reduceat(array, indices)``: folds of the stretches between positions, one loop in another."""
    from tracejit.trace.control import staged_for  # which stands on this module

    if ufunc.nin != 2 or ufunc.nout != 1:
        raise ValueError("reduceat only supported for binary functions")
    x, places = (settled(as_tracer(a), f"{ufunc.__name__}.reduceat") for a in (array, indices))
    axis = normalize_axis_index(operator.index(axis), x.ndim)
    if places.ndim != 1:
        raise ValueError("object too deep for desired array" if places.ndim else
                         "object of too small depth for desired array")
    if places.dtype.kind not in "biu" and places.size:
        raise TypeError(f"Cannot cast array data from {places.dtype!r} to dtype('int64') according to the rule 'safe'")
    element, result = reduction_dtype(ufunc, x, dtype, _single(out))
    n, count = x.shape[axis], places.size
    plain = known(places)
    if count and plain is not None and n % count == 0 and (plain == np.arange(0, n, n // count)).all():
        parts = reshape(_elements(ufunc, x.node, element), [*x.shape[:axis], count, n // count, *x.shape[axis + 1:]])
        return _into(cast(_fold_whole(ufunc, parts, (axis + 1,)), result), _single(out))
    rows, node = _front(_elements(ufunc, x.node, element), axis), cast(places.node, I64)
    if count:
        fine = ops.bitwise_and(ops.greater_equal(node, full_like(0, node)), ops.less(node, full_like(n, node)))
        node = ops.check(node, fine, error="reduceat", detail=(n,))
    begin = wrap(node)
    end = wrap(concatenate([slice_(node, (1,), (1,), (count - 1,)), const(np.array([n]))], 0)) if count else begin
    step = _step(ufunc, rows.dtype)
    made = wrap(zeros(Type(rows.dtype, (count, *rows.shape[1:]))))

    def body(k, state):
        first = begin[k]
        length = apply_ufunc(np.subtract, end[k], first)
        total, = staged_for(apply_ufunc(np.subtract, length, 1),
                            lambda j, inner: (step(inner[0], rows[first + j + 1]),), (rows[first].copy(),))
        state[0][k] = total
        return state
    if count:
        made, = staged_for(count, body, (made,), what=f"{ufunc.__name__}.reduceat")
    node = transpose(made.node, [*range(1, axis + 1), 0, *range(axis + 1, x.ndim)])
    return _into(cast(node, result), _single(out))


METHODS = {"__call__": apply_ufunc, "reduce": reduce, "accumulate": accumulate, "outer": outer, "at": at,
           "reduceat": reduceat}
