"""Python's builtins, `math` and `print` on traced values: what they give and show is Python's, decided at run time."""

import itertools
import logging
import math
import warnings

import numpy as np
import pytest
from test_flow_traced import everywhere
from tracing import call, run, same, trace

import tracejit
from tracejit.errors import UnsupportedError

X = np.array([3.0, -1.0, 2.0, 0.5, -4.0, 7.0, 1.5, -2.5, 0.0, 6.0])


# ---------------------------------------------------------------- numbers
def test_numbers_of_python():
    def f(x):
        return (int(x[0] * 1.7), int(-x[5] * 0.3), float(x[0]) / 2, x[1].item() + 1, round(x[0] * 1.26),
                round(float(x[3]), 1), abs(int(x[1])), divmod(int(x[5]), 3), pow(int(x[0]), 3), pow(int(x[0]), 5, 7),
                int(x[5]) // 2 + int(x[5]) % 4, ~int(x[0]) >> 1, complex(x[0], x[1]))
    everywhere(f, (X,), (X * 2,), (np.abs(X) + 1,))


def test_truth():
    def f(x):
        flag = bool(x[0] > 1)
        both = flag and bool(x[1] > 0)
        return 1 if flag else 2, both, bool(x[2]) is not None, bool([]), bool([x])
    everywhere(f, (X,), (-X,), (np.abs(X),))


def test_any_and_all():
    def f(x):
        return (any(v > 6 for v in x), all(v > -10 for v in x), any([x[0] > 1, x[1] > 1]), all([]),
                any([False, x[0] > 2]), all(x[:3] > 0), 1 if any(v == 7 for v in x) else 0)
    everywhere(f, (X,), (X - 20,), (X * 0 + 7,))


def test_extremes():
    def f(x):
        pairs = [(x[0], 1), (x[1], 2)]
        return (min(x), max(x[0], x[1], 1.0), max(x[:4], key=abs), min([x[4], x[5]], key=lambda v: -v),
                max(int(x[0]), 2), max((p[0] for p in pairs), default=0), min(x[0], 5))
    everywhere(f, (X,), (-X,))


def test_sums_and_lengths():
    def f(x):
        return sum(x), sum(v * v for v in x), sum([x[0], 1, 2.5]), sum(x, 10), len(x) + len(x[2:])
    everywhere(f, (X,), (-X,))


def test_functions_of_math():
    def f(x):
        return (math.sqrt(x[5]), math.floor(x[3]), math.ceil(x[3]), math.trunc(-x[3]), math.hypot(x[0], x[1]),
                math.gcd(int(x[0]) * 4, 6), math.fsum(x), math.prod([x[0], x[1]]), math.atan2(x[0], x[1]),
                math.isnan(x[0]), math.isclose(x[0], 3.0), math.fmod(x[0], 2), math.copysign(1.0, x[1]))
    everywhere(f, (X,), (np.abs(X),))


def test_classes():
    same(lambda x: (isinstance(x, np.ndarray), isinstance(x[0], float), isinstance(int(x[0]), int),
                    type(int(x[0])) is int, isinstance(x[0], np.floating), isinstance(range(3), range),
                    isinstance(x[0] > 1, bool), isinstance(bool(x[0] > 1), bool), type(bool(x[0])) is bool), X)


def test_list_items_at_traced_positions():
    def f(x, k):
        weights, steps = (0.5, 0.25, 0.125), [1, 3, 7, 9]
        s = 0.0
        for i in range(k):
            s += weights[i % 3] * x[steps[i % 4]]
        return s, steps[k % 4]
    everywhere(f, (X, 20), (X, 3))


def test_zips_of_lists_and_arrays():
    def f(x):
        out = 0.0
        for a, w in zip(x, [1.0, 2.0, 3.0]):
            out += a * w
        for i, w in enumerate([x[0], x[1]]):
            out -= i * w
        return out, [a + b for a, b in zip(x[:2], reversed(x[:2]))], list(enumerate(x[:2], 5))
    everywhere(f, (X,), (-X,))


def test_ranges_of_traced_bounds():
    def f(x, n, step):
        s = 0.0
        for i in range(n, 0, -1):
            s = s * 0.5 + x[i]
        for i in range(0, n, step):
            s = s * 0.5 + x[i]
        for i in range(n, -n, -step):
            s = s * 0.5 + x[i]
        return s
    everywhere(f, (X, 9, 2), (X, 3, 1), (X, 0, 5), (X, 4, 3), (X, 5, -1), (X, 5, 0))


def test_grids_of_indices():
    def f(a):
        s = 0.0
        for i, j in np.ndindex(10, 20):
            s += a[i, j] * i
        for place in np.ndindex(*a.shape):
            a[place] += s
        for i, j, k in itertools.product(range(0, 10, 3), range(9, -1, -2), range(4)):
            s += a[i, j] * k
        return s, a
    traced = everywhere(f, (np.arange(200.0).reshape(10, 20),))
    assert len(str(traced)) < 6000


def test_long_lists_of_numbers():
    weights = [0.5 + k for k in range(100)]

    def f(x):
        s = 0.0
        for w in weights:
            s += w * x[0]
        for i, w in enumerate(weights, 3):
            s += w * i
        for v, w in zip(np.concatenate([x] * 5), weights):
            s += v * w
        return s
    traced = everywhere(f, (X,))
    assert str(traced).count("for_loop") == 3


def test_loops_that_are_too_long_to_be_written_out_are_refused():
    def f(x):
        out = {}
        for i in range(100_000):
            out[i] = x[i % 10] * i
        return out
    with pytest.raises(TypeError, match="written out|cannot be traced once"):
        run(f, X)


def test_recursion_that_a_traced_value_ends():
    def factorial(n):
        return 1 if n <= 1 else n * factorial(n - 1)

    def digits(x):
        if x < 10:
            return 1
        return 1 + digits(x / 10)
    jitted = tracejit.jit(factorial, backend="ref"), tracejit.jit(digits, backend="ref")
    assert [jitted[0](n) for n in (5, 1, 7)] == [120, 1, 5040]
    assert [jitted[1](np.float64(x)) for x in (5.0, 12345.0, 77.0)] == [1, 5, 2]


# ---------------------------------------------------------------- print
def test_print_shows_values_at_run_time(capsys):
    def f(x, n):
        print("start", x[0], f"sum {x.sum():.3f} {n!r:>5}", sep=" | ")
        if x[0] > 1:
            print("big", [x[0], 1], {"n": n}, end="!\n")
        else:
            print("small")
        for i in range(n):
            print(i, x[i])
            if i % 2 == 0:
                print(f"even {i=}")
        while n > 0:
            n -= 3
            print("n is", n)
        print("end", x[:2], None, x[0] > 0)
        return x.sum()
    traced = trace(f, X, 4)
    assert capsys.readouterr().out == ""
    for args in ((X, 4), (-X, 2), (X, 0), (X, 10)):
        call(traced, *args)
        ours = capsys.readouterr().out
        f(*args)
        assert ours == capsys.readouterr().out


def test_texts_that_are_printed_are_made_of_each_calls_values(capsys):
    def f(x):
        print("sum", "a" + str(x.sum()) + "b", "{:{}} {y}".format(x[1], ".2f", y=x[2]))
        print("%d|%s" % (len(x), x[0]), "%g" % x.max() + f"{x.min():+}")  # noqa: UP031
        print(repr(x[:2]), ascii(x[0]), [x[0], {"k": str(x[1])}])
        for i, v in enumerate(x):
            if v > 1:
                print("{} at {:02d}".format(*[v, i]), **{"end": ";\n"})
        return x * 2

    traced = tracejit.jit(f)
    for x in (np.arange(3.0), np.arange(3.0) + 0.5, np.arange(3.0) * 7):
        traced(x)
        ours = capsys.readouterr().out
        f(x)
        assert ours == capsys.readouterr().out
    assert traced.cache_info().compiles == 1 and not traced.cache_info().variants


def test_warnings_are_given_where_and_when_they_are_due():
    def f(x):
        if x.sum() < 0:
            warnings.warn("negative")
        for v in x:
            if v > 1:
                warnings.warn(f"large: {v}", RuntimeWarning)
        warnings.warn(DeprecationWarning("old"), stacklevel=1)
        return x * 2

    def given(function, x):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            function(x)
        return [(str(w.message), w.category, w.filename, w.lineno) for w in found]

    traced = tracejit.jit(f, backend="ref")
    for x in (np.ones(3), -np.ones(3), np.array([1.5, -9.0, 2.0]), np.ones(3)):
        assert given(traced, x) == given(f, x)
    assert traced.cache_info().traces == 1 and not traced.cache_info().variants


LOGGER = logging.getLogger("tests.flow")


def test_lines_are_logged_at_each_call(caplog):
    def f(x):
        if x.sum() < 0:
            LOGGER.error("sum %s of %d", x.sum(), len(x))
        else:
            logging.getLogger("tests.flow").info(f"first {x[0]}")
        LOGGER.debug("max %.2f", x.max())
        logging.warning("plain " + str(x[1]))
        return x

    caplog.set_level(logging.INFO, "tests.flow")
    traced = tracejit.jit(f, backend="ref")
    for x in (np.ones(3), -np.ones(3), np.arange(3.0)):
        told = []
        for function in (f, traced):
            caplog.clear()
            function(x)
            told.append([(r.name, r.levelname, r.getMessage(), r.pathname, r.lineno, r.funcName)
                         for r in caplog.records])
        assert told[0] == told[1] and len(told[0]) == 2


def test_print_in_compiled_code_speaks_at_each_call(capsys):
    @tracejit.jit
    def f(x):
        print("the sum is", x.sum())
        return x + 1
    for k in range(3):
        f(np.full(2, float(k)))
    assert capsys.readouterr().out == "the sum is 0.0\nthe sum is 2.0\nthe sum is 4.0\n"
    assert f.cache_info().traces == 1


def test_print_keeps_a_thousand_lines(capsys):
    def f(n):
        for i in range(n):
            print(i)
        return n
    run(f, 1500)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["0", "1"] and lines[-1] == "1499" and lines[-2] == "... 500 lines more" and len(lines) == 1001


def test_print_of_large_arrays_in_a_loop_is_refused():
    def f(x):
        i = 0
        while x[0] > i:
            print(x)
            i += 1
        return i
    with pytest.raises(UnsupportedError, match="print"):
        run(f, np.zeros(1000))


def test_formatted_text_of_known_values():
    def f(x, name):
        return f"{name:>5}|{x.shape!r}|{3.14159:.{2}f}" if x.ndim else "", f"{x.ndim=}"
    same(f, X, "ab")
