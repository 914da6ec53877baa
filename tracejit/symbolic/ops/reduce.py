"""Reductions over axes, positions of extremes, and running reductions."""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.ir import OPS, const, define
from tracejit.symbolic.ops.scalar import cast, equal, maximum, minimum, select
from tracejit.symbolic.ops.shape import (
    batch_together,
    broadcast,
    concatenate,
    full_like,
    iota,
    slice_,
    transpose,
    zeros,
)
from tracejit.symbolic.types import I64


def _reduced(x, axes):
    if list(axes) != sorted(set(axes)) or any(not 0 <= a < x.ndim for a in axes):
        raise TypeRuleError(f"reduction of {x} over axes {axes}: they must rise within its rank")
    return x.with_shape([n for a, n in enumerate(x.shape) if a not in axes])


def _kept(node):
    """Return the axes of the argument that a reduction keeps."""
    axes = node.attr("axes")
    return [a for a in range(node.args[0].ndim) if a not in axes]


def spread(value, node):
    """Return the result-shaped `value` of a reduction `node` broadcast back over the reduced axes."""
    return broadcast(value, node.args[0].shape, _kept(node))


def _batch(node, args, batched):
    return node.op(args[0], axes=tuple(a + 1 for a in node.attr("axes")))


def reduction(name, ref, kinds, fold, **rule):
    """Define a reduction which folds the scalar op `fold` over `axes` (rising, static)."""
    def kind(x, axes):
        if x.kind not in kinds:
            raise TypeRuleError(f"{name} of {x}: needs a dtype of kind {kinds}")
        return _reduced(x, axes)
    return define(name, attrs=("axes",), type=kind, ref=lambda x, axes: _apply(ref, fold, x, axes), reduce=fold,
                  batch=_batch, **rule)


def _apply(ref, fold, x, axes):
    if x.size == 0:  # NumPy has no extreme of nothing; whether there is something is known at run time only, perhaps
        return np.full([n for a, n in enumerate(x.shape) if a not in axes], identity(fold, x.dtype))
    return ref(x, axis=axes) if axes else x


def identity(fold, dtype):
    """Return the scalar that changes nothing under a fold."""
    if fold == "add" or fold in ("bitwise_or", "bitwise_xor"):
        return dtype.type(0)
    if fold == "multiply":
        return dtype.type(1)
    if fold == "bitwise_and":
        return dtype.type(True) if dtype.kind == "b" else dtype.type(np.array(-1).astype(dtype))
    low = fold == "maximum"
    if dtype.kind == "f":
        return dtype.type(-np.inf if low else np.inf)
    if dtype.kind == "b":
        return dtype.type(not low)
    return dtype.type(np.iinfo(dtype).min if low else np.iinfo(dtype).max)


reduce_sum = reduction("reduce_sum", lambda x, axis: np.sum(x, axis, dtype=x.dtype), "iufc", "add", linear="joint",
                       transpose=lambda ct, node, wanted: (spread(ct, node),))


def _extreme_jvp(node, tangents):
    """Ties share the tangent equally."""
    x, = node.args
    hit = cast(equal(x, spread(node, node)), x.dtype)
    count = reduce_sum(hit, axes=node.attrs[0])
    return reduce_sum(hit * tangents[0], axes=node.attrs[0]) / count


reduce_max = reduction("reduce_max", np.max, "biuf", "maximum", jvp=_extreme_jvp)
reduce_min = reduction("reduce_min", np.min, "biuf", "minimum", jvp=_extreme_jvp)


def _prod_jvp(node, tangents):
    """The product of the others comes from running products in both directions, so zeros need no division."""
    x, t = node.args[0], tangents[0]
    for axis in reversed(node.attrs[0]):
        before, after = _exclusive_product(x, axis, False), _exclusive_product(x, axis, True)
        t = reduce_sum(t * before * after, axes=(axis,))
        x = reduce_prod(x, axes=(axis,))
    return t


def _exclusive_product(x, axis, reverse):
    """Return the product of the elements before each one (after it where `reverse`)."""
    return shifted(cumprod(x, axis=axis, reverse=reverse), axis, reverse, 1)


reduce_prod = reduction("reduce_prod", lambda x, axis: np.prod(x, axis, dtype=x.dtype), "iufc", "multiply",
                        jvp=_prod_jvp)
reduce_and = reduction("reduce_and", np.bitwise_and.reduce, "biu", "bitwise_and", differentiable=False)
reduce_or = reduction("reduce_or", np.bitwise_or.reduce, "biu", "bitwise_or", differentiable=False)
reduce_xor = reduction("reduce_xor", np.bitwise_xor.reduce, "biu", "bitwise_xor", differentiable=False)


# ---------------------------------------------------------------- positions of extremes
def _position_type(x, axis):
    if x.kind not in "biuf" or x.shape[axis] == 0:
        raise TypeRuleError(f"position of an extreme of {x} along axis {axis}")
    return _reduced(x, (axis,)).with_dtype(I64)


def _axis_batch(node, args, batched):
    attrs = dict(zip(node.op.attrs, node.attrs))
    return node.op(args[0], **{**attrs, "axis": attrs["axis"] + 1})


#: First position of the largest (smallest) element along `axis`; NaN counts as the extreme, as in NumPy.
argmax = define("argmax", attrs=("axis",), type=_position_type, ref=lambda x, axis: np.argmax(x, axis),
                routine="argmax", batch=_axis_batch, differentiable=False)
