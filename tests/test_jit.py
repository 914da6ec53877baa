"""Calls of jitted functions: what they take, what they give back, what they remember."""

import collections
import copy
import dataclasses
import functools
import itertools
import math
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import threading
import time
import warnings
from time import time as clock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracejit
from tracejit import ShapeDtype, config, dispatch, jit, tree
from tracejit.errors import (
    CompilerWarning,
    ConcretizationError,
    DeviceError,
    LeakError,
    RetraceWarning,
    TracejitError,
    UnsupportedError,
)
from tracejit.testing import assert_same_as_numpy as same

X = np.arange(6.0).reshape(2, 3)


@dataclasses.dataclass
class Point:
    x: object
    y: object


Pair = collections.namedtuple("Pair", "first second")


def traces(f):
    return f.cache_info().traces


def three_lines(error):
    """Assert that an error says what, where and do; returns it."""
    value = error.value if hasattr(error, "value") else error
    assert isinstance(value, TracejitError)
    lines = str(value).splitlines()
    assert len(lines) == 3 and "where: " in lines[1] and "do: " in lines[2], str(value)
    assert __file__ in lines[1], str(value)
    return value


# ---------------------------------------------------------------- stages
def test_stages_print_themselves():
    f = jit(lambda x, n: np.exp(x).sum() * n, name="energy")
    traced = f.trace(X, 2)
    assert str(traced).startswith("graph energy(x0: f64[2,3], x1: i64)") and "test_jit.py" in str(traced)
    lowered = traced.lower()
    assert "graph energy(" in str(lowered) and "program" in str(lowered) and "for" in str(lowered)
    compiled = lowered.compile()
    assert "tj_entry" in str(compiled) and repr(compiled) == str(compiled)
    assert traces(f) == 1 and f.cache_info().signatures == ()


def test_trace_ahead_of_time():
    traced = jit(lambda x, y: x @ y).trace(ShapeDtype((3, 4), np.float32), ShapeDtype((4,), np.float32))
    assert [str(t) for t in traced.graph.params] == ["f32[3,4]", "f32[4]"]
    assert [str(t) for t in traced.graph.out_types] == ["f32[3]"]


def test_cache_info_and_clear():
    f = jit(lambda x: x + 1)
    f(X), f(X), f(X[0])
    info = f.cache_info()
    assert (info.hits, info.misses, info.traces) == (1, 2, 2)
    assert info.signatures == ("f64[3]", "f64[2,3]")
    f.clear_cache()
    assert f.cache_info().signatures == ()
    f(X)
    assert traces(f) == 3


def test_hits_run_no_slow_path(monkeypatch):
    f = jit(lambda x, n, p: (x * n, {"p": p[0] + p[1]}))
    args = (X, 2.5, (X, np.float32(3)))
    f(*args)
    monkeypatch.setattr(f, "_miss", None)
    monkeypatch.setattr(f, "_fun", None)
    for _ in range(3):
        f(*args)
    assert f.cache_info().hits == 3


def test_attributes_of_the_function():
    def f(x):
        """What it does."""
        return x
    g = jit(f)
    assert g.__name__ == "f" and g.__doc__ == "What it does." and g.__wrapped__ is f and repr(g) == "<jitted f>"


# ---------------------------------------------------------------- Python numbers and static arguments
def test_python_numbers_are_inputs():
    f = jit(lambda x, lr: x - lr * 2)
    for lr in (0.1, 0.2, 3.0):
        np.testing.assert_array_equal(f(X, lr), X - lr * 2)
    assert traces(f) == 1
    f(X, 1)
    f(X, 7)
    assert traces(f) == 2  # an int is another type, but its value is no part of the signature


@pytest.mark.parametrize("function", [
    lambda x, n: sum((x for _ in range(n)), np.zeros_like(x)),
    lambda x, n: x if n > 2 else -x,
    lambda x, n: np.zeros(n) + x[0, 0],
    lambda x, n: x[:, :n],
    lambda x, n: x.reshape(n, -1) if 6 % n == 0 else x,
    lambda x, n: [x, x + 1, x + 2][n % 3],
    lambda x, n: x * math.factorial(n),
    lambda x, n: x ** n,
], ids=["range", "if", "zeros", "slice", "reshape", "index", "math", "power"])
def test_python_numbers_that_decide_become_static(function):
    f = jit(function)
    for n in (1, 3, 2, 3, 1):
        np.testing.assert_allclose(f(X, n), function(X, n))
    before = traces(f)
    f(X + 1, 3), f(X, 1)
    assert traces(f) == before


def test_only_the_number_that_decides_becomes_static():
    f = jit(lambda x, n, lr: x[:n] * lr)
    f(X, 1, 0.5)
    for lr in (0.1, 0.2, 0.3):
        np.testing.assert_array_equal(f(X, 1, lr), X[:1] * lr)
    assert len(f.cache_info().signatures) == 1


def test_numbers_inside_nests_become_static():
    f = jit(lambda p: p["x"][: p["n"]])
    assert f({"x": X, "n": 1}).shape == (1, 3) and f({"x": X, "n": 2}).shape == (2, 3)


def test_bool_decides():
    f = jit(lambda x, flag: -x if flag else x)
    np.testing.assert_array_equal(f(X, True), -X)
    np.testing.assert_array_equal(f(X, False), X)
    np.testing.assert_array_equal(f(X, flag=True), -X)


def test_static_argnums_and_names():
    def g(x, axis, mode="sum"):
        return getattr(x, mode)(axis=axis)
    for f in (jit(g, static_argnums=1), jit(g, static_argnums=(1, 2)), jit(g, static_argnames="axis"),
              jit(g, static_argnames=("axis", "mode")), jit(g)):
        for axis in (0, 1, None, (0, 1)):
            np.testing.assert_allclose(f(X, axis), X.sum(axis))
            np.testing.assert_allclose(f(X, axis=axis), X.sum(axis))
            np.testing.assert_allclose(f(X, axis, mode="max"), X.max(axis))


def test_static_distinguishes_types_and_signed_zero():
    f = jit(lambda x, n: x * n, static_argnums=1)
    assert f(np.float32(1), 2).dtype == np.float32 and f(np.int64(1), 2.0).dtype == np.float64
    one = np.ones(2)
    assert not np.signbit(f(one, 0.0)).any() and np.signbit(f(one, -0.0)).all()
    assert f(one, True).dtype == np.float64


def test_traced_array_cannot_decide_ahead_of_time():
    f = jit(lambda x: [x, -x][x.argmax()])
    with pytest.raises(ConcretizationError) as error:
        f.trace(ShapeDtype((3,)))
    assert "np.where" in three_lines(error).do


