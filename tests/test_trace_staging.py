"""What a trace gives: graph, captures, outputs, writes, notes; traces inside traces."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tracing import call, run, same, trace

from tracejit.errors import LeakError, UnsupportedError
from tracejit.symbolic.types import F64, Type
from tracejit.trace.staging import Leaf, Same, stage, subtrace
from tracejit.trace.tracer import as_tracer, current_trace, node_of, wrap

X = np.arange(6.0).reshape(2, 3)
W = np.arange(3.0)
VECTOR = Leaf(Type(F64, (3,)))


def test_the_graph_prints_with_the_users_lines():
    def f(x):
        return np.sin(x) + 1
    text = str(trace(f, X))
    line = f.__code__.co_firstlineno + 1
    assert text.startswith("graph f(x0: f64[2,3])") and text.count(f"test_trace_staging.py:{line}") == 2


def test_arguments_of_any_structure():
    def f(a, *rest, k=2, **more):
        return {"a": a["x"][0] + rest[0], "b": [k * a["y"], more["z"]], "c": None, "d": "text"}
    same(f, {"x": (X,), "y": 3}, X, k=4, z=W)


def test_a_number_and_a_scalar():
    traced = trace(lambda n, s: (n + 1, s + 1), 2, np.float32(3))
    assert traced.outputs == (("out", 0, "python"), ("out", 1, True))
    assert [str(t) for t in traced.graph.params] == ["i64", "f32"]


def test_equal_functions_have_one_graph():
    assert trace(lambda x: x * 2 + 1, X).graph is trace(lambda y: y * 2 + 1, X).graph


def test_the_same_array_twice():
    traced = stage(lambda x, y: (x.__iadd__(1), x + y), (VECTOR, Same(0)), {})
    assert len(traced.graph.params) == 1
    np.testing.assert_array_equal(call(traced, np.ones(3))[1], [4, 4, 4])


def test_captures_are_read_at_each_call():
    w = np.arange(3.0)
    traced = trace(lambda x: x * w + w.sum() + w[1], X)
    assert traced.captures[0] is w and traced.graph.captures == 1
    before = call(traced, X)
    w[:] = [5, 6, 7]
    np.testing.assert_array_equal(call(traced, X), X * w + w.sum() + w[1])
    assert not np.array_equal(before, call(traced, X))


def test_captures_are_written_in_place():
    w = np.arange(3.0)

    def f(x):
        w[1:] += x[0, 0]
        return w * 2, w
    out, same_w = run(f, X + 1)
    np.testing.assert_array_equal(w, [0, 2, 3])
    assert same_w is w


def test_an_unused_capture_is_no_input():
    def f(x):
        W.shape
        return x + len(W)
    assert trace(f, X).captures == []


def test_a_read_only_capture():
    w = np.arange(3.0)
    w.flags.writeable = False

    def f(x):
        w[0] = x[0, 0]
    with pytest.raises(ValueError, match="read-only"):
        run(f, X)


def test_arrays_that_graphs_cannot_hold():
    for bad in (np.array([None, 1]), np.array(["a"]), np.array(["2020"], "M8[D]"), np.zeros(2, "f8,i4"),
                np.zeros(3, "S3")):
        with pytest.raises((UnsupportedError, TypeError)):
            run(lambda x: x + bad, W)
    with pytest.raises(UnsupportedError, match="MaskedArray"):
        run(lambda x: np.add(x, MASKED), W)


MASKED = np.ma.array([1.0, 2, 3])


def test_strings_and_functions_pass_as_they_are():
    same(lambda x, mode, f: f(x) if mode == "on" else x, X, "on", np.sin)


def test_errors_leave_no_trace_behind():
    def f(x):
        raise KeyError("mine")
    with pytest.raises(KeyError, match="mine"):
        run(f, X)
    assert current_trace() is None


def test_outside_a_trace():
    with pytest.raises(LeakError):
        as_tracer(np.ones(3))


# ---------------------------------------------------------------- a trace inside a trace
def test_a_subtrace_outside_any_trace_is_a_trace():
    traced = subtrace(lambda x: x * W, (VECTOR,), {})
    assert traced.captures[0] is W and traced.free == []


def test_variables_of_the_outer_trace_are_free_in_the_inner():
    def outer(x, y):
        inner = subtrace(lambda t: (t * x + y).sum(), (VECTOR,), {})
        assert len(inner.free) == 2 and inner.graph.captures == 2 and len(inner.graph.params) == 3
        out, = inner.graph.call([node_of(x + 1), *inner.free])
        return wrap(out, scalar=True)
    x, y = W + 1, W * 2
    assert run(outer, x, y) == ((x + 1) * x + y).sum()


def test_arrays_captured_in_an_inner_trace_are_inputs_of_the_outermost():
    def outer(x):
        inner = subtrace(lambda t: t * W, (VECTOR,), {})
        out, = inner.graph.call([node_of(x), *inner.free])
        return wrap(out)
    traced = trace(outer, W + 1)
    assert traced.captures[0] is W
    np.testing.assert_array_equal(call(traced, W + 1), (W + 1) * W)


def test_writes_of_an_inner_trace_to_outer_arrays_are_effects():
    def outer(x):
        total = np.zeros(3)

        def body(t):
            total[1:] += t[1:]
            return t * 2
        inner = subtrace(body, (VECTOR,), {})
        assert len(inner.effects) == 1 and total.node is node_of(total)
        outs = inner.graph.call([node_of(x), *inner.free])
        storage, k = inner.effects[0]
        storage.write(outs[k])
        return total, wrap(outs[0])
    total, twice = run(outer, W)
    np.testing.assert_array_equal(total, [0, 1, 2])
    np.testing.assert_array_equal(twice, W * 2)


def test_a_tracer_of_an_inner_trace_must_not_leave_it():
    def outer(x):
        kept = []
        subtrace(lambda t: (kept.append(t * 2), t)[1], (VECTOR,), {})
        return kept[0] + x
    with pytest.raises(LeakError):
        run(outer, W)


def test_threads_trace_apart():
    def work(k):
        def f(x):
            y = np.zeros(3) + k
            for _ in range(20):
                y = y * 1.5 + x[0] * W
            return y
        return all(np.array_equal(run(f, W + k), f(W + k)) for _ in range(5))
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))
