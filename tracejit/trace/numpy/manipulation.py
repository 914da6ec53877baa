"""Shapes and order: joining, splitting, reshaping, repeating, padding. Views where NumPy gives views."""

import operator

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.shape import broadcast, broadcast_to, reshape, slice_, windows
from tracejit.symbolic.ops.shape import concatenate as join
from tracejit.symbolic.ops.shape import zeros as zeros_node
from tracejit.symbolic.types import Type
from tracejit.trace.numpy.common import (
    axis_of,
    deliver,
    known,
    known_dtype,
    literal,
    refuse_option,
    static,
    static_ints,
)
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import Tracer, as_tracer, wrap
from tracejit.trace.views import Step, broadcast_view, layout_view, reshape_view, transpose_view, view


# ---------------------------------------------------------------- joining
def _sequence(arrays, function):
    """Return the elements of a sequence of array-likes as Tracers."""
    if isinstance(arrays, (Tracer, np.ndarray)):
        arrays = as_tracer(arrays)
        if arrays.ndim == 0:
            raise TypeError("iteration over a 0-d array")
        return [arrays[i] for i in range(arrays.shape[0])]
    if not isinstance(arrays, (list, tuple)):
        raise TypeError('arrays to stack must be passed as a "sequence" type such as list or tuple.')
    return [as_tracer(a) for a in arrays]


def _joined_dtype(parts, dtype, casting):
    found = np.result_type(*(p.dtype for p in parts)) if dtype is None else known_dtype(dtype)
    for p in parts:
        if not np.can_cast(p.dtype, found, casting):
            raise TypeError(f"Cannot cast array data from {p.dtype!r} to {found!r} according to the rule {casting!r}")
    return found


@implements(np.concatenate)
def concatenate(arrays, axis=0, out=None, *, dtype=None, casting="same_kind"):
    """Join arrays along an axis they have."""
    parts = _sequence(arrays, np.concatenate)
    if not parts:
        raise ValueError("need at least one array to concatenate")
    if out is not None and dtype is not None:
        raise TypeError("concatenate() only takes `out` or `dtype` as an argument, but both were provided.")
    if axis is None:
        parts, axis = [p.reshape(-1) for p in parts], 0
    first = parts[0]
    if first.ndim == 0:
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    axis = axis_of(axis, first.ndim)
    for i, p in enumerate(parts[1:], 1):
        if p.ndim != first.ndim:
            raise ValueError("all the input array dimensions except for the concatenation axis must match exactly, but along "
                             f"dimension 0, the array at index 0 has {first.ndim} dimension(s) and the array at index {i} "
                             f"has {p.ndim} dimension(s)")
        for a, (n, m) in enumerate(zip(first.shape, p.shape)):
            if a != axis and n != m:
                raise ValueError("all the input array dimensions except for the concatenation axis must match exactly, but "
                                 f"along dimension {a}, the array at index 0 has size {n} and the array at index {i} has "
                                 f"size {m}")
    dtype = _joined_dtype(parts, None if out is None else out.dtype, casting) if out is not None else _joined_dtype(
        parts, dtype, casting)
    return deliver(wrap(join([ops.cast(p.node, dtype) for p in parts], axis)), out)


if hasattr(np, "concat"):
    implements(np.concat)(concatenate)


@implements(np.stack)
def stack(arrays, axis=0, out=None, *, dtype=None, casting="same_kind"):
    """Join arrays of one shape along a new axis."""
    parts = _sequence(arrays, np.stack)
    if not parts:
        raise ValueError("need at least one array to stack")
    if len({p.shape for p in parts}) != 1:
        raise ValueError("all input arrays must have the same shape")
    axis = axis_of(axis, parts[0].ndim + 1)
    return concatenate([np.expand_dims(p, axis) for p in parts], axis, out, dtype=dtype, casting=casting)


@implements(np.vstack)
def vstack(tup, *, dtype=None, casting="same_kind"):
    """Join arrays as rows."""
    return concatenate([atleast_2d(p) for p in _sequence(tup, np.vstack)], 0, dtype=dtype, casting=casting)


