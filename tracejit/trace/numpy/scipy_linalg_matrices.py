"""scipy.linalg: functions of matrices, norms, and matrices of a special form."""

import numpy as np

from tracejit.symbolic.ops import factor
from tracejit.symbolic.ops import matrix_functions as functions
from tracejit.symbolic.ops.fft import as_complex
from tracejit.symbolic.ops.scalar import real
from tracejit.symbolic.ops.shape import zeros
from tracejit.symbolic.types import Type
from tracejit.trace.guards import guarded_int
from tracejit.trace.numpy import norms
from tracejit.trace.numpy.common import refuse_option, static
from tracejit.trace.numpy.creation import arange
from tracejit.trace.numpy.decompositions import decided, finite
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.scipy_linalg import flag, inputs, svd
from tracejit.trace.tracer import as_tracer, wrap


# ---------------------------------------------------------------- functions of matrices
def _matrices(a):
    x = as_tracer(a)
    if x.ndim < 2:
        raise np.linalg.LinAlgError("The input array must be at least two-dimensional")
    if x.shape[-1] != x.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    return inputs(x)[0]


@implements("scipy.linalg.expm")
def expm(A):
    """Return the exponential of each matrix."""
    x = as_tracer(A)
    if x.ndim < 2 and x.size == 1:
        return np.exp(x.reshape(1, 1))
    return wrap(functions.expm(_matrices(A)))


@implements("scipy.linalg.sqrtm", differs="complex where no inputs decide: traced ahead of time, or inside a "
                                          "derivative or a loop")
def sqrtm(A, disp=True, blocksize=None):
    """Return the principal square root of each matrix; real where a real matrix has a real one."""
    a = _matrices(A)
    root = functions.sqrtm(as_complex(a))
    if a.type.kind == "f":
        w = wrap(factor.eigvals(a))
        if decided(~np.any((w.imag == 0) & (w.real < 0)), "whether the square root of a matrix is real", False):
            root = real(root)
    return wrap(root)


@implements("scipy.linalg.cosm")
def cosm(A):
    """Return the cosine of each matrix."""
    if as_tracer(A).dtype.kind != "c":
        return expm(1j * as_tracer(A)).real
    return 0.5 * (expm(1j * as_tracer(A)) + expm(-1j * as_tracer(A)))


@implements("scipy.linalg.sinm")
def sinm(A):
    """Return the sine of each matrix."""
    if as_tracer(A).dtype.kind != "c":
        return expm(1j * as_tracer(A)).imag
    return -0.5j * (expm(1j * as_tracer(A)) - expm(-1j * as_tracer(A)))


@implements("scipy.linalg.coshm")
def coshm(A):
    """Return the hyperbolic cosine of each matrix."""
    return 0.5 * (expm(A) + expm(-as_tracer(A)))


@implements("scipy.linalg.sinhm")
def sinhm(A):
    """Return the hyperbolic sine of each matrix."""
    return 0.5 * (expm(A) - expm(-as_tracer(A)))


@implements("scipy.linalg.solve_sylvester")
def solve_sylvester(a, b, q):
    """Return x with ``a @ x + x @ b = q``."""
    a, b, q = inputs(a, b, q)
    found = functions.sylvester(*map(as_complex, (a, b, q)))
    return wrap(found if q.type.kind == "c" else real(found))


# ---------------------------------------------------------------- bases
@implements("scipy.linalg.polar")
def polar(a, side="right"):
    """Return a unitary and a positive factor, ``u @ p`` (`side` "right") or ``p @ u``."""
    side = static(side, "side")
    if side not in ("right", "left"):
        raise ValueError("`side` must be either 'right' or 'left'")
    if as_tracer(a).ndim != 2:
        raise ValueError("`a` must be a 2-D array.")
    w, s, vh = svd(a, full_matrices=False)
    left = np.conjugate(vh.T) * s
    return w @ vh, left @ vh if side == "right" else (w * s) @ np.conjugate(w.T)


