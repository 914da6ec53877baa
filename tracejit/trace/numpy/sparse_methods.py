"""Methods and operators of sparse arrays under the trace, after SciPy's: which classes, which dtypes, which errors."""

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ops.index import gather, scatter_add
from tracejit.symbolic.ops.scalar import cast, equal, select
from tracejit.symbolic.ops.shape import broadcast, full, zeros
from tracejit.symbolic.types import BOOL, F64, I64, Type
from tracejit.trace.numpy.common import known_dtype, literal
from tracejit.trace.numpy.sparse_patterns import (
    compressed,
    coordinates,
    dense,
    dense_times,
    of_nodes,
    offsets_of,
    same_pattern,
    stretches,
    times_dense,
    times_sparse,
    transposed,
    united,
    upcast,
)
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.sparse import PARTS, SparseTracer
from tracejit.trace.tracer import Tracer, as_tracer, wrap


def operand(x):
    """Return what a sparse array is combined with: a sparse array, or a tracer."""
    return x if isinstance(x, SparseTracer) else as_tracer(x)


def _is_scalar(x):
    return not isinstance(x, SparseTracer) and x.ndim == 0


def _shapes(a, b):
    return ValueError(f"inconsistent shapes {a.shape} and {b.shape}")


def _mismatch(n, k, rest):
    return ValueError(f"matmul: dimension mismatch with signature (n,k={n}),(k={k},{rest})->(n,{rest})")


# ---------------------------------------------------------------- products
def _matmul(a, other):
    """Return ``a @ other``."""
    if isinstance(other, SparseTracer):
        if a.shape[1] != other.shape[0]:
            raise _mismatch(a.shape[1], other.shape[0], "m")
        return times_sparse(a, other, "csc" if a.format == "csc" else "csr")
    if other.ndim not in (1, 2) or other.type.shape[0] != a.shape[1]:
        raise _mismatch(a.shape[1], other.type.shape[0] if other.ndim else 0, "1?" if other.ndim == 1 else "m")
    return wrap(times_dense(a, other.node))


def _rmatmul(a, other):
    """Return ``other @ a`` for a dense array."""
    if other.ndim not in (1, 2) or other.type.shape[-1] != a.shape[0]:
        raise _mismatch(a.shape[0], other.type.shape[-1] if other.ndim else 0, "1?" if other.ndim == 1 else "m")
    return wrap(dense_times(other.node, a))


def _refuse_scalar(x):
    if _is_scalar(x):
        raise ValueError("Scalar operands are not allowed, use '*' instead")
    return x


def dot(a, other):
    """Return the product with a number, a vector, a matrix or a sparse array."""
    other = operand(other)
    return _scaled(a, other) if _is_scalar(other) else _matmul(a, other)


def _scaled(a, x):
    return a.with_data(a.data * x)


def _times(a, other):
    other = operand(other)
    if a.is_array or _is_scalar(other):
        return multiply_by(a, other)
    return _matmul(a, other)


def _rtimes(a, other):
    other = operand(other)
    return multiply_by(a, other) if a.is_array or _is_scalar(other) else _rmatmul(a, other)


def multiply_by(a, other):
    """Return the product element by element: of the places of `a`, whatever it is multiplied by."""
    other = operand(other)
    if _is_scalar(other):
        return _scaled(a, other)
    if isinstance(other, SparseTracer):
        return _product_of_sparse(a, other)
    if other.ndim > 2:
        return wrap(dense(a)) * other
    shape = np.broadcast_shapes(a.shape, other.shape)
    if shape != a.shape:
        raise UnsupportedError(f"a product of a sparse array of shape {a.shape} with one of shape {other.shape}, which "
                               "repeats the sparse one", where=user_frame(), do="multiply A.toarray()")
    if other.size == 1:
        return _scaled(compressed(a, "csr") if a.format == "coo" else a, other.reshape(()))
    if a.format == "dia":
        return a.with_data(a.data * wrap(_along_diagonals(a, other)))
    rows, columns = coordinates(a)
    places = [p for p, n in zip((rows, columns)[-other.ndim:], other.shape) if n != 1]
    kept = other.reshape([n for n in other.shape if n != 1])
    factors = gather(kept.node, *places)
    return of_nodes(a.sibling("coo"), a.shape, ((a.data * wrap(factors)).node, *(
        cast(p, a.parts[1].dtype) for p in (rows, columns))))


