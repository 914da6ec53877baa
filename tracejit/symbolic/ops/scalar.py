"""Elementwise ops: one record each, on arguments of identical shapes and explicit dtypes.

Argument order of the records: type, meaning in NumPy, derivative (`partials`), spelling. Formulas of derivatives: any
table of derivatives; those of the complex parts use the plain (not conjugated) transpose, see `autodiff`.
"""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.checks import CHECKS, Unserved
from tracejit.symbolic.ir import Node, Spelling, define, literal, scalar_literal
from tracejit.symbolic.ops.shape import full, full_like, zeros
from tracejit.symbolic.types import BOOL, COMPLEX_OF, F16, I32, REAL_OF, UNKNOWN

FLOAT, INEXACT, REAL, NUMBER, INTEGER, BITS, ORDERED, ANY = "f", "fc", "iuf", "iufc", "iu", "biu", "biuf", "biufc"


def _rule(name, kinds, out):
    """Return the type rule of an elementwise op: arguments of one Type with a dtype kind among `kinds`."""
    def rule(*xs, **attrs):
        first = xs[0]
        if xs.count(first) != len(xs) or first.dtype.kind not in kinds:
            raise TypeRuleError(f"{name} of {', '.join(map(str, xs))}: needs identical types of kind {kinds}",
                                do="cast and broadcast before applying the op")
        return first if out is None else out(first)
    return rule


def _bool(x):
    return x.with_dtype(BOOL)


def _real(x):
    return x.with_dtype(REAL_OF.get(x.dtype, x.dtype))


def scalar(name, ref, kinds, spelling, partials=None, out=None, **fields):
    """Define an elementwise op with a spelling."""
    return define(name, type=_rule(name, kinds, out), ref=ref, scalar=spelling, partials=partials, **fields)


def composite(name, ref, kinds, expand, partials=None, out=None, **fields):
    """Define an elementwise op that stays whole until lowering and then becomes `expand` of its arguments."""
    return define(name, type=_rule(name, kinds, out), ref=ref, expand=expand, partials=partials, elementwise=True,
                  **fields)


def call(function, **kwargs):
    """Spell a function of the C library."""
    return Spelling(function=function, **kwargs)


# ---------------------------------------------------------------- arithmetic
add = scalar("add", np.add, NUMBER, Spelling("({0} + {1})"), linear="joint",
             transpose=lambda ct, node, wanted: tuple(ct if w else None for w in wanted))
subtract = scalar("subtract", np.subtract, NUMBER, Spelling("({0} - {1})"), linear="joint",
                  transpose=lambda ct, node, wanted: (ct if wanted[0] else None, -ct if wanted[1] else None))
negative = scalar("negative", np.negative, NUMBER, Spelling("(-{0})"), linear="joint",
                  transpose=lambda ct, node, wanted: (-ct,))
multiply = scalar("multiply", np.multiply, NUMBER, Spelling("({0} * {1})"), linear="each",
                  transpose=lambda ct, node, wanted: (ct * node.args[1] if wanted[0] else None,
                                                      ct * node.args[0] if wanted[1] else None))
divide = scalar("divide", np.divide, INEXACT, Spelling("({0} / {1})"), linear=(0,),
                jvp=lambda node, tangents: -(node / node.args[1] * tangents[1]),
                transpose=lambda ct, node, wanted: (ct / node.args[1], None))


def _absolute_jvp(node, tangents):
    x, = node.args
    t, = tangents
    return real(conjugate(sign(x)) * t) if x.type.kind == "c" else sign(x) * t


absolute = define("absolute", type=_rule("absolute", NUMBER, _real), ref=np.absolute, jvp=_absolute_jvp,
                  scalar=Spelling("tj_abs_{t}({0})", "abs({0})",
                                  support="static inline {R} tj_abs_{t}({T} x) {{ return {abs}; }}"))


def _sign_jvp(node, tangents):
    """The sign of a complex number is z / |z|; its tangent is the part of t / |z| at right angles to it."""
    if node.type.kind != "c":
        return None
    z, t = node.args[0], tangents[0]
    turned = imag(conjugate(node) * t) / absolute(z)
    return node * complex_(zeros(turned.type), turned)


