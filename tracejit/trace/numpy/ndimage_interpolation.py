"""scipy.ndimage: images between their pixels, by splines: shifted, zoomed, rotated, at any coordinates.

The formulas are SciPy's: coefficients of B-splines by recursive filters (Unser, "Splines: a perfect fit for signal and
image processing", IEEE Signal Processing Magazine 16, 1999), one pole after the other, and a sum over the splines that
reach a point.
"""

import itertools
import math

import numpy as np

from tracejit.symbolic.ir import const
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.types import BOOL, F64, I64
from tracejit.trace.numpy.common import axis_of, deliver, known, known_dtype, static
from tracejit.trace.numpy.ndimage import _sequence, _wide
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.signal import lfilter
from tracejit.trace.tracer import Tracer, as_tracer, wrap

_MODES = ("reflect", "grid-mirror", "constant", "grid-constant", "nearest", "mirror", "grid-wrap", "wrap")
#: Pixels that are added where a border has no filter of its own.
_PAD = 12

#: Poles of the filters, by order.
_POLES = {
    2: (math.sqrt(8) - 3,),
    3: (math.sqrt(3) - 2,),
    4: (math.sqrt(664 - math.sqrt(438976)) + math.sqrt(304) - 19,
        math.sqrt(664 + math.sqrt(438976)) - math.sqrt(304) - 19),
    5: (math.sqrt(67.5 - math.sqrt(4436.25)) + math.sqrt(26.25) - 6.5,
        math.sqrt(67.5 + math.sqrt(4436.25)) - math.sqrt(26.25) - 6.5),
}


def _mode(mode):
    if mode not in _MODES:
        raise RuntimeError("boundary mode not supported")
    return {"grid-mirror": "reflect"}.get(mode, mode)


def _delivered(result, output, default):
    """Return a result in a dtype, or in an array to write to, rounded and bounded as SciPy does it for integers."""
    target = as_tracer(output) if isinstance(output, (Tracer, np.ndarray)) else None
    dtype = target.dtype if target is not None else default if output is None else known_dtype(output)
    if dtype.kind != "c" and result.dtype.kind == "c":
        dtype = np.result_type(dtype, np.complex64)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        if dtype.kind == "i":
            result = np.where(result > 0, result + 0.5, result - 0.5)
        else:
            result = np.where(result > 0, result + 0.5, 0.0)
        result = np.clip(result, float(info.min), float(info.max))
    # C's conversion to an unsigned char, of which NumPy sees whether it is 0
    node = cast(result.node, I64) if dtype == BOOL else result.node
    result = wrap(cast(node, dtype))
    return result if target is None else deliver(result, target)


# ---------------------------------------------------------------- coefficients of splines
def _powers(z, count):
    return z ** np.arange(count, dtype=float)


def _first(c, z, mode):
    """Return the first value of the causal filter along the last axis: the sum over what lies before the border."""
    n = c.shape[-1]
    power = _powers(z, n)
    if mode == "grid-wrap":
        weights = np.concatenate([[1.0], power[:0:-1]]) / (1 - z**n)
    elif mode in ("nearest", "reflect"):
        weights = power + z**n * power[::-1]
        weights[-1] -= z ** (n - 1)
        weights[0] -= z ** (2 * n - 1)
        weights *= 1 + z ** (2 * n - 1)  # SciPy's last term counts what is summed up by then for the first value
        weights[-1] += z ** (n - 1)
        weights *= z / (1 - z ** (2 * n))
        weights[0] += 1
    else:  # mirrored about the middle of the first pixel
        weights = power.copy()
        weights[1:-1] += z ** (n - 1) * power[::-1][1:-1]
        weights[-1] = z ** (n - 1)
        weights = weights / (1 - z ** (2 * n - 2))
    return c @ wrap(const(weights))


def _last(c, z, mode):
    """Return the last value of the other filter, from what the causal one has given."""
    if mode == "grid-wrap":
        n = c.shape[-1]
        weights = np.append(_powers(z, n)[1:], 1.0)
        return (c @ wrap(const(weights))) * (z / (z**n - 1))
    if mode in ("nearest", "reflect"):
        return c[..., -1] * (z / (z - 1))
    return (z * c[..., -2] + c[..., -1]) * (z / (z * z - 1))


def _coefficients(x, order, axis, mode):
    """Return the spline's coefficients along one axis of a wide array."""
    if x.shape[axis] <= 1 or order < 2:
        return x
    c = np.moveaxis(x, axis, -1)
    c = c * math.prod((1 - z) * (1 - 1 / z) for z in _POLES[order])
    for z in _POLES[order]:
        start = _first(c, z, mode)[..., None]
        rest, _ = lfilter([1.0], [1.0, -z], c[..., 1:], zi=z * start)
        c = np.concatenate([start, rest], axis=-1)
        end = _last(c, z, mode)[..., None]
        rest, _ = lfilter([-z], [1.0, -z], c[..., -2::-1], zi=z * end)
        c = np.concatenate([rest[..., ::-1], end], axis=-1)
    return np.moveaxis(c, -1, axis)


