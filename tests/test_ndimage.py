"""scipy.ndimage in traced code: SciPy's answer over dtypes, shapes and borders, and derivatives."""

import numpy as np
import pytest
from numpy_samples import call, cases, check, floats, ints
from scipy import ndimage

from tracejit import jit
from tracejit.testing import check_grads

A, L, I = floats(5, 7), floats(30), ints(5, 7)
U = np.arange(35, dtype=np.uint8).reshape(5, 7) ** 2
C = A + 1j * floats(5, 7, seed=3)
W3, W4, KERNEL = np.array([1.0, 2.0, 0.5]), np.array([1.0, -2.0, 0.5, 3.0]), floats(3, 3, seed=5)
MODES = ["reflect", "mirror", "nearest", "wrap", "constant", "grid-mirror", "grid-wrap", "grid-constant"]
DTYPES = [A, A.astype(np.float32), I, U, A > 0, C, np.asfortranarray(A), A[::2, ::-1]]
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def each(*args, **kwargs):
    """Calls over dtypes and borders."""
    return [call(a, *args, **kwargs).close(1e-12) for a in DTYPES] + [
        call(A, *args, mode=m, cval=1.5, **kwargs).close(1e-12) for m in MODES]


def real(calls):
    return [c for c in calls if c.args[0].dtype.kind != "c"]


def numbers(calls):
    """Without Boolean arrays, whose bytes SciPy makes other than 0 and 1 on the way."""
    return [c for c in calls if c.args[0].dtype.kind != "b"]


SAMPLES = {
    ndimage.correlate1d: each(W3) + [call(A, w, 0, origin=o).close(1e-12) for w in (W3, W4) for o in (-1, 0, 1)] + [
        call(A, [1, 2, 1]), call(A, [-1.0, 0, 1]), call(L, np.ones(61)).close(1e-12), call(A, W3, output=np.float32),
        call(A, W3 * 1j).close(1e-12), call(A, W3, 5), call(A, []), call(A, W3, origin=7), call(A, W3, mode="no"),
        call(I, [0.5, 0.25, 0.5], output=float), call(A, W3, output=np.zeros((5, 7), np.float32))],
    ndimage.convolve1d: each(W3) + [call(A, w, 0, origin=o).close(1e-12) for w in (W3, W4) for o in (-1, 0)],
    ndimage.correlate: each(KERNEL) + [call(A, floats(2, 4)).close(1e-12), call(A, KERNEL, origin=(1, -1)).close(1e-12),
                                       call(A, W3, axes=1).close(1e-12), call(A, floats(5, 5, seed=2)).close(1e-11),
                                       call(A, W3), call(A, KERNEL * 0)],
    ndimage.convolve: each(KERNEL) + [call(A, floats(2, 4)).close(1e-12), call(A, KERNEL, origin=(0, -1)).close(1e-12),
                                      call(A, floats(3, 2), axes=(1, 0)).close(1e-12),
                                      call(A, KERNEL * 1j).close(1e-12)],
    ndimage.gaussian_filter1d: each(1.0) + [call(A, 0.7, 0, order=k).close(1e-12) for k in (1, 2, 3)] + [
        call(L, 3.0).close(1e-12), call(A, 1.0, radius=2).close(1e-12), call(A, 1.0, truncate=2).close(1e-12),
        call(A, 1.0, order=-1)],
    ndimage.gaussian_filter: each(1.0) + [call(A, (0.5, 2.0)).close(1e-12), call(A, 1.0, (1, 0)).close(1e-12),
                                          call(A, 1.0, axes=0).close(1e-12), call(A, 0.0),
                                          call(A, 1.0, output=np.float32),
                                          call(A, 1.0, mode=("wrap", "mirror")).close(1e-12), call(A, (1.0, 2.0, 3.0))],
    ndimage.uniform_filter1d: each(3) + [call(A, 4, 0).close(1e-12), call(A, 3, origin=1).close(1e-12), call(A, 0),
                                         call(A, 3, origin=2)],
    ndimage.uniform_filter: each(3) + [call(A, (2, 5)).close(1e-12), call(A).close(1e-12),
                                       call(A, 3, axes=1).close(1e-12)],
    ndimage.sobel: numbers(each()) + [call(A, 0).close(1e-12)],
    ndimage.prewitt: numbers(each()) + [call(A, 0).close(1e-12)],
    ndimage.laplace: each() + [call(A, axes=1).close(1e-12), call(L).close(1e-12)],
    ndimage.gaussian_laplace: each(1.0) + [call(A, (1.0, 2.0)).close(1e-12), call(A, 1.0, truncate=3.0).close(1e-12)],
    ndimage.gaussian_gradient_magnitude: real(each(1.0))[:2] + [call(A, (1.0, 2.0)).close(1e-12)],
    ndimage.minimum_filter1d: real(each(3)) + [call(A, n, 0) for n in (1, 2, 4, 5)] + [
        call(A, 3, origin=1), call(C, 3)],
    ndimage.maximum_filter1d: real(each(3)) + [call(A, n, 0) for n in (1, 2, 4, 5)] + [
        call(A, 3, origin=-1), call(A, 0)],
    ndimage.minimum_filter: real(each(3)) + [call(A, (2, 3)), call(A, footprint=CROSS.tolist()), call(A),
                                             call(A, 3, axes=0)],
    ndimage.maximum_filter: real(each(3)) + [call(A, (2, 3)), call(A, footprint=CROSS.tolist()), call(A, 3, origin=1)],
    ndimage.median_filter: real(each(3)) + [call(A, (2, 3)), call(A, footprint=CROSS.tolist()), call(A, 7), call(L, 5),
                                            call(A, 1), call(C, 3), call(A, 3, axes=1)],
    ndimage.rank_filter: real(each(2, 3)) + [call(A, -2, 3), call(A, 7, (2, 5)), call(A, 20, 3), call(A, 0, 3)],
    ndimage.percentile_filter: real(each(25, 3)) + [call(A, 80, 3), call(A, -20, 3), call(A, 100, 3), call(A, 120, 3)],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_scipy(function, sample):
    check(function, sample)


def test_whole_numbers_are_as_scipy_rounds_them():
    """A constant image stays constant, or loses one, just as in SciPy: the terms are added in its order."""
    for value in (1, 77, 100, 255):
        x = np.full((20, 31), value, np.uint8)
        for f in (lambda x: ndimage.gaussian_filter(x, 1.3), lambda x: ndimage.gaussian_filter(x, 2.0, mode="wrap"),
                  lambda x: ndimage.correlate1d(x, [0.1, 0.2, 0.4, 0.2, 0.1]), lambda x: ndimage.uniform_filter(x, 5)):
            np.testing.assert_array_equal(jit(f)(x), f(x))
    noise = np.random.default_rng(0).integers(0, 256, (40, 41)).astype(np.uint8)
    f = lambda x: ndimage.gaussian_filter(x, 1.5)
    np.testing.assert_array_equal(jit(f)(noise), f(noise))


def test_traced_weights():
    f = jit(lambda x, w: (ndimage.correlate(x, w), ndimage.convolve1d(x, w[0])))
    for got, want in zip(f(A, KERNEL), (ndimage.correlate(A, KERNEL), ndimage.convolve1d(A, KERNEL[0]))):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("f", [
    lambda x: ndimage.gaussian_filter(x, 1.0), lambda x: ndimage.sobel(x, mode="wrap"),
    lambda x: ndimage.convolve(x, x[:3, :3]), lambda x: ndimage.median_filter(x, 3), lambda x: ndimage.laplace(x**3)])
def test_derivatives(f):
    check_grads(f, (A,), order=1)
