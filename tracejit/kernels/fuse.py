"""Partition of a graph: which nodes get a buffer, and which of those share a loop nest.

Everything else is computed where it is read. A *root* is a node with a buffer that a loop nest fills: an elementwise
node or view that is written out, or a reduction. A *group* is a list of roots over one iteration space without
dependences between them other than element by element.
"""

from dataclasses import dataclass, field

from tracejit.kernels.dots import is_dot, operands
from tracejit.kernels.updates import CONTROL, INSERTS, Sharing, awaited, base, made_of, single
from tracejit.symbolic import dims
from tracejit.symbolic.graph import topological
from tracejit.symbolic.ir import const_op, item, param, scalar_literal
from tracejit.symbolic.types import I64

#: Nodes that one root may compute for itself, before an inner one is given a buffer: keeps kernels compilable.
CONE_LIMIT = 120
#: Arrays put together of pieces which are put together of pieces: each level asks at every element in which one it is.
PIECES_LIMIT = 4
#: Roots of one nest: more would run out of registers and memory streams.
GROUP_LIMIT = 12
SCALAR_GROUP_LIMIT = 400
#: A node that costs less is computed again rather than stored (see `op_cost`).
RECOMPUTE_COST = 6
#: Likewise for one that a root would compute at several places: what all but the first of them cost.
MOVED_COST = 8
#: Places beyond which a node is not told from one that is read at even more of them.
PLACES_LIMIT = 16

_CHEAP = {
    "add",
    "subtract",
    "multiply",
    "negative",
    "absolute",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "select",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "invert",
    "isnan",
    "real",
    "imag",
    "conjugate",
    "copysign",
    "signbit",
    "isfinite",
    "isinf",
    "shift_left",
    "shift_right",
    "cast",
    "bitcast",
    "complex",
}
_MIDDLE = {
    "sqrt": 4,
    "divide": 4,
    "floor": 1,
    "ceil": 1,
    "trunc": 1,
    "rint": 1,
    "sign": 2,
    "quotient": 8,
    "check": 1,
    "fmod": 12,
}


#: Elements that an axis is taken to have whose size is known at run time only, and has no bound.
TYPICAL = 1024


def estimated(shape):
    """Return how many elements a shape is taken to have where a decision needs a number."""
    total = 1
    for n in shape:
        total *= n if type(n) is int else min(TYPICAL, _most(n))
    return total


def _most(n):
    most = dims.bound(n)
    return TYPICAL if most is None else most


def op_cost(op):
    """Return the cost of a scalar op, in additions."""
    if not op.elementwise:
        return 3 if op.name in PIECES else 0  # which piece, and where in it
    return 1 if op.name in _CHEAP else _MIDDLE.get(op.name, 12)


@dataclass
class Group:
    """Roots that share a loop nest (or one routine, or one array put together of pieces)."""

    kind: str  # nest | pieces | routine
    space: tuple = ()
    axes: tuple = ()  # that the reductions among the roots fold
    roots: list = field(default_factory=list)
    before: set = field(default_factory=set)  # indices of groups that must run first


_NONE = frozenset()
PIECES = ("concatenate", "embed", *INSERTS)


def is_leaf(node):
    """Say whether a node needs no computing: a parameter or a literal."""
    return node.op is param or node.op is const_op


def is_routine(node):
    """Say whether a node is computed by library code on whole arrays."""
    return node.op.routine is not None and node.op.name not in ("check", "item", *INSERTS)


#: Operands, by routine, that may be a literal instead of a buffer.
_LITERALS = {
    "gemm": (2, 3, 4),
    "gemv": (2, 3, 4),
    "scatter_set": (0, 1),
    "scatter_add": (0, 1),
    "scatter_multiply": (0, 1),
    "scatter_max": (0, 1),
    "scatter_min": (0, 1),
}


def buffered_operands(node):
    """Return the nodes whose buffers a routine reads; None for an operand that is a literal."""
    if is_dot(node):
        return operands(node)
    free = range(len(node.args)) if node.op.name in CONTROL else _LITERALS.get(node.op.routine, ())
    return [None if i in free and scalar_literal(a) is not None else base(a) for i, a in enumerate(node.args)]


