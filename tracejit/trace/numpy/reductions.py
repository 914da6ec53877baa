"""Sums, products, extremes and their positions, truth, and running versions of them."""

import operator

import numpy as np

from tracejit.symbolic import dims
from tracejit.symbolic.ir import const, dim
from tracejit.symbolic.ops import reduce as folds
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.shape import broadcast
from tracejit.symbolic.types import BOOL, I64
from tracejit.trace.numpy.common import NO, axes_of, axis_of, deliver, refuse_option, static
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer, wrap


def _given(**options):
    return {name: value for name, value in options.items() if value is not NO}


def _fold(ufunc, a, axis, dtype, out, **options):
    return ufunc.reduce(as_tracer(a), axis=axis, dtype=dtype, out=out, **_given(**options))


# ---------------------------------------------------------------- folds
@implements(np.sum)
def sum(a, axis=None, dtype=None, out=None, keepdims=NO, initial=NO, where=NO):
    """Return the sum over axes."""
    return _fold(np.add, a, axis, dtype, out, keepdims=keepdims, initial=initial, where=where)


@implements(np.prod)
def prod(a, axis=None, dtype=None, out=None, keepdims=NO, initial=NO, where=NO):
    """Return the product over axes."""
    return _fold(np.multiply, a, axis, dtype, out, keepdims=keepdims, initial=initial, where=where)


@implements(np.max, np.amax)
def max(a, axis=None, out=None, keepdims=NO, initial=NO, where=NO):
    """Return the largest element over axes; NaN if there is one."""
    return _fold(np.maximum, a, axis, None, out, keepdims=keepdims, initial=initial, where=where)


@implements(np.min, np.amin)
def min(a, axis=None, out=None, keepdims=NO, initial=NO, where=NO):
    """Return the smallest element over axes; NaN if there is one."""
    return _fold(np.minimum, a, axis, None, out, keepdims=keepdims, initial=initial, where=where)


@implements(np.all)
def all(a, axis=None, out=None, keepdims=NO, *, where=NO):
    """Return whether all elements over axes are true."""
    return _fold(np.logical_and, a, axis, None, out, keepdims=keepdims, where=where)


@implements(np.any)
def any(a, axis=None, out=None, keepdims=NO, *, where=NO):
    """Return whether some element over axes is true."""
    return _fold(np.logical_or, a, axis, None, out, keepdims=keepdims, where=where)


@implements(np.ptp)
def ptp(a, axis=None, out=None, keepdims=NO):
    """Return the distance from the smallest to the largest element over axes."""
    top = _fold(np.maximum, a, axis, None, None, keepdims=keepdims)
    return np.subtract(top, _fold(np.minimum, a, axis, None, None, keepdims=keepdims), out=out)


@implements(np.count_nonzero)
def count_nonzero(a, axis=None, *, keepdims=False):
    """Return how many elements over axes are not zero."""
    x = as_tracer(a)
    return np.add.reduce(np.not_equal(x, 0) if x.dtype != BOOL else x, axis=axis, dtype=np.intp, keepdims=keepdims)


# ---------------------------------------------------------------- positions
def _position(op, a, axis, out, keepdims, name):
    x = as_tracer(a)
    keepdims = keepdims is not NO and bool(keepdims) and x.ndim > 0
    node = x.node
    if axis is None:
        ndim, node, along = x.ndim, x.reshape(-1).node, 0
    else:
        ndim, along = None, axis_of(axis, x.ndim) if x.ndim else axis_of(axis, 1)
        node = node if x.ndim else x.reshape(-1).node
    if node.shape[along] == 0:
        raise ValueError(f"attempt to get {name} of an empty sequence")
    if node.type.kind == "c":
        op, node = folds.argmax, _extreme(wrap(node), along, op is folds.argmax).node
    found = op(node, axis=along)
    if dims.interval(node.shape[along])[0] < 1:
        some = broadcast(ops.greater(dim(node.shape[along]), const(0, I64)), found.shape, ())
        found = ops.check(found, some, error=f"empty_{name}", detail=())
    result = wrap(found, scalar=node.ndim == 1 and not keepdims and out is None)
    if keepdims:
        result = result.reshape((1,) * ndim) if axis is None else np.expand_dims(result, along)
    if out is not None and not np.can_cast(out.dtype, I64, "safe"):
        raise TypeError(f"Cannot cast array data from {out.dtype!r} to dtype('int64') according to the rule 'safe'")
    return deliver(result, out)


def _extreme(z, axis, largest):
    """Return where complex numbers are extreme in NumPy's order: by real part, then imaginary part, NaN before all."""
    bad, worst, fold = np.isnan(z), (-np.inf, np.inf)[not largest], (np.min, np.max)[largest]
    found = ~bad
    for part in (z.real, z.imag):
        found = found & (part == fold(np.where(found, part, worst), axis=axis, keepdims=True))
    return np.where(bad.any(axis=axis, keepdims=True), bad, found)


