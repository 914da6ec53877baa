"""C from programs: one translation unit, one entry point."""

from tracejit.kernels import compile as compiling
from tracejit.kernels.c import (
    routines,
    routines_axis,
    routines_blas,
    routines_factor,
    routines_fft,
    routines_filter,
    routines_host,
    routines_index,
    routines_linalg,
    routines_matrix,
    routines_partition,
    routines_random,
    routines_slide,
    routines_sort,
    routines_sparse,
    vmath,
)
from tracejit.kernels.c.kernels import KernelWriter
from tracejit.kernels.c.loops import RegionWriter, home, swapped
from tracejit.kernels.c.spell import HALF, Speller, memory_type, value_type
from tracejit.kernels.control import Branch, Loop, Region, inner_steps
from tracejit.kernels.loop_ir import load_op
from tracejit.kernels.program import Executable, Launch, build, has_guard, step_buffers
from tracejit.symbolic.ir import Node, const_op, const_value, make
from tracejit.symbolic.types import I64

#: Modules whose routines are registered by being imported.
ROUTINES = (
    routines_axis,
    routines_blas,
    routines_factor,
    routines_fft,
    routines_filter,
    routines_host,
    routines_index,
    routines_linalg,
    routines_matrix,
    routines_partition,
    routines_random,
    routines_slide,
    routines_sort,
    routines_sparse,
)
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
        loaded, source, table, data = family.load(source, names, program.slot, graph, lambda g: emit(build(g))[0])
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
        # buffers that may lie in the same memory, read and written by turns where a kernel writes several
        self.meeting = {name for i, k in program.inplace for name in (f"x{i}", f"y{k}")}
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
                self.functions.append(KernelWriter(self, step.kernel).text())
                entry.append(f"  {step.kernel.name}(b, fail);" if guarded else f"  {step.kernel.name}(b);")
                if guarded:
                    entry.append("  if (TJ_UNLIKELY(fail[0])) goto failed;")
            elif isinstance(step, Region):
                function = RegionWriter(self, step, KernelWriter).text()
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
    """Return, by the id of each step, the buffers of unknown size that it may be the first to need.

    Of the bodies of a branch one runs, and that of a loop perhaps never: what they have got may be asked for again.
    """
    found, grown = {}, {b.name: b for b in program.grown}

    def visit(steps, held):
        for step in steps:
            for name in step_buffers(step):
                if name in grown and name not in held:
                    found.setdefault(id(step), []).append(grown[name])
                    held = held | {name}
            if isinstance(step, Branch):
                held = frozenset.intersection(*(visit(body, held) for body in step.bodies))
            elif isinstance(step, Loop):
                held = visit(step.cond, held)
                visit(step.body, held)
            else:
                for inner in inner_steps(step):
                    held = visit(inner, held)
        return held
    if grown:
        visit(program.steps, frozenset())
    return found


def _data(buffer):
    """Return a literal array as words."""
    data = buffer.data + b"\0" * (-len(buffer.data) % 8)
    words = [f"0x{int.from_bytes(data[i : i + 8], 'little'):x}u" for i in range(0, len(data), 8)]
    rows = [", ".join(words[i : i + 8]) for i in range(0, len(words), 8)] or ["0"]
    body = ",\n  ".join(rows)
    return f"TJ_ALIGN(64) static const uint64_t {buffer.name}_data[] = {{\n  {body}}};"


__all__ = ["compile_program", "emit"]
