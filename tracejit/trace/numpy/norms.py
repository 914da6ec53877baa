"""numpy.linalg: norms of vectors and matrices, and condition numbers."""

import operator

import numpy as np

from tracejit.symbolic.ops import linalg as ops
from tracejit.symbolic.ops.control import results
from tracejit.symbolic.ops.factor import lu
from tracejit.symbolic.ops.reduce import reduce_or
from tracejit.symbolic.ops.scalar import equal, select
from tracejit.symbolic.ops.shape import broadcast, zeros
from tracejit.trace.numpy.common import axis_of, root, static
from tracejit.trace.numpy.decompositions import svd
from tracejit.trace.numpy.linalg import check_square, rounded, working
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer


@implements(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    """Return a norm of vectors or matrices along one axis or two."""
    x = as_tracer(x)
    if x.dtype.kind not in "fc":
        x = x.astype(float)
    if axis is None:
        if ord is None or (ord in ("f", "fro") and x.ndim == 2) or (ord == 2 and x.ndim == 1):
            return root(np.add.reduce(_square(x), axis=None, keepdims=keepdims))
        axes = tuple(range(x.ndim))
    else:
        axes = tuple(axis) if isinstance(axis, (tuple, list)) else (operator.index(axis),)
    if len(axes) == 1:
        return _vector_norm(x, ord, axis_of(axes[0], x.ndim), keepdims)
    if len(axes) == 2:
        rows, columns = axis_of(axes[0], x.ndim), axis_of(axes[1], x.ndim)
        if rows == columns:
            raise ValueError("Duplicate axes given.")
        return _matrix_norm(x, ord, rows, columns, keepdims)
    raise ValueError("Improper number of dimensions to norm.")


def _square(x):
    return np.multiply(x.real, x.real) + np.multiply(x.imag, x.imag) if x.dtype.kind == "c" else np.multiply(x, x)


def _vector_norm(x, ord, axis, keepdims):
    options = {"axis": axis, "keepdims": keepdims}
    if ord == np.inf:
        return np.maximum.reduce(np.abs(x), initial=0, **options)
    if ord == -np.inf:
        return np.minimum.reduce(np.abs(x), **options)
    if ord is None or ord == 2:
        return root(np.add.reduce(_square(x), **options))
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    if ord == 0:
        return np.add.reduce(np.not_equal(x, 0).astype(x.real.dtype), **options)
    if ord == 1:
        return np.add.reduce(np.abs(x), **options)
    total = np.add.reduce(np.power(np.abs(x), ord), **options)
    exponent = np.reciprocal(ord, dtype=total.dtype)
    return root(total, lambda x: np.power(x, exponent)) if ord > 0 else np.power(total, exponent)


def _matrix_norm(x, ord, rows, columns, keepdims):
    if ord in (None, "fro", "f"):
        return root(np.add.reduce(_square(x), axis=(rows, columns), keepdims=keepdims))
    if ord in (2, -2, "nuc"):
        values = svd(np.moveaxis(x, (rows, columns), (-2, -1)), compute_uv=False)
        fold, start = {2: (np.maximum, {"initial": 0}), -2: (np.minimum, {}), "nuc": (np.add, {})}[ord]
        result = fold.reduce(values, axis=-1, **start)
        return np.expand_dims(result, sorted((rows, columns))) if keepdims else result
    folds = {1: (np.maximum, rows, columns), np.inf: (np.maximum, columns, rows), -1: (np.minimum, rows, columns),
             -np.inf: (np.minimum, columns, rows)}
    if ord not in folds:
        raise ValueError("Invalid norm order for matrices.")
    pick, summed, chosen = folds[ord]
    total = np.add.reduce(np.abs(x), axis=summed, keepdims=True)
    start = {"initial": 0} if pick is np.maximum else {}
    result = pick.reduce(total, axis=chosen, keepdims=True, **start)
    return result if keepdims else np.squeeze(result, (rows, columns))[()]


@implements(np.linalg.vector_norm)
def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """Return a norm of vectors along axes taken together."""
    x = as_tracer(x)
    if x.dtype.kind not in "fc":
        x = x.astype(float)
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        axes = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
    rest = [d for d in range(x.ndim) if d not in axes]
    flat = x.transpose([*axes, *rest]).reshape([-1 if axes or x.ndim == 0 else 1] + [x.shape[d] for d in rest])
    out = _vector_norm(flat, ord, 0, False)
    return out.reshape([1 if d in axes else n for d, n in enumerate(x.shape)]) if keepdims else out


@implements(np.linalg.matrix_norm)
def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """Return a norm of the matrices in the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.cond)
def cond(x, p=None):
    """Return the condition number in a norm, the spectral one by default; infinite where there is no inverse."""
    x = as_tracer(x)
    if 0 in x.shape[-2:]:
        raise np.linalg.LinAlgError("cond is not defined on empty arrays")
    p = static(p, "p", np.linalg.cond)
    if p is None or p in (2, -2):
        s = svd(x, compute_uv=False)
        result = s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    else:
        (a,), dtype = working(x)
        check_square(a)
        result = norm(x, p, (-2, -1)) * norm(rounded(_inverse_or_nan(a), a.dtype), p, (-2, -1))
        result = result.astype(np.zeros(0, dtype).real.dtype)
    lost = np.isnan(result) & ~np.isnan(x).any(axis=(-2, -1))
    return np.where(lost, result.dtype.type(np.inf), result)[()]


def _inverse_or_nan(a):
    """Return inverses, NaN for the singular matrices, at which the op would raise."""
    pivots = ops.diagonal(results(lu(a))[0])
    singular = reduce_or(equal(pivots, zeros(pivots.type)), axes=(pivots.ndim - 1,))
    singular = broadcast(singular, a.shape, range(a.ndim - 2))
    inverse = ops.inv(select(singular, ops.identity(a.type), a))
    return select(singular, zeros(a.type) + np.nan, inverse)
