"""numpy.fft: discrete Fourier transforms, their frequencies and shifts."""

import operator

import numpy as np

from tracejit.symbolic.ops import fft as ops
from tracejit.symbolic.ops.scalar import cast, conjugate
from tracejit.symbolic.ops.shape import concatenate, embed, slice_
from tracejit.symbolic.types import C64, C128, F32, F64
from tracejit.trace.numpy.common import axis_of, deliver, fresh, static, static_ints
from tracejit.trace.numpy.creation import arange
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer, wrap

_SCALINGS = {None: ("one", "mean"), "backward": ("one", "mean"), "forward": ("mean", "one"), "ortho": ("root", "root")}


def scaling_of(norm, forward):
    """Return the scaling of a transform under NumPy's word `norm`."""
    norm = static(norm, "norm")
    if norm not in _SCALINGS:
        gap = "" if forward else " "  # as NumPy has it
        raise ValueError(f'Invalid norm value {norm}; should be "backward",{gap}"ortho" or "forward".')
    return _SCALINGS[norm][0 if forward else 1]


def inexact(x):
    """Return the node of an array in the precision of its transform: single for what is no wider, else double."""
    node = as_tracer(x).node
    if node.type.kind == "c":
        return node
    return node if node.dtype in (F32, F64) else cast(node, F32 if node.dtype == np.float16 else F64)


def resized(node, axis, n):
    """Return the node cut off, or filled up with zeros, to n elements along an axis."""
    have = node.shape[axis]
    if have is n or have == n:
        return node
    shape = (*node.shape[:axis], n, *node.shape[axis + 1:])
    start, step = [0] * node.ndim, [1] * node.ndim
    return slice_(node, start, step, shape) if n < have else embed(node, start, step, shape)


def _length(n, axis, node):
    if n is None:
        return node.shape[axis]
    n = operator.index(static(n, "n"))
    if n < 1:
        raise ValueError(f"Invalid number of FFT data points ({n}) specified.")
    return n


def _axis(axis, node, n=None):
    axis = operator.index(static(axis, "axis"))
    if not -node.ndim <= axis < node.ndim and (n is None or node.ndim == 0):
        raise IndexError("tuple index out of range")
    return axis_of(axis, node.ndim)


def _checked(node, axis):
    if type(node.shape[axis]) is int and node.shape[axis] < 1:
        raise ValueError(f"Invalid number of FFT data points ({node.shape[axis]}) specified.")
    return node


def mirrored(half, axis, n):
    """Return the whole transform of real numbers, of which the first ``n // 2 + 1`` elements are given."""
    rest = n - half.shape[axis]
    if rest == 0:
        return half
    start, step, sizes = [0] * half.ndim, [1] * half.ndim, list(half.shape)
    start[axis], step[axis], sizes[axis] = rest, -1, rest
    return concatenate([half, conjugate(slice_(half, start, step, sizes))], axis)


def transform(node, axis, inverse, scaling):
    """Return the transform of real or complex numbers; that of real ones takes half the work."""
    if node.type.kind == "c":
        return ops.fft(node, axis=axis, inverse=inverse, scaling=scaling)
    out = mirrored(ops.rfft(node, axis=axis, scaling=scaling), axis, node.shape[axis])
    return conjugate(out) if inverse else out


def _in_numpys_precision(node, scaling, single, make):
    """Return the Tracer of a transform, of which NumPy does those without a factor in double precision."""
    if single or scaling != "one" or node.dtype not in (F32, C64):
        return wrap(make(node))
    out = make(cast(node, C128 if node.type.kind == "c" else F64))
    return wrap(cast(out, C64 if out.type.kind == "c" else F32))


def complex_line(a, n, axis, norm, inverse=False, single=False):
    """Return the transform along one axis; `single` keeps single precision throughout, as SciPy does."""
    node = inexact(a)
    axis = _axis(axis, node, n)
    node = _checked(resized(node, axis, _length(n, axis, node)), axis)
    scaling = scaling_of(norm, not inverse)
    made = _in_numpys_precision(node, scaling, single, lambda x: transform(x, axis, inverse, scaling))
    return fresh(made.node, "K", as_tracer(a))


