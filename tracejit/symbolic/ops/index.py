"""Reading and writing at positions that are data: gather, scatter, moving slices, sorting, searching.

Indices are int64, wrapped and checked where they enter (`check`), so every op here may trust them.
"""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.ir import const, define, dim, make
from tracejit.symbolic.ops.reduce import linear_scan, reduce_sum, shifted
from tracejit.symbolic.ops.scalar import (
    bitwise_and,
    bitwise_or,
    cast,
    equal,
    imag,
    invert,
    isnan,
    less,
    not_equal,
    real,
    select,
)
from tracejit.symbolic.ops.shape import batch_together, broadcast, full_like, iota, reshape, slice_, transpose, zeros
from tracejit.symbolic.types import BOOL, I8, I64, Type


def _indices_type(x, indices, what):
    if not indices or len(indices) > x.ndim or any(i is not indices[0] or i.dtype != I64 for i in indices):
        raise TypeRuleError(f"{what} of {x} at {indices}: needs int64 indices of one shape, at most one per axis")
    return x.with_shape([*indices[0].shape, *x.shape[len(indices):]])


def _gather_transpose(ct, node, wanted):
    x, *indices = node.args
    return (scatter_add(zeros(x.type), ct, *indices), *[None] * len(indices))


def _gather_element(node, index, read):
    x, *indices = node.args
    depth = indices[0].ndim
    at = tuple(read(k + 1, tuple(index[:depth])) for k in range(len(indices)))
    return read(0, (*at, *index[depth:]))


def _row_index(indices):
    return iota(I64, indices[0].shape, 0)


def _gather_batch(node, args, batched):
    x, *indices = args
    if not any(batched[1:]):
        rolled = _front_to(x, len(indices))
        return _front_back(gather(rolled, *indices), indices[0].ndim)
    indices = batch_together(indices, batched[1:])
    return gather(x, _row_index(indices), *indices) if batched[0] else gather(x, *indices)


def _front_to(x, place):
    """Move the leading axis to `place`."""
    order = [*range(1, place + 1), 0, *range(place + 1, x.ndim)]
    return transpose(x, order)


def _front_back(x, place):
    """Move the axis at `place` to the front."""
    return transpose(x, [place, *[a for a in range(x.ndim) if a != place]])


#: ``x[i0, i1, ...]`` over the leading axes of x: result shape is that of the indices, then the remaining axes.
gather = define("gather", type=lambda x, *indices: _indices_type(x, indices, "gather"),
                ref=lambda x, *indices: x[indices], linear=(0,), transpose=_gather_transpose, element=_gather_element,
                batch=_gather_batch)


def _scatter_type(x, value, *indices):
    expected = _indices_type(x, indices, "scatter")
    if value is not expected:
        raise TypeRuleError(f"scatter into {x} at {indices[0]}: the value is {value}, not {expected}")
    return x


def _scatter_ref(write):
    def ref(x, value, *indices):
        out = x.copy()
        write(out, indices, value)
        return out
    return ref


def _scatter_batch(node, args, batched):
    x, value, *indices = batch_together(args, batched)
    return node.op(x, value, _row_index(indices), *indices)


def _scatter_add_transpose(ct, node, wanted):
    indices = node.args[2:]
    return (ct if wanted[0] else None, gather(ct, *indices) if wanted[1] else None, *[None] * len(indices))


def _scatter_set_transpose(ct, node, wanted):
    """Only the last of several writes to one place has an effect, so only its value gets the cotangent."""
    x, value, *indices = node.args
    into = scatter_set(ct, zeros(value.type), *indices) if wanted[0] else None
    back = None
    if wanted[1]:
        order = iota(I64, (indices[0].type.size,), 0)
        order = reshape(order, indices[0].shape)
        count = indices[0].ndim
        spread_order = broadcast(order, value.shape, range(count))
        last = scatter_set(zeros(x.type.with_dtype(I64)), spread_order, *indices)
        back = select(equal(gather(last, *indices), spread_order), gather(ct, *indices), zeros(value.type))
    return (into, back, *[None] * len(indices))


