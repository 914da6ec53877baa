"""The stages of a jitted function as objects that print themselves: trace → lower → compile → call."""

import functools
import threading
import warnings
import weakref

import numpy as np

from tracejit import tree
from tracejit.calls import watching
from tracejit.config import config
from tracejit.dispatch import MISS, SIZED, Entry
from tracejit.errors import CompilerWarning
from tracejit.events import Look, may_raise
from tracejit.kernels import runtime
from tracejit.kernels.c.emit import compile_program as compile_c
from tracejit.kernels.c.emit import emit
from tracejit.kernels.c.sizes import split
from tracejit.kernels.program import Executable, build
from tracejit.kernels.toolchain import available
from tracejit.opt.pipeline import optimize
from tracejit.profiling import record, watched
from tracejit.symbolic.checks import CHECKS, Unserved
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.text import to_text
from tracejit.trace.effects import Returning
from tracejit.trace.places import Number
from tracejit.trace.prints import Printing
from tracejit.trace.session import looked_up

__all__ = ["Compiled", "Lowered", "Traced", "executable", "reference"]

_executables: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_compiling = threading.Lock()


class Traced:
    """A function traced for one signature: a typed graph, before any rewrite. Prints as the graph.

    Attributes
    ----------
    graph : Graph
        What the function computes.
    guards : tuple of str
        What was taken from the content of the arguments, with the line that asked for it. Compiled code serves the
        calls of which the same is true.
    """

    def __init__(self, traced, backend=None, family=None):
        self._traced = traced
        self._backend, self._family = backend, family
        self.graph = traced.graph
        self.guards = tuple(str(fact) for _, facts in traced.guards for fact in facts)

    def lower(self):
        """Rewrite the graph and lower it to loops and library calls."""
        return Lowered(self._traced, optimize(self.graph), self._backend, self._family)

    def __str__(self):
        return to_text(self.graph, self._traced.name, self._traced.notes)

    __repr__ = __str__


class Lowered:
    """The rewritten graph and the program made of it. Prints as both."""

    def __init__(self, traced, graph, backend=None, family=None):
        self._traced = traced
        self._backend, self._family = backend, family
        self.graph = graph
        self._program = None

    @property
    def program(self):
        """Buffers and steps over them."""
        if self._program is None:
            self._program = build(self.graph)
        return self._program

    def compile(self):
        """Generate code and load it (from the cache where it is there)."""
        name = self._traced.name
        with record("compile", name):
            found = executable(self.graph, self._backend, lambda: self.program, self._family)
            asked = [executable(optimize(graph), self._backend, None, self._family) for graph, _ in self._traced.guards]
        look = Look(self._traced, self.graph) if may_raise(self.graph) or self._traced.notices else None
        return Compiled(self._traced, watched(found, name) if config.profile else found, asked, look)

    def __str__(self):
        return f"{to_text(self.graph, self._traced.name)}\n\n{self.program}"

    __repr__ = __str__


class Compiled:
    """Loaded code for one signature. Prints as the generated source.

    `asked` are the executables of the guards, one per group of facts; `look` tells of floating-point errors.
    """

    def __init__(self, traced, executable, asked=(), look=None):
        self._traced, self._look = traced, look
        self._reads = [read for read in traced.reads if read.steady()]
        self.executable = executable
        self._asked = tuple(asked)
        # what a function has changed before it raised an exception the plain function changes again
        self._handled = traced.handled or traced.changing and bool(executable.errors)
        self.facts = tuple(fact for _, facts in traced.guards for fact in facts)
        #: Whether a list may outgrow the room that the trace has given it.
        self.may_outgrow = CHECKS["room"] in executable.errors
        self.asks_for_floats = any(fact.value.dtype.kind in "fc" for fact in self.facts)

    def entry(self, specs, kwnames, key, answers):
        """Return the dispatcher's entry for calls of this signature that give the guards these answers."""
        traced = self._traced
        outputs = tuple(_output(spec, self.executable.sized) for spec in traced.outputs)
        writes = tuple((k, leaf) for leaf, k in traced.writes)
        captures, reads = self._from_outside()
        return Entry(watching(specs, traced.layouts), captures, self.executable, outputs,
                     _assembly(traced.out_tree, outputs, self.executable.sized), writes, key, kwnames, reads,
                     tuple(zip(self._asked, answers)), self._look, self._handled)

    def once(self, call, key):
        """Carry out the very call that was traced, whatever has changed outside since; MISS where it cannot be."""
        traced = self._traced
        outputs = tuple(_output(spec, self.executable.sized) for spec in traced.outputs)
        writes = tuple((k, leaf) for leaf, k in traced.writes)
        assembly = _assembly(traced.out_tree, outputs, self.executable.sized)
        return Entry(watching(call.specs, traced.layouts), tuple(map(_capture, traced.captures)), self.executable,
                     outputs, assembly, writes, key, call.kwnames, (), (), self._look,
                     self._handled).run(call.args, call.kwargs)

    def answers(self, call, key):
        """Return what compiled guards answer for the call that was traced, or None where they contradict the trace.

        Sums have another order of additions there, and so a float may differ in its last digits; the trace has gone by
        NumPy's.
        """
        found = []
        captures = tuple(map(_capture, self._traced.captures))
        for asked, (_, facts) in zip(self._asked, self._traced.guards):
            outputs = tuple(("out", k, False) for k in range(len(facts)))
            entry = Entry(call.specs, captures, asked, outputs, "tuple", (), key, call.kwnames)
            try:
                answers = entry.run(call.args, call.kwargs)
            except Exception:  # NumPy did not raise
                return None
            if answers is MISS or not all(map(_agree, answers, facts)):
                return None
            found.append(answers)
        return found

    def holds(self):
        """Return whether all that the trace read outside of the arguments is still as it was."""
        return all(read.holds() for read in self._reads)

    def changed(self):
        """Return what the trace read outside of the arguments and found otherwise than it is now."""
        return [read for read in self._reads if not read.holds()]

    def looked_up(self):
        """Yield the keys of decisions by which each call looks up what is otherwise there now."""
        reads = {read.place: read for read in self._reads}
        for read in self.changed():
            yield from looked_up(reads, read.place, read.value, read.look())

    def _from_outside(self):
        """Return the captures, and the other places that have to hold what they held."""
        traced = self._traced
        captures = tuple(_capture(c, traced.places.get(j)) for j, c in enumerate(traced.captures))
        free = set(map(id, traced.places.values()))
        reads = tuple((r.kind, r.holder, r.key, r.value) for r in self._reads if id(r) not in free)
        return captures, reads

    def __str__(self):
        return self.executable.source

    __repr__ = __str__


