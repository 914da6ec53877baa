"""Arrays whose sizes only the compiled function knows: one compilation serves all sizes, and gives what NumPy gives."""

import warnings

import numpy as np
import pytest
import tracing
from hypothesis import given, settings
from hypothesis import strategies as st

import tracejit
from tracejit import stages
from tracejit.errors import DimError
from tracejit.symbolic import dims
from tracejit.symbolic.ir import new_variable
from tracejit.symbolic.ops.scalar import maximum, minimum
from tracejit.symbolic.types import I64, Type

RNG = np.random.default_rng(5)
VECTOR, MATRIX = RNG.standard_normal(9), RNG.standard_normal((6, 5))


def outcome(f, x, *k):
    """Return (result and content of x afterwards, error) of a call."""
    x = x.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return (f(x, *map(np.array, k)), x), None
        except (ValueError, IndexError) as error:
            return None, error


def agrees(f, x, k):
    """Compare a call of the jitted function with NumPy, where the graph cannot be traced without arguments."""
    tracing.compare(outcome(tracejit.jit(f), x, k)[0], outcome(f, x, k)[0])


def check(f, x, ks, traces=1):
    """Compare a jitted function of an array and run-time integers with NumPy, and its graph's meaning, too."""
    jitted = tracejit.jit(f)
    for k in ks:
        k = k if isinstance(k, tuple) else (k,)
        expected, error = outcome(f, x, *k)
        got, mistake = outcome(jitted, x, *k)
        meant, slip = outcome(lambda *a: tracing.run(f, *a), x, *k)
        if error is not None:
            assert type(mistake) is type(error) and type(slip) is type(error), (k, error, mistake, slip)
            continue
        assert mistake is None and slip is None, (k, mistake, slip)
        tracing.compare(got, expected)
        tracing.compare(meant, expected)
    assert jitted.cache_info().traces == traces


FUNCTIONS = {
    "elementwise": lambda x, k: np.exp(x[:k]) * 2 + x[:k],
    "several": lambda x, k: (x[:k] + 1, x[:k].sum(), x[k:]),
    "rows": lambda x, k: x[k:, 1:] + x[0, 1:],
    "columns": lambda x, k: x[:, k:] - x[:, :1],
    "transposed": lambda x, k: (x[k:].T, x[:k].T.copy(), x[:k].swapaxes(0, 1)),
    "reshaped": lambda x, k: (x[:k].reshape(-1), x[:k].ravel(), x[:k, None, :], x[:k].reshape(-1, 1, 5)),
    "sums": lambda x, k: (x[:k].sum(), x[:k].sum(0),
                          x[:k].sum(axis=1, keepdims=True), x[:, :k].sum(0), x[:, :k].sum(1)),
    "means": lambda x, k: (x[:k].mean(0), x[:k].std(), x[:k].var(axis=1)),
    "counts": lambda x, k: ((x[:k] > 0).any(), (x[:k] > 0).all(axis=1), np.count_nonzero(x[:k] > 0)),
    "extremes": lambda x, k: (x[:k].max(1), x[:, :k].min(0)),
    "matrix product": lambda x, k: x[:k] @ x.T,
    "inner size": lambda x, k: x[:, :k] @ x[:k, :k],
    "vectors": lambda x, k: (x[:k, 0] @ x[:k, 1], np.dot(x[:k], x[0]), x[0, :3] @ x[:k, :3].T),
    "outer": lambda x, k: np.outer(x[k:, 0], x[0, k:]),
    "joined": lambda x, k: (np.concatenate([x[:k, 0], x[k:, 1], x[:k, 2]]), np.concatenate([x[:k], x[k:]], axis=0)),
    "stacked": lambda x, k: (np.stack([x[:k, 0], x[:k, 1]]), np.vstack([x[:k], x[k:]]), np.hstack([x[:k], x[:k]])),
    "chosen": lambda x, k: (np.where(x[:k] > 0, x[:k], 0.0), np.clip(x[:k], -1, 1)),
    "converted": lambda x, k: (x[:k].astype(np.float32), x[:k].copy(), np.array(x[:k])),
    "made": lambda x, k: (np.zeros_like(x[:k]), np.ones(x[:k].shape), np.full(x[:k].shape[0], 3), np.arange(k[()])),
    "sizes": lambda x, k: (x[:k].shape[0], x[:k].size, len(x[:k, 0]), x[:k].shape[0] * 2 + 1),
    "running": lambda x, k: (np.cumsum(x[:k], axis=0), np.cumsum(x[:k]), np.cumprod(x[:, :k], axis=1)),
    "sorted": lambda x, k: (np.sort(x[:k, 0]), np.sort(x[:k], axis=0), np.argsort(x[:, :k], axis=1, kind="stable")),
    "distinct": lambda x, k: (np.unique(np.round(x[:k])), *np.unique(np.round(x[:k, 0]), return_inverse=True,
                                                                     return_counts=True)),
    "gathered": lambda x, k: (x[:k][:, [0, 2]], x[np.arange(k[()])], x[:k][::-1]),
    "written": lambda x, k: written(x[:k].copy()),
    "in place": lambda x, k: in_place(x, k),
    "strided": lambda x, k: (x[k::2], x[:k:-1], x[::-2][:k], x[k::-1, ::2]),
    "complex": lambda x, k: ((x[:k] + 1j * x[:k]).real, (x[:k] * 1j).imag.sum()),
}


