"""`numpy.random.rand` and its like, and `RandomState`: NumPy's bits and NumPy's state, inside and outside."""

import ctypes
import threading

import numpy as np
import pytest

from tracejit import config, grad, jit, jvp, value_and_grad
from tracejit.errors import NotDifferentiableError, UnsupportedError
from tracejit.kernels import randoms
from tracejit.symbolic.ops import random as ops
from tracejit.trace import generators, legacy

A3, P4 = np.array([0.5, 2.0, 30.0]), np.array([0.1, 0.2, 0.3, 0.4])
MATRIX = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 3.0]])


def pair(seed=0, make=np.random.RandomState):
    """Return two generators of the same seed."""
    return make(seed), make(seed)


def same(got, want):
    """Assert equality of values, types and dtypes, of nests."""
    if isinstance(want, (tuple, list)):
        assert type(got) is type(want) and len(got) == len(want)
        for g, w in zip(got, want):
            same(g, w)
        return
    assert type(got) is type(want)
    assert getattr(got, "dtype", None) == getattr(want, "dtype", None)
    np.testing.assert_array_equal(got, want)


def flat(state):
    return [v.tolist() if isinstance(v, np.ndarray) else v for part in state.values()
            for v in (part.values() if isinstance(part, dict) else [part])]


def same_state(ours, theirs):
    """Assert that two generators stand at the same place of the same stream, and keep the same normal number."""
    assert flat(ours.get_state(legacy=False)) == flat(theirs.get_state(legacy=False))


def shuffled(g, x):
    """Shuffle a copy in place."""
    y = x.copy()
    g.shuffle(y)
    return y


