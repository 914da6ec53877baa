"""Formulas that are right on paper and overflow, cancel or lose their argument in floating point: log1p, sigmoid, ...

They run before differentiation too: the derivative of softplus is sigmoid, that of log(1 - 1/(1 + exp(-z))) is 0/0.
Sums and ratios of exponentials along axes are in `softmaxes`.
"""

import numpy as np

from tracejit.opt.facts import nonnegative
from tracejit.opt.rewrite import rewrite, rules
from tracejit.symbolic.ir import literal
from tracejit.symbolic.ops.reduce import reduce_prod, reduce_sum
from tracejit.symbolic.ops.scalar import (
    cosh,
    equal,
    exp,
    expm1,
    greater,
    greater_equal,
    log,
    log1mexp,
    log1p,
    logaddexp,
    maximum,
    minimum,
    negative,
    power,
    select,
    sigmoid,
    sinh,
    softplus,
    sqrt,
    subtract,
    tanh,
)
from tracejit.symbolic.ops.shape import full_like, zeros
from tracejit.symbolic.ops.special import erf, erfc
from tracejit.symbolic.types import F32, F64

TWO = literal(value=2)


def opposite(x):
    """Return -x, in the simplest form, for a place where the sign of a zero does not matter."""
    if x.op is negative:
        return x.args[0]
    if x.op is subtract:
        a, b = x.args
        return a.args[0] + b if a.op is negative else b - a
    return -x


def opposed(x, z):
    """Return whether z is -x."""
    return opposite(x) is z or opposite(z) is x


# ---------------------------------------------------------------- log1p and expm1
@rules("stabilize", guard="float")
def log1p_and_expm1(x):
    yield log(1 + x),                       log1p(x)
    yield log(1 - x),                       log1p(-x)
    yield exp(x) - 1,                       expm1(x)
    yield 1 - exp(x),                       -expm1(x)
    yield log1p(x - 1),                     log(x)
    yield expm1(x) + 1,                     exp(x)


@rules("stabilize", guard="float")
def log1mexps(x, y):
    yield log1p(-exp(x)),                   log1mexp(x)
    yield log(-expm1(x)),                   log1mexp(x)
    # equal infinities have no difference
    yield log(exp(x) - exp(y)),             lambda x, y: x + log1mexp(select(equal(x, y), zeros(x.type), y - x))


# ---------------------------------------------------------------- hyperbolic functions spelled out
@rules("stabilize", guard="float")
def hyperbolic(x):
    yield (exp(x) - exp(-x)) / (exp(x) + exp(-x)),      tanh(x)
    yield sinh(x) / cosh(x),                            tanh(x)
    yield expm1(x) / (1 + exp(x)),                      tanh(0.5 * x)
    yield (exp(x) - exp(-x)) / 2,                       sinh(x)
    yield 0.5 * (exp(x) - exp(-x)),                     sinh(x)
    yield (exp(x) + exp(-x)) / 2,                       cosh(x)
    yield 0.5 * (exp(x) + exp(-x)),                     cosh(x)


# ---------------------------------------------------------------- sigmoid and softplus
@rules("stabilize", guard="float", examples=lambda x, y: [
    exp(x) * sigmoid(-x), exp(x - y) * sigmoid(y - x), (y * exp(-x)) * sigmoid(x), (y * sigmoid(-x)) * exp(x),
    sigmoid(x) / sigmoid(-x)])
def sigmoids(x, y, z):
    yield y / (1 + exp(x)),                 lambda x, y: y * sigmoid(opposite(x))
    yield y / power(1 + exp(x), TWO),       lambda x, y: (y * sigmoid(opposite(x))) * sigmoid(opposite(x))
    yield exp(x) * sigmoid(z),              sigmoid(x), opposed
    yield (y * exp(x)) * sigmoid(z),        y * sigmoid(x), opposed
    yield (y * sigmoid(z)) * exp(x),        y * sigmoid(x), opposed
    yield sigmoid(x) / sigmoid(z),          exp(x), opposed
    yield 1 - sigmoid(x),                   lambda x: sigmoid(opposite(x))
    yield sigmoid(x) - 1,                   lambda x: -sigmoid(opposite(x))
    yield 0.5 * (1 + tanh(0.5 * x)),        sigmoid(x)
    yield 0.5 * (1 + tanh(x / 2)),          sigmoid(x)
    yield 0.5 + 0.5 * tanh(0.5 * x),        sigmoid(x)
    yield 0.5 + 0.5 * tanh(x / 2),          sigmoid(x)


