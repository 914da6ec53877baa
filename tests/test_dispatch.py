"""The dispatcher, compiled and in Python: one set of tests over both."""

import collections
import ctypes
import dataclasses
import functools
import gc
import itertools
import sys
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from executables import Program, added, array, program, type_
from hypothesis import given
from hypothesis import strategies as st

from tracejit import dispatch, dispatch_python
from tracejit.config import config
from tracejit.errors import UnsupportedError

BOTH = [pytest.param(dispatch.compiled, id="compiled"), pytest.param(dispatch_python, id="python")]


@pytest.fixture(params=BOTH)
def mod(request):
    assert request.param is not None, "tracejit._dispatch is not built: pip install -e ."
    return request.param


@dataclasses.dataclass
class Point:
    x: object
    y: object


Pair = collections.namedtuple("Pair", "first second")


def entry(
    mod, specs, executable, outputs=(("out", 0, True),), *, tree=None, captures=(), writes=(), key=None, kwnames=()
):
    key = config.key() if key is None else key
    return mod.Entry(specs, captures, executable, outputs, tree, writes, key, kwnames)


def dispatcher(mod, *args, **kwargs):
    """Return a dispatcher with one entry, whose slow path returns what it was called with."""
    d = mod.Dispatcher(lambda args, kwargs: ("slow", args, kwargs))
    d.add(entry(mod, *args, **kwargs))
    return d


def is_miss(result):
    return type(result) is tuple and len(result) == 3 and result[0] == "slow"


def recorder(in_types, out_types=()):
    """Return an executable that keeps what it was given, and its list."""
    seen = []

    def call(inputs, outputs):
        seen.append([x.copy() for x in inputs])
        return 0, ()

    return Program(0, tuple(in_types), tuple(out_types), call=call), seen


# ---------------------------------------------------------------- arrays
X, Y = np.arange(10.0), np.linspace(1, 2, 10)


def test_a_hit(mod):
    d = dispatcher(mod, (array("f8", 10), array("f8", 10)), added(10))
    z = d(X, Y)
    assert type(z) is np.ndarray and z.dtype == "f8" and z.flags.c_contiguous and z.flags.writeable
    np.testing.assert_array_equal(z, X + Y)
    assert d(X, Y) is not z and (d.hits, d.misses) == (2, 0)


class Special(np.ndarray):
    pass


@pytest.mark.parametrize(
    "args, kwargs",
    [
        ((X,), {}),
        ((X, Y, Y), {}),
        ((X, Y.astype("f4")), {}),
        ((X, Y.astype("i8")), {}),
        ((X, Y[:9]), {}),
        ((X, Y.reshape(5, 2)), {}),
        ((X, Y.view(Special)), {}),
        ((X, np.ma.array(Y)), {}),
        ((X, list(Y)), {}),
        ((X, 1.0), {}),
        ((X, None), {}),
        ((X, X), {}),
        ((X,), {"y": Y}),
        ((X, Y), {"z": 1}),
    ],
)
def test_what_does_not_fit_goes_to_slow(mod, args, kwargs):
    d = dispatcher(mod, (array("f8", 10), array("f8", 10)), added(10))
    result = d(*args, **kwargs)
    assert is_miss(result) and (d.hits, d.misses) == (0, 1)
    assert all(a is b for a, b in zip(result[1], args, strict=True))
    assert result[2].keys() == kwargs.keys() and all(result[2][k] is kwargs[k] for k in kwargs)


def _unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype)
    raw[...] = x
    return raw


@pytest.mark.parametrize(
    "change",
    [
        lambda x: np.repeat(x, 2)[::2],
        lambda x: x[::-1].copy()[::-1],
        lambda x: np.broadcast_to(x[:1], x.shape),
        lambda x: x.astype(x.dtype.newbyteorder("S")),
        _unaligned,
    ],
    ids=["strided", "reversed", "broadcast", "swapped", "unaligned"],
)
def test_any_layout_of_the_type_fits(mod, change):
    d = dispatcher(mod, (array("f8", 10), array("f8", 10)), added(10))
    x = change(Y)
    z = d(X, x)
    np.testing.assert_array_equal(z, X + x)
    assert z.dtype.isnative and d.hits == 1


def test_fortran_order(mod):
    executable, seen = recorder([type_("f8", 2, 3)])
    d = dispatcher(mod, (array("f8", 2, 3),), executable, (("const", 1),))
    x = np.arange(6.0).reshape(3, 2).T
    assert d(x) == 1
    np.testing.assert_array_equal(seen[0][0], x)
    assert seen[0][0].flags.c_contiguous


@pytest.mark.parametrize("dtype", ["?", "u1", "f2", "i4", "f8", "c16"])
def test_transposed_and_sliced_arrays_are_copied_right(mod, dtype):
    shape = (34, 3, 41)
    executable, seen = recorder([type_(dtype, *shape)])
    d = dispatcher(mod, (array(dtype, *shape),), executable, (("const", 1),))
    rng = np.random.default_rng(8)
    for order in itertools.permutations(range(3)):
        for step in (1, 2, -1, -3):
            lengths = [shape[a] * abs(step) for a in order]
            x = rng.integers(0, 200, lengths).astype(dtype)[tuple(slice(None, None, step) for _ in order)]
            x = x.transpose(np.argsort(order))
            if not x.flags.fnc:  # those large ones are read as they lie
                assert d(x) == 1
                np.testing.assert_array_equal(seen.pop()[0], x)
    x = np.broadcast_to(rng.integers(0, 200, (3, 1)).astype(dtype), shape)
    assert d(x) == 1
    np.testing.assert_array_equal(seen.pop()[0], x)


def test_equal_integer_types_are_one(mod):
    """On Linux `long` and `long long` are two types of NumPy's and one of the machine's."""
    d = dispatcher(mod, (array("i8", 10), array("i8", 10)), added(10, "int64_t"))
    long_long, long = np.arange(10, dtype="q"), np.arange(10, dtype=np.int64)
    np.testing.assert_array_equal(d(long, long_long), long + long)
    assert d.hits == 1


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1, 1), (2, 3, 4)])
def test_shapes(mod, shape):
    n = int(np.prod(shape))
    body = f"const double *x = bufs[0]; double *y = bufs[1]; for (int i = 0; i < {n}; i++) y[i] = 2 * x[i];"
    t = type_("f8", *shape)
    x = np.arange(float(n)).reshape(shape)
    result = dispatcher(mod, (array("f8", *shape),), program(body, [t], [t]), (("out", 0, False),))(x)
    assert type(result) is np.ndarray and result.shape == shape
    np.testing.assert_array_equal(result, 2 * x)


