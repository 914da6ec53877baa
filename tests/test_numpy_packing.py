"""Bits and bytes of arrays against NumPy: packed bools, views of other item sizes, swapped bytes, sizes and flags."""

import itertools

import numpy as np
import pytest
from numpy_samples import call, cases, check, floats, ints

X = floats(3, 4)
Z = X + 1j * floats(3, 4, seed=1)
BITS, BYTES = ints(3, 11, low=-1, high=2, dtype=np.int32), ints(3, 5, low=0, high=256, dtype=np.uint8)
KINDS = [X, Z, ints(3, 4, dtype=np.int32), X.astype(np.float32), BYTES[:, :4].copy(), Z.astype(np.complex64),
         X.astype(np.float16), X > 0]

SAMPLES = {
    np.packbits: [call(BITS, axis, order) for axis in (None, 0, 1, -1, 2) for order in ("big", "little")] + [
        call(X), call(BITS > 0, bitorder="x"), call(BITS > 0, 1), call(np.zeros((2, 0), bool), 1), call([1, 0, 2])],
    np.unpackbits: [call(BYTES, axis, count, order) for axis in (None, 0, 1, 2) for count in (None, 5, -3, 150, -150)
                    for order in ("big", "little")] + [call(BITS), call(BYTES, bitorder="x")],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


@pytest.mark.parametrize("x", KINDS, ids=lambda x: x.dtype.name)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float32, np.uint64, float, np.complex64, complex])
def test_views_of_another_item_size(x, dtype):
    check(lambda x: x.view(dtype), call(x))
    check(lambda x: x[:, ::-1].view(dtype), call(x))
    check(lambda x: x[0, 0].view(dtype), call(x))
    if np.dtype(dtype).itemsize <= x.dtype.itemsize:
        def write(x):
            y = x.view(dtype)
            y[0, 1:] = 1
            y[1] = y[2]
            return x
        check(write, call(x))


@pytest.mark.parametrize("x, inplace", itertools.product(KINDS, (False, True)), ids=lambda x: getattr(x, "dtype", x))
def test_bytes_in_the_other_order(x, inplace):
    if x.dtype.kind in "fc":  # as bits: arithmetic may change NaN
        check(lambda x: x.byteswap(inplace).view(np.uint8), call(x))
    check(lambda x: (x.byteswap(inplace).view(np.uint8), x.view(np.uint8)), call(x))


def test_resizing_in_place():
    def f(x):
        y = x * 2
        y.resize((2, 3))
        z = y.copy()
        y.resize(9)
        z.resize(1, 2)
        return y, z
    check(f, call(X))
    check(lambda x: x[1:].resize((2, 2)), call(X))
    check(lambda x: x.resize((2, 2)), call(X))


@pytest.mark.parametrize("write", [
    lambda y: y.setflags(write=False), lambda y: (y.setflags(write=False), y.setflags(write=True)),
    lambda y: y.setflags()])
def test_write_flags(write):
    def f(x):
        y = x + 1
        write(y)
        y[1:, 0] = 5
        return y, y.flags.writeable
    check(f, call(X))
