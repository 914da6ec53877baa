"""Loops that run side by side and carry the same become one, and so do branches on one index.

The derivative of a loop computes its values again, beside tangents or what the way back needs: merged with the plain
loop it computes them once.
"""

from tracejit.opt.loops import OpenLoop
from tracejit.symbolic.graph import close, substitute, topological
from tracejit.symbolic.ir import new_variable
from tracejit.symbolic.ops.control import for_loop, results, switch, while_loop


def merge(graph):
    """Return the graph with loops that carry the same, and branches on one index, merged."""
    outs = merge_nodes(graph.outs)
    return graph if outs == graph.outs else graph.replace(outs)


def merge_nodes(outs):
    """Return nodes of which those that loop or branch are merged."""
    outs = tuple(outs)
    while (table := _first_merge(outs)) is not None:
        outs = substitute(outs, table)
    return outs


def _first_merge(outs):
    """Return what replaces the results of two nodes that can become one, or None."""
    found = [node for node in topological(outs) if node.op in (for_loop, while_loop, switch)]
    if len(found) < 2:
        return None
    for j, b in enumerate(found):
        for a in found[:j]:
            if a.op is b.op and (a.op is while_loop or a.args[0] is b.args[0]):
                # a comes first, so it does not need b
                together = _switches(a, b) if a.op is switch else _loops(a, b)
                if together is not None and a not in topological([b]):
                    return dict(zip([*results(a), *results(b)], together))
    return None


def _switches(a, b):
    """Return the results of both, of one switch, equal ones once."""
    variables = {operand: new_variable(operand.type) for operand in (*a.args[1:], *b.args[1:])}
    rows = [[*one.call([variables[x] for x in a.args[1:]]), *other.call([variables[x] for x in b.args[1:]])]
            for one, other in zip(a.attr("branches"), b.attr("branches"), strict=True)]
    columns = list(zip(*rows))
    kept = list(dict.fromkeys(columns))
    branches = tuple([close(variables.values(), row) for row in zip(*kept)])
    made = results(switch(a.args[0], *variables, branches=branches))
    return [made[kept.index(column)] for column in columns]


def _loops(a, b):
    """Return the results of both, of one loop, where they have a carry in common; else None."""
    both, other = OpenLoop(a), OpenLoop(b)
    n, m = len(both.carried), len(other.carried)
    if both.index is not None:
        other.replace({other.index: both.index})
    both.test = [*both.test, *other.test]
    for name in ("before", "carried", "outs", "given", "held"):
        setattr(both, name, [*getattr(both, name), *getattr(other, name)])
    both.places = list(range(n + m))
    both.merge_equal(merge_nodes)
    if len(both.carried) == n + m or len(set(both.test)) > 1:
        return None
    both.test = both.test[:1]
    both.drop_unused_held()
    return both.results()

