"""Sparse equations: c/sparse.c, compiled once per dtype, and reached by address as BLAS is."""

import ctypes
import functools
import re
import sys
from pathlib import Path

from tracejit.kernels import blas
from tracejit.kernels import compile as compiling

_NAME = re.compile(r"sparse_solve_(f32|f64|c64|c128)")
_PROTOTYPE = ("typedef void (*tj_{name})(int64_t, int64_t, const void *, const void *, const void *, int, int64_t, "
              "const void *, void *, int);")
#: By dtype: the C type, and the function that tells how large a number is.
_KINDS = {"f32": ("float", "fabsf"), "f64": ("double", "fabs"), "c64": ("float _Complex", "cabsf"),
          "c128": ("double _Complex", "cabs")}


def is_name(text):
    """Say whether a routine's name is that of a solver."""
    return _NAME.fullmatch(text) is not None


def prototype(text):
    """Return the C text that declares the type of a solver."""
    return _PROTOTYPE.format(name=text)


def pointer(text):
    """Return the address of a solver."""
    return _solver(_NAME.fullmatch(text)[1])


def source(kind):
    """Return the whole C text of the solver of one dtype."""
    number, magnitude = _KINDS[kind]
    head = f"#define NUMBER {number}\n#define MAGNITUDE {magnitude}\n"
    return head + (Path(__file__).parent / "c" / "sparse.c").read_text(encoding="utf-8")


@functools.cache
def _solver(kind):
    loaded = compiling.load(source(kind))
    table = (ctypes.c_void_p * 1)()
    ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(loaded.address)(table, None)
    return table[0]


blas.PROVIDERS.append(sys.modules[__name__])
