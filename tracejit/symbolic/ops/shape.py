"""Ops that move elements without computing: views, copies of views, and literals.

Shapes are explicit: a broadcast names the axes that it fills, and never stretches an axis of length 1.
"""

import math
import operator

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic import dims as sizes_of
from tracejit.symbolic.ir import OPS, Node, const, define, dim
from tracejit.symbolic.types import I64, Type


def ints(values):
    """Return a tuple of shape entries, ints normalised."""
    return tuple(sizes_of.entry(v) if isinstance(v, Node) else operator.index(v) for v in values)


def _require(ok, message):
    if not ok:
        raise TypeRuleError(message)


# ---------------------------------------------------------------- broadcast
def _broadcast_type(x, shape, dims):
    _require(len(dims) == x.ndim and list(dims) == sorted(set(dims)), f"broadcast of {x}: dims {dims} must rise")
    _require(all(shape[d] is n or shape[d] == n for d, n in zip(dims, x.shape)),
             f"broadcast of {x} to {shape} along {dims}: sizes differ")
    return x.with_shape(shape)


def _broadcast_ref(x, shape, dims):
    view = x.reshape([x.shape[dims.index(d)] if d in dims else 1 for d in range(len(shape))])
    return np.broadcast_to(view, shape)


def _broadcast_transpose(ct, node, wanted):
    shape, dims = node.attrs
    return (OPS["reduce_sum"](ct, axes=tuple(d for d in range(len(shape)) if d not in dims)),)


broadcast_op = define(
    "broadcast", attrs=("shape", "dims"), type=_broadcast_type, ref=_broadcast_ref, linear="joint",
    transpose=_broadcast_transpose,
    element=lambda node, index, read: read(0, tuple(index[d] for d in node.attrs[1])),
    batch=lambda node, args, batched: broadcast(args[0], (args[0].shape[0], *node.attrs[0]),
                                                (0, *(d + 1 for d in node.attrs[1]))))


def broadcast(x, shape, dims):
    """Return `x` with its axis i laid along axis ``dims[i]`` of `shape`, repeated along the others."""
    shape, dims = ints(shape), ints(dims)
    return x if len(shape) == x.ndim and shape == x.shape else broadcast_op(x, shape=shape, dims=dims)


def full(value, kind):
    """Return the array of Type `kind` that holds one literal value everywhere."""
    return broadcast(const(value, kind.dtype), kind.shape, ())


def full_like(value, node):
    """Return a literal value in the type of `node`."""
    return full(value, node.type)


def zeros(kind):
    """Return the array of zeros of Type `kind`."""
    return full(0, kind)


def stacked(x, n):
    """Return `x` repeated n times along a new leading axis."""
    return broadcast(x, (n, *x.shape), range(1, x.ndim + 1))


def batch_together(args, batched):
    """Return the arguments of a batching rule with the batch axis on every one."""
    n = next(a.shape[0] for a, b in zip(args, batched) if b)
    return [a if b else stacked(a, n) for a, b in zip(args, batched)]


def broadcast_to(x, shape):
    """Return `x` broadcast by NumPy's rule: aligned at the right, length-1 axes repeated."""
    shape = ints(shape)
    if x.shape == shape:
        return x
    offset = len(shape) - x.ndim
    kept = [i for i in range(x.ndim) if not (x.shape[i] == 1 and shape[i + offset] != 1)]
    if len(kept) < x.ndim:
        x = reshape(x, [x.shape[i] for i in kept])
    return broadcast(x, shape, [i + offset for i in kept])


# ---------------------------------------------------------------- reshape, transpose
def _reshape_type(x, shape):
    if x.is_static and all(type(n) is int for n in shape):
        _require(math.prod(shape) == x.size, f"cannot reshape {x} into {shape}")
    return x.with_shape(shape)


