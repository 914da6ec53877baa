"""Manipulation functions against NumPy: values, dtypes, shapes, views, errors."""

import numpy as np
import pytest
from numpy_samples import Number, any_arrays, bools, call, cases, check, floats, ints
from tracing import same

A, B, C = floats(3, 4), floats(4), floats(2, 3, 4)
COLUMN = floats(3, 1)
I = ints(3, 4, dtype=np.int32)
window_view = np.lib.stride_tricks.sliding_window_view

EACH = [call(a) for a in any_arrays()]
JOIN = [call([A, A]), call((A, A + 1)), call([A, I]), call([B, B, B]), call([]), call([[1, 2], [3, 4]]), call([A, B]),
        call(A),
        call(C), call([2.0, 3.0]), call([Number(2.0), 3]), call([A.astype(np.float32), I.astype(np.int8)]),
        call([A, A[:2]]),
        call(5), call([A.T, A.T]), call([floats(0, 4), A]), call([bools(3, 4), A]), call([B, B], dtype=np.float32)]
SPLIT = [call(A, 2, axis=1), call(A, 3), call(A, 2), call(B, [1, 3]), call(A, [1, 9], 1), call(C, 2, -1), call(A, 0),
         call(B, [2, 1]), call(A, 3, 7), call(B, np.int64(2)), call(A, (1, 2))]

def borders(vector, width, axis, options):
    """Write the borders of a vector, as `np.pad` asks a function to."""
    vector[:width[0]] = options.get("p", 10)
    vector[vector.size - width[1]:] = -vector[width[0]]


