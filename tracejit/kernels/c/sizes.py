"""One piece of machine code for many sizes: C sources that differ in numbers only share code that reads them.

The first source of its kind is compiled as it is. The second that has the same text but for some numbers is compiled
with these numbers read from a table, which the caller hands over behind the arena's pointer; each further one brings a
table and no compilation. So the results of all of them are those of their own sources.
"""

import functools
import hashlib
import re
import struct
import threading
import time

import numpy as np

from tracejit.config import config
from tracejit.kernels import compile as compiling
from tracejit.kernels.resize import relatives

__all__ = ["Family", "generalized", "split"]

#: Where a function begins that is handed the buffers.
_HEAD = re.compile(
    r"(?:static void|TJ_EXPORT int64_t) \w+\((?:void \*\*(b|given)\b|int64_t begin, int64_t end, void \*ctx\b).*\{$"
)
#: Where functions that run in parallel name the buffers, in their first or second line.
_UNPACKED = re.compile(r"  void \*\*const (\w+) = (?:ctx|d->b);$")
#: What may hold a number, in the order in which they have to be looked for.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|0[xX]\w+|((?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)([A-Za-z_]*)')
#: Sizes of local arrays, and alignments, are the compiler's to know.
_FIXED = re.compile(r"\b(?!return\b|else\b|sizeof\b)[A-Za-z_]\w* \**[A-Za-z_]\w*((?:\[[^\]]*\])+)|TJ_ALIGN\([^)]*\)")
#: A local array that is filled by loops: more room than it needs is no harm.
_ROOM = re.compile(r"^ *TJ_ALIGN\(64\) [\w ]+ \w+\[(\d+)\];$")
#: Seconds for looking at further sizes, which costs less than what it saves.
_PATIENCE = 0.25
#: The least room for one whose size varies.
_LEAST_ROOM = 512
#: Literal arrays: their words stand in the lines that follow.
_DATA = re.compile(r"TJ_ALIGN\(64\) static const uint64_t (\w+)_data\[\] = \{$")
_LOCAL_TABLE = re.compile(r"^  void \*b\[(\d+)\] = \{0\};$", re.M)
#: How a number of each kind is declared and read from entry {0} of a table of int64.
_KINDS = {
    "": "const int {name} = (int)tj_n[{at}];", "LL": "const int64_t {name} = tj_n[{at}];",
    "ULL": "const uint64_t {name} = (uint64_t)tj_n[{at}];",
    "d": "const double {name} = ((const double *)tj_n)[{at}];",
    "f": "const float {name} = (float)((const double *)tj_n)[{at}];",
    "data": "const uint64_t *const {name} = (const uint64_t *)tj_n[{at}];",
}


def _kind(digits, suffix):
    """Return the kind of a number, or None for one that stays as it is."""
    if "." in digits or "e" in digits.lower():
        return {"": "d", "f": "f"}.get(suffix)
    if suffix == "":
        return "" if int(digits) < 2**31 else None
    return suffix if suffix in ("LL", "ULL") else None


def _entry(kind, text, arrays):
    """Return a number as the table's eight bytes; of a literal array the address, and the array goes to `arrays`."""
    if kind == "data":
        words = re.findall(r"0x([0-9a-f]+)u", text)
        room = np.zeros(len(words) + 8, np.uint64)
        start = -room.ctypes.data % 64 // 8
        array = room[start:start + len(words)]
        array[:] = [int(word, 16) for word in words]
        arrays.append(array)
        return struct.pack("=Q", array.ctypes.data)
    if kind in "df" and kind:
        return struct.pack("=d", float(np.float32(text[:-1])) if kind == "f" else float(text))
    return struct.pack("=Q" if kind == "ULL" else "=q", int(text.rstrip("UL")))


