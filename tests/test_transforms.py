"""Derivatives of Python functions: inside and outside jitted code, nested, over nests of arrays, to third order."""

import collections
import contextlib
import copy
import dataclasses
import pickle

import numpy as np
import pytest

import tracejit
from tracejit import grad, jit, jvp, shared, stop_gradient, value_and_grad, vjp
from tracejit.errors import NotDifferentiableError, RetraceWarning
from tracejit.testing import check_grads

X = np.array([0.3, -0.7, 1.2])
A = np.array([[0.5, 1.0, -0.2], [2.0, 0.1, 0.4]])


@dataclasses.dataclass
class Point:
    x: object
    y: object


Pair = collections.namedtuple("Pair", "first second")


def cost(x):
    return np.sum(np.sin(x) * x**2) + np.exp(x).prod()


def slope(f, x, h=1e-5):
    """Return the gradient of a scalar function by central differences."""
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = h
        out[i] = (f(x + e) - f(x - e)) / (2 * h)
    return out


def matches(derivative, f, x):
    np.testing.assert_allclose(derivative, slope(f, x), rtol=1e-6, atol=1e-7)


# ---------------------------------------------------------------- gradients
def test_grad():
    matches(grad(cost)(X), cost, X)
    matches(jit(grad(cost))(X), cost, X)
    matches(jit(lambda x: grad(cost)(x))(X), cost, X)
    value, gradient = value_and_grad(cost)(X)
    np.testing.assert_allclose(value, cost(X))
    matches(gradient, cost, X)


def test_backends_agree():
    np.testing.assert_allclose(jit(grad(cost), backend="ref")(X), grad(cost)(X), rtol=1e-14)
    np.testing.assert_allclose(jit(grad(cost), backend="numba")(X), grad(cost)(X), rtol=1e-14)


def test_grad_is_compiled_once():
    g = grad(cost)
    for k in range(4):
        g(X + k)
    info = g.cache_info()
    assert (info.hits, info.traces) == (3, 1)
    assert str(g.trace(X)).startswith("graph grad_cost(")


def test_decorator_keeps_the_name():
    assert grad(cost).__name__ == "cost" and value_and_grad(cost).__wrapped__ is cost


@pytest.mark.parametrize("order", [1, 2, 3])
def test_orders_of_a_scalar_function(order):
    def f(x):
        return np.sin(x) * np.exp(0.5 * x)
    derivatives = {1: lambda x: np.exp(x / 2) * (np.cos(x) + np.sin(x) / 2),
                   2: lambda x: np.exp(x / 2) * (np.cos(x) - 0.75 * np.sin(x)),
                   3: lambda x: np.exp(x / 2) * (-1.375 * np.sin(x) - 0.25 * np.cos(x))}
    g = f
    for _ in range(order):
        g = grad(g)
    for x in (0.7, np.float64(0.7), np.array(0.7)):
        np.testing.assert_allclose(g(x), derivatives[order](0.7), rtol=1e-12)
        np.testing.assert_allclose(jit(g)(x), derivatives[order](0.7), rtol=1e-12)


def test_third_order_of_arrays():
    check_grads(lambda x: np.tanh(A @ x).sum() * x[0], (X,), order=3)
    check_grads(lambda x, y: np.log1p(np.exp(x * y)) @ x, (X, X[::-1] + 1), order=3)


def test_hessian_by_rows():
    def f(x):
        return (x[0] ** 2 * x[1] + np.sin(x[2]) * x[0]).sum()

    def row(i):
        return grad(lambda x: grad(f)(x)[i])(X)
    h = np.stack([row(i) for i in range(3)])
    np.testing.assert_allclose(h, h.T)
    np.testing.assert_allclose(h, [[2 * X[1], 2 * X[0], np.cos(X[2])], [2 * X[0], 0, 0],
                                   [np.cos(X[2]), 0, -np.sin(X[2]) * X[0]]], atol=1e-14)


