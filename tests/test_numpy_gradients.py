"""Derivatives of the sample calls of NumPy functions: forward against differences, reverse against forward."""

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import scipy.special
from numpy_samples import Number, clone, numpy_answer
from test_numpy_coverage import SAMPLED

from tracejit import config, grad, tree, vmap
from tracejit.errors import NotDifferentiableError
from tracejit.symbolic.autodiff import jvp, vjp
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.types import Type
from tracejit.testing import check_grads
from tracejit.trace.staging import Leaf, stage

#: Results that are constant, or filled with whatever memory holds.
CONSTANT = {np.empty, np.empty_like}
#: Some of their results are vectors whose phase, or choice within a space, is free: tested by the ops' own samples.
BASES = {np.linalg.qr, np.linalg.svd, np.linalg.eigh, scipy.linalg.qr, scipy.linalg.svd, scipy.linalg.eigh,
         scipy.linalg.eig, scipy.linalg.orth, scipy.linalg.null_space}
#: Functions that jump where the rank does, or where a value passes a cutoff.
OF_CONSTANT_RANK = {np.linalg.pinv, np.linalg.lstsq, scipy.linalg.pinv, scipy.linalg.lstsq}
#: Functions in which what is taken up and down again meets itself, or that jump where their range ends.
WITH_KINKS = {scipy.ndimage.grey_opening, scipy.ndimage.grey_closing, scipy.ndimage.white_tophat,
              scipy.ndimage.black_tophat, scipy.ndimage.affine_transform}
STEP = 1e-6


def smooth_calls(function, most=12):
    """Return the sample calls from float64 arrays to float64 arrays in which every number is finite."""
    found = []
    for sample in SAMPLED[function]:
        leaves = tree.flatten((sample.args, sample.kwargs), is_leaf=is_leaf)[0]
        arrays = [v for v in leaves if isinstance(v, np.ndarray)]
        if any(isinstance(v, Number) for v in leaves) or not any(a.dtype == np.float64 and a.size for a in arrays):
            continue
        if not all(np.isfinite(a).all() for a in arrays):
            continue
        want, _ = numpy_answer(function, sample)
        results = tree.flatten(want)[0] if not isinstance(want, Exception) else []
        if any(np.asarray(r).dtype == np.float64 and np.size(r) and np.isfinite(r).all() for r in results):
            found.append(sample)
    return found[:most]


def is_leaf(x):
    return isinstance(x, (np.ndarray, Number))


def is_smooth(function, sample):
    """Return whether the point of a sample is one where the function has a derivative."""
    array = next(v for v in tree.flatten((sample.args, sample.kwargs))[0] if isinstance(v, np.ndarray))
    if function is np.linalg.slogdet:
        return np.all(np.linalg.det(array))  # the logarithm of 0
    if function in BASES:
        return False
    if function in OF_CONSTANT_RANK:
        cutoff = sample.kwargs or len(sample.args) > (2 if "lstsq" in function.__name__ else 1)
        return not cutoff and np.all(np.linalg.matrix_rank(array) == min(array.shape[-2:]))
    if function in (np.std, np.nanstd):
        return np.all(numpy_answer(function, sample)[0])  # the root has no slope at 0
    if function in (np.histogram, np.histogram2d, np.histogramdd):
        return False  # what lies on an edge falls to either side
    if function in (scipy.special.comb, scipy.special.perm):
        n, k = np.broadcast_arrays(*sample.args[:2])
        return not np.any((n == k) | (n == 0) | (k == 0))  # it is 0 beyond
    if function is scipy.special.factorial:
        return np.all(array)  # it is 0 below
    if function in (np.round, np.around):
        return not np.any(array % 1 == 0.5)
    return function is not np.interp or np.abs(np.subtract.outer(array, sample.args[1])).min() > 1e-4


def graph_of(function, sample):
    leaves, structure = tree.flatten((sample.args, sample.kwargs), is_leaf=is_leaf)
    args, kwargs = tree.unflatten(structure, [Leaf(Type(v.dtype, v.shape)) if is_leaf(v) else v for v in leaves])
    point = [np.array(clone(v), order="C") for v in leaves if is_leaf(v)]
    return stage(function, args, kwargs, values=point).graph, point


def squares(node):
    """Return the sum of the squares of an array, whose size the data decide."""
    return reduce_sum(node * node, axes=tuple(range(node.ndim)))


