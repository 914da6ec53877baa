"""Reductions and statistics against NumPy: values, dtypes, axes, masks, `out=`, errors."""

import numpy as np
import pytest
from numpy_samples import Number, any_arrays, bools, call, cases, check, floats, ints, specials

import tracejit

A, B, C = floats(3, 4), floats(4), floats(2, 3, 4)
I = ints(3, 4, dtype=np.int32)
U = ints(3, 4, low=0, dtype=np.uint8)
M = bools(3, 4)
NANS = specials(3, 4)
Z = floats(3, 4) + 1j * floats(3, 4, seed=1)

EACH = [call(a) for a in any_arrays()]
REAL = [call(a) for a in any_arrays() if a.dtype.kind != "c"]
AXES = [call(A, 0), call(A, 1), call(A, -1), call(C, (0, 2)), call(C, (-1, 0)), call(C, ()), call(A, 2),
        call(C, (0, 0)), call(A, axis=None),
        call([[1, 2], [3, 4]], 0), call(2.5), call(A.T, 0), call(Number(2.5))]
KEEP = [call(A, 0, keepdims=True), call(C, (0, 2), keepdims=True), call(A, keepdims=True),
        call(np.array(2.0), keepdims=True)]
OUT = [call(A, 0, out=np.zeros(4)), call(A, out=np.zeros(())), call(A, 0, out=np.zeros(3))]
WHERE = [call(A, where=M), call(A, 0, where=M), call(A, 1, where=M[0]), call(A, where=False),
         call(A, where=M, keepdims=True)]
INITIAL = [call(A, initial=5), call(A, 0, initial=-2.5), call(I, initial=3), call(floats(0), initial=1.0),
           call(A, initial=2, where=M),
           call(I, initial=2.5)]
DTYPE = [call(A, dtype=np.float32), call(I, dtype=np.float64), call(I, dtype=np.int8), call(A, dtype=np.float16),
         call(M, dtype=int),
         call(A, dtype=complex)]
DDOF = [call(A, ddof=1), call(A, 0, ddof=2), call(A, 0, ddof=7), call(A, correction=1), call(A, ddof=1, correction=1)]
RUNNING = EACH + [call(A, 0), call(A, -1), call(A, 2), call(A, 0, np.float32), call(I, dtype=np.int8), call(2.5),
                  call([1, 2, 3]),
                  call(A, 0, out=np.zeros((3, 4))), call(np.array(2.0), 0), call(I, 1), call(U)]
EXTREME_OF = [call(A, 0), call(A, -1), call(A, keepdims=True), call(A, 1, keepdims=True), call(A, 5), call(floats(0)),
              call(floats(0, 3), 1),
              call([3, 1, 2]), call(np.array(2.0)), call(2.0), call(A, 0, np.zeros(4, int)), call(A, 0, np.zeros(4)),
              call(floats(0, 3), 0),
              call(np.array([1.0, 3.0, 3.0])), call(np.array([True, False]))]
METHODS = ["inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen",
           "weibull", "linear",
           "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest"]


def quantiles(scale):
    qs = [0.3, 0, 1, [0.1, 0.5, 0.9], [[0.2, 0.4], [0.6, 1.0]], 0.5]
    qs = [np.multiply(q, scale).tolist() if np.ndim(q) else q * scale for q in qs]
    return ([call(A, q) for q in qs] + [call(A, q, 0) for q in qs] + [call(A, qs[3], (0, 1), keepdims=True),
                                                                      call(A, qs[0], 1, keepdims=True)]
            + [call(B, q, method=m) for m in METHODS for q in (qs[0], qs[3])] + [call(NANS, qs[0], 0),
                                                                                 call(NANS, qs[3], 1)]
            + [call(I, qs[0]), call(I, qs[3], 0), call(A.astype(np.float32), qs[0]),
               call(A.astype(np.float32), qs[3], 0),
               call(A, 1.5 * scale), call(A, qs[0], 3), call(A, qs[0], method="no"), call(A, np.array(0.4 * scale)),
               call(A, np.array([0.2, 0.7]) * scale, 0), call(Z, qs[0]), call(A, qs[0], 0, np.zeros(4)),
               call(A, Number(0.3 * scale)),
               call(B, qs[0], method="lower"), call(I[0], qs[3], method="nearest"), call(C, qs[3], (0, 2)),
               call(M, qs[0], method="lower"),
               call(floats(0), qs[0]), call(floats(40), qs[3]), call(A.astype(np.float16), qs[0])])


