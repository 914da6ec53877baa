"""Stretches of traced code that run under a condition, or again and again: what they read, write and leave behind."""

import collections
import contextlib
import weakref

from tracejit.errors import CarryError, LeakError, TracejitError, UnsupportedError, user_frame
from tracejit.symbolic.checks import CHECKS
from tracejit.symbolic.graph import Graph, free_variables
from tracejit.symbolic.ir import Node, const, const_op, make, map_attrs, param, variable
from tracejit.symbolic.ops.reduce import reduce_and
from tracejit.symbolic.ops.scalar import check
from tracejit.symbolic.ops.shape import full
from tracejit.symbolic.types import BOOL, I64, Type
from tracejit.trace import objects
from tracejit.trace.guards import is_fine
from tracejit.trace.joins import parts
from tracejit.trace.lists import List, is_rows
from tracejit.trace.places import Slots
from tracejit.trace.texts import is_open, settled
from tracejit.trace.tracer import Restart, Storage, TraceContext, _active, current_trace, wrap
from tracejit.trace.values import concrete, not_concrete

#: Containers of more items than this are not looked at for changes.
_WATCHED = 20_000
#: How many containers are.
_MOST = 2_000
#: For how many more items a list first gets room in a loop of unknown length.
ROOM = 1 << 10
#: Branches inside branches: a function that calls itself on a traced condition never comes to an end.
_DEEPEST = 100


class Flow:
    """What one trace knows of its branches and loops; the outermost trace holds it.

    Attributes
    ----------
    regions : list of Region
        Those in progress, innermost last.
    stack : list
        Expressions in progress: what `and`, `or`, conditional expressions and chains of comparisons wait for.
    decisions : dict
        Place in the code → "plain" for a branch that is decided while tracing, "peel" for a loop whose first iteration
        stands before it, "unroll" for a loop that is written out.
    journal : list of (Storage, node)
        Every write, with what it has overwritten: an iteration that was run to look at it is taken back.
    memory : dict
        What a loop carried when it was last met, so that the next time one pass over its body is enough.
    token : Storage
        A number that stands for all checks without a value of their own, or None.
    consumed : int
        How often something was done that cannot be taken back, such as to ask an iterator for its next item.
    loops : list
        The places of loops that were staged.
    rows : dict
        Rows that a loop in progress makes longer → the list; `room` is for how many items there is room where nobody
        knows how often a loop runs.
    lines : dict
        What is printed, by the place that prints it; `clock` counts them.
    handled : bool
        Whether a `try` with handlers, or a `with`, was met; `watched` is how many such `try` bodies are being run.
    decided : bool
        Whether the trace is for one call: in bodies of `try` and `with`, what has to hold is looked up, and raised.
    changing : bool
        Whether the function had written to arrays, containers or objects when it raised an exception.
    presumed : bool
        Whether the trace is about calls in which a list has items, and the one at hand may be another.
    items : mapping
        Storage of an array that is an item of rows → those Rows.
    handed : list
        Lists and dicts that were made rows of a list at a site, or made of its rows: they must stay as they are.
    """

    def __init__(self, decisions=None, room=ROOM, decided=False):
        self.regions, self.stack, self.journal, self.memory = [], [], [], {}
        self.decisions = {} if decisions is None else decisions
        self.token = self.clock = None
        self.consumed, self.loops = 0, []
        self.lines = {}
        self.handled, self.watched, self.presumed, self.decided = False, 0, False, decided
        self.changing = False
        self.rows, self.room, self.handed, self.items = {}, room, [], weakref.WeakKeyDictionary()

    def grow(self, changed, before=None):
        """Remember the lists among changed containers that have got longer: loops make rows of their items.

        `before` are the containers as they were, where they have not been put back. Returns whether one was new.
        """
        longer = [x for x, items in changed if isinstance(x, list) and not is_rows(items)
                  and len(items) > len(list.copy(x) if before is None else before[id(x)][1])]
        current_trace().root.session.are_longer(longer)
        new = [x.site for x in longer if type(x) is List and x.site is not None]
        new = [site for site in new if self.decisions.get(("grows", site)) not in (True, False)]
        self.decisions.update({("grows", site): True for site in new})
        return bool(new)

    def is_looping(self):
        """Return whether a loop around is staged, and could be written out."""
        return any("unroll" in region.steps for region in self.regions)

    def hand(self, site, x):
        """Remember the lists and dicts in an item of the list of a site, of which a row holds the content only."""
        if isinstance(x, (list, dict)):
            self.handed.append((site, x, items_of(x)))
        if isinstance(x, (list, dict, tuple)):
            for e in x.values() if isinstance(x, dict) else list.__iter__(x) if isinstance(x, list) else x:
                self.hand(site, e)

    def check_handed(self):
        """Trace again without rows for lists an item of which was written to."""
        changed = changes({k: (x, items) for k, (_, x, items) in enumerate(self.handed)})
        if changed:
            self.decisions.update({("grows", self.handed[k][0]): False for k in changed})
            raise Restart

    def keep_checks(self, node, noted):
        """Demand what is checked to make a value, down to the nodes noted before, though nothing may need the value."""
        watched, self.watched = self.watched, 0  # the token is noted, too
        try:
            stack, seen = [node], {node}
            for n in stack:
                new = [below for below in dict.fromkeys((*n.args, *n.dims)) if below not in noted and below not in seen]
                seen.update(new)
                stack += new
            if self.decided:
                if not is_fine(node) and any(n.op.routine for n in stack):
                    raise not_concrete(node, "whether an error is raised on the way")  # so that a loop is written out
                return
            for n in stack:
                if n.op is check:
                    ok, error, detail = n.args[1], *n.attrs
                    _demand(self, reduce_and(ok, axes=tuple(range(ok.ndim))) if ok.ndim else ok, error, detail)
        finally:
            self.watched = watched

    def escalate(self, error):
        """Decide otherwise about the innermost region in which an error was raised; return whether there was a way."""
        if isinstance(error, LeakError) and set(self.loops) - set(self.decisions):
            # a loop has made a number of what was one, and it was left outside of the function
            self.decisions.update(dict.fromkeys(set(self.loops) - set(self.decisions), "unroll"))
            return True
        ended = getattr(error, "region", None)
        for region in [*([] if ended is None else [ended]), *reversed(self.regions)]:
            now = self.decisions.get(region.site)
            steps = region.steps
            place = steps.index(now) + 1 if now in steps else 0
            if place < len(steps):
                self.decisions[region.site] = steps[place]
                return True
        return False


