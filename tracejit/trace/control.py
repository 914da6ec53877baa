"""Loops and branches staged: Python callables over an explicit state are traced once and become the ops of `control`.

A state is a tuple of entries, each whatever a Python variable may hold: arrays, numbers, nests of them, other objects,
or `UNDEFINED`. What a body changes in it is carried; what it leaves as it is stays the very object. Arrays of enclosing
traces that a body writes to in place are carried, too. A body is traced again until the types of all that is carried
are stable: a Python number takes the dtype that it grows into.
"""

import functools
from typing import NamedTuple

import numpy as np

from tracejit import tree
from tracejit.errors import CarryError, user_frame
from tracejit.symbolic import dims
from tracejit.symbolic.ir import const, new_variable
from tracejit.symbolic.ops.control import for_loop, results, switch, while_loop
from tracejit.symbolic.ops.scalar import cast, maximum, minimum
from tracejit.symbolic.ops.shape import reshape, zeros
from tracejit.symbolic.types import BOOL, I64, Type
from tracejit.trace.regions import Repeated, closed
from tracejit.trace.staging import tracing
from tracejit.trace.tracer import Storage, TraceContext, Tracer, as_tracer, current_trace, wrap


class _Undefined:
    """Stands for a variable that has no value yet."""

    __slots__ = ()

    def __repr__(self):
        return "UNDEFINED"


UNDEFINED = _Undefined()


class Kind(NamedTuple):
    """What is the same in every iteration of a value that is carried: Type, and how it presents itself."""

    type: Type
    weak: bool = False
    scalar: bool = False

    def __repr__(self):
        return f"a Python {_PYTHON_NAMES[self.type.kind]}" if self.weak else str(self.type)


_PYTHON_NAMES = {"b": "bool", "i": "int", "u": "int", "f": "float", "c": "complex"}
_PYTHON_RANK = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}


# ---------------------------------------------------------------- what others call
def staged_for(count, body, state, *, names=(), what="for loop"):
    """Return the state after ``for k in range(count): state = body(k, state)``, the body traced once.

    Parameters
    ----------
    count : int, Tracer or Node
        The number of iterations, an integer; below 0 is 0.
    body : callable
        ``body(k, state) -> state``; k is a traced Python integer, the state a tuple of as many entries.
    state : tuple
        The entries before the loop.
    names : sequence of str
        What the entries are called, for error messages.
    what : str
        What the loop is called in them.

    Returns
    -------
    tuple
        The entries after the loop. An entry that was `UNDEFINED` before it has a value of zeros after a loop that runs
        zero times.

    Raises
    ------
    CarryError
        Where an entry changes its structure, type or shape from one iteration to the next.
    """
    return _Loop(body, None, state, names, what).staged(_count_node(count))


def staged_while(cond, body, state, *, names=(), what="while loop"):
    """Return the state after ``while cond(state): state = body(state)``, both traced once; see `staged_for`.

    ``cond(state)`` gives a truth value of one element: a traced array, or any Python object.
    """
    return _Loop(lambda k, state: body(state), cond, state, names, what).staged(None)


def staged_switch(index, branches, state, *, names=(), what="switch"):
    """Return ``branches[index](state)``, all branches traced and one of them run; the index is clipped to them.

    Entries that no branch changes stay the very objects. The others join: a Python number takes the dtype that another
    branch gives; any other difference raises CarryError. An entry that a branch leaves `UNDEFINED` and another defines
    is zeros after the former.
    """
    last = len(branches) - 1
    if not last or not isinstance(index, Tracer):
        return tuple(branches[min(max(int(index), 0), last) if last else 0](tuple(state)))
    node = minimum(maximum(cast(index.node, I64), const(0, I64)), const(last, I64))
    return _Choice(node, branches, state, names, what).staged()


def staged_cond(pred, true, false, state, *, names=(), what="if"):
    """Return ``true(state) if pred else false(state)``; see `staged_switch`."""
    if not isinstance(pred, Tracer):
        return tuple((true if pred else false)(tuple(state)))
    node = pred.node
    return _Choice(cast(_truth(node), I64), (false, true), state, names, what).staged()


