"""What the phases make of whole graphs: the same meaning, at rest, in the wanted form."""

import numpy as np
import pytest
from graphs import any_graphs, smooth_graphs
from hypothesis import given
from hypothesis import strategies as st

from tracejit.config import config
from tracejit.opt import pipeline
from tracejit.opt.pipeline import optimize, prepare, run_phase
from tracejit.opt.rewrite import PHASES
from tracejit.symbolic.autodiff import grad
from tracejit.symbolic.graph import close
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import const_value, new_variable
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.index import gather
from tracejit.symbolic.ops.reduce import reduce_max, reduce_sum
from tracejit.symbolic.ops.scalar import exp, greater, log, multiply, power, select, sqrt, tanh
from tracejit.symbolic.ops.shape import broadcast, broadcast_to, full, iota, reshape, set_slice, slice_, transpose
from tracejit.symbolic.types import F32, F64, I64, Type


def var(*shape, dtype=F64):
    return new_variable(Type(dtype, shape))


def ops(graph):
    """Return the names of the ops of a graph, without leaves and literals, sorted."""
    literal = lambda n: n.op.name == "broadcast" and not n.args[0].args
    return sorted(n.op.name for n in graph.topological() if n.args and not literal(n))


def optimized(variables, *outs):
    return optimize(close(variables, outs))


# ---------------------------------------------------------------- meaning
def run(graph, seed):
    rng = np.random.default_rng(seed)
    args = []
    for t in graph.params:
        values = rng.normal(size=t.shape) * 2
        values = values + 1j * values if t.kind == "c" else values > 0 if t.kind == "b" else values
        args.append(values.astype(t.dtype))
    return evaluate(graph, *args)


def same(found, wanted):
    for a, b in zip(found, wanted):
        assert a.dtype == b.dtype and a.shape == b.shape
        if b.dtype.kind not in "fc":
            np.testing.assert_array_equal(a, b)
            continue
        ok = np.isfinite(b) & (np.abs(b) < np.finfo(b.dtype).max ** 0.25)
        tolerance = {2: 0.05, 4: 1e-4}.get(np.finfo(b.dtype).dtype.itemsize, 1e-9)
        np.testing.assert_allclose(a[ok], b[ok], rtol=tolerance, atol=tolerance * 10)


@given(smooth_graphs(size=14), st.integers(0, 100))
def test_optimize_keeps_the_meaning(graph, seed):
    same(run(optimize(graph), seed), run(graph, seed))


@given(smooth_graphs(scalar=True, size=10), st.integers(0, 100))
def test_gradients_keep_their_meaning(graph, seed):
    wrt = range(len(graph.params))
    same(run(optimize(grad(prepare(graph), wrt)), seed), run(grad(graph, wrt), seed))


@given(any_graphs())
def test_all_dtypes(graph):
    found = optimize(graph)
    assert found.params == graph.params and found.writes == graph.writes and found.captures == graph.captures
    assert found.out_types == graph.out_types


@given(smooth_graphs(size=14))
def test_optimized_graphs_are_at_rest(graph):
    """Not because the answer is remembered: every phase runs again."""
    found = optimize(graph)
    assert pipeline._optimize(found) is found
    for phase in PHASES[:3]:
        assert run_phase(found, phase) is found
    prepared = prepare(graph)
    assert pipeline._prepare(prepared) is prepared


@given(smooth_graphs(size=10), st.integers(0, 100))
def test_fast_keeps_the_meaning_of_ordinary_numbers(graph, seed):
    with config.context(fast=True):
        found = optimize(graph)
        assert pipeline._optimize(found) is found
    same(run(found, seed), run(graph, seed))


# ---------------------------------------------------------------- form
def test_views_merge():
    x = var(3, 4)
    (out,) = optimized([x], transpose(reshape(reshape(transpose(x, (1, 0)), (12,)), (4, 3)), (1, 0))).outs
    assert out.op.name == "param"
    (out,) = optimized([x], slice_(slice_(x, (1, 0), (1, 1), (2, 4)), (1, 1), (1, 2), (1, 2))).outs
    assert out.attrs == ((2, 1), (1, 2), (1, 2)) and out.args[0].op.name == "param"


def test_broadcasts_move_outward():
    u, s = var(3), var()
    g = optimized([u, s], exp(broadcast(u, (3, 4), (0,))) * broadcast(s, (3, 4), ()))
    (out,) = g.outs
    assert out.op.name == "broadcast" and out.args[0].op is multiply and out.args[0].shape == (3,)


def test_dead_constants_and_sums():
    x = var(5)
    assert ops(optimized([x], (x * 1.0 - 0.0) / 1.0 * power(x, full(0, x.type)))) == []


