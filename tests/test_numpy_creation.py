"""Creation functions against NumPy: values, dtypes, shapes, forms, errors."""

import numpy as np
import pytest
from numpy_samples import Number, any_arrays, bools, call, cases, check, floats, ints

A, B = floats(3, 4), floats(4)

LIKE = [call(a) for a in any_arrays()] + [
    call(A, dtype=np.float32), call(A, shape=(2, 5)), call(A, np.int8, "F"), call(A.T), call(A.T, order="C"),
    call([[1, 2], [3, 4]]), call(2.5), call(A, shape=7), call(A, shape=()),
]
CONVERT = [call(a) for a in any_arrays()] + [
    call([1, 2, 3]), call([[1, 2.5], [3, 4]]), call(A, dtype=np.float32), call(A, np.int64), call([A, A + 1]),
    call((B, B)),
    call([[B[0], B], [1, 2]]), call([B, [1, 2, 3, 4]], dtype=np.float32), call(3), call(2.5, dtype=np.float16),
    call(True),
    call([]), call([[], []]), call(Number(2.5)), call([Number(2.5), 1]), call([np.array(1.0), 2]), call(np.float32(3)),
    call(A.T, order="C"), call(A, order="F"), call([np.array([1], np.int8), np.array([2], np.uint8)]), call(range(4)),
]
SHAPES = [call(3), call((2, 3)), call([2, 3]), call(()), call((2, 0)), call(np.int32(2)), call((2, 3), np.float32),
          call((2, 3), dtype=bool), call((2, 3), order="F"), call(-1), call((2, 3), int), call("a"), call(2.5)]