def flow_of(trace):
    """Return the Flow of a trace, or a fresh one outside of any."""
    if trace is None:
        return Flow()
    root = trace.root
    if root.flow is None:
        root.flow = Flow()
    return root.flow


class Repeated(TraceContext):
    """The trace of a body that a structured loop runs again and again."""

    __slots__ = ()


class Region:
    """One stretch of code in a trace of its own, from its opening to its closing."""

    __slots__ = ("flow", "site", "steps", "parent", "trace", "dead", "written", "contents", "nodes", "_watched",
                 "_mark", "_consumed",
                 "_declared")

    def __init__(self, flow, site, steps, watched):
        self.flow, self.site, self.steps, self._watched = flow, site, steps, watched
        self.parent = current_trace()
        self.trace = TraceContext(self.parent, self.parent.name)
        self.trace.outside = set()
        self.dead = None      # the error that it always raises
        self._declared = {}
        self._mark, self._consumed = len(flow.journal), flow.consumed
        _active.set(self.trace)
        flow.regions.append(self)
        if len(flow.regions) > _DEEPEST:
            raise UnsupportedError(f"{_DEEPEST} branches inside each other: a recursion that a traced value ends",
                                   where=user_frame(), do="write it as a loop, or declare its depth as static")

    def declare(self, storages):
        """Give arrays of enclosing traces a content of their own inside; return their variables."""
        found = {}
        for storage, var in storages.items():
            trace = self.trace
            while trace is not storage.trace and trace is not None:
                trace.outer_writes.setdefault(storage, storage.value)
                trace = trace.parent
            storage.value = found[storage] = var
        self._declared = found
        return found

    def close(self, values=()):
        """End the stretch: put back what it has written and changed, after taking down what it leaves."""
        if self.flow.consumed != self._consumed:
            raise refuse("next() in a branch or loop that is traced once", "iterate with for, or index")
        if self.flow.regions.pop() is not self:
            raise TracejitError("a branch or loop of traced code was left by an exception", where=user_frame(),
                                do="report this with the function")
        changed = changes(self._watched)
        self.nodes = {}
        for value in (*values, *(new for _, new in changed.values())):
            for x in parts(value):
                if x._storage.trace.alive:
                    self.nodes[(x._storage, x._steps)] = x.node
        self.contents = changed
        writes = self.trace.outer_writes
        self.written = {s: s.value for s, old in writes.items() if s.value is not self._declared.get(s, old)}
        for storage, old in writes.items():
            storage.value = old
        del self.flow.journal[self._mark:]  # all of that is put back
        restore(self._watched, changed)
        _active.set(self.parent)
        self.trace.alive = False