def factor_groups(source, target):
    """Return pairs of axis lists ``(of source, of target)`` with equal products, the finest split there is."""
    if any(isinstance(n, Node) for n in (*source, *target)):
        return _known_groups(source, target)
    groups, i, j = [], 0, 0
    while i < len(source) or j < len(target):
        left, right = ([i], [j]) if i < len(source) and j < len(target) else ([], [])
        if not left:  # trailing ones
            groups.append((list(range(i, len(source))), list(range(j, len(target)))))
            break
        a, b, i, j = source[i], target[j], i + 1, j + 1
        while a != b:
            if a < b:
                left.append(i)
                a, i = a * source[i], i + 1
            else:
                right.append(j)
                b, j = b * target[j], j + 1
        groups.append((left, right))
    return groups


def _known_groups(source, target):
    """Return such pairs as far as they are known to be equal: the axes at both ends that stay as they are."""
    i = 0
    while i < min(len(source), len(target)) and source[i] is target[i]:
        i += 1
    k = 0
    while k < min(len(source), len(target)) - i and source[-1 - k] is target[-1 - k]:
        k += 1
    middle = list(range(i, len(source) - k)), list(range(i, len(target) - k))
    ends = [([len(source) - n], [len(target) - n]) for n in range(k, 0, -1)]
    return [*[([a], [a]) for a in range(i)], *([middle] if any(middle) else []), *ends]


def _reshape_element(node, index, read):
    source, target = node.args[0].shape, node.shape
    if 0 in target:
        return read(0, tuple(const(0, I64) for _ in source))
    inner = [None] * len(source)
    for left, right in factor_groups(source, target):
        flat = const(0, I64)
        for axis in right:
            if target[axis] != 1:
                flat = index[axis] if flat is const(0, I64) else flat * dim(target[axis]) + index[axis]
        wide = [axis for axis in left if source[axis] != 1]
        for axis in left:
            inner[axis] = const(0, I64)
        for axis in reversed(wide[1:]):
            inner[axis] = OPS["fmod"](flat, dim(source[axis]))
            flat = OPS["quotient"](flat, dim(source[axis]))
        if wide:
            inner[wide[0]] = flat
    return read(0, tuple(inner))


reshape_op = define(
    "reshape", attrs=("shape",), type=_reshape_type, ref=lambda x, shape: x.reshape(shape), linear="joint",
    transpose=lambda ct, node, wanted: (reshape(ct, node.args[0].shape),), element=_reshape_element,
    batch=lambda node, args, batched: reshape(args[0], (args[0].shape[0], *node.attrs[0])))


def reshape(x, shape):
    """Return `x` with another shape of the same size, in C order."""
    shape = ints(shape)
    return x if shape == x.shape else reshape_op(x, shape=shape)


def _inverse(perm):
    out = [0] * len(perm)
    for i, p in enumerate(perm):
        out[p] = i
    return tuple(out)


def _transpose_type(x, perm):
    _require(sorted(perm) == list(range(x.ndim)), f"transpose of {x} by {perm}")
    return x.with_shape([x.shape[p] for p in perm])


def _transpose_element(node, index, read):
    inverse = _inverse(node.attrs[0])
    return read(0, tuple(index[p] for p in inverse))


transpose_op = define(
    "transpose", attrs=("perm",), type=_transpose_type, ref=lambda x, perm: x.transpose(perm), linear="joint",
    transpose=lambda ct, node, wanted: (transpose(ct, _inverse(node.attrs[0])),), element=_transpose_element,
    batch=lambda node, args, batched: transpose(args[0], (0, *(p + 1 for p in node.attrs[0]))))


def transpose(x, perm):
    """Return `x` with axis ``perm[i]`` as its axis i."""
    perm = ints(perm)
    return x if perm == tuple(range(x.ndim)) else transpose_op(x, perm=perm)


# ---------------------------------------------------------------- slice, and its transpose
def _positions(start, step, sizes):
    return tuple(slice(a, (a + s * n) if a + s * n >= 0 else None, s) if n else slice(0, 0)
                 for a, s, n in zip(start, step, sizes))