argmin = define("argmin", attrs=("axis",), type=_position_type, ref=lambda x, axis: np.argmin(x, axis),
                routine="argmin", batch=_axis_batch, differentiable=False)


# ---------------------------------------------------------------- running reductions
def running(name, ufunc, kinds, **rule):
    """Define ``y[i] = fold(x[0..i])`` along `axis`, from the far end where `reverse`."""
    def ref(x, axis, reverse):
        y = np.flip(x, axis) if reverse else x
        y = ufunc.accumulate(y, axis, dtype=x.dtype)
        return np.flip(y, axis) if reverse else y

    def kind(x, axis, reverse):
        if x.kind not in kinds or not 0 <= axis < x.ndim:
            raise TypeRuleError(f"{name} of {x} along axis {axis}")
        return x
    return define(name, attrs=("axis", "reverse"), type=kind, ref=ref, routine="accumulate", batch=_axis_batch, **rule)


cumsum = running("cumsum", np.add, "iufc", linear="joint", transpose=lambda ct, node, wanted: (
    cumsum(ct, axis=node.attrs[0], reverse=not node.attrs[1]),))


def _cumprod_jvp(node, tangents):
    """Exact at zeros, without division: t[i] = t[i-1] x[i] + y[i-1] dx[i]."""
    axis, reverse = node.attrs
    return linear_scan(node.args[0], tangents[0] * shifted(node, axis, reverse, 1), axis=axis, reverse=reverse)


def shifted(x, axis, reverse, fill):
    """Return `x` moved one place along `axis` (away from the start of the run), `fill` entering."""
    n = x.shape[axis]
    if n == 0:
        return x
    if type(n) is not int:
        return _shifted_of_unknown_size(x, axis, reverse, fill)
    sizes, start, one = list(x.shape), [0] * x.ndim, list(x.shape)
    sizes[axis], one[axis] = n - 1, 1
    first = slice_(x, start, [1] * x.ndim, one)
    first = full_like(fill, first)
    if n == 1:
        return first
    if reverse:
        start[axis] = 1
        return concatenate([slice_(x, start, [1] * x.ndim, sizes), first], axis)
    return concatenate([first, slice_(x, start, [1] * x.ndim, sizes)], axis)


cumprod = running("cumprod", np.multiply, "iufc", jvp=_cumprod_jvp)
cummax = running("cummax", np.maximum, "biuf", jvp=lambda node, ts: _running_extreme_jvp(node, ts[0]))
cummin = running("cummin", np.minimum, "biuf", jvp=lambda node, ts: _running_extreme_jvp(node, ts[0]))


def _running_extreme_jvp(node, t):
    """The tangent of the element that set the record is held until the next: y = c * y_prev + (1 - c) * t."""
    axis, reverse = node.attrs
    x = node.args[0]
    record = equal(x, node)
    keep = select(record, zeros(x.type), full_like(1, x))
    return linear_scan(keep, select(record, t, zeros(t.type)), axis=axis, reverse=reverse)


def _shifted_of_unknown_size(x, axis, reverse, fill):
    """Return what `shifted` does by reading each element's neighbour: there may be none."""
    place, n = iota(I64, (x.shape[axis],), 0), x.shape[axis]
    last = broadcast(maximum(n - 1, const(0, I64)), place.shape, ()) if reverse else full_like(0, place)
    neighbour = minimum(place + 1, last) if reverse else maximum(place - 1, last)
    order = [axis, *[a for a in range(x.ndim) if a != axis]]
    moved = OPS["gather"](transpose(x, order), neighbour)
    moved = transpose(moved, [order.index(a) for a in range(x.ndim)])
    return select(broadcast(equal(place, last), x.shape, (axis,)), full_like(fill, x), moved)


def _linear_scan_type(a, b, axis, reverse):
    if a is not b or a.kind not in "fc" or not 0 <= axis < a.ndim:
        raise TypeRuleError(f"linear_scan of {a}, {b} along axis {axis}")
    return a


def _linear_scan_ref(a, b, axis, reverse):
    a, b = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    out = np.empty_like(b)
    carry = np.zeros(b.shape[1:], b.dtype)
    for i in (reversed(range(len(b))) if reverse else range(len(b))):
        carry = a[i] * carry + b[i]
        out[i] = carry
    return np.moveaxis(out, 0, axis)


def _linear_scan_jvp(node, tangents):
    axis, reverse = node.attrs
    return linear_scan(node.args[0], tangents[0] * shifted(node, axis, reverse, 0), axis=axis, reverse=reverse)


def _linear_scan_transpose(ct, node, wanted):
    """The transpose of a first-order recurrence in its drive runs the other way with the coefficients one place on."""
    a, _ = node.args
    axis, reverse = node.attrs
    return None, linear_scan(shifted(a, axis, not reverse, 0), ct, axis=axis, reverse=not reverse)


def _linear_scan_batch(node, args, batched):
    return linear_scan(*batch_together(args, batched), axis=node.attrs[0] + 1, reverse=node.attrs[1])


#: ``y[i] = a[i] * y[i-1] + b[i]`` along `axis`: the derivative of running products and extremes. Linear in b; its jvp
#: in `a` is written with itself.
linear_scan = define(
    "linear_scan", attrs=("axis", "reverse"), type=_linear_scan_type, ref=_linear_scan_ref, linear=(1,),
    jvp=_linear_scan_jvp, transpose=_linear_scan_transpose, routine="linear_scan", batch=_linear_scan_batch)