def test_large_python_ints():
    f = jit(lambda x, n: x + n)
    u = np.array([1], np.uint64)
    assert f(u, 2**63) == np.array([2**63 + 1], np.uint64)
    with pytest.raises((OverflowError, TracejitError)):
        f(np.array([1]), 2**70)


# ---------------------------------------------------------------- nests, names, defaults
def nested(tree):
    a, (b, c), d, e, p = tree["a"], tree["bc"], tree["d"], tree["e"], tree["p"]
    return {"sum": a + b, "pair": Pair(c * 2, [d, e.x]), "point": Point(e.y, (p.first, None)), "const": "text"}


def test_nested_arguments_and_results():
    def tree(k):
        return {"a": X * k, "bc": (X + k, 3.0 * k), "d": np.int16(k), "e": Point(X[0], 2), "p": Pair(X, k)}
    same(nested, tree(1))
    f = jit(nested)
    for k in (1, 2, 3):
        got, want = f(tree(k)), nested(tree(k))
        assert type(got["pair"]) is Pair and type(got["point"]) is Point and got["const"] == "text"
        np.testing.assert_array_equal(got["sum"], want["sum"])
        assert got["pair"].second[0] == k and got["point"].y[0] is not None
        np.testing.assert_array_equal(got["pair"].first, want["pair"].first)
    assert traces(f) == 1


def test_containers_of_other_types():
    def f(d, q):
        return collections.OrderedDict(z=d["b"] + q[0], a=d["a"])
    args = collections.OrderedDict(b=X, a=2.0), collections.deque([X, X + 1])
    got = jit(f)(*args)
    assert type(got) is collections.OrderedDict and list(got) == ["z", "a"]
    np.testing.assert_array_equal(got["z"], 2 * X)


def test_keys_order_is_part_of_the_signature():
    f = jit(lambda d: [k for k in d])
    assert f({"a": 1, "b": 2}) == ["a", "b"] and f({"b": 2, "a": 1}) == ["b", "a"]


def test_keywords_and_defaults():
    w = np.ones(3)

    def g(x, y=w, *rest, scale=2.0, **more):
        return x * scale + y + sum(rest) + more.get("z", 0)
    f = jit(g)
    for args, kwargs in [((X,), {}), ((X, X), {}), ((X, X, 1.0, 2.0), {"scale": 3.0}), ((X,), {"z": X, "scale": 1}),
                         ((), {"x": X}), ((), {"scale": 5.0, "x": X})]:
        for _ in range(2):
            np.testing.assert_array_equal(f(*args, **kwargs), g(*args, **kwargs))
    w[:] = 5
    np.testing.assert_array_equal(f(X), g(X))


def test_wrong_arguments_are_pythons_errors():
    f = jit(lambda x, y: x + y)
    for bad in ((X,), (X, X, X)):
        with pytest.raises(TypeError, match="argument"):
            f(*bad)
    with pytest.raises(TypeError, match="unexpected keyword"):
        f(X, z=1)


# ---------------------------------------------------------------- kinds of functions
class Model:
    shift = np.ones(3)

    def __init__(self, w):
        self.w = w
        self.n = 2

    @jit
    def call(self, x):
        return x @ self.w * self.n + self.shift.sum()

    @staticmethod
    @jit
    def double(x):
        return 2 * x

    @classmethod
    @jit
    def shifted(cls, x):
        return x + cls.shift

    def __call__(self, x):
        return x * self.n

    @property
    def norm(self):
        return (self.w ** 2).sum()


def test_methods():
    a, b = Model(np.ones(3)), Model(np.arange(3.0))
    for _ in range(2):
        np.testing.assert_array_equal(a.call(X), X @ a.w * 2 + 3)
        np.testing.assert_array_equal(b.call(X), X @ b.w * 2 + 3)
    a.w[0] = 5  # by reference
    np.testing.assert_array_equal(a.call(X), X @ a.w * 2 + 3)
    a.w = np.full(3, 2.0)  # another array
    np.testing.assert_array_equal(a.call(X), X @ a.w * 2 + 3)
    a.n = 7  # another number
    np.testing.assert_array_equal(a.call(X), X @ a.w * 7 + 3)
    np.testing.assert_array_equal(b.call(X), X @ b.w * 2 + 3)
    np.testing.assert_array_equal(Model.double(X), 2 * X)
    np.testing.assert_array_equal(Model.shifted(X), X + 1)
    np.testing.assert_array_equal(Model.call(a, X), a.call(X))


def test_bound_methods_partials_and_callables():
    a = Model(np.ones(3))
    plain = jit(a.__call__)
    np.testing.assert_array_equal(plain(X), 2 * X)
    np.testing.assert_array_equal(jit(a)(X), 2 * X)
    np.testing.assert_array_equal(jit(functools.partial(np.multiply, X))(X), X * X)
    part = functools.partial(lambda x, y, k: x @ y * k, X.T, k=3)
    np.testing.assert_array_equal(jit(part)(X), X.T @ X * 3)
    assert jit(part).__name__


def test_ufuncs_and_builtins():
    for f in (np.add, np.logaddexp, np.hypot):
        np.testing.assert_allclose(jit(f)(X, X), f(X, X))
    np.testing.assert_allclose(jit(np.sum)(X), X.sum())
    assert jit(np.exp).__name__ == "exp"


def test_jit_inside_jit_and_of_jit():
    inner = jit(lambda x: np.sin(x) * 2)
    outer = jit(lambda x: inner(x) + inner(2 * x))
    np.testing.assert_allclose(outer(X), 2 * np.sin(X) + 2 * np.sin(2 * X))
    assert traces(inner) == 0
    assert jit(inner)._fun is inner._fun
    made_inside = jit(lambda x: jit(lambda y: y + 1)(x))
    np.testing.assert_array_equal(made_inside(X), X + 1)


def test_decorator_with_options():
    @jit(static_argnames="n", name="other")
    def f(x, n):
        return x[:n]
    assert f(X, n=1).shape == (1, 3) and "graph other(" in str(f.trace(X, n=1))


@jit
def power(x, n):
    return np.ones_like(x) if n == 0 else x * power(x, n - 1)


def test_recursion():
    np.testing.assert_allclose(power(X, 5), X**5)
    np.testing.assert_allclose(power(X, 0), np.ones_like(X))

    @jit
    def endless(x):
        return endless(x) + 1
    with pytest.raises(RecursionError):
        endless(X)
    np.testing.assert_allclose(power(X, 3), X**3)