def test_argnums():
    def f(x, y, z):
        return (x * y).sum() * z
    args = X, X + 1, 2.0
    np.testing.assert_allclose(grad(f, 1)(*args), 2 * X)
    np.testing.assert_allclose(grad(f, -1)(*args), (X * (X + 1)).sum())
    np.testing.assert_allclose(grad(f, argnums=-2)(*args), 2 * X)
    out = grad(f, (2, 0))(*args)
    assert type(out) is tuple
    np.testing.assert_allclose(out[0], (X * (X + 1)).sum())
    np.testing.assert_allclose(out[1], 2 * (X + 1))
    assert type(grad(f, (0,))(*args)) is tuple
    for bad in (3, -4, (0, 7)):
        with pytest.raises(ValueError, match="argnums"):
            grad(f, bad)(*args)
    np.testing.assert_allclose(grad(f)(X, z=3.0, y=X), 3 * X)


def test_nests():
    def f(p, q):
        return (p["w"] @ q.first).sum() + p["b"].x * q.second[0] ** 2
    p, q = {"w": A, "b": Point(2.0, None)}, Pair(X, [1.5])
    gp, gq = grad(f, (0, 1))(p, q)
    assert list(gp) == ["w", "b"] and type(gp["b"]) is Point and gp["b"].y is None and type(gq) is Pair
    np.testing.assert_allclose(gp["w"], np.broadcast_to(X, A.shape))
    np.testing.assert_allclose(gp["b"].x, 2.25)
    np.testing.assert_allclose(gq.first, A.sum(0))
    np.testing.assert_allclose(gq.second[0], 6.0)


def test_has_aux():
    def f(x):
        y = x * 2
        return (y**2).sum(), {"y": y, "name": "aux", "n": 3}
    (value, aux), g = value_and_grad(f, has_aux=True)(X)
    np.testing.assert_allclose(value, (4 * X**2).sum())
    np.testing.assert_allclose(aux["y"], 2 * X)
    assert aux["name"] == "aux" and aux["n"] == 3
    np.testing.assert_allclose(g, 8 * X)
    g, aux = jit(grad(f, has_aux=True))(X)
    np.testing.assert_allclose(g, 8 * X)
    np.testing.assert_allclose(aux["y"], 2 * X)


def test_unused_arguments_have_zero_gradients():
    g = grad(lambda x, y: (x**2).sum(), (0, 1))(X, {"a": A, "b": 1.0})
    assert not g[1]["a"].any() and g[1]["a"].shape == A.shape and g[1]["b"] == 0
    assert grad(lambda x: 3.0 * np.float64(2))(X).tolist() == [0, 0, 0]


def test_function_that_returns_its_argument():
    assert grad(lambda x: x)(2.0) == 1 and grad(lambda x: x)(np.array(2.0)) == 1
    np.testing.assert_allclose(jvp(lambda x: x, (X,), (A[0],))[1], A[0])
    out, pull = vjp(lambda x, y: (x, y, x), X, X + 1)
    np.testing.assert_allclose(out[1], X + 1)
    a, b = pull((X, X, X))
    np.testing.assert_allclose(a, 2 * X)
    np.testing.assert_allclose(b, X)


def test_gradient_of_a_gradients_function():
    def penalty(x):
        value, g = value_and_grad(cost)(x)
        return value + (g**2).sum()
    matches(grad(penalty)(X), penalty, X)
    matches(jit(grad(penalty))(X), penalty, X)


def test_methods():
    class Model:
        def __init__(self):
            self.w = np.ones(3)

        def cost(self, x):
            return (self.w * x**2).sum()

        slope = grad(cost, argnums=1)
    m = Model()
    np.testing.assert_allclose(grad(m.cost)(X), 2 * X)
    np.testing.assert_allclose(m.slope(X), 2 * X)
    m.w[:] = 3
    np.testing.assert_allclose(grad(m.cost)(X), 6 * X)
    m.w = np.full(3, 4.0)
    np.testing.assert_allclose(m.slope(X), 8 * X)


@grad
def decorated(x):
    return (x**2).sum()


def test_pickles_and_copies():
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    g = value_and_grad(cost, has_aux=False)
    twice = pickle.loads(pickle.dumps(grad(grad(cost, 0))))
    for h in (pickle.loads(pickle.dumps(g)), copy.copy(g), copy.deepcopy(g), twice):
        assert h.__name__ == "cost"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(g))(X)[1], g(X)[1])
    assert repr(g) == "<value_and_grad of cost>" and pickle.loads(pickle.dumps(tracejit.jvp)) is jvp


