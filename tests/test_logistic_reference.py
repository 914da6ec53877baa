"""The seed's logistic regression against 50 digits: value and gradient, at weights where the naive formula is NaN."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import tracejit

mpmath = pytest.importorskip("mpmath")
EXAMPLES = Path(__file__).parent.parent / "examples"


def naive(w, b, x, y):
    p = 1 / (1 + np.exp(-(x @ w) - b))
    xent = -y * np.log(p) - (1 - y) * np.log(1 - p)
    return xent.mean() + 0.01 * (w**2).sum()


def problem(seed, scale, dtype=np.float64):
    """The demonstration's size; `scale` is that of the weights."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 784)).astype(dtype)
    y = rng.integers(0, 2, size=400).astype(dtype)
    w = (scale * rng.normal(size=784)).astype(dtype)
    return w, dtype(0.25), x, y


def reference(w, b, x, y):
    """Return cost, gradient by w and gradient by b with 50 digits, as mpmath numbers."""
    with mpmath.workdps(50):
        exact = lambda array: [mpmath.mpf(float(v)) for v in array]
        n, w, y, rows = len(y), exact(w), exact(y), [exact(row) for row in x]
        z = [mpmath.fdot(row, w) + mpmath.mpf(float(b)) for row in rows]
        e = [mpmath.exp(-v) for v in z]
        p = [1 / (1 + v) for v in e]
        # log p = -log(1 + e), log(1 - p) = log e - log(1 + e), which no number of digits can round to -inf
        xent = [mpmath.log1p(ei) + (1 - yi) * zi for ei, yi, zi in zip(e, y, z)]
        penalty = mpmath.mpf(0.01)
        cost = mpmath.fsum(xent) / n + penalty * mpmath.fdot(w, w)
        d = [(pi - yi) / n for pi, yi in zip(p, y)]
        gw = [mpmath.fdot(column, d) + 2 * penalty * wi for column, wi in zip(zip(*rows), w)]
        return cost, gw, mpmath.fsum(d)


def relative(found, exact):
    """Return the norm of the difference over the norm of the exact vector."""
    with mpmath.workdps(50):
        found = [mpmath.mpf(float(v)) for v in np.atleast_1d(found)]
        exact = list(np.atleast_1d(exact))
        difference = mpmath.fsum((f - e) ** 2 for f, e in zip(found, exact))
        return float(mpmath.sqrt(difference / mpmath.fsum(e**2 for e in exact)))


@pytest.mark.parametrize("scale", [0.01, 1.0, 3.0])
def test_value_and_gradient_to_1e12_relative(scale):
    args = problem(1, scale)
    cost, (gw, gb) = tracejit.value_and_grad(naive, argnums=(0, 1))(*args)
    exact_cost, exact_gw, exact_gb = reference(*args)
    assert relative(cost, exact_cost) < 1e-12
    assert relative(gw, exact_gw) < 1e-12
    assert relative(gb, exact_gb) < 1e-12
    # each component, against the size of the largest
    top = max(abs(float(v)) for v in exact_gw)
    assert max(abs(float(f - e)) for f, e in zip(gw.tolist(), exact_gw)) < 1e-12 * top


def test_float32_stays_float32_and_is_as_good_as_float32_can_be():
    args = problem(1, 1.0, np.float32)
    cost, (gw, gb) = tracejit.value_and_grad(naive, argnums=(0, 1))(*args)
    assert cost.dtype == gw.dtype == gb.dtype == np.float32
    exact_cost, exact_gw, exact_gb = reference(*args)
    assert relative(cost, exact_cost) < 1e-5
    assert relative(gw, exact_gw) < 1e-4
    assert relative(gb, exact_gb) < 1e-3


def test_numpy_itself_fails_here():
    """The reason for the demonstration: with random normal weights the formula overflows its digits."""
    with np.errstate(all="ignore"):
        assert not np.isfinite(naive(*problem(1, 3.0)))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_random_normal_weights_train_without_nan(dtype):
    example = load("logistic_regression")
    x, y, w0 = example.data(dtype)
    w, b, train, predict = example.model(w0, dtype)
    first = None
    for _ in range(300):
        prediction, xent = train(x, y)
        first = xent.mean() if first is None else first
        assert np.isfinite(xent).all()
    assert np.isfinite(w.get_value()).all() and np.isfinite(b.get_value())
    assert xent.mean() < first / 5
    assert prediction.dtype == bool and xent.dtype == w.dtype == np.dtype(dtype)
    assert (predict(x) == y).mean() > 0.95


def test_training_follows_the_gradient_by_hand():
    """A few steps beside NumPy's, with the stable gradient p - y by hand."""
    example = load("logistic_regression")
    x, y, w0 = example.data("float64")
    w, b, train, _ = example.model(w0, "float64")
    by_hand = example.numpy_model(w0, "float64")
    with np.errstate(all="ignore"):
        for _ in range(20):
            prediction, _ = train(x, y)
            expected, _ = by_hand(x, y)
            np.testing.assert_array_equal(prediction, expected)


def load(name):
    """Import an example by its file."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