def test_generators_comprehensions_and_local_functions():
    def f(xs):
        def scale(x, k=2):
            return x * k
        total = sum(scale(x) for x in xs)
        return [total, *(x + total for x in xs)], {i: scale(x, i) for i, x in enumerate(xs)}
    same(f, (X, X + 1, X + 2))


def test_what_jit_refuses():
    with pytest.raises(TypeError, match="takes a function"):
        jit(3)


# ---------------------------------------------------------------- what the function reads from outside
SCALE = 2.0
WEIGHTS = np.arange(3.0)
TABLE = {"w": np.ones(3), "k": 3, "deep": [1.0, {"v": 2.0}]}
LAYERS = [np.ones((3, 3)), np.eye(3)]


def helper(x):
    return x + 1


def test_captured_arrays_are_read_at_each_call():
    w = np.ones(3)
    f = jit(lambda x: x @ w)
    f(X)
    w[:] = [1, 2, 3]
    np.testing.assert_array_equal(f(X), X @ w)
    assert traces(f) == 1 and f.cache_info().hits == 1


def test_rebound_global_array(monkeypatch):
    module = sys.modules[__name__]
    f = jit(lambda x: x @ WEIGHTS)
    f(X)
    for k in range(3):
        monkeypatch.setattr(module, "WEIGHTS", np.full(3, float(k)))
        np.testing.assert_array_equal(f(X), X @ WEIGHTS)
    assert traces(f) == 1  # the same type: the new array is read
    monkeypatch.setattr(module, "WEIGHTS", np.ones((3, 2)))
    np.testing.assert_array_equal(f(X), X @ WEIGHTS)
    monkeypatch.setattr(module, "WEIGHTS", np.ones((3, 4))[:, ::2])
    np.testing.assert_array_equal(f(X), X @ WEIGHTS)
    monkeypatch.setattr(module, "WEIGHTS", 3.0)
    with pytest.raises(ValueError, match="matmul"):
        f(X)


def test_rebound_globals_of_other_kinds(monkeypatch):
    module = sys.modules[__name__]
    f = jit(lambda x: helper(x) * SCALE)
    np.testing.assert_array_equal(f(X), (X + 1) * 2)
    monkeypatch.setattr(module, "SCALE", 5.0)
    np.testing.assert_array_equal(f(X), (X + 1) * 5)
    monkeypatch.setattr(module, "helper", lambda x: x + 2)
    np.testing.assert_array_equal(f(X), (X + 2) * 5)
    before = traces(f)
    f(X)
    assert traces(f) == before
    monkeypatch.setattr(module, "SCALE", 2.0 + 3.0)  # an equal number
    f(X)
    assert traces(f) == before
    monkeypatch.delattr(module, "SCALE")
    with pytest.raises(NameError):
        f(X)


def test_rebound_closure_variable():
    w, k = np.zeros(3), 1

    def step(x):
        return x @ w + k
    f = jit(step)
    for _ in range(4):
        w = w + 1
        np.testing.assert_array_equal(f(X), X @ w + 1)
    assert traces(f) == 1
    k = 2
    np.testing.assert_array_equal(f(X), X @ w + 2)
    assert traces(f) == 2


def test_containers_from_outside(monkeypatch):
    f = jit(lambda x: x @ TABLE["w"] * TABLE["k"] + TABLE["deep"][1]["v"])
    g = jit(lambda x: functools.reduce(lambda y, w: y @ w, LAYERS, x))

    def check():
        w, k, deep = TABLE["w"], TABLE["k"], TABLE["deep"]
        np.testing.assert_array_equal(f(X), X @ w * k + deep[1]["v"])
        want = X
        for layer in LAYERS:
            want = want @ layer
        np.testing.assert_array_equal(g(X), want)
    check()
    monkeypatch.setitem(TABLE, "w", np.full(3, 2.0))
    check()
    monkeypatch.setitem(TABLE, "k", 4)
    check()
    monkeypatch.setitem(TABLE["deep"][1], "v", 7.0)
    check()
    LAYERS.append(2 * np.eye(3))
    try:
        check()
        LAYERS[0] = np.full((3, 3), 2.0)
        check()
    finally:
        LAYERS[:] = [np.ones((3, 3)), np.eye(3)]
    check()


def test_plain_lists_of_numbers_are_watched():
    coefficients = [1.0, 2.0]
    f = jit(lambda x: sum(c * x**i for i, c in enumerate(coefficients)))
    np.testing.assert_array_equal(f(X), 1 + 2 * X)
    coefficients[1] = 3.0
    np.testing.assert_array_equal(f(X), 1 + 3 * X)
    coefficients.append(1.0)
    np.testing.assert_array_equal(f(X), 1 + 3 * X + X**2)


class Slotted:
    __slots__ = ("w", "k")

    def __init__(self, w, k):
        self.w, self.k = w, k

    def call(self, x):
        return x @ self.w * self.k


def test_objects_with_slots():
    s = Slotted(np.ones(3), 2)
    f = jit(lambda x: s.call(x))
    np.testing.assert_array_equal(f(X), s.call(X))
    s.k = 3
    np.testing.assert_array_equal(f(X), s.call(X))
    s.w = np.arange(3.0)
    np.testing.assert_array_equal(f(X), s.call(X))
    s.w[0] = 9
    np.testing.assert_array_equal(f(X), s.call(X))


class Fresh:
    def __get__(self, instance, owner):
        return [1.0]


class Odd:
    made = Fresh()


def test_places_that_make_what_they_give():
    f = jit(lambda x: x + Odd.made[0])
    for _ in range(3):
        np.testing.assert_array_equal(f(X), X + 1)
    assert traces(f) == 1


def test_one_array_by_two_names():
    w = np.ones(3)
    first = second = w
    f = jit(lambda x: x @ first + x @ second)
    np.testing.assert_array_equal(f(X), 2 * (X @ w))
    second = np.zeros(3)
    np.testing.assert_array_equal(f(X), X @ first + X @ second)
    first = np.full(3, 3.0)
    np.testing.assert_array_equal(f(X), X @ first + X @ second)


def test_array_in_a_tuple_and_by_name():
    w = np.ones(3)
    pair = (w, 2.0)
    f = jit(lambda x: x @ w + x @ pair[0])
    f(X)
    w = np.zeros(3)
    np.testing.assert_array_equal(f(X), X @ w + X @ pair[0])


def test_captured_array_written_in_place():
    count = np.zeros(3)

    @jit
    def f(x):
        count[:] += x.sum(0)
        return count
    held = count
    for k in (1, 2, 3):
        out = f(X)
        np.testing.assert_array_equal(held, k * X.sum(0))
        assert out is held


