"""Values of one variable on several paths through a program, brought together into one.

What is the very same on all paths stays as it is; numbers and arrays become *columns*, which a switch or a loop
computes; lists, tuples, dicts and instances are joined part by part; a value that only some paths have carries a flag.
"""

import collections
from typing import NamedTuple

import numpy as np

from tracejit.errors import CarryError, user_frame
from tracejit.symbolic.ops.scalar import cast
from tracejit.symbolic.ops.shape import zeros
from tracejit.symbolic.types import BOOL, Type, supported_dtype
from tracejit.trace import objects
from tracejit.trace.promote import memory_order
from tracejit.trace.sparse import SparseTracer
from tracejit.trace.tracer import PYTHON_DTYPES, Alias, Tracer, as_tracer, python_const, wrap


class Undefined:
    """Stands for a variable without a value; whatever is done with it is an UnboundLocalError."""

    __slots__ = ()

    def _refuse(self):
        raise UnboundLocalError("cannot access a local variable where it is not associated with a value")

    def _use(self, *args):
        self._refuse()

    __getattr__ = __call__ = __iter__ = __len__ = __bool__ = __getitem__ = __setitem__ = _use
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _use
    __lt__ = __le__ = __gt__ = __ge__ = __neg__ = __pow__ = __rpow__ = __mod__ = __floordiv__ = __matmul__ = _use

    def __repr__(self):
        return "<unbound>"


class Lost(Undefined):
    """Stands for a value that could not be joined; whatever is done with it raises the reason."""

    __slots__ = ("error",)

    def __init__(self, error):
        self.error = error

    def _refuse(self):
        raise self.error

    def __repr__(self):
        return "<lost>"


UNDEFINED = Undefined()
#: The value of a path that never gets here.
NEVER = Undefined()


class Maybe:
    """The value of a variable that has one where `flag` is true; it is looked at when it is read."""

    __slots__ = ("value", "flag")

    def __init__(self, value, flag):
        self.value, self.flag = value, flag


class Kind(NamedTuple):
    """What is the same on all paths: the Type, and whether it is a Python number or a NumPy scalar."""

    type: Type
    weak: bool = False
    scalar: bool = False

    def __str__(self):
        return f"a Python {_NAMES[self.type.kind]}" if self.weak else f"an array or scalar of type {self.type}"


_NAMES = {"b": "bool", "i": "int", "u": "int", "f": "float", "c": "complex"}
_RANKS = (bool, int, float, complex)


class Column:
    """A number or array that differs between the paths, or may."""

    __slots__ = ("leaves", "kind", "where", "index", "layout", "unclear")

    def __init__(self, leaves, kind, where, index):
        self.leaves, self.kind, self.where, self.index = leaves, kind, where, index
        self.layout, self.unclear = self._layout()

    def _layout(self):
        """Return an array that lies in memory as those of all paths do, None for C order, and whether they differ."""
        live = [v for v in self.leaves if v is not NEVER]
        kind = self.kind.type
        if kind.ndim == 0 or not kind.is_static or not all(isinstance(v, Tracer) for v in live):
            return None, False
        if len({v.shadow.strides for v in live}) > 1 or any(v._storage.unclear is not None for v in live):
            return None, kind.size > 0
        return memory_order(live[:1], kind), False

    def form(self):
        """Return what is the same in every iteration of a loop that is stable."""
        return self.where, self.kind, self.layout if self.layout is None else self.layout.strides, self.unclear

    def node(self, path, nodes=None):
        """Return the node of one path in the column's dtype; `nodes` holds those of tracers whose trace has ended."""
        leaf, dtype = self.leaves[path], self.kind.type.dtype
        if leaf is NEVER:
            return zeros(self.kind.type)
        if type(leaf) in PYTHON_DTYPES:
            return python_const(leaf, dtype)
        if isinstance(leaf, Tracer):
            found = None if nodes is None else nodes.get((leaf._storage, leaf._steps))
            return cast(leaf.node if found is None else found, dtype)
        return cast(as_tracer(leaf).node, dtype)

    def memory(self):
        """Return, path by path, the storage that the array lies in, or None for what has no memory of its own."""
        if self.kind.weak or self.kind.scalar:
            return [None] * len(self.leaves)
        return [v._storage if isinstance(v, Tracer) and not (v.weak or v.scalar) else None for v in self.leaves]


def places(storage, inside=()):
    """Return the storages that an array may be one of: those in `inside`, those of traces in progress, and of what was
    made in a stretch that has ended the one it had there, by which it is known under other names.
    """
    found, stack = set(), [] if storage is None else [storage]
    while stack:
        s = stack.pop()
        if s in inside:
            found.add(s)
        elif s.trace.alive:
            found |= s.bases()
        elif s.alias is not None:
            stack += s.alias.bases
        else:
            found.add(s)
    return frozenset(found)