#: Method → calls of it: functions of the RandomState.
CALLS = {
    "rand": [lambda g: g.rand(), lambda g: g.rand(7), lambda g: g.rand(3, 5), lambda g: g.rand(0)],
    "randn": [lambda g: g.randn(), lambda g: g.randn(7), lambda g: g.randn(3, 4), lambda g: g.randn(0)],
    "random": [lambda g: g.random(), lambda g: g.random(5), lambda g: g.random((2, 3)), lambda g: g.random(size=())],
    "random_sample": [lambda g: g.random_sample(), lambda g: g.random_sample((2, 3)), lambda g: g.random_sample(2001)],
    "standard_normal": [lambda g: g.standard_normal(), lambda g: g.standard_normal((3, 3)),
                        lambda g: g.standard_normal(1), lambda g: g.standard_normal(9999)],
    "normal": [lambda g: g.normal(), lambda g: g.normal(1.0, 2.0, 5), lambda g: g.normal(A3, A3[:, None]),
               lambda g: g.normal(loc=A3, size=(2, 3)), lambda g: g.normal(np.nan, 0), lambda g: g.normal(size=())],
    "standard_exponential": [lambda g: g.standard_exponential(), lambda g: g.standard_exponential((2, 3))],
    "exponential": [lambda g: g.exponential(), lambda g: g.exponential(3.0, 10001), lambda g: g.exponential(A3)],
    "standard_gamma": [lambda g: g.standard_gamma(0.3), lambda g: g.standard_gamma(A3),
                       lambda g: g.standard_gamma(1.0), lambda g: g.standard_gamma(0.0, 3),
                       lambda g: g.standard_gamma(1.5, 300), lambda g: g.standard_gamma(0.7, 300)],
    "gamma": [lambda g: g.gamma(0.7), lambda g: g.gamma(2.0, 3.0, 41), lambda g: g.gamma(A3, A3)],
    "uniform": [lambda g: g.uniform(), lambda g: g.uniform(-2, 5, 8), lambda g: g.uniform(A3, 50, (4, 3)),
                lambda g: g.uniform(2, 1)],
    "beta": [lambda g: g.beta(0.5, 0.5, 40), lambda g: g.beta(2, 3, 50), lambda g: g.beta(A3, 0.7),
             lambda g: g.beta(1e-3, 1e-3, 50)],
    "chisquare": [lambda g: g.chisquare(3), lambda g: g.chisquare(A3, (5, 3))],
    "noncentral_chisquare": [lambda g: g.noncentral_chisquare(3, 1.5, 31), lambda g: g.noncentral_chisquare(0.5, A3),
                             lambda g: g.noncentral_chisquare(2, 0.0), lambda g: g.noncentral_chisquare(0.5, np.nan)],
    "f": [lambda g: g.f(3, 4), lambda g: g.f(A3, 4.0), lambda g: g.f(1.5, 2.5, 40)],
    "noncentral_f": [lambda g: g.noncentral_f(3, 4, 1.5, 31), lambda g: g.noncentral_f(A3, 4, 1.5)],
    "standard_t": [lambda g: g.standard_t(3, 31), lambda g: g.standard_t(A3)],
    "standard_cauchy": [lambda g: g.standard_cauchy(), lambda g: g.standard_cauchy(31)],
    "vonmises": [lambda g: g.vonmises(0.5, 4.0, 50), lambda g: g.vonmises(0.5, 0.0), lambda g: g.vonmises(A3, A3),
                 lambda g: g.vonmises(0, 5e-6, 5), lambda g: g.vonmises(1, 2e6, 9), lambda g: g.vonmises(0, np.nan)],
    "pareto": [lambda g: g.pareto(3.0), lambda g: g.pareto(A3)],
    "weibull": [lambda g: g.weibull(3.0, 9), lambda g: g.weibull(0.0, 2), lambda g: g.weibull(A3)],
    "power": [lambda g: g.power(3.0, 9), lambda g: g.power(A3)],
    "laplace": [lambda g: g.laplace(), lambda g: g.laplace(1.0, 2.0, 50), lambda g: g.laplace(A3, A3)],
    "gumbel": [lambda g: g.gumbel(), lambda g: g.gumbel(1.0, 2.0, 50), lambda g: g.gumbel(A3, A3)],
    "logistic": [lambda g: g.logistic(), lambda g: g.logistic(1.0, 2.0, 50), lambda g: g.logistic(A3, A3)],
    "lognormal": [lambda g: g.lognormal(), lambda g: g.lognormal(1.0, 0.5, 51), lambda g: g.lognormal(A3, 0.1)],
    "rayleigh": [lambda g: g.rayleigh(), lambda g: g.rayleigh(A3), lambda g: g.rayleigh(2.0, 9)],
    "wald": [lambda g: g.wald(1.0, 2.0, 31), lambda g: g.wald(A3, 2.0)],
    "triangular": [lambda g: g.triangular(0, 1, 3), lambda g: g.triangular(-1, 0.0, A3, (4, 3))],
    "poisson": [lambda g: g.poisson(), lambda g: g.poisson(5.0, 40), lambda g: g.poisson(A3), lambda g: g.poisson(0),
                lambda g: g.poisson(1e6, 5)],
    "binomial": [lambda g: g.binomial(10, 0.3), lambda g: g.binomial(1000, 0.4, 50), lambda g: g.binomial(0, 0.5),
                 lambda g: g.binomial(1000, 0.7, 50), lambda g: g.binomial(np.array([0, 5, 400]), 0.7),
                 lambda g: g.binomial([3, 9], [[0.0], [0.9]]), lambda g: g.binomial(9, 0.0, 3)],
    "negative_binomial": [lambda g: g.negative_binomial(5, 0.3, 31), lambda g: g.negative_binomial(2.5, P4)],
    "geometric": [lambda g: g.geometric(0.5), lambda g: g.geometric(0.01, 40), lambda g: g.geometric(P4)],
    "zipf": [lambda g: g.zipf(2.0), lambda g: g.zipf(1.5, 40), lambda g: g.zipf(A3 + 1)],
    "logseries": [lambda g: g.logseries(0.5), lambda g: g.logseries(P4), lambda g: g.logseries(0.97, 40)],
    "hypergeometric": [lambda g: g.hypergeometric(20, 30, 15), lambda g: g.hypergeometric(200, 300, 150, 40),
                       lambda g: g.hypergeometric([5, 8], 7, 4), lambda g: g.hypergeometric(30, 20, 45, 20),
                       lambda g: g.hypergeometric(9, 5, 8, 20)],
    "randint": [lambda g: g.randint(10), lambda g: g.randint(3, 9, 20), lambda g: g.randint(2**40, size=9),
                lambda g: g.randint(0, 2**32, 5), lambda g: g.randint(-2**63, 2**63 - 1, 30),
                lambda g: g.randint(5, 6, 4), lambda g: g.randint(0, 2**64, 9, dtype=np.uint64),
                lambda g: g.randint(5, size=0), lambda g: g.randint([1, 5, 10]),
                lambda g: g.randint([1, 5], [[10], [20]], dtype=np.uint8), lambda g: g.randint(2, dtype=bool),
                *[lambda g, t=t: g.randint(0, 100, 33, dtype=t) for t in "bhilBHIL"],
                *[lambda g, t=t: g.randint(0, [3, 100, 90], (5, 3), dtype=t) for t in "bhilBHIL"],
                *[lambda g, t=t: g.randint(np.iinfo(t).min, int(np.iinfo(t).max) + 1, 9, dtype=t) for t in "bhiBHI"],
                lambda g: g.randint(3, dtype=np.int32), lambda g: g.randint(0, 2, 70, dtype=bool),
                lambda g: g.randint(0, [1, 2], (35, 2), dtype=bool), lambda g: g.randint(0, 1000, 3000)],
    "random_integers": [lambda g: g.random_integers(5), lambda g: g.random_integers(2, 9, 4)],
    "tomaxint": [lambda g: g.tomaxint(), lambda g: g.tomaxint((2, 3))],
    "choice": [lambda g: g.choice(10), lambda g: g.choice(10, 5), lambda g: g.choice(A3),
               lambda g: g.choice(A3, (2, 3)),
               lambda g: g.choice(10, 5, replace=False), lambda g: g.choice(4, 9, p=P4), lambda g: g.choice(4, p=P4),
               lambda g: g.choice(4, 3, False, P4), lambda g: g.choice(A3, ()), lambda g: g.choice(5, ()),
               lambda g: g.choice(A3, 2, False, [0.2, 0.3, 0.5]), lambda g: g.choice([3, 4, 5], 4)],
    "permutation": [lambda g: g.permutation(10), lambda g: g.permutation(A3), lambda g: g.permutation(MATRIX),
                    lambda g: g.permutation(1), lambda g: g.permutation(0), lambda g: g.permutation([3, 1, 2])],
    "shuffle": [lambda g: shuffled(g, A3), lambda g: shuffled(g, MATRIX), lambda g: shuffled(g, np.arange(300))],
    "multinomial": [lambda g: g.multinomial(20, P4), lambda g: g.multinomial(20, P4, (2, 3))],
    "dirichlet": [lambda g: g.dirichlet(A3), lambda g: g.dirichlet(A3, (2, 3)), lambda g: g.dirichlet(P4 / 10, 5)],
    "seed": [lambda g: (g.randn(), g.seed(5), g.rand(), g.randn()), lambda g: (g.seed([1, 2, 3]), g.rand()),
             lambda g: (g.seed(2**32 - 1), g.seed(np.array([7])), g.rand())],
}


