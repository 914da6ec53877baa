"""The user's own objects in traced code: attributes that are arrays become captures, methods become twins.

An instance is seen through a stand-in of a subclass of its class, with a copy of its ``__dict__``; a class through that
subclass. Lists, tuples and dicts that hold arrays are seen through copies, and changes to the copies are carried over
at the end.
"""

import abc
import argparse
import builtins
import collections
import copy
import enum
import functools
import sys
import types
import typing

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.trace.places import Snapshot

_ATOMS = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype, range, slice)
#: Special methods that are the class's own business.
_KEPT = frozenset(
    "__new__ __init_subclass__ __class_getitem__ __getattribute__ __getattr__ __setattr__ __delattr__ __del__ "
    "__set_name__ __subclasshook__ __instancecheck__ __subclasscheck__ __reduce__ __reduce_ex__ __dir__ "
    "__getstate__ __setstate__ __sizeof__ __repr__ __str__ __hash__".split())


_CONTAINERS = (list, tuple, dict, collections.OrderedDict, collections.defaultdict, collections.Counter,
               collections.deque)


#: Containers of more items than this are read once, while the function is traced.
_WATCHED = 1000


def watch(x, note, keep, seen=None, whole=False):
    """Note what is in a nest of containers that traced code sees as it is; `keep` gets each of them.

    It may be of a class derived from those, which only the one who asks knows: then it is watched as a `whole`.
    """
    seen = {} if seen is None else seen
    if not (whole or is_container(x) or type(x) is set) or id(x) in seen:
        return
    seen[id(x)] = x
    keep(x)
    if len(x) > _WATCHED:
        return
    if isinstance(x, set):
        note("attr", Snapshot(x), "holds", True)
        return
    if not isinstance(x, tuple):
        note("size", x, None, len(x))
    for key, value in (x.items() if isinstance(x, dict) else enumerate(x)):
        if not isinstance(x, tuple):
            note("item", x, key, value)
        watch(value, note, keep, seen)


def holds_objects(x, is_object, seen=None):
    """Return whether a nest of containers holds an object for which ``is_object`` is true."""
    if isinstance(x, _ATOMS):
        return False
    if not is_container(x) and not isinstance(x, list):
        return is_object(x)
    seen = set() if seen is None else seen
    if id(x) in seen:
        return False
    seen.add(id(x))
    # a List is taken as it lies
    items = x.values() if isinstance(x, dict) else list.__iter__(x) if isinstance(x, list) else x
    return any(holds_objects(e, is_object, seen) for e in items)


def _is_namedtuple(x):
    return isinstance(x, tuple) and hasattr(type(x), "_fields") and hasattr(type(x), "_make")


def is_container(x):
    """Return whether `x` is a container whose content is converted."""
    return type(x) in _CONTAINERS or _is_namedtuple(x)


def convert_container(x, made, see):
    """Fill `made` (or return a new tuple) with what ``see(key, value)`` gives for a container's content; returns it."""
    if isinstance(x, tuple):
        parts = [see(k, e) for k, e in enumerate(x)]
        return type(x)._make(parts) if _is_namedtuple(x) else tuple(parts)
    for key, value in (x.items() if isinstance(x, dict) else enumerate(x)):
        if isinstance(x, dict):
            made[key] = see(key, value)
        else:
            made.append(see(key, value))
    return made


def empty_like(x):
    """Return an empty container of the same kind."""
    if type(x) is collections.deque:
        return collections.deque(maxlen=x.maxlen)
    return collections.defaultdict(x.default_factory) if type(x) is collections.defaultdict else type(x)()


# ---------------------------------------------------------------- instances and classes
_OWN_LAYOUT = (BaseException, enum.Enum, type, types.ModuleType, tuple, str, bytes, int, float, complex, list, dict,
               set, frozenset, np.ndarray, np.generic)


#: Classes of Python's own that people keep arrays in.
NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
#: Where a stand-in that cannot share a ``__dict__`` keeps the instance it stands for.
_ORIGINAL = "__tracejit_original__"
#: Where a stand-in class keeps the user's class, and how to make and note twins.
_STATE = "__tracejit_state__"


