"""scipy.linalg: equations and factorizations under SciPy's defaults.

Single precision stays single here, where numpy.linalg works in double. Options that let SciPy overwrite its arguments
are taken and mean nothing.
"""

import numpy as np

from tracejit.symbolic.ops import factor, least_squares
from tracejit.symbolic.ops import linalg as ops
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.control import results
from tracejit.symbolic.ops.scalar import cast, equal, greater, less_equal, real, select
from tracejit.symbolic.ops.shape import broadcast, broadcast_to, embed, full_like, iota, reshape, slice_, zeros
from tracejit.symbolic.types import C64, C128, F32, F64, I64, REAL_OF, Type
from tracejit.trace.numpy.common import known, refuse_option, static
from tracejit.trace.numpy.decompositions import decided, finite
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer, wrap

_WORK = {"e": F32, "f": F32, "d": F64, "F": C64, "D": C128}


def inputs(*arrays, check_finite=False):
    """Return nodes in LAPACK's dtype that SciPy takes for all of them, perhaps behind a check of their elements."""
    tracers = [as_tracer(a) for a in arrays]
    kinds = [_WORK.get(t.dtype.char, F64) for t in tracers]
    dtype = np.result_type(*kinds)
    nodes = [cast(t.node, dtype) for t in tracers]
    return [finite(n, "finite") for n in nodes] if static(check_finite, "check_finite") else nodes


def _square(a, message="expected square matrix"):
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ValueError(message)
    return a


def _out(node):
    return wrap(node, scalar=node.ndim == 0)


def _columns(b):
    """Return (b with an axis of columns, whether it had none)."""
    return (reshape(b, (b.shape[0], 1)), True) if b.ndim == 1 else (b, False)


def _without_columns(x, vector):
    return wrap(reshape(x, x.shape[:-1]) if vector else x)


def _several(found, a):
    """Return results as SciPy does: a tuple, or a list where they come from a stack of matrices."""
    return tuple(found) if a.ndim == 2 else list(found)


def _stacked(a, b):
    """Return both with the same axes before the last two."""
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return broadcast_to(a, (*stack, *a.shape[-2:])), broadcast_to(b, (*stack, *b.shape[-2:]))


def flag(value, name):
    """Return an option that is known while tracing as a bool."""
    return bool(static(value, name))


def _conjugate_transpose_lower(a):
    """Return the upper Cholesky factor of a matrix of which the upper triangle is read."""
    return ops.adjoint(ops.cholesky(ops.adjoint(a)))


# ---------------------------------------------------------------- equations
_STRUCTURES = {None: "general", "general": "general", "gen": "general", "diagonal": "diagonal",
               "tridiagonal": "tridiagonal", "banded": "general", "upper triangular": "upper",
               "lower triangular": "lower", "pos": "positive", "positive definite": "positive", "sym": "symmetric",
               "symmetric": "symmetric", "her": "hermitian", "hermitian": "hermitian"}


def _structured(a, structure, lower):
    """Return the matrix that SciPy reads under an assumption on its structure."""
    if structure == "diagonal":
        return ops.on_diagonal(a)
    if structure == "tridiagonal":
        return ops.tril(ops.triu(a, -1), 1)
    if structure in ("symmetric", "hermitian"):
        half = ops.tril(a) if lower else ops.triu(a)
        off = half - ops.on_diagonal(half)
        return half + (ops.adjoint(off) if structure == "hermitian" else ops.matrix_transpose(off))
    return a


@implements("scipy.linalg.solve")
def solve(a, b, lower=False, overwrite_a=False, overwrite_b=False, check_finite=True, assume_a=None, transposed=False):
    """Return x with ``a @ x = b``; what `assume_a` says of the matrix decides which part of it is read."""
    assume_a, lower = static(assume_a, "assume_a"), flag(lower, "lower")
    if assume_a not in _STRUCTURES:
        raise ValueError(f"{assume_a} is not a recognized matrix structure")
    structure = _STRUCTURES[assume_a]
    a, b = inputs(np.atleast_2d(as_tracer(a)), np.atleast_1d(as_tracer(b)), check_finite=check_finite)
    _square(a, f"Expected square matrix, got a1.shape={a.shape}")
    b, vector = _columns(b)
    if b.shape[-2] != a.shape[-1]:
        raise ValueError(f"incompatible shapes: a1.shape={a.shape} and b1.shape={b.shape}")
    transposed = flag(transposed, "transposed")
    if transposed and a.type.kind == "c":
        raise NotImplementedError("scipy.linalg.solve can currently not solve a^T x = b or a^H x = b for complex "
                                  "matrices.")
    a, b = _stacked(a, b)
    if structure in ("upper", "lower"):
        x = _triangular(a, b, structure == "lower", transposed, False)
    elif structure == "positive":
        x = _cholesky_solve(ops.cholesky(a) if lower else ops.cholesky(ops.adjoint(a)), b)
    else:
        a = _structured(a, structure, lower)
        x = ops.solve(ops.matrix_transpose(a) if transposed else a, b)
    return _without_columns(x, vector)


