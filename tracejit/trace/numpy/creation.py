"""Arrays made inside a traced function: by value, by range, by shape."""

import math
import operator

import numpy as np

from tracejit.symbolic.ir import const
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.shape import broadcast, broadcast_to, full, iota, reshape
from tracejit.symbolic.ops.shape import zeros as zeros_node
from tracejit.symbolic.types import F64, I64, Type
from tracejit.trace.floating import DISCARDED
from tracejit.trace.numpy.common import (
    SMALL,
    cast_to,
    check_fits,
    common_dtype,
    fresh,
    known,
    known_dtype,
    literal,
    only,
    static,
)
from tracejit.trace.numpy.registry import implements
from tracejit.trace.promote import memory_order
from tracejit.trace.shapes import is_known, spread
from tracejit.trace.sizes import counted, shape_of
from tracejit.trace.tracer import Tracer, as_tracer, current_trace, nest_node, wrap
from tracejit.trace.views import moved


def _check_like(like):
    """Refuse a ``like=`` that would have another library make the array; an array asks for NumPy's."""
    if like is not None and not isinstance(like, (Tracer, np.ndarray)):
        raise TypeError("The `like` argument must be an array-like that implements the `__array_function__` protocol.")


# ---------------------------------------------------------------- from values
def _from(x, dtype, copy, order, ndmin, function):
    """What `array` and its relatives share: `copy` is True, False (never) or None (if needed)."""
    dtype = known_dtype(dtype)
    if isinstance(x, (list, tuple, range)):
        x = list(x) if isinstance(x, range) else x
        source, made = wrap(nest_node(x, dtype)), True
    else:
        source = as_tracer(x)
        kept = isinstance(x, (Tracer, np.ndarray)) or hasattr(x, "__tracejit_array__")
        made = source.scalar or source.weak or not kept
    node = source.node
    if dtype is not None and node.dtype != dtype:
        if node.dtype.kind == "c" and dtype.kind not in "bc":
            current_trace().notice(DISCARDED, np.exceptions.ComplexWarning)
        node, made = ops.cast(node, dtype), True
    layout = source.shadow if node.type.is_static else None  # what has an unknown size lies in C order
    fits = layout is None or order in (None, "K", "A") or layout.flags["C" if order == "C" else "F"]
    if copy is False and (made or not fits):
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    out = source
    if copy or made or not fits:
        out = fresh(node, order or "K", source)
    if order in ("C", "F") and not (copy or made):
        out = moved(source, out)
    if out.ndim < ndmin:
        out = out[(None,) * (ndmin - out.ndim)]
    return out


@implements(np.array, without=("subok=True",))
def array(object, dtype=None, *, copy=True, order="K", subok=False, ndmin=0, ndmax=0, like=None):
    """Return nested lists, numbers and arrays as one array."""
    _check_like(like)
    only(np.array, ndmax=(ndmax, 0))
    return _from(object, dtype, copy, order, ndmin, np.array)


@implements(np.asarray)
def asarray(a, dtype=None, order=None, *, device=None, copy=None, like=None):
    """Return an array-like as an array: itself where nothing has to change."""
    _check_like(like)
    return _from(a, dtype, copy, order, 0, np.asarray)


@implements(np.from_dlpack)
def from_dlpack(x, /, *, device=None, copy=None):
    """Return a traced array as it is, or a copy; see numpy.from_dlpack."""
    if not isinstance(x, Tracer):
        raise AttributeError(f"'{type(x).__name__}' object has no attribute '__dlpack__'")
    return x.copy() if copy else x


@implements(np.asanyarray)
def asanyarray(a, dtype=None, order=None, *, device=None, copy=None, like=None):
    """Return an array-like as an array: itself where nothing has to change."""
    return _from(a, dtype, copy, order, 0, np.asanyarray)


@implements(np.ascontiguousarray)
def ascontiguousarray(a, dtype=None, *, like=None):
    """Return an array in C order, of rank 1 at least."""
    return _from(a, dtype, None, "C", 1, np.ascontiguousarray)


