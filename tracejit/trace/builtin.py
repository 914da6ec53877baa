"""Python's builtins as traced code sees them: `float(x)` stays traced, `min(x, y)` is a choice."""

import builtins
import functools
import types

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ops.scalar import select
from tracejit.symbolic.types import BOOL
from tracejit.trace import flow, objects
from tracejit.trace.items import Range, enumerate_, reversed_, zip_
from tracejit.trace.lists import List, length
from tracejit.trace.numpy import namespace
from tracejit.trace.numpy.registry import IMPLEMENTED
from tracejit.trace.prints import print_
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.regions import flow_of
from tracejit.trace.rewriting import FLOW
from tracejit.trace.selection import Selection
from tracejit.trace.tracer import PYTHON_DTYPES, Tracer, as_tracer, current_trace, gathered, wrap
from tracejit.trace.ufunc_methods import reduce as reduce_ufunc


def builtins_of(real, twin):
    """Return the builtins of the twins of functions that have the globals `real`."""
    original = real.get("__builtins__", builtins)
    table = dict(original.__dict__ if isinstance(original, types.ModuleType) else original)
    for name in ("int", "float", "complex", "bool"):
        if table.get(name) in namespace.CONSTRUCTORS:
            table[name] = namespace.CONSTRUCTORS[table[name]]
    table.update({k: v for k, v in _BUILTINS.items() if table.get(k) is getattr(builtins, k, None)})
    table[FLOW] = flow
    table["__import__"] = functools.partial(_import, twin, table.get("__import__", builtins.__import__))
    table["globals"] = lambda: real
    table["super"] = objects.super_of(twin)
    return table


def _import(twin, original, name, globals=None, locals=None, fromlist=(), level=0):
    return twin(original(name, globals, locals, fromlist, level))


def _sum(iterable, /, start=0):
    given, iterable = iterable, gathered(iterable)
    if isinstance(iterable, Tracer) and iterable.ndim:
        dtype = None if iterable.dtype == BOOL else iterable.dtype
        total = _as_items(given, reduce_ufunc(np.add, iterable, axis=0, dtype=dtype))
        return total if type(start) is int and start == 0 else start + total
    return builtins.sum(iterable, start)


def _as_items(x, found):
    """Return the fold of a list's rows: a Python number where the items are."""
    python = isinstance(x, List) and x.rows is not None and [kind.weak for kind in x.rows.kinds] == [True]
    return wrap(found.node, weak=True) if python and found.ndim == 0 else found


def _length(x, /):
    """Return the length; of an array whose size only the compiled function knows, a traced integer."""
    if isinstance(x, Selection):
        x = as_tracer(x)
    if isinstance(x, List):
        return length(x)
    if isinstance(x, Tracer) and not x.type.is_static and x.ndim:
        return x.shape[0]
    return builtins.len(x)


def _extreme(original, ufunc, wins):
    def extreme(*args, **kwargs):
        given = args[0] if args else None
        args = (gathered(args[0]),) if len(args) == 1 else args
        if len(args) == 1 and not isinstance(args[0], Tracer) and hasattr(args[0], "__next__"):
            args = (list(args[0]),)
        items = args[0] if len(args) == 1 and isinstance(args[0], (list, tuple)) else args
        if not any(isinstance(a, Tracer) for a in items) or not set(kwargs) <= {"key", "default"}:
            return original(*args, **kwargs)
        if kwargs.get("key") is not None:
            pairs = [(kwargs["key"](v), v) for v in (items[0] if items is args and len(args) == 1 else items)]
            return functools.reduce(functools.partial(_choose_by_key, wins), pairs)[1]
        if len(args) == 1:
            if isinstance(args[0], Tracer) and args[0].ndim == 1 and (not args[0].type.is_static or args[0].size):
                return _as_items(given, reduce_ufunc(ufunc, args[0]))
            items = tuple(args[0])
        return functools.reduce(functools.partial(_choose, wins), items)
    return functools.wraps(original)(extreme)


def _choose(wins, x, y):
    """Return y where it wins over x, as Python's min and max choose."""
    condition = apply_ufunc(wins, y, x)
    if condition.size != 1:
        return y if bool(condition) else x  # NumPy's error about the truth of an array
    return _pick(condition, y, x)


def _choose_by_key(wins, first, second):
    """Return the pair of key and value of which the key wins."""
    (j, x), (k, y) = first, second
    if not any(isinstance(v, Tracer) for v in (j, k)):
        return second if wins(k, j) else first
    condition = apply_ufunc(wins, k, j)
    return _pick(condition, k, j), _pick(condition, y, x)


