"""Plain NumPy programs as people write them: each is run as it stands, under `jit`, and under Numba where it can.

A program is a function and ``arguments(size, rng)``; `small` is the size of the tests, `large` that of the benchmarks.
"""

import inspect
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

#: Every program by name.
PROGRAMS = {}


@dataclass(frozen=True)
class Program:
    """One program: its function, how to make arguments, and what it can be compared with."""

    name: str
    function: Callable
    arguments: Callable
    small: int
    large: int
    numba: bool  # whether numba.njit takes the function as it stands
    rtol: float  # of results that rounding may reorder

    def make(self, size):
        """Return fresh arguments of a size; the same ones each time."""
        return self.arguments(size, np.random.default_rng(zlib.crc32(self.name.encode())))

    @property
    def source(self):
        """The function as it was written."""
        return inspect.getsource(self.function)


def program(arguments, *, small, large, numba=True, rtol=1e-9):
    """Register the function below as a program."""
    def register(function):
        name = function.__name__
        assert name not in PROGRAMS, f"two programs are called {name}"
        PROGRAMS[name] = Program(name, function, arguments, small, large, numba, rtol)
        return function
    return register
