"""Shapes that hold dims: where sizes must agree and nobody can tell yet, the compiled function compares them and raises
what NumPy raises.
"""

from tracejit.symbolic import dims
from tracejit.symbolic.ir import Node, const, dim
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice, gather
from tracejit.symbolic.ops.scalar import cast, check
from tracejit.symbolic.ops.shape import broadcast, broadcast_to, concatenate, iota, reshape, transpose, zeros
from tracejit.symbolic.types import I64


def is_known(shape):
    """Return whether all sizes are ints."""
    return all(type(n) is int for n in shape)


def shown(shape):
    """Return a shape as NumPy's errors write it, with a question mark for a size that is a dim."""
    sizes = ["?" if isinstance(n, Node) else str(n) for n in shape]
    return f"({','.join(sizes)}{',' if len(sizes) == 1 else ''})"


def resized(node, axis, size, error="broadcast"):
    """Return `node` with another size along an axis, which the compiled function checks to be the one it has."""
    own = node.shape[axis]
    if dims.same(own, size):
        checked = dim(own)
    else:
        checked = check(dim(own), ops.equal(dim(own), dim(size)), error=error, detail=(size,))
    # the start is 0, and only known when the check has passed
    starts = [const(0, I64)] * node.ndim
    starts[axis] = const(0, I64) if checked is dim(own) else checked - dim(own)
    return dynamic_slice(node, *starts, sizes=tuple(size if a == axis else n for a, n in enumerate(node.shape)))


def spread(node, shape, error="broadcast"):
    """Return `node` broadcast to a shape by NumPy's rule; sizes that are dims are compared at run time."""
    if node.type.is_static and all(type(n) is int for n in shape):
        return broadcast_to(node, shape)
    offset = len(shape) - node.ndim
    for axis, n in enumerate(node.shape):
        if n != 1 and n is not shape[axis + offset] and n != shape[axis + offset]:
            node = repeated(node, axis, shape[axis + offset], error)
    return broadcast_to(node, shape)


def repeated(node, axis, size, error):
    """Return `node` with another size along an axis, which the compiled function checks to be its own, or repeats it.

    Its elements lie ``step`` apart, which is 0 where there is one of them.
    """
    own = node.shape[axis]
    least, most = dims.interval(own)
    if not isinstance(own, Node) or least > 1 or most < 1 or dims.same(own, size):
        return resized(node, axis, size, error)
    one = ops.equal(own, const(1, I64))
    checked = check(own, ops.bitwise_or(one, ops.equal(own, dim(size))), error=error, detail=(size,))
    step = cast(ops.not_equal(checked, const(1, I64)), I64)
    place = iota(I64, (size,))
    order = [axis, *[a for a in range(node.ndim) if a != axis]]
    moved = gather(transpose(node, order), place * broadcast(step, place.shape, ()))
    return transpose(moved, [order.index(a) for a in range(node.ndim)])


def stretched(vector, size, error):
    """Return a vector of another size, which the compiled function checks to be the one it has, or repeated from 1."""
    (own,) = vector.shape
    if own is size or own == size:
        return vector
    fine = ops.equal(dim(own), dim(size))
    fine = ops.bitwise_or(fine, ops.equal(dim(own), const(1, I64)))
    last = check(dim(own), fine, error=error, detail=(size,)) - const(1, I64)
    place = iota(I64, (size,))
    return gather(vector, ops.minimum(place, broadcast(last, place.shape, ())))


def widest(sizes):
    """Return the size of vectors that meet: the one that is not 1."""
    out = 1
    for n in sizes:
        if out == 1 or type(n) is int and n != 1:
            out = n
        elif isinstance(out, Node) and n is not out and n != 1:
            out = ops.select(ops.equal(out, const(1, I64)), n, out)
    return out


def common(a, b):
    """Return the size of an axis along which operands of these sizes meet, or None where they cannot."""
    if a == 1 or a is b or a == b:
        return b
    if b == 1:
        return a
    if isinstance(a, Node) and isinstance(b, Node):
        if dims.same(a, b) or dims.interval(a)[0] > 1:
            return a
        return b if dims.interval(b)[0] > 1 else ops.select(ops.equal(a, const(1, I64)), b, a)
    return (b if isinstance(a, Node) else a) if isinstance(a, Node) or isinstance(b, Node) else None


def joined(nodes, axis):
    """Return arrays joined along an axis; those that are not, and their sizes there, may be dims."""
    first = nodes[0]
    for a, n in enumerate(first.shape):
        if a != axis:
            nodes = [x if x.shape[a] is n or x.shape[a] == n else resized(x, a, n, "joined") for x in nodes]
    if is_known(x.shape[axis] for x in nodes):
        return concatenate(nodes, axis)
    shape = list(first.shape)
    shape[axis] = dims.total(x.shape[axis] for x in nodes)
    out, at = zeros(first.type.with_shape(shape)), 0
    for x in nodes:
        out = dynamic_set_slice(out, x, *[dim(at if a == axis else 0) for a in range(x.ndim)])
        at = dims.plus(at, x.shape[axis])
    return out


def reshaped(node, shape):
    """Return `node` in another shape, one of whose entries may be -1; sizes are compared at run time where need be."""
    shape = completed(node.shape, shape)
    total, new = dims.product(node.shape), dims.product(shape)
    if is_known(node.shape) and is_known(shape) or _cancelled(node.shape, shape) == ([], []) or dims.same(total, new):
        return reshape(node, shape)
    return reshape(resized(reshape(node, (total,)), 0, new, "reshaped"), shape)


def completed(old, new):
    """Return a new shape with its -1 filled in."""
    if -1 not in [n for n in new if type(n) is int]:
        return tuple(new)
    if sum(type(n) is int and n == -1 for n in new) > 1:
        raise ValueError("can only specify one unknown dimension")
    rest = [n for n in new if not (type(n) is int and n == -1)]
    left, right = _cancelled(old, rest)
    size, divisor = dims.product(left), dims.product(right)
    if isinstance(divisor, Node):
        size = ops.quotient(dim(size), ops.maximum(divisor, const(1, I64)))
    elif divisor:
        size = dims.quotient(size, divisor)
    else:
        raise ValueError(f"cannot reshape an array into shape {tuple(new)}: the size of -1 is not determined")
    return tuple(size if type(n) is int and n == -1 else n for n in new)


def _cancelled(left, right):
    """Return two lists of factors without what they have in common."""
    left, right = [n for n in left if n != 1], [n for n in right if n != 1]
    for n in list(left):
        if any(m is n or m == n for m in right):
            right.remove(n)
            left.remove(n)
    return left, right
