"""Converted code on values that are known: exactly Python, whatever it is, with the user's own lines in tracebacks."""

import contextlib
import traceback

import numpy as np
import pytest
from tracing import run

from tracejit.trace.source import code_of


def outcome(f, *args):
    try:
        return f(*args), None
    except Exception as e:
        return None, e


def python(f, *args):
    """Assert that the converted function does on known values what Python does; they are closed over, so not traced."""
    assert code_of(f) is not f.__code__, "nothing was converted"
    expected, error = outcome(f, *args)
    got, mistake = outcome(run, lambda: f(*args))
    if error is None:
        assert mistake is None, mistake
        assert got == expected and type(got) is type(expected)
        return
    assert type(mistake) is type(error) and str(mistake) == str(error), (mistake, error)
    assert lines(mistake, f)[-1:] == lines(error, f)[-1:]


def lines(error, f):
    """Return the lines of the test's file that a traceback goes through inside the function."""
    first = f.__code__.co_firstlineno
    found = traceback.extract_tb(error.__traceback__)
    return [e.lineno for e in found if e.filename == __file__ and e.name == f.__name__ and e.lineno >= first]


def test_values_of_and_or_not():
    def f(a, b):
        return [a and b, a or b, not a, a and b or "c", (a or b) and not (a and b), bool(a) is True and b]
    for a in (0, 1, "", "x", None, [], [0]):
        for b in (0.0, "y", ()):
            python(f, a, b)


def test_short_circuits():
    def f(a):
        seen = []

        def look(v):
            seen.append(v)
            return v
        result = look(a) and look(0) or look(2) and look("end")
        again = look(a) if look(not a) else look(3)
        chain = 0 < look(1) < look(a) < look(10) == 10
        return seen, result, again, chain
    for a in (0, 1, 5, 20):
        python(f, a)


def test_chains_evaluate_each_part_once():
    def f(n):
        calls, seven = [], 7

        def v(x):
            calls.append(x)
            return x
        a = v(1) < v(n) <= v(4) != v(9)
        b = v(n) in v([1, 2]) and v(n) not in v((3,))
        c = None is not v(n) is not seven
        return a, b, c, calls
    for n in (0, 1, 2, 5):
        python(f, n)


def test_loops_with_all_their_jumps():
    def f(n):
        out = []
        for i in range(n):
            if i == 2:
                continue
            if i == 7:
                out.append("break")
                break
            for j in range(3):
                if j == i:
                    break
                out.append((i, j))
            else:
                out.append("inner else")
        else:
            out.append("else")
        k = 0
        while k < n:
            k += 1
            if k % 2:
                continue
            if k > 8:
                break
            out.append(k)
        else:
            out.append("while else")
        return out, i, k
    for n in (1, 3, 7, 8, 12):
        python(f, n)


def test_returns_from_everywhere():
    def f(n):
        for i in range(10):
            while True:
                try:
                    if i == n:
                        return "in try", i
                    if n == 20 + i:
                        raise ValueError(i)
                    break
                except ValueError as e:
                    return "handler", e.args
                else:
                    return "never"
                finally:
                    if n == 30 + i:
                        return "finally", i
            with contextlib.suppress(KeyError):
                if n == 10 + i:
                    return "with", i
                {}[i]
        if n < 0:
            return
    for n in (0, 5, 9, 12, 23, 34, 50, -1):
        python(f, n)


def test_finally_and_else_of_try():
    def f(n):
        seen = []
        for i in range(5):
            try:
                if i == n:
                    continue
                if i == n + 1:
                    break
                if n == 10:
                    raise KeyError(i)
            except KeyError:
                seen.append("except")
            else:
                seen.append("else")
            finally:
                seen.append(i)
        else:
            seen.append("all")
        return seen
    for n in (0, 2, 4, 5, 10):
        python(f, n)


def test_iteration_over_anything():
    def f(n):
        def generator():
            for k in range(n):
                yield k
                if k > 3:
                    return

        out = []
        for x in generator():
            out.append(x)
        for x in {"a": 1, "b": 2}.items():
            out.append(x)
        for a, *rest in [(1, 2, 3), "xyz"]:
            out.append((a, rest))
        for x in sorted({3, 1, 2}):
            out.append(x)
        for i, (a, b) in enumerate(zip("abc", range(n)), 1):
            out.append((i, a, b))
        for x in reversed([1, 2, n]):
            out.append(x)
        it = iter([1, 2, 3, 4])
        for x in it:
            out.append((x, next(it, None)))
        return out
    python(f, 2)
    python(f, 8)


def test_targets_that_are_no_names():
    class Box:
        pass

    def f(n):
        box, items = Box(), [0, 0]
        for box.value in range(n):
            items[0] += box.value
        for items[1] in (5, 6):
            pass
        for (a, [b, *c]), d in [((1, [2, 3, 4]), 5)]:
            items.append((a, b, c, d))
        return box.value, items
    python(f, 3)


def test_unbound_variables_raise_where_they_are_read():
    def f(n):
        if n > 0:
            y = 1
        for i in range(n - 1):
            z = i
        if n > 5:
            del y
        return y, z, i

    def g(n):
        for _ in range(n):
            total += 1  # noqa: F821, F841  (unbound on purpose: that is what is tested)
        return n
    for n in (0, 1, 2, 6):
        python(f, n)
    python(g, 1)


