"""Derivatives and batching of loops and branches: each is a loop or branch over the derived bodies.

Forward mode carries tangents beside the values. Reverse mode runs the loop a second time from its end: a sweep forward
stores what the linear part of the body needs, iteration by iteration, and the transposed body takes it from there. Of
a loop under a condition the iterations are counted first.
"""

from tracejit.symbolic import dims
from tracejit.symbolic.autodiff import jvp_nodes, transpose_nodes
from tracejit.symbolic.batching import batch_nodes
from tracejit.symbolic.graph import close, depending, substitute, topological
from tracejit.symbolic.ir import OPS, const, item, make, map_attrs, new_variable
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice
from tracejit.symbolic.ops.reduce import reduce_max, reduce_or
from tracejit.symbolic.ops.scalar import bitwise_and, bitwise_or, check, equal, greater, invert, maximum, room, select
from tracejit.symbolic.ops.shape import broadcast, full, reshape, stacked, zeros
from tracejit.symbolic.types import BOOL, I64, Type

#: A loop of an unknown number of iterations below this stores as much as the longest needs.
_LONGEST = 1 << 16
_IS_VIEW = frozenset(("broadcast", "reshape", "transpose"))


def opened(graph):
    """Return (variables for the params of a graph, its outputs over them)."""
    table = {}
    for leaf in sorted(graph.inputs(), key=lambda leaf: not leaf.type.is_static):  # sizes before what has them
        table[leaf] = new_variable(map_attrs(leaf.type, table))
    return [table[leaf] for leaf in graph.inputs()], list(substitute(graph.outs, table))


class _Parts:
    """A loop taken apart: operands and body, the latter over variables."""

    def __init__(self, node):
        self.node, self.counted = node, node.op.name == "for_loop"
        n = node.attr("carries")
        operands = list(node.args)
        self.count = operands.pop(0) if self.counted else None
        self.before, self.given = operands[:n], operands[n:]
        variables, self.outs = opened(node.attr("body"))
        self.index = None
        if self.counted:
            self.index = dims.declare(variables.pop(0), 0, dims.bound(dims.minus(self.count, 1)))
        self.carried, self.held = variables[:n], variables[n:]
        self.test = None
        if not self.counted:
            condition = node.attr("cond")
            self.test, = substitute(condition.outs, dict(zip(condition.inputs(), variables)))

    def rebuilt(self, before, carried, outs, given, held, test=None):
        """Return the loop over other carries and other things held."""
        leaves = [*carried, *held]
        if self.counted:
            return self.node.op(self.count, *before, *given, body=close([self.index, *leaves], outs),
                                carries=len(carried))
        return self.node.op(*before, *given, carries=len(carried), body=close(leaves, outs),
                            cond=close(leaves, [self.test if test is None else test]))


def _closure(outs, carried, start):
    """Return the carries that depend on the leaves `start`, in whatever iteration, as a set of positions."""
    active = {k for k, v in enumerate(carried) if v in start}
    while True:
        found = depending(outs, [*start, *(carried[k] for k in active)])
        more = active | {k for k, out in enumerate(outs) if out in found}
        if more == active:
            return active
        active = more


# ---------------------------------------------------------------- forward
def loop_jvp(node, tangents):
    """Return the tangents of a loop's results: the loop that carries tangents beside the values."""
    parts = _Parts(node)
    n = len(parts.before)
    tangents = tangents[1:] if parts.counted else tangents
    first, fixed = tangents[:n], tangents[n:]
    moving = {v: new_variable(v.type) for v, t in zip(parts.held, fixed) if t is not None}
    active = [k for k in range(n) if first[k] is not None]
    while True:
        table = {**moving, **{parts.carried[k]: new_variable(parts.carried[k].type) for k in active}}
        pushed = jvp_nodes(parts.outs, table)
        more = [k for k in range(n) if k in active or pushed[k] is not None]
        if more == active:
            break
        active = more
    before = [zeros(parts.before[k].type) if first[k] is None else first[k] for k in active]
    outs = [zeros(parts.outs[k].type) if pushed[k] is None else pushed[k] for k in active]
    loop = parts.rebuilt([*parts.before, *before], [*parts.carried, *(table[parts.carried[k]] for k in active)],
                         [*parts.outs, *outs], [*parts.given, *(t for t in fixed if t is not None)],
                         [*parts.held, *moving.values()])
    return tuple([item(loop, index=n + active.index(k)) if k in active else None for k in range(n)])


