"""Cheaper forms of the same value, chosen after everything is simplified: powers as products, quotients as products."""

import numpy as np

from tracejit.opt.facts import is_range
from tracejit.opt.rewrite import rewrite, rules
from tracejit.symbolic.graph import close
from tracejit.symbolic.ir import const, const_op, item, new_variable, scalar_literal
from tracejit.symbolic.ops.checkpoint import checkpoint, checkpoint_tangents
from tracejit.symbolic.ops.custom import custom_jvp, custom_tangents, custom_vjp, sealed
from tracejit.symbolic.ops.scalar import divide, multiply, power, room, stop_gradient
from tracejit.symbolic.ops.shape import full, iota

#: Powers up to this are repeated squaring.
LARGEST_POWER = 512

_CLOSED = frozenset((custom_jvp, custom_vjp, custom_tangents, sealed, checkpoint, checkpoint_tangents))


@rewrite(power, phase="specialize", safety="rounding", examples=lambda x, i: [
    *[power(x, full(n, x.type)) for n in (2.0, 3.0, 10.0, -2.0, -7.0, 64.0)], power(i, full(5, i.type))])
def power_by_squaring(node):
    """x ** n is a product of shared squares for an integer |n| up to 512; integers wrap as NumPy's do."""
    x, exponent = node.args
    n = scalar_literal(exponent)
    if n is None or node.type.kind not in "fciu" or n != n or abs(n) > LARGEST_POWER or n != int(n.real):
        return None
    n = int(n.real)
    if n == 0:
        return full(1, node.type)
    if n < 0 and node.type.kind not in "fc":
        return None
    result, square, rest = None, x, abs(n)
    while rest:
        if rest & 1:
            result = square if result is None else result * square
        rest >>= 1
        if rest:
            square = square * square
    return result if n > 0 else 1 / result


@rewrite(divide, phase="specialize", examples=lambda x: [x / 4.0, x / -0.125])
def exact_reciprocal(node):
    """x / c is x * (1 / c) where 1 / c is exact: c is a power of two.

    Whole numbers from 16 on are often sizes, and code for many sizes has to be alike; C compilers know this rule, too.
    """
    x, y = node.args
    c = scalar_literal(y)
    if c is None or node.type.kind != "f" or not np.isfinite(c) or c == 0 or c >= 16:
        return None
    mantissa, _ = np.frexp(c)
    reciprocal = 1 / c
    if abs(mantissa) != 0.5 or not np.isfinite(reciprocal) or abs(reciprocal) < np.finfo(node.dtype).tiny:
        return None
    return multiply(x, full(reciprocal, y.type))


@rules("specialize", safety="exact")
def derivatives_are_taken(x):
    yield stop_gradient(x), x


@rules("specialize", safety="exact")
def batches_are_made(x):
    yield room(x), x


def _closed_examples(x):
    inner = new_variable(x.type)
    yield item(sealed(x, name="f", body=close([inner], [inner * inner])), index=0)


@rewrite(item, phase="specialize", examples=_closed_examples)
def closed_functions(node):
    """A function that was closed until derivatives had been taken is what its body computes."""
    whole, = node.args
    if whole.op not in _CLOSED:
        return None
    return item(whole.op.expand(*whole.args, **dict(zip(whole.op.attrs, whole.attrs))), index=node.attrs[0])


@rewrite(const_op, phase="specialize", examples=lambda: [const(np.arange(5))])
def constant_range(node):
    """A constant 0, 1, 2, ... is counted and not stored."""
    if node.ndim != 1 or not is_range(node, node.shape[0]):
        return None
    return iota(node.dtype, node.shape)
