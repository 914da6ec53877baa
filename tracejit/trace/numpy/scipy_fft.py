"""scipy.fft: the transforms of numpy.fft under SciPy's signatures, and cosine and sine transforms.

`workers`, `plan` and `overwrite_x` are taken and mean nothing.
"""

import operator

import numpy as np

from tracejit.symbolic.autodiff import transpose_nodes
from tracejit.symbolic.ir import const, new_variable
from tracejit.symbolic.ops import fft as ops
from tracejit.symbolic.ops.scalar import bitwise_and, cast, complex_, cos, equal, imag, multiply, real, select, sin
from tracejit.symbolic.ops.shape import broadcast, concatenate, full_like, iota, reshape, slice_, zeros
from tracejit.symbolic.types import F64, I64
from tracejit.trace.numpy import fft as plain
from tracejit.trace.numpy.common import axis_of, static
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer, wrap

#: Factors of at most this many elements are literals, others are computed.
_LITERAL = 1024


def _known_norm(norm):
    """Return NumPy's word; raises SciPy's error for any other."""
    norm = static(norm, "norm")
    if norm not in (None, "backward", "ortho", "forward"):
        raise ValueError(f'Invalid norm value {norm!r}, should be "backward", "ortho" or "forward"')
    return norm


def _positive(n):
    if n is not None and operator.index(static(n, "n")) < 1:
        raise ValueError(f"invalid number of data points ({n}) specified")
    return n


def _real(x):
    x = as_tracer(x)
    if x.dtype.kind == "c":
        raise TypeError("x must be a real sequence")
    return x


