"""Shapes, order of elements, repetition, windows. Views where NumPy gives views."""


import numpy as np

from tracejit.symbolic.ir import Node, const
from tracejit.symbolic.ops.scalar import equal
from tracejit.symbolic.ops.shape import broadcast, iota, reshape, slice_, windows
from tracejit.symbolic.ops.shape import concatenate as join
from tracejit.symbolic.ops.shape import zeros as zeros_node
from tracejit.symbolic.types import I64, Type
from tracejit.trace.numpy.common import (
    axes_of,
    axis_of,
    fresh,
    known,
    refuse_option,
    static,
    static_ints,
)
from tracejit.trace.numpy.registry import implements
from tracejit.trace.sizes import shape_of
from tracejit.trace.tracer import as_tracer, wrap
from tracejit.trace.values import concrete
from tracejit.trace.views import Step, broadcast_view, layout_view, reshape_view, transpose_view, view


# ---------------------------------------------------------------- shape
@implements(np.reshape)
def reshape_(a, /, shape, order="C", *, copy=None):
    """Return the elements in another shape."""
    x = as_tracer(a)
    shape = shape_of(shape, "shape", np.reshape)
    if len(shape) == 1 and not isinstance(shape, tuple):
        shape = shape[0]
    if copy:
        x = x.copy()
    out = reshape_view(x, shape, order)
    if copy is False and out._storage is not x._storage:
        raise ValueError("Unable to avoid creating a copy while reshaping.")
    return out


@implements(np.ravel)
def ravel(a, order="C"):
    """Return the elements as a vector."""
    x = as_tracer(a)
    if not isinstance(order, (str, type(None))):
        raise TypeError(f"order must be str, not {type(order).__name__}")
    if order == "K":  # as the elements lie in memory
        strides = x.strides
        return reshape_view(transpose_view(x, sorted(range(x.ndim), key=lambda d: -abs(strides[d]))), -1)
    return reshape_view(x, -1, order)


@implements(np.transpose)
def transpose_(a, axes=None):
    """Return the axes in another order."""
    return transpose_view(as_tracer(a), None if axes is None else static_ints(axes, "axes", np.transpose))


if hasattr(np, "permute_dims"):
    implements(np.permute_dims)(transpose_)


def _swapped_last(x):
    x = as_tracer(x)
    if x.ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {x.ndim}")
    return x.swapaxes(-1, -2)


@implements(*{f for f in (getattr(np, "matrix_transpose", None), getattr(np.linalg, "matrix_transpose", None)) if f})
def matrix_transpose(x, /):
    """Return the last two axes swapped."""
    return _swapped_last(x)


@implements(np.swapaxes)
def swapaxes(a, axis1, axis2):
    """Return two axes swapped."""
    x = as_tracer(a)
    i, j = axis_of(axis1, x.ndim, "axis1"), axis_of(axis2, x.ndim, "axis2")
    order = list(range(x.ndim))
    order[i], order[j] = order[j], order[i]
    return transpose_view(x, order)


@implements(np.moveaxis)
def moveaxis(a, source, destination):
    """Return axes moved to other places, the rest in order."""
    x = as_tracer(a)
    source = np.lib.array_utils.normalize_axis_tuple(source, x.ndim, "source")
    destination = np.lib.array_utils.normalize_axis_tuple(destination, x.ndim, "destination")
    if len(source) != len(destination):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    order = [n for n in range(x.ndim) if n not in source]
    for place, axis in sorted(zip(destination, source)):
        order.insert(place, axis)
    return transpose_view(x, order)


@implements(np.rollaxis)
def rollaxis(a, axis, start=0):
    """Return an axis moved before another."""
    x = as_tracer(a)
    axis = axis_of(axis, x.ndim)
    start = start + x.ndim if start < 0 else start
    if not 0 <= start < x.ndim + 1:
        raise np.exceptions.AxisError(f"'start' arg requires {-x.ndim} <= start < {x.ndim + 1}, but {start} was passed")
    start -= axis < start
    order = [a for a in range(x.ndim) if a != axis]
    order.insert(start, axis)
    return transpose_view(x, order)