def switch_jvp(node, tangents):
    """Return the tangents of a switch's results: a switch over the tangents of its branches."""
    index, *operands = node.args
    given = [t for t in tangents[1:] if t is not None]
    rows, leaves = [], []
    for branch in node.attr("branches"):
        variables, outs = opened(branch)
        table = {v: new_variable(v.type) for v, t in zip(variables, tangents[1:]) if t is not None}
        leaves.append([*variables, *table.values()])
        rows.append(jvp_nodes(outs, table))
    active = [k for k in range(len(node.type)) if any(row[k] is not None for row in rows)]
    if not active:
        return (None,) * len(node.type)
    branches = tuple([close(inner, [zeros(node.type[k]) if row[k] is None else row[k] for k in active])
                      for inner, row in zip(leaves, rows)])
    made = node.op(index, *operands, *given, branches=branches)
    return tuple([item(made, index=active.index(k)) if k in active else None for k in range(len(node.type))])


# ---------------------------------------------------------------- backward
def for_transpose(ct, node, wanted):
    """Return the cotangents of the wanted operands of a loop that is linear in them."""
    parts = _Parts(node)
    n = len(parts.before)
    start = [v for v, w in zip([*parts.carried, *parts.held], wanted[1:]) if w]
    linear = sorted(_closure(parts.outs, parts.carried, start))
    fixed = [k for k, w in enumerate(wanted[1 + n:]) if w]
    leaves = [*(parts.carried[k] for k in linear), *(parts.held[k] for k in fixed)]
    arriving = [new_variable(parts.carried[k].type) for k in linear]
    pulled = transpose_nodes([parts.outs[k] for k in linear], arriving, leaves)

    sums = [new_variable(parts.held[k].type) for k in fixed]
    outs = [zeros(v.type) if p is None else p for v, p in zip(leaves, pulled[:len(linear)])]
    outs += [total if p is None else total + p for total, p in zip(sums, pulled[len(linear):])]
    others = [k for k in range(n) if k not in linear]
    saved = _to_save(outs, {*arriving, *sums}, [parts.carried[k] for k in others], parts.index)
    parts.given = [x for k, x in enumerate(parts.given) if k not in fixed]
    parts.held = [v for k, v in enumerate(parts.held) if k not in fixed]
    stacks, held, table = _saved(parts, others, saved)
    outs = substitute(outs, table)
    before = [zeros(parts.before[k].type) if ct[k] is None else ct[k] for k in linear]
    before += [zeros(node.args[1 + n + k].type) for k in fixed]
    last, down = new_variable(Type(I64)), new_variable(Type(I64))
    outs = substitute(outs, {parts.index: last - down})
    body = close([down, *arriving, *sums, last, *held, *parts.held], outs)
    loop = node.op(parts.count, *before, parts.count - const(1, I64), *stacks, *parts.given, body=body,
                   carries=len(before))
    back = {k: item(loop, index=i) for i, k in enumerate(linear)}
    back.update({n + k: item(loop, index=len(linear) + i) for i, k in enumerate(fixed)})
    return (None, *(back.get(k) if w else None for k, w in enumerate(wanted[1:])))


def _to_save(outs, cotangents, carried, index):
    """Return the nodes that depend on `carried` and are needed beside the cotangents.

    What is a view, wider than what it was made of, or of another size in each iteration is made again instead.
    """
    moving, changing, varying = (depending(outs, leaves) for leaves in (cotangents, carried, [index, *carried]))
    found, seen = {}, set()
    stack = [a for node in topological(outs) if node in moving for a in (*node.args, *node.dims) if a not in moving]
    stack += [node for node in outs if node not in moving]
    while stack:
        node = stack.pop()
        if node in seen or node not in changing:
            continue
        seen.add(node)
        if type(node.type) is not Type or node.op.name in _IS_VIEW or any(n in varying for n in node.shape) or (
                node.op.name == "cast" and node.args[0].dtype.itemsize < node.dtype.itemsize):
            stack += [*node.args, *node.dims]
        else:
            found[node] = None
    return list(found)


