"""Floating-point events: what NumPy would have said of a call whose compiled code has raised the processor's flags.

The flags cost nothing, and tell little: not which operation, not which of its elements are the user's business, and
some are raised without an event (comparisons with NaN, lanes that a select drops). So they only have the call looked
at, once it is over: NumPy evaluates the graph that was compiled, and where it has something to say, the graph as it was
traced, whose nodes know the user's lines. What it says there is issued as the error state of the line, or around the
call, has it.
"""

import functools
import sys
import warnings
from time import perf_counter

import numpy as np

from tracejit.flags import STANDING, STRICT
from tracejit.symbolic.graph import graphs_in
from tracejit.symbolic.interp import evaluate, evaluate_nodes, listen
from tracejit.symbolic.ir import make, new_variable
from tracejit.symbolic.types import type_of

__all__ = ["KINDS", "Look", "may_raise"]

#: Kinds of events; bit k of a set of flags stands for the k-th.
KINDS = ("invalid", "divide", "over", "under")
WORDS = {"divide": "divide by zero", "over": "overflow", "under": "underflow", "invalid": "invalid value"}
_BITS = {"divide": 1, "over": 2, "under": 4, "invalid": 8}  # as functions given to np.seterrcall get them

#: Nodes that NumPy evaluates at most for a look that may warn, and for one that may do more: a longer loop is left.
_STEPS, _MANY_STEPS = 20_000, 10_000_000
#: How long after a look that had nothing new to tell none is done, in units of the time that it took; twice that after
#: the next one, and so on.
_PAUSE, _LONGEST = 20, 20_000


def state():
    """Return the kinds of events that the error state around a call does not ignore, as flags, and STRICT."""
    modes = np.geterr()
    strict = STRICT if any(mode not in ("ignore", "warn") for mode in modes.values()) else 0
    return strict | sum(1 << k for k, kind in enumerate(KINDS) if modes[kind] != "ignore")


def may_raise(graph):
    """Return whether there is arithmetic in a graph that may raise flags."""
    return any(_computes(node) or any(map(may_raise, graphs_in(node.attrs))) for node in graph.topological())


def _computes(node):
    if node.op.element is not None or node.op.name in ("param", "const", "select", "item", "check"):
        return False
    kinds = {t.dtype.kind for n in (node, *node.args) for t in (n.type if type(n.type) is tuple else (n.type,))}
    return bool(kinds & set("fc")) or node.op.name in ("floor_divide", "remainder")


class Look:
    """Tells what NumPy would have told of the calls of one compiled graph.

    Attributes
    ----------
    always : int
        Flags that are looked at whatever the error state around the call: what ``np.errstate`` inside asks for.
    """

    def __init__(self, traced, graph):
        self._traced, self._graph = traced, graph
        self._standing = [n for n in traced.notices if n[3] is None]
        self._notices = [n for n in traced.notices if n[3] is not None]
        self.always = (STANDING if self._standing else 0) | sum(1 << k for k, kind in enumerate(KINDS) if any(
            line and not line.silent and line.modes.get(kind, "ignore") != "ignore" for line in traced.notes.values()))
        self._filters, self._pause, self._until = (), _PAUSE, 0.0

    def wanted(self, flags):
        """Return whether a call that raised flags should be looked at; STRICT is among them as `state` has it.

        Where events are only warned of, and looks have told nothing new, these take but a small part of the time; any
        change of the filters begins anew.
        """
        if flags & (STANDING | STRICT) or self.always:
            return True
        if not _unchanged(self._filters):
            self._filters, self._pause, self._until = _filters(), _PAUSE, 0.0
        return perf_counter() >= self._until

    def tell(self, flags, inputs):
        """Issue what NumPy would have said of a call with these inputs; None stands for one that is overwritten.

        Raises
        ------
        FloatingPointError
            Where the error state says so; and whatever a warning's filter or a function of `np.seterrcall` raises.
        """
        start = perf_counter()
        for line, category, text, _ in self._standing:
            _warn(line, text, category)
        new, around = self._noticed(inputs), np.geterr()
        if not flags & ~STANDING:
            return
        for line, kind, name in self._guessed(flags) if any(x is None for x in inputs) else self._events(inputs):
            mode = line.modes.get(kind, around[kind])
            if mode != "ignore":
                new |= _issue(mode, line, kind, f"{WORDS[kind]} encountered in {name}")
        now = perf_counter()
        self._until = 0.0 if new else now + self._pause * (now - start)
        self._pause = _PAUSE if new else min(2 * self._pause, _LONGEST)

    def _noticed(self, inputs):
        """Give the warnings that depend on values; returns whether there was a new one."""
        if not self._notices or any(x is None for x in inputs):
            return False
        values = dict(zip(self._traced.graph.inputs(), map(np.asarray, inputs)))
        true = evaluate_nodes([node for *_, node in self._notices], values)
        new = [_warn(line, text, category) for (line, category, text, _), holds in zip(self._notices, true) if holds]
        return any(new)

    def _events(self, inputs):
        """Return (line, kind, name) of each event, in the order of the user's lines, no two the same."""
        steps = _MANY_STEPS if self.always or state() & STRICT else _STEPS
        kinds = {kind for said in _heard(self._graph, inputs, steps).values() for kind in said}
        if not kinds:  # a flag without an event, or one that rewriting has done away with
            return []
        lines, found = self._lines, {}
        for node, said in _heard(self._traced.graph, inputs, steps).items():
            line = lines.get(node)
            if line is None or line.silent:
                continue
            if line.masked and (mask := self._mask(node)) is not None:
                said = _heard_where(mask, node, self._traced.graph, inputs)
            for kind, name in said.items():
                if kind in kinds:
                    found.setdefault((line, kind, name if line.name is None or name == "cast" else line.name), line)
        in_order = sorted(found.items(), key=lambda pair: pair[1].number)
        return [(line, kind, name) for (_, kind, name), line in in_order]

    def _guessed(self, flags):
        """Return the events as far as the flags tell, where the inputs are gone: of a plain update in place."""
        nodes = [n for n in self._traced.graph.topological() if n.type is not None and n.op.name not in _PLAIN]
        if any(n.op.name not in _ABLE for n in nodes):
            return []
        first = {}
        for node in nodes:
            line = self._lines.get(node)
            for k, kind in enumerate(KINDS):
                if line is not None and not line.silent and flags >> k & 1 and kind in _ABLE[node.op.name]:
                    first.setdefault(kind, (line, kind, line.name or node.op.name))
        return list(first.values())

    @functools.cached_property
    def _lines(self):
        """The lines by node; what has none of its own was made for the first node that has one and uses it."""
        lines = {}
        _spread(self._traced.graph, self._traced.notes, None, lines)
        return lines

    def _mask(self, node):
        """Return the node that says where the result of a ufunc with ``where=`` is taken."""
        users = (n for n in self._traced.graph.topological() if n.op.name == "select" and n.args[1] is node)
        return next((n.args[0] for n in users), None)