def test_zero_keeps_its_sign_and_nan_its_place():
    """x + 0 turns -0 into 0, and x * 0 and x - x keep NaN; only the flag `fast` is careless of that."""
    x = var(5)
    assert ops(optimized([x], x + 0.0)) == ["add"]
    assert ops(optimized([x], x * 0.0)) == ["multiply"]
    assert ops(optimized([x], x - x)) == ["subtract"]
    with config.context(fast=True):
        for node in (x + 0.0, x * 0.0, x - x):
            assert ops(optimized([x], node)) == []
    i = var(5, dtype=I64)
    for node in (i + 0, i * 0, i - i):
        assert ops(optimized([i], node)) == []


def test_powers_share_squares():
    x = var(5)
    assert ops(optimized([x], power(x, full(10, x.type)) + x)) == ["add"] + ["multiply"] * 4
    assert ops(optimized([x], power(x, full(-2, x.type)))) == ["divide", "multiply"]
    assert ops(optimized([x], power(x, full(0.5, x.type)))) == ["sqrt"]
    assert ops(optimized([x], power(x, full(513, x.type)))) == ["power"]
    assert ops(optimized([x], power(x, full(2.5, x.type)))) == ["power"]


def test_quotients_by_powers_of_two_only():
    x = var(5)
    assert ops(optimized([x], x / 8.0)) == ["multiply"]
    assert ops(optimized([x], x / 10.0)) == ["divide"]


def test_a_reciprocal_is_kept_where_several_products_share_it():
    x, y, z = var(5), var(5), var(5)
    assert ops(optimized([x, y], x * (1 / y))) == ["divide"]
    assert sorted(ops(optimized([x, y, z], x * (1 / y), z * (1 / y)))) == ["divide", "multiply", "multiply"]
    left = optimized([x, y, z], x * (1 / y), (z * (1 / y)) * 0 + z)
    assert optimize(left) is left


def test_roots_of_squares():
    x = var(5)
    assert ops(optimized([x], sqrt(x * x))) == ["absolute"]
    assert ops(optimized([x], sqrt(power(x, full(2, x.type))))) == ["absolute"]


def test_reductions_merge():
    x = var(3, 4, 5)
    inner = reduce_sum(transpose(x, (2, 0, 1)), axes=(0,))
    assert ops(optimized([x], reduce_sum(reshape(inner, (12,)), axes=(0,)))) == ["reduce_sum"]
    assert ops(optimized([x], -reduce_max(-x, axes=(0, 1, 2)))) == ["reduce_min"]


def test_what_was_written_is_read():
    x = var(6)
    value = tanh(slice_(x, (1,), (1,), (3,)))
    assert ops(optimized([x], slice_(set_slice(x, value, (1,), (1,)), (1,), (1,), (3,)))) == ["slice", "tanh"]
    assert optimized([x], slice_(set_slice(x, value, (1,), (1,)), (0,), (1,), (1,))).outs[0].args[0].op.name == "param"


def test_selection_of_equal_branches():
    x, c = var(3), new_variable(Type("bool", (3,)))
    assert ops(optimized([x, c], select(c, x, x * 1.0))) == []


# ---------------------------------------------------------------- products
def test_transposes_are_absorbed_by_products():
    a, b = var(30, 40), var(50, 40)
    g = optimized([a, b], transpose(matmul(b, transpose(a, (1, 0))), (1, 0)))
    assert ops(g) == ["dot_general"] and g.outs[0].args[0].attrs[0] == 0


def test_product_spelled_as_a_sum():
    a, b = var(30, 40), var(40, 50)
    product = reduce_sum(broadcast(a, (30, 40, 50), (0, 1)) * broadcast(b, (30, 40, 50), (1, 2)), axes=(1,))
    assert ops(optimized([a, b], product)) == ["dot_general"]
    assert ops(optimized([a], reduce_sum(a * a, axes=(1,)))) == ["multiply", "reduce_sum"]


def test_outer_product_is_elementwise():
    a, b = var(30, 1), var(1, 50)
    assert "dot_general" not in ops(optimized([a, b], matmul(a, b)))


def test_sum_of_a_product_needs_no_product():
    """The gradient of sum(x @ w) with respect to w: columns of ones times x."""
    x, w = var(30, 40), var(40, 50)
    g = optimize(grad(prepare(close([x, w], [reduce_sum(matmul(x, w), axes=(0, 1))])), (1,)))
    assert "dot_general" not in ops(g)


@pytest.mark.parametrize("dtype", [F64, F32])
def test_step_of_gradient_descent_is_one_gemv(dtype):
    x, d, w = var(400, 784, dtype=dtype), var(400, dtype=dtype), var(784, dtype=dtype)
    g = optimized([x, d, w], w - 0.1 * (matmul(d, x) + 0.02 * w))
    assert ops(g) == ["gemv"]
    a, b, c, alpha, beta = g.outs[0].args
    assert const_value(alpha) == np.array(-0.1, dtype) and abs(const_value(beta) - 0.998) < 1e-6
    same(run(g, 0), run(close([x, d, w], [w - 0.1 * (matmul(d, x) + 0.02 * w)]), 0))


