"""Choosing, taking and putting elements by condition or position."""


import operator

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.shape import broadcast_to, full_like, zeros
from tracejit.symbolic.types import BOOL, I64, Type
from tracejit.trace.indexing import fitted
from tracejit.trace.numpy.common import (
    NO,
    axis_of,
    check_fits,
    common_dtype,
    deliver,
    literal,
    refuse_option,
    static,
    static_ints,
)
from tracejit.trace.numpy.einsum import diagonal as diagonal_node
from tracejit.trace.numpy.registry import implements
from tracejit.trace.promote import broadcast_shapes, memory_order
from tracejit.trace.shapes import is_known, spread
from tracejit.trace.tracer import Tracer, as_tracer, wrap
from tracejit.trace.views import Step, address, transpose_view, view


# ---------------------------------------------------------------- by condition
@implements(np.where)
def where(condition, x=NO, y=NO, /):
    """Return elements of `x` where the condition holds and of `y` elsewhere."""
    if x is NO and y is NO:
        return np.nonzero(as_tracer(condition))
    if x is NO or y is NO:
        raise ValueError("either both or neither of x and y should be given")
    mask, x, y = as_tracer(condition), as_tracer(x), as_tracer(y)
    dtype = common_dtype(x, y)
    nodes = mask.node if mask.dtype == BOOL else np.not_equal(mask, 0).node, x.node, y.node
    shape = broadcast_shapes([n.type.shape for n in nodes])
    chosen = ops.select(spread(nodes[0], shape), *(spread(ops.cast(n, dtype), shape) for n in nodes[1:]))
    return wrap(chosen, layout=memory_order([mask, x, y], chosen), like=[mask, x, y])


@implements(np.select)
def select(condlist, choicelist, default=0):
    """Return for each place the choice of the first condition that holds."""
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if len(condlist) == 0:
        raise ValueError("select with an empty condition list is not possible")
    masks = [as_tracer(c) for c in condlist]
    choices = [as_tracer(c) for c in [*choicelist, default]]
    dtype = common_dtype(*choices)
    for i, m in enumerate(masks):
        if m.dtype != BOOL:
            raise TypeError(f"invalid entry {i} in condlist: should be boolean ndarray")
    shape = np.broadcast_shapes(*(v.shape for v in (*masks, *choices)))
    node = broadcast_to(ops.cast(choices.pop().node, dtype), shape)
    for mask, choice in zip(reversed(masks), reversed(choices)):
        node = ops.select(broadcast_to(mask.node, shape), broadcast_to(ops.cast(choice.node, dtype), shape), node)
    return wrap(node)


@implements(np.choose)
def choose(a, choices, out=None, mode="raise"):
    """Return for each place the element of the choice that `a` numbers."""
    which = as_tracer(a)
    if which.dtype.kind not in "biu":
        raise TypeError(f"Cannot cast array data from {which.dtype!r} to dtype('int64') according to the rule 'safe'")
    options = [as_tracer(c) for c in choices] if isinstance(choices, (list, tuple)) else list(as_tracer(choices))
    if not options:
        raise ValueError("invalid entry in choice array")
    n = len(options)
    number = _in_mode(ops.cast(which.node, I64), n, mode, "choice", ())
    dtype = common_dtype(*options)
    shape = np.broadcast_shapes(which.shape, *(v.shape for v in options))
    number = broadcast_to(number, shape)
    node = broadcast_to(ops.cast(options[-1].node, dtype), shape)
    for k in reversed(range(n - 1)):
        node = ops.select(ops.equal(number, full_like(k, number)),
                          broadcast_to(ops.cast(options[k].node, dtype), shape), node)
    return deliver(wrap(node, scalar=node.ndim == 0), out)


def _in_mode(node, n, mode, error, detail):
    """Return positions brought into 0..n-1, or checked to be there."""
    low, high = zeros(node.type), full_like(n - 1, node)
    if mode == "clip":
        return ops.minimum(ops.maximum(node, low), high)
    if mode == "wrap":
        return ops.remainder(node, full_like(n, node))
    if mode != "raise":
        raise ValueError(f"clipmode must be one of 'clip', 'raise', or 'wrap' (got {mode!r})")
    fine = ops.bitwise_and(ops.greater_equal(node, low), ops.less_equal(node, high))
    return ops.check(node, fine, error=error, detail=detail)