#: Ops that raise no flags, and the events that others can have.
_PLAIN = frozenset({"param", "const", "broadcast", "reshape", "transpose", "slice", "cast"})
_ARITHMETIC = ("over", "under", "invalid")
_ABLE = {"add": _ARITHMETIC, "subtract": _ARITHMETIC, "multiply": _ARITHMETIC, "divide": ("divide", *_ARITHMETIC),
         "sqrt": ("invalid",), "exp": ("over", "under"), "log": ("divide", "invalid"), "square": _ARITHMETIC}


def _spread(graph, notes, default, lines):
    """Give each node of a graph, and of those in it, the line that made it."""
    for node in reversed(graph.topological()):
        line = lines[node] = notes.get(node) or lines.get(node) or default
        for arg in node.args:
            lines.setdefault(arg, line)
        for inner in graphs_in(node.attrs):
            _spread(inner, notes, line, lines)


def _heard(graph, inputs, steps):
    """Return what NumPy says while it evaluates a graph: node → {kind: name}."""
    return listen(lambda: evaluate(graph, *inputs), steps)


def _heard_where(mask, node, graph, inputs):
    """Return what NumPy says of an elementwise node at the places where a mask holds."""
    values = dict(zip(graph.inputs(), map(np.asarray, inputs)))
    mask, *args = evaluate_nodes([mask, *node.args], values)
    args = [a[mask] for a in args]
    leaves = [new_variable(type_of(a)) for a in args]
    again = make(node.op, tuple(leaves), node.attrs)
    return listen(lambda: evaluate_nodes([again], dict(zip(leaves, args))), _STEPS).get(again, {})


# ---------------------------------------------------------------- what becomes of an event
def _issue(mode, line, kind, message):
    """Do with an event what the mode of the error state says; returns whether the user could see it."""
    if mode == "warn":
        return _warn(line, message, RuntimeWarning)
    if mode == "raise":
        error = FloatingPointError(message)
        error.add_note(f"  where: {line}")
        raise error
    target = line.modes.get("call") or np.geterrcall()
    if mode == "print":
        print(f"Warning: {message}", file=sys.stderr)
    elif mode == "log":
        target.write(f"Warning: {message}\n")
    else:
        target(WORDS[kind], _BITS[kind])
    return True


_registries: dict = {}


def _warn(line, message, category):
    """Give a warning at the user's line; returns whether it could be seen."""
    file, _, number = line.rpartition(":")
    module = sys.modules.get(line.module)
    registry = _registries.setdefault(file, {}) if module is None else vars(module).setdefault(
        "__warningregistry__", {})
    name = line.module or file
    shown, version = registry.get((message, category, int(number))), registry.get("version")
    warnings.warn_explicit(message, category, file, int(number), name, registry)
    repeated = shown and registry.get("version") == version
    return not repeated and not _is_ignored(message, category, name, int(number))


def _filters():
    """Return what changes whenever warnings begin to be treated otherwise."""
    filters = _filter_list()
    return filters, len(filters), filters[0] if filters else None, warnings.showwarning, _shown_by()


def _unchanged(before):
    """Return whether warnings are treated as they were."""
    if not before:
        return False
    filters, count, first, show, show_inside = before
    now = _filter_list()
    return (now is filters and len(now) == count and (now[0] if now else None) is first
            and warnings.showwarning is show and _shown_by() is show_inside)


if hasattr(warnings, "_get_filters"):  # Python 3.14 may have them per context
    _filter_list = warnings._get_filters
else:
    def _filter_list():
        return warnings.filters


def _shown_by():
    return getattr(warnings, "_showwarnmsg_impl", None)


def _is_ignored(message, category, module, number):
    """Return whether the filters drop a warning."""
    for action, text, kind, place, lineno in _filter_list():
        if _matches(text, message) and issubclass(category, kind) and _matches(place, module) and (
                lineno in (0, number)):
            return action == "ignore"
    return False


def _matches(pattern, text):
    return pattern is None or (pattern == text if isinstance(pattern, str) else pattern.match(text))
