"""The twin of a user's function: the same code in a world where NumPy's names lead to our namespaces.

A twin has the function's code object, rewritten where branches and loops have to be decided while tracing (`source`;
line numbers stay the user's), with other globals and closure cells: NumPy,
SciPy and math are replaced by their traced meaning, arrays from outside are captures, the user's own functions are
twins in turn. Nothing outside the trace changes.
"""

import dataclasses
import dis
import functools
import sys
import types
import warnings

import numpy as np

from tracejit import tree
from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.types import supported_dtype
from tracejit.trace import objects, prints, sparse
from tracejit.trace.builtin import builtins_of
from tracejit.trace.lists import List, Unread
from tracejit.trace.numpy import namespace
from tracejit.trace.places import Form, Part, Read, place_of
from tracejit.trace.regions import items_of
from tracejit.trace.session import Session, content
from tracejit.trace.source import code_of
from tracejit.trace.tracer import Tracer, as_tracer, current_trace

#: Packages whose functions are never converted: they are replaced, or know nothing of arrays, or are this one.
_KNOWN = frozenset(sys.stdlib_module_names) | {
    "numpy", "scipy", "uarray", "tracejit", "optree", "numba", "cffi", "cupy", "pytest", "_pytest", "hypothesis"}


def _session():
    trace = current_trace()
    return trace.root.session


# ---------------------------------------------------------------- what becomes of an object
def twin(value):
    """Return what a function, or any object that it refers to, means in traced code."""
    state = _session()
    found = state.table.get(id(value))
    if found is not None and found[0] is value:
        if type(value) is np.ndarray:
            current_trace().root.use(value)
        return found[1]
    return state.remember(value, _convert(value, state))


def _convert(value, state):
    if isinstance(value, (Tracer, sparse.SparseTracer)) or objects.is_stand_in(value):
        return value
    kind = type(value)
    if kind is np.ndarray:
        return as_tracer(value) if supported_dtype(value.dtype) is not None else value
    if kind is types.FunctionType:
        return _convert_function(value, state)
    if value is warnings.warn:
        return prints.warn
    if (logger := prints.logger(value)) is not None:
        return logger
    if isinstance(value, types.ModuleType):
        if namespace.is_library(value.__name__):
            return namespace.namespace(value)
        return UserModule(value) if is_users(value.__name__) or value is warnings else value
    if kind is types.MethodType and namespace.is_library(type(value.__self__).__module__):
        return namespace.meaning(value)
    if kind is types.MethodType:
        return types.MethodType(twin(value.__func__), twin(value.__self__))
    if kind is functools.partial:
        keywords = {k: twin(v) for k, v in value.keywords.items()}
        return functools.partial(twin(value.func), *map(twin, value.args), **keywords)
    if kind is types.BuiltinFunctionType and type(value.__self__) is np.ndarray:
        return getattr(twin(value.__self__), value.__name__)
    inline = getattr(kind, "__tracejit_inline__", None)
    if inline is not None:
        return twin(inline(value))
    if kind is staticmethod or kind is classmethod or isinstance(value, (np.generic, str, bytes, int, float, complex)):
        return value
    if hasattr(kind, "__tracejit_array__"):
        return as_tracer(value)
    if kind is functools._lru_cache_wrapper:
        return twin(value.__wrapped__)
    if sparse.is_sparse_class(kind):
        return sparse.from_outside(value, twin, _note)
    if objects.is_container(value):
        if state.decisions.get(("blind", id(value))):
            return _unread(value, state)
        if objects.holds_objects(value, _is_converted) or state.is_looked_up(value):
            return _convert_container(value, state)
    if objects.is_container(value) or kind is set:
        objects.watch(value, _note, state.keep)
        return value
    if isinstance(value, type) and is_users(value.__module__):
        return _class(value, state) if objects.is_plain_class(value) else value
    if is_users(kind.__module__) or kind in objects.NAMESPACES:
        if not objects.is_plain_class(kind):
            if objects.holds_arrays(value):
                raise UnsupportedError(f"a {kind.__name__} that holds arrays, in a traced function", where=user_frame(),
                                       do="pass its arrays as arguments, or keep them in a plain class, dict or list")
            _keep(value, state)
            return value
        made = objects.stand_in(value, _class(kind, state))
        if objects.source_of(made) is None and id(objects.held(made)) not in state.rebuilt:
            state.part(made)
        state.outside.add(id(objects.held(made)))
        return made
    if _is_library_object(value):
        return namespace.meaning(value)
    return value


