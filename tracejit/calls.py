"""One call of a jitted function: what its arguments are to the dispatcher, and what they are to the trace."""

import dataclasses
import functools
import inspect
import itertools
import sys

import numpy as np

from tracejit import tree
from tracejit.dispatch import signature
from tracejit.errors import DimError, user_frame
from tracejit.symbolic.types import Type
from tracejit.trace.staging import Leaf, Same

__all__ = ["Call", "ShapeDtype", "global_name", "parameters", "watching"]


@tree.leaf
@dataclasses.dataclass(frozen=True)
class ShapeDtype:
    """A type without data, for tracing ahead of time: ``jit(f).trace(ShapeDtype((3,), float))``."""

    shape: tuple
    dtype: object = np.float64


class Call:
    """The arguments of one call: what each is to the dispatcher (specs) and to the trace (marks)."""

    def __init__(self, fun, options, frozen, args, kwargs):
        static = _static_names(fun, options, args)
        self.args, self.kwargs = args, kwargs
        self.kwnames, self.specs, _ = signature(args, kwargs, static)
        # which Python numbers earlier traces needed as values, by number of arguments and names
        self.frozen = frozen.setdefault((len(args), self.kwnames), set())
        self._freeze_known()

    def marked(self):
        """Return ``(args, kwargs)`` with `Leaf` and `Same` marks for what is traced."""
        self.paths = []  # of the traced leaves
        self.values = []  # their actual contents; None for a ShapeDtype
        self._inputs = []  # their numbers, of those that are inputs of the call
        given = [*self.args, *self.kwargs.values()]
        marks = [self._mark(spec, x, (i,)) for i, (spec, x) in enumerate(zip(self.specs, given))]
        return tuple(marks[:len(self.args)]), dict(zip(self.kwnames, marks[len(self.args):]))

    def _mark(self, spec, x, path):
        kind = spec[0]
        if kind in ("array", "scalar"):
            self._inputs.append(len(self.paths))
            self.paths.append(path)
            self.values.append(x)
            python = kind == "scalar" and spec[1] in (bool, int, float, complex)
            return Leaf(Type(spec[1 if kind == "array" else 2], spec[2] if kind == "array" else ()), weak=python,
                        scalar=kind == "scalar" and not python, readonly=kind == "array" and not x.flags.writeable,
                        taken=spec[3] if len(spec) == 4 and kind == "array" else None)
        if kind == "same":
            return Same(self._inputs[spec[1]])
        if kind == "static":
            if not isinstance(x, ShapeDtype):
                return x
            self.paths.append(path)
            self.values.append(None)
            return Leaf(Type(x.dtype, x.shape))
        if kind == "dict":
            return {k: self._mark(s, v, (*path, i)) for i, (s, (k, v)) in enumerate(zip(spec[2], x.items()))}
        items = tree.flatten(x)[0] if kind == "tree" else x
        marks = [self._mark(s, v, (*path, i)) for i, (s, v) in enumerate(zip(spec[-1], items))]
        return tree.unflatten(spec[2], marks) if kind == "tree" else type(x)(marks)

    def grown(self, fun, axes, more):
        """Return ``(args, kwargs)`` with types for the arrays that have dynamic axes, which are `more` longer there.

        `axes` are those that the user declared, by position or name. Raises where an argument has no such axis.
        """
        names = parameters(fun)

        def grow(x, wanted):
            if not isinstance(x, (np.ndarray, ShapeDtype)):
                return x
            shape = list(x.shape)
            for axis in wanted:
                if not -len(shape) <= axis < len(shape):
                    raise DimError(f"dynamic axis {axis} of an argument of shape {tuple(shape)}", where=user_frame(),
                                   do="Name the axes of jit(dynamic=...) that the argument has.")
            for axis in {a % len(shape) for a in wanted}:
                shape[axis] += more
            return ShapeDtype(tuple(shape), x.dtype)

        def argument(key, name, x):
            wanted = axes.get(key, axes.get(name))
            return x if wanted is None else tree.map(lambda leaf: grow(leaf, wanted), x)
        args = [argument(k, names[k] if k < len(names) else None, x) for k, x in enumerate(self.args)]
        return tuple(args), {k: argument(names.index(k) if k in names else None, k, x) for k, x in self.kwargs.items()}

    def freeze(self, leaf):
        """Declare a traced Python number static; returns whether leaf is one."""
        if leaf is None or leaf >= len(self.paths) or self.paths[leaf] in self.frozen:
            return False
        if self._spec_at(self.paths[leaf])[1] not in (bool, int, float, complex):
            return False
        self.frozen.add(self.paths[leaf])
        self._freeze_known()
        return True

    def freeze_all(self, kinds):
        """Declare all traced Python numbers of these types static; returns whether there were any."""
        before = len(self.frozen)
        self.frozen.update(path for path in self.paths if self._spec_at(path)[1] in kinds)
        self._freeze_known()
        return len(self.frozen) > before

    def _spec_at(self, path):
        spec, x = self.specs, [*self.args, *self.kwargs.values()]
        for step in path:
            spec, x = _child(spec, x, step)
        return spec if spec[0] == "scalar" else (None, None)

    def _freeze_known(self):
        given = [*self.args, *self.kwargs.values()]
        count = itertools.count()
        numbers = {}  # old leaf number to new, for the specs that name one

        def visit(spec, x, path):
            if spec[0] in ("array", "scalar"):
                old = next(count)
                if path in self.frozen and spec[0] == "scalar":
                    return ("static", x)
                numbers[old] = len(numbers)
                return spec
            if spec[0] == "same":
                return ("same", numbers[spec[1]])
            if spec[0] == "static":
                return spec
            items = list(x.values()) if spec[0] == "dict" else tree.flatten(x)[0] if spec[0] == "tree" else x
            return (*spec[:-1], [visit(s, v, (*path, i)) for i, (s, v) in enumerate(zip(spec[-1], items))])

        if self.frozen:
            self.specs = tuple(visit(s, x, (i,)) for i, (s, x) in enumerate(zip(self.specs, given)))


