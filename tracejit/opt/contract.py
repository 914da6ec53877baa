"""BLAS calls out of sums of products: scalars and added arrays absorbed into gemm and gemv.

A plain product stays a dot_general, which backends call BLAS for. What this phase adds is the rest of BLAS's formula,
``alpha * a @ b + beta * c``, found in any arrangement of sums, differences and multiples. It is worth it where nothing
else would do that work for free: the value is an output or goes into another library call (an elementwise user fuses
the sum), and the product has no other use. Several products are added up in one buffer in any case.
"""

from tracejit.opt.rewrite import rewrite_nodes
from tracejit.symbolic.ir import const, make, scalar_literal
from tracejit.symbolic.ops.contract import dot_general_op, gemm, gemv
from tracejit.symbolic.ops.scalar import add, divide, multiply, negative, subtract
from tracejit.symbolic.ops.shape import broadcast, broadcast_op, zeros
from tracejit.symbolic.types import F32, F64

#: Products with fewer multiplications are left to loops.
FEW = 4096
_LINEAR = (add, subtract, negative, multiply, divide)


def contract(graph, by_op):
    """Return the graph with sums of products as BLAS calls; `by_op` is the table that brings the scalars to rest."""
    order = graph.topological()
    uses = _uses(order, graph.outs)
    products = {n for n in order if uses[n] == 1 and _blas_operands(n) is not None}
    if not products:
        return graph
    table = _Contraction(order, graph.outs, uses, products).table()
    outs = rewrite_nodes([table[n] for n in graph.outs], by_op)
    return graph if outs == graph.outs else graph.replace(outs)


def _uses(order, outs):
    uses = dict.fromkeys(order, 0)
    for node in order:
        for a in node.args:
            uses[a] += 1
    for node in outs:
        uses[node] += 1
    return uses


def _blas_operands(node):
    """Return (op, a, b, attrs) that compute a dot_general by gemm or gemv, or None."""
    if node.op is not dot_general_op or node.dtype not in (F32, F64) or not node.type.is_static:
        return None
    (cx, cy), (bx, _) = node.attrs
    x, y = node.args
    if bx or len(cx) != 1 or not x.type.is_static or node.type.size * x.shape[cx[0]] <= FEW:
        return None
    if x.ndim == y.ndim == 2:
        return gemm, x, y, (cx[0] == 0, cy[0] == 1)
    if x.ndim == 2 and y.ndim == 1:
        return gemv, x, y, (cx[0] == 0,)
    if x.ndim == 1 and y.ndim == 2:
        return gemv, y, x, (cy[0] == 0,)
    return None


def _scalar(node):
    """Return the rank-0 node that `node` repeats, or None."""
    if node.op is broadcast_op and not node.args[0].shape:
        return node.args[0]
    return None


class _Contraction:
    """One sweep over a graph, users before what they use: finds the outermost sum around each product."""

    def __init__(self, order, outs, uses, products):
        self.order, self.outs, self.uses, self.products = order, set(outs), uses, products
        self.users = {}
        for node in order:
            for a in node.args:
                self.users.setdefault(a, []).append(node)

    def table(self):
        """Return {node: its replacement} for all nodes."""
        sums, inside = {}, set()
        for node in reversed(self.order):
            if node in inside or node.op not in _LINEAR or node.dtype not in (F32, F64):
                continue
            terms, within = self._terms(node)
            if any(t in self.products for t in terms):
                sums[node] = terms
                inside |= within
        table = {}
        for node in self.order:
            combined = self._combined(node, sums[node], table) if node in sums else None
            table[node] = node.mapped(table) if combined is None else combined
        return table

    def _terms(self, root):
        """Return {leaf: rank-0 coefficient} of the sum that `root` is, and the nodes between."""
        one = const(1, root.dtype)
        terms, within, stack = {}, set(), [(root, one)]
        while stack:
            node, c = stack.pop()
            scaled = self._scaled(node, c) if node is root or self.uses[node] == 1 else None
            if scaled is None:
                terms[node] = terms[node] + c if node in terms else c
            else:
                within.add(node)
                stack += reversed(scaled)
        return terms, within

    def _scaled(self, node, c):
        """Return the parts of a sum or multiple with their coefficients, or None for a leaf."""
        op = node.op
        if op is add:
            return [(a, c) for a in node.args]
        if op is subtract:
            return [(node.args[0], c), (node.args[1], -c)]
        if op is negative:
            return [(node.args[0], -c)]
        if op is multiply:
            for i in (1, 0):
                s = _scalar(node.args[i])
                if s is not None:
                    return [(node.args[1 - i], c * s)]
        if op is divide:
            s = _scalar(node.args[1])
            if s is not None:
                return [(node.args[0], c / s)]
        return None

    def _combined(self, root, terms, table):
        """Return the sum with its products as BLAS calls, or None where nothing is won."""
        products = [t for t in terms if t in self.products]
        others = {t: c for t, c in terms.items() if t not in products}
        alone = root in self.outs or any(u.op.routine is not None for u in self.users.get(root, ()))
        if not alone and len(products) == 1:
            return None
        repeated = {t: c for t, c in others.items() if t.op is broadcast_op}
        absorbed = {t: c for t, c in others.items() if t not in repeated} if alone else {}
        left = {t: c for t, c in others.items() if t not in absorbed}
        zero, one = const(0, root.dtype), const(1, root.dtype)
        if len(absorbed) == 1:
            (t, beta), = absorbed.items()
            c = table[t]
        elif absorbed:
            c, beta = self._sum(absorbed, table), one
        elif len(products) == 1 and scalar_literal(terms[products[0]]) == 1:
            return None
        else:
            c, beta = zeros(root.type), zero
        for t in products:
            op, a, b, trans = _blas_operands(t)
            c = make(op, (table[a], table[b], c, terms[t], beta), trans)
            beta = one
        return c if not left else c + self._sum(left, table)

    def _sum(self, terms, table):
        total = None
        for t, c in terms.items():
            part = table[t] * broadcast(c, t.shape, ())
            total = part if total is None else total + part
        return total
