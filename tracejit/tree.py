"""Nested arguments and results: take containers apart into leaves, and build them again.

Nodes are tuple, list, dict, OrderedDict, defaultdict, deque, namedtuples and instances of dataclasses, of
exactly those types, and what `node` and `register` add; None is a node without leaves; anything else is a leaf. Dicts
keep their order, and two dicts with the same keys in another order have another structure, because code can see it.

A thin layer over optree, which is imported at the first use.
"""

import atexit
import dataclasses
import functools
import threading
import weakref

from tracejit.errors import UnsupportedError, user_frame

_NAMESPACE = "tracejit"
_lock = threading.Lock()
_leaf_types: set[type] = set()
#: Triples (which classes are nodes, how to take one apart and build it, how a part is written), asked when a class is
#: first met.
_kinds: list = []
_no_nodes: weakref.WeakSet[type] = weakref.WeakSet()


def flatten(tree, is_leaf=None):
    """Return the leaves of a tree, in order, and its structure, which is hashable and comparable."""
    optree = _optree()
    while True:
        try:
            leaves, structure = optree.tree_flatten(tree, is_leaf, namespace=_NAMESPACE)
        except RecursionError:
            raise UnsupportedError(
                "an argument or a result is nested without end",
                where=user_frame(),
                do="Break the cycle: a container must not contain itself.",
            ) from None
        # other classes of nodes are met here as leaves once, registered, and are nodes from then on
        if not _register_classes(leaves, is_leaf):
            return leaves, structure


def unflatten(structure, leaves):
    """Build the tree of this structure from its leaves, in order."""
    return structure.unflatten(leaves)


def map(function, tree, *rest, is_leaf=None):
    """Apply a function leaf by leaf to one tree, or to several of the same structure.

    Dicts are matched by key, whatever their order; the result has the first tree's.
    """
    for other in (tree, *rest):
        flatten(other, is_leaf)  # so that all their dataclasses are known
    return _optree().tree_map(function, tree, *rest, is_leaf=is_leaf, namespace=_NAMESPACE)


def leaves(tree, is_leaf=None):
    """Return the leaves of a tree, in order."""
    return flatten(tree, is_leaf)[0]


def structure(tree, is_leaf=None):
    """Return the structure of a tree: what remains when each leaf is a star."""
    return flatten(tree, is_leaf)[1]


def paths(tree, name="", is_leaf=None):
    """Return, leaf by leaf, how Python writes it: `x['w'][0].bias` for the name `x`."""
    flatten(tree, is_leaf)
    accessors = _optree().tree_accessors(tree, is_leaf, namespace=_NAMESPACE)
    return [accessor.codify(name) for accessor in accessors]


def spread(prefix, tree):
    """Return, leaf by leaf of a tree, the leaf of `prefix` that stands above it; None is a leaf of `prefix`.

    Raises ValueError where `prefix` does not begin as the tree does.
    """
    held, structure = flatten(prefix, lambda x: x is None)
    flatten(tree)
    parts = structure.flatten_up_to(tree)
    whole = unflatten(structure, [map(lambda _, x=x: _Held(x), part) for x, part in zip(held, parts)])
    return [x.value for x in leaves(map(lambda _, x: x, tree, whole))]


class _Held:
    """A leaf, whatever it holds."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def node(cls, take_apart, build):
    """Make nodes of the instances of a class: ``take_apart(x) -> (parts, rest)``, ``build(rest, parts) -> x``."""
    register(lambda other: other is cls, lambda _: (take_apart, build), entry="SequenceEntry")


def register(is_node, rule, entry="GetAttrEntry"):
    """Make nodes of the classes for which ``is_node(cls)`` holds.

    ``rule(cls)`` gives ``take_apart(instance) -> (parts, what else it has, names of the parts)`` and its inverse
    ``build(what else it has, parts)``; `entry` is optree's word for how a part is written.
    """
    _kinds.append((is_node, rule, entry))
    _no_nodes.clear()


def leaf(cls):
    """Mark a class as a leaf although it is a dataclass (a decorator)."""
    _leaf_types.add(cls)
    return cls


# ---------------------------------------------------------------- optree, and what it does not know
@functools.cache
def _optree():
    import optree  # 40 ms, which a program without jitted calls need not pay

    with _lock:
        # for good: the namespace is ours alone. The mode ends with this object, so atexit keeps it alive
        order = optree.dict_insertion_ordered(True, namespace=_NAMESPACE)
        order.__enter__()
        atexit.register(order.__exit__, None, None, None)
    return optree


def _register_classes(leaves, is_leaf):
    """Make nodes of the classes among those of these leaves that are to be; return whether there was a new one."""
    optree, found = _optree(), False
    for cls in {type(x) for x in leaves if not (is_leaf and is_leaf(x))}:
        if cls in _no_nodes:
            continue
        kind = next((kind for kind in _kinds if kind[0](cls)), None)
        if kind is None:
            _no_nodes.add(cls)
            continue
        _, rule, entry = kind
        with _lock:
            if optree.register_pytree_node.get(cls, namespace=_NAMESPACE) is None:
                optree.register_pytree_node(cls, *rule(cls), path_entry_type=getattr(optree, entry),
                                            namespace=_NAMESPACE)
        found = True
    return found


def _is_dataclass(cls):
    # what presents itself as an array is one, however it is written
    return (
        hasattr(cls, "__dataclass_fields__")
        and not hasattr(cls, "__array_ufunc__")
        and not hasattr(cls, "__array__")
        and _leaf_types.isdisjoint(cls.__mro__)
    )


def _fields_of(cls):
    """Return how instances of a dataclass are taken apart and built."""
    fields = [f.name for f in dataclasses.fields(cls)]

    def take_apart(instance):
        # beside the fields, what __post_init__ or a caller has set
        extra = [n for n in getattr(instance, "__dict__", ()) if n not in cls.__dataclass_fields__]
        names = tuple(n for n in (*fields, *extra) if hasattr(instance, n))
        return [getattr(instance, n) for n in names], names, names

    def build(names, values):
        # not through __init__: it may check or convert, and leaves can be traced arrays
        instance = object.__new__(cls)
        for name, value in zip(names, values):
            object.__setattr__(instance, name, value)
        return instance

    return take_apart, build


register(_is_dataclass, _fields_of)
