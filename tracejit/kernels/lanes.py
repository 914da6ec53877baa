"""Loops whose turns may run side by side, in the lanes of vectors, though each of them holds a loop of its own.

``for j: s = 0; for k: s += a[i, k] * b[k, j]; c[i, j] = s`` is a chain of sums for each j, which no compiler may
reorder; several such chains side by side keep the order of each.
"""

from tracejit.kernels.affine import Indices
from tracejit.kernels.control import Loop
from tracejit.kernels.fuse import op_cost
from tracejit.kernels.loop_ir import Store, expressions, integer, load_op
from tracejit.kernels.program import Launch, has_guard
from tracejit.symbolic.graph import topological
from tracejit.symbolic.ir import const_op

#: Work of one op, in additions, up to which lanes compute it bit by bit as a scalar is computed.
_CHEAP = 4


def side_by_side(loop, places):
    """Say whether the turns of a counted loop are independent, read along contiguous memory, and hold a counted loop.

    `places` are the names of the scalars that have to be in memory.
    """
    found = _Turns(loop, places)
    return found.inner and found.fine


class _Turns:
    """What the turns of a loop do, as far as it matters whether they depend on each other."""

    def __init__(self, loop, places):
        self.indices = Indices()
        self.inner, self.fine = False, loop.index is not None and not loop.moves and not loop.swaps
        self.index = loop.index
        self.counters, self.assigned = set(), set()  # names of scalars: indices of loops inside, and all others
        self.read, self.written, self.offsets = set(), {}, []
        if self.fine:
            self._steps(loop.body, outermost=True)
        self.fine = self.fine and not self.read & set(self.written) and not self.assigned & places and (
            all(map(self._contiguous, self.offsets)) and all(self._factor(o) == 1 for o in self.written.values()))

    def _steps(self, steps, outermost):
        for s in steps:
            if isinstance(s, Launch):
                self._kernel(s.kernel, outermost)
            elif isinstance(s, Loop) and s.index is not None and not s.swaps:
                self._loop(s)
            else:
                self.fine = False

    def _loop(self, s):
        """Take a loop inside: it makes as many turns in every lane."""
        self.inner = True
        self.counters.add(s.index.name)
        self.assigned |= {b.name for b, _ in s.moves}
        named = {n.attrs[0] for n in topological([s.count]) if n.op is load_op}
        self.fine = self.fine and self.index.name not in named and not named & self.assigned
        self._steps(s.body, outermost=False)

    def _kernel(self, kernel, outermost):
        if has_guard(kernel) or not all(isinstance(s, Store) for s in kernel.body):
            self.fine = False
            return
        arrays = {b.name for b in kernel.buffers if b.role != "scalar"}
        for node in topological(expressions(kernel.body)):
            if node.op is load_op:
                self.fine = self.fine and len(node.args) == 1
                if node.attrs[0] in arrays:
                    self.read.add(node.attrs[0])
                    self.offsets.append(node.args[0])
            elif node.op.scalar is None and node.op is not const_op or op_cost(node.op) > _CHEAP:
                self.fine = False
        for s in kernel.body:
            if s.buffer.role == "scalar":
                self.assigned.add(s.buffer.name)
                continue
            # one place per turn: what a loop inside writes might be written by another turn, too
            self.fine = self.fine and outermost and self.written.setdefault(s.buffer.name, s.offset) is s.offset
            self.offsets.append(s.offset)

    def _factor(self, offset):
        return self.indices.affine(offset).factor(self.index.load(integer(0)))

    def _contiguous(self, offset):
        """Say whether the lanes read (or write) one element, or some that lie side by side."""
        form = self.indices.affine(offset)
        for term in form.terms:
            if term.op is not load_op or term.attrs[0] in self.assigned:
                return False
        return self._factor(offset) in (0, 1)