# ---------------------------------------------------------------- writes and control
def test_in_place_writes_inside():
    def f(x):
        y = np.zeros(4)
        y[1:] = x * 2
        y[:2] += x[0] ** 2
        z = y[::2]
        z *= y[1]
        return (y**2).sum()
    matches(grad(f)(X), f, X)
    check_grads(f, (X,), order=2)


def test_in_place_writes_to_the_argument():
    def f(x):
        x[0] = x[1] * x[2]
        x *= 2
        return (x**2).sum()

    def pure(x):
        return f(x.copy())
    x = X.copy()
    gradient = grad(f)(x)
    matches(gradient, pure, X)
    want = X.copy()
    f(want)
    np.testing.assert_allclose(x, want)
    x = X.copy()
    jit(lambda x: (grad(f)(x), x.sum()))(x)
    np.testing.assert_allclose(x, want)


def test_writes_to_an_array_around():
    def f(x):
        total = np.zeros(3)

        def inner(y):
            total[:] = total + y
            return (y**3).sum()
        g = grad(inner)(x)
        return total, g
    for h in (jit(f),):
        total, g = h(X)
        np.testing.assert_allclose(total, X)
        np.testing.assert_allclose(g, 3 * X**2)


def test_python_control_and_loops():
    def f(x, n):
        for k in range(n):
            x = np.sin(x) + k * x
        return x.sum() if n > 1 else (x * 0).sum()
    matches(grad(f)(X, 3), lambda x: f(x, 3), X)
    assert not grad(f)(X, 1).any()


# ---------------------------------------------------------------- perturbations are not confused
def test_inner_derivative_of_a_constant():
    # d/dx [x * d/dy (x + y)] = 1, and not 2
    assert grad(lambda x: x * grad(lambda y: x + y)(2.0))(1.0) == 1
    assert jvp(lambda x: x * jvp(lambda y: x + y, (2.0,), (1.0,))[1], (1.0,), (1.0,))[1] == 1


@pytest.mark.parametrize("wrapped", [lambda f: f, jit], ids=["plain", "jit"])
def test_closures_over_outer_tracers(wrapped):
    def f(x):
        return grad(wrapped(lambda y: (x * y**2).sum() + (x**3 * y).sum()))(x * 2).sum()

    def by_hand(x):
        return (2 * x * (2 * x) + x**3).sum()
    np.testing.assert_allclose(f_of := jit(f)(X), by_hand(X))
    assert np.isfinite(f_of)
    matches(grad(f)(X), by_hand, X)
    matches(jit(grad(f))(X), by_hand, X)


def test_three_levels_of_nesting():
    def f(x):
        return grad(lambda y: grad(lambda z: x * y**2 * z**3)(y))(x)
    # d/dz: 3 x y^2 z^2 at z=y: 3 x y^4; d/dy: 12 x y^3 at y=x: 12 x^4
    np.testing.assert_allclose(jit(f)(1.5), 12 * 1.5**4)
    np.testing.assert_allclose(grad(f)(1.5), 48 * 1.5**3)


def test_inner_minimum_by_steps():
    def inner(w, a):
        return ((w - np.sin(a)) ** 2).sum()

    def outer(a):
        w = np.zeros(3)
        for _ in range(3):
            w = w - 0.3 * grad(inner)(w, a)
        return (w * a).sum()
    matches(grad(outer)(X), outer, X)


def test_forward_over_reverse_and_back():
    v = np.array([1.0, -2.0, 0.5])
    forward = jvp(grad(cost), (X,), (v,))[1]
    reverse = grad(lambda x: (grad(cost)(x) * v).sum())(X)
    through = grad(lambda x: jvp(cost, (x,), (v,))[1])(X)
    pulled = vjp(grad(cost), X)[1](v)[0]
    for other in (reverse, through, pulled):
        np.testing.assert_allclose(forward, other, rtol=1e-12)


