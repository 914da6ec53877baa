"""Dense linear algebra on stacks of square matrices, through LAPACK.

Derivative formulas: Giles 2008, "An extended collection of matrix derivative results"; Murray 2016 for the Cholesky
factor.
"""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic import dims
from tracejit.symbolic.ir import define, make
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import cast, conjugate, equal, greater, greater_equal, imag, real, select
from tracejit.symbolic.ops.shape import batch_together, broadcast, full_like, iota, reshape, transpose, zeros
from tracejit.symbolic.types import I64, REAL_OF, Type


def square(a, what):
    """Return the Type of square matrices; raises for any other."""
    if a.kind not in "fc" or a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise TypeRuleError(f"{what} of {a}: needs square matrices of floats")
    return a


def matrix_transpose(a):
    """Return `a` with its last two axes swapped."""
    return transpose(a, [*range(a.ndim - 2), a.ndim - 1, a.ndim - 2])


def adjoint(a):
    """Return the conjugate transpose."""
    t = matrix_transpose(a)
    return conjugate(t) if a.type.kind == "c" else t


def _where_rows(a, keep):
    """Return `a` with zeros where ``keep(row, column)`` is false."""
    kind = Type(I64, a.shape)
    row, column = iota(I64, kind.shape, a.ndim - 2), iota(I64, kind.shape, a.ndim - 1)
    return select(keep(row, column), a, zeros(a.type))


def tril(a, k=0):
    """Return the lower triangle, up to diagonal k."""
    return _where_rows(a, lambda r, c: greater_equal(r + k if k else r, c))


def triu(a, k=0):
    """Return the upper triangle, from diagonal k on."""
    return _where_rows(a, lambda r, c: greater_equal(c, r + k if k else r))


def trace(a):
    """Return the sum of the diagonal of each matrix."""
    return reduce_sum(_where_rows(a, equal), axes=(a.ndim - 2, a.ndim - 1))


def diagonal(a):
    """Return the diagonals of square matrices."""
    return reduce_sum(_where_rows(a, equal), axes=(a.ndim - 1,))


def below(a):
    """Return the part below the diagonal."""
    return _where_rows(a, greater)


def on_diagonal(a):
    """Return the matrices with zeros off the diagonal."""
    return _where_rows(a, equal)


def along_columns(v, shape):
    """Return vectors laid along the columns: element j in column j, the same in each row."""
    return broadcast(v, shape, [*range(len(shape) - 2), len(shape) - 1])


def along_rows(v, shape):
    """Return vectors laid along the rows: element i in row i, the same in each column."""
    return broadcast(v, shape, [*range(len(shape) - 2), len(shape) - 2])


def identity(kind):
    """Return the unit matrices of a Type."""
    return on_diagonal(full_like(1, zeros(kind)))


def hermitian(t, lower=True):
    """Return the matrices whose one triangle LAPACK reads, filled up to Hermitian ones."""
    if not lower:
        t = adjoint(t)
    diagonal = on_diagonal(t)
    if t.type.kind == "c":
        diagonal = cast(real(diagonal), t.dtype)
    return below(t) + diagonal + adjoint(below(t))


def _cholesky_jvp(node, tangents):
    """The factor depends on the lower triangle only, as LAPACK reads it, and so does the tangent."""
    left = triangular_solve(node, hermitian(tangents[0]), lower=True, trans=False, unit=False)
    inner = adjoint(triangular_solve(node, adjoint(left), lower=True, trans=False, unit=False))
    return matmul(node, below(inner) + on_diagonal(inner) * 0.5)


def stack_batch(node, args, batched):
    """Map an op over stacks: one more leading axis on every argument."""
    return node.op(*batch_together(args, batched), **dict(zip(node.op.attrs, node.attrs)))


def side_by_side(b):
    """Return a batch of matrices as one matrix of all their columns."""
    if b.shape[-1] == 1:
        return transpose(reshape(b, b.shape[:-1]), [*range(1, b.ndim - 1), 0])
    moved = transpose(b, [*range(1, b.ndim - 1), 0, b.ndim - 1])
    return reshape(moved, (*moved.shape[:-2], dims.times(*moved.shape[-2:])))


def taken_apart(x, size, columns):
    """Return the batch, of so many elements, whose columns lie side by side along the last axis."""
    if columns == 1:
        apart = transpose(x, [x.ndim - 1, *range(x.ndim - 1)])
        return reshape(apart, (*apart.shape, 1))
    apart = reshape(x, (*x.shape[:-1], size, columns))
    return transpose(apart, [apart.ndim - 2, *range(apart.ndim - 2), apart.ndim - 1])


def _solve_batch(node, args, batched):
    """One matrix with a batch of right-hand sides is factorised once."""
    a, b = args
    if batched[0]:
        return stack_batch(node, args, batched)
    return taken_apart(make(node.op, (a, side_by_side(b)), node.attrs), b.shape[0], b.shape[-1])


cholesky = define("cholesky", type=lambda a: square(a, "cholesky"), ref=np.linalg.cholesky, jvp=_cholesky_jvp,
                  routine="cholesky", batch=stack_batch)