def test_effects_on_globals_and_lists_happen_at_each_call():
    log, state = [], {"n": 0}

    def g(x):
        log.append(1)
        state["n"] += 1
        return x * state["n"]
    f = jit(g)
    for k in (1, 2, 3):
        np.testing.assert_array_equal(f(X), X * k)
        assert len(log) == k and state["n"] == k


def test_effects_happen_once_although_a_number_is_made_static():
    log, model = [], Model(np.ones(3))

    def g(x, n):
        log.append(1)
        model.n = model.n + 1
        return sum(x for _ in range(n)) * model.n
    f = jit(g)
    for k in (1, 2):
        np.testing.assert_array_equal(f(X, 3), X * 3 * (2 + k))
        assert len(log) == k and model.n == 2 + k

    def fails(x):
        log.append(2)
        model.n = 50
        raise KeyError
    pytest.raises(KeyError, jit(fails), X)
    assert len(log) == 3 and model.n == 50


def test_values_of_each_element_cannot_leave():
    kept, box = [], {}

    def loss(x):
        kept.append(x + 1)
        box["x"] = x * 2
        return (x * x).sum()
    with pytest.raises(LeakError, match="left in") as error:
        tracejit.vmap(loss)(X)
    assert "do: " in str(error.value) and not kept and not box


def test_retracing_for_ever_warns(monkeypatch):
    monkeypatch.setattr(tracejit.api, "_MANY", 5)
    f = jit(lambda x: x + 1, backend="ref")
    with pytest.warns(RetraceWarning, match="traced 5 times"):
        for n in range(6):
            f(np.ones(n))


# ---------------------------------------------------------------- writes, views, aliases
def test_argument_written_in_place():
    def g(x, y):
        x[1:] += y
        x *= 2
        return x.sum()
    same(g, X.copy(), np.ones(3))
    f = jit(g)
    x = X.copy()
    for _ in range(3):
        want = x.copy()
        assert f(x, np.ones(3)) == g(want, np.ones(3))
        np.testing.assert_array_equal(x, want)
    assert f.cache_info().hits == 2


def test_writing_through_views():
    def g(x):
        y = x[::2]
        z = x.T
        y += 1
        z[0] = 5
        x.reshape(-1)[2:4] = 7
        return y, z
    same(g, np.arange(12.0).reshape(4, 3))


def test_returned_arguments_and_views():
    f = jit(lambda x, y: (x, y[1:], y.T, x + 0))
    for _ in range(2):
        x, y = X.copy(), X.copy()
        a, b, c, d = f(x, y)
        assert a is x and np.shares_memory(b, y) and np.shares_memory(c, y) and not np.shares_memory(d, x)
        b[:] = 9
        assert (y[1] == 9).all() and c.shape == (3, 2)
        assert b.flags.writeable
        y.flags.writeable = False
        assert not f(x, y)[1].flags.writeable


def test_same_result_twice():
    def g(x):
        y = x + 1
        return y, y, (y, y[0])
    a, b, (c, d) = jit(g)(X)
    assert a is b and b is c
    np.testing.assert_array_equal(d, a[0])


def test_the_same_array_twice():
    def g(x, y):
        x += 1
        return x * y
    for f in (g, jit(g)):
        a, b = X.copy(), X.copy()
        np.testing.assert_array_equal(f(a, b), (X + 1) * X)
        np.testing.assert_array_equal(f(a, a), (X + 2) ** 2)
    j = jit(g)
    for _ in range(2):
        a = X.copy()
        np.testing.assert_array_equal(j(a, a), (X + 1) ** 2)
        a = X.copy()
        np.testing.assert_array_equal(j(a, X), (X + 1) * X)


def test_overlapping_views_with_writes():
    def g(x, y):
        x += 1
        y *= 2
        return x + y
    f = jit(g)
    for _ in range(3):
        a, b = np.arange(8.0), np.arange(8.0)
        np.testing.assert_array_equal(f(a[1:6], a[:5]), g(b[1:6], b[:5]))
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(f(a[:5], b[:5]), g(b[:5].copy(), b[:5].copy()) * 0 + f.__wrapped__(
            np.array(a[:5]) * 0 + a[:5], np.array(b[:5])) * 0 + (a[:5] + b[:5]))
    assert traces(f) == 1


def test_argument_that_is_also_captured():
    w = np.ones(3)

    def g(x):
        x += 1
        return x * w
    f = jit(g)
    np.testing.assert_array_equal(f(np.zeros(3)), np.ones(3))
    np.testing.assert_array_equal(f(w), np.full(3, 4.0))
    np.testing.assert_array_equal(w, np.full(3, 2.0))


def test_overlapping_without_writes():
    a = np.arange(8.0)
    np.testing.assert_array_equal(jit(lambda x, y: x * y)(a[1:], a[:-1]), a[1:] * a[:-1])


def test_read_only_arrays():
    frozen = X.copy()
    frozen.flags.writeable = False
    f = jit(lambda x: x + 1)
    np.testing.assert_array_equal(f(frozen), X + 1)

    @jit
    def g(x):
        x += 1
        return x
    for first in (frozen, X.copy()):
        with pytest.raises(ValueError, match="read-only"):
            g(frozen)
        g(X.copy())
    np.testing.assert_array_equal(frozen, X)


def test_error_leaves_the_arguments_alone():
    def g(x, i):
        x += 1
        return x[i]
    f = jit(g)
    x = np.zeros(3)
    f(x, np.int64(1))
    with pytest.raises(IndexError):
        f(x, np.int64(3))
    np.testing.assert_array_equal(x, 1)


# ---------------------------------------------------------------- random programs of views and writes
STATEMENTS = {
    "x += 1": lambda x, y, z: x.__iadd__(1), "y *= x": lambda x, y, z: y.__imul__(x),
    "x[0] = y[1]": lambda x, y, z: x.__setitem__(0, y[1]), "y[:, 1:] = x[:, :-1]": lambda x, y, z: y.__setitem__(
        (slice(None), slice(1, None)), x[:, :-1]),
    "x.T[1] = 7": lambda x, y, z: x.T.__setitem__(1, 7), "z += x[0]": lambda x, y, z: z.__iadd__(x[0]),
    "x.reshape(-1)[::2] -= 3": lambda x, y, z: x.reshape(-1)[::2].__isub__(3),
    "y.ravel()[1] = z[0]": lambda x, y, z: y.ravel().__setitem__(1, z[0]),
    "x[1], y[0] = y[0], x[1]": lambda x, y, z: (x.__setitem__(1, y[0] + 0), y.__setitem__(0, x[1] + 0)),
    "z[::-1] = y[:, 0].sum()": lambda x, y, z: z[::-1].__setitem__(slice(None), y[:, 0].sum()),
    "np.add(x, y, out=x)": lambda x, y, z: np.add(x, y, out=x), "x[x > 2] = 0": lambda x, y, z: x.__setitem__(x > 2, 0),
}