def real_line(a, n, axis, norm, single=False):
    """Return the first half of the transform of real numbers along one axis."""
    node = inexact(a)
    if node.type.kind == "c":
        count = n if n is not None else node.shape[_axis(axis, node)]
        parity = "odd" if count % 2 else "even"
        raise TypeError(f"ufunc 'rfft_n_{parity}' not supported for the input types, and the inputs could not be "
                        "safely coerced to any supported types according to the casting rule ''safe''")
    axis = _axis(axis, node, n)
    node = _checked(resized(node, axis, _length(n, axis, node)), axis)
    scaling = scaling_of(norm, True)
    made = _in_numpys_precision(node, scaling, single, lambda x: ops.rfft(x, axis=axis, scaling=scaling))
    return fresh(made.node, "K", as_tracer(a))


def back_line(a, n, axis, norm, single=False):
    """Return the real numbers whose transform along one axis begins with these."""
    node = ops.as_complex(inexact(a))
    axis = _axis(axis, node, n)
    n = (node.shape[axis] - 1) * 2 if n is None else operator.index(static(n, "n"))
    if n < 1:
        raise ValueError(f"Invalid number of FFT data points ({n}) specified.")
    node, scaling = resized(node, axis, n // 2 + 1), scaling_of(norm, False)
    made = _in_numpys_precision(node, scaling, single, lambda x: ops.irfft(x, axis=axis, n=n, scaling=scaling))
    result = fresh(made.node, "K", as_tracer(a))
    return result.astype(np.float16) if as_tracer(a).dtype == np.float16 else result


def _into(result, out):
    if out is not None and as_tracer(out).shape != result.shape:
        raise ValueError("output array has wrong shape.")
    return deliver(result, out, "same_kind")


# ---------------------------------------------------------------- one axis
@implements(np.fft.fft)
def fft(a, n=None, axis=-1, norm=None, out=None):
    """Return the transform along an axis, of n elements (cut off, or filled up with zeros)."""
    return _into(complex_line(a, n, axis, norm), out)


@implements(np.fft.ifft)
def ifft(a, n=None, axis=-1, norm=None, out=None):
    """Return the inverse transform along an axis."""
    return _into(complex_line(a, n, axis, norm, inverse=True), out)


@implements(np.fft.rfft)
def rfft(a, n=None, axis=-1, norm=None, out=None):
    """Return the first half of the transform of real numbers along an axis."""
    return _into(real_line(a, n, axis, norm), out)


@implements(np.fft.irfft)
def irfft(a, n=None, axis=-1, norm=None, out=None):
    """Return the n real numbers whose transform begins with these; n is even where it is not given."""
    return _into(back_line(a, n, axis, norm), out)


_SWAPPED = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


def swapped(norm):
    """Return NumPy's word for the scaling of the transform that goes the other way."""
    norm = static(norm, "norm")
    if norm not in _SWAPPED:
        raise ValueError(f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".')
    return _SWAPPED[norm]


@implements(np.fft.hfft)
def hfft(a, n=None, axis=-1, norm=None, out=None):
    """Return the real transform of numbers that are symmetric about 0, of which the first half is given.

    NumPy leaves `out` as it is.
    """
    a = as_tracer(a)
    n = (a.shape[axis] - 1) * 2 if n is None else n
    return irfft(np.conjugate(a), n, axis, swapped(norm))


@implements(np.fft.ihfft)
def ihfft(a, n=None, axis=-1, norm=None, out=None):
    """Return the first half of the inverse transform of real numbers."""
    return _into(np.conjugate(rfft(a, n, axis, swapped(norm))), out)


# ---------------------------------------------------------------- several axes
def sizes_and_axes(a, s, axes, real=False):
    """Return (sizes, axes) as NumPy reads them; `real` counts the last size in real numbers."""
    a = as_tracer(a)
    given = s is not None
    if axes is not None:
        axes = static_ints(axes, "axes")
        wrong = [k for k in axes if not -a.ndim <= k < a.ndim]
        if wrong:
            raise IndexError(f"index {wrong[0]} is out of bounds for axis 0 with size {a.ndim}")
    if not given:
        s = list(a.shape) if axes is None else [a.shape[k] for k in axes]
    else:
        s = [-1 if n is None else operator.index(static(n, "s")) for n in s]
    axes = list(range(-len(s), 0)) if axes is None else list(axes)
    if len(s) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    if real and not given:
        s[-1] = (a.shape[axes[-1]] - 1) * 2
    return [a.shape[k] if n == -1 else n for n, k in zip(s, axes)], axes


def complex_lines(a, s, axes, norm, inverse=False, single=False):
    """Return the transform along several axes."""
    s, axes = sizes_and_axes(a, s, axes)
    out = as_tracer(a)
    if not axes:
        return out.copy()
    for n, k in reversed(list(zip(s, axes))):
        out = complex_line(out, n, k, norm, inverse, single)
    return out


def real_lines(a, s, axes, norm, single=False):
    """Return the transform of real numbers along several axes, of the last of which it keeps the first half."""
    s, axes = sizes_and_axes(a, s, axes)
    out = real_line(a, s[-1], axes[-1], norm, single)
    for n, k in reversed(list(zip(s[:-1], axes[:-1]))):
        out = complex_line(out, n, k, norm, False, single)
    return out


def back_lines(a, s, axes, norm, single=False):
    """Return the real numbers whose transform along several axes is given."""
    s, axes = sizes_and_axes(a, s, axes, real=True)
    out = as_tracer(a)
    for n, k in zip(s[:-1], axes[:-1]):
        out = complex_line(out, n, k, norm, True, single)
    return back_line(out, s[-1], axes[-1], norm, single)


@implements(np.fft.fftn)
def fftn(a, s=None, axes=None, norm=None, out=None):
    """Return the transform along several axes."""
    return _into(complex_lines(a, s, axes, norm), out)


@implements(np.fft.ifftn)
def ifftn(a, s=None, axes=None, norm=None, out=None):
    """Return the inverse transform along several axes."""
    return _into(complex_lines(a, s, axes, norm, inverse=True), out)


@implements(np.fft.fft2)
def fft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """Return the transform along two axes."""
    return fftn(a, s, axes, norm, out)


@implements(np.fft.ifft2)
def ifft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """Return the inverse transform along two axes."""
    return ifftn(a, s, axes, norm, out)


@implements(np.fft.rfftn)
def rfftn(a, s=None, axes=None, norm=None, out=None):
    """Return the transform of real numbers along several axes, of the last of which it keeps the first half."""
    return _into(real_lines(a, s, axes, norm), out)


@implements(np.fft.rfft2)
def rfft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """Return the transform of real numbers along two axes."""
    return rfftn(a, s, axes, norm, out)


@implements(np.fft.irfftn)
def irfftn(a, s=None, axes=None, norm=None, out=None):
    """Return the real numbers whose transform along several axes is given."""
    return _into(back_lines(a, s, axes, norm), out)


@implements(np.fft.irfft2)
def irfft2(a, s=None, axes=(-2, -1), norm=None, out=None):
    """Return the real numbers whose transform along two axes is given."""
    return irfftn(a, s, axes, norm, out)


# ---------------------------------------------------------------- frequencies and shifts
def _count(n):
    n = static(n, "n")
    if not isinstance(n, (int, np.integer)):
        raise ValueError("n should be an integer")
    return n


def _device(device):
    if device not in (None, "cpu"):
        raise ValueError(f'Device not understood. Only "cpu" is allowed, but received: {device}')


@implements(np.fft.fftfreq)
def fftfreq(n, d=1.0, device=None):
    """Return the frequencies of a transform's elements, in cycles per unit of the spacing d."""
    n = _count(n)
    _device(device)
    half = (n - 1) // 2 + 1
    return np.concatenate((arange(half), arange(-(n // 2), 0))) * as_tracer(1.0 / (n * d))


@implements(np.fft.rfftfreq)
def rfftfreq(n, d=1.0, device=None):
    """Return the frequencies of the first half of a transform's elements."""
    n = _count(n)
    _device(device)
    return arange(n // 2 + 1) * as_tracer(1.0 / (n * d))


def _shifted(x, axes, places):
    x = as_tracer(x)
    axes = tuple(range(x.ndim)) if axes is None else static_ints(axes, "axes")
    if not axes:
        raise ValueError("not enough values to unpack (expected 2, got 0)")
    return np.roll(x, tuple(places(x.shape[k]) for k in axes), axes)


@implements(np.fft.fftshift)
def fftshift(x, axes=None):
    """Return the array with the element of frequency 0 in the middle."""
    return _shifted(x, axes, lambda n: n // 2)


@implements(np.fft.ifftshift)
def ifftshift(x, axes=None):
    """Return the array with the element of frequency 0 at the beginning."""
    return _shifted(x, axes, lambda n: -(n // 2))
