"""From generated C to a program that can be called."""

import functools
from dataclasses import dataclass

from tracejit.config import config
from tracejit.errors import CompileError
from tracejit.kernels import blas, runtime, toolchain
from tracejit.kernels.c.abi import ffi

_loaded: list = []


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
    functions, path = toolchain.library(source, *routines)
    try:
        functions.tj_bind(runtime.api(), _table(routines))
        address = int(ffi.cast("intptr_t", ffi.addressof(functions, "tj_entry")))
    except ffi.error as error:
        raise CompileError(f"compiled code lacks an entry point: {error}", do="export tj_bind and tj_entry") from error
    _loaded.append(functions)  # cffi unloads what nobody holds
    return LoadedProgram(address, path)


@functools.cache
def _table(routines):
    """Return the array of addresses; libraries are never unloaded, and so it lives as long as they do."""
    return ffi.new("void *[]", [ffi.cast("void *", blas.pointer(name)) for name in routines] or 1)
