"""scipy.signal: convolutions, recursive filters, smoothing."""

import functools
import math
import operator

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ir import const
from tracejit.symbolic.ops.filters import lfilter as lfilter_op
from tracejit.symbolic.ops.filters import sosfilt as sosfilt_op
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.ops.shape import zeros
from tracejit.symbolic.types import F32, F64, Type
from tracejit.trace.numpy import ndimage
from tracejit.trace.numpy.common import axis_of, static, static_ints
from tracejit.trace.numpy.registry import IMPLEMENTED, implements
from tracejit.trace.tracer import as_tracer, wrap

#: Products per element of the result from which on a convolution may go through transforms.
_DIRECT = 200


def _zeros(shape, dtype):
    return wrap(zeros(Type(dtype, shape)))


def _modes(mode):
    if mode not in ("full", "same", "valid"):
        raise ValueError("acceptable mode flags are 'valid', 'same', or 'full'")
    return mode


def _must_swap(mode, first, second):
    """Return whether "valid" needs the arrays in the other order; one has to hold the other."""
    if mode != "valid" or not first:
        return False
    holds = all(a >= b for a, b in zip(first, second))
    held = all(b >= a for a, b in zip(first, second))
    if not holds and not held:
        raise ValueError("For 'valid' mode, one must be at least as large as the other in every dimension")
    return not holds


def _centred(x, shape, axes=None):
    """Return the middle part of an array."""
    return x[tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(x.shape, shape))]


# ---------------------------------------------------------------- convolutions
def _direct(x, kernel, mode):
    """Return the convolution as sums over windows."""
    if mode == "valid":
        widths = [(0, 0)] * x.ndim
    else:
        widths = [(k - 1, k - 1) for k in kernel.shape]
    padded = np.pad(x, widths) if any(w for w, _ in widths) else x
    flipped = kernel[(slice(None, None, -1),) * x.ndim]
    if x.ndim == 1:
        full = np.convolve(x, kernel, mode if mode == "valid" else "full")
    else:
        windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape)
        last = tuple(range(x.ndim))
        full = np.tensordot(windows, flipped, (tuple(a + x.ndim for a in last), last))
    return _centred(full, x.shape) if mode == "same" else full


def _fast_length(n):
    """Return the next length whose only prime factors are 2, 3 and 5."""
    while True:
        rest = n
        for p in (2, 3, 5):
            while rest % p == 0:
                rest //= p
        if rest == 1:
            return n
        n += 1


def _by_transforms(x, kernel, mode, axes):
    shape = [max(n, k) if n == 1 or k == 1 else n + k - 1 for n, k in zip(x.shape, kernel.shape)]
    axes = [a for a in axes if x.shape[a] != 1 and kernel.shape[a] != 1]
    sizes = [_fast_length(shape[a]) for a in axes]
    if not axes:
        full = x * kernel
    elif x.dtype.kind == "c" or kernel.dtype.kind == "c":
        full = np.fft.ifftn(np.fft.fftn(x, sizes, axes) * np.fft.fftn(kernel, sizes, axes), sizes, axes)
    else:
        full = np.fft.irfftn(np.fft.rfftn(x, sizes, axes) * np.fft.rfftn(kernel, sizes, axes), sizes, axes)
    full = full[tuple(slice(0, n) for n in shape)]
    if mode == "full":
        return full
    if mode == "same":
        return _centred(full, x.shape)
    return _centred(full, [n - k + 1 if a in axes else m for a, (n, k, m) in enumerate(zip(
        x.shape, kernel.shape, full.shape))])


def _many(x, kernel):
    """Return whether transforms take fewer operations."""
    full = math.prod(n + k - 1 for n, k in zip(x.shape, kernel.shape))
    smaller = min(math.prod(x.shape), math.prod(kernel.shape))
    return smaller > _DIRECT and smaller > 30 * math.log2(max(full, 2))


