"""What a `for` loop may run over without Python: ranges, arrays, and enumerate, zip and reversed of them.

Outside of loops the stand-ins do what the builtins do.
"""

import builtins
import itertools
import math
import operator
import warnings

import numpy as np

from tracejit.symbolic import dims
from tracejit.symbolic.ir import Node, const
from tracejit.symbolic.ops.scalar import (
    absolute,
    cast,
    floor_divide,
    greater,
    maximum,
    minimum,
    not_equal,
    remainder,
    select,
)
from tracejit.symbolic.types import I64
from tracejit.trace.guards import guarded_int
from tracejit.trace.indexing import getitem
from tracejit.trace.lists import List
from tracejit.trace.regions import demand, flow_of
from tracejit.trace.selection import Selection
from tracejit.trace.tracer import PYTHON_DTYPES, Tracer, as_tracer, current_trace, wrap
from tracejit.trace.values import known

#: Lists of at most so many numbers are gone through in Python.
_FEW = 64


def _integer(x):
    """Return an int, or a traced Python integer."""
    if not isinstance(x, Tracer):
        return operator.index(x)
    if x.dtype.kind not in "iu" or x.ndim:
        raise TypeError(f"'{'float' if x.weak else x.dtype.name}' object cannot be interpreted as an integer")
    value = known(x)
    return int(value) if value is not None else wrap(cast(x.node, I64), weak=True)


def _node(n):
    return n.node if isinstance(n, Tracer) else n if isinstance(n, Node) else const(n, I64)


class _RangeClass(type):
    """The class of the stand-in for `range`: `isinstance` takes Python's own ranges, too."""

    def __call__(cls, *args):
        if not any(isinstance(a, Tracer) for a in args):
            return range(*args)
        return type.__call__(cls, *args)

    def __instancecheck__(cls, x):
        return isinstance(x, range) or type.__instancecheck__(cls, x)

    def __eq__(cls, other):
        return other is cls or other is range

    def __hash__(cls):
        return hash(range)


class Range(metaclass=_RangeClass):
    """``range`` of traced integers."""

    def __new__(cls, *args):
        args = [_integer(a) for a in args]
        if not any(isinstance(a, Tracer) for a in args):
            return range(*args)
        if len(args) not in (1, 2, 3):
            raise TypeError(f"range expected at most 3 arguments, got {len(args)}")
        self = object.__new__(cls)
        self.start, self.stop = (0, args[0]) if len(args) == 1 else args[:2]
        self.step = args[2] if len(args) == 3 else 1
        error = ValueError("range() arg 3 must not be zero")
        if not isinstance(self.step, Tracer) and self.step == 0:
            raise error
        if isinstance(self.step, Tracer) and 0 >= dims.interval(self.step.node)[0]:
            demand(flow_of(current_trace()), not_equal(self.step.node, const(0, I64)), error)
        return self

    def concrete(self):
        """Return Python's range, its bounds asked for."""
        bounds = [guarded_int(n, "the bound of a range") for n in (self.start, self.stop)]
        return range(*bounds, guarded_int(self.step, "the step of a range"))

    def __iter__(self):
        return iter(self.concrete())

    def __reversed__(self):
        return reversed(self.concrete())

    def __getitem__(self, k):
        return self.concrete()[k]

    def __contains__(self, x):
        return x in self.concrete()

    def __len__(self):
        return len(self.concrete())


class _Stand:
    """The base of enumerate, zip and reversed that a loop can take apart; each is an iterator, as Python's are."""

    def __iter__(self):
        return self

    def __next__(self):
        if self._python is None:
            self._python = self._make()
        return next(self._python)


class Enumerate(_Stand):
    """``enumerate`` of what a loop can run over."""

    def __init__(self, iterable, start):
        self.iterable, self.start, self._python = iterable, start, None

    def _make(self):
        return builtins.enumerate(self.iterable, self.start)


class Zip(_Stand):
    """``zip`` of what a loop can run over."""

    def __init__(self, iterables):
        self.iterables, self._python = iterables, None

    def _make(self):
        return builtins.zip(*self.iterables)


class Reversed(_Stand):
    """``reversed`` of what a loop can run over."""

    def __init__(self, iterable):
        self.iterable, self._python = iterable, None

    def _make(self):
        return builtins.reversed(self.iterable)


def enumerate_(iterable, start=0):
    """Return ``enumerate(iterable, start)``."""
    if source(iterable) is None or isinstance(start, Tracer):
        return builtins.enumerate(iterable, start)
    return Enumerate(iterable, start)


def zip_(*iterables, strict=False):
    """Return ``zip(*iterables)``."""
    if strict or not iterables or any(source(x) is None for x in iterables):
        return builtins.zip(*iterables, strict=strict)
    return Zip(iterables)