def _inside(start, step, sizes, shape, what):
    for a, s, n, full_size in zip(start, step, sizes, shape):
        if n != 0 and all(type(v) is int for v in (a, s, n, full_size)):
            _require(0 <= a < full_size and 0 <= a + s * (n - 1) < full_size and s != 0, what)


def _slice_type(x, start, step, sizes):
    _inside(start, step, sizes, x.shape, f"slice of {x}: start {start}, step {step}, sizes {sizes}")
    return x.with_shape(sizes)


def strided(index, start, step):
    """Return ``start + step * index`` per axis."""
    return tuple(_affine(i, a, s) for i, a, s in zip(index, start, step))


def _affine(i, start, step):
    moved = i if step == 1 else i * dim(step)
    return moved if start == 0 else moved + dim(start)


slice_op = define(
    "slice", attrs=("start", "step", "sizes"), type=_slice_type, linear="joint",
    ref=lambda x, start, step, sizes: x[_positions(start, step, sizes)],
    transpose=lambda ct, node, wanted: (embed(ct, node.attrs[0], node.attrs[1], node.args[0].shape),),
    element=lambda node, index, read: read(0, strided(index, node.attrs[0], node.attrs[1])),
    batch=lambda node, args, batched: slice_(args[0], (0, *node.attrs[0]), (1, *node.attrs[1]),
                                             (args[0].shape[0], *node.attrs[2])))


def slice_(x, start, step, sizes):
    """Return the elements ``start + step * i`` for i below `sizes`, per axis; a step may be negative."""
    start, step, sizes = ints(start), ints(step), ints(sizes)
    step = tuple(1 if n == 1 else s for s, n in zip(step, sizes))
    if sizes == x.shape and all(a == 0 for a in start) and all(s == 1 for s in step):
        return x
    return slice_op(x, start=start, step=step, sizes=sizes)


def _within(index, start, step, sizes, shape):
    """Return (condition that `index` is one of the strided positions, or None where it always is; inner index)."""
    ok, inner = None, []
    for i, a, s, n, total in zip(index, start, step, sizes, shape):
        if n == total and a == 0 and s == 1:
            inner.append(i)
            continue
        if any(isinstance(x, Node) for x in (a, n, total)):
            offset = i - dim(a) if a != 0 else i
            if abs(s) > 1 or s < 0:
                offset = OPS["quotient"](offset if s > 0 else -offset, const(abs(s), I64))
                exact = OPS["equal"](offset * const(s, I64) + dim(a), i)
                ok = exact if ok is None else OPS["bitwise_and"](ok, exact)
            fine = OPS["bitwise_and"](OPS["greater_equal"](offset, const(0, I64)), OPS["less"](offset, dim(n)))
            ok = fine if ok is None else OPS["bitwise_and"](ok, fine)
            inner.append(offset)
            continue
        low, high = (a, a + s * (n - 1)) if s > 0 else (a + s * (n - 1), a)
        tests = []
        if low > 0:
            tests.append(OPS["greater_equal"](i, const(low, I64)))
        if high < total - 1:
            tests.append(OPS["less_equal"](i, const(high, I64)))
        offset = i - const(low, I64) if low else i
        if abs(s) > 1:
            tests.append(OPS["equal"](OPS["fmod"](offset, const(abs(s), I64)), const(0, I64)))
            offset = OPS["quotient"](offset, const(abs(s), I64))
        if s < 0:
            offset = const(n - 1, I64) - offset
        inner.append(offset)
        for test in tests:
            ok = test if ok is None else OPS["bitwise_and"](ok, test)
    return ok, tuple(inner)


def _embed_type(x, start, step, shape):
    _inside(start, step, x.shape, shape, f"embed of {x} in {shape}: start {start}, step {step}")
    return x.with_shape(shape)


