"""Executables written by hand, for the tests of what is below the compiler's own."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from tracejit.kernels import compile as c

BIND = "static const tj_api *api;\nTJ_EXPORT void tj_bind(const tj_api *a, void *const *r) { (void)r; api = a; }\n"


def type_(dtype, *shape):
    """Return what stands for a Type: dtype and shape."""
    return SimpleNamespace(dtype=np.dtype(dtype), shape=shape)


@dataclass
class Program:
    """An executable as the dispatcher sees it."""

    address: int
    in_types: tuple
    out_types: tuple
    arena_bytes: int = 0
    long: bool = False
    errors: tuple = ()
    call: object = None
    source: str = field(default="", repr=False)


def program(body, in_types, out_types, *, globals="", **options):
    """Compile `body`, the inside of tj_entry over `bufs` and `err`, which may return an error."""
    source = f"{BIND}{globals}\nTJ_EXPORT int64_t tj_entry(void **bufs, int64_t *err) {{\n{body}\nreturn 0;\n}}\n"
    return Program(c.load(source).address, tuple(in_types), tuple(out_types), source=source, **options)


def added(n, dtype="double"):
    """Return the program of x + y over n numbers."""
    numpy_name = {"double": "f8", "float": "f4", "int64_t": "i8"}[dtype]
    body = f"""
      const {dtype} *x = bufs[0], *y = bufs[1];
      {dtype} *z = bufs[2];
      for (int i = 0; i < {n}; i++) z[i] = x[i] + y[i];"""
    t = type_(numpy_name, n)
    return program(body, (t, t), (t,))


def array(dtype, *shape):
    """Return an array's spec."""
    return ("array", np.dtype(dtype), shape)
