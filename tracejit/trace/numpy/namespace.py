"""What NumPy's, SciPy's and math's names mean inside a traced function.

`meaning(value)` gives the traced counterpart of a library object: ufuncs and functions that take traced arguments,
dtype constructors that cast, modules whose attributes are looked up the same way. What a tracer never meets stays
itself.
"""

import builtins
import functools
import importlib
import itertools
import operator
import pkgutil
import random
import types

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ir import const
from tracejit.symbolic.ops.scalar import cast, real
from tracejit.symbolic.types import F64, supported_dtype
from tracejit.trace import generators, settle, sparse
from tracejit.trace import numpy as chapters
from tracejit.trace.floating import ErrorState
from tracejit.trace.numpy.registry import IMPLEMENTED, fallback, name_of
from tracejit.trace.objects import original_class
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.selection import Selection
from tracejit.trace.settle import SIZED
from tracejit.trace.sparse import SparseTracer
from tracejit.trace.tracer import PYTHON_DTYPES, Tracer, as_tracer, wrap
from tracejit.trace.ufunc_methods import METHODS
from tracejit.trace.values import concrete, known

#: Modules whose names are replaced.
LIBRARIES = ("numpy", "scipy", "math", "random", "time")
_SCALARS = (bool, int, float, complex, str, bytes, type(None), np.generic)


@functools.cache
def load_chapters():
    """Import every chapter of this folder, so that its functions are registered."""
    for module in pkgutil.iter_modules(chapters.__path__):
        if module.name != "coverage":  # which prints what the chapters have
            importlib.import_module(f"{chapters.__name__}.{module.name}")


def holds(x, kinds):
    """Return whether an argument is of these classes, or a nest of lists, tuples and dicts that holds one."""
    if isinstance(x, kinds):
        return True
    if isinstance(x, (list, tuple)):
        return any(holds(e, kinds) for e in x)
    return isinstance(x, dict) and any(holds(e, kinds) for e in x.values())


def is_traced(args, kwargs):
    """Return whether a call has a tracer, or a sparse array of some, among its arguments."""
    kinds = Tracer, SparseTracer
    return holds(args, kinds) or holds(tuple(kwargs.values()), kinds)


def _is_plain(x):
    """Return whether `x` is a number, or a nest of numbers, whose value cannot change between calls."""
    if isinstance(x, (list, tuple)):
        return all(map(_is_plain, x))
    return isinstance(x, _SCALARS)


def literal(x):
    """Return a library's result as traced code may use it: arrays have become literals."""
    if type(x) is np.ndarray and supported_dtype(x.dtype) is not None:
        return wrap(const(x))
    if type(x) in (tuple, list):
        return type(x)(map(literal, x))
    return sparse.literal(x) if sparse.is_sparse_class(type(x)) else x


# ---------------------------------------------------------------- ufuncs
class Ufunc:
    """A ufunc that also takes lists of tracers, and arrays from outside by reference."""

    def __init__(self, ufunc):
        self._ufunc = ufunc
        functools.update_wrapper(self, ufunc, updated=())

    def __getattr__(self, name):
        return getattr(self._ufunc, name)

    def _method(self, method, args, kwargs):
        if all(map(_is_plain, args)) and all(map(_is_plain, kwargs.values())):
            target = self._ufunc if method == "__call__" else getattr(self._ufunc, method)
            return literal(target(*args, **kwargs))
        for x in args:
            if isinstance(x, Selection):
                return x.__array_ufunc__(self._ufunc, method, *args, **kwargs)
        return METHODS[method](self._ufunc, *args, **kwargs)

    def __call__(self, *args, **kwargs):
        return self._method("__call__", args, kwargs)

    def __eq__(self, other):
        return self._ufunc is getattr(other, "_ufunc", other)

    def __hash__(self):
        return hash(self._ufunc)

    def __repr__(self):
        return repr(self._ufunc)


