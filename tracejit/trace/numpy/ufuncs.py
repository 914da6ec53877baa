"""NumPy's ufuncs as ops: one entry per ufunc, over nodes that already have the loop's dtypes and one shape."""

import sys

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ir import scalar_literal
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops import special
from tracejit.symbolic.ops.scalar import (
    bitwise_and,
    bitwise_or,
    cast,
    equal,
    imag,
    invert,
    isnan,
    less,
    not_equal,
    real,
    select,
)
from tracejit.symbolic.ops.shape import full_like, zeros
from tracejit.symbolic.types import BOOL, I32
from tracejit.trace.numpy.refusals import REFUSALS

#: NumPy ufunc -> builder(*nodes in the dtypes of the loop) -> Node, or a tuple of them.
TABLE = {}
#: The same for SciPy's ufuncs, by their names in scipy.special.
SCIPY = {}


def ufunc(*functions):
    """Register the decorated builder."""
    def register(build):
        for function in functions:
            (SCIPY if isinstance(function, str) else TABLE)[function] = build
        return build
    return register


def find(function):
    """Return the builder of a ufunc, or raise the error that names it."""
    build = TABLE.get(function)
    if build is None:
        special = sys.modules.get("scipy.special")
        if special is not None and getattr(special, function.__name__, None) is function:
            build = SCIPY.get(function.__name__)
            if build is None:
                refuse(function, f"scipy.special.{function.__name__}")
    return build if build is not None else refuse(function)


def refuse(function, name=None):
    """Raise the error for a ufunc that is not traced."""
    if name is None:
        name = f"numpy.{function.__name__}" if getattr(np, function.__name__, None) is function else function.__name__
    reason, do = REFUSALS.get(name, (None, "call it outside the jitted function, or write it with the functions that "
                                     "are supported"))
    raise UnsupportedError(f"the ufunc {name} of a traced array" + (f": {reason}" if reason else ""),
                           where=user_frame(), do=do)


def boolean(x):
    """Return the truth of each element."""
    return x if x.dtype == BOOL else not_equal(x, zeros(x.type))


def _is_bool(x):
    return x.dtype == BOOL


# ---------------------------------------------------------------- those that are one op in every dtype
for _name in ("subtract negative divide sqrt cbrt exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 sin cos tan "
              "arcsin arccos arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh hypot floor_divide remainder "
              "copysign nextafter spacing bitwise_and bitwise_or bitwise_xor invert left_shift right_shift "
              "bitwise_count gcd lcm sign signbit").split():
    TABLE[getattr(np, _name)] = getattr(ops, _name)


@ufunc(np.add)
def _add(x, y):
    return bitwise_or(x, y) if _is_bool(x) else ops.add(x, y)


@ufunc(np.multiply)
def _multiply(x, y):
    return bitwise_and(x, y) if _is_bool(x) else ops.multiply(x, y)


@ufunc(np.absolute)
def _absolute(x):
    return x if _is_bool(x) else ops.absolute(x)


@ufunc(np.fabs)
def _fabs(x):
    return ops.absolute(x)


@ufunc(np.positive)
def _positive(x):
    return x


@ufunc(np.conjugate)
def _conjugate(x):
    return ops.conjugate(x) if x.type.kind == "c" else x


@ufunc(np.square)
def _square(x):
    return _multiply(x, x)


@ufunc(np.reciprocal)
def _reciprocal(x):
    if x.type.kind in "fc":
        return ops.divide(full_like(1, x), x)
    zero = equal(x, zeros(x.type))
    least = full_like(np.iinfo(x.dtype).min if x.dtype.itemsize >= 4 else 0, x)
    return select(zero, least, ops.quotient(full_like(1, x), select(zero, full_like(1, x), x)))


@ufunc(np.power)
def _power(x, y):
    if x.type.kind == "i":
        literal = scalar_literal(y)
        if literal is None:
            fine = ops.greater_equal(y, zeros(y.type))
            y = ops.check(y, fine, error="negative_power", detail=())
        elif literal < 0:
            raise ValueError("Integers to negative integer powers are not allowed.")
    return ops.power(x, y)


@ufunc(np.float_power)
def _float_power(x, y):
    return ops.power(x, y)


# ---------------------------------------------------------------- rounding and remainders
def _rounding(op):
    return lambda x: x if x.type.kind in "biu" else op(x)


for _name in ("floor", "ceil", "trunc"):
    TABLE[getattr(np, _name)] = _rounding(getattr(ops, _name))


@ufunc(np.rint)
def _rint(x):
    return ops.complex_(ops.rint(real(x)), ops.rint(imag(x))) if x.type.kind == "c" else ops.rint(x)


