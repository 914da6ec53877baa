"""What holds for all tests: the flags they start from, and how much hypothesis tries."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

# A user's file and flags do not reach the tests; subprocesses inherit this. Graphs are checked after every
# pass, and compiled code is kept beside pytest's own cache, not in the user's.
os.environ.setdefault("TRACEJIT_RC", "")
os.environ.setdefault(
    "TRACEJIT_FLAGS", f"check=True,cache_dir={Path(__file__).parent.parent / '.pytest_cache' / 'compiled'}"
)

slow_is_fine = dict(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
# the suite is the same from run to run; `make fuzz` looks for what it has not seen
settings.register_profile("suite", derandomize=True, print_blob=True, **slow_is_fine)
settings.register_profile(
    "fuzz", max_examples=int(os.environ.get("TRACEJIT_FUZZ") or 2000), print_blob=True, **slow_is_fine
)
settings.load_profile("fuzz" if os.environ.get("TRACEJIT_FUZZ") else "suite")
