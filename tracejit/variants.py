"""The variants of a jitted function: for one signature, one entry per set of facts that its guards have found."""

import warnings
from typing import NamedTuple

from tracejit.config import config
from tracejit.dispatch_python import alike
from tracejit.errors import RetraceWarning

__all__ = ["Variants"]


class _Variant(NamedTuple):
    specs: tuple
    kwnames: tuple
    key: object
    compiled: object

    def is_for(self, call, key):
        """Return whether a call is of this signature, and what was read outside of it still holds."""
        return (self.key is key and self.kwnames == call.kwnames and alike(self.specs, call.specs)
                and self.compiled.holds())

    def __str__(self):
        shown = ", ".join(map(str, self.compiled.executable.in_types))
        return f"{shown}: " + "; ".join(map(str, self.compiled.facts))


class Variants:
    """Which entries of a dispatcher are guarded, and for which calls there are as many as may be."""

    def __init__(self):
        self._of = {}  # Entry → _Variant
        self._lost = []  # _Variants whose guards gave other answers than the trace has gone by
        self._warned = False

    def add(self, entry, call, key, compiled):
        """Remember an entry that guards belong to."""
        if compiled.facts:
            self._of[entry] = _Variant(call.specs, call.kwnames, key, compiled)

    def lose(self, call, key, compiled):
        """Remember a trace that compiled code could not follow, so that it is not made for ever."""
        self._lost.append(_Variant(call.specs, call.kwnames, key, compiled))

    def live(self, entries):
        """Return the variants of these entries, newest first."""
        self._of = {e: self._of[e] for e in entries if e in self._of}
        return tuple(self._of.values())

    def full(self, call, key, entries, name):
        """Return whether a call has as many variants as may be; the first time that is said aloud."""
        if not self._of and not self._lost:
            return False
        mine = [v for v in (*self.live(entries), *self._lost) if v.is_for(call, key)]
        if not mine or len(mine) < config.variants:
            return False
        if not self._warned:
            self._warned = True
            where = {f.where: f.what for v in mine for f in v.compiled.facts}
            asked = ", ".join(f"{what} ({place})" for place, what in list(where.items())[:3])
            warnings.warn(RetraceWarning(
                f"{name} has {len(mine)} variants for one signature, which is the limit, and none is for this call: "
                f"such calls are plain NumPy from now on. What differs: {asked}. Raise the flag variants, or write "
                "the choice with np.where"), stacklevel=5)
        return True

    def clear(self):
        """Forget all."""
        self._of.clear()
        self._lost.clear()
