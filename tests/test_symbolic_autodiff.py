"""Derivatives of whole graphs, to second order, against differences and against each other."""

import numpy as np
import pytest
from graphs import inputs_of, smooth_graphs
from hypothesis import given

from tracejit.errors import NotDifferentiableError
from tracejit.symbolic.autodiff import (
    grad,
    jvp,
    jvp_nodes,
    linearize,
    linearize_transpose,
    pull_back,
    sum_nodes,
    transpose_nodes,
    value_and_grad,
    vjp,
)
from tracejit.symbolic.graph import Graph, close, topological
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import OPS, const, define, item, new_variable
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import (
    absolute,
    add,
    cast,
    conjugate,
    cos,
    exp,
    floor,
    log,
    maximum,
    multiply,
    power,
    real,
    sigmoid,
    sin,
    softplus,
)
from tracejit.symbolic.ops.shape import broadcast, full
from tracejit.symbolic.text import parse
from tracejit.symbolic.types import C128, F32, F64, I64, Type

SCALAR, VECTOR = Type(F64), Type(F64, (3,))


def total(node):
    return reduce_sum(node, axes=tuple(range(node.ndim)))


def random_like(types, seed):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, t.shape) for t in types]


def ops_of(graph):
    return [n.op.name for n in graph.topological()]


# ---------------------------------------------------------------- random programs
def central(graph, args, direction, step=1e-5):
    def at(t):
        return evaluate(graph, *[a + t * d for a, d in zip(args, direction)])

    near = [(a - b) / (2 * step) for a, b in zip(at(step), at(-step))]
    far = [(a - b) / (4 * step) for a, b in zip(at(2 * step), at(-2 * step))]
    return [(4 * a - b) / 3 for a, b in zip(near, far)]


def agree(got, want, rtol=1e-5):
    scale = max(1.0, float(np.max(np.abs(want), initial=0)))
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * scale)


def calm(*arrays):
    """Say whether values are small enough for differences in double precision to mean something."""
    return all(np.all(np.abs(a) < 1e4) for a in arrays)


@given(smooth_graphs())
def test_jvp_is_the_limit_of_differences(graph):
    args, direction = inputs_of(graph), random_like(graph.params, 1)
    pushed = jvp(graph)
    assert parse(str(pushed)) is pushed and pushed.check()
    results = evaluate(pushed, *args, *direction)
    n = len(graph.outs)
    for got, want in zip(results[:n], evaluate(graph, *args)):
        np.testing.assert_array_equal(got, want)
    for got, want in zip(results[n:], central(graph, args, direction)):
        if calm(got, *results):
            agree(got, want)


@given(smooth_graphs())
def test_vjp_is_the_transpose_of_jvp(graph):
    wrt = tuple(range(len(graph.params)))
    args, direction, cts = inputs_of(graph), random_like(graph.params, 2), random_like(graph.out_types, 3)
    pulled = vjp(graph, wrt)
    assert parse(str(pulled)) is pulled and pulled.check()
    tangents = evaluate(jvp(graph), *args, *direction)[len(graph.outs) :]
    back = evaluate(pulled, *args, *cts)
    left = sum(np.sum(ct * t) for ct, t in zip(cts, tangents))
    right = sum(np.sum(b * d) for b, d in zip(back, direction))
    size = sum(np.sum(np.abs(ct * t)) for ct, t in zip(cts, tangents)) + sum(
        np.sum(np.abs(b * d)) for b, d in zip(back, direction)
    )
    assert abs(left - right) <= 1e-10 * max(1.0, size)


