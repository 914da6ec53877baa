"""Random numbers: bit by bit NumPy's, inside and outside jitted functions, fresh at every call, with derivatives."""

import copy
import ctypes
import hashlib
import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tracejit
from tracejit import config, grad, jit, jvp, value_and_grad
from tracejit.errors import NotDifferentiableError, UnsupportedError
from tracejit.kernels import randoms
from tracejit.random import Generator, default_rng
from tracejit.symbolic.ops import random as ops
from tracejit.trace.random import METHODS


def pair(seed=0):
    """Return one of our generators and NumPy's of the same seed."""
    return default_rng(seed), np.random.Generator(np.random.Philox(seed))


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


def same_state(ours, theirs):
    """Assert that two generators stand at the same place of the same stream."""
    a, b = ours.bit_generator.state, theirs.bit_generator.state
    same(a["state"]["counter"], b["state"]["counter"])
    assert (a["buffer_pos"], a["has_uint32"]) == (b["buffer_pos"], b["has_uint32"])
    assert not a["has_uint32"] or a["uinteger"] == b["uinteger"]


A3, P4 = np.array([0.5, 2.0, 30.0]), np.array([0.1, 0.2, 0.3, 0.4])
MATRIX = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 3.0]])
#: Method → calls of it: functions of the generator.
CALLS = {
    "random": [lambda g: g.random(), lambda g: g.random(7), lambda g: g.random((3, 5), dtype=np.float32),
               lambda g: g.random(()), lambda g: g.random(0), lambda g: g.random(dtype="f4"),
               lambda g: g.random(20000)],
    "standard_normal": [lambda g: g.standard_normal(), lambda g: g.standard_normal((4, 400)),
                        lambda g: g.standard_normal(999, dtype=np.float32)],
    "standard_exponential": [lambda g: g.standard_exponential(), lambda g: g.standard_exponential(3000),
                             lambda g: g.standard_exponential(999, dtype=np.float32),
                             lambda g: g.standard_exponential(9, method="inv"),
                             lambda g: g.standard_exponential(9, np.float32, "inv")],
    "standard_gamma": [lambda g: g.standard_gamma(0.3), lambda g: g.standard_gamma(A3),
                       lambda g: g.standard_gamma(1.5, 300), lambda g: g.standard_gamma(2.0, 30, dtype=np.float32)],
    "normal": [lambda g: g.normal(), lambda g: g.normal(1.0, 2.0, 5), lambda g: g.normal(A3, A3[:, None]),
               lambda g: g.normal(size=(2, 3)), lambda g: g.normal(loc=A3, size=(2, 3)), lambda g: g.normal(np.nan, 0)],
    "uniform": [lambda g: g.uniform(), lambda g: g.uniform(-2, 5, 8), lambda g: g.uniform(A3, 50, (4, 3))],
    "exponential": [lambda g: g.exponential(), lambda g: g.exponential(3.0, 5), lambda g: g.exponential(A3)],
    "gamma": [lambda g: g.gamma(0.7), lambda g: g.gamma(2.0, 3.0, 40), lambda g: g.gamma(A3, A3)],
    "beta": [lambda g: g.beta(0.5, 0.5), lambda g: g.beta(2, 3, 50), lambda g: g.beta(A3, 0.7)],
    "chisquare": [lambda g: g.chisquare(3), lambda g: g.chisquare(A3, (5, 3))],
    "noncentral_chisquare": [lambda g: g.noncentral_chisquare(3, 1.5, 30), lambda g: g.noncentral_chisquare(0.5, A3)],
    "f": [lambda g: g.f(3, 4), lambda g: g.f(A3, 4.0)],
    "noncentral_f": [lambda g: g.noncentral_f(3, 4, 1.5, 9)],
    "standard_t": [lambda g: g.standard_t(3), lambda g: g.standard_t(A3)],
    "standard_cauchy": [lambda g: g.standard_cauchy(), lambda g: g.standard_cauchy(9)],
    "vonmises": [lambda g: g.vonmises(0.5, 4.0, 50), lambda g: g.vonmises(0.5, 0.0), lambda g: g.vonmises(A3, A3)],
    "pareto": [lambda g: g.pareto(3.0), lambda g: g.pareto(A3)],
    "weibull": [lambda g: g.weibull(3.0, 9), lambda g: g.weibull(0.0), lambda g: g.weibull(A3)],
    "power": [lambda g: g.power(3.0, 9), lambda g: g.power(A3)],
    "laplace": [lambda g: g.laplace(), lambda g: g.laplace(1.0, 2.0, 50), lambda g: g.laplace(A3, A3)],
    "gumbel": [lambda g: g.gumbel(), lambda g: g.gumbel(1.0, 2.0, 50), lambda g: g.gumbel(A3, A3)],
    "logistic": [lambda g: g.logistic(), lambda g: g.logistic(1.0, 2.0, 50), lambda g: g.logistic(A3, A3)],
    "lognormal": [lambda g: g.lognormal(), lambda g: g.lognormal(1.0, 0.5, 50), lambda g: g.lognormal(A3, 0.1)],
    "rayleigh": [lambda g: g.rayleigh(), lambda g: g.rayleigh(A3), lambda g: g.rayleigh(2.0, 9)],
    "wald": [lambda g: g.wald(1.0, 2.0), lambda g: g.wald(A3, 2.0)],
    "triangular": [lambda g: g.triangular(0, 1, 3), lambda g: g.triangular(-1, 0.0, A3, (4, 3))],
    "poisson": [lambda g: g.poisson(), lambda g: g.poisson(5.0, 40), lambda g: g.poisson(A3), lambda g: g.poisson(0),
                lambda g: g.poisson(1e6, 5)],
    "binomial": [lambda g: g.binomial(10, 0.3), lambda g: g.binomial(1000, 0.4, 50),
                 lambda g: g.binomial(np.array([0, 5, 400]), 0.7), lambda g: g.binomial([3, 9], [[0.1], [0.9]])],
    "negative_binomial": [lambda g: g.negative_binomial(5, 0.3), lambda g: g.negative_binomial(2.5, P4)],
    "geometric": [lambda g: g.geometric(0.5), lambda g: g.geometric(0.01, 40), lambda g: g.geometric(P4)],
    "zipf": [lambda g: g.zipf(2.0), lambda g: g.zipf(1.5, 40), lambda g: g.zipf(A3 + 1)],
    "logseries": [lambda g: g.logseries(0.5), lambda g: g.logseries(P4), lambda g: g.logseries(0.97, 40)],
    "hypergeometric": [lambda g: g.hypergeometric(20, 30, 15), lambda g: g.hypergeometric(200, 300, 150, 40),
                       lambda g: g.hypergeometric([5, 8], 7, 4)],
    "integers": [lambda g: g.integers(10), lambda g: g.integers(3, 9, 20), lambda g: g.integers(2**40, size=9),
                 lambda g: g.integers(0, 2**32, 5), lambda g: g.integers(0, 2**32 - 1, 9, endpoint=True),
                 lambda g: g.integers(-2**63, 2**63, 30), lambda g: g.integers(5, 6, 4),
                 lambda g: g.integers(0, 2**64, 9, dtype=np.uint64), lambda g: g.integers(5, size=0),
                 lambda g: g.integers([1, 5, 10]), lambda g: g.integers([1, 5], [[10], [20]], dtype=np.uint8),
                 lambda g: g.integers(A3 + 1), lambda g: g.integers(2, dtype=bool), lambda g: g.integers(9, dtype=int),
                 *[lambda g, t=t: g.integers(0, 100, 33, dtype=t) for t in "bhilBHIL"],
                 *[lambda g, t=t: g.integers(0, [3, 100, 90], (5, 3), dtype=t) for t in "bhilBHIL"],
                 *[lambda g, t=t: g.integers(np.iinfo(t).min, np.iinfo(t).max, 9, dtype=t, endpoint=True)
                   for t in "bhiBHI"],
                 lambda g: g.integers(0, 2, 70, dtype=bool), lambda g: g.integers(0, [1, 2], (35, 2), dtype=bool)],
    "choice": [lambda g: g.choice(10), lambda g: g.choice(10, 5), lambda g: g.choice(A3),
               lambda g: g.choice(A3, (2, 3)),
               lambda g: g.choice(10, 5, replace=False), lambda g: g.choice(10, 5, replace=False, shuffle=False),
               lambda g: g.choice(20000, 900, replace=False), lambda g: g.choice(20000, 10, replace=False),
               lambda g: g.choice(4, 9, p=P4), lambda g: g.choice(4, p=P4), lambda g: g.choice(4, 3, False, P4),
               lambda g: g.choice(MATRIX, 2), lambda g: g.choice(MATRIX, 2, axis=1), lambda g: g.choice(A3, ()),
               lambda g: g.choice(MATRIX, 2, False, [0.2, 0.3, 0.5]), lambda g: g.choice([3, 4, 5], 4)],
    "permutation": [lambda g: g.permutation(10), lambda g: g.permutation(A3), lambda g: g.permutation(MATRIX),
                    lambda g: g.permutation(MATRIX, axis=1), lambda g: g.permutation(1), lambda g: g.permutation(0)],
    "permuted": [lambda g: g.permuted(A3), lambda g: g.permuted(MATRIX), lambda g: g.permuted(MATRIX, axis=0),
                 lambda g: g.permuted(np.arange(24).reshape(2, 3, 4), axis=1), lambda g: g.permuted(MATRIX, axis=-1)],
    "shuffle": [lambda g: shuffled(g, A3), lambda g: shuffled(g, MATRIX), lambda g: shuffled(g, MATRIX, axis=1)],
    "multinomial": [lambda g: g.multinomial(20, P4), lambda g: g.multinomial(20, P4, (2, 3)),
                    lambda g: g.multinomial([5, 9], P4), lambda g: g.multinomial(9, [[0.5, 0.5], [0.1, 0.9]], 2)],
    "dirichlet": [lambda g: g.dirichlet(A3), lambda g: g.dirichlet(A3, (2, 3)), lambda g: g.dirichlet(P4 / 10, 5),
                  lambda g: g.dirichlet([0.0, 1.0, 2.0], 3)],
}