def written(y):
    y += 1
    y[:, 1:3] *= 2
    y[..., 0] = 7
    return y


def in_place(x, k):
    x[:k] *= 2
    x[k:, :2] = x[k:, 2:4]
    x[:, k:] += x[:, :1]
    x[k::2, 0] = -1
    return x.sum()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_compilation_for_all_sizes(name):
    check(FUNCTIONS[name], MATRIX, [2, 0, 1, 5, 6, 11, -1, -9])


@pytest.mark.parametrize("name, ks", [
    ("max", [2, 1, 9]), ("min", [3, 0]), ("argmax", [4, 9, 0]), ("argmin", [1, 0])])
def test_an_extreme_of_nothing_is_an_error_at_run_time(name, ks):
    check(lambda x, k: getattr(np, name)(x[:k]), VECTOR, ks)


def test_masks_and_what_is_found_by_them():
    def f(x, k):
        m = x > k
        place = np.flatnonzero(m)
        y = x.copy()
        y[place] = x[m] * 2
        y[~m] = -1
        return (x[m], np.nonzero(m), np.sort(x[m]), np.concatenate([x[m], x[~m]]), np.cumsum(x[m]), y, place.size,
                np.outer(x[m], x[m]), np.extract(m, x), x[m] @ x[m], len(x[m]), x.reshape(3, 3)[x[:3] > k])
    jitted = tracejit.jit(f)
    for k in (0.0, 0.5, -9.0, 9.0):
        tracing.compare(jitted(VECTOR, np.float64(k)), f(VECTOR, np.float64(k)))
    assert jitted.cache_info().traces == 1


def counted_in_a_branch(x, s):
    v = x[x > 0]
    if s > 0.5:
        s = float(v[0])
    return v.copy(), s


def updated_or_written_by_the_branch(x, s):
    v = x[x > 0]
    if s > 0.5:
        v += 1
    else:
        v[0] = 7
    return v, v.sum()


def updated_and_written_in_a_loop(x, s):
    v = x[x > 0]
    for _ in range(20):
        v += s
        if v.sum() > 50:
            v[0] = 3
        v[-1] = 2
    return v, v.sum()


def updated_before_and_in_a_loop(x, s):
    v = x[x > 0]
    v *= 2
    for _ in range(20):
        v += s
    v -= 1
    return v, v.sum(), v[0]


def the_very_elements(x, s):
    v = x[x > 0]
    a, b = np.real(v), v.astype(float, copy=False)
    b += s
    return v, a, b


