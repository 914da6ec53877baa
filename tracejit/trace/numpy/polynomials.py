"""Polynomials by their coefficients, highest power first: what NumPy's own code does not do well when traced."""

import numpy as np

from tracejit.trace.guards import guarded_int
from tracejit.trace.numpy.common import literal
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer


@implements(np.polyval)
def polyval(p, x):
    """Return a polynomial, highest power first, at x."""
    p = as_tracer(p)
    if type(x).__name__ == "poly1d":  # a polynomial of a polynomial
        y = 0
    else:
        x = as_tracer(x)
        y = np.zeros_like(x)
    for k in range(p.shape[0]):
        y = y * x + p[k]
    return y


@implements(np.roots)
def roots(p):
    """Return the roots of a polynomial: the eigenvalues of its companion matrix."""
    p = np.atleast_1d(as_tracer(p))
    if p.ndim != 1:
        raise ValueError("Input must be a rank-1 array.")
    there, n = np.not_equal(p, 0), p.shape[0]
    if n == 0:
        return literal(np.array([]))
    some = np.logical_or.reduce(there)
    first, last = np.where(some, np.argmax(there), n), np.where(some, n - np.argmax(there[::-1]), n)
    first, last = (guarded_int(e, "the degree of a polynomial") for e in (first, last))
    if first == last:
        return literal(np.array([]))
    inner = p[first:last]
    if inner.dtype.kind not in "fc":
        inner = inner.astype(float)
    zeros = literal(np.zeros(n - last, inner.dtype))
    if inner.size == 1:
        return zeros
    shifted = np.diag(np.ones((inner.size - 2,), inner.dtype), -1)
    companion = np.concatenate(((-inner[1:] / inner[0])[None], literal(shifted[1:])))
    return np.hstack((np.linalg.eigvals(companion), zeros))
