"""Functions of the user's that run as they are, on whole arrays, called back from compiled code.

What a name in the graph means is in `HOST`, for this process: graphs, and code on disk, hold the name only.
"""

import math
import threading

import numpy as np

from tracejit.errors import NotDifferentiableError, TypeRuleError, UnsupportedError
from tracejit.symbolic.checks import CHECKS
from tracejit.symbolic.ir import define, describe
from tracejit.symbolic.ops.shape import stacked
from tracejit.symbolic.types import F64, Type

#: The functions by the names that graphs have for them.
HOST = {}


class Host:
    """A function of arrays to a tuple of arrays, and whether it takes stacks of its arguments as it takes one."""

    __slots__ = ("function", "stacks")

    def __init__(self, function, stacks=False):
        self.function, self.stacks = function, stacks


def _type(*operands, name, shapes, dtypes, rows):
    if name not in HOST or len(shapes) != len(dtypes) or not all(x.is_static for x in operands):
        raise TypeRuleError(f"callback of {name} on {operands}")
    if any(x.shape[:len(rows)] != rows for x in operands):
        raise TypeRuleError(f"callback of {name} on {operands}: all are stacked as {rows}")
    return tuple([Type(dtype, (*rows, *shape)) for shape, dtype in zip(shapes, dtypes)])


def _results(host, name, arrays, kinds):
    """Return what one call of a function gives, as arrays of just these (dtype, shape)."""
    found = host.function(*arrays)
    if len(found) != len(kinds):
        raise TypeError(f"{name} returned {len(found)} results, and was declared to return {len(kinds)}")
    out = []
    for value, (dtype, shape) in zip(found, kinds):
        value = np.asarray(value)
        if value.shape != shape or not np.can_cast(value.dtype, dtype, "same_kind"):
            raise TypeError(f"{name} returned an array of {value.dtype} and shape {value.shape}, and was declared to "
                            f"return {np.dtype(dtype)} and {shape}")
        out.append(value.astype(dtype, copy=False))
    return out


def call(name, shapes, dtypes, rows, *arrays):
    """Return the results of a function, called once per element of the stacks `rows`, or on them as they are."""
    host = HOST[name]
    if not rows or host.stacks:
        return _results(host, name, arrays, [(d, (*rows, *s)) for s, d in zip(shapes, dtypes)])
    out = [np.empty((*rows, *s), d) for s, d in zip(shapes, dtypes)]
    for place in np.ndindex(*rows):
        for whole, part in zip(out, _results(host, name, [a[place] for a in arrays], list(zip(dtypes, shapes)))):
            whole[place] = part
    return out


def _jvp(node, tangents):
    raise NotDifferentiableError(
        f"{node.attr('name')}, a function that is called back ({describe(node)}), has no derivative rule",
        do="give it one by jvp= or vjp=, or hold its arguments with stop_gradient")


def _batch(node, args, batched):
    name, shapes, dtypes, rows = node.attrs
    size = next(a.shape[0] for a, b in zip(args, batched) if b)
    if type(size) is not int:
        raise UnsupportedError(f"{name}, a function that is called back, over a batch of unknown size",
                               do="give the batch a fixed size")
    return node.op(*[a if b else stacked(a, size) for a, b in zip(args, batched)],
                   name=name, shapes=shapes, dtypes=dtypes, rows=(size, *rows))


def _samples(rng):
    HOST.setdefault("sample", Host(lambda x, y: (x * y, math.fsum(x.ravel()))))
    f8 = F64
    for shape in ((3,), (2, 2), ()):
        yield tuple(rng.uniform(-1, 1, (2, *shape))), {
            "name": "sample", "shapes": (shape, ()), "dtypes": (f8, f8), "rows": ()}
    yield tuple(rng.uniform(-1, 1, (2, 4, 3))), {
        "name": "sample", "shapes": ((3,), ()), "dtypes": (f8, f8), "rows": (4,)}


#: ``HOST[name](arrays...)``, whose results have these shapes and dtypes, once for each element of the stacks `rows`.
callback = define(
    "callback", attrs=("name", "shapes", "dtypes", "rows"), type=_type, routine="callback", jvp=_jvp, batch=_batch,
    differentiable=None, samples=_samples,
    ref=lambda *xs, name, shapes, dtypes, rows: tuple(call(name, shapes, dtypes, rows, *xs)))


# ---------------------------------------------------------------- exceptions on their way through compiled code
class Raised(Exception):
    """Stands for the exception that a function called back has raised on this thread: making one gives that one."""

    _pending = threading.local()

    def __new__(cls, text=""):
        found, cls._pending.error = cls._pending.error, None
        return found

    @classmethod
    def hold(cls, error):
        """Keep an exception until compiled code has returned."""
        cls._pending.error = error


CHECKS["callback"] = (Raised, "")