def shuffled(g, x, axis=0):
    """Shuffle a copy in place."""
    y = x.copy()
    g.shuffle(y, axis=axis)
    return y


EACH = [pytest.param(call, id=f"{name}-{k}") for name, calls in CALLS.items() for k, call in enumerate(calls)]


@pytest.mark.parametrize("call", EACH)
def test_bits_are_numpys_inside_and_outside(call):
    """Twice inside, once outside, once inside: always what NumPy draws next, with its types and dtypes."""
    ours, theirs = pair(5)
    inside = jit(lambda: call(ours))
    for draw in (inside, inside, lambda: call(ours), inside):
        same(draw(), call(theirs))
        same_state(ours, theirs)


def test_every_method_is_drawn_or_refused_inside():
    methods = {n for n in dir(np.random.Generator) if not n.startswith("_")}
    refused = methods - set(METHODS)
    assert refused == {"bit_generator", "bytes", "multivariate_hypergeometric", "spawn"}
    assert set(CALLS) | {"multivariate_normal"} == set(METHODS)
    rng = default_rng(0)
    for name in sorted(refused):
        with pytest.raises(UnsupportedError, match="do: "):
            jit(lambda name=name: getattr(rng, name)(3))()


@pytest.mark.parametrize("method", ["cholesky", "eigh", "svd"])
def test_multivariate_normal(method):
    ours, theirs = pair(3)
    mean = np.array([1.0, -2.0, 0.5])
    inside = jit(lambda c: ours.multivariate_normal(mean, c, (2, 4), method=method))
    for _ in range(2):
        got, want = inside(MATRIX), theirs.multivariate_normal(mean, MATRIX, (2, 4), method=method)
        if method != "cholesky":  # eigenvectors have no sign of their own
            assert got.shape == want.shape
            continue
        np.testing.assert_allclose(got, want, rtol=1e-13)
    same_state(ours, theirs)


