"""What converted code calls: branches, `and`, `or`, `not`, conditional expressions, comparisons, assertions.

Each decides while tracing: what is known is done as Python does it; on a traced condition both sides are traced, each
in a region of its own, and joined by a `switch`.
"""

import contextlib
import sys

from tracejit.symbolic.ir import const, const_op, const_value
from tracejit.symbolic.ops.control import results, switch
from tracejit.symbolic.ops.scalar import bitwise_and, bitwise_or, cast, invert, not_equal
from tracejit.symbolic.ops.shape import full, reshape, zeros
from tracejit.symbolic.types import BOOL, I64, Type
from tracejit.trace.indexing import getitem
from tracejit.trace.joins import NEVER, UNDEFINED, Join, Maybe, is_number, kind_of, made_from
from tracejit.trace.lists import List, length
from tracejit.trace.loops import For, While
from tracejit.trace.regions import (
    Region,
    Repeated,
    blamed,
    closed,
    demand,
    flow_of,
    is_literal,
    on_ways,
    refill,
    watch,
)
from tracejit.trace.texts import text
from tracejit.trace.tracer import Restart, Tracer, current_trace, nest_node, wrap
from tracejit.trace.values import concrete, known

#: How an `if` that cannot be staged is done instead.
_STEPS = ("plain",)
_TRIVIAL = 24


# ---------------------------------------------------------------- conditions
def condition(flow, test, site=None):
    """Return the truth of a test: a bool where it is known or has to be, else a rank-0 bool node."""
    if isinstance(test, List):
        test = length(test) > 0
    if not isinstance(test, Tracer):
        return bool(test)
    if test.size != 1:
        return bool(test)  # NumPy's error
    value = known(test)
    if value is not None:
        return bool(value)
    trace = current_trace()
    if trace is None or flow.decisions.get(site) == "plain":
        return bool(test)
    if test.weak and test.dtype == BOOL and test.node in trace.root.leaves:
        return bool(test)  # an argument that is True or False: two traces are better than one with both ways
    return truth(test)


def truth(test):
    """Return the truth of a traced value of one element as a rank-0 bool node."""
    node = reshape(test.node, ())
    return node if node.dtype == BOOL else not_equal(node, zeros(node.type))


def load(x, name):
    """Return the value of a variable that may have none; a flag is looked at when the compiled function runs."""
    if type(x) is not Maybe and x is not UNDEFINED and x is not NEVER:
        return x
    error = UnboundLocalError(f"cannot access local variable '{name}' where it is not associated with a value")
    if type(x) is not Maybe:
        raise error
    demand(flow_of(current_trace()), truth(x.flag), error)
    return x.value


