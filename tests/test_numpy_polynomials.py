"""Polynomials against NumPy: by their coefficients, as objects, and in the bases of numpy.polynomial."""

import warnings

import numpy as np
import pytest
from numpy.polynomial import chebyshev, hermite, hermite_e, laguerre, legendre, polynomial
from numpy_samples import call, cases, check, floats, ints

import tracejit

C, D, I = floats(4), floats(3, seed=2), ints(4, low=1, high=5)
Z = C + 1j * floats(4, seed=3)
X, T, Y = floats(3, 4), np.linspace(0, 1, 20), floats(20)
PAIRS = [call(C, D), call(D, C), call(I, D), call(Z, C), call(I, I[:2]), call(2.0, C), call(C, np.array([0, 0, 1.0])),
         call([1, 2], [3]), call(C.astype(np.float32), I)]
EACH = [call(C), call(I), call(Z), call(np.array([3.0])), call([1, 2, 3])]

SAMPLES = {
    np.polyval: [call(C, X), call([1, 2, 3], X), call(C, 2.0), call([1, 2], ints(3, 4)), call(C, Z), call(Z, X),
                 call([], X), call(C, [1, 2]), call(C, np.array(2))],
    np.polyadd: PAIRS, np.polysub: PAIRS, np.polymul: PAIRS, np.polydiv: PAIRS,
    np.polyder: EACH + [call(C, 2), call(C, 9), call(C, 0), call(C, -1)],
    np.polyint: EACH + [call(C, 2), call(C, 2, [1, 2]), call(C, 3, 5.0), call(C, -1), call(C, 2, [1, 2, 3]),
                        call(C, 3, [1, 2])],
    np.poly: [call(C), call(I), call(np.zeros(0)), call(floats(3, 3)).close(1e-9), call(Z), call(np.array([1j, -1j])),
              call(X)],
    np.roots: [call(C).close(1e-9), call(I).close(1e-9), call(np.array([1.0, -3, 2])).close(1e-9), call(X),
               call(np.array([0, 1, 2, 0.0])).close(1e-9), call(np.zeros(3)), call(np.zeros(0)), call([1, 0, 0]),
               call(np.array([0, 5.0]))],
    np.polyfit: [call(T, Y, 3).close(1e-8), call(T, Y, 2, w=T + 1).close(1e-8), call(T, Y, 2, cov=True).close(1e-8),
                 call(T, floats(20, 3), 2).close(1e-8), call(T, Y, 1, cov="unscaled").close(1e-8), call(T, Y, -2),
                 call(T, Y[:4], 2), call(X, Y, 2), call(T, Y, 2, w=T[:3]), call([1, 2, 3], [2, 4, 7], 1).close(1e-8)],
    np.real_if_close: [call(C), call(Z), call(C + 1e-18j), call(C + 1e-18j, 1e-30), call(1.5)],
    np.i0: [call(np.abs(X)).close(1e-12), call(3.0), call(X.astype(np.float32)), call(Z), call(I)],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


def as_numpy(f, *args, rtol=1e-9):
    """Assert that the jitted function gives what the plain one gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want, got = f(*args), tracejit.jit(f)(*args)
    many = isinstance(want, tuple)
    for g, w in zip(got if many else (got,), want if many else (want,)):
        assert np.asarray(g).dtype == np.asarray(w).dtype and np.shape(g) == np.shape(w)
        np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol)


def test_objects():
    def f(c, x):
        p, q = np.poly1d(c), np.poly1d([1, 2])
        return (p(x), (p * q).c, p.deriv()(x), p.integ().coeffs, (p + 1)(2.0), (p / q)[0].c, p.order, -p(3),
                p ** 2 == p * p, p[1], p(q).coeffs, (3 - p).c)
    as_numpy(f, C, X)
    as_numpy(lambda r: np.poly1d(r, True).c, C)
    p = np.poly1d([2.0, 0, 1])
    as_numpy(lambda x: p(x) + np.polyval(p, x), X)


BASES = {"poly": polynomial, "cheb": chebyshev, "leg": legendre, "herm": hermite, "herme": hermite_e, "lag": laguerre}


@pytest.mark.parametrize("name", BASES)
def test_bases(name):
    part = lambda what: getattr(BASES[name], name + what)
    for what in ("add", "sub", "mul", "div"):
        as_numpy(lambda a, b: part(what)(a, b), C, D)
    as_numpy(lambda c, x: part("val")(x, c), C, X)
    as_numpy(lambda c, x: part("val")(x, c), floats(4, 2), X)
    as_numpy(lambda c, x: part("val2d")(x, x, c), X, X)
    as_numpy(lambda c, x: part("grid2d")(x[0], x[1], c), X, X)
    as_numpy(lambda c: (part("der")(c), part("int")(c, 2, k=[1, 2], lbnd=0.5), part("mulx")(c), part("pow")(c, 2)), C)
    as_numpy(lambda x: part("vander")(x, 3), X)
    as_numpy(lambda t, y: part("fit")(t, y, 2), T, Y)
    as_numpy(lambda c: (np.sort(part("roots")(c)), part("fromroots")(c), part("companion")(c)), C)


def test_series():
    as_numpy(lambda c, x: np.polynomial.Polynomial(c)(x), C, X)
    as_numpy(lambda c: (np.polynomial.Chebyshev(c) * np.polynomial.Chebyshev([1, 2])).coef, C)
    as_numpy(lambda t, y: np.polynomial.Polynomial.fit(t, y, 3).coef, T, Y)
    as_numpy(lambda c, x: np.polynomial.Legendre(c).deriv()(x) + np.polynomial.Legendre(c).integ()(x), C, X)


def test_a_product_of_products_compiles_in_no_time():
    """Pieces within pieces within pieces: reading one through all of them would take exponentially many loads."""
    f = lambda c: hermite_e.hermepow(c, 3)
    as_numpy(f, D)
