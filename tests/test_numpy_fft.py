"""numpy.fft against NumPy: dtypes, sizes, axes, norms, errors; and the transforms themselves against exact sums."""

import mpmath
import numpy as np
import pytest
from numpy_samples import Number, any_arrays, bools, call, cases, check, floats, ints

import tracejit

A, B, LINE = floats(4, 6), floats(3, 4, 5), floats(12)
Z = floats(4, 6) + 1j * floats(4, 6, seed=1)
W = floats(2, 5, 3) + 1j * floats(2, 5, 3, seed=1)
F32, C64, HALF = A.astype(np.float32), Z.astype(np.complex64), A.astype(np.float16)
EMPTY, NONE = np.zeros((0, 4)), np.zeros((3, 0))
NORMS = (None, "backward", "ortho", "forward")
ONE = [call(a) for a in (A, Z, W, F32, C64, HALF, ints(3, 5), bools(3, 4), EMPTY, NONE, np.array(2.0), [1.0, 2, 3],
                         LINE, A.T, A[::2, ::-2], np.asfortranarray(Z), np.array([1.5]))] + [
    call(A, n) for n in (1, 3, 6, 9, 0, -1)] + [call(A, axis=k) for k in (0, 1, -2, 2)] + [
    call(A, norm=norm) for norm in (*NORMS, "other")] + [call(Z, 7, 0, "ortho"), call(A, 2.5), call(B, 8, 1)]
SEVERAL = [call(a) for a in (A, B, Z, W, F32, C64, ints(3, 4), EMPTY, LINE)] + [
    call(B, axes=(0, 2)), call(B, axes=(1,)), call(B, (2, 7), (0, 1)), call(B, s=(2, -1), axes=(0, 1)),
    call(A, norm="ortho"), call(A, norm="forward"), call(A, norm="other"), call(A, (3, 3, 3)), call(A, (3,), (0, 1)),
    call(A, axes=(0, 5)), call(A, axes=(0, 0)), call(A, (0, 3), (0, 1))]


def loose(calls):
    return [c.close(2e-5 if any(getattr(a, "dtype", None) in (np.float32, np.complex64) for a in c.args) else
                    2e-3 if any(getattr(a, "dtype", None) == np.float16 for a in c.args) else 1e-12) for c in calls]


def outs(shape, *dtypes):
    return [np.zeros(shape, d) for d in dtypes]


