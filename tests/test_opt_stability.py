"""Stabilising rules against extended precision, at the points they exist for."""

import math

import mpmath
import numpy as np
import pytest

from tracejit.opt.pipeline import optimize, prepare
from tracejit.opt.rewrite import RULES
from tracejit.symbolic.autodiff import grad
from tracejit.symbolic.graph import close
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import new_variable
from tracejit.symbolic.ops.composite import log_softmax, logsumexp, softmax
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.reduce import reduce_max, reduce_prod, reduce_sum
from tracejit.symbolic.ops.scalar import (
    cosh,
    exp,
    expm1,
    greater,
    log,
    log1p,
    logaddexp,
    power,
    select,
    sigmoid,
    sinh,
    sqrt,
    tanh,
)
from tracejit.symbolic.ops.shape import broadcast, full, full_like, reshape, slice_
from tracejit.symbolic.ops.special import erf, erfc
from tracejit.symbolic.types import F64, Type

TINY = [1e-20, -1e-18, 3e-12, -1e-9, 1e-5]
LARGE = [800.0, 40.0, 1.5, -1.5, -40.0, -730.0]
BELOW_ZERO = [-1e-20, -1e-9, -0.3, -1.0, -40.0, -700.0]


ROWS = [[1000.0, 1001.0, 999.5], [-1000.0, -1002.0, -1001.0], [0.5, -0.25, 3.0], [-800.0, 0.0, 800.0]]

mp = mpmath.mp
sigma = lambda x: 1 / (1 + mp.exp(-x))
soft = lambda x: mp.log1p(mp.exp(x))
lse = lambda *xs: mp.log(mp.fsum(map(mp.exp, xs)))
two = lambda x: full_like(2, x)

