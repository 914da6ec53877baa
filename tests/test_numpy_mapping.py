"""Functions applied to every element, to every vector, and by cases, against NumPy."""

import math

import numpy as np
import pytest
from tracing import compare

import tracejit

RNG = np.random.default_rng(0)
X, Y, K = RNG.normal(size=(3, 4)), RNG.normal(size=4), RNG.integers(1, 9, (3, 4))


def as_numpy(f, *args):
    """Assert that the jitted function does what the plain one does."""
    try:
        want = f(*args)
    except Exception as error:
        with pytest.raises(type(error)):
            tracejit.jit(f)(*args)
        return
    compare(tracejit.jit(f)(*args), want)


def distance(a, b):
    if a > b:
        return a - b
    return a + b


def collatz(n):
    steps = 0
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


@np.vectorize
def positive_square(a):
    return a ** 2 if a > 0 else 0.0


VECTORIZED = np.vectorize(distance)
EXCLUDING = np.vectorize(lambda p, x: np.polyval(p, x), excluded=["p", 0])
INNER = np.vectorize(lambda a, b: np.dot(a, b), signature="(n),(n)->()")


@pytest.mark.parametrize("f, args", [
    (lambda x, y: np.vectorize(distance)(x, y), (X, Y)), (lambda x: np.vectorize(lambda v: v * 2 + 1)(x), (X,)),
    (lambda k: np.vectorize(lambda v: v * 2 + 1)(k), (K,)), (lambda k: np.vectorize(lambda v: v > 2)(k), (K,)),
    (lambda x: np.vectorize(lambda v: v / 2)(x), (X.astype(np.float32),)),
    (lambda k: np.vectorize(lambda v: (v, v * 2.0))(k), (K,)),
    (lambda k: np.vectorize(lambda v: v * 2, otypes=[np.float32])(k), (K,)),
    (lambda k: np.vectorize(lambda v: v * 2, otypes="f")(k[:0]), (K,)),
    (lambda k: np.vectorize(lambda v: v * 2)(k[:0]), (K,)), (lambda x: np.vectorize(math.sin)(x), (X,)),
    (lambda k: np.vectorize(collatz)(k), (K,)), (lambda x, y: VECTORIZED(x, y), (X, Y)),
    (lambda x: VECTORIZED(x, 0.5), (X,)), (lambda x: VECTORIZED(b=0.5, a=x), (X,)),
    (lambda x: VECTORIZED(x, 2), (3.0,)),
    (lambda x: positive_square(x), (X,)), (lambda x: EXCLUDING([1, 2, 3], x), (X,)),
    (lambda x: EXCLUDING(p=[1, 2, 3], x=x), (X,)), (lambda x, y: INNER(x, y), (X, Y)),
    (lambda x, y: INNER(x, y[:2]), (X, Y)),
    (lambda x: np.vectorize(lambda a: np.convolve(a, [1, 2]), signature="(n)->(k)")(x), (X,)),
    (lambda x: np.vectorize(np.mean, signature="(n)->()")(x), (X,)),
    (lambda x: np.vectorize(lambda a: a, signature="(n)->(m)")(x[0, 0]), (X,)),
    (lambda x: np.vectorize(lambda a: (a.sum(), a), signature="(n)->(),(n)")(x), (X,)),
])
def test_vectorize(f, args):
    as_numpy(f, *args)


def test_a_function_vectorized_outside_is_no_reason_to_look_at_content():
    f = tracejit.jit(lambda x: VECTORIZED(x, 0.5))
    for k in range(3):
        np.testing.assert_array_equal(f(X + k), VECTORIZED(X + k, 0.5))
    assert f.cache_info().misses == 1
    compare(tracejit.jit(VECTORIZED)(X, Y), VECTORIZED(X, Y))


def first_decides(v):
    if v[0] > 0:
        return v.sum()
    return v.min()


def smoothed(v):
    s = 0.0
    for e in v:
        s = s * 0.5 + e
    return s


@pytest.mark.parametrize("f", [
    lambda v: v.sum(), lambda v: v * 2, np.sort, lambda v: np.outer(v, v), lambda v: v[:2], np.median, np.argsort,
    lambda v: np.cumsum(v)[::-1], lambda v: np.interp(0.3, np.sort(v), v), lambda v: 3, first_decides, smoothed,
    lambda v: np.polyfit(np.arange(v.size), v, 1), lambda v: np.convolve(v, [1, 2, 1], "same"),
    lambda v: np.histogram(v, 3, (-2, 2))[0]])
def test_along_each_axis(f):
    for axis in (0, -1):
        as_numpy(lambda x: np.apply_along_axis(f, axis, x), X)
    as_numpy(lambda x: np.apply_along_axis(f, 1, x), RNG.normal(size=(2, 5, 3)))


def test_along_an_axis_of_many_rows():
    as_numpy(lambda x: np.apply_along_axis(smoothed, 1, x), RNG.normal(size=(2000, 5)))
    as_numpy(lambda x: np.apply_along_axis(np.sum, 0, x), X[:, :0])
    as_numpy(lambda x: np.apply_along_axis(np.sum, 5, x), X)
    as_numpy(lambda x, w: np.apply_along_axis(lambda v, a, b=1: v @ a * b, 1, x, w, b=3), X, Y)


@pytest.mark.parametrize("f, x", [
    (lambda x: np.piecewise(x, [x < 0, x >= 0], [lambda v: -v, lambda v: v ** 2]), X),
    (lambda x: np.piecewise(x, [x < 0], [lambda v: -v, 7]), X),
    (lambda x: np.piecewise(x, [x < -1, x > 1], [lambda v: v - v.mean(), np.sort, lambda v: np.where(v > 0, v, 1)]), X),
    (lambda x: np.piecewise(x, [x < 0, x > 0], [lambda v, a: -v * a, 2.5], 3), K),
    (lambda x: np.piecewise(x, [x < 0], [lambda v: -v]), np.float64(-2)),
    (lambda x: np.piecewise(x, [x < 0, x > 3], [1, 2]), np.array(-2.0)),
    (lambda x: np.piecewise(x, [x < 0, x > 3], [1]), X)])
def test_piecewise(f, x):
    as_numpy(f, x)
