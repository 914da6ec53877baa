"""Views: each step of a chain knows how to read through itself and how to write back through itself.

Shapes, strides, errors and the question "view or copy" are NumPy's own: the same operation runs on the shadow, an
array of the same layout over one element.
"""

import numpy as np

from tracejit.symbolic.ir import Node
from tracejit.symbolic.ops.index import gather, scatter_set
from tracejit.symbolic.ops.scalar import bitcast, complex_, imag, real
from tracejit.symbolic.ops.shape import broadcast, full, iota, reshape, set_slice, slice_, transpose
from tracejit.symbolic.types import I64, Type
from tracejit.trace.shapes import is_known, reshaped, spread
from tracejit.trace.tracer import wrap


class Step:
    """One view: `read` takes it of a value; `write` returns the value with the view's content replaced."""

    __slots__ = ("data",)
    #: Whether the place of the view in memory is known while tracing.
    fixed = True

    def __init__(self, *data):
        self.data = data

    def __eq__(self, other):
        return type(self) is type(other) and self.data == other.data

    def __hash__(self):
        return hash((type(self), self.data))

    def packed(self, before, after):
        """Return whether elements that lie in C order surely do so in the view; shapes `before` and `after`."""
        return False


class Slice(Step):
    """Strided ranges of every axis: (start, step, sizes)."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        return slice_(x, *self.data)

    def write(self, x, value):
        """Return `x` with the view's content replaced."""
        start, step, _ = self.data
        return set_slice(x, value, start, step)

    def packed(self, before, after):
        """Return whether elements that lie in C order surely do so in the view."""
        return all(s == 1 or n == 1 for s, n in zip(self.data[1], after)) and is_one_run(before, after)


class Reshape(Step):
    """Another shape in C order: (shape,); sizes known at run time are compared there."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        return reshaped(x, self.data[0])

    def write(self, x, value):
        """Return `x` with the view's content replaced."""
        return reshaped(value, x.shape)

    def packed(self, before, after):
        """Return whether elements that lie in C order surely do so in the view."""
        return True


class Transpose(Step):
    """Axes in another order: (perm,)."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        return transpose(x, self.data[0])

    def write(self, x, value):
        """Return `x` with the view's content replaced."""
        return transpose(value, np.argsort(self.data[0]))

    def packed(self, before, after):
        """Return whether elements that lie in C order surely do so in the view."""
        long = [a for a in self.data[0] if before[a] != 1]
        return long == sorted(long)


class Broadcast(Step):
    """Repetition along new or stretched axes: (shape, dims, axes of x that are stretched); NumPy makes it read-only."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        shape, dims, dropped = self.data
        return broadcast(reshape(x, [n for a, n in enumerate(x.shape) if a not in dropped]), shape, dims)

    def write(self, x, value):
        """Refuse: several places share one element."""
        raise ValueError("assignment destination is read-only")


class Pick(Step):
    """Elements at static flat positions, for views that are no slice (diagonals, windows): (positions node,)."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        return gather(reshape(x, (x.type.size,)), self.data[0])

    def write(self, x, value):
        """Return `x` with the view's content replaced."""
        return reshape(scatter_set(reshape(x, (x.type.size,)), value, self.data[0]), x.shape)


class Real(Step):
    """The real parts of complex numbers."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        return real(x)

    def write(self, x, value):
        """Return `x` with the view's content replaced."""
        return complex_(value, imag(x))


class Imag(Step):
    """The imaginary parts of complex numbers."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        return imag(x)

    def write(self, x, value):
        """Return `x` with the view's content replaced."""
        return complex_(real(x), value)


class Bitcast(Step):
    """The same bytes under another dtype of the same size: (dtype,)."""

    __slots__ = ()

    def read(self, x):
        """Return the view of `x`."""
        return bitcast(x, dtype=self.data[0])

    def write(self, x, value):
        """Return `x` with the view's content replaced."""
        return bitcast(value, dtype=x.dtype)

    def packed(self, before, after):
        """Return whether elements that lie in C order surely do so in the view."""
        return True


def is_one_run(before, after):
    """Return whether ranges of consecutive elements of axes, of sizes `after` of `before`, are one range in C order."""
    inner = list(zip(before, after))
    while inner and inner[0][1] == 1:
        inner.pop(0)
    return all(n is total or n == total for total, n in inner[1:])


# ---------------------------------------------------------------- shadows
def probe(shape):
    """Return a C-contiguous array of bytes of this shape over one element: strides and offsets in it count elements."""
    return np.lib.stride_tricks.as_strided(np.empty((), bool), shape, _contiguous(shape))