#: By the name of the function that yields the rules: (naive formula of nodes, its meaning, points).
SCALARS = {
    "log1p_and_expm1": [
        (lambda x: log(1 + x), lambda x: mp.log1p(x), TINY), (lambda x: log(1 - x), lambda x: mp.log1p(-x), TINY),
        (lambda x: exp(x) - 1, mp.expm1, TINY), (lambda x: 1 - exp(x), lambda x: -mp.expm1(x), TINY),
        (lambda x: log1p(x - 1), mp.log, [1e-30, 0.5, 7.0]), (lambda x: expm1(x) + 1, mp.exp, [-50.0, -700.0, 1.0]),
    ],
    "log1mexps": [
        (lambda x: log(1 - exp(x)), lambda x: mp.log(-mp.expm1(x)), BELOW_ZERO),
        (lambda x: log(-expm1(x)), lambda x: mp.log(-mp.expm1(x)), BELOW_ZERO),
        (lambda x: log(exp(x + 1000.0) - exp(x)), lambda x: x + 1000 + mp.log(-mp.expm1(-1000)), [5.0, -3.0]),
    ],
    "hyperbolic": [
        (lambda x: (exp(x) - exp(-x)) / (exp(x) + exp(-x)), mp.tanh, LARGE + TINY),
        (lambda x: sinh(x) / cosh(x), mp.tanh, LARGE + TINY),
        (lambda x: (exp(x) - 1) / (exp(x) + 1), lambda x: mp.tanh(x / 2), LARGE + TINY),
        (lambda x: (exp(x) - exp(-x)) / 2, mp.sinh, TINY + [3.0, -20.0]),
        (lambda x: 0.5 * (exp(x) - exp(-x)), mp.sinh, TINY + [3.0]),
        (lambda x: (exp(x) + exp(-x)) / 2, mp.cosh, TINY + [3.0]),
    ],
    "sigmoids": [
        (lambda x: 1 / (1 + exp(-x)), sigma, LARGE), (lambda x: exp(x) / (1 + exp(x)), sigma, LARGE),
        (lambda x: 1 - 1 / (1 + exp(-x)), lambda x: sigma(-x), LARGE), (lambda x: sigmoid(x) - 1,
        lambda x: -sigma(-x), LARGE),
        (lambda x: exp(x) / power(1 + exp(x), two(x)), lambda x: sigma(x) * sigma(-x), LARGE),
        (lambda x: x * exp(x) / (exp(x) + 1), lambda x: x * sigma(x), LARGE),
        (lambda x: sigmoid(x) / (1 - sigmoid(x)), mp.exp, [700.0, 40.0, -3.0]),
        (lambda x: 0.5 * (1 + tanh(x / 2)), sigma, LARGE), (lambda x: 0.5 * tanh(0.5 * x) + 0.5, sigma, LARGE),
    ],
    "softpluses": [
        (lambda x: log(1 + exp(x)), soft, LARGE), (lambda x: log(1 / (1 + exp(-x))), lambda x: -soft(-x), LARGE),
        (lambda x: log(1 - 1 / (1 + exp(-x))), lambda x: -soft(x), LARGE),
        (lambda x: log1p(-sigmoid(x)), lambda x: -soft(x), LARGE),
        (lambda x: logaddexp(full_like(0, x), x), soft, LARGE),
        (lambda x: exp(-log(1 + exp(x))), lambda x: sigma(-x), LARGE[:5]),
        (lambda x: x - log(1 + exp(x)), lambda x: -soft(-x), LARGE),
        (lambda x: log(1 + exp(x)) - x, lambda x: soft(-x), LARGE),
    ],
    "error_functions": [
        (lambda x: 1 - erf(x), mp.erfc, [10.0, 5.0, 0.5, -1.0]), (lambda x: 1 + erf(x), lambda x: mp.erfc(-x),
        [-10.0, -5.0]),
        (lambda x: erf(x) - 1, lambda x: -mp.erfc(x), [10.0, 5.0, 0.5]),
        (lambda x: 1 - erfc(x), mp.erf, TINY), (lambda x: erfc(-x) - 1, mp.erf, TINY),
        (lambda x: erfc(x) - 1, lambda x: -mp.erf(x), TINY),
    ],
    "tails_of_erfc": [
        (lambda x: log(erfc(x)), lambda x: mp.log(mp.erfc(x)), [-3.0, 0.5, 20.0, 25.5, 30.0, 1e4]),
        (lambda x: exp(-x * x) / erfc(x), lambda x: mp.exp(-x * x) / mp.erfc(x), [0.5, 5.0, 25.5, 30.0, 1e4]),
        (lambda x: exp(-power(x, two(x))) / erfc(x), lambda x: mp.exp(-x * x) / mp.erfc(x), [30.0]),
    ],
    "log_of_selection": [
        (lambda x: log(select(greater(x, full_like(0, x)), sigmoid(x), 1 - sigmoid(x))),
         lambda x: -soft(-abs(x)), LARGE),
    ],
    "log_of_exponentials": [
        (lambda x: log(exp(x) + exp(2.0 * x)), lambda x: lse(x, 2 * x), LARGE),
        (lambda x: log(3.0 + exp(x)), lambda x: mp.log(3 + mp.exp(x)), LARGE),
        (lambda x: log(sigmoid(x) * sigmoid(2.0 * x)), lambda x: -soft(-x) - soft(-2 * x), LARGE),
    ],
    "exponentials_of_logarithms": [
        (lambda x: exp(log(x)), lambda x: x, [1e-300, 1e300, 7.0]), (lambda x: sqrt(x) * sqrt(x), lambda x: x,
        [2.0, 1e308]),
        (lambda x: log(sqrt(x)), lambda x: mp.log(x) / 2, [1e-320, 3.0]),
    ],
}
spread = lambda value, x: broadcast(value, x.shape, (0,))
total = lambda x: reduce_sum(exp(x), axes=(1,))
top = lambda x: reduce_max(x, axes=(1,))


def mp_softmax(*row):
    return [mp.exp(v - lse(*row)) for v in row]


def mp_log_softmax(*row):
    return [v - lse(*row) for v in row]


