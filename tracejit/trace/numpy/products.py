"""Products of arrays: dot, tensordot, einsum and their relatives, all of them dot_general or a multiplication."""

import operator

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.contract import dot_general
from tracejit.symbolic.ops.shape import broadcast, reshape
from tracejit.symbolic.types import BOOL
from tracejit.trace.numpy.common import axis_of, deliver, known_dtype, static, static_ints
from tracejit.trace.numpy.einsum import contract, contraction_order, from_sublists, resolve
from tracejit.trace.numpy.registry import implements
from tracejit.trace.shapes import is_known, resized, shown
from tracejit.trace.tracer import as_tracer, wrap
from tracejit.trace.views import pick_view


def _nodes(*arrays):
    """Return the nodes of array-likes in their common dtype (Python numbers count as arrays here, as in NumPy)."""
    tracers = [as_tracer(a) for a in arrays]
    dtype = np.result_type(*(t.dtype for t in tracers))
    return [ops.cast(t.node, dtype) for t in tracers]


def _result(node):
    """Return a node as NumPy returns the result of a product: a scalar at rank 0."""
    return wrap(node, scalar=node.ndim == 0)


def times(x, y):
    """Return the elementwise product of two nodes of one type; of bools, their conjunction."""
    return ops.bitwise_and(x, y) if x.dtype == BOOL else ops.multiply(x, y)


def _scaled(x, y):
    """Return the product of two nodes one of which has rank 0."""
    if x.ndim == 0:
        return times(broadcast(x, y.shape, ()), y)
    return times(x, broadcast(y, x.shape, ()))


def _aligned(x, y, i, j):
    """Return the operands, of which axes i and j have one size; where it is a dim, the compiled function checks it."""
    if not is_known((x.shape[i], y.shape[j])) and x.shape[i] is not y.shape[j]:
        if type(y.shape[j]) is int:
            return resized(x, i, y.shape[j], "contracted"), y
        return x, resized(y, j, x.shape[i], "contracted")
    if x.shape[i] != y.shape[j]:
        raise ValueError(f"shapes {shown(x.shape)} and {shown(y.shape)} not aligned: {x.shape[i]} (dim {i}) != "
                         f"{y.shape[j]} (dim {j})")
    return x, y


# ---------------------------------------------------------------- vectors and matrices
@implements(np.dot)
def dot(a, b, out=None):
    """Return the sum of products over the last axis of `a` and the last but one of `b`."""
    x, y = _nodes(a, b)
    if x.ndim == 0 or y.ndim == 0:
        return _into(_result(_scaled(x, y)), out)
    i, j = x.ndim - 1, max(y.ndim - 2, 0)
    x, y = _aligned(x, y, i, j)
    return _into(_result(dot_general(x, y, ((i,), (j,)))), out)


def _into(result, out):
    if out is not None and (out.dtype != result.dtype or out.shape != result.shape):
        raise ValueError("output array is not acceptable (must have the right datatype, number of dimensions, and be a "
                         "C-Array)")
    return deliver(result, out)


@implements(np.inner)
def inner(a, b, /):
    """Return the sum of products over the last axes."""
    x, y = _nodes(a, b)
    if x.ndim == 0 or y.ndim == 0:
        return _result(_scaled(x, y))
    x, y = _aligned(x, y, x.ndim - 1, y.ndim - 1)
    return _result(dot_general(x, y, ((x.ndim - 1,), (y.ndim - 1,))))


@implements(np.vdot)
def vdot(a, b, /):
    """Return the sum of products of all elements, the first conjugated."""
    x, y = _nodes(a, b)
    x, y = reshape(x, (x.type.size,)), reshape(y, (y.type.size,))
    x, y = _aligned(x, y, 0, 0)
    if x.shape != y.shape:
        raise ValueError(f"cannot reshape array of size {y.type.size} into shape {x.shape}")
    return _result(dot_general(ops.conjugate(x) if x.type.kind == "c" else x, y, ((0,), (0,))))


@implements(np.outer)
def outer(a, b, out=None):
    """Return the products of every element of one with every element of the other."""
    x, y = as_tracer(a), as_tracer(b)
    return np.multiply(x.reshape(-1)[:, None], y.reshape(-1)[None, :], out=out)


@implements(np.linalg.outer)
def linalg_outer(x1, x2, /):
    """Return the products of every element of one vector with every element of another."""
    x, y = as_tracer(x1), as_tracer(x2)
    if x.ndim != 1 or y.ndim != 1:
        raise ValueError(f"Input arrays must be one-dimensional, but they are x1.ndim={x.ndim} and x2.ndim={y.ndim}.")
    return outer(x, y)


@implements(np.linalg.matmul)
def linalg_matmul(x1, x2, /):
    """Return the matrix product."""
    return np.matmul(as_tracer(x1), x2)


@implements(np.linalg.vecdot)
def linalg_vecdot(x1, x2, /, *, axis=-1):
    """Return the sums of products along an axis, the first operand conjugated."""
    return np.vecdot(as_tracer(x1), x2, axis=axis)


@implements(np.kron)
def kron(a, b):
    """Return the Kronecker product: copies of `b` scaled by the elements of `a`."""
    x, y = _nodes(a, b)
    n = max(x.ndim, y.ndim)
    x = reshape(x, (1,) * (n - x.ndim) + x.shape)
    y = reshape(y, (1,) * (n - y.ndim) + y.shape)
    pairs = [m for p in zip(x.shape, y.shape) for m in p]
    product = times(broadcast(x, pairs, range(0, 2 * n, 2)), broadcast(y, pairs, range(1, 2 * n, 2)))
    return _result(reshape(product, [p * q for p, q in zip(x.shape, y.shape)]))


