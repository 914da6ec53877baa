"""Running a Python function on stand-ins to get its graph."""

import contextlib
import math
import types

import numpy as np

from tracejit import tree
from tracejit.errors import (
    CarryError,
    ConcretizationError,
    LeakError,
    TracejitError,
    UnsupportedError,
    raised_by_user,
    user_frame,
)
from tracejit.symbolic.graph import close, free_variables, substitute, topological
from tracejit.symbolic.ir import const, new_variable, param, variable
from tracejit.symbolic.ops.index import gather
from tracejit.symbolic.ops.shape import transpose
from tracejit.symbolic.text import inner_graphs, to_text
from tracejit.symbolic.types import span, spanned
from tracejit.trace import convert, methods, objects
from tracejit.trace.effects import Mark, Outside, Surroundings, released, returning
from tracejit.trace.guards import LOOPS, Guards, Undecided
from tracejit.trace.places import Number
from tracejit.trace.prints import Printing
from tracejit.trace.regions import ROOM, Flow, is_literal
from tracejit.trace.session import session
from tracejit.trace.tracer import Restart, Storage, TraceContext, Tracer, _active, current_trace
from tracejit.trace.views import address, positions

methods.attach()

_EMPTY_CELL = types.CellType()


class Leaf:
    """Marks an argument to be traced: its Type, and what else the trace should know of it.

    Parameters
    ----------
    type : Type
        Dtype and shape.
    weak : bool
        A Python number, which takes the dtype of the array beside it.
    readonly : bool
        Writes to it raise as NumPy's do.
    contiguous : bool
        Whether it lies in memory in C order; otherwise `strides` tell how.
    scalar : bool
        A NumPy scalar: no writes, and results of it are scalars.
    taken : "F", tuple of int or None
        How it is given to the compiled function as it lies. In Fortran order: the graph's param has the reversed shape.
        With these strides, in elements: the param is the memory from the first to the last element.
    """

    __slots__ = ("type", "weak", "readonly", "contiguous", "scalar", "strides", "taken")

    def __init__(self, type, weak=False, readonly=False, contiguous=True, scalar=False, strides=None, taken=None):
        self.type, self.weak, self.readonly, self.scalar, self.taken = type, weak, readonly, scalar, taken
        if taken == "F":
            strides = tuple(type.dtype.itemsize * math.prod(type.shape[:a]) for a in range(type.ndim))
        elif isinstance(taken, tuple):
            strides = tuple(type.dtype.itemsize * s for s in taken)
        self.contiguous, self.strides = contiguous and strides is None, strides

    def variable(self):
        """Return (a new variable, the array as a node over it)."""
        if self.taken == "F":
            variable = new_variable(self.type.with_shape(self.type.shape[::-1]))
            return variable, _reversed(variable)
        if isinstance(self.taken, tuple):
            variable = new_variable(self.type.with_shape((span(self.type.shape, self.taken),)))
            return variable, gather(variable, positions(self.type.shape, self.taken))
        variable = new_variable(self.type)
        return variable, variable

    def given(self, x):
        """Return an array as the variable holds it."""
        if isinstance(self.taken, tuple):
            return spanned(x, self.taken)
        return x.T if self.taken == "F" else x

    def written(self, value):
        """Return the array's new content as the compiled function gives it."""
        return _reversed(value) if self.taken == "F" else value

    def layout(self):
        """Return an array of the strides, over one element."""
        if self.strides is None:
            return None
        return np.lib.stride_tricks.as_strided(np.empty((), self.type.dtype), self.type.shape, self.strides)


def _reversed(node):
    return transpose(node, range(node.ndim)[::-1])


class Same:
    """Marks an argument that is the very object of traced leaf `k`."""

    __slots__ = ("k",)

    def __init__(self, k):
        self.k = k


