"""The C vector math against mpmath: accuracy, special values, and that the loops really become SIMD code."""

import ctypes
import math
import platform
import re
import subprocess

import mpmath
import numpy as np
import pytest

from tracejit.kernels import toolchain
from tracejit.kernels.c import vmath

FUNCTIONS = sorted(vmath.functions())
# In units of the last place. These end in a quotient or a sum of rounded values; each bound is the largest error
# seen on a million points, rounded up. Everything else stays within 2.
BOUNDS = {"tanh": 2.6, "tan": 3.5, "sigmoid": 2.3, "softplus": 2.1, "log1mexp": 2.4, "logaddexp": 2.8}
WITHOUT_FMA = {"log2": 2.1, "log10": 2.1, "sin": 2.2, "cos": 2.2}
# where the argument is drawn from: uniformly, or with its logarithm uniform (a sign then goes with it)
UNIFORM = {
    "exp": [(-745, 709.7), (-1, 1)],
    "exp2": [(-1074, 1023.9), (-1, 1)],
    "expm1": [(-40, 709.7), (-1, 1)],
    "log": [(0.5, 2), (0.95, 1.05)],
    "log2": [(0.5, 2), (0.95, 1.05)],
    "log10": [(0.5, 2), (0.95, 1.05)],
    "log1p": [(-0.999, 2)],
    "softplus": [(-745, 40), (-2, 2)],
    "log1mexp": [(-745, -0.01), (-2, -0.01)],
    "sigmoid": [(-745, 40), (-2, 2)],
    "tanh": [(-22, 22), (-2, 2)],
    "sinh": [(-710.4, 710.4), (-2, 2)],
    "cosh": [(-710.4, 710.4), (-2, 2)],
    "sin": [(-20, 20), (-1e4, 1e4)],
    "cos": [(-20, 20), (-1e4, 1e4)],
    "tan": [(-20, 20), (-1e4, 1e4)],
    "arctan": [(-20, 20), (-1, 1)],
    "erf": [(-6, 6), (-1.2, 1.2)],
}
LOGARITHMIC = {
    "exp": (1e-300, 700),
    "exp2": (1e-300, 1000),
    "expm1": (1e-310, 700),
    "log": (5e-324, 1.7e308),
    "log2": (5e-324, 1.7e308),
    "log10": (5e-324, 1.7e308),
    "log1p": (1e-310, 1.7e308),
    "softplus": (1e-300, 700),
    "log1mexp": (1e-310, 700),
    "sigmoid": (1e-300, 700),
    "tanh": (1e-310, 22),
    "sinh": (1e-310, 710),
    "cosh": (1e-310, 710),
    "sin": (1e-310, 1e8),
    "cos": (1e-310, 1e8),
    "tan": (1e-310, 1e8),
    "arctan": (1e-310, 1e308),
    "erf": (1e-310, 6),
}
SHORT = {  # float32 runs out of range earlier
    **dict.fromkeys(("exp", "softplus", "sigmoid", "log1mexp"), (-103, 88.7)),
    "exp2": (-149, 127.9),
    "expm1": (-40, 88.7),
    **dict.fromkeys(("sinh", "cosh"), (-89.4, 89.4)),
    **dict.fromkeys(("sin", "cos", "tan"), (-1e4, 1e4)),
}
POSITIVE = {"log", "log2", "log10", "log1p"}
NEGATIVE = {"log1mexp"}


def softplus(x):
    return mpmath.log1p(mpmath.exp(x))


def log1mexp(x):
    return mpmath.log(-mpmath.expm1(x)) if x > -1 else mpmath.log1p(-mpmath.exp(x))


EXACT = {
    "exp2": lambda x: mpmath.power(2, x),
    "log2": lambda x: mpmath.log(x, 2),
    "softplus": softplus,
    "log1mexp": log1mexp,
    "sigmoid": lambda x: mpmath.exp(x) / (1 + mpmath.exp(x)),
    "arctan": mpmath.atan,
    "arctan2": mpmath.atan2,
    "logaddexp": lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)),
}
NUMPY = {
    "softplus": lambda x: np.logaddexp(x.dtype.type(0), x),
    "log1mexp": lambda x: np.log1p(-np.exp(x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x.astype(np.float64))),
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
}


