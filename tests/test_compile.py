"""From C text to a loaded program: compilers, flags, errors, BLAS by address."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from executables import BIND

from tracejit.config import config
from tracejit.errors import CompileError, UnsupportedError
from tracejit.kernels import blas, compile, toolchain

POSIX = pytest.mark.skipif(os.name != "posix", reason="the stand-in compilers are shell scripts")
ROOT = Path(__file__).parent.parent


def compilers():
    """Return the C compilers of this machine, each once."""
    found = {}
    for name in ("gcc", "clang", "cl"):
        path = shutil.which(name)
        if path:
            found[name] = path
    try:
        import ziglang  # the only clang on many machines

        found["zig"] = f"{Path(ziglang.__file__).parent / 'zig'} cc"
    except ImportError:
        pass
    return found


@pytest.fixture(params=compilers().values(), ids=compilers().keys())
def any_compiler(request):
    with config.context(cc=request.param):
        yield request.param


def load(body, head="", routines=()):
    """Compile the inside of tj_entry; return a function of arrays."""
    source = f"{BIND if not routines else head}{'' if routines else head}\n"
    source += f"TJ_EXPORT int64_t tj_entry(void **bufs, int64_t *err) {{\n{body}\nreturn 0;\n}}\n"
    address = compile.load(source, routines).address
    entry = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(address)

    def call(*arrays):
        err = (ctypes.c_int64 * 4)()
        return entry((ctypes.c_void_p * max(1, len(arrays)))(*(a.ctypes.data for a in arrays)), err)

    return call


# ---------------------------------------------------------------- what the flags promise
def test_each_compiler_works(any_compiler):
    chosen = toolchain.compiler()
    assert chosen.family in ("gcc", "clang", "msvc") and chosen.version
    x, y = np.linspace(-3, 3, 1000), np.empty(1000)
    f = load(
        """const double *TJ_RESTRICT x = bufs[0]; double *TJ_RESTRICT y = bufs[1];
           TJ_SIMD
           for (int64_t i = 0; i < 1000; i++) y[i] = log1p(exp(x[i])) * tanh(x[i]);"""
    )
    assert f(x, y) == 0
    np.testing.assert_allclose(y, np.log1p(np.exp(x)) * np.tanh(x), rtol=4e-15, atol=1e-300)


def test_special_values_keep_their_meaning(any_compiler):
    f = load(
        """const double *x = bufs[0]; double *y = bufs[1];
           double most = -TJ_INF, sum = 0;
           for (int i = 0; i < 8; i++) y[i] = x[i] + 0.0;            /* -0.0 becomes 0.0 */
           for (int i = 0; i < 8; i++) y[8 + i] = x[i] != x[i];      /* nan */
           for (int i = 0; i < 8; i++) y[16 + i] = x[i] - x[i];      /* nan for nan and inf */
           for (int i = 0; i < 8; i++) y[24 + i] = 0 * x[i];
           for (int i = 0; i < 8; i++) y[32 + i] = isnan(x[i]) ? 1 : isinf(x[i]) ? 2 : signbit(x[i]) ? 3 : 4;
           TJ_SIMD_SUM(sum)
           for (int i = 0; i < 8; i++) sum += x[i];
           y[40] = sum; y[41] = -x[0]; y[42] = 1 / x[1]; y[43] = (x[5] + 1e16) - 1e16; y[44] = x[6] / 2;"""
    )
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 5e-324, -2.0])
    y = np.empty(45)
    f(x, y)
    with np.errstate(all="ignore"):
        want = np.concatenate([x + 0.0, x != x, x - x, 0 * x, [4, 3, 2, 2, 1, 4, 4, 3]])
        want = np.append(want, [np.nan, -x[0], 1 / x[1], (x[5] + 1e16) - 1e16, x[6] / 2])
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(np.signbit(y[~np.isnan(y)]), np.signbit(want[~np.isnan(want)]))


def test_products_are_fused_where_the_source_says_so_only(any_compiler):
    """sqrt(a*a - b*b) with a == b is 0, and with a fused product it may be nan."""
    f = load(
        """const double *a = bufs[0], *b = bufs[1]; double *y = bufs[2];
           for (int i = 0; i < 1000; i++) y[i] = sqrt(a[i] * a[i] - b[i] * b[i]);"""
    )
    a = np.random.default_rng(0).normal(size=1000)
    y = np.empty(1000)
    f(a, a.copy(), y)
    assert not y.any()


def test_integers_wrap_around(any_compiler):
    f = load(
        """const int64_t *x = bufs[0]; int64_t *y = bufs[1];
           y[0] = x[0] + 1; y[1] = x[0] + 1 > x[0]; y[2] = x[0] * 3; y[3] = -x[1]; y[4] = x[1] - 1;"""
    )
    big, small = 2**63 - 1, -(2**63)
    y = np.empty(5, np.int64)
    f(np.array([big, small]), y)
    assert y.tolist() == [small, 0, big - 2, small, big]


def test_memory_may_hold_several_types(any_compiler):
    f = load(
        """double *d = bufs[0]; int64_t *i = bufs[0]; int64_t *y = bufs[1];
           for (int k = 0; k < 100; k++) d[k] = k;
           int64_t sum = 0;
           for (int k = 0; k < 100; k++) sum += i[k] >> 52;
           for (int k = 0; k < 100; k++) i[k] = k;
           y[0] = sum; y[1] = i[99];"""
    )
    y = np.zeros(2, np.int64)
    f(np.zeros(100), y)
    assert y.tolist() == [int((np.arange(100.0).view(np.int64) >> 52).sum()), 99]


@pytest.mark.skipif(os.name == "nt", reason="MSVC has no _Complex")
def test_complex_products_and_quotients_are_numpys(any_compiler):
    f = load(
        """const double _Complex *a = bufs[0], *b = bufs[1]; double _Complex *y = bufs[2];
           for (int i = 0; i < 50; i++) y[i] = a[i] * b[i];
           for (int i = 0; i < 50; i++) y[50 + i] = a[i] / b[i];"""
    )
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 50)) + 1j * rng.normal(size=(2, 50))
    a[0], b[0], b[1] = complex(np.inf, 1), complex(0, np.inf), 1e300 + 1e300j
    y = np.empty(100, complex)
    f(a, b, y)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(y[2:50], (a * b)[2:], rtol=1e-15)
        np.testing.assert_allclose(y[51:], (a / b)[1:], rtol=1e-14)


def test_careless_code_does_not_reach_others(any_compiler):
    """The flag `fast` reorders sums; denormal numbers go on existing in the rest of the process."""
    with config.context(fast=True):
        f = load("double *x = bufs[0]; x[1] = x[0] + 1;")
    x = np.array([1.0, 0.0])
    f(x)
    assert x[1] == 2 and np.float64(5e-324) * 1.0 == 5e-324 and np.array([1e-310])[0] / 2 > 0


@pytest.mark.skipif(not toolchain.libmvec(), reason="this C library has no vector math")
def test_vector_math_is_used(any_compiler):
    body = """const double *x = bufs[0]; double *y = bufs[1];
              TJ_SIMD
              for (int64_t i = 0; i < 1024; i++) y[i] = exp(x[i]);"""
    load(body)
    source = f"{BIND}\nTJ_EXPORT int64_t tj_entry(void **bufs, int64_t *err) {{\n{body}\nreturn 0;\n}}\n"
    assert b"_ZGV" in Path(compile.load(source).path).read_bytes()


MATH1 = """sin cos exp log tan asin acos atan sinh cosh tanh asinh acosh atanh exp2 expm1 log2 log10 log1p cbrt erf
           erfc sqrt fabs floor ceil trunc rint nearbyint round logb tgamma lgamma""".split()
MATH2 = "pow atan2 hypot fmod remainder copysign nextafter fmin fmax fdim".split()


@pytest.mark.parametrize("suffix, c, dtype", [("", "double", "f8"), ("f", "float", "f4")])
def test_every_declared_function_is_there(any_compiler, suffix, c, dtype):
    import math

    lines = [f"y[{i}] = {name}{suffix}(x[0]);" for i, name in enumerate(MATH1)]
    lines += [f"y[{len(MATH1) + i}] = {name}{suffix}(x[0], x[1]);" for i, name in enumerate(MATH2)]
    f = load(f"const {c} *x = bufs[0]; {c} *y = bufs[1];\n" + "\n".join(lines))
    y = np.zeros(len(lines), dtype)
    a, b = np.dtype(dtype).type(0.7), np.dtype(dtype).type(1.3)
    f(np.array([a, b]), y)
    numpy_names = dict(asin="arcsin", acos="arccos", atan="arctan", asinh="arcsinh", acosh="arccosh", atanh="arctanh")
    numpy_names |= dict(atan2="arctan2", pow="power", nearbyint="rint", remainder="_")
    for name, value in zip(MATH1 + MATH2, y):
        args = (a,) if name in MATH1 else (a, b)
        numpy_name = numpy_names.get(name, name)
        with np.errstate(all="ignore"):
            if hasattr(np, numpy_name) and name not in ("fmod",):
                want = getattr(np, numpy_name)(*args)
            elif name == "tgamma":
                want = math.gamma(a)
            elif name == "logb":
                want = -1.0
            elif name == "fdim":
                want = 0.0
            else:
                want = getattr(math, name)(*map(float, args))
        np.testing.assert_allclose(value, want, rtol=1e-6 if suffix else 1e-14, err_msg=name)


# ---------------------------------------------------------------- what goes wrong
def test_the_compilers_words_are_in_the_error():
    with pytest.raises(CompileError) as caught:
        compile.load("int f(void) {\n  return undeclared_thing;\n}\n")
    message = str(caught.value)
    assert "undeclared_thing" in message and "tracejit.c:2" in message
    assert "\n  where: " in message and "\n  do: " in message and "backend=numba" in message


def test_a_missing_function_is_an_error_of_the_load():
    with pytest.raises(CompileError, match="never_heard_of_it"):
        load("extern void never_heard_of_it(void); never_heard_of_it();")
    with pytest.raises(CompileError, match="tj_bind"):
        compile.load("int nothing;")


def test_no_such_compiler():
    with config.context(cc="/nowhere/cc"), pytest.raises(CompileError, match="/nowhere/cc"):
        compile.load(BIND)
    with config.context(cc="/nowhere/cc"):
        assert not toolchain.available()
    assert toolchain.available()


def script(tmp_path, name, text):
    path = tmp_path / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


@POSIX
def test_a_compiler_that_fails(tmp_path):
    cc = script(tmp_path, "cc", 'echo "cc: internal compiler error: out of luck" >&2\nexit 3\n')
    with config.context(cc=str(cc)), pytest.raises(CompileError, match="status 3.*\n?.*out of luck"):
        compile.load(BIND)


@POSIX
def test_a_compiler_that_makes_nothing_or_rubbish(tmp_path):
    with config.context(cc=str(script(tmp_path, "a", "exit 0\n"))), pytest.raises(CompileError, match="said nothing"):
        compile.load(BIND)
    rubbish = script(tmp_path, "b", 'while [ $# -gt 0 ]; do [ "$1" = -o ] && echo rubbish > "$2"; shift; done\n')
    with config.context(cc=str(rubbish)), pytest.raises(CompileError, match="cannot be loaded"):
        compile.load(BIND)


@POSIX
def test_a_compiler_that_dies(tmp_path):
    cc = script(tmp_path, "cc", "kill -9 $$\n")
    with config.context(cc=str(cc)), pytest.raises(CompileError, match="killed by signal 9"):
        compile.load(BIND)


@POSIX
def test_a_compiler_that_cannot_be_executed(tmp_path):
    cc = tmp_path / "cc"
    cc.write_bytes(b"\x7fELF rubbish")
    cc.chmod(0o755)
    with config.context(cc=str(cc)), pytest.raises(CompileError, match="cannot be run"):
        compile.load(BIND)


@POSIX
def test_a_compiler_that_hangs_is_killed_with_its_children(tmp_path, monkeypatch):
    mark = tmp_path / "survived"
    cc = script(tmp_path, "cc", f"[ $1 = --version ] && exit 0\n(sleep 2; touch {mark}) &\nsleep 60\n")
    monkeypatch.setattr(toolchain, "TIMEOUT", 0.5)
    start = time.monotonic()
    with config.context(cc=str(cc)), pytest.raises(CompileError, match="longer than 0.5 s"):
        compile.load(BIND)
    assert time.monotonic() - start < 20
    time.sleep(2.5)
    assert not mark.exists()


@POSIX
def test_ctrl_c_stops_the_compiler(tmp_path):
    mark = tmp_path / "survived"
    cc = script(tmp_path, "cc", f"[ $1 = --version ] && exit 0\ntouch {mark}.started\nsleep 3\ntouch {mark}\n")
    code = "from tracejit.kernels import compile\ntry: compile.load('')\nexcept KeyboardInterrupt: print('stopped')"
    environment = os.environ | {"TRACEJIT_FLAGS": f"cc={cc},cache_dir={tmp_path / 'cache'}", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(  # shells start what runs in the background with interrupts ignored
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while process.poll() is None and not Path(f"{mark}.started").exists():
        time.sleep(0.02)
    process.send_signal(2)
    assert process.communicate()[0] == b"stopped\n"
    time.sleep(3)
    assert not mark.exists()
    assert not list((tmp_path / "cache").rglob("tmp-*"))


@POSIX
def test_the_next_compiler_serves_where_the_first_does_not(tmp_path, monkeypatch):
    script(tmp_path, "cc", "exit 1\n")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert toolchain.compiler().command[0] != str(tmp_path / "cc")


@POSIX
def test_a_compiler_that_knows_few_flags(tmp_path):
    """Flags that a compiler refuses are left out, one by one."""
    real = toolchain.compiler()
    text = f"""
