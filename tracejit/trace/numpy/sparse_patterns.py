"""Sparse arrays under the trace: where their numbers are, from one format to another, and products.

A pattern may be known at run time only, also how many places it has: that of a sum, or of a product of two.
"""

import numpy as np

from tracejit.symbolic import dims
from tracejit.symbolic.ir import const
from tracejit.symbolic.ops.index import argsort, gather, nonzero, repeated, scatter_add, searchsorted
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import bitwise_and, cast, fmod, greater_equal, less, not_equal, quotient
from tracejit.symbolic.ops.shape import broadcast, embed, full, iota, reshape, slice_, transpose, zeros
from tracejit.symbolic.ops.sparse import csr_matmul, csr_rmatmul
from tracejit.symbolic.types import BOOL, F16, F32, I32, I64, Type
from tracejit.trace.numpy.sets import unique
from tracejit.trace.sizes import integer_of
from tracejit.trace.sparse import SparseTracer
from tracejit.trace.tracer import wrap
from tracejit.trace.values import concrete


def nodes(a):
    """Return the parts of a sparse array as nodes."""
    return [p.node for p in a.parts]


def of_nodes(container, shape, parts):
    """Return a sparse array made of nodes."""
    return SparseTracer(container, shape, map(wrap, parts))


def swapped(pair, form):
    """Return (along the compressed axis, along the other) as (rows, columns), or the other way round."""
    return tuple(pair) if form != "csc" else tuple(pair)[::-1]


def _ends(indptr):
    """Return where each row begins and where it ends."""
    n = indptr.shape[0] - 1
    indptr = cast(indptr, I64)
    return slice_(indptr, (0,), (1,), (n,)), slice_(indptr, (1,), (1,), (n,))


def coordinates(a):
    """Return the rows and columns of the numbers, as int64."""
    if a.format == "dia":
        a = compressed(a, "csr")
    _, first, second = nodes(a)
    if a.format == "coo":
        return cast(first, I64), cast(second, I64)
    begin, end = _ends(second)
    of_each = repeated(end - begin, size=first.shape[0])
    return swapped((of_each, cast(first, I64)), a.format)


def _times(x, n):
    """Return an array of integers times a number."""
    return x * full(n, x.type)


# ---------------------------------------------------------------- formats
def compressed(a, form):
    """Return a sparse array by compressed rows or columns."""
    if a.format == form:
        return a
    if a.format == "dia":
        a = _from_diagonals(a)
        return compressed(a, form)
    if a.format == "coo":
        return _from_coordinates(a, form)
    data, indices, _ = nodes(a)
    rows, columns = coordinates(a)
    outer, inner = swapped((rows, columns), form)
    order = argsort(outer, axis=0, stable=True)
    starts = _starts(gather(outer, order), a.shape[form == "csc"])
    return of_nodes(a.sibling(form), a.shape, (gather(data, order), cast(gather(inner, order), indices.dtype),
                                               cast(starts, indices.dtype)))


def _starts(ordered, n):
    """Return where each of n rows begins among places that are ordered by rows."""
    return searchsorted(ordered, iota(I64, (n + 1,)), side="left")


def _from_coordinates(a, form):
    """Order the places, and add up the numbers of those that come several times."""
    rows, columns = coordinates(a)
    outer, inner = swapped((rows, columns), form)
    width = max(1, a.shape[form == "csr"])
    keys, inverse = unique(wrap(_times(outer, width) + inner), return_inverse=True)
    keys = keys.node
    data = a.parts[0].node
    summed = scatter_add(zeros(data.type.with_shape(keys.shape)), data, inverse.node)
    position = index_dtype(a, a.shape)
    parts = summed, fmod(keys, full(width, keys.type)), _starts(quotient(keys, full(width, keys.type)),
                                                                a.shape[form == "csc"])
    return of_nodes(a.sibling(form), a.shape, (parts[0], *(cast(p, position) for p in parts[1:])))