def _scatter_multiply_jvp(node, tangents):
    """The product of the other values that meet in a place comes from running products, in both directions, of the
    values in the order of their places: zeros need no division.
    """
    x, value, *indices = node.args
    count = indices[0].type.size
    place = zeros(Type(I64, indices[0].shape))
    for i, n in zip(indices, x.shape):
        place = place * broadcast(dim(n), place.shape, ()) + i
    place = reshape(place, (count,))
    order = argsort(place, axis=0, stable=True)
    rows = (count, *value.shape[indices[0].ndim:])
    place, factors = gather(place, order), gather(reshape(value, rows), order)
    others = full_like(1, factors)
    for reverse in (False, True):
        first = broadcast(not_equal(place, shifted(place, 0, reverse, -1)), rows, (0,))
        before = select(first, zeros(factors.type), shifted(factors, 0, reverse, 0))
        others = others * linear_scan(before, cast(first, value.dtype), axis=0, reverse=reverse)
    others = reshape(scatter_set(zeros(others.type), others, order), value.shape)
    return x * scatter_add(zeros(x.type), tangents[1] * others, *indices)


def _scatter_extreme_jvp(node, tangents):
    """Ties share the tangent equally: what was there, and each value that came."""
    _, _, *indices = node.args
    hits = [cast(equal(x, result), x.dtype) for x, result in zip(node.args, (node, gather(node, *indices)))]
    count = scatter_add(*hits, *indices)
    parts = [zeros(h.type) if t is None else h * t for h, t in zip(hits, tangents)]
    return scatter_add(*parts, *indices) / count


#: x with ``x[i0, i1, ...] = value``; of several writes to one place the last wins.
scatter_set = define("scatter_set", type=_scatter_type, ref=_scatter_ref(lambda out, i, v: out.__setitem__(i, v)),
                     linear=(0, 1), transpose=_scatter_set_transpose, routine="scatter_set", batch=_scatter_batch)
#: x with ``value`` added at ``x[i0, i1, ...]``, repeated places adding up: np.add.at.
scatter_add = define("scatter_add", type=_scatter_type, ref=_scatter_ref(lambda out, i, v: np.add.at(out, i, v)),
                     linear=(0, 1), transpose=_scatter_add_transpose, routine="scatter_add", batch=_scatter_batch)
scatter_multiply = define("scatter_multiply", type=_scatter_type, linear=(0,), jvp=_scatter_multiply_jvp,
                          ref=_scatter_ref(lambda out, i, v: np.multiply.at(out, i, v)), routine="scatter_multiply",
                          transpose=lambda ct, node, wanted: (scatter_multiply(ct, *node.args[1:]),
                                                              *[None] * (len(node.args) - 1)), batch=_scatter_batch)
scatter_max = define("scatter_max", type=_scatter_type, jvp=_scatter_extreme_jvp, routine="scatter_max",
                     ref=_scatter_ref(lambda out, i, v: np.maximum.at(out, i, v)), batch=_scatter_batch)
scatter_min = define("scatter_min", type=_scatter_type, jvp=_scatter_extreme_jvp, routine="scatter_min",
                     ref=_scatter_ref(lambda out, i, v: np.minimum.at(out, i, v)), batch=_scatter_batch)


# ---------------------------------------------------------------- positions that a mask selects
def _nonzero_type(mask, size):
    if mask.dtype != BOOL or mask.ndim != 1:
        raise TypeRuleError(f"nonzero of {mask}: needs a vector of bools")
    return mask.with_dtype(I64).with_shape((size,))


def _nonzero_ref(mask, size):
    found = np.flatnonzero(mask)[:size]
    return np.concatenate((found, np.zeros(size - len(found), np.int64)))


