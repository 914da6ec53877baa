"""Ops and nodes: an op is one frozen record, a node one interned application of it.

Equal nodes are the same object: compare with ``is``, rebuild instead of mutating, attach nothing.
"""

import itertools
import weakref

import numpy as np

from tracejit.symbolic.types import I64, UNKNOWN, Type, interning_lock

_nodes = weakref.WeakValueDictionary()

#: Every op by name: the registry that is also a test plan.
OPS = {}

LOWERINGS = ("scalar", "element", "reduce", "routine", "expand")
DERIVATIVES = ("partials", "transpose", "jvp")


class Spelling:
    """How backends write a scalar op, with ``{0}``, ``{1}`` for the arguments, ``{t}`` for the short dtype name of
    the first argument, ``{T}`` for its C type and ``{f}`` for the suffix of the C library's functions ("f" or "").

    `support` is C code that the spelling needs once per dtype, `py_support` Python code likewise.
    `function` names a function of the C library; a backend may know a better one of that name. `routine` names a
    function that is bound by its address.
    """

    __slots__ = ("c", "py", "support", "py_support", "function", "routine")

    def __init__(self, c=None, py=None, *, function=None, support="", py_support="", routine=None):
        self.function = function
        self.c = c if c is not None else f"{function}{{f}}({{0}})"
        self.py = py if py is not None else (f"np.{function}({{0}})" if c is None else c)
        self.support, self.py_support, self.routine = support, py_support, routine


class Op:
    """One operation: its type rule, meaning in NumPy, derivative and lowering, in one record.

    Parameters
    ----------
    name : str
        NumPy's name where NumPy has one.
    type : callable
        ``type(*arg_types, **attrs) -> Type`` (a tuple of Types for an op with several results, picked with `item`).
    ref : callable
        ``ref(*arrays, **attrs) -> array``: the meaning; oracle of tests and constant folding.
    attrs : tuple of str
        Names of the static arguments, all hashable.
    partials, transpose, jvp : callable, optional
        At most one (an op linear in some arguments only has a `transpose` for those, and may have a `jvp` for the
        others).
        ``partials(*args, **attrs)`` gives d out / d arg per argument (None where it is zero);
        ``transpose(ct, node, wanted)`` gives cotangents of the wanted arguments of an op linear in them;
        ``jvp(node, tangents)`` gives the tangent of the result (None, there and here, is zero). An op with none is
        constant (`differentiable` says whether it is so by nature or refuses).
    scalar, element, reduce, routine, expand : optional
        Exactly one: a `Spelling`; ``element(node, index, read) -> scalar node`` where ``read(i, index, where=cond)``
        is the scalar of argument i, valid only where the condition holds; the name of the scalar op that folds the
        reduced axes; the name of a library routine; or ``expand(*args, **attrs) -> Node`` in other ops.
    batch : callable, optional
        ``batch(node, args, batched) -> Node``: args carry a leading batch axis where `batched`, and the result does.
        Elementwise ops need none; without one, or where it returns None, the elements are computed one by one.
    linear : str or tuple of int
        For `transpose`: "joint" (linear in all arguments together), "each" (multilinear), the positions of the
        arguments in which the op is jointly linear while the others are held, or "inside": as the graphs in its attrs
        are, which a `jvp` differentiates.
    elementwise : bool
        Whether the op works element by element on identical shapes (implied by `scalar`).
    differentiable : bool
        False for an op without a derivative rule whose derivative is zero (integers, comparisons); None for one that
        refuses to be differentiated, in all arguments or, where it has a rule, in some.
    resolve : callable, optional
        ``resolve(type, args, attrs) -> type``: the type with the sizes that depend on arguments, not on their types.
    samples : callable, optional
        ``samples(rng) -> iterable of (args, attrs)``: valid calls for the registry's tests, where the dtypes alone do
        not tell how to make them.
    """

    __slots__ = ("name", "type", "ref", "attrs", "partials", "transpose", "jvp", "scalar", "element", "reduce",
                 "routine", "expand", "batch", "linear", "elementwise", "differentiable", "resolve", "samples",
                 "__weakref__")

    def __init__(self, name, **fields):
        for slot in self.__slots__[:-1]:
            object.__setattr__(self, slot, fields.get(slot))
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "attrs", tuple(fields.get("attrs") or ()))

    def __setattr__(self, name, value):
        raise AttributeError("an Op is frozen")

    def __call__(self, *args, **attrs):
        return make(self, args, tuple(attrs[name] for name in self.attrs) if attrs or self.attrs else ())

    def __repr__(self):
        return self.name

    def __reduce__(self):
        return _named, (self.name,)