@contextlib.contextmanager
def blamed(region):
    """Let errors inside the block be about a region that has ended."""
    try:
        yield
    except Exception as error:
        if getattr(error, "region", None) is None:
            error.region = region
        raise


# ---------------------------------------------------------------- containers that change
class Watched(dict):
    """{id: (container, its items)} of containers as they were; those that are met later are added as they are then."""

    __slots__ = ("__weakref__",)


def watch(values, session):
    """Return all lists, dicts and instances that can be reached from values, as they are, as a `Watched`."""
    found, stack = Watched(), list(values)
    if session is not None:
        session.watching.append(weakref.ref(found))
        stack += [copy for _, copy, _ in session.containers]
        stack += [x for x, _ in session.kept.values()]
        found[id(session.slots)] = session.slots, session.slots.content()
    while stack and len(found) < _MOST:
        x = stack.pop()
        if id(x) in found:
            continue
        if isinstance(x, (list, dict, set, collections.deque)):
            if (list.__len__(x) if isinstance(x, list) else len(x)) > _WATCHED:
                continue
            items = items_of(x)
            found[id(x)] = (x, items)
            stack.extend(items.values() if isinstance(x, dict) else items)
        elif isinstance(x, tuple):
            stack.extend(x)
        elif objects.is_stand_in(x):
            source = objects.source_of(x)
            stack.append(getattr(source, "__dict__", None) if source is not None else
                         object.__getattribute__(x, "__dict__"))
        elif isinstance(x, objects.NAMESPACES):
            stack.append(vars(x))
    return found


def on_ways(container, contents):
    """Return what is in a container at the end of several ways, as traced code sees it."""
    session = current_trace().root.session
    return contents if session is None else session.seen(container, contents)


def items_of(x):
    """Return what is in a container, in one of its own kind that nobody else has."""
    if isinstance(x, Slots):
        return x.content()
    return dict(x) if isinstance(x, dict) else list.copy(x) if isinstance(x, list) else x.copy()


def changes(watched):
    """Return {id: (container, its new items)} of the containers that have changed."""
    found = {}
    for key, (x, before) in watched.items():
        if isinstance(x, Slots):
            if (now := x.changes(before)) is not None:
                found[key] = x, now
            continue
        now = items_of(x) if isinstance(x, list) else x  # as it is, whatever a List makes of its rows
        if len(now) != len(before):
            found[key] = (x, items_of(x))
        elif isinstance(x, dict):
            if any(k not in x or x[k] is not v for k, v in before.items()):
                found[key] = (x, items_of(x))
        elif isinstance(x, set) and not x <= before or not isinstance(x, set) and any(
                a is not b for a, b in zip(now, before)):
            found[key] = (x, items_of(x))
    return found


def restore(watched, changed):
    """Put the items of changed containers back."""
    for key in changed:
        refill(*watched[key])


def refill(container, items):
    """Give a container other items, in place."""
    if isinstance(container, list):
        list.clear(container)
        list.extend(container, items)
        return
    if isinstance(container, Slots):
        container.refill(items)
        return
    container.clear()
    if isinstance(container, (dict, set)):
        container.update(items)
    else:
        container.extend(items)


