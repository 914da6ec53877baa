"""Index arithmetic: sums of loop variables with literal factors, simplified with what is known of their ranges."""

from tracejit.kernels.loop_ir import index_op, integer
from tracejit.symbolic.ir import OPS, Node, const_op, const_value, make
from tracejit.symbolic.types import I64

_INFINITE = 1 << 62


class Affine:
    """``constant + sum of factor * term``; a term is a loop variable, an expression that is not affine, or a product of
    such with sizes known at run time.
    """

    __slots__ = ("constant", "terms")

    def __init__(self, constant=0, terms=None):
        self.constant, self.terms = constant, terms or {}

    def plus(self, other, factor=1):
        """Return ``self + factor * other``."""
        terms = dict(self.terms)
        for term, f in other.terms.items():
            terms[term] = terms.get(term, 0) + factor * f
        return Affine(self.constant + factor * other.constant, {t: f for t, f in terms.items() if f})

    def factor(self, term):
        """Return the factor of a term."""
        return self.terms.get(term, 0)

    def stride(self, variable):
        """Return the factor of a loop variable as an Affine, products with sizes included."""
        out = Affine(self.terms.get(variable, 0))
        for term, f in self.terms.items():
            if term.op.name == "multiply":
                atoms = factors(term)
                if variable in atoms:
                    atoms.remove(variable)
                    out = out.plus(Affine(0, {monomial(atoms): f}))
        return out

    def is_multiple(self, other, extent):
        """Return whether this is `other` times an extent (an int or an Affine)."""
        product = other.times(extent) if isinstance(extent, Affine) else Affine().plus(other, extent)
        return self.constant == product.constant and self.terms == product.terms

    def times(self, other):
        """Return the product, multiplied out."""
        out = Affine(self.constant * other.constant)
        out = out.plus(Affine(0, self.terms), other.constant).plus(Affine(0, other.terms), self.constant)
        for x, f in self.terms.items():
            for y, g in other.terms.items():
                out = out.plus(Affine(0, {monomial(factors(x) + factors(y)): f * g}))
        return out


def factors(term):
    """Return what a product multiplies."""
    out, stack = [], [term]
    while stack:
        term = stack.pop()
        if term.op.name == "multiply":
            stack += [term.args[1], term.args[0]]
        else:
            out.append(term)
    return out


def monomial(atoms):
    """Return the product of expressions as a node, in one order: sizes first, loop variables last."""
    out = None
    for atom in sorted(atoms, key=lambda a: (a.op is index_op, str(a.attrs))):
        out = atom if out is None else make(OPS["multiply"], (out, atom), ())
    return out