_SHORT = [n for n in CALLS if n not in ("hypergeometric", "multinomial")]


@given(seed=st.integers(0, 2**70), sequence=st.lists(
    st.tuples(st.sampled_from(_SHORT), st.integers(0, 40), st.booleans()), min_size=1, max_size=8))
def test_any_sequence_of_calls_is_one_stream(seed, sequence):
    """Halves of words, buffers and rejected draws are carried over from call to call, of any kind."""
    ours, theirs = pair(seed)
    for name, k, outside in sequence:
        call = CALLS[name][k % len(CALLS[name])]
        same(call(ours) if outside else _jitted(call)(ours), call(theirs))
    same_state(ours, theirs)


_kept = {}


def _jitted(call):
    """Return the jitted call, of a generator of its own whose state is put where the caller's is."""
    if call not in _kept:
        own = default_rng(0)
        _kept[call] = (own, jit(lambda: call(own)))
    own, function = _kept[call]

    def run(rng):
        own.bit_generator.state = rng.bit_generator.state
        result = function()
        rng.bit_generator.state = own.bit_generator.state
        return result
    return run


def test_fresh_numbers_without_a_new_trace():
    rng = default_rng(1)
    f = jit(lambda x: x + rng.normal(size=3))
    rows = np.array([f(np.zeros(3)) for _ in range(50)])
    assert len(np.unique(rows)) == 150 and f.cache_info().traces == 1