def _agree(answer, fact):
    """Return whether compiled code answers as NumPy has."""
    if fact.value.dtype.kind not in "fc":
        return np.array_equal(answer, fact.value)
    return np.allclose(answer, fact.value, rtol=1e-4 if fact.value.dtype.itemsize < 8 else 1e-9, atol=0, equal_nan=True)


def _capture(captured, read=None):
    """Return what the dispatcher reads at each call: an array by reference or by its place, a Shared's current one."""
    if read is not None:
        return (read.kind, read.holder, read.key, captured.dtype, captured.shape)
    if isinstance(captured, np.ndarray):
        return ("array", captured, captured.dtype, captured.shape)
    if isinstance(captured, Number):
        return ("number", *captured.place, captured.kind, captured.dtype)
    return ("shared", captured, "_data", captured.dtype, captured.shape)


def _output(spec, sized):
    if spec[0] == "view":
        _, leaf, offset, shape, strides, dtype = spec
        return ("view", leaf, dtype, shape, strides, offset)
    if SIZED and spec[0] == "out" and spec[1] in sized:
        return ("sized", spec[1], sized[spec[1]])
    return spec


def _assembly(structure, outputs, sized):
    """Return how the leaves of a result become the result: the dispatcher knows the plain ones.

    `sized` are the outputs that come as handles to arrays whose size only compiled code knows, with their dtypes; not
    every dispatcher makes arrays of them itself.
    """
    count = len(outputs)
    handles = {i: spec[1] for i, spec in enumerate(outputs) if spec[0] == "out" and spec[1] in sized}
    if handles:
        return lambda leaves: tree.unflatten(structure, _received(leaves, handles, sized))
    if isinstance(structure, (Printing, Returning)):
        return structure.unflatten
    stars = list(range(count))
    result = tree.unflatten(structure, stars)
    if type(result) is int:
        return None
    if type(result) in (tuple, list) and all(type(x) is int for x in result) and list(result) == stars:
        return type(result).__name__
    return lambda leaves: tree.unflatten(structure, leaves)


def _received(leaves, handles, sized):
    """Return the leaves with arrays for their handles; one output twice is one array twice."""
    arrays = {}
    for i, k in handles.items():
        if k not in arrays:
            arrays[k] = runtime.taken(leaves[i], sized[k])
    return [arrays[handles[i]] if i in handles else leaf for i, leaf in enumerate(leaves)]


# ---------------------------------------------------------------- executables, by graph and backend
def executable(graph, backend=None, program=None, family=None):
    """Return the executable of an optimised graph, compiled once per graph, backend and flags.

    Those of one `family` that differ in sizes only share their code, from the second on.
    """
    chosen = backend or config.backend
    key = (chosen, config.key())
    with _compiling:
        table = _executables.setdefault(graph, {})
    found = table.get(key)
    if found is None:
        found = table[key] = _build(graph, chosen, program or (lambda: build(graph)), family)
    return found


def foresee(family, graph, lowered, backend=None):
    """Let a family know of the source for another size; returns whether it is that of `lowered` but for numbers."""
    if (backend or config.backend) not in ("auto", "c") or not available():
        return True  # nothing to be done there
    other = build(graph)
    mine, theirs = emit(lowered.program), emit(other)
    if mine[1] != theirs[1] or split(mine[0])[0] != split(theirs[0])[0]:
        return False
    family.expect(*theirs, other.slot, graph)
    return True


@functools.cache
def _warn_once(cc):
    warnings.warn(CompilerWarning("no C compiler was found; the Numba backend serves instead"), stacklevel=2)


def _build(graph, backend, program, family):
    if backend == "ref":
        return reference(graph)
    if backend == "auto" and not available():
        _warn_once(config.cc)
        backend = "numba"
    if backend == "numba":
        # Numba costs half a second at import, which only its users pay.
        from tracejit.kernels.numba.emit import compile_program as compile_numba

        if family is not None:
            family.count()
        return compile_numba(program()) or reference(graph)
    return compile_c(program(), family, graph)


def reference(graph):
    """Return the executable that interprets the graph in NumPy."""
    def call(inputs, outputs):
        try:
            values = evaluate(graph, *inputs)
        except Unserved:
            return 1, None
        for out, value, kind in zip(outputs, values, graph.out_types):
            np.copyto(out, value if kind.is_static else runtime.given(value))
        return 0, None
    return Executable(address=0, call=call, in_types=graph.params, arena_bytes=0, long=False,
                      errors=((None, "left to NumPy"),), source=str(graph),
                      out_types=tuple(map(runtime.handle_type, graph.out_types)),
                      sized={k: t.dtype for k, t in enumerate(graph.out_types) if not t.is_static})

