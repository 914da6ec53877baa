"""Derivatives of the sample calls of NumPy functions: forward against differences, reverse against forward."""

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import scipy.special
from numpy_samples import Number, clone, numpy_answer
from test_numpy_coverage import SAMPLED

from tracejit import tree
from tracejit.errors import NotDifferentiableError
from tracejit.symbolic.autodiff import jvp, vjp
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.types import Type
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
