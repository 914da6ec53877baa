"""What is known of integers inside of loops: checks and choices that it decides are taken out of the bodies.

A fact is a number's own range, or a linear form that is not negative: ``count - 1 - k`` of a loop's index k. So the
bounds of ``A[i, j]`` are proven where ``j`` runs from ``i + 1`` to ``n``.
"""

import math

from tracejit.kernels.updates import base
from tracejit.symbolic import dims
from tracejit.symbolic.graph import topological
from tracejit.symbolic.ir import OPS, const, const_op, const_value, make, map_attrs, new_variable, param
from tracejit.symbolic.ops.shape import reshape
from tracejit.symbolic.types import BOOL, I64, Type

#: How often a sum is rewritten by what is known of its terms.
_DEPTH = 4
#: How many sums are looked at for one question.
_BUDGET = 300
#: Facts about one number, beyond which more are not kept.
_FEW = 12
_INDEX, _FLAG = Type(I64), Type(BOOL)
_COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")


class Facts:
    """Facts about the nodes of one graph: `known` maps nodes to (least, most); `index` is that of its loop."""

    def __init__(self, known=None):
        self.known, self.index = dict(known or {}), None
        self._left = 0  # of the budget for a question
        self._forms = {}  # node → the forms in which it stands, (constant, {node: factor}), none of them negative

    # ---------------------------------------------------------------- what is known
    def limit(self, node, least, most):
        """Record a range."""
        a, b = self.known.get(node) or dims.interval(node, self.known)
        self.known[node] = (max(a, least), min(b, most))
        if node.op.name == "multiply" and node.args[0] is node.args[1] and 0 <= most < dims.INFINITE:
            self.limit(node.args[0], -math.isqrt(most), math.isqrt(most))

    def add(self, form):
        """Record that a linear form is not negative."""
        constant, terms = form
        if len(terms) == 1:
            ((node, f),) = terms.items()
            if f > 0:
                self.limit(node, -(constant // f), dims.INFINITE)
            else:
                self.limit(node, -dims.INFINITE, constant // -f)
        for node in terms:
            forms = self._forms.setdefault(node, [])
            if len(forms) < _FEW and form not in forms:
                forms.append(form)

    def holds(self, node, truth=True):
        """Record that a bool is true (or false)."""
        name = node.op.name
        if name == "invert":
            self.holds(node.args[0], not truth)
        elif name == ("bitwise_and" if truth else "bitwise_or") and node.type is _FLAG:
            for a in node.args:
                self.holds(a, truth)
        elif name in _COMPARISONS and node.args[0].type is _INDEX:
            x, y = node.args if name.startswith("less") or "equal" == name else node.args[::-1]
            strict = not name.endswith("equal")
            if name == ("equal" if truth else "not_equal"):
                self.add(_difference(x, y))
                self.add(_difference(y, x))
            elif name in ("equal", "not_equal"):
                return
            elif truth:
                self.add(_difference(y, x, -1 if strict else 0))
            else:
                self.add(_difference(x, y, 0 if strict else -1))

    def interval(self, node):
        """Return (least, most) value of an integer."""
        return self._between(dims.linear(node))

    def _between(self, form):
        """Return (least, most) value of a linear form."""
        self._left = _BUDGET
        most = self._most(form, _DEPTH)
        self._left = _BUDGET
        return -self._most(_scaled(form, -1), _DEPTH), most

    def _most(self, form, depth):
        constant, terms = form
        best = constant
        for node, f in terms.items():
            a, b = self.known.get(node) or dims.interval(node, self.known)
            edge = b if f > 0 else a
            if abs(edge) >= dims.INFINITE:
                best = dims.INFINITE
                break
            best += f * edge
        self._left -= 1
        if depth and self._left > 0:
            for node, f in terms.items():
                for other in self._forms.get(node, ()):
                    if other[1][node] == (-1 if f > 0 else 1):
                        best = min(best, self._most(_plus(form, _scaled(other, abs(f))), depth - 1))
        return min(best, dims.INFINITE)

    def decided(self, node):
        """Return the truth of a comparison of integers, or None."""
        x, y = node.args
        if not (self._tame(x) and self._tame(y)):
            return None
        least, most = self._between(_difference(x, y))
        return {
            "less": True if most < 0 else False if least >= 0 else None,
            "less_equal": True if most <= 0 else False if least > 0 else None,
            "greater": True if least > 0 else False if most <= 0 else None,
            "greater_equal": True if least >= 0 else False if most < 0 else None,
            "equal": True if least == most == 0 else False if least > 0 or most < 0 else None,
            "not_equal": False if least == most == 0 else True if least > 0 or most < 0 else None,
        }[node.op.name]

    def _tame(self, node):
        """Say whether the sums in a number cannot wrap around, so that they can be compared as sums."""
        form = dims.linear(node)
        return form == (0, {node: 1}) or all(
            max(map(abs, self.known.get(t) or dims.interval(t, self.known))) < dims.INFINITE or self._forms.get(t)
            for t in form[1])

    def assuming(self, node, truth):
        """Return these facts and those that follow where a bool is true (or false)."""
        out = Facts(self.known)
        out._forms = {n: list(forms) for n, forms in self._forms.items()}
        out.holds(node, truth)
        return out

    # ---------------------------------------------------------------- the facts inside of a graph
    def inside(self, leaves, operands):
        """Return the facts about the params of a graph that stand for these operands."""
        inner = Facts()
        names = _Names(self, inner)
        for leaf, operand in zip(leaves, operands):
            if operand.type is _INDEX:
                inner.known[leaf] = self.interval(operand)
                names.bind(leaf, operand)
        for leaf, operand in zip(leaves, operands):
            if operand.type is _INDEX:
                form = names.translated(dims.linear(operand))
                if form != (0, {leaf: 1}):
                    inner.add(_plus(form, (0, {leaf: -1})))
                    inner.add(_plus(_scaled(form, -1), (0, {leaf: 1})))
        names.copy_forms()
        return inner, names


class _Names:
    """What the nodes of an outer graph are called inside of a body."""

    def __init__(self, outer, inner):
        self.outer, self.inner = outer, inner
        self.forms = {}  # node of the outer graph → form in the inner

    def bind(self, leaf, operand):
        """Note that a param stands for an operand."""
        constant, terms = dims.linear(operand)
        if len(terms) == 1:
            ((node, f),) = terms.items()
            if f in (1, -1) and node not in self.forms:
                self.forms[node] = (-f * constant, {leaf: f})

    def translated(self, form):
        """Return a form over the outer graph's nodes as one over the inner's; what has no name there gets one."""
        constant, terms = form
        out = (constant, {})
        for node, f in terms.items():
            if node not in self.forms:
                ghost = new_variable(_INDEX)
                self.inner.known[ghost] = self.outer.known.get(node) or dims.interval(node, self.outer.known)
                self.forms[node] = (0, {ghost: 1})
            out = _plus(out, _scaled(self.forms[node], f))
        return out

    def copy_forms(self):
        """Carry the facts over that are about nodes with names."""
        for node in list(self.forms):
            for form in self.outer._forms.get(node, ()):
                self.inner.add(self.translated(form))


def of_body(outer, leaves, operands, carries, count=None):
    """Return the facts inside the body of a loop, on params ``(*carries, *invariants)``.

    Before them comes the index, if the loop runs `count` times.
    """
    first = 1 if count is not None else 0
    inner, names = outer.inside(leaves[first + carries:], operands[carries:])
    if count is not None:
        inner.index = leaves[0]
        most = outer.interval(count)[1]
        inner.limit(leaves[0], 0, max(0, most - 1))
        inner.add(_plus(names.translated(dims.linear(count)), (-1, {leaves[0]: -1})))
    for leaf in leaves[first:first + carries]:
        if leaf.type is _INDEX:
            inner.known[leaf] = (-dims.INFINITE, dims.INFINITE)
    return inner


def induct(inner, outer, leaves, initial, outs):
    """Add what holds of carried integers in every turn, given the outs of the body; returns the ranges, by leaf.

    A carry stays where it begins and where a turn puts it. It never falls below its first value where a turn that
    begins above it ends above it, and so for the other side.
    """
    found = {}
    for leaf, operand, out in zip(leaves, initial, outs):
        if leaf.type is not _INDEX:
            continue
        begin = outer.interval(operand)
        before = inner.known[leaf]
        head = [-dims.INFINITE, dims.INFINITE]
        least, most = begin if out is leaf else inner.interval(out)
        if least > -dims.INFINITE:
            head[0] = min(begin[0], least)
        if most < dims.INFINITE:
            head[1] = max(begin[1], most)
        inner.limit(leaf, *head)
        for side in (0, 1):
            if abs(head[side]) < dims.INFINITE:
                continue
            now = inner.known[leaf]
            inner.limit(leaf, *((begin[0], dims.INFINITE) if side == 0 else (-dims.INFINITE, begin[1])))
            after = inner.interval(out)
            if after[0] >= begin[0] if side == 0 else after[1] <= begin[1]:
                head[side] = begin[side]
            else:
                inner.known[leaf] = now
        found[leaf] = (max(head[0], -dims.INFINITE), min(head[1], dims.INFINITE))
        inner.known[leaf] = (max(before[0], head[0]), min(before[1], head[1]))
    return found


def asked(index):
    """Return the bool that the index of a switch of two branches is made of, or None."""
    node = base(index)
    if node.op.name != "cast" or node.args[0].dtype != BOOL:
        return None
    return node.args[0] if node.args[0].shape == () else reshape(node.args[0], ())


# ---------------------------------------------------------------- linear forms
def _plus(a, b):
    terms = dict(a[1])
    for node, f in b[1].items():
        terms[node] = terms.get(node, 0) + f
    return a[0] + b[0], {node: f for node, f in terms.items() if f}


def _scaled(form, f):
    return f * form[0], {node: f * g for node, g in form[1].items()}


def _difference(x, y, more=0):
    constant, terms = _plus(dims.linear(x), _scaled(dims.linear(y), -1))
    return constant + more, terms


# ---------------------------------------------------------------- what the facts decide
def simplified(outs, facts):
    """Return `outs` without the comparisons, choices and checks that the facts decide."""
    table = {}
    for node in topological(outs):
        table[node] = _simpler(_rebuilt(node, table), facts)
    return tuple(table[o] for o in outs)


def _rebuilt(node, table):
    if node.op is param or not (node.args or node.dims):
        return node
    return make(node.op, tuple(table[a] for a in node.args), map_attrs(node.attrs, table) if node.dims else node.attrs)


def _simpler(node, facts):
    name = node.op.name
    if name in _COMPARISONS and node.args[0].type is _INDEX:
        truth = facts.decided(node)
        return node if truth is None else const(truth)
    if name in ("bitwise_and", "bitwise_or") and node.type is _FLAG:
        for a, b in (node.args, node.args[::-1]):
            if a.op is const_op:
                return b if bool(const_value(a)) == (name == "bitwise_and") else a
    elif name == "invert" and node.type is _FLAG and node.args[0].op is const_op:
        return const(not const_value(node.args[0]))
    elif name == "select" and node.args[0].op is const_op and node.args[0].type is _FLAG:
        return node.args[1 if const_value(node.args[0]) else 2]
    elif name == "check" and node.type is _INDEX:
        value, fine = node.args
        if fine.op is const_op and const_value(fine):
            return value
        size = node.attr("detail")[1:2]
        if node.attr("error") == "index" and size and type(size[0]) is int:
            facts.limit(node, -size[0], size[0] - 1)
    elif name in ("floor_divide", "remainder") and node.type is _INDEX:
        return _division(node, facts)
    elif name in ("maximum", "minimum") and node.type is _INDEX:
        truth = facts.decided(OPS["less_equal"](*node.args))
        if truth is not None:
            return node.args[int(truth == (name == "maximum"))]
    return node


def _division(node, facts):
    """Return a division by a positive number in the form that costs least: rounding down is for negative ones."""
    x, y = node.args
    least, most = facts.interval(y)
    if least < 1:
        return node
    floored = node.op.name == "floor_divide"
    if least == most and least & (least - 1) == 0:
        new = OPS["shift_right"](x, const(least.bit_length() - 1, I64)) if floored else OPS["bitwise_and"](
            x, const(least - 1, I64))
    elif facts.interval(x)[0] >= 0:
        new = OPS["quotient" if floored else "fmod"](x, y)
    else:
        return node
    facts.known[new] = facts.interval(node)
    return new
