"""Sample arrays and nodes on which the rules are tried."""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.opt.pattern import instantiate, parameters
from tracejit.symbolic.graph import close, free_variables
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import const, hole, new_variable
from tracejit.symbolic.types import BOOL, C128, F32, F64, I64, U8, Type

#: The arrays that the examples of a rule may name.
NAMED = {
    "x": Type(F64, (3, 4)), "y": Type(F64, (3, 4)), "z": Type(F64, (3, 4)), "u": Type(F64, (3,)), "v": Type(F64, (4,)),
    "s": Type(F64, ()), "i": Type(I64, (3, 4)), "c": Type(BOOL, (3, 4)), "e": Type(F64, (0, 4)), "o": Type(F64, (4, 1)),
    "t": Type(F64, (2, 5, 4)),
}
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0, -3.5, 1e-310, -5e-324, 1e308, -1e308, 0.5, 7.0, -2.0]
WITHOUT_OVERFLOW = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0, -3.5, 1e-15, -1e-15, 1e15, -1e15, 0.5, 7.0]


def example_nodes(rule):
    """Return the nodes of a rule's examples, over fresh variables."""
    named = {n: new_variable(t) for n, t in NAMED.items()} | {"k": const(np.array([0.5, -2.0, 3.0]))}
    return rule.examples(*[named[n] for n in parameters(rule.examples)]) if rule.examples else []


def pattern_nodes(rule):
    """Yield the left side of an identity, over variables of every dtype that it takes."""
    for dtype in (F64, F32, I64, U8, BOOL, C128):
        found = {}
        try:
            for name, kind in _holes(rule.lhs, Type(dtype, (32,))).items():
                found[name] = new_variable(kind)
            yield instantiate(rule.lhs, found, Type(dtype, (32,)))
        except (TypeRuleError, KeyError, TypeError, OverflowError):
            continue  # not for this dtype, or its attrs are for examples to say


def _holes(pattern, kind):
    """Return the Type that each hole of a pattern is given: bool where a select asks for a condition."""
    if pattern.op is hole:
        return {pattern.attrs[0]: kind}
    found = {}
    for k, a in enumerate(pattern.args):
        condition = pattern.op.name == "select" and k == 0
        found.update(_holes(a, kind.with_dtype(BOOL) if condition else kind))
    return found


def both_sides(before, after, draw):
    """Return the values of two nodes on the same arrays, ``draw(type) -> array``."""
    variables = free_variables([before, after])
    graph = close(variables, [before, after])
    return evaluate(graph, *[draw(v.type) for v in variables])


def moderate(rng, positive=False):
    """Return a `draw` of numbers of ordinary size."""
    def draw(kind):
        if kind.dtype == BOOL:
            return rng.random(kind.shape) < 0.5
        if kind.kind in "iu":
            return rng.integers(1 if kind.kind == "u" else -9, 10, kind.shape).astype(kind.dtype)
        values = rng.normal(size=kind.shape)
        if kind.kind == "c":
            values = values + 1j * rng.normal(size=kind.shape)
        return (np.abs(values) + 0.1 if positive else values).astype(kind.dtype)
    return draw


def special(rng, values=SPECIAL):
    """Return a `draw` of infinities, NaNs, both zeros, and very large and small numbers."""
    def draw(kind):
        if kind.dtype == BOOL:
            return rng.random(kind.shape) < 0.5
        if kind.kind in "iu":
            info = np.iinfo(kind.dtype)
            return rng.choice(np.array([info.min, info.max, 0, 1, 2, info.max - 1], kind.dtype), kind.shape)
        if kind.kind == "c":
            return rng.normal(size=kind.shape) + 1j * rng.normal(size=kind.shape)
        with np.errstate(all="ignore"):
            return rng.choice(values, kind.shape).astype(kind.dtype)
    return draw
