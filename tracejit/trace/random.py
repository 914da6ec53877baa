"""NumPy's `Generator` on a traced state: each method draws, and leaves the state that follows.

`METHODS` has them by name: ``method(state, *args, **kwargs)`` with the state as a Tracer of words. Parameters known
while tracing are checked by NumPy itself, traced ones when the compiled function runs.
"""

import copy
import math
import operator
import typing

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.checks import CHECKS
from tracejit.symbolic.ir import const, item
from tracejit.symbolic.ops import random as ops
from tracejit.symbolic.ops.scalar import (
    absolute,
    bitwise_and,
    bitwise_or,
    cast,
    check,
    greater,
    greater_equal,
    invert,
    isfinite,
    isnan,
    less,
    less_equal,
    not_equal,
    signbit,
)
from tracejit.symbolic.ops.shape import broadcast_to, full_like, reshape, zeros
from tracejit.symbolic.types import BOOL, F32, F64, I64
from tracejit.trace.numpy.common import axis_of, deliver, known, known_dtype, static, static_ints
from tracejit.trace.numpy.registry import IMPLEMENTED
from tracejit.trace.selection import Selection
from tracejit.trace.tracer import Tracer, as_tracer, wrap

#: Method of a Generator → what it does while tracing.
METHODS = {}


def _method(function):
    METHODS[function.__name__] = function
    return function


class Legacy(typing.NamedTuple):
    """The state of a RandomState: that of its bit generator, and the normal number that it keeps."""

    bits: Tracer
    kept: Tracer


def draw(state, sampler, shape, dtype, *parameters):
    """Return the node of the numbers that a sampler draws, and advance the state."""
    held = [state.bits if isinstance(state, Legacy) else state]
    if ops.SAMPLERS[sampler].keeps:
        held.append(state.kept)
    node = ops.draw(*(part.node for part in held), *parameters, sampler=sampler, shape=tuple(shape), dtype=dtype)
    for k, part in enumerate(held, 1):
        part._write(item(node, index=k))
    return item(node, index=0)


def shape_of(size):
    """Return a size as a shape, or None where none is given."""
    return None if size is None else static_ints(size, "size")


def delivered(node, size, python=True):
    """Return drawn numbers: where no size was asked for, one is a Python number, or a NumPy scalar."""
    if size is None and not node.shape:
        return wrap(node, weak=python, scalar=not python)
    return wrap(node)


# ---------------------------------------------------------------- parameters and their constraints
def _non_negative(x):
    return bitwise_or(isnan(x), invert(signbit(x))) if x.type.kind == "f" else greater_equal(x, zeros(x.type))


def _positive(x):
    return bitwise_or(isnan(x), greater(x, zeros(x.type)))


def _closed(x):
    return bitwise_and(greater_equal(x, zeros(x.type)), less_equal(x, full_like(1, x)))


def _left_open(x):
    return bitwise_and(greater(x, zeros(x.type)), less_equal(x, full_like(1, x)))


def _right_open(x):
    return bitwise_and(greater_equal(x, zeros(x.type)), less(x, full_like(1, x)))


#: The largest mean of a Poisson distribution whose counts int64 holds.
_LARGEST = float(np.iinfo(np.int64).max - np.sqrt(np.iinfo(np.int64).max) * 10)
_NAN = (" is NaN", " contains NaNs")
#: What a constraint is called → (the predicate, the message of one number and of an array, after the name).
_CONSTRAINTS = {
    "x >= 0": (_non_negative, "{} < 0", "{} < 0"),
    "x > 0": (_positive, "{} <= 0", "{} <= 0"),
    "[0, 1]": (_closed, "p < 0, p > 1 or p is NaN", "p < 0, p > 1 or p contains NaNs"),
    "(0, 1]": (_left_open, *["p <= 0, p > 1 or p contains NaNs"] * 2),
    "[0, 1)": (_right_open, "p < 0, p >= 1 or p is NaN", "p < 0, p >= 1 or p contains NaNs"),
    "x > 1": (lambda x: greater(x, full_like(1, x)), "a <= 1 or a is NaN", "a <= 1 or a contains NaNs"),
    "mean": (lambda x: greater_equal(x, zeros(x.type)), "lam < 0 or lam is NaN", "lam < 0 or lam contains NaNs"),
    "x >= 1": (lambda x: greater_equal(x, full_like(1, x)), *["{0} < 1 or {0} is NaN"] * 2),
    "small": (lambda x: less_equal(x, full_like(_LARGEST, x)), *["lam value too large"] * 2),
}