class Frame:
    """One call of a converted function: which of its branches are open."""

    __slots__ = ("flow", "base", "loops", "asks", "_pending", "globals")
    nothing = NEVER

    def __init__(self, global_names):
        self.flow = flow_of(current_trace())
        self.base = len(self.flow.regions)
        self.globals = global_names
        self.loops = {}
        self.asks = False

    @property
    def plain(self):
        """Whether everything around this place was decided while tracing."""
        return len(self.flow.regions) == self.base

    @property
    def level(self):
        """How many regions are open."""
        return len(self.flow.regions)

    def variables(self, depth=2):
        """Return what the calling frame's variables hold."""
        frame = sys._getframe(depth)
        found = frame.f_locals
        if self.globals:
            found = {**{n: frame.f_globals[n] for n in self.globals if n in frame.f_globals}, **found}
        return found

    def if_(self, test, names, back):
        """Begin an `if`."""
        frame = sys._getframe(1)
        site = (frame.f_code, frame.f_lasti)
        cond = condition(self.flow, test, site)
        return Known(cond) if type(cond) is bool else If(self, cond, site, names, back)

    def for_(self, iterable, parent, carried, names, exits, reads, number):
        """Begin a `for`."""
        frame = sys._getframe(1)
        loop = For(self, (frame.f_code, frame.f_lasti), (carried, names, exits, reads), iterable,
                   self.loops.get(parent))
        self.loops[number] = loop
        return loop

    def while_(self, *names):
        """Begin a `while`."""
        frame = sys._getframe(1)
        return While(self, (frame.f_code, frame.f_lasti), names, condition)

    @staticmethod
    def none(*flags):
        """Return whether no flag is set."""
        traced = [f for f in flags if isinstance(f, Tracer)]
        if any(f is True for f in flags):
            return False
        if not traced:
            return True
        node = truth(traced[0])
        for f in traced[1:]:
            node = bitwise_or(node, truth(f))
        return wrap(invert(node), weak=True)

    @staticmethod
    def result(done, value):
        """Return what the function returns, where it has done so by a flag."""
        return None if done is False or value is NEVER else value

    def fail(self, error):
        """Raise in a branch that is staged: the compiled function does it where that branch is taken."""
        if isinstance(error, type) and issubclass(error, BaseException):
            error = error()
        region = self.flow.regions[-1]
        if region.dead is None:
            region.dead = error
            demand(self.flow, False, error)

    def fails(self, test):
        """Return whether an assertion has to be looked at: it is wrong, or known at run time only."""
        cond = condition(self.flow, test)
        self.asks = type(cond) is not bool
        self._pending = cond
        return self.asks or not cond

    def refuse(self, *message):
        """Let the compiled function raise an AssertionError where the last assertion is wrong."""
        demand(self.flow, self._pending, AssertionError(*message))

    def trying(self):
        """Return how many regions are open where a `try` with handlers, or a `with`, begins.

        No handler is around when compiled code runs. So a call in which it raises is done again by the plain function;
        nothing has been written then.
        """
        self.flow.handled = True
        return self.level

    def __enter__(self):
        """Begin the body of a `try` with handlers: whatever is wrong in it is raised, also where nothing needs it."""
        self.flow.watched += 1

    def __exit__(self, *exception):
        self.flow.watched -= 1

    @property
    def swallowing(self):
        """What the body of a `with` is run in."""
        return self if self.flow.decided else contextlib.nullcontext()

    def caught(self, level):
        """Look, in a handler, whether the exception has left a branch that is staged: then it has to be decided."""
        if len(self.flow.regions) > level:
            if self.flow.escalate(sys.exc_info()[1]):
                raise Restart
            del self.flow.regions[level:]


def frame(global_names):
    """Return the Frame of a call that begins."""
    return Frame(global_names)


# ---------------------------------------------------------------- if
class Known:
    """An `if` whose test was known."""

    __slots__ = ("then",)
    staged = False

    def __init__(self, cond):
        self.then = cond

    def orelse(self):
        """Return whether the other side runs."""
        return not self.then


class If:
    """An `if` of which both sides are traced."""

    __slots__ = ("frame", "cond", "site", "names", "back", "staged", "then", "_before", "_back", "_region", "_paths",
                 "_watched", "_name")

    def __init__(self, frame, cond, site, names, back):
        self.frame, self.cond, self.site, self.names, self.back = frame, cond, site, names, back
        self.staged = self.then = True
        found = frame.variables(3)
        self._before = {n: found.get(n, UNDEFINED) for n in names}
        self._back = [found.get(n, UNDEFINED) for n in back]
        trace = current_trace()
        self._watched = watch(found.values(), trace.root.session)
        self._paths = []
        self._open()

    def _open(self):
        self._region = Region(self.frame.flow, self.site, _STEPS, self._watched)

    def _close(self):
        found = self.frame.variables(3)
        values = {n: found.get(n, UNDEFINED) for n in self.names}
        region, self._region = self._region, None
        region.close(values.values())
        self._paths.append((values, region))
        return region

    def orelse(self):
        """End the first side and begin the second."""
        region = self._close()
        if region.dead is not None and len(region.written) == 1:
            self.staged = False  # the first side raises: from here on the test is known to be false
            demand(self.frame.flow, invert(self.cond), region.dead)
            return True
        self._open()
        return True

    def before(self):
        """Return the variables that the first side has assigned, as they were."""
        return self._back

    def join(self):
        """End the `if`: return the variables as both sides leave them."""
        region = self._close()
        if len(self._paths) == 1 and region.dead is not None and len(region.written) == 1:
            demand(self.frame.flow, invert(self.cond), region.dead)
            return [self._before[n] for n in self.names]
        if len(self._paths) == 1:
            self._paths.append((self._before, None))
        return joined(self.frame.flow, self.cond, self._paths, self.names, self._watched)