def _solve_type(a, b, what="solve"):
    square(a, what)
    if b.dtype != a.dtype or b.ndim != a.ndim or b.shape[:-1] != a.shape[:-1]:
        raise TypeRuleError(f"{what} of {a} and {b}: needs matrices of equal stacks, rows and dtype")
    return b


def _triangular_ref(a, b, lower, trans, unit):
    a = np.tril(a) if lower else np.triu(a)
    if unit:
        a = a + np.eye(a.shape[-1], dtype=a.dtype) * (1 - a)
    return np.linalg.solve(np.swapaxes(a, -1, -2) if trans else a, b)


def _triangular_jvp(node, tangents):
    a, b = node.args
    lower, trans, unit = node.attrs
    t = (tril if lower else triu)(tangents[0])
    if unit:
        t = t - on_diagonal(t)
    return -node.op(a, matmul(matrix_transpose(t) if trans else t, node), lower=lower, trans=trans, unit=unit)


#: ``x`` with ``op(a) @ x = b``, reading one triangle of `a` only; `trans` takes the (plain) transpose, `unit` takes the
#: diagonal for ones.
triangular_solve = define(
    "triangular_solve", attrs=("lower", "trans", "unit"), ref=_triangular_ref, linear=(1,), jvp=_triangular_jvp,
    type=lambda a, b, lower, trans, unit: _solve_type(a, b, "triangular_solve"), routine="triangular_solve",
    batch=_solve_batch, transpose=lambda ct, node, wanted: (None, triangular_solve(
        node.args[0], ct, lower=node.attrs[0], trans=not node.attrs[1], unit=node.attrs[2])))
#: ``x`` with ``a @ x = b``.
solve = define("solve", type=_solve_type, ref=np.linalg.solve, linear=(1,), routine="solve", batch=_solve_batch,
               jvp=lambda node, ts: -solve(node.args[0], matmul(ts[0], node)),
               transpose=lambda ct, node, wanted: (None, solve(matrix_transpose(node.args[0]), ct)))
inv = define("inv", type=lambda a: square(a, "inv"), ref=np.linalg.inv, routine="inv", batch=stack_batch,
             jvp=lambda node, ts: -matmul(matmul(node, ts[0]), node))


def _stack(a, what):
    return square(a, what).with_shape(a.shape[:-2])


def _real_stack(a, what):
    return _stack(a, what).with_dtype(REAL_OF.get(a.dtype, a.dtype))


def _adjugate_ref(a):
    u, s, vh = np.linalg.svd(a)
    n = a.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
    factor = np.linalg.det(u) * np.linalg.det(vh)
    back = np.conj(np.swapaxes(vh, -1, -2)) * others[..., None, :]
    return (factor[..., None, None] * (back @ np.conj(np.swapaxes(u, -1, -2)))).astype(a.dtype)


def _adjugate_jvp(node, tangents):
    """From adj(A) A = det(A) I, where A has an inverse."""
    x = solve(node.args[0], tangents[0])
    return node * broadcast(trace(x), node.shape, range(node.ndim - 2)) - matmul(x, node)


#: The transpose of the matrix of cofactors, det(A) times the inverse, which singular matrices have, too.
adjugate = define("adjugate", type=lambda a: square(a, "adjugate"), ref=_adjugate_ref, jvp=_adjugate_jvp,
                  routine="adjugate", batch=stack_batch)


def _det_jvp(node, tangents):
    """Jacobi's formula: d det(A) = trace(adj(A) dA), also where A is singular."""
    products = matrix_transpose(adjugate(node.args[0])) * tangents[0]
    return reduce_sum(products, axes=(products.ndim - 2, products.ndim - 1))


def _log_derivative(node, tangents):
    """d log det(A) = trace(A^-1 dA)."""
    return trace(solve(node.args[0], tangents[0]))


def _det_sign_jvp(node, tangents):
    """The sign of a real determinant is constant; that of a complex one turns."""
    if node.type.kind == "f":
        return None
    return node * cast(imag(_log_derivative(node, tangents)), node.dtype) * 1j


def _log_abs_det_jvp(node, tangents):
    t = _log_derivative(node, tangents)
    return real(t) if t.type.kind == "c" else t


det = define("det", type=lambda a: _stack(a, "det"), ref=np.linalg.det, routine="det", batch=stack_batch,
             jvp=_det_jvp)
#: Sign (of modulus 1, for complex matrices) and log of the magnitude of the determinant.
det_sign = define("det_sign", type=lambda a: _stack(a, "det_sign"), ref=lambda a: np.linalg.slogdet(a)[0],
                  routine="det_sign", batch=stack_batch, jvp=_det_sign_jvp)
log_abs_det = define("log_abs_det", type=lambda a: _real_stack(a, "log_abs_det"),
                     ref=lambda a: np.linalg.slogdet(a)[1], routine="log_abs_det", batch=stack_batch,
                     jvp=_log_abs_det_jvp)
