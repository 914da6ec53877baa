"""Factorizations, eigenvalues, least squares and norms against NumPy, and their derivatives."""

import ctypes

import numpy as np
import pytest
from numpy_samples import call, cases, check, floats, ints

import tracejit
from tracejit.kernels import blas

A, S = floats(4, 3), floats(3, 3, seed=2)
WIDE, STACK = floats(3, 5), floats(2, 4, 3)
Z = floats(4, 3) + 1j * floats(4, 3, seed=1)
SYMMETRIC, HERMITIAN = S + S.T, (S + 1j * floats(3, 3)) + (S + 1j * floats(3, 3)).conj().T
SQUARES = np.stack([SYMMETRIC, S @ S.T])
F32, C64 = A.astype(np.float32), Z.astype(np.complex64)
I, FORTRAN, STRIDED = ints(4, 3), np.asfortranarray(A), floats(8, 6)[::2, ::-2]
HALF, VECTOR = A.astype(np.float16), floats(3)
RANK_ONE = np.outer(np.arange(1.0, 5), np.arange(1.0, 4))
EMPTY, FLAT, NONE = np.zeros((0, 3)), np.zeros((3, 0)), np.zeros((0, 2, 2))
NAN = np.where(np.eye(3, dtype=bool), np.nan, S)

MATRICES = [A, WIDE, STACK, Z, F32, C64, I, FORTRAN, STRIDED, EMPTY, FLAT, NONE]
WRONG = [HALF, VECTOR, np.array(2.0)]

