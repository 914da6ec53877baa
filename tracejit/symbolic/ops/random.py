"""Random draws as an op: from the state of a generator to numbers and the next state.

The numbers are those of `numpy.random.Generator` on the same bit generator, or of `numpy.random.RandomState` where the
sampler is one of the `legacy` ones. A state is an array of words as they lie in NumPy's memory:

- Philox4x64-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3"): position in the
  buffer, buffer (4), what is left of a word that was halved, key (2), counter (4);
- PCG64 (O'Neill 2014), of `numpy.random.default_rng`: what is left of a halved word, nothing, state (2), increment (2),
  low words first; PCG64DXSM has a pointer of NumPy's before them;
- SFC64 (Doty-Humphrey 2010): state (4), what is left of a halved word;
- MT19937 (Matsumoto and Nishimura 1998), of `numpy.random.seed`: 624 keys and a position, of 32 bits.

A `RandomState` keeps the second of two normal numbers: whether there is one, and the number.
"""

import numpy as np

from tracejit.errors import NotDifferentiableError, TypeRuleError
from tracejit.symbolic.checks import CHECKS
from tracejit.symbolic.ir import define, describe, item
from tracejit.symbolic.ops.scalar import equal, log, log1p, select
from tracejit.symbolic.ops.shape import broadcast_to, full_like, zeros
from tracejit.symbolic.types import BOOL, DTYPES, F32, F64, I64, Type

U64, U32 = DTYPES["u64"], DTYPES["u32"]
#: Bit generator of NumPy's → the type of its state.
STATES = {"Philox": Type(U64, (12,)), "PCG64": Type(U64, (6,)), "PCG64DXSM": Type(U64, (7,)),
          "SFC64": Type(U64, (5,)), "MT19937": Type(U32, (625,))}
#: The normal number that a RandomState keeps, or none.
KEPT = Type(U64, (2,))
_HALF = np.uint64(0xFFFFFFFF)
_NAMES = {kind: name for name, kind in STATES.items()}


# ---------------------------------------------------------------- states
def bits_of(kind):
    """Return the name of the bit generator that has states of a Type."""
    return _NAMES[kind]


def _halved(word):
    return {"has_uint32": int(word & _HALF), "uinteger": int(word >> np.uint64(32))}


def _word_of_half(state):
    return state["has_uint32"] | int(state["uinteger"]) << 32


def state_of(words):
    """Return the `state` of NumPy's bit generator that words stand for."""
    words = np.asarray(words)
    name = _NAMES[Type(words.dtype, words.shape)]
    if name == "MT19937":
        inner, more = {"key": words[:624].copy(), "pos": int(words[624])}, {}
    elif name == "Philox":
        inner = {"counter": words[8:12].copy(), "key": words[6:8].copy()}
        more = {"buffer": words[1:5].copy(), "buffer_pos": int(words[0] & _HALF), **_halved(words[5])}
    elif name == "SFC64":
        inner, more = {"state": words[:4].copy()}, _halved(words[4])
    else:
        wide = [int(words[k]) | int(words[k + 1]) << 64 for k in (-4, -2)]
        inner, more = {"state": wide[0], "inc": wide[1]}, _halved(words[-6])
    return {"bit_generator": name, "state": inner, **more}


def words_of(state):
    """Return the words of a `state` of NumPy's bit generator."""
    name, inner = state["bit_generator"], state["state"]
    kind = STATES[name]
    words = np.zeros(kind.shape, kind.dtype)
    if name == "MT19937":
        words[:624], words[624] = inner["key"], inner["pos"]
    elif name == "Philox":
        words[0], words[1:5], words[5] = state["buffer_pos"], state["buffer"], _word_of_half(state)
        words[6:8], words[8:12] = inner["key"], inner["counter"]
    elif name == "SFC64":
        words[:4], words[4] = inner["state"], _word_of_half(state)
    else:
        words[-6] = _word_of_half(state)
        words[-4:] = [inner[k] >> shift & (1 << 64) - 1 for k in ("state", "inc") for shift in (0, 64)]
    return words


def _bit_generator(words):
    bits = getattr(np.random, state_of(words)["bit_generator"])(0)
    bits.state = state_of(words)
    return bits


def generator(words):
    """Return NumPy's generator in the state of words."""
    return np.random.Generator(_bit_generator(words))


def legacy_generator(words, kept):
    """Return NumPy's RandomState in the state of words, which keeps a normal number or none."""
    found = np.random.RandomState(_bit_generator(words))
    state = found.get_state(legacy=False)
    found.set_state({**state, "has_gauss": int(kept[0] & _HALF), "gauss": float(kept[1:].view(F64)[0])})
    return found


