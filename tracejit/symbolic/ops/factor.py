"""Factorizations of stacks of matrices: QR, LU, singular values, eigenvalues.

Derivatives: Giles 2008, "An extended collection of matrix derivative results"; Townsend 2016, "Differentiating the
singular value decomposition". Two conventions. Where values repeat, the vectors that belong to them have no derivative,
and the part of it that mixes them is taken for 0, which is right for what does not depend on their choice. The phases
of complex singular vectors and of eigenvectors of Hermitian matrices are held, and so is the choice of the vectors that
complete a basis.
"""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.ir import define
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.control import results
from tracejit.symbolic.ops.linalg import (
    adjoint,
    along_columns,
    along_rows,
    below,
    diagonal,
    hermitian,
    identity,
    on_diagonal,
    solve,
    square,
    stack_batch,
    triu,
)
from tracejit.symbolic.ops.reduce import argmax, reduce_sum
from tracejit.symbolic.ops.scalar import cast, conjugate, equal, greater, imag, real, select
from tracejit.symbolic.ops.shape import concatenate, embed, full_like, iota, slice_, zeros
from tracejit.symbolic.types import COMPLEX_OF, I32, I64, REAL_OF, Type, type_of


def matrix_type(a, what):
    """Return the Type of matrices of floats; raises for any other."""
    if a.kind not in "fc" or a.ndim < 2:
        raise TypeRuleError(f"{what} of {a}: needs matrices of floats")
    return a


def real_type(a):
    """Return a Type with the real dtype of its precision."""
    return a.with_dtype(REAL_OF.get(a.dtype, a.dtype))


def _part(a, rows, columns):
    """Return rows and columns, each given as (first, count), of the matrices."""
    (i, m), (j, n) = rows, columns
    stack = a.shape[:-2]
    return slice_(a, [0] * len(stack) + [i, j], [1] * a.ndim, [*stack, m, n])


def _columns(a, start, count):
    return _part(a, (0, a.shape[-2]), (start, count))


def cast_like(x, like):
    """Return real numbers in the (perhaps complex) dtype of another node."""
    return cast(x, like.dtype)


def real_part(x):
    """Return the real parts, of real numbers themselves."""
    return real(x) if x.type.kind == "c" else x


def inverse_or_zero(x):
    """Return 1 / x, and 0 where x is."""
    zero = equal(x, zeros(x.type))
    return select(zero, zeros(x.type), 1 / select(zero, full_like(1, x), x))


def random_matrices(shapes, dtypes=("f4", "f8", "c8", "c16"), **attrs):
    """Return samples of an op of one argument: random matrices, their diagonals apart from each other."""
    def samples(rng):
        for dtype in map(np.dtype, dtypes):
            for shape in shapes:
                a = rng.uniform(-1, 1, shape)
                if dtype.kind == "c":
                    a = a + 1j * rng.uniform(-1, 1, shape)
                a[..., range(min(shape[-2:])), range(min(shape[-2:]))] += 2 + 1.5 * np.arange(min(shape[-2:]))
                for values in _combinations(attrs):
                    yield [a.astype(dtype)], values
    return samples


def _combinations(attrs):
    found = [{}]
    for name, values in attrs.items():
        found = [{**row, name: v} for row in found for v in values]
    return found


ANY_SHAPE = ((3, 3), (4, 2), (2, 4), (2, 3, 2), (1, 1), (0, 2), (2, 0), (0, 2, 2))
_SQUARES = ((3, 3), (2, 2, 2), (1, 1), (0, 0), (0, 2, 2))


# ---------------------------------------------------------------- QR
def _qr_type(a, full):
    m, n = matrix_type(a, "qr").shape[-2:]
    k = m if full else min(m, n)
    return a.with_shape((*a.shape[:-1], k)), a.with_shape((*a.shape[:-2], k, n))


def _qr_jvp(node, tangents):
    """d R R^-1 is the upper part of Q^H dA R^-1, and what is left of it turns Q; its diagonal is real in R."""
    a, da = node.args[0], tangents[0]
    (m, n), (q, r) = a.shape[-2:], results(node)
    k = min(m, n)
    first = _columns(q, 0, k)
    square_r = _part(r, (0, k), (0, k))
    # x = dA R^-1 by R^H x^H = dA^H
    x = adjoint(solve(adjoint(square_r), adjoint(_columns(da, 0, k))))
    inner = matmul(adjoint(first), x)
    low = below(inner)
    turn = low - adjoint(low)
    if a.type.kind == "c":
        turn = turn + cast(imag(on_diagonal(inner)), a.dtype) * 1j
    upper = inner - turn
    dq, dr = x - matmul(first, upper), matmul(upper, square_r)
    if n > k:
        wide = matmul(adjoint(dq), _columns(a, k, n - k)) + matmul(adjoint(first), _columns(da, k, n - k))
        dr = concatenate([dr, wide], dr.ndim - 1)
    if q.shape[-1] > k:
        rest = _columns(q, k, m - k)
        dq = concatenate([dq, -matmul(first, matmul(adjoint(dq), rest))], dq.ndim - 1)
        dr = embed(dr, [0] * dr.ndim, [1] * dr.ndim, r.shape)
    return dq, dr


