"""Arithmetic of sizes: ints and *dims*, the rank-0 int64 nodes of sizes and positions known at run time.

Sums are kept as linear forms, so that equal sizes are the same node (``(i + 3) - i`` is 3), and what is known of the
ranges of nodes decides comparisons while tracing (a loop's index is never negative) and bounds memory.
"""

import weakref

from tracejit.symbolic.ir import OPS, Node, const, const_op, const_value, make
from tracejit.symbolic.types import I64

#: Stands for no bound.
INFINITE = 1 << 62
#: Steps of looking into an expression, beyond which the rest of it is taken as it is.
_STEPS = 200
_DEPTH = 24

#: Node → (least, most) where more is known than the expression tells: loop indices, sizes of arguments.
_declared = weakref.WeakKeyDictionary()
#: Node → an expression that it never exceeds, such as the number of turns of its loop.
_below = weakref.WeakKeyDictionary()


def declare(node, least=0, most=None):
    """State the range of a leaf, such as a loop's index. Returns the node.

    `most` is an int, an expression (``n - 1 - k`` for the inner of two loops), or None for no bound.
    """
    if isinstance(most, Node):
        _below[node] = most
        most = bound(most)
    _declared[node] = (least, INFINITE if most is None else most)
    return node


# ---------------------------------------------------------------- linear forms
def linear(n):
    """Return ``(constant, {node: factor})``, whose sum is `n`."""
    constant, terms, stack, steps = 0, {}, [(n, 1)], 0
    while stack:
        n, factor = stack.pop()
        if not isinstance(n, Node):
            constant += factor * n
            continue
        if n.op is const_op:
            constant += factor * int(const_value(n))
            continue
        steps += 1
        name = n.op.name if steps < _STEPS else None
        if name in ("add", "subtract"):
            stack.append((n.args[1], factor if name == "add" else -factor))
            stack.append((n.args[0], factor))
        elif name == "negative":
            stack.append((n.args[0], -factor))
        elif name == "multiply" and any(a.op is const_op for a in n.args):
            x, c = n.args if n.args[1].op is const_op else n.args[::-1]
            stack.append((x, factor * int(const_value(c))))
        else:
            terms[n] = terms.get(n, 0) + factor
    return constant, {t: f for t, f in terms.items() if f}


def _order(node):
    """Return a key that puts leaves in the order in which they were made."""
    return (0, node.attrs[0]) if node.op.name in ("variable", "param") else (1, 0)


def _sum(constant, terms):
    """Return a linear form as an int or a node, terms in a fixed order, what is taken away behind the rest."""
    out = None
    for t in sorted(terms, key=_order):
        f = terms[t]
        if f > 0:
            part = t if f == 1 else _make("multiply", t, f)
            out = part if out is None else _make("add", out, part)
    for t in sorted(terms, key=_order):
        f = terms[t]
        if f < 0:
            part = t if f == -1 else _make("multiply", t, -f)
            if out is None:
                out, constant = _make("subtract", constant, part), 0
            else:
                out = _make("subtract", out, part)
    if out is None:
        return constant
    return out if constant == 0 else _make("add", out, constant)


def _make(name, x, y):
    return make(OPS[name], (_node(x), _node(y)), ())


def _node(n):
    return n if isinstance(n, Node) else const(n, I64)


def entry(n):
    """Return a size in its simplest form: an int where it is a literal."""
    return _sum(*linear(n)) if isinstance(n, Node) else n


def plus(a, b):
    """Return ``a + b``."""
    return _combined(a, b, 1)


def minus(a, b):
    """Return ``a - b``; what is taken from a minimum or maximum goes into it where it cancels there."""
    if isinstance(a, Node) and a.op.name in ("minimum", "maximum") and isinstance(b, Node):
        shared = set(linear(b)[1])
        if any(shared & set(linear(x)[1]) for x in a.args):
            choose = smallest if a.op.name == "minimum" else largest
            return choose(*[minus(x, b) for x in a.args])
    return _combined(a, b, -1)


def _combined(a, b, sign):
    if not isinstance(a, Node) and not isinstance(b, Node):
        return a + sign * b
    constant, terms = linear(a)
    more, others = linear(b)
    terms = dict(terms)
    for t, f in others.items():
        terms[t] = terms.get(t, 0) + sign * f
    return _sum(constant + sign * more, {t: f for t, f in terms.items() if f})


def times(a, b):
    """Return ``a * b``."""
    a, b = entry(a), entry(b)
    if isinstance(a, Node) and isinstance(b, Node):
        return _make("multiply", a, b)
    if isinstance(b, Node):
        a, b = b, a
    if not isinstance(a, Node):
        return a * b
    constant, terms = linear(a)
    return _sum(constant * b, {t: f * b for t, f in terms.items()} if b else {})


def product(shape):
    """Return the product of shape entries."""
    total = 1
    for n in shape:
        total = times(total, n)
    return total


def total(sizes):
    """Return the sum of shape entries."""
    out = 0
    for n in sizes:
        out = plus(out, n)
    return out