def _embed_ref(x, start, step, shape):
    out = np.zeros(shape, x.dtype)
    out[_positions(start, step, x.shape)] = x
    return out


def _embed_element(node, index, read):
    start, step, shape = node.attrs
    x = node.args[0]
    if 0 in x.shape:
        return const(0, x.dtype)
    ok, inner = _within(index, start, step, x.shape, shape)
    return read(0, inner) if ok is None else OPS["select"](ok, read(0, inner, where=ok), const(0, x.dtype))


embed_op = define(
    "embed", attrs=("start", "step", "shape"), type=_embed_type, ref=_embed_ref, linear="joint",
    transpose=lambda ct, node, wanted: (slice_(ct, node.attrs[0], node.attrs[1], node.args[0].shape),),
    element=_embed_element,
    batch=lambda node, args, batched: embed(args[0], (0, *node.attrs[0]), (1, *node.attrs[1]),
                                            (args[0].shape[0], *node.attrs[2])))


def embed(x, start, step, shape):
    """Return zeros of `shape` with `x` written at positions ``start + step * i``: padding, the transpose of a slice."""
    start, step, shape = ints(start), ints(step), ints(shape)
    if shape == x.shape and all(s > 0 or n == 1 for s, n in zip(step, shape)):
        return x
    return embed_op(x, start=start, step=step, shape=shape)


def _set_slice_type(x, value, start, step):
    _require(x.dtype == value.dtype and x.ndim == value.ndim, f"set_slice of {x} with {value}")
    _inside(start, step, value.shape, x.shape, f"set_slice of {x} with {value}: start {start}, step {step}")
    return x


def _set_slice_ref(x, value, start, step):
    out = x.copy()
    out[_positions(start, step, value.shape)] = value
    return out


def _set_slice_transpose(ct, node, wanted):
    start, step = node.attrs
    value = node.args[1]
    return (set_slice(ct, zeros(value.type), start, step) if wanted[0] else None,
            slice_(ct, start, step, value.shape) if wanted[1] else None)


def _set_slice_element(node, index, read):
    x, value = node.args
    if 0 in value.shape:
        return read(0, index)
    ok, inner = _within(index, *node.attrs, value.shape, x.shape)
    return read(1, inner) if ok is None else OPS["select"](ok, read(1, inner, where=ok), read(0, index))


def _set_slice_batch(node, args, batched):
    x, value = batch_together(args, batched)
    return set_slice(x, value, (0, *node.attrs[0]), (1, *node.attrs[1]))


set_slice_op = define(
    "set_slice", attrs=("start", "step"), type=_set_slice_type, ref=_set_slice_ref, linear="joint",
    transpose=_set_slice_transpose, element=_set_slice_element, batch=_set_slice_batch)


def set_slice(x, value, start, step):
    """Return `x` with `value` written at positions ``start + step * i``."""
    start, step = ints(start), ints(step)
    if value.shape == x.shape and all(s > 0 or n == 1 for s, n in zip(step, x.shape)):
        return value
    return set_slice_op(x, value, start=start, step=step)


# ---------------------------------------------------------------- concatenate, iota, diagonal
def _concatenate_type(*xs, axis):
    first = xs[0]
    for x in xs:
        _require(x.dtype == first.dtype and x.ndim == first.ndim
                 and x.shape[:axis] + x.shape[axis + 1:] == first.shape[:axis] + first.shape[axis + 1:],
                 f"concatenate of {xs} along axis {axis}")
    _require(all(type(x.shape[axis]) is int for x in xs), f"concatenate of {xs} along axis {axis}, of unknown sizes")
    return first.with_shape([*first.shape[:axis], sum(x.shape[axis] for x in xs), *first.shape[axis + 1:]])


def _concatenate_transpose(ct, node, wanted):
    axis, = node.attrs
    out, at = [], 0
    for x, want in zip(node.args, wanted):
        start = [0] * x.ndim
        start[axis] = at
        out.append(slice_(ct, start, [1] * x.ndim, x.shape) if want else None)
        at += x.shape[axis]
    return tuple(out)


