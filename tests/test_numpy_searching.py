"""Choosing, taking, putting, sorting and searching against NumPy."""

import numpy as np
import pytest
from numpy_samples import Number, any_arrays, bools, call, cases, check, floats, ints, specials, traced_answer

import tracejit
from tracejit.errors import UnsupportedError

A, B, C = floats(3, 4), floats(4), floats(2, 3, 4)
I = ints(3, 4, dtype=np.int32)
M = bools(3, 4)
NANS = specials(3, 4)
Z = floats(3, 4) + 1j * floats(3, 4, seed=1)
PLACES = np.array([[2, 0], [1, -1]])
TIES = ints(5, 6, low=0, high=3)
SPOILT = np.array([complex(a, b) for a in (0, -0.0, 1, -np.inf, np.nan) for b in (1, np.nan, np.inf, 0)])

REAL = [call(a) for a in any_arrays() if a.dtype.kind != "c"]
# values that differ from place to place: an unstable order would be another one otherwise
DISTINCT = [s for s in REAL if s.args[0].dtype.kind == "f" and s.args[0].dtype != np.float16]
TABLE = np.sort(floats(9))

SAMPLES = {
    np.where: [call(M), call(A > 0), call(M, A, I), call(M, A, 0), call(M, 1, 2), call(M, A, B),
               call(M[0], A, Number(2.0)), call(I, A, -A),
               call(True, A, B), call(M, A.astype(np.float32), 1.5),
               call(np.array(True), 1, 2.5), call(M, A, floats(5)), call([True, False], [1, 2], [3, 4]), call(M, A),
               call(M, I, True), call(A > 0, A, np.nan),
               call(M, 2, np.int8(3)), call(M, U := ints(3, 4, low=0, dtype=np.uint8), -1), call(A, Z, 0)],
    np.select: [call([A > 0, A < -0.5], [A, -A]), call([A > 0, A < -0.5], [A, 7], 9), call([M], [I], 2.5),
                call([M, ~M], [A, I]), call([], []), call([M], [A, A]),
                call([I], [A]), call([M[0], M], [B, A], default=np.nan)],
    np.choose: [call(PLACES % 3, [A[:2, :2], I[:2, :2], 5]), call(np.array([0, 1, 1]), [[1, 2, 3], [4, 5, 6]]),
                call(PLACES, [1, 2]), call(PLACES, [1, 2], mode="clip"),
                call(PLACES, [1, 2, 3], mode="wrap"), call(np.array([0, 1]), A[:2, :2]), call(A, [1, 2]),
                call(M.astype(int), [A, -A]), call(PLACES % 2, [1.5, 2], np.zeros((2, 2)))],
    np.take: [call(A, PLACES), call(A, PLACES, 0), call(A, PLACES, -1), call(A, 2), call(A, 1, 1), call(A, [0, 2], 0),
              call(A, 50), call(A, [3], 0), call(A, PLACES, 3),
              call(A, np.array([5, -9]), 0, mode="wrap"), call(A, np.array([5, -9]), 1, mode="clip"), call(A, 2.5),
              call(A, np.array(1), 0), call(I, PLACES, out=np.zeros((2, 2), np.int32)),
              call(A, np.array([0, 2], np.uint8), 1), call(A, []), call(A, np.zeros(0, int), 0), call(floats(0), [0]),
              call([1, 2, 3], PLACES), call(A, PLACES, mode="no"),
              call(A, np.array([7]), 1), call(A.T, PLACES, 0), call(np.array(3.0), [0, 0])],
    np.take_along_axis: [call(A, np.argsort(A, 1), 1), call(A, PLACES, 1), call(A[:2], PLACES, 1),
                         call(A, np.argsort(A, 0), 0), call(A, np.array([[0], [1], [2]]), 1),
                         call(A, np.array([0, 11]), None), call(A, B, 1), call(A, np.array([1]), 0),
                         call(A, np.array([[9], [1], [2]]), 1), call(A, np.argmax(A, 1, keepdims=True), -1)],
    np.put_along_axis: [call(A, np.array([[0], [1], [2]]), 9, 1), call(A, np.array([[0], [1], [2]]), floats(3, 1), 1),
                        call(A, np.argsort(A, 0), A, 0), call(A, np.array([0, 11]), 5, None),
                        call(A, np.array([[9], [1], [2]]), 9, 1)],
    np.put: [call(A, [0, 5], [7, 8]), call(A, PLACES, 1.5), call(A, [0, 1, 2], [7, 8]), call(A, [-1], 3),
             call(A, [50], 3), call(A, [50, -70], 3, "wrap"), call(A, [50, -70], [3, 4], "clip"),
             call(I, [1], 2.7), call(A.T, [1, 2], [5, 6]), call(A, [], [1])],
    np.diagonal: [call(A), call(A, 1), call(A, -2), call(A, 9), call(C), call(C, 0, 1, 2), call(C, 1, -1, 0), call(B),
                  call(C, 0, 1, 1), call(A, axis1=0, axis2=5), call(floats(0, 3)), call(A.T)],
    np.fill_diagonal: [call(A, 5), call(A, [1, 2, 3]), call(A.T, 7), call(floats(5, 2), 3, True), call(floats(5, 2), 3),
                       call(floats(2, 2, 2), 9), call(B, 1), call(C, 1), call(I, 2.7), call(A, [1, 2])],
    np.copyto: [call(A, B), call(A, 2), call(I, A), call(I, A, "unsafe"), call(A, I, where=M), call(A, B, where=M[0]),
                call(A, floats(5)), call(I, 2.5), call(A, C), call(A, -A, where=I), call(A, Number(2.0))],
    np.putmask: [call(A, M, -A), call(A, M, [1, 2, 3]), call(A, M, 5), call(I, M, 2.7), call(A, A > 0, B),
                 call(A, M[0], 1), call(A, I, 3)],
    np.place: [call(A, M, [1, 2, 3]), call(A, M, 5), call(I, M, [2.7, 3]), call(A, A > 0, B), call(A, M[0], 1),
               call(A, np.zeros((3, 4), bool), 1)],
    np.tril_indices: [call(3), call(3, 1), call(3, -1, 4)],
    np.triu_indices: [call(3), call(3, 1), call(3, -1, 4)],
    np.diag_indices: [call(3), call(2, 3)],
    np.tril_indices_from: [call(A), call(A, 1), call(C), call([[1, 2], [3, 4]])],
    np.triu_indices_from: [call(A), call(A, 1), call(C)],
    np.diag_indices_from: [call(floats(3, 3)), call(floats(2, 2, 2)), call(A), call(B)],
    np.unravel_index: [call(np.array([5, 11]), (3, 4)), call(7, (3, 4)), call(PLACES + 1, (3, 4), order="F"),
                       call(12, (3, 4)), call(np.array([5, 13]), (3, 4)), call(B, (3, 4)),
                       call(np.array(5), (2, 3, 4))],
    np.ravel_multi_index: [call((np.array([0, 2]), np.array([1, 3])), (3, 4)), call((1, 2), (3, 4)),
                           call((np.array([0, 2]), 1), (3, 4), order="F"),
                           call((np.array([0, 3]), np.array([1, 3])), (3, 4)),
                           call((np.array([0, 5]), np.array([1, -3])), (3, 4), mode="wrap"),
                           call((np.array([0, 5]), np.array([1, -3])), (3, 4), mode=("clip", "wrap")),
                           call((1, 2, 3), (3, 4))],
    np.sort: [s for s in REAL if s.args[0].ndim] + [call(A, 0), call(A, None), call(NANS), call(A, 5), call(TIES),
                                                    call([3, 1, 2]), call(np.array(1.0)), call(A, kind="stable"),
                                                    call(A, kind="no"), call(A, stable=True),
                                                    call(A, kind="heapsort", stable=True), call(A, order="x"),
                                                    call(M, 0), call(Z), call(Z, 0), call(SPOILT), call(Z, None),
                                                    call(Z.astype(np.complex64), kind="stable")],
    np.argsort: [s for s in DISTINCT if s.args[0].ndim] + [call(A, 0), call(A, None), call(TIES, kind="stable"),
                                                           call(TIES, stable=True), call(A, 5), call(2.5),
                                                           call([3, 1, 2]), call(np.array(1.0)), call(Z),
                                                           call(SPOILT, kind="stable"), call(Z, 0), call(Z, None)],
    # with every rank asked for there is one answer
    np.partition: [call(A, (0, 1, 2, 3)), call(A, [2, 1, 0], 0), call(NANS, range(4)), call(A, 5), call(A, 9),
                   call(Z, (3, 2, 1, 0)), call(A, range(12), None), call(A, 0, kind="no"), call(A, 1.5), call(A, -5),
                   call(A, 0, order="x"), call(np.array(1.0), 0), call(floats(0), 0), call(A, [])],
    np.argpartition: [call(A, (0, 1, 2, 3)), call(A, [2, 1, 0], 0), call(A, range(12), None), call(A, 9),
                      call(Z, (3, 2, 1, 0)), call(np.array(1.0), 0), call(A, [])],
    np.sort_complex: [call(A), call(Z), call(I), call(I.astype(np.int8)), call(A.astype(np.float32)), call(SPOILT)],
    np.lexsort: [call((B, I[0])), call((TIES[0], TIES[1], TIES[2])), call([TIES[0], TIES[1]]), call(TIES), call(A, 0),
                 call((A, A[0])), call(()), call((Z[0], TIES[0][:4])), call((1, 2))],
    np.searchsorted: [call(TABLE, A), call(TABLE, 0.1), call(TABLE, A, "right"), call(TABLE, np.array(0.2)),
                      call(TABLE[::-1], A, sorter=np.arange(9)[::-1]), call(np.arange(5), 2.5),
                      call(np.arange(5), I, "right"),
                      call(A, 1), call(TABLE, A, "middle"), call(TABLE, NANS), call(floats(0), A),
                      call([1, 2, 3], [2, 9]), call(np.arange(5), Number(2)), call(TABLE.astype(np.float32), 0.1),
                      call(np.sort(Z[0]), Z), call(np.sort(SPOILT), SPOILT, "right"),
                      call(TABLE, A, sorter=np.arange(3)),
                      call(TABLE, A, sorter=floats(9)), call(np.sort(floats(300)), floats(40, seed=3)),
                      call(np.array([1, 1, 1, 2, 2]), [1, 2, 0, 3], "right")],
    np.digitize: [call(A, TABLE), call(A, TABLE[::-1].copy()), call(A, TABLE, True), call(A, TABLE[::-1].copy(), True),
                  call(A, [-1, 0, 1]), call(A, [1, 0, -1]), call(0.3, TABLE), call(A, A), call(A, TABLE[:1]),
                  call(I, np.arange(4)), call(Z, TABLE), call(A, floats(5)), call(A, np.array(1.0)), call(A, TABLE[:0]),
                  call(A, [0.0, 0.0])],
    np.isin: [call(I, [1, 2, 3]), call(I, ints(30)), call(A, A[0]), call(I, [1, 2], invert=True), call(3, I),
              call(NANS, NANS), call(I, []), call(A, floats(40)), call(I, 4), call(M, [True]), call(floats(0), [1.0]),
              call(I, [1, 2], kind="table"), call(A, [1.0], kind="table"), call(I, [1], kind="no"), call(Z, Z[0]),
              call(I, ints(30).astype(float)), call(I, [1, 2], assume_unique=True, kind="sort")],
}
@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


