"""Jitted functions and transforms travel as plain functions do: by name with pickle, by value with cloudpickle."""

import copy
import importlib
import linecache
import pickle
import subprocess
import sys

import cloudpickle
import numpy as np
import pytest

import tracejit

X = np.array([0.3, 0.6, 0.9])

SCRIPT = """
import numpy as np
import tracejit

scale = 3.0

def helper(x):
    while x.sum() > 1:
        x = x / 2
    return x

@tracejit.jit
def halved(x):
    return scale * helper(x)

@tracejit.grad
def slope(x):
    return (scale * x**2).sum()

@tracejit.jit
@tracejit.value_and_grad
def both(x):
    return np.sin(x).sum()

@tracejit.jit
def again(x, depth):
    return again(x, depth - 1) + 1 if depth > 0 else x

class Model:
    def __init__(self, w):
        self.w = w

    @tracejit.jit
    def call(self, x):
        return self.w * x

def closure(factor):
    return tracejit.jit(lambda x: factor * x)
"""


@pytest.fixture
def main(monkeypatch):
    """Run the text of a script, as if it were the one that was started; returns its names."""
    def run(text=SCRIPT, file="<script>"):
        monkeypatch.setitem(linecache.cache, file, (len(text), None, text.splitlines(keepends=True), file))
        names = {"__name__": "__main__"}
        exec(compile(text, file, "exec"), names)
        names = {name: value for name, value in names.items() if not name.startswith("__")}
        for name, value in names.items():
            monkeypatch.setattr(sys.modules["__main__"], name, value, raising=False)
        return names
    return run


@pytest.fixture
def away(monkeypatch):
    """Pickle by cloudpickle, and load where there is neither the script nor its source, as in a worker."""
    def travel(value, names, file="<script>"):
        data = cloudpickle.dumps(value)
        with monkeypatch.context() as other:
            for name in names:
                other.delattr(sys.modules["__main__"], name, raising=False)
            other.delitem(linecache.cache, file, raising=False)
            return cloudpickle.loads(data)
    return travel


def test_of_a_script_by_value(main, away):
    names = main()
    for name, arguments in (("halved", (X,)), ("slope", (X,)), ("both", (X,)), ("again", (X, 3))):
        f = names[name]
        arrived = away(f, names)
        assert arrived is not f and type(arrived) is type(f) and arrived.__name__ == f.__name__
        assert arrived.__qualname__ == f.__qualname__
        np.testing.assert_equal(arrived(*arguments), f(*arguments))
    model = away(names["Model"](X), names)
    np.testing.assert_array_equal(model.call(X), X * X)
    np.testing.assert_array_equal(away(names["closure"](2.0), names)(X), 2 * X)


CHECKPOINTED = """
import numpy as np
import tracejit

@tracejit.checkpoint
def wave(x):
    return np.sin(x)

@tracejit.jit
@tracejit.grad
def slope(x):
    return wave(x).sum()
"""


def test_functions_that_compute_again(main, away):
    names = main(CHECKPOINTED)
    np.testing.assert_array_equal(away(names["slope"], names)(X), names["slope"](X))
    arrived = away(names["wave"], names)
    assert arrived is not names["wave"] and type(arrived) is type(names["wave"])
    np.testing.assert_array_equal(tracejit.jit(arrived)(X), np.sin(X))
    assert pickle.loads(pickle.dumps(names["wave"])) is names["wave"]


RULED = """
import numpy as np
import tracejit

@tracejit.custom_jvp
def logistic(x):
    return 1 / (1 + np.exp(-x))

@logistic.defjvp
def logistic_jvp(primals, tangents):
    y = logistic(*primals)
    for _ in range(3):
        y = y + 0
    return y, 7 * y * (1 - y) * tangents[0]

@tracejit.custom_jvp
def squared(x):
    return x**2

squared.defjvps(lambda t, y, x: 5 * x * t)

@tracejit.custom_vjp
def same(x, factor):
    return x * factor

same.defvjp(lambda x, factor: (same(x, factor), factor), lambda factor, ct: (same(ct, 2 * factor), None))

@tracejit.extend.elementwise(c="{0} * {0} * {0}", derivative=lambda x: 3 * cube(x) / x)
def cube(x):
    return x * x * x

@tracejit.extend.callback(result=lambda x: x, vjp=(lambda x: (smooth(x), None), lambda kept, ct: (3 * smooth(ct),)))
def smooth(x):
    return np.convolve(x, [0.25, 0.5, 0.25], "same")

@tracejit.jit
@tracejit.grad
def slope(x):
    return logistic(x).sum() + squared(x).sum() + same(x, 3.0).sum() + cube(x).sum() + smooth(x).sum()

def made(factor):
    @tracejit.custom_jvp
    def f(x):
        return factor * x
    f.defjvp(lambda primals, tangents: (f(*primals), 2 * factor * tangents[0]))
    return f
"""


