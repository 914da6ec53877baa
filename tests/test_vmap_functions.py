"""Every NumPy and SciPy function that is traced, mapped over a batch by `vmap`: as NumPy's own over each element."""

import numpy as np
import pytest
import scipy.linalg
from numpy_samples import Number, clone, numpy_answer, same
from test_numpy_coverage import SAMPLED, coverage

from tracejit import tree, vmap
from tracejit.errors import ConcretizationError, UnsupportedError
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.types import Type
from tracejit.trace.guards import Undecided
from tracejit.trace.staging import Leaf, stage

#: Not those whose results are sparse arrays and factors, which have no stacks; nor the one that tells an element of a
#: vector, a number, from an array without axes.
FUNCTIONS = {f for f in SAMPLED if f is not np.isscalar and not (f.__module__ or "").startswith("scipy.sparse")}
#: How many calls of each function are mapped.
MOST = 4
#: Real where the values allow it; in a batch the values differ, and the results are complex.
REAL_OR_COMPLEX = {np.linalg.eig, np.linalg.eigvals, scipy.linalg.eig, scipy.linalg.sqrtm}
#: Their tables have to rise.
OF_SORTED = {np.searchsorted, np.interp, np.digitize}


def is_leaf(x):
    return isinstance(x, (np.ndarray, Number))


def mapped_calls(function):
    """Return sample calls with arrays that NumPy answers: (leaves, structure, elements of the batch, answers)."""
    found = []
    for sample in SAMPLED[function]:
        leaves, structure = tree.flatten((sample.args, sample.kwargs), is_leaf=is_leaf)
        places = [k for k, x in enumerate(leaves) if isinstance(x, np.ndarray)]
        if not places:
            continue
        elements = [leaves, leaves if function in OF_SORTED else other(leaves, places[0])]
        answers = [answer(function, row, structure) for row in elements]
        if isinstance(answers[1], Exception) or outline(answers[0]) != outline(answers[1]):
            elements[1], answers[1] = leaves, answers[0]  # not every matrix has a root
        if not isinstance(answers[0], Exception):
            found.append((leaves, structure, places, elements, answers, sample.rtol))
    return found[:MOST]


def other(leaves, place):
    """Return the leaves with the elements of one array in another order."""
    x = leaves[place]
    turned = np.empty_like(x)
    turned[...] = x[::-1] if x.ndim else x
    return [*leaves[:place], turned, *leaves[place + 1:]]


def answer(function, leaves, structure):
    args, kwargs = tree.unflatten(structure, leaves)
    return numpy_answer(function, type("Sample", (), {"args": args, "kwargs": kwargs}))[0]


def outline(result):
    return [(np.shape(x), getattr(x, "dtype", type(x))) for x in tree.leaves(result)]


@pytest.mark.parametrize("function", sorted(FUNCTIONS, key=coverage.public_name), ids=coverage.public_name)
def test_each_function_over_a_batch(function):
    for leaves, structure, places, elements, answers, rtol in mapped_calls(function):
        stacks = [np.stack([clone(row[k]) for row in elements]) for k in places]
        values = [k.value if isinstance(k, Number) else k for k in leaves]

        def call(*rows):
            given = list(values)
            for k, row in zip(places, rows):
                given[k] = row
            args, kwargs = tree.unflatten(structure, given)
            return function(*args, **kwargs)
        try:
            traced = stage(vmap(call), [Leaf(Type(s.dtype, s.shape)) for s in stacks], {}, values=stacks)
        except (ConcretizationError, UnsupportedError, Undecided) as error:
            assert decided_by_data(error), f"{function.__name__}: {error}"
            continue
        with np.errstate(all="ignore"):
            outs = evaluate(traced.graph.check(), *stacks)
        compare(traced, outs, answers, rtol, function)


def decided_by_data(error):
    """Return whether an error says that a size or a choice differs between the elements."""
    text = str(error.__cause__ if isinstance(error, Undecided) else error)
    return "elements of a batch" in text or "each element of a batch" in text


def compare(traced, outs, answers, rtol, function):
    for k, (spec, *wanted) in enumerate(zip(traced.outputs, *map(tree.leaves, answers))):
        if spec[0] == "const":
            assert spec[1] is wanted[0] or np.all(spec[1] == wanted[0])
            continue
        got = outs[spec[1]].T if spec[2:] == ("F",) else outs[spec[1]]
        if function is scipy.linalg.lstsq and not np.size(wanted[0]):
            continue  # whether there are residuals, the rank decides
        stack = np.stack([np.asarray(w) for w in wanted])
        if function in REAL_OR_COMPLEX or isinstance(wanted[0], (int, np.int32)):
            stack = stack.astype(got.dtype)
        same(got, stack, rtol, f"{function.__name__}, result {k}")
