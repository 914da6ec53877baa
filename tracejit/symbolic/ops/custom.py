"""Functions with derivative rules of their own: their graphs stay closed until derivatives have been taken.

Each carries Graphs in its attrs, as loops and branches do: `body` gives the results. No rewrite looks inside before
the function is differentiated; `opt.specialize` then puts the body in its place.
"""

import numpy as np

from tracejit.errors import NotDifferentiableError, TypeRuleError
from tracejit.symbolic.autodiff import transpose_nodes
from tracejit.symbolic.batching import batch_nodes
from tracejit.symbolic.bodies import opened
from tracejit.symbolic.graph import Graph, close, depending
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import Node, const, define, map_attrs, new_variable
from tracejit.symbolic.ops.control import results, switch
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import cos, sin
from tracejit.symbolic.ops.shape import broadcast, stacked, zeros
from tracejit.symbolic.types import F64, I64, Type


# ---------------------------------------------------------------- what they have in common
def inlined(graph, args):
    """Return a node whose results are those of a graph on these arguments: a choice of one, which rules dissolve."""
    return switch(const(0, I64), *args, branches=(graph,))


def results_type(name, graph, operands):
    if not isinstance(graph, Graph) or graph.captures or graph.writes:
        raise TypeRuleError(f"{name}: a graph of its rule is closed, without captures and writes")
    if [(t.dtype, t.ndim) for t in graph.params] != [(t.dtype, t.ndim) for t in operands]:
        raise TypeRuleError(f"{name}: a graph of its rule takes {graph.params}, and is given {tuple(operands)}")
    sizes = {m: n for a, b in zip(graph.params, operands) for m, n in zip(a.shape, b.shape) if isinstance(m, Node)}
    return tuple([map_attrs(kind, sizes) for kind in graph.out_types])


def _moving_tangents(node, tangents):
    """Return the tangents of the arguments that a rule is for, zeros where there is none; None if all are zero."""
    moving = node.attr("moving")
    if any(t is not None for k, t in enumerate(tangents) if k not in moving):
        raise NotDifferentiableError(
            f"{node.attr('name')} depends on a value that is being differentiated and is not among the arguments that "
            "its rule is for", do="pass it as an argument that is not in nondiff_argnums, or hold it by stop_gradient")
    if all(tangents[k] is None for k in moving):
        return None
    return [zeros(node.args[k].type) if tangents[k] is None else tangents[k] for k in moving]


def spread(types, moved):
    """Return one tangent per result from those of the inexact ones."""
    moved = iter(moved)
    return tuple([next(moved) if kind.kind in "fc" else None for kind in types])


def _size(args, batched):
    return next(a.shape[0] for a, b in zip(args, batched) if b)


def batched_graph(graph, batched, size, stack=True):
    """Return (the graph over a batch of some params, which of its outputs carry the batch axis: all if `stack`)."""
    variables, outs = opened(graph)
    table = {v: new_variable(v.type.with_shape((size, *v.shape))) for v, b in zip(variables, batched) if b}
    found = depending(outs, list(table))
    rows = batch_nodes(outs, table, size)
    kept = [stack or out in found for out in outs]
    return close([table.get(v, v) for v in variables], [row if b else o for row, b, o in zip(rows, kept, outs)]), kept


def sample_graph(function, *types):
    variables = [new_variable(t) for t in types]
    return close(variables, function(*variables))


# ---------------------------------------------------------------- a rule that pushes tangents
def _jvp_type(*operands, name, body, rule, moving):
    found = results_type(name, body, operands)
    pushed = results_type(name, rule, (*operands, *(operands[k] for k in moving)))
    if pushed != tuple(t for t in found if t.kind in "fc"):
        raise TypeRuleError(f"{name}: its results are {found}, and the tangents that its rule gives {pushed}")
    return found


def _custom_jvp(node, tangents):
    moving = _moving_tangents(node, tangents)
    if moving is None:
        return (None,) * len(node.type)
    return spread(node.type, node.attr("rule").call([*node.args, *moving]))


def _jvp_batch(node, args, batched):
    size, moving = _size(args, batched), node.attr("moving")
    body, _ = batched_graph(node.attr("body"), batched, size)
    rule, _ = batched_graph(node.attr("rule"), (*batched, *(batched[k] for k in moving)), size)
    return node.op(*args, name=node.attr("name"), body=body, rule=rule, moving=moving)


