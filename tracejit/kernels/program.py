"""Programs: the steps that compute a graph over buffers, and what a backend makes of them."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from tracejit.kernels import fuse, inplace, plan
from tracejit.kernels.branches import without_small
from tracejit.kernels.control import Control, own_buffers, own_expressions, walk
from tracejit.kernels.dots import prepared, prepared_sum
from tracejit.kernels.fuse import Partition, is_leaf, space_of
from tracejit.kernels.inserts import insert
from tracejit.kernels.loop_ir import Buffer, Copy, For, Kernel, expressions, guard_op, integer, load_op
from tracejit.kernels.lower import Reader, Target, lower
from tracejit.kernels.ranges import Facts, simplified
from tracejit.kernels.runtime import handle_type
from tracejit.kernels.schedule import Scheduler
from tracejit.kernels.schedule_dims import DimScheduler
from tracejit.kernels.updates import CONTROL, base, single
from tracejit.symbolic import dims
from tracejit.symbolic.checks import CHECKS
from tracejit.symbolic.graph import substitute, topological
from tracejit.symbolic.ir import OPS, Node, const, const_op, const_value, item, make, new_variable, scalar_literal
from tracejit.symbolic.ops.contract import dot_general_op, gemm, gemv
from tracejit.symbolic.ops.reduce import identity
from tracejit.symbolic.ops.shape import full
from tracejit.symbolic.types import Type

#: Estimated nanoseconds from which on a call releases the interpreter's lock.
LONG_NS = 4000


@dataclass
class Launch:
    """Run a kernel."""

    kernel: Kernel

    def __str__(self):
        return str(self.kernel)


@dataclass
class Call:
    """Run a library routine: `node` says which and how; operands and results are buffers."""

    node: object
    operands: list
    results: list
    scratch: Buffer | None = None
    code: int = 0  # of the error it may raise
    sizes: dict = field(default_factory=dict)  # dim of the graph → the buffer that holds it

    @property
    def name(self):
        """Name of the routine."""
        return self.node.op.routine

    def __str__(self):
        attrs = "".join(f", {k}={v}" for k, v in zip(self.node.op.attrs, self.node.attrs))
        names = ", ".join(b.name if b else "literal" for b in self.operands)
        return f"{', '.join(b.name for b in self.results)} = {self.node.op.name}({names}{attrs})"


@dataclass
class Program:
    """Buffers and steps: one C function's worth."""

    in_types: tuple
    out_types: tuple
    buffers: list
    steps: list
    errors: tuple = ()
    offsets: dict = field(default_factory=dict)  # name of a temporary → bytes into the arena
    arena_bytes: int = 0
    ns: float = 0.0
    inplace: tuple = ()  # (param, output) pairs: the output may be computed straight into the param's memory
    grown: tuple = ()  # temporaries and outputs whose size is known at run time only
    no_memory: int = 0  # code of the error when there is no memory for one
    handles: tuple = ()  # (output of unknown size, sizes as expressions): the caller gets its address and these

    @property
    def long(self):
        """Whether a call is estimated to run for more than a few microseconds."""
        return self.ns > LONG_NS

    @property
    def slot(self):
        """The place of a table of sizes among the buffers that a call hands over: behind the arena's."""
        return len(self.in_types) + len(self.out_types) + 1

    def __str__(self):
        rows = [f"program, arena {self.arena_bytes} bytes"]
        rows += [
            f"  {b.role} {b}" + (f" at {self.offsets[b.name]}" if b.name in self.offsets else "") for b in self.buffers
        ]
        return "\n".join(rows + [str(s) for s in self.steps])


@dataclass
class Executable:
    """A program that can be called: by address (`tj_entry`), or by `call` where there is none."""

    address: int
    in_types: tuple
    out_types: tuple
    arena_bytes: int
    long: bool
    errors: tuple
    source: str
    call: Callable | None = None
    keep: object = None  # what must live as long as the code
    sized: dict = field(default_factory=dict)  # output given as a handle (see `runtime.taken`) → its dtype
    inplace: tuple = ()  # (output, input) pairs: that output's buffer may be that input's
    table: object = None  # int64 array of sizes behind the arena's pointer, for code that serves many sizes


