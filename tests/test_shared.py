"""Shared variables: state between calls, read and written inside jitted functions as arrays."""

import copy
import pickle
import threading

import numpy as np
import pytest

from tracejit import Shared, grad, jit, shared
from tracejit.errors import UnsupportedError

X = np.arange(3.0)


def test_value():
    given = [1.0, 2.0]
    w = shared(given, name="w")
    assert isinstance(w, Shared) and (w.dtype, w.shape, w.ndim, w.size, len(w)) == (np.float64, (2,), 1, 2, 2)
    assert "w" in repr(w) and "1." in repr(w)
    value = w.get_value()
    value[0] = 9
    assert w.get_value().tolist() == [1, 2]
    array = np.ones(2)
    v = shared(array)
    array[:] = 5
    assert v.get_value().tolist() == [1, 1] and v.name != w.name


def test_scalars():
    n = shared(3)
    assert n.get_value() == 3 and isinstance(n.get_value(), np.int64) and n.dtype == np.int64 and n.shape == ()
    assert int(n) == 3 and float(n) == 3.0 and bool(n) and [1, 2, 3, 4][n] == 4
    assert shared(True).dtype == bool and shared(1j).dtype == complex and shared(np.float32(1)).dtype == np.float32


def test_set_value():
    w = shared(np.zeros(3, np.float32))
    w.set_value([1, 2, 3])
    assert w.dtype == np.float32 and w.get_value().tolist() == [1, 2, 3]
    w.set_value(np.ones(3, np.float64))  # same kind
    with pytest.raises(TypeError):
        w.set_value(np.ones(3) * 1j)
    with pytest.raises(ValueError, match="shape"):
        w.set_value(np.ones(4))
    n = shared(np.zeros(3, int))
    with pytest.raises(TypeError):
        n.set_value(np.ones(3))
    assert w.get_value().tolist() == [1, 1, 1] and n.get_value().tolist() == [0, 0, 0]
    kept = np.full(3, 7, np.float32)
    w.set_value(kept)
    kept[0] = 0
    assert w.get_value().tolist() == [7, 7, 7]


def test_kinds_that_are_refused():
    for bad in (np.array(["a"]), np.array([None]), np.zeros(2, "M8[s]")):
        with pytest.raises(UnsupportedError) as error:
            shared(bad)
        assert len(str(error.value).splitlines()) == 3 and __file__ in str(error.value)


def test_outside_of_jitted_code_it_reads_as_an_array():
    w = shared(X)
    assert (w + 1).tolist() == [1, 2, 3] and (2 * w).tolist() == [0, 2, 4] and (-w).tolist() == [0, -1, -2]
    assert np.sin(w).tolist() == np.sin(X).tolist() and np.sum(w) == 3 and w.sum() == 3 and w.T.shape == (3,)
    assert np.concatenate([w, w]).shape == (6,) and (w @ w) == 5 and (w > 1).tolist() == [False, False, True]
    assert np.asarray(w).tolist() == [0, 1, 2] and list(w) == [0, 1, 2] and w[1] == 1
    w[1] = 5
    w[...] = w * 2
    assert w.get_value().tolist() == [0, 10, 4]
    w += 1
    assert isinstance(w, Shared) and w.get_value().tolist() == [1, 11, 5]
    for view in (w[:2], w.reshape(3, 1), np.asarray(w), w.T):
        view[...] = 77  # copies: no caller sees inside
    assert w.get_value().tolist() == [1, 11, 5]
    with pytest.raises((ValueError, TypeError)):
        w[:] = "text"
    with pytest.raises(AttributeError):
        w.no_such_method


def test_update_inside():
    w = shared(np.zeros(3))

    @jit
    def step(x, lr):
        w[...] = w + lr * x
        return w.sum()
    for k in (1, 2, 3):
        assert step(X, 0.5) == k * 1.5
        np.testing.assert_allclose(w.get_value(), k * 0.5 * X)
    assert step.cache_info().hits == 2
    w.set_value(np.full(3, 10.0))
    assert step(X, 0.0) == 30 and step.cache_info().traces == 1


@pytest.mark.parametrize("update", [
    lambda w, x: w.__setitem__(slice(1, None), x[1:]),
    lambda w, x: w.__iadd__(x),
    lambda w, x: np.add(w, x, out=w),
    lambda w, x: w.__setitem__(x > 1, 5.0),
    lambda w, x: w.fill(3.0),
    lambda w, x: np.copyto(w, x),
], ids=["slice", "iadd", "out", "mask", "fill", "copyto"])
def test_ways_of_writing(update):
    w, want = shared(np.full(3, 2.0)), np.full(3, 2.0)
    f = jit(lambda x: (update(w, x), w * 1)[1])
    for _ in range(2):
        update(want, X)
        np.testing.assert_array_equal(f(X), want)
        np.testing.assert_array_equal(w.get_value(), want)