@pytest.mark.filterwarnings("ignore:This function is deprecated")
@pytest.mark.parametrize("method", CALLS)
def test_bits_are_numpys_inside_and_outside(method):
    """Twice inside, once outside, once inside: always what NumPy draws next, with its types and dtypes."""
    ours, theirs = pair(5)

    def calls(g):
        return [call(g) for call in CALLS[method]]

    inside = jit(lambda: calls(ours))
    for draw in (inside, inside, lambda: calls(ours), inside):
        same(draw(), calls(theirs))
        same_state(ours, theirs)


def test_every_method_is_drawn_or_refused_inside():
    methods = {n for n in dir(np.random.RandomState) if not n.startswith("_")}
    refused = methods - set(legacy.METHODS)
    assert refused == {"bytes", "get_state", "set_state"}
    assert set(CALLS) | {"multivariate_normal", "ranf", "sample"} == set(legacy.METHODS)
    rng = np.random.RandomState(0)
    for name in sorted(refused):
        with pytest.raises(UnsupportedError, match="outside the jitted function"):
            jit(lambda name=name: getattr(rng, name)(3))()


# ---------------------------------------------------------------- the functions of the module
def program(n):
    np.random.seed(n)
    return (np.random.rand(2), np.random.randn(3), np.random.normal(1, 2), np.random.randint(0, 9, 4), np.random.ranf(),
            np.random.sample(2), np.random.random(2), np.random.choice([1.0, 2.0], 3), np.random.permutation(4))