# ---------------------------------------------------------------- dtypes
def test_single_precision_stays_single():
    x = X.astype(np.float32)
    assert grad(cost)(x).dtype == np.float32
    value, g = value_and_grad(lambda x: (x * 2.0).sum() * 3)(x)
    assert value.dtype == np.float32 and g.dtype == np.float32
    y, dy = jvp(lambda x: np.sin(x) * 2, (x,), (x,))
    assert y.dtype == dy.dtype == np.float32
    out, pull = vjp(np.tanh, x)
    assert pull(out)[0].dtype == np.float32
    assert grad(lambda x, y: (x * y).sum(), (0, 1))(x, X)[0].dtype == np.float32


def test_half_precision():
    x = X.astype(np.float16)
    g = grad(lambda x: (x**2).sum())(x)
    assert g.dtype == np.float16
    np.testing.assert_allclose(g, 2 * x, rtol=1e-2)


def test_python_floats_and_numpy_scalars():
    g = grad(lambda x, y: x * y**2, (0, 1))
    assert g(2.0, 3.0) == (9.0, 12.0)
    out = g(np.float32(2), np.float32(3))
    assert out[0].dtype == np.float32 and isinstance(out[0], np.generic)
    assert isinstance(grad(lambda x: x**2)(np.array(3.0)), np.ndarray)


def test_complex_arguments():
    z = X + 1j * X[::-1]

    def f(z):
        return np.abs(z * np.exp(z)).sum()
    check_grads(f, (z,), order=2)
    check_grads(lambda z: np.sin(z) * z, (z,), order=2)
    # the gradient's real part along a direction is the slope
    g, h, v = grad(f)(z), 1e-6, np.array([1, 1j, 1 + 2j])
    along = (f(z + h * v) - f(z - h * v)) / (2 * h)
    slopes = (g * v).sum().real, (g.conj() * v).sum().real
    assert min(abs(s - along) for s in slopes) < 1e-7


def test_complex_cost_is_refused():
    with pytest.raises(NotDifferentiableError, match="real scalar"):
        grad(lambda z: z.sum())(X + 0j)


# ---------------------------------------------------------------- refusals
def error_of(call):
    with pytest.raises(NotDifferentiableError) as error:
        call()
    lines = str(error.value).splitlines()
    assert len(lines) == 3 and __file__ in lines[1] and "do: " in lines[2], str(error.value)
    return error.value


@pytest.mark.parametrize("wrapped", [lambda f: f, jit], ids=["plain", "jit"])
def test_integers_are_refused(wrapped):
    for x in (np.arange(3), 3, True, np.int8(2), np.array([True])):
        assert "floats" in error_of(lambda: wrapped(grad(lambda x: np.sum(x * 2.0)))(x)).what


@pytest.mark.parametrize("f, found", [
    (lambda x: x * 2, "f64[3]"), (lambda x: None, "nothing"), (lambda x: (x.sum(), x.sum()), "2 results"),
    (lambda x: x, "arg"), (lambda x: (x > 0).sum(), "i64"), (lambda x: "text", "const"), (lambda x: {}, "nothing")])
def test_a_cost_that_is_no_scalar_is_refused(f, found):
    assert "one real scalar" in error_of(lambda: grad(f)(X)).what


def test_wrong_tangents():
    with pytest.raises(ValueError):
        jvp(np.sin, (X,), (X[:2],))
    with pytest.raises(ValueError):
        jvp(np.sin, (X,), (X, X))
    with pytest.raises(ValueError):
        vjp(np.sin, X)[1](X[:2])
    with pytest.raises(ValueError):
        vjp(np.sin, X)[1]((X, X))


# ---------------------------------------------------------------- forward and reverse
def test_jvp_of_nests():
    def f(p, n):
        return {"s": np.sin(p[0]) * n, "t": (p[1], n)}
    out, moved = jvp(f, ((X, A), 3), ((X, A), 0))
    np.testing.assert_allclose(out["s"], 3 * np.sin(X))
    np.testing.assert_allclose(moved["s"], 3 * np.cos(X) * X)
    np.testing.assert_allclose(moved["t"][0], A)


def test_vjp_inside_and_outside():
    def f(x, y):
        return x * y, (x**2).sum()
    cotangents = (A[0], 2.0)
    out, pull = vjp(f, X, A[1])
    want = (A[0] * A[1] + 4 * X, A[0] * X)
    for got in (pull(cotangents), jit(lambda x, y: vjp(f, x, y)[1](cotangents))(X, A[1])):
        for g, w in zip(got, want):
            np.testing.assert_allclose(g, w)
    np.testing.assert_allclose(out[0], X * A[1])


