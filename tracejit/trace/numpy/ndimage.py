"""scipy.ndimage: filters over neighbourhoods, with its ways to go beyond the borders.

As SciPy, everything is computed in double precision, term by term in its order, and converted at the end.
"""

import operator

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.types import BOOL, C128, F64, I64
from tracejit.trace.numpy.common import axis_of, deliver, known, known_dtype, static
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import Tracer, as_tracer, wrap

#: ndimage's names of borders → np.pad's.
_BORDERS = {"reflect": "symmetric", "grid-mirror": "symmetric", "mirror": "reflect", "nearest": "edge", "wrap": "wrap",
            "grid-wrap": "wrap", "constant": "constant", "grid-constant": "constant"}
#: Weights from which on a sum over a neighbourhood is a product with windows.
_MANY = 48


def _padded(x, widths, mode, cval):
    if mode not in _BORDERS:
        raise RuntimeError("boundary mode not supported")
    if not any(w for pair in widths for w in pair):
        return x
    if _BORDERS[mode] == "constant":
        return np.pad(x, widths, "constant", constant_values=cval)
    return np.pad(x, widths, _BORDERS[mode])


def _number(cval, x):
    return np.asarray(static(cval, "cval")).astype(x.dtype)[()]


def _sequence(value, count):
    """Return a value for each axis, out of one or several."""
    if isinstance(value, str) or not np.iterable(value):
        return [value] * count
    found = list(value)
    if len(found) != count:
        raise RuntimeError("sequence argument must have length equal to input rank")
    return found


def _axes(axes, ndim):
    if axes is None:
        return tuple(range(ndim))
    return tuple(axis_of(a, ndim) for a in (axes if np.iterable(axes) else (axes,)))


def _input(x):
    return as_tracer(x)


def _wide(x):
    """Return an array in the double precision that filters compute in."""
    return wrap(cast(x.node, C128 if x.dtype.kind == "c" else F64))


def _output(result, output, default):
    """Return a filter's result in the dtype of the input, or as `output=` says: a dtype, or an array to write to."""
    if isinstance(output, (Tracer, np.ndarray)):
        target = as_tracer(output)
        return deliver(wrap(cast(result.node, target.dtype)), target)
    dtype = default if output is None else known_dtype(output)
    if dtype.kind != "c" and result.dtype.kind == "c":
        dtype = np.result_type(dtype, np.complex64)
    # C's conversion to an unsigned char, of which NumPy sees whether it is 0
    node = cast(result.node, I64) if dtype == BOOL and result.dtype != BOOL else result.node
    return wrap(cast(node, dtype))


def _origins(origin, sizes):
    found = [operator.index(o) for o in _sequence(origin, len(sizes))]
    for o, n in zip(found, sizes):
        if n and not 0 <= n // 2 + o < n:
            raise ValueError("Invalid origin; origin must satisfy -(weights.shape[k] // 2) <= origin[k] <= "
                             "(weights.shape[k]-1) // 2")
    return found


def _reach(n, origin):
    """Return how far a neighbourhood of n elements reaches before and behind its centre."""
    before = n // 2 + origin
    return before, n - 1 - before


def _part(x, axis, start, n):
    return x[(*[slice(None)] * axis, slice(start, start + n))]


# ---------------------------------------------------------------- correlations
def _correlated(x, weights, axis, mode, cval, origin):
    """Return the correlation along one axis of a wide array, in SciPy's order of terms."""
    k = weights.shape[0]
    before, behind = _reach(k, origin)
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, behind)
    padded, n = _padded(x, widths, mode, cval), x.shape[axis]
    w = known(weights) if isinstance(weights, Tracer) else weights
    if w is None or k > _MANY and (k % 2 == 0 or not np.abs(w - w[::-1]).max() <= np.finfo(float).eps):
        return np.lib.stride_tricks.sliding_window_view(padded, k, axis) @ weights
    middle, half, eps = k // 2, k // 2, np.finfo(float).eps
    centre = None
    if k % 2 == 1:
        if np.all(np.abs(w[:half] - w[::-1][:half]) <= eps):
            centre = operator.add
        elif np.all(np.abs(w[:half] + w[::-1][:half]) <= eps):
            centre = operator.sub
    part = lambda j: _part(padded, axis, j, n)
    if centre is not None:
        total = part(middle) * w[middle]
        for j in range(half):
            total = total + centre(part(j), part(k - 1 - j)) * w[j]
        return total
    total = part(k - 1) * w[k - 1]
    for j in range(k - 1):
        total = total + part(j) * w[j]
    return total