def _nonzero_batch(node, args, batched):
    order = argsort(cast(invert(args[0]), I8), axis=1, stable=True)
    return slice_(order, (0, 0), (1, 1), (order.shape[0], node.attrs[0]))


def _nonzero_samples(rng):
    for n in (0, 1, 7, 300):
        mask = rng.random(n) < 0.4
        yield (mask,), {"size": int(mask.sum())}


#: The positions in rising order where a vector of bools holds, of which there are `size`.
nonzero = define("nonzero", attrs=("size",), type=_nonzero_type, ref=_nonzero_ref, differentiable=False,
                 routine="nonzero", batch=_nonzero_batch, samples=_nonzero_samples)


def _repeated_type(counts, size):
    if counts.dtype != I64 or counts.ndim != 1:
        raise TypeRuleError(f"repeated by {counts}: needs a vector of int64")
    return counts.with_shape((size,))


def _repeated_samples(rng):
    for n in (0, 1, 7, 300):
        counts = rng.integers(0, 4, n)
        yield (counts,), {"size": int(counts.sum())}


#: Each position as often as `counts` (which are not negative) says, one after another: `size` is their sum.
repeated = define("repeated", attrs=("size",), type=_repeated_type, differentiable=False, routine="repeated",
                  ref=lambda counts, size: np.repeat(np.arange(len(counts)), counts)[:size], samples=_repeated_samples)


# ---------------------------------------------------------------- sorting and searching
def _sort_type(x, axis, stable=True):
    if not 0 <= axis < x.ndim:
        raise TypeRuleError(f"sort of {x} along axis {axis}")
    return x


def along_axis_indices(order, axis):
    return [order if a == axis else iota(I64, order.shape, a) for a in range(order.ndim)]


def _sort_jvp(node, tangents):
    axis, stable = node.attrs
    order = argsort(node.args[0], axis=axis, stable=stable)
    return gather(tangents[0], *along_axis_indices(order, axis))


def _axis_batch(node, args, batched):
    return make(node.op, (args[0],), (node.attrs[0] + 1, *node.attrs[1:]))


def _kind(stable):
    return "stable" if stable else "quicksort"


#: The elements in rising order along `axis`, nan last, complex numbers by real and then by imaginary part; not
#: `stable`, -0 and 0 come in any order.
sort = define("sort", attrs=("axis", "stable"), type=_sort_type, jvp=_sort_jvp, routine="sort", batch=_axis_batch,
              ref=lambda x, axis, stable: np.sort(x, axis, kind=_kind(stable)))
#: The order that sorts along `axis`; not `stable`, equal elements come as NumPy's quicksort leaves them.
argsort = define("argsort", attrs=("axis", "stable"), differentiable=False, routine="argsort", batch=_axis_batch,
                 type=lambda x, axis, stable: _sort_type(x, axis).with_dtype(I64),
                 ref=lambda x, axis, stable: np.argsort(x, axis, kind=_kind(stable)))


def _argsort_rows_type(x):
    if x.ndim != 2:
        raise TypeRuleError(f"order of the rows of {x}")
    return x.with_dtype(I64).with_shape(x.shape[:1])


def _argsort_rows_batch(node, args, batched):
    """Sort by one column after another, the last one first."""
    x = args[0]
    order = iota(I64, x.shape[:2], 1)
    for k in reversed(range(x.shape[2])):
        column = reshape(slice_(x, (0, 0, k), (1, 1, 1), (*x.shape[:2], 1)), x.shape[:2])
        column = gather(column, *along_axis_indices(order, 1))
        order = gather(order, *along_axis_indices(argsort(column, axis=1, stable=True), 1))
    return order


def _argsort_rows_samples(rng):
    for shape in ((5, 3), (40, 2), (7, 1), (1, 4), (0, 2)):
        for dtype in (float, np.int8, np.float16, complex):
            yield (rng.integers(-2, 3, shape).astype(dtype),), {}


