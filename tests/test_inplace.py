"""Arguments that a function changes are changed in their own memory where nothing can tell the difference."""

import numpy as np
import pytest

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


CASES = [
    (update, lambda n: [np.arange(n * 1.0), np.ones(n)], True),
    (update, lambda n: [np.arange(n), np.ones(n, int)], True),
    (swap, lambda n: [np.arange(n * 1.0), np.ones(n)], False),
    (stencil, lambda n: [np.arange(n * 1.0) ** 2], False),
    (sine, lambda n: [np.arange(n) * 1e16], False),
    (reverse, lambda n: [np.arange(n * 1.0)], False),
    (checked, lambda n: [np.arange(n * 1.0), 3], False),
    (total, lambda n: [np.ones(n)], None),
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