def joined(flow, cond, paths, names, watched):
    """Return the values of variables after two sides, of which one runs: ``paths`` are (values, Region or None)."""
    for _, region in paths:
        if region is not None and flow.grow(region.contents.values()):
            raise Restart
    with blamed(paths[0][1] or paths[1][1]):
        return _joined(flow, cond, paths, names, watched)


def _joined(flow, cond, paths, names, watched):
    join = Join(2, before=watched, region=paths[0][1] or paths[1][1], strict=_may_be_guarded(flow))
    dead = [region is not None and region.dead is not None for _, region in paths]
    builders = [join.plan([NEVER if d else values[n] for d, (values, _) in zip(dead, paths)], n) for n in names]
    contents = _contents(join, paths, dead, watched)
    storages = list(dict.fromkeys(s for _, region in paths if region is not None for s in region.written))
    outs, outside = [], {s.value for s in storages}
    for p, (_, region) in enumerate(paths):
        nodes = {} if region is None else region.nodes
        written = {} if region is None else region.written
        outs.append([c.node(p, nodes) for c in join.columns] + [written.get(s, s.value) for s in storages])
        outside.update(outs[-1] if region is None else region.trace.outside)
    after = _chosen(cond, list(zip(*outs)), outside)
    made = made_from(join.columns, after, paths[0][1] or paths[1][1])
    for storage, value in zip(storages, after[len(join.columns):]):
        storage.write(value)
    for container, build in contents:
        refill(container, build(made))
    if all(dead) and flow.regions:
        flow.regions[-1].dead = paths[0][1].dead
    return [build(made) for build in builders]


def _may_be_guarded(flow):
    """Return whether a call's inputs decide a condition here: outside of loops and of what each element does."""
    trace = current_trace()
    if trace.root.guards is None or any(region.steps is not _STEPS for region in flow.regions):
        return False
    while trace is not None and not trace.mapped and not isinstance(trace, Repeated):
        trace = trace.parent
    return trace is None


def _chosen(cond, pairs, outside):
    """Return the node for each pair of nodes, of which the first holds where the condition does."""
    found = {}
    for a, b in pairs:
        if a is b and is_literal(a):
            found[a, b] = a
        elif a.dtype == BOOL and not a.ndim and a.op is const_op and b.op is const_op:
            found[a, b] = cond if const_value(a) else invert(cond)
    rest = [pair for pair in dict.fromkeys(pairs) if pair not in found]
    if rest:
        width = len(rest)
        graph, taken = closed((), [a for a, _ in rest] + [b for _, b in rest], outside)
        node = switch(cast(cond, I64), *taken, branches=(graph.replace(graph.outs[width:]),
                                                         graph.replace(graph.outs[:width])))
        found.update(zip(rest, results(node)))
    return [found[pair] for pair in pairs]


def _contents(join, paths, dead, watched):
    """Return (container, builder of its items) for the containers that a side has changed."""
    changed = {}
    for _, region in paths:
        if region is not None:
            changed.update({key: x for key, (x, _) in region.contents.items()})
    out = []
    for key, x in changed.items():
        items = [NEVER if d else region.contents[key][1] if region is not None and key in region.contents
                 else watched[key][1] for d, (_, region) in zip(dead, paths)]
        out.append((x, join.plan(on_ways(x, items), f"a {type(x).__name__}")))
    return out


# ---------------------------------------------------------------- expressions
class _Entry:
    """An expression that waits for its other side."""

    __slots__ = ("cond", "value", "region", "kind", "first", "taken", "watched", "paths")

    def __init__(self, kind, cond, value=None):
        self.kind, self.cond, self.value = kind, cond, value
        self.region = self.first = self.taken = None


