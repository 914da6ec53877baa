"""Lists that grow in loops.

A list that traced code has made is a `List`. It is a list like any other, until a loop that is staged would make it
longer: for that its items become rows of arrays with room for all that may come, and a count of those that are there.
What is appended is written to the next row, so that the body of the loop is traced once, however often it runs.
"""

import contextlib
import weakref
from typing import NamedTuple

import numpy as np

from tracejit import tree
from tracejit.errors import UnsupportedError, user_frame
from tracejit.symbolic import dims
from tracejit.symbolic.ir import const, dim
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice
from tracejit.symbolic.ops.scalar import cast, check, less
from tracejit.symbolic.ops.shape import full, reshape, zeros
from tracejit.symbolic.types import F64, I64, Type
from tracejit.trace.guards import guarded_int
from tracejit.trace.indexing import getitem, setitem
from tracejit.trace.joins import is_number, joined, kind_of
from tracejit.trace.sizes import public, sized_view
from tracejit.trace.tracer import Alias, Restart, Storage, Tracer, as_tracer, current_trace, wrap
from tracejit.trace.values import known

__all__ = ["List", "Rows", "Unread", "length"]

#: A list whose length is asked for in Python becomes one of so many items at most.
_MOST = 10_000


class Rows:
    """The items of a list as rows: one array per leaf of an item, all of them of one structure.

    Attributes
    ----------
    room : int or Node
        How many rows there are.
    count : Storage
        How many of them have been written, an integer; those before `first` have been taken out again.
    bounded : bool
        Whether there is certainly room for all that comes; else the compiled function looks each time.
    owner : object
        The loop that is being staged and makes the list longer, or None.
    most : int or None
        How often traced code has appended something since the loop was begun, at most; None for any number.
    """

    def __init__(self, items, room, owner, bounded=True, site=None):
        self.room, self.owner, self.bounded, self.most, self.site = room, owner, bounded, 0, site
        self.trace = current_trace()
        self.count, self.first = Storage(const(len(items), I64), self.trace), Storage(const(0, I64), self.trace)
        self.structure, self.kinds, self.arrays = None, [], []
        self.appended = weakref.WeakKeyDictionary()  # Storage of an array that was appended -> its content then
        self.unread = None   # what stands for the items of a list from outside, before these
        self.shared = False  # whether an item may be the item of another list, or another item of this one
        self._own = False    # whether what is written to rows is an item
        self._kinds = current_trace().root.flow.decisions.get(("items", site))  # as what an earlier trace found
        for place, item in enumerate(items):
            self.put(item, place)

    def put(self, item, place):
        """Write an item to a row."""
        leaves, structure = tree.flatten(item, is_leaf=is_number)
        if self.structure is None:
            self.structure, self.kinds, self.arrays = structure, [None] * len(leaves), [None] * len(leaves)
            if self._kinds is not None and len(self._kinds) == len(leaves):
                self.kinds = list(self._kinds)
        if structure != self.structure or not all(map(is_number, leaves)):
            raise _refuse("items of different structure, or that are no numbers and arrays")
        self.hand(item)
        for i, leaf in enumerate(leaves):
            self._put(i, leaf, place)

    def _put(self, i, leaf, place):
        kind = kind_of(leaf) if self.kinds[i] is None else joined([self.kinds[i], kind_of(leaf)])
        if kind is None or not kind.type.is_static:
            raise _refuse("items of different types or shapes, or of sizes known at run time")
        node = as_tracer(leaf).node
        self._remember(leaf)
        if kind != self.kinds[i] or self.arrays[i] is None:
            self.kinds[i], whole = kind, kind.type.with_shape((self.room, *kind.type.shape))
            before = self.arrays[i]
            if before is None or before.value.type is not whole:
                # made in the trace around the loop; what an earlier pass has written is written again by the next
                made = zeros(whole) if before is None else cast(before.value, whole.dtype)
                self.arrays[i] = Storage(made if before is None or current_trace() is self.trace else zeros(whole),
                                         self.trace)
                self.arrays[i].rows = self
        row = reshape(cast(node, kind.type.dtype), (1, *kind.type.shape))
        array = self.arrays[i]
        with self._writing():
            array.write(dynamic_set_slice(array.value, row, dim(place), *[const(0, I64)] * len(kind.type.shape)))

    def _remember(self, leaf):
        """Remember the array that an item is: it may have another name, or be an item of another list."""
        if isinstance(leaf, Tracer) and not (leaf.weak or leaf.scalar):
            lists = current_trace().root.flow.items.setdefault(leaf._storage, [])
            lists.append(self)
            if len(lists) > 1:
                for rows in lists:
                    rows.shared = True
            self.appended[leaf._storage] = leaf._storage.value

    @contextlib.contextmanager
    def _writing(self):
        """What is written inside are items."""
        before, self._own = self._own, True
        try:
            yield
        finally:
            self._own = before

    def check_shared(self):
        """Trace again without rows where an array among the items is written to that is something else, too."""
        if not self._own and (self.shared or len(self.appended)):
            current_trace().root.flow.decisions["grows", self.site] = False
            raise Restart

    def append(self, item):
        """Write an item to the next row."""
        place = Tracer(self.count).node
        if not self.bounded:
            place = check(place, less(place, dim(self.room)), error="room", detail=())
        self.put(item, place)
        self.count.write(place + 1)
        self.most = None if self.most is None else self.most + 1

    @property
    def length(self):
        """The number of items, an int or a node."""
        return dims.minus(Tracer(self.count).node, Tracer(self.first).node)

    def array(self, i):
        """Return leaf i of all items as an array: a view, through which they may be written."""
        kind, whole = self.kinds[i], Tracer(self.arrays[i])
        first, last = (dims.entry(Tracer(s).node) for s in (self.first, self.count))
        if first == 0 and type(first) is int and (last is self.room or type(last) is int and last == self.room):
            return whole
        return sized_view(whole, [slice(first, last), *[slice(None)] * len(kind.type.shape)])

    def item(self, k, alone=False):
        """Return the item at a position; `alone`, where no row stands for it any more."""
        if self.structure is None:
            raise IndexError("list index out of range")
        found = tree.unflatten(self.structure, [self._leaf(i, k) for i in range(len(self.kinds))])
        return found if alone else self.hand(found)

    def hand(self, item):
        """Return an item, of whose lists a row holds the content only: they must not be written to."""
        flow = current_trace().root.flow
        if flow is not None:
            flow.hand(self.site, item)
        return item

    def _leaf(self, i, k):
        kind, found = self.kinds[i], getitem(self.array(i), k)
        return wrap(found.node, weak=kind.weak, scalar=kind.scalar) if kind.weak or kind.scalar else found

    def set(self, k, item):
        """Replace the item at a position."""
        leaves, structure = tree.flatten(item, is_leaf=is_number)
        if structure != self.structure or not all(map(is_number, leaves)):
            raise _refuse("items of different structure, or that are no numbers and arrays")
        kinds = [joined([kind, kind_of(leaf)]) for kind, leaf in zip(self.kinds, leaves)]
        if kinds != self.kinds:
            decisions = current_trace().root.flow.decisions
            alike = all(new is not None and new.type.is_static and new.type.kind == old.type.kind
                        for old, new in zip(self.kinds, kinds))
            if not alike or ("items", self.site) in decisions:
                raise _refuse("items of different types")
            decisions["items", self.site] = kinds
            raise Restart
        self.hand(item)
        with self._writing():
            for i, leaf in enumerate(leaves):
                self._remember(leaf)
                setitem(self.array(i), k, leaf)

    def whole(self, dtype=None):
        """Return all items as the one array that NumPy makes of them, or None where it would make none.

        It makes a float vector of no items, unless asked for a dtype. Where no items would be something else, a call in
        which there are none is left to NumPy.
        """
        none = wrap(const(np.empty(0, dtype or F64)))
        if self.structure is None:
            return none
        parts = [self.array(i) for i in range(len(self.kinds))]
        found = _stacked(tree.unflatten(self.structure, range(len(parts))), parts, 1)
        if found is None or found.ndim == 1 and (dtype or found.dtype) == none.dtype:
            return found
        size = found.type.shape[0]
        if dims.interval(size)[0] > 0:
            return found
        if type(size) is int:
            return none
        flow = current_trace().root.flow
        if flow.decided:
            return found if guarded_int(dim(size), "how many items a list has") else none
        flow.presumed = True
        some = check(dim(size), less(const(0, I64), dim(size)), error="empty", detail=())
        # the start is 0, and only known when the check has passed
        starts = [some - dim(size), *[const(0, I64)] * (found.ndim - 1)]
        return wrap(dynamic_slice(found.node, *starts, sizes=found.type.shape))

    def taken(self, k):
        """Return the rows that a slice takes, as Rows of their own."""
        made = Rows((), 0, None, site=self.site)
        made.structure, made.kinds = self.structure, self.kinds
        made.shared = self.shared = True  # with each other
        arrays = [wrap(getitem(self.array(i), k).node) for i in range(len(self.kinds))]
        made.arrays = [a._storage for a in arrays]
        for storage in made.arrays:
            storage.rows = made
        if arrays:
            made.room = arrays[0].type.shape[0]
            made.count.value = dim(made.room)
        return made

    def check_written(self):
        """Raise where an array was written to after it was appended: the list's items would change with it."""
        for storage, value in self.appended.items():
            if storage.value is not value or storage.trace.alive and storage.trace.encloses(self.trace):
                raise _refuse("an array that is written to after it was appended; append a copy of it")

    def mark(self, storage, region):
        """Remember that an array may be the last item: once it is written to, the content is not known any more."""
        for array in self.arrays:
            if array.alias is None:
                array.alias = Alias([frozenset({array})], region)
            storage.dependents.append(array)


