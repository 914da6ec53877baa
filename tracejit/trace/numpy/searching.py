"""Sorting and searching, and what is refused because the size of its result is data."""



import numpy as np

from tracejit.symbolic.ops import index as ops_index
from tracejit.symbolic.ops import scalar as ops
from tracejit.trace.numpy.common import (
    axis_of,
    known,
    literal,
    refuse_option,
    refuse_size,
    static_ints,
)
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.taking import take_along_axis
from tracejit.trace.tracer import as_tracer, wrap


# ---------------------------------------------------------------- sorting
def _sortable(a, axis, function):
    x = as_tracer(a)
    if x.dtype.kind == "c":
        refuse_option(function, "complex numbers", "sort real parts or magnitudes")
    if axis is None or (x.ndim == 0 and function is np.argsort):
        return x.reshape(-1), 0
    return x, axis_of(axis, x.ndim)


def _is_stable(kind, stable):
    """Return whether equal elements must keep their order."""
    if kind not in (None, "quicksort", "mergesort", "heapsort", "stable"):
        raise ValueError(f"sort kind must be one of 'quick', 'heap', or 'stable' (got {kind!r})")
    if kind is not None and stable is not None:
        raise ValueError("`kind` and `stable` parameters can't be provided at the same time. Use only one of them.")
    return bool(stable) or kind in ("mergesort", "stable")


def _no_fields(order):
    if order is not None:
        raise ValueError("Cannot specify order when the array has no fields.")


@implements(np.sort, without=("complex numbers",))
def sort(a, axis=-1, kind=None, order=None, *, stable=None):
    """Return the elements sorted along an axis, NaN last."""
    _no_fields(order)
    stable = _is_stable(kind, stable)
    x, axis = _sortable(a, axis, np.sort)
    return wrap(ops_index.sort(x.node, axis=axis, stable=stable))


@implements(np.argsort, without=("complex numbers",),
            differs="equal elements may come in another order, unless a stable sort is asked for")
def argsort(a, axis=-1, kind=None, order=None, *, stable=None):
    """Return the order that sorts the elements along an axis."""
    _no_fields(order)
    stable = _is_stable(kind, stable)
    x, axis = _sortable(a, axis, np.argsort)
    return wrap(ops_index.argsort(x.node, axis=axis, stable=stable))


def _check_kth(kth, n):
    for k in static_ints(kth, "kth", np.partition):
        if not -n <= k < n:
            raise ValueError(f"kth(={k}) out of bounds ({n})")


@implements(np.partition, without=("complex numbers",), differs="sorts completely")
def partition(a, kth, axis=-1, kind="introselect", order=None):
    """Return the elements with the k-th smallest in its sorted place; the others are sorted too."""
    x, axis = _sortable(a, axis, np.partition)
    _check_kth(kth, x.shape[axis])
    return wrap(ops_index.sort(x.node, axis=axis, stable=False))


@implements(np.argpartition, without=("complex numbers",), differs="sorts completely")
def argpartition(a, kth, axis=-1, kind="introselect", order=None):
    """Return an order with the k-th smallest in its sorted place; the others are sorted too."""
    x, axis = _sortable(a, axis, np.argpartition)
    _check_kth(kth, x.shape[axis])
    return wrap(ops_index.argsort(x.node, axis=axis, stable=False))


@implements(np.lexsort, without=("complex numbers",))
def lexsort(keys, axis=-1):
    """Return the order that sorts by the last key, ties by the one before, and so on."""
    keys = [as_tracer(k) for k in keys]
    if not keys:
        raise TypeError("need sequence of keys with len > 0 in lexsort")
    if len({k.shape for k in keys}) > 1:
        raise ValueError("all keys need to be the same shape")
    if keys[0].ndim == 0:
        return literal(np.intp(0))
    axis = axis_of(axis, keys[0].ndim)
    order = argsort(keys[0], axis, stable=True)
    for key in keys[1:]:
        order = take_along_axis(order, argsort(take_along_axis(key, order, axis), axis, stable=True), axis)
    return order


