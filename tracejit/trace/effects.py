"""What a function leaves behind: in containers and objects among its arguments, and in those outside of it.

A trace sees lists, dicts, deques and dataclasses of its own in the place of arguments, and a `Session` tells what it
has changed outside. What has become of them are further results of the call, which is given its arguments to find the
caller's containers in. One that is returned is the caller's.
"""

import collections
import dataclasses
import graphlib
from typing import NamedTuple

from tracejit import tree
from tracejit.errors import LeakError, UnsupportedError, user_frame
from tracejit.trace import objects
from tracejit.trace.items import Range
from tracejit.trace.lists import List
from tracejit.trace.regions import items_of, refill
from tracejit.trace.session import changes, put_attribute
from tracejit.trace.tracer import Tracer, current_trace, lift

_MUTABLE = (list, dict, collections.OrderedDict, collections.defaultdict, collections.deque)


class Mark:
    """Stands in a result for a container or object, which `which` tells."""

    def __init__(self, which):
        self.which = which


class Given(Mark):
    """For one among the arguments: an argument's number and the steps from there."""


class Outside(Mark):
    """For that very one, which was there before the trace."""


class Current(Mark):
    """For the one that lies at a place, a `Read`, when the function is called."""


class Common(Mark):
    """For one that is there more than once, by its number."""


class Made:
    """Stands in a result for an instance of the user's that traced code has made: each call makes one."""

    def __init__(self, cls, attributes):
        self.cls, self.attributes = cls, attributes

    @classmethod
    def build(cls, described, values):
        """Return the instance; while the function is traced, what stands for it."""
        kind, names = described
        attributes = dict(zip(names, values))
        if current_trace() is not None:
            return cls(kind, attributes)
        instance = object.__new__(kind)
        instance.__dict__.update(attributes)
        return instance


tree.node(Made, lambda x: (list(x.attributes.values()), (x.cls, tuple(x.attributes))), Made.build)


def released(result, session, mark=lambda x: x):
    """Return a result in which the user's own objects stand, not the ones that traced code has seen.

    ``mark(x)`` is what stands for a container or an object, or that itself.
    """
    def plain(x):
        if isinstance(x, Tracer) or (marked := mark(x)) is not x:
            return x if isinstance(x, Tracer) else marked
        if type(x) is Range:
            return x.concrete()
        x = session.original(x)
        if objects.is_stand_in(x) and not dataclasses.is_dataclass(x) and _is_traced(x):
            return Made(objects.original_class(type(x)), dict(objects.held(x)))
        return objects.released(x)

    def is_leaf(x):
        return isinstance(x, Tracer) or objects.is_stand_in(x) or mark(x) is not x

    while True:
        leaves, structure = tree.flatten(result, is_leaf=is_leaf)
        found = list(map(plain, leaves))
        if all(a is b for a, b in zip(leaves, found)):
            return result
        result = tree.unflatten(structure, found)


def _is_traced(x, above=()):
    """Return whether an instance holds traced arrays; one that holds itself is left to be refused."""
    def is_traced(held):
        return isinstance(held, Tracer) or objects.is_stand_in(held) and _is_traced(held, (*above, x))
    return objects.source_of(x) is None and not any(x is e for e in above) and objects.holds_objects(
        list(objects.held(x).values()), is_traced)


class Attribute(NamedTuple):
    """A step of a path that is no key."""

    name: str


class Effects(NamedTuple):
    """Whose the values are that stand beside a result.

    Parameters
    ----------
    changes : list of (whose, Change)
        What is done to a container or object, a `Given`, an `Outside` or a `Current`. The values stand beside the
        result, in the order of the changes.
    containers : list of Given and Current
        All containers among the arguments and at places that are looked up, if any of those has changed: none of them
        may be another one.
    """

    changes: list
    containers: list


