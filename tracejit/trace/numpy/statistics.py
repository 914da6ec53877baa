"""Means, spreads and covariances."""

import numpy as np

from tracejit.symbolic import dims
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.types import F32, F64
from tracejit.trace.floating import ErrorState
from tracejit.trace.numpy.common import (
    NO,
    axes_of,
    cast_to,
    deliver,
    root,
)
from tracejit.trace.numpy.registry import implements
from tracejit.trace.sizes import public
from tracejit.trace.tracer import Tracer, as_tracer, current_trace, wrap


def _count(x, axis, keepdims, where):
    """Return the number of elements that a reduction folds: an int, or a Tracer where a mask decides."""
    if where is NO or where is True:
        return public(dims.product(x.type.shape[a] for a in axes_of(axis, x.ndim)))
    mask = np.broadcast_to(as_tracer(where), x.shape)
    return np.add.reduce(mask, axis=axis, dtype=np.intp, keepdims=keepdims)


def _notice(text, count, least):
    """Warn as NumPy does where no more than the least number of elements is left, of any slice."""
    if not isinstance(count, Tracer):
        if count <= least:
            current_trace().notice(text)
        return
    current_trace().notice(text, when=np.any(np.less_equal(count, least)).node)


def _sum_options(keepdims, where):
    options = {"keepdims": False if keepdims is NO else keepdims}
    return options if where is NO else {**options, "where": where}


@implements(np.mean)
def mean(a, axis=None, dtype=None, out=None, keepdims=NO, *, where=NO):
    """Return the mean over axes; of integers in float64, of float16 by way of float32."""
    x = as_tracer(a)
    options = _sum_options(keepdims, where)
    count = _count(x, axis, options["keepdims"], where)
    inner = dtype
    if dtype is None:
        inner = F64 if x.dtype.kind in "biu" else F32 if x.dtype == np.float16 else x.dtype
    total = np.add.reduce(x, axis=axis, dtype=inner, **options)
    _notice("Mean of empty slice", count, 0)
    result = cast_to(total / count, total.dtype)
    if dtype is None and x.dtype == np.float16:
        result = cast_to(result, x.dtype)
    return deliver(result, out)


def _var(x, axis, dtype, ddof, keepdims, where, middle):
    """Return the variance, with the result's dtype rules of NumPy."""
    options = _sum_options(keepdims, where)
    inner = dtype
    if dtype is None:
        inner = F64 if x.dtype.kind in "biu" else F32 if x.dtype == np.float16 else x.dtype
    if middle is None or middle is NO:
        total = np.add.reduce(x, axis=axis, dtype=inner, **{**options, "keepdims": True})
        middle = cast_to(np.true_divide(total, _count(x, axis, True, where)), total.dtype)
    distance = np.subtract(x, middle)
    if distance.dtype.kind in "fiub":
        square = np.multiply(distance, distance)
    else:
        square = np.add(np.multiply(distance.real, distance.real), np.multiply(distance.imag, distance.imag))
    inner = square.dtype if dtype is None and x.dtype.kind == "c" else inner
    total = np.add.reduce(square, axis=axis, dtype=inner, **options)
    count = _count(x, axis, options["keepdims"], where)
    _notice("Degrees of freedom <= 0 for slice", count, ddof)
    degrees = builtin_max(count - ddof, 0) if not isinstance(count, Tracer) else np.maximum(count - ddof, 0)
    result = cast_to(total / degrees, total.dtype)
    return cast_to(result, x.dtype) if dtype is None and x.dtype == np.float16 else result


builtin_max = max


def _ddof(ddof, correction):
    if correction is NO:
        return ddof
    if ddof != 0:
        raise ValueError("ddof and correction can't be provided simultaneously.")
    return correction


@implements(np.var)
def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NO, *, where=NO, mean=NO, correction=NO):
    """Return the mean squared distance from the mean over axes."""
    return deliver(_var(as_tracer(a), axis, dtype, _ddof(ddof, correction), keepdims, where, mean), out)


@implements(np.std)
def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NO, *, where=NO, mean=NO, correction=NO):
    """Return the standard deviation over axes."""
    x = as_tracer(a)
    square = _var(x, axis, dtype, _ddof(ddof, correction), keepdims, where, mean)
    return deliver(cast_to(root(square), square.dtype), out)