@given(smooth_graphs(scalar=True, size=6))
def test_second_order_three_ways(graph):
    """Hessian times vector: forward over reverse, reverse over reverse, reverse over forward."""
    wrt, n = tuple(range(len(graph.params))), len(graph.params)
    args, direction = inputs_of(graph), random_like(graph.params, 4)
    gradient = grad(graph, wrt)
    forward_reverse = evaluate(jvp(gradient), *args, *direction)[n:]
    reverse_reverse = evaluate(vjp(gradient, wrt), *args, *direction)
    pushed = jvp(graph)
    tangent = Graph(pushed.params, pushed.outs[1:])
    reverse_forward = evaluate(grad(tangent, wrt), *args, *direction)
    for a, b, c in zip(forward_reverse, reverse_reverse, reverse_forward):
        agree(b, a, 1e-8)
        agree(c, a, 1e-8)
    if calm(*forward_reverse, *evaluate(gradient, *args)):
        for got, want in zip(forward_reverse, central(gradient, args, direction)):
            agree(got, want)


@given(smooth_graphs())
def test_split_derivatives_are_the_whole_ones(graph):
    wrt = tuple(range(len(graph.params)))
    args, direction, cts = inputs_of(graph), random_like(graph.params, 5), random_like(graph.out_types, 6)
    n = len(graph.outs)
    for (forward, linear), vectors, whole in (
        (linearize(graph, wrt), direction, evaluate(jvp(graph), *args, *direction)[n:]),
        (linearize_transpose(graph, wrt), cts, evaluate(vjp(graph, wrt), *args, *cts)),
    ):
        results = evaluate(forward, *args)
        assert forward.check() and linear.check()
        for got, want in zip(evaluate(linear, *results[n:], *vectors), whole):
            np.testing.assert_array_equal(got, want)


# ---------------------------------------------------------------- what graphs look like
def test_the_gradient_of_a_model_is_what_one_would_write():
    x, w = new_variable(Type(F64, (5, 3))), new_variable(VECTOR)
    gradient = grad(close([x, w], [total(softplus(matmul(x, w)))]), (1,))
    a, b = gradient.inputs()
    assert gradient.outs == (matmul(sigmoid(matmul(a, b)), a),) or ops_of(gradient) == [
        "param",
        "param",
        "dot_general",
        "sigmoid",
        "dot_general",
    ]


@pytest.mark.parametrize(
    "build, want",
    [
        (lambda x: total(x), lambda x: full(1, VECTOR)),
        (lambda x: total(-sin(x)), lambda x: -cos(x)),
        (lambda x: total(sin(x)), lambda x: cos(x)),
        (lambda x: total(x**2), lambda x: full(2, VECTOR) * x),
        (lambda x: total(x * x), lambda x: full(2, VECTOR) * x),
        (lambda x: total(x * 3), lambda x: full(3, VECTOR)),
        (lambda x: total(floor(x)), lambda x: full(0, VECTOR)),
        (lambda x: total(x**1), lambda x: full(1, VECTOR)),
        (lambda x: total(log(x)), lambda x: 1 / x),
    ],
)
def test_no_products_with_one_and_no_added_zeros(build, want):
    x = new_variable(VECTOR)
    gradient = grad(close([x], [build(x)]), (0,))
    assert gradient.outs[0] is want(gradient.inputs()[0])


def test_sums_of_cotangents_are_balanced():
    x = new_variable(VECTOR)
    terms = [sin(x * float(k)) for k in range(1, 65)]
    node = sum_nodes(terms)
    depth = 0
    while node not in terms:
        node, depth = node.args[0], depth + 1
    assert depth == 6
    assert sum_nodes([x, x, x]) is full(3, VECTOR) * x


def test_residuals_are_shared():
    x = new_variable(VECTOR)
    graph = value_and_grad(close([x], [total(exp(x))]), (0,))
    assert ops_of(graph).count("exp") == 1


def test_linearize_hands_over_no_more_than_needed():
    x = new_variable(VECTOR)
    forward, linear = linearize(close([x], [total(sin(x) * 2)]), (0,))
    assert len(forward.outs) == 2 and forward.outs[1] is cos(forward.inputs()[0])
    assert linear.params == (VECTOR, VECTOR)