# ---------------------------------------------------------------- one pass over a callable
class _Pass:
    """A callable run once on stand-ins: what it returned, what it wrote, what it read of the traces around it."""

    def __init__(self, run, carried, name, kind=TraceContext):
        trace = kind(current_trace(), name)
        trace.outside = set()
        before = {storage: storage.value for storage in carried}
        for storage, value in before.items():
            _note_write(storage, value)
        try:
            for storage, value in carried.items():
                storage.value = value
            with tracing(trace):
                self.result = run(trace)
                self.written = {storage: storage.value for storage in (*carried, *trace.outer_writes)}
        finally:
            for storage, value in (*trace.outer_writes.items(), *before.items()):
                storage.value = value
        self.outside = trace.outside


def _note_write(storage, value):
    """Let the traces between here and a storage's own know what it held before."""
    trace = current_trace()
    while trace is not storage.trace:
        trace.outer_writes.setdefault(storage, value)
        trace = trace.parent


def _truth(node):
    """Return the truth value of a node of one element as a rank-0 bool."""
    if node.type.size != 1:
        raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
    return cast(reshape(node, ()), BOOL)


def _count_node(count):
    return cast(count if hasattr(count, "op") else as_tracer(count).node, I64)


# ---------------------------------------------------------------- entries and their leaves
def _flatten(entry):
    return tree.flatten(entry, is_leaf=_is_tracer)


def _is_tracer(x):
    return isinstance(x, Tracer)


class _Leaf:
    """A leaf that a callable has returned, looked at while its trace is alive."""

    def __init__(self, leaf, given, trace):
        self.leaf = leaf
        self.same = _is_same(given, leaf)
        self.tracer = _value(leaf)
        self.node = None if self.tracer is None else self.tracer.node
        self.kind = None if self.tracer is None else Kind(self.node.type, self.tracer.weak, self.tracer.scalar)
        #: The array is one of an enclosing trace, as it is there.
        self.outer = isinstance(leaf, Tracer) and not (leaf.weak or leaf.scalar) and (
            leaf._storage.trace is not trace and all(step.fixed for step in leaf._steps))


def _is_same(given, got):
    """Return whether a leaf has come back as it was given."""
    if got is given:
        return True
    if isinstance(given, Tracer) and isinstance(got, Tracer):
        if given.weak or given.scalar:
            return (got.weak, got.scalar) == (given.weak, given.scalar) and got.node is given.node
        return not (got.weak or got.scalar) and got._storage is given._storage and got._steps == given._steps
    if type(given) is type(got) and isinstance(given, (bool, int, float, complex, str, bytes, np.generic)):
        return repr(given) == repr(got)
    return False


def _value(leaf):
    """Return a leaf as a Tracer, or None where it is nothing that can be carried."""
    if isinstance(leaf, Tracer):
        return leaf
    carried = isinstance(leaf, (np.ndarray, np.generic, bool, int, float, complex))
    return as_tracer(leaf) if carried or hasattr(type(leaf), "__tracejit_array__") else None


def _joined(old, new):
    """Return the Kind that holds both, or None: a Python number gives way, all else has to be alike."""
    if old.type.shape != new.type.shape:
        return None
    if old.weak and new.weak:
        return max(old, new, key=lambda kind: _PYTHON_RANK[kind.type.kind])
    if old.weak or new.weak:
        number, strong = (old, new) if old.weak else (new, old)
        return strong if _PYTHON_RANK[number.type.kind] <= _PYTHON_RANK[strong.type.kind] else None
    return Kind(old.type, scalar=old.scalar or new.scalar) if old.type is new.type else None


