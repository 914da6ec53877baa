"""C for kernels: a function, and one more per parallel loop."""

from tracejit.kernels.c.expressions import ExpressionWriter
from tracejit.kernels.c.spell import literal, memory_type, value_type
from tracejit.kernels.loop_ir import (
    COMPENSATED,
    Accumulate,
    Alloc,
    Combine,
    Copy,
    For,
    Let,
    Store,
    expressions,
    load_op,
    loaded,
)
from tracejit.kernels.program import has_guard
from tracejit.symbolic.graph import topological
from tracejit.symbolic.ir import OPS, Node, const_op, const_value, make
from tracejit.symbolic.ops.scalar import cast_op
from tracejit.symbolic.types import BOOL, C64, C128, F16, I64, REAL_OF

#: C types of the flags that collect arguments beyond the bound of a vector function.
_FLAG = {"wide_f64": "int64_t", "wide_f32": "int32_t"}

#: Elements of a parallel loop before which it has memory fetched that it comes to later.
_BLOCK = 64

_EXTREMES = {"maximum": ">", "minimum": "<"}


class KernelWriter(ExpressionWriter):
    """Writes one kernel."""

    def __init__(self, unit, kernel, inline=False):
        super().__init__(unit, kernel, _written(kernel.body), inline)
        self.kernel = kernel
        self.fresh = set()  # scalars that the next store declares
        self.guarded = has_guard(kernel)
        self.outlined = []

    def text(self):
        """Return the functions."""
        self.inlined(1)
        err = ", int64_t *fail" if self.guarded else ""
        main = [f"static void {self.kernel.name}(void **b{err}) {{", *self._declarations(self.lines), *self.lines, "}"]
        return "\n\n".join([*self.outlined, "\n".join(main)])

    def inlined(self, depth):
        """Return the lines of the body; what runs in parallel is in functions, `outlined`."""
        run = []
        for s in self.kernel.body:
            if isinstance(s, For) and s.kind.startswith("parallel"):
                self._serial(run, depth)
                self._parallel(s, depth)
                run = []
            else:
                run.append(s)
        self._serial(run, depth)
        return self.lines

    def _serial(self, run, depth):
        """Write statements in order; what could not run again uses exact functions at once."""
        straight = not any(isinstance(s, For) for s in run)
        self.spell.straight, self.spell.exact = straight, straight or _updates(run)
        self._checked(lambda: [self._statement(s, depth) for s in run], depth)
        self.spell.straight = self.spell.exact = False

    def _declarations(self, lines):
        text = "\n".join(lines)
        meeting = self.unit.meeting if len(self.written) > 1 else ()
        return [
            "  " + self.unit.declare(b, b.name in self.written, b.name not in meeting)
            for b in self.kernel.buffers if _mentions(text, b.name)
        ]

    def _body(self, body, depth):
        mark = len(self.names)
        for s in body:
            self._statement(s, depth)
        for node in list(self.names)[mark:]:
            del self.names[node]

    def _statement(self, s, depth):
        if isinstance(s, For):
            if s.kind.startswith("parallel"):
                self._parallel(s, depth)
            else:
                self._loop(s, depth)
        elif isinstance(s, Let):
            value = self._expression(s.value, depth)
            self.line(depth, f"const int64_t {s.index.attrs[0]} = {value};")
            self.depth_of[s.index] = depth
        elif isinstance(s, Alloc):
            self._alloc(s, depth)
        elif isinstance(s, Copy):
            count = s.source.nbytes
            count = self._expression(count, depth) if isinstance(count, Node) else count
            self.line(depth, f"memcpy({s.target.name}, {s.source.name}, {count});")
        elif isinstance(s, Combine):
            self._combine(s, depth)
        elif isinstance(s, Store):
            mark = len(self.names)
            self._prepare([s.value, s.offset], depth, True)
            self.line(depth, f"{self._place(s)} = {self._stored(self._ref(s.value), s.buffer)};")
            self._drop_volatile(mark)
        else:
            self._accumulate(s, depth)

    def _checked(self, write, depth):
        """Write something, and behind it once more with exact functions, for when an argument was beyond a bound."""
        before = len(self.lines)
        names, self.flags = dict(self.names), {}
        write()
        if not self.flags:
            return
        flags = "".join(f" {_FLAG[flag]} {flag} = 0;" for flag in self.flags)
        self.lines.insert(before, "  " * depth + "{" + flags)
        self.line(depth, f"if (TJ_UNLIKELY({' | '.join(self.flags)})) {{")
        self.names, self.spell.exact = dict(names), True
        write()
        self.line(depth, "} }")
        self.names, self.spell.exact, self.flags = names, False, {}

    def _place(self, s):
        if s.buffer.role == "scalar":
            kind = f"{value_type(s.buffer.dtype)} " if s.buffer.name in self.fresh else ""
            self.fresh.discard(s.buffer.name)
            return kind + s.buffer.name
        return f"{s.buffer.name}[{self._offset(s.offset)}]"

    def _stored(self, text, buffer):
        if buffer.dtype == F16 and buffer.role != "scalar":
            self.spell.need_half()
            return f"tj_f2h({text})"
        return text

    def _loop(self, s, depth):
        self._prepare(expressions([s]), depth, False)
        name = s.index.attrs[0]
        begin, end = self._expression(s.begin, depth), self._expression(s.end, depth)
        vector = s.kind == "simd" and not self.guarded
        at = len(self.lines)
        outer, self.flags = self.flags, {}
        advance = f"{name}++" if s.step == 1 else f"{name} += {s.step}"
        if not vector and any(self._is_risky(n) for n in topological(expressions([s]))):
            self.line(depth, "TJ_UNROLL(1)")
        self.line(depth, f"for (int64_t {name} = {begin}; {name} < {end}; {advance}) {{")
        self.depth_of[s.index] = depth + 1
        self._inside(s, depth + 1)
        self.line(depth, "}")
        self._forget(s)
        if vector:
            self.lines.insert(at, "  " * depth + self._simd())
        self.flags = {**outer, **self.flags}

    def _is_risky(self, node):
        """Return whether gcc 12 gets an operation wrong that it puts together from several turns of a loop."""
        if node.op is load_op:
            return self.vector and len(node.args) > 1  # a masked load
        # vectors of bools and of bytes, true is 1 in one of them and -1 in the other
        return node.op is cast_op and node.dtype.itemsize == 1 and node.dtype != BOOL == node.args[0].dtype

    def _inside(self, s, depth):
        outer = self.deepest, self.vector
        self.deepest, self.vector = depth, "simd" in s.kind
        self._body(s.body, depth)
        self.deepest, self.vector = outer

    def _forget(self, s):
        self.depth_of.pop(s.index, None)
        for inner in s.body:
            if isinstance(inner, Let):
                self.depth_of.pop(inner.index, None)

    def _simd(self):
        return f"TJ_PRAGMA(omp simd reduction(| : {', '.join(self.flags)}))" if self.flags else "TJ_SIMD"

    def _parallel(self, s, depth):
        """Put the loop into a function of its own, which the pool calls with parts of the range."""
        outer = self.names, self.depth_of, self.lines, self.flags
        self._reset()
        name = s.index.attrs[0]

        def write():
            self._prepare(expressions([s]), 1, False)
            streams = self._streams(s) if s.kind == "parallel simd" else []
            begin, end, depth = "begin", "end", 1
            if streams:
                begin, end, depth = "from", "to", 2
                self.line(1, f"for (int64_t from = begin, to; from < end; from += {_BLOCK}) {{")
                self.line(2, f"to = end - from < {_BLOCK} ? end : from + {_BLOCK};")
                for array, lines, written in streams:
                    self.line(2, f"TJ_FETCH({array}, from, {lines}, {written});")
            at = len(self.lines)
            self.line(depth, f"for (int64_t {name} = {begin}; {name} < {end}; {name}++) {{")
            self.depth_of[s.index] = depth + 1
            self._inside(s, depth + 1)
            self.line(depth, "}")
            if streams:
                self.line(1, "}")
            self._forget(s)
            if s.kind == "parallel simd":
                self.lines.insert(at, "  " * depth + self._simd())

        self.spell.exact = _updates([s])
        self._checked(write, 1)
        self.spell.exact = False
        function = f"{self.kernel.name}_{len(self.outlined)}"
        head = [f"static void {function}(int64_t begin, int64_t end, void *ctx) {{", "  void **const b = ctx;"]
        self.outlined.append("\n".join([*head, *self._declarations(self.lines), *self.lines, "}"]))
        self.names, self.depth_of, self.lines, self.flags = outer
        count = self._expression(s.end, depth)
        self.line(depth, f"tj_pool->parallel({function}, b, {count}, {s.grain});")

    def _streams(self, s):
        """Return the arrays that a loop without loops inside runs along: name, lines per block, whether it writes."""
        if not all(isinstance(inner, (Store, Let)) for inner in s.body):
            return []
        places = [(n.attrs[0], n.dtype, n.args, 0) for n in topological(expressions([s])) if n.op is load_op]
        places += [(t.buffer.name, t.buffer.dtype, (t.offset,), 1) for t in s.body if isinstance(t, Store)]
        found = {}
        for array, dtype, (place, *where), written in places:
            form = self.indices.affine(place)
            if not where and form.factor(s.index) == 1 and len(form.terms) == 1:
                _, _, before = found.get(array, (None, None, 0))
                found[array] = array, max(1, _BLOCK * dtype.itemsize // 64), max(written, before)
        return list(found.values())

    def _alloc(self, s, depth):
        b = s.buffer
        kind = "float" if b.dtype == F16 else memory_type(b.dtype)
        if s.value is None:
            self.line(depth, f"TJ_ALIGN(64) {kind} {b.name}[{b.size}];")
            return
        value = literal(s.value)
        if b.size <= 2:
            self.line(depth, f"{kind} {b.name}[{b.size}] = {{{', '.join([value] * b.size)}}};")
        else:
            self.line(depth, f"TJ_ALIGN(64) {kind} {b.name}[{b.size}];")
            self.line(depth, f"for (int64_t l = 0; l < {b.size}; l++) {b.name}[l] = {value};")

    def _fold(self, fold, x, y, dtype):
        left, right = _argument("x", dtype), _argument("y", dtype)
        return self.spell.text(make(OPS[fold], (left, right), ()), [x, y])

    def _combine(self, s, depth):
        half, name = s.count // 2, s.buffer.name
        while half:
            fold = self._fold(s.fold, f"{name}[l]", f"{name}[l + {half}]", s.buffer.dtype)
            if half >= 4:
                self.line(depth, "TJ_SIMD")
            self.line(depth, f"for (int64_t l = 0; l < {half}; l++) {name}[l] = {fold};")
            half //= 2

    def _accumulate(self, s, depth):
        mark = len(self.names)
        self._prepare([s.value, s.offset], depth, True)
        value = self._ref(s.value)
        if s.fold == COMPENSATED:
            self._compensated(s, value, depth)
        else:
            place, sign = self._place(s), _EXTREMES.get(s.fold)
            if sign and s.buffer.dtype.kind == "f" and _is_number(s.value):  # one instruction, which loses NaN
                self.line(depth, f"{place} = {value} {sign} {place} ? {value} : {place};")
            else:
                self.line(depth, f"{place} = {self._fold(s.fold, place, value, s.buffer.dtype)};")
        self._drop_volatile(mark)

    def _compensated(self, s, value, depth):
        """Write a Neumaier step; parts of complex sums separately; what is not finite has no error."""
        name, dtype = s.buffer.name, s.buffer.dtype
        kind = value_type(REAL_OF.get(dtype, dtype))
        f = "f" if dtype == C64 else ""
        self.counter += 1
        v = f"s{self.counter}"
        self.line(depth, f"{{ const {value_type(dtype)} {v} = {value};")
        for part in ("__real__ ", "__imag__ ") if dtype in (C64, C128) else ("",):
            self.line(
                depth,
                f"  {{ {kind} a = {part}{name}[0], c = {part}{v}, t = a + c, "
                f"e = fabs{f}(a) >= fabs{f}(c) ? (a - t) + c : (c - t) + a; "
                f"{part}{name}[1] += e - e == 0 ? e : 0; {part}{name}[0] = t; }}",
            )
        self.line(depth, "}")


def _argument(name, dtype):
    return load_op(make(const_op, (), (I64, (), b"\0" * 8)), buffer=name, dtype=dtype)


def _is_number(node):
    """Say whether a value is known not to be NaN."""
    if node.op is const_op:
        value = const_value(node)
        return bool(value == value)
    if node.op.name != "select":
        return False
    asked, *choices = node.args
    instead = asked.args[0] if asked.op.name == "isnan" else None
    return _is_number(choices[0]) and (choices[1] is instead or _is_number(choices[1]))


def _written(body):
    """Return the names of the buffers that statements write."""
    names, stack = set(), list(body)
    while stack:
        s = stack.pop()
        if isinstance(s, For):
            stack.extend(s.body)
        elif isinstance(s, (Store, Accumulate, Combine, Alloc)):
            names.add(s.buffer.name)
        elif isinstance(s, Copy):
            names.add(s.target.name)
    return names


def _updates(body):
    """Say whether statements read what they write: after them, an argument may be gone."""
    kept = {b.name for s in body for b in _targets(s) if b.role != "local"}
    return bool(kept & loaded(body))


def _targets(s):
    """Yield the buffers that a statement writes."""
    if isinstance(s, For):
        for inner in s.body:
            yield from _targets(inner)
    elif isinstance(s, (Store, Accumulate, Combine)):
        yield s.buffer
    elif isinstance(s, Copy):
        yield s.target


def _mentions(text, name):
    at = text.find(name)
    while at >= 0:
        after = text[at + len(name) : at + len(name) + 1]
        before = text[at - 1 : at]
        if not (after.isalnum() or after == "_" or before.isalnum() or before == "_"):
            return True
        at = text.find(name, at + 1)
    return False
