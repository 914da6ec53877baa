"""The processor's floating-point flags, by the C library's functions; the compiled dispatcher reads them itself.

A set of flags is an int: 1 invalid, 2 division by zero, 4 overflow, 8 underflow.
"""

import ctypes
import platform
import sys

#: Flags without underflow, which NumPy ignores and much code raises; one of these may stand for another.
LOUD = 0b0111

#: Beside the flags: the call has something to tell whatever it has raised.
STANDING = 0b10000
#: Beside the modes of an error state: more than a warning may come of an event.
STRICT = 0b100000

#: The C library's numbers for the four: of Microsoft's, of other ones for Intel's processors, and for ARM's.
_NUMBERS = ((0x10, 0x08, 0x04, 0x02) if sys.platform == "win32" else
            (1, 4, 8, 16) if platform.machine().lower() in ("x86_64", "amd64", "i386", "i686") else (1, 2, 4, 8))
_ALL = sum(_NUMBERS)


def _library():
    try:
        found = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
        return found.fetestexcept, found.feclearexcept
    except (OSError, AttributeError):
        pass
    try:
        found = ctypes.CDLL("libm.so.6")
        return found.fetestexcept, found.feclearexcept
    except (OSError, AttributeError):
        return (lambda flags: 0), (lambda flags: 0)


_test, _clear = _library()


def forget():
    """Clear the flags of this thread."""
    _clear(_ALL)


def raised():
    """Return the flags that are set in this thread."""
    found = _test(_ALL)
    return sum(1 << k for k, number in enumerate(_NUMBERS) if found & number)


def is_noticed(flags, wanted):
    """Return whether somebody wants to know of one of these flags."""
    return bool(flags & wanted or flags & LOUD and wanted & LOUD)
