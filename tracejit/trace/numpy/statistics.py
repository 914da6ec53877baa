"""Means and spreads, order statistics, comparisons of whole arrays, rounding and clipping."""

import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.types import BOOL, F32, F64
from tracejit.trace.numpy.common import (
    NO,
    axes_of,
    deliver,
    known,
    known_dtype,
    literal,
    only,
    refuse_option,
    static,
)
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.ufuncs import CLIP
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.tracer import Tracer, as_tracer, wrap


def _count(x, axis, keepdims, where):
    """Return the number of elements that a reduction folds: an int, or a Tracer where a mask decides."""
    if where is NO or where is True:
        return int(np.prod([x.shape[a] for a in axes_of(axis, x.ndim)], dtype=int))
    mask = np.broadcast_to(as_tracer(where), x.shape)
    return np.add.reduce(mask, axis=axis, dtype=np.intp, keepdims=keepdims)


def _cast(x, dtype):
    return x if x.dtype == dtype else wrap(ops.cast(x.node, dtype), scalar=x.scalar)


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
    result = _cast(np.true_divide(total, count), total.dtype)
    if dtype is None and x.dtype == np.float16:
        result = _cast(result, x.dtype)
    return deliver(result, out)


def _var(x, axis, dtype, ddof, keepdims, where, middle):
    """Return the variance, with the result's dtype rules of NumPy."""
    options = _sum_options(keepdims, where)
    inner = dtype
    if dtype is None:
        inner = F64 if x.dtype.kind in "biu" else F32 if x.dtype == np.float16 else x.dtype
    if middle is None or middle is NO:
        total = np.add.reduce(x, axis=axis, dtype=inner, **{**options, "keepdims": True})
        middle = _cast(np.true_divide(total, _count(x, axis, True, where)), total.dtype)
    distance = np.subtract(x, middle)
    if distance.dtype.kind in "fiub":
        square = np.multiply(distance, distance)
    else:
        square = np.add(np.multiply(distance.real, distance.real), np.multiply(distance.imag, distance.imag))
    inner = square.dtype if dtype is None and x.dtype.kind == "c" else inner
    total = np.add.reduce(square, axis=axis, dtype=inner, **options)
    count = _count(x, axis, options["keepdims"], where)
    degrees = builtin_max(count - ddof, 0) if not isinstance(count, Tracer) else np.maximum(count - ddof, 0)
    result = _cast(np.true_divide(total, degrees), total.dtype)
    return _cast(result, x.dtype) if dtype is None and x.dtype == np.float16 else result


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
    return deliver(_cast(np.sqrt(square), square.dtype), out)


@implements(np.average, differs="weights that sum to zero give NaN or infinity where NumPy raises ZeroDivisionError")
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
        product = np.multiply(x, w, dtype=dtype)
        result = np.true_divide(np.add.reduce(product, axis=axis, dtype=dtype, **options), total)
    if returned:
        return result, np.broadcast_to(total, result.shape).copy() if total.shape != result.shape else total
    return result


# ---------------------------------------------------------------- covariance
@implements(np.cov, without=("fweights", "aweights"))
def cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    """Return the covariance matrix of variables in rows (columns where not `rowvar`)."""
    only(np.cov, fweights=(fweights, None), aweights=(aweights, None))
    if ddof is not None and ddof != int(ddof):
        raise ValueError("ddof must be integer")
    x = as_tracer(m)
    if x.ndim > 2:
        raise ValueError("m has more than 2 dimensions")
    other = None if y is None else as_tracer(y)
    if other is not None and other.ndim > 2:
        raise ValueError("y has more than 2 dimensions")
    dtype = np.result_type(x.dtype, *([] if other is None else [other.dtype]), F64) if dtype is None else known_dtype(dtype)
    rows = lambda v: _cast(np.atleast_2d(v) if rowvar or v.ndim == 1 else np.atleast_2d(v).T, dtype)
    x = rows(x) if rowvar or x.ndim != 1 else _cast(np.atleast_2d(x), dtype)
    if other is not None:
        x = np.concatenate((x, rows(other)), axis=0)
    ddof = (0 if bias else 1) if ddof is None else ddof
    count = x.shape[1]
    x = x - np.mean(x, axis=1, keepdims=True)
    product = np.matmul(x, np.conjugate(x.T)) * np.true_divide(1, builtin_max(count - ddof, 0) or np.float64(0))
    return _cast(product, dtype).squeeze()


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