@pytest.mark.parametrize("function", [
    counted_in_a_branch, updated_or_written_by_the_branch, updated_and_written_in_a_loop, updated_before_and_in_a_loop,
    the_very_elements])
def test_masked_elements_that_branches_and_loops_count_or_write(function):
    for s in (1.0, 0.0, 3.0):
        tracejit.testing.assert_same_as_numpy(function, np.array([2.0, -1.0, 3.0, 4.0]), s)


@pytest.mark.parametrize("backend", ["c", "ref", "numba"])
def test_no_rows_of_unknown_length(backend):
    def f(x, y):
        v = x[x > 0]
        rows = y * v
        return rows, rows.sum(axis=0), rows[:, None].T, np.stack([rows, rows])
    with tracejit.config.context(backend=backend):
        tracejit.testing.assert_same_as_numpy(f, np.array([2.0, -1.0, 3.0]), np.zeros((0, 1)))


def test_more_axes_for_an_array_of_unknown_size():
    def f(x):
        v = x[x > 0]
        return np.array(v, ndmin=3), np.array(2 - v, ndmin=2, order="F"), np.array(v[None], ndmin=1)
    tracejit.testing.assert_same_as_numpy(f, np.array([2.0, -1.0, 3.0]))


def test_sizes_that_must_agree_are_compared_at_run_time():
    check(lambda x, j, k: x[:j] + x[2:k], VECTOR, [(3, 5), (0, 2), (3, 6), (9, 9)])
    check(lambda x, j, k: x[:j] @ x[2:k], VECTOR, [(3, 5), (0, 2), (3, 6)])
    check(lambda x, k: x[:k] + x[:4], VECTOR, [4, 5, 9])


def test_one_element_is_repeated_at_run_time():
    check(lambda x, j, k: (x[:j] + x[2:k], (x[:j] * x[2:k]).sum()), VECTOR, [
        (1, 5), (3, 3), (1, 3), (0, 3), (1, 2), (2, 5)])
    check(lambda x, j, k: x[:j, :3] * x[:k, 1:4] + x[:j, :1], MATRIX, [(1, 4), (4, 1), (2, 2), (2, 3), (0, 1)])

    def assign(x, j, k):
        x[1:4] = x[:j]
        x[:, None][:k] += x[:j, None][:1]
        return x[:k] * x[4:8]
    check(assign, VECTOR, [(1, 4), (3, 4), (2, 4), (1, 1), (0, 4)])


def test_writes_of_sizes_that_must_agree():

    def assign(x, j, k):
        x[:j] = x[2:k] * 2
        return x.sum()
    check(assign, VECTOR, [(3, 5), (0, 2), (3, 6), (9, 9)])

    def one(x, j):  # whose leading axis NumPy drops
        x[:1] = x[2:j, None]
        return x.sum()
    check(one, VECTOR, [3, 5, 2])

    def many(x):
        x[:3] = x[x > 0] * np.ones((2, 3, 1))
    with pytest.raises(ValueError, match=r"shape \(2,3,\?\) into shape \(3,\)"):
        tracejit.jit(many)(VECTOR.copy())


def test_an_index_into_an_array_of_unknown_size_is_checked():
    check(lambda x, k: (x[:k][0], x[:k][-1]), VECTOR, [3, 1, 0, 9])
    check(lambda x, j, k: x[:k][j], VECTOR, [(0, 3), (2, 3), (3, 3), (-3, 3), (-4, 3)])


def test_large_arrays_and_long_sums():
    x = RNG.standard_normal((300, 700))
    check(lambda x, k: (x[:, k:].sum(), x[k:].sum(0), x[:, k:].sum(1), x[k:, k:] @ x[k:, :50], x[k:, k:] * 2), x,
          [0, 1, 130, 299, 300])


def test_memory_of_unknown_size_is_allocated_and_freed():
    def f(x, k):
        y = np.cumsum(np.zeros(k[()]) + x[0])
        return np.cumsum(np.sin(y)), y.sum()
    check(f, VECTOR, [3, 0, 100_000, 7])