def test_the_functions_of_the_module():
    """They advance the stream of the module itself, which goes on outside."""
    f = jit(program)
    for n in (3, 4):
        want, after = program(n), (np.random.rand(), np.random.randn())
        same(f(n), want)
        same((np.random.rand(), np.random.randn()), after)
    assert f.cache_info().traces == 1
    g = jit(lambda x: x + np.random.normal(size=3))
    rows = np.array([g(np.zeros(3)) for _ in range(50)])
    assert len(np.unique(rows)) == 150 and g.cache_info().traces == 1


def test_another_bit_generator_for_the_module():
    """`set_bit_generator` is noticed, and the samplers stay the legacy ones."""
    f, old = jit(lambda: (np.random.rand(), np.random.randn(3))), np.random.get_bit_generator()
    f()
    try:
        for kind in (np.random.PCG64, np.random.MT19937):
            np.random.set_bit_generator(kind(3))
            other = np.random.RandomState(kind(3))
            for _ in range(2):
                same(f(), (other.rand(), other.randn(3)))
    finally:
        np.random.set_bit_generator(old)


@pytest.mark.parametrize("make", [int, np.int64, lambda n: np.array([n, 5], np.uint32), lambda n: np.array(n),
                                  lambda n: np.array([n])])
def test_traced_seeds(make):
    f = jit(lambda n: (np.random.seed(n), np.random.rand(3), np.random.RandomState(n).randn(2)))
    for n in (0, 1, 2**32 - 1, 77):
        same(f(make(n)), (None, np.random.RandomState(make(n)).rand(3), np.random.RandomState(make(n)).randn(2)))


@pytest.mark.parametrize("seed", [-1, 2**32, [1, -1], [], [[1]], 1.5])
def test_seeds_that_are_none(seed):
    with pytest.raises((ValueError, TypeError)) as want:
        np.random.RandomState(seed)
    with pytest.raises(want.type):
        jit(lambda: np.random.seed(seed))()
    with pytest.raises(want.type):
        jit(lambda n: np.random.seed(n))(np.array(seed))


@pytest.mark.parametrize("call", [
    lambda: np.random.seed(), lambda: np.random.RandomState().rand(), lambda: np.random.get_state(),
    lambda: np.random.set_state(None), lambda: np.random.bytes(3)])
def test_what_is_refused_says_what_to_do(call):
    with pytest.raises(UnsupportedError) as error:
        jit(call)()
    assert "outside" in error.value.do


def test_a_numpy_that_keeps_its_normal_number_elsewhere_is_refused(monkeypatch):
    monkeypatch.setattr(generators, "_place_of_kept", lambda: None)
    with pytest.raises(UnsupportedError, match="rand"):
        jit(lambda: np.random.rand())()


# ---------------------------------------------------------------- generators as objects
def test_made_inside_it_starts_anew_with_each_call():
    def f():
        rng = np.random.RandomState(9)
        return rng.randn(3), rng.randint(100, size=3), rng.randn()

    for _ in range(2):
        same(jit(f)(), f())


