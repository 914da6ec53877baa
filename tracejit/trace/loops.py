"""`for` and `while` of converted code: run as Python runs them while short or known, else staged as one op."""

from tracejit.symbolic import dims
from tracejit.symbolic.graph import substitute
from tracejit.symbolic.ir import const, dim, new_variable
from tracejit.symbolic.ops.control import for_loop, results, while_loop
from tracejit.symbolic.ops.scalar import bitwise_and, invert, less, not_equal
from tracejit.symbolic.ops.shape import full, reshape, zeros
from tracejit.symbolic.types import BOOL, I64, Type
from tracejit.trace.items import source
from tracejit.trace.lists import List, length
from tracejit.trace.passes import LONGEST, Loop
from tracejit.trace.regions import closed
from tracejit.trace.tracer import Storage, Tracer

#: Loops of at most this many iterations are written out.
SHORT = 8
#: Nests of such loops may write a body out this often.
_SHORT_NEST = 32
#: A loop over Python's own objects is written out for at most so many iterations.
_MOST = 10_000


class For(Loop):
    """A `for` loop; the object that Python iterates over."""

    what = "loop"

    def __init__(self, frame, site, variables, iterable, parent):
        self.iterable, self.source = iterable, None
        self.nest = 1 if parent is None or not isinstance(parent, For) or parent.phase != "plain" else parent.nest
        super().__init__(frame, site, variables)
        self._found = tuple(frame.variables(3).items()) if self.root is not None else ()
        if self.root is not None and self.mode != "unroll":
            self.source = source(iterable)
        self.trial = False
        self.start = 0
        if self.source is not None:
            count = self.source.count
            short = isinstance(count, int) and count <= SHORT and count * self.nest <= _SHORT_NEST
            self.trial = not short
            if short:
                self.nest *= max(count, 1)
        if self.source is None or isinstance(self.source.count, int):
            self.iterator = iter(iterable)

    def __iter__(self):
        return self

    def __next__(self):
        if self.phase == "plain":
            return self._next_plain()
        if self.phase == "pass":
            if self._close(self.frame.variables()):
                self._done()
                raise StopIteration
            return self._open_at()
        raise StopIteration

    def _next_plain(self):
        if self.iterations == 0:
            known = self.key in self.flow.memory or self._growing()
            if self.trial and (not isinstance(self.source.count, int) or known) and (
                    self.mode != "peel" or not isinstance(self.source.count, int)):
                self._begin()
                return self._open_at()
        else:
            worked = self._worked()
            if self.exits or worked:
                found = self.frame.variables(3)
                if worked:
                    if self.trial and self.iterations == 1 and self.mode == "peel":
                        self.start = 1  # the first iteration stands; the rest is staged
                        self._start(found)
                        self._found = tuple(found.items())
                        return self._plain_item()
                    if self.trial:
                        self._begin(found)
                        return self._open_at()
                    self._count_written(LONGEST if self.mode == "unroll" else _MOST)
                if self._left(found) is True:
                    raise StopIteration
        return self._plain_item()

    def _plain_item(self):
        self.iterations += 1
        return next(self.iterator)

    def _most_turns(self):
        count = self.source.count
        return max(count - self.start, 0) if isinstance(count, int) else dims.largest(count, 0)

    def _runs(self):
        return isinstance(self.source.count, int) and self.source.count > self.start

    def _open_at(self):
        """Begin a pass and return what the loop's variable is."""
        self._open()
        count = self.source.count
        most = dims.minus(count, 1 + self.start)
        self.k = dims.declare(new_variable(Type(I64)), 0, most)
        index = self.k if not self.start else self.k + self.start
        return self.source.item(Tracer(Storage(index, self.region.trace), weak=True))

    def _done(self):
        """Put the op into the trace."""
        count = self.source.count
        turns = count - self.start if isinstance(count, int) else count
        count = const(turns, I64) if isinstance(turns, int) else turns
        variables, outs = self._outs()
        outside, initial = self.region.trace.outside, self._initial()
        if not outs:
            self.values = {n: self.built[n]([]) for n in self.names}
            self.phase = "done"
            return
        flags = self._flags()
        if not flags:
            variables, outs, initial = self._counted(count, variables, outs, initial)
            graph, taken = closed([self.k, *variables], outs, outside)
            self.turns = count
            self._finish(for_loop(count, *initial, *taken, body=graph, carries=len(initial)), turns)
            return
        # left early: a while loop that counts
        left = [v for v, c in zip(variables, self.final.columns) if c.where in flags]
        variables, outs, initial = [*variables, self.k], [*outs, self.k + 1], [*initial, const(0, I64)]
        bound = new_variable(Type(I64))
        going = less(self.k, bound)
        for flag in left:
            going = bitwise_and(going, invert(flag))
        graph, taken = closed([*variables, bound], [*outs, going], outside)
        node = while_loop(*initial, count, *taken, body=graph.replace(graph.outs[:-1]), cond=graph.replace(
            graph.outs[-1:]), carries=len(initial))
        self.turns = results(node)[-1]
        self._finish(node)

    def _counted(self, count, variables, outs, initial):
        """Return what is carried without the numbers of items of lists that get as many more in each iteration."""
        outside, table, dropped = self.region.trace.outside, {}, set()
        for s in [rows.count for rows in self.flow.rows if rows.count in self.content]:
            v = self.content[s]
            place = variables.index(v)
            each = dims.minus(outs[place], v)
            if type(each) is int:
                start = dims.entry(s.value)
                table[v] = dim(dims.plus(start, dims.times(each, self.k)))
                outside.add(dim(start))
                dropped.add(place)
                del self.content[s]
                s.write(dim(dims.plus(start, dims.times(each, self._most_turns()))))
        keep = lambda given: [x for p, x in enumerate(given) if p not in dropped]
        return keep(variables), list(substitute(keep(outs), table)) if table else outs, keep(initial)

    def _turns(self, after):
        return self.turns


