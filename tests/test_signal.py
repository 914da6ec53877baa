"""scipy.signal in traced code: SciPy's answer over dtypes, shapes and modes, and derivatives."""

import numpy as np
import pytest
from numpy_samples import call, cases, check, floats, ints
from scipy import signal

from tracejit import grad, jit
from tracejit.testing import check_grads

X, Y, A, K = floats(40), floats(7, seed=1), floats(6, 9), floats(3, 2, seed=2)
I, J, Z = ints(40), ints(5), floats(40) + 1j * floats(40, seed=4)
LONG, LARGE = floats(900), floats(400, seed=7)
B2, A2 = np.array([0.2, 0.3, 0.1]), np.array([2.0, -0.5, 0.25])
SOS = signal.butter(5, 0.3, output="sos")
ROWS = floats(3, 40)


def pairs(single=1e-11, **kwargs):
    """Calls of convolutions over modes, dtypes and shapes."""
    return [call(X, Y, mode=m, **kwargs).close(1e-11) for m in ("full", "same", "valid")] + [
        call(Y, X, mode=m, **kwargs).close(1e-11) for m in ("full", "same", "valid")] + [
        call(A, K, mode=m, **kwargs).close(1e-11) for m in ("full", "same", "valid")] + [
        call(K, A, mode="valid", **kwargs).close(1e-11), call(Z, Y, **kwargs).close(1e-11),
        call(X, Z[:5], mode="same", **kwargs).close(1e-11), call(X.astype("f4"), Y.astype("f4"), **kwargs).close(1e-5),
        call(X.astype("f4"), Y, **kwargs).close(single), call(A, Y, **kwargs), call(A, K, mode="no", **kwargs),
        call(floats(3, 20), floats(20, 3), mode="valid", **kwargs), call([1.0, 2.0, 3.0], [0.5, 1.0], **kwargs),
        call(floats(3, 4, 5), floats(2, 2, 2), **kwargs).close(1e-11)]


def planes():
    """Calls of plane convolutions over modes and borders."""
    return [call(A, K, mode=m, boundary=b, fillvalue=v).close(1e-11) for m in ("full", "same", "valid")
            for b, v in (("fill", 0), ("fill", 1.5), ("wrap", 0), ("symm", 0))] + [
        call(K, A, mode="valid").close(1e-11), call(ints(5, 6), ints(2, 2)),
        call(A, K[:, :1], mode="same").close(1e-11),
        call(A, floats(4, 4), mode="same").close(1e-11), call(A + 1j, K * 1j).close(1e-11), call(X, Y),
        call(A, K, boundary="no"), call(floats(3, 8), floats(8, 3), mode="valid")]


