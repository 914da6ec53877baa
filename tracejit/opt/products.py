"""Canonical forms of dot_general: views of its operands absorbed, trivial sums gone; and products spelled as sums."""

from tracejit.opt.facts import nonzero_literal
from tracejit.opt.pattern import is_literal
from tracejit.opt.rewrite import rewrite
from tracejit.symbolic.ir import const
from tracejit.symbolic.ops.contract import dot_general, dot_general_op, free_axes
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import multiply, negative
from tracejit.symbolic.ops.shape import (
    broadcast,
    broadcast_op,
    embed,
    full,
    reshape,
    shear,
    shear_op,
    slice_,
    transpose,
    transpose_op,
    windows,
    zeros,
)


def _groups(node):
    """Return (contracted, batch, free) axes of x, and those of y."""
    (cx, cy), (bx, by) = node.attrs
    x, y = node.args
    return (cx, bx, free_axes(x.ndim, cx, bx)), (cy, by, free_axes(y.ndim, cy, by))


def _moved(axes, place):
    return tuple([place[a] for a in axes])


@rewrite(dot_general_op, phase="canonicalize", needs=(transpose_op,), examples=lambda x, y, t: [
    dot_general(transpose(x, (1, 0)), y, ((1,), (0,))), dot_general(y, transpose(t, (2, 0, 1)), ((1,), (0,)))])
def dot_of_transposed(node):
    """A transposed operand is the operand with other axes named; the result is transposed where free axes move."""
    out_groups, args, attrs = [], [], []
    for x, (c, b, f) in zip(node.args, _groups(node)):
        if x.op is transpose_op:
            perm, x = x.attrs[0], x.args[0]
            c, b, f = _moved(c, perm), _moved(b, perm), _moved(f, perm)
        args.append(x)
        attrs.append((c, b))
        out_groups.append(f)
    (cx, bx), (cy, by) = attrs
    # the new result has the free axes in rising order; say where each wanted one stands
    perm, start = list(range(len(bx))), len(bx)
    for f in out_groups:
        perm += [start + sorted(f).index(a) for a in f]
        start += len(f)
    return transpose(dot_general(*args, (cx, cy), (bx, by)), perm)


@rewrite(transpose_op, phase="canonicalize", needs=(dot_general_op,), examples=lambda x, y: [
    transpose(dot_general(x, y, ((1,), (1,))), (1, 0))])
def transposed_dot(node):
    """(x @ y).T is y.T @ x.T: the operands change places."""
    inner, = node.args
    (cx, bx, fx), (cy, by, fy) = _groups(inner)
    n, m, k = len(bx), len(fx), len(fy)
    if node.attrs[0] != (*range(n), *range(n + m, n + m + k), *range(n, n + m)):
        return None
    return dot_general(inner.args[1], inner.args[0], (cy, cx), (by, bx))


@rewrite(dot_general_op, phase="canonicalize", safety="rounding", examples=lambda x, u, v, o: [
    dot_general(x, o, ((1,), (0,))), dot_general(u, v, ((), ())),
    dot_general(reshape(u, (3, 1)), reshape(v, (1, 4)), ((1,), (0,)))])
def dot_of_unit_axes(node):
    """Axes of length 1 are no part of a product, and a product that sums nothing is elementwise."""
    x, y = node.args
    if 1 in x.shape or 1 in y.shape:
        (cx, bx, fx), (cy, by, fy) = _groups(node)
        c = [(i, j) for i, j in zip(cx, cy) if x.shape[i] != 1]
        b = [(i, j) for i, j in zip(bx, by) if x.shape[i] != 1]
        squeezed, places = [], []
        for a in node.args:
            keep = [k for k in range(a.ndim) if a.shape[k] != 1]
            squeezed.append(reshape(a, [a.shape[k] for k in keep]))
            places.append({k: i for i, k in enumerate(keep)})
        px, py = places
        out = dot_general(*squeezed, ([px[i] for i, _ in c], [py[j] for _, j in c]),
                          ([px[i] for i, _ in b], [py[j] for _, j in b]))
        return reshape(out, node.shape)
    if node.attrs[0][0]:
        return None
    (_, bx, fx), (_, by, fy) = _groups(node)
    n, m = len(bx), len(fx)
    left = broadcast(transpose(x, [*bx, *fx]), node.shape, range(n + m))
    right = broadcast(transpose(y, [*by, *fy]), node.shape, [*range(n), *range(n + m, node.ndim)])
    return multiply(left, right) if x.type.kind != "b" else None


@rewrite(dot_general_op, phase="canonicalize", safety="rounding", needs=(broadcast_op,), examples=lambda x, u, v, s: [
    dot_general(broadcast(s, (3,), ()), x, ((0,), (0,))), dot_general(x, broadcast(v, (4, 5), (0,)), ((1,), (0,))),
    dot_general(x, broadcast(s, (4, 5), ()), ((1,), (0,)))])
