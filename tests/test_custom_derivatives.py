"""Functions with derivative rules of their own: in every transform, in loops and branches, nested; what is refused."""

import collections
import functools
import pickle

import numpy as np
import pytest
from tracing import mark, trace

import tracejit
from tracejit import custom_jvp, custom_vjp, grad, jit, jvp, stop_gradient, value_and_grad, vjp
from tracejit.errors import NotDifferentiableError, UnsupportedError
from tracejit.opt.pipeline import optimize, prepare
from tracejit.symbolic import autodiff
from tracejit.symbolic.batching import batch
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.text import parse
from tracejit.testing import check_grads
from tracejit.trace.convert import seen
from tracejit.trace.session import session
from tracejit.trace.staging import subtrace, tracing
from tracejit.trace.tracer import TraceContext

X = np.array([0.3, -0.7, 1.2])
Pair = collections.namedtuple("Pair", "first second")


@custom_jvp
def logistic(x):
    return 1 / (1 + np.exp(-x))


@logistic.defjvp
def logistic_rule(primals, tangents):
    y = logistic(*primals)
    return y, y * (1 - y) * tangents[0]


@custom_vjp
def product(x, y):
    return np.sin(x) * y


def product_forward(x, y):
    return product(x, y), (x, y)


def product_backward(kept, ct):
    x, y = kept
    return ct * np.cos(x) * y, ct * np.sin(x)


product.defvjp(product_forward, product_backward)


@custom_jvp
def tripled(x):
    """Its rule is wrong, which shows where it is used."""
    return x * x


tripled.defjvp(lambda primals, tangents: (primals[0] ** 2, 3 * tangents[0]))


@custom_vjp
def bounded(x, bound):
    """The identity; its cotangent is clipped."""
    return x * 1


bounded.defvjp(lambda x, bound: (bounded(x, bound), bound), lambda bound, ct: (np.clip(ct, -bound, bound), None))


# ---------------------------------------------------------------- values
def test_without_derivatives_it_is_the_function():
    """Outside of a trace it is plain Python, inside it leaves no op of its own, and its rule is never run."""
    @custom_vjp
    def f(x):
        return np.exp(x)

    def never(*args):
        raise AssertionError
    f.defvjp(never, never)
    np.testing.assert_array_equal(f(X), np.exp(X))
    np.testing.assert_allclose(jit(f)(X), np.exp(X), rtol=1e-15)
    assert {n.op.name for n in trace(f, X).graph.topological()} == {"param", "exp"}


def test_it_needs_a_rule():
    with pytest.raises(AttributeError, match="defvjp"):
        custom_vjp(np.sin)(X)
    with pytest.raises(AttributeError, match="defjvp"):
        custom_jvp(np.sin)(X)
    with pytest.raises(TypeError, match="takes a function"):
        custom_jvp(3)


# ---------------------------------------------------------------- derivatives
def test_right_rules_in_every_mode():
    check_grads(logistic, (X,), order=3)
    check_grads(product, (X, X[::-1].copy()), order=2, modes=("rev",))
    np.testing.assert_allclose(jit(grad(lambda x: logistic(x).sum()))(X), logistic(X) * (1 - logistic(X)), rtol=1e-14)


def test_the_rule_decides():
    for f in (tripled, jit(tripled), lambda x: tripled(x) + 0):
        value, pushed = jvp(f, (X,), (X,))
        np.testing.assert_allclose(value, X * X, rtol=1e-15)
        np.testing.assert_allclose(pushed, 3 * X)
        np.testing.assert_allclose(vjp(f, X)[1](X)[0], 3 * X)
    np.testing.assert_allclose(grad(lambda x: (bounded(x, 0.5) * X).sum())(X), np.clip(X, -0.5, 0.5))
    np.testing.assert_allclose(grad(lambda x: (bounded(x * 2, 0.5) * X).sum())(X), 2 * np.clip(X, -0.5, 0.5))