def same(a, b):
    """Return whether two values of a variable are one and the same, whichever path is taken."""
    if a is b:
        return True
    if isinstance(a, Tracer) and isinstance(b, Tracer):
        return (a._storage is b._storage and a._steps == b._steps and a.weak == b.weak and a.scalar == b.scalar)
    if type(a) is type(b) and type(a) in (bool, int, float, complex, str, bytes):
        return repr(a) == repr(b)
    return False


def is_number(x):
    """Return whether a value is a number or an array, which a graph may hold."""
    return isinstance(x, (Tracer, np.generic)) or type(x) in PYTHON_DTYPES or (
        type(x) is np.ndarray and supported_dtype(x.dtype) is not None)


def kind_of(x):
    """Return the Kind of a number or array."""
    if isinstance(x, Tracer):
        return Kind(x.type, x.weak, x.scalar)
    if type(x) in PYTHON_DTYPES:
        return Kind(Type(PYTHON_DTYPES[type(x)]), weak=True)
    return Kind(Type(x.dtype, x.shape), scalar=isinstance(x, np.generic))


def joined(kinds):
    """Return the Kind that holds values of several, or None where arrays differ: Python numbers give way to them."""
    first = kinds[0]
    if all(k == first for k in kinds):
        return first
    if any(k.type.shape != first.type.shape for k in kinds):
        return None
    if all(k.weak for k in kinds):
        return max(kinds, key=lambda k: "biufc".index(k.type.kind))
    tokens = [_ZEROS[k.type.kind] if k.weak and k.type.dtype != BOOL else k.type.dtype for k in kinds]
    dtype = np.result_type(*tokens)
    if any(k.type.dtype != dtype for k in kinds if not k.weak):
        return None
    return Kind(Type(dtype, first.type.shape), scalar=all(k.scalar or k.weak for k in kinds))


_ZEROS = {"i": 0, "u": 0, "f": 0.0, "c": 0j}


def is_settled(x):
    """Return whether a value may be used after the paths have ended: it holds nothing that they have made."""
    return not isinstance(x, Tracer) or x._storage.trace.alive and all(step.fixed for step in x._steps)


class Join:
    """The variables of `n` paths; `columns` are what has to be computed, builders put it back in its place."""

    def __init__(self, n, what="if", before=(), region=None, strict=False):
        self.n, self.what, self.region, self.columns, self._seen = n, what, region, [], {}
        self.before = before  # ids of the containers that were there before the paths parted
        self.strict = strict  # whether arrays of rank 0 do not stand for scalars: there is another way to join

    def plan(self, values, where):
        """Return ``builder(made)``, which gives the joined value from the list of tracers made for the columns."""
        live = [v for v in values if v is not NEVER]
        if not live:
            return lambda made: NEVER
        if all(v is UNDEFINED for v in live):
            return lambda made: UNDEFINED
        lost = next((v for v in live if type(v) is Lost), None)
        if lost is not None:
            return lambda made: lost
        first = live[0]
        if all(same(first, v) for v in live[1:]) and is_settled(first) and not _has_parts(first):
            return lambda made: first
        if len(live) > 1 and all(v is first for v in live) and not isinstance(first, (Tracer, Maybe, tuple)):
            return lambda made: first  # a list or an object that was there before: its content is looked at by itself
        if any(v is UNDEFINED or type(v) is Maybe for v in live):
            return self._maybe(values, where)
        if all(is_number(v) for v in live):
            return self._column(values, live, where)
        if all(type(v) is type(first) for v in live) and _has_parts(first):
            if len({id(v) for v in live if id(v) in self.before}) > 1:
                raise self.conflict(where, live)  # which of several containers it is nobody knows
            return self._parts(values, live, where)
        if all(not isinstance(v, Tracer) and type(v) is type(first) for v in live) and _equal(live):
            return lambda made: first
        raise self.conflict(where, live)

    def conflict(self, where, live):
        """Return the error that says how the values of a variable differ."""
        shown = " and ".join(dict.fromkeys(str(kind_of(v)) if is_number(v) else _described(v) for v in live))
        if shown.count(" and ") == 0:
            shown = f"different objects ({shown})"
        paths = "from one iteration to the next" if self.what == "loop" else "on different branches"
        return CarryError(f"{where} is {shown} {paths} of a traced {self.what}", where=user_frame(), do=_REMEDY)

    def _maybe(self, values, where):
        flags = [v if v is NEVER else False if v is UNDEFINED else v.flag if type(v) is Maybe else True for v in values]
        inner = [NEVER if v is UNDEFINED else v.value if type(v) is Maybe else v for v in values]
        flag, value = self.plan(flags, f"whether {where} is bound"), self.plan(inner, where)

        def build(made):
            known = flag(made)
            return value(made) if known is True else UNDEFINED if known is False else Maybe(value(made), known)
        return build

    def _column(self, values, live, where):
        kind = joined([kind_of(v) for v in live])
        if kind is not None and kind.weak and self.what == "loop" and kind != kind_of(live[-1]):
            kind = None  # the number that an iteration leaves would be another one
        if kind is not None and not kind.weak and self.what == "loop" and kind_of(live[-1]).scalar != kind.scalar:
            kind = None  # an array before the loop, and what an iteration leaves is a scalar
        if kind is not None and self.strict and len({k.scalar for k in map(kind_of, live) if not k.weak}) > 1:
            kind = None
        if kind is None:
            raise self.conflict(where, live)
        key = tuple((id(v._storage), v._steps, v.weak, v.scalar) if isinstance(v, Tracer) else None for v in values)
        if None in key or key not in self._seen:
            column = Column(tuple(values), kind, where, len(self.columns))
            self.columns.append(column)
            self._seen[key] = column
        index = self._seen[key].index if None not in key else column.index
        return lambda made: made[index]

    def _parts(self, values, live, where):
        first = live[0]
        if isinstance(first, dict):
            if any(list(v) != list(first) for v in live):
                raise self.conflict(where, live)
            keys = list(first)
            builders = [self.plan([v if v is NEVER else v[k] for v in values], f"{where}[{k!r}]") for k in keys]
            return lambda made: _as_dict(first, zip(keys, (b(made) for b in builders)))
        if isinstance(first, (list, tuple)):
            rows = [getattr(v, "staged", None) for v in live]
            current = {id(v): v for v, r in zip(live, rows) if r is None or r.trace.alive}  # not of an earlier pass
            if any(rows) and len(current) == 1:
                (only,) = current.values()
                return lambda made: only
            if any(rows):
                error = CarryError(f"{where} is a list that has grown in a loop of one of the ways",
                                   where=user_frame(), do="make an array of it there")
                error.region = self.region
                return lambda made: Lost(error)
            if any(len(v) != len(first) for v in live):
                raise self.conflict(where, live)
            builders = [self.plan([v if v is NEVER else v[k] for v in values], f"{where}[{k}]")
                        for k in range(len(first))]
            if type(first) is list:
                return lambda made: [b(made) for b in builders]
            if isinstance(first, list):
                return lambda made: first.like([b(made) for b in builders])
            make = type(first)._make if hasattr(type(first), "_make") else tuple
            return lambda made: make([b(made) for b in builders])
        if isinstance(first, SparseTracer):
            if any((v.container, v.shape) != (first.container, first.shape) for v in live):
                raise self.conflict(where, live)
            inside = self.plan([v if v is NEVER else v.parts for v in values], where)
            return lambda made: SparseTracer(first.container, first.shape, inside(made))
        held = [v if v is NEVER else object.__getattribute__(v, "__dict__") for v in values]
        fields = self.plan(held, where)

        def build(made):
            new = object.__new__(type(first))
            object.__getattribute__(new, "__dict__").update(fields(made))
            return new
        return build