def _is_converted(value):
    """Return whether something inside a container has to be converted."""
    kinds = (np.ndarray, types.FunctionType, types.MethodType, np.ufunc, types.ModuleType, *objects.NAMESPACES)
    return isinstance(value, kinds) or (
        hasattr(type(value), "__tracejit_array__") or is_users(type(value).__module__) or _is_library_object(value))


def _keep(value, state):
    """Remember an object that traced code sees as it is: what it changes there is changed at each call."""
    if isinstance(value, (list, dict, set)):
        objects.watch(value, _note, state.keep, whole=True)
    if hasattr(value, "__dict__"):
        state.outside.add(id(vars(value)))
        objects.watch(vars(value), _note, state.keep)


def _convert_container(value, state):
    def see(key, item):
        return seen(*state.child(value, key), item)

    if isinstance(value, tuple):  # stays what it is, but for another one that comes to lie at its place
        return objects.convert_container(value, None, see if id(value) in state.nests else lambda _, item: twin(item))
    if id(value) not in state.nests:
        _note("size", value, None, len(value))
    copy = state.remember(value, objects.empty_like(value))  # before its content: a container may hold itself
    objects.convert_container(value, copy, see)
    state.containers.append((value, copy, items_of(copy)))
    state.watch(copy)
    return copy


def _unread(value, state):
    """Return the List for a list from outside that is made longer, and that nobody looks at."""
    copy = state.remember(value, List([Unread(value)], ("outside", id(value))))
    state.containers.append((value, copy, list.copy(copy)))
    state.watch(copy)
    return copy


def _class(cls, state):
    found = state.classes.get(cls)
    if found is None:
        found = state.classes[cls] = objects.stand_in_class(cls, twin, seen, _note, state)
        state.remember(cls, found)
    return found


def dressed(arguments):
    """Return nested arguments in which the dataclasses, rebuilt around traced fields, are seen through stand-ins."""
    def dress(x):
        if is_dataclass(x):
            _session().rebuilt.add(id(x.__dict__))
            x.__dict__.update({name: dressed(value) for name, value in x.__dict__.items()})
            return twin(x)
        return x
    return tree.map(dress, arguments, is_leaf=is_dataclass)


def is_dataclass(x):
    """Return whether `x` is an instance of a dataclass of the user's that can have a stand-in."""
    return dataclasses.is_dataclass(x) and hasattr(x, "__dict__") and objects.is_plain_class(type(x)) and not (
        isinstance(x, type)) and is_users(type(x).__module__)


def _is_library_object(value):
    return isinstance(value, (np.ufunc, type, types.BuiltinFunctionType)) or (
        namespace.is_library(type(value).__module__)) or namespace.is_library(getattr(value, "__module__", None))


def is_users(module):
    """Return whether code of this module is the user's, to be converted when called."""
    return (module or "").partition(".")[0] not in _KNOWN


def _convert_function(function, state):
    if isinstance(function.__globals__.get(_MARK), Session):
        return function  # made inside a twin
    module = function.__globals__.get("__name__", "")
    if not is_users(module):
        return namespace.meaning(function) if namespace.is_library(module) else function
    # the cells are filled after the twin is remembered: a function may refer to itself
    originals = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    cells = {name: _cell(c, state) for name, c in originals.items()}
    world = _world(function, state)
    code = code_of(function)
    made = types.FunctionType(code, world[1], function.__name__, None, tuple(cells[n] for n in code.co_freevars))
    state.remember(function, made)
    _fill_world(function, world)
    for name, original, twin_cell in ((n, originals[n], cells[n]) for n in originals):
        if name == "__class__":
            twin_cell.cell_contents = original.cell_contents  # what super() starts from
        else:
            if name in _names(function.__code__, _CLOSURES) or state.decisions.get(("read", id(original))):
                _fill(original, twin_cell, state)
            if name in _names(function.__code__, _NONLOCALS):
                state.has_cell(twin_cell)
    if function.__defaults__:
        made.__defaults__ = tuple(map(twin, function.__defaults__))
    if function.__kwdefaults__:
        made.__kwdefaults__ = {k: twin(v) for k, v in function.__kwdefaults__.items()}
    made.__qualname__, made.__doc__, made.__module__ = function.__qualname__, function.__doc__, function.__module__
    made.__dict__.update(function.__dict__)
    return made


