"""The same calls of NumPy functions, compiled: one program per function that makes all of its sample calls."""

import numpy as np
import pytest
from numpy_samples import Number, clone, numpy_answer, same, traced_answer
from test_numpy_coverage import SAMPLED

import tracejit
from tracejit import tree

#: An interpreter and compiled code may round differently; the tests of the chapters are strict.
LOOSE = {"f": 1e-4, "F": 1e-4, "e": 5e-3}


def works(function, sample):
    """Return whether NumPy answers with arrays alone, so that the call can be part of a program."""
    want, _ = numpy_answer(function, sample)
    got, _ = traced_answer(function, sample)
    return not isinstance(want, Exception) and not isinstance(got, Exception)


def is_leaf(x):
    return isinstance(x, (np.ndarray, Number))


@pytest.mark.slow
@pytest.mark.parametrize("function", SAMPLED, ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_compiled(function):
    samples = [s for s in SAMPLED[function] if works(function, s)]
    flat = [tree.flatten((s.args, s.kwargs), is_leaf=is_leaf) for s in samples]

    def program(groups):
        results = []
        for group, (leaves, structure) in zip(groups, flat):
            arrays = iter(group)
            args, kwargs = tree.unflatten(structure, [next(arrays) if is_leaf(v) else v for v in leaves])
            results.append(function(*args, **kwargs))
        return results

    def inputs():
        return [[clone(v) if isinstance(v, np.ndarray) else v.value for v in leaves if is_leaf(v)] for leaves,
                _ in flat]

    given, plain = inputs(), inputs()
    got = tracejit.jit(program)(given)
    with np.errstate(all="ignore"):
        want = program(plain)
    for sample, g, w in zip(samples, got, want):
        rtol = sample.rtol or LOOSE.get(np.asarray(w).dtype.char if isinstance(w, (np.ndarray, np.generic)) else "",
                                        1e-10)
        same(g, w, rtol, repr(sample))
    for sample, gs, ws in zip(samples, given, plain):
        for g, w in zip(gs, ws):
            if isinstance(w, np.ndarray):
                same(g, w, 1e-10, f"{sample!r}: an argument afterwards")
