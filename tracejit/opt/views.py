"""Canonical forms of what only moves elements: views merge, and move outward through elementwise ops.

Broadcasts move outward because work on fewer elements is less work; transposes and changes of length-1 axes because
reductions, contractions and further views absorb them, and because rules should see ``log(sigmoid(x))`` and not what
stands between.
"""

from tracejit.opt.facts import is_range
from tracejit.opt.pattern import is_literal
from tracejit.opt.rewrite import rewrite, rules
from tracejit.symbolic.ir import OPS, const_op, literal, make
from tracejit.symbolic.ops.index import gather
from tracejit.symbolic.ops.scalar import check
from tracejit.symbolic.ops.shape import (
    broadcast,
    broadcast_op,
    concatenate,
    concatenate_op,
    embed,
    embed_op,
    full,
    iota,
    reshape,
    reshape_op,
    set_slice_op,
    slice_,
    slice_op,
    transpose,
    transpose_op,
    zeros,
)
from tracejit.symbolic.types import BOOL

_ELEMENTWISE = tuple(op for op in OPS.values() if op.elementwise and op is not check)


def wide(shape):
    """Return the axes whose length is not 1."""
    return [a for a, n in enumerate(shape) if type(n) is not int or n != 1]


def changes_unit_axes_only(node):
    """Return whether a reshape only adds or drops axes of length 1."""
    source, target = node.args[0].shape, node.shape
    return [source[a] for a in wide(source)] == [target[a] for a in wide(target)]


# ---------------------------------------------------------------- a view of a view
@rewrite(reshape_op, phase="canonicalize", examples=lambda x, u, s: [
    reshape(reshape(x, (12,)), (2, 6)), reshape(reshape(x, (12,)), (3, 4)), reshape(broadcast(s, (3, 4), ()), (12,)),
    reshape(broadcast(u, (3, 4), (0,)), (3, 1, 4))])
def reshape_of_view(node):
    """A reshape of a reshape is one; of a broadcast it is a broadcast where only length-1 axes change."""
    inner, = node.args
    if inner.type is node.type:
        return inner
    if inner.op is reshape_op:
        return reshape(inner.args[0], node.shape)
    if inner.op is broadcast_op:
        x, dims = inner.args[0], inner.attrs[1]
        if not dims:
            return broadcast(x, node.shape, ())
        if changes_unit_axes_only(node):
            place = dict(zip(wide(inner.shape), wide(node.shape)))
            if all(d in place for d in dims):
                return broadcast(x, node.shape, [place[d] for d in dims])
    return None


@rewrite(transpose_op, phase="canonicalize", examples=lambda x, u, v: [
    transpose(transpose(x, (1, 0)), (1, 0)), transpose(reshape(u, (3, 1)), (1, 0)),
    transpose(broadcast(v, (3, 4), (1,)), (1, 0)), transpose(broadcast(x, (2, 3, 4), (1, 2)), (2, 1, 0))])
def transpose_of_view(node):
    """A transpose of a transpose is one, of a broadcast a broadcast; one that moves only length-1 axes is a reshape."""
    inner, = node.args
    perm, = node.attrs
    moved = [p for p in perm if p in wide(inner.shape)]
    if moved == sorted(moved):
        return reshape(inner, node.shape)
    if inner.op is transpose_op:
        return transpose(inner.args[0], [inner.attrs[0][p] for p in perm])
    if inner.op is broadcast_op:
        place = [perm.index(d) for d in inner.attrs[1]]
        order = sorted(range(len(place)), key=place.__getitem__)
        return broadcast(transpose(inner.args[0], order), node.shape, [place[i] for i in order])
    return None


@rewrite(broadcast_op, phase="canonicalize", examples=lambda x, u, s: [
    broadcast(broadcast(u, (3, 4), (0,)), (2, 3, 4), (1, 2)), broadcast(u, (3, 1), (0,)),
    broadcast(reshape(u, (3, 1)), (3, 1, 4), (0, 1))])
