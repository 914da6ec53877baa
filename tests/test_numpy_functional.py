"""Interpolation, convolution, polynomials, grids, parts of complex numbers, types and windows against NumPy."""

import numpy as np
import pytest
from numpy_samples import Number, any_arrays, bools, call, cases, check, floats, ints, specials
from scipy import special

import tracejit

A, B, C = floats(3, 4), floats(4), floats(2, 3, 4)
I = ints(3, 4, dtype=np.int32)
M = bools(3, 4)
NANS = specials(3, 4)
Z = floats(3, 4) + 1j * floats(3, 4, seed=1)
X, Y = np.sort(floats(7)), floats(7, seed=5)
EACH = [call(a) for a in any_arrays()]
REAL = [call(a) for a in any_arrays() if a.dtype.kind != "c"]
MODES = ("full", "same", "valid")
SLIDE = [call(X, B, mode) for mode in MODES] + [call(bools(7), bools(3, seed=1), mode) for mode in MODES] + [call(B,
    X, mode) for mode in MODES] + [
    call(X, B), call(X, X, "same"), call(ints(5), ints(2)), call(Z[0], Z[1], "full"),
    call(B.astype(np.float32), [1, 2, 3]),
    call(A, B), call(floats(0), B), call(B, floats(0)), call(X, floats(3), "same"), call(X, floats(5), "same"),
    call(floats(3), floats(6), "same"), call(B, 2.0, "full"), call(X, B, 1), call(X, B, "nope"),
    call([1, 2, 3], [0, 1, 0.5]),
    call(X, Z[0], "full"), call(B, B[::-1], "full")]
INEXACT = [s for s in REAL if s.args[0].dtype.kind == "f" and s.args[0].size]