class While(Loop):
    """A `while` loop, which asks its test inside."""

    def __init__(self, frame, site, variables, condition):
        super().__init__(frame, site, variables)
        self._found = tuple(frame.variables(3).items()) if self.root is not None else ()
        self.condition, self.more, self.test = condition, True, None

    def next(self):
        """Return whether there is (perhaps) another iteration."""
        if self.phase == "plain":
            return self._next_plain()
        if self.phase == "pass":
            if self._close(self.frame.variables(2)):
                self._done()
                return False
            self._open()
            return True
        return False

    def _next_plain(self):
        if self.iterations == 0:
            self.iterations = 1
            if self.root is not None and self.mode is None and (self.key in self.flow.memory or self._growing()):
                self._begin()
                self._open()
            return True
        if self.more is False:
            return False
        found = self.frame.variables(3)
        if self.more is None:  # a traced test
            self._begin(found if self.iterations > 1 else None)
            self._open()
            return True
        self.iterations += 1
        worked = self._worked()
        if self.root is not None:
            left = self._left(found)
            if left is True:
                return False
            if self.mode == "peel" and self.iterations == 2:
                self._start(found)
                self._found = tuple(found.items())
                if left is None:  # whether there is a second iteration is not known, nor what goes wrong in it
                    self._begin()
                    self._open()
                return True
            if self.mode != "unroll" and (left is None or worked and self.busy >= SHORT):
                self._begin(found)
                self._open()
                return True
            if left is None and any(bool(found[n]) for n in self.exits):
                return False
            if worked:
                self._count_written()
        return True

    def holds(self, test):
        """Take the test; return whether the body runs."""
        if isinstance(test, List):
            test = length(test) > 0
        if self.phase == "pass":
            self.test = test
            return True
        cond = self.condition(self.flow, test, (self.site, "test"))
        if type(cond) is not bool and self.mode == "unroll":
            cond = bool(test)
        self.more = cond if type(cond) is bool else None
        return self.more is True

    def _extra(self):
        return [self.test]

    def _done(self):
        variables, outs = self._outs()
        going = self._going()
        initial = self._initial()
        for v, c in zip(variables, self.final.columns):
            if c.where in self._flags():
                going = bitwise_and(going, invert(v))
        self.turns = None
        if self._cycles():
            turn = new_variable(Type(I64))
            variables, outs, initial = [*variables, turn], [*outs, turn + 1], [*initial, const(0, I64)]
            self.turns = len(outs) - 1
        graph, taken = closed(variables, [*outs, going], self.region.trace.outside)
        node = while_loop(*initial, *taken, body=graph.replace(graph.outs[:-1]), cond=graph.replace(graph.outs[-1:]),
                          carries=len(initial))
        self._finish(node)

    def _going(self):
        test = self.test
        if not isinstance(test, Tracer):
            return full(bool(test), Type(BOOL))
        node = self.region.nodes.get((test._storage, test._steps))
        node = test.node if node is None else node
        if node.type.size != 1:
            bool(test)  # NumPy's error
        node = reshape(node, ())
        return node if node.dtype == BOOL else not_equal(node, zeros(node.type))

    def _cycles(self):
        """Return whether arrays that are written to are handed round."""
        return any(x._storage.value is not v and not (c.kind.weak or c.kind.scalar)
                   for x, v, c in zip(self.inside, self.variables, self.final.columns))

    def _turns(self, after):
        return None if self.turns is None else after[self.turns]


__all__ = ["SHORT", "For", "Loop", "While"]
