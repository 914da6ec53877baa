"""Control flow: loops and branches whose bodies are Graphs, traced once and run as often as the data say.

The bodies are closed graphs in the ops' attrs; what they need from outside comes in as operands. Results are tuples,
picked with `item`.
"""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.bodies import (
    for_transpose,
    loop_batch,
    loop_jvp,
    switch_batch,
    switch_jvp,
    switch_transpose,
    while_transpose,
)
from tracejit.symbolic.graph import Graph, close
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import const, define, dim, item, map_attrs, new_variable
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import bitwise_and, cast, exp, fmod, greater, invert, less, sin
from tracejit.symbolic.ops.shape import full, reshape
from tracejit.symbolic.types import BOOL, F64, I64, Type, type_of


def results(node):
    """Return the results of an op with several, as nodes."""
    return tuple(item(node, index=i) for i in range(len(node.type)))


def _check_graph(what, graph, params, outs):
    if not isinstance(graph, Graph) or graph.captures or graph.writes:
        raise TypeRuleError(f"the {what} is a closed graph without captures and writes")
    if not _alike(graph.params, params):
        raise TypeRuleError(f"the {what} takes {graph.params}, and is given {tuple(params)}")
    if outs is not None and not _alike(graph.out_types, outs):
        raise TypeRuleError(f"the {what} gives {graph.out_types}, not {tuple(outs)}")


def _alike(inner, outer):
    """Return whether types are the same; a size that a body takes as a param is another node outside, or a number."""
    return len(inner) == len(outer) and all(a is b or a.dtype is b.dtype and a.ndim == b.ndim and all(
        m is n or type(m) is not int or m == n for m, n in zip(a.shape, b.shape)) for a, b in zip(inner, outer))


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


def _graph(function, *examples):
    """Return the graph of a function of nodes, for arguments like the given arrays."""
    variables = [new_variable(type_of(x)) for x in examples]
    outs = function(*variables)
    return close(variables, outs if isinstance(outs, tuple) else (outs,))


def _for_samples(rng):
    x, w, one = rng.uniform(-1, 1, 3), rng.uniform(0.5, 1.5, 3), np.array(1.25)

    def mixed(k, x, total, w):
        x = sin(x * w) + full(0.5, x.type)
        return x, total + cast(k, F64) * reduce_sum(x, axes=(0,))

    def running(k, row, w):
        before = reshape(dynamic_slice(row, k, sizes=(1,)), ())
        after = dynamic_slice(w, k, sizes=(1,)) * reshape(exp(-before), (1,))
        return dynamic_set_slice(row, after, k + 1)

    inner = _graph(lambda k, x, w: sin(x) + w * full(0.1, w.type), 0, x, w)

    def nested(k, x, w):
        return item(for_loop(k, x, w, body=inner, carries=1), index=0)

    for count in (4, 1, 0, -2):
        yield (np.array(count), x, one, w), {"body": _graph(mixed, 0, x, one, w), "carries": 2}
    yield (np.array(10), np.array(0), np.array(1)), {"body": _graph(lambda k, a, b: (b, a + b), 0, 0, 1), "carries": 2}
    yield (np.array(3), x[:1], x.astype("f4")), {
        "body": _graph(lambda k, a, b: (-a, b * b), 0, x[:1], x.astype("f4")), "carries": 2}
    yield (np.array(5), rng.uniform(0, 1, 6), rng.uniform(0.5, 1, 5)), {
        "body": _graph(running, 0, np.zeros(6), np.zeros(5)), "carries": 1}
    yield (np.array(3), x, w), {
        "body": _graph(nested, 0, x, w), "carries": 1}


#: ``for k in range(count): carry = body(k, carry..., invariant...)``; the first `carries` operands are carried.
for_loop = define("for_loop", attrs=("body", "carries"), type=_for_type, ref=_for_ref, routine="for_loop",
                  jvp=loop_jvp, transpose=for_transpose, linear="inside", batch=loop_batch, samples=_for_samples)


def _while_type(*operands, cond, body, carries):
    _check_graph("condition of a while_loop", cond, operands, (Type(BOOL),))
    _check_graph("body of a while_loop", body, operands, operands[:carries])
    return operands[:carries]


def _while_ref(*operands, cond, body, carries):
    values, invariants = list(operands[:carries]), operands[carries:]
    while evaluate(cond, *values, *invariants)[0]:
        values = evaluate(body, *values, *invariants)
    return tuple(values)


def _while_samples(rng):
    def halving(x, n, w):
        return x * (full(0.6, x.type) - w * w * 0.01), n + 1

    def enough(x, n, w):
        return bitwise_and(greater(reduce_sum(x * x, axes=(0,)), const(1.0)), less(n, const(40)))

    for x in (rng.uniform(3, 9, 4), np.zeros(4)):
        given = (x, np.array(0), rng.uniform(-1, 1, 4))
        yield given, {"cond": _graph(enough, *given), "body": _graph(halving, *given), "carries": 2}
    given = (np.array(36), np.array(84))
    yield given, {"cond": _graph(lambda a, b: greater(b, const(0)), *given), "carries": 2,
                  "body": _graph(lambda a, b: (b, fmod(a, b)), *given)}


#: ``while cond(carry..., invariant...): carry = body(carry..., invariant...)``; carries and invariants as above.
while_loop = define("while_loop", attrs=("cond", "body", "carries"), type=_while_type, ref=_while_ref,
                    routine="while_loop", jvp=loop_jvp, transpose=while_transpose, linear="inside",
                    batch=loop_batch, samples=_while_samples)


# ---------------------------------------------------------------- branches
def _switch_type(index, *operands, branches):
    if index is not Type(I64) or not branches:
        raise TypeRuleError(f"switch of {len(branches)} branches on an index of type {index}")
    for k, branch in enumerate(branches):
        _check_graph(f"branch {k} of a switch", branch, operands, branches[0].out_types)
    return branches[0].out_types


def _switch_resolve(types, args, attrs):
    """Return the types of a branch's results with the sizes that its params have outside."""
    if all(t.is_static for t in types):
        return types
    table = {a: dim(b) for a, b in zip(attrs[0][0].inputs(), args[1:]) if a.type is Type(I64)}
    return tuple(map_attrs(t, table) for t in types)


def _switch_samples(rng):
    x, y = rng.uniform(0.5, 1.5, (2, 3))
    branches = tuple(_graph(f, x, y) for f in (
        lambda x, y: (x * y, reduce_sum(x, axes=(0,))), lambda x, y: (sin(x), const(2.0)),
        lambda x, y: (y, reduce_sum(exp(y) * x, axes=(0,)))))
    for index in range(3):
        yield (np.array(index), x, y), {"branches": branches}
    n = np.array(5)
    yield (np.array(1), n, n > 3), {"branches": (_graph(lambda n, b: (n, b), n, n > 3),
                                                 _graph(lambda n, b: (n * n, invert(b)), n, n > 3))}


#: ``branches[index](operands...)``: only that one runs. The index lies in range.
switch = define("switch", attrs=("branches",), type=_switch_type, resolve=_switch_resolve, routine="switch",
                jvp=switch_jvp, transpose=switch_transpose, linear="inside", batch=switch_batch,
                ref=lambda index, *operands, branches: tuple(evaluate(branches[int(index)], *operands)),
                samples=_switch_samples)