@implements(np.squeeze)
def squeeze(a, axis=None):
    """Return the axes of length 1 left out."""
    x = as_tracer(a)
    if x.type.is_static:
        return reshape_view(x, np.squeeze(x.shadow, axis).shape)  # the shadow raises NumPy's errors
    for d in range(x.ndim) if axis is None else axes_of(axis, x.ndim):
        n = x.type.shape[d]
        if isinstance(n, Node) and concrete(wrap(equal(n, const(1, I64))), "whether an axis has length 1"):
            x = x[(slice(None),) * d + (0, None)]
    return layout_view(x, lambda x: np.squeeze(x, axis))


@implements(np.expand_dims)
def expand_dims(a, axis):
    """Return axes of length 1 inserted."""
    x = as_tracer(a)
    if not x.type.is_static:
        return layout_view(x, lambda x: np.expand_dims(x, axis))
    return reshape_view(x, np.expand_dims(x.shadow, axis).shape)


def _at_least(ndim, to_shape, arys):
    out = []
    for a in arys:
        x = as_tracer(a)
        out.append(reshape_view(x, to_shape(x.type.shape)) if x.ndim < ndim or x.scalar else x)
    return out[0] if len(out) == 1 else tuple(out)


@implements(np.atleast_1d)
def atleast_1d(*arys):
    """Return arrays of rank 1 at least."""
    return _at_least(1, lambda s: s or (1,), arys)


@implements(np.atleast_2d)
def atleast_2d(*arys):
    """Return arrays of rank 2 at least, vectors as rows."""
    return _at_least(2, lambda s: (1,) * (2 - len(s)) + s, arys)


@implements(np.atleast_3d)
def atleast_3d(*arys):
    """Return arrays of rank 3 at least."""
    return _at_least(3, lambda s: {0: (1, 1, 1), 1: (1, *s, 1), 2: (*s, 1)}[len(s)], arys)


@implements(np.broadcast_to)
def broadcast_to_(array, shape, subok=False):
    """Return a read-only view of another shape, repeating elements."""
    x = as_tracer(array)
    return broadcast_view(x, shape_of(shape, "shape", np.broadcast_to))


@implements(np.broadcast_arrays)
def broadcast_arrays(*args, subok=False):
    """Return the arguments in their common shape."""
    xs = [as_tracer(a) for a in args]
    shape = np.broadcast_shapes(*(x.shape for x in xs))
    return tuple(x if x.shape == shape and not (x.scalar or x.weak) else broadcast_view(x, shape) for x in xs)


