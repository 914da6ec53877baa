"""Rules for loops and branches: what does not change leaves the body, what is not needed leaves the loop.

A loop with results is seen through its `item` nodes, so a rule may give it fewer carries: `simplified` returns what
stands for each of them. Errors stay where they are: a `check` never leaves a body that may run zero times.
"""

import weakref

from tracejit.opt.rewrite import rewrite
from tracejit.symbolic.bodies import opened
from tracejit.symbolic.graph import Graph, close, graphs_in, substitute, topological
from tracejit.symbolic.ir import (
    OPS,
    Node,
    const,
    const_op,
    const_value,
    item,
    make,
    map_attrs,
    new_variable,
    param,
    variable,
)
from tracejit.symbolic.ops.control import for_loop, results, switch, while_loop
from tracejit.symbolic.ops.index import dynamic_slice
from tracejit.symbolic.ops.scalar import cast, cast_op, check, equal, exp, less, minimum, select, sin
from tracejit.symbolic.ops.shape import full, reshape, slice_
from tracejit.symbolic.types import BOOL, I64, Type

#: Ops that rename elements of their argument: cheaper to go through than to store.
_VIEWS = frozenset(OPS[n] for n in ("broadcast", "reshape", "transpose", "slice", "dynamic_slice", "windows"))
_FEW = 16
#: Constants of so many elements may stand in several bodies.
_SHORT = 64
#: Scalar ops that cost a cycle or a few, and that no value can make fail.
_CHEAP = frozenset(OPS[n] for n in (
    "add", "subtract", "multiply", "negative", "absolute", "maximum", "minimum", "equal", "not_equal", "less",
    "less_equal", "greater", "greater_equal", "bitwise_and", "bitwise_or", "bitwise_xor", "invert", "select", "cast",
    "divide", "sqrt", "isnan", "isfinite", "isinf", "sign", "floor", "ceil", "trunc", "copysign", "square")
    if n in OPS)
#: A branch of at most so many cheap scalar operations is computed whether or not it is taken.
_SMALL_BRANCH = 16

CONTROL = (for_loop, while_loop, switch)
_known = weakref.WeakKeyDictionary()


# ---------------------------------------------------------------- graphs inside graphs
def map_inner(graph, function):
    """Return the graph with `function` applied to the graphs inside its nodes."""
    order = graph.topological()
    if not any(node.op in CONTROL for node in order):
        return graph
    table = {}
    for node in order:
        args, attrs = tuple([table[a] for a in node.args]), node.attrs
        if node.op in CONTROL:
            attrs = tuple([_mapped(value, function) for value in attrs])
        elif node.dims:
            attrs = map_attrs(attrs, table)
        table[node] = node if (args, attrs) == (node.args, node.attrs) else make(node.op, args, attrs)
    outs = tuple([table[n] for n in graph.outs])
    return graph if outs == graph.outs else graph.replace(outs)


def _mapped(value, function):
    if isinstance(value, Graph):
        return function(value)
    return tuple([function(v) for v in value]) if type(value) is tuple else value


def drop_unused(graph):
    """Return the graph without results of loops and branches, and carries, on which nothing depends."""
    order = graph.topological()
    used = {}
    for node in order:
        if node.op is item and node.args[0].op in CONTROL:
            used.setdefault(node.args[0], set()).add(node.attrs[0])
    table = {}
    for node, wanted in used.items():
        if len(wanted) < len(node.type):
            kept = _live(node, wanted)
            if len(kept) < len(node.type):
                for k, out in zip(kept, results(_without(node, kept))):
                    table[item(node, index=k)] = out
    return graph.replace(substitute(graph.outs, table)) if table else graph


def _live(node, wanted):
    """Return the results that are wanted, and those on which they depend in the next iteration, in order."""
    if node.op is switch:
        return sorted(wanted)
    graph, first = (node.attr("body"), 1) if node.op is for_loop else (node.attr("body"), 0)
    count = node.attr("carries")
    live, todo = set(), list(wanted)
    if node.op is while_loop:
        todo += _carries_of(node.attr("cond").outs, 0, count)
    while todo:
        k = todo.pop()
        if k not in live:
            live.add(k)
            todo += _carries_of([graph.outs[k]], first, count)
    return sorted(live)


def _carries_of(outs, first, count):
    return [n.attrs[0] - first for n in topological(outs) if n.op is param and first <= n.attrs[0] < first + count]


