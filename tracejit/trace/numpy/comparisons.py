"""Comparisons of whole arrays, limits, rounding, and counts."""

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.trace.numpy.common import (
    NO,
    cast_to,
    deliver,
    static,
)
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.ufuncs import CLIP
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.tracer import Tracer, as_tracer, wrap


# ---------------------------------------------------------------- comparisons of whole arrays
@implements(np.isclose)
def isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Return where two arrays agree within ``atol + rtol * abs(b)``."""
    x, y = (v if type(v) in (int, float, complex) else as_tracer(v) for v in (a, b))
    kind = np.dtype(np.result_type(y if not isinstance(y, Tracer) else y.dtype))
    if kind.kind in "biu":  # NumPy widens, so that abs(min_int) has a value
        y = as_tracer(y).astype(np.result_type(kind, 1.0))
    near = np.less_equal(np.abs(np.subtract(x, y)), np.add(atol, np.multiply(rtol, np.abs(y))))
    finite = np.isfinite(y)
    result = np.logical_or(np.logical_and(near, np.logical_and(finite, np.isfinite(x))), np.equal(x, y)) if (
        True) else near
    if equal_nan:
        result = np.logical_or(result, np.logical_and(np.isnan(x), np.isnan(y)))
    return result


@implements(np.allclose)
def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Return whether two arrays agree everywhere within ``atol + rtol * abs(b)``."""
    return np.logical_and.reduce(as_tracer(np.isclose(as_tracer(a), b, rtol, atol, equal_nan)), axis=None)


@implements(np.array_equal)
def array_equal(a1, a2, equal_nan=False):
    """Return whether two arrays have one shape and equal elements."""
    try:
        x, y = as_tracer(a1), as_tracer(a2)
    except ValueError:
        return False
    if x.shape != y.shape:
        return False
    same = np.equal(x, y)
    if equal_nan and x.dtype.kind in "fc" and y.dtype.kind in "fc":
        same = np.logical_or(same, np.logical_and(np.isnan(x), np.isnan(y)))
    return np.logical_and.reduce(same, axis=None)


@implements(np.array_equiv)
def array_equiv(a1, a2):
    """Return whether two arrays have equal elements after broadcasting."""
    x, y = as_tracer(a1), as_tracer(a2)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return np.logical_and.reduce(np.equal(x, y), axis=None)


# ---------------------------------------------------------------- limits and rounding
@implements(np.clip)
def clip(a, a_min=NO, a_max=NO, out=None, *, min=NO, max=NO, **kwargs):
    """Return the elements held between two limits."""
    if a_min is NO and a_max is NO:
        a_min, a_max = (None if v is NO else v for v in (min, max))
    elif a_min is NO or a_max is NO:
        missing = "a_min" if a_min is NO else "a_max"
        raise TypeError(f"clip() missing 1 required positional argument: {missing!r}")
    elif min is not NO or max is not NO:
        raise ValueError("Passing `min` or `max` keyword argument when `a_min` and `a_max` are provided is forbidden.")
    x = as_tracer(a)
    if x.dtype.kind in "iu":  # Python integers beyond the dtype limit nothing
        info = np.iinfo(x.dtype)
        a_min = None if type(a_min) is int and a_min <= info.min else a_min
        a_max = None if type(a_max) is int and a_max >= info.max else a_max
    if a_min is None and a_max is None:
        return np.positive(x, out=out, **kwargs)
    if a_min is None:
        return np.minimum(x, a_max, out=out, **kwargs)
    if a_max is None:
        return np.maximum(x, a_min, out=out, **kwargs)
    return apply_ufunc(CLIP, x, a_min, a_max, out=out, **kwargs)


@implements(np.round, np.around)
def round(a, decimals=0, out=None):
    """Return the elements rounded to decimals, halves to even."""
    x = as_tracer(a)
    decimals = static(decimals, "decimals", np.round)
    if x.dtype.kind == "b":
        dtype = np.zeros((), bool).round(decimals).dtype  # raises NumPy's error for any decimals
        return deliver(cast_to(x, dtype)[()], out)
    if x.dtype.kind in "iu":
        if decimals >= 0:
            return deliver(x.copy()[()], out)
        step = x.dtype.type(10 ** -decimals)
        return np.multiply(cast_to(np.rint(np.true_divide(x, step)), x.dtype), step, out=out)
    if decimals == 0:
        return np.rint(x, out=out)
    # NumPy multiplies for positive decimals and divides for negative ones
    scale = 10.0 ** abs(decimals)
    first, second = (np.multiply, np.true_divide) if decimals > 0 else (np.true_divide, np.multiply)
    return second(np.rint(first(x, scale)), scale, out=out)


@implements(np.fix)
def fix(x, out=None):
    """Return the elements rounded towards zero."""
    return np.trunc(as_tracer(x), out=out)


@implements(np.nan_to_num)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """Return the elements with NaN and infinities replaced."""
    source = as_tracer(x)
    result = _finite(source, nan, posinf, neginf) if source.dtype.kind in "fc" else source
    if not copy and isinstance(x, (Tracer, np.ndarray)) and not source.scalar:
        return deliver(result, source)
    return (result if result is not source else source.copy())[()]


def _finite(x, nan, posinf, neginf):
    if x.dtype.kind == "c":
        re, im = (_finite(part, nan, posinf, neginf) for part in (x.real, x.imag))
        return wrap(ops.complex_(re.node, im.node), scalar=x.scalar)
    info = np.finfo(x.dtype)
    fill = lambda value, default: cast_to(as_tracer(default if value is None else value), x.dtype)
    out = np.where(np.isnan(x), fill(nan, 0.0), x)
    out = np.where(np.equal(x, np.inf), fill(posinf, info.max), out)
    out = np.where(np.equal(x, -np.inf), fill(neginf, info.min), out)
    return out[()] if x.scalar else out
