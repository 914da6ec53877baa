"""One form for each formula: constants folded, neutral elements gone, signs outside, casts merged.

Signs move outward, because sums and differences absorb them there; a sum with a negative literal is a difference. The
forms of views are in `views`, those of reductions in `reductions`, those of products of arrays in `products`.
"""

import numpy as np

from tracejit.opt.facts import no_negative_zero, nonnegative
from tracejit.opt.pattern import is_literal
from tracejit.opt.rewrite import rewrite, rules
from tracejit.symbolic.interp import conform
from tracejit.symbolic.ir import OPS, const, const_op, const_value, literal, scalar_literal
from tracejit.symbolic.ops.scalar import (
    absolute,
    add,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    cast,
    cast_op,
    conjugate,
    divide,
    equal,
    fmax,
    fmin,
    greater,
    greater_equal,
    invert,
    less,
    less_equal,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    power,
    select,
    sqrt,
    subtract,
)
from tracejit.symbolic.ops.shape import broadcast_op, full, full_like

#: A folded constant may have this many bytes, or as many as its arguments.
FOLDED_BYTES = 1 << 16

TRUE, FALSE, ZERO = literal(value=True), literal(value=False), literal(value=0)
_UNFOLDED = frozenset(OPS[n] for n in (
    "param", "variable", "const", "hole", "literal", "broadcast", "iota", "check", "item"))


# ---------------------------------------------------------------- constants
def _foldable(op):
    return op not in _UNFOLDED


@rewrite(*filter(_foldable, OPS.values()), phase="canonicalize", examples=lambda x, k: [
    add(k, k), multiply(k, k), OPS["reduce_sum"](k, axes=(0,)), OPS["sin"](k)])
def fold_constants(node):
    """Evaluate an op whose arguments are all constants, as NumPy would."""
    for a in node.args:
        if a.op is not const_op:
            return None
    kind = node.type
    if not node.args or not hasattr(kind, "nbytes") or not kind.is_static:
        return None
    if kind.nbytes > max(FOLDED_BYTES, sum(len(a.attrs[2]) for a in node.args)):
        return None
    try:
        with np.errstate(all="ignore"):
            value = node.op.ref(*[const_value(a) for a in node.args], **dict(zip(node.op.attrs, node.attrs)))
    except (ArithmeticError, ValueError, IndexError, np.linalg.LinAlgError):
        return None  # it fails when it runs, where NumPy would fail
    return const(conform(value, kind))


