"""Special functions: SciPy's own kernels, by address, out of `scipy.special.cython_special`."""

import ctypes
import functools
import importlib
import re

from tracejit.errors import UnsupportedError

_NAME = re.compile(r"special_(\w+)")
_get_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def is_name(text):
    """Say whether a routine's name is that of a special function."""
    return _NAME.fullmatch(text) is not None


@functools.cache
def _found(name):
    """Return (address, number of arguments) of a kernel in double precision."""
    exported = importlib.import_module("scipy.special.cython_special").__pyx_capi__
    for key in (name, *(f"__pyx_fuse_{k}{name}" for k in range(3))):
        capsule = exported.get(key)
        text = _get_name(capsule) if capsule is not None else b""
        kind = re.fullmatch(rb"double \(((?:double, )+)int __pyx_skip_dispatch\)", text)
        if kind:
            return _get_pointer(capsule, text), kind[1].count(b"double")
    raise UnsupportedError(f"this SciPy does not export {name}", do="install a newer SciPy")


def pointer(text):
    """Return the address of a kernel."""
    return _found(_NAME.fullmatch(text)[1])[0]


def prototype(text):
    """Return the C text that declares the type of a kernel; the last argument is 0."""
    return f"typedef double (*tj_{text})({'double, ' * _found(_NAME.fullmatch(text)[1])[1]}int);"


@functools.cache
def function(name):
    """Return a kernel as a ctypes function, which Numba calls by its address."""
    address, count = _found(name)
    return ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * count, ctypes.c_int)(address)
