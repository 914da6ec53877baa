"""Every ufunc of NumPy, and SciPy's that have ops: dtypes, values, keyword arguments and methods against NumPy."""

import warnings

import numpy as np
import pytest
import scipy.special
from numpy.testing.overrides import get_overridable_numpy_ufuncs
from tracing import run, same

from tracejit.errors import UnsupportedError
from tracejit.symbolic.ops.special_kernels import KERNELS
from tracejit.trace.numpy.ufuncs import SCIPY, TABLE

DTYPES = [np.dtype(c) for c in "?bBhHiIlLefdFD"]
PAIRS = [(a, a) for a in DTYPES] + [tuple(map(np.dtype, p)) for p in (
    "?b", "bB", "lL", "Ll", "lI", "if", "fi", "fd", "dF", "ed", "Be", "D?", "bd", "qf", "fl", "Lf")]
UFUNCS = sorted(get_overridable_numpy_ufuncs(), key=lambda u: u.__name__)
ELEMENTWISE = [u for u in UFUNCS if u.signature is None]


def sample(dtype, n=7, seed=0):
    """Return an array with the values at which functions differ: nan, zero, infinity, signs."""
    rng = np.random.default_rng(seed)
    if dtype.kind == "b":
        return rng.integers(0, 2, n).astype(bool)
    if dtype.kind in "iu":
        return rng.integers(-5 if dtype.kind == "i" else 0, 9, n).astype(dtype)
    if dtype.kind == "f":
        x = rng.normal(0, 2, n).astype(dtype)
        x[:4] = [np.nan, 0.0, np.inf, -0.0]
        return x
    x = (rng.normal(size=n) + 1j * rng.normal(size=n)).astype(dtype)
    x[:4] = 0, np.nan, complex(np.inf, 1), complex(0, -np.inf)
    return x


