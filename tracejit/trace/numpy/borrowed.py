"""NumPy's own Python, traced: functions that NumPy writes with others run as they are, their names leading to ours.

The code objects are NumPy's; what they look up is replaced, as in the twins of the user's functions. So results,
keywords, errors and their order are NumPy's by construction.
"""

import functools
import inspect
import os
import types

import numpy as np

from tracejit.trace.builtin import builtins_of
from tracejit.trace.numpy import namespace
from tracejit.trace.numpy.common import SMALL
from tracejit.trace.numpy.refusals import REFUSALS
from tracejit.trace.numpy.registry import FALLBACKS, IMPLEMENTED, implements, name_of
from tracejit.trace.tracer import Tracer

_worlds = {}    # id(globals) → globals of the twins
_classes = {}   # class → its twin
_functions = {}  # function → its twin


def lent(value):
    """Return what a name in NumPy's code means when that code is traced."""
    if isinstance(value, types.ModuleType):
        return Lent(value) if namespace.is_library(value.__name__) else value
    if isinstance(value, types.FunctionType) and _is_numpys(value) and value not in IMPLEMENTED:
        return twin(value)
    if isinstance(value, np.ndarray) and value.size <= SMALL:
        return value.copy()  # a table of NumPy's own
    if isinstance(value, type):
        return _classes.get(value) or borrowed(value) or namespace.CONSTRUCTORS.get(value, value)
    return namespace.meaning(value)


#: Modules of NumPy's whose functions in Python are traced as they are where no chapter has them, but not these.
_OPEN = ("numpy.polynomial.", "numpy.lib.")
_CLOSED = tuple(f"numpy.lib.{name}" for name in (
    "recfunctions", "npyio", "_npyio", "format", "_format", "_iotools", "_datasource", "_utils", "_user_array",
    "introspect", "_stride_tricks", "stride_tricks", "_array_utils", "array_utils"))


def borrowed(value):
    """Return the twin of a function or class of NumPy's that may be traced as it is, or None."""
    module = getattr(value, "__module__", None) or ""
    if isinstance(value, type):
        return twin_class(value) if value is np.poly1d or module.startswith("numpy.polynomial.") else None
    plain = inspect.unwrap(value) if callable(value) else value
    if not isinstance(plain, types.FunctionType) or name_of(value) in REFUSALS:
        return None
    source = plain.__code__.co_filename.replace(os.sep, "/").rpartition("/numpy/")[2].removesuffix(".py")
    module = "numpy." + source.replace("/", ".")
    if not module.startswith(_OPEN) or module.startswith(_CLOSED):
        return None

    @functools.wraps(plain)
    def call(*args, **kwargs):
        if namespace.holds((args, kwargs), (Tracer, np.ndarray)):
            return twin(plain)(*args, **kwargs)
        return namespace.literal(value(*args, **kwargs))
    return call


FALLBACKS.append(borrowed)


def _is_numpys(value):
    return (value.__module__ or "").partition(".")[0] == "numpy"


class Lent(types.ModuleType):
    """A module of NumPy's as its own traced code sees it."""

    def __init__(self, module):
        super().__init__(module.__name__)
        object.__setattr__(self, "_module", module)

    def __getattribute__(self, name):
        value = getattr(object.__getattribute__(self, "_module"), name)
        return value if name.startswith("__") else lent(value)


def twin(function):
    """Return a function of NumPy's whose names lead to traced counterparts."""
    plain = inspect.unwrap(function)
    if not isinstance(plain, types.FunctionType):
        return namespace.meaning(function)
    found = _functions.get(plain)
    if found is not None:
        return found
    real = plain.__globals__
    world = _worlds.get(id(real))
    if world is None:
        world = _worlds[id(real)] = {"__name__": real["__name__"], "__builtins__": builtins_of(real, lent)}
    cells = tuple(types.CellType() for _ in plain.__closure__ or ())
    made = _functions[plain] = types.FunctionType(plain.__code__, world, plain.__name__, plain.__defaults__, cells)
    made.__kwdefaults__, made.__doc__, made.__module__ = plain.__kwdefaults__, plain.__doc__, plain.__module__
    for name in _names(plain.__code__):
        if name in real and name not in world:
            world[name] = lent(real[name])
    for cell, original in zip(cells, plain.__closure__ or ()):
        cell.cell_contents = lent(original.cell_contents)
    return made


def _names(code):
    """Return the names that a code object and those inside it may look up in the globals."""
    names = list(code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            names += _names(inner)
    return names


def twin_class(cls):
    """Return a class of NumPy's whose methods are twins; its instances may hold traced arrays."""
    found = _classes.get(cls)
    if found is not None:
        return found
    bases = tuple(twin_class(b) if _is_numpys(b) else b for b in cls.__bases__)
    fields = {k: v for k, v in vars(cls).items() if k not in ("__dict__", "__weakref__", "__abstractmethods__",
                                                             "_abc_impl")}
    made = _classes[cls] = type(cls)(cls.__name__, bases, fields)
    for name, value in fields.items():
        if isinstance(value, types.FunctionType):
            setattr(made, name, _method(value, made))
        elif isinstance(value, property):
            setattr(made, name, property(*(f and _method(f, made) for f in (value.fget, value.fset, value.fdel))))
        elif isinstance(value, (staticmethod, classmethod)):
            setattr(made, name, type(value)(_method(value.__func__, made)))
    return made


def _method(function, cls):
    made = twin(function)
    for name, cell in zip(function.__code__.co_freevars, made.__closure__ or ()):
        if name == "__class__":
            cell.cell_contents = cls
    return made


def borrow(function, **notes):
    """Register NumPy's own code as the traced meaning of a function."""
    @functools.wraps(inspect.unwrap(function))
    def ours(*args, **kwargs):
        return twin(function)(*args, **kwargs)
    ours.__module__ = __name__.rpartition(".")[0] + "." + notes.pop("chapter")
    return implements(function, **notes)(ours)


#: The functions, by the chapter of the documentation that they belong to.
BORROWED = {
    "polynomials": [np.poly, np.polyadd, np.polysub, np.polydiv, np.polymul, np.polyder, np.polyint],
    "statistics": [np.cov],
    "functional": [np.real_if_close, np.i0],
}
for _chapter, _list in BORROWED.items():
    for _function in _list:
        borrow(_function, chapter=_chapter)
