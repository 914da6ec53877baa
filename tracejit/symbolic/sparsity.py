"""Which elements of a result depend on which elements of an argument: the pattern of a derivative, read off its graph.

What is asked is a graph that is linear in a leaf: the tangents of a function. Its pattern holds for all values: nothing
is evaluated but positions and literals. A product with a literal 0 has no place; where an operation is not known in
detail, each element of its result depends on all that its arguments depend on.

Patterns are sparse matrices of bools, a row per element of a value and a column per element of the leaf; None has no
place at all.
"""

import itertools
import math

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.symbolic.graph import topological
from tracejit.symbolic.interp import evaluate_nodes
from tracejit.symbolic.ir import const_op, const_value, describe, item, param, variable
from tracejit.symbolic.types import Type

#: Nodes that are looked at in all iterations of one loop, up to which each iteration has its own pattern.
_UNROLLED = 20_000
#: Places up to which a pattern may be full.
_MOST = 1 << 26
#: Ops that move elements from one place to another, as those with an `element` rule do.
_MOVES = frozenset(("scatter_set", "dynamic_set_slice"))


def pattern(outs, leaf, ask):
    """Return the patterns of nodes that are linear in a leaf.

    Parameters
    ----------
    outs : sequence of Node
    leaf : Node
    ask : callable
        ``ask(param) -> array or None``: the content of a param of integer dtype, where positions depend on it.
    """
    return _Patterns(leaf.type.size, ask).of(outs, {leaf: _identity(leaf.type.size)})


def _scipy():
    import scipy.sparse  # 0.1 s, which only sparse derivatives need

    return scipy.sparse


def _identity(n):
    return _scipy().csr_array(_scipy().eye_array(n, dtype=bool, format="csr"))


def _ones(rows, columns, shape):
    """Return the pattern with these places."""
    places = np.asarray(rows).reshape(-1), np.asarray(columns).reshape(-1)
    made = _scipy().coo_array((np.ones(places[0].size, bool), places), shape=shape).tocsr()
    return made


def _united(patterns):
    patterns = [p for p in patterns if p is not None]
    total = None
    for p in patterns:
        total = p if total is None else total + p
    return total


def _places(shape):
    """Return the numbers of the elements of an array, in its shape."""
    return np.arange(math.prod(shape)).reshape(shape)