def dot_of_broadcast(node):
    """What is repeated along a sum is a factor of it; what is repeated along a free axis repeats in the result."""
    if node.dtype.kind == "b":
        return None
    groups = _groups(node)
    for i in (0, 1):
        x, other = node.args[i], node.args[1 - i]
        if x.op is not broadcast_op:
            continue
        (c, b, f), (c_other, b_other, _) = groups[i], groups[1 - i]
        dims = x.attrs[1]
        missing = [a for a in range(x.ndim) if a not in dims and a not in b]
        if not missing:
            continue
        keep = {a: k for k, a in enumerate([a for a in range(x.ndim) if a not in missing])}
        small = broadcast(x.args[0], [x.shape[a] for a in keep], [keep[d] for d in dims])
        summed = sorted([o for a, o in zip(c, c_other) if a in missing])
        place = {a: k for k, a in enumerate([a for a in range(other.ndim) if a not in summed])}
        rest = reduce_sum(other, axes=tuple(summed)) if summed else other
        pairs = [(keep[a], place[o]) for a, o in zip(c, c_other) if a not in missing]
        contract = [[p for p, _ in pairs], [q for _, q in pairs]]
        batch = [[keep[a] for a in b], [place[a] for a in b_other]]
        if i:
            product = dot_general(rest, small, contract[::-1], batch[::-1])
        else:
            product = dot_general(small, rest, contract, batch)
        first = len(b) + (len(groups[0][2]) if i else 0)
        gone = [first + k for k, a in enumerate(f) if a in missing]
        return broadcast(product, node.shape, [a for a in range(node.ndim) if a not in gone])
    return None


@rewrite(dot_general_op, phase="canonicalize", safety="rounding", examples=lambda x, y: [
    dot_general(-x, y, ((1,), (1,))), dot_general(x, 2.0 * y, ((1,), (1,)))])
def dot_of_multiple(node):
    """(-x) @ y is -(x @ y), and so for a literal factor of an operand that needs no computing otherwise."""
    if node.type.kind not in "fc":
        return None
    for i in (0, 1):
        x = node.args[i]
        rest = list(node.args)
        if x.op is negative:
            rest[i] = x.args[0]
            return -node.rebuild(rest)
        if x.op is multiply:
            for k in (0, 1):
                c, inner = nonzero_literal(x.args[k]), x.args[1 - k]
                if c is not None and not inner.op.elementwise:
                    rest[i] = inner
                    return full(c, node.type) * node.rebuild(rest)
    return None


@rewrite(dot_general_op, phase="canonicalize", safety="careless", examples=lambda x, y: [
    dot_general(x, zeros(y.type), ((1,), (1,)))])
def dot_of_zeros(node):
    """0 @ x is 0."""
    return zeros(node.type) if any(is_literal(a, 0) for a in node.args) else None


@rewrite(reduce_sum, phase="specialize", safety="rounding", needs=(multiply,), examples=lambda x, y: [
    reduce_sum(broadcast(x, (3, 3, 4), (0, 2)) * broadcast(y, (3, 3, 4), (1, 2)), axes=(2,))])
def sum_of_products(node):
    """sum(x[:, None, :] * y[None, :, :], 2) is x @ y.T.

    A sum of products that repeats nothing stays a fused loop, which reads each operand once as BLAS would.
    """
    inner, = node.args
    axes, = node.attrs
    if node.type.kind not in "fc":
        return None
    dims = [a.attrs[1] if a.op is broadcast_op else tuple(range(inner.ndim)) for a in inner.args]
    sources = [a.args[0] if a.op is broadcast_op else a for a in inner.args]
    own = [[a for a in d if a not in other] for d, other in (dims, dims[::-1])]
    both = [a for a in dims[0] if a in dims[1]]
    if not own[0] or not own[1] or sorted(both) != list(axes):
        return None
    out = dot_general(*sources, [[d.index(a) for a in axes] for d in dims])
    order = own[0] + own[1]
    return transpose(out, [order.index(a) for a in sorted(order)])


@rewrite(reduce_sum, phase="canonicalize", safety="rounding", needs=(shear_op,), examples=lambda x, u: [
    reduce_sum(shear(broadcast(u * u, (3, 2), (0,)) * broadcast(const([1.5, 2.0]), (3, 2), (1,)), (0,), (1,), (4,)),
               axes=(1,)),
    reduce_sum(shear(broadcast(x * x, (3, 4, 2, 3), (0, 1)) * broadcast(const([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]]),
                                                                   (3, 4, 2, 3), (2, 3)), (0, 1), (2, 3), (4, 6)),
               axes=(2, 3))])
def overlapping_sum_of_products(node):
    """Adding up overlapping windows of x * w is a product of the windows of padded x with w backwards.

    It is what the derivative of a convolution is: as windows no element asks whether it lies inside.
    """
    moved, = node.args
    if moved.op is not shear_op or moved.args[0].op is not multiply or not moved.type.is_static:
        return None
    axes, along, sign, sizes = moved.attrs
    inner, kept = moved.args[0], moved.ndim - len(along)
    if sign < 0 or node.attrs[0] != along or along != tuple(range(kept, moved.ndim)) or inner.type.size == 0:
        return None
    if not all(a.op is broadcast_op for a in inner.args) or any(n < inner.shape[a] for a, n in zip(axes, sizes)):
        return None
    for x, w in (inner.args, inner.args[::-1]):
        if set(x.attrs[1]) & set(along) or w.attrs[1] != along:
            continue
        x, w = broadcast(x.args[0], inner.shape[:kept], x.attrs[1]), w.args[0]
        shape, start = list(x.shape), [0] * kept
        for a, n, m in zip(axes, sizes, w.shape):
            shape[a], start[a] = n + m - 1, m - 1
        back = slice_(w, [n - 1 for n in w.shape], [-1] * w.ndim, w.shape)
        padded = embed(x, start, [1] * kept, shape)
        return dot_general(windows(padded, axes, w.shape), back, (along, range(w.ndim)))
    return None