def quotient(a, b):
    """Return ``a // b`` for `a` >= 0 and an int `b` > 0, rounded down."""
    if not isinstance(a, Node):
        return a // b
    constant, terms = linear(a)
    if constant % b == 0 and all(f % b == 0 for f in terms.values()):
        return _sum(constant // b, {t: f // b for t, f in terms.items()})
    return _make("quotient", a, b)


def smallest(a, b):
    """Return the smaller of two sizes."""
    least, most = interval(_combined(a, b, -1))
    if most <= 0:
        return a
    return b if least >= 0 else _make("minimum", a, b)


def largest(a, b):
    """Return the larger of two sizes."""
    least, most = interval(_combined(a, b, -1))
    if least >= 0:
        return a
    return b if most <= 0 else _make("maximum", a, b)


def same(a, b):
    """Return whether two sizes are known to be equal."""
    return a is b or _combined(_bare(a), _bare(b), -1) == 0


def _bare(n):
    """Return a size without the checks that it has passed."""
    while isinstance(n, Node) and n.op.name == "check":
        n = n.args[0]
    return n


# ---------------------------------------------------------------- ranges
def interval(n, known=None):
    """Return ``(least, most)`` value of a size or index, `INFINITE` where nothing is known.

    `known` maps nodes to such pairs, beside what was declared.
    """
    return _interval(n, known or {}, _DEPTH, {})


def bound(n, known=None):
    """Return the largest value that a size may have, or None."""
    most = interval(n, known)[1]
    return None if most >= INFINITE else max(0, most)


def _interval(n, known, depth, found):
    """Return the range that so many steps down tell, or more of them on another way to the same node, as in `found`."""
    if not isinstance(n, Node):
        return n, n
    steps, told = found.get(n, (-1, None))
    if steps < depth:
        told = _range(n, known, depth, lambda a: _interval(a, known, depth - 1, found))
        found[n] = depth, told
    return told


def _range(n, known, depth, of):
    constant, terms = linear(n)
    if len(terms) != 1 or n not in terms:
        low = high = constant
        for t, f in terms.items():
            a, b = _scaled(of(t), f) if depth else (-INFINITE, INFINITE)
            low, high = low + a, high + b
        low, high = _clipped(low, high)
        for t, f in terms.items():
            limit = _below.get(t)
            if limit is not None and depth:  # a sum in which its limit cancels tells more than the sum of the ranges
                a, b = of(_combined(_combined(n, times(t, f), -1), times(limit, f), 1))
                low, high = (low, min(high, b)) if f > 0 else (max(low, a), high)
        return low, high
    found = known.get(n) or _declared.get(n)
    if found is not None:
        return found
    if depth:
        rule = RANGES.get(n.op.name)
        if rule is not None:
            return _clipped(*rule(n, of))
    return -INFINITE, INFINITE


def _scaled(pair, f):
    a, b = (x if abs(x) >= INFINITE else x * abs(f) for x in pair)
    return (a, b) if f > 0 else (-b, -a)


def _clipped(low, high):
    # sums with an unbounded part stay unbounded
    return (low if low > -INFINITE // 2 else -INFINITE), (high if high < INFINITE // 2 else INFINITE)


def _product_range(n, of):
    (a, b), (c, d) = map(of, n.args)
    if a >= 0 and c >= 0:
        return a * c, INFINITE if INFINITE in (b, d) else b * d
    if max(map(abs, (a, b, c, d))) >= INFINITE:
        return -INFINITE, INFINITE
    corners = [a * c, a * d, b * c, b * d]
    return min(corners), max(corners)


def _division_range(n, of):
    (a, b), (c, d) = map(of, n.args)
    if c != d or c <= 0 or a < 0:
        return -INFINITE, INFINITE
    if n.op.name in ("fmod", "remainder"):
        return 0, min(b, c - 1)
    return a // c, INFINITE if b >= INFINITE else b // c


def _remainder_range(n, of):
    c, d = of(n.args[1])
    return (0, c - 1) if c == d and c > 0 else _division_range(n, of)


def _cast_range(n, of):
    source = n.args[0].dtype
    if source.kind == "b":
        return 0, 1
    if source.kind == "i" and source.itemsize == 8:
        return of(n.args[0])
    if source.kind in "iu" and source.itemsize < 8:
        top = 1 << (8 * source.itemsize - (source.kind == "i"))
        return (-top if source.kind == "i" else 0), top - 1
    return -INFINITE, INFINITE


def _select_range(n, of):
    (a, b), (c, d) = map(of, n.args[1:])
    return min(a, c), max(b, d)


def _count_range(n, of):
    """A sum of bools is a count."""
    x = n.args[0]
    if x.op.name == "cast" and x.args[0].dtype.kind == "b":
        return 0, of(product(x.shape))[1]
    return -INFINITE, INFINITE


def _extreme_range(n, of):
    (a, b), (c, d) = map(of, n.args)
    choose = min if n.op.name == "minimum" else max
    return choose(a, c), choose(b, d)


#: Range of a node by its op: ``rule(node, of)``, with ``of(size)`` the range of another.
RANGES = {
    "multiply": _product_range, "quotient": _division_range, "fmod": _division_range,
    "floor_divide": _division_range, "remainder": _remainder_range, "cast": _cast_range, "select": _select_range,
    "reduce_sum": _count_range, "minimum": _extreme_range, "maximum": _extreme_range,
    "check": lambda n, of: of(n.args[0]), "room": lambda n, of: of(n.args[0]),
    "absolute": lambda n, of: (0, max(map(abs, of(n.args[0])))),
}