class _Nest(NamedTuple):
    """A list of rows over numbers that stand for its arrays."""

    structure: object
    parts: list


def _stacked(sample, parts, axis):
    """Return a nest of numbers of arrays as one array, its own axes from `axis` on; None where it is none."""
    if type(sample) is _Nest:
        return _stacked(tree.unflatten(*sample), parts, axis + 1)
    if isinstance(sample, (list, tuple)):
        columns = [_stacked(s, parts, axis) for s in sample]
        if not columns or any(c is None or c.type.shape != columns[0].type.shape for c in columns):
            return None
        return np.stack(columns, axis=axis)
    return parts[sample] if isinstance(sample, int) else None


def _refuse(what):
    return UnsupportedError(f"a list that grows in a traced loop, with {what}", where=user_frame(),
                            do="write to rows of an array made before the loop")


def is_rows(items):
    """Return whether the content of a List is its Rows."""
    return len(items) == 1 and type(items[0]) is Rows


class Unread:
    """Stands, in the List for one from outside, for the items that it has there, until somebody looks at them."""

    __slots__ = ("key",)

    def __init__(self, outside):
        self.key = "blind", id(outside)

    def look(self, *_):
        """Trace again, seeing what is in the list."""
        current_trace().root.flow.decisions[self.key] = False
        raise Restart

    __lt__ = __gt__ = look  # a heap, or a sorted list, to functions that take a list as it is


