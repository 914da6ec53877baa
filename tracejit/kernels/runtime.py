"""The pool of threads that compiled programs share: c/runtime.c, compiled once and handed to each program."""

import ctypes
import functools
from pathlib import Path

from tracejit.config import config
from tracejit.kernels import toolchain


def api():
    """Return the address of the `tj_api` for as many threads as the flag `threads` says now."""
    return _api(config.thread_count())


@functools.cache
def _api(threads):
    text = (Path(__file__).parent / "c" / "runtime.c").read_text(encoding="utf-8")
    library = toolchain.library(text)
    library.tj_runtime.restype = ctypes.c_void_p
    return library.tj_runtime()
