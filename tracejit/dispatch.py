"""The hot path: the compiled dispatcher if it was built, else its twin in Python; and what signatures look like.

A *spec* says what one argument must look like; specs nest as arguments do:

    ("array", dtype, shape)      exactly an ndarray of that dtype and shape, whatever its strides: an input
    ("array", dtype, shape, "C") only in C order, aligned and native, because the function looks at that
    ("array", dtype, shape, "F") only in Fortran order, likewise: an input of the reversed shape
    ("array", dtype, shape, strides) only with these strides, in elements, likewise: the input is the memory from the
                                 first to the last element, as a vector
    ("scalar", type, dtype)      exactly that Python or NumPy scalar type, converted to dtype: an input
    ("static", value)            of the same type and equal
    ("tuple", specs), ("list", specs), ("dict", keys, specs)    exactly these containers
    ("tree", type, structure, specs)    another container that `tree.flatten` takes apart
    ("same", k)                  the very array that the k-th input is

An array that is given twice matches only a spec that says so. A large array in Fortran order matches only "F", one
with strides of its own only those; smaller ones, and those that no such spec describes, are copied.
"""

import importlib
from typing import Any

import numpy as np

from tracejit import dispatch_python, events, tree
from tracejit.config import STATE, config
from tracejit.errors import UnsupportedError, user_frame
from tracejit.matching import is_fortran, strides_of
from tracejit.symbolic.types import supported_dtype

compiled: Any
try:
    compiled = importlib.import_module("tracejit._dispatch")
except ImportError:  # not built, which is slower and nothing else
    compiled = None

chosen = compiled or dispatch_python

Dispatcher: Any = chosen.Dispatcher
Entry = chosen.Entry
MISS = chosen.MISS
current_key = chosen.current_key
#: Whether entries take outputs ``("sized", k, dtype)``: arrays whose address and sizes the compiled code tells.
SIZED = bool(getattr(chosen, "SIZED", False))

_SCALARS = {bool: np.dtype(bool), int: np.dtype(np.int64), float: np.dtype(float), complex: np.dtype(complex)}


def pool_info():
    """Return the recycling pool's `limit` and `bytes` and `blocks` kept, and its `hits` and `misses`."""
    current_key()  # so that the flags have been read
    return chosen.pool_info()


def pool_clear():
    """Give the recycling pool's memory back to the system."""
    chosen.pool_clear()


def signature(args, kwargs, static=()):
    """Describe a call.

    Parameters
    ----------
    args : tuple
    kwargs : dict
    static : container of int and str
        Positions and names of arguments that are static whatever they are.

    Returns
    -------
    kwnames : tuple of str
    specs : tuple
        One per argument, positional ones first.
    leaves : list
        The inputs: arrays and scalars, in order.

    Raises
    ------
    UnsupportedError
        For what holds an array and is none (a subclass of ndarray, an object with `__array__`), and for a dtype that
        graphs do not hold.
    """
    leaves, seen = [], {}
    given = [*enumerate(args), *kwargs.items()]
    specs = tuple(("static", x) if name in static else _spec(x, leaves, seen) for name, x in given)
    return tuple(kwargs), specs, leaves


def _spec(x, leaves, seen):
    kind = type(x)
    if kind is np.ndarray:
        if id(x) in seen:
            return ("same", seen[id(x)])
        _require_dtype(x)
        seen[id(x)] = len(leaves)
        leaves.append(x)
        order = "F" if is_fortran(x) else strides_of(x)
        return ("array", x.dtype.newbyteorder("="), x.shape, *(() if order is None else (order,)))
    if kind in _SCALARS:
        if kind is int and not -(2**63) <= x < 2**63:
            return ("static", x)
        leaves.append(x)
        return ("scalar", kind, _SCALARS[kind])
    if issubclass(kind, np.generic) and x.dtype.kind in "biufc":
        _require_dtype(x)
        leaves.append(x)
        return ("scalar", kind, x.dtype)
    if kind is tuple or kind is list:
        return (kind.__name__, [_spec(item, leaves, seen) for item in x])
    if kind is dict:
        return ("dict", tuple(x), [_spec(item, leaves, seen) for item in x.values()])
    return _other(x, leaves, seen)


def _require_dtype(x):
    if supported_dtype(x.dtype) is None:
        raise UnsupportedError(
            f"an argument of dtype {x.dtype}",
            where=user_frame(),
            do="Convert it to a bool, integer, float or complex dtype of at most 64 bits (128 if complex).",
        )


def _other(x, leaves, seen):
    """Describe an uncommon argument: a container of another type, or something static."""
    if x is None or isinstance(x, (str, bytes, type)) or callable(x):
        return ("static", x)
    items, structure = tree.flatten(x)
    if len(items) != 1 or items[0] is not x:
        return ("tree", type(x), structure, [_spec(item, leaves, seen) for item in items])
    holds_an_array = any(hasattr(type(x), name) for name in ("__array__", "__array_interface__"))
    if holds_an_array and not type(x).__module__.startswith("tracejit."):
        raise UnsupportedError(
            f"an argument of type {type(x).__name__}",
            where=user_frame(),
            do="Pass np.asarray(...) of it.",
        )
    return ("static", x)


def _start():
    """Follow the flags; at the first call rather than at import, because the flags are read now."""
    config.watch(_changed)


def _changed(key):
    compiled.set_key(key)
    compiled.set_pool(config.pool)


if compiled is not None:
    # the place where NumPy keeps its error state is not public: where it is not found, NumPy is asked each time
    _errors = getattr(getattr(getattr(np, "_core", None), "umath", None), "_extobj_contextvar", None)
    compiled.connect(STATE, _start, tree.flatten, _errors, events.state)