# ---------------------------------------------------------------- graphs of regions
def closed(variables, outs, outside):
    """Return (Graph of `outs` over `variables` and nodes from outside, those nodes).

    `outside` are nodes that enclosing traces held when they were read; literals among them are computed inside.
    """
    leaves, stack, seen = dict.fromkeys(variables), list(reversed(outs)), set()
    leaves.update(dict.fromkeys(d for v in variables for d in v.dims if d not in leaves))
    own = frozenset(variables)
    for n in [n for x in outs for n in x.type.shape if type(n) is Node]:
        if own.isdisjoint(free_variables([n])):
            leaves.setdefault(n)  # a result's size has to be known outside, where the result is
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in leaves:
            continue
        if node.op is variable or node in outside and not is_literal(node):
            leaves[node] = None
            if not node.type.is_static if type(node.type) is Type else False:
                for n in node.type.shape:
                    if type(n) is Node:
                        leaves.setdefault(n)
        elif node.op is not const_op:
            stack.extend((*reversed(node.args), *node.dims))
    order, table = list(leaves), {}
    for i, v in sorted(enumerate(order), key=lambda pair: not pair[1].type.is_static):
        table[v] = param(index=i, type=map_attrs(v.type, table))
    made = _rebuilt(outs, table)
    notes = current_trace().notes
    for node, inner in table.items():
        if notes.get(node):
            notes.setdefault(inner, notes[node])  # printed graphs show the user's lines in bodies, too
    return Graph(tuple(table[v].type for v in order), made), order[len(variables):]


def _rebuilt(outs, table):
    """Return `outs` over the params in `table`, without a look at what lies below them."""
    stack = [(n, False) for n in reversed(outs)]
    while stack:
        node, ready = stack.pop()
        if node in table:
            continue
        if not ready:
            stack.append((node, True))
            stack.extend((n, False) for n in (*node.args, *node.dims) if n not in table)
            continue
        attrs = map_attrs(node.attrs, table) if node.dims else node.attrs
        table[node] = make(node.op, tuple([table[a] for a in node.args]), attrs)
    return tuple([table[n] for n in outs])


def is_literal(node):
    """Return whether a node is a constant, perhaps spread or counted out, that costs nothing to make again."""
    while node.op.name in ("broadcast", "reshape"):
        node = node.args[0]
    return node.op is const_op or node.op.name == "iota" and node.type.is_static


# ---------------------------------------------------------------- errors at run time
def error_name(error, again=False):
    """Return the name under which `check` raises an exception like this one, or has NumPy do the call `again`."""
    kind = type(error)
    name = f"{'again: ' if again else ''}{kind.__module__}.{kind.__qualname__}{error.args!r}"
    if name not in CHECKS:
        plain = len(error.args) == 1 and isinstance(error.args[0], str)
        text = error.args[0].replace("{", "{{").replace("}", "}}") if plain else ""
        CHECKS[name] = (None if again else kind if plain else _again(kind, error.args), text)
    return name


def _again(kind, args):
    """Return a class that gives an exception of the user's with its own arguments."""
    class Again(kind):
        def __new__(cls, text):
            return kind(*args)
    Again.__name__, Again.__qualname__, Again.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    return Again


def demand(flow, ok, error):
    """Let the compiled function raise an exception where a truth value is false.

    What it says of the values of a call the plain function says, which does the call again; where there is none, the
    values are looked up.
    """
    ok = full(ok, Type(BOOL)) if isinstance(ok, bool) else ok
    if flow.decided:
        with contextlib.suppress(TracejitError):
            error.args = settled(error.args)
    if flow.decided and flow.watched and not concrete(wrap(ok), "whether an error is raised"):
        raise error
    _demand(flow, ok, error_name(error, again=is_open(error.args) and not flow.decided), ())


def _demand(flow, ok, error, detail):
    trace = current_trace()
    if flow.token is None:
        flow.token = Storage(const(0, I64), trace.root)
    token = flow.token
    owner = trace
    while owner is not None and owner is not token.trace:
        if owner.outside is not None and token not in owner.outer_writes:
            owner.outside.add(token.value)
        owner = owner.parent
    token.write(check(token.value, ok, error=error, detail=detail))


def refuse(what, do):
    """Return the error of a branch or loop that cannot be staged."""
    return CarryError(what, where=user_frame(), do=do)