def quietly(f, *args, **kwargs):
    """Compare without NumPy's warnings, which a trace does not give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return same(f, *args, **kwargs)


def arguments(ufunc, dtypes):
    """Return sample arguments inside the domain that C defines."""
    args = [sample(d, seed=k) for k, d in enumerate(dtypes)]
    if ufunc.__name__ in ("power", "left_shift", "right_shift") and dtypes[1].kind == "i":
        args[1] = np.abs(args[1])
    return args


@pytest.mark.parametrize("ufunc", ELEMENTWISE, ids=lambda u: u.__name__)
def test_every_ufunc_in_every_dtype(ufunc):
    """A combination that NumPy refuses is refused with the same class of error."""
    for dtypes in {1: [(d,) for d in DTYPES], 2: PAIRS}.get(ufunc.nin, [(d,) * ufunc.nin for d in DTYPES]):
        quietly(lambda *a: ufunc(*a), *arguments(ufunc, dtypes))


def test_every_ufunc_is_supported_or_for_strings():
    others = {u.__name__ for u in ELEMENTWISE if u not in TABLE}
    numeric = {n for n in others if hasattr(np, n) and isinstance(getattr(np, n), np.ufunc)}
    assert numeric == {"isnat"}, "isnat is of dates; the rest are np.strings'"


@pytest.mark.parametrize("name", sorted(set(SCIPY) - set(KERNELS)))  # test_special.py has those
def test_scipy_special(name):
    ufunc = getattr(scipy.special, name)
    x = np.array([0.1, 0.5, 0.9, 0.25, 0.7])
    for dtype in (np.float64, np.float32):
        args = [(x * (k + 1)).astype(dtype) for k in range(ufunc.nin)]
        quietly(lambda *a: ufunc(*a), *args, rtol=1e-10)


def test_a_ufunc_without_an_op_is_refused_by_name():
    with pytest.raises(UnsupportedError, match=r"scipy\.special\.mathieu_a") as e:
        run(lambda x: scipy.special.mathieu_a(1, x), np.ones(3))
    assert "test_ufuncs.py" in str(e.value)
    mine = np.frompyfunc(lambda a: a, 1, 1)
    with pytest.raises((UnsupportedError, TypeError), match="ufunc"):
        run(lambda x: mine(x), np.ones(3))


# ---------------------------------------------------------------- promotion
X = np.arange(12.0).reshape(3, 4)
N = np.arange(6, dtype=np.int8) - 2


def test_python_numbers_are_weak():
    def f(n, x, k, r, c):
        return (n + k, n * r, n + c, n / k, x * k, x + r, x * c, k + 1, k / 2, k // 2, k ** 2, r + 1j, k > r, -k,
                abs(r), np.sqrt(k), np.add(k, 1), np.float32(r), divmod(k, 2), round(r, 1), k & 3, ~k, k << 2)
    same(f, N, X.astype(np.float32), 7, 2.5, 1 + 2j)


@pytest.mark.parametrize("zero", [0, 0.0, 0j, False])
def test_python_numbers_divided_by_zero(zero):
    same(lambda k, z: k / z, 3, zero)
    same(lambda k: k / zero, 3)
    if type(zero) is not complex:
        same(lambda k, z: k // z, 3, zero)
        same(lambda k, z: k % z, 2.5, zero)
        same(lambda k, z: divmod(k, z), 2.5, zero)
    quietly(lambda x, z: x / z, X, zero)


def test_python_bools_are_bools():
    same(lambda x, b: (x * b, x + b, b + b, b & (x > 1), b * 2, b + 1.5, ~(x > b)), X, True)


def test_numpy_scalars_are_strong():
    same(lambda x, a, b: (x + a, x * b, a + 1, a * b, a / 3, b ** 2, -a, a > b, abs(b)),
         X.astype("f4"), np.float64(2.5), np.int16(3))


@pytest.mark.parametrize("number", [300, -1, 2**40, 2**63, 2**70, -2**70])
@pytest.mark.parametrize("dtype", ["u1", "i1", "i8", "u8", "f4"])
def test_python_integers_out_of_range(number, dtype):
    x = np.arange(3).astype(dtype)
    if abs(number) == 2**70 and dtype == "f4":
        return  # needs more than 64 bits on the way to a float
    same(lambda x: x + number, x)
    same(lambda x: (x < number, x >= number, x == number, number > x), x)


@pytest.mark.parametrize("number", [300, -1, 100, -129, 2**40, 2**62])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u4", "i8", "u8", "f4"])
def test_run_time_integers_out_of_range(number, dtype):
    x = np.arange(3).astype(dtype)
    same(lambda x, k: x + k, x, number)
    same(lambda x, k: (x < k, x >= k, x == k, k > x, k != x, k + 1 == k), x, number)

    def assign(x, k):
        x[x > 1] = k
        x[0] = k
        return x
    same(assign, x, number)


def test_integers_of_different_signs():
    same(lambda a, b: (a + b, a < b, a == b, a >= b, b < a, b != a),
         np.array([1, -1, 5]), np.array([1, 2**63, 5], "u8"))


@pytest.mark.parametrize("y", [2, 2.0, 0.5, -1, -1.0, 0, 1, 3])
@pytest.mark.parametrize("dtype", ["i1", "i8", "f4", "f8", "?", "c8"])
def test_powers(dtype, y):
    x = np.array([1, 2, 3]).astype(dtype)
    if dtype == "?" and type(y) is float and np.lib.NumpyVersion(np.__version__) < "2.2.0":
        return  # there the dtype was int8
    quietly(lambda x: x ** y, x)
    if dtype != "?":  # a run-time 2 is no literal 2, for which NumPy has a short cut of another dtype
        quietly(lambda x, y: x ** y, x, y)
    quietly(lambda x: y ** x, x)


# ---------------------------------------------------------------- keyword arguments
def test_out():
    def f(x, o):
        r = np.add(x, 1, out=o)
        return r is o, o
    for o in (np.zeros((3, 4)), np.zeros((3, 4), "f4"), np.zeros((3, 4), "i4"), np.zeros((4, 4)), np.zeros((2, 3, 4))):
        same(f, X, o)
    same(lambda x, a, b: np.divmod(x, 2, out=(a, b)), X, np.zeros((3, 4)), np.zeros((3, 4)))
    same(lambda x, a: np.add(x, 1, a), X, np.zeros((3, 4)))


def test_out_to_an_array_from_outside():
    target = np.zeros((3, 4))
    assert run(lambda x: np.add(x, 1, out=target), X) is target
    np.testing.assert_array_equal(target, X + 1)


def test_where():
    mask = np.array([True, False, True])[:, None]
    same(lambda x, o, w: np.add(x, 1, out=o, where=w), X, np.full((3, 4), 7.0), mask)
    same(lambda x, o, w: np.add(x, 1, out=o, where=w), X, np.full((3, 4), 7.0), mask.astype(int))


def test_dtype_and_casting():
    same(lambda x, n: (np.add(x, 1, dtype="f4"), np.sin(n, dtype="f8"), np.multiply(n, n, dtype=complex)), X, N)
    same(lambda x: np.add(x, 1, dtype="i4"), X)
    same(lambda x: np.add(x, 1, dtype="i4", casting="unsafe"), X)
    same(lambda x: np.add(x, 1, signature="ff->f"), X)
    same(lambda x: np.add(x.astype("i4"), 1, casting="no"), X)


# ---------------------------------------------------------------- methods
FOLDS = [np.add, np.multiply, np.maximum, np.minimum, np.logical_and, np.logical_or, np.logical_xor, np.bitwise_and,
         np.bitwise_or, np.bitwise_xor, np.fmax, np.fmin, np.logaddexp, np.subtract, np.divide, np.hypot, np.gcd,
         np.equal, np.floor_divide]
FOLDED = [X, X + 1j, X.astype("f4"), np.arange(6, dtype="i1") - 2, np.arange(6, dtype="u2"),
          np.array([[True, False], [True, True]]), np.zeros((0, 3)), np.zeros((2, 0)), np.float64(3)]


@pytest.mark.parametrize("ufunc", FOLDS, ids=lambda u: u.__name__)
@pytest.mark.parametrize("options", [{}, {"axis": None}, {"axis": -1, "keepdims": True}, {"axis": (0, 1)}, {"axis": 5},
                                     {"dtype": "f8"}, {"initial": 2}, {"axis": ()}], ids=str)
def test_reduce(ufunc, options):
    for x in FOLDED:
        quietly(lambda x: ufunc.reduce(x, **options), x)


@pytest.mark.parametrize("ufunc", FOLDS, ids=lambda u: u.__name__)
def test_accumulate(ufunc):
    for x in FOLDED:
        quietly(lambda x: ufunc.accumulate(x), x)
        quietly(lambda x: ufunc.accumulate(x, axis=-1, dtype="f8"), x)


def test_reduce_where_and_out():
    def f(x, w):
        return (np.add.reduce(x, where=w, axis=1), np.maximum.reduce(x, axis=1, where=w, initial=-3),
                np.multiply.reduce(x, where=w, axis=None), np.logical_and.reduce(x, where=w))
    same(f, X, X > 3)
    same(lambda x, w: np.maximum.reduce(x, axis=1, where=w), X, X > 3)
    same(lambda x, w: (np.min(x, where=w, initial=3), np.fmax.reduce(x, axis=0, where=w, initial=1j)), X * 1j, X > 3)
    for ufunc in (np.maximum, np.add):
        same(lambda x: ufunc.reduce(x[:0], initial=None), X)
    for o in (np.zeros(4), np.zeros(4, int), np.zeros(3), np.zeros(4, np.int8), np.zeros(4, bool)):
        same(lambda x, o: np.add.reduce(x, axis=0, out=o), X, o)
        same(lambda x, o: np.multiply.reduce(x, axis=0, out=o), X[:2] / 2, o)


def test_a_fold_into_an_array_of_another_dtype_is_converted_at_its_end():
    for name in ("reduce", "accumulate"):
        same(lambda x, o: getattr(np.add, name)(x, out=o), np.full((2, 4), 0.5),
             np.zeros((4,) if name == "reduce" else (2, 4), np.uint8))


def test_outer():
    same(lambda x, y: (np.add.outer(x, y), np.multiply.outer(x, 2), np.less.outer(y, x), np.add.outer(2, y)), X, N)


@pytest.mark.parametrize("ufunc", [np.add, np.subtract, np.multiply, np.maximum, np.minimum, np.divide, np.power],
                         ids=lambda u: u.__name__)
def test_at(ufunc):
    def f(x, i):
        ufunc.at(x, i, 2.0)
        return x
    same(f, np.arange(5.0), np.array([0, 0, 1]))
    same(f, N, np.array([1, 1, 3]))
    if ufunc not in (np.divide, np.power):
        def g(x, i, v):
            ufunc.at(x, (slice(None), i), v)
            ufunc.at(x, (0, slice(1, 3)), 5)
            return x
        same(g, X, np.array([1, 1]), X[:, :2].copy())


def test_at_of_one_operand():
    def f(x):
        np.negative.at(x, [0, 1, 0])
        return x
    same(f, np.arange(5.0))


#: NumPy's own folds with arctan2 and power go wrong where its vector loops read what they have just written.
RUNNING = [np.subtract, np.divide, np.hypot, np.logaddexp, np.gcd, np.fmod, np.maximum, np.add, np.multiply,
           np.bitwise_xor, np.fmax]
LONG, WHOLE = np.random.default_rng(3).normal(size=100), np.random.default_rng(3).integers(1, 9, 100)


@pytest.mark.parametrize("ufunc", RUNNING, ids=lambda u: u.__name__)
def test_folds_of_any_length(ufunc):
    x = WHOLE if ufunc in (np.gcd, np.bitwise_xor) else LONG
    quietly(lambda x: (ufunc.reduce(x), ufunc.accumulate(x), ufunc.reduce(x, initial=2)), x, rtol=1e-9)
    quietly(lambda x: (ufunc.reduce(x, axis=0), ufunc.accumulate(x, axis=1)), x.reshape(50, 2), rtol=1e-9)
    quietly(lambda x: ufunc.accumulate(x, axis=1), x.reshape(2, 50), rtol=1e-9)


@pytest.mark.parametrize("ufunc", RUNNING, ids=lambda u: u.__name__)
def test_reduceat(ufunc):
    x = WHOLE if ufunc in (np.gcd, np.bitwise_xor) else LONG
    for i in ([0, 5, 3, 3, 99], [7], [0, 100], [-1], []):
        quietly(lambda x, i: ufunc.reduceat(x, i), x, np.array(i, int), rtol=1e-9)
        quietly(lambda x: ufunc.reduceat(x, np.array(i, int)), x, rtol=1e-9)
    quietly(lambda x, i: ufunc.reduceat(x, i, axis=1), x.reshape(5, 20), np.array([0, 5, 3]), rtol=1e-9)
    quietly(lambda x: ufunc.reduceat(x, np.arange(0, 20, 4), axis=1), x.reshape(5, 20), rtol=1e-9)
    quietly(lambda x, i: ufunc.reduceat(x, i), x, np.array([0.5]))
    quietly(lambda x, i: ufunc.reduceat(x, i), x, np.array([[0]]))


@pytest.mark.parametrize("ufunc", RUNNING, ids=lambda u: u.__name__)
def test_at_of_many_places_that_come_again(ufunc):
    x = WHOLE if ufunc in (np.gcd, np.bitwise_xor) else LONG
    places = np.random.default_rng(4).integers(0, 10, (2, 30))

    def f(x, i, v):
        ufunc.at(x, i, v)
        return x
    quietly(f, x.copy(), places[0], x[0], rtol=1e-9)
    # NumPy takes wrong values where it broadcasts them along indices of two axes
    quietly(f, x.copy(), places, np.resize(x, (2, 30)), rtol=1e-9)
    square = x.reshape(10, 10).copy()
    for i, v in (((places[0], places[1]), x[:30]), ((slice(0, 3), places[0]), x[:30]), (places[0], x[:10])):
        quietly(f, square, i, v.copy(), rtol=1e-9)


# ---------------------------------------------------------------- products
A, B = np.random.default_rng(0).normal(size=(2, 3, 4)), np.random.default_rng(1).normal(size=(2, 4, 3))
V = np.arange(4.0)


def test_matmul():
    same(lambda a, b, v: (a @ b, a @ b[0], a[0] @ b, a @ v, v @ b, v @ v, a[:, None] @ b), A, B, V)
    integers, bools = np.arange(6, dtype="i2").reshape(2, 3), np.eye(2, dtype=bool)
    same(lambda a, b: (a @ a.T, b @ b, a @ a.T.astype("f4")), integers, bools)
    same(lambda a, b: np.matmul(a, b, axes=[(0, 1), (1, 0), (0, 1)]), A[0], A[1])


@pytest.mark.parametrize("other", [A, V[:3], np.float64(2), np.zeros((3, 4, 3))], ids=lambda x: str(x.shape))
def test_matmul_of_shapes_that_do_not_fit(other):
    error = same(lambda a, b: a @ b, A, other)
    assert "where" in str(error)


def test_products_of_stacks():
    same(lambda a, v: (np.vecdot(a, v), np.vecdot(a, a, axis=1), np.vecdot(a * 1j, v)), A, V)
    if hasattr(np, "matvec"):  # NumPy 2.2
        same(lambda a, b, v: (np.matvec(a, v), np.vecmat(v, b)), A, B, V)