def _contiguous(shape):
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def restride(shadow, shape, strides):
    """Return a shadow over the same memory with another shape and strides."""
    return np.lib.stride_tricks.as_strided(shadow, shape, strides, writeable=shadow.flags.writeable)


def address(array):
    """Return where an array's memory begins."""
    return array.__array_interface__["data"][0]


def affine(shape, take):
    """Return (offset, strides, shape), in elements in C order, of the view ``take`` makes of an array of `shape`."""
    base = probe(shape)
    moved = take(base)
    return address(moved) - address(base), moved.strides, moved.shape


# ---------------------------------------------------------------- views of tracers
def is_value(x):
    """Return whether `x` stands for a number without memory of its own, of which views are new values."""
    return x.scalar or x.weak


def view(x, step, shadow):
    """Return the view of a tracer that `step` makes; of a NumPy scalar, a new value."""
    return value_of(step.read(x.node)) if is_value(x) else x.derive(step, shadow)


def value_of(node):
    """Return what NumPy makes of a scalar by operations on shapes: a scalar, as long as it has no axes."""
    return wrap(node, scalar=node.ndim == 0)


def reshape_view(x, shape, order="C"):
    """Return NumPy's ``x.reshape(shape)``: a view where NumPy gives one, else a copy; errors are NumPy's."""
    if not x.type.is_static or _has_dims(shape):
        return _sized_reshape(x, shape, order)
    target = probe(x.shape).reshape(shape, order="C").shape
    if order == "A":
        order = "F" if x.shadow.flags.f_contiguous and not x.shadow.flags.c_contiguous else "C"
        x.look_at_layout()
    strides = _strides_after(x.shadow, target, order)
    if order == "F" and max(x.ndim, len(target)) > 1:
        steps = [_reversal(x.ndim), Reshape(target[::-1]), _reversal(len(target))]
    else:
        steps = [Reshape(target)]
    if strides is None or is_value(x):
        node = x.node
        for step in steps:
            node = step.read(node)
        return moved(x, value_of(node) if is_value(x) else wrap(node))
    shadow = restride(x.shadow, target, strides)
    for step in steps:
        x = x.derive(step, shadow)
    return moved(x, x)


def _has_dims(shape):
    return isinstance(shape, Node) or isinstance(shape, (tuple, list)) and not is_known(shape)


def _sized_reshape(x, shape, order):
    """Return the reshaped array where sizes are dims: a view of what surely lies in C order, else a copy."""
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if order == "F" and max(x.ndim, len(shape)) > 1:
        steps = [_reversal(x.ndim), Reshape(shape[::-1]), _reversal(len(shape))]
    else:
        steps = [Reshape(shape)]
    node = x.node
    for step in steps:
        node = step.read(node)
    same = order != "F" and [n for n in x.type.shape if n != 1] == [n for n in node.shape if n != 1]
    if is_value(x) or not (same or x.ndim <= 1 or order != "F" and is_packed(x)):
        return wrap(node, scalar=False)
    for step in steps:
        x = x.derive(step, None)
    return x


def is_packed(x):
    """Return whether the elements of a tracer surely lie in C order, whatever its sizes are."""
    node, packed = x._storage.value, x._storage._strides is None
    for step in x._steps:
        after = step.read(node)
        packed = packed and step.packed(node.shape, after.shape)
        node = after
    return packed


def moved(x, result):
    """Remember that `result` is a view of `x` or a copy, by the layout of `x`; returns it."""
    x.know_layout()
    storage, other = x._storage, result._storage
    if max(x.ndim, result.ndim):
        was = storage.value if storage.origin is None else storage.variable
        for argument in storage.lies_like():
            argument.trace.moved.append((argument, storage, was, other, other.value))
    return result


def _reversal(ndim):
    return Transpose(tuple(reversed(range(ndim))))


def _strides_after(shadow, target, order):
    """Return the strides of `target` over the same memory, or None where the elements would have to move."""
    if shadow.size == 0:
        return tuple(s * shadow.itemsize for s in _contiguous(target))
    old = [(n, s) for n, s in zip(shadow.shape, shadow.strides) if n != 1]
    new = list(target)
    if order == "F":
        old, new = old[::-1], new[::-1]
    out, i, j = [0] * len(new), 0, 0
    while i < len(old):
        size, wide, first, start = old[i][0], new[j], i, j
        while size != wide:
            if size < wide:
                i += 1
                size *= old[i][0]
            else:
                j += 1
                wide *= new[j]
        # the old axes of the group must lie in memory as one axis
        if any(old[k][1] != old[k + 1][0] * old[k + 1][1] for k in range(first, i)):
            return None
        step = old[i][1]
        for k in range(j, start - 1, -1):
            out[k] = step
            step *= new[k]
        i, j = i + 1, j + 1
    for k in range(j, len(new)):
        out[k] = old[-1][1] if old else shadow.itemsize
    return tuple(out[::-1] if order == "F" else out)


