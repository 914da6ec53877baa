"""Each op, compiled, means what its `ref` says: for every sample of every op, because it is registered."""

import numpy as np
import pytest
from programs import assert_close, run
from samples import NAMES, OPS, op_samples, results

from tracejit.kernels.c.emit import compile_program
from tracejit.kernels.program import build
from tracejit.symbolic.graph import close
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import new_variable
from tracejit.symbolic.types import type_of

#: Factorizations: their errors are relative to the size of the matrix, and two libraries round differently.
LAPACK = ("adjugate", "qr", "qr_r", "qr_raw", "qr_order", "lu", "svd", "singular_values", "eigh", "eigvalsh", "eig",
          "eigvals", "pinv", "lstsq", "permute_rows", "expm", "expm_derivative", "sqrtm", "sylvester")
FFT = ("fft", "rfft", "irfft")
#: The error of a rounded formula in units of the last place, where the default does not serve.
ULPS = {
    "digamma": 400,
    "polygamma": 100,
    "logaddexp2": 16,
    "log1mexp": 40,
    "gamma": 32,
    "gammaln": 32,
    "power": 32,
    "cumprod": 32,
    "reduce_prod": 32,
    "log_softmax": 40,
    "logsumexp": 16,
    "softmax": 16,
    "det": 32,
    "log_abs_det": 32,
    "solve": 64,
    "inv": 64,
    "triangular_solve": 64,
    "cholesky": 16,
    "linear_scan": 16,
    **dict.fromkeys(LAPACK, 64),
    **dict.fromkeys(FFT, 8),
    "expm": 1024,  # SciPy's error at a norm of 4; ours is some units
}
#: Ops whose errors are relative to their largest terms.
CANCELS = {
    "logaddexp",
    "logaddexp2",
    "logsumexp",
    "log_softmax",
    "reduce_sum",
    "cumsum",
    "dot_general",
    "gemm",
    "gemv",
    "linear_scan",
    "solve",
    "inv",
    "triangular_solve",
    "log_abs_det",
    "scatter_add",
    "gammaln",
    "digamma",
    "det",
    *LAPACK,
    *FFT,
}


@pytest.mark.parametrize("name", NAMES)
def test_op_compiled(name):
    samples, variables, outs, arrays = [], [], [], []
    for args, attrs in op_samples(name):
        own = [new_variable(type_of(a)) for a in args]
        variables += own
        arrays += args
        found = results(OPS[name](*own, **attrs))
        outs += found
        samples += [(args, attrs)] * len(found)
    graph = close(variables, outs)
    got, want = run(compile_program(build(graph)), arrays), evaluate(graph, *arrays)
    for (args, attrs), g, w in zip(samples, got, want):
        if name == "gammaln":  # SciPy's is infinite at the smallest number: the right answer is 744.44
            g = np.where(np.abs(args[0]) < np.finfo(args[0].dtype).tiny, w, g)
        try:
            assert_close(
                g, w, ULPS.get(name, 8), scale=_scale(args) if name in CANCELS or w.dtype.kind == "c" else None
            )
        except AssertionError as error:
            raise AssertionError(f"{name}({args}, {attrs}): {error}") from None


def _scale(args):
    """Return the size of the largest finite argument, at least 1."""
    sizes = [np.abs(np.asarray(a)[np.isfinite(a)]).astype(float).max(initial=1) for a in args if a.dtype.kind in "fc"]
    return max(sizes, default=1)