def _without(node, kept):
    if node.op is switch:
        branches = tuple([b.replace([b.outs[k] for k in kept]) for b in node.attr("branches")])
        return switch(*node.args, branches=branches)
    loop = OpenLoop(node)
    for name in ("before", "carried", "outs"):
        setattr(loop, name, [getattr(loop, name)[k] for k in kept])
    return loop.node()


# ---------------------------------------------------------------- loops, opened
class OpenLoop:
    """A loop with its body open: nodes over variables for the index, the carries and what it holds unchanged."""

    def __init__(self, node):
        self.op = node.op
        self.body = body = node.attr("body")
        n = node.attr("carries")
        operands = list(node.args)
        self.count = operands.pop(0) if node.op is for_loop else None
        variables, outs = opened(body)
        self.index = variables.pop(0) if node.op is for_loop else None
        self.before, self.given = operands[:n], operands[n:]
        self.carried, self.held = variables[:n], variables[n:]
        self.outs, self.test = outs, []
        if node.op is while_loop:
            condition = node.attr("cond")
            self.test = list(substitute(condition.outs, dict(zip(condition.inputs(), variables))))
        #: Which result of the original stands where: a position among the carries, or a node outside.
        self.places = list(range(n))

    @property
    def runs(self):
        """Whether the body is known to run at least once."""
        return self.count is not None and self.count.op is const_op and const_value(self.count) > 0

    def replace(self, table):
        """Replace variables in the body."""
        found = substitute([*self.outs, *self.test], table)
        self.outs, self.test = list(found[:len(self.outs)]), list(found[len(self.outs):])

    def node(self):
        """Return the loop as a node, closed."""
        leaves = [*self.carried, *self.held]
        if self.op is for_loop:
            return for_loop(self.count, *self.before, *self.given, body=close([self.index, *leaves], self.outs),
                            carries=len(self.carried))
        return while_loop(*self.before, *self.given, cond=close(leaves, self.test), body=close(leaves, self.outs),
                          carries=len(self.carried))

    def results(self):
        """Return what stands for each result of the original loop."""
        found = results(self.node()) if self.carried else ()
        return tuple([found[p] if type(p) is int else p for p in self.places])

    # ------------------------------------------------------------ one rewrite each
    def hold_unchanged(self):
        """A carry that each iteration returns as it got it is held."""
        for k in reversed(range(len(self.carried))):
            if self.outs[k] is self.carried[k]:
                self.held.append(self.carried[k])
                self.given.append(self.before[k])
                self._drop(k, self.before[k])

    def merge_equal(self, join=tuple):
        """Carries that begin alike and go on alike are one; so are equal things held.

        `join` makes nodes the same that compute the same in other words.
        """
        first, table = {}, {}
        for var, node in zip(self.held, self.given):
            if var is not first.setdefault(node, var):
                table[var] = first[node]
        groups, stands = _numbered(self.before), {}
        while True:  # assume that all that begin alike are one, and part those that go on apart
            leader = {}
            for group, var in zip(groups, self.carried):
                stands[var] = leader.setdefault(group, var)
            parted = _numbered(zip(groups, join(substitute(self.outs, {**table, **stands}))))
            if parted == groups:
                break
            groups = parted
        for k in reversed(range(len(self.carried))):
            var = self.carried[k]
            if stands[var] is not var:
                table[var] = stands[var]
                self._drop(k, self.carried.index(stands[var]))
        if table:
            self._rename(table)
            self.outs = list(join(self.outs))

    def _rename(self, table):
        """Replace variables in the body, and sizes in the types of the others."""
        for row in (self.carried, self.held):
            for k, var in enumerate(row):
                if any(d in table for d in var.dims):
                    table[var] = row[k] = new_variable(var.type.with_shape(map_attrs(var.shape, table)))
        if table:
            self.replace(table)

    def _drop(self, k, place):
        """Remove carry k; `place` stands for it: a node, or the position of another carry (before k)."""
        self.places = [place if p == k else p - 1 if type(p) is int and p > k else p for p in self.places]
        for row in (self.before, self.carried, self.outs):
            del row[k]

    def hold_literals_inside(self):
        """A literal that is held stands in the body itself."""
        self._rename({var: node for var, node in zip(self.held, self.given) if _is_literal(node)})

    def hoist(self):
        """What depends on nothing that changes is computed before the loop."""
        moving = {self.index, *self.carried}
        order = topological([*self.outs, *self.test])
        stuck = set()
        for node in order:
            if any(a in moving for a in node.args) or any(d in moving for d in node.dims):
                moving.add(node)
            elif not self.runs and (_may_fail(node) or any(a in stuck for a in node.args)):
                stuck.add(node)
        found, seen = {}, set()
        stack = [a for node in order if node in moving for a in (*node.args, *node.dims) if a not in moving]
        stack += [n for n in (*self.outs, *self.test) if n not in moving]
        while stack:
            node = stack.pop()
            if node in seen or node in found or node.op is variable or _is_literal(node):
                continue
            seen.add(node)
            sizes = [] if type(node.type) is not Type else [n for n in node.type.shape if isinstance(n, Node)]
            if type(node.type) is not Type or _is_view(node) or any(n in stuck for n in (node, *sizes)):
                stack += [*node.args, *node.dims]
            else:
                for n in sizes:  # of what is held, which come in beside it
                    if n.op is not variable:
                        found.setdefault(n, new_variable(n.type))
                found[node] = new_variable(node.type.with_shape(map_attrs(node.shape, found)))
        if found:
            outside = dict(zip(self.held, self.given))
            self.held += found.values()
            self.given += substitute(list(found), outside)
            self.replace(found)

    def drop_unused_held(self):
        """What no body needs does not come in."""
        needed = set(topological([*self.outs, *self.test]))
        sizes = {d for var in (*self.carried, *needed) if var.op is variable for d in var.dims}
        kept = [k for k, var in enumerate(self.held) if var in needed or var in sizes]
        self.held, self.given = [self.held[k] for k in kept], [self.given[k] for k in kept]


