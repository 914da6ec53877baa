"""np.errstate inside a jitted function: what it says is raised is raised, at run time."""

import numpy as np
import pytest

import tracejit
from tracejit.errors import UnsupportedError


def raising(f, **modes):
    """Return a function that works under an error state."""
    def g(*args):
        with np.errstate(**modes):
            return f(*args)
    return g


@pytest.mark.parametrize("f, modes, args, fine", [
    (lambda x: x / 0.0, {"divide": "raise"}, [0.0, 1.0], [np.inf, np.nan]),
    (lambda x, y: x / y, {"divide": "raise"}, ([1.0, 2], [1.0, 0]), ([1.0, 2], [1.0, 4])),
    (lambda x: np.log(x), {"divide": "raise"}, [1.0, 0.0], [1.0, 2]),
    (lambda x: np.log(x), {"invalid": "raise"}, [1.0, -2.0], [1.0, np.nan]),
    (lambda x: np.sqrt(x), {"all": "raise"}, [-1.0], [4.0, np.inf]),
    (lambda x: np.exp(x), {"over": "raise"}, [1e3], [1.0]),
    (lambda x: x * x, {"over": "raise", "divide": "ignore"}, [1e200], [1e100]),
    (lambda x: x ** -1.0, {"all": "raise"}, [0.0], [2.0]), (lambda x: x - x, {"invalid": "raise"}, [np.inf], [1.0]),
    (lambda x: x // 0, {"divide": "raise"}, [1, 2], None), (lambda x: np.log(x), {"all": "ignore"}, None, [0.0, -1.0]),
])
def test_what_is_raised(f, modes, args, fine):
    g = raising(f, **modes)
    arrays = lambda given: [np.array(a) for a in (given if isinstance(given, tuple) else (given,))]
    if args is not None:
        with pytest.raises(FloatingPointError) as want:
            g(*arrays(args))
        with pytest.raises(FloatingPointError) as got:
            tracejit.jit(g)(*arrays(args))
        assert str(want.value) in str(got.value)
    if fine is not None:
        np.testing.assert_allclose(tracejit.jit(g)(*arrays(fine)), g(*arrays(fine)), rtol=1e-15)


def test_the_state_ends_with_its_block():
    def f(x):
        with np.errstate(all="raise"):
            y = x + 1
            with np.errstate(divide="ignore"):
                y = y / 0
        return np.log(x) + y

    x = np.array([0.0, 1.0])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(tracejit.jit(f)(x), f(x))


def test_as_a_decorator():
    @np.errstate(divide="raise")
    def inverse(x):
        return 1 / x

    def f(x):
        return np.errstate(divide="raise")(lambda x: 1 / x)(x)
    with pytest.raises(FloatingPointError, match="divide by zero encountered in divide"):
        tracejit.jit(f)(np.zeros(2))
    assert np.isfinite(tracejit.jit(f)(np.ones(2))).all() and np.isfinite(inverse(np.ones(2))).all()


def test_settings_for_all_that_follows_are_refused():
    with pytest.raises(UnsupportedError, match=r"numpy\.seterr .*\n.*\n.*errstate"):
        tracejit.jit(lambda x: (np.seterr(all="raise"), x + 1)[1])(np.ones(2))