class List(list):
    """A list that traced code has made, at `site`; or one from outside that it has not looked at, only made longer."""

    __slots__ = ("site",)
    __hash__ = None

    def __init__(self, items=(), site=None):
        super().__init__(items)
        self.site = site

    @property
    def _first(self):
        return list.__getitem__(self, 0) if list.__len__(self) else None

    @property
    def staged(self):
        """The Rows that hold the items, those that were appended at least, or None."""
        return first if type(first := self._first) is Rows else None

    @property
    def rows(self):
        """The Rows that hold the items, or None."""
        first = self._first
        if type(first) is Unread:
            first.look()
        if type(first) is not Rows:
            return None
        if first.unread is not None:
            first.unread.look()
        return first

    def appended(self):
        """Return, of a list from outside that nobody has looked at, what was appended to it."""
        return List([self.staged] if self.staged else list.copy(self)[1:])

    def like(self, items):
        """Return another list made at the same place."""
        return List(items, self.site)

    def whole(self, dtype=None):
        """Return the array (of a dtype asked for) that holds all items, or None where there is no one array."""
        return None if self.rows is None else self.rows.whole(dtype)

    def stage(self, extra, owner=None, bounded=True):
        """Make the items rows, with room for `extra` more."""
        rows, first = self.staged, self._first
        unread = first if type(first) is Unread else rows and rows.unread
        items = list.copy(self)[type(first) is Unread:] if rows is None else ()
        length = len(items) if rows is None else rows.length
        made = Rows(items, dims.plus(length, extra), owner, bounded, self.site)
        made.unread = unread
        if rows is not None and rows.structure is not None:
            made.structure, made.kinds, made.shared = rows.structure, list(rows.kinds), rows.shared
            made.appended.update(rows.appended)
            made.count.value = dim(length)
            for i, kind in enumerate(rows.kinds):
                start = zeros(kind.type.with_shape((made.room, *kind.type.shape)))
                made.arrays.append(Storage(dynamic_set_slice(
                    start, rows.array(i).node, *[const(0, I64)] * start.ndim), made.trace))
                made.arrays[-1].rows = made
        list.clear(self)
        list.append(self, made)
        return made

    def unpack(self):
        """Make the rows items of a list again; where only the compiled function knows how many, the call decides."""
        rows = self.rows
        if rows is None:
            return
        length = guarded_int(rows.length, "the length of a list that has grown in a loop")
        if rows.owner is not None or length > _MOST:
            raise _refuse("what needs its items one by one")
        items = [rows.item(k, alone=True) for k in range(length)]
        list.clear(self)
        list.extend(self, items)

    # ------------------------------------------------------------ what rows can do
    def append(self, item):
        """Append an item."""
        rows = self.staged
        if rows is None:
            list.append(self, item)
        else:
            decisions = current_trace().root.flow.decisions
            if rows.owner is not None and decisions.get(("grows", self.site)) == "set":  # and longer, too
                decisions["grows", self.site] = True
                raise Restart
            (self.stage(1) if rows.owner is None else rows).append(item)

    def extend(self, items):
        """Append several items."""
        if self.staged is None:
            list.extend(self, items)
        else:
            for item in items:
                self.append(item)

    def __iadd__(self, items):
        if _is_arrays(items, repeats=False):
            return NotImplemented
        self.extend(items)
        return self

    def __len__(self):
        rows = self.rows
        return list.__len__(self) if rows is None else guarded_int(
            rows.length, "the length of a list that has grown in a loop")

    def __iter__(self):
        rows = self.rows
        return list.__iter__(self) if rows is None else (rows.item(k) for k in range(len(self)))

    def __getitem__(self, k):
        rows = self.rows
        if rows is None:
            self._choose_rows(k)
            return list.__getitem__(self, k)
        if not isinstance(k, slice):
            return rows.item(k)
        made = List((), self.site)
        list.append(made, rows.taken(k))
        return made

    def _choose_rows(self, k):
        """Trace again with rows where a loop that is staged asks for a place that is not known while tracing."""
        if isinstance(k, Tracer) and k.ndim == 0 and known(k) is None and self.site is not None:
            flow = current_trace().root.flow
            # an array may have another name, and an int stays one beside floats, which rows do not tell apart
            kinds = [kind_of(x) for x in self if is_number(x)]
            alike = len(kinds) == list.__len__(self) and all(kind.weak or kind.scalar for kind in kinds) and len(
                {kind.type.kind for kind in kinds}) == 1
            if alike and flow is not None and flow.is_looping() and ("grows", self.site) not in flow.decisions:
                flow.decisions["grows", self.site] = "set"
                raise Restart

    def __setitem__(self, k, item):
        rows = self.rows
        if rows is None:
            self._choose_rows(k)
        if rows is None or isinstance(k, slice):
            self.unpack()
            list.__setitem__(self, k, item)
        else:
            rows.set(k, item)

    def pop(self, k=-1):
        """Remove and return the last item; another one where it is known where it lies."""
        rows = self.rows
        if rows is None or rows.owner is None:
            self.unpack()
            return list.pop(self, k)
        if type(k) is not int or k not in (0, -1):
            raise _refuse("an item taken out that is not the first or the last")
        item = rows.item(k, alone=True)
        item = tree.map(lambda x: wrap(x.node, weak=x.weak, scalar=x.scalar), item, is_leaf=is_number)
        storage = rows.count if k else rows.first
        storage.write(Tracer(storage).node + (-1 if k else 1))
        return item

    def clear(self):
        """Remove all items."""
        rows = self.rows
        if rows is None or rows.owner is None:
            list.clear(self)
        else:
            for storage in (rows.count, rows.first):
                storage.write(full(0, Type(I64)))

    def copy(self):
        """Return a list of the same items."""
        return self[:]