@implements(np.argmax)
def argmax(a, axis=None, out=None, *, keepdims=NO):
    """Return the first position of the largest element."""
    return _position(folds.argmax, a, axis, out, keepdims, "argmax")


@implements(np.argmin)
def argmin(a, axis=None, out=None, *, keepdims=NO):
    """Return the first position of the smallest element."""
    return _position(folds.argmin, a, axis, out, keepdims, "argmin")


# ---------------------------------------------------------------- running folds
def _running(ufunc, a, axis, dtype, out):
    x = as_tracer(a)
    if axis is None:
        x, axis = x.reshape(-1), 0
    elif x.ndim == 0:
        x, axis = x.reshape(-1), axis_of(axis, 1)
    return ufunc.accumulate(x, axis=axis, dtype=dtype, out=out)


@implements(np.cumsum)
def cumsum(a, axis=None, dtype=None, out=None):
    """Return the running sums along an axis."""
    return _running(np.add, a, axis, dtype, out)


@implements(np.cumprod)
def cumprod(a, axis=None, dtype=None, out=None):
    """Return the running products along an axis."""
    return _running(np.multiply, a, axis, dtype, out)


def _cumulative(ufunc, x, axis, dtype, out, include_initial):
    x = np.atleast_1d(as_tracer(x))
    if axis is None:
        if x.ndim > 1:
            raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
        axis = 0
    axis = axis_of(axis, x.ndim)
    result = ufunc.accumulate(x, axis=axis, dtype=dtype)
    if include_initial:
        shape = list(x.shape)
        shape[axis] = 1
        result = np.concatenate([np.full_like(result, ufunc.identity, shape=tuple(shape)), result], axis=axis)
    return deliver(result, out)