@pytest.mark.parametrize("name", ["logistic", "squared", "same", "cube", "smooth"])
def test_functions_with_rules_and_operations(main, away, name):
    names = main(RULED)
    f, more = names[name], (3.0,) * (name == "same")
    assert pickle.loads(pickle.dumps(f)) is f and copy.copy(f) is f and copy.deepcopy(f) is f
    arrived = away(f, names)
    assert arrived is not f and type(arrived) is type(f) and arrived.__qualname__ == f.__qualname__ == name
    cost = lambda f: lambda x: tracejit.jit(f)(x, *more).sum()
    np.testing.assert_array_equal(arrived(X, *more), f(X, *more))
    np.testing.assert_array_equal(tracejit.grad(cost(arrived))(X), tracejit.grad(cost(f))(X))
    np.testing.assert_array_equal(cloudpickle.loads(cloudpickle.dumps(arrived))(X, *more), f(X, *more))


def test_what_uses_functions_with_rules(main, away):
    """It is sent with them, and what arrives twice is one, also where a rule calls its own function."""
    names = main(RULED)
    slope = away(names["slope"], names)
    assert slope is not names["slope"] and away(names["slope"], names) is slope
    np.testing.assert_array_equal(slope(X), names["slope"](X))
    operations = len(tracejit.symbolic.ir.OPS), len(tracejit.symbolic.ops.host.HOST)
    for name in ("logistic", "same", "cube", "smooth"):
        first, second = away(names[name], names), away(names[name], names)
        assert first.__dict__ is second.__dict__
    assert operations == (len(tracejit.symbolic.ir.OPS), len(tracejit.symbolic.ops.host.HOST))
    local = away(names["made"](2.0), names)
    assert tracejit.grad(local)(1.0) == 4 and tracejit.grad(away(names["made"](3.0), names))(1.0) == 6


def test_another_rule_is_another_function(main, away):
    names = main(RULED)
    f = names["logistic"]
    first = away(f, names)
    f.defjvp(lambda primals, tangents: (primals[0], 9 * tangents[0]))
    second = away(f, names)
    second.defjvp(lambda primals, tangents: (primals[0], 8 * tangents[0]))
    assert [tracejit.grad(g)(0.0) for g in (first, second, away(f, names))] == [7 / 4, 8, 9]
    assert tracejit.grad(cloudpickle.loads(cloudpickle.dumps(second)))(0.0) == 8


def test_of_a_script_by_name(main):
    """Plain pickles, as of multiprocessing, whose workers run the script, too."""
    names = main()
    for f in (names["halved"], names["slope"], names["both"], names["Model"].call):
        assert pickle.loads(pickle.dumps(f)) is f
    assert cloudpickle.loads(cloudpickle.dumps(names["halved"])) is not names["halved"]


def test_around_other_decorators(main, away):
    names = main("""
import functools
import numpy as np
import tracejit

def twice(f):
    @functools.wraps(f)
    def g(x):
        return f(f(x))
    return g

@twice
@tracejit.jit
def f(x):
    return x + 1
""")
    inner = names["f"].__wrapped__
    assert pickle.loads(pickle.dumps(inner)) is inner
    np.testing.assert_array_equal(away(inner, names)(X), X + 1)
    np.testing.assert_array_equal(away(names["f"], names)(X), X + 2)
    assert [n for n in vars(names["f"]) if not n.startswith("__")] == []  # nothing of ours in a decorator's function


