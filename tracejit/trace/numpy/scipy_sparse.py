"""scipy.sparse in traced code: making sparse arrays, and solving sparse equations."""

import functools

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.ops.shape import zeros
from tracejit.symbolic.ops.sparse import csr_solve
from tracejit.symbolic.types import C64, C128, F32, F64, I32, I64, Type
from tracejit.trace import sparse
from tracejit.trace.numpy import registry, sparse_methods
from tracejit.trace.numpy.common import known_dtype, literal
from tracejit.trace.numpy.namespace import Constructor, is_traced
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.sparse_patterns import compressed, nodes
from tracejit.trace.sparse import PARTS, SparseTracer
from tracejit.trace.tracer import Tracer, as_tracer, wrap
from tracejit.trace.values import concrete

NO = np._NoValue


# ---------------------------------------------------------------- making them
class _SparseClass(Constructor):
    """The class of stand-ins for csr_array and its like: a call makes a traced one."""

    def __call__(cls, arg1, shape=None, dtype=None, copy=False, *, maxprint=None):
        original = cls.original
        if not is_traced((arg1,), {}):
            return sparse.literal(original(arg1, shape=shape, dtype=dtype))
        made = _made(arg1, shape, sparse.format_of(original), original.__name__.endswith("array"))
        if made.container is not original:
            made = SparseTracer(original, made.shape, made.parts)
        return made if dtype is None else made.astype(known_dtype(dtype))


def _made(arg, shape, form, is_array):
    """Return a sparse array of a format from what the constructors of SciPy take."""
    if isinstance(arg, SparseTracer):
        return sparse_methods.asformat(arg, form)
    if form == "dia" or not isinstance(arg, tuple):
        if form == "dia" and isinstance(arg, tuple):
            data, offsets = as_tracer(arg[0]), as_tracer(arg[1])
            return SparseTracer(sparse.container("dia", is_array), _shape(shape), (_rows(data), _positions(offsets)))
        return _of_dense(as_tracer(arg), form, is_array)
    if len(arg) == 3:
        data, indices, indptr = map(as_tracer, arg)
        if shape is None:
            other = int(concrete(indices.max() if indices.size else as_tracer(-1), "the shape of a sparse array")) + 1
            shape = (indptr.shape[0] - 1, other)
            shape = shape[::-1] if form == "csc" else shape
        return SparseTracer(sparse.container(form, is_array), _shape(shape), (
            data, _positions(indices), _positions(indptr)))
    data, (row, column) = arg
    row, column = _positions(as_tracer(row)), _positions(as_tracer(column))
    if shape is None:
        if row.size == 0:
            raise ValueError("cannot infer dimensions from zero sized index arrays")
        shape = tuple(int(concrete(k.max(), "the shape of a sparse array")) + 1 for k in (row, column))
    made = SparseTracer(sparse.container("coo", is_array), _shape(shape), (as_tracer(data), row, column))
    return made if form == "coo" else compressed(made, form)


def _of_dense(x, form, is_array):
    """Return the places where a dense array is not zero, of which only the compiled function knows the number."""
    if x.ndim != 2:
        raise UnsupportedError(f"a sparse array of an array of shape {x.shape}", where=user_frame(),
                               do="give a matrix, or numbers and their positions")
    row, column = np.nonzero(x)
    made = SparseTracer(sparse.container("coo", is_array), x.shape, (x[row, column], _positions(row),
                                                                     _positions(column)))
    return sparse_methods.asformat(made, form)


def _shape(shape):
    if shape is None or len(tuple(shape)) != 2:
        raise UnsupportedError(f"a sparse array of shape {shape} in a traced function", where=user_frame(),
                               do="give a shape of two sizes")
    return tuple(int(concrete(n, "a size")) if isinstance(n, Tracer) else int(n) for n in shape)


def _positions(x):
    return x if x.dtype in (I32, I64) else wrap(cast(x.node, I64))


def _rows(data):
    return data if data.ndim == 2 else data.reshape(1, -1)


