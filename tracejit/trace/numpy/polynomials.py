"""Polynomials by their coefficients, highest power first: what NumPy's own code does not do well when traced."""

import operator

import numpy as np

from tracejit.trace.guards import guarded_int
from tracejit.trace.numpy.common import literal, static
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


@implements(np.polyfit, differs="a fit that is poorly conditioned is not warned of")
def polyfit(x, y, deg, rcond=None, full=False, w=None, cov=False):
    """Return the coefficients of the polynomial that fits best, by least squares."""
    order = operator.index(static(deg, "deg", np.polyfit)) + 1
    x, y = as_tracer(x) + 0.0, as_tracer(y) + 0.0
    if order < 1:
        raise ValueError("expected deg >= 0")
    if x.ndim != 1:
        raise TypeError("expected 1D vector for x")
    if x.size == 0:
        raise TypeError("expected non-empty vector for x")
    if y.ndim < 1 or y.ndim > 2:
        raise TypeError("expected 1D or 2D array for y")
    if x.shape[0] != y.shape[0]:
        raise TypeError("expected x and y to have same length")
    rcond = x.shape[0] * np.finfo(x.dtype).eps if rcond is None else rcond
    left, right = np.vander(x, order), y
    if w is not None:
        w = as_tracer(w) + 0.0
        if w.ndim != 1:
            raise TypeError("expected a 1-d array for weights")
        if w.shape[0] != y.shape[0]:
            raise TypeError("expected w and y to have the same length")
        left = left * w[:, None]
        right = right * (w[:, None] if right.ndim == 2 else w)
    scale = np.sqrt((left * left).sum(axis=0))
    found, residuals, rank, values = np.linalg.lstsq(left / scale, right, rcond)
    found = (found.T / scale).T
    if full:
        return found, residuals, rank, values, rcond
    if not cov:
        return found
    left = left / scale
    base = np.linalg.inv(np.dot(left.T, left))
    base = base / np.outer(scale, scale)
    if cov == "unscaled":
        factor = 1
    elif len(x) <= order:
        raise ValueError("the number of data points must exceed order to scale the covariance matrix")
    else:
        factor = residuals / (len(x) - order)
    return found, base * factor if y.ndim == 1 else base[:, :, None] * factor
