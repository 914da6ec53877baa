"""Jacobians, graph to graph: the tangents, or cotangents, of all unit vectors at once, as one batch.

What a derivative needs of the point does not depend on the direction, and is computed once for the whole batch.
"""

from tracejit.symbolic import dims
from tracejit.symbolic.autodiff import jvp_nodes, pull_back
from tracejit.symbolic.batching import batch_nodes
from tracejit.symbolic.graph import Graph
from tracejit.symbolic.ir import new_variable
from tracejit.symbolic.ops.scalar import cast, equal
from tracejit.symbolic.ops.shape import full, iota, reshape, transpose, zeros
from tracejit.symbolic.types import I64


def jacobian(graph, wrt, forward):
    """Return the graph of the derivatives of all outputs with respect to the params `wrt`.

    Parameters
    ----------
    graph : Graph
        Its outputs are of floating or complex dtype.
    wrt : sequence of int
        Indices of params of floating or complex dtype.
    forward : bool
        Whether each column is a tangent, or each row a cotangent.

    Returns
    -------
    Graph
        Same params. Outputs, for each output of `graph` and each param: an array with the axes of the output, then
        those of the param.
    """
    leaves = [graph.inputs()[i] for i in wrt]
    if forward:
        columns = [_columns(graph.outs, leaf) for leaf in leaves]
        blocks = [column[k] for k in range(len(graph.outs)) for column in columns]
    else:
        blocks = [block for out in graph.outs for block in _rows(out, leaves)]
    return Graph(graph.params, blocks, graph.captures)


def _columns(outs, leaf):
    """Return the derivatives of all outputs with respect to one leaf, by tangents."""
    if not leaf.ndim:
        tangents = jvp_nodes(outs, {leaf: full(1, leaf.type)})
        return [zeros(out.type) if t is None else t for out, t in zip(outs, tangents)]
    direction = new_variable(leaf.type)
    found = _all_at_once(jvp_nodes(outs, {leaf: direction}), direction)
    return [zeros(out.type.with_shape((*out.shape, *leaf.shape))) if block is None else
            reshape(transpose(block, [*range(1, block.ndim), 0]), (*out.shape, *leaf.shape))
            for out, block in zip(outs, found)]


def _rows(out, leaves):
    """Return the derivatives of one output with respect to all leaves, by cotangents."""
    if not out.ndim:
        return [zeros(leaf.type) if c is None else c for leaf, c in zip(leaves, pull_back(
            [out], [full(1, out.type)], leaves))]
    direction = new_variable(out.type)
    found = _all_at_once(pull_back([out], [direction], leaves), direction)
    return [zeros(leaf.type.with_shape((*out.shape, *leaf.shape))) if block is None else
            reshape(block, (*out.shape, *leaf.shape)) for leaf, block in zip(leaves, found)]


def _all_at_once(nodes, direction):
    """Return a batch of each node, None where it is None, in which the variable `direction` is each unit vector."""
    n = dims.product(direction.shape)
    place = [iota(I64, (n, n), axis) for axis in (0, 1)]
    units = reshape(cast(equal(*place), direction.dtype), (n, *direction.shape))
    found = iter(batch_nodes([node for node in nodes if node is not None], {direction: units}, n))
    return [None if node is None else next(found) for node in nodes]
