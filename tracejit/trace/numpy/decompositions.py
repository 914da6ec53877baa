"""numpy.linalg: QR, singular values, eigenvalues, pseudoinverse, rank, least squares."""

import warnings

import numpy as np

from tracejit.errors import ConcretizationError
from tracejit.symbolic.ops import factor, least_squares
from tracejit.symbolic.ops.control import results
from tracejit.symbolic.ops.scalar import bitwise_and, cast, check, isfinite
from tracejit.symbolic.ops.scalar import imag as imag_op
from tracejit.symbolic.ops.scalar import real as real_op
from tracejit.symbolic.ops.shape import broadcast_to, reshape, zeros
from tracejit.symbolic.types import F64
from tracejit.trace.numpy.common import static
from tracejit.trace.numpy.linalg import check_matrix, check_square, result_class, rounded, working
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer, wrap
from tracejit.trace.values import concrete


def decided(x, what, otherwise):
    """Return a traced truth value as a bool, guarded, or `otherwise` where there is no input to decide it."""
    try:
        return bool(concrete(x, what))
    except ConcretizationError:
        return otherwise


def finite(node, error):
    """Return the node, behind a check that its elements are finite."""
    parts = (real_op(node), imag_op(node)) if node.type.kind == "c" else (node,)
    oks = [isfinite(p) for p in parts]
    return check(node, oks[0] if len(oks) == 1 else bitwise_and(*oks), error=error, detail=())


# ---------------------------------------------------------------- QR
@implements(np.linalg.qr)
def qr(a, mode="reduced"):
    """Return the factors Q, with orthonormal columns, and R, triangular."""
    mode = static(mode, "mode", np.linalg.qr)
    if mode in ("f", "full"):
        warnings.warn("The 'full' option is deprecated in favor of 'reduced'.\nFor backward compatibility let mode "
                      "default.", DeprecationWarning, stacklevel=2)
        mode = "reduced"
    elif mode in ("e", "economic"):
        warnings.warn("The 'economic' option is deprecated.", DeprecationWarning, stacklevel=2)
        mode = "economic"
    elif mode not in ("reduced", "complete", "r", "raw"):
        raise ValueError(f"Unrecognized mode '{mode}'")
    (a,), dtype = working(a, form=check_matrix)
    if mode == "r":
        return rounded(factor.qr_r(a), dtype)
    if mode in ("raw", "economic"):
        h, tau = (rounded(x, dtype) for x in results(factor.qr_raw(a)))
        return (h, tau) if mode == "raw" else np.swapaxes(h, -1, -2)
    full = mode == "complete" and a.shape[-2] > a.shape[-1]
    return result_class(np.linalg.qr)(*(rounded(x, dtype) for x in results(factor.qr(a, full=full))))


# ---------------------------------------------------------------- singular values
@implements(np.linalg.svd)
def svd(a, full_matrices=True, compute_uv=True, hermitian=False):
    """Return the factors U, singular values and V^H, or the values alone."""
    full_matrices, compute_uv, hermitian = (static(x, "an option", np.linalg.svd)
                                            for x in (full_matrices, compute_uv, hermitian))
    if hermitian:
        return _hermitian_svd(a, compute_uv)
    (a,), dtype = working(a, form=check_matrix)
    if not compute_uv:
        return rounded(factor.singular_values(a), dtype)
    found = results(factor.svd(a, full=bool(full_matrices)))
    return result_class(np.linalg.svd)(*(rounded(x, dtype) for x in found))


def _hermitian_svd(a, compute_uv):
    """From the eigenvalues, by their size; their signs go into V."""
    if not compute_uv:
        return np.sort(np.abs(eigvalsh(a)))[..., ::-1]
    w, u = eigh(a)
    signs, s = np.copysign(1.0, w), np.abs(w)
    order = np.argsort(s)[..., ::-1]
    signs, s = np.take_along_axis(signs, order, axis=-1), np.take_along_axis(s, order, axis=-1)
    u = np.take_along_axis(u, order[..., None, :], axis=-1)
    vh = np.conjugate(np.swapaxes(u * signs[..., None, :], -1, -2))
    return result_class(np.linalg.svd)(u, s, vh)


@implements(np.linalg.svdvals)
def svdvals(x, /):
    """Return the singular values."""
    return svd(x, compute_uv=False)


@implements(np.linalg.pinv)
def pinv(a, rcond=None, hermitian=False, *, rtol=np._NoValue):
    """Return the pseudoinverse; small singular values count as zeros."""
    x = as_tracer(a)
    if rcond is None:
        if rtol is np._NoValue:
            rcond = 1e-15
        else:
            rcond = max(x.shape[-2:]) * np.finfo(x.dtype).eps if rtol is None else rtol
    elif rtol is not np._NoValue:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    if 0 in x.shape[-2:]:
        return np.zeros_like(np.swapaxes(x, -1, -2))
    cutoff = as_tracer(rcond)
    if static(hermitian, "hermitian", np.linalg.pinv):
        u, s, vh = svd(x, full_matrices=False, hermitian=True)
        large = s > np.expand_dims(cutoff, -1) * s[..., :1]
        inverse = np.where(large, 1 / np.where(large, s, 1), 0)
        return np.conjugate(np.swapaxes(vh, -1, -2)) @ (inverse[..., None] * np.conjugate(np.swapaxes(u, -1, -2)))
    (node,), dtype = working(x, form=check_matrix)
    return rounded(least_squares.pinv(node, broadcast_to(cast(cutoff.node, F64), node.shape[:-2])), dtype)


