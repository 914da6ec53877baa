"""What is known about values without computing them: sign and signed zeros. A NaN contradicts none of it."""

import numpy as np

from tracejit.opt import pattern  # noqa: F401  fills OPS
from tracejit.symbolic.ir import OPS, const_op, const_value, scalar_literal
from tracejit.symbolic.types import I64


def _ops(names):
    return frozenset(OPS[n] for n in names.split())


_POSITIVE = _ops("exp exp2 sigmoid softplus softmax absolute cosh hypot")
_KEEPS_SIGN = _ops(
    "sqrt cbrt expm1 log1p tanh sinh arctan arcsinh erf floor ceil trunc rint sort cumsum cumprod reduce_sum"
    " reduce_prod reduce_max reduce_min embed add multiply minimum concatenate set_slice")
_VIEWS = _ops("broadcast reshape transpose slice gather dynamic_slice")
_ADD, _MULTIPLY, _DIVIDE, _POWER, _MAXIMUM, _SELECT, _CAST = (
    OPS[n] for n in ("add", "multiply", "divide", "power", "maximum", "select", "cast"))


def nonnegative(node, depth=8):
    """Return whether no element is below zero (a negative zero may be among them)."""
    op, kind, args = node.op, node.type.kind, node.args
    if kind in "bu":
        return True
    if op is const_op:
        return kind in "if" and bool((const_value(node) >= 0).all())
    if depth == 0:
        return False
    if kind == "i":  # sums, products and absolute values of integers wrap
        return op in _VIEWS and nonnegative(args[0], depth - 1)
    if kind != "f":
        return False
    if op in _POSITIVE or (op is _MULTIPLY and args[0] is args[1]):
        return True
    if op in _VIEWS:
        return nonnegative(args[0], depth - 1)
    if op in _KEEPS_SIGN:
        return all(nonnegative(a, depth - 1) for a in args)
    if op is _SELECT:
        return nonnegative(args[1], depth - 1) and nonnegative(args[2], depth - 1)
    if op is _MAXIMUM:
        return nonnegative(args[0], depth - 1) or nonnegative(args[1], depth - 1)
    if op is _CAST:
        return args[0].type.kind != "c" and nonnegative(args[0], depth - 1)
    if op is _DIVIDE:  # 1 / -0 is below zero
        return all(nonnegative(a, depth - 1) for a in args) and no_negative_zero(args[1], depth - 1)
    if op is _POWER:
        exponent = scalar_literal(args[1])
        even = exponent is not None and exponent % 2 == 0
        return even or (nonnegative(args[0], depth - 1) and no_negative_zero(args[0], depth - 1))
    return False


def no_negative_zero(node, depth=8):
    """Return whether no element is the negative zero."""
    op, kind, args = node.op, node.type.kind, node.args
    if kind in "biu":
        return True
    if kind != "f":
        return False
    if op is const_op:
        value = const_value(node)
        return not bool((np.signbit(value) & (value == 0)).any())
    if depth == 0:
        return False
    if op in _POSITIVE or (op is _MULTIPLY and args[0] is args[1]):
        return True
    if op in _VIEWS:
        return no_negative_zero(args[0], depth - 1)
    if op is _ADD:  # only -0 + -0 is -0
        return no_negative_zero(args[0], depth - 1) or no_negative_zero(args[1], depth - 1)
    if op is _CAST:  # rounding may bring a negative number to -0, but not an integer
        return args[0].type.kind in "biu"
    return False


def is_range(node, n):
    """Return whether an index is 0, 1, ..., n - 1."""
    if node.shape != (n,) or node.dtype != I64:
        return False
    if node.op is const_op:
        return node.attrs[2] == np.arange(n, dtype=np.int64).tobytes()
    return node.op.name == "iota"


def nonzero_literal(node):
    """Return the value of a finite literal that is not zero, else None."""
    value = scalar_literal(node)
    return value if value is not None and np.isfinite(value) and value != 0 else None
