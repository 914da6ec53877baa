"""What NumPy says of floating-point errors, compiled code says too: warnings, their places, and error states."""

import contextlib
import io
import itertools
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import test_numpy_reductions as reductions
from numpy_samples import Number

import tracejit
from tracejit import config, dispatch_python, events
from tracejit.symbolic.interp import listen

X = np.array([1.0, 0.0, -1.0])
ZEROS = np.zeros(3)
BIG = np.array([1e308, 1e308, 2.0])
NAN = np.array([np.nan, 1.0])


def said(function, args, **state):
    """Return what a call gives and the warnings that it issues."""
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with np.errstate(**state):
            result = function(*args)
    return (result, *args), caught


def words(caught):
    return [(str(w.message), w.category) for w in caught]


def places(caught):
    """Return the places of warnings; NumPy's own, inside a function of its, stands for the user's line."""
    return {(w.filename, w.lineno) for w in caught if w.filename == __file__}


UFUNCS = {
    "divide": (lambda x: 1 / x, X),
    "log": (lambda x: np.log(x), X),
    "log of single precision": (lambda x: np.log(x.astype(np.float32)), X),
    "several": (lambda x: np.log10(x) + np.log2(x), X),
    "log1p": (lambda x: np.log1p(x * 2), X),
    "sqrt": (lambda x: np.sqrt(x), X),
    "exp": (lambda x: np.exp(x * 1000), X),
    "multiply": (lambda x: x * 10, BIG),
    "subtract": (lambda x: x - x, np.array([np.inf, 1])),
    "scalars": (lambda a, b: a / b, np.float64(1), np.float64(0)),
    "scalars overflow": (lambda a, b: a * b + a, np.float64(1e300), np.float64(1e300)),
    "square": (lambda x: x**2, BIG),
    "reciprocal": (lambda x: x**-1, ZEROS),
    "power": (lambda x: x**-1.5, ZEROS),
    "float_power": (lambda x: np.float_power(x, 2), BIG),
    "modulo": (lambda x: np.fmod(x, 0), X),
    "floor_divide": (lambda x: x // 0.0, X),
    "complex": (lambda x: 1 / (x + 0j), ZEROS),
    "domain": (lambda x: np.arccos(x + 1) + np.arctanh(x), X),
    "trigonometry": (lambda x: np.sin(x), np.array([np.inf])),
    "cast": (lambda x: x.astype(int), NAN),
    "cast of a scalar": (lambda x: np.int64(x), np.float64(np.nan)),
    "integers": (lambda a, b: a // b + a % b, np.array([1, 2, 3]), np.array([0, 1, 2])),
    "integers' divmod": (lambda a, b: np.divmod(a, b)[0], np.array([1, 2], np.int8), np.array([0, 1], np.int8)),
    "unsigned integers": (lambda a, b: a // b, np.array([1, 2], np.uint16), np.array([0, 1], np.uint16)),
    "sum": (lambda x: x.sum(), BIG),
    "mean": (lambda x: np.mean(x), BIG),
    "var": (lambda x: np.var(x), BIG),
    "cumsum": (lambda x: np.cumsum(x), BIG),
    "matmul": (lambda x: x @ x.reshape(3, 1), BIG),
    "outer": (lambda x: np.outer(x, x), BIG),
    "accumulate": (lambda x: np.multiply.accumulate(x), BIG),
    "where chosen": (lambda x: np.divide(1, x, out=np.zeros(3), where=x != 1), X),
    "no data": (lambda x: np.mean(x[:0]), X),
    "no freedom": (lambda x: np.var(x, ddof=3), X + 1),
    "no numbers": (lambda x: np.nanmean(x, axis=1), np.array([[np.nan], [1.0]])),
    "imaginary": (lambda x: (x + 1j).astype(float), X),
    "imaginary, assigned": (lambda x: np.zeros(3).__setitem__(slice(0, 3), x * 1j), X),
}


@pytest.mark.parametrize("name", UFUNCS)
def test_messages_are_those_of_numpy(name):
    f, *args = UFUNCS[name]
    (want, *_), expected = said(f, args)
    (got, *_), found = said(tracejit.jit(f), args)
    np.testing.assert_array_equal(np.asarray(got, object) if want is None else got, want)
    # NumPy divides by the number of no data, too; the first warning says it all
    known = [w for w in words(expected) if name != "no data" or "encountered" not in w[0]]
    assert words(found) == known and known
    assert places(expected) <= places(found) == {(__file__, f.__code__.co_firstlineno)}


QUIET = {
    "nothing": (lambda x: x + 1, X),
    "comparisons of NaN": (lambda x: np.maximum(x, 0) + (x < 1), NAN),
    "masked": (lambda x: np.divide(1, x, out=np.zeros(3), where=x != 0), X),
    "infinite already": (lambda x: 2 * x + np.exp(x), np.array([np.inf])),
    "Python's numbers": (lambda a, b: a * b - a * b, 1e300, 1e300),
    "underflow": (lambda x: np.exp(-800 * x), np.ones(3)),
    "tails": (lambda x: np.hypot(x, x) + np.logaddexp(x, x), np.array([1e200, 3e300])),
    "the inside of a function": (lambda x: np.sinc(x) + np.interp(x, [0, 1.0], [1, 2.0]), np.array([0, np.nan])),
    "views": (lambda x: x[::-1].reshape(1, 2), NAN),
}


@pytest.mark.parametrize("name", QUIET)
def test_silence_is_that_of_numpy(name):
    f, *args = QUIET[name]
    assert not said(f, args)[1] and not said(tracejit.jit(f), args)[1]


def plain(x):
    """Say whether an argument stays what it is in a trace."""
    return not isinstance(x, (np.ndarray, Number)) and not (isinstance(x, (list, tuple)) and not all(map(plain, x)))


def test_no_reduction_tells_what_numpy_does_not():
    """Over the samples of the reductions' own tests, by NumPy's evaluation of their graphs."""
    seen = 0
    for function, samples in reductions.SAMPLES.items():
        for sample in samples:
            array, *rest = sample.args
            if type(array) is not np.ndarray or not all(map(plain, (*rest, *sample.kwargs.values()))):
                continue
            if array.size and (array.dtype.kind not in "fc" or np.isfinite(array).all()):
                continue
            f = lambda x: function(x, *rest, **sample.kwargs)
            try:
                expected = {w for w, _ in words(said(f, [array])[1])}
            except Exception:  # a mistake that the reductions' own tests look at
                continue
            traced = tracejit.jit(f).trace(array)
            look = events.Look(traced._traced, traced.graph)
            told = look._events([np.ascontiguousarray(array).reshape(array.shape)])
            found = {f"{events.WORDS[kind]} encountered in {name}" for line, kind, name in told
                     if kind != "under" and line.modes.get(kind) != "ignore"}
            assert found <= expected, (function, sample)
            seen += 1
    assert seen > 50


def test_stable_forms_have_nothing_to_tell():
    f = tracejit.jit(lambda x: np.log(1 + np.exp(x)) + 1 / (1 + np.exp(-x)))
    (value, *_), caught = said(f, [np.array([-1000.0, 1000.0])])
    assert not caught and value.tolist() == [0.0, 1001.0]


def test_each_line_by_itself():
    def f(x):
        y = 1 / x
        with np.errstate(divide="ignore"):
            z = np.log(x)
            with np.errstate(all="warn"):
                z = z + np.log2(x)
        return y + np.sqrt(x - 1) + z

    x = np.array([0.0, 1.0])
    expected, found = said(f, [x])[1], said(tracejit.jit(f), [x])[1]
    assert words(found) == words(expected) and [w.lineno for w in found] == [w.lineno for w in expected]


def test_a_state_inside_holds_against_the_one_around():
    def f(x):
        with np.errstate(divide="warn"):
            return 1 / x

    for state in ({"all": "ignore"}, {"divide": "raise"}):
        assert words(said(tracejit.jit(f), [X], **state)[1]) == words(said(f, [X], **state)[1])


@pytest.mark.parametrize("module", [tracejit.dispatch.chosen, dispatch_python], ids=["chosen", "python"])
def test_error_states_around_a_call(module, monkeypatch):
    monkeypatch.setattr(tracejit.stages, "Entry", module.Entry)
    compiled = tracejit.jit(lambda x: 1 / x).trace(X).lower().compile()
    entry = compiled.entry([("array", X.dtype, X.shape)], (), config.key(), [])
    f = lambda x: entry.run((x,), {})
    for mode in ("raise", "ignore", "warn", "raise"):
        with np.errstate(divide=mode), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if mode == "raise":
                with pytest.raises(FloatingPointError, match="^divide by zero encountered in divide") as error:
                    f(X)
                assert f"{__file__}:" in "".join(error.value.__notes__)
            else:
                np.testing.assert_array_equal(f(X), [1, np.inf, -1])
            assert len(caught) == (mode == "warn")
    heard = []
    with np.errstate(divide="call", call=lambda what, flag: heard.append((what, flag))):
        f(X)
    assert heard == [("divide by zero", 1)]
    log = io.StringIO()
    with np.errstate(divide="log", call=log):
        f(X)
    assert log.getvalue() == "Warning: divide by zero encountered in divide\n"


def test_what_is_printed():
    code = ("import numpy as np, tracejit\nx = np.zeros(2)\nf = lambda x: 1 / x\n"
            "with np.errstate(all='print'):\n    f(x), tracejit.jit(f)(x)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = (done.stderr + done.stdout).splitlines()
    assert first == second


def test_a_state_around_a_call_as_a_decorator_and_for_all_that_follows():
    f = tracejit.jit(lambda x: np.exp(x))
    with pytest.raises(FloatingPointError, match="overflow encountered in exp"):
        np.errstate(over="raise")(f)(BIG)
    before = np.seterr(over="raise", under="raise")
    try:
        with pytest.raises(FloatingPointError, match="overflow"):
            f(BIG)
        with pytest.raises(FloatingPointError, match="underflow"):
            f(-np.array([720.0, 720]))
    finally:
        np.seterr(**before)


def test_handlers_inside_take_what_the_state_around_raises():
    def f(x, y):
        try:
            y[:] = 1 / x
        except FloatingPointError:
            y[:] = 7
        return y

    def g(x, y):
        y *= x

    with np.errstate(all="raise"):
        for x in (np.ones(3), X):
            assert tracejit.jit(f)(x, np.zeros(3)).tolist() == f(x, np.zeros(3)).tolist()
        y = np.full(3, 1e200)
        with pytest.raises(FloatingPointError, match="overflow"):
            tracejit.jit(g)(y.copy(), y)
        assert y.tolist() == [1e200] * 3  # nothing has been written


def test_warnings_as_errors():
    f = tracejit.jit(lambda x: np.sqrt(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning, match="invalid value encountered in sqrt"):
            f(X)
        np.testing.assert_array_equal(f(np.array([4.0, 1, 0])), [2, 1, 0])


def test_once_per_line_as_the_default_filter_has_it():
    def f(x):
        return 1 / x

    counts = []
    for function in (f, tracejit.jit(f)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for _ in range(3):
                function(X)
        counts.append(len(caught))
    assert counts == [1, 1]


def test_looks_that_have_nothing_new_become_rare(monkeypatch):
    looks, clock = [], itertools.count(1)
    monkeypatch.setattr(events, "listen", lambda *args: looks.append(1) or listen(*args))
    monkeypatch.setattr(events, "perf_counter", lambda: next(clock))
    f = tracejit.jit(lambda x: np.where(x < 0, -1.0, x))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        for _ in range(300):
            f(NAN)  # a flag, and nothing to tell
        assert 1 <= len(looks) < 6
        count = len(looks)
        warnings.simplefilter("always")
        f(NAN)
        assert len(looks) == count + 1
        with np.errstate(invalid="raise"):
            f(NAN), f(NAN)
        assert len(looks) == count + 3


def test_arguments_written_in_place():
    def small(x, y):
        x /= y

    def large(x, y):
        x *= y

    for f, x, y in ((small, np.ones(3), X), (large, np.full(5000, 1e200), np.full(5000, 1e200))):
        g = tracejit.jit(f)
        for _ in range(3):
            (_, want, _), expected = said(f, [x, y])
            (_, got, _), found = said(g, [x, y])
            np.testing.assert_array_equal(got, want)
            assert words(found) == words(expected) and places(found) == places(expected)


def test_in_loops_and_branches():
    def f(x):
        total = 0.0
        for i in range(len(x)):
            if x[i] < 0.5:
                total += 1 / x[i]
        return total

    (want, *_), expected = said(f, [X])
    (got, *_), found = said(tracejit.jit(f), [X])
    assert got == want and words(found) == words(expected) and places(found) == places(expected)


def test_all_threads_are_heard():
    f = tracejit.jit(lambda x: 1 / x)
    x = np.ones(400_000)
    for place in (0, 150_000, 399_999):
        x[:] = 1
        x[place] = 0
        assert words(said(f, [x])[1]) == [("divide by zero encountered in divide", RuntimeWarning)]


def test_threads_have_states_of_their_own():
    f = tracejit.jit(lambda x: 1 / x)
    with np.errstate(divide="ignore"):
        f(X)
    raised = []

    def work():
        with np.errstate(divide="raise"), contextlib.suppress(FloatingPointError):
            for _ in range(20):
                f(np.ones(3))
            f(X)
            raised.append("nothing")

    threads = [threading.Thread(target=work) for _ in range(4)]
    with np.errstate(divide="ignore"):
        for t in threads:
            t.start()
        for _ in range(100):
            f(X)
        for t in threads:
            t.join()
    assert not raised


def test_flags_of_other_code_are_not_ours():
    f = tracejit.jit(lambda x: x * 2)
    quiet = tracejit.jit(lambda x: 1 / x)
    with np.errstate(all="ignore"):
        quiet(X)
    assert not said(f, [X])[1]


def test_derivatives_and_batches_have_nothing_to_tell():
    for f in (tracejit.grad(lambda x: np.sqrt(x).sum()), tracejit.vmap(lambda x: 1 / x)):
        (value, *_), caught = said(tracejit.jit(f), [np.zeros(2)])
        assert np.isinf(value).all() and not caught


def test_numbers_of_python_divide_as_in_python():
    f = tracejit.jit(lambda a, b: a / b)
    assert f(1.0, 2.0) == 0.5
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        f(1.0, 0.0)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        f(1, 0)


def test_long_loops_are_looked_at_for_a_while_and_for_an_error_to_their_end(monkeypatch):
    monkeypatch.setattr(events, "_STEPS", 200)

    def f(x, n):
        y = x
        for i in range(n):
            y = y + 1 / (x - i)
        return y

    g = tracejit.jit(f)
    assert words(said(g, [np.zeros(1), 1000])[1]) == [("divide by zero encountered in divide", RuntimeWarning)]
    late = np.full(1, 990.0)
    assert not said(g, [late, 1000])[1] and np.isinf(g(late, 1000))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError, match="divide by zero"):
        g(late, 1000)