class _Text:
    """A source taken apart: lines, and the numbers in its functions that may come from a table.

    The words of a literal array are one number, of the kind "data".
    """

    def __init__(self, source):
        self.lines = source.split("\n")
        self.numbers = []  # (line, begin, end, kind, text)
        self.heads = []  # lines where functions begin
        self.starts = []  # of each, the line behind which the buffers have a name, and that name
        self.arrays = {}  # index of a number of kind "data" → the array's name
        inside, name, words = False, "", None
        for at, line in enumerate(self.lines):
            if words is not None:
                words.append(line)
                if line.endswith("};"):
                    self.arrays[len(self.numbers)] = name
                    self.numbers.append((at, 0, len(line), "data", "\n".join(words)))
                    words = None
                else:
                    self.lines[at] = None  # the last line stands for all
                continue
            if not inside:
                found = _DATA.match(line)
                if found is not None:
                    name, words = f"{found[1]}_data", []
                    continue
                start = self._start(at)
                if start is not None:
                    inside = True
                    self.heads.append(at)
                    self.starts.append(start)
                continue
            if line == "}":
                inside = False
            elif not (line.lstrip().startswith(("#", "static ", "case ")) or "TJ_SIMD" in line or "TJ_PRAGMA" in line):
                self._look(at, line)

    def _start(self, at):
        """Return what `starts` has for a function that begins here and is handed the buffers, else None."""
        found = _HEAD.match(self.lines[at])
        if found is None or found[1] is not None:
            return None if found is None else (at, found[1])
        unpacked = [(k, _UNPACKED.match(self.lines[k])) for k in (at + 1, at + 2)]
        return next(((k, m[1]) for k, m in unpacked if m is not None), None)

    def _look(self, at, line):
        room = _ROOM.match(line)
        if room is not None:
            self.numbers.append((at, *room.span(1), "room", room[1]))
            return
        fixed = [m.span(1) if m[1] else m.span() for m in _FIXED.finditer(line)] if "[" in line or "TJ_" in line else ()
        for m in _TOKEN.finditer(line):
            if m[1] is None or any(a <= m.start() < b for a, b in fixed):
                continue
            kind = _kind(m[1], m[2])
            if kind is not None:
                self.numbers.append((at, m.start(), m.end(), kind, m[0]))

    def with_numbers(self, texts):
        """Return the lines with the numbers replaced; None for those that are gone."""
        lines, shift, row = list(self.lines), 0, -1
        for (at, begin, end, _, _), text in zip(self.numbers, texts):
            if at != row:
                row, shift = at, 0
            lines[at] = lines[at][:begin + shift] + text + lines[at][end + shift:]
            shift += len(text) - (end - begin)
        return lines


@functools.lru_cache(16)
def split(source):
    """Return (a digest of the text around the numbers, the kinds of the numbers, the numbers)."""
    text = _Text(source)
    around = "\n".join(filter(None, text.with_numbers(["\x00" + kind for _, _, _, kind, _ in text.numbers])))
    _, _, _, kinds, numbers = zip(*text.numbers) if text.numbers else [()] * 5
    return hashlib.sha256(around.encode()).digest(), kinds, numbers


def generalized(source, places, slot):
    """Return the source with some of its numbers read from a table.

    Parameters
    ----------
    source : str
    places : dict
        Index of a number → its entry in the table; of the size of a local array → another size.
    slot : int
        Where in the caller's array of buffers the table's address is.
    """
    text = _Text(source)
    texts = [n[4] for n in text.numbers]
    needed = {}  # head of a function → the numbers and arrays it reads: (kind, entry, name)
    heads = iter([*text.heads, len(text.lines)])
    head, following = None, next(heads)
    for k, (at, _, _, kind, _) in enumerate(text.numbers):
        while at > following:
            head, following = following, next(heads)
        if kind == "room":
            texts[k] = str(places.get(k, texts[k]))
        elif kind == "data":
            continue
        elif k in places:
            texts[k] = f"tj_n{places[k]}{kind}"
            needed.setdefault(head, {})[kind, places[k], texts[k]] = None
    lines = text.with_numbers(texts)
    given_data = {text.arrays[k]: at for k, at in places.items() if k in text.arrays}
    for k, name in text.arrays.items():
        if name in given_data:
            lines[text.numbers[k][0]] = None
            lines[lines.index(f"TJ_ALIGN(64) static const uint64_t {name}[] = {{")] = None
    for head, end in zip(text.heads, [*text.heads[1:], len(lines)]):
        for name, at in given_data.items():
            if any(line is not None and name in line for line in lines[head:end]):
                needed.setdefault(head, {})["data", at, name] = None
    local = _LOCAL_TABLE.search(source)
    for head, wanted in needed.items():
        after, buffers = text.starts[text.heads.index(head)]
        here = f"{buffers}[{slot if local is None or buffers == 'given' else local[1]}]"
        declared = [f"  const int64_t *const tj_n = {here};"]
        declared += ["  " + _KINDS[kind].format(name=name, at=at) for kind, at, name in wanted]
        lines[after] += "\n" + "\n".join(declared)
    result = "\n".join(line for line in lines if line is not None)
    if local is not None:
        # the entry's own array of buffers hands the table on to the functions
        copied = re.search(r"^  memcpy\(b, given, .*;$", result, re.M)
        result = result.replace(copied[0], f"{copied[0]}\n  b[{local[1]}] = given[{slot}];", 1)
        result = result.replace(local[0], local[0].replace(f"[{local[1]}]", f"[{int(local[1]) + 1}]"), 1)
    return result


