"""numpy.linalg: equations, inverses, determinants, factors, norms, powers."""

import functools
import operator

import numpy as np

from tracejit.symbolic.ops import linalg as ops
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.ops.shape import broadcast_to, reshape
from tracejit.symbolic.types import F64
from tracejit.trace.numpy.common import axis_of, refuse_option, static
from tracejit.trace.numpy.creation import eye
from tracejit.trace.numpy.products import _nodes
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer, wrap


def _floating(*arrays):
    """Return nodes in the dtype that LAPACK works in: integers become float64."""
    nodes = _nodes(*arrays)
    if any(as_tracer(a).dtype == np.float16 for a in arrays):
        raise TypeError("array type float16 is unsupported in linalg")
    dtype = F64 if nodes[0].type.kind in "biu" else nodes[0].dtype
    return [cast(n, dtype) for n in nodes]


def _check_square(node):
    if node.ndim < 2:
        raise np.linalg.LinAlgError(f"{node.ndim}-dimensional array given. Array must be at least two-dimensional")
    if node.shape[-1] != node.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    return node


def _result(node):
    return wrap(node, scalar=node.ndim == 0)


# ---------------------------------------------------------------- equations and inverses
@implements(np.linalg.solve)
def solve(a, b):
    """Return x with ``a @ x = b``, for stacks of matrices; `b` is a vector only at rank 1."""
    a, b = _floating(a, b)
    _check_square(a)
    vector = b.ndim == 1
    if vector:
        b = reshape(b, (b.shape[0], 1))
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        raise ValueError(f"solve: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature "
                         f"(m,m),(m,n)->(m,n): {a.type} and {b.type}")
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = ops.solve(broadcast_to(a, (*stack, *a.shape[-2:])), broadcast_to(b, (*stack, *b.shape[-2:])))
    return wrap(reshape(out, out.shape[:-1]) if vector else out)


@implements(np.linalg.inv)
def inv(a):
    """Return the inverse of each matrix."""
    return wrap(ops.inv(_check_square(_floating(a)[0])))


@implements(np.linalg.tensorsolve)
def tensorsolve(a, b, axes=None):
    """Return x with ``tensordot(a, x, x.ndim) = b``."""
    a, b = as_tracer(a), as_tracer(b)
    if axes is not None:
        order = [d for d in range(a.ndim) if d not in [x % a.ndim for x in axes]] + [x % a.ndim for x in axes]
        a = a.transpose(order)
    rest = a.shape[b.ndim:]
    size = int(np.prod(rest, dtype=int))
    if a.size != size ** 2:
        raise np.linalg.LinAlgError("Input arrays must satisfy the requirement "
                                    "prod(a.shape[b.ndim:]) == prod(a.shape[:b.ndim])")
    return solve(a.reshape(size, size), b.ravel()).reshape(rest)


@implements(np.linalg.tensorinv)
def tensorinv(a, ind=2):
    """Return the inverse of an array for `tensordot` over `ind` axes."""
    a = as_tracer(a)
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    size = int(np.prod(a.shape[ind:], dtype=int))
    return inv(a.reshape(size, -1)).reshape(a.shape[ind:] + a.shape[:ind])


# ---------------------------------------------------------------- determinants and factors
@implements(np.linalg.det)
def det(a):
    """Return the determinant of each matrix."""
    return _result(ops.det(_check_square(_floating(a)[0])))


@functools.cache
def _slogdet_result():
    return type(np.linalg.slogdet(np.eye(1)))  # NumPy's named tuple has no public name


@implements(np.linalg.slogdet, without=("complex numbers",))
def slogdet(a):
    """Return the sign and the logarithm of the magnitude of each determinant."""
    a, = _floating(a)
    _check_square(a)
    if a.type.kind == "c":
        refuse_option(np.linalg.slogdet, "complex numbers", "use np.linalg.det")
    return _slogdet_result()(_result(ops.det_sign(a)), _result(ops.log_abs_det(a)))


@implements(np.linalg.cholesky)
def cholesky(a, /, *, upper=False):
    """Return the triangular factor of each positive definite matrix; one triangle of it is read."""
    a = _check_square(_floating(a)[0])
    if upper:
        lower = ops.cholesky(ops.adjoint(a))
        return wrap(ops.adjoint(lower))
    return wrap(ops.cholesky(a))


# ---------------------------------------------------------------- powers and chains
@implements(np.linalg.matrix_power)
def matrix_power(a, n):
    """Return a matrix multiplied with itself; the inverse for negative powers."""
    x = as_tracer(a)
    _check_square(x.node)
    n = static(n, "n", np.linalg.matrix_power)
    try:
        n = operator.index(n)
    except TypeError as e:
        raise TypeError("exponent must be an integer") from e
    if n == 0:
        return np.zeros_like(x) + eye(x.shape[-1], dtype=x.dtype)
    if n < 0:
        x, n = inv(x), -n
    if n == 1:
        return x.copy() if n == 1 else x
    result = None
    while n:
        if n & 1:
            result = x if result is None else np.matmul(result, x)
        n >>= 1
        if n:
            x = np.matmul(x, x)
    return result


