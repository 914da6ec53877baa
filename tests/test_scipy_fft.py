"""scipy.fft against SciPy: its signatures, cosine and sine transforms of all types, and derivatives."""

import numpy as np
import pytest
import scipy.fft as sf
from numpy_samples import Number, call, cases, check, floats, ints

import tracejit

A, B, LINE = floats(4, 6), floats(3, 4, 5), floats(12)
Z = floats(4, 6) + 1j * floats(4, 6, seed=1)
F32, HALF = A.astype(np.float32), A.astype(np.float16)
ONE = [call(a) for a in (A, Z, ints(3, 5), LINE, [1.0, 2, 3])] + [
    call(A, 3), call(A, 9, 0), call(A, axis=0, norm="ortho"), call(A, norm="forward"), call(A, norm="other"),
    call(A, workers=2), call(A, 0), call(A, axis=5), call(F32).close(2e-5)]
SEVERAL = [call(a) for a in (A, B, Z)] + [
    call(B, (2, 7), (0, 1)), call(B, axes=1), call(B, (3, 4)), call(A, norm="ortho"), call(A, (3,), (0, 1)),
    call(A, (2, 3, 4))]
TWO = [call(A), call(B), call(B, (2, 3)), call(B, axes=(0, 1), norm="ortho")]
COSINE = [call(a, t) for a in (A, Z, LINE, B, ints(3, 5)) for t in (1, 2, 3, 4)] + [
    call(floats(n), t) for n in (1, 2, 3, 4, 5, 7, 8, 9, 16) for t in (1, 2, 3, 4)] + [
    call(A, t, norm=norm) for t in (1, 2, 3, 4) for norm in ("ortho", "forward", "backward")] + [
    call(A, t, norm="ortho", orthogonalize=False) for t in (1, 2, 3)] + [
    call(A, t, orthogonalize=True) for t in (1, 2, 3)] + [
    call(A, 2, 9), call(A, 3, 4, 0), call(A, axis=0), call(A, 5), call(A, 2, 0), call(A, norm="other"),
    call(np.array(1.0)), call(F32).close(2e-5), call(HALF, 2).close(2e-3), call(floats(1500), 2).close(1e-11),
    call(floats(1501), 3).close(1e-11), call(floats(1500), 4).close(1e-11)]
SEVERAL_COSINE = [call(A), call(B, 3), call(B, 2, axes=(0, 2)), call(B, 4, (2, 8), (0, 1)), call(A, norm="ortho"),
                  call(A, 1), call(A, 2, (3,))]

SAMPLES = {
    **{f: list(ONE) for f in (sf.fft, sf.ifft, sf.ihfft)},
    sf.rfft: list(ONE),
    **{f: [*ONE, call(HALF).close(2e-3)] for f in (sf.irfft, sf.hfft)},
    **{f: list(SEVERAL) for f in (sf.fftn, sf.ifftn, sf.rfftn, sf.irfftn, sf.hfftn, sf.ihfftn)},
    **{f: list(TWO) for f in (sf.fft2, sf.ifft2, sf.rfft2, sf.irfft2, sf.hfft2, sf.ihfft2)},
    **{f: list(COSINE) for f in (sf.dct, sf.idct, sf.dst, sf.idst)},
    **{f: list(SEVERAL_COSINE) for f in (sf.dctn, sf.idctn, sf.dstn, sf.idstn)},
    **{f: [call(8), call(9, 0.5), call(7, Number(0.1))] for f in (sf.fftfreq, sf.rfftfreq)},
    **{f: [call(A), call(B, (0, 2)), call(A, 1)] for f in (sf.fftshift, sf.ifftshift)},
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_scipy(function, sample):
    check(function, sample)


@pytest.mark.parametrize("function", (sf.dct, sf.dst))
@pytest.mark.parametrize("kind", (1, 2, 3, 4))
def test_compiled_and_its_derivative(function, kind):
    x, direction = floats(3, 9), floats(3, 9, seed=4)
    f = lambda x: function(x, kind)
    np.testing.assert_allclose(tracejit.jit(f)(x), f(x), rtol=1e-12, atol=1e-12)
    gradient = tracejit.jit(tracejit.grad(lambda x: (function(x, kind) ** 3).sum()))(x)
    want = (3 * f(x) ** 2 * f(direction)).sum()
    np.testing.assert_allclose((gradient * direction).sum(), want, rtol=1e-10)


def test_fast_convolution():
    """Sizes from next_fast_len are plain numbers."""
    def convolved(a, b):
        n = sf.next_fast_len(a.size + b.size - 1, real=True)
        return sf.irfft(sf.rfft(a, n) * sf.rfft(b, n), n)[:a.size + b.size - 1]

    a, b = floats(100), floats(37, seed=1)
    np.testing.assert_allclose(tracejit.jit(convolved)(a, b), np.convolve(a, b), atol=1e-12)