def test_deep_chains_do_not_recurse():
    x = new_variable(SCALAR)
    node = x
    for _ in range(10_000):
        node = sin(cos(node))
    graph = close([x], [node])
    gradient = grad(graph, (0,))
    pushed = jvp(graph)
    assert evaluate(gradient, 0.3)[0] == pytest.approx(evaluate(pushed, 0.3, 1.0)[1])


def test_wide_use_of_one_value():
    """Many uses give a sum, not an exponential number of nodes."""
    x = new_variable(SCALAR)
    node = x
    for _ in range(200):
        node = node * node + node
    assert len(topological(grad(close([x], [node]), (0,)).outs)) < 3000


# ---------------------------------------------------------------- the edges of graphs
def test_integers_have_no_tangent():
    x, k = new_variable(VECTOR), new_variable(Type(I64, (3,)))
    graph = close([x, k], [total(x * cast(k, F64)), k + 1, cast(x, I64)])
    args = [np.array([1.0, 2.0, 3.0]), np.array([4, 5, 6])]
    pushed = jvp(graph)
    assert pushed.params == (*graph.params, VECTOR)
    assert pushed.out_types == graph.out_types * 2
    results = evaluate(pushed, *args, np.ones(3))
    assert results[3] == 15 and not results[4].any() and not results[5].any()
    assert jvp(graph, (0, 1)).params == (*graph.params, VECTOR, Type(I64, (3,)))
    pulled = vjp(graph, (0, 1))
    back = evaluate(pulled, *args, 2.0, np.ones(3, int), np.ones(3, int))
    np.testing.assert_array_equal(back[0], [8, 10, 12])
    assert back[1].dtype == np.int64 and not back[1].any()
    with pytest.raises(NotDifferentiableError, match="argument 1"):
        grad(graph, (1,))


@pytest.mark.parametrize("kind", [VECTOR, Type(C128), Type(I64)])
def test_a_gradient_needs_a_real_scalar(kind):
    x = new_variable(kind)
    with pytest.raises(NotDifferentiableError, match="real scalar"):
        grad(close([x], [x]), (0,))


def test_what_refuses_says_its_name():
    a, x = new_variable(Type(F64, (4, 4))), new_variable(Type(F64, (4,)))
    graph = close([a, x], [total(OPS["gemv"](a, x, x, const(1.0), const(0.0), trans=False))])
    with pytest.raises(NotDifferentiableError, match="gemv.*has no derivative"):
        grad(graph, (0,))
    with pytest.raises(NotDifferentiableError, match="gemv"):
        jvp(graph)


def test_a_rule_that_is_not_linear_is_named():
    op = define("crooked", type=lambda x: x, ref=np.sin, jvp=lambda node, ts: sin(ts[0]), expand=sin)
    try:
        x = new_variable(SCALAR)
        with pytest.raises(NotDifferentiableError, match=r"sin\(.*cannot be transposed"):
            grad(close([x], [op(x)]), (0,))
    finally:
        del OPS["crooked"]


def test_unused_params_get_zeros():
    x, y = new_variable(VECTOR), new_variable(Type(F32, (2,)))
    out = evaluate(grad(close([x, y], [total(x)]), (1, 0)), np.ones(3), np.ones(2))
    assert out[0].dtype == np.float32 and not out[0].any() and out[1].all()


def test_auxiliary_outputs_pass_through():
    x = new_variable(VECTOR)
    graph = close([x], [total(x * x), cos(x)])
    gradient, both = grad(graph, (0,)), value_and_grad(graph, (0,))
    (p,) = gradient.inputs()
    assert gradient.outs[1] is cos(p)
    assert both.outs[:2] == graph.outs and both.outs[2] is gradient.outs[0]


def test_inner_nodes_can_be_differentiated():
    x = new_variable(VECTOR)
    middle = sin(x)
    (ct,) = pull_back([total(exp(middle))], [full(1, SCALAR)], [middle])
    assert ct is exp(middle)


