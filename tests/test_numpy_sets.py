"""Positions, counts and sets, whose sizes are counts of the data, against NumPy."""

import itertools

import numpy as np
import pytest
from numpy_samples import any_arrays, bools, call, cases, check, floats, ints, specials
from tracing import compare

import tracejit
from tracejit.errors import ConcretizationError

A, B = floats(3, 4), floats(8)
I = ints(20, low=0, high=6)
J = ints(9, low=3, high=9, seed=4)
M = bools(3, 4)
NANS = np.array([1.0, np.nan, 2, np.nan, -0.0, 0.0, np.inf])
MORE = np.array([np.nan, 2, 7, np.inf, 2])
Z = I[:10] + 1j * I[10:]
KINDS = [call(a) for a in any_arrays() if a.ndim] + [call(I), call(I.reshape(4, 5)), call(M), call(np.zeros((0, 2)))]
FLAGS = [dict(zip(("return_index", "return_inverse", "return_counts"), flags))
         for flags in itertools.product((False, True), repeat=3)]
PAIRS = [call(I, J), call(J, I), call(I.reshape(4, 5), J), call(NANS, MORE), call(MORE, NANS), call(I, J.astype(float)),
         call(I, []), call([], J), call([3, 3, 1], [1, 2]), call(Z, Z[:4]), call(bools(5), [True]),
         call(I.astype(np.uint8), J.astype(np.int16)), call(floats(40), floats(60)), call(2, I)]
WEIGHTS = floats(20)

SAMPLES = {
    np.nonzero: [*KINDS, call(2.5), call([0, 3, 0]), call(np.array(0)), call(Z)],
    np.flatnonzero: [*KINDS, call(2.5), call([0, 3, 0]), call(np.array(0))],
    np.argwhere: [*KINDS, call(2.5), call(0.0), call([0, 3, 0])],
    np.extract: [call(M, A), call(A > 0, A), call([1, 0, 2], [4, 5, 6]), call(M[0], A), call(A > 9, A),
                 call(M, I[:12])],
    np.compress: [call([True, False, True], A, 0), call([0, 1], A), call([True, False, True, True], A, axis=1),
                  call([True, False, True], A, axis=-1), call([[True]], A), call([1, 0, 1], A, 0, np.zeros((2, 4))),
                  call(M[0], A, 1), call(M[:, 0], A, 0), call(M.ravel(), A), call(np.array([0, 2]), A, 0),
                  call(M[0], A, 1, np.zeros((3, 4)))],
    np.ix_: [call([0, 2], [1, 3]), call(np.array([0, 2]), np.array([1, 3, 0])), call([True, False, True], [1]), call(A),
             call(floats(0)), call(M[0], M[1]), call(M[0], [1, 2])],
    np.trim_zeros: [call(np.array([0, 0, 1, 0, 2, 0])), call([0, 0, 1, 0, 2, 0]), call(np.array([0, 0, 1.5, 0]), "f"),
                    call(np.array([0, 0, 1.5, 0]), "b"), call(np.zeros(4)), call(np.zeros(4), "f"),
                    call(np.zeros(4), "B"), call(np.pad(A, 1)), call(np.pad(A, 1), axis=0),
                    call(np.pad(A, ((1, 2), (0, 3))), "b", axis=(0, 1)), call(A, "x"), call(floats(0))],
    np.bincount: [call(I), call(I, WEIGHTS), call(I, None, 10), call(I, minlength=3), call(I.astype(np.int8)),
                  call(I.astype(np.uint32), WEIGHTS.astype(np.float32)), call(-I), call(A), call(B), call([]),
                  call(np.zeros(0, int), minlength=4), call(I, J), call(I, minlength=-1), call(bools(6)),
                  call([1, 1, 3]), call(I, I), call(I, Z.repeat(2)), call(I.astype(np.uint64))],
    np.repeat: [call(A, 2), call(A, 2, 0), call(A, 3, -1), call(A, [1, 2, 0], 0), call(A, [1, 2], 0), call(2.0, 3),
                call(A, -1), call(A, 1.5), call([1, 2], 2), call(A, [2], 1), call(A, np.array(2)),
                call(A, np.array([1, 0, 2]), 0), call(A, np.array([1, 2, 0, 3], np.uint8), 1), call(B, -I[:8]),
                call(B, I[:8]), call(B, I[:7]), call(A, np.array([[1, 2]])), call(floats(0), np.zeros(0, int)),
                call(B, floats(8)), call(A, 0), call(floats(80), ints(80, low=0, high=3))],
    np.insert: [call(B, 1, 9.5), call(A, 1, B[:4], 0), call(A, 1, 2), call(A, [0, 2], 7, axis=1),
                call(B, [1, 3], [8, 9]), call(A, -1, 5, 1), call(A, slice(0, 3, 2), 6, 0), call(A, 1, A[:, :1], axis=1),
                call(A, 4, floats(3), axis=1), call(A, [1], A[:, :1], axis=1), call(B, -1, 5),
                call(A, np.array(1), B[:4], 0), call(B, np.array([1, 3, 3, 0]), [7, 8, 9, 10]),
                call(A, np.array([0, -1]), A[:, :2], axis=1), call(B, np.array(12), 0), call(B, np.array([1, 9]), 0),
                call(B, M.ravel()[:8], 0), call(B, np.array([2]), [5, 6, 7]), call(I, np.array(3), 2.7),
                call(B, np.array(8), 1), call(B, np.array([-8]), 1), call(B, -9, 1), call(B, [1.5], 1),
                call(A, np.array([1]), A[:1], 0), call(B, [], 1), call(B, slice(0, 3), [1, 2, 3])],
    np.delete: [call(B, 1), call(A, 1, 0), call(A, [0, 2], 1), call(A, slice(None, None, 2), 1), call(B, -1),
                call(A, np.array(1), 0), call(B, np.array([1, 3, 1])), call(B, np.array([-1, 0])), call(B, np.array(8)),
                call(B, np.array([0, -9])), call(B, M.ravel()[:8]), call(A, M[0], 1), call(B, [1.5]), call(B, []),
                call(A, np.array([0, 2]), 1), call(B, np.array([9]))],
    np.unique: [call(s.args[0], **flags) for s in KINDS for flags in (FLAGS[0], FLAGS[-1])] + [
        call(x, **flags, **more) for flags in FLAGS for x in (I, NANS, Z) for more in ({}, {"equal_nan": False})] + [
        call((I % 2).reshape(10, 2), axis=axis, **flags) for flags in FLAGS for axis in (0, 1, -1)] + [
        call(I.reshape(5, 2, 2) % 2, axis=1, return_inverse=True), call(A, axis=2), call([2, 1, 2]), call(3.0),
        call(bools(12, 2), axis=0, return_counts=True), call(np.round(floats(9, 2)), axis=0),
        call(np.array(1), axis=0)],
    np.union1d: PAIRS, np.intersect1d: PAIRS + [call(I, J, return_indices=True), call(J, [9], return_indices=True),
                                                call(np.unique(I), np.unique(J), True, True),
                                                call(NANS, MORE, return_indices=True)],
    np.setdiff1d: PAIRS + [call(I, J, True), call(A, A[0], assume_unique=True)],
    np.setxor1d: PAIRS + [call(np.unique(I), np.unique(J), True)],
}
for _name in ("unique_all", "unique_counts", "unique_inverse", "unique_values"):
    if hasattr(np, _name):
        SAMPLES[getattr(np, _name)] = [call(np.array([2.5, 2.5])), call(np.zeros(0)), call(np.array([[1]]))] + (
            [] if _name == "unique_values" else [call(I), call(I.reshape(4, 5)), call(NANS)])


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