class Traced:
    """What a trace gives: the graph, and how its outputs become the function's result.

    Attributes
    ----------
    graph : Graph
        Params are the traced leaves, then the captures. Its outputs are the results, then the writes.
    captures : list
        What stands for the last params: ndarrays and Shareds from outside, or nodes of an enclosing trace.
    out_tree, outputs :
        Structure of the result and one entry per leaf of it: ``("out", k, scalar)``, output k of the graph, the same k
        for the same array, scalar true for a NumPy scalar, "python" for a Python number and "F" for an array in Fortran
        order, whose axes are reversed in the graph; ``("arg", i)``, the very object of param i, after it is written;
        ``("view", i, offset, shape, strides, dtype)``, a view of it, offset in bytes; ``("const", value)``.
    effects : list of (Storage, int)
        Arrays of enclosing traces that the function wrote to, with the output that is their new content.
    reads : list of Read
        Places outside the function (globals, closures, attributes, items) whose binding the trace relied on.
    guards : tuple of (Graph, tuple of Fact)
        What the trace was decided by: graphs over the same params, whose outputs are what the facts say; an earlier one
        has to hold before a later one may be computed.
    places : dict
        Index of a capture → the Read through which alone the function meets that array, and which may lead to another.
    layouts : frozenset of int
        Params of which the trace assumed that they lie in memory as they do in the markers.
    notes : dict
        Node → the user's ``"file:line"``, as a `floating.Line`.
    notices : list of (Line, category, text, node or None)
        Warnings that NumPy gives: at each call, or where a node of the graph is true.
    handled : bool
        Whether the function has handlers, for one of which an exception of the compiled function may be meant.
    changing : bool
        Whether the function does something to containers or objects, perhaps before it raises an exception.
    """

    __slots__ = ("graph", "captures", "out_tree", "outputs", "notes", "notices", "name", "effects", "reads", "places",
                 "layouts", "guards", "handled", "changing")

    def __init__(self, **fields):
        for slot in self.__slots__:
            setattr(self, slot, fields.get(slot))

    @property
    def free(self):
        """The captures that are variables of an enclosing trace."""
        return [c for c in self.captures if hasattr(c, "op")]

    @property
    def writes(self):
        """Pairs (param index, output index) of arguments and captures that the function changes."""
        return self.graph.writes

    def __str__(self):
        return to_text(self.graph, self.name or "f", self.notes)

    __repr__ = __str__


@contextlib.contextmanager
def tracing(trace):
    """Make `trace` the innermost one inside the block; its tracers are dead afterwards."""
    token = _active.set(trace)
    try:
        yield trace
    finally:
        trace.alive = False
        _active.reset(token)


def stage(fun, args, kwargs, *, name=None, values=None, run=None, room=ROOM, decided=False,
          looked_up=()):
    """Trace ``fun(*args, **kwargs)`` and return its Traced.

    Leaves of args and kwargs that are `Leaf` or `Same` markers become tracers; every other leaf is passed as it is.
    `values` are the actual inputs of the traced leaves, in order (None where there is none): where Python needs the
    content of a traced value, they decide, and the trace records guards. `run` is for `Guards`. Lists that grow in
    loops of unknown length get `room` more items at most. A `decided` trace is for the call with these values alone.
    `looked_up` are the keys of decisions on what each call looks up outside of the function.
    """
    if current_trace() is not None:
        return subtrace(fun, args, kwargs, name=name, values=values, run=run)
    decisions, first, starts = dict.fromkeys(looked_up, True), None, 0
    while True:
        starts += 1
        # a branch or loop that cannot be staged is done otherwise when the trace starts again
        flow = Flow(decisions, room, decided)
        try:
            return subtrace(fun, args, kwargs, name=name, values=values, run=run, flow=flow)
        except Restart:
            if starts > _STARTS:
                raise TracejitError(f"{name}: a trace that starts again and again", where=user_frame(),
                                    do="report this with the function") from None
        except Exception as error:
            if getattr(error, "argument", None) is not None:
                raise  # a Python number that becomes static
            if len(decisions) < _RESTARTS and starts <= _STARTS and flow.escalate(error):
                first = first or error
                continue
            # one that the user raises counts, too, where the compiled function might have raised another one before
            certain = raised_by_user(error) and flow.token is None and not flow.presumed
            doubtful = flow.handled or flow.presumed  # behind a line that is not reached where a handler takes over
            if values is not None and not decided and not isinstance(error, _REFUSALS) and (
                    flow.changing or doubtful and not certain):  # Python has changed something before
                raise Undecided(str(error)) from error
            for known in (first, error):
                if values is not None and hasattr(known, "unknown"):  # two names for one array, or not: NumPy can tell
                    raise Undecided(str(known)) from known
            # what went wrong first tells most, but not NumPy's error in a branch that has been decided since
            decided = not isinstance(first, _REFUSALS) and not isinstance(error, ConcretizationError)
            if first is None or decided or not isinstance(error, TracejitError):
                raise
            if isinstance(first, CarryError):
                raise error from first
            raise first from None


#: Errors that are not NumPy's.
_REFUSALS = (UnsupportedError, ConcretizationError, CarryError, LeakError)
#: How many branches and loops of one function may turn out to be unfit for staging.
_RESTARTS = 64
#: And how often in all a trace may start again: each has a few ways to be done.
_STARTS = 8 * _RESTARTS