# ---------------------------------------------------------------- scalars
@pytest.mark.parametrize(
    "value, dtype",
    [
        (True, "?"), (True, "i8"), (False, "f8"), (3, "i8"), (-3, "i1"), (200, "u1"), (3, "f4"), (3, "f8"), (3, "f2"),
        (2**40, "f4"), (3, "c16"), (1.5, "f8"), (1.5, "f4"), (1e300, "f4"), (float("nan"), "f4"), (-0.0, "f8"),
        (1.5, "c8"), (1.5, "f2"), (1 + 2j, "c16"), (1 + 2j, "c8"), (np.float32(0.1), "f4"), (np.float32(0.1), "f8"),
        (np.int8(-4), "i1"), (np.uint64(2**63 + 1), "u8"), (np.complex64(1j), "c8"), (np.bool_(True), "?"),
        (np.float16(1.5), "f2"), (-(2**63), "i8"), (2**63 - 1, "u8"),
    ],
)  # fmt: skip
def test_scalars(mod, value, dtype):
    executable, seen = recorder([type_(dtype)])
    d = dispatcher(mod, (("scalar", type(value), np.dtype(dtype)),), executable, (("const", "hit"),))
    assert d(value) == "hit"
    with np.errstate(all="ignore"):
        want = np.array(value).astype(dtype)
    assert seen[0][0].dtype == dtype and seen[0][0].shape == ()
    assert seen[0][0].tobytes() == want.tobytes()


@pytest.mark.parametrize(
    "kind, dtype, value",
    [
        (int, "i8", 2**63), (int, "i8", -(2**63) - 1), (int, "i8", 10**40), (int, "i1", 128), (int, "u1", -1),
        (int, "u8", -1), (int, "u4", 2**32), (int, "i8", True), (int, "i8", 1.0), (int, "i8", np.int64(1)),
        (float, "f8", 1), (float, "f8", np.float64(1)), (bool, "?", 1), (bool, "?", np.bool_(True)),
        (np.float64, "f8", 1.0), (np.float64, "f8", np.float32(1)), (float, "f8", np.array(1.0)), (float, "f8", None),
    ],
)  # fmt: skip
def test_scalars_that_do_not_fit(mod, kind, dtype, value):
    executable, seen = recorder([type_(dtype)])
    assert is_miss(dispatcher(mod, (("scalar", kind, np.dtype(dtype)),), executable, (("const", "hit"),))(value))
    assert not seen


@pytest.mark.parametrize(
    "kind, dtype", [(float, "i8"), (complex, "f8"), (int, "?"), (float, "?"), (str, "f8"), (list, "i8")]
)
def test_conversions_that_lose_the_meaning_are_refused(mod, kind, dtype):
    executable, _ = recorder([type_(dtype)])
    with pytest.raises(TypeError):
        entry(mod, (("scalar", kind, np.dtype(dtype)),), executable, (("const", 0),))


def test_scalars_reach_compiled_code(mod):
    body = "*(double *)bufs[3] = *(double *)bufs[0] * *(int64_t *)bufs[1] + *(float *)bufs[2];"
    p = program(body, [type_("f8"), type_("i8"), type_("f4")], [type_("f8")])
    specs = (("scalar", float, np.dtype("f8")), ("scalar", int, np.dtype("i8")), ("scalar", np.float32, np.dtype("f4")))
    z = dispatcher(mod, specs, p)(2.5, 3, np.float32(0.25))
    assert type(z) is np.float64 and z == 7.75


# ---------------------------------------------------------------- statics
class Grumpy:
    def __eq__(self, other):
        raise RuntimeError("no")


NAN = float("nan")
ARRAY = np.arange(3)


@pytest.mark.parametrize(
    "value, given, same",
    [
        ("a", "a", True), ("a", "".join(["a"]), True), ("a", "b", False), (None, None, True), (None, 0, False),
        (1, 1, True), (1, True, False), (1, 1.0, False), (0.0, -0.0, False), (0.0, 0.0, True), (NAN, NAN, True),
        (0j, complex(0, -0.0), False), ((1, 2), (1, 2), True), ((1, 2), (1, 2.0), False), ((1, 2), [1, 2], False),
        ([0.0], [-0.0], False), ([1, [2]], [1, [2]], True), (Pair(1, 2), (1, 2), False), (Pair(1, 2), Pair(1, 2), True),
        (ARRAY, ARRAY, True), (ARRAY, ARRAY.copy(), False), ({"a": 1}, {"a": 1}, True),
        ({"a": 0.0}, {"a": -0.0}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, False), (np.dtype("f8"), np.dtype("f8"), True),
        (Grumpy(), Grumpy(), False),
        (slice(1, 2), slice(1, 2), True), (len, len, True), (10**30, 10**30, True),
    ],
)  # fmt: skip
def test_statics(mod, value, given, same):
    executable, _ = recorder([])
    result = dispatcher(mod, (("static", value),), executable, (("const", "hit"),))(given)
    assert result == "hit" if same else is_miss(result)


def test_an_interrupt_in_a_comparison_gets_through(mod):
    class Stop:
        def __eq__(self, other):
            raise KeyboardInterrupt

    executable, _ = recorder([])
    d = dispatcher(mod, (("static", Stop()),), executable, (("const", 0),))
    pytest.raises(KeyboardInterrupt, d, Stop())


def test_endless_statics_are_a_recursion_error_and_no_crash(mod):
    deep = other = ()
    for _ in range(200_000):
        deep, other = (deep,), (other,)
    executable, _ = recorder([])
    d = dispatcher(mod, (("static", deep),), executable, (("const", 0),))
    with pytest.raises(RecursionError):
        d(other)


# ---------------------------------------------------------------- containers
A3, B3, C3 = np.arange(3.0), np.arange(3.0) + 10, np.arange(3.0) + 20
SAMPLES = [
    (A3, B3),
    [A3, (B3, 1.5)],
    {"w": A3, "b": [B3, "text"]},
    {"b": A3, "w": B3},
    [],
    (),
    {},
    Pair(A3, 2),
    Point(A3, [B3, C3]),
    collections.OrderedDict(a=A3, b=B3),
    collections.deque([A3]),
    [A3, A3],
    ((((A3,),),),),
    None,
    "text",
    3,
    np.float32(1.5),
    True,
]


@pytest.mark.parametrize("i", range(len(SAMPLES)))
def test_a_signature_matches_what_it_was_made_of_and_nothing_else(mod, i):
    kwnames, specs, leaves = dispatch.signature((SAMPLES[i],), {})
    executable, seen = recorder([type_(np.asarray(x).dtype, *np.shape(x)) for x in leaves])
    d = dispatcher(mod, specs, executable, (("const", "hit"),), kwnames=kwnames)
    assert [isinstance(r, str) for r in map(d, SAMPLES)] == [j == i for j in range(len(SAMPLES))]
    for got, want in zip(seen[0], leaves, strict=True):
        np.testing.assert_array_equal(got, want)