def _jvp_samples(rng):
    x, y = rng.uniform(0.5, 1.5, (2, 3))
    kinds = Type(F64, (3,)), Type(F64, (3,))
    body = sample_graph(lambda x, y: [sin(x) * y, x], *kinds)
    rule = sample_graph(lambda x, y, s, t: [cos(x) * y * s + sin(x) * t, s], *kinds, *kinds)
    yield (x, y), {"name": "f", "body": body, "rule": rule, "moving": (0, 1)}
    rule = sample_graph(lambda x, n, s: [cos(x) * s], kinds[0], Type(I64), kinds[0])
    body = sample_graph(lambda x, n: [sin(x), n + n], kinds[0], Type(I64))
    yield (x, np.array(3)), {"name": "g", "body": body, "rule": rule, "moving": (0,)}


#: A function whose tangents are ``rule(operands..., tangents...)``, one for each inexact result; the arguments numbered
#: `moving` have tangents.
custom_jvp = define("custom_jvp", attrs=("name", "body", "rule", "moving"), type=_jvp_type, jvp=_custom_jvp,
                    ref=lambda *xs, name, body, rule, moving: tuple(evaluate(body, *xs)), batch=_jvp_batch,
                    expand=lambda *xs, name, body, rule, moving: inlined(body, xs), samples=_jvp_samples)


# ---------------------------------------------------------------- a rule that pulls cotangents
def _vjp_type(*operands, name, body, residuals, backward, moving):
    found = results_type(name, body, operands)
    kept = results_type(name, residuals, operands)
    pulled = results_type(name, backward, (*kept, *(t for t in found if t.kind in "fc")))
    if pulled != tuple(operands[k] for k in moving):
        raise TypeRuleError(f"{name}: its arguments are {operands}, and the cotangents that its rule gives {pulled}")
    return found


def _custom_vjp(node, tangents):
    moving = _moving_tangents(node, tangents)
    if moving is None or not any(t.kind in "fc" for t in node.type):
        return (None,) * len(node.type)
    kept = node.attr("residuals").call(node.args)
    pushed = custom_tangents(*moving, *kept, name=node.attr("name"), backward=node.attr("backward"), count=len(moving))
    return spread(node.type, results(pushed))


def _vjp_batch(node, args, batched):
    name, body, residuals, backward, moving = node.attrs
    size = _size(args, batched)
    body, _ = batched_graph(body, batched, size)
    residuals, kept = batched_graph(residuals, batched, size, stack=False)
    arriving = [True] * (len(backward.params) - len(kept))
    backward, _ = batched_graph(backward, [*kept, *arriving], size)
    # an argument that all elements share gets the sum of their cotangents
    backward = backward.replace([out if batched[k] else reduce_sum(out, axes=(0,))
                                 for k, out in zip(moving, backward.outs)])
    return node.op(*args, name=name, body=body, residuals=residuals, backward=backward, moving=moving)


def _vjp_samples(rng):
    x, y = rng.uniform(0.5, 1.5, (2, 3))
    kinds = Type(F64, (3,)), Type(F64, (3,))
    body = sample_graph(lambda x, y: [sin(x) * y, reduce_sum(x, axes=(0,))], *kinds)
    residuals = sample_graph(lambda x, y: [cos(x), sin(x), y], *kinds)
    backward = sample_graph(lambda c, s, y, a, b: [a * c * y + broadcast(b, (3,), ()), a * s],
                            *(kinds[0],) * 4, Type(F64))
    yield (x, y), {"name": "f", "body": body, "residuals": residuals, "backward": backward, "moving": (0, 1)}
    body = sample_graph(lambda x, n: [sin(x), n + n], kinds[0], Type(I64))
    residuals = sample_graph(lambda x, n: [x, n], kinds[0], Type(I64))
    backward = sample_graph(lambda x, n, a: [cos(x) * a], kinds[0], Type(I64), kinds[0])
    yield (x, np.array(3)), {
        "name": "g", "body": body, "residuals": residuals, "backward": backward, "moving": (0,)}


