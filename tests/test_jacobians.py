"""Jacobians and Hessians: shapes and nests, both modes against each other and against differences, what is kept."""

import collections
import copy
import pickle

import numpy as np
import pytest
from tracing import run, trace

import tracejit
from tracejit import grad, hessian, hvp, jacfwd, jacobian, jacrev, jit, jvp, linearize, vjp, vmap
from tracejit.errors import NotDifferentiableError
from tracejit.symbolic.graph import Graph

rng = np.random.default_rng(11)
X = rng.normal(size=3)
A = rng.normal(size=(2, 3))
Pair = collections.namedtuple("Pair", "first second")
BOTH = pytest.mark.parametrize("mode", [jacfwd, jacrev, jacobian], ids=lambda m: m.__name__)


def differences(f, x, h=1e-5):
    """Return the Jacobian of a function of one array by central differences."""
    x = np.asarray(x, float)
    columns = []
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = h
        columns.append((np.asarray(f(x + e)) - np.asarray(f(x - e))) / (2 * h))
    return np.moveaxis(np.array(columns).reshape(*x.shape, *columns[0].shape), range(x.ndim),
                       range(columns[0].ndim, columns[0].ndim + x.ndim))


def matches(mode, f, x, rtol=1e-6):
    got = run(mode(f), x)
    want = differences(f, x)
    assert np.shape(got) == want.shape
    np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-7)


# ---------------------------------------------------------------- values and shapes
def written(x):
    y = np.zeros((2, 4))
    y[0, 1:] = x**2
    y[1] = y[0] * x[0]
    y[y > 1] *= 0.5
    return y


def looped(x):
    total = x * 0
    for k in range(12):
        total = np.sin(total + x * k) if total[0] < 0.5 else total * 0.7 + x[::-1]
    return total


FUNCTIONS = {
    "elementwise": lambda x: np.sin(x) * x[::-1], "scalar": lambda x: np.exp(x).prod(),
    "wide": lambda x: np.outer(x, x), "writes": written,
    "sorting": lambda x: np.sort(np.sin(5 * x)) * np.arange(3.0), "cumulative": np.cumprod,
    "gather": lambda x: x[[2, 0, 0, 1]] * x[1], "loop": looped,
    "branch": lambda x: x**2 if x[0] > 0 else np.cos(x),
    "scatter": lambda x: np.bincount([0, 2, 0], x**2), "solve": lambda x: np.linalg.solve(np.diag(x) + A.T @ A, x),
    "inverse": lambda x: np.linalg.inv(np.outer(x, x) + np.eye(3)), "constant": lambda x: np.ones(2) + 0 * x[0],
    "scan": lambda x: tracejit.scan(lambda c, v: (c * v + 1, np.tanh(c)), x[0], x)[1],
    "while": lambda x: tracejit.while_loop(lambda v: (v**2).sum() < 50, lambda v: v * 1.5 + np.sin(v), x)}


@BOTH
@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_differences(mode, name):
    matches(mode, FUNCTIONS[name], X)


@BOTH
def test_shapes_are_those_of_the_result_then_of_the_argument(mode):
    matches(mode, lambda a: np.tanh(a) @ a.T, A)
    matches(mode, lambda a: a.sum(0) * a[0, 1], A)
    matches(mode, lambda a: a[0, 0] * np.ones((2, 0)), A)
    assert mode(lambda x: x * 2)(np.zeros(0)).shape == (0, 0)
    assert isinstance(mode(np.sin)(0.5), np.float64) and isinstance(mode(np.sin)(np.array(0.5)), np.ndarray)
    np.testing.assert_allclose(mode(lambda t: np.array([1.0, 2.0]) * t**2)(3.0), [6, 12])
    assert mode(np.sin)(X.astype(np.float32)).dtype == np.float32