def test_in_methods_arguments_and_closures():
    class Walk:
        def __init__(self, rng):
            self.rng, self.draw = rng, rng.standard_normal

        def step(self, x):
            return x + self.rng.choice([-1.0, 1.0], size=x.shape) + self.draw(x.shape)

    ours, theirs = pair(4)
    x, normal = np.zeros(5), ours.normal
    f, g, h = jit(Walk(ours).step), jit(lambda rng, x: x * rng.rand(5)), jit(lambda: normal(2.0, size=3))
    for _ in range(2):
        same(f(x), Walk(theirs).step(x))
        same(g(ours, x + 1), (x + 1) * theirs.rand(5))
        same(h(), theirs.normal(2.0, size=3))
        same_state(ours, theirs)


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.SFC64, np.random.PCG64DXSM])
def test_generators_on_other_bit_generators(kind):
    """A Generator on each, captured and made inside, and a RandomState on it."""
    def calls(g):
        return (g.random(5), g.random(7, dtype=np.float32), g.standard_normal(3000), g.standard_exponential(3001),
                g.standard_normal(901, dtype=np.float32), g.standard_exponential(900, dtype=np.float32),
                g.integers(9), g.integers(0, 10**6, 33), g.integers(2**40, size=5), g.integers(0, 9, 33, dtype=np.int8),
                g.integers(0, 2**32, 5, dtype=np.uint32), g.integers(0, [3, 9], dtype=np.int32), g.permutation(9),
                g.integers(0, 2**64, 700, dtype=np.uint64), g.integers(0, 2**32 - 5, 900, dtype=np.uint32),
                g.random(700), g.gamma(2.0, size=3), g.poisson(3.0, 4), g.choice(9, 3, replace=False))

    ours, theirs = (np.random.Generator(kind(3)) for _ in range(2))
    inside = jit(lambda: calls(ours))
    for draw in (inside, lambda: calls(ours), inside):
        same(draw(), calls(theirs))
        assert flat(ours.bit_generator.state) == flat(theirs.bit_generator.state)
    same(jit(lambda: (np.random.Generator(kind(5)).random(3), np.random.RandomState(kind(5)).randn(3)))(),
         (np.random.Generator(kind(5)).random(3), np.random.RandomState(kind(5)).randn(3)))


# ---------------------------------------------------------------- parameters known when the function runs
def test_traced_parameters():
    ours, theirs = pair(2)

    def numbers(g, m, s, n, p):
        return (g.normal(m, s, 4), g.poisson(s), g.binomial(n, p, 3), g.randint(n, size=3), g.gamma(s, m),
                g.randint(-n, n, dtype=np.int16), g.triangular(0.0, m, m + s), g.negative_binomial(s, p),
                g.hypergeometric(n, n, 3), g.choice(3, 2, p=np.array([p, 0.5 - p, 0.5])))

    f = jit(lambda *a: numbers(ours, *a))
    for _ in range(2):
        same(f(1.5, 2.0, 40, 0.25), numbers(theirs, 1.5, 2.0, 40, 0.25))
        same_state(ours, theirs)


BAD = [("normal", 0.0, -1.0), ("exponential", -1.0), ("gamma", -1.0, 1.0), ("gamma", 1.0, -1.0),
       ("uniform", 0.0, np.inf), ("beta", 0.0, 1.0), ("chisquare", 0.0), ("noncentral_f", 1.0, 1.0, -1.0),
       ("vonmises", 0.0, -1.0), ("weibull", -1.0), ("triangular", 2.0, 1.0, 3.0), ("poisson", np.nan),
       ("binomial", -1, 0.5), ("negative_binomial", 0.0, 0.5), ("negative_binomial", 1.0, 1.5), ("geometric", 0.0),
       ("zipf", 1.0), ("logseries", 1.0), ("hypergeometric", 1, 1, 5), ("hypergeometric", 1, 1, 0), ("randint", 6, 5)]


def test_bad_parameters_raise_numpys_errors_and_draw_nothing():
    """While tracing where they are known, else when the function runs."""
    ours, theirs = pair(0)
    traced = {}
    for name, *arguments in BAD:
        with pytest.raises(Exception) as want:
            getattr(theirs, name)(*arguments)
        if name not in traced:
            traced[name] = jit(lambda *a, name=name: getattr(ours, name)(*a))
        with pytest.raises(want.type) as got:
            traced[name](*arguments)
        assert str(got.value).startswith(str(want.value)), name
        with pytest.raises(want.type):
            jit(lambda name=name, arguments=arguments: getattr(ours, name)(*arguments))()
    same_state(ours, theirs)