def expand(outs):
    """Return `outs` with composites over axes expanded, and products laid out for BLAS or turned into sums."""
    while True:
        table = {}
        for node in topological(outs):
            new = node.mapped(table)
            if new.op.expand is not None and not new.op.elementwise:
                new = new.op.expand(*new.args, **dict(zip(new.op.attrs, new.attrs)))
            elif new.op.reduce is not None and not new.attr("axes"):
                (new,) = new.args
            elif new.op is dot_general_op:
                new = prepared(new)
            elif new.op in (gemm, gemv):
                new = prepared_sum(new)
            else:
                new = insert(new)
            table[node] = new
        result = tuple(table[o] for o in outs)
        if result == tuple(outs):
            return result
        outs = result


def build(graph, ranges=None):
    """Return the Program of a graph; `ranges` maps params to the (least, most) value that they may have."""
    return _Builder(graph, ranges).program()


#: Bytes up to which a buffer of unknown size is planned for at the bound of its size.
PLANNED = 1 << 20

#: Bytes of scratch memory that a routine needs, by its name: ``bytes(node)``.
SCRATCH = {}
#: Errors that a routine may raise, by its name.
FAILURES = {
    "cholesky": "linalg_posdef",
    "solve": "linalg_singular",
    "inv": "linalg_singular",
    "triangular_solve": "linalg_singular",
    "adjugate": "linalg_svd",
    "svd": "linalg_svd",
    "singular_values": "linalg_svd",
    "eigh": "linalg_eigenvalues",
    "eigvalsh": "linalg_eigenvalues",
    "eig": "linalg_eigenvalues",
    "eigvals": "linalg_eigenvalues",
    "lstsq": "linalg_lstsq",
    "expm": "linalg_singular",
    "sqrtm": "linalg_schur",
    "sylvester": "linalg_schur",
}