def subtrace(fun, args, kwargs, *, name=None, values=None, run=None, bound=(), flow=None, mapped=False,
             orders=0, boundary=False):
    """Trace as `stage` does, perhaps inside another trace, whose variables stay free and become captures.

    Tracers among the leaves (of the enclosing trace) are passed as they are; wrap what should be a param in a `Leaf`.
    `bound` are the nodes around it that the params stand for, where the function runs once and on just these; where it
    is `mapped` they stand for each element of a batch. The graph may be differentiated `orders` times, beside what may
    be done to the trace around it. With a `boundary` nothing that was computed around it is computed inside: it is
    captured as it was read.
    """
    trace = TraceContext(current_trace(), name or getattr(fun, "__name__", None))
    trace.mapped = mapped
    leaves, structure = tree.flatten((tuple(args), dict(kwargs)), is_leaf=_is_marker)
    storages, inputs, variables = [], [], []
    marks = [leaf for leaf in leaves if isinstance(leaf, Leaf)]
    for leaf in leaves:
        if isinstance(leaf, Leaf):
            variable, node = leaf.variable()
            storage = Storage(node, trace, ("arg", len(storages)), leaf.readonly, leaf.layout())
            trace.leaves[variable] = (len(storages), leaf.weak)
            storages.append(storage)
            variables.append(variable)
            leaf = Tracer(storage, weak=leaf.weak, scalar=leaf.scalar)
            inputs.append(leaf)
        elif isinstance(leaf, Same):
            inputs.append(next(x for x in inputs if isinstance(x, Tracer) and x._storage is storages[leaf.k]))
        else:
            inputs.append(leaf)  # Python's own: `self`, a string, a function
    trace.bound.update(zip(variables, bound))
    if boundary:
        trace.outside = set()
    if orders:
        trace.orders = (trace.orders or 0) + orders
    trace.flow = flow
    if values is not None:
        trace.guards = Guards({v: mark.given(np.asarray(x, v.dtype))
                               for v, mark, x in zip(variables, marks, values) if x is not None}, run)
    with tracing(trace):
        with session(trace, convert.seen):
            for x in trace.session.blind() if trace.parent is None else ():
                convert.twin(x)  # a loop has to know of it from the first
            inputs = [x if isinstance(x, Tracer) else convert.twin(x) for x in inputs]
            args, kwargs = convert.dressed(tree.unflatten(structure, inputs))
            around = Surroundings(args, kwargs, trace.session) if trace.parent is None else None
            try:
                result, left = convert.twin(fun)(*args, **kwargs), None
                if around is None:
                    result = released(result, trace.root.session)
                else:
                    trace.session.learn(trace.reads)
                    result, left = around.results(result)
            except Exception as error:
                if flow is not None:
                    flow.check_handed()
                    trace.session.learn(trace.reads)
                    arrays = (*storages, *(s for x, s in trace.captures.values() if isinstance(x, np.ndarray)))
                    flow.changing = around is not None and (
                        around.have_changed() or any(s.value is not s.variable for s in arrays))
                if values is not None and _is_misled(trace, storages, values):
                    raise Undecided(str(error)) from error
                raise
            if flow is not None:
                flow.check_handed()
        return _finish(trace, result, left, storages, variables, marks)


def _is_misled(trace, storages, values):
    """Return whether an error may be due to how arguments lie in memory: otherwise than the trace is about."""
    asked = trace.layouts | {argument for argument, *_ in trace.moved}
    arrays = [(s, x) for s, x in zip(storages, values) if isinstance(x, np.ndarray)]
    written = [x for s, x in arrays if s.value is not s.variable]
    return any(s in asked and x.strides != s.shadow.strides for s, x in arrays) or any(
        x is not y and np.may_share_memory(x, y) for x in written for _, y in arrays)


def _is_marker(x):
    return isinstance(x, (Leaf, Same, Tracer))


