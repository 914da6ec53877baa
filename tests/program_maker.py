"""Random NumPy programs as text: 5 to 60 statements with reuse, views, writes, mixed dtypes, loops and branches.

Every value a program computes is a small multiple of a power of two, so that whatever the order of additions is, the
answer is exact, and a comparison takes the same way; what would not be (or would warn) is not put into a program.
"""

import contextlib
import linecache
import random
import re
import sys
import textwrap
import warnings

import numpy as np
from program_templates import PLAIN

#: Lines that continue a statement although they are not indented.
_CONTINUES = (" ", "else:", "elif ", "except", "finally:")


class Maker:
    """Makes one program; every prefix of it has run."""

    def __init__(self, seed, language=PLAIN):
        self.random = random.Random(seed)
        self.seed = seed
        self.language = language
        self.arguments = self._arguments()
        self.lines = []
        self.names = self.outcome([])

    # ------------------------------------------------------------ arguments
    def _arguments(self):
        """Return arrays in some layout by name, an integer and a float."""
        rng = np.random.default_rng(self.seed)
        shapes = dict(x=(3, 4), y=(4,), z=(3, 4), w=(2, 3, 4))
        if self.language is not PLAIN:
            shapes.update(u=(), e=(0, 4))
        out = {}
        for name, shape in shapes.items():
            array = exact(rng, shape, self.random.choice(self.language.dtypes))
            out[name] = laid_out(array, self.random.choice(self.language.layouts))
        if self.language is not PLAIN and self.random.random() < 0.15:
            out["z"] = self.random.choice((out["x"], out["x"], out["x"][::-1], out["w"][1]))
        return dict(out, m=int(rng.integers(2, 7)), s=float(rng.integers(-4, 5)))

    def fresh(self, other=0):
        """Return arguments of the same types and layouts: of the same content as the first ones, or of another."""
        rng = np.random.default_rng([self.seed, other])
        copies, out = {}, {}
        for name, value in self.arguments.items():
            out[name] = value
            if isinstance(value, np.ndarray):
                out[name] = _copied(value, copies)
                if other:
                    out[name][...] = exact(rng, value.shape, value.dtype.name)
        for name, value in self.arguments.items():
            if isinstance(value, np.ndarray):
                out[name].flags.writeable = value.flags.writeable
        if other:
            out["s"] = float(rng.integers(-4, 5))
        return out

    # ------------------------------------------------------------ the text, and what it does
    def source(self, lines=None):
        """Return the program's text; it returns all of its variables."""
        lines = self.lines if lines is None else lines
        names = dict.fromkeys(re.findall(r"^(v\d+) = ", "\n".join(lines), re.M))
        names = [name for name in names if f"del {name}" not in lines]
        result = "".join(f"{name!r}: {name}, " for name in (*names, "s"))
        return "\n".join([self.language.prelude, f"def program({', '.join(self.arguments)}):",
                          *("    " + line for line in lines), f"    return {{{result[:-2]}}}", ""])

    def outcome(self, lines=None, other=0):
        """Return the variables after the program, or its exception; None where it warns or leaves what is exact."""
        space = {"__name__": "program", "_at": _at}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                exec(re.sub(r"(np\.\w+)\.at\(", r"_at(\1, ", self.source(lines)), space)
                names = self.fresh(other)
                with _small():
                    names |= space["program"](**names)
            except (Warning, SyntaxError, RecursionError, TooLarge):
                return None
            except Exception as error:
                return error
        return names if all(map(is_exact, names.values())) else None

    def make(self, count):
        """Add statements until there are `count`, and perhaps one that fails."""
        tries = 0
        while len(self.statements()) < count and tries < 40 * count:
            tries += 1
            new = self._statement().split("\n")
            if not self._plausible(new):
                continue
            names = self.outcome(self.lines + new)
            # a program that returns early has only some of its variables
            if isinstance(names, dict) and self.names.keys() - {line[4:] for line in new} <= names.keys():
                self.lines += new
                self.names = names
        if self.language.failures and self.random.random() < 0.15:
            self._fail()
        return self

    def _fail(self):
        for _ in range(40):
            new = self._filled(self.random.choice(self.language.failures)).split("\n")
            if isinstance(self.outcome(self.lines + new), Exception):
                self.lines += new
                return

    def _plausible(self, lines):
        """Return whether statements run on copies of the variables, which is faster than a run from the start."""
        if any(re.search(r"\b(return|nonlocal|del)\b", line) for line in lines):
            return True
        names = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in self.names.items()}
        space = self._space() | names
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                with _small():
                    exec("\n".join(lines), space)
            except Exception:
                return False
        return all(is_exact(v) for k, v in space.items() if k in names or re.fullmatch(r"v\d+", k))

    def _space(self):
        if not hasattr(self, "_prelude"):
            self._prelude = {"__name__": "program"}
            exec(self.language.prelude, self._prelude)
        return dict(self._prelude)

    def statements(self):
        """Return the statements, each as the list of its lines."""
        out = []
        for line in self.lines:
            if line.startswith(_CONTINUES) and out:
                out[-1].append(line)
            else:
                out.append([line])
        return out

    # ------------------------------------------------------------ statements
    def _statement(self):
        draw = self.random.random()
        if draw < 0.12:
            return self._loop()
        if draw < 0.2:
            return self._branch()
        if draw < 0.4 and self.language.structures:
            return self._filled(self.random.choice(self.language.structures))
        return self._simple()

    def _simple(self, inside=False):
        draw = self.random.random()
        if draw < 0.3:
            return self._filled(self.random.choice(self.language.writes))
        if draw < 0.45:
            # Python's own number of one type, whatever the way: which of two types it has may not depend on the data
            return f"s = float({self._filled(self.random.choice(self.language.scalars))})"
        return f"{self._target(inside)} = {self._filled(self.random.choice(self.language.expressions))}"

    def _target(self, inside):
        variables = [v for v in self.names if v[0] == "v"]
        old = inside or len(variables) > 8 or (variables and self.random.random() < 0.2)
        if old and variables:
            return self.random.choice(variables)
        return "v" + str(max((int(v[1:]) for v in variables), default=-1) + 1)

    def _loop(self):
        head = self._filled(self.random.choice(self.language.loops))
        index = re.search(r"\bk\d+\b", head)
        body = [self._simple(True).replace("[i]", f"[{index[0]} % 2]" if index else "[0]")
                for _ in range(self.random.randint(1, 3))]
        if self.random.random() < 0.3:
            body.append(f"if {self._filled(self.random.choice(self.language.conditions))}:")
            body.append("    " + self.random.choice(("break", "continue", self._simple(True))))
            body.append(self._simple(True))
        before = []
        if head.startswith("while"):
            count = re.search(r"\bt\d+\b", head)[0]
            before, body = [f"{count} = 0"], [f"{count} += 1", *body]
        return "\n".join([*before, head, *("    " + line for line in body)])

    def _branch(self):
        lines = [f"if {self._filled(self.random.choice(self.language.conditions))}:", "    " + self._simple(True)]
        if self.random.random() < 0.6:
            lines += ["else:", "    " + self._simple(True)]
        return "\n".join(lines)

    def _filled(self, template):
        """Return a template with its holes filled, those for statements by other templates."""
        while (hole := re.search(r"^( *)\{(line|block)\}", template, re.M)) is not None:
            text = self._statement() if hole[2] == "block" and self.random.random() < 0.4 else self._simple(True)
            text = text.replace("{", "{{").replace("}", "}}")
            template = template[:hole.start()] + textwrap.indent(text, hole[1]) + template[hole.end():]
        while "{when}" in template:
            condition = self._filled(self.random.choice(self.language.conditions))
            template = template.replace("{when}", condition.replace("{", "{{").replace("}", "}}"), 1)
        pick = self.random.choice
        arrays = [k for k, v in self.names.items() if isinstance(v, (np.ndarray, np.generic))]
        arrays = [k for k in arrays if k not in "ue" or self.random.random() < 0.3]
        variables = [v for v in self.names if v[0] == "v"]
        indices = ("0", "1", "i") if "[{i}]" in template and "-{i}" not in template else ("0",)
        return template.format(
            a=pick(arrays), b=pick(arrays), c=pick(arrays), d=pick(self.language.dtypes), m="m", s="s", i=pick(indices),
            n=pick(("2", "1", "-1", "0.5", "3")), r=pick((2, 3, 12, 30)), j=len(self.lines), t=self._target(False),
            v=pick(variables or ["s"]), returned="{'s': s}")


