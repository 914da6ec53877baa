"""Lists that grow in loops, and comprehensions: the body is traced once, and the answer is Python's."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracejit
from tracejit.symbolic.text import inner_graphs

X = np.random.default_rng(0).normal(size=40)
I = np.arange(12).reshape(3, 4)


def same(a, b):
    """Return whether two results are alike in types, dtypes, shapes and values."""
    if isinstance(b, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in b)
    if isinstance(b, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    a, b = (a, b) if type(a) is type(b) else (a, None)
    return np.asarray(a).dtype == np.asarray(b).dtype and np.shape(a) == np.shape(b) and np.allclose(a, b)


def appended(x):
    out = []
    for i in range(len(x)):
        out.append(x[i] * 2)
    return np.array(out)


def last_item(x):
    out = [0.0]
    for v in x:
        out.append(0.5 * v + 0.5 * out[-1])
    return np.array(out)


def earlier_item(x):
    out = [x[0]]
    for i in range(1, len(x)):
        out.append(out[i - 1] + x[i])
    return out


def under_a_condition(x):
    out = []
    for i in range(len(x)):
        if x[i] > 0:
            out.append(i)
    return out


def two_lists(x):
    a, b = [], []
    for v in x:
        if v > 0.5:
            a.append(v)
        elif v < 0:
            b.append(v * 2)
    return np.array(a), np.array(b), len(a) + len(b)


def which_of_two(x):
    a, b = [], []
    for i in range(12):
        (a if i % 2 == 0 else b).append(x[i])
    return np.array(a) - np.array(b)


def peaks_and_one_more(x):
    out = []
    for i in range(1, len(x) - 1):
        if x[i] > x[i - 1] and x[i] > x[i + 1]:
            out.append(i)
    out.append(7)
    return out


def nested(x):
    rows = []
    for i in range(len(x)):
        row = []
        for j in range(10):
            row.append(x[i] * j)
        rows.append(row)
    return np.array(rows)


def pairs(x):
    points = [(0.0, 0.0)]
    for i in range(20):
        px, py = points[-1]
        points.append((px + x[i], py - x[i]))
    return points[3], np.array(points), np.array([p[0] for p in points])


def copies_of_a_state(x):
    states, state = [], np.zeros(3)
    for i in range(len(x)):
        state = state * 0.9 + x[i]
        states.append(state.copy())
    return np.stack(states), states[-1], states


def one_state_again_and_again(x):
    states, state = [], np.zeros(3)
    for i in range(12):
        state += x[i]
        states.append(state)
    return np.stack(states)


def until(x):
    t, y, times, values = 0.0, 1.0, [], []
    while t < 1.0:
        y += 0.01 * y * x[0]
        t += 0.01
        times.append(t)
        values.append(y)
    return np.array(times), np.array(values)


def left_early(x):
    history = []
    for k in range(100):
        x = x - 0.1 * x
        history.append((x**2).sum())
        if history[-1] < 1e-3:
            break
    return x, np.array(history)


def stack_of_places(x):
    stack, n = [0], 0
    while stack:
        i = stack.pop()
        n += x[i] > -3
        if 2 * i + 2 < len(x):
            stack.append(2 * i + 1)
            stack.append(2 * i + 2)
    return n


def queue_of_places(x):
    queue, order, seen = [0], [], np.zeros(len(x), bool)
    seen[0] = True
    while len(queue) > 0:
        u = queue.pop(0)
        order.append(u)
        for v in (2 * u + 1, 2 * u + 2):
            if v < len(x) and not seen[v] and x[v] > -2:
                seen[v] = True
                queue.append(v)
    return order


def in_a_dict(x):
    found = {"a": [], "b": []}
    for i in range(30):
        found["a"].append(x[i])
        found["b"].append(x[i] ** 2)
    return {k: np.array(v) for k, v in found.items()}


class Log:
    def __init__(self):
        self.lines = []

    def add(self, v):
        self.lines.append(v)


def in_an_object(x):
    log = Log()
    for i in range(30):
        log.add(x[i])
    return np.array(log.lines)


def sums_and_extremes(x):
    return sum(x[i] * x[i] for i in range(len(x))), max(abs(v - 3) for v in x), min([v for v in x if v > 0])


def comprehensions(x):
    return (np.array([x[i] ** 2 for i in range(len(x))]), [v for v in x if v > 0], len([v for v in x if v > 0.5]),
            np.array([[x[i] * j for j in range(12)] for i in range(20)]), [a * b for a, b in zip(x, x[::-1])])


def slices_and_changes(x):
    out = []
    for v in x:
        out.append(v)
    out[3] = x[0]
    out[-1] = out[0] + out[1]
    return out[2:9], np.array(out[::-2]), out[5], len(out[4:])


def counted_by_key(x):
    counts = {}
    for v in np.sign(x[:9]):
        counts[int(v)] = counts.get(int(v), 0) + 1
    return counts


PROGRAMS = [appended, last_item, earlier_item, under_a_condition, two_lists, which_of_two, peaks_and_one_more, nested,
            pairs, copies_of_a_state, one_state_again_and_again, until, left_early, stack_of_places, queue_of_places,
            in_a_dict, in_an_object, sums_and_extremes, comprehensions, slices_and_changes, counted_by_key]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_answers_are_those_of_python(program):
    jitted = tracejit.jit(program)
    for x in (X, X[::-1].copy()):
        want = program(x.copy())
        assert same(jitted(x.copy()), want)
        assert same(jitted(x.copy()), want)


#: Those whose lists are rows of arrays whatever the values: one compilation, no choice by the values of the call.
STAGED = [f for f in PROGRAMS if f not in (one_state_again_and_again, counted_by_key)]


@pytest.mark.parametrize("program", STAGED, ids=lambda f: f.__name__)
def test_no_value_steers_the_trace(program):
    jitted = tracejit.jit(program)
    jitted(X.copy())
    jitted(X[::-1].copy())
    assert jitted.cache_info().traces == 1 and not jitted.cache_info().variants and not jitted.cache_info().plain


@pytest.mark.parametrize("program", [appended, last_item, earlier_item, nested, under_a_condition])
def test_the_graph_does_not_grow_with_the_iterations(program):
    def size(n):
        graph = tracejit.jit(program).trace(np.ones(n)).graph
        return sum(len(list(g.topological())) for g in (graph, *inner_graphs(graph)))
    assert size(40) == size(4000)


def test_derivatives_go_through():
    def loss(x):
        out = [x[0]]
        for i in range(1, len(x)):
            out.append(0.5 * out[-1] + x[i] ** 2)
        return np.sum(np.array(out) ** 2) + sum(v * v for v in x)
    tracejit.testing.check_grads(loss, (X[:12],), order=1)


def test_a_list_that_outgrows_its_room_gets_more_or_is_left_to_numpy(monkeypatch):
    def collected(x, n):
        out, k = [], 0
        while k < n:
            out.append(x[0] + k)
            k += 1
        return len(out), np.array(out).sum()
    jitted = tracejit.jit(collected)
    for n in (100, 70_000, 10):
        assert same(jitted(X, n), collected(X, n))
    assert jitted.cache_info().traces == 6 and not jitted.cache_info().plain
    monkeypatch.setattr(tracejit.api, "_MOST_ROOM", 1 << 10)
    jitted = tracejit.jit(collected)
    for n in (2000, 100):
        assert same(jitted(X, n), collected(X, n))
    assert jitted.cache_info().plain == 1


@pytest.mark.parametrize("backend", ["c", "ref"])
def test_an_array_of_no_items_is_what_numpy_makes_of_an_empty_list(backend):
    def filtered(x):
        return np.array([v for v in x.ravel() if v > 3]), x.sum()

    def rows(x):
        found = []
        for row in np.repeat(x, 40, axis=0):
            if row[0] > 3:
                found.append(row * 1.5)
        return np.array(found), x.sum()

    def pairs(x):
        return np.array([(v, 2.5) for v in x[x > 3]]), x.sum()

    def integers(x):
        return np.array([int(v) for v in x[x > 3]]) + 1, x.sum()
    for program in (filtered, rows, pairs, integers):
        jitted = tracejit.jit(program, backend=backend)
        for x in (I, I * 0, I + 1):
            assert same(jitted(x), program(x))
        assert jitted.cache_info().plain == 1, program

    def flat(x, y):
        s = 0.0
        for e in x.flat:
            np.add.at(y, [0, 0], 3)
            s = float(len([v for v in y.ravel() if v > 2])) + e
        return s, y
    ours, plain = I * 1.0, I * 1.0
    assert same(tracejit.jit(flat, backend=backend)(I, ours), flat(I, plain)) and same(ours, plain)

    def written(x):
        found = np.array([v > 2 for v in x.ravel() if v > 3])
        np.copyto(found, 2)
        return found
    jitted = tracejit.jit(written, backend=backend)
    assert same(jitted(I * 0), written(I * 0))
    for f in (written, jitted):
        with pytest.raises(TypeError, match="same_kind"):
            f(I)

    def asked(x):
        return np.array([v for v in x.ravel() if v > 3], np.int32), np.array([v * 0.5 for v in x.ravel() if v > 3])
    jitted = tracejit.jit(asked, backend=backend)
    for x in (I, I * 0):
        assert same(jitted(x), asked(x))
    assert jitted.cache_info().plain == 0


def test_what_is_raised_may_be_caught():
    def solved(x):
        try:
            return np.linalg.inv(x[:4].reshape(2, 2) * 0)
        except np.linalg.LinAlgError:
            return x.max()

    def suppressed(x):
        with contextlib.suppress(IndexError):
            k = int(x[0] * 0) + 1000
            return x[k]
        return -1.0

    def fine(x):
        try:
            return x[int(x[0] * 0)]
        except IndexError:
            return -1.0
    for program, plain in ((solved, 1), (suppressed, 1), (fine, 0)):
        jitted = tracejit.jit(program)
        assert same(jitted(X), program(X))
        assert jitted.cache_info().plain == plain


def test_a_function_that_cannot_be_traced_is_not_traced_for_ever():
    def sorted_(a):
        if len(a) <= 1:
            return a
        p = a[0]
        return np.concatenate([sorted_(a[a < p]), a[a == p], sorted_(a[a > p])])
    jitted = tracejit.jit(sorted_)
    rng = np.random.default_rng(1)
    for _ in range(40):
        x = rng.permutation(6)
        assert np.array_equal(jitted(x), np.sort(x))
    assert jitted.cache_info().traces < 40


def test_an_empty_list_has_no_last_item():
    def last(x):
        out = []
        for v in x:
            if v > 100:
                out.append(v)
        return out[-1]
    with pytest.raises(IndexError):
        tracejit.jit(last)(X)


def test_too_many_values_to_unpack():
    with pytest.raises(ValueError, match="too many values to unpack"):
        tracejit.jit(lambda x: [a + b for a, b in x])(np.ones((12, 3)))


def test_short_comprehensions_with_a_traced_condition():
    def f(x, s):
        return sum(v for v in x if v > s), [v * 2 for v in x if v > 1], len([1 for v in x if v > s])
    for s in (1.0, 2.0, 9.0):
        tracejit.testing.assert_same_as_numpy(f, np.array([3.0, 1.0, 2.0, 0.0]), s)


class Held:
    items = None


def test_lists_that_stay_outside_are_plain_ones():
    held = Held()

    @tracejit.jit
    def keep(x):
        held.items = [1, [2]]
        held.more = {"a": []}
        held.more["a"].append(3)
        return x + 1
    keep(X)
    assert type(held.items) is type(held.items[1]) is type(held.more["a"]) is list
    assert held.items == [1, [2]] and held.more == {"a": [3]}


def test_lists_that_stay_outside():
    held = Held()

    def keep(x):
        held.items = [x[0]]
        return x

    def keep_many(x):
        held.items = [v for v in x]
        return x

    def keep_more(x):
        held.items = []
        for v in x:
            held.items.append(v * 2)
        return x
    for f in (keep, keep_many, keep_more):
        tracejit.jit(f)(X)
        found = held.items
        f(X)
        assert type(found) is list and same(found, held.items)


def test_items_whose_sizes_the_data_decide_are_appended_one_by_one():
    def f(x):
        v, out = np.bincount(x), []
        for k in range(12):
            out.append(v * k)
        return out, [v + k for k in range(12)]
    x = np.array([1, 3, 1])
    assert same(tracejit.jit(f)(x), f(x))


def changed_in_the_loop(x):
    out = []
    for i in range(20):
        out.append([x[i % 3], 1.0])
        out[i][1] = x[0] * i
    return out[3]


def changed_by_its_name(x):
    out = []
    for i in range(20):
        row = [x[i % 3], 1.0]
        out.append((row, i))
        row[1] = x[0] * i
    return out[4]


def changed_through_another_name(x):
    out = [[0.0, 1.0]]
    for i in range(20):
        out.append([x[i % 3], 1.0])
        row = out[-1]
        row[1] = row[0] * 2
    return out[5], out[0]


def table(x):
    rows = [[0.0] * 3 for _ in range(30)]
    for i in range(30):
        rows[i][1] = x[0] * i
    return rows[5], rows[29]


def records(x):
    rows = [{"a": v} for v in np.repeat(x, 30)]
    for r in rows:
        r["b"] = r["a"] * 2
    return rows[50], sum(r["b"] for r in rows)


def made_longer(x):
    rows = []
    for v in np.repeat(x, 30):
        rows.append([v])
    rows[2].append(5.0)
    return rows[2], rows[3]


def until_large(x):
    out, i = [], 0
    while x.sum() < 1e3:
        out.append([x[0], 1.0])
        x = x * 1.1
        out[i][1] = x[1]
        i += 1
    return out[3], len(out)


@pytest.mark.parametrize("f", (changed_in_the_loop, changed_by_its_name, changed_through_another_name, table, records,
                               made_longer, until_large))
def test_lists_in_lists_are_changed_in_place(f):
    x = np.arange(3.0) + 1
    assert repr(tracejit.jit(f)(x)) == repr(f(x))


# ---------------------------------------------------------------- items at computed places
def longest_rise(a):
    best = [1] * len(a)
    for i in range(len(a)):
        for j in range(i):
            if a[j] < a[i]:
                best[i] = max(best[i], best[j] + 1)
    return max(best), best[-1]


def shortest_ways(a):
    far = float("inf")
    costs = np.abs(a[:, None] - a) + 0.5
    dist = [far] * len(a)
    dist[0] = 0.0
    for _ in range(len(a)):
        for u in range(len(a)):
            for v in range(len(a)):
                if dist[u] + costs[u, v] < dist[v]:
                    dist[v] = dist[u] + costs[u, v]
    return [float(d) for d in dist]


def sieve(a):
    prime = [True] * (40 + len(a))
    prime[0] = prime[1] = False
    count = 0
    for i in range(2, len(prime)):
        if prime[i]:
            count += 1
            for j in range(i * i, len(prime), i):
                prime[j] = False
    return count, prime[37], len(prime)


def histogram(a):
    counts = [0] * 5 + [0] * 5
    for v in a:
        counts[int(v) % 10] += 1
    return counts, sum(counts)


def running(a):
    total = [0.0] * (len(a) + 1)
    for i in range(len(a)):
        total[i + 1] = total[i] + a[i]
    return np.array(total), total[-1]


def shuffled(a):
    order = [0, 1, 2, 3] * 4
    for i in range(len(order) - 1, 0, -1):
        j = int(a[i % len(a)]) % (i + 1)
        order[i], order[j] = order[j], order[i]
    return order, len(order)


def both(a):
    left, right = [0] * 12, [1.5] * 12
    for i in range(1, 12):
        left[i] = left[i - 1] + i
        right[-i] = left[i] * a[0] + right[-i]
    left.append(7)
    return left, [float(v) for v in right]


@pytest.mark.parametrize("f", (longest_rise, shortest_ways, sieve, histogram, running, shuffled, both))
def test_items_are_written_at_computed_places(f):
    traced = tracejit.jit(f, backend="ref")
    for k in range(3):
        a = np.array([3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]) + k
        for ours, theirs in zip(traced(a), f(a)):
            assert np.array_equal(ours, theirs) and type(ours) is type(theirs), (ours, theirs)
    assert not traced.cache_info().variants and traced.cache_info().traces == 1


def test_folds_of_lists_of_python_numbers_are_python_numbers():
    def f(x):
        values, flags = [], []
        for v in x:
            values.append(float(v))
            flags.append(bool(v > 3))
        return max(values), min(values), sum(values), sum(values, 1.5), sum(flags), any(flags), all(x), any(x)

    x = np.arange(20.0)
    for ours, theirs in zip(tracejit.jit(f)(x), f(x)):
        assert ours == theirs and type(ours) is type(theirs)


def test_places_outside_of_a_list():
    def f(x, n):
        items = [0.0] * 10
        for i in range(len(x)):
            items[i + n] = x[i]
        return items
    traced = tracejit.jit(f)
    assert traced(np.ones(8), 2) == f(np.ones(8), 2)
    with pytest.raises(IndexError):
        traced(np.ones(11), 0)


STEPS = st.tuples(st.sampled_from(("set", "add", "swap", "last", "if", "append", "pop", "read", "negative")),
                  st.integers(0, 6), st.integers(0, 6))


@given(st.lists(STEPS, min_size=1, max_size=5), st.integers(0, 12), st.sampled_from((0, 0.0)))
def test_any_loop_over_places_of_a_list(program, turns, first):
    def f(x):
        items, other, seen = [first] * 7, [first] * 7, x[0] * 0
        for i in range(turns):
            for kind, a, b in program:
                if kind == "set":
                    items[(i + a) % 7] = other[b] + 1
                elif kind == "add":
                    items[i % 7] += a
                elif kind == "swap":
                    items[a], items[(i + b) % 7] = items[(i + b) % 7], items[a]
                elif kind == "last":
                    other[-1 - i % 7] = items[a]
                elif kind == "if":
                    if x[i % 3] > a:
                        items[(i * b) % 7] = items[a] * 2
                elif kind == "append":
                    other.append(items[(i + a) % 7])
                elif kind == "pop":
                    if len(other) > 7:
                        other.pop()
                elif kind == "read":
                    seen = seen + items[(i + b) % 7] * x[a % 3]
                elif kind == "negative":
                    items[-i % 7 - 7] = a + first
        return items, other, seen

    x = np.array([0.5, 3.0, 5.5])
    with tracejit.config.context(backend="ref"):
        ours, theirs = tracejit.jit(f)(x), f(x)
    assert repr(ours) == repr(theirs)


NAMES = st.tuples(st.sampled_from(("new", "append", "fresh", "write", "item", "keep", "other", "replace", "add",
                                   "again")), st.integers(0, 5), st.integers(0, 5))


@given(st.lists(NAMES, min_size=1, max_size=5), st.integers(0, 10))
def test_any_loop_over_a_list_of_arrays(program, turns):
    def f(x):
        out, other, v = [x + 1], [x * 2], x - 1
        kept = v
        for i in range(turns):
            for kind, a, b in program:
                if kind == "new":
                    v = x * (i + a)
                elif kind == "append":
                    out.append(v)
                elif kind == "fresh":
                    out.append(x + i)
                elif kind == "write":
                    v[a % 3] += 1
                elif kind == "item":
                    out[a % len(out)][b % 3] = i
                elif kind == "keep":
                    if i == a:
                        kept = v
                elif kind == "other":
                    other.append(v)
                elif kind == "replace":
                    out[b % len(out)] = v
                elif kind == "add":
                    out[-1] += 1
                elif kind == "again":
                    other.append(out[a % len(out)])
        out[0][0] += 10
        other[-1][1] = 77
        return out, other, v, kept, x

    x = np.array([0.5, 3.0, 5.5])
    with tracejit.config.context(backend="ref"):
        ours, theirs = tracejit.jit(f)(x.copy()), f(x.copy())
    assert repr(ours) == repr(theirs)


def items_with_a_name(x):
    out = []
    v = first = x + 1
    for _ in range(12):
        out.append(v)
        v = v + 1
    out[0][1] = 5
    return first, out[0], v


def items_of_two_lists(x):
    out, kept = [], []
    for i in range(12):
        v = x * i
        out.append(v)
        kept.append(v)
    out[3][0] = 99
    return kept[3], out[3]


def arrays_that_are_changed_in_a_list(x):
    items = [x, x + 1, x + 2, x + 3] * 3
    for i in range(12):
        items[i] += 1
    return items, x


@pytest.mark.parametrize("f", (items_with_a_name, items_of_two_lists, arrays_that_are_changed_in_a_list))
def test_items_that_are_other_arrays_too(f):
    x = np.arange(3.0)
    ours, theirs = x.copy(), x.copy()
    assert repr(tracejit.jit(f)(ours)) == repr(f(theirs))
    np.testing.assert_array_equal(ours, theirs)
