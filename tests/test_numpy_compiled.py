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


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "?"])
def test_first_extremes_of_rows_of_any_length(dtype):
    """Whole vectors, a rest, several blocks; where there is NaN, the first one."""
    def f(*rows):
        return [(x.argmax(1), x.argmin(1)) for x in rows]
    rng = np.random.default_rng(9)
    jitted = tracejit.jit(f)
    for spoilt in (False, True):
        rows = [rng.integers(0, 40, (4, n)).astype(dtype) for n in (31, 64, 67, 1030, 2100)]
        if spoilt and dtype[0] == "f":
            for x in rows:
                x[1, 5] = x[1, -1] = x[2, -1] = x[3, 0] = np.nan
        for ours, theirs in zip(jitted(*rows), f(*rows)):
            np.testing.assert_array_equal(ours, theirs)


def test_positions_where_a_mask_holds():
    """Few, many, all and none; any byte but 0 is true."""
    rng = np.random.default_rng(10)
    jitted = tracejit.jit(np.flatnonzero)
    for share in (0, 0.02, 0.5, 0.98, 1):
        mask = rng.random(203) < share
        marked = (rng.integers(1, 256, mask.size) * mask).astype(np.uint8)
        for m in (mask, marked.view(bool)):
            np.testing.assert_array_equal(jitted(m), np.flatnonzero(mask))
