"""cond, switch, while_loop, fori_loop, scan, associative_scan and map: inside jit and outside, as Python does it."""

import numpy as np
import pytest
from tracing import compare

import tracejit
from tracejit import control
from tracejit.config import config
from tracejit.errors import CarryError
from tracejit.transforms import outside

X = np.arange(1.0, 7.0)


@pytest.fixture(params=["ref", "auto"], autouse=True)
def backend(request):
    with config.context(backend=request.param):
        yield


def both(f, *args):
    """Return the result of `f` outside jit, after comparing it with that inside."""
    inside, outside = tracejit.jit(f)(*args), f(*args)
    compare(inside, outside)
    return outside


# ---------------------------------------------------------------- cond and switch
def test_cond():
    def f(p, x):
        return tracejit.cond(p > 2, lambda x: {"a": x * 2, "b": 1}, lambda x: {"a": x + 1, "b": 2.5}, x)
    for p in (1, 4, np.float32(3)):
        got = both(f, p, X)
        np.testing.assert_array_equal(got["a"], X * 2 if p > 2 else X + 1)
        assert got["b"] == (1 if p > 2 else 2.5)


def test_cond_runs_one_branch_only():
    def divide(x, n):
        return tracejit.cond(n != 0, lambda n: 10 % n, lambda n: 0, n)
    assert both(divide, X, 0) == 0 and both(divide, X, 3) == 1


def test_cond_writes_in_place():
    @tracejit.jit
    def f(p, x):
        def write():
            x[0] = 100
            return 0
        tracejit.cond(p, write, lambda: 0)
        return x.sum()
    for p in (True, False):
        x = X.copy()
        want = X.sum() + (99 if p else 0)
        assert f(np.bool_(p), x) == want and x[0] == (100 if p else 1)


def test_cond_of_results_that_differ():
    with pytest.raises(CarryError, match=r"cond: the result is f64\[6\] in one branch and f64\[3\] in another"):
        tracejit.jit(lambda p, x: tracejit.cond(p, lambda: x[:3], lambda: x))(np.True_, X)


def test_switch():
    branches = [lambda x: x * 2, lambda x: x + 1, lambda x: -x]
    for k, want in ((-3, X * 2), (0, X * 2), (1, X + 1), (2, -X), (9, -X)):
        np.testing.assert_array_equal(both(lambda k, x: tracejit.switch(k, branches, x), k, X), want)
    with pytest.raises(TypeError, match="an integer index"):
        tracejit.switch(1.0, branches, X)
    with pytest.raises(ValueError, match="no branches"):
        tracejit.switch(0, [], X)


# ---------------------------------------------------------------- loops
def test_while_loop():
    def gcd(a, b):
        return tracejit.while_loop(lambda v: v[1] > 0, lambda v: (v[1], v[0] % v[1]), (a, b))[0]
    assert both(gcd, 1071, 462) == 21 and both(gcd, 7, 0) == 7


def test_while_loop_over_a_nest():
    def f(x):
        def body(v):
            return {"x": v["x"] / 2, "n": v["n"] + 1, "name": v["name"]}
        out = tracejit.while_loop(lambda v: (v["x"] ** 2).sum() > 1, body, {"x": x, "n": 0, "name": "kept"})
        assert out["name"] == "kept"
        return out["x"], out["n"]
    x, n = both(f, X)
    np.testing.assert_array_equal(x, X / 16)
    assert n == 4


def test_fori_loop():
    def f(low, high, x):
        return tracejit.fori_loop(low, high, lambda i, s: s + x[i] * i, 0)
    for low, high in ((0, 6), (2, 5), (4, 4), (5, 2)):
        want = sum((X[i] * i for i in range(low, high)), 0)
        assert both(f, low, high, X) == want
    jitted = tracejit.jit(f)
    for high in range(6):
        jitted(0, high, X)
    assert jitted.cache_info().traces == 1


