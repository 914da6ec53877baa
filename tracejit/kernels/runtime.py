"""The pool of threads that compiled programs share: c/runtime.c, compiled once and handed to each program."""

import functools
from pathlib import Path

from tracejit.config import config
from tracejit.kernels import toolchain

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
