"""ndarray's operators, methods and attributes on tracers, and what asks a traced array for its value."""

import collections
import copy
import math
import pickle
import re

import numpy as np
import pytest
from tracing import run, same, trace

import tracejit
from tracejit.errors import ConcretizationError, LeakError, UnsupportedError
from tracejit.trace.tracer import Tracer

X = np.arange(12.0).reshape(3, 4)
V = np.arange(5.0)
#: What a tracer lacks of ndarray: its memory, and what NumPy itself keeps for its own use.
ABSENT = {"ctypes", "data", "__array_finalize__", "__array_interface__", "__array_struct__", "__array_wrap__",
          "__buffer__", "__dlpack__", "__dlpack_device__", "__setstate__", "__class_getitem__",
          "tostring", "ptp", "itemset", "newbyteorder"}  # the last four NumPy has given up


def test_every_method_of_ndarray_is_there():
    missing = {n for n in dir(np.ndarray) if not hasattr(Tracer, n)}
    assert missing <= ABSENT


def test_attributes():
    same(lambda x: (x.shape, x.ndim, x.size, x.nbytes, x.strides, x.itemsize, x.T.strides, len(x), x.dtype), X)
    same(lambda x: (x.T, x.mT, x.flat[3], len(x.flat), x.real, x.imag, x.device), X)
    same(lambda x: (x[0].base is None, x.base is None, x.flags.c_contiguous, x.T.flags.c_contiguous), X)
    same(lambda x: x.mT, V)


def test_methods_that_are_functions():
    same(lambda x: (x.sum(), x.mean(), x.std(axis=0), x.var(ddof=1), x.prod(axis=1, keepdims=True)), X)
    same(lambda x: (x.max(), x.min(axis=1)), X)
    same(lambda x: (x.argmax(), x.argmin(axis=0), x.any(), x.all(axis=1), x.cumsum(), x.cumprod(axis=1), x.round(1)), X)
    same(lambda x: (x.clip(2, 5), x.trace(), x.take([0, 2]), x.repeat(2, axis=0), x.dot(x.T)), X)
    same(lambda x: (x.diagonal(), x.squeeze()), X)
    same(lambda x: (x.swapaxes(0, 1), x.argsort(axis=1), x.compress([True, False, True], axis=0), x.conj()), X)
    same(lambda x: x.ravel().searchsorted(2.5), X)


def test_own_methods():
    def f(x):
        y = x.copy()
        y.fill(3)
        z = x[::-1].copy()
        z.sort(axis=0)
        z.partition(1)
        return (y, z, x.flatten(), x.ravel(), x.reshape(4, 3), x.reshape((2, -1)), x.transpose(1, 0), x.transpose(),
                x.astype(int), x.astype("f4"), x.astype(bool), x.view(np.int64), x.tolist(), x.item(3), x.item((1, 2)))
    same(f, X)
    same(lambda x: x.astype("i4", casting="safe"), X)
    same(lambda x: x.reshape(5, 5), X)
    with pytest.raises(ValueError, match="copy"):
        run(lambda x: x.T.reshape(12, copy=False), X)


def test_flat():
    def f(x):
        x.flat[::2] = 1
        x.flat[1:4] = [7, 8, 9]
        a = x.flat[5] + x.flat[1:3].sum()
        x.T.flat = x.flat[0] * 2
        return a, sum(x.flat)
    same(f, X)


def test_comparisons_with_other_things():
    same(lambda x: (x == None, x != None, x == "a", x[0, 0] == None), X)  # noqa: E711
    same(lambda x: x + None, X)
    same(lambda x: x + "a", X)
    same(lambda x: x < "a", X)
    same(lambda x: x + [1, 2, 3, 4], X)
    same(lambda x: [1, 2, 3, 4] * x, X)


def test_scalars():
    def f(x):
        s = x.sum()
        return (s, s.shape, s.dtype, s[()], s[...], s.item(), s.astype("f4"), s.T, s.ravel(), s.copy(), s.real,
                s.reshape(1, 1), s.reshape(()), s.squeeze(), s.view("i8"))
    same(f, X)
    same(lambda x: x.sum()[0], X)
    same(lambda x: len(x.sum()), X)
    same(lambda x: list(x.sum()), X)


