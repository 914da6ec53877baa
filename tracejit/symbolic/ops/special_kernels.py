"""Special functions that SciPy's own kernels compute, element by element: one row each.

A row has the derivative in each argument, ``None`` where there is none in closed form: then a derivative that is asked
for is refused. Formulas: Abramowitz and Stegun, "Handbook of Mathematical Functions" (chapters 5 to 10, 15, 17, 26),
and the NIST Digital Library of Mathematical Functions.
"""

import math
from fractions import Fraction

import numpy as np

from tracejit.errors import NotDifferentiableError
from tracejit.symbolic.ir import Spelling, define, describe
from tracejit.symbolic.ops.scalar import (
    FLOAT,
    _rule,
    equal,
    exp,
    log,
    log1p,
    select,
    sign,
    sin,
    sqrt,
)
from tracejit.symbolic.ops.shape import full_like, zeros
from tracejit.symbolic.ops.special import digamma, erf, gammaln
from tracejit.symbolic.types import DTYPES

_ROOT_PI, _ROOT_TAU = float(np.sqrt(np.pi)), float(np.sqrt(2 * np.pi))
#: Ops by SciPy's names.
KERNELS = {}


def _ref(name):
    def ref(*xs):
        from scipy import special  # costs 0.1 s at import; only oracles and constant folding need it

        # in double precision, as the kernels are; SciPy's own single precision is worse in places
        return getattr(special, name)(*(x.astype(np.float64) for x in xs)).astype(xs[0].dtype)
    return ref


def _jvp(partials):
    def jvp(node, tangents):
        total = None
        for partial, t in zip(partials, tangents):
            if t is None:
                continue
            if partial is None:
                raise NotDifferentiableError(
                    f"{describe(node)} has no derivative in its argument {partials.index(None)} in closed form",
                    do="hold that argument with stop_gradient")
            term = partial(*node.args) * t
            total = term if total is None else total + term
        return total
    return jvp


def _samples(domains):
    """Return samples over the domains, for derivatives, and at edges, for the meaning."""
    edges = (0.0, -0.0, 1.0, 2.0, -1.0, -2.5, 1e-3, 30.0, np.inf, -np.inf, np.nan)

    def samples(rng):
        for dtype in ("f16", "f32", "f64"):
            yield [rng.uniform(*d, (2, 3)).astype(DTYPES[dtype]) for d in domains], {}
        yield [np.float64(rng.uniform(*d)) for d in domains], {}
        if len(domains) < 3:
            grid = np.meshgrid(*[np.array(edges)] * len(domains))
            yield [g.ravel() for g in grid], {}
    return samples


def kernel(name, domains, *partials):
    """Define the op of a function of SciPy's: its arguments' domains for samples, and its derivatives."""
    refuses = None in partials
    places, names = (", ".join(text % k for k in range(len(domains))) for text in ("{%d}", "x%d"))
    spelling = Spelling(
        f"(({{T}})tj_special_{name}_({places}, 0))", f"tj_special_{name}({places})", routine=f"special_{name}",
        py_support=("from tracejit.kernels import specials\n"
                    f"special_{name} = specials.function({name!r})\n"
                    f"def tj_special_{name}({names}):\n    return special_{name}({names}, 0)"))
    if refuses:
        fields = {"differentiable": None, "jvp": _jvp(partials) if any(partials) else None}
    else:
        fields = {"partials": lambda *xs: tuple(p(*xs) for p in partials)}
    op = KERNELS[name] = define(name, type=_rule(name, FLOAT, None), ref=_ref(name), scalar=spelling,
                                samples=_samples(domains), **fields)
    return op


def _at_zero(x, value, otherwise):
    """Return `otherwise(x)`, and `value` where x is 0."""
    zero = equal(x, zeros(x.type))
    return select(zero, full_like(value, x), otherwise(select(zero, full_like(1, x), x)))


