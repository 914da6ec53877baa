"""Programs as textbooks have them, with loops over elements and branches on data: unedited, traced, the same answer."""

import numpy as np
import pytest
from benchmarks.classics.everything import PROGRAMS as CLASSICS
from test_flow_traced import copied, equal

import tracejit

RNG = np.random.default_rng(0)


def mandelbrot(n, m, itmax):
    out = np.zeros((n, m), dtype=np.int64)
    for i in range(n):
        for j in range(m):
            c = complex(-2 + 3 * j / m, -1.5 + 3 * i / n)
            z = 0j
            k = 0
            while abs(z) < 2 and k < itmax:
                z = z * z + c
                k += 1
            out[i, j] = k
    return out


def mandel2(x, y, itmax):
    out = np.zeros((len(y), len(x)), dtype=np.int64)
    for i in range(len(y)):
        for j in range(len(x)):
            a, b = 0.0, 0.0
            for k in range(itmax):
                if a * a + b * b > 4:
                    break
                a, b = a * a - b * b + x[j], 2 * a * b + y[i]
            out[i, j] = k
    return out


def lu(a):
    n = a.shape[0]
    a = a.copy()
    p = np.arange(n)
    for k in range(n - 1):
        m = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[m, k]):
                m = i
        if m != k:
            for j in range(n):
                a[k, j], a[m, j] = a[m, j], a[k, j]
            p[k], p[m] = p[m], p[k]
        for i in range(k + 1, n):
            a[i, k] /= a[k, k]
            for j in range(k + 1, n):
                a[i, j] -= a[i, k] * a[k, j]
    return a, p


def gauss_seidel(u, n, tol):
    for it in range(n):
        err = 0.0
        for i in range(1, u.shape[0] - 1):
            for j in range(1, u.shape[1] - 1):
                old = u[i, j]
                u[i, j] = 0.25 * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
                err = max(err, abs(u[i, j] - old))
        if err < tol:
            break
    return it


def floyd(d):
    n = d.shape[0]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                if d[i, k] + d[k, j] < d[i, j]:
                    d[i, j] = d[i, k] + d[k, j]
    return d