@implements(np.average)
def average(a, axis=None, weights=None, returned=False, *, keepdims=NO):
    """Return the weighted mean over axes."""
    x = as_tracer(a)
    options = {} if keepdims is NO else {"keepdims": keepdims}
    if weights is None:
        result = np.mean(x, axis=axis, **options)
        total = result.dtype.type(x.size / builtin_max(result.size, 1))
    else:
        w = as_tracer(weights)
        dtype = np.result_type(x.dtype, w.dtype, "f8") if x.dtype.kind in "biu" else np.result_type(x.dtype, w.dtype)
        if x.shape != w.shape:
            if axis is None:
                raise TypeError("Axis must be specified when shapes of a and weights differ.")
            axes = np.lib.array_utils.normalize_axis_tuple(axis, x.ndim)
            if w.shape != tuple(x.shape[d] for d in axes):
                raise ValueError("Shape of weights must be consistent with shape of a along specified axis.")
            order = sorted(range(len(axes)), key=lambda i: axes[i])
            w = w.transpose(order).reshape([n if d in axes else 1 for d, n in enumerate(x.shape)])
            w = np.broadcast_to(w, x.shape)
        total = np.add.reduce(w, axis=axis, dtype=dtype, **options)
        fine = np.not_equal(total, 0)
        total = wrap(ops.check(total.node, fine.node, error="zero_weights", detail=()), scalar=total.scalar)
        product = np.multiply(x, w, dtype=dtype)
        result = np.true_divide(np.add.reduce(product, axis=axis, dtype=dtype, **options), total)
    if returned:
        return result, np.broadcast_to(total, result.shape).copy() if total.shape != result.shape else total
    return result


# ---------------------------------------------------------------- covariance
@implements(np.corrcoef)
def corrcoef(x, y=None, rowvar=True, *, dtype=None):
    """Return the matrix of correlation coefficients."""
    c = np.cov(as_tracer(x), y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    d = np.sqrt(np.diagonal(c).real)
    c = c / d[:, None] / d[None, :]
    if c.dtype.kind == "c":
        return np.clip(c.real, -1, 1) + 1j * np.clip(c.imag, -1, 1)
    return np.clip(c, -1, 1)


# ---------------------------------------------------------------- statistics that skip NaN
def _present(a):
    x = as_tracer(a)
    return x, (np.logical_not(np.isnan(x)) if x.dtype.kind in "fc" else None)


def _both(mask, where):
    return mask if where is NO else np.logical_and(mask, where)


def _divided(total, count):
    """Return a sum over a count of elements, perhaps none, which NumPy has warned of by then."""
    with ErrorState(divide="ignore", invalid="ignore"):
        return cast_to(np.true_divide(total, count), total.dtype)


@implements(np.nanmean)
def nanmean(a, axis=None, dtype=None, out=None, keepdims=NO, *, where=NO):
    """Return the mean over axes of the elements that are not NaN."""
    x, mask = _present(a)
    if mask is None:
        return mean(x, axis, dtype, out, keepdims, where=where)
    options = _sum_options(keepdims, where)
    total = np.add.reduce(np.where(mask, x, x.dtype.type(0)), axis=axis, dtype=dtype, **options)
    count = np.add.reduce(mask, axis=axis, dtype=np.intp, **options)
    _notice("Mean of empty slice", count, 0)
    return deliver(_divided(total, count), out)


def _nanvar(a, axis, dtype, ddof, keepdims, where, middle):
    x, mask = _present(a)
    if mask is None:
        return _var(x, axis, dtype, ddof, keepdims, where, middle)
    options = _sum_options(keepdims, where)
    over = {**options, "keepdims": True}
    filled = np.where(mask, x, x.dtype.type(0))
    if middle is None or middle is NO:
        total = np.add.reduce(filled, axis=axis, dtype=dtype, **over)
        middle = _divided(total, np.add.reduce(mask, axis=axis, dtype=np.intp, **over))
    distance = np.where(mask, np.subtract(x, middle), x.dtype.type(0))
    square = np.multiply(distance, np.conjugate(distance)).real if x.dtype.kind == "c" else np.multiply(distance,
                                                                                                        distance)
    total = np.add.reduce(square, axis=axis, dtype=dtype, **options)
    count = np.add.reduce(mask, axis=axis, dtype=np.intp, **options)
    _notice("Degrees of freedom <= 0 for slice.", count, ddof)
    degrees = count - ddof
    result = _divided(total, degrees)
    return np.where(np.less_equal(degrees, 0), result.dtype.type(np.nan), result)[()]


@implements(np.nanvar)
def nanvar(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NO, *, where=NO, mean=NO, correction=NO):
    """Return the variance over axes of the elements that are not NaN."""
    return deliver(_nanvar(a, axis, dtype, _ddof(ddof, correction), keepdims, where, mean), out)


@implements(np.nanstd)
def nanstd(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NO, *, where=NO, mean=NO, correction=NO):
    """Return the standard deviation over axes of the elements that are not NaN."""
    return deliver(root(_nanvar(a, axis, dtype, _ddof(ddof, correction), keepdims, where, mean)), out)
