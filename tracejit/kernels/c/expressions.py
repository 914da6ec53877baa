"""C for expressions: each shared node becomes one variable, defined as far out as what it needs is known."""

from tracejit.kernels.affine import Indices
from tracejit.kernels.c.spell import literal, number, value_type
from tracejit.kernels.loop_ir import guard_op, index_op, load_op
from tracejit.symbolic.ir import Node, const_op, const_value
from tracejit.symbolic.types import C64, F16, I64, REAL_OF

_ARITHMETIC = ("add", "subtract", "multiply")


class ExpressionWriter:
    """Writes the values that statements of one kernel need, and keeps what they are called.

    `written` are the names of the buffers that the kernel writes; `inline` says that the code stands in a function with
    a label `failed`.
    """

    def __init__(self, unit, kernel, written, inline=False):
        self.unit, self.spell, self.written, self.inline = unit, unit.speller, written, inline
        self.chained = False  # whether the code is a turn that waits for the one before, and nothing for vectors
        self.indices = Indices()
        self.buffers = {b.name: b for b in kernel.buffers}
        self.counter = 0
        self._reset()

    def _reset(self):
        self.names, self.depth_of = {}, {}
        self.lines, self.flags = [], {}
        self.deepest, self.vector = 0, False  # depth and kind of the loop that is being written

    def line(self, depth, text):
        """Write a line."""
        self.lines.append("  " * depth + text)

    def _expression(self, node, depth):
        self._prepare([node], depth, True)
        return self._ref(node)

    def _inline(self, node):
        return (
            node.op.name in _ARITHMETIC
            and node.dtype == I64
            and node.shape == ()
            and all(a.op is const_op or a.op is index_op or self._inline(a) for a in node.args)
        )

    def _prepare(self, nodes, depth, volatile):
        """Define what `nodes` need and can be known here; reads of what the kernel writes only if `volatile`."""
        blocked, stack = set(), [(n, False) for n in reversed(nodes)]
        seen = set()
        while stack:
            node, ready = stack.pop()
            if ready:
                if any(a in blocked for a in node.args) or (not volatile and self._is_volatile(node)):
                    blocked.add(node)
                elif not self._inline(node):
                    self._define(node, depth)
                continue
            if node in seen or node in self.names or node.op is const_op:
                continue
            seen.add(node)
            if node.op is index_op:
                if node not in self.depth_of:
                    blocked.add(node)
                continue
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args) if a not in seen)

    def _is_volatile(self, node):
        return node.op is load_op and node.attrs[0] in self.written

    def _drop_volatile(self, mark):
        """Forget values that depend on arrays the kernel writes: the next statement reads them anew."""
        dead = set()
        for node in list(self.names)[mark:]:
            if self._is_volatile(node) or any(a in dead for a in node.args):
                dead.add(node)
                del self.names[node]

    def _define(self, node, depth):
        buffer = self.buffers.get(node.attrs[0]) if node.op is load_op else None
        if buffer is not None and buffer.role == "scalar":
            self.names[node] = buffer.name
            return
        self.counter += 1
        name = f"v{self.counter}"
        if node.op is guard_op:
            self._guard(node, name, depth)
        else:
            self.line(depth, f"const {value_type(node.dtype)} {name} = {self._text(node, depth)};")
            self.unit.repeats |= bool(self.spell.doubts)
            for flag, doubt in self.spell.doubts:
                self.line(depth, f"{flag} |= {doubt};")
                self.flags[flag] = None
            self.spell.doubts.clear()
        self.names[node] = name

    def _ref(self, node):
        name = self.names.get(node)
        if name is not None:
            return name
        if node.op is const_op:
            if node.dtype == F16:
                return number(const_value(node).astype("float32")[()], REAL_OF[C64])
            return literal(node)
        if node.op is index_op:
            return node.attrs[0] if node.attrs[1] != 1 or node in self.depth_of else "0"
        return self._offset(node)

    def _offset(self, node):
        """Return index arithmetic as one expression."""
        if node in self.names:
            return self.names[node]
        if node.op is const_op:
            return str(int(const_value(node)))
        if node.op is index_op:
            return node.attrs[0]
        sign = {"add": "+", "subtract": "-", "multiply": "*"}[node.op.name]
        return f"({self._offset(node.args[0])} {sign} {self._offset(node.args[1])})"

    def _text(self, node, depth):
        op = node.op
        if self.chained and op.name == "select" and node.dtype == I64 and all(
                a.op.elementwise for a in node.args[1:]):  # both have to be computed, and are
            asked, *choices = map(self._ref, node.args)
            self.counter += 1
            x, y = f"x{self.counter}_", f"y{self.counter}_"
            self.line(depth, f"int64_t {x} = {choices[0]}, {y} = {choices[1]}; TJ_BOTH({x}, {y});")
            return f"({asked} ? {x} : {y})"
        if op is load_op:
            buffer = self.buffers.get(node.attrs[0])
            text = f"{node.attrs[0]}[{self._offset(node.args[0])}]"
            if buffer is not None and node.dtype == F16:
                self.spell.need_half()
                text = f"tj_h2f({text})"
            elif node.dtype.kind == "b":
                text = f"({text} != 0)"
            return self._masked(node, text) if len(node.args) > 1 else text
        if op.expand is not None and op.elementwise and not self.spell.known(op, node.args[0].dtype):
            return self._expression(op.expand(*node.args, **dict(zip(op.attrs, node.attrs))), depth)
        return self.spell.text(node, [self._ref(a) for a in node.args])

    def _masked(self, node, text):
        """Return a load that only happens where its condition holds.

        As a branch it becomes a masked load of the vector unit; gcc 12 may get those wrong that do not run along the
        innermost loop, so there element 0 is read where the condition does not hold: nothing uses it.
        """
        where = self._ref(node.args[1])
        form = self.indices.affine(node.args[0])
        inner = [form.factor(i) for i, depth in self.depth_of.items() if depth == self.deepest]
        if self.vector and all(f in (0, 1) for f in inner) and not any(t.op is not index_op for t in form.terms):
            return f"{where} ? {text} : 0"
        offset = f"[{self._offset(node.args[0])}]"
        return text.replace(offset, f"[{where} ? {offset[1:-1]} : 0]")

    def _guard(self, node, name, depth):
        x, ok, *where = [self._ref(a) for a in node.args]
        code, detail = node.attrs
        self.line(depth, f"{value_type(node.dtype)} {name} = {x};")
        refused = f"!{ok}" if not where else f"{where[0]} && !{ok}"
        first = [
            f"fail[1] = (int64_t){name};" if node.dtype.kind != "c" else "",
            *[f"fail[{k + 2}] = {self._expression(d, depth) if isinstance(d, Node) else d};"
              for k, d in enumerate(detail[:3])],
        ]
        self.line(
            depth,
            f"if (TJ_UNLIKELY({refused})) {{ if (!fail[0]) {{ fail[0] = {code}; {' '.join(first)} }} "
            + ("goto failed; }" if self.inline else f"{name} = 0; }}"),
        )