class _Known:
    """An array made here, which no caller can change."""

    def __init__(self, array):
        self.array = array


def _weights(weights, conjugated):
    found = weights.array if isinstance(weights, _Known) else known(as_tracer(weights))
    if found is not None:
        wide = np.asarray(found).astype(C128 if found.dtype.kind == "c" else F64)
        return np.conj(wide) if conjugated and wide.dtype.kind == "c" else wide
    w = _wide(as_tracer(weights))
    return np.conj(w) if conjugated and w.dtype.kind == "c" else w


@implements("scipy.ndimage.correlate1d")
def correlate1d(input, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    """Correlate along one axis; see scipy.ndimage.correlate1d."""
    x, w = _input(input), _weights(weights, True)
    if w.ndim != 1 or w.shape[0] < 1:
        raise RuntimeError("no filter weights given")
    axis = axis_of(axis, x.ndim)
    found = _correlated(_wide(x), w, axis, mode, cval, _origins(origin, w.shape)[0])
    return _output(found, output, x.dtype)


@implements("scipy.ndimage.convolve1d")
def convolve1d(input, weights, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    """Convolve along one axis; see scipy.ndimage.convolve1d."""
    w = _weights(weights, True)
    origin = -origin - (w.shape[0] % 2 == 0)
    w = np.conj(w[::-1]) if w.dtype.kind == "c" else w[::-1]
    return correlate1d(input, _Known(w) if isinstance(w, np.ndarray) else w, axis, output, mode, cval, origin)


def _neighbourhood(x, shape, axes, mode, cval, origin):
    """Return (padded array, size of the neighbourhood along each of its axes)."""
    if len(shape) != len(axes):
        raise RuntimeError(f"weights.ndim ({len(shape)}) must match len(axes) ({len(axes)})")
    # weights lie along the axes in rising order, origins in the order given
    sizes = dict(zip(sorted(axes), shape))
    origins = dict(zip(axes, _origins(origin, [sizes[a] for a in axes])))
    widths = [_reach(sizes[a], origins[a]) if a in sizes else (0, 0) for a in range(x.ndim)]
    return _padded(x, widths, mode, cval), [sizes.get(a, 1) for a in range(x.ndim)]


def _shifted(padded, place, shape):
    return padded[tuple(slice(p, p + n) for p, n in zip(place, shape))]


def _correlate(input, weights, output, mode, cval, origin, axes):
    x = _input(input)
    axes = _axes(axes, x.ndim)
    padded, sizes = _neighbourhood(_wide(x), weights.shape, axes, mode, cval, origin)
    weights = weights.reshape(tuple(sizes))
    w = known(weights) if isinstance(weights, Tracer) else weights
    if w is not None and w.size <= _MANY:
        total = None
        for place in np.ndindex(*sizes):
            if abs(w[place]) > np.finfo(float).eps:
                term = w[place] * _shifted(padded, place, x.shape)
                total = term if total is None else total + term
        total = wrap(cast(np.zeros_like(padded[tuple(slice(0, n) for n in x.shape)]).node, padded.dtype)
                     ) if total is None else total
        return _output(total, output, x.dtype)
    windows = np.lib.stride_tricks.sliding_window_view(padded, tuple(sizes))
    last = tuple(range(x.ndim))
    return _output(np.tensordot(windows, weights, (tuple(a + x.ndim for a in last), last)), output, x.dtype)


@implements("scipy.ndimage.correlate")
def correlate(input, weights, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    """Correlate with weights over a neighbourhood; see scipy.ndimage.correlate."""
    return _correlate(input, _weights(weights, True), output, mode, cval, origin, axes)


@implements("scipy.ndimage.convolve")
def convolve(input, weights, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    """Convolve with weights over a neighbourhood; see scipy.ndimage.convolve."""
    w = _weights(weights, False)
    along = _axes(axes, _input(input).ndim)
    if len(along) != w.ndim:
        raise RuntimeError(f"weights.ndim ({w.ndim}) must match len(axes) ({len(along)})")
    sizes = dict(zip(sorted(along), w.shape))
    origins = [-o - (sizes[a] % 2 == 0) for a, o in zip(along, _sequence(origin, w.ndim))]
    return _correlate(input, w[(slice(None, None, -1),) * w.ndim], output, mode, cval, origins, axes)


# ---------------------------------------------------------------- Gaussian filters
def _gaussian_weights(sigma, order, radius):
    """Return the weights of a derivative of a Gaussian, normalised as the Gaussian itself is."""
    if order < 0:
        raise ValueError("order must be non-negative")
    x = np.arange(-radius, radius + 1)
    density = np.exp(-0.5 / (sigma * sigma) * x**2)
    density = density / density.sum()
    if order == 0:
        return density
    # its derivatives are polynomials q times itself: q becomes q' - x q / sigma^2
    step = np.diag(np.arange(order + 1)[1:], 1) + np.diag(np.ones(order) / -(sigma * sigma), -1)
    q = np.zeros(order + 1)
    q[0] = 1
    for _ in range(order):
        q = step.dot(q)
    return (x[:, None] ** np.arange(order + 1)).dot(q) * density


@implements("scipy.ndimage.gaussian_filter1d")
def gaussian_filter1d(input, sigma, axis=-1, order=0, output=None, mode="reflect", cval=0.0, truncate=4.0, *,
                      radius=None):
    """Filter along one axis by a Gaussian or a derivative of one; see scipy.ndimage.gaussian_filter1d."""
    sigma, truncate = float(static(sigma, "sigma")), float(static(truncate, "truncate"))
    reach = int(truncate * sigma + 0.5) if radius is None else radius
    if not isinstance(reach, (int, np.integer)) or reach < 0:
        raise ValueError("Radius must be a nonnegative integer.")
    weights = _Known(_gaussian_weights(sigma, order, reach)[::-1])
    return correlate1d(input, weights, axis, output, mode, cval, 0)


@implements("scipy.ndimage.gaussian_filter")
def gaussian_filter(input, sigma, order=0, output=None, mode="reflect", cval=0.0, truncate=4.0, *, radius=None,
                    axes=None):
    """Filter by a Gaussian or a derivative of one along several axes; see scipy.ndimage.gaussian_filter."""
    x = _input(input)
    axes = _axes(axes, x.ndim)
    kind = x.dtype if output is None else as_tracer(output).dtype if isinstance(output, (Tracer, np.ndarray)) else (
        known_dtype(output))
    result = x
    sigma = static(sigma, "sigma") if not isinstance(sigma, (list, tuple)) else [static(s, "sigma") for s in sigma]
    rows = zip(axes, *(_sequence(v, len(axes)) for v in (sigma, order, mode, radius)))
    for a, s, o, m, r in rows:
        if s > 1e-15:
            result = gaussian_filter1d(result, s, a, o, kind, m, cval, truncate, radius=r)
    return _output(result, output, x.dtype)


def _each_axis(x, axes, output, filter, join):
    """Return the filtered arrays of several axes put together, each rounded to the output's dtype."""
    kind = x.dtype if output is None else as_tracer(output).dtype if isinstance(output, (Tracer, np.ndarray)) else (
        known_dtype(output))
    total = None
    for k, axis in enumerate(axes):
        found = filter(k, axis, kind)
        total = found if total is None else join(total, found)
    return _output(x if total is None else total, output, x.dtype)


@implements("scipy.ndimage.laplace")
def laplace(input, output=None, mode="reflect", cval=0.0, *, axes=None):
    """Return the sum of second differences; see scipy.ndimage.laplace."""
    x = _input(input)
    axes = _axes(axes, x.ndim)
    modes = _sequence(mode, len(axes))
    return _each_axis(x, axes, output, lambda k, a, kind: correlate1d(x, [1, -2, 1], a, kind, modes[k], cval, 0),
                      operator.add)


@implements("scipy.ndimage.gaussian_laplace")
def gaussian_laplace(input, sigma, output=None, mode="reflect", cval=0.0, *, axes=None, **kwargs):
    """Return the sum of second derivatives of a Gaussian filter; see scipy.ndimage.gaussian_laplace."""
    x = _input(input)
    axes = _axes(axes, x.ndim)
    modes, sigmas = _sequence(mode, len(axes)), _sequence(sigma, len(axes))

    def second(k, axis, kind):
        return gaussian_filter(x, sigmas, [2 * (a == axis) for a in axes], kind, modes, cval, axes=axes, **kwargs)
    return _each_axis(x, axes, output, second, operator.add)


@implements("scipy.ndimage.gaussian_gradient_magnitude")
def gaussian_gradient_magnitude(input, sigma, output=None, mode="reflect", cval=0.0, *, axes=None, **kwargs):
    """Return the length of the gradient of a Gaussian filter; see scipy.ndimage.gaussian_gradient_magnitude."""
    x = _input(input)
    axes = _axes(axes, x.ndim)
    modes, sigmas = _sequence(mode, len(axes)), _sequence(sigma, len(axes))

    def squared(k, axis, kind):
        first = gaussian_filter(x, sigmas, [1 * (a == axis) for a in axes], kind, modes, cval, axes=axes, **kwargs)
        return first * first
    if not axes:
        return _output(x, output, x.dtype)
    total = _each_axis(x, axes, None if isinstance(output, (Tracer, np.ndarray)) else output, squared, operator.add)
    return _output(np.sqrt(total), output, total.dtype)


@implements("scipy.ndimage.sobel")
def sobel(input, axis=-1, output=None, mode="reflect", cval=0.0):
    """Return a smoothed difference along an axis; see scipy.ndimage.sobel."""
    return _difference(input, axis, output, mode, cval, [1, 2, 1])


@implements("scipy.ndimage.prewitt")
def prewitt(input, axis=-1, output=None, mode="reflect", cval=0.0):
    """Return a smoothed difference along an axis; see scipy.ndimage.prewitt."""
    return _difference(input, axis, output, mode, cval, [1, 1, 1])


def _difference(input, axis, output, mode, cval, smoothing):
    x = _input(input)
    axis = axis_of(axis, x.ndim)
    kind = x.dtype if output is None or isinstance(output, (Tracer, np.ndarray)) else known_dtype(output)
    modes = _sequence(mode, x.ndim)
    result = correlate1d(x, [-1, 0, 1], axis, kind, modes[axis], cval, 0)
    for a in range(x.ndim):
        if a != axis:
            result = correlate1d(result, smoothing, a, kind, modes[a], cval, 0)
    return _output(result, output, x.dtype)


# ---------------------------------------------------------------- means
@implements("scipy.ndimage.uniform_filter1d")
def uniform_filter1d(input, size, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    """Return means along one axis; see scipy.ndimage.uniform_filter1d."""
    x, size = _input(input), operator.index(static(size, "size"))
    axis = axis_of(axis, x.ndim)
    if size < 1:
        raise RuntimeError("incorrect filter size")
    if not 0 <= size // 2 + origin < size:
        raise ValueError("invalid origin")
    widths = [(0, 0)] * x.ndim
    widths[axis] = _reach(size, origin)
    padded = _padded(_wide(x), widths, mode, cval)
    windows = np.lib.stride_tricks.sliding_window_view(padded, size, axis)
    return _output(np.sum(windows, axis=-1) / size, output, x.dtype)


@implements("scipy.ndimage.uniform_filter")
def uniform_filter(input, size=3, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    """Return means over a box; see scipy.ndimage.uniform_filter."""
    x = _input(input)
    axes = _axes(axes, x.ndim)
    kind = x.dtype if output is None else as_tracer(output).dtype if isinstance(output, (Tracer, np.ndarray)) else (
        known_dtype(output))
    result = x
    for a, s, o, m in zip(axes, *(_sequence(v, len(axes)) for v in (size, origin, mode))):
        if s > 1:
            result = uniform_filter1d(result, int(s), a, kind, m, cval, o)
    return _output(result, output, x.dtype)


# ---------------------------------------------------------------- order statistics
def _extreme1d(input, size, axis, output, mode, cval, origin, choose):
    x, size = _input(input), operator.index(static(size, "size"))
    if x.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    axis = axis_of(axis, x.ndim)
    if size < 1:
        raise RuntimeError("incorrect filter size")
    if not 0 <= size // 2 + origin < size:
        raise ValueError("invalid origin")
    widths = [(0, 0)] * x.ndim
    widths[axis] = _reach(size, origin)
    padded, n = _padded(x, widths, mode, _number(cval, x)), x.shape[axis]
    # runs of twice the length, time after time: log(size) steps
    reached, run = 1, padded
    while 2 * reached <= size:
        length = run.shape[axis] - reached
        run = choose(_part(run, axis, 0, length), _part(run, axis, reached, length))
        reached *= 2
    if reached < size:
        length = run.shape[axis] - (size - reached)
        run = choose(_part(run, axis, 0, length), _part(run, axis, size - reached, length))
    return _output(_part(run, axis, 0, n), output, x.dtype)


@implements("scipy.ndimage.minimum_filter1d")
def minimum_filter1d(input, size, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    """Return minima along one axis; see scipy.ndimage.minimum_filter1d."""
    return _extreme1d(input, size, axis, output, mode, cval, origin, _minimum)


@implements("scipy.ndimage.maximum_filter1d")
def maximum_filter1d(input, size, axis=-1, output=None, mode="reflect", cval=0.0, origin=0):
    """Return maxima along one axis; see scipy.ndimage.maximum_filter1d."""
    return _extreme1d(input, size, axis, output, mode, cval, origin, _maximum)


def _minimum(a, b):
    return np.logical_and(a, b) if a.dtype == BOOL else np.minimum(a, b)


def _maximum(a, b):
    return np.logical_or(a, b) if a.dtype == BOOL else np.maximum(a, b)


def _footprint(x, size, footprint, axes):
    """Return the footprint as a Boolean array of known content."""
    if footprint is None:
        if size is None:
            raise RuntimeError("no footprint or filter size provided")
        return np.ones([operator.index(static(s, "size")) for s in _sequence(size, len(axes))], bool)
    found = footprint.array if isinstance(footprint, _Known) else known(as_tracer(footprint))
    if found is None:
        raise UnsupportedError("a footprint that is known only at run time", where=user_frame(),
                               do="make the footprint inside the function, from Python numbers")
    found = np.asarray(found, bool)
    if found.ndim != len(axes):
        raise RuntimeError(f"footprint.ndim ({found.ndim}) must match len(axes) ({len(axes)})")
    return found


def _extreme(input, size, footprint, output, mode, cval, origin, axes, filter1d, choose):
    x = _input(input)
    if x.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    axes = _axes(axes, x.ndim)
    if footprint is None and size is None:
        raise RuntimeError("no footprint provided")
    shape = _footprint(x, size, footprint, axes)
    if not shape.any():
        raise ValueError("All-zero footprint is not supported.")
    if shape.all():
        result = x
        for a, n, o, m in zip(axes, shape.shape, _sequence(origin, len(axes)), _sequence(mode, len(axes))):
            if n > 1:
                result = filter1d(result, n, a, None, m, cval, o)
        return _output(result, output, x.dtype)
    values = _values(x, shape, axes, mode, cval, origin)
    result = values[0]
    for v in values[1:]:
        result = choose(result, v)
    return _output(result, output, x.dtype)


def _values(x, footprint, axes, mode, cval, origin):
    """Return the shifted arrays of a footprint's places."""
    if not isinstance(mode, str):
        raise RuntimeError("A sequence of modes is not supported for non-separable footprints")
    padded, sizes = _neighbourhood(x, footprint.shape, axes, mode, _number(cval, x), origin)
    places = footprint.reshape(sizes)
    return [_shifted(padded, place, x.shape) for place in zip(*np.nonzero(places))]


@implements("scipy.ndimage.minimum_filter")
def minimum_filter(input, size=None, footprint=None, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    """Return minima over a neighbourhood; see scipy.ndimage.minimum_filter."""
    return _extreme(input, size, footprint, output, mode, cval, origin, axes, minimum_filter1d, _minimum)


@implements("scipy.ndimage.maximum_filter")
def maximum_filter(input, size=None, footprint=None, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    """Return maxima over a neighbourhood; see scipy.ndimage.maximum_filter."""
    return _extreme(input, size, footprint, output, mode, cval, origin, axes, maximum_filter1d, _maximum)


def _ranked(input, find, size, footprint, output, mode, cval, origin, axes):
    x = _input(input)
    if x.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    axes = _axes(axes, x.ndim)
    shape = _footprint(x, size, footprint, axes)
    count = int(shape.sum())
    rank = find(count)
    rank += count if rank < 0 else 0
    if not 0 <= rank < count:
        raise RuntimeError("rank not within filter footprint size")
    if rank in (0, count - 1):
        filter = minimum_filter if rank == 0 else maximum_filter
        return filter(x, None, _Known(shape), output, mode, cval, origin, axes=axes)
    values = _values(x, shape, axes, mode, cval, origin)
    return _output(_selected(values, rank), output, x.dtype)


def _selected(values, rank):
    """Return the element of a rank at each place: by exchanges where there are few, else by partition."""
    if len(values) > 25:
        return np.partition(np.stack(values, axis=-1), rank, axis=-1)[..., rank]
    values = list(values)
    # the smallest goes to the front `rank` times, or the largest to the back, whichever takes fewer exchanges
    if rank <= len(values) // 2:
        for done in range(rank + 1):
            for k in range(len(values) - 1, done, -1):
                low, high = values[k - 1], values[k]
                values[k - 1], values[k] = _minimum(low, high), _maximum(low, high)
        return values[rank]
    for done in range(len(values) - rank):
        for k in range(len(values) - 1 - done):
            low, high = values[k], values[k + 1]
            values[k], values[k + 1] = _minimum(low, high), _maximum(low, high)
    return values[rank]


@implements("scipy.ndimage.median_filter")
def median_filter(input, size=None, footprint=None, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    """Return medians over a neighbourhood; see scipy.ndimage.median_filter."""
    return _ranked(input, lambda n: n // 2, size, footprint, output, mode, cval, origin, axes)


@implements("scipy.ndimage.rank_filter")
def rank_filter(input, rank, size=None, footprint=None, output=None, mode="reflect", cval=0.0, origin=0, *, axes=None):
    """Return elements of a rank over a neighbourhood; see scipy.ndimage.rank_filter."""
    rank = operator.index(static(rank, "rank"))
    return _ranked(input, lambda n: rank, size, footprint, output, mode, cval, origin, axes)


@implements("scipy.ndimage.percentile_filter")
def percentile_filter(input, percentile, size=None, footprint=None, output=None, mode="reflect", cval=0.0, origin=0, *,
                      axes=None):
    """Return percentiles over a neighbourhood; see scipy.ndimage.percentile_filter."""
    share = static(percentile, "percentile")
    share += 100.0 if share < 0.0 else 0
    if not 0 <= share <= 100:
        raise RuntimeError("invalid percentile")
    return _ranked(input, lambda n: n - 1 if share == 100.0 else int(float(n) * share / 100.0), size, footprint, output,
                   mode, cval, origin, axes)
