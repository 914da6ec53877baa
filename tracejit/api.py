"""The roof: `jit`, and the names that users see."""

import functools
import inspect
import threading
from typing import NamedTuple

import numpy as np

from tracejit import stages, transforms, tree
from tracejit.config import config
from tracejit.device import check_device
from tracejit.dispatch import Dispatcher, Entry
from tracejit.errors import ConcretizationError, UnsupportedError, user_frame
from tracejit.symbolic.types import Type, supported_dtype
from tracejit.trace.staging import Leaf, Same, stage
from tracejit.trace.tracer import Tracer, current_trace

__all__ = ["CacheInfo", "Jitted", "ShapeDtype", "grad", "jit", "jvp", "value_and_grad", "vjp"]

_SCALARS = (bool, int, float, complex)


class ShapeDtype(NamedTuple):
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
        self._signatures = {}
        self._static_leaves = {}
        self._lock = threading.RLock()
        self._traces = 0
        functools.update_wrapper(self, fun, updated=())
        self.__wrapped__ = fun

    # ------------------------------------------------------------ the slow path: anything the dispatcher does not know
    def _miss(self, args, kwargs):
        if current_trace() is not None:
            return self._fun(*args, **kwargs)
        call = _Call(self, args, kwargs)
        compiled = self._compiled(call)
        results = compiled.run(call.traced_leaves)
        return compiled.traced.unflatten(results)

    def _compiled(self, call):
        key = (call.key, config.key())
        found = self._signatures.get(key)
        if found is None:
            with self._lock:
                found = self._signatures.get(key)
                if found is None:
                    traced = self._stage(call)
                    with self._flags():
                        found = traced.lower().compile()
                    self._signatures[(call.key, config.key())] = found
                    self._remember(call, found)
        return found

    def _stage(self, call):
        """Trace; a Python number that the function needs as a value becomes static, and the trace starts again."""
        with self._flags():
            while True:
                try:
                    traced = stage(self._fun, *call.marked(), name=self._options.name or self.__name__)
                    self._traces += 1
                    return stages.Traced(traced, self._options.backend)
                except ConcretizationError as error:
                    leaf = getattr(error, "argument", None)
                    if leaf is None or not call.make_static(leaf):
                        raise
                    self._static_leaves.setdefault(call.structure, set()).update(call.forced)

    def _flags(self):
        chosen = {k: v for k, v in (("device", self._options.device), ("backend", self._options.backend)) if v}
        return config.context(**chosen)

    def _remember(self, call, compiled):
        entry = call.entry(compiled)
        if entry is not None:
            self.add(entry)

    # ------------------------------------------------------------ what users may ask
    def trace(self, *args, **kwargs):
        """Trace for these arguments (arrays, or `ShapeDtype`); returns a stage with ``.graph`` and ``.lower()``."""
        with self._lock:
            return self._stage(_Call(self, args, kwargs))

    def cache_info(self):
        """Return hits, misses, traces and the signatures held."""
        shown = tuple(", ".join(map(str, c.executable.in_types)) for c in self._signatures.values())
        return CacheInfo(self.hits, self.misses, self._traces, shown)

    def clear_cache(self):
        """Forget all compiled signatures of this function."""
        with self._lock:
            self._signatures.clear()
            self._static_leaves.clear()
            self.clear()

    def __tracejit_inline__(self):
        """Return the plain function, which a trace around a call goes on tracing."""
        return self._fun

    def __reduce__(self):
        module, name = getattr(self, "__module__", None), getattr(self, "__qualname__", "")
        if _global_name(module, name) is self:
            return name
        return _rebuild, (self._fun, self._options)

    def __repr__(self):
        return f"<jitted {self.__name__}>"


def _global_name(module, qualname):
    import sys  # only pickling asks

    found = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _rebuild(fun, options):
    return Jitted(fun, options)