#: (Q, R) with Q R = A, for `full` with a square Q.
qr = define("qr", attrs=("full",), type=_qr_type, jvp=_qr_jvp, routine="qr", batch=stack_batch,
            ref=lambda a, full: tuple(np.linalg.qr(a, "complete" if full else "reduced")),
            samples=random_matrices(ANY_SHAPE, full=(False, True)))
#: R alone, of min(m, n) rows.
qr_r = define("qr_r", type=lambda a: _qr_type(a, False)[1], ref=lambda a: np.linalg.qr(a, "r"), routine="qr_r",
              jvp=lambda node, ts: _qr_jvp(qr(node.args[0], full=False), ts)[1], batch=stack_batch,
              samples=random_matrices(ANY_SHAPE))
#: Householder vectors and their factors as LAPACK leaves them, the matrix transposed, as NumPy's mode "raw" does.
qr_raw = define("qr_raw", type=lambda a: (
    matrix_type(a, "qr_raw").with_shape((*a.shape[:-2], a.shape[-1], a.shape[-2])),
    a.with_shape((*a.shape[:-2], min(a.shape[-2:])))), ref=lambda a: tuple(np.linalg.qr(a, "raw")), routine="qr_raw",
    differentiable=None, batch=stack_batch, samples=random_matrices(ANY_SHAPE))


def _order_ref(a):
    from scipy.linalg import qr as scipy_qr  # as in `_lu_ref`

    out = np.empty((*a.shape[:-2], a.shape[-1]), np.int32)
    for k in np.ndindex(*a.shape[:-2]):
        out[k] = scipy_qr(a[k], mode="r", pivoting=True, check_finite=False)[1] if a[k].size else range(a.shape[-1])
    return out


#: The order of columns in which the diagonal of R falls.
qr_order = define("qr_order", type=lambda a: Type(I32, (*matrix_type(a, "qr_order").shape[:-2], a.shape[-1])),
                  ref=_order_ref, routine="qr_order", differentiable=False, batch=stack_batch,
                  samples=random_matrices(ANY_SHAPE))


# ---------------------------------------------------------------- LU
def _lu_type(a):
    return matrix_type(a, "lu"), Type(I32, (*a.shape[:-2], min(a.shape[-2:])))


def _lu_ref(a):
    from scipy.linalg import lu_factor  # costs 0.2 s at import, and only the oracle needs it

    lu, pivots = np.empty_like(a), np.empty((*a.shape[:-2], min(a.shape[-2:])), np.int32)
    for k in np.ndindex(*a.shape[:-2]):
        if a[k].size:
            lu[k], pivots[k] = lu_factor(a[k], check_finite=False)
    return lu, pivots


def _lu_jvp(node, tangents):
    """With X = L^-1 P dA U^-1: dL = L low(X), dU = up(X) U, L and U filled up to square matrices."""
    packed, pivots = results(node)
    m, n = packed.shape[-2:]
    size = max(m, n)
    whole = embed(packed, [0] * packed.ndim, [1] * packed.ndim, (*packed.shape[:-2], size, size))
    lower = below(_part(whole, (0, m), (0, m)))
    lower = lower + identity(lower.type)
    upper = triu(_part(whole, (0, n), (0, n)))
    rows = iota(I64, upper.shape, upper.ndim - 2)
    upper = select(greater(rows, full_like(m - 1, rows)), identity(upper.type), upper)
    x = solve(lower, permute_rows(tangents[0], pivots, inverse=False))
    x = adjoint(solve(adjoint(upper), adjoint(x)))
    return matmul(lower, below(x)) + matmul(triu(x), upper), None


#: (L below the diagonal and U, row exchanges counted from 0): row i was exchanged with row pivots[i], one by one.
lu = define("lu", type=_lu_type, ref=_lu_ref, jvp=_lu_jvp, routine="lu", batch=stack_batch,
            samples=random_matrices(((3, 3), (4, 2), (2, 4), (2, 2, 2), (1, 1), (0, 2, 2))))