class _Entry:
    """One entry of a state: its leaves, and which of them are carried with which Kind (None: it stays as it is)."""

    def __init__(self, value, name):
        self.given, self.name = value, name
        self.late = value is UNDEFINED
        self.leaves, self.structure = _flatten(value)
        self.kinds = [None] * len(self.leaves)

    def carried(self):
        """Return the Kinds of the leaves that are carried."""
        return [kind for kind in self.kinds if kind is not None]

    def path(self, i):
        """Return what leaf i is called."""
        return tree.paths(self.given, self.name, is_leaf=_is_tracer)[i]

    def inside(self, pieces):
        """Return the entry as a body sees it, its carried leaves taken from an iterator."""
        if self.late or not self.carried():
            return self.given
        return self.outside(pieces)

    def outside(self, pieces):
        """Return the entry after the loop, its carried leaves taken from an iterator."""
        if not self.late and not self.carried():
            return self.given
        return tree.unflatten(self.structure, [
            leaf if kind is None else next(pieces) for leaf, kind in zip(self.leaves, self.kinds)])

    def initial(self):
        """Return the nodes of the carried leaves before the loop."""
        if self.late:
            return [zeros(kind.type) for kind in self.carried()]
        return [cast(_value(leaf).node, kind.type.dtype)
                for leaf, kind in zip(self.leaves, self.kinds) if kind is not None]

    def take(self, got, given, trace, what):
        """Return the nodes that an iteration has made of the carried leaves, and whether their Kinds are stable."""
        leaves, structure = _flatten(got)
        if self.late:
            return self._take_late(got, leaves, structure, trace)
        if structure != self.structure:
            raise CarryError(f"{what}: {self.name} is {_describe(self.given)} before an iteration and {_describe(got)} "
                             "after it", where=user_frame(), do=_REMEDY)
        outs, stable = [], True
        for i, (before, leaf) in enumerate(zip(_flatten(given)[0], leaves)):
            new, kind = _Leaf(leaf, before, trace), self.kinds[i]
            if kind is None and new.same:
                continue
            first = _value(self.leaves[i])
            old = kind if kind is not None or first is None else Kind(first.type, first.weak, first.scalar)
            joined = None if old is None or new.kind is None else _joined(old, new.kind)
            if joined is None or joined.type.dtype != old.type.dtype and not old.weak:
                raise CarryError(f"{what}: {self.path(i)} is {_describe(self.leaves[i], old)} before an iteration and "
                                 f"{_describe(leaf, new.kind)} after it", where=user_frame(), do=_REMEDY)
            stable = stable and joined == kind
            self.kinds[i] = joined
            outs.append(cast(new.node, joined.type.dtype))
        return outs, stable

    def _take_late(self, got, leaves, structure, trace):
        found = [_Leaf(leaf, None, trace) for leaf in leaves]
        self.leaves, self.structure = leaves, structure
        self.kinds = [None if leaf.outer or got is UNDEFINED else leaf.kind for leaf in found]
        return [leaf.node for leaf, kind in zip(found, self.kinds) if kind is not None], True


def _describe(value, kind=None):
    if kind is not None:
        return repr(kind)
    leaves, structure = _flatten(value)
    if len(leaves) == 1 and leaves[0] is value:
        value = _value(value) if not isinstance(value, str) else None
        return repr(Kind(value.type, value.weak)) if value is not None else repr(leaves[0])
    return f"a {type(value).__name__} of {len(leaves)}"


_REMEDY = ("make it what it becomes before the loop: same structure, shape and dtype, as with np.zeros(shape, dtype), "
           "or convert it inside with .astype")


def _entries(state, names):
    names = (*names, *(f"entry {i}" for i in range(len(names), len(state))))
    return [_Entry(value, name) for value, name in zip(state, names)]


def _wrapped(kinds, nodes):
    """Return an iterator of tracers over nodes of the current trace, as their kinds present them."""
    return iter([wrap(node, weak=kind.weak, scalar=kind.scalar) for kind, node in zip(kinds, nodes)])


# ---------------------------------------------------------------- loops
#: Each pass over a body adds to what is carried, or makes a type wider.
_PASSES = 100