def test_names_of_other_scopes():
    counter = 0

    def f(n):
        nonlocal counter
        counter = 0

        def add(k):
            nonlocal counter
            if k:
                counter += k
            return counter
        adders = [lambda a=k: add(a) if a else None for k in range(n)]
        for g in adders:
            g()
        return counter, [h() for h in adders]
    python(f, 4)


_SETTING = 3


def test_globals():
    def f(n):
        global _SETTING
        _SETTING = n
        if n > 2:
            _SETTING = n + 1
        return _SETTING
    python(f, 1)
    python(f, 5)


def test_walrus_augmented_and_starred():
    def f(n):
        items = [[0, 1], {"k": 2}]
        if (m := n * 2) > 4 and (q := m + 1):
            items[0][1] += m
            items[1]["k"] *= q
        while (m := m - 1) > 0:
            items[0][0] += m
        first, *rest = range(n)
        x = y = n
        x += y
        return items, m, first, rest, x
    python(f, 1)
    python(f, 4)


def test_assertions():
    def f(n):
        assert n > 0
        assert n != 3, f"not {n}"
        assert [n], "a list"
        return n
    python(f, 2)
    with pytest.raises(AssertionError, match="not 3"):
        run(lambda: f(3))
    with pytest.raises(AssertionError):
        run(lambda: f(0))


def test_exceptions_keep_their_lines_and_chains():
    def f(n):
        for i in range(3):
            if i == 1:
                try:
                    return 1 // n
                except ZeroDivisionError as e:
                    if n == 0:
                        raise ValueError("outer") from e
        return n

    python(f, 1)
    python(f, 0)
    with pytest.raises(ValueError, match="outer") as caught:
        run(lambda: f(0))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_tracebacks_of_traced_code_show_the_users_lines():
    def f(x):
        total = 0
        for i in range(100):
            if x[0] > i:
                total += x[i] @ x.undefined
        return total
    with pytest.raises(AttributeError) as caught:
        run(f, np.ones(3))
    text = "".join(traceback.format_tb(caught.value.__traceback__))
    assert "total += x[i] @ x.undefined" in text


def test_methods_super_and_private_names():
    class Base:
        def value(self, n):
            return n if n > 1 else -n

    class Derived(Base):
        __hidden = 5

        def __secret(self, n):
            return n * 2 if n else self.__hidden

        def value(self, n):
            if n > 2 and self.__secret(n) > 0:
                return super().value(n) + self.__hidden
            __local = 3
            for __local in range(n):
                pass
            return __local

        @staticmethod
        def plain(n):
            return "yes" if n else "no"

        @classmethod
        def make(cls, n):
            return cls().value(n) if n > 0 else cls.__name__

    def f(n):
        d = Derived()
        return (d.value(n) if n else 0), Derived.plain(n), Derived.make(n)
    for n in (0, 1, 4):
        python(f, n)


def test_lambdas_on_one_line():
    pair = (lambda a: a if a > 1 else -1), (lambda a: a if a < 1 else +1)
    for f in pair:
        for a in (0, 1, 2):
            python(f, a)


def test_defaults_decorators_and_annotations():
    def twice(g):
        def inner(*args, **kwargs):
            return g(*args, **kwargs) * 2 if args else None
        return inner

    @twice
    def decorated(a, b=3, *rest, c: int = 4, **more) -> int:
        return a + b if c > 3 else sum(rest) + len(more)

    def f(n):
        return decorated(n), decorated(n, 1, 2, c=n, d=1), decorated() if n else 0
    python(f, 1)
    python(f, 4)


def test_match_statements():
    def f(value):
        match value:
            case 0:
                return "zero"
            case [a, *rest] if a > 1:
                out = (a, rest)
            case {"k": k, **more}:
                out = k if k else more
            case str() as text:
                out = text or "empty"
            case _:
                out = None
        return out
    for v in (0, [2, 3], [1], {"k": 1}, {"k": 0, "m": 2}, "", "t", 1.5):
        python(f, v)


def test_early_returns_in_great_number():
    def f(n):
        if n == 0:
            return "0"
        if n == 1:
            return "1"
        if n == 2:
            return "2"
        elif n == 3:
            n = 30
        elif n == 4:
            if n > 3:
                n += 1
            else:
                return "never"
        elif n == 5:
            raise KeyError(n)
        else:
            n = -n
        if n < 0:
            if n < -10:
                return "low"
            n = n * 2
        return n
    for n in range(12):
        python(f, n)


def test_functions_that_look_at_their_variables_stay_as_they_are():
    def f(n):
        a = 1 if n else 2
        return sorted(locals()), a
    assert code_of(f) is f.__code__
    assert run(lambda: f(3)) == f(3)


def test_code_without_source():
    space = {"np": np}
    exec("def f(x):\n    if x.ndim:\n        return x + 1\n    return x", space)
    f = space["f"]
    assert code_of(f) is f.__code__
    np.testing.assert_array_equal(run(f, np.arange(3.0)), [1, 2, 3])


def test_conversion_is_done_once():
    def f(n):
        return 1 if n else 2
    assert code_of(f) is code_of(f)
