"""Medians, quantiles and percentiles."""

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.index import ranked
from tracejit.symbolic.types import BOOL, F64
from tracejit.trace.numpy.common import (
    NO,
    axes_of,
    deliver,
    known,
    literal,
)
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import Tracer, as_tracer, wrap


def _flat_last(a, axis):
    """Return (the array with the axes to order laid out as its last one, the kept shape with ones)."""
    x = as_tracer(a)
    axes = axes_of(axis, x.ndim)
    kept = [1 if d in axes else n for d, n in enumerate(x.shape)]
    rest = [d for d in range(x.ndim) if d not in axes]
    count = int(np.prod([x.shape[d] for d in axes], dtype=int))
    return x.transpose([*rest, *axes]).reshape([x.shape[d] for d in rest] + [count]), kept


class Order:
    """The elements of some ranks along the last axis: all of them where the ranks are known only at run time.

    Ranks that are known need no complete sort; NaN has the highest ones, so the last rank tells whether there is one.
    """

    def __init__(self, x, ranks=None):
        n = x.shape[-1]
        self.floating = x.dtype.kind in "fc"
        if ranks is None:
            self.ranks, self.values = np.arange(n), np.sort(x, axis=-1)
        else:
            self.ranks = np.union1d(np.asarray(ranks, int), [n - 1] if self.floating else [])
            self.ranks = self.ranks.astype(int)
            self.values = wrap(ranked(x.node, axis=x.ndim - 1, ranks=tuple(self.ranks.tolist())))

    def at(self, rank):
        """Return the elements of ranks (an integer array or Tracer), whose axes come first."""
        if isinstance(rank, Tracer):
            return _pick(self.values, rank)
        return _pick(self.values, np.searchsorted(self.ranks, np.asarray(rank).astype(int)))

    def or_nan(self, result):
        """Return `result`, and NaN where there is one among the elements."""
        if not self.floating:
            return result
        last = self.values[..., -1]
        return np.where(np.isnan(last), last, result)


def _shaped(result, kept, keepdims, out):
    if keepdims is not NO and keepdims:
        result = result.reshape(kept)
    elif result.ndim == 0:
        result = result[()]
    return deliver(result, out)