#: Likewise over rows.
ALONG_ROWS = {
    "softmaxes": [
        (lambda x: exp(x) / spread(total(x), x), mp_softmax), (lambda x: x - spread(log(total(x)), x), mp_log_softmax),
        (lambda x: 2.0 * exp(x) / spread(total(x), x), lambda *r: [2 * v for v in mp_softmax(*r)]),
        (lambda x: log(exp(x)) - spread(log(total(x)), x), mp_log_softmax),
        (lambda x: exp(x - spread(log(total(x)), x)), mp_softmax),
    ],
    "logarithms_of_sums": [
        (lambda x: log(total(x)), lse), (lambda x: log(1 + total(x)), lambda *r: lse(0, *r)),
        (lambda x: log(exp(x) / spread(total(x), x)), mp_log_softmax),
        (lambda x: exp(log_softmax(x, axes=(1,))), mp_softmax),
    ],
    "softmax_of_shifted": [
        (lambda x: softmax(x - 1e6, axes=(1,)), mp_softmax), (lambda x: log_softmax(x - spread(top(x), x),
        axes=(1,)), mp_log_softmax),
    ],
    "logsumexp_of_shifted": [(lambda x: logsumexp(x - spread(top(x), x), axes=(1,)) + top(x), lse)],
    "log_of_exponentials": [
        (lambda x: log(reduce_sum(2.0 * exp(x), axes=(1,)) / 3.0), lambda *r: lse(*r) + mp.log(mp.mpf(2) / 3)),
    ],
    "log_of_selected": [
        (lambda x: log(slice_(softmax(x, axes=(1,)), (0, 1), (1, 1), (x.shape[0], 1))),
        lambda *r: mp_log_softmax(*r)[1:2]),
        (lambda x: log(reshape(sigmoid(x), (x.shape[0] * 3,))), lambda *r: [-soft(-v) for v in r]),
    ],
    "logarithm_of_product": [
        (lambda x: log(reduce_prod(exp(0.5 * x) + 1.0, axes=(1,))),
        lambda *r: mp.fsum(mp.log1p(mp.exp(v / 2)) for v in r)),
    ],
}
CASES = {f"{name}-{k}": case for name, cases in SCALARS.items() for k, case in enumerate(cases)}
ROW_CASES = {f"{name}-{k}": case for name, cases in ALONG_ROWS.items() for k, case in enumerate(cases)}


def test_every_stabilising_rule_has_its_points():
    rules = [r for r in RULES.values() if r.phase == "stabilize" and r.safety != "careless"]
    assert {r.name.partition(".")[0] for r in rules} == set(SCALARS) | set(ALONG_ROWS)


def relative_error(found, exact):
    with mpmath.workdps(60):
        exact = mpmath.mpf(exact)
        if not math.isfinite(found):
            return mpmath.inf
        if exact == 0 or abs(exact) < mpmath.mpf("1e-305"):
            return abs(found - exact) * mpmath.mpf("1e305")
        return abs((found - exact) / exact)


@pytest.mark.parametrize("name", CASES)
def test_at_points(name):
    formula, meaning, points = CASES[name]
    x = new_variable(Type(F64, (len(points),)))
    (found,) = evaluate(optimize(close([x], [formula(x)])), np.array(points))
    with mpmath.workdps(1000 if name.startswith("log1mexps") else 700):
        exact = [meaning(mpmath.mpf(p)) for p in points]
    for point, value, wanted in zip(points, found, exact):
        assert relative_error(value, wanted) < 1e-13 * max(1, abs(point) / 30), (point, value, mpmath.nstr(wanted, 20))


@pytest.mark.parametrize("name", ROW_CASES)
def test_along_rows(name):
    formula, meaning = ROW_CASES[name]
    x = new_variable(Type(F64, (len(ROWS), 3)))
    (found,) = evaluate(optimize(close([x], [formula(x)])), np.array(ROWS))
    with mpmath.workdps(900):
        exact = [meaning(*map(mpmath.mpf, row)) for row in ROWS]
    found = found.reshape(len(ROWS), -1)
    for values, wanted in zip(found, exact):
        for value, one in zip(values, wanted if isinstance(wanted, list) else [wanted]):
            assert relative_error(value, one) < 1e-12, (value, mpmath.nstr(one, 20))