def watching(specs, leaves):
    """Return the specs with those of the numbered leaves restricted to arrays that lie as the traced ones did."""
    count = itertools.count()

    def visit(spec):
        if spec[0] in ("array", "scalar"):
            return (*spec, "C") if next(count) in leaves and spec[0] == "array" and len(spec) == 3 else spec
        if spec[0] in ("same", "static"):
            return spec
        return (*spec[:-1], [visit(s) for s in spec[-1]])
    return tuple(map(visit, specs)) if leaves else specs


def _child(spec, x, step):
    """Return part `step` of a spec and of the argument it describes."""
    if spec and isinstance(spec[0], tuple):  # the specs of all arguments
        return spec[step], x[step]
    items = list(x.values()) if spec[0] == "dict" else tree.flatten(x)[0] if spec[0] == "tree" else x
    return spec[-1][step], items[step]


@functools.lru_cache(1024)
def parameters(fun):
    """Return the names of a function's parameters; none where they cannot be found out."""
    """Return the names of a function's parameters; none where they cannot be found out."""
    try:
        return tuple(inspect.signature(fun).parameters)
    except (TypeError, ValueError):
        return ()


def _static_names(fun, options, args):
    """Return the positions and names of the arguments that the user declared static."""
    if not options.static_argnums and not options.static_argnames:
        return ()
    names = parameters(fun)
    numbers = {n % len(args) if n < 0 < len(args) else n for n in options.static_argnums}
    numbers |= {names.index(n) for n in options.static_argnames if n in names}
    return numbers | set(options.static_argnames) | {names[i] for i in numbers if i < len(names)}


def global_name(module, qualname):
    """Return what a module holds under a dotted name, or None."""
    found = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found
