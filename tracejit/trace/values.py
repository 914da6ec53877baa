"""The content of traced values where Python needs it: what is known while tracing, and what this call gives."""

from tracejit.errors import ConcretizationError, NotDifferentiableError, user_frame
from tracejit.symbolic.autodiff import moves_with
from tracejit.symbolic.graph import free_variables, substitute
from tracejit.symbolic.interp import evaluate_nodes
from tracejit.symbolic.ir import const_op, const_value, variable
from tracejit.trace.tracer import Restart, current_trace

_EACH_ELEMENT = "a value that differs between the elements of a batch,"
_EACH = ("write the choice with np.where, or as an if that Python can hand over to the graph: vmap makes one trace for "
         "all elements; or loop over the elements")
_REMEDY = ("write the choice with np.where, or tracejit.cond, while_loop or scan; or declare the argument it comes "
           "from as static, with static_argnums= or static_argnames=")


def known(x):
    """Return the array of a tracer whose content does not depend on any input, else None."""
    node = x.node
    if node.op is const_op:
        return const_value(node)
    trace = current_trace()
    if trace is not None and trace.root.guards is not None and (fact := trace.root.guards.known(node)) is not None:
        return fact
    seen, stack = {node}, [node]
    while stack:
        below = stack.pop()
        if below.op.name in ("for_loop", "while_loop"):
            return None  # it may run for long, and does so compiled
        for arg in (*below.args, *below.dims) if below.dims else below.args:
            if arg.op is variable:
                return None
            if arg not in seen:
                seen.add(arg)
                stack.append(arg)
    return None if node.op is variable else evaluate_nodes([node], {})[0]


def concrete(x, what, do=None):
    """Return the content of a tracer as an array: what is known while tracing, else what this call's inputs give.

    The second is recorded as a guard. Raises where there are no inputs, as ahead of time, where the value depends on
    variables of a loop or branch, for a Python number among the arguments, which becomes static instead, and where a
    derivative is taken of the value: it would not see what becomes of the number.
    """
    value = known(x)
    trace = current_trace()
    if value is None and _is_differentiated(x.node, trace):
        raise NotDifferentiableError(
            f"{what} of a traced array of type {x.type} of which a derivative is taken", where=user_frame(),
            do="use NumPy's functions on the array itself; or hold it constant here, by tracejit.stop_gradient(x)")
    if value is None and trace is not None and trace.root.guards is not None:
        node = lifted(x.node, trace)
        value = trace.root.guards.known(node)
        if value is None:
            value = trace.root.guards.decide(node, what, trace, deciding_number(node))
    if value is None:
        raise not_concrete(x.node, what, do)
    return value


def number(x, what):
    """Return the array, the NumPy number or the Python number that this call has in the place of a tracer."""
    value = concrete(x, what)
    return value.item() if x.weak else value[()] if x.scalar else value


def not_concrete(node, what, do=None):
    """Return the error of a node whose content Python needs and nobody knows.

    Where that hangs on a number outside of the function that each call looks up, it is held constant from now on.
    """
    number, trace = deciding_number(node), current_trace()
    if type(number) is tuple:
        trace.root.flow.decisions[number] = False
        raise Restart
    of, do = (_EACH_ELEMENT, _EACH) if _differs(node, trace) else ("a traced array", do or _REMEDY)
    error = ConcretizationError(f"{what} of {of} of type {node.type}", where=user_frame(), do=do)
    error.argument = number
    return error


def _is_differentiated(node, trace):
    """Return whether a derivative is taken by something that the value moves with."""
    while trace is not None and trace.parent is not None:
        if (trace.orders or 0) > (trace.parent.orders or 0) and moves_with(node, trace.leaves):
            return True
        node, = substitute([node], trace.bound) if trace.bound else (node,)
        trace = trace.parent
    return False


def _differs(node, trace):
    """Return whether a value is another one for each element of a batch."""
    elements = set()
    while trace is not None:
        elements.update(trace.leaves if trace.mapped else ())
        trace = trace.parent
    return bool(elements) and not elements.isdisjoint(free_variables([node]))


def lifted(node, trace):
    """Return a node with the variables of inner traces replaced by what they stand for, where that is one node."""
    while trace is not None:
        if trace.bound:
            node, = substitute([node], trace.bound)
        trace = trace.parent
    return node


def deciding_argument(node):
    """Return the index of a Python number among the arguments on which alone the value depends, else None."""
    number = deciding_number(node)
    return number if type(number) is int else None


def deciding_number(node):
    """Return the index of the Python number among the arguments on which alone the value depends.

    For one outside of the function return the key of the decision to look it up; None where there is more.
    """
    if current_trace() is None:
        return None
    root, found = current_trace().root, []
    for v in free_variables([node]):
        index, weak = root.leaves.get(v, (None, False))
        found.append(index if weak else root.session.key_of(v) if root.session is not None else None)
    if not found or None in found:
        return None
    return min(found, key=lambda f: type(f) is tuple)  # an argument first