class _Builder(Control):
    inner = False

    def __init__(self, graph, ranges=None):
        self.graph = graph
        self.outs = expand(graph.outs)
        self.partition = Partition(self.outs)
        self.buffers, self.of, self.steps, self.ns = [], {}, [], 0.0
        self._names, self.numbers = set(), itertools.count()
        self.facts = Facts(ranges)
        self._bounds, self.ranges = {}, self.facts.known  # size → bound; node → (least, most)
        self._inputs()
        self._outputs = {}
        for k, out in enumerate(self.outs):
            source = base(out)
            alike = is_leaf(source) or source.type.is_static == out.type.is_static
            if not is_leaf(source) and source not in self._outputs and alike:
                self._outputs[source] = k
        self._codes = {}
        self.checks = {n: self._code(n.attr("error")) for n in self.partition.order if n.op.name == "check"}

    def _code(self, error):
        return self._codes.setdefault(error, len(self._codes) + 1)

    def _buffer(self, name, dtype, size, role, number=0, data=b""):
        found = Buffer(name, dtype, size, role, number, data)
        self.buffers.append(found)
        return found

    def _inputs(self):
        # sizes first, for the types that hold them
        for i, node in sorted(enumerate(self.graph.inputs()), key=lambda pair: not pair[1].type.is_static):
            self.of[node] = self._buffer(f"x{i}", node.dtype, self._size(node.type), "input", i)
        self._consts()

    def _consts(self):
        """Give buffers to the literals that are read as arrays."""
        count = sum(b.role == "const" for b in self.buffers)
        read = {a for n in self.partition.order if fuse.is_routine(n) for a in fuse.buffered_operands(n)}
        for node in self.partition.order:
            if node.op is const_op and (scalar_literal(node) is None or node in read):
                self.of[node] = self._buffer(f"c{count}", node.dtype, node.type.size, "const", count, node.attrs[2])
                count += 1

    def _size(self, kind):
        """Return the number of elements of a type: an int, or an expression over the buffers of its dims."""
        if kind.is_static:
            return kind.size
        size = dims.product(self._extent(n) if isinstance(n, Node) else n for n in kind.shape)
        size = integer(size) if type(size) is int else size  # no elements, of a shape that has to be told
        self._bounds[size] = dims.bound(dims.product(kind.shape), self.ranges)
        return size

    def _result(self, node):
        """Return the buffer of a root, or of an item of one: a new one, or that of the value whose place it takes."""
        under = self.partition.sharing.under.get(node)
        if under is not None:
            self.of[node] = self.of[under]
            return self.of[node]
        k = self._outputs.get(self._last(node))
        if k is not None:
            found = self._buffer(f"y{k}", node.dtype, self._size(node.type), "output", k)
        else:
            found = self._temporary(node.dtype, self._size(node.type))
        self.of[node] = found
        return found

    def _last(self, node):
        """Return the last of the values that are kept in one place, beginning with a node."""
        over = self.partition.sharing.over
        while node in over:
            node = over[node]
        return node

    def _kernel_name(self):
        return f"k{next(self.numbers)}"

    def _temporary(self, dtype, size):
        name = f"t{sum(b.role == 'temp' for b in self.buffers)}"
        return self._buffer(name, dtype, size, "temp")

    def program(self):
        """Return the finished Program."""
        self._groups()
        self._copies()
        offsets, arena, grown = self._plan()
        no_memory = self._code("memory") if grown else 0
        errors = [CHECKS[name] for name in self._codes]
        return Program(
            self.graph.params, tuple(map(handle_type, self.graph.out_types)), self.buffers, self.steps,
            tuple(errors), offsets, arena, self.ns,
            () if errors else self._inplace(),  # a call that raises writes nothing
            grown, no_memory, self._handles(),
        )

    def _handles(self):
        """Return the outputs of unknown size with their shapes as expressions."""
        found = []
        for b in self.buffers:
            if b.role == "output" and type(b.size) is not int:
                shape = self.outs[b.number].shape
                found.append((b, tuple(integer(n) if type(n) is int else self._extent(n) for n in shape)))
        return tuple(found)

    def _extent(self, n):
        """Return a dim as an expression over its buffer."""
        return self.of[base(n)].load(integer(0))

    def _groups(self):
        for group in self.partition.groups:
            if group.roots[0].op.name in CONTROL:
                self._control(group.roots[0])
            else:
                {"nest": self._nest, "pieces": self._pieces, "routine": self._routine}[group.kind](group)

    def _body(self, outs, params, literals, facts, owned=()):
        return _Body(self, outs, params, literals, facts, owned)

    def _inplace(self):
        kernels = [s.kernel.body if isinstance(s, Launch) else None for s in self.steps]
        uses = [{name for inner in walk([s]) for name in step_buffers(inner)} for s in self.steps]
        return inplace.direct(self.graph.writes, kernels, uses)

    # ---------------------------------------------------------------- steps
    def _launch(self, space, targets, computed=()):
        if 0 in space:
            return self._fill_empty(targets)
        self._schedule(self._lowered(space, targets, computed))

    def _lowered(self, space, targets, computed=()):
        reader = Reader(self.of, set(computed), self.checks, self.ranges)
        for t in targets:
            if t.start is not None:
                t.start = tuple(reader.value(a, ()) if isinstance(a, Node) else a for a in t.start)
        return lower(space, targets, reader)

    def _schedule(self, nest):
        name = self._kernel_name()
        scheduler = (Scheduler if all(type(a.extent) is int for a in nest.axes) else DimScheduler)(nest, name)
        body = scheduler.body()
        self._keep(scheduler.temporaries)
        self.ns += scheduler.ns
        self._add_kernel(name, body)

    def _keep(self, temporaries):
        self.buffers += temporaries

    def _launch_whole(self, buffer, node):
        """Append the step that computes a node into a buffer."""
        self._launch(node.shape, [Target(buffer, node, node.shape)])

    def _add_kernel(self, name, body):
        used = _used(body)
        known = [b for b in self.buffers if b.name in used]
        self.steps.append(Launch(Kernel(name, known, body)))

    def _fill_empty(self, targets):
        """A reduction of no elements gives the fold's identity."""
        for t in targets:
            if t.fold and t.buffer.size:
                value = _full_node(identity(t.fold, t.buffer.dtype), t.buffer)
                self._launch((t.buffer.size,), [Target(t.buffer, value, (t.buffer.size,))])

    def _nest(self, group):
        targets = []
        for root in group.roots:
            buffer = self._result(root)
            if root.op.reduce is not None:
                targets.append(Target(buffer, root.args[0], root.shape, fold=root.op.reduce, axes=root.attr("axes")))
            else:
                targets.append(Target(buffer, root, root.shape))
        self._launch(group.space, targets, [r for r in group.roots if r.op.reduce is None])

    def _pieces(self, group):
        """Write the pieces of an array one after the other, each in loops over its own elements."""
        (root,) = group.roots
        buffer = self._result(root)
        shape, rank = root.shape, root.ndim
        if root.op.name == "concatenate":
            (axis,) = root.attrs
            at = 0
            for piece in root.args:
                start = [0] * rank
                start[axis] = at
                at += piece.shape[axis]
                self._launch(piece.shape, [Target(buffer, piece, shape, start, (1,) * rank)])
            return
        if root.op.name == "embed":
            piece, (start, step, _) = root.args[0], root.attrs
            self._launch(shape, [Target(buffer, _full_node(0, root), shape)])
        else:
            under, piece, *start = root.args
            start, step = root.attrs if root.attrs else (start, (1,) * rank)
            if root in self.partition.sharing.under:
                self._insert(buffer, piece, shape, start, step)
                return
            self._launch(shape, [Target(buffer, under, shape)])
        self._launch(piece.shape, [Target(buffer, piece, shape, start, step)])

    def _insert(self, buffer, piece, shape, start, step):
        """Write a piece into an array that the piece may be computed from."""
        if 0 in piece.shape:
            return
        nest = self._lowered(piece.shape, [Target(buffer, piece, shape, start, step)])
        if inplace.reads_ahead(nest):
            held = new_variable(piece.type)
            self.of[held] = self._temporary(piece.dtype, self._size(piece.type))
            self._launch_whole(self.of[held], piece)
            nest = self._lowered(piece.shape, [Target(buffer, held, shape, start, step)])
        self._schedule(nest)

    def _routine(self, group):
        (node,) = group.roots
        operands = [None if n is None else self.of[n] for n in fuse.buffered_operands(node)]
        results = []
        if isinstance(node.type, Type):
            results.append(self._result(node))
        else:
            parts = {n.attrs[0]: n for n in self.partition.order if n.op is item and n.args[0] is node}
            for k, kind in enumerate(node.type):
                results.append(self._result(parts[k]) if k in parts else self._temporary(kind.dtype, self._size(kind)))
        need = SCRATCH.get(node.op.routine)
        if need and not all(a.type.is_static for a in node.args):  # a line of any operand, some times over
            lines = [dims.times(self._size(a.type), 3 * max(16, a.dtype.itemsize)) for a in node.args]
            scratch = self._temporary(OPS_U8, dims.plus(dims.total(lines), 512))
        else:
            scratch = self._temporary(OPS_U8, max(1, need(node))) if need else None
        code = self._code(FAILURES[node.op.routine]) if node.op.routine in FAILURES else 0
        sizes = {d: self.of[base(d)] for n in (node, *node.args) for d in n.dims if base(d) in self.of}
        self.steps.append(Call(node, operands, results, scratch, code, sizes))
        self.ns += 200 + 2.0 * sum(b.size if type(b.size) is int else fuse.TYPICAL for b in operands if b)

    def _copies(self):
        """Outputs that no step computes: parameters, literals, and those asked for twice."""
        for k, out in enumerate(self.outs):
            source = base(out)
            if self._outputs.get(source) == k:
                continue
            target = self._buffer(f"y{k}", out.dtype, self._size(out.type), "output", k)
            if source in self.of:
                if type(target.size) is not int or target.size:
                    self._add_kernel(self._kernel_name(), [Copy(target, self.of[source])])
            else:
                self._launch(out.shape, [Target(target, out, out.shape)])

    # ---------------------------------------------------------------- memory
    def _plan(self):
        homes = memory_scalars(self.steps)
        temps = [b for b in self.buffers if b.role == "temp" or b.name in homes]
        life = plan.lifetimes(self.steps, step_buffers, [b.name for b in self.buffers if b.role in ("input", "output")])
        end = max((last for _, last, _ in life.values()), default=0) + 1
        for _, shape in self._handles():  # the sizes of results are told at the very end
            for n in topological(shape):
                if n.op is load_op and n.attrs[0] in life:
                    life[n.attrs[0]][1] = end
        live = [b for b in temps if b.name in life]
        self.buffers = [b for b in self.buffers if b.role != "temp" or b.name in life]
        outputs = [b for b in self.buffers if b.role == "output" and type(b.size) is not int]
        # what changes places with memory of its own has memory of its own
        alone = plan.together(self.steps, [b.name for b in outputs] + [
            b.name for b in live if self._most_bytes(b) is None])
        placed = [b for b in live if b.name not in alone]
        offsets, arena = plan.pack([(self._most_bytes(b), *life[b.name][:2]) for b in placed])
        grown = (*[b for b in live if b.name in alone], *outputs)
        return {b.name: o for b, o in zip(placed, offsets)}, arena, grown

    def _most_bytes(self, buffer):
        """Return the bytes to plan for a buffer; None where they are not known, or are many that may not be needed."""
        if type(buffer.size) is int:
            return buffer.nbytes
        most = self._bounds.get(buffer.size)
        return None if most is None or most * buffer.dtype.itemsize > PLANNED else most * buffer.dtype.itemsize


