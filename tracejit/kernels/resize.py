"""Graphs of further sizes, made of two that differ in sizes only: what varies between these varies between those."""

from fractions import Fraction

from tracejit.symbolic.graph import Graph
from tracejit.symbolic.ir import Node, const_op, make
from tracejit.symbolic.types import Type

__all__ = ["relatives"]


class _Unlike(Exception):
    """Two graphs are not of one form, or there is none between them of a size that is asked for."""


def relatives(first, second):
    """Yield graphs of other sizes than these two: next to them, far away, and a multiple of what loops come in."""
    changed = [(m, n) for a, b in zip(first.params, second.params) if a.ndim == b.ndim
               for m, n in zip(a.shape, b.shape) if type(m) is int and type(n) is int and m != n]
    if not changed:
        return
    old, new = changed[0]
    above = max(old, new) + 1
    for size in (above, above + 12, above + -above % 64, 2 * above + 64 - 2 * above % 64, max(min(old, new) - 1, 1)):
        try:
            yield _resized(first, second, Fraction(size - new, new - old))
        except (_Unlike, TypeError, ValueError, IndexError, AssertionError):
            continue


def _resized(first, second, step):
    """Return the graph whose sizes are as far from the second's as `step` times the way from the first's."""
    if len(first.params) != len(second.params) or first.captures != second.captures or first.writes != second.writes:
        raise _Unlike
    left, right = first.topological(), second.topological()
    if len(left) != len(right):
        raise _Unlike
    made = {}  # (node of the first, node of the second) → node
    for a, b in zip(left, right):
        if a.op is not b.op or len(a.args) != len(b.args):
            raise _Unlike
        if a.op is const_op and a.type is b.type:
            made[a, b] = b  # another number, which is seen to vary as it is
        else:
            args = tuple([_between(x, y, step, made) for x, y in zip(a.args, b.args)])
            made[a, b] = make(b.op, args, _between(a.attrs, b.attrs, step, made))
    outs = _between(first.outs, second.outs, step, made)
    return Graph(_between(first.params, second.params, step, made), outs, second.captures, second.writes)


def _between(a, b, step, made):
    """Return an attr: sizes go on as they did from a to b."""
    if isinstance(a, Node):
        if (a, b) not in made:
            raise _Unlike
        return made[a, b]
    if a is b and not isinstance(a, (tuple, Type)):
        return a
    if type(a) is not type(b):
        raise _Unlike
    if type(a) is int:
        value = b + (b - a) * step
        if value.denominator != 1 or (value < 0 <= min(a, b)):
            raise _Unlike
        return int(value)
    if isinstance(a, tuple):
        if len(a) != len(b):
            raise _Unlike
        return tuple(_between(x, y, step, made) for x, y in zip(a, b))
    if isinstance(a, Type):
        if a.dtype != b.dtype:
            raise _Unlike
        return Type(a.dtype, _between(a.shape, b.shape, step, made))
    if isinstance(a, Graph):
        return _resized(a, b, step)
    if a != b:
        raise _Unlike
    return a
