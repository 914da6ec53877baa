"""The Numba backend, which serves where no C compiler is found, means what the C backend and NumPy mean."""

import numpy as np
import pytest
from graphs import any_graphs, inputs_of, smooth_graphs
from hypothesis import given, settings
from programs import assert_close
from samples import NAMES, OPS, op_samples
from test_kernels_ops import CANCELS, ULPS, _scale

from tracejit import jit
from tracejit.kernels.numba.emit import compile_program
from tracejit.kernels.program import build
from tracejit.opt.pipeline import optimize
from tracejit.symbolic.graph import close
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import const, new_variable
from tracejit.symbolic.types import F16, type_of

#: Compiling costs half a second per kernel here, so one sample of a few dtypes has to do.
KINDS = ("float64", "int64", "complex128", "float32", "bool", "uint8")


def few(name, most=3):
    """Return the arguments of some of an op's samples, each of other dtypes."""
    found = {}
    for args, attrs in op_samples(name):
        if all(a.dtype.name in KINDS for a in args) and OPS[name](*map(const, args), **attrs).dtype != F16:
            found.setdefault(tuple(a.dtype.name for a in args), (args, attrs))
    return [found[k] for k in sorted(found, key=lambda k: [KINDS.index(n) for n in k])][:most]


def run(executable, args):
    """Call an executable; returns its outputs, raises what it reports."""
    args = [np.require(np.asarray(a, t.dtype), requirements="C") for a, t in zip(args, executable.in_types)]
    outs = [np.full(t.shape, 77, t.dtype) for t in executable.out_types]
    code, err = executable.call(args, outs)
    if code:
        kind, message = executable.errors[code - 1]
        raise kind(message.format(*err))
    return outs


@pytest.mark.parametrize("name", NAMES)
def test_op(name):
    samples = few(name)
    variables, outs, arrays = [], [], []
    for args, attrs in samples:
        own = [new_variable(type_of(a)) for a in args]
        variables += own
        arrays += args
        outs.append(OPS[name](*own, **attrs))
    graph = close(variables, outs)
    executable = compile_program(build(graph))
    if executable is None:
        assert name == "bitcast"  # of complex numbers: left to the interpreter
        return
    got, want = run(executable, arrays), evaluate(graph, *arrays)
    for (args, attrs), g, w in zip(samples, got, want):
        cancels = name in CANCELS or w.dtype.kind == "c"
        try:
            assert_close(g, w, ULPS.get(name, 8), scale=_scale(args) if cancels else None)
        except AssertionError as error:
            raise AssertionError(f"{name}({args}, {attrs}): {error}") from None
