"""The roof: `jit`."""

import functools
import inspect
import os
import threading
import warnings
import weakref
from typing import NamedTuple

import numpy as np

from tracejit import profiling, stages
from tracejit.calls import Call, parameters
from tracejit.config import config
from tracejit.device import check_device
from tracejit.dispatch import MISS, Dispatcher, Entry
from tracejit.errors import (
    ConcretizationError,
    RetraceWarning,
    TracejitError,
    UnsupportedError,
    raised_by_user,
    user_frame,
)
from tracejit.kernels.c.sizes import Family
from tracejit.matching import alike
from tracejit.opt.pipeline import optimize
from tracejit.pickles import StandsFor
from tracejit.trace.convert import twin
from tracejit.trace.guards import Undecided
from tracejit.trace.regions import ROOM
from tracejit.trace.staging import stage
from tracejit.trace.tracer import current_trace
from tracejit.variants import Variants

__all__ = ["CacheInfo", "Jitted", "jit"]


class CacheInfo(NamedTuple):
    """What a jitted function has done.

    Attributes
    ----------
    hits, misses : int
        Calls that compiled code served at once, and those that took the slow path.
    traces : int
        How often Python's lines were run to make a graph.
    signatures : tuple of str
        Types of the inputs of the compiled entries, newest first.
    variants : tuple of str
        Of those, the entries that serve only where guards hold: types, and what was found at which line.
    plain : int
        Calls that were carried out by the plain NumPy function, or, of a derivative or another transform, by walking
        through a graph made for that call alone: more variants than the flag `variants` allows, or arrays that overlap.
    compiles : int
        Programs that were compiled, or found in the cache of an earlier process. Traces of further sizes share one.
    """

    hits: int
    misses: int
    traces: int
    signatures: tuple
    variants: tuple = ()
    plain: int = 0
    compiles: int = 0


class _Options(NamedTuple):
    static_argnums: tuple
    static_argnames: tuple
    donate_argnums: tuple
    device: str | None
    backend: str | None
    name: str | None
    dynamic: dict
    inline: bool = False  # the function runs inside of traces only: nobody can call it in NumPy


#: Traces of one function from which on the user is told.
_MANY = 64
#: Room for the items of a list in a loop of unknown length from which on there is no more; see `ROOM`.
_MOST_ROOM = ROOM << 12
_everyone: weakref.WeakSet["Jitted"] = weakref.WeakSet()


