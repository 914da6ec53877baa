"""Operations of one's own: from Python, C, Numba and addresses; by the tests of our own ops, and at work."""

import ctypes
import ctypes.util
import gc
import math
import os
import pickle
import subprocess
import sys
import threading

import cffi
import numpy as np
import pytest
import test_kernels_ops
import test_symbolic_batching
import test_symbolic_ops
from scipy import LowLevelCallable, special
from scipy.special import cython_special

import tracejit
from tracejit import ShapeDtype, extend, grad, jit
from tracejit.errors import NotDifferentiableError, UnsupportedError
from tracejit.kernels import toolchain
from tracejit.symbolic.batching import batch
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import OPS
from tracejit.testing import check_grads, check_op

X = np.array([0.4, 0.7, 1.3])
needs_compiler = pytest.mark.skipif(not toolchain.available(), reason="the C functions of the tests need a compiler")
LIBM = ctypes.CDLL(ctypes.util.find_library("m") or ctypes.util.find_library("msvcrt"))


@extend.elementwise(c="{0} / (1 + fabs{f}({0}))", derivative=lambda x: 1 / (1 + np.abs(x)) ** 2)
def softsign(x):
    return x / (1 + np.abs(x))


@extend.elementwise(c="tj_bump_{t}({0}, {1})", python="{0} * {0} * {1} + 1",
                    support="static inline {T} tj_bump_{t}({T} x, {T} y) {{ return x * x * y + 1; }}",
                    derivative=lambda x, y: (2 * x * y, x * x))
def bump(x, y):
    return x * x * y + 1


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self.function, self.calls, self.__name__ = function, 0, "counted"

    def __call__(self, *args):
        self.calls += 1
        return self.function(*args)


@extend.callback(result=lambda x: x, jvp=lambda primals, tangents: (
    cumulated(primals[0]), np.cumsum(2 * primals[0] * tangents[0])))
def cumulated(x):
    return np.cumsum(x * x)


@extend.callback(result=lambda x, y: (ShapeDtype((), x.dtype), y),
                 vjp=(lambda x, y: (paired(x, y), (x, y)),
                      lambda kept, ct: (ct[0] * 2 * kept[0], ct[1] * np.cos(kept[1]))))
def paired(x, y):
    return (x * x).sum(), np.sin(y)


# ---------------------------------------------------------------- as our own ops
def by_the_registrys_tests(op):
    """What tests each op because it is registered tests this one, for it is."""
    name = op.op.name
    assert OPS[name] is op.op
    test_symbolic_ops.test_has_samples_that_make_graphs_of_the_right_type(name)
    test_symbolic_ops.test_jvp_is_the_limit_of_differences(name)
    test_symbolic_ops.test_vjp_is_the_transpose_of_jvp(name)
    test_symbolic_ops.test_second_order_forward_over_reverse(name)
    test_symbolic_ops.test_derivatives_in_a_batch(name)
    test_symbolic_batching.test_every_op(name)
    test_kernels_ops.test_op_compiled(name)


@pytest.mark.parametrize("op", [softsign, bump], ids=lambda op: op.name)
def test_by_the_registrys_tests(op):
    by_the_registrys_tests(op)


def test_by_check_op():
    check_op(softsign, X)
    check_op(bump, X, X[::-1].copy())
    check_op(cumulated, X)
    check_op(paired, X, X + 1, modes=("rev",))


def test_check_op_finds_what_is_wrong():
    wrong = extend.elementwise(lambda x: x + 1, c="{0} + 2", python="{0} + 1", name="wrong_value")
    with pytest.raises(AssertionError, match="result 0 on the backend c"):
        check_op(wrong, X, order=0)
    wrong = extend.elementwise(lambda x: x + 1, c="{0} + 1", derivative=lambda x: x, name="wrong_slope")
    with pytest.raises(AssertionError, match="against differences"):
        check_op(wrong, X)
    wrong = extend.callback(lambda x: x - x.mean(), result=lambda x: x, batch="whole", name="wrong_batch")
    with pytest.raises(AssertionError, match="of a batch"):
        check_op(wrong, X, order=0)