def _along_diagonals(a, other):
    """Return the numbers that a dense array has where the diagonals of `a` have theirs, zeros outside."""
    node = wrap(other.node).reshape((1,) * (2 - other.ndim) + other.shape).node
    node = broadcast(wrap(node).reshape([n for n in node.shape if n != 1]).node, a.shape,
                     [i for i, n in enumerate(node.shape) if n != 1])
    made = wrap(zeros(Type(node.dtype, a.data.shape)))
    for d, column, row, length in stretches(a):
        made[d, column:column + length] = np.diagonal(wrap(node)[row:row + length, column:column + length])
    return made.node


def _product_of_sparse(a, b):
    if a.shape != b.shape:
        raise UnsupportedError(f"a product of sparse arrays of shapes {a.shape} and {b.shape}", where=user_frame(),
                               do="multiply by a dense array, or sparse ones of one shape")
    if a.format == b.format and a.format in ("csr", "csc") and same_pattern(a, b):
        return a.with_data(a.data * b.data)
    form = "csc" if a.format == "csc" else "csr"
    x, y, pattern = united(a, b, form)
    return pattern.with_data(wrap(x) * wrap(y))


# ---------------------------------------------------------------- sums and differences
def _combined(a, other, ufunc):
    other = operand(other)
    if isinstance(other, SparseTracer):
        if other.shape != a.shape:
            raise ValueError("inconsistent shapes")
        return _sum_of_sparse(a, other, ufunc)
    if _is_scalar(other):
        return _plus_scalar(a, other)
    return apply_ufunc(ufunc, wrap(dense(a)), other)


def _plus_scalar(a, x):
    if isinstance(x, Tracer) and x.node.op.name == "const" and not np.any(x.node.op.ref(*x.node.attrs)):
        return a.with_data(a.data.copy())
    raise NotImplementedError("adding a nonzero scalar to a sparse array is not supported")


def _sum_of_sparse(a, b, ufunc):
    if a.format == b.format == "dia":
        return _sum_of_diagonals(a, b, ufunc)
    if same_pattern(a, b) and a.format in ("csr", "csc"):
        return a.with_data(apply_ufunc(ufunc, a.data, b.data))
    form = "csc" if a.format == "csc" else "csr"
    x, y, pattern = united(a, b, form)
    return pattern.with_data(apply_ufunc(ufunc, wrap(x), wrap(y)))


def _sum_of_diagonals(a, b, ufunc):
    offsets = np.union1d(offsets_of(a), offsets_of(b))
    width = max(a.data.shape[1], b.data.shape[1])
    dtype = upcast(a.data.dtype, b.data.dtype)
    rows = [wrap(zeros(Type(dtype, (len(offsets), width)))) for _ in range(2)]
    for made, x in zip(rows, (a, b)):
        own = x.data.shape[1]
        for d, k in enumerate(offsets_of(x).tolist()):
            made[int(np.searchsorted(offsets, k)), :own] = x.data[d]
    return SparseTracer(a.container, a.shape, (apply_ufunc(ufunc, *rows), literal(offsets)))


def _subtracted_from(a, other):
    other = operand(other)
    if isinstance(other, SparseTracer):
        return _combined(other, a, np.subtract)
    if _is_scalar(other):
        return _plus_scalar(-a, other)
    return apply_ufunc(np.subtract, other, wrap(dense(a)))


def _divided(a, other):
    other = operand(other)
    if isinstance(other, SparseTracer):
        raise UnsupportedError("the quotient of two sparse arrays", where=user_frame(),
                               do="divide A.data by B.data where they have one pattern")
    if not _is_scalar(other):
        return multiply_by(a, 1 / other)
    numbers = a.astype(F64) if np.can_cast(a.data.dtype, np.float64) else a
    return _scaled(numbers, 1 / other)