def test_the_value_under_a_derivative_is_the_rules():
    @custom_vjp
    def f(x):
        return x
    f.defvjp(lambda x: (x + 10, None), lambda kept, ct: (ct,))
    assert value_and_grad(f)(1.0) == (11.0, 1.0)


def test_rules_survive_the_rewrites_before_differentiation():
    """A rule is applied to the function as it was written, even where rewrites would have changed it."""
    @custom_jvp
    def f(x):
        return np.log(np.exp(x))
    f.defjvp(lambda primals, tangents: (f(*primals), tangents[0] * 7))
    np.testing.assert_allclose(grad(lambda x: np.exp(f(x)))(0.5), 7 * np.exp(0.5), rtol=1e-14)


def test_second_order_takes_the_rule_of_the_rule():
    """Rules that call their function get its rule at the next order, too."""
    second = grad(grad(lambda x: tripled(x) * tripled(x)))(0.5)
    assert second == pytest.approx(18.0)  # (x^2 x^2)' = 6 x^2 by the rule, whose power is an ordinary one: 2 * 3 * 3

    @custom_jvp
    def f(x):
        return x
    f.defjvp(lambda primals, tangents: (f(*primals), f(primals[0]) * 2 * tangents[0]))
    x = 0.7
    assert [grad(f)(x), grad(grad(f))(x), grad(grad(grad(f)))(x)] == pytest.approx([2 * x, 4 * x, 8 * x])


def test_a_rule_for_fewer_orders_than_asked_is_never_passed_over_in_silence():
    @custom_jvp
    def f(x):
        return x
    f.defjvp(lambda primals, tangents: (f(*primals), f(primals[0]) * tangents[0]))
    graph = autodiff.grad(autodiff.grad(staged(f, 0.5), (0,)), (0,))
    assert evaluate(optimize(graph), 0.5)[0] == pytest.approx(0.5)
    with pytest.raises(NotDifferentiableError, match="more often than its rule was traced for"):
        autodiff.grad(graph, (0,))


# ---------------------------------------------------------------- arguments and results
def test_nests():
    @custom_vjp
    def f(pair, table):
        return {"sum": pair.first + table["w"][0], "count": 3, "product": pair.first * pair.second}

    def forward(pair, table):
        return f(pair, table), (pair, "a text", 2, table["w"])

    def backward(kept, ct):
        pair, text, two, w = kept
        assert text == "a text" and two == 2 and ct["count"] == 0
        both = ct["sum"] + ct["product"] * pair.second
        return Pair(both, ct["product"] * pair.first), {"w": [ct["sum"], None]}
    f.defvjp(forward, backward)

    def cost(pair, table):
        out = f(pair, table)
        assert out["count"] == 3
        return (out["sum"] * X).sum() + (out["product"] ** 2).sum()
    a, b, w = X, X + 1, X - 1
    pair, table = grad(cost, argnums=(0, 1))(Pair(a, b), {"w": [w, 2.0]})
    np.testing.assert_allclose(pair.first, X + 2 * a * b * b)
    np.testing.assert_allclose(pair.second, 2 * a * a * b)
    np.testing.assert_allclose(table["w"][0], X)
    assert table["w"][1] == 0


def test_arguments_without_derivative():
    @functools.partial(custom_vjp, nondiff_argnums=(0, 2))
    def apply(f, x, n):
        return f(x) * n
    apply.defvjp(lambda f, x, n: (f(x) * n, x), lambda f, n, x, ct: (ct * f(x) * 100 * n,))
    assert grad(lambda x: apply(np.sin, x, 2))(0.5) == pytest.approx(np.sin(0.5) * 200)
    assert grad(lambda x: apply(np.sin, x, n=2))(0.5) == pytest.approx(np.sin(0.5) * 200)

    @custom_jvp(nondiff_argnums=-1)
    def power(x, n):
        return x ** n
    power.defjvp(lambda n, primals, tangents: (primals[0] ** n, n * tangents[0]))
    assert grad(lambda x: power(x, 3) * power(x, 2))(2.0) == pytest.approx(3 * 4 + 8 * 2)
    with pytest.raises(ValueError, match="nondiff_argnums"):
        grad(custom_after(lambda x: x, 4))(0.5)


