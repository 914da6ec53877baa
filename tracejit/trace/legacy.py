"""NumPy's `RandomState`, and so `numpy.random.rand` and its like, on a traced state.

`METHODS` has them by name: ``method(state, *args, **kwargs)`` with the state as a `Legacy`, that of its bit generator
and the normal number that it keeps. What a Generator does in the same way is its method.
"""

import math
import warnings

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ir import const, item
from tracejit.symbolic.ops import random as ops
from tracejit.symbolic.ops.scalar import bitwise_and, cast, check, greater_equal, less_equal
from tracejit.symbolic.ops.shape import full_like, zeros
from tracejit.symbolic.types import F64, I64
from tracejit.trace import random as modern
from tracejit.trace.numpy.common import known, static
from tracejit.trace.numpy.registry import IMPLEMENTED
from tracejit.trace.random import DISTRIBUTIONS, Legacy, bounded, delivered, draw, shape_of, size_of
from tracejit.trace.tracer import Tracer, as_tracer, wrap

#: Method of a RandomState → what it does while tracing.
METHODS = {}


def _method(function):
    METHODS[function.__name__] = function
    return function


# ---------------------------------------------------------------- distributions
#: Distribution → what it is drawn by, where that is not what a Generator draws by.
_SAMPLERS = {
    "normal": "normal", "exponential": "exponential", "gamma": "gamma", "chisquare": "chisquare", "standard_t": "t",
    "standard_cauchy": "cauchy", **{name: name for name in (
        "beta", "wald", "f", "noncentral_chisquare", "noncentral_f", "lognormal", "negative_binomial", "rayleigh",
        "vonmises", "weibull", "power", "pareto", "zipf", "logseries", "geometric", "binomial", "hypergeometric")}}
_TABLE = {name: d.changed(sampler=f"legacy_{_SAMPLERS[name]}") if name in _SAMPLERS else d
          for name, d in DISTRIBUTIONS.items()}
_TABLE["uniform"] = _TABLE["uniform"].changed(joint=modern.finite_range)
for _name, _index, _rule in (("negative_binomial", 1, "[0, 1]"), ("hypergeometric", 2, "x >= 1")):
    _rows = list(_TABLE[_name].parameters)
    _rows[_index] = (*_rows[_index][:3], _rule)
    _TABLE[_name] = _TABLE[_name].changed(parameters=tuple(_rows))
_TABLE["standard_gamma"] = _TABLE["gamma"].changed(parameters=_TABLE["gamma"].parameters[:1], feeds=None, finish=None)
_TABLE["standard_normal"] = _TABLE["normal"].changed(parameters=(), feeds=None, finish=None)
_TABLE["standard_exponential"] = _TABLE["exponential"].changed(parameters=(), feeds=None, finish=None)
_TABLE["random_sample"] = _TABLE["random"] = DISTRIBUTIONS["uniform"].changed(
    parameters=(), feeds=None, finish=None, joint=None)

for _name, _distribution in _TABLE.items():
    def _draw_one(state, *args, _name=_name, _distribution=_distribution, **kwargs):
        return modern.sampled(state, _name, _distribution, args, kwargs)
    _draw_one.__name__ = _name
    METHODS[_name] = _draw_one
METHODS["ranf"] = METHODS["sample"] = METHODS["random_sample"]


@_method
def rand(state, *shape):
    """Draw from [0, 1)."""
    return METHODS["random_sample"](state, size=shape or None)


@_method
def randn(state, *shape):
    """Draw normal numbers of mean 0 and variance 1."""
    return METHODS["standard_normal"](state, size=shape or None)


# ---------------------------------------------------------------- integers
@_method
def randint(state, low, high=None, size=None, dtype=int):
    """Draw integers from [low, high)."""
    return bounded(state, "randint", low, high, size, dtype, "legacy_masked")


@_method
def random_integers(state, low, high=None, size=None):
    """Draw integers from [low, high]."""
    low, high = (1, low) if high is None else (low, high)
    warnings.warn(f"This function is deprecated. Please call randint({low}, {high} + 1) instead", DeprecationWarning,
                  stacklevel=2)
    drawn = randint(state, low, high + 1, size)
    return wrap(drawn.node, scalar=True) if size is None else drawn


@_method
def tomaxint(state, size=None):
    """Draw integers from 0 to the largest."""
    drawn = draw(state, "bounded", shape_of(size) or (), ops.U64, const(0, ops.U64), const(2**64 - 1, ops.U64))
    return delivered((wrap(cast(drawn, ops.U64)) >> np.uint64(1)).astype(I64).node, size)


# ---------------------------------------------------------------- orders and choices
@_method
def permutation(state, x):
    """Return a shuffled copy, or a shuffled range."""
    return modern.METHODS["permutation"](state, x)


@_method
def shuffle(state, x):
    """Shuffle an array in place along its first axis."""
    modern.METHODS["shuffle"](state, x)


