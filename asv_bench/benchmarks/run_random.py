"""Random numbers inside a compiled function, NumPy's own generators beside it."""

import numpy as np

#: What is drawn, from a generator.
DRAWS = {
    "random": lambda g, n: g.random(n),
    "random float32": lambda g, n: g.random(n, dtype=np.float32),
    "normal": lambda g, n: g.normal(0.0, 1.0, n),
    "exponential": lambda g, n: g.exponential(2.0, n),
    "integers": lambda g, n: g.integers(0, 1000, n),
    "gamma": lambda g, n: g.gamma(2.0, 1.0, n),
    "poisson": lambda g, n: g.poisson(5.0, n),
    "permutation": lambda g, n: g.permutation(n),
    "mean of exp(normal)": lambda g, n: np.exp(g.normal(0.0, 1.0, n)).mean(),
}


#: What is drawn by the functions of the module, or a RandomState.
LEGACY = {
    "rand": lambda g, n: g.rand(n),
    "randn": lambda g, n: g.randn(n),
    "normal": lambda g, n: g.normal(0.0, 1.0, n),
    "exponential": lambda g, n: g.exponential(2.0, n),
    "randint": lambda g, n: g.randint(0, 1000, n),
    "gamma": lambda g, n: g.gamma(2.0, 1.0, n),
    "poisson": lambda g, n: g.poisson(5.0, n),
    "permutation": lambda g, n: g.permutation(n),
    "choice": lambda g, n: g.choice(n, n),
}


def area(g, n):
    """Estimate pi by a loop over single draws."""
    hits = 0
    for _ in range(n):
        x = g.random()
        y = g.random()
        if x * x + y * y < 1.0:
            hits += 1
    return 4.0 * hits / n


class Draws:
    """Arrays of random numbers."""

    params = (["tracejit", "numpy"], ["PCG64", "Philox"], list(DRAWS), [10, 10_000, 1_000_000])
    param_names = ("engine", "bits", "draw", "n")

    def setup(self, engine, bits, draw, n):
        generator = np.random.Generator(getattr(np.random, bits)(0))
        self.call = lambda: DRAWS[draw](generator, n)
        if engine == "tracejit":
            import tracejit  # the NumPy column is measured without it

            self.call = tracejit.jit(self.call)
        self.call()

    def time_call(self, engine, bits, draw, n):
        self.call()


class Legacy:
    """Arrays of random numbers of `numpy.random` itself."""

    params = (["tracejit", "numpy"], list(LEGACY), [10, 10_000, 1_000_000])
    param_names = ("engine", "draw", "n")

    def setup(self, engine, draw, n):
        self.call = lambda: LEGACY[draw](np.random, n)
        if engine == "tracejit":
            import tracejit  # the NumPy column is measured without it

            self.call = tracejit.jit(self.call)
        self.call()

    def time_call(self, engine, draw, n):
        self.call()


class Loop:
    """A hundred thousand steps of a loop that draws."""

    params = (["tracejit", "numpy"], ["default_rng", "RandomState"])
    param_names = ("engine", "make")

    def setup(self, engine, make):
        generator = getattr(np.random, make)(0)
        self.call = lambda n: area(generator, n)
        if engine == "tracejit":
            import tracejit  # the NumPy column is measured without it

            self.call = tracejit.jit(self.call)
        self.call(100_000)

    def time_call(self, engine, make):
        self.call(100_000)
