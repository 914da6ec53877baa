"""`print` in traced code: what it would show is collected while the compiled function runs, and shown after the call.

Each place that prints keeps its values in arrays beside the function's own, with a number that says when it was
reached; in a loop they have room for `ROOM` lines.
"""

import builtins
import sys

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ir import const
from tracejit.symbolic.ops.index import dynamic_set_slice
from tracejit.symbolic.ops.scalar import minimum
from tracejit.symbolic.ops.shape import reshape, zeros
from tracejit.symbolic.types import I64, Type
from tracejit.trace.regions import Repeated, flow_of
from tracejit.trace.texts import filled, template_of
from tracejit.trace.tracer import Storage, Tracer, current_trace

#: Lines that one place inside a loop can keep; and the most numbers in all of them.
ROOM, _MOST = 1000, 100_000


class Line:
    """One place that prints: the arrays that keep its values, their number, and when it was reached."""

    def __init__(self, template, options, values, trace, room):
        self.template, self.options, self.room = template, options, room
        self.kinds = [(v.weak, v.scalar) for v in values]
        empty = lambda kind: Storage(zeros(kind.with_shape((room, *kind.shape))), trace)
        self.count = Storage(const(0, I64), trace)
        self.when = empty(Type(I64))
        self.values = [empty(v.type) for v in values]

    def fits(self, values):
        """Return whether these are the values that the arrays were made for."""
        return [(v.weak, v.scalar) for v in values] == self.kinds and all(
            s.value.type is v.type.with_shape((self.room, *v.shape)) for s, v in zip(self.values, values))

    def put(self, when, values):
        """Keep one more line."""
        count = Tracer(self.count).node
        place = minimum(count, const(self.room - 1, I64))
        for storage, node in zip((self.when, *self.values), (when, *(v.node for v in values))):
            start = (place, *[const(0, I64)] * node.ndim)
            storage.write(dynamic_set_slice(Tracer(storage).node, reshape(node, (1, *node.shape)), *start))
        self.count.write(count + 1)

    def nodes(self):
        """Return the nodes of all that is kept."""
        return [s.value for s in (self.count, self.when, *self.values)]

    def lines(self, count, when, *values):
        """Yield (when, what to print, options) of the lines kept."""
        for k in range(min(int(count), self.room)):
            row = [v[k].item() if weak else v[k] if scalar or v.ndim > 1 else np.asarray(v[k])
                   for v, (weak, scalar) in zip(values, self.kinds)]
            yield int(when[k]), [filled(x, row) for x in self.template], self.options
        if int(count) > self.room:
            yield int(when[-1]) - 0.5, [f"... {int(count) - self.room} lines more"], {}


def print_(*args, **options):
    """Print when the compiled function has run."""
    trace = current_trace()
    if trace is None or options.get("file") is not None:
        builtins.print(*args, **options)
        return
    flow = flow_of(trace)
    values = []
    template = template_of(args, values)
    loop = any(region.steps != ("plain",) for region in flow.regions) or _repeated(trace)
    if loop and any(v.size * ROOM > _MOST for v in values):
        raise UnsupportedError(f"print of an array of type {max(values, key=lambda v: v.size).type} in a loop",
                               where=user_frame(), do="print a few numbers of it, or print after the loop")
    if any(not v.type.is_static for v in values):
        raise UnsupportedError("print of an array whose size is known at run time", where=user_frame(),
                               do="return it, and print it outside")
    at = sys._getframe(1)
    key = (at.f_code, at.f_lasti, tuple(region.site for region in flow.regions)) if loop else None
    line = flow.lines.get(key) if loop else None
    if line is None or not line.fits(values):
        line = Line(template, options, values, trace.root, ROOM if loop else 1)
        flow.lines[key if loop else object()] = line
    line.template = template
    if flow.clock is None:
        flow.clock = Storage(const(0, I64), trace.root)
    now = Tracer(flow.clock).node
    line.put(now, values)
    flow.clock.write(now + 1)


def _repeated(trace):
    """Return whether a structured loop is around."""
    while trace is not None and not isinstance(trace, Repeated):
        trace = trace.parent
    return trace is not None


class Printing:
    """The structure of a result, in the place of a plain one: building it prints what the call has kept."""

    def __init__(self, structure, lines):
        self.structure, self.lines = structure, lines

    def unflatten(self, leaves):
        """Print, and return the result itself."""
        own = self.structure.num_leaves
        kept, found = iter(leaves[own:]), []
        for line in self.lines:
            found += line.lines(*[next(kept) for _ in range(2 + len(line.values))])
        for _, args, options in sorted(found, key=lambda entry: entry[0]):
            builtins.print(*args, **options)
        return self.structure.unflatten(leaves[:own])
