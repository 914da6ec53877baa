"""`tracejit.numpy` and the Python array API standard 2024.12: every name, inside and outside of jitted functions."""

import numpy as np
import pytest

import tracejit.numpy as tnp
from tracejit import jit
from tracejit.errors import UnsupportedError

X = np.array([[1.5, -2.0, 0.25], [3.0, 0.5, -1.0]])
Y = np.array([[0.5, 2.0, 4.0], [1.0, -0.5, 2.0]])
N = np.array([[1, 5, 2], [7, 0, 3]])
S = np.array([[4.0, 1.0], [1.0, 3.0]])
Z = X + 1j * Y

UNARY = ("abs acos acosh asin asinh atan atanh ceil cos cosh exp expm1 floor isfinite isinf isnan log log10 log1p log2 "
         "negative positive reciprocal round sign signbit sin sinh sqrt square tan tanh trunc").split()
BINARY = ("add atan2 copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp maximum "
          "minimum multiply nextafter not_equal pow remainder subtract").split()
INTEGERS = "bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor".split()
LOGIC = "logical_and logical_or logical_xor".split()
STATISTICS = "max mean min prod std sum var all any count_nonzero argmax argmin".split()
#: Each name of the standard → uses of it, as functions of the namespace.
USES = {
    **{n: [lambda xp, n=n: getattr(xp, n)(xp.asarray(X))] for n in UNARY},
    **{n: [lambda xp, n=n: getattr(xp, n)(xp.asarray(X), xp.asarray(Y)),
           lambda xp, n=n: getattr(xp, n)(xp.asarray(X), 2.0)] for n in BINARY},
    **{n: [lambda xp, n=n: getattr(xp, n)(xp.asarray(N), xp.asarray([1, 2, 3]))] for n in INTEGERS},
    **{n: [lambda xp, n=n: getattr(xp, n)(xp.asarray(X) > 0, xp.asarray(Y) > 1)] for n in LOGIC},
    **{n: [lambda xp, n=n: getattr(xp, n)(xp.asarray(X)), lambda xp, n=n: getattr(xp, n)(
        xp.asarray(X), axis=1, keepdims=True)] for n in STATISTICS},
    "logical_not": [lambda xp: xp.logical_not(xp.asarray(X) > 0)], "bitwise_invert": [lambda xp: xp.bitwise_invert(N)],
    "real": [lambda xp: xp.real(Z)], "imag": [lambda xp: xp.imag(Z)], "conj": [lambda xp: xp.conj(Z)],
    "clip": [lambda xp: xp.clip(X, -1.0, 1.0), lambda xp: xp.clip(X, min=0.0)],
    # creation
    "arange": [lambda xp: xp.arange(5), lambda xp: xp.arange(1, 9, 2, dtype=xp.float32)],
    "asarray": [lambda xp: xp.asarray([1.0, 2.0]), lambda xp: xp.asarray(X, dtype=xp.float32, copy=True)],
    "empty": [lambda xp: xp.empty((2, 0))], "empty_like": [lambda xp: xp.empty_like(X).shape],
    "eye": [lambda xp: xp.eye(3, 4, k=1, dtype=xp.int32)], "from_dlpack": [lambda xp: xp.from_dlpack(xp.asarray(X))],
    "full": [lambda xp: xp.full((2, 3), 7)], "full_like": [lambda xp: xp.full_like(X, 7.0)],
    "linspace": [lambda xp: xp.linspace(0, 1, 5), lambda xp: xp.linspace(0, 1, 5, endpoint=False)],
    "meshgrid": [lambda xp: xp.meshgrid(xp.arange(3), xp.arange(2), indexing="ij")],
    "ones": [lambda xp: xp.ones((2, 3), device="cpu")], "ones_like": [lambda xp: xp.ones_like(X)],
    "tril": [lambda xp: xp.tril(X, k=1)], "triu": [lambda xp: xp.triu(X)], "zeros": [lambda xp: xp.zeros(4)],
    "zeros_like": [lambda xp: xp.zeros_like(N)],
    # dtypes
    "astype": [lambda xp: xp.astype(xp.asarray(X), xp.int64)], "broadcast_arrays": [
        lambda xp: xp.broadcast_arrays(xp.asarray(X), xp.asarray([1.0, 2.0, 3.0]))],
    "broadcast_to": [lambda xp: xp.broadcast_to(xp.asarray([1.0, 2.0, 3.0]), (2, 3))],
    "can_cast": [lambda xp: xp.can_cast(xp.int32, xp.float64)], "finfo": [lambda xp: xp.finfo(xp.float32).bits],
    "iinfo": [lambda xp: xp.iinfo(xp.int8).max], "isdtype": [
        lambda xp: [xp.isdtype(xp.asarray(X).dtype, k) for k in ("real floating", "integral", xp.float64)]],
    "result_type": [lambda xp: str(xp.result_type(xp.int8, xp.float32))],
    # indexing, searching, sorting, sets
    "take": [lambda xp: xp.take(X, xp.asarray([1, 0]), axis=0)],
    "take_along_axis": [lambda xp: xp.take_along_axis(xp.asarray(X), xp.argsort(xp.asarray(X), axis=1), axis=1)],
    "nonzero": [lambda xp: xp.nonzero(xp.asarray(N))],
    "searchsorted": [lambda xp: xp.searchsorted(xp.asarray([1.0, 2.0, 4.0]), xp.asarray([0.5, 2.0]), side="right")],
    "where": [lambda xp: xp.where(xp.asarray(X) > 0, xp.asarray(X), 0.0)],
    "argsort": [lambda xp: xp.argsort(xp.asarray(X), axis=0, stable=True)],
    "sort": [lambda xp: xp.sort(xp.asarray(X)), lambda xp: xp.sort(xp.asarray(N), stable=True)],
    **{n: [lambda xp, n=n: tuple(getattr(xp, n)(xp.asarray([3, 1, 3, 2])))]
       for n in ("unique_all", "unique_counts", "unique_inverse")},
    "unique_values": [lambda xp: xp.sort(xp.unique_values(xp.asarray([3, 1, 3, 2])))],
    # statistics over an axis that stays
    "cumulative_sum": [lambda xp: xp.cumulative_sum(xp.asarray(X), axis=1, include_initial=True)],
    "cumulative_prod": [lambda xp: xp.cumulative_prod(xp.asarray([1.0, 2.0, 3.0]))],
    "diff": [lambda xp: xp.diff(xp.asarray(X), axis=1)],
    # manipulation
    "concat": [lambda xp: xp.concat([xp.asarray(X), xp.asarray(Y)], axis=1), lambda xp: xp.concat((X, Y), axis=None)],
    "expand_dims": [lambda xp: xp.expand_dims(X, axis=1)], "flip": [lambda xp: xp.flip(xp.asarray(X), axis=1)],
    "moveaxis": [lambda xp: xp.moveaxis(xp.asarray(X), 0, 1)], "permute_dims": [
        lambda xp: xp.permute_dims(xp.asarray(X), (1, 0))],
    "repeat": [lambda xp: xp.repeat(xp.asarray(X), 2, axis=0)],
    "reshape": [lambda xp: xp.reshape(X, (3, 2), copy=True)],
    "roll": [lambda xp: xp.roll(xp.asarray(X), 1, axis=1)], "squeeze": [lambda xp: xp.squeeze(X[None], axis=0)],
    "stack": [lambda xp: xp.stack([X, Y], axis=1)], "tile": [lambda xp: xp.tile(xp.asarray(X), (2, 1))],
    "unstack": [lambda xp: xp.unstack(xp.asarray(X), axis=1)],
    # products
    "matmul": [lambda xp: xp.matmul(X, Y.T)], "matrix_transpose": [lambda xp: xp.matrix_transpose(xp.asarray(X))],
    "tensordot": [lambda xp: xp.tensordot(X, Y, axes=2)], "vecdot": [lambda xp: xp.vecdot(X, Y)],
    # constants and information
    **{n: [lambda xp, n=n: float(getattr(xp, n))] for n in ("e", "inf", "nan", "pi")},
    "newaxis": [lambda xp: xp.asarray(X)[:, xp.newaxis]],
    "__array_api_version__": [lambda xp: xp.__array_api_version__],
    "__array_namespace_info__": [lambda xp: sorted(xp.__array_namespace_info__().capabilities())],
}
LINALG = {
    "cholesky": lambda xp: xp.linalg.cholesky(S), "cross": lambda xp: xp.linalg.cross(X, Y),
    "det": lambda xp: xp.linalg.det(S), "diagonal": lambda xp: xp.linalg.diagonal(S, offset=0),
    "eigh": lambda xp: xp.linalg.eigh(S).eigenvalues, "eigvalsh": lambda xp: xp.linalg.eigvalsh(S),
    "inv": lambda xp: xp.linalg.inv(S), "matmul": lambda xp: xp.linalg.matmul(X, Y.T),
    "matrix_norm": lambda xp: xp.linalg.matrix_norm(S), "matrix_power": lambda xp: xp.linalg.matrix_power(S, 3),
    "matrix_rank": lambda xp: xp.linalg.matrix_rank(S), "matrix_transpose": lambda xp: xp.linalg.matrix_transpose(X),
    "outer": lambda xp: xp.linalg.outer(X[0], Y[1]), "pinv": lambda xp: xp.linalg.pinv(X),
    "qr": lambda xp: abs(xp.linalg.qr(S).R), "slogdet": lambda xp: xp.linalg.slogdet(S).logabsdet,
    "solve": lambda xp: xp.linalg.solve(S, S[:, 0]), "svd": lambda xp: xp.linalg.svd(X, full_matrices=False).S,
    "svdvals": lambda xp: xp.linalg.svdvals(X), "tensordot": lambda xp: xp.linalg.tensordot(X, Y, axes=2),
    "trace": lambda xp: xp.linalg.trace(S), "vecdot": lambda xp: xp.linalg.vecdot(X, Y),
    "vector_norm": lambda xp: xp.linalg.vector_norm(X, axis=1, keepdims=True, ord=1),
}
FFT = {
    **{n: lambda xp, n=n: getattr(xp.fft, n)(Z) for n in "fft ifft fftn ifftn hfft irfft irfftn".split()},
    **{n: lambda xp, n=n: getattr(xp.fft, n)(X) for n in "rfft rfftn ihfft".split()},
    "fftfreq": lambda xp: xp.fft.fftfreq(5, d=0.5), "rfftfreq": lambda xp: xp.fft.rfftfreq(5),
    "fftshift": lambda xp: xp.fft.fftshift(xp.asarray(X)), "ifftshift": lambda xp: xp.fft.ifftshift(xp.asarray(X)),
}
ALL = [pytest.param(use, id=f"{name}-{k}") for name, uses in USES.items() for k, use in enumerate(uses)] + [
    pytest.param(use, id=f"{part}.{name}") for part, table in (("linalg", LINALG), ("fft", FFT))
    for name, use in table.items()]


