"""Linear algebra, by hand and by library."""

import numpy as np

from .registry import program


def _square(n, rng):
    return (rng.random((n, n)) + n * np.eye(n),)


def _definite(n, rng):
    a = rng.standard_normal((n, n))
    return (a @ a.T + n * np.eye(n),)


@program(_square, small=6, large=120)
def lu_by_hand(matrix):
    """Gaussian elimination without pivots, row operations on slices."""
    a = matrix.copy()
    n = a.shape[0]
    for k in range(n):
        for i in range(k + 1, n):
            a[i, k] /= a[k, k]
            a[i, k + 1:] -= a[i, k] * a[k, k + 1:]
    return a


@program(_definite, small=6, large=120)
def cholesky_by_hand(matrix):
    """Products of slices whose length depends on the loop."""
    n = matrix.shape[0]
    lower = np.zeros_like(matrix)
    for j in range(n):
        lower[j, j] = np.sqrt(matrix[j, j] - lower[j, :j] @ lower[j, :j])
        for i in range(j + 1, n):
            lower[i, j] = (matrix[i, j] - lower[i, :j] @ lower[j, :j]) / lower[j, j]
    return lower


@program(lambda n, rng: (rng.random((n, n + 3)), rng.random((n + 3, n + 1))), small=7, large=200)
def matmul_by_hand(a, b):
    """Three nested loops."""
    n, m = a.shape
    p = b.shape[1]
    out = np.zeros((n, p))
    for i in range(n):
        for j in range(p):
            s = 0.0
            for k in range(m):
                s += a[i, k] * b[k, j]
            out[i, j] = s
    return out


@program(lambda n, rng: (*_definite(n, rng), rng.random(n)), small=8, large=300)
def conjugate_gradient(a, b):
    """Hestenes and Stiefel, until the residual is small."""
    x = np.zeros_like(b)
    r = b - a @ x
    p = r.copy()
    rs = r @ r
    for _ in range(len(b)):
        ap = a @ p
        alpha = rs / (p @ ap)
        x += alpha * p
        r -= alpha * ap
        new = r @ r
        if np.sqrt(new) < 1e-10:
            break
        p = r + (new / rs) * p
        rs = new
    return x


@program(_definite, small=7, large=200, rtol=1e-7)
def power_iteration(a):
    """The dominant eigenvalue, to twelve digits."""
    v = np.ones(a.shape[0]) / np.sqrt(a.shape[0])
    value = 0.0
    for _ in range(1000):
        w = a @ v
        new = v @ w
        v = w / np.linalg.norm(w)
        if abs(new - value) < 1e-12 * abs(new):
            break
        value = new
    return new


@program(lambda n, rng: (rng.random((n + 4, n)),), small=5, large=80)
def gram_schmidt(a):
    """Modified Gram and Schmidt, column by column."""
    m, n = a.shape
    q = a.copy()
    r = np.zeros((n, n))
    for j in range(n):
        for i in range(j):
            r[i, j] = np.dot(q[:, i], q[:, j])
            q[:, j] = q[:, j] - r[i, j] * q[:, i]
        r[j, j] = np.sqrt(np.dot(q[:, j], q[:, j]))
        q[:, j] = q[:, j] / r[j, j]
    return q, r


@program(lambda n, rng: ((lambda a: (a + a.T,))(rng.random((n, n)))), small=5, large=40, rtol=1e-7)
def jacobi_eigenvalues(matrix):
    """Cyclic rotations until what is off the diagonal is negligible."""
    a = matrix.copy()
    n = a.shape[0]
    for _ in range(30):
        off = np.sqrt(np.sum((a - np.diag(np.diag(a))) ** 2))
        if off < 1e-10:
            break
        for p in range(n - 1):
            for q in range(p + 1, n):
                if abs(a[p, q]) > 1e-300:
                    theta = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                    t = 1.0 / (abs(theta) + np.sqrt(theta * theta + 1.0))
                    if theta < 0.0:
                        t = -t
                    c = 1.0 / np.sqrt(t * t + 1.0)
                    s = t * c
                    for k in range(n):
                        x, y = a[k, p], a[k, q]
                        a[k, p] = c * x - s * y
                        a[k, q] = s * x + c * y
                    for k in range(n):
                        x, y = a[p, k], a[q, k]
                        a[p, k] = c * x - s * y
                        a[q, k] = s * x + c * y
    return np.sort(np.diag(a))


@program(lambda n, rng: (rng.random((40 * n, n)), rng.random(40 * n)), small=4, large=20, numba=False, rtol=1e-7)
def ridge_regression(x, y):
    """A fit with its standard errors and leave-one-out residuals."""
    xc = np.column_stack([np.ones(len(x)), (x - x.mean(axis=0)) / x.std(axis=0)])
    gram = xc.T @ xc + 0.1 * np.eye(xc.shape[1])
    beta = np.linalg.solve(gram, xc.T @ y)
    residual = y - xc @ beta
    hat = np.einsum("ij,jk,ik->i", xc, np.linalg.inv(gram), xc)
    sigma2 = (residual ** 2).sum() / (len(y) - xc.shape[1])
    errors = np.sqrt(sigma2 * np.diag(np.linalg.inv(gram)))
    return beta, errors, residual / (1 - hat)


@program(lambda n, rng: (rng.random((n, 5)),), small=12, large=300, numba=False, rtol=1e-7)
def principal_components(data):
    """The share of variance that the leading directions explain."""
    centred = data - data.mean(axis=0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    scores = centred @ vt.T
    explained = s ** 2 / np.sum(s ** 2)
    return explained, np.abs(scores[:, :2])