def constrained(node, name, rule):
    """Check a parameter when the function runs."""
    holds, scalar, array = _CONSTRAINTS[rule]
    message = (scalar if not node.shape else array).format(name)
    return check(node, holds(node), error=f"random {message}", detail=())


class _Distribution:
    """A distribution by its parameters: ``(name, default, dtype, constraints...)`` each; None has no default.

    ``sampler`` is what draws, with the parameters that ``feeds`` makes of all (all of them by default); ``finish``
    makes the numbers of what was drawn and the parameters; ``joint`` gives back parameters that are checked together.
    """

    def __init__(self, sampler, *parameters, feeds=None, finish=None, gives=F64, joint=None):
        self.sampler, self.parameters, self.gives = sampler, parameters, gives
        self.feeds, self.finish, self.joint = feeds, finish, joint

    def changed(self, **changes):
        """Return the same distribution but for some of what it is made of."""
        other = copy.copy(self)
        other.__dict__.update(changes)
        return other

    def bound(self, name, args, kwargs):
        """Return (parameters, size) out of the arguments of a call."""
        names = [*(p[0] for p in self.parameters), "size"]
        if len(args) > len(names):
            raise TypeError(f"{name}() takes at most {len(names)} positional arguments ({len(args)} given)")
        given = dict(zip(names, args))
        for key, value in kwargs.items():
            if key not in names or key in given:
                raise TypeError(f"{name}() got an unexpected keyword argument {key!r}" if key not in names else
                                f"{name}() got multiple values for argument {key!r}")
            given[key] = value
        missing = [p[0] for p in self.parameters if p[1] is None and p[0] not in given]
        if missing:
            raise TypeError(f"{name}() takes at least {len(missing)} positional argument ({len(args)} given)")
        return [given.get(p[0], p[1]) for p in self.parameters], given.get("size")


def check_known(state, name, values, **options):
    """Let NumPy itself raise where parameters that are known while tracing cannot be; returns whether all are known."""
    found = [known(v) if isinstance(v, (Tracer, np.ndarray, list, tuple)) else v for v in values]
    if any(v is None for v in found):
        return False
    asked = np.random.RandomState(0) if isinstance(state, Legacy) else np.random.Generator(np.random.Philox(0))
    getattr(asked, name)(*found, **options)
    return True


def sampled(state, name, distribution, args, kwargs):
    """Draw from a distribution, with the arguments of a call."""
    values, size = distribution.bound(name, args, kwargs)
    checked = check_known(state, name, values)
    nodes = []
    for (key, _, dtype, *rules), value in zip(distribution.parameters, values):
        node = cast(as_tracer(value).node, dtype)
        for rule in () if checked else rules:
            node = constrained(node, key, rule)
        nodes.append(node)
    if not checked and distribution.joint is not None:
        nodes = distribution.joint(*nodes)
    shape = result_shape(shape_of(size), [n.shape for n in nodes])
    fed = nodes if distribution.feeds is None else distribution.feeds(*nodes)
    fed = [n if not n.shape else broadcast_to(n, shape) for n in fed]
    drawn = draw(state, distribution.sampler, shape, distribution.gives, *fed)
    if distribution.finish is not None:
        drawn = distribution.finish(drawn, *(broadcast_to(n, shape) for n in nodes))
    return delivered(drawn, size)


def result_shape(size, shapes):
    """Return the shape of numbers for parameters of some shapes, and a size or None."""
    common = np.broadcast_shapes(*shapes)
    if size is None:
        return common
    if np.broadcast_shapes(size, common) != size:
        raise ValueError(f"Output size {size} is not compatible with broadcast dimensions of inputs {common}.")
    return size


