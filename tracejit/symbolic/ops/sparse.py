"""Sparse matrices by compressed rows: products, their sampled counterpart, and equations.

A matrix is three arrays: the numbers, their columns, and where each row begins in these two (Gustavson 1978, "Two fast
algorithms for sparse matrices"). One by compressed columns is the transpose of one by compressed rows, so that every
op here serves both. The pattern is held: derivatives are taken in the numbers, one per place of the pattern.
"""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.ir import const, define
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.ops.shape import batch_together, broadcast, concatenate, iota, reshape, slice_, transpose
from tracejit.symbolic.types import F16, I32, I64


def _check(data, indices, indptr, *dense):
    positions = indices.dtype in (I32, I64) and indices.dtype == indptr.dtype and indices.ndim == indptr.ndim == 1
    numbers = data is None or data.ndim == 1 and data.shape == indices.shape
    kinds = {t.dtype for t in (data, *dense) if t is not None}
    if not positions or not numbers or len(kinds) > 1 or kinds & {F16} or any(
            t.ndim not in (1, 2) or t.kind == "b" for t in dense):
        raise TypeRuleError(f"a sparse matrix of {data}, {indices}, {indptr} with {dense}: needs numbers of one dtype, "
                            "int32 or int64 positions, and vectors or matrices")


def _rows(indptr):
    """Return the number of rows."""
    n = indptr.shape[0]
    return n - 1 if type(n) is int else n + const(-1, I64)


def _row_of_each(indptr):
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def _column(data, dense):
    """Return the numbers with as many axes as what they are multiplied by."""
    return data if dense.ndim == 1 else data[:, None]


# ---------------------------------------------------------------- A @ x, A.T @ y, and the places of u @ v.T
def _matmul_type(data, indices, indptr, x):
    _check(data, indices, indptr, x)
    return x.with_shape((_rows(indptr), *x.shape[1:]))


def _matmul_ref(data, indices, indptr, x):
    out = np.zeros((len(indptr) - 1, *x.shape[1:]), x.dtype)
    np.add.at(out, _row_of_each(indptr), _column(data, x) * x[indices])
    return out


def _matmul_transpose(ct, node, wanted):
    data, indices, indptr, x = node.args
    return (csr_sampled(indices, indptr, ct, x) if wanted[0] else None, None, None,
            csr_rmatmul(data, indices, indptr, ct, columns=x.shape[0]) if wanted[3] else None)


def _rmatmul_type(data, indices, indptr, y, columns):
    _check(data, indices, indptr, y)
    if y.shape[0] != _rows(indptr):
        raise TypeRuleError(f"the transpose of a sparse matrix of {_rows(indptr)} rows, times {y}")
    return y.with_shape((columns, *y.shape[1:]))


def _rmatmul_ref(data, indices, indptr, y, columns):
    out = np.zeros((columns, *y.shape[1:]), y.dtype)
    np.add.at(out, indices, _column(data, y) * y[_row_of_each(indptr)])
    return out


def _rmatmul_transpose(ct, node, wanted):
    data, indices, indptr, y = node.args
    return (csr_sampled(indices, indptr, y, ct) if wanted[0] else None, None, None,
            csr_matmul(data, indices, indptr, ct) if wanted[3] else None)


def _sampled_type(indices, indptr, u, v):
    _check(None, indices, indptr, u, v)
    if u.shape[0] != _rows(indptr) or u.shape[1:] != v.shape[1:]:
        raise TypeRuleError(f"{u} and {v} at the places of a sparse matrix of {_rows(indptr)} rows")
    return u.with_shape(indices.shape)


def _sampled_ref(indices, indptr, u, v):
    product = u[_row_of_each(indptr)] * v[indices]
    return product.sum(axis=1, dtype=u.dtype) if u.ndim == 2 else product


def _sampled_transpose(ct, node, wanted):
    indices, indptr, u, v = node.args
    return (None, None, csr_matmul(ct, indices, indptr, v) if wanted[2] else None,
            csr_rmatmul(ct, indices, indptr, u, columns=v.shape[0]) if wanted[3] else None)