@ufunc(np.fmod)
def _fmod(x, y):
    if x.type.kind == "f":
        return ops.fmod(x, y)
    # C leaves a remainder by 0 undefined, and that of the least integer by -1
    unsafe = equal(y, zeros(y.type))
    if x.type.kind == "i":
        unsafe = bitwise_or(unsafe, equal(y, full_like(-1, y)))
    return select(unsafe, zeros(x.type), ops.fmod(x, select(unsafe, full_like(1, y), y)))


@ufunc(np.divmod)
def _divmod(x, y):
    return ops.floor_divide(x, y), ops.remainder(x, y)


@ufunc(np.modf)
def _modf(x):
    whole = ops.trunc(x)
    infinite = ops.isinf(x)
    part = ops.subtract(x, select(infinite, zeros(x.type), whole))
    return ops.copysign(select(infinite, zeros(x.type), part), x), whole


@ufunc(np.frexp)
def _frexp(x):
    return ops.frexp_mantissa(x), ops.frexp_exponent(x)


@ufunc(np.ldexp)
def _ldexp(x, e):
    if e.dtype != I32:
        e = ops.maximum(ops.minimum(e, full_like(100_000, e)), full_like(-100_000, e))
    return ops.ldexp(x, cast(e, I32))


@ufunc(np.heaviside)
def _heaviside(x, y):
    one, zero = full_like(1, x), zeros(x.type)
    return select(isnan(x), x, select(equal(x, zero), y, select(less(x, zero), zero, one)))


@ufunc(np.deg2rad, np.radians)
def _deg2rad(x):
    return ops.multiply(x, full_like(float(np.pi / 180), x))


@ufunc(np.rad2deg, np.degrees)
def _rad2deg(x):
    return ops.multiply(x, full_like(float(180 / np.pi), x))


# ---------------------------------------------------------------- comparisons, also of integers of different signs
def _mixed(x, y):
    """Return what is known of two integers of different signs: (x is below any y, y is below any x, x, y as uint64)."""
    below = less(x, zeros(x.type)) if x.type.kind == "i" else None
    above = less(y, zeros(y.type)) if y.type.kind == "i" else None
    return below, above, cast(x, np.uint64), cast(y, np.uint64)


def _comparison(op, if_below, if_above):
    def build(x, y):
        if x.type is y.type:
            return op(x, y) if x.type.kind != "c" or op in (equal, not_equal) else _COMPLEX[op](x, y)
        below, above, x, y = _mixed(x, y)
        out = op(x, y)
        if below is not None:
            out = select(below, full_like(if_below, out), out)
        return out if above is None else select(above, full_like(if_above, out), out)
    return build


def _complex_less(x, y, last=less):
    """Order complex numbers as NumPy does: by real part, then by imaginary part; NaN compares false."""
    a, b, c, d = real(x), real(y), imag(x), imag(y)
    numbers = bitwise_and(equal(c, c), equal(d, d))
    return bitwise_or(bitwise_and(less(a, b), numbers), bitwise_and(equal(a, b), last(c, d)))


def _complex_less_equal(x, y):
    return _complex_less(x, y, ops.less_equal)


_COMPLEX = {
    less: _complex_less, ops.less_equal: _complex_less_equal,
    ops.greater: lambda x, y: _complex_less(y, x), ops.greater_equal: lambda x, y: _complex_less_equal(y, x),
}
for _name, _below, _above in (("equal", False, False), ("not_equal", True, True), ("less", True, False),
                              ("less_equal", True, False), ("greater", False, True), ("greater_equal", False, True)):
    TABLE[getattr(np, _name)] = _comparison(getattr(ops, _name), _below, _above)


def _complex_nan(x):
    return bitwise_or(isnan(real(x)), isnan(imag(x)))


def _extreme(op, wins, keeps_nan):
    def build(x, y):
        if x.type.kind != "c":
            return op(x, y)
        first = bitwise_or(wins(x, y), _complex_nan(x) if keeps_nan else _complex_nan(y))
        return select(first, x, y)
    return build


TABLE[np.maximum] = _extreme(ops.maximum, _COMPLEX[ops.greater_equal], True)
TABLE[np.minimum] = _extreme(ops.minimum, _COMPLEX[ops.less_equal], True)
TABLE[np.fmax] = _extreme(ops.fmax, _COMPLEX[ops.greater_equal], False)
TABLE[np.fmin] = _extreme(ops.fmin, _COMPLEX[ops.less_equal], False)
#: np.clip as a ufunc; it has no public name.
CLIP = np._core.umath.clip


@ufunc(CLIP)
def _clip(x, low, high):
    return TABLE[np.minimum](TABLE[np.maximum](x, low), high)


