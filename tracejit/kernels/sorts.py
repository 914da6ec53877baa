"""Sorting: NumPy's own functions, by address: those that use the processor's vector units.

NumPy's C API gives the functions of a dtype as a table, whose layout is part of NumPy 2's binary interface.
"""

import ctypes
import functools
import re

import numpy as np

#: Place of `PyDataType_GetArrFuncs` in the C API, and of the first functions for sorting in the table of a dtype.
_GET_TABLE, _SORT, _ARGSORT = 365, 33, 36

_PROTOTYPES = {"sort": "typedef int (*tj_{name})(void *, int64_t, void *);",
               "argsort": "typedef int (*tj_{name})(void *, int64_t *, int64_t, void *);"}
_NAME = re.compile(r"npy_(sort|argsort)_(\w+)")


def name(what, dtype):
    """Return the name of NumPy's unstable ("quicksort") function that does `what`, "sort" or "argsort", or None.

    None says that this NumPy does not give its functions away, so that sorting takes code of our own.
    """
    found = f"npy_{what}_{dtype.name}"
    return found if pointer(found) else None


def is_name(text):
    """Say whether a routine's name is one of those here."""
    return _NAME.fullmatch(text) is not None


def prototype(text):
    """Return the C text that declares the type of a function."""
    return _PROTOTYPES[_NAME.fullmatch(text)[1]].format(name=text)


@functools.cache
def pointer(text):
    """Return the address of a function, or 0."""
    what, dtype = _NAME.fullmatch(text).groups()
    if not np.__version__.startswith("2.") or np.dtype(np.intp).itemsize != 8:
        return 0
    try:
        get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(_api()[_GET_TABLE])
    except (AttributeError, TypeError, ValueError):
        return 0
    table = ctypes.cast(get(np.dtype(dtype)), ctypes.POINTER(ctypes.c_void_p))
    return table[_SORT if what == "sort" else _ARGSORT] or 0


def _api():
    """Return the table of NumPy's C API."""
    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
        ("PyCapsule_GetPointer", ctypes.pythonapi)
    )
    return ctypes.cast(get(np._core._multiarray_umath._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