@pytest.mark.parametrize("x", [I, NANS, Z, M, I.reshape(4, 5).astype(np.float16)])
def test_unique_values_are_numpys_in_order(x):
    np.testing.assert_array_equal(tracejit.jit(np.unique_values)(x), np.sort(np.unique_values(x)))


def test_ahead_of_time_a_size_that_must_be_known_is_asked_for_by_name():
    with pytest.raises(ConcretizationError, match="an end of what np.trim_zeros leaves") as error:
        tracejit.jit(lambda x: np.trim_zeros(x)).trace(tracejit.ShapeDtype(B.shape, B.dtype))
    assert "test_numpy_sets.py" in str(error.value)


@pytest.mark.parametrize("flags", FLAGS, ids=lambda f: "".join("01"[v] for v in f.values()))
@pytest.mark.parametrize("dtype, low, high", [
    (np.int64, 0, 50), (np.int64, -40, 40), (np.int64, 0, 10 ** 6), (np.int32, -9, 3000), (np.uint8, 0, 256),
    (np.int8, -128, 128), (np.uint64, 5, 5000)])
def test_many_integers_are_looked_up_in_a_table_where_they_lie_close(flags, dtype, low, high):
    x = ints(3000, low=low, high=high).astype(dtype)
    f = lambda x: np.unique(x, **flags)
    compare(tracejit.jit(f)(x), f(x))
    x = x - x.min() + np.iinfo(dtype).min  # at the end of the range of the dtype
    x[7] = np.iinfo(dtype).max
    compare(tracejit.jit(f)(x.reshape(60, 50)), f(x.reshape(60, 50)))


def test_one_program_serves_all_counts():
    def program(x, m):
        return (np.unique(x), np.extract(m, x), np.intersect1d(x, x[3:]), np.argwhere(m), np.where(m), x[m] * 2,
                np.bincount(np.abs(x)), np.repeat(x, np.abs(x)), np.compress(m, x), np.delete(x, np.abs(x)))

    f = tracejit.jit(program)
    for seed in range(3):
        x, m = ints(30, seed=seed), ints(30, seed=seed) > 1
        compare(f(x, m), program(x, m))
    assert f.cache_info().traces == 1


def test_methods():
    def program(x, m, c):
        return x.nonzero(), x.compress(m, axis=1), x.repeat(c, axis=1), x[m.nonzero()[0]]

    check(program, call(floats(4, 4), bools(4), ints(4, low=0, high=3)))


def test_specials_in_sets():
    x = specials(3, 4)
    check(np.unique, call(x, return_inverse=True, return_counts=True))
    check(np.unique, call(x.astype(np.float16)))