def same(got, want):
    if isinstance(want, (tuple, list)):
        assert len(got) == len(want)
        for g, w in zip(got, want):
            same(g, w)
        return
    assert np.shape(got) == np.shape(want) and getattr(got, "dtype", None) == getattr(want, "dtype", None)
    if isinstance(want, (str, bool, type(None))):
        assert got == want
    else:
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("use", ALL)
def test_inside_as_outside(use):
    """The module and the namespace of an array give the same inside a jitted function, and NumPy's outside."""
    with np.errstate(all="ignore"):
        want = use(np)
        same(use(tnp), want)
        same(jit(lambda: use(tnp))(), want)
        same(jit(lambda x: use(x.__array_namespace__()))(X), want)


def test_from_import_too():
    from tracejit.numpy import asarray, cos, float64, zeros

    f = jit(lambda x: cos(x) + zeros(3) + asarray([x[0], 1.0, 2.0]) + float64(x[0]))
    x = np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(f(x), np.cos(x) + np.array([0.5, 1, 2]) + 0.5, rtol=1e-14)
    assert cos is np.cos and tnp.sum is np.sum and tnp.linalg is np.linalg


def test_in_code_that_tracing_does_not_convert():
    """A library's function, which is given the namespace, makes arrays through it."""
    space = {"__name__": "numpy_like_library.of_somebody"}
    exec("def f(xp, x):\n    return xp.stack([x, xp.zeros(3), xp.asarray([x[0], 1.0, 2.0])])", space)
    f = jit(lambda x: space["f"](tnp, x))
    x = np.array([0.5, 1.0, 2.0])
    same(f(x), space["f"](np, x))