#: A function whose cotangents are ``backward(residuals(operands...)..., cotangents of the inexact results...)``, one
#: for each of the arguments numbered `moving`.
custom_vjp = define(
    "custom_vjp", attrs=("name", "body", "residuals", "backward", "moving"), type=_vjp_type, jvp=_custom_vjp,
    ref=lambda *xs, name, body, residuals, backward, moving: tuple(evaluate(body, *xs)), batch=_vjp_batch,
    expand=lambda *xs, name, body, residuals, backward, moving: inlined(body, xs), samples=_vjp_samples)


def _tangents_type(*operands, name, backward, count):
    kept = len(operands) - count
    pulled = results_type(name, backward, (*operands[count:], *backward.params[kept:]))
    if pulled != operands[:count]:
        raise TypeRuleError(f"{name}: its tangents are {operands[:count]}, and its rule gives {pulled}")
    sizes = {m: n for a, b in zip(backward.params, operands[count:]) for m, n in zip(a.shape, b.shape)
             if isinstance(m, Node)}
    return tuple([map_attrs(kind, sizes) for kind in backward.params[kept:]])


def _tangents_expand(*xs, name, backward, count):
    """The transpose of the rule, which is linear in its cotangents."""
    variables = [new_variable(x.type) for x in xs]
    arriving = [new_variable(t) for t in backward.params[len(xs) - count:]]
    pushed = transpose_nodes(backward.call([*variables[count:], *arriving]), variables[:count], arriving)
    return inlined(close(variables, [zeros(v.type) if p is None else p for p, v in zip(pushed, arriving)]), xs)


def _tangents_ref(*xs, name, backward, count):
    variables = [new_variable(Type(x.dtype, x.shape)) for x in xs]
    branch, = _tangents_expand(*variables, name=name, backward=backward, count=count).attr("branches")
    return tuple(evaluate(branch, *xs))


def _tangents_transpose(ct, node, wanted):
    name, backward, count = node.attrs
    given = [zeros(kind) if c is None else c for c, kind in zip(ct, node.type)]
    pulled = backward.call([*node.args[count:], *given])
    return (*[p if w else None for p, w in zip(pulled, wanted)], *[None] * (len(node.args) - count))


def _tangents_batch(node, args, batched):
    name, backward, count = node.attrs
    size, kept = _size(args, batched), batched[count:]
    arriving = [True] * len(node.type)
    moving = [a if b else stacked(a, size) for a, b in zip(args[:count], batched)]
    return node.op(*moving, *args[count:], name=name, count=count,
                   backward=batched_graph(backward, [*kept, *arriving], size)[0])


def _tangents_samples(rng):
    for (x, *_), attrs in _vjp_samples(rng):
        kept = [x] * 3 if attrs["name"] == "f" else [x, np.array(3)]
        moving = [rng.uniform(-1, 1, 3) for _ in attrs["moving"]]
        yield (*moving, *kept), {"name": attrs["name"], "backward": attrs["backward"], "count": len(moving)}


#: What `custom_vjp` puts in place of tangents, to be transposed: the first `count` operands are those of the arguments,
#: the others the residuals.
custom_tangents = define(
    "custom_tangents", attrs=("name", "backward", "count"), type=_tangents_type, ref=_tangents_ref,
    expand=_tangents_expand, transpose=_tangents_transpose, linear="inside", differentiable=None,
    batch=_tangents_batch, samples=_tangents_samples)


# ---------------------------------------------------------------- a function whose rule is used up
def _sealed_jvp(node, tangents):
    raise NotDifferentiableError(
        f"{node.attr('name')} is differentiated more often than its rule was traced for",
        do="write its rule without calls of itself, or nest the transforms of tracejit around it")


def _sealed_batch(node, args, batched):
    body, _ = batched_graph(node.attr("body"), batched, _size(args, batched))
    return node.op(*args, name=node.attr("name"), body=body)


def _sealed_samples(rng):
    yield (rng.uniform(0.5, 1.5, 3),), {"name": "f", "body": sample_graph(lambda x: [sin(x) * x], Type(F64, (3,)))}


#: A function with a rule of its own inside that very rule, where no further derivative is foreseen.
sealed = define("sealed", attrs=("name", "body"), type=lambda *ts, name, body: results_type(name, body, ts),
                ref=lambda *xs, name, body: tuple(evaluate(body, *xs)),
                expand=lambda *xs, name, body: inlined(body, xs),
                jvp=_sealed_jvp, differentiable=None, batch=_sealed_batch, samples=_sealed_samples)
