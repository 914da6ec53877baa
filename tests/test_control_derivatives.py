"""Derivatives through loops and branches: against differences, forward against reverse, second order, in batches."""

import numpy as np
import pytest
from tracing import trace

import tracejit
from tracejit.config import config
from tracejit.opt.pipeline import optimize, prepare
from tracejit.symbolic.autodiff import grad, jvp, vjp
from tracejit.symbolic.batching import batch
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.text import parse

RNG = np.random.default_rng(7)
X = RNG.uniform(-1, 1, 5)


# ---------------------------------------------------------------- the functions, each of an array to a scalar
def recurrence(x):
    w = np.sin(np.arange(25.0)).reshape(5, 5)

    def step(carry, row):
        return np.tanh(carry @ w * 0.5 + row), (carry * row).sum()
    carry, ys = tracejit.scan(step, np.zeros(5), np.sin(x)[:, None] * w)
    return (ys ** 2).sum() + carry.sum()


def backwards(x):
    return tracejit.scan(lambda c, v: (c * v + 1, c * c), 0.5, x, reverse=True)[1].sum()


def newton(x):
    """A loop under a condition: the square root of x . x + 1."""
    a = (x * x).sum() + 1
    return tracejit.while_loop(lambda y: abs(y * y - a) > 1e-13 * a, lambda y: 0.5 * (y + a / y), a)


def triangular(x):
    """Inner loops whose length is the outer's index; elements are written in place."""
    out = np.zeros(5)

    def row(i, total):
        def element(j, s):
            return s + np.sin(x[i] * x[j]) + out[j] * 0.5
        out[i] = tracejit.fori_loop(0, i, element, x[i])
        return total + out[i] * i
    return tracejit.fori_loop(0, 5, row, 0.0) + (out ** 2).sum()


def branches(x):
    def step(c, v):
        c = tracejit.cond(v > 0, lambda c: c * np.exp(v), lambda c: c + v * v, c)
        return c, tracejit.switch((v * 4).astype(int) + 2, [np.sin, np.cos, lambda v: v * v * v], v)
    c, ys = tracejit.scan(step, 1.0, x)
    return c + (ys * x).sum()


def swapped(x):
    """Two buffers that change places."""
    def body(i, pair):
        u, v = pair
        v[1:-1] = u[1:-1] + 0.1 * np.sin(u[2:] - 2 * u[1:-1] + u[:-2])
        return v, u
    u, v = tracejit.fori_loop(0, 6, body, (x.copy(), x.copy()))
    return (u * v).sum()


def products(x):
    return (tracejit.associative_scan(lambda a, b: a * b, x + 2)).sum()


FUNCTIONS = [recurrence, backwards, newton, triangular, branches, swapped, products]
EACH = pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)


def differences(f, x, direction, step=1e-5):
    near = (f(x + step * direction) - f(x - step * direction)) / (2 * step)
    far = (f(x + 2 * step * direction) - f(x - 2 * step * direction)) / (4 * step)
    return (4 * near - far) / 3


def value(graph):
    return lambda x: evaluate(graph, x)[0]


@EACH
def test_gradient_of_the_graph(f):
    """Reverse mode against differences and forward mode, before and after the rewrites."""
    graph = trace(f, X).graph
    derived, pushed = grad(graph, (0,)), jvp(graph)
    direction = RNG.uniform(-1, 1, 5)
    (gradient,) = evaluate(derived, X)
    np.testing.assert_allclose(gradient @ direction, differences(value(graph), X, direction), rtol=1e-7, atol=1e-8)
    for g in (derived, optimize(derived), optimize(grad(prepare(graph), (0,)))):
        assert parse(str(g)) is g and g.check() is g
        np.testing.assert_allclose(evaluate(g, X)[0], gradient, rtol=1e-9, atol=1e-12)
    for g in (pushed, optimize(pushed)):
        np.testing.assert_allclose(evaluate(g, X, direction)[1], gradient @ direction, rtol=1e-9)


