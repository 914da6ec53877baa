"""Edges of arithmetic, by compiled code as by NumPy: integers that overflow, divisors of 0, NaN in an order."""

import warnings

import numpy as np
import pytest

import tracejit
from tracejit.testing import assert_same_as_numpy

INTEGERS = [np.dtype(c) for c in "bBhHiIlL"]


def quietly(f, *args):
    """Compare without NumPy's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return assert_same_as_numpy(f, *args)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_that_overflow_and_divisors_of_zero(dtype):
    def f(x, y, n):
        return (x + y, x - y, x * y, x // y, x % y, np.divmod(x, y), np.fmod(x, y), -x, abs(x), x**3, x << n, x >> n,
                np.gcd(x, y), ~x, np.square(x), x.astype(np.int8), x.astype(np.uint16), x.sum(), x.prod(),
                np.cumsum(x, dtype=dtype), x.mean())
    info = np.iinfo(dtype)
    ends = np.array([info.min, info.max, 0, 1, info.max // 2, info.max - 1, 3, info.min + 1], dtype)
    if dtype.kind == "i":
        ends[3] = -1
    x, y = (a.ravel() for a in np.meshgrid(ends, ends))
    n = np.resize(np.array([0, 1, info.bits - 1], dtype), x.shape)
    quietly(f, x, y, n)


def test_python_numbers_do_not_overflow():
    def f(n):
        return n * n + 2**31, n // -1, (n * 2) % 7
    for n in (2**31, -(2**31), 5):
        assert_same_as_numpy(f, n)


def test_a_divisor_of_zero_among_python_numbers():
    for f in (lambda n: 1 // n, lambda n: 1 % n, lambda n: 1 / n, lambda n: divmod(1.5, n)):
        for n in (0, 0.0):
            with pytest.raises(ZeroDivisionError):
                tracejit.jit(f)(n)


@pytest.mark.parametrize("dtype", ["?", "i1", "u4", "f4", "f8", "c8", "c16"])
def test_powers_of_zero(dtype):
    with np.errstate(all="ignore"):
        x = np.array([2, 0, np.nan, np.inf]).astype(dtype)
    quietly(lambda x: (x ** 0, x ** 0.0, x ** -0.0, np.power(x, 0), x ** 0j), x)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c16"])
def test_nan_in_an_order(dtype):
    def f(x, y):
        return (np.sort(x), np.argsort(x, kind="stable"), x.max(), x.min(), x.argmax(), x.argmin(), np.maximum(x, y),
                np.fmax(x, y), np.fmin(x, y), np.minimum.accumulate(x), x == x, x != y, np.unique(x), np.sign(x),
                np.searchsorted(np.sort(x), y), np.maximum.reduce(x.reshape(2, -1), axis=0), np.isnan(x))

    def real(x, y):
        return (x < y, x >= y, np.clip(x, -1, 1), np.nanmax(x), np.nanargmin(x), np.median(x), np.partition(x, 3)[3],
                np.floor_divide(x, y), np.remainder(x, y), np.signbit(x), np.heaviside(x, y), np.count_nonzero(x))
    x = np.array([2, np.nan, -0.0, 0.0, np.inf, -np.inf, 1, np.nan, -3, 5], dtype)
    y = x[::-1] if dtype != "c16" else x[::-1] * (1 + 1j)
    quietly(f, x, y)
    if dtype != "c16":
        quietly(real, x, y)


def test_dates_are_refused_with_line_and_remedy():
    days = np.array(["2020-01-01", "2020-03-01"], "M8[D]")
    for f, argument in ((lambda x: x[1] - x[0], days), (lambda x: np.diff(days).astype(float) * x, np.ones(1)),
                        (lambda x: x.astype("m8[s]"), np.ones(1))):
        with pytest.raises(tracejit.errors.UnsupportedError) as error:
            tracejit.jit(f)(argument)
        assert "do: " in str(error.value)


def test_an_error_of_compiled_code_names_what_is_wrong_and_where_it_was_called():
    def f(x, k):
        y = x * 2
        return y[k]
    jitted = tracejit.jit(f)
    k = np.array([1, 9])
    with pytest.raises(IndexError, match="index 9 is out of bounds for axis 0 with size 3") as error:
        jitted(np.ones(3), k)
    assert error.traceback[0].path.name == "test_edges.py"
