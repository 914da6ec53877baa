"""Rules for parts of arrays at places that are data: what is written and read in the bodies of loops."""

from tracejit.opt.rewrite import rewrite
from tracejit.symbolic.ir import const, make, scalar_literal
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice, gather, scatter_add, scatter_set
from tracejit.symbolic.ops.scalar import add, greater, maximum, minimum, select, sin
from tracejit.symbolic.ops.shape import reshape, slice_, zeros
from tracejit.symbolic.types import I64


def _parts(x, i):
    """Return places 0, 1 or 2 along the first axis of x, and two rows to write there, for the examples."""
    k = minimum(maximum(reshape(slice_(i, (0, 0), (1, 1), (1, 1)), ()), const(0, I64)), const(2, I64))
    row = slice_(x, (1, 0), (1, 1), (1, 4))
    return (k, const(0, I64)), row, sin(row)


def _add_examples(x, i):
    places, row, other = _parts(x, i)
    written = dynamic_set_slice(zeros(x.type), row, *places)
    twice = dynamic_set_slice(written, dynamic_slice(written, *places, sizes=row.shape) + other, *places)
    scattered = scatter_add(zeros(x.type), row, reshape(places[0], (1,)))
    return [x + written, written + x, x + scattered, x + twice, x + scatter_add(twice, row, reshape(places[0], (1,)))]


@rewrite(add, phase="canonicalize", safety="rounding", examples=_add_examples)
def add_of_written(node):
    """Zeros to parts of which something was added are added to these parts only: loops sum into an array in place."""
    for x, y in (node.args, reversed(node.args)):
        if _is_sum_of_parts(y):
            return _with_parts(x, y)
    return None


def _added(y):
    """Return (array, what was added to a part of it) where `y` is such a sum, else None."""
    if y.op is scatter_add:
        return y.args[:2]
    if y.op is not dynamic_set_slice:
        return None
    into, value, *places = y.args
    if _is_zero(into):
        return into, value
    if value.op is add:
        for part, other in (value.args, reversed(value.args)):
            if part.op is dynamic_slice and list(part.args) == [into, *places]:
                return into, other
    return None


def _is_sum_of_parts(y):
    """Return whether `y` is zeros, to parts of which something was added, once at least."""
    steps = 0
    while (found := _added(y)) is not None:
        y, steps = found[0], steps + 1
    return steps > 0 and _is_zero(y)


def _with_parts(x, y):
    """Return `x` to which the parts are added that were added to zeros."""
    chain = []
    while (found := _added(y)) is not None:
        chain.append((y, found[1]))
        y = found[0]
    for written, value in reversed(chain):
        places = written.args[2:]
        if written.op is scatter_add:
            x = scatter_add(x, value, *places)
        else:
            x = dynamic_set_slice(x, dynamic_slice(x, *places, sizes=value.shape) + value, *places)
    return x


def _is_zero(node):
    literal = scalar_literal(node)
    return literal is not None and literal == 0


def _masked_examples(x, i):
    places, row, other = _parts(x, i)
    written = dynamic_set_slice(x, row, *places)
    mask = greater(x, zeros(x.type))
    return [select(mask, written, x), select(mask, dynamic_set_slice(written, other, *places), x),
            select(mask, scatter_set(x, row, reshape(places[0], (1,))), x)]


@rewrite(select, phase="canonicalize", examples=_masked_examples)
def masked_write(node):
    """Of an array of which parts were written, where a mask holds, only these parts are chosen: not the whole array."""
    mask, written, x = node.args
    below = written
    while below.op in (dynamic_set_slice, scatter_set) and below is not x:
        below = below.args[0]
    if below is not x or written is x:
        return None
    into, value, *places = written.args
    base = x if into is x else select(mask, into, x)

    def part(a):
        return dynamic_slice(a, *places, sizes=value.shape) if written.op is dynamic_set_slice else gather(a, *places)
    return make(written.op, (base, select(part(mask), value, part(base)), *places), ())


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
