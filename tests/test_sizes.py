"""Sizes that change: code that is compiled once and reads its sizes from a table."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracejit import ShapeDtype, jit, stages
from tracejit.dispatch_python import _callable, _execute
from tracejit.errors import DimError
from tracejit.kernels.c import sizes
from tracejit.kernels.c.emit import compile_program, emit


@pytest.fixture(autouse=True)
def nothing_compiled():
    """Executables of other tests, whose graphs are perhaps still there, would be found and not counted."""
    stages._executables.clear()


def compiles(f):
    return f.cache_info().compiles


def exact(f, *args):
    """Return what code gives that was compiled for just these sizes."""
    program = jit(f).trace(*args).lower().program
    made = compile_program(program)
    assert made.table is None
    outputs = [np.empty(t.shape, t.dtype) for t in made.out_types]
    code, _ = _execute(made, _callable(made), [np.ascontiguousarray(a, np.asarray(a).dtype) for a in args], outputs)
    assert code == 0
    return outputs


def logistic(x, w, b, y):
    p = 1 / (1 + np.exp(-(x @ w + b)))
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def stencil(x):
    y = np.zeros_like(x)
    y[1:-1] = x[:-2] + x[2:] - 2 * x[1:-1]
    return y


FUNCTIONS = {
    "elementwise": (lambda x, y: np.log(1 + np.exp(x)) * y + 1, lambda n: [(n,), (n,)]),
    "columns": (lambda x: (x - x.mean(0)) / (1 + x.std(0)), lambda n: [(n, 7)]),
    "sums": (lambda x: (x.sum(), (x * x).sum(), np.sqrt(abs(x)).prod()), lambda n: [(n,)]),
    "single": (lambda x: (x * x).sum(1) + x.mean(), lambda n: [(n, 5)]),
    "network": (lambda x, w: np.tanh(x @ w).sum(0), lambda n: [(n, 20), (20, 10)]),
    "softmax": (softmax, lambda n: [(n, 10)]),
    "logistic": (logistic, lambda n: [(n, 30), (30,), (), (n,)]),
    "stencil": (stencil, lambda n: [(n + 3,)]),
    "sorts": (lambda x: (np.sort(x), np.cumsum(x), np.argsort(x)), lambda n: [(n,)]),
    "transposed": (lambda x: (x.T * 2 + 1, np.exp(x.T.ravel())), lambda n: [(n, 9)]),
    "pairs": (lambda x, y: np.exp(-(x[:, None] - y) ** 2).sum(1), lambda n: [(n,), (n + 2,)]),
    "pieces": (lambda x: (np.concatenate([x, x[::-1], x[1:]]), np.pad(x, 2), 3 * x[::2]), lambda n: [(n + 1,)]),
    "inner": (lambda x: np.outer(np.arange(x.shape[0]), x) / x.shape[0], lambda n: [(n,)]),
    "indexed": (lambda x: x[np.arange(x.shape[0]) // 2] - x.shape[0], lambda n: [(n,)]),
    "constants": (lambda x: np.linspace(1, 2, x.shape[0]) * x + np.hanning(x.shape[0]), lambda n: [(n,)]),
    "solved": (lambda x: np.linalg.solve(x + x.shape[0] * np.eye(x.shape[0]), x[0]), lambda n: [(n, n)]),
}
SIZES = [3, 1, 2, 7, 8, 20, 16, 33, 64, 100, 101, 130, 128, 500, 700, 1000]


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_any_size_to_the_last_bit(name, dtype):
    plain, shapes = FUNCTIONS[name]
    f, rng = jit(plain), np.random.default_rng(0)
    for n in SIZES:
        if name == "solved" and n > 130:
            continue
        args = [np.array(rng.uniform(0.1, 0.9, s), dtype) for s in shapes(n)]
        got, want = f(*args), plain(*args)
        got, want = (got, want) if isinstance(got, tuple) else ((got,), (want,))
        for g, w, e in zip(got, want, exact(plain, *args), strict=True):
            np.testing.assert_array_equal(np.ravel(g, "K"), e.ravel())  # as they lie: perhaps in Fortran order
            assert g.dtype == w.dtype and g.shape == w.shape
            rtol, atol = (2e-4, 1e-5) if dtype == "f4" else (1e-9, 1e-12)
            np.testing.assert_allclose(g, w, rtol, atol)
    assert compiles(f) < f.cache_info().traces


@pytest.mark.parametrize("name", ["elementwise", "columns", "network", "softmax", "logistic", "sums"])
def test_a_hundred_sizes_are_two_compilations(name):
    plain, shapes = FUNCTIONS[name]
    f = jit(plain)
    rng = np.random.default_rng(0)
    first = {"network": 260, "columns": 17, "sums": 17}.get(name, 300)
    for n in range(first, first + 100):
        args = [rng.uniform(0.1, 0.9, s) for s in shapes(n)]
        f(*args)
    found = f.cache_info()
    assert found.traces == 100 and found.compiles == 2


def test_no_elements_at_all():
    f = jit(lambda x, y: (np.concatenate([x, y]) * 2, x.sum()))
    for n in (5, 0, 6, 1, 7):
        a, b = f(np.ones(n), np.ones(2))
        np.testing.assert_array_equal(a, np.full(n + 2, 2.0))
        assert b == n


def test_literal_arrays_differ():
    values = {n: np.sin(np.arange(n) ** 2) for n in range(20, 30)}
    f = jit(lambda x: x * TABLES[x.shape[0]]() + 1)
    TABLES.update({n: (lambda n=n: np.array(values[n].tolist())) for n in values})
    for n, table in values.items():
        np.testing.assert_array_equal(f(np.ones(n)), table + 1)
    assert compiles(f) == 2


TABLES = {}


def test_errors_name_the_size_of_their_call():
    f = jit(lambda x, i: x[i] * 2)
    for n in (5, 6, 7, 8):
        np.testing.assert_array_equal(f(np.arange(n), np.array([n - 1])), [2 * n - 2])
        with pytest.raises(IndexError, match=f"index {n} is out of bounds for axis 0 with size {n}"):
            f(np.arange(n), np.array([n]))
    assert compiles(f) == 2


def test_writes_of_many_sizes():
    def plain(x, y):
        x[1:] += y[:-1]
        return x.max()
    f = jit(plain)
    for n in range(2, 40):
        a, b = (np.arange(float(n)) for _ in range(2))
        assert f(a, a.copy()) == plain(b, b.copy())
        np.testing.assert_array_equal(a, b)


def test_loops_of_many_sizes():
    def plain(x):
        a, b = x.copy(), np.zeros_like(x)
        for _ in range(5):
            b[1:-1] = (a[:-2] + a[2:]) / 2
            a, b = b, a
        return a
    f = jit(plain)
    for n in (10, 11, 12, 40, 50):
        x = np.random.default_rng(n).normal(size=n)
        np.testing.assert_allclose(f(x), plain(x), rtol=1e-12)


def test_functions_do_not_share_what_differs_in_constants():
    f, g = jit(lambda x: x * 3.5 + 1), jit(lambda x: x * 4.5 + 1)
    f(np.ones(3)), g(np.ones(3))
    assert all("tj_n[0]" not in str(h.trace(np.ones(3)).lower().compile()) for h in (f, g))


def test_more_sizes_than_the_dispatcher_looks_at():
    f = jit(lambda x: x * 2 + 1)
    for _ in range(2):
        for n in range(1, 101):
            np.testing.assert_array_equal(f(np.ones(n)), np.full(n, 3.0))
    assert f.cache_info().traces == 100
    f.clear_cache()
    f(np.ones(3))
    assert f.cache_info().traces == 101


def test_threads_with_sizes_of_their_own():
    f = jit(lambda x, y: (x * y + 1).sum() + x.shape[0])
    wrong = []

    def work(k):
        for n in range(20 + k, 60, 4):
            for _ in range(20):
                if f(np.full(n, 2.0), np.ones(n)) != 4 * n:
                    wrong.append(n)
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and f.cache_info().traces == 40 and compiles(f) <= 4


def test_other_backends_compile_each():
    f = jit(lambda x: x * 2, backend="ref")
    for n in range(1, 5):
        f(np.ones(n))
    assert compiles(f) == 0


# ---------------------------------------------------------------- axes declared dynamic
@pytest.mark.parametrize("name", ["elementwise", "columns", "network", "softmax", "logistic", "sums", "inner"])
def test_declared_axes_are_compiled_once(name):
    plain, shapes = FUNCTIONS[name]
    here, there = shapes(300), shapes(301)
    dynamic = {k: [a for a in range(len(s)) if s[a] != t[a]] for k, (s, t) in enumerate(zip(here, there)) if s != t}
    f, rng = jit(plain, dynamic=dynamic), np.random.default_rng(0)
    for n in (300, 301, 310, 320, 399):
        args = [rng.uniform(0.1, 0.9, s) for s in shapes(n)]
        got = f(*args)
        for g, e in zip(got if isinstance(got, tuple) else (got,), exact(plain, *args), strict=True):
            np.testing.assert_array_equal(np.ravel(g, "K"), e.ravel())
    assert f.cache_info().traces == 5 and compiles(f) == 1


def test_declared_axes_by_name_and_in_nests():
    def plain(x, p, *, y):
        return x + p["a"] * p["b"][0] + y[1:]
    f = jit(plain, dynamic={"x": 0, "p": (0,), "y": -1})
    for n in (20, 30, 41):
        args = np.ones(n), {"a": np.ones(n), "b": [np.ones(n), 2.0]}
        np.testing.assert_array_equal(f(*args, y=np.ones(n + 1)), np.full(n, 3.0))
    assert compiles(f) == 1


def test_tracing_for_another_size_leaves_nothing_behind():
    seen = []

    class State:
        calls = 0
    state = State()

    def plain(x):
        seen.append(x.shape)
        state.calls += 1
        return x * 2
    f = jit(plain, dynamic={"x": 0})
    f(np.ones(5))
    assert seen == [(5,)] and state.calls == 1


def test_sizes_that_do_not_go_together_are_compiled_as_they_come():
    f = jit(lambda x, y: x + y, dynamic={0: 0})
    for n in (5, 6):
        np.testing.assert_array_equal(f(np.ones(n), np.ones(n)), np.full(n, 2.0))


def test_mistakes_in_what_is_declared():
    plain = FUNCTIONS["elementwise"][0]
    for wrong, error in (([0], TypeError), ({"x": "a"}, TypeError), ({0.5: 0}, TypeError), ({"z": 0}, ValueError),
                         ({"x": (0, True)}, TypeError)):
        with pytest.raises(error, match="dynamic"):
            jit(plain, dynamic=wrong)
    with pytest.raises(DimError, match="dynamic axis 1"):
        jit(plain, dynamic={"x": 1})(np.ones(3), np.ones(3))
    jit(lambda **named: named["z"] * 2, dynamic={"z": 0})(z=np.ones(3))


# ---------------------------------------------------------------- the text
def test_numbers_in_a_text():
    program = jit(FUNCTIONS["columns"][0]).trace(ShapeDtype((20, 7))).lower().program
    source, _ = emit(program)
    digest, kinds, numbers = sizes.split(source)
    other = sizes.split(emit(jit(FUNCTIONS["columns"][0]).trace(ShapeDtype((21, 7))).lower().program)[0])
    assert digest == other[0] and kinds == other[1] and numbers != other[2]
    changed = {k: 0 for k, (a, b) in enumerate(zip(numbers, other[2])) if a != b}
    text = sizes.generalized(source, changed, 9)
    assert "b[9]" in text and text != source and sizes.generalized(source, {}, 9) == source


def test_sizes_of_local_arrays_stay():
    body = ["TJ_ALIGN(64) double a[32];", "int64_t m[2][3] = {5, 6};", "a[4] = 7.5f;"]
    source = "static void k0(void **b) {\n  " + "\n  ".join(body) + "\n}\n"
    assert sizes.split(source)[2] == ("32", "5", "6", "4", "7.5f")
    assert sizes.split(source.replace("m[2]", "m[1]"))[0] != sizes.split(source)[0]
    assert "double a[512];" in sizes.generalized(source, {0: 512}, 1)
    assert sizes.split("int f(int x) {\n  return 3;\n}\n")[2] == ()


def test_literal_arrays_of_equal_content_share_an_entry_of_the_table():
    data = "TJ_ALIGN(64) static const uint64_t {}_data[] = {{\n  0x1u, 0x2u}};\n"
    source = data.format("c0") + data.format("c1") + "static void k0(void **b) {\n  use(c0_data, c1_data);\n}\n"
    kinds = sizes.split(source)[1]
    assert kinds == ("data", "data")
    text = sizes.generalized(source, {0: 4, 1: 4}, 9)
    assert "c0_data = (const uint64_t *)tj_n[4]" in text and "c1_data = (const uint64_t *)tj_n[4]" in text


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 70), min_size=3, max_size=8), st.integers(1, 4))
def test_random_sequences_of_sizes(ns, k):
    f = jit(lambda x, y: ((x * y).sum(0), (x + 1).sum(1), x[:, ::-1] - y.max(initial=0)))
    for n in ns:
        x, y = np.arange(n * k, dtype=float).reshape(n, k), np.ones((n, k))
        a, b, c = f(x, y)
        np.testing.assert_array_equal(a, x.sum(0))
        np.testing.assert_array_equal(b, (x + 1).sum(1))
        np.testing.assert_array_equal(c, x[:, ::-1] - y.max(initial=0))


def test_functions_of_more_arguments_have_code_of_their_own():
    """Sources may differ in nothing but the places of buffers, and the table of sizes has another place then."""
    def f(x, *unused):
        return x[::-1] * 2 + 1
    jitted = jit(f)
    for unused in range(4):
        for n in (3, 5, 9):
            x = np.arange(float(n))
            np.testing.assert_array_equal(jitted(x, *[np.ones(2) for _ in range(unused)]), f(x))
    assert compiles(jitted) == 8