def test_traced_parameters():
    ours, theirs = pair(2)

    def numbers(g, m, s, n, p):
        return (g.normal(m, s, 4), g.poisson(s), g.binomial(n, p, 3), g.integers(n, size=3),
                g.integers(-n, n, dtype=np.int16), g.gamma(s, m), g.triangular(0.0, m, m + s))

    def arrays(g, x):
        return g.normal(x, x), g.poisson(x), g.integers(x.astype(int) + 1, 50), g.uniform(x, x + x)

    f, many = jit(lambda *a: numbers(ours, *a)), jit(lambda x: arrays(ours, x))
    for _ in range(2):
        same(f(1.5, A3.mean(), 40, 0.25), numbers(theirs, 1.5, A3.mean(), 40, 0.25))
        same(many(np.array([1.0, 2.0, 3.0])), arrays(theirs, np.array([1.0, 2.0, 3.0])))


BAD = [("normal", 0.0, -1.0), ("exponential", -1.0), ("gamma", -1.0, 1.0), ("gamma", 1.0, -1.0),
       ("standard_gamma", -1.0), ("uniform", 1.0, 0.0), ("beta", 0.0, 1.0), ("beta", 1.0, 0.0), ("chisquare", 0.0),
       ("f", 0.0, 1.0), ("f", 1.0, 0.0), ("noncentral_chisquare", 1.0, -1.0), ("noncentral_f", 1.0, 1.0, -1.0),
       ("standard_t", 0.0), ("vonmises", 0.0, -1.0),
       ("pareto", 0.0), ("weibull", -1.0), ("power", 0.0), ("laplace", 0.0, -1.0), ("lognormal", 0.0, -1.0),
       ("rayleigh", -1.0), ("wald", 0.0, 1.0), ("triangular", 2.0, 1.0, 3.0), ("triangular", 1.0, 4.0, 3.0),
       ("triangular", 1.0, 1.0, 1.0), ("poisson", -1.0), ("poisson", np.nan), ("poisson", 1e20), ("binomial", -1, 0.5),
       ("binomial", 1, -0.5), ("negative_binomial", 0, 0.5), ("negative_binomial", 1, 0.0), ("geometric", 0.0),
       ("zipf", 1.0), ("logseries", 1.0), ("hypergeometric", 1, 1, 5), ("integers", 5, 5), ("integers", 6, 5)]


@pytest.mark.parametrize("name, arguments", [(n, a) for n, *a in BAD], ids=str)
def test_bad_parameters_raise_numpys_errors_and_draw_nothing(name, arguments):
    """While tracing where they are known, else when the function runs."""
    ours, theirs = pair(0)
    with pytest.raises(Exception) as want:
        getattr(theirs, name)(*arguments)
    traced = jit(lambda *a: getattr(ours, name)(*a))
    known = jit(lambda: getattr(ours, name)(*arguments))
    for call in (lambda: traced(*arguments), known):
        with pytest.raises(want.type) as got:
            call()
        assert str(got.value).startswith(str(want.value))
    same_state(ours, theirs)


@pytest.mark.parametrize("call", [
    lambda g: g.integers(0, 300, dtype=np.int8), lambda g: g.multinomial(5, [0.5, 0.7, 0.1]),
    lambda g: g.dirichlet([-1.0, 1.0]), lambda g: g.random(3, dtype=np.int32), lambda g: g.normal([1.0, 2.0], size=3),
    lambda g: g.choice(3, 5, replace=False), lambda g: g.choice(3, 2, p=[0.5, 0.5, 0.5]), lambda g: g.beta(1, 2, 3, 4),
    lambda g: g.choice(3, 2, p=[-0.5, 1, 0.5]), lambda g: g.random(out=np.zeros(3, "f4")), lambda g: g.choice(0),
    lambda g: g.random(4, out=np.zeros(3)), lambda g: g.beta(1.0), lambda g: g.beta(1.0, c=2.0)])
def test_bad_arguments_raise_as_numpys(call):
    ours, theirs = pair(0)
    with pytest.raises(Exception) as want:
        call(theirs)
    with pytest.raises(want.type):
        jit(lambda: call(ours))()


def test_out():
    ours, theirs = pair(4)
    f = jit(lambda x: ours.standard_normal(out=x[1:]))
    x, y = np.zeros(5), np.zeros(5)
    f(x)
    theirs.standard_normal(out=y[1:])
    same(x, y)


def test_shuffling_an_argument_changes_the_callers():
    ours, theirs = pair(4)
    f = jit(lambda x: ours.shuffle(x))
    x, y = np.arange(9), np.arange(9)
    assert f(x) is None
    theirs.shuffle(y)
    same(x, y)


