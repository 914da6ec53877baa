"""Guards: what a trace takes from the actual inputs of its call, and the variants that come of it."""

import numpy as np
import pytest
from tracing import mark

from tracejit import tree
from tracejit.errors import ConcretizationError
from tracejit.symbolic.interp import evaluate
from tracejit.trace.guards import Undecided, guarded_int
from tracejit.trace.staging import stage

V = np.array([3.0, -1.0, 2.0, 5.0])


def guarded(f, *args):
    """Trace with actual inputs."""
    return stage(f, tree.map(mark, args), {}, values=[x for x in tree.leaves(args) if mark(x) is not x])


# ---------------------------------------------------------------- what a trace records
def test_a_trace_goes_on_along_the_branch_of_its_inputs():
    def f(x):
        y = x * 2
        return y + 1 if y.sum() > 0 else y - 1
    for x in (V, -V):
        traced = guarded(f, x)
        (graph, (fact,)), = traced.guards
        assert bool(fact.value) is bool(x.sum() > 0) and "test_guards.py" in fact.where and "truth" in str(fact)
        assert bool(evaluate(graph, x)[0]) == (x.sum() > 0) and graph.params == traced.graph.params
        np.testing.assert_array_equal(evaluate(traced.graph, x)[0], f(x))


def test_sizes_out_of_data():
    def f(x):
        n = guarded_int((x > 0).sum(), "the number of positive elements")
        return np.zeros(n) + x.sum(), range(int(x[0].astype(int)))[n - 1]
    traced = guarded(f, V)
    assert [int(fact.value) for _, facts in traced.guards for fact in facts] == [3, 3]
    assert traced.graph.out_types[0].shape == (3,)


def test_a_question_is_asked_once():
    traced = guarded(lambda x: [x[0] for _ in range(5) if x.sum() > 0], V)
    assert len(traced.guards) == 1 and len(traced.guards[0][1]) == 1


def test_a_captured_array_decides():
    w = np.arange(3)
    traced = guarded(lambda x: 2 * x[int(w[2]):], V)
    assert traced.captures[0] is w and traced.graph.out_types[0].shape == (2,)


def test_without_inputs_there_is_no_guard():
    with pytest.raises(ConcretizationError):
        stage(lambda x: x if x[0] > 0 else -x, (mark(V),), {})
    with pytest.raises(ConcretizationError):
        stage(lambda x: x if x[0] > 0 else -x, (mark(V),), {}, values=[None])


def test_large_contents_are_no_facts():
    with pytest.raises(ConcretizationError):
        guarded(lambda x: x.tobytes(), np.ones(1000))


def test_an_error_on_the_way_ends_the_trace():
    with pytest.raises(Undecided):
        guarded(lambda x, i: x if x[i][0] > 0 else -x, V, np.array([4]))