class _Body(_Builder):
    """Builds the steps of a graph that runs inside of another's: the body of a loop or branch."""

    inner = True

    def __init__(self, outer, outs, params, literals, facts, owned):
        self.outs = without_small(simplified(expand(substitute(outs, literals)), facts), facts)
        self.partition = Partition(self.outs, owned, inner=True)
        self.buffers, self.numbers, self._codes = outer.buffers, outer.numbers, outer._codes
        self.facts = facts
        self._bounds, self.ranges = outer._bounds, facts.known
        self.of, self.steps, self.ns = dict(params), [], 0.0
        self._outputs, self.local = {}, set()
        self.checks = {n: self._code(n.attr("error")) for n in self.partition.order if n.op.name == "check"}
        self._consts()

    def run(self, wanted=None):
        """Build the steps; `wanted` says in which buffers outputs should be, where that can be arranged."""
        for k, buffer in (wanted or {}).items():
            if not is_leaf(base(self.outs[k])):
                self._outputs.setdefault(base(self.outs[k]), buffer)
        self._groups()

    def result(self, k):
        """Return the expression of an output of one element."""
        literal = scalar_literal(self.outs[k])
        return self.of[base(self.outs[k])].load(integer(0)) if literal is None else const(literal)

    def set(self, buffer, value):
        """Append the step that gives a scalar a value."""
        self._set(buffer, value)

    def copy(self, target, source):
        """Append the step that copies an array."""
        self._copy(target, source)

    def copied(self, source):
        """Append the step that copies an array into a new temporary, and return that."""
        target = self._temporary(source.dtype, source.size)
        self._copy(target, source)
        return target

    def _result(self, node):
        under = self.partition.sharing.under.get(node)
        wanted = self._outputs.get(self._last(node))
        if under is not None:
            found = self.of[under]
        elif wanted is not None:
            found = wanted
        elif single(node.type):
            found = self._scalar(node.dtype)
        else:
            found = self._temporary(node.dtype, self._size(node.type))
        self.of[node] = found
        return found

    def _temporary(self, dtype, size):
        found = super()._temporary(dtype, size)
        self.local.add(found.name)
        return found

    def _keep(self, temporaries):
        super()._keep(temporaries)
        self.local |= {b.name for b in temporaries}


