"""scipy.linalg against SciPy: defaults, options, dtypes, stacks, errors; and derivatives."""

import numpy as np
import pytest
import scipy.linalg as sl
from numpy_samples import call, cases, check, floats, ints

import tracejit

A, S, B, V = floats(4, 3), floats(3, 3, seed=2), floats(3, 2), floats(3)
SPD, STACK = S @ S.T + np.eye(3), floats(2, 3, 3, seed=5) + 3 * np.eye(3)
Z = S + 1j * floats(3, 3, seed=1)
HERMITIAN = Z @ Z.conj().T + np.eye(3)
SYMMETRIC = S + S.T
SPDS = np.stack([SPD, SPD + np.eye(3)])
WIDE, F32, HALF, I = floats(3, 5), S.astype(np.float32), S.astype(np.float16), ints(3, 3) + 20 * np.eye(3, dtype=int)
SINGULAR, NAN = np.ones((3, 3)), np.where(np.eye(3, dtype=bool), np.nan, S)
EMPTY, LOWER, UPPER = np.zeros((0, 0)), np.tril(S) + 2 * np.eye(3), np.triu(S) + 2 * np.eye(3)
STRUCTURES = ("gen", "sym", "her", "pos", "general", "symmetric", "hermitian", "positive definite", "diagonal",
              "tridiagonal", "upper triangular", "lower triangular", "wrong")


def near(calls, rtol=1e-9):
    return [c if c.rtol or any(getattr(a, "dtype", None) in (np.float32, np.complex64) for a in c.args) else
            c.close(rtol) for c in calls]


