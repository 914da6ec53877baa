"""NumPy's functions on drawn shapes, axes, dtypes and subscripts: what tracing gives is what NumPy gives."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy_samples import call, check

pytestmark = pytest.mark.fuzz

DTYPES = ["?", "i1", "u2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]
sides = st.integers(0, 4)
shapes = st.lists(sides, max_size=4).map(tuple)


def filled(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    out = rng.integers(-4, 5, shape) if np.dtype(dtype).kind in "iub" else rng.normal(size=shape)
    return np.asarray(out).astype(dtype)


@st.composite
def arrays(draw, shape=None, dtypes=DTYPES):
    """Draw an array in one of the memory layouts that arrays have."""
    shape = draw(shapes) if shape is None else shape
    dtype, seed, layout = draw(st.sampled_from(dtypes)), draw(st.integers(0, 9)), draw(st.sampled_from("CFRS"))
    if layout == "S" and shape:
        return filled((*shape[:-1], 2 * shape[-1]), dtype, seed)[..., ::2]
    out = filled(shape, dtype, seed)
    if layout == "R" and shape:
        return out[::-1]
    return np.asarray(out, order="F") if layout == "F" else out


@st.composite
def with_axes(draw, dtypes=DTYPES):
    """Draw an array and what NumPy takes as `axis`, sometimes out of range."""
    x = draw(arrays(dtypes=dtypes))
    one = st.integers(-x.ndim - 1, x.ndim)
    return x, draw(st.none() | one | st.lists(one, max_size=3).map(tuple))


@given(with_axes(), st.booleans(), st.sampled_from([np.sum, np.prod, np.max, np.min, np.all, np.any, np.mean, np.var,
                                                    np.count_nonzero]))
def test_reductions(case, keepdims, function):
    x, axis = case
    assume(not (x.dtype.kind == "c" and function in (np.max, np.min)))
    rtol = {"f": 1e-4, "F": 1e-4, "e": 2e-2}.get(x.dtype.char, 1e-10)
    check(function, call(x, axis=axis, keepdims=keepdims).close(rtol))


@given(with_axes(["i4", "f4", "f8"]), st.floats(0, 1, width=16), st.sampled_from(["linear", "lower", "nearest", "hazen",
                                                                        "midpoint"]))
def test_quantiles(case, q, method):
    x, axis = case
    assume(x.size)
    check(np.quantile, call(x, q, axis, method=method).close(1e-5))


@given(with_axes(["i4", "f8"]), st.sampled_from([np.median, np.ptp, np.std, np.average]))
def test_statistics(case, function):
    x, axis = case
    assume(x.size)
    check(function, call(x, axis))


@given(arrays(), st.data())
def test_reshape(x, data):
    target = data.draw(st.permutations([n for n in x.shape]) | st.lists(st.integers(-1, 6), max_size=4))
    check(np.reshape, call(x, tuple(target), data.draw(st.sampled_from("CFA"))))


@given(st.lists(shapes, min_size=1, max_size=3), st.integers(-2, 3), st.sampled_from([np.concatenate, np.stack]))
def test_joining(found, axis, function):
    xs = [filled(s, d, k) for k, (s, d) in enumerate(zip(found, DTYPES[3:]))]
    check(function, call(xs, axis))


@given(arrays(dtypes=["i4", "f8"]), st.data())
def test_padding(x, data):
    widths = [data.draw(st.tuples(st.integers(0, 5), st.integers(0, 5))) for _ in x.shape]
    assume(widths)
    check(np.pad, call(x, widths, data.draw(st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]))))


@given(arrays(dtypes=["i4", "f8"]), st.data())
def test_broadcasting(x, data):
    shape = data.draw(st.lists(st.integers(0, 2), max_size=2).map(tuple)) + tuple(
        data.draw(st.sampled_from([n, 1, 3])) for n in x.shape)
    check(np.broadcast_to, call(x, shape))


@given(st.data())
def test_einsum(data):
    sizes = dict(zip("abcde", data.draw(st.lists(st.integers(0, 3), min_size=5, max_size=5))))
    terms = data.draw(st.lists(st.text("abcde", max_size=3), min_size=1, max_size=3))
    joined = "".join(terms)
    free = "".join(data.draw(st.permutations(sorted(set(joined)))))
    output = free[:data.draw(st.integers(0, len(free)))]
    dtype = data.draw(st.sampled_from(["f8", "i8", "c16", "?"]))
    xs = [filled([sizes[c] for c in t], dtype, k) for k, t in enumerate(terms)]
    arrow = data.draw(st.booleans())
    check(np.einsum, call(",".join(terms) + (f"->{output}" if arrow else ""), *xs).close(1e-10))


@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.lists(st.integers(1, 3), min_size=1, max_size=3),
       st.integers(0, 3))
def test_tensordot(left, right, axes):
    check(np.tensordot, call(filled(left, "f8", 0), filled(right, "f8", 1), axes))


@given(arrays(dtypes=["i4", "f8"]), st.data())
def test_take(x, data):
    where = data.draw(st.lists(st.integers(-3, 3), max_size=4))
    axis = data.draw(st.none() | st.integers(-x.ndim, max(x.ndim - 1, 0)))
    mode = data.draw(st.sampled_from(["raise", "wrap", "clip"]))
    assume(mode != "wrap" or x.size)  # NumPy 2.4 wraps around an empty axis for ever
    check(np.take, call(x, np.array(where, int), axis, mode=mode))


@given(arrays(dtypes=["i4", "f8"]), st.data())
def test_roll_and_flip(x, data):
    axes = data.draw(st.lists(st.integers(-x.ndim, x.ndim), max_size=2))
    check(np.flip, call(x, tuple(axes)))
    check(np.roll, call(x, data.draw(st.integers(-7, 7)), tuple(axes) if axes else None))


@given(arrays(dtypes=["i4", "f8"]), st.data())
def test_windows(x, data):
    axes = data.draw(st.lists(st.integers(-x.ndim, max(x.ndim - 1, 0)), max_size=2, unique=True))
    sizes = [data.draw(st.integers(0, 4)) for _ in axes]
    assume(len({a % max(x.ndim, 1) for a in axes}) == len(axes))
    check(np.lib.stride_tricks.sliding_window_view, call(x, tuple(sizes), tuple(axes)))


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from(["full", "same", "valid"]),
       st.sampled_from([np.convolve, np.correlate]))
def test_convolution(n, m, mode, function):
    check(function, call(filled(n, "f8", 0), filled(m, "f8", 1), mode))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.lists(st.floats(-6, 6) | st.just(np.nan), max_size=5))
def test_interpolation(points, queries):
    points = np.sort(np.array(points))
    check(np.interp, call(np.array(queries, float), points, filled(len(points), "f8", 0)).close(1e-9))