@implements(np.cross)
def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """Return the vector product of vectors of 3 elements (or 2, with the third 0)."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = as_tracer(a), as_tracer(b)
    if x.ndim < 1 or y.ndim < 1:
        raise ValueError("At least one array has zero dimension")
    x = np.moveaxis(x, axis_of(axisa, x.ndim, "axisa"), -1)
    y = np.moveaxis(y, axis_of(axisb, y.ndim, "axisb"), -1)
    if x.shape[-1] not in (2, 3) or y.shape[-1] not in (2, 3):
        raise ValueError("incompatible dimensions for cross product\n(dimension must be 2 or 3)")
    part = lambda v, i: v[..., i]
    last = np.subtract(part(x, 0) * part(y, 1), part(x, 1) * part(y, 0))
    if x.shape[-1] == y.shape[-1] == 2:
        return last
    if x.shape[-1] == 2:
        parts = [part(x, 1) * part(y, 2), -(part(x, 0) * part(y, 2)), last]
    elif y.shape[-1] == 2:
        parts = [-(part(x, 2) * part(y, 1)), part(x, 2) * part(y, 0), last]
    else:
        parts = [part(x, 1) * part(y, 2) - part(x, 2) * part(y, 1), part(x, 2) * part(y, 0) - part(x, 0) * part(y, 2),
                 last]
    return np.stack(parts, axis=axis_of(axisc, last.ndim + 1, "axisc"))


@implements(np.linalg.cross)
def linalg_cross(x1, x2, /, *, axis=-1):
    """Return the vector product of vectors of 3 elements."""
    x, y = as_tracer(x1), as_tracer(x2)
    if x.shape[axis] != 3 or y.shape[axis] != 3:
        raise ValueError(f"Both input arrays must be (arrays of) 3-dimensional vectors, but they are {x.shape[axis]} "
                         f"and {y.shape[axis]} dimensional instead.")
    return cross(x, y, axis=axis)


# ---------------------------------------------------------------- any axes
@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a, b, axes=2):
    """Return the sum of products over pairs of axes; the other axes of `a` come first."""
    x, y = _nodes(a, b)
    left, right = _pairs_of_axes(axes)
    if len(left) != len(right):
        raise ValueError("shape-mismatch for sum")
    if any(x.shape[i] != y.shape[j] for i, j in zip(left, right)):  # an IndexError here is NumPy's, too
        raise ValueError("shape-mismatch for sum")
    left, right = [i % x.ndim for i in left], [j % y.ndim for j in right]
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        raise ValueError("repeated axis in transpose")
    if not left:
        shape = (*x.shape, *y.shape)
        return wrap(times(broadcast(x, shape, range(x.ndim)), broadcast(y, shape, range(x.ndim, len(shape)))))
    return wrap(dot_general(x, y, (left, right)))


def _pairs_of_axes(axes):
    """Return the axes to sum over as two lists: the last ones and the first ones for a number."""
    if isinstance(axes, (list, tuple)):
        return (static_ints(side, "axes", np.tensordot) for side in axes)
    n = operator.index(static(axes, "axes", np.tensordot))
    return range(-n, 0), range(n)


@implements(np.einsum)
def einsum(*operands, out=None, optimize=False, dtype=None, order="K", casting="safe"):
    """Return the sum of products that subscripts describe; several operands go in the cheapest order."""
    if not operands:
        raise ValueError("must specify the einstein sum subscripts string and at least one operand, or at least one "
                         "operand and its corresponding subscripts list")
    if isinstance(operands[0], str):
        subscripts, arrays = operands[0], operands[1:]
    else:
        subscripts, arrays = from_sublists(operands)
    tracers = [as_tracer(a) for a in arrays]
    found = np.result_type(*(t.dtype for t in tracers)) if tracers else None
    if dtype is not None:
        for t in tracers:
            if not np.can_cast(t.dtype, dtype, casting):
                raise TypeError(f"Iterator operand 0 dtype could not be cast from {t.dtype!r} to {np.dtype(dtype)!r} "
                                f"according to the rule {casting!r}")
        found = known_dtype(dtype)
    nodes = [ops.cast(t.node, found) for t in tracers]
    order_of_pairs = contraction_order(subscripts, [n.type for n in nodes], optimize)
    terms, result = resolve(subscripts, [n.ndim for n in nodes])
    if len(tracers) == 1 and out is None and found == tracers[0].dtype and result and set(terms[0]) == set(result):
        return _rearranged(tracers[0], terms[0], result)
    return deliver(_result(contract(nodes, terms, result, order_of_pairs)), out)


def _rearranged(x, term, result):
    """Return the view that einsum makes where it sums nothing: axes in another order, and diagonals."""
    if len(term) == len(result):
        return x.transpose([term.index(label) for label in result])
    return pick_view(x, lambda array: np.einsum(f"{term}->{result}", array))


@implements(np.einsum_path)
def einsum_path(*operands, optimize="greedy", einsum_call=False):
    """Return NumPy's order of contraction and its report, from the shapes alone."""
    shapes = [o if isinstance(o, (str, list)) else np.broadcast_to(np.zeros((), as_tracer(o).dtype), as_tracer(o).shape)
              for o in operands]
    return np.einsum_path(*shapes, optimize=optimize)
