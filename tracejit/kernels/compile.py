"""From generated C to a program that can be called."""

import ctypes
import functools
from dataclasses import dataclass

from tracejit.config import config
from tracejit.kernels import blas, runtime, toolchain


@dataclass(frozen=True)
class LoadedProgram:
    """A loaded program, which stays loaded: the address of its `tj_entry`, and the file it came from."""

    address: int
    path: str


def load(source, routines=()):
    """Compile and load C text that exports `tj_bind` and `tj_entry`; the prelude is put in front of it.

    Parameters
    ----------
    source : str
        The text, without the prelude.
    routines : tuple of str
        Names of BLAS and LAPACK routines, whose addresses `tj_bind` gets in this order.

    Raises
    ------
    CompileError
        If there is no compiler, or it fails, or its result cannot be loaded.
    """
    return _load(source, tuple(routines), config.key())


@functools.lru_cache(4096)
def _load(source, routines, flags):
    library = toolchain.library(source, *routines)
    library.tj_bind.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.tj_bind.restype = None
    library.tj_bind(runtime.api(), ctypes.addressof(_table(routines)))
    address = ctypes.cast(library.tj_entry, ctypes.c_void_p).value
    return LoadedProgram(address, library._name)


@functools.cache
def _table(routines):
    """Return the array of addresses; libraries are never unloaded, and so it lives as long as they do."""
    return (ctypes.c_void_p * max(1, len(routines)))(*map(blas.pointer, routines))
