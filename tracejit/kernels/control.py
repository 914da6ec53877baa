"""Loops and branches as nested steps: where their values live, and what moves at the end of each turn.

Scalars of a body live in buffers of role ``scalar``: local variables of the generated code. Arrays that a loop carries
stay in one place, where their updates are written; those that are computed anew have a second place, and the two change
their names at the end of the turn.
"""

from dataclasses import dataclass, field

from tracejit.kernels import ranges
from tracejit.kernels.loop_ir import Copy, Store, integer, to_text
from tracejit.kernels.updates import base, single
from tracejit.symbolic.graph import substitute
from tracejit.symbolic.ir import const, item, scalar_literal
from tracejit.symbolic.ops.shape import full_like
from tracejit.symbolic.types import Type

#: Turns that a loop is taken to make where their number is known at run time only.
TYPICAL_TURNS = 1000


@dataclass
class Region:
    """Steps that run as one function, with their scalars in registers."""

    name: str
    steps: list

    def __str__(self):
        return "\n".join([f"region {self.name} {{", *_indented(self.steps), "}"])


@dataclass
class Loop:
    """Run `body` for each index below `count`, or, where there is no count, while `test` holds after `cond`."""

    body: list
    index: object = None  # scalar buffer
    count: object = None  # expression
    cond: list = ()
    test: object = None  # expression
    moves: list = field(default_factory=list)  # (scalar, expression): new values, all at once
    swaps: list = field(default_factory=list)  # (buffer, buffer): new places, all at once
    local: set = field(default_factory=set)  # names of the temporaries that live in one turn only

    def __str__(self):
        if self.count is not None:
            head = f"for {self.index.name} in 0 .. {to_text(self.count)} {{"
        else:
            head = f"while {to_text(self.test)} {{"
        rows = [head, *_indented(self.cond), *_indented(self.body)]
        rows += [f"  next {b.name} = {to_text(value)}" for b, value in self.moves]
        rows += [f"  next {b.name} is {other.name}" for b, other in self.swaps]
        return "\n".join([*rows, "}"])


@dataclass
class Branch:
    """Run one of several lists of steps."""

    index: object  # expression
    bodies: list
    results: list  # scalars that all of them set

    def __str__(self):
        rows = [f"switch {to_text(self.index)} {{"]
        for k, body in enumerate(self.bodies):
            rows += [f"  case {k}:", *("  " + row for row in _indented(body))]
        return "\n".join([*rows, "}"])


def _indented(steps):
    return ["  " + row for s in steps for row in str(s).split("\n")]


def inner_steps(step):
    """Return the lists of steps inside a step."""
    if isinstance(step, Region):
        return [step.steps]
    if isinstance(step, Loop):
        return [step.cond, step.body]
    return step.bodies if isinstance(step, Branch) else []


def walk(steps):
    """Yield all steps, nested ones too."""
    for s in steps:
        yield s
        for inner in inner_steps(s):
            yield from walk(inner)


def own_buffers(step):
    """Return the buffers that a Loop or Branch itself names."""
    if isinstance(step, Branch):
        return list(step.results)
    found = [b for b, _ in getattr(step, "moves", ())]
    found += [b for pair in getattr(step, "swaps", ()) for b in pair]
    if getattr(step, "index", None) is not None:
        found.append(step.index)
    return found


def own_expressions(step):
    """Return the expressions that a Loop or Branch itself computes."""
    if isinstance(step, Branch):
        return [step.index]
    if isinstance(step, Loop):
        return [e for e in (step.count, step.test, *(value for _, value in step.moves)) if e is not None]
    return []


def _extent(buffer):
    """Return what two buffers have in common that may change places."""
    return buffer.nbytes if type(buffer.size) is int else (id(buffer.size), buffer.dtype)


