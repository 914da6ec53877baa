"""From roots to a nest: the scalar expression of each root over loop variables, and the axes of the loops.

Axes are split where an expression divides its index, and merged where all accesses run on contiguously, so that an
elementwise kernel over C-contiguous arrays is one flat loop.
"""

import math
from dataclasses import dataclass, field

from tracejit.kernels.affine import Affine, Indices, factors, flat_offset
from tracejit.kernels.dots import keep
from tracejit.kernels.fuse import is_leaf
from tracejit.kernels.loop_ir import Buffer, guard_op, index, index_op, integer, load_op
from tracejit.kernels.updates import base
from tracejit.symbolic import dims
from tracejit.symbolic.graph import topological
from tracejit.symbolic.ir import OPS, Node, const, const_op, const_value, item, make, param, scalar_literal
from tracejit.symbolic.types import I64


@dataclass
class Axis:
    """One loop of a nest; the extent is an int, or an expression of sizes known at run time."""

    index: object
    extent: object
    reduced: bool
    most: int | None = None  # bound of an extent that is an expression


@dataclass
class Output:
    """One result of a nest: stored at `offset`, or folded over the reduced axes and then stored there."""

    buffer: Buffer
    offset: object
    value: object
    fold: str | None = None


@dataclass
class Nest:
    """Loops in C order of the iteration space, and what is computed in them."""

    axes: list
    outputs: list
    indices: Indices = field(repr=False, default=None)


class Reader:
    """Builds scalar expressions of nodes at an index."""

    def __init__(self, buffers, computed, errors, ranges=None):
        self.buffers = buffers  # node → Buffer
        self.computed = computed  # roots whose value this nest computes itself
        self.errors = errors  # check node → code
        self.ranges = ranges  # what is known of the values of leaves
        self.indices = Indices()
        self._memo = {}
        self._resolved = {}

    def size(self, n):
        """Return a shape entry of the graph as an int or an expression over buffers."""
        return self.value(n, ()) if isinstance(n, Node) else n

    def sizes(self, shape):
        """Return a shape of the graph with its dims as expressions over buffers."""
        return tuple(map(self.size, shape)) if any(isinstance(n, Node) for n in shape) else shape

    def resolve(self, expression):
        """Return an expression in which no dims of the graph stand, but reads of the buffers that hold them."""
        if expression is None:
            return None
        done, stack = self._resolved, [expression]
        while stack:
            n = stack[-1]
            if n in done:
                stack.pop()
            elif n.op is load_op and n.args[0].op is const_op or n.op in (index_op, const_op):
                done[n] = n
            elif n in self.buffers or n.op in (param, item) or n.op.element is not None:
                done[n] = self.value(n, ())
            else:
                waiting = [a for a in n.args if a not in done]
                if waiting:
                    stack += waiting
                    continue
                done[n] = n.rebuild(done[a] for a in n.args)
        return done[expression]

    def value(self, node, at, where=None):
        """Return the expression of element `at` of a node; it is only valid where `where` holds (None: everywhere)."""
        memo, stack = self._memo, [node]
        while stack:
            n = stack[-1]
            if (n, at, where) in memo:
                stack.pop()
                continue
            found = self._leaf(n, at, where)
            if found is None and n.op.elementwise:
                args = [memo.get((a, at, where)) for a in n.args]
                if None in args:
                    stack.extend(a for a, v in zip(n.args, args) if v is None)
                    continue
                found = self._applied(n, args, where)
            elif found is None:
                found = self._viewed(n, at, where)
            memo[n, at, where] = found
            stack.pop()
        return memo[node, at, where]

    def _leaf(self, node, at, where):
        source = base(node)
        literal = scalar_literal(node if source.op is not const_op else source)
        if literal is not None:
            return const(literal)
        if source.op.name == "item" or is_leaf(source) or (source in self.buffers and source not in self.computed):
            offset = flat_offset(self.indices, at, self.sizes(node.shape))
            return self.buffers[source].load(offset, where)
        return None

    def _applied(self, node, args, where):
        if node.op is keep:
            return args[0]
        if node.op.name == "check":
            mask = () if where is None else (where,)
            return guard_op(*args, *mask, code=self.errors[node], detail=self.sizes(node.attr("detail")))
        return make(node.op, tuple(args), node.attrs)

    def _viewed(self, node, at, where):
        if node.dims or any(not a.type.is_static for a in node.args):
            return self._viewed_by_dims(node, at, where)

        def read(i, inner, where=where, outer=where):
            if where is not None and outer is not None and where is not outer:
                where = OPS["bitwise_and"](outer, where)
            return self.value(node.args[i], tuple(map(self.indices.simplify, inner)), where)

        return node.op.element(node, at, read)

    def _viewed_by_dims(self, node, at, where):
        """Do as `_viewed` where sizes or positions are nodes of the graph."""
        def read(i, inner, where=where, outer=where):
            where = self.resolve(where)
            if where is not None and outer is not None and where is not outer:
                where = OPS["bitwise_and"](outer, where)
            return self.value(node.args[i], tuple(self.indices.simplify(self.resolve(e)) for e in inner), where)

        return self.resolve(node.op.element(node, at, read))