def _permute_type(b, pivots, inverse):
    if pivots.dtype != I32 or pivots.shape[:-1] != b.shape[:-2] or b.ndim < 2 or pivots.shape[-1] > b.shape[-2]:
        raise TypeRuleError(f"permute_rows of {b} by {pivots}")
    return b


def _permute_ref(b, pivots, inverse):
    out = b.copy()
    for k in np.ndindex(*b.shape[:-2]):
        order = list(enumerate(pivots[k]))
        for i, p in reversed(order) if inverse else order:
            out[k][[i, p]] = out[k][[p, i]]
    return out


def _permute_samples(rng):
    for dtype in ("f4", "f8", "c8", "c16"):
        for shape in ((3, 2), (2, 3, 3), (0, 2)):
            for inverse in (False, True):
                b = rng.uniform(-1, 1, shape).astype(dtype)
                n = shape[-2]
                pivots = np.arange(n) + rng.integers(0, np.maximum(n - np.arange(n), 1), (*shape[:-2], n))
                yield [b, pivots.astype(np.int32)], {"inverse": inverse}


#: The rows exchanged as LU did, or back.
permute_rows = define("permute_rows", attrs=("inverse",), type=_permute_type, ref=_permute_ref, linear=(0,),
                      transpose=lambda ct, node, wanted: (
                          permute_rows(ct, node.args[1], inverse=not node.attrs[0]), None),
                      routine="permute_rows", batch=stack_batch, samples=_permute_samples)


# ---------------------------------------------------------------- singular values
def _svd_type(a, full):
    m, n = matrix_type(a, "svd").shape[-2:]
    k, stack = min(m, n), a.shape[:-2]
    return (a.with_shape((*stack, m, m if full else k)), real_type(a).with_shape((*stack, k)),
            a.with_shape((*stack, n if full else k, n)))


def svd_jvp(node, tangents):
    """Return the tangents of U, the values and V^H."""
    a, da = node.args[0], tangents[0]
    (m, n), (u, s, vh) = a.shape[-2:], results(node)
    k = min(m, n)
    left, right = _columns(u, 0, k), adjoint(_part(vh, (0, k), (0, n)))
    p = matmul(adjoint(left), matmul(da, right))
    ds = real_part(diagonal(p))
    by_column, by_row = along_columns(s, p.shape), along_rows(s, p.shape)
    gaps = cast_like(inverse_or_zero((by_column - by_row) * (by_column + by_row)), a)
    by_column, by_row = cast_like(by_column, a), cast_like(by_row, a)
    turn = gaps * (p * by_column + by_row * adjoint(p))
    inverse = cast_like(inverse_or_zero(s), a)
    if a.type.kind == "c":
        turn = turn + on_diagonal(cast(imag(p), a.dtype) * along_columns(inverse, p.shape) * 1j)
    du = matmul(left, turn)
    dv = matmul(right, gaps * (by_row * p + adjoint(p) * by_column))
    if m > k:
        du = du + _off(left, matmul(da, right), inverse)
    if n > k:
        dv = dv + _off(right, matmul(adjoint(da), left), inverse)
    if u.shape[-1] > k:
        du = _completed(du, left, _columns(u, k, m - k))
    if vh.shape[-2] > k:
        dv = _completed(dv, right, adjoint(_part(vh, (k, n - k), (0, n))))
    return du, ds, adjoint(dv)


def _off(basis, moved, inverse):
    """Return the part of `moved` beyond the basis, over the singular values."""
    rest = moved - matmul(basis, matmul(adjoint(basis), moved))
    return rest * along_columns(inverse, rest.shape)


def _completed(moved, basis, rest):
    """Return the tangents of a basis with those of the vectors that complete it, which turn as little as they can."""
    return concatenate([moved, -matmul(basis, matmul(adjoint(moved), rest))], moved.ndim - 1)


#: (U, singular values, V^H), for `full` with square U and V^H.
svd = define("svd", attrs=("full",), type=_svd_type, jvp=svd_jvp, routine="svd", batch=stack_batch,
             ref=lambda a, full: tuple(np.linalg.svd(a, full)), samples=random_matrices(ANY_SHAPE, full=(False, True)))
#: The singular values alone.
singular_values = define("singular_values", type=lambda a: _svd_type(a, False)[1],
                         ref=lambda a: np.linalg.svd(a, compute_uv=False), routine="singular_values",
                         jvp=lambda node, ts: svd_jvp(svd(node.args[0], full=False), ts)[1], batch=stack_batch,
                         samples=random_matrices(ANY_SHAPE))


# ---------------------------------------------------------------- eigenvalues
def _eigh_type(a, lower, driver="evd"):
    square(a, "eigh")
    if driver not in ("evd", "evr"):
        raise TypeRuleError(f"eigh by {driver}")
    return real_type(a).with_shape(a.shape[:-1]), a


