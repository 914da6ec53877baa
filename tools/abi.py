"""Write tracejit/kernels/c/abi.py: what compiled libraries export, as cffi reads it without parsing anything.

    python tools/abi.py

cffi's out-of-line ABI mode: the declarations are parsed here, once, and not in each process that loads a library.
"""

import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "tracejit" / "kernels" / "c" / "abi.py"
DECLARATIONS = """
    int64_t tj_entry(void **bufs, int64_t *err);
    void tj_bind(const void *api, void *const *routines);
    const void *tj_runtime(void);
"""


def text():
    """Return the module's source."""
    from cffi import FFI  # parsing is needed here only

    ffi = FFI()
    ffi.cdef(DECLARATIONS)
    ffi.set_source("abi", None)
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    ffi.emit_python_code(str(path))
    lines = path.read_text(encoding="utf-8").splitlines()
    head = ['"""What compiled libraries export; written by tools/abi.py."""']
    path.write_text("\n".join(head + [x for x in lines if not x.startswith("# auto")]) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    text()
