"""The containers among a function's arguments: the caller's come to hold what the function has left in them.

A trace sees lists, dicts and deques of its own in their place. What it has put into them are further results of the
call, which is given its arguments to find the caller's containers in; one that is returned is the caller's.
"""

import collections
from typing import NamedTuple

from tracejit import tree
from tracejit.errors import UnsupportedError
from tracejit.trace import objects
from tracejit.trace.regions import items_of, refill
from tracejit.trace.tracer import Tracer

_MUTABLE = (list, dict, collections.OrderedDict, collections.defaultdict, collections.deque)


class Given:
    """Stands in a result for a container among the arguments."""

    def __init__(self, path):
        self.path = path


class Changes(NamedTuple):
    """Whose the new contents are that stand beside a result.

    Parameters
    ----------
    whose : list of (path, keys)
        Of which containers; items at some keys, or, where others have come or gone (None), all of them.
    containers : list of path
        All containers among the arguments, if any has changed: none of them may be another one.
    """

    whose: list
    containers: list


class Arguments:
    """The containers that a trace has been given: what is in them, and how to find the caller's.

    Parameters
    ----------
    args, kwargs : tuple, dict
        The arguments as the function sees them.
    """

    def __init__(self, args, kwargs):
        self._found = {}  # id -> (container, path, content before); a path is an argument's number and keys from there
        for k, x in enumerate((*args, *kwargs.values())):
            self._look_at(x, (k,))

    def _look_at(self, x, path):
        if type(x) in _MUTABLE:
            self._found[id(x)] = (x, path, items_of(x))
        elif not isinstance(x, tuple):
            return
        for key, value in x.items() if isinstance(x, dict) else enumerate(x):
            self._look_at(value, (*path, key))

    def results(self, result):
        """Return (the result, new contents), `Given` in the place of each container, and `Changes`."""
        contents, whose = [], []
        for x, path, before in self._found.values():
            for keys, items in _changes(x, before):
                contents.append(items)
                whose.append((path, keys))
        both = result, contents
        leaves, structure = tree.flatten(both, is_leaf=self._is_leaf)
        if any(id(x) in self._found for x in leaves):
            leaves = [Given(self._found[id(x)][1]) if id(x) in self._found else x for x in leaves]
            both = tree.unflatten(structure, leaves)
        return both, Changes(whose, [path for _, path, _ in self._found.values()] if whose else [])

    def _is_leaf(self, x):
        return id(x) in self._found or isinstance(x, Tracer) or objects.is_stand_in(x)


def _changes(x, before):
    """Yield (keys, items at them) where only items of a container have changed, or (None, all items)."""
    now = items_of(x)
    keys = list(before) if isinstance(x, dict) else range(len(before))
    if type(x) is collections.deque or len(now) != len(before) or isinstance(x, dict) and list(now) != keys:
        if len(now) != len(before) or any(a is not b for a, b in zip(now, before)):
            yield None, now
    elif changed := [k for k in keys if now[k] is not before[k]]:
        yield changed, [now[k] for k in changed]


def returning(structure, leaves, changes):
    """Return the structure of a result of `Arguments.results`, and the numbers of the arguments that it needs."""
    if not changes.whose and not any(isinstance(x, Given) for x in leaves):
        return structure.child(0), ()
    made = Returning(structure, leaves, changes)
    return made, made.needed


class Returning:
    """The structure of a result beside which, or in which, containers among the arguments stand.

    Its leaves are those of the results that `Arguments` gives, and behind them the arguments of the call in `needed`.
    """

    def __init__(self, structure, leaves, changes):
        places = {i: leaf.path for i, leaf in enumerate(leaves) if isinstance(leaf, Given)}
        self.needed = sorted({path[0] for path in (*places.values(), *changes.containers)})
        self.num_leaves = len(leaves) + len(self.needed)
        #: Returns the result, and lets the caller's containers hold what the function has left in them.
        self.unflatten = self._written_out(*structure.children(), places, *changes)

    def _written_out(self, result, contents, places, whose, containers):
        """Return a function of the leaves, made of source: a small call is over before all this could be looked up."""
        names = {"refill": refill, "apart": _apart}

        def name(x):
            names[f"n{len(names)}"] = x
            return f"n{len(names) - 1}"

        def find(path):
            argument = self.num_leaves - len(self.needed) + self.needed.index(path[0])
            return f"leaves[{argument}]" + "".join(f"[{name(key)}]" for key in path[1:])

        lines = [f"leaves[{i}] = {find(path)}" for i, path in places.items()]
        if len(containers) > 1:
            lines.append(f"apart({', '.join(map(find, containers))})")
        lines += [f"c{j} = {find(path)}" for j, (path, _) in enumerate(whose)]
        begin = result.num_leaves
        for j, ((_, keys), items) in enumerate(zip(whose, contents.children())):
            end = begin + items.num_leaves
            made = f"{name(items)}.unflatten(leaves[{begin}:{end}])"
            if keys is None:
                lines.append(f"refill(c{j}, {made})")
            elif all(item.is_leaf() for item in items.children()):
                lines += [f"c{j}[{name(key)}] = leaves[{begin + i}]" for i, key in enumerate(keys)]
            else:
                lines.append(f"for key, item in zip({name(keys)}, {made}): c{j}[key] = item")
            begin = end
        whole = f"{name(result)}.unflatten(leaves[:{result.num_leaves}])"
        lines.append(f"return {'leaves[0]' if result.is_leaf() else whole}")
        exec("def unflatten(leaves):\n    " + "\n    ".join(lines), names)
        return names["unflatten"]


def _apart(*containers):
    if len(set(map(id, containers))) < len(containers):
        raise UnsupportedError("a list or dict that is given twice and changed", do="give it a copy of one")