class _Loop:
    """A loop on its way to an op: passes over the body until what is carried, and its types, are stable."""

    def __init__(self, body, cond, state, names, what):
        self.body, self.cond, self.what = body, cond, what
        self.entries = _entries(tuple(state), names)
        self.storages = {}  # Storage of an enclosing trace that the body writes to -> variable of its content

    def staged(self, count):
        """Return the entries after the loop, its op put into the trace."""
        k = dims.declare(new_variable(Type(I64)), 0, None if count is None else dims.minus(count, 1))
        for _ in range(_PASSES):
            early = [entry for entry in self.entries if not entry.late]
            variables = [new_variable(kind.type) for entry in early for kind in entry.carried()]
            passed = _Pass(functools.partial(self._run, k, variables), self.storages, self.what, Repeated)
            new = [storage for storage in passed.written if storage not in self.storages]
            if passed.result is not None and not new:
                return self._finish(count, k, variables, passed)
            self.storages.update((storage, new_variable(storage.value.type)) for storage in new)
        raise CarryError(f"{self.what}: its body does something else each time it is traced", where=user_frame(),
                         do="keep nothing in lists, globals or attributes from one call of the body to the next")

    def _run(self, k, variables, trace):
        pieces = iter([Tracer(Storage(node, trace), weak=kind.weak, scalar=kind.scalar) for kind, node in zip(
            [kind for entry in self.entries if not entry.late for kind in entry.carried()], variables)])
        given = tuple([entry.inside(pieces) for entry in self.entries])
        got = tuple(self.body(Tracer(Storage(k, trace), weak=True), given))
        if len(got) != len(given):
            raise CarryError(f"{self.what}: the body takes a state of {len(given)} and returns {len(got)}",
                             where=user_frame(), do="return as many entries as it takes")
        taken = [entry.take(new, old, trace, self.what) for entry, new, old in zip(self.entries, got, given)]
        return [outs for outs, _ in taken] if all(stable for _, stable in taken) else None

    def _finish(self, count, k, variables, passed):
        pairs = list(zip(self.entries, passed.result))
        early = [(entry, outs) for entry, outs in pairs if not entry.late]
        late = [(entry, outs) for entry, outs in pairs if entry.late]
        ordered = early + late
        variables = [*variables, *(new_variable(n.type) for _, outs in late for n in outs), *self.storages.values()]
        outs = [n for _, outs in ordered for n in outs] + [passed.written[s] for s in self.storages]
        before = [n for entry, _ in ordered for n in entry.initial()] + [s.value for s in self.storages]
        node = self._for(count, k, variables, outs, before, passed.outside) if self.cond is None else (
            self._while(variables, outs, before, passed.outside))
        after = results(node)
        for storage, value in zip(self.storages, after[len(after) - len(self.storages):]):
            storage.write(value)
        kinds = [kind for entry, _ in ordered for kind in entry.carried()]
        pieces = _wrapped(kinds, after)
        done = {id(entry): entry.outside(pieces) for entry, _ in ordered}
        return tuple([done[id(entry)] for entry in self.entries])

    def _for(self, count, k, variables, outs, before, outside):
        graph, taken = closed([k, *variables], outs, outside)
        return for_loop(count, *before, *taken, body=graph, carries=len(before))

    def _while(self, variables, outs, before, outside):
        early = [entry for entry in self.entries if not entry.late]

        def run(trace):
            pieces = iter([Tracer(Storage(node, trace), weak=kind.weak, scalar=kind.scalar) for kind, node in zip(
                [kind for entry in early for kind in entry.carried()], variables)])
            return _truth(as_tracer(self.cond(tuple([entry.inside(pieces) for entry in self.entries]))).node)
        passed = _Pass(run, self.storages, self.what)
        changed = [s for s, value in passed.written.items() if value is not self.storages.get(s)]
        if changed:
            raise CarryError(f"{self.what}: its condition writes to an array of type {changed[0].value.type}",
                             where=user_frame(), do="write in the body of the loop")
        graph, taken = closed(variables, [*outs, passed.result], outside | passed.outside)
        return while_loop(*before, *taken, carries=len(before), body=graph.replace(graph.outs[:-1]),
                          cond=graph.replace(graph.outs[-1:]))