def _begin(kind, test, depth=2, changing=()):
    flow = flow_of(current_trace()) if current_trace() is not None else _outside
    at = sys._getframe(depth)
    site = (at.f_code, at.f_lasti)
    cond = condition(flow, test, site)
    entry = _Entry(kind, cond, test)
    flow.stack.append(entry)
    if type(cond) is not bool:
        entry.watched = watch((*at.f_locals.values(), *changing), current_trace().root.session)
        entry.region = Region(flow, site, _STEPS, entry.watched)
    return flow, entry


class _Outside:
    """Converted code that runs when no trace is in progress."""

    def __init__(self):
        self.stack, self.regions, self.decisions = [], [], {}


_outside = _Outside()


def _stack():
    trace = current_trace()
    return (flow_of(trace) if trace is not None else _outside).stack


def and_(a):
    """Return whether ``a and b`` has to look at b."""
    flow, entry = _begin("and", a)
    return entry.cond is not False


def or_(a):
    """Return whether ``a or b`` has to look at b."""
    flow, entry = _begin("or", a)
    if entry.region is not None:
        return True
    return not entry.cond


def join(b):
    """Return ``a and b`` or ``a or b``, where b was looked at."""
    entry = _stack().pop()
    if entry.region is None:
        return b
    region = entry.region
    region.close([b])
    cond = entry.cond
    trace = current_trace()
    if not region.written and not region.contents and _is_truth(entry.value) and _is_truth(b):
        node = region.nodes[(b._storage, b._steps)] if isinstance(b, Tracer) else const(b, BOOL)
        if _is_trivial(reshape(node, ()), region.trace.outside):
            both = (bitwise_and if entry.kind == "and" else bitwise_or)(cond, reshape(node, ()))
            weak = entry.value.weak and (not isinstance(b, Tracer) or b.weak)
            return wrap(both, weak=weak, scalar=not weak)
    path, other = ({"value": b}, region), ({"value": entry.value}, None)
    paths = [path, other] if entry.kind == "and" else [other, path]
    return joined(trace.root.flow, cond, paths, ("value",), entry.watched)[0]


def _is_truth(x):
    return type(x) is bool or isinstance(x, Tracer) and x.dtype == BOOL and x.ndim == 0


def _is_trivial(node, outside):
    """Return whether a node costs next to nothing and cannot fail, so that it may always be computed."""
    stack, steps = [node], 0
    while stack:
        n = stack.pop()
        if n in outside or not n.args:
            continue
        steps += 1
        if steps > _TRIVIAL or n.op.scalar is None or n.ndim:
            return False
        stack.extend(n.args)
    return True


def value():
    """Return a where ``a and b`` or ``a or b`` did not have to look at b."""
    return _stack().pop().value


def not_(a):
    """Return ``not a``."""
    if isinstance(a, List):
        a = length(a) > 0
    if isinstance(a, Tracer):
        cond = condition(flow_of(current_trace()), a)
        return not cond if type(cond) is bool else wrap(invert(cond), weak=True)
    return not a


def keep(b):
    """Remember the middle of a chain of comparisons."""
    _stack().append(b)
    return b


def link(found):
    """Return whether ``a < b < c`` has to look at c."""
    middle_ = _stack().pop()
    flow, entry = _begin("and", found)
    entry.first = middle_
    return entry.cond is not False


def middle():
    """Return b of ``a < b < c``."""
    return _stack()[-1].first


def contains(x, container):
    """Return ``x in container``."""
    if isinstance(container, (list, tuple)) and any(isinstance(e, Tracer) for e in (x, *container)):
        if is_number(x) and all(is_number(e) for e in container) and all(
                not isinstance(e, Tracer) or e.ndim == 0 for e in (x, *container)):
            node = full(False, Type(BOOL))
            for e in container:
                equal = x == e
                node = bitwise_or(node, truth(equal)) if isinstance(equal, Tracer) else (
                    full(True, Type(BOOL)) if equal else node)
            return wrap(node, weak=True)
    return x in container


