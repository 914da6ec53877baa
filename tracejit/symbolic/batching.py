"""A graph applied to a stack of inputs, graph to graph: every value gets a leading batch axis where it needs one.

Values that depend on no batched param stay as they are, and are computed once.
"""

from tracejit.errors import UnsupportedError
from tracejit.symbolic.graph import Graph, substitute, topological
from tracejit.symbolic.ir import describe, item, make, new_variable, param
from tracejit.symbolic.ops.shape import stacked


def batch(graph, in_batched, size):
    """Return the graph that maps over the leading axis of the batched params.

    Parameters
    ----------
    graph : Graph
    in_batched : sequence of bool
        Which params get a leading batch axis; the others are the same for every element.
    size : int or Node
        Length of the batch axis.

    Returns
    -------
    Graph
        Outputs all carry the batch axis, also those that are the same for every element.

    Raises
    ------
    UnsupportedError
        Where an op has no batching rule, or an output is written back to a param that is not batched.
    """
    for p, _ in graph.writes:
        if not in_batched[p]:
            raise UnsupportedError(f"param {p} is written by every element of a batch, and is not batched itself",
                                   do="batch it too, or return the new value instead of writing it")
    inputs = graph.inputs()
    params = [t.with_shape((size, *t.shape)) if b else t for t, b in zip(graph.params, in_batched)]
    fresh = [new_variable(t) for t in params]
    outs = batch_nodes(graph.outs, {n: v for n, v, b in zip(inputs, fresh, in_batched) if b}, size)
    table = {v: param(index=i, type=t) for i, (v, t) in enumerate(zip(fresh, params))}
    return Graph(params, substitute(outs, table), graph.captures, graph.writes)


def batch_nodes(outs, table, size):
    """Return `outs` with a batch axis, given the stacks of leaves (dict from node to node with that axis)."""
    table = dict(table)
    for node in topological(outs):
        if node not in table:
            if any(d in table for d in node.dims):
                raise UnsupportedError(f"{describe(node)} has another size for each element of a batch",
                                       do="call it on one element at a time, or make all sizes the largest")
            if any(a in table for a in node.args):
                table[node] = _batched(node, table, size)
    return [table[n] if n in table else stacked(n, size) for n in outs]


def _batched(node, table, size):
    op = node.op
    args = [table.get(a, a) for a in node.args]
    batched = tuple(a in table for a in node.args)
    if op is item:  # the rule of an op with several results returns such a node, or the results
        return args[0][node.attrs[0]] if type(args[0]) is tuple else make(op, tuple(args), node.attrs)
    if op.elementwise:
        return make(op, tuple(a if b else stacked(a, size) for a, b in zip(args, batched)), node.attrs)
    if op.batch is not None:
        return op.batch(node, args, batched)
    if op.expand is not None:
        expanded = op.expand(*node.args, **dict(zip(op.attrs, node.attrs)))
        return batch_nodes([expanded], {a: table[a] for a in node.args if a in table}, size)[0]
    raise UnsupportedError(f"{describe(node)} has no batching rule", do="call it on one element at a time")