def _concatenate_element(node, index, read):
    axis, = node.attrs
    bounds = [0]
    for x in node.args:
        bounds.append(bounds[-1] + x.shape[axis])
    pieces = [k for k, x in enumerate(node.args) if x.shape[axis]]
    out = const(0, node.dtype)
    for k in reversed(pieces):
        at = index[axis] - const(bounds[k], I64) if bounds[k] else index[axis]
        inside = OPS["less"](index[axis], const(bounds[k + 1], I64))
        if bounds[k]:
            inside = OPS["bitwise_and"](inside, OPS["greater_equal"](index[axis], const(bounds[k], I64)))
        here = (*index[:axis], at, *index[axis + 1:])
        if len(pieces) == 1:
            return read(k, here)
        value = read(k, here, where=inside)
        below = OPS["less"](index[axis], const(bounds[k + 1], I64))
        out = value if k == pieces[-1] else OPS["select"](below, value, out)
    return out


def _concatenate_batch(node, args, batched):
    return concatenate(batch_together(args, batched), node.attrs[0] + 1)


concatenate_op = define(
    "concatenate", attrs=("axis",), type=_concatenate_type, linear="joint",
    ref=lambda *xs, axis: np.concatenate(xs, axis), transpose=_concatenate_transpose, element=_concatenate_element,
    batch=_concatenate_batch)


def concatenate(xs, axis):
    """Return arrays of one dtype joined along `axis`."""
    xs = tuple(xs)
    return xs[0] if len(xs) == 1 else concatenate_op(*xs, axis=operator.index(axis))


def _iota_element(node, index, read):
    dtype, _, axis = node.attrs
    return index[axis] if dtype == I64 else OPS["cast"](index[axis], dtype=dtype)


iota_op = define(
    "iota", attrs=("dtype", "shape", "axis"), type=lambda dtype, shape, axis: Type(dtype, shape), differentiable=False,
    ref=lambda dtype, shape, axis: np.broadcast_to(
        np.arange(shape[axis]).astype(dtype).reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape),
    element=_iota_element)


def iota(dtype, shape, axis=0):
    """Return the array whose element is its index along `axis`."""
    return iota_op(dtype=np.dtype(dtype), shape=ints(shape), axis=operator.index(axis))


# ---------------------------------------------------------------- windows
def _windows_type(x, axes, sizes):
    _require(len(axes) == len(sizes) and len(set(axes)) == len(axes)
             and all(0 <= a < x.ndim and 0 <= n <= x.shape[a] for a, n in zip(axes, sizes)),
             f"windows of {x} along {axes} with sizes {sizes}")
    taken = dict(zip(axes, sizes))
    return x.with_shape([*(n - taken.get(a, 1) + 1 for a, n in enumerate(x.shape)), *sizes])


def _windows_element(node, index, read):
    axes, _ = node.attrs
    inner = list(index[:node.args[0].ndim])
    for a, offset in zip(axes, index[len(inner):]):
        inner[a] = inner[a] + offset
    return read(0, tuple(inner))


def _windows_transpose(ct, node, wanted):
    """Each element gets the cotangents of all windows that hold it: overlap and add."""
    axes, sizes = node.attrs
    x = node.args[0]
    along = tuple(range(x.ndim, x.ndim + len(axes)))
    return (OPS["reduce_sum"](shear(ct, axes, along, [x.shape[a] for a in axes]), axes=along),)


def _window_samples(rng):
    for shape, axes, sizes in (
            ((7,), (0,), (3,)), ((5, 6), (0, 1), (2, 3)), ((2, 4, 5), (2, 1), (5, 1)), ((3,), (), ())):
        yield (rng.standard_normal(shape),), {"axes": axes, "sizes": sizes}