class Control:
    """The part of a builder of programs that builds loops and branches."""

    def _control(self, node):
        """Append the steps of a control op."""
        if self.inner:
            self._enter(node)
            return
        region, outer = Region(f"r{next(self.numbers)}", []), self.steps
        self.steps, self._entered = region.steps, {}
        after = self._enter(node)
        for value, scalar in after:
            self._set(self._result(value), scalar.load(integer(0)))
        self.steps = outer
        outer.append(region)

    def _enter(self, node):
        """Append the steps of a control op; returns the (result, scalar) pairs to be stored behind it."""
        build = {"for_loop": self._for, "while_loop": self._while, "switch": self._switch}[node.op.name]
        found = []
        for value, buffer in build(node):
            if single(value.type) and not self.inner:
                found.append((value, buffer))
            else:
                self.of[value] = buffer
        return found

    # ---------------------------------------------------------------- values
    def _scalar(self, dtype):
        return self._buffer(f"z{next(self.numbers)}", dtype, 1, "scalar")

    def _set(self, buffer, value):
        """Append the step that gives a buffer of one element a value."""
        self._add_kernel(self._kernel_name(), [Store(buffer, integer(0), value)])

    def _place(self, operand):
        """Return the buffer in which a body finds an operand."""
        found = self.of[base(operand)]
        if not single(operand.type) or found.role == "scalar":
            return found
        if found.name not in self._entered:
            self._entered[found.name] = self._scalar(found.dtype)
            self._set(self._entered[found.name], found.load(integer(0)))
        return self._entered[found.name]

    def _value(self, operand):
        """Return the expression of an operand of one element."""
        literal = scalar_literal(operand)
        return self._place(operand).load(integer(0)) if literal is None else const(literal)

    def _moved_in(self, node, k, operand):
        """Return the buffer in which result `k` begins as a copy of an operand, or takes over its place."""
        value = item(node, index=k)
        if single(value.type):
            buffer = self._scalar(value.dtype)
            self._set(buffer, self._value(operand))
            return buffer
        if value in self.partition.sharing.under:
            return self.of[self.partition.sharing.under[value]]
        buffer = self._result(value)
        self._fill(buffer, operand)
        return buffer

    def _fill(self, buffer, operand):
        """Append the step that copies an operand, a buffer or a literal, into a buffer."""
        source = base(operand)
        if source in self.of:
            self._copy(buffer, self.of[source])
        else:
            self._launch_whole(buffer, operand)

    def _copy(self, target, source):
        if type(target.size) is not int or target.size:
            self._add_kernel(self._kernel_name(), [Copy(target, source)])

    def _bound(self, graph, operands, first):
        """Return a body's params, and what those from `first` on stand for: (params, buffers, literals)."""
        own = graph.inputs()
        values = {leaf: scalar_literal(x) for leaf, x in zip(own[first:], operands)}
        # of the param's own type: a size has another name out there
        literals = {leaf: full_like(x, leaf) for leaf, x in values.items() if x is not None}
        # a literal may be a size of another param, which is that of this size then
        literals = dict(zip(literals, substitute(literals.values(), literals)))
        leaves = [leaf if leaf in literals else substitute([leaf], literals)[0] for leaf in own]
        buffers = {leaf: self._place(x) for leaf, x in zip(leaves[first:], operands) if leaf not in literals}
        return leaves, buffers, literals

    # ---------------------------------------------------------------- loops
    def _for(self, node):
        count, *operands = node.args
        graph, carries = node.attrs
        index = self._scalar(_INDEX.dtype)
        loop = Loop([], index=index, count=self._value(count))
        trips = scalar_literal(count)
        return self._loop(node, loop, graph, operands, carries, 1, {graph.inputs()[0]: index},
                          TYPICAL_TURNS if trips is None else max(0, int(trips)))

    def _while(self, node):
        cond, graph, carries = node.attrs
        return self._loop(node, Loop([]), graph, node.args, carries, 0, {}, TYPICAL_TURNS, cond)

    def _loop(self, node, loop, graph, operands, carries, first, buffers, trips, cond=None):
        places = [self._moved_in(node, k, x) for k, x in enumerate(operands[:carries])]
        leaves, more, literals = self._bound(graph, operands[carries:], first + carries)
        carried = leaves[first:first + carries]
        buffers = {**buffers, **dict(zip(carried, places)), **more}
        count = node.args[0] if first else None
        facts = ranges.of_body(self.facts, leaves, operands, carries, count)
        if cond is not None:
            facts.holds(*substitute(cond.outs, literals))
        head = ranges.induct(facts, self.facts, carried, operands, substitute(graph.outs, literals))
        if cond is not None:
            before = ranges.of_body(self.facts, leaves, operands, carries)
            before.known.update(head)
            test = self._body(cond.outs, buffers, literals, before)
            test.run()
            loop.cond, loop.test = test.steps, test.result(0)
            loop.local |= test.local
            self.ns += test.ns * trips
        body = self._body(graph.outs, buffers, literals, facts, owned=[x for x in carried if not single(x.type)])
        body.run()
        loop.body, loop.local = body.steps, loop.local | body.local
        self.ns += body.ns * trips
        self._next_turn(loop, body, places)
        self.steps.append(loop)
        return [(item(node, index=k), place) for k, place in enumerate(places)]

    def _next_turn(self, loop, body, places):
        """Plan what the carries are in the next turn: values of scalars, places of arrays."""
        arrays = []
        for k, (place, out) in enumerate(zip(places, body.outs)):
            if single(out.type):
                value = body.result(k)
                if value is not place.load(integer(0)):
                    loop.moves.append((place, value))
            else:
                arrays.append((place, body.of[base(out)]))
        pool = {b.name: b for b, _ in arrays}
        extents = {source.name: _extent(place) for place, source in arrays}  # a size has another name in a body
        extents.update((place.name, _extent(place)) for place, _ in arrays)
        claimed, chosen = set(), {}
        for place, source in arrays:
            ours = source.name in pool or source.name in body.local
            if ours and source.name not in claimed:
                claimed.add(source.name)
                pool[source.name] = source
                chosen[place.name] = source
        for place, source in arrays:
            if place.name in chosen:
                continue
            free = [b for b in pool.values() if b.name not in claimed and extents[b.name] == _extent(place)]
            target = place if place in free else free[0]
            claimed.add(target.name)
            chosen[place.name] = target
            body.copy(target, source)
        carried = {b.name for b, _ in arrays}
        left = [b for b in pool.values() if b.name not in claimed]
        for spare in [b for b in pool.values() if b.name not in carried]:
            other = next(b for b in left if extents[b.name] == extents[spare.name])
            left.remove(other)
            chosen[spare.name] = other
        loop.swaps = [(b, chosen[b.name]) for b in pool.values() if chosen[b.name] is not b]
        # what changes places with a carried array lives as long
        loop.local -= {b.name for pair in loop.swaps for b in pair}

    # ---------------------------------------------------------------- branches
    def _switch(self, node):
        index, *operands = node.args
        branches = node.attr("branches")
        picked = self._value(index)
        places, owned = [], set()
        for k, kind in enumerate(node.type):
            value = item(node, index=k)
            under = self.partition.sharing.under.get(value)
            if single(kind):
                places.append(self._scalar(kind.dtype))
            elif under is not None:
                places.append(self.of[under])
                owned |= {i for i, x in enumerate(operands) if base(x) is under}
            else:
                places.append(self._result(value))
        step = Branch(picked, [], [b for b in places if b.role == "scalar"])
        costs = []
        asked = ranges.asked(index) if len(branches) == 2 else None
        for number, graph in enumerate(branches):
            leaves, buffers, literals = self._bound(graph, operands, 0)
            facts = self.facts if asked is None else self.facts.assuming(asked, number == 1)
            body = self._body(graph.outs, buffers, literals, facts.inside(leaves, operands)[0],
                              owned=[leaves[i] for i in owned])
            fresh = [k for k in range(len(places)) if item(node, index=k) not in self.partition.sharing.under]
            body.run(wanted={k: places[k] for k in fresh if not single(node.type[k])})
            self._leave(body, places)
            step.bodies.append(body.steps)
            costs.append(body.ns)
        self.ns += max(costs)
        self.steps.append(step)
        return [(item(node, index=k), place) for k, place in enumerate(places)]

    def _leave(self, body, places):
        """Append to a branch the steps that bring its results where all branches leave them."""
        moves = []
        for k, (place, out) in enumerate(zip(places, body.outs)):
            if single(out.type):
                body.set(place, body.result(k))
            elif body.of[base(out)] is not place:
                moves.append((place, body.of[base(out)]))
        targets = {place.name for place, _ in moves}
        held = {}
        for _, source in moves:
            if source.name in targets and source.name not in held:
                held[source.name] = body.copied(source)
        for place, source in moves:
            body.copy(place, held.get(source.name, source))


_INDEX = Type("int64")

__all__ = ["Branch", "Control", "Loop", "Region", "inner_steps", "own_buffers", "own_expressions",
           "walk"]
