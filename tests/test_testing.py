"""The tools for testing, tested: right functions pass, and each kind of mistake is found."""

import numpy as np
import pytest

from tracejit import extend, jit
from tracejit.errors import NotDifferentiableError
from tracejit.testing import assert_same_as_numpy, check_grads

X = np.array([[0.3, -0.7, 1.2], [0.9, 0.1, -1.4]])
W = np.array([0.5, -0.25, 2.0])


def loss(x, w, y):
    p = 1 / (1 + np.exp(-(x @ w)))
    return (-y * np.log(p) - (1 - y) * np.log(1 - p)).mean() + 0.01 * (w**2).sum()


# ---------------------------------------------------------------- check_grads
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_model(dtype):
    check_grads(loss, (X.astype(dtype), W.astype(dtype), np.array([0, 1])))


@pytest.mark.parametrize("modes", [("fwd",), ("rev",)])
def test_modes_and_third_order(modes):
    check_grads(lambda x: np.sin(x) * np.exp(x), (W,), order=3, modes=modes)


def test_nests_of_arguments_and_results():
    def f(params, scale):
        return {"y": np.tanh(params["w"] * scale), "n": params["w"].sum()}, (scale * 2, 3)

    check_grads(f, ({"w": W, "k": 3}, 0.7))


def test_complex_values():
    check_grads(lambda z: np.exp(z) * np.conj(z), (np.array([0.3 + 0.2j, -0.5j]),), order=2)
    check_grads(lambda z: np.abs(z).sum(), (np.array([0.3 + 0.2j, -0.5j]),), order=2)


def test_captured_arrays():
    check_grads(lambda w: X @ w, (W,))


def test_a_jitted_function():
    check_grads(jit(loss), (X, W, np.array([0, 1])))


def test_a_wrong_derivative_is_found():
    """A step function: its derivative, zero, is not what differences over the steps say."""
    with pytest.raises(AssertionError, match="forward mode of f against differences"):
        check_grads(lambda x: np.floor(x * 1e4), (W,))


def test_a_wrong_second_derivative_is_found():
    """Continuous at the step, where its slope jumps."""
    with pytest.raises(AssertionError, match="forward mode of the jvp of f"):
        check_grads(lambda x: np.floor(x * 1e4) * (x - 0.5), (W[:1],), step=1e-9, rtol=1e-3)


def test_what_cannot_be_checked():
    with pytest.raises(ValueError, match="no argument is of floating dtype"):
        check_grads(lambda n: n, (3,))
    with pytest.raises(ValueError, match="modes are"):
        check_grads(np.sin, (W,), modes=("backwards",))
    with pytest.raises(NotDifferentiableError):
        check_grads(extend.callback(np.sort, result=lambda x: x), (W,), order=1)


# ---------------------------------------------------------------- assert_same_as_numpy
def test_same_results():
    want = assert_same_as_numpy(loss, X, W, np.array([0, 1]))
    assert want == loss(X, W, np.array([0, 1]))
    assert_same_as_numpy(lambda x: (x.sum(), {"a": x > 0, "b": [1, None, "s"]}), X)
    assert_same_as_numpy(lambda x, n: x.reshape(n, -1), X, 3)
    assert_same_as_numpy(lambda x: np.log(x), X)  # nan
    assert_same_as_numpy(lambda *, x: x + 1, x=X.T)


def test_same_writes():
    x = X.copy()

    def f(x, y):
        x[0] += y
        return x.sum()

    assert_same_as_numpy(f, x, 2.0)
    np.testing.assert_array_equal(x, X)  # it worked on copies
    assert_same_as_numpy(lambda a, b: np.add(a, 1, out=b), x, x)


def test_same_errors():
    assert_same_as_numpy(lambda x: x[5], W)
    assert_same_as_numpy(lambda x, y: x + y, W, np.zeros(2))


def as_traced(plain, traced):
    """Return a function whose compiled form is another one."""

    class Two:
        def __call__(self, x):
            return plain(x)

        def __tracejit_inline__(self):
            return traced

    return Two()


@pytest.mark.parametrize(
    "plain, traced, message",
    [
        (lambda x: x + 1, lambda x: x + 1.001, "result"),
        (lambda x: x + 1, lambda x: x.astype("f4") + 1, "float32"),
        (lambda x: x + 1, lambda x: (x + 1,), "structure"),
        (lambda x: x.sum(), lambda x: x.sum(keepdims=True)[0], None),
        (lambda x: x.sum(), lambda x: x.sum(keepdims=True), "is a ndarray"),
        (lambda x: 3, lambda x: 4, "is 4"),
        (lambda x: x, lambda x: x[:2], "NumPy's float64"),
        (lambda x: x > 0, lambda x: x < 0, "result"),
        (lambda x: x[1], lambda x: x[9], "raises IndexError|raises"),
        (lambda x: x[9], lambda x: x[1], "returns"),
        (lambda x: 1 / 0, lambda x: x[9], "ZeroDivisionError"),
    ],
)
def test_differences_are_found(plain, traced, message):
    pair = as_traced(plain, traced)
    if message is None:
        assert_same_as_numpy(pair, W)
        return
    with pytest.raises(AssertionError, match=message):
        assert_same_as_numpy(pair, W)


def test_a_missing_write_is_found():
    def writes(x):
        x[0] = 5

    with pytest.raises(AssertionError, match="arguments after the call"):
        assert_same_as_numpy(as_traced(writes, lambda x: None), W)
