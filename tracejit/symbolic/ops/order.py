"""Partial orders: elements put on the side of some ranked ones where sorting would put them, no more."""

import numpy as np

from tracejit.symbolic.ir import define, make
from tracejit.symbolic.ops.index import along_axis_indices, gather, ranked_type
from tracejit.symbolic.types import I64


def _order(x, axis, ranks):
    """Return the order that groups the elements before, at, between and behind the ranked ones."""
    rows = np.moveaxis(x, axis, -1)
    out = np.empty(rows.shape, np.int64)
    for place in np.ndindex(rows.shape[:-1]):
        row, ordered = rows[place], np.sort(rows[place])
        first, last = np.searchsorted(ordered, row, "left"), np.searchsorted(ordered, row, "right")
        group = sum((k < first).astype(int) + (k < last) for k in ranks)
        out[place] = np.argsort(group, kind="stable")
    return np.moveaxis(out, -1, axis)


def _partition_jvp(node, tangents):
    axis, ranks = node.attrs
    order = argpartition(node.args[0], axis=axis, ranks=ranks)
    return gather(tangents[0], *along_axis_indices(order, axis))


def _batch(node, args, batched):
    return make(node.op, (args[0],), (node.attrs[0] + 1, *node.attrs[1:]))


def _samples(rng):
    for shape, axis, ranks in (((6,), 0, (2,)), ((3, 7), 1, (0, 3, 6)), ((9, 3), 0, (4, 5)), ((2, 3, 2), 1, (1,)),
                               ((3000,), 0, (1500,)), ((0, 2), 1, (0,))):
        x = rng.standard_normal(shape)
        attrs = {"axis": axis, "ranks": ranks}
        yield (x,), attrs
        for dtype in (np.int32, np.uint8, np.float16, bool):
            yield ((x * 3).astype(dtype),), attrs
        yield (np.where(x > 1, np.nan, x).astype(np.float32),), attrs
        yield (x + 1j * rng.standard_normal(shape),), attrs


#: The elements along `axis` with those of the given (rising) ranks in their sorted places, smaller ones before and
#: larger ones behind, nan last; in between, and among equals, they stay in the order that they had.
partition = define("partition", attrs=("axis", "ranks"), jvp=_partition_jvp, routine="partition", batch=_batch,
                   samples=_samples, type=lambda x, axis, ranks: (ranked_type(x, axis, ranks), x)[1],
                   ref=lambda x, axis, ranks: np.take_along_axis(x, _order(x, axis, ranks), axis))
#: The order that `partition` puts the elements in.
argpartition = define("argpartition", attrs=("axis", "ranks"), differentiable=False, routine="argpartition",
                      batch=_batch, samples=_samples, ref=_order,
                      type=lambda x, axis, ranks: (ranked_type(x, axis, ranks), x)[1].with_dtype(I64))
