"""The stages of a jitted function as objects that print themselves: trace → lower → compile → call."""

import threading
import warnings
import weakref

import numpy as np

from tracejit.config import config
from tracejit.errors import CompilerWarning, UnsupportedError, user_frame
from tracejit.kernels.c.emit import compile_program as compile_c
from tracejit.kernels.program import Executable, build
from tracejit.kernels.toolchain import find_compiler
from tracejit.opt.pipeline import optimize
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.text import to_text
from tracejit.trace.staging import Same

__all__ = ["Compiled", "Lowered", "Traced"]

_executables = weakref.WeakKeyDictionary()
_compiling = threading.Lock()


class Traced:
    """A function traced for one signature: a typed graph, before any rewrite. Prints as the graph."""

    def __init__(self, traced, backend=None):
        self._traced = traced
        self._backend = backend
        self.graph = traced.graph

    def lower(self):
        """Rewrite the graph and lower it to loops and library calls."""
        return Lowered(self._traced, optimize(self.graph), self._backend)

    def __str__(self):
        return to_text(self.graph, self._traced.name, self._traced.notes)

    __repr__ = __str__


class Lowered:
    """The rewritten graph and the program made of it. Prints as both."""

    def __init__(self, traced, graph, backend=None):
        self._traced = traced
        self._backend = backend
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
        return Compiled(self._traced, executable(self.graph, self._backend, lambda: self.program))

    def __str__(self):
        return f"{to_text(self.graph, self._traced.name)}\n\n{self.program}"

    __repr__ = __str__


class Compiled:
    """Loaded code for one signature. Prints as the generated source; `run` calls it on leaves."""

    def __init__(self, traced, executable):
        self.traced = traced
        self.executable = executable

    def __str__(self):
        return self.executable.source

    __repr__ = __str__

    def __call__(self, *args, **kwargs):
        """Call the compiled code on arguments of exactly the signature it was compiled for."""
        raise NotImplementedError  # replaced by api, which knows how arguments become leaves

    def run(self, leaves):
        """Run on the traced leaves in order, as given by the caller; returns the outputs' leaves.

        Arrays that are not contiguous, aligned and native are copied in, and out again where they are written.
        """
        traced, types = self.traced, self.executable.in_types
        sources = [x for x in leaves] + [_content(c) for c in traced.captures]
        for (target, _), source in ((w, sources[w[0]]) for w in traced.graph.writes):
            if isinstance(source, np.ndarray) and not source.flags.writeable and target < len(leaves):
                raise ValueError("assignment destination is read-only")
        inputs = [_fit(x, t) for x, t in zip(sources, types)]
        outputs = [np.empty(t.shape, t.dtype) for t in self.executable.out_types]
        self.executable.execute(inputs, outputs)
        for target, out in traced.graph.writes:
            if target < len(leaves):
                np.copyto(sources[target], outputs[out])
            else:
                _store(traced.captures[target - len(leaves)], outputs[out])
        return [_result(spec, leaves, outputs) for spec in traced.outputs]


def _content(capture):
    return capture if isinstance(capture, np.ndarray) else capture.__tracejit_array__()


def _store(capture, value):
    if isinstance(capture, np.ndarray):
        np.copyto(capture, value)
    else:
        capture._data = value


def _fit(value, kind):
    """Return `value` as the array that compiled code reads."""
    array = np.require(value, kind.dtype, ("C", "A"))
    if array.shape != kind.shape:
        raise UnsupportedError(f"a captured array changed its shape from {kind.shape} to {array.shape}",
                               where=user_frame(), do="Pass the array as an argument.")
    return array


def _result(spec, leaves, outputs):
    kind = spec[0]
    if kind == "out":
        return outputs[spec[1]][()] if spec[2] else outputs[spec[1]]
    if kind == "arg":
        return leaves[spec[1]]
    if kind == "view":
        _, leaf, view = spec
        return view(leaves[leaf])
    return spec[1]


# ---------------------------------------------------------------- executables, by graph and backend
def executable(graph, backend=None, program=None):
    """Return the executable of an optimised graph, compiled once per graph, backend and flags."""
    chosen = backend or config.backend
    key = (chosen, config.key())
    with _compiling:
        table = _executables.setdefault(graph, {})
    found = table.get(key)
    if found is None:
        found = table[key] = _build(graph, chosen, program or (lambda: build(graph)))
    return found


def _build(graph, backend, program):
    if backend == "ref":
        return reference(graph)
    if backend == "auto" and find_compiler() is None:
        warnings.warn(CompilerWarning("no C compiler was found; the Numba backend serves instead"), stacklevel=2)
        backend = "numba"
    if backend == "numba":
        # Numba costs half a second at import, which only its users pay.
        from tracejit.kernels.numba.emit import compile_program as compile_numba

        return compile_numba(program())
    return compile_c(program())


def reference(graph):
    """Return the executable that interprets the graph in NumPy."""
    def call(inputs, outputs):
        for out, value in zip(outputs, evaluate(graph, *inputs)):
            np.copyto(out, value)
        return 0, None
    return Executable(address=0, call=call, in_types=graph.params, out_types=graph.out_types, arena_bytes=0, long=False,
                      errors=(), source=str(graph))


__all__ += ["Same", "executable", "reference"]
