"""Sets: the distinct elements of arrays, and what two arrays have in common."""

import numpy as np

from tracejit.errors import ConcretizationError
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.index import argsort_rows, gather, scatter_add, scatter_min, scatter_set
from tracejit.symbolic.ops.shape import full, iota, zeros
from tracejit.symbolic.types import BOOL, I64, Type
from tracejit.trace.numpy.common import axis_of, common_dtype, literal
from tracejit.trace.numpy.positions import true_positions
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.searching import isin
from tracejit.trace.numpy.sorting import argsort, sort
from tracejit.trace.numpy.taking import take
from tracejit.trace.shapes import spread
from tracejit.trace.sizes import integer_of
from tracejit.trace.tracer import as_tracer, wrap
from tracejit.trace.values import concrete


def _at(x, positions):
    """Return the elements at positions that are in bounds by construction."""
    return wrap(gather(x.node, positions.node))


def _begins(ordered, equal_nan=True):
    """Return where a sorted vector, or a matrix of sorted rows, has the first of equal elements."""
    if ordered.type.shape[0] == 0:
        return literal(np.empty(0, bool))
    later, earlier = ordered[1:], ordered[:-1]
    new = np.not_equal(later, earlier)
    if equal_nan and ordered.dtype.kind in "fc" and ordered.ndim == 1:
        new = np.logical_and(new, np.logical_not(np.logical_and(np.isnan(later), np.isnan(earlier))))
    if new.ndim > 1:
        new = np.logical_or.reduce(new, axis=1)
    begins = np.concatenate((literal([True]), new))
    return begins if ordered.type.is_static else begins[:ordered.shape[0]]  # there may be none


# ---------------------------------------------------------------- distinct elements
@implements(np.unique, differs="sorted whatever `sorted` says")
def unique(ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True,
           sorted=True):
    """Return the distinct elements (or slices along an axis) in order, and where and how often they are."""
    x = as_tracer(ar)
    shape = x.shape
    if axis is None and (table := _table(x.reshape(-1))) is not None:
        out = _from_table(x.reshape(-1), *table, return_index, return_inverse, return_counts)
        if return_inverse:
            out[1 + bool(return_index)] = out[1 + bool(return_index)].reshape(shape)
        return tuple(out) if len(out) > 1 else out[0]
    if axis is None:
        rows, order = x.reshape(-1), None
        if return_index or return_inverse:
            order = argsort(rows, stable=True)
            ordered = _at(rows, order)
        else:
            ordered = sort(rows)
    else:
        if x.ndim == 0:
            raise np.exceptions.AxisError(axis, 0)
        axis = axis_of(axis, x.ndim)
        moved = np.moveaxis(x, axis, 0)
        rows = moved.reshape(moved.shape[0], int(np.prod(moved.shape[1:], dtype=int)))
        if 0 in rows.shape:
            order = wrap(iota(I64, (rows.shape[0],)))
        else:
            order = wrap(argsort_rows(rows.node))
        ordered = _at(rows, order)
    begins = _begins(ordered, equal_nan)
    first = true_positions(begins)
    values = _at(ordered, first)
    if axis is not None:
        values = np.moveaxis(values.reshape(-1, *moved.shape[1:]) if 0 not in moved.shape[1:] else
                             wrap(zeros(moved.node.type.with_shape((first.size, *moved.shape[1:])))), 0, axis)
    out = [values]
    if return_index:
        out.append(_at(order, first))
    if return_inverse:
        number = np.cumsum(begins) - 1
        number = spread(number.node, order.node.shape)
        inverse = wrap(scatter_set(zeros(order.node.type), number, order.node))
        out.append(inverse.reshape(shape) if axis is None else inverse)
    if return_counts:
        out.append(np.diff(np.concatenate((first, as_tracer([rows.shape[0]])))))
    return tuple(out) if len(out) > 1 else values


#: Integers are looked up in a table from so many on, if they lie so close that it has at most so many places for each.
_TABLE_FROM, _TABLE_ROOM = 1000, 4


def _table(x):
    """Return (the least element, how many places a table of the elements needs), or None where sorting is better."""
    if x.dtype.kind not in "iu" or not isinstance(x.size, int) or x.size < _TABLE_FROM:
        return None
    low, high = np.min(x), np.max(x)
    span = np.subtract(high.astype(float), low.astype(float))
    try:
        close = concrete(np.less(span, _TABLE_ROOM * x.size), "whether integers lie close together")
    except ConcretizationError:  # nobody can tell now
        return None
    if not close:
        return None
    low, high = (wrap(ops.cast(v.node, I64)) for v in (low, high))
    return low, integer_of(wrap((high - low + 1).node, scalar=True), "the range of integers")


