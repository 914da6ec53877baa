"""What cannot be traced once is done otherwise: by a guard, written out, or refused with line and remedy."""

import collections
import types

import numpy as np
import pytest
from test_flow_traced import copied, equal

import tracejit
from tracejit.errors import TracejitError

X = np.array([3.0, -1.0, 2.0, 0.5, -4.0, 7.0, 1.5, -2.5, 0.0, 6.0])


def check(f, *inputs):
    """Compare the jitted function with the plain one on all inputs, one after the other; returns its `CacheInfo`."""
    jitted = tracejit.jit(f, backend="ref")
    for args in inputs:
        ours, plain = copied(args), copied(args)
        equal(jitted(*ours), f(*plain))
        for a, b in zip(ours, plain):
            np.testing.assert_array_equal(a, b)
    return jitted.cache_info()


def test_iterators_are_asked_as_often_as_in_python():
    def f(x):
        rows = iter([x * k for k in range(30)])
        s = next(rows)
        for _ in range(20):
            s = s * 0.5 + next(rows)
        if s[0] > 3:
            s = s + next(rows)
        return s, next(rows)
    check(f, (X,), (X - 20,))


def test_sets_and_queues():
    def f(x):
        seen, queue = set(), collections.deque([x])
        for i in range(12):
            seen.add(i % 4)
            queue.append(queue.popleft() * 2)
        if x[0] > 0:
            seen.add(100)
        return sorted(seen), queue[0]
    check(f, (X,), (-X,))


def test_namespaces_and_attributes():
    def f(x):
        state = types.SimpleNamespace(total=0.0, n=0)
        for v in x:
            state.total = state.total * 0.5 + v
            if v > 0:
                state.n += 1
        return state.total, state.n
    assert check(f, (X,), (-X,)).traces == 1


def test_objects_from_outside_that_count():
    class Counter:
        def __init__(self):
            self.n = 0

    counter = Counter()

    @tracejit.jit(backend="ref")
    def f(x):
        for i in range(20):
            counter.n += 1
            x = x * 0.9 + i
        return x
    want = X
    for i in range(20):
        want = want * 0.9 + i
    np.testing.assert_allclose(f(X), want)
    assert counter.n == 20


def test_sides_of_different_shapes_and_kinds():
    def f(x, flag):
        if x[0] > 0:
            y = x[:3]
        else:
            y = [x[0], "text", None]
        kind = "up" if x[1] > x[0] else None
        return y, kind
    info = check(f, (X, True), (-X, False), (X, False))
    assert len(info.variants) == 2


def test_a_choice_of_functions():
    def f(x):
        g = np.sin if x[0] > 0 else np.cos
        h = (lambda v: v + 1) if x[1] > 0 else (lambda v: v - 1)
        return h(g(x))
    check(f, (X,), (-X,))


def test_a_branch_that_always_fails_while_traced():
    def f(x, n):
        if n > 20:
            return x[n * 100]
        if n == 19:
            return x @ np.ones(3)
        if n < 0:
            raise ValueError("negative")
        return x[n % 10]
    check(f, (X, 3), (X, 12))
    jitted = tracejit.jit(f, backend="ref")
    for n, error in ((21, IndexError), (19, ValueError), (-1, ValueError), (50, IndexError)):
        with pytest.raises(error):
            jitted(X, n)
        assert jitted(X, 4) == X[4]


def test_exceptions_caught_around_a_branch():
    def f(x):
        out = 0.0
        for k in range(3):
            try:
                if x[k] < 0:
                    raise ValueError(k)
                out += x[k]
            except ValueError as e:
                out -= 10 * e.args[0]
        return out
    check(f, (X,), (-X,), (np.abs(X),))


def test_which_array_it_is_depends_on_the_branch():
    def f(x, y):
        big = x if x[0] > y[0] else y
        big[1] = 100.0
        return x.sum(), y.sum()
    check(f, (X, X - 1), (X - 1, X))


def test_an_argument_that_is_rebound_after_a_write():
    def f(x, n):
        for k in range(n):
            x[0] = k
            x = x * 0.5
        return x
    check(f, (X, 3), (X, 0), (X, 12))


def test_sizes_that_change_from_one_iteration_to_the_next():
    def f(x):
        while len(x) > 3:
            x = x[1:] + x[:-1]
        return x
    check(f, (X,), (-X,))


def test_names_made_of_the_index():
    def f(x):
        params = {f"w{k}": x[k] for k in range(10)}
        for k in range(10):
            x = x * params[f"w{k}"] + 1
        return x
    check(f, (X,))