def test_a_result_owns_its_memory():
    y = tracejit.jit(lambda x, k: x[:k] * 2)(VECTOR, np.array(4))
    assert y.flags.owndata and y.flags.writeable and y.shape == (4,)


BOUND = st.one_of(st.none(), st.integers(-12, 12))


@settings(max_examples=80, deadline=None)
@given(st.integers(-12, 12), st.integers(-12, 12), st.sampled_from([None, 1, 2, -1, -2, 3]), st.booleans())
def test_slices_with_traced_bounds(start, stop, step, from_start):
    jitted = SLICED[step, from_start]
    expected, _ = outcome(jitted.__wrapped__, VECTOR, start, stop)
    got, _ = outcome(jitted, VECTOR, start, stop)
    tracing.compare(got, expected)


def _slicing(step, from_start):
    def f(x, a, b):
        y = x[a:b:step] if from_start else x[:a:step]
        z = x.copy()
        z[a:b:step] = 5
        x[b:] *= 2
        return y + 0, z, y.shape[0]
    return tracejit.jit(f)


SLICED = {(step, from_start): _slicing(step, from_start)
          for step in (None, 1, 2, -1, -2, 3) for from_start in (True, False)}


def test_a_size_that_depends_on_an_integer_product():
    def f(x, y):
        product = np.dot(x, y)
        return product[product > 1], product
    x, y = np.arange(12, dtype=np.int32).reshape(3, 4), np.ones(4, bool)
    for ours, theirs in zip(tracejit.jit(f)(x, y), f(x, y)):
        np.testing.assert_array_equal(ours, theirs)


def test_results_of_unknown_size_without_the_compiled_dispatcher(monkeypatch):
    monkeypatch.setattr(stages, "SIZED", False)
    check(FUNCTIONS["several"], MATRIX, [2, 0, 6])
    check(lambda x, k: {"a": x[:k] * 2, "b": [x[k:].sum()]}, VECTOR, [2, 0])


@pytest.mark.parametrize("backend", ["ref", "numba"])
def test_other_backends(backend):
    f = tracejit.jit(FUNCTIONS["several"], backend=backend)
    for k in (2, 0, 5):
        tracing.compare(f(MATRIX, np.array(k)), FUNCTIONS["several"](MATRIX, k))


def test_derivatives():
    def f(x, k):
        y = x[:k] ** 3
        return (y.sum() + np.cumsum(x[x > 0]).sum() + np.concatenate([x[k:], y]).max()) * (x[:k] @ x[:k])
    tracejit.testing.check_grads(lambda x: f(x, KNOWN), (VECTOR,), order=1, modes=("rev",))
    got = tracejit.grad(f)(VECTOR, np.array(4))
    np.testing.assert_allclose(got, tracejit.grad(lambda x: f(x, 4))(VECTOR), rtol=1e-12)


KNOWN = 4


def test_a_function_that_needs_the_size_is_guarded_by_it():
    f = tracejit.jit(lambda x, k: np.median(x[:k]))
    for k in (4, 9, 4, 5):
        np.testing.assert_allclose(f(VECTOR, np.array(k)), np.median(VECTOR[:k]))
    assert f.cache_info().traces == 3


def test_products_of_vectors_whose_number_the_data_decide():
    for f in (lambda x: np.vecdot(x[x > 3], x[x > 3]), lambda x: np.vecdot(x[x[:, 0] > 3], x[0])):
        x = np.arange(12.0).reshape(3, 4)
        np.testing.assert_array_equal(tracejit.jit(f)(x), f(x))


def test_masks_of_what_a_loop_has_selected():
    def f(z):
        v = z[:, 1:]
        for k in range(30):
            v = v[v > 3 + k % 3]
        return v
    z = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(tracejit.jit(f)(z), f(z))