SAMPLES = {
    sl.solve: near([call(S, V), call(S, B), call(Z, V), call(I, V), call(STACK, B), call(A, V), call(S, floats(4)),
                    call(S, V, transposed=True), call(Z, V, transposed=True), call(SINGULAR, V), call(NAN, V),
                    call(F32, V.astype(np.float32)).close(1e-4), call(S, V, check_finite=False), call(SPD, V,
                                                                                                      lower=True)]
                   + [call(HERMITIAN if name.startswith("her") else SPD, V, assume_a=name) for name in STRUCTURES[:8]]
                   + [call(np.diag(V), V, assume_a="diagonal"), call(UPPER, V, assume_a="upper triangular"),
                      call(LOWER, V, assume_a="lower triangular"), call(LOWER, V, assume_a="lower triangular",
                                                                       transposed=True),
                      call(np.diag(V) + np.diag(V[1:], 1), V, assume_a="tridiagonal"), call(S, V, assume_a="wrong"),
                      call(np.triu(SPD), V, assume_a="pos"), call(np.tril(SPD), V, assume_a="pos", lower=True),
                      call(np.tril(SYMMETRIC), V, assume_a="sym", lower=True)]),
    sl.solve_triangular: near([call(UPPER, V), call(UPPER, B), call(LOWER, V, lower=True), call(S, V,
                                                                                                unit_diagonal=True),
                               call(UPPER, V, 1), call(UPPER, V, "T"), call(Z, V, "C"), call(Z, V, 2, True),
                               call(STACK, B), call(A, V), call(UPPER, floats(4)), call(np.triu(SINGULAR, 1), V),
                               call(NAN, V), call(I, V)]),
    sl.inv: near([call(a) for a in (S, Z, STACK, I, A, SINGULAR, NAN)] + [
        call(F32).close(1e-3), call(UPPER, assume_a="upper triangular"), call(np.tril(SPD), assume_a="pos",
                                                                              lower=True)]),
    sl.det: near([call(a) for a in (S, Z, STACK, I, A, SINGULAR, NAN, V)] + [call(F32).close(1e-5)]),
    sl.pinv: near([call(a) for a in (A, WIDE, S, Z, NAN)] + [
        call(A.astype(np.float32)).close(1e-4), call(A, rtol=0.5), call(A, atol=1.0), call(A, return_rank=True),
        call(np.outer(V, V), return_rank=True), call(A, rtol=-1.0)]),
    sl.lstsq: near([call(A, floats(4)), call(A, floats(4, 2)), call(WIDE, V), call(np.outer(floats(4), V), floats(4)),
                    call(A, floats(4), 0.5), call(A, V), call(Z, V), call(NAN, V),
                    call(A.astype(np.float32), floats(4, dtype=np.float32)).close(1e-4)]),
    sl.cholesky: near([call(a) for a in (SPD, HERMITIAN, SPDS, -SPD, A, NAN, SPD.astype(np.float32), np.triu(SPD))]
                      + [call(SPD, lower=True), call(np.tril(SPD), True)]),
    sl.cho_factor: near([call(a) for a in (SPD, HERMITIAN, -SPD)] + [call(SPD, lower=True), call(SPD, True)]),
    sl.cho_solve: near([call((SPD, False), V), call((SPD, True), B), call((HERMITIAN, True), V), call((S, False),
                                                                                                      floats(4)),
                        call((A, True), V)]),
    sl.lu_factor: near([call(a) for a in (S, Z, I, A, F32, STACK, NAN)]),
    sl.lu_solve: near([call((S, np.array([1, 2, 2], np.int32)), V), call((S, np.array([1, 1, 2], np.int32)), B,
                                                                         trans=1),
                       call((Z, np.array([2, 1, 2], np.int32)), V, 2), call((S, np.array([0, 1, 2])), floats(4))]),
    sl.lu: near([call(a) for a in (S, A, WIDE, Z, F32, STACK, I, V)] + [
        call(a, permute_l=True) for a in (S, A, WIDE)] + [call(a, p_indices=True) for a in (S, A, STACK)]),
    sl.qr: near([call(a) for a in (A, WIDE, Z, F32, I, V, STACK)] + [
        call(a, mode=mode, pivoting=pivoting) for a in (A, WIDE) for mode in ("r", "economic", "raw", "full", "other")
        for pivoting in (False, True)] + [call(Z, pivoting=True), call(np.outer(V, V), pivoting=True)]),
    sl.svd: near([call(a) for a in (A, WIDE, Z, I, V, STACK)] + [
        call(A, full_matrices=False), call(A, compute_uv=False), call(NAN), call(A, lapack_driver="other")]),
    sl.svdvals: near([call(A), call(Z), call(A.astype(np.float32)), call(NAN)]),
    sl.eigh: near([call(a) for a in (SYMMETRIC, HERMITIAN, I, NAN, A, STACK)] + [
        call(S, lower=False), call(S, eigvals_only=True), call(S, subset_by_index=[0, 1]), call(S, SPD),
        call(S, SPD, lower=False), call(Z, HERMITIAN, eigvals_only=True), call(S, subset_by_index=[2, 5]),
        call(S, driver="evd"), call(S, driver="other"), call(S, SPD, type=5), call(S, type=2),
        call(S, subset_by_value=(2, 1)), call(S, subset_by_index=[0, 1], subset_by_value=(0, 1))] + [
        call(a, b, lower=low, type=t) for a, b in ((S, SPD), (Z, HERMITIAN + 9 * np.eye(3))) for low in (True, False)
        for t in (2, 3)] + [call(SYMMETRIC, subset_by_value=b) for b in ((-np.inf, 0.3), (0.0, 99.0), (98, 99))]),
    sl.eigvalsh: near([call(SYMMETRIC, subset_by_value=(0, np.inf)), call(S, SPD, type=3), call(SYMMETRIC),
                       call(HERMITIAN), call(S, lower=False), call(S, SPD),
                       call(S, subset_by_index=[1, 1]), call(SYMMETRIC.astype(np.float32))]),
    sl.eig: near([call(a) for a in (S, SYMMETRIC, Z, A, NAN)] + [call(S, right=False)]),
    sl.eigvals: near([call(a) for a in (S, SYMMETRIC, Z, A)]),
    sl.expm: near([call(a) for a in (S, Z, STACK, I * 0.1, 10 * S, np.zeros((2, 2)), UPPER, A, V, np.array(2.0), EMPTY,
                                     np.diag(V))] + [call(F32), call(HALF).close(2e-3)]),
    sl.sqrtm: near([call(a) for a in (SPD, Z, STACK, -SPD, HERMITIAN, I, A, SPD.astype(np.float32))], 1e-7),
    **{f: near([call(S), call(Z), call(STACK), call(F32).close(1e-5)]) for f in (sl.cosm, sl.sinm, sl.coshm, sl.sinhm)},
    sl.solve_sylvester: near([call(SPD, SPD, S), call(Z, SPD, S), call(SPD, SPDS[1][:2, :2], floats(3, 2))]),
    sl.polar: near([call(S), call(A), call(Z), call(S, "left"), call(WIDE), call(S, "up"), call(STACK[0])]),
    sl.orth: near([call(A), call(np.outer(V, V)), call(Z), call(A, 0.9)]),
    sl.null_space: near([call(WIDE), call(np.outer(V, V)), call(A), call(WIDE, 0.9)]),
    sl.norm: near([call(a) for a in (V, A, Z, I)] + [
        call(A, o) for o in (1, 2, -2, "fro", "nuc", np.inf)] + [call(A, axis=0), call(A, 2, (0, 1), True), call(NAN)]),
    sl.block_diag: [call(A, S), call(V, A, 2.0), call(), call(I, S), call(Z, S), call(EMPTY, S), call([[1, 2]], [3,
                                                                                                                 4])],
    sl.toeplitz: [call(V), call(V, floats(4)), call(Z[0]), call(Z[0], Z[1]), call([1, 2, 3], [1, 4]), call(2.0)],
    sl.hankel: [call(V), call(V, floats(4)), call(Z[0]), call([1, 2, 3], [3, 4]), call(ints(4))],
    sl.circulant: [call(V), call(Z[0]), call([1, 2, 3]), call(ints(4))],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_scipy(function, sample):
    check(function, sample)


def program(a, b):
    """A function as users write it: several steps, `scipy.linalg` by its own names."""
    c = sl.cho_factor(a @ a.T + np.eye(len(a)))
    x = sl.cho_solve(c, b)
    lu = sl.lu_factor(a)
    y = sl.lu_solve(lu, b)
    return sl.expm(-a) @ x + sl.solve_triangular(np.triu(a), y) + sl.block_diag(a[:2, :2], a[2:, 2:]) @ b


def test_compiled():
    np.testing.assert_allclose(tracejit.jit(program)(STACK[0], V), program(STACK[0], V), rtol=1e-10)


def test_square_root_of_a_matrix_is_real_where_there_is_a_real_one():
    f = tracejit.jit(sl.sqrtm)
    for a in (SPD, -SPD, SPD + np.eye(3)):
        got, want = f(a), sl.sqrtm(a)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, atol=1e-12)