def test_a_call_that_raises_has_drawn_nothing():
    ours, theirs = pair(1)

    @jit
    def f(s):
        x = ours.random(3)
        return x + ours.normal(0, s, 3)

    with pytest.raises(ValueError, match="scale < 0"):
        f(-1.0)
    same_state(ours, theirs)
    same(f(2.0), theirs.random(3) + theirs.normal(0, 2.0, 3))


# ---------------------------------------------------------------- generators as objects
def test_generators_made_outside():
    for seed in (None, 0, 2**80, [1, 2, 3], np.random.SeedSequence(5), np.random.Philox(3)):
        assert isinstance(default_rng(seed), Generator)
    rng = default_rng(3)
    assert default_rng(rng) is rng and isinstance(rng, np.random.Generator) and "tracejit" in repr(rng)
    assert isinstance(default_rng(np.random.default_rng(0)), Generator)

    class Own(np.random.PCG64):
        """Whose words only Python knows."""

    with pytest.raises(TypeError, match="Philox"):
        Generator(Own(0))


def test_generator_made_inside_starts_anew_with_each_call():
    f = jit(lambda: tracejit.random.default_rng(9).random(3))
    want = np.random.Generator(np.random.Philox(9)).random(3)
    for _ in range(2):
        same(f(), want)
    with pytest.raises(UnsupportedError, match="without a seed"):
        jit(lambda: default_rng().random())()
    kept = []
    with pytest.raises(UnsupportedError, match="a Generator"):
        jit(lambda: (kept.append(default_rng(1)), 1)[1])()
    assert not kept


def test_state_can_be_read_and_set():
    ours, theirs = pair(6)
    f = jit(lambda: (ours.random(3), ours.integers(9, dtype=np.int32)))
    f()
    state = ours.bit_generator.state
    want = f()
    ours.bit_generator.state = state
    same(f(), want)
    theirs.bit_generator.state = state
    same((theirs.random(3), theirs.integers(9, dtype=np.int32)), want)
    ours.bit_generator.advance(1000)
    theirs.bit_generator.advance(1000)
    theirs.random()
    ours.random()
    same(f(), (theirs.random(3), theirs.integers(9, dtype=np.int32)))


def test_spawned_jumped_copied_and_pickled():
    ours, theirs = pair(8)
    for a, b in zip(ours.spawn(2), theirs.spawn(2)):
        same(jit(lambda a=a: a.random(3))(), b.random(3))
    jumped = Generator(ours.bit_generator.jumped(2))
    same(jit(lambda: jumped.random(3))(), np.random.Generator(theirs.bit_generator.jumped(2)).random(3))
    jit(lambda: ours.random())()
    theirs.random()
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert isinstance(other, Generator)
        same(jit(lambda other=other: other.random(3))(), copy.deepcopy(theirs).random(3))


def test_two_generators_on_one_state():
    ours, theirs = pair(8)
    twin = Generator(ours.bit_generator)
    f = jit(lambda: (ours.random(2), twin.random(2), ours.random(2)))
    same(f(), (theirs.random(2), theirs.random(2), theirs.random(2)))


def test_a_generator_as_an_argument():
    ours, theirs = pair(8)
    f = jit(lambda rng, x: x * rng.random(3))
    for _ in range(2):
        same(f(ours, 2.0), 2.0 * theirs.random(3))


def test_in_methods_and_helpers():
    class Walk:
        def __init__(self, rng):
            self.rng = rng

        def step(self, x):
            return x + self.rng.choice(np.array([-1.0, 1.0]), size=x.shape)

    ours, theirs = pair(8)
    f = jit(Walk(ours).step)
    same(f(np.zeros(5)), Walk(theirs).step(np.zeros(5)))


@pytest.mark.parametrize("call", [
    lambda: np.random.default_rng().random(), lambda: NUMPYS.bytes(3), lambda: random.random(), lambda: NUMPYS.spawn(2),
    lambda: np.random.SeedSequence(3).generate_state(2)])
def test_what_cannot_be_drawn_from_is_refused(call):
    """Never is a number frozen that was drawn while tracing."""
    with pytest.raises(UnsupportedError) as error:
        jit(call)()
    assert "outside" in error.value.do


NUMPYS = np.random.default_rng(3)


@pytest.mark.parametrize("call", EACH)
def test_numpys_own_generators_draw_as_they_do(call):
    """Unedited: a generator of numpy.random.default_rng goes on in its own stream, inside and outside."""
    ours, theirs = np.random.default_rng(8), np.random.default_rng(8)
    inside = jit(lambda: call(ours))
    for draw in (inside, lambda: call(ours), inside):
        same(draw(), call(theirs))
        assert ours.bit_generator.state == theirs.bit_generator.state


