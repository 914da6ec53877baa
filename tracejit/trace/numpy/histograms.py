"""Histograms: edges, and how many elements lie between them."""

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.index import gather, scatter_add
from tracejit.symbolic.ops.shape import broadcast, full, full_like, slice_, zeros
from tracejit.symbolic.types import BOOL, C64, F16, F32, F64, I64, Type
from tracejit.trace.guards import guarded_int
from tracejit.trace.numpy import borrowed
from tracejit.trace.numpy.common import known, literal, static
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.searching import searchsorted
from tracejit.trace.tracer import Tracer, as_tracer, wrap


def _checked(x, fine, error):
    """Return a scalar Tracer that raises ``CHECKS[error]`` where `fine` does not hold."""
    plain = known(fine)
    if plain is not None and plain:
        return x
    return wrap(ops.check(x.node, fine.node, error=error, detail=()), scalar=not x.weak, weak=x.weak)


def _outer_edges(x, range):
    """Return the first and the last edge: those asked for, else the extremes, apart by 1 where they are one."""
    if range is not None:
        first, last = range
        plain = [known(e) for e in (first, last)]
        if all(p is not None for p in plain):
            if plain[0] > plain[1]:
                raise ValueError("max must be larger than min in range parameter.")
            if not np.isfinite(plain).all():
                raise ValueError(f"supplied range of [{first}, {last}] is not finite")
            return (first - 0.5, last + 0.5) if plain[0] == plain[1] else (first, last)
        first, last = (v if v.weak else v[()] for v in (as_tracer(first), as_tracer(last)))
        first = _checked(first, np.less_equal(first, last), "histogram_order")
        fine, error = np.logical_and(np.isfinite(first), np.isfinite(last)), "histogram_range"
    elif x.size == 0:
        return 0, 1
    else:
        first, last = np.min(x), np.max(x)
        if x.dtype.kind not in "fc":
            return _apart(first, last)
        fine, error = np.isfinite(first + (last - last)), "histogram_found_range"
    return _apart(_checked(first, fine, error), last)


def _apart(first, last):
    same = np.equal(first, last)
    if first.dtype.kind in "iub" and not first.weak:  # NumPy keeps integers where it need not part them
        same = static(same, "whether all elements are equal", np.histogram)
        return (first - 0.5, last + 0.5) if same else (first, last)
    return np.where(same, first - 0.5, first)[()], np.where(same, last + 0.5, last)[()]


def _edges(x, bins, range, weights):
    """Return (edges, (first, last, count) of equal bins or None)."""
    if isinstance(bins, str):
        if bins not in np.lib._histograms_impl._hist_bin_selectors:
            raise ValueError(f"{bins!r} is not a valid estimator for `bins`")
        if weights is not None:
            raise TypeError("Automated estimation of the number of bins is not supported for weighted data")
        first, last = _outer_edges(x, range)
        count = _estimated(x, bins, first, last, range)
    elif np.ndim(bins) == 0:
        if isinstance(bins, (float, np.floating)) or isinstance(bins, Tracer) and bins.dtype.kind not in "iu":
            raise TypeError("`bins` must be an integer, a string, or an array")
        count = static(bins, "bins", np.histogram)
        if count < 1:
            raise ValueError("`bins` must be positive, when an integer")
        first, last = _outer_edges(x, range)
    elif np.ndim(bins) == 1:
        return _rising(as_tracer(bins), "`bins` must increase monotonically, when an array"), None
    else:
        raise ValueError("`bins` must be 1d, when an array")
    kind = np.result_type(*(e.dtype if isinstance(e, Tracer) and not e.weak else e.python_type(0)
                            if isinstance(e, Tracer) else e for e in (first, last)), x.dtype)
    if kind.kind in "iu":
        kind = np.result_type(kind, float)
    ends = [known(e) for e in (first, last)]
    if all(e is not None for e in ends):
        edges = literal(np.linspace(*(e[()] for e in ends), count + 1, dtype=kind))
    else:
        edges = as_tracer(np.linspace(as_tracer(first), as_tracer(last), count + 1, dtype=kind))
    return edges, (first, last, count)


