"""Programs: the steps that compute a graph over buffers, and what a backend makes of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tracejit.kernels import fuse, inplace, plan, schedule
from tracejit.kernels.dots import prepared, prepared_sum
from tracejit.kernels.fuse import Partition, base, is_leaf, space_of
from tracejit.kernels.loop_ir import Buffer, Copy, For, Kernel, expressions, guard_op, load_op
from tracejit.kernels.lower import Reader, Target, lower
from tracejit.kernels.schedule import Scheduler
from tracejit.symbolic.graph import topological
from tracejit.symbolic.ir import OPS, const_op, const_value, item, make, scalar_literal
from tracejit.symbolic.ops.contract import dot_general_op, gemm, gemv
from tracejit.symbolic.ops.scalar import CHECKS
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

    @property
    def long(self):
        """Whether a call is estimated to run for more than a few microseconds."""
        return self.ns > LONG_NS

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
    inplace: tuple = ()  # (output, input) pairs: that output's buffer may be that input's


def expand(outs):
    """Return `outs` with composites over axes expanded, and products laid out for BLAS or turned into sums."""
    while True:
        table = {}
        for node in topological(outs):
            args = tuple(table[a] for a in node.args)
            new = node.rebuild(args)
            if new.op.expand is not None and not new.op.elementwise:
                new = new.op.expand(*args, **dict(zip(new.op.attrs, new.attrs)))
            elif new.op.reduce is not None and not new.attr("axes"):
                new = args[0]
            elif new.op is dot_general_op:
                new = prepared(new)
            elif new.op in (gemm, gemv):
                new = prepared_sum(new)
            table[node] = new
        result = tuple(table[o] for o in outs)
        if result == tuple(outs):
            return result
        outs = result


def build(graph):
    """Return the Program of a graph."""
    return _Builder(graph).program()


#: Bytes of scratch memory that a routine needs, by its name: ``bytes(node)``.
SCRATCH = {}
#: Errors that a routine may raise, by its name.
FAILURES = {
    "cholesky": "linalg_posdef",
    "solve": "linalg_singular",
    "inv": "linalg_singular",
    "triangular_solve": "linalg_singular",
}


class _Builder:
    def __init__(self, graph):
        self.graph = graph
        self.outs = expand(graph.outs)
        self.partition = Partition(self.outs)
        self.buffers, self.of, self.steps, self.ns = [], {}, [], 0.0
    "adjugate": "linalg_svd",
    "svd": "linalg_svd",
    "singular_values": "linalg_svd",
    "eigh": "linalg_eigenvalues",
    "eigvalsh": "linalg_eigenvalues",
    "eig": "linalg_eigenvalues",
    "eigvals": "linalg_eigenvalues",
    "lstsq": "linalg_lstsq",
        self._names = set()
        self._inputs()
        self._outputs = {}
        for k, out in enumerate(self.outs):
            source = base(out)
            if not is_leaf(source) and source not in self._outputs:
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
        for i, node in enumerate(self.graph.inputs()):
            self.of[node] = self._buffer(f"x{i}", node.dtype, node.type.size, "input", i)
        count = 0
        read = {a for n in self.partition.order if fuse.is_routine(n) for a in fuse.buffered_operands(n)}
        for node in self.partition.order:
            if node.op is const_op and (scalar_literal(node) is None or node in read):
                self.of[node] = self._buffer(f"c{count}", node.dtype, node.type.size, "const", count, node.attrs[2])
                count += 1

    def _result(self, node):
        """Return the (new) buffer of a root, or of an item of one."""
        k = self._outputs.get(node)
        if k is not None:
            found = self._buffer(f"y{k}", node.dtype, node.type.size, "output", k)
        else:
            found = self._temporary(node.dtype, node.type.size)
        self.of[node] = found
        return found

    def _temporary(self, dtype, size):
        name = f"t{sum(b.role == 'temp' for b in self.buffers)}"
        return self._buffer(name, dtype, size, "temp")

    def program(self):
        """Return the finished Program."""
        for group in self.partition.groups:
            {"nest": self._nest, "pieces": self._pieces, "routine": self._routine}[group.kind](group)
        self._copies()
        offsets, arena = self._plan()
        errors = [CHECKS[name] for name in self._codes]
        return Program(
            self.graph.params, self.graph.out_types, self.buffers, self.steps, tuple(errors), offsets, arena, self.ns,
            () if errors else self._inplace(),  # a call that raises writes nothing
        )

    def _inplace(self):
        kernels = [s.kernel.body if isinstance(s, Launch) else None for s in self.steps]
        return inplace.direct(self.graph.writes, kernels, [set(step_buffers(s)) for s in self.steps])

    # ---------------------------------------------------------------- steps
    def _launch(self, space, targets, computed=()):
        if math.prod(space) == 0:
            return self._fill_empty(targets)
        reader = Reader(self.of, set(computed), self.checks)
        nest = lower(space, targets, reader)
        name = f"k{sum(isinstance(s, Launch) for s in self.steps)}"
        scheduler = Scheduler(nest, name)
        body = scheduler.body()
        self.buffers += scheduler.temporaries
        self.ns += scheduler.ns
        self._add_kernel(name, body)

    def _add_kernel(self, name, body):
        used = _used(body)
        known = [b for b in self.buffers if b.name in used]
        self.steps.append(Launch(Kernel(name, known, body)))

    def _fill_empty(self, targets):
        """A reduction of no elements gives the fold's identity."""
        for t in targets:
            if t.fold and t.buffer.size:
                value = _full_node(schedule.identity(t.fold, t.buffer.dtype), t.buffer)
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
            under, piece = root.args
            start, step = root.attrs
            self._launch(shape, [Target(buffer, under, shape)])
        self._launch(piece.shape, [Target(buffer, piece, shape, start, step)])

    def _routine(self, group):
        (node,) = group.roots
        operands = [None if n is None else self.of[n] for n in fuse.buffered_operands(node)]
        results = []
        if isinstance(node.type, Type):
            results.append(self._result(node))
        else:
            parts = {n.attrs[0]: n for n in self.partition.order if n.op is item and n.args[0] is node}
            for k, kind in enumerate(node.type):
                results.append(self._result(parts[k]) if k in parts else self._temporary(kind.dtype, kind.size))
        need = SCRATCH.get(node.op.routine)
        scratch = self._temporary(OPS_U8, max(1, need(node))) if need else None
        code = self._code(FAILURES[node.op.routine]) if node.op.routine in FAILURES else 0
        self.steps.append(Call(node, operands, results, scratch, code))
        self.ns += 200 + 2.0 * sum(b.size for b in operands if b)

    def _copies(self):
        """Outputs that no step computes: parameters, literals, and those asked for twice."""
        for k, out in enumerate(self.outs):
            source = base(out)
            if self._outputs.get(source) == k:
                continue
            target = self._buffer(f"y{k}", out.dtype, out.type.size, "output", k)
            if source in self.of:
                if target.size:
                    self._add_kernel(
                        f"k{sum(isinstance(s, Launch) for s in self.steps)}", [Copy(target, self.of[source])]
                    )
            else:
                self._launch(out.shape, [Target(target, out, out.shape)])

    # ---------------------------------------------------------------- memory
    def _plan(self):
        temps = [b for b in self.buffers if b.role == "temp"]
        life = {b.name: [None, None] for b in temps}
        for i, step in enumerate(self.steps):
            for name in step_buffers(step):
                if name in life:
                    first, _ = life[name]
                    life[name] = [i if first is None else first, i]
        live = [b for b in temps if life[b.name][0] is not None]
        self.buffers = [b for b in self.buffers if b.role != "temp" or b in live]
        offsets, arena = plan.pack([(b.nbytes, *life[b.name]) for b in live])
        return {b.name: o for b, o in zip(live, offsets)}, arena


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
    """Return the names of the buffers that a step reads or writes."""
    if isinstance(step, Launch):
        return [b.name for b in step.kernel.buffers]
    return [b.name for b in (*step.operands, *step.results, step.scratch) if b is not None]


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
