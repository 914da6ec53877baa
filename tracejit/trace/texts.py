"""Texts of traced values, which are made when the values are there: what is printed, and what exceptions say."""

import operator

from tracejit.symbolic.ops.scalar import stop_gradient
from tracejit.trace.tracer import Tracer, wrap
from tracejit.trace.values import known, number


class Text(str):
    """A text of traced values, which `function` makes of `args` when it is shown."""

    __slots__ = ("args", "function")


def text(function, *args):
    """Return the text that ``function(*args)`` makes: at once, or, of traced values, as a Text for when it is shown.

    Parameters
    ----------
    function : str or callable
        ``"f"``, of strings and (value, conversion, format); ``"%"``; ``"+"``; ``"format"``, of a string, a tuple and a
        dict; or the user's ``str``, ``repr`` or ``ascii``.
    *args
        What it is given.
    """
    make = _MAKERS.get(function, function)
    if make not in _MAKERS.values() or not is_open(args):
        return make(*args)
    made = Text(" ".join(x if isinstance(x, str) else repr(x) for x in args))
    made.function, made.args = make, args
    return made


def is_open(x):
    """Return whether texts, lists, tuples and dicts hold traced values that are not known while tracing."""
    values = []
    template_of(x, values)
    return any(not v._storage.trace.alive or known(v) is None for v in values)


def shown(x):
    """Return what this call has in the place of a tracer, for a text, which has no derivative."""
    return number(wrap(stop_gradient(x.node), scalar=x.scalar, weak=x.weak) if known(x) is None else x, "the text")


def settled(x):
    """Return texts, lists, tuples and dicts with what this call has in the place of traced values."""
    values = []
    template = template_of(x, values)
    return filled(template, [shown(v) for v in values])


def _joined(*parts):
    return "".join(p if isinstance(p, str) else _formatted(*p) for p in parts)


def _formatted(value, conversion, spec):
    return format({"r": repr, "s": str, "a": ascii}[conversion](value) if conversion else value, spec)


#: How a text is made of values.
_MAKERS = {"f": _joined, "%": operator.mod, "+": operator.add, str: str, repr: repr, ascii: ascii,
           "format": lambda pattern, args, names: pattern.format(*args, **names)}


class _Slot:
    """A place in what is printed that a value takes when it is known."""

    __slots__ = ("index",)

    def __init__(self, index):
        self.index = index


class _Making:
    """A Text with slots."""

    __slots__ = ("args", "function")

    def __init__(self, function, args):
        self.function, self.args = function, args


def template_of(x, values):
    """Return `x` with slots for its traced values, which are gathered."""
    if isinstance(x, Tracer):
        values.append(x)
        return _Slot(len(values) - 1)
    if type(x) is Text:
        return _Making(x.function, template_of(x.args, values))
    if type(x) in (list, tuple):
        return type(x)(template_of(e, values) for e in x)
    if type(x) is dict:
        return {k: template_of(v, values) for k, v in x.items()}
    return x


def filled(x, values):
    """Return what a template is of these values."""
    if type(x) is _Slot:
        return values[x.index]
    if type(x) is _Making:
        return x.function(*filled(x.args, values))
    if type(x) in (list, tuple):
        return type(x)(filled(e, values) for e in x)
    if type(x) is dict:
        return {k: filled(v, values) for k, v in x.items()}
    return x