class _Patterns:
    """The patterns over one leaf, and what is known of positions."""

    def __init__(self, columns, ask, given=None):
        self._columns, self._ask = columns, ask
        self._values = dict(given or {})

    def of(self, outs, table):
        """Return the patterns of nodes, given those of leaves."""
        table = dict(table)
        for node in topological(outs):
            if node not in table:
                inner = [table.get(a) for a in node.args]
                table[node] = self._node(node, inner, table) if any(p is not None for p in inner) else None
        return [table[n] for n in outs]

    def known(self, node):
        """Return the content of a node that depends on literals and on what may be asked, else None."""
        if node not in self._values:
            needed = topological([node])
            leaves = [n for n in needed if n.op is param or n.op is variable]
            found = {n: self._leaf(n) for n in leaves}
            if any(v is None for v in found.values()):
                self._values[node] = None
            else:
                self._values[node] = evaluate_nodes([node], found)[0]
        return self._values[node]

    def _leaf(self, node):
        if node not in self._values:
            integral = type(node.type) is Type and node.type.kind in "iub"
            self._values[node] = self._ask(node) if integral and self._ask is not None else None
        return self._values[node]

    # ------------------------------------------------------------ one node
    def _node(self, node, inner, table):
        op = node.op
        if op is item:
            return inner[0][node.attrs[0]]
        kinds = (node.type,) if type(node.type) is Type else node.type
        if not all(kind.is_static for kind in kinds):
            raise UnsupportedError(f"the pattern of a derivative through {describe(node)}, whose size is known at run "
                                   "time only", do="keep the full size and mask with np.where")
        if type(node.type) is not Type:
            return self._loops(node, inner)
        if node.type.kind not in "fc":
            return None
        rule = _RULES.get(op.name)
        if rule is not None:
            return rule(self, node, inner)
        if op.elementwise:
            return _united(inner)
        if op.element is not None or op.name in _MOVES:
            return self._moved(node, inner)
        if op.reduce == "add":
            return self._summed(node, inner[0])
        if op.expand is not None:
            expanded = op.expand(*node.args, **dict(zip(op.attrs, node.attrs)))
            below = dict.fromkeys(topological(node.args))
            return self.of([expanded], below | dict(zip(node.args, inner)))[0]
        return self._all(node, inner)

    def _all(self, node, inner):
        """Each element depends on all that the arguments depend on."""
        total = np.zeros(self._columns, bool)
        for p in inner:
            if p is not None:
                total[p.indices] = True
        return self._full(node.type, np.flatnonzero(total), node)

    def _full(self, kind, columns, node):
        if kind.kind not in "fc":
            return None
        if kind.size * columns.size > _MOST:
            raise UnsupportedError(f"the pattern of a derivative through {describe(node)}", do="write it with array "
                                   "operations instead of a loop over many elements, or take the whole jacobian")
        return _ones(np.repeat(np.arange(kind.size), columns.size), np.tile(columns, kind.size),
                     (kind.size, self._columns))

    def _selected(self, whole, rows):
        return whole[np.asarray(rows).reshape(-1)]

    def _moved(self, node, inner):
        """Let the op move the numbers of elements, which start at 1: 0 is none."""
        values, patterns, first = [], [_scipy().csr_array((1, self._columns), dtype=bool)], 1
        for arg, p in zip(node.args, inner):
            if p is not None:
                values.append(first + _places(arg.shape))
                patterns.append(p)
                first += arg.type.size
            elif type(arg.type) is Type and arg.type.kind in "iub":
                values.append(self.known(arg))
            else:
                values.append(np.zeros(arg.shape, np.int64))
        if any(v is None for v in values) or node.dims:
            return self._all(node, inner)
        places = node.op.ref(*values, **dict(zip(node.op.attrs, node.attrs)))
        if len(patterns) == 2 and places.size and places.min() > 0:
            return self._selected(patterns[1], places - 1)
        return self._selected(_scipy().vstack(patterns, format="csr"), places)

    def _summed(self, node, p):
        shape, axes = node.args[0].shape, node.attr("axes")
        kept = [1 if a in axes else n for a, n in enumerate(shape)]
        target = np.broadcast_to(_places(kept), shape)
        return _ones(target, np.arange(target.size), (node.type.size, target.size)) @ p

    # ------------------------------------------------------------ products
    def _multiplied(self, node, inner):
        """A literal 0 leaves nothing."""
        if sum(p is not None for p in inner) > 1:
            return _united(inner)
        moving = next(k for k, p in enumerate(inner) if p is not None)
        factor = _literal(node.args[1 - moving])
        return inner[moving] if factor is None else self._where(inner[moving], factor != 0)

    def _where(self, p, mask):
        rows = np.flatnonzero(mask)
        return _ones(rows, rows, (p.shape[0],) * 2) @ p

    def _chosen(self, node, inner):
        chosen = _literal(node.args[0])
        if chosen is None:
            return _united(inner)
        sides = [None if p is None else self._where(p, mask) for p, mask in zip(inner[1:], (chosen, ~chosen))]
        return _united(sides)

    def _contracted(self, node, inner):
        """The places of a literal factor, or all of an unknown one, say which elements are summed."""
        (cx, cy), (bx, by) = node.attrs
        found = []
        for k, p in enumerate(inner):
            if p is None:
                continue
            places = [_places(a.shape) for a in node.args]
            other = _literal(node.args[1 - k])
            fx, fy = ([a for a in range(v.ndim) if a not in (*c, *b)] for v, c, b in zip(places, (cx, cy), (bx, by)))
            x = places[0].transpose([*bx, *fx, *cx]).reshape(math.prod(places[0].shape[a] for a in bx), math.prod(
                places[0].shape[a] for a in fx), -1, 1)
            y = places[1].transpose([*by, *fy, *cy]).reshape(x.shape[0], 1, math.prod(
                places[1].shape[a] for a in fy), -1)
            x = x.reshape(x.shape[0], x.shape[1], 1, -1)
            shape = np.broadcast_shapes(x.shape, y.shape)
            out = np.broadcast_to(_places(shape[:3])[..., None], shape)
            own = np.broadcast_to((x, y)[k], shape)
            hit = slice(None)
            if other is not None:
                hit = other.reshape(-1)[np.broadcast_to((x, y)[1 - k], shape)].reshape(-1) != 0
            linear = _ones(out.reshape(-1)[hit], own.reshape(-1)[hit], (math.prod(shape[:3]), places[k].size))
            found.append(linear @ p)
        return _united(found)

    def _accumulated(self, node, inner):
        shape, axis = node.shape, node.attr("axis")
        n = shape[axis]
        later, earlier = np.tril_indices(n) if not node.attr("reverse") else np.triu_indices(n)
        places = np.moveaxis(_places(shape), axis, -1).reshape(-1, n)
        whole = _united(inner)
        return _ones(places[:, later], places[:, earlier], (whole.shape[0],) * 2) @ whole

    def _added_at(self, node, inner):
        x, value, *indices = node.args
        known = [self.known(i) for i in indices]
        if any(v is None for v in known):
            return self._all(node, inner)
        target = _places(x.shape)[tuple(known)]
        added = None if inner[1] is None else _ones(target, np.arange(target.size), (
            x.type.size, target.size)) @ inner[1]
        return _united([inner[0], added])

    # ------------------------------------------------------------ sparse matrices
    def _sparse(self, node, inner):
        """The places of the matrix, by what is known of its positions."""
        at = 0 if node.op.name == "csr_sampled" else 1
        indices, indptr = (self.known(a) for a in node.args[at:at + 2])
        if indices is None or indptr is None:
            return self._all(node, inner)
        row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
        number = np.arange(len(indices))
        wide = node.args[-1].shape[1] if node.args[-1].ndim == 2 else 1
        beside = np.arange(wide)
        spread = {"rows": (row[:, None] * wide + beside), "columns": (indices[:, None] * wide + beside),
                  "numbers": np.broadcast_to(number[:, None], (len(number), wide))}
        out, *operands = {"csr_matmul": ("rows", "numbers", None, None, "columns"),
                          "csr_rmatmul": ("columns", "numbers", None, None, "rows"),
                          "csr_sampled": ("numbers", None, None, "rows", "columns")}[node.op.name]
        found = [_ones(spread[out], spread[name], (node.type.size, arg.type.size)) @ p
                 for name, arg, p in zip(operands, node.args, inner) if p is not None]
        return _united(found)

    # ------------------------------------------------------------ loops and branches
    def _loops(self, node, inner):
        if node.op.name == "for_loop":
            return self._for(node, inner)
        if node.op.name == "while_loop":
            return self._fixed_point(node.attr("body"), inner, node.attr("carries"), node.args, [])
        if node.op.name == "switch":
            chosen = self.known(node.args[0])
            branches = node.attr("branches")
            if chosen is not None:
                branches = (branches[int(np.clip(chosen, 0, len(branches) - 1))],)
            each = [self._body(b, inner[1:], node.args[1:], []) for b in branches]
            return tuple(_united(ps) for ps in zip(*each))
        columns = np.unique(np.concatenate([p.indices for p in inner if p is not None]))
        return tuple(self._full(kind, columns, node) for kind in node.type)

    def _body(self, graph, inner, args, leading):
        """Return the patterns of the outputs of a body: `leading` are the values of its first params."""
        leaves = graph.inputs()
        given = dict(zip(leaves, leading))
        rest = leaves[len(leading):]
        for leaf, arg, p in zip(rest, args, inner):
            given[leaf] = self.known(arg) if p is None and arg is not None and arg.type.kind in "iub" else None
        return _Patterns(self._columns, None, given).of(graph.outs, dict(zip(rest, inner)))

    def _for(self, node, inner):
        body, carries = node.attr("body"), node.attr("carries")
        count, args, own = self.known(node.args[0]), node.args[1:], inner[1:]
        if count is None or count * len(body.topological()) > _UNROLLED:
            return self._fixed_point(body, own, carries, args, [None])
        # what a loop carries is another in each iteration
        args = [*[None] * carries, *args[carries:]]
        for k in range(int(count)):
            own = [*self._body(body, own, args, [np.int64(k)]), *own[carries:]]
        return tuple(own[:carries])

    def _fixed_point(self, body, inner, carries, args, leading):
        """Go round until nothing is added."""
        own, args = list(inner), [*[None] * carries, *args[carries:]]
        for _ in itertools.count():
            before = [0 if p is None else p.nnz for p in own[:carries]]
            after = self._body(body, own, args, leading)
            own[:carries] = [_united([p, q]) for p, q in zip(own, after)]
            if [0 if p is None else p.nnz for p in own[:carries]] == before:
                return tuple(own[:carries])


def _literal(node):
    """Return the content of a node that depends on literals only, and is not large to compute; else None."""
    if node.op is const_op:
        return const_value(node)
    needed = topological([node])
    if len(needed) > 64 or any(n.op is param or n.op is variable for n in needed):
        return None
    return evaluate_nodes([node], {})[0]


_RULES = {
    "multiply": _Patterns._multiplied, "select": _Patterns._chosen, "dot_general": _Patterns._contracted,
    "cumsum": _Patterns._accumulated, "linear_scan": _Patterns._accumulated, "scatter_add": _Patterns._added_at,
    "csr_matmul": _Patterns._sparse, "csr_rmatmul": _Patterns._sparse, "csr_sampled": _Patterns._sparse,
}
