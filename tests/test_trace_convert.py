"""Converted twins: plain NumPy code with globals, closures, methods, imports and its own functions, unedited."""

import abc
import dataclasses
import functools
import math
import random
import types

import numpy as np
import numpy as xp
import pytest
from numpy import concatenate, sin, zeros
from tracing import call, run, same, trace

from tracejit.errors import UnsupportedError
from tracejit.trace.convert import is_users

V = np.arange(5.0)
W = np.eye(5)


# ---------------------------------------------------------------- names that mean NumPy
def test_arrays_made_inside():
    def f(x):
        a = np.zeros((2, 3))
        a[0] = x[:3]
        b = np.empty(5)
        b[:] = x
        c = np.full_like(x, x[1])
        d = np.array([x[0], [1, 2][1], float(x[2])])
        return a, b, c, d, np.full(2, x[3]), np.ones_like(x) * x, np.asarray([x, x]), np.arange(5) * x
    same(f, V)


def test_nothing_changes_outside():
    def f(x):
        z = np.zeros(3)
        z[0] = x[0]
        return z
    run(f, V)
    assert type(np.zeros(3)) is np.ndarray and f.__globals__["np"] is np
    assert type(f(V)) is np.ndarray


def test_names_imported_in_every_way():
    def f(x):
        import numpy as inner
        from numpy import linalg, ones
        z = zeros(3)
        z[1] = x[2]
        o = ones(2)
        o[0] = x[0]
        return concatenate([sin(x), z, o, xp.cos(x)]), inner.tanh(x), linalg.norm(x), np.linalg.norm(x)
    same(f, V)


def test_functions_as_values():
    table = {"sin": np.sin, "sum": np.sum}
    same(lambda x: [g(x) for g in (np.sin, np.sum, sin)] + [table["sin"](x), table["sum"](x)], V)
    same(lambda x: functools.reduce(np.add, [x, x, 1]), V)
    same(lambda x: list(map(np.sin, [x, 2.0])), V)
    for g in (np.sin, np.sum, functools.partial(np.sum, axis=0)):
        same(g, V)


def test_what_does_not_meet_a_traced_array_is_plain_python():
    def f(x):
        assert np.sqrt(4.0) == 2 and type(np.sqrt(4.0)) is np.float64 and math.sin(0) == 0
        assert np.finfo(x.dtype).eps < 1e-10 and np.pi > 3 and np.dtype("f4").itemsize == 4
        n = int(np.prod([2, 3]))
        with np.errstate(divide="ignore"):
            return x * n / 0 + np.inf * 0
    same(f, V)


def test_dtypes():
    def f(x):
        assert x.dtype == float and x.dtype == np.float64 and np.issubdtype(x.dtype, np.floating)
        assert isinstance(3, int) and isinstance(2.5, (int, float)) and issubclass(np.float32, np.floating)
        assert type(3) is int and type(x.shape[0]) == int and {np.float64: 1}[np.float64]  # noqa: E721, UP003
        return (x.astype(int), x.astype(np.float32), np.zeros(2, dtype=int), np.array([1, 2], np.float16), int("3"),
                np.zeros(2, float), np.array([1], dtype=np.dtype(complex)), np.array([0, 1], bool), float("inf"))
    same(f, V)


def test_what_a_tracer_is_an_instance_of():
    def f(x, n, s):
        return (isinstance(x, np.ndarray), isinstance(x[0], np.ndarray), isinstance(x[0], np.float64),
                isinstance(x[0], float), isinstance(x.sum(), np.generic), isinstance(n, int),
                isinstance(s, np.floating), isinstance(n, (float, np.ndarray)), type(x) is np.ndarray,
                type(n) is int, type(s) is np.float32,
                isinstance(x, (list, tuple)), isinstance(n, int | float))
    same(f, V, 3, np.float32(2))


# ---------------------------------------------------------------- the user's own code
def helper(x, out=None):
    """Make an array and call another function of this module."""
    z = np.zeros(5)
    z[0] = x[0]
    return z + second(x)


def second(x, w=W):
    """Use an array that is a default argument."""
    return w[1, 1] * x


def factorial(x, n):
    return x if n == 0 else np.zeros(5) + factorial(x, n - 1) * n


def test_own_functions_are_converted():
    same(lambda x: helper(x) + second(x), V)
    same(lambda x: factorial(x, 4), V)


def test_functions_in_functions():
    def f(x):
        def inner(y):
            return np.zeros(5) + y * W[0] + x
        return inner(x) + [inner(t) for t in (x, x)][1] + (lambda z: np.ones(5) * z)(x)
    same(f, V)


def test_decorated_functions():
    def twice(g):
        @functools.wraps(g)
        def wrapper(*args):
            return g(*args) * 2
        return wrapper

    @twice
    def h(x):
        z = np.zeros(5)
        z[1] = x[1]
        return z

    @functools.lru_cache
    def cached(n):
        return np.ones(n)
    same(lambda x: h(x) + cached(5), V)
    same(h, V)


