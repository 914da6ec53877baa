"""Images between their pixels: SciPy's answer over orders, borders, dtypes and shapes, and derivatives."""

import numpy as np
import pytest
from numpy_samples import call, cases, check, floats, ints
from scipy import ndimage

from tracejit import jit
from tracejit.testing import check_grads

A, L, T = floats(5, 7), floats(9), floats(2, 4, 5)
P = np.random.default_rng(1).uniform(-9, 14, (2, 12))
M, SHIFT = np.array([[1.1, 0.2], [-0.3, 0.9]]), np.array([0.5, -1.0])
MODES = ["reflect", "mirror", "nearest", "wrap", "constant", "grid-mirror", "grid-wrap", "grid-constant"]
DTYPES = [ints(5, 7), (floats(5, 7) * 90).astype(np.uint8), A + 1j * A[::-1], A.astype(np.float32),
          np.asfortranarray(A), A[::2, ::-1]]


def close(*args, **kwargs):
    return call(*args, **kwargs).close(1e-9)


SAMPLES = {
    ndimage.map_coordinates: [close(A, P, order=o, mode=m, cval=2.5) for m in MODES for o in range(6)] + [
        close(A, P, mode=m, prefilter=False) for m in MODES] + [close(x, P, order=1) for x in (*DTYPES, A > 0)] + [
        close(A, P.reshape(2, 3, 4)), close(A, P, output=np.float32), call(A, P[:1]), call(A, P, order=7),
        call(A, P, mode="no"), call(A, P + 0j)],
    ndimage.spline_filter1d: [close(A, o, 0, mode=m) for m in MODES for o in (1, 2, 5)] + [close(A[:1], axis=0)],
    ndimage.spline_filter: [close(x) for x in DTYPES] + [close(A, 4, mode="grid-wrap"), call(A, 1)],
    ndimage.shift: [close(x, 0.4) for x in DTYPES] + [close(A, (1.3, -2), mode=m) for m in MODES] + [
        close(L[:1], 0.5, mode="nearest"), close(A, 1.0, output=np.zeros((5, 7), np.float32)), call(A, (1, 2, 3))],
    ndimage.zoom: [close(x, 2) for x in DTYPES] + [close(A, 1.7, mode=m) for m in MODES] + [
        close(A, (2, 0.5), order=1, grid_mode=True, mode="grid-constant"), close(A, (0.1, 3)), call(A, (1, 2, 3))],
    ndimage.rotate: [close(x, 90) for x in DTYPES] + [close(A, -33.0, order=1, mode=m) for m in MODES] + [
        close(T, 33, axes=(2, 1), reshape=False), close(T, 33, axes=(0, -1)), close(A, 180), call(L, 3),
        call(A, 3, axes=(0, 1, 2)), call(A, 3, axes=(0, 5))],
    ndimage.affine_transform: [close(A, M, SHIFT, mode=m) for m in MODES] + [
        close(A, np.column_stack([M, SHIFT]), output_shape=(3, 4)), close(A, np.array([1.1, 0.9]), 1.0),
        close(A, np.vstack([np.column_stack([M, SHIFT]), [0, 0, 1]])), call(A, M[:1]), call(A, M, SHIFT[:1]),
        close(L, np.array([[1.1]]), 1.0, output=np.float32)],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_scipy(function, sample):
    check(function, sample)


def test_compiled_with_traced_parameters():
    def f(x, angle, by):
        return ndimage.shift(ndimage.rotate(x, angle, reshape=False), by)

    g = jit(f)
    for angle in (20.0, -70.0):
        np.testing.assert_allclose(g(A, angle, SHIFT), f(A, angle, SHIFT), rtol=1e-9, atol=1e-12)
    assert g.cache_info().traces == 1


def test_derivatives():
    check_grads(lambda x, by: ndimage.shift(x, by, order=2, mode="mirror"), (A, SHIFT + 0.3), order=1)