@dataclass
class Target:
    """What a nest has to compute: a node over a space, into a buffer at ``start + step * index`` of `shape`."""

    buffer: Buffer
    node: object
    shape: tuple
    start: tuple = None
    step: tuple = None
    fold: str | None = None
    axes: tuple = ()

    def offset(self, indices, at):
        """Return where the element of index `at` of the space goes."""
        kept = [i for a, i in enumerate(at) if a not in self.axes]
        if self.start is not None:
            kept = [
                i * integer(s) + integer(a) if (s, a) != (1, 0) else i for i, a, s in zip(kept, self.start, self.step)
            ]
        return flat_offset(indices, kept, self.shape)


def lower(space, targets, reader):
    """Return the Nest that computes `targets` over `space`, its axes split and merged."""
    reduced = next((t.axes for t in targets if t.fold), ())
    for t in targets:
        t.shape = reader.sizes(t.shape)
    bounds = [None if type(n) is int else dims.bound(n, reader.ranges) for n in space]
    space = reader.sizes(space)
    axes = [Axis(index(f"i{a}", n), n, a in reduced, bounds[a]) for a, n in enumerate(space) if n != 1]
    at = [integer(0)] * len(space)
    for axis, a in zip(axes, [a for a, n in enumerate(space) if n != 1]):
        at[a] = axis.index
    at = tuple(at)
    for _ in range(16):
        outputs = _outputs(targets, reader, at)
        division = _division(axes, outputs)
        if division is None:
            break
        axes, table = _split(axes, *division)
        at = _replaced(reader.indices, at, table)
    if any(isinstance(a.extent, Node) for a in axes):
        return _merge_by_dims(axes, outputs, reader.indices)
    merged, table = _merge(axes, outputs, reader.indices)
    if table:
        axes = merged
        at = _replaced(reader.indices, at, table)
        outputs = _outputs(targets, reader, at)
    return Nest(axes, outputs, reader.indices)


def _outputs(targets, reader, at):
    out = []
    for t in targets:
        value = reader.value(t.node, at)
        out.append(Output(t.buffer, t.offset(reader.indices, at), value, t.fold))
    return out


def _replaced(indices, at, table):
    """Return index expressions with loop variables replaced."""
    out = []
    for expression in at:
        total = integer(0)
        form = indices.affine(expression)
        for term, f in form.terms.items():
            new = table.get(term, term)
            total = total + new * integer(f)
        out.append(indices.simplify(total + integer(form.constant)) if form.terms else expression)
    return tuple(out)


def _division(axes, outputs):
    """Return (axis, divisor) of a loop variable that some expression divides evenly, or None."""
    extents = {axis.index: axis for axis in axes}
    for node in topological([e for o in outputs for e in (o.value, o.offset)]):
        if node.op.name in ("quotient", "fmod") and node.dtype == I64 and node.args[0] in extents:
            axis, c = extents[node.args[0]], node.args[1]
            if c.op is not const_op or isinstance(axis.extent, Node):
                continue
            if 1 < int(const_value(c)) < axis.extent and axis.extent % int(const_value(c)) == 0:
                return axis, int(const_value(c))
    return None


