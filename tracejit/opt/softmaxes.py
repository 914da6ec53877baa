"""Sums and ratios of exponentials: logsumexp, softmax, log_softmax and the cross-entropy made of them.

Shifting by the maximum is left to the lowering of these ops, so a shift that the user wrote is dropped.
"""

import math

from tracejit.opt.rewrite import rewrite, rules
from tracejit.opt.stabilize import opposite
from tracejit.symbolic.ir import scalar_literal
from tracejit.symbolic.ops.composite import log_softmax, logsumexp, softmax
from tracejit.symbolic.ops.index import dynamic_slice, gather
from tracejit.symbolic.ops.reduce import reduce_max, reduce_sum
from tracejit.symbolic.ops.scalar import (
    add,
    divide,
    exp,
    log,
    log1p,
    logaddexp,
    multiply,
    sigmoid,
    softplus,
    subtract,
)
from tracejit.symbolic.ops.shape import broadcast, broadcast_op, full, iota, reshape, reshape_op, slice_, slice_op


def kept(x, axes):
    """Return the axes of `x` that a reduction over `axes` keeps."""
    return tuple([a for a in range(x.ndim) if a not in axes])


def _spread(value, x, axes):
    return broadcast(value, x.shape, kept(x, axes))


def _examples(x):
    total, top = _spread(reduce_sum(exp(x), axes=(1,)), x, (1,)), _spread(reduce_max(x, axes=(1,)), x, (1,))
    lse = _spread(logsumexp(x, axes=(1,)), x, (1,))
    return [exp(x) / total, (x * exp(x)) / total, x - lse, exp(x - lse), log(softmax(x, axes=(0,))),
            exp(log_softmax(x, axes=(0,))), softmax(x - top, axes=(1,)), log(exp(x)) - lse,
            log1p(reduce_sum(exp(x), axes=(1,))), log(reduce_sum(exp(x), axes=(1,)))]


def _rows(x, a, d):
    return x.type.kind == "f" and tuple(d) == kept(x, a)


@rules("stabilize", examples=_examples)
def softmaxes(x, y, a, s, d):
    total = broadcast_op(reduce_sum(exp(x), axes=a), shape=s, dims=d)
    spread = broadcast_op(logsumexp(x, axes=a), shape=s, dims=d)
    yield exp(x) / total,                           softmax(x, axes=a), _rows
    yield (y * exp(x)) / total,                     y * softmax(x, axes=a), _rows
    yield x - spread,                               log_softmax(x, axes=a), _rows
    yield log(exp(x)) - spread,                     log_softmax(x, axes=a), _rows


@rules("stabilize", guard="float", examples=_examples)
def logarithms_of_sums(x, a):
    yield log(reduce_sum(exp(x), axes=a)),          logsumexp(x, axes=a)
    yield log1p(reduce_sum(exp(x), axes=a)),        softplus(logsumexp(x, axes=a))
    yield log(softmax(x, axes=a)),                  log_softmax(x, axes=a)
    yield exp(log_softmax(x, axes=a)),              softmax(x, axes=a)


# ---------------------------------------------------------------- shifts
def _without_shift(x, axes):
    """Return x for x - m or x + m, where m does not vary along `axes`; else None."""
    if x.op is not subtract and x.op is not add:
        return None
    for i in (1, 0):
        m = x.args[i]
        if m.op is broadcast_op and not set(m.attrs[1]) & set(axes):
            if i:
                return x.args[0]
            return -x.args[1] if x.op is subtract else x.args[1]
    return None


@rewrite(softmax, log_softmax, phase="stabilize", safety="stable", examples=lambda x: [
    op(x - _spread(reduce_max(x, axes=(1,)), x, (1,)), axes=(1,)) for op in (softmax, log_softmax)])
def softmax_of_shifted(node):
    """softmax(x - m) is softmax(x)."""
    x = _without_shift(node.args[0], node.attrs[0])
    return None if x is None else node.op(x, axes=node.attrs[0])