def parts(function):
    name, dtype = function[3:].rsplit("_", 1)
    return name, np.dtype({"f64": np.float64, "f32": np.float32}[dtype])


def arity(function):
    return 2 if parts(function)[0] in ("arctan2", "hypot", "logaddexp") else 1


def loop(function):
    kind = "double" if function.endswith("f64") else "float"
    names = ["x", "y"][: arity(function)]
    inputs = "".join(f"const {kind} *TJ_RESTRICT {name}, " for name in names)
    values = ", ".join(f"{name}[i]" for name in names)
    return (
        f"TJ_EXPORT void loop_{function}({inputs}{kind} *TJ_RESTRICT out, int64_t n)\n"
        f"{{\nTJ_SIMD\nfor (int64_t i = 0; i < n; i++) out[i] = {function}({values});\n}}\n"
    )


GUARDED = """
TJ_EXPORT uint64_t guarded(const double *TJ_RESTRICT x, double *TJ_RESTRICT out, int64_t n)
{
  uint64_t wide = 0;
_Pragma("omp simd reduction(|:wide)")
  for (int64_t i = 0; i < n; i++) { out[i] = tj_sin_f64(x[i]); wide |= tj_trig_wide_f64(x[i]); }
  if (wide)
    for (int64_t i = 0; i < n; i++) out[i] = sin(x[i]);
  return wide;
}
TJ_EXPORT int has_fma(void) { return TJ_HAS_FMA; }
"""


def compile_c(body, tmp, flags=()):
    """Compile with the compiler and the flags that kernels get; a machine without a compiler fails here."""
    compiler = toolchain.compiler()
    source, target = tmp / "vmath.c", tmp / "vmath.so"
    source.write_text(toolchain.unit(body, 1), encoding="utf-8")
    done = subprocess.run(compiler.line(source, target, flags), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target, done.stderr


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    body = vmath.sections(set(FUNCTIONS)) + "".join(map(loop, FUNCTIONS)) + GUARDED
    return ctypes.CDLL(str(compile_c(body, tmp_path_factory.mktemp("vmath"))[0]))


def run(library, function, *args):
    args = [np.ascontiguousarray(a) for a in args]
    out = np.empty_like(args[0])
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*args, out)]
    getattr(library, "loop_" + function)(*pointers, ctypes.c_int64(out.size))
    return out


def to_dtype(x, dtype):
    """The mpmath number as a value of the dtype and what that leaves over, in units of its last place."""
    with np.errstate(all="ignore"):
        rounded = dtype.type(float(x))
        unit = float(np.spacing(abs(rounded)))
    return float(rounded), float((x - mpmath.mpf(float(rounded))) / unit), unit


def errors(function, out, *args):
    """The distance of each result from the exact one, in units of the last place."""
    name, dtype = parts(function)
    exact = EXACT.get(name) or getattr(mpmath, name)
    found = np.empty(out.size)
    with mpmath.workprec(200):
        for i, point in enumerate(zip(*(a.astype(np.float64).tolist() for a in args))):
            rounded, rest, unit = to_dtype(exact(*map(mpmath.mpf, point)), dtype)
            found[i] = abs((float(out[i]) - rounded) / unit - rest)
    return found


def bound(library, function):
    bounds = BOUNDS if library.has_fma() else BOUNDS | WITHOUT_FMA
    return bounds.get(parts(function)[0], 2.0)


