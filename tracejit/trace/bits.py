"""Arrays seen as others of a smaller or larger item size, and bytes in the other order: arithmetic on bits."""

import numpy as np

from tracejit.symbolic.ops.scalar import (
    bitcast,
    bitwise_or,
    cast,
    complex_,
    imag,
    real,
    shift_left,
    shift_right,
)
from tracejit.symbolic.ops.shape import concatenate, full, reshape, slice_
from tracejit.symbolic.types import BOOL, REAL_OF
from tracejit.trace.views import Step, view


def _unsigned(size):
    return np.dtype(f"u{size}")


def _as(node, dtype):
    """Return the same bytes under a dtype of the same size."""
    return node if node.dtype == dtype else bitcast(node, dtype=dtype)


def _stack(parts):
    """Return nodes of one shape as parts of the last axis, one element of each after another."""
    whole = concatenate([reshape(p, (*p.shape, 1)) for p in parts], parts[0].ndim)
    *outer, n, k = whole.shape
    return reshape(whole, (*outer, n * k))


def _moved(node, by, shift):
    return shift(node, full(by, node.type)) if by else node


def split(node, dtype):
    """Return the bytes of a node under a dtype of a smaller size, whose items lie along the last axis."""
    if node.dtype in REAL_OF:
        node = _stack([real(node), imag(node)])
        return node if node.dtype == dtype else _as(node, dtype) if node.dtype.itemsize == dtype.itemsize else (
            split(node, dtype))
    if dtype in REAL_OF:
        return join(split(node, REAL_OF[dtype]), dtype)
    bits, size = _as(node, _unsigned(node.dtype.itemsize)), dtype.itemsize
    count = node.dtype.itemsize // size
    parts = [cast(_moved(bits, 8 * size * k, shift_right), _unsigned(size)) for k in range(count)]
    return _stack([p if dtype == _unsigned(size) else _as(p, dtype) for p in parts])


def join(node, dtype):
    """Return the bytes of a node under a dtype of a larger size: neighbours along the last axis become one item."""
    if dtype in REAL_OF:
        part = REAL_OF[dtype]
        if node.dtype in REAL_OF:
            node = split(node, REAL_OF[node.dtype])
        if node.dtype != part:
            node = _as(node, part) if node.dtype.itemsize == part.itemsize else join(node, part)
        return complex_(*_neighbours(node, 2))
    if node.dtype in REAL_OF:
        node = split(node, REAL_OF[node.dtype])
    size, wide = node.dtype.itemsize, _unsigned(dtype.itemsize)
    total = None
    for k, part in enumerate(_neighbours(_as(node, _unsigned(size)), dtype.itemsize // size)):
        part = _moved(cast(part, wide), 8 * size * k, shift_left)
        total = part if total is None else bitwise_or(total, part)
    return _as(total, dtype)


def _neighbours(node, count):
    """Return the first, second, … of every `count` items along the last axis."""
    *outer, n = node.shape
    rows = reshape(node, (*outer, n // count, count))
    start, ones = [0] * (len(outer) + 1), [1] * rows.ndim
    return [reshape(slice_(rows, (*start, k), ones, (*outer, n // count, 1)), (*outer, n // count))
            for k in range(count)]


class Resized(Step):
    """The same bytes under a dtype of another size: (dtype, dtype before)."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        return _resized(x, self.data[0])

    def write(self, x, value):
        """Return `x` with the view's content replaced."""
        return _resized(value, self.data[1])


def _resized(node, dtype):
    return split(node, dtype) if dtype.itemsize < node.dtype.itemsize else join(node, dtype)


def resized_view(x, dtype):
    """Return NumPy's ``x.view(dtype)`` for a dtype of another size; errors are NumPy's."""
    x.look_at_layout()
    shadow = x.shadow.view(dtype)
    return view(x, Resized(np.dtype(dtype), x.dtype), shadow)


def swapped(node):
    """Return a node with the bytes of each item (of each part of a complex one) in the other order."""
    if node.dtype in REAL_OF:
        return complex_(swapped(real(node)), swapped(imag(node)))
    size = node.dtype.itemsize
    if size == 1 or node.dtype == BOOL:
        return node
    bits, total = _as(node, _unsigned(size)), None
    byte = lambda k: cast(cast(_moved(bits, 8 * k, shift_right), _unsigned(1)), bits.dtype)
    for k in range(size):
        part = _moved(byte(k), 8 * (size - 1 - k), shift_left)
        total = part if total is None else bitwise_or(total, part)
    return _as(total, node.dtype)