SAMPLES = {
    np.array: [*CONVERT, call(A, copy=False), call(A, ndmin=3), call([1, 2], ndmin=2), call([1], copy=False),
               call(A, dtype=np.float32, copy=False), call([[1, 2], [3]]), call([B, B[:2]])],
    np.asarray: [*CONVERT, call(A, copy=True), call([1, 2], copy=False)],
    np.asanyarray: CONVERT,
    np.from_dlpack: [call(A), call(A, copy=True), call(2.0)],
    np.ascontiguousarray: [call(A), call(A.T), call(5.0), call([1, 2]), call(A, np.float32)],
    np.asfortranarray: [call(A), call(A.T), call([1, 2]), call(5.0)],
    np.asarray_chkfinite: [call(A), call([1.0, 2.0]), call(A, np.float32)],
    np.copy: [call(a) for a in any_arrays()] + [call([1, 2]), call(A.T, order="C"), call(3.0)],
    np.require: [call(A), call(A, np.float32), call(A.T, None, "C"), call(A, None, ["F"]), call(A, None, ["C", "F"])],
    np.zeros: [*SHAPES, call(3, like=A), call(3, like=2)],
    np.ones: SHAPES,
    np.empty: [call((2, 0)), call(0), call(-1), call((0, 3), np.float32)],
    np.full: [call(3, 2), call((2, 3), 2.5), call((2, 3), B[:3]), call(3, np.array(2.0)), call((2, 3), 2.7, int),
              call(3, Number(2.5)), call(3, Number(2)), call((2, 3), B), call(3, 300, np.uint8), call(3, True),
              call((2,), 1j),
              call((2, 3), np.nan, np.float32), call((), 3), call(3, [1, 2, 3]), call((2, 3), 1, order="F")],
    np.zeros_like: LIKE,
    np.ones_like: LIKE,
    np.empty_like: [call(floats(0, 3)), call(floats(0)), call(A, shape=(0, 3)), call(floats(0, 2), np.int8)],
    np.full_like: [call(A, 2), call(A, np.array(2.5)), call(ints(3), 2.7), call(A, B), call(A, Number(2.0)), call(B, A),
                   call(ints(3, dtype=np.int8), 300), call(A.T, 1), call(A, 1, dtype=int, shape=(2,)),
                   call([1, 2], 3.5)],
    np.eye: [call(3), call(3, 4), call(3, 4, 1), call(3, 4, -1), call(3, dtype=np.float32), call(3, 3, 7), call(0),
             call(2, dtype=bool),
             call(3, order="F"), call(-1), call(2.5)],
    np.identity: [call(3), call(2, np.int32), call(0)],
    np.tri: [call(3), call(3, 4), call(3, 4, 1), call(3, 4, -2, np.int8), call(3, dtype=bool)],
    np.tril: [call(a) for a in any_arrays() if a.ndim] + [call(A, 1), call(A, -1), call(B), call(floats(2, 3, 3)),
                                                          call(A, 9),
                                                         call([[1, 2], [3, 4]])],
    np.triu: [call(a) for a in any_arrays() if a.ndim] + [call(A, 1), call(A, -1), call(B), call(floats(2, 3, 3)),
                                                          call(A, -9)],
    np.arange: [call(5), call(5, like=A), call(2, 7), call(2, 7, 2), call(7, 2, -2), call(0.0, 1.0, 0.1), call(5.0),
                call(200),
                call(3, 300, 2),
                call(0, 100.0, 0.5), call(5, dtype=np.float32), call(200, dtype=np.float32),
                call(0, 50, 0.25, np.float32),
                call(stop=4), call(start=2, stop=6), call(3, 1), call(0), call(np.int32(5)), call(np.float32(3)),
                call(0, 300, 3, np.int16), call(1, 2, 0), call(), call(-100, 100), call(np.uint8(100)),
                call(0, 10, 3.0)],
    np.linspace: [call(0, 1), call(0, 1, 5), call(0, 1, 5, False), call(0, 1, 200), call(2.0, 3.0, 5, retstep=True),
                  call(0, 10, 5, dtype=int), call(np.array(0.0), np.array(1.0), 5), call(B, B + 1, 3),
                  call(B, B + 1, 3, axis=-1),
                  call(0, B, 3, False), call(0, 1, 1), call(0, 1, 0), call(0, 1, -1), call(Number(0.5), 2, 4),
                  call(np.float32(0), np.float32(1), 5), call(B.astype(np.float32), 2, 4), call(B, B, 3),
                  call(0, 1j, 5),
                  call(B, 2.0, 4, retstep=True), call(-3, 40.0, 100, dtype=int)],
    np.logspace: [call(0, 2, 5), call(0, 2, 100), call(B, 2, 3), call(0, 3, 4, base=2), call(0, 2, 3, dtype=int)],
    np.geomspace: [call(1, 1000, 4), call(1, 256, 9, dtype=int), call(8, 1, 4), call(0, 1, 3),
                   call(Number(2.0), 9.0, 4), call(Number(-2.0), Number(-9.0), 3, False),
                   call(B[:3] + 3, 50.0, 5, axis=-1), call(B[:3] * 0, 50.0, 5), call(B[:2] + 2j, 9.0, 4),
                   call(Number(2.0), 9.0, 1), call(Number(2.0), 9.0, 0), call(Number(3), 90, 4, dtype=int),
                   call(np.array(1.5, np.float32), np.float32(9), 4)],
    np.indices: [call((2, 3)), call((2, 3), sparse=True), call((4,)), call((2, 2), np.float32), call(())],
    np.fromfunction: [call(lambda i, j: i + j, (2, 3)), call(lambda i: i * 2, (3,), dtype=int)],
    np.meshgrid: [call(B, floats(3)), call(B, floats(3), indexing="ij"), call(B, floats(3), sparse=True),
                  call(B, floats(3), ints(2)), call(B), call(), call(B, 2.0), call(B, B, indexing="no")],
    np.vander: [call(B), call(B, 3), call(B, 3, True), call(ints(3)), call(A), call(B, 0), call(bools(3))],
    np.diag: [call(B), call(A), call(B, 1), call(B, -2), call(A, 1), call(A, -1), call(np.array(1.0)), call([1, 2]),
              call(A.T)],
    np.diagflat: [call(B), call(A), call(B, 1), call([[1, 2], [3, 4]], -1)],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


def test_writes_to_what_was_made():
    def program(x):
        out = np.zeros((3, 4))
        out[1] = x
        made = np.array([x, x])
        made[0, 0] = 7
        square = np.diag(out[:, :3])
        return out, made, square

    check(program, call(B))


def test_asarray_is_the_array_itself():
    def program(x):
        np.asarray(x)[0] = 5
        y = np.array(x)
        y[1] = 9
        return y

    check(program, call(B))


def test_memory_order_is_kept():
    def program(x):
        y = np.zeros_like(x.T)
        flat = y.reshape(-1)  # a copy: y lies in Fortran order
        flat[0] = 1
        z = np.ones((2, 3), order="F")
        return y.sum() + flat.sum(), z.strides, z.flags.f_contiguous, np.empty((2, 3)).flags.c_contiguous

    check(program, call(A))