def test_float32_tangents_are_converted():
    y, dy = jvp(np.sin, (X,), (np.ones(3, np.float32),))
    assert dy.dtype == np.float64
    np.testing.assert_allclose(dy, np.cos(X))


# ---------------------------------------------------------------- what is read from outside
def test_captured_arrays_are_read_at_each_call():
    w = np.ones(3)
    g = grad(lambda x: (w * x**2).sum())
    np.testing.assert_allclose(g(X), 2 * X)
    w[:] = 5
    np.testing.assert_allclose(g(X), 10 * X)
    w = np.zeros(3)
    np.testing.assert_allclose(g(X), 0 * X)
    assert g.cache_info().traces == 1


def test_shared_variables():
    w = shared(np.ones(3))
    step = shared(0)

    def f(w, x):
        return ((w * x) ** 2).sum()

    @jit
    def train(x):
        value, g = value_and_grad(f)(w, x)
        w[...] = w - 0.1 * g
        step[...] = step + 1
        return value
    want = np.ones(3)
    for _ in range(3):
        np.testing.assert_allclose(train(X), f(want, X))
        want = want - 0.1 * 2 * want * X**2
    np.testing.assert_allclose(w.get_value(), want)
    assert step.get_value() == 3
    np.testing.assert_allclose(grad(f)(w, X), 2 * want * X**2)
    np.testing.assert_allclose(grad(lambda x: (x * w).sum())(X), want)


def test_function_that_updates_a_shared_variable():
    count = shared(0.0)

    def f(x):
        count[...] = count + x.sum()
        return (x**2).sum()
    g = grad(f)
    np.testing.assert_allclose(g(X), 2 * X)
    np.testing.assert_allclose(g(X), 2 * X)
    np.testing.assert_allclose(count.get_value(), 2 * X.sum())


# ---------------------------------------------------------------- stop_gradient
def test_stop_gradient():
    np.testing.assert_allclose(grad(lambda x: (stop_gradient(x) * x).sum())(X), X)
    np.testing.assert_allclose(grad(grad(lambda x: stop_gradient(x**2) * x**2))(3.0), 18.0)
    np.testing.assert_allclose(jvp(lambda x: stop_gradient(x) + x, (X,), (A[0],))[1], A[0])

    def f(x):
        held = stop_gradient({"a": x, "n": 3})
        return (held["a"] * x * held["n"]).sum()
    np.testing.assert_allclose(jit(grad(f))(X), 3 * X)
    assert stop_gradient(X) is X and stop_gradient((1, X))[1] is X
    np.testing.assert_allclose(jit(lambda x: stop_gradient(x) + 1)(X), X + 1)
    assert tracejit.stop_gradient is stop_gradient


# ---------------------------------------------------------------- stability, the promise
def test_derivatives_are_taken_of_the_stabilised_graph():
    def xent(z):
        p = 1 / (1 + np.exp(-z))
        return -(np.log(p) + np.log(1 - p)).sum()
    z = np.array([-800.0, -40.0, 0.0, 40.0, 800.0])
    value, g = value_and_grad(xent)(z)
    np.testing.assert_allclose(g, np.tanh(z / 2), rtol=1e-14)
    np.testing.assert_allclose(value, 2 * (800 + 40) + 2 * np.log(2), rtol=1e-14)


# ---------------------------------------------------------------- what compiled code cannot serve
def picked(x):
    try:
        y = x[int(x[0])]
    except IndexError as e:
        y = x[0] * (7 if "index 9 is out of bounds for axis 0 with size 3" in str(e) else len(str(e)))
    return y**2


def suppressed(x):
    y = x[1]
    with contextlib.suppress(IndexError):
        y = x[int(x[0])]
    return y**2


def in_a_loop(x):
    total = 0.0
    for k in range(3):
        try:
            total = total + x[int(x[k])] ** 2
        except IndexError as e:
            total = total + x[k] * len(e.args)
    return total


