"""Loops whose turns run side by side in the lanes of vectors: which they are, and that each sum keeps its order."""

import numpy as np
import pytest

import tracejit
from tracejit.kernels.c.emit import emit
from tracejit.kernels.toolchain import available


def lines(function, *arguments):
    """Return the C lines that follow a mark for vectors and begin a loop of a region, without those of kernels."""
    text = emit(tracejit.jit(function).trace(*arguments).lower().program)[0].split("\n")
    return [row.strip() for mark, row in zip(text, text[1:]) if mark.strip() == "TJ_SIMD" and "(int64_t z" in row]


def product(a, b):
    out = np.empty((a.shape[0], b.shape[1]))
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            s = 0.0
            for k in range(a.shape[1]):
                s += a[i, k] * b[k, j]
            out[i, j] = s
    return out


def windows(x, weights):
    out = np.empty(x.size - weights.size + 1)
    for i in range(out.size):
        total = 0.0
        for k in range(weights.size):
            total += np.sqrt(x[i + k]) / weights[k] if weights[k] > 0.5 else x[i + k]
        out[i] = total
    return out


@pytest.mark.skipif(not available(), reason="needs a C compiler")
@pytest.mark.parametrize("function, shapes", [
    (product, [(20, 33), (33, 37)]), (product, [(40, 17), (17, 16)]), (windows, [(100,), (21,)])])
def test_sums_side_by_side_are_bit_by_bit_what_they_were(function, shapes):
    rng = np.random.default_rng(5)
    arguments = [rng.random(shape) for shape in shapes]
    assert len(lines(function, *arguments)) == 1
    assert np.array_equal(tracejit.jit(function)(*arguments), function(*arguments))


def row_sums(a, b):
    out = np.empty(a.shape[0])
    for i in range(a.shape[0]):
        s = 0.0
        for k in range(a.shape[1]):
            s += a[i, k]
        out[i] = s
    return out


def triangle(a, b):
    out = np.empty(a.shape[1])
    for j in range(a.shape[1]):
        s = 0.0
        for k in range(j):
            s += a[k, j]
        out[j] = s
    return out


def carried(a, b):
    s = 0.0
    out = np.empty(a.shape[1])
    for j in range(a.shape[1]):
        for k in range(a.shape[0]):
            s += a[k, j]
        out[j] = s
    return out


def reads_what_it_writes(a, b):
    out = np.zeros(a.shape[1])
    for j in range(1, a.shape[1]):
        s = 0.0
        for k in range(a.shape[0]):
            s += a[k, j] + out[j - 1]
        out[j] = s
    return out


def one_place(a, b):
    out = np.zeros(2)
    for j in range(a.shape[1]):
        s = 0.0
        for k in range(a.shape[0]):
            s += a[k, j]
        out[0] = s
    return out


def at_data(a, b):
    out = np.zeros(a.shape[1])
    for j in range(a.shape[1]):
        s = 0.0
        for k in range(a.shape[0]):
            s += a[k, b[j]]
        out[b[j]] = s
    return out


@pytest.mark.skipif(not available(), reason="needs a C compiler")
@pytest.mark.parametrize("function", [row_sums, triangle, carried, reads_what_it_writes, one_place, at_data])
def test_turns_that_may_meet_or_read_far_apart_are_left_in_order(function):
    rng = np.random.default_rng(6)
    arguments = rng.random((21, 21)), rng.permutation(21)
    assert lines(function, *arguments) == []
    assert np.array_equal(tracejit.jit(function)(*arguments), function(*arguments))


def halved_or_tripled(x):
    steps = 0
    while x != 1:
        x = x // 2 if x % 2 == 0 else 3 * x + 1
        steps += 1
    return steps


def halved_or_tripled_each(x):
    out = np.empty_like(x)
    for i in range(x.size):
        out[i] = x[i] // 2 if x[i] % 2 == 0 else 3 * x[i] + 1
    return out


@pytest.mark.skipif(not available(), reason="needs a C compiler")
def test_choices_in_a_chain_are_made_between_computed_values():
    """A jump would be guessed wrong half of the time; where turns are independent, vectors know no jumps."""
    x = np.arange(1, 40)
    assert "TJ_BOTH" in emit(tracejit.jit(halved_or_tripled).trace(27).lower().program)[0]
    assert "TJ_BOTH" not in emit(tracejit.jit(halved_or_tripled_each).trace(x).lower().program)[0]
    assert tracejit.jit(halved_or_tripled)(27) == halved_or_tripled(27)
    assert np.array_equal(tracejit.jit(halved_or_tripled_each)(x), halved_or_tripled_each(x))