_ANY, _PLUS, _UNIT, _ORDER = (-3.0, 3.0), (0.3, 4.0), (0.1, 0.9), (0.5, 3.0)

# ---------------------------------------------------------------- error functions and the normal distribution
erfinv = kernel("erfinv", [(-0.9, 0.9)], lambda x: _ROOT_PI / 2 * exp(erfinv(x) * erfinv(x)))
erfcinv = kernel("erfcinv", [(0.1, 1.9)], lambda x: -_ROOT_PI / 2 * exp(erfcinv(x) * erfcinv(x)))
erfcx = kernel("erfcx", [_ANY], lambda x: 2 * x * erfcx(x) - 2 / _ROOT_PI)
erfi = kernel("erfi", [_ANY], lambda x: 2 / _ROOT_PI * exp(x * x))
dawsn = kernel("dawsn", [_ANY], lambda x: 1 - 2 * x * dawsn(x))
ndtri = kernel("ndtri", [_UNIT], lambda x: _ROOT_TAU * exp(0.5 * ndtri(x) * ndtri(x)))
log_ndtr = kernel("log_ndtr", [_ANY], lambda x: exp(-0.5 * x * x - log_ndtr(x)) / _ROOT_TAU)
ndtri_exp = kernel("ndtri_exp", [(-3.0, -0.1)],
                   lambda y: _ROOT_TAU * exp(y + 0.5 * ndtri_exp(y) * ndtri_exp(y)))
owens_t = kernel("owens_t", [_ANY, _ANY],
                 lambda h, a: -exp(-0.5 * h * h) * erf(a * h * float(np.sqrt(0.5))) / (2 * _ROOT_TAU),
                 lambda h, a: exp(-0.5 * h * h * (1 + a * a)) / (2 * np.pi * (1 + a * a)))

# ---------------------------------------------------------------- exponential and related integrals
exp1 = kernel("exp1", [_PLUS], lambda x: -exp(-x) / x)
expi = kernel("expi", [_PLUS], lambda x: exp(x) / x)
expn = kernel("expn", [(2.0, 2.0), _PLUS], None, lambda n, x: -expn(n - 1, x))
spence = kernel("spence", [_PLUS], lambda z: _at_zero(z - 1, -1, lambda d: -log(1 + d) / d))
exprel = kernel("exprel", [_ANY], lambda x: _at_zero(x, 0.5, lambda s: (exp(x) - exprel(x)) / s))

# ---------------------------------------------------------------- gamma and beta
loggamma = kernel("loggamma", [_PLUS], lambda x: digamma(x))
rgamma = kernel("rgamma", [_PLUS], lambda x: -digamma(x) * rgamma(x))
beta = kernel("beta", [_PLUS, _PLUS], lambda a, b: beta(a, b) * (digamma(a) - digamma(a + b)),
              lambda a, b: beta(a, b) * (digamma(b) - digamma(a + b)))
betaln = kernel("betaln", [_PLUS, _PLUS], lambda a, b: digamma(a) - digamma(a + b),
                lambda a, b: digamma(b) - digamma(a + b))
poch = kernel("poch", [_PLUS, _PLUS], lambda z, m: poch(z, m) * (digamma(z + m) - digamma(z)),
              lambda z, m: poch(z, m) * digamma(z + m))
binom = kernel("binom", [(3.2, 5.8), (0.2, 2.8)], lambda n, k: binom(n, k) * (digamma(n + 1) - digamma(n - k + 1)),
               lambda n, k: binom(n, k) * (digamma(n - k + 1) - digamma(k + 1)))
gammasgn = kernel("gammasgn", [_PLUS], lambda x: zeros(x.type))


def _gamma_density(a, x):
    return exp((a - 1) * log(x) - x - gammaln(a))


def _beta_density(a, b, x):
    return exp((a - 1) * log(x) + (b - 1) * log1p(-x) - betaln(a, b))


