"""What one trace has converted, and what it has changed outside of itself.

The user's objects, globals and containers hold what traced code has put there only until the trace ends. Then all of it
is put back, and becomes an effect of the compiled function, which each call has.
"""

import contextlib
import functools
import types
from typing import NamedTuple

import numpy as np

from tracejit.trace import objects
from tracejit.trace.builtin import ORIGINALS
from tracejit.trace.joins import Maybe
from tracejit.trace.lists import List
from tracejit.trace.numpy import namespace
from tracejit.trace.places import Inside, Number, Part, Read, Slots, is_number, keys_of, place_of
from tracejit.trace.regions import items_of, refill
from tracejit.trace.tracer import PYTHON_DTYPES, Restart, Tracer, current_trace

_EMPTY = object()
#: Steps of a place: what is nested deeper, or in itself, is what it is.
_DEEPEST = 30


class Change(NamedTuple):
    """One thing that a function has done to a container or an object.

    Parameters
    ----------
    kind : str
        ``"items"``: items of a list or dict are others; ``"attributes"`` of an object, likewise; ``"without"``: there
        are none any more at these keys; ``"extend"``: a list got longer; ``"all"``: a container holds other items.
    keys : list, optional
        The keys or names.
    values : list
        What is there now: an item per key; for "extend" and "all" a container of them.
    """

    kind: str
    keys: list | None
    values: list


def changes(now, before):
    """Yield the Changes that lead from one content of a container to another."""
    if isinstance(now, dict):
        gone = [k for k in before if k not in now]
        kept = [k for k in before if k in now]
        if list(now)[:len(kept)] != kept:
            yield Change("all", None, [now])
            return
        if gone:
            yield Change("without", gone, [])
        if new := [k for k, v in now.items() if k not in before or v is not before[k]]:
            yield Change("items", new, [now[k] for k in new])
    elif isinstance(now, list) and len(now) >= len(before) and all(a is b for a, b in zip(now, before)):
        if len(now) > len(before):
            yield Change("extend", None, [list(now[len(before):])])
    elif isinstance(now, list) and len(now) == len(before):
        new = [k for k, (a, b) in enumerate(zip(now, before)) if a is not b]
        yield Change("items", new, [now[k] for k in new])
    elif now != before if isinstance(now, set) else (
            len(now) != len(before) or any(a is not b for a, b in zip(now, before))):
        yield Change("all", None, [now])


def looked_up(reads, place, before, now):
    """Yield the keys of decisions to look at each call where something else than before has come to lie at a place.

    `reads` are those of the trace, by place.
    """
    if type(before) is type(now) is np.ndarray:
        yield "array", *place
    if len(place) > _DEEPEST:
        return
    if is_number(before):
        if is_number(now) or isinstance(now, Tracer) and not now.ndim:
            yield "number", *place
        return
    if place in reads and reads[place].is_instance and type(before) is objects.original_class(type(now)):
        yield "nest", *place
        place, before, now = (*place, "__dict__"), before.__dict__, objects.held(now)
    if isinstance(before, (list, dict, tuple)) and isinstance(now, type(before)) and keys_of(before) == keys_of(now):
        yield "nest", *place
        for key in keys_of(before):
            yield from looked_up(reads, (*place, key), before[key], now[key])