@implements(np.asfortranarray)
def asfortranarray(a, dtype=None, *, like=None):
    """Return an array in Fortran order, of rank 1 at least."""
    return _from(a, dtype, None, "F", 1, np.asfortranarray)


@implements(np.asarray_chkfinite, differs="values are not checked for NaN and infinity")
def asarray_chkfinite(a, dtype=None, order=None):
    """Return an array-like as an array."""
    return _from(a, dtype, None, order, 0, np.asarray_chkfinite)


@implements(np.copy)
def copy(a, order="K", subok=False):
    """Return a copy."""
    return _from(a, None, True, order, 0, np.copy)


@implements(np.require)
def require(a, dtype=None, requirements=None, *, like=None):
    """Return an array of the dtype and with the flags asked for."""
    names = {r.upper() for r in ([requirements] if isinstance(requirements, str) else requirements or ())}
    names = {{"C_CONTIGUOUS": "C", "CONTIGUOUS": "C", "F_CONTIGUOUS": "F", "FORTRAN": "F"}.get(n, n) for n in names}
    if {"C", "F"} <= names:
        raise ValueError("Cannot specify both \"C\" and \"F\" order")
    order = "F" if "F" in names else "C" if "C" in names else "A"
    return _from(a, dtype, None, order, 0, np.require)


# ---------------------------------------------------------------- by shape
def _shape(shape, function):
    entries = shape_of(shape, "shape", function)
    if any(type(n) is int and n < 0 for n in entries):
        raise ValueError("negative dimensions are not allowed")
    return entries


def _filled(value, shape, dtype, order, function, like=None):
    _check_like(like)
    return fresh(full(value, Type(known_dtype(dtype, F64), _shape(shape, function))), order)


@implements(np.zeros)
def zeros(shape, dtype=None, order="C", *, device=None, like=None):
    """Return zeros of a shape."""
    return _filled(0, shape, dtype, order, np.zeros, like)


@implements(np.ones)
def ones(shape, dtype=None, order="C", *, device=None, like=None):
    """Return ones of a shape."""
    return _filled(1, shape, dtype, order, np.ones, like)


@implements(np.empty, differs="filled with zeros")
def empty(shape, dtype=None, order="C", *, device=None, like=None):
    """Return an array to be filled; it holds zeros."""
    return _filled(0, shape, dtype, order, np.empty, like)


@implements(np.full)
def full_(shape, fill_value, dtype=None, order="C", *, device=None, like=None):
    """Return one value (or a row of them, broadcast) in a shape."""
    _check_like(like)
    value = as_tracer(fill_value)
    dtype = known_dtype(dtype, value.dtype)
    return fresh(_spread(value, dtype, _shape(shape, np.full)), order)


def _spread(value, dtype, shape):
    """Return a value cast and broadcast to `shape`, with NumPy's error where it does not fit."""
    if not value.type.is_static or not is_known(shape):
        return spread(ops.cast(value.node, dtype), shape)
    np.broadcast_shapes(value.shape, shape)  # raises ValueError
    if len(value.shape) > len(shape) or np.broadcast_shapes(value.shape, shape) != tuple(shape):
        raise ValueError(f"could not broadcast input array from shape {value.shape} into shape {tuple(shape)}")
    if value.weak and dtype.kind in "iu":
        check_fits(value, dtype)
    return broadcast_to(ops.cast(value.node, dtype), shape)


def _like(value, a, dtype, order, shape, function):
    prototype = as_tracer(a)
    dtype = known_dtype(dtype, prototype.dtype)
    shape = prototype.type.shape if shape is None else _shape(shape, function)
    node = full(value, Type(dtype, shape)) if not isinstance(value, Tracer) else _spread(value, dtype, shape)
    if len(shape) != prototype.ndim:
        order = "C" if order in ("K", "A") else order
    return fresh(node, order, prototype)


