"""Functions whose inner values are computed again for reverse mode, instead of being kept until then.

A node is interned, so what is computed again would be what was computed before. `held` keeps them apart: it is its
first argument under another name, which exists only once the others are known. The values computed again start
from held arguments, and so are ordered after the cotangents that arrive.
"""

from tracejit.symbolic.autodiff import jvp_nodes, transpose_nodes
from tracejit.symbolic.bodies import opened
from tracejit.symbolic.graph import close, substitute
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import const_op, define, new_variable
from tracejit.symbolic.ops.control import results
from tracejit.symbolic.ops.custom import batched_graph, inlined, results_type, sample_graph, spread
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import exp, sin
from tracejit.symbolic.ops.shape import broadcast, stacked, zeros
from tracejit.symbolic.types import F64, Type

_VIEWS = ("transpose", "reshape", "broadcast")


# ---------------------------------------------------------------- a name that comes late
def _held_batch(node, args, batched):
    x, *after = args
    return held(x if batched[0] else stacked(x, next(a.shape[0] for a, b in zip(args, batched) if b)), *after)


def _held_samples(rng):
    yield (rng.uniform(-1, 1, (2, 3)), rng.uniform(-1, 1, 4)), {}
    yield (rng.uniform(-1, 1, ()),), {}


#: The first argument, computed from no earlier than the others are known.
held = define("held", type=lambda x, *after: x, ref=lambda x, *after: x, linear=(0,),
              element=lambda node, index, read: read(0, index), jvp=lambda node, tangents: None,
              transpose=lambda ct, node, wanted: (ct if wanted[0] else None, *[None] * (len(node.args) - 1)),
              batch=_held_batch, samples=_held_samples)


# ---------------------------------------------------------------- the function
def _type(*operands, body, count):
    return results_type("checkpoint", body, operands)[:count]


def _jvp(node, tangents):
    """Tangents beside the values, as an op of their own: only its transpose computes anything again."""
    moving = tuple([k for k, t in enumerate(tangents) if t is not None])
    if not any(t.kind in "fc" for t in node.type):
        return (None,) * len(node.type)
    pushed = checkpoint_tangents(*node.args, *(tangents[k] for k in moving), body=node.attr("body"),
                                 count=node.attr("count"), moving=moving)
    return spread(node.type, results(pushed))


def _batch(node, args, batched):
    size = next(a.shape[0] for a, b in zip(args, batched) if b)
    return node.op(*args, body=batched_graph(node.attr("body"), batched, size)[0], count=node.attr("count"))


def _samples(rng):
    x, y = rng.uniform(0.5, 1.5, (2, 3))
    kinds = Type(F64, (3,)), Type(F64, (3,))

    def function(x, y):
        s = sin(x)
        return [exp(s) * y + broadcast(reduce_sum(x, axes=(0,)), (3,), ()), s * y, s]
    for count in (2, 3):
        yield (x, y), {"body": sample_graph(function, *kinds), "count": count}


#: The first `count` results of a graph; the others are what is kept for the way back.
checkpoint = define(
    "checkpoint", attrs=("body", "count"), type=_type, jvp=_jvp, batch=_batch, samples=_samples,
    ref=lambda *xs, body, count: tuple(evaluate(body, *xs)[:count]),
    expand=lambda *xs, body, count: inlined(body.replace(body.outs[:count]), xs))


# ---------------------------------------------------------------- its tangents
def _pushed(body, count, moving):
    """Return (variables of the body, those of the tangents, tangents of the inexact results)."""
    variables, outs = opened(body)
    leaves = {variables[k]: new_variable(variables[k].type) for k in moving}
    wanted = [out for out in outs[:count] if out.type.kind in "fc"]
    tangents = [zeros(o.type) if t is None else t for t, o in zip(jvp_nodes(wanted, leaves), wanted)]
    return variables, outs, list(leaves.values()), tangents


def _tangents_graph(body, count, moving):
    variables, _, leaves, tangents = _pushed(body, count, moving)
    return close([*variables, *leaves], tangents)


def _tangents_type(*operands, body, count, moving):
    kinds = results_type("checkpoint", body, operands[:len(body.params)])
    return tuple([t for t in kinds[:count] if t.kind in "fc"])


def _tangents_jvp(node, tangents):
    """Tangents of tangents, of a function whose inner values are computed again in turn."""
    again = checkpoint(*node.args, body=_tangents_graph(*node.attrs), count=len(node.type))
    return _jvp(again, tangents)


def _late(node, given):
    """Return a value under a name that waits for what is given; views are of such a value."""
    if node.op is const_op:
        return node
    return node.rebuild([_late(node.args[0], given)]) if node.op.name in _VIEWS else held(node, *given)


def _tangents_transpose(ct, node, wanted):
    body, count, moving = node.attrs
    variables, outs, leaves, tangents = _pushed(body, count, moving)
    arriving = [None if c is None else new_variable(c.type) for c in ct]
    pulled = transpose_nodes(tangents, arriving, leaves)
    operands = node.args[:len(variables)]
    given = [c for c in ct if c is not None]
    table = {v: _late(x, given) for v, x in zip(variables, operands)}
    kept = substitute(outs[count:], dict(zip(variables, operands)))
    table.update((out, x) for out, x in zip(outs[count:], kept) if out not in variables)
    table.update((v, c) for v, c in zip(arriving, ct) if v is not None)
    pulled = substitute([zeros(v.type) if p is None else p for v, p in zip(leaves, pulled)], table)
    first = len(variables)
    return (*[None] * first, *[p if w else None for p, w in zip(pulled, wanted[first:])])


def _tangents_batch(node, args, batched):
    body, count, moving = node.attrs
    size = next(a.shape[0] for a, b in zip(args, batched) if b)
    first = len(body.params)
    tangents = [a if b else stacked(a, size) for a, b in zip(args[first:], batched[first:])]
    values = [a if b or k not in moving else stacked(a, size)
              for k, (a, b) in enumerate(zip(args[:first], batched[:first]))]
    flags = [b or k in moving for k, b in enumerate(batched[:first])]
    return node.op(*values, *tangents, body=batched_graph(body, flags, size)[0], count=count, moving=moving)


def _tangents_samples(rng):
    for args, attrs in _samples(rng):
        yield (*args, rng.uniform(-1, 1, 3)), {**attrs, "moving": (1,)}
        yield (*args, *rng.uniform(-1, 1, (2, 3))), {**attrs, "moving": (0, 1)}


#: The tangents of `checkpoint`: arguments, then tangents of those numbered `moving`. Linear in these; the transpose
#: computes the inner values again, from held arguments, but for those that are kept.
checkpoint_tangents = define(
    "checkpoint_tangents", attrs=("body", "count", "moving"), type=_tangents_type, jvp=_tangents_jvp,
    transpose=_tangents_transpose, linear="inside", batch=_tangents_batch, samples=_tangents_samples,
    ref=lambda *xs, body, count, moving: tuple(evaluate(_tangents_graph(body, count, moving), *xs)),
    expand=lambda *xs, body, count, moving: inlined(_tangents_graph(body, count, moving), xs))