# ---------------------------------------------------------------- reductions
def _axis(axis):
    """Return 0, 1 or None for an axis of SciPy's."""
    axes = axis if isinstance(axis, tuple) else () if axis is None else (axis,)
    if any(type(k) is not int or not -2 <= k < 2 for k in axes):
        raise ValueError(f"invalid axis {axis!r}")
    found = {k % 2 for k in axes}
    return found.pop() if len(found) == 1 else None


def total(a, axis=None, dtype=None, out=None):
    """Return the sum of all elements, or along an axis."""
    if out is not None:
        raise UnsupportedError("the sum of a sparse array with out=", where=user_frame(), do="assign to out[...]")
    kind, axis = a.data.dtype, _axis(axis)
    inner = np.dtype(np.uint64) if kind.kind == "u" else np.dtype(np.int64) if kind.kind in "bi" else kind
    if axis is None:
        return _counted(a).sum(dtype=dtype)
    ones, whole = full(1, Type(inner, (a.shape[axis],))), a.astype(inner)
    out = wrap(dense_times(ones, whole) if axis == 0 else times_dense(whole, ones))
    out = out if dtype is None else out.astype(known_dtype(dtype))
    return out if a.is_array else out.reshape((1, -1) if axis == 0 else (-1, 1))


def _counted(a):
    """Return the numbers that are elements: of diagonals, those inside."""
    return compressed(a, "csr").data if a.format == "dia" else a.data


def mean(a, axis=None, dtype=None, out=None):
    """Return the mean of all elements, zeros included, or along an axis."""
    kind, axis = a.data.dtype, _axis(axis)
    inner = F64 if kind.kind in "biu" else kind
    count = a.shape[0] * a.shape[1] if axis is None else a.shape[axis]
    found = total(_scaled(a.astype(inner), 1.0 / count), axis, inner, out)
    return found if dtype is None else found.astype(known_dtype(dtype))


def diagonal(a, k=0):
    """Return the k-th diagonal."""
    m, n = a.shape
    if k <= -m or k >= n:
        return wrap(zeros(Type(a.data.dtype, (0,))))
    size = min(m + min(k, 0), n - max(k, 0))
    rows, columns = coordinates(a)
    data = _counted(a).node
    dtype = Type(I64 if data.dtype == BOOL else data.dtype, data.shape)
    hit = equal(columns, rows + full(k, rows.type))
    place = select(hit, rows if k >= 0 else columns, zeros(rows.type))
    number = select(hit, cast(data, dtype.dtype), zeros(dtype))
    made = scatter_add(zeros(Type(dtype.dtype, (size,))), number, place)
    return wrap(cast(made, data.dtype))


# ---------------------------------------------------------------- the rest
def astype(a, dtype, casting="unsafe", copy=True):
    """Return the array in another dtype."""
    return a.with_data(a.data.astype(known_dtype(dtype)))


def power(a, n, dtype=None):
    """Return the numbers to a power that leaves zeros zero."""
    if not isinstance(n, Tracer) and n <= 0:
        raise NotImplementedError("zero and negative powers of a sparse array are not supported")
    numbers = a if dtype is None else a.astype(dtype)
    return numbers.with_data(numbers.data ** n)


def _matrix_power(a, n):
    if a.is_array:
        return power(a, n)
    if type(n) is not int or n < 1:
        raise UnsupportedError("a power of a sparse matrix that is no positive integer", where=user_frame(),
                               do="write the product out")
    out = a
    for _ in range(n - 1):
        out = _matmul(out, a)
    return out


def asformat(a, format, copy=False):
    """Return the array in another format."""
    if format is None or format == a.format:
        return a
    if format in ("csr", "csc"):
        return compressed(a, format)
    if format == "coo":
        rows, columns = coordinates(a)
        return of_nodes(a.sibling("coo"), a.shape, (_counted(a).node, *(
            cast(p, a.parts[1].dtype) for p in (rows, columns))))
    raise UnsupportedError(f"a sparse array in the format {format!r}", where=user_frame(),
                           do="use csr, csc or coo, or convert it outside the jitted function")


def _transpose(a, axes=None, copy=False):
    if axes is not None and tuple(axes) != (1, 0):
        raise ValueError("Sparse arrays/matrices do not support an 'axes' parameter because swapping dimensions is the "
                         "only logical permutation.")
    return transposed(a)


