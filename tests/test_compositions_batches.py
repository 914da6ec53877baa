"""`vmap` of derivatives, of linear algebra, of loops, of `vmap`, and their derivatives: against loops over elements."""

import numpy as np
from tracing import run

import tracejit
from tracejit import grad, hessian, jacfwd, jacobian, jacrev, jit, jvp, linearize, value_and_grad, vjp, vmap

rng = np.random.default_rng(4)
X = rng.normal(size=(3, 4))
V = rng.normal(size=(3, 4))
W = rng.normal(size=(4, 4))
M = rng.normal(size=(3, 4, 4)) + 4 * np.eye(4)


def cost(x, w):
    y = np.tanh(w @ x)
    y[0] *= x[1]
    return (np.sort(y) * np.arange(4.0)).sum() ** 2


def rows(f, *args):
    return [run(f, *row) for row in zip(*args)]


def close(got, want, rtol=1e-9):
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


def test_vmap_of_grad():
    close(run(vmap(grad(cost), (0, None)), X, W), rows(lambda x: grad(cost)(x, W), X))
    close(run(vmap(grad(cost, 1), (0, None)), X, W), rows(lambda x: grad(cost, 1)(x, W), X))


def test_grad_of_vmap():
    def total(x, w):
        return vmap(cost, (0, None))(x, w).sum()
    close(run(grad(total), X, W), rows(lambda x: grad(cost)(x, W), X))
    close(run(grad(total, 1), X, W), np.sum(rows(lambda x: grad(cost, 1)(x, W), X), 0))


def test_vmap_of_value_and_grad_of_jit():
    value, gradient = jit(vmap(value_and_grad(jit(cost)), (0, None)))(X, W)
    close(value, rows(lambda x: cost(x, W), X))
    close(gradient, rows(lambda x: grad(cost)(x, W), X))


def test_vmap_of_vmap():
    pairwise = vmap(vmap(lambda x, y: np.sqrt(((x - y) ** 2).sum()), (None, 0)), (0, None))
    close(run(pairwise, X, V), np.linalg.norm(X[:, None] - V, axis=-1))


def test_vmap_of_vmap_of_grad_of_vmap():
    def inner(x, y):
        return vmap(lambda a, b: np.sin(a * b))(x, y).sum()
    got = run(vmap(vmap(grad(inner), (None, 0)), (0, None)), X, V)
    close(got, np.cos(X[:, None] * V) * V)


def test_vmap_of_jvp_and_jvp_of_vmap():
    each = run(vmap(lambda x, v: jvp(lambda x: cost(x, W), (x,), (v,))[1]), X, V)
    whole = run(lambda x, v: jvp(vmap(lambda x: cost(x, W)), (x,), (v,))[1], X, V)
    close(each, [np.dot(g, v) for g, v in zip(rows(lambda x: grad(cost)(x, W), X), V)])
    close(whole, each)


def test_vmap_of_vjp_and_vjp_of_vmap():
    f = lambda x: np.tanh(W @ x) * x[0]
    each = run(vmap(lambda x, c: vjp(f, x)[1](c)[0]), X, V)
    close(each, [c @ j for c, j in zip(V, rows(jacfwd(f), X))])
    close(run(lambda x, c: vjp(vmap(f), x)[1](c)[0], X, V), each)


def test_vmap_of_a_pullback_is_a_jacobian():
    f = lambda x: np.tanh(W @ x)
    close(run(lambda x: vmap(vjp(f, x)[1])(np.eye(4))[0], X[0]), run(jacrev(f), X[0]))
    close(run(lambda x: vmap(linearize(f, x)[1], out_axes=1)(np.eye(4)), X[0]), run(jacfwd(f), X[0]))
    out, pull = vjp(f, X[0])
    close(vmap(pull)(np.eye(4))[0], run(jacrev(f), X[0]))


def test_vmap_of_hessian_and_hessian_of_vmap():
    each = rows(lambda x: hessian(cost)(x, W), X)
    close(run(vmap(hessian(cost), (0, None)), X, W), each)
    whole = run(hessian(lambda x: vmap(cost, (0, None))(x, W).sum()), X)
    for i in range(3):
        for j in range(3):
            close(whole[i, :, j], each[i] if i == j else np.zeros((4, 4)))


def test_jacobian_of_vmap():
    f = lambda x: np.cumsum(np.sin(x)) * x[0]
    whole = run(jacobian(vmap(f)), X)
    for i, block in enumerate(rows(jacfwd(f), X)):
        close(whole[i, :, i], block)
        assert not whole[i, :, (i + 1) % 3].any()