def _saved(parts, others, saved):
    """Return (stacks of the values of `saved` in all iterations, variables for them, how to read them in the body)."""
    if not saved:
        return [], [], {}
    least, most = dims.interval(parts.count)
    count = length = max(most, 0)
    given, inside = list(parts.given), list(parts.held)
    if most > max(least, _LONGEST):
        length = room(maximum(parts.count, const(0, I64)))
        count = new_variable(Type(I64))
        given.append(length)
        inside.append(count)
    outside = dict(zip(inside, given))
    stacks = [new_variable(node.type.with_shape((count, *node.shape))) for node in saved]
    kinds = [stack.type.with_shape([n if type(n) is int else substitute([n], outside)[0] for n in stack.shape])
             for stack in stacks]
    writes = [dynamic_set_slice(stack, reshape(node, (1, *node.shape)), parts.index, *[const(0, I64)] * node.ndim)
              for stack, node in zip(stacks, saved)]
    sweep = parts.rebuilt([*(parts.before[k] for k in others), *map(zeros, kinds)],
                          [*(parts.carried[k] for k in others), *stacks], [*(parts.outs[k] for k in others), *writes],
                          given, inside)
    held = [new_variable(stack.type) for stack in stacks]
    table = {node: reshape(dynamic_slice(stack, parts.index, *[const(0, I64)] * node.ndim, sizes=(1, *node.shape)),
                           node.shape) for node, stack in zip(saved, held)}
    taken = [item(sweep, index=len(others) + i) for i in range(len(saved))]
    if type(count) is not int:
        return [*taken, length], [*held, count], table
    return taken, held, table


def switch_transpose(ct, node, wanted):
    """Return the cotangents of the wanted operands of a switch that is linear in them."""
    index, *operands = node.args
    given = [c for c in ct if c is not None]
    rows = []
    for branch in node.attr("branches"):
        variables, outs = opened(branch)
        leaves = [v for v, w in zip(variables, wanted[1:]) if w]
        arriving = [None if c is None else new_variable(c.type) for c in ct]
        pulled = transpose_nodes(outs, arriving, leaves)
        pulled = [zeros(v.type) if p is None else p for v, p in zip(leaves, pulled)]
        others = [v for v, w in zip(variables, wanted[1:]) if not w]
        rows.append(close([*others, *(a for a in arriving if a is not None)], pulled))
    made = node.op(index, *(o for o, w in zip(operands, wanted[1:]) if not w), *given, branches=tuple(rows))
    back = iter([item(made, index=i) for i in range(sum(wanted))])
    return (None, *(next(back) if w else None for w in wanted[1:]))


def while_transpose(ct, node, wanted):
    """Return the cotangents of the wanted operands of a loop under a condition, as of one that runs as often."""
    parts = _Parts(node)
    n = len(parts.before)
    start = [v for v, w in zip([*parts.carried, *parts.held], wanted) if w]
    linear = _closure(parts.outs, parts.carried, start)
    others = [k for k in range(n) if k not in linear]
    turns = new_variable(Type(I64))
    counting = parts.rebuilt([const(0, I64), *(parts.before[k] for k in others)],
                             [turns, *(parts.carried[k] for k in others)],
                             [turns + const(1, I64), *(parts.outs[k] for k in others)],
                             [x for x, w in zip(parts.given, wanted[n:]) if not w],
                             [v for v, w in zip(parts.held, wanted[n:]) if not w])
    body = close([new_variable(Type(I64)), *parts.carried, *parts.held], parts.outs)
    loop = OPS["for_loop"](item(counting, index=0), *node.args, body=body, carries=n)
    return for_transpose(ct, loop, (False, *wanted))[1:]


# ---------------------------------------------------------------- batches
def loop_batch(node, args, batched):
    """Return the results of a loop over a batch, all with the batch axis.

    Where the elements of the batch run for different times, the loop runs as long as the longest, and an element that
    has ended keeps its carries.
    """
    parts = _Parts(node)
    size = next(a.shape[0] for a, b in zip(args, batched) if b)
    counted, n = parts.counted, len(parts.before)
    operands, flags = args[counted:], batched[counted:]
    parts.count = args[0]
    moving = [v for v, b in zip([*parts.carried, *parts.held], flags) if b]
    active = _closure(parts.outs, parts.carried, moving)
    table = {v: new_variable(v.type.with_shape((size, *v.shape))) for v in moving}
    apart = batched[0] if counted else bool(
        depending([parts.test], [*moving, *(parts.carried[k] for k in active)]) & {parts.test})
    if apart:
        active |= {k for k in range(n) if parts.outs[k] is not parts.carried[k]}
    for v in [parts.carried[k] for k in sorted(active)]:
        table.setdefault(v, new_variable(v.type.with_shape((size, *v.shape))))

    outs, test, held, given = parts.outs, None, [table.get(v, v) for v in parts.held], list(operands[n:])
    if apart:
        flag = new_variable(Type(BOOL))
        outs = guarded(outs, flag)
        if counted:
            counts = new_variable(Type(I64, (size,)))
            held, given = [*held, counts], [*given, args[0]]
            table[flag] = greater(counts, broadcast(parts.index, (size,), ()))
            parts.count = reduce_max(args[0], axes=(0,)) if size else const(0, I64)
        else:
            table[flag], = batch_nodes([parts.test], table, size)
            test = reduce_or(table[flag], axes=(0,))
    carried = [table.get(v, v) for v in parts.carried]
    pushed = batch_nodes([outs[k] for k in sorted(active)], table, size)
    new = list(outs)
    for k, out in zip(sorted(active), pushed):
        new[k] = _where(table[flag], out, carried[k]) if apart else out
    before = [stacked(x, size) if k in active and not flags[k] else x for k, x in enumerate(operands[:n])]
    loop = parts.rebuilt(before, carried, new, given, held, test)
    found = [item(loop, index=k) for k in range(n)]
    return tuple([x if k in active else stacked(x, size) for k, x in enumerate(found)])


