"""Sums of products: dot_general, and the BLAS calls that the contract phase makes of it."""

import math

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.ir import define
from tracejit.symbolic.ops.shape import broadcast_to, transpose


def free_axes(ndim, *used):
    """Return the axes not among `used`, in order."""
    taken = {a for axes in used for a in axes}
    return [a for a in range(ndim) if a not in taken]


def _dot_general_type(x, y, contract, batch):
    (cx, cy), (bx, by) = contract, batch
    sizes = [[t.shape[a] for a in axes] for t, axes in ((x, cx), (y, cy), (x, bx), (y, by))]
    if x.dtype != y.dtype or sizes[0] != sizes[1] or sizes[2] != sizes[3]:
        raise TypeRuleError(f"dot_general of {x} and {y}: contract {contract}, batch {batch}")
    return x.with_shape([*sizes[2], *(x.shape[a] for a in free_axes(x.ndim, cx, bx)),
                         *(y.shape[a] for a in free_axes(y.ndim, cy, by))])


def _dot_general_ref(x, y, contract, batch):
    (cx, cy), (bx, by) = contract, batch
    fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
    batches, rows, inner = ([x.shape[a] for a in axes] for axes in (bx, fx, cx))
    columns = [y.shape[a] for a in fy]
    left = x.transpose([*bx, *fx, *cx]).reshape(math.prod(batches), math.prod(rows), math.prod(inner))
    right = y.transpose([*by, *cy, *fy]).reshape(math.prod(batches), math.prod(inner), math.prod(columns))
    return np.matmul(left, right).reshape(batches + rows + columns)


def _dot_general_transpose(ct, node, wanted):
    x, y = node.args
    (cx, cy), (bx, by) = node.attrs
    fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
    nb = len(bx)

    def back(other, c_self, b_self, f_self, c_other, b_other, f_other, ct_other_axes, ndim):
        """Contract the cotangent with the other operand, then put its axes where the operand has them."""
        out = dot_general(ct, other, (ct_other_axes, f_other), (tuple(range(nb)), b_other))
        # `out` has the batch axes, the own free axes, then the other's contracted axes in their rising order.
        rising = sorted(c_other)
        order = [*b_self, *f_self, *(c_self[c_other.index(a)] for a in rising)]
        return transpose(out, [order.index(a) for a in range(ndim)])

    ct_x = tuple(range(nb, nb + len(fx)))
    ct_y = tuple(range(nb + len(fx), ct.ndim))
    return (back(y, cx, bx, fx, cy, by, tuple(fy), ct_y, x.ndim) if wanted[0] else None,
            back(x, cy, by, fy, cx, bx, tuple(fx), ct_x, y.ndim) if wanted[1] else None)


def _dot_general_batch(node, args, batched):
    x, y = args
    (cx, cy), (bx, by) = node.attrs
    if batched[0]:
        cx, bx = _one_further(cx), _one_further(bx)
    if batched[1]:
        cy, by = _one_further(cy), _one_further(by)
    if all(batched):
        return dot_general(x, y, (cx, cy), ((0, *bx), (0, *by)))
    out = dot_general(x, y, (cx, cy), (bx, by))
    # The batch axis is the first free axis of its operand: behind the op's own batch axes (and x's free axes).
    place = len(bx) if batched[0] else len(bx) + len(free_axes(x.ndim, cx, bx))
    return transpose(out, [place, *[a for a in range(out.ndim) if a != place]])


def _one_further(axes):
    return tuple(a + 1 for a in axes)


dot_general_op = define(
    "dot_general", attrs=("contract", "batch"), type=_dot_general_type, ref=_dot_general_ref, linear="each",
    transpose=_dot_general_transpose, routine="dot_general", batch=_dot_general_batch)


def dot_general(x, y, contract, batch=((), ())):
    """Return the sum of products over the contracted axes.

    Result axes: the batch axes, the free axes of `x`, the free axes of `y`. ``contract`` and ``batch`` are pairs of
    axis tuples, for `x` and for `y`.
    """
    contract, batch = ((tuple(of_x), tuple(of_y)) for of_x, of_y in (contract, batch))
    return dot_general_op(x, y, contract=contract, batch=batch)


def matmul(x, y):
    """Return NumPy's ``x @ y`` for operands of equal dtype: stacks of matrices, with batch axes broadcast."""
    if x.ndim == 1 or y.ndim == 1 or (y.ndim == 2):
        return dot_general(x, y, ((x.ndim - 1,), (max(y.ndim - 2, 0),))) if y.ndim <= 2 else _vector_matrices(x, y)
    if x.ndim == 2 and y.ndim > 2:
        out = dot_general(x, y, ((1,), (y.ndim - 2,)))
        return transpose(out, [*range(1, y.ndim - 1), 0, y.ndim - 1])
    shape = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = broadcast_to(x, (*shape, *x.shape[-2:])), broadcast_to(y, (*shape, *y.shape[-2:]))
    n = tuple(range(len(shape)))
    return dot_general(x, y, ((len(n) + 1,), (len(n),)), (n, n))


def _vector_matrices(x, y):
    return dot_general(y, x, ((y.ndim - 2,), (0,)))


# ---------------------------------------------------------------- what the contract phase makes
def _gemm_type(a, b, c, alpha, beta, trans_a, trans_b):
    m, k = (a.shape[1], a.shape[0]) if trans_a else a.shape
    k2, n = (b.shape[1], b.shape[0]) if trans_b else b.shape
    scalars = alpha.shape == beta.shape == () and a.dtype == b.dtype == c.dtype == alpha.dtype == beta.dtype
    if k != k2 or c.shape != (m, n) or not scalars:
        raise TypeRuleError(f"gemm of {a}, {b}, {c}")
    return c


def _gemm(a, b, c, alpha, beta, trans_a, trans_b):
    product = (a.T if trans_a else a) @ (b.T if trans_b else b)
    return (alpha * product + beta * c).astype(c.dtype)


#: ``alpha * op(a) @ op(b) + beta * c`` with rank-0 alpha and beta. Made after differentiation, so it has no derivative.
gemm = define("gemm", attrs=("trans_a", "trans_b"), routine="gemm", differentiable=None,
              type=lambda a, b, c, alpha, beta, trans_a, trans_b: _gemm_type(a, b, c, alpha, beta, trans_a, trans_b),
              ref=_gemm)


def _gemv_type(a, x, y, alpha, beta, trans):
    m, n = (a.shape[1], a.shape[0]) if trans else a.shape
    if x.shape != (n,) or y.shape != (m,) or not a.dtype == x.dtype == y.dtype == alpha.dtype == beta.dtype:
        raise TypeRuleError(f"gemv of {a}, {x}, {y}")
    return y


#: ``alpha * op(a) @ x + beta * y``.
gemv = define("gemv", attrs=("trans",), type=_gemv_type, routine="gemv", differentiable=None,
              ref=lambda a, x, y, alpha, beta, trans: (alpha * ((a.T if trans else a) @ x) + beta * y).astype(y.dtype))