@EACH
def test_second_order(f):
    """Forward over reverse is symmetric, and is what differences of gradients say; so is reverse over reverse."""
    derived = grad(prepare(trace(f, X).graph), (0,))
    u, v = RNG.uniform(-1, 1, (2, 5))
    pushed = jvp(derived)
    along_u, along_v = (evaluate(pushed, X, d)[1] for d in (u, v))
    assert u @ along_v == pytest.approx(v @ along_u, rel=1e-8, abs=1e-9)
    np.testing.assert_allclose(along_u, differences(value(derived), X, u), rtol=1e-6, atol=1e-7)
    twice = vjp(derived, (0,))
    for g in (twice, optimize(twice)):
        np.testing.assert_allclose(evaluate(g, X, u)[0], along_u, rtol=1e-8, atol=1e-10)


@EACH
def test_batches(f):
    """A batch of the function and of its gradient, element by element."""
    graph = trace(f, X).graph
    rows = np.stack([X, -X, X * 0.5])
    for g in (graph, prepare(graph), prepare(grad(graph, (0,)))):
        (got,) = evaluate(batch(g, (True,), 3), rows)
        np.testing.assert_allclose(got, [evaluate(g, row)[0] for row in rows], rtol=1e-9, atol=1e-12)


@EACH
@pytest.mark.parametrize("backend", ["ref", "auto"])
def test_through_jit(f, backend):
    graph = trace(f, X).graph
    (want,) = evaluate(grad(graph, (0,)), X)
    with config.context(backend=backend):
        np.testing.assert_allclose(tracejit.grad(f)(X), want, rtol=1e-9, atol=1e-12)
        got, gradient = tracejit.jit(tracejit.value_and_grad(f))(X)
    np.testing.assert_allclose(gradient, want, rtol=1e-9, atol=1e-12)
    assert got == pytest.approx(evaluate(graph, X)[0])


def test_a_count_that_is_an_argument():
    """The stack is as long as the count is at run time."""
    def f(x, n):
        return tracejit.fori_loop(0, n, lambda i, y: np.sin(y) * x[i] + 1, 0.5)
    derived = grad(trace(f, X, 3).graph, (0,))
    for n in (0, 1, 4):
        got = evaluate(derived, X, n)[0]
        for e in np.eye(5):
            want = differences(lambda x: evaluate(trace(f, X, 3).graph, x, n)[0], X, e)
            assert got @ e == pytest.approx(want, rel=1e-7, abs=1e-8)


def test_stacks_that_grow_compiled():
    """Results that change places, and memory whose size is known at run time, in one program called again and again."""
    def f(x, n):
        return tracejit.fori_loop(0, n, lambda i, y: np.sin(y) * np.flip(x) + 1, x).sum()
    graph = grad(trace(f, X, 3).graph, (0,))
    compiled = tracejit.jit(tracejit.grad(f))
    for n in (3, 1, 70, 0, 7):
        np.testing.assert_allclose(compiled(X, n), evaluate(graph, X, n)[0], rtol=1e-10)
    assert compiled.cache_info().traces == 1


def test_checks_hold_only_where_a_batch_runs():
    def f(x, n):
        return tracejit.while_loop(lambda v: v[0] < n, lambda v: (v[0] + 1, v[1] + x[v[0]]), (0, 0.0))[1]
    graph = batch(trace(f, X, 3).graph, (False, True), 3)
    np.testing.assert_allclose(evaluate(graph, X, [0, 5, 2])[0], [0, X.sum(), X[:2].sum()])
    with pytest.raises(IndexError):
        evaluate(graph, X, [0, 6, 2])

    def g(x, n):
        return tracejit.cond(n < 5, lambda: x[n], lambda: 0.0)
    graph = batch(trace(g, X, 3).graph, (False, True), 3)
    np.testing.assert_allclose(evaluate(graph, X, [0, 7, 4])[0], [X[0], 0, X[4]])


