"""Lists, dicts and deques among the arguments: what a function does to them is done to the caller's."""

import collections
import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracejit
from tracejit.errors import UnsupportedError


def told(x, seen=None):
    """Return a nest as text, with the types, and with a number for each container and array that stands there again."""
    seen = {} if seen is None else seen
    if isinstance(x, (list, tuple, dict, collections.deque, np.ndarray)) and x is not None:
        if id(x) in seen and not isinstance(x, tuple):
            return f"#{seen[id(x)][0]}"
        seen[id(x)] = len(seen), x
    if isinstance(x, dict):
        return f"{type(x).__name__}({', '.join(f'{k}: {told(v, seen)}' for k, v in x.items())})"
    if isinstance(x, (list, tuple, collections.deque)):
        return f"{type(x).__name__}({', '.join(told(v, seen) for v in x)})"
    return f"{x.dtype} {x.tolist()}" if isinstance(x, (np.ndarray, np.generic)) else repr(x)


def same(f, *calls, **options):
    """Compare results, and arguments afterwards, of a function and of the jitted one, call by call."""
    traced = tracejit.jit(f, **options)
    for args in calls:
        ours, theirs = copy.deepcopy(args), copy.deepcopy(args)
        assert told((traced(*ours), *ours)) == told((f(*theirs), *theirs))
    return traced


X, Y = np.arange(3.0), -np.arange(3.0) - 1


def test_items_that_are_replaced():
    def f(state, dt):
        state["x"] = state["x"] + dt * state["v"]
        state["v"] *= 0.5
        state["steps"] += 1
        return state
    traced = same(f, *[({"x": X + k, "v": Y, "steps": k}, 0.1) for k in range(3)])
    assert traced.cache_info().traces == 1


def test_lists_that_grow_and_shrink():
    def f(history, x):
        history.append(x.sum())
        history.insert(0, x * 2)
        last = history[-2]
        del history[1]
        return last, history
    same(f, ([1.0, X], Y), ([np.float32(2), Y], X), ([X, X + 1, "text"], Y))
    same(lambda items: items.pop(), ([X, Y],), ([1, 2, 3],))
    same(lambda items: items.reverse(), ([X, Y, 1],))
    same(lambda items: items.clear(), ([X],), ([],))


def test_dicts_keep_their_order():
    def f(d):
        first = d.pop("a")
        d["a"] = first * 2
        d.setdefault("new", first.sum())
        d.update(b=0)
    same(f, ({"a": X, "b": Y},), ({"b": Y, "a": X},))
    same(lambda d: d.move_to_end("a"), (collections.OrderedDict(a=X, b=Y),))
    same(lambda d: d["missing"].append(X), (collections.defaultdict(list, {"a": 1}),))


def test_containers_in_containers():
    def f(nest, x):
        nest["layers"][1][0] = nest["layers"][1][0] - x
        nest["layers"][0].append(nest["layers"][1])
        nest["queue"].appendleft(x)
        nest["queue"].pop()
        return nest["layers"], nest["pair"][0], x
    same(f, ({"layers": [[X], [Y, 2]], "queue": collections.deque([1.5, X]), "pair": ([X], 1)}, X + 1))


def test_what_is_returned_is_the_callers():
    for f in (lambda d, x: d, lambda d, x: (d, x), lambda d, x: [d["k"], d], lambda d, x: {"again": d, "sum": x.sum()}):
        same(f, ({"k": [X, 1]}, Y))
    d = {"k": [X]}
    assert tracejit.jit(lambda d: d["k"])(d) is d["k"]


def test_branches_and_loops():
    def f(d, items, x):
        if x.sum() > 0:
            d["a"] = x.sum()
            items[0] = x[0]
        for i in range(3):
            d["a"] += x[i]
            items[0] *= 2
        if x[0] > 5:
            items.append(x[0])
        return d["a"]
    same(f, *[({"a": np.float64(1)}, [np.float64(1), 2.5], x) for x in (X, X + 6)])

    def grows(items, x):
        for v in x:
            if v > 1:
                items.append(v * 2)
        return len(items)
    same(grows, ([], X), ([1.0], X), ([1.0, 2.0], X + 5))


def test_exchanged_items():
    def f(pair, x):
        pair[0], pair[1] = pair[1], pair[0]
        pair[0] += x
        return pair
    same(f, ([X, Y], 1.0), ([Y.copy(), X * 2], 3.0))
    same(lambda a, b: (a.extend(b), b.append(a[0])), ([X], [Y, 1]))
    same(lambda items: items.append(items[0]), ([X],))


@pytest.mark.parametrize("backend", ("c", "ref"))
def test_keywords_static_arguments_and_backends(backend):
    def f(n, *, out, scale):
        out["y"] = np.arange(n) * scale
        return scale
    traced = tracejit.jit(f, static_argnums=0, backend=backend)
    for n in (3, 4):
        out = {}
        assert traced(n, scale=2.0, out=out) == 2.0
        assert out["y"].tolist() == (np.arange(n) * 2.0).tolist()


def test_arrays_of_computed_size():
    def f(found, x):
        found["positive"] = x[x > 0]
        return found["positive"].sum()
    same(f, ({}, X), ({}, Y), ({"positive": 1}, X))


def test_a_call_that_raises_has_changed_what_it_has():
    def f(items, x):
        items.append(x)
        if x.sum() > 0:
            raise ValueError("positive")
    items = [1.0]
    traced = tracejit.jit(f)
    with pytest.raises(ValueError, match="positive"):
        traced(items, X)
    assert len(items) == 2 and items[1] is X
    traced(items, Y)
    with pytest.raises(ValueError, match="positive"):
        traced(items[:2], X)
    assert len(items) == 3 and items[2] is Y


def test_one_list_given_twice():
    def f(a, b):
        a.append(1.0)
        b.append(2.0)
    items = []
    with pytest.raises(UnsupportedError, match="given twice"):
        tracejit.jit(f)(items, items)
    g = tracejit.jit(lambda a, b: (a.append(1.0), len(b))[1])
    assert g([], [[]]) == 1
    for nested in (items, [items]):
        with pytest.raises(UnsupportedError, match="given twice"):
            g(items, nested)


KEYS = st.sampled_from("abc")
NUMBERS = st.integers(0, 3)


@st.composite
def steps(draw):
    """What a program does to ``d``, ``items`` and ``x``."""
    kind = draw(st.sampled_from(("set", "add", "append", "pop", "put", "nest", "swap", "branch", "array")))
    return kind, draw(KEYS), draw(NUMBERS), draw(NUMBERS)


@given(st.lists(steps(), max_size=8))
def test_any_program_of_containers(program):
    def f(d, items, x):
        for kind, key, i, j in program:
            if kind == "set":
                d[key] = x[:2] * (i + 1)
            elif kind == "add":
                d["a"] = d["a"] * 1 + x[j % 3]
            elif kind == "append":
                items.append(x[i % 3])
            elif kind == "pop" and len(items) > 1:
                d[key] = items.pop(i % len(items))
            elif kind == "put":
                items[i % len(items)] = d.get(key, j)
            elif kind == "nest":
                d[key] = [i, len(d)]
            elif kind == "swap":
                items[0], items[j % len(items)] = items[j % len(items)], items[0]
            elif kind == "array":
                x[i % 3] += j
            elif kind == "branch":
                d["s"] = x[0] if j else d.get("s", 0.0)
        return d, len(items), x
    with tracejit.config.context(backend="ref"):
        same(f, ({"a": X[:2] + 1, "b": 2.5}, [Y, np.float64(3)], X + 0.5))