def _rising(edges, message):
    if edges.size < 2:
        return edges
    fine = np.logical_and.reduce(np.less_equal(edges[:-1], edges[1:]))
    plain = known(fine)
    if plain is None:
        node = ops.check(edges.node, broadcast(fine.node, edges.shape, ()), error="histogram_bins", detail=())
        return wrap(node)
    if not plain:
        raise ValueError(message)
    return edges


def _estimated(x, rule, first, last, range):
    """Return the number of bins that a rule of NumPy's gives: it depends on the data, and is guarded."""
    if range is not None:
        x = as_tracer(x[np.logical_and(np.greater_equal(x, first), np.less_equal(x, last))])
    if x.size == 0:
        return 1
    width = as_tracer(borrowed.twin(np.lib._histograms_impl._hist_bin_selectors[rule])(x, (first, last)))
    if x.dtype.kind in "iu":
        width = np.where(np.logical_and(np.not_equal(width, 0), np.less(width, 1)), 1, width)
    span = np.subtract(last, first) if isinstance(last, Tracer) else last - first
    bins = np.ceil(span / np.where(np.equal(width, 0), 1, width))
    count = np.where(np.equal(width, 0), 1, bins).astype(int)
    return guarded_int(count, f"the number of bins by the rule {rule!r}")


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a, bins=10, range=None, weights=None):
    """Return the edges that `histogram` would use."""
    x, weights = _flat(a, weights)
    return _edges(x, bins, range, weights)[0]


def _flat(a, weights):
    x = as_tracer(a)
    if weights is not None:
        weights = as_tracer(weights)
        if weights.shape != x.shape:
            raise ValueError("weights should have the same shape as a.")
        weights = weights.ravel()
    return (x.astype(np.uint8) if x.dtype == BOOL else x).ravel(), weights


def _counted(at, count, weights):
    """Return how often each number below `count` occurs in a node, or the sum of the weights at it, as a node."""
    if weights is None:
        return scatter_add(zeros(Type(I64, (count,))), full(1, at.type), at)
    kind = {F16: F64, F32: F64, BOOL: I64, C64: np.dtype(complex)}.get(weights.dtype, weights.dtype)
    return scatter_add(zeros(Type(kind, (count,))), ops.cast(weights.node, kind), at)


def _equal_bins(x, edges, bins):
    """Return the bin of each element, computed and then set right by the edges beside it; `count` where it has none."""
    first, last, count = bins
    inside = np.logical_and(np.greater_equal(x, first), np.less_equal(x, last)).node
    start, end = (as_tracer(e).astype(float) for e in (first, last))
    place = (x.astype(float) - start) * (count / (end - start))
    node = ops.select(inside, place.node, zeros(place.node.type))
    node = ops.cast(node, I64)
    bound = lambda n: full_like(n, node)
    node = ops.minimum(ops.maximum(node, bound(0)), bound(count - 1))
    value = ops.cast(x.node, np.result_type(x.dtype, edges.dtype))
    edge = ops.cast(edges.node, value.dtype)
    early = ops.less(value, gather(edge, node))
    late = ops.bitwise_and(ops.greater_equal(value, gather(edge, node + bound(1))), ops.less(node, bound(count - 1)))
    node = node + ops.cast(late, I64) - ops.cast(early, I64)
    # each index is a place among the edges by construction
    return ops.select(inside, ops.maximum(node, bound(0)), bound(count))


