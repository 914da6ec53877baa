"""Pseudoinverses and least squares.

Golub and Pereyra 1973, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
separate"; both derivatives hold at constant rank.
"""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.ir import define
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.control import results
from tracejit.symbolic.ops.factor import (
    ANY_SHAPE,
    cast_like,
    matrix_type,
    random_matrices,
    real_part,
    real_type,
    svd,
    svd_jvp,
)
from tracejit.symbolic.ops.linalg import adjoint, along_columns, side_by_side, stack_batch, taken_apart
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import conjugate, greater, select
from tracejit.symbolic.ops.shape import broadcast, full_like, slice_, stacked, zeros
from tracejit.symbolic.types import I32, Type, type_of


def _pinv_type(a, cutoff):
    matrix_type(a, "pinv")
    if cutoff != real_type(a).with_shape(a.shape[:-2]):
        raise TypeRuleError(f"pinv of {a} with a cutoff of type {cutoff}")
    return a.with_shape((*a.shape[:-2], a.shape[-1], a.shape[-2]))


def _pinv_expand(a, cutoff):
    u, s, vh = results(svd(a, full=False))
    if a.type.size == 0:
        return zeros(a.type.with_shape((*a.shape[:-2], a.shape[-1], a.shape[-2])))
    largest = _largest_of(s)
    keep = greater(s, broadcast(cutoff * largest, s.shape, range(s.ndim - 1)))
    inverse = select(keep, 1 / select(keep, s, full_like(1, s)), zeros(s.type))
    right = adjoint(vh)
    return matmul(right * along_columns(cast_like(inverse, a), right.shape), adjoint(u))


def _largest_of(s):
    """Return the first of falling singular values."""
    stack = s.shape[:-1]
    return reduce_sum(slice_(s, [0] * s.ndim, [1] * s.ndim, [*stack, 1]), axes=(s.ndim - 1,))


def _pinv_jvp(node, tangents):
    """At constant rank: dP = -P dA P + P P^H dA^H (I - A P) + (I - P A) dA^H P^H P."""
    a, da, p = node.args[0], tangents[0], node
    if da is None:
        return None
    out = -matmul(p, matmul(da, p))
    m, n = a.shape[-2:]
    ph, dh = adjoint(p), adjoint(da)
    left = matmul(matmul(p, ph), dh)
    right = matmul(dh, matmul(ph, p))
    # neither vanishes by shape alone: the rank may be less than either size
    out = out + left - matmul(matmul(left, a), p)
    return out + right - matmul(p, matmul(a, right))


def _pinv_samples(rng):
    for (a,), _ in random_matrices(ANY_SHAPE)(rng):
        yield [a, np.full(a.shape[:-2], 1e-5, a.real.dtype)], {}
    a = rng.uniform(-1, 1, (4, 2)).astype(np.float32)
    yield [a @ a.T, np.asarray(1e-5, np.float32)], {}


#: The pseudoinverse; singular values up to `cutoff` times the largest count as zeros.
pinv = define("pinv", type=_pinv_type, ref=np.linalg.pinv, expand=_pinv_expand, jvp=_pinv_jvp, batch=stack_batch,
              samples=_pinv_samples)


def _lstsq_type(a, b, cutoff):
    m, n = matrix_type(a, "lstsq").shape[-2:]
    stack = a.shape[:-2]
    if b.dtype != a.dtype or b.shape[:-1] != (*stack, m) or cutoff != real_type(a).with_shape(stack):
        raise TypeRuleError(f"lstsq of {a}, {b}, {cutoff}")
    k = b.shape[-1]
    return (a.with_shape((*stack, n, k)), real_type(a).with_shape((*stack, k)), Type(I32, stack),
            real_type(a).with_shape((*stack, min(m, n))))


def _lstsq_ref(a, b, cutoff):
    kinds = _lstsq_type(*map(type_of, (a, b, cutoff)))
    outs = [np.zeros(t.shape, t.dtype) for t in kinds]
    for k in np.ndindex(*a.shape[:-2]):
        x, residuals, rank, s = np.linalg.lstsq(a[k], b[k], float(cutoff[k]))
        outs[0][k], outs[2][k], outs[3][k] = x, rank, s
        if residuals.size:
            outs[1][k] = residuals
        elif a.shape[-2] > a.shape[-1]:
            # NumPy says nothing of the residuals then; LAPACK's are those beyond the n-th singular vector
            q = np.linalg.qr(a[k], "complete")[0][:, a.shape[-1]:]
            outs[1][k] = (np.abs(np.conj(q.T) @ b[k]) ** 2).sum(0)
    return tuple(outs)


def _lstsq_jvp(node, tangents):
    """At constant rank, by the pseudoinverse P: dx = P (db - dA x) + P P^H dA^H r + (I - P A) dA^H P^H x."""
    (a, b, cutoff), (da, db, _) = node.args, tangents
    x, residuals, _, s = results(node)
    p = pinv(a, cutoff)
    moved = zeros(b.type) if db is None else db
    rest = b - matmul(a, x)
    if da is not None:
        moved = moved - matmul(da, x)
    dx, ds = matmul(p, moved), None
    if da is not None:
        ph, dh = adjoint(p), adjoint(da)
        along = matmul(dh, matmul(ph, x))
        dx = dx + matmul(p, matmul(ph, matmul(dh, rest))) + along - matmul(p, matmul(a, along))
        ds = svd_jvp(svd(a, full=False), [da])[1]
    dr = None
    if a.shape[-2] > a.shape[-1]:
        product = conjugate(rest) * moved if a.type.kind == "c" else rest * moved
        dr = reduce_sum(real_part(product), axes=(product.ndim - 2,)) * 2
    return dx, dr, None, ds


def _lstsq_batch(node, args, batched):
    """One matrix with a batch of right-hand sides is decomposed once."""
    a, b, cutoff = args
    if batched[0] or batched[2]:
        return stack_batch(node, args, batched)
    x, residuals, rank, s = results(node.op(a, side_by_side(b), cutoff))
    size, columns = b.shape[0], b.shape[-1]
    return taken_apart(x, size, columns), taken_apart(residuals, size, columns), stacked(rank, size), stacked(s, size)


def _lstsq_samples(rng):
    for (a,), _ in random_matrices(((3, 3), (4, 2), (2, 4), (2, 3, 2)))(rng):
        for columns in (1, 2):
            b = rng.uniform(-1, 1, (*a.shape[:-1], columns)).astype(a.dtype)
            yield [a, b, np.full(a.shape[:-2], 1e-5, a.real.dtype)], {}


#: (least-norm x that minimises |A x - b|, sums of squared residuals at full rank, rank, singular values).
lstsq = define("lstsq", type=_lstsq_type, ref=_lstsq_ref, jvp=_lstsq_jvp, routine="lstsq", batch=_lstsq_batch,
               samples=_lstsq_samples)
