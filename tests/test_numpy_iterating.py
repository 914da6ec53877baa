"""Walks over elements, broadcasts as objects and views by strides against NumPy."""

import numpy as np
import pytest
from numpy_samples import call, check, floats, ints, traced_answer

from tracejit.errors import UnsupportedError

A, B, I = floats(3, 4), floats(4), ints(3, 4)
as_strided = np.lib.stride_tricks.as_strided


@pytest.mark.parametrize("f", [
    lambda x: [v * 2 for _, v in np.ndenumerate(x)], lambda x: [i for i, _ in np.ndenumerate(x)],
    lambda x: next(np.ndenumerate(x)), lambda x: sum(v for v in np.nditer(x)),
    lambda x: [v + 0 for v in np.nditer(x.T)], lambda x: [v + 0 for v in np.nditer(x.T, order="C")],
    lambda x: [a * b for a, b in np.nditer([x, x[0]])], lambda x: np.broadcast(x, x[0], x[:, :1]).shape,
    lambda x: [a - b for a, b in np.broadcast(x, x[0])], lambda x: np.broadcast(x[0], 1).size,
    lambda x: np.broadcast(x[0], x[:, :3]), lambda x: [x[i] for i in np.ndindex(x.shape)],
    lambda x: sum(v for v in x.flat), lambda x: np.broadcast(x, x[0]).nd])
@pytest.mark.parametrize("x", [A, I], ids=["floats", "ints"])
def test_walks(f, x):
    check(f, call(x))


def test_writing_on_the_way():
    def f(x):
        with np.nditer(x, op_flags=["readwrite"]) as walk:
            for v in walk:
                v[...] = v * 2 + 1
        for i, v in np.ndenumerate(x):
            x[i] = v - 1
        return x
    check(f, call(A))


@pytest.mark.parametrize("options", [{"flags": ["multi_index"]}, {"op_dtypes": [int]}])
def test_options_of_nditer_are_refused_by_name(options):
    error, _ = traced_answer(lambda x: [v for v in np.nditer(x, **options)], call(A))
    assert isinstance(error, UnsupportedError) and "np.ndindex" in str(error)


@pytest.mark.parametrize("f", [
    lambda x: as_strided(x, (2, 2), (8, 8)), lambda x: as_strided(x, (5, 3), (8, 16)) + 0, lambda x: as_strided(x),
    lambda x: as_strided(x, (3, 2, 2), (32, 8, 8)).sum(axis=-1), lambda x: as_strided(x[0], (2, 3), (0, 8)) * 1,
    lambda x: as_strided(x, x.shape[::-1], x.strides[::-1]), lambda x: as_strided(x, (0, 3), (8, 8)) + 0])
def test_views_by_strides(f):
    check(f, call(A))


def test_writing_through_strides():
    def f(x):
        y = as_strided(x, (3,), (40,))
        y[:] = 7
        y += x[0, 1]
        return x
    check(f, call(A))


@pytest.mark.parametrize("f", [
    lambda x: as_strided(x, (5, 5), (32, 8)), lambda x: as_strided(x, (2,), (3,)),
    lambda x: as_strided(x.T, (2,), (8,)), lambda x: as_strided(x, (2,), (-8,))])
def test_strides_that_a_graph_cannot_follow_are_refused(f):
    error, _ = traced_answer(f, call(A))
    assert isinstance(error, UnsupportedError) and "as_strided" in str(error)