def broadcast_of_view(node):
    """A broadcast of a broadcast is one; its source has no length-1 axes; one that repeats nothing is a reshape."""
    x, = node.args
    shape, dims = node.attrs
    if x.op is broadcast_op:
        return broadcast(x.args[0], shape, [dims[d] for d in x.attrs[1]])
    keep = wide(x.shape)
    if len(keep) < len(dims):
        return broadcast(reshape(x, [x.shape[a] for a in keep]), shape, [dims[a] for a in keep])
    if x.op is not const_op and len(wide(shape)) == len(dims):
        return reshape(x, shape)
    return None


@rewrite(slice_op, phase="canonicalize", examples=lambda x, u, v: [
    slice_(slice_(x, (1, 0), (1, 1), (2, 4)), (0, 3), (1, -1), (2, 2)),
    slice_(broadcast(v, (3, 4), (1,)), (1, 1), (1, 1), (2, 2)),
    slice_(transpose(x, (1, 0)), (1, 0), (1, 1), (2, 3)), slice_(reshape(u, (3, 1)), (1, 0), (1, 1), (2, 1)),
    slice_(concatenate([x, x], 0), (4, 0), (-1, 1), (2, 4))])
def slice_of_view(node):
    """A slice of a slice is one; other views move outward; a slice of one joined piece is of that piece alone."""
    inner, = node.args
    start, step, sizes = node.attrs
    if inner.type is node.type and not any(start) and all(s == 1 for s in step):
        return inner
    if inner.op is slice_op:
        a, s, _ = inner.attrs
        start = [i + j * k for i, j, k in zip(a, start, s)]
        return slice_(inner.args[0], start, [j * k for j, k in zip(s, step)], sizes)
    if inner.op is broadcast_op:
        dims = inner.attrs[1]
        cut = slice_(inner.args[0], *[[v[d] for d in dims] for v in node.attrs])
        return broadcast(cut, sizes, dims)
    if inner.op is transpose_op:
        perm = inner.attrs[0]
        back = [perm.index(a) for a in range(len(perm))]
        return transpose(slice_(inner.args[0], *[[v[b] for b in back] for v in node.attrs]), perm)
    if inner.op is reshape_op and changes_unit_axes_only(inner):
        x = inner.args[0]
        place = dict(zip(wide(x.shape), wide(inner.shape)))
        if 0 in sizes:
            return None
        cut = [[v[place[a]] if a in place else neutral for a in range(x.ndim)]
               for v, neutral in zip(node.attrs, (0, 1, 1))]
        return reshape(slice_(x, *cut), sizes)
    if inner.op is concatenate_op:
        return _slice_of_joined(node, inner)
    return None


def _slice_of_joined(node, inner):
    (start, step, sizes), axis = node.attrs, inner.attrs[0]
    if not sizes[axis]:
        return None
    first, last = start[axis], start[axis] + step[axis] * (sizes[axis] - 1)
    at = 0
    for x in inner.args:
        if at <= min(first, last) and max(first, last) < at + x.shape[axis]:
            return slice_(x, (*start[:axis], start[axis] - at, *start[axis + 1:]), step, sizes)
        at += x.shape[axis]
    return None


@rewrite(concatenate_op, phase="canonicalize", examples=lambda x, u: [
    concatenate([concatenate([x, x], 0), x], 0),
    concatenate([slice_(u, (0,), (1,), (1,)), slice_(u, (1,), (1,), (2,))], 0),
    concatenate([x, slice_(x, (0, 0), (1, 1), (0, 4))], 0)])
def concatenate_of_pieces(node):
    """Empty pieces go, joined pieces are joined in one, and slices that lie side by side become one."""
    axis, = node.attrs
    pieces = []
    for x in node.args:
        if x.op is concatenate_op and x.attrs[0] == axis:
            pieces += x.args
        elif x.shape[axis] != 0 or x.shape == node.shape:
            both = _side_by_side(pieces[-1], x, axis) if pieces else None
            if both is None:
                pieces.append(x)
            else:
                pieces[-1] = both
    return concatenate(pieces or node.args[:1], axis) if len(pieces) != len(node.args) else None


def _side_by_side(x, y, axis):
    if x.op is not slice_op or y.op is not slice_op or x.args[0] is not y.args[0]:
        return None
    (a, s, n), (b, t, m) = x.attrs, y.attrs
    stride = s[axis] if n[axis] > 1 else t[axis] if m[axis] > 1 else b[axis] - a[axis]
    if stride == 0 or b[axis] != a[axis] + stride * n[axis] or (m[axis] > 1 and t[axis] != stride):
        return None
    if any((a[k], s[k]) != (b[k], t[k]) for k in range(len(a)) if k != axis):
        return None
    return slice_(x.args[0], a, (*s[:axis], stride, *s[axis + 1:]), (*n[:axis], n[axis] + m[axis], *n[axis + 1:]))