@pytest.mark.parametrize("call", [
    lambda g: g.choice(3, 5, replace=False), lambda g: g.choice(3, 2, p=[0.5, 0.5, 0.5]), lambda g: g.choice(0),
    lambda g: g.choice(3, 2, p=[-0.5, 1, 0.5]), lambda g: g.choice(MATRIX), lambda g: g.choice([]),
    lambda g: g.choice(4, 3, False, [0.5, 0.5, 0, 0]), lambda g: g.choice(3, p=[0.5, 0.5]),
    lambda g: g.multinomial([5], P4), lambda g: g.multinomial(5, [0.5, 0.7, 0.1]), lambda g: g.dirichlet([0.0, 1.0]),
    lambda g: g.randint(0, 300, dtype=np.int8), lambda g: g.normal([1.0, 2.0], size=3), lambda g: g.beta(1.0)])
def test_bad_arguments_raise_as_numpys(call):
    ours, theirs = pair(0)
    with pytest.raises(Exception) as want:
        call(theirs)
    with pytest.raises(want.type) as got:
        jit(lambda: call(ours))()
    if want.type is ValueError:
        assert str(got.value).startswith(str(want.value))


def test_a_call_that_raises_has_drawn_nothing():
    ours, theirs = pair(1)

    @jit
    def f(s):
        x = ours.randn(3)
        return x + ours.normal(0, s, 3)

    with pytest.raises(ValueError, match="scale < 0"):
        f(-1.0)
    same_state(ours, theirs)
    same(f(2.0), theirs.randn(3) + theirs.normal(0, 2.0, 3))


def test_multivariate_normal():
    """Singular vectors have no sign of their own."""
    ours, theirs = pair(3)
    mean, right = np.array([1.0, -2.0, 0.5]), np.linalg.svd(MATRIX)[2]
    f = jit(lambda c: ours.multivariate_normal(mean, c, (2, 4)))
    for _ in range(2):
        got, want = f(MATRIX), theirs.multivariate_normal(mean, MATRIX, (2, 4))
        assert got.shape == want.shape
        np.testing.assert_allclose(abs((got - mean) @ right.T), abs((want - mean) @ right.T), rtol=1e-10)
    same_state(ours, theirs)


# ---------------------------------------------------------------- loops
def pi(g, n):
    hits = 0
    for _ in range(n):
        x, y = g.rand(), g.rand()
        if x * x + y * y < 1.0:
            hits += 1
    return 4.0 * hits / n


def metropolis(g, n):
    x, total = 0.0, 0.0
    for _ in range(n):
        y = x + g.normal(0.0, 1.0)
        if np.log(g.rand()) < 0.5 * (x * x - y * y):
            x = y
        total += x * x
    return total / n


def until(g, level):
    x, count = 0.0, 0
    while x < level:
        x += g.exponential(0.5)
        count += g.randint(1, 3)
    return x, count


def walk(g, n):
    x = np.zeros(7)
    for k in range(n):
        if k % 3:
            x = x + g.choice(np.array([-1.0, 1.0]), size=7) * g.randn(7)
        else:
            g.shuffle(x)
    return x


@pytest.mark.parametrize("program, size", [(pi, 500), (metropolis, 301), (until, 40.0), (walk, 60)])
def test_draws_in_loops(program, size):
    """A loop that draws becomes a compiled loop, with the numbers of Python's."""
    ours, theirs = pair(5)
    f = jit(lambda n: program(ours, n))
    for _ in range(3):
        same(f(size), program(theirs, size))
        same_state(ours, theirs)


def test_ten_million_draws_in_a_loop():
    """The state stays where it is, and ends where NumPy's does."""
    ours, theirs = pair(1)
    n = 5_000_000
    x = theirs.rand(2 * n).reshape(n, 2)
    assert jit(lambda n: pi(ours, n))(n) == 4.0 * np.count_nonzero(x[:, 0] * x[:, 0] + x[:, 1] * x[:, 1] < 1.0) / n
    same_state(ours, theirs)