class Jitted(StandsFor, Dispatcher):
    """A function that is traced at its first call with a signature and runs as compiled code from then on."""

    __slots__ = ("_family", "_frozen", "_fun", "_lock", "_options", "_plain", "_refused", "_room", "_traces",
                 "_variants", "_warned")

    def __init__(self, fun, options):
        super().__init__(self._miss)
        self._fun = fun
        self._options = options
        self._lock = threading.RLock()
        self._traces = 0
        self._frozen = {}
        self._refused = {}  # Entry -> (specs, Compiled) of a call that it could not serve
        self._variants = Variants()
        self._family = Family()
        self._warned = False
        self._plain = 0
        self._room = ROOM
        _everyone.add(self)
        functools.update_wrapper(self, fun, updated=())
        inner = getattr(fun, "func", fun)  # a partial and an object that can be called have no name of their own
        self.__name__ = getattr(fun, "__name__", None) or getattr(inner, "__name__", type(inner).__name__)

    # ------------------------------------------------------------ the slow path: a call that no entry matches
    def _miss(self, args, kwargs):
        if current_trace() is not None:
            return twin(self._fun)(*args, **kwargs)
        with self._lock:
            call = self._call(args, kwargs)
            # one that the dispatcher no longer looks at, or that another thread has compiled while this one waited
            for entry in self._variants.find(call):
                if entry.config_key is config.key() and (result := entry.run(args, kwargs)) is not MISS:
                    if entry not in self.entries:
                        self.add(entry)
                    return result
            instead = "interpreted" if self._options.inline else "plain NumPy"
            if not self._is_refused(call) and not self._variants.full(call, config.key(), self._title, instead):
                try:
                    result = self._first(call)
                except Undecided:
                    self._variants.undecided(call, config.key())
                    result = MISS
                if result is not MISS:
                    return result
            self._plain += 1
            if self._options.inline:
                return self._interpreted(call)
        # arrays that overlap, or whose layout matters and is another, an error on the way to a choice, a choice that
        # falls otherwise each time: NumPy's own way is right
        return self._fun(*args, **kwargs)

    def _first(self, call):
        """Compile for a call, and carry it out; MISS where compiled code cannot."""
        profiling.missed(self._title)
        check_device(config.device)
        key = config.key()
        stage = self._stage(call)
        with self._flags():
            lowered = stage.lower()
            if self._options.dynamic:
                self._foresee(call, lowered)
            compiled = lowered.compile()
        if not compiled.holds():
            # something that it reads has changed in the meantime, and was not changed by the function
            return compiled.once(call, key)
        answers = compiled.answers(call, key)
        if answers is None:
            self._variants.lose(call, key, compiled)
            return MISS
        entry = compiled.entry(call.specs, call.kwnames, key, answers)
        self.add(entry)
        self._variants.add(entry, call, key, compiled)
        result = entry.run(call.args, call.kwargs)
        if result is MISS and compiled.may_outgrow and self._room < _MOST_ROOM:
            self._room <<= 2
            return self._first(call)
        if result is MISS:
            kept = {e: what for e, what in self._refused.items() if e in self._variants}
            self._refused = {**kept, entry: (call.specs, compiled)}
        return result

    def _interpreted(self, call):
        """Carry out a call of a function that nobody can call in NumPy, by a graph for this call alone."""
        try:
            compiled = self._stage(call, decided=True).lower().compile()
        except Undecided as why:
            raise why.__cause__ from None
        result = compiled.once(call, config.key())
        if result is MISS:
            raise UnsupportedError(f"a call of {self._title} in which an array is written that shares memory with "
                                   "another one, or a list outgrows its room", where=user_frame(),
                                   do="give it a copy of the array")
        return result

    def _is_refused(self, call):
        """Return whether a call of this kind was traced before, and compiled code could not serve it."""
        return any(entry.config_key is config.key() and alike(specs, call.specs) and compiled.holds()
                   for entry, (specs, compiled) in self._refused.items() if entry in self._variants)

    def _call(self, args, kwargs):
        return Call(self._fun, self._options, self._frozen, args, kwargs)

    def _stage(self, call, decided=False):
        """Trace; a Python number that the function needs as a value becomes static, and the trace starts again."""
        known, looked_up = set(call.frozen), self._variants.changing(call)
        with self._flags():
            while True:
                args, kwargs = call.marked()
                try:
                    with profiling.record("trace", self._title):
                        traced = stage(self._fun, args, kwargs, name=self._title, run=self._run,
                                       values=call.values if config.variants or decided else None, room=self._room,
                                       decided=decided, looked_up=looked_up)
                except Exception as error:
                    if not self._freeze(call, error):
                        call.frozen.intersection_update(known)
                        raise
                else:
                    self._count()
                    backend, family = ("ref", Family()) if decided else (self._options.backend, self._family)
                    return stages.Traced(traced, backend, family)

    def _foresee(self, call, lowered):
        """Trace for another size of the dynamic axes, so that the code for this one is the code for all."""
        for more in (1, 13, 64):
            args, kwargs = call.grown(self._fun, self._options.dynamic, more)
            other = Call(self._fun, self._options, {k: set(v) for k, v in self._frozen.items()}, args, kwargs)
            try:
                args, kwargs = other.marked()
                graph = optimize(stage(self._fun, args, kwargs, name=self._title).graph)
            except TracejitError:  # sizes that have to go together, a choice that depends on values: each as it comes
                return
            if stages.foresee(self._family, graph, lowered, self._options.backend):
                return

    def _run(self, graph, arrays):
        """Return the outputs of a graph with loops, which NumPy would walk in Python, by compiled code."""
        found = stages.executable(optimize(graph), self._options.backend, None, self._family)
        entry = Entry(tuple(("array", t.dtype, t.shape) for t in graph.params), (), found,
                      [("out", k, False) for k in range(len(graph.outs))], "list", (), config.key())
        return entry.run(tuple(np.array(a, t.dtype, ndmin=t.ndim) for a, t in zip(arrays, graph.params)), {})

    @staticmethod
    def _freeze(call, error):
        """Make static the Python number that an error is about, or all of them; returns whether there was one."""
        if isinstance(error, ConcretizationError) and hasattr(error, "argument"):
            return call.freeze(error.argument)
        if raised_by_user(error) and not isinstance(error, (TypeError, AttributeError)):
            return False
        # a library that was given a stand-in for a number says so in its own words
        return call.freeze_all((bool, int)) or call.freeze_all((float, complex))

    def _count(self):
        self._traces += 1
        if self._traces - self._family.reuses >= _MANY and not self._warned:
            self._warned = True
            warnings.warn(RetraceWarning(
                f"{self.__name__} has been traced {_MANY} times: shapes, static values or what it reads from outside "
                "change from call to call; pass what changes as an array"), stacklevel=5)

    def _flags(self):
        options = {"device": self._options.device, "backend": self._options.backend}
        chosen = {k: v for k, v in options.items() if v is not None}
        return config.context(**chosen)

    @property
    def _title(self):
        return self._options.name or self.__name__

    # ------------------------------------------------------------ what users may ask
    def trace(self, *args, **kwargs):
        """Trace for these arguments (arrays, or `ShapeDtype`); returns a stage with ``.graph`` and ``.lower()``."""
        with self._lock:
            try:
                return self._stage(self._call(args, kwargs))
            except Undecided as why:
                raise why.__cause__ from None

    def cache_info(self):
        """Return a `CacheInfo`: hits, misses, traces, signatures and variants held, calls left to NumPy."""
        with self._lock:
            shown = tuple(", ".join(map(str, e.executable.in_types)) for e in self.entries)
            variants = tuple(map(str, self._variants.guarded()))
            return CacheInfo(self.hits, self.misses, self._traces, shown, variants, self._plain,
                             self._family.compiles)

    def clear_cache(self):
        """Forget all compiled signatures of this function."""
        with self._lock:
            self.clear()
            self._frozen.clear()
            self._refused.clear()
            self._variants.clear()

    def __tracejit_inline__(self):
        """Return the plain function, which a trace around a call goes on tracing."""
        return self._fun

    def _recipe(self):
        return Jitted, self._fun, self._options

    def __repr__(self):
        return f"<jitted {self.__name__}>"


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
        Axes whose size changes from call to call, by the argument's position or name: ``{"x": 0, 1: (0, 1)}``. The code
        that is compiled first reads such sizes from a table, and serves all of them; otherwise the second size of an
        axis has the function compiled again, and the further ones not.
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
    if device is not None:
        check_device(device)
    many = lambda v: (v,) if isinstance(v, (int, str)) else tuple(v)
    options = _Options(many(static_argnums), many(static_argnames), many(donate_argnums), device, backend, name,
                       _dynamic(dynamic, fun))
    return Jitted(fun._fun if isinstance(fun, Jitted) else fun, options)


def jit_inline(fun, name):
    """Return the jitted form of a function that runs inside of traces only, as a transform does."""
    return Jitted(fun, _Options((), (), (), None, None, name, {}, True))


def _dynamic(given, fun):
    """Return the axes that a user declares dynamic as a dict to tuples of ints."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise TypeError(f"dynamic is a dict from arguments to axes, not {type(given).__name__}")
    names = parameters(fun._fun if isinstance(fun, Jitted) else fun)
    found = {}
    for key, axes in given.items():
        axes = (axes,) if isinstance(axes, int) else tuple(axes)
        if type(key) not in (int, str) or not all(type(a) is int for a in axes):
            raise TypeError(f"dynamic names arguments by position or name, and axes by numbers, not {key!r}: {axes!r}")
        if type(key) is str and names and key not in names and not _takes_any_name(fun):
            raise ValueError(f"dynamic names an argument {key!r} that the function does not have: {', '.join(names)}")
        found[key] = axes
    return found


def _takes_any_name(fun):
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(fun).parameters.values())


def _after_fork():
    """Give the child locks of its own: another thread of the parent may hold the old ones for ever."""
    for jitted in list(_everyone):
        jitted._lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
