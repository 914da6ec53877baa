"""Functions that are other functions, transformed: trace the function, transform its graph, put the result into the
trace around it.

Inside a jitted function a transform adds nodes to the graph being traced; outside it compiles by itself.
"""

import functools

import numpy as np

from tracejit import tree
from tracejit.api import jit_inline
from tracejit.opt.pipeline import prepare
from tracejit.pickles import StandsFor
from tracejit.trace.staging import subtrace
from tracejit.trace.tracer import Tracer, as_tracer, current_trace, wrap

__all__ = ["Call", "Transform", "as_array", "flat", "outside"]

#: How often a transform may take the derivative of one graph.
_ORDERS = 2


class Transform(StandsFor):
    """A function that is another one, transformed; `inline` runs inside a trace, a call outside compiles it.

    `again` is what makes it anew: a function, and its arguments.
    """

    __slots__ = ("__dict__", "__weakref__", "_again", "_compiled", "_inline")

    def __init__(self, fun, inline, again):
        if not callable(fun):
            raise TypeError(f"{again[0].__name__} takes a function, not {type(fun).__name__}")
        self._again = again
        functools.update_wrapper(self, fun, updated=())
        self._inline = inline
        self._compiled = jit_inline(inline, f"{again[0].__name__}_{getattr(fun, '__name__', 'f')}")

    def __call__(self, *args, **kwargs):
        if current_trace() is not None:
            return self._inline(*args, **kwargs)
        return self._compiled(*args, **kwargs)

    def __get__(self, instance, owner=None):
        return self if instance is None else functools.partial(self, instance)

    def __getattr__(self, name):
        if name.startswith("__") or name in ("_compiled", "_inline", "_again"):
            raise AttributeError(name)
        return getattr(self._compiled, name)  # .trace, .cache_info, …

    def __tracejit_inline__(self):
        """Return what a trace around a call goes on tracing."""
        return self._inline

    def _recipe(self):
        make, arguments = self._again
        return make, *arguments

    def __repr__(self):
        return f"<{self._again[0].__name__} of {getattr(self, '__name__', 'a function')}>"


def outside(function, *callables, **static):
    """Return the jitted form of ``function(*callables, *args, **static)``; the same for the same callables."""
    try:
        return _compiled(function, callables, tuple(static.items()))
    except TypeError:  # one of them has no hash
        return _compiled.__wrapped__(function, callables, tuple(static.items()))


@functools.lru_cache(256)
def _compiled(function, callables, static):
    def run(*args):
        return function(*callables, *args, **dict(static))
    return jit_inline(run, function.__name__.strip("_"))


# ---------------------------------------------------------------- one call
def as_array(x):
    """Return an array-like leaf as a tracer; any other is static."""
    if isinstance(x, (Tracer, np.ndarray, np.generic, bool, int, float, complex)) or hasattr(x, "__tracejit_array__"):
        return as_tracer(x)
    return x


def flat(args, kwargs):
    """Return the leaves of the arguments of a call, array-likes as tracers, and the structure of ``(args, kwargs)``."""
    leaves, structure = tree.flatten((tuple(args), dict(kwargs)))
    return [as_array(x) for x in leaves], structure


class Call:
    """A call of a function traced on its own: its graph, and the nodes to put it back into the trace around it.

    Parameters
    ----------
    fun : callable
    leaves, structure
        The arguments, as `flat` gives them.
    marks : list
        One per leaf: a `Leaf` makes it a param of the graph, a `Same` the array of such a one. None passes it on as it
        is, so that a Python number may decide, and an array be written.
    mapped : bool
        Whether the params stand for the elements of a batch, and not for the leaves themselves.
    """

    def __init__(self, fun, leaves, structure, marks, mapped=False):
        self.leaves = [x for x, mark in zip(leaves, marks) if hasattr(mark, "type")]
        args, kwargs = tree.unflatten(structure, [x if m is None else m for x, m in zip(leaves, marks)])
        self.traced = subtrace(fun, args, kwargs, mapped=mapped, bound=() if mapped else [x.node for x in self.leaves],
                               orders=0 if mapped else _ORDERS)
        self.graph = prepare(self.traced.graph)
        self.inputs = [*(x.node for x in self.leaves), *self.traced.captures]

    def with_added(self, nodes):
        """Return the inputs of a derived graph: what it adds stands before the captures."""
        visible = len(self.inputs) - self.graph.captures
        return [*self.inputs[:visible], *nodes, *self.inputs[visible:]]

    def finish(self, values):
        """Return the function's own result, rebuilt from nodes of the graph's outputs, its writes carried out."""
        for leaf, out in self.traced.writes:
            self.leaves[leaf][...] = wrap(values[out])
        for storage, out in self.traced.effects:
            storage.write(values[out])
        return self.rebuild(values)

    def rebuild(self, values, tangents=False):
        """Return the structure of the function's result over nodes of the graph's outputs."""
        made = {}

        def leaf(spec):
            if spec[0] != "out":
                return spec[1] * 0 if tangents and isinstance(spec[1], (int, float, complex, np.number)) else spec[1]
            if spec not in made:
                made[spec] = wrap(values[spec[1]], scalar=spec[2] is True, weak=spec[2] == "python")
            return made[spec]
        return tree.unflatten(self.traced.out_tree, [leaf(spec) for spec in self.traced.outputs])
