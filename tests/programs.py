"""Calling compiled programs without the dispatcher: what the tests of kernels use."""

import ctypes

import numpy as np

from tracejit.kernels.c.emit import compile_program
from tracejit.kernels.program import build
from tracejit.symbolic.graph import close
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import new_variable
from tracejit.symbolic.types import type_of


def run(executable, args):
    """Call an executable; returns its outputs, raises what it reports."""
    args = [np.require(np.asarray(a, t.dtype), requirements="C") for a, t in zip(args, executable.in_types)]
    outs = [np.full(t.shape, 77, t.dtype) for t in executable.out_types]
    arena = np.full(executable.arena_bytes + 64, 0xFF, np.uint8)  # all NaN: what is read before it is written shows
    start = arena.ctypes.data + -arena.ctypes.data % 64
    buffers = [*(a.ctypes.data for a in args), *(o.ctypes.data for o in outs), start]
    table = (ctypes.c_void_p * len(buffers))(*buffers)
    error = np.zeros(4, np.int64)
    entry = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(executable.address)
    code = entry(table, error.ctypes.data)
    if code:
        kind, message = executable.errors[code - 1]
        raise kind(message.format(*error))
    return outs


def graph_of(function, *arrays):
    """Return the graph of a function of nodes, for arrays of these types."""
    variables = [new_variable(type_of(a)) for a in arrays]
    outs = function(*variables)
    return close(variables, outs if isinstance(outs, (tuple, list)) else [outs])


def both(graph, *arrays):
    """Return (outputs of the compiled program, outputs of the interpreter)."""
    return run(compile_program(build(graph)), arrays), evaluate(graph, *arrays)


def assert_close(got, want, ulps=8, scale=None):
    """Assert equality up to a few units in the last place (of `scale`, where sums may cancel)."""
    assert got.dtype == want.dtype and got.shape == want.shape
    if want.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, want)
        return
    info = np.finfo(want.dtype)
    atol = ulps * max(float(info.smallest_subnormal), float(info.eps) * (scale or 0))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got, want, rtol=ulps * float(info.eps), atol=atol)