def index_dtype(a, shape):
    """Return the dtype that SciPy would give the positions of a sparse array of this shape."""
    given = a.parts[1].dtype
    return given if given == I64 or max(shape) >= 2**31 else I32


def offsets_of(a):
    """Return the offsets of the diagonals, which a graph needs as numbers."""
    return concrete(a.parts[1], "the offsets of the diagonals of a sparse array")


def stretches(a):
    """Yield (row of `data`, first column, first row, length) of the part of each diagonal that is inside."""
    m, n = a.shape
    width = a.parts[0].shape[1]
    for d, k in enumerate(offsets_of(a).tolist()):
        first, last = max(0, k), min(n, m + k, width)
        if last > first:
            yield d, first, first - k, last - first


def _from_diagonals(a):
    """By compressed rows, every place inside a diagonal counting, whatever number is there."""
    m, n = a.shape
    offsets = offsets_of(a)
    order = np.argsort(offsets, kind="stable")
    count, width = sum(length for *_, length in stretches(a)), min(n, a.parts[0].shape[1])
    slots = len(offsets)
    place = iota(I64, (m * slots,))
    row = quotient(place, full(max(1, slots), place.type))
    column = row + gather(const(offsets[order].astype(np.int64)), place - _times(row, slots)) if slots else row
    inside = bitwise_and(greater_equal(column, zeros(column.type)), less(column, full(width, column.type)))
    chosen = nonzero(inside, size=count)
    position = index_dtype(a, a.shape)
    numbers = zeros(Type(a.parts[0].dtype, (0,)))
    if count:
        diagonal = gather(const(order.astype(np.int64)), gather(place - _times(row, slots), chosen))
        numbers = gather(a.parts[0].node, diagonal, gather(column, chosen))
    starts = searchsorted(chosen, _times(iota(I64, (m + 1,)), slots), side="left")
    return of_nodes(a.sibling("csr"), a.shape, (numbers, cast(gather(column, chosen), position),
                                                cast(starts, position)))


def transposed(a):
    """Return the transpose: rows for columns, without moving a number but for diagonals."""
    shape = a.shape[::-1]
    if a.format == "coo":
        return SparseTracer(a.container, shape, (a.parts[0], a.parts[2], a.parts[1]))
    if a.format in ("csr", "csc"):
        return SparseTracer(a.sibling("csc" if a.format == "csr" else "csr"), shape, a.parts)
    data, m = a.parts[0].node, a.shape[0]
    made = zeros(data.type.with_shape((data.shape[0], m)))
    for d, column, row, length in stretches(a):
        piece = slice_(data, (d, column), (1, 1), (1, length))
        made = made + embed(piece, (d, row), (1, 1), made.shape)
    return SparseTracer(a.container, shape, (wrap(made), -a.parts[1]))


def dense(a):
    """Return the node of the dense array."""
    data = compressed(a, "csr").parts[0].node if a.format == "dia" else a.parts[0].node
    kind = data.type.with_shape(a.shape)
    if data.dtype == BOOL:
        return not_equal(scatter_add(zeros(kind.with_dtype(I32)), cast(data, I32), *coordinates(a)),
                         zeros(kind.with_dtype(I32)))
    return scatter_add(zeros(kind), data, *coordinates(a))


# ---------------------------------------------------------------- products
def upcast(*dtypes):
    """Return the dtype that SciPy computes in: NumPy's, but no half precision."""
    found = np.result_type(*dtypes)
    return F32 if found == F16 else found


def times_dense(a, x):
    """Return the node of ``a @ x`` for a node of one or two axes, in the dtype of the product."""
    dtype = upcast(a.parts[0].dtype, x.dtype)
    inner = I32 if dtype == BOOL else dtype
    parts = nodes(a)
    parts[0], x = cast(parts[0], inner), cast(x, inner)
    out = _PRODUCTS[a.format](a, parts, x)
    return not_equal(out, zeros(out.type)) if dtype == BOOL else out