@implements(np.hstack)
def hstack(tup, *, dtype=None, casting="same_kind"):
    """Join arrays along the second axis, or the first of vectors."""
    parts = [atleast_1d(p) for p in _sequence(tup, np.hstack)]
    return concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1, dtype=dtype, casting=casting)


@implements(np.dstack)
def dstack(tup):
    """Join arrays along the third axis."""
    return concatenate([atleast_3d(p) for p in _sequence(tup, np.dstack)], 2)


@implements(np.column_stack)
def column_stack(tup):
    """Join vectors as columns."""
    parts = _sequence(tup, np.column_stack)
    return concatenate([atleast_2d(p).T if p.ndim < 2 else p for p in parts], 1)


@implements(np.append)
def append(arr, values, axis=None):
    """Return `arr` with `values` behind it."""
    arr, values = as_tracer(arr), as_tracer(values)
    if axis is None:
        arr, values, axis = arr.reshape(-1), values.reshape(-1), 0
    return concatenate((arr, values), axis)


@implements(np.block)
def block(arrays):
    """Join nested lists of blocks, innermost lists along the last axis."""
    depth = _depth(arrays)
    leaves = []

    def visit(a, level):
        if isinstance(a, list):
            return [visit(e, level + 1) for e in a]
        leaves.append(as_tracer(a))
        return leaves[-1]
    nest = visit(arrays, 0)
    ndim = max([depth, *(x.ndim for x in leaves)])

    def build(a, level):
        if level == depth:
            return a.reshape((1,) * (ndim - a.ndim) + a.shape)
        return concatenate([build(e, level + 1) for e in a], ndim - depth + level)
    out = build(nest, 0)
    return out.copy() if depth == 0 else out


def _depth(arrays):
    if not isinstance(arrays, list):
        if isinstance(arrays, tuple):
            raise TypeError("arrays is a tuple. Only lists can be used to arrange blocks, and np.block does not allow "
                            "implicit conversion from tuple to ndarray.")
        return 0
    if not arrays:
        raise ValueError("List at arrays cannot be empty")
    found = {_depth(a) for a in arrays}
    if len(found) > 1:
        raise ValueError("List depths are mismatched.")
    return 1 + found.pop()


# ---------------------------------------------------------------- splitting
@implements(np.array_split)
def array_split(ary, indices_or_sections, axis=0):
    """Return views of consecutive parts."""
    x = as_tracer(ary)
    axis = axis_of(axis, x.ndim)
    n = x.shape[axis]
    cuts = known(indices_or_sections) if not isinstance(indices_or_sections, np.ndarray) else indices_or_sections
    cuts = static(indices_or_sections, "indices_or_sections", np.array_split) if cuts is None else cuts
    if np.ndim(cuts) == 0:
        sections = operator.index(np.asarray(cuts)[()])
        if sections <= 0:
            raise ValueError("number sections must be larger than 0.")
        each, extra = divmod(n, sections)
        sizes = [each + 1] * extra + [each] * (sections - extra)
        bounds = [0, *np.cumsum(sizes).tolist()]
    else:
        bounds = [0, *(int(c) for c in np.asarray(cuts)), n]
    return [x[(slice(None),) * axis + (slice(a, b),)] for a, b in zip(bounds, bounds[1:])]


@implements(np.split)
def split(ary, indices_or_sections, axis=0):
    """Return views of equal consecutive parts, or of those between given positions."""
    x = as_tracer(ary)
    if isinstance(indices_or_sections, (int, np.integer)) and x.shape[axis] % indices_or_sections:
        raise ValueError("array split does not result in an equal division")
    return array_split(x, indices_or_sections, axis)


def _split_along(axis, least, name):
    def split_along(ary, indices_or_sections):
        x = as_tracer(ary)
        if x.ndim < least:
            raise ValueError(f"{name} only works on arrays of {least} or more dimensions")
        return split(x, indices_or_sections, axis if x.ndim > 1 else 0)
    split_along.__doc__ = f"Return views of consecutive parts along axis {axis}."
    return split_along


hsplit = implements(np.hsplit)(_split_along(1, 1, "hsplit"))
vsplit = implements(np.vsplit)(_split_along(0, 2, "vsplit"))
dsplit = implements(np.dsplit)(_split_along(2, 3, "dsplit"))