# ---------------------------------------------------------------- values
def exact(rng, shape, dtype):
    """Return small numbers."""
    if dtype == "bool":
        return np.asarray(rng.integers(0, 2, shape)).astype(bool)
    if dtype.startswith(("i", "u")):
        return np.asarray(rng.integers(0 if dtype[0] == "u" else -4, 5, shape)).astype(dtype)
    values = rng.integers(-8, 9, shape) / 2
    return np.asarray(values + 1j * rng.integers(-4, 5, shape) if dtype[0] == "c" else values).astype(dtype)


def laid_out(array, layout):
    """Return an array of the same content in a memory layout."""
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "swapped":
        return array.astype(array.dtype.newbyteorder())
    if layout == "readonly":
        array.flags.writeable = False
        return array
    if layout == "misaligned":
        memory = np.zeros(array.nbytes + 1, np.uint8)
        out = memory[1:].view(array.dtype).reshape(array.shape)
    elif layout == "strided" and array.ndim:
        out = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)[..., ::2]
    elif layout == "reversed" and array.ndim:
        out = np.zeros(array.shape, array.dtype)[::-1]
    elif layout == "transposed":
        out = np.zeros(array.shape[::-1], array.dtype).T
    else:
        return array
    out[...] = array
    return out


def _copied(array, copies):
    """Return a copy with the same strides, of one memory where two arrays are of one; `copies` holds those made."""
    if id(array) not in copies:
        copies[id(array)] = array.copy("K")
        if array.base is not None:
            memory = _copied(array.base, copies).ravel("K")
            offset = array.ctypes.data - array.base.ctypes.data
            copies[id(array)] = np.ndarray(array.shape, array.dtype, memory, offset, array.strides)
    return copies[id(array)]