class Surroundings:
    """What a trace has been given and has found outside, and how to find the caller's.

    Parameters
    ----------
    args, kwargs : tuple, dict
        The arguments as the function sees them.
    session : Session
        What is outside.
    """

    def __init__(self, args, kwargs, session):
        self._found = {}  # id -> (container or object, path, content before)
        self._session = session
        for k, x in enumerate((*args, *kwargs.values())):
            self._look_at(x, (k,))

    def _look_at(self, x, path):
        if _is_dataclass(x) and not self._session.is_users(x):
            held = _attributes(x)
            self._found[id(x)] = x, path, held
            for name, value in held.items():
                self._look_at(value, (*path, Attribute(name)))
            return
        if type(x) in _MUTABLE:
            self._found[id(x)] = x, path, items_of(x)
        elif not isinstance(x, tuple):
            return
        for key, value in x.items() if isinstance(x, dict) else enumerate(x):
            self._look_at(value, (*path, key))

    def results(self, result):
        """Return (the result, new values, what is there more than once) and `Effects`.

        What was there before is stood for by `Given`, `Outside` and `Current`.
        """
        inside = list(self._inside())
        outside = list(self._session.effects())
        for what, _, change in outside:
            for key, value in zip(change.keys or [None], change.values):
                if objects.holds_objects(value, lambda x: isinstance(x, Tracer) and not lift(x._storage)):
                    raise LeakError(f"a traced array was left in {what.format(key)} by a function that is traced for "
                                    "each element of a batch, or each turn of a loop", do="return it from the function")
        found = [*inside, *((self._outside(holder), change) for _, holder, change in outside)]
        whole = result, [change.values for _, change in found]
        common = self._common(whole)
        mark = lambda x: self._mark(x) if id(x) not in common else common[id(x)][1]
        whole = released((*whole, [_shell(x) for x, _ in common.values()]), self._session, mark)
        every = [Given(path) for _, path, _ in self._found.values()]
        every += [Current(read) for x, read in self._session.nests.values() if not isinstance(x, tuple)]
        return whole, Effects(found, every if any(type(whose) is not Outside for whose, _ in found) else [])

    def have_changed(self):
        """Return whether anything is different."""
        return any(True for _ in self._inside()) or any(True for _ in self._session.effects())

    def _inside(self):
        for x, path, before in self._found.values():
            if dataclasses.is_dataclass(x):
                for change in changes(_attributes(x), before):
                    yield Given(path), change if change.kind == "without" else change._replace(kind="attributes")
            else:
                yield from ((Given(path), change) for change in changes(items_of(x), before))

    def _common(self, whole):
        """Return {id: (x, Common)} of the containers and objects made by traced code that are met more than once."""
        stack, met, common = [whole], {}, {}
        while stack:
            x = stack.pop()
            if isinstance(x, tuple):
                stack.extend(x)
            if not (type(x) in (*_MUTABLE, List) or objects.is_stand_in(x) or _is_dataclass(x)):
                continue
            if self._mark(x) is not x:
                continue
            if id(x) in met:
                common.setdefault(id(x), (x, Common(len(common))))
                continue
            met[id(x)] = x
            if isinstance(x, dict):
                stack.extend(x.values())
            elif isinstance(x, list):
                stack.extend(list.copy(x))
            else:
                stack.extend(x if isinstance(x, collections.deque) else _attributes(x).values())
        return common

    def _mark(self, x):
        if id(x) in self._found:
            return Given(self._found[id(x)][1])
        if isinstance(x, (list, dict, set, collections.deque)) or objects.is_stand_in(x):
            original = self._session.original(x)
            if original is not x or id(x) in self._session.kept:
                return self._outside(original)
        return x

    def _outside(self, holder):
        nest = self._session.nests.get(id(holder))
        return Outside(holder) if nest is None else Current(nest[1])


def _attributes(x):
    """Return the attributes of an instance of a dataclass, or of another object that traced code has made."""
    held = objects.held(x) if objects.is_stand_in(x) else getattr(x, "__dict__", {})
    names = (f.name for f in dataclasses.fields(x)) if dataclasses.is_dataclass(x) else ()
    return {**{name: getattr(x, name) for name in names if name not in held and hasattr(x, name)}, **held}


def _is_dataclass(x):
    return dataclasses.is_dataclass(x) and not isinstance(x, type)


def _shell(x):
    """Return another container or object of the same content."""
    if type(x) is List:
        return x.like(list.copy(x))
    if type(x) in _MUTABLE:
        return x.copy()
    made = object.__new__(type(x))
    for name, value in _attributes(x).items():
        object.__setattr__(made, name, value)
    return made


def returning(structure, leaves, effects):
    """Return the structure of a result of `Surroundings.results`, and the numbers of the arguments that it needs."""
    if not effects.changes and not any(isinstance(x, Mark) for x in leaves):
        return structure.child(0), ()
    made = Returning(structure, leaves, effects)
    return made, made.needed