sign = scalar("sign", np.sign, NUMBER, Spelling(
    "tj_sign_{t}({0})", "tj_sign({0})", support="static inline {T} tj_sign_{t}({T} x) {{ return {sign}; }}",
    py_support="def tj_sign(x):\n    return x if x != x else type(x)((x > 0) - (x < 0))"), jvp=_sign_jvp)
sqrt = scalar("sqrt", np.sqrt, INEXACT, call("sqrt"), lambda x: (0.5 / sqrt(x),))
cbrt = scalar("cbrt", np.cbrt, FLOAT, call("cbrt"), lambda x: (1 / (3 * cbrt(x) * cbrt(x)),))


def _power_partials(x, y):
    """The exponent 0 and the base 0 are guarded, so that derivatives of any order are free of 0 * inf there."""
    exponent = scalar_literal(y)
    if exponent is not None:
        return _literal_power_partial(x, exponent), None
    at_zero, zero = equal(x, zeros(x.type)), zeros(x.type)
    lowered = select(equal(y, zero), full_like(1, y), y - 1)
    return y * power(x, lowered), select(at_zero, zero, log(select(at_zero, full_like(1, x), x)) * power(x, y))


def _literal_power_partial(x, exponent):
    """Return ``exponent * x**(exponent - 1)``, plain for the exponents 0, 1 and 2; None is zero."""
    if exponent == 0:
        return None
    factor = full_like(exponent, x)
    if exponent == 1:
        return factor
    return factor * (x if exponent == 2 else power(x, full_like(exponent - 1, x)))


power = scalar("power", np.power, NUMBER, Spelling(
    "pow{f}({0}, {1})", "({0} ** {1})", function="pow", support="{ipow}"), _power_partials)

# ---------------------------------------------------------------- exponentials and logarithms
exp = scalar("exp", np.exp, INEXACT, call("exp"), lambda x: (exp(x),))
exp2 = scalar("exp2", np.exp2, INEXACT, call("exp2"), lambda x: (float(np.log(2)) * exp2(x),))
expm1 = scalar("expm1", np.expm1, INEXACT, call("expm1"), lambda x: (exp(x),))
log = scalar("log", np.log, INEXACT, call("log"), lambda x: (1 / x,))
log2 = scalar("log2", np.log2, INEXACT, call("log2"), lambda x: (float(1 / np.log(2)) / x,))
log10 = scalar("log10", np.log10, INEXACT, call("log10"), lambda x: (float(1 / np.log(10)) / x,))
log1p = scalar("log1p", np.log1p, INEXACT, call("log1p"), lambda x: (1 / (1 + x),))


def _logaddexp_expand(x, y):
    top, difference = maximum(x, y), absolute(x - y)
    # Equal infinities have no difference; NumPy's answer is x + log(2).
    return select(equal(x, y), x + float(np.log(2)), top + log1p(exp(-difference)))


def _difference(x, y):
    """Return x - y, and 0 between equal infinities, which share what is drawn back."""
    same = bitwise_and(equal(x, y), invert(isfinite(x)))
    return select(same, zeros(x.type), x - y)


def _logaddexp_partials(x, y):
    return sigmoid(_difference(x, y)), sigmoid(_difference(y, x))


def _logaddexp2_expand(x, y):
    return select(equal(x, y), x + 1, maximum(x, y) + log1p(exp2(-absolute(x - y))) * float(1 / np.log(2)))


logaddexp = composite("logaddexp", np.logaddexp, FLOAT, _logaddexp_expand, _logaddexp_partials)
logaddexp2 = composite("logaddexp2", np.logaddexp2, FLOAT, _logaddexp2_expand,
                       lambda x, y: (1 / (1 + exp2(_difference(y, x))), 1 / (1 + exp2(_difference(x, y)))))


def _sigmoid_ref(x):
    return (1 / (1 + np.exp(-x.astype(np.longdouble)))).astype(x.dtype)


