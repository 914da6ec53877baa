"""Calls of NumPy functions, and the comparison of what tracing gives with what NumPy gives.

A sample is `call(*args, **kwargs)`: arrays among the arguments (also inside lists) are traced, everything else is
passed as it is. NumPy's own answer, error included, is the expectation.
"""

import ctypes
import warnings

import numpy as np
import pytest

from tracejit import tree
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.types import Type
from tracejit.trace.guards import Undecided
from tracejit.trace.staging import Leaf, stage


class Number:
    """A Python number that is traced: it takes the dtype of the array beside it."""

    def __init__(self, value):
        self.value = value


class call:
    """One call: positional and keyword arguments; `close` loosens the comparison to a relative error."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs
        self.rtol = None

    def close(self, rtol):
        self.rtol = rtol
        return self

    def __repr__(self):
        parts = [_short(a) for a in self.args] + [f"{k}={_short(v)}" for k, v in self.kwargs.items()]
        return f"({', '.join(parts)})"


def _short(x):
    if isinstance(x, np.ndarray):
        order = "" if x.flags.c_contiguous else "F" if x.flags.f_contiguous else "s"
        return f"{x.dtype.char}{list(x.shape)}{order}"
    if isinstance(x, (list, tuple)):
        return f"[{', '.join(map(_short, x))}]"
    return f"~{x.value}" if isinstance(x, Number) else getattr(x, "__name__", None) or repr(x)


def _is_leaf(x):
    return isinstance(x, (np.ndarray, Number))


def clone(x):
    """Return a copy of an array with the same strides."""
    low, high = np.lib.array_utils.byte_bounds(x)
    memory = np.zeros(max(high - low, 1), np.uint8)
    offset = x.__array_interface__["data"][0] - low
    out = np.ndarray(x.shape, x.dtype, memory.data, offset, x.strides) if x.size else np.empty_like(x)
    out[...] = x
    return out


def numpy_answer(function, sample):
    """Return (result or exception, arrays after the call)."""
    leaves, structure = tree.flatten((sample.args, sample.kwargs), is_leaf=_is_leaf)
    leaves = [clone(v) if isinstance(v, np.ndarray) else v.value if isinstance(v, Number) else v for v in leaves]
    args, kwargs = tree.unflatten(structure, leaves)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            result = error
    return result, [v for v in leaves if isinstance(v, np.ndarray)]


def traced_answer(function, sample):
    """Return (result or exception, arrays after the call) through the graph and its interpreter."""
    leaves, structure = tree.flatten((sample.args, sample.kwargs), is_leaf=_is_leaf)
    arrays = [clone(v) if isinstance(v, np.ndarray) else np.asarray(v.value) for v in leaves if _is_leaf(v)]
    markers = iter(arrays)
    marked = []
    for v in leaves:
        if not _is_leaf(v):
            marked.append(v)
            continue
        array = next(markers)
        strides = None if array.flags.c_contiguous else array.strides
        marked.append(Leaf(Type(array.dtype, array.shape), weak=isinstance(v, Number), strides=strides))
    args, kwargs = tree.unflatten(structure, marked)
    real = [a for a, v in zip(arrays, (v for v in leaves if _is_leaf(v))) if isinstance(v, np.ndarray)]
    try:
        traced = stage(function, args, kwargs, values=arrays)
        assert not traced.captures, f"the trace captured {traced.captures}"
        assert traced.graph.check()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outs = evaluate(traced.graph, *[np.ascontiguousarray(a).reshape(a.shape) for a in arrays])
    except AssertionError:
        raise
    except Undecided as error:  # the call is left to NumPy
        return error.__cause__, real
    except Exception as error:
        return error, real
    for param, k in traced.graph.writes:
        arrays[param][...] = outs[k]
    return rebuild(traced, outs, arrays), real


def rebuild(traced, outs, arrays):
    """Return the function's result from the graph's outputs."""
    leaves = []
    for kind, k, *rest in traced.outputs:
        if kind == "out":
            leaves.append(outs[k].T if rest[0] == "F" else outs[k][()] if rest[0] else outs[k])
        elif kind == "arg":
            leaves.append(arrays[k])
        elif kind == "view":
            leaves.append(view_of(arrays[k], *rest))
        else:
            leaves.append(k)
    return tree.unflatten(traced.out_tree, leaves)


def view_of(base, offset, shape, strides, dtype):
    """Return the view that starts `offset` bytes from the first element of `base`."""
    low, high = np.lib.array_utils.byte_bounds(base)
    if not base.size:
        return np.empty(shape, dtype)
    memory = (ctypes.c_char * (high - low)).from_address(low)  # the caller keeps `base`
    return np.ndarray(shape, dtype, memory, base.__array_interface__["data"][0] - low + offset, strides)


TOLERANCE = {"f": 5e-6, "F": 5e-6, "e": 2e-3, "d": 1e-12, "D": 1e-12}


def same(got, want, rtol=None, where="result"):
    """Assert that two results agree in structure, form, dtype, shape and value."""
    if isinstance(want, (tuple, list)) and not isinstance(want, np.ndarray):
        assert type(got) is type(want) and len(got) == len(want), f"{where}: {got!r} is not {want!r}"
        for i, (g, w) in enumerate(zip(got, want)):
            same(g, w, rtol, f"{where}[{i}]")
        return
    if hasattr(want, "tocsr"):
        assert type(got) is type(want), f"{where}: {type(got)} is not {type(want)}"
        assert got.dtype == want.dtype, f"{where}: dtype {got.dtype} is not {want.dtype}"
        got, want = got.toarray(), want.toarray()
    if want is None or isinstance(want, (str, np.dtype, type)):
        assert got is want or got == want, f"{where}: {got!r} is not {want!r}"
        return
    if isinstance(want, (bool, int, float, complex)):
        # where NumPy answers in Python numbers, NumPy scalars of the same kind will do
        kinds = np.asarray(got).dtype.kind, np.asarray(want).dtype.kind
        assert np.ndim(got) == 0 and kinds[0] == kinds[1], f"{where}: {got!r}, {want!r}"
    else:
        assert isinstance(got, np.ndarray) == isinstance(want, np.ndarray), f"{where}: {type(got)} is not {type(want)}"
        assert np.asarray(got).dtype == want.dtype, f"{where}: dtype {np.asarray(got).dtype} is not {want.dtype}"
        assert np.shape(got) == np.shape(want), f"{where}: shape {np.shape(got)} is not {np.shape(want)}"
    char = np.asarray(want).dtype.char
    rtol = TOLERANCE.get(char, 0) if rtol is None else rtol
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol, err_msg=where)


def check(function, sample):
    """Assert that a traced call does what NumPy does: result, dtype, shape, errors, writes."""
    want, want_arrays = numpy_answer(function, sample)
    got, got_arrays = traced_answer(function, sample)
    if isinstance(want, Exception) or isinstance(got, Exception):
        if isinstance(got, Exception) and not isinstance(want, Exception):
            raise AssertionError(f"raised {type(got).__name__}, NumPy gives {want!r}") from got
        assert isinstance(got, Exception), f"gave {got!r}, NumPy raises {want!r}"
        if not isinstance(got, type(want)):
            raise AssertionError(f"raised {type(got).__name__}: {got}; NumPy raises {want!r}") from got
        return
    same(got, want, sample.rtol)
    for i, (g, w) in enumerate(zip(got_arrays, want_arrays)):
        same(g, w, sample.rtol, f"argument {i} afterwards")


def cases(samples):
    """Return (function, sample) pairs with readable ids for parametrize."""
    return [pytest.param(function, sample, id=f"{function.__name__}-{k}-{sample!r}"[:120])
            for function, calls in samples.items() for k, sample in enumerate(calls)]


def floats(*shape, dtype=float, seed=0):
    """Return random numbers, all of them different."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def ints(*shape, low=-9, high=9, dtype=np.int64, seed=0):
    """Return random integers."""
    return np.random.default_rng(seed).integers(low, high, size=shape).astype(dtype)


def bools(*shape, seed=0):
    """Return random bools."""
    return np.random.default_rng(seed).random(shape) < 0.5


def specials(*shape, dtype=float):
    """Return numbers with NaN, infinities and both zeros among them."""
    out = floats(*shape, dtype=dtype).reshape(-1)
    marks = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    out[: min(5, out.size)] = marks[: out.size]
    return out.reshape(shape)


#: Arrays of every kind for a function that takes any one array.
def any_arrays():
    return [
        floats(3, 4), floats(3, 4, dtype=np.float32), floats(2, 3, 4, dtype=np.float16), ints(3, 4, dtype=np.int32),
        ints(3, 4, low=0, dtype=np.uint8), bools(3, 4), floats(3, 4) + 1j * floats(3, 4, seed=1),
        np.asfortranarray(floats(3, 4)),
        floats(6, 8)[::2, ::-2], floats(4, 3).T, np.array(1.5), floats(0, 3), specials(3, 4),
    ]