def test_numpys_generators_in_all_places():
    for kind in (np.random.PCG64, np.random.Philox):
        ours, theirs = np.random.Generator(kind(4)), np.random.Generator(kind(4))

        class Walk:
            def __init__(self, rng):
                self.rng, self.draw = rng, rng.standard_normal

            def step(self, x):
                return x + self.rng.choice([-1.0, 1.0], size=x.shape) + self.draw(x.shape)

        x = np.zeros(5)
        f, g = jit(Walk(ours).step), jit(lambda rng, x: x * rng.random(5))
        normal = ours.normal
        h = jit(lambda: normal(2.0, size=2))
        for _ in range(2):
            same(f(x), Walk(theirs).step(x))
            same(g(ours, x + 1), (x + 1) * theirs.random(5))
            same(h(), theirs.normal(2.0, size=2))
            same(ours.random(), theirs.random())


def test_numpys_generator_made_inside_starts_anew_with_each_call():
    def f(n):
        rng = np.random.default_rng(11)
        return rng.integers(n, size=4), rng.random()

    for _ in range(2):
        same(jit(f)(10), f(10))


def test_pcg64_taken_back():
    """What a ziggurat refuses is drawn again, over the whole range of states."""
    for seed in range(20):
        g, state = np.random.default_rng(seed), np.random.default_rng(seed)
        f = jit(lambda state=state: (state.standard_normal(3000), state.standard_normal(3000, dtype=np.float32),
                                     state.standard_exponential(3001), state.standard_exponential(3001, np.float32)))
        same(f(), (g.standard_normal(3000), g.standard_normal(3000, dtype=np.float32),
                   g.standard_exponential(3001), g.standard_exponential(3001, np.float32)))


# ---------------------------------------------------------------- loops
def pi(g, n):
    hits = 0
    for _ in range(n):
        x = g.random()
        y = g.random()
        if x * x + y * y < 1.0:
            hits += 1
    return 4.0 * hits / n


def metropolis(g, n):
    x, total = 0.0, 0.0
    for _ in range(n):
        y = x + g.normal(0.0, 1.0)
        if np.log(g.random()) < 0.5 * (x * x - y * y):
            x = y
        total += x * x
    return total / n


def until(g, level):
    x, count = 0.0, 0
    while x < level:
        x += g.exponential(0.5)
        count += g.integers(1, 3)
    return x, count


def walk(g, n):
    x = np.zeros(7)
    for _ in range(n):
        x = x + g.choice(np.array([-1.0, 1.0]), size=7) * g.poisson(2.0, 7)
    return x


@pytest.mark.parametrize("program, size", [(pi, 500), (metropolis, 300), (until, 40.0), (walk, 60)])
@pytest.mark.parametrize("make", [np.random.default_rng, default_rng])
def test_draws_in_loops(program, size, make):
    """A loop that draws becomes a compiled loop, with the numbers of Python's."""
    ours, theirs = make(5), np.random.Generator(type(make(5).bit_generator)(5))
    f = jit(lambda n: program(ours, n))
    for _ in range(3):
        same(f(size), program(theirs, size))
        assert str(ours.bit_generator.state) == str(theirs.bit_generator.state)


X9 = np.array([1.0, -1.0, 2.0, 3.0, -2.0, 5.0, 4.0, -7.0, 0.5])
SIZES = [
    lambda g, n: g.random(n), lambda g, n: g.permutation(n), lambda g, n: g.choice(n, 2),
    lambda g, n: g.choice(X9, n, replace=False), lambda g, n: g.permutation(X9[X9 > n - 6]),
    lambda g, n: g.integers(0, len(X9[X9 > n - 6]), size=3), lambda g, n: g.normal(size=(X9 > n - 6).sum()),
    lambda g, n: g.choice(X9[X9 > n - 6], 3), lambda g, n: g.permuted(X9[X9 > n - 6]),
    lambda g, n: X9[:n][g.choice(n, n)].mean(), lambda g, n: shuffled(g, X9[X9 > n - 6])]


@pytest.mark.parametrize("call", SIZES, ids=range(len(SIZES)))
def test_sizes_from_arguments_and_data(call):
    ours, theirs = pair(3)
    f = jit(lambda n: call(ours, n))
    for n in (3, 4, 7, 3):
        same(f(n), call(theirs, n))