def test_written_value_is_converted_and_broadcast():
    w = shared(np.zeros((2, 3), np.float32))

    @jit
    def f(x):
        w[...] = x
    f(X)
    assert w.dtype == np.float32 and w.get_value().tolist() == [[0, 1, 2]] * 2
    with pytest.raises(ValueError, match="broadcast"):
        f(np.ones(4))
    assert w.get_value().tolist() == [[0, 1, 2]] * 2


def test_a_call_that_raises_changes_nothing():
    w, n = shared(np.zeros(3)), shared(0)

    @jit
    def f(x, i):
        w[...] = w + 1
        n[...] = n + 1
        return x[i]
    f(X, np.int64(0))
    for bad in (np.int64(3), np.int64(-4)):
        with pytest.raises(IndexError):
            f(X, bad)
    assert w.get_value().tolist() == [1, 1, 1] and n.get_value() == 1

    @jit
    def g(x):
        w[...] = 100.0
        raise KeyError("mine")
    with pytest.raises(KeyError):
        g(X)
    assert w.get_value().tolist() == [1, 1, 1]


def test_a_failed_write_back_of_an_argument_changes_nothing():
    w = shared(0.0)

    @jit
    def f(x):
        w[...] = w + 1
        x += 1
    x = X.copy()
    f(x)
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        f(x)
    assert w.get_value() == 1


def test_two_functions_share_a_variable():
    w = shared(np.ones(3))
    train = jit(lambda g: w.__setitem__(..., w - g))
    predict = jit(lambda x: x @ w)
    for k in range(3):
        assert predict(X) == X @ (np.ones(3) - k)
        train(np.ones(3))
    both = jit(lambda x: (train(x), predict(x))[1])  # inside another
    assert both(X) == X @ (np.ones(3) - 3 - X)


def test_returned_variables_are_values():
    w = shared(X)
    f = jit(lambda: (w, w[1:], w + 1))
    a, b, c = f()
    assert type(a) is np.ndarray
    a[:] = 50
    b[:] = 50
    np.testing.assert_array_equal(w.get_value(), X)
    np.testing.assert_array_equal(f()[0], X)


def test_results_do_not_share_memory_with_the_new_state():
    w = shared(np.zeros(3))

    @jit
    def f(x):
        w[...] = w + x
        return w
    out = f(X)
    out[:] = 99
    np.testing.assert_array_equal(w.get_value(), X)


def test_as_argument():
    w, v = shared(X), shared(X + 1)

    @jit
    def f(state, x):
        state[...] = state * 2
        return state.sum() + x.sum()
    assert f(w, X) == 9
    assert f(v, X) == 15
    np.testing.assert_array_equal(w.get_value(), 2 * X)
    np.testing.assert_array_equal(v.get_value(), 2 * (X + 1))


def test_in_nests_and_attributes():
    class Model:
        def __init__(self):
            self.params = {"w": shared(np.ones(3)), "b": [shared(0.0)]}

        @jit
        def step(self, x):
            for p in (self.params["w"], self.params["b"][0]):
                p -= 0.5
            return x @ self.params["w"] + self.params["b"][0]
    m = Model()
    assert m.step(X) == 1.5 - 0.5
    assert m.step(X) == 0.0 - 1.0
    m.params["w"] = shared(np.full(3, 3.0))  # another variable in its place
    assert m.step(X) == 2.5 * 3 - 1.5


def test_gradients():
    w = shared(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(grad(lambda w: (w**2).sum())(w), 2 * w.get_value())


def test_pickle_and_copy():
    w = shared(X, name="w")
    for v in (pickle.loads(pickle.dumps(w)), copy.deepcopy(w)):
        assert v.name == "w"
        np.testing.assert_array_equal(v.get_value(), X)
        v[...] = 0.0
        np.testing.assert_array_equal(w.get_value(), X)


def test_threads_see_whole_states():
    w = shared(np.zeros(1000))
    up = jit(lambda x: w.__setitem__(..., x))
    stop = threading.Event()
    wrong = []

    def watch():
        while not stop.is_set():
            value = w.get_value()
            if (value != value[0]).any():
                wrong.append(value)
    watcher = threading.Thread(target=watch)
    watcher.start()
    for k in range(300):
        up(np.full(1000, float(k)))
    stop.set()
    watcher.join(10)
    assert not wrong
