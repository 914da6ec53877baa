"""Discrete Fourier transforms along one axis.

Each is linear, and its transpose is another of them. `scaling` says what the sums are multiplied by: "one" leaves them,
"mean" divides by the length n, "root" by its square root.
"""

import math

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.ir import Node, define
from tracejit.symbolic.ops.scalar import bitwise_or, cast, conjugate, equal, select
from tracejit.symbolic.ops.shape import full_like, iota
from tracejit.symbolic.types import COMPLEX_OF, DTYPES, I64, REAL_OF

SCALINGS = ("one", "mean", "root")


def scale_of(scaling, n):
    """Return the factor of a scaling for a transform of length n."""
    return {"one": 1.0, "mean": 1.0 / n, "root": 1.0 / math.sqrt(n)}[scaling]


def _check(what, x, kinds, axis, scaling, n=None):
    n = x.shape[axis] if n is None and 0 <= axis < x.ndim else n
    if x.dtype not in kinds or not 0 <= axis < x.ndim or scaling not in SCALINGS or (type(n) is int and n < 1):
        raise TypeRuleError(f"{what} of {x} along axis {axis}, scaling {scaling}")


def _resized(x, axis, n):
    return x.with_shape((*x.shape[:axis], n, *x.shape[axis + 1:]))


def _further(node, args, batched):
    attrs = dict(zip(node.op.attrs, node.attrs))
    return node.op(args[0], **{**attrs, "axis": attrs["axis"] + 1})


def _scaled(values, scaling, n, dtype):
    return (values * scale_of(scaling, n)).astype(dtype)


# ---------------------------------------------------------------- complex numbers
def _fft_type(x, axis, inverse, scaling):
    _check("fft", x, REAL_OF, axis, scaling)
    return x


def _fft_ref(x, axis, inverse, scaling):
    out = np.fft.ifft(x, axis=axis, norm="forward") if inverse else np.fft.fft(x, axis=axis)
    return _scaled(out, scaling, x.shape[axis], x.dtype)


def _fft_samples(rng):
    for dtype in ("c64", "c128"):
        for shape, axis in (((5,), 0), ((8, 3), 0), ((3, 6), 1), ((2, 9, 2), 1), ((0, 4), 1), ((1,), 0)):
            for inverse in (False, True):
                x = rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape)
                yield [x.astype(DTYPES[dtype])], {"axis": axis, "inverse": inverse, "scaling": SCALINGS[len(shape) % 3]}


#: ``y[k] = sum(x[j] * exp(-2 pi i j k / n))``, with the other sign where `inverse`.
fft = define("fft", attrs=("axis", "inverse", "scaling"), type=_fft_type, ref=_fft_ref, linear="joint", routine="fft",
             transpose=lambda ct, node, wanted: (node.rebuild([ct]),), batch=_further, samples=_fft_samples)


# ---------------------------------------------------------------- real numbers
def _rfft_type(x, axis, scaling):
    _check("rfft", x, COMPLEX_OF, axis, scaling)
    n = x.shape[axis]
    half = n // 2 + 1 if type(n) is int else _half(n)
    return _resized(x, axis, half).with_dtype(COMPLEX_OF[x.dtype])


def _half(n):
    raise TypeRuleError(f"rfft along an axis whose size {n} is not known while tracing")


def _rfft_ref(x, axis, scaling):
    return _scaled(np.fft.rfft(x, axis=axis), scaling, x.shape[axis], COMPLEX_OF[x.dtype])


def _ends(x, axis, n):
    """Return where along the axis the first element stands and, for even n, the last: they have no mirror image."""
    place = iota(I64, x.shape, axis)
    first = equal(place, full_like(0, place))
    return bitwise_or(first, equal(place, full_like(n // 2, place))) if n % 2 == 0 else first


def _rfft_transpose(ct, node, wanted):
    """The real part of the sums of ct[k] exp(-2 pi i j k / n) over half of the ks, each pair of which counts twice."""
    axis, scaling = node.attrs
    n = node.args[0].shape[axis]
    weight = select(_ends(ct, axis, n), full_like(1, ct), full_like(0.5, ct))
    return (irfft(conjugate(ct) * weight, axis=axis, n=n, scaling=scaling),)


def _real_samples(rng):
    for dtype in ("f32", "f64"):
        for shape, axis in (((5,), 0), ((8, 3), 0), ((3, 6), 1), ((2, 9, 2), 1), ((0, 4), 1), ((1,), 0), ((2,), 0)):
            yield [rng.uniform(-1, 1, shape).astype(DTYPES[dtype])], {"axis": axis, "scaling": SCALINGS[len(shape) % 3]}


#: The first ``n // 2 + 1`` elements of the transform of real numbers; the others are their conjugates.
rfft = define("rfft", attrs=("axis", "scaling"), type=_rfft_type, ref=_rfft_ref, linear="joint", routine="rfft",
              transpose=_rfft_transpose, batch=_further, samples=_real_samples)


def _irfft_type(x, axis, n, scaling):
    _check("irfft", x, REAL_OF, axis, scaling, n)
    if isinstance(n, Node) or x.shape[axis] != n // 2 + 1:
        raise TypeRuleError(f"irfft of {x} to {n} along axis {axis}: needs {n} // 2 + 1 elements")
    return _resized(x, axis, n).with_dtype(REAL_OF[x.dtype])


def _irfft_ref(x, axis, n, scaling):
    return _scaled(np.fft.irfft(x, n, axis=axis, norm="forward"), scaling, n, REAL_OF[x.dtype])


def _irfft_transpose(ct, node, wanted):
    axis, n, scaling = node.attrs
    out = conjugate(rfft(ct, axis=axis, scaling=scaling))
    weight = select(_ends(out, axis, n), full_like(1, out), full_like(2, out))
    return (out * weight,)


def _half_samples(rng):
    for dtype in ("c64", "c128"):
        for shape, axis, n in (((3,), 0, 5), ((3,), 0, 4), ((5, 3), 0, 8), ((3, 4), 1, 6), ((2, 5, 2), 1, 9),
                               ((0, 3), 1, 4), ((1,), 0, 1), ((2,), 0, 2)):
            x = rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape)
            yield [x.astype(DTYPES[dtype])], {"axis": axis, "n": n, "scaling": SCALINGS[len(shape) % 3]}


#: The n real numbers whose (unscaled) transform's first ``n // 2 + 1`` elements are given, times n; the imaginary parts
#: of elements that are their own mirror images do not count.
irfft = define("irfft", attrs=("axis", "n", "scaling"), type=_irfft_type, ref=_irfft_ref, linear="joint",
               routine="irfft", transpose=_irfft_transpose, batch=_further, samples=_half_samples)


def as_complex(x):
    """Return a node in complex numbers of its precision."""
    return x if x.type.kind == "c" else cast(x, COMPLEX_OF[x.dtype])