def test_sizes_from_shapes():
    ours, theirs = pair(3)
    f = jit(lambda x: x + ours.normal(size=x.shape) + ours.permutation(x)[0])
    for n in (3, 4, 5, 6, 3):
        x = np.arange(n) / 2
        same(f(x), x + theirs.normal(size=n) + theirs.permutation(x)[0])


# ---------------------------------------------------------------- derivatives
def test_derivatives_in_loc_and_scale():
    rng = default_rng(3)
    z = np.random.Generator(np.random.Philox(3)).standard_normal(4)
    m, s = 0.5, 2.0
    value, (dm, ds) = value_and_grad(lambda m, s: (rng.normal(m, s, 4) ** 2).sum(), argnums=(0, 1))(m, s)
    x = m + s * z
    np.testing.assert_allclose([value, dm, ds], [(x**2).sum(), (2 * x).sum(), (2 * x * z).sum()], rtol=1e-14)


@pytest.mark.parametrize("draw, at", [
    (lambda g, a, b: g.lognormal(a, b, 5), (0.3, 0.7)), (lambda g, a, b: g.weibull(a, 5) + b, (1.5, 1.0)),
    (lambda g, a, b: g.power(a, 5) * b, (1.5, 2.0)), (lambda g, a, b: g.pareto(a, 5) * b, (2.5, 2.0)),
    (lambda g, a, b: g.uniform(a, b, 5), (0.5, 2.0)), (lambda g, a, b: g.gumbel(a, b, 5), (0.5, 2.0)),
    (lambda g, a, b: g.laplace(a, b, 5), (0.5, 2.0)), (lambda g, a, b: g.logistic(a, b, 5), (0.5, 2.0)),
    (lambda g, a, b: g.exponential(a, 5) * b, (0.5, 2.0)), (lambda g, a, b: g.rayleigh(a, 5) + b, (0.5, 2.0)),
    (lambda g, a, b: g.gamma(1.5, a, 5) + b, (0.5, 2.0))])
def test_pathwise_derivatives(draw, at):
    """The randomness held, the numbers are smooth functions of the parameters."""
    rng, step = default_rng(11), 1e-6
    state = rng.bit_generator.state

    def at_point(a, b):
        rng.bit_generator.state = state
        return draw(rng, a, b)

    _, moved = jvp(lambda a, b: draw(rng, a, b), at, (1.0, 0.5))
    a, b = at
    want = (at_point(a + step, b + 0.5 * step) - at_point(a - step, b - 0.5 * step)) / (2 * step)
    np.testing.assert_allclose(moved, want, rtol=1e-6, atol=1e-8)


def option(g, sigma, paths, steps):
    """Price a call option by simulated prices."""
    prices, dt = np.full(paths, 100.0), 1 / steps
    for _ in range(steps):
        z = g.standard_normal(paths)
        prices = prices * np.exp((0.05 - 0.5 * sigma**2) * dt + sigma * np.sqrt(dt) * z)
    return np.exp(-0.05) * np.maximum(prices - 105, 0).mean()


def test_derivatives_through_loops_that_draw():
    rng = np.random.default_rng(1)
    state = rng.bit_generator.state

    def at(sigma):
        g = np.random.default_rng(1)
        g.bit_generator.state = state
        return option(g, sigma, 300, 12)

    value, slope = jit(lambda s: value_and_grad(lambda sigma: option(rng, sigma, 300, 12))(s))(0.2)
    np.testing.assert_allclose(value, at(0.2), rtol=1e-12)
    np.testing.assert_allclose(slope, (at(0.2 + 1e-6) - at(0.2 - 1e-6)) / 2e-6, rtol=1e-6)
    other = np.random.default_rng(1)
    option(other, 0.2, 300, 12)
    assert rng.bit_generator.state == other.bit_generator.state