def key(x, k):
    """Return the key under which something is put into a container: that of a dict is a Python value."""
    if isinstance(k, Tracer) and isinstance(x, dict) and (k.weak or k.scalar):
        value = concrete(k, "the key")[()]
        return value.item() if k.weak else value
    return k


def item(x, k):
    """Return ``x[k]``; of a list of numbers also at a traced position."""
    k = key(x, k)
    if isinstance(k, Tracer) and type(x) in (list, tuple, List) and k.dtype.kind in "iu" and k.ndim == 0 and (
            known(k) is None and getattr(x, "rows", None) is None and len(x) > 1 and all(map(is_number, x))):
        kinds = [kind_of(e) for e in x]
        if all(kind == kinds[0] for kind in kinds) and not kinds[0].type.shape and (kinds[0].weak or kinds[0].scalar):
            found = getitem(wrap(nest_node(x)), k)
            return wrap(found.node, weak=kinds[0].weak, scalar=kinds[0].scalar)
    return x[k]


def list_(*items):
    """Return a list that is written in the user's code, of which a loop may make rows."""
    at = sys._getframe(1)
    return List(items, (at.f_code, at.f_lasti))


def comprehension(iterable, function, test, width):
    """Return ``[function(*x) for x in iterable if test(*x)]``; `width` is how many variables there are, 0 for one."""
    at = sys._getframe(1)
    site = at.f_code, at.f_lasti
    out = List((), site)
    around = dict(at.f_locals)

    def given(x):
        if not width:
            return (x,)
        parts = tuple(x)
        if len(parts) != width:
            many = "too many values to unpack (expected {0})" if len(parts) > width else (
                "not enough values to unpack (expected {0}, got {1})")
            raise ValueError(many.format(width, len(parts)))
        return parts
    # the test stands at the same place, and is decided for itself
    loop = For(_Caller(around, out), (*site, "loop"), ((), (), (), ()), iterable, None)
    for x in loop:
        x = given(x)
        if test is None:
            out.append(function(*x))
            continue
        flow, entry = _begin("comprehension", test(*x), changing=(out,))
        _stack().pop()
        if entry.region is None:
            if entry.cond:
                out.append(function(*x))
            continue
        out.append(function(*x))
        entry.region.close()
        joined(flow, entry.cond, [({}, entry.region), ({}, None)], (), entry.watched)
    return out


class _Caller:
    """The variables around a comprehension."""

    def __init__(self, around, out):
        self.flow, self._found = flow_of(current_trace()) if current_trace() is not None else _outside, around
        self._found["_tj_comprehension"] = out

    def variables(self, depth=2):
        """Return what may change in the comprehension."""
        return self._found


def then(test):
    """Return whether the first side of ``a if test else b`` is evaluated."""
    flow, entry = _begin("ifexp", test)
    return entry.cond is not False


def first(a):
    """Take the value of the first side."""
    entry = _stack()[-1]
    if entry.region is not None:
        entry.region.close([a])
        entry.paths = [({"value": a}, entry.region)]
    return a


def orelse():
    """Return whether the second side is evaluated."""
    entry = _stack()[-1]
    if entry.region is None:
        return entry.cond is False
    entry.region = Region(entry.region.flow, entry.region.site, _STEPS, entry.watched)
    return True


def choose(a, b):
    """Return ``a if test else b``."""
    entry = _stack().pop()
    if entry.region is None:
        return a if entry.cond else b
    entry.region.close([b])
    paths = [*entry.paths, ({"value": b}, entry.region)]
    return joined(entry.region.flow, entry.cond, paths, ("value",), entry.watched)[0]


__all__ = ["Frame", "If", "and_", "choose", "comprehension", "condition", "contains", "first", "frame", "item", "join",
           "keep", "key", "link", "list_", "load", "middle", "not_", "or_", "orelse", "text", "then", "value"]
