"""Derivatives where there is none, or where the formula is 0 * inf: what `docs/derivatives.md` says, row by row."""

import math
import re
import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy import special

import tracejit
from tracejit import config, grad, jit, jvp
from tracejit.errors import NotDifferentiableError
from tracejit.testing import check_grads

PAGE = (Path(__file__).parent.parent / "docs" / "derivatives.md").read_text(encoding="utf-8")
NAMES = {"np": np, "special": special, "inf": np.inf, "nan": np.nan}
ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \|$", PAGE, re.MULTILINE)


def summed(expression, count):
    """Return the function of a row, its elements added."""
    return eval(f"lambda {', '.join('xyz'[:count])}: np.sum({expression})", NAMES)


def numbers(text):
    """Return the arrays of a cell, or the error."""
    found = eval(f"({text},)", NAMES)
    if type(found[0]) is type:
        return found[0]
    return tuple(np.array(v, float)[()] for v in found)


def gradients(f, point):
    return grad(f, argnums=tuple(range(len(point))))(*point)


def second(f, point):
    return gradients(lambda *xs: sum(np.sum(g) for g in grad(f, argnums=tuple(range(len(xs))))(*xs)), point)


def columns(f, point):
    """Return the gradient by forward mode, one direction at a time."""
    found = []
    for i, x in enumerate(point):
        slopes = [jvp(f, point, tuple(_unit(v, k) if j == i else v * 0 for j, v in enumerate(finite(point))))[1]
                  for k in range(x.size)]
        found.append(np.reshape(slopes, x.shape))
    return found


def finite(point):
    return tuple(np.nan_to_num(x, nan=0, posinf=0, neginf=0) for x in point)


def _unit(x, k):
    return (np.arange(x.size) == k).astype(float).reshape(x.shape)[()]


def agree(got, want):
    for a, b in zip(got, want, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_the_page_has_rows_for_all_of_its_tables():
    assert len(ROWS) == len([line for line in PAGE.splitlines() if line.startswith("| `")]) > 60


def check(found, want):
    """Assert that a call gives the arrays of a cell, or raises its error."""
    if type(want) is type:
        with pytest.raises(want):
            found()
    else:
        agree(found(), want)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("expression, at, first, higher", ROWS, ids=[f"{row[0]} at {row[1]}" for row in ROWS])
def test_the_derivatives_are_those_of_the_page(expression, at, first, higher):
    """In reverse and forward mode, and the second ones; where they are not finite, a direction of 0 makes them nan."""
    point = numbers(at)
    f = summed(expression, len(point))
    with config.context(backend="ref"):
        check(lambda: gradients(f, point), numbers(first))
        if type(numbers(first)) is type or all(np.isfinite(v).all() for v in numbers(first)):
            check(lambda: columns(f, point), numbers(first))
        check(lambda: second(f, point), numbers(higher))


@pytest.mark.filterwarnings("ignore")
def test_compiled_code_has_the_same():
    """All rows in one function."""
    rows = [row for row in ROWS if type(numbers(row[2])) is not type]
    points = [numbers(row[1]) for row in rows]
    functions = [summed(row[0], len(point)) for row, point in zip(rows, points)]
    got = jit(lambda points: [gradients(f, point) for f, point in zip(functions, points)])(points)
    for found, row in zip(got, rows, strict=True):
        agree(found, numbers(row[2]))


# ---------------------------------------------------------------- numbers that leave the graph
@pytest.mark.parametrize("taken", [
    lambda x: statistics.fmean(x), lambda x: np.frombuffer(x.tobytes()).sum(), lambda x: x.__array__().sum(),
    lambda x: "%g".__mod__(x[0]) and x.sum(),
], ids=["fmean", "tobytes", "array", "format"])
def test_a_number_that_leaves_what_is_differentiated_is_refused(taken):
    """Silently, its derivative would be zero."""
    x = np.array([1.0, 2.0, 3.0])
    for transform in (tracejit.grad, tracejit.jacfwd, lambda f: tracejit.grad(tracejit.jit(f))):
        with pytest.raises(NotDifferentiableError, match="of which a derivative is taken"):
            transform(taken)(x)
    held = lambda x: taken(tracejit.stop_gradient(x)) + (x * x).sum()
    np.testing.assert_allclose(tracejit.grad(held)(x), 2 * x)
    other = lambda x, y: taken(y) * x.sum()
    np.testing.assert_allclose(tracejit.grad(other)(x, x), np.full(3, taken(x)))


@pytest.mark.parametrize("number", [
    lambda x: math.fsum(v * v for v in x), lambda x: math.prod(v for v in x), lambda x: math.hypot(*x),
    lambda x: math.hypot(x[0]), lambda x: math.dist(x, [0.5, x[0], 2.0]), lambda x: math.hypot(x[1], 2.0),
], ids=["fsum", "prod", "hypot", "one", "dist", "two"])
def test_functions_of_math_over_several_numbers(number):
    x = np.array([1.0, 2.0, 3.5])
    assert abs(tracejit.jit(number)(x) - number(x)) < 1e-14 * abs(number(x))
    check_grads(number, (x,), order=2)