def custom_after(f, nondiff):
    made = custom_jvp(f, nondiff_argnums=nondiff)
    made.defjvp(lambda *args: args)
    return made


def test_defaults_and_keywords_are_positional_to_the_rule():
    @custom_vjp
    def f(x, scale=2.0, *, name="n"):
        return x * scale
    f.defvjp(lambda x, scale: (x * scale, scale), lambda scale, ct: (ct * scale, None))
    with pytest.raises(TypeError, match="keyword-only"):
        grad(lambda x: f(x))(1.0)

    @custom_vjp
    def g(x, scale=2.0):
        return x * scale
    g.defvjp(lambda x, scale: (x * scale, scale), lambda scale, ct: (ct * scale * 10, None))
    assert grad(lambda x: g(x) + g(x, scale=3.0) + g(scale=4.0, x=x))(1.0) == 90


def test_integers_have_zero_tangents_and_no_cotangents():
    @custom_jvp
    def pick(x, k):
        return x[k], k + 1

    @pick.defjvp
    def rule(primals, tangents):
        x, k = primals
        assert tangents[1].dtype == k.dtype
        return (x[k], k + 1), (tangents[0][k] * 5 + tangents[1], 0 * k)
    assert list(grad(lambda x, k: pick(x, k)[0])(X, np.array(1))) == [0, 5, 0]

    @custom_vjp
    def take(x, k):
        return x[k]
    take.defvjp(lambda x, k: (x[k], (k, x)), lambda kept, ct: (np.ones_like(kept[1]) * ct * kept[0].sum(), None))
    out, pull = vjp(lambda x: take(x, np.array(2)), X)
    assert out == X[2] and list(pull(np.float64(1.0))[0]) == [2, 2, 2]


def test_one_rule_per_argument():
    @custom_jvp
    def f(x, y, z):
        return x * y + z
    f.defjvps(lambda t, value, x, y, z: t * y * 10, None, lambda t, value, x, y, z: t * value)
    x, y, z = grad(f, argnums=(0, 1, 2))(2.0, 3.0, 4.0)
    assert (x, y, z) == (30, 0, 10)


def test_methods():
    class Model:
        def __init__(self, w):
            self.w = w

        @custom_vjp
        def call(self, x):
            return x * self.w
        call.defvjp(lambda self, x: (x * self.w, self.w), lambda w, ct: (None, ct * w * 10))
    model = Model(3.0)
    assert model.call(2.0) == 6
    assert grad(lambda x: model.call(x))(2.0) == 30


def test_numpy_in_place_and_branches_on_values_inside_of_rules():
    @custom_vjp
    def f(x):
        out = np.zeros_like(x)
        out[1:] = x[:-1]
        return out if x[0] > 0 else -out

    def backward(x, ct):
        out = np.zeros_like(x)
        out[:-1] = ct[1:]
        return (out if x[0] > 0 else -out,)
    f.defvjp(lambda x: (f(x), x), backward)
    check_grads(f, (X,), order=1, modes=("rev",))
    check_grads(f, (-X,), order=1, modes=("rev",))


# ---------------------------------------------------------------- loops, branches, batches
def test_in_loops_and_branches():
    def cost(x):
        def step(carry, row):
            carry = product(carry, row) + logistic(carry)
            return carry, bounded(carry, 10.0)
        carry, rows = tracejit.scan(step, 0.3, x)
        for _ in range(4):
            carry = logistic(carry) if carry > x[0] else carry * 2
        return carry + (rows * rows).sum()
    check_grads(cost, (X,), order=2, modes=("rev",))
    check_grads(lambda x: tracejit.while_loop(lambda c: c < 2, lambda c: product(c, 0.2) + c + logistic(c), x), (0.3,),
                order=1, modes=("rev",))
    steps = tracejit.fori_loop
    assert grad(lambda x: steps(0, 3, lambda k, c: tripled(c), x))(0.5) == pytest.approx(27)
    assert grad(lambda x: tracejit.cond(x > 0, tripled, np.sin, x))(0.5) == 3