def kept_of(random_state):
    """Return the words of the normal number that a RandomState keeps."""
    state = random_state.get_state(legacy=False)
    return np.array([state["has_gauss"], np.float64(state["gauss"]).view(U64)], U64)


# ---------------------------------------------------------------- samplers
class Sampler:
    """One way to draw: dtypes of its parameters, its possible results, and its meaning.

    ``draw(generator, shape, dtype, *parameters)`` is the meaning; ``partials(value, *parameters)`` the derivatives of
    the numbers drawn in each parameter, the randomness held; None where they have none. A `legacy` sampler draws from a
    RandomState; if it `keeps`, the normal number that is kept is its first parameter, and its last result.
    """

    __slots__ = ("name", "takes", "gives", "draw", "partials", "legacy", "keeps")

    def __init__(self, name, takes, gives, draw=None, partials=None, legacy=False, keeps=False):
        self.name, self.takes, self.gives = name, takes, gives
        self.draw = draw or (lambda g, shape, dtype, *parameters: getattr(g, name)(*parameters, size=shape))
        self.partials, self.legacy, self.keeps = partials, legacy, keeps


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


def _legacy(name, method, takes=(), gives=F64, keeps=True, **options):
    draw = options.pop("draw", None) or (lambda g, shape, dtype, *parameters: (
        getattr(g, method)(*parameters, size=shape)))
    return Sampler(f"legacy_{name}", takes, gives if isinstance(gives, tuple) else (gives,), draw, legacy=True,
                   keeps=keeps, **options)


def _masked(g, shape, dtype, first, span):
    """Draw integers at first, first + 1, ..., first + span, modulo the width of the dtype, by rejection."""
    if dtype == BOOL:
        return g.randint(first != 0, np.asarray(first + span != 0) + 1, size=shape, dtype=bool)
    span = np.asarray(span).astype(dtype)
    high = span.astype(object) + 1
    with np.errstate(over="ignore"):
        return g.randint(np.zeros(span.shape, object), high, size=shape, dtype=dtype) + np.asarray(first).astype(dtype)


def _seeded(g, shape, dtype, seeds, several):
    g.seed(seeds if several else int(np.ravel(seeds)[0]))
    return seeds


_ALL += [
    _legacy("normal", "standard_normal"), _legacy("cauchy", "standard_cauchy"),
    _legacy("gamma", "standard_gamma", (F64,)), _legacy("chisquare", "chisquare", (F64,)),
    _legacy("t", "standard_t", (F64,)), _legacy("lognormal", "lognormal", (F64, F64), partials=_lognormal),
    *[_legacy(name, name, (F64, F64)) for name in ("beta", "wald", "f", "noncentral_chisquare")],
    _legacy("noncentral_f", "noncentral_f", (F64, F64, F64)),
    _legacy("dirichlet", "dirichlet", (F64,), draw=lambda g, shape, dtype, alpha: g.dirichlet(alpha, shape[:-1])),
    _legacy("negative_binomial", "negative_binomial", (F64, F64), I64),
    _legacy("exponential", "standard_exponential", keeps=False),
    _legacy("rayleigh", "rayleigh", (F64,), keeps=False), _legacy("vonmises", "vonmises", (F64, F64), keeps=False),
    *[_legacy(s.name, s.name, (F64,), keeps=False, partials=s.partials) for s in _ALL
      if s.name in ("weibull", "power", "pareto")],
    *[_legacy(name, name, (F64,), I64, keeps=False) for name in ("zipf", "logseries", "geometric")],
    _legacy("binomial", "binomial", (I64, F64), I64, keeps=False),
    _legacy("hypergeometric", "hypergeometric", (I64, I64, I64), I64, keeps=False),
    #: First number and span, one for all numbers, and one for each.
    _legacy("masked", "randint", (U64, U64), _INTEGERS, keeps=False, draw=_masked),
    _legacy("masked_each", "randint", (U64, U64), _INTEGERS, keeps=False, draw=_masked),
    #: The order into which numbers are shuffled.
    _legacy("permuted", "permutation", (), I64, keeps=False, draw=lambda g, shape, dtype: g.permutation(shape[0])),
    #: Draws nothing, but begins the stream of one seed, or of several where the second parameter says so.
    _legacy("seeded", "seed", (I64, I64), I64, keeps=False, draw=_seeded),
]
SAMPLERS = {s.name: s for s in _ALL}