# ---------------------------------------------------------------- by position
@implements(np.take)
def take(a, indices, axis=None, out=None, mode="raise"):
    """Return the elements (or slices) at positions along an axis."""
    x, places = as_tracer(a), as_tracer(indices)
    if axis is None:
        x, axis = x.reshape(-1), 0
    x = x if x.ndim else x.reshape(-1)
    axis = axis_of(axis, x.ndim)
    given = isinstance(indices, (Tracer, np.ndarray)) and not places.weak  # lists and numbers are converted
    if given and not np.can_cast(places.dtype, I64, "same_kind"):
        raise TypeError(f"Cannot cast array data from {places.dtype!r} to dtype('int64') according to the rule 'safe'")
    whole = x.type.shape
    n, shape = whole[axis], (*whole[:axis], *places.type.shape, *whole[axis + 1:])
    if is_known(shape) and places.size and (n == 0 or 0 in whole[:axis]):
        if n == 0 and 0 not in shape:
            raise IndexError("cannot do a non-empty take from an empty axes.")
        if mode == "raise" and 0 not in whole[:axis]:
            raise IndexError(f"index out of bounds for axis {axis} with size 0")
        return deliver(wrap(zeros(Type(x.dtype, shape))), out)
    node = ops.cast(places.node, I64)
    if mode != "raise" and 0 not in node.shape:
        node = _in_mode(node, n, mode, "index", ())
    key = wrap(node, scalar=node.ndim == 0)
    result = x[(slice(None),) * axis + (key,)]
    return deliver(_value(result), out)


def _value(x):
    """Return a 0-d result as NumPy scalar, and never a view."""
    return wrap(x.node, scalar=x.ndim == 0)


def _along(indices, axis, shape):
    """Return the key that picks `indices` along one axis and each place of its own along the others."""
    own = [np.arange(n).reshape([-1 if e == d else 1 for e in range(len(shape))]) for d, n in enumerate(shape)]
    return tuple(indices if d == axis else literal(o) for d, o in enumerate(own))


def _along_axis(arr, indices, axis):
    x, places = as_tracer(arr), as_tracer(indices)
    if places.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    if axis is None:
        if places.ndim != 1:
            raise ValueError("when axis=None, `indices` must have a single dimension.")
        return x.reshape(-1), (places,)
    axis = axis_of(axis, x.ndim)
    if x.ndim != places.ndim:
        raise ValueError("`indices` and `arr` must have the same number of dimensions")
    return x, _along(places, axis, x.shape)


@implements(np.take_along_axis)
def take_along_axis(arr, indices, axis=-1):
    """Return the elements at positions that differ from place to place along an axis."""
    x, key = _along_axis(arr, indices, axis)
    return x[key]


@implements(np.put_along_axis)
def put_along_axis(arr, indices, values, axis):
    """Write values to positions that differ from place to place along an axis."""
    x, key = _along_axis(arr, indices, axis)
    x[key] = values


@implements(np.put)
def put(a, ind, v, mode="raise"):
    """Write values to positions of the flattened array; values repeat."""
    x, places, values = as_tracer(a), as_tracer(ind).ravel(), as_tracer(v).ravel()
    if isinstance(ind, (Tracer, np.ndarray)) and not np.can_cast(places.dtype, I64, "same_kind"):
        raise TypeError(f"Cannot cast array data from {places.dtype!r} to dtype('int64') according to the rule 'safe'")
    if values.size == 0 or places.size == 0:
        return
    if x.scalar:
        x = wrap(x.node)  # NumPy writes to a copy
    node = ops.cast(places.node, I64)
    if mode != "raise":
        node = _in_mode(node, x.size, mode, "index", ())
    flat = x.ravel()
    flat[wrap(node)] = values if values.size == 1 else np.resize(values, places.size)
    if flat._storage is not x._storage:
        x[...] = flat.reshape(x.shape)