# ---------------------------------------------------------------- asking for a value
@pytest.mark.parametrize("ask", [
    lambda x: int(x[0].astype(int)) and list(range(int(x[0]))),
    lambda x: list(range(x.astype(int)[0])), lambda x: [1, 2, 3][x.argmax()], lambda x: 3.0 in x, lambda x: x.tobytes(),
    lambda x: "abc"[x.argmax()],
], ids=lambda value: getattr(value, "__name__", str(value)))
def test_what_needs_a_value_names_line_and_remedy(ask):
    with pytest.raises(ConcretizationError, match="traced array") as e:
        run(ask, V)
    assert "test_trace_methods.py:" in str(e.value) and "static" in str(e.value)


def test_what_numpy_refuses_is_refused():
    for ask in (bool, int, float, hash):
        same(lambda x: ask(x), V)
    for ask in (len, list, hash):
        same(lambda x: ask(x), np.array(2.0))
    with pytest.raises(ValueError, match="empty array"):  # as NumPy does from 2.2 on
        run(lambda x: bool(x[:0]), V)


def test_mistakes_are_those_of_arrays():
    def deletes(x):
        del x[0]

    def assigns(x):
        x[0] = "a"
    for f in (deletes, assigns, lambda x: x.foo, lambda x: x(3), lambda x: x.transpose(0, 0), lambda x: x & 1.5):
        same(f, V)
    assert "'numpy.ndarray' object has no attribute 'foo'" in str(same(lambda x: x.foo, V))
    assert "'numpy.float64' object has no attribute 'foo'" in str(same(lambda x: x[0].foo, V))


def test_a_known_value_may_be_asked_for():
    def f(x):
        n = np.arange(5)
        if n[2] == 2 and 3 in n:
            return x[int(n[1]):] * float(n.sum()), [x[k] for k in n[:2]], [7, 8, 9][n[2]], x[:n[3]]
    same(f, V)


def test_the_argument_that_decides_is_named():
    with pytest.raises(ConcretizationError) as e:
        run(lambda x, n, k: [x[0]] * range(n)[1], V, 3, 4)
    assert e.value.argument == 1
    with pytest.raises(ConcretizationError) as e:
        run(lambda x, n: range(int(x[n])), V, 3)
    assert e.value.argument is None


def test_converters():
    same(lambda x: (float(x[0]) * x, int(x[3]) + 1, complex(x[1]), abs(x), round(x[1], 1)), V.astype("f4"))
    same(lambda x: (np.float64(x[0]), np.int32(x), np.bool_(x[1]), np.complex64(x[2]), np.float16([1, 2])), V)
    same(lambda x: (math.floor(x), math.ceil(x), math.trunc(x), divmod(x, 2), x.conjugate()), np.float64(2.5))


def test_math():
    names = ("sin cos tan exp log log2 log10 log1p sqrt fabs asin atan sinh tanh asinh erf erfc gamma lgamma "
             "degrees").split()

    def f(x):
        two = [math.atan2(x, 2), math.pow(x, 3), math.hypot(x, 1), math.log(x, 3), math.copysign(x, -1)]
        return [getattr(math, n)(x) for n in names], two, math.isnan(x), math.floor(x)
    same(f, 0.5)
    same(f, np.float32(0.5))
    same(lambda x: math.sin(x), V)


def test_python_sums_and_extremes():
    same(lambda x: (sum(x), min(x), max(x), min(x[0], x[1]), max(x[2], 3.5, x[1])), V)
    same(lambda x: (sum([x[0], x[1]], x), max([x[0], 2]), max(t * 2 for t in x)), V)
    same(lambda a, b: (min(a, b), max(a, b), max(a, 2)), 3, 2.5)
    same(lambda x: min(x), np.float64(3))


def test_text_and_copies():
    def f(x):
        assert "f64[5]" in repr(x)
        y = copy.copy(x)
        y += 1
        z = copy.deepcopy(x)
        z += 1
        return x, y, z
    x, y, z = run(f, V.copy())
    assert x.sum() == 10 and y.sum() == z.sum() == 15
    with pytest.raises(UnsupportedError, match="pickling"):
        run(lambda x: pickle.dumps(x), V)
    with pytest.raises(ConcretizationError, match="the text"):
        run(lambda x: f"{x}", V)