@pytest.mark.parametrize("function", SAMPLED, ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_derivatives(function):
    for sample in smooth_calls(function):
        if not is_smooth(function, sample):
            continue
        graph, point = graph_of(function, sample)
        point = [p.reshape(t.shape) for p, t in zip(point, graph.params)]
        active = [i for i, t in enumerate(graph.params) if t.dtype == np.float64]
        outs = [k for k, t in enumerate(graph.out_types) if t.dtype == np.float64]
        graph = graph.replace([graph.outs[k] for k in outs]) if not graph.writes else graph
        whole, graph = graph, graph.replace([n if n.type.is_static else squares(n) for n in graph.outs])
        outs = [k for k, t in enumerate(graph.out_types) if t.dtype == np.float64]
        rng = np.random.default_rng(3)
        directions = [rng.normal(size=graph.params[i].shape) for i in active]
        try:
            values = evaluate(jvp(graph, active), *point, *directions)
        except NotDifferentiableError:
            continue
        values, forward = values[:len(graph.outs)], values[len(graph.outs):]
        steps, sizes = [], [[v.shape for v in evaluate(whole, *point)]]
        for sign in (1, -1):
            moved = list(point)
            for i, d in zip(active, directions):
                moved[i] = point[i] + sign * STEP * d
            try:
                steps.append(evaluate(graph, *moved))
                sizes.append([v.shape for v in evaluate(whole, *moved)])
            except ValueError:  # the point lies at the end of where there is an answer
                break
        if len(steps) < 2 or sizes.count(sizes[0]) < 3:
            continue  # what lies beside the point has another size: equal numbers are told apart
        for k in outs:
            slope = (steps[0][k] - steps[1][k]) / (2 * STEP)
            if function in WITH_KINKS:  # where the slopes to both sides differ there is no derivative
                up, down = (steps[0][k] - values[k]) / STEP, (values[k] - steps[1][k]) / STEP
                slope = np.where(np.abs(up - down) > 1e-3, forward[k], slope)
            scale = 1 + np.abs(slope).max(initial=0)
            np.testing.assert_allclose(forward[k] / scale, slope / scale, atol=2e-6, rtol=2e-6,
                                       err_msg=f"{function} {sample!r}")
        weights = [rng.normal(size=v.shape) if v.dtype == np.float64 else np.zeros_like(v) for v in values]
        back = evaluate(vjp(graph, active), *point, *weights)[:len(active)]
        left = sum(np.sum(weights[k] * forward[k]) for k in outs)
        right = sum(np.sum(b * d) for b, d in zip(back, directions))
        assert abs(left - right) <= 1e-8 * (1 + abs(left)), f"{function} {sample!r}: {left} and {right}"


# ---------------------------------------------------------------- to second order
RNG = np.random.default_rng(0)
V, T, W = RNG.normal(size=3), RNG.normal(size=(4, 3)), RNG.normal(size=(3, 4))
A = RNG.normal(size=(3, 3)) * 0.4 + 2 * np.eye(3)
D = A + np.diag([0.0, 1.0, 2.0])  # whose eigenvalues are apart
STACK = RNG.normal(size=(2, 3, 3)) * 0.3 + 2 * np.eye(3)


def leading(a):
    """Return the part of a matrix that belongs to its largest singular value."""
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return (u[:, :1] * s[0]) @ vh[:1]


def squared(a):
    values, vectors = np.linalg.eig(a)
    return np.real((vectors * values**2) @ np.linalg.inv(vectors))


def weighted(a):
    values, vectors = np.linalg.eigh(a + a.T)
    return values, (vectors * np.arange(1, 4)) @ vectors.T


TWICE = {
    "solve": (np.linalg.solve, STACK, T[:2, :, None]), "inv": (np.linalg.inv, A), "det": (np.linalg.det, A),
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], STACK), "cholesky": (lambda a: np.linalg.cholesky(a @ a.T), A),
    "qr": (lambda a: tuple(np.linalg.qr(a)), T), "qr of wide": (lambda a: tuple(np.linalg.qr(a)), W),
    "svd": (leading, T), "svd of wide": (leading, W), "singular values": (lambda a: np.linalg.svd(a)[1], T),
    "eigh": (weighted, A), "eig": (squared, D), "eigvals": (lambda a: np.abs(np.linalg.eigvals(a)).sum(), D),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b)[:2], T, T[:, 0] ** 2),
    "lstsq of wide": (lambda a, b: np.linalg.lstsq(a, b)[0], W, V),
    "pinv": (np.linalg.pinv, T), "pinv of wide": (np.linalg.pinv, W), "norm": (np.linalg.norm, V),
    "spectral norm": (lambda a: np.linalg.norm(a, 2), T), "nuclear norm": (lambda a: np.linalg.norm(a, "nuc"), T),
    "norms of rows": (lambda a: np.linalg.norm(a, 3, axis=1), T), "cond": (np.linalg.cond, A),
    "matrix power": (lambda a: np.linalg.matrix_power(a, -3), A), "expm": (scipy.linalg.expm, A),
    "expm of large": (scipy.linalg.expm, 4 * A), "sqrtm": (lambda a: np.real(scipy.linalg.sqrtm(a @ a.T)), A),
    "cho_solve": (lambda a, b: scipy.linalg.cho_solve(scipy.linalg.cho_factor(a @ a.T), b), A, V),
    "lu_solve": (lambda a, b: scipy.linalg.lu_solve(scipy.linalg.lu_factor(a), b), A, V), "lu": (scipy.linalg.lu, A),
    "fft": (lambda x: np.abs(np.fft.fft(x)) ** 2, V), "fftn": (lambda x: np.real(np.fft.ifftn(np.fft.fftn(x) ** 2)), T),
    "rfft": (lambda x: np.fft.irfft(np.fft.rfft(x, 5) * (1 + 2j)) ** 2, V),
    "fft of complex": (lambda z: np.fft.fft(z) ** 2, V + 1j * V[::-1]),
    "einsum": (lambda a, b, c: np.einsum("ij,jk,kl->il", a, b, c) ** 2, T, A, W),
    "einsum of a diagonal": (lambda a: np.einsum("ii->i", a) ** 2, A),
    "sort": (lambda x: np.sort(x) * np.array([1.0, 2.0, 4.0]) * x, V), "cumsum": (lambda x: np.cumsum(x**2) ** 2, V),
    "cumprod": (np.cumprod, np.array([2.0, 0.0, 3.0, 0.0, 4.0])), "prod": (np.prod, V),
    "prod with a zero": (np.prod, np.array([2.0, 0.0, 3.0])), "and with two": (np.prod, np.array([0.0, 0.0, 3.0])),
    "prod of rows": (lambda x: np.prod(x, axis=1), np.array([[0.0, 1, 2], [0, 0, 1], [1, 2, 3]])),
    "logsumexp": (lambda x: scipy.special.logsumexp(np.append(x, -np.inf)), V), "power": (np.power, np.abs(V), V),
    "arctan2": (np.arctan2, V, V + 1), "clip": (lambda x: np.clip(x, -0.1, 0.5) ** 2, V),
    "interp": (lambda x, y: np.interp(x, np.arange(4.0), y) ** 2, np.array([0.3, 1.4, 2.2]), T[:, 0]),
}