# ---------------------------------------------------------------- reading what was written
def _box(start, step, sizes):
    """Return per axis the (first, last) position of a strided slice."""
    ends = [(a, a + s * (n - 1)) for a, s, n in zip(start, step, sizes)]
    return [(min(e), max(e)) for e in ends]


def _apart(one, other):
    """Return whether two slices (start, step, sizes) share no position, as far as their bounding boxes tell."""
    return any(a[1] < b[0] or b[1] < a[0] for a, b in zip(_box(*one), _box(*other)))


@rewrite(slice_op, phase="canonicalize", examples=lambda x, y: [
    slice_(OPS["set_slice"](x, slice_(y, (0, 0), (1, 1), (2, 4)), start=(1, 0), step=(1, 1)), (1, 0), (1, 1), (2, 4)),
    slice_(OPS["set_slice"](x, slice_(y, (0, 0), (1, 1), (2, 4)), start=(1, 0), step=(1, 1)), (0, 0), (1, 1), (1, 4)),
    slice_(embed(x, (1, 0), (1, 1), (5, 4)), (1, 0), (1, 1), (3, 4))])
def read_of_write(node):
    """Reading the slice that was just written gives what was written; reading beside it does not see the write."""
    inner, = node.args
    if inner.op is set_slice_op:
        x, value = inner.args
    elif inner.op is embed_op:
        (value,), x = inner.args, None
    else:
        return None
    start, step = inner.attrs[:2]
    if node.attrs == (start, step, value.shape):
        return value
    if 0 not in value.shape and 0 not in node.shape and _apart(node.attrs, (start, step, value.shape)):
        return zeros(node.type) if x is None else slice_(x, *node.attrs)
    return None


@rewrite(set_slice_op, phase="canonicalize", examples=lambda x, y: [
    set_slice_op(set_slice_op(x, slice_(y, (0, 0), (1, 1), (2, 4)), start=(1, 0), step=(1, 1)),
                 slice_(y, (1, 0), (1, 1), (2, 4)), start=(1, 0), step=(1, 1)),
    set_slice_op(x, slice_(x, (1, 0), (1, 1), (2, 4)), start=(1, 0), step=(1, 1)),
    set_slice_op(x, y, start=(0, 0), step=(1, 1)),
    set_slice_op(zeros(x.type), slice_(x, (1, 0), (1, 1), (2, 4)), start=(1, 0), step=(1, 1))])
def write_of_write(node):
    """Of two writes to one slice the last counts; writing back what was read, or everything, is no write."""
    x, value = node.args
    start, step = node.attrs
    if value.type is node.type and not any(start) and all(s == 1 for s in step):
        return value
    if 0 in value.shape or (value.op is slice_op and value.args[0] is x and value.attrs[:2] == node.attrs):
        return x
    if x.op is set_slice_op and x.attrs == node.attrs and x.args[1].shape == value.shape:
        return set_slice_op(x.args[0], value, start=start, step=step)
    if is_literal(x, 0):
        return embed(value, start, step, node.shape)
    return None


@rewrite(embed_op, phase="canonicalize", examples=lambda x: [
    embed(zeros(x.type), (1, 0), (1, 1), (5, 4)), embed(embed(x, (1, 0), (1, 1), (5, 4)), (0, 2), (1, 1), (5, 8))])
def embed_of_view(node):
    """Zeros among zeros are zeros; padding of padding is one."""
    inner, = node.args
    start, step, shape = node.attrs
    if inner.type is node.type and not any(start) and all(s == 1 for s in step):
        return inner
    if is_literal(inner, 0):
        return zeros(node.type)
    if inner.op is embed_op:
        a, s, _ = inner.attrs
        start = [i + j * k for i, j, k in zip(start, a, step)]
        return embed(inner.args[0], start, [j * k for j, k in zip(s, step)], shape)
    return None


