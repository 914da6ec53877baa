"""Values computed again instead of kept: the same derivatives, in less memory as the plan has it, for every policy."""

import pickle

import numpy as np
import pytest
from test_custom_derivatives import staged

import tracejit
from tracejit import checkpoint, grad, jit, keep_under
from tracejit.errors import UnsupportedError
from tracejit.kernels.program import build
from tracejit.opt.pipeline import optimize
from tracejit.symbolic import autodiff
from tracejit.symbolic.batching import batch
from tracejit.symbolic.graph import topological
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.text import parse
from tracejit.testing import check_grads

RNG = np.random.default_rng(3)
N, WIDTH, LAYERS = 32, 16, 5
X = RNG.normal(size=(N, WIDTH))
WEIGHTS = [RNG.normal(size=(WIDTH, WIDTH)) / 4 for _ in range(LAYERS)]
#: Bytes of one value between the layers.
ROW = N * WIDTH * 8


def layer(x, w):
    return np.tanh(np.exp(-np.tanh(x @ w) ** 2) @ w)


def network(layer):
    def cost(x, *weights):
        for w in weights:
            x = layer(x, w)
        return (x * x).sum()
    return cost


def looped(layer):
    def cost(x, *weights):
        x, _ = tracejit.scan(lambda x, w: (layer(x, w), None), x, np.stack(weights))
        return (x * x).sum()
    return cost


def gradient(cost):
    """Return (the optimised graph of the gradients, its planned memory, its products of matrices)."""
    graph = staged(cost, X, *WEIGHTS)
    derived = optimize(autodiff.grad(graph, range(1 + LAYERS)))
    assert parse(str(derived)) is derived
    return derived, build(derived).arena_bytes, sum(n.op.name in ("dot_general", "gemm") for n in derived.topological())


PLAIN = {make: gradient(make(layer)) for make in (network, looped)}


@pytest.mark.parametrize("make", [network, looped])
def test_less_memory_for_the_same_gradient(make):
    """What is planned shrinks as less is kept, and all policies give the same numbers."""
    plain, most, _ = PLAIN[make]
    want = evaluate(plain, X, *WEIGHTS)
    arenas = {}
    for policy in ("nothing", "dots", 3 * ROW, "everything"):
        graph, arenas[policy], _ = gradient(make(checkpoint(layer, policy=policy)))
        for a, b in zip(evaluate(graph, X, *WEIGHTS), want):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert arenas["everything"] == most
    assert arenas["nothing"] < 0.5 * most
    assert arenas["nothing"] < arenas["dots"] <= most


def test_what_is_kept_is_not_computed_again():
    """Per layer two products forward, four backward; two more where nothing is kept."""
    dots = {policy: gradient(network(checkpoint(layer, policy=policy)))[2] for policy in ("nothing", "dots", 100 * ROW)}
    plain = PLAIN[network][2]
    assert dots["nothing"] - plain >= 2 * (LAYERS - 1)
    assert dots["dots"] == dots[100 * ROW] == plain


def test_the_kept_values_fit_under_the_limit():
    def kept(policy):
        graph = staged(checkpoint(layer, policy=policy), X, WEIGHTS[0])
        whole, = [n for n in graph.topological() if n.op.name == "checkpoint"]
        return whole.attr("body").outs[whole.attr("count"):]
    for limit in (0, ROW - 1, ROW, 2 * ROW, 3 * ROW, 1 << 30):
        assert sum(n.type.size * n.dtype.itemsize for n in kept(limit)) <= limit
    assert not kept(ROW - 1) and len(kept(ROW)) == 1
    assert "dot_general" in {n.op.name for n in topological(kept(ROW))}  # which need not be computed again
    assert len(kept(2 * ROW)) == 2
    small = staged(checkpoint(lambda x: np.sin(x.sum(0)) * x, policy=WIDTH * 8), X)  # the sum is worth it, not the sine
    whole, = [n for n in small.topological() if n.op.name == "checkpoint"]
    assert [n.type.shape for n in whole.attr("body").outs[1:]] == [(WIDTH,)]