@implements(np.linalg.multi_dot)
def multi_dot(arrays, *, out=None):
    """Return the product of several matrices (the first and last may be vectors), in the cheapest order."""
    xs = [as_tracer(a) for a in arrays]
    if len(xs) < 2:
        raise ValueError("Expecting at least two arrays.")
    if len(xs) == 2:
        return np.dot(xs[0], xs[1], out=out)
    first, last = xs[0].ndim, xs[-1].ndim
    if first == 1:
        xs[0] = xs[0].reshape(1, -1)
    if last == 1:
        xs[-1] = xs[-1].reshape(-1, 1)
    for x in xs:
        if x.ndim != 2:
            raise np.linalg.LinAlgError(f"{x.ndim}-dimensional array given. Array must be two-dimensional")
    sizes = [x.shape[0] for x in xs] + [xs[-1].shape[1]]
    split = _chain_splits(sizes)

    def product(i, j):
        return xs[i] if i == j else np.dot(product(i, split[i, j]), product(split[i, j] + 1, j))
    result = product(0, len(xs) - 1)
    if first == 1 and last == 1:
        result = result[0, 0]
    elif first == 1 or last == 1:
        result = result.ravel()
    if out is not None:
        out[...] = result
        return out
    return result


def _chain_splits(sizes):
    """Return where to split each run of a matrix chain (Cormen et al., "Introduction to Algorithms", section 15.2)."""
    n = len(sizes) - 1
    cost, split = {(i, i): 0 for i in range(n)}, {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j], split[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j))
    return split


# ---------------------------------------------------------------- norms
@implements(np.linalg.norm, without=("ord=2, -2 and 'nuc' of matrices",))
def norm(x, ord=None, axis=None, keepdims=False):
    """Return a norm of vectors or matrices along one axis or two."""
    x = as_tracer(x)
    if x.dtype.kind not in "fc":
        x = x.astype(float)
    if axis is None:
        if ord is None or (ord in ("f", "fro") and x.ndim == 2) or (ord == 2 and x.ndim == 1):
            return np.sqrt(np.add.reduce(_square(x), axis=None, keepdims=keepdims))
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
        return np.sqrt(np.add.reduce(_square(x), **options))
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    if ord == 0:
        return np.add.reduce(np.not_equal(x, 0).astype(x.real.dtype), **options)
    if ord == 1:
        return np.add.reduce(np.abs(x), **options)
    total = np.add.reduce(np.power(np.abs(x), ord), **options)
    return np.power(total, np.reciprocal(ord, dtype=total.dtype))


def _matrix_norm(x, ord, rows, columns, keepdims):
    if ord in (None, "fro", "f"):
        return np.sqrt(np.add.reduce(_square(x), axis=(rows, columns), keepdims=keepdims))
    if ord in (2, -2, "nuc"):
        refuse_option(np.linalg.norm, f"ord={ord!r} of a matrix",
                      "use the Frobenius norm, or the eigenvalues of x.T @ x")
    folds = {1: (np.maximum, rows, columns), np.inf: (np.maximum, columns, rows), -1: (np.minimum, rows, columns),
             -np.inf: (np.minimum, columns, rows)}
    if ord not in folds:
        raise ValueError("Invalid norm order for matrices.")
    pick, summed, chosen = folds[ord]
    total = np.add.reduce(np.abs(x), axis=summed, keepdims=True)
    result = pick.reduce(total, axis=chosen, keepdims=True)
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


@implements(np.linalg.matrix_norm, without=("ord=2, -2 and 'nuc'",))
def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """Return a norm of the matrices in the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.cond, without=("p=None, 2 and -2",))
def cond(x, p=None):
    """Return the condition number in a norm other than the spectral one."""
    if p in (None, 2, -2):
        refuse_option(np.linalg.cond, f"p={p!r}", "use p=1, p=np.inf or p='fro'")
    x = as_tracer(x)
    _check_square(x.node)
    return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))


# ---------------------------------------------------------------- diagonals under the array API's rules
@implements(np.linalg.diagonal)
def diagonal(x, /, *, offset=0):
    """Return the diagonals of the last two axes."""
    return np.diagonal(as_tracer(x), offset, axis1=-2, axis2=-1)


@implements(np.linalg.trace)
def trace(x, /, *, offset=0, dtype=None):
    """Return the sums along the diagonals of the last two axes."""
    return np.trace(as_tracer(x), offset, axis1=-2, axis2=-1, dtype=dtype)