def test_unwanted_parts_stay_none():
    x, y = new_variable(VECTOR), new_variable(VECTOR)
    t = new_variable(VECTOR)
    assert jvp_nodes([cos(y)], {x: t}) == [None]
    assert transpose_nodes([t * 2], [None], [t]) == [None]
    assert pull_back([cos(y)], [y], [x]) == [None]


def test_captures_stay_last_and_are_written():
    """Params are renumbered around what is added, for what is written back too."""
    x, w = new_variable(VECTOR), new_variable(VECTOR)
    graph = close([x], [total(sin(w) * x), w * 2], [w], [(1, 1)])
    a, b = np.array([1.0, 2.0, 3.0]), np.array([0.1, 0.2, 0.3])
    pushed = jvp(graph)
    assert (pushed.captures, pushed.writes, len(pushed.params)) == (1, ((2, 1),), 3)
    results = evaluate(pushed, a, np.ones(3), b)
    np.testing.assert_allclose(results[0], np.sum(np.sin(b) * a))
    np.testing.assert_allclose(results[2], np.sum(np.sin(b)))
    gradient = grad(graph, (1, 0))
    assert (gradient.captures, gradient.writes) == (1, ((1, 2),))
    by_w, by_x, new = evaluate(gradient, a, b)
    np.testing.assert_allclose(by_w, np.cos(b) * a)
    np.testing.assert_allclose(by_x, np.sin(b))
    np.testing.assert_allclose(new, b * 2)
    pulled = vjp(graph, (0,))
    assert (pulled.captures, pulled.writes, len(pulled.params)) == (1, ((3, 1),), 4)
    back, new = evaluate(pulled, a, 1.0, np.zeros(3), b)
    np.testing.assert_allclose(back, np.sin(b))
    assert value_and_grad(graph, (0,)).writes == ((1, 1),)


def test_a_written_scalar_output_is_kept_by_grad():
    x = new_variable(SCALAR)
    gradient = grad(close([x], [x * x], writes=[(0, 0)]), (0,))
    assert gradient.writes == ((0, 1),) and evaluate(gradient, 3.0) == [6.0, 9.0]


def test_several_results():
    """A pair of x y and x + y, through jvp and transposition."""

    def types(x, y):
        return x, x

    both = define(
        "pair",
        type=types,
        ref=lambda x, y: (x * y, x + y),
        routine="test",
        jvp=lambda node, ts: _pair_tangents(*node.args, *ts),
    )
    linear = define(
        "turn",
        type=types,
        ref=lambda x, y: (x - y, x + y),
        routine="test",
        linear="joint",
        transpose=lambda ct, node, wanted: _turn_back(*ct),
    )
    try:
        x, y = new_variable(SCALAR), new_variable(SCALAR)
        node = both(x, y)
        product, s = item(node, index=0), item(node, index=1)
        turned = linear(product, sin(s))
        graph = close([x, y], [item(turned, index=0) * 2 + item(turned, index=1)])
        a, b = 0.7, -0.4
        want = [3 * b - np.cos(a + b), 3 * a - np.cos(a + b)]
        np.testing.assert_allclose(evaluate(grad(graph, (0, 1)), a, b), want)
        np.testing.assert_allclose(evaluate(jvp(graph), a, b, 1.0, 2.0)[1], want[0] + 2 * want[1])
        one = close([x, y], [item(turned, index=1)])
        np.testing.assert_allclose(evaluate(grad(one, (0,)), a, b)[0], b + np.cos(a + b))
    finally:
        del OPS["pair"], OPS["turn"]


def _pair_tangents(x, y, t, u):
    t, u = (full(0, SCALAR) if v is None else v for v in (t, u))
    return t * y + x * u, t + u


def _turn_back(ct0, ct1):
    ct0, ct1 = (full(0, SCALAR) if ct is None else ct for ct in (ct0, ct1))
    return ct0 + ct1, ct1 - ct0