# ---------------------------------------------------------------- batches
def _block_diagonal(indices, indptr, columns):
    """Return the positions of the matrix that has those of a batch along its diagonal."""
    size, count = indices.shape
    behind = reshape(slice_(indptr, (0, 1), (1, 1), (size, indptr.shape[1] - 1)), (size * (indptr.shape[1] - 1),))
    of_row = reshape(broadcast(iota(I64, (size,)), (size, indptr.shape[1] - 1), (0,)), behind.shape)
    of_place = broadcast(iota(I64, (size,)), indices.shape, (0,))
    places = cast(indices, I64) + of_place * columns
    ends = cast(behind, I64) + of_row * count
    return reshape(places, (size * count,)), concatenate([const(np.zeros(1, np.int64)), ends], axis=0)


def _joined(x):
    """Return a batch of vectors or matrices as one, below each other."""
    return reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))


def _beside(x):
    """Return a batch of vectors or matrices as one matrix, beside each other."""
    if x.ndim == 2:
        return transpose(x, (1, 0))
    return reshape(transpose(x, (1, 0, 2)), (x.shape[1], x.shape[0] * x.shape[2]))


def _apart(x, size, ndim):
    """Undo `_beside`, for results of `ndim` axes."""
    if ndim == 1:
        return transpose(x, (1, 0))
    return transpose(reshape(x, (x.shape[0], size, x.shape[1] // size)), (1, 0, 2))


def _product_batch(node, args, batched):
    """More vectors are more columns; more matrices lie along the diagonal of a large one."""
    if not any(batched[:3]):
        size = args[3].shape[0]
        return _apart(node.op(*args[:3], _beside(args[3]), **_attrs(node)), size, node.ndim)
    data, indices, indptr, x = batch_together(args, batched)
    size, columns = x.shape[0], _columns_of(node)
    positions = _block_diagonal(indices, indptr, columns)
    attrs = {k: v * size if k == "columns" else v for k, v in _attrs(node).items()}
    out = node.op(_joined(data), *positions, _joined(x), **attrs)
    return reshape(out, (size, *node.shape))


def _sampled_batch(node, args, batched):
    indices, indptr, u, v = batch_together(args, batched)
    positions = _block_diagonal(indices, indptr, v.shape[1])
    return reshape(csr_sampled(*positions, _joined(u), _joined(v)), (u.shape[0], *node.shape))


def _attrs(node):
    return dict(zip(node.op.attrs, node.attrs))


def _columns_of(node):
    return node.attrs[0] if node.op is csr_rmatmul else node.args[3].shape[0]


# ---------------------------------------------------------------- samples
_PATTERNS = (((3, 4), 0.5), ((5, 5), 0.3), ((4, 2), 0.0), ((0, 3), 0.0))


def _matrices(rng, dtypes, patterns=_PATTERNS):
    """Yield (shape, numbers, columns, row starts) of random matrices, some with a place that comes twice."""
    for k, dtype in enumerate(dtypes):
        for (m, n), density in patterns:
            places = [np.sort(rng.choice(n, rng.binomial(n, density), replace=k % 2 == 1)) for _ in range(m)]
            indptr = np.cumsum([0, *map(len, places)])
            data = (rng.uniform(-2, 2, indptr[-1]) * (3 if np.dtype(dtype).kind in "iu" else 1)).astype(dtype)
            if data.dtype.kind == "c":
                data = data + data.dtype.type(1j) * rng.uniform(-2, 2, len(data)).astype(data.real.dtype)
            position = np.int32 if k % 2 else np.int64
            yield (m, n), data, np.concatenate([[], *places]).astype(position), indptr.astype(position)


def _dense(rng, shape, dtype):
    real = rng.uniform(-2, 2, shape)
    return (real + 1j * rng.uniform(-2, 2, shape) if np.dtype(dtype).kind == "c" else real).astype(dtype)


_DTYPES = ("f8", "f4", "c16", "i4")


def _matmul_samples(rng):
    for (_, n), *matrix in _matrices(rng, _DTYPES):
        for shape in ((n,), (n, 3)):
            yield [*matrix, _dense(rng, shape, matrix[0].dtype)], {}


def _rmatmul_samples(rng):
    for (m, n), *matrix in _matrices(rng, _DTYPES):
        for shape in ((m,), (m, 2)):
            yield [*matrix, _dense(rng, shape, matrix[0].dtype)], {"columns": n}


def _sampled_samples(rng):
    for (m, n), data, *positions in _matrices(rng, _DTYPES):
        for rest in ((), (3,)):
            yield [*positions, _dense(rng, (m, *rest), data.dtype), _dense(rng, (n, *rest), data.dtype)], {}


#: ``A @ x`` for a vector or matrix x.
csr_matmul = define("csr_matmul", type=_matmul_type, ref=_matmul_ref, linear="each", transpose=_matmul_transpose,
                    routine="csr_matmul", batch=_product_batch, samples=_matmul_samples)
#: ``A.T @ y``, where A has `columns` columns.
csr_rmatmul = define("csr_rmatmul", attrs=("columns",), type=_rmatmul_type, ref=_rmatmul_ref, linear="each",
                     transpose=_rmatmul_transpose, routine="csr_rmatmul", batch=_product_batch,
                     samples=_rmatmul_samples)
#: The numbers of ``u @ v.T`` (of the outer product, for vectors) at the places of A.
csr_sampled = define("csr_sampled", type=_sampled_type, ref=_sampled_ref, linear="each", transpose=_sampled_transpose,
                     routine="csr_sampled", batch=_sampled_batch, samples=_sampled_samples)


# ---------------------------------------------------------------- equations
def _solve_type(data, indices, indptr, b, transposed):
    _check(data, indices, indptr, b)
    if b.kind not in "fc" or b.ndim != 2 or b.shape[0] != _rows(indptr):
        raise TypeRuleError(f"sparse equations of {_rows(indptr)} rows with right-hand sides {b}")
    return b


def _solve_ref(data, indices, indptr, b, transposed):
    n = len(indptr) - 1
    a = np.zeros((n, n), data.dtype)
    np.add.at(a, (_row_of_each(indptr), indices), data)
    try:
        return np.linalg.solve(a.T if transposed else a, b)
    except np.linalg.LinAlgError:
        return np.full_like(b, np.nan)


def _solve_jvp(node, tangents):
    """dx = -A^-1 dA x."""
    data, indices, indptr, _ = node.args
    moved = csr_rmatmul(tangents[0], indices, indptr, node, columns=node.shape[0]) if node.attr("transposed") else (
        csr_matmul(tangents[0], indices, indptr, node))
    return -csr_solve(data, indices, indptr, moved, transposed=node.attr("transposed"))


def _solve_transpose(ct, node, wanted):
    return None, None, None, csr_solve(*node.args[:3], ct, transposed=not node.attr("transposed"))


def _solve_batch(node, args, batched):
    if not any(batched[:3]):
        return _apart(node.op(*args[:3], _beside(args[3]), **_attrs(node)), args[3].shape[0], 2)
    data, indices, indptr, b = batch_together(args, batched)
    positions = _block_diagonal(indices, indptr, b.shape[1])
    return reshape(node.op(_joined(data), *positions, _joined(b), **_attrs(node)), b.shape)


def _solve_samples(rng):
    for (n, _), data, indices, indptr in _matrices(rng, ("f8", "f4", "c16", "c8"), (
            ((1, 1), 0.0), ((4, 4), 0.3), ((7, 7), 0.4), ((0, 0), 0.0))):
        # with a strong diagonal, the first row and the last one swapped
        rows = [np.append(indices[a:b], i) for i, (a, b) in enumerate(zip(indptr, indptr[1:]))]
        numbers = [np.append(data[a:b], data.dtype.type(9)) for a, b in zip(indptr, indptr[1:])]
        if n > 1:
            rows[0], rows[-1], numbers[0], numbers[-1] = rows[-1], rows[0], numbers[-1], numbers[0]
        indptr = np.cumsum([0, *map(len, rows)]).astype(indptr.dtype)
        indices = np.concatenate([np.empty(0, indices.dtype), *rows]).astype(indices.dtype)
        data = np.concatenate([np.empty(0, data.dtype), *numbers])
        for transposed in (False, True):
            yield [data, indices, indptr, _dense(rng, (n, 2), data.dtype)], {"transposed": transposed}


#: The x with ``A @ x = b`` (``A.T @ x = b`` where `transposed`) for columns b; NaN where A is singular.
csr_solve = define("csr_solve", attrs=("transposed",), type=_solve_type, ref=_solve_ref, linear=(3,), jvp=_solve_jvp,
                   transpose=_solve_transpose, routine="csr_solve", batch=_solve_batch, samples=_solve_samples)