# ---------------------------------------------------------------- constraints between parameters
def _triangular(left, mode, right):
    common = np.broadcast_shapes(left.shape, mode.shape, right.shape)
    left, mode, right = (broadcast_to(n, common) for n in (left, mode, right))
    left = check(left, less_equal(left, mode), error="random left > mode", detail=())
    mode = check(mode, less_equal(mode, right), error="random mode > right", detail=())
    return left, mode, check(right, not_equal(left, right), error="random left == right", detail=())


def _hypergeometric(good, bad, count):
    common = np.broadcast_shapes(good.shape, bad.shape, count.shape)
    good, bad, count = (broadcast_to(n, common) for n in (good, bad, count))
    count = check(count, less_equal(count, good + bad), error="random ngood + nbad < nsample", detail=())
    return good, bad, count


def finite_range(low, high):
    """Check that two bounds have a finite distance."""
    common = np.broadcast_shapes(low.shape, high.shape)
    low, high = broadcast_to(low, common), broadcast_to(high, common)
    return low, check(high, isfinite(high - low), error="random range", detail=())


def _uniform(low, high):
    low, high = finite_range(low, high)
    return low, check(high, _non_negative(high - low), error="random high - low < 0", detail=())



# ---------------------------------------------------------------- the table of distributions
def _affine(z, loc, scale):
    return loc + scale * z


def _scaled(z, scale):
    return scale * z


def _standard(*_):
    return [const(0.0, F64), const(1.0, F64)]


def _loc_scale(sampler, feeds):
    return _Distribution(sampler, ("loc", 0.0, F64), ("scale", 1.0, F64, "x >= 0"), feeds=feeds, finish=_affine)


def _one(name, *rules):
    return (name, None, F64, *rules)


DISTRIBUTIONS = {
    "normal": _loc_scale("standard_normal", lambda *_: []),
    "uniform": _Distribution("random", ("low", 0.0, F64), ("high", 1.0, F64), feeds=lambda *_: [],
                             finish=lambda u, low, high: low + (high - low) * u, joint=_uniform),
    "exponential": _Distribution("standard_exponential", ("scale", 1.0, F64, "x >= 0"), feeds=lambda *_: [],
                                 finish=_scaled),
    "gamma": _Distribution("standard_gamma", _one("shape", "x >= 0"), ("scale", 1.0, F64, "x >= 0"),
                           feeds=lambda shape, scale: [shape], finish=lambda z, shape, scale: scale * z),
    "laplace": _loc_scale("laplace", _standard),
    "gumbel": _loc_scale("gumbel", _standard),
    "logistic": _loc_scale("logistic", _standard),
    "rayleigh": _Distribution("rayleigh", ("scale", 1.0, F64, "x >= 0"), feeds=lambda *_: [const(1.0, F64)],
                              finish=_scaled),
    "lognormal": _Distribution("lognormal", ("mean", 0.0, F64), ("sigma", 1.0, F64, "x >= 0")),
    "beta": _Distribution("beta", _one("a", "x > 0"), _one("b", "x > 0")),
    "chisquare": _Distribution("chisquare", _one("df", "x > 0")),
    "noncentral_chisquare": _Distribution("noncentral_chisquare", _one("df", "x > 0"), _one("nonc", "x >= 0")),
    "f": _Distribution("f", _one("dfnum", "x > 0"), _one("dfden", "x > 0")),
    "noncentral_f": _Distribution("noncentral_f", _one("dfnum", "x > 0"), _one("dfden", "x > 0"),
                                  _one("nonc", "x >= 0")),
    "standard_t": _Distribution("standard_t", _one("df", "x > 0")),
    "standard_cauchy": _Distribution("standard_cauchy"),
    "vonmises": _Distribution("vonmises", _one("mu"), _one("kappa", "x >= 0")),
    "pareto": _Distribution("pareto", _one("a", "x > 0")),
    "weibull": _Distribution("weibull", _one("a", "x >= 0")),
    "power": _Distribution("power", _one("a", "x > 0")),
    "wald": _Distribution("wald", _one("mean", "x > 0"), _one("scale", "x > 0")),
    "triangular": _Distribution("triangular", _one("left"), _one("mode"), _one("right"), joint=_triangular),
    "poisson": _Distribution("poisson", ("lam", 1.0, F64, "mean", "small"), gives=I64),
    "binomial": _Distribution("binomial", ("n", None, I64, "x >= 0"), _one("p", "[0, 1]"), gives=I64),
    "negative_binomial": _Distribution("negative_binomial", _one("n", "x > 0"), _one("p", "(0, 1]"), gives=I64),
    "geometric": _Distribution("geometric", _one("p", "(0, 1]"), gives=I64),
    "zipf": _Distribution("zipf", _one("a", "x > 1"), gives=I64),
    "logseries": _Distribution("logseries", _one("p", "[0, 1)"), gives=I64),
    "hypergeometric": _Distribution("hypergeometric", ("ngood", None, I64, "x >= 0"), ("nbad", None, I64, "x >= 0"),
                                    ("nsample", None, I64, "x >= 0"), gives=I64, joint=_hypergeometric),
}
for _name, _distribution in DISTRIBUTIONS.items():
    def _draw_one(state, *args, _name=_name, _distribution=_distribution, **kwargs):
        return sampled(state, _name, _distribution, args, kwargs)
    _draw_one.__name__ = _name
    METHODS[_name] = _draw_one