def test_in_a_batch():
    """The rule of every element is the function's; what all share gets the sum of the cotangents."""
    def f(x, y):
        return (product(x, y) * bounded(y, 0.5)).sum() + tripled(x).sum()
    graph = prepare(staged(f, X, X + 1))
    rows = np.stack([X, -X, X * 0.5])
    for shared in (True, False):
        y = X + 1 if shared else np.stack([X + 1, X, X - 2])
        stacked = batch(graph, (True, not shared), 3)
        total = stacked.replace([tracejit.symbolic.ops.reduce.reduce_sum(stacked.outs[0], axes=(0,))])
        value, *both = evaluate(optimize(autodiff.value_and_grad(total, (0, 1))), rows, y)
        apart = [evaluate(autodiff.value_and_grad(graph, (0, 1)), x, y if shared else y[k]) for k, x in enumerate(rows)]
        assert value == pytest.approx(sum(a[0] for a in apart))
        np.testing.assert_allclose(both[0], [a[1] for a in apart])
        np.testing.assert_allclose(both[1], sum(a[2] for a in apart) if shared else [a[2] for a in apart])
        assert parse(str(stacked)) is stacked and stacked.check() is stacked


def staged(f, *args):
    """Return the graph of a function that may be differentiated twice, as transforms see it."""
    base = TraceContext(None)
    base.orders = 2
    with tracing(base), session(base, seen):
        return prepare(subtrace(f, [mark(x) for x in args], {}).graph)


def test_the_graph_holds_its_rules_as_text():
    graph = staged(lambda x: (product(x, x) + logistic(x)).sum(), X)
    ops = {n.op.name for n in graph.topological()}
    assert {"custom_vjp", "custom_jvp"} <= ops and parse(str(graph)) is graph
    assert "custom" not in str(optimize(graph)) and "custom" not in str(optimize(autodiff.grad(graph, (0,))))


# ---------------------------------------------------------------- what is refused
def test_forward_mode_of_a_reverse_rule():
    for f in (lambda x: product(x, x), lambda x: tracejit.fori_loop(0, 3, lambda k, c: product(c, c), x)):
        with pytest.raises(NotDifferentiableError, match="product is a custom_vjp function, and forward-mode") as info:
            jvp(f, (0.5,), (1.0,))
        assert isinstance(info.value, TypeError) and "custom_jvp" in info.value.do
        with pytest.raises(NotDifferentiableError, match="forward-mode"):
            grad(lambda x, f=f: jvp(f, (x,), (1.0,))[1])(0.5)
    # forward over reverse is no forward mode of the function
    derivative = jvp(grad(lambda x: product(x, x)), (0.5,), (1.0,))[1]
    assert derivative == pytest.approx(2 * np.cos(0.5) - 0.5 * np.sin(0.5))


def test_values_from_around_it_have_no_derivative():
    def cost(x):
        @custom_vjp
        def f(y):
            return y * x
        f.defvjp(lambda y: (y * x, None), lambda kept, ct: (ct * x,))
        return f(2.0 * stop_gradient(x)), f(x)
    with pytest.raises(NotDifferentiableError, match="f depends on a value that is being differentiated"):
        grad(lambda x: cost(x)[1])(3.0)

    w = np.array([2.0, 3.0, 4.0])  # which is constant is fine

    @custom_jvp
    def g(x):
        return x * w
    g.defjvp(lambda primals, tangents: (g(*primals), tangents[0] * w * 10))
    np.testing.assert_allclose(grad(lambda x: g(x).sum())(X), 10 * w)


@pytest.mark.parametrize("backward, match", [
    (lambda kept, ct: ct, "a tuple of 1, one cotangent per argument"),
    (lambda kept, ct: (ct, ct), "a tuple of 1, .* not a tuple of 2"),
    (lambda kept, ct: ((ct, ct),), "is nested as"),
    (lambda kept, ct: (ct[:2],), "is of type .*, and belongs to a value of type"),
    (lambda kept, ct: (ct * 1j,), "is of type .*, and belongs to a value of type"),
])
def test_cotangents_that_do_not_fit(backward, match):
    f = custom_vjp(lambda x: x * 2)
    f.defvjp(lambda x: (x * 2, None), backward)
    with pytest.raises((TypeError, ValueError), match=match):
        grad(lambda x: f(x).sum())(X)


