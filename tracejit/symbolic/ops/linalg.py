"""Dense linear algebra on stacks of square matrices, through LAPACK.

Derivative formulas: Giles 2008, "An extended collection of matrix derivative results"; Murray 2016 for the Cholesky
factor.
"""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.ir import define
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import cast, conjugate, equal, greater, greater_equal, real, select
from tracejit.symbolic.ops.shape import batch_together, iota, transpose, zeros
from tracejit.symbolic.types import I64, Type


def _square(a, what):
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


def tril(a):
    """Return the lower triangle."""
    return _where_rows(a, greater_equal)


def triu(a):
    """Return the upper triangle."""
    return _where_rows(a, lambda r, c: greater_equal(c, r))


def trace(a):
    """Return the sum of the diagonal of each matrix."""
    return reduce_sum(_where_rows(a, equal), axes=(a.ndim - 2, a.ndim - 1))


def _cholesky_jvp(node, tangents):
    """The factor depends on the lower triangle only, as LAPACK reads it, and so does the tangent."""
    t, = tangents
    below, diagonal = _where_rows(t, greater), _where_rows(t, equal)
    if t.type.kind == "c":
        diagonal = cast(real(diagonal), t.dtype)
    symmetric = below + diagonal + adjoint(below)
    left = triangular_solve(node, symmetric, lower=True, trans=False)
    inner = adjoint(triangular_solve(node, adjoint(left), lower=True, trans=False))
    half = _where_rows(inner, greater) + _where_rows(inner, equal) * 0.5
    return matmul(node, half)


def _stack_batch(node, args, batched):
    return node.op(*batch_together(args, batched), **dict(zip(node.op.attrs, node.attrs)))


cholesky = define("cholesky", type=lambda a: _square(a, "cholesky"), ref=np.linalg.cholesky, jvp=_cholesky_jvp,
                  routine="cholesky", batch=_stack_batch)


def _solve_type(a, b, what="solve"):
    _square(a, what)
    if b.dtype != a.dtype or b.ndim != a.ndim or b.shape[:-1] != a.shape[:-1]:
        raise TypeRuleError(f"{what} of {a} and {b}: needs matrices of equal stacks, rows and dtype")
    return b


def _triangular_ref(a, b, lower, trans):
    a = np.tril(a) if lower else np.triu(a)
    return np.linalg.solve(np.swapaxes(a, -1, -2) if trans else a, b)


def _triangular_jvp(node, tangents):
    a, b = node.args
    lower, trans = node.attrs
    t = (tril if lower else triu)(tangents[0])
    return -triangular_solve(a, matmul(matrix_transpose(t) if trans else t, node), lower=lower, trans=trans)


#: ``x`` with ``op(a) @ x = b``, reading one triangle of `a` only; `trans` takes the (plain) transpose.
triangular_solve = define(
    "triangular_solve", attrs=("lower", "trans"), type=lambda a, b, lower, trans: _solve_type(a, b, "triangular_solve"),
    ref=_triangular_ref, linear=(1,), jvp=_triangular_jvp, routine="triangular_solve", batch=_stack_batch,
    transpose=lambda ct, node, wanted: (None, triangular_solve(
        node.args[0], ct, lower=node.attrs[0], trans=not node.attrs[1])))
#: ``x`` with ``a @ x = b``.
solve = define("solve", type=_solve_type, ref=np.linalg.solve, linear=(1,), routine="solve", batch=_stack_batch,
               jvp=lambda node, ts: -solve(node.args[0], matmul(ts[0], node)),
               transpose=lambda ct, node, wanted: (None, solve(matrix_transpose(node.args[0]), ct)))
inv = define("inv", type=lambda a: _square(a, "inv"), ref=np.linalg.inv, routine="inv", batch=_stack_batch,
             jvp=lambda node, ts: -matmul(matmul(node, ts[0]), node))


def _stack(a, what):
    return _square(a, what).with_shape(a.shape[:-2])


def _real_stack(a, what):
    if a.kind != "f":
        raise TypeRuleError(f"{what} of {a}: needs real matrices")
    return _stack(a, what)


def _log_derivative(node, tangents):
    """d log det(A) = trace(A^-1 dA)."""
    return trace(solve(node.args[0], tangents[0]))


det = define("det", type=lambda a: _stack(a, "det"), ref=np.linalg.det, routine="det", batch=_stack_batch,
             jvp=lambda node, ts: node * _log_derivative(node, ts))
#: Sign and log of the magnitude of the determinant, of real matrices.
det_sign = define("det_sign", type=lambda a: _real_stack(a, "det_sign"), ref=lambda a: np.linalg.slogdet(a)[0],
                  routine="det_sign", batch=_stack_batch, differentiable=False)
log_abs_det = define("log_abs_det", type=lambda a: _real_stack(a, "log_abs_det"),
                     ref=lambda a: np.linalg.slogdet(a)[1], routine="log_abs_det", batch=_stack_batch,
                     jvp=_log_derivative)