# ---------------------------------------------------------------- numbers
def test_dtypes_shapes_and_broadcasting():
    assert softsign(np.float32(1)).dtype == np.float32 and softsign(1) == 0.5 and isinstance(softsign(1), np.float64)
    assert softsign(np.zeros((0, 2))).shape == (0, 2)
    np.testing.assert_array_equal(softsign(X[::-1]), softsign(X)[::-1])
    np.testing.assert_allclose(bump(X[:, None], 2.0), X[:, None] ** 2 * 2 + 1, rtol=1e-15)
    assert bump(X.astype("f4"), 2.0).dtype == np.float32
    with pytest.raises(UnsupportedError, match="complex"):
        softsign(1j)
    with pytest.raises(ValueError, match="broadcast"):
        bump(X, np.zeros(2))
    with pytest.raises(TypeError, match="takes 2 arguments"):
        bump(X)


def test_they_fuse():
    lowered = jit(lambda x: (np.exp(softsign(x)) * 2).sum()).trace(X).lower()
    assert len(lowered.program.steps) == 1 and "user_softsign" in str(lowered.graph)


def test_derivatives_may_use_operations_and_arrays():
    scale = np.array(3.0)
    f = extend.elementwise(lambda x: 3 * np.tanh(x), c="3 * tanh{f}({0})", python="3 * math.tanh({0})", name="scaled",
                           derivative=lambda x: scale - f(x) ** 2 / scale)
    check_op(f, X, order=2)
    without = extend.elementwise(lambda x: x, c="{0}", name="without_slope")
    with pytest.raises(NotDifferentiableError, match="user_without_slope"):
        grad(lambda x: without(x).sum())(X)
    short = extend.elementwise(lambda x, y: x, c="{0}", name="short", derivative=lambda x, y: 1.0)
    with pytest.raises(TypeError, match="gives 1 values for 2"):
        grad(lambda x: short(x, x).sum())(X)


def test_a_definition_that_runs_again_is_another_operation():
    first = extend.elementwise(lambda x: x + 1, c="{0} + 1", name="again")
    second = extend.elementwise(lambda x: x + 2, c="{0} + 2", name="again")
    assert first(1.0) == 2 and second(1.0) == 3 and first.op is not second.op


def test_numba_functions():
    numba = pytest.importorskip("numba")

    @extend.elementwise(derivative=lambda x, y: (y * np.cos(x * y), x * np.cos(x * y)))
    @numba.njit
    def wave(x, y):
        return math.sin(x * y) if x > 0 else 0.0
    check_op(wave, X, X + 1)
    by_the_registrys_tests(wave)

    @extend.elementwise
    @numba.cfunc("float32(float32, int64)")
    def power(x, n):
        return np.float32(x ** n)
    assert power(X, 2).dtype == np.float32
    np.testing.assert_allclose(jit(lambda x: power(x, 3) + 1)(X), X ** 3 + 1, rtol=1e-6)


def test_c_functions_by_ctypes():
    LIBM.cbrt.restype, LIBM.cbrt.argtypes = ctypes.c_double, [ctypes.c_double]
    root = extend.elementwise(LIBM.cbrt, name="root", derivative=lambda x: 1 / (3 * root(x) ** 2))
    check_op(root, X)
    by_the_registrys_tests(root)
    assert root(np.float32(8)).dtype == np.float64
    address = ctypes.cast(LIBM.cbrt, ctypes.c_void_p).value
    by_address = extend.elementwise(address, signature="double(double)", name="root")
    np.testing.assert_array_equal(by_address(X), root(X))
    with pytest.raises(TypeError, match="signature="):
        extend.elementwise(address, name="root")
    with pytest.raises(TypeError, match="knows double, float"):
        extend.elementwise(address, signature="quad(quad)", name="root")