# ---------------------------------------------------------------- derivatives of what was stabilised
DERIVATIVES = {
    "log(1-p)": (lambda x: log(1 - 1 / (1 + exp(-x))), lambda x: -sigma(x), LARGE),
    "log(p)": (lambda x: log(1 / (1 + exp(-x))), lambda x: sigma(-x), LARGE),
    "log1pexp": (lambda x: log(1 + exp(x)), sigma, LARGE),
    "log1mexp": (lambda x: log(1 - exp(x)), lambda x: -mp.exp(x) / -mp.expm1(x), BELOW_ZERO[1:]),
    "log_erfc": (lambda x: log(erfc(x)), lambda x: -2 / mp.sqrt(mp.pi) * mp.exp(-x * x) / mp.erfc(x), [0.5, 5.0,
    25.5, 30.0]),
    "logaddexp": (lambda x: log(exp(x) + exp(2.0 * x)), lambda x: 1 + sigma(x), LARGE),
    "tanh": (lambda x: (exp(x) - exp(-x)) / (exp(x) + exp(-x)), lambda x: 1 / mp.cosh(x) ** 2, [1e-9, 0.5, -3.0]),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_at_points(name):
    formula, meaning, points = DERIVATIVES[name]
    x = new_variable(Type(F64, (len(points),)))
    graph = prepare(close([x], [reduce_sum(formula(x), axes=(0,))]))
    (found,) = evaluate(optimize(grad(graph, (0,))), np.array(points))
    with mpmath.workdps(700):
        exact = [meaning(mpmath.mpf(p)) for p in points]
    for point, value, wanted in zip(points, found, exact):
        assert relative_error(value, wanted) < 1e-12, (point, value, mpmath.nstr(wanted, 20))


@pytest.mark.parametrize("seed", range(3))
def test_logistic_gradient_with_saturated_probabilities(seed):
    """Random normal weights of 784 features: log(1 - p) with p rounded to 1 is -inf, its derivative NaN."""
    n, features = 24, 784
    x, y, w, b = (new_variable(Type(F64, s)) for s in ((n, features), (n,), (features,), ()))
    p = 1 / (1 + exp(-matmul(x, w) - broadcast(b, (n,), ())))
    xent = -y * log(p) - (1 - y) * log(1 - p)
    cost = reduce_sum(xent, axes=(0,)) / float(n) + 0.01 * reduce_sum(power(w, full(2, w.type)), axes=(0,))
    gradient = optimize(grad(prepare(close([x, y, w, b], [cost])), (2, 3)))
    rng = np.random.default_rng(seed)
    args = rng.normal(size=(n, features)), rng.integers(0, 2, n).astype(float), 3 * rng.normal(size=features), 0.5
    gw, gb = evaluate(gradient, *args)
    with mpmath.workdps(60):
        rows = [[mpmath.mpf(float(v)) for v in row] for row in args[0]]
        ws = [mpmath.mpf(float(v)) for v in args[2]]
        d = [(sigma(mpmath.fdot(row, ws) + 0.5) - int(t)) / n for row, t in zip(rows, args[1])]
        exact = [mpmath.fdot(column, d) + 2 * mpmath.mpf(0.01) * v for column, v in zip(zip(*rows), ws)]
        size = mpmath.sqrt(mpmath.fsum(v * v for v in exact))
        error = mpmath.sqrt(mpmath.fsum((mpmath.mpf(float(a)) - e) ** 2 for a, e in zip(gw, exact)))
        assert error / size < 1e-12
        assert abs(gb - mpmath.fsum(d)) < 1e-12 * max(abs(v) for v in d)
