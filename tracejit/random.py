"""Random numbers inside and outside jitted functions: NumPy's `Generator` on a Philox whose state is shared with them.

    rng = tracejit.random.default_rng(0)

    @tracejit.jit
    def step(x):
        return x + rng.normal(size=x.shape)    # other numbers at every call

The stream is that of ``numpy.random.Generator(numpy.random.Philox(seed))``, the same inside and outside, whatever the
number of threads: a counter makes the words, so it does not matter who makes them.
"""

import functools

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.trace import generators
from tracejit.trace.random import METHODS
from tracejit.trace.tracer import as_tracer, current_trace

__all__ = ["Generator", "default_rng"]


class Generator(np.random.Generator):
    """NumPy's `Generator` on a Philox, which jitted functions may use.

    Inside a jitted function a draw is part of the graph: it advances the state when the compiled function runs, so each
    call has other numbers, and a call that raises has drawn nothing.

    Parameters
    ----------
    bit_generator : numpy.random.Philox or PCG64
        Holds the state. Two generators on one bit generator draw from one stream.
    """

    def __init__(self, bit_generator):
        super().__init__(bit_generator)
        self._state = generators.state_of(bit_generator)
        if self._state is None:
            raise TypeError(f"a {type(bit_generator).__name__} cannot be drawn from in a compiled function; give a "
                            "numpy.random.Philox")
        if current_trace() is not None:  # a generator of one call: it starts anew with each
            self._state = generators.local_state(bit_generator)

    def __reduce__(self):
        return Generator, (self.bit_generator,)

    def __deepcopy__(self, memo):
        bits = type(self.bit_generator)()
        bits.state = self.bit_generator.state
        return Generator(bits)

    def __str__(self):
        return f"tracejit.random.{super().__str__()}"

    @property
    def bit_generator(self):
        """The numpy.random.Philox that holds the state, which is NumPy's to read and set."""
        _only_outside("the bit generator")
        return super().bit_generator

    def spawn(self, n_children):
        """Return `n_children` generators of streams that do not overlap."""
        _only_outside("spawn")
        return [Generator(type(self.bit_generator)(seed)) for seed in self.bit_generator.seed_seq.spawn(n_children)]


def _only_outside(what):
    if current_trace() is not None:
        raise UnsupportedError(f"{what} of a random generator, in a traced function", where=user_frame(),
                               do="use it outside the jitted function: while tracing it would be looked at once")


def _draws(name):
    plain, inside = getattr(np.random.Generator, name), METHODS.get(name)

    def method(self, *args, **kwargs):
        if current_trace() is None:
            return plain(self, *args, **kwargs)
        if inside is None:
            raise UnsupportedError(f"Generator.{name} in a traced function", where=user_frame(),
                                   do="draw outside the jitted function and pass the numbers in")
        return inside(as_tracer(self._state), *args, **kwargs)
    return functools.wraps(plain)(method)


for _name in dir(np.random.Generator):
    if not _name.startswith("_") and _name not in ("bit_generator", "spawn"):
        setattr(Generator, _name, _draws(_name))


def default_rng(seed=None):
    """Return a `Generator` on a Philox.

    Parameters
    ----------
    seed : None, int, sequence of int, SeedSequence, numpy.random.Philox or Generator, optional
        As NumPy's; None takes entropy from the system. In a jitted function it has to be known while tracing.
    """
    if isinstance(seed, Generator):
        return seed
    if isinstance(seed, np.random.Generator):
        seed = seed.bit_generator
    if isinstance(seed, np.random.BitGenerator):
        return Generator(seed)
    if current_trace() is not None:
        seed = generators.known_seed(seed)
    return Generator(np.random.Philox(seed))