def cumulative_sum(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
    """Return the running sums along an axis, from 0 where `include_initial`."""
    return _cumulative(np.add, x, axis, dtype, out, include_initial)


def cumulative_prod(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
    """Return the running products along an axis, from 1 where `include_initial`."""
    return _cumulative(np.multiply, x, axis, dtype, out, include_initial)


for _ours in (cumulative_sum, cumulative_prod):
    if hasattr(np, _ours.__name__):  # NumPy 2.1
        implements(getattr(np, _ours.__name__))(_ours)


@implements(np.diff)
def diff(a, n=1, axis=-1, prepend=NO, append=NO):
    """Return the n-th differences along an axis."""
    n = operator.index(n)
    if n == 0:
        return as_tracer(a)
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}")
    x = as_tracer(a)
    if x.ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    axis = axis_of(axis, x.ndim)
    parts = [x]
    for place, extra in ((0, prepend), (2, append)):
        if extra is not NO:
            extra = as_tracer(extra)
            if extra.ndim == 0:
                extra = np.broadcast_to(extra, tuple(1 if d == axis else m for d, m in enumerate(x.shape)))
            parts.insert(0 if place == 0 else len(parts), extra)
    if len(parts) > 1:
        x = np.concatenate(parts, axis)
    later, earlier = [(slice(None),) * axis + (s,) for s in (slice(1, None), slice(None, -1))]
    minus = np.not_equal if x.dtype == BOOL else np.subtract
    for _ in range(n):
        x = minus(x[later], x[earlier])
    return x


@implements(np.ediff1d)
def ediff1d(ary, to_end=None, to_begin=None):
    """Return the differences of the flattened array, with values put before and behind."""
    x = as_tracer(ary).ravel()
    parts = [x[1:] - x[:-1]]
    for extra, place in ((to_begin, 0), (to_end, 2)):
        if extra is not None:
            extra = as_tracer(extra)
            if not np.can_cast(extra.dtype, x.dtype, "same_kind"):
                name = "to_begin" if place == 0 else "to_end"
                raise TypeError(f"dtype of `{name}` must be compatible with input `ary` under the `same_kind` rule.")
            parts.insert(0 if place == 0 else len(parts), wrap(ops.cast(extra.ravel().node, x.dtype)))
    return np.concatenate(parts)


@implements(np.trace)
def trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    """Return the sum along diagonals."""
    return np.add.reduce(np.diagonal(as_tracer(a), offset, axis1, axis2), axis=-1, dtype=dtype, out=out)


# ---------------------------------------------------------------- folds that skip NaN
def _without_nan(a, fill):
    """Return (array with NaN replaced, mask of NaN or None where there can be none)."""
    x = as_tracer(a)
    if x.dtype.kind not in "fc":
        return x, None
    mask = np.isnan(x)
    return np.where(mask, x.dtype.type(fill), x), mask


@implements(np.nansum)
def nansum(a, axis=None, dtype=None, out=None, keepdims=NO, initial=NO, where=NO):
    """Return the sum over axes, NaN counting as 0."""
    return sum(_without_nan(a, 0)[0], axis, dtype, out, keepdims, initial, where)


@implements(np.nanprod)
def nanprod(a, axis=None, dtype=None, out=None, keepdims=NO, initial=NO, where=NO):
    """Return the product over axes, NaN counting as 1."""
    return prod(_without_nan(a, 1)[0], axis, dtype, out, keepdims, initial, where)


@implements(np.nancumsum)
def nancumsum(a, axis=None, dtype=None, out=None):
    """Return the running sums, NaN counting as 0."""
    return cumsum(_without_nan(a, 0)[0], axis, dtype, out)


@implements(np.nancumprod)
def nancumprod(a, axis=None, dtype=None, out=None):
    """Return the running products, NaN counting as 1."""
    return cumprod(_without_nan(a, 1)[0], axis, dtype, out)


def _nan_extreme(ufunc, a, axis, out, keepdims, initial, where):
    # fmax and fmin pass over NaN; only where there is nothing else do they return it
    return _fold(ufunc, a, axis, None, out, keepdims=keepdims, initial=initial, where=where)


@implements(np.nanmax)
def nanmax(a, axis=None, out=None, keepdims=NO, initial=NO, where=NO):
    """Return the largest element over axes that is not NaN."""
    return _nan_extreme(np.fmax, a, axis, out, keepdims, initial, where)


@implements(np.nanmin)
def nanmin(a, axis=None, out=None, keepdims=NO, initial=NO, where=NO):
    """Return the smallest element over axes that is not NaN."""
    return _nan_extreme(np.fmin, a, axis, out, keepdims, initial, where)


@implements(np.nanargmax)
def nanargmax(a, axis=None, out=None, *, keepdims=NO):
    """Return the first position of the largest element that is not NaN."""
    return argmax(_some_number(a, -np.inf, axis), axis, out, keepdims=keepdims)


@implements(np.nanargmin)
def nanargmin(a, axis=None, out=None, *, keepdims=NO):
    """Return the first position of the smallest element that is not NaN."""
    return argmin(_some_number(a, np.inf, axis), axis, out, keepdims=keepdims)


def _some_number(a, fill, axis):
    """Return the array with NaN replaced, checked to have a number in each slice along an axis."""
    x, mask = _without_nan(a, fill)
    if mask is None or x.size == 0:
        return x
    some = np.logical_not(np.logical_and.reduce(mask, axis=axis, keepdims=True))
    return wrap(ops.check(x.node, np.broadcast_to(some, x.shape).node, error="all_nan", detail=()))


# ---------------------------------------------------------------- composites over axes of scipy.special
def _float_axes(a, axis):
    x = as_tracer(a)
    dtype = x.dtype if x.dtype.kind in "fc" else np.dtype(float)
    return ops.cast(x.node, dtype), axes_of(axis, x.ndim)


def _keep(node, axes, shape, keepdims):
    if not keepdims:
        return node
    return wrap(node).reshape([1 if d in axes else n for d, n in enumerate(shape)]).node


@implements("scipy.special.logsumexp", without=("complex numbers",))
def logsumexp(a, axis=None, b=None, keepdims=False, return_sign=False):
    """Return the logarithm of the sum of exponentials over axes, without overflow; see scipy.special.logsumexp."""
    x = as_tracer(a)
    if x.dtype.kind == "c":
        refuse_option("scipy.special.logsumexp", "complex numbers", "work on real and imaginary parts")
    if static(return_sign, "return_sign"):
        return _signed_logsumexp(x, axis, b, keepdims)
    if b is not None:
        weights = as_tracer(b)
        # A zero weight takes its element out, whatever that is; the others enter as log(b) would.
        x = np.where(np.equal(weights, 0), -np.inf, x + np.log(np.where(np.equal(weights, 0), 1, weights)))
    node, axes = _float_axes(x, axis)
    from tracejit.symbolic.ops.composite import logsumexp as op  # the op has the function's name

    out = op(node, axes=axes)
    return wrap(_keep(out, axes, node.shape, keepdims), scalar=out.ndim == 0 and not keepdims)


def _signed_logsumexp(x, axis, b, keepdims):
    """Return (log |s|, sign of s) of the sum s."""
    node, axes = _float_axes(x, axis)
    x = wrap(node)
    weights = 1.0 if b is None else as_tracer(b)
    x = np.where(np.equal(weights, 0), -np.inf, x)
    top = np.max(x, axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.sum(weights * np.exp(x - top), axis=axes, keepdims=True)
    found = np.log(np.abs(total)) + top, np.sign(total)
    return tuple(v if keepdims else np.squeeze(v, axes)[()] for v in found)


@implements("scipy.special.softmax")
def softmax(x, axis=None):
    """Return exponentials divided by their sum over axes; see scipy.special.softmax."""
    from tracejit.symbolic.ops.composite import softmax as op  # the op has the function's name

    node, axes = _float_axes(x, axis)
    return wrap(op(node, axes=axes))


@implements("scipy.special.log_softmax")
def log_softmax(x, axis=None):
    """Return the logarithm of softmax; see scipy.special.log_softmax."""
    from tracejit.symbolic.ops.composite import log_softmax as op  # the op has the function's name

    node, axes = _float_axes(x, axis)
    return wrap(op(node, axes=axes))