# ---------------------------------------------------------------- order statistics
def _sorted_last(a, axis):
    """Return (elements sorted along a new last axis made of `axis`, kept shape with ones)."""
    x = as_tracer(a)
    if x.dtype.kind == "c":
        refuse_option(np.sort, "complex numbers", "sort real parts or magnitudes")
    axes = axes_of(axis, x.ndim)
    kept = [1 if d in axes else n for d, n in enumerate(x.shape)]
    rest = [d for d in range(x.ndim) if d not in axes]
    flat = x.transpose([*rest, *axes]).reshape([x.shape[d] for d in rest]
                                               + [int(np.prod([x.shape[d] for d in axes], dtype=int))])
    return np.sort(flat, axis=-1, kind="stable"), kept


def _shaped(result, kept, keepdims, out):
    if keepdims is not NO and keepdims:
        result = result.reshape(kept)
    elif result.ndim == 0:
        result = result[()]
    return deliver(result, out)


@implements(np.median)
def median(a, axis=None, out=None, overwrite_input=False, keepdims=False):
    """Return the middle element over axes, or the mean of the two in the middle; NaN if there is one."""
    x, kept = _sorted_last(a, axis)
    n = x.shape[-1]
    if n == 0:
        return _shaped(np.mean(x, axis=-1), kept, keepdims, out)
    middle = x[..., (n - 1) // 2:n // 2 + 1]
    result = np.mean(middle, axis=-1)
    if x.dtype.kind == "f":
        last = x[..., -1]
        result = np.where(np.isnan(last), last, result)
    return _shaped(result, kept, keepdims, out)


#: Hyndman and Fan 1996: the position of quantile q among n sorted elements, counted from 0, as a (alpha, beta) of
#: ``n q + (alpha + q (1 - alpha - beta)) - 1``.
_CONTINUOUS = {"interpolated_inverted_cdf": (0, 1), "hazen": (0.5, 0.5), "weibull": (0, 0), "linear": (1, 1),
               "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8)}
_DISCRETE = ("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "lower", "higher", "midpoint", "nearest")


def _position(method, n, q):
    """Return (positions below, weight of the element above) for quantiles `q`, over NumPy or traced numbers alike."""
    if method in _CONTINUOUS:
        alpha, beta = _CONTINUOUS[method]
        place = (n - 1) * q if method == "linear" else n * q + (alpha + q * (1 - alpha - beta)) - 1
        below = np.floor(place)
        return below, place - below
    if method == "inverted_cdf":
        place = n * q
        below = np.floor(place)
        return np.where(place > below, below, below - 1), 0.0 * q
    if method == "averaged_inverted_cdf":
        place = n * q
        below = np.floor(place)
        return below - 1, np.where(place > below, 1.0, 0.5)
    if method == "closest_observation":
        place = n * q - 1 - 0.5
        below = np.floor(place)
        odd = np.equal(below % 2, 1)
        return below, np.where(np.logical_and(np.equal(place, below), odd), 0.0, 1.0)
    place = (n - 1) * q
    if method == "lower":
        return np.floor(place), 0.0 * q
    if method == "higher":
        return np.ceil(place), 0.0 * q
    if method == "nearest":
        return np.rint(place), 0.0 * q
    below = np.floor(place)  # midpoint
    return below, np.where(np.equal(place, below), 0.0, 0.5)


def _quantile(function, a, q, axis, out, method, keepdims, weights):
    if weights is not None:
        refuse_option(function, "weights", "leave them out")
    if method not in _CONTINUOUS and method not in _DISCRETE:
        raise ValueError(f"{method!r} is not a valid method. Use one of: {sorted([*_CONTINUOUS, *_DISCRETE])}")
    source = as_tracer(a)
    if source.dtype.kind == "c":
        raise TypeError("a must be an array of real numbers")
    fixed = known(q)
    if fixed is not None:
        q = fixed.astype(source.dtype if source.dtype.kind == "f" and fixed.dtype.kind == "i" else fixed.dtype)
        q = q / source.dtype.type(100) if function in _PERCENT and source.dtype.kind == "f" and np.ndim(q) == 0 and (
            not isinstance(known(q), np.ndarray)) else (q / 100 if function in _PERCENT else q + 0.0)
        if not (np.all(q >= 0) and np.all(q <= 1)):
            raise ValueError("Percentiles must be in the range [0, 100]" if function in _PERCENT
                             else "Quantiles must be in the range [0, 1]")
    else:
        q = np.true_divide(as_tracer(q), 100) if function in _PERCENT else as_tracer(q)
        inside = np.logical_and(np.greater_equal(q, 0), np.less_equal(q, 1))
        error = "percentile" if function in _PERCENT else "quantile"
        q = wrap(ops.check(q.node, inside.node, error=error, detail=()), scalar=q.scalar, weak=q.weak)
    x, kept = _sorted_last(source, axis)
    n = x.shape[-1]
    if n == 0:
        raise IndexError("index -1 is out of bounds for axis 0 with size 0")
    if source.dtype == BOOL and method in _CONTINUOUS:
        raise TypeError("numpy boolean subtract, the `-` operator, is not supported, use the bitwise_xor, the `^` operator, or "
                        "the logical_xor function instead.")
    below, weight = _position(method, n, q)
    at = lambda place: _pick(x, np.clip(place, 0, n - 1))
    low = at(below)
    if method in ("inverted_cdf", "lower", "higher", "nearest"):
        result = low
    else:
        high = at(below + 1)
        weight = np.where(np.less(below, 0), 0.0, np.where(np.greater_equal(below, n - 1), 0.0, weight))
        result = _between(low, high, weight, x, q)
    if x.dtype.kind == "f":
        last = x[..., -1]
        result = np.where(np.isnan(last), last, result)
    if keepdims:
        result = result.reshape((*result.shape[:np.ndim(q)], *kept))
    return deliver(result[()] if result.ndim == 0 else result, out)


def _pick(x, place):
    """Return elements at positions along the last axis, the axes of the positions first."""
    if not isinstance(place, Tracer) and np.ndim(place) == 0:
        return x[..., int(place)]
    place = place.astype(np.intp) if isinstance(place, Tracer) else literal(place, np.intp)
    picked = np.take(x, place, axis=-1)
    return np.moveaxis(picked, range(x.ndim - 1, picked.ndim), range(picked.ndim - x.ndim + 1))


def _between(low, high, weight, x, q):
    """Return the point between two elements, from the nearer end, as NumPy's `_lerp` does, so that it is monotonic."""
    kind = x.dtype if x.dtype.kind == "f" else F64
    if isinstance(weight, Tracer):
        t = weight.reshape(weight.shape + (1,) * (x.ndim - 1))
    else:
        t = np.asarray(weight, kind if np.ndim(q) == 0 else np.result_type(kind, np.asarray(q).dtype))
        t = literal(t.reshape(t.shape + (1,) * (x.ndim - 1))) if t.ndim else float(t)
    difference = np.subtract(high, low)
    near = np.add(low, difference * t)
    far = np.subtract(high, difference * (1 - t))
    return np.where(np.greater_equal(t, 0.5), far, near)


@implements(np.quantile, without=("weights",))
def quantile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None):
    """Return the q-th quantiles over axes; the axes of q come first."""
    return _quantile(np.quantile, a, q, axis, out, method, keepdims, weights)


@implements(np.percentile, without=("weights",))
def percentile(a, q, axis=None, out=None, overwrite_input=False, method="linear", keepdims=False, *, weights=None):
    """Return the q-th percentiles over axes; the axes of q come first."""
    return _quantile(np.percentile, a, q, axis, out, method, keepdims, weights)


_PERCENT = (np.percentile,)


# ---------------------------------------------------------------- statistics that skip NaN
def _present(a):
    x = as_tracer(a)
    return x, (np.logical_not(np.isnan(x)) if x.dtype.kind in "fc" else None)


def _both(mask, where):
    return mask if where is NO else np.logical_and(mask, where)


@implements(np.nanmean)
def nanmean(a, axis=None, dtype=None, out=None, keepdims=NO, *, where=NO):
    """Return the mean over axes of the elements that are not NaN."""
    x, mask = _present(a)
    if mask is None:
        return mean(x, axis, dtype, out, keepdims, where=where)
    options = _sum_options(keepdims, where)
    total = np.add.reduce(np.where(mask, x, x.dtype.type(0)), axis=axis, dtype=dtype, **options)
    count = np.add.reduce(mask, axis=axis, dtype=np.intp, **options)
    return deliver(_cast(np.true_divide(total, count), total.dtype), out)


def _nanvar(a, axis, dtype, ddof, keepdims, where, middle):
    x, mask = _present(a)
    if mask is None:
        return _var(x, axis, dtype, ddof, keepdims, where, middle)
    options = _sum_options(keepdims, where)
    over = {**options, "keepdims": True}
    filled = np.where(mask, x, x.dtype.type(0))
    if middle is None or middle is NO:
        total = np.add.reduce(filled, axis=axis, dtype=dtype, **over)
        middle = _cast(np.true_divide(total, np.add.reduce(mask, axis=axis, dtype=np.intp, **over)), total.dtype)
    distance = np.where(mask, np.subtract(x, middle), x.dtype.type(0))
    square = np.multiply(distance, np.conjugate(distance)).real if x.dtype.kind == "c" else np.multiply(distance, distance)
    total = np.add.reduce(square, axis=axis, dtype=dtype, **options)
    count = np.add.reduce(mask, axis=axis, dtype=np.intp, **options)
    degrees = count - ddof
    result = _cast(np.true_divide(total, degrees), total.dtype)
    return np.where(np.less_equal(degrees, 0), result.dtype.type(np.nan), result)[()]


@implements(np.nanvar)
def nanvar(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NO, *, where=NO, mean=NO, correction=NO):
    """Return the variance over axes of the elements that are not NaN."""
    return deliver(_nanvar(a, axis, dtype, _ddof(ddof, correction), keepdims, where, mean), out)


@implements(np.nanstd)
def nanstd(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NO, *, where=NO, mean=NO, correction=NO):
    """Return the standard deviation over axes of the elements that are not NaN."""
    return deliver(np.sqrt(_nanvar(a, axis, dtype, _ddof(ddof, correction), keepdims, where, mean)), out)


@implements(np.nanmedian)
def nanmedian(a, axis=None, out=None, overwrite_input=False, keepdims=NO):
    """Return the median over axes of the elements that are not NaN."""
    keepdims = False if keepdims is NO else keepdims
    source = as_tracer(a)
    if source.dtype.kind != "f":
        return median(source, axis, out, overwrite_input, keepdims)
    x, kept = _sorted_last(source, axis)
    if x.shape[-1] == 0:
        return median(source, axis, out, overwrite_input, keepdims)
    count = np.add.reduce(np.logical_not(np.isnan(x)), axis=-1, dtype=np.intp, keepdims=True)  # NaN sorts to the end
    low = np.take_along_axis(x, np.maximum((count - 1) // 2, 0), axis=-1)
    high = np.take_along_axis(x, np.minimum(count // 2, x.shape[-1] - 1), axis=-1)
    middle = np.where(np.equal(count % 2, 1), low, np.mean(np.concatenate((low, high), axis=-1), axis=-1, keepdims=True))
    return _shaped(middle[..., 0], kept, keepdims, out)


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
        return deliver(_cast(x, np.dtype(np.float16)), out)
    if x.dtype.kind in "iu":
        if decimals >= 0:
            return deliver(x.copy(), out) if not x.scalar else x
        step = x.dtype.type(10 ** -decimals)
        return np.multiply(_cast(np.rint(np.true_divide(x, step)), x.dtype), step, out=out)
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
    return result if result is not source else source.copy()


def _finite(x, nan, posinf, neginf):
    if x.dtype.kind == "c":
        re, im = (_finite(part, nan, posinf, neginf) for part in (x.real, x.imag))
        return wrap(ops.complex_(re.node, im.node), scalar=x.scalar)
    info = np.finfo(x.dtype)
    fill = lambda value, default: _cast(as_tracer(default if value is None else value), x.dtype)
    out = np.where(np.isnan(x), fill(nan, 0.0), x)
    out = np.where(np.equal(x, np.inf), fill(posinf, info.max), out)
    out = np.where(np.equal(x, -np.inf), fill(neginf, info.min), out)
    return out[()] if x.scalar else out


@implements(np.histogram, without=("bins=<str>", "range depending on the data", "weights", "density"))
def histogram(a, bins=10, range=None, density=None, weights=None):
    """Return how many elements lie between given edges, or in equal parts of a given range, and the edges."""
    only(np.histogram, density=(density, None), weights=(weights, None))
    x = as_tracer(a).ravel()
    if isinstance(bins, str):
        refuse_option(np.histogram, "bins=<str>", "pass the number of bins and their range")
    edges = known(bins)
    if edges is not None and edges.ndim == 0:
        if range is None:
            low, high = np.min(x), np.max(x)
            same = np.equal(low, high)
            low, high = np.where(same, low - 0.5, low), np.where(same, high + 0.5, high)
            edges = np.linspace(low, high, int(edges) + 1)
        else:
            edges = literal(np.histogram_bin_edges(np.empty(0), int(edges), range))
    else:
        edges = as_tracer(bins)
    if edges.ndim != 1:
        raise ValueError("`bins` must be 1d, when an array")
    first = np.searchsorted(np.sort(x), edges[:-1], "left")
    last = np.searchsorted(np.sort(x), edges[-1:], "right")
    return np.diff(np.concatenate((first, last))), edges