def _at(ufunc, a, *rest):
    """Do ``ufunc.at``, which in NumPy writes into arrays that are read-only, too: warn of these."""
    if isinstance(a, np.ndarray) and not a.flags.writeable:
        raise Warning("ufunc.at of an array that is read-only")
    ufunc.at(a, *rest)


class TooLarge(Exception):
    """An array of a program is larger than the program's time is worth."""


@contextlib.contextmanager
def _small():
    """Stop a program whose arrays grow from turn to turn, before they fill the memory."""
    def look(frame, event, argument):
        if frame.f_code.co_filename != "<string>":
            return None
        if any(isinstance(v, np.ndarray) and v.size > 4000 for v in frame.f_locals.values()):
            raise TooLarge
        return look
    before = sys.gettrace()
    sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)


def is_exact(value):
    """Return whether sums and products of such values are exact in any order."""
    value = np.asarray(value)
    if value.size > 400 or value.dtype.kind not in "biufc" or value.dtype.itemsize < 1:
        return False
    if value.dtype.kind in "bu" or value.size == 0:
        return True
    parts = [value.real, value.imag] if value.dtype.kind == "c" else [value]
    size = parts[0].dtype.itemsize
    bound, step = (2 ** 20, 8) if size >= 8 else (2 ** 10, 8) if value.dtype.kind == "i" or size == 4 else (2 ** 5, 2)
    return all(np.all(np.abs(p) <= bound) and (p.dtype.kind == "i" or np.all(p * step == np.floor(p * step)))
               for p in parts)


def function(source, name):
    """Return the function of a program's text, which Python finds like that of a file."""
    space = {"__name__": "program"}
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), space)
    return space["program"]