@implements(np.zeros_like)
def zeros_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    """Return zeros in the shape, dtype and memory order of an array."""
    return _like(0, a, dtype, order, shape, np.zeros_like)


@implements(np.ones_like)
def ones_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    """Return ones in the shape, dtype and memory order of an array."""
    return _like(1, a, dtype, order, shape, np.ones_like)


@implements(np.empty_like, differs="filled with zeros")
def empty_like(prototype, dtype=None, order="K", subok=True, shape=None, *, device=None):
    """Return an array to be filled, in the shape, dtype and memory order of another; it holds zeros."""
    return _like(0, prototype, dtype, order, shape, np.empty_like)


@implements(np.full_like)
def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    """Return one value in the shape, dtype and memory order of an array."""
    return _like(as_tracer(fill_value), a, dtype, order, shape, np.full_like)


# ---------------------------------------------------------------- by position
def _rows_and_columns(n, m):
    return iota(I64, (n, m), 0), iota(I64, (n, m), 1)


@implements(np.eye)
def eye(N, M=None, k=0, dtype=float, order="C", *, device=None, like=None):
    """Return ones on one diagonal and zeros elsewhere."""
    _check_like(like)
    n, = _shape(N, np.eye)
    m = n if M is None else _shape(M, np.eye)[0]
    rows, columns = _rows_and_columns(n, m)
    return fresh(ops.cast(ops.equal(rows + operator.index(static(k, "k", np.eye)), columns), known_dtype(dtype)), order)


@implements(np.identity)
def identity(n, dtype=None, *, like=None):
    """Return the identity matrix."""
    return eye(n, dtype=float if dtype is None else dtype, like=like)


@implements(np.tri)
def tri(N, M=None, k=0, dtype=float, *, like=None):
    """Return ones at and below one diagonal."""
    n, = _shape(N, np.tri)
    m = n if M is None else _shape(M, np.tri)[0]
    return wrap(ops.cast(_below(n, m, static(k, "k", np.tri)), known_dtype(dtype)))


def _below(n, m, k):
    rows, columns = _rows_and_columns(n, m)
    return ops.greater_equal(rows + operator.index(k), columns)


def _triangle(m, k, keep_below, function):
    x = as_tracer(m)
    if x.ndim == 0:
        raise TypeError("tuple index out of range: a triangle needs at least one axis")
    node = x.node
    if x.ndim == 1:  # NumPy masks a broadcast row
        node = broadcast(node, (node.shape[0], node.shape[0]), (1,))
    n, w = node.shape[-2:]
    mask = _below(n, w, operator.index(static(k, "k", function)) - (0 if keep_below else 1))
    flat, mask = wrap(mask), broadcast(mask, node.shape, (node.ndim - 2, node.ndim - 1))
    zero = zeros_node(node.type)
    node = ops.select(mask, node, zero) if keep_below else ops.select(mask, zero, node)
    return wrap(node, layout=memory_order([flat, x], node), like=[x])


@implements(np.tril)
def tril(m, k=0):
    """Return a copy with zeros above a diagonal."""
    return _triangle(m, k, True, np.tril)


@implements(np.triu)
def triu(m, k=0):
    """Return a copy with zeros below a diagonal."""
    return _triangle(m, k, False, np.triu)