# ---------------------------------------------------------------- tests and logic
def _test(of_float, of_complex, of_others):
    def build(x):
        if x.type.kind == "f":
            return of_float(x)
        if x.type.kind == "c":
            return of_complex(of_float(real(x)), of_float(imag(x)))
        return full_like(of_others, zeros(x.type.with_dtype(BOOL)))
    return build


TABLE[np.isnan] = _test(isnan, bitwise_or, False)
TABLE[np.isinf] = _test(ops.isinf, bitwise_or, False)
TABLE[np.isfinite] = _test(ops.isfinite, bitwise_and, True)


@ufunc(np.logical_and)
def _logical_and(x, y):
    return bitwise_and(boolean(x), boolean(y))


@ufunc(np.logical_or)
def _logical_or(x, y):
    return bitwise_or(boolean(x), boolean(y))


@ufunc(np.logical_xor)
def _logical_xor(x, y):
    return ops.bitwise_xor(boolean(x), boolean(y))


@ufunc(np.logical_not)
def _logical_not(x):
    return invert(boolean(x))


@ufunc(np._core.umath._ones_like)
def _ones_like(x):
    return full_like(1, x)


# ---------------------------------------------------------------- scipy.special
for _name in "erf erfc gammaln gamma digamma".split():
    SCIPY[_name] = getattr(special, _name)
for _name in "log1p expm1 exp2 cbrt".split():
    SCIPY[_name] = getattr(ops, _name)
SCIPY["psi"] = special.digamma
SCIPY["expit"] = ops.sigmoid


@ufunc("exp10")
def _exp10(x):
    return ops.power(full_like(10, x), x)


@ufunc("log_expit")
def _log_expit(x):
    return ops.negative(ops.softplus(ops.negative(x)))


@ufunc("logit")
def _logit(p):
    return ops.log(p) - ops.log1p(-p)


def _times_log(x, y, log, least):
    """Return x log(y), and 0 where x is 0: as a constant where the logarithm is none, or infinite."""
    finite = bitwise_and(ops.greater(y, full_like(least, y)), less(y, full_like(np.inf, y)))
    vanishes = bitwise_and(equal(x, zeros(x.type)), invert(bitwise_or(finite, isnan(y))))
    # adding 0 takes the sign from -0
    return select(vanishes, zeros(x.type), x * log(select(vanishes, full_like(1, y), y)) + zeros(x.type))


@ufunc("xlogy")
def _xlogy(x, y):
    return _times_log(x, y, ops.log, 0)


@ufunc("xlog1py")
def _xlog1py(x, y):
    return _times_log(x, y, ops.log1p, -1)


@ufunc("entr")
def _entr(x):
    return select(less(x, zeros(x.type)), full_like(-np.inf, x), -_xlogy(x, x))


@ufunc("rel_entr")
def _rel_entr(x, y):
    zero, infinity = zeros(x.type), full_like(np.inf, x)
    positive = bitwise_and(ops.greater(x, zero), ops.greater(y, zero))
    ratio = select(positive, x, full_like(1, x)) / select(positive, y, full_like(1, y))
    fine = select(positive, x * ops.log(ratio), infinity)
    ends = bitwise_and(equal(x, zero), ops.greater_equal(y, zero))
    return select(bitwise_or(isnan(x), isnan(y)), x + y, select(ends, zero, fine))


@ufunc("kl_div")
def _kl_div(x, y):
    zero, infinity = zeros(x.type), full_like(np.inf, x)
    positive = bitwise_and(ops.greater(x, zero), ops.greater(y, zero))
    ratio = select(positive, x, full_like(1, x)) / select(positive, y, full_like(1, y))
    fine = select(positive, x * ops.log(ratio) - x + y, infinity)
    ends = bitwise_and(equal(x, zero), ops.greater_equal(y, zero))
    return select(bitwise_or(isnan(x), isnan(y)), x + y, select(ends, y, fine))


@ufunc("huber")
def _huber(delta, r):
    size = ops.absolute(r)
    outside = delta * (size - 0.5 * delta)
    value = select(ops.less_equal(size, delta), 0.5 * r * r, outside)
    return select(less(delta, zeros(delta.type)), full_like(np.inf, r), value)


@ufunc("ndtr")
def _ndtr(x):
    return 0.5 * special.erfc(x * float(-np.sqrt(0.5)))


@ufunc("betaln")
def _betaln(a, b):
    return special.gammaln(a) + special.gammaln(b) - special.gammaln(a + b)


@ufunc("boxcox")
def _boxcox(x, lmbda):
    tiny = equal(lmbda, zeros(lmbda.type))
    safe = select(tiny, full_like(1, lmbda), lmbda)
    return select(tiny, ops.log(x), ops.expm1(safe * ops.log(x)) / safe)


@ufunc("poch")
def _poch(z, m):
    return special.gamma(z + m) / special.gamma(z)