def _from_table(x, low, room, return_index, return_inverse, return_counts):
    """Return what `unique` does of integers by a table of all numbers from the least to the largest."""
    at = (wrap(ops.cast(x.node, I64)) - low).node  # in the table by construction
    n = x.shape[0]
    counts = scatter_add(zeros(Type(I64, (room,))), full(1, at.type), at) if return_counts else None
    present = wrap(scatter_set(full(False, Type(BOOL, (room,))), full(True, at.type.with_dtype(BOOL)), at))
    places = true_positions(present)
    out = [wrap(ops.cast((places + low).node, x.dtype))]
    if return_index:
        first = scatter_min(full(n, Type(I64, (room,))), iota(I64, (n,)), at)
        out.append(_at(wrap(first), places))
    if return_inverse:
        out.append(wrap(gather((np.cumsum(present) - 1).node, at)))
    if return_counts:
        out.append(_at(wrap(counts), places))
    return out


def _variant(name, fields):
    """Define one of the array API's functions: distinct elements, NaN each for itself, and what is known of them."""
    function = getattr(np, name, None)
    if function is None:
        return
    result = getattr(np.lib._arraysetops_impl, f"{name.title().replace('_', '')}Result", None)

    def found(x):
        options = {f"return_{f}": f in fields for f in ("index", "inverse", "counts")}
        out = unique(x, **options, equal_nan=False)
        return result(*out) if result else out
    found.__name__ = name
    found.__doc__ = f"Return what `numpy.{name}` gives: the distinct elements, {', '.join(fields) or 'alone'}."
    implements(function)(found)


_variant("unique_all", ("index", "inverse", "counts"))
_variant("unique_counts", ("counts",))
_variant("unique_inverse", ("inverse",))


if hasattr(np, "unique_values"):
    @implements(np.unique_values, differs="the elements come sorted")
    def unique_values(x):
        """Return the distinct elements, NaN each for itself."""
        return unique(x, equal_nan=False)


# ---------------------------------------------------------------- two arrays
def _vectors(ar1, ar2):
    xs = [as_tracer(a) for a in (ar1, ar2)]
    dtype = common_dtype(*xs)
    return [wrap(ops.cast(x.node, dtype)).reshape(-1) for x in xs]


@implements(np.union1d)
def union1d(ar1, ar2):
    """Return the elements of either array, in order."""
    return unique(np.concatenate(_vectors(ar1, ar2)))


@implements(np.intersect1d)
def intersect1d(ar1, ar2, assume_unique=False, return_indices=False):
    """Return the elements that both arrays have, in order, and where they are first."""
    bool(assume_unique)
    x, y = _vectors(ar1, ar2)
    order = argsort(x, stable=True) if return_indices else None
    ordered = sort(x) if order is None else _at(x, order)
    hit = true_positions(np.logical_and(_begins(ordered), isin(ordered, y)))
    values = _at(ordered, hit)
    if not return_indices:
        return values
    others = argsort(y, stable=True)
    return values, _at(order, hit), take(others, np.searchsorted(_at(y, others), values))


@implements(np.setdiff1d)
def setdiff1d(ar1, ar2, assume_unique=False):
    """Return the elements of the first array that the second has not, in order."""
    x = as_tracer(ar1).reshape(-1)
    if assume_unique:
        return _at(x, true_positions(isin(x, ar2, invert=True)))
    ordered = sort(x)
    return _at(ordered, true_positions(np.logical_and(_begins(ordered), isin(ordered, ar2, invert=True))))


@implements(np.setxor1d)
def setxor1d(ar1, ar2, assume_unique=False):
    """Return the elements that only one of two arrays has, in order."""
    bool(assume_unique)
    x, y = _vectors(ar1, ar2)
    ordered = sort(np.concatenate((x, y)))
    if ordered.size == 0:
        return ordered
    keep = np.logical_and(_begins(ordered), np.not_equal(isin(ordered, x), isin(ordered, y)))
    if ordered.dtype.kind in "fc":  # NaN is equal to none: each array that has one gives one
        missing = np.isnan(ordered)
        count = np.add(*(np.logical_or.reduce(np.isnan(a)).astype(int) for a in (x, y)))
        keep = np.where(missing, np.less_equal(np.cumsum(missing), count), keep)
    return _at(ordered, true_positions(keep))