def draw(function, rng, n):
    name, dtype = parts(function)
    info = np.finfo(dtype)
    low, high = SHORT.get(name, (-np.inf, np.inf)) if dtype == np.float32 else (-np.inf, np.inf)
    chunks = [rng.uniform(max(a, low), min(b, high), n) for a, b in UNIFORM[name]]
    small, large = LOGARITHMIC[name]
    small, large = max(small, float(info.smallest_subnormal)), min(large, float(info.max) * 0.99)
    size = np.exp(rng.uniform(np.log(small), np.log(large), n))
    sign = 1 if name in POSITIVE else -1 if name in NEGATIVE else rng.choice([-1, 1], n)
    chunks.append(np.clip(sign * size, low, high))
    if name in ("sin", "cos", "tan"):  # next to the zeros and the poles, where the reduction cancels
        chunks.append(rng.integers(1, 6000 if dtype == np.float32 else 2**25, n) * (np.pi / 2))
    x = np.concatenate(chunks).astype(dtype)
    return x[x != 0]


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if arity(f) == 1])
def test_accuracy(library, function):
    x = draw(function, np.random.default_rng(7), 500)
    out = run(library, function, x)
    found = errors(function, out, x)
    worst = int(np.argmax(found))
    assert found[worst] <= bound(library, function), (x[worst], out[worst], found[worst])


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if arity(f) == 2])
def test_accuracy_of_two_arguments(library, function):
    name, dtype = parts(function)
    rng = np.random.default_rng(7)
    spread = 10.0 ** rng.uniform(-3, 3, (2, 600))
    x, y = (rng.normal(size=(2, 600)) * spread).astype(dtype)
    if name == "logaddexp":  # the sum of two numbers cancels near zero, as in NumPy's function
        x, y = abs(x) / 10, y / 10
    out = run(library, function, x, y)
    found = errors(function, out, x, y)
    worst = int(np.argmax(found))
    assert found[worst] <= bound(library, function), (x[worst], y[worst], out[worst], found[worst])


def specials(dtype):
    info = np.finfo(dtype)
    values = [0.0, info.smallest_subnormal, info.tiny / 8, info.tiny, 1e-20, 0.5, 1.0, 2.0, 89.5, 104.5, 128.0]
    values += [150.0, 710.0, 746.0, 1024.0, 1075.0, info.max, np.inf, np.nan]
    return np.array(values + [-v for v in values], dtype)


def assert_same(out, expected, points):
    with np.errstate(all="ignore"):
        near = np.abs(out.astype(np.float64) - expected) <= 4 * np.spacing(np.abs(expected)).astype(np.float64)
        same = (np.isnan(out) & np.isnan(expected)) | (out == expected) | (near & np.isfinite(expected))
        same &= np.isnan(expected) | (np.signbit(out) == np.signbit(expected))
    assert same.all(), [(*(p[i] for p in points), out[i], expected[i]) for i in np.nonzero(~same)[0]]


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if arity(f) == 1])
def test_special_values(library, function):
    name, dtype = parts(function)
    x = specials(dtype)
    if name in ("sin", "cos", "tan"):
        x = x[~(np.isfinite(x) & (abs(x) > 1e4))]
    if name == "sigmoid":  # the subnormal results of e^x are not those of 1 / (1 + e^-x)
        x = x[~(x < np.log(np.finfo(dtype).tiny)) | np.isinf(x)]
    if name == "log1mexp":
        x = x[~((x > -0.1) & (x < 0))]
    with np.errstate(all="ignore"):
        expected = (NUMPY.get(name) or getattr(np, name))(x).astype(dtype)
        if name == "log1mexp":  # 1 - e^x is not positive there
            expected[x > 0] = np.nan
    assert_same(run(library, function, x), expected, [x])


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if arity(f) == 2])
def test_special_values_of_two_arguments(library, function):
    name, dtype = parts(function)
    values = specials(dtype)
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(x, y)
    assert_same(run(library, function, x, y), expected, [x, y])


@pytest.mark.parametrize("dtype", ["f64", "f32"])
def test_powers_have_exact_logarithms(library, dtype):
    kind = np.float64 if dtype == "f64" else np.float32
    for name, base, limit in (("log2", 2.0, 120), ("log10", 10.0, 37)):
        n = np.arange(-limit, limit + 1)
        x = np.array([float(f"1e{k}") if base == 10 else base**k for k in n.tolist()], kind)
        np.testing.assert_array_equal(run(library, f"tj_{name}_{dtype}", x), n.astype(kind))