@implements("scipy.signal.convolve")
def convolve(in1, in2, mode="full", method="auto"):
    """Convolve two arrays, directly or by transforms, whichever is faster; see scipy.signal.convolve."""
    x, kernel = as_tracer(in1), as_tracer(in2)
    if x.ndim == kernel.ndim == 0:
        return x * kernel
    if x.ndim != kernel.ndim:
        raise ValueError("volume and kernel should have the same dimensionality")
    if method not in ("auto", "fft", "direct"):
        raise ValueError("Acceptable method flags are 'auto', 'direct', or 'fft'.")
    if _must_swap(_modes(mode), x.shape, kernel.shape):
        x, kernel = kernel, x
    dtype = np.result_type(x.dtype, kernel.dtype)
    if method == "fft" or method == "auto" and dtype.kind in "fc" and _many(x, kernel):
        return _transformed(x, kernel, mode, dtype)
    return _direct(x.astype(dtype), kernel.astype(dtype), mode)


def _transformed(x, kernel, mode, dtype):
    found = fftconvolve(x, kernel, mode)
    if dtype.kind in "iu":
        found = np.round(found)
    return found.astype(dtype)


def _reversed_conjugate(x):
    flipped = x[(slice(None, None, -1),) * x.ndim]
    return np.conj(flipped) if x.dtype.kind == "c" else flipped


@implements("scipy.signal.correlate")
def correlate(in1, in2, mode="full", method="auto"):
    """Correlate two arrays; see scipy.signal.correlate."""
    x, y = as_tracer(in1), as_tracer(in2)
    if x.ndim == y.ndim == 0:
        return x * (np.conj(y) if y.dtype.kind == "c" else y)
    if x.ndim != y.ndim:
        raise ValueError("in1 and in2 should have the same dimensionality")
    return convolve(x, _reversed_conjugate(y), mode, method)


@implements("scipy.signal.fftconvolve", "scipy.signal.oaconvolve")
def fftconvolve(in1, in2, mode="full", axes=None):
    """Convolve two arrays by transforms; see scipy.signal.fftconvolve."""
    x, kernel = as_tracer(in1), as_tracer(in2)
    if x.ndim == kernel.ndim == 0:
        return x * kernel
    if x.ndim != kernel.ndim:
        raise ValueError("in1 and in2 should have the same dimensionality")
    if x.size == 0 or kernel.size == 0:
        return _zeros((0,), F64)
    along = tuple(range(x.ndim)) if axes is None else tuple(axis_of(a, x.ndim) for a in static_ints(axes, "axes"))
    if _must_swap(_modes(mode), [x.shape[a] for a in along], [kernel.shape[a] for a in along]):
        x, kernel = kernel, x
    for a, (n, k) in enumerate(zip(x.shape, kernel.shape)):
        if a not in along and n != k and 1 not in (n, k):
            raise ValueError(f"incompatible shapes for in1 and in2: {x.shape} and {kernel.shape}")
    dtype = np.result_type(*(v.dtype if v.dtype.kind in "fc" else F64 for v in (x, kernel)))
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    return _by_transforms(x, kernel, mode, along)


#: SciPy's names of what lies beyond the borders → np.pad's.
_BOUNDARIES = {"fill": "constant", "pad": "constant", "wrap": "wrap", "circular": "wrap", "symm": "symmetric",
               "symmetric": "symmetric"}