@_method
def choice(state, a, size=None, replace=True, p=None):
    """Draw elements of `a` (or integers below it), with or without replacement, evenly or by their odds."""
    replace, array, shape = static(replace, "replace"), None, shape_of(size) or ()
    count = math.prod(shape)
    if isinstance(a, (list, tuple, np.ndarray)) or as_tracer(a).ndim:
        array = as_tracer(a)
        if array.ndim != 1:
            raise ValueError("a must be 1-dimensional")
        population = size_of(array.shape[0], "the size of the population")
    else:
        population = size_of(a, "the size of the population")
    if population <= 0 and count:
        raise ValueError("a must be greater than 0 unless no samples are taken" if array is None else
                         "'a' cannot be empty unless no samples are taken")
    if not replace and count > population:
        raise ValueError("Cannot take a larger sample than population when 'replace=False'")
    odds = None if p is None else modern.odds_of(p, population, 0 if replace else count, legacy=True)
    if replace and odds is None:
        index = randint(state, 0, population, size=shape)
    elif replace:
        index = modern.by_odds(odds, METHODS["random_sample"](state, shape))
    elif odds is None:
        index = permutation(state, population)[:count].reshape(shape)
    else:
        index = wrap(draw(state, "distinct_weighted", (count,), I64, odds.node)).reshape(shape)
    if array is None:
        return wrap(index.node, weak=size is None)
    if size is None:
        index = wrap(index.node, scalar=True)
    taken = IMPLEMENTED[np.take](array, index)
    return wrap(taken.node) if shape == () and size is not None else taken


# ---------------------------------------------------------------- vectors
@_method
def multinomial(state, n, pvals, size=None):
    """Draw how often each of some outcomes comes in n trials."""
    n, pvals = as_tracer(n), as_tracer(pvals)
    if n.ndim:
        raise TypeError("an integer is required")
    if pvals.ndim != 1:
        raise ValueError("pvals must be 1-dimensional")
    return modern.METHODS["multinomial"](state, n, pvals, size)


@_method
def dirichlet(state, alpha, size=None):
    """Draw vectors of positive numbers whose sum is 1."""
    checked = modern.check_known(state, "dirichlet", [alpha])
    alpha = cast(as_tracer(alpha).node, F64)
    if len(alpha.shape) != 1:
        raise ValueError("alpha must be 1-dimensional")
    if not checked:
        alpha = modern.constrained(alpha, "alpha", "x > 0")
    return wrap(draw(state, "legacy_dirichlet", (*(shape_of(size) or ()), *alpha.shape), F64, alpha))


@_method
def multivariate_normal(state, mean, cov, size=None, check_valid="warn", tol=1e-8):
    """Draw normal vectors; whether the covariance is one is not looked at."""
    mean, cov, shape = modern.mean_and_covariance(mean, cov, size, check_valid)
    z = METHODS["standard_normal"](state, (math.prod(shape[:-1]), shape[-1]))
    _, values, right = IMPLEMENTED[np.linalg.svd](cov)
    return (z @ (values[:, None] ** 0.5 * right) + mean).reshape(shape)


# ---------------------------------------------------------------- seeds
def seeded(seed):
    """Return the words that `numpy.random.seed` makes of a seed: known ones at once, traced ones in compiled code."""
    if seed is None:
        raise UnsupportedError("a random stream without a seed, in a traced function", where=user_frame(),
                               do="seed it outside the jitted function, or with a number inside")
    plain = known(seed) if isinstance(seed, (Tracer, np.ndarray, list, tuple)) else seed
    if plain is not None:
        plain = plain.tolist() if isinstance(seed, (list, tuple)) else plain  # an array of one seed counts as a number
        return const(ops.words_of(np.random.RandomState(plain)._bit_generator.state))
    seed = as_tracer(seed)
    if seed.size == 0:
        raise ValueError("Seed must be non-empty")
    if seed.dtype.kind not in "biu":
        raise TypeError(f"Cannot cast from {seed.dtype!r} to dtype('int64') according to the rule 'safe'")
    if seed.ndim > 1:
        raise ValueError("Seed array must be 1-d")
    several = bool(seed.ndim and size_of(seed.size) > 1)
    node = cast(seed.reshape(-1).node, I64)
    fits = bitwise_and(greater_equal(node, zeros(node.type)), less_equal(node, full_like(2**32 - 1, node)))
    node = check(node, fits, error="random Seed must be between 0 and 2**32 - 1", detail=())
    empty = const(np.zeros(ops.STATES["MT19937"].shape, ops.U32))
    begun = ops.draw(empty, node, const(several, I64), sampler="legacy_seeded", shape=node.shape, dtype=I64)
    return item(begun, index=1)


@_method
def seed(state, seed=None):
    """Begin the stream of a seed, with no normal number kept."""
    if state.bits.node.type != ops.STATES["MT19937"]:
        raise TypeError("can only re-seed a MT19937 BitGenerator")
    state.bits._write(seeded(seed))
    state.kept._write(nothing_kept().node)


def nothing_kept():
    """Return what a new RandomState keeps."""
    return wrap(const(np.zeros(2, ops.U64)))


def begun(seed):
    """Return the state of a RandomState that a traced function makes: each call starts from it."""
    return Legacy(wrap(seeded(seed)), nothing_kept())
