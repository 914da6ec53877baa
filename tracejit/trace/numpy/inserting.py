"""Inserting, deleting and repeating slices at positions, or as often, as are known now or at run time."""

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.index import gather, repeated, scatter_set
from tracejit.symbolic.ops.shape import broadcast, broadcast_to, full, iota, reshape, zeros
from tracejit.symbolic.ops.shape import concatenate as join
from tracejit.symbolic.types import BOOL, I64, Type
from tracejit.trace.numpy.common import axis_of, fresh, known, literal, static
from tracejit.trace.numpy.padding import pieces
from tracejit.trace.numpy.positions import picked, true_positions
from tracejit.trace.numpy.registry import implements, name_of
from tracejit.trace.numpy.taking import take
from tracejit.trace.settle import settled
from tracejit.trace.sizes import integer_of
from tracejit.trace.tracer import Tracer, as_tracer, wrap


def _places(obj, n, function):
    """Return positions along an axis of length `n`, as `insert` and `delete` take them: an array, or a Tracer."""
    if isinstance(obj, slice):
        return np.arange(n)[obj]
    plain = known(obj)
    places = plain if plain is not None else as_tracer(obj)
    if places.dtype == bool:
        if places.shape != (n,):
            raise ValueError(f"boolean array argument obj to {function.__name__} must be one dimensional and match the "
                             f"axis length of {n}")
        return np.flatnonzero(places) if plain is not None else settled(true_positions(places), name_of(function))
    if places.size == 0 and isinstance(obj, (list, tuple)):
        return np.empty(0, np.intp)
    if places.dtype.kind not in "iu":
        if function is np.insert and places.size == 1:
            raise TypeError("slice indices must be integers or None or have an __index__ method")
        raise IndexError("arrays used as indices must be of integer (or boolean) type")
    if places.ndim > 1:
        if function is np.insert:
            raise ValueError("index array argument obj to insert must be one dimensional or scalar")
        places = places.reshape(-1)
    return places


def _from_front(places, n, axis):
    """Return traced positions counted from the front, from -n to n and else refused, as a node."""
    node = ops.cast(places.node, I64)
    bound = lambda m: broadcast_to(full(m, Type(I64)), node.shape)
    fine = ops.bitwise_and(ops.greater_equal(node, bound(-n)), ops.less_equal(node, bound(n)))
    node = ops.check(node, fine, error="index", detail=(axis, n))
    return ops.select(ops.less(node, zeros(node.type)), node + bound(n), node)


def _flattened(arr, axis):
    x = as_tracer(arr)
    return (x.reshape(-1), 0) if axis is None else (x, axis_of(axis, x.ndim))


@implements(np.insert)
def insert(arr, obj, values, axis=None):
    """Return `arr` with values put before positions."""
    x, axis = _flattened(arr, axis)
    n = x.shape[axis]
    places, values = _places(obj, n, np.insert), as_tracer(values)
    if places.size == 1:
        values = values.reshape((1,) * (x.ndim - values.ndim) + values.shape) if values.ndim < x.ndim else values
        values = np.moveaxis(values, 0, axis) if places.ndim == 0 else values
        count = values.shape[axis]
        places = np.broadcast_to(places.reshape(()), (count,))
    count = places.shape[0]
    shape = list(x.shape)
    shape[axis] = count
    added = broadcast_to(ops.cast(values.node, x.dtype), np.broadcast_shapes(values.shape, tuple(shape)))
    both = wrap(join([x.node, added], axis))
    if isinstance(places, Tracer):
        return fresh(picked(both, _insertion(places, n, axis), axis).node, "A", x)
    # NumPy tells on a plain array of positions where everything goes: -1 - k marks the k-th new slice
    order = np.insert(np.arange(n), places, -1 - np.arange(count))
    return fresh(pieces(both, np.where(order < 0, n - 1 - order, order), axis).node, "A", x)


def _insertion(places, n, axis):
    """Return which of the `n` old slices, or of the new ones counted on behind them, comes at each place."""
    count = places.shape[0]
    node = _from_front(places, n, axis)
    order = np.argsort(wrap(node), stable=True)
    at = wrap(gather(node, order.node)) + wrap(iota(I64, (count,)))  # each is moved by those before it
    new = wrap(scatter_set(full(-1, Type(I64, (n + count,))), (order + n).node, at.node))
    old = np.less(new, 0)
    return np.where(old, np.cumsum(old) - 1, new)


@implements(np.delete)
def delete(arr, obj, axis=None):
    """Return `arr` without the slices at positions."""
    x, axis = _flattened(arr, axis)
    n = x.shape[axis]
    places = _places(obj, n, np.delete)
    if not isinstance(places, Tracer):
        kept = np.delete(np.arange(n), places)
        return fresh(pieces(x, kept.astype(np.int64), axis).node, "A", x)
    outside = np.greater_equal(places, n)  # which insert would allow
    node = _from_front(places, n, axis)
    node = ops.check(node, ops.invert(outside.node), error="index", detail=(axis, n))
    if node.ndim == 0:  # all but one: their number is known
        order = wrap(iota(I64, (n - 1,)))
        return fresh(picked(x, order + np.greater_equal(order, wrap(node)), axis).node, "A", x)
    keep = scatter_set(full(True, Type(BOOL, (n,))), full(False, node.type.with_dtype(BOOL)), node)
    return picked(x, true_positions(wrap(keep)), axis)


# ---------------------------------------------------------------- repetition
@implements(np.repeat)
def repeat(a, repeats, axis=None):
    """Return each element (or slice) several times over."""
    x = as_tracer(a)
    x, axis = _flattened(x if x.ndim else x.reshape(1), axis)
    n, counts = x.shape[axis], as_tracer(repeats)
    plain = isinstance(repeats, (list, tuple)) or counts.weak  # which are converted whatever they hold
    if not plain and not np.can_cast(counts.dtype, I64, "safe"):
        raise TypeError(f"Cannot cast array data from {counts.dtype!r} to dtype('int64') according to the rule 'safe'")
    if counts.ndim > 1:
        raise ValueError("object too deep for desired array")
    if counts.size == 1:
        count = int(static(counts.reshape(()), "repeats", np.repeat))
        if count < 0:
            raise ValueError("repeats may not contain negative values.")
        shape = [*x.shape[:axis + 1], count, *x.shape[axis + 1:]]
        node = broadcast(x.node, shape, [d for d in range(x.ndim + 1) if d != axis + 1])
        return wrap(reshape(node, [*x.shape[:axis], n * count, *x.shape[axis + 1:]]))
    if counts.size != n:
        raise ValueError(f"operands could not be broadcast together with shape ({n},) ({counts.size},)")
    plain = known(repeats)
    if plain is not None:
        return take(x, literal(np.repeat(np.arange(n), plain.astype(np.intp))), axis)
    node = ops.cast(counts.node, I64)
    node = ops.check(node, ops.greater_equal(node, zeros(node.type)), error="repeats", detail=())
    total = integer_of(np.add.reduce(wrap(node)), "the number of elements that np.repeat gives")
    return picked(x, wrap(repeated(node, size=total)), axis)
