"""`print` in traced code: what it would show is collected while the compiled function runs, and shown after the call.

So are warnings that the user's code gives, and lines it logs. Each place that prints keeps its values in arrays beside
the function's own, with a number that says when it was reached; in a loop they have room for `ROOM` lines.
"""

import ast
import builtins
import functools
import logging
import sys
import warnings

import numpy as np

from tracejit.errors import UnsupportedError, is_users, user_frame
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
    """One place that prints: the arrays that keep its values, their number, and when it was reached.

    `show` is `print`, or another function to call with what it is given.
    """

    def __init__(self, show, template, options, values, trace, room):
        self.show, self.template, self.options, self.room = show, template, options, room
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
        """Yield (when, function, what to give it, options) of the lines kept."""
        for k in range(min(int(count), self.room)):
            row = [v[k].item() if weak else v[k] if scalar or v.ndim > 1 else np.asarray(v[k])
                   for v, (weak, scalar) in zip(values, self.kinds)]
            yield int(when[k]), self.show, [filled(x, row) for x in self.template], self.options
        if int(count) > self.room:
            yield int(when[-1]) - 0.5, builtins.print, [f"... {int(count) - self.room} lines more"], {}


def print_(*args, **options):
    """Print when the compiled function has run."""
    if current_trace() is None or options.get("file") is not None:
        builtins.print(*args, **options)
        return
    _later(builtins.print, args, options, sys._getframe(1))


@functools.wraps(warnings.warn)
def warn(message, category=None, stacklevel=1, source=None, **options):
    """Warn when the compiled function has run."""
    if current_trace() is None:
        warnings.warn(message, category, stacklevel + 1, source, **options)
        return
    frame = at = sys._getframe(1)
    while stacklevel > 1 and frame.f_back is not None:
        frame = frame.f_back
        stacklevel -= is_users(frame)
    category = type(message) if isinstance(message, Warning) else category or UserWarning
    module = frame.f_globals.get("__name__", "<string>")
    show = functools.partial(_warn, category, frame.f_code.co_filename, frame.f_lineno, module)
    _later(show, [message], {}, at)


_registries: dict = {}


def _warn(category, file, line, module, message):
    known = sys.modules.get(module)
    place = _registries.setdefault(file, {}) if known is None else vars(known)
    warnings.warn_explicit(message, category, file, line, module, place.setdefault("__warningregistry__", {}))


class Logger:
    """A user's logger, or the module `logging`, in traced code: lines are logged when the compiled function has run."""

    def __init__(self, original):
        self._original = original

    def __getattr__(self, name):
        found = getattr(self._original, name)
        if name in ("getLogger", "getChild"):
            return lambda *args: Logger(found(*args))
        if name not in ("debug", "info", "warning", "error", "critical", "exception", "log"):
            return found

        def log(*args, **options):
            if current_trace() is None:
                found(*args, **options)
            else:
                at = sys._getframe(1)
                code = at.f_code
                said = _said_at(code.co_filename, at.f_lineno, code.co_name, code.co_qualname)
                _later(functools.partial(_say, said, found), args, options, at)
        return functools.wraps(found)(log)


@functools.cache
def _said_at(file, line, name, qualname):
    """Return code that calls a function and stands in the user's line, which a record of a logger then names."""
    tree = ast.increment_lineno(ast.parse("show(*args, **options)", mode="eval"), line - 1)
    return compile(tree, file, "eval").replace(co_name=name, co_qualname=qualname)


def _say(code, show, *args, **options):
    eval(code, {"show": show, "args": args, "options": options})


def logger(x):
    """Return what a logger or the module `logging` is in traced code, None for anything else."""
    return Logger(x) if x is logging or isinstance(x, (logging.Logger, logging.LoggerAdapter)) else None


def _later(show, args, options, at):
    """Call a function when the compiled function has run, with the values of that call; `at` is the user's frame."""
    trace = current_trace()
    flow = flow_of(trace)
    values = []
    template = template_of(args, values)
    loop = any(region.steps != ("plain",) for region in flow.regions) or _repeated(trace)
    if loop and any(v.size * ROOM > _MOST for v in values):
        raise UnsupportedError(f"a line with an array of type {max(values, key=lambda v: v.size).type} in a loop",
                               where=user_frame(), do="print a few numbers of it, or print after the loop")
    if any(not v.type.is_static for v in values):
        raise UnsupportedError("a line with an array whose size is known at run time", where=user_frame(),
                               do="return it, and print it outside")
    key = (at.f_code, at.f_lasti, tuple(region.site for region in flow.regions)) if loop else None
    line = flow.lines.get(key) if loop else None
    if line is None or not line.fits(values):
        line = Line(show, template, options, values, trace.root, ROOM if loop else 1)
        flow.lines[key if loop else object()] = line
    line.template, line.show = template, show
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
        for _, show, args, options in sorted(found, key=lambda entry: entry[0]):
            show(*args, **options)
        return self.structure.unflatten(leaves[:own])