SAMPLES = {
    np.fft.fft: loose([*ONE, *(call(A, out=o) for o in outs((4, 6), complex, np.complex64)),
                       call(A, out=np.zeros((4, 5), complex))]),
    np.fft.ifft: loose([*ONE, call(Z, out=np.zeros((4, 6), complex))]),
    np.fft.rfft: loose([*ONE, call(A, out=np.zeros((4, 4), complex)), call(A, 7, out=np.zeros((4, 4), complex))]),
    np.fft.irfft: loose([*ONE, call(Z, 9), call(Z, 1), call(Z, out=np.zeros((4, 10)))]),
    np.fft.hfft: loose([*ONE, call(Z, 9), call(Z, out=np.zeros((4, 10)))]),
    np.fft.ihfft: loose([*ONE, call(A, out=np.zeros((4, 4), complex))]),
    np.fft.fftn: loose([*SEVERAL, call(B, axes=()), call(A, out=np.zeros((4, 6), complex))]),
    np.fft.ifftn: loose([*SEVERAL, call(Z, out=np.zeros((4, 6), complex))]),
    np.fft.fft2: loose([call(a) for a in (A, B, Z, F32, LINE)] + [call(B, (2, 3)), call(B, axes=(0, 1), norm="ortho")]),
    np.fft.ifft2: loose([call(a) for a in (A, B, Z, F32, LINE)]
                        + [call(B, (2, 3)), call(B, axes=(0, 1), norm="ortho")]),
    np.fft.rfftn: loose(SEVERAL),
    np.fft.irfftn: loose([*SEVERAL, call(W, (2, 5, 5)), call(W, (4, 3), (0, 2))]),
    np.fft.rfft2: loose([call(a) for a in (A, B, F32, LINE)] + [call(B, (2, 3)), call(B, axes=(0, 1), norm="ortho")]),
    np.fft.irfft2: loose([call(a) for a in (A, B, Z, LINE)] + [call(B, (2, 3)), call(B, axes=(0, 1), norm="ortho")]),
    np.fft.fftfreq: [call(8), call(9, 0.5), call(1), call(7, Number(0.1)), call(8, np.array(0.25)), call(4.0)],
    np.fft.rfftfreq: [call(8), call(9, 0.5), call(1), call(7, Number(0.1)), call(8, np.array(0.25)), call(4.0)],
    np.fft.fftshift: [call(a) for a in any_arrays()] + [call(B, 1), call(B, (0, 2)), call(B, axes=[1])],
    np.fft.ifftshift: [call(a) for a in any_arrays()] + [call(B, 1), call(B, (0, 2)), call(B, axes=[1])],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


# ---------------------------------------------------------------- compiled transforms
#: Every form of transform: short, powers of two, several small factors, primes with and without a pass, long ones.
SIZES = (*range(1, 34), 37, 47, 49, 53, 64, 77, 100, 121, 127, 128, 169, 243, 256, 500, 509, 512, 1000, 1001, 1009,
         1024, 1155, 2187, 3000, 4096, 5041, 8192, 10007, 16384, 19683, 40000)
LAYOUTS = (((), ()), ((7,), ()), ((19,), ()), ((), (3,)), ((2,), (21,)))


@pytest.mark.parametrize("dtype", (np.complex128, np.complex64))
@pytest.mark.parametrize("n", SIZES)
def test_transforms_of_every_size_and_layout(n, dtype):
    """Forward, inverse, real and back, by the compiled library, against NumPy in double precision."""
    rng = np.random.default_rng(n)
    eps = np.finfo(dtype).eps

    def close(got, want, where):
        assert got.shape == want.shape and got.real.dtype == np.zeros(0, dtype).real.dtype
        error = np.sqrt(np.mean(np.abs(got - want) ** 2) / np.mean(np.abs(want) ** 2))
        assert error < (0.6 + 0.4 * np.log2(n + 1)) * eps, f"{where}: {error / eps} eps"

    for before, behind in LAYOUTS if n < 3000 else LAYOUTS[:1]:
        x = (rng.normal(size=(*before, n, *behind)) + 1j * rng.normal(size=(*before, n, *behind))).astype(dtype)
        axis = len(before)
        wide, real = x.astype(complex), x.real.copy()
        forward, inverse, half, back = TRANSFORM(x, real, n, axis)
        close(forward, np.fft.fft(wide, axis=axis), f"fft of {x.shape}")
        close(inverse, np.fft.ifft(wide, axis=axis), f"ifft of {x.shape}")
        close(half, np.fft.rfft(real.astype(float), axis=axis), f"rfft of {x.shape}")
        close(back, np.fft.irfft(np.take(wide, range(n // 2 + 1), axis), n, axis=axis), f"irfft of {x.shape}")


@tracejit.jit(static_argnums=(2, 3))
def TRANSFORM(x, real, n, axis):
    half = np.take(x, range(n // 2 + 1), axis)
    back = np.fft.irfft(half, n, axis)
    return np.fft.fft(x, axis=axis), np.fft.ifft(x, axis=axis), np.fft.rfft(real, axis=axis), back


@pytest.mark.parametrize("n", (16, 60, 67, 128, 243))
def test_error_is_no_larger_than_numpys(n):
    """Against sums in 40 digits: the largest error stays within a few times NumPy's."""
    x = floats(n) + 1j * floats(n, seed=1)
    with mpmath.workdps(40):
        roots = [mpmath.expjpi(-mpmath.mpf(2 * e) / n) for e in range(n)]
        exact = [sum(mpmath.mpc(x[j]) * roots[j * k % n] for j in range(n)) for k in range(n)]
        ours, numpys = (max(float(abs(mpmath.mpc(g) - e)) for g, e in zip(got, exact))
                        for got in (tracejit.jit(np.fft.fft)(x), np.fft.fft(x)))
    assert ours < 3 * numpys + 1e-15


def test_single_precision_stays_single():
    f = tracejit.jit(lambda x: (np.fft.fft(x), np.fft.rfft(x), np.fft.irfft(np.fft.rfft(x))))
    assert [r.dtype for r in f(floats(64, dtype=np.float32))] == [np.complex64, np.complex64, np.float32]


def test_threads_transform_at_the_same_time():
    """Plans are made once and shared; scratch memory belongs to a thread."""
    from concurrent.futures import ThreadPoolExecutor

    f = tracejit.jit(lambda x: np.fft.ifft(np.fft.fft(x)))
    arrays = [floats(n) + 0j for n in (771, 1030, 1031, 2049, 4100) for _ in range(4)]
    for x in arrays:
        f(x)  # compiled; the plans of the next sizes are new
    g = tracejit.jit(lambda x: np.fft.irfft(np.fft.rfft(x), x.shape[-1]))
    with ThreadPoolExecutor(4) as pool:
        for x, y in zip(arrays, pool.map(f, arrays)):
            np.testing.assert_allclose(y, x, atol=1e-13)
        for x, y in zip(arrays, pool.map(g, [x.real.copy() for x in arrays])):
            np.testing.assert_allclose(y, x.real, atol=1e-13)


# ---------------------------------------------------------------- derivatives
@pytest.mark.parametrize("f", [
    lambda x: np.abs(np.fft.fft(x)).sum(), lambda x: (np.abs(np.fft.rfft(x)) ** 3).sum(),
    lambda x: (np.fft.irfft(np.fft.rfft(x) ** 2, 8) ** 3).sum(), lambda x: (np.fft.irfft(x + 0j, 9) ** 3).sum(),
    lambda x: np.fft.fft(x, 5)[2].real ** 2, lambda x: np.fft.ifft2(np.outer(x, x))[1, 2].imag,
    lambda x: (np.fft.fftshift(np.fft.fftn(x.reshape(2, 4))).real ** 3).sum(), lambda x: (np.fft.hfft(x) ** 3).sum(),
    lambda x: np.abs(np.fft.ihfft(x)).sum()])
def test_derivatives(f):
    x, direction = floats(8), floats(8, seed=3)
    want = (f(x + 1e-6 * direction) - f(x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(tracejit.jit(tracejit.grad(f))(x) @ direction, want, rtol=1e-6)
    np.testing.assert_allclose(tracejit.jvp(f, (x,), (direction,))[1], want, rtol=1e-6)
    along = tracejit.grad(lambda x: (tracejit.grad(f)(x) * direction).sum())(x)
    gradient = tracejit.grad(f)
    want = (gradient(x + 1e-6 * direction) - gradient(x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(along, want, rtol=1e-5, atol=1e-6)