_REMEDY = ("give it the same structure, shape and dtype on all ways, as with .astype or np.zeros before it; or let "
           "a static argument decide")


def _has_parts(x):
    return isinstance(x, list) or type(x) in (tuple, dict, collections.OrderedDict, SparseTracer) or (
        isinstance(x, tuple) and hasattr(x, "_make")) or (
        objects.is_stand_in(x) and objects.source_of(x) is None)


def _as_dict(first, items):
    return type(first)(items)


def _equal(values):
    try:
        return all(bool(values[0] == v) for v in values[1:])
    except Exception:  # whatever a class of the user's does
        return False


def _described(x):
    if x is None or isinstance(x, str):
        return repr(x)
    if isinstance(x, (list, tuple, dict)):
        return f"a {type(x).__name__} of {len(x)}"
    return f"a {type(x).__name__}"


def parts(value, seen=None):
    """Yield the tracers inside a nest of containers, instances and unbound values."""
    stack, seen = [value], set()
    while stack:
        x = stack.pop()
        if isinstance(x, Tracer):
            yield x
        elif type(x) is Maybe:
            stack += [x.value, x.flag]
        elif _has_parts(x) and id(x) not in seen:
            seen.add(id(x))
            held = list.copy(x) if isinstance(x, list) else x.parts if isinstance(x, SparseTracer) else x
            if not isinstance(held, (list, tuple, dict)):
                held = object.__getattribute__(x, "__dict__")
            stack.extend(held.values() if isinstance(held, dict) else held)


def made_from(columns, nodes, region, aliases=None, kept=None):
    """Return the tracers of columns in the current trace, some of which are `kept` arrays; `region` decides which."""
    out = []
    for column, node in zip(columns, nodes):
        if kept and column.index in kept:
            out.append(kept[column.index])
            continue
        x = wrap(node, weak=column.kind.weak, scalar=column.kind.scalar, layout=column.layout,
                 like=[v for v in column.leaves if isinstance(v, Tracer)])
        x._storage.unclear = region if column.unclear else None
        alias = Alias([places(s) for s in column.memory()], region) if aliases is None else aliases.get(column.index)
        if alias is not None:
            aliased(x, alias)
        out.append(x)
    return out


def aliased(x, alias):
    """Let a tracer be one of the arrays that an Alias says: what is written under one name changes the others."""
    if alias.bases:
        x._storage.alias = alias
        for base in alias.bases:
            base.dependents.append(x._storage)
