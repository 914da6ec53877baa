"""C from programs: one translation unit, one entry point."""

from tracejit.kernels import compile as compiling
from tracejit.kernels.affine import Indices
from tracejit.kernels.c import (
    routines,
    routines_axis,
    routines_blas,
    routines_factor,
    routines_fft,
    routines_filter,
    routines_index,
    routines_linalg,
    routines_matrix,
    routines_partition,
    routines_random,
    routines_sort,
    vmath,
)
from tracejit.kernels.c.loops import RegionWriter, home, swapped
from tracejit.kernels.c.spell import HALF, Speller, literal, memory_type, number, value_type
from tracejit.kernels.control import Region, walk
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
    guard_op,
    index_op,
    load_op,
    loaded,
)
from tracejit.kernels.program import Executable, Launch, build, has_guard, step_buffers
from tracejit.symbolic.ir import OPS, Node, const_op, const_value, make
from tracejit.symbolic.types import C64, C128, F16, I64, REAL_OF

#: C types of the flags that collect arguments beyond the bound of a vector function.
_FLAG = {"wide_f64": "int64_t", "wide_f32": "int32_t"}
#: Modules whose routines are registered by being imported.
ROUTINES = (
    routines_axis,
    routines_blas,
    routines_factor,
    routines_fft,
    routines_filter,
    routines_index,
    routines_linalg,
    routines_matrix,
    routines_partition,
    routines_random,
    routines_sort,
)
_ARITHMETIC = ("add", "subtract", "multiply")
#: Memory whose size is known at run time: it grows where a loop comes by with a larger size.
_RESERVE = """static int tj_reserve(void **p, int64_t bytes) {
  if (p[0] && bytes <= (intptr_t)p[1]) return 0;
  if (p[0]) tj_pool->release(p[0]), bytes += bytes / 2;
  p[1] = (void *)(intptr_t)bytes;
  return !(p[0] = tj_pool->alloc(bytes));
}"""
#: Moves arrays to their homes, some of which may be where others are: those exchange their contents.
_HOME = """static void tj_bring_home(void **at, void **home, const int64_t *bytes, int n) {
  for (int i = 0; i < n; i++) {
    if (at[i] == home[i]) continue;
    int other = 0;
    while (other < n && at[other] != home[i]) other++;
    if (other == n) {
      memcpy(home[i], at[i], bytes[i]);
    } else {
      char *x = home[i], *y = at[i];
      for (int64_t k = 0; k < bytes[i]; k++) { const char c = x[k]; x[k] = y[k]; y[k] = c; }
      at[other] = y;
    }
    at[i] = home[i];
  }
}"""


def compile_program(program, family=None, graph=None):
    """Return the Executable of a program, compiled by the system's C compiler.

    In a `Family` it may share its code with programs of other sizes; `graph` is then what it computes.

    Raises
    ------
    CompileError
        If there is no compiler, or it fails.
    """
    unit = _Unit(program)
    source, names = unit.text()
    table, data = None, ()
    if family is None:
        loaded = compiling.load(source, names)
    else:
        slot = len(program.in_types) + len(program.out_types) + 1
        loaded, source, table, data = family.load(source, names, slot, graph, lambda g: emit(build(g))[0])
    return Executable(
        loaded.address,
        program.in_types,
        program.out_types,
        program.arena_bytes,
        program.long,
        program.errors,
        source,
        keep=(loaded, data),
        # a loop that may run again needs its operands as they were
        inplace=() if unit.repeats else tuple((k, i) for i, k in program.inplace),
        sized={b.number: b.dtype for b, _ in program.handles},
        table=table,
    )


def emit(program):
    """Return (C text, names of the BLAS and LAPACK routines that `tj_bind` expects)."""
    return _Unit(program).text()


