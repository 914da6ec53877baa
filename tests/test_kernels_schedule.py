"""What loops come out: golden loop nests, merged axes, accuracy of sums, vector instructions, the memory plan."""

import math
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import graph_of, run

from tracejit.kernels import plan, toolchain
from tracejit.kernels.affine import Indices, flat_offset
from tracejit.kernels.c.emit import compile_program, emit
from tracejit.kernels.loop_ir import For, index, integer
from tracejit.kernels.program import Launch, build
from tracejit.symbolic.ir import OPS
from tracejit.symbolic.ops.composite import softmax
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.reduce import reduce_max, reduce_sum
from tracejit.symbolic.ops.scalar import exp, greater, log, maximum, minimum, select, sigmoid, sin, tanh
from tracejit.symbolic.ops.shape import broadcast, concatenate, reshape, transpose

GOLDEN = Path(__file__).parent / "golden"


def program(function, *shapes, dtype="f8"):
    return build(graph_of(function, *[np.zeros(s, dtype) for s in shapes]))


def launches(prog):
    return [s.kernel for s in prog.steps if isinstance(s, Launch)]


NESTS = {
    "elementwise": (lambda x, y: 2 * x + exp(y), (20, 30), (20, 30)),
    "rows": (lambda x, y: x + broadcast(y, (20, 30), (0,)), (20, 30), (20,)),
    "sum_last": (lambda x: (exp(x), reduce_sum(x * x, axes=(1,))), (20, 50)),
    "sum_first": (lambda x: reduce_sum(x * x, axes=(0,)), (20, 50)),
    "sum_all": (lambda x: reduce_sum(x, axes=(0, 1)), (2000, 1001)),
    "softmax": (lambda x: softmax(x, axes=(1,)), (60, 10)),
    "transpose": (lambda x: transpose(x, (1, 0)) + 1, (100, 120)),
    "product": (lambda x, w: tanh(matmul(x, w)), (30, 40), (40, 20)),
}


@pytest.mark.parametrize("name", NESTS)
def test_golden(name):
    """The loops of a few kernels, as printed; TRACEJIT_GOLDEN=1 in the environment writes them anew."""
    function, *shapes = NESTS[name]
    text, file = f"{program(function, *shapes)}\n", GOLDEN / f"{name}.txt"
    if os.environ.get("TRACEJIT_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_source_is_the_same_in_each_build():
    for function, *shapes in NESTS.values():
        assert emit(program(function, *shapes)) == emit(program(function, *shapes))


def test_contiguous_axes_become_one_loop():
    """Whatever the rank, and through reshapes."""
    for function in (
        lambda x, y: exp(x) + y,
        lambda x, y: reshape(reshape(x, (60, 2)) + reshape(y, (60, 2)), (120,)),
        lambda x, y: reshape(x + y, (120,)) * 2,
    ):
        (kernel,) = launches(program(function, (4, 5, 6), (4, 5, 6)))
        (loop,) = kernel.body
        assert isinstance(loop, For) and loop.index.attrs[1] == 120 and not any(isinstance(s, For) for s in loop.body)


def test_what_one_pass_can_do_is_one_kernel():
    several = program(
        lambda x, y: (x + y, exp(x + y), reduce_sum(x * y, axes=(1,)), reduce_max(x, axes=(1,))), (20, 30), (20, 30)
    )
    assert len(launches(several)) == 1
    assert len(launches(program(lambda x: softmax(x, axes=(1,)), (20, 30)))) == 3


def test_pieces_are_written_in_place():
    """A concatenation chooses by loops and not by elements."""
    text = str(program(lambda x, y: concatenate([exp(x), y], 0), (200, 30), (300, 30)))
    assert "select" not in text and "where" not in text and text.count("kernel") == 2


# ---------------------------------------------------------------- accuracy
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [31, 500, 12345, 1000003])
def test_sums_are_as_good_as_numpys(dtype, n):
    x = (np.random.default_rng(0).normal(size=n) + 1).astype(dtype)
    exact = math.fsum(x.astype(float))
    (got,) = run(compile_program(build(graph_of(lambda x: reduce_sum(x, axes=(0,)), x))), [x])
    assert abs(float(got) - exact) <= max(abs(float(np.sum(x)) - exact), abs(exact) * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_sums_of_columns_are_as_good_as_numpys(dtype):
    x = (np.random.default_rng(1).normal(size=(20000, 40)) + 1).astype(dtype)
    exact = np.array([math.fsum(c) for c in x.T.astype(float)])
    (got,) = run(compile_program(build(graph_of(lambda x: reduce_sum(x, axes=(0,)), x))), [x])
    assert np.abs(got - exact).max() <= np.abs(x.sum(0) - exact).max()


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e308])
def test_sums_that_are_not_finite(value):
    x = np.ones((3, 5000))
    x[1, 4321] = x[1, 17] = value
    (got,) = run(compile_program(build(graph_of(lambda x: reduce_sum(x, axes=(1,)), x))), [x])
    np.testing.assert_array_equal(got, x.sum(1))


