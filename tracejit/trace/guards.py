"""Guards: recorded facts about concrete values on which a trace depends.

Where Python needs the content of a traced value (`if x > 0`, `int(n)`, a size that depends on the data), the call that
is being traced has it: the value is computed from the actual inputs, the fact recorded, and tracing goes on along that
branch. A later call runs the compiled code only if the same facts hold for its own inputs.
"""

from typing import Any, NamedTuple

import numpy as np

from tracejit.errors import user_frame
from tracejit.symbolic.graph import close
from tracejit.symbolic.interp import extend
from tracejit.symbolic.ir import Node, variable
from tracejit.trace.tracer import Tracer, current_trace, wrap
from tracejit.trace.values import concrete, lifted

__all__ = ["Fact", "Guards", "Undecided", "guarded_int", "is_fine"]

#: A content of more elements than this is no fact but data.
_MOST_ELEMENTS = 64
#: A Python number that is asked about more often in one trace becomes static: that is cheaper to compare.
_MOST_QUESTIONS = 16
#: Ops whose meaning in NumPy runs a graph again and again.
LOOPS = {"for_loop", "while_loop"}


class Fact(NamedTuple):
    """What a node was found to be: where in the user's file it was asked for, and as what."""

    node: Node
    value: Any
    what: str
    where: str | None

    def __str__(self):
        shown = self.value.item() if self.value.ndim == 0 else self.value.tolist()
        return f"{self.where}: {self.what} is {shown}"


class Undecided(BaseException):
    """A value that steers the trace cannot be computed from these inputs; the call is left to NumPy.

    Not an Exception, so that no handler of the user's takes it for the error that NumPy raises.
    """


class Guards:
    """The facts of one trace, and the actual inputs of the call that it is made for.

    Parameters
    ----------
    values : dict
        Variable of an argument → its array.
    run : callable, optional
        ``run(graph, arrays)`` gives the outputs by compiled code: for loops, which NumPy would walk in Python.
    """

    __slots__ = ("facts", "_values", "_run", "_known", "_questions")

    def __init__(self, values, run=None):
        self.facts = []
        self._values = dict(values)
        self._run = run
        self._known = {}  # node → value of the facts
        self._questions = {}  # set of the Python numbers among the arguments → facts about them alone

    def known(self, node):
        """Return the recorded value of a node, or None."""
        return self._known.get(node)

    def decide(self, node, what, trace, argument=None):
        """Return the value of a node for these inputs and record it; None where a guard does not serve.

        `argument` tells of the Python number on which alone it depends, and which could be static instead.
        """
        if type(node.type.size) is not int or node.type.size > _MOST_ELEMENTS:
            return None
        if argument is not None:
            asked = self._questions[argument] = self._questions.get(argument, 0) + 1
            if node.dtype != bool or node.op is variable or asked > _MOST_QUESTIONS:
                return None
        value = self.value(node, trace)
        if value is not None:
            self._known[node] = value
            self.facts.append(Fact(node, value, what, user_frame()))
        return value

    def value(self, node, trace):
        """Return what a node is for these inputs; None where it depends on a variable of a trace inside this one."""
        leaves, loops = self._missing(node)
        for leaf in leaves:
            found = self._input(leaf, trace)
            if found is None:
                return None
            self._values[leaf] = found
        try:
            leaves = self._leaves(node) if loops and self._run is not None else []
            if leaves and all(v.type.is_static for v in leaves):
                graph = close(leaves, [node])
                self._values[node], = self._run(graph, [self._values[v] for v in leaves])
            else:
                extend([node], self._values)
        except Exception as error:
            raise Undecided(str(error)) from error
        return np.array(self._values[node])

    def _missing(self, node):
        """Return the variables that a node needs and that have no value yet, and whether there are loops to run."""
        seen, stack, leaves, loops = set(), [node], [], False
        while stack:
            n = stack.pop()
            if n in seen or n in self._values:
                continue
            seen.add(n)
            if n.op is variable:
                leaves.append(n)
            loops |= n.op.name in LOOPS
            stack += (*n.args, *n.dims)
        return leaves, loops

    def _leaves(self, node):
        """Return the nodes with values that `node` needs."""
        seen, stack, leaves = set(), [node], []
        while stack:
            n = stack.pop()
            if n in seen:
                continue
            seen.add(n)
            if n.op is variable:
                leaves.append(n)
            stack += (*n.args, *n.dims)
        return leaves

    @staticmethod
    def _input(leaf, trace):
        """Return the content of a captured array; None for a variable of a trace inside this one."""
        for key, storage in trace.root.captures.values():
            if storage.variable is leaf:
                return np.asarray(getattr(key, "_data", key), leaf.dtype)
        return None


def guarded_int(x, what, do=None):
    """Return a traced integer as a Python int: what is known while tracing, else the value of this call, guarded.

    Parameters
    ----------
    x : Tracer, Node or int
        A single integer.
    what : str
        What it is, for the error and for `cache_info`, such as ``"the number of nonzero elements"``.
    do : str, optional
        The remedy where the trace has no actual inputs.

    Raises
    ------
    ConcretizationError
        Ahead of time, or inside the body of a loop or branch on which the value depends.
    """
    if isinstance(x, Node):
        x = wrap(x)
    return int(concrete(x, what, do).reshape(())) if isinstance(x, Tracer) else int(x)


def is_fine(node):
    """Return whether a node can be computed from the inputs of this call, which raises what is wrong in it."""
    trace = current_trace()
    try:
        return trace.root.guards.value(lifted(node, trace), trace) is not None
    except Undecided as why:
        raise why.__cause__ from None