def arrays_of(draw):
    """Return three arrays that may lie in one memory, over each other."""
    base = np.arange(1.0, 41.0)
    make = st.sampled_from([lambda k: base[k : k + 9].reshape(3, 3), lambda k: base[k : k + 9].reshape(3, 3).T,
                            lambda k: base[k : k + 18 : 2].reshape(3, 3), lambda k: np.arange(9.0).reshape(3, 3) + k])
    x, y = (draw(make)(draw(st.integers(0, 20))) for _ in range(2))
    z = draw(st.sampled_from([lambda: base[5:8], lambda: x[1], lambda: y[:, 2], lambda: np.arange(3.0)]))()
    return base, (x, y if draw(st.booleans()) else x, z)


@given(st.data())
def test_random_writes_to_overlapping_arrays(data):
    names = data.draw(st.lists(st.sampled_from(sorted(STATEMENTS)), min_size=1, max_size=4))
    steps = [STATEMENTS[name] for name in names]

    def f(x, y, z):
        for step in steps:
            step(x, y, z)
        return x.sum(), y + 0, z
    g = jit(f, backend="ref")
    for _ in range(3):
        base, args = arrays_of(data.draw)
        # the same arrays over a copy of the memory
        twin_base = base.copy()

        def moved(a):
            if not np.may_share_memory(a, base):
                return a.copy()
            at = a.__array_interface__["data"][0] - base.__array_interface__["data"][0]
            return np.ndarray(a.shape, a.dtype, twin_base.data, at, a.strides)
        copies = {}
        twins = tuple(copies.setdefault(id(a), moved(a)) for a in args)
        if twins[2].base is None and args[2].base is not None:
            continue  # a view of an array of its own
        want, got = f(*twins), g(*args)
        np.testing.assert_array_equal(base, twin_base, err_msg=str(names))
        for a, b in zip((*args, *got), (*twins, *want)):
            np.testing.assert_array_equal(a, b, err_msg=str(names))


# ---------------------------------------------------------------- layouts and forms of arrays
def layouts(x):
    """Return arrays of equal content that lie in memory in other ways."""
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    raw = np.zeros(x.nbytes + 1, np.uint8)
    crooked = np.ndarray(x.shape, x.dtype, raw.data, 1)
    crooked[...] = x
    return {"plain": x.copy(), "fortran": np.asfortranarray(x), "strided": wide[..., ::2],
            "reversed": x[::-1].copy()[::-1], "transposed": x.T.copy().T,
            "swapped": x.astype(x.dtype.newbyteorder()), "misaligned": crooked}


LAYOUTS = list(layouts(X))


@pytest.mark.parametrize("first", LAYOUTS)
@pytest.mark.parametrize("function", [
    lambda x: np.exp(x).sum(0) + x.T[0, 0],
    lambda x: x.reshape(-1)[1:] * 2,
    lambda x: x.ravel(order="F") + 0,
    lambda x: x @ x.T,
    lambda x: x[::-1, 1:],
], ids=["sum", "reshape", "ravel", "matmul", "view"])
def test_layouts(function, first):
    f = jit(function)
    for name in (first, *LAYOUTS):
        for _ in range(2):
            x = layouts(X)[name]
            np.testing.assert_allclose(f(x), function(x), err_msg=name)


WIDE = np.random.default_rng(6).normal(size=(300, 402))
LARGE = {
    "columns": lambda a: a[:, 1:], "pairs": lambda a: a[:, ::2], "rows": lambda a: a[::2],
    "turned": lambda a: a[:, 1:].T, "both": lambda a: a[1::2, 1::2], "backwards": lambda a: a[::-1],
    "stacked": lambda a: a.reshape(3, 100, 402)[:, 1:, 1:],
    "repeated": lambda a: np.broadcast_to(a[0], a.shape), "vector": lambda a: a.ravel()[::3],
    "one row": lambda a: np.lib.stride_tricks.as_strided(a, (1, 20_000), (8, 40)),
}


@pytest.mark.parametrize("layout", LARGE)
@pytest.mark.parametrize("function", [
    lambda x: (2 * x + 1, x.sum(0), x.sum(-1), x[1:] - x[:-1], x.cumsum(-1), x[..., 0], x.reshape(-1)[3:],
               x.dot(x[0].T)),
    lambda x: (np.sort(x, 0), x[..., ::-1] * x, x, x[1:], x.T, x[..., 1:], x.ravel()[:5]),
    lambda x: x * 2 if x.flags.c_contiguous else x * 3 if x.sum() > 0 else x * 4,
], ids=["values", "views", "choices"])
def test_large_arrays_with_strides(function, layout):
    x = LARGE[layout](WIDE)
    for got, wanted in zip(tree.leaves(jit(function)(x)), tree.leaves(function(x))):
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-11)
        assert np.shares_memory(got, WIDE) == np.shares_memory(wanted, WIDE)


@pytest.mark.parametrize("layout", [k for k in LARGE if k != "one row"])
def test_writes_to_large_arrays_with_strides(layout):
    def function(x):
        x[1:] += x[:-1].mean()
        x *= 2
        return x

    ours, theirs = WIDE.copy(), WIDE.copy()
    f = jit(function)
    for _ in range(2):
        if layout == "repeated":
            with pytest.raises(ValueError, match="read-only"):
                f(LARGE[layout](ours))
            continue
        x = LARGE[layout](ours)
        assert f(x) is x
        function(LARGE[layout](theirs))
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


def test_a_stencil_over_an_array_with_strides_reads_it_in_place():
    def cross(x):
        return 4 * x[1:-1, 1:-1] - x[2:, 1:-1] - x[:-2, 1:-1] - x[1:-1, 2:] - x[1:-1, :-2]

    program = str(jit(cross).trace(WIDE[:, 1:]).lower())
    assert program.count("kernel ") == 1 and "temp " not in program


def test_derivatives_at_large_arrays_with_strides():
    x = WIDE[:, 1::2]
    cube = tracejit.grad(lambda x: (x**3).sum())
    np.testing.assert_allclose(cube(x), 3 * x**2)
    np.testing.assert_allclose(jit(cube)(x), 3 * x**2)
    np.testing.assert_allclose(tracejit.vmap(lambda r: r.sum())(x), x.sum(1))