def _named(name):
    return OPS[name]


def define(name, *, type, ref, **fields):
    """Register an op; refuses one without exactly one lowering or with two derivative rules."""
    lowerings = [k for k in LOWERINGS if fields.get(k) is not None]
    derivatives = [k for k in DERIVATIVES if fields.get(k) is not None]
    unknown = set(fields) - set(Op.__slots__)
    if unknown:
        raise TypeError(f"op {name!r}: unknown fields {sorted(unknown)}")
    if len(lowerings) != 1:
        raise TypeError(f"op {name!r} needs exactly one lowering of {LOWERINGS}, has {lowerings}")
    partly_linear = set(derivatives) == {"jvp", "transpose"} and (
        isinstance(fields.get("linear"), tuple) or fields["linear"] == "inside")
    if len(derivatives) > 1 and not partly_linear:
        raise TypeError(f"op {name!r} may have one derivative rule of {DERIVATIVES}, has {derivatives}")
    if name in OPS:
        raise TypeError(f"op {name!r} is defined twice")
    fields.setdefault("differentiable", bool(derivatives))
    fields.setdefault("elementwise", fields.get("scalar") is not None)
    op = OPS[name] = Op(name, type=type, ref=ref, **fields)
    return op


class Node:
    """One interned application ``op(*args, **attrs)`` with its type.

    ``dims`` are the nodes inside its attrs and type: sizes and positions known at run time, which it needs like args.
    """

    __slots__ = ("op", "args", "attrs", "type", "dims", "__weakref__")

    def __setattr__(self, name, value):
        raise AttributeError("a Node is immutable")

    @property
    def shape(self):
        """Shape of the value."""
        return self.type.shape

    @property
    def dtype(self):
        """Dtype of the value."""
        return self.type.dtype

    @property
    def ndim(self):
        """Rank of the value."""
        return len(self.type.shape)

    def attr(self, name):
        """Return one attr by its name."""
        return self.attrs[self.op.attrs.index(name)]

    def rebuild(self, args):
        """Return this application on other arguments (itself where they are the same)."""
        args = tuple(args)
        return self if all(a is b for a, b in zip(args, self.args)) else make(self.op, args, self.attrs)

    def mapped(self, table):
        """Return this application on what `table` has for each node it needs, argument or dim."""
        args = tuple([table[a] for a in self.args])
        if self.dims and any(table[d] is not d for d in self.dims):
            return make(self.op, args, map_attrs(self.attrs, table))
        return self.rebuild(args)

    def __repr__(self):
        attrs = "".join(f", {k}={v!r}" for k, v in zip(self.op.attrs, self.attrs))
        inner = ", ".join(f"{a.op.name}:{a.type}" for a in self.args)
        return f"<{self.op.name}({inner}{attrs}) : {self.type}>"

    def __bool__(self):
        raise TypeError("a Node has no truth value; compare nodes with `is`")

    def __reduce__(self):
        # flat, because pickling argument by argument would recurse as deep as the graph
        order = _below(self)
        if any(node.op is variable for node in order):
            raise TypeError("a variable of an open trace cannot be pickled")
        places = {node: k for k, node in enumerate(order)}
        return _unpickled, ([(n.op, tuple(places[a] for a in n.args), n.attrs) for n in order],)

    # Operators build nodes, so that rules and derivatives read as formulas. Python numbers take the dtype and shape
    # of the node beside them. They are filled in by `ops.scalar`.
    __hash__ = object.__hash__