@rules("stabilize", guard="float")
def softpluses(x, z):
    yield log1p(exp(x)),                    softplus(x)
    yield log(sigmoid(x)),                  lambda x: -softplus(opposite(x))
    yield log1p(-sigmoid(x)),               -softplus(x)
    yield logaddexp(x, literal(value=0)),   softplus(x)
    yield exp(-softplus(x)),                lambda x: sigmoid(opposite(x))
    yield x - softplus(x),                  lambda x: -softplus(opposite(x))
    yield softplus(x) - x,                  lambda x: softplus(opposite(x))


# ---------------------------------------------------------------- inverses
@rules("stabilize", safety="rounding", guard="float")
def exponentials_of_logarithms(x):
    yield exp(log(x)),                      lambda x: _where_nonnegative(x, x)
    yield exp(log1p(x)),                    lambda x: _from(-1, x, 1 + x)
    yield expm1(log(x)),                    lambda x: _where_nonnegative(x, x - 1)
    yield expm1(log1p(x)),                  lambda x: _from(-1, x, x)
    yield sqrt(x) * sqrt(x),                lambda x: _where_nonnegative(x, x)
    yield power(sqrt(x), TWO),              lambda x: _where_nonnegative(x, x)
    yield log(sqrt(x)),                     0.5 * log(x)


def _where_nonnegative(x, value):
    return value if nonnegative(x) else _from(0, x, value)


def _from(least, x, value):
    """Return `value` where x is at least that, else NaN."""
    return select(greater_equal(x, full_like(least, x)), value, full_like(np.nan, x))


@rules("stabilize", guard="float", safety="careless")
def inverses(x, y):
    """Where the inner function overflows, or outside its domain, these differ."""
    yield log(exp(x)),                      x
    yield log1p(expm1(x)),                  x
    yield expm1(softplus(x)),               exp(x)
    yield exp(softplus(x)),                 1 + exp(x)
    yield sigmoid(log(x / (1 - x))),        x
    yield exp(x) * exp(y),                  exp(x + y)
    yield exp(x) / exp(y),                  exp(x - y)
    yield y / exp(x),                       y * exp(-x)
    yield log(1 / x),                       -log(x)
    yield log(power(x, y)),                 y * log(x)


@rules("stabilize", guard=lambda x: x.type.kind == "f" and nonnegative(x), examples=lambda x: [
    log(reduce_prod(exp(x), axes=(1,)))])
def logarithm_of_product(x, a):
    yield log(reduce_prod(x, axes=a)),      reduce_sum(log(x), axes=a)


# ---------------------------------------------------------------- erf and erfc
@rules("stabilize", guard="float")
def error_functions(x):
    yield 1 - erf(x),                       erfc(x)
    yield 1 + erf(x),                       erfc(-x)
    yield erf(x) - 1,                       -erfc(x)
    yield 1 - erfc(x),                      erf(x)
    yield erfc(-x) - 1,                     erf(x)
    yield erfc(x) - 1,                      -erf(x)


#: From here on erfc comes near the least normal number and its asymptotic series is exact to the last bit.
_ERFC_SERIES_FROM = {F64: 25.0, F32: 9.0}


def _erfc_series(x):
    """Return s in erfc(x) = exp(-x*x) / (x sqrt(pi)) * (1 + s): Abramowitz and Stegun 7.1.23."""
    t = 0.5 / (x * x)
    return -t * (1 - 3 * t * (1 - 5 * t * (1 - 7 * t * (1 - 9 * t))))


def _log_erfc(x):
    limit = full_like(_ERFC_SERIES_FROM[x.dtype], x)
    large = maximum(x, limit)
    far = log1p(_erfc_series(large)) - log(large) - large * large - 0.5 * float(np.log(np.pi))
    return select(greater(x, limit), far, log(erfc(minimum(x, limit))))


def _gauss_over_erfc(x):
    limit = full_like(_ERFC_SERIES_FROM[x.dtype], x)
    large, small = maximum(x, limit), minimum(x, limit)
    far = large * float(np.sqrt(np.pi)) / (1 + _erfc_series(large))
    return select(greater(x, limit), far, exp(-(small * small)) / erfc(small))


def _not_yet_limited(x):
    return x.dtype in _ERFC_SERIES_FROM and x.op is not minimum


@rules("stabilize", guard=_not_yet_limited)
def tails_of_erfc(x):
    yield log(erfc(x)),                     _log_erfc
    yield exp(-(x * x)) / erfc(x),          _gauss_over_erfc
    yield exp(-power(x, TWO)) / erfc(x),    _gauss_over_erfc


@rewrite(log, phase="stabilize", safety="stable", needs=(select,), examples=lambda x, c: [
    log(select(c, sigmoid(x), sigmoid(-x))), log(select(c, sigmoid(x), full_like(1, x)))])
def log_of_selection(node):
    """log(where(c, p, 1 - p)) takes the logarithm of each, where that is stable."""
    c, x, y = node.args[0].args
    if x.op is sigmoid or y.op is sigmoid:
        return select(c, log(x), log(y))
    return None