SAMPLES = {
    signal.convolve: pairs() + pairs(method="direct")[:4] + pairs(method="fft")[:4] + [
        call(I, J), call(I, J, method="fft"), call(LONG, LARGE).close(1e-10), call(LONG, LARGE, "same").close(1e-10),
        call(X, Y, method="no")],
    signal.correlate: pairs() + [call(I, J), call(Z, Z[:7]).close(1e-11), call(LONG, LARGE, "valid").close(1e-10)],
    signal.fftconvolve: pairs(1e-5) + [call(I, J).close(1e-11), call(ROWS, ROWS[:, :5], axes=1).close(1e-11),
                                   call(ROWS, floats(1, 5), axes=-1).close(1e-11), call(X, np.zeros(0)),
                                   call(A, floats(6, 3), mode="same", axes=(1,)).close(1e-11)],
    signal.oaconvolve: [call(X, Y).close(1e-11), call(A, K, "same").close(1e-11), call(LONG, Y, "valid").close(1e-11)],
    signal.convolve2d: planes(), signal.correlate2d: planes(),
    signal.lfilter: [
        call(B2, A2, X).close(1e-12), call(B2, A2, ROWS).close(1e-12), call(B2, A2, ROWS, 0).close(1e-12),
        call([0.5], [1.0, -0.9], X).close(1e-12), call(B2, [2.0], X).close(1e-12), call([2.0], [4.0], X),
        call(B2, A2, X.astype("f4")).close(1e-12), call(B2.astype("f4"), A2.astype("f4"), X.astype("f4")).close(1e-5),
        call(B2, A2, Z).close(1e-12), call(B2 * 1j, A2, X).close(1e-12), call(B2, A2, I).close(1e-12),
        call(B2, A2, X, zi=np.array([0.5, -1.0])).close(1e-12), call(B2, A2, ROWS, zi=np.ones((3, 2))).close(1e-12),
        call(B2, A2, ROWS, 0, np.ones((2, 40))).close(1e-12), call(B2, A2, ROWS, zi=np.ones((1, 2))).close(1e-12),
        call(B2, A2, X, zi=np.ones(3)), call(np.zeros(0), A2, X), call(B2, A2, np.zeros(0))],
    signal.sosfilt: [
        call(SOS, X).close(1e-12), call(SOS, ROWS).close(1e-12), call(SOS, ROWS, 0).close(1e-12),
        call(SOS, Z).close(1e-12), call(SOS.astype("f4"), X.astype("f4")).close(1e-4),
        call(SOS, X, zi=np.ones((3, 2))).close(1e-12), call(SOS, ROWS, zi=np.ones((3, 3, 2))).close(1e-12),
        call(SOS[:, :5], X), call(SOS, X, zi=np.ones((2, 2)))],
    signal.lfilter_zi: [call(B2, A2).close(1e-13), call([1.0, 2.0], [1.0, 0.5, 0.25]).close(1e-13),
                        call(B2, [2.0]).close(1e-13), call(A, A2)],
    signal.sosfilt_zi: [call(SOS).close(1e-10), call(A)],
    signal.filtfilt: [call(B2, A2, X).close(1e-11), call(B2, A2, ROWS).close(1e-11), call(B2, [1.0], X).close(1e-11),
                      call(B2, A2, ROWS.T.copy(), 0).close(1e-11), call([2.0], [1.0], X).close(1e-11),
                      *[call(B2, A2, X, padtype=t, padlen=p).close(1e-11) for t, p in (
                          ("even", 5), ("constant", None), (None, None), ("odd", 0), ("no", 3), ("odd", 90))],
                      call(B2, A2, X, method="no")],
    signal.sosfiltfilt: [call(SOS, X).close(1e-10), call(SOS, ROWS, padtype="even", padlen=6).close(1e-10),
                         call(SOS, ROWS.T.copy(), 0, padlen=9).close(1e-10), call(A, X)],
    signal.medfilt: [call(X), call(X, 5), call(A), call(A, (3, 5)), call(I, 7), call(A, 3), call(X, 4), call(Z),
                     call(X.astype("f4"), 3)],
    signal.savgol_filter: [call(X, 7, 2).close(1e-10), call(X, 7, 3, deriv=1, delta=0.1).close(1e-9),
                           call(ROWS, 5, 2, axis=-1).close(1e-10), call(ROWS.T.copy(), 5, 2, axis=0).close(1e-10),
                           call(X.astype("f4"), 7, 2).close(1e-4), call(I, 5, 2).close(1e-10), call(X, 50, 2),
                           *[call(X, 7, 2, mode=m, cval=0.5).close(1e-11)
                             for m in ("mirror", "constant", "nearest", "wrap", "no")]],
    signal.detrend: [call(X).close(1e-11), call(ROWS, 0).close(1e-11), call(ROWS, type="constant").close(1e-12),
                     call(X, bp=[10, 25]).close(1e-11), call(X.astype("f4")).close(1e-4), call(Z).close(1e-11),
                     call(I).close(1e-11), call(X, type="no"), call(X, bp=100)],
    signal.hilbert: [call(X).close(1e-11), call(ROWS, axis=0).close(1e-11), call(X, 41).close(1e-11), call(Z),
                     call(X, 16).close(1e-11), call(X.astype("f4")).close(1e-5), call(X, 0)],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_scipy(function, sample):
    check(function, sample)


@pytest.mark.parametrize("f", [
    lambda x: signal.lfilter(B2, A2, x), lambda x: signal.lfilter(x[:3], [1.0, 0.5, -0.2], x),
    lambda x: signal.lfilter([1.0, 0.5], np.stack([1 + x[0] ** 2, x[1], x[2]]), x),
    lambda x: signal.lfilter(B2, A2, x, zi=x[:2])[1], lambda x: signal.sosfilt(SOS, x),
    lambda x: signal.convolve(x, x[:5], "same"), lambda x: signal.fftconvolve(x, x[:5]),
    lambda x: signal.filtfilt(B2, A2, x, padlen=4), lambda x: signal.savgol_filter(x, 5, 2),
    lambda x: signal.detrend(x**2), lambda x: abs(signal.hilbert(x))])
def test_derivatives(f):
    check_grads(f, (floats(8, seed=11),), order=2)


def test_a_filters_coefficients_can_be_learned():
    """Gradient descent on the coefficients of a filter finds those that made the signal."""
    x = floats(200)
    want = signal.lfilter([0.5, 0.2], [1.0, -0.4], x)

    @jit
    def step(p):
        loss = lambda p: np.mean((signal.lfilter(p[:2], np.stack([1.0, p[2]]), x) - want) ** 2)
        return p - 0.3 * grad(loss)(p)

    p = np.array([0.1, 0.1, 0.0])
    for _ in range(800):
        p = step(p)
    np.testing.assert_allclose(p, [0.5, 0.2, -0.4], atol=1e-3)


def test_many_rows_go_to_threads():
    x = floats(500, 100)
    f = lambda x: signal.lfilter(B2, A2, x)
    np.testing.assert_allclose(jit(f)(x), f(x), rtol=1e-12, atol=1e-13)