def test_compiled_and_outside_of_jit():
    f = checkpoint(layer)
    np.testing.assert_array_equal(f(X, WEIGHTS[0]), layer(X, WEIGHTS[0]))
    np.testing.assert_allclose(jit(f)(X, w=WEIGHTS[0]), layer(X, WEIGHTS[0]), rtol=1e-12)
    for make in (network, looped):
        want = grad(make(layer), argnums=(0, 1))(X, *WEIGHTS)
        for a, b in zip(grad(make(f), argnums=(0, 1))(X, *WEIGHTS), want):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_every_mode_and_order():
    @checkpoint(policy="dots")
    def f(x, w, n=2):
        total = 0.0
        for k in range(n):
            total = total + np.sin(x @ w).sum() ** 2
        return {"total": total, "rows": np.tanh(x) * w[0], "n": n}

    def cost(x, w):
        out = f(x, w=w)
        assert out["n"] == 2
        return out["total"] * out["rows"].sum()
    check_grads(cost, (X[:2, :3], WEIGHTS[0][:3, :3]), order=2)


def test_around_loops_branches_and_each_other():
    @checkpoint
    def inner(x, row):
        return np.sin(x * row) + x

    @checkpoint
    def outer(x, rows):
        x, _ = tracejit.scan(lambda x, row: (inner(x, row), None), x, rows)
        for k in range(3):
            x = inner(x, rows[k]) if x.sum() > 0 else x * 2
        return x
    rows = RNG.uniform(-1, 1, (4, 3))
    check_grads(lambda x, rows: outer(x, rows).sum(), (rows[0], rows), order=2, modes=("rev",))


def test_values_from_around_it_are_differentiated_and_not_computed_again():
    def cost(x):
        h = np.exp(x)
        return checkpoint(lambda y: np.sin(y * h) * h)(x).sum()
    x = X[0]
    graph = staged(cost, x)
    derived = optimize(autodiff.grad(graph, (0,)))
    np.testing.assert_allclose(evaluate(derived, x)[0], evaluate(autodiff.grad(staged(
        lambda x: (np.sin(x * np.exp(x)) * np.exp(x)).sum(), x), (0,)), x)[0], rtol=1e-12)
    assert sum(n.op.name == "exp" for n in derived.topological()) == 1


def test_in_a_batch():
    f = checkpoint(lambda x, w: np.tanh(x @ w) * x, policy="dots")
    graph = staged(lambda x, w: (f(x, w) ** 2).sum(), X[0], WEIGHTS[0])
    stacked = batch(graph, (True, False), 3)
    total = stacked.replace([tracejit.symbolic.ops.reduce.reduce_sum(stacked.outs[0], axes=(0,))])
    rows, weights = evaluate(optimize(autodiff.grad(total, (0, 1))), X[:3], WEIGHTS[0])
    apart = [evaluate(autodiff.grad(graph, (0, 1)), x, WEIGHTS[0]) for x in X[:3]]
    np.testing.assert_allclose(rows, [a[0] for a in apart], rtol=1e-10)
    np.testing.assert_allclose(weights, sum(a[1] for a in apart), rtol=1e-10)


def test_what_is_refused():
    with pytest.raises(ValueError, match="the policy of checkpoint is"):
        checkpoint(layer, policy="some")
    with pytest.raises(ValueError, match="number of bytes"):
        checkpoint(layer, policy=-1)
    with pytest.raises(TypeError, match="takes a function"):
        checkpoint(3)

    def writing(x):
        x += 1
        return x
    with pytest.raises(UnsupportedError, match="writes to an array"):
        grad(lambda x: checkpoint(writing)(x * 1).sum())(X)
    assert repr(checkpoint(layer, policy=64)) == "<checkpoint of layer, policy=keep_under(64)>"


@checkpoint(policy=keep_under(100))
def remembered(x, w):
    return np.sin(x @ w)


def test_pickles():
    assert pickle.loads(pickle.dumps(remembered)) is remembered
    again = pickle.loads(pickle.dumps(checkpoint(layer)))
    np.testing.assert_array_equal(again(X, WEIGHTS[0]), layer(X, WEIGHTS[0]))