class _Unit:
    """The text of one program."""

    def __init__(self, program):
        self.program = program
        self.speller = Speller()
        self.routines = {}  # name → position in the table of pointers
        self.helpers = {}  # functions that routines share and that name the types of other routines
        self.functions = []
        self.repeats = False  # whether a loop may find that it has to run again, with slower functions
        self.where = {}
        inputs = len(program.in_types)
        for b in program.buffers:
            if b.role == "input":
                self.where[b.name] = f"b[{b.number}]"
            elif b.role == "output":
                self.where[b.name] = f"b[{inputs + b.number}]"
            elif b.role == "temp" or b.name in program.offsets:
                arena = inputs + len(program.out_types)
                if b.name in program.offsets:
                    self.where[b.name] = f"(void *)((char *)b[{arena}] + {program.offsets[b.name]})"
        # each has its address in the table, and behind it the bytes there
        self.grown, first = {}, inputs + len(program.out_types) + 1  # name → where its bytes stand
        self.sizes = {}  # dims of the routine that is being written, with their buffers
        for k, b in enumerate(program.grown):
            self.where[b.name], self.grown[b.name] = f"b[{first + 2 * k}]", f"b[{first + 2 * k + 1}]"
        self.needs = _first_needs(program)  # id of a step → what of these it is the first to need
        # buffers that loops give another place at run time: that is found in the table
        self.slots, first = swapped(program.steps), first + 2 * len(program.grown)
        self.fixed = {name: self.where[name] for name in self.slots if name not in self.grown}
        for k, name in enumerate(self.fixed):
            self.where[name] = f"b[{first + k}]"

    def pointer(self, buffer):
        """Return the expression of a buffer's address, with `b` the array of all of them."""
        return f"(void *){buffer.name}_data" if buffer.role == "const" else self.where[buffer.name]

    def size(self, n):
        """Return a size as C text: an int, an expression over scalar buffers, or a dim of the graph."""
        if not isinstance(n, Node):
            return str(n)
        if n in self.sizes:
            n = self.sizes[n].load(make(const_op, (), (I64, (), b"\0" * 8)))
        if n.op is const_op:
            return str(int(const_value(n)))
        if n.op is load_op:
            buffer = next(b for b in self.program.buffers if b.name == n.attrs[0])
            return b.name if (b := buffer).role == "scalar" else f"((const int64_t *){self.pointer(buffer)})[0]"
        x, y = map(self.size, n.args)
        return {
            "add": f"({x} + {y})", "subtract": f"({x} - {y})", "multiply": f"({x} * {y})", "quotient": f"({x} / {y})",
        }[n.op.name]

    def reserve(self, step):
        """Return the lines that get memory for what a step is the first to need."""
        return [
            f"if (TJ_UNLIKELY(tj_reserve(&{self.where[b.name]}, {self.size(b.nbytes)}))) "
            f"{{ fail[0] = {self.program.no_memory}; fail[1] = {self.size(b.nbytes)}; goto failed; }}"
            for b in self.needs.get(id(step), ())
        ]

    def declare(self, buffer, writable=True, restrict=True):
        """Return the declaration of a pointer to a buffer, or of a scalar that is read from its place in memory."""
        if buffer.role == "scalar":
            place = routines.load(self, buffer.dtype, home(self, buffer))
            return f"const {value_type(buffer.dtype)} {buffer.name} = {place};"
        const = "" if writable and buffer.role != "const" and buffer.role != "input" else "const "
        kind = memory_type(buffer.dtype)
        if buffer.role == "const":
            return f"const {kind} *const {buffer.name} = (const {kind} *){buffer.name}_data;"
        return f"{const}{kind} *{'TJ_RESTRICT ' if restrict else ''}const {buffer.name} = {self.pointer(buffer)};"

    def routine(self, name):
        """Return the C expression of a BLAS or LAPACK routine."""
        self.routines.setdefault(name, len(self.routines))
        return f"tj_{name}_"

    def text(self):
        """Return the whole source, and the routines it needs."""
        entry = []
        for step in self.program.steps:
            entry += ["  " + line for line in self.reserve(step)]
            if isinstance(step, Launch):
                guarded = has_guard(step.kernel)
                self.functions.append(_KernelWriter(self, step.kernel).text())
                entry.append(f"  {step.kernel.name}(b, fail);" if guarded else f"  {step.kernel.name}(b);")
                if guarded:
                    entry.append("  if (TJ_UNLIKELY(fail[0])) goto failed;")
            elif isinstance(step, Region):
                function = RegionWriter(self, step, _KernelWriter).text()
                self.functions.append(function)
                entry.append(f"  {step.name}(b, fail);")
                if "fail[" in function:
                    entry.append("  if (TJ_UNLIKELY(fail[0])) goto failed;")
            else:
                entry += ["  {", *("    " + line for line in routines.emit(self, step)), "  }"]
        failing = any("fail" in line for line in entry)
        head = ["TJ_EXPORT int64_t tj_entry(void **b, int64_t *err) {"]
        if failing:
            head.append("  int64_t fail[5] = {0};")
        tail = [*self._bring_home(), *self._hand_over(), "  return 0;"]
        if failing:
            tail += ["failed:", "  for (int i = 0; i < 4; i++) err[i] = fail[i + 1];", "  return fail[0];"]
        if self.program.grown or self.slots:
            head, tail = self._with_table(head, tail)
        for name in self.speller.routines:
            self.routine(name)
        parts = []
        if self.speller.sections:
            parts.append(vmath.sections(set(self.speller.sections)))
        if self.speller.half:
            parts.append(HALF)
        parts += self.speller.support
        parts += [_data(b) for b in self.program.buffers if b.role == "const"]
        if any("tj_bool" in text for text in self.speller.support):
            parts.insert(0, "typedef _Bool tj_bool;")
        parts.append("static const tj_api *tj_pool;")
        parts += [self._routine_pointer(name) for name in self.routines]
        parts += self.helpers
        bind = [f"  tj_{name}_ = (tj_{name})routines[{k}];" for name, k in self.routines.items()]
        parts.append(
            "\n".join(
                ["TJ_EXPORT void tj_bind(const tj_api *api, void *const *routines) {", "  tj_pool = api;", *bind, "}"]
            )
        )
        parts += self.functions
        parts.append("\n".join([*head, *entry, *tail, "}"]))
        return "\n\n".join(parts) + "\n", tuple(self.routines)

    def _with_table(self, head, tail):
        """Give the entry a table of its own, with places for memory that grows, which is freed however it ends, and for
        buffers that change places.
        """
        given = len(self.program.in_types) + len(self.program.out_types) + 1
        count = len(self.program.grown)
        head[0] = "TJ_EXPORT int64_t tj_entry(void **given, int64_t *err) {"
        size = given + 2 * count + len(self.fixed)
        head += [f"  void *b[{size}] = {{0}};", f"  memcpy(b, given, {given} * sizeof *b);"]
        head += [f"  {self.where[name]} = {place};" for name, place in self.fixed.items()]
        if not count:
            return head, tail
        self.helpers[_RESERVE] = None
        free = f"  for (int i = 0; i < {count}; i++) tj_pool->release(b[{given} + 2 * i]);"
        return head, [line for t in tail for line in ([free, t] if "return" in t else [t])]

    def _hand_over(self):
        """Return the lines that give the outputs of unknown size to the caller: address and sizes."""
        lines = []
        for b, shape in self.program.handles:
            handle = f"((int64_t *)b[{len(self.program.in_types) + b.number}])"
            lines.append(f"  {handle}[0] = (int64_t)(intptr_t){self.where[b.name]}, {self.where[b.name]} = 0;")
            lines += [f"  {handle}[{k + 1}] = {self.size(n)};" for k, n in enumerate(shape)]
        return lines

    def _bring_home(self):
        """Return the lines that put outputs which have ended in other places into their own."""
        away = [b for b in self.slots.values() if b.role == "output" and b.name in self.fixed]
        if not away:
            return []
        self.helpers[_HOME] = None
        places, homes = (", ".join(table[b.name] for b in away) for table in (self.where, self.fixed))
        sizes = ", ".join(self.size(b.nbytes) for b in away)
        return [f"  {{ void *at[] = {{{places}}}, *home[] = {{{homes}}}; const int64_t bytes[] = {{{sizes}}};",
                f"    tj_bring_home(at, home, bytes, {len(away)}); }}"]

    @staticmethod
    def _routine_pointer(name):
        return f"{compiling.blas.prototype(name)}\nstatic tj_{name} tj_{name}_;"


