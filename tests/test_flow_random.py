"""Random programs of nested branches, loops and jumps: jitted, they do what Python does, whichever way inputs lead."""

import warnings

import numpy as np
from flow_programs import NamesMaker, arrays, inputs, program
from hypothesis import given, settings
from hypothesis import strategies as st

import tracejit


def outcome(f, args):
    args = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    try:
        with np.errstate(all="ignore"):
            return f(*args), args, None
    except (ArithmeticError, LookupError, ValueError, UnboundLocalError) as error:
        return None, args, error


def check(made, arguments, backend):
    """Compare one program with Python on several inputs; its variants may be many, its answers only Python's."""
    f, text = made
    jitted = tracejit.jit(f, backend=backend)
    for args in arguments:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected, written, error = outcome(f, args)
            got, ours, mistake = outcome(jitted, args)
        assert type(mistake) is type(error), (mistake, error, text)
        if error is None:
            for a, b in zip((*got, *ours), (*expected, *written)):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=text)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 100_000))
def test_any_program(seed):
    check(program(seed), inputs(seed), "ref")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 100_000))
def test_any_program_of_names_for_the_same_arrays(seed):
    check(program(seed, NamesMaker), arrays(seed), "ref")


def test_compiled_programs():
    for seed in (3, 8, 12, 22):
        check(program(seed), inputs(seed), "auto")
    for seed in (5, 6, 7):
        check(program(seed, NamesMaker), arrays(seed), "auto")