def test_vmap_of_jacobian():
    f = lambda x, m: np.linalg.solve(m, x * x[0])
    for mode in (jacfwd, jacrev):
        close(run(vmap(mode(f)), X, M), rows(mode(f), X, M))


def test_vmap_over_linear_algebra():
    def f(m, x):
        s = m @ m.T + np.eye(4)
        lower = np.linalg.cholesky(s)
        q, r = np.linalg.qr(m)
        return (np.linalg.solve(s, x) @ np.linalg.inv(m) @ x + np.linalg.slogdet(s)[1] + np.trace(lower)
                + np.linalg.det(m) + np.linalg.eigvalsh(s).max() + np.linalg.svd(m, compute_uv=False)[0]
                + np.abs(r).sum() + np.linalg.norm(np.linalg.pinv(m)))
    want = [f(m, x) for m, x in zip(M, X)]
    close(run(vmap(f), M, X), want)
    close(jit(vmap(f))(M, X), want)
    close(run(vmap(grad(f)), M, X), rows(grad(f), M, X), rtol=1e-7)
    close(run(grad(lambda m: vmap(f)(m, X).sum()), M), rows(grad(f), M, X), rtol=1e-7)


def halving(x):
    """Return how long an element takes, and where it ends."""
    return tracejit.while_loop(lambda v: (v[0] ** 2).sum() > 0.5,
                               lambda v: (v[0] * np.cos(v[0]) * 0.9, v[1] + 1), (x, 0))


def test_vmap_of_while_loop():
    ends, steps = run(vmap(halving), 3 * X)
    for k, row in enumerate(3 * X):
        end, count = run(halving, row)
        close(ends[k], end)
        assert steps[k] == count
    assert len(set(steps.tolist())) > 1


def test_vmap_of_grad_of_while_loop():
    f = lambda x: halving(x)[0].sum()
    close(run(vmap(grad(f)), 3 * X), rows(grad(f), 3 * X))
    close(run(grad(lambda x: vmap(f)(x).sum()), 3 * X), rows(grad(f), 3 * X))
    close(jit(vmap(grad(f)))(3 * X), rows(grad(f), 3 * X))


def test_vmap_of_grad_of_scan_of_cond():
    def f(x):
        def step(c, v):
            return tracejit.cond(c > 0, lambda: c * v, lambda: v - c), np.sin(c)
        last, ys = tracejit.scan(step, x[0], x)
        return last * ys.sum()
    close(run(vmap(grad(f)), X), rows(grad(f), X))
    close(run(grad(lambda x: vmap(f)(x).sum()), X), rows(grad(f), X))


def test_scan_of_vmap():
    def step(c, v):
        return vmap(lambda c, x: np.tanh(c + x * v))(c, X), c.sum()
    got = run(lambda c, v: tracejit.scan(step, c, v), V, np.arange(3.0))
    c, sums = V, []
    for v in np.arange(3.0):
        sums.append(c.sum())
        c = np.tanh(c + X * v)
    close(got[0], c)
    close(got[1], sums)


def test_vmap_inside_a_branch_and_a_loop_of_python():
    def f(x):
        for k in range(20):
            x = vmap(np.sin)(x) if x[0, 0] > 0.1 else vmap(lambda r: r * 0.5 + k)(x)
        return x
    close(run(f, X), f_by_hand(X))
    close(run(grad(lambda x: f(x).sum()), X), [[(f_by_hand(X + 1e-6 * e).sum() - f_by_hand(X - 1e-6 * e).sum()) / 2e-6
                                                for e in row] for row in np.eye(12).reshape(3, 4, 3, 4)], rtol=1e-7)


def f_by_hand(x):
    for k in range(20):
        x = np.sin(x) if x[0, 0] > 0.1 else x * 0.5 + k
    return x


def test_vmap_of_grad_of_loops_of_different_lengths():
    def f(x, n):
        for k in range(n):
            x = np.sin(x) * x[k % 4] + k
        return x.sum()
    counts = np.array([0, 9, 14])
    want = rows(lambda x, n: grad(f)(x, n), X, counts)
    close(run(vmap(grad(f)), X, counts), want)
    close(jit(vmap(grad(f)))(X, counts), want)
    close(run(vmap(vmap(grad(f)), (None, 0)), X, np.stack([counts, counts[::-1]]))[0], want)