def _first_needs(program):
    """Return, by the id of each step, the buffers of unknown size that it is the first to need."""
    found, waiting = {}, {b.name: b for b in program.grown}
    for step in walk(program.steps) if waiting else ():
        for name in step_buffers(step):
            if name in waiting:
                found.setdefault(id(step), []).append(waiting.pop(name))
    return found


def _data(buffer):
    """Return a literal array as words."""
    data = buffer.data + b"\0" * (-len(buffer.data) % 8)
    words = [f"0x{int.from_bytes(data[i : i + 8], 'little'):x}u" for i in range(0, len(data), 8)]
    rows = [", ".join(words[i : i + 8]) for i in range(0, len(words), 8)] or ["0"]
    body = ",\n  ".join(rows)
    return f"TJ_ALIGN(64) static const uint64_t {buffer.name}_data[] = {{\n  {body}}};"


class _KernelWriter:
    """Writes one kernel: a function, and one more per parallel loop."""

    def __init__(self, unit, kernel, inline=False):
        self.unit, self.kernel, self.inline = unit, kernel, inline
        self.fresh = set()  # scalars that the next store declares
        self.spell = unit.speller
        self.guarded = has_guard(kernel)
        self.written = _written(kernel.body)
        self.outlined = []
        self.indices = Indices()
        self.buffers = {b.name: b for b in kernel.buffers}
        self.counter = 0
        self._reset()

    def _reset(self):
        self.names, self.depth_of = {}, {}
        self.lines, self.flags = [], {}
        self.deepest, self.vector = 0, False  # depth and kind of the loop that is being written

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
        return [
            "  " + self.unit.declare(b, b.name in self.written) for b in self.kernel.buffers if _mentions(text, b.name)
        ]

    def line(self, depth, text):
        """Write a line."""
        self.lines.append("  " * depth + text)

    # ---------------------------------------------------------------- statements
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
        self.line(depth, f"for (int64_t {name} = {begin}; {name} < {end}; {advance}) {{")
        self.depth_of[s.index] = depth + 1
        self._inside(s, depth + 1)
        self.line(depth, "}")
        self._forget(s)
        if vector:
            self.lines.insert(at, "  " * depth + self._simd())
        self.flags = {**outer, **self.flags}

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
            at = len(self.lines)
            self.line(1, f"for (int64_t {name} = begin; {name} < end; {name}++) {{")
            self.depth_of[s.index] = 2
            self._inside(s, 2)
            self.line(1, "}")
            self._forget(s)
            if s.kind == "parallel simd":
                self.lines.insert(at, "  " + self._simd())

        self.spell.exact = _updates([s])
        self._checked(write, 1)
        self.spell.exact = False
        function = f"{self.kernel.name}_{len(self.outlined)}"
        head = [f"static void {function}(int64_t begin, int64_t end, void *ctx) {{", "  void **const b = ctx;"]
        self.outlined.append("\n".join([*head, *self._declarations(self.lines), *self.lines, "}"]))
        self.names, self.depth_of, self.lines, self.flags = outer
        count = self._expression(s.end, depth)
        self.line(depth, f"tj_pool->parallel({function}, b, {count}, {s.grain});")

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
            place = self._place(s)
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

    # ---------------------------------------------------------------- expressions
    def _expression(self, node, depth):
        self._prepare([node], depth, True)
        return self._ref(node)

    def _known(self, node):
        return node in self.names or node.op is const_op or node.op is index_op

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


def _argument(name, dtype):
    return load_op(make(const_op, (), (I64, (), b"\0" * 8)), buffer=name, dtype=dtype)


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


__all__ = ["compile_program", "emit"]
