"""``x[index]`` and ``x[index] = value`` against NumPy: values, shapes, views and errors."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tracing import compare, run, same

import tracejit
from tracejit.errors import ConcretizationError

X = np.arange(24.0).reshape(2, 3, 4)
#: Whether NumPy overlooks positions out of bounds where there is nothing to read.
LENIENT = np.lib.NumpyVersion(np.__version__) < "2.2.0"

T, F, ALL = True, False, slice(None)
INDICES = [
    0, -1, 5, -6, (), ..., None, (0, 1), (0, 1, 2), (0, 1, 2, 3), (0, ..., 1), (..., 0), (0, 1, 2, ...),
    (slice(1, None),), (slice(None, None, -1), 0), (slice(5, 1, -2), slice(-3, -1)), (slice(3, 1),),
    (None, 0, None, slice(1, 2)), (ALL, None, ...), (..., ...), [0, 1, 0], ([0, 1], [1, 2]), ([0, 1], ALL, [0, 3]),
    ([[0], [1]], [0, 2]), (0, ALL, [1, 2]), (ALL, [0, 2], [1, 1]), (ALL, [0, 2], 1), ([0], ..., [1, 2]),
    ([1], None, [2]), (None, [1, 0]), ([], slice(1, 2)), ([0, 7],), ([0, -3],), ([0, 1], [0, 1, 2]), 1.5, "a", ([0.5],),
    np.array(1), (np.array(1), [0, 1]), (np.int8(-1),), True, ([T, F],), ([T, F], 1), (ALL, [T, F, T]),
    ([[T, F, T], [F, T, T]], 2), ([T, F, T],), np.zeros((2, 3), bool), (ALL, [T, F, T], [0, 1]),
    (0, [T, F, T], slice(1, 3)), (slice(True),), (slice(None, None, 0),),
]


def _id(index):
    return repr(index).replace("slice", "").replace(" ", "")[:60]


@pytest.mark.parametrize("index", INDICES, ids=_id)
def test_read_with_a_known_index(index):
    literal = index.tolist() if isinstance(index, np.ndarray) else index
    same(lambda x: x[literal], X)


@pytest.mark.parametrize("index", INDICES, ids=_id)
def test_write_with_a_known_index(index):
    literal = index.tolist() if isinstance(index, np.ndarray) else index

    def write(x):
        x[literal] = -1
        x[literal] += 0.5
        return x.sum()
    same(write, X)


def _is_traced(index):
    return isinstance(index, (list, tuple)) and any(isinstance(e, list) and np.array(e).dtype == int for e in index)


@pytest.mark.parametrize("index", [i for i in INDICES if _is_traced(i)], ids=_id)
def test_index_arrays_known_at_run_time(index):
    """The same indices as arguments: out of bounds is found by the compiled function."""
    entries = [np.array(e) if isinstance(e, list) else None for e in index]
    arrays = [e for e in entries if e is not None and e.dtype.kind in "iu"]

    def put_in(arrays):
        given = iter(arrays)
        return tuple(next(given) if isinstance(e, list) and np.array(e).dtype.kind in "iu" else e for e in index)

    def read(x, *arrays):
        return x[put_in(arrays)]

    def write(x, *arrays):
        x[put_in(arrays)] = 7
        return x[put_in(arrays)]
    same(read, X, *arrays)
    same(write, X, *arrays)


def test_a_run_time_integer_makes_a_view():
    def f(x, k):
        row = x[:, k]
        row += 10
        row[0, ::2] = 5
        x[1][k] = 3
        return x.sum(axis=0), x[0, k, 1], x[k - 1, ..., k]
    same(f, X, 1)
    same(f, X, np.int32(-2))


@pytest.mark.parametrize("k", [3, -4, 99])
def test_a_run_time_integer_out_of_bounds(k):
    error = same(lambda x, k: x[0, k] * 2, X, k)
    assert str(error) == f"index {k} is out of bounds for axis 1 with size 3"


def test_integer_dtypes_of_indices():
    for dtype in "bBhHiIlL":
        same(lambda x, i: x[i], X, np.array([1, 0], dtype))
    same(lambda x, i: x[i], X, np.array([1.0]))


def test_last_write_wins_and_repeated_reads_do_not_add_up():
    def f(x, i, v):
        x[i] = v
        return x
    same(f, np.zeros(3), np.array([1, 1, 2, 1]), np.arange(4.0))

    def g(x, i):
        x[i] += 1
        return x
    same(g, np.zeros(3), np.array([1, 1, 2, 1]))


def test_a_slice_assigned_to_itself_shifted():
    def f(x):
        x[1:] = x[:-1]
        x[:, 0] = x[:, -1]
        x[0, :, ::-1] = x[0]
        return x
    same(f, X)


# ---------------------------------------------------------------- traced masks
def test_masked_writes():
    def f(x, m):
        x[m] = 5
        x[x > 7] = x[0, 0]
        x[~m] = np.arange(3.0)
        x[:, x[0] > 4] = 2
        x[..., x[1] < 1] = x[:, :1]
        x[m, 1:] = 9
        return x
    same(f, np.arange(12.0).reshape(4, 3), np.array([True, False, True, True]))


def test_masked_write_of_as_many_rows_as_the_mask_selects():
    def f(x, m, v):
        x[m] = v
        return x
    x, m = np.arange(12.0).reshape(4, 3), np.array([True, False, True, False])
    same(f, x, m, np.ones((2, 3)))
    error = same(f, x, m, np.ones((3, 3)))
    assert "cannot assign 3 input values to the 2 output values" in str(error)


def test_masks_of_the_wrong_shape():
    def f(x, m):
        x[m] = 1
    same(f, X, np.ones(3, bool))
    same(f, X, np.ones((2, 3, 4, 1), bool))
    same(lambda x, m: x[m], X, np.ones(3, bool))


def test_reading_through_a_traced_mask_needs_no_inputs():
    same(lambda x: (x[x > 3], x[x > 3] * 2 + 1, x[x > 100]), X)
    with pytest.raises(ConcretizationError, match="np.where") as e:
        run(lambda x: np.median(x[x > 3]), X)
    assert "test_indexing.py" in str(e.value) and "the size of an array in numpy.median" in str(e.value)


def test_elements_of_a_traced_mask_that_go_back():
    def f(x, y):
        x[x > 7] *= 2
        x[x < 3] = y[x < 3] + 1
        m = x[0] > 2
        x[:, m] -= 0.5
        e = np.abs(x[y > 4]) ** 2
        x[y > 4] = -e
        return x
    same(f, X[0], X[1])
    same(lambda n, m: n[m].__iadd__(1.5), np.arange(3), np.array([True, False, True]))
    same(lambda m: (m[m] ** 2, m[m] ** 3), np.array([True, False, True]))

    def g(x, m, w):
        rows = x[m] * w - 1
        x[m] = rows
        return x, rows.sum(axis=0), rows.mean()
    same(g, X[0], np.array([True, False, True]), np.arange(4.0))


def test_reductions_of_the_elements_of_a_traced_mask():
    def f(x, m):
        e = x[m]
        return (e.sum(), e.mean(), e.max(), e.min(), e.prod(), e.std(), e.var(ddof=1), e.any(), (e > 3).all(),
                np.sum(e), np.mean(e ** 2), np.max(x[x > 5]), x[x > 5].sum() / 2, e.dtype)
    same(f, X, X % 3 == 1)
    same(lambda x: x[x > 5].sum(), X.astype("i4"))
    for reduction in (np.max, np.min):
        same(lambda x: reduction(x[x > 100]), X)


def as_numpy(f, *args):
    """Assert that the jitted function, which has inputs to decide by, does what the plain one does."""
    mine, theirs = copy.deepcopy(args), copy.deepcopy(args)
    try:
        want = f(*theirs)
    except Exception as error:
        with pytest.raises(type(error)):
            tracejit.jit(f)(*mine)
        return
    compare(tracejit.jit(f)(*mine), want)
    compare(mine, theirs)


@pytest.mark.parametrize("use", [
    lambda e, x: e.shape, lambda e, x: len(e), lambda e, x: e[0], lambda e, x: np.sort(e), lambda e, x: e + x[0, 0, 0],
    lambda e, x: np.concatenate([e, e]), lambda e, x: [t for t in e], lambda e, x: bool(e), lambda e, x: e + x[0, 0],
    lambda e, x: e + x[x > 4], lambda e, x: e * x[x < 20], lambda e, x: e @ e, lambda e, x: np.add.reduce(e),
    lambda e, x: e.argmax(), lambda e, x: x.__setitem__(x > 4, e), lambda e, x: x.__setitem__(x < 20, e),
    lambda e, x: (e.__setitem__(0, 7), e.__iadd__(1), e.sum(), e), lambda e, x: np.add(e, 1, out=e),
    lambda e, x: np.array([e, e]), lambda e, x: e.mean(keepdims=True), lambda e, x: np.max(e, axis=-1),
    lambda e, x: e[e > 10][::2], lambda e, x: isinstance(e, np.ndarray), lambda e, x: e.reshape(-1, 2),
])
def test_what_needs_the_size_of_a_traced_mask(use):
    as_numpy(lambda x: use(x[x > 3], x), X)


def test_elements_of_a_mask_are_one_array_under_all_its_names():
    def f(x):
        e = other = x[x > 3]
        e += 1
        third = e
        e[0] = 0
        e *= 2
        return other, third
    as_numpy(f, X)

    def attributes(x):
        e = x[x > 3]
        e.real = np.arange(4.0)
        e.flat = [1, 2, 3]
        e.shape = (2, 2)
        return e, e.ndim, e.T
    as_numpy(attributes, np.arange(8.0))


@pytest.mark.parametrize("index", [
    lambda m, n: (m, n), lambda m, n: (m, 1), lambda m, n: (m, None, n), lambda m, n: (0, n),
    lambda m, n: (m, [[1], [0]]),
    lambda m, n: (slice(None), n, slice(1, 3)), lambda m, n: (..., n, 0), lambda m, n: (m[0], n), lambda m, n: m[0],
    lambda m, n: (..., m[0]), lambda m, n: (None, m[0], 1), lambda m, n: (m, n, m),
])
def test_traced_masks_among_other_indices(index):
    m, n = np.array([True, False]), np.array([True, False, True])
    as_numpy(lambda x, m, n: x[index(m, n)], X, m, n)
    as_numpy(lambda x, m, n: x.__setitem__(index(m, n), -x[index(m, n)] - 1), X, m, n)
    as_numpy(lambda x, m, n: x.__setitem__(index(m, n), 3), X, ~m, ~n)


def test_writes_of_counted_rows_through_a_traced_mask():
    def f(x, m, v):
        x[:, m] = v
        return x
    for mask in ([True, False, True], [False, False, False]):
        as_numpy(f, X, np.array(mask), np.arange(2.0 * sum(mask) * 4).reshape(2, sum(mask), 4))
    as_numpy(f, X, np.array([True, False, True]), np.zeros((2, 3, 4)))
    as_numpy(lambda x, v: x.__setitem__(x > 99, v), X, np.zeros(0))
    as_numpy(lambda x, v: x.__setitem__(x > 3, v), X, np.zeros(0))


def test_a_mask_that_is_known_while_tracing():
    def f(x):
        m = np.arange(3) % 2 == 0
        x[:, m] *= 2
        return x[:, m], x[np.eye(2, 3, dtype=bool)]
    same(f, X)


def test_sliced_by_a_traced_bound_is_refused():
    with pytest.raises(ConcretizationError, match="a slice with the bound") as e:
        run(lambda x, n: x[:n], X, 2)
    assert e.value.argument == 1


# ---------------------------------------------------------------- any index at all
@st.composite
def any_index(draw, shape):
    """Draw an index of ints, slices, None, an ellipsis and integer arrays that broadcast, in and out of bounds."""
    entries, axis = [], 0
    common = draw(hnp.array_shapes(min_dims=1, max_dims=2, max_side=3))
    while axis < len(shape) and draw(st.integers(0, 5)):
        n = shape[axis]
        kind = draw(st.sampled_from("isnas"))
        if kind == "n":
            entries.append(None)
            continue
        if kind == "i":
            entries.append(draw(st.integers(-n, n - 1) if n and draw(st.integers(0, 9)) else st.integers(-6, 6)))
        elif kind == "s":
            bound = st.none() | st.integers(-6, 6)
            entries.append(slice(draw(bound), draw(bound), draw(st.none() | st.sampled_from([1, 2, 3, -1, -2]))))
        elif n:
            small = draw(st.sampled_from([common, common[-1:], (1,), ()]))
            entries.append(draw(hnp.arrays(np.int64, small, elements=st.integers(-n, n - 1))))
        axis += 1
    if draw(st.booleans()):
        entries.insert(draw(st.integers(0, len(entries))), ...)
    return tuple(entries)


@given(st.data())
def test_any_index(data):
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=int(LENIENT), max_side=4))
    index = data.draw(any_index(shape))
    x = np.arange(float(np.prod(shape))).reshape(shape)
    arrays = [e for e in index if isinstance(e, np.ndarray)]

    def put_in(arrays):
        given_ = iter(arrays)
        return tuple(next(given_) if isinstance(e, np.ndarray) else e for e in index)
    same(lambda x, *a: x[put_in(a)], x, *arrays)

    def write(x, *a):
        x[put_in(a)] = np.float64(-5)
        return x[put_in(a)]
    same(write, x, *arrays)


def test_numpy_scalars_by_bools():
    def f(x):
        v = x.argmax()
        return v[v > -1], v[v > 100], v[True], v[None], v[..., False], v[v > 3, None]
    same(lambda x: x.sum()[True], X)
    tracejit.testing.assert_same_as_numpy(f, X)


def test_an_empty_mask_fits_an_axis_of_any_size():
    def read(x, m):
        return x[m], x[..., m], x[:, m], x[m, None], x[np.zeros((2, 0), bool)]

    def write(x, m):
        x[..., m] = 3
        x[m] = 4
    for function in (read, write):
        same(function, X, np.zeros(0, bool))
    same(lambda x, m: x[m], X, np.zeros((0, 4), bool))