# ---------------------------------------------------------------- as in numpy.fft
@implements("scipy.fft.fft")
def fft(x, n=None, axis=-1, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the transform along an axis."""
    return plain.complex_line(x, _positive(n), axis, _known_norm(norm), single=True)


@implements("scipy.fft.ifft")
def ifft(x, n=None, axis=-1, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the inverse transform along an axis."""
    return plain.complex_line(x, _positive(n), axis, _known_norm(norm), inverse=True, single=True)


@implements("scipy.fft.rfft")
def rfft(x, n=None, axis=-1, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the first half of the transform of real numbers."""
    return plain.real_line(_real(x), _positive(n), axis, _known_norm(norm), single=True)


def _wide(x):
    """Return the array, half precision in single, as SciPy transforms it."""
    x = as_tracer(x)
    return x.astype(np.float32) if x.dtype == np.float16 else x


def _at_least_one(n):
    """Return a length, 1 for 0, as SciPy reads it where the result is real."""
    return 1 if static(n, "n") == 0 else n


@implements("scipy.fft.irfft")
def irfft(x, n=None, axis=-1, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the real numbers whose transform begins with these."""
    return plain.back_line(_wide(x), _at_least_one(n), axis, _known_norm(norm), single=True)


@implements("scipy.fft.hfft")
def hfft(x, n=None, axis=-1, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the real transform of numbers that are symmetric about 0."""
    norm = plain.swapped(_known_norm(norm))
    return plain.back_line(np.conjugate(_wide(x)), _at_least_one(n), axis, norm, single=True)


@implements("scipy.fft.ihfft")
def ihfft(x, n=None, axis=-1, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the first half of the inverse transform of real numbers."""
    norm = plain.swapped(_known_norm(norm))
    return np.conjugate(plain.real_line(_real(x), _positive(n), axis, norm, single=True))


def _sizes(x, s, axes):
    """Return (s, axes) as SciPy reads them: sizes without axes belong to the last ones; one number is a sequence."""
    s = None if s is None else (s,) if np.ndim(s) == 0 else tuple(s)
    axes = None if axes is None else (axes,) if np.ndim(axes) == 0 else tuple(axes)
    if s is not None and axes is None and len(s) > as_tracer(x).ndim:
        raise ValueError("shape requires more axes than are present")
    if s is not None and axes is not None and len(s) != len(axes):
        raise ValueError("when given, axes and shape arguments have to be of the same length")
    return s, axes


@implements("scipy.fft.fftn")
def fftn(x, s=None, axes=None, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the transform along several axes."""
    return plain.complex_lines(x, *_sizes(x, s, axes), norm, single=True)


@implements("scipy.fft.ifftn")
def ifftn(x, s=None, axes=None, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the inverse transform along several axes."""
    return plain.complex_lines(x, *_sizes(x, s, axes), norm, inverse=True, single=True)


@implements("scipy.fft.rfftn")
def rfftn(x, s=None, axes=None, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the transform of real numbers along several axes."""
    return plain.real_lines(_real(x), *_sizes(x, s, axes), norm, single=True)


@implements("scipy.fft.irfftn")
def irfftn(x, s=None, axes=None, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the real numbers whose transform along several axes is given."""
    return plain.back_lines(_wide(x), *_sizes(x, s, axes), norm, single=True)


@implements("scipy.fft.hfftn")
def hfftn(x, s=None, axes=None, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the real transform of symmetric numbers along several axes."""
    return plain.back_lines(np.conjugate(_wide(x)), *_sizes(x, s, axes), plain.swapped(norm), single=True)


@implements("scipy.fft.ihfftn")
def ihfftn(x, s=None, axes=None, norm=None, overwrite_x=False, workers=None, *, plan=None):
    """Return the inverse transform of real numbers along several axes."""
    return np.conjugate(plain.real_lines(_real(x), *_sizes(x, s, axes), plain.swapped(norm), single=True))


def _two(name, function):
    @implements(f"scipy.fft.{name}")
    def over_two(x, s=None, axes=(-2, -1), norm=None, overwrite_x=False, workers=None, *, plan=None):
        return function(x, s, axes, norm)
    over_two.__doc__ = f"{function.__doc__[:-1].replace('several', 'two')}."


for _name, _function in (("fft2", fftn), ("ifft2", ifftn), ("rfft2", rfftn), ("irfft2", irfftn), ("hfft2", hfftn),
                         ("ihfft2", ihfftn)):
    _two(_name, _function)


@implements("scipy.fft.fftfreq")
def fftfreq(n, d=1.0, *, xp=None, device=None):
    """Return the frequencies of a transform's elements."""
    return plain.fftfreq(n, d)


@implements("scipy.fft.rfftfreq")
def rfftfreq(n, d=1.0, *, xp=None, device=None):
    """Return the frequencies of the first half of a transform's elements."""
    return plain.rfftfreq(n, d)


@implements("scipy.fft.fftshift")
def fftshift(x, axes=None):
    """Return the array with the element of frequency 0 in the middle."""
    return plain.fftshift(x, axes)


@implements("scipy.fft.ifftshift")
def ifftshift(x, axes=None):
    """Return the array with the element of frequency 0 at the beginning."""
    return plain.ifftshift(x, axes)


# ---------------------------------------------------------------- along the last axis, of real numbers
def _row(values, kind):
    """Return a row of numbers, the same for all others, in a Type."""
    return broadcast(const(np.asarray(values, kind.dtype)), kind.shape, [len(kind.shape) - 1])


def _turned(x, angle, function):
    """Return x times a function, cosine or sine, of ``angle(k)`` for element k of the last axis."""
    n = x.shape[-1]
    if n <= _LITERAL:
        return x * _row({cos: np.cos, sin: np.sin}[function](angle(np.arange(n))), x.type)
    value = function(angle(iota(F64, (n,), 0)))
    return x * broadcast(cast(value, x.dtype), x.shape, [x.ndim - 1])


def _times_unit(re, im, angle):
    """Return the parts of complex numbers times exp(-i angle)."""
    out_re = _turned(re, angle, cos)
    out_im = -_turned(re, angle, sin)
    if im is None:
        return out_re, out_im
    return out_re + _turned(im, angle, sin), out_im + _turned(im, angle, cos)


def _part(x, start, step, size):
    """Return elements along the last axis."""
    return slice_(x, [0] * (x.ndim - 1) + [start], [1] * (x.ndim - 1) + [step], [*x.shape[:-1], size])


def _reversed(x):
    n = x.shape[-1]
    return _part(x, n - 1, -1, n) if n else x


def _joined(*parts):
    return concatenate([p for p in parts if p.shape[-1]], parts[0].ndim - 1)


def _alternating(x):
    """Return the node with every second element negated."""
    place = iota(I64, x.shape, x.ndim - 1)
    odd = bitwise_and(place, full_like(1, place))
    return select(equal(odd, zeros(odd.type)), x, -x)


def _cosine_2(x):
    """Makhoul 1980: from the transform of the even elements, rising, followed by the odd ones, falling."""
    n = x.shape[-1]
    odd = n // 2
    order = _joined(_part(x, 0, 2, n - odd), _part(x, 2 * odd - 1, -2, odd)) if odd else x
    half = ops.rfft(order, axis=x.ndim - 1, scaling="one")
    re, im = _times_unit(real(half), imag(half), lambda k: k * (np.pi / (2 * n)))
    rest = n - half.shape[-1]
    return _joined(re * 2, _part(im, rest, -1, rest) * -2 if rest else _part(im, 0, 1, 0))


def _cosine_3(x):
    """The transpose of the transform of type 2, the first element counted half."""
    z = _with_ends(x, 0.5, None)
    v = new_variable(x.type)
    found, = transpose_nodes([_cosine_2(v)], [z], [v])
    return found


def _with_ends(x, first, last):
    """Return the node with its first and last elements along the last axis multiplied."""
    n, place = x.shape[-1], iota(I64, x.shape, x.ndim - 1)
    for k, factor in ((0, first), (n - 1, last)):
        if factor is not None:
            x = select(equal(place, full_like(k, place)), x * factor, x)
    return x


def _cosine_1(x):
    n = x.shape[-1]
    if n < 2:
        raise RuntimeError("zero-length FFT requested")
    return real(ops.rfft(_joined(x, _part(x, n - 2, -1, n - 2)) if n > 2 else x, axis=x.ndim - 1, scaling="one"))


def _cosine_4(x):
    """Even sizes by a complex transform of half the size, odd ones by one of twice the size, filled with zeros."""
    n, axis = x.shape[-1], x.ndim - 1
    if n % 2:
        re, im = _times_unit(x, None, lambda k: k * (np.pi / (2 * n)))
        whole = plain.resized(complex_(re, im), axis, 2 * n)
        out = _part(ops.fft(whole, axis=axis, inverse=False, scaling="one"), 0, 1, n)
        return _times_unit(real(out), imag(out), lambda k: k * (np.pi / (2 * n)) + np.pi / (4 * n))[0] * 2
    h = n // 2
    even, odd = _part(x, 0, 2, h), _part(x, n - 1, -2, h)
    re, im = _times_unit(even, odd, lambda k: k * (np.pi / n) + np.pi / (4 * n))
    out = ops.fft(complex_(re, im), axis=axis, inverse=False, scaling="one")
    re, im = _times_unit(real(out), imag(out), lambda k: k * (np.pi / n))
    # elements 2k are the real parts, n - 1 - 2k the negated imaginary ones
    pair = [broadcast(p, (*p.shape, 1), range(p.ndim)) for p in (re * 2, _reversed(im) * -2)]
    return reshape(concatenate(pair, x.ndim), x.shape)


def _sine_1(x):
    n = x.shape[-1]
    zero = zeros(x.type.with_shape((*x.shape[:-1], 1)))
    out = ops.rfft(_joined(zero, x, zero, -_reversed(x)), axis=x.ndim - 1, scaling="one")
    return -_part(imag(out), 1, 1, n)


_COSINE = {1: _cosine_1, 2: _cosine_2, 3: _cosine_3, 4: _cosine_4}
_SINE = {
    1: _sine_1,
    2: lambda x: _reversed(_cosine_2(_alternating(x))),
    3: lambda x: _alternating(_cosine_3(_reversed(x))),
    4: lambda x: _alternating(_cosine_4(_reversed(x))),
}
_INVERSE = {1: 1, 2: 3, 3: 2, 4: 4}


def _transform(sine, x, kind, scale, orthogonal):
    """Return a transform of real numbers along the last axis, with SciPy's factors."""
    root = float(np.sqrt(2))
    if orthogonal and kind == 3:
        x = _with_ends(x, *((None, root) if sine else (root, None)))
    if orthogonal and kind == 1 and not sine:
        x = _with_ends(x, root, root)
    out = (_SINE if sine else _COSINE)[kind](x)
    if orthogonal and kind == 2:
        out = _with_ends(out, *((None, 1 / root) if sine else (1 / root, None)))
    if orthogonal and kind == 1 and not sine:
        out = _with_ends(out, 1 / root, 1 / root)
    return out if scale == 1 else multiply(out, full_like(scale, out))


def _along(sine, inverse, x, kind, n, axis, norm, orthogonalize):
    kind, norm = operator.index(static(kind, "type")), static(norm, "norm")
    if kind not in _INVERSE:
        raise ValueError(f"invalid {'DST' if sine else 'DCT'} type")
    _known_norm(norm)
    orthogonal = norm == "ortho" if orthogonalize is None else bool(static(orthogonalize, "orthogonalize"))
    node = plain.inexact(_wide(x))
    if node.ndim == 0:
        raise IndexError("tuple index out of range")
    axis = axis_of(axis, node.ndim)
    n = node.shape[axis] if n is None else operator.index(static(n, "n"))
    if n < 1:
        raise ValueError(f"invalid number of data points ({n}) specified")
    node = np.moveaxis(wrap(plain.resized(node, axis, n)), axis, -1).node
    length = {True: 2 * (n + 1), False: 2 * (n - 1)}[sine] if kind == 1 else 2 * n
    word = {None: "backward"}.get(norm, norm)
    scaled = word == "ortho" or (word == "backward") == inverse
    scale = 1.0 if not scaled or not length else 1 / np.sqrt(length) if word == "ortho" else 1 / length
    kind = _INVERSE[kind] if inverse else kind
    if node.type.kind == "c":
        parts = [_transform(sine, part(node), kind, float(scale), orthogonal) for part in (real, imag)]
        out = complex_(*parts)
    else:
        out = _transform(sine, node, kind, float(scale), orthogonal)
    return np.moveaxis(wrap(out), -1, axis)


def _over(sine, inverse, x, kind, s, axes, norm, orthogonalize):
    s, axes = _sizes(x, s, axes)
    sizes, axes = plain.sizes_and_axes(x, s, axes)
    out = as_tracer(x)
    for n, k in zip(sizes, axes):
        out = _along(sine, inverse, out, kind, n, k, norm, orthogonalize)
    return out


def _define(name, sine, inverse):
    what = f"{'inverse ' if inverse else ''}{'sine' if sine else 'cosine'} transform"

    @implements(f"scipy.fft.{name}")
    def along_one(x, type=2, n=None, axis=-1, norm=None, overwrite_x=False, workers=None, orthogonalize=None):
        return _along(sine, inverse, x, type, n, axis, norm, orthogonalize)

    @implements(f"scipy.fft.{name}n")
    def along_several(x, type=2, s=None, axes=None, norm=None, overwrite_x=False, workers=None, *, orthogonalize=None):
        return _over(sine, inverse, x, type, s, axes, norm, orthogonalize)

    along_one.__doc__ = f"Return the {what} of a type from 1 to 4 along an axis."
    along_several.__doc__ = f"Return the {what} of a type from 1 to 4 along several axes."


for _name, _sine, _inverse in (("dct", False, False), ("idct", False, True), ("dst", True, False),
                               ("idst", True, True)):
    _define(_name, _sine, _inverse)