def is_plain_class(cls):
    """Return whether instances of a class can be seen through a stand-in: making its subclass has no side effects."""
    return (type(cls) in (type, abc.ABCMeta, type(typing.Protocol)) and not issubclass(cls, _OWN_LAYOUT)
            and not hasattr(cls, "__array_ufunc__")
            and not any("__init_subclass__" in vars(base) and base.__module__ != "typing" for base in cls.__mro__[:-1]))


def holds_arrays(x):
    """Return whether an object without a stand-in holds arrays in its attributes or as a container."""
    held = [*getattr(x, "__dict__", {}).values()]
    if isinstance(x, (dict, list, tuple, set, frozenset)):
        held += x.values() if isinstance(x, dict) else x
    return not isinstance(x, type) and any(isinstance(e, np.ndarray) for e in held)


def held(instance):
    """Return the ``__dict__`` of a stand-in as it is."""
    return object.__getattribute__(instance, "__dict__")


def source_of(instance):
    """Return the instance that a stand-in forwards to, or None where it shares its ``__dict__`` or is none."""
    return held(instance).get(_ORIGINAL)


def stand_in_class(cls, twin, seen, note, session):
    """Return the subclass of a user's class whose instances give twins of what they hold.

    ``note(kind, holder, key, value)`` is told of a place that is looked at, and ``seen`` of the same returns what
    traced code sees there.
    """
    def lookup(self, name):
        own = held(self)
        source = own.get(_ORIGINAL)
        if name == "__class__":
            return object.__getattribute__(self, name)
        if name == "__dict__":
            if source is None:
                return session.laid_open(own) if session.is_users(self) else own
            return {key: lookup(self, key) for key in vars(source)}
        found = static_attribute(cls, name)
        bound = bind(found, self, twin)
        if bound is not None:
            return bound
        try:
            value = super(stand_in, self).__getattribute__(name) if source is None else getattr(source, name)
        except AttributeError:
            outside = session.real(own) if source is None else getattr(source, "__dict__", None)
            if outside is not None and (source is not None or session.is_users(self)):
                note("size", outside, None, len(outside))  # later there may be one
            raise
        if source is not None:
            if session.has_set(source, name):
                return session.met(value)
            return seen("attr", source, name, value)
        elif name in own and not session.is_users(self):
            return value  # of an instance that traced code has made, or that is an argument
        elif name in own:
            if session.has_set(own, name):
                return session.met(value)
            return seen(*session.child(own, name), own[name])
        elif found is value:
            note("attr", cls, name, value)
            real = session.real(own)
            note("size", real, None, len(real))  # an attribute of the instance would hide it
        return twin(value)

    meta = type("StandInClass", (_ClassOfStandIns, type(cls)), {})
    def assign(self, name, value):
        found = static_attribute(cls, name)
        if isinstance(own := static_attribute(cls, "__setattr__"), types.FunctionType):
            twin(own)(self, name, value)
        elif isinstance(found, property) and found.fset:
            twin(found.fset)(self, value)
        else:
            session.set_attribute(self, name, value)

    def delete(self, name):
        source = source_of(self)
        super(stand_in, self).__delattr__(name) if source is None else session.delete_attribute(source, name)

    space = {"__getattribute__": lookup, "__setattr__": assign, "__delattr__": delete, "__module__": cls.__module__,
             "__qualname__": cls.__qualname__, "__doc__": cls.__doc__, _STATE: (cls, twin, seen, session)}
    if _is_copied_plainly(cls):
        space["__copy__"] = lambda self: _copied(self, lookup, lambda x: x)
        space["__deepcopy__"] = lambda self, memo: _copied(self, lookup, lambda x: copy.deepcopy(x, memo))
    for base in reversed(cls.__mro__[:-1]):
        for name, value in vars(base).items():
            special = name.startswith("__") and name.endswith("__") and name not in _KEPT
            if special and isinstance(value, types.FunctionType):
                space[name] = _special(value, twin)
    stand_in = meta.__new__(meta, cls.__name__, (cls,), space)
    return stand_in


def _is_copied_plainly(cls):
    """Return whether `copy` makes a copy of an instance by its ``__dict__``."""
    names = "__setstate__ __copy__ __deepcopy__ __getnewargs__ __getnewargs_ex__ __reduce__ __reduce_ex__ __getstate__"
    return not _has_slots(cls) and not issubclass(cls, NAMESPACES) and all(
        getattr(cls, name, None) is getattr(object, name, None) for name in names.split())