SAMPLES = {
    np.linalg.qr: [call(a) for a in (*MATRICES, *WRONG)] + [
        call(a, mode) for a in (A, WIDE, STACK, Z, EMPTY, FLAT) for mode in ("complete", "r", "raw")] + [
        call(A, "other"), call(A, mode="reduced"), call([[1.0, 2], [3, 4]])],
    np.linalg.svd: [call(a) for a in (*MATRICES, *WRONG)] + [
        call(a, full_matrices=False) for a in (A, WIDE, STACK, Z, EMPTY, FLAT)] + [
        call(a, compute_uv=False) for a in (A, STACK, Z, F32, EMPTY)] + [
        call(SYMMETRIC, hermitian=True), call(SQUARES, True, False, True), call(HERMITIAN, hermitian=True), call(NAN)],
    np.linalg.svdvals: [call(a) for a in (A, STACK, Z, F32, EMPTY, VECTOR)],
    np.linalg.pinv: [call(a).close(1e-9) for a in (A, WIDE, STACK, Z, I, EMPTY, VECTOR)] + [
        call(F32).close(1e-5), call(RANK_ONE).close(1e-9), call(A, 0.5).close(1e-9), call(A, rtol=0.5).close(1e-9),
        call(A, rtol=None).close(1e-9), call(A, 0.1, rtol=0.1), call(STACK, np.array([0.1, 0.9])).close(1e-9),
        call(SYMMETRIC, hermitian=True).close(1e-9), call(HERMITIAN, hermitian=True).close(1e-9), call(I, rtol=None)],
    np.linalg.matrix_rank: [call(a) for a in (A, STACK, Z, RANK_ONE, F32, I, EMPTY, VECTOR, np.zeros(3), np.array(0.0))]
        + [call(A, 2.0), call(A, rtol=0.5), call(A, 1.0, rtol=0.5), call(SYMMETRIC, hermitian=True),
           call(STACK, tol=np.array([0.5, 9.0])), call(STACK, rtol=np.array([0.1, 0.9]))],
    np.linalg.eigh: [call(a) for a in (SYMMETRIC, SQUARES, HERMITIAN, SYMMETRIC.astype(np.float32), ints(3, 3), NONE,
                                       np.zeros((0, 0)), A, *WRONG)] + [
        call(S, "U"), call(S, UPLO="u"), call(S, "l"), call(S, "X")],
    np.linalg.eigvalsh: [call(a) for a in (SYMMETRIC, SQUARES, HERMITIAN, ints(3, 3), NONE, A, *WRONG)] + [
        call(S, "U"), call(S, "X")],
    np.linalg.eig: [call(a) for a in (SYMMETRIC, SQUARES, floats(5, 5), floats(2, 3, 3), HERMITIAN, ints(3, 3), NONE,
                                      S.astype(np.float32), np.zeros((0, 0)), A, NAN, *WRONG)],
    np.linalg.eigvals: [call(a) for a in (SYMMETRIC, floats(5, 5), floats(2, 3, 3), HERMITIAN, ints(3, 3), NONE,
                                          S.astype(np.float32), A, NAN, *WRONG)],
    np.linalg.lstsq: [call(A, floats(4)), call(A, floats(4, 2)), call(WIDE, VECTOR), call(S, floats(3, 2)),
                      call(RANK_ONE, floats(4)), call(Z, floats(4)), call(A, Z), call(F32, floats(4, dtype=np.float32)),
                      call(I, ints(4)), call(A, floats(4), 0.9), call(A, floats(3)), call(STACK, floats(2, 4)),
                      call(A, floats(4, 0)), call(EMPTY, floats(0)), call(FLAT, floats(3)),
                      call(A, floats(4), rcond=-1),
                      call(HALF, floats(4))],
    np.linalg.norm: [call(a, o).close(1e-11) for a in (A, WIDE, Z) for o in (2, -2, "nuc")] + [
        call(STACK, 2, (1, 2)).close(1e-11), call(STACK, "nuc", (2, 0), True).close(1e-11), call(STACK, -2, (0, 1)),
        call(F32, 2), call(I, "nuc"), call(EMPTY, 2), call(EMPTY, "nuc"), call(EMPTY, -2), call(EMPTY, 1)],
    np.linalg.matrix_norm: [call(A, ord=2), call(STACK, ord="nuc", keepdims=True), call(STACK, ord=-2)],
    np.linalg.cond: [call(a).close(1e-9) for a in (A, S, SQUARES, Z, EMPTY, I)] + [
        call(S, p).close(1e-9) for p in (2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc", "wrong")] + [
        call(np.zeros((2, 2)), 1), call(np.stack([S, np.zeros((3, 3))]), 1).close(1e-9), call(NAN, 1),
        call(S.astype(np.float32)).close(1e-5), call(S.astype(np.float32), 1).close(1e-5), call(np.zeros((2, 2))),
        call(A, 1)],
    np.linalg.slogdet: [call(HERMITIAN + 1j * S), call(HERMITIAN.astype(np.complex64)), call(np.zeros((2, 2), complex)),
                        call(np.zeros((0, 0)))],
    np.linalg.det: [call(S.astype(np.float32)), call(HERMITIAN)],
    np.linalg.matrix_power: [call(S, 3), call(S, 1), call(S, -1), call(ints(3, 3), -2).close(1e-9)],
    np.linalg.vecdot: [call(A, A), call(ints(4, 3), ints(4, 3)), call(Z, A), call(A, A, axis=0), call(A, VECTOR[:2])],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


# ---------------------------------------------------------------- results that depend on the content
def test_real_eigenvalues_are_real_and_complex_ones_complex():
    f = tracejit.jit(np.linalg.eigvals)
    rotation = np.array([[0.0, -1], [1, 0]])
    for a in (np.diag([1.0, 2.0]), rotation, np.diag([3.0, 4.0]), 2 * rotation):
        got, want = f(a), np.linalg.eigvals(a)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want)


def test_residuals_are_given_at_full_rank():
    f = tracejit.jit(lambda a, b: np.linalg.lstsq(a, b)[1])
    b = floats(4)
    for a in (A, RANK_ONE, A + 1):
        np.testing.assert_allclose(f(a, b), np.linalg.lstsq(a, b)[1])


def test_errors_of_lapack_are_raised_at_run_time():
    bad = np.full((3, 3), np.nan)
    for function in (np.linalg.svd, np.linalg.eig, np.linalg.eigvals):
        jitted = tracejit.jit(function)
        jitted(S)
        with pytest.raises(np.linalg.LinAlgError) as caught:
            jitted(bad)
        with pytest.raises(np.linalg.LinAlgError) as expected:
            function(bad)
        assert str(caught.value) == str(expected.value)
        jitted(S)


# ---------------------------------------------------------------- derivatives
def differences(f, x, direction, step=1e-5):
    return (f(x + step * direction) - f(x - step * direction)) / (2 * step)


@pytest.mark.parametrize("f, x", [
    (lambda a: np.linalg.det(a), np.zeros((3, 3))),
    (lambda a: np.linalg.det(a), np.diag([1.0, 2.0, 0.0])),
    (lambda a: np.linalg.det(a), np.outer([1.0, 2.0, 3.0], [2.0, 1.0, 0.5])),
    (lambda a: np.linalg.det(a), S),
    (lambda a: np.linalg.pinv(a).sum(), np.eye(3)),
    (lambda a: (np.linalg.pinv(a) ** 2).sum(), A),
    (lambda a: np.linalg.norm(a, 2), A),
    (lambda a: np.linalg.norm(a, "nuc"), np.eye(3)),
    (lambda a: np.linalg.cond(a), A),
    (lambda a: np.linalg.eigvalsh(a + a.T).prod(), S),
    (lambda a: np.trace(np.linalg.eigh(a @ a.T)[1][:, :1] @ np.linalg.eigh(a @ a.T)[1][:, :1].T @ a), S),
    (lambda a: (np.abs(np.linalg.eigvals(a)) ** 3).sum(), S),
    (lambda a: np.abs(np.linalg.qr(a)[0]).sum(), A),
    (lambda a: np.linalg.qr(a, "r")[0, 1], WIDE),
    (lambda a: np.linalg.lstsq(a, a[:, 0] ** 2)[0].sum(), A),
    (lambda a: np.linalg.lstsq(a, a[:, 0] ** 2)[1].sum(), A),
    (lambda a: np.linalg.lstsq(a, a[:, 0] ** 2)[0].sum(), WIDE),
    (lambda a: np.linalg.slogdet(a)[1], S),
    (lambda a: np.linalg.matrix_power(a, 3).sum() + np.linalg.inv(a)[0, 1], S),
], ids=range(19))
def test_derivatives_are_the_limit_of_differences(f, x):
    direction = floats(*x.shape, seed=9)
    want = differences(f, x, direction)
    gradient = tracejit.jit(tracejit.grad(f))(x)
    np.testing.assert_allclose((gradient * direction).sum(), want, rtol=1e-5, atol=1e-7)
    _, tangent = tracejit.jvp(f, (x,), (direction,))
    np.testing.assert_allclose(tangent, want, rtol=1e-5, atol=1e-7)


def test_determinant_of_complex_singular_matrices_has_a_derivative():
    a = np.outer([1.0, 2j, 3.0], [2.0, 1.0, 1j])
    f = lambda a: np.abs(np.linalg.det(a) + 1) ** 2
    direction = floats(3, 3) + 1j * floats(3, 3, seed=1)
    gradient = tracejit.jit(tracejit.grad(f))(a)
    want = differences(f, a, direction)
    np.testing.assert_allclose(np.real((gradient * direction).sum()), want, rtol=1e-5, atol=1e-8)


def test_threads_of_the_library_are_as_before():
    """Small matrices are factored by one thread; who computes afterwards has all of them, also after an error."""
    address = blas.pointer("blas_get_threads")
    threads = ctypes.CFUNCTYPE(ctypes.c_int)(address) if address else lambda: 1  # not OpenBLAS
    before = threads()
    factor = tracejit.jit(np.linalg.cholesky)
    factor(np.eye(3))
    assert threads() == before
    with pytest.raises(np.linalg.LinAlgError):
        factor(-np.eye(3))
    assert threads() == before