class _Call:
    """The arguments of one call: structure, leaves, and what each leaf is to the trace."""

    def __init__(self, jitted, args, kwargs):
        fun, options = jitted._fun, jitted._options
        self.args, self.kwargs = args, kwargs
        static = _static_positions(fun, options, args, kwargs)
        self.fixed_args = {i: args[i] for i in static[0]}
        self.fixed_kwargs = {k: kwargs[k] for k in static[1]}
        moving = [a for i, a in enumerate(args) if i not in self.fixed_args]
        named = {k: v for k, v in kwargs.items() if k not in self.fixed_kwargs}
        self.leaves, self.structure = tree.flatten((moving, named))
        self.forced = set(jitted._static_leaves.get(self.structure, ()))
        self._classify()

    def _classify(self):
        marks, seen = [], {}
        self.traced_leaves, self.positions = [], []
        for i, x in enumerate(self.leaves):
            mark = _mark(x) if i not in self.forced else None
            if mark is not None:
                if isinstance(x, np.ndarray):
                    first = seen.setdefault(id(x), len(self.traced_leaves))
                    if first != len(self.traced_leaves):
                        mark = Same(first)
                self.positions.append(i)
                self.traced_leaves.append(x)
            marks.append(mark)
        self.marks = marks
        statics = tuple((i, _hashable(x)) for i, (x, m) in enumerate(zip(self.leaves, marks)) if m is None)
        fixed = (tuple((i, _hashable(v)) for i, v in self.fixed_args.items()),
                 tuple((k, _hashable(v)) for k, v in self.fixed_kwargs.items()))
        self.key = (self.structure, tuple(m if m is None else m.key() for m in marks), statics, fixed)

    def make_static(self, traced_position):
        """Declare a traced leaf static; returns whether it can be (a Python number)."""
        leaf = self.positions[traced_position]
        if leaf in self.forced or type(self.leaves[leaf]) not in _SCALARS:
            return False
        self.forced.add(leaf)
        self._classify()
        return True

    def marked(self):
        """Return ``(args, kwargs)`` with traced leaves replaced by their marks."""
        leaves = [x if m is None else m for x, m in zip(self.leaves, self.marks)]
        moving, named = tree.unflatten(self.structure, leaves)
        moving = iter(moving)
        args = [self.fixed_args[i] if i in self.fixed_args else next(moving) for i in range(len(self.args))]
        return tuple(args), {k: self.fixed_kwargs.get(k, named.get(k)) for k in self.kwargs}


def _hashable(x):
    try:
        hash(x)
    except TypeError:
        raise UnsupportedError(f"an argument of type {type(x).__name__} is neither an array nor hashable",
                               where=user_frame(), do="Pass arrays, numbers, nests of them, or hashable values.") from None
    return type(x), x


def _mark(x):
    """Return the Leaf of an argument that is traced, None for a static one."""
    kind = type(x)
    if kind in _SCALARS:
        if kind is int and not -2**63 <= x < 2**63:
            return None
        return Leaf(Type(np.dtype({bool: bool, int: np.int64}.get(kind, kind))), weak=True)
    if isinstance(x, ShapeDtype):
        return Leaf(Type(np.dtype(x.dtype), x.shape))
    if isinstance(x, np.ndarray):
        if kind is not np.ndarray and kind.__module__.startswith("numpy.ma"):
            raise UnsupportedError("a masked array", where=user_frame(), do="Pass data and mask as two arrays.")
        dtype = _dtype(x)
        return Leaf(Type(dtype, x.shape), readonly=not x.flags.writeable, contiguous=x.flags.c_contiguous)
    if isinstance(x, np.generic) and not isinstance(x, (np.str_, np.bytes_, np.void)):
        return Leaf(Type(_dtype(x), ()), scalar=True)
    return None


def _dtype(x):
    dtype = supported_dtype(x.dtype) if x.dtype.kind in "biufc" else None
    if dtype is None:
        raise UnsupportedError(f"an argument of dtype {x.dtype}", where=user_frame(),
                               do="Convert it to a Boolean, integer, floating or complex dtype.")
    return dtype


@functools.lru_cache(1024)
def _parameters(fun):
    try:
        return tuple(inspect.signature(fun).parameters)
    except (TypeError, ValueError):
        return ()


def _static_positions(fun, options, args, kwargs):
    if not options.static_argnums and not options.static_argnames:
        return (), ()
    names = _parameters(fun)
    numbers = {n % len(args) if n < 0 else n for n in options.static_argnums}
    numbers |= {names.index(n) for n in options.static_argnames if n in names}
    keywords = set(options.static_argnames) | {names[i] for i in numbers if i < len(names)}
    return [i for i in sorted(numbers) if i < len(args)], [k for k in kwargs if k in keywords]


def jit(fun=None, *, static_argnums=(), static_argnames=(), donate_argnums=(), dynamic=None, device=None,
        backend=None, name=None):
    """Compile a NumPy function: trace it once per signature, run it as generated code from then on.

    Parameters
    ----------
    fun : callable
        Written in plain NumPy. Arguments and results are arrays, numbers and nests of them (tuple, list, dict,
        namedtuple, dataclass); other arguments are static.
    static_argnums, static_argnames : int or str, or tuples of them
        Arguments that are Python values to the trace: hashable, and a new value is a new trace. A Python number that the
        function uses as a size or in an ``if`` becomes static by itself.
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
        At the first call, where the function does something that cannot be traced; the message says where and what to do.
    """
    if fun is None:
        return functools.partial(jit, static_argnums=static_argnums, static_argnames=static_argnames,
                                 donate_argnums=donate_argnums, dynamic=dynamic, device=device, backend=backend, name=name)
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