def transpose_view(x, axes=None):
    """Return NumPy's ``x.transpose(axes)``; errors are NumPy's."""
    shadow = x.shadow.transpose(axes) if x.type.is_static else None
    if shadow is None:
        np.empty((0,) * x.ndim).transpose(axes)  # raises NumPy's errors
    perm = tuple(reversed(range(x.ndim))) if axes is None else tuple(a % x.ndim for a in axes)
    return view(x, Transpose(perm), shadow)


def broadcast_view(x, shape):
    """Return NumPy's ``broadcast_to(x, shape)``, which is read-only; errors are NumPy's."""
    if not x.type.is_static or _has_dims(shape):
        out = wrap(spread(x.node, tuple(shape)))
        out._storage.readonly, out._storage._strides = True, (0,) * out.ndim
        return out
    shadow = np.broadcast_to(x.shadow, shape)
    shape = shadow.shape
    offset = len(shape) - x.ndim
    dropped = tuple(a for a in range(x.ndim) if x.shape[a] == 1 and shape[a + offset] != 1)
    dims = tuple(a + offset for a in range(x.ndim) if a not in dropped)
    step = Broadcast(shape, dims, dropped)
    return (wrap(x.node) if is_value(x) else x).derive(step, shadow)


def layout_view(x, operate):
    """Return the view that ``operate(array)`` makes of a NumPy array by adding, dropping or permuting axes.

    For expand_dims, squeeze, moveaxis, swapaxes, rollaxis, matrix_transpose and their like; errors are NumPy's.
    """
    if not x.type.is_static:
        return _sized_layout_view(x, operate)
    shadow = operate(x.shadow)
    marked = operate(restride(probe(x.shape), x.shape, tuple(range(1, x.ndim + 1))))
    perm = [s - 1 for n, s in zip(marked.shape, marked.strides) if n != 1]
    ones = [a for a in range(x.ndim) if x.shape[a] == 1]
    perm = tuple(ones + perm)
    if perm != tuple(range(x.ndim)):
        # axes of length 1 go to the front, where the reshape drops them
        moved = x.shadow.transpose(perm)
        x = view(x, Transpose(perm), moved)
    return view(x, Reshape(shadow.shape), shadow)


def _sized_layout_view(x, operate):
    """Do as `layout_view` by an array in which a 2 stands for each size that is a dim, or none."""
    shape = tuple(1 if n == 1 else 2 for n in x.type.shape)
    marked = operate(restride(probe(shape), shape, tuple(range(1, x.ndim + 1))))
    perm = [s - 1 for n, s in zip(marked.shape, marked.strides) if n != 1]
    perm = tuple([a for a in range(x.ndim) if shape[a] == 1] + perm)
    if perm != tuple(range(x.ndim)):
        x = view(x, Transpose(perm), None)
    rest = iter([n for n in x.type.shape if n != 1])
    return view(x, Reshape(tuple(1 if n == 1 else next(rest) for n in marked.shape)), None)


def pick_view(x, take):
    """Return the view that ``take(array)`` makes of a NumPy array, any affine selection: diagonal, windows, as_strided.

    Where NumPy's result is read-only, so is this view.
    """
    shadow = take(x.shadow)
    offset, strides, shape = affine(x.shape, take)
    return view(x, Pick(positions(shape, strides, offset)), shadow)


def positions(shape, strides, offset=0):
    """Return the flat positions, as a node, of the elements of a strided array."""
    total = full(offset, Type(I64, shape))
    for axis, (n, stride) in enumerate(zip(shape, strides)):
        if n > 1:
            step = iota(I64, shape, axis) * stride
            total = step if total is full(0, total.type) else total + step
    return total


def real_view(x):
    """Return NumPy's ``x.real``: the array itself where it is real."""
    return view(x, Real(), x.shadow.real if x.type.is_static else None) if x.dtype.kind == "c" else x


def imag_view(x):
    """Return NumPy's ``x.imag``: read-only zeros where the array is real."""
    if x.dtype.kind == "c":
        return view(x, Imag(), x.shadow.imag if x.type.is_static else None)
    layout = np.empty_like(x.shadow) if x.type.is_static else None
    out = wrap(full(0, x.type), scalar=is_value(x), layout=layout, like=[x])
    out._storage.readonly = True
    return out


def bitcast_view(x, dtype):
    """Return NumPy's ``x.view(dtype)`` for a dtype of the same size."""
    x.look_at_layout()  # the bytes of a foreign byte order are others
    return view(x, Bitcast(np.dtype(dtype)), x.shadow.view(dtype) if x.type.is_static else None)