W = ints(4, 5).astype(complex) + 1j * ints(4, 5, seed=7)
W_NAN = np.where(floats(4, 5, seed=3) > 1, complex(np.nan, 1), W)
COMPLEX_EXTREMES = [call(W), call(W, 0), call(W, 1, keepdims=True), call(W_NAN), call(W_NAN, 0),
                    call(np.array([complex(-np.inf, 1), complex(-np.inf, np.inf)])), call(W[0] * np.nan)]
ALL_NAN = np.array([[np.nan, np.nan], [1.0, np.nan], [np.nan, 0]])
WEIGHTED = [call(x, q, axis, weights=w, method="inverted_cdf") for x in (A, NANS) for q in (0.3, [0, 0.5, 1], 1.0)
            for axis, w in ((None, np.abs(A)), (0, np.abs(A)), (1, np.arange(4.0)), (0, np.zeros((3, 4))))] + [
    call(I, [0, 0.25, 1], method="closest_observation"), call(I, 0.4, 0, method="closest_observation"),
    call(A, 0.3, weights=np.abs(A)), call(A, 0.5, 0, weights=-np.abs(A), method="inverted_cdf"),
    call(A, 0.5, 0, weights=[1, 2], method="inverted_cdf"), call(A, 0.5, weights=[1, 2, 3], method="inverted_cdf"),
    call(I, 0.5, 1, weights=np.arange(4), method="inverted_cdf", keepdims=True)]