@pytest.mark.parametrize("name", TWICE)
def test_second_derivatives(name):
    """Each mode over each, against differences of the first ones."""
    f, *args = TWICE[name]
    with config.context(backend="ref"):
        check_grads(f, tuple(args), order=2)


# ---------------------------------------------------------------- scatters
PLACES = [0, 1, 0, 2, 2, 0]


def updated(ufunc, places=PLACES):
    def f(x, values):
        out = x.copy()
        ufunc.at(out, places, values)
        return out
    return f


@pytest.mark.parametrize("values", [np.arange(1.0, 7), np.array([0.0, 2, 3, 0, 0, 4]), np.array([0.0, 2, 0, 0, 5, 4]),
                                    np.zeros(6)])
def test_products_in_places(values):
    """Values that meet in one place, none, one or more of them zero."""
    with config.context(backend="ref"):
        check_grads(updated(np.multiply), (np.array([2.0, 0.0, 3.0]), values), order=3, step=1e-3, rtol=1e-5, atol=1e-5)


def test_scatters_of_rows_and_complex_numbers_and_in_batches():
    pairs = np.array(PLACES), np.array([0, 1, 0, 1, 1, 0])
    with config.context(backend="ref"):
        check_grads(updated(np.multiply), (T[:3], RNG.normal(size=(6, 3))), order=2)
        check_grads(updated(np.multiply), (V + 1j, np.arange(6) - 2j), order=2)
        check_grads(updated(np.multiply, pairs), (T[:3], np.arange(6.0)), order=2)
        for ufunc in (np.maximum, np.minimum):
            check_grads(updated(ufunc), (V, RNG.normal(size=6)), order=2)
    for ufunc in (np.multiply, np.maximum):
        slope = grad(lambda v, f=updated(ufunc): (f(V, v) ** 2).sum())
        rows = RNG.normal(size=(3, 6))
        np.testing.assert_allclose(vmap(slope)(rows), [slope(row) for row in rows], rtol=1e-12)
    assert grad(lambda v: updated(np.multiply, np.zeros(0, int))(V, v).sum())(np.zeros(0)).shape == (0,)


def test_ties_in_a_place_share():
    x, values = np.array([1.0, 5.0, 0.0]), np.array([1.0, 2, 1, 3, 3, 0])
    slopes = grad(lambda x, v: updated(np.maximum)(x, v).sum(), (0, 1))(x, values)
    np.testing.assert_allclose(slopes[0], [1 / 3, 1, 0])
    np.testing.assert_allclose(slopes[1], [1 / 3, 0, 1 / 3, 0.5, 0.5, 0])


@pytest.mark.parametrize("f", [np.cumprod, np.maximum.accumulate, lambda x: updated(np.multiply, 0 * x.astype(int))(
    np.ones(1), x)], ids=["cumprod", "maximum.accumulate", "multiply.at"])
def test_runs_of_as_many_as_the_data_decide(f):
    for x in (np.array([2.0, -1.0, 3.0, 4.0]), np.array([-1.0, 0.5, -1.0, -1.0]), -np.ones(4)):
        check_grads(lambda x: (f(x[x > 0]) ** 2).sum(), (x,), order=2)