@functools.cache
def _stand_in(cls):
    return _SparseClass(cls.__name__, (), {"__module__": cls.__module__, "original": cls})


def _meaning(value):
    """Return the traced counterpart of a class, or of a function that is not where its name says."""
    if getattr(value, "__name__", None) == "issparse":
        return issparse
    if isinstance(value, type) and sparse.is_sparse_class(value) and sparse.format_of(value) in PARTS:
        return _stand_in(value)
    return None


registry.FALLBACKS.append(_meaning)


@implements("scipy.sparse.issparse")
def issparse(x):
    """Return whether `x` is a sparse array or matrix."""
    return isinstance(x, SparseTracer)


@implements("scipy.sparse.isspmatrix")
def isspmatrix(x):
    """Return whether `x` is a sparse matrix."""
    return isinstance(x, SparseTracer) and not x.is_array


def _original(name, *args, **kwargs):
    """Return what SciPy makes of arguments that are no arrays."""
    import scipy.sparse  # only functions that name it come here

    return sparse.literal(getattr(scipy.sparse, name)(*args, **kwargs))


@implements("scipy.sparse.diags_array")
def diags_array(diagonals, /, *, offsets=0, shape=None, format=None, dtype=NO):
    """Return the sparse array that has given diagonals."""
    return _diagonals(diagonals, offsets, shape, format, dtype, True)


@implements("scipy.sparse.diags")
def diags(diagonals, offsets=0, shape=None, format=None, dtype=NO):
    """Return the sparse matrix that has given diagonals."""
    return _diagonals(diagonals, offsets, shape, format, dtype, False)


def _plain(x):
    """Return offsets or a shape as SciPy takes them."""
    return concrete(as_tracer(x), "the offsets of diagonals") if isinstance(x, (Tracer, list, tuple)) else x


def _diagonals(diagonals, offsets, shape, format, dtype, is_array):
    offsets = _plain(offsets)
    if np.ndim(offsets) == 0:
        single = diagonals.ndim == 1 if isinstance(diagonals, Tracer) else not len(diagonals) or not np.ndim(
            diagonals[0])
        if not single:
            raise ValueError("Different number of diagonals and offsets.")
        diagonals = [diagonals]
    rows = [np.atleast_1d(as_tracer(d)) for d in diagonals]
    offsets = np.atleast_1d(offsets)
    if len(rows) != len(offsets):
        raise ValueError("Different number of diagonals and offsets.")
    m, n = (rows[0].shape[0] + abs(int(offsets[0])),) * 2 if shape is None else _shape(shape)
    if dtype is NO:
        common = np.common_type(*(np.empty(0, r.dtype) for r in rows))
    else:
        common = np.result_type(*(r.dtype for r in rows)) if dtype is None else known_dtype(dtype)
    width = max(0, *(min(m + k, n - k) + max(0, k) for k in offsets.tolist()))
    data = wrap(zeros(Type(common, (len(rows), width))))
    for j, (row, k) in enumerate(zip(rows, offsets.tolist())):
        length = min(m + k, n - k, m, n)
        if length < 0:
            raise ValueError(f"Offset {k} (index {j}) out of bounds")
        if row.shape[-1] < length and row.shape != (1,):
            raise ValueError(f"Diagonal length (index {j}: {len(row)} at offset {k}) does not agree with array size "
                             f"({m}, {n}).")
        data[j, max(0, k):max(0, k) + length] = row[..., :length]
    made = SparseTracer(sparse.container("dia", is_array), (m, n), (data, literal(offsets, np.int32)))
    return sparse_methods.asformat(made, format)


@implements("scipy.sparse.eye_array")
def eye_array(m, n=None, *, k=0, dtype=float, format=None):
    """Return the sparse array with ones on the k-th diagonal."""
    return _original("eye_array", *_sizes(m, n), k=k, dtype=known_dtype(dtype), format=format)


@implements("scipy.sparse.eye")
def eye(m, n=None, k=0, dtype=float, format=None):
    """Return the sparse matrix with ones on the k-th diagonal."""
    return _original("eye", *_sizes(m, n), k=k, dtype=known_dtype(dtype), format=format)