@needs_compiler
def test_c_functions_by_cffi(tmp_path):
    export = "__declspec(dllexport) " if sys.platform == "win32" else '__attribute__((visibility("default"))) '
    source = f"{export}double own(double x, int n) {{ return x * n + 0.5; }}\n"
    library = toolchain.compile_to(tmp_path / "own.so", source, toolchain.compiler())
    ffi = cffi.FFI()
    ffi.cdef("double own(double x, int n);")
    lib = ffi.dlopen(str(library))
    for function in (lib.own, ffi.addressof(lib, "own")):
        own = extend.elementwise(function, name="own", derivative=lambda x, n: (n * 1.0, 0.0))
        np.testing.assert_allclose(jit(lambda x: own(x, 3) * 2)(X), X * 6 + 1, rtol=1e-15)
        np.testing.assert_allclose(grad(lambda x: own(x, 3).sum())(X), [3, 3, 3])
        check_op(own, X, np.array([1, 2, 3]))
        by_the_registrys_tests(own)


def test_low_level_callables():
    LIBM.atan.restype, LIBM.atan.argtypes = ctypes.c_double, [ctypes.c_double]
    turn = extend.elementwise(LowLevelCallable(LIBM.atan), name="turn", derivative=lambda x: 1 / (1 + x * x))
    check_op(turn, X)
    bessel = extend.elementwise(LowLevelCallable.from_cython(cython_special, "j1"), signature="double(double, int)",
                                name="bessel")
    np.testing.assert_array_equal(bessel(X, 0), special.j1(X))
    with pytest.raises(TypeError, match="user data"):
        extend.elementwise(LowLevelCallable(LIBM.atan, ctypes.c_void_p(1)), name="with_data")


def test_what_is_no_function_of_numbers():
    with pytest.raises(TypeError, match="plain Python function"):
        extend.elementwise(lambda x: x, name="plain")
    with pytest.raises(TypeError, match="by name="):
        extend.elementwise(12345, signature="double(double)")


# ---------------------------------------------------------------- whole arrays
def test_callbacks_in_loops_branches_and_batches():
    def f(x):
        total = np.zeros_like(x)
        for k in range(4):
            x = cumulated(x) / (k + 1) if x[0] > 0 else x
            total += x
        return total
    np.testing.assert_allclose(jit(f)(X), f(X), rtol=1e-12)
    check_grads(f, (X,), order=1)
    rows = Counted(lambda x: x * 2)
    whole = Counted(lambda x: x * 2)
    for function, kind, calls in ((rows, "rows", 6), (whole, "whole", 1)):
        op = extend.callback(function, result=lambda x: x, batch=kind)
        graph = jit(lambda x, op=op: op(x)).trace(X).graph
        twice = batch(batch(graph, (True,), 3), (True,), 2)
        stack = np.arange(18.0).reshape(2, 3, 3)
        np.testing.assert_array_equal(evaluate(twice, stack)[0], stack * 2)
        assert function.calls == calls


@pytest.mark.parametrize("backend", ["c", "numba", "ref"])
def test_exceptions_come_through(backend):
    """The very exception, its class, arguments and traceback; the next call is as if nothing had been."""
    class Mine(Exception):
        pass

    @extend.callback(result=lambda x: x)
    def picky(x):
        if x[0] < 0:
            raise Mine("negative", x[0])
        return x * 2

    @jit(backend=backend)
    def f(x):
        for k in range(3):
            x = picky(x) - 1
        return x
    np.testing.assert_allclose(f(X + 1), 8 * (X + 1) - 7)
    for _ in range(2):
        with pytest.raises(Mine) as info:
            f(X)
        assert info.value.args[0] == "negative" and "picky" in str(info.traceback[-1])
    np.testing.assert_allclose(f(X + 1), 8 * (X + 1) - 7)

    @extend.callback(result=lambda x: x)
    def stopped(x):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        jit(lambda x: stopped(x) + 1, backend=backend)(X)


def test_callbacks_from_many_threads_and_long_calls():
    """Compiled code gives the interpreter's lock away in long calls, and a callback takes it back."""
    op = extend.callback(lambda x: x + threading.get_ident() * 0, result=lambda x: x, name="threaded")

    @jit
    def f(x):
        return op(np.sin(x) ** 2) + np.cos(x) ** 2
    x = np.linspace(0, 1, 100_000)
    wrong = []

    def work():
        for _ in range(5):
            if not np.allclose(f(x), 1):
                wrong.append(threading.get_ident())
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert f.trace(x).lower().program.long and not wrong