@implements(np.arange, differs="a step and bounds that are no integers must be known while tracing")
def arange(start=None, stop=None, step=None, dtype=None, *, device=None, like=None):
    """Return evenly spaced values."""
    _check_like(like)
    count = counted(start, stop, step)
    if count is not None:
        first = wrap(const(0, I64), weak=True) if stop is None or start is None else as_tracer(start)
        kind = known_dtype(dtype, I64)
        steps = ops.cast(iota(I64, (count,), 0), kind)
        by = full(1 if step is None else operator.index(static(step, "step", np.arange)), steps.type)
        return wrap(steps * by + broadcast(ops.cast(first.node, kind), steps.shape, ()))
    bounds = [None if v is None else static(v, name, np.arange)
              for v, name in ((start, "start"), (stop, "stop"), (step, "step"))]
    if bounds[0] is None and bounds[1] is None:
        raise TypeError("arange() requires stop to be specified.")
    if bounds[1] is None:
        bounds[:2] = 0, bounds[0]
    first, last, by = bounds[0] or 0, bounds[1], 1 if bounds[2] is None else bounds[2]
    # Dtypes of NumPy scalars count as in NumPy, although their values are plain here.
    kinds = [getattr(v, "dtype", None) for v in (start, stop, step)]
    if dtype is None and any(k is not None for k in kinds):
        dtype = np.result_type(I64 if all(isinstance(v, (int, type(None))) for v in bounds) else F64,
                               *[k for k in kinds if k is not None])
    if _count(first, last, by) <= SMALL:
        return literal(np.arange(first, last, by, dtype))
    head = np.arange(first, first + 2 * by, by, dtype)[:2]  # what NumPy itself extrapolates from
    known_dtype(head.dtype)
    n = len(range(first, last, by)) if all(isinstance(v, int) for v in (first, last, by)) else _count(first, last, by)
    steps = iota(head.dtype, (n,), 0)
    delta = head[1] - head[0]
    out = steps if delta == 1 else steps * full(delta, steps.type)
    return wrap(out if head[0] == 0 else out + full(head[0], steps.type))


def _count(first, last, by):
    if by == 0:
        raise ZeroDivisionError("Maximum allowed size exceeded" if isinstance(by, float) else "division by zero")
    return max(0, math.ceil((last - first) / by)) if not isinstance(last - first, complex) else SMALL + 1


@implements(np.linspace)
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0, *, device=None):
    """Return `num` (known while tracing) evenly spaced values between two, which may be traced."""
    num = operator.index(static(num, "num", np.linspace))
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    fixed = known(start), known(stop)
    if fixed[0] is not None and fixed[1] is not None and num * fixed[0].size * fixed[1].size <= SMALL:
        out = np.linspace(fixed[0][()], fixed[1][()], num, endpoint, retstep, dtype, axis)
        return (literal(out[0]), literal(out[1])) if retstep else literal(out)
    div = num - 1 if endpoint else num
    start, stop = as_tracer(start), as_tracer(stop)
    kind = np.dtype(np.result_type(common_dtype(start, stop), 1.0))
    start, stop = start.astype(kind), stop.astype(kind)
    integer = dtype is not None and np.issubdtype(dtype, np.integer)
    dtype = kind if dtype is None else known_dtype(dtype)
    delta = stop - start
    y = wrap(iota(kind, (num,), 0)).reshape((-1,) + (1,) * delta.ndim)
    if div > 0:
        step = delta / div
        # Where the step underflows to 0, NumPy divides before it multiplies.
        y = np.where(np.equal(step, 0), y / div * delta, y * step)
    else:
        step = literal(np.nan)
        y = y * delta
    y = y + start
    if endpoint and num > 1:
        y[-1, ...] = stop
    if axis != 0:
        y = np.moveaxis(y, 0, axis)
    if integer:
        y = np.floor(y)
    y = wrap(ops.cast(y.node, dtype))
    return (y, step) if retstep else y


