"""Random draws as an op: from the state of a generator to numbers and the next state.

The generator is Philox4x64-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"), and
the numbers are those of `numpy.random.Generator(numpy.random.Philox(seed))`. A state is 12 words: position in the
buffer, buffer (4), what is left of a word that was halved, key (2), counter (4). The generator of
`numpy.random.default_rng`, PCG64 (O'Neill 2014), has one of 6: what is left of a halved word, nothing, state (2),
increment (2), low words first.
"""

import numpy as np

from tracejit.errors import NotDifferentiableError, TypeRuleError
from tracejit.symbolic.ir import define, describe, item
from tracejit.symbolic.ops.scalar import CHECKS, equal, log, log1p, select
from tracejit.symbolic.ops.shape import broadcast_to, full_like, zeros
from tracejit.symbolic.types import BOOL, DTYPES, F32, F64, I64, Type

U64 = DTYPES["u64"]
STATE, PCG64_STATE = Type(U64, (12,)), Type(U64, (6,))
_HALF = np.uint64(0xFFFFFFFF)


# ---------------------------------------------------------------- states
def state_of(words):
    """Return the `state` of NumPy's Philox, or PCG64, that words stand for."""
    words = np.asarray(words, np.uint64)
    if len(words) == 6:
        wide = [int(words[k]) | int(words[k + 1]) << 64 for k in (2, 4)]
        return {"bit_generator": "PCG64", "state": {"state": wide[0], "inc": wide[1]},
                "has_uint32": int(words[0] & _HALF), "uinteger": int(words[0] >> np.uint64(32))}
    return {"bit_generator": "Philox", "state": {"counter": words[8:12].copy(), "key": words[6:8].copy()},
            "buffer": words[1:5].copy(), "buffer_pos": int(words[0] & _HALF), "has_uint32": int(words[5] & _HALF),
            "uinteger": int(words[5] >> np.uint64(32))}


def words_of(state):
    """Return the words of a `state` of NumPy's Philox, or PCG64."""
    if state["bit_generator"] == "PCG64":
        wide = [state["state"][k] >> shift & (1 << 64) - 1 for k in ("state", "inc") for shift in (0, 64)]
        return np.array([state["has_uint32"] | int(state["uinteger"]) << 32, 0, *wide], np.uint64)
    words = np.empty(12, np.uint64)
    words[0], words[1:5] = state["buffer_pos"], state["buffer"]
    words[5] = state["has_uint32"] | int(state["uinteger"]) << 32
    words[6:8], words[8:12] = state["state"]["key"], state["state"]["counter"]
    return words


def generator(words):
    """Return NumPy's generator in the state of words."""
    bits = np.random.Philox(0) if len(words) == 12 else np.random.PCG64(0)
    bits.state = state_of(words)
    return np.random.Generator(bits)


# ---------------------------------------------------------------- samplers
class Sampler:
    """One way to draw: dtypes of its parameters, its possible results, and its meaning.

    ``draw(generator, shape, dtype, *parameters)`` is the meaning; ``partials(value, *parameters)`` the derivatives of
    the numbers drawn in each parameter, the randomness held; None where they have none.
    """

    __slots__ = ("name", "takes", "gives", "draw", "partials")

    def __init__(self, name, takes, gives, draw=None, partials=None):
        self.name, self.takes, self.gives = name, takes, gives
        self.draw = draw or (lambda g, shape, dtype, *parameters: getattr(g, name)(*parameters, size=shape))
        self.partials = partials


def _of_dtype(name):
    return lambda g, shape, dtype, *parameters: getattr(g, name)(*parameters, size=shape, dtype=dtype)


def _bounded(g, shape, dtype, first, span):
    """Draw integers at first, first + 1, ..., first + span, modulo the width of the dtype."""
    if dtype == BOOL:
        return g.integers(first != 0, (first + span) != 0, size=shape, dtype=bool, endpoint=True)
    if np.ndim(first) == np.ndim(span) == 0:
        low, high = 0, int(span.astype(dtype))
    else:
        low, high = np.zeros(np.shape(first), dtype), np.asarray(span).astype(dtype)
    with np.errstate(over="ignore"):
        return g.integers(low, high, size=shape, dtype=dtype, endpoint=True) + np.asarray(first).astype(dtype)


