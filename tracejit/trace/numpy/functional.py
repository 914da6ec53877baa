"""Interpolation, convolution, polynomials, derivatives and integrals on grids, parts of complex numbers."""

import math

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.contract import dot_general
from tracejit.symbolic.ops.index import gather
from tracejit.symbolic.ops.shape import embed, slice_, windows, zeros
from tracejit.symbolic.types import BOOL, I64
from tracejit.trace.numpy.common import axis_of, literal
from tracejit.trace.numpy.products import _nodes
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.searching import searchsorted
from tracejit.trace.tracer import Tracer, as_tracer, wrap


# ---------------------------------------------------------------- interpolation
@implements(np.interp)
def interp(x, xp, fp, left=None, right=None, period=None):
    """Return the piecewise linear function through the points (xp, fp) at x."""
    x, xp, fp = as_tracer(x), as_tracer(xp), as_tracer(fp)
    if fp.dtype.kind == "c":
        ends = [(None, None) if e is None else (np.real(e), np.imag(e)) for e in (left, right)]
        parts = [interp(x, xp, part, ends[0][k], ends[1][k], period) for k, part in enumerate((fp.real, fp.imag))]
        return wrap(ops.complex_(*(p.node for p in parts)), scalar=parts[0].scalar)
    x, xp, fp = (v.astype(float) for v in (x, xp, fp))
    if period is not None:
        if period == 0:
            raise ValueError("period must be a non-zero value")
        if xp.ndim != 1 or fp.ndim != 1:
            raise ValueError("Data points must be 1-D sequences")
        if xp.shape != fp.shape:
            raise ValueError("fp and xp are not of the same length")
        period = np.abs(period)
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = np.take(xp, order), np.take(fp, order)
        xp = np.concatenate((xp[-1:] - period, xp, xp[:1] + period))
        fp = np.concatenate((fp[-1:], fp, fp[:1]))
        left = right = None
    if xp.ndim != 1 or fp.ndim != 1:
        raise ValueError("object too deep for desired array")
    if xp.size == 0:
        raise ValueError("array of sample points is empty")
    if xp.shape != fp.shape:
        raise ValueError("fp and xp are not of the same length.")
    left = fp[0] if left is None else left
    right = fp[-1] if right is None else right
    if xp.size == 1:
        return np.where(np.less(x, xp[0]), left, np.where(np.greater(x, xp[-1]), right, fp[0]))[()]
    found = searchsorted(xp, x, "right") - 1
    at = ops.maximum(found.node, zeros(found.node.type))  # a place by construction
    slope, start, value = _lines(xp, fp)
    begin, first = (wrap(gather(v.node, at)) for v in (xp, fp))
    steep = wrap(gather(slope.node, at))
    inside = steep * (x - wrap(gather(start.node, at))) + wrap(gather(value.node, at))
    # a point itself has its value, and the slope to its right
    finite = np.logical_and(np.isfinite(steep), np.isfinite(x))
    there = first + np.where(finite, steep, 0) * np.where(finite, x - begin, 0)
    inside = np.where(np.equal(x, begin), there, inside)
    return np.where(np.less(x, xp[0]), left, np.where(np.greater(x, xp[-1]), right, inside))[()]


def _lines(xp, fp):
    """Return slopes, and the points that they start from, of the lines from each point to the next (the last is level).

    A line with an infinite end has one value in between, which NumPy finds from one end or the other: it is made level.
    """
    x0, x1, y0, y1 = xp[:-1], xp[1:], fp[:-1], fp[1:]
    slope = (y1 - y0) / (x1 - x0)
    middle = np.where(np.isfinite(x0), np.where(np.isfinite(x1), x0 + (x1 - x0) / 2, x0 + 1), x1 - 1)
    near, far = slope * (middle - x0) + y0, slope * (middle - x1) + y1
    level = np.where(np.isnan(near), np.where(np.logical_and(np.isnan(far), np.equal(y0, y1)), y0, far), near)
    fine = np.logical_and(np.isfinite(slope), np.logical_and(np.isfinite(x0), np.isfinite(y0)))
    slope, start, value = np.where(fine, slope, 0.0), np.where(fine, x0, 0.0), np.where(fine, y0, level)
    return (np.concatenate((slope, literal([0.0]))), np.concatenate((start, literal([0.0]))),
            np.concatenate((value, fp[-1:])))


# ---------------------------------------------------------------- sliding sums of products
def _mode(mode):
    if mode not in ("valid", "same", "full", 0, 1, 2):
        raise ValueError(f"mode must be one of 'valid', 'same', or 'full' (got {mode!r})")
    return ("valid", "same", "full")[mode] if isinstance(mode, int) else mode