SAMPLES = {
    np.sum: EACH + AXES + KEEP + OUT + WHERE + INITIAL + DTYPE,
    np.prod: EACH + AXES + KEEP + OUT + WHERE + INITIAL + DTYPE,
    np.max: REAL + AXES + KEEP + OUT + INITIAL + [call(A, where=M, initial=0), call(A, where=M), call(floats(0, 3), 0),
                                                  call(floats(0, 3), 1)],
    np.min: REAL + AXES + KEEP + OUT + INITIAL + [call(A, where=M, initial=0), call(A, where=M), call(floats(0, 3), 0),
                                                  call(floats(0, 3), 1)],
    np.all: EACH + AXES + KEEP + WHERE + [call(M, 0, out=np.zeros(4, bool)), call(NANS), call(I, 0, np.zeros(4, bool))],
    np.any: EACH + AXES + KEEP + WHERE + [call(M, 0, out=np.zeros(4, bool)), call(NANS), call(np.zeros(3)),
                                          call(floats(0))],
    np.ptp: [s for s in REAL if s.args[0].dtype != bool] + AXES + KEEP + OUT,
    np.count_nonzero: EACH + AXES[:10] + [call(I, axis=0, keepdims=True), call(M, keepdims=True), call(np.eye(3)),
                                          call([0, 1, 2])],
    np.mean: EACH + AXES + KEEP + OUT + WHERE + DTYPE + [call(floats(0)), call(I, dtype=int), call(U, 0, keepdims=True),
                                                         call(A.astype(np.float16), 0),
                                                         call(I, 0, out=np.zeros(4, int))],
    np.var: EACH + AXES + KEEP + OUT + WHERE + DTYPE + DDOF + [call(A, 0, mean=np.mean(A, 0, keepdims=True)),
                                                               call(floats(0))],
    np.std: EACH + AXES + KEEP + OUT + WHERE + DTYPE + DDOF + [call(A, 0, mean=np.mean(A, 0, keepdims=True)),
                                                               call(floats(0))],
    np.argmax: REAL + EXTREME_OF + COMPLEX_EXTREMES,
    np.argmin: REAL + EXTREME_OF + COMPLEX_EXTREMES,
    np.cumsum: RUNNING,
    np.cumprod: RUNNING,
    np.nancumsum: RUNNING,
    np.nancumprod: RUNNING,
    np.diff: [s for s in EACH if s.args[0].ndim] + [
        call(A, 2), call(A, 1, 0), call(A, 3, 0), call(A, 0), call(A, -1), call(B, prepend=0), call(B, append=[1, 2]),
        call(A, prepend=B[:3, None]),
        call(A, axis=3), call(np.array(1.0)), call(B, 9), call([1, 4, 9]), call(A, axis=0, prepend=2.0, append=3.0)],
    np.ediff1d: [call(A), call(B, 9), call(B, [1, 2], [3]), call(I, 2.5), call([1, 2, 4]), call(I, to_begin=7)],
    np.trace: [call(A), call(C), call(A, 1), call(A, -1), call(C, 0, 1, 2), call(I), call(U), call(B), call(A, 9),
               call(A, dtype=np.float32),
               call(M), call(A, out=np.zeros(())), call(C, 0, 0, 0)],
    np.nansum: EACH + AXES + KEEP + WHERE + INITIAL + DTYPE,
    np.nanprod: EACH + AXES + KEEP + WHERE + INITIAL + DTYPE,
    np.nanmax: REAL[:-2] + AXES + KEEP + [call(NANS), call(NANS, 0), call(NANS, 1, keepdims=True), call(A, initial=2),
                                          call(np.full(3, np.nan))],
    np.nanmin: REAL[:-2] + AXES + KEEP + [call(NANS), call(NANS, 0), call(NANS, 1, keepdims=True), call(A, initial=2),
                                          call(np.full(3, np.nan))],
    np.nanargmax: [call(ALL_NAN, 0), call(ALL_NAN, 1), call(ALL_NAN),
                   call(NANS), call(NANS, 0), call(A), call(I, 1), call(NANS, 1, keepdims=True)],
    np.nanargmin: [call(ALL_NAN, 0), call(ALL_NAN, 1), call(ALL_NAN),
                   call(NANS), call(NANS, 0), call(A), call(I, 1), call(NANS, 1, keepdims=True)],
    np.nanmean: EACH + AXES[:-1] + KEEP + WHERE + [call(NANS, 0), call(np.full(3, np.nan)),
                                                   call(NANS, 1, keepdims=True)],
    np.nanvar: EACH + AXES[:-1] + KEEP + DDOF[:3] + [call(NANS, 0), call(np.full(3, np.nan)), call(NANS[1:], 1),
                                                     call(NANS, 1, keepdims=True)],
    np.nanstd: EACH + AXES[:-1] + KEEP + DDOF[:3] + [call(NANS, 0), call(np.full(3, np.nan)), call(NANS[1:], 1)],
    np.nanmedian: [call(Z), call(Z, 0), call(np.where(M, Z, np.nan), 0)] + REAL + AXES[:-1] + [call(NANS, 0),
        call(np.full(3, np.nan)), call(NANS, 1), call(A, 0, keepdims=True),
                                      call(C, (0, 2))],
    np.median: [call(Z), call(Z, 0), call(Z, 1, keepdims=True), call(np.where(M, Z, np.nan),
        0)] + REAL + AXES[:-1] + [call(A, 0, keepdims=True), call(C, (0, 2), keepdims=True), call(floats(5)),
                                   call(NANS, 1), call(floats(0)),
                                   call(A, 0, np.zeros(4)), call(A.astype(np.float16), 0), call([3, 1, 2])],
    np.quantile: quantiles(1) + WEIGHTED,
    np.percentile: quantiles(100),
    np.nanquantile: quantiles(1) + [call(np.full((2, 3), np.nan), 0.3), call(np.full((2, 3), np.nan), 0.3, 1),
                                    call(NANS, [0.1, 0.6]),
                                    call(NANS, 0.3, method="hazen"), call(NANS, 0.3, 1, keepdims=True),
                                    call(NANS, [0.3, 0.5], 1, method="nearest")],
    np.nanpercentile: quantiles(100) + [call(NANS, [10, 60]), call(NANS, 30, (0, 1), keepdims=True)],
    np.average: EACH + AXES[:5] + [call(A, weights=A - A), call(A, 1, weights=np.zeros(4)),
                                   call(A, weights=np.abs(A)), call(A, 0, np.abs(floats(3))),
                                   call(A, 1, weights=[1, 2, 3, 4]),
                                   call(A, 0, [1, 2, 3], returned=True), call(A, returned=True),
                                   call(I, 0, np.array([1, 2, 3])),
                                   call(A, weights=B), call(A, 0, B), call(A, 0, keepdims=True),
                                   call(C, (0, 1), np.abs(floats(2, 3))),
                                   call(A.astype(np.float32), 0, np.abs(floats(3, dtype=np.float32))),
                                   call(A, 0, returned=True)],
    np.cov: [call(A), call(A, rowvar=False), call(B), call(B, B + floats(4, seed=3)), call(A, bias=True),
             call(A, ddof=0), call(I), call(Z),
             call(A.astype(np.float32)), call(A, dtype=np.float32), call(C), call(A, A[:1]), call(floats(3, 1))],
    np.corrcoef: [call(A), call(B, floats(4, seed=3)), call(A, rowvar=False), call(I), call(B)],
    np.isclose: [call(A, A + 1e-9), call(A, A + 1e-3, atol=1e-2), call(NANS, NANS), call(NANS, NANS, equal_nan=True),
                 call(I, I), call(A, 0),
                 call(A.astype(np.float32), A.astype(np.float32) * np.float32(1 + 1e-6)), call(1.0, A), call(A, B),
                 call(Z, Z), call(2.0, np.array(2.0)),
                 call(A, B, np.array([1.0, 0, 1, 0])), call([1.0, np.inf], [1.0, np.inf]), call(A, floats(5)),
                 call(I, 1), call(U, U + 1, atol=1),
                 call(np.array([np.inf]), np.array([-np.inf])), call(A, Number(0.5))],
    np.allclose: [call(A, A + 1e-9), call(A, A + 1), call(NANS, NANS), call(NANS, NANS, equal_nan=True), call(I, I),
                  call(A, B), call(A, floats(5))],
    np.array_equal: [call(A, A), call(A, A + 1), call(A, B), call(NANS, NANS), call(NANS, NANS, True),
                     call(I, I.astype(float)), call([1, 2], [1, 2]),
                     call(2, np.array(2))],
    np.array_equiv: [call(A, A), call(A, A[0]), call(np.ones((2, 3)), np.ones(3)), call(A, floats(5)),
                     call(NANS, NANS)],
    np.clip: [call(s.args[0], 0, 1) for s in REAL] + [
                 call(A, None, 0.5), call(A, 0.1, None), call(A, None, None), call(A, B, 1), call(A, min=0),
        call(A, max=0.5), call(A, min=0, max=1),
                 call(A, 1, 0), call(I, 0, 2.5), call(U, 0, 300), call(A, 0, 1, out=np.zeros((3, 4))), call(2.0, 0, 1),
        call(A, 0), call(A, 0, 1, min=2),
                 call(NANS, 0, 1), call(A, Number(0.0), Number(0.5)), call(A, 0, floats(5)), call(A, np.nan, 1),
        call(Z, 0, 1)],
    np.round: EACH + [call(A, 2), call(A * 100, -1), call(I * 30, -1), call(A, 1, np.zeros((3, 4))), call(2.567, 1),
                      call(np.array([0.5, 1.5, 2.5])),
                      call(A.astype(np.float32), 3), call(Z, 1), call(I, 2), call(Number(2.567), 1), call(U, -1),
                      call(np.array(2, np.uint8), 1), call(np.array(True)), call(np.array([True]), 1)],
    np.fix: [call(A * 3), call(NANS), call(2.7), call(A * 3, np.zeros((3, 4)))],
    np.nan_to_num: EACH + [call(NANS, nan=1.0), call(NANS, posinf=2, neginf=-2), call(NANS, copy=False), call(np.nan),
                           call(NANS.astype(np.float32)),
                           call(NANS + 1j)],
    np.histogram: [call(A, 4, (-2, 2)), call(A, 4, density=True), call(I, [-9, 0, 9], density=True),
                   call(A, 3, density=False), call(A), call(A, [-1, 0, 1]), call(I, 3),
                   call(A, np.array([-1.0, 0.0, 2.0])),
                   call(A, 5)],
}
for name in ("cumulative_sum", "cumulative_prod"):
    if hasattr(np, name):
        SAMPLES[getattr(np, name)] = [call(B), call(A), call(A, axis=0), call(B, include_initial=True),
                                      call(A, axis=1, include_initial=True),
                                      call(I, axis=-1), call(B, dtype=np.float32), call(np.array(1.0)),
                                      call(B, out=np.zeros(4))]
SAMPLES[np.amax], SAMPLES[np.amin] = SAMPLES[np.max][:6], SAMPLES[np.min][:6]
SAMPLES[np.around] = SAMPLES[np.round][:6]


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


def test_methods_are_the_functions():
    check(lambda x: (x.sum(0), x.mean(1, keepdims=True), x.std(ddof=1), x.argmax(), x.cumsum(), x.round(2),
                     x.clip(0, 1), x.trace(), x.prod(),
                     x.min(0), x.all(), x.any(1)), call(A))


@pytest.mark.parametrize("dtype", (np.int8, np.uint8))
@pytest.mark.parametrize("n", (4, 8, 16))
def test_bools_as_bytes_are_zeros_and_ones(dtype, n):
    """gcc 12 makes -1 of them in vectors that it puts together from all turns of a short loop."""
    def f(x):
        y = x.astype(dtype)
        return y.min(axis=-1), y.max(axis=-1), np.add.reduce(y, axis=-1, dtype=dtype)

    x = np.arange(3 * n).reshape(3, n) % 5 > 0
    for got, expected in zip(tracejit.jit(f)(x), f(x)):
        assert np.array_equal(got, expected)
