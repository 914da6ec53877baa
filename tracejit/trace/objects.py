"""The user's own objects in traced code: attributes that are arrays become captures, methods become twins.

An instance is seen through a stand-in of a subclass of its class that shares its ``__dict__``; a class through that
subclass. Lists, tuples and dicts that hold arrays are seen through copies, and changes to the copies are carried over
at the end.
"""

import builtins
import collections
import enum
import functools
import sys
import types

import numpy as np

_ATOMS = (bool, int, float, complex, str, bytes, type(None), np.generic, np.dtype, range, slice)
#: Special methods that are the class's own business.
_KEPT = frozenset(
    "__new__ __init_subclass__ __class_getitem__ __getattribute__ __getattr__ __setattr__ __delattr__ __del__ "
    "__set_name__ __subclasshook__ __instancecheck__ __subclasscheck__ __reduce__ __reduce_ex__ __dir__ "
    "__getstate__ __setstate__ __sizeof__ __repr__ __str__ __hash__".split())


class Read:
    """A place outside the function on whose content the trace relied.

    Kinds: "item" of a mapping or list, "attr" of an object (a closure's cell is one), "size" of a container.
    """

    __slots__ = ("kind", "holder", "key", "value")

    def __init__(self, kind, holder, key, value):
        self.kind, self.holder, self.key, self.value = kind, holder, key, value

    def holds(self):
        """Return whether the place still holds that very object (or an equal number or string)."""
        try:
            if self.kind == "item":
                now = self.holder[self.key]
            elif self.kind == "size":
                now = len(self.holder)
            else:
                now = getattr(self.holder, self.key)
        except (LookupError, AttributeError, ValueError):
            return False
        if now is self.value:
            return True
        return type(now) is type(self.value) and isinstance(now, _ATOMS) and bool(now == self.value)

    def __repr__(self):
        return f"Read({self.kind} {self.key!r} of a {type(self.holder).__name__})"


#: Containers of more items than this are read once, while the function is traced.
_WATCHED = 1000


def watch(x, note, seen=None):
    """Note what is in a nest of containers that traced code sees as it is."""
    seen = {} if seen is None else seen
    if is_container(x) and id(x) not in seen and len(x) <= _WATCHED:
        seen[id(x)] = x
        if not isinstance(x, tuple):
            note("size", x, None, len(x))
        for key, value in (x.items() if isinstance(x, dict) else enumerate(x)):
            if not isinstance(x, tuple):
                note("item", x, key, value)
            watch(value, note, seen)


def watch_slots(x, note):
    """Note the attributes of an instance that has slots, and no stand-in."""
    for cls in type(x).__mro__:
        for name in vars(cls).get("__slots__", ()):
            if not name.startswith("__") and hasattr(x, name):
                note("attr", x, name, getattr(x, name))


def holds_objects(x, is_object, seen=None):
    """Return whether a nest of containers holds an object for which ``is_object`` is true."""
    if isinstance(x, _ATOMS):
        return False
    if type(x) not in (list, tuple, dict, collections.OrderedDict, collections.defaultdict) and not _is_namedtuple(x):
        return is_object(x)
    seen = set() if seen is None else seen
    if id(x) in seen:
        return False
    seen.add(id(x))
    return any(holds_objects(e, is_object, seen) for e in (x.values() if isinstance(x, dict) else x))


def _is_namedtuple(x):
    return isinstance(x, tuple) and hasattr(type(x), "_fields") and hasattr(type(x), "_make")


def is_container(x):
    """Return whether `x` is a container whose content is converted."""
    return type(x) in (list, tuple, dict, collections.OrderedDict, collections.defaultdict) or _is_namedtuple(x)


def convert_container(x, made, twin, note):
    """Fill `made` (or return a new tuple) with the twins of a container's content; returns it."""
    if isinstance(x, tuple):
        parts = [twin(e) for e in x]
        return type(x)._make(parts) if _is_namedtuple(x) else tuple(parts)
    note("size", x, None, len(x))
    for key, value in (x.items() if isinstance(x, dict) else enumerate(x)):
        note("item", x, key, value)
        converted = twin(value)
        if isinstance(x, dict):
            made[key] = converted
        else:
            made.append(converted)
    return made


def empty_like(x):
    """Return an empty container of the same kind."""
    return collections.defaultdict(x.default_factory) if type(x) is collections.defaultdict else type(x)()


# ---------------------------------------------------------------- instances and classes
_OWN_LAYOUT = (BaseException, enum.Enum, type, types.ModuleType, tuple, str, bytes, int, float, complex, list, dict,
               set, frozenset, np.ndarray, np.generic)


def is_plain_class(cls):
    """Return whether instances of a class can be seen through a stand-in."""
    heap_type = cls.__flags__ & (1 << 9)
    return bool(heap_type and not issubclass(cls, _OWN_LAYOUT) and not hasattr(cls, "__slots__")
                and not hasattr(cls, "__array_ufunc__"))


def stand_in_class(cls, twin, note, set_attribute):
    """Return the subclass of a user's class whose instances give twins of what they hold."""
    def lookup(self, name):
        if name in ("__dict__", "__class__"):
            return object.__getattribute__(self, name)
        found = static_attribute(cls, name)
        bound = bind(found, self, twin)
        if bound is not None:
            return bound
        value = super(stand_in, self).__getattribute__(name)
        held = object.__getattribute__(self, "__dict__")
        if name in held:
            note("item", held, name, held[name])
        elif found is value:
            note("attr", cls, name, value)
        return twin(value)

    meta = type("StandInClass", (_ClassOfStandIns, type(cls)), {})
    def assign(self, name, value):
        found = static_attribute(cls, name)
        if isinstance(found, property) and found.fset:
            twin(found.fset)(self, value)
        elif static_attribute(cls, "__setattr__") is not object.__setattr__:
            twin(static_attribute(cls, "__setattr__"))(self, name, value)
        else:
            set_attribute(self, name, value)

    space = {"__getattribute__": lookup, "__setattr__": assign, "__module__": cls.__module__,
             "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    for base in reversed(cls.__mro__[:-1]):
        for name, value in vars(base).items():
            special = name.startswith("__") and name.endswith("__") and name not in _KEPT
            if special and isinstance(value, types.FunctionType):
                space[name] = _special(value, twin)
    stand_in = meta.__new__(meta, cls.__name__, (cls,), space)
    type.__setattr__(stand_in, "__tracejit_state__", (cls, twin, note))
    return stand_in


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
        original, twin, note = type.__getattribute__(cls, "__tracejit_state__")
        found = static_attribute(original, name)
        if isinstance(found, classmethod):
            return types.MethodType(twin(found.__func__), cls)
        value = type.__getattribute__(cls, name)
        if not isinstance(value, (types.FunctionType, property)):
            note("attr", original, name, value)
        return twin(value)

    def __setattr__(cls, name, value):
        setattr(type.__getattribute__(cls, "__tracejit_state__")[0], name, value)


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
    """Return the stand-in of an instance: an instance of `cls` with the same ``__dict__``."""
    made = object.__new__(cls)
    object.__setattr__(made, "__dict__", value.__dict__)
    return made


def original_class(cls):
    """Return the user's class that a stand-in class stands for, or the class itself."""
    return type.__getattribute__(cls, "__tracejit_state__")[0] if isinstance(cls, _ClassOfStandIns) else cls


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