def _numbered(values):
    """Return for each value the number of the first that equals it."""
    seen = {}
    return [seen.setdefault(value, len(seen)) for value in values]


def _is_view(node):
    """Return whether a node only renames elements; a few elements picked out of many are worth to be held, though."""
    if node.op not in _VIEWS or not (node.type.is_static and node.args[0].type.is_static):
        return node.op in _VIEWS
    return node.type.size > _FEW or node.type.size >= node.args[0].type.size


def _is_literal(node):
    """Return whether a node is made of constants and costs nothing to make again where it is used."""
    while node.op.name in ("broadcast", "reshape", "cast"):
        node = node.args[0]
    # a long one comes in, so that bodies share it
    return node.op is const_op and node.type.size <= _SHORT or node.op.name == "iota"


def _may_fail(node):
    """Return whether a node can raise, or never end."""
    if node.op is check or node.op is while_loop:
        return True
    return any(_may_fail(inner) for g in graphs_in(node.attrs) for inner in g.topological())


# ---------------------------------------------------------------- rules
def _for_examples(x, s, i):
    k, carry, held, total = (new_variable(t) for t in (Type(I64), x.type, x.type, s.type))
    step = close([k, carry, held], [carry * sin(held) + full(0.5, x.type)])
    twice = close([k, carry, held, total], [carry * 0.5, held * 0.5, total + cast(k, total.dtype)])
    unused = close([k, carry, total], [carry, total * 0.5])
    count = dynamic_slice(reshape(i, (12,)), const(3, I64), sizes=(1,))
    count = minimum(reshape(count, ()), const(3, I64))
    for n in (const(0, I64), const(1, I64), const(3, I64), count):
        yield item(for_loop(n, x, x, body=step, carries=1), index=0)
        yield from results(for_loop(n, x, x, s, body=twice, carries=3))
        yield from results(for_loop(n, x, s, body=unused, carries=2))
        yield item(for_loop(n, x, full(2, x.type), body=step, carries=1), index=0)


@rewrite(item, phase="canonicalize", examples=_for_examples)
def for_loops(node):
    """What a loop over a count does not change is computed before it, what is equal once; none or one turn is no loop.
    """
    return _result(node, for_loop)


def _while_examples(x, s, c):
    n, carry, held = new_variable(Type(I64)), new_variable(x.type), new_variable(x.type)
    short, never = close([n, carry, held], [less(n, const(3, I64))]), close([n, carry, held], [const(False)])
    body = close([n, carry, held], [n + 1, carry + exp(held)])
    both = close([n, carry, held], [n + 1, carry * 0.5, held * 0.5])
    for test in (short, never):
        yield from results(while_loop(const(0, I64), x, x, cond=test, body=body, carries=2))
        yield from results(while_loop(const(0, I64), x, x, cond=test, body=both, carries=3))


