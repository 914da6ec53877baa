"""Random programs: NumPy's answer, bit by bit, from compiled code, arguments and their new content included."""

import os
import warnings

import numpy as np
import pytest
from program_maker import Maker, function

import tracejit
from tracejit.errors import TracejitError

#: Programs per test; ``make fuzz EXAMPLES=10000`` runs that many in all.
CHUNKS = 10
PER_CHUNK = max(1, int(os.environ.get("TRACEJIT_FUZZ") or 40) // CHUNKS)


def difference(maker, lines):
    """Return how the jitted program differs from the plain one, None where it does not, "refused" for a clear error."""
    source = maker.source(lines)
    plain, jitted = function(source, "<program>"), tracejit.jit(function(source, "<program>"))
    for other in (0, 1, 0, 2):
        if maker.run(lines, other) is None:
            continue
        theirs, ours = maker.fresh(other), maker.fresh(other)
        want = plain(**theirs)
        try:
            got = jitted(**ours)
        except TracejitError:
            return "refused"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        for what, a, b in (("argument", ours, theirs), ("variable", got, want)):
            if list(a) != list(b):
                return f"other variables: {list(a)}, not {list(b)}"
            for name in b:
                if not same(a[name], b[name]):
                    return f"{what} {name} of call {other}: {a[name]!r}, not {b[name]!r}"
    return None


def same(a, b):
    """Return whether two values are equal in type, dtype, shape and content."""
    if type(a) is not type(b):
        return False
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)


def smaller(maker):
    """Return the fewest statements found that still differ."""
    statements, k = maker.lines_of(), 0
    while k < len(statements):
        without = [line for s in statements[:k] + statements[k + 1:] for line in s]
        if maker.run(without) is not None and difference(maker, without) not in (None, "refused"):
            del statements[k]
        else:
            k += 1
    return [line for s in statements for line in s]


@pytest.mark.fuzz
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_programs(chunk):
    refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for k in range(PER_CHUNK):
            seed = chunk + CHUNKS * k
            maker = Maker(seed)
            maker.make(5 + seed * 7 % 56)
            found = difference(maker, maker.lines)
            refused += found == "refused"
            if found not in (None, "refused"):
                lines = smaller(maker)
                pytest.fail(f"program {seed}: {difference(maker, lines)}\n{maker.source(lines)}")
    assert refused <= PER_CHUNK // 2