@implements("scipy.sparse.identity")
def identity(n, dtype="d", format=None):
    """Return the sparse identity matrix."""
    return _original("identity", *_sizes(n), dtype=known_dtype(dtype), format=format)


def _sizes(*sizes):
    return [int(concrete(n, "a size")) if isinstance(n, Tracer) else n for n in sizes]


# ---------------------------------------------------------------- equations
def _solution(a, b, transposed=False):
    """Return the node of the solution for a node of one or two axes."""
    if a.shape[0] != a.shape[1]:
        raise ValueError(f"matrix must be square (has shape {a.shape})")
    if b.shape[:1] != a.shape[:1]:
        raise ValueError(f"matrix - rhs dimension mismatch ({a.shape} - {b.shape[0] if b.ndim else 0})")
    a = a if a.format in ("csr", "csc") else compressed(a, "csc")
    own = next(t for t in (F32, F64, C64, C128) if np.can_cast(a.data.dtype, t))
    dtype = np.promote_types(own, b.dtype)
    data, indices, indptr = nodes(a)
    columns = cast(b, dtype) if b.ndim == 2 else wrap(cast(b, dtype)).reshape(-1, 1).node
    # compressed columns are the rows of the transpose
    out = csr_solve(cast(data, dtype), indices, indptr, columns, transposed=transposed != (a.format == "csc"))
    return wrap(out)


@implements("scipy.sparse.linalg.spsolve", without=("a sparse right-hand side",),
            differs="no warning where the matrix is singular")
def spsolve(A, b, permc_spec=None, use_umfpack=True):
    """Return the x with ``A @ x = b``; NaN where A is singular."""
    if isinstance(b, SparseTracer):
        raise UnsupportedError("spsolve with a sparse right-hand side", where=user_frame(), do="pass b.toarray()")
    a, b = sparse_methods.operand(A), as_tracer(b)
    if not isinstance(a, SparseTracer):
        a = _of_dense(a, "csc", True)
    out = _solution(a, b.node)
    return out.reshape(-1) if b.ndim == 1 or b.shape[1] == 1 else out


class Factors:
    """What splu gives: solutions for one matrix, whose factors the compiled code keeps from one to the next."""

    def __init__(self, a):
        if a.shape[0] != a.shape[1]:
            raise ValueError("can only factor square matrices")
        self._a, self.shape = a, a.shape

    def solve(self, rhs, trans="N"):
        """Return the x with ``A @ x = rhs``, of its transpose (T) or adjoint (H)."""
        b = as_tracer(rhs)
        a = self._a.conj() if trans == "H" else self._a
        out = _solution(a, b.node, transposed=trans != "N")
        return out.reshape(b.shape)


@implements("scipy.sparse.linalg.splu", without=("L", "U", "perm_c", "perm_r"), differs="a singular matrix gives NaN")
def splu(A, permc_spec=None, diag_pivot_thresh=None, relax=None, panel_size=None, options=None):
    """Return an object whose ``solve(b)`` solves equations with one matrix."""
    return Factors(A)


@implements("scipy.sparse.linalg.factorized", differs="a singular matrix gives NaN")
def factorized(A):
    """Return a function that solves equations with one matrix."""
    return Factors(A).solve


@implements("scipy.sparse.linalg.norm")
def norm(x, ord=None, axis=None):
    """Return the Frobenius norm of a sparse array, or the largest sum of sizes along an axis."""
    if axis is not None or ord not in (None, "fro", "f", 1, np.inf, -1, -np.inf):
        raise UnsupportedError(f"the norm of a sparse array with ord={ord!r}, axis={axis!r}", where=user_frame(),
                               do="use ord None, 'fro', 1 or np.inf, or A.toarray()")
    if ord in (None, "fro", "f"):
        return np.sqrt((abs(compressed(x, "csr").data) ** 2).sum())
    sums = abs(x).sum(axis=0 if ord in (1, -1) else 1)
    return sums.max() if ord > 0 else sums.min()