def _softplus_ref(x):
    return np.logaddexp(x, np.zeros_like(x))


def _log1mexp_ref(x):
    return np.where(x > -np.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x))).astype(x.dtype)


def _decay(x):
    """Return exp(-|x|), which never overflows: one node for x and -x, so that sigmoid(x) and softplus(-x) share it."""
    return exp(-absolute(x.args[0] if x.op is negative else x))


def _sigmoid_expand(x):
    decay = _decay(x)
    return select(greater_equal(x, zeros(x.type)), full_like(1, x), decay) / (1 + decay)


def _log1mexp_expand(x):
    return select(greater(x, full_like(-float(np.log(2)), x)), log(-expm1(x)), log1p(-exp(x)))


#: 1 / (1 + exp(-x)), without overflow.
sigmoid = composite("sigmoid", _sigmoid_ref, FLOAT, _sigmoid_expand, lambda x: (sigmoid(x) * sigmoid(-x),))
#: log(1 + exp(x)), without overflow.
softplus = composite("softplus", _softplus_ref, FLOAT,
                     lambda x: maximum(x, zeros(x.type)) + log1p(_decay(x)), lambda x: (sigmoid(x),))
#: log(1 - exp(x)) for x <= 0 (Maechler 2012, "Accurately computing log(1 - exp(-|a|))").
log1mexp = composite("log1mexp", _log1mexp_ref, FLOAT, _log1mexp_expand, lambda x: (-1 / expm1(-x),))

# ---------------------------------------------------------------- trigonometry
sin = scalar("sin", np.sin, INEXACT, call("sin"), lambda x: (cos(x),))
cos = scalar("cos", np.cos, INEXACT, call("cos"), lambda x: (-sin(x),))
tan = scalar("tan", np.tan, INEXACT, call("tan"), lambda x: (1 + tan(x) * tan(x),))
arcsin = scalar("arcsin", np.arcsin, INEXACT, call("asin", py="np.arcsin({0})"), lambda x: (1 / sqrt(1 - x * x),))
arccos = scalar("arccos", np.arccos, INEXACT, call("acos", py="np.arccos({0})"), lambda x: (-1 / sqrt(1 - x * x),))
arctan = scalar("arctan", np.arctan, INEXACT, call("atan", py="np.arctan({0})"), lambda x: (1 / (1 + x * x),))
arctan2 = scalar("arctan2", np.arctan2, FLOAT,
                 Spelling("atan2{f}({0}, {1})", "math.atan2({0}, {1})", function="atan2"),
                 lambda y, x: (_over(x, x * x + y * y, _origin(x, y)), _over(-y, x * x + y * y, _origin(x, y))))
sinh = scalar("sinh", np.sinh, INEXACT, call("sinh"), lambda x: (cosh(x),))
cosh = scalar("cosh", np.cosh, INEXACT, call("cosh"), lambda x: (sinh(x),))
tanh = scalar("tanh", np.tanh, INEXACT, call("tanh"), lambda x: (1 - tanh(x) * tanh(x),))
arcsinh = scalar("arcsinh", np.arcsinh, INEXACT, call("asinh", py="np.arcsinh({0})"), lambda x: (1 / sqrt(x * x + 1),))
arccosh = scalar("arccosh", np.arccosh, INEXACT, call("acosh", py="np.arccosh({0})"),
                 lambda x: (1 / (sqrt(x - 1) * sqrt(x + 1)),))
arctanh = scalar("arctanh", np.arctanh, INEXACT, call("atanh", py="np.arctanh({0})"), lambda x: (1 / (1 - x * x),))
hypot = scalar("hypot", np.hypot, FLOAT, Spelling("hypot{f}({0}, {1})", "math.hypot({0}, {1})", function="hypot"),
               lambda x, y: (_over(x, hypot(x, y), _origin(x, y)), _over(y, hypot(x, y), _origin(x, y))))


def _origin(x, y):
    return bitwise_and(equal(x, zeros(x.type)), equal(y, zeros(y.type)))