class Returning:
    """The structure of a result beside which, or in which, containers and objects stand that were there before.

    Its leaves are those of the results that `Surroundings` gives, and behind them the arguments of the call in
    `needed`. The source of `unflatten`, which gives the result when containers and objects hold what the function has
    left in them, is written for it: a small call is over before all that could be looked up.
    """

    def __init__(self, structure, leaves, effects):
        result, values, shared = structure.children()
        before = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, (Given, Current))}
        whose = [*before.values(), *effects.containers, *(w for w, _ in effects.changes)]
        self.needed = sorted({w.which[0] for w in whose if isinstance(w, Given)})
        self.num_leaves = len(leaves) + len(self.needed)
        self._common = {i: leaf.which for i, leaf in enumerate(leaves) if isinstance(leaf, Common)}
        self._names = {"refill": refill, "apart": _apart, "put": put_attribute, "gone": _gone}
        lines = [f"leaves[{i}] = {self._find(w)}" for i, w in before.items()]
        if len(effects.containers) > 1:
            lines.append(f"apart({', '.join(map(self._find, effects.containers))})")
        lines += [f"c{j} = {self._find(w)}" for j, (w, _) in enumerate(effects.changes)]
        end = result.num_leaves + values.num_leaves
        lines += self._make_shared(shared.children(), end)
        lines += [f"leaves[{i}] = s{n}" for i, n in self._common.items() if i < end]
        begin = result.num_leaves
        for j, ((_, change), part) in enumerate(zip(effects.changes, values.children())):
            lines += self._change(f"c{j}", change, part.children(), begin)
            begin += part.num_leaves
        lines.append(f"return {self._made(result, 0)}")
        exec("def unflatten(leaves):\n    " + "\n    ".join(lines), self._names)
        self.unflatten = self._names["unflatten"]

    def _name(self, x):
        self._names[f"n{len(self._names)}"] = x
        return f"n{len(self._names) - 1}"

    def _find(self, whose):
        """Return the expression of a container or object that was there before."""
        if isinstance(whose, Outside):
            return self._name(whose.which)
        if isinstance(whose, Current):
            return f"{self._name(whose.which)}.look()"
        argument, *steps = whose.which
        return f"leaves[{self.num_leaves - len(self.needed) + self.needed.index(argument)}]" + "".join(
            f".{step.name}" if type(step) is Attribute else f"[{self._name(step)}]" for step in steps)

    def _made(self, structure, begin):
        """Return the expression of what has this structure, its leaves from `begin` on."""
        if structure.is_leaf():
            return f"leaves[{begin}]"
        return f"{self._name(structure)}.unflatten(leaves[{begin}:{begin + structure.num_leaves}])"

    def _make_shared(self, parts, begin):
        """Return the lines that make what stands in several places, in an order that lets one hold another."""
        needs, lines = {}, []
        for n, part in enumerate(parts):
            inside = {i: m for i, m in self._common.items() if begin <= i < begin + part.num_leaves}
            needs[n] = set(inside.values())
            lines.append([*(f"leaves[{i}] = s{m}" for i, m in inside.items()), f"s{n} = {self._made(part, begin)}"])
            begin += part.num_leaves
        try:
            return [line for n in graphlib.TopologicalSorter(needs).static_order() for line in lines[n]]
        except graphlib.CycleError:
            raise UnsupportedError("a result that is nested without end", where=user_frame(),
                                   do="break the cycle: an object must not hold itself") from None

    def _change(self, name, change, values, begin):
        """Yield the lines that do a change to what has this name."""
        if change.kind == "without":
            yield from (f"gone({name}, {self._name(key)})" for key in change.keys)
            return
        for key, value in zip(change.keys or [None], values):
            made = self._made(value, begin)
            begin += value.num_leaves
            if change.kind == "items":
                yield f"{name}[{self._name(key)}] = {made}"
            elif change.kind == "attributes":
                yield f"put({name}, {self._name(key)}, {made})"
            else:
                yield f"{name}.extend({made})" if change.kind == "extend" else f"refill({name}, {made})"


def _gone(holder, key):
    if isinstance(holder, dict):
        holder.pop(key, None)
    elif hasattr(holder, key):
        delattr(holder, key)


def _apart(*containers):
    if len(set(map(id, containers))) < len(containers):
        raise UnsupportedError("a list or dict that is given twice and changed", do="give it a copy of one")