@BOTH
def test_nests_and_argnums(mode):
    def f(p, n, q):
        return {"v": p["w"] @ q.first * n, "s": (p["b"] * q.second, q.first.sum())}
    p, q = {"w": A, "b": 2.0}, Pair(X, np.array([1.0, 5.0]))
    out = mode(f, argnums=(0, 2))(p, 3, q)
    assert list(out) == ["v", "s"] and type(out["s"]) is tuple and type(out["v"]) is tuple
    assert out["v"][0]["w"].shape == (2, 2, 3) and out["v"][0]["b"].shape == (2,) and type(out["v"][1]) is Pair
    np.testing.assert_allclose(out["v"][1].first, 3 * A)
    np.testing.assert_allclose(out["v"][0]["w"], 3 * np.einsum("ij,k->ijk", np.eye(2), X))
    np.testing.assert_allclose(out["s"][0][1].second, 2 * np.eye(2))
    np.testing.assert_allclose(out["s"][0][0]["b"], q.second)
    np.testing.assert_allclose(out["s"][1][1].first, np.ones(3))
    assert not out["s"][1][0]["w"].any()
    np.testing.assert_allclose(mode(f, argnums=-1)(p, 3, q)["v"].first, 3 * A)
    with pytest.raises(ValueError, match="argnums"):
        mode(f, argnums=3)(p, 3, q)


@BOTH
def test_has_aux(mode):
    out, aux = mode(lambda x: (x**2, {"n": 3, "x": x, "i": np.arange(2)}), has_aux=True)(X)
    np.testing.assert_allclose(out, np.diag(2 * X))
    assert aux["n"] == 3 and aux["i"].dtype == np.int64
    np.testing.assert_allclose(aux["x"], X)
    with pytest.raises(TypeError, match="has_aux"):
        mode(lambda x: x, has_aux=True)(X)


def test_the_cheaper_mode_is_chosen():
    for rows, columns in ((2, 50), (50, 2)):
        matrix = rng.normal(size=(rows, columns))
        graph = trace(jacobian(lambda x, m=matrix: np.tanh(m @ np.tanh(x))), rng.normal(size=columns)).graph
        products = [n for n in graph.topological() if n.op.name == "dot_general" and n.ndim == 2]
        assert products and all(min(n.args[0].shape[0], n.args[1].shape[0]) == 2 for n in products)


def test_what_does_not_depend_on_the_direction_is_computed_once():
    for mode in (jacfwd, jacrev):
        graph = trace(mode(lambda x: np.exp(np.sin(x) @ A.T)), X).graph
        assert all(n.ndim == 1 for n in graph.topological() if n.op.name in ("exp", "sin", "cos"))


