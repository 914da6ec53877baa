"""Sizes known at run time, while tracing: slices with traced bounds, and shapes that hold dims.

A function that cannot do with such sizes takes those of the call at hand instead, and the trace is guarded by them.
"""

import operator

import numpy as np

from tracejit.symbolic import dims
from tracejit.symbolic.ir import Node, const, dim
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice
from tracejit.symbolic.ops.scalar import cast, check
from tracejit.symbolic.types import I64
from tracejit.trace.numpy.common import static_ints
from tracejit.trace.tracer import Tracer, wrap
from tracejit.trace.values import concrete, deciding_argument, known
from tracejit.trace.views import Reshape, Slice, Step, is_one_run, restride


class Dynamic(Step):
    """Ranges whose beginnings, and perhaps sizes, are known at run time: (start nodes of all axes, sizes)."""

    __slots__ = ()
    fixed = False

    def read(self, x):
        """Return the view of `x`."""
        starts, sizes = self.data
        return dynamic_slice(x, *starts, sizes=sizes)

    def write(self, x, value):
        """Return `x` with the view's content replaced."""
        return dynamic_set_slice(x, value, *self.data[0])

    def packed(self, before, after):
        """Return whether elements that lie in C order surely do so in the view."""
        return is_one_run(before, after)


def integer_of(x, what, do=None):
    """Return an integer of the user's as an int, or as a node where only the compiled function knows it.

    A Python number among the arguments that alone decides it becomes static, as it always does where it is a size.
    """
    if not isinstance(x, Tracer):
        return operator.index(x)
    if x.dtype.kind not in "iub" or x.ndim:
        return operator.index(concrete(x, what, do)[()])
    value = known(x)
    if value is None and deciding_argument(x.node) is not None:
        value = concrete(x, what, do)
    return operator.index(value[()]) if value is not None else dims.entry(cast(x.node, I64))


def size_of(x, what):
    """Return a size of the user's as an int or a dim; the compiled function refuses a negative one."""
    n = integer_of(x, what)
    if isinstance(n, Node) and dims.interval(n)[0] < 0:
        n = check(n, ops.greater_equal(n, const(0, I64)), error="negative_size", detail=())
        dims.declare(n, 0)
    return n


def shape_of(shape, what, function=None):
    """Return a shape of the user's as a tuple of ints and dims; -1 stays what it is."""
    entries = shape if isinstance(shape, (list, tuple)) else (shape,)
    if all(isinstance(e, (int, np.integer)) or isinstance(e, Tracer) and e.ndim == 0 for e in entries):
        return tuple(size_of(e, what) for e in entries)
    return static_ints(shape, what, function)


def counted(start, stop, step):
    """Return the number of integers that ``arange(start, stop, step)`` gives where that is a dim, else None."""
    bounds = (0, start) if stop is None else (0 if start is None else start, stop)
    integers = all(isinstance(b, (int, np.integer)) or isinstance(b, Tracer) and b.ndim == 0 and b.dtype.kind in "iu"
                   for b in bounds)
    if not integers or not any(isinstance(b, Tracer) for b in bounds) or not (
            step is None or isinstance(step, (int, np.integer)) and step):
        return None
    first, last = (integer_of(b, "a bound of arange") for b in bounds)
    step = 1 if step is None else int(step)
    distance = dims.minus(last, first) if step > 0 else dims.minus(first, last)
    count = dims.largest(dims.quotient(dims.plus(distance, abs(step) - 1), abs(step)), 0)
    return count if isinstance(count, Node) else None


# ---------------------------------------------------------------- slices
def resolved(s, n):
    """Return (start, step, size) of a slice, as ``slice.indices`` counts them, on an axis of size `n`."""
    step = 1 if s.step is None else s.step
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if all(e is None or type(e) is int for e in (s.start, s.stop, n)) and type(n) is int:
        a, b, step = s.indices(n)
        size = len(range(a, b, step))
        return (a, step, size) if size else (0, 1, 0)
    low, high = (0, n) if step > 0 else (-1, dims.minus(n, 1))
    first, last = (0, n) if step > 0 else (high, -1)
    start = first if s.start is None else _clipped(s.start, n, low, high)
    stop = last if s.stop is None else _clipped(s.stop, n, low, high)
    distance = dims.minus(stop, start) if step > 0 else dims.minus(start, stop)
    size = distance if abs(step) == 1 else dims.quotient(dims.plus(distance, abs(step) - 1), abs(step))
    return start, step, dims.largest(size, 0)


def _clipped(v, n, low, high):
    least, most = dims.interval(v)
    if least >= 0:
        return dims.smallest(v, high)
    from_end = dims.plus(v, n)
    if most < 0:
        return dims.largest(from_end, low)
    v = ops.select(ops.less(v, const(0, I64)), dim(from_end), v)
    return dims.largest(dims.smallest(v, high), low)


def sized_view(x, entries):
    """Return the view that slices, ints and run-time positions (nodes) make, None adding an axis.

    For arrays of which a size is a dim, and for slices with traced bounds. Ints lie in range.
    """
    starts, steps, sizes, final, strides, axis = [], [], [], [], [], 0
    shape = x.type.shape
    old = x.shadow.strides if x.type.is_static else [0] * len(shape)
    for e in entries:
        if e is None:
            final.append(1)
            strides.append(0)
            continue
        start, step, size = resolved(e, shape[axis]) if isinstance(e, slice) else (e, 1, 1)
        starts.append(start)
        steps.append(step)
        sizes.append(size)
        if isinstance(e, slice):
            final.append(size)
            strides.append(old[axis] * step)
        axis += 1
    static = x.type.is_static and all(type(n) is int for n in final)
    if any(isinstance(a, Node) for a in starts):
        covered = [n if s == 1 else dims.largest(dims.plus(dims.times(dims.minus(n, 1), abs(s)), 1), 0)
                   for n, s in zip(sizes, steps)]
        lowest = [a if s > 0 else dims.plus(a, dims.times(dims.minus(n, 1), s))
                  for a, s, n in zip(starts, steps, sizes)]
        x = _derived(x, Dynamic(tuple(dim(a) for a in lowest), tuple(covered)), static, covered, x)
        starts = [0 if s > 0 else dims.minus(n, 1) for s, n in zip(steps, covered)]
    step = Slice(tuple(starts), tuple(1 if type(n) is int and n < 2 else s for s, n in zip(steps, sizes)), tuple(sizes))
    x = _derived(x, step, static, sizes, x)
    return _derived(x, Reshape(tuple(final)), static, final, x, strides)


def _derived(x, step, static, shape, before, strides=None):
    """Return a view; where all sizes are known it has a shadow, of these or its predecessor's strides."""
    shadow = restride(before.shadow, tuple(shape), strides or before.shadow.strides) if static else None
    return x.derive(step, shadow)


def is_sized(x):
    """Return whether a tracer has a size that is known at run time only."""
    return isinstance(x, Tracer) and not x.type.is_static


def public(n):
    """Return a size for the user to compute with: an int, or a traced Python integer."""
    return n if type(n) is int else wrap(n, weak=True)
