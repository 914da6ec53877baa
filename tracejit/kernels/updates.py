"""Which values may take over the memory of the value they update, and what must have been read before they do.

``x1 = dynamic_set_slice(x0, v, i)`` writes into the memory of x0 where nothing needs x0 later: everything else that
reads x0 is then ordered before the write. A loop takes over the memory of what it carries in the same way.
"""

from tracejit.symbolic.graph import topological
from tracejit.symbolic.ir import const_op, item, param

CONTROL = ("for_loop", "while_loop", "switch")
#: Ops that put a piece into an array, written as a nest over the piece.
INSERTS = ("set_slice", "dynamic_set_slice")
_SCATTERS = ("scatter_set", "scatter_add", "scatter_multiply", "scatter_max", "scatter_min")


def base(node):
    """Return the node whose buffer holds a node's elements: reshapes of arrays in C order change nothing."""
    while node.op.name in ("reshape", "held"):
        node = node.args[0]
    return node


def made_of(node):
    """Return the arguments that a node's elements are computed from."""
    return node.args[:1] if node.op.name == "held" else node.args


def awaited(node):
    """Return what must be known before a value may be read under the name that it has here."""
    found = []
    while node.op.name in ("reshape", "transpose", "held"):
        if node.op.name == "held":
            found += node.args[1:]
        node = node.args[0]
    return found


def single(kind):
    """Say whether a type has one element: a scalar to a body, whatever its rank."""
    return kind.is_static and kind.size == 1


def count(kind):
    """Return the number of elements of a Type, or None where it is known at run time only."""
    return kind.size if kind.is_static else None


def producer(value):
    """Return the root that computes a value."""
    return value.args[0] if value.op is item else value


def carried(node):
    """Return the operands that a control op hands on as its results, by result; None where there is none."""
    if node.op.name == "for_loop":
        return node.args[1:1 + node.attr("carries")]
    if node.op.name == "while_loop":
        return node.args[:node.attr("carries")]
    operands = node.args[1:]
    return [None if k is None else operands[k] for k in passed(node)]


def passed(node):
    """Return, per result of a switch, the number of the operand whose memory all branches may keep it in, or None."""
    out = []
    for r in range(len(node.type)):
        ends = [_origin(branch.outs[r]) for branch in node.attr("branches")]
        found = {n.attrs[0] for n in ends if n.op is param}
        out.append(found.pop() if len(found) == 1 else None)
    return out


def _origin(node):
    """Return where a chain of updates begins."""
    while True:
        node = base(node)
        if node.op.name in INSERTS or node.op.name in _SCATTERS:
            node = node.args[0]
        elif node.op is item and node.args[0].op.name in CONTROL:
            inner = carried(node.args[0])[node.attrs[0]]
            if inner is None:
                return node
            node = inner
        else:
            return node


def overwrites(root):
    """Yield (value, the value it may take over the memory of) of a root."""
    if root.op.name in INSERTS or root.op.name in _SCATTERS:
        yield root, base(root.args[0])
    elif root.op.name in CONTROL:
        for k, operand in enumerate(carried(root)):
            if operand is not None:
                yield item(root, index=k), base(operand)
    elif root.op.name == "draw":  # the states that are handed on
        for k in range(1, len(root.type)):
            yield item(root, index=k), base(root.args[k - 1])