def test_keywords(mod):
    args, kwargs = (A3,), {"scale": 2.0, "bias": B3}
    kwnames, specs, leaves = dispatch.signature(args, kwargs)
    assert kwnames == ("scale", "bias")
    executable, seen = recorder([type_("f8", 3), type_("f8"), type_("f8", 3)])
    d = dispatcher(mod, specs, executable, (("const", "hit"),), kwnames=kwnames)
    assert d(A3, scale=3.0, bias=B3) == "hit"
    assert [x.tolist() for x in seen[0]] == [[0, 1, 2], 3.0, [10, 11, 12]]
    for other in (
        {"bias": B3, "scale": 3.0},
        {"scale": 3.0},
        {"scale": 3.0, "bias": B3, "c": 1},
        {"scale": 3.0, "bia": B3},
    ):
        assert is_miss(d(A3, **other))
    name = "".join(["sca", "le"])  # equal and not the same object
    assert d(A3, **{name: 3.0, "bias": B3}) == "hit"


def test_arrays_given_twice(mod):
    (_, specs, leaves), (_, twice, once) = dispatch.signature((A3, B3), {}), dispatch.signature((A3, A3), {})
    assert len(leaves) == 2 and len(once) == 1 and twice[1] == ("same", 0)
    distinct = entry(mod, specs, recorder([type_("f8", 3)] * 2)[0], (("const", "distinct"),))
    same = entry(mod, twice, recorder([type_("f8", 3)])[0], (("const", "same"),))
    d = mod.Dispatcher(lambda *_: "slow")
    d.add(distinct)
    d.add(same)
    assert [d(A3, B3), d(A3, A3), d(B3, B3), d(A3, A3.copy())] == ["distinct", "same", "same", "distinct"]


@pytest.mark.parametrize("n", [31, 32, 33, 500])
def test_many_arrays(mod, n):
    """More than fit on the stack, and enough that finding doubles goes another way."""
    arrays = [np.full(2, float(i)) for i in range(n)]
    _, specs, _ = dispatch.signature((arrays,), {})
    body = f"double s = 0; for (int i = 0; i < {n}; i++) s += ((double *)bufs[i])[0]; *(double *)bufs[{n}] = s;"
    d = dispatcher(mod, specs, program(body, [type_("f8", 2)] * n, [type_("f8")]))
    assert d(arrays) == n * (n - 1) / 2
    for i, j in ((0, n - 1), (n - 1, 0), (5, 6)):
        double = list(arrays)
        double[i] = double[j]
        assert is_miss(d(double))


@pytest.mark.parametrize("depth", [50, 1000])
def test_deep_nesting(mod, depth):
    x = A3
    for _ in range(depth):
        x = [x]
    executable, _ = recorder([type_("f8", 3)])
    if depth > 100:
        spec = array("f8", 3)
        for _ in range(depth):
            spec = ("list", [spec])
        with pytest.raises(ValueError, match="nested"):
            entry(mod, (spec,), executable, (("const", 0),))
    else:
        assert dispatcher(mod, dispatch.signature((x,), {})[1], executable, (("const", "hit"),))(x) == "hit"