def test_exp_underflows_gradually(library):
    x = np.linspace(-745.2, -708, 400)
    out = run(library, "tj_exp_f64", x)
    assert (np.diff(out) >= 0).all() and (out[x > -745.13] > 0).all() and out[0] == 0
    assert errors("tj_exp_f64", out, x).max() <= 1


@pytest.mark.parametrize("function", [f for f in FUNCTIONS if arity(f) == 1])
def test_every_length_and_every_lane(library, function):
    """A vector's lanes, and the scalar loop over what is left of them, agree: compare with the same values alone."""
    _, dtype = parts(function)
    x = draw(function, np.random.default_rng(3), 20)[:37]
    alone = np.concatenate([run(library, function, x[i : i + 1]) for i in range(x.size)])
    for n in (1, 3, 7, 16, 33, 37):
        np.testing.assert_array_equal(run(library, function, x[:n]), alone[:n])


def test_large_arguments_of_sine_are_seen(library):
    small, large = np.linspace(-1e6, 1e6, 1000), np.array([1.0, -1e300, 2.0])
    for x, seen in ((small, 0), (large, 1)):
        out = np.empty_like(x)
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in (x, out)]
        library.guarded.restype = ctypes.c_uint64
        assert library.guarded(*pointers, ctypes.c_int64(x.size)) == seen
        np.testing.assert_allclose(out, np.sin(x), rtol=1e-14)


def test_accuracy_of_sine_up_to_its_limit(library):
    limit = 1e13 if library.has_fma() else 1e8
    x = np.exp(np.random.default_rng(5).uniform(np.log(1e4), np.log(limit), 500))
    for function in ("tj_sin_f64", "tj_cos_f64"):
        assert errors(function, run(library, function, x), x).max() <= 2


def test_loops_are_vectorised(tmp_path):
    compiler = toolchain.compiler()
    assert compiler.family in ("gcc", "clang"), "no report of the vectoriser is known for this compiler"
    gcc = compiler.family == "gcc"
    body = "\n".join([vmath.sections(set(FUNCTIONS)), *map(loop, FUNCTIONS), GUARDED])
    flags = ["-fopt-info-vec-optimized"] if gcc else ["-Rpass=loop-vectorize"]
    _, report = compile_c(body, tmp_path, flags)
    words = "loop vectorized" if gcc else "vectorized loop"
    lines = {int(n) for n in re.findall(rf"tracejit\.c:(\d+):\d+: .*{words}", report)}
    text = body.splitlines()
    wanted = {i: line for i, line in enumerate(text, 1) if line.startswith("for (int64_t") or "wide |=" in line}
    assert len(wanted) == len(FUNCTIONS) + 1
    assert platform.machine() in ("x86_64", "AMD64", "aarch64", "arm64")
    assert not {wanted[i] for i in wanted if i not in lines and i - 1 not in lines}


def test_sections_hold_what_they_need():
    for function in FUNCTIONS:
        text = vmath.sections({function})
        defined = [m[1] for m in re.finditer(r"^TJ_MATH \w+ (tj_\w+)\(", text, re.M)]
        used = set(re.findall(r"\btj_\w+(?=\()", re.sub(r"//.*", "", text))) - {"tj_fma", "tj_fmaf"}
        assert used == set(defined) and len(defined) == len(set(defined)), function
    assert vmath.sections(set()) == ""


def test_sections_of_several_functions_share_what_they_need():
    text = vmath.sections({"tj_softplus_f64", "tj_logaddexp_f64", "tj_sin_f32"})
    assert text.count("double tj_log_tail_f64(") == text.count("TJ_HAS_FMA 1") == 1
    with pytest.raises(KeyError):
        vmath.sections({"tj_gamma_f64"})


def test_every_function_has_both_precisions():
    names = {parts(f)[0] for f in FUNCTIONS}
    assert {f"tj_{name}_{dtype}" for name in names for dtype in ("f64", "f32")} == set(FUNCTIONS)