class Sharing:
    """What shares memory in a partition.

    Attributes
    ----------
    under, over : dict
        Value → the value whose memory it takes over, and the way back.
    after : dict
        Root → the roots that must have run before it, because they read what it overwrites.
    sequence : list
        The roots in an order that respects all this.
    """

    def __init__(self, partition, owned):
        self.partition, self.owned = partition, owned
        self.under, self.after = {}, {}
        self.reads, self.readers = {}, {}
        for root in [n for n in partition.order if n in partition.rooted]:
            self._note(root)
        ends = {base(o) for o in partition.outs}
        taken = set()
        for root in list(self.reads):
            for value, under in overwrites(root):
                if under in ends or under in taken or not self._may(root, under):
                    continue
                if self._order_readers(root, under):
                    self.under[value] = under
                    taken.add(under)
        self.over = {under: value for value, under in self.under.items()}
        self.sequence = self._sequence()

    def _note(self, root):
        self.reads[root] = self._direct(root)
        for value in self.reads[root]:
            self.readers.setdefault(value, {})[root] = None

    def _direct(self, root):
        """Return the buffered values that a root reads."""
        found, seen, stack = {}, set(), [*root.args, *root.dims]
        if self.partition.is_routine(root):
            stack = [n for n in self.partition.buffered(root) if n is not None] + list(root.dims)
            stack += [n for a in root.args for n in awaited(a)]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node.op is const_op:
                continue
            if node.op is param or node.op is item or node in self.partition.rooted:
                found[node] = None
            else:
                stack += [*node.args, *node.dims]
        return found

    def _may(self, root, under):
        """Say whether a value is one whose memory may be overwritten at all, and this root reads it once."""
        if under.op is param:
            if under not in self.owned:
                return False
        elif not (under.op is item or under in self.partition.rooted):
            return False
        size = count(under.type)
        if size is not None and size <= 1:
            return False
        if root.op.name in INSERTS:
            return True
        return sum(n is under for n in self.partition.buffered(root)) == 1

    def _needs(self, root):
        yield from (producer(v) for v in self.reads[root] if v.op is not param)
        yield from self.after.get(root, ())

    def _depending(self, root):
        """Return the roots that need `root`."""
        users = {}
        for r in self.reads:
            for n in self._needs(r):
                users.setdefault(n, []).append(r)
        found, stack = set(), [root]
        while stack:
            for r in users.get(stack.pop(), ()):
                if r not in found:
                    found.add(r)
                    stack.append(r)
        return found

    def _order_readers(self, root, under):
        """Put all that reads a value before the root that overwrites it; returns whether that can be."""
        others = [r for r in self.readers.get(under, ()) if r is not root]
        if others:
            later = self._depending(root)
            late = [r for r in others if r in later]
            if late and not self._read_early(root, under, late, later):
                return False
        before = [r for r in self.readers.get(under, ()) if r is not root]
        if before:
            self.after.setdefault(root, set()).update(before)
        return True

    def _read_early(self, root, under, late, later):
        """Give buffers of their own to the parts of a value that are needed after it is overwritten."""
        parts, stack, seen = {}, [], set()
        for r in late:
            if self.partition.is_routine(r):
                return False
            stack += r.args
        while stack:
            node = stack.pop()
            if node in seen or node.op is param or node.op is item or node in self.partition.rooted:
                continue
            seen.add(node)
            if any(base(a) is under for a in node.args) and base(node) is not under:
                parts[node] = None
            stack += node.args
        for r in late:
            if any(base(a) is under for a in r.args):
                return False  # it reads the value itself, elementwise or by an op of its own
        sizes = [count(n.type) for n in parts]
        if None in sizes or sum(sizes) > (count(under.type) or 1):
            return False
        for node in parts:
            if any(producer(n) in later or producer(n) is root for n in self._above(node)):
                return False
        for node in parts:
            self.partition.rooted.add(node)
        for node in parts:
            self._note(node)
        for r in late:
            for value in self.reads[r]:
                self.readers[value].pop(r, None)
            self._note(r)
        return not any(r in self.readers.get(under, ()) for r in late)

    def _above(self, node):
        """Return the buffered values that an expression reads."""
        return [n for n in topological([node]) if n is not node and (n in self.partition.rooted or n.op is item)]

    def _sequence(self):
        place = self.partition.place
        out, done, stack = [], set(), [(r, False) for r in sorted(self.reads, key=place.get, reverse=True)]
        while stack:
            root, ready = stack.pop()
            if root in done:
                continue
            if ready:
                done.add(root)
                out.append(root)
            else:
                stack.append((root, True))
                needs = sorted({n for n in self._needs(root) if n not in done}, key=place.get, reverse=True)
                stack += [(n, False) for n in needs]
        return out
