"""The roof: `jit`, and the names that users see."""

import dataclasses
import functools
import inspect
import itertools
import sys
import threading
from typing import NamedTuple

import numpy as np

from tracejit import stages, transforms, tree
from tracejit.config import config
from tracejit.device import check_device
from tracejit.dispatch import MISS, Dispatcher, signature
from tracejit.dispatch_python import alike
from tracejit.errors import ConcretizationError, UnsupportedError, user_frame
from tracejit.symbolic.types import Type
from tracejit.trace.staging import Leaf, Same, stage
from tracejit.trace.tracer import current_trace

__all__ = ["CacheInfo", "Jitted", "ShapeDtype", "grad", "jit", "jvp", "value_and_grad", "vjp"]


@tree.leaf
@dataclasses.dataclass(frozen=True)
class ShapeDtype:
    """A type without data, for tracing ahead of time: ``jit(f).trace(ShapeDtype((3,), float))``."""

    shape: tuple
    dtype: object = np.float64


class CacheInfo(NamedTuple):
    """What a jitted function has done: calls that hit and missed, traces made, signatures held."""

    hits: int
    misses: int
    traces: int
    signatures: tuple


class _Options(NamedTuple):
    static_argnums: tuple
    static_argnames: tuple
    donate_argnums: tuple
    device: str | None
    backend: str | None
    name: str | None


class Jitted(Dispatcher):
    """A function that is traced at its first call with a signature and runs as compiled code from then on."""

    def __init__(self, fun, options):
        super().__init__(self._miss)
        self._fun = fun
        self._options = options
        self._lock = threading.RLock()
        self._traces = 0
        self._frozen = {}
        self._eager = []
        functools.update_wrapper(self, fun, updated=())
        inner = getattr(fun, "func", fun)  # a partial and an object that can be called have no name of their own
        self.__name__ = getattr(fun, "__name__", None) or getattr(inner, "__name__", type(inner).__name__)

    # ------------------------------------------------------------ the slow path: a call that no entry matches
    def _miss(self, args, kwargs):
        if current_trace() is not None:
            return self._fun(*args, **kwargs)
        with self._lock:
            # another thread may have compiled it while this one waited
            for entry in self.entries:
                if entry.config_key is config.key() and (result := entry.run(args, kwargs)) is not MISS:
                    return result
            call = _Call(self, args, kwargs)
            if not any(alike(call.specs, specs) for specs in self._eager):
                entry = self._compile(call)
                self.add(entry)
                result = entry.run(args, kwargs)
                if result is not MISS:
                    return result
                # arrays that overlap, or a result that views an array of other strides: NumPy's own way is right
                self._eager.append(call.specs)
        return self._fun(*args, **kwargs)

    def _compile(self, call):
        key = config.key()
        stage = self._stage(call)
        with self._flags():
            compiled = stage.lower().compile()
        return compiled.entry(call.specs, call.kwnames, key)

    def _stage(self, call):
        """Trace; a Python number that the function needs as a value becomes static, and the trace starts again."""
        with self._flags():
            while True:
                args, kwargs = call.marked()
                try:
                    traced = stage(self._fun, args, kwargs, name=self._options.name or self.__name__)
                except ConcretizationError as error:
                    if not call.freeze(getattr(error, "argument", None)):
                        raise
                else:
                    self._traces += 1
                    return stages.Traced(traced, self._options.backend)

    def _flags(self):
        chosen = {k: v for k, v in (("device", self._options.device), ("backend", self._options.backend)) if v}
        return config.context(**chosen)

    # ------------------------------------------------------------ what users may ask
    def trace(self, *args, **kwargs):
        """Trace for these arguments (arrays, or `ShapeDtype`); returns a stage with ``.graph`` and ``.lower()``."""
        with self._lock:
            return self._stage(_Call(self, args, kwargs))

    def cache_info(self):
        """Return hits, misses, traces, and the signatures held, newest first."""
        shown = tuple(", ".join(map(str, e.executable.in_types)) for e in self.entries)
        return CacheInfo(self.hits, self.misses, self._traces, shown)

    def clear_cache(self):
        """Forget all compiled signatures of this function."""
        with self._lock:
            self.clear()
            self._frozen.clear()
            self._eager.clear()

    def __tracejit_inline__(self):
        """Return the plain function, which a trace around a call goes on tracing."""
        return self._fun

    def __reduce__(self):
        module, name = getattr(self, "__module__", None), getattr(self, "__qualname__", "")
        if _global_name(module, name) is self:
            return name
        return Jitted, (self._fun, self._options)

    def __repr__(self):
        return f"<jitted {self.__name__}>"


def _global_name(module, qualname):
    found = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


