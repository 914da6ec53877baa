"""Closed functions of nodes: params, outputs, captures and writes, frozen and interned."""

import weakref

from tracejit.errors import LeakError, TypeRuleError
from tracejit.symbolic.ir import describe, inferred, map_attrs, param, variable
from tracejit.symbolic.types import interning_lock

_graphs = weakref.WeakValueDictionary()


class Graph:
    """A closed function: `params` (Types), `outs` (nodes over ``param(i)`` leaves), `captures`, `writes`.

    The last `captures` params are hidden inputs (arrays that the traced function closed over). ``writes`` is a tuple of
    ``(param index, out index)``: that output is the new content of that param's storage. Equal graphs are one object.
    """

    __slots__ = ("params", "outs", "captures", "writes", "__weakref__")

    def __new__(cls, params, outs, captures=0, writes=()):
        key = (tuple(params), tuple(outs), captures, tuple(writes))
        found = _graphs.get(key)
        if found is not None:
            return found
        self = object.__new__(cls)
        for name, value in zip(cls.__slots__, key):
            object.__setattr__(self, name, value)
        for node in self.topological():
            if node.op is variable:
                raise LeakError(
                    "a graph holds a variable of another trace",
                    do="return values from the traced function instead of keeping them in a global or an attribute")
            if node.op is param and (node.attrs[0] >= len(self.params) or self.params[node.attrs[0]] is not node.type):
                raise TypeRuleError(f"param {node.attrs[0]}: {node.type} is not among the params {self.params}")
        for kind in self.params:
            if any(type(n) is not int and n.op is not param for n in kind.shape):
                raise TypeRuleError(f"a param of type {kind} has a size that is not itself a param")
        with interning_lock:
            return _graphs.setdefault(key, self)

    def __setattr__(self, name, value):
        raise AttributeError("a Graph is frozen")

    def __reduce__(self):
        from tracejit.symbolic.text import parse  # text imports graph; unpickling goes by the text, which stays flat

        return parse, (str(self),)

    def topological(self):
        """Return all nodes that the outputs need, arguments first."""
        return topological(self.outs)

    def inputs(self):
        """Return the param nodes, in order."""
        return tuple(param(index=i, type=t) for i, t in enumerate(self.params))

    @property
    def out_types(self):
        """Types of the outputs."""
        return tuple(n.type for n in self.outs)

    def replace(self, outs):
        """Return the graph of the same params with other outputs."""
        return Graph(self.params, outs, self.captures, self.writes)

    def call(self, args):
        """Return the outputs as nodes over the given argument nodes."""
        table = dict(zip(self.inputs(), args))
        if [a.type for a in args] != [map_attrs(t, table) for t in self.params]:
            raise TypeRuleError(f"graph of {self.params} called with {[a.type for a in args]}")
        return substitute(self.outs, table)

    def check(self):
        """Derive every type again and compare; raises TypeRuleError naming the node. Returns the graph."""
        for node in self.topological():
            kind = inferred(node.op, node.args, node.attrs)
            if kind != node.type:
                raise TypeRuleError(f"{describe(node)} should have type {kind}")
            for inner in graphs_in(node.attrs):
                inner.check()
        return self

    def __str__(self):
        from tracejit.symbolic.text import to_text  # text imports graph

        return to_text(self)

    __repr__ = __str__


def graphs_in(attrs):
    """Return the graphs among attrs, such as the bodies of loops and branches."""
    return [g for v in attrs for g in ((v,) if isinstance(v, Graph) else graphs_in(v) if type(v) is tuple else ())]


def topological(outs):
    """Return the nodes that `outs` need, arguments before users, without recursion."""
    order, seen, stack = [], set(), [(n, False) for n in reversed(outs)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            for arg in reversed(node.args):
                if arg not in seen:
                    stack.append((arg, False))
            for inner in node.dims:
                if inner not in seen:
                    stack.append((inner, False))
    return order


def substitute(outs, table):
    """Return `outs` with nodes replaced as `table` (node → node) says, rebuilding what depends on them."""
    table = dict(table)
    for node in topological(outs):
        if node not in table:
            table[node] = node.mapped(table)
    return tuple(table[n] for n in outs)


def close(variables, outs, captures=(), writes=()):
    """Return the Graph whose params are `variables` then `captures` (variable nodes) and whose outputs are `outs`."""
    leaves = tuple(variables) + tuple(captures)
    table = {}
    # sizes first, because the types of the others may hold them
    for i, v in sorted(enumerate(leaves), key=lambda pair: not pair[1].type.is_static):
        table[v] = param(index=i, type=map_attrs(v.type, table))
    return Graph(tuple(table[v].type for v in leaves), substitute(outs, table), len(captures), writes)


def depending(outs, leaves):
    """Return the set of nodes, of those that `outs` need, which depend on `leaves`, these included."""
    found = set(leaves)
    for node in topological(outs):
        if any(a in found for a in node.args) or any(d in found for d in node.dims):
            found.add(node)
    return found


def free_variables(outs):
    """Return the variables that `outs` depend on, in order of first use."""
    return [n for n in topological(outs) if n.op is variable]


def users(outs):
    """Return a dict from node to the list of nodes that use it, over all that `outs` need."""
    table = {}
    for node in topological(outs):
        table.setdefault(node, [])
        for arg in dict.fromkeys(node.args):
            table[arg].append(node)
    return table