def reversed_(iterable):
    """Return ``reversed(iterable)``."""
    if source(iterable) is None or isinstance(iterable, _Stand):
        return builtins.reversed(iterable)
    return Reversed(iterable)


# ---------------------------------------------------------------- sources
class Source:
    """`count` items, an int or a node; ``item(k)`` is the one at a traced index."""

    def __init__(self, count, item):
        self.count, self.item = count, item


def source(x):
    """Return the Source of what a loop can run over without Python, else None."""
    if type(x) is List and x.rows is not None:
        return Source(x.rows.length, x.rows.item)
    if type(x) in (list, tuple, List):
        return _numbers(x)
    if isinstance(x, range):
        return Source(len(x), lambda k: _step(x.start, x.step, k))
    if isinstance(x, Range):
        return Source(_range_count(x), lambda k: _step(x.start, x.step, k))
    if isinstance(x, Selection):
        x = as_tracer(x)
    if isinstance(x, Tracer) and not (x.weak or x.scalar) and x.ndim:
        return Source(x.type.shape[0], lambda k: getitem(x, k))
    if isinstance(x, (np.ndindex, itertools.product)):
        return _places(x)
    if isinstance(x, _Stand) and x._python is not None:
        return None
    if isinstance(x, Enumerate):
        inner = source(x.iterable)
        return Source(inner.count, lambda k: (_step(x.start, 1, k), inner.item(k)))
    if isinstance(x, Zip):
        parts = [source(e) for e in x.iterables]
        count = parts[0].count
        for p in parts[1:]:
            count = _least(count, p.count)
        return Source(count, lambda k: tuple([p.item(k) for p in parts]))
    if isinstance(x, Reversed):
        inner = source(x.iterable)
        return Source(inner.count, lambda k: inner.item(_backwards(inner.count, k)))
    return None


def _numbers(x):
    """Return the Source of a long list of Python numbers of one type, else None."""
    if len(x) <= _FEW or type(x[0]) not in (int, float) or any(type(e) is not type(x[0]) for e in x):
        return None
    try:
        table = const(np.array(x, PYTHON_DTYPES[type(x[0])]))
    except OverflowError:
        return None
    return Source(len(x), lambda k: wrap(getitem(wrap(table), k).node, weak=True))


def _places(x):
    """Return the Source of an np.ndindex or itertools.product of ranges that has not begun, else None."""
    if hasattr(x, "_it"):  # NumPy's before 2.4
        pools = [range(n) for n in x._it.itershape] if not x._it.iterindex else []
    else:
        pools = _pools(getattr(x, "_iter", x))
    if not pools or any(pool is None for pool in pools):
        return None

    def item(k):
        out, node = [], k.node
        for pool in reversed(pools):
            size = const(max(len(pool), 1), I64)
            out.append(_step(pool.start, pool.step, wrap(remainder(node, size))))
            node = floor_divide(node, size)
        return tuple(reversed(out))
    return Source(math.prod(map(len, pools)), item)


def _pools(x):
    """Return the ranges that an itertools.product goes through (None for what is none), nothing where it has begun."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = x.__reduce__()
    except TypeError:
        return []
    return list(map(_as_range, state[1])) if len(state) == 2 else []


def _as_range(pool):
    if any(type(e) is not int for e in pool):
        return None
    step = pool[1] - pool[0] if len(pool) > 1 else 1
    found = range(pool[0], pool[0] + step * len(pool), step) if pool and step else range(0)
    return found if tuple(found) == pool else None


def _step(start, step, k):
    """Return ``start + k * step`` as a traced Python integer."""
    node = k.node
    if isinstance(step, Tracer) or step != 1:
        node = node * _node(step)
    if isinstance(start, Tracer) or start != 0:
        node = _node(start) + node
    return wrap(node, weak=True)


def _backwards(count, k):
    return wrap(_node(count) - 1 - k.node, weak=True)


def _least(a, b):
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return minimum(_node(a), _node(b))


def _range_count(x):
    """Return the number of steps of a range as a node; it may be negative where there are none."""
    start, stop, step = _node(x.start), _node(x.stop), x.step
    if not isinstance(step, Tracer) and abs(step) == 1:
        return dims.minus(stop, start) if step == 1 else dims.minus(start, stop)
    nothing, size = const(0, I64), _node(step)
    low, high = dims.interval(size)
    distance, back = dims.minus(stop, start), dims.minus(start, stop)
    if high <= 0:
        distance, size = back, dims.minus(0, size)
    elif low < 0:
        distance, size = select(greater(size, nothing), _node(distance), _node(back)), absolute(size)
    size = _node(size)
    rounded = maximum(_node(distance) + size - 1, nothing)
    return floor_divide(rounded, size if low > 0 or high < 0 else maximum(size, const(1, I64)))
