"""Loops that run side by side and carry the same become one, and so do branches on one index.

The derivative of a loop computes its values again, beside tangents or what the way back needs: merged with the plain
loop it computes them once.
"""

import weakref

from tracejit.opt.loops import OpenLoop
from tracejit.symbolic.graph import close, substitute, topological
from tracejit.symbolic.ir import item, map_attrs, new_variable, param, scalar_literal
from tracejit.symbolic.ops.control import for_loop, results, switch, while_loop

_OPS = frozenset((for_loop, while_loop, switch))
#: Node → those that it cannot become one with.
_apart = weakref.WeakKeyDictionary()
_known_forms = weakref.WeakKeyDictionary()


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
    order = topological(outs)
    if sum(node.op in _OPS for node in order) < 2:
        return None
    needs, bits, alike = {}, {}, {}
    for node in order:
        mask = 0
        for a in (*node.args, *node.dims):
            mask |= needs[a]
        if node.op in _OPS:
            for start in _starts(node):
                for other in alike.get(start, ()):
                    # the other comes first, so it does not need this one
                    if not mask & bits[other] and node not in _apart.get(other, ()):
                        together = _switches(other, node) if node.op is switch else _loops(other, node)
                        if together is not None:
                            return dict(zip([*results(other), *results(node)], together))
                        _apart.setdefault(other, weakref.WeakSet()).add(node)
            for start in _starts(node):
                alike.setdefault(start, []).append(node)
            bits[node] = 1 << len(bits)
            mask |= bits[node]
        needs[node] = mask
    return None


def _starts(node):
    """Return what a node must have in common with another to be merged: the index, or the count and one carry's first
    value and form.
    """
    if node.op is switch:
        return [(switch, node.args[0], len(node.attr("branches")))]
    count, first = (node.args[0], 1) if node.op is for_loop else (None, 0)
    pairs = zip(node.args[first:], _forms(node, first))
    return list(dict.fromkeys((node.op, count, x, form) for x, form in pairs))


def _forms(node, first):
    """Return a hash of what a loop makes of each carry, the same for all that merging could make the same."""
    found = _known_forms.get(node)
    if found is None:
        body, held, table = node.attr("body"), first + node.attr("carries"), {}
        for inner in body.topological():
            if inner.op is param:
                k = inner.attrs[0]
                table[inner] = hash(inner.type if k < held else node.args[k])
            elif inner.op in _OPS or inner.op is item:
                table[inner] = hash(inner.op)
            else:
                attrs = None if inner.dims else inner.attrs
                table[inner] = hash((inner.op, attrs, *(table[a] for a in inner.args)))
        found = _known_forms[node] = tuple([table[n] for n in body.outs])
    return found


def _switches(a, b):
    """Return the results of both, of one switch, equal ones once."""
    variables = {}
    for x in sorted((*a.args[1:], *b.args[1:]), key=lambda x: x.ndim):  # sizes before the arrays that have them
        literal = scalar_literal(x) is not None and not x.ndim
        variables[x] = x if literal else new_variable(map_attrs(x.type, variables))
    given = [x for x, v in variables.items() if v is not x]
    rows = [[*one.call([variables[x] for x in a.args[1:]]), *other.call([variables[x] for x in b.args[1:]])]
            for one, other in zip(a.attr("branches"), b.attr("branches"), strict=True)]
    columns = list(zip(*rows))
    kept = list(dict.fromkeys(columns))
    branches = tuple([close([variables[x] for x in given], row) for row in zip(*kept)])
    made = results(switch(a.args[0], *given, branches=branches))
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