@implements("scipy.ndimage.spline_filter1d")
def spline_filter1d(input, order=3, axis=-1, output=np.float64, mode="mirror"):
    """Return the coefficients of a spline through the values along an axis; see scipy.ndimage.spline_filter1d."""
    order = static(order, "order")
    if order < 0 or order > 5:
        raise RuntimeError("spline order not supported")
    x = as_tracer(input)
    return _delivered(_coefficients(_wide(x), order, axis_of(axis, x.ndim), _mode(mode)), output, F64)


@implements("scipy.ndimage.spline_filter")
def spline_filter(input, order=3, output=np.float64, mode="mirror"):
    """Return the coefficients of a spline through all values; see scipy.ndimage.spline_filter."""
    order = static(order, "order")
    if order < 2 or order > 5:
        raise RuntimeError("spline order not supported")
    x = as_tracer(input)
    return _delivered(_all_coefficients(_wide(x), order, _mode(mode), range(x.ndim)), output, F64)


def _all_coefficients(x, order, mode, axes):
    for axis in axes:
        x = _coefficients(x, order, axis, mode)
    return x


# ---------------------------------------------------------------- values between pixels
def _place(c, n, mode):
    """Return coordinates beyond the borders of n pixels as those inside that stand for them; -1 for none."""
    if mode == "constant":
        return np.where((c < 0) | (c > n - 1), -1.0, c)
    if mode in ("nearest", "grid-constant"):
        return c
    if mode == "grid-wrap":
        return np.where(c < 0, c + n * (np.trunc((-1 - c) / n) + 1), np.where(c > n - 1, c - n * np.trunc(c / n), c))
    if n <= 1:
        return np.where((c < 0) | (c > n - 1), 0.0, c)
    if mode == "wrap":
        m = n - 1
        return np.where(c < 0, c + m * (np.trunc(-c / m) + 1), np.where(c > m, c - m * np.trunc(c / m), c))
    m = 2 * n - 2 if mode == "mirror" else 2 * n
    if mode == "mirror":
        low = m * np.trunc(-c / m) + c
        low = np.where(low <= 1 - n, low + m, -low)
        high = c - m * np.trunc(c / m)
        high = np.where(high >= n, m - high, high)
    else:
        low = np.where(c < -m, m * np.trunc(-c / m) + c, c)
        low = np.where(low < -n, low + m, np.where(low > -1e-15, 1e-15, -low) - 1)
        high = c - m * np.trunc(c / m)
        high = np.where(high >= n, m - high - 1, high)
    return np.where(c < 0, low, np.where(c > n - 1, high, c))


def _pixel(i, n, mode):
    """Return indices of splines beyond the borders as those of the pixels that stand for them."""
    if mode in ("constant", "wrap"):
        mode = "mirror"
    return cast(np.clip(_place(wrap(cast(i.node, F64)), n, mode), 0, n - 1).node, I64)


def _splines(c, order):
    """Return the first pixel whose spline reaches a coordinate, and the weights of those from there."""
    if order & 1:
        first = np.floor(c)
    else:
        first = np.floor(c + 0.5)
    x = c - first
    start = wrap(cast(first.node, I64)) - order // 2
    y, z = x, 1 - x
    if order == 0:
        return start, [None]
    if order == 1:
        return start, [1 - x, x]
    if order == 2:
        w = [0.5 * (0.5 - x) ** 2, 0.75 - x * x]
    elif order == 3:
        w = [z * z * z / 6, (y * y * (y - 2) * 3 + 4) / 6, (z * z * (z - 2) * 3 + 4) / 6]
    elif order == 4:
        def side(y):
            return y * (y * (y * (5 - y) / 6 - 1.25) + 5 / 24) + 55 / 96
        t = x * x
        w = [(0.5 - x) ** 4 / 24, side(1 + x), t * (t * 0.25 - 0.625) + 115 / 192, side(1 - x)]
    else:
        def middle(y):
            t = y * y
            return t * (t * (0.25 - y / 12) - 0.5) + 0.55

        def side(y):
            return y * (y * (y * (y * (y / 24 - 0.375) + 1.25) - 1.75) + 0.625) + 0.425
        w = [z**5 / 120, side(y + 1), middle(y), middle(z), side(z + 1)]
    return start, [*w, 1 - sum(w[1:], w[0])]