def test_numbers_have_the_methods_of_numbers():
    f = lambda i, x: (i[0].bit_count(), int(i[1]).bit_length(), float(x[0]).hex(), x[1].as_integer_ratio(),
                      i.item(2).numerator, float(x[2]).is_integer(), x.sum().item().as_integer_ratio())
    g = tracejit.jit(f)
    for k in range(2):
        i, x = np.arange(3) * 7 + k, np.array([0.1, 2.5, 4]) + k
        assert g(i, x) == f(i, x)
    with pytest.raises(AttributeError, match="'numpy.float64' object has no attribute 'bit_count'"):
        tracejit.jit(lambda x: x[0].bit_count())(np.ones(2))


@pytest.mark.parametrize("n", (1, 2, 7, 100))
def test_fsum_is_exact(n):
    rng = np.random.default_rng(n)
    x = rng.normal(size=n) * 10.0 ** rng.integers(-12, 12, n)
    for f in (math.fsum, lambda x: math.fsum([x[0], 1e100, 1, -1e100, 3]), lambda x: math.fsum(v * v for v in x[:9])):
        got = tracejit.jit(f)(x)
        assert got == f(x) and type(got) is float
    assert tracejit.jit(math.fsum)(np.append(x, np.inf)) == np.inf
    assert np.array_equal(tracejit.grad(lambda x: math.fsum(x))(x), np.ones(n))


def test_a_long_python_loop_is_refused():
    with pytest.raises(UnsupportedError, match="20000 rows"):
        run(lambda x: list(iter(x)), np.zeros(20_000))


def test_the_shape_can_be_set():
    def f(x):
        y = x + 1
        y.shape = (4, 3)
        y.T.copy().shape = 12
        return y
    same(f, X)

    def g(x):
        y = x.copy().T
        y.shape = (12,)
    with pytest.raises(AttributeError):
        run(g, X)


def test_a_tracer_after_its_trace():
    kept = collections.UserList()
    run(lambda x: (kept.append(x), x)[1], V)
    assert "ended" in repr(kept[0])
    for use in (lambda: kept[0] + 1, lambda: kept[0][1], lambda: kept[0].sum(), lambda: bool(kept[0][0] > 1)):
        with pytest.raises(LeakError, match="after its trace had ended"):
            use()
    with pytest.raises(LeakError, match="shared"):
        trace(lambda x: x + kept[0], V)


def test_flags_of_arrays_whose_size_the_data_decide():
    def looks(x):
        found = np.unique(x)
        return found if found.flags.writeable and found.flags["C_CONTIGUOUS"] else -found
    f = tracejit.jit(looks)
    for x in (V, np.ones(3)):
        np.testing.assert_array_equal(f(x), looks(x))

    def sets(x):
        found = np.unique(x)
        found.flags.writeable = False
        found[0] = 1
        return found

    def sets_by_name(x):
        found = x[x > 1]
        found.flags["WRITEABLE"] = False
        return found
    for g in (sets, sets_by_name):
        with pytest.raises(UnsupportedError, match="flag"):
            tracejit.jit(g)(V)


def test_a_python_number_whose_value_matters_is_asked_for():
    """The caller can make the argument static then."""
    for f in (lambda n: f"{n}", lambda n: [1] * n, lambda n: (1, 2) * n, lambda n: 10 ** n, lambda n: str(n)):
        with pytest.raises(ConcretizationError) as e:
            run(f, 2)
        assert e.value.argument == 0
    same(lambda n: [1] + n, 2)
    same(lambda n: n - (1, 2), 2)
    same(lambda x: [1, 2] * x, 2.0)


@pytest.mark.parametrize("x", (np.True_, np.float64(1), np.int32(2), 1.5))
@pytest.mark.parametrize("y", (np.float32(2), 2.0, np.array(3.0), np.ones(2)))
def test_numbers_have_no_matrix_product(x, y):
    with pytest.raises((TypeError, ValueError)) as said:
        x @ y
    with pytest.raises(said.type, match=re.escape(str(said.value))):
        tracejit.jit(lambda x, y: x @ y)(x, y)