def raised_inside(x):
    def doubled(v):
        if v > 2:
            raise ValueError("large", 3)
        return v * 2
    try:
        return doubled(x[0]) + doubled(x[1])
    except ValueError as e:
        return x.sum() * len(e.args)


def asserted(x):
    try:
        assert x[0] > 1, "small"
        return x.sum()
    except AssertionError:
        return (x**2).sum()


def inverted(x):
    try:
        return np.linalg.inv(np.array([[x[0], x[1]], [2.0, 1.0]]))[0, 0] * x[2]
    except np.linalg.LinAlgError:
        return x.prod()


HANDLED = [picked, suppressed, in_a_loop, raised_inside, asserted, inverted]
ROWS = np.array([[0.25, 1.25, 2.25], [9.25, 1.5, 2.5], [1.25, 5.25, 3.5], [2.5, 1.25, 3.25]])


@pytest.mark.parametrize("f", HANDLED, ids=lambda f: f.__name__)
def test_handlers_take_what_is_raised_at_run_time(f):
    values = np.array([f(x) for x in ROWS])
    for batched in (tracejit.vmap(f), jit(tracejit.vmap(f)), tracejit.vmap(f, in_axes=0, out_axes=-1),
                    lambda x: tracejit.vmap(tracejit.vmap(f))(np.stack([x, x]))[1]):
        np.testing.assert_allclose(batched(ROWS), values, rtol=1e-13)
    singular = f is inverted  # where the matrix has no inverse a difference quotient sees nothing
    rows = ROWS[:-1] if singular else ROWS
    slopes = np.array([slope(f, x, 1e-6) for x in rows])
    for gradients in (
            lambda x: np.array([grad(f)(row) for row in x]), jit(lambda x: np.stack([grad(f)(row) for row in x])),
            tracejit.vmap(grad(f)), lambda x: grad(lambda x: tracejit.vmap(f)(x).sum())(x),
            lambda x: np.array([[jvp(f, (row,), (e,))[1] for e in np.eye(3)] for row in x]),
            lambda x: np.array([vjp(f, row)[1](1.0)[0] for row in x])):
        np.testing.assert_allclose(gradients(rows), slopes, rtol=1e-6, atol=1e-7)
    if singular:
        np.testing.assert_allclose(grad(f)(ROWS[-1]), [4.0625, 8.125, 3.125], rtol=1e-13)


def test_an_error_that_no_handler_takes_is_raised():
    def f(x):
        try:
            y = x[int(x[0])]
        except KeyError:
            y = x[1]
        return y**2
    for g, x in ((grad(f), ROWS[1]), (jit(grad(f)), ROWS[1]), (tracejit.vmap(f), ROWS), (tracejit.vmap(grad(f)), ROWS)):
        with pytest.raises(IndexError, match="index 9 is out of bounds for axis 0 with size 3"):
            g(x)


def test_derivatives_of_more_variants_than_the_limit():
    powers = [lambda v, k=k: np.sin(v) ** k for k in range(20)]

    def f(x):
        return powers[int(stop_gradient(x[0]))](x[1])
    gradient = grad(f)
    with pytest.warns(RetraceWarning, match="grad_f .* interpreted from now on"):
        for k in range(tracejit.config.variants + 3):
            x = np.array([k + 0.5, 1.5])
            np.testing.assert_allclose(gradient(x), slope(f, x, 1e-6), rtol=1e-6)
    assert gradient.cache_info().plain == 3


def test_transforms_of_arguments_that_are_copied_or_share_memory():
    x = np.arange(24.0).reshape(4, 6)
    np.testing.assert_array_equal(tracejit.vmap(lambda x: x[::2])(x[:, ::2]), x[:, ::4])

    def write(a):
        a[0] = 5
        return a.sum()
    y = x.copy()
    np.testing.assert_array_equal(tracejit.vmap(write)(y[:, ::2]), 5 + x[:, 2] + x[:, 4])
    np.testing.assert_array_equal(y[:, ::6], 5)

    def moved(a, b):
        a[1:] += b[:-1]
        return a.sum()
    with pytest.raises(tracejit.errors.UnsupportedError, match="grad_moved.*shares memory"):
        grad(moved)(y[0], y[0][:])
