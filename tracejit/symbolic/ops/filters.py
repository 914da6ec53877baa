"""Recursive filters along the last axis: each number depends on those before it.

Oppenheim and Schafer, "Discrete-Time Signal Processing": the transposed direct form II. The state rides behind the
signal, so that a row is one vector and the filter a linear map of it.
"""

import numpy as np

from tracejit.errors import TypeRuleError, UnsupportedError
from tracejit.symbolic.ir import const, define, describe
from tracejit.symbolic.ops.shape import broadcast, concatenate, reshape, slice_, zeros


def _filter_type(b, a, u):
    if b is not a or b.ndim != 1 or b.shape[0] < 2 or u.ndim != 2 or u.dtype != b.dtype or u.kind not in "fc" or (
            u.shape[1] < b.shape[0] - 1):
        raise TypeRuleError(f"lfilter of {b}, {a} and {u}: needs two vectors of one length, and rows of the same dtype")
    return u


def _filter_ref(b, a, u):
    order = len(b) - 1
    n = u.shape[1] - order
    y, z = u.copy(), u[:, n:].copy()
    for i in range(n):
        x = u[:, i].copy()
        y[:, i] = z[:, 0] + b[0] * x
        shifted = np.concatenate([z[:, 1:], np.zeros_like(z[:, :1])], axis=1)
        z = shifted + x[:, None] * b[1:] - y[:, i, None] * a[1:]
    y[:, n:] = z
    return y


def _adjoint_ref(b, a, ct):
    order = len(b) - 1
    n = ct.shape[1] - order
    x, z = ct.copy(), ct[:, n:].copy()
    for i in reversed(range(n)):
        total = ct[:, i] - z @ a[1:]
        x[:, i] = b[0] * total + z @ b[1:]
        z = np.concatenate([total[:, None], z[:, :-1]], axis=1)
    x[:, n:] = z
    return x


def _unit(k, like):
    return const(np.eye(like.shape[0], dtype=like.dtype)[k])


def _without_state(u, order):
    """Return the rows with a state of zeros."""
    rows, n = u.shape[0], u.shape[1] - order
    return concatenate([slice_(u, (0, 0), (1, 1), (rows, n)), zeros(u.type.with_shape((rows, order)))], axis=1)


def _weighted(op, coefficients, tangent, a, u):
    """Return the sum of the filters of single coefficients, weighted by a tangent."""
    total = None
    for k in coefficients:
        factor = broadcast(reshape(slice_(tangent, (k,), (1,), (1,)), ()), u.shape, ())
        term = factor * op(_unit(k, tangent), a, u)
        total = term if total is None else total + term
    return total


def _filter_jvp(node, tangents):
    """A filter is linear in its numerator; a change of the denominator acts as a numerator on the result."""
    b, a, u = node.args
    order, total = b.shape[0] - 1, None
    if tangents[0] is not None:
        total = _weighted(lfilter, range(order + 1), tangents[0], a, _without_state(u, order))
    if tangents[1] is not None:
        moved = _weighted(lfilter, range(1, order + 1), tangents[1], a, _without_state(node, order))
        total = -moved if total is None else total - moved
    return total


def _adjoint_jvp(node, tangents):
    """The adjoint is a recursion backwards (in a), of whose results windows are weighted by b."""
    b, a, u = node.args
    order, rows = b.shape[0] - 1, u.shape[0]
    n = u.shape[1] - order
    behind = zeros(u.type.with_shape((rows, order)))
    recursion = slice_(lfilter_adjoint(_unit(0, b), a, u), (0, 0), (1, 1), (rows, n))
    extended = concatenate([recursion, slice_(u, (0, n), (1, 1), (rows, order))], axis=1)

    def windows(tangent, coefficients):
        total = None
        for k in coefficients:
            part = slice_(extended, (0, k), (1, 1), (rows, n))
            term = broadcast(reshape(slice_(tangent, (k,), (1,), (1,)), ()), part.shape, ()) * part
            total = term if total is None else total + term
        return concatenate([total, behind], axis=1)

    total = None if tangents[0] is None else windows(tangents[0], range(order + 1))
    if tangents[1] is not None:
        moved = lfilter_adjoint(b, a, windows(tangents[1], range(1, order + 1)))
        total = -moved if total is None else total - moved
    return total


def _rows(node, args, batched):
    if batched[0] or batched[1]:
        raise UnsupportedError(f"{describe(node)} with a batch of coefficients", do="call it on one at a time")
    u = args[2]
    flat = node.op(args[0], args[1], reshape(u, (u.shape[0] * u.shape[1], u.shape[2])))
    return reshape(flat, u.shape)


def _samples(rng):
    for dtype in ("f4", "f8", "c8", "c16"):
        for order in (1, 3):
            a = rng.uniform(-0.3, 0.3, order + 1)
            a[0] = 1
            yield [rng.uniform(-1, 1, order + 1).astype(dtype), a.astype(dtype),
                   rng.uniform(-1, 1, (2, 5 + order)).astype(dtype)], {}


#: Rows of a signal and the state behind it → rows of the filtered signal and the state after it; a[0] is 1.
lfilter = define("lfilter", type=_filter_type, ref=_filter_ref, routine="lfilter", linear=(2,), jvp=_filter_jvp,
                 transpose=lambda ct, node, wanted: (None, None, lfilter_adjoint(*node.args[:2], ct)), batch=_rows,
                 samples=_samples)
#: The transpose of `lfilter`, which runs backwards.
lfilter_adjoint = define("lfilter_adjoint", type=_filter_type, ref=_adjoint_ref, routine="lfilter_adjoint", linear=(2,),
                         jvp=_adjoint_jvp, batch=_rows, samples=_samples,
                         transpose=lambda ct, node, wanted: (None, None, lfilter(*node.args[:2], ct)))
