"""Composites over axes that stay whole until lowering, so that rules can see them."""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.ir import define
from tracejit.symbolic.ops.reduce import reduce_max, reduce_sum
from tracejit.symbolic.ops.scalar import equal, exp, isfinite, log, multiply, select
from tracejit.symbolic.ops.shape import broadcast, full_like, zeros


def _reduced(x, axes):
    if x.kind != "f" or list(axes) != sorted(set(axes)):
        raise TypeRuleError(f"reduction of {x} over axes {axes}")
    return x.with_shape([n for a, n in enumerate(x.shape) if a not in axes])


def _same(x, axes):
    _reduced(x, axes)
    return x


def _batch(node, args, batched):
    return node.op(args[0], axes=tuple(a + 1 for a in node.attrs[0]))


def _kept(x, axes):
    return [a for a in range(x.ndim) if a not in axes]


def _finite_max(x, axes):
    """Return the largest element where it is finite, else 0, so that infinities pass through the shifted sum."""
    top = reduce_max(x, axes=axes)
    return select(isfinite(top), top, zeros(top.type))


def _logsumexp_expand(x, axes):
    top = _finite_max(x, axes)
    return top + log(reduce_sum(exp(x - broadcast(top, x.shape, _kept(x, axes))), axes=axes))


def _logsumexp_ref(x, axes):
    top = np.max(x, axes, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    return (np.log(np.sum(np.exp(x - top), axes, keepdims=True)) + top).squeeze(axes).astype(x.dtype)


def _logsumexp_jvp(node, tangents):
    axes, = node.attrs
    x, = node.args
    # of nothing but -inf no element has a share, and the result stays what it is
    top = reduce_max(x, axes=axes)
    none = broadcast(equal(top, full_like(-np.inf, top)), x.shape, _kept(x, axes))
    return reduce_sum(select(none, zeros(x.type), softmax(x, axes=axes)) * tangents[0], axes=axes)


#: log(sum(exp(x))) over `axes`, shifted by the maximum.
logsumexp = define("logsumexp", attrs=("axes",), type=_reduced, ref=_logsumexp_ref, expand=_logsumexp_expand,
                   jvp=_logsumexp_jvp, batch=_batch)


def _softmax_expand(x, axes):
    e = exp(x - broadcast(reduce_max(x, axes=axes), x.shape, _kept(x, axes)))
    return e / broadcast(reduce_sum(e, axes=axes), x.shape, _kept(x, axes))


def _softmax_ref(x, axes):
    e = np.exp(x - np.max(x, axes, keepdims=True))
    return (e / np.sum(e, axes, keepdims=True)).astype(x.dtype)


def _softmax_jvp(node, tangents):
    t, = tangents
    weighted = multiply(node, t)
    return weighted - node * broadcast(reduce_sum(weighted, axes=node.attrs[0]), node.shape, _kept(node, node.attrs[0]))


softmax = define("softmax", attrs=("axes",), type=_same, ref=_softmax_ref, expand=_softmax_expand, jvp=_softmax_jvp,
                 batch=_batch)


def _log_softmax_expand(x, axes):
    shifted = x - broadcast(_finite_max(x, axes), x.shape, _kept(x, axes))
    return shifted - broadcast(log(reduce_sum(exp(shifted), axes=axes)), x.shape, _kept(x, axes))


def _log_softmax_ref(x, axes):
    top = np.max(x, axes, keepdims=True)
    shifted = x - np.where(np.isfinite(top), top, 0)
    return (shifted - np.log(np.sum(np.exp(shifted), axes, keepdims=True))).astype(x.dtype)


def _log_softmax_jvp(node, tangents):
    x, = node.args
    axes, = node.attrs
    t, = tangents
    return t - broadcast(reduce_sum(softmax(x, axes=axes) * t, axes=axes), x.shape, _kept(x, axes))


log_softmax = define("log_softmax", attrs=("axes",), type=_same, ref=_log_softmax_ref, expand=_log_softmax_expand,
                     jvp=_log_softmax_jvp, batch=_batch)