#: The stable order that sorts the rows of a matrix by their first elements, ties by the second ones, and so on.
argsort_rows = define("argsort_rows", type=_argsort_rows_type, differentiable=False, routine="argsort_rows",
                      ref=lambda x: np.lexsort(x.T[::-1]), batch=_argsort_rows_batch, samples=_argsort_rows_samples)


def ranked_type(x, axis, ranks):
    x = _sort_type(x, axis)
    n = x.shape[axis]
    if not ranks or list(ranks) != sorted(set(ranks)) or not 0 <= ranks[0] <= ranks[-1] < n:
        raise TypeRuleError(f"ranks {ranks} of {x} along axis {axis}: they rise, from 0 to below {n}")
    return x.with_shape([len(ranks) if a == axis else n for a, n in enumerate(x.shape)])


def _ranked_jvp(node, tangents):
    axis, ranks = node.attrs
    x = node.args[0]
    order = argsort(x, axis=axis, stable=True)
    places = [iota(I64, node.shape, a) for a in range(x.ndim)]
    places[axis] = broadcast(const(np.array(ranks, np.int64)), node.shape, (axis,))
    order = gather(order, *places)
    return gather(tangents[0], *along_axis_indices(order, axis))


def _ranked_samples(rng):
    for shape, axis, ranks in (((6,), 0, (2,)), ((3, 7), 1, (0, 3, 6)), ((9, 3), 0, (4, 5, 8)), ((2, 3, 2), 1, (1,)),
                               ((3000,), 0, (299, 300, 1500, 2999)), ((0, 2), 1, (0,))):
        x = rng.standard_normal(shape)
        yield (x,), {"axis": axis, "ranks": ranks}
        yield ((x * 3).astype(np.int32),), {"axis": axis, "ranks": ranks}
        yield (x.astype(np.float16),), {"axis": axis, "ranks": ranks}
        yield (x > 0,), {"axis": axis, "ranks": ranks}
        yield (np.where(x > 1, np.nan, x).astype(np.float32),), {"axis": axis, "ranks": ranks}
        yield (np.where(x < 1, np.inf, -np.inf).astype(np.float32),), {"axis": axis, "ranks": ranks}


#: Elements of the given ranks, counted from 0, along `axis`: what sorting would put there, nan last.
ranked = define("ranked", attrs=("axis", "ranks"), type=ranked_type, jvp=_ranked_jvp, routine="ranked",
                ref=lambda x, axis, ranks: np.take(np.partition(x, ranks, axis), ranks, axis), batch=_axis_batch,
                samples=_ranked_samples)


def _searchsorted_type(table, x, side):
    if table.ndim != 1 or table.dtype != x.dtype or side not in ("left", "right"):
        raise TypeRuleError(f"searchsorted of {x} in {table}, side {side!r}")
    return x.with_dtype(I64)


def _sorts_before(a, b):
    """Return a < b in the order of sorting, where nan comes last."""
    if a.type.kind == "c":
        first, other = _sorts_before(real(a), real(b)), _sorts_before(real(b), real(a))
        second = _sorts_before(imag(a), imag(b))
        spoilt = isnan(imag(a)), isnan(imag(b))
        # a number with a NaN part comes after those without
        by_real = bitwise_and(first, bitwise_or(invert(spoilt[0]), bitwise_or(spoilt[1], isnan(real(b)))))
        spoils = bitwise_and(bitwise_and(invert(isnan(real(a))), other), bitwise_and(invert(spoilt[0]), spoilt[1]))
        ties = bitwise_and(bitwise_and(invert(first), invert(other)), second)
        return bitwise_or(bitwise_or(by_real, spoils), ties)
    if a.type.kind != "f":
        return less(a, b)
    return bitwise_or(less(a, b), bitwise_and(isnan(b), invert(isnan(a))))


#: A table of up to so many elements is compared with all at once.
_COUNTED = 32


