"""Pickles of objects that stand for a function: by name where the name leads to them, else with the function.

`pickle` sends a function by its name. cloudpickle, and with it joblib and Dask, sends by value what the other side may
not have: functions of `__main__`, of notebooks, lambdas. It knows functions, and not what stands for them. So an object
that its name leads to is sent as a copy of its plain function, whose own name leads to an attribute of that object:
`pickle` finds it there, and cloudpickle sends it like any function.

What arrives several times, as with each task of a Dask graph, becomes one object, so that a worker traces it once.
Where more than the function belongs to it, as rules that call it again, it arrives as a shell, to which these can lead,
and is then filled with what the first one of the same content has.
"""

import builtins
import collections
import dis
import functools
import hashlib
import linecache
import threading
import types
import weakref
import zlib

import numpy as np

from tracejit.calls import global_name
from tracejit.trace.source import ORIGIN, arrived

__all__ = ["LeadsBack", "StandsFor"]

_SUFFIX, _WRAPPED = "._pickled", ".__wrapped__"
_KEPT = 128
_made: collections.OrderedDict = collections.OrderedDict()  # what has arrived, by content
_copies: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # of the functions of what is found by name
_lock = threading.Lock()


class StandsFor:
    """A base of what wraps a function: `_recipe` returns (what makes it, the function, other arguments)."""

    __slots__ = ()  # functools.wraps copies what is in __dict__

    def _recipe(self):
        raise NotImplementedError

    @property
    def _pickled(self):
        """A copy of the plain function, the same one each time, under a name that leads here."""
        if self in _copies:
            return _copies[self]
        _, fun, *_ = self._recipe()
        made = types.FunctionType(fun.__code__, fun.__globals__, fun.__name__, fun.__defaults__, fun.__closure__)
        functools.update_wrapper(made, fun)
        del made.__wrapped__
        made.__kwdefaults__ = fun.__kwdefaults__
        made.__qualname__ = _path(self) + _SUFFIX
        return _copies.setdefault(self, made)

    def __reduce__(self):
        make, fun, *arguments = self._recipe()
        path, sources = _path(self), _sources(self)
        if path is not None and type(fun) is types.FunctionType:
            fun = self._pickled
        elif path is not None and not isinstance(fun, StandsFor):
            return path
        return _arrived, (make, fun, tuple(arguments), sources)


class LeadsBack(StandsFor):
    """A base of what has more than a function that may lead back to it: `_rest` returns these parts, a tuple.

    Its class makes it, and takes them after all else.
    """

    def _rest(self):
        raise NotImplementedError

    def _change(self, **parts):
        """Set attributes, and not also those of others that have arrived with the same content."""
        self.__dict__ = {**self.__dict__, **parts}
        self.__dict__.pop("_whole", None)

    @property
    def _carrier(self):
        """A function that returns the rest, the same one each time, under a name that leads here."""
        rest, found = self._rest(), self.__dict__.get("_carrying")
        if found is None or found() != rest:
            def found():
                return rest
            found.__module__, found.__qualname__ = self.__module__, f"{_path(self)}._carrier"
            self._carrying = found
        return found

    def __reduce__(self):
        found = super().__reduce__()
        if isinstance(found, str):
            return found
        return _shell, found[1], self._rest() if _path(self) is None else self._carrier

    def __setstate__(self, rest):
        parts = self.__dict__.get("_arriving")
        if parts is not None:
            whole = _same(*parts, rest if isinstance(rest, tuple) else rest(), self)
            whole._whole = whole
            self.__dict__ = whole.__dict__


def _path(wrapper):
    """Return the dotted name in its module that leads to a wrapper, through those around it; None where none does."""
    module, name = getattr(wrapper, "__module__", None), getattr(wrapper, "__qualname__", "")
    found = global_name(module, name)
    while found is not None and found is not wrapper:
        found, name = getattr(found, "__wrapped__", None), name + _WRAPPED
    return None if found is None else name


def _arrived(make, fun, arguments, sources):
    """Return what a pickle holds: the object that is there under its name, one that arrived before, or a new one."""
    owner = _welcomed(fun, sources)
    return _same(make, fun, arguments) if owner is None else owner


def _shell(make, fun, arguments, sources):
    """Return the object that is there under its name, or one of a class that gets its content when all is there."""
    owner = _welcomed(fun, sources)
    if owner is not None:
        return owner
    made = object.__new__(make)
    made._arriving = make, fun, arguments
    return made


def _welcomed(fun, sources):
    """Take what comes with a function, and return what stands for it under its name, or None."""
    for origin, text in sources.items():
        if origin not in arrived:
            arrived[origin] = zlib.decompress(text).decode()
    owner = _owner(fun)
    if owner is None and getattr(fun, "__qualname__", "").endswith(_SUFFIX):
        fun.__qualname__ = fun.__qualname__.removesuffix(_SUFFIX).split(_WRAPPED)[0]
    return owner


def _same(make, fun, arguments, rest=(), shell=None):
    """Return what has been made of the same before, or make it."""
    try:
        key = make, _key(fun, {shell}), _options(arguments), _key(rest, {shell})
    except _Alone:
        return make(fun, *arguments, *rest)
    with _lock:
        found = _made.pop(key, None) or make(fun, *arguments, *rest)
        _made[key] = found
        if len(_made) > _KEPT:
            _made.popitem(last=False)
    return found


