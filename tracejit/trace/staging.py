"""Running a Python function on stand-ins to get its graph."""

import contextlib

from tracejit import tree
from tracejit.symbolic.graph import close
from tracejit.symbolic.ir import new_variable
from tracejit.trace import protocol  # noqa: F401  attaches the operators to Tracer
from tracejit.trace.tracer import Storage, TraceContext, Tracer, _active, current_trace


class Leaf:
    """Marks an argument to be traced: its Type, and what else the trace should know of it.

    Parameters
    ----------
    type : Type
        Dtype and shape.
    weak : bool
        A Python number, which takes the dtype of the array beside it.
    scalar : bool
        A NumPy scalar or Python bool: no writes, results are scalars.
    readonly : bool
        Writes to it raise as NumPy's do.
    """

    __slots__ = ("type", "weak", "scalar", "readonly", "contiguous")

    def __init__(self, type, weak=False, readonly=False, contiguous=True, scalar=False):
        self.type, self.weak, self.readonly, self.contiguous, self.scalar = type, weak, readonly, contiguous, scalar


class Same:
    """Marks an argument that is the same object as traced leaf `k`."""

    __slots__ = ("k",)

    def __init__(self, k):
        self.k = k


class Traced:
    """What a trace gives: the graph, and how its outputs become the function's result."""

    __slots__ = ("graph", "captures", "free", "out_tree", "outputs", "notes", "name", "effects", "reads")

    def __init__(self, **fields):
        for slot in self.__slots__:
            setattr(self, slot, fields.get(slot))

    def __str__(self):
        from tracejit.symbolic.text import to_text  # printing is rare

        return to_text(self.graph, self.name or "f", self.notes)

    __repr__ = __str__


@contextlib.contextmanager
def tracing(trace):
    """Make `trace` the innermost one inside the block; its tracers are dead afterwards."""
    token = _active.set(trace)
    try:
        yield trace
    finally:
        trace.alive = False
        _active.reset(token)


def stage(fun, args, kwargs, *, name=None):
    """Trace ``fun(*args, **kwargs)`` and return its Traced.

    Leaves of args and kwargs that are `Leaf` or `Same` markers become tracers; every other leaf is passed as it is.
    """
    return subtrace(fun, args, kwargs, name=name)


def subtrace(fun, args, kwargs, *, name=None):
    """Trace as `stage` does, perhaps inside another trace, whose variables stay free and become captures."""
    trace = TraceContext(current_trace(), name)
    leaves, structure = tree.flatten((tuple(args), dict(kwargs)), is_leaf=lambda x: isinstance(x, (Leaf, Same)))
    storages, inputs = [], []
    for leaf in leaves:
        if isinstance(leaf, Leaf):
            storage = Storage(new_variable(leaf.type), trace, ("arg", len(storages)), leaf.readonly)
            storages.append((storage, storage.value))
            leaf = Tracer(storage, weak=leaf.weak, scalar=leaf.scalar)
        inputs.append(leaf)
    with tracing(trace):
        args, kwargs = tree.unflatten(structure, inputs)
        result = fun(*args, **kwargs)
        out_leaves, out_tree = tree.flatten(result)
        outs = [leaf.node for leaf in out_leaves if isinstance(leaf, Tracer)]
        graph = close([v for _, v in storages], outs, [])
    outputs, k = [], 0
    for leaf in out_leaves:
        outputs.append(("out", k, leaf.scalar) if isinstance(leaf, Tracer) else ("const", leaf))
        k += isinstance(leaf, Tracer)
    return Traced(graph=graph, captures=[], out_tree=out_tree, outputs=tuple(outputs), notes=trace.notes, name=name)