@pytest.mark.parametrize("place", [0, 17, 511, 512, 4999])
def test_an_extreme_is_nan_wherever_nan_is(place):
    x = np.ones(5000)
    x[place] = np.nan
    (got,) = run(compile_program(build(graph_of(lambda x: reduce_max(x, axes=(0,)), x))), [x])
    assert np.isnan(got)


def test_large_arguments_of_the_sine():
    """Beyond the bound of the vector function the loop runs again with the exact one."""
    x = np.linspace(-1, 1, 1001)
    x[500] = 1e300
    got, total = run(compile_program(build(graph_of(lambda x: (sin(x), reduce_sum(sin(x), axes=(0,))), x))), [x])
    np.testing.assert_allclose(got, np.sin(x), rtol=1e-15, atol=1e-16)
    assert abs(total - np.sin(x).sum()) < 1e-13


# ---------------------------------------------------------------- vector instructions
VECTOR = {
    "arithmetic": lambda x, y: 2 * x + 3 * y,
    "functions": lambda x, y: log(1 + exp(-x)) * tanh(y) + x / (1 + y * y),
    "choices": lambda x, y: select(greater(x, y), maximum(x, y), minimum(x, 2 * y)),
    "sigmoid": lambda x, y: sigmoid(x) * y,
    "rows": lambda x, y: reduce_sum(x * y, axes=(1,)),
    "columns": lambda x, y: reduce_sum(x * y, axes=(0,)),
    "largest": lambda x, y: reduce_max(x * y, axes=(1,)),
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", VECTOR)
def test_vectorised(name, dtype, tmp_path):
    """gcc says of the loops with arithmetic in them that they are vectorised."""
    compiler = toolchain.compiler()
    if compiler.family != "gcc" or shutil.which(compiler.command[0]) is None:
        pytest.skip("asks gcc for its report")
    source, _ = emit(program(VECTOR[name], (64, 512), (64, 512), dtype=dtype))
    file = tmp_path / "kernel.c"
    file.write_text(toolchain.unit(source, 2), encoding="utf-8")
    done = subprocess.run(
        [*compiler.line(file, tmp_path / "kernel.so"), "-fopt-info-vec-optimized"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    vectorised = {int(line.split(":")[1]) for line in done.stderr.splitlines() if "loop vectorized" in line}
    lines = source.splitlines()
    for n, line in enumerate(lines[:-4]):
        copies = lines[n + 2].endswith("];") and " = v" in lines[n + 3]  # the compiler makes memcpy of it
        empty = " < 0LL;" in lines[n + 1]  # what no element is left for
        if line.strip().startswith(("TJ_SIMD", "TJ_PRAGMA")) and lines[n + 1].endswith("{") and not copies | empty:
            end = next(k for k in range(n + 2, len(lines)) if lines[k] == " " * line.index("TJ_") + "}")
            assert vectorised & set(range(n + 1, end + 2)), "\n".join(lines[n : end + 1])


# ---------------------------------------------------------------- index arithmetic and memory
def test_quotients_and_remainders_meet_again():
    i, rules = index("i", 24), Indices()
    high, low = OPS["quotient"](i, integer(6)), OPS["fmod"](i, integer(6))
    assert rules.simplify(high * integer(6) + low) is i
    a, b, c = OPS["quotient"](high, integer(2)), OPS["fmod"](high, integer(2)), low
    assert flat_offset(rules, (a, b, c), (2, 2, 6)) is i
    j = index("j", 6)
    assert rules.simplify(OPS["quotient"](high * integer(6) + j, integer(6))) is rules.simplify(high)
    assert rules.simplify(OPS["fmod"](i * integer(6) + j, integer(6))) is j


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 9), st.integers(0, 9)), max_size=12))
@settings(max_examples=50, deadline=None)
def test_plan_keeps_what_lives_together_apart(items):
    lifetimes = [(size, min(a, b), max(a, b)) for size, a, b in items]
    offsets, total = plan.pack(lifetimes)
    for k, (size, first, last) in enumerate(lifetimes):
        assert offsets[k] % plan.ALIGN == 0 and offsets[k] + size <= total
        for m, (other, begin, end) in enumerate(lifetimes[:k]):
            if first <= end and begin <= last:
                assert offsets[k] + size <= offsets[m] or offsets[m] + other <= offsets[k]


def test_dead_temporaries_leave_their_memory():
    def function(x):
        for _ in range(6):
            x = x - broadcast(reduce_sum(exp(x), axes=(0,)), x.shape, (1,))
        return x

    prog = program(function, (100, 100))
    assert prog.arena_bytes <= 3 * 100 * 100 * 8