SAMPLES = {
    np.interp: [call(A, X, Y), call(floats(6, seed=9), X, Y), call(0.3, X, Y), call(A, X, Y, -1, 1),
                call(A, X, Y, left=np.nan), call(NANS, X, Y),
                call(X, X, Y), call(A * 10, X, Y, period=3), call([0.1, 5], [0, 1, 2], [3, 4, 5]),
                call(A, X[:1], Y[:1]), call(A, X, B), call(A, floats(0), floats(0)), call(I, np.arange(4), ints(4)),
                call(A, X, np.r_[Y[:-1], np.inf]),
                call(np.linspace(-3, 3, 50), X, np.r_[Y[:3], np.inf, -np.inf, np.inf, np.inf]),
                call(np.linspace(-3, 3, 50), np.r_[-np.inf, X[1:-1], np.inf], Y), call(NANS, np.r_[X[:-1], np.inf], Y),
                call(np.linspace(-3, 3, 50), X, np.r_[np.nan, Y[1:]]), call(X, X, np.r_[-np.inf, Y[1:]]),
                call(A, X, Y + 1j * Y[::-1]), call(A, X, Y + 1j * Y[::-1], 1j, 2), call(0.3, X, Y + 1j),
                call(A, [0, 0, 1], [1, 2, 3]), call(np.sort(floats(500)), np.sort(floats(200, seed=2)), floats(200)),
                call(A.astype(np.float32), X, Y),
                call(A, X, Y, period=0), call(A, A, A), call(Number(0.3), X, Y), call(floats(2, 0), X, Y)],
    np.convolve: SLIDE,
    np.correlate: SLIDE,
    np.gradient: [call(B), call(A), call(A, 2.0), call(A, 2, 3.0), call(A, axis=0), call(A, axis=(0, 1)),
                  call(B, np.array([0.0, 1, 3, 7])), call(A, 1.0, np.array([0.0, 1, 3, 7])), call(B, edge_order=2),
                  call(B, np.array([0.0, 1, 3, 7]), edge_order=2), call(I), call(A.astype(np.float32)), call(floats(1)),
                  call(floats(2)), call(floats(2), edge_order=2), call(A, 1, 2, 3), call(B, edge_order=3),
                  call(C, axis=-1), call(Z[0]), call(B, np.array([1.0, 2])), call(B, ints(4, low=1)), call(bools(4)),
                  call(A, Number(0.5)), call(A, 0.1, axis=1), call([1.0, 4, 9])],
    np.trapezoid: [call(A), call(A, dx=0.5), call(A, axis=0), call(B, B + floats(4, seed=4)), call(A, B),
                   call(A, A + 1), call(I), call([1, 2, 3]), call(B, [0, 1, 3, 7]), call(A, axis=4),
                   call(A, dx=Number(0.5))],
    np.unwrap: [call(X * 9), call(A * 9), call(A * 9, axis=0), call(A * 9, discont=4), call(X * 9, period=3),
                call(ints(7, low=0, high=9), period=5), call(ints(7, low=0, high=9), period=4),
                call(X.astype(np.float32) * 9)],
    np.apply_over_axes: [call(np.sum, C, (0, 2)), call(np.max, C, 1), call(np.sum, C, -1)],
    np.apply_along_axis: [call(lambda v: v.sum(), 0, A), call(lambda v: v * 2, 1, A), call(np.sort, -1, C),
                          call(lambda v: np.outer(v, v), 0, A), call(lambda v: v[:2], 5, A),
                          call(lambda v: v.max() - 1, 1, floats(0, 3))],
    np.piecewise: [call(A, [A < 0, A >= 0], [-1, 1]), call(A, [A < 0, A >= 0], [lambda v: -v, lambda v: v ** 2]),
                   call(A, [A < 0], [lambda v: -v, 7]), call(A, A < 0, [1, 2]), call(I, [I < 0], [2.7]),
                   call(A, [A < 0], [1, 2, 3]),
                   call(A, [A < 0, A < 1], [1, 2, 3])],
    np.real: EACH + [call(2.5), call(1 + 2j), call([1, 2j])],
    np.imag: EACH + [call(2.5), call(1 + 2j), call([1, 2j])],
    np.angle: EACH + [call(Z, True), call(1 + 1j), call([1j, -1])],
    np.isreal: EACH + [call(Z + 0), call(2.0)],
    np.iscomplex: EACH + [call(Z), call(2.0), call(Z.real + 0j)],
    np.isposinf: EACH + [call(NANS), call(np.inf), call(NANS, np.zeros((3, 4), bool))],
    np.isneginf: EACH + [call(NANS), call(-np.inf), call(NANS, np.zeros((3, 4), bool))],
    np.sinc: [s for s in EACH if s.args[0].dtype != bool] + [call([0, 1.5]), call(0.0), call(I)],
    np.bartlett: [call(7), call(0), call(1)],
    np.blackman: [call(7), call(0), call(1)],
    np.hamming: [call(7), call(0), call(1)],
    np.hanning: [call(7), call(0), call(1)],
    np.kaiser: [call(7, 3.0), call(1, 2), call(5, 0)],
    np.result_type: [call(A, np.float32), call(I, 2.5), call(I, Number(2.5)), call(A.astype(np.float32), Number(1.5)),
                     call(I, A), call(np.int8, I, bool)],
    np.can_cast: [call(np.int8, np.float32), call(np.float64, "f4"), call(np.float64, "f4", "same_kind")],
    np.min_scalar_type: [call(A), call(I)],
    np.common_type: [call(A, I), call(A.astype(np.float32)), call(I), call(Z, A)],
    np.iscomplexobj: EACH + [call(2j)],
    np.isrealobj: EACH + [call(2j)],
    np.isscalar: [call(A), call(2.0), call(Number(2.0)), call(np.float64(1)), call(np.array(1.0))],
    np.ndim: EACH + [call(2.0), call([[1, 2]]), call(Number(1))],
    np.shape: EACH + [call(2.0), call([[1, 2]])],
    np.size: EACH + [call(A, 0), call(A, 5), call([[1, 2]])],
    np.shares_memory: [call(A, A), call(A, B), call(A, 2.0)],
    np.may_share_memory: [call(A, A), call(A, B)],
    special.logsumexp: INEXACT + [
        call(A, 0), call(A, (0, 1)), call(A, 1, keepdims=True), call(I), call(A, 0, b=np.abs(A)), call(A * 1000, 1),
        call(A, 5), call(A, b=2.0), call(-np.inf * np.ones(3)), call([1.0, 2])],
    special.softmax: INEXACT + [call(A, 0), call(A, (0, 1)),
                                                                                            call(A * 1000, 1),
                                                                                            call(A, -1),
                                                                                            call([1.0, 2])],
    special.log_softmax: [s for s in INEXACT if np.isfinite(s.args[0]).all()] + [
        call(A, 0), call(A * 1000, 1), call(A, -1), call([1.0, 2])],
}
if hasattr(np, "astype"):
    SAMPLES[np.astype] = [call(A, np.float32), call(A, int), call(A, np.float64, copy=False), call(Z, complex),
                          call([1], float)]


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


def test_types_are_answered_while_tracing():
    def program(x):
        assert np.issubdtype(x.dtype, np.floating) and np.finfo(x.dtype).eps < 1
        assert np.ndim(x) == 2 and np.shape(x) == (3, 4)
        assert np.promote_types(x.dtype, np.float32) == np.float64 and not np.iscomplexobj(x)
        return x[: np.size(x, 0) - 1]

    check(program, call(A))


def test_views_share_memory():
    def program(x):
        return (np.shares_memory(x[0], x[1]), np.shares_memory(x[::2], x[2]), np.may_share_memory(x, x.T),
                np.shares_memory(x, x.copy()))

    check(program, call(A))


def test_parts_of_complex_numbers_are_views():
    def program(z):
        z.real[0] = 1
        np.imag(z)[1] = 2

    check(program, call(Z))


@pytest.mark.parametrize("dtype, tolerance", [("f8", 1e-13), ("f4", 1e-5)])
@pytest.mark.parametrize("sizes", [(300, 170), (97, 500)])
def test_long_filters(sizes, dtype, tolerance):
    """They have code of their own: blocks of full sums, and the ends, at which sums are shorter."""
    rng = np.random.default_rng(3)
    x, y = (rng.standard_normal(n).astype(dtype) for n in sizes)

    def f(x, y):
        return [g(x, y, mode) for g in (np.convolve, np.correlate) for mode in ("full", "same", "valid")]
    for ours, theirs in zip(tracejit.jit(f)(x, y), f(x, y), strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())
    x[4], y[-3] = np.inf, np.nan
    for ours, theirs in zip(tracejit.jit(f)(x, y), f(x, y), strict=True):
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
