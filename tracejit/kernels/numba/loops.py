"""Python for Numba from loops and branches: a region is one function, its scalars are local variables."""

import re

from tracejit.kernels.control import Loop, walk
from tracejit.kernels.loop_ir import load_op
from tracejit.kernels.program import Call, Launch
from tracejit.symbolic.ir import const_op

_LOCAL = re.compile(r"\ba(\d+)\b")


def fits(region):
    """Say whether Numba can run a region: not where it calls a library."""
    return not any(isinstance(s, Call) for s in walk([region]))


def arrays(region):
    """Return the buffers that a region's function takes, by name."""
    found = {}
    for s in walk([region]):
        if isinstance(s, Launch):
            found.update((b.name, b) for b in s.kernel.buffers if b.role != "scalar")
        elif isinstance(s, Loop):
            found.update((b.name, b) for b, _ in s.swaps)
    return found


class RegionWriter:
    """Writes one region; kernels inside of it are written by `kernels`, a class, literals by `literal`."""

    def __init__(self, region, support, kernels, literal):
        self.region, self.support, self.kernels, self.literal = region, support, kernels, literal
        self.lines, self.counter = [], 0

    def text(self):
        """Return the function."""
        swapped = {b.name: None for s in walk([self.region]) if isinstance(s, Loop) for b, _ in s.swaps}
        self.line(0, f"def {self.region.name}({', '.join([*arrays(self.region), 'fail'])}):")
        for name in swapped:
            self.line(1, f"home_{name} = {name}")
        self._steps(self.region.steps, 1)
        # what has ended in another's place goes to its own
        for name in swapped:
            self.line(1, f"last_{name} = {name}.copy()")
        for name in swapped:
            self.line(1, f"home_{name}[:] = last_{name}")
        self.line(1, "return")
        return "\n".join(self.lines)

    def line(self, depth, text):
        """Write a line."""
        self.lines.append("    " * depth + text)

    def _steps(self, steps, depth):
        before = len(self.lines)
        for s in steps:
            if isinstance(s, Launch):
                self._launch(s.kernel, depth)
            elif isinstance(s, Loop):
                self._loop(s, depth)
            else:
                self._branch(s, depth)
        if len(self.lines) == before:
            self.line(depth, "pass")

    def _launch(self, kernel, depth):
        writer = self.kernels(kernel, self.support, inline=True)
        writer.counter = self.counter
        # arrays of other kernels have the same names and other types
        self.lines += [_LOCAL.sub(rf"a\1_{kernel.name}", line) for line in writer.statements(depth)]
        self.counter = writer.counter

    def _loop(self, s, depth):
        if s.index is not None:
            self.line(depth, f"for {s.index.name} in range({self._value(s.count)}):")
        else:
            self.line(depth, "while True:")
            self._steps(s.cond, depth + 1)
            self.line(depth + 1, f"if not {self._value(s.test)}:")
            self.line(depth + 2, "break")
        self._steps(s.body, depth + 1)
        if s.moves:
            names, values = [b.name for b, _ in s.moves], [self._value(v) for _, v in s.moves]
            self.line(depth + 1, f"{', '.join(names)} = {', '.join(values)}")
        if s.swaps:
            names, places = [b.name for b, _ in s.swaps], [b.name for _, b in s.swaps]
            self.line(depth + 1, f"{', '.join(names)} = {', '.join(places)}")

    def _branch(self, s, depth):
        index = self._value(s.index)
        for k, body in enumerate(s.bodies):
            last = k + 1 == len(s.bodies)
            word = "else:" if last and k else "if True:" if last else f"{'elif' if k else 'if'} {index} == {k}:"
            self.line(depth, word)
            self._steps(body, depth + 1)

    def _value(self, value):
        if value.op is const_op:
            return self.literal(value)
        assert value.op is load_op  # of a scalar
        return value.attrs[0]
