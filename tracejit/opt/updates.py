"""Rules for parts of arrays at places that are data: what is written and read in the bodies of loops."""

from tracejit.opt.rewrite import rewrite
from tracejit.symbolic.ir import const, make, scalar_literal
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice, scatter_add
from tracejit.symbolic.ops.scalar import add, maximum, minimum, sin
from tracejit.symbolic.ops.shape import reshape, slice_, zeros
from tracejit.symbolic.types import I64


def _parts(x, i):
    """Return places 0, 1 or 2 along the first axis of x, and two rows to write there, for the examples."""
    k = minimum(maximum(reshape(slice_(i, (0, 0), (1, 1), (1, 1)), ()), const(0, I64)), const(2, I64))
    row = slice_(x, (1, 0), (1, 1), (1, 4))
    return (k, const(0, I64)), row, sin(row)


def _add_examples(x, i):
    places, row, _ = _parts(x, i)
    return [x + dynamic_set_slice(zeros(x.type), row, *places), dynamic_set_slice(zeros(x.type), row, *places) + x,
            x + scatter_add(zeros(x.type), row, reshape(places[0], (1,)))]


@rewrite(add, phase="canonicalize", safety="rounding", examples=_add_examples)
def add_of_written(node):
    """Zeros into which a part was written are added to that part only: so loops sum into an array in place."""
    for x, y in (node.args, reversed(node.args)):
        if y.op is not dynamic_set_slice and y.op is not scatter_add:
            continue
        into, value, *places = y.args
        literal = scalar_literal(into)
        if literal is None or literal != 0:
            continue
        if y.op is scatter_add:
            return scatter_add(x, value, *places)
        return dynamic_set_slice(x, dynamic_slice(x, *places, sizes=value.shape) + value, *places)
    return None


def _read_examples(x, i):
    places, row, _ = _parts(x, i)
    return [dynamic_slice(dynamic_set_slice(x, row, *places), *places, sizes=(1, 4))]


@rewrite(dynamic_slice, phase="canonicalize", needs=(dynamic_set_slice,), examples=_read_examples)
def part_just_written(node):
    """A part that was written to its place is read without going through the array."""
    written, *places = node.args
    same = written.op is dynamic_set_slice and written.args[1].shape == node.shape and (
        list(written.args[2:]) == places)
    return written.args[1] if same else None


def _write_examples(x, i):
    places, row, other = _parts(x, i)
    return [dynamic_set_slice(dynamic_set_slice(x, row, *places), other, *places)]


@rewrite(dynamic_set_slice, phase="canonicalize", needs=(dynamic_set_slice,), examples=_write_examples)
def part_written_over(node):
    """Of two parts written to one place the last stays."""
    before, value, *places = node.args
    if before.op is not dynamic_set_slice or before.args[1].shape != value.shape or list(before.args[2:]) != places:
        return None
    return make(dynamic_set_slice, (before.args[0], value, *places), ())