class _Template:
    """Sources of one text: the first one's numbers, and the code that serves those which differ in some."""

    def __init__(self, values, graph):
        self.first, self.graph = values, graph
        self.seen = [values]
        self.loaded = False  # whether the first source was compiled as it is
        self.shared = False  # whether also the first source is served by code for many
        self.groups = []  # of numbers that come from the table, and were equal in all sources so far
        self.rooms = {}  # local array whose size varies → the size it is given
        self.code = None

    def fits(self, values):
        """Return whether the code that there is serves these numbers."""
        if self.code is None or any(int(values[k]) > size for k, size in self.rooms.items()):
            return False
        free = {k for group in self.groups for k in group} | set(self.rooms)
        return all(v == f for k, (v, f) in enumerate(zip(values, self.first)) if k not in free) and all(
            len({values[k] for k in group}) == 1 for group in self.groups)

    def widen(self, values, kinds):
        """Let the numbers that differ come from the table; returns what `generalized` takes."""
        self.seen.append(values)
        groups, self.rooms = {}, {}
        for k, column in enumerate(zip(*self.seen)):
            if len(set(column)) == 1:
                continue
            if kinds[k] == "room":
                self.rooms[k] = max(_LEAST_ROOM, 1 << (max(map(int, column)) - 1).bit_length())
            else:
                groups.setdefault((kinds[k], column), []).append(k)
        self.groups = list(groups.values())
        return {k: at for at, group in enumerate(self.groups) for k in group} | self.rooms

    def table(self, values, kinds):
        """Return the numbers as the code reads them, and what has to live as long."""
        arrays = []
        numbers = b"".join(_entry(kinds[g[0]], values[g[0]], arrays) for g in self.groups)
        return np.frombuffer(numbers, np.int64), arrays


class Family:
    """The programs of one function: code for one size, or for all."""

    def __init__(self):
        self.compiles = self.reuses = 0
        self._templates = {}
        self._lock = threading.Lock()

    def count(self):
        """Count a program that was compiled, by whatever backend."""
        with self._lock:
            self.compiles += 1

    def load(self, source, routines, slot, graph=None, text=None):
        """Return (loaded code, its source, its table or None, what has to live as long as that) for a source.

        `graph` is what it computes, and ``text(graph)`` the source of another, by which is seen what else may vary.
        """
        digest, kinds, values = split(source)
        with self._lock:
            template = self._template(digest, routines, slot, values, graph)
            if template.first == values and not template.shared:
                self.compiles += not template.loaded
                template.loaded = True
                return compiling.load(source, routines), source, None, ()
            if not template.fits(values):
                if template.graph is not None and graph is not None:
                    template.seen += self._relatives(template.graph, graph, digest, text)
                source = generalized(source, template.widen(values, kinds), slot)
                template.code = compiling.load(source, routines), source
                self.compiles += 1
            else:
                self.reuses += 1
            return *template.code, *template.table(values, kinds)

    def expect(self, source, routines, slot, graph):
        """Take note of the source for another size, so that the next one is compiled for both and more at once."""
        digest, _, values = split(source)
        with self._lock:
            self._template(digest, routines, slot, values, graph).shared = True

    def _template(self, digest, routines, slot, values, graph):
        key = digest, routines, slot, config.key()  # code finds the table at the slot, whatever its other numbers are
        if key not in self._templates:
            self._templates[key] = _Template(values, graph)
        return self._templates[key]

    @staticmethod
    def _relatives(first, second, digest, text):
        """Return the numbers in the sources of further sizes, where these have the same text."""
        found, until = [], time.perf_counter() + _PATIENCE
        for graph in relatives(first, second):
            try:
                other, _, values = split(text(graph))
            except Exception:  # it was made up, and need not be one that can be compiled
                continue
            if other == digest:
                found.append(values)
            if time.perf_counter() > until:
                break
        return found
