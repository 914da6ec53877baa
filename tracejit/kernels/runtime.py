"""The pool of threads that compiled programs share: c/runtime.c, compiled once and handed to each program."""

import ctypes
import functools
import math
from pathlib import Path

import numpy as np

from tracejit.config import config
from tracejit.kernels import toolchain
from tracejit.kernels.c.abi import ffi
from tracejit.symbolic.types import I64, Type

_loaded: list = []


def api():
    """Return the address of the `tj_api` for as many threads as the flag `threads` says now."""
    return _api(config.thread_count())


@functools.cache
def _api(threads):
    text = (Path(__file__).parent / "c" / "runtime.c").read_text(encoding="utf-8")
    functions = toolchain.library(text).functions
    _loaded.append(functions)  # cffi unloads what nobody holds
    return functions.tj_runtime()


# ---------------------------------------------------------------- arrays whose size only compiled code knows
def handle_type(kind):
    """Return the Type of the output that stands for an array with dims: the address of its memory, and its sizes."""
    return kind if kind.is_static else Type(I64, (kind.ndim + 1,))


@functools.cache
def _memory():
    """Return the functions `alloc` and `release` of the `tj_api`, behind its three other fields."""
    fields = (ctypes.c_void_p * 5).from_address(int(ffi.cast("intptr_t", api())))
    return (ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(fields[3]),
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(fields[4]))


def taken(handle, dtype):
    """Return the array that a handle leads to, in memory of its own, and release what compiled code allocated."""
    address, *shape = handle.tolist()
    try:
        out = np.empty(shape, dtype)
        ctypes.memmove(out.ctypes.data, address, out.nbytes)
    finally:
        _memory()[1](address)
    return out


def given(array):
    """Return the handle of an array's content, as compiled code gives it."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    address = _memory()[0](math.prod(array.shape) * array.itemsize)
    ctypes.memmove(address, array.ctypes.data, array.nbytes)
    return np.array([address, *array.shape], np.int64)
