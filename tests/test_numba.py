"""The Numba backend, which serves where no C compiler is found, means what the C backend and NumPy mean."""

import numpy as np
import pytest
from graphs import any_graphs, inputs_of, smooth_graphs
from hypothesis import given, settings
from programs import assert_close
from samples import NAMES, OPS, op_samples, results
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
        made = results(OPS[name](*map(const, args), **attrs))
        if all(a.dtype.name in KINDS for a in args) and all(n.dtype != F16 for n in made):
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
    samples, variables, outs, arrays = [], [], [], []
    for args, attrs in few(name):
        own = [new_variable(type_of(a)) for a in args]
        variables += own
        arrays += args
        found = results(OPS[name](*own, **attrs))
        outs += found
        samples += [(args, attrs)] * len(found)
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


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "uint64", "float32", "complex64"])
def test_narrow_arithmetic(dtype):
    """Results wrap and round in the dtype itself; unsigned numbers never become floats on the way."""
    x = np.array([0, 1, 2, 100, 127], dtype)
    y = np.array([3, 2, 127, 90, 1], dtype)
    if x.dtype.kind in "iu":
        limits = np.iinfo(dtype)
        x, y = np.append(x, np.array([limits.max, limits.min], dtype)), np.append(y, np.array([limits.max, 5], dtype))

    def f(x, y):
        common = (x + y, x * y - x, -x, x**2, x == y, x.sum(), abs(x), x.astype(np.float64).astype(np.float32))
        return common if x.dtype.kind == "c" else (*common, np.maximum(x, y), x // y, x % y, x.astype(np.int8), x.max())
    with np.errstate(all="ignore"):
        want = f(x, y) if x.dtype.kind != "c" else None
    if want is None:
        x, y = x + x.dtype.type(1j), y - y.dtype.type(2j)

        def f(x, y):
            return x + y, x * y, x / y, np.exp(x / 100), x.sum(), abs(x), np.sqrt(y)
        want = f(x, y)
    for got, w in zip(jit(f, backend="numba")(x, y), want):
        assert got.dtype == w.dtype
        np.testing.assert_allclose(got, w, rtol=1e-6)


@settings(max_examples=12)
@given(smooth_graphs())
def test_random_graphs(graph):
    args = inputs_of(graph)
    graph = optimize(graph)
    for got, want in zip(run(compile_program(build(graph)), args), evaluate(graph, *args)):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)


@settings(max_examples=15)
@given(any_graphs(size=5))
def test_random_graphs_of_all_dtypes(graph):
    rng = np.random.default_rng(0)
    args = [rng.integers(0, 5, t.shape).astype(t.dtype) for t in graph.params]
    executable = compile_program(build(graph))
    if executable is None:  # float16, and the bytes of complex numbers
        return
    with np.errstate(all="ignore"):
        want = evaluate(graph, *args)
    for got, w in zip(run(executable, args), want):
        assert got.dtype == w.dtype and got.shape == w.shape
        if w.dtype.kind in "fc":
            scale = np.abs(w[np.isfinite(w)]).max(initial=1)
            np.testing.assert_allclose(got, w, rtol=1e-4 if w.dtype.itemsize == 4 else 1e-10, atol=1e-10 * scale)
        else:
            np.testing.assert_array_equal(got, w)


def test_errors_carry_their_details():
    f = jit(lambda x, i: x[i] * 2, backend="numba")
    with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size 3"):
        f(np.arange(3.0), np.int64(7))
    with pytest.raises(np.linalg.LinAlgError):
        jit(lambda a: np.linalg.inv(a), backend="numba")(np.zeros((2, 2)))


def test_half_precision_is_left_to_the_interpreter():
    x = new_variable(type_of(np.ones(3, np.float16)))
    assert compile_program(build(close([x], [OPS["sin"](x)]))) is None