@implements(np.median)
def median(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    """Return the middle element over axes, or the mean of the two in the middle; NaN if there is one."""
    x, kept = _flat_last(a, axis)
    n = x.shape[-1]
    if n == 0:
        return _shaped(np.mean(x, axis=-1), kept, keepdims, out)
    middle = sorted({(n - 1) // 2, n // 2})
    order = Order(x, middle)
    result = np.mean(order.values[..., :len(middle)], axis=-1)
    return _shaped(order.or_nan(result), kept, keepdims, out)


#: Hyndman and Fan 1996: the position of quantile q among n sorted elements, counted from 0, as a (alpha, beta) of
#: ``n q + (alpha + q (1 - alpha - beta)) - 1``.
_CONTINUOUS = {"interpolated_inverted_cdf": (0, 1), "hazen": (0.5, 0.5), "weibull": (0, 0), "linear": (1, 1),
               "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8)}
_DISCRETE = ("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "lower", "higher", "midpoint", "nearest")


def _position(method, n, q):
    """Return (positions below, weight of the element above) for quantiles `q`, over NumPy or traced numbers alike."""
    if method in _CONTINUOUS:
        alpha, beta = _CONTINUOUS[method]
        place = (n - 1) * q if method == "linear" else n * q + (alpha + q * (1 - alpha - beta)) - 1
        below = np.floor(place)
        return below, place - below
    if method == "inverted_cdf":
        place = n * q
        below = np.floor(place)
        return np.where(place > below, below, below - 1), 0.0 * q
    if method == "averaged_inverted_cdf":
        place = n * q
        below = np.floor(place)
        return below - 1, np.where(place > below, 1.0, 0.5)
    if method == "closest_observation":
        place = n * q - 1 - 0.5
        below = np.floor(place)
        odd = np.equal(below % 2, 1)
        return below, np.where(np.logical_and(np.equal(place, below), odd), 0.0, 1.0)
    place = (n - 1) * q
    if method == "lower":
        return np.floor(place), 0.0 * q
    if method == "higher":
        return np.ceil(place), 0.0 * q
    if method == "nearest":
        return np.rint(place), 0.0 * q
    below = np.floor(place)  # midpoint
    return below, np.where(np.equal(place, below), 0.0, 0.5)


def _fractions(function, source, q):
    """Return the quantiles asked for as numbers from 0 to 1: an array where they are known, else a Tracer."""
    percent = function in _PERCENT
    fixed = known(q)
    if fixed is None:
        q = np.true_divide(as_tracer(q), 100) if percent else as_tracer(q)
        inside = np.logical_and(np.greater_equal(q, 0), np.less_equal(q, 1))
        error = "percentile" if percent else "quantile"
        return wrap(ops.check(q.node, inside.node, error=error, detail=()), scalar=q.scalar, weak=q.weak)
    number = isinstance(q, (int, float)) and not isinstance(q, np.generic)
    if percent:
        hundred = source.dtype.type(100) if source.dtype.kind == "f" else 100
        q = np.asarray(np.true_divide(q if number else fixed, hundred))
    else:
        q = np.asarray(q, source.dtype) if number and source.dtype.kind == "f" else fixed + 0.0
    if not (np.all(q >= 0) and np.all(q <= 1)):
        raise ValueError("Percentiles must be in the range [0, 100]" if percent
                         else "Quantiles must be in the range [0, 1]")
    return q


def _quantile(function, a, q, axis, out, method, keepdims, weights):
    if method not in _CONTINUOUS and method not in _DISCRETE:
        raise ValueError(f"{method!r} is not a valid method. Use one of: {sorted([*_CONTINUOUS, *_DISCRETE])}")
    source = as_tracer(a)
    if source.dtype.kind == "c":
        raise TypeError("a must be an array of real numbers")
    if weights is not None:
        weights = _spread_weights(source, axis, weights, method)
    q = _fractions(function, source, q)
    x, kept = _flat_last(source, axis)
    if weights is not None:
        result = _weighted(function, x, _flat_last(weights, axis)[0], q)
        if keepdims:
            result = result.reshape((*result.shape[:np.ndim(q)], *kept))
        return deliver(wrap(result.node), out)
    n = x.shape[-1]
    if n == 0:
        raise IndexError("index -1 is out of bounds for axis 0 with size 0")
    if source.dtype == BOOL and method in _CONTINUOUS:
        raise TypeError("numpy boolean subtract, the `-` operator, is not supported, use the bitwise_xor, the `^` "
                        "operator, or the logical_xor function instead.")
    below, weight = _position(method, n, q)
    low, high = np.clip(below, 0, n - 1), np.clip(below + 1, 0, n - 1)
    discrete = method in ("inverted_cdf", "lower", "higher", "nearest")
    needed = [low] if discrete else [low, high]
    order = Order(x, None if isinstance(below, Tracer) else np.concatenate([np.ravel(r) for r in needed]))
    result = order.at(low)
    if not discrete:
        weight = np.where(np.less(below, 0), 0.0, np.where(np.greater_equal(below, n - 1), 0.0, weight))
    if method == "closest_observation" and x.dtype.kind in "iu":  # one or the other, which stays an integer
        weight = weight if isinstance(weight, Tracer) else literal(weight)
        result = np.where(np.not_equal(weight.reshape(weight.shape + (1,) * (x.ndim - 1)), 0), order.at(high), result)
    elif not discrete:
        result = _between(result, order.at(high), weight, x, q)
    result = order.or_nan(result)
    if keepdims:
        result = result.reshape((*result.shape[:np.ndim(q)], *kept))
    return deliver(result[()] if result.ndim == 0 else result, out)


def _spread_weights(x, axis, weights, method):
    """Return weights in the shape of the array, checked as NumPy checks them."""
    if method != "inverted_cdf":
        raise ValueError("Only method 'inverted_cdf' supports weights. Got: " + method + ".")
    weights = as_tracer(weights)
    if weights.dtype.kind not in "biuf":
        raise TypeError("weights must be an array of real numbers")
    if weights.shape != x.shape:
        if axis is None:
            raise TypeError("Axis must be specified when shapes of a and weights differ.")
        axes = axes_of(axis, x.ndim)
        if weights.shape != tuple(x.shape[d] for d in np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)):
            raise ValueError("Shape of weights must be consistent with shape of a along specified axis.")
        weights = np.broadcast_to(weights.reshape([n if d in axes else 1 for d, n in enumerate(x.shape)]), x.shape)
    fine = np.greater_equal(weights, 0)
    return wrap(ops.check(weights.node, fine.node, error="negative_weights", detail=()))


def _weighted(function, x, weights, q):
    """Return the elements at which the running share of the weights reaches the quantiles, along the last axis."""
    lenient = function in (np.nanquantile, np.nanpercentile) and x.dtype.kind == "f"
    if lenient:
        weights = np.where(np.isnan(x), 0.0, weights)
    n = x.shape[-1]
    order = np.argsort(x, axis=-1, stable=True)
    x = np.take_along_axis(x, order, axis=-1)
    share = np.cumsum(np.take_along_axis(weights, order, axis=-1), axis=-1, dtype=float)
    share = share / share[..., -1:]
    bad = np.isnan(share[..., -1:])
    nothing = np.isnan(x[..., :1])  # where NaN is skipped: a slice of NaN only
    q = literal(q) if not isinstance(q, Tracer) else q
    if q.dtype.kind == "f":
        share = share.astype(q.dtype)
    fine = np.logical_or(np.logical_not(bad), nothing) if lenient else np.logical_not(bad)
    share = wrap(ops.check(share.node, np.broadcast_to(fine, share.shape).node, error="no_weights", detail=()))
    share = np.where(np.equal(share, 0), -1, share)
    results = []
    for one in (q.reshape(-1) if q.ndim else [q]):
        place = np.add.reduce(np.less(share, one), axis=-1, dtype=np.intp)
        found = np.take_along_axis(x, np.minimum(place, n - 1)[..., None], axis=-1)[..., 0]
        if x.dtype.kind == "f":
            spoilt = nothing[..., 0] if lenient else np.isnan(x[..., -1])
            found = np.where(spoilt, x.dtype.type(np.nan), found)
        results.append(found)
    return np.stack(results).reshape((*q.shape, *results[0].shape)) if q.ndim else results[0]


def _pick(x, place):
    """Return elements at positions along the last axis, the axes of the positions first."""
    if not isinstance(place, Tracer) and np.ndim(place) == 0:
        return x[..., int(place)]
    place = place.astype(np.intp) if isinstance(place, Tracer) else literal(place, np.intp)
    picked = np.take(x, place, axis=-1)
    return np.moveaxis(picked, range(x.ndim - 1, picked.ndim), range(picked.ndim - x.ndim + 1))


def _between(low, high, weight, x, q):
    """Return the point between two elements, from the nearer end, as NumPy's `_lerp` does, so that it is monotonic."""
    kind = x.dtype if x.dtype.kind == "f" else F64
    if isinstance(weight, Tracer):
        t = weight.reshape(weight.shape + (1,) * (x.ndim - 1))
    else:
        t = np.asarray(weight, kind if np.ndim(q) == 0 else np.result_type(kind, np.asarray(q).dtype))
        t = literal(t.reshape(t.shape + (1,) * (x.ndim - 1))) if t.ndim else float(t)
    return _meet(low, high, t)


def _meet(low, high, t):
    difference = np.subtract(high, low)
    near = np.add(low, difference * t)
    far = np.subtract(high, difference * (1 - t))
    if isinstance(t, float):
        return far if t >= 0.5 else near
    return np.where(np.greater_equal(t, 0.5), far, near)


@implements(np.quantile)
def quantile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None):
    """Return the q-th quantiles over axes; the axes of q come first."""
    return _quantile(np.quantile, a, q, axis, out, method, keepdims, weights)


@implements(np.percentile)
def percentile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None):
    """Return the q-th percentiles over axes; the axes of q come first."""
    return _quantile(np.percentile, a, q, axis, out, method, keepdims, weights)


_PERCENT = (np.percentile, np.nanpercentile)


def _nan_quantile(function, a, q, axis, out, method, keepdims, weights):
    source = as_tracer(a)
    keepdims = False if keepdims is NO else keepdims
    if source.dtype.kind != "f":
        return _quantile(function, source, q, axis, out, method, keepdims, weights)
    if weights is not None:
        return _quantile(function, source, q, axis, out, method, keepdims, weights)
    if method not in _CONTINUOUS and method not in _DISCRETE:
        raise ValueError(f"{method!r} is not a valid method. Use one of: {sorted([*_CONTINUOUS, *_DISCRETE])}")
    fractions = _fractions(function, source, q)
    x, kept = _flat_last(source, axis)
    x = np.sort(x, axis=-1)  # how many there are is data, and so are the ranks
    if x.shape[-1] == 0:
        x = literal(np.full((*x.shape[:-1], 1), np.nan, x.dtype))
    count = np.add.reduce(np.logical_not(np.isnan(x)), axis=-1, dtype=np.intp)  # NaN sorts to the end
    n = np.maximum(count, 1)
    at = lambda place: np.take_along_axis(x, np.clip(place, 0, n - 1).astype(np.intp)[..., None], axis=-1)[..., 0]
    shape = np.shape(fractions)
    results = []
    # several quantiles are an array, whose dtype counts; a single one is a number
    kind = np.result_type(x.dtype, fractions.dtype) if shape else x.dtype
    fractions = fractions if isinstance(fractions, Tracer) else fractions[()]
    for one in (fractions.reshape(-1) if shape else [fractions]):
        below, weight = _position(method, n, one)
        low = at(below)
        if method not in ("inverted_cdf", "lower", "higher", "nearest"):
            weight = np.where(np.logical_or(np.less(below, 0), np.greater_equal(below, n - 1)), 0.0, weight)
            low = _meet(low, at(below + 1), weight.astype(kind))
        results.append(np.where(np.equal(count, 0), x.dtype.type(np.nan), low))
    result = np.stack(results).reshape((*shape, *results[0].shape)) if shape else results[0]
    if keepdims:
        result = result.reshape((*shape, *kept))
    return deliver(result[()] if result.ndim == 0 else result, out)


@implements(np.nanquantile)
def nanquantile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=NO, *, weights=None):
    """Return the q-th quantiles over axes of the elements that are not NaN."""
    return _nan_quantile(np.nanquantile, a, q, axis, out, method, keepdims, weights)


@implements(np.nanpercentile)
def nanpercentile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=NO, *, weights=None):
    """Return the q-th percentiles over axes of the elements that are not NaN."""
    return _nan_quantile(np.nanpercentile, a, q, axis, out, method, keepdims, weights)


@implements(np.nanmedian)
def nanmedian(a, axis=None, out=None, overwrite_input=False, keepdims=NO):
    """Return the median over axes of the elements that are not NaN."""
    keepdims = False if keepdims is NO else keepdims
    source = as_tracer(a)
    if source.dtype.kind not in "fc":
        return median(source, axis, out, overwrite_input, keepdims)
    x, kept = _flat_last(source, axis)
    x = np.sort(x, axis=-1)  # how many there are is data, and so are the ranks
    if x.shape[-1] == 0:
        return median(source, axis, out, overwrite_input, keepdims)
    count = np.add.reduce(np.logical_not(np.isnan(x)), axis=-1, dtype=np.intp, keepdims=True)  # NaN sorts to the end
    low = np.take_along_axis(x, np.maximum((count - 1) // 2, 0), axis=-1)
    high = np.take_along_axis(x, np.minimum(count // 2, x.shape[-1] - 1), axis=-1)
    middle = np.where(np.equal(count % 2, 1), low, np.mean(np.concatenate((low, high), axis=-1), axis=-1,
                                                           keepdims=True))
    return _shaped(middle[..., 0], kept, keepdims, out)
