"""Branches and loops on traced values: one trace, every way through it, against plain Python on the same inputs."""

import numpy as np
import pytest
from tracing import call, run, same, trace

import tracejit
from tracejit.symbolic.ir import new_variable
from tracejit.symbolic.types import F64, Type
from tracejit.trace.regions import Flow

X = np.array([3.0, -1.0, 2.0, 0.5, -4.0, 7.0, 1.5, -2.5, 0.0, 6.0])


def everywhere(f, *inputs):
    """Trace once with the first inputs and compare with plain Python on all of them."""
    traced = trace(f, *copied(inputs[0]))
    for args in inputs:
        ours, plain = copied(args), copied(args)
        try:
            expected, error = f(*plain), None
        except Exception as e:
            expected, error = None, e
        if error is not None:
            with pytest.raises(type(error)) as caught:
                call(traced, *ours)
            assert str(error).startswith(str(caught.value)) or isinstance(error, UnboundLocalError | IndexError)
            continue
        equal(call(traced, *ours), expected)
        for a, b in zip(ours, plain):
            np.testing.assert_array_equal(a, b)
    return traced


def copied(args):
    return [a.copy() if isinstance(a, np.ndarray) else a for a in args]


def equal(a, b):
    if isinstance(b, (tuple, list)):
        assert type(a) is type(b) and len(a) == len(b)
        for x, y in zip(a, b):
            equal(x, y)
    elif isinstance(b, dict):
        assert list(a) == list(b)
        for k in b:
            equal(a[k], b[k])
    elif b is None or isinstance(b, str):
        assert a == b
    else:
        np.testing.assert_allclose(a, b, rtol=1e-12)
        if not isinstance(b, (int, float, bool)):
            assert np.asarray(a).dtype == np.asarray(b).dtype


# ---------------------------------------------------------------- if
def test_both_sides():
    def f(x):
        if x > 0:
            y = np.sqrt(x)
        else:
            y = -x
        return y, x
    everywhere(f, (4.0,), (-4.0,), (0.0,))


def test_elif_and_nesting():
    def f(x, y):
        if x > 10:
            z = x
        elif x > 5:
            if y > 0:
                z = x * y
            else:
                z = x - y
        elif x > 0 and y > 0:
            z = 1.0
        else:
            z = x + y
        return z
    everywhere(f, *((float(a), float(b)) for a in (11, 6, 2, -1) for b in (3, -3)))


def test_without_else():
    def f(x, y):
        z = x
        if y > x:
            z = y
        if z > 3:
            z += 1
        return z
    everywhere(f, (1.0, 2.0), (2.0, 1.0), (5.0, 9.0))


def test_arrays_are_written_in_branches():
    def f(x, y):
        v = y[1:]
        if x[0] > 0:
            y[0] = 10
            v += 1
        else:
            x[1] = y[2]
            y *= 2
        return x.sum(), y
    everywhere(f, (X, X + 1), (-X, X + 2))


def test_an_array_is_rebound_in_a_branch():
    def f(x, c):
        y = x.copy()
        if c > 0:
            y = y * 2
        return y + 1
    everywhere(f, (X, 1.0), (X, -1.0))


def test_numbers_and_structures():
    def f(x):
        n, pair, table = 0, (1.0, x), {"a": x}
        if x > 1:
            n = 3
            pair = (x, 2.0)
            table = {"a": x * 2}
        return n, pair, table
    everywhere(f, (2.0,), (0.5,))


def test_lists_that_were_there_before():
    def f(x):
        items = [x, x + 1]
        same_items = items
        if x > 1:
            items[0] = x * 10
        return same_items, items
    everywhere(f, (2.0,), (0.5,))


def test_dicts_and_instances():
    class Point:
        def __init__(self, a):
            self.a = a

    def f(x):
        p, d = Point(x), {"n": 0.0}
        if x > 1:
            p.a = x + 5
            d["n"] = x
        return p.a, d
    everywhere(f, (2.0,), (0.5,))


def test_conditional_expressions():
    def f(x, y):
        z = x if x > y else y
        return z + (1 if y > 0 else -1) * (x if y else 2.0)
    everywhere(f, (1.0, 2.0), (2.0, -1.0), (3.0, 0.0))