class _Call:
    """The arguments of one call: what each is to the dispatcher (specs) and to the trace (marks)."""

    def __init__(self, jitted, args, kwargs):
        static = _static_names(jitted._fun, jitted._options, args, kwargs)
        self.args, self.kwargs = args, kwargs
        self.kwnames, self.specs, _ = signature(args, kwargs, static)
        # which Python numbers earlier traces needed as values, by number of arguments and names
        self.frozen = jitted._frozen.setdefault((len(args), self.kwnames), set())
        self._freeze_known()

    def marked(self):
        """Return ``(args, kwargs)`` with `Leaf` and `Same` marks for what is traced."""
        self.paths = []
        given = [*self.args, *self.kwargs.values()]
        marks = [self._mark(spec, x, (i,)) for i, (spec, x) in enumerate(zip(self.specs, given))]
        return tuple(marks[:len(self.args)]), dict(zip(self.kwnames, marks[len(self.args):]))

    def _mark(self, spec, x, path):
        kind = spec[0]
        if kind in ("array", "scalar"):
            self.paths.append(path)
            python = kind == "scalar" and spec[1] in (int, float, complex)
            return Leaf(Type(spec[1 if kind == "array" else 2], spec[2] if kind == "array" else ()), weak=python,
                        scalar=kind == "scalar" and not python, readonly=kind == "array" and not x.flags.writeable)
        if kind == "same":
            return Same(spec[1])
        if kind == "static":
            return Leaf(Type(x.dtype, x.shape)) if isinstance(x, ShapeDtype) else x
        if kind == "dict":
            return {k: self._mark(s, v, (*path, i)) for i, (s, (k, v)) in enumerate(zip(spec[2], x.items()))}
        items = tree.flatten(x)[0] if kind == "tree" else x
        marks = [self._mark(s, v, (*path, i)) for i, (s, v) in enumerate(zip(spec[-1], items))]
        return tree.unflatten(spec[2], marks) if kind == "tree" else type(x)(marks)

    def freeze(self, leaf):
        """Declare a traced Python number static; returns whether leaf is one."""
        if leaf is None or leaf >= len(self.paths) or self.paths[leaf] in self.frozen:
            return False
        spec, x = self.specs, [*self.args, *self.kwargs.values()]
        for step in self.paths[leaf]:
            spec, x = _child(spec, x, step)
        if spec[0] != "scalar" or spec[1] not in (bool, int, float, complex):
            return False
        self.frozen.add(self.paths[leaf])
        self._freeze_known()
        return True

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


def _child(spec, x, step):
    """Return part `step` of a spec and of the argument it describes."""
    if spec and isinstance(spec[0], tuple):  # the specs of all arguments
        return spec[step], x[step]
    items = list(x.values()) if spec[0] == "dict" else tree.flatten(x)[0] if spec[0] == "tree" else x
    return spec[-1][step], items[step]


@functools.lru_cache(1024)
def _parameters(fun):
    try:
        return tuple(inspect.signature(fun).parameters)
    except (TypeError, ValueError):
        return ()


def _static_names(fun, options, args, kwargs):
    """Return the positions and names of the arguments that the user declared static."""
    if not options.static_argnums and not options.static_argnames:
        return ()
    names = _parameters(fun)
    numbers = {n % len(args) if n < 0 < len(args) else n for n in options.static_argnums}
    numbers |= {names.index(n) for n in options.static_argnames if n in names}
    return numbers | set(options.static_argnames) | {names[i] for i in numbers if i < len(names)}


def jit(fun=None, *, static_argnums=(), static_argnames=(), donate_argnums=(), dynamic=None, device=None,
        backend=None, name=None):
    """Compile a NumPy function: trace it once per signature, run it as generated code from then on.

    Parameters
    ----------
    fun : callable
        Written in plain NumPy. Arguments and results are arrays, numbers and nests of them (tuple, list, dict,
        namedtuple, dataclass); other arguments are static.
    static_argnums, static_argnames : int or str, or tuples of them
        Arguments that are Python values to the trace: hashable, and a new value is a new trace. A Python number that
        the function uses as a size or in an ``if`` becomes static by itself.
    donate_argnums : int or tuple of int
        Arguments whose memory the call may reuse. On the CPU this changes nothing.
    dynamic : dict, optional
        Axes whose size may change without a new trace; not available yet.
    device, backend : str, optional
        Override the flags of the same name for this function.
    name : str, optional
        The name that printed graphs and profiles show.

    Returns
    -------
    callable
        Same signature and results as `fun`; ``.trace(*args)``, ``.cache_info()``, ``.clear_cache()``.

    Raises
    ------
    TracejitError
        At the first call, where the function does something that cannot be traced; it says where and what to do.
    """
    if fun is None:
        return functools.partial(jit, static_argnums=static_argnums, static_argnames=static_argnames, name=name,
                                 donate_argnums=donate_argnums, dynamic=dynamic, device=device, backend=backend)
    if not callable(fun):
        raise TypeError(f"jit takes a function, not {type(fun).__name__}")
    if dynamic is not None:
        raise UnsupportedError("jit(dynamic=...): sizes known at run time only", where=user_frame(),
                               do="Leave it out: each new shape is compiled once.")
    if device is not None:
        check_device(device)
    many = lambda v: (v,) if isinstance(v, (int, str)) else tuple(v)
    options = _Options(many(static_argnums), many(static_argnames), many(donate_argnums), device, backend, name)
    return Jitted(fun._fun if isinstance(fun, Jitted) else fun, options)


value_and_grad, grad, jvp, vjp = transforms.make(jit)
