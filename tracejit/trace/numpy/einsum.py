"""Einstein summation over nodes: parse the subscripts, choose an order, contract pair by pair into dot_general.

The order comes from `numpy.einsum_path` on arrays of the same shapes that hold one element, so it costs no memory, and
the errors are NumPy's own.
"""

import numpy as np

from tracejit.symbolic.ops.contract import dot_general
from tracejit.symbolic.ops.reduce import reduce_or, reduce_sum
from tracejit.symbolic.ops.scalar import bitwise_and, multiply
from tracejit.symbolic.ops.shape import broadcast, reshape, slice_, transpose
from tracejit.symbolic.types import BOOL

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def from_sublists(operands):
    """Return (subscripts, arrays) for the form ``einsum(a, [0, 1], b, [1, 2], [0, 2])``."""
    operands = list(operands)
    result = operands.pop() if len(operands) % 2 else None
    labels = {}

    def text(sublist):
        out = ""
        for label in sublist:
            out += "..." if label is Ellipsis else labels.setdefault(label, _LETTERS[label])
        return out

    terms = ",".join(text(s) for s in operands[1::2])
    return terms if result is None else f"{terms}->{text(result)}", operands[::2]


def resolve(subscripts, ndims):
    """Return (terms, output): one string of labels per operand and one for the result, ellipses written out.

    Labels of an ellipsis are letters that the subscripts do not use, aligned at the right as broadcasting is.
    """
    subscripts = subscripts.replace(" ", "")
    inputs, arrow, output = subscripts.partition("->")
    terms = inputs.split(",")
    spare = [c for c in _LETTERS if c not in subscripts]
    widths = [n - len(t.replace("...", "")) if "..." in t else 0 for t, n in zip(terms, ndims)]
    wide = "".join(spare[:max(widths, default=0)])
    terms = [t.replace("...", wide[len(wide) - w:]) for t, w in zip(terms, widths)]
    if arrow:
        return terms, output.replace("...", wide)
    joined = "".join(terms)
    once = sorted(c for c in set(joined) - set(wide) if joined.count(c) == 1)
    return terms, wide + "".join(once)


def contraction_order(subscripts, kinds, optimize):
    """Return the operand groups to contract in turn, and raise NumPy's errors for subscripts that do not fit."""
    dummies = [np.broadcast_to(np.zeros((), t.dtype), t.shape) for t in kinds]
    if isinstance(optimize, (bool, np.bool_)) or optimize is None:
        optimize = "optimal" if len(kinds) <= 4 else "greedy"
    path, _ = np.einsum_path(subscripts, *dummies, optimize=optimize)
    return path[1:]


def contract(nodes, terms, output, order):
    """Return the node of the contraction; operands are popped and the result appended, as in NumPy's paths."""
    sizes = {}
    for node, term in zip(nodes, terms):
        for label, n in zip(term, node.shape):
            if sizes.get(label, 1) == 1:
                sizes[label] = n
    pending = [_clean(node, term, sizes) for node, term in zip(nodes, terms)]
    for group in order:
        taken = [pending.pop(i) for i in sorted(group, reverse=True)][::-1]
        rest = set(output).union(*(term for _, term in pending))
        while len(taken) > 1:
            later = rest.union(*(term for _, term in taken[2:]))
            taken[:2] = [_pair(*taken[:2], later, output)]
        node, term = taken[0]
        pending.append(_sum_out(node, term, rest))
    (node, term), = pending
    node, term = _sum_out(node, term, set(output))
    # A label of the output that every operand had with length 1 was dropped on the way.
    missing = [c for c in output if c not in term]
    if missing:
        node, term = reshape(node, [1] * len(missing) + list(node.shape)), "".join(missing) + term
    return transpose(node, [term.index(c) for c in output])


def _clean(node, term, sizes):
    """Take diagonals of repeated labels, and drop axes of length 1 that stand for a longer or a common one."""
    keep = [a for a, c in enumerate(term) if not (node.shape[a] == 1)]
    node, term = reshape(node, [node.shape[a] for a in keep]), "".join(term[a] for a in keep)
    for label in dict.fromkeys(term):
        while term.count(label) > 1:
            i = term.index(label)
            j = term.index(label, i + 1)
            rest = [a for a in range(node.ndim) if a not in (i, j)]
            node = diagonal(transpose(node, [*rest, i, j]))
            term = "".join(term[a] for a in rest) + label
    return node, term


def diagonal(node, offset=0):
    """Return the diagonals of the last two axes as the last axis: a reshape and one strided slice."""
    *outer, rows, columns = node.shape
    first = offset if offset >= 0 else -offset * columns
    n = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    flat = reshape(node, [*outer, rows * columns])
    return slice_(flat, [0] * len(outer) + [first if n else 0], [1] * len(outer) + [columns + 1], [*outer, n])


def _sum_out(node, term, keep):
    axes = tuple(a for a, c in enumerate(term) if c not in keep)
    if not axes:
        return node, term
    fold = reduce_or if node.dtype == BOOL else reduce_sum
    return fold(node, axes=axes), "".join(c for c in term if c in keep)


def _pair(left, right, later, output):
    """Contract two operands over the labels that nothing later needs."""
    left = _sum_out(*left, later | set(right[1]))
    right = _sum_out(*right, later | set(left[1]))
    shared = [c for c in left[1] if c in right[1]]
    batch = [c for c in shared if c in later]
    summed = [c for c in shared if c not in later]
    free = lambda term: [c for c in term if c not in shared]
    if _comes_first(free(right[1]), free(left[1]), output):
        left, right = right, left
    (x, tx), (y, ty) = left, right
    term = "".join([*batch, *free(tx), *free(ty)])
    if summed:
        places = lambda labels: (tuple(tx.index(c) for c in labels), tuple(ty.index(c) for c in labels))
        return dot_general(x, y, places(summed), places(batch)), term
    sizes = dict(zip(tx + ty, x.shape + y.shape))
    shape = [sizes[c] for c in term]
    times = bitwise_and if x.dtype == BOOL else multiply
    return times(_laid_out(x, tx, term, shape), _laid_out(y, ty, term, shape)), term


def _comes_first(right, left, output):
    """Whether the result needs no transposition only if the right operand's labels come first."""
    first = lambda labels: min((output.index(c) for c in labels if c in output), default=len(output))
    return bool(right) and bool(left) and first(right) < first(left)


def _laid_out(node, term, target, shape):
    """Return `node` with its labels in the order of `target`, broadcast to `shape`."""
    order = sorted(range(len(term)), key=lambda a: target.index(term[a]))
    return broadcast(transpose(node, order), shape, [target.index(term[a]) for a in order])