def switch_batch(node, args, batched):
    """Return the results of a switch over a batch: all branches are computed where the elements choose differently."""
    index, *operands = args
    size = next(a.shape[0] for a, b in zip(args, batched) if b)
    rows = []
    for k, branch in enumerate(node.attr("branches")):
        variables, outs = opened(branch)
        table = {v: new_variable(a.type) for v, a, b in zip(variables, operands, batched[1:]) if b}
        leaves = [table.get(v, v) for v in variables]
        if not batched[0]:
            rows.append(close(leaves, batch_nodes(outs, table, size)))
            continue
        flag = new_variable(Type(BOOL))
        chosen = equal(index, full(k, index.type))
        stacks = batch_nodes(guarded(outs, flag), {**table, flag: chosen}, size)
        rows.append((chosen, substitute(stacks, dict(zip(leaves, operands)))))
    if not batched[0]:
        made = node.op(index, *operands, branches=tuple(rows))
        return tuple([item(made, index=k) for k in range(len(node.type))])
    found = list(rows[-1][1])
    for chosen, row in reversed(rows[:-1]):
        found = [_where(chosen, x, other) for x, other in zip(row, found)]
    return tuple(found)


def _where(mask, x, y):
    return x if x is y else select(broadcast(mask, x.shape, (0,)), x, y)


#: Where the positions stand among the arguments of ops that trust them.
_POSITIONS = {"gather": 1, "dynamic_slice": 1, "dynamic_set_slice": 2, "scatter_set": 2, "scatter_add": 2,
              "scatter_multiply": 2, "scatter_max": 2, "scatter_min": 2}


def guarded(outs, flag):
    """Return `outs` whose checks hold, whose positions lie in range, and whose loops end, where `flag` is false."""
    table, off = {}, invert(flag)
    for node in topological(outs):
        args = [table[a] for a in node.args]
        attrs = node.attrs
        if node.op is check:
            value, ok = args
            args = [select(broadcast(flag, ok.shape, ()), value, zeros(value.type)),  # what is refused is never used
                    bitwise_or(ok, broadcast(off, ok.shape, ()))]
        elif node.op.name in _POSITIONS:
            first = _POSITIONS[node.op.name]
            args[first:] = [i if _is_safe(given) else select(broadcast(flag, i.shape, ()), i, zeros(i.type))
                            for given, i in zip(node.args[first:], args[first:])]
        elif node.op.name in ("for_loop", "while_loop", "switch"):
            args.append(flag)
            attrs = tuple([_guarded_attr(node, name, value) for name, value in zip(node.op.attrs, node.attrs)])
        table[node] = make(node.op, tuple(args), map_attrs(attrs, table) if node.dims else attrs)
    return [table[n] for n in outs]


def _is_safe(position):
    """Return whether a position lies in range also in turns that an element of a batch does not take."""
    while position.op.name in ("broadcast", "reshape"):
        position = position.args[0]
    if position.op is check or position.op.name in ("const", "iota"):
        return True
    return not position.ndim and dims.interval(position)[0] >= 0


def _guarded_attr(node, name, value):
    if name == "carries":
        return value
    if type(value) is tuple:
        return tuple([_guarded_attr(node, name, graph) for graph in value])
    variables, outs = opened(value)
    flag = new_variable(Type(BOOL))
    outs = guarded(outs, flag)
    return close([*variables, flag], [bitwise_and(outs[0], flag)] if name == "cond" else outs)
