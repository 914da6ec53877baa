"""Random programs: NumPy's answer, bit by bit, from compiled code, arguments and their new content included."""

import os

import pytest
from program_check import Refused, difference, smaller
from program_maker import Maker
from program_templates import PLAIN, WIDE

#: Programs of each language; ``make fuzz EXAMPLES=10000`` runs that many.
PROGRAMS = int(os.environ.get("TRACEJIT_FUZZ") or 30)
PER_CHUNK = min(50, PROGRAMS)


@pytest.mark.fuzz
@pytest.mark.parametrize("first", range(0, PROGRAMS, PER_CHUNK))
@pytest.mark.parametrize("language", [PLAIN, WIDE], ids=["plain", "wide"])
def test_random_programs(language, first):
    refused, different = 0, []
    for seed in range(first, min(first + PER_CHUNK, PROGRAMS)):
        maker = Maker(seed, language).make(5 + seed * 7 % 56)
        found = difference(maker)
        if isinstance(found, Refused):
            refused += 1
        elif found is not None:
            lines = smaller(maker, found)
            different.append(f"program {seed}: {difference(maker, lines)}\n{maker.source(lines)}")
    assert not different, "\n\n".join(different)
    assert refused <= PER_CHUNK // 4