# ---------------------------------------------------------------- standard ones, with dtype= and out=
def _filled(state, name, sampler, size, dtype, out, parameters=()):
    dtype = known_dtype(dtype)
    if dtype not in (F64, F32):
        raise TypeError(f"Unsupported dtype {dtype!r} for {name}")
    shape = shape_of(size)
    nodes = [cast(as_tracer(p).node, dtype) for p in parameters]
    if out is not None:
        target = as_tracer(out)
        if target.dtype != dtype:
            raise TypeError(f"Supplied output array has the wrong type. Expected {dtype}, got {target.dtype}")
        if shape is not None and shape != target.shape:
            raise ValueError("size must match out.shape when used together")
        shape = target.shape
    shape = result_shape(shape, [n.shape for n in nodes])
    fed = [n if not n.shape else broadcast_to(n, shape) for n in nodes]
    drawn = draw(state, sampler, shape, dtype, *fed)
    return deliver(wrap(drawn), out) if out is not None else delivered(drawn, size)


@_method
def random(state, size=None, dtype=np.float64, out=None):
    """Draw from [0, 1)."""
    return _filled(state, "random", "random", size, dtype, out)


@_method
def standard_normal(state, size=None, dtype=np.float64, out=None):
    """Draw normal numbers of mean 0 and variance 1."""
    return _filled(state, "standard_normal", "standard_normal", size, dtype, out)


@_method
def standard_exponential(state, size=None, dtype=np.float64, method="zig", out=None):
    """Draw exponential numbers of mean 1, by ziggurat or by inversion."""
    sampler = "standard_exponential" if method == "zig" else "standard_exponential_inv"
    return _filled(state, "standard_exponential", sampler, size, dtype, out)


@_method
def standard_gamma(state, shape, size=None, dtype=np.float64, out=None):
    """Draw gamma numbers of scale 1."""
    if not check_known(state, "standard_gamma", [shape]):
        node = as_tracer(shape).node
        shape = wrap(constrained(cast(node, known_dtype(dtype)), "shape", "x >= 0"))
    return _filled(state, "standard_gamma", "standard_gamma", size, dtype, out, (shape,))


# ---------------------------------------------------------------- integers
@_method
def integers(state, low, high=None, size=None, dtype=np.int64, endpoint=False):
    """Draw integers from [low, high), or [low, high]."""
    endpoint = bool(static(endpoint, "endpoint"))
    return bounded(state, "integers", low, high, size, dtype, "bounded", endpoint=endpoint)