def test_infinities_are_refused_at_run_time():
    f = tracejit.jit(lambda a, b: sl.solve(a, b))
    np.testing.assert_allclose(f(S, V), sl.solve(S, V))
    with pytest.raises(ValueError, match="array must not contain infs or NaNs"):
        f(np.full((3, 3), np.inf), V)


@pytest.mark.parametrize("f", [
    lambda a: sl.expm(a).sum(), lambda a: (sl.expm(a * 3) ** 2)[0, 1], lambda a: sl.solve(a, V).sum(),
    lambda a: sl.solve(a @ a.T, V, assume_a="pos").sum(), lambda a: sl.cholesky(a @ a.T)[0, 1],
    lambda a: sl.cho_solve(sl.cho_factor(a @ a.T), V).sum(), lambda a: sl.lu_solve(sl.lu_factor(a), V)[1],
    lambda a: sl.lu(a)[2].sum(), lambda a: (sl.qr(a)[1] ** 2)[0, 1], lambda a: sl.svd(a, compute_uv=False)[1],
    lambda a: sl.eigh(a @ a.T, eigvals_only=True)[0], lambda a: np.abs(sl.eigh(a @ a.T)[1]).sum(),
    lambda a: np.real(sl.sqrtm(a @ a.T)).sum(), lambda a: sl.det(a), lambda a: sl.pinv(a).sum(), lambda a: sl.norm(a,
                                                                                                                   2),
    lambda a: (sl.toeplitz(a[0]) @ a[1]).sum(), lambda a: sl.inv(a)[0, 0], lambda a: sl.block_diag(a, a).sum(),
    lambda a: sl.lstsq(a[:, :2], V)[0].sum(), lambda a: (sl.qr(a, pivoting=True)[1] ** 2)[0, 1]], ids=range(21))
def test_derivatives_are_the_limit_of_differences(f):
    a, direction = STACK[0], floats(3, 3, seed=9)
    want = (f(a + 1e-5 * direction) - f(a - 1e-5 * direction)) / 2e-5
    np.testing.assert_allclose((tracejit.jit(tracejit.grad(f))(a) * direction).sum(), want, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(tracejit.jvp(f, (a,), (direction,))[1], want, rtol=1e-5, atol=1e-7)