# ---------------------------------------------------------------- points that are easy to get wrong
@pytest.mark.parametrize("x, y", [(0.0, 2.0), (0.0, 1.0), (0.0, 0.0), (0.0, 3.0), (-2.0, 3.0), (2.0, 0.0)])
def test_derivatives_of_powers_at_zero(x, y):
    """Against the polynomial, with the exponent literal and traced, to third order."""
    want = [
        y * x ** (y - 1) if y else 0.0,
        y * (y - 1) * x ** (y - 2) if y > 1 else 0.0,
        y * (y - 1) * (y - 2) * x ** (y - 3) if y > 2 else 0.0,
    ]
    u, v = new_variable(SCALAR), new_variable(SCALAR)
    for graph, args in ((close([u], [u**y]), (x,)), (close([u, v], [power(u, v)]), (x, y))):
        for expected in want:
            graph = grad(graph, (0,))
            assert evaluate(graph, *args)[0] == pytest.approx(expected)


def test_ties_share():
    x = new_variable(SCALAR)
    graph = close([x], [maximum(x, full(0, SCALAR))])
    assert [evaluate(grad(graph, (0,)), v)[0] for v in (-1.0, 0.0, 2.0)] == [0.0, 0.5, 1.0]
    y = new_variable(VECTOR)
    top = close([y], [OPS["reduce_max"](y, axes=(0,))])
    np.testing.assert_array_equal(evaluate(grad(top, (0,)), np.array([2.0, 1.0, 2.0]))[0], [0.5, 0, 0.5])


def test_gradients_of_complex_functions():
    """df/dx - i df/dy, as `autodiff` states."""
    z = new_variable(Type(C128, (2,)))
    graph = close([z], [total(real(z * conjugate(z)) + absolute(z))])
    point = np.array([1 + 2j, -0.5j])
    np.testing.assert_allclose(evaluate(grad(graph, (0,)), point)[0], np.conj(2 * point + point / np.abs(point)))


def test_products_with_zeros_need_no_division():
    x = new_variable(VECTOR)
    graph = close([x], [OPS["reduce_prod"](x, axes=(0,))])
    np.testing.assert_array_equal(evaluate(grad(graph, (0,)), np.array([0.0, 2.0, 3.0]))[0], [6, 0, 0])
    np.testing.assert_array_equal(evaluate(grad(graph, (0,)), np.array([0.0, 0.0, 3.0]))[0], [0, 0, 0])
    second = jvp(grad(graph, (0,)))
    np.testing.assert_array_equal(evaluate(second, np.array([0.0, 0.0, 3.0]), np.array([1.0, 0, 0]))[1], [0, 3, 0])


def test_mixed_precision():
    x = new_variable(Type(F32, (3,)))
    graph = close([x], [total(cast(x, F64) * full(0.1, VECTOR))])
    (got,) = evaluate(grad(graph, (0,)), np.ones(3, "f4"))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.float32(0.1))


def test_dims_pass_through_derivatives():
    n = new_variable(Type(I64))
    x = new_variable(Type(F64, (n, 3)))
    w = new_variable(VECTOR)
    graph = close([n, x, w], [total(sin(x) * broadcast(w, (n, 3), (1,)))])
    pushed, gradient = jvp(graph), grad(graph, (1, 2))
    assert gradient.check() and pushed.check() and parse(str(gradient)) is gradient and parse(str(pushed)) is pushed
    a, b = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0, 3.0])
    by_x, by_w = evaluate(gradient, 2, a, b)
    np.testing.assert_allclose(by_x, np.cos(a) * b)
    np.testing.assert_allclose(by_w, np.sin(a).sum(0))
    np.testing.assert_allclose(evaluate(pushed, 2, a, b, np.ones((2, 3)), np.zeros(3))[1], (np.cos(a) * b).sum())


def test_linear_functions_of_both_arguments():
    x, y = new_variable(VECTOR), new_variable(VECTOR)
    pushed = jvp(close([x, y], [add(x, y), multiply(x, y)]), (1,))
    _, b, t = pushed.inputs()
    assert pushed.outs[2] is t and pushed.outs[3] is pushed.inputs()[0] * t
