"""C for loops and branches: a region is one function, its scalars are local variables."""

from tracejit.kernels.c import routines
from tracejit.kernels.c.spell import literal, memory_type, value_type
from tracejit.kernels.control import Branch, Loop, walk
from tracejit.kernels.lanes import side_by_side
from tracejit.kernels.loop_ir import For
from tracejit.kernels.program import Launch, has_parallel
from tracejit.symbolic.ir import const_op


def swapped(steps):
    """Return the buffers whose places change at the end of a loop's turn, by name."""
    return {b.name: b for s in walk(steps) if isinstance(s, Loop) for b, _ in s.swaps}


def home(unit, buffer):
    """Return the place in memory of a scalar, as C text."""
    return f"*({memory_type(buffer.dtype)} *)({unit.where[buffer.name]})"


class RegionWriter:
    """Writes one region; kernels inside of it are written by `kernels`, a class."""

    def __init__(self, unit, region, kernels):
        self.unit, self.region, self.kernels = unit, region, kernels
        self.lines, self.counter = [], 0
        self.chained = False  # whether the innermost loop is one that runs while something holds
        self.declared = set()  # scalars that have a variable
        self.moving = set()  # buffers that get their memory here
        self.buffers, self.shared = {}, set()  # named here; those of them that other functions use too

    def text(self):
        """Return the function."""
        self._steps(self.region.steps, 1)
        head = f"static void {self.region.name}(void **b, int64_t *fail) {{"
        tail = ["failed:;"] if any("goto failed" in line for line in self.lines) else []
        return "\n".join([head, *self._declarations(), *self.lines, *tail, "}"])

    def line(self, depth, text):
        """Write a line."""
        self.lines.append("  " * depth + text)

    # ---------------------------------------------------------------- pointers
    def _declarations(self):
        words = _words("\n".join(self.lines))
        used = [b for b in self.buffers.values() if b.name in words]
        rows = []
        for b in used:
            if b.name in self.unit.slots or b.name in self.moving:
                rows.append(f"  {memory_type(b.dtype)} *{b.name} = {self.unit.pointer(b)};")
            else:
                alone = b.name not in self.shared and not any(self._overlap(b, c) for c in used)
                rows.append("  " + self.unit.declare(b, restrict=alone))
        return rows

    def _overlap(self, b, c):
        """Say whether two buffers may lie in the same memory (at different times)."""
        offsets = self.unit.program.offsets
        if b is c or b.name not in offsets or c.name not in offsets:
            return False
        if type(b.size) is not int or type(c.size) is not int:
            return True
        return offsets[b.name] < offsets[c.name] + c.nbytes and offsets[c.name] < offsets[b.name] + b.nbytes

    # ---------------------------------------------------------------- steps
    def _steps(self, steps, depth):
        for s in steps:
            for b in self.unit.needs.get(id(s), ()):
                self.buffers[b.name] = b
                self.moving.add(b.name)
            for text in self.unit.reserve(s):
                self.line(depth, text)
            for b in self.unit.needs.get(id(s), ()):
                self.line(depth, f"{b.name} = {self.unit.where[b.name]};")
            if isinstance(s, Launch):
                self._launch(s.kernel, depth)
            elif isinstance(s, Loop):
                self._loop(s, depth)
            elif isinstance(s, Branch):
                self._branch(s, depth)
            else:
                self._call(s, depth)

    def _note(self, buffers, shared):
        for b in buffers:
            if b is not None and b.role != "scalar":
                self.buffers[b.name] = b
                if shared:
                    self.shared.add(b.name)

    def _launch(self, kernel, depth):
        parallel = has_parallel(kernel)
        self._note(kernel.buffers, parallel)
        straight = not any(isinstance(s, For) for s in kernel.body)
        writer = self.kernels(self.unit, kernel, inline=True)
        writer.counter, writer.chained = self.counter, self.chained
        results = [b for b in kernel.buffers if b.role == "scalar" and b.name in writer.written]
        fresh = [b for b in results if b.name not in self.declared]
        if straight:
            writer.fresh = {b.name for b in fresh}
        else:
            for b in fresh:
                self.line(depth, f"{value_type(b.dtype)} {b.name};")
            self.line(depth, "{")
        self.lines += writer.inlined(depth if straight else depth + 1)
        self.unit.functions += writer.outlined
        if not straight:
            self.line(depth, "}")
        self.counter = writer.counter
        self._defined(results, depth)

    def _defined(self, scalars, depth):
        """Note that scalars have values, and put those into memory that are needed there."""
        for b in scalars:
            self.declared.add(b.name)
            if b.name in self.unit.where:
                self.line(depth, routines.store(self.unit, b.dtype, home(self.unit, b), b.name))

    def _call(self, s, depth):
        self._note([*s.operands, *s.results, s.scratch], True)
        results = [b for b in s.results if b.role == "scalar"]
        for b in results:
            if b.name not in self.declared:
                self.line(depth, f"{value_type(b.dtype)} {b.name};")
                self.declared.add(b.name)
        self.line(depth, "{")
        for text in routines.emit(self.unit, s):
            self.line(depth + 1, text)
        self.line(depth, "}")
        for b in results:
            self.line(depth, f"{b.name} = {routines.load(self.unit, b.dtype, home(self.unit, b))};")

    # ---------------------------------------------------------------- loops and branches
    def _loop(self, s, depth):
        outer, self.chained = self.chained, s.index is None
        if s.index is not None:
            i, n = s.index.name, _operand(s.count)
            if side_by_side(s, set(self.unit.where)):
                self.line(depth, "TJ_SIMD")
                self.line(depth, f"for (int64_t {i} = 0; {i} < {n}; {i}++) {{")
            else:
                self.line(depth, f"for (int64_t {i} = 0, n_{i} = {n}; {i} < n_{i}; {i}++) {{")
            self._defined([s.index], depth + 1)
        else:
            self.line(depth, "for (;;) {")
            self._steps(s.cond, depth + 1)
            self.line(depth + 1, f"if (!{_operand(s.test)}) break;")
        self._steps(s.body, depth + 1)
        self._move(s.moves, depth + 1)
        self._swap(s.swaps, depth + 1)
        self.line(depth, "}")
        self.chained = outer

    def _move(self, moves, depth):
        names = {b.name for b, _ in moves}
        held = {}
        for b, value in moves:
            text = _operand(value)
            if text in names:
                held[text] = f"m_{text}"
                kind = value_type(value.dtype)
                if text not in [_operand(v) for c, v in moves[: moves.index((b, value))]]:
                    self.line(depth, f"const {kind} m_{text} = {text};")
        for b, value in moves:
            text = _operand(value)
            self.line(depth, f"{b.name} = {held.get(text, text)};")
        self._defined([b for b, _ in moves], depth)

    def _swap(self, swaps, depth):
        if not swaps:
            return
        self._note([b for b, _ in swaps], True)
        self.line(depth, "{")
        grown = self.unit.grown  # what has got its memory here takes along how much that is
        for b, other in swaps:
            self.line(depth + 1, f"void *const p_{b.name} = {other.name};")
            if b.name in grown:
                self.line(depth + 1, f"void *const n_{b.name} = {grown[other.name]};")
        for b, _ in swaps:
            self.line(depth + 1, f"{self.unit.where[b.name]} = {b.name} = p_{b.name};")
            if b.name in grown:
                self.line(depth + 1, f"{grown[b.name]} = n_{b.name};")
        self.line(depth, "}")

    def _branch(self, s, depth):
        for b in s.results:
            self.line(depth, f"{value_type(b.dtype)} {b.name};")
            self.declared.add(b.name)
        index = _operand(s.index)
        if len(s.bodies) == 2:
            self.line(depth, f"if ({index}) {{")
            self._steps(s.bodies[1], depth + 1)
            if s.bodies[0]:
                self.line(depth, "} else {")
                self._steps(s.bodies[0], depth + 1)
            self.line(depth, "}")
            return
        self.line(depth, f"switch ({index}) {{")
        for k, body in enumerate(s.bodies):
            self.line(depth + 1, f"case {k}: {{" if k + 1 < len(s.bodies) else "default: {")
            self._steps(body, depth + 2)
            self.line(depth + 1, "} break;")
        self.line(depth, "}")


def _operand(value):
    """Return a literal or a scalar as C text."""
    return literal(value) if value.op is const_op else value.attrs[0]


def _words(text):
    """Return the set of names in a text."""
    return set("".join(c if c.isalnum() or c == "_" else " " for c in text).split())