def unstack(x, /, *, axis=0):
    """Return the slices along an axis as a tuple of views."""
    x = as_tracer(x)
    if x.ndim == 0:
        raise ValueError("Input array must be at least 1-d.")
    axis = axis_of(axis, x.ndim)
    return tuple(x[(slice(None),) * axis + (i,)] for i in range(x.shape[axis]))


if hasattr(np, "unstack"):
    implements(np.unstack)(unstack)


# ---------------------------------------------------------------- shape
@implements(np.reshape)
def reshape_(a, /, shape, order="C", *, copy=None):
    """Return the elements in another shape."""
    x = as_tracer(a)
    shape = static_ints(shape, "shape", np.reshape)
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
        strides = x.shadow.strides
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
        raise np.exceptions.AxisError(f"'start' arg requires {-x.ndim} <= start < {x.ndim + 1}, but {start} was passed in")
    start -= axis < start
    order = [a for a in range(x.ndim) if a != axis]
    order.insert(start, axis)
    return transpose_view(x, order)


@implements(np.squeeze)
def squeeze(a, axis=None):
    """Return the axes of length 1 left out."""
    return reshape_view(as_tracer(a), np.squeeze(as_tracer(a).shadow, axis).shape)  # the shadow raises NumPy's errors


@implements(np.expand_dims)
def expand_dims(a, axis):
    """Return axes of length 1 inserted."""
    x = as_tracer(a)
    return reshape_view(x, np.expand_dims(x.shadow, axis).shape)