def test_and_or_not():
    def f(x, y):
        a = x > 0 and y > 0
        b = x > 0 or y > 0
        c = not x > 0
        d = not (x > 0 and not y > 0)
        return a, b, c, d, x and y, x or y
    everywhere(f, *((a, b) for a in (1.0, 0.0, -1.0) for b in (2.0, 0.0)))


def test_the_second_side_is_not_looked_at_where_python_does_not():
    def f(x, i):
        if i < len(x) and x[i] > 0:
            return 1
        if i >= 3 or x[i + 7] > 0:
            return 2
        return 3
    everywhere(f, *((X, i) for i in (0, 1, 2, 9, 10, 100)))


def test_chains_of_comparisons():
    def f(x, y):
        return 0 < x < y, 0 < x <= y < 5, x == y != 2, (1 if -1 < x < 1 else 0)
    everywhere(f, *((a, b) for a in (0.5, 2.0, -3.0) for b in (0.7, 2.0, 6.0)))


def test_a_chain_stops_early():
    def f(x, i):
        return 0 <= i < 10 and 0 < i < x[i]
    everywhere(f, (X, 0), (X, 5), (X, 10), (X, -3))


def test_membership():
    def f(x, n):
        return (1 if n in (1, 5, 7) else 0), (2 if n not in [3, 4] else 3)
    everywhere(f, (X, 1), (X, 2), (X, 3))


def test_early_returns():
    def f(x):
        if x < 0:
            return -1.0
        y = np.sqrt(x)
        if y > 2:
            if y > 3:
                return y
            y = y + 1
        elif y < 1:
            return 0.5
        return y * 10
    everywhere(f, *((v,) for v in (-1.0, 0.25, 1.0, 5.0, 16.0)))


def test_early_returns_of_pairs_and_arrays():
    def f(x, n):
        if n > 3:
            return x, n
        if n > 1:
            return x * 2, n + 1
        x = x + 1
        return x, 0
    everywhere(f, (X, 4), (X, 2), (X, 0))


def test_raise_in_a_branch():
    def f(x):
        if x < 0:
            raise ValueError("negative {x}: %s")
        if x > 10:
            raise OverflowError
        elif x > 5:
            y = x
        else:
            y = 0.0
            if x == 3:
                raise KeyError("three", 3)
        return np.sqrt(y)
    everywhere(f, *((v,) for v in (-1.0, 11.0, 6.0, 2.0, 3.0)))


def test_users_own_exceptions():
    class TooSmall(Exception):
        def __init__(self, bound, why):
            super().__init__(bound, why)
            self.bound = bound

    def f(x):
        if x < 1:
            raise TooSmall(1, "why")
        return x
    traced = trace(f, 2.0)
    assert call(traced, 2.0) == 2.0
    with pytest.raises(TooSmall) as caught:
        call(traced, 0.0)
    assert caught.value.bound == 1


class Far(Exception):
    def __init__(self, x, why):
        super().__init__(x, why)
        self.x = x


def too_far(x):
    if x.sum() > 100:
        raise ValueError(f"too far: {x.sum():.2f}")
    return x.sum()


def far(x):
    x *= 2
    if x.max() > 100:
        raise Far(x.max(), "far")
    return x.sum()


def claimed(x):
    assert x[0] < 100, "first: %g" % x[0]  # noqa: UP031
    return x.sum()


def summed(x):
    total = 0.0
    for i in range(len(x)):
        total += x[i]
        if total > 100:
            raise ValueError("at {}: ".format(i) + str(total))  # noqa: UP032
    return total


@pytest.mark.parametrize("f", (too_far, far, claimed, summed))
def test_errors_speak_of_the_values_of_the_call(f):
    traced = tracejit.jit(f)
    for x in (np.ones(3), np.full(3, 150.5), np.arange(3.0), np.full(3, 200.0)):
        answers = []
        for g in (f, traced):
            try:
                answers.append(g(x.copy()))
            except Exception as error:
                answers.append((type(error), error.args, vars(error)))
        assert answers[0] == answers[1]
    assert traced.cache_info().traces <= 2


@pytest.mark.parametrize("f", (too_far, far, claimed))
def test_errors_in_a_derivative_speak_of_the_values_of_the_call(f):
    with pytest.raises(Exception) as said:
        f(np.full(3, 150.5))
    with pytest.raises(type(said.value)) as caught:
        tracejit.grad(f)(np.full(3, 150.5))
    assert str(caught.value).splitlines()[0] == str(said.value).splitlines()[0]