class Session:
    """What one trace has converted: each object once, and what must be put back when it ends.

    `decisions` say whether each call looks up what lies at a place: as ``("number", *place)``, a number, as
    ``("nest", *place)``, a container of this form, as ``("array", *place)``, an array. Where nothing is said, it is
    what it is, and a call that finds another is traced; arrays of which something is computed are looked up anyway.
    As ``("blind", id)`` they name a list if nobody looks at what is in it, as ``("read", id)`` they say of a closure
    variable that is only assigned whether somebody needs what was there before.

    ``see(kind, holder, key, value)`` gives what traced code sees at a place.
    """

    def __init__(self, decisions, see):
        self.decisions, self._see = decisions, see
        self.numbers = {}  # place -> Tracer
        self.slots = Slots()
        self.watching = []  # of branches and loops that may be in progress, what they watch: weak references
        self.nests = {}    # id(container) -> (container, Read of the place where another one may lie)
        self.table = {}    # id(original) -> (original, converted)
        self.worlds = {}   # id(globals) -> (globals, the twins' globals, what was put there)
        self.cells = {}    # id(cell) -> (cell, the twins' cell, what was put there)
        self.originals = dict(ORIGINALS)  # id(converted) -> (converted, original)
        self.containers = []  # (container, the twins' copy, what was put there)
        self.classes = {}  # class -> stand-in class
        self.stored = {}   # (id(holder), name) -> (holder, name, old value) of attributes that lie in no dict
        self.outside = set()  # id(__dict__) of what stands for instances that were there before the trace
        self.kept = {}     # id -> (container that traced code sees as it is, or __dict__, its content before)
        self.reals = {}    # id(__dict__ of a stand-in) -> the instance's own
        self.laid = {}     # (id(__dict__), name) -> what traced code sees there, where it lies there itself
        self.rebuilt = set()  # id(__dict__) of arguments that are dataclasses

    def remember(self, original, converted):
        """Record a conversion, so that it is made once and can be undone."""
        self.table[id(original)] = (original, converted)
        self.originals[id(converted)] = (converted, original)
        return converted

    def original(self, value):
        """Return what a converted object stands for."""
        found = self.originals.get(id(value))
        return found[1] if found is not None and found[0] is value else value

    def keep(self, container):
        """Remember what is in a container that traced code sees as it is."""
        if not isinstance(container, tuple):
            self.kept[id(container)] = container, items_of(container)
            self.watch(container)

    def watch(self, container):
        """Let branches and loops in progress watch a container that they meet for the first time."""
        for watched in self._in_progress():
            watched.setdefault(id(container), (container, items_of(container)))

    def _in_progress(self):
        self.watching = [ref for ref in self.watching if ref() is not None]
        return [watched for ref in self.watching if (watched := ref()) is not None]

    def is_users(self, instance):
        """Return whether traced code sees an instance of the user's own, not one made for this trace."""
        held = objects.held(instance) if objects.is_stand_in(instance) else None
        return id(held) in self.outside and id(held) not in self.rebuilt

    def part(self, stand_in):
        """Give a stand-in a ``__dict__`` of its own, so that the instance stays as it is while traced code runs."""
        real = objects.held(stand_in)
        held = dict(real)
        object.__setattr__(stand_in, "__dict__", held)
        self.reals[id(held)] = real
        self.keep(held)

    def real(self, container):
        """Return the ``__dict__`` of the instance for that of its stand-in; any other container is itself."""
        return self.reals.get(id(container), container)

    def laid_open(self, held):
        """Return the ``__dict__`` of a stand-in for an outside instance, where all lies in it that traced code sees."""
        real = self.real(held)
        size = Read("size", real, None, len(real))
        current_trace().root.reads.setdefault(size.place, size)
        for name, value in held.items():
            if not self.has_set(held, name):
                held[name] = self.laid[id(held), name] = self._see(*self.child(held, name), value)
        return held

    # ------------------------------------------------------------ attributes
    def set_attribute(self, holder, name, value):
        """Set an attribute of the user's object, class or module, that of an instance in traced code."""
        if objects.is_stand_in(holder):
            source = objects.source_of(holder)
            if source is None:
                object.__setattr__(holder, name, self.original(value) if self.is_users(holder) else value)
                return
            holder = source
        if isinstance(holder, types.ModuleType):
            if id(holder.__dict__) not in self.kept:
                self.keep(holder.__dict__)
            holder.__dict__[name] = self.original(value)
            return
        self._store(holder, name)
        put_attribute(holder, name, self.original(value))

    def delete_attribute(self, holder, name):
        """Delete an attribute of the user's object that lies in no dict."""
        self._store(holder, name)
        delattr(holder, name)

    def _store(self, holder, name):
        if (id(holder), name) in self.stored:
            return
        old = _held(holder, name)
        self.stored[id(holder), name] = holder, name, old
        if old is not _EMPTY and self._in_progress():  # another way may leave what is there
            put_attribute(holder, name, self._see("attr", holder, name, old))
        self._add_slot((id(holder), name), lambda: _held(holder, name), functools.partial(put_attribute, holder, name))

    def may_assign(self, names, twins):
        """Remember globals that a function assigns, among those of the twins."""
        for name in names:
            self._add_slot((id(twins), name), lambda name=name: twins.get(name, _EMPTY),
                           functools.partial(_assign, twins, name))

    def has_cell(self, twin_cell):
        """Remember a closure variable."""
        self._add_slot(id(twin_cell), lambda: content(twin_cell),
                       functools.partial(put_attribute, twin_cell, "cell_contents"))

    def _add_slot(self, key, get, put):
        self.slots.add(key, get, put)
        for watched in self._in_progress():
            watched[id(self.slots)][1].setdefault(key, get())

    def has_set(self, holder, name):
        """Return whether what an object or its ``__dict__`` holds there was put there by traced code."""
        if (id(holder), name) in self.stored:
            return True
        found = self.kept.get(id(holder))
        return found is not None and found[1].get(name, _EMPTY) is not holder.get(name, _EMPTY)

    def met(self, value):
        """Return what was put somewhere by traced code, as that sees it."""
        found = self.table.get(id(value))
        return found[1] if found is not None and found[0] is value else value

    # ------------------------------------------------------------ numbers
    def number(self, read):
        """Return the Tracer of a number that each call looks up; None for anything else."""
        found = self.numbers.get(read.place)
        if found is None and self.decisions.get(("number", *read.place)) and is_number(read.value):
            number = Number(read)
            storage = current_trace().capture(number._data, key=number)
            found = self.numbers[read.place] = Tracer(storage, weak=type(read.value) in PYTHON_DTYPES,
                                                      scalar=isinstance(read.value, np.generic))
        return found

    def is_nest(self, read):
        """Return whether each call looks up which container lies at a place."""
        _, other = self.nests.get(id(read.value), (None, None))
        if other is not None and other.place != read.place:
            self.decisions["nest", *other.place] = False  # it lies at two places, of which one may change
            raise Restart
        is_one = objects.is_container(read.value) or hasattr(read.value, "__dict__")
        if other is None and is_one and self.decisions.get(("nest", *read.place)):
            if id(read.value) in self.table:
                self.decisions["nest", *read.place] = False
                raise Restart
            self.nests[id(read.value)] = read.value, read
            if not objects.is_container(read.value):
                held = read.value.__dict__
                self.nests[id(held)] = held, Read("attr", Part(read, "__dict__"), "value", held)
        return id(read.value) in self.nests

    def seen(self, container, contents):
        """Return the contents of an object's ``__dict__`` on several ways, as traced code sees what differs."""
        if id(container) not in self.outside or id(container) not in self.kept:
            return contents
        contents = list(contents)
        for key, old in self.kept[id(container)][1].items():
            values = [content.get(key) for content in contents if isinstance(content, dict)]
            if any(v is old for v in values) and any(v is not old for v in values):
                found = self._see(*self.child(container, key), old)
                contents = [{**c, key: found} if isinstance(c, dict) and c.get(key) is old else c for c in contents]
        return contents

    def child(self, container, key):
        """Return the kind, the holder and the key of the place that is an item of a container."""
        container = self.real(container)
        _, read = self.nests.get(id(container), (None, None))
        return ("item", container, key) if read is None else ("attr", Inside(read, key), "value")

    def is_looked_up(self, container):
        """Return whether there are numbers in a container that each call looks up."""
        return any(key[0] in ("number", "nest") and key[1] == id(container) and said
                   for key, said in self.decisions.items())

    def looked_up_arrays(self, reads):
        """Return the ids of arrays that lie where each call looks for one, though nothing may be computed of it."""
        return {id(reads[key[1:]].value) for key, said in self.decisions.items()
                if key[0] == "array" and said and key[1:] in reads}

    def key_of(self, variable):
        """Return the key of the decision on the number that a variable stands for, or None."""
        return next((("number", *place) for place, x in self.numbers.items() if x._storage.variable is variable), None)

    def blind(self):
        """Return the lists from outside that nobody looks at."""
        return [said[0] for key, said in self.decisions.items() if key[0] == "blind" and said]

    def _decide(self, new):
        """Trace again where there is a decision that had not been made."""
        if not new.keys() <= self.decisions.keys():
            self.decisions.update({**new, **self.decisions})
            raise Restart

    def are_longer(self, lists):
        """Trace again, without a look at what is in them, where lists from outside got longer in a branch or a loop."""
        outside = [self.original(x) for x in lists if self.original(x) is not x or id(x) in self.kept]
        self._decide({("blind", id(x)): (x,) for x in outside})

    def learn(self, reads):
        """Trace again where something was looked at that the function changes: each call is to look it up.

        So it is done with a list that gets longer: perhaps what is in it does not matter.
        """
        new = {("read", id(cell)): True for cell, twin, _ in self.cells.values() if type(content(twin)) is Maybe}
        for _, holder, (kind, keys, values) in self.effects():
            if kind == "extend":
                new["blind", id(holder)] = (holder,)
            elif kind in ("items", "attributes"):
                for key, value in zip(keys, values):
                    at = self.child(holder, key) if kind == "items" else ("attr", holder, key)
                    if (place := place_of(*at)) in reads:
                        new.update(dict.fromkeys(looked_up(reads, place, reads[place].value, value), True))
        self._decide(new)

    # ------------------------------------------------------------ what is different
    def effects(self):
        """Yield (what it is, to be formatted with a key, the object, `Change`) for all that is different outside."""
        for holder, name, old in self.stored.values():
            now = _held(holder, name)
            if now is not old:
                yield "the attribute {!r}", holder, _attribute(name, self.met(now))
        for real, twins, put in self.worlds.values():
            yield from (("the global {!r}", real, change) for change in changes(items_of(twins), put))
        for cell, twin_cell, put in self.cells.values():
            now = content(twin_cell)
            if now is not put and now is not content(cell):
                yield "a variable of an enclosing function", cell, _attribute("cell_contents", now)
        for real, copy, put in self.containers:
            what = f"a {type(real).__name__} from outside the function"
            if type(copy) is not List:
                yield from ((what, real, change) for change in changes(items_of(copy), put))
            elif list.__len__(found := copy.appended()):
                yield what, real, Change("extend", None, [found])
        for x, before in self.kept.values():
            what, now = f"a {type(x).__name__} from outside the function", items_of(x)
            if id(x) in self.outside:
                what = "the attribute {!r}"
                now = {k: before[k] if k in before and v is self.laid.get((id(x), k)) else v for k, v in now.items()}
            for kind, keys, values in changes(now, before):
                values = [_mapped(self.met, values[0])] if kind == "all" else list(map(self.met, values))
                yield what, self.real(x), Change(kind, keys, values)

    def undo(self):
        """Put back what traced code has changed outside."""
        for holder, name, old in self.stored.values():
            if _held(holder, name) is not old:
                put_attribute(holder, name, old)
        for x, before in self.kept.values():
            if id(x) not in self.reals:
                _put_back(x, before)