def _triangular(a, b, lower, trans, unit):
    return ops.triangular_solve(a, b, lower=lower, trans=trans, unit=unit)


def _cholesky_solve(factor_, b):
    """Return the solution by the lower factor L of L L^H."""
    return _triangular(ops.adjoint(factor_), _triangular(factor_, b, True, False, False), False, False, False)


@implements("scipy.linalg.solve_triangular")
def solve_triangular(a, b, trans=0, lower=False, unit_diagonal=False, overwrite_b=False, check_finite=True):
    """Return x with ``a @ x = b`` of a triangular matrix, or of its transpose."""
    a, b = inputs(a, b, check_finite=check_finite)
    trans, lower = static(trans, "trans"), flag(lower, "lower")
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ValueError(f"{trans!r} is no way to transpose: N, T or C")
    _square(a)
    if a.shape[-1] != b.shape[max(b.ndim - 2, 0)]:
        raise ValueError(f"shapes of a {a.shape} and b {b.shape} are incompatible")
    b, vector = _columns(b)
    a, b = _stacked(a, b)
    if trans in (2, "C"):
        a, lower, trans = ops.adjoint(a), not lower, 0
    x = _triangular(a, b, lower, trans in (1, "T"), flag(unit_diagonal, "unit_diagonal"))
    return _without_columns(x, vector)


@implements("scipy.linalg.inv")
def inv(a, overwrite_a=False, check_finite=True, *, assume_a=None, lower=False):
    """Return the inverse of each matrix."""
    structure = static(assume_a, "assume_a")
    if structure not in _STRUCTURES:
        raise ValueError(f"{structure} is not a recognized matrix structure")
    a, = inputs(a, check_finite=check_finite)
    _square(a, f"Expected square matrix, got a1.shape={a.shape}")
    lower = flag(lower, "lower")
    structure = _STRUCTURES[structure]
    if structure in ("upper", "lower"):
        unit = ops.identity(a.type)
        return wrap(_triangular(a, unit, structure == "lower", False, False))
    if structure == "positive":
        structure = "hermitian"
    return wrap(ops.inv(_structured(a, structure, lower)))


@implements("scipy.linalg.det")
def det(a, overwrite_a=False, check_finite=True):
    """Return the determinant of each matrix, in double precision."""
    a, = inputs(a, check_finite=check_finite)
    if a.ndim < 2:
        raise ValueError("The input array must be at least two-dimensional.")
    _square(a, f"Last 2 dimensions of the array must be square but received shape {a.shape}.")
    return _out(ops.det(cast(a, C128 if a.type.kind == "c" else F64)))


@implements("scipy.linalg.pinv")
def pinv(a, *, atol=None, rtol=None, return_rank=False, check_finite=True):
    """Return the pseudoinverse; singular values up to ``atol + rtol * largest`` count as zeros."""
    a, = inputs(a, check_finite=check_finite)
    part = REAL_OF.get(a.dtype, a.dtype)
    absolute = 0.0 if atol is None else static(atol, "atol")
    relative = max(a.shape[-2:]) * np.finfo(part).eps if rtol is None else static(rtol, "rtol")
    if absolute < 0 or relative < 0:
        raise ValueError("atol and rtol values must be positive.")
    s = factor.singular_values(a)
    stack = a.shape[:-2]
    largest = reshape(slice_(s, [0] * s.ndim, [1] * s.ndim, [*stack, 1]), stack)
    zero = equal(largest, zeros(largest.type))
    cutoff = absolute / select(zero, full_like(1, largest), largest) + float(relative)
    found = wrap(least_squares.pinv(a, cutoff))
    if not flag(return_rank, "return_rank"):
        return found
    limit = largest * float(relative) + float(absolute)
    keep = greater(s, broadcast(limit, s.shape, range(s.ndim - 1)))
    return found, np.add.reduce(wrap(keep), axis=-1)