def _split(axes, axis, c):
    name = axis.index.attrs[0]
    high = Axis(index(name + "a", axis.extent // c), axis.extent // c, axis.reduced)
    low = Axis(index(name + "b", c), c, axis.reduced)
    out = []
    for a in axes:
        out += [high, low] if a is axis else [a]
    return out, {axis.index: high.index * integer(c) + low.index}


def accesses(outputs, indices):
    """Return ([(bytes, offset as Affine) of each load and store], loop variables used in any other way)."""
    found, pinned = [], set()
    seen, stack = set(), []

    def offset(size, node):
        form = indices.affine(node)
        found.append((size, form))
        for t in form.terms:
            inner = factors(t)
            if sum(a.op is index_op for a in inner) > 1:
                pinned.update(a for a in inner if a.op is index_op)
            stack.extend(a for a in inner if a.op is not index_op)

    for o in outputs:
        offset(o.buffer.dtype.itemsize, o.offset)
        stack.append(o.value)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.op is load_op:
            offset(node.dtype.itemsize, node.args[0])
            stack.extend(node.args[1:])
        elif node.op is index_op:
            pinned.add(node)
        else:
            stack.extend(node.args)
    return found, pinned


def _merge(axes, outputs, indices):
    """Return (axes with contiguous neighbours merged, table from old loop variables to new expressions)."""
    runs = _runs(axes, outputs, indices)
    if len(runs) == len(axes):
        return axes, {}
    out, table = [], {}
    for run in runs:
        if len(run) == 1:
            out.append(run[0])
            continue
        extent = math.prod(a.extent for a in run)
        merged = Axis(index("".join(a.index.attrs[0] for a in run), extent), extent, run[0].reduced)
        out.append(merged)
        inner = merged.index
        for axis in reversed(run[1:]):
            table[axis.index] = OPS["fmod"](inner, integer(axis.extent))
            inner = OPS["quotient"](inner, integer(axis.extent))
        table[run[0].index] = inner
    return out, table


def _runs(axes, outputs, indices):
    """Return the axes in groups along each of which all accesses run on."""
    forms, pinned = accesses(outputs, indices)
    runs = []
    for axis in axes:
        last = runs[-1][-1] if runs else None
        extent = indices.affine(axis.extent) if isinstance(axis.extent, Node) else axis.extent
        together = (
            last is not None
            and last.reduced == axis.reduced
            and axis.index not in pinned
            and last.index not in pinned
            and all(f.stride(last.index).is_multiple(f.stride(axis.index), extent) for _, f in forms)
        )
        if together:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    return runs


def _merge_by_dims(axes, outputs, indices):
    """Return the Nest with contiguous neighbours merged: what merges is used in offsets only, and linearly there."""
    table, out = {}, []
    for run in _runs(axes, outputs, indices):
        if len(run) == 1:
            out.append(run[0])
            continue
        extent = Affine(1)
        for a in run:
            extent = extent.times(indices.affine(integer(a.extent)))
        extent = indices.to_node(extent) if extent.terms else extent.constant
        bounds = [a.most if isinstance(a.extent, Node) else a.extent for a in run]
        most = None if None in bounds else math.prod(bounds)
        merged = Axis(index("".join(a.index.attrs[0] for a in run), extent), extent, run[0].reduced, most)
        out.append(merged)
        table.update({a.index: integer(0) for a in run[:-1]})
        table[run[-1].index] = merged.index
    if table:
        for n in topological([e for o in outputs for e in (o.value, o.offset)]):
            if n in table:
                continue
            args = [table[a] for a in n.args]
            if n.op is load_op:
                args[0] = indices.simplify(args[0])
            table[n] = n.rebuild(args)
        outputs = [Output(o.buffer, indices.simplify(table[o.offset]), table[o.value], o.fold) for o in outputs]
    return Nest(out, outputs, indices)
