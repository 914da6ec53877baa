"""The containers among a function's arguments: the caller's come to hold what the function has left in them.

A trace sees lists, dicts and deques of its own in their place. What it has put into them are further results of the
call, which is given its arguments to find the caller's containers in; one that is returned is the caller's.
"""

import collections

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
        """Return (the result, new contents), `Given` in the place of each container, and whose the contents are."""
        changed = [(items_of(x), path) for x, path, before in self._found.values() if _differ(items_of(x), before)]
        stands = lambda x: Given(self._found[id(x)][1]) if id(x) in self._found else x
        both = tree.map(stands, (result, [now for now, _ in changed]), is_leaf=self._is_leaf)
        return both, [path for _, path in changed]

    def _is_leaf(self, x):
        return id(x) in self._found or isinstance(x, Tracer) or objects.is_stand_in(x)


def _differ(now, before):
    if len(now) != len(before):
        return True
    if isinstance(now, dict):
        return any(a != b or now[a] is not before[b] for a, b in zip(now, before))
    return any(a is not b for a, b in zip(now, before))


def returning(structure, leaves, whose):
    """Return the structure of a result of `Arguments.results`, and the numbers of the arguments that it needs."""
    if not whose and not any(isinstance(x, Given) for x in leaves):
        return structure.child(0), ()
    made = Returning(structure, leaves, whose)
    return made, made.needed


class Returning:
    """The structure of a result beside which, or in which, containers among the arguments stand.

    Its leaves are those of the results that `Arguments` gives, and behind them the arguments of the call in `needed`.
    """

    def __init__(self, structure, leaves, whose):
        self._structure = structure
        self._places = {i: leaf.path for i, leaf in enumerate(leaves) if isinstance(leaf, Given)}
        self._whose = whose
        self.needed = sorted({path[0] for path in (*whose, *self._places.values())})
        self.num_leaves = len(leaves) + len(self.needed)

    def unflatten(self, leaves):
        """Return the result, and let the caller's containers hold what the function has left in them."""
        own, given = list(leaves[:-len(self.needed)]), dict(zip(self.needed, leaves[-len(self.needed):]))
        for place, path in self._places.items():
            own[place] = _follow(given, path)
        changed = [_follow(given, path) for path in self._whose]
        if len(set(map(id, changed))) < len(changed):
            raise UnsupportedError("a list or dict that is given twice and changed", do="give it a copy of one")
        result, contents = self._structure.unflatten(own)
        for container, content in zip(changed, contents):
            refill(container, content)
        return result


def _follow(given, path):
    found = given[path[0]]
    for key in path[1:]:
        found = found[key]
    return found
