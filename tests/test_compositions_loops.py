"""Derivatives inside loops and branches, and loops and branches inside derivatives: against finite differences."""

import numpy as np
import pytest
from tracing import run

import tracejit
from tracejit import cond, fori_loop, grad, hessian, jacrev, jit, jvp, scan, switch, value_and_grad, vjp, while_loop

rng = np.random.default_rng(9)
X = rng.normal(size=3)
S = rng.normal(size=(5, 3))


def slope(f, x, h=1e-5):
    return np.stack([(np.asarray(f(x + h * e)) - np.asarray(f(x - h * e))) / (2 * h) for e in np.eye(len(x))], -1)


def close(got, want, rtol=1e-6):
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


def bowl(x, a):
    return ((x - np.sin(a)) ** 2 * (1 + x**2)).sum()


def descent(a):
    """Return where gradient descent comes to: a scan of gradients."""
    return scan(lambda x, _: (x - 0.1 * grad(bowl)(x, a), bowl(x, a)), a * 0, length=5)


def test_scan_of_grad():
    x, costs = run(descent, X), []
    y = X * 0
    for _ in range(5):
        costs.append(bowl(y, X))
        y = y - 0.1 * slope(lambda y: bowl(y, X), y)
    close(x[0], y)
    close(x[1], costs)
    close(jit(descent)(X)[0], y)


def test_grad_of_scan_of_grad():
    f = lambda a: (descent(a)[0] * a).sum()
    close(run(grad(f), X), slope(lambda a: run(f, a), X))


def test_hessian_of_scan():
    f = lambda x: scan(lambda c, s: (np.tanh(c * s + x), None), x * 0, S)[0].sum()
    close(run(hessian(f), X), slope(lambda x: run(grad(f), x), X))


def test_grad_of_scan_of_cond():
    def f(x):
        def step(c, s):
            c = cond(c.sum() > s[0], lambda c: np.sin(c) * s, lambda c: c * x + s, c)
            return c, c[0]
        last, firsts = scan(step, x, S)
        return last.sum() * (firsts**2).sum()
    close(run(grad(f), X), slope(lambda x: run(f, x), X))
    close(run(hessian(f), X), slope(lambda x: run(grad(f), x), X), rtol=1e-5)


def test_grad_of_switch_of_scan():
    branches = [lambda x: scan(lambda c, s: (c * np.cos(s) + x, None), x, S)[0].sum(), lambda x: (x**3).sum()]
    for k in (0, 1):
        f = lambda x, k=k: switch(np.array(k), branches, x)
        close(run(grad(f), X), slope(lambda x: run(f, x), X))


def test_grad_of_while_of_fori():
    def f(x):
        def body(v):
            return fori_loop(0, 3, lambda i, v: np.sin(v) + v * (0.5 + 0.1 * i), v)
        return while_loop(lambda v: (v**2).sum() < 8, body, x).prod()
    close(run(grad(f), X), slope(lambda x: run(f, x), X), rtol=1e-5)


def test_cond_of_grads():
    f = lambda x: cond(x[0] > 0, grad(lambda x: (x**3).sum()), grad(lambda x: np.sin(x).prod()), x)
    for sign in (1, -1):
        x = np.abs(X) * sign
        close(run(f, x), 3 * x**2 if sign > 0 else slope(lambda x: np.sin(x).prod(), x))
        close(run(jacrev(f), x), slope(lambda x: run(f, x), x))


def test_while_of_newton_steps():
    def f(a):
        def step(v):
            x, _ = v
            value, derivative = value_and_grad(lambda x: x**3 + a * x - 1)(x)
            return x - value / derivative, value
        return while_loop(lambda v: np.abs(v[1]) > 1e-13, step, (1.0, 1.0))[0]
    root = run(f, np.array(2.0))
    close(root**3 + 2 * root, 1, rtol=1e-12)
    close(run(grad(f), np.array(2.0)), -root / (3 * root**2 + 2))


def test_fori_of_vjp_and_jvp():
    def f(x):
        def body(i, v):
            out, pull = vjp(lambda v: np.tanh(v * x), v)
            return pull(out)[0] + jvp(np.sin, (v,), (x,))[1] * i
        return fori_loop(0, 4, body, x)
    y = X
    for i in range(4):
        out = np.tanh(y * X)
        y = out * (1 - out**2) * X + np.cos(y) * X * i
    close(run(f, X), y, rtol=1e-12)
    close(run(jacrev(f), X), slope(lambda x: run(f, x), X))


@pytest.mark.parametrize("wrapped", [lambda f: f, jit], ids=["plain", "jit"])
def test_grad_of_python_loops_of_grad(wrapped):
    def outer(a):
        x = a * 0
        for _ in range(12):
            slope_here = grad(wrapped(bowl))(x, a)
            if (slope_here**2).sum() < 0.01:
                break
            x = x - 0.1 * slope_here
        return (x * a).sum()
    close(run(grad(outer), X), slope(lambda a: run(outer, a), X))


def test_grad_of_associative_scan():
    f = lambda x: tracejit.associative_scan(lambda a, b: a * b + b, x).sum()
    close(run(grad(f), X), slope(lambda x: run(f, x), X))
