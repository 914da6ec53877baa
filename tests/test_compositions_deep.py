"""Compositions three and four deep: second derivatives in batches, of rules of one's own, of what computes again, of
masked loops and of sparse Jacobians, against loops over elements and against the same function written plainly.
"""

import numpy as np
from tracing import run

import tracejit
from tracejit import checkpoint, config, custom_jvp, custom_vjp, grad, hessian, hvp, jacfwd, jacobian, jacrev, jit, vmap
from tracejit.testing import check_grads

rng = np.random.default_rng(6)
X = rng.normal(size=(4, 5))


def close(got, want, rtol=1e-9):
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


def as_rows(f, *args):
    """Assert that a function of elements in a batch is the one of each element."""
    close(run(vmap(f), *args), [run(f, *row) for row in zip(*args)])


# ---------------------------------------------------------------- loops and branches
def test_vmap_of_hessian_of_loops():
    growing = lambda x: tracejit.while_loop(lambda v: (v**2).sum() < 30, lambda v: v * 1.3 + np.sin(v), x)
    as_rows(hessian(lambda x: growing(x).prod()), X)
    as_rows(hessian(lambda x, n: tracejit.fori_loop(0, n, lambda i, v: np.sin(v) * 1.1 + x[i % 5], 0.2)), X,
            np.array([0, 3, 7, 1]))
    as_rows(hessian(lambda i, x: tracejit.switch(i, [np.sin, lambda v: v**3, np.exp], x).sum(), 1),
            np.array([0, 1, 2, 1]), X)
    as_rows(hessian(lambda x: tracejit.map(lambda v: np.sin(v) * x[0], x).sum()), X)
    as_rows(hessian(lambda x: np.array([np.sin(v) * x[0] for v in x]).sum()), X)


def test_vmap_of_hessian_of_scan_until():
    for reverse in (False, True):
        as_rows(hessian(lambda x, r=reverse: tracejit.scan(lambda c, v: (c * 0.5 + v, c), 0.0, x, reverse=r,
                                                           until=lambda c, y: c > 1)[0] ** 2), X)


def test_vmap_of_vmap_of_grad_of_while():
    def f(x, y):
        return tracejit.while_loop(lambda v: v[0] < 10, lambda v: (v[0] * 1.5 + abs(y) + 0.1, v[1] + np.sin(x * v[0])),
                                   (abs(x) + 0.1, 0.0))[1]
    x, y = X[0], X[1, :3]
    close(run(vmap(vmap(grad(f), (0, None)), (None, 0)), x, y), [[run(grad(f), a, b) for a in x] for b in y])


def test_branches_that_an_element_does_not_take():
    """In a batch both are computed; what is not taken has no part, be it infinite."""
    x = np.array([0.0, -1.0, 4.0])

    def plain(x):
        if x > 0:
            return np.log(x)
        return x * 0.0
    root = lambda x: tracejit.cond(x > 0, np.sqrt, lambda x: x * 0.0, x)
    with np.errstate(all="ignore"):
        for f, first, second in ((root, 0.25, -1 / 32), (plain, 0.25, -1 / 16)):
            close(run(vmap(grad(f)), x), [0, 0, first])
            close(run(vmap(grad(grad(f))), x), [0, 0, second])
            close(run(vmap(jacfwd(f)), x), [0, 0, first])
        shrink = lambda x: tracejit.while_loop(lambda v: v > 1, lambda v: np.sqrt(v - 0.5), x)
        as_rows(grad(shrink), np.array([0.2, 3.0, 50.0]))


def test_grad_of_scan_of_vmap_of_cond():
    def f(m):
        step = vmap(lambda r: tracejit.cond(r.sum() > 0, lambda r: r * 0.9, lambda r: np.sin(r) + 0.1, r))
        return tracejit.scan(lambda c, _: (step(c), None), m, length=3)[0].sum()
    with config.context(backend="ref"):
        check_grads(f, (X,), order=2)


def test_vmap_of_hessian_of_writes():
    def f(x):
        y = np.zeros(6)
        y[1:] = x
        y[2] *= y[1]
        y[y > 0] = y[y > 0] ** 2
        y.sort()
        return (y * np.arange(6)).sum()
    as_rows(hessian(f), X)


