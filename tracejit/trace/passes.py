"""A loop on its way to an op: the state before it, passes over its body on stand-ins, and what it leaves behind.

The body runs in the user's own frame, until the types of all that it carries are stable; mostly once. What it carries
is found by looking: an iteration is run as it is and taken back, or the loop was met before (`Flow.memory`), or the
first pass shows it.
"""

from tracejit.symbolic import dims
from tracejit.symbolic.ir import Node, const, new_variable
from tracejit.symbolic.ops.control import results, switch
from tracejit.symbolic.ops.scalar import remainder
from tracejit.symbolic.types import I64
from tracejit.trace.joins import NEVER, UNDEFINED, Join, aliased, is_number, kind_of, made_from, places
from tracejit.trace.lists import List
from tracejit.trace.regions import Region, blamed, changes, closed, on_ways, refill, refuse, restore, watch
from tracejit.trace.tracer import Alias, Storage, Tracer, current_trace

#: A loop that cannot be staged is written out for at most so many iterations, of so many values in all.
LONGEST = 1000
_BUDGET = 100_000
_PASSES = 12
_STEPS = (None, "peel", "unroll")


class Loop:
    """What `for` and `while` have in common: the state before, passes over the body, and the op in the end."""

    what, steps = "loop", _STEPS

    def __init__(self, frame, site, variables):
        carried, names, exits, self.reads = variables
        self.frame, self.flow, self.site = frame, frame.flow, site
        self.carried = [n for n in carried if n not in exits]
        self.names, self.exits, self.order = names, exits, carried
        self.staged, self.phase, self.iterations, self.busy = False, "plain", 0, 0
        self.level = len(self.flow.regions)
        self.mode = self.flow.decisions.get(site)
        self._start(frame.variables(4))

    def _start(self, found):
        """Take down the state before the loop, or before the next iteration."""
        trace = current_trace()
        self.entry = {n: found.get(n, UNDEFINED) for n in dict.fromkeys((*self.order, *self.names))}
        self.root = None if trace is None else trace.root
        self.began = self.made = 0 if trace is None else self.root.made
        self.mark = len(self.flow.journal) if trace is not None else 0
        self.facts = None if trace is None or trace.root.guards is None else len(trace.root.guards.facts)
        self.consumed = self.flow.consumed if trace is not None else 0
        self.printed = len(self.flow.lines) if trace is not None else 0
        self.watched = None if trace is None else watch(found.values(), self.root.session)
        self.key = (self.site, tuple((n, kind_of(v) if is_number(v) else type(v))
                                     for n in self.reads if (v := found.get(n, UNDEFINED)) is not UNDEFINED))

    @property
    def plain(self):
        """Whether a jump may leave an iteration by Python's own means."""
        return self.phase == "plain" and len(self.flow.regions) == self.level

    # ------------------------------------------------------------ plain iterations
    def _worked(self):
        """Return whether traced code has made anything since the last look."""
        if self.root is None or self.root.made == self.made:
            return False
        self.made = self.root.made
        return True

    def _left(self, found):
        """Return whether a flag says that the loop was left: True, False, or None where that is traced."""
        flags = [found.get(n, False) for n in self.exits]
        if any(f is True for f in flags):
            return True
        return None if any(isinstance(f, Tracer) for f in flags) else False

    def _count_written(self, most=LONGEST):
        self.busy += 1
        if self.busy > most or self.root.made - self.began > _BUDGET:
            raise refuse(f"a loop of more than {self.busy - 1} iterations whose body cannot be traced once",
                         "keep Python objects (lists that grow, indices into lists, sizes that change) out of it")

    # ------------------------------------------------------------ on the way to an op
    def _begin(self, found=None):
        """Take back what the plain iterations have done, and get ready for passes; `found` is what they have left."""
        if self.flow.consumed != self.consumed:
            with blamed(self):
                raise refuse("next() in a loop whose body is traced once", "iterate with for, or index")
        self.flow.loops.append(self.site)
        self.staged, self.phase = True, "pass"
        self.history = {n: [] for n in self.entry}
        self.storages, self.held, self.passes, self.seen = {}, {}, 0, 0
        self.aliases = None  # which arrays its variables may be, once the body has to be looked at for that
        self.given = {}
        if found is not None:
            for n in self.entry:
                self.history[n].append(found.get(n, UNDEFINED))
            self.seen = 1
            changed = changes(self.watched)
            self.flow.grow(changed.values(), self.watched)
            self._learn(dict.fromkeys(s for s, _ in self.flow.journal[self.mark:]), self._without_growing(changed))
        elif self.key in self.flow.memory:
            history, names, held = self.flow.memory[self.key]
            self.history = {n: list(history[n]) for n in self.entry}
            self.seen = max(map(len, history.values()), default=0)
            values = self.entry | dict(self._found)
            self._learn(dict.fromkeys(values[n]._storage for n in names if isinstance(values.get(n), Tracer)), {})
        self._take_back()
        self._stage_lists()

    # ------------------------------------------------------------ lists that grow
    def _growing(self):
        """Return the lists that are known to grow in loops, and that no loop around this one makes rows of."""
        found = [x for x, _ in self.watched.values() if type(x) is List and self.flow.decisions.get(("grows", x.site))]
        # a variable may still hold the list of an iteration that has ended
        return [x for x in found if (rows := x.staged) is None or rows.owner in (None, self) and rows.trace.alive]

    def _without_growing(self, changed):
        growing = {id(x) for x in self._growing()}
        return {key: found for key, found in changed.items() if key not in growing}

    def _stage_lists(self):
        """Make rows of the items of lists that grow, with room for what all iterations append."""
        for rows in [r for r in self.flow.rows if r.owner is self]:
            del self.flow.rows[rows]
            for storage in (rows.count, rows.first, *rows.arrays):
                self.storages.pop(storage, None)
        for x in self._growing():
            given = self.given.setdefault(id(x), list.copy(x))
            refill(x, given)
            each, turns = self.flow.decisions.get(("appends", self.site, x.site), 1), self._most_turns()
            bounded = each is not None and turns is not None
            extra = dims.times(each, turns) if bounded else self.flow.room
            if self.flow.decisions["grows", x.site] == "set":  # it gets no longer
                extra, bounded = 0, True
            with blamed(self):
                rows = x.stage(extra, self, bounded)
            self.flow.rows[rows] = x
            self.watched[id(x)] = (x, list.copy(x))

    def _most_turns(self):
        """Return the number of iterations, an int or a node that is 0 or more; None where nobody knows."""
        return None

    def _count_appended(self):
        """After a pass: multiply what inner loops append, and return whether lists of this one need more room."""
        more = False
        for rows, x in self.flow.rows.items():
            before = self.begun.get(rows, 0)
            each = None if rows.most is None or before is None else rows.most - before
            if rows.owner is self:
                key = ("appends", self.site, x.site)
                known = self.flow.decisions.get(key, 1)
                if known is not None and (each is None or each > known):
                    self.flow.decisions[key] = each
                    more = True
            elif each != 0:
                turns = self._most_turns()
                turns = dims.bound(turns) if isinstance(turns, Node) else turns
                rows.most = None if each is None or turns is None else before + each * turns
        return more

    def _release_lists(self, made):
        """The loop has ended: its lists have their rows, and arrays that may be one of the items are marked."""
        inside = {x._storage: k for k, x in enumerate(self.inside)}
        for rows in [r for r in self.flow.rows if r.owner is self]:
            rows.owner = None
            del self.flow.rows[rows]
            for c in self.final.columns:
                last = c.leaves[-1]
                carried = [last._storage] if isinstance(last, Tracer) else []
                carried += [s for s, k in inside.items() if k == c.index]
                if not set(rows.appended).isdisjoint(carried):
                    if isinstance(c.leaves[0], Tracer):  # the first item, perhaps
                        rows.appended[c.leaves[0]._storage] = c.leaves[0]._storage.value
                    for x in (made[c.index], c.leaves[0]):
                        if isinstance(x, Tracer) and not (x.weak or x.scalar):
                            rows.mark(x._storage, self)

    def _take_back(self):
        journal = self.flow.journal
        for storage, old in reversed(journal[self.mark:]):
            storage.value = old
        del journal[self.mark:]
        restore(self.watched, changes(self.watched))
        while len(self.flow.lines) > self.printed:
            self.flow.lines.popitem()
        guards = self.root.guards
        if guards is not None and len(guards.facts) > self.facts:
            for fact in guards.facts[self.facts:]:
                guards._known.pop(fact.node, None)
            del guards.facts[self.facts:]

    def _learn(self, storages, changed):
        """Remember what the body writes to; return whether that was news."""
        trace = current_trace()
        new = [s for s in storages if s not in self.storages and s.trace.alive and s.trace.encloses(trace)]
        self.storages.update(dict.fromkeys(new))
        late = [key for key in changed if key not in self.held]
        for key in changed:
            x, items = changed[key]
            self.held.setdefault(key, (x, []))[1].append(items)
        return bool(new or late)

    def _plan(self, last=None, items=None):
        """Return (Join, builders by name, builders by container) of the states before and after iterations."""
        width = 1 + self.seen + (last is not None)
        join = Join(width, self.what, region=self)
        pad = lambda given, seen, end: [given, *seen, *[seen[-1] if seen else given] * (
            self.seen - len(seen)), *end]
        end = lambda n: [] if last is None else [last[n]]
        builders = {}
        for n in self.carried:
            builders[n] = join.plan(pad(self.entry[n], self.history[n], end(n)), n)
        contents = {}
        for key, (x, seen) in self.held.items():
            before = self.watched[key][1]
            now = [] if items is None else [items[key][1] if key in items else before]
            contents[key] = join.plan(on_ways(x, pad(before, seen, now)), f"a {type(x).__name__}")
        if last is not None:
            for n in self.names:
                if n not in builders:
                    seen = [NEVER] * self.seen
                    builders[n] = join.plan([self._before(n), *seen, last[n]], n)
        return join, builders, contents

    def _before(self, n):
        """Return what a variable, that no iteration needs from the one before, holds where there was none."""
        if n in self.exits:  # the iteration that stands before the loop may have left it
            return self.entry[n] if isinstance(self.entry[n], Tracer) else False
        return NEVER if self._runs() else self.entry[n]

    def _runs(self):
        """Return whether there is at least one iteration."""
        return False

    def _open(self):
        """Begin a pass over the body."""
        with blamed(self):
            self.join, self.builders, contents = self._plan()
        self.region = Region(self.flow, self.site, _STEPS, self.watched)
        trace = self.region.trace
        self.variables = [new_variable(c.kind.type) for c in self.join.columns]
        self.inside = [Tracer(Storage(v, trace, layout=c.layout), weak=c.kind.weak, scalar=c.kind.scalar)
                       for v, c in zip(self.variables, self.join.columns)]
        for x, column in zip(self.inside, self.join.columns):
            x._storage.unclear = self if column.unclear else None
        if self.aliases is not None:
            self.poison = {s: s.poison for alias in self.aliases.values() for s in alias.bases}
            for k, x in enumerate(self.inside):
                if k in self.aliases:
                    aliased(x, self.aliases[k])
        self.content = self.region.declare({s: new_variable(s.value.type) for s in self.storages})
        self.begun = {rows: rows.most for rows in self.flow.rows}
        for rows in self.flow.rows:
            for storage in (rows.count, rows.first):
                if storage in self.content:
                    dims.declare(self.content[storage], 0, rows.room)
            if rows.owner is self:
                rows.appended.clear()
        for key, build in contents.items():
            refill(self.held[key][0], build(self.inside))
        self.values = {n: False if n in self.exits else self.builders[n](self.inside) for n in self.order}

    def state(self):
        """Return the variables as the body sees them."""
        return [self.values[n] for n in self.order]

    def result(self):
        """Return the variables after the loop."""
        return [self.values[n] for n in self.names]

    def _close(self, found):
        """End a pass; return whether what is carried was stable."""
        self.passes += 1
        last = {n: found.get(n, UNDEFINED) for n in self.entry}
        self.region.close([*last.values(), *self._extra()])
        if self.aliases is not None:
            for storage, poison in self.poison.items():
                storage.poison = poison
        with blamed(self):
            return self._is_stable(last)

    def _is_stable(self, last):
        """Return whether a pass has left what it was given; else the next one is given what it has left."""
        items = self.region.contents
        restage = self.flow.grow(items.values()) | self._count_appended()
        items = self._without_growing(items)
        if restage:
            self._stage_lists()
        news = restage | self._learn(self.region.written, {k: v for k, v in items.items() if k not in self.held})
        join, builders, contents = self._plan(last, items)
        before = [c.form() for c in self.join.columns]
        if not restage and not news and [c.form() for c in join.columns[:len(before)]] == before and all(
                c.where not in self._carried_names(join, before) for c in join.columns[len(before):]):
            for rows in self.flow.rows:
                if rows.owner is self:
                    rows.check_written()
            self.last, self.final, self.built, self.contents = last, join, builders, contents
            if self.aliases is None:
                aliases = self._aliases()
                if self._is_written_twice(aliases):
                    self.aliases = aliases
                    return False
            return True
        if self.passes > _PASSES:
            raise refuse("a loop whose variables change their types again and again",
                         "give them before the loop the type that they have in it")
        self.seen += 1
        for n in self.entry:
            self.history[n].append(last[n])
        for key, (_, seen) in self.held.items():
            if key in items and seen[-1] is not items[key][1]:
                seen.append(items[key][1])
        return False

    def _is_written_twice(self, aliases):
        """Return whether the body may see an array, or write to it, under the name it had before the loop and as what a
        variable is bound to.

        Then another pass looks at what it reads after which write: what may have been written under the other name is
        not known any more.
        """
        written, seen = self.region.written, self.region.trace.outside
        for k, x in enumerate(self.inside):
            mine = aliases.get(k)
            if mine is None:
                continue
            new = x._storage.value is not self.variables[k]
            others = set().union(*(a.bases for j, a in aliases.items() if j != k and (
                a.family is None or a.family is not mine.family)))
            if any(s in written or new and (s in self.content or s.value in seen or s in others) for s in mine.bases):
                return True
        return False

    def _carried_names(self, join, before):
        """Return the places of new columns that belong to variables the body needs."""
        own = set()
        for c in join.columns[len(before):]:
            name = c.where.partition("[")[0].removeprefix("whether ").removesuffix(" is bound")
            if name in self.carried or name.startswith("a "):
                own.add(c.where)
        return own

    def _extra(self):
        return ()

    # ------------------------------------------------------------ the op
    def _flags(self):
        """Return the exits that a pass has set, as traced values."""
        return [n for n in self.exits if self.last[n] is not False and self.last[n] is not UNDEFINED]

    def _outs(self):
        """Return (variables, outs) of everything carried: columns, then the arrays written to."""
        nodes = self.region.nodes
        extra = [new_variable(c.kind.type) for c in self.final.columns[len(self.variables):]]
        end = self.final.n - 1
        outs = [c.node(end, nodes) for c in self.final.columns]
        outs += [self.region.written.get(s, v) for s, v in self.content.items()]
        return [*self.variables, *extra, *self.content.values()], outs

    def _initial(self):
        """Return the nodes of all that is carried before the loop."""
        return [c.node(0) for c in self.final.columns] + [s.value for s in self.content]

    def _finish(self, node, count=None):
        """Put the results of the op where they belong."""
        after = results(node)
        columns = self.final.columns
        for storage, value in zip(self.content, after[len(columns):]):
            if storage in self.region.written:
                storage.write(value)
        aliases = self._aliases()
        kept = self._exchange(after, count, aliases)
        made = made_from(columns, after, self, aliases, kept)
        for key, (x, _) in self.held.items():
            refill(x, self.contents[key](made))
        self._release_lists(made)
        self.values = {n: self.built[n](made) for n in self.names}
        self._remember()
        self.phase = "done"

    def _aliases(self):
        """Return {column: Alias}: after the loop an array may be any that its variable has been bound to."""
        inside = {x._storage: k for k, x in enumerate(self.inside)}
        memory = {c.index: c.memory() for c in self.final.columns}
        memory = {k: (m[0], m[-1]) for k, m in memory.items() if m[0] is not None or m[-1] is not None}
        first = {k: places(m[0]) for k, m in memory.items()}
        goes = {k: places(m[1], inside) for k, m in memory.items()}
        found = {}
        for k in memory:
            seen, stack = {k}, [k]
            bases = set(first[k])
            while stack:
                for s in goes[stack.pop()]:
                    j = inside.get(s)
                    if j is None:
                        bases.add(s)
                    elif j not in seen:
                        seen.add(j)
                        stack.append(j)
                        bases |= first.get(j, frozenset())
            found[k] = frozenset(bases)
        # what differs before the loop and after each iteration differs for ever
        pairs = [(a, b) for a in memory for b in memory if a < b]
        apart = all(not first[a] & first[b] and not _may_be_same(memory[a][1], memory[b][1], goes[a] & goes[b])
                    for a, b in pairs)
        family = self if apart else None
        return {k: Alias([bases], self, family) for k, bases in found.items()}

    def _exchange(self, after, count, aliases):
        """Let arrays that the body has handed round, as with ``a, b = b, a``, lie where Python would leave them.

        Returns {column: the array that a variable holds after a known number of iterations}.
        """
        kept = {}
        inside = {x._storage: k for k, x in enumerate(self.inside)}
        end, written, goes = self.final.n - 1, set(), {}
        for k, x in enumerate(self.inside):
            column = self.final.columns[k]
            if column.kind.weak or column.kind.scalar:
                continue
            if x._storage.value is not self.variables[k]:
                written.add(k)
            leaf = column.leaves[end]
            if isinstance(leaf, Tracer) and leaf._storage in inside and not leaf._steps:
                goes[k] = inside[leaf._storage]
        seen = set()
        for k in sorted(written | set(goes) if isinstance(count, int) else written):
            if k in seen:
                continue
            cycle = [k]
            while cycle[-1] in goes and goes[cycle[-1]] not in cycle:
                cycle.append(goes[cycle[-1]])
            closed = cycle[-1] in goes and goes[cycle[-1]] == k
            cycle = cycle if closed else [k]  # a variable that is bound to another's array is not exchanged with it
            seen.update(cycle)
            given = [self.final.columns[c].leaves[0] for c in cycle]
            whole = closed and all(
                isinstance(g, Tracer) and not g._steps and g._storage.trace.alive for g in given)
            if whole and isinstance(count, int):
                for place, c in enumerate(cycle):
                    # after `count` iterations the variable holds the array that was this many places on
                    target = given[(place + count) % len(cycle)]
                    if not written.isdisjoint(cycle):
                        target._storage.write(after[c])
                    kept[c] = target
            elif not whole and k in written:
                for storage in aliases[k].bases if k in aliases else ():
                    storage.poison = "a loop writes to it in some of its iterations only", self
            elif whole:
                self._exchange_at_run_time(cycle, given, after)
        return kept

    def _exchange_at_run_time(self, cycle, given, after):
        """The number of iterations is not known: choose the content of each array by its remainder."""
        turns = self._turns(after)
        if turns is None:
            for g in given:
                g._storage.poison = "a loop exchanges it with another, and how often is not known", self
            return
        index = remainder(turns, const(len(cycle), I64))
        values = [after[c] for c in cycle]
        branches = []
        for r in range(len(cycle)):
            # array p is held by the variable that was r places before it
            rows = [values[(p - r) % len(cycle)] for p in range(len(cycle))]
            branches.append(rows)
        graph, taken = closed((), [n for rows in branches for n in rows], set(values))
        width = len(cycle)
        node = switch(index, *taken, branches=tuple(
            graph.replace(graph.outs[r * width:(r + 1) * width]) for r in range(width)))
        for g, value in zip(given, results(node)):
            g._storage.write(value)

    def _turns(self, after):
        return None

    def _remember(self):
        names = [n for n, v in self._found if isinstance(v, Tracer) and v._storage in self.content]
        self.flow.memory[self.key] = ({n: [*self.history[n], self.last[n]] for n in self.entry}, names, None)

    _found = ()


def _may_be_same(a, b, shared):
    return a is not None and b is not None and (a is b or bool(shared) and not a.differs(b))