def _values(x, coordinates, order, mode, cval, prefilter):
    """Return a wide array at coordinates, one array of a common shape for each of its last axes."""
    count = len(coordinates)
    axes = range(x.ndim - count, x.ndim)
    lead = x.shape[:x.ndim - count]
    pad = 0
    if prefilter and order > 1:
        if mode in ("nearest", "grid-constant"):
            pad = _PAD
            widths = [(0, 0)] * len(lead) + [(pad, pad)] * count
            x = np.pad(x, widths, "edge") if mode == "nearest" else np.pad(x, widths, constant_values=cval)
        x = _all_coefficients(x, order, mode, axes)
    sizes = x.shape[len(lead):]
    flat = x.reshape((*lead, math.prod(sizes)))
    outside, parts = None, []
    for c, n in zip(coordinates, sizes):
        c = _place(c + float(pad) if pad else c, n, mode)
        if mode == "constant":
            out = np.logical_not(c > -1.0)  # and NaN
            outside = out if outside is None else outside | out
        start, weights = _splines(c, order)
        parts.append([(wrap(_pixel(start + k, n, mode)), (start + k < 0) | (start + k >= n), w)
                      for k, w in enumerate(weights)])
    total = None
    for terms in itertools.product(*parts):
        index, beyond, weight = None, None, None
        for (pixel, out, w), n in zip(terms, sizes):
            index = pixel if index is None else index * n + pixel
            beyond = out if beyond is None else beyond | out
            weight = w if weight is None or w is None else weight * w
        term = np.take(flat, index, axis=-1, mode="clip")
        if mode == "grid-constant":
            term = np.where(beyond, cval, term)
        term = term if weight is None else term * weight
        total = term if total is None else total + term
    return total if outside is None else np.where(outside, cval, total)


def _checked(order, mode, x):
    order = static(order, "order")
    if order < 0 or order > 5:
        raise RuntimeError("spline order not supported")
    if x.ndim < 1:
        raise RuntimeError("input and output rank must be > 0")
    return order, _mode(mode)


def _cval(cval, x):
    return complex(static(cval, "cval")) if x.dtype.kind == "c" else float(static(cval, "cval"))


@implements("scipy.ndimage.map_coordinates")
def map_coordinates(input, coordinates, output=None, order=3, mode="constant", cval=0.0, prefilter=True):
    """Return an array at coordinates, by splines; see scipy.ndimage.map_coordinates."""
    x, places = as_tracer(input), as_tracer(coordinates)
    order, mode = _checked(order, mode, x)
    if places.dtype.kind == "c":
        raise TypeError("Complex type not supported")
    if places.ndim < 2 and not places.ndim or places.shape[0] != x.ndim:
        raise RuntimeError("invalid shape for coordinate array")
    places = _wide(places)
    result = _values(_wide(x), [places[k] for k in range(x.ndim)], order, mode, _cval(cval, x), prefilter)
    return _delivered(result, output, x.dtype)


def _shape(output_shape, output, default):
    if output_shape is not None:
        return tuple(int(n) for n in np.atleast_1d(static(output_shape, "output_shape")))
    return output.shape if isinstance(output, (Tracer, np.ndarray)) else default


def _grid(shape):
    """Return the places of a result's elements along each axis, as floats that broadcast."""
    return [wrap(const(np.arange(n, dtype=float).reshape([n if d == k else 1 for d in range(len(shape))])))
            for k, n in enumerate(shape)]


def _spread(coordinates, shape):
    return [np.broadcast_to(as_tracer(c), shape) for c in coordinates]


@implements("scipy.ndimage.affine_transform")
def affine_transform(input, matrix, offset=0.0, output_shape=None, output=None, order=3, mode="constant", cval=0.0,
                     prefilter=True):
    """Return an array at ``matrix @ place + offset`` for each place; see scipy.ndimage.affine_transform."""
    x, m = as_tracer(input), _wide(as_tracer(matrix))
    order, mode = _checked(order, mode, x)
    n = x.ndim
    shape = _shape(output_shape, output, x.shape)
    if m.ndim == 2 and m.shape[1] == n + 1 and m.shape[0] in (n, n + 1):
        if m.shape[0] == n + 1 and (last := known(m)) is not None and not np.array_equal(last[-1], [0] * n + [1]):
            raise ValueError(f"Expected homogeneous transformation matrix with shape {m.shape} for image shape "
                             f"{x.shape}, but bottom row was not equal to [0, 0, ..., 1]")
        offset, m = m[:n, n], m[:n, :n]
    if m.ndim not in (1, 2) or m.shape[0] != n:
        raise RuntimeError("affine matrix has wrong number of rows" if m.ndim in (1, 2) else
                           "no proper affine matrix provided")
    if m.ndim == 2 and m.shape[1] != n:
        raise RuntimeError("affine matrix has wrong number of columns")
    shifts = _wide(as_tracer(offset))
    shifts = np.broadcast_to(shifts, (n,)) if shifts.ndim == 0 else shifts
    if shifts.shape != (n,):
        raise RuntimeError("offset must have length equal to input rank")
    grid = _grid(shape)
    rows = [m[k] * grid[k] if m.ndim == 1 else sum((m[k, j] * grid[j] for j in range(1, n)), m[k, 0] * grid[0])
            for k in range(n)]
    places = _spread([rows[k] + shifts[k] for k in range(n)], shape)
    return _delivered(_values(_wide(x), places, order, mode, _cval(cval, x), prefilter), output, x.dtype)