def _permuted(g, shape, dtype, row):
    rows = np.arange(row)[None].repeat(shape[0] // row if row else 0, axis=0)
    return g.permuted(rows, axis=1).reshape(shape)


def _no_log(x):
    """Return x log(x), and 0 where x is 0."""
    zero = equal(x, zeros(x.type))
    return x * log(select(zero, full_like(1, x), x))


def _lognormal(w, mean, sigma):
    still = equal(sigma, zeros(sigma.type))
    return w, w * (log(w) - mean) / select(still, full_like(1, sigma), sigma)


_INTEGERS = (DTYPES["u64"], DTYPES["u32"], DTYPES["u16"], DTYPES["u8"], BOOL)
_ALL = [
    Sampler("random", (), (F64, F32), _of_dtype("random")),
    Sampler("standard_normal", (), (F64, F32), _of_dtype("standard_normal")),
    Sampler("standard_exponential", (), (F64, F32), _of_dtype("standard_exponential")),
    Sampler("standard_exponential_inv", (), (F64, F32),
            lambda g, shape, dtype: g.standard_exponential(shape, dtype, method="inv")),
    Sampler("standard_gamma", (None,), (F64, F32),
            lambda g, shape, dtype, a: g.standard_gamma(a, size=shape, dtype=dtype)),
    *[Sampler(name, (F64,) * count, (F64,)) for name, count in {
        "standard_cauchy": 0, "chisquare": 1, "standard_t": 1, "rayleigh": 1, "beta": 2, "f": 2,
        "noncentral_chisquare": 2, "laplace": 2, "gumbel": 2, "logistic": 2, "wald": 2, "vonmises": 2,
        "noncentral_f": 3, "triangular": 3}.items()],
    Sampler("weibull", (F64,), (F64,), partials=lambda w, a: (-_no_log(w) / a,)),
    Sampler("power", (F64,), (F64,), partials=lambda w, a: (-_no_log(w) / a,)),
    Sampler("pareto", (F64,), (F64,), partials=lambda w, a: (-(1 + w) * log1p(w) / a,)),
    Sampler("lognormal", (F64, F64), (F64,), partials=_lognormal),
    Sampler("dirichlet", (F64,), (F64,), lambda g, shape, dtype, alpha: g.dirichlet(alpha, shape[:-1])),
    *[Sampler(name, takes, (I64,)) for name, takes in {
        "poisson": (F64,), "geometric": (F64,), "zipf": (F64,), "logseries": (F64,), "negative_binomial": (F64, F64),
        "binomial": (I64, F64), "hypergeometric": (I64, I64, I64)}.items()],
    #: Trials, odds of one row or of all, and their number.
    Sampler("multinomial", (I64, F64, I64), (I64,), lambda g, shape, dtype, n, odds, d: (
        g.multinomial(n, odds, size=shape[:-1]))),
    #: First number and span, one for all numbers, and one for each.
    Sampler("bounded", (U64, U64), _INTEGERS, _bounded),
    Sampler("bounded_each", (U64, U64), _INTEGERS, _bounded),
    #: The orders into which rows of some length are shuffled.
    Sampler("permuted", (I64,), (I64,), _permuted),
    #: Distinct numbers below one, shuffled or not; distinct places by their odds.
    Sampler("distinct", (I64, I64), (I64,), lambda g, shape, dtype, n, mixed: (
        g.choice(int(n), shape, replace=False, shuffle=bool(mixed)))),
    Sampler("distinct_weighted", (F64,), (I64,), lambda g, shape, dtype, odds: (
        g.choice(len(odds), shape, replace=False, p=odds))),
]
SAMPLERS = {s.name: s for s in _ALL}


# ---------------------------------------------------------------- the op
def _draw_type(state, *parameters, sampler, shape, dtype):
    found = SAMPLERS.get(sampler)
    if found is None or dtype not in found.gives or state not in (STATE, PCG64_STATE):
        raise TypeRuleError(f"draw of {dtype} by {sampler!r} from {state}")
    takes = tuple(dtype if t is None else t for t in found.takes)
    if tuple(p.dtype for p in parameters) != takes:
        raise TypeRuleError(f"{sampler} takes parameters of {takes}, and is given {parameters}")
    return Type(dtype, shape), state


def _draw_ref(state, *parameters, sampler, shape, dtype):
    g = generator(state)
    values = SAMPLERS[sampler].draw(g, tuple(shape), dtype, *parameters)
    return np.asarray(values, dtype).reshape(shape), words_of(g.bit_generator.state)


def _draw_jvp(node, tangents):
    """The numbers move with the parameters, the randomness held: a pathwise derivative."""
    sampler = SAMPLERS[node.attr("sampler")]
    if sampler.partials is None:
        raise NotDifferentiableError(
            f"{describe(node)}: the numbers that {sampler.name} draws have no derivative in its parameters",
            do="hold the parameters with stop_gradient, or draw from a distribution with loc and scale")
    values = item(node, index=0)
    parameters = [broadcast_to(p, values.shape) for p in node.args[1:]]
    terms = [d * broadcast_to(t, values.shape)
             for d, t in zip(sampler.partials(values, *parameters), tangents[1:]) if t is not None]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total, None


def _samples(rng):
    state = words_of(np.random.Philox(3).state)
    one = np.float64(1.5)
    calls = [("random", F64, ()), ("random", F32, ()), ("standard_normal", F64, ()), ("standard_exponential", F32, ()),
             ("standard_gamma", F64, (one,)), ("weibull", F64, (np.array([0.5, 1, 2, 3, 4]),)),
             ("lognormal", F64, (one, one)), ("poisson", I64, (np.float64(20),)),
             ("binomial", I64, (np.int64(40), np.float64(0.3))), ("bounded", U64, (np.uint64(3), np.uint64(10**12))),
             ("bounded", DTYPES["u8"], (np.uint64(3), np.uint64(10))), ("permuted", I64, (np.int64(5),)),
             ("distinct", I64, (np.int64(9), np.int64(1))), ("beta", F64, (one, one))]
    other = words_of(np.random.PCG64(3).state)
    return [((words, *parameters), {"sampler": s, "shape": (5,), "dtype": dtype}) for words in (state, other)
            for s, dtype, parameters in calls]


#: ``draw(state, *parameters, sampler=, shape=, dtype=)`` gives (numbers, next state). A parameter is one number, or has
#: as many elements as the result; vectors of other lengths belong to the sampler.
draw = define("draw", attrs=("sampler", "shape", "dtype"), type=_draw_type, ref=_draw_ref, jvp=_draw_jvp,
              routine="draw", differentiable=None, samples=_samples)

CHECKS |= {f"random {message}": (ValueError, message) for message in (
    "scale < 0", "shape < 0", "sigma < 0", "high - low < 0", "lam < 0 or lam is NaN", "lam < 0 or lam contains NaNs",
    "lam value too large", "p < 0, p > 1 or p is NaN", "p < 0, p > 1 or p contains NaNs", "p <= 0, p > 1 or p is NaN",
    "p <= 0, p > 1 or p contains NaNs", "p < 0, p >= 1 or p is NaN", "p < 0, p >= 1 or p contains NaNs",
    "p <= 0, p > 1 or p is NaN.", "n < 0", "n <= 0", "a <= 0", "b <= 0",
    "df <= 0", "dfnum <= 0", "dfden <= 0", "nonc < 0", "mean <= 0", "scale <= 0", "kappa < 0", "a <= 1 or a is NaN",
    "a <= 1 or a contains NaNs", "a < 0", "left > mode", "mode > right", "left == right", "low >= high", "low > high",
    "ngood < 0", "nbad < 0", "nsample < 0", "ngood + nbad < nsample", "alpha < 0", "sum(pvals[:-1]) > 1.0",
    "Probabilities are not non-negative", "Probabilities do not sum to 1. See Notes section of docstring for more "
    "information.", "pvals < 0, pvals > 1 or pvals contains NaNs", "alpha <= 0")}
CHECKS["random range"] = (OverflowError, "Range exceeds valid bounds")
