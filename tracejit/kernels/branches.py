"""Branches so small that choosing between their results is faster than jumping.

``if x[i] > x[j]: x[i], x[j] = x[j], x[i]`` writes both elements in any case, what they were or what they become: a
processor guesses a branch on data wrong half of the time.
"""

from tracejit.kernels import ranges
from tracejit.kernels.fuse import is_leaf, op_cost
from tracejit.kernels.updates import single
from tracejit.symbolic import dims
from tracejit.symbolic.graph import substitute, topological
from tracejit.symbolic.ir import Node, item
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice
from tracejit.symbolic.ops.scalar import invert, select
from tracejit.symbolic.ops.shape import broadcast

#: Work, in additions, up to which both branches are computed.
_WORK = 24


def without_small(outs, facts):
    """Return `outs` with small branches on a bool computed and chosen from."""
    done = set()
    while True:
        order = topological(outs)
        node = next((n for n in order if n.op.name == "switch" and n not in done), None)
        if node is None:
            return outs
        done.add(node)
        chosen = _chosen(node, set(order), facts)
        if chosen is not None:
            outs = substitute(outs, {item(node, index=k): value for k, value in enumerate(chosen)})


def _chosen(node, known, facts):
    """Return what stands for the results of a switch, or None where it had better be one."""
    index, *operands = node.args
    branches = node.attr("branches")
    asked = ranges.asked(index) if len(branches) == 2 else None
    if asked is None:
        return None
    no, yes = (_in_place(branch, operands, facts) for branch in branches)
    if not all(_small(outs, operands, known, facts) for outs in (no, yes)):
        return None
    out = []
    for a, b in zip(no, yes):
        if a is b:
            out.append(a)
        elif single(a.type):
            out.append(_select(asked, b, a))
        elif _begin(a) is _begin(b):
            out.append(_written(_written(_begin(a), b, asked), a, invert(asked)))
        else:
            return None
    return out


def _in_place(branch, operands, facts):
    """Return the outputs of a branch over the nodes around it, the small branches inside of it chosen from."""
    leaves = branch.inputs()
    inner = facts.inside(leaves, operands)[0]
    if facts.index in operands:
        inner.index = leaves[operands.index(facts.index)]
    outs = without_small(ranges.simplified(branch.outs, inner), inner)
    return substitute(outs, dict(zip(leaves, operands)))


def _small(outs, operands, known, facts):
    """Say whether results are cheap, cannot fail, and write only elements that are read anyway, or new ones each turn.

    (An element that turn after turn reads and writes would be waited for.)
    """
    work, stop = 0, set(operands)
    seen, stack = set(), list(outs)
    while stack:
        node = stack.pop()
        if node in seen or node in stop or is_leaf(node):
            continue
        seen.add(node)
        if node.op is dynamic_set_slice:
            x, value, *starts = node.args
            sizes = value.shape
            place = dynamic_slice(_begin(node), *starts, sizes=sizes)
            fresh = facts.index is not None and any(facts.index in dims.linear(s)[1] for s in starts)
            if not (single(value.type) and (fresh or place in known) and _inside(x, starts, sizes, facts)):
                return False
        elif node.op is dynamic_slice:
            if not (single(node.type) and _inside(node.args[0], node.args[1:], node.shape, facts)):
                return False
        elif node.op.name != "reshape" and not (
            single(node.type) and (node.op.scalar is not None or node.op.name == "broadcast")
        ):
            return False
        work += op_cost(node.op)
        stack += node.args
    return work <= _WORK


def _inside(x, starts, sizes, facts):
    """Say whether a moving slice is known to lie in its array, whatever the branch."""
    for start, n, size in zip(starts, x.shape, sizes):
        least, most = facts.interval(start)
        if least < 0 or most > (facts.interval(n)[0] if isinstance(n, Node) else n) - size:
            return False
    return True


def _begin(node):
    """Return the array to which a chain of writes leads back."""
    while node.op is dynamic_set_slice:
        node = node.args[0]
    return node


def _written(x, chain, asked):
    """Return `x` after the writes of a chain, those of elements as they are where `asked` is false."""
    writes = []
    while chain.op is dynamic_set_slice:
        writes.append(chain)
        chain = chain.args[0]
    table = {chain: x}
    for write in reversed(writes):
        value, *starts = substitute(write.args[1:], table)
        before = dynamic_slice(x, *starts, sizes=value.shape)
        x = table[write] = dynamic_set_slice(x, _select(asked, value, before), *starts)
    return x


def _select(asked, x, y):
    return select(asked if x.shape == () else broadcast(asked, x.shape, ()), x, y)