def write_reshaped(x):
    y = x.reshape(-1)
    y += 1
    return x.sum() + y[0]


def write_reshaped_transpose(x):
    y = x.T.reshape(-1)
    y[0] = 100
    return x + 0


def write_contiguous(x):
    y = np.ascontiguousarray(x)
    y *= 3
    return x + 0


def write_argument(x):
    y = x.reshape(-1)
    x[0, 0] = 50
    return y + 0


def ravel_as_it_lies(x):
    return x.ravel(order="K") + 0


def strides(x):
    return x * x.strides[0]


@pytest.mark.parametrize("function", [write_reshaped, write_reshaped_transpose, write_contiguous, write_argument,
                                      ravel_as_it_lies, strides])
@pytest.mark.parametrize("first", LAYOUTS)
def test_layouts_that_decide(function, first):
    f = jit(function)
    for name in (first, *LAYOUTS):
        for _ in range(2):
            mine, theirs = layouts(X)[name], layouts(X)[name]
            np.testing.assert_array_equal(f(mine), function(theirs), err_msg=name)
            np.testing.assert_array_equal(mine, theirs, err_msg=name)


def test_writes_into_other_layouts():
    def g(x):
        x[:, 1:] *= 2
        return x[0]
    f = jit(g)
    for name in LAYOUTS * 2:
        mine, theirs = layouts(X)[name], layouts(X)[name]
        np.testing.assert_array_equal(f(mine), g(theirs), err_msg=name)
        np.testing.assert_array_equal(mine, theirs, err_msg=name)


def test_scalars_and_zero_dimensional_arrays():
    def g(x):
        return x.sum(), x[0, 0], np.array(x[0, 0]), x.sum() * 2, x.mean(keepdims=True), np.float32(2) * x.max()
    same(g, X)
    zero = np.array(3.0)
    same(lambda x: (x, x + 1, x[()], np.sin(x), x[None], np.asarray(x)), zero)
    same(lambda x: (x, x + 1, np.sin(x), x * np.ones(2)), np.float32(3))
    same(lambda x: (x, x + 1, -x), 3)
    f = jit(lambda x: x)
    assert type(f(np.float32(2))) is np.float32


def test_numpy_scalar_types():
    f = jit(lambda s, x: s * x)
    for s in (np.float32(2), np.int8(3), np.bool_(True), np.complex64(1j), np.uint64(7), np.float16(0.5)):
        got, want = f(s, X.astype(np.float32)), s * X.astype(np.float32)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


def test_empty_arrays():
    for shape in ((0,), (0, 3), (2, 0)):
        same(lambda x: (x + 1, x.sum(), x.sum(axis=0), x.T, np.concatenate([x, x]), (x > 0).any()), np.zeros(shape))
    with pytest.raises(ValueError, match="zero-size"):
        jit(lambda x: x.max())(np.zeros(0))


def test_results_are_fresh_and_writeable():
    f = jit(lambda x: (np.zeros(3), x * 0 + 1))
    a, b = f(X)
    a += 1
    b += 1
    np.testing.assert_array_equal(f(X)[0], 0)
    assert a.flags.owndata and a.flags.writeable and f(X)[0] is not a


# ---------------------------------------------------------------- what cannot be compiled
class HasArray:
    def __array__(self, dtype=None, copy=None):
        return np.ones(3)


class Child(np.ndarray):
    pass


BAD = {
    "object": np.array([1, None]), "text": np.array(["a"]), "dates": np.array(["2020-01-01"], "M8[D]"),
    "records": np.zeros(2, [("a", "f8")]), "masked": np.ma.masked_array([1.0, 2.0], [True, False]),
    "matrix": np.eye(2).view(Child), "holder": HasArray(), "longdouble": np.ones(2, np.longdouble),
}


@pytest.mark.parametrize("kind", BAD)
def test_arguments_that_cannot_be_compiled(kind):
    def f(x):
        return x + x
    with pytest.raises(UnsupportedError) as error:
        jit(f)(BAD[kind])
    three_lines(error)


@pytest.mark.parametrize("kind", BAD)
def test_captures_that_cannot_be_compiled(kind):
    bad = BAD[kind]
    if kind == "holder":
        same(lambda x: x + bad, X)
        return
    with pytest.raises(UnsupportedError) as error:
        jit(lambda x: x + bad)(X)
    three_lines(error)


def test_unknown_objects_are_static():
    class Thing:
        size = 3
    thing = Thing()
    f = jit(lambda t, x: x * t.size)
    np.testing.assert_array_equal(f(thing, X), X * 3)
    thing.size = 4
    np.testing.assert_array_equal(f(thing, X), X * 4)
    del thing.size
    np.testing.assert_array_equal(f(thing, X), X * 3)
    with pytest.raises((TypeError, UnsupportedError)):
        jit(lambda t, x: x + t)(thing, X)


def test_unsupported_functions_say_so():
    f = jit(lambda x: np.savetxt("/tmp/x", x))
    with pytest.raises(TracejitError) as error:
        f(X)
    assert "savetxt" in three_lines(error).what


class Holder:
    def __init__(self, x):
        self.x = x


def ring(x):
    held = Holder(x)
    held.itself = [held]
    return held


@pytest.mark.parametrize("function", [
    lambda x: time.time() + x, lambda x: time.perf_counter() + x, lambda x: clock() + x,
    lambda x: random.random() + x],
    ids=["time", "perf_counter", "imported", "random"])
def test_values_that_change_by_themselves_are_refused(function):
    with pytest.raises(UnsupportedError) as error:
        jit(function)(X)
    assert "outside" in three_lines(error).do


@pytest.mark.parametrize("function", [
    lambda x: (y for y in x), lambda x: iter([x]), lambda x: zip(x, x),
    lambda x: (lambda: x + 1), lambda x: repr(x), lambda x: (1, [str([x])])],
    ids=["generator", "iterator", "zip", "closure", "text", "nested"])
def test_results_that_cannot_be_kept(function):
    with pytest.raises(UnsupportedError) as error:
        jit(function)(X)
    assert "return arrays" in three_lines(error).do


def test_an_object_that_holds_itself_is_no_result():
    with pytest.raises(UnsupportedError, match="nested without end"):
        jit(lambda x: ring(x + 1))(X)


@pytest.mark.parametrize("function", [
    lambda x: f"{x.sum():.2f}", lambda x: {f"{x[0, 0]:g}": x}, lambda x: (str(x), "{:}".format(x.max())),  # noqa: UP032
    lambda x: "%s" % x[1] + f"{len(x)}", lambda x: [f"{int(v)}" for v in x[0]]])  # noqa: UP031