# ---------------------------------------------------------------- the op
def _draw_type(state, *parameters, sampler, shape, dtype):
    found = SAMPLERS.get(sampler)
    if found is None or dtype not in found.gives or state not in _NAMES:
        raise TypeRuleError(f"draw of {dtype} by {sampler!r} from {state}")
    kept = ()
    if found.keeps:
        kept, parameters = parameters[:1], parameters[1:]
        if kept != (KEPT,):
            raise TypeRuleError(f"{sampler} takes {KEPT} first, and is given {kept}")
    takes = tuple(dtype if t is None else t for t in found.takes)
    if tuple(p.dtype for p in parameters) != takes:
        raise TypeRuleError(f"{sampler} takes parameters of {takes}, and is given {parameters}")
    return Type(dtype, shape), state, *kept


def _draw_ref(state, *parameters, sampler, shape, dtype):
    found = SAMPLERS[sampler]
    if not found.legacy:
        g, kept = generator(state), ()
    elif found.keeps:
        g, parameters, kept = legacy_generator(state, parameters[0]), parameters[1:], (kept_of,)
    else:
        g, kept = np.random.RandomState(_bit_generator(state)), ()
    values = found.draw(g, tuple(shape), dtype, *parameters)
    bits = g._bit_generator if found.legacy else g.bit_generator
    after = words_of(bits.state)
    return np.asarray(values, dtype).reshape(shape), after, *(words(g) for words in kept)


def _draw_jvp(node, tangents):
    """The numbers move with the parameters, the randomness held: a pathwise derivative."""
    sampler = SAMPLERS[node.attr("sampler")]
    if sampler.partials is None:
        raise NotDifferentiableError(
            f"{describe(node)}: the numbers that {sampler.name} draws have no derivative in its parameters",
            do="hold the parameters with stop_gradient, or draw from a distribution with loc and scale")
    values, first = item(node, index=0), 2 if sampler.keeps else 1
    parameters = [broadcast_to(p, values.shape) for p in node.args[first:]]
    terms = [d * broadcast_to(t, values.shape)
             for d, t in zip(sampler.partials(values, *parameters), tangents[first:]) if t is not None]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total, *[None] * first


def _samples(rng):
    state = words_of(np.random.Philox(3).state)
    one = np.float64(1.5)
    calls = [("random", F64, ()), ("random", F32, ()), ("standard_normal", F64, ()), ("standard_exponential", F32, ()),
             ("standard_gamma", F64, (one,)), ("weibull", F64, (np.array([0.5, 1, 2, 3, 4]),)),
             ("lognormal", F64, (one, one)), ("poisson", I64, (np.float64(20),)),
             ("binomial", I64, (np.int64(40), np.float64(0.3))), ("bounded", U64, (np.uint64(3), np.uint64(10**12))),
             ("bounded", DTYPES["u8"], (np.uint64(3), np.uint64(10))), ("permuted", I64, (np.int64(5),)),
             ("distinct", I64, (np.int64(9), np.int64(1))), ("beta", F64, (one, one))]
    others = [words_of(getattr(np.random, name)(3).state) for name in STATES if name != "Philox"]
    found = [((words, *parameters), {"sampler": s, "shape": (5,), "dtype": dtype}) for words in (state, *others)
             for s, dtype, parameters in calls]
    kept = np.array([1, np.float64(0.25).view(U64)], U64)
    calls = [("normal", F64, (kept,)), ("gamma", F64, (kept, one)), ("exponential", F64, ()), ("permuted", I64, ()),
             ("lognormal", F64, (kept, one, one)), ("binomial", I64, (np.int64(40), np.float64(0.3))),
             ("masked", U32, (np.uint64(3), np.uint64(10**6)))]
    return found + [((others[-1], *parameters), {"sampler": f"legacy_{s}", "shape": (5,), "dtype": dtype})
                    for s, dtype, parameters in calls]


#: ``draw(state, *parameters, sampler=, shape=, dtype=)`` gives (numbers, next state), and what is kept then where the
#: sampler keeps a normal number. A parameter is one number, or has as many elements as the result; vectors of other
#: lengths belong to the sampler.
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
    "information.", "pvals < 0, pvals > 1 or pvals contains NaNs", "alpha <= 0",
    "Fewer non-zero entries in p than size",
    "probabilities are not non-negative", "probabilities do not sum to 1", "nsample < 1 or nsample is NaN",
    "Seed must be between 0 and 2**32 - 1")}
CHECKS["random range"] = (OverflowError, "Range exceeds valid bounds")
