"""Arguments that a function changes are changed in their own memory where nothing can tell the difference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracejit


def update(x, y):
    x += y
    x *= 2


def swap(a, b):
    a[...], b[...] = b.copy(), a.copy()


def stencil(u):
    u[1:-1] = (u[:-2] + u[2:]) / 2


def sine(x):
    np.sin(x, out=x)


def reverse(x):
    x[...] = x[::-1].copy()


def checked(x, i):
    x += x[i]


def total(x):
    x += 1
    return x.sum(), x


def steps(x, v, dt):
    v -= x * dt
    x += v * dt


def steps_of_three(x, y, z):
    x += y * z
    y *= x - z
    z -= x * y


def exchanged(x, y):
    x += y
    y -= x
    x += y
    x *= -1


def neighbours(x, v):
    v[1:] += x[:-1]
    x[1:] -= v[:-1]


def masked(x, v):
    v[x > 0] += 1
    x[:] = np.where(v > 1, x * v, v)


def energy(x, v):
    v -= 0.5 * x
    x += 0.5 * v
    return (x @ x + v @ v, x)


CASES = [
    (update, lambda n: [np.arange(n * 1.0), np.ones(n)], True),
    (update, lambda n: [np.arange(n), np.ones(n, int)], True),
    (swap, lambda n: [np.arange(n * 1.0), np.ones(n)], False),
    (stencil, lambda n: [np.arange(n * 1.0) ** 2], False),
    (sine, lambda n: [np.arange(n) * 1e16], False),
    (reverse, lambda n: [np.arange(n * 1.0)], False),
    (checked, lambda n: [np.arange(n * 1.0), 3], False),
    (total, lambda n: [np.ones(n)], None),
    (steps, lambda n: [np.arange(n * 1.0), np.ones(n), 0.5], True),
    (steps_of_three, lambda n: [np.arange(n * 1.0), np.ones(n), np.ones(n)], True),
    (exchanged, lambda n: [np.arange(n * 1.0), np.ones(n)], True),
    (neighbours, lambda n: [np.arange(n * 1.0), np.ones(n)], False),
    (masked, lambda n: [np.arange(n * 1.0) - 5, np.ones(n)], None),
    (energy, lambda n: [np.arange(n * 1.0), np.ones(n)], None),
]


@pytest.mark.parametrize("n", [8, 100_000])
@pytest.mark.parametrize("function, make, direct", CASES)
def test_the_arguments_change_as_in_numpy(function, make, direct, n):
    jitted = tracejit.jit(function)
    ours, theirs = make(n), make(n)
    for _ in range(2):
        result = jitted(*ours)
        wanted = function(*theirs)
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a, b, rtol=1e-14)
        if wanted is not None:
            assert result[0] == wanted[0] and result[1] is ours[0]
    assert direct is None or bool(jitted.entries[0].executable.inplace) is direct


@pytest.mark.parametrize("view", [lambda x: x[::2], lambda x: x[::-1], lambda x: x.astype(">f8")])
def test_what_is_not_plain_memory_goes_by_a_copy(view):
    jitted = tracejit.jit(update)
    ours, theirs = view(np.arange(20.0)), view(np.arange(20.0))
    jitted(ours, np.ones(len(ours)))
    update(theirs, np.ones(len(theirs)))
    np.testing.assert_array_equal(ours, theirs)


def test_a_call_that_raises_writes_nothing():
    x = np.arange(5.0)
    with pytest.raises(IndexError):
        tracejit.jit(checked)(x, 7)
    np.testing.assert_array_equal(x, np.arange(5.0))


UPDATES = ["{a} += {b} * {c}", "{a} -= {b}", "{a} *= 0.5", "{a}[...] = {b} + {c}", "{a}[{b} > 0] = {c}[{b} > 0]",
           "np.maximum({a}, {b}, out={a})", "{a}[1:] += {b}[:-1]", "{a} += np.tanh({b})", "t = {a} - {b}; {c} += t"]


@given(st.lists(st.tuples(st.sampled_from(UPDATES), st.permutations("xyz")), min_size=1, max_size=5))
def test_any_updates(statements):
    lines = [text.format(**dict(zip("abc", names))) for text, names in statements]
    world = {"np": np, "__name__": "made"}
    exec("def f(x, y, z):\n    " + "\n    ".join(lines), world)
    rng = np.random.default_rng(len(lines))
    ours = [rng.standard_normal(5000) for _ in range(3)]
    theirs = [x.copy() for x in ours]
    jitted = tracejit.jit(world["f"])
    for _ in range(2):
        jitted(*ours)
        world["f"](*theirs)
        for a, b in zip(ours, theirs):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13, err_msg="\n".join(lines))
