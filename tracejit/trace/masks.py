"""Where a mask holds: positions whose number is a count of the data, and a dim."""

from tracejit.symbolic import dims
from tracejit.symbolic.ir import const, dim
from tracejit.symbolic.ops.index import nonzero
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import cast, quotient, remainder
from tracejit.symbolic.ops.shape import broadcast, reshape
from tracejit.symbolic.types import I64


def positions(mask):
    """Return the positions in C order of the elements where a node of bools holds, as a vector node of int64."""
    flat = reshape(mask, (dims.product(mask.shape),))
    if flat.shape[0] == 0:
        return const([], I64)
    return nonzero(flat, size=reduce_sum(cast(flat, I64), axes=(0,)))


def coordinates(flat, shape):
    """Return positions in an array of `shape` along each of its axes, for positions in the flattened one."""
    if len(shape) == 1:
        return (flat,)
    out = []
    for n in reversed(shape):
        n = broadcast(dim(dims.largest(n, 1)), flat.shape, ())
        out.append(remainder(flat, n))
        flat = quotient(flat, n)
    return tuple(reversed(out))