def _coordinate_product(a, parts, x):
    rows, columns = coordinates(a)
    picked = gather(x, columns)
    return scatter_add(zeros(x.type.with_shape((a.shape[0], *x.shape[1:]))),
                       broadcast(parts[0], picked.shape, (0,)) * picked, rows)


def _diagonal_product(a, parts, x):
    data, kind = parts[0], x.type.with_shape((a.shape[0], *x.shape[1:]))
    total = None
    for d, column, row, length in stretches(a):
        rest = x.shape[1:]
        number = reshape(slice_(data, (d, column), (1, 1), (1, length)), (length,))
        piece = slice_(x, (column, *[0] * len(rest)), [1] * x.ndim, (length, *rest))
        term = embed(broadcast(number, piece.shape, (0,)) * piece, (row, *[0] * len(rest)), [1] * x.ndim, kind.shape)
        total = term if total is None else total + term
    return zeros(kind) if total is None else total


_PRODUCTS = {
    "csr": lambda a, parts, x: csr_matmul(*parts, x),
    "csc": lambda a, parts, x: csr_rmatmul(*parts, x, columns=a.shape[0]),
    "coo": _coordinate_product,
    "dia": _diagonal_product,
}


def dense_times(x, a):
    """Return the node of ``x @ a``."""
    out = times_dense(transposed(a), transpose(x, range(x.ndim)[::-1]))
    return transpose(out, range(out.ndim)[::-1])


def times_sparse(a, b, form):
    """Return ``a @ b``, whose places are found when the compiled function runs, in a compressed format."""
    dtype = upcast(a.parts[0].dtype, b.parts[0].dtype)
    rows, inner = coordinates(a)
    numbers = compressed(a, "csr").parts[0].node if a.format == "dia" else a.parts[0].node
    b = compressed(b, "csr")
    other, columns, starts = nodes(b)
    begin, end = _ends(starts)
    counts = gather(end - begin, inner)
    total = integer_of(wrap(reduce_sum(counts, axes=(0,))), "the number of products of two sparse arrays")
    of_each = repeated(counts, size=total)
    before = np.cumsum(wrap(counts)).node - counts
    place = iota(I64, (total,)) - gather(before, of_each) + gather(begin, gather(inner, of_each))
    data = cast(gather(numbers, of_each), dtype) * cast(gather(other, place), dtype)
    made = of_nodes(a.sibling("coo"), (a.shape[0], b.shape[1]),
                    (data, gather(rows, of_each), gather(cast(columns, I64), place)))
    return compressed(made, form)


# ---------------------------------------------------------------- sums of two
def same_pattern(a, b):
    """Return whether two arrays have the very same places: their positions are the same nodes."""
    return a.format == b.format and all(p.node is q.node for p, q in zip(a.parts[1:], b.parts[1:]))


def united(a, b, form):
    """Return (the numbers of a, those of b) in the places of both, as nodes, and an array of that pattern."""
    places = [coordinates(x) for x in (a, b)]
    numbers = [compressed(x, "csr").parts[0].node if x.format == "dia" else x.parts[0].node for x in (a, b)]
    width = max(1, a.shape[form == "csr"])
    keys = [np.add(wrap(_times(outer, width)), wrap(inner)) for outer, inner in (swapped(p, form) for p in places)]
    both, inverse = unique(np.concatenate(keys), return_inverse=True)
    at, inverse = 0, inverse.node
    spread = []
    for x in numbers:
        own = slice_(inverse, (at,), (1,), x.shape)
        spread.append(scatter_add(zeros(x.type.with_shape(both.node.shape)), x, own))
        at = dims.plus(at, x.shape[0])
    key = both.node
    position = index_dtype(a, a.shape)
    starts = _starts(quotient(key, full(width, key.type)), a.shape[form == "csc"])
    pattern = of_nodes(a.sibling(form), a.shape, (spread[0], cast(fmod(key, full(width, key.type)), position),
                                                  cast(starts, position)))
    return *spread, pattern