def _attribute(name, now):
    return Change("without", [name], []) if now is _EMPTY else Change("attributes", [name], [now])


def _mapped(function, x):
    if isinstance(x, dict):
        made = x.copy()
        made.update((k, function(v)) for k, v in x.items())
        return made
    return type(x)(map(function, x))


def _held(holder, name):
    """Return an attribute of an object; of a class what it does not inherit."""
    return vars(holder).get(name, _EMPTY) if isinstance(holder, type) else getattr(holder, name, _EMPTY)


def put_attribute(holder, name, value):
    """Set an attribute of an object or a class, as it is set without a method of its own."""
    if value is _EMPTY:
        delattr(holder, name)
    else:
        (setattr if isinstance(holder, type) else object.__setattr__)(holder, name, value)


def _assign(twins, name, value):
    if value is _EMPTY:
        del twins[name]
    else:
        twins[name] = value


def _put_back(x, before):
    if not isinstance(x, dict) or list(x)[:len(before)] != list(before):
        if len(x) != len(before) or any(a is not b for a, b in zip(x, before)):
            refill(x, before)
        return
    for k in list(x)[len(before):]:
        del x[k]
    for k, v in before.items():
        if x[k] is not v:
            x[k] = v


def content(cell):
    """Return what a cell holds, or a value of its own for nothing."""
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


@contextlib.contextmanager
def session(trace, see):
    """Hold the conversions of a trace (those of the outermost one), and undo their side effects at its end.

    `see` is for `Session`.
    """
    if trace.root.session is not None:
        yield trace.root.session
        return
    namespace.load_chapters()  # methods of tracers look there, too, in functions that never name NumPy
    trace.session = Session({} if trace.flow is None else trace.flow.decisions, see)
    try:
        yield trace.session
    finally:
        trace.session.undo()
