"""Programs as people write them, jitted without an edit: NumPy's answer, types and side effects included."""

import numpy as np
import pytest
from benchmarks.classics.everything import PROGRAMS

import tracejit


def assert_same(got, want, rtol):
    """Assert that two nested results have the same structure, types and values."""
    if isinstance(want, (tuple, list)):
        assert type(got) is type(want) and len(got) == len(want)
        for g, w in zip(got, want):
            assert_same(g, w, rtol)
        return
    assert type(got) is type(want), f"a {type(got).__name__}, not a {type(want).__name__}"
    if isinstance(want, (np.ndarray, np.generic)):
        assert got.dtype == want.dtype and got.shape == want.shape
    if np.asarray(want).dtype.kind in "fc":
        scale = np.abs(want)[np.isfinite(want)].max(initial=0)
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * scale)
    else:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    program = PROGRAMS[name]
    jitted = tracejit.jit(program.function)
    for size in (program.small, program.small, program.small + 1 if name != "fft_by_hand" else 2 * program.small):
        ours, theirs = program.make(size), program.make(size)
        want = program.function(*theirs)
        assert_same(jitted(*ours), want, program.rtol)
        for x, y in zip(ours, theirs):
            np.testing.assert_array_equal(x, y)
