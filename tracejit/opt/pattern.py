"""Patterns: nodes with holes, matched against graphs and filled in.

A pattern is an ordinary node of unknown type whose leaves are holes and literals. A hole matches any node, and the same
node wherever it stands again; a hole in an attr matches that attr's value; a literal matches a constant of that value
in whatever type is met, also one that is broadcast. The arguments of commutative ops match in either order.
"""

import numpy as np

from tracejit.symbolic.ir import OPS, Node, const_op, hole, literal, make
from tracejit.symbolic.ops import composite, contract, control, index, linalg, reduce, scalar, special  # noqa: F401  fills OPS
from tracejit.symbolic.ops.shape import broadcast_op, full

#: Ops whose two arguments may be exchanged.
COMMUTATIVE = frozenset(OPS[name] for name in (
    "add", "multiply", "maximum", "minimum", "logaddexp", "logaddexp2", "equal", "not_equal", "bitwise_and",
    "bitwise_or", "bitwise_xor", "gcd", "lcm", "hypot"))

_bytes_of = {}


def literal_bytes(value, dtype):
    """Return the bytes of a Python number in `dtype`, or None where the dtype cannot hold it."""
    key = (value, dtype)
    found = _bytes_of.get(key, False)
    if found is False:
        found = None
        if dtype.kind in "fc" or (dtype.kind in "iu" and value == int(value)
                                  and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max):
            found = np.array(value + 0, dtype).tobytes()
        elif dtype.kind == "b" and value in (0, 1):
            found = np.array(bool(value)).tobytes()
        _bytes_of[key] = found
    return found


def is_literal(node, value):
    """Return whether `node` is that number everywhere; 0 means the positive zero."""
    while node.op is broadcast_op:
        node = node.args[0]
    return node.op is const_op and node.attrs[2] == literal_bytes(value, node.attrs[0])


def match(pattern, node):
    """Return {hole name: node or attr value} for `node` seen as `pattern`, or None."""
    return _solve(((pattern, node), None), {})


def _solve(tasks, found):
    """Match a linked list of (pattern, node) pairs, trying both orders of commutative arguments."""
    while tasks is not None:
        (pattern, node), tasks = tasks
        op = pattern.op
        if op is hole:
            bound = found.setdefault(pattern.attrs[0], node)
            if bound is not node:
                return None
        elif op is literal:
            if not is_literal(node, pattern.attrs[0]):
                return None
        elif node.op is not op or len(node.args) != len(pattern.args):
            return None
        elif pattern.attrs and not _match_attrs(pattern.attrs, node.attrs, found):
            return None
        elif op in COMMUTATIVE:
            (p, q), (a, b) = pattern.args, node.args
            if a is not b:
                first = _solve(((p, a), ((q, b), tasks)), dict(found))
                if first is not None:
                    return first
            tasks = ((p, b), ((q, a), tasks))
        else:
            for pair in zip(pattern.args, node.args):
                tasks = (pair, tasks)
    return found


def _match_attrs(wanted, values, found):
    for want, value in zip(wanted, values):
        if isinstance(want, Node) and want.op is hole:
            if found.setdefault(want.attrs[0], value) != value:
                return False
        elif want != value:
            return False
    return True


def instantiate(pattern, found, kind):
    """Return the node that `pattern` becomes with its holes filled; literals take the Type of what stands beside them,
    or `kind`."""
    op = pattern.op
    if op is hole:
        return found[pattern.attrs[0]]
    if op is literal:
        return full(pattern.attrs[0], kind)
    args = [None if a.op is literal else instantiate(a, found, kind) for a in pattern.args]
    if None in args:
        beside = args[1:] if op is scalar.select else args
        like = next((a.type for a in beside if a is not None), kind)
        args = [full(p.attrs[0], like) if a is None else a for a, p in zip(args, pattern.args)]
    attrs = tuple(found[v.attrs[0]] if isinstance(v, Node) and v.op is hole else v for v in pattern.attrs)
    return make(op, tuple(args), attrs)


def parameters(function):
    """Return the names of a function's parameters."""
    code = function.__code__
    return code.co_varnames[:code.co_argcount]


def by_name(function):
    """Return ``call(found)`` that passes a function the bound values which its parameters name."""
    names = parameters(function)
    return lambda found: function(*[found[name] for name in names])


def required(pattern):
    """Return the ops that must stand among the arguments of a node for `pattern` to match it."""
    return tuple({a.op: None for a in pattern.args if a.op is not hole and a.op is not literal})