def bounded(state, name, low, high, size, dtype, sampler, **options):
    """Draw integers between bounds, as a method of NumPy's with these options does."""
    endpoint = options.get("endpoint", False)
    python = next((t for t in (int, bool) if dtype == t and isinstance(dtype, type)), None)
    dtype = known_dtype(dtype)
    if dtype.kind not in "biu":
        raise TypeError(f"Unsupported dtype {dtype!r} for integers")
    low, high = (0, low) if high is None else (low, high)
    shape = shape_of(size)
    unsigned = dtype if dtype.kind != "i" else np.dtype(f"u{dtype.itemsize}")
    if check_known(state, name, [low, high], dtype=dtype, **options):
        first, last = (np.asarray(known(v) if isinstance(v, (Tracer, list, tuple)) else v, object)
                       for v in (low, high))
        wrapped = np.frompyfunc(lambda v: int(v) % 2**64, 1, 1)
        span = np.asarray(wrapped(np.frompyfunc(int, 1, 1)(last) - np.frompyfunc(int, 1, 1)(first) - (not endpoint)))
        first, span = const(np.asarray(wrapped(first)).astype(np.uint64)), const(span.astype(np.uint64))
    else:
        first, span = _traced_bounds(as_tracer(low).node, as_tracer(high).node, dtype, endpoint)
    sampler = sampler if not first.shape and not span.shape else f"{sampler}_each"
    shape = result_shape(shape, [first.shape, span.shape])
    fed = [n if not n.shape else broadcast_to(n, shape) for n in (first, span)]
    drawn = cast(draw(state, sampler, shape, unsigned, *fed), dtype)
    if size is None and not shape and python is not None:
        return wrap(drawn, weak=True)
    return delivered(drawn, size, python=False)


def _traced_bounds(low, high, dtype, endpoint):
    """Return the first integer and the span, as 64 bits, of bounds that are checked when the function runs."""
    shape = np.broadcast_shapes(low.shape, high.shape)
    wide = ops.U64 if dtype == ops.U64 and low.dtype.kind != "i" and high.dtype.kind != "i" else I64
    low, high = (broadcast_to(cast(n, wide), shape) for n in (low, high))
    comparison, message = (less_equal, "low > high") if endpoint else (less, "low >= high")
    high = check(high, comparison(low, high), error=f"random {message}", detail=())
    if dtype.itemsize < 8 or dtype == ops.U64 and wide == I64:
        limits = (0, 1) if dtype == BOOL else (np.iinfo(dtype).min, min(np.iinfo(dtype).max, 2**63 - 1))
        low = check(low, greater_equal(low, full_like(int(limits[0]), low)), detail=(),
                    error=f"random low is out of bounds for {dtype}")
        if dtype.itemsize < 8:
            high = check(high, less_equal(high, full_like(int(limits[1]) + (not endpoint), high)), detail=(),
                         error=f"random high is out of bounds for {dtype}")
    span = high - low
    span = span if endpoint else span - 1
    return cast(low, ops.U64), cast(span, ops.U64)


# ---------------------------------------------------------------- orders and choices
def size_of(n, what="the length"):
    """Return a number that decides a size as a Python int."""
    return operator.index(static(n, what))


def _order(state, n):
    n = size_of(n)
    if isinstance(state, Legacy):
        return wrap(draw(state, "legacy_permuted", (n,), I64))
    return wrap(draw(state, "permuted", (n,), I64, const(n, I64)))


@_method
def permutation(state, x, axis=0):
    """Return a shuffled copy, or a shuffled range."""
    if not isinstance(x, (list, np.ndarray)) and as_tracer(x).ndim == 0:
        return _order(state, x)
    x = as_tracer(x)
    axis = axis_of(axis, x.ndim)
    return IMPLEMENTED[np.take](x, _order(state, x.shape[axis]), axis=axis)


@_method
def shuffle(state, x, axis=0):
    """Shuffle an array in place along one axis."""
    if not isinstance(x, (Tracer, np.ndarray, Selection)):
        raise UnsupportedError(f"shuffle of a {type(x).__name__} in a traced function", where=user_frame(),
                               do="shuffle an array, or index it by rng.permutation(len(x))")
    content = as_tracer(x)
    target = x if isinstance(x, Selection) else content
    axis = axis_of(axis, content.ndim)
    if size_of(content.size):
        target[...] = IMPLEMENTED[np.take](content, _order(state, content.shape[axis]), axis=axis)


