"""Recursive filters along the last axis: each number depends on those before it.

Oppenheim and Schafer, "Discrete-Time Signal Processing": the transposed direct form II. The state rides behind the
signal, so that a row is one vector and the filter a linear map of it.
"""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic import dims
from tracejit.symbolic.ir import const, define
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
    """More signals are more rows; where the coefficients differ, too, the filters run one after the other."""
    *coefficients, u = args
    if any(batched[:-1]):
        return None
    return reshape(node.op(*coefficients, reshape(u, (dims.times(u.shape[0], u.shape[1]), u.shape[2]))), u.shape)


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


# ---------------------------------------------------------------- sections of second order, one after the other
def _cascade_type(sos, u):
    if sos.ndim != 2 or sos.shape[1] != 6 or u.ndim != 2 or u.dtype != sos.dtype or u.kind not in "fc" or (
            u.shape[1] < 2 * sos.shape[0]):
        raise TypeRuleError(f"sosfilt of {sos} and {u}: needs rows of six coefficients, and rows of the same dtype")
    return u


def _cascade_ref(sos, u):
    v, n = u.copy(), u.shape[1] - 2 * len(sos)
    for k, section in enumerate(sos):
        at = n + 2 * k
        done = _filter_ref(section[:3], section[3:], np.concatenate([v[:, :n], u[:, at:at + 2]], axis=1))
        v[:, :n], v[:, at:at + 2] = done[:, :n], done[:, n:]
    return v


def _columns(x, start, stop):
    return slice_(x, (0, start), (1, 1), (x.shape[0], stop - start))


def _section(sos, k):
    row = reshape(slice_(sos, (k, 0), (1, 1), (1, 6)), (6,))
    return slice_(row, (0,), (1,), (3,)), slice_(row, (3,), (1,), (3,))


def _cascade_jvp(node, tangents):
    """Each section passes on what the ones before it have changed, and adds the change of its own."""
    sos, u = node.args
    sections = sos.shape[0]
    n = u.shape[1] - 2 * sections
    signal, moved, states = _columns(u, 0, n), None, []
    for k in range(sections):
        b, a = _section(sos, k)
        done = lfilter(b, a, concatenate([signal, _columns(u, n + 2 * k, n + 2 * k + 2)], axis=1))
        change = _filter_jvp(done, (*_section(tangents[0], k), None))
        if moved is not None:
            change = change + lfilter(b, a, concatenate([moved, zeros(u.type.with_shape((u.shape[0], 2)))], axis=1))
        signal, moved = _columns(done, 0, n), _columns(change, 0, n)
        states.append(_columns(change, n, n + 2))
    return concatenate([moved, *states], axis=1)


def _cascade_transpose(ct, node, wanted):
    sos, sections = node.args[0], node.args[0].shape[0]
    n = ct.shape[1] - 2 * sections
    signal, states = _columns(ct, 0, n), []
    for k in reversed(range(sections)):
        b, a = _section(sos, k)
        back = lfilter_adjoint(b, a, concatenate([signal, _columns(ct, n + 2 * k, n + 2 * k + 2)], axis=1))
        signal = _columns(back, 0, n)
        states.insert(0, _columns(back, n, n + 2))
    return None, concatenate([signal, *states], axis=1)


def _cascade_samples(rng):
    for dtype in ("f4", "f8", "c16"):
        sos = rng.uniform(-0.3, 0.3, (3, 6))
        sos[:, 3] = 1
        yield [sos.astype(dtype), rng.uniform(-1, 1, (2, 11)).astype(dtype)], {}


#: As `lfilter`, by sections of second order: rows of a signal and the states of all sections behind it.
sosfilt = define("sosfilt", type=_cascade_type, ref=_cascade_ref, routine="sosfilt", linear=(1,), jvp=_cascade_jvp,
                 transpose=_cascade_transpose, batch=_rows, samples=_cascade_samples)