def test_names_are_numpys():
    assert set(dir(tnp)) >= set(USES) - {"__array_api_version__"}
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        tnp.no_such_name
    with pytest.raises(AttributeError, match="no_such_name"):
        jit(lambda x: tnp.no_such_name(x))(X)


def test_arrays_have_what_the_standard_asks_for():
    names = "dtype device mT ndim shape size T to_device __array_namespace__".split()
    jit(lambda x: [getattr(x, n) for n in names] and x)(X)
    got = jit(lambda x: (x.mT, x.T, x.to_device("cpu"), x[..., None, 1]))(X)
    same(got, (X.mT, X.T, X, X[..., None, 1]))
    with pytest.raises(UnsupportedError, match="dlpack"):
        jit(lambda x: x.__dlpack__())(X)


def test_scipys_names():
    import scipy

    from tracejit.scipy import fft, linalg, ndimage, signal, special

    assert special.jv is scipy.special.jv and set(dir(signal)) == set(dir(scipy.signal))
    f = lambda m, s, n, g, x: (m.jv(1.0, x), s.detrend(x), n.gaussian_filter(x, 1.0), g.solve(S, x[:, :2].T[:2]))
    got = jit(lambda x: f(special, signal, ndimage, linalg, x))(X)
    want = f(scipy.special, scipy.signal, scipy.ndimage, scipy.linalg, X)
    same(got, want)
    same(jit(lambda x: fft.fft(x))(X), scipy.fft.fft(X))
