"""Derivatives, graph to graph: tangents go forward, and reverse mode is the transpose of what they computed.

A tangent or cotangent that is zero everywhere is None, so no zeros are added and no ones multiplied. Values of integer
and bool dtype have no tangent. Residuals need no bookkeeping: the derivative uses the same nodes.

The branch that a `select` does not take has no part in a derivative, be its own infinite: a cotangent that is zero
where a condition does not hold is kept as `select(condition, cotangent, 0)` while it is multiplied, so that no 0 meets
an infinity.

Complex values: the tangent of z is any complex direction t, a cotangent c pairs with it as ``Re(sum(c * t))``
(transposes are not conjugated), hence the gradient of a real f is ``df/dx - i df/dy``, and its conjugate points uphill.
"""

from tracejit.errors import NotDifferentiableError, user_frame
from tracejit.symbolic.graph import Graph, close, graphs_in, substitute, topological
from tracejit.symbolic.ir import Node, describe, item, new_variable, param, scalar_literal
from tracejit.symbolic.ops.scalar import add, multiply, negative, select, subtract
from tracejit.symbolic.ops.shape import full_like, zeros
from tracejit.symbolic.types import Type

#: What shows the elements of another array.
_VIEWS = frozenset(("broadcast", "reshape", "transpose"))


# ---------------------------------------------------------------- graph to graph
def jvp(graph, active=None):
    """Return the graph that also pushes tangents forward.

    Parameters
    ----------
    graph : Graph
    active : sequence of int, optional
        Indices of the params that get a tangent; default: all of floating or complex dtype, but no captures.

    Returns
    -------
    Graph
        Params: those of `graph`, then one tangent per active param (captures stay last). Outputs: those of `graph`,
        then one tangent each; zeros where an output does not depend on an active param, or is not of floating dtype.
    """
    active = _visible_inexact(graph) if active is None else tuple(active)
    inputs = graph.inputs()
    added = _added_leaves(graph, [graph.params[i] for i in active])
    tangents = {inputs[i]: t for i, t in zip(active, added) if _has_tangent(t.type)}
    results = [_or_zeros(t, n.type) for t, n in zip(_pushed(graph.outs, tangents), graph.outs)]
    return _extended(graph, added, [*graph.outs, *results], {k: k for k in range(len(graph.outs))})


def vjp(graph, wrt):
    """Return the graph that pulls cotangents back.

    Parameters
    ----------
    graph : Graph
    wrt : sequence of int
        Indices of the params whose cotangents are wanted.

    Returns
    -------
    Graph
        Params: those of `graph`, then one cotangent per output (captures stay last); those of integer outputs are
        ignored. Outputs: one cotangent per entry of `wrt`, zeros where nothing depends on it; then the outputs that
        `writes` names.
    """
    cotangents = _added_leaves(graph, graph.out_types)
    pulled = pull_back(graph.outs, cotangents, [graph.inputs()[i] for i in wrt])
    outs = [_or_zeros(ct, graph.params[i]) for ct, i in zip(pulled, wrt)]
    return _extended(graph, cotangents, outs, {})


def grad(graph, wrt):
    """Return the graph of the gradients of output 0, a scalar, with respect to the params `wrt`, and the other outputs.

    Raises
    ------
    NotDifferentiableError
        Where output 0 is not a real scalar, or a param in `wrt` is of integer or bool dtype.
    """
    gradients = _gradients(graph, wrt)
    others = {k: len(wrt) + k - 1 for k in range(1, len(graph.outs))}
    return _extended(graph, [], [*gradients, *graph.outs[1:]], others)


def value_and_grad(graph, wrt, holomorphic=False):
    """Return the graph of all outputs, then the gradients of output 0 with respect to the params `wrt`; see `grad`.

    Where `holomorphic`, output 0 is a complex scalar, and they are its derivatives df/dz.
    """
    gradients = _gradients(graph, wrt, "c" if holomorphic else "f")
    return _extended(graph, [], [*graph.outs, *gradients], {k: k for k in range(len(graph.outs))})


def linearize(graph, active):
    """Split the derivative into what needs the point and what needs the direction.

    Parameters
    ----------
    graph : Graph
    active : sequence of int
        Indices of the params that get a tangent.

    Returns
    -------
    forward : Graph
        Params of `graph`; its outputs, then the residuals.
    linear : Graph
        Params: the residuals, then one tangent per active param; outputs: one tangent per output of `graph`. It is
        linear in the tangents, so `transpose_nodes` gives the pullback from the same residuals.
    """
    tangents = [new_variable(graph.params[i]) for i in active]
    leaves = {graph.inputs()[i]: t for i, t in zip(active, tangents) if _has_tangent(t.type)}
    outs = [_or_zeros(t, n.type) for t, n in zip(_pushed(graph.outs, leaves), graph.outs)]
    return _split(graph, outs, tangents)


