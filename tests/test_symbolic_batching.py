"""A batched graph is the graph applied to each element, for random programs and for every op."""

import itertools

import numpy as np
import pytest
from graphs import inputs_of, smooth_graphs
from hypothesis import given
from hypothesis import strategies as st
from samples import NAMES, op_samples, results

from tracejit.errors import UnsupportedError
from tracejit.symbolic.autodiff import grad, jvp
from tracejit.symbolic.batching import batch, batch_nodes
from tracejit.symbolic.graph import close
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import OPS, define, item, new_variable
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import exp, sin
from tracejit.symbolic.text import parse
from tracejit.symbolic.types import F64, I64, Type, type_of

VECTOR = Type(F64, (3,))


def stacked_results(graph, args, in_batched, size):
    """Apply a graph element by element and stack."""
    rows = [[a[k] if b else a for a, b in zip(args, in_batched)] for k in range(size)]
    return [np.stack(column) for column in zip(*[evaluate(graph, *row) for row in rows])]


def agree(got, want):
    for a, b in zip(got, want):
        assert a.dtype == b.dtype and a.shape == b.shape
        tolerance = 200 * np.finfo(b.dtype).eps if b.dtype.kind in "fc" else 0
        scale = np.max(np.abs(b), initial=1, where=np.isfinite(np.abs(b))) if tolerance else 1
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)


@given(smooth_graphs(), st.data())
def test_random_programs(graph, data):
    size = 3
    in_batched = [data.draw(st.booleans()) for _ in graph.params]
    args = [np.stack([a, -a, a + 0.5]) if b else a for a, b in zip(inputs_of(graph), in_batched)]
    batched = batch(graph, in_batched, size)
    assert batched.check() is batched and parse(str(batched)) is batched
    agree(evaluate(batched, *args), stacked_results(graph, args, in_batched, size))


@given(smooth_graphs(scalar=True, size=5))
def test_batched_derivatives(graph):
    gradient = grad(graph, tuple(range(len(graph.params))))
    in_batched = [True] * len(graph.params)
    args = [np.stack([a, a * 0.5]) for a in inputs_of(graph)]
    agree(evaluate(batch(gradient, in_batched, 2), *args), stacked_results(gradient, args, in_batched, 2))
    pushed = jvp(batch(graph, in_batched, 2))
    assert pushed.check()


@pytest.mark.parametrize("name", NAMES)
def test_every_op(name):
    """Through the graph, by whichever way the op has."""
    for args, attrs in op_samples(name)[:12]:
        variables = [new_variable(type_of(a)) for a in args]
        graph = close(variables, results(OPS[name](*variables, **attrs)))
        for in_batched in itertools.product((False, True), repeat=len(args)):
            stacks = [np.stack([a] * 2) if b else np.asarray(a) for a, b in zip(args, in_batched)]
            batched = batch(graph, in_batched, 2)
            agree(evaluate(batched, *stacks), stacked_results(graph, stacks, in_batched, 2))


def test_what_is_the_same_for_all_is_computed_once():
    x, y = new_variable(VECTOR), new_variable(VECTOR)
    batched = batch(close([x, y], [x * exp(y), exp(y)]), (True, False), 4)
    kinds = {n.op.name: n.type for n in batched.topological()}
    assert kinds["exp"] is VECTOR and kinds["multiply"] is Type(F64, (4, 3))
    assert batched.out_types == (Type(F64, (4, 3)),) * 2


def test_captures_and_writes_are_kept():
    x, w = new_variable(VECTOR), new_variable(VECTOR)
    graph = close([x], [reduce_sum(x * w, axes=(0,)), x * 2], [w], [(0, 1)])
    batched = batch(graph, (True, False), 2)
    assert (batched.captures, batched.writes) == (1, ((0, 1),))
    with pytest.raises(UnsupportedError, match="written by every element"):
        batch(graph, (False, True), 2)


def test_an_op_without_a_rule_takes_one_element_after_the_other():
    op = define("alone", type=lambda x, y: (x, y), ref=lambda x, y: (np.sin(x), y * x.sum()), routine="test")
    try:
        x, y = new_variable(VECTOR), new_variable(Type(F64))
        both = op(x, y)
        graph = close([x, y], [item(both, index=0), item(both, index=1)])
        for in_batched in ((True, True), (True, False)):
            for size in (3, 0):
                args = [np.arange(3.0 * size).reshape(size, 3), np.arange(size) + 0.5 if in_batched[1] else 2.0]
                got = evaluate(batch(graph, in_batched, size), *args)
                want = stacked_results(graph, args, in_batched, size) if size else [np.zeros((0, 3)), np.zeros(0)]
                agree(got, want)
        n = new_variable(Type(I64))  # also where only the compiled function knows the number of elements
        stacks = [new_variable(Type(F64, (n, 3))), new_variable(Type(F64, (n,)))]
        outs = batch_nodes(graph.outs, dict(zip(graph.inputs(), stacks)), n)
        args = [np.arange(6.0).reshape(2, 3), np.array([0.5, 2.0])]
        agree(evaluate(close([n, *stacks], outs).check(), 2, *args), stacked_results(graph, args, (True, True), 2))
    finally:
        del OPS["alone"]


def test_the_batch_may_be_a_dim():
    n, x = new_variable(Type(I64)), new_variable(VECTOR)
    inner = close([x], [reduce_sum(sin(x) * 2, axes=(0,))])
    stack = new_variable(Type(F64, (n, 3)))
    (out,) = batch_nodes(inner.outs, {inner.inputs()[0]: stack}, n)
    assert out.shape == (n,)
    value = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(evaluate(close([n, stack], [out]), 2, value)[0], 2 * np.sin(value).sum(1))