@implements("scipy.linalg.lstsq")
def lstsq(a, b, cond=None, overwrite_a=False, overwrite_b=False, check_finite=True, lapack_driver=None):
    """Return the solution of least squares and least norm, the residuals, the rank and the singular values."""
    if static(lapack_driver, "lapack_driver") not in (None, "gelsd"):
        refuse_option("scipy.linalg.lstsq", "lapack_driver=", "leave it at its default")
    a, b = inputs(a, b, check_finite=check_finite)
    if a.ndim != 2:
        raise ValueError("Input array a should be 2D")
    (m, n), (b, vector) = a.shape, _columns(b)
    if b.shape[0] != m:
        raise ValueError(f"Shape mismatch: a and b should have the same number of rows ({m} != {b.shape[0]}).")
    part = REAL_OF.get(a.dtype, a.dtype)
    cutoff = as_tracer(np.finfo(part).eps if cond is None else cond)
    x, residuals, rank, s = results(least_squares.lstsq(a, b, cast(cutoff.node, part)))
    full = m > n and decided(wrap(rank) == n, "whether the matrix of lstsq has full rank", True)
    if not full:
        residuals = wrap(zeros(Type(x.dtype, (0,))))
    else:
        residuals = _out(reshape(residuals, ())) if vector else wrap(residuals)
    return _without_columns(x, vector), residuals, wrap(rank, scalar=True), wrap(s)


# ---------------------------------------------------------------- Cholesky
def _cholesky(a, lower, check_finite):
    a, = inputs(a, check_finite=check_finite)
    if a.ndim < 2:
        raise ValueError(f"Input array needs to be 2D but received a {a.ndim}d-array.")
    _square(a, f"Input array is expected to be square but has the shape: {a.shape}.")
    return a, (ops.cholesky(a) if lower else _conjugate_transpose_lower(a))


@implements("scipy.linalg.cholesky")
def cholesky(a, lower=False, overwrite_a=False, check_finite=True):
    """Return the triangular factor, the upper one by default; one triangle of the matrix is read."""
    return wrap(_cholesky(a, flag(lower, "lower"), check_finite)[1])


@implements("scipy.linalg.cho_factor")
def cho_factor(a, lower=False, overwrite_a=False, check_finite=True):
    """Return the triangular factor in one triangle of the matrix, the other as it was, and which it is."""
    below = flag(lower, "lower")
    node, found = _cholesky(a, below, check_finite)
    kind = Type(I64, node.shape)
    row, column = iota(I64, kind.shape, node.ndim - 2), iota(I64, kind.shape, node.ndim - 1)
    inside = less_equal(column, row) if below else less_equal(row, column)
    return wrap(select(inside, found, node)), lower


@implements("scipy.linalg.cho_solve")
def cho_solve(c_and_lower, b, overwrite_b=False, check_finite=True):
    """Return x with ``a @ x = b``, given what `cho_factor` made of the matrix."""
    c, lower = c_and_lower
    c, b = inputs(c, b, check_finite=check_finite)
    _square(c, "The factored matrix c is not square.")
    if c.shape[-1] != b.shape[max(b.ndim - 2, 0)]:
        raise ValueError(f"incompatible dimensions ({c.shape} and {b.shape})")
    b, vector = _columns(b)
    c, b = _stacked(c, b)
    return _without_columns(_cholesky_solve(c if flag(lower, "lower") else ops.adjoint(c), b), vector)


# ---------------------------------------------------------------- LU
@implements("scipy.linalg.lu_factor")
def lu_factor(a, overwrite_a=False, check_finite=True):
    """Return L and U in one matrix, and the row exchanges."""
    a, = inputs(a, check_finite=check_finite)
    packed, pivots = results(factor.lu(a))
    return _several((wrap(packed), wrap(pivots)), a)


@implements("scipy.linalg.lu_solve")
def lu_solve(lu_and_piv, b, trans=0, overwrite_b=False, check_finite=True):
    """Return x with ``a @ x = b`` (1: of the transpose, 2: of its conjugate), given what `lu_factor` made of a."""
    packed, pivots = lu_and_piv
    packed, b = inputs(packed, b, check_finite=check_finite)
    pivots = cast(as_tracer(pivots).node, np.dtype(np.int32))
    trans = static(trans, "trans")
    if packed.shape[-1] != b.shape[max(b.ndim - 2, 0)]:
        raise ValueError(f"Shapes of lu {packed.shape} and b {b.shape} are incompatible")
    b, vector = _columns(b)
    packed, b = _stacked(packed, b)
    pivots = broadcast_to(pivots, (*packed.shape[:-2], pivots.shape[-1]))
    if trans == 0:
        x = _triangular(packed, factor.permute_rows(b, pivots, inverse=False), True, False, True)
        x = _triangular(packed, x, False, False, False)
    else:
        of = ops.conjugate(packed) if trans == 2 and packed.type.kind == "c" else packed
        x = _triangular(of, _triangular(of, b, False, True, False), True, True, True)
        x = factor.permute_rows(x, pivots, inverse=True)
    return _without_columns(x, vector)


