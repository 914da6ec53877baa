"""Special functions: the error function, and those around gamma. Their refs are SciPy's.

Formulas: Abramowitz and Stegun, "Handbook of Mathematical Functions" (A&S below).
"""

import math

import numpy as np

from tracejit.symbolic.ir import Spelling
from tracejit.symbolic.ops.scalar import (
    FLOAT,
    bitwise_and,
    composite,
    equal,
    exp,
    less,
    log,
    rint,
    scalar,
    select,
    tan,
)
from tracejit.symbolic.ops.shape import full_like, zeros

PI = float(np.pi)


def _special(name):
    def ref(*xs):
        from scipy import special  # costs 0.1 s at import; only oracles and constant folding need it

        return getattr(special, name)(*xs).astype(xs[0].dtype)  # SciPy has no float16
    return ref


def _py_special(c_name, py):
    return Spelling(c_name + "{f}({0})", py, function=c_name)


erf = scalar("erf", _special("erf"), FLOAT, _py_special("erf", "math.erf({0})"),
             lambda x: (2 / float(np.sqrt(np.pi)) * exp(-x * x),))
erfc = scalar("erfc", _special("erfc"), FLOAT, _py_special("erfc", "math.erfc({0})"),
              lambda x: (-2 / float(np.sqrt(np.pi)) * exp(-x * x),))
gammaln = scalar("gammaln", _special("gammaln"), FLOAT, Spelling("tj_gammaln_{t}({0})", "math.lgamma({0})", support=(
    "static inline {T} tj_gammaln_{t}({T} x) {{ return x < 0 && x - x != 0 ? x : lgamma{f}(x); }}")),
                 lambda x: (digamma(x),))
gamma = scalar("gamma", _special("gamma"), FLOAT, _py_special("tgamma", "math.gamma({0})"),
               lambda x: (gamma(x) * digamma(x),))


def _asymptotic_digamma(x):
    """Digamma for x >= 10: Abramowitz and Stegun 6.3.18."""
    z = 1 / (x * x)
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132 - z * (691 / 32760 - z / 12))))))
    return log(x) - 0.5 / x - series


def _digamma_expand(x):
    """Reflect to positive arguments (A&S 6.3.7), raise by recurrence (6.3.5), then the asymptotic series."""
    negative_side = less(x, full_like(0.5, x))
    y = select(negative_side, 1 - x, x)
    shift = zeros(x.type)
    for _ in range(10):
        small = less(y, full_like(10, y))
        shift = shift + select(small, 1 / y, zeros(y.type))
        y = select(small, y + 1, y)
    positive = _asymptotic_digamma(y) - shift
    fraction = x - rint(x)
    pole = equal(fraction, zeros(x.type))
    reflected = positive - PI / tan(PI * select(pole, full_like(0.25, x), fraction))
    at_pole = select(equal(x, zeros(x.type)), -1 / x, full_like(np.nan, x))
    return select(negative_side, select(pole, at_pole, reflected), positive)


digamma = composite("digamma", _special("digamma"), FLOAT, _digamma_expand, lambda x: (polygamma(x, n=1),))


def _polygamma_expand(x, n):
    """As `_digamma_expand`, differentiated n times: A&S 6.4.7, 6.4.6 and 6.4.11."""
    one, zero = full_like(1, x), zeros(x.type)
    reflect = less(x, full_like(0.5, x))
    y, shift = select(reflect, 1 - x, x), zero
    for _ in range(10 + n):
        small = less(y, full_like(10 + n, y))
        shift = shift + select(small, one / _whole_power(y, n + 1), zero)
        y = select(small, y + 1, y)
    z, series = 1 / (y * y), zero
    for k, bernoulli in reversed(list(enumerate((1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6), 1))):
        series = (series + bernoulli * math.factorial(2 * k + n - 1) / math.factorial(2 * k)) * z
    tail = (math.factorial(n - 1) + math.factorial(n) / 2 / y + series) / _whole_power(y, n)
    positive = (-1) ** (n - 1) * (tail + math.factorial(n) * shift)
    fraction = x - rint(x)
    pole = bitwise_and(equal(fraction, zero), reflect)
    cotangent = 1 / tan(PI * select(pole, full_like(0.25, x), fraction))
    reflected = (-1) ** n * positive - PI ** (n + 1) * _derived_cotangent(cotangent, n)
    return select(reflect, select(pole, full_like((-1) ** (n + 1) * np.inf, x), reflected), positive)


def _whole_power(x, n):
    product = x
    for _ in range(n - 1):
        product = product * x
    return product


def _derived_cotangent(c, n):
    """Return the n-th derivative of cot as a polynomial in c = cot: each derivative of c is -(1 + c^2)."""
    coefficients = np.polynomial.Polynomial([0, 1])
    for _ in range(n):
        coefficients = -coefficients.deriv() * np.polynomial.Polynomial([1, 0, 1])
    value = zeros(c.type)
    for a in reversed(coefficients.coef):
        value = value * c + float(a)
    return value


def _polygamma_ref(x, n):
    from scipy import special  # as in `_special`

    return special.polygamma(n, x).astype(x.dtype)


#: The n-th derivative of digamma, n >= 1.
polygamma = composite("polygamma", _polygamma_ref, FLOAT, _polygamma_expand, lambda x, n: (polygamma(x, n=n + 1),),
                      attrs=("n",))
