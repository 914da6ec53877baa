"""Transforms of transforms: each composition of `jit` and derivatives, against finite differences."""

import numpy as np
from tracing import run

from tracejit import grad, hessian, hvp, jacfwd, jacrev, jit, jvp, linearize, value_and_grad, vjp

rng = np.random.default_rng(2)
X, V, C = rng.normal(size=(3, 4))
W = rng.normal(size=(4, 4))


def field(x):
    """Return a vector that writes, indexes, sorts and branches have made."""
    y = np.tanh(W @ x)
    y[1:] *= x[:-1]
    if y[0] > 0:
        y[0] = np.exp(-y[0])
    return np.sort(y)[[2, 0, 0]] * x[0] + np.cumprod(y)[-1]


def cost(x):
    return (field(x) ** 2).sum()


def slope(f, x, h=1e-5):
    """Return the derivatives along the axes, as rows behind those of the result."""
    return np.stack([(np.asarray(f(x + h * e)) - np.asarray(f(x - h * e))) / (2 * h) for e in np.eye(len(x))], -1)


def close(got, want, rtol=1e-6):
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


GRADIENT = slope(cost, X)
JACOBIAN = slope(field, X)
HESSIAN = slope(lambda x: run(grad(cost), x), X)


def test_jit_of_grad():
    close(jit(grad(cost))(X), GRADIENT)


def test_grad_of_jit():
    close(grad(jit(cost))(X), GRADIENT)


def test_jit_of_grad_of_jit():
    close(jit(lambda x: grad(jit(cost))(x) * 2)(X), 2 * GRADIENT)


def test_grad_of_grad():
    close(run(grad(lambda x: grad(cost)(x) @ C), X), HESSIAN @ C)


def test_grad_of_value_and_grad():
    def penalty(x):
        value, gradient = value_and_grad(cost)(x)
        return value + (gradient**2).sum()
    close(run(grad(penalty), X), GRADIENT + 2 * HESSIAN @ GRADIENT)


def test_jvp_of_grad_and_grad_of_jvp():
    close(run(lambda x, v: jvp(grad(cost), (x,), (v,))[1], X, V), HESSIAN @ V)
    close(run(grad(lambda x: jvp(cost, (x,), (V,))[1]), X), HESSIAN @ V)
    close(run(hvp(cost), X, V), HESSIAN @ V)


def test_jvp_of_vjp():
    c = C[:3]

    def pulled(x):
        return vjp(field, x)[1](c)[0]
    close(run(lambda x, v: jvp(pulled, (x,), (v,))[1], X, V), slope(lambda x: run(pulled, x), X) @ V)


def test_vjp_of_jvp():
    def pushed(x):
        return jvp(field, (x,), (V,))[1]
    want = C[:3] @ slope(lambda x: run(pushed, x), X)
    close(run(lambda x: vjp(pushed, x)[1](C[:3])[0], X), want)


def test_vjp_of_vjp_in_the_cotangent_is_the_jvp():
    def pulled(c):
        return vjp(field, X)[1](c)[0]
    close(run(lambda c, v: vjp(pulled, c)[1](v)[0], C[:3], V), JACOBIAN @ V)


def test_grad_of_linearize():
    def along(x, v):
        return (linearize(field, x)[1](v) ** 2).sum()
    close(run(grad(along, 1), X, V), 2 * JACOBIAN.T @ JACOBIAN @ V)
    close(run(grad(along), X, V), slope(lambda x: run(along, x, V), X))


def test_jacobians_of_jacobians():
    want = slope(lambda x: run(jacrev(field), x), X)
    for outer in (jacfwd, jacrev):
        for inner in (jacfwd, jacrev):
            close(run(outer(inner(field)), X), want)
    close(run(hessian(field), X), want)


def test_grad_of_jacobian():
    def volume(x):
        return np.linalg.slogdet(jacfwd(lambda x: np.tanh(W @ x) + x)(x))[1]
    close(run(grad(volume), X), slope(lambda x: run(volume, x), X))


def test_grad_of_the_trace_of_a_hessian():
    def curvature(x):
        return np.trace(hessian(cost)(x))
    close(run(grad(curvature), X), slope(lambda x: run(curvature, x), X), rtol=1e-5)


def test_three_times_forward_and_reverse():
    f = lambda t: np.sin(t) * np.exp(t / 2)
    third = np.exp(0.15) * (-1.375 * np.sin(0.3) - 0.25 * np.cos(0.3))
    for a in (grad, jacfwd, jacrev):
        for b in (grad, jacfwd, jacrev):
            close(run(a(b(grad(f))), np.array(0.3)), third, rtol=1e-12)