def test_assertions():
    def f(x):
        assert x[0] > 0, "the first must be positive"
        assert x.shape == (10,)
        assert np.isfinite(x).all()
        return x.sum()
    everywhere(f, (X,), (-X,))
    traced = trace(f, X)
    with pytest.raises(AssertionError):
        call(traced, X * np.inf)


def test_unbound_variables():
    def f(x):
        if x > 0:
            y = x
        if x < 2:
            z = 1.0
        if x > 0:
            x = y + 1
        return x, z
    everywhere(f, (1.0,), (3.0,), (-1.0,))


def test_an_unbound_variable_of_which_nothing_is_used():
    def f(x):
        if x > 0:
            y = x * np.ones(3)
        y.sum()
        return x
    everywhere(f, (1.0,), (-1.0,))



def test_deleted_variables():
    def f(x):
        y = x
        if x > 0:
            del y
            y = 2.0
        return y
    everywhere(f, (1.0,), (-1.0,))


def test_different_shapes_are_decided_while_tracing():
    def f(x, n):
        if n > 0:
            y = x[:2]
        else:
            y = x
        return y
    with pytest.raises(TypeError):
        run(f, X, 1)


def test_joins_promote_as_numpy_does():
    def f(x):
        y = 1
        if x[0] > 0:
            y = 2.5
        z = x[0] if x[1] > 0 else 3
        return y, z
    everywhere(f, (X,), (np.abs(X),))


def test_calls_of_functions_with_branches():
    def sign(v):
        if v > 0:
            return 1
        elif v < 0:
            return -1
        return 0

    def f(x):
        return sign(x[0]) + 2 * sign(x[1]), [sign(v) for v in x[:3]]
    everywhere(f, (X,), (-X,), (X * 0,))


def test_nonlocal_and_global():
    def f(x):
        count = 0

        def bump(n):
            nonlocal count
            count = count + n
        if x > 0:
            bump(1)
        if x > 1:
            count += 10
        return count
    everywhere(f, (2.0,), (0.5,), (-1.0,))


# ---------------------------------------------------------------- for
def test_a_sum():
    def f(x, n):
        s = 0
        for i in range(n):
            s += x[i] * i
        return s, i
    everywhere(f, (X, 3), (X, 10), (X, 1))


def test_zero_iterations():
    def f(x, n):
        s = 1.0
        for i in range(n):
            s = s * x[i]
        return s
    everywhere(f, (X, 3), (X, 0), (X, -5))


def test_the_loop_variable_may_be_unbound():
    def f(x, n):
        for i in range(n):
            last = x[i]
        return last, i
    everywhere(f, (X, 3), (X, 0))


def test_long_loops_are_traced_once():
    def f(x):
        s = x[0]
        for i in range(100_000):
            s = s * 0.99 + i
        return s
    traced = everywhere(f, (X,), (-X,))
    assert str(traced).count("for_loop") == 1 and len(str(traced)) < 3000


@pytest.mark.parametrize("bounds", [(2, 9), (9, 2, -1), (0, 10, 3), (9, -1, -2), (5, 5), (-3, 3)])
def test_ranges(bounds):
    def f(x, *bounds):
        s = 0.0
        for i in range(*bounds):
            s = 2 * s + x[i] * i
        return s
    everywhere(f, (X, *bounds))

    def g(x):
        y = x.copy()
        s = 0.0
        for _ in range(20):
            for i in range(*bounds):
                s = s / 2 + y[i]
                y[i] += 1
        return s, y
    everywhere(g, (X,))


def test_arrays_enumerate_zip_reversed():
    def f(x, y):
        s, last = 0.0, -1
        for v in x:
            s = s * 0.5 + v
        for i, v in enumerate(y):
            s += i * v
        for a, b in zip(x, reversed(y)):
            s += a * b
        for i, (a, b) in enumerate(zip(x, y), 5):
            s += a if a > b else i
            last = i
        return s, last
    everywhere(f, (X, X[::-1] * 3), (-X, X))


def test_rows_are_views():
    def f(a):
        for row in a:
            row[0] = row[1:].sum()
        for i, row in enumerate(a):
            row += i
        return a
    everywhere(f, (np.arange(60.0).reshape(20, 3),))