class Indices:
    """Simplifies rank-0 int64 expressions; results are memoised for the life of this object."""

    def __init__(self):
        self._affine = {}
        self._range = {}

    def simplify(self, node):
        """Return the node in its simplest form."""
        return node if node.op is const_op or node.op is index_op else self.to_node(self.affine(node))

    def affine(self, node):
        """Return the Affine form of a node."""
        found = self._affine.get(node)
        if found is None:
            found = self._affine[node] = self._combine(self._compute(node))
        return found

    def _compute(self, node):
        name = node.op.name
        if node.op is const_op:
            return Affine(int(const_value(node)))
        if node.op is index_op:
            return Affine(0, {node: 1}) if node.attrs[1] != 1 else Affine()
        if name in ("add", "subtract"):
            return self.affine(node.args[0]).plus(self.affine(node.args[1]), 1 if name == "add" else -1)
        if name == "negative":
            return Affine().plus(self.affine(node.args[0]), -1)
        if name == "multiply":
            x, y = map(self.affine, node.args)
            if not x.terms:
                return Affine().plus(y, x.constant)
            if not y.terms:
                return Affine().plus(x, y.constant)
            if sized(x) or sized(y):
                return x.times(y)
            return self._opaque("multiply", x, y)
        if name in ("quotient", "fmod"):
            x, y = map(self.affine, node.args)
            if not y.terms and y.constant > 0:
                return self._divided(name, x, y.constant)
            return self._opaque(name, x, y)
        return Affine(0, {node: 1})

    def _opaque(self, name, x, y):
        return Affine(0, {make(OPS[name], (self.to_node(x), self.to_node(y)), ()): 1})

    def _divided(self, name, x, c):
        """Split x = c * whole + rest; where 0 <= rest < c and whole >= 0 these are quotient and remainder."""
        whole, rest = {}, {}
        for term, f in x.terms.items():
            (rest if f % c else whole)[term] = f
        low = x.constant % c
        whole = Affine((x.constant - low) // c, {t: f // c for t, f in whole.items()})
        rest = Affine(low, rest)
        if self.bounds_of(whole)[0] >= 0:
            least, most = self.bounds_of(rest)
            if least >= 0:
                if most < c:
                    return whole if name == "quotient" else rest
                if name == "fmod":
                    return Affine(0, {make(OPS["fmod"], (self.to_node(rest), integer(c)), ()): 1})
                return whole.plus(Affine(0, {make(OPS["quotient"], (self.to_node(rest), integer(c)), ()): 1}))
        return self._opaque(name, x, Affine(c))

    def _combine(self, form):
        """Put k * (x % c) + k * c * (x / c) together again: k * x."""
        for term, k in list(form.terms.items()):
            if term.op.name != "fmod" or term not in form.terms:
                continue
            x, c = term.args
            if c.op is not const_op:
                continue
            inner, size = self.affine(x), int(const_value(c))
            other = self._divided("quotient", inner, size) if size > 0 else None
            if other is not None and len(other.terms) == 1 and not other.constant:
                ((quotient, f),) = other.terms.items()
                if f == 1 and form.factor(quotient) == k * size:
                    terms = {t: g for t, g in form.terms.items() if t is not term and t is not quotient}
                    return self._combine(Affine(form.constant, terms).plus(inner, k))
        return form

    def to_node(self, form):
        """Return the node of an Affine form, terms in a fixed order."""
        out = None
        for term, f in sorted(form.terms.items(), key=lambda item: (item[0].op is not index_op, str(item[0].attrs))):
            part = term if f == 1 else make(OPS["multiply"], (term, integer(f)), ())
            out = part if out is None else make(OPS["add"], (out, part), ())
        if out is None:
            return integer(form.constant)
        return out if form.constant == 0 else make(OPS["add"], (out, integer(form.constant)), ())

    def bounds_of(self, form):
        """Return (least, largest) value of a form."""
        low = high = form.constant
        for term, f in form.terms.items():
            a, b = self._bounds(term)
            low += f * (a if f > 0 else b)
            high += f * (b if f > 0 else a)
        return low, high

    def _bounds(self, term):
        if term.op is index_op:
            return 0, _INFINITE if isinstance(term.attrs[1], Node) else max(0, term.attrs[1] - 1)
        found = self._range.get(term)
        if found is None:
            found = -_INFINITE, _INFINITE
            if term.op.name in ("fmod", "quotient") and term.args[1].op is const_op:
                c = int(const_value(term.args[1]))
                low, high = self.bounds_of(self.affine(term.args[0]))
                if low >= 0 and c > 0:
                    found = (0, min(high, c - 1)) if term.op.name == "fmod" else (low // c, high // c)
            self._range[term] = found
        return found


def sized(form):
    """Say whether a form is a size known at run time: elements of buffers, and no loop variable among them."""
    return bool(form.terms) and all(a.op.name == "load" for term in form.terms for a in factors(term))


def flat_offset(indices, index, shape):
    """Return the simplified offset of an element in a C-contiguous array of `shape`."""
    total, stride = Affine(), 1
    for i, n in zip(reversed(index), reversed(shape)):
        if n != 1:
            form = indices.affine(i)
            total = total.plus(form.times(stride)) if isinstance(stride, Affine) else total.plus(form, stride)
        if isinstance(n, Node) or isinstance(stride, Affine):
            stride = (stride if isinstance(stride, Affine) else Affine(stride)).times(
                indices.affine(n) if isinstance(n, Node) else Affine(n))
        else:
            stride *= n
    return indices.to_node(indices._combine(total))


def scalar_index(value):
    """Say whether a node is an index expression: a rank-0 int64."""
    return value.dtype == I64 and value.shape == ()
