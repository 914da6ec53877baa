"""Canonical forms of reductions: merged with each other, moved inside views, none over a single element."""

import math

import numpy as np

from tracejit.opt.facts import is_range
from tracejit.opt.pattern import is_literal
from tracejit.opt.rewrite import rewrite, rules
from tracejit.opt.views import changes_unit_axes_only, wide
from tracejit.symbolic.ir import OPS, const
from tracejit.symbolic.ops.composite import log_softmax, softmax
from tracejit.symbolic.ops.index import scatter_add
from tracejit.symbolic.ops.reduce import (
    argmax,
    reduce_and,
    reduce_max,
    reduce_min,
    reduce_or,
    reduce_prod,
    reduce_sum,
    reduce_xor,
)
from tracejit.symbolic.ops.scalar import exp, log, negative, power, sigmoid, softplus, tanh
from tracejit.symbolic.ops.shape import (
    broadcast,
    broadcast_op,
    concatenate,
    concatenate_op,
    full,
    full_like,
    iota,
    reshape,
    reshape_op,
    transpose,
    transpose_op,
    zeros,
)

_REDUCTIONS = (reduce_sum, reduce_prod, reduce_max, reduce_min, reduce_and, reduce_or, reduce_xor)
#: A reduction over joined pieces is split up where there are at most this many.
FEW_PIECES = 16


@rewrite(*_REDUCTIONS, phase="canonicalize", examples=lambda x, u: [
    reduce_sum(x, axes=()), reduce_max(reshape(u, (3, 1)), axes=(1,)), reduce_sum(reshape(u, (3, 1)), axes=(0, 1))])
def reduce_nothing(node):
    """A reduction over no axes is gone, and so are axes of length 1."""
    x, = node.args
    axes, = node.attrs
    if not axes:
        return x
    units = [a for a in axes if x.shape[a] == 1]
    if not units:
        return None
    gone = dict(zip([a for a in range(x.ndim) if a not in units], range(x.ndim)))
    squeezed = reshape(x, [x.shape[a] for a in gone])
    return node.op(squeezed, axes=tuple([gone[a] for a in axes if a in gone]))


@rewrite(*_REDUCTIONS, phase="canonicalize", safety="rounding", examples=lambda x: [
    op(op(x, axes=(0,)), axes=(0,)) for op in (reduce_sum, reduce_prod, reduce_max)])
def reduce_of_reduce(node):
    """sum(sum(x, a), b) is one sum."""
    inner, = node.args
    if inner.op is not node.op:
        return None
    kept = [a for a in range(inner.args[0].ndim) if a not in inner.attrs[0]]
    return node.op(inner.args[0], axes=tuple(sorted([*inner.attrs[0], *[kept[a] for a in node.attrs[0]]])))


@rewrite(*_REDUCTIONS, phase="canonicalize", safety="rounding", examples=lambda x, u, s: [
    reduce_sum(broadcast(u, (3, 4), (0,)), axes=(1,)), reduce_max(broadcast(u, (3, 4), (0,)), axes=(0, 1)),
    reduce_prod(broadcast(u, (3, 4), (0,)), axes=(1,)), reduce_sum(broadcast(u, (3, 4), (0,)), axes=(0,))])
def reduce_of_broadcast(node):
    """The sum of what is repeated n times is n times the sum; a maximum does not see repetition."""
    inner, = node.args
    if inner.op is not broadcast_op or not inner.type.is_static:
        return None
    axes, (shape, dims) = node.attrs[0], inner.attrs
    count = math.prod([shape[a] for a in axes if a not in dims])
    x = node.op(inner.args[0], axes=tuple([i for i, d in enumerate(dims) if d in axes]))
    if count == 0:
        fill = {reduce_sum: 0, reduce_prod: 1, reduce_or: 0, reduce_xor: 0}.get(node.op)
        return None if fill is None else full(fill, node.type)
    if count != 1:
        if node.op is reduce_sum:
            factor = _as_dtype(count, x.dtype)
            if factor is None:
                return None
            x = x * full_like(factor, x)
        elif node.op is reduce_prod:
            factor = _as_dtype(count, x.dtype)
            if factor is None or x.type.kind not in "fc":
                return None
            x = power(x, full_like(factor, x))
        elif node.op is reduce_xor and count % 2 == 0:
            x = zeros(x.type)
    kept = [a for a in range(len(shape)) if a not in axes]
    return broadcast(x, node.shape, [kept.index(d) for d in dims if d not in axes])


def _as_dtype(count, dtype):
    """Return the integer in that dtype, None where it holds it neither exactly nor nearly."""
    with np.errstate(all="ignore"):
        value = np.int64(count).astype(dtype)
    return value if dtype.kind in "iu" or np.isfinite(value) else None


@rewrite(*_REDUCTIONS, phase="canonicalize", safety="rounding", examples=lambda x: [
    reduce_sum(transpose(x, (1, 0)), axes=(0,)), reduce_max(reshape(x, (3, 1, 4)), axes=(2,)),
    reduce_sum(reshape(x, (12,)), axes=(0,))])