def test_partials_lambdas_and_generators():
    same(functools.partial(lambda a, x, b: a * x + b, V, b=W[0]), V)
    same(lambda x: sum(t * t for t in x), V)

    def squares(x):
        for t in x:
            yield np.zeros(2) + t
    same(lambda x: list(squares(x)), V)


def test_a_module_of_the_users():
    module = types.ModuleType("users_module")
    code = "import numpy as np\nW = np.ones(5)\ndef f(x):\n    z = np.zeros(5)\n    z[0] = x[0]\n    return z + W"
    exec(code, module.__dict__)
    same(lambda x: module.f(x) + module.W[0], V)
    traced = trace(lambda x: module.W * x, V)
    assert traced.captures[0] is module.W


def test_which_code_is_the_users():
    assert is_users("__main__") and is_users("mypackage.mod")
    assert not any(map(is_users, ("numpy.linalg", "functools", "scipy", "tracejit.api")))


def test_closure_variables_that_change():
    def make():
        n = 0

        def f(x):
            nonlocal n
            n += 1
            return x + n

        def get():
            return n
        return f, get
    f, get = make()
    np.testing.assert_array_equal(run(f, V), V + 1)
    assert get() == 1


COUNT = 0


def test_globals_that_change():
    def f(x):
        global COUNT
        COUNT += 1
        return x + COUNT
    np.testing.assert_array_equal(run(f, V), V + 1)
    assert COUNT == 1


def test_lists_and_dicts_from_outside():
    params = {"w": np.arange(5.0), "layers": [np.ones(5), (np.full(5, 2.0), "name")], "n": 3}

    def f(x):
        params["n"] += 1
        return params["w"][2] * x + params["layers"][0] + params["layers"][1][0].sum() + params["n"]
    traced = trace(f, V)
    assert params["n"] == 3 and any(c is params["w"] for c in traced.captures)
    np.testing.assert_array_equal(call(traced, V), 2 * V + 1 + 10 + 4)
    assert params["n"] == 4
    params["w"][2] = 7
    np.testing.assert_array_equal(call(trace(f, V), V), 7 * V + 1 + 10 + 5)


def test_reads_tell_when_a_trace_no_longer_holds():
    state = types.SimpleNamespace(rate=0.5)
    settings = {"scale": 2.0}
    traced = trace(lambda x: x * settings["scale"] + state.rate, V)
    assert all(r.holds() for r in traced.reads)
    settings["scale"] = 3.0
    assert not all(r.holds() for r in traced.reads)


SUM = size = 1.0


def test_only_what_is_looked_up_is_read():
    def f(x):
        global LAST
        LAST = 3
        return x.sum() * np.sin(x).size + SUM
    traced = trace(f, V)
    assert [r.key for r in traced.reads] == ["SUM"]
    assert "LAST" not in globals()  # a trace changes nothing
    call(traced, V)
    assert globals().pop("LAST") == 3


# ---------------------------------------------------------------- classes
class Base:
    """A class whose methods make arrays."""

    scale = np.full(5, 2.0)

    def forward(self, x):
        z = np.zeros(5)
        z[0] = x[0]
        return z


class Model(Base):
    """A model with arrays in attributes, properties, lists; it calls its base class."""

    def __init__(self):
        self.w = np.arange(5.0)
        self.rate = 0.5
        self.parts = [np.ones(5), 2.0]

    @property
    def bias(self):
        return np.zeros(5) + self.w[1]

    @staticmethod
    def first(x):
        z = np.zeros(2)
        z[1] = x[1]
        return z

    @classmethod
    def scaled(cls, x):
        return cls.scale * x

    def forward(self, x):
        return super().forward(x) + self.w * x

    def __call__(self, x):
        total = self.forward(x) + self.bias + self.parts[0] * self.parts[1]
        return total + self.first(x)[1] + self.scaled(x) + Model.scale[0] + self.w.sum()

    def step(self, x):
        self.w -= self.rate * x
        self.w[0] = 9
        return self.w

    def keeps(self, x):
        self.hidden = x * 2
        return self.hidden

    def uses_a_temporary(self, x):
        self.hidden = x * 2
        out = self.hidden + 1
        del self.hidden
        return out


def test_methods_and_attributes():
    model = Model()
    same(lambda x: model(x) + model.forward(x), V)
    for f in (model, model.__call__, model.forward, Model.scaled, Model.first):
        np.testing.assert_allclose(run(f, V), f(V))
    traced = trace(model, V)
    assert any(c is model.w for c in traced.captures)
    model.w[1] = 100
    np.testing.assert_allclose(call(traced, V), model(V))


def test_an_instance_as_an_argument():
    model = Model()
    np.testing.assert_allclose(run(Model.__call__, model, V), model(V))


def test_attributes_are_updated_in_place():
    model, twin = Model(), Model()
    w = model.w
    assert run(model.step, V) is w and model.w is w
    np.testing.assert_array_equal(w, twin.step(V))