def _eigh_ref(a, lower, driver):
    if driver == "evd":
        return tuple(np.linalg.eigh(a, "L" if lower else "U"))
    from scipy.linalg import eigh as scipy_eigh  # as in `_lu_ref`

    kinds = _eigh_type(type_of(a), lower)
    w, v = (np.empty(t.shape, t.dtype) for t in kinds)
    for k in np.ndindex(*a.shape[:-2]):
        if a[k].size:
            w[k], v[k] = scipy_eigh(a[k], lower=lower, check_finite=False)
    return w, v


def _eigh_jvp(node, tangents):
    a, (w, v) = node.args[0], results(node)
    p = matmul(adjoint(v), matmul(hermitian(tangents[0], node.attr("lower")), v))
    gaps = inverse_or_zero(along_columns(w, p.shape) - along_rows(w, p.shape))
    return real_part(diagonal(p)), matmul(v, cast_like(gaps, a) * p)


#: (rising eigenvalues, eigenvectors) of Hermitian matrices of which one triangle is read; `driver` says which routine
#: of LAPACK makes them, NumPy's "evd" or SciPy's "evr", which choose other signs.
eigh = define("eigh", attrs=("lower", "driver"), type=_eigh_type, jvp=_eigh_jvp, routine="eigh", batch=stack_batch,
              ref=_eigh_ref, samples=random_matrices(_SQUARES, lower=(True, False), driver=("evd", "evr")))
#: The eigenvalues alone.
eigvalsh = define("eigvalsh", attrs=("lower",), type=lambda a, lower: _eigh_type(a, lower)[0], routine="eigvalsh",
                  ref=lambda a, lower: np.linalg.eigvalsh(a, "L" if lower else "U"), batch=stack_batch,
                  jvp=lambda node, ts: _eigh_jvp(eigh(node.args[0], lower=node.attr("lower"), driver="evd"), ts)[0],
                  samples=random_matrices(_SQUARES, lower=(True, False)))


def _eig_type(a):
    square(a, "eig")
    kind = a.with_dtype(COMPLEX_OF.get(a.dtype, a.dtype))
    return kind.with_shape(a.shape[:-1]), kind


def _eig_jvp(node, tangents):
    """The vectors stay of length 1, and their largest component real, as LAPACK leaves them."""
    w, v = results(node)
    if v.shape[-1] == 0:
        return zeros(w.type), zeros(v.type)
    p = solve(v, matmul(cast(tangents[0], v.dtype), v))
    gap = along_columns(w, p.shape) - along_rows(w, p.shape)
    dv = matmul(v, inverse_or_zero(gap) * p)
    rows = v.ndim - 2
    longer = reduce_sum(real(conjugate(v) * dv), axes=(rows,))
    dv = dv - v * along_columns(cast(longer, v.dtype), v.shape)
    size = real(v) * real(v)
    real_size = select(equal(imag(v), zeros(size.type)), size, full_like(-1, size))
    place = iota(I64, v.shape, rows)
    largest = equal(place, along_columns(argmax(real_size, axis=rows), v.shape))
    angle = select(largest, imag(dv) / select(largest, real(v), full_like(1, size)), zeros(size.type))
    angle = reduce_sum(angle, axes=(rows,))
    return diagonal(p), dv - v * along_columns(cast(angle, v.dtype), v.shape) * 1j


def _eig_ref(a):
    w, v = np.linalg.eig(a)
    kind = COMPLEX_OF.get(a.dtype, a.dtype)
    return w.astype(kind), v.astype(kind)


def _eig_samples(rng):
    shapes = (3, 3), (2, 2, 2), (1, 1), (0, 2, 2)
    yield from random_matrices(shapes, ("f8", "c8", "c16"))(rng)
    for (a,), attrs in random_matrices(shapes, ("f4",))(rng):
        yield [np.triu(a)], attrs  # in single precision the sign of a complex vector hangs on rounding


#: (eigenvalues, eigenvectors), always complex.
eig = define("eig", type=_eig_type, jvp=_eig_jvp, routine="eig", batch=stack_batch, ref=_eig_ref, samples=_eig_samples)
#: The eigenvalues alone.
eigvals = define("eigvals", type=lambda a: _eig_type(a)[0], routine="eigvals", batch=stack_batch,
                 ref=lambda a: np.linalg.eigvals(a).astype(COMPLEX_OF.get(a.dtype, a.dtype)),
                 jvp=lambda node, ts: _eig_jvp(eig(node.args[0]), ts)[0],
                 samples=random_matrices(((3, 3), (2, 2, 2), (1, 1), (0, 2, 2))))