def test_what_does_not_depend_is_not_stored():
    """Of a linear loop nothing is stored; of a product with what is held, neither."""
    def f(x):
        w = np.exp(x)
        return tracejit.fori_loop(0, 5, lambda i, y: y * w[0] + x[i], np.float64(1.0))

    def g(x):
        return tracejit.fori_loop(0, 50, lambda i, y: y * 0.5 + x[0], np.float64(1.0))
    text = str(optimize(grad(prepare(trace(g, X).graph), (0,))))
    assert "f64[50" not in text
    np.testing.assert_allclose(evaluate(grad(trace(f, X).graph, (0,)), X)[0] @ X,
                               differences(value(trace(f, X).graph), X, X), rtol=1e-7)


# ---------------------------------------------------------------- plain Python
def plain_sum(x):
    s = 0.0
    for i in range(len(x)):
        s = np.sin(s) + x[i] * x[i]
    return s


def gauss_seidel(b):
    n = len(b)
    x = np.zeros(n)
    for _ in range(10):
        for i in range(n):
            s = b[i]
            if i > 0:
                s -= 0.3 * x[i - 1]
            if i < n - 1:
                s -= 0.3 * np.tanh(x[i + 1])
            x[i] = s
    return (x * x).sum()


def heat(u):
    u = u.copy()
    v = u.copy()
    for _ in range(20):
        v[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2]) * np.cos(u[1:-1])
        u, v = v, u
    return (u ** 2).sum()


def until_it_rests(x):
    a = (x * x).sum() + 1
    y = a
    while abs(y * y - a) > 1e-13 * a:
        y = 0.5 * (y + a / y)
    return y


def left_early(x):
    s = 1.0
    for i in range(len(x)):
        s += np.exp(x[i])
        if s > 7:
            break
        if x[i] > 10:
            return s * s
    return s * x[0]


def cholesky(x):
    n = 12
    a = np.outer(np.tile(x, 3)[:n], np.arange(n)) * 0.01 + np.eye(n) * 2
    a = a + a.T
    lower = np.zeros((n, n))
    for j in range(n):
        s = 0.0
        for k in range(j):
            s += lower[j, k] ** 2
        lower[j, j] = np.sqrt(a[j, j] - s)
        for i in range(j + 1, n):
            s = 0.0
            for k in range(j):
                s += lower[i, k] * lower[j, k]
            lower[i, j] = (a[i, j] - s) / lower[j, j]
    return np.log(np.diag(lower)).sum()


@pytest.mark.parametrize("f", [plain_sum, gauss_seidel, heat, until_it_rests, left_early, cholesky],
                         ids=lambda f: f.__name__)
def test_plain_python(f):
    """Functions without a word about loops, compiled: reverse and forward mode against differences of plain NumPy."""
    x = np.resize(X, 9)
    gradient = tracejit.grad(f)(x)
    want = [differences(f, x, e) for e in np.eye(9)]
    np.testing.assert_allclose(gradient, want, rtol=1e-6, atol=1e-8)
    direction = np.arange(9.0)
    value, tangent = tracejit.jvp(f, (x,), (direction,))
    assert value == pytest.approx(f(x)) and tangent == pytest.approx(gradient @ direction, rel=1e-9, abs=1e-10)


def test_a_loop_that_reads_several_elements_sums_their_gradients_in_place():
    def f(x):
        total = 0.0
        for i in range(1, 20):
            total = total * 0.9 + x[i] * x[i - 1]
        return total
    graph = optimize(grad(trace(f, np.ones(20)).graph, (0,)))
    body = next(n for n in graph.topological() if n.op.name == "for_loop").attr("body")
    assert all(n.type.size == 1 or n.op.name in ("param", "dynamic_set_slice") for n in body.topological())