def _full_node(value, like):
    """Return a literal with the type of a node, or of a buffer as a vector."""
    return full(value, like.type if hasattr(like, "type") else Type(like.dtype, (like.size,)))


def _used(body):
    """Return the names of the buffers that statements touch."""
    names, stack = set(), list(body)
    names.update(n.attrs[0] for n in topological(expressions(body)) if n.op is load_op)
    while stack:
        s = stack.pop()
        if isinstance(s, For):
            stack.extend(s.body)
        elif isinstance(s, Copy):
            names |= {s.target.name, s.source.name}
        elif hasattr(s, "buffer"):
            names.add(s.buffer.name)
    return names


def step_buffers(step):
    """Return the names of the buffers that a step itself, or one inside of it, reads or writes."""
    if isinstance(step, Launch):
        return [b.name for b in step.kernel.buffers]
    if isinstance(step, Call):
        return [b.name for b in (*step.operands, *step.results, step.scratch, *step.sizes.values()) if b is not None]
    names = [b.name for b in own_buffers(step)]
    return names + [n.attrs[0] for n in topological(own_expressions(step)) if n.op is load_op]


def memory_scalars(steps):
    """Return the names of the scalars that need a place in memory: library code and other threads read them there."""
    found = set()
    for step in walk(steps):
        if isinstance(step, Call):
            found |= {b.name for b in (*step.operands, *step.results) if b is not None and b.role == "scalar"}
        elif isinstance(step, Launch) and has_parallel(step.kernel):
            found |= {b.name for b in step.kernel.buffers if b.role == "scalar"}
    return found


def has_parallel(kernel):
    """Say whether a kernel may run on several threads."""
    return any(isinstance(s, For) and s.kind.startswith("parallel") for s in kernel.body)


def has_guard(kernel):
    """Say whether a kernel may refuse a value."""
    return any(n.op is guard_op for n in topological(expressions(kernel.body)))


OPS_U8 = Type("uint8").dtype

__all__ = [
    "OPS",
    "Call",
    "Executable",
    "Launch",
    "Program",
    "build",
    "const_value",
    "expand",
    "has_guard",
    "make",
    "space_of",
]