def test_texts_are_those_of_each_call(function):
    f = jit(function)
    for x in (X, X + 1.5, X):
        assert str(f(x)) == str(function(x))
    assert len(f.cache_info().variants) == 2


def test_results_that_are_no_arrays():
    class Kind:
        pass
    kind = Kind()
    f = jit(lambda x: (x.shape, x.dtype, {1, 2}, kind, len, None, "text", isinstance(x, np.ndarray), ...))
    for _ in range(2):
        assert f(X) == ((2, 3), np.dtype(float), {1, 2}, kind, len, None, "text", True, ...)


def test_users_exceptions_keep_their_traceback():
    def fails(x):
        raise KeyError("mine")

    @jit
    def f(x):
        return fails(x) + 1
    with pytest.raises(KeyError, match="mine") as error:
        f(X)
    names = [entry.name for entry in error.traceback]
    assert names[-2:] == ["f", "fails"]
    lines = [(str(entry.path), entry.lineno) for entry in error.traceback]
    assert lines[-1][0] == __file__ and lines[-1][1] == fails.__code__.co_firstlineno
    with pytest.raises(ValueError, match="broadcast"):
        jit(lambda x, y: x + y)(np.ones(3), np.ones(4))


def test_a_failed_trace_leaves_nothing_behind():
    fail = True

    def g(x):
        if fail:
            raise RuntimeError("no")
        return x + 1
    f = jit(g)
    for _ in range(2):
        pytest.raises(RuntimeError, f, X)
    fail = False
    np.testing.assert_array_equal(f(X), X + 1)
    assert f.cache_info().signatures == ("f64[2,3]",)


def test_hugely_nested_arguments():
    deep = X
    for _ in range(500):
        deep = [deep]
    with pytest.raises((TracejitError, ValueError, RecursionError)):
        jit(lambda x: x)(deep)
    cycle = []
    cycle.append(cycle)
    with pytest.raises((TracejitError, ValueError, RecursionError)):
        jit(lambda x: X)(cycle)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(),
              st.sampled_from([*BAD.values(), np.float64(1), np.ones(3), np.zeros((0, 2)), np.array(2), int, len, ...,
                               slice(2), np.dtype("f4"), object(), {1}, frozenset(), range(3), np.int8(3),
                               np.datetime64("2020")])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3),
                            st.tuples(inner, inner)), max_leaves=5)


@given(st.lists(ANYTHING, max_size=3), st.dictionaries(st.sampled_from("abc"), ANYTHING, max_size=2))
def test_anything_as_arguments(args, kwargs):
    """Whatever comes, the function gets it back, or an error in words; never a crash."""
    f = jit(lambda *args, **kwargs: (args, kwargs), backend="ref")
    for _ in range(2):
        try:
            got = f(*args, **kwargs)
        except (TracejitError, OverflowError):
            continue
        assert len(got[0]) == len(args) and list(got[1]) == list(kwargs)
        assert repr(got[0]) == repr(tuple(args)) or got[0] is not None


@given(ANYTHING, ANYTHING, st.sampled_from(["+", "@", "<", "[]", "call", "sum", "where"]))
def test_anything_as_operands(x, y, operation):
    operate = {"+": lambda: lambda x, y: x + y, "@": lambda: lambda x, y: x @ y, "<": lambda: lambda x, y: x < y,
               "[]": lambda: lambda x, y: np.asarray(x)[y], "call": lambda: lambda x, y: np.hypot(x, y),
               "sum": lambda: lambda x, y: np.sum(x, axis=y),
               "where": lambda: lambda x, y: np.where(x, y, x)}[operation]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            jit(operate, backend="ref")(x, y)
        except Exception as error:  # of whatever class: an error in Python, with words
            assert not isinstance(error, (AssertionError, SystemError)), repr(error)


# ---------------------------------------------------------------- pickles, copies
def module_level(x, w):
    return np.tanh(x @ w)


jitted_by_name = jit(module_level, static_argnames=())


@jit
def decorated(x):
    return x * 2


def test_pickle():
    for f in (decorated, jitted_by_name, Model.call):
        g = pickle.loads(pickle.dumps(f))
        assert g is f or g.__wrapped__ is f.__wrapped__
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    g = pickle.loads(pickle.dumps(jitted_by_name))
    np.testing.assert_allclose(g(X, X.T), module_level(X, X.T))
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(jit(lambda x: x))


def test_copy():
    w = np.ones(3)
    f = jit(lambda x: x @ w, name="g")
    for g in (copy.copy(f), copy.deepcopy(f)):
        np.testing.assert_array_equal(g(X), f(X))
        assert g._options == f._options


def _call_in_child(f, x):
    return f(x)


def test_in_processes():
    decorated(X)
    for method in ("spawn", "fork") if hasattr(os, "fork") else ("spawn",):
        context = multiprocessing.get_context(method)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with context.Pool(1) as pool:
                np.testing.assert_array_equal(pool.apply(_call_in_child, (decorated, X)), 2 * X)