@_method
def permuted(state, x, *, axis=None, out=None):
    """Return a copy in which each slice along an axis is shuffled for itself."""
    x = as_tracer(x)
    if axis is None:
        flat = x.reshape(-1)
        result = IMPLEMENTED[np.take](flat, _order(state, x.size)).reshape(x.shape)
        return deliver(result, out)
    axis = axis_of(axis, x.ndim)
    moved = IMPLEMENTED[np.moveaxis](x, axis, -1)
    shape = tuple(map(size_of, moved.shape))
    order = wrap(reshape(draw(state, "permuted", (math.prod(shape),), I64, const(shape[-1], I64)), shape))
    return deliver(IMPLEMENTED[np.moveaxis](IMPLEMENTED[np.take_along_axis](moved, order, -1), -1, axis), out)


@_method
def choice(state, a, size=None, replace=True, p=None, axis=0, shuffle=True):
    """Draw elements of `a` (or integers below it), with or without replacement, evenly or by their odds."""
    replace, shuffle, axis = static(replace, "replace"), static(shuffle, "shuffle"), static(axis, "axis")
    array = None
    if isinstance(a, (list, tuple, np.ndarray)) or as_tracer(a).ndim:
        array = as_tracer(a)
        population = size_of(array.shape[axis], "the size of the population")
    else:
        population = size_of(a, "the size of the population")
    shape = shape_of(size) or ()
    count = math.prod(shape)
    if population <= 0 and count:
        raise ValueError("a must be a positive integer unless no samples are taken" if array is None else
                         "a cannot be empty unless no samples are taken")
    if not replace and count > population:
        raise ValueError("Cannot take a larger sample than population when replace is False")
    odds = None if p is None else odds_of(p, population, 0 if replace else count)
    if replace and odds is None:
        index = integers(state, 0, population, size=shape)
    elif replace:
        index = by_odds(odds, random(state, shape))
    elif odds is None:
        index = wrap(reshape(draw(state, "distinct", (count,), I64, const(population, I64), const(bool(shuffle), I64)),
                             shape))
    else:
        index = wrap(reshape(draw(state, "distinct_weighted", (count,), I64, odds.node), shape))
    if array is None:
        return wrap(index.node, weak=True) if size is None else wrap(index.node)
    if size is None and array.ndim == 1:
        index = wrap(index.node, scalar=True)
    taken = IMPLEMENTED[np.take](array, index, axis=axis)
    return wrap(taken.node) if shape == () and size is not None and array.ndim == 1 else taken


def by_odds(odds, u):
    """Return the places that uniform numbers stand for."""
    sums = IMPLEMENTED[np.cumsum](odds)
    return IMPLEMENTED[np.searchsorted](sums / sums[-1], u, side="right")


def odds_of(p, population, wanted=0, legacy=False):
    """Return the probabilities of a choice, checked when the function runs; `wanted` of them must be positive."""
    p = as_tracer(p)
    if p.ndim != 1:
        raise ValueError("'p' must be 1-dimensional" if legacy else "p must be 1-dimensional")
    if p.shape[0] != population:
        raise ValueError("'a' and 'p' must have same size" if legacy else "a and p must have same size")
    tolerance = float(np.sqrt(np.finfo(np.float64).eps))
    if p.dtype.kind == "f":
        tolerance = max(tolerance, float(np.sqrt(np.finfo(p.dtype).eps)))
    node = cast(p.node, F64)
    negative, total = ("probabilities are not non-negative", "probabilities do not sum to 1") if legacy else (
        "Probabilities are not non-negative",
        "Probabilities do not sum to 1. See Notes section of docstring for more information.")
    node = check(node, greater_equal(node, zeros(node.type)), detail=(), error=f"random {negative}")
    whole = IMPLEMENTED[np.sum](wrap(node)).node
    fine = less_equal(absolute(whole - 1), full_like(tolerance, whole))
    node = check(node, broadcast_to(fine, node.shape), detail=(), error=f"random {total}")
    if wanted > 0:
        some = IMPLEMENTED[np.count_nonzero](wrap(node)).node
        enough = broadcast_to(greater_equal(some, full_like(wanted, some)), node.shape)
        node = check(node, enough, detail=(), error="random Fewer non-zero entries in p than size")
    return wrap(node)


