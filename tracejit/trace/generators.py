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
from tracejit.symbolic.types import Type
from tracejit.trace import legacy
from tracejit.trace.numpy.common import known
from tracejit.trace.places import Read
from tracejit.trace.random import METHODS, Legacy
from tracejit.trace.tracer import Tracer, as_tracer, current_trace, wrap


class _Memory:
    """What an array over memory of NumPy's has as its base: it holds the owner of the memory."""

    def __init__(self, owner, address, kind):
        self.owner = owner
        self.__array_interface__ = {"version": 3, "data": (address, False), "typestr": kind.dtype.str,
                                    "shape": kind.shape}


_states: weakref.WeakValueDictionary = weakref.WeakValueDictionary()
#: Bit generators by name: the words that the memory has before the state, and the places (in words of the memory) to
#: which pointers among them lead.
_LAYOUTS = {"Philox": (2, {0: 10, 1: 8}), "PCG64": (1, {0: 3}), "PCG64DXSM": (0, {0: 3}), "SFC64": (0, {}),
            "MT19937": (0, {})}


def _array(owner, address, kind):
    """Return the one array over memory at an address, which compiled functions read and write."""
    found = _states.get(address)
    if found is None:
        found = _states[address] = np.asarray(_Memory(owner, address, kind))
    return found


def state_of(bits):
    """Return the array over the state of a bit generator, or None where compiled functions cannot draw from it."""
    name = type(bits).__name__
    if name not in _LAYOUTS or not type(bits).__module__.startswith("numpy.random"):
        return None
    address, (first, pointers) = bits.ctypes.state_address, _LAYOUTS[name]
    start = address + 8 * first
    if start not in _states:
        memory = np.asarray(_Memory(bits, address, Type(ops.U64, (first + 4,))))
        known_places = all(int(memory[k]) == address + 8 * place for k, place in pointers.items())
        words = np.asarray(_Memory(bits, start, ops.STATES[name]))
        if not known_places or str(ops.state_of(words)) != str(bits.state):
            return None  # another NumPy keeps it in another way
    return _array(bits, start, ops.STATES[name])


# ---------------------------------------------------------------- what a RandomState keeps
@functools.cache
def _place_of_kept():
    """Return at which word of a RandomState the normal number lies that it keeps, or None where that is not found.

    NumPy does not tell. It keeps a pointer to its own table of the bit generator's functions, which begins with the
    address of the state, and behind the pointer whether there is a number, and the number.
    """
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    probe, number = np.random.RandomState(0), -0.8264183951
    probe.set_state({**probe.get_state(legacy=False), "has_gauss": 1, "gauss": number})
    words, bits = _object(probe), np.array(number).view(np.uint64)
    for k in range(1, len(words) - 1):
        if words[k + 1] == bits and words[k] & np.uint64(0xFFFFFFFF) == 1 and _points_to_table(probe, words, k - 1):
            return k
    return None


def _object(instance):
    return np.asarray(_Memory(instance, id(instance), Type(ops.U64, (type(instance).__basicsize__ // 8,))))


def _points_to_table(random_state, words, k):
    place, rest = divmod(int(words[k]) - id(random_state), 8)
    inside = not rest and 0 <= place < len(words)
    return inside and int(words[place]) == random_state._bit_generator.ctypes.state_address


def kept_of(random_state):
    """Return the array over the normal number that a RandomState keeps, or None where it is not found."""
    place = _place_of_kept()
    if place is None:
        return None
    words = _object(random_state)
    if not _points_to_table(random_state, words, place - 1):
        return None
    return _array(random_state, id(random_state) + 8 * place, ops.KEPT)


# ---------------------------------------------------------------- what stands for them
class Drawing:
    """A generator of NumPy's as traced code sees it: its state, in memory or traced, and the methods that draw."""

    _methods, _name = METHODS, "Generator"

    def __init__(self, state, owner=None):
        self._state, self._owner = state, owner

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        method = self._methods.get(name)
        if method is None:
            refuse(f"{self._name}.{name}")
        return functools.partial(method, self._traced())

    def _traced(self):
        return as_tracer(self._state)


class LegacyDrawing(Drawing):
    """A RandomState as traced code sees it."""

    _methods, _name = legacy.METHODS, "RandomState"

    def _traced(self):
        if self._owner is not None:  # it may be given another bit generator
            bits = self._owner._bit_generator
            read = Read("attr", self._owner, "_bit_generator", bits)
            current_trace().root.reads.setdefault(read.place, read)
        return Legacy(*map(as_tracer, self._state))


class Bits:
    """A bit generator that a traced function makes."""

    def __init__(self, words):
        self.words = words


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
    if isinstance(seed, Bits):
        return Drawing(seed.words)
    return seed if isinstance(seed, Drawing) else Drawing(local_state(np.random.PCG64(known_seed(seed))))


def _generator(bit_generator):
    if not isinstance(bit_generator, Bits):
        raise TypeError(f"Expected a bit generator made in the same function, not a {type(bit_generator).__name__}")
    return Drawing(bit_generator.words)


def _random_state(seed=None):
    if isinstance(seed, Bits):
        return LegacyDrawing(Legacy(seed.words, legacy.nothing_kept()))
    return LegacyDrawing(legacy.begun(seed))


@functools.cache
def _members():
    """Return for functions and classes of `numpy.random` what tells their meaning in traced code, by id."""
    found = {np.random.default_rng: lambda: _default_rng, np.random.Generator: lambda: _generator,
             np.random.RandomState: lambda: _random_state}
    for name in ops.STATES:
        kind = getattr(np.random, name)
        found[kind] = functools.partial(functools.partial, _bits, kind)
    for name in ("seed", "ranf", "sample"):  # functions of the module, and not methods of its RandomState
        found[getattr(np.random, name)] = functools.partial(_global_method, name)
    return {id(original): (original, tell) for original, tell in found.items()}


def _bits(kind, seed=None):
    return Bits(local_state(kind(known_seed(seed))))


def _global_method(name):
    drawing = _drawing(np.random.mtrand._rand)
    return None if drawing is None else getattr(drawing, name)


def meaning(value):
    """Return what stands in traced code for a generator of NumPy's, a method of one, or what makes one, or None."""
    if "numpy.random.mtrand" not in sys.modules:  # it costs 10 ms at import, which nobody pays who does not draw
        return None
    member = _members().get(id(value))
    if member is not None:
        return member[1]()
    owner = value if isinstance(value, (np.random.Generator, np.random.RandomState)) else (
        getattr(value, "__self__", None))
    drawing = _drawing(owner)
    return drawing if drawing is None or owner is value else getattr(drawing, value.__name__)


def _drawing(owner):
    """Return what stands for a generator from outside, or None where compiled functions cannot draw from it."""
    if type(owner) is np.random.Generator:
        state = state_of(owner.bit_generator)
        return None if state is None else Drawing(state)
    if type(owner) is np.random.RandomState:
        states = state_of(owner._bit_generator), kept_of(owner)
        return None if any(s is None for s in states) else LegacyDrawing(states, owner)
    return None