def test_a_masked_update_of_a_slice_that_may_be_unbound():
    def f(x, s):
        places = np.nonzero(x)[0]
        for _ in range(12):
            if s > 1:
                odd = places[1::2]
        odd[odd < 2] += 1
        return odd
    x = np.array([0.0, 3.0, 1.0, 0.0, 2.0, 5.0])
    jitted = tracejit.jit(f)
    np.testing.assert_array_equal(jitted(x, 3.0), f(x, 3.0))
    with pytest.raises(UnboundLocalError):
        jitted(x, 0.0)


def test_arrays_of_unknown_size_in_branches():
    def f(x, w):
        rows = np.argwhere(x > -1)
        if w.any():
            rows.sort(axis=0)
        first, *rest = rows
        return rows.max(), first, len(rest)

    def g(x, w, y):
        places = np.nonzero(y)[0]
        total = np.average(places)
        if x > 1:
            if np.array_equal(total, places):
                places @= w
        elif places.any():
            w[0] = 1
        return places, w
    for x in (np.eye(2), np.zeros((2, 2))):
        tracejit.testing.assert_same_as_numpy(f, x - 1, x)
        tracejit.testing.assert_same_as_numpy(g, x[0, 0] * 3, np.ones((3, 3)), np.arange(4))


def test_extremes_of_complex_selections():
    def f(x):
        y = x[x.real > 1]
        return y.min(), y.max(initial=3), y.min(initial=3, where=y.imag > 0), np.fmax.reduce(y)
    x = np.arange(6) * (1 - 0.5j)
    tracejit.testing.assert_same_as_numpy(f, x)


def test_attributes_and_elements_of_arrays_of_unknown_size():
    def f(x):
        v = np.unique(x)
        sizes = v.nbytes, v.itemsize, v.strides, v.flags.c_contiguous
        first = v.flat[0], v.flat[:2]
        v.flat = 2
        v.flat[1] = 3
        return v, sizes, first
    tracejit.testing.assert_same_as_numpy(f, np.arange(4))


def test_updates_of_places_one_by_one():
    def f(x):
        v, w = x[x > 1], np.unique(x)
        np.add.at(v, [0, 0], 0.5)
        np.power.at(w[1:], [0, -1], 2)
        np.negative.at(v, [1])
        return v, w
    tracejit.testing.assert_same_as_numpy(f, np.arange(12, dtype=np.uint8))


def test_a_reshaped_array_is_a_view_where_sizes_are_compared_at_run_time():
    def rows(x, k):
        a = np.unique(x)
        b = a.reshape(2, -1)
        a[a < 2] += 10
        b[1] = k
        return a, b

    def columns(x, k):
        a = np.unique(x)
        b = a.reshape((2, 2), order="F")
        b[0] = k
        return a, b

    def backwards(x, k):
        a = np.unique(x)
        b = a.reshape(2, -1)
        a[::-1][1:] = k
        return a, b

    for f in (rows, columns, backwards):
        agrees(f, np.array([3.0, 0.0, 1.0, 2.0]), 5)


def test_ravel_is_a_view_of_what_lies_in_c_order_only():
    def f(x):
        v = x[x > 0]
        v[1::2].ravel()[:] += 1
        v[::-1].ravel()[:] += 2
        v[1::2].reshape(-1)[:] += 4
        v[1:].ravel()[:] += 8
        rows = v[:, None] * np.ones(3)
        for part in (rows, rows[1:], rows[::2], rows.T, rows[:, 1], rows[:, :2], rows[:, None]):
            part.ravel()[1:] += 1
        np.broadcast_to(v, (3, *v.shape)).ravel()[1:] += 1
        return v, rows
    tracejit.testing.assert_same_as_numpy(f, np.array([2.0, -1.0, 3.0, 4.0, 5.0, 6.0]))


def test_a_literal_array_of_unknown_size_goes_into_a_loop():
    def f(x, k):
        a = x[x > k]
        n = np.count_nonzero(x)
        a.fill(-1)
        b = a[None]
        for _ in range(12):
            n = np.rint(b)
        return a, n, b

    agrees(f, np.arange(12.0).reshape(3, 4), 3)
    agrees(f, np.arange(12.0).reshape(3, 4), 30)


