"""Sorting: whole, by several keys, and as far as some ranks ask for."""

import numpy as np

from tracejit.symbolic.ir import const
from tracejit.symbolic.ops import index as ops_index
from tracejit.symbolic.ops import order as ops_order
from tracejit.symbolic.ops.shape import iota
from tracejit.symbolic.types import C64, C128, I64
from tracejit.trace.numpy.common import axis_of, cast_to, fresh, static
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.taking import take_along_axis
from tracejit.trace.tracer import as_tracer, wrap


def _sortable(a, axis, function):
    x = as_tracer(a)
    if axis is None or (x.ndim == 0 and function in (np.argsort, np.argpartition)):
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


@implements(np.sort)
def sort(a, axis=-1, kind=None, order=None, *, stable=None):
    """Return the elements sorted along an axis, NaN last."""
    _no_fields(order)
    stable = _is_stable(kind, stable)
    x, axis = _sortable(a, axis, np.sort)
    return fresh(ops_index.sort(x.node, axis=axis, stable=stable), "K", x)


@implements(np.argsort, differs="equal elements may come in another order, unless a stable sort is asked for")
def argsort(a, axis=-1, kind=None, order=None, *, stable=None):
    """Return the order that sorts the elements along an axis."""
    _no_fields(order)
    stable = _is_stable(kind, stable)
    x, axis = _sortable(a, axis, np.argsort)
    return wrap(ops_index.argsort(x.node, axis=axis, stable=stable))


@implements(np.sort_complex)
def sort_complex(a):
    """Return the elements sorted along the last axis, as complex numbers."""
    x = as_tracer(a)
    if x.dtype.kind != "c":
        x = cast_to(x, C64 if x.dtype.char in "bhBH" else C128)
    return sort(x, -1)


# ---------------------------------------------------------------- by rank
def _ranks(kth, n, function):
    """Return the ranks asked for, rising and counted from the front."""
    ranks = np.asarray(static(kth, "kth", function))
    if ranks.dtype.kind == "b":
        raise ValueError("Booleans unacceptable as partition index")
    if ranks.dtype.kind not in "iu":
        raise TypeError("Partition index must be integer")
    ranks = ranks.ravel().tolist()
    for k in ranks if n else ():
        if not -n <= k < n:
            raise ValueError(f"kth(={k}) out of bounds ({n})")
    return tuple(sorted({k % n for k in ranks})) if n else ()


def _introselect(kind):
    if kind != "introselect":
        raise ValueError(f"select kind must be 'introselect' (got {kind!r})")


@implements(np.partition, differs="between the ranks that are asked for, elements come in another order")
def partition(a, kth, axis=-1, kind="introselect", order=None):
    """Return the elements with those of some ranks in their sorted places, smaller ones before and larger behind."""
    _introselect(kind)
    _no_fields(order)
    x, axis = _sortable(a, axis, np.partition)
    ranks = _ranks(kth, x.shape[axis], np.partition)
    return fresh(ops_order.partition(x.node, axis=axis, ranks=ranks) if x.size and ranks else x.node, "K", x)


@implements(np.argpartition, differs="between the ranks that are asked for, elements come in another order")
def argpartition(a, kth, axis=-1, kind="introselect", order=None):
    """Return an order with the elements of some ranks in their sorted places."""
    _introselect(kind)
    _no_fields(order)
    x, axis = _sortable(a, axis, np.argpartition)
    ranks = _ranks(kth, x.shape[axis], np.argpartition)
    if not x.size or not ranks:
        return wrap(iota(I64, x.shape, axis))
    return wrap(ops_order.argpartition(x.node, axis=axis, ranks=ranks))


# ---------------------------------------------------------------- by several keys
@implements(np.lexsort)
def lexsort(keys, axis=-1):
    """Return the order that sorts by the last key, ties by the one before, and so on."""
    keys = [as_tracer(k) for k in keys]
    if not keys:
        raise TypeError("need sequence of keys with len > 0 in lexsort")
    if len({k.shape for k in keys}) > 1:
        raise ValueError("all keys need to be the same shape")
    if keys[0].ndim == 0:
        return wrap(const(np.intp(0)), scalar=True)
    axis = axis_of(axis, keys[0].ndim)
    order = argsort(keys[0], axis, stable=True)
    for key in keys[1:]:
        order = take_along_axis(order, argsort(take_along_axis(key, order, axis), axis, stable=True), axis)
    return order
