"""Python loops over slices and arrays whose sizes change from turn to turn: one compilation, and NumPy's answers."""

import numpy as np
import pytest
from tracing import compare

import tracejit

RNG = np.random.default_rng(7)


def cholesky(a):
    n = a.shape[0]
    low = np.zeros_like(a)
    for j in range(n):
        low[j, j] = np.sqrt(a[j, j] - low[j, :j] @ low[j, :j])
        low[j + 1:, j] = (a[j + 1:, j] - low[j + 1:, :j] @ low[j, :j]) / low[j, j]
    return low


def lu(a):
    a = a.copy()
    for k in range(a.shape[0] - 1):
        a[k + 1:, k] = a[k + 1:, k] / a[k, k]
        a[k + 1:, k + 1:] -= np.outer(a[k + 1:, k], a[k, k + 1:])
    return a


def gauss(a):
    a, b = a.copy(), a[0].copy()
    n = len(b)
    for k in range(n):
        for i in range(k + 1, n):
            f = a[i, k] / a[k, k]
            a[i, k:] -= f * a[k, k:]
            b[i] -= f * b[k]
    x = np.zeros(n)
    for i in range(n - 1, -1, -1):
        x[i] = (b[i] - a[i, i + 1:] @ x[i + 1:]) / a[i, i]
    return x


def gram_schmidt(a):
    q, r = np.zeros_like(a), np.zeros_like(a)
    for j in range(a.shape[1]):
        v = a[:, j].copy()
        for i in range(j):
            r[i, j] = q[:, i] @ a[:, j]
            v -= r[i, j] * q[:, i]
        r[j, j] = np.sqrt(v @ v)
        q[:, j] = v / r[j, j]
    return q, r


def qr_by_prefix(a):
    q, r = np.zeros_like(a), np.zeros_like(a)
    for j in range(a.shape[1]):
        r[:j, j] = q[:, :j].T @ a[:, j]
        v = a[:, j] - q[:, :j] @ r[:j, j]
        r[j, j] = np.linalg.norm(v)
        q[:, j] = v / r[j, j]
    return q, r


def prefixes(a):
    x = a[0]
    out = np.zeros((5, len(x)))
    for k in range(len(x)):
        out[0, k] = x[:k].sum()
        out[1, k] = x[:k + 1].max()
        out[2, k] = x[:k] @ x[:k][::-1]
        out[3, k] = np.exp(x[k:]).mean()
        out[4, :k] += x[len(x) - k:]
    return out


def windows(a):
    x = a[0]
    n = len(x)
    out, edges = np.zeros(n - 2), np.zeros(n)
    for i in range(n - 2):
        out[i] = x[i:i + 3].max() - x[i:i + 3].min()
    for i in range(n):
        edges[i] = x[max(0, i - 2):min(n, i + 3)].mean()
    return out, edges


def temporaries(a):
    x = a[0]
    total = 0.0
    for i in range(1, len(x)):
        t = np.zeros(i)
        t += x[:i]
        joined = np.concatenate([x[:i], x[i:] * 2])
        total += np.cumsum(t)[-1] + joined[0] + joined.max()
    return total


def shifts(a):
    y = a[0].copy()
    for i in range(1, len(y)):
        y[:i] = y[1:i + 1] + 0.5
        y[i:] = y[i:][::-1]
    return y


def compacted(a):
    y = np.zeros((a > 0).sum())
    j = 0
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            if a[i, k] > 0:
                y[j] = a[i, k]
                j += 1
    return y


def selected(a):
    y = a[a > 0.2].copy()
    for i in range(1, len(y)):
        y[i] += 0.5 * y[i - 1]
    total = 0.0
    for v in a[a < 0]:
        total += v
    bins = np.zeros(3)
    for i in np.nonzero(a[0] > 0)[0]:
        bins[i % 3] += 1
    return y, total, bins


PROGRAMS = [cholesky, lu, gauss, gram_schmidt, qr_by_prefix, prefixes, windows, temporaries, shifts, compacted,
            selected]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("n", [30, 3])
def test_as_numpy(program, n):
    matrix = RNG.standard_normal((n, n))
    if program in (cholesky, lu, gauss):
        matrix = matrix @ matrix.T + n * np.eye(n)
    jitted = tracejit.jit(program)
    for a in (matrix, matrix * 1.5):
        mine, theirs = a.copy(), a.copy()
        compare(jitted(mine), program(theirs), rtol=1e-9)
        compare(mine, theirs)
    assert jitted.cache_info().traces == 1 and not jitted.cache_info().plain


def test_a_slice_that_surely_lies_within_needs_no_check():
    def f(x):
        out = np.zeros(len(x))
        for i in range(len(x)):
            for j in range(i + 1, len(x)):
                out[j] += x[j - i] * x[i]
        return out
    graph = tracejit.jit(f).trace(np.zeros(50)).lower().graph
    assert "check" not in str(graph)


def test_a_slice_that_every_turn_assigns_again():
    def f(z, s):
        v = z[int(s) % 2:]
        u = z
        for k in range(12):
            u = v[None]
            s = s + 1
        return u, v, s
    for s in (3.0, 2.0, np.array(3.0)):
        tracejit.testing.assert_same_as_numpy(f, np.arange(12.0).reshape(3, 4), s)


def test_sizes_out_of_arrays_of_one_element():
    def f(x):
        v = np.unique(np.broadcast_to(x, (3, 4)))
        s = float(v.min())
        for _ in range(2):
            v[:int(s) % 3] += 3
            s = float(round(s))
        return v, s
    tracejit.testing.assert_same_as_numpy(f, np.array([4]))


def test_a_loop_over_rows_that_stops_early():
    def total(y):
        s = 0.0
        for row in np.unique(y):
            if row == 3:
                break
            s += row
        return s

    def first(y):
        values = np.unique(y)
        for row in values:
            if row == 2:
                return values * 2
        return values
    for f in (total, first):
        for y in (np.arange(5.0), np.array([7.0, 1.0, 1.0]), np.zeros(0)):
            tracejit.testing.assert_same_as_numpy(f, y)


def test_a_result_of_unknown_size_that_each_side_of_a_branch_makes():
    def f(y, limit):
        values = np.where(np.unique(y) > 1, y.max(), 0)
        if values.sum() > limit:
            return values[::-1]
        for row in values:
            if row == limit:
                return values * 2
        return values + limit
    for limit in (1.0, 4.0, 0.0, 99.0):
        tracejit.testing.assert_same_as_numpy(f, np.arange(5.0), limit)