def _below(node):
    """Return the node and all that it needs through args, arguments first."""
    order, seen, stack = [], set(), [(node, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((a, False) for a in node.args)
    return order


def _unpickled(rows):
    nodes = []
    for op, places, attrs in rows:
        nodes.append(make(op, tuple(nodes[k] for k in places), attrs))
    return nodes[-1]


def inferred(op, args, attrs):
    """Return the type of ``op(*args, **attrs)``; raises TypeRuleError where there is none."""
    types = [a.type for a in args]
    if UNKNOWN in types:
        return UNKNOWN
    kind = op.type(*types, **dict(zip(op.attrs, attrs)))
    return kind if op.resolve is None else op.resolve(kind, args, attrs)


def make(op, args, attrs):
    """Return the one node ``op(*args, **attrs)``, inferring its type when it is new."""
    # Python holds 1, 1.0 and True for equal, and 0.0 and -0.0; a pattern's literal does not
    key = (op, args, attrs) if op is not literal else (op, repr(attrs))
    node = _nodes.get(key)
    if node is not None:
        return node
    kind = inferred(op, args, attrs)
    node = Node()
    put = object.__setattr__
    put(node, "op", op)
    put(node, "args", args)
    put(node, "attrs", attrs)
    put(node, "type", kind)
    put(node, "dims", _dims(attrs, kind) if attrs or type(kind) is not Type or not kind.is_static else ())
    with interning_lock:
        return _nodes.setdefault(key, node)


def _dims(attrs, kind):
    """Return the nodes inside attrs and type, each once."""
    found = []
    for value in (*attrs, kind):
        if type(value) is Node:
            found.append(value)
        elif type(value) is Type:
            if not value.is_static:
                found += [n for n in value.shape if type(n) is Node]
        elif type(value) is tuple:
            found += _dims(value, None)
    return tuple(dict.fromkeys(found)) if found else ()


def map_attrs(value, table):
    """Return an attr with the nodes inside it replaced as `table` says."""
    if type(value) is Node:
        found = table.get(value, value)
        return int(const_value(found)) if found.op is const_op else found
    if type(value) is tuple:
        return tuple(map_attrs(v, table) for v in value)
    if type(value) is Type and not value.is_static:
        return value.with_shape(map_attrs(value.shape, table))
    return value


# ---------------------------------------------------------------- leaves
def _no_element(node, index, read):
    raise AssertionError(f"{node.op.name} is read from a buffer")


def _no_ref(*args, **attrs):
    raise AssertionError("a leaf is bound by the interpreter")


def _const_type(dtype, shape, data):
    return Type(dtype, shape)


def _const_ref(dtype, shape, data):
    return np.frombuffer(data, dtype).reshape(shape)


param = define("param", attrs=("index", "type"), type=lambda index, type: type, ref=_no_ref, element=_no_element)
#: A variable of a trace that is still open; `Graph` turns variables into params.
variable = define("variable", attrs=("uid", "type"), type=lambda uid, type: type, ref=_no_ref, element=_no_element)
const_op = define("const", attrs=("dtype", "shape", "data"), type=_const_type, ref=_const_ref, element=_no_element)
#: Result `index` of an op with several results.
item = define("item", attrs=("index",), type=lambda types, index: types[index],
              ref=lambda values, index: values[index], routine="item", differentiable=True)

#: Leaves of patterns: a hole matches any node, a literal matches a constant of that value in whatever type is met.
hole = define("hole", attrs=("name",), type=lambda name: UNKNOWN, ref=_no_ref, element=_no_element)
literal = define("literal", attrs=("value",), type=lambda value: UNKNOWN, ref=_no_ref, element=_no_element)

_counter = itertools.count()


def new_variable(type):
    """Return a leaf of the given Type that is equal to no other."""
    return variable(uid=next(_counter), type=type)


def const(value, dtype=None):
    """Return the literal node of an array or scalar, keyed by dtype and bytes (0.0 and -0.0 differ)."""
    value = np.asarray(value, dtype)
    kind = Type(value.dtype, value.shape)
    return const_op(dtype=kind.dtype, shape=kind.shape, data=np.ascontiguousarray(value, kind.dtype).tobytes())


def const_value(node):
    """Return the array of a const node."""
    return _const_ref(*node.attrs)


def dim(n):
    """Return a shape entry as a node (an int becomes a const)."""
    return n if isinstance(n, Node) else const(n, I64)


def describe(node):
    """Return ``op(f64[3], f64[3])`` for error messages."""
    return f"{node.op.name}({', '.join(str(a.type) for a in node.args)}) : {node.type}"


def scalar_literal(node):
    """Return the value of a const of one element, also through broadcasts, as a NumPy scalar; else None."""
    while node.op.name == "broadcast":
        node = node.args[0]
    if node.op is not const_op or len(node.attrs[2]) != node.attrs[0].itemsize:
        return None
    return const_value(node).reshape(())[()]

