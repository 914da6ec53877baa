"""The variants of a jitted function: for one signature, one entry per set of facts that its guards have found."""

import warnings
from typing import NamedTuple

from tracejit.config import config
from tracejit.errors import RetraceWarning
from tracejit.matching import alike

__all__ = ["Variants", "outline"]

#: Entries of one function that are kept.
_MOST = 1024
#: Entries for calls of one kind that have relied on something outside, and did so in vain.
_MOST_STALE = 32
#: How many of the newest entries tell what changes outside.
_NEWEST = 4


class _Variant(NamedTuple):
    specs: tuple
    kwnames: tuple
    key: object
    compiled: object

    def is_for(self, call, key):
        """Return whether a call is of this signature."""
        return self.key is key and self.kwnames == call.kwnames and alike(self.specs, call.specs)

    def __str__(self):
        shown = ", ".join(map(str, self.compiled.executable.in_types))
        return f"{shown}: " + "; ".join(map(str, self.compiled.facts))


class _Full:
    """Calls that have as many variants as may be, to be looked at again after some of them."""

    def __init__(self, specs, key):
        self.specs, self.key, self.limit, self.asked = specs, key, config.variants, 64
        self._any_value = not _has_values(specs)

    def is_for(self, call, key):
        """Return whether a call of the same outline is one of them."""
        return self.key is key and self.limit == config.variants and (
            self._any_value or alike(self.specs, call.specs))


class Variants:
    """All entries of a jitted function: by signature, which are guarded, and where there are as many as may be.

    The dispatcher looks at some of them; the others wait here until a call of theirs comes by.
    """

    def __init__(self):
        self._entries = {}  # Entry → outline of its calls, oldest first
        self._by_outline = {}  # outline → Entries, oldest first
        self._of = {}  # Entry → _Variant, oldest first
        self._lost = []  # _Variants whose guards gave other answers than the trace has gone by
        self._full = {}  # outline → _Full
        self._undecided = {}  # outline → how often a trace has ended where a choice could not be made
        self._warned = False

    def add(self, entry, call, key, compiled):
        """Keep an entry, and what guards it."""
        place = outline(call)
        self._entries[entry] = place
        self._by_outline.setdefault(place, []).append(entry)
        self._of[entry] = _Variant(call.specs, call.kwnames, key, compiled)
        if len(self._entries) > _MOST:
            oldest = next(iter(self._entries))
            self._by_outline[self._entries.pop(oldest)].remove(oldest)
            del self._of[oldest]

    def find(self, call):
        """Return the entries that may serve a call, newest first."""
        return self._by_outline.get(outline(call), ())[::-1]

    def __contains__(self, entry):
        return entry in self._entries

    def lose(self, call, key, compiled):
        """Remember a trace that compiled code could not follow, so that it is not made for ever."""
        self._lost.append(_Variant(call.specs, call.kwnames, key, compiled))

    def undecided(self, call, key):
        """Remember a call whose values do not lead to a trace: after some of them no further ones are looked at."""
        place = outline(call)
        count = self._undecided[place] = self._undecided.get(place, 0) + 1
        if count >= config.variants:
            self._full[place] = _Full(call.specs, key)

    def guarded(self):
        """Return the guarded ones, newest first."""
        return tuple(v for v in self._of.values() if v.compiled.facts)[::-1]

    def changing(self, call):
        """Return the keys of decisions on what is otherwise outside than it was at such calls."""
        newest = [self._of[entry].compiled for entry in self.find(call)[:_NEWEST]]
        return [key for compiled in newest for key in compiled.looked_up()]

    def full(self, call, key, name, instead):
        """Return whether a call has as many variants as may be; the first time that is said aloud, with what is done
        instead.
        """
        if not self._of and not self._lost and not self._full:
            return False
        place = outline(call)
        mark = self._full.get(place)
        if mark is not None and mark.asked and mark.is_for(call, key):
            mark.asked -= 1
            return True
        mine = [v for v in (*map(self._of.get, self._by_outline.get(place, ())), *self._lost) if v.is_for(call, key)]
        here = [v.compiled.holds() for v in mine]
        facing = [v for v, holds in zip(mine, here) if holds and v.compiled.facts]
        # a float that is asked for in full is hardly ever the same again
        count = sum(max(1, config.variants // 2) if v.compiled.asks_for_floats else 1 for v in facing)
        stale = here.count(False) >= _MOST_STALE
        if not stale and (not facing or count < config.variants):
            self._full.pop(place, None)
            return False
        self._full[place] = _Full(call.specs, key)
        if not self._warned:
            self._warned = True
            if stale:
                reads = {repr(read): None for v in mine for read in v.compiled.changed()}
                what = (f"has been traced {here.count(False)} times because of what it reads outside of its arguments",
                        f"What differs: {', '.join(list(reads)[:3])}. Pass it as an argument")
            else:
                where = {f.where: f.what for v in facing for f in v.compiled.facts}
                asked = ", ".join(f"{what} ({place})" for place, what in list(where.items())[:3])
                what = (f"has {len(facing)} variants for one signature, which is the limit, and none is for this call",
                        f"What differs: {asked}. Raise the flag variants, or write the choice with np.where")
            warnings.warn(RetraceWarning(f"{name} {what[0]}: such calls are {instead} from now on. {what[1]}"),
                          stacklevel=5)
        return True

    def clear(self):
        """Forget all."""
        for kept in (self._entries, self._by_outline, self._of, self._lost, self._full, self._undecided):
            kept.clear()


def _has_values(specs):
    return any(s[0] == "static" or s[0] in ("tuple", "list", "dict", "tree") and _has_values(s[-1]) for s in specs)


def outline(call):
    """Return what calls that one entry serves have in common, as something hashable: types and sizes, no values."""
    return call.kwnames, tuple(map(_outline, call.specs))


def _outline(spec):
    kind = spec[0]
    if kind in ("array", "scalar"):
        return spec
    if kind == "static":
        return kind, type(spec[1])
    if kind == "same":
        return spec
    return kind, type(spec[1]), tuple(map(_outline, spec[-1]))