def _is_arrays(x, repeats):
    """Return whether an operator of a list and `x` is NumPy's; the list's own `repeats` it, or appends."""
    return isinstance(x, Tracer) and not x.weak and not (repeats and x.scalar)


def _whole(name):
    """Return a method of lists that needs the items one by one."""
    original = getattr(list, name)
    repeats = name.endswith("mul__")

    def method(self, *args):
        if (repeats or name == "__add__") and _is_arrays(*args, repeats):
            return NotImplemented
        self.unpack()
        return original(self, *args)
    method.__name__, method.__doc__ = name, original.__doc__
    return method


for _name in ("insert", "remove", "reverse", "index", "count", "__eq__", "__ne__", "__lt__", "__le__", "__gt__",
              "__ge__", "__add__", "__mul__", "__rmul__", "__imul__", "__delitem__", "__repr__", "__reversed__",
              "__contains__"):
    setattr(List, _name, _whole(_name))


def _made(name):
    original = getattr(List, name)

    def method(self, other):
        made = original(self, other)
        return List(made, self.site) if type(made) is list else made
    method.__name__, method.__doc__ = name, original.__doc__
    return method


for _name in ("__add__", "__mul__", "__rmul__"):
    setattr(List, _name, _made(_name))


def _sort(self, *, key=None, reverse=False):
    self.unpack()
    list.sort(self, key=key, reverse=reverse)