for _name in ("reduce", "accumulate", "outer", "at", "reduceat"):
    def _call_method(self, *args, _name=_name, **kwargs):
        return self._method(_name, args, kwargs)
    setattr(Ufunc, _name, _call_method)


# ---------------------------------------------------------------- functions
def _implemented(ours, function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        if args and isinstance(args[0], Selection):
            return args[0].__array_function__(function, (), args, kwargs)
        if function not in SIZED:
            args, kwargs = settle.arguments(name_of(function), args, kwargs)
        return ours(*args, **kwargs)
    return call


def _guarded(function):
    """Return a library function that refuses tracers; on known arguments it runs, and its result is a literal."""
    @functools.wraps(function)
    def call(*args, **kwargs):
        if is_traced(args, kwargs) or (holds(args, np.ndarray) or holds(tuple(kwargs.values()), np.ndarray)):
            known_args = _as_known((args, kwargs))
            if known_args is None:
                raise UnsupportedError(
                    f"{name_of(function)} of a traced array", where=user_frame(),
                    do="call it outside the jitted function and pass the result in, or use supported functions")
            args, kwargs = known_args
        return literal(function(*args, **kwargs))
    return call


def _as_known(x):
    """Return a nest of arguments with tracers of known content as arrays, or None where one is not known."""
    if isinstance(x, Tracer):
        return known(x)
    if isinstance(x, SparseTracer):
        parts = [known(p) for p in x.parts]
        return None if any(p is None for p in parts) else sparse.restored(x.container, x.shape, parts)
    if isinstance(x, np.ndarray):
        return None
    if type(x) in (list, tuple):
        parts = [_as_known(e) for e in x]
        return None if any(p is None and e is not None for p, e in zip(parts, x)) else type(x)(parts)
    if type(x) is dict:
        parts = {k: _as_known(e) for k, e in x.items()}
        return None if any(p is None and x[k] is not None for k, p in parts.items()) else parts
    return x


class Refused:
    """A library object that a traced function may name but not use."""

    def __init__(self, name, do):
        self._name, self._do = name, do

    def _refuse(self, *args, **kwargs):
        raise UnsupportedError(f"{self._name} in a traced function", where=user_frame(), do=self._do)

    __call__ = __getitem__ = _refuse

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Refused(f"{self._name}.{name}", self._do)


_CLOCK_REMEDY = "read the clock outside the jitted function: while tracing it would be read once"
_RANDOM_REMEDY = ("use a generator of tracejit.random.default_rng, which draws anew at every call, or draw outside the "
                  "jitted function and pass the numbers in: a draw made while tracing would be the same at every call")
_FILES = frozenset("load loadtxt genfromtxt fromfile fromregex memmap save savez savez_compressed savetxt".split())
_SETTINGS = frozenset("seterr seterrcall setbufsize".split())
_CLASSES = frozenset("matrix memmap recarray chararray MaskedArray".split())


class Subscripts:
    """np.mgrid, np.ogrid and their like on indices that are known now."""

    def __init__(self, original):
        self._original = original

    def __getitem__(self, index):
        return literal(self._original[_plain_slices(index)])


def _plain_slices(index):
    """Return slices whose bounds, where they are traced, are guarded."""
    if isinstance(index, tuple):
        return tuple(map(_plain_slices, index))
    if isinstance(index, slice):
        return slice(*(concrete(v, "a bound")[()] if isinstance(v, Tracer) else v for v in (
            index.start, index.stop, index.step)))
    return index


# ---------------------------------------------------------------- constructors
class Constructor(type):
    """The class of stand-ins for np.float64, float, int, …: equal to the original, and calls cast tracers."""

    def __call__(cls, *args, **kwargs):
        original = cls.original
        if not is_traced(args, kwargs) and not holds(args, np.ndarray):
            return original(*args, **kwargs)
        return _cast_to(original, *args, **kwargs)

    def __eq__(cls, other):
        return cls is other or cls.original is getattr(other, "original", other)

    def __hash__(cls):
        return hash(cls.original)

    def __instancecheck__(cls, x):
        return is_instance(x, cls.original)

    def __subclasscheck__(cls, other):
        return issubclass(getattr(other, "original", other), cls.original)

    def __repr__(cls):
        return repr(cls.original)


def _cast_to(original, x=0, *rest):
    if holds(x, (Tracer, np.ndarray)) and not isinstance(x, Tracer):
        x = as_tracer(x)
    if original in PYTHON_DTYPES:
        return _python_number(original, x, *rest)
    x = as_tracer(x)
    node = real(x.node) if x.dtype.kind == "c" and not issubclass(original, (np.complexfloating, np.bool_)) else x.node
    out = wrap(cast(node, supported_dtype(original)), scalar=x.ndim == 0)
    return out


def _python_number(original, x, *rest):
    if original is complex and rest:
        y, = map(as_tracer, rest)
        out = apply_ufunc(np.add, x, apply_ufunc(np.multiply, y, 1j))
        return wrap(cast(out.node, PYTHON_DTYPES[complex]), weak=True)
    x = as_tracer(x)
    if x.size != 1 or x.ndim > 0:
        raise TypeError("only 0-dimensional arrays can be converted to Python scalars")
    if x.dtype.kind == "c" and original is not complex:
        raise TypeError(f"{original.__name__}() argument must be a string or a real number, not 'complex'")
    value = known(x)
    if value is not None:
        return original(value[()])
    return wrap(cast(x.node, PYTHON_DTYPES[original]), weak=True)


def _constructor(original):
    fields = {"__module__": original.__module__, "original": original, "dtype": np.dtype(original)}
    base = object if original is np.bool_ else original  # np.bool_ takes no subclasses
    if issubclass(base, np.generic):
        del fields["dtype"]  # a NumPy scalar has one
    return Constructor(original.__name__, (base,), fields)


_NAMES = ("bool_ int8 int16 int32 int64 intc intp longlong uint8 uint16 uint32 uint64 uintc uintp ulonglong float16 "
          "float32 float64 complex64 complex128").split()
#: np.float64 and its kind, float, int and complex → their stand-ins.
CONSTRUCTORS = {t: _constructor(t) for t in (*dict.fromkeys(getattr(np, n) for n in _NAMES), int, float, complex)}


def is_instance(x, kinds):
    """Return ``isinstance(x, kinds)`` where a tracer counts as what it stands for."""
    if isinstance(x, Selection):
        return is_instance(x.whole, kinds)
    if isinstance(x, SparseTracer):
        return builtins.issubclass(x.container, _originals(kinds))
    if not isinstance(x, Tracer):
        return builtins.isinstance(x, _originals(kinds))
    stands_for = x.python_type if x.weak else x.dtype.type if x.scalar else np.ndarray
    return any(k is Tracer or (isinstance(k, type) and issubclass(stands_for, k)) for k in _flat(_originals(kinds)))


def _originals(kinds):
    if isinstance(kinds, tuple):
        return tuple(map(_originals, kinds))
    return kinds.original if isinstance(kinds, Constructor) else original_class(kinds)


def _flat(kinds):
    if isinstance(kinds, tuple):
        return [k for inner in kinds for k in _flat(inner)]
    return list(kinds.__args__) if isinstance(kinds, types.UnionType) else [kinds]


# ---------------------------------------------------------------- math
_MATH_NAMES = {"pow": "power", "fabs": "fabs", "atan": "arctan", "asin": "arcsin", "acos": "arccos", "atan2": "arctan2",
               "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "degrees": "degrees", "radians": "radians"}
_MATH_NAMES.update({n: n for n in (
    "sin cos tan sinh cosh tanh exp exp2 expm1 log2 log10 log1p sqrt cbrt hypot copysign fmod isnan isinf isfinite "
    "nextafter").split()})
_MATH_SPECIAL = {"erf": "erf", "erfc": "erfc", "gamma": "gamma", "lgamma": "gammaln"}


def _math_function(function):
    name = function.__name__

    @functools.wraps(function)
    def call(*args, **kwargs):
        if name in ("fsum", "prod") and args:
            args = (args[0] if isinstance(args[0], Tracer) else list(args[0]), *args[1:])  # a generator, perhaps
        if not is_traced(args, kwargs) and not holds(args, np.ndarray):
            return function(*args, **kwargs)
        if name in _MATH_FOLDS:
            return _MATH_FOLDS[name](*args, **kwargs)
        args = [a if type(a) in PYTHON_DTYPES else as_tracer(a) for a in args]
        return _math(name, *args, **kwargs)
    return call


def _gcd(*args):
    return wrap(functools.reduce(lambda x, y: apply_ufunc(np.gcd, x, y), args).node, weak=True) if len(args) > 1 else (
        abs(*args))


def _fsum(values):
    """Add in pairs, and beside them what each pair rounds away.

    Ogita, Rump and Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26 (2005): as if in twice the precision.
    """
    if not isinstance(values, Tracer) or not values.type.is_static:
        values = np.stack([as_tracer(v) for v in values])
    x, lost = wrap(cast(values.node, F64)), 0.0
    with ErrorState(all="ignore"):  # an inf is no error, and leaves nan beside it
        while len(x) > 1:
            a, b = np.concatenate([x, np.zeros(len(x) % 2)]).reshape(2, -1)
            x = a + b
            back = x - a
            lost = lost + ((a - (x - back)) + (b - back)).sum()
    total = x.sum()
    return _python_number(float, np.where(np.isfinite(total), total + lost, total))


def _hypot(*values):
    if len(values) == 2:
        return _math("hypot", *values)
    return functools.reduce(lambda x, y: _math("hypot", x, y), values, 0.0)


def _dist(p, q):
    p, q = list(p), list(q)
    if len(p) != len(q):
        raise ValueError("both points must have the same number of dimensions")
    return _hypot(*[a - b for a, b in zip(p, q)])


def _product(values, *, start=1):
    return functools.reduce(operator.mul, values, start)


#: Functions of math over several values.
_MATH_FOLDS = {"gcd": _gcd, "fsum": _fsum, "prod": _product, "hypot": _hypot, "dist": _dist}


def _math(name, *args, **kwargs):
    if any(isinstance(a, Tracer) and a.size != 1 for a in args):
        raise TypeError("only 0-dimensional arrays can be converted to Python scalars")
    if name in ("floor", "ceil", "trunc"):
        return getattr(args[0], f"__{name}__")()
    args = [a if not isinstance(a, Tracer) else wrap(cast(a.reshape(()).node, F64), weak=True) for a in args]
    if name == "log" and len(args) == 2:
        out = apply_ufunc(np.divide, apply_ufunc(np.log, args[0]), apply_ufunc(np.log, args[1]))
    elif name == "log" or name in _MATH_NAMES:
        out = apply_ufunc(getattr(np, _MATH_NAMES.get(name, "log")), *args)
    elif name in _MATH_SPECIAL:
        from scipy import special  # only for the ufunc's name; costs 0.1 s at import

        out = apply_ufunc(getattr(special, _MATH_SPECIAL[name]), *args)
    elif name == "isclose":
        out = IMPLEMENTED[np.isclose](*args, kwargs.get("rel_tol", 1e-9), kwargs.get("abs_tol", 0.0))
    else:
        raise UnsupportedError(f"math.{name} of a traced value", where=user_frame(), do="use NumPy's function")
    return wrap(out.node, weak=True)


# ---------------------------------------------------------------- modules
class Namespace(types.ModuleType):
    """A library's module as traced code sees it."""

    def __init__(self, module):
        super().__init__(module.__name__, module.__doc__)
        object.__setattr__(self, "_module", module)

    def __getattribute__(self, name):
        if name in ("_module", "__class__"):
            return object.__getattribute__(self, name)
        module = object.__getattribute__(self, "_module")
        return member(module, name)

    def __dir__(self):
        return dir(object.__getattribute__(self, "_module"))

    def __repr__(self):
        return repr(object.__getattribute__(self, "_module"))


@functools.cache
def namespace(module):
    """Return the Namespace of a library's module."""
    load_chapters()
    return Namespace(module)


def member(module, name):
    """Return what ``module.name`` means in traced code."""
    value = getattr(module, name)
    if name.startswith("__"):
        return value
    drawing = generators.meaning(value)
    if drawing is not None:
        return drawing
    if module.__name__ == "random" or module.__name__.startswith("numpy.random"):
        return Refused(f"{module.__name__}.{name}", _RANDOM_REMEDY) if callable(value) else value
    if module.__name__ == "time":
        return Refused(f"time.{name}", _CLOCK_REMEDY) if callable(value) else value
    if module is np and name in _SETTINGS:
        return Refused(f"numpy.{name}", "use `with np.errstate(...)`, or set it outside the jitted function")
    if module is np and name in _FILES:
        return Refused(f"numpy.{name}", "read and write files outside the jitted function")
    return meaning(value)


def is_library(module_name):
    """Return whether a module is one whose names are replaced."""
    return (module_name or "").partition(".")[0] in LIBRARIES


def meaning(value):
    """Return the traced counterpart of a library object, or the object itself."""
    drawing = generators.meaning(value)
    if drawing is not None:
        return drawing
    try:
        return _meaning(value)
    except TypeError:  # not hashable: no function and no module
        return value


@functools.cache
def _meaning(value):
    if isinstance(value, types.ModuleType):
        return namespace(value) if is_library(value.__name__) else value
    if isinstance(value, np.ufunc):
        return Ufunc(value)
    load_chapters()
    ours = _registered(value)
    if ours is not None:
        return _implemented(ours, value) if callable(value) else ours
    module = getattr(value, "__module__", None)
    if value is np.errstate:
        return ErrorState
    ours = fallback(value) if is_library(module) else None
    if ours is not None:
        return ours
    if isinstance(value, type):
        if value in CONSTRUCTORS:
            return CONSTRUCTORS[value]
        if value.__name__ in _CLASSES and is_library(module):
            return Refused(name_of(value), "call it outside the jitted function")
        return value
    if isinstance(value, np.vectorize):  # made outside
        return IMPLEMENTED[np.vectorize](value.pyfunc, value.otypes, None, value.excluded, value.cache, value.signature)
    if value is np.mgrid or value is np.ogrid:
        return Subscripts(value)
    if value is np.r_ or value is np.c_:
        return Refused("numpy.r_", "use np.concatenate or np.stack")
    if isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
        return Refused(type(value).__name__, _RANDOM_REMEDY)
    owner = getattr(value, "__self__", None)
    if isinstance(owner, (np.random.Generator, np.random.RandomState, random.Random)):
        return Refused(f"{type(owner).__name__}.{value.__name__}", _RANDOM_REMEDY)
    if isinstance(value, types.BuiltinFunctionType) and module == "time":
        return Refused(f"time.{value.__name__}", _CLOCK_REMEDY)
    if isinstance(value, types.BuiltinFunctionType) and module == "math":
        return _math_function(value)
    if callable(value) and is_library(module) and isinstance(
            value, (types.FunctionType, types.BuiltinFunctionType, type(np.sum), type(np.array))):
        return _guarded(value)
    return value


def _registered(value):
    found = IMPLEMENTED.get(value)
    if found is None and getattr(value, "__module__", "") and is_library(value.__module__):
        # functions of SciPy are registered by name, so that nobody imports SciPy for them
        public = itertools.takewhile(lambda part: not part.startswith("_"), value.__module__.split("."))
        found = IMPLEMENTED.get(".".join([*public, getattr(value, "__name__", "")]))
    return found