# ---------------------------------------------------------------- derivatives, backends, threads
def test_derivatives_in_parameters():
    rng = np.random.RandomState(3)
    z = np.random.RandomState(3).randn(4)
    value, (dm, ds) = value_and_grad(lambda m, s: (rng.normal(m, s, 4) ** 2).sum(), argnums=(0, 1))(0.5, 2.0)
    x = 0.5 + 2.0 * z
    np.testing.assert_allclose([value, dm, ds], [(x**2).sum(), (2 * x).sum(), (2 * x * z).sum()], rtol=1e-14)
    at = (1.5, 0.7)

    def draws(a, b):
        rng.seed(3)
        return rng.lognormal(a, b, 3), rng.weibull(a, 3), rng.power(a, 3), rng.pareto(a, 3), rng.rayleigh(b, 3)

    moved = jvp(draws, at, (1.0, 0.5))[1]
    higher, lower = draws(at[0] + 1e-6, at[1] + 5e-7), draws(at[0] - 1e-6, at[1] - 5e-7)
    for got, high, low in zip(moved, higher, lower, strict=True):
        np.testing.assert_allclose(got, (high - low) / 2e-6, rtol=1e-6, atol=1e-8)
    with pytest.raises(NotDifferentiableError, match="gamma"):
        grad(lambda a: rng.standard_gamma(a))(2.0)


@pytest.mark.parametrize("backend", ["ref", "numba"])
def test_the_other_backends_draw_the_same(backend):
    ours, theirs = pair(2)

    def calls(g):
        return (g.rand(5), g.randint(9, size=4, dtype=np.int8), g.poisson(3.0), g.randn(3), g.gamma(2.0), g.seed(3),
                g.permutation(5), g.randn(3))

    with config.context(backend=backend):
        f = jit(lambda: calls(ours))
        for _ in range(2):
            same(f(), calls(theirs))
            same_state(ours, theirs)


def test_threads_that_draw_at_once_draw_numbers():
    """Two threads may get the same numbers, and never anything else: the state stays one of the stream's."""
    rng = np.random.RandomState(0)
    f = jit(lambda: (rng.rand(2000), rng.randn(2001)))
    f()
    found = []

    def draw():
        for _ in range(50):
            found.append(f())

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(found) == 200 and 0 <= rng.get_state()[2] <= 624
    u = np.concatenate([x for x, _ in found])
    assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 0.05
    x = np.concatenate([x for _, x in found])
    assert np.isfinite(x).all() and abs(x.var() - 1) < 0.1


SAMPLER = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)


def test_samplers_draw_never_more_than_they_take():
    """The compiled samplers, without a graph around them: values and states over many calls of all sizes."""
    theirs, choose = np.random.RandomState(3), np.random.default_rng(0)
    state, kept = ops.words_of(theirs._bit_generator.state), ops.kept_of(theirs)
    calls = [("legacy_normal_f64", lambda n: theirs.randn(n)), ("random_f64", lambda n: theirs.rand(n)),
             ("legacy_exponential_f64", lambda n: theirs.standard_exponential(n)),
             ("legacy_masked_u64", lambda n: theirs.randint(0, 700, n).astype(np.uint64)),
             ("legacy_permuted_i64", lambda n: theirs.permutation(n))]
    bounds = [np.array([v], np.uint64) for v in (0, 699)]
    for _ in range(3000):
        name, want = calls[choose.integers(len(calls))]
        n = int(choose.choice([0, 1, 2, 3, 5, 8, 311, 312, 313, 64, 700]))
        out = np.zeros(n, {"f": float, "u": np.uint64, "i": np.int64}[name[-3]])
        parameters = [kept] if name == "legacy_normal_f64" else bounds
        p = (ctypes.c_void_p * 2)(*[x.ctypes.data for x in parameters])
        sizes = (ctypes.c_int64 * 2)(*[x.size for x in parameters])
        SAMPLER(randoms.pointer(f"mt19937_{name}"))(state.ctypes.data, state.ctypes.data, out.ctypes.data, n, p, sizes)
        same(out, want(n))
        assert flat(ops.state_of(state)) == flat(theirs._bit_generator.state)
        assert kept.tolist() == ops.kept_of(theirs).tolist()