def _rank(s, shape, rcond):
    """Return the number of singular values that are not small, as a number: guarded."""
    rcond = np.finfo(s.dtype).eps * max(shape) if rcond is None else rcond
    return guarded_int(np.add.reduce(s > np.maximum.reduce(s, initial=0.0) * rcond), "the rank of a matrix")


@implements("scipy.linalg.orth")
def orth(A, rcond=None):
    """Return an orthonormal basis of the range of a matrix."""
    u, s, _ = svd(A, full_matrices=False)
    return u[:, :_rank(s, as_tracer(A).shape, rcond)]


@implements("scipy.linalg.null_space")
def null_space(A, rcond=None, *, overwrite_a=False, check_finite=True, lapack_driver="gesdd"):
    """Return an orthonormal basis of the vectors that a matrix takes to zero."""
    _, s, vh = svd(A, full_matrices=True, check_finite=check_finite, lapack_driver=lapack_driver)
    return np.conjugate(vh[_rank(s, as_tracer(A).shape, rcond):, :].T)


@implements("scipy.linalg.norm")
def norm(a, ord=None, axis=None, keepdims=False, check_finite=True):
    """Return a norm of vectors or matrices."""
    x = as_tracer(a)
    if x.dtype.kind in "fc" and flag(check_finite, "check_finite"):
        x = wrap(finite(x.node, "finite"))
    return norms.norm(x, ord, axis, keepdims)


# ---------------------------------------------------------------- special matrices
@implements("scipy.linalg.block_diag")
def block_diag(*arrs):
    """Return the matrix of these blocks along its diagonal."""
    blocks = [np.atleast_2d(as_tracer(a)) for a in (arrs or ([],))]
    if any(b.ndim > 2 for b in blocks):
        stack = np.broadcast_shapes(*(b.shape[:-2] for b in blocks))
        blocks = [np.broadcast_to(b, (*stack, *b.shape[-2:])) for b in blocks]
    dtype = np.result_type(*(b.dtype for b in blocks))
    stack = blocks[0].shape[:-2]
    rows, columns = sum(b.shape[-2] for b in blocks), sum(b.shape[-1] for b in blocks)
    out, i, j = wrap(zeros(Type(dtype, (*stack, rows, columns)))), 0, 0
    for b in blocks:
        m, n = b.shape[-2:]
        out[..., i:i + m, j:j + n] = b
        i, j = i + m, j + n
    return out


def _vector(x, name):
    x = np.atleast_1d(as_tracer(x))
    if x.ndim > 1:
        refuse_option(f"scipy.linalg.{name}", "arrays of several axes", "pass vectors")
    return x


@implements("scipy.linalg.toeplitz", without=("arrays of several axes",))
def toeplitz(c, r=None):
    """Return the matrix with c as its first column, r as its first row, and constant diagonals."""
    c = _vector(c, "toeplitz")
    r = np.conjugate(c) if r is None else _vector(r, "toeplitz")
    values = np.concatenate((c[::-1], r[1:]))
    return values[_rows(c.size - 1, c.size, -1) + arange(r.size)]


@implements("scipy.linalg.hankel", without=("arrays of several axes",))
def hankel(c, r=None):
    """Return the matrix with c as its first column, r as its last row, and constant diagonals across."""
    c = _vector(c, "hankel")
    r = np.zeros_like(c) if r is None else _vector(r, "hankel")
    return np.concatenate((c, r[1:]))[_rows(0, c.size, 1) + arange(r.size)]


@implements("scipy.linalg.circulant", without=("arrays of several axes",))
def circulant(c):
    """Return the matrix whose columns are c, each turned by one place more."""
    c = _vector(c, "circulant")
    return c[(_rows(0, c.size, 1) - arange(c.size)) % max(c.size, 1)]


def _rows(first, count, step):
    return (arange(count) * step + first)[:, None]