windows_op = define(
    "windows", attrs=("axes", "sizes"), type=_windows_type, linear="joint", transpose=_windows_transpose,
    ref=lambda x, axes, sizes: np.lib.stride_tricks.sliding_window_view(x, sizes, axes) if axes else x,
    element=_windows_element, samples=_window_samples,
    batch=lambda node, args, batched: windows(args[0], [a + 1 for a in node.attrs[0]], node.attrs[1]))


def windows(x, axes, sizes):
    """Return every window of `sizes` along `axes`, each moved by one; their own axes come last."""
    axes, sizes = ints(axes), ints(sizes)
    return windows_op(x, axes=axes, sizes=sizes) if axes else x


def _shear_type(x, axes, along, sign, sizes):
    _require(len(axes) == len(along) == len(sizes) and not set(axes) & set(along) and len(set(axes)) == len(axes)
             and all(0 <= a < x.ndim for a in (*axes, *along)) and sign in (1, -1),
             f"shear of {x}: axes {axes} along {along}")
    shape = list(x.shape)
    for a, n in zip(axes, sizes):
        shape[a] = n
    return x.with_shape(shape)


def _shear_ref(x, axes, along, sign, sizes):
    index = list(np.indices(_shear_type(Type(x.dtype, x.shape), axes, along, sign, sizes).shape, sparse=True))
    ok = True
    for a, b in zip(axes, along):
        index[a] = index[a] - sign * index[b]
        inside = (index[a] >= 0) & (index[a] < x.shape[a])
        index[a], ok = np.where(inside, index[a], 0), ok & inside
    if x.size == 0:
        return np.zeros(np.broadcast_shapes(*(i.shape for i in index)), x.dtype)
    return np.where(ok, x[tuple(index)], np.zeros((), x.dtype)) if index else x


def _shear_element(node, index, read):
    axes, along, sign, _ = node.attrs
    x = node.args[0]
    if x.type.size == 0:
        return const(0, x.dtype)
    inner, ok = list(index), None
    for a, b in zip(axes, along):
        inner[a] = index[a] - index[b] if sign > 0 else index[a] + index[b]
        inside = OPS["bitwise_and"](OPS["greater_equal"](inner[a], const(0, I64)),
                                    OPS["less"](inner[a], const(x.shape[a], I64)))
        ok = inside if ok is None else OPS["bitwise_and"](ok, inside)
    inner = tuple(inner)
    return read(0, inner) if ok is None else OPS["select"](ok, read(0, inner, where=ok), const(0, x.dtype))


def _shear_samples(rng):
    for sign in (1, -1):
        yield (rng.standard_normal((5, 3)),), {"axes": (0,), "along": (1,), "sign": sign, "sizes": (7,)}
        yield (rng.standard_normal((2, 4, 5, 3, 2)),), {"axes": (2, 1), "along": (4, 3), "sign": sign, "sizes": (4, 6)}


def _shear_batch(node, args, batched):
    axes, along, sign, sizes = node.attrs
    return shear_op(args[0], axes=tuple(a + 1 for a in axes), along=tuple(a + 1 for a in along), sign=sign, sizes=sizes)


shear_op = define(
    "shear", attrs=("axes", "along", "sign", "sizes"), type=_shear_type, ref=_shear_ref, linear="joint",
    element=_shear_element, samples=_shear_samples, batch=_shear_batch,
    transpose=lambda ct, node, wanted: (shear(ct, node.attrs[0], node.attrs[1],
                                              [node.args[0].shape[a] for a in node.attrs[0]], -node.attrs[2]),))


def shear(x, axes, along, sizes, sign=1):
    """Return `x` moved along each of `axes` by the index along the matching axis of `along` (times `sign`).

    The axes get `sizes`; zeros enter. ``out[p, w] = x[p - sign * w, w]``: what the overlapping sum of windows is made
    of.
    """
    return shear_op(x, axes=ints(axes), along=ints(along), sign=sign, sizes=ints(sizes))