gammainc = kernel("gammainc", [_PLUS, _PLUS], None, _gamma_density)
gammaincc = kernel("gammaincc", [_PLUS, _PLUS], None, lambda a, x: -_gamma_density(a, x))
gammaincinv = kernel("gammaincinv", [_PLUS, _UNIT], None, lambda a, y: 1 / _gamma_density(a, gammaincinv(a, y)))
gammainccinv = kernel("gammainccinv", [_PLUS, _UNIT], None, lambda a, y: -1 / _gamma_density(a, gammainccinv(a, y)))
betainc = kernel("betainc", [_PLUS, _PLUS, _UNIT], None, None, _beta_density)
betaincc = kernel("betaincc", [_PLUS, _PLUS, _UNIT], None, None, lambda a, b, x: -_beta_density(a, b, x))
betaincinv = kernel("betaincinv", [_PLUS, _PLUS, _UNIT], None, None,
                    lambda a, b, y: 1 / _beta_density(a, b, betaincinv(a, b, y)))
betainccinv = kernel("betainccinv", [_PLUS, _PLUS, _UNIT], None, None,
                     lambda a, b, y: -1 / _beta_density(a, b, betainccinv(a, b, y)))
zetac = kernel("zetac", [(1.5, 5.0)], None)
stdtr = kernel("stdtr", [_PLUS, _ANY], None, lambda v, t: exp(
    gammaln((v + 1) * 0.5) - gammaln(v * 0.5) - 0.5 * (v + 1) * log1p(t * t / v)) / sqrt(v * float(np.pi)))
chdtr = kernel("chdtr", [_PLUS, _PLUS], None, lambda v, x: 0.5 * _gamma_density(0.5 * v, 0.5 * x))
chdtrc = kernel("chdtrc", [_PLUS, _PLUS], None, lambda v, x: -0.5 * _gamma_density(0.5 * v, 0.5 * x))

# ---------------------------------------------------------------- Bessel functions
j1 = kernel("j1", [_PLUS], lambda x: j0(x) - _at_zero(x, 0.5, lambda s: j1(x) / s))
j0 = kernel("j0", [_PLUS], lambda x: -j1(x))
y1 = kernel("y1", [_PLUS], lambda x: y0(x) - y1(x) / x)
y0 = kernel("y0", [_PLUS], lambda x: -y1(x))
i1 = kernel("i1", [_PLUS], lambda x: i0(x) - _at_zero(x, 0.5, lambda s: i1(x) / s))
i0 = kernel("i0", [_PLUS], lambda x: i1(x))
i1e = kernel("i1e", [_PLUS], lambda x: i0e(x) - _at_zero(x, 0.5, lambda s: i1e(x) / s) - sign(x) * i1e(x))
i0e = kernel("i0e", [_PLUS], lambda x: i1e(x) - sign(x) * i0e(x))
k1 = kernel("k1", [_PLUS], lambda x: -k0(x) - k1(x) / x)
k0 = kernel("k0", [_PLUS], lambda x: -k1(x))
k1e = kernel("k1e", [_PLUS], lambda x: k1e(x) * (1 - 1 / x) - k0e(x))
k0e = kernel("k0e", [_PLUS], lambda x: k0e(x) - k1e(x))
jv = kernel("jv", [_ORDER, _PLUS], None, lambda v, x: 0.5 * (jv(v - 1, x) - jv(v + 1, x)))
jve = kernel("jve", [_ORDER, _PLUS], None, lambda v, x: 0.5 * (jve(v - 1, x) - jve(v + 1, x)))
yv = kernel("yv", [_ORDER, _PLUS], None, lambda v, x: 0.5 * (yv(v - 1, x) - yv(v + 1, x)))
yve = kernel("yve", [_ORDER, _PLUS], None, lambda v, x: 0.5 * (yve(v - 1, x) - yve(v + 1, x)))
iv = kernel("iv", [_ORDER, _PLUS], None, lambda v, x: 0.5 * (iv(v - 1, x) + iv(v + 1, x)))
ive = kernel("ive", [_ORDER, _PLUS], None, lambda v, x: 0.5 * (ive(v - 1, x) + ive(v + 1, x)) - sign(x) * ive(v, x))
kv = kernel("kv", [_ORDER, _PLUS], None, lambda v, x: -0.5 * (kv(v - 1, x) + kv(v + 1, x)))
kve = kernel("kve", [_ORDER, _PLUS], None, lambda v, x: kve(v, x) - 0.5 * (kve(v - 1, x) + kve(v + 1, x)))
kn = kernel("kn", [(2.0, 2.0), _PLUS], None, lambda n, x: -0.5 * (kv(n - 1, x) + kv(n + 1, x)))
yn = kernel("yn", [(2.0, 2.0), _PLUS], None, lambda n, x: 0.5 * (yv(n - 1, x) - yv(n + 1, x)))
struve = kernel("struve", [_ORDER, _PLUS], None, lambda v, x: struve(v - 1, x) - v / x * struve(v, x))

