"""Random small programs as source text, which the fuzzers of `test_flow_random` run.

Some are of branches, loops and jumps, some of arrays under several names.
"""

import itertools
import linecache
import random

import numpy as np

_files = itertools.count()


class Maker:
    """Writes one function ``f(x, a, n)`` of an array of 12 floats, a float and an int; all loops end."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines, self.depth, self.loops, self.left, self.names = [], 1, [], 26, itertools.count()

    def text(self):
        """Return the source."""
        self.lines = ["def f(x, a, n):", "    s, t, k, u = 0, a, n, x * 0.5"]
        self.block(self.random.randint(3, 7))
        self.put("return s, t, k, u, x")
        return "\n".join(self.lines) + "\n"

    def put(self, line):
        self.lines.append("    " * self.depth + line)

    def pick(self, *options):
        return self.random.choice(options)

    # ------------------------------------------------------------ expressions
    def integer(self):
        known = [v for v, _ in self.loops if v]
        return self.pick("k", "n", "2", "5", "k % 4", "(k - n)", "min(k, 9)", *known, *(f"({v} + 1)" for v in known))

    def place(self):
        known = [v for v, small in self.loops if small]
        return self.pick("k % 12", "abs(n) % 12", "3", "-1", *known, *(f"({v} - 1)" for v in known))

    def number(self, deep=0):
        if deep > 1 or self.random.random() < 0.5:
            return self.pick("s", "t", "a", "1.5", "0.25", f"x[{self.place()}]", f"u[{self.place()}]", self.integer())
        one, two = self.number(deep + 1), self.number(deep + 1)
        return self.pick(f"({one} + {two})", f"({one} - {two})", f"{one} * 0.5", f"min({one}, {two})", f"abs({one})",
                         f"max({one}, {two})", f"({one} if {self.test(1)} else {two})", f"float({one})", "u.sum()")

    def test(self, deep=0):
        if deep == 0 and self.random.random() < 0.35:
            one, two = self.test(1), self.test(1)
            return self.pick(f"{one} and {two}", f"{one} or {two}", f"not ({one})",
                             f"{self.number(1)} < {self.number(1)} <= 4")
        return self.pick(f"{self.number(2)} {self.pick('<', '>', '<=', '>=')} {self.number(2)}",
                         f"{self.integer()} % 3 {self.pick('==', '!=')} {self.random.randint(0, 2)}",
                         f"x[{self.place()}] > {self.pick('0', 'a', 's')}")

    # ------------------------------------------------------------ statements
    def block(self, count):
        for _ in range(count):
            self.left -= 1
            self.statement()

    def inside(self, count=None):
        self.depth += 1
        self.block(count or self.random.randint(1, 3))
        self.depth -= 1

    def statement(self):
        nested = [self.if_, self.if_, self.for_, self.while_] if self.left > 0 and self.depth < 5 else []
        jumps = [self.jump] if self.loops or self.random.random() < 0.3 else []
        self.pick(self.assign, self.assign, self.write, self.update, *nested, *jumps)()

    def assign(self):
        self.put(self.pick(f"s = {self.number()}", f"t = {self.number()}", f"k = ({self.integer()} + 1) % 7",
                           f"s += {self.number()} * 0.25", f"u = u * 0.5 + {self.number(1)}", "s, t = t, s",
                           f"t = {self.number()}", "x, u = u, x", "u = x.copy()", f"k = int({self.number(1)}) % 11"))

    def write(self):
        self.put(self.pick(f"x[{self.place()}] = {self.number()}", f"u[{self.place()}] += {self.number(1)} * 0.5",
                           f"u[1:5] *= {self.pick('0.5', '0.25')}",
                           f"x[{self.place()}], u[0] = u[0], x[{self.place()}]"))

    def update(self):
        self.put(self.pick("t *= 0.5", "k += 1", "u += 1", "u[::2] = 0", "s -= 1", "t = s"))

    def if_(self):
        self.put(f"if {self.test()}:")
        self.inside()
        if self.random.random() < 0.3:
            self.put(f"elif {self.test()}:")
            self.inside()
        if self.random.random() < 0.5:
            self.put("else:")
            self.inside()

    def for_(self):
        v = f"i{next(self.names)}"
        kind = self.random.randint(0, 5)
        small = True
        if kind == 0:
            self.put(f"for {v} in range({self.pick('12', '3', '10')}):")
        elif kind == 1:
            self.put(f"for {v} in range(abs(n) % 12):")
        elif kind == 2:
            self.put(f"for {v} in range(11, {self.pick('0', '2', 'n')}, {self.pick('-1', '-2')}):")
            small = False
        elif kind == 3:
            self.put(f"for {v}, w{v} in enumerate(x):")
        elif kind == 4:
            self.put(f"for w{v}, {v} in zip(u, range(1, 12)):")
        else:
            self.put(f"for {v} in range({self.pick('n', '2', '0')}, {self.pick('n + 3', '9')}):")
            small = False
        self.loops.append((v, small))
        self.inside()
        self.loops.pop()
        self.maybe_else()

    def while_(self):
        v = f"c{next(self.names)}"
        self.put(f"{v} = 0")
        self.put(f"while {v} < {self.pick('4', '11', 'n')} and {self.test(1)}:" if self.random.random() < 0.7 else
                 "while True:")
        forever = self.lines[-1].endswith("True:")
        self.depth += 1
        self.put(f"{v} += 1")
        if forever:
            self.put(f"if {v} > {self.pick('5', 'n')} or {self.test(1)}:")
            self.put("    break")
        self.depth -= 1
        self.loops.append((None, False))
        self.inside()
        self.loops.pop()
        self.maybe_else()

    def maybe_else(self):
        if self.random.random() < 0.2:
            self.put("else:")
            self.inside(1)

    def jump(self):
        jump = self.pick("break", "continue") if self.loops else "return s, t, k, u, x"
        if self.loops and self.random.random() < 0.2:
            jump = "return s, t, k, u, x"
        self.put(f"if {self.test()}:")
        self.put(f"    {jump}")


class NamesMaker(Maker):
    """Writes one function ``f(x, y, n)`` of two arrays of shape (14, 3) and an int; names are one another's views."""

    def text(self):
        """Return the source."""
        self.left = 10
        self.lines = ["def touched(v):", "    v[0] += 0.5", "    return v", "def f(x, y, n):",
                      "    p, q, r, s = x, y, x * 0.5, 0.0", "    g, h, m = x[1], y[2], [p, q]"]
        self.block(self.random.randint(3, 6))
        self.put("return s, p, q, r, g, h, m[0], m[1]")
        return "\n".join(self.lines) + "\n"

    def whole(self):
        return self.pick("p", "q", "r", "p", "q", "m[0]", "m[1]", "x", "y")

    def place(self):
        known = [v for v, _ in self.loops]
        return self.pick("1", "2", "n % 14", *known, *(f"{v} - 1" for v in known))

    def row(self):
        return self.pick("g", "h", f"{self.whole()}[{self.place()}]", f"{self.whole()}[{self.place()}]", "g * 0.5",
                         f"{self.whole()}[3:6, 1]", f"{self.whole()}.T[0, 2:5]", f"{self.pick('g', 'h')}[::-1]")

    def test(self, deep=0):
        known = [v for v, _ in self.loops]
        return self.pick(f"s > {self.pick('0', '2', '-1')}", f"{self.pick('g', 'h')}[1] < 0.5",
                         f"{self.whole()}[{self.place()}, 0] > {self.pick('0', '1')}",
                         *(f"{v} % 3 == {self.pick('0', '1')}" for v in known))

    def statement(self):
        nested = [self.if_, self.for_, self.for_, self.while_] if self.left > 0 and self.depth < 3 else []
        jumps = [self.jump] if self.loops else []
        self.pick(self.bind, self.bind, self.write, self.write, self.read, *nested, *jumps)()

    def bind(self):
        one, other, row = self.pick("p", "q", "r"), self.whole(), self.pick("g", "h")
        self.put(self.pick(f"{one} = {other}", f"{one} = {other} * 0.5", f"{one} = {other}.copy()", "p, q = q, p",
                           "q, r = r, q", "p, q, r = q, r, p", f"{row} = {self.row()}", f"{row} = {self.row()}",
                           "g, h = h, g",
                           "m.reverse()", f"m[{self.pick('0', '1')}] = {one}", f"{one} = touched({other})",
                           f"{row} = touched({row})",
                           f"{one} = {other}[::-1]", f"{one} = {other} if {self.test()} else {self.whole()}",
                           f"m = [{other}, {self.whole()}]"))

    def write(self):
        whole, row = self.whole(), self.pick("g", "h")
        self.put(self.pick(f"{whole}[{self.place()}] = {self.row()}", f"{whole}[{self.place()}] += 0.25",
                           f"{row}[0] += 1", f"{row} *= 0.5", f"{row}[:] = {self.row()}",
                           f"{self.pick('p', 'q', 'r')} *= 0.5",
                           f"{whole}[1:4] = {self.whole()}[2:5]", f"{whole}[:, 0] = {self.whole()}[:, 1]",
                           f"{whole}[{self.place()}, 1] = s", f"touched({whole}[{self.place()}])"))

    def read(self):
        self.put(self.pick(f"s += {self.whole()}.sum() * 0.01", f"s += {self.pick('g', 'h')}[0]", "s *= 0.5",
                           f"s = {self.whole()}[{self.place()}, 1]", f"s = s * 0.5 + {self.pick('g', 'h')}.sum()"))

    def for_(self):
        v = f"i{next(self.names)}"
        self.put(f"for {v} in range({self.pick('9', 'n', '1, n + 2', '10, 0, -1')}):")
        self.loops.append((v, True))
        self.inside()
        self.loops.pop()

    def while_(self):
        v = f"c{next(self.names)}"
        self.put(f"{v} = 0")
        self.put(f"while {v} < {self.pick('9', 'n')} and {self.test()}:")
        self.depth += 1
        self.put(f"{v} += 1")
        self.depth -= 1
        self.loops.append((v, True))
        self.inside()
        self.loops.pop()

    def jump(self):
        self.put(f"if {self.test()}:")
        self.put(f"    {self.pick('break', 'continue')}")


def program(seed, maker=Maker):
    """Return (function, its source) of a random program; the source can be found as that of a file can."""
    text = maker(seed).text()
    name = f"<flow program {seed} {next(_files)}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space = {"np": np, "__name__": "programs"}
    exec(compile(text, name, "exec"), space)
    return space["f"], text


def inputs(seed):
    """Yield arguments that take different ways through a program."""
    rng = np.random.default_rng(seed)
    for n in (3, 0, 7, -2, 11):
        yield np.round(rng.normal(0, 3, 12), 2), float(np.round(rng.normal(0, 2), 2)), n


def arrays(seed):
    """Yield arguments of a program of `NamesMaker`."""
    rng = np.random.default_rng(seed)
    for n in (10, 0, 9):
        yield np.round(rng.normal(0, 1, (14, 3)), 2), np.round(rng.normal(0, 1, (14, 3)), 2), n