@implements(np.resize)
def resize(a, new_shape):
    """Return the elements repeated to fill another shape."""
    x = as_tracer(a).ravel()
    shape = static_ints(new_shape, "new_shape", np.resize)
    if any(n < 0 for n in shape):
        raise ValueError("all elements of `new_shape` must be non-negative")
    size = int(np.prod(shape))
    if x.size == 0 or size == 0:
        return wrap(zeros_node(Type(x.dtype, shape)))
    return np.concatenate((x,) * -(-size // x.size))[:size].reshape(shape)


# ---------------------------------------------------------------- order of elements
@implements(np.flip)
def flip(m, axis=None):
    """Return a view with axes reversed."""
    x = as_tracer(m)
    axes = range(x.ndim) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
    return x[tuple(slice(None, None, -1) if a in axes else slice(None) for a in range(x.ndim))]


@implements(np.fliplr)
def fliplr(m):
    """Return a view with the second axis reversed."""
    x = as_tracer(m)
    if x.ndim < 2:
        raise ValueError("Input must be >= 2-d.")
    return x[:, ::-1]


@implements(np.flipud)
def flipud(m):
    """Return a view with the first axis reversed."""
    x = as_tracer(m)
    if x.ndim < 1:
        raise ValueError("Input must be >= 1-d.")
    return x[::-1, ...]


@implements(np.rot90)
def rot90(m, k=1, axes=(0, 1)):
    """Return a view turned by quarters in a plane of two axes."""
    x = as_tracer(m)
    if len(axes) != 2:
        raise ValueError("len(axes) must be 2.")
    i, j = axes
    if i == j or abs(i - j) == x.ndim:
        raise ValueError("Axes must be different.")
    if not (-x.ndim <= i < x.ndim and -x.ndim <= j < x.ndim):
        raise ValueError(f"Axes={axes} out of range for array of ndim={x.ndim}.")
    k %= 4
    if k == 0:
        return x[:]
    if k == 2:
        return flip(flip(x, i), j)
    return swapaxes(flip(x, j), i, j) if k == 1 else flip(swapaxes(x, i, j), j)


@implements(np.roll)
def roll(a, shift, axis=None):
    """Return the elements moved around the ends of axes."""
    x = as_tracer(a)
    if axis is None:
        return roll(x.ravel(), shift, 0).reshape(x.shape)
    axes = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)
    if known(shift) is None:
        return _rolled(x, shift, axes)
    moves = np.broadcast(static(shift, "shift", np.roll), axes)
    if moves.ndim > 1:
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    node = x.node
    for by, along in moves:
        n = node.shape[along]
        by = int(by) % n if n else 0
        if by:
            node = join([_range(node, along, n - by, n), _range(node, along, 0, n - by)], int(along))
    return fresh(node, "K", x)


def _rolled(x, shift, axes):
    """Return the elements moved around the ends of axes by as many places as is known at run time."""
    shift = as_tracer(shift)
    shape = np.broadcast_shapes(shift.shape, (len(axes),))
    if len(shape) > 1:
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    by = np.broadcast_to(shift, shape)
    for k, axis in enumerate(np.broadcast_to(axes, shape)):
        n = x.shape[axis]
        if n:
            place = wrap(iota(I64, (n,))) - by[k].astype(np.int64)
            x = np.take(x, place, int(axis), mode="wrap")
    return x


def _range(node, axis, begin, end, step=1):
    """Return ``node[..., begin:end:step, ...]`` along one axis, for begin and end inside it."""
    start, by, sizes = [0] * node.ndim, [1] * node.ndim, list(node.shape)
    start[axis], by[axis], sizes[axis] = begin, step, -(-(end - begin) // step)
    return slice_(node, start, by, sizes)


# ---------------------------------------------------------------- repetition
@implements(np.tile)
def tile(A, reps):
    """Return an array laid beside itself."""
    x = as_tracer(A)
    reps = static_ints(reps, "reps", np.tile)
    d = max(len(reps), x.ndim)
    reps, shape = (1,) * (d - len(reps)) + reps, (1,) * (d - x.ndim) + x.shape
    if any(r < 0 for r in reps):
        raise ValueError("negative dimensions are not allowed")
    pairs = [n for r, n in zip(reps, shape) for n in (r, n)]
    node = broadcast(reshape(x.node, shape), pairs, range(1, 2 * d, 2))
    return wrap(reshape(node, [r * n for r, n in zip(reps, shape)]))


# ---------------------------------------------------------------- windows
class Windows(Step):
    """Every window of some sizes along some axes: (axes, sizes); NumPy makes it read-only."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        return windows(x, *self.data)

    def write(self, x, value):
        """Refuse: several places share one element."""
        raise ValueError("assignment destination is read-only")


@implements(np.lib.stride_tricks.sliding_window_view, without=("writeable=True",))
def sliding_window_view(x, window_shape, axis=None, *, subok=False, writeable=False):
    """Return all windows of a shape along axes, as a read-only view; their axes come last."""
    function = np.lib.stride_tricks.sliding_window_view
    x = as_tracer(x)
    if writeable:
        refuse_option(function, "writeable=True", "write to the array itself")
    sizes = static_ints(window_shape, "window_shape", function)
    axes = None if axis is None else static_ints(axis, "axis", function)
    shadow = function(x.shadow, sizes, axes)  # raises NumPy's errors
    axes = tuple(range(x.ndim)) if axes is None else tuple(a % x.ndim for a in axes)
    if len(set(axes)) < len(axes):
        refuse_option(function, "a repeated axis", "take windows of windows instead")
    return view(x, Windows(axes, sizes), shadow)