def test_python_iterables_stay_python():
    def f(x):
        parts = []
        for name, k in [("a", 1), ("b", 2)]:
            parts.append((name, x * k))
        for i, p in enumerate(parts):
            x = x + i * p[1]
        table = {}
        for i in range(12):
            table[f"k{i}"] = x[i % 10] + i
        return x, table
    everywhere(f, (X,))


def test_elements_are_read_and_written():
    def f(a):
        n, m = a.shape
        for i in range(1, n):
            for j in range(1, m):
                a[i, j] += a[i - 1, j] * 0.5 + a[i, j - 1] - a[i - 1, j - 1]
        return a
    everywhere(f, (np.arange(120.0).reshape(10, 12),))


def test_an_index_out_of_range():
    def f(x, n):
        s = 0.0
        for i in range(n):
            s += x[i]
        return s
    everywhere(f, (X, 10), (X, 11))


def test_negative_indices_wrap():
    def f(x, n):
        s = 0.0
        for i in range(n):
            s = s * 0.5 + x[i - 3] + x[-i]
        return s
    everywhere(f, (X, 10), (X, 4))


def test_break_continue_and_else():
    def f(x, bound):
        s, found = 0.0, -1
        for i in range(len(x)):
            if x[i] < 0:
                continue
            s += x[i]
            if s > bound:
                found = i
                break
        else:
            s = -1.0
        return s, found, i
    everywhere(f, (X, 4.0), (X, 100.0), (X, 0.0), (X, 18.0))


def test_return_from_a_loop():
    def f(x, bound):
        for i, v in enumerate(x):
            if v > bound:
                return i
        return -1
    everywhere(f, (X, 2.5), (X, 6.0), (X, 50.0))


def test_return_from_nested_loops():
    def f(a, bound):
        n, m = a.shape
        for i in range(n):
            for j in range(m):
                if a[i, j] > bound:
                    return i, j
        return -1, -1
    a = np.arange(200.0).reshape(20, 10)
    everywhere(f, (a, 57.5), (a, 0.5), (a, 198.0), (a, 1000.0))


def test_swapped_buffers():
    def f(u, n):
        v = u.copy()
        for _ in range(n):
            v[1:-1] = 0.5 * (u[:-2] + u[2:])
            u, v = v, u
        return u + 0, v * 2
    everywhere(f, (X, 3), (X, 4), (X, 0), (X, 9))


def test_swapped_buffers_for_a_known_count():
    def f(u):
        v = u.copy()
        for _ in range(11):
            v[1:-1] = 0.5 * (u[:-2] + u[2:])
            u, v = v, u
        v[0] = 5
        return u
    everywhere(f, (X,))


def test_a_rotation_of_three():
    def f(a, b, n):
        c = np.zeros_like(a)
        for k in range(n):
            a[0] = b[1] + k
            c[1:] = a[:-1] + b[1:]
            a, b, c = b, c, a
        return a - 1, b - 1, c - 1
    everywhere(f, *((X, X * 2, n) for n in (5, 1, 6, 7, 0)))


def test_lists_of_arrays_are_carried():
    def f(x):
        state = [x[0], x[1]]
        fields = {"u": x.copy(), "n": 0}
        for i in range(30):
            state[0], state[1] = state[1], 0.5 * state[0] + i
            fields["u"] = fields["u"] * 0.9
            fields["n"] += 1
        return state, fields
    everywhere(f, (X,))


def test_attributes_are_carried():
    class Body:
        def __init__(self, p):
            self.p, self.v = p, p * 0

        def step(self, h):
            self.v = self.v - h * self.p
            self.p = self.p + h * self.v

    def f(x):
        b = Body(x)
        for _ in range(50):
            b.step(0.1)
        return b.p, b.v
    everywhere(f, (X,), (2 * X,))


def test_a_list_that_grows_is_written_out():
    def f(x):
        rows = []
        for i in range(20):
            rows.append(x * i)
        return np.array(rows)
    everywhere(f, (X,))


def test_an_index_into_a_list_is_written_out():
    def f(x):
        weights = [1.0, 2.0, 3.0]
        s = 0.0
        for i in range(12):
            s = s + weights[i % 3] * x[i % 10]
        return s
    everywhere(f, (X,))


def test_shapes_that_change_are_written_out():
    def f(x):
        for _ in range(9):
            x = np.concatenate([x[1:], x[:1], x[:1]])
        return x
    everywhere(f, (X,))