for a in "$@"; do
  case "$a" in
    -march=native|-fcx-fortran-rules) echo "error: unknown option $a" >&2; exit 1;;
  esac
done
exec {" ".join(real.command)} "$@"
"""
    with config.context(cc=str(script(tmp_path, "cc", text))):
        flags = toolchain.compiler().flags
        assert "-march=native" not in flags and "-fcx-fortran-rules" not in flags and "-O3" in flags
        assert ("-fopenmp-simd" in flags) == ("-fopenmp-simd" in real.flags)


def test_what_a_compiler_is_is_found_out_once(tmp_path):
    code = """
from tracejit.kernels import toolchain
calls = []
run = toolchain._run
toolchain._run = lambda line, *rest: calls.append(line) or run(line, *rest)
toolchain.compiler()
print(len(calls))
"""
    environment = os.environ | {"TRACEJIT_FLAGS": f"cache_dir={tmp_path / 'cache'}", "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert int(runs[0]) >= 2 and int(runs[1]) == 0


def test_user_flags_come_last_and_tell_libraries_apart():
    plain = compile.load(
        f"{BIND}TJ_EXPORT int64_t tj_entry(void **b, int64_t *e) {{ return 1 ANSWER; }}".replace(" ANSWER", "")
    )
    with config.context(cflags="-DANSWER=+5"):
        other = compile.load(f"{BIND}TJ_EXPORT int64_t tj_entry(void **b, int64_t *e) {{ return 1 ANSWER; }}")
    entry = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(other.address)
    assert entry(None, None) == 6 and plain.path != other.path


def test_the_same_text_is_loaded_once():
    assert compile.load(BIND + "TJ_EXPORT int64_t tj_entry(void **b, int64_t *e) { return 2; }") is compile.load(
        BIND + "TJ_EXPORT int64_t tj_entry(void **b, int64_t *e) { return 2; }"
    )


def test_the_prelude_reads_no_headers_which_are_what_costs():
    if toolchain.compiler().family != "msvc":
        assert "#include" not in toolchain.prelude().split("#else")[1]


# ---------------------------------------------------------------- BLAS
def test_blas_by_address():
    head = f"""{blas.prototype("dgemm")}
