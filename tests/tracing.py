"""Running a traced function by the NumPy interpreter, without any compiler, and comparing it with plain NumPy."""

import copy
import ctypes

import numpy as np

from tracejit import tree
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.types import Type
from tracejit.trace.staging import Leaf, stage


def mark(x):
    """Return the marker of one argument leaf, or the leaf itself where it is static."""
    if type(x) in (bool, int, float, complex):
        return Leaf(Type(np.asarray(x).dtype), weak=True)
    if isinstance(x, np.generic):
        return Leaf(Type(x.dtype), scalar=True)
    if isinstance(x, np.ndarray):
        strides = None if x.flags.c_contiguous else x.strides
        return Leaf(Type(x.dtype, x.shape), readonly=not x.flags.writeable, strides=strides)
    return x


def trace(f, *args, **kwargs):
    """Trace a function for these arguments."""
    return stage(f, tree.map(mark, args), tree.map(mark, kwargs))


def call(traced, *args, **kwargs):
    """Do what a compiled call does: evaluate, write back, assemble the result."""
    leaves = [x for x in tree.leaves((args, kwargs)) if isinstance(mark(x), Leaf)]
    inputs = leaves + [getattr(c, "_data", c) for c in traced.captures]
    values = [v.copy() for v in evaluate(traced.graph, *inputs)]
    for place, k in traced.graph.writes:
        inputs[place][...] = values[k]
    out = []
    for kind, *rest in traced.outputs:
        if kind == "out":
            k, scalar = rest
            out.append(values[k].T if scalar == "F" else values[k][()] if scalar else values[k])
        elif kind == "arg":
            out.append(inputs[rest[0]])
        elif kind == "view":
            place, offset, shape, strides, dtype = rest
            base = inputs[place]
            low, high = np.lib.array_utils.byte_bounds(base)
            memory = (ctypes.c_char * (high - low)).from_address(low)
            out.append(np.ndarray(shape, dtype, memory, base.ctypes.data - low + offset, strides))
        else:
            out.append((*args, *kwargs.values())[rest[0]] if kind == "given" else rest[0])
    return tree.unflatten(traced.out_tree, out)


def run(f, *args, **kwargs):
    """Trace and call."""
    return call(trace(f, *args, **kwargs), *args, **kwargs)


def _outcome(f, args, kwargs):
    try:
        with np.errstate(all="ignore"):
            return f(*args, **kwargs), None
    except Exception as e:
        return None, e


def same(f, *args, rtol=1e-12, **kwargs):
    """Assert that the traced function gives NumPy's values, dtypes, shapes, forms and errors, and the same writes."""
    mine, theirs = copy.deepcopy((args, kwargs)), copy.deepcopy((args, kwargs))
    expected, error = _outcome(f, *theirs)
    if error is not None:
        got, mistake = _outcome(lambda *a, **k: run(f, *a, **k), *mine)
        assert mistake is not None, f"NumPy raises {error!r}, the trace gives {got!r}"
        bases = [t for t in type(error).__mro__ if t.__module__ == "builtins" and t not in (Exception, object)]
        assert isinstance(mistake, bases[0]), f"NumPy raises {error!r}, the trace {mistake!r}"
        return mistake
    got = run(f, *mine[0], **mine[1])
    compare(got, expected, rtol)
    compare(mine, theirs, rtol)
    return got


def compare(got, expected, rtol=1e-12):
    """Assert equal trees: type of container, form, dtype, shape, value."""
    if isinstance(expected, (tuple, list)):
        assert type(got) is type(expected) and len(got) == len(expected), (got, expected)
        for g, e in zip(got, expected):
            compare(g, e, rtol)
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        for k in expected:
            compare(got[k], expected[k], rtol)
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert isinstance(got, np.ndarray) == isinstance(expected, np.ndarray), (type(got), type(expected), expected)
        assert got.dtype == expected.dtype, (got.dtype, expected.dtype)
        assert got.shape == expected.shape, (got.shape, expected.shape)
        tolerance = {2: 2e-3, 4: 1e-5}.get(expected.dtype.itemsize // (2 if expected.dtype.kind == "c" else 1), rtol)
        if expected.dtype.kind in "fc":
            np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            np.testing.assert_array_equal(got, expected)
    elif isinstance(expected, (bool, int, float, complex)):
        np.testing.assert_allclose(got, expected, rtol=rtol)
    else:
        assert got == expected, (got, expected)
