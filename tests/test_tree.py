"""Containers come back as they were: types, key order, None, dataclasses."""

import collections
import dataclasses
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracejit import tree
from tracejit.errors import UnsupportedError

Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Layer:
    weight: object
    bias: object = None
    name: str = "layer"


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: object
    b: object = dataclasses.field(default=0, kw_only=True)


@dataclasses.dataclass
class Strict:
    value: object
    later: object = dataclasses.field(init=False, repr=False)

    def __post_init__(self):
        assert isinstance(self.value, int), "never run on leaves"
        self.extra = self.value + 1


leaf = st.integers() | st.text(max_size=3) | st.booleans()
key = st.text(max_size=3) | st.integers()
trees = st.recursive(
    leaf | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(collections.deque)
        | st.dictionaries(key, inner, max_size=3)
        | st.dictionaries(key, inner, max_size=3).map(collections.OrderedDict)
        | st.builds(Point, inner, inner)
        | st.builds(Layer, inner, inner)
        | st.builds(Frozen, inner, b=inner)
    ),
    max_leaves=12,
)


def same(a, b):
    """Equal with types and key order, which `==` on dicts does not see."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list, collections.deque)):
        return len(a) == len(b) and all(map(same, a, b))
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    return a == b


@given(trees)
def test_round_trip(t):
    leaves, structure = tree.flatten(t)
    assert same(tree.unflatten(structure, leaves), t)
    assert tree.leaves(t) == leaves and tree.structure(t) == structure
    assert hash(tree.structure(t)) == hash(structure)
    assert all(isinstance(x, (int, str, bool)) for x in leaves)
    assert same(tree.map(lambda x: x, t), t)
    stars = tree.unflatten(structure, [0] * len(leaves))
    assert tree.structure(stars) == structure, "the structure does not depend on the leaves"


@given(trees)
def test_paths_lead_to_the_leaves(t):
    for path, x in zip(tree.paths(t, "t"), tree.leaves(t)):
        assert eval(path) is x or eval(path) == x


def test_order_of_keys():
    forth, back = {"b": 1, "a": 2}, {"a": 2, "b": 1}
    assert tree.leaves(forth) == [1, 2] and tree.leaves(back) == [2, 1]
    assert list(tree.map(str, forth)) == ["b", "a"]
    assert tree.structure(forth) != tree.structure(back)
    assert tree.map(lambda x, y: x - y, forth, back) == {"b": 0, "a": 0}
    default = collections.defaultdict(list, {"z": 1, "a": 2})
    copy = tree.map(lambda x: x, default)
    assert list(copy) == ["z", "a"] and copy.default_factory is list


def test_none_is_a_node_without_leaves():
    assert tree.leaves([None, 1, (None,)]) == [1]
    assert tree.map(lambda x: x + 1, {"a": None, "b": 1}) == {"a": None, "b": 2}
    assert tree.leaves([None, 1], is_leaf=lambda x: x is None) == [None, 1]


def test_dataclass_is_not_constructed_again():
    s = Strict(3)
    t = tree.map(lambda x: x * 0.5, s)
    assert (t.value, t.extra) == (1.5, 2.0)
    assert not hasattr(t, "later")
    assert tree.paths(Frozen(1, b=[2]), "f") == ["f.a", "f.b[0]"]


def test_nested_dataclasses_first_seen_inside_another():
    @dataclasses.dataclass
    class Inner:
        x: int

    @dataclasses.dataclass
    class Outer:
        inner: Inner
        inners: list

    t = Outer(Inner(1), [Inner(2), None])
    assert tree.leaves(t) == [1, 2]
    assert tree.leaves(t, is_leaf=lambda x: isinstance(x, Inner)) == [Inner(1), Inner(2)]
    assert tree.map(lambda x, y: x + y, t, t) == Outer(Inner(2), [Inner(4), None])


def test_arrays_and_marked_classes_are_leaves():
    @dataclasses.dataclass
    class ArrayLike:
        data: object

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.data)

    @tree.leaf
    @dataclasses.dataclass(frozen=True)
    class Mark:
        x: int

    class Sub(Mark):
        pass

    for x in (np.arange(3), np.float64(1), ArrayLike([1]), Mark(1), Sub(1), Layer, object(), {1}, "text"):
        assert tree.leaves(x)[0] is x


def test_subclasses_of_dict_are_leaves():
    class Attributes(dict):
        pass

    x = Attributes(a=1)
    assert tree.leaves([x]) == [x]


def test_a_cycle_is_refused():
    cycle = []
    cycle.append(cycle)
    with pytest.raises(UnsupportedError, match="nested without end") as caught:
        tree.flatten(cycle)
    assert __file__ in str(caught.value)


def test_many_threads_register_one_class():
    @dataclasses.dataclass
    class Fresh:
        x: int

    results = []
    start = threading.Barrier(8)

    def work():
        start.wait()
        results.append(tree.leaves([Fresh(1), Fresh(2)]))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [[1, 2]] * 8


def test_optree_comes_with_the_first_use():
    code = "import sys, tracejit.tree as t; f = lambda: 'optree' in sys.modules; print(f(), t.leaves(1), f())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "False [1] True\n" and out.stderr == ""