def test_a_number_becomes_an_array():
    def f(x):
        s = 0
        for i in range(20):
            s = s + x * i
        return s
    everywhere(f, (X,))


def test_pure_python_loops_stay_python():
    def f(x):
        n = 1
        for _ in range(40):
            n = n * 3 % 1009
        while n > 9:
            n //= 2
        return x[:n]
    everywhere(f, (X,))


def test_slices_that_depend_on_the_index():
    def f(a):
        n = len(a)
        for i in range(n):
            for j in range(i):
                a[i, j] -= a[i, :j] @ a[j, :j]
        return a
    everywhere(f, (np.arange(144.0).reshape(12, 12) / 100,))


def test_functions_called_in_a_loop():
    def half(v, k):
        if v > k:
            return v / 2
        return v + 1

    def f(x, n):
        s = x[0]
        for k in range(n):
            s = half(s, k)
        return s
    everywhere(f, (X, 5), (X, 50))


def an_exchanged_array_by_its_first_name(x):
    u = x * 1
    v = x * 2
    u0 = u
    out = 0.0
    for i in range(40):
        u += 1
        out += u0.sum()
        u, v = v, u
    return out, u, v


def a_number_of_writes_before_a_copy(x):
    v = x * 1
    w = v
    out = 0.0
    for i in range(40):
        v[0] += 1
        out += w[0].sum()
        if x[0, 0] + i > 20:
            v = v * 1
    return out


def one_write_before_a_copy(x):
    v = x * 1
    w = v
    out = 0.0
    for i in range(40):
        v[0] += 1
        out += w[0].sum()
        v = v * 1
    return out


def a_loop_inside(x):
    prev = x[0]
    out = 0.0
    for i in range(1, 40):
        for j in range(30):
            x[i-1, 0] += 1
            out += prev.sum()
        prev = x[i]
    return out


def buffers_in_a_list(x):
    bufs = [x * 1, x * 2]
    a = bufs[0]
    out = 0.0
    for i in range(40):
        bufs[0][0] += 1
        out += a.sum()
        bufs.reverse()
    return out, bufs[0]


def the_best_row(x):
    best = x[0]
    out = 0.0
    for i in range(40):
        if x[i].sum() > best.sum() - 5:
            best = x[i]
        x[0] += 1
        out += best[0]
    return out, best.sum()


def two_buffers_and_the_argument(x):
    cur = x
    nxt = np.zeros_like(x)
    out = 0.0
    for i in range(40):
        nxt[1:-1] = 0.5 * (cur[2:] + cur[:-2])
        out += x[3, 1]
        cur, nxt = nxt, cur
    return out, cur


def a_while_loop(x):
    y = x.copy()
    z = y
    n = 0
    while y[0, 0] < 30:
        y[0, 0] += 1
        n += 1
        if z[0, 0] > 10:
            y = y + 1
    return n, y.sum(), z.sum()


def a_column(x):
    a = x[:, 0]
    t = 0.0
    for i in range(40):
        x[i] *= 2
        t += a[i]
        a = a if x[i, 1] > 3 else x[:, 1]
    return t


def written_as_another_row(x):
    head = x[0]
    t = 0.0
    for i in range(40):
        y = head
        y[0] = i
        t += x[0, 0] + x[i].sum()
        head = x[i]
    return t


def the_row_before(x):
    prev = x[0]
    out = 0.0
    for i in range(1, len(x)):
        x[i-1] += 1
        out += prev.sum()
        prev = x[i]
    return out


def the_row_before_read_first(x):
    prev = x[0]
    for i in range(1, len(x)):
        x[i] = x[i] + prev * 0.5
        prev = x[i]
    return prev.sum()


def a_break_before_a_copy(x):
    v = x
    k = 0
    while k < 40:
        x[0] += 1
        if x[0, 0] > 0:
            break
        v = x * 2
        k += 1
    return v.sum()


def a_condition(x):
    v = x[1:]
    k = 0
    for k in range(40):
        x[1] += 1
        if x[0, 0] + k > 20:
            v = x[k:k+2].sum(axis=0) + np.zeros((49, 3))
    return v.sum()


def a_list_of_rows(x):
    rows = [x[0], x[1]]
    out = 0.0
    for i in range(40):
        x[0] += 1
        out += rows[0].sum()
        rows[0] = rows[1] * 1
    return out


