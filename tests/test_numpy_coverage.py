"""Every implemented function has samples; every function that NumPy dispatches is implemented or refused by name."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import overrides
from numpy_samples import call, floats, traced_answer

from tracejit.errors import UnsupportedError
from tracejit.trace.gufuncs import TABLE as GUFUNCS
from tracejit.trace.numpy import coverage
from tracejit.trace.numpy.namespace import load_chapters
from tracejit.trace.numpy.refusals import REFUSALS
from tracejit.trace.numpy.registry import IMPLEMENTED, fallback
from tracejit.trace.numpy.ufuncs import TABLE as UFUNCS
from tracejit.trace.tracer import Tracer

load_chapters()
#: The tests that bring samples of functions.
CHAPTERS = [importlib.import_module(path.stem) for path in sorted(Path(__file__).parent.glob("test_*.py"))
            if "\nSAMPLES = {" in path.read_text(encoding="utf-8")]
SAMPLED = {}
for _chapter in CHAPTERS:
    for _function, _calls in _chapter.SAMPLES.items():
        SAMPLED[_function] = SAMPLED.get(_function, []) + _calls
PAGE = Path(__file__).parent.parent / "docs" / "numpy_coverage.md"


def resolved(function):
    """Return the function for one that is registered by its name, as SciPy's are."""
    if not isinstance(function, str):
        return function
    module, _, name = function.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("function", sorted(IMPLEMENTED, key=coverage.public_name), ids=coverage.public_name)
def test_every_implemented_function_has_samples(function):
    if function is np.vectorize:
        assert importlib.import_module("test_numpy_mapping").test_vectorize
    elif function in (np.nditer, np.ndenumerate, np.broadcast, np.lib.stride_tricks.as_strided):
        assert importlib.import_module("test_numpy_iterating").test_walks
    elif function in (np.r_, np.c_):
        assert importlib.import_module("test_numpy_manipulation").test_joining_by_subscripts
    else:
        assert len(SAMPLED.get(resolved(function), ())) > 0, f"{coverage.public_name(function)} needs a row in SAMPLES"


@pytest.mark.parametrize("function", sorted(IMPLEMENTED, key=coverage.public_name), ids=coverage.public_name)
def test_every_implemented_function_takes_numpys_arguments(function):
    """Ours has every parameter of NumPy's, in order, so that a keyword is never an unexpected one."""
    import inspect

    try:
        theirs = inspect.signature(resolved(function))
    except (ValueError, TypeError):
        return  # a C function that does not tell
    ours = inspect.signature(IMPLEMENTED[function])
    if any(p.kind is p.VAR_KEYWORD for p in ours.parameters.values()):
        return
    missing = set(theirs.parameters) - set(ours.parameters)
    positional = [p for p in theirs.parameters.values() if p.kind is p.POSITIONAL_ONLY]
    assert not missing - {p.name for p in positional} - {"args", "kwargs"}, f"{ours} lacks {missing}"


NEITHER = [f for f in overrides.get_overridable_numpy_array_functions() - set(IMPLEMENTED) if fallback(f) is None]


@pytest.mark.parametrize("function", sorted(NEITHER, key=lambda f: (f.__module__, f.__name__)),
                         ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_what_is_not_implemented_is_refused_by_name(function):
    def program(x):
        return x.__array_function__(function, (Tracer,), (x,), {})

    error, _ = traced_answer(program, call(floats(3)))
    assert isinstance(error, UnsupportedError), f"{function.__name__} gave {error!r}"
    assert function.__name__ in str(error) and "test_numpy_coverage.py" in str(error) and "do: " in str(error)


@pytest.mark.parametrize("function", sorted(overrides.get_overridable_numpy_array_functions(),
                                            key=lambda f: (f.__module__, f.__name__)),
                         ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_no_function_is_silently_wrong(function):
    """Called with arrays only, in every count, a function does what NumPy does or refuses."""
    from numpy_samples import numpy_answer, same

    random_results = {np.empty, np.empty_like}
    if function in random_results:
        return
    for count in (1, 2, 3):
        arrays = [np.abs(floats(3, 3, seed=k)) for k in range(count)]
        want, want_arrays = numpy_answer(function, call(*arrays))
        got, got_arrays = traced_answer(function, call(*arrays))
        if isinstance(got, Exception) or isinstance(want, Exception):
            assert isinstance(got, Exception) or not isinstance(want, Exception), f"gave {got!r}, NumPy raises {want!r}"
            continue
        same(got, want, 1e-9)
        for g, w in zip(got_arrays, want_arrays):
            same(g, w, 1e-9)


def test_every_function_that_numpy_dispatches_is_traced_or_refused_for_a_reason():
    assert coverage.missing() == []


@pytest.mark.parametrize("ufunc", sorted(overrides.get_overridable_numpy_ufuncs(), key=lambda f: f.__name__),
                         ids=lambda f: f.__name__)
def test_every_ufunc_is_traced_or_refused_for_a_reason(ufunc):
    name = f"numpy.{ufunc.__name__}" if getattr(np, ufunc.__name__, None) is ufunc else ufunc.__name__
    if ufunc in UFUNCS or ufunc in GUFUNCS:
        assert name not in REFUSALS
        return
    error, _ = traced_answer(lambda *xs: ufunc(*xs), call(*[floats(3)] * ufunc.nin))
    reason, remedy = REFUSALS[name]
    assert isinstance(error, (UnsupportedError, TypeError))
    assert not isinstance(error, UnsupportedError) or reason in str(error) and remedy in str(error)


@pytest.mark.parametrize("name", [n for n in dir(np.ndarray) if not n.startswith("_")])
def test_every_attribute_of_arrays_is_there_or_refused_for_a_reason(name):
    def program(x):
        return str(getattr(x, name))[:0]

    error, _ = traced_answer(program, call(floats(3, 3)))
    if f"ndarray.{name}" in REFUSALS:
        reason, remedy = REFUSALS[f"ndarray.{name}"]
        assert isinstance(error, UnsupportedError) and reason in str(error) and remedy in str(error)
    else:
        assert error == "", f"{name}: {error!r}"


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_are_of_things_that_numpy_has_and_tracing_has_not(name):
    module, _, member = name.rpartition(".")
    if module == "numpy":
        assert hasattr(np, member) and getattr(np, member) not in IMPLEMENTED
    elif module == "ndarray":
        assert hasattr(np.ndarray, member)
    else:
        assert member in {f.__name__ for f in overrides.get_overridable_numpy_ufuncs()}


def test_the_page_is_current():
    """`python -m tracejit.trace.numpy.coverage > docs/numpy_coverage.md` renews it."""
    page, now = PAGE.read_text(encoding="utf-8"), coverage.text()
    if f"with NumPy {'.'.join(np.__version__.split('.')[:2])}." in page:
        assert page == now
    else:  # another NumPy has other functions
        rows = {line.split("|")[1] for line in page.splitlines() if line.startswith("| `")}
        assert rows & {line.split("|")[1] for line in now.splitlines() if line.startswith("| `")}