def _two_dimensional(name, in1, in2, mode, boundary, fillvalue, conjugated):
    x, kernel = as_tracer(in1), as_tracer(in2)
    if not x.ndim == kernel.ndim == 2:
        raise ValueError(f"{name} inputs must both be 2-D arrays")
    _modes(mode)
    if boundary not in _BOUNDARIES:
        raise ValueError("Acceptable boundary flags are 'fill', 'circular' (or 'wrap'), and 'symmetric' (or 'symm').")
    swapped = _must_swap(mode, x.shape, kernel.shape)
    if swapped:
        x, kernel = kernel, x
    dtype = np.result_type(x.dtype, kernel.dtype)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    if conjugated:
        kernel = _reversed_conjugate(kernel)
    widths = [(0, 0) if mode == "valid" else (k - 1, k - 1) for k in kernel.shape]
    if mode == "valid":
        padded = x
    elif _BOUNDARIES[boundary] == "constant":
        padded = np.pad(x, widths, constant_values=np.asarray(static(fillvalue, "fillvalue")).astype(dtype)[()])
    else:
        padded = np.pad(x, widths, _BOUNDARIES[boundary])
    found = _direct(padded, kernel, "valid")
    if mode == "same":
        start = [(k - 1) // 2 if not conjugated else k // 2 for k in kernel.shape]
        found = found[tuple(slice(s, s + n) for s, n in zip(start, x.shape))]
    return _reversed_conjugate(found) if swapped and conjugated else found


@implements("scipy.signal.convolve2d")
def convolve2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    """Convolve two matrices; see scipy.signal.convolve2d."""
    return _two_dimensional("convolve2d", in1, in2, mode, boundary, fillvalue, False)


@implements("scipy.signal.correlate2d")
def correlate2d(in1, in2, mode="full", boundary="fill", fillvalue=0):
    """Correlate two matrices; see scipy.signal.correlate2d."""
    return _two_dimensional("correlate2d", in1, in2, mode, boundary, fillvalue, True)


# ---------------------------------------------------------------- recursive filters
def _rows(x, axis):
    """Return an array as rows along an axis, and the way back for rows of any length."""
    moved = np.moveaxis(x, axis, -1)
    lead = moved.shape[:-1]

    def back(rows):
        return np.moveaxis(rows.reshape((*lead, rows.shape[-1])), -1, axis)
    return moved.reshape((math.prod(lead), moved.shape[-1])), back


def _run(b, a, x, z):
    """Return the filtered rows and their states, for coefficients of one length with a[0] == 1."""
    u = np.concatenate([x, z], axis=-1)
    v = wrap(lfilter_op(b.node, a.node, u.node))
    n = x.shape[-1]
    return v[:, :n], v[:, n:]


@implements("scipy.signal.lfilter")
def lfilter(b, a, x, axis=-1, zi=None):
    """Filter along an axis by a rational transfer function; see scipy.signal.lfilter."""
    b, a, x = (np.atleast_1d(as_tracer(v)) if k < 2 else as_tracer(v) for k, v in enumerate((b, a, x)))
    if b.ndim != 1 or b.size == 0 or a.ndim != 1 or a.size == 0:
        raise ValueError("Parameters b and a must be non-empty 1d arrays!")
    axis = axis_of(axis, x.ndim)
    dtype = np.result_type(b.dtype, a.dtype, x.dtype, *(() if zi is None else (as_tracer(zi).dtype,)))
    if dtype.kind not in "fc":
        dtype = F64
    elif dtype.itemsize < 4:
        raise NotImplementedError(f"input type '{dtype}' not supported")
    b, a, x = (wrap(cast(v.node, dtype)) for v in (b, a, x))
    b, a = b / a[0], a / a[0]
    order = max(b.size, a.size) - 1
    if order == 0:
        return b[0] * x if zi is None else (b[0] * x, as_tracer(zi))
    b, a = (np.concatenate([v, _zeros((order + 1 - v.size,), dtype)]) if v.size <= order else v for v in (b, a))
    rows, back = _rows(x, axis)
    if zi is None:
        state = _zeros((rows.shape[0], order), dtype)
    else:
        shape = [order if d == axis else n for d, n in enumerate(x.shape)]
        given = as_tracer(zi)
        if given.ndim != x.ndim or any(n not in (1, m) for n, m in zip(given.shape, shape)):
            raise ValueError(f"Unexpected shape for zi: expected {tuple(shape)}, found {given.shape}.")
        state = _rows(np.broadcast_to(wrap(cast(given.node, dtype)), shape), axis)[0]
    y, after = _run(b, a, rows, state)
    return back(y) if zi is None else (back(y), back(after))


@implements("scipy.signal.sosfilt")
def sosfilt(sos, x, axis=-1, zi=None):
    """Filter along an axis by a cascade of sections of second order; see scipy.signal.sosfilt."""
    sos, x = np.atleast_2d(as_tracer(sos)), as_tracer(x)
    if x.ndim == 0:
        raise ValueError("x must be at least 1-D")
    if sos.ndim != 2:
        raise ValueError("sos array must be 2D")
    if sos.shape[1] != 6:
        raise ValueError("sos array must be shape (n_sections, 6)")
    axis = axis_of(axis, x.ndim)
    dtype = np.result_type(sos.dtype, x.dtype, *(() if zi is None else (as_tracer(zi).dtype,)))
    if dtype.kind not in "fc" or dtype.itemsize < 4:
        raise NotImplementedError(f"input type '{dtype}' not supported")
    sos, x = sos.astype(dtype), x.astype(dtype)
    sections = sos.shape[0]
    rows, back = _rows(x, axis)
    if zi is None:
        states = [_zeros((rows.shape[0], 2 * sections), dtype)]
    else:
        given = as_tracer(zi).astype(dtype)
        shape = (sections, *(2 if d == axis else n for d, n in enumerate(x.shape)))
        if given.shape != shape:
            raise ValueError(f"Invalid zi shape. With axis={axis!r}, an input with shape {x.shape!r}, and an sos array "
                             f"with {sections} sections, zi must have shape {shape!r}, got {given.shape!r}.")
        states = [_rows(given[k], axis)[0] for k in range(sections)]
    n = rows.shape[1]
    v = wrap(sosfilt_op(sos.node, np.concatenate([rows, *states], axis=-1).node))
    if zi is None:
        return back(v[:, :n])
    return back(v[:, :n]), np.stack([back(v[:, n + 2 * k:n + 2 * k + 2]) for k in range(sections)])


def _settled(b, a):
    """Return the state in which a filter's answer to ones is constant; a[0] is 1."""
    inflow = b[1:] - a[1:] * b[0]
    first = np.sum(inflow) / np.sum(a)
    return np.cumsum(a)[:-1] * first - np.concatenate([_zeros((1,), inflow.dtype), np.cumsum(inflow)[:-1]])


@implements("scipy.signal.lfilter_zi")
def lfilter_zi(b, a):
    """Return the state of a filter that has come to rest on ones; see scipy.signal.lfilter_zi."""
    b, a = (np.atleast_1d(as_tracer(v)) for v in (b, a))
    if b.ndim != 1:
        raise ValueError("Numerator b must be 1-D.")
    if a.ndim != 1:
        raise ValueError("Denominator a must be 1-D.")
    dtype = np.result_type(b.dtype, a.dtype, *(() if "c" in a.dtype.kind + b.dtype.kind else (F32,)))
    b, a = b.astype(dtype) / a[0], a.astype(dtype) / a[0]
    n = max(b.size, a.size)
    b, a = (np.concatenate([v, _zeros((n - v.size,), dtype)]) if v.size < n else v for v in (b, a))
    return _settled(b, a)


@implements("scipy.signal.sosfilt_zi")
def sosfilt_zi(sos):
    """Return the states of sections that have come to rest on ones; see scipy.signal.sosfilt_zi."""
    sos = as_tracer(sos)
    if sos.ndim != 2 or sos.shape[1] != 6:
        raise ValueError("sos must be shape (n_sections, 6)")
    sos = sos if sos.dtype.kind in "fc" else sos.astype(F64)
    states, scale = [], 1.0
    for k in range(sos.shape[0]):
        b, a = sos[k, :3], sos[k, 3:]
        states.append(scale * lfilter_zi(b, a))
        scale = scale * (np.sum(b) / np.sum(a))
    return np.stack(states)


def _extended(x, padtype, padlen, axis, taps):
    """Return (length added at each end, the signal along its last axis with its ends continued)."""
    if padtype not in ("even", "odd", "constant", None):
        raise ValueError(f"Unknown value '{padtype}' given to padtype. padtype must be 'even', 'odd', 'constant', or "
                         "None.")
    edge = 0 if padtype is None else taps * 3 if padlen is None else operator.index(static(padlen, "padlen"))
    if x.shape[axis] <= edge:
        raise ValueError(f"The length of the input vector x must be greater than padlen, which is {edge}.")
    x = np.moveaxis(x, axis, -1)
    if edge == 0:
        return 0, x
    first, last = x[..., :1], x[..., -1:]
    before, behind = x[..., edge:0:-1], x[..., -2:-(edge + 2):-1]
    if padtype == "odd":
        before, behind = 2 * first - before, 2 * last - behind
    elif padtype == "constant":
        before, behind = (np.broadcast_to(v, before.shape) for v in (first, last))
    return edge, np.concatenate([before, x, behind], axis=-1)


def _both_ways(run, x, edge, axis):
    """Return a signal filtered forward and backward, without its continued ends."""
    y = run(x, x[..., :1])
    y = run(y[..., ::-1], y[..., -1:])[..., ::-1]
    y = y[..., edge:y.shape[-1] - edge] if edge else y
    return np.moveaxis(y, -1, axis)


@implements("scipy.signal.filtfilt", without=("method='gust'",))
def filtfilt(b, a, x, axis=-1, padtype="odd", padlen=None, method="pad", irlen=None):
    """Filter forward and backward (Gustafsson 1996), without a shift of phase; see scipy.signal.filtfilt."""
    if method not in ("pad", "gust"):
        raise ValueError("method must be 'pad' or 'gust'.")
    if method == "gust":
        raise UnsupportedError("scipy.signal.filtfilt with method='gust'", where=user_frame(), do="leave method= out")
    b, a, x = np.atleast_1d(as_tracer(b)), np.atleast_1d(as_tracer(a)), as_tracer(x)
    axis = axis_of(axis, x.ndim)
    edge, x = _extended(x, padtype, padlen, axis, max(a.size, b.size))
    if max(a.size, b.size) == 1:
        raise ValueError("The length of `a` along the last axis must be at least 2.")
    state = lfilter_zi(b, a)
    return _both_ways(lambda u, at: lfilter(b, a, u, zi=state * at)[0], x, edge, axis)


@implements("scipy.signal.sosfiltfilt")
def sosfiltfilt(sos, x, axis=-1, padtype="odd", padlen=None):
    """Filter forward and backward by sections of second order; see scipy.signal.sosfiltfilt."""
    sos, x = np.atleast_2d(as_tracer(sos)), as_tracer(x)
    if sos.ndim != 2 or sos.shape[1] != 6:
        raise ValueError("sos array must be shape (n_sections, 6)")
    axis = axis_of(axis, x.ndim)
    spared = 0 if padlen is not None or padtype is None else min(
        operator.index(static(np.sum(sos[:, k] == 0), "the order of the sections")) for k in (2, 5))
    edge, x = _extended(x, padtype, padlen, axis, 2 * sos.shape[0] + 1 - spared)
    states = sosfilt_zi(sos).reshape((sos.shape[0], *[1] * (x.ndim - 1), 2))
    return _both_ways(lambda u, at: sosfilt(sos, u, zi=np.broadcast_to(
        states * at, (sos.shape[0], *u.shape[:-1], 2)))[0], x, edge, axis)


# ---------------------------------------------------------------- smoothing
@implements("scipy.signal.medfilt")
def medfilt(volume, kernel_size=None):
    """Return medians over a box, with zeros beyond the borders; see scipy.signal.medfilt."""
    x = np.atleast_1d(as_tracer(volume))
    if x.dtype.kind not in "iu" and x.dtype not in (F32, F64):
        raise ValueError(f"dtype={x.dtype} is not supported by medfilt")
    sizes = (3,) * x.ndim if kernel_size is None else static_ints(kernel_size, "kernel_size")
    sizes = sizes * x.ndim if len(sizes) == 1 else sizes
    if any(n % 2 != 1 for n in sizes[:x.ndim]):
        raise ValueError("Each element of kernel_size should be odd.")
    return ndimage.rank_filter(x, math.prod(sizes) // 2, size=sizes, mode="constant")


@functools.cache
def _savgol_weights(window, order, deriv, delta):
    from scipy import signal  # whoever calls the function has imported it

    return signal.savgol_coeffs(window, order, deriv=deriv, delta=delta)


def _edge_map(window, order, deriv, delta, places):
    """Return the matrix from a window's values to the values, or derivatives, of its fitted polynomial at places."""
    powers = np.vander(np.arange(window, dtype=float), order + 1, increasing=True)
    fit = np.linalg.pinv(powers)
    rows = np.zeros((len(places), order + 1))
    for k in range(deriv, order + 1):
        rows[:, k] = math.perm(k, deriv) * np.asarray(places, float) ** (k - deriv)
    return rows @ fit / delta**deriv


@implements("scipy.signal.savgol_filter")
def savgol_filter(x, window_length, polyorder, deriv=0, delta=1.0, axis=-1, mode="interp", cval=0.0):
    """Smooth by polynomials fitted to windows (Savitzky and Golay 1964); see scipy.signal.savgol_filter."""
    if mode not in ("mirror", "constant", "nearest", "interp", "wrap"):
        raise ValueError("mode must be 'mirror', 'constant', 'nearest' 'wrap' or 'interp'.")
    window, order, deriv = (operator.index(static(v, "the window")) for v in (window_length, polyorder, deriv))
    delta = float(static(delta, "delta"))
    x = as_tracer(x)
    x = x if x.dtype in (F32, F64) else x.astype(F64)
    axis = axis_of(axis, x.ndim)
    weights = ndimage._Known(_savgol_weights(window, order, deriv, delta))
    if mode != "interp":
        return ndimage.convolve1d(x, weights, axis, mode=mode, cval=cval)
    n = x.shape[axis]
    if window > n:
        raise ValueError("If mode is 'interp', window_length must be less than or equal to the size of x.")
    rows, back = _rows(ndimage.convolve1d(x, weights, axis, mode="constant"), axis)
    given, _ = _rows(x, axis)
    half = window // 2
    if half == 0:
        return back(rows)
    left = wrap(const(_edge_map(window, order, deriv, delta, range(half)).astype(x.dtype)))
    right = wrap(const(_edge_map(window, order, deriv, delta, range(window - half, window)).astype(x.dtype)))
    ends = given[:, :window] @ left.T, given[:, n - window:] @ right.T
    return back(np.concatenate([ends[0], rows[:, half:n - half], ends[1]], axis=-1))


@implements("scipy.signal.detrend")
def detrend(data, axis=-1, type="linear", bp=0, overwrite_data=False):
    """Take away a mean or straight lines along an axis; see scipy.signal.detrend."""
    if type not in ("linear", "l", "constant", "c"):
        raise ValueError("Trend type must be 'linear' or 'constant'.")
    x = as_tracer(data)
    dtype = x.dtype if x.dtype.char in "dfDF" else F64
    if type in ("constant", "c"):
        return x - np.mean(x, axis, keepdims=True)
    axis = axis_of(axis, x.ndim)
    n = x.shape[axis]
    breaks = sorted({0, n, *static_ints(bp, "bp")})
    if breaks[-1] > n:
        raise ValueError("Breakpoints must be less than length of data along given axis.")
    rows, back = _rows(x.astype(dtype), axis)
    parts = []
    for start, end in zip(breaks, breaks[1:]):
        count = end - start
        line = np.column_stack([np.arange(1, count + 1) / count, np.ones(count)])
        fit = wrap(const(np.linalg.pinv(line).astype(dtype)))  # to a slope and a height
        part = rows[:, start:end]
        parts.append(part - (part @ fit.T) @ wrap(const(line.T.astype(dtype))))
    return back(np.concatenate(parts, axis=-1))


@implements("scipy.signal.hilbert")
def hilbert(x, N=None, axis=-1):
    """Return the analytic signal; see scipy.signal.hilbert."""
    x = as_tracer(x)
    if x.dtype.kind == "c":
        raise ValueError("x must be real.")
    if np.fft.fft not in IMPLEMENTED:
        raise UnsupportedError("scipy.signal.hilbert of a traced array", where=user_frame(),
                               do="call it outside the jitted function")
    axis = axis_of(axis, x.ndim)
    n = x.shape[axis] if N is None else operator.index(static(N, "N"))
    if n <= 0:
        raise ValueError("N must be positive.")
    weights = np.zeros(n)
    weights[0] = 1
    weights[1:(n + 1) // 2] = 2
    if n % 2 == 0:
        weights[n // 2] = 1
    shape = [n if d == axis else 1 for d in range(x.ndim)]
    found = np.fft.fft(x, n, axis)
    factor = wrap(const(weights.reshape(shape).astype(np.float32 if found.dtype == np.complex64 else float)))
    return np.fft.ifft(found * factor, axis=axis)