def reduce_of_view(node):
    """Transposes, and reshapes of length-1 axes, move outward; a sum over everything sees no reshape."""
    inner, = node.args
    axes, = node.attrs
    if inner.op is transpose_op:
        perm, x = inner.attrs[0], inner.args[0]
        gone = sorted([perm[a] for a in axes])
        kept = [a for a in range(x.ndim) if a not in gone]
        out = [perm[a] for a in range(x.ndim) if a not in axes]
        return transpose(node.op(x, axes=tuple(gone)), [kept.index(a) for a in out])
    if inner.op is not reshape_op:
        return None
    x = inner.args[0]
    if changes_unit_axes_only(inner):
        place = dict(zip(wide(inner.shape), wide(x.shape)))
        return reshape(node.op(x, axes=tuple([place[a] for a in axes if a in place])), node.shape)
    return node.op(x, axes=tuple(range(x.ndim))) if len(axes) == inner.ndim else None


@rewrite(
    reduce_sum, reduce_max, reduce_min, reduce_prod, phase="canonicalize", safety="rounding", needs=(concatenate_op,),
    examples=lambda u: [reduce_sum(concatenate([reshape(u, (1, 3)), reshape(exp(u), (1, 3))], 0), axes=(0,))])
def reduce_of_joined(node):
    """A sum over stacked arrays is their sum."""
    inner, = node.args
    axis, = inner.attrs
    if axis not in node.attrs[0] or len(inner.args) > FEW_PIECES or any(x.shape[axis] != 1 for x in inner.args):
        return None
    fold = OPS[node.op.reduce]
    total = None
    for x in inner.args:
        part = node.op(x, axes=node.attrs[0])
        total = part if total is None else fold(total, part)
    return total


@rewrite(reduce_sum, reduce_prod, reduce_or, phase="canonicalize", examples=lambda e: [reduce_sum(e, axes=(0,))])
def reduce_of_empty(node):
    """A sum of nothing is 0, a product 1."""
    x, = node.args
    if not x.type.is_static or all(x.shape[a] for a in node.attrs[0]):
        return None
    return full(1 if node.op is reduce_prod else 0, node.type)


@rules("canonicalize", guard="float", examples=lambda x: [reduce_max(-x, axes=(1,)), reduce_min(-x, axes=(0,))])
def extremes_of_negated(x, a):
    yield reduce_max(-x, axes=a),               -reduce_min(x, axes=a)
    yield reduce_min(-x, axes=a),               -reduce_max(x, axes=a)


@rewrite(reduce_sum, phase="canonicalize", safety="careless", examples=lambda x, u: [
    reduce_sum(3.0 * x, axes=(0,)), reduce_sum(-x, axes=(1,)), reduce_sum(x * broadcast(u, (3, 4), (0,)), axes=(1,)),
    reduce_sum(x / broadcast(u, (3, 4), (0,)), axes=(1,))])
def factor_out_of_sum(node):
    """sum(a * x) is a * sum(x) where a does not vary along the sum."""
    inner, = node.args
    axes, = node.attrs
    if inner.op.name == "negative":
        return -reduce_sum(inner.args[0], axes=axes)
    if inner.op.name not in ("multiply", "divide"):
        return None
    for i, a in enumerate(inner.args):
        if a.op is broadcast_op and not set(a.attrs[1]) & set(axes) and (i or inner.op.name == "multiply"):
            kept = [k for k in range(inner.ndim) if k not in axes]
            factor = broadcast(a.args[0], node.shape, [kept.index(d) for d in a.attrs[1]])
            return inner.op(reduce_sum(inner.args[1 - i], axes=axes), factor)
    return None


@rules("canonicalize", safety="careless", guard="float", examples=lambda x: [
    argmax(f(x), axis=1) for f in (exp, log, sigmoid, softplus, tanh)] + [
    argmax(f(x, axes=(1,)), axis=1) for f in (softmax, log_softmax)])
def largest_of_monotone(x, a):
    """Rounding makes ties where there were none, hence careless."""
    for f in (exp, log, sigmoid, softplus, tanh):
        yield argmax(f(x), axis=a),             argmax(x, axis=a)
    for f in (softmax, log_softmax):
        yield argmax(f(x, axes=(1,)), axis=a),  argmax(x, axis=a), lambda a: a == 1


@rewrite(reduce_sum, phase="canonicalize", safety="rounding", examples=lambda x, u: [
    reduce_sum(scatter_add(zeros(x.type), u, iota("int64", (3,)), const([2, 0, 2])), axes=(1,)),
    reduce_sum(-scatter_add(zeros(x.type), u, iota("int64", (3,)), const([2, 0, 2])), axes=(1,))])
def sum_of_scattered_rows(node):
    """One element per row, put anywhere in it, is the sum of that row: the gradient of picking by label."""
    x, = node.args
    inner = x.args[0] if x.op is negative else x
    if inner.op is not scatter_add or inner.ndim != 2 or node.attrs[0] != (1,) or len(inner.args) != 4:
        return None
    into, value, row, _ = inner.args
    if not is_literal(into, 0) or not is_range(row, inner.shape[0]):
        return None
    return -value if x.op is negative else value