def _at_least(ndim, shape_of, arys):
    out = []
    for a in arys:
        x = as_tracer(a)
        out.append(reshape_view(x, shape_of(x.shape)) if x.ndim < ndim or x.scalar else x)
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
    return broadcast_view(x, static_ints(shape, "shape", np.broadcast_to))


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
    return concatenate((x,) * -(-size // x.size))[:size].reshape(shape)


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


@implements(np.roll, differs="shift must be known while tracing")
def roll(a, shift, axis=None):
    """Return the elements moved around the ends of axes."""
    x = as_tracer(a)
    if axis is None:
        return roll(x.ravel(), shift, 0).reshape(x.shape)
    axes = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)
    moves = np.broadcast(static_ints(shift, "shift", np.roll), axes)
    if moves.ndim > 1:
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    node = x.node
    for by, along in moves:
        n = node.shape[along]
        by = int(by) % n if n else 0
        if by:
            node = join([_range(node, along, n - by, n), _range(node, along, 0, n - by)], int(along))
    return wrap(node)


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


@implements(np.repeat, differs="counts must be known while tracing")
def repeat(a, repeats, axis=None):
    """Return each element (or slice) several times over."""
    x = as_tracer(a)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = axis_of(axis, x.ndim)
    counts = static_ints(repeats, "repeats", np.repeat)
    if any(c < 0 for c in counts):
        raise ValueError("repeats may not contain negative values.")
    node, n = x.node, x.shape[axis]
    if len(counts) == 1:
        shape = [*node.shape[:axis + 1], counts[0], *node.shape[axis + 1:]]
        node = broadcast(node, shape, [d for d in range(node.ndim + 1) if d != axis + 1])
        return wrap(reshape(node, [*x.shape[:axis], n * counts[0], *x.shape[axis + 1:]]))
    if len(counts) != n:
        raise ValueError(f"operands could not be broadcast together with shape ({n},) ({len(counts)},)")
    return np.take(x, literal(np.repeat(np.arange(n), counts)), axis)


# ---------------------------------------------------------------- insertion and deletion at known places
def _places(obj, n, function):
    """Return known positions along an axis of length `n`, given as NumPy's `insert` and `delete` take them."""
    if isinstance(obj, slice):
        return np.arange(n)[obj]
    places = np.asarray(static(obj, "obj", function))
    if places.dtype == bool:
        if places.shape != (n,):
            raise ValueError(f"boolean array argument obj to {function.__name__} must be one dimensional and match the axis "
                             f"length of {n}")
        return np.flatnonzero(places)
    return places.astype(np.intp) if places.size == 0 else places


@implements(np.insert, differs="positions must be known while tracing")
def insert(arr, obj, values, axis=None):
    """Return `arr` with values put before positions that are known while tracing."""
    x = as_tracer(arr)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = axis_of(axis, x.ndim)
    n = x.shape[axis]
    places = _places(obj, n, np.insert)
    values = as_tracer(values)
    # NumPy tells on a plain array of positions where everything goes: -1 - k marks the k-th new slice.
    if places.size == 1:
        values = values.reshape((1,) * (x.ndim - values.ndim) + values.shape) if values.ndim < x.ndim else values
        values = np.moveaxis(values, 0, axis) if places.ndim == 0 else values
        count = values.shape[axis]
        order = np.insert(np.arange(n), [places.item()] * count, -1 - np.arange(count))
    else:
        count = places.size
        order = np.insert(np.arange(n), places, -1 - np.arange(count))
    shape = list(x.shape)
    shape[axis] = count
    added = broadcast_to(ops.cast(values.node, x.dtype), np.broadcast_shapes(values.shape, tuple(shape)))
    both = join([x.node, added], axis)
    return np.take(wrap(both), literal(np.where(order < 0, n - 1 - order, order)), axis)


@implements(np.delete, differs="positions must be known while tracing")
def delete(arr, obj, axis=None):
    """Return `arr` without the slices at positions that are known while tracing."""
    x = as_tracer(arr)
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = axis_of(axis, x.ndim)
    kept = np.delete(np.arange(x.shape[axis]), _places(obj, x.shape[axis], np.delete))
    return np.take(x, literal(kept.astype(np.int64)), axis)


# ---------------------------------------------------------------- padding
def _pairs(value, ndim, what):
    """Return one (before, after) pair per axis of a `pad` argument, which must be known."""
    if isinstance(value, dict):
        pairs = np.zeros((ndim, 2), int)
        for axis, width in value.items():
            pairs[axis] = width
        return pairs.tolist()
    plain = static(value, what, np.pad)
    pairs = np.broadcast_to(np.asarray(plain), (ndim, 2))
    if what == "pad_width":
        if not np.issubdtype(pairs.dtype, np.integer):
            raise TypeError("`pad_width` must be of integral type.")
        if pairs.size and pairs.min() < 0:
            raise ValueError("index can't contain negative values")
    return pairs.tolist()


#: Options each mode takes, as NumPy lists them.
_PAD_OPTIONS = {"constant": {"constant_values"}, "empty": set(), "edge": set(), "wrap": set(),
                "linear_ramp": {"end_values"}, "reflect": {"reflect_type"}, "symmetric": {"reflect_type"},
                "maximum": {"stat_length"}, "minimum": {"stat_length"}, "mean": {"stat_length"}, "median": {"stat_length"}}


@implements(np.pad, without=("mode=<function>", "reflect_type='odd'"))
def pad(array, pad_width, mode="constant", **kwargs):
    """Return an array with borders around it."""
    x = as_tracer(array)
    if callable(mode):
        refuse_option(np.pad, "a function as mode", "write the borders with np.concatenate")
    if mode not in _PAD_OPTIONS:
        raise ValueError(f"mode '{mode}' is not supported")
    extra = set(kwargs) - _PAD_OPTIONS[mode]
    if extra:
        raise ValueError(f"unsupported keyword arguments for mode '{mode}': {extra}")
    if kwargs.get("reflect_type", "even") != "even":
        refuse_option(np.pad, "reflect_type='odd'", "use the default, reflect_type='even'")
    widths = _pairs(pad_width, x.ndim, "pad_width")
    if mode == "constant":
        return _pad_constant(x, widths, kwargs.get("constant_values", 0))
    if mode == "empty":
        return _pad_constant(x, widths, 0)
    if mode in ("edge", "wrap", "reflect", "symmetric"):
        return _pad_by_position(x, widths, mode)
    if mode == "linear_ramp":
        return _pad_ramp(x, widths, _pairs(kwargs.get("end_values", 0), x.ndim, "end_values"))
    return _pad_statistic(x, widths, mode, kwargs.get("stat_length"))


def _pad_constant(x, widths, values):
    node = x.node
    plain = known(values)
    if plain is not None:
        borders = [[literal(v) for v in pair] for pair in np.broadcast_to(plain, (x.ndim, 2))]
    else:
        grid = np.broadcast_to(as_tracer(values), (x.ndim, 2))
        borders = [[grid[a, 0], grid[a, 1]] for a in range(x.ndim)]
    for axis, ((before, after), (low, high)) in enumerate(zip(widths, borders)):
        parts = []
        for width, value in ((before, low), (None, None), (after, high)):
            if width is None:
                parts.append(node)
            elif width:
                shape = [*node.shape[:axis], width, *node.shape[axis + 1:]]
                parts.append(broadcast(ops.cast(value.node, x.dtype), shape, ()))
        node = join(parts, axis)
    return wrap(node) if node is not x.node else x.copy()


def _pad_by_position(x, widths, mode):
    """Modes that repeat elements: the positions come from NumPy, padding the plain indices."""
    out = x
    for axis, (before, after) in enumerate(widths):
        if not (before or after):
            continue
        order = np.pad(np.arange(x.shape[axis]), (before, after), mode)  # raises for an empty axis as NumPy does
        out = _pieces(out, order, axis)
    return out if out is not x else x.copy()


def _pieces(x, order, axis):
    """Return ``x.take(order, axis)`` for known positions, as a few slices where they are few runs, else a gather."""
    runs, begin = [], 0
    for i in range(1, len(order) + 1):
        if i - begin >= 2 and i < len(order) and order[i] - order[i - 1] == order[begin + 1] - order[begin]:
            continue
        if i < len(order) and i - begin == 1 and abs(order[i] - order[begin]) <= 1:
            continue
        runs.append((begin, i))
        begin = i
    if len(runs) > 8:
        return np.take(x, literal(order), axis)
    parts = []
    for begin, end in runs:
        first, n = int(order[begin]), end - begin
        step = int(order[begin + 1] - order[begin]) if n > 1 else 1
        start, by, sizes = [0] * x.ndim, [1] * x.ndim, list(x.shape)
        if step == 0:
            start[axis], sizes[axis] = first, 1
            shape = [*x.shape[:axis], n, *x.shape[axis + 1:]]
            parts.append(broadcast_to(slice_(x.node, start, by, sizes), shape))
            continue
        start[axis], by[axis], sizes[axis] = first, step, n
        parts.append(slice_(x.node, start, by, sizes))
    return wrap(join(parts, axis))


def _pad_ramp(x, widths, ends):
    out = x
    for axis, ((before, after), (low, high)) in enumerate(zip(widths, ends)):
        n, parts = out.shape[axis], [out]
        whole = lambda i: out[(slice(None),) * axis + (i,)]
        ramp = lambda end, edge, width: np.linspace(end, edge, width, endpoint=False, dtype=x.dtype, axis=axis)
        if before:
            parts.insert(0, ramp(as_tracer(low), whole(0), before))
        if after:
            parts.append(np.flip(ramp(as_tracer(high), whole(n - 1), after), axis))
        out = concatenate(parts, axis)
    return out


def _pad_statistic(x, widths, mode, lengths):
    fold = getattr(np, {"maximum": "max", "minimum": "min"}.get(mode, mode))
    lengths = [[None, None]] * x.ndim if lengths is None else _pairs(lengths, x.ndim, "stat_length")
    out = x
    for axis, ((before, after), (left, right)) in enumerate(zip(widths, lengths)):
        n, parts = out.shape[axis], [out]

        def border(width, begin, end):
            value = fold(out[(slice(None),) * axis + (slice(begin, end),)], axis=axis, keepdims=True)
            if mode in ("mean", "median") and x.dtype.kind in "iu":
                value = np.round(value)
            shape = [*out.shape[:axis], width, *out.shape[axis + 1:]]
            return wrap(broadcast_to(ops.cast(value.node, x.dtype), shape))
        if before:
            parts.insert(0, border(before, 0, n if left is None else min(left, n)))
        if after:
            parts.append(border(after, 0 if right is None else max(n - right, 0), n))
        out = concatenate(parts, axis)
    return out if out is not x else x.copy()


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