# ---------------------------------------------------------------- branches
class _Choice:
    """Branches on their way to a switch: each is traced once, and what they leave behind is joined."""

    def __init__(self, index, branches, state, names, what):
        self.index, self.branches, self.what = index, branches, what
        self.state = tuple(state)
        self.names = (*names, *(f"entry {i}" for i in range(len(names), len(self.state))))

    def staged(self):
        """Return the entries after the chosen branch, the op put into the trace."""
        passes = [_Pass(functools.partial(self._run, branch), {}, self.what) for branch in self.branches]
        joined = [self._join(i, [passed.result[i] for passed in passes]) for i in range(len(passes[0].result))]
        storages = list(dict.fromkeys(storage for passed in passes for storage in passed.written))
        outs = []
        for b, passed in enumerate(passes):
            row = [nodes[b] for _, _, nodes in joined for nodes in nodes]
            outs.append(row + [passed.written.get(storage, storage.value) for storage in storages])
        outside = {storage.value for storage in storages}.union(*(passed.outside for passed in passes))
        after = self._switch(outs, outside) if outs[0] else ()
        for storage, value in zip(storages, after[len(after) - len(storages):]):
            storage.write(value)
        pieces = _wrapped([kind for _, kinds, _ in joined for kind in kinds], after)
        return tuple([build(pieces) for build, _, _ in joined])

    def _switch(self, outs, outside):
        graph, taken = closed([], [n for row in outs for n in row], outside)
        width = len(outs[0])
        branches = tuple([graph.replace(graph.outs[i * width:(i + 1) * width]) for i in range(len(outs))])
        return results(switch(self.index, *taken, branches=branches))

    def _run(self, branch, trace):
        got = tuple(branch(self.state))
        found = []
        for i, entry in enumerate(got):
            leaves, structure = _flatten(entry)
            given = _flatten(self.state[i])[0] if i < len(self.state) else []
            given = given if len(given) == len(leaves) else [None] * len(leaves)
            found.append((entry, structure, [_Leaf(leaf, old, trace) for leaf, old in zip(leaves, given)]))
        return found

    def _join(self, i, found):
        """Return (builder of the entry from the switch's results, their Kinds, the node of each per branch)."""
        name = self.names[i] if i < len(self.names) else f"result {i}"
        defined = [f for f in found if f[0] is not UNDEFINED]
        if not defined or all(f[0] is self.state[i] for f in found if i < len(self.state)) and i < len(self.state):
            return (lambda pieces, value=found[0][0]: value), [], []
        entry, structure, first = defined[0]
        for other in defined[1:]:
            if other[1] != structure:
                raise _differ(self.what, name, _describe(entry), _describe(other[0]))
        kinds, nodes, fixed = [], [], []
        for j in range(len(first)):
            leaves = [f[2][j] for f in defined]
            fixed.append(_in_all(leaves) if len(defined) == len(found) or not leaves[0].kind else None)
            if fixed[-1] is None:
                kind = self._kind(leaves, entry, name, j)
                kinds.append(kind)
                nodes.append([zeros(kind.type) if f[0] is UNDEFINED else cast(f[2][j].node, kind.type.dtype)
                              for f in found])
        return (lambda pieces: tree.unflatten(structure, [
            leaf.leaf if leaf is not None else next(pieces) for leaf in fixed])), kinds, nodes

    def _kind(self, leaves, entry, name, j):
        kind = leaves[0].kind
        for leaf in leaves[1:]:
            both = None if kind is None or leaf.kind is None else _joined(kind, leaf.kind)
            if both is None:
                path = tree.paths(entry, name, is_leaf=_is_tracer)[j]
                raise _differ(self.what, path, _describe(leaves[0].leaf, leaves[0].kind),
                              _describe(leaf.leaf, leaf.kind))
            kind = both
        return kind


def _in_all(leaves):
    """Return a leaf that is the very same in all branches, else None."""
    first = leaves[0]
    alike = all(leaf.same for leaf in leaves) or all(
        (leaf.outer or not _is_tracer(leaf.leaf)) and _is_same(first.leaf, leaf.leaf) for leaf in leaves)
    return first if alike else None


def _differ(what, name, one, another):
    return CarryError(f"{what}: {name} is {one} in one branch and {another} in another", where=user_frame(),
                      do="give it the same structure, shape and dtype in all branches, as with .astype")
