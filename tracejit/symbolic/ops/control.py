"""Control flow: loops and branches whose bodies are Graphs, traced once and run as often as the data say.

The bodies are closed graphs in the ops' attrs; what they need from outside comes in as operands. Results are tuples,
picked with `item`.
"""

from tracejit.errors import TypeRuleError
from tracejit.symbolic.graph import Graph
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import define, item
from tracejit.symbolic.types import BOOL, I64, Type


def results(node):
    """Return the results of an op with several, as nodes."""
    return tuple(item(node, index=i) for i in range(len(node.type)))


def _check_graph(what, graph, params, outs):
    if not isinstance(graph, Graph) or graph.captures or graph.writes:
        raise TypeRuleError(f"the {what} is a closed graph without captures and writes")
    if graph.params != tuple(params):
        raise TypeRuleError(f"the {what} takes {graph.params}, and is given {tuple(params)}")
    if outs is not None and graph.out_types != tuple(outs):
        raise TypeRuleError(f"the {what} gives {graph.out_types}, not {tuple(outs)}")


# ---------------------------------------------------------------- loops
def _for_type(count, *operands, body, carries):
    if count is not Type(I64):
        raise TypeRuleError(f"for_loop over a count of type {count}")
    _check_graph("body of a for_loop", body, (count, *operands), operands[:carries])
    return operands[:carries]


def _for_ref(count, *operands, body, carries):
    values, invariants = list(operands[:carries]), operands[carries:]
    for k in range(int(count)):
        values = evaluate(body, k, *values, *invariants)
    return tuple(values)


#: ``for k in range(count): carry = body(k, carry..., invariant...)``; the first `carries` operands are carried.
for_loop = define("for_loop", attrs=("body", "carries"), type=_for_type, ref=_for_ref, routine="for_loop",
                  differentiable=None)


def _while_type(*operands, cond, body, carries):
    _check_graph("condition of a while_loop", cond, operands, (Type(BOOL),))
    _check_graph("body of a while_loop", body, operands, operands[:carries])
    return operands[:carries]


def _while_ref(*operands, cond, body, carries):
    values, invariants = list(operands[:carries]), operands[carries:]
    while evaluate(cond, *values, *invariants)[0]:
        values = evaluate(body, *values, *invariants)
    return tuple(values)


#: ``while cond(carry..., invariant...): carry = body(carry..., invariant...)``; carries and invariants as above.
while_loop = define("while_loop", attrs=("cond", "body", "carries"), type=_while_type, ref=_while_ref,
                    routine="while_loop", differentiable=None)


# ---------------------------------------------------------------- branches
def _switch_type(index, *operands, branches):
    if index is not Type(I64) or not branches:
        raise TypeRuleError(f"switch of {len(branches)} branches on an index of type {index}")
    for k, branch in enumerate(branches):
        _check_graph(f"branch {k} of a switch", branch, operands, branches[0].out_types)
    return branches[0].out_types


#: ``branches[index](operands...)``: only that one runs. The index lies in range.
switch = define("switch", attrs=("branches",), type=_switch_type, routine="switch", differentiable=None,
                ref=lambda index, *operands, branches: tuple(evaluate(branches[int(index)], *operands)))