def test_arrays_that_stay_in_attributes():
    model = Model()
    traced = trace(model.keeps, V)
    assert not hasattr(model, "hidden")
    assert call(traced, V) is model.hidden
    np.testing.assert_array_equal(model.hidden, 2 * V)
    del model.hidden
    np.testing.assert_array_equal(run(model.uses_a_temporary, V), V * 2 + 1)


def test_arrays_that_stay_elsewhere():
    kept = [V]

    def f(x):
        kept.append(x)
        return x

    def g(x):
        global LEFT
        LEFT = x * 2
        return x
    assert run(f, V) is kept[1] is V and len(kept) == 2
    assert run(g, V) is V
    np.testing.assert_array_equal(globals().pop("LEFT"), 2 * V)


class Slotted:
    """A class without a dict."""

    __slots__ = ("w", "count")

    def __init__(self):
        self.w, self.count = np.arange(5.0), 1

    def forward(self, x):
        z = np.zeros(5)
        z[0] = x[0]
        return z + self.w[1] * self.count

    def step(self, x):
        self.w -= x
        self.count += 1
        return self.w[2]


class Abstract(abc.ABC):
    """A class of an abstract one, whose slots are empty."""

    def __init__(self):
        self.w = np.arange(5.0)

    @abc.abstractmethod
    def forward(self, x):
        """Return something."""


class Concrete(Abstract):
    def forward(self, x):
        z = np.zeros(5)
        z[0] = self.w[1] * x[0]
        return z


def test_instances_of_every_layout():
    slotted, concrete, space = Slotted(), Concrete(), types.SimpleNamespace(w=np.arange(5.0), n=2, inner=Slotted())
    for f, w in ((slotted.forward, slotted.w), (concrete.forward, concrete.w),
                 (lambda x: space.w[1] * x * space.n, space.w),
                 (lambda x: space.inner.forward(x) + vars(space)["n"], space.inner.w)):
        traced = trace(f, V)
        assert traced.captures[0] is w
        w[1] = 50
        np.testing.assert_array_equal(call(traced, V), f(V))
    w = slotted.w
    run(slotted.step, V)
    assert slotted.w is w and slotted.count == 2 and w[1] == 49


@dataclasses.dataclass
class Point:
    """A dataclass: as an argument, its arrays are arguments."""

    w: np.ndarray
    k: int = 2

    def forward(self, x):
        z = np.zeros(5)
        z[0] = x[0]
        self.w += 1
        return z * self.k + self.w[1]

    def move(self, x):
        self.w = self.w + x


def test_dataclasses():
    point, twin = Point(np.arange(5.0)), Point(np.arange(5.0))
    np.testing.assert_array_equal(run(lambda p, x: p.forward(x), point, V), twin.forward(V))
    np.testing.assert_array_equal(point.w, twin.w)
    np.testing.assert_array_equal(run(lambda x: point.forward(x), V), twin.forward(V))
    np.testing.assert_array_equal(run(lambda x: Point(x + 0, 3).forward(x), V), Point(V + 0, 3).forward(V))
    run(lambda ps, x: ps[0].move(x), [point], V)
    twin.move(V)
    np.testing.assert_array_equal(point.w, twin.w)


class Registry:
    """A class that counts its subclasses."""

    subclasses = 0

    def __init_subclass__(cls):
        Registry.subclasses += 1


class Registered(Registry):
    def __init__(self):
        self.w = np.arange(5.0)


class Config(dict):
    """A dict of one's own."""


def test_objects_that_have_no_stand_in():
    for held in (Registered(), Config(w=V)):
        with pytest.raises(UnsupportedError, match="that holds arrays"):
            run(lambda x: (held.w if isinstance(held, Registered) else held["w"])[1] * x, V)
    assert Registry.subclasses == 1
    config = Config(n=3)
    same(lambda x: x * config["n"], V)


def test_instances_made_inside():
    def f(x):
        model = Model()
        model.extra = x
        assert isinstance(model, Model) and isinstance(model, Base) and type(model) is Model

        class Local:
            w = np.zeros(5)

            def go(self, y):
                z = np.zeros(5)
                z[0] = y[0]
                return z + self.w
        return model(x) + Local().go(x) + model.extra
    same(f, V)


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize("f, name", [
    (lambda x: x + len(np.random.get_state()), "get_state"),
    (lambda x: x + np.random.default_rng().normal(), "default_rng() without a seed"),
    (lambda x: x + random.random(), "random.random"),
    (lambda x: np.save("file", x), "numpy.save"),
    (lambda x: np.load("file"), "numpy.load"),
    (lambda x: open("file"), "open"),
    (lambda x: np.ma.masked_array(x), "MaskedArray"),
    (lambda x: np.matrix(x), "numpy.matrix"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_refused_with_name_line_and_remedy(f, name):
    with pytest.raises(UnsupportedError) as e:
        run(f, V)
    assert name in str(e.value) and "test_trace_convert.py:" in str(e.value) and "do:" in str(e.value)


def test_errors_of_the_users_code_are_the_users():
    def f(x):
        try:
            x[10]
        except IndexError:
            return {}["missing"]
    same(f, V)
    same(lambda x: undefined + x, V)  # noqa: F821