def _finish(trace, result, left, storages, variables, marks):
    """Close the graph over what the function returned, wrote and read.

    Of the outermost trace the result stands beside what it has `left` elsewhere, and what is there more than once.
    """
    out_leaves, out_tree = tree.flatten(result, is_leaf=_is_marker)
    root = trace.parent is None
    decided = root and trace.flow is not None and trace.flow.decided  # for one call, which may be given copies
    captures = [storage for _, storage in trace.captures.values()]
    places = {s: i for i, s in enumerate(storages)}
    results = _Results()
    if root and trace.flow is not None and trace.flow.token is not None:
        results.append(trace.flow.token.value)  # what has to be checked, first of all
    specs = []
    for leaf in out_leaves:
        if isinstance(leaf, Mark):
            specs.append(("const", leaf.which if isinstance(leaf, Outside) else None))
            continue
        if not isinstance(leaf, Tracer):
            hook = getattr(type(leaf), "__tracejit_array__", None)
            if hook is None:
                specs.append(("const", _constant(leaf) if root else leaf))
                continue
            leaf = hook(leaf, trace)
        specs.append(results.add(leaf, () if decided else places, root))
    if root:
        out_tree, needed = returning(out_tree, out_leaves, left)
        specs += [("given", k) for k in needed]
    if root and trace.flow is not None and trace.flow.lines:
        lines = list(trace.flow.lines.values())
        out_tree = Printing(out_tree, lines)
        specs += [("out", results.append(node), False) for line in lines for node in line.nodes()]
    for storage in (*storages, *captures):
        if storage.poison is not None:
            storage.refuse()
    written = [(s, mark.written(s.value)) for s, mark in zip(storages, marks) if s.value is not s.variable]
    if root:
        written += [(s, s.value) for s in captures if s.value is not s.variable]
        _refuse_overlap(captures, written)
    effects = []
    writes = []
    for storage, value in written:
        writes.append((storage, results.append(value)))
    for storage, old in trace.outer_writes.items():
        effects.append((storage, results.append(storage.value)))
        storage.value = old

    facts = trace.guards.facts if root and trace.guards is not None else []
    questions, nodes = _under(facts, results.nodes)
    own = set(variables)
    read = {n: new_variable(n.type) for n in trace.outside or () if n.op is not variable and not is_literal(n)}
    nodes = list(substitute(nodes, read)) if read else nodes
    stands_for = {v: n for n, v in read.items()}
    used = [v for v in free_variables([*nodes, *questions]) if v not in own]
    if root:
        wanted = set(used) | {s.variable for s in results.sources}
        asked = trace.session.looked_up_arrays(trace.reads)
        kept = [(key, s) for key, s in trace.captures.values() if s.variable in wanted or s.value is not s.variable
                or isinstance(key, Number) or id(key) in asked]
        objects, hidden = [key for key, _ in kept], [s.variable for _, s in kept]
        places.update({s: len(variables) + j for j, (_, s) in enumerate(kept)})
        if set(used) - set(hidden):
            raise LeakError(f"the function {trace.name or ''} used a traced array of another trace", where=user_frame(),
                            do="return it from the function that made it")
    else:
        objects, hidden = [stands_for.get(v, v) for v in used], used
    specs = [(kind, places[s], *rest) if kind in ("arg", "view") else (kind, s, *rest) for kind, s, *rest in specs]
    graph = close(variables, nodes, hidden, tuple((places[s], k) for s, k in writes))
    guards = tuple((close(variables, [questions[k] for k in part], hidden), tuple(facts[k] for k in part))
                   for part in _parts(questions))
    notes = _notes(trace, nodes, variables + hidden, graph)
    notices = list(_notices(trace, variables + hidden))
    reads = list(trace.reads.values()) if root else []
    looked_at = frozenset(places[s] for s in _layouts(trace, results.storages()) if s in places and not decided)
    return Traced(graph=graph, captures=objects, out_tree=out_tree, outputs=tuple(specs), notes=notes, notices=notices,
                  name=trace.name, effects=effects, reads=reads, layouts=looked_at,
                  guards=guards, places=_places(trace, objects, reads, looked_at, len(variables)),
                  handled=root and trace.flow is not None and trace.flow.handled and not decided,
                  changing=root and bool(left.changes) and not decided)


def _under(facts, outs):
    """Return the nodes that the facts are about, each under the facts before it, and `outs` under all of them."""
    table, questions = {}, []
    for fact in facts:
        questions += substitute([fact.node], table)
        table[fact.node] = const(fact.value)
    return questions, list(substitute(outs, table)) if table else outs


def _parts(questions):
    """Return the numbers of the questions, grouped: before a loop, which might not end, all others must be answered."""
    parts, seen = [], set()
    for k, node in enumerate(questions):
        new = [n for n in topological([node]) if n not in seen]
        seen.update(new)
        if not parts or any(n.op.name in LOOPS for n in new):
            parts.append([])
        parts[-1].append(k)
    return parts


