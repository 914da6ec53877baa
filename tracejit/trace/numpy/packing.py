"""Bools packed into the bits of bytes, and back."""

import numpy as np

from tracejit.symbolic.types import U8
from tracejit.trace.numpy.common import axis_of, literal, static
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer


def _weights(bitorder):
    if bitorder not in ("big", "little"):
        raise ValueError("'order' must be either 'little' or 'big'")
    shifts = np.arange(8, dtype=U8)
    return literal(1 << (shifts if bitorder == "little" else shifts[::-1]), U8)


@implements(np.packbits)
def packbits(a, /, axis=None, bitorder="big"):
    """Return bytes whose bits tell which elements are not zero, eight along an axis in each."""
    x = as_tracer(a)
    if x.dtype.kind not in "biu":
        raise TypeError("Expected an input array of integer or boolean data type")
    weights = _weights(bitorder)
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis_of(axis, x.ndim))
    bits = np.moveaxis(np.not_equal(x, 0), axis, -1)
    spare = -bits.shape[-1] % 8
    if spare:
        bits = np.concatenate((bits, literal(np.zeros((*bits.shape[:-1], spare), bool))), -1)
    bits = bits.reshape(*bits.shape[:-1], bits.shape[-1] // 8, 8)
    return np.moveaxis(np.add.reduce(np.multiply(bits, weights), axis=-1, dtype=U8), -1, axis)


@implements(np.unpackbits)
def unpackbits(a, /, axis=None, count=None, bitorder="big"):
    """Return the bits of bytes as elements 0 and 1 along an axis, `count` of them."""
    x = as_tracer(a)
    if x.dtype != U8:
        raise TypeError("Expected an input array of unsigned byte data type")
    weights = _weights(bitorder)
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis_of(axis, x.ndim))
    moved = np.moveaxis(x, axis, -1)
    bits = np.not_equal(np.bitwise_and(moved[..., None], weights), 0)
    bits = bits.reshape(*moved.shape[:-1], moved.shape[-1] * 8).astype(U8)
    if count is not None:
        count, total = static(count, "count", np.unpackbits), bits.shape[-1]
        if count < -total:
            raise ValueError(f"-ve count {count} exceeds number of elements {total}")
        if count > total:
            bits = np.concatenate((bits, literal(np.zeros((*bits.shape[:-1], count - total), U8))), -1)
        bits = bits[..., :count]
    return np.moveaxis(bits, -1, axis).copy()