def test_arrangements_of_gemm():
    a, b, c, s = var(30, 40), var(40, 50), var(30, 50), var()
    ab = matmul(a, b)
    spread = broadcast(s, (30, 50), ())
    for node in (c + ab, ab + c, c - ab, ab - c, 2.0 * ab + 3.0 * c, c - spread * ab, -ab + c / 2.0, ab * 5.0,
                 (c + ab * 2.0) * spread, matmul(transpose(b, (1, 0)), transpose(a, (1, 0))) + transpose(c, (1, 0))):
        g = optimized([a, b, c, s], node)
        assert "gemm" in ops(g) and "dot_general" not in ops(g), str(g)
        same(run(g, 1), run(close([a, b, c, s], [node]), 1))


def test_several_products_add_up_in_place():
    a, b, c, d = var(30, 40), var(40, 50), var(30, 20), var(20, 50)
    node = matmul(a, b) + matmul(c, d)
    g = optimized([a, b, c, d], tanh(node))
    assert ops(g) == ["gemm", "gemm", "tanh"]
    same(run(g, 2), run(close([a, b, c, d], [tanh(node)]), 2))


def test_products_that_others_use_or_that_fuse_stay():
    a, b, bias = var(30, 40), var(40, 50), var(50)
    ab = matmul(a, b)
    assert ops(optimized([a, b], ab, ab + 1.0)) == ["add", "dot_general"]
    assert "gemm" not in ops(optimized([a, b, bias], tanh(ab + broadcast(bias, (30, 50), (1,)))))
    small = matmul(slice_(a, (0, 0), (1, 1), (3, 4)), slice_(b, (0, 0), (1, 1), (4, 3)))
    assert "gemm" not in ops(optimized([a, b], 2.0 * small))


# ---------------------------------------------------------------- the programs that the rules exist for
def test_naive_softmax_and_cross_entropy():
    """Written as users do: exp, sum with keepdims, log, pick by label."""
    z, labels = var(60, 10), new_variable(Type(I64, (60,)))
    e = exp(z)
    p = e / broadcast_to(reshape(reduce_sum(e, axes=(1,)), (60, 1)), (60, 10))
    picked = gather(p, iota(I64, (60,)), labels)
    loss = -reduce_sum(log(picked), axes=(0,)) / 60.0
    graph = prepare(close([z, labels], [loss]))
    assert "log_softmax" in ops(graph) and "exp" not in ops(graph)
    gradient = optimize(grad(graph, (0,)))
    assert "softmax" in ops(gradient) and "divide" not in ops(gradient)
    logits = np.random.default_rng(0).normal(size=(60, 10)) * 300  # saturated
    target = np.arange(60) % 10
    (found,) = evaluate(gradient, logits, target)
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    expected = (shifted / shifted.sum(1, keepdims=True) - np.eye(10)[target]) / 60
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    (value,) = evaluate(graph, logits, target)
    assert np.isfinite(value)


def test_users_own_shift_is_dropped():
    z = var(60, 10)
    top = broadcast(reduce_max(z, axes=(1,)), (60, 10), (0,))
    e = exp(z - top)
    p = e / broadcast(reduce_sum(e, axes=(1,)), (60, 10), (0,))
    assert ops(prepare(close([z], [p]))) == ["softmax"]
    lse = log(reduce_sum(e, axes=(1,))) + reduce_max(z, axes=(1,))
    assert ops(prepare(close([z], [lse]))) == ["logsumexp"]


def test_logistic_loss_as_in_the_seed():
    x, y, w, b = var(400, 784), var(400), var(784), var()
    p = 1.0 / (1.0 + exp(-matmul(x, w) - broadcast(b, (400,), ())))
    xent = -y * log(p) - (1.0 - y) * log(1.0 - p)
    graph = prepare(close([x, y, w, b], [reduce_sum(xent, axes=(0,)) / 400.0]))
    assert "log" not in ops(graph) and "exp" not in ops(graph) and ops(graph).count("softplus") == 2
    assert ops(optimize(grad(graph, (2, 3)))).count("dot_general") == 1 + 1


def test_an_axis_of_length_one_beside_axes_that_are_split():
    x, y = var(2), var(6)
    column, table = broadcast(x, (2, 3), (0,)), reshape(y, (2, 3))
    for out in (column - table, table - column, select(greater(column, table), column, table)):
        graph = optimized([x, y], out)
        values = np.arange(2.0), np.arange(6.0)
        np.testing.assert_array_equal(evaluate(graph, *values)[0], evaluate(close([x, y], [out]), *values)[0])