def _owner(fun):
    """Return what stands for a function under its name, or None."""
    if isinstance(fun, StandsFor):
        path = _path(fun) or ""
        owner = global_name(fun.__module__, path.removesuffix(_WRAPPED)) if path.endswith(_WRAPPED) else None
        return owner if isinstance(owner, StandsFor) and owner._recipe()[1] is fun else None
    name = getattr(fun, "__qualname__", "")
    owner = global_name(fun.__module__, name.removesuffix(_SUFFIX)) if name.endswith(_SUFFIX) else None
    return owner if getattr(owner, "_pickled", None) is fun else None


# ---------------------------------------------------------------- what is the same
class _Alone(Exception):
    """A function refers to what may be changed: each copy of it has its own."""


def _options(value):
    """Return a hashable form of the arguments of what makes an object: numbers, texts, and containers of them."""
    if isinstance(value, dict):
        return "dict", tuple([(k, _options(v)) for k, v in value.items()])
    if isinstance(value, (tuple, list)):
        return type(value), tuple(map(_options, value))
    if value is None or type(value) in (bool, int, float, str):
        return type(value), value
    raise _Alone


def _key(value, around):
    """Return what two values have in common that mean the same and always will; `around` are functions on the way."""
    kind = type(value)
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return kind, repr(value)
    if isinstance(value, np.generic):
        return kind, value.dtype, value.tobytes()
    if kind is tuple or isinstance(value, tuple) and hasattr(kind, "_fields"):
        return kind, tuple([_key(v, around) for v in value])
    if kind is functools.partial:
        return kind, _key((value.func, value.args, *value.keywords.items()), around)
    if isinstance(value, LeadsBack):
        if value in around:
            return "around", kind
        if "_arriving" in value.__dict__:
            raise _Alone
        return "this", value.__dict__.get("_whole", value)
    if kind in (types.ModuleType, types.BuiltinFunctionType, np.ufunc) or isinstance(
            value, (type, np.dtype, StandsFor)) or kind is not types.FunctionType and global_name(
            getattr(value, "__module__", None), getattr(value, "__qualname__", "")) is value:
        return "this", value
    if kind is not types.FunctionType:
        raise _Alone
    if global_name(value.__module__, value.__qualname__) is value:
        return "this", value
    if value in around:
        return "around", value.__code__
    inside = {*around, value}
    names = _globals_of(value.__code__)
    outer = {n: value.__globals__[n] for n in names if n in value.__globals__}
    if not all(n in outer or hasattr(builtins, n) for n in names):
        raise _Alone  # one that is still being put together
    try:
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
    except ValueError:
        raise _Alone from None
    parts = [value.__defaults__, *cells, *outer.values(), *(value.__kwdefaults__ or {}).values()]
    return "function", value.__code__, tuple(outer), tuple([_key(v, inside) for v in parts])


def _globals_of(code):
    """Return the global names that code reads; raise where it writes one, or a variable of a function around it."""
    names = {}
    for each in _codes(code):
        for step in dis.get_instructions(each):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                names[step.argval] = None
            elif step.opname.startswith(("STORE_GLOBAL", "DELETE_GLOBAL")) or (
                    step.opname.startswith("STORE_DEREF") and step.argval in each.co_freevars):
                raise _Alone
    return list(names)


def _codes(code):
    """Yield a code object and those inside it."""
    yield code
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _codes(each)


# ---------------------------------------------------------------- where the source is
def _sources(fun):
    """Return {(file, digest): text} for a function and those it leads to, as far as they are sent by value.

    cloudpickle forgets the file of a function, and a worker may not have it. So that Python's loops and branches can be
    traced there, the text travels along, and each function has an attribute that says which one is its own.
    """
    found, stack, seen = {}, [fun], set()
    while stack:
        each = stack.pop()
        if isinstance(each, LeadsBack) and each not in seen:
            seen.add(each)
            stack += each._rest()
        if isinstance(each, StandsFor):
            each = each._recipe()[1]
        if isinstance(each, functools.partial):
            stack += (each.func, *each.args)
        elif type(each) is tuple:
            stack += each
        if type(each) is not types.FunctionType or each in seen or not _by_value(each):
            continue
        seen.add(each)
        file = each.__code__.co_filename
        if text := "".join(linecache.getlines(file, each.__globals__)):
            origin, small = _packed(file, text)
            setattr(each, ORIGIN, origin)
            found[origin] = small
        elif (origin := getattr(each, ORIGIN, None)) in arrived:
            found[origin] = _packed(file, arrived[origin])[1]
        names = {n for code in _codes(each.__code__) for n in code.co_names}
        stack += [each.__globals__[n] for n in names if n in each.__globals__]
        stack += [cell.cell_contents for cell in each.__closure__ or () if _filled(cell)]
    return found


@functools.lru_cache(64)
def _packed(file, text):
    raw = text.encode()
    return (file, hashlib.sha256(raw).hexdigest()), zlib.compress(raw)


def _by_value(fun):
    """Return whether cloudpickle sends a function by value, though it may also be found by name."""
    named = global_name(fun.__module__, fun.__qualname__)
    return fun.__module__ == "__main__" or named is not fun and not isinstance(named, StandsFor)


def _filled(cell):
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False
