"""Loops and branches over explicit states: carried values, types that settle, writes from inside, errors in words."""

import numpy as np
import pytest
from tracing import run, same, trace

from tracejit.errors import CarryError
from tracejit.symbolic.text import inner_graphs
from tracejit.trace.control import UNDEFINED, staged_cond, staged_for, staged_switch, staged_while

X = np.arange(1.0, 7.0)


def loops(traced):
    """Return the names of the control-flow ops in a traced function, inner ones too."""
    graphs = [*inner_graphs(traced.graph), traced.graph]
    return sorted(n.op.name for g in graphs for n in g.topological() if n.op.name in ("for_loop", "while_loop",
                                                                                      "switch"))


def staged(f):
    """Return a function that hands the staging functions, or their meaning in Python, to `f`."""
    def plain_for(count, body, state, **_):
        for k in range(int(count)):
            state = tuple(body(k, state))
        return tuple(state)

    def plain_while(cond, body, state, **_):
        while cond(state):
            state = tuple(body(state))
        return tuple(state)

    def plain_cond(pred, true, false, state, **_):
        return tuple((true if pred else false)(state))

    def plain_switch(index, branches, state, **_):
        return tuple(branches[min(max(int(index), 0), len(branches) - 1)](state))

    def both(*args):
        from tracejit.trace.tracer import current_trace
        if current_trace() is None:
            return f(*args, plain_for, plain_while, plain_cond, plain_switch)
        return f(*args, staged_for, staged_while, staged_cond, staged_switch)
    return both


def test_a_sum_takes_the_dtype_it_grows_into():
    @staged
    def f(x, n, for_, *_):
        (s,) = for_(n, lambda k, state: (state[0] + x[0] * k,), (0,))
        return s
    for x in (X, X.astype("f4"), X.astype("i2")):
        for n in (1, 4):
            same(f, x, n)
    assert loops(trace(f, X, 3)) == ["for_loop"]


def test_an_array_of_the_function_written_inside():
    @staged
    def f(x, n, for_, *_):
        out = np.zeros(6)
        view = out[1:]

        def body(k, state):
            out[k] = x[k] * 2
            view[0] += 1
            return ()
        for_(n, body, ())
        return out, view.sum()
    same(f, X, 5)
    same(f, X, 0)


def test_an_argument_written_inside_is_written_in_the_callers_array():
    @staged
    def f(x, n, for_, *_):
        def body(k, state):
            x[k + 1] = x[k] * 0.5 + x[k + 1]
            return state
        for_(n, body, ())
        return x.sum()
    same(f, X, 5)


def test_what_is_left_as_it_is_stays_the_object():
    marker = object()

    @staged
    def f(x, for_, *_):
        a, b, c, d = for_(3, lambda k, s: (s[0], s[1], s[2] + 1.5, s[3]), (x, marker, 2, "text"))
        assert a is x and b is marker and d == "text"
        return a, c
    same(f, X)


def test_nested_loops_with_writes():
    @staged
    def f(x, n, for_, *_):
        table = np.zeros((4, 5))

        def row(i, state):
            def element(j, inner):
                table[i, j] = x[i] * j + inner[0]
                return (inner[0] + table[i, j],)
            return for_(n, element, state)
        (total,) = for_(4, row, (0.0,))
        return table, total
    same(f, X, 5)
    assert loops(trace(f, X, 5)) == ["for_loop", "for_loop"]


def test_while_with_numbers():
    @staged
    def f(a, b, _, while_, *__):
        a, b, n = while_(lambda s: s[1] != 0, lambda s: (s[1], s[0] % s[1], s[2] + 1), (a, b, 0))
        return a, n
    same(f, 1071, 462)
    same(f, 5, 0)
    same(f, np.int32(1071), np.int32(462))


def test_while_over_an_array():
    @staged
    def f(x, _, while_, *__):
        (x,) = while_(lambda s: (s[0] * s[0]).sum() > 1.0, lambda s: (s[0] / 2,), (x,))
        return x
    same(f, X)
    same(f, X * 0)


def test_a_value_made_inside():
    @staged
    def f(x, n, for_, *_):
        y, total = for_(n, lambda k, s: (np.sin(x) * k, s[1] + 1), (UNDEFINED, 0))
        return y, total
    same(f, X, 3)


def test_branches_join():
    @staged
    def f(x, n, _, __, cond, ___):
        def true(s):
            x[0] = 7
            return x * 2, s[1], 5, s[3]

        def false(s):
            return x + 1, s[1], 6.5, s[3]
        a, b, c, d = cond(n > 2, true, false, (0, x, 1, "same"))
        assert b is x and d == "same"
        return a, b, c * 1.0
    same(f, X, 1)
    same(f, X, 4)


def test_switch_clips():
    @staged
    def f(x, n, *staging):
        (out,) = staging[3](n, [lambda s: (s[0] * 2,), lambda s: (s[0] + 1,), lambda s: (-s[0],)], (x,))
        return out
    for n in (-1, 0, 1, 2, 5):
        same(f, X, n)


def test_a_branch_in_a_loop():
    @staged
    def f(x, n, for_, _, cond, __):
        count = np.zeros(1, int)

        def body(k, s):
            def true(s):
                count[0] += 1
                return (s[0] + x[k],)
            return cond(x[k] > 2.5, true, lambda s: s, s)
        (total,) = for_(n, body, (0.0,))
        return total, count
    same(f, X, 6)


def test_what_does_not_change_comes_in_once():
    def f(x, n):
        w = np.exp(x)
        (s,) = staged_for(n, lambda k, s: (s[0] + w[k],), (0.0,))
        return s
    inner = inner_graphs(trace(f, X, 3).graph)
    assert not any(n.op.name == "exp" for g in inner for n in g.topological())
    np.testing.assert_allclose(run(f, X, 3), np.exp(X)[:3].sum())


@pytest.mark.parametrize("body, words", [
    (lambda k, s: (s[0][1:],), r"x is f64\[6\] before an iteration and f64\[5\] after"),
    (lambda k, s: (s[0] * 1j,), r"x is f64\[6\] before .* c128\[6\] after"),
    (lambda k, s: ((s[0], 1),), "x is f64.* before an iteration and a tuple of 2 after"),
    (lambda k, s: ("text",), "x is .* after"),
    (lambda k, s: (), "a state of 1 and returns 0"),
])
def test_what_changes_its_type_is_refused(body, words):
    with pytest.raises(CarryError, match=words) as error:
        trace(lambda x, n: staged_for(n, body, (x,), names=("x",)), X, 3)
    assert "test_trace_control.py" in error.value.where and error.value.do


def test_branches_that_differ_are_refused():
    def f(x, n):
        return staged_cond(n > 1, lambda s: (x,), lambda s: (x[1:],), (x,), names=("y",))
    with pytest.raises(CarryError, match=r"y is f64\[5\] in one branch and f64\[6\] in another"):
        trace(f, X, 3)


def test_bodies_show_the_users_lines():
    def f(x, n):
        def body(k, s):
            return (s[0] * x[k] + 1,)
        return staged_for(n, body, (1.0,))[0]
    traced = trace(f, X, 3)
    line = f.__code__.co_firstlineno + 2
    body, _, whole = str(traced).partition("graph f(")
    assert body.count(f"test_trace_control.py:{line}") >= 2
    assert f"test_trace_control.py:{line + 1}" in whole