def test_refusals_say_where_and_what_to_do():
    def f(x):
        rows, i = {}, 0
        while x[0] > i:
            rows[i] = x * i
            i += 1
        return rows
    traced = tracejit.jit(f)
    with pytest.raises(TracejitError) as caught:
        traced.trace(tracejit.calls.ShapeDtype((10,)))
    assert "test_flow_limits.py:" in str(caught.value) and "do:" in str(caught.value)
    equal(traced(X), f(X))


def test_a_loop_may_be_left_in_the_iteration_that_stands_before_it():
    def f(x):
        total = np.zeros((2, 2))  # of another shape from the first iteration on
        for k in range(30, 0, -1):
            total = np.cumsum(x) + k
            if x.sum() > 0.5:
                break
        return total

    def g(x):
        total, n = np.zeros((2, 2)), 0
        while n < 20:
            n += 1
            total = np.cumsum(x) + n
            if x.sum() > 0.5:
                break
        return total, n
    for program in (f, g):
        jitted = tracejit.jit(program)
        for x in (X, -X, np.zeros_like(X)):
            equal(jitted(x), program(x))


def test_no_variant_is_made_where_both_sides_fit():
    def f(x, t):
        if x.sum() > t:
            return x * 2
        return x
    info = check(f, (X, 1.0), (X, 100.0), (-X, -5.0))
    assert info.traces == 1 and not info.variants


@pytest.mark.parametrize("backend", ["c", "ref"])
def test_handlers_take_what_compiled_code_raises(backend):
    def factor(x):
        try:
            return np.linalg.cholesky(x[0])
        except np.linalg.LinAlgError:
            return np.linalg.cholesky(x[0] + 9 * np.eye(3))

    def total(x, places):
        s = 0.0
        for k in range(20):
            try:
                s += x[places[k]]
            except IndexError as error:
                s -= len(error.args)
            finally:
                x[0] += 1
        return s

    def quotient(x, n):
        try:
            y = 7 // (n - 3)
        except (ZeroDivisionError, TypeError):
            y = x
        return y
    factor, total, quotient = (tracejit.jit(f, backend=backend) for f in (factor, total, quotient))
    for sign in (1, -1, 1, -1):
        equal(factor(sign * np.eye(3)[None]), factor.__tracejit_inline__()(sign * np.eye(3)[None]))
        equal(quotient(X, 3 + sign), 7 // sign)
        places, ours, theirs = np.arange(20) % (9 + sign), X[:9].copy(), X[:9].copy()
        equal(total(ours, places), total.__tracejit_inline__()(theirs, places))
        equal(ours, theirs)
    assert factor.cache_info().plain == 2
    equal(quotient(X, 3), X)


@pytest.mark.parametrize("backend", ["c", "ref"])
def test_what_goes_wrong_before_a_handler_need_not_be_in_a_value_that_is_needed(backend):
    def divides(x, by):
        try:
            7 // int(x[0] * by)
            return True
        except ZeroDivisionError:
            return False

    def written(x, by):
        try:
            y = 7 // int(x[0] * by)
        except ZeroDivisionError:
            y = x
        y += 3
        return x.sum()

    def inside(x, places):
        found = 0
        for k in places:
            try:
                x[k]
                found += 1
            except IndexError:
                pass
        return found

    def shapes(x, by):
        try:
            y = 7 // int(x[0] * by)
        except ZeroDivisionError:
            y = x
        return y.shape[0] if by < 1 else y
    places = np.arange(20)
    for f, calls in ((divides, (1, 0)), (written, (1, 0)), (inside, (places % 9, places)), (shapes, (0, 1))):
        jitted = tracejit.jit(f, backend=backend)
        for argument in (*calls, *calls[::-1]):
            ours, theirs = X.copy(), X.copy()
            equal(jitted(ours, argument), f(theirs, argument))
            equal(ours, theirs)


def test_lines_that_a_handler_skips_may_be_wrong():
    def f(x, n):
        try:
            y = 7 // (n - n)
        except ZeroDivisionError:
            y = x
        return np.add(y, x, out=np.zeros_like(y))
    equal(tracejit.jit(f)(X, 3), 2 * X)


def test_a_refusal_is_not_hidden_by_an_error_in_a_branch_that_is_not_taken():
    def f(x):
        if x.sum() < 0:
            x = x.reshape(3)
        return x.astype("m8[s]")
    with pytest.raises(TracejitError, match="timedelta64"):
        tracejit.jit(f)(abs(X))
