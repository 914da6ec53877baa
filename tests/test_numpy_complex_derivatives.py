"""Complex derivatives of NumPy's functions: the samples with complex arguments or results, differentiated.

Forward mode is held against differences of the graph where the function is smooth, and reverse mode is its transpose
under the pairing that `autodiff` states; both go through the interpreter. `test_numpy_gradients` has the real ones.
"""

import numpy as np
import pytest
from numpy_samples import Number, _is_leaf, clone
from test_numpy_coverage import SAMPLED
from test_numpy_gradients import BASES, OF_CONSTANT_RANK, squares

from tracejit import tree
from tracejit.symbolic.autodiff import jvp, vjp
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.types import Type
from tracejit.trace.numpy import coverage
from tracejit.trace.staging import Leaf, stage

#: Functions that end in a square root, which has no derivative at 0: a deviation where all values agree.
ROOTS = {np.std, np.nanstd}


def staged(function, sample):
    """Return (graph, arguments) of a sample, or None where NumPy itself refuses it or no float enters."""
    leaves, structure = tree.flatten((sample.args, sample.kwargs), is_leaf=_is_leaf)
    arrays = [clone(v) if isinstance(v, np.ndarray) else np.asarray(v.value) for v in leaves if _is_leaf(v)]
    if not any(a.dtype.kind in "fc" for a in arrays):
        return None
    # derivatives are checked in double precision
    wide = [a.astype({"f": "f8", "c": "c16"}.get(a.dtype.kind, a.dtype)) for a in arrays]
    markers = iter(wide)
    marked = []
    for v in leaves:
        array = next(markers) if _is_leaf(v) else None
        marked.append(v if array is None else Leaf(Type(array.dtype, array.shape), weak=isinstance(v, Number)))
    args, kwargs = tree.unflatten(structure, marked)
    try:
        graph = stage(function, args, kwargs).graph
    except Exception:
        return None  # refused: held against NumPy elsewhere
    if all(t.is_static for t in graph.out_types):
        return graph, wide
    # results whose size the data decide
    outs = [n if n.type.is_static else squares(n) for n in graph.outs if n.type.is_static or n.type.kind in "fc"]
    return (graph.replace(outs), wide) if outs and not graph.writes else None


def random_like(rng, kind):
    value = rng.uniform(-1, 1, kind.shape)
    if kind.kind == "c":
        value = value + 1j * rng.uniform(-1, 1, kind.shape)
    return value.astype(kind.dtype) if kind.kind in "fc" else np.zeros(kind.shape, kind.dtype)


def smooth_differences(graph, args, direction, values, step=1e-6):
    """Return per output (central difference, where the function is smooth: both one-sided differences agree there)."""

    def at(t):
        return evaluate(graph, *[a + t * d if a.dtype.kind in "fc" else a for a, d in zip(args, direction)])

    for value, ahead, behind in zip(values, at(step), at(-step), strict=True):
        if value.dtype.kind not in "fc":
            yield np.zeros(value.shape), np.full(value.shape, True)
            continue
        right, left = (ahead - value) / step, (value - behind) / step
        yield (
            (ahead - behind) / (2 * step),
            (np.abs(right - left) <= 1e-3) & (np.abs(value) < 1e6) & (np.abs(right) < 1e3),
        )


def is_single(kind):
    return type(kind) is Type and kind.dtype in ("f2", "f4", "c8")


@pytest.mark.parametrize("function", SAMPLED, ids=coverage.public_name)
def test_derivatives(function):
    if function in BASES | OF_CONSTANT_RANK:
        return  # see there
    for sample in SAMPLED[function]:
        check(function, sample)


def check(function, sample):
    found = staged(function, sample)
    if found is None:
        return
    graph, args = found
    rng = np.random.default_rng(0)
    direction = [random_like(rng, t) for t in graph.params]
    moving = [i for i, t in enumerate(graph.params) if t.kind in "fc"]
    if not any(type(node.type) is Type and node.type.kind == "c" for node in graph.topological()):
        return
    if any(is_single(node.type) for node in graph.topological()):
        return  # converts to lower precision on the way
    pushed, pulled = jvp(graph, moving), vjp(graph, moving)
    assert pushed.check() and pulled.check()
    n = len(graph.outs)
    try:
        values = evaluate(graph, *args)
        tangents = evaluate(pushed, *args, *[direction[i] for i in moving])[n:]
    except (IndexError, ValueError, np.linalg.LinAlgError):
        return  # what a check refuses; also the inverse in the derivative of a determinant that is 0
    with np.errstate(all="ignore"):
        for got, (want, smooth) in zip(tangents, smooth_differences(graph, args, direction, values), strict=True):
            if function in ROOTS:
                smooth &= want != 0
            np.testing.assert_allclose(got[smooth], want[smooth], rtol=1e-4, atol=1e-4)
    cts = [random_like(rng, t) for t in graph.out_types]
    back = evaluate(pulled, *args, *cts)[: len(moving)]
    if all(np.all(np.isfinite(x)) for x in (*tangents, *back)):
        left = sum(np.real(np.sum(c * t)) for c, t in zip(cts, tangents, strict=True))
        right = sum(np.real(np.sum(b * direction[i])) for b, i in zip(back, moving, strict=True))
        assert left == pytest.approx(right, rel=1e-8, abs=1e-8)
