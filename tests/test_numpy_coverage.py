"""Every implemented function has samples; every function that NumPy dispatches is implemented or refused by name."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import test_ndimage
import test_numpy_creation
import test_numpy_fft
import test_numpy_functional
import test_numpy_linalg
import test_numpy_manipulation
import test_numpy_products
import test_numpy_reductions
import test_numpy_searching
import test_numpy_sets
import test_signal
import test_special
from numpy.testing import overrides
from numpy_samples import call, floats, traced_answer

from tracejit.errors import UnsupportedError
from tracejit.trace.numpy import coverage
from tracejit.trace.numpy.namespace import load_chapters
from tracejit.trace.numpy.registry import IMPLEMENTED
from tracejit.trace.tracer import Tracer

load_chapters()
CHAPTERS = (
    test_ndimage,
    test_numpy_creation,
    test_numpy_fft,
    test_numpy_functional,
    test_numpy_linalg,
    test_numpy_manipulation,
    test_numpy_products,
    test_numpy_reductions,
    test_numpy_searching,
    test_numpy_sets,
    test_signal,
    test_special,
)
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
    if function in (np.r_, np.c_):
        assert test_numpy_manipulation.test_joining_by_subscripts
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


@pytest.mark.parametrize("function", sorted(overrides.get_overridable_numpy_array_functions() - set(IMPLEMENTED),
                                            key=lambda f: (f.__module__, f.__name__)),
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


def test_the_page_is_current():
    """`python -m tracejit.trace.numpy.coverage > docs/numpy_coverage.md` renews it."""
    page, now = PAGE.read_text(encoding="utf-8"), coverage.text()
    if f"with NumPy {'.'.join(np.__version__.split('.')[:2])}." in page:
        assert page == now
    else:  # another NumPy has other functions
        rows = {line.split("|")[1] for line in page.splitlines() if line.startswith("| `")}
        assert rows & {line.split("|")[1] for line in now.splitlines() if line.startswith("| `")}
