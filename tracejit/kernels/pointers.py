"""Functions of the user's that compiled code reaches by their address, under names that are all that sources hold."""

import ctypes
import re

import numpy as np

from tracejit.symbolic.ops import host

_NAME = re.compile(r"(user|host)_\w+")
_C_TYPES = {"f8": "double", "f4": "float", "i8": "int64_t", "i4": "int32_t", "i2": "int16_t", "i1": "int8_t",
            "u8": "uint64_t", "u4": "uint32_t", "u2": "uint16_t", "u1": "uint8_t", "b1": "_Bool"}
_found: dict = {}

capsule_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi))


class Pointer:
    """The address of a C function, the C text that declares its type, and what has to live as long as it does."""

    __slots__ = ("address", "prototype", "keep")

    def __init__(self, address, prototype, keep):
        self.address, self.prototype, self.keep = address, prototype, keep


def is_name(text):
    """Say whether a routine's name is that of such a function."""
    return text in _found and _NAME.fullmatch(text) is not None


def pointer(text):
    """Return its address."""
    return _found[text].address


def prototype(text):
    """Return the C text that declares its type."""
    return _found[text].prototype


def function(text):
    """Return it as a ctypes function, which Numba calls by its address."""
    return _found[text].keep[0]


def c_type(dtype):
    """Return the C name of a dtype; None where C has none for it."""
    return _C_TYPES.get(np.dtype(dtype).str[1:])


def add_scalar(text, address, arguments, result, keep=None):
    """Let a routine's name stand for a C function of numbers."""
    types = [np.ctypeslib.as_ctypes_type(d) for d in (result, *arguments)]
    made = ctypes.CFUNCTYPE(*types)(address)
    declared = f"typedef {c_type(result)} (*tj_{text})({', '.join(map(c_type, arguments)) or 'void'});"
    _found[text] = Pointer(address, declared, (made, keep))
    return made


def add_callback(text, node):
    """Let a routine's name stand for the call of a Python function, with the operands and results of this node.

    The C function takes the addresses of all, and returns whether Python has raised; it takes the interpreter's lock
    for itself, whatever the thread that calls it holds.
    """
    if text in _found:
        return
    attrs, kinds, results = node.attrs, [a.type for a in node.args], node.type

    def run(places):
        try:
            arrays = [_array(places[k], kind).copy() for k, kind in enumerate(kinds)]  # a function may keep them
            for k, value in enumerate(host.call(*attrs, *arrays), len(kinds)):
                np.copyto(_array(places[k], results[k - len(kinds)]), value)
        except BaseException as error:  # through compiled code, to whoever called it
            host.Raised.hold(error)
            return 1
        return 0

    made = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_void_p))(run)
    _found[text] = Pointer(ctypes.cast(made, ctypes.c_void_p).value, f"typedef int (*tj_{text})(void **);", (made, run))


def _array(place, kind):
    if not kind.size:
        return np.empty(kind.shape, kind.dtype)
    memory = (ctypes.c_char * (kind.size * kind.dtype.itemsize)).from_address(place)
    return np.frombuffer(memory, kind.dtype).reshape(kind.shape)