static tj_dgemm gemm;
TJ_EXPORT void tj_bind(const tj_api *api, void *const *routines) {{ gemm = (tj_dgemm)routines[1]; }}
"""
    body = """int m = 4, n = 3, k = 5; double one = 1, zero = 0; char no = 'N';
              gemm(&no, &no, &n, &m, &k, &one, bufs[1], &n, bufs[0], &k, &zero, bufs[2], &n);"""
    f = load(body, head, ("ddot", "dgemm"))
    a, b, c = np.random.rand(4, 5), np.random.rand(5, 3), np.empty((4, 3))
    f(a, b, c)
    np.testing.assert_allclose(c, a @ b, rtol=1e-14)


NEEDED = [
    *(p + r for p in "sdcz" for r in ("gemm", "gemv", "axpy", "syrk", "trsm", "potrf", "trtrs", "gesv")),
    *(p + r for p in "sdcz" for r in ("getrf", "getri", "getrs")),
    *("sdot ddot cdotu cdotc zdotu zdotc sger dger cgeru zgeru cgerc zgerc".split()),
]


@pytest.mark.parametrize("name", NEEDED)
def test_prototypes(name):
    text = blas.prototype(name)
    assert text.startswith("typedef ") and f"(*tj_{name})(" in text and text.endswith(");") and "__pyx" not in text
    assert {"s": "float *", "d": "double *", "c": "float _Complex *", "z": "double _Complex *"}[name[0]] in text
    assert blas.pointer(name) and blas.has(name)


@pytest.mark.skipif(os.name == "nt", reason="MSVC has no _Complex")
def test_prototypes_compile():
    compile.load(
        BIND
        + "\n".join(map(blas.prototype, NEEDED))
        + "\nTJ_EXPORT int64_t tj_entry(void **b, int64_t *e) { return 0; }"
    )


def test_no_such_routine():
    assert not blas.has("xgemm")
    with pytest.raises(UnsupportedError, match="xgemm"):
        blas.pointer("xgemm")


def test_scipy_is_whole_after_its_blas_was_loaded_alone():
    code = """
import sys
from tracejit.kernels import blas
where = blas.pointer("dgemm")
assert "scipy.linalg" not in sys.modules and "scipy.linalg.cython_blas" in sys.modules
import numpy as np, scipy.linalg, scipy.linalg.cython_blas, scipy.linalg.cython_lapack
assert sys.modules["scipy.linalg.cython_blas"].__pyx_capi__ is blas._exports("cython_blas")
assert np.allclose(scipy.linalg.solve(np.eye(3) * 2, np.ones(3)), 0.5)
from scipy.linalg.blas import dgemm
assert dgemm(1, np.eye(2), np.eye(2)).trace() == 2
print(blas.pointer("dgemm") == where)
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert out.stdout == "True\n", out.stderr