def linearize_transpose(graph, wrt):
    """Split reverse mode as `linearize` splits forward mode: backward takes the residuals, then the cotangents."""
    cotangents = [new_variable(t) for t in graph.out_types]
    pulled = pull_back(graph.outs, cotangents, [graph.inputs()[i] for i in wrt])
    return _split(graph, [_or_zeros(ct, graph.params[i]) for ct, i in zip(pulled, wrt)], cotangents)


# ---------------------------------------------------------------- nodes to nodes
def jvp_nodes(outs, tangents):
    """Return the tangents of `outs`, given those of leaves (dict from node to tangent node); None is zero."""
    table = dict(tangents)
    for node in _carrying(outs, table):
        inner = [table.get(a) for a in node.args]
        table[node] = _tangent(node, inner) if any(t is not None for t in inner) else None
    return [table.get(n) for n in outs]


def moves_with(node, leaves):
    """Return whether the derivative of `node` by one of some leaves may be other than zero."""
    leaves = {n for n in leaves if _has_tangent(n.type)}
    return node in leaves or bool(leaves) and any(a in leaves for n in _carrying([node], {}) for a in n.args)


def _carrying(outs, known):
    """Return the nodes whose tangents those of `outs` are made of, arguments first: what is constant hides the rest."""
    order, seen, stack = [], set(known), [(n, False) for n in reversed(outs)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            if node.op.differentiable is not False and (type(node.type) is not Type or _has_tangent(node.type)):
                stack.append((node, True))
                stack.extend((a, False) for a in reversed(node.args))
    return order


def _pushed(outs, tangents):
    """Return tangents that are wanted for themselves, and not to be transposed."""
    found = jvp_nodes(outs, tangents)
    stack, seen = [[t for t in found if t is not None]], set()
    while stack:
        for node in topological(stack.pop()):
            if node.op.name == "custom_tangents":
                raise NotDifferentiableError(
                    f"{node.attr('name')} is a custom_vjp function, and forward-mode derivatives (jvp) of it were "
                    "asked", where=user_frame(),
                    do="take reverse-mode derivatives (grad, vjp), or write its rule with custom_jvp")
            stack += [g.outs for g in graphs_in(node.attrs) if g not in seen]
            seen.update(graphs_in(node.attrs))
    return found


def transpose_nodes(outs, cotangents, leaves):
    """Return the cotangents of `leaves`, in which the nodes `outs` are linear, given those of `outs`; None is zero."""
    depends = set(leaves)
    order = []
    for node in topological(outs):
        if node not in depends and any(a in depends for a in node.args):
            depends.add(node)
            order.append(node)
    table = {}
    for node, ct in zip(outs, cotangents):
        if node in depends and ct is not None:
            table.setdefault(node, []).append(ct)
    for node in reversed(order):
        received = table.pop(node, None)
        if received is None:
            continue
        if node.op is item:
            table.setdefault(node.args[0], []).append((node.attrs[0], _sum_masked(received)))
            continue
        ct = _sum_masked(received) if type(node.type) is Type else _collect_items(received, node.type)
        wanted = tuple(a in depends for a in node.args)
        for arg, back in zip(node.args, _transposed(node, ct, wanted)):
            if back is not None and arg in depends:
                table.setdefault(arg, []).append(back)
    return [_sum_masked(table[leaf]) if leaf in table else None for leaf in leaves]


def pull_back(outs, cotangents, wrt):
    """Return the cotangents of the nodes `wrt`, given those of `outs`: the transpose of their jvp; None is zero.

    The nodes `wrt` may be params, variables or inner nodes; integer ones get None.
    """
    leaves = {node: new_variable(node.type) for node in wrt if _has_tangent(node.type)}
    directions = jvp_nodes(outs, leaves)
    moved = [(t, ct) for t, ct in zip(directions, cotangents) if t is not None and ct is not None]
    pulled = transpose_nodes([t for t, _ in moved], [ct for _, ct in moved], list(leaves.values()))
    table = dict(zip(leaves, pulled))
    return [table.get(node) for node in wrt]


def sum_nodes(terms):
    """Return the sum of nodes as a balanced tree; a term that comes several times is multiplied."""
    if len(terms) == 1:
        return terms[0]
    counts = {}
    for term in terms:
        counts[term] = counts.get(term, 0) + 1
    level = [term if n == 1 else full_like(n, term) * term for term, n in counts.items()]
    while len(level) > 1:
        level = [level[i] + level[i + 1] if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    return level[0]


# ---------------------------------------------------------------- one node
def _tangent(node, tangents):
    """Return the tangent of a node from those of its arguments, or None; a tuple for an op with several results."""
    op = node.op
    if op is item:
        # a rule returns one tangent per result; of a linear op it is another application of it
        whole = tangents[0]
        return whole[node.attrs[0]] if type(whole) is tuple else item(whole, index=node.attrs[0])
    if type(node.type) is Type and not _has_tangent(node.type):
        return None
    if op.partials is not None:
        return _from_partials(node, tangents)
    if op.linear == "joint":
        return _jointly(node, tangents)
    if op.linear == "each":
        return _each(node, tangents)
    if op.linear is not None and op.linear != "inside":
        return _partly_linear(node, tangents)
    if op.jvp is not None:
        return op.jvp(node, tangents)
    if op.differentiable is None:
        raise _refusal(node)
    return None


def _from_partials(node, tangents):
    partials = node.op.partials(*node.args, **dict(zip(node.op.attrs, node.attrs)))
    terms = [_product(p, t) for p, t in zip(partials, tangents) if p is not None and t is not None]
    return _sum_or_none(terms)


def _jointly(node, tangents):
    """A map linear in all arguments together is its own tangent."""
    if node.op is add or node.op is subtract:
        x, y = tangents
        if y is None:
            return x
        if x is None:
            return y if node.op is add else -y
    return node.rebuild([_or_zeros(t, a.type) for t, a in zip(tangents, node.args)])


def _each(node, tangents):
    """The product rule."""
    terms = []
    for i, t in enumerate(tangents):
        if t is None:
            continue
        if node.op is multiply:
            terms.append(_product(node.args[1 - i], t))
        else:
            terms.append(node.rebuild([*node.args[:i], t, *node.args[i + 1:]]))
    return _sum_or_none(terms)


def _partly_linear(node, tangents):
    """Linear in some arguments while the others are held; the op's `jvp` answers for the others."""
    positions = node.op.linear
    terms = []
    if any(tangents[i] is not None for i in _positions(node)):
        held = list(node.args)
        for i in _positions(node):
            held[i] = _or_zeros(tangents[i], node.args[i].type)
        terms.append(node.rebuild(held))
    if any(t is not None for i, t in enumerate(tangents) if i not in positions):
        if node.op.jvp is None:
            raise _refusal(node)
        others = [None if i in positions else t for i, t in enumerate(tangents)]
        terms.append(node.op.jvp(node, others))
    return _sum_or_none(terms)


def _positions(node):
    return [i for i in node.op.linear if i < len(node.args)]


def _transposed(node, ct, wanted):
    """Return the cotangents of a linear node's arguments."""
    linear = node.op.linear
    nonlinear = (node.op.transpose is None or (linear == "each" and sum(wanted) > 1)
                 or (type(linear) is tuple and any(w and i not in linear for i, w in enumerate(wanted))))
    if nonlinear:
        raise NotDifferentiableError(
            f"{describe(node)} cannot be transposed: a derivative rule is not linear in its tangents",
            do="take forward-mode derivatives (jvp), or report the function that was differentiated")
    mask = _mask_of(ct) if isinstance(ct, Node) else None
    moved = mask and _moved(mask[0], node, wanted)
    if moved is not None:
        return tuple(None if back is None else moved.over(back) for back in _transposed(node, mask[1], wanted))
    if node.op is multiply:
        return tuple(_product(ct, node.args[1 - i]) if w else None for i, w in enumerate(wanted))
    if node.op is negative and scalar_literal(ct) is not None:
        return (full_like(-scalar_literal(ct), ct),)
    return node.op.transpose(ct, node, wanted)


class _Mask:
    """A condition, and whether it is where it does not hold that something is not zero."""

    __slots__ = ("condition", "flipped")

    def __init__(self, condition, flipped):
        self.condition, self.flipped = condition, flipped

    def over(self, value):
        """Return a value where the mask lets it through, and zero elsewhere."""
        nothing = zeros(value.type)
        return select(self.condition, nothing, value) if self.flipped else select(self.condition, value, nothing)


def _moved(mask, node, wanted):
    """Return the mask of the cotangents of a linear node's arguments, given that of its own, or None."""
    name, condition = node.op.name, mask.condition
    if node.op.elementwise:
        return mask
    if name in ("reshape", "transpose") or name == "reduce_sum" and not condition.shape:
        return _Mask(node.op.transpose(condition, node, wanted)[0], mask.flipped)
    if name == "broadcast" and condition.op is node.op and condition.attrs == node.attrs:
        return _Mask(condition.args[0], mask.flipped)
    return None


def _mask_of(node):
    """Return (mask, what it lets through) of a node that is zero elsewhere, or None."""
    if node.op is not select:
        return None
    condition, x, y = node.args
    if _is_zero(y):
        return _Mask(condition, False), x
    return (_Mask(condition, True), y) if _is_zero(x) else None


def _is_zero(node):
    value = scalar_literal(node)
    return value is not None and value == 0


def _sum_masked(terms):
    """Return the sum of nodes; those that are zero outside the same mask are added inside it."""
    found = {}
    for term in terms:
        mask = _mask_of(term) if len(terms) > 1 else None
        key = (mask[0].condition, mask[0].flipped) if mask is not None else term
        found.setdefault(key, []).append((term, mask))
    return sum_nodes([term for group in found.values() for term in _added(group)])


def _added(group):
    """Return the terms of one mask as one, or a term as often as it comes."""
    if len(group) == 1 or group[0][1] is None:
        return [term for term, _ in group]
    return [group[0][1][0].over(sum_nodes([value for _, (_, value) in group]))]


def _product(x, y):
    """Return the product, without multiplying by a literal 1, -1 or 0 (then None)."""
    for factor, other in ((x, y), (y, x)):
        value = scalar_literal(factor)
        if value is not None:
            if value == 0:
                return None
            if value == 1:
                return other
            if value == -1:
                return -other
    return x * y


def _sum_or_none(terms):
    terms = [t for t in terms if t is not None]
    return sum_nodes(terms) if terms else None


def _collect_items(received, types):
    """Return one cotangent (or None) per result of an op with several results."""
    return tuple(_sum_or_none([ct for k, ct in received if k == i]) for i in range(len(types)))


def _refusal(node):
    return NotDifferentiableError(f"{describe(node)} has no derivative",
                                  do="hold the value constant with stop_gradient, or differentiate something else")


def _or_zeros(tangent, kind):
    return zeros(kind) if tangent is None else tangent


def _has_tangent(kind):
    return type(kind) is Type and kind.kind in "fc"


# ---------------------------------------------------------------- assembling graphs
def _visible_inexact(graph):
    return tuple(i for i, t in enumerate(graph.params[:len(graph.params) - graph.captures]) if _has_tangent(t))


def _gradients(graph, wrt, kind="f"):
    value = graph.outs[0]
    if value.type.kind != kind or value.shape != ():
        raise NotDifferentiableError(
            f"the gradient of a result of type {value.type} was asked: it must be a real scalar",
            do="reduce it to a scalar, or use vjp or jacobian")
    for i in wrt:
        if not _has_tangent(graph.params[i]):
            raise NotDifferentiableError(f"argument {i} is of type {graph.params[i]} and has no gradient",
                                         do="convert it to a floating dtype, or leave it out of argnums")
    pulled = pull_back([value], [full_like(1, value)], [graph.inputs()[i] for i in wrt])
    return [_or_zeros(ct, graph.params[i]) for ct, i in zip(pulled, wrt)]


def _added_leaves(graph, types):
    """Return leaves for new params of a graph: at once the params that they will be, where no captures have to move."""
    if graph.captures:
        return [new_variable(t) for t in types]
    return [param(index=len(graph.params) + k, type=t) for k, t in enumerate(types)]


def _extended(graph, added, outs, places):
    """Return the graph with the leaves `added` as params before the captures, and other outputs.

    ``places`` maps output indices of `graph` to those in `outs`; an output that is written back and has no place is
    appended.
    """
    outs, places = list(outs), dict(places)
    for _, k in graph.writes:
        if k not in places:
            places[k] = len(outs)
            outs.append(graph.outs[k])
    visible = len(graph.params) - graph.captures
    shift = len(added)
    params = [*graph.params[:visible], *(v.type for v in added), *graph.params[visible:]]
    if shift and graph.captures:
        table = {v: param(index=visible + k, type=v.type) for k, v in enumerate(added)}
        for i in range(visible, len(graph.params)):
            table[param(index=i, type=graph.params[i])] = param(index=i + shift, type=graph.params[i])
        outs = substitute(outs, table)
    writes = tuple((p if p < visible else p + shift, places[k]) for p, k in graph.writes)
    return Graph(params, outs, graph.captures, writes)


def _split(graph, outs, variables):
    """Return (graph of the old outputs and the residuals of `outs`, graph from residuals and `variables` to `outs`)."""
    depends = set(variables)
    order = topological(outs)
    for node in order:
        if any(a in depends for a in node.args):
            depends.add(node)
    residuals, seen = {}, set(depends)
    stack = [*outs, *(n for node in order if node in depends for n in (*node.args, *node.dims)),
             *(d for v in variables for d in v.dims)][::-1]
    while stack:
        node = stack.pop()
        if node in seen or scalar_literal(node) is not None:
            continue
        seen.add(node)
        if node.op.name in _VIEWS:  # made again: it costs nothing, and may be larger than what it shows
            stack += (*node.args, *node.dims)
        else:
            residuals[node] = None
            stack += [d for d in node.type.shape if isinstance(d, Node)]
    residuals = list(residuals)
    return (Graph(graph.params, [*graph.outs, *residuals], graph.captures, graph.writes),
            close([*residuals, *variables], outs))