def _copied(instance, lookup, function):
    """Return a copy, with what ``function`` gives for each attribute."""
    made = object.__new__(type(instance))
    for name in held(instance):
        object.__setattr__(made, name, function(lookup(instance, name)))
    return made


class Iterator:
    """An iterator from outside, which a trace must not advance: each call would have to."""

    def __init__(self, original):
        self._original = original

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._original, name)

    def __iter__(self):
        return self

    def __next__(self):
        raise UnsupportedError(f"the next item of a {type(self._original).__name__} from outside, in a traced function",
                               where=user_frame(), do="make the iterator inside the function, or pass what it gives")


def _special(function, twin):
    @functools.wraps(function)
    def call(self, *args, **kwargs):
        return twin(function)(self, *args, **kwargs)
    return call


class _ClassOfStandIns(type):
    """The class of stand-in classes: their attributes are twins too."""

    def __getattribute__(cls, name):
        if name.startswith("__"):
            return type.__getattribute__(cls, name)
        original, twin, seen, session = type.__getattribute__(cls, _STATE)
        found = static_attribute(original, name)
        if isinstance(found, classmethod):
            return types.MethodType(twin(found.__func__), cls)
        value = type.__getattribute__(cls, name)
        if session.has_set(original, name):
            return session.met(value)
        if isinstance(value, (types.FunctionType, property)):
            return twin(value)
        return seen("attr", original, name, value)

    def __setattr__(cls, name, value):
        original, *_, session = type.__getattribute__(cls, _STATE)
        session.set_attribute(original, name, value)


def static_attribute(cls, name):
    """Return an attribute of a class as it stands in it, unbound, or None."""
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return None


def bind(found, instance, twin):
    """Return a method or property of an instance with its function as a twin; None for anything else."""
    if isinstance(found, types.FunctionType):
        return types.MethodType(twin(found), instance)
    if isinstance(found, property):
        return twin(found.fget)(instance) if found.fget else None
    if isinstance(found, functools.cached_property):
        return twin(found.func)(instance)
    if isinstance(found, staticmethod):
        return twin(found.__func__)
    if isinstance(found, classmethod):
        return types.MethodType(twin(found.__func__), type(instance))
    inline = getattr(type(found), "__tracejit_inline__", None)
    if inline is not None:
        return types.MethodType(twin(inline(found)), instance)
    return None


def stand_in(value, cls):
    """Return the stand-in of an instance: an instance of `cls` with the same ``__dict__``, or one that forwards."""
    made = cls.__new__(cls) if isinstance(value, NAMESPACES) else object.__new__(cls)
    if hasattr(value, "__dict__") and not isinstance(value, NAMESPACES) and not _has_slots(type(value)):
        object.__setattr__(made, "__dict__", value.__dict__)
    else:
        object.__setattr__(made, _ORIGINAL, value)
    return made


def _has_slots(cls):
    return any(not name.startswith("__") for base in cls.__mro__ for name in vars(base).get("__slots__", ()))


def is_stand_in(x):
    """Return whether an object is an instance of a stand-in class."""
    return isinstance(type(x), _ClassOfStandIns)


def released(x):
    """Return an object that traced code has made as an instance of the user's own class."""
    if is_stand_in(x):
        object.__setattr__(x, "__class__", original_class(type(x)))
    return x


def original_class(cls):
    """Return the user's class that a stand-in class stands for, or the class itself."""
    own = type.__getattribute__(cls, "__dict__").get(_STATE) if isinstance(cls, _ClassOfStandIns) else None
    return cls if own is None else own[0]


class Super:
    """``super()`` in a twin: what it finds are twins."""

    def __init__(self, cls, instance, twin):
        self._parts = cls, instance, twin

    def __getattribute__(self, name):
        cls, instance, twin = object.__getattribute__(self, "_parts")
        kind = instance if builtins.isinstance(instance, type) else type(instance)
        for base in kind.__mro__[kind.__mro__.index(cls) + 1:]:
            if name in vars(base):
                bound = bind(vars(base)[name], instance, twin)
                if bound is not None:
                    return bound
                break
        return twin(getattr(super(cls, instance), name))


def super_of(twin):
    """Return what the name `super` means in a twin."""
    def super_(*args):
        if not args:
            frame = sys._getframe(1)
            args = frame.f_locals["__class__"], frame.f_locals[frame.f_code.co_varnames[0]]
        return Super(*args, twin)
    return super_