SAMPLES = {
    np.concatenate: [*JOIN, call([A, I], 1), call([A, I], axis=None), call([A, A], -1), call([A, A], 2),
                     call([C, C], 1),
                     call([A, A], out=np.zeros((6, 4))), call([A, A], out=np.zeros((6, 4), np.float32)),
                     call([A, A], dtype=int), call([A, A], dtype=int, casting="unsafe"),
                     call([A, A], out=np.zeros((2, 2))),
                     call([np.array(1.0)]), call([2, B], axis=None)],
    np.stack: [*JOIN, call([A, I], 1), call([A, A], -1), call([A, A], 3), call([B, B], axis=1),
               call([A, A], out=np.zeros((2, 3, 4)))],
    np.vstack: JOIN,
    np.hstack: JOIN,
    np.dstack: [call([A, A]), call([B, B]), call([C, C]), call([]), call([A, B])],
    np.column_stack: [call([B, B]), call([A, floats(3)]), call([A, B]), call([A, A]), call([1, 2]), call([])],
    np.append: [call(A, B), call(A, A, 0), call(B, 3), call(A, B, 0), call([1, 2], B), call(A, COLUMN, axis=1)],
    np.block: [call([[A, A], [A, A]]), call([A, COLUMN]), call(A), call([B, 1]), call([[A, COLUMN], [B, 7]]), call([]),
               call([[A], A]), call([[1, 2], [3, 4]]), call([C, C]), call((A, A))],
    np.split: SPLIT,
    np.array_split: SPLIT + [call(B, 3), call(A, 5)],
    np.hsplit: [call(A, 2), call(B, 2), call(A, [1]), call(np.array(1.0), 1)],
    np.vsplit: [call(A, 3), call(A, [1]), call(B, 2)],
    np.dsplit: [call(C, 2), call(A, 2)],
    np.reshape: [call(a, -1) for a in any_arrays()] + [
        call(A, (2, 6)), call(A, (2, -1)), call(A, 12), call(A, (5, 2)), call(A, (-1, -1)), call(A, (2, 6), "F"),
        call(A.T, (2, 6)),
        call(A.T, (2, 6), "A"), call(A, (2, 3, 2)), call(2.0, (1, 1)), call([[1, 2]], (2,)), call(A, [4, 3]),
        call(floats(0, 3), (3, 0)),
        call(floats(0, 3), (2, -1)), call(A, (3, 4), copy=True), call(A.T, -1, copy=False), call(A[:, ::2], (6,)),
        call(B, ())],
    np.ravel: EACH + [call(A, "F"), call(A.T, "K"), call(A.T, "A"), call([[1, 2], [3, 4]]), call(2)],
    np.transpose: EACH + [call(C, (1, 0, 2)), call(C, (0, 1)), call(C, (0, 0, 1)), call(C, [-1, 0, 1]),
                          call([[1, 2], [3, 4]])],
    np.swapaxes: [call(A, 0, 1), call(C, 0, -1), call(C, 0, 3), call(C, 1, 1), call([[1, 2]], 0, 1)],
    np.moveaxis: [call(C, 0, -1), call(C, [0, 1], [-1, 0]), call(C, 0, 5), call(C, [0, 0], [1, 2]),
                  call(C, [0, 1], [1]),
                  call(C, (0, 1, 2), (2, 1, 0))],
    np.rollaxis: [call(C, 2), call(C, 1, 3), call(C, -1, 1), call(C, 0, 5), call(C, 7)],
    np.squeeze: EACH + [call(floats(1, 3, 1)), call(floats(1, 3, 1), 0), call(floats(1, 3, 1), (0, -1)),
                        call(floats(1, 3, 1), 1),
                        call(floats(1, 3, 1), 5), call(floats(1, 1)), call([[[1, 2]]])],
    np.expand_dims: [call(A, 0), call(A, -1), call(A, (0, 2)), call(A, 5), call(A.T, 1), call(2.0, 0), call(A, (0, 0)),
                     call(B, [0])],
    np.atleast_1d: EACH + [call(3.0), call([1, 2]), call(A, 3.0, B), call(Number(2.0)), call()],
    np.atleast_2d: EACH + [call(3.0), call([1, 2]), call(A, 3.0, B), call(B)],
    np.atleast_3d: EACH + [call(3.0), call(B), call(A, 3.0), call(C)],
    np.broadcast_to: [call(B, (3, 4)), call(COLUMN, (3, 4)), call(2.0, (2, 2)), call(A, (2, 3, 4)), call(A, (3, 5)),
                      call(B, 4),
                      call(A, (4,)), call(np.array(1.0), ()), call(floats(1, 0), (3, 0)), call(B, [2, 4])],
    np.broadcast_arrays: [call(A, B), call(A, COLUMN, 2.0), call(A), call(), call(A, floats(5)), call(B, [[1], [2]])],
    np.resize: [call(A, (2, 3)), call(A, 20), call(B, (3, 3)), call([1, 2], 5), call(floats(0), (2,)), call(A, (2, 0)),
                call(A, -1)],
    np.flip: EACH + [call(A, 0), call(A, -1), call(C, (0, 2)), call(A, 5), call(A, ()), call([1, 2, 3])],
    np.fliplr: [call(A), call(C), call(B), call([[1, 2]])],
    np.flipud: [call(A), call(B), call(np.array(1.0)), call([[1, 2], [3, 4]])],
    np.rot90: [call(A), call(A, 2), call(A, -1), call(A, 4), call(C, 1, (1, 2)), call(B), call(C, 1, (0, 0)),
               call(A, 1, (0, 5))],
    np.roll: [call(A, np.array(3)), call(A, np.array(-5), 1), call(A, np.array([1, 2]), (0, 1)),
              call(A, np.array([1, 2]), 0), call(A, Number(2)), call(A, 1.0), call(A, np.array([[1]]), 0),
              call(floats(0), np.array(2)),
              call(A, 1), call(A, -5), call(A, 2, 0), call(A, 1, 1), call(A, (1, 2), (0, 1)), call(A, (1, 1), 1),
              call(A, 1, 5),
              call(A, 3, (0, 1)), call(floats(0, 3), 2), call(B, 100), call([1, 2, 3], 1), call(A, 0),
              call(np.array(1.0), 1)],
    np.tile: [call(A, 2), call(A, (2, 3)), call(B, (2, 2, 2)), call(A, ()), call(2.0, 3), call([1, 2], 2),
              call(A, (0, 1)), call(A, 1),
              call(C, (2, 1)), call(A, -1)],
    np.pad: [call(A, 2, "reflect", reflect_type="odd"), call(A, ((5, 3), (1, 1)), "symmetric", reflect_type="odd"),
             call(A, 2, borders), call(A, ((1, 2), (0, 1)), borders, p=3.0), call(I, 1, borders),
             call(A, 1), call(A, (1, 2)), call(A, ((1, 0), (2, 3))), call(A, 1, constant_values=7),
             call(A, 2, constant_values=((1, 2), (3, 4))),
             call(A, 0), call(I, 1, constant_values=2.7), call(A, ((0, 0), (1, 1)), "edge"), call(A, 2, "reflect"),
             call(A, 2, "symmetric"),
             call(A, 2, "wrap"), call(A, (7, 5), "reflect"), call(A, (7, 9), "wrap"), call(A, 9, "symmetric"),
             call(B, 2, mode="edge"),
             call(A, 2, "maximum"), call(A, 2, "minimum", stat_length=2), call(A, 2, "mean"), call(A, 2, "median"),
             call(I, 1, "mean"),
             call(A, 2, "linear_ramp"), call(A, (1, 3), "linear_ramp", end_values=5), call(A, -1), call(A, 1, "nope"),
             call(A, 1, "edge", constant_values=3), call(A, 1.5), call(np.float32(A), 1), call(floats(0, 3), 1, "edge"),
             call(floats(0, 3), ((0, 0), (1, 1))), call(bools(3), 1), call(A, {1: 2}), call([1, 2], 1),
             call(C, ((0, 0), (1, 1), (1, 1))),
             call(A, 1, constant_values=np.array(2.5)), call(floats(1, 3), 2, "reflect"), call(A, (1, 2, 3))],
    window_view: [call(B, 2), call(A, (2, 2)), call(A, 2, 1), call(C, (2, 3), (1, 2)), call(C, (2, 3), (-1, 0)),
                  call(A, 2), call(A, 5, 0),
                  call(A, (2, 2), 0), call(B, 0), call(B, -1), call(A.T, (2, 1)), call(A, (), ()), call(I, 3, -1),
                  call([1, 2, 3], 2)],
}
for name in ("concat", "permute_dims", "matrix_transpose", "unstack"):
    if hasattr(np, name):
        SAMPLES[getattr(np, name)] = {
            "concat": [call([A, A]), call([A, A], axis=1)], "permute_dims": [call(C, (2, 0, 1)), call(A)],
            "matrix_transpose": [call(A), call(C), call(B)],
            "unstack": [call(A), call(C, axis=-1), call(np.array(1.0)), call(A, axis=4)]}[name]