# ---------------------------------------------------------------- searching
@implements(np.searchsorted)
def searchsorted(a, v, side="left", sorter=None):
    """Return where elements would go into a sorted vector."""
    if side not in ("left", "right"):
        raise ValueError(f"search side must be one of 'left' or 'right' (got {side!r})")
    table, x = as_tracer(a), as_tracer(v)
    if table.ndim != 1:
        raise ValueError(f"object {'too deep' if table.ndim else 'of too small depth'} for desired array")
    if sorter is not None:
        sorter = as_tracer(sorter)
        if sorter.dtype.kind not in "iu":
            raise TypeError("sorter must only contain integers")
        if sorter.size != table.size:
            raise ValueError("sorter.size must equal a.size")
        table = np.take(table, sorter)
    dtype = np.result_type(table.dtype, x.dtype)
    if dtype.kind == "c":
        refuse_option(np.searchsorted, "complex numbers", "search real parts or magnitudes")
    node = ops_index.searchsorted(ops.cast(table.node, dtype), ops.cast(x.node, dtype), side=side)
    return wrap(node, scalar=node.ndim == 0)


@implements(np.digitize, differs="bins that neither rise nor fall are not refused")
def digitize(x, bins, right=False):
    """Return the number of the interval between rising or falling edges that holds each element."""
    x, bins = as_tracer(x), as_tracer(bins)
    if x.dtype.kind == "c":
        raise TypeError("x may not be complex")
    if bins.ndim != 1:
        raise ValueError("bins must be 1-dimensional")
    side = "left" if right else "right"
    rising = searchsorted(bins, x, side)
    if bins.size < 2:
        return rising
    falling = bins.size - searchsorted(bins[::-1], x, side)
    # NumPy asks for monotonic edges, so their ends tell the direction.
    plain = known(bins)
    if plain is not None:
        return rising if plain[0] <= plain[-1] else falling
    return np.where(np.less_equal(bins[0], bins[-1]), rising, falling)[()]


@implements(np.isin)
def isin(element, test_elements, assume_unique=False, invert=False, *, kind=None):
    """Return where elements are among others."""
    x, table = as_tracer(element), as_tracer(test_elements).ravel()
    if table.size == 0:
        found = np.zeros_like(x, dtype=bool)
    elif table.size <= 16:
        found = np.logical_or.reduce(np.equal(x[..., None] if x.ndim else x.reshape(1), table), axis=-1)
    else:
        table = sort(table)
        at = np.minimum(searchsorted(table, x), table.size - 1)
        found = np.equal(np.take(table, at), x)
    return wrap((np.logical_not(found) if invert else found).reshape(x.shape).node)


# ---------------------------------------------------------------- results whose size is data
_SIZES = {
    np.nonzero: "use np.where(condition, x, y), or masks in arithmetic",
    np.flatnonzero: "use np.where(condition, x, y), or masks in arithmetic",
    np.argwhere: "use np.where(condition, x, y), or masks in arithmetic",
    np.extract: "use np.where(condition, x, 0), or sum(..., where=condition)",
    np.unique: "sort the array and compare neighbours, or call np.unique outside the jitted function",
    np.union1d: "call it outside the jitted function",
    np.intersect1d: "use np.isin(a, b) as a mask",
    np.setdiff1d: "use ~np.isin(a, b) as a mask",
    np.setxor1d: "call it outside the jitted function",
    np.trim_zeros: "call it outside the jitted function",
    np.bincount: "use np.add.at(np.zeros(n), x, 1) with a length n of your own",
}
for _name in ("unique_all", "unique_counts", "unique_inverse", "unique_values"):
    if hasattr(np, _name):
        _SIZES[getattr(np, _name)] = "call it outside the jitted function"


def _refusing(function, do):
    def refused(*args, **kwargs):
        refuse_size(function, do)
    refused.__name__ = function.__name__
    refused.__doc__ = "Refuse: the size of the result depends on the data."
    return refused


for _function, _do in _SIZES.items():
    implements(_function, refused="the size of the result depends on the data", do=_do)(_refusing(_function, _do))