List.sort = _sort


def length(x):
    """Return the length of a List, a traced integer where only the compiled function knows it."""
    return len(x) if x.rows is None else public(x.rows.length)


# ---------------------------------------------------------------- in results
def _take_apart(x):
    rows = x.staged
    if rows is None:
        return list.copy(x), None
    return [rows.array(i) for i in range(len(rows.kinds))], (rows.structure, tuple(rows.kinds))


def _build(described, parts):
    """Return the list: of the items themselves, or of the rows of arrays that a compiled function has given."""
    if described is None:
        return List(parts) if any(isinstance(p, Tracer) for p in parts) else list(parts)
    structure, kinds = described
    parts = list(parts)
    if any(isinstance(p, Tracer) for p in parts):
        made = List()
        rows = Rows((), 0, None)
        rows.structure, rows.kinds, rows.arrays = structure, list(kinds), [wrap(p.node)._storage for p in parts]
        if parts:
            rows.room = parts[0].type.shape[0]
            rows.count.value = dim(rows.room)
        list.append(made, rows)
        return made
    if not all(isinstance(p, np.ndarray) for p in parts):
        return _Nest(structure, parts)  # stand-ins, by which somebody finds out how a result is nested
    columns = [p.tolist() if kind.weak else list(p) for p, kind in zip(parts, kinds)]
    return [tree.unflatten(structure, leaves) for leaves in zip(*columns)]


tree.node(List, _take_apart, _build)