def test_third_derivatives_of_scan():
    f = lambda x: tracejit.scan(lambda c, v: (c * np.sin(v), c * v), 1.0, x)[1].sum()
    close(run(jacfwd(hessian(f)), X[0]), run(jacrev(jacfwd(grad(f))), X[0]))


# ---------------------------------------------------------------- rules and checkpoints
def test_hessians_of_rules_in_batches_and_loops():
    @custom_jvp
    def forward(x):
        return np.sin(x)
    forward.defjvp(lambda primals, tangents: (forward(*primals), np.cos(primals[0]) * tangents[0]))

    @custom_vjp
    def backward(x):
        return np.sin(x)
    backward.defvjp(lambda x: (backward(x), x), lambda x, ct: (ct * np.cos(x),))
    costs = lambda sin: (lambda x: sin(x).sum() * sin(x[0]),
                         lambda x: tracejit.scan(lambda c, v: (sin(c + v), sin(c)), 0.0, x)[1].sum())
    for f, g, plain in zip(costs(forward), costs(backward), costs(np.sin)):
        want = run(vmap(hessian(plain)), X)
        close(run(vmap(hessian(f)), X), want)
        close(run(vmap(jacrev(grad(g))), X), want)
        close(run(hessian(lambda m, f=f: vmap(f)(m).sum()), X), run(hessian(lambda m, f=plain: vmap(f)(m).sum()), X))


def test_checkpoints_in_scans_in_batches():
    w = rng.normal(size=(5, 5))
    layer = lambda x, w: np.tanh(w @ x)
    costs = lambda layer: lambda w, x: tracejit.scan(lambda c, _: (layer(c, w), None), x, length=4)[0].sum()
    plain = costs(layer)
    for policy in ("nothing", "dots", 1000, "everything"):
        f = costs(checkpoint(layer, policy=policy))
        close(run(vmap(grad(f), (None, 0)), w, X), run(vmap(grad(plain), (None, 0)), w, X))
        close(run(hvp(f), w, w, X[0]), run(hvp(plain), w, w, X[0]))
        close(run(vmap(hessian(f, 1), (None, 0)), w, X), run(vmap(hessian(plain, 1), (None, 0)), w, X))


# ---------------------------------------------------------------- axes, complex numbers, sparse Jacobians
def test_axes_of_gradients():
    a, b = rng.normal(size=(3, 4, 5)), rng.normal(size=(5, 2))
    f = lambda x, y: (np.sin(x) @ y).sum()
    first, second = run(vmap(grad(f, (0, 1)), in_axes=(1, None), out_axes=(2, 0)), a, b)
    close(first, np.stack([run(grad(f), a[:, k], b) for k in range(4)], 2))
    close(second, np.stack([run(grad(f, 1), a[:, k], b) for k in range(4)]))


def test_vmap_of_holomorphic_derivatives():
    z = X + 1j
    close(run(vmap(grad(lambda z: (z**3).sum(), holomorphic=True)), z), 3 * z**2)
    close(run(vmap(jacobian(lambda z: z**2, holomorphic=True)), z), [np.diag(2 * row) for row in z])


def test_sparse_jacobians_of_vmap_and_scan_and_their_gradients():
    f = lambda m: vmap(lambda r: r[1:] * r[:-1])(m)
    found = tracejit.sparse_jacobian(f)(X)
    close(found.toarray(), jacobian(f)(X).reshape(16, 20))
    assert found.nnz == 32
    cost = lambda m: vmap(lambda r: (r[1:] * r[:-1] ** 2).sum())(m).sum()
    close(tracejit.sparse_hessian(cost)(X).toarray(), hessian(cost)(X).reshape(20, 20))
    g = lambda x: tracejit.scan(lambda c, v: (v, (c * v) ** 2), 0.0, x)[1]
    found = tracejit.sparse_jacobian(g)(X[0])
    close(found.toarray(), jacobian(g)(X[0]))
    assert found.nnz == 9
    close(jit(lambda x: tracejit.sparse_jacobian(g)(x) @ x)(X[0]), jacobian(g)(X[0]) @ X[0])
    close(grad(lambda x: (tracejit.sparse_jacobian(g)(x) @ x).sum())(X[0]),
          grad(lambda x: (jacobian(g)(x) @ x).sum())(X[0]))