@pytest.mark.parametrize("function, args, named", [
    (np.zeros, (3, object), "object"), (np.asarray, (A, object), "object"),
])
def test_what_is_refused_is_named_with_a_remedy(function, args, named):
    def program(*arrays):
        return function(*arrays)

    error, _ = traced_answer(program, call(*args))
    assert isinstance(error, (UnsupportedError, TypeError)) and named in str(error)
    assert "do: " in str(error) and "where: " in str(error) and "test_numpy_searching.py" in str(error)


@pytest.mark.parametrize("function", [np.partition, np.argpartition])
@pytest.mark.parametrize("dtype", [float, np.float32, np.int8, bool, complex])
@pytest.mark.parametrize("kth, axis", [(2, -1), (-1, 0), ((0, 3), 1), ([5, 1, 5], 1), (7, None)])
def test_what_is_ranked_stands_in_its_place_between_smaller_and_larger_ones(function, dtype, kth, axis):
    x = (floats(6, 9) * 20).astype(dtype)
    got = tracejit.jit(lambda x: function(x, kth, axis))(x)
    assert got.dtype == function(x, kth, axis).dtype
    if function is np.argpartition:
        got = np.take_along_axis(x if axis is not None else x.ravel(), got, -1 if axis is None else axis)
    ordered = np.sort(x, axis)
    axis = 0 if axis is None else axis
    for k in np.ravel(kth):
        k = int(k) % ordered.shape[axis]
        for part in (slice(k), slice(k, k + 1), slice(k + 1, None)):
            index = (slice(None),) * (axis % ordered.ndim) + (part,)
            np.testing.assert_array_equal(np.sort(got[index], axis), ordered[index])


def test_writes_reach_the_argument():
    def program(x, mask):
        np.copyto(x, 0, where=mask)
        np.put_along_axis(x, np.array([[0], [1], [2]]), 7, 1)
        np.fill_diagonal(x[:, 1:], -1)
        x.sort(axis=1)

    check(program, call(A, M))


def test_copyto_of_an_array_to_itself_writes_nothing():
    def f(x):
        np.copyto(x, x, where=x > 0)
        np.copyto(np.broadcast_to(x, 3), x)
        np.copyto(x[1:], x[1:3])
        return x

    x = np.arange(3.0)
    x.flags.writeable = False
    assert np.array_equal(tracejit.jit(f)(x), f(x))