def _pick(condition, y, x):
    """Return y where a condition of one element holds, else x."""
    weak = all(type(v) in PYTHON_DTYPES or v.weak for v in (x, y))
    kinds = [v if type(v) in PYTHON_DTYPES else v.python_type(0) if v.weak else v.dtype for v in (x, y)]
    dtype = np.result_type(*kinds)
    x, y = (v.node if isinstance(v, Tracer) else as_tracer(v).node for v in (x, y))
    x, y = (wrap(v).astype(dtype).reshape(condition.shape).node for v in (x, y))
    return wrap(select(condition.node, y, x), weak=weak and dtype != BOOL, scalar=not weak and not condition.ndim)


def _any_or_all(original, function):
    decisive = original is any
    both = np.logical_or if decisive else np.logical_and

    def test(iterable, /):
        iterable = gathered(iterable)
        if isinstance(iterable, Tracer) and iterable.ndim == 1:
            return wrap(IMPLEMENTED[function](iterable).node, weak=True)
        found = None
        for item in iterable:
            item = flow.not_(flow.not_(item))
            if not isinstance(item, Tracer):
                if item is decisive:
                    return decisive
            else:
                found = item if found is None else apply_ufunc(both, found, item)
        return not decisive if found is None else wrap(found.node, weak=True)
    return functools.wraps(original)(test)


class _BoolClass(namespace.Constructor):
    """The class of the stand-in for `bool`: the truth of a traced value stays traced."""

    def __call__(cls, *args):
        return flow.not_(flow.not_(args[0])) if args and isinstance(args[0], Tracer) else bool(*args)


#: ``bool`` inside traced code.
Bool = _BoolClass("bool", (), {"__module__": "builtins", "original": bool, "dtype": np.dtype(bool)})
namespace.CONSTRUCTORS[bool] = Bool


def _pow(base, exp, mod=None):
    """Return ``pow(base, exp, mod)``."""
    if mod is None or not any(isinstance(x, Tracer) for x in (base, exp, mod)):
        return base ** exp if mod is None else pow(base, exp, mod)
    if isinstance(exp, Tracer) or exp < 0:
        raise UnsupportedError("pow() with a modulus and an exponent that is traced or negative", where=user_frame(),
                               do="write the loop over the bits of the exponent")
    out = 1 % mod
    while exp:
        out = out * base % mod if exp & 1 else out
        base, exp = base * base % mod, exp >> 1
    return out


def _next(iterator, *default):
    """Return ``next(iterator)``, remembering that it was asked for."""
    trace = current_trace()
    if trace is not None:
        flow_of(trace).consumed += 1
    return builtins.next(iterator, *default)


def _is_subclass(cls, kinds):
    return builtins.issubclass(namespace._originals(cls), namespace._originals(kinds))


class _Type(type):
    """The class of the stand-in for `type`: a tracer's type is that of what it stands for."""

    def __call__(cls, *args, **kwargs):
        if len(args) != 1:
            return type(*args, **kwargs)
        x, = args
        if isinstance(x, Tracer):
            found = x.python_type if x.weak else x.dtype.type if x.scalar else np.ndarray
        else:
            found = type(x)
        return namespace.CONSTRUCTORS.get(found, found)

    def __instancecheck__(cls, x):
        return isinstance(x, type)

    def __eq__(cls, other):
        return cls is other or other is type

    def __hash__(cls):
        return hash(type)


class TypeStandIn(metaclass=_Type):
    """``type`` inside traced code."""


def _refuse_dynamic(name):
    def refuse(*args, **kwargs):
        raise UnsupportedError(f"{name}() in a traced function", where=user_frame(),
                               do="call it outside the jitted function and pass the result in")
    return refuse


_BUILTINS = {
    "isinstance": namespace.is_instance, "issubclass": _is_subclass, "sum": _sum,
    "min": _extreme(min, np.minimum, np.less), "max": _extreme(max, np.maximum, np.greater),
    "pow": _pow, "any": _any_or_all(any, np.any), "all": _any_or_all(all, np.all), "type": TypeStandIn,
    "len": _length, "range": Range, "enumerate": enumerate_, "zip": zip_, "reversed": reversed_,
    "print": print_, "next": _next,
    "open": _refuse_dynamic("open"), "input": _refuse_dynamic("input"),
}
#: The stand-ins and what they stand for, for results in which they are.
ORIGINALS = {id(ours): (ours, getattr(builtins, name)) for name, ours in _BUILTINS.items()}