def _searchsorted_batch(node, args, batched):
    """Small tables of their own are counted through: each element is compared with its whole table."""
    if not batched[0]:
        return node.op(*args, side=node.attrs[0])
    if type(node.args[0].shape[0]) is not int or node.args[0].shape[0] > _COUNTED:
        return None
    table, x = batch_together(args, batched)
    shape = (x.shape[0], table.shape[1], *x.shape[1:])
    table, x = broadcast(table, shape, (0, 1)), broadcast(x, shape, (0, *range(2, len(shape))))
    before = _sorts_before(table, x) if node.attrs[0] == "left" else invert(_sorts_before(x, table))
    return reduce_sum(cast(before, I64), axes=(1,))


searchsorted = define("searchsorted", attrs=("side",), type=_searchsorted_type, differentiable=False,
                      ref=lambda table, x, side: np.searchsorted(table, x, side), routine="searchsorted",
                      batch=_searchsorted_batch)


# ---------------------------------------------------------------- slices that start at a run-time index
def _dynamic_type(x, *starts, sizes):
    if len(starts) != x.ndim or len(sizes) != x.ndim or any(s.shape != () or s.dtype != I64 for s in starts):
        raise TypeRuleError(f"dynamic_slice of {x} at {starts} with sizes {sizes}")
    return x.with_shape(sizes)


def _at(starts, sizes):
    return tuple(slice(int(s), int(s) + n) for s, n in zip(starts, sizes))


def _dynamic_slice_transpose(ct, node, wanted):
    x, *starts = node.args
    return (dynamic_set_slice(zeros(x.type), ct, *starts), *[None] * len(starts))


def _moving_indices(starts, sizes):
    """Return the indices of a batch of moving slices, one array per axis and one for the batch, all of one shape."""
    shape = (starts[0].shape[0], *sizes)
    return [iota(I64, shape, 0), *(broadcast(s, shape, (0,)) + iota(I64, shape, k + 1) for k, s in enumerate(starts))]


def _dynamic_slice_batch(node, args, batched):
    x, *starts = args
    if not any(batched[1:]):
        return dynamic_slice(x, const(0, I64), *starts, sizes=(x.shape[0], *node.attrs[0]))
    row, *places = _moving_indices(batch_together(starts, batched[1:]), node.attrs[0])
    return gather(x, row, *places) if batched[0] else gather(x, *places)


dynamic_slice = define(
    "dynamic_slice", attrs=("sizes",), type=_dynamic_type, linear=(0,), transpose=_dynamic_slice_transpose,
    ref=lambda x, *starts, sizes: x[_at(starts, sizes)].copy(), batch=_dynamic_slice_batch,
    element=lambda node, index, read: read(0, tuple(i + read(k + 1, ()) for k, i in enumerate(index))))


def _dynamic_set_ref(x, value, *starts):
    out = x.copy()
    out[_at(starts, value.shape)] = value
    return out


def _dynamic_set_transpose(ct, node, wanted):
    value, starts = node.args[1], node.args[2:]
    return (dynamic_set_slice(ct, zeros(value.type), *starts) if wanted[0] else None,
            dynamic_slice(ct, *starts, sizes=value.shape) if wanted[1] else None, *[None] * len(starts))


def _dynamic_set_batch(node, args, batched):
    if not any(batched[2:]):
        x, value = batch_together(args[:2], batched[:2])
        return dynamic_set_slice(x, value, const(0, I64), *args[2:])
    x, value, *starts = batch_together(args, batched)
    return scatter_set(x, value, *_moving_indices(starts, value.shape[1:]))


def _dynamic_set_type(x, value, *starts):
    if value.dtype != x.dtype or value.ndim != x.ndim or len(starts) != x.ndim:
        raise TypeRuleError(f"dynamic_set_slice of {x} with {value}")
    return x


dynamic_set_slice = define("dynamic_set_slice", type=_dynamic_set_type, ref=_dynamic_set_ref, linear=(0, 1),
                           transpose=_dynamic_set_transpose, routine="dynamic_set_slice", batch=_dynamic_set_batch)