def crc(data):
    table = np.zeros(256, dtype=np.uint32)
    for i in range(256):
        c = np.uint32(i)
        for _ in range(8):
            c = (c >> np.uint32(1)) ^ np.uint32(0xEDB88320) if c & np.uint32(1) else c >> np.uint32(1)
        table[i] = c
    crc = np.uint32(0xFFFFFFFF)
    for byte in data:
        crc = table[(crc ^ byte) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return crc ^ np.uint32(0xFFFFFFFF)


def life(g, steps):
    n, m = g.shape
    for _ in range(steps):
        new = np.zeros_like(g)
        for i in range(n):
            for j in range(m):
                c = 0
                for di in (-1, 0, 1):
                    for dj in (-1, 0, 1):
                        if di != 0 or dj != 0:
                            c += g[(i + di) % n, (j + dj) % m]
                new[i, j] = 1 if c == 3 or (c == 2 and g[i, j] == 1) else 0
        g = new
    return g


def rk4(y, t, h, n):
    def f(t, y):
        return np.array([y[1], -np.sin(y[0]) - 0.1 * y[1] + np.cos(t)])

    out = np.zeros((n + 1, 2)) if isinstance(n, int) else np.zeros((n + 1, 2))
    out[0] = y
    for k in range(n):
        k1 = f(t, y)
        k2 = f(t + h / 2, y + h / 2 * k1)
        k3 = f(t + h / 2, y + h / 2 * k2)
        k4 = f(t + h, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        t += h
        out[k + 1] = y
    return out


def fft(x):
    n = len(x)
    x = x.astype(np.complex128)
    j = 0
    for i in range(1, n):
        bit = n >> 1
        while j & bit:
            j ^= bit
            bit >>= 1
        j ^= bit
        if i < j:
            x[i], x[j] = x[j], x[i]
    size = 2
    while size <= n:
        ang = -2 * np.pi / size
        w = complex(np.cos(ang), np.sin(ang))
        for i in range(0, n, size):
            t = 1 + 0j
            for k in range(size // 2):
                a = x[i + k]
                b = x[i + k + size // 2] * t
                x[i + k] = a + b
                x[i + k + size // 2] = a - b
                t = t * w
        size *= 2
    return x


def kmeans(p, c, n):
    k = c.shape[0]
    label = np.zeros(len(p), dtype=np.int64)
    for _ in range(n):
        for i in range(len(p)):
            best, which = np.inf, 0
            for j in range(k):
                d = ((p[i] - c[j]) ** 2).sum()
                if d < best:
                    best, which = d, j
            label[i] = which
        for j in range(k):
            mine = label == j
            if mine.sum() > 0:
                c[j] = (p * mine[:, None]).sum(axis=0) / mine.sum()
    return label, c


def nbody(pos, vel, mass, n, dt):
    N = len(mass)
    for step in range(n):
        acc = np.zeros_like(pos)
        for i in range(N):
            for j in range(N):
                if i == j:
                    continue
                d = pos[j] - pos[i]
                r2 = (d * d).sum() + 1e-3
                acc[i] += mass[j] * d / (r2 * np.sqrt(r2))
        vel += acc * dt
        pos += vel * dt
    return pos, vel


def jacobi(A, b, n, tol=1e-10):
    x = np.zeros_like(b)
    D = np.diag(A)
    R = A - np.diagflat(D)
    for it in range(n):
        xn = (b - R @ x) / D
        if np.linalg.norm(xn - x) < tol:
            return xn, it
        x = xn
    return x, n


def cg(A, b, tol):
    x = np.zeros_like(b)
    r = b - A @ x
    p = r.copy()
    rs = r @ r
    k = 0
    while np.sqrt(rs) > tol:
        Ap = A @ p
        alpha = rs / (p @ Ap)
        x += alpha * p
        r -= alpha * Ap
        rs2 = r @ r
        p = r + (rs2 / rs) * p
        rs = rs2
        k += 1
        if k > 100:
            raise RuntimeError("no convergence")
    return x, k


def power_iteration(A, n):
    v = np.ones(A.shape[0])
    lam = None
    for _ in range(n):
        w = A @ v
        lam = np.linalg.norm(w)
        v = w / lam
    return lam, v


def binsearch(a, v):
    lo, hi = 0, len(a)
    while lo < hi:
        mid = (lo + hi) // 2
        if a[mid] < v:
            lo = mid + 1
        else:
            hi = mid
    return lo


def histogram(x, bins):
    h = np.zeros(bins, dtype=int)
    lo, hi = x.min(), x.max()
    for v in x:
        k = int((v - lo) / (hi - lo) * bins)
        if k == bins:
            k -= 1
        h[k] += 1
    return h


def knapsack(w, v, cap):
    best = np.zeros(cap + 1, dtype=np.int64)
    for i in range(len(w)):
        for c in range(cap, w[i] - 1, -1):
            best[c] = max(best[c], best[c - w[i]] + v[i])
    return best[cap]


def lcs(a, b):
    prev = [0] * (len(b) + 1)
    for x in a:
        cur = [0]
        for j, y in enumerate(b):
            cur.append(prev[j] + 1 if x == y else max(prev[j + 1], cur[-1]))
        prev = cur
    return prev[-1]


def dijkstra(g):
    n = g.shape[0]
    dist = np.full(n, np.inf)
    done = np.zeros(n, dtype=bool)
    dist[0] = 0
    for _ in range(n):
        u = -1
        for i in range(n):
            if not done[i] and (u == -1 or dist[i] < dist[u]):
                u = i
        if dist[u] == np.inf:
            break
        done[u] = True
        for v in range(n):
            if g[u, v] > 0 and dist[u] + g[u, v] < dist[v]:
                dist[v] = dist[u] + g[u, v]
    return dist


def cholesky(A):
    n = A.shape[0]
    L = np.zeros_like(A)
    for i in range(n):
        for j in range(i + 1):
            s = A[i, j] - L[i, :j] @ L[j, :j]
            if i == j:
                if s <= 0:
                    raise np.linalg.LinAlgError("not positive definite")
                L[i, i] = np.sqrt(s)
            else:
                L[i, j] = s / L[j, j]
    return L


def walk(steps, seed):
    s = seed
    x = y = 0
    for _ in range(steps):
        s = (s * 1103515245 + 12345) % 2147483648
        d = s >> 16 & 3
        if d == 0:
            x += 1
        elif d == 1:
            x -= 1
        elif d == 2:
            y += 1
        else:
            y -= 1
    return x, y


def bubble(a):
    n = len(a)
    for i in range(n):
        swapped = False
        for j in range(n - 1 - i):
            if a[j] > a[j + 1]:
                a[j], a[j + 1] = a[j + 1], a[j]
                swapped = True
        if not swapped:
            break
    return a


def heat(u, n, alpha):
    for _ in range(n):
        un = u.copy()
        u[1:-1, 1:-1] = un[1:-1, 1:-1] + alpha * (
            un[2:, 1:-1] + un[:-2, 1:-1] + un[1:-1, 2:] + un[1:-1, :-2] - 4 * un[1:-1, 1:-1]
        )
    return u


def simpson(a, b, n):
    h = (b - a) / n
    s = np.sin(a) + np.sin(b)
    for i in range(1, n):
        s += (4 if i % 2 else 2) * np.sin(a + i * h)
    return s * h / 3


def adam(x, n, lr):
    m = np.zeros_like(x)
    v = np.zeros_like(x)
    for t in range(1, n + 1):
        g = 2 * (x - 3)
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        x = x - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return x


def gcd(a, b):
    while b:
        a, b = b, a % b
    return a


def topological(adj):
    n = len(adj)
    indeg = adj.sum(axis=0)
    order = np.zeros(n, dtype=int)
    k = 0
    q = np.zeros(n, dtype=int)
    head = tail = 0
    for i in range(n):
        if indeg[i] == 0:
            q[tail] = i
            tail += 1
    while head < tail:
        u = q[head]
        head += 1
        order[k] = u
        k += 1
        for v in range(n):
            if adj[u, v]:
                indeg[v] -= 1
                if indeg[v] == 0:
                    q[tail] = v
                    tail += 1
    return order[:k], k


S = RNG.random((12, 12))
SPD = S @ S.T + 12 * np.eye(12)
PROGRAMS = [
    (mandelbrot, (6, 7, 20)),
    (mandel2, (np.linspace(-2, 1, 7), np.linspace(-1.5, 1.5, 6), 20)),
    (CLASSICS["edit_distance"].function, CLASSICS["edit_distance"].make(9)),
    (lu, (RNG.random((9, 9)),)),
    (gauss_seidel, (RNG.random((6, 7)), 60, 1e-3)),
    (floyd, (RNG.random((9, 9)) * 10,)),
    (crc, (RNG.integers(0, 256, 20).astype(np.uint8),)),
    (life, ((RNG.random((9, 10)) > 0.6).astype(np.int64), 3)),
    (rk4, (np.array([1.0, 0.0]), 0.0, 0.01, 30)),
    (fft, (RNG.random(32),)),
    (kmeans, (RNG.random((20, 2)), RNG.random((4, 2)), 3)),
    (nbody, (RNG.random((4, 3)), RNG.random((4, 3)), RNG.random(4), 5, 0.01)),
    (jacobi, (SPD + 50 * np.eye(12), RNG.random(12), 200)),
    (cg, (SPD, RNG.random(12), 1e-9)),
    (power_iteration, (SPD, 50)),
    (binsearch, (np.sort(RNG.random(50)), 0.4)),
    (histogram, (RNG.random(40), 10)),
    (knapsack, (RNG.integers(1, 10, 9), RNG.integers(1, 50, 9), 20)),
    (lcs, (RNG.integers(0, 3, 6), RNG.integers(0, 3, 7))),
    (dijkstra, ((RNG.random((9, 9)) > 0.7) * RNG.random((9, 9)),)),
    (cholesky, (SPD,)),
    (walk, (200, 42)),
    (CLASSICS["tridiagonal"].function, CLASSICS["tridiagonal"].make(15)),
    (bubble, (RNG.random(12),)),
    (heat, (RNG.random((10, 10)), 20, 0.1)),
    (simpson, (0.0, 3.0, 40)),
    (adam, (RNG.random(5), 30, 0.1)),
    (gcd, (1071, 462)),
    (topological, (np.triu(RNG.random((10, 10)) > 0.7, 1).astype(int),)),
]


@pytest.mark.parametrize(("program", "args"), PROGRAMS, ids=[f.__name__ for f, _ in PROGRAMS])
def test_program(program, args):
    """One trace, one answer: no variants, nothing left to NumPy, the arguments written as NumPy writes them."""
    jitted = tracejit.jit(program, backend="ref")
    ours, plain = copied(args), copied(args)
    equal(jitted(*ours), program(*plain))
    for a, b in zip(ours, plain):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    info = jitted.cache_info()
    assert (info.traces, info.variants, info.plain) == (1, (), 0)
