"""Histograms against NumPy: edges, rules for the number of bins, weights, densities, several dimensions."""

import numpy as np
import pytest
from numpy_samples import call, cases, check, floats, ints

import tracejit

Y, T = floats(60), np.linspace(0, 1, 60)
K = ints(50, low=-5, high=30)
DATA = [Y, K, Y.reshape(6, 10), Y.astype(np.float32), K.astype(np.uint8), np.zeros(0), np.ones(3), np.ones(3, int),
        Y > 0, np.array([1, np.nan]), np.array([1, np.inf]), [1, 2, 2.5], np.round(Y * 4) / 4]
OPTIONS = [{}, {"bins": 5}, {"bins": 3, "range": (-1, 1)}, {"bins": [-1, 0, 0.5, 2]},
           {"bins": np.array([-1, 0, 0.5, 0.5])}, {"bins": [0, 2, 1]}, {"bins": 0}, {"bins": 2.5},
           {"range": (1, 0)}, {"range": (0, np.inf)}, {"range": (1, 1)},
           {"range": (0, 3)}, {"bins": "no"}, {"bins": [[1, 2]]}, {"bins": [1]}, {"bins": 8, "range": (-1, 1)}]
RULES = ["auto", "fd", "doane", "scott", "rice", "sturges", "sqrt"]
EDGES = [call(x, **options) for x in DATA for options in OPTIONS] + [
    call(x, rule, **more) for x in (Y, K, np.zeros(0), np.ones(4)) for rule in RULES
    for more in ({}, {"range": (-1, 3)})] + [
    call(Y[:20], "stone"),
    call(Y, 5, range=(np.float64(-1.0), 2.0)), call(Y, np.linspace(-1, 1, 5)), call(Y, np.linspace(1, -1, 5))]
POINTS = floats(40, 3)

SAMPLES = {
    np.histogram_bin_edges: [*EDGES, call(Y, 5, weights=T)],
    np.histogram: [*EDGES, call(Y, density=True), call(Y, [-1, 0, 2], density=True), call(Y, 7, weights=np.abs(Y)),
                   call(Y, [-1, 0, 2], weights=np.abs(Y), density=True), call(Y, 7, weights=K[:3]),
                   call(Y, 7, weights=Y + 1j * T), call(Y, "auto", weights=T), call(Y, 7, weights=Y.astype(np.float32)),
                   call(Y[:50], 4, weights=K), call(np.arange(0, 1.1, 0.1), 10, (0, 1)), call(T, 20)],
    np.histogram2d: [call(Y, T), call(Y, T, bins=(3, 5), range=((-1, 1), (0, 1)), density=True),
                     call(Y, T, bins=[-1, 0, 1], weights=Y), call(Y, T, bins=[np.linspace(-1, 1, 4), 3]),
                     call(Y, T, bins=[4, 2]), call(Y, T, bins=[4]), call(Y, T[:4])],
    np.histogramdd: [call(POINTS, 3), call(POINTS, (2, 3, 4), weights=POINTS[:, 0]), call(POINTS, (2, 3)),
                     call([Y, T], (2, 3), weights=Y > 0), call(POINTS, 2, [(0, 1)] * 3, True), call(POINTS, 0),
                     call(POINTS, [[-1, 0, 1], 2, [0, 2, 1]]), call(POINTS, [[-1, 0, 1], 2, np.array([-1.0, 0, 0.5])]),
                     call(POINTS, 2, [(0, 1)]), call(Y, 4), call(POINTS, 3, weights=Y)],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


def test_every_value_on_an_edge_is_counted_as_numpy_counts_it():
    edges = np.linspace(-3, 3, 14)
    x = np.concatenate([edges, np.nextafter(edges, 9), np.nextafter(edges, -9)])
    for bins, limits in ((13, (-3, 3)), (edges, None), (7, (-3, 3))):
        f = lambda x: np.histogram(x, bins, limits)
        for got, want in zip(tracejit.jit(f)(x), f(x)):
            np.testing.assert_array_equal(got, want)


def test_numbers_of_bins_are_counted_again_for_other_data():
    f = tracejit.jit(lambda x: np.histogram(x, "fd")[0])
    for scale in (1, 5):
        x = np.concatenate([Y, [scale * 9]])
        np.testing.assert_array_equal(f(x), np.histogram(x, "fd")[0])


def test_histograms_of_what_a_mask_selects_need_no_guard():
    """The size is a count of the data, and one compilation serves all, none at all included."""
    f = tracejit.jit(lambda x: np.histogram(x[x > 0], bins=6, range=(-3.0, 3.0)))
    rng = np.random.default_rng(4)
    for x in (rng.standard_normal(50), rng.standard_normal(50), -np.ones(50)):
        for ours, theirs in zip(f(x), f.__wrapped__(x)):
            assert np.array_equal(ours, theirs) and ours.dtype == theirs.dtype
    assert f.cache_info().compiles == 1 and not f.cache_info().variants
