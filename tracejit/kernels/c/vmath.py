"""Vector math in C: which functions `vmath.h` has, and the text of those that a kernel uses."""

import dataclasses
import functools
import pathlib
import re

# Functions that are right only up to a bound, and the predicate that sees an argument beyond it. A loop that calls
# one collects the predicate with a bitwise or (`reduction(|:wide)`, an integer as wide as the element) and, when it
# is not zero at the end, runs again over the same elements with the C library's function in its place.
GUARDS = {
    f"tj_{name}_{dtype}": (f"tj_trig_wide_{dtype}", name + suffix)
    for name in ("sin", "cos", "tan")
    for dtype, suffix in (("f64", ""), ("f32", "f"))
}

_MARK = re.compile(r"^//@ (?P<helper>helper )?(?P<name>\w+)(?: : (?P<needs>[\w ]+))?\n", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class _Section:
    """One section of `vmath.h`: what it needs, its text, and whether only other sections may use it."""

    needs: tuple[str, ...]
    text: str
    helper: bool


@functools.cache
def _table() -> dict[str, _Section]:
    """Return the sections in the order of the file, which is an order of dependency."""
    text = pathlib.Path(__file__).with_name("vmath.h").read_text(encoding="utf-8")
    marks = list(_MARK.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return {
        mark["name"]: _Section(
            tuple((mark["needs"] or "").split()), text[mark.end() : end].strip() + "\n", bool(mark["helper"])
        )
        for mark, end in zip(marks, ends)
    }


@functools.cache
def functions() -> frozenset[str]:
    """Return the names that an emitter may call, such as ``tj_exp_f64``."""
    return frozenset(name for name, section in _table().items() if not section.helper)


def sections(names: set[str]) -> str:
    """
    Return the C text of the functions named and of everything they need, each once, definitions before uses.

    Parameters
    ----------
    names
        Names out of `functions`; the empty set gives the empty string.

    Raises
    ------
    KeyError
        For a name that `vmath.h` does not have.
    """
    table = _table()
    needed: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += table[name].needs
    return "\n".join(section.text for name, section in table.items() if name in needed)