@rewrite(item, phase="canonicalize", examples=_while_examples)
def while_loops(node):
    """What a loop under a condition does not change is computed before it, what is equal once."""
    return _result(node, while_loop)


def _switch_examples(x, s, c):
    a, b, n = new_variable(s.type), new_variable(x.type), new_variable(s.type)
    rows = [[a + n, b, n * 2], [a * n, b * 2, n * 2], [a, b, n * 2]]
    branches = tuple([close([a, b, n], row) for row in rows])
    chosen = reshape(slice_(c, (0, 0), (1, 1), (1, 1)), ())
    for index, choice in ((const(1, I64), branches), (cast(chosen, I64), branches[:2]),
                          (cast(chosen, I64) + 1, branches), (cast(chosen, I64), branches[1:2] * 2)):
        yield from results(switch(index, s, x, s, branches=choice))


@rewrite(item, phase="canonicalize", examples=_switch_examples)
def switches(node):
    """A branch that is known is taken; what all branches give is computed outside; a choice of few operations is made
    by selects.
    """
    return _result(node, switch)


def _result(node, op):
    found = simplified(node.args[0]) if node.args[0].op is op else None
    return None if found is None else found[node.attrs[0]]


def simplified(node):
    """Return what stands for each result of a loop or switch after its rules, or None where it is at rest."""
    found = _known.get(node, _known)
    if found is _known:
        found = _simplified_switch(node) if node.op is switch else _simplified_loop(node)
        _known[node] = found
    return found


def _simplified_loop(node):
    loop = OpenLoop(node)
    if node.op is for_loop and node.args[0].op is const_op:
        count = int(const_value(node.args[0]))
        if count <= 0:
            return tuple(loop.before)
        if count == 1:
            return tuple(substitute(loop.outs, {
                loop.index: const(0, I64), **dict(zip(loop.carried, loop.before)), **dict(zip(loop.held, loop.given))}))
    if node.op is while_loop and loop.test[0] is const(False):
        return tuple(loop.before)
    while True:
        state = (list(loop.outs), list(loop.test), list(loop.held), list(loop.carried))
        loop.hold_unchanged()
        loop.merge_equal()
        loop.hold_literals_inside()
        loop.hoist()
        loop.drop_unused_held()
        if state == (loop.outs, loop.test, loop.held, loop.carried):
            break
    found = loop.results()
    return None if all(a is b for a, b in zip(found, results(node))) else found


def _simplified_switch(node):
    index, *operands = node.args
    branches = node.attr("branches")
    if index.op is const_op:
        return branches[int(const_value(index))].call(operands)
    if len(set(branches)) == 1:
        return branches[0].call(operands)
    variables = [new_variable(t.type) for t in operands]
    if any(not t.is_static for t in branches[0].params):
        return None
    inside = {}
    table = {var: inside.setdefault(operand, operand if _is_literal(operand) else var)
             for var, operand in zip(variables, operands)}
    rows = [substitute(b.call(variables), table) for b in branches]
    outside = dict(zip(variables, operands))
    out, left = {}, []
    for k, column in enumerate(zip(*rows)):
        if len(set(column)) == 1:
            out[k], = substitute(column[:1], outside)
        else:
            chosen = _selected(index, column)
            if chosen is None:
                left.append(k)
            else:
                out[k], = substitute([chosen], outside)
    if left:
        rows = [[row[k] for k in left] for row in rows]
        needed = set(topological([n for row in rows for n in row]))
        kept = [var for var in variables if var in needed]
        made = switch(index, *[outside[var] for var in kept], branches=tuple([close(kept, row) for row in rows]))
        if made is node:
            return None
        out.update(zip(left, results(made)))
    return tuple([out[k] for k in range(len(node.type))])


def _selected(index, column):
    """Return the choice among the nodes as selects, where all are cheap, else None."""
    if column[0].ndim or any(n.op not in _CHEAP and n.op is not variable and not _is_literal(n) or n.type.shape != ()
                             for n in topological(column)):
        return None
    if len(topological(column)) > _SMALL_BRANCH * len(column):
        return None
    if len(column) == 2 and index.op is cast_op and index.args[0].type is Type(BOOL):
        return select(index.args[0], column[1], column[0])
    found = column[-1]
    for k in reversed(range(len(column) - 1)):
        found = select(equal(index, const(k, I64)), column[k], found)
    return found