@rewrite(add, phase="stabilize", safety="stable", needs=(logsumexp,), examples=lambda x: [
    reduce_max(x, axes=(1,)) + logsumexp(x - _spread(reduce_max(x, axes=(1,)), x, (1,)), axes=(1,)),
    logsumexp(x - _spread(reduce_max(x, axes=(0, 1)), x, (0, 1)), axes=(1,))
    + broadcast(reduce_max(x, axes=(0, 1)), (3,), ())])
def logsumexp_of_shifted(node):
    """m + logsumexp(x - m) is logsumexp(x)."""
    for total, m in (node.args, node.args[::-1]):
        if total.op is not logsumexp or total.args[0].op is not subtract:
            continue
        x, spread = total.args[0].args
        axes, = total.attrs
        if spread.op is broadcast_op and not set(spread.attrs[1]) & set(axes):
            keep = kept(x, axes)
            if broadcast(spread.args[0], node.shape, [keep.index(d) for d in spread.attrs[1]]) is m:
                return logsumexp(x, axes=axes)
    return None


# ---------------------------------------------------------------- logarithms of what is made of exponentials
def _in_logarithms(node):
    """Return (log(node) without leaving the logarithmic scale, whether something was gained), or None."""
    op = node.op
    if op is exp:
        return node.args[0], False
    value = scalar_literal(node)
    if value is not None:
        return (full(math.log(value), node.type), False) if 0 < value < math.inf else None
    if op is sigmoid:
        return -softplus(opposite(node.args[0])), True
    if op is softmax:
        return log_softmax(node.args[0], axes=node.attrs[0]), True
    if op is reduce_sum:
        inner = _in_logarithms(node.args[0])
        return inner and (logsumexp(inner[0], axes=node.attrs[0]), True)
    if op in (add, multiply, divide):
        parts = [_in_logarithms(a) for a in node.args]
        if None in parts:
            return None
        (x, gain), (y, other_gain) = parts
        combine = {add: logaddexp, multiply: add, divide: subtract}[op]
        return combine(x, y), gain or other_gain or op is add
    if op is broadcast_op:
        inner = _in_logarithms(node.args[0])
        return inner and (broadcast(inner[0], node.shape, node.attrs[1]), inner[1])
    return None


@rewrite(log, phase="stabilize", safety="stable", examples=lambda x, y, u: [
    log(exp(x) + exp(y)), log(exp(x) + exp(y) + exp(-x)), log(3.0 + exp(x)),
    log(reduce_sum(2.0 * exp(x), axes=(1,)) / 4.0),
    log(exp(x) / broadcast(reduce_sum(exp(y), axes=(1,)), (3, 4), (0,))), log(sigmoid(x) * sigmoid(y))])
def log_of_exponentials(node):
    """Sums, products and quotients of exponentials have their logarithm without leaving the logarithmic scale."""
    x, = node.args
    if x.type.kind != "f" or x.op not in (add, multiply, divide, reduce_sum):
        return None
    found = _in_logarithms(x)
    return found[0] if found and found[1] else None


@rewrite(log, phase="stabilize", safety="stable", examples=lambda x: [
    log(gather(softmax(x, axes=(1,)), iota("int64", (3,)), iota("int64", (3,)))),
    log(reshape(slice_(softmax(x, axes=(1,)), (0, 1), (1, 1), (3, 2)), (6,))), log(reshape(sigmoid(x), (12,)))])
def log_of_selected(node):
    """The logarithm of elements picked from a softmax or sigmoid is picked from its logarithm."""
    chain, x = [], node.args[0]
    while x.op in (gather, slice_op, dynamic_slice, reshape_op):
        chain.append(x)
        x = x.args[0]
    if not chain or x.op not in (softmax, sigmoid):
        return None
    x = log(x)
    for view in reversed(chain):
        x = view.rebuild((x, *view.args[1:]))
    return x