def _slide(x, kernel, mode):
    """Return the products of `kernel` with every window of `x` (not shorter), zeros beyond the ends."""
    n = kernel.shape[0]
    before = {"valid": 0, "same": n // 2, "full": n - 1}[mode]
    after = {"valid": 0, "same": n - n // 2 - 1, "full": n - 1}[mode]
    padded = embed(x, [before], [1], [before + x.shape[0] + after])
    if x.dtype == BOOL:  # sums of bools are bools
        counts = dot_general(windows(ops.cast(padded, I64), (0,), (n,)), ops.cast(kernel, I64), ((1,), (0,)))
        return ops.not_equal(counts, zeros(counts.type))
    return dot_general(windows(padded, (0,), (n,)), kernel, ((1,), (0,)))


def _reverse(node):
    n = node.shape[0]
    return slice_(node, [n - 1], [-1], [n])


def _vectors(a, v, least):
    nodes = _nodes(a, v)
    for node in nodes:
        if not least <= node.ndim <= 1:
            raise ValueError(f"object {'too deep' if node.ndim > 1 else 'of too small depth'} for desired array")
    return [wrap(n).reshape(-1).node for n in nodes]


@implements(np.convolve)
def convolve(a, v, mode="full"):
    """Return the discrete convolution of two vectors."""
    mode = _mode(mode)
    x, y = _vectors(a, v, 0)
    if x.shape[0] == 0:
        raise ValueError("a cannot be empty")
    if y.shape[0] == 0:
        raise ValueError("v cannot be empty")
    if y.shape[0] > x.shape[0]:
        x, y = y, x
    return wrap(_slide(x, _reverse(y), mode))


@implements(np.correlate)
def correlate(a, v, mode="valid"):
    """Return the sliding sums of products of two vectors, the second conjugated."""
    mode = _mode(mode)
    x, y = _vectors(a, v, 1)
    if x.shape[0] == 0:
        raise ValueError("first array argument cannot be empty")
    if y.shape[0] == 0:
        raise ValueError("second array argument cannot be empty")
    y = ops.conjugate(y) if y.type.kind == "c" else y
    if y.shape[0] > x.shape[0]:
        return wrap(_reverse(_slide(y, x, mode)))
    return wrap(_slide(x, y, mode))


# ---------------------------------------------------------------- grids
@implements(np.gradient)
def gradient(f, *varargs, axis=None, edge_order=1):
    """Return central differences along axes, one-sided at the ends."""
    f = as_tracer(f)
    axes = tuple(range(f.ndim)) if axis is None else np.lib.array_utils.normalize_axis_tuple(axis, f.ndim)
    if len(varargs) == 0:
        spacing = [1.0] * len(axes)
    elif len(varargs) == 1 and np.ndim(varargs[0]) == 0:
        spacing = list(varargs) * len(axes)
    elif len(varargs) == len(axes):
        spacing = list(varargs)
    else:
        raise TypeError("invalid number of arguments")
    for i, h in enumerate(spacing):
        if np.ndim(h) > 1:
            raise ValueError("distances must be either scalars or 1d")
        if np.ndim(h) == 1:
            h = as_tracer(h)
            if h.shape[0] != f.shape[axes[i]]:
                raise ValueError("when 1d, distances must match the length of the corresponding dimension")
            if h.dtype.kind in "iu":
                h = h.astype(float)
            spacing[i] = np.diff(h)
    if edge_order > 2:
        raise ValueError("'edge_order' greater than 2 not supported")
    if f.dtype.kind in "iu":
        f = f.astype(float)
    elif f.dtype == BOOL:
        raise TypeError("numpy boolean subtract, the `-` operator, is not supported")
    parts = [_gradient_along(f, h, a, edge_order) for a, h in zip(axes, spacing)]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _gradient_along(f, h, axis, edge_order):
    n = f.shape[axis]
    if n < edge_order + 1:
        raise ValueError("Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) "
                         "elements are required.")
    at = lambda begin, end=None: f[(slice(None),) * axis + (slice(begin, end),)]
    if np.ndim(h) == 0:
        middle = (at(2) - at(0, -2)) / (2.0 * h)
        first, last = (h, h), (h, h)
    else:
        shape = [-1 if d == axis else 1 for d in range(f.ndim)]
        dx1, dx2 = h[:-1].reshape(shape), h[1:].reshape(shape)
        middle = (-dx2 / (dx1 * (dx1 + dx2)) * at(0, -2) + (dx2 - dx1) / (dx1 * dx2) * at(1, -1)
                  + dx1 / (dx2 * (dx1 + dx2)) * at(2))
        first, last = (h[0], h[min(1, h.shape[0] - 1)]), (h[max(h.shape[0] - 2, 0)], h[-1])
    if edge_order == 1:
        begin, end = (at(1, 2) - at(0, 1)) / first[0], (at(-1) - at(-2, -1)) / last[1]
    elif np.ndim(h) == 0:
        begin = (-1.5 / h) * at(0, 1) + (2.0 / h) * at(1, 2) + (-0.5 / h) * at(2, 3)
        end = (0.5 / h) * at(-3, -2) + (-2.0 / h) * at(-2, -1) + (1.5 / h) * at(-1)
    else:
        one, two = first
        begin = (-(2 * one + two) / (one * (one + two)) * at(0, 1) + (one + two) / (one * two) * at(1, 2)
                 + -one / (two * (one + two)) * at(2, 3))
        one, two = last
        end = (two / (one * (one + two)) * at(-3, -2) + -(two + one) / (one * two) * at(-2, -1)
               + (2 * two + one) / (two * (one + two)) * at(-1))
    return np.concatenate((begin, middle, end), axis).astype(f.dtype)


@implements(np.trapezoid)
def trapezoid(y, x=None, dx=1.0, axis=-1):
    """Return the integral along an axis by the trapezoidal rule."""
    y = as_tracer(y)
    axis = axis_of(axis, y.ndim)
    if x is None:
        d = dx
    else:
        x = as_tracer(x)
        d = np.diff(x) if x.ndim == 1 else np.diff(x, axis=axis)
        if x.ndim == 1:
            d = d.reshape([-1 if a == axis else 1 for a in range(y.ndim)])
    key = (slice(None),) * axis
    return np.add.reduce(d * (y[(*key, slice(1, None))] + y[(*key, slice(None, -1))]) / 2.0, axis=axis)


@implements(np.unwrap)
def unwrap(p, discont=None, axis=-1, *, period=2 * np.pi):
    """Return angles with jumps of a period taken out."""
    p = as_tracer(p)
    axis = axis_of(axis, p.ndim)
    dd = np.diff(p, axis=axis)
    discont = period / 2 if discont is None else discont
    key = (slice(None),) * axis
    dtype = np.result_type(dd.dtype, period if not isinstance(period, Tracer) else period.dtype)
    if dtype.kind in "iu":
        high, rest = divmod(period, 2)
        ambiguous = rest == 0
    else:
        high, ambiguous = period / 2, True
    low = -high
    wrapped = np.mod(dd - low, period) + low
    if ambiguous:
        wrapped = np.where(np.logical_and(np.equal(wrapped, low), np.greater(dd, 0)), high, wrapped)
    correction = np.where(np.less(np.abs(dd), discont), 0, wrapped - dd)
    up = p.astype(dtype)
    rest = up[(*key, slice(1, None))] + np.cumsum(correction, axis=axis)
    return np.concatenate((up[(*key, slice(0, 1))], rest), axis).astype(dtype)


# ---------------------------------------------------------------- parts, and tests of them
@implements(np.real)
def real(val):
    """Return the real parts, a view."""
    return as_tracer(val).real


@implements(np.imag)
def imag(val):
    """Return the imaginary parts, a view."""
    return as_tracer(val).imag


@implements(np.angle)
def angle(z, deg=False):
    """Return the angles of complex numbers."""
    x = as_tracer(z)
    re, im = (x.real, x.imag) if x.dtype.kind == "c" else (x, 0)
    out = np.arctan2(im, re)
    return out * (180 / np.pi) if deg else out


@implements(np.isreal)
def isreal(x):
    """Return where the imaginary part is zero."""
    return np.equal(as_tracer(x).imag, 0)


@implements(np.iscomplex)
def iscomplex(x):
    """Return where the imaginary part is not zero."""
    x = as_tracer(x)
    return np.not_equal(x.imag, 0) if x.dtype.kind == "c" else np.zeros_like(x, bool)[()]


def _infinite(x, out, positive):
    x = as_tracer(x)
    if x.dtype.kind == "c":
        raise TypeError(f"This operation is not supported for {x.dtype} values because it would be ambiguous.")
    sign = np.signbit(x.astype(float) if x.dtype.kind == "b" else x) if x.dtype.kind == "f" else np.less(x, 0)
    return np.logical_and(np.isinf(x), np.logical_not(sign) if positive else sign, out=out)


@implements(np.isposinf)
def isposinf(x, out=None):
    """Return where elements are plus infinity."""
    return _infinite(x, out, True)


@implements(np.isneginf)
def isneginf(x, out=None):
    """Return where elements are minus infinity."""
    return _infinite(x, out, False)


@implements(np.sinc)
def sinc(x):
    """Return sin(pi x) / (pi x), and 1 at 0."""
    x = as_tracer(x)
    x = x if x.dtype.kind in "fc" else x.astype(float)
    y = np.pi * x
    near = np.less(np.abs(y), 0.1)  # the quotient loses digits of the derivatives there, and has none at 0
    square, series = y * y, 0
    for k in range(5, -1, -1):
        series = series * square + (-1) ** k / math.factorial(2 * k + 1)
    safe = np.where(near, 1, y)
    return np.where(near, series, np.sin(safe) / safe)[()]