@implements(np.logspace)
def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    """Return `num` values evenly spaced on a logarithmic scale."""
    fixed = known(start), known(stop), known(base)
    if all(f is not None for f in fixed) and num <= SMALL:
        return literal(np.logspace(*(f[()] for f in fixed[:2]), num, endpoint, fixed[2][()], dtype, axis))
    y = np.power(base, linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else wrap(ops.cast(y.node, known_dtype(dtype)))


@implements(np.geomspace)
def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """Return `num` values of a geometric progression."""
    fixed = known(start), known(stop)
    if all(f is not None for f in fixed) and num <= SMALL:
        return literal(np.geomspace(*(f[()] for f in fixed), num, endpoint, known_dtype(dtype), axis))
    num = operator.index(static(num, "num", np.geomspace))
    start, stop = as_tracer(start), as_tracer(stop)
    inner = np.result_type(start.dtype, stop.dtype, float(num), F64 if dtype is None else known_dtype(dtype))
    start, stop = np.broadcast_arrays(cast_to(start, inner), cast_to(stop, inner))
    fine = ops.bitwise_and(*(np.not_equal(x, 0).node for x in (start, stop)))
    start = wrap(ops.check(start.node, fine, error="geometric", detail=()))
    sign = np.sign(start)
    first, last = start / sign, stop / sign
    result = np.power(10.0, linspace(np.log10(first), np.log10(last), num, endpoint))
    if num:
        ends = [first[None], result[1:-1], last[None]] if endpoint and num > 1 else [first[None], result[1:]]
        result = np.concatenate(ends)
    result = np.moveaxis(result * sign, 0, axis)
    return result if dtype is None else cast_to(result, known_dtype(dtype))


# ---------------------------------------------------------------- grids
@implements(np.indices)
def indices(dimensions, dtype=int, sparse=False):
    """Return the index along each axis of a grid."""
    shape, dtype = _shape(dimensions, np.indices), known_dtype(dtype)
    if sparse:
        return tuple(wrap(reshape(iota(dtype, (n,), 0), [n if b == a else 1 for b in range(len(shape))]))
                     for a, n in enumerate(shape))
    if not shape:
        return literal(np.indices((), dtype))
    return np.stack([wrap(iota(dtype, shape, a)) for a in range(len(shape))])


@implements(np.fromfunction)
def fromfunction(function, shape, *, dtype=float, like=None, **kwargs):
    """Return a function called once on the indices of a grid."""
    return function(*indices(shape, dtype), **kwargs)


@implements(np.meshgrid)
def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    """Return coordinate arrays of a grid from the coordinates along its axes."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    n = len(xi)
    axes = [as_tracer(x).reshape([-1 if b == a else 1 for b in range(n)]) for a, x in enumerate(xi)]
    if indexing == "xy" and n > 1:
        axes = [x.swapaxes(0, 1) for x in axes]
    if not sparse:
        axes = np.broadcast_arrays(*axes)
    return tuple(x.copy() for x in axes) if copy else tuple(axes)


@implements(np.vander)
def vander(x, N=None, increasing=False):
    """Return the powers of a vector as columns."""
    x = as_tracer(x)
    if x.ndim != 1:
        raise ValueError("x must be a one-dimensional array or sequence.")
    n = x.shape[0] if N is None else operator.index(static(N, "N", np.vander))
    dtype = np.promote_types(x.dtype, int)
    kind = Type(dtype, (x.shape[0], n))
    if n == 0:
        return wrap(zeros_node(kind))
    base = np.cumprod(np.concatenate([wrap(full(1, Type(dtype, (x.shape[0], 1))))]
                                     + [x.reshape((-1, 1))] * (n - 1), axis=1), axis=1)
    return base if increasing else base[:, ::-1].copy()


# ---------------------------------------------------------------- diagonals
@implements(np.diag)
def diag(v, k=0):
    """Return a diagonal of a matrix (a view), or a matrix with this diagonal."""
    x = as_tracer(v)
    if x.ndim == 2:
        return np.diagonal(x, k)
    if x.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    return _on_diagonal(x, operator.index(static(k, "k", np.diag)))


def _on_diagonal(x, k):
    n = x.shape[0] + abs(k)
    out = wrap(zeros_node(Type(x.dtype, (n, n))))
    start = k if k >= 0 else -k * n
    out.reshape(-1)[start:start + x.shape[0] * (n + 1):n + 1] = x
    return out


@implements(np.diagflat)
def diagflat(v, k=0):
    """Return a matrix with the flattened input on its diagonal."""
    return _on_diagonal(as_tracer(v).reshape(-1), operator.index(static(k, "k", np.diagflat)))
