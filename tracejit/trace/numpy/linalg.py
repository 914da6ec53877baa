"""numpy.linalg: equations, inverses, determinants, powers and chains of products."""

import functools
import operator

import numpy as np

from tracejit.symbolic.ops import linalg as ops
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.ops.shape import broadcast_to, reshape
from tracejit.symbolic.types import C128, F64, REAL_OF
from tracejit.trace.numpy.common import static
from tracejit.trace.numpy.creation import eye
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer, wrap


def working(*arrays, form=None):
    """Return (nodes in the dtype that NumPy calls LAPACK with, dtype of the result): it works in double precision.

    `form` checks the shape of the first.
    """
    tracers = [as_tracer(a) for a in arrays]
    if form is not None:
        form(tracers[0])
    if any(t.dtype == np.float16 for t in tracers):
        raise TypeError("array type float16 is unsupported in linalg")
    result = np.result_type(*(F64 if t.dtype.kind in "biu" else t.dtype for t in tracers))
    work = C128 if result.kind == "c" else F64
    return [cast(t.node, work) for t in tracers], result


def check_matrix(node):
    """Return the argument; raises NumPy's error for fewer than two axes."""
    if node.ndim < 2:
        raise np.linalg.LinAlgError(f"{node.ndim}-dimensional array given. Array must be at least two-dimensional")
    return node


def check_square(node):
    """Return the argument; raises NumPy's errors for what is no square matrix."""
    check_matrix(node)
    if node.shape[-1] != node.shape[-2]:
        raise np.linalg.LinAlgError("Last 2 dimensions of the array must be square")
    return node


def rounded(node, dtype):
    """Return what was computed in double precision in the dtype of the result, real where it is real."""
    if node.type.kind != "c":
        dtype = REAL_OF.get(dtype, dtype)
    return wrap(cast(node, dtype), scalar=node.ndim == 0)


# ---------------------------------------------------------------- equations and inverses
@implements(np.linalg.solve)
def solve(a, b):
    """Return x with ``a @ x = b``, for stacks of matrices; `b` is a vector only at rank 1."""
    (a, b), dtype = working(a, b, form=check_square)
    vector = b.ndim == 1
    if vector:
        b = reshape(b, (b.shape[0], 1))
    if b.ndim < 2 or b.shape[-2] != a.shape[-1]:
        name, signature = ("solve1", "(m,m),(m)->(m)") if vector else ("solve", "(m,m),(m,n)->(m,n)")
        raise ValueError(f"{name}: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature "
                         f"{signature} (size {b.shape[-2]} is different from {a.shape[-1]})")
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = ops.solve(broadcast_to(a, (*stack, *a.shape[-2:])), broadcast_to(b, (*stack, *b.shape[-2:])))
    return rounded(reshape(out, out.shape[:-1]) if vector else out, dtype)


@implements(np.linalg.inv)
def inv(a):
    """Return the inverse of each matrix."""
    (a,), dtype = working(a, form=check_square)
    return rounded(ops.inv(a), dtype)


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
    (a,), dtype = working(a, form=check_square)
    return rounded(ops.det(a), dtype)


@functools.cache
def result_class(function):
    """Return the named tuple that a function of NumPy returns, which has no public name."""
    return type(function(np.eye(1)))


@implements(np.linalg.slogdet)
def slogdet(a):
    """Return the sign and the logarithm of the magnitude of each determinant."""
    (a,), dtype = working(a, form=check_square)
    return result_class(np.linalg.slogdet)(rounded(ops.det_sign(a), dtype), rounded(ops.log_abs_det(a), dtype))


@implements(np.linalg.cholesky)
def cholesky(a, /, *, upper=False):
    """Return the triangular factor of each positive definite matrix; one triangle of it is read."""
    (a,), dtype = working(a, form=check_square)
    return rounded(ops.adjoint(ops.cholesky(ops.adjoint(a))) if upper else ops.cholesky(a), dtype)


# ---------------------------------------------------------------- powers and chains
@implements(np.linalg.matrix_power)
def matrix_power(a, n):
    """Return a matrix multiplied with itself; the inverse for negative powers."""
    x = as_tracer(a)
    check_square(x.node)
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
        return x
    if n == 3:
        return np.matmul(np.matmul(x, x), x)
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


# ---------------------------------------------------------------- diagonals under the array API's rules
@implements(np.linalg.diagonal)
def diagonal(x, /, *, offset=0):
    """Return the diagonals of the last two axes."""
    return np.diagonal(as_tracer(x), offset, axis1=-2, axis2=-1)


@implements(np.linalg.trace)
def trace(x, /, *, offset=0, dtype=None):
    """Return the sums along the diagonals of the last two axes."""
    return np.trace(as_tracer(x), offset, axis1=-2, axis2=-1, dtype=dtype)