# ---------------------------------------------------------------- elliptic and hypergeometric functions
ellipk = kernel("ellipk", [_UNIT], lambda m: (ellipe(m) / (1 - m) - ellipk(m)) / (2 * m))
ellipe = kernel("ellipe", [_UNIT], lambda m: (ellipe(m) - ellipk(m)) / (2 * m))
ellipkinc = kernel("ellipkinc", [_UNIT, _UNIT], lambda phi, m: 1 / sqrt(1 - m * sin(phi) * sin(phi)), lambda phi, m: (
    ellipeinc(phi, m) / (2 * m * (1 - m)) - ellipkinc(phi, m) / (2 * m)
    - sin(2 * phi) / (4 * (1 - m) * sqrt(1 - m * sin(phi) * sin(phi)))))
ellipeinc = kernel("ellipeinc", [_UNIT, _UNIT], lambda phi, m: sqrt(1 - m * sin(phi) * sin(phi)), lambda phi, m: (
    ellipeinc(phi, m) - ellipkinc(phi, m)) / (2 * m))
hyp0f1 = kernel("hyp0f1", [_PLUS, _PLUS], None, lambda v, z: hyp0f1(v + 1, z) / v)
hyp1f1 = kernel("hyp1f1", [_PLUS, _PLUS, _PLUS], None, None, lambda a, b, x: a / b * hyp1f1(a + 1, b + 1, x))
hyp2f1 = kernel("hyp2f1", [_PLUS, _PLUS, _PLUS, (0.1, 0.6)], None, None, None,
                lambda a, b, c, x: a * b / c * hyp2f1(a + 1, b + 1, c + 1, x))
agm = kernel("agm", [_PLUS, _PLUS], None, None)

# ---------------------------------------------------------------- powers near one, angles in degrees
cosm1 = kernel("cosm1", [_ANY], lambda x: -sin(x))
sindg = kernel("sindg", [_ANY], lambda x: float(np.pi / 180) * cosdg(x))
cosdg = kernel("cosdg", [_ANY], lambda x: -float(np.pi / 180) * sindg(x))
boxcox1p = kernel("boxcox1p", [_PLUS, _PLUS], lambda x, k: exp((k - 1) * log1p(x)), lambda x, k: _at_zero(
    k, 0, lambda s: (exp(k * log1p(x)) * log1p(x) - boxcox1p(x, k)) / s))
inv_boxcox = kernel("inv_boxcox", [_UNIT, _PLUS], lambda y, k: exp((1 / k - 1) * log1p(k * y)), lambda y, k: (
    inv_boxcox(y, k) * (y / (k * (1 + k * y)) - log1p(k * y) / (k * k))))
inv_boxcox1p = kernel("inv_boxcox1p", [_UNIT, _PLUS], lambda y, k: exp((1 / k - 1) * log1p(k * y)), lambda y, k: (
    (1 + inv_boxcox1p(y, k)) * (y / (k * (1 + k * y)) - log1p(k * y) / (k * k))))