@pytest.mark.parametrize("rule, match", [
    (lambda p, t: p[0], "returns \\(result, tangent\\)"),
    (lambda p, t: (p[0], (t[0], t[0])), "nested as"),
    (lambda p, t: (p[0], t[0][1:]), "is of type .*, and belongs to"),
    (lambda p, t: (p[0] + t[0], t[0]), "depends on the tangents"),
])
def test_tangents_that_do_not_fit(rule, match):
    f = custom_jvp(lambda x: x * 2)
    f.defjvp(rule)
    with pytest.raises((TypeError, ValueError), match=match):
        grad(lambda x: f(x).sum())(X)


def test_a_rule_that_is_not_linear_cannot_be_transposed():
    f = custom_jvp(lambda x: x)
    f.defjvp(lambda p, t: (p[0], np.sin(t[0])))
    assert jvp(f, (0.5,), (0.3,))[1] == pytest.approx(np.sin(0.3))
    with pytest.raises(NotDifferentiableError, match="cannot be transposed"):
        grad(f)(0.5)


def test_writes_to_arguments():
    @custom_vjp
    def f(x):
        x += 1
        return x * 2
    f.defvjp(lambda x: (f(x), None), lambda kept, ct: (ct,))
    with pytest.raises(UnsupportedError, match="writes to an array"):
        grad(lambda x: f(x * 1).sum())(X)


# ---------------------------------------------------------------- the rest of life
def test_pickles():
    again = pickle.loads(pickle.dumps(logistic))
    assert again is logistic
    derived = pickle.loads(pickle.dumps(grad(logistic)))
    assert derived(0.5) == pytest.approx(logistic(0.5) * (1 - logistic(0.5)))


def test_implicit_differentiation():
    """The fixed point of x = cos(a x): its derivative by the implicit function theorem, not through the loop."""
    @custom_vjp
    def solve(a):
        return tracejit.while_loop(lambda x: abs(np.cos(a * x) - x) > 1e-14, lambda x: np.cos(a * x), a * 0 + 0.5)

    def backward(kept, ct):
        a, x = kept
        slope = np.sin(a * x)
        return (-ct * slope * x / (1 + slope * a),)
    solve.defvjp(lambda a: (lambda x: (x, (a, x)))(solve(a)), backward)
    check_grads(solve, (0.8,), order=2, modes=("rev",), step=1e-3)
    graph = optimize(autodiff.grad(staged(solve, 0.8), (0,)))
    assert sum(n.op.name.endswith("_loop") for n in graph.topological()) == 1


def test_stop_gradient_in_every_mode():
    def f(x):
        return stop_gradient(x) * x + stop_gradient(np.exp(x))
    assert grad(f)(2.0) == 2 and jvp(f, (2.0,), (1.0,))[1] == 2 and vjp(f, 2.0)[1](1.0)[0] == 2
    assert grad(grad(f))(2.0) == 0
    assert grad(lambda x: tracejit.fori_loop(0, 3, lambda k, c: c * stop_gradient(c), x))(2.0) == 2 * 4 * 16
    assert grad(lambda x: tracejit.cond(x > 1, lambda x: stop_gradient(x) + x, np.sin, x))(2.0) == 1
    nested = stop_gradient({"a": X, "b": (2, "text")})
    assert nested["b"] == (2, "text") and nested["a"] is X
    stacked = batch(staged(lambda x: (stop_gradient(x) * x).sum(), X), (True,), 2)
    total = stacked.replace([tracejit.symbolic.ops.reduce.reduce_sum(stacked.outs[0], axes=(0,))])
    rows = np.stack([X, 2 * X])
    np.testing.assert_array_equal(evaluate(autodiff.grad(total, (0,)), rows)[0], rows)
