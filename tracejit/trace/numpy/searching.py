"""Searching: where elements are, in sorted vectors and among others."""

import numpy as np

from tracejit.symbolic.ops import index as ops_index
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.shape import full_like
from tracejit.trace.numpy.common import known
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.sorting import sort
from tracejit.trace.tracer import as_tracer, wrap


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
    node = ops_index.searchsorted(ops.cast(table.node, dtype), ops.cast(x.node, dtype), side=side)
    return wrap(node, scalar=node.ndim == 0)


@implements(np.digitize)
def digitize(x, bins, right=False):
    """Return the number of the interval between rising or falling edges that holds each element."""
    x, bins = as_tracer(x), as_tracer(bins)
    if x.dtype.kind == "c":
        raise TypeError("x may not be complex")
    if bins.ndim != 1:
        raise ValueError("object of too small depth for desired array" if bins.ndim == 0 else
                         "object too deep for desired array")
    side = "left" if right else "right"
    if bins.size < 2:
        return searchsorted(bins, x, side)
    steps = np.less_equal(bins[:-1], bins[1:]), np.greater_equal(bins[:-1], bins[1:])
    rises, falls = (np.logical_and.reduce(s) for s in steps)
    plain = known(rises), known(falls)
    if plain[0] is not None:
        if not plain[0] and not plain[1]:
            raise ValueError("bins must be monotonically increasing or decreasing")
        return searchsorted(bins, x, side) if plain[0] else bins.size - searchsorted(bins[::-1], x, side)
    # the direction is known at run time only: a falling table is turned round
    direction = wrap(ops.check(rises.node, ops.bitwise_or(rises.node, falls.node), error="bins", detail=()))
    table = np.where(direction, bins, bins[::-1])
    found = searchsorted(table, x, side)
    return np.where(direction, found, bins.size - found)[()]


@implements(np.isin)
def isin(element, test_elements, assume_unique=False, invert=False, *, kind=None):
    """Return where elements are among others."""
    if kind not in (None, "sort", "table"):
        raise ValueError(f"Invalid kind: '{kind}'. Please use None, 'sort' or 'table'.")
    x, table = as_tracer(element), as_tracer(test_elements).ravel()
    if kind == "table" and not (x.dtype.kind in "iub" and table.dtype.kind in "iub"):
        raise ValueError("The 'table' method is only supported for boolean or integer arrays. Please select 'sort' or "
                         "None for kind.")
    if table.size == 0:
        found = np.zeros_like(x, dtype=bool)
    elif table.size <= 16:
        found = np.logical_or.reduce(np.equal(x[..., None] if x.ndim else x.reshape(1), table), axis=-1)
    else:
        dtype = np.result_type(x.dtype, table.dtype)
        table = sort(table.astype(dtype))
        node = ops_index.searchsorted(table.node, ops.cast(x.node, dtype), side="left")
        at = ops.minimum(node, full_like(table.size - 1, node))
        found = np.equal(wrap(ops_index.gather(table.node, at)), x)
    return wrap((np.logical_not(found) if invert else found).reshape(x.shape).node)

