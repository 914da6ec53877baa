"""BLAS and LAPACK: SciPy's own routines, by address, so that there is nothing to link.

`scipy.linalg.cython_blas` and `cython_lapack` export each routine as a capsule that holds its address and whose
name is its C prototype.
"""

import ctypes
import functools
import importlib.machinery
import importlib.util
import os
import re
import sys
from pathlib import Path

from tracejit.errors import UnsupportedError
from tracejit.kernels import pointers, sorts, specials

_KINDS = {"s": "float", "d": "double", "c": "float _Complex", "z": "double _Complex"}
_COMPLEX = {"float_complex": "float _Complex", "double_complex": "double _Complex"}


#: Routines that say and set how many threads OpenBLAS uses; they are missing (address 0) in other libraries.
THREADS = {"blas_get_threads": ("scipy_openblas_get_num_threads", "typedef int (*tj_blas_get_threads)(void);"),
           "blas_set_threads": ("scipy_openblas_set_num_threads", "typedef void (*tj_blas_set_threads)(int);")}

#: Who else has routines: modules (or objects) with ``is_name(name)``, ``pointer(name)`` and ``prototype(name)``.
PROVIDERS = [pointers, sorts, specials]


def pointer(name):
    """Return the address of a routine, such as `"dgemm"`, called as Fortran does: every argument a pointer."""
    if name in THREADS:
        return _symbol(THREADS[name][0])
    for provider in PROVIDERS:
        if provider.is_name(name):
            return provider.pointer(name)
    capsule, text = _capsule(name)
    return _get_pointer(capsule, text)


@functools.cache
def prototype(name):
    """Return the C text `typedef void (*tj_dgemm)(char *, char *, int *, ...);` of a routine.

    Integers have the width that this SciPy was built with; lengths of texts are not passed.
    """
    if name in THREADS:
        return THREADS[name][1]
    for provider in PROVIDERS:
        if provider.is_name(name):
            return provider.prototype(name)
    _, text = _capsule(name)
    text = re.sub(r"__pyx_t_5scipy_6linalg_\d+cython_\w+?_([sdcz])\b", lambda m: _KINDS[m[1]], text.decode())
    text = re.sub(r"__pyx_t_(\w+_complex)\b", lambda m: _COMPLEX[m[1]], text)
    text = re.sub(r"__pyx_t_\w+select\d", "void", text)  # functions that choose eigenvalues, which nobody passes
    result, arguments = text.split(" (", 1)
    return f"typedef {result} (*tj_{name})({arguments};"


def _symbol(*names):
    """Return the address of the first of some symbols that SciPy's BLAS has, with or without SciPy's prefix, or 0."""
    _exports("cython_blas")
    try:
        library = ctypes.CDLL(sys.modules["scipy.linalg.cython_blas"].__file__)
    except (OSError, KeyError, AttributeError):
        return 0
    for name in (*names, *(n.removeprefix("scipy_") for n in names)):
        try:
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        except AttributeError:
            continue
    return 0


def has(name):
    """Say whether there is such a routine."""
    return any(name in _exports(module) for module in ("cython_blas", "cython_lapack"))


def _capsule(name):
    for module in ("cython_blas", "cython_lapack"):
        capsule = _exports(module).get(name)
        if capsule is not None:
            return capsule, _get_name(capsule)
    raise UnsupportedError(f"SciPy has no BLAS or LAPACK routine {name!r}", do="Install a newer SciPy.")


_get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_get_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))


@functools.cache
def _exports(module):
    """Return a module's capsules by name."""
    name = f"scipy.linalg.{module}"
    try:
        found = sys.modules.get(name) or _load_alone(name, module)
    except ImportError:
        found = importlib.import_module(name)
    return found.__pyx_capi__


def _load_alone(name, module):
    """Load one extension module without the rest of `scipy.linalg`: 15 ms in place of 170."""
    if os.name == "nt":
        import scipy  # noqa: F401  (says where its libraries are)
    package = importlib.util.find_spec("scipy")
    if package is None or not package.submodule_search_locations:
        raise ImportError("no SciPy")
    for place in package.submodule_search_locations:
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            file = Path(place, "linalg", module + suffix)
            if file.exists():
                # under its full name, so that a later `import scipy.linalg` takes this very module
                spec = importlib.util.spec_from_file_location(name, file)
                loaded = importlib.util.module_from_spec(spec)
                sys.modules[name] = loaded
                try:
                    spec.loader.exec_module(loaded)
                except BaseException:
                    del sys.modules[name]
                    raise
                return loaded
    raise ImportError(name)