def _layouts(trace, returned):
    """Return the storages of arguments and captures whose layout the function's meaning depends on."""
    found = set(trace.layouts)
    for argument, source, was, result, value in trace.moved:
        # whether a reshaped array is a view shows where one of the two is written, and where the caller has both
        written = source.value is not was or result is not source and result.value is not value
        if written or source is argument and result in returned:
            found.add(argument)
    return found


def _places(trace, captures, reads, looked_at, first):
    """Return the captured arrays that another array in the same place may stand in for, with their places."""
    found = {}
    for j, array in enumerate(captures):
        if isinstance(array, np.ndarray) and array.flags.c_contiguous and first + j not in looked_at:
            mine = [r for r in reads if r.value is array]
            met, noted = trace.uses.get(id(array), (0, 0))
            if len(mine) == 1 and met == noted:
                found[j] = mine[0]
    return found


def _constant(leaf):
    """Return a result that is no array and the same at each call; raise where it cannot be."""
    inside = list(getattr(leaf, "__dict__", {}).values()) if not callable(leaf) else [
        cell.cell_contents for cell in getattr(leaf, "__closure__", None) or () if cell != _EMPTY_CELL]
    if isinstance(leaf, (set, frozenset)):
        inside = list(leaf)
    consumed = hasattr(leaf, "__next__") or hasattr(leaf, "__await__")
    written = isinstance(leaf, str) and "Tracer<" in leaf  # the text of an array whose content is not known yet
    if consumed or written or objects.holds_objects(inside, lambda x: isinstance(x, Tracer)):
        what = "a text made of a traced array" if written else f"a {type(leaf).__name__}"
        raise UnsupportedError(f"{what} as a result of a traced function", where=user_frame(),
                               do="return arrays, numbers, and tuples, lists, dicts or dataclasses of them")
    return leaf


class _Results:
    """The outputs of a graph as they gather, and the storages whose own memory is returned."""

    def __init__(self):
        self.nodes, self.sources, self._of = [], [], {}

    def append(self, node):
        """Add one output and return its index."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def storages(self):
        """Return the storages of all arrays that are returned."""
        return {*self.sources, *(storage for storage, _ in self._of)}

    def add(self, tracer, places, root):
        """Return the spec of one returned tracer; storages stand where their param index will."""
        storage = tracer._storage
        node = tracer.node
        own = storage in places or (storage.origin and isinstance(storage.origin[1], np.ndarray))
        if root and own and not tracer._steps:
            self.sources.append(storage)
            return "arg", storage
        if root and own and tracer.type.is_static and tracer.size and all(step.fixed for step in tracer._steps):
            self.sources.append(storage)
            shadow = tracer.shadow
            offset = address(shadow) - address(storage.shadow)
            return "view", storage, offset, shadow.shape, shadow.strides, shadow.dtype
        value = "python" if tracer.weak else tracer.scalar
        key = (node, "value") if value else (storage, tracer._steps)
        if root and not value and tracer.type.is_static and tracer.shadow.flags.fnc:
            node, value = _reversed(node), "F"
        if key not in self._of:
            self._of[key] = self.append(node)
        return "out", self._of[key], value


def _refuse_overlap(captures, written):
    """Arrays from outside that share memory are different inputs of the graph, so none of them may be written."""
    changed = {s for s, _ in written}
    arrays = [(s, s.origin[1]) for s in captures if isinstance(s.origin[1], np.ndarray)]
    for s, a in arrays:
        for t, b in arrays:
            if s in changed and t is not s and np.may_share_memory(a, b):
                raise UnsupportedError(f"a write to an array of type {s.value.type} that shares memory with another "
                                       "array the function uses", where=user_frame(),
                                       do="take the view inside the function, from one of the two arrays")


def _notes(trace, outs, variables, graph):
    """Return the user's lines by the nodes of the closed graph, and of the graphs in it."""
    noted = [n for n in topological(outs) if trace.notes.get(n)]
    table = {v: param(index=i, type=v.type) for i, v in enumerate(variables)}
    found = dict(zip(substitute(noted, table), (trace.notes[n] for n in noted)))
    inside = [n for inner in inner_graphs(graph) for n in inner.topological()]
    return found | {n: trace.notes[n] for n in inside if trace.notes.get(n)}


def _notices(trace, variables):
    """Yield the notices of a trace over the closed graph; one that depends on a loop's variables is dropped."""
    table = {v: param(index=i, type=v.type) for i, v in enumerate(variables)}
    for line, category, text, node in trace.notices:
        if node is None:
            yield line, category, text, None
        elif set(free_variables([node])) <= set(variables):
            yield line, category, text, substitute([node], table)[0]
