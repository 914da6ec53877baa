"""Functions of square matrices: exponential, square root, and the equation of Sylvester, which derivatives need.

Al-Mohy and Higham 2009, "A new scaling and squaring algorithm for the matrix exponential"; Higham 2008, "Functions of
Matrices", chapters 3 and 6.
"""

import numpy as np

from tracejit.errors import TypeRuleError
from tracejit.symbolic.ir import define
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.linalg import matrix_transpose, square, stack_batch
from tracejit.symbolic.ops.shape import concatenate, slice_, zeros


def _block(a, i, j, m, n):
    stack = a.shape[:-2]
    return slice_(a, [0] * len(stack) + [i, j], [1] * a.ndim, [*stack, m, n])


def _upper_blocks(a, b):
    """Return the matrices of blocks ((a, b), (0, a))."""
    rows = [concatenate([a, b], a.ndim - 1), concatenate([zeros(a.type), a], a.ndim - 1)]
    return concatenate(rows, a.ndim - 2)


# ---------------------------------------------------------------- exponential
def _expm_ref(a):
    from scipy.linalg import expm as scipy_expm  # costs 0.2 s at import, and only the oracle needs it

    return np.asarray(scipy_expm(a)) if a.size else a


def _matrices(rng, dtypes=("f4", "f8", "c8", "c16"), shapes=((3, 3), (2, 2, 2), (1, 1), (0, 2, 2)), scales=(1,),
              shift=0):
    for dtype in map(np.dtype, dtypes):
        for shape in shapes:
            for scale in scales:
                a = rng.uniform(-1, 1, shape)
                if dtype.kind == "c":
                    a = a + 1j * rng.uniform(-1, 1, shape)
                yield (a * scale + shift * np.eye(shape[-1])).astype(dtype)


def _expm_samples(rng):
    for a in _matrices(rng, scales=(1e-3, 0.05, 0.3, 1, 4)):
        yield [a], {}


#: The exponential of each matrix.
expm = define("expm", type=lambda a: square(a, "expm"), ref=_expm_ref, routine="expm", batch=stack_batch,
              jvp=lambda node, ts: expm_derivative(node.args[0], ts[0]), samples=_expm_samples)


def _derivative_type(a, e):
    if a is not e:
        raise TypeRuleError(f"expm_derivative of {a} along {e}")
    return square(a, "expm_derivative")


def _derivative_expand(a, e):
    n = a.shape[-1]
    return _block(expm(_upper_blocks(a, e)), 0, n, n, n)


def _derivative_ref(a, e):
    n = a.shape[-1]
    blocks = np.concatenate([np.concatenate([a, e], -1), np.concatenate([np.zeros_like(a), a], -1)], -2)
    return np.ascontiguousarray(_expm_ref(blocks)[..., :n, n:])


def _derivative_jvp(node, tangents):
    """The same device once more, on matrices of blocks."""
    a, e = node.args
    n = a.shape[-1]
    second = expm_derivative(_upper_blocks(a, e), _upper_blocks(tangents[0], zeros(a.type)))
    return _block(second, 0, n, n, n)


def _derivative_samples(rng):
    for a in _matrices(rng):
        yield [a, a[..., ::-1, :] * 0.5], {}


#: The derivative of the exponential at `a` along `e` (Fréchet's), a corner of the exponential of ((a, e), (0, a)).
expm_derivative = define(
    "expm_derivative", type=_derivative_type, ref=_derivative_ref, expand=_derivative_expand, linear=(1,),
    jvp=_derivative_jvp, batch=stack_batch, samples=_derivative_samples,
    transpose=lambda ct, node, wanted: (None, expm_derivative(matrix_transpose(node.args[0]), ct)))


# ---------------------------------------------------------------- square root
def _complex_square(a, what):
    if a.kind != "c":
        raise TypeRuleError(f"{what} of {a}: needs complex matrices")
    return square(a, what)


def _sqrtm_ref(a):
    from scipy.linalg import sqrtm as scipy_sqrtm  # as in `_expm_ref`

    out = np.empty_like(a)
    for k in np.ndindex(*a.shape[:-2]):
        out[k] = scipy_sqrtm(a[k])
    return out


def _positive_samples(rng):
    for a in _matrices(rng, ("c8", "c16"), shift=3):
        yield [a], {}


#: The principal square root of each (complex) matrix.
sqrtm = define("sqrtm", type=lambda a: _complex_square(a, "sqrtm"), ref=_sqrtm_ref, routine="sqrtm", batch=stack_batch,
               jvp=lambda node, ts: sylvester(node, node, ts[0]), samples=_positive_samples)


# ---------------------------------------------------------------- Sylvester's equation
def _sylvester_type(a, b, c):
    for x in (a, b):
        _complex_square(x, "sylvester")
    if c.dtype != a.dtype or b.dtype != a.dtype or c.shape != (*a.shape[:-1], b.shape[-1]) or b.ndim != a.ndim:
        raise TypeRuleError(f"sylvester of {a}, {b}, {c}")
    return c


def _sylvester_ref(a, b, c):
    from scipy.linalg import solve_sylvester  # as in `_expm_ref`

    out = np.empty_like(c)
    for k in np.ndindex(*a.shape[:-2]):
        out[k] = solve_sylvester(a[k], b[k], c[k])
    return out


def _sylvester_jvp(node, tangents):
    a, b, _ = node.args
    da, db, _ = tangents
    moved = [matmul(da, node)] if da is not None else []
    moved += [matmul(node, db)] if db is not None else []
    return -sylvester(a, b, moved[0] if len(moved) == 1 else moved[0] + moved[1])


def _sylvester_samples(rng):
    for a in _matrices(rng, ("c8", "c16"), ((3, 3), (2, 2, 2), (1, 1)), shift=3):
        b = a[..., :2, :2] * 0.5
        yield [a, b, a[..., :, :2]], {}


#: ``x`` with ``a @ x + x @ b = c``.
sylvester = define(
    "sylvester", type=_sylvester_type, ref=_sylvester_ref, routine="sylvester", linear=(2,), jvp=_sylvester_jvp,
    batch=stack_batch, samples=_sylvester_samples, transpose=lambda ct, node, wanted: (
        None, None, sylvester(matrix_transpose(node.args[0]), matrix_transpose(node.args[1]), ct)))