# ---------------------------------------------------------------- vectors
@_method
def multinomial(state, n, pvals, size=None):
    """Draw how often each of some outcomes comes in n trials."""
    checked = check_known(state, "multinomial", [n, pvals])
    trials, odds = cast(as_tracer(n).node, I64), cast(as_tracer(pvals).node, F64)
    if not odds.shape:
        raise TypeError("pvals must be at least 1-dimensional")
    d = odds.shape[-1]
    if not checked:
        trials = constrained(trials, "n", "x >= 0")
        odds = check(odds, _closed(odds), error="random pvals < 0, pvals > 1 or pvals contains NaNs", detail=())
        rest = IMPLEMENTED[np.sum](wrap(odds)[..., :-1], axis=-1, keepdims=True).node
        fine = broadcast_to(less_equal(rest, full_like(1 + 1e-12, rest)), odds.shape)
        odds = check(odds, fine, error="random sum(pvals[:-1]) > 1.0", detail=())
    rows = result_shape(shape_of(size), [trials.shape, odds.shape[:-1]])
    if trials.shape:
        trials = broadcast_to(trials, rows)
    if odds.ndim > 1:
        odds = broadcast_to(odds, (*rows, d))
    return wrap(draw(state, "multinomial", (*rows, d), I64, trials, odds, const(d, I64)))


@_method
def dirichlet(state, alpha, size=None):
    """Draw vectors of positive numbers whose sum is 1."""
    checked = check_known(state, "dirichlet", [alpha])
    alpha = cast(as_tracer(alpha).node, F64)
    if not checked:
        alpha = check(alpha, _non_negative(alpha), error="random alpha < 0", detail=())
    return wrap(draw(state, "dirichlet", (*(shape_of(size) or ()), *alpha.shape), F64, alpha))


@_method
def multivariate_normal(state, mean, cov, size=None, check_valid="warn", tol=1e-8, *, method="svd"):
    """Draw normal vectors; whether the covariance is one is not looked at."""
    if method not in ("eigh", "svd", "cholesky"):
        raise ValueError("method must be one of {'eigh', 'svd', 'cholesky'}")
    mean, cov, shape = mean_and_covariance(mean, cov, size, check_valid)
    z = wrap(draw(state, "standard_normal", (math.prod(shape[:-1]), shape[-1]), F64))
    if method == "cholesky":
        factor = IMPLEMENTED[np.linalg.cholesky](cov)
    elif method == "eigh":
        values, vectors = IMPLEMENTED[np.linalg.eigh](cov)
        factor = vectors * abs(values) ** 0.5
    else:
        left, values, _ = IMPLEMENTED[np.linalg.svd](cov)
        factor = left * abs(values) ** 0.5
    return (mean + z @ factor.T).reshape(shape)


def mean_and_covariance(mean, cov, size, check_valid):
    """Return (mean, covariance, shape of the result) for normal vectors."""
    if check_valid not in ("warn", "raise", "ignore"):
        raise ValueError("check_valid must equal 'warn', 'raise', or 'ignore'")
    mean, cov = as_tracer(mean), as_tracer(cov)
    if mean.ndim != 1:
        raise ValueError("mean must be 1 dimensional")
    if cov.ndim != 2 or cov.shape[0] != cov.shape[1]:
        raise ValueError("cov must be 2 dimensional and square")
    if mean.shape[0] != cov.shape[0]:
        raise ValueError("mean and cov must have same length")
    return mean.astype(F64), cov.astype(F64), (*(shape_of(size) or ()), mean.shape[0])


#: Messages of the checks on bounds of integers.
CHECKS |= {f"random {which} is out of bounds for {name}": (ValueError, f"{which} is out of bounds for {name}")
           for which in ("low", "high")
           for name in ("bool", "int8", "int16", "int32", "uint8", "uint16", "uint32", "uint64")}