# ---------------------------------------------------------------- second order
def test_hessian():
    def f(x):
        return np.sin(x[0] * x[1]) + x[2] ** 3 * x[0]
    h = hessian(f)(X)
    np.testing.assert_allclose(h, differences(lambda x: run(grad(f), x), X), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(h, h.T)
    np.testing.assert_allclose(jit(hessian(f))(X), h)
    for by in (jacfwd(jacfwd(f)), jacrev(jacrev(f)), jacrev(jacfwd(f)), jacfwd(grad(f))):
        np.testing.assert_allclose(run(by, X), h, rtol=1e-12, atol=1e-12)


def test_hessian_of_nests_and_vectors():
    def f(p, q):
        return (p["a"] ** 2).sum() * q + np.exp(p["b"] * q)
    h = hessian(f, argnums=(0, 1))({"a": X, "b": 0.5}, 2.0)
    np.testing.assert_allclose(h[0]["a"][0]["a"], 4 * np.eye(3))
    np.testing.assert_allclose(h[0]["a"][1], 2 * X)
    np.testing.assert_allclose(h[1][0]["b"], np.exp(1.0) * 2)
    assert not h[0]["a"][0]["b"].any()
    assert hessian(lambda x: np.outer(x, x))(X).shape == (3, 3, 3, 3)
    value, aux = hessian(lambda x: ((x**3).sum(), "aux"), has_aux=True)(X)
    np.testing.assert_allclose(value, np.diag(6 * X))
    assert aux == "aux"


@pytest.mark.parametrize("name", ["writes", "loop", "scan", "while", "solve", "sorting"])
def test_hessian_through_loops_and_writes(name):
    f = FUNCTIONS[name]
    cost = lambda x: (f(x) ** 2).sum()
    got = run(hessian(cost), X)
    np.testing.assert_allclose(got, differences(lambda x: run(grad(cost), x), X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run(hvp(cost), X, X[::-1].copy()), got @ X[::-1], rtol=1e-9, atol=1e-9)


def test_products_with_the_hessian():
    def f(x, w):
        return np.sin(x * w[0]).sum() * (w**2).sum()
    w, v, u = A[0], A[1], X[::-1].copy()
    h = hessian(f, (0, 1))(X, w)
    np.testing.assert_allclose(hvp(f)(X, v, w), h[0][0] @ v)
    np.testing.assert_allclose(hvp(f, 1)(X, w, u), h[1][1] @ u)
    np.testing.assert_allclose(hvp(f, -1)(X, w, u), h[1][1] @ u)
    for got, row in zip(hvp(f, (0, 1))(X, w, (v, u)), h):
        np.testing.assert_allclose(got, row[0] @ v + row[1] @ u)
    product = hvp(lambda p: (p["a"] ** 3).sum() * p["b"])({"a": X, "b": 2.0}, {"a": v, "b": 1.0})
    np.testing.assert_allclose(product["a"], 12 * X * v + 3 * X**2)
    with pytest.raises(ValueError, match="argnums"):
        hvp(f, 2)(X, w, u)
    with pytest.raises(ValueError, match="nested"):
        hvp(f)(X, (v, v), w)


def test_newtons_method():
    scipy_optimize = pytest.importorskip("scipy.optimize")

    def rosenbrock(x, a):
        return (a * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
    product = hvp(rosenbrock)
    found = scipy_optimize.minimize(rosenbrock, np.zeros(4), args=(100.0,), jac=grad(rosenbrock), hessp=product,
                                    method="newton-cg", options={"xtol": 1e-10})
    np.testing.assert_allclose(found.x, np.ones(4), rtol=1e-6)
    assert product.cache_info().traces == 1


# ---------------------------------------------------------------- complex numbers
Z = np.array([0.5 + 1j, -0.3 + 0.2j])


@BOTH
def test_holomorphic_functions(mode):
    f = lambda z: np.exp(z) * z[::-1]
    want = np.array([[f(Z + h * e) - f(Z - h * e) for e in np.eye(2)] for h in (1e-6,)])[0].T / 2e-6
    np.testing.assert_allclose(mode(f, holomorphic=True)(Z), want, rtol=1e-8)
    with pytest.raises(NotDifferentiableError, match="holomorphic"):
        mode(f)(Z)
    with pytest.raises(NotDifferentiableError, match="not complex"):
        mode(lambda x: x + 0j, holomorphic=True)(X)
    with pytest.raises(NotDifferentiableError, match="only complex results"):
        mode(lambda z: np.abs(z), holomorphic=True)(Z)


def test_derivative_of_a_holomorphic_scalar():
    f = lambda z: np.sin(z * 2)
    np.testing.assert_allclose(grad(f, holomorphic=True)(0.3 + 0.4j), 2 * np.cos(0.6 + 0.8j))
    np.testing.assert_allclose(grad(grad(f, holomorphic=True), holomorphic=True)(0.3 + 0.4j), -4 * np.sin(0.6 + 0.8j))
    np.testing.assert_allclose(hessian(lambda z: (z**3).sum(), holomorphic=True)(Z), np.diag(6 * Z))
    with pytest.raises(NotDifferentiableError, match="real scalar.*\n.*\n.*holomorphic=True"):
        grad(f)(0.3 + 0.4j)
    with pytest.raises(NotDifferentiableError, match="complex scalar"):
        grad(np.abs, holomorphic=True)(0.3 + 0.4j)


def test_complex_numbers_on_one_side():
    np.testing.assert_allclose(jacobian(lambda x: np.exp(1j * x))(X), np.diag(1j * np.exp(1j * X)))
    np.testing.assert_allclose(jacfwd(lambda x: np.exp(1j * x))(X), np.diag(1j * np.exp(1j * X)))
    rows = jacobian(lambda z: np.abs(z) ** 2)(Z)  # df/dx - i df/dy
    np.testing.assert_allclose(rows, np.diag(2 * Z.conj()))
    with pytest.raises(NotDifferentiableError, match="jacfwd for real"):
        jacrev(lambda x: np.exp(1j * x))(X)
    with pytest.raises(NotDifferentiableError, match="jacrev for real"):
        jacfwd(np.abs)(Z)


@BOTH
def test_integers_are_refused(mode):
    with pytest.raises(NotDifferentiableError, match="only floats"):
        mode(lambda x: x * 2.0)(np.arange(3))
    with pytest.raises(NotDifferentiableError, match="has_aux"):
        mode(np.argsort)(X)
    with pytest.raises(NotDifferentiableError, match="a str, and only floats"):
        mode(lambda x: "text")(X)


# ---------------------------------------------------------------- with and without jit around
def test_inside_and_outside_jit():
    f = FUNCTIONS["writes"]
    want = differences(f, X)
    for g in (jacobian(f), jit(jacobian(f)), jacobian(jit(f)), jit(lambda x: jacobian(f)(x))):
        np.testing.assert_allclose(g(X), want, rtol=1e-6, atol=1e-8)
    g = jacobian(f)
    for k in range(3):
        g(X + k)
    assert (g.cache_info().hits, g.cache_info().traces) == (2, 1)


@jacobian
def decorated(x):
    return x**2


def test_pickles_and_copies():
    assert pickle.loads(pickle.dumps(decorated)) is decorated and repr(decorated) == "<jacobian of decorated>"
    for make in (jacfwd, jacrev, hessian, hvp):
        assert copy.deepcopy(make(np.linalg.norm)).__name__ == "norm"
        assert repr(pickle.loads(pickle.dumps(make(np.linalg.norm)))) == f"<{make.__name__} of norm>"


def test_writes_to_the_argument_reach_the_caller():
    def f(x):
        x *= 2
        return x**2
    for mode in (jacfwd, jacrev):
        x = X.copy()
        np.testing.assert_allclose(mode(f)(x), np.diag(8 * X))
        np.testing.assert_allclose(x, 2 * X)


# ---------------------------------------------------------------- what is kept of the point
CALLS = []


def counted(x, w):
    CALLS.append(1)
    return {"y": np.tanh(w @ np.sin(x)), "n": 3}


def test_linearize():
    out, push = linearize(counted, X, A)
    np.testing.assert_allclose(out["y"], np.tanh(A @ np.sin(X)))
    for v, u in ((X, A), (X[::-1], 2 * A)):
        want = jvp(counted, (X, A), (v, u))[1]
        got = push(v, u)
        np.testing.assert_allclose(got["y"], want["y"])
        assert got["n"] == 0
    with pytest.raises(ValueError, match="nested"):
        push(X)


def test_vjp_keeps_what_the_derivative_needs():
    CALLS.clear()
    out, pull = vjp(counted, X, A)
    traces = len(CALLS)
    rows = [pull({"y": e, "n": 0}) for e in np.eye(2)]
    assert len(CALLS) == traces  # the function is not looked at again
    jac = jacrev(lambda x, w: counted(x, w)["y"], (0, 1))(X, A)
    for k, row in enumerate(rows):
        np.testing.assert_allclose(row[0], jac[0][k])
        np.testing.assert_allclose(row[1], jac[1][k])


def test_the_pullback_does_not_compute_the_function_again():
    linear = vjp(lambda x: np.tanh(A @ np.exp(x)), X)[1].__closure__
    graph = next(c.cell_contents.graph for c in linear if isinstance(getattr(c.cell_contents, "graph", None), Graph))
    assert not {"tanh", "exp"} & {n.op.name for n in graph.topological()}


def test_later_writes_do_not_change_what_is_kept():
    x = X.copy()
    out, pull = vjp(lambda x: x**2, x)
    push = linearize(lambda x: x**2, x)[1]
    x[:] = 0
    np.testing.assert_allclose(pull(np.ones(3))[0], 2 * X)
    np.testing.assert_allclose(push(np.ones(3)), 2 * X)


def test_vjp_outside_is_traced_once():
    f = lambda x: np.sin(x) * x
    for k in range(3):
        out, pull = vjp(f, X + k)
        np.testing.assert_allclose(pull(np.ones(3))[0], np.cos(X + k) * (X + k) + np.sin(X + k))


def test_aux_of_vjp_jvp_and_linearize():
    f = lambda x: (x**2, {"k": x[0] > 0, "n": np.arange(2)})
    out, pull, aux = vjp(f, X, has_aux=True)
    np.testing.assert_allclose(pull(np.ones(3))[0], 2 * X)
    assert aux["n"].tolist() == [0, 1] and aux["k"] == (X[0] > 0)
    out, moved, aux = jvp(f, (X,), (X,), has_aux=True)
    np.testing.assert_allclose(moved, 2 * X * X)
    out, push, aux = linearize(f, X, has_aux=True)
    np.testing.assert_allclose(push(X), 2 * X * X)
    np.testing.assert_allclose(out, X**2)


def test_results_whose_size_the_data_decide():
    f = lambda x: x[x > 0] ** 2
    x = np.array([2.0, -1.0, 3.0, 0.5])
    out, pull = vjp(f, x)
    np.testing.assert_array_equal(pull(np.array([1.0, 2.0, 3.0]))[0], [4, 0, 12, 3])
    np.testing.assert_array_equal(linearize(f, x)[1](np.ones(4)), [4, 6, 1])
    for wrong in (np.ones(2), np.ones(4)):
        with pytest.raises(ValueError, match=r"shapes \([24],\) \(3,\)"):
            pull(wrong)
    with pytest.raises(ValueError, match=r"f64\[3,1\], its value f64\[\?\]"):
        pull(np.ones((3, 1)))

    @jit
    def g(x):
        out, pull = vjp(f, x)
        return pull(out)[0]
    for x in (x, -x):
        np.testing.assert_array_equal(g(x), np.where(x > 0, 2 * x**3, 0))
    assert g.cache_info().traces == 1
    tracejit.testing.check_grads(lambda x: np.unique(x) ** 2, (x,), order=2)


def test_linear_parts_inside_a_jitted_function():
    def f(x):
        return np.sin(x) * A

    @jit
    def g(x):
        out, pull = vjp(f, x)
        same_out, push = linearize(f, x)
        rows = vmap(lambda c: pull(c)[0])(np.stack([out, np.ones_like(out)]))
        return rows, push(x), tracejit.fori_loop(0, 3, lambda i, t: t + pull(out)[0] * i, x)
    rows, moved, total = g(X)
    np.testing.assert_allclose(rows[1], (np.cos(X) * A).sum(0))
    np.testing.assert_allclose(moved, np.cos(X) * X * A)
    np.testing.assert_allclose(total, X + 3 * (np.cos(X) * A * (np.sin(X) * A)).sum(0))


def test_a_pullback_of_outside_inside_a_jitted_function():
    out, pull = vjp(np.sin, X)
    np.testing.assert_allclose(jit(lambda c: pull(c * 2)[0])(X), 2 * X * np.cos(X))
    np.testing.assert_allclose(grad(lambda c: (pull(c)[0] ** 2).sum())(X), 2 * X * np.cos(X) ** 2)