@implements(np.histogram)
def histogram(a, bins=10, range=None, density=None, weights=None):
    """Return how many elements lie between edges, or the sum of their weights, and the edges."""
    x, weights = _flat(a, weights)
    edges, equal = _edges(x, bins, range, weights)
    count = edges.size - 1
    if x.type.is_static and x.size == 0 or count < 1:
        kind = I64 if weights is None else weights.dtype
        total = wrap(zeros(Type(kind, (max(count, 0),))))
    else:
        if equal is not None and x.dtype.kind != "c":
            at = _equal_bins(x, edges, equal)
        else:
            place = searchsorted(edges, x, "right") - 1
            place = np.where(np.equal(x, edges[-1]), count - 1, place)
            at = np.where(np.less(place, 0), count, place).node
        sums = _counted(at, count + 1, weights)
        total = wrap(slice_(sums, (0,), (1,), (count,)))
        if weights is not None:
            total = total.astype(weights.dtype)
    if density:
        total = total / np.diff(edges).astype(float) / np.add.reduce(total)
    return total, edges


# ---------------------------------------------------------------- several dimensions
@implements(np.histogramdd)
def histogramdd(sample, bins=10, range=None, density=None, weights=None):
    """Return how many points lie in each cell of a grid, or the sum of their weights, and the edges of the grid."""
    points = as_tracer(sample) if isinstance(sample, (Tracer, np.ndarray)) else None
    if points is None or points.ndim != 2:
        points = np.atleast_2d(as_tracer(sample)).T
    dims = points.shape[1]
    if isinstance(bins, (list, tuple)) or isinstance(bins, (Tracer, np.ndarray)) and bins.ndim:
        if len(bins) != dims:
            raise ValueError("The dimension of bins must be equal to the dimension of the sample x.")
    else:
        bins = [bins] * dims
    if range is None:
        range = (None,) * dims
    elif len(range) != dims:
        raise ValueError("range argument must have one entry per dimension")
    edges, total, shape = [], None, []
    for i, (b, r) in enumerate(zip(bins, range)):
        x = points[:, i]
        if np.ndim(b) == 0:
            count = static(b, "bins", np.histogramdd)
            if count < 1:
                raise ValueError(f"`bins[{i}]` must be positive, when an integer")
            if isinstance(count, float):
                raise TypeError(f"`bins[{i}]` must be an integer, when a scalar")
            along = as_tracer(np.linspace(*map(as_tracer, _outer_edges(x, r)), count + 1))
        elif np.ndim(b) == 1:
            along = _rising(as_tracer(b), f"`bins[{i}]` must be monotonically increasing, when an array")
        else:
            raise ValueError(f"`bins[{i}]` must be a scalar or 1d array")
        place = searchsorted(along, x, "right")
        place = place - np.equal(x, along[-1])
        n = along.size + 1  # with all that lies outside at either end
        total = place if total is None else total * n + place
        edges.append(along)
        shape.append(n)
    weights = None if weights is None else as_tracer(weights)
    if weights is not None and weights.shape != total.shape:
        raise ValueError("The weights and list don't have the same length.")
    sums = _counted(total.node, int(np.prod(shape)), weights)
    if weights is not None and not np.can_cast(weights.dtype, F64, "safe"):
        raise TypeError(f"Cannot cast array data from {weights.dtype!r} to dtype('float64') according to the rule "
                        "'safe'")
    cells = wrap(ops.cast(sums, F64)).reshape(shape)[(slice(1, -1),) * dims]
    if density:
        whole = np.add.reduce(cells, axis=None)
        for i, along in enumerate(edges):
            cells = cells / np.diff(along).reshape([-1 if d == i else 1 for d in builtin_range(dims)])
        cells = cells / whole
    return cells, edges


builtin_range = range


@implements(np.histogram2d)
def histogram2d(x, y, bins=10, range=None, density=None, weights=None):
    """Return how many points (x, y) lie in each cell of a grid, and the edges of the grid."""
    x, y = as_tracer(x), as_tracer(y)
    if x.shape[0] != y.shape[0]:
        raise ValueError("x and y must have the same length.")
    if not isinstance(bins, (list, tuple)) and np.ndim(bins) or isinstance(bins, (list, tuple)) and len(bins) > 2:
        bins = [bins, bins] if len(bins) not in (1, 2) else bins
    cells, (first, second) = histogramdd([x, y], bins, range, density, weights)
    return cells, first, second