def test_loops_of_a_notebook_stay_loops(main, away):
    """The source travels where it is in no file: also that of helpers in other cells."""
    main("""
def helper(x):
    while x.sum() > 1:
        x = x / 2
    return x
""", "<cell 1>")
    names = main("""
import tracejit
from __main__ import helper

@tracejit.jit
def halved(x):
    if x[0] > 0:
        return helper(x)
    return -x
""", "<cell 2>")
    data = cloudpickle.dumps(names["halved"])
    for file in ("<cell 1>", "<cell 2>"):
        del linecache.cache[file]
    arrived = cloudpickle.loads(data)
    for x in (X, -X, 10 * X):
        np.testing.assert_array_equal(arrived(x), names["halved"].__wrapped__(x))
    assert arrived.cache_info()[2:6] == (1, ("f64[3]",), (), 0)  # one trace, no variants, nothing left to NumPy


def test_of_modules_that_are_sent(tmp_path, monkeypatch):
    (tmp_path / "sent_module.py").write_text(SCRIPT, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("sent_module")
    assert cloudpickle.loads(cloudpickle.dumps(module.halved)) is module.halved
    cloudpickle.register_pickle_by_value(module)
    try:
        data = cloudpickle.dumps(module.halved)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        monkeypatch.delitem(sys.modules, "sent_module")
    monkeypatch.undo()
    np.testing.assert_array_equal(cloudpickle.loads(data)(X), 1.5 * X)


# ---------------------------------------------------------------- what arrives again
def test_what_arrives_twice_is_one(main, away):
    names = main()
    for f in (names["halved"], names["slope"], names["both"], names["closure"](2.0), tracejit.jit(pick)):
        data = cloudpickle.dumps(f)
        assert cloudpickle.loads(data) is cloudpickle.loads(data)
    assert away(names["closure"](2.0), names) is not away(names["closure"](3.0), names)


def pick(x):
    return x[0]


def test_what_differs_is_not(main, away):
    """The value of a global, and of one that a helper reads."""
    text = ("import tracejit\nscale = 2\ndef helper(x):\n    return scale * x\n"
            "@tracejit.jit\ndef f(x):\n    return helper(x)")
    first = away(main(text)["f"], ("f", "helper", "scale"))
    second = away(main(text.replace("scale = 2", "scale = 5"))["f"], ("f", "helper", "scale"))
    assert (first(1.0), second(1.0)) == (2.0, 5.0)


def test_what_may_change_is_not_shared(main, away):
    """Arrays and lists from outside, and variables that the function assigns, are each copy's own."""
    for text in ("w = np.ones(3)\n@tracejit.jit\ndef f(x):\n    w[0] += 1\n    return w * x",
                 "n = 0\n@tracejit.jit\ndef f(x):\n    global n\n    n = n + 1\n    return n * x",
                 "w = [1.0]\n@tracejit.jit\ndef f(x):\n    return w[0] * x"):
        names = main("import numpy as np\nimport tracejit\n" + text)
        data = cloudpickle.dumps(names["f"])
        first, second = cloudpickle.loads(data), cloudpickle.loads(data)
        assert first is not second
        want = names["f"].__wrapped__(X)
        np.testing.assert_array_equal(first(X), want)
        np.testing.assert_array_equal(second(X), want)


def test_from_one_process_to_another(tmp_path):
    """A script's functions, dumped by the script itself, run in a process that has never seen it."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + f"""
if __name__ == "__main__":
    import cloudpickle
    with open({str(tmp_path / "pickle")!r}, "wb") as file:
        cloudpickle.dump((halved, slope, again, Model(np.ones(3)), closure(2.0)), file)
""", encoding="utf-8")
    reader = f"""
import pickle
import numpy as np
with open({str(tmp_path / "pickle")!r}, "rb") as file:
    halved, slope, again, model, double = pickle.load(file)
x = np.array([0.5, 1.5])
print(halved(x), slope(x), again(x, 2), model.call(x[:1]), double(x), halved.cache_info().variants)
"""
    for arguments in ([str(script)], ["-c", reader]):
        run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
    assert run.stdout.split() == "[0.75 2.25] [3. 9.] [2.5 3.5] [0.5 0.5 0.5] [1. 3.] ()".split()