@implements("scipy.ndimage.shift")
def shift(input, shift, output=None, order=3, mode="constant", cval=0.0, prefilter=True):
    """Return an array moved by so many pixels along each axis; see scipy.ndimage.shift."""
    x = as_tracer(input)
    order, mode = _checked(order, mode, x)
    by = _wide(as_tracer(shift))
    by = np.broadcast_to(by, (x.ndim,)) if by.ndim == 0 else by
    if by.shape != (x.ndim,):
        raise RuntimeError("sequence argument must have length equal to input rank")
    places = _spread([g - by[k] for k, g in enumerate(_grid(x.shape))], x.shape)
    return _delivered(_values(_wide(x), places, order, mode, _cval(cval, x), prefilter), output, x.dtype)


@implements("scipy.ndimage.zoom")
def zoom(input, zoom, output=None, order=3, mode="constant", cval=0.0, prefilter=True, *, grid_mode=False):
    """Return an array with so many times as many pixels along each axis; see scipy.ndimage.zoom."""
    x = as_tracer(input)
    order, mode = _checked(order, mode, x)
    factors = _sequence(static(zoom, "zoom") if not isinstance(zoom, (list, tuple)) else
                        [static(z, "zoom") for z in zoom], x.ndim)
    shape = tuple(round(n * z) for n, z in zip(x.shape, factors))
    if isinstance(output, (Tracer, np.ndarray)) and output.shape != shape:
        raise RuntimeError("output shape not correct")
    places = []
    for g, n, m in zip(_grid(shape), x.shape, shape):
        if grid_mode:
            places.append((g + 0.5) * (n / m if m else 1.0) - 0.5)
        else:
            places.append(g * ((n - 1) / (m - 1) if m != 1 else 1.0))
    result = _values(_wide(x), _spread(places, shape), order, mode, _cval(cval, x), prefilter)
    return _delivered(result, output, x.dtype)


def _cosine(degrees):
    """Return the cosine of an angle in degrees, exact where it is 0 or 1."""
    quarters, rest = divmod(degrees, 90)
    return (1.0, 0.0, -1.0, 0.0)[int(quarters) % 4] if rest == 0 else math.cos(math.radians(degrees % 360))


@implements("scipy.ndimage.rotate")
def rotate(input, angle, axes=(1, 0), reshape=True, output=None, order=3, mode="constant", cval=0.0, prefilter=True):
    """Return an array turned in the plane of two axes; see scipy.ndimage.rotate."""
    x = as_tracer(input)
    order, mode = _checked(order, mode, x)
    if x.ndim < 2:
        raise ValueError("input array should be at least 2D")
    axes = [int(a) for a in axes]
    if len(axes) != 2:
        raise ValueError("axes should contain exactly two values")
    axes = sorted(a + x.ndim if a < 0 else a for a in axes)
    if axes[0] < 0 or axes[1] >= x.ndim:
        raise ValueError("invalid rotation plane specified")
    sizes = [x.shape[a] for a in axes]
    degrees = static(angle, "angle") if reshape else known(angle)
    if degrees is None:
        turn = np.deg2rad(angle)
        c, s = np.cos(turn), np.sin(turn)
    else:
        c, s = _cosine(degrees), _cosine(degrees - 90)
    n, m = sizes
    if reshape:
        corners = np.array([[c, s], [-s, c]]) @ [[0, 0, n, n], [0, m, 0, m]]
        sizes = [int(extent) for extent in np.ptp(corners, axis=1) + 0.5]
    rows = [[c, s], [-s, c]]
    centre, middle = [(k - 1) / 2 for k in sizes], [(n - 1) / 2, (m - 1) / 2]
    grid = _grid(sizes)
    offsets = [middle[k] - (rows[k][0] * centre[0] + rows[k][1] * centre[1]) for k in range(2)]
    places = _spread([rows[k][0] * grid[0] + rows[k][1] * grid[1] + offsets[k] for k in range(2)], tuple(sizes))
    turned = _values(np.moveaxis(_wide(x), axes, (-2, -1)), places, order, mode, _cval(cval, x), prefilter)
    return _delivered(np.moveaxis(turned, (-2, -1), axes), output, x.dtype)