@rewrite(const_op, phase="canonicalize", examples=lambda: [const(np.ones((3, 2)))])
def uniform_constant(node):
    """A constant array of one value is that value, broadcast."""
    dtype, shape, data = node.attrs
    size = dtype.itemsize
    if not shape or not data or len(data) > 1 << 24 or data != data[:size] * (len(data) // size):
        return None
    return broadcast_op(const_op(dtype=dtype, shape=(), data=data[:size]), shape=shape, dims=())


# ---------------------------------------------------------------- signs
@rules("canonicalize", safety="exact")
def signs_of_sums(x, y):
    """Negation is exact and moves outward; IEEE defines x - y as x + (-y)."""
    yield negative(-x), x
    yield x - (-y),     x + y
    yield x + (-y),     x - y


@rules("canonicalize", safety="exact", guard="real")
def signs_of_products(x, y):
    yield (-x) * y,     -(x * y)
    yield (-x) / y,     -(x / y)
    yield x / (-y),     -(x / y)
    yield absolute(-x), absolute(x), "float"
    yield power(-x, literal(value=2)), power(x, literal(value=2))


@rules("canonicalize", safety="exact", guard="integer")
def signs_of_integers(x, y):
    yield -(x - y),     y - x
    yield (-x) - y,     -(x + y)
    yield x - x,        ZERO
    yield (x + y) - x,  y
    yield (x - y) + y,  x


@rules("canonicalize", safety="careless", guard="inexact")
def signs_of_zeros(x, y):
    yield -(x - y),     y - x
    yield (-x) - y,     -(x + y)
    yield x - x,        ZERO
    yield (x + y) - x,  y
    yield (x - y) + y,  x
    yield x / x,        literal(value=1)
    yield (x * y) / x,  y
    yield (x / y) * y,  x
    yield 0 / x,        ZERO
    yield x * 0,        ZERO
    yield x + 0,        x


@rewrite(negative, multiply, divide, phase="canonicalize", examples=lambda x: [
    -(2.5 * x), -(x / 2.5), (-1.0) * x, 1 / (-1 * x), -(3.0 / x), x / -1.0])
def sign_into_literal(node):
    """-(c * x) is (-c) * x; -1 * x is -x; c / (-x) was turned into -(c / x) and is (-c) / x."""
    if node.op is negative:
        inner, = node.args
        if inner.op is not multiply and inner.op is not divide:
            return None
        for i, a in enumerate(inner.args):
            value = scalar_literal(a)
            if value is not None and not (inner.op is divide and i):
                return inner.op(*[full(_negated(value), a.type) if j == i else b for j, b in enumerate(inner.args)])
        return None
    for i, a in enumerate(node.args):
        if is_literal(a, -1) and not (node.op is divide and i == 0):
            return -node.args[1 - i]
    return None


def _negated(value):
    with np.errstate(all="ignore"):  # unsigned numbers wrap
        return np.negative(value)


@rewrite(add, subtract, phase="canonicalize", examples=lambda x, y: [
    x + -2.0, x - -2.0, -2.0 + x, x + -2.0 * y, x - (y / -3.0), -2.0 * x + y])
def negative_terms(node):
    """x + -2 is x - 2, x - -2 is x + 2, and so with -2 * y for -2."""
    x, y = node.args
    opposite = _opposite(y)
    if opposite is None and node.op is add:
        x, opposite = y, _opposite(x)
    return None if opposite is None else (subtract if node.op is add else add)(x, opposite)


def _opposite(node):
    """Return -node where that turns a negative literal into a positive one, else None."""
    value = scalar_literal(node)
    if value is not None:
        return full(-value, node.type) if _below_zero(value, node.type) else None
    if node.op is multiply or node.op is divide:
        for i, a in enumerate(node.args):
            value = scalar_literal(a)
            if value is not None and _below_zero(value, a.type):
                return node.op(*[full(-value, a.type) if j == i else b for j, b in enumerate(node.args)])
    return None


def _below_zero(value, kind):
    return value < 0 if kind.kind == "f" else kind.kind == "i" and np.iinfo(kind.dtype).min < value < 0


# ---------------------------------------------------------------- neutral elements
@rules("canonicalize", safety="exact", guard="real", examples=lambda x: [absolute(x) + 0.0])
def neutral_elements(x):
    yield x * 1,                                x
    yield x / 1,                                x
    yield x - 0,                                x
    yield x + 0,                                x, lambda x: no_negative_zero(x)
    yield power(x, literal(value=1)),           x
    yield power(x, literal(value=0)),           literal(value=1)
    yield x + x,                                2 * x
    yield maximum(x, x),                        x
    yield minimum(x, x),                        x
    yield fmax(x, x),                           x
    yield fmin(x, x),                           x
    yield absolute(absolute(x)),                absolute(x)


@rules("canonicalize", guard=lambda x: x.type.kind == "c")
def neutral_complex(x):
    """With infinite parts, x * 1 has NaNs of its own making."""
    yield x * 1,                                x
    yield x / 1,                                x
    yield power(x, literal(value=0)),           literal(value=1)
    yield conjugate(conjugate(x)),              x


@rules("canonicalize", safety="exact", guard="float")
def neutral_base(x):
    yield power(literal(value=1), x),           literal(value=1)


@rules("canonicalize", safety="exact", guard="integer")
def neutral_integers(x):
    yield x * 0,                                ZERO
    yield x // 1,                               x
    yield x % 1,                                ZERO


@rewrite(add, phase="canonicalize", examples=lambda x: [x + full_like(-0.0, x)])
def add_negative_zero(node):
    """x + (-0) is x, also for x = -0."""
    if node.type.kind != "f":
        return None
    for i, a in enumerate(node.args):
        value = scalar_literal(a)
        if value is not None and value == 0 and np.signbit(value):
            return node.args[1 - i]
    return None


@rewrite(absolute, phase="canonicalize", examples=lambda x: [absolute(OPS["exp"](x)), absolute(x * x)])
def absolute_of_nonnegative(node):
    """|x| is x where x is never negative and never -0."""
    x, = node.args
    return x if x.type is node.type and nonnegative(x) and no_negative_zero(x) else None


# ---------------------------------------------------------------- literal factors and terms
_MERGED = {(multiply, multiply), (multiply, divide), (divide, multiply), (divide, divide)}


def _factor(node):
    """Return (x, c, whether divided) for x * c or x / c with a finite literal c that is not 0, else None."""
    if node.op is divide:
        value = scalar_literal(node.args[1])
        found = node.args[0], value, True
    elif node.op is multiply:
        i = 1
        value = scalar_literal(node.args[1])
        if value is None:
            i = 0
            value = scalar_literal(node.args[0])
        found = node.args[1 - i], value, False
    else:
        return None
    return found if value is not None and np.isfinite(value) and value != 0 else None


@rewrite(multiply, divide, phase="canonicalize", safety="rounding", examples=lambda x: [
    (x * 2.0) * 3.0, (x / 4.0) * 3.0, (x * 5.0) / 4.0, (x / 4.0) / 3.0])
def literal_factors(node):
    """(x * a) * b is x * (a * b), and so for quotients, where the new literal is a normal number."""
    if node.type.kind not in "fc":
        return None
    outer = _factor(node)
    inner = outer and _factor(outer[0])
    if not inner:
        return None
    (_, b, divided), (x, a, inner_divided) = outer, inner
    with np.errstate(all="ignore"):
        if divided is inner_divided:
            c = a * b
        else:
            c = b / a if inner_divided else a / b
    if not np.isfinite(c) or abs(c) < np.finfo(node.dtype).tiny:
        return None
    return (divide if divided and inner_divided else multiply)(x, full(c, x.type))


@rewrite(multiply, phase="canonicalize", examples=lambda i: [(i * 2) * 3])
def literal_factors_of_integers(node):
    """(x * a) * b is x * (a * b): integers wrap either way."""
    return _merge_integer_literals(node, multiply)


@rewrite(add, phase="canonicalize", examples=lambda i: [(i + 2) + 3])
def literal_terms_of_integers(node):
    """(x + a) + b is x + (a + b): integers wrap either way."""
    return _merge_integer_literals(node, add)


def _merge_integer_literals(node, op):
    if node.type.kind not in "iu":
        return None
    for i in (0, 1):
        b, inner = scalar_literal(node.args[i]), node.args[1 - i]
        if b is None or inner.op is not op:
            continue
        for j in (0, 1):
            a = scalar_literal(inner.args[j])
            if a is not None:
                with np.errstate(all="ignore"):
                    return op(inner.args[1 - j], full(op.ref(a, b), node.type))
    return None


# ---------------------------------------------------------------- sums and quotients
@rules("canonicalize", guard="inexact", alone=divide)
def products_with_reciprocals(x, y):
    yield x * (1 / y),              x / y


@rules("canonicalize", guard="inexact")
def quotients(x, y):
    yield x / (1 / y),              x * y


@rules("canonicalize", safety="careless", guard="inexact")
def nested_quotients(x, y, z):
    yield (x / y) / z,              x / (y * z)
    yield x / (y / z),              (x * z) / y
    yield x / absolute(x),          OPS["sign"](x), "real"


# ---------------------------------------------------------------- powers
@rules("canonicalize", guard="inexact")
def powers(x):
    yield power(x, literal(value=-1)),      1 / x
    yield power(x, literal(value=0.5)),     sqrt(x)
    yield power(x, literal(value=-0.5)),    lambda x: _reciprocal_root(x)


def _reciprocal_root(x):
    """Return x ** -0.5, which is 0 at -inf and +inf at either zero, unlike 1 / sqrt(x)."""
    if x.type.kind == "c" or (nonnegative(x) and no_negative_zero(x)):
        return 1 / sqrt(x)
    return select(equal(x, full_like(-np.inf, x)), full_like(0, x), 1 / sqrt(x + 0.0))


@rules("canonicalize", guard=lambda x: x.type.kind == "f")
def roots_of_squares(x):
    yield sqrt(x * x),                          absolute(x)
    yield sqrt(power(x, literal(value=2))),     absolute(x)
    yield absolute(x) * absolute(x),            x * x
    yield power(absolute(x), literal(value=2)), power(x, literal(value=2))


# ---------------------------------------------------------------- comparisons, bits, select
@rules("canonicalize", safety="exact")
def comparisons_with_itself(x):
    yield less(x, x),               FALSE
    yield greater(x, x),            FALSE
    yield less_equal(x, x),         TRUE, "integer"
    yield greater_equal(x, x),      TRUE, "integer"
    yield equal(x, x),              TRUE, "integer"
    yield not_equal(x, x),          FALSE, "integer"


@rules("canonicalize", safety="exact")
def logic(x, y):
    yield invert(invert(x)),                x
    yield invert(equal(x, y)),              not_equal(x, y)
    yield invert(not_equal(x, y)),          equal(x, y)
    yield bitwise_and(x, x),                x
    yield bitwise_or(x, x),                 x
    yield bitwise_xor(x, x),                ZERO
    yield bitwise_or(x, ZERO),              x
    yield bitwise_xor(x, ZERO),             x
    yield bitwise_and(x, ZERO),             ZERO


@rules("canonicalize", safety="exact", guard=lambda x: x.type.kind == "b")
def logic_of_bools(x):
    yield bitwise_and(x, TRUE),             x
    yield bitwise_or(x, TRUE),              TRUE
    yield bitwise_xor(x, TRUE),             invert(x)
    yield equal(x, TRUE),                   x
    yield not_equal(x, FALSE),              x
    yield equal(x, FALSE),                  invert(x)


@rules("canonicalize", safety="exact", guard=lambda x: x.type.kind in "iu")
def order_of_integers(x, y):
    yield invert(less(x, y)),               greater_equal(x, y)
    yield invert(greater(x, y)),            less_equal(x, y)
    yield invert(less_equal(x, y)),         greater(x, y)
    yield invert(greater_equal(x, y)),      less(x, y)


@rules("canonicalize", safety="exact")
def selections(c, x, y, z):
    yield select(c, x, x),                  x
    yield select(TRUE, x, y),               x
    yield select(FALSE, x, y),              y
    yield select(invert(c), x, y),          select(c, y, x)
    yield select(c, select(c, x, y), z),    select(c, x, z)
    yield select(c, x, select(c, y, z)),    select(c, x, z)


@rewrite(add, subtract, multiply, phase="canonicalize", needs=(select,), examples=lambda x, y, c: [
    select(c, x, full_like(0, x)) + select(c, y, full_like(0, x)), select(c, full_like(1, x), full_like(2, x)) * 3.0])
def selections_of_one_condition(node):
    """op(select(c, x, a), select(c, y, b)) is select(c, op(x, y), op(a, b)) where one of these folds."""
    condition = next(a.args[0] for a in node.args if a.op is select)
    left, right = [_branches(a, condition) for a in node.args]
    if left is None or right is None:
        return None
    if any(scalar_literal(a) is not None and scalar_literal(b) is not None for a, b in zip(left, right)):
        return select(condition, *[node.op(a, b) for a, b in zip(left, right)])
    return None


def _branches(node, condition):
    if node.op is select:
        return node.args[1:] if node.args[0] is condition else None
    return (node, node) if scalar_literal(node) is not None else None


# ---------------------------------------------------------------- casts
def _holds(inner, outer):
    """Return whether dtype `outer` holds every value of dtype `inner`."""
    if inner == outer or inner.kind == "b":
        return True
    if inner.kind in "iu" and outer.kind in "iu":
        return np.can_cast(inner, outer)
    if outer.kind not in "fc":
        return False
    real = np.finfo(outer)
    if inner.kind in "iu":
        return np.iinfo(inner).bits - (inner.kind == "i") <= real.nmant + 1
    return not (inner.kind == "c" and outer.kind == "f") and np.finfo(inner).nmant <= real.nmant


@rewrite(cast_op, phase="canonicalize", needs=(cast_op,), examples=lambda x, i: [
    cast(cast(cast(x, np.float32), np.float64), np.float32), cast(cast(i, np.float64), np.complex128),
    cast(cast(cast(i, np.int8), np.int64), np.int16)])
def cast_of_cast(node):
    """A cast to a dtype that holds every value of the first is no step of its own."""
    inner, = node.args
    source, between = inner.args[0].dtype, inner.dtype
    if source == node.dtype and _holds(source, between):
        return inner.args[0]
    if _holds(source, between):
        return cast(inner.args[0], node.dtype)
    # bits beyond those that remain do not matter
    if source.kind in "iu" and between.kind in "iu" and node.dtype.kind in "iu" and (
            node.dtype.itemsize <= between.itemsize <= source.itemsize):
        return cast(inner.args[0], node.dtype)
    return None