pseudo_huber = kernel("pseudo_huber", [_PLUS, _ANY], lambda d, r: (
    2 * d * (sqrt(1 + r * r / (d * d)) - 1) - r * r / d / sqrt(1 + r * r / (d * d))),
    lambda d, r: r / sqrt(1 + r * r / (d * d)))

# ---------------------------------------------------------------- Hurwitz's zeta function, which SciPy does not export
#: B(2j) / (2j)!, j = 1 .. 12, of the Euler-Maclaurin formula.
_BERNOULLI = tuple(float(Fraction(b) / math.factorial(2 * j)) for j, b in enumerate((
    "1/6", "-1/30", "1/42", "-1/30", "5/66", "-691/2730", "7/6", "-3617/510", "43867/798", "-174611/330", "854513/138",
    "-236364091/2730"), 1))

_ZETA_C = """static inline {{T}} tj_zeta_{{t}}({{T}} s, {{T}} q) {{{{
  static const double c[12] = {{{{{table}}}}};
  const double x = s;
  if (x == 1) return ({{T}})TJ_INF;
  if (x < 1 || q != q) return ({{T}})TJ_NAN;
  if (q <= 0) {{{{
    if (q == floor((double)q)) return ({{T}})TJ_INF;
    if (x != floor(x)) return ({{T}})TJ_NAN;
  }}}}
  if (x != x) return ({{T}})TJ_NAN;
  if (q > 1e8) return ({{T}})((1 / (x - 1) + 1 / (2 * (double)q)) * pow((double)q, 1 - x));
  double sum = pow((double)q, -x), a = q, term = 0;
  for (int i = 0; i < 9 || a <= 9; i++) {{{{
    a += 1;
    term = pow(a, -x);
    sum += term;
    if (fabs(term) < 1e-17 * fabs(sum)) return ({{T}})sum;
  }}}}
  sum += term * a / (x - 1) - 0.5 * term;
  double rising = x;
  for (int j = 0; j < 12; j++) {{{{
    term /= a;
    const double part = rising * term * c[j];
    sum += part;
    if (fabs(part) < 1e-17 * fabs(sum)) break;
    rising *= (x + 2 * j + 1) * (x + 2 * j + 2);
    term /= a;
  }}}}
  return ({{T}})sum;
}}}}""".format(table=", ".join(map(repr, _BERNOULLI)))
_ZETA_PY = f'''def tj_zeta(s, q):
    c = {_BERNOULLI!r}
    x = s
    if x == 1:
        return np.inf
    if x < 1 or q != q:
        return np.nan
    if q <= 0:
        if q == math.floor(q):
            return np.inf
        if x != x or x != math.floor(x):
            return np.nan
    if x != x:
        return np.nan
    if q > 1e8:
        return (1 / (x - 1) + 1 / (2 * q)) * q ** (1 - x)
    total, a, term, i = q ** -x, q, 0.0, 0
    while i < 9 or a <= 9:
        a += 1
        term = a ** -x
        total += term
        if abs(term) < 1e-17 * abs(total):
            return total
        i += 1
    total += term * a / (x - 1) - 0.5 * term
    rising = x
    for j in range(12):
        term /= a
        part = rising * term * c[j]
        total += part
        if abs(part) < 1e-17 * abs(total):
            break
        rising *= (x + 2 * j + 1) * (x + 2 * j + 2)
        term /= a
    return total'''
#: ``sum((q + n) ** -x for n = 0, 1, ...)``, by the Euler-Maclaurin formula (A&S 23.1.30).
zeta = define("zeta", type=_rule("zeta", FLOAT, None), ref=_ref("zeta"), differentiable=None,
              jvp=_jvp((None, lambda x, q: -x * zeta(x + 1, q))), samples=_samples([(1.5, 5.0), _PLUS]),
              scalar=Spelling("tj_zeta_{t}({0}, {1})", "tj_zeta({0}, {1})", support=_ZETA_C, py_support=_ZETA_PY))