@rewrite(gather, phase="canonicalize", examples=lambda x: [gather(x, iota("int64", (3,)))])
def gather_of_all(node):
    """x[arange(len(x))] is x."""
    x, *indices = node.args
    return x if len(indices) == 1 and is_range(indices[0], x.shape[0]) else None


@rules("canonicalize", safety="exact", examples=lambda x: [
    check(x, full(True, x.type.with_dtype(BOOL)), error="index", detail=())])
def checks(x, error, detail):
    yield check(x, literal(value=True), error=error, detail=detail), x


# ---------------------------------------------------------------- elementwise ops of views
@rewrite(*_ELEMENTWISE, phase="canonicalize", needs=(broadcast_op,), examples=lambda x, u, v, s: [
    OPS["exp"](broadcast(u, (3, 4), (0,))), broadcast(u, (3, 4), (0,)) * 2.0,
    broadcast(u, (3, 2, 4), (0,)) + broadcast(v, (3, 2, 4), (2,))])
def broadcast_outward(node):
    """op(broadcast(x), broadcast(y)) is broadcast(op(x, y)) along the axes that neither has."""
    used = set()
    for a in node.args:
        if a.op is not broadcast_op:
            return None
        used.update(a.attrs[1])
    shape = node.shape
    if len(used) == len(shape):
        return None
    axes = sorted(used)
    inner = tuple([shape[a] for a in axes])
    args = [broadcast(a.args[0], inner, [axes.index(d) for d in a.attrs[1]]) for a in node.args]
    return broadcast_op(make(node.op, tuple(args), node.attrs), shape=shape, dims=tuple(axes))


@rewrite(*_ELEMENTWISE, phase="canonicalize", needs=(transpose_op,), examples=lambda x, y, u: [
    OPS["exp"](transpose(x, (1, 0))), transpose(x, (1, 0)) + transpose(y, (1, 0)),
    transpose(x, (1, 0)) / broadcast(u, (4, 3), (1,)), transpose(x, (1, 0)) * 2.0])
def transpose_outward(node):
    """op(transpose(x), transpose(y)) is transpose(op(x, y)), also where y is a broadcast."""
    perm = next(a.attrs[0] for a in node.args if a.op is transpose_op)
    back = [perm.index(a) for a in range(len(perm))]
    shape = [node.shape[b] for b in back]
    args = []
    for a in node.args:
        if a.op is transpose_op and a.attrs[0] == perm:
            args.append(a.args[0])
            continue
        if a.op is not broadcast_op:
            return None
        dims = [perm[d] for d in a.attrs[1]]
        if dims != sorted(dims):
            return None
        args.append(broadcast(a.args[0], shape, dims))
    return transpose(make(node.op, tuple(args), node.attrs), perm)


@rewrite(*_ELEMENTWISE, phase="canonicalize", needs=(reshape_op,), examples=lambda x, u, s: [
    OPS["log"](reshape(u, (3, 1))), reshape(u, (3, 1)) + reshape(OPS["exp"](u), (3, 1)), reshape(u, (3, 1)) * 2.0,
    reshape(x, (3, 1, 4)) * broadcast(u, (3, 1, 4), (0,)), reshape(slice_(u, (0,), (1,), (1,)), ()) + 2.0,
    broadcast(x, (3, 4, 1), (0, 1)) * reshape(x, (3, 4, 1))])
def unit_axes_outward(node):
    """op(reshape(x), y) is reshape(op(x, y)) for a reshape of length-1 axes, where y is one too or a broadcast."""
    reshapes = [a for a in node.args if a.op is reshape_op]
    inner = reshapes[0].args[0]
    if not all(changes_unit_axes_only(a) and a.args[0].shape == inner.shape for a in reshapes):
        return None
    place = dict(zip(wide(node.shape), wide(inner.shape)))
    args = []
    for a in node.args:
        if a.op is reshape_op:
            args.append(a.args[0])
        elif a.op is broadcast_op and all(d in place for d in a.attrs[1]):
            args.append(broadcast(a.args[0], inner.shape, [place[d] for d in a.attrs[1]]))
        elif a.op is const_op and not a.shape:
            args.append(broadcast(a, inner.shape, ()))
        else:
            return None
    return reshape(make(node.op, tuple(args), node.attrs), node.shape)