_MARK = "__tracejit_session__"


def _world(function, state):
    """Return (the globals of a module, those of the twins of its functions, what was put there)."""
    real = function.__globals__
    found = state.worlds.get(id(real))
    if found is None:
        kept = ("__name__", "__file__", "__package__", "__spec__", "__loader__")
        fixed = {k: real[k] for k in kept if k in real}
        fixed["__builtins__"] = builtins_of(real, twin)
        fixed[_MARK] = state
        found = state.worlds[id(real)] = (real, dict(fixed), fixed)
    return found


def _fill_world(function, world):
    """Put the names that a function's code uses into the globals of its twin."""
    real, twins, put = world
    for name in _names(function.__code__):
        if name in real and name not in twins:
            value = real[name]
            put[name] = twins[name] = seen("item", real, name, value)
    _session().may_assign(_names(function.__code__, _ASSIGNMENTS), twins)


def _note(kind, holder, key, value):
    """Remember that the trace relied on what a place outside the function holds."""
    if isinstance(value, (types.ModuleType, Tracer)):
        return
    root = current_trace().root
    if type(value) is np.ndarray:
        root.use(value, noted=True)
    root.reads.setdefault(place_of(kind, holder, key), Read(kind, holder, key, value))


def seen(kind, holder, key, value):
    """Return what traced code sees of a place outside the function, on whose content it relies from now on."""
    state, read = _session(), Read(kind, holder, key, value)
    found = state.number(read)
    if found is not None:
        return found
    if state.is_nest(read):
        return _nested(read, state)
    _note(kind, holder, key, value)
    made = twin(value)
    if made is value and hasattr(type(value), "__next__"):
        return state.remember(value, objects.Iterator(value))
    if objects.is_stand_in(made) and objects.source_of(made) is None:
        current_trace().root.reads[read.place].is_instance = True
    return made


def _nested(read, state):
    """Return what traced code sees of a container or an object of which only the form is always the same."""
    value = read.value
    if id(value) in state.table:
        return state.table[id(value)][1]
    if objects.is_container(value):
        _note("attr", Form(read), "holds", True)
        return state.remember(value, _convert_container(value, state))
    _note("attr", Part(read, "__class__"), "value", type(value))
    _note("attr", Form(state.nests[id(value.__dict__)][1]), "holds", True)
    return twin(value)


_LOOKUPS = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))
_ASSIGNMENTS = frozenset(("STORE_GLOBAL", "DELETE_GLOBAL"))
_NONLOCALS = frozenset(("STORE_DEREF", "DELETE_DEREF"))
_CLOSURES = frozenset(("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF", "DELETE_DEREF"))


@functools.cache
def _names(code, instructions=_LOOKUPS):
    """Return the names that a code object and those inside it look up in the globals, or do something else to."""
    names = dict.fromkeys(i.argval for i in dis.get_instructions(code) if i.opname in instructions)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            names.update(dict.fromkeys(_names(inner, instructions)))
    return tuple(names)


def _cell(cell, state):
    found = state.cells.get(id(cell))
    if found is None:
        found = state.cells[id(cell)] = (cell, types.CellType(), content(types.CellType()))
    return found[1]


def _fill(cell, twin_cell, state):
    nothing = content(types.CellType())
    if content(twin_cell) is nothing and content(cell) is not nothing:
        value = cell.cell_contents
        converted = seen("attr", cell, "cell_contents", value)
        twin_cell.cell_contents = converted
        state.cells[id(cell)] = (cell, twin_cell, converted)


class UserModule(types.ModuleType):
    """A module of the user's as traced code sees it: its functions are twins, its arrays captures."""

    def __init__(self, module):
        super().__init__(module.__name__)
        object.__setattr__(self, "_module", module)

    def __getattribute__(self, name):
        if name in ("_module", "__class__"):
            return object.__getattribute__(self, name)
        module = object.__getattribute__(self, "_module")
        value = getattr(module, name)
        if name.startswith("__"):
            return value
        if _session().has_set(module.__dict__, name):
            return _session().met(value)
        return seen("item", module.__dict__, name, value)

    def __setattr__(self, name, value):
        _session().set_attribute(object.__getattribute__(self, "_module"), name, value)