@implements(np.linalg.matrix_rank)
def matrix_rank(A, tol=None, hermitian=False, *, rtol=None):
    """Return the number of singular values that are not small."""
    if rtol is not None and tol is not None:
        raise ValueError("`tol` and `rtol` can't be both set.")
    x = as_tracer(A)
    if x.ndim < 2:
        return np.any(x != 0).astype(int)
    s = svd(x, compute_uv=False, hermitian=hermitian)
    if tol is None:
        factor_ = max(x.shape[-2:]) * np.finfo(s.dtype).eps if rtol is None else np.expand_dims(as_tracer(rtol), -1)
        tol = np.maximum.reduce(s, axis=-1, keepdims=True, initial=0) * factor_
    else:
        tol = np.expand_dims(as_tracer(tol), -1)
    return np.count_nonzero(s > tol, axis=-1)


# ---------------------------------------------------------------- eigenvalues
def _triangle(UPLO):
    letter = static(UPLO, "UPLO").upper()
    if letter not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return letter == "L"


@implements(np.linalg.eigh)
def eigh(a, UPLO="L"):
    """Return the rising eigenvalues and the eigenvectors of Hermitian matrices of which one triangle is read."""
    lower = _triangle(UPLO)
    (a,), dtype = working(a, form=check_square)
    found = results(factor.eigh(a, lower=lower, driver="evd"))
    return result_class(np.linalg.eigh)(*(rounded(x, dtype) for x in found))


@implements(np.linalg.eigvalsh)
def eigvalsh(a, UPLO="L"):
    """Return the rising eigenvalues of Hermitian matrices of which one triangle is read."""
    lower = _triangle(UPLO)
    (a,), dtype = working(a, form=check_square)
    return rounded(factor.eigvalsh(a, lower=lower), dtype)


_COMPLEX_RESULT = "complex where no inputs decide: traced ahead of time, or inside a derivative or a loop"


@implements(np.linalg.eig, differs=_COMPLEX_RESULT)
def eig(a):
    """Return the eigenvalues and eigenvectors; real ones where all of the values are real."""
    (a,), dtype = working(a, form=check_square)
    w, v = results(factor.eig(finite(a, "linalg_finite")))
    return result_class(np.linalg.eig)(*_perhaps_real([w, v], a, dtype))


@implements(np.linalg.eigvals, differs=_COMPLEX_RESULT)
def eigvals(a):
    """Return the eigenvalues; real ones where all of them are real."""
    (a,), dtype = working(a, form=check_square)
    return _perhaps_real([factor.eigvals(finite(a, "linalg_finite"))], a, dtype)[0]


def _perhaps_real(found, a, dtype):
    w = wrap(found[0])
    if a.type.kind == "f" and decided(np.all(w.imag == 0), "whether the eigenvalues are real", w.size == 0):
        found = [real_op(x) for x in found]
    else:
        dtype = np.result_type(dtype, np.complex64)
    return [rounded(x, dtype) for x in found]


# ---------------------------------------------------------------- least squares
@implements(np.linalg.lstsq, differs="residuals of a matrix without full rank are given where no inputs decide: traced "
                                     "ahead of time, or inside a derivative or a loop")
def lstsq(a, b, rcond=None):
    """Return the solution of least norm among those of least squares, the residuals, the rank, the singular values."""
    (a, b), dtype = working(a, b)
    vector = b.ndim == 1
    if vector:
        b = reshape(b, (b.shape[0], 1))
    for x in (a, b):
        if x.ndim != 2:
            raise np.linalg.LinAlgError(f"{x.ndim}-dimensional array given. Array must be two-dimensional")
    m, n = a.shape
    if b.shape[0] != m:
        raise np.linalg.LinAlgError("Incompatible dimensions")
    cutoff = as_tracer(np.finfo(F64).eps * max(n, m) if rcond is None else rcond)
    columns = b.shape[1]
    if columns == 0:  # LAPACK wants a right-hand side
        b = zeros(b.type.with_shape((m, 1)))
    x, residuals, rank, s = results(least_squares.lstsq(a, b, cast(cutoff.node, F64)))
    x, residuals, s = (rounded(v, dtype) for v in (x, residuals, s))
    rank = wrap(rank, scalar=True)
    x, residuals = (x[:, 0], residuals) if vector else (x[:, :columns], residuals[:columns])
    if m <= n or not decided(rank == n, "whether the matrix of lstsq has full rank", True):
        residuals = residuals[:0]
    return x, residuals, rank, s