def test_training_on_random_batches():
    class Model:
        def __init__(self):
            self.rng, self.w = np.random.default_rng(0), tracejit.shared(np.zeros(3))

        def step(self, x, y):
            i = self.rng.choice(len(x), 16, replace=False)
            cost, g = value_and_grad(lambda w: ((x[i] @ w - y[i]) ** 2).mean())(self.w)
            self.w[...] = self.w - 0.1 * g
            return cost

    model, x = Model(), np.random.default_rng(1).normal(size=(200, 3))
    step = jit(model.step)
    for _ in range(200):
        step(x, x @ np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(model.w.get_value(), [1, 2, 3], atol=1e-6)


def test_what_has_no_derivative_says_so():
    rng = default_rng(3)
    with pytest.raises(NotDifferentiableError, match="standard_gamma"):
        grad(lambda a: rng.standard_gamma(a))(2.0)


# ---------------------------------------------------------------- threads, backends, the op
def test_the_same_stream_for_every_number_of_threads():
    code = ("import numpy as np, hashlib; from tracejit import jit; from tracejit.random import default_rng\n"
            "r = default_rng(5); r.random(3); f = jit(lambda: (r.random(100003), r.random(70001, dtype='f4'), "
            "r.integers(0, 2**64, 50001, dtype=np.uint64), r.integers(0, 2**32, 50001, dtype=np.uint32), r.random()))\n"
            "print(hashlib.sha256(b''.join(np.asarray(x).tobytes() for x in f())).hexdigest())")
    found = set()
    for threads in (1, 2, 5):
        flags = {**os.environ, "TRACEJIT_FLAGS": f"threads={threads}"}
        found.add(subprocess.run([sys.executable, "-c", code], env=flags, capture_output=True, text=True,
                                 check=True).stdout)
    assert len(found) == 1
    g = np.random.Generator(np.random.Philox(5))
    g.random(3)
    want = (g.random(100003), g.random(70001, dtype="f4"), g.integers(0, 2**64, 50001, dtype=np.uint64),
            g.integers(0, 2**32, 50001, dtype=np.uint32), g.random())
    assert hashlib.sha256(b"".join(np.asarray(x).tobytes() for x in want)).hexdigest() == found.pop().strip()


@pytest.mark.parametrize("backend", ["ref", "numba"])
def test_the_other_backends_draw_the_same(backend):
    ours, theirs = pair(2)
    with config.context(backend=backend):
        f = jit(lambda: (ours.random(5), ours.integers(9, size=4, dtype=np.int8), ours.poisson(3.0)))
        for _ in range(2):
            same(f(), (theirs.random(5), theirs.integers(9, size=4, dtype=np.int8), theirs.poisson(3.0)))


SAMPLER = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)


@pytest.mark.parametrize("bits", [
    np.random.Philox(3), np.random.PCG64(3), np.random.SFC64(3), np.random.PCG64DXSM(3), np.random.MT19937(3),
    np.random.Philox(3, counter=np.array([2**64 - 300, 2**64 - 1, 2**64 - 1, 0], np.uint64))],
    ids=["philox", "pcg64", "sfc64", "pcg64dxsm", "mt19937", "carry"])
def test_words_read_ahead_go_back(bits):
    """The compiled samplers, without a graph around them: values and states over many calls of all sizes."""
    kind = type(bits).__name__.lower()
    g, choose = np.random.Generator(bits), np.random.default_rng(0)
    state = ops.words_of(bits.state)
    for _ in range(3000):
        name = choose.choice(["standard_normal", "standard_exponential", "random"])
        dtype, n = choose.choice(["f8", "f8", "f4"]), int(choose.choice([0, 1, 2, 3, 5, 8, 31, 32, 33, 64, 100]))
        out = np.zeros(n, dtype)
        address = randoms.pointer(f"{kind}_{name}_{dtype[0]}{8 * int(dtype[1])}")
        SAMPLER(address)(state.ctypes.data, state.ctypes.data, out.ctypes.data, n, None, None)
        same(out, getattr(g, name)(n, dtype=dtype))
        ours, theirs = ops.state_of(state), bits.state
        assert str(ours["state"]) == str(theirs["state"]) and ours.get("has_uint32") == theirs.get("has_uint32")
        if kind == "philox":
            assert ours["buffer_pos"] == theirs["buffer_pos"]
            assert theirs["buffer_pos"] == 4 or ours["buffer"].tolist() == theirs["buffer"].tolist()


def test_words_and_states_are_one():
    g = np.random.Generator(np.random.Philox(2))
    g.random(3, dtype=np.float32)
    again = ops.generator(ops.words_of(g.bit_generator.state))
    same(again.random(5, dtype=np.float32), g.random(5, dtype=np.float32))


@pytest.mark.parametrize("name, mean, variance", [("random", 1 / 2, 1 / 12), ("standard_normal", 0, 1),
                                                  ("standard_exponential", 1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments(name, mean, variance, dtype):
    """A sanity check that does not lean on NumPy's generator."""
    rng, n = default_rng(1234), 400_000
    x = jit(lambda: getattr(rng, name)(n, dtype=dtype))().astype(float)
    assert abs(x.mean() - mean) < 5 * (variance / n) ** 0.5
    assert abs(x.var() - variance) < 0.02 * variance
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 5 / n**0.5
