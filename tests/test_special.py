"""scipy.special in traced code: SciPy's answer, and derivatives against differences."""

import numpy as np
import pytest
from numpy_samples import call, cases, check, floats
from scipy import special

from tracejit import config, grad, jit, jvp
from tracejit.errors import NotDifferentiableError, UnsupportedError
from tracejit.symbolic.ops.special_kernels import KERNELS
from tracejit.trace.numpy.namespace import load_chapters
from tracejit.trace.numpy.registry import IMPLEMENTED
from tracejit.trace.numpy.ufuncs import SCIPY

load_chapters()

A, P = floats(3, 4), np.abs(floats(3, 4)) + 0.5
N, K = np.arange(12.0).reshape(3, 4), np.array([0.0, 1.0, 2.0, 5.0])
SIGNS = np.where(A > 0, 1.0, -2.0)
SAMPLES = {
    special.polygamma: [call(0, P), call(1, P), call(3, P).close(1e-12), call(2, P.astype(np.float32)).close(1e-12),
                        call(1, 2.5), call(np.array([0, 1, 2, 3]), P).close(1e-12), call(2, -P).close(1e-9)],
    special.zeta: [call(P + 1), call(P + 1, P).close(1e-14), call(2.0), call(3.0, 0.25), call(A),
                   call(A, P).close(1e-14),
                   call(2.0, np.array([-0.5, 0.0, -3.0, 1e9])), call((P + 1).astype(np.float32), P.astype(np.float32))],
    special.comb: [call(N, K), call(10, 3.0), call(N, 2, repetition=True), call(5.0, N), call(A * 5, K),
                   call(0.0, np.array([0.0, 1.0]), repetition=True)],
    special.perm: [call(N, K), call(10.0, 3), call(5.0, N)],
    special.factorial: [call(N), call(A * 3), call(5.0), call(np.arange(5)), call(np.array(3.0)),
                        call(P.astype(np.float32)).close(1e-6), call(np.array([np.nan, -1.5, np.inf]))],
    special.multigammaln: [call(P + 3, 3), call(5.5, 2)],
    special.logsumexp: [call(A, return_sign=True), call(A, 0, SIGNS, return_sign=True),
                        call(A, 1, b=SIGNS, return_sign=True), call(A, (0, 1), True, return_sign=True),
                        call(A, 1, SIGNS, keepdims=True, return_sign=True)],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_functions(function, sample):
    check(function, sample)


def ranges(name, n=40):
    """Return arguments inside the domains of a kernel."""
    rng = np.random.default_rng(len(name))
    (_, args), *_ = [(None, sample) for sample, _ in KERNELS[name].samples(rng)][2:3] or [(None, ())]
    return [np.resize(a, n) * (1 + 1e-3 * np.arange(n)) if np.ptp(a) else a[:1, 0].repeat(n) for a in args]


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_kernels_are_scipys(name):
    function = getattr(special, name)
    args = ranges(name)
    f = jit(lambda *a: function(*a))
    got, want = f(*args), function(*args)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, want)
    singles = [a.astype(np.float32) for a in args]
    got = f(*singles)
    assert got.dtype == function(*singles).dtype
    # SciPy's own single precision is less accurate in places: ours is the double result, rounded
    np.testing.assert_allclose(got, function(*(a.astype(float) for a in singles)), rtol=2e-7)
    edges = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -2.5, 1e-300, 50.0, np.inf, -np.inf, np.nan])
    if function.nin < 3:
        grid = [g.ravel() for g in np.meshgrid(*[edges] * function.nin)]
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(f(*grid), function(*grid))


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_derivatives_are_the_limit_of_differences(name):
    """In each argument that has one; where there is none, the error says so."""
    function, args = getattr(special, name), ranges(name, 5)
    for k in range(function.nin):
        directions = [np.full(5, 1.0 * (i == k)) for i in range(function.nin)]

        def along(x, k=k):
            return function(*(x if i == k else a for i, a in enumerate(args)))
        try:
            _, tangent = jvp(along, (args[k],), (directions[k],))
        except NotDifferentiableError as error:
            assert "stop_gradient" in error.do
            assert name in REFUSED and k in REFUSED[name]
            continue
        assert k not in REFUSED.get(name, ())
        step = 1e-4
        rows = [along(args[k] + j * step) for j in (-2, -1, 1, 2)]
        want = (rows[0] - 8 * rows[1] + 8 * rows[2] - rows[3]) / (12 * step)
        np.testing.assert_allclose(tangent, want, rtol=1e-7, atol=1e-9)


#: Arguments in which there is no derivative in closed form.
REFUSED = {name: (0,) for name in "expn gammainc gammaincc gammaincinv gammainccinv zetac stdtr chdtr chdtrc jv jve yv "
           "yve iv ive kv kve kn yn struve hyp0f1".split()}
REFUSED |= {name: (0, 1) for name in "betainc betaincc betaincinv betainccinv hyp1f1 agm".split()}
REFUSED |= {"hyp2f1": (0, 1, 2)}


def test_second_derivatives():
    x = 1.7
    np.testing.assert_allclose(grad(grad(lambda x: special.jv(0.0, x)))(x),
                               0.5 * (special.jv(2, x) - special.jv(0, x)), rtol=1e-12)
    np.testing.assert_allclose(grad(grad(special.ndtri))(0.3), 2 * np.pi * special.ndtri(0.3) * np.exp(
        special.ndtri(0.3) ** 2), rtol=1e-12)
    np.testing.assert_allclose(grad(lambda q: special.zeta(3.0, q))(0.7), -3 * special.zeta(4.0, 0.7), rtol=1e-13)


def test_orders_may_be_integers():
    x = np.linspace(0.5, 4, 7)
    for name, n in (("kn", 2), ("yn", 1), ("expn", 3), ("jn", 2), ("jv", 2), ("kv", 1)):
        function = getattr(special, name)
        np.testing.assert_array_equal(jit(lambda x, f=function, n=n: f(n, x))(x), function(n, x))
        np.testing.assert_array_equal(jit(lambda n, x, f=function: f(n, x))(np.array([1, 2, 0, 3, 1, 1, 2]), x),
                                      function(np.array([1, 2, 0, 3, 1, 1, 2]), x))


@pytest.mark.parametrize("backend", ["numba", "ref"])
def test_other_backends(backend):
    x = np.linspace(0.5, 4, 7)
    f = lambda x: special.jv(1.5, x) + special.gammainc(2.0, x) + special.zeta(x + 1, x)
    with config.context(backend=backend):
        np.testing.assert_allclose(jit(f)(x), f(x), rtol=1e-14)


def test_complex_numbers_are_refused_by_name():
    with pytest.raises(UnsupportedError, match=r"scipy\.special\.jv of complex numbers"):
        jit(lambda z: special.jv(1.0, z))(np.array([1 + 2j]))


def test_every_function_of_the_list_is_there():
    listed = ("gammaln psi digamma xlogy gamma expit erf kv boxcox betaln gammainc beta loggamma jv betainc binom yv "
              "iv xlog1py kve erfc logit ndtr ndtri log_ndtr erfinv erfcinv i0 i0e i1 i1e j0 j1 entr rel_entr kl_div "
              "huber "
              "poch").split()
    assert not [n for n in listed if n not in SCIPY]
    functions = "polygamma zeta logsumexp softmax log_softmax comb factorial".split()
    assert not [n for n in functions if f"scipy.special.{n}" not in IMPLEMENTED]