class Partition:
    """The groups of a graph, in an order in which they can run.

    `owned` are the params whose buffers may be overwritten; `inner` says that the graph is the body of a loop or
    branch, whose scalars live in registers.
    """

    is_routine = staticmethod(is_routine)
    buffered = staticmethod(buffered_operands)

    def __init__(self, outs, owned=(), inner=False):
        self.outs, self.inner, self.owned = outs, inner, frozenset(owned)
        self.order = topological(outs)
        self.place = {n: i for i, n in enumerate(self.order)}
        self._times = self._held_below()
        self.addresses = self._addresses()
        self.rooted = self._roots()
        self._split_large_cones()
        self._store_what_is_dear()
        self._store_what_moves()
        self.sharing = Sharing(self, self.owned)
        self.groups = self._ordered(self._grouped())

    def _held_below(self):
        """Return, per node, a bit set of the `held` values it is computed from; empty where there are none.

        It says when a node can be computed first: those with others do not belong into one nest.
        """
        names = [n for n in self.order if n.op.name == "held"]
        if not names:
            return {}
        bits, found = {n: 1 << k for k, n in enumerate(names)}, {}
        for node in self.order:
            found[node] = bits.get(node, 0)
            for a in (*node.args, *node.dims):
                found[node] |= found[a]
        return found

    # ---------------------------------------------------------------- which nodes get buffers
    def _roots(self):
        rooted = set()
        for node in self.order:
            if is_routine(node):
                rooted.add(node)
                rooted.update(n for n in buffered_operands(node) if n is not None and not is_leaf(n))
            elif node.op.reduce is not None or node.op.name in ("check", "dynamic_set_slice"):
                rooted.add(node)
            elif self.inner:
                self._inner_root(node, rooted)
            rooted.update(base(d) for d in node.dims if not is_leaf(base(d)))
        rooted.update(b for b in map(base, self.outs) if not is_leaf(b))
        return {n for n in rooted if n.op is not item}

    def _inner_root(self, node, rooted):
        """Give a place to what a body reads of an array as a scalar, and to the versions of an array it changes."""
        if is_leaf(node) or node.op is item or node.op.elementwise or node.op.name in ("reshape", "iota", "held"):
            return
        if node.op.name == "set_slice":
            under = base(node.args[0])
            if under in self.owned or under in rooted or under.op is item:
                rooted.add(node)
        elif single(node.type) and not all(single(a.type) for a in node.args):
            rooted.add(node)

    def inlined(self, node):
        """Say whether a node is computed where it is read."""
        return not (is_leaf(node) or node.op is item or node in self.rooted)

    def _split_large_cones(self):
        sizes = {}  # upper bounds: what is shared is counted twice
        depth = {}  # of pieces within pieces
        for node in self.order:
            if is_leaf(node) or is_routine(node) or node.op is item:
                continue
            depth[node] = max((depth.get(a, 0) for a in made_of(node) if self.inlined(a)), default=0)
            depth[node] += node.op.name in PIECES
            if depth[node] > PIECES_LIMIT and node not in self.rooted:
                self.rooted.add(base(node))
                depth[node] = 0
            size = 1 + sum(sizes[a] for a in made_of(node) if self.inlined(a))
            if size > CONE_LIMIT:
                size = len(self._cone(node))
                if size > CONE_LIMIT and node not in self.rooted:
                    self.rooted.add(base(node))
            sizes[node] = size

    def _cost(self, node):
        return sum(op_cost(n.op) for n in self._cone(node) if n not in self.addresses)

    def _addresses(self):
        """Return the nodes that are sums of indices: as part of an address they cost nothing."""
        found = set()
        for n in self.order:
            adds = n.op.name in ("add", "subtract", "multiply") and n.dtype == I64
            moves = n.op.element is not None and not n.op.elementwise and n.op.name not in PIECES
            if scalar_literal(n) is not None or (adds or moves) and all(a in found for a in n.args):
                found.add(n)
        return found

    def _cone(self, node):
        """Return the nodes that a read of `node` computes."""
        seen, stack = {node}, [node]
        while stack:
            for a in made_of(stack.pop()):
                if a not in seen and self.inlined(a):
                    seen.add(a)
                    stack.append(a)
        return seen

    def _store_what_is_dear(self):
        """Give a buffer to nodes that would be computed many times over."""
        folded = self._folded()
        for node in self.order:
            if node.op.elementwise or is_leaf(node) or is_routine(node) or node.op.element is None:
                continue
            if node.op.name in PIECES:
                continue  # reads nothing twice
            if node.op.name == "broadcast" and node.attrs[1] == tuple(range(len(node.attrs[1]))):
                if not folded.get(node, _NONE) & set(node.attrs[1]):
                    continue  # an outer loop computes it once
            for a in made_of(node):
                if self.inlined(a) and estimated(node.shape) > estimated(a.shape) > 1 and scalar_literal(a) is None:
                    if self._cost(a) >= RECOMPUTE_COST:
                        self.rooted.add(base(a))
        readers = {n: set() for n in self.order}
        for node in reversed(self.order):
            above = {node} if node in self.rooted else readers[node]
            for a in made_of(node):
                if not is_leaf(a) and a.op is not item:
                    readers[a] |= above
        ancestors = self._ancestors()
        for node in self.order:
            if self.inlined(node) and len(readers[node]) > 1 and estimated(node.shape) > 1 and base(node) is node:
                if not self._in_one_pass(node, readers[node], ancestors) and self._cost(node) >= RECOMPUTE_COST:
                    self.rooted.add(node)

    def _store_what_moves(self):
        """Give a buffer to nodes that one root would compute at several places, as a stencil over a formula does."""
        numbers = {}
        places = {}  # node -> the places at which it is read, numbered: one per way of views from a root's own place

        def number(*way):
            return numbers.setdefault(way, len(numbers))
        for node in reversed(self.order):
            if is_leaf(node) or is_routine(node) or node.op is item:
                continue
            here = {number(space_of(node))} if node in self.rooted else places.pop(node, _NONE)
            if len(here) > 1 and (node.op.elementwise or node.op.name in PIECES) and estimated(node.shape) > 1:
                if (len(here) - 1) * self._cost(node) >= MOVED_COST:
                    self.rooted.add(node)
                    here = {number(space_of(node))}
            same = node.op.elementwise or node.op.reduce is not None or node.op.name == "held"
            there = here if same else {number(node, k) for k in here}
            for a in made_of(node):
                if self.inlined(a) and len(places.get(a, _NONE)) < PLACES_LIMIT:
                    places[a] = places.get(a, _NONE) | there

    def _folded(self):
        """Return, per node, the axes that reductions fold which compute it: loops over them may be innermost."""
        found = {}
        for node in reversed(self.order):
            axes = frozenset(node.attr("axes")) if node.op.reduce is not None else found.get(node) \
                if node.op.elementwise and node not in self.rooted else None
            for a in node.args if axes else ():
                found[a] = found.get(a, _NONE) | axes
        return found

    def _ancestors(self):
        """Return, per node, a bit set of the roots it depends on."""
        bits, out = {}, {}
        for node in self.order:
            mask = 0
            for a in node.args:
                mask |= out[a] | bits.get(a, 0)
            out[node] = mask
            if node in self.rooted:
                bits[node] = 1 << len(bits)
        self.bits = bits
        return out

    def _in_one_pass(self, node, readers, ancestors):
        """Say whether one nest could compute all the readers, so that the node is computed once anyway."""
        if any(is_routine(r) or space_of(r) != node.shape for r in readers):
            return False
        return not any(ancestors[r] & self.bits.get(q, 0) for r in readers for q in readers)

    # ---------------------------------------------------------------- which roots share a nest
    def reads(self, root):
        """Return a dict from each buffered node that a root reads to whether it reads it element by element only."""
        found, seen = {}, set()
        stack = [(a, root.op.elementwise or root.op.reduce is not None) for a in root.args]
        stack += [(d, False) for d in root.dims]
        if is_routine(root):
            needed = [*buffered_operands(root), *map(base, root.dims), *[base(d) for a in root.args for d in a.dims]]
            found = {
                n.args[0] if n.op is item else n: False
                for n in needed
                if n is not None and (n in self.rooted or n.op is item)
            }
            stack = [(n, False) for a in root.args for n in awaited(a)]
        while stack:
            node, same = stack.pop()
            if (node, same) in seen:
                continue
            seen.add((node, same))
            if node.op is item:
                node = node.args[0]
                found[node] = False
            elif node in self.rooted:
                found[node] = found.get(node, True) and same
            elif not is_leaf(node):
                stack.extend((a, same and node.op.elementwise) for a in node.args)
                stack.extend((d, False) for d in node.dims)
        return found

    def _grouped(self):
        groups, self.group_of, latest = [], {}, {}
        for root in self.sharing.sequence:
            reads = self.reads(root)
            kind = "routine" if is_routine(root) else "pieces" if root.op.name in PIECES else "nest"
            chosen = None
            if kind == "nest":
                space = space_of(root)
                axes = root.attr("axes") if root.op.reduce is not None else ()
                for k in reversed(latest.get(space, ())):
                    if self._may_join(groups, k, root, axes, reads):
                        chosen = k
                        break
            if chosen is None:
                chosen = len(groups)
                groups.append(Group(kind, space_of(root) if kind == "nest" else ()))
                if kind == "nest":
                    latest.setdefault(space, []).append(chosen)
                    del latest[space][:-4]
            group = groups[chosen]
            group.roots.append(root)
            if root.op.reduce is not None:
                group.axes = root.attr("axes")
            self.group_of[root] = chosen
            after = self.sharing.after.get(root, ())
            group.before |= {self.group_of[d] for d in (*reads, *after)} - {chosen}
        return groups

    def _may_join(self, groups, k, root, axes, reads):
        group = groups[k]
        limit = GROUP_LIMIT if group.space else SCALAR_GROUP_LIMIT
        if len(group.roots) >= limit or (axes and group.axes and axes != group.axes):
            return False
        if self._times.get(root) != self._times.get(group.roots[0]):
            return False
        for d, same in reads.items():
            if self.group_of[d] == k:
                if not same or d.op.reduce is not None:
                    return False
            elif _reaches(groups, self.group_of[d], k):
                return False
        return True

    def _ordered(self, groups):
        """Return the groups so that each comes after those it needs."""
        out, done, stack = [], set(), [(k, False) for k in reversed(range(len(groups)))]
        while stack:
            k, ready = stack.pop()
            if k in done:
                continue
            if ready:
                done.add(k)
                out.append(k)
            else:
                stack.append((k, True))
                stack.extend((d, False) for d in sorted(groups[k].before, reverse=True) if d not in done)
        if self._times:
            out = _ends_early(groups, out)
        return [groups[k] for k in out]


def _ends_early(groups, order):
    """Return an order in which what leads to results only runs as soon as it can, and what it needs may be forgotten.

    Of values that are computed again for the way back, each would otherwise wait for the gradients that come last.
    """
    users = {k: [] for k in order}
    for k in order:
        for d in groups[k].before:
            users[d].append(k)
    ends = set()
    for k in reversed(order):
        if len(users[k]) <= 1 and all(u in ends for u in users[k]):
            ends.add(k)
    out = {}
    for k in order:
        stack = [k]
        while stack:
            k = stack.pop()
            if k not in out:
                out[k] = None
                stack += [u for u in users[k] if u in ends and all(d in out for d in groups[u].before)]
    return list(out)


def _reaches(groups, start, target):
    """Say whether group `start` needs group `target`."""
    if start < target and not groups[start].before:
        return False
    seen, stack = {start}, [start]
    while stack:
        for d in groups[stack.pop()].before:
            if d == target:
                return True
            if d not in seen:
                seen.add(d)
                stack.append(d)
    return False


def space_of(root):
    """Return the shape of the loops that compute a root."""
    return root.args[0].shape if root.op.reduce is not None else root.shape