@implements("scipy.linalg.lu")
def lu(a, permute_l=False, overwrite_a=False, check_finite=True, p_indices=False):
    """Return P, L and U with ``P @ L @ U = a``; or ``P @ L`` and U; or P as positions."""
    a, = inputs(a, check_finite=check_finite)
    if a.ndim < 2:
        raise ValueError("The input array must be at least two-dimensional.")
    packed, pivots = results(factor.lu(a))
    stack, (m, n) = a.shape[:-2], a.shape[-2:]
    k = min(m, n)
    lower, upper = _corner(packed, m, k), _corner(packed, k, n)
    lower = ops.below(lower) + ops.on_diagonal(full_like(1, lower))
    upper = wrap(ops.triu(upper))
    if flag(permute_l, "permute_l"):
        return wrap(factor.permute_rows(lower, pivots, inverse=True)), upper
    places = iota(I64, (*stack, m, 1), len(stack))
    order = reshape(factor.permute_rows(places, pivots, inverse=True), (*stack, m))
    if flag(p_indices, "p_indices"):
        return wrap(cast(order, np.dtype(np.int32))), wrap(lower), upper
    columns = iota(I64, (*stack, m, m), len(stack) + 1)
    matrix = cast(equal(columns, broadcast(order, columns.shape, range(len(stack) + 1))),
                  REAL_OF.get(a.dtype, a.dtype))
    return wrap(matrix), wrap(lower), upper


def _corner(a, rows, columns):
    return slice_(a, [0] * a.ndim, [1] * a.ndim, [*a.shape[:-2], rows, columns])


# ---------------------------------------------------------------- QR, singular values, eigenvalues
@implements("scipy.linalg.qr")
def qr(a, overwrite_a=False, lwork=None, mode="full", pivoting=False, check_finite=True):
    """Return Q and R; R alone in mode "r"; what LAPACK leaves in mode "raw"; and the order of columns if they pivot."""
    mode = static(mode, "mode")
    if mode not in ("full", "qr", "r", "economic", "raw"):
        raise ValueError("Mode argument should be one of ['full', 'r', 'economic', 'raw']")
    a, = inputs(a, check_finite=check_finite)
    if a.ndim < 2:
        raise ValueError("expected a 2-D array")
    m, n = a.shape[-2:]
    order = ()
    if flag(pivoting, "pivoting"):
        order = (wrap(factor.qr_order(a)),)
        a = np.take_along_axis(wrap(a), order[0][..., None, :], axis=-1).node
    if mode == "raw":
        h, tau = results(factor.qr_raw(a))
        return _several(((wrap(ops.matrix_transpose(h)), wrap(tau)), wrap(factor.qr_r(a)), *order), a)
    if mode == "r":
        r = factor.qr_r(a)
        return _several((wrap(embed(r, [0] * r.ndim, [1] * r.ndim, (*r.shape[:-2], m, n))), *order), a)
    q, r = results(factor.qr(a, full=mode != "economic" and m > n))
    return _several((wrap(q), wrap(r), *order), a)


@implements("scipy.linalg.svd")
def svd(a, full_matrices=True, compute_uv=True, overwrite_a=False, check_finite=True, lapack_driver="gesdd"):
    """Return U, the singular values and V^H, or the values alone."""
    if static(lapack_driver, "lapack_driver") not in ("gesdd", "gesvd"):
        raise ValueError(f'lapack_driver must be "gesdd" or "gesvd", not "{lapack_driver}"')
    a, = inputs(a, check_finite=check_finite)
    if a.ndim < 2:
        raise ValueError("expected matrix")
    if not flag(compute_uv, "compute_uv"):
        return wrap(factor.singular_values(a))
    return _several(map(wrap, results(factor.svd(a, full=flag(full_matrices, "full_matrices")))), a)


@implements("scipy.linalg.svdvals")
def svdvals(a, overwrite_a=False, check_finite=True):
    """Return the singular values."""
    return svd(a, compute_uv=False, check_finite=check_finite)


