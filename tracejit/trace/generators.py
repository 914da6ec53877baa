"""NumPy's random generators in traced code: what stands for them, and where their state is.

The state of a generator from outside is captured in the memory where NumPy keeps it, so that draws inside and outside
go on in one stream.
"""

import ctypes
import functools
import sys
import weakref

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ir import const
from tracejit.symbolic.ops import random as ops
from tracejit.trace.numpy.common import known
from tracejit.trace.random import METHODS
from tracejit.trace.tracer import Tracer, as_tracer, wrap


class State:
    """The state of a bit generator of NumPy's, in its own memory, as compiled functions read and write it."""

    def __init__(self, bits, words):
        self.__dict__["_data"], self._bits = words, bits  # the bit generator owns the memory
        self.dtype, self.shape = words.dtype, words.shape

    def __setattr__(self, name, value):
        if name == "_data":
            self._data[...] = value
        else:
            super().__setattr__(name, value)

    def __tracejit_array__(self, trace):
        """Return the tracer that stands for the state in a trace, which captures it by reference."""
        return Tracer(trace.capture(self._data, key=self))


_states: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
#: Bit generators by name: words that the memory has before the state, those of the state, and the places (in words of
#: the memory) to which pointers among them lead.
_LAYOUTS = {"Philox": (2, 12, {0: 10, 1: 8}), "PCG64": (1, 6, {0: 3})}


def state_of(bits):
    """Return the one State of a bit generator, or None where compiled functions cannot draw from it."""
    if type(bits).__name__ not in _LAYOUTS or not type(bits).__module__.startswith("numpy.random"):
        return None
    address = bits.ctypes.state_address
    found = _states.get(address)
    if found is None:
        first, count, pointers = _LAYOUTS[type(bits).__name__]
        memory = np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_uint64)), (first + count,))
        words = memory[first:]
        known_places = all(int(memory[k]) == address + 8 * place for k, place in pointers.items())
        if not known_places or str(ops.state_of(words)) != str(bits.state):
            return None  # another NumPy keeps it in another way
        found = _states[address] = State(bits, words)
    return found


class Drawing:
    """A generator of NumPy's as traced code sees it."""

    def __init__(self, state):
        self._state = state

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        method = METHODS.get(name)
        if method is None:
            refuse(f"Generator.{name}")
        return functools.partial(method, as_tracer(self._state))


def refuse(what):
    """Raise the error for what a generator cannot do in traced code."""
    raise UnsupportedError(f"{what} in a traced function", where=user_frame(),
                           do="use it outside the jitted function, and pass what it gives in")


def local_state(bits):
    """Return the state of a generator that a traced function makes: each call starts from it."""
    return wrap(const(ops.words_of(bits.state)))


def known_seed(seed):
    """Return the seed of a generator that a traced function makes."""
    if seed is None:
        raise UnsupportedError("default_rng() without a seed in a traced function", where=user_frame(),
                               do="make the generator outside the jitted function, and draw from it inside")
    found = known(seed) if isinstance(seed, Tracer) else seed
    if found is None:
        raise UnsupportedError("default_rng of a traced seed", where=user_frame(),
                               do="make the generator outside the jitted function, or declare the seed as static")
    return found.tolist() if isinstance(found, np.ndarray) else found


def _default_rng(seed=None):
    return seed if isinstance(seed, Drawing) else Drawing(local_state(np.random.PCG64(known_seed(seed))))


def meaning(value):
    """Return what a generator of NumPy's, a method of one, or `default_rng` means in traced code, or None."""
    library = sys.modules.get("numpy.random._generator")
    if library is None:
        return None
    if value is library.default_rng:
        return _default_rng
    owner = value if isinstance(value, library.Generator) else getattr(value, "__self__", None)
    if type(owner) is not library.Generator:
        return None
    state = state_of(owner.bit_generator)
    if state is None:
        return None
    drawing = Drawing(state)
    return drawing if owner is value else getattr(drawing, value.__name__)