def _over(x, r, nowhere):
    """Return x / r, and 0 where there is no direction."""
    return select(nowhere, zeros(x.type), x / select(nowhere, full_like(1, r), r))


# ---------------------------------------------------------------- rounding, remainders, selection of the larger
floor = scalar("floor", np.floor, FLOAT, call("floor"), differentiable=False)
ceil = scalar("ceil", np.ceil, FLOAT, call("ceil"), differentiable=False)
trunc = scalar("trunc", np.trunc, FLOAT, call("trunc"), differentiable=False)
rint = scalar("rint", np.rint, FLOAT, call("rint"), differentiable=False)


def _trunc_div_ref(x, y):
    quotient = np.where(y == 0, 0, np.abs(x.astype(object)) // np.where(y == 0, 1, np.abs(y.astype(object))))
    signed = np.where((x < 0) != (y < 0), -quotient, quotient)
    return np.array(signed, object).astype(x.dtype) if x.dtype.kind == "i" else signed.astype(x.dtype)


def _floor_divide_expand(x, y):
    zero = zeros(x.type)
    if x.type.kind == "f":
        rest = fmod(x, y)
        lower = bitwise_and(not_equal(rest, zero), not_equal(less(y, zero), less(rest, zero)))
        q = (x - rest) / y - select(lower, full_like(1, x), zero)
        whole = floor(q)
        whole = whole + select(greater(q - whole, full_like(0.5, x)), full_like(1, x), zero)
        whole = select(equal(q, zero), copysign(zero, x / y), whole)
        return select(equal(y, zero), x / y, whole)
    divisor, by_zero = _safe_divisor(x, y)
    q = quotient(x, divisor)
    if x.type.kind == "i":
        rest = x - q * divisor
        lower = bitwise_and(not_equal(rest, zero), not_equal(less(rest, zero), less(divisor, zero)))
        q = select(lower, q - 1, q)
    return select(by_zero, signal(zero, by_zero), q)


def _safe_divisor(x, y):
    """Return (a divisor C can use, where y is 0): x / 0 is undefined there, and so is min / -1."""
    by_zero = equal(y, zeros(y.type))
    trap = by_zero
    if x.type.kind == "i":
        least = full(np.iinfo(x.dtype).min, x.type)
        trap = bitwise_or(by_zero, bitwise_and(equal(x, least), equal(y, full_like(-1, y))))
    return select(trap, full_like(1, y), y), by_zero


def _remainder_expand(x, y):
    zero = zeros(x.type)
    if x.type.kind == "f":
        rest = fmod(x, y)
        lower = not_equal(less(y, zero), less(rest, zero))
        return select(not_equal(rest, zero), select(lower, rest + y, rest),
                      select(equal(rest, zero), copysign(zero, y), rest))
    divisor, by_zero = _safe_divisor(x, y)
    rest = fmod(x, divisor)
    if x.type.kind == "i":
        lower = bitwise_and(not_equal(rest, zero), not_equal(less(rest, zero), less(divisor, zero)))
        rest = select(lower, rest + divisor, rest)
    return select(by_zero, signal(zero, by_zero), select(equal(divisor, y), rest, zero))


def _signal_type(x, zero):
    if zero.dtype != BOOL or zero.shape != x.shape:
        raise TypeRuleError(f"signal of {x} by {zero}: needs a bool of the same shape")
    return x


#: The identity on `x`; where `zero` holds compiled code raises the flag of a division by zero, as it does for floats.
signal = define("signal", type=_signal_type, ref=lambda x, zero: x, differentiable=False, scalar=Spelling(
    "({1} ? tj_by_zero_{t}({0}) : {0})", "{0}", support=(
        "TJ_NOINLINE {T} tj_by_zero_{t}({T} x) {{ volatile double zero = 0; zero = 1 / zero; return x; }}")),
    samples=lambda rng: [((rng.integers(-9, 9, 5).astype(t), rng.random(5) < 0.5), {}) for t in "bBiIlL"])

floor_divide = composite("floor_divide", np.floor_divide, REAL, _floor_divide_expand, differentiable=False)
remainder = composite("remainder", np.remainder, REAL, _remainder_expand,
                      lambda x, y: (full_like(1, x), -floor_divide(x, y)))
#: C's division of integers, truncated; the divisor is neither 0 nor (min, -1).
quotient = scalar("quotient", _trunc_div_ref, INTEGER, Spelling("({0} / {1})", "tj_quotient({0}, {1})", py_support=(
    "def tj_quotient(x, y):\n    q = x // y\n    return q + 1 if (q < 0 and q * y != x) else q")), differentiable=False)
#: C's remainder; for integers the divisor is neither 0 nor (min, -1).
fmod = scalar("fmod", np.fmod, REAL, Spelling("fmod{f}({0}, {1})", "math.fmod({0}, {1})", function="fmod"),
              lambda x, y: (full_like(1, x), -trunc(x / y)))
copysign = scalar("copysign", np.copysign, FLOAT,
                  Spelling("copysign{f}({0}, {1})", "math.copysign({0}, {1})", function="copysign"),
                  lambda x, y: (select(equal(signbit(x), signbit(y)), full_like(1, x), full_like(-1, x)), None))
nextafter = scalar("nextafter", np.nextafter, FLOAT,
                   Spelling("nextafter{f}({0}, {1})", "np.nextafter({0}, {1})", function="nextafter"),
                   lambda x, y: (full_like(1, x), None))


def _spacing_expand(x):
    """To the next number away from zero, negative for negative ones; NumPy's float16 goes upward instead."""
    upward = nextafter(x, full_like(np.inf, x)) - x
    return upward + (x - x) if x.dtype == F16 else select(signbit(x), nextafter(x, full_like(-np.inf, x)) - x, upward)


spacing = composite("spacing", np.spacing, FLOAT, _spacing_expand, differentiable=False)


def _balanced(x, y, wins):
    """Return the partials of a maximum-like op: a tie is shared equally."""
    tie, half, one, zero = equal(x, y), full_like(0.5, x), full_like(1, x), zeros(x.type)
    first = select(tie, half, select(wins, one, zero))
    return first, 1 - first


maximum = scalar("maximum", np.maximum, ORDERED,
                 Spelling("((({1} > {0}) | ({1} != {1})) ? {1} : {0})", "({0} if ({0} >= {1} or {0} != {0}) else {1})"),
                 lambda x, y: _balanced(x, y, greater(x, y)))
minimum = scalar("minimum", np.minimum, ORDERED,
                 Spelling("((({1} < {0}) | ({1} != {1})) ? {1} : {0})", "({0} if ({0} <= {1} or {0} != {0}) else {1})"),
                 lambda x, y: _balanced(x, y, less(x, y)))
fmax = scalar("fmax", np.fmax, ORDERED,
              Spelling("((({0} >= {1}) | ({1} != {1})) ? {0} : {1})", "({0} if ({0} >= {1} or {1} != {1}) else {1})"),
              lambda x, y: _balanced(x, y, bitwise_or(greater(x, y), isnan(y))))
fmin = scalar("fmin", np.fmin, ORDERED,
              Spelling("((({0} <= {1}) | ({1} != {1})) ? {0} : {1})", "({0} if ({0} <= {1} or {1} != {1}) else {1})"),
              lambda x, y: _balanced(x, y, bitwise_or(less(x, y), isnan(y))))

# ---------------------------------------------------------------- comparisons and tests
equal = scalar("equal", np.equal, ANY, Spelling("({0} == {1})"), out=_bool, differentiable=False)
not_equal = scalar("not_equal", np.not_equal, ANY, Spelling("({0} != {1})"), out=_bool, differentiable=False)
less = scalar("less", np.less, ORDERED, Spelling("({0} < {1})"), out=_bool, differentiable=False)
less_equal = scalar("less_equal", np.less_equal, ORDERED, Spelling("({0} <= {1})"), out=_bool, differentiable=False)
greater = scalar("greater", np.greater, ORDERED, Spelling("({0} > {1})"), out=_bool, differentiable=False)
greater_equal = scalar("greater_equal", np.greater_equal, ORDERED, Spelling("({0} >= {1})"), out=_bool,
                       differentiable=False)
isnan = scalar("isnan", np.isnan, INEXACT, Spelling("({0} != {0})"), out=_bool, differentiable=False)
isinf = scalar("isinf", np.isinf, FLOAT, Spelling("tj_isinf_{t}({0})", "np.isinf({0})", support=(
    "static inline tj_bool tj_isinf_{t}({T} x) {{ return x - x != x - x && x == x; }}")),
    out=_bool, differentiable=False)
isfinite = scalar("isfinite", np.isfinite, FLOAT, Spelling("({0} - {0} == {0} - {0})", "np.isfinite({0})"), out=_bool,
                  differentiable=False)
signbit = scalar("signbit", np.signbit, FLOAT, Spelling(
    "tj_signbit_{t}({0})", "(math.copysign(1.0, {0}) < 0.0)", support=(
        "static inline tj_bool tj_signbit_{t}({T} x) {{ return copysign{f}(({T})1, x) < 0; }}"), function="signbit"),
    out=_bool, differentiable=False)

# ---------------------------------------------------------------- bits
bitwise_and = scalar("bitwise_and", np.bitwise_and, BITS, Spelling("({0} & {1})"), differentiable=False)
bitwise_or = scalar("bitwise_or", np.bitwise_or, BITS, Spelling("({0} | {1})"), differentiable=False)
bitwise_xor = scalar("bitwise_xor", np.bitwise_xor, BITS, Spelling("({0} ^ {1})"), differentiable=False)
#: Also the logical not of bools.
invert = scalar("invert", np.invert, BITS, Spelling("{invert}", "tj_invert({0})", py_support=(
    "def tj_invert(x):\n    return ~x")), differentiable=False)


def _shift_expand(core):
    def expand(x, y):
        """A shift by the width or more is defined in NumPy and not in C; a negative one counts as huge in both."""
        width = full(8 * x.dtype.itemsize, x.type)
        inside = less(y, width)
        if x.type.kind == "i":
            inside = bitwise_and(inside, greater_equal(y, zeros(y.type)))
        amount = select(inside, y, zeros(y.type))
        outside = zeros(x.type)
        if core is shift_right and x.type.kind == "i":
            outside = select(less(x, zeros(x.type)), full_like(-1, x), zeros(x.type))
        return select(inside, core(x, amount), outside)
    return expand


#: C's shifts: the amount is at least 0 and below the width.
shift_left = scalar("shift_left", np.left_shift, INTEGER, Spelling("({T})({0} << {1})", "({0} << {1})"),
                    differentiable=False)
shift_right = scalar("shift_right", np.right_shift, INTEGER, Spelling("({T})({0} >> {1})", "({0} >> {1})"),
                     differentiable=False)
left_shift = composite("left_shift", np.left_shift, INTEGER, _shift_expand(shift_left), differentiable=False)
right_shift = composite("right_shift", np.right_shift, INTEGER, _shift_expand(shift_right), differentiable=False)
bitwise_count = scalar("bitwise_count", np.bitwise_count, INTEGER, Spelling(
    "tj_popcount_{t}({0})", "tj_popcount({0})", support=(
        "static inline uint8_t tj_popcount_{t}({T} x) {{ {U} v = ({U})(x < 0 ? -x : x); uint8_t n = 0;"
        " while (v) {{ v &= v - 1; n++; }} return n; }}"),
    py_support=("def tj_popcount(x):\n    v = abs(x)\n    n = 0\n"
                "    while v:\n        v &= v - 1\n        n += 1\n    return n")),
    out=lambda x: x.with_dtype(np.uint8), differentiable=False)

_GCD_C = ("static inline {T} tj_gcd_{t}({T} x, {T} y) {{ {U} a = ({U})(x < 0 ? -x : x), b = ({U})(y < 0 ? -y : y);"
          " while (b) {{ {U} r = a % b; a = b; b = r; }} return ({T})a; }}")
_GCD_PY = "def tj_gcd(x, y):\n    a = abs(x)\n    b = abs(y)\n    while b:\n        a, b = b, a % b\n    return a"
gcd = scalar("gcd", np.gcd, INTEGER, Spelling("tj_gcd_{t}({0}, {1})", "tj_gcd({0}, {1})", support=_GCD_C,
                                              py_support=_GCD_PY), differentiable=False)


def _lcm_expand(x, y):
    """Without a sign, as NumPy computes it: so that the least integer has a magnitude."""
    kind = x.dtype
    if x.type.kind == "i":
        unsigned = np.dtype(f"u{kind.itemsize}")
        x, y = cast(absolute(x), unsigned), cast(absolute(y), unsigned)
    g = gcd(x, y)
    return cast(quotient(x, maximum(g, full_like(1, g))) * y, kind)


lcm = composite("lcm", np.lcm, INTEGER, _lcm_expand, differentiable=False)

# ---------------------------------------------------------------- select, cast, check
def _select_type(c, x, y):
    if c.dtype != BOOL or x is not y or c.shape != x.shape:
        raise TypeRuleError(f"select of {c}, {x}, {y}: needs a bool condition and two values of one type and shape")
    return x


def _select_transpose(ct, node, wanted):
    c, nothing = node.args[0], zeros(ct.type)
    return None, select(c, ct, nothing) if wanted[1] else None, select(c, nothing, ct) if wanted[2] else None


#: ``x where c else y``: NumPy's three-argument where on explicit shapes.
select = define("select", type=_select_type, ref=lambda c, x, y: np.where(c, x, y).astype(x.dtype), linear=(1, 2),
                transpose=_select_transpose, scalar=Spelling("({0} ? {1} : {2})", "({1} if {0} else {2})"))


def _cast_transpose(ct, node, wanted):
    source, target = node.args[0].dtype, ct.dtype
    if source.kind not in INEXACT:
        return (None,)
    return (cast(real(ct) if target.kind == "c" and source.kind == "f" else ct, source),)


def _cast_ref(x, dtype):
    if x.dtype.kind != "c" or dtype.kind == "c":
        return x.astype(dtype)
    return x != 0 if dtype == BOOL else x.real.astype(dtype)


cast_op = define("cast", attrs=("dtype",), type=lambda x, dtype: x.with_dtype(dtype), ref=_cast_ref, linear="joint",
                 transpose=_cast_transpose, scalar=Spelling("{cast}", "{cast}"))


def cast(x, dtype):
    """Return `x` converted to `dtype`, as C converts."""
    dtype = np.dtype(dtype)
    return x if x.dtype == dtype else cast_op(x, dtype=dtype)


def _bitcast_type(x, dtype):
    if x.dtype.itemsize != np.dtype(dtype).itemsize:
        raise TypeRuleError(f"bitcast of {x} to {dtype}: item sizes differ")
    return x.with_dtype(dtype)


#: The same bytes read as another dtype of the same size.
bitcast = define("bitcast", attrs=("dtype",), type=_bitcast_type,
                 ref=lambda x, dtype: np.ascontiguousarray(x).view(dtype).reshape(x.shape),
                 scalar=Spelling("{bitcast}", "{bitcast}"))

def _check_type(x, ok, error, detail):
    if ok.dtype != BOOL or ok.shape != x.shape:
        raise TypeRuleError(f"check of {x} by {ok}: needs a bool of the same shape")
    return x


def _check_ref(x, ok, error, detail):
    if not np.all(ok):
        kind, message = CHECKS[error]
        bad = np.asarray(x)[~np.asarray(ok)].flat[0]
        raise (kind or Unserved)(message.format(bad, *detail))
    return x


#: The identity on `x` that raises where `ok` is false: ``CHECKS[error]`` formatted with the value and `detail` (ints).
#: A backend substitutes 0 for a refused value before anything uses it, and raises after the kernel.
check = define("check", attrs=("error", "detail"), type=_check_type, ref=_check_ref, linear=(0,), elementwise=True,
               routine="check", transpose=lambda ct, node, wanted: (ct, None))

#: The identity whose derivative is zero.
stop_gradient = composite("stop_gradient", lambda x: x, ANY, lambda x: x, differentiable=False)
#: A size of which more does no harm: where it differs between the elements of a batch, all take the largest.
room = composite("room", lambda x: x, "i", lambda x: x, differentiable=False)

# ---------------------------------------------------------------- floats taken apart
frexp_mantissa = scalar("frexp_mantissa", lambda x: np.frexp(x)[0], FLOAT, Spelling(
    "tj_mantissa_{t}({0})", "math.frexp({0})[0]", function="frexp", support=(
        "static inline {T} tj_mantissa_{t}({T} x) {{ int e; return frexp{f}(x, &e); }}")),
    lambda x: (ldexp(full_like(1, x), -frexp_exponent(x)),))
frexp_exponent = scalar("frexp_exponent", lambda x: np.frexp(x)[1], FLOAT, Spelling(
    "tj_exponent_{t}({0})", "math.frexp({0})[1]", function="frexp", support=(
        "static inline int32_t tj_exponent_{t}({T} x) {{ int e = 0; frexp{f}(x, &e); return x - x == 0 ? e : 0; }}")),
    out=lambda x: x.with_dtype(I32), differentiable=False)


def _ldexp_type(x, e):
    if x.kind != "f" or e.dtype != I32 or e.shape != x.shape:
        raise TypeRuleError(f"ldexp of {x} and {e}: needs a float and an int32 of one shape")
    return x


ldexp = define("ldexp", type=_ldexp_type, ref=lambda x, e: np.ldexp(x, e), linear=(0,),
               transpose=lambda ct, node, wanted: (ldexp(ct, node.args[1]), None),
               scalar=Spelling("ldexp{f}({0}, {1})", "math.ldexp({0}, {1})", function="ldexp"))

# ---------------------------------------------------------------- complex numbers
real = define("real", type=_rule("real", "c", _real), ref=lambda x: x.real, linear="joint",
              transpose=lambda ct, node, wanted: (complex_(ct, zeros(ct.type)),),
              scalar=Spelling("creal{f}({0})", "({0}).real", function="creal"))
imag = define("imag", type=_rule("imag", "c", _real), ref=lambda x: x.imag, linear="joint",
              transpose=lambda ct, node, wanted: (complex_(zeros(ct.type), -ct),),
              scalar=Spelling("cimag{f}({0})", "({0}).imag", function="cimag"))
conjugate = scalar("conjugate", np.conjugate, "c", Spelling("conj{f}({0})", "({0}).conjugate()", function="conj"),
                   linear="joint", transpose=lambda ct, node, wanted: (conjugate(ct),))


def _join(re, im):
    out = np.empty(re.shape, COMPLEX_OF[re.dtype])
    out.real, out.imag = re, im
    return out


complex_ = define("complex", type=_rule("complex", "f", lambda x: x.with_dtype(COMPLEX_OF[x.dtype])), ref=_join,
                  linear="joint", scalar=Spelling("{complex}", "complex({0}, {1})"),
                  transpose=lambda ct, node, wanted: (real(ct) if wanted[0] else None,
                                                      -imag(ct) if wanted[1] else None))


# ---------------------------------------------------------------- operators of nodes
def _operand(value, like):
    """Return a Python number as a literal in the type of the node beside it."""
    if isinstance(value, Node):
        return value
    if like.type is UNKNOWN:
        return literal(value=value)
    return full_like(value, like)


def _binary(op):
    return (lambda x, y: op(x, _operand(y, x))), (lambda x, y: op(_operand(y, x), x))


for _name, _op in {"add": add, "sub": subtract, "mul": multiply, "truediv": divide, "pow": power,
                   "floordiv": floor_divide, "mod": remainder}.items():
    _forward, _reflected = _binary(_op)
    setattr(Node, f"__{_name}__", _forward)
    setattr(Node, f"__r{_name}__", _reflected)
Node.__neg__ = lambda x: negative(x)