@implements("scipy.linalg.eigh")
def eigh(a, b=None, *, lower=True, eigvals_only=False, overwrite_a=False, overwrite_b=False, type=1, check_finite=True,
         subset_by_index=None, subset_by_value=None, driver=None):
    """Return the rising eigenvalues and the eigenvectors of ``a @ v = w * (b @ v)``, of one triangle of each matrix."""
    if static(driver, "driver") not in (None, "ev", "evd", "evr", "evx", "gv", "gvd", "gvx"):
        raise ValueError(f'"{driver}" is unknown. Possible values are "None", "ev", "evd", "evr", "evx", "gv", "gvd", '
                         '"gvx".')
    kind = static(type, "type")
    if b is not None and kind not in (1, 2, 3):
        raise ValueError('"type" keyword only accepts 1, 2, and 3.')
    if subset_by_index is not None and subset_by_value is not None:
        raise ValueError("Either index or value subset can be requested.")
    below = flag(lower, "lower")
    a, *rest = inputs(a, *([] if b is None else [b]), check_finite=check_finite)
    _square(a, 'expected square "a" matrix')
    if rest:
        _square(rest[0], 'expected square "b" matrix')
        if rest[0].shape != a.shape:
            raise ValueError(f"wrong b dimensions {rest[0].shape}, should be {a.shape}")
        root = ops.cholesky(rest[0] if below else ops.adjoint(rest[0]))
        whole = ops.hermitian(a, below)
        if kind == 1:
            left = _triangular(root, whole, True, False, False)
            a = _triangular(root, ops.adjoint(left), True, False, False)
        else:  # a @ b @ v = w * v, or b @ a @ v = w * v
            a = matmul(matmul(ops.adjoint(root), whole), root)
    only = flag(eigvals_only, "eigvals_only")
    n = a.shape[-1]
    if only:
        w = wrap(factor.eigvalsh(a, lower=below))
    else:
        name = "evd" if driver == "evd" or rest else "evr"
        w, v = results(factor.eigh(a, lower=below, driver=name))
        if rest:
            v = matmul(root, v) if kind == 3 else _triangular(ops.adjoint(root), v, False, False, False)
        w, v = wrap(w), wrap(v)
    if subset_by_value is not None:
        low, high = subset_by_value
        if n and known(low) is not None and known(high) is not None and not float(known(low)) < float(known(high)):
            raise ValueError("Requested eigenvalue bounds are not valid. Valid range is (-inf, inf) and low < high, "
                             f"but low={low}, high={high} is given")
        mask = np.logical_and(np.greater(w, low), np.less_equal(w, high))
        w, v = w[mask], None if only else v[..., mask]
    if subset_by_index is not None:
        low, high = (int(static(x, "subset_by_index")) for x in subset_by_index)
        if not 0 <= low <= high < n:
            raise ValueError("Requested eigenvalue indices are not valid. Valid range is "
                             f"[0, {n - 1}] and start <= end, but start={low}, end={high} is given")
        w = w[..., low:high + 1]
        v = None if only else v[..., low:high + 1]
    return w if only else _several((w, v), a)


@implements("scipy.linalg.eigvalsh")
def eigvalsh(a, b=None, *, lower=True, overwrite_a=False, overwrite_b=False, type=1, check_finite=True,
             subset_by_index=None, subset_by_value=None, driver=None):
    """Return the rising eigenvalues of Hermitian matrices."""
    return eigh(a, b, lower=lower, eigvals_only=True, type=type, check_finite=check_finite,
                subset_by_index=subset_by_index, subset_by_value=subset_by_value, driver=driver)


@implements("scipy.linalg.eig", without=("b=", "left=", "homogeneous_eigvals="))
def eig(a, b=None, left=False, right=True, overwrite_a=False, overwrite_b=False, check_finite=True,
        homogeneous_eigvals=False):
    """Return the eigenvalues, complex, and the eigenvectors, real where all values are."""
    _only_plain_eigenvalues("scipy.linalg.eig", b=b, left=left, homogeneous_eigvals=homogeneous_eigvals)
    a, = inputs(a, check_finite=check_finite)
    _square(a)
    if not flag(right, "right"):
        return wrap(factor.eigvals(a))
    w, v = results(factor.eig(a))
    if a.type.kind == "f" and decided(np.all(wrap(w).imag == 0), "whether the eigenvalues are real", False):
        v = real(v)
    return _several((wrap(w), wrap(v)), a)


@implements("scipy.linalg.eigvals", without=("b=", "homogeneous_eigvals="))
def eigvals(a, b=None, overwrite_a=False, check_finite=True, homogeneous_eigvals=False):
    """Return the eigenvalues, complex."""
    _only_plain_eigenvalues("scipy.linalg.eigvals", b=b, homogeneous_eigvals=homogeneous_eigvals)
    return eig(a, right=False, check_finite=check_finite)


def _only_plain_eigenvalues(name, **options):
    for option, value in options.items():
        if value is not None and value is not False:
            refuse_option(name, f"{option}=", f"leave {option} at its default")
