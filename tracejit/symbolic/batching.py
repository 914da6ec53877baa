"""A graph applied to a stack of inputs, graph to graph: every value gets a leading batch axis where it needs one.

Values that depend on no batched param stay as they are, and are computed once. An op without a rule for stacks runs in
a loop over the elements.
"""

from tracejit.errors import UnsupportedError
from tracejit.symbolic import dims
from tracejit.symbolic.graph import Graph, close, substitute, topological
from tracejit.symbolic.ir import OPS, Node, const, describe, dim, item, make, map_attrs, new_variable, param
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice
from tracejit.symbolic.ops.scalar import room
from tracejit.symbolic.ops.shape import reshape, stacked, zeros
from tracejit.symbolic.types import I64, Type


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
        Where a size differs from element to element, or an output is written back to a param that is not batched.
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
    single = {}  # what there is for one element, where a size has become that of the largest
    for node in topological(outs):
        if node not in table:
            if node.op is room and node.args[0] in table:
                counts = table[node.args[0]]
                single[node] = room(OPS["reduce_max"](counts, axes=(0,))) if size else const(0, I64)
                continue
            if any(d in table for d in node.dims):
                raise UnsupportedError(f"{describe(node)} has another size for each element of a batch",
                                       do="keep the full size and mask with np.where, or loop over the elements")
            if single and any(a in single for a in (*node.args, *node.dims)):
                single[node] = node.mapped(_Or(single))
            if any(a in table for a in node.args):
                table[node] = _batched(node, table, single, size)
    return [table[n] if n in table else stacked(single.get(n, n), size) for n in outs]


class _Or(dict):
    """A table in which what it lacks stands for itself."""

    def __missing__(self, node):
        return node


def _batched(node, table, single, size):
    args = [table.get(a, single.get(a, a)) for a in node.args]
    batched = tuple(a in table for a in node.args)
    node = single.get(node, node)
    op = node.op
    if op is item:  # the rule of an op with several results returns such a node, or the results
        return args[0][node.attrs[0]] if type(args[0]) is tuple else make(op, tuple(args), node.attrs)
    if op.elementwise:
        return make(op, tuple(a if b else stacked(a, size) for a, b in zip(args, batched)), node.attrs)
    if op.batch is None and op.expand is not None:
        expanded = op.expand(*node.args, **dict(zip(op.attrs, node.attrs)))
        return batch_nodes([expanded], {a: s for a, s, b in zip(node.args, args, batched) if b}, size)[0]
    found = None if op.batch is None else op.batch(node, args, batched)
    return _one_by_one(node, args, batched, size) if found is None else found


def _one_by_one(node, args, batched, size):
    """Return the results of a loop over the elements, each put into its place in a stack."""
    several = type(node.type) is not Type
    kinds = node.type if several else (node.type,)
    outside = [n for n in (size, *node.dims, *(n for a in args for n in a.shape)) if isinstance(n, Node)]
    sizes = {n: new_variable(n.type) for n in outside}
    index = dims.declare(new_variable(Type(I64)), 0, dims.minus(size, 1))
    held = [new_variable(map_attrs(a.type, sizes)) for a in args]
    stacks = [t.with_shape((size, *t.shape)) for t in kinds]
    places = [new_variable(map_attrs(t, sizes)) for t in stacks]
    made = make(node.op, tuple([_element(v, index) if b else v for v, b in zip(held, batched)]),
                map_attrs(node.attrs, sizes))
    rows = [item(made, index=k) for k in range(len(kinds))] if several else [made]
    outs = [dynamic_set_slice(place, reshape(row, (1, *row.shape)), index, *[const(0, I64)] * row.ndim)
            for place, row in zip(places, rows)]
    loop = OPS["for_loop"](dim(size), *map(zeros, stacks), *args, *sizes, carries=len(places),
                           body=close([index, *places, *held, *sizes.values()], outs))
    found = tuple([item(loop, index=k) for k in range(len(kinds))])
    return found if several else found[0]


def _element(stack, index):
    """Return one element of a stack, at a place that is known to be within."""
    shape = stack.shape[1:]
    if stack.shape[0] == 0:
        return zeros(stack.type.with_shape(shape))  # of a loop that never runs
    return reshape(dynamic_slice(stack, index, *[const(0, I64)] * len(shape), sizes=(1, *shape)), shape)