def test_arguments_are_the_functions_own():
    """A function may keep its arguments, and write to them."""
    kept = []

    @extend.callback(result=lambda x: x)
    def hoarding(x):
        kept.append(x)
        x += 1
        return x
    f = jit(lambda x: hoarding(x * 2))
    np.testing.assert_allclose(f(X), 2 * X + 1)
    f(X * 3)
    gc.collect()
    np.testing.assert_allclose(kept[0], 2 * X + 1)


def test_callbacks_may_call_jitted_functions():
    inner = jit(lambda x: np.sin(x).sum() + x)
    op = extend.callback(lambda x: inner(x), result=lambda x: x, name="calling")
    np.testing.assert_allclose(jit(lambda x: op(x * 2) + inner(x))(X), inner(2 * X) + inner(X), rtol=1e-14)


def test_results_are_what_was_declared():
    op = extend.callback(lambda x: x[1:], result=lambda x: x, name="shorter")
    with pytest.raises(TypeError, match="shorter returned an array of float64 and shape \\(2,\\), and was declared"):
        jit(lambda x: op(x))(X)
    op = extend.callback(lambda x: x * 1j, result=lambda x: x, name="complex_one")
    with pytest.raises(TypeError, match="complex128"):
        op(X)
    op = extend.callback(lambda x: (x, x), result=lambda x: x, name="two")
    with pytest.raises(TypeError, match="2 results"):
        op(X)
    op = extend.callback(lambda x: x, result=lambda x: x.shape, name="undeclared")
    with pytest.raises(TypeError, match="should be a ShapeDtype"):
        op(X)
    fixed = extend.callback(lambda: np.arange(3), result=ShapeDtype((3,), np.float32), name="fixed")
    assert fixed().dtype == np.float32
    with pytest.raises(UnsupportedError, match="known at run time only"):
        jit(lambda x: cumulated(x[x > 0.5]))(X)
    with pytest.raises(ValueError, match="'rows' or 'whole'"):
        extend.callback(np.sin, result=lambda x: x, batch="columns")
    with pytest.raises(TypeError, match="one rule"):
        extend.callback(np.sin, result=lambda x: x, jvp=len, vjp=(len, len))


def test_no_rule_no_derivative():
    op = extend.callback(np.sort, result=lambda x: x, name="sorted_elsewhere")
    with pytest.raises(NotDifferentiableError, match="sorted_elsewhere.*no derivative rule"):
        grad(lambda x: op(x).sum())(X)
    np.testing.assert_array_equal(grad(lambda x: (tracejit.stop_gradient(op(x)) * x).sum())(X), X)


# ---------------------------------------------------------------- processes
def test_sources_hold_no_addresses():
    """Code on disk is right in every process, and the second one compiles nothing."""
    program = """
import ctypes, ctypes.util
import numpy as np
from tracejit import extend, jit
libm = ctypes.CDLL(ctypes.util.find_library("m") or ctypes.util.find_library("msvcrt"))
libm.cbrt.restype, libm.cbrt.argtypes = ctypes.c_double, [ctypes.c_double]
padding = [extend.callback(np.sin, result=lambda x: x, name=f"other{k}") for k in range(%d)]
root = extend.elementwise(libm.cbrt, name="root")
back = extend.callback(lambda x: x + 1, result=lambda x: x, name="back")
f = jit(lambda x: back(root(x)) * 2)
print(f(np.array([8.0, 27.0])), hash(str(f.trace(np.array([8.0, 27.0])).lower().compile())))
"""
    outputs = {subprocess.run([sys.executable, "-c", program % n], check=True, capture_output=True, text=True,
                              env={**os.environ, "PYTHONHASHSEED": "0"}).stdout for n in (0, 5)}
    assert len(outputs) == 1 and outputs.pop().startswith("[6. 8.]")


def test_pickles():
    assert pickle.loads(pickle.dumps(softsign)) is softsign and pickle.loads(pickle.dumps(cumulated)) is cumulated
    again = pickle.loads(pickle.dumps(extend.callback(np.sort, result=ShapeDtype((3,), float))))
    np.testing.assert_array_equal(again(-X), np.sort(-X))
    with pytest.raises(TypeError, match="C function at an address.*top of a module"):
        pickle.dumps(extend.elementwise(LIBM.cbrt, signature="double(double)"))
