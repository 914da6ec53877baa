"""scipy.special: the ufuncs whose kernels are SciPy's, and its functions made of ufuncs."""

import functools

import numpy as np

from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic.ops import special as ops
from tracejit.symbolic.ops import special_kernels
from tracejit.symbolic.ops.scalar import cast, select
from tracejit.symbolic.ops.shape import full_like
from tracejit.symbolic.types import F64
from tracejit.trace.numpy.common import known, refuse_option, static
from tracejit.trace.numpy.registry import implements
from tracejit.trace.numpy.ufuncs import SCIPY, TABLE
from tracejit.trace.promote import apply_ufunc
from tracejit.trace.tracer import Tracer, as_tracer, wrap


def _builder(name, op):
    def build(*nodes):
        if any(n.type.kind == "c" for n in nodes):
            raise UnsupportedError(f"scipy.special.{name} of complex numbers", where=user_frame(),
                                   do="call it outside the jitted function")
        # a loop may take whole numbers beside floats, such as the order of `expn`
        dtype = np.result_type(*(n.dtype for n in nodes if n.type.kind == "f") or (F64,))
        return op(*(cast(n, dtype) for n in nodes))
    return build


for _name, _op in special_kernels.KERNELS.items():
    SCIPY[_name] = _builder(_name, _op)
#: Ufuncs that are not public.
_PRIVATE = {"_zeta": _builder("zeta", special_kernels.zeta),
            "_riemann_zeta": _builder("zeta", lambda x: special_kernels.zetac(x) + 1)}


def _ufunc(name, *args):
    """Return a ufunc of SciPy's, public or not, of array-likes."""
    from scipy import special  # costs 0.1 s at import, and whoever calls these functions has paid it

    if name in _PRIVATE:
        found = getattr(special._ufuncs, name)
        TABLE.setdefault(found, _PRIVATE[name])
        return apply_ufunc(found, *args)
    return apply_ufunc(getattr(special, name), *args)


def _masked(keep, values, other):
    """Return `values` where `keep` is true, else a number; a scalar where both are."""
    keep, values = as_tracer(keep), as_tracer(values)
    shape = np.broadcast_shapes(keep.shape, values.shape)
    keep, values = (np.broadcast_to(x, shape).node for x in (keep, values))
    return wrap(select(keep, values, full_like(other, values)), scalar=not shape)


def _all(*conditions):
    return functools.reduce(lambda a, b: apply_ufunc(np.logical_and, a, b), conditions)


def _not(condition):
    return apply_ufunc(np.logical_not, condition)


@implements("scipy.special.polygamma")
def polygamma(n, x):
    """Return the n-th derivative of digamma; see scipy.special.polygamma."""
    order = known(n) if isinstance(n, (Tracer, list, tuple, np.ndarray)) else np.asarray(n)
    x = as_tracer(x)
    if order is not None and order.ndim == 0 and order == int(order) and 0 <= order <= 20:
        node = cast(x.node, F64)
        return wrap(ops.polygamma(node, n=int(order)) if order else ops.digamma(node))
    n = as_tracer(n)
    signed = np.where(n % 2 == 0, -1.0, 1.0) * _ufunc("gamma", n + 1.0) * _ufunc("_zeta", n + 1, x)
    return np.where(n == 0, _ufunc("psi", x), signed)


@implements("scipy.special.zeta", without=("out=",))
def zeta(x, q=None, out=None):
    """Return Riemann's or Hurwitz's zeta function; see scipy.special.zeta."""
    if out is not None:
        refuse_option("scipy.special.zeta", "out=", "assign the result: out[...] = ")
    return _ufunc("_riemann_zeta", x) if q is None else _ufunc("_zeta", x, q)


@implements("scipy.special.comb", without=("exact=True",))
def comb(N, k, *, exact=False, repetition=False):
    """Return the number of ways to choose k of N things; see scipy.special.comb."""
    if static(exact, "exact"):
        refuse_option("scipy.special.comb", "exact=True", "leave it out")
    N, k = as_tracer(N), as_tracer(k)
    if static(repetition, "repetition"):
        return _masked(_not(_all(k == 0, N >= 0)), _ufunc("binom", N + k - 1, k), 1)
    return _masked(_all(k <= N, N >= 0, k >= 0), _ufunc("binom", N, k), 0)


@implements("scipy.special.perm", without=("exact=True",))
def perm(N, k, exact=False):
    """Return the number of ways to arrange k of N things; see scipy.special.perm."""
    if static(exact, "exact"):
        refuse_option("scipy.special.perm", "exact=True", "leave it out")
    N, k = as_tracer(N), as_tracer(k)
    return _masked(_all(k <= N, N >= 0, k >= 0), _ufunc("poch", N - k + 1, k), 0)


@implements("scipy.special.factorial", without=("exact=True", "extend='complex'"))
def factorial(n, exact=False, extend="zero"):
    """Return the gamma function one further on, 0 for negative numbers; see scipy.special.factorial."""
    if static(exact, "exact"):
        refuse_option("scipy.special.factorial", "exact=True", "leave it out")
    if extend != "zero":
        refuse_option("scipy.special.factorial", f"extend={extend!r}", "leave it out")
    n = as_tracer(n)
    values = _masked(_not(n < 0), _ufunc("gamma", n + 1), 0)
    return wrap(cast(values.node, F64), scalar=n.scalar or n.weak)


@implements("scipy.special.multigammaln")
def multigammaln(a, d):
    """Return the logarithm of the multivariate gamma function; see scipy.special.multigammaln."""
    d = int(static(d, "d"))
    a = as_tracer(a)
    total = (d * (d - 1) * 0.25) * np.log(np.pi)
    for j in range(1, d + 1):
        total = total + _ufunc("gammaln", a - (j - 1.0) / 2)
    return total