leaf = st.sampled_from([A3, B3, C3, np.arange(3), np.zeros((2, 2)), 1, 2, 2.5, True, 1j, "a", "b", None, np.float32(1)])
nest = st.recursive(
    leaf,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
        | st.builds(Point, inner, inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("mod", BOTH)
@pytest.mark.fuzz
@given(st.lists(nest, max_size=3), st.lists(nest, max_size=3))
def test_entries_match_as_signatures_are_equal(mod, first, second):
    _, specs, leaves = dispatch.signature(first, {})
    executable, seen = recorder([type_(np.asarray(x).dtype, *np.shape(x)) for x in leaves])
    made = entry(mod, specs, executable, (("const", "hit"),))
    assert made.run(tuple(first), {}) == "hit"
    for got, want in zip(seen[0], leaves, strict=True):
        np.testing.assert_array_equal(got, want)
    _, others, _ = dispatch.signature(second, {})
    assert (made.run(tuple(second), {}) is not mod.MISS) == (specs == others)


def test_static_by_position_and_name():
    _, specs, leaves = dispatch.signature((A3, 2, [1]), {"k": 1.0, "n": 5}, static={1, "n"})
    assert [s[0] for s in specs] == ["array", "static", "list", "scalar", "static"]
    assert len(leaves) == 3


class Duck:
    def __array__(self, dtype=None, copy=None):
        return np.zeros(3)


@pytest.mark.parametrize("x", [np.ma.array([1.0]), A3.view(Special), Duck()])
def test_what_holds_an_array_and_is_none_is_refused(x):
    with pytest.raises(UnsupportedError, match="np.asarray"):
        dispatch.signature((x,), {})


# ---------------------------------------------------------------- captures
class Holder:
    def __init__(self, w):
        self.w = w


COPY = "const double *x = bufs[0]; double *y = bufs[1]; for (int i = 0; i < 3; i++) y[i] = 2 * x[i];"


def doubled(**options):
    return program(COPY, [type_("f8", 3)], [type_("f8", 3)], **options)


def test_a_captured_array_is_read_at_each_call(mod):
    held = A3.copy()
    d = dispatcher(mod, (), doubled(), captures=(("array", held, np.dtype("f8"), (3,)),))
    assert d().tolist() == [0, 2, 4]
    held[1] = 7
    assert d().tolist() == [0, 14, 4]
    held.resize((4,), refcheck=False)
    assert is_miss(d())


@pytest.mark.parametrize("kind", ["attr", "item", "shared"])
def test_captures_by_name(mod, kind):
    place = {"w": A3} if kind == "item" else Holder(A3)
    put = place.__setitem__ if kind == "item" else functools.partial(setattr, place)
    remove = place.__delitem__ if kind == "item" else functools.partial(delattr, place)
    d = dispatcher(mod, (), doubled(), captures=((kind, place, "w", np.dtype("f8"), (3,)),))
    assert d().tolist() == [0, 2, 4]
    put("w", B3)
    assert d().tolist() == [20, 22, 24]
    for wrong in (np.zeros(4), np.zeros(3, "f4"), 1.0, None, A3.view(Special)):
        put("w", wrong)
        assert is_miss(d())
    remove("w")
    assert is_miss(d())


def test_captures_beside_arguments(mod):
    holder = Holder(B3)
    body = "for (int i = 0; i < 3; i++) ((double *)bufs[2])[i] = ((double *)bufs[0])[i] - ((double *)bufs[1])[i];"
    p = program(body, [type_("f8", 3)] * 2, [type_("f8", 3)])
    d = dispatcher(mod, (array("f8", 3),), p, captures=(("attr", holder, "w", np.dtype("f8"), (3,)),))
    assert d(A3).tolist() == [-10, -10, -10]
    holder.w = A3
    assert d(A3).tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", ["attr", "item"])
def test_numbers_at_places(mod, kind):
    place = {"k": 2} if kind == "item" else Holder(2)
    name = "k" if kind == "item" else "w"
    put = place.__setitem__ if kind == "item" else functools.partial(setattr, place)
    p = program("((int64_t *)bufs[2])[0] = ((int64_t *)bufs[0])[0] * ((int64_t *)bufs[1])[0];", [type_("i8")] * 2,
                [type_("i8")])
    d = dispatcher(mod, (("scalar", int, "i8"),), p, (("out", 0, "python"),),
                   captures=(("number", kind, place, name, int, np.dtype("i8")),))
    assert d(3) == 6
    put(name, -5)
    assert d(3) == -15 and type(d(3)) is int
    for wrong in (2.0, True, np.int64(2), 2**63, None, "2"):
        put(name, wrong)
        assert is_miss(d(3))
    put(name, 2**63 - 1)
    assert d(1) == 2**63 - 1
    place.clear() if kind == "item" else delattr(place, name)
    assert is_miss(d(3))


def test_numpy_numbers_at_places(mod):
    place = {"k": np.float32(2)}
    p = program("((float *)bufs[1])[0] = 2 * ((float *)bufs[0])[0];", [type_("f4")], [type_("f4")])
    captures = (("number", "item", place, "k", np.float32, np.dtype("f4")),)
    d = dispatcher(mod, (), p, (("out", 0, True),), captures=captures)
    assert d() == 4 and type(d()) is np.float32
    place["k"] = np.float64(2)
    assert is_miss(d())


# ---------------------------------------------------------------- writes
def test_an_argument_is_written_in_place(mod):
    d = dispatcher(mod, (array("f8", 3),), doubled(), (("const", None),), writes=((0, 0),))
    x = A3.copy()
    assert d(x) is None and x.tolist() == [0, 2, 4]
    wide = np.arange(6.0)
    assert d(wide[::2]) is None and wide.tolist() == [0, 1, 4, 3, 8, 5]
    swapped = A3.astype(">f8")
    assert d(swapped) is None and swapped.tolist() == [0, 2, 4]
    assert d.misses == 0


def test_a_written_argument_can_be_returned_too(mod):
    d = dispatcher(mod, (array("f8", 3),), doubled(), (("arg", 0), ("out", 0, False)), tree="tuple", writes=((0, 0),))
    x = A3.copy()
    same, out = d(x)
    assert same is x and out is not x
    assert x.tolist() == out.tolist() == [0, 2, 4]


def test_read_only_arguments(mod):
    p = doubled(errors=((IndexError, "never"),))
    d = dispatcher(mod, (array("f8", 3),), p, (("const", None),), writes=((0, 0),))
    x = A3.copy()
    x.flags.writeable = False
    with pytest.raises(ValueError, match="assignment destination is read-only"):
        d(x)
    assert x.tolist() == [0, 1, 2]


def test_nothing_is_written_after_an_error(mod):
    p = program(
        "((double *)bufs[1])[0] = 99; err[0] = 5; err[1] = -1; err[2] = 3; return 2;",
        [type_("f8", 3)],
        [type_("f8", 3)],
        errors=((KeyError, "other"), (IndexError, "index {0} is out of bounds for axis {1} with size {2}")),
    )
    holder = Holder(B3)
    d = dispatcher(mod, (array("f8", 3),), p, (("const", None),), writes=((0, 0),))
    x = A3.copy()
    with pytest.raises(IndexError, match="^index 5 is out of bounds for axis -1 with size 3$"):
        d(x)
    assert x.tolist() == [0, 1, 2]
    d = dispatcher(
        mod, (), p, (("const", None),), captures=(("attr", holder, "w", np.dtype("f8"), (3,)),), writes=((0, 0),)
    )
    pytest.raises(IndexError, d)
    assert holder.w is B3


def test_a_shared_attribute_takes_the_new_array(mod):
    holder = Holder(A3)
    d = dispatcher(
        mod,
        (),
        doubled(),
        (("const", None),),
        captures=(("shared", holder, "w", np.dtype("f8"), (3,)),),
        writes=((0, 0),),
    )
    d()
    assert holder.w is not A3 and holder.w.tolist() == [0, 2, 4] and A3.tolist() == [0, 1, 2]
    d()
    assert holder.w.tolist() == [0, 4, 8]


def test_a_captured_array_is_written_in_place(mod):
    held = A3.copy()
    d = dispatcher(
        mod, (), doubled(), (("const", None),), captures=(("array", held, np.dtype("f8"), (3,)),), writes=((0, 0),)
    )
    d()
    assert held.tolist() == [0, 2, 4]


@pytest.mark.parametrize("kind", ["attr", "item"])
def test_the_array_at_a_place_is_written_in_place(mod, kind):
    holder = Holder(A3.copy()) if kind == "attr" else {"w": A3.copy()}
    put = functools.partial(setattr, holder) if kind == "attr" else holder.__setitem__
    captures = ((kind, holder, "w", np.dtype("f8"), (3,)),)
    d = dispatcher(mod, (array("f8", 3),), program(
        "for (int i = 0; i < 3; i++) ((double *)bufs[2])[i] = ((double *)bufs[0])[i] + ((double *)bufs[1])[i];",
        [type_("f8", 3)] * 2, [type_("f8", 3)]), (("const", None),), captures=captures, writes=((0, 1),))
    for held in (A3.copy(), np.zeros(6)[::2]):
        put("w", held)
        assert d(B3) is None and (held[:3] >= B3).all() and d.misses == 0
    assert is_miss(d(held))  # the same memory twice
    held.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        d(B3)


def test_a_setter_that_fails(mod):
    class Frozen:
        w = property(lambda self: A3)

    d = dispatcher(
        mod,
        (),
        doubled(),
        (("const", None),),
        captures=(("shared", Frozen(), "w", np.dtype("f8"), (3,)),),
        writes=((0, 0),),
    )
    pytest.raises(AttributeError, d)


def test_a_target_that_shares_memory_is_left_to_slow(mod):
    body = "for (int i = 0; i < 3; i++) ((double *)bufs[2])[i] = ((double *)bufs[0])[i] + ((double *)bufs[1])[i];"
    p = program(body, [type_("f8", 3)] * 2, [type_("f8", 3)])
    d = dispatcher(mod, (array("f8", 3), array("f8", 3)), p, (("const", None),), writes=((0, 0),))
    memory = np.arange(6.0)
    assert is_miss(d(memory[:3], memory[2:5])) and is_miss(d(memory[2:5], memory[:3]))
    assert is_miss(d(memory[:3], memory[:3][::-1]))
    assert d(memory[:3], memory[3:]) is None
    assert memory.tolist() == [3, 5, 7, 3, 4, 5]


# ---------------------------------------------------------------- results
def test_scalars_come_back_as_numpy_returns_them(mod):
    for dtype, c in (("f8", "double"), ("f4", "float"), ("i8", "int64_t"), ("?", "unsigned char"), ("c16", "double")):
        p = program(
            f"(({c} *)bufs[0])[0] = 1;" + ("((double *)bufs[0])[1] = 2;" if dtype == "c16" else ""), [], [type_(dtype)]
        )
        scalar = dispatcher(mod, (), p)()
        assert type(scalar) is np.dtype(dtype).type and scalar == (1 + 2j if dtype == "c16" else 1)
        zero_d = dispatcher(mod, (), p, (("out", 0, False),))()
        assert type(zero_d) is np.ndarray and zero_d.shape == () and zero_d == scalar
        both = dispatcher(mod, (), p, (("out", 0, True), ("out", 0, False), ("out", 0, False)), tree="list")()
        assert type(both[0]) is not np.ndarray and both[1] is both[2]


def test_results_of_many_parts(mod):
    body = "*(double *)bufs[1] = 1; ((double *)bufs[2])[0] = 2; ((double *)bufs[2])[1] = 3;"
    p = program(body, [type_("f8", 3)], [type_("f8"), type_("f8", 2)])
    outputs = (("out", 1, True), ("const", "c"), ("arg", 0), ("out", 0, True))
    specs = (array("f8", 3),)
    r = dispatcher(mod, specs, p, outputs, tree="tuple")(A3)
    assert type(r) is tuple and r[0].tolist() == [2, 3] and r[1] == "c" and r[2] is A3 and r[3] == 1
    assert type(dispatcher(mod, specs, p, outputs, tree="list")(A3)) is list
    built = dispatcher(mod, specs, p, outputs, tree=lambda leaves: {"all": leaves})(A3)
    assert list(built) == ["all"] and type(built["all"]) is list
    assert dispatcher(mod, specs, p, (), tree="tuple")(A3) == ()
    with pytest.raises(ZeroDivisionError):
        dispatcher(mod, specs, p, outputs, tree=lambda leaves: 1 / 0)(A3)


def test_outputs_that_nobody_wants_need_no_array(mod):
    body = "((double *)bufs[0])[0] = 1; ((double *)bufs[1])[99999] = 2; ((char *)bufs[2])[64] = 3;"
    p = program(body, [], [type_("f8", 4), type_("f8", 100_000)], arena_bytes=65)
    assert dispatcher(mod, (), p, (("const", "done"),))() == "done"


def test_views_of_arguments(mod):
    p, _ = recorder([type_("f8", 2, 3)])
    row = ("view", 0, np.dtype("f8"), (3,), (8,), 24)
    backward = ("view", 0, np.dtype("f8"), (2,), (-24,), 32)
    nothing = ("view", 0, np.dtype("f8"), (0, 5), (0, 0), 48)
    d = dispatcher(mod, (array("f8", 2, 3),), p, (row, backward, nothing), tree="tuple")
    x = np.arange(6.0).reshape(2, 3)
    a, b, c = d(x)
    assert a.tolist() == [3, 4, 5] and b.tolist() == [4, 1] and c.shape == (0, 5)
    assert np.shares_memory(a, x) and np.shares_memory(b, x)
    a[0] = 50
    assert x[1, 0] == 50
    assert a.flags.c_contiguous and not a.flags.owndata and not b.flags.c_contiguous
    x.flags.writeable = False
    assert not d(x)[0].flags.writeable
    keep = d(np.ones((2, 3)))[0]
    gc.collect()
    assert keep.tolist() == [1, 1, 1]
    assert is_miss(d(np.ones((3, 2)).T))  # strides hold for plain arrays only


def test_the_parts_of_a_complex_array_are_views(mod):
    p, _ = recorder([type_("c16", 3)])
    d = dispatcher(mod, (array("c16", 3),), p, (("view", 0, np.dtype("f8"), (3,), (16,), 8),))
    z = np.arange(3) * (1 + 2j)
    assert d(z).tolist() == [0, 2, 4] and np.shares_memory(d(z), z)


# ---------------------------------------------------------------- errors
def test_an_error_without_a_name(mod):
    for code in (-1, 1, 3, 2**40):
        p = program(f"return {code}LL;", [], [type_("f8")])
        with pytest.raises(SystemError, match=str(code)):
            dispatcher(mod, (), p)()


def test_an_error_is_a_miss_where_the_function_has_handlers(mod):
    raises = program("return 1;", [], [type_("f8")], errors=((KeyError, "text"),))
    interpreted = program("", [], [type_("f8")], errors=((KeyError, "text"),))
    interpreted.address, interpreted.call = 0, lambda inputs, outputs: (1, None)
    failing = program("", [], [type_("f8")])
    failing.address, failing.call = 0, lambda inputs, outputs: outputs[9]
    for p in (raises, interpreted, failing):
        d = mod.Dispatcher(lambda args, kwargs: ("slow", args, kwargs))
        d.add(mod.Entry((), (), p, (("out", 0, True),), None, (), config.key(), handled=True))
        assert is_miss(d())


def test_backends_without_an_address(mod):
    def call(inputs, outputs):
        outputs[0][...] = inputs[0] * inputs[1]
        return (0, None) if inputs[1] < 5 else (1, np.array([7, 8, 9, 10]))

    p = Program(0, (type_("f8", 3), type_("i8")), (type_("f8", 3),), call=call, errors=((IndexError, "{0} {3}"),))
    specs = (array("f8", 3), ("scalar", int, np.dtype("i8")))
    d = dispatcher(mod, specs, p)
    assert d(A3, 3).tolist() == [0, 3, 6]
    assert d(np.arange(6.0)[::2], 2).tolist() == [0, 4, 8]
    with pytest.raises(IndexError, match="^7 10$"):
        d(A3, 5)
    x = A3.copy()
    d = dispatcher(mod, specs, p, (("const", None),), writes=((0, 0),))
    d(x, 3)
    assert x.tolist() == [0, 3, 6]
    d = dispatcher(mod, specs, Program(0, p.in_types, p.out_types, call=lambda i, o: 1 / 0))
    pytest.raises(ZeroDivisionError, d, A3, 1)


# ---------------------------------------------------------------- wrong descriptions
F8 = np.dtype("f8")
ONE = (array("f8", 3),)


@pytest.mark.parametrize(
    "change",
    [
        dict(signature=(array("f8", 4),)),
        dict(signature=(array("f4", 3),)),
        dict(signature=(array("f8", 3), array("f8", 3))),
        dict(signature=()),
        dict(signature=(("array", F8, (-3,)),)),
        dict(signature=(("array", np.dtype("O"), (3,)),)),
        dict(signature=(("array", np.dtype("M8[s]"), (3,)),)),
        dict(signature=(("array", F8),)),
        dict(signature=(("nothing", 1),)),
        dict(signature=("array",)),
        dict(signature=(3,)),
        dict(signature=((),)),
        dict(signature=(("dict", ("a",), [array("f8", 3), ("static", 1)]),)),
        dict(signature=(("same", 0), array("f8", 3))),
        dict(signature=(array("f8", 3), ("same", 1))),
        dict(signature=(array("f8", 3), ("same", -1))),
        dict(signature=(("list", 3),)),
        dict(signature=(("scalar", 3, F8),)),
        dict(kwnames=("a", "b")),
        dict(outputs=(("out", 1, True),)),
        dict(outputs=(("out", -1, True),)),
        dict(outputs=(("arg", 1),)),
        dict(outputs=(("arg",),)),
        dict(outputs=("out",)),
        dict(outputs=()),
        dict(outputs=(("const", 1), ("const", 2))),
        dict(outputs=(("view", 0, F8, (3,), (8,), 8),)),
        dict(outputs=(("view", 0, F8, (3,), (-8,), 0),)),
        dict(outputs=(("view", 0, F8, (3,), (8, 8), 0),)),
        dict(outputs=(("view", 0, F8, (0,), (8,), 25),)),
        dict(outputs=(("view", 0, F8, (2**62, 2**62), (8, 8), 0),)),
        dict(writes=((1, 0),)),
        dict(writes=((0, 1),)),
        dict(writes=((0,),)),
        dict(writes=((-1, 0),)),
        dict(writes=(3,)),
        dict(tree=3),
        dict(tree="set"),
        dict(captures=(("attr", 1, "w", F8, (3,)),)),
        dict(captures=(("attr", 1, 2, F8, (3,)),)),
        dict(captures=(("array", 1),)),
        dict(captures=(("number", "attr", 1, "w", 3, F8),)),
        dict(captures=(("number", "array", 1, "w", float, F8),)),
        dict(captures=(("number", "attr", 1, "w", float),)),
        dict(captures=(3,)),
        dict(executable=None),
        dict(executable=Program(0, (type_("f8", 3),), (type_("f8", 3),))),
        dict(executable=Program(1, (type_("f8", 3),), (type_("f8", 3),), arena_bytes=-1)),
        dict(executable=Program(1, (type_("f8", 3),), (type_("f8", 3),), errors=((IndexError, 3),))),
        dict(executable=Program(1, (type_("f8", 3),), (type_("f8", 3),), errors=(IndexError,))),
    ],
    ids=str,
)
def test_wrong_descriptions_are_refused(mod, change):
    whole = dict(
        signature=ONE, captures=(), executable=Program(1, (type_("f8", 3),), (type_("f8", 3),)),
        outputs=(("out", 0, True),),
        tree=None, writes=(), config_key=None,
    )  # fmt: skip
    mod.Entry(**whole)
    with pytest.raises((ValueError, TypeError, AttributeError)):
        mod.Entry(**whole | change)


junk = st.recursive(
    st.sampled_from(
        ["array", "scalar", "static", "same", "tuple", "list", "dict", "tree", "out", "view", "arg", "const"]
    )
    | st.sampled_from(
        [None, 0, 1, -1, 2**70, 1.5, "x", F8, float, int, np.float32, np.arange(3), (), (3,), (2**40,) * 3]
    ),
    lambda inner: st.lists(inner, max_size=5).map(tuple) | st.lists(inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.fuzz
@given(junk, junk, junk, junk, junk)
def test_junk_is_refused_without_a_crash(signature, captures, outputs, tree, writes):
    mod = dispatch.chosen
    executable, _ = recorder([type_("f8", 3)], [type_("f8", 3)])
    try:
        made = mod.Entry((array("f8", 3), signature), captures, executable, outputs, tree, writes, None)
        made.run((A3.copy(), signature), {})
    except Exception as error:
        assert not isinstance(error, SystemError)


def test_dispatchers_check_what_they_get(mod):
    pytest.raises(TypeError, mod.Dispatcher, 3)
    pytest.raises(TypeError, mod.Dispatcher)
    d = mod.Dispatcher(lambda args, kwargs: None)
    pytest.raises(TypeError, d.add, 3)
    bare = mod.Dispatcher.__new__(mod.Dispatcher)
    pytest.raises((RuntimeError, AttributeError), bare, 1)
    made = entry(mod, ONE, doubled())
    assert made.run((A3, A3), {}) is mod.MISS and made.run((), {"a": A3}) is mod.MISS


# ---------------------------------------------------------------- the flags
def test_entries_hold_for_the_flags_they_were_compiled_under(mod):
    d = dispatcher(mod, ONE, doubled())
    assert d(A3).tolist() == [0, 2, 4]
    with config.context(threads=3):
        assert is_miss(d(A3))
        d.add(entry(mod, ONE, doubled(), (("const", "three"),)))
        assert d(A3) == "three"
        with config.context(profile=False):  # the same flags: the same key
            assert d(A3) == "three"
    assert d(A3).tolist() == [0, 2, 4]
    threads = config.threads
    config.threads = 5
    assert is_miss(d(A3))
    config.threads = threads
    assert d(A3).tolist() == [0, 2, 4]


def test_a_context_holds_in_its_thread_only(mod):
    d = dispatcher(mod, ONE, doubled())
    seen = []
    with config.context(threads=3):
        thread = threading.Thread(target=lambda: seen.append(d(A3)))
        thread.start()
        thread.join()
        assert is_miss(d(A3))
    assert seen[0].tolist() == [0, 2, 4]


def test_current_key(mod):
    assert mod.current_key() is config.key()
    with config.context(threads=3):
        assert mod.current_key() is config.key()


# ---------------------------------------------------------------- as a Python object
def test_as_a_method(mod):
    class Model:
        f = dispatcher(mod, (("static", None), array("f8", 3)), doubled())

    m = Model()
    assert Model.f is Model.__dict__["f"]
    assert is_miss(m.f(A3)) and m.f(A3)[1][0] is m
    Model.f.add(entry(mod, (("static", m), array("f8", 3)), doubled()))
    assert m.f(A3).tolist() == [0, 2, 4] and Model.f(m, A3).tolist() == [0, 2, 4]
    bound = m.f
    assert bound(A3).tolist() == [0, 2, 4]


def test_subclasses_and_attributes(mod):
    class Jitted(mod.Dispatcher):
        def __init__(self, fun):
            super().__init__(self.miss)
            functools.update_wrapper(self, fun)

        def miss(self, args, kwargs):
            return "missed"

    def f(x):
        """Double."""

    j = Jitted(f)
    assert j.__name__ == "f" and j.__doc__ == "Double." and j.__wrapped__ is f
    assert j(1) == "missed" and j.misses == 1
    j.add(entry(mod, ONE, doubled()))
    assert j(A3).tolist() == [0, 2, 4] and j(*[A3], **{}).tolist() == [0, 2, 4]
    assert weakref.ref(j)() is j


def test_cycles_are_collected(mod):
    class Thing:
        pass

    def make():
        thing = Thing()
        thing.d = mod.Dispatcher(lambda args, kwargs: thing)
        thing.d.add(entry(mod, (("static", thing),), recorder([])[0], (("const", thing),)))
        assert thing.d(thing) is thing
        return weakref.ref(thing)

    gone = make()
    gc.collect()
    assert gone() is None


def test_entries_are_bounded_and_the_newest_comes_first(mod):
    d = mod.Dispatcher(lambda args, kwargs: "slow")
    p, _ = recorder([])
    for i in range(100):
        d.add(entry(mod, (("static", i),), p, (("const", i),)))
    assert len(d.entries) == mod.MAX_ENTRIES == 64
    assert [d(i) for i in (99, 36, 35)] == [99, 36, "slow"]
    d.add(entry(mod, (("static", 99),), p, (("const", "new"),)))
    assert d(99) == "new"
    d.clear()
    assert d.entries == () and d(99) == "slow"


# ---------------------------------------------------------------- references, re-entrancy, threads
def test_no_reference_is_lost_or_kept(mod):
    fails = program("return 1;", [type_("f8", 3)], [type_("f8", 3)], errors=((IndexError, "x"),))
    held, sentinel = Holder(B3.copy()), object()
    x, strided = A3.copy(), np.arange(6.0)[::2]
    nested = [x, {"k": 1.5}]
    _, specs, _ = dispatch.signature((nested,), {})
    add = program("", [type_("f8", 3), type_("f8")], [type_("f8", 3)])
    calls = [
        (dispatcher(mod, ONE, doubled()), (x,)),
        (dispatcher(mod, ONE, doubled()), (strided,)),
        (dispatcher(mod, ONE, doubled(), (("arg", 0), ("const", sentinel)), tree="list", writes=((0, 0),)), (x,)),
        (dispatcher(mod, ONE, doubled(), (("view", 0, F8, (1,), (8,), 0),)), (x,)),
        (dispatcher(mod, ONE, fails), (x,)),
        (dispatcher(mod, ONE, doubled()), (sentinel,)),
        (dispatcher(mod, specs, add, (("const", sentinel),)), (nested,)),
        (dispatcher(mod, (), doubled(), captures=(("attr", held, "w", F8, (3,)),)), ()),
        (dispatcher(mod, (("static", (sentinel, [x])),), recorder([])[0], (("const", x),)), ((sentinel, [x]),)),
    ]
    watched = [x, strided, sentinel, held.w, nested, F8, np.dtype("f4")]

    def rounds(n):
        for _ in range(n):
            for d, args in calls:
                try:
                    d(*args)
                except IndexError:
                    pass

    rounds(3)
    gc.collect()
    before = [sys.getrefcount(o) for o in watched]
    rounds(50)
    gc.collect()
    assert [sys.getrefcount(o) for o in watched] == before


def test_a_dispatcher_calls_itself(mod):
    """From where Python code may run: the result's builder, a comparison, a getter, the slow path."""
    inner = dispatcher(mod, ONE, program("char *a = bufs[2]; for (int i = 0; i < 1000; i++) a[i] = 1; " + COPY,
                                         [type_("f8", 3)], [type_("f8", 3)], arena_bytes=1000))  # fmt: skip

    class Busy:
        def __eq__(self, other):
            d.clear()
            d.add(made)
            return inner(A3).tolist() == [0, 2, 4]

        @property
        def w(self):
            return inner(A3)

    made = entry(
        mod, (("static", Busy()),), doubled(), tree=lambda leaves: (leaves, inner(A3)),
        captures=(("attr", Busy(), "w", F8, (3,)),),
    )  # fmt: skip
    d = mod.Dispatcher(lambda args, kwargs: d(Busy()))
    d.add(made)
    for call in (lambda: d(Busy()), lambda: d()):
        (first,), second = call()
        assert first.tolist() == [0, 4, 8] and second.tolist() == [0, 2, 4]


def test_a_list_that_shrinks_while_it_is_matched(mod):
    class Thief:
        def __init__(self, victim):
            self.victim = victim

        def __eq__(self, other):
            del self.victim[1:]
            return True

    items = []
    thief = Thief(items)
    items += [thief, np.arange(3.0)]
    specs = (("list", [("static", Thief([])), array("f8", 3)]),)
    d = dispatcher(mod, specs, doubled())
    result = d(items)
    assert is_miss(result) or result.tolist() == [0, 2, 4]


def test_many_threads(mod):
    body = """
      const double *x = bufs[0]; double *y = bufs[1], *a = bufs[2];
      for (int r = 0; r < 20; r++) {
        for (int i = 0; i < 1000; i++) a[i] = x[i] + r;
        for (int i = 0; i < 1000; i++) y[i] = 2 * (a[i] - r);
      }"""
    t = type_("f8", 1000)
    d = dispatcher(mod, (array("f8", 1000),), program(body, [t], [t], arena_bytes=8000, long=True))
    wrong = []

    def work(seed):
        x = np.random.default_rng(seed).normal(size=1000)
        for i in range(200):
            if i % 50 == seed:
                d.add(d.entries[-1])
            if not np.allclose(d(x), 2 * x):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong and d.misses == 0


@pytest.mark.parametrize("long", [False, True])
def test_the_gil_is_released_where_it_pays(mod, long):
    """Compiled code waits for a flag that another thread sets: it comes while the call runs, or never."""
    flag = ctypes.c_int64(0)
    body = f"""
      volatile int64_t *flag = (volatile int64_t *){ctypes.addressof(flag)}LL;
      *flag = 1;
      for (int64_t i = 0; i < {3_000_000_000 if long else 3_000_000}LL && *flag == 1; i++) ;
      *(int64_t *)bufs[0] = *flag;"""
    d = dispatcher(mod, (), program(body, [], [type_("i8")], long=long))

    def answer():
        while flag.value != 1:
            pass
        flag.value = 2

    thread = threading.Thread(target=answer)
    thread.start()
    result = d()
    flag.value = 1
    thread.join()
    if long:
        assert result == 2


def test_large_scratch(mod):
    """Beyond what a thread keeps, scratch is the call's own."""
    p = program("((char *)bufs[1])[70000000] = 1; *(double *)bufs[0] = 1;", [], [type_("f8")], arena_bytes=70_000_001)
    d = dispatcher(mod, (), p)
    assert d() == d() == 1.0
    p = program("*(int64_t *)bufs[0] = (int64_t)bufs[1] % 64;", [], [type_("i8")], arena_bytes=100)
    assert dispatcher(mod, (), p)() == 0


def test_what_cannot_be_allocated_is_a_memory_error(mod):
    t = type_("f8", 2**45)
    with pytest.raises(MemoryError):
        dispatcher(mod, (), Program(1, (), (t,)))()
    with pytest.raises((MemoryError, ValueError, OverflowError)):
        dispatcher(mod, (), Program(1, (), (type_("f8", 2**40, 2**40),)))()
    with pytest.raises(MemoryError):
        dispatcher(mod, (), Program(1, (), (type_("f8"),), arena_bytes=2**50))()


# ---------------------------------------------------------------- what the trace read outside of the arguments
def test_reads_of_numbers_and_objects(mod):
    world, thing, cells = {"n": 2, "f": len}, SimpleNamespace(k=1.5), [1, 2]
    reads = (("item", world, "n", 2), ("item", world, "f", len), ("attr", thing, "k", 1.5), ("item", cells, 1, 2),
             ("size", cells, None, 2))
    d = mod.Dispatcher(lambda args, kwargs: "slow")
    d.add(mod.Entry((array("f8", 10), array("f8", 10)), (), added(10), (("out", 0, True),), None, (),
                    dispatch.current_key(), (), reads))
    assert d.entries[0].reads == reads

    def hits():
        return not isinstance(d(X, Y), str)
    assert hits()
    changes = [(lambda: world.update(n=3), lambda: world.update(n=1 + 1)),
               (lambda: world.pop("n"), lambda: world.update(n=2)),
               (lambda: world.update(n=2.0), lambda: world.update(n=2)),
               (lambda: world.update(f=abs), lambda: world.update(f=len)),
               (lambda: setattr(thing, "k", -1.5), lambda: setattr(thing, "k", 3 / 2)),
               (lambda: delattr(thing, "k"), lambda: setattr(thing, "k", 1.5)),
               (lambda: cells.append(3), lambda: cells.pop()), (lambda: cells.pop(), lambda: cells.append(2)),
               (lambda: cells.__setitem__(1, True), lambda: cells.__setitem__(1, 2))]
    for change, undo in changes:
        change()
        assert not hits()
        undo()
        assert hits()


def test_reads_make_no_defaults(mod):
    world = collections.defaultdict(int, n=1)
    d = mod.Dispatcher(lambda args, kwargs: "slow")
    d.add(mod.Entry((array("f8", 10), array("f8", 10)), (), added(10), (("out", 0, True),), None, (),
                    dispatch.current_key(), (), (("item", world, "n", 1),)))
    del world["n"]
    assert d(X, Y) == "slow" and "n" not in world


@pytest.mark.parametrize("bad", [("item", {}, "n"), ("cell", 1, None, 2), ("attr", object(), 3, 1), "item", None])
def test_bad_reads_are_refused(mod, bad):
    with pytest.raises((ValueError, TypeError)):
        mod.Entry((array("f8", 10), array("f8", 10)), (), added(10), (("out", 0, True),), None, (),
                  dispatch.current_key(), (), (bad,))


def test_arrays_whose_layout_matters(mod):
    d = dispatcher(mod, ((*array("f8", 10), "C"), array("f8", 10)), added(10))
    wide = np.arange(20.0)
    assert not is_miss(d(X, wide[::2])) and is_miss(d(wide[::2], X)) and is_miss(d(X.astype(">f8"), Y))
    assert not is_miss(d(X, X.copy()))


def test_results_as_python_numbers(mod):
    one, _ = recorder((type_("f8"),), (type_("f8"), type_("i8"), type_("f8", 2)))
    d = dispatcher(mod, (("scalar", float, np.dtype(float)),), one,
                   (("out", 0, "python"), ("out", 1, "python"), ("out", 1, True), ("out", 2, "python")), tree="tuple")
    a, b, c, e = d(1.0)
    assert type(a) is float and type(b) is int and type(c) is np.int64 and type(e) is np.ndarray


# ---------------------------------------------------------------- Fortran order
def test_arrays_in_fortran_order_are_read_as_they_lie(mod):
    n, m = 64, 48
    executable, seen = recorder([type_("f8", m, n)], [type_("f8", m, n), type_("f8", m, n)])
    plain, calls = recorder([type_("f8", n, m)], [type_("f8", n, m)])
    d = mod.Dispatcher(lambda args, kwargs: ("slow", args, kwargs))
    d.add(entry(mod, (("array", np.dtype("f8"), (n, m), "F"),), executable, (("out", 0, "F"), ("arg", 0)),
                tree="tuple", writes=((1, 0),)))
    x = np.asfortranarray(np.arange(n * m, dtype=float).reshape(n, m))
    before = x.copy()
    result, same = d(x)
    np.testing.assert_array_equal(seen[0][0], before.T)
    assert result.shape == (n, m) and result.flags.f_contiguous and same is x
    assert is_miss(d(np.ascontiguousarray(before)))
    assert is_miss(d(np.zeros((n, m), order="F")[::-1]))
    d.add(entry(mod, (array("f8", n, m),), plain))
    d(x)
    assert not calls  # the entry that copies leaves it to the other
    d(x[::-1])
    d(np.ascontiguousarray(before))
    np.testing.assert_array_equal(calls[1][0], before)


def test_strided_arrays_are_read_as_they_lie(mod):
    n, m = 150, 120
    span = (n - 1) * 2 * (m + 3) + (m - 1) + 1
    executable, seen = recorder([type_("f8", span)], [type_("f8", n, m)])
    plain, calls = recorder([type_("f8", n, m)], [type_("f8", n, m)])
    d = mod.Dispatcher(lambda args, kwargs: ("slow", args, kwargs))
    spec = ("array", np.dtype("f8"), (n, m), (2 * (m + 3), 1))
    d.add(entry(mod, (spec,), executable, (("arg", 0), ("view", 0, "f8", (2, m), (16 * (m + 3), 8), 16 * (m + 3))),
                tree="tuple", writes=((0, 0),)))
    wide = np.arange(2 * n * (m + 3), dtype=float).reshape(2 * n, m + 3)
    whole = wide.copy()
    x = wide[::2, 1:-2]
    assert dispatch.signature((x,), {})[1] == (spec,)
    same, view = d(x)
    np.testing.assert_array_equal(seen[0][0], whole.ravel()[1 : 1 + span])
    assert same is x and view.shape == (2, m) and np.shares_memory(view, x)
    np.testing.assert_array_equal(view, x[1:3])
    whole[::2, 1:-2] = x  # what the program wrote, and nothing between
    np.testing.assert_array_equal(wide, whole)
    assert is_miss(d(x.copy())) and is_miss(d(wide[1::2, 1:-2][::-1])) and is_miss(d(wide[:n, 1:-2]))
    d.add(entry(mod, (array("f8", n, m),), plain))
    d(x)
    assert not calls and is_miss(d(wide[:n, 1:-2]))  # the entry that copies leaves them to others
    for copied in (x[::-1], x.copy()):
        d(copied)
        np.testing.assert_array_equal(calls.pop()[0], copied)


@pytest.mark.parametrize("order", [(1,), (1, -1), (1, 2, 3), "K", 7])
def test_wrong_orders_are_refused(mod, order):
    executable, _ = recorder([type_("f8", 6)])
    with pytest.raises((ValueError, TypeError)):
        entry(mod, (("array", np.dtype("f8"), (2, 3), order),), executable, (("const", 1),))


def test_small_arrays_in_fortran_order_are_copied(mod):
    executable, seen = recorder([type_("f8", 2, 3)], [type_("f8", 2, 3)])
    d = dispatcher(mod, (array("f8", 2, 3),), executable)
    x = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    d(x)
    np.testing.assert_array_equal(seen[0][0], x)
    assert dispatch.signature((x,), {})[1] == (array("f8", 2, 3),)