def test_a_turned_array_and_one_of_unknown_size():
    def f(x, k):
        return x[:, :1].T[0, :1].reshape(1, 1).T - np.unique(x[1:] > k), x[:, :1] + np.unique(x)
    agrees(f, np.arange(12.0).reshape(3, 4), 8)


def test_padding_of_rows_that_are_found():
    """gcc 12 makes wrong masked loads of the inner loop's turns, which must not be written out."""
    def f(x, k):
        a = np.argwhere(x > k)
        return a, np.pad(a, 1)

    agrees(f, np.array([[0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [3.0, 0.0, 0.0]]), 2)


def test_a_run_of_rows_at_a_place_known_at_run_time_is_reshaped_as_a_view():
    def rows(x, k):
        a = x[k % 2 :]
        a.ravel()[1:] += 1
        a[0].reshape(-1, 1)[:2] = k
        return a

    def columns(x, k):
        a = x[1:, k % 2 :]
        a.reshape(-1)[:] = 7  # of a copy, as columns are left out
        return a

    check(rows, np.arange(20.0).reshape(4, 5), [4, 5])
    check(columns, np.arange(20.0).reshape(4, 5), [5])


def test_views_of_arrays_of_unknown_size():
    def f(x, k):
        a = x[x > k]
        b, bits = a.view(), a.view("u8")
        b[:2] = k
        bits[2:] = 0
        return a, b + 1, bits

    agrees(f, VECTOR, -1)
    agrees(f, VECTOR, 9)


def test_whether_an_axis_of_unknown_size_is_squeezed_is_decided_by_the_call():
    def f(x, k):
        a = x[None, x > k, None]
        a.squeeze((0, 2))[...] += 1
        np.squeeze(a)[...] *= 2
        return a.squeeze(), a.squeeze(0), a

    def named(x, k):
        return x[x > k].squeeze(0)

    jitted, strict = tracejit.jit(f), tracejit.jit(named)
    for k in (7, 10, 2, 20, 10):
        x = np.arange(12)
        tracing.compare(outcome(jitted, x, k)[0], outcome(f, x, k)[0])
        assert type(outcome(strict, x, k)[1]) is type(outcome(named, x, k)[1])
    assert jitted.cache_info().traces == 2


def test_updates_by_values_whose_number_the_data_decide():
    def f(x, k):
        w = np.zeros((3, 4), np.int8)
        np.maximum.at(w, [0, 0, 1], x[x > k])  # int64, which no scatter does
        return w

    for k in (7, 10, 2, 20):  # as many as there are columns, one, too many, none
        agrees(f, np.arange(12), k)


def test_searching_in_nothing_for_values_whose_number_is_known_at_run_time():
    def f(x, k):
        return np.searchsorted(x[:0], x[x > k])

    agrees(f, VECTOR, 0)


def test_branches_over_slices_whose_bound_is_read_from_an_array():
    def one(x, k):
        a = x[: k[0]]
        b = a + 1 if x[0] > 0 else a * 3
        return b

    def twice(a, positive):
        if positive:
            b = a + 1
        else:
            b = a * 3
        if positive:
            c = a * 2
        else:
            c = a - 1
        return b, c

    def two(x, k):
        return twice(x[: int(k.sum())], x[0] > 0)

    def found(x, k):
        return twice(np.unique(x), x[0] > 0)

    def nested(x, k):
        if x[0] > 0:
            b = x[: k[0]] + 1
            if k[1] > 0:
                b = b * 2
        else:
            b = x[: k[0]] * 3
        return b

    for f in (one, two, found, nested):
        jitted = tracejit.jit(f)
        for x in (VECTOR, -VECTOR):
            for k in ([3, 1], [0, 2], [5, -1]):
                tracing.compare(jitted(x, np.array(k)), f(x, np.array(k)))


def test_running_folds_of_an_array_of_unknown_size():
    def f(x, k):
        a = np.unique(x * (1 + 1j))
        return np.maximum.accumulate(a), np.hypot.accumulate(a.real), np.add.accumulate(a)

    agrees(f, np.array([3.0, 1.0, 2.0, 3.0]), 0)
    agrees(f, np.array([3.0]), 0)


def test_reduceat_of_arrays_of_unknown_size():
    def f(x, k):
        found = x[x > k]
        for _ in x:
            sums = np.add.reduceat(found, [0, 1])
        return sums, np.add.reduceat(x, np.nonzero(x > k)[0])

    agrees(f, np.array([1.0, 3.0, 4.0, 0.0, 5.0]), 2)


def test_selected_elements_are_written_by_a_positional_out():
    def f(x, k):
        a, b = x[x > k], x[x < k]
        np.multiply(a, 0.5, a)
        b *= 2
        np.exp(b, b)
        np.modf(a, b[: a.size], a) if b.size >= a.size else np.negative(a, a)
        return a, b

    agrees(f, VECTOR, 0)


def test_ranges_of_sizes_that_depend_on_each_other_on_many_ways():
    n = dims.declare(new_variable(Type(I64)), 1, 9)
    size = n
    for k in range(20):  # two ways at each step: a million in all
        size = maximum(minimum(size, n + k), size)
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        rule = dims.RANGES["maximum"]
        patch.setitem(dims.RANGES, "maximum", lambda node, of: asked.append(node) or rule(node, of))
        least, most = dims.interval(size)
    assert least == 1 and 9 <= most <= 28 and len(asked) < 600


def test_masks_of_unknown_size_without_elements():
    def f(x, k):
        return x[..., x.ravel()[:k] > 0], x[0, x.ravel()[:k] > 100]
    for k in (4, 0):
        agrees(f, np.arange(12.0).reshape(3, 4), k)


def test_a_result_of_known_size_in_an_array_of_unknown_size():
    def f(x, k):
        y = x[k % 2:].ravel("K")
        return y, np.partition(y, 1)[..., 1]
    agrees(f, np.arange(12.0).reshape(3, 4), 1)
    agrees(f, np.asfortranarray(np.arange(12.0).reshape(3, 4)), 1)


def test_small_branches_that_write_into_arrays_of_unknown_size():
    def f(x, k):
        y = x[k:]
        for _ in range(9):
            if y[0] < 3:
                y[0] += 1
            x = y * 2
        return x, y
    agrees(f, np.arange(12.0), 1)


def test_an_output_of_known_size_for_a_result_of_unknown_size():
    def f(x, k):
        out = np.zeros(3)
        np.add(x[:k], 1, out=out)
        np.multiply(x[x > 100], 2, out=out[:0])
        return out
    for backend in ("c", "ref"):
        jitted = tracejit.jit(f, backend=backend)
        np.testing.assert_array_equal(jitted(np.arange(9.0), np.array(3)), [1, 2, 3])
        with pytest.raises((ValueError, DimError)):
            jitted(np.arange(9.0), np.array(4))


@pytest.mark.parametrize("backend", ("c", "ref"))
@pytest.mark.parametrize("dtype", (np.float64, np.int32, np.uint8))
def test_folds_of_what_may_be_nothing_begin_where_they_are_told(backend, dtype):
    def f(x):
        y = x[x > 2]
        rows = np.stack([x, x + 1])[:, x > 2]
        return (np.minimum.reduce(y, initial=3), np.maximum.reduce(y, initial=0), np.fmin.reduce(y, initial=3),
                np.maximum.reduce(rows, axis=1, initial=1), np.multiply.reduce(y), np.bitwise_and.reduce(y > 3))
    traced = tracejit.jit(f, backend=backend)
    for x in (np.array([1, 2], dtype), np.array([1, 5, 3], dtype)):
        for ours, theirs in zip(traced(x), f(x)):
            np.testing.assert_array_equal(ours, theirs, strict=True)
    with pytest.raises(ValueError, match="zero-size array to reduction operation minimum"):
        tracejit.jit(lambda x: np.minimum.reduce(x[x > 2]), backend=backend)(np.zeros(2, dtype))
