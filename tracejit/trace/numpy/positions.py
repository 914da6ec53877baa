"""Positions of elements that are told apart by their values: how many there are is a count of the data."""

import numpy as np

from tracejit.symbolic.ir import const
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.index import gather, scatter_add
from tracejit.symbolic.ops.shape import full, transpose, zeros
from tracejit.symbolic.types import BOOL, F64, I64, Type
from tracejit.trace.guards import guarded_int
from tracejit.trace.masks import coordinates, positions
from tracejit.trace.numpy.common import axis_of, deliver, known, literal, static_ints
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.taking import take
from tracejit.trace.sizes import integer_of
from tracejit.trace.tracer import as_tracer, wrap


def true_positions(mask):
    """Return the positions where a vector of bools (Tracer) holds; a literal where they are known."""
    plain = known(mask)
    return literal(np.flatnonzero(plain)) if plain is not None else wrap(positions(mask.node))


def picked(x, places, axis=0):
    """Return the slices of `x` along an axis at a vector of positions (Tracer) that are in bounds by construction."""
    rest = [d for d in range(x.ndim) if d != axis]
    moved = gather(transpose(x.node, [axis, *rest]), places.node)
    return wrap(transpose(moved, [*range(1, axis + 1), 0, *range(axis + 1, x.ndim)]))


def _mask(x):
    return x if x.dtype == BOOL else np.not_equal(x, 0)


@implements(np.nonzero)
def nonzero(a):
    """Return the positions along each axis of the elements that are not zero."""
    x = as_tracer(a)
    if x.ndim == 0:
        raise ValueError("Calling nonzero on 0d arrays is not allowed. Use np.atleast_1d(scalar).nonzero() instead. If "
                         "the context of this error is of the form `arr[nonzero(cond)]`, just use `arr[cond]`.")
    flat = true_positions(_mask(x).reshape(-1))
    return tuple(wrap(node) for node in coordinates(flat.node, x.shape))


@implements(np.flatnonzero)
def flatnonzero(a):
    """Return the positions in the flattened array of the elements that are not zero."""
    return nonzero(as_tracer(a).ravel())[0]


@implements(np.argwhere)
def argwhere(a):
    """Return the positions of the elements that are not zero, one row each."""
    x = as_tracer(a)
    if x.ndim == 0:
        count = true_positions(_mask(x).reshape(1)).size
        return literal(np.empty((count, 0), np.int64))
    return np.stack(nonzero(x), axis=1)


@implements(np.extract)
def extract(condition, arr):
    """Return the elements of the flattened array where a condition holds."""
    x, places = as_tracer(arr).ravel(), flatnonzero(condition)
    return picked(x, places) if np.size(condition) == x.size else take(x, places)


@implements(np.compress)
def compress(condition, a, axis=None, out=None):
    """Return the slices along an axis for which a condition holds."""
    mask = as_tracer(condition)
    if mask.ndim != 1:
        raise ValueError("condition must be a 1-d array")
    x, places = as_tracer(a), true_positions(_mask(mask))
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = axis_of(axis, x.ndim)
    if mask.shape[0] <= x.shape[axis]:
        return deliver(picked(x, places, axis), out)
    return take(x, places, axis, out)


@implements(np.ix_)
def ix_(*args):
    """Return positions along several axes, shaped to broadcast against each other."""
    out = []
    for k, a in enumerate(args):
        x = as_tracer(a)
        if x.ndim != 1:
            raise ValueError("Cross index must be 1 dimensional")
        if x.dtype == BOOL:
            x = true_positions(x)
        elif x.size == 0 and isinstance(a, (list, tuple)):
            x = x.astype(np.intp)
        out.append(x.reshape((1,) * k + (x.size,) + (1,) * (len(args) - k - 1)))
    return tuple(out)


@implements(np.trim_zeros)
def trim_zeros(filt, trim="fb", axis=None):
    """Return an array without the zeros at its ends."""
    x = as_tracer(filt)
    if isinstance(filt, (list, tuple)) and known(x) is not None:
        return np.trim_zeros.__wrapped__(filt, trim, axis)
    sides = trim.lower()
    if sides not in ("fb", "bf", "f", "b"):
        raise ValueError(f"unexpected character(s) in `trim`: {trim!r}")
    axes = range(x.ndim) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
    mask, key = _mask(x), []
    for d in range(x.ndim):
        n = x.shape[d]
        if d not in axes or n == 0:
            key.append(slice(None))
            continue
        there = np.logical_or.reduce(mask, axis=tuple(e for e in range(x.ndim) if e != d))
        some = np.logical_or.reduce(there)
        first = np.where(some, np.argmax(there), n) if "f" in sides else 0
        last = np.where(some, n - np.argmax(there[::-1]), 0 if "f" not in sides else n) if "b" in sides else n
        key.append(slice(*(guarded_int(e, "an end of what np.trim_zeros leaves") for e in (first, last))))
    return x[tuple(key)] if key else x


# ---------------------------------------------------------------- counts
@implements(np.bincount)
def bincount(x, /, weights=None, minlength=0):
    """Return how often each number occurs, or the sum of the weights at it."""
    numbers = as_tracer(x)
    if isinstance(x, (list, tuple)) and not x:
        numbers = numbers.astype(np.intp)
    if numbers.ndim != 1:
        raise ValueError("object too deep for desired array" if numbers.ndim else
                         "object of too small depth for desired array")
    if numbers.dtype.kind not in "biu" and not (isinstance(x, (list, tuple)) and numbers.dtype.kind == "f"):
        raise TypeError(f"Cannot cast array data from {numbers.dtype!r} to dtype('int64') according to the rule 'safe'")
    if minlength is None:
        raise TypeError("'NoneType' object cannot be interpreted as an integer")
    least, = static_ints(minlength, "minlength", np.bincount)
    if least < 0:
        raise ValueError("'minlength' must not be negative")
    if weights is not None:
        weights = as_tracer(weights)
        if not np.can_cast(weights.dtype, F64, "safe"):
            raise TypeError(f"Cannot cast array data from {weights.dtype!r} to dtype('float64') according to the rule "
                            "'safe'")
        if weights.shape != numbers.shape:
            raise ValueError("The weights and list don't have the same length.")
    kind = I64 if weights is None or numbers.size == 0 else F64
    if numbers.size == 0:
        return wrap(zeros(Type(kind, (least,))))
    node = ops.cast(numbers.node, I64)
    largest, lowest = np.maximum(np.max(wrap(node)) + 1, least), np.min(wrap(node))
    size = ops.check(largest.node, ops.greater_equal(lowest.node, const(0, I64)), error="bincount", detail=())
    size = integer_of(wrap(size, scalar=True), "the largest number that np.bincount counts")
    added = full(1, node.type) if weights is None else ops.cast(weights.node, F64)
    return wrap(scatter_add(zeros(Type(kind, (size,))), added, node))