SAMPLES[np.linalg.matrix_transpose] = [call(A), call(C), call(B)]


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


@pytest.mark.parametrize("program", [
    lambda x, y: np.r_[x, 1, y], lambda x, y: np.r_[0:4, x], lambda x, y: np.r_[-1:1:6j, [0] * 3, 5, x], lambda x,
    y: np.c_[x, y],
    lambda x, y: np.c_[x, y, [1, 2, 3, 4]], lambda x, y: np.c_[np.outer(x, y), x], lambda x, y: np.r_["1,2,0", x, y],
    lambda x, y: np.r_["0,2", x, y], lambda x, y: np.r_["-1", np.outer(x, y), np.outer(y, x)], lambda x,
    y: np.r_["nope", x],
    lambda x, y: np.r_["0,3,1", x, np.outer(x, y)], lambda x, y: np.r_[x, "0"], lambda x, y: np.c_[1:5, x], lambda x,
    y: np.r_[2.0, 3],
    lambda x, y: np.r_[x.astype(np.float32), 1.5],
])
def test_joining_by_subscripts(program):
    check(program, call(B, ints(4)))


@pytest.mark.parametrize("view", [
    lambda x: x.reshape(4, 3), lambda x: np.reshape(x, -1), lambda x: x.T, lambda x: np.transpose(x),
    lambda x: np.swapaxes(x, 0, 1),
    lambda x: np.moveaxis(x, 0, 1), lambda x: np.squeeze(x[None]), lambda x: np.expand_dims(x, 1),
    lambda x: np.ravel(x),
    lambda x: np.ravel(x.T), lambda x: np.reshape(x.T, (2, 6)), lambda x: np.flip(x), lambda x: np.rot90(x),
    lambda x: np.atleast_3d(x),
    lambda x: np.split(x, 2, axis=1)[1], lambda x: np.array_split(x, 2)[0], lambda x: np.rollaxis(x, 1),
    lambda x: np.reshape(x, (6, 2), "F"),
    lambda x: np.broadcast_arrays(x, x)[0], lambda x: np.fliplr(x), lambda x: np.flipud(x),
    lambda x: np.atleast_2d(x[0]),
    lambda x: np.matrix_transpose(x) if hasattr(np, "matrix_transpose") else x.T,
])
def test_view_or_copy(view):
    """A write to the result reaches the argument exactly where it does in NumPy."""
    def program(x):
        y = view(x)
        y[(0,) * y.ndim] = 99
        return y.copy()

    check(program, call(A))
    check(program, call(A.T))


@pytest.mark.parametrize("view", [lambda x: np.broadcast_to(x, (2, 3, 4)), lambda x: window_view(x, (2, 2)),
                                  lambda x: np.broadcast_to(x[0, 0], (3, 4)), np.diagonal])
def test_views_that_are_read_only(view):
    def program(x):
        y = view(x)
        y[(0,) * y.ndim] = 99

    check(program, call(A))


def test_windows_of_an_array_that_is_written_later():
    def program(x):
        w = window_view(x, 2, 1)
        x[0, 0] = 50
        return w.sum(-1)

    check(program, call(A))


def test_edges_of_scalars_and_leading_axes_of_one():
    def f(x):
        s = x.sum()
        np.copyto(x, x[None] * 2, where=x > 2)
        return (np.pad(s, 1), np.argmax(s, axis=0, keepdims=True), np.argmax(x, keepdims=True),
                np.delete(x, [0, 1, 2, 3], axis=0), np.delete(s, 0, axis=0))
    same(f, np.arange(12.0).reshape(4, 3))