def _toarray(a, order=None, out=None):
    if out is not None:
        out[...] = wrap(dense(a))
        return out
    return wrap(dense(a))


def _count(a, axis=None):
    if axis is not None:
        raise UnsupportedError("the number of entries along an axis", where=user_frame(), do="use np.diff(A.indptr)")
    if a.format == "dia":
        return sum(length for *_, length in stretches(a))
    size = a.data.shape[0]
    return size


def _refused(name):
    def refuse(a, *args, **kwargs):
        raise UnsupportedError(f"{name} of a sparse array in a traced function", where=user_frame(),
                               do="take it outside, from A.toarray(), or from A.data, A.indices and A.indptr")
    return refuse


def _elementwise(name):
    return lambda a: a.with_data(getattr(np, name)(a.data))


def _part(name):
    def get(a):
        names = PARTS[a.format]
        if name not in names:
            raise AttributeError(f"{a.container.__name__!r} object has no attribute {name!r}")
        return a.parts[names.index(name)]
    return property(get)


def _absent(a, name):
    if hasattr(a.container, name) and not name.startswith("__"):
        raise UnsupportedError(f"{a.container.__name__}.{name} in a traced function", where=user_frame(),
                               do="take it outside the jitted function, or from A.data and A.indices")
    raise AttributeError(f"{a.container.__name__!r} object has no attribute {name!r}")


#: Functions that leave zeros zero, as methods of SciPy's.
_UNARY = ("sin tan arcsin arctan sinh tanh arcsinh arctanh rint sign expm1 log1p deg2rad rad2deg floor ceil trunc "
          "sqrt").split()
_METHODS = {
    "dot": dot, "multiply": multiply_by, "sum": total, "mean": mean, "diagonal": diagonal, "astype": astype,
    "power": power, "asformat": asformat, "transpose": _transpose, "toarray": _toarray, "todense": _toarray,
    "tocsr": lambda a, copy=False: asformat(a, "csr"), "tocsc": lambda a, copy=False: asformat(a, "csc"),
    "tocoo": lambda a, copy=True: asformat(a, "coo"), "copy": lambda a: a.with_data(a.data.copy()),
    "conj": lambda a, copy=True: a.with_data(np.conjugate(a.data)),
    "conjugate": lambda a, copy=True: a.with_data(np.conjugate(a.data)),
    "trace": lambda a, offset=0: diagonal(a, offset).sum(), "getnnz": _count,
    "count_nonzero": lambda a: np.count_nonzero(_counted(a)), "maximum": _refused("maximum"),
    **{name: _elementwise(name) for name in _UNARY},
    "__matmul__": lambda a, x: _matmul(a, _refuse_scalar(operand(x))),
    "__rmatmul__": lambda a, x: _rmatmul(a, _refuse_scalar(operand(x))),
    "__mul__": _times, "__rmul__": _rtimes, "__truediv__": _divided, "__pow__": _matrix_power,
    "__add__": lambda a, x: _combined(a, x, np.add), "__radd__": lambda a, x: _combined(a, x, np.add),
    "__sub__": lambda a, x: _combined(a, x, np.subtract), "__rsub__": _subtracted_from,
    "__neg__": lambda a: a.with_data(-a.data), "__abs__": lambda a: a.with_data(abs(a.data)),
    "__getitem__": _refused("indexing"), "__setitem__": _refused("setting elements"), "__iter__": _refused("iterating"),
    "__len__": _refused("len()"), "__eq__": _refused("comparison"), "__getattr__": _absent,
    "T": property(transposed), "nnz": property(_count), "size": property(_count),
    "dtype": property(lambda a: a.data.dtype), "real": property(lambda a: a.with_data(a.data.real)),
    "imag": property(lambda a: a.with_data(a.data.imag)),
    **{name: _part(name) for name in ("indices", "indptr", "row", "col", "offsets")},
    "coords": property(lambda a: (a.row, a.col)),
}
for _name, _value in _METHODS.items():
    setattr(SparseTracer, _name, _value)