def a_second_name_for_what_is_exchanged(x):
    p, q, r = x, x * 1, x * 2
    for i in range(20):
        for j in range(12):
            r = p
            r[0] += 0.5
            p = r
        p, q = q, p
    return p, q, r


def two_results_of_a_branch_in_one_memory(x):
    total = 0.0
    for i in range(40):
        if x[i, 0] > 5:
            v = x * i
            w = v[1]
        else:
            v = x + i
            w = v.reshape(-1)[:3]
        v += 1
        total += w.sum()
    return total, w


TWO_NAMES = [
    an_exchanged_array_by_its_first_name, a_number_of_writes_before_a_copy, one_write_before_a_copy, a_loop_inside,
    buffers_in_a_list, the_best_row, two_buffers_and_the_argument, a_while_loop, a_column, written_as_another_row,
    the_row_before, the_row_before_read_first, a_break_before_a_copy, a_condition, a_list_of_rows,
    a_second_name_for_what_is_exchanged, two_results_of_a_branch_in_one_memory,
]


@pytest.mark.parametrize("program", TWO_NAMES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("backend", ["c", "ref"])
def test_arrays_that_a_loop_writes_to_under_one_name_and_reads_under_another(program, backend):
    x = np.arange(150.0).reshape(50, 3) / 4
    ours, plain = x.copy(), x.copy()
    got, expected = tracejit.jit(program, backend=backend)(ours), program(plain)
    for a, b in zip(got, expected) if isinstance(expected, tuple) else [(got, expected)]:
        np.testing.assert_allclose(a, b, rtol=1e-13)
    np.testing.assert_allclose(ours, plain, rtol=1e-13)


def test_a_long_loop_that_writes_to_what_it_keeps_is_left_to_numpy():
    def best_row(x):
        best = x[0]
        for i in range(len(x)):
            x[i] *= 0.5
            if x[i, 0] > best[0]:
                best = x[i]
        return best.sum()
    jitted = tracejit.jit(best_row)
    x = np.arange(6000.0).reshape(2000, 3) % 71
    ours, plain = x.copy(), x.copy()
    assert jitted(ours) == best_row(plain) and jitted.cache_info().plain == 1
    np.testing.assert_array_equal(ours, plain)
    with pytest.raises(tracejit.errors.UnsupportedError, match="under another name"):
        jitted.trace(tracejit.ShapeDtype((2000, 3)))


# ---------------------------------------------------------------- while
def test_an_error_in_an_iteration_that_is_not_reached():
    def f(x, w):
        v, k = x, 0
        while k < 2:
            k += 1
            s = np.sign(v)
            v = x <= -1  # of which there is no sign
            if w.any():
                break
        return s
    x = np.arange(3.0) - 1
    for flags in (np.ones(3), np.zeros(3)):
        jitted = tracejit.jit(f)
        if flags.any():
            np.testing.assert_array_equal(jitted(x, flags), f(x, flags))
        else:
            with pytest.raises(TypeError, match="sign"):
                jitted(x, flags)


def test_while():
    def f(x):
        n = 0
        while x > 1:
            x = x / 2
            n += 1
        return x, n
    everywhere(f, (100.0,), (0.5,), (3.0,))


def test_while_with_a_known_test():
    def f(x):
        i, s = 0, 0.0
        while i < 1000:
            s += x[i % 10]
            i += 1
        return s, i
    traced = everywhere(f, (X,))
    assert len(str(traced)) < 4000


def test_while_true():
    def f(x):
        n = 0
        while True:
            x = x * 0.7
            if x < 0.01:
                break
            n += 1
            if n % 2 == 0:
                continue
            x = x * 0.9
        return x, n
    everywhere(f, (100.0,), (0.001,), (3.0,))


def test_while_with_else_and_return():
    def f(x, y):
        k = 0
        while k < 20 and x > 0:
            x -= y
            k += 1
            if x == 3:
                return -k
        else:
            k += 100
        return k
    everywhere(f, (10.0, 1.0), (10.5, 1.0), (10.0, 0.1))


def test_a_walrus_in_the_test():
    def f(x):
        n = 0
        while (y := x * 0.5) > 1:
            x = y
            n += 1
        return x, y, n
    everywhere(f, (100.0,), (0.5,))


def test_insertion_sort():
    def f(a):
        for i in range(1, len(a)):
            key, j = a[i], i - 1
            while j >= 0 and a[j] > key:
                a[j + 1] = a[j]
                j -= 1
            a[j + 1] = key
        return a
    everywhere(f, (X,), (-X,), (np.sort(X),))


def test_collatz():
    def f(n):
        steps = 0
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            steps += 1
        return steps
    everywhere(f, (6,), (27,), (1,))


def test_bisection_and_newton():
    def bisect(a, b):
        while b - a > 1e-9:
            m = (a + b) / 2
            if m**3 - m - 2 > 0:
                b = m
            else:
                a = m
        return a

    def newton(x, tol):
        for k in range(50):
            step = (x**3 - x - 2) / (3 * x**2 - 1)
            x -= step
            if abs(step) < tol:
                break
        else:
            raise RuntimeError("no convergence")
        return x, k
    everywhere(bisect, (1.0, 2.0), (0.0, 5.0))
    everywhere(newton, (1.5, 1e-10), (3.0, 1e-3), (1.5, 0.0))


# ---------------------------------------------------------------- exceptions, context managers, generators
def test_try_around_branches():
    def f(x):
        try:
            if x > 0:
                y = x
            else:
                y = -x
        finally:
            z = 1.0
        with np.errstate(all="ignore"):
            if y > 2:
                y = y * 2
        return y + z
    everywhere(f, (1.0,), (-3.0,), (3.0,))


def test_generators_and_comprehensions():
    def f(x):
        def items():
            for k in range(3):
                yield x[k] if x[k] > 0 else -x[k]
        return sum(items()), [v * 2 if v > 0 else v for v in x[:4]], max(v for v in x[:3])
    everywhere(f, (X,), (-X,))


def test_recursion_of_known_depth():
    def power(x, n):
        if n == 0:
            return x * 0 + 1
        half = power(x, n // 2)
        return half * half * (x if n % 2 else 1)
    same(lambda x: power(x, 10), X)


def test_match():
    def f(x, mode):
        match mode:
            case "a":
                if x > 0:
                    x = x + 1
            case _:
                x = -x
        return x
    traced = trace(lambda x: (f(x, "a"), f(x, "b")), 1.0)
    for v in (1.0, -1.0):
        equal(call(traced, v), (f(v, "a"), f(v, "b")))


# ---------------------------------------------------------------- types that change
def becomes_bool(x, n):
    v = x + 1j
    for _ in range(n):
        v = v != -1
    return v


def becomes_float(x, n):
    v, t = x.astype(int), 0
    while t < n:
        t += 1
        v = v + 0.5
    return v


def becomes_the_index(x, n):
    s = 1.5
    for k in range(n):
        s = k
    return s


def is_of_either_type(x, n):
    return x if x.sum() > n else x.astype(np.int32)


def is_a_scalar_or_an_array(x, n):
    v = x.min()
    if x.sum() > n:
        v = np.zeros_like(v)
    return v


@pytest.mark.parametrize("function", [
    is_a_scalar_or_an_array, becomes_bool, becomes_float, becomes_the_index, is_of_either_type])
def test_what_changes_its_type_has_numpys_type(function):
    jitted = tracejit.jit(function)
    for n in (12, 0, 1, 30, 2):
        ours, theirs = jitted(np.arange(3.0), n), function(np.arange(3.0), n)
        assert type(ours) is type(theirs) and np.asarray(ours).dtype == np.asarray(theirs).dtype
        np.testing.assert_array_equal(ours, theirs)


def test_a_scalar_and_an_array_are_joined_where_no_guard_can_decide():
    def in_a_loop(x):
        v = x[0]
        for e in x:
            v = np.zeros_like(v) if e > 3 else e
        return v + 1

    def of_each(x):
        return tracejit.vmap(lambda row: is_a_scalar_or_an_array(row, 3))(x)
    assert tracejit.jit(in_a_loop)(np.arange(20.0)) == 1
    np.testing.assert_array_equal(tracejit.jit(of_each)(np.array([[1.0, 1.0], [2.0, 3.0]])), [1, 0])


def test_checks_are_looked_for_once_in_each_node():
    node = new_variable(Type(F64))
    for _ in range(80):
        node = node * node
    Flow().keep_checks(node, {})  # there are 2**80 ways to the variable