def test_fori_loop_writes_in_place():
    @tracejit.jit
    def sieve(n):
        prime = np.ones(100, bool)
        prime[:2] = False

        def strike(i, _):
            def inner(j, _):
                prime[i * (j + 2)] = False
                return _
            return tracejit.cond(prime[i], lambda: tracejit.fori_loop(0, 99 // i - 1, inner, _), lambda: _)
        tracejit.fori_loop(2, 10, strike, None)
        return prime
    want = [n for n in range(100) if n > 1 and all(n % d for d in range(2, n))]
    np.testing.assert_array_equal(np.nonzero(sieve(3))[0], want)


def test_the_first_value_stays_as_it_is():
    def f(x, swap):
        def body(i, pair):
            u, v = pair
            v[i] = u[i] + 10
            return (v, u) if swap else (u, v)
        u, v = tracejit.fori_loop(0, 3, body, (x, x + 1))
        return u, v, x * 1
    for swap in (False, True):
        x = X.copy()
        u, v, same = tracejit.jit(f, static_argnums=1)(x, swap)
        a, b = X.copy(), X + 1
        for i in range(3):
            b[i] = a[i] + 10
            a, b = (b, a) if swap else (a, b)
        np.testing.assert_array_equal([u, v], [a, b])
        np.testing.assert_array_equal([x, same], [X, X])


# ---------------------------------------------------------------- scan, map
def python_scan(f, init, xs=None, length=None, reverse=False):
    rows = range(length) if xs is None else range(len(xs))
    ys = []
    for k in reversed(rows) if reverse else rows:
        init, y = f(init, None if xs is None else xs[k])
        ys.append(y)
    return init, np.stack(ys[::-1] if reverse else ys)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse):
    def step(s, x):
        return s * 0.5 + x, s * x
    for xs in (X, X.astype("f4"), np.arange(12.0).reshape(4, 3)):
        init = 0.0 if xs.ndim == 1 else np.ones(3)
        carry, ys = both(lambda init, xs: tracejit.scan(step, init, xs, reverse=reverse), init, xs)
        want = python_scan(step, init, xs, reverse=reverse)
        np.testing.assert_allclose(carry, want[0], rtol=1e-6)
        np.testing.assert_allclose(ys, want[1], rtol=1e-6)
        assert ys.dtype == xs.dtype


def test_scan_over_nests():
    def step(carry, row):
        return {"n": carry["n"] + 1, "t": carry["t"] + row["a"].sum()}, (row["b"] * carry["n"], None)
    xs = {"a": np.arange(6.0).reshape(3, 2), "b": np.arange(3)}
    carry, (ys, none) = both(lambda xs: tracejit.scan(step, {"n": 0, "t": 0.0}, xs), xs)
    assert carry == {"n": 3, "t": 15.0} and none is None
    np.testing.assert_array_equal(ys, [0, 1, 4])


def test_scan_without_xs():
    carry, ys = both(lambda x: tracejit.scan(lambda c, _: (c * 2, c), x, length=5), 1)
    assert carry == 32
    np.testing.assert_array_equal(ys, [1, 2, 4, 8, 16])


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_until(reverse):
    def step(c, v):
        return c * 0.5 + v, (c, {"twice": 2 * v})

    def python(xs):
        carry, first, second, order = 0.0, [], [], range(len(xs))
        for k in reversed(order) if reverse else order:
            carry, (a, b) = step(carry, xs[k])
            first.append(a)
            second.append(b["twice"])
            if carry > 4:
                break
        turn = slice(None, None, -1 if reverse else 1)
        return carry, np.array(first)[turn], np.array(second)[turn]
    jitted = tracejit.jit(lambda xs: tracejit.scan(step, 0.0, xs, reverse=reverse, until=lambda c, y: c > 4))
    for xs in (X, X + 9, X * 0):
        carry, (first, second) = jitted(xs)
        want = python(xs)
        np.testing.assert_allclose(carry, want[0])
        np.testing.assert_allclose(first, want[1])
        np.testing.assert_allclose(second["twice"], want[2])
    assert jitted.cache_info().traces == 1 and not jitted.cache_info().variants

    def loss(xs):
        carry, (first, _) = tracejit.scan(step, 0.0, xs, reverse=reverse, until=lambda c, y: c > 4)
        return carry**2 + first.sum()
    tracejit.testing.check_grads(loss, (X + 0.25,), order=1)


def test_scan_of_nothing():
    carry, ys = both(lambda xs: tracejit.scan(lambda c, x: (c + x, x * 2), 1.5, xs), np.zeros(0))
    assert carry == 1.5 and ys.shape == (0,) and ys.dtype == np.float64


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_over_as_many_rows_as_the_data_decide(reverse):
    def step(c, v):
        return c * 0.5 + v, c * v
    jitted = tracejit.jit(lambda x: tracejit.scan(step, 0.0, x[x > 2.5], reverse=reverse))
    for x in (X, X[::-1], X * 0, X + 9):
        carry, ys = jitted(x)
        rows = x[x > 2.5]
        want = python_scan(step, 0.0, rows, reverse=reverse) if len(rows) else (0.0, np.zeros(0))
        np.testing.assert_allclose(carry, want[0])
        np.testing.assert_allclose(ys, want[1])
    assert jitted.cache_info().traces <= 2  # the reversed view has another layout


@pytest.mark.parametrize("call, error, words", [
    (lambda: tracejit.scan(lambda c, x: (c, x), 0, (X, X[1:])), ValueError, "different leading axis sizes"),
    (lambda: tracejit.scan(lambda c, x: (c, x), 0, X, length=2), ValueError, "different leading axis sizes"),
    (lambda: tracejit.scan(lambda c, x: (c, x), 0), ValueError, "neither xs nor a length"),
    (lambda: tracejit.scan(lambda c, x: (c, x), 0, 3.0), ValueError, "without axes"),
    (lambda: tracejit.scan(lambda c, x: c, 0, X), TypeError, r"returns \(carry, y\)"),
    (lambda: tracejit.scan(lambda c, x: (c[1:], x), X, X), CarryError, r"carry is f64\[6\] before"),
    (lambda: tracejit.fori_loop(0, 3, lambda i, v: v.astype("f4"), X), CarryError, r"val is f64\[6\].*f32\[6\]"),
    (lambda: tracejit.while_loop(lambda v: True, lambda v: (v, v), X), CarryError, "a tuple of 2"),
])
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_map():
    def f(row):
        return row.sum(), row * 2
    total, twice = both(lambda x: tracejit.map(f, x), np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(total, [1, 5, 9])
    np.testing.assert_array_equal(twice, np.arange(6.0).reshape(3, 2) * 2)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_associative_scan(reverse, axis):
    x = np.random.default_rng(0).uniform(0.5, 1.5, (4, 5))
    got = both(lambda x: tracejit.associative_scan(lambda a, b: a * b, x, reverse=reverse, axis=axis), x)
    turned = np.flip(x, axis) if reverse else x
    want = np.cumprod(turned, axis)
    np.testing.assert_allclose(got, np.flip(want, axis) if reverse else want)


def test_associative_scan_of_pairs():
    """First-order linear recurrences, as in JAX's documentation."""
    def combine(a, b):
        return a[0] * b[0], a[1] * b[0] + b[1]
    a, b = np.random.default_rng(1).uniform(-1, 1, (2, 7))
    _, got = both(lambda a, b: tracejit.associative_scan(combine, (a, b)), a, b)
    want, y = [], 0.0
    for p, q in zip(a, b):
        y = p * y + q
        want.append(y)
    np.testing.assert_allclose(got, want)
    assert both(lambda a: tracejit.associative_scan(np.add, a), np.zeros((0, 2))).shape == (0, 2)


def test_outside_a_function_is_traced_once():
    def body(i, v):
        return v + i
    for n in range(4):
        assert tracejit.fori_loop(0, n, body, 0) == sum(range(n))
    assert outside(control._fori_loop, body).cache_info().traces == 1


def test_what_is_taken_for_jaxs_sake_changes_nothing():
    assert tracejit.fori_loop(0, 4, lambda i, v: v + i, 0, unroll=2) == 6
    assert tracejit.scan(lambda c, x: (c + x, None), 0.0, X, unroll=True)[0] == X.sum()
    np.testing.assert_array_equal(tracejit.map(lambda x: x * 2, X, batch_size=2), X * 2)


# ---------------------------------------------------------------- beside plain Python
def mixed_scan(x, scan, fori_loop, while_loop):
    def step(c, v):
        if v > 3:
            c = c + np.sqrt(v)
        else:
            c = c * 0.5
        for j in range(12):
            c = c + 0.01 * j * v
        return c, c
    return scan(step, 0.0, x)


def mixed_loops(x, scan, fori_loop, while_loop):
    out = np.zeros(len(x))
    for i in range(len(x)):
        out[i] = fori_loop(0, i, lambda j, s: s + x[j] * out[j], 1.0)
        if x[i] > 2:
            out[i] = while_loop(lambda v: v < 30, lambda v: v * 2 + 1, out[i])
    return out


def mixed_writes(x, scan, fori_loop, while_loop):
    y = np.resize(x, 12)

    def body(i, s):
        if y[i] > 3:
            y[i] = 100
        else:
            y[0] = y[0] + 1
        return s + y[i]
    return y, fori_loop(0, 12, body, 0.0)


def python_fori(lower, upper, body, value):
    for i in range(lower, upper):
        value = body(i, value)
    return value


def python_while(test, body, value):
    while test(value):
        value = body(value)
    return value


@pytest.mark.parametrize("f", [mixed_scan, mixed_loops, mixed_writes], ids=lambda f: f.__name__)
def test_beside_plain_python(f):
    """`if` and `for` inside bodies, and loops inside `if` and `for`."""
    got = tracejit.jit(lambda x: f(x, tracejit.scan, tracejit.fori_loop, tracejit.while_loop))(X)
    compare(got, f(X, python_scan, python_fori, python_while))


def test_bodies_print_when_they_run(capsys):
    def step(c, v):
        print("at", c, v)
        return c + v, c
    both(lambda x: tracejit.scan(step, 0.0, x), np.arange(3.0))
    assert capsys.readouterr().out == "at 0.0 0.0\nat 0.0 1.0\nat 1.0 2.0\n" * 2


def test_bodies_assert_and_raise():
    @tracejit.jit
    def f(x, limit):
        def step(c, v):
            assert v < limit, "too large"
            if v == 7:
                raise ValueError("seven")
            return c + v, c
        return tracejit.scan(step, 0.0, x)[0]
    assert f(X, 10.0) == X.sum()
    with pytest.raises(AssertionError, match="too large"):
        f(X, 2.5)
    with pytest.raises(ValueError, match="seven"):
        f(X + 4, 100.0)


def test_a_body_that_does_something_else_each_time():
    state = {"n": 0}

    def body(i, v):
        state["n"] += 1
        extra = np.zeros(state["n"])
        return v + extra.size * (i + 1)
    with pytest.raises((CarryError, tracejit.errors.LeakError)):
        tracejit.fori_loop(0, 3, lambda i, v: (body(i, v[0]), np.zeros(state["n"])), (0, np.zeros(1)))


def test_loops_are_ops():
    text = str(tracejit.jit(lambda x: tracejit.scan(lambda c, r: (c + r, c), 0.0, x)).trace(X))
    assert text.count("for_loop(") == 1
