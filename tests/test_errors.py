"""Errors carry what, where and do; `user_frame` finds the user's line."""

import inspect
import pickle

import numpy as np
import pytest

from tracejit import errors

CLASSES = [
    c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, (errors.TracejitError, Warning))
]
CAUGHT_AS = {
    "ConcretizationError": TypeError,
    "CarryError": TypeError,
    "LeakError": RuntimeError,
    "TypeRuleError": TypeError,
    "DimError": ValueError,
    "RewriteError": RuntimeError,
    "CompileError": RuntimeError,
    "NotDifferentiableError": TypeError,
    "UnsupportedError": NotImplementedError,
    "ConfigError": ValueError,
    "DeviceError": RuntimeError,
}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_docstring_teaches(cls):
    what, _, remedy = inspect.getdoc(cls).partition("\n\n")
    assert what.endswith((".", ":")) or "catch" in what
    if cls not in (errors.TracejitError, errors.TracejitWarning):
        assert len(remedy) > 60, "the second paragraph says what to do"


@pytest.mark.parametrize("cls", [getattr(errors, name) for name in CAUGHT_AS], ids=lambda c: c.__name__)
def test_three_lines(cls):
    e = cls("add of f64[3] and f64[4]", where="model.py:12", do="Give both the same shape.")
    assert str(e).splitlines() == [
        "add of f64[3] and f64[4]",
        "  where: model.py:12",
        "  do: Give both the same shape.",
    ]
    assert str(cls("only what")) == "only what"
    assert isinstance(e, CAUGHT_AS[cls.__name__])
    copy = pickle.loads(pickle.dumps(e))
    assert type(copy) is cls and str(copy) == str(e)


def test_user_frame_is_this_line():
    line = inspect.currentframe().f_lineno + 1
    assert errors.user_frame() == f"{__file__}:{line}"


def test_user_frame_skips_numpy_and_the_package():
    source = """
class Tracer:
    def __array_function__(self, func, types, args, kwargs):
        seen.append(user_frame())
        return 0
"""
    seen = []
    scope = {"user_frame": errors.user_frame, "seen": seen, "__name__": "tracejit.made_up"}
    exec(compile(source, errors.__file__, "exec"), scope)
    tracer = scope["Tracer"]()
    line = inspect.currentframe().f_lineno + 1
    np.sum(tracer)
    assert seen == [f"{__file__}:{line}"]


def test_user_frame_sees_a_generated_function():
    scope = {"user_frame": errors.user_frame}
    exec(compile("x = user_frame()", "<notebook 3>", "exec"), scope)
    assert scope["x"] == "<notebook 3>:1"


def test_every_error_is_also_what_numpy_users_catch():
    errors_of_ours = {c.__name__ for c in CLASSES if issubclass(c, errors.TracejitError)}
    assert errors_of_ours - {"TracejitError"} == set(CAUGHT_AS)
