"""Where a mask holds: positions whose number is a count of the data, asked for once per trace and guarded."""

import math

from tracejit.symbolic.ir import const
from tracejit.symbolic.ops.index import nonzero
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import cast, quotient, remainder
from tracejit.symbolic.ops.shape import full_like, reshape
from tracejit.symbolic.types import I64
from tracejit.trace.guards import guarded_int

#: What is asked for, as `cache_info` tells it, and what to do where nobody can answer.
COUNT = "the number of elements that a mask selects"
_REMEDY = "keep the full shape with np.where(mask, x, 0), reduce it with where=mask, or write through the mask"


def positions(mask):
    """Return the positions in C order of the elements where a node of bools holds, as a vector node of int64."""
    flat = reshape(mask, (math.prod(mask.shape),))
    if flat.shape[0] == 0:
        return const([], I64)
    size = guarded_int(reduce_sum(cast(flat, I64), axes=(0,)), COUNT, _REMEDY)
    return nonzero(flat, size=size)


def coordinates(flat, shape):
    """Return positions in an array of `shape` along each of its axes, for positions in the flattened one."""
    if len(shape) == 1:
        return (flat,)
    out = []
    for n in reversed(shape):
        n = full_like(max(n, 1), flat)
        out.append(remainder(flat, n))
        flat = quotient(flat, n)
    return tuple(reversed(out))