class Diagonal(Step):
    """The diagonals of the last two axes as the last axis: (offset,); NumPy makes it read-only."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        return diagonal_node(x, *self.data)

    def write(self, x, value):
        """Refuse, as NumPy does."""
        raise ValueError("assignment destination is read-only")


@implements(np.diagonal)
def diagonal(a, offset=0, axis1=0, axis2=1):
    """Return the diagonals of two axes as the last axis: a read-only view."""
    x = as_tracer(a)
    if x.ndim < 2:
        raise ValueError("diag requires an array of at least two dimensions")
    i, j = axis_of(axis1, x.ndim, "axis1"), axis_of(axis2, x.ndim, "axis2")
    shadow = x.shadow.diagonal(offset, i, j)  # read-only, and so is the view; raises where the axes are one
    rest = [d for d in range(x.ndim) if d not in (i, j)]
    return view(transpose_view(x, [*rest, i, j]), Diagonal(operator.index(offset)), shadow)


@implements(np.fill_diagonal)
def fill_diagonal(a, val, wrap=False):
    """Write to the main diagonal of an array whose axes are equally long."""
    x = as_tracer(a)
    if x.ndim < 2:
        raise ValueError("array must be at least 2-d")
    end = None
    if x.ndim == 2:
        step = x.shape[1] + 1
        if not wrap:
            end = x.shape[1] * x.shape[1]
    else:
        if len(set(x.shape)) > 1:
            raise ValueError("All dimensions of input must be of equal length")
        step = 1 + sum(int(np.prod(x.shape[d + 1:])) for d in range(x.ndim - 1))
    flat = x.reshape(-1)
    places = np.arange(x.size)[:end:step]
    values = as_tracer(val)
    if values.ndim:
        values = np.resize(values, len(places))
    flat[:end:step] = values
    if flat._storage is not x._storage:
        x[...] = flat.reshape(x.shape)


@implements(np.copyto)
def copyto(dst, src, casting="same_kind", where=True):
    """Write `src` into `dst`, where a mask holds."""
    target, source = as_tracer(dst), as_tracer(src)
    if _is_itself(source, target):  # NumPy leaves it at that before it asks whether the array may be written
        return
    if not (source.weak and source.python_type is int and target.dtype.kind in "iufc"):
        if not np.can_cast(source.dtype, target.dtype, casting):
            raise TypeError(f"Cannot cast array data from {source.dtype!r} to {target.dtype!r} according to the rule "
                            f"{casting!r}")
    elif target.dtype.kind in "iu":
        check_fits(source, target.dtype)
    node = fitted(wrap(ops.cast(source.node, target.dtype)), target.type.shape, target.dtype)
    if where is not True:
        mask = broadcast_to(as_tracer(where).node, target.shape)
        if mask.dtype != BOOL:
            raise TypeError(f"Cannot cast array data from {mask.dtype!r} to dtype('bool') according to the rule 'safe'")
        node = ops.select(mask, node, target.node)
    target._write(node)


def _is_itself(x, y):
    """Return whether two arrays are the same elements of the same memory."""
    if x._storage is not y._storage or x.type != y.type or not x.type.is_static:
        return x is y
    return address(x.shadow) == address(y.shadow) and x.shadow.strides == y.shadow.strides


@implements(np.putmask)
def putmask(a, mask, values):
    """Write values where a mask holds; each place has its value, repeated from the start where they run out."""
    target, mask, values = as_tracer(a), as_tracer(mask), as_tracer(values)
    if mask.shape != target.shape:
        raise ValueError("putmask: mask and data must be the same size")
    if values.size == 0:
        return
    if values.shape != target.shape:
        values = np.resize(values, target.shape) if values.size != 1 else values.reshape(())
    chosen = np.where(np.not_equal(mask, 0), values.astype(target.dtype), target)
    target._write(chosen.node)


@implements(np.place)
def place(arr, mask, vals):
    """Write the next of `vals` to each place where a mask holds."""
    target, mask, values = as_tracer(arr), as_tracer(mask), as_tracer(vals).ravel()
    if mask.size != target.size:
        raise ValueError("place: mask and data must be the same size")
    if values.size == 0:
        if target.size == 0:
            return
        refuse_option(np.place, "no values", "give at least one value")
    hit = np.not_equal(mask, 0).reshape(target.shape)
    number = np.cumsum(hit.reshape(-1)) - 1
    chosen = np.take(values, number % values.size).reshape(target.shape).astype(target.dtype)
    target._write(np.where(hit, chosen, target).node)


# ---------------------------------------------------------------- positions as arrays
def _static_positions(function):
    """Define a function whose arguments are all known, and whose results are literals."""
    def positions(*args, **kwargs):
        plain = [a if callable(a) else static(a, "every argument", function) for a in args]
        out = function(*plain, **{k: static(v, k, function) for k, v in kwargs.items()})
        return tuple(literal(o) for o in out) if isinstance(out, tuple) else literal(out)
    positions.__name__ = function.__name__
    positions.__doc__ = f"Return what `numpy.{function.__name__}` gives for arguments known while tracing."
    return implements(function)(positions)


tril_indices = _static_positions(np.tril_indices)
triu_indices = _static_positions(np.triu_indices)
diag_indices = _static_positions(np.diag_indices)


def _from_shape(function, build):
    def positions(arr, k=0):
        if arr.ndim != 2:
            raise ValueError("input array must be 2-d")
        x = as_tracer(arr)
        return build(x.shape[-2], static(k, "k", function), x.shape[-1])
    positions.__doc__ = f"Return the positions of a triangle, from the shape alone; see `numpy.{function.__name__}`."
    return implements(function)(positions)


tril_indices_from = _from_shape(np.tril_indices_from, tril_indices)
triu_indices_from = _from_shape(np.triu_indices_from, triu_indices)


@implements(np.diag_indices_from)
def diag_indices_from(arr):
    """Return the positions of the main diagonal, from the shape alone."""
    x = as_tracer(arr)
    if x.ndim < 2:
        raise ValueError("input array must be at least 2-d")
    if len(set(x.shape)) > 1:
        raise ValueError("All dimensions of input must be of equal length")
    return diag_indices(x.shape[0], x.ndim)


@implements(np.unravel_index)
def unravel_index(indices, shape, order="C"):
    """Return the positions along each axis for positions in the flattened array."""
    shape = static_ints(shape, "shape", np.unravel_index)
    x = as_tracer(indices)
    if x.dtype.kind not in "iu":
        raise TypeError("only int indices permitted")
    size = int(np.prod(shape, dtype=int))
    rest = _in_mode(ops.cast(x.node, I64), size, "raise", "unravel", (size,))
    out = []
    for n in (shape if order == "F" else reversed(shape)):
        out.append(wrap(ops.remainder(rest, full_like(max(n, 1), rest)), scalar=x.ndim == 0))
        rest = ops.floor_divide(rest, full_like(max(n, 1), rest))
    return tuple(out if order == "F" else reversed(out))


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index, dims, mode="raise", order="C"):
    """Return the position in the flattened array for positions along each axis."""
    dims = static_ints(dims, "dims", np.ravel_multi_index)
    xs = [as_tracer(m) for m in multi_index]
    if len(xs) != len(dims):
        raise ValueError(f"parameter multi_index must be a sequence of length {len(dims)}")
    modes = (mode,) * len(dims) if isinstance(mode, str) else mode
    shape = np.broadcast_shapes(*(x.shape for x in xs))
    total = None
    pairs = list(zip(xs, dims, modes))
    for x, n, m in (reversed(pairs) if order == "F" else pairs):
        if x.dtype.kind not in "iu":
            raise TypeError("only int indices permitted")
        node = broadcast_to(_in_mode(ops.cast(x.node, I64), n, m, "coordinate", ()), shape)
        total = node if total is None else total * full_like(n, node) + node
    return wrap(total, scalar=not shape)