# ---------------------------------------------------------------- threads, forks
def together(work, n=8):
    """Run `work(k)` in n threads at once; returns the results, raises what a thread raised."""
    barrier, results = threading.Barrier(n), [None] * n

    def run(k):
        barrier.wait()
        try:
            results[k] = work(k)
        except BaseException as error:
            results[k] = error
    threads = [threading.Thread(target=run, args=(k,)) for k in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        assert not t.is_alive()
    for r in results:
        if isinstance(r, BaseException):
            raise r
    return results


def test_threads_on_one_function():
    f = jit(lambda x, n: np.sin(x) * n + x @ x.T)
    square = np.arange(9.0).reshape(3, 3)

    def work(k):
        for i in range(50):
            np.testing.assert_allclose(f(square + k, i), np.sin(square + k) * i + (square + k) @ (square + k).T)
    together(work)
    assert traces(f) == 1


def test_threads_on_many_functions():
    shared_inner = jit(lambda x: x + 1)

    def work(k):
        f = jit(lambda x: shared_inner(x) * k + np.cos(x))
        for n in (3, 4):
            x = np.arange(float(n)) + k
            np.testing.assert_allclose(f(x), (x + 1) * k + np.cos(x))
            np.testing.assert_allclose(shared_inner(x), x + 1)
    together(work)


def test_threads_with_contexts():
    f = jit(lambda x: x + 1)

    def work(k):
        with config.context(backend=("ref", "c")[k % 2]):
            for _ in range(20):
                np.testing.assert_array_equal(f(X), X + 1)
    together(work)


def test_fork_after_use():
    if not hasattr(os, "fork"):
        pytest.skip("no fork on this system")
    big = np.ones((300, 300))
    f = jit(lambda x: np.exp(x @ x / 300).sum())
    want = f(big)
    inside, release = threading.Event(), threading.Event()

    @jit
    def slow(x):
        inside.set()
        release.wait(20)
        return x
    other = threading.Thread(target=slow, args=(X,))
    other.start()
    inside.wait(20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        code = 1
        try:
            g = jit(lambda x: (x @ x).sum() + 1)
            release.set()
            good = f(big) == want and g(big) == 300**3 + 1 and (slow(X) == X).all()
            code = 0 if good else 2
        finally:
            os._exit(code)
    release.set()
    other.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---------------------------------------------------------------- backends
@pytest.mark.parametrize("backend", ["c", "ref", "numba"])
def test_backends(backend):
    def g(x, w, n):
        x[0] += 1
        return np.log1p(np.exp(x @ w)).sum(), x[:, 0] * n, np.linalg.inv(w[:3, :3]), np.sort(x, axis=1)
    f = jit(g, backend=backend)
    w = np.eye(3) + 0.1
    for _ in range(2):
        mine, theirs = X.copy(), X.copy()
        for got, want in zip(f(mine, w, 2), g(theirs, w, 2)):
            np.testing.assert_allclose(got, want)
        np.testing.assert_array_equal(mine, theirs)
    assert f.cache_info().hits == 1
    source = str(f.trace(X, w, 2).lower().compile())
    assert {"c": "tj_entry", "ref": "graph", "numba": "def k0"}[backend] in source
    h = jit(lambda x, i: x[i], backend=backend)
    h(X, np.int64(1))
    with pytest.raises(IndexError, match="out of bounds"):
        h(X, np.int64(5))


def test_backend_flag_and_option():
    f = jit(lambda x: x * 3)
    with config.context(backend="ref"):
        f(X)
    f(X)
    assert traces(f) == 2
    with config.context(backend="ref"):
        f(X)
    assert traces(f) == 2


def test_half_precision_without_a_compiler():
    x = np.arange(4, dtype=np.float16)
    f = jit(lambda x: np.sin(x) * 2, backend="numba")
    got = f(x)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, np.sin(x) * np.float16(2))


NO_COMPILER = """
import warnings
import numpy as np
import tracejit
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    f = tracejit.jit(lambda x: np.exp(x).sum() + x @ x)
    x = np.arange(3.0)
    assert abs(f(x) - (np.exp(x).sum() + x @ x)) < 1e-12
    f(x), tracejit.jit(lambda x: x + 1)(x)
found = [w for w in seen if issubclass(w.category, tracejit.errors.CompilerWarning)]
assert len(found) == 1, [str(w.message) for w in seen]
assert "def k0" in str(f.trace(x).lower().compile())
print("numba served")
"""


def test_no_compiler_is_found(tmp_path):
    environment = {**os.environ, "PATH": str(tmp_path), "TRACEJIT_FLAGS": f"cache_dir={tmp_path}"}
    environment.pop("CC", None)
    done = subprocess.run([sys.executable, "-c", NO_COMPILER], env=environment, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0 and "numba served" in done.stdout, done.stderr


def test_a_compiler_that_is_not_there():
    with config.context(cc="/nonexistent/cc"), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(jit(lambda x: x * 17 + 1)(X), X * 17 + 1)
    assert all(issubclass(w.category, CompilerWarning) for w in seen)


def test_twin_dispatcher_serves(tmp_path):
    """Everything works where the extension was not built."""
    code = """
import sys
sys.modules["tracejit._dispatch"] = None
import numpy as np, tracejit
assert tracejit.dispatch.compiled is None
w = tracejit.shared(np.zeros(3))
k = 2
@tracejit.jit
def f(x):
    w[...] = w + x
    return x.sum() * k, x[1:]
x = np.arange(3.0)
assert f(x)[0] == 6 and f(x)[0] == 6 and f.cache_info().hits == 1
k = 3
assert f(x)[0] == 9 and (w.get_value() == 3 * x).all()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_devices():
    f = jit(lambda x: x + 1, device="cpu")
    np.testing.assert_array_equal(f(X), X + 1)
    with pytest.raises(DeviceError):
        jit(lambda x: x, device="cuda:0")
    assert dispatch.current_key() is config.key()


# ---------------------------------------------------------------- Fortran order
def fortran(seed, n=48, m=64):
    return np.asfortranarray(np.random.default_rng(seed).random((n, m)))


@pytest.mark.parametrize("function", [
    lambda x, y: (2 * x + 1, x * y, x + np.sqrt(x), x.sum(0), x.sum(1), x.mean()),
    lambda x, y: (x @ y.T, x.T @ y, x[1:, ::2] * 2, np.where(x > y, x, y)),
    lambda x, y: (x, x[1:], x.T, x.T + 1, x.ravel(order="K") + 0, x.flags.f_contiguous, x.strides),
    lambda x, y: (np.asfortranarray(y), y.T.copy(), np.zeros_like(x), np.empty((3, 4), order="F") * 0),
    lambda x, y: (x.__iadd__(1), x[1:, 0].__imul__(3), x.T.__setitem__(0, 7), y.__isub__(x))[0],
    lambda x, y: np.linalg.svd(x, compute_uv=False),
], ids=["elementwise", "products", "views", "made", "written", "factored"])
@pytest.mark.parametrize("backend", ["c", "ref"])
def test_large_arrays_in_fortran_order_are_taken_as_they_lie(function, backend):
    f = jit(function, backend=backend)
    layouts = [np.asfortranarray, np.ascontiguousarray, lambda x: x[::-1][::-1]]
    for k, (first, second) in enumerate(itertools.product(layouts, repeat=2)):
        ours, theirs = ([first(fortran(k)), second(fortran(k + 9))] for _ in range(2))
        for got, want in zip(tree.flatten((f(*ours), ours))[0], tree.flatten((function(*theirs), theirs))[0]):
            np.testing.assert_allclose(got, want, rtol=1e-12)
            if isinstance(want, np.ndarray):
                assert got.flags.f_contiguous == want.flags.f_contiguous
                assert got.flags.c_contiguous == want.flags.c_contiguous and got.flags.writeable


def test_fortran_order_under_guards_and_captures():
    held = fortran(3)

    def f(x, limit):
        if x[0, 1] > limit:
            x[:2] = held[:2]
        return x + held
    g = jit(f)
    for k in range(4):
        ours, theirs = fortran(k), fortran(k)
        np.testing.assert_array_equal(g(ours, 0.5), f(theirs, 0.5))
        np.testing.assert_array_equal(ours, theirs)
