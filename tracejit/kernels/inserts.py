"""Writes into moving slices, narrowed: what is written back as it was read need not be written.

``row = a[i]; row[1:-1] = v`` arrives as a row taken out, changed in a part, and put back as a whole.
"""

from tracejit.kernels.updates import base
from tracejit.symbolic.ir import OPS, const, make
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice
from tracejit.symbolic.ops.shape import reshape
from tracejit.symbolic.types import I64

_SCATTERS = {"scatter_set": None, "scatter_add": "add", "scatter_multiply": "multiply", "scatter_max": "maximum",
             "scatter_min": "minimum"}


def insert(node):
    """Return a write as a narrower one into a moving slice, where it is one; else the node."""
    if node.op.name in _SCATTERS:
        node = _at_one_place(node)
    while node.op is dynamic_set_slice:
        narrow = _narrowed(node)
        if narrow is None:
            break
        node = narrow
    return node


def _at_one_place(node):
    """Return a scatter at a single position as a write into the slice there."""
    x, value, *indices = node.args
    if not (indices[0].type.is_static and indices[0].type.size == 1 and x.type.is_static):
        return node
    depth = len(indices)
    starts = [reshape(i, ()) for i in indices] + [const(0, I64)] * (x.ndim - depth)
    sizes = (1,) * depth + x.shape[depth:]
    value, fold = reshape(value, sizes), _SCATTERS[node.op.name]
    if fold is not None:
        value = OPS[fold](dynamic_slice(x, *starts, sizes=sizes), value)
    return dynamic_set_slice(x, value, *starts)


def _narrowed(node):
    x, value, *starts = node.args
    inner = base(value)
    if inner.op is dynamic_set_slice:
        under, piece, *offsets = inner.args
    elif inner.op.name == "set_slice" and all(s == 1 for s in inner.attrs[1]):
        (under, piece), (offsets, _) = inner.args, inner.attrs
    else:
        return None
    under = base(under)
    if not (under.op is dynamic_slice and under.args[0] is x and under.args[1:] == tuple(starts)):
        return None
    if under.shape != value.shape or not value.type.is_static:
        return None
    # the shapes differ by axes of length 1 only
    ours = [a for a, n in enumerate(value.shape) if n != 1]
    theirs = [a for a, n in enumerate(inner.shape) if n != 1]
    if [value.shape[a] for a in ours] != [inner.shape[a] for a in theirs]:
        return None
    if not piece.type.is_static or any(piece.shape[a] != 1 for a in range(inner.ndim) if a not in theirs):
        return None
    sizes, places = [1] * x.ndim, list(starts)
    for a, b in zip(ours, theirs):
        sizes[a] = piece.shape[b]
        offset = offsets[b] if hasattr(offsets[b], "op") else const(offsets[b], I64)
        places[a] = make(OPS["add"], (starts[a], offset), ())
    return dynamic_set_slice(x, piece if piece.shape == tuple(sizes) else reshape(piece, tuple(sizes)), *places)
