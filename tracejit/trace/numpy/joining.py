"""Joining and splitting."""

import operator

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.trace.numpy.common import (
    axis_of,
    common_dtype,
    deliver,
    known,
    known_dtype,
    refuse_option,
    static,
)
from tracejit.trace.numpy.creation import arange, linspace
from tracejit.trace.numpy.manipulation import atleast_1d, atleast_2d, atleast_3d
from tracejit.trace.numpy.registry import implements
from tracejit.trace.promote import order_of
from tracejit.trace.shapes import joined
from tracejit.trace.tracer import Tracer, as_tracer, wrap
from tracejit.trace.views import restride


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


def _check_joinable(first, shape, i, axis):
    """Raise NumPy's error where array `i` does not fit to the first one."""
    what = "all the input array dimensions except for the concatenation axis must match exactly, but along dimension"
    if len(first) != len(shape):
        raise ValueError(f"{what} 0, the array at index 0 has {len(first)} dimension(s) and the array at index {i} has "
                         f"{len(shape)} dimension(s)")
    for a, (n, m) in enumerate(zip(first, shape)):
        if a != axis and n != m and type(n) is int and type(m) is int:
            raise ValueError(f"{what} {a}, the array at index 0 has size {n} and the array at index {i} has size {m}")


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
        _check_joinable(first.type.shape, p.type.shape, i, axis)
    dtype = _joined_dtype(parts, out.dtype if out is not None else dtype, casting)
    node = joined([ops.cast(p.node, dtype) for p in parts], axis)
    return deliver(wrap(node, layout=_memory_order(parts, node), like=parts), out)


def _memory_order(parts, node):
    """Return an array laid out in memory as NumPy lays out what it joins, None for C order."""
    if not node.type.is_static or all(p.is_c_contiguous() for p in parts):
        return None
    cut = lambda shape: tuple(min(n, 2) for n in shape)  # so that they broadcast
    pieces = [restride(p.shadow, cut(p.shape), p.shadow.strides) for p in parts if p.size]
    out = order_of(pieces, node.dtype, cut(node.shape)) if pieces else None
    return None if out is None else np.empty_like(out, shape=node.shape)


if hasattr(np, "concat"):
    implements(np.concat)(concatenate)


@implements(np.stack)
def stack(arrays, axis=0, out=None, *, dtype=None, casting="same_kind"):
    """Join arrays of one shape along a new axis."""
    parts = _sequence(arrays, np.stack)
    if not parts:
        raise ValueError("need at least one array to stack")
    if len({p.type.shape for p in parts}) != 1 and (len({p.ndim for p in parts}) > 1 or all(
            p.type.is_static for p in parts)):
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


# ---------------------------------------------------------------- np.r_ and np.c_
class Joiner:
    """What ``np.r_[...]`` and ``np.c_[...]`` mean: ranges, numbers and arrays joined along an axis."""

    def __init__(self, axis, ndmin=1, trans1d=-1):
        self.axis, self.ndmin, self.trans1d = axis, ndmin, trans1d

    def __getitem__(self, key):
        items = list(key) if isinstance(key, tuple) else [key]
        axis, ndmin, trans1d = self.axis, self.ndmin, self.trans1d
        if items and isinstance(items[0], str):
            axis, ndmin, trans1d = self._directive(items.pop(0))
        parts = [self._part(item, ndmin, trans1d) for item in items]
        dtype = common_dtype(*parts) if parts else None
        return concatenate([p.astype(dtype).reshape((1,) * (ndmin - p.ndim) + p.shape) for p in parts], axis)

    def _directive(self, text):
        if text in ("r", "c"):
            refuse_option("numpy.r_", f"the directive {text!r}, which makes a matrix", "use np.concatenate or np.stack")
        try:
            numbers = [int(n) for n in text.split(",")]
        except ValueError as e:
            raise ValueError(f"unknown special directive {text!r}") from e
        return (*numbers, *(self.axis, self.ndmin, self.trans1d)[len(numbers):])

    def _part(self, item, ndmin, trans1d):
        if isinstance(item, str):
            raise ValueError("special directives must be the first entry.")
        if isinstance(item, slice):
            start, step = 0 if item.start is None else item.start, 1 if item.step is None else item.step
            spaced = isinstance(step, complex)
            part = linspace(start, item.stop, int(abs(step))) if spaced else arange(start, item.stop, step)
            if ndmin > 1:
                part = part.reshape((1,) * (ndmin - 1) + part.shape)
                part = part.swapaxes(-1, trans1d) if trans1d != -1 else part
            return part
        part = as_tracer(item)
        if part.ndim == 0 or part.ndim >= ndmin:
            return part
        spare = ndmin - part.ndim
        wide = part.reshape((1,) * spare + part.shape)
        if trans1d == -1:
            return wide
        first = trans1d + spare + 1 if trans1d < 0 else trans1d
        axes = list(range(ndmin))
        return wide.transpose(axes[:first] + axes[spare:] + axes[first:spare])


implements(np.r_, without=("the directives 'r' and 'c'",))(Joiner(0))
implements(np.c_)(Joiner(-1, ndmin=2, trans1d=0))
