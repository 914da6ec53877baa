"""The stages: what each holds, that it prints, and that executables are shared."""

import numpy as np
import pytest

from tracejit import ShapeDtype, config, jit
from tracejit.stages import executable, reference
from tracejit.symbolic.graph import Graph
from tracejit.symbolic.text import parse

X = np.arange(6.0).reshape(2, 3)


def f(x, w):
    return np.log(1 + np.exp(x @ w)).sum()


def test_graphs_before_and_after():
    traced = jit(f).trace(X, X[0])
    assert isinstance(traced.graph, Graph) and "log1p" not in str(traced) and "exp(" in str(traced)
    lowered = traced.lower()
    assert "softplus" in str(lowered.graph) and lowered.graph is not traced.graph
    for graph in (traced.graph, lowered.graph):
        assert parse(str(graph)) == graph
    assert lowered.program.in_types == traced.graph.params
    assert str(lowered.program) in str(lowered)


def test_equal_functions_have_one_executable():
    one = jit(lambda x: np.sin(x) * 2 + 1).trace(X).lower().compile()
    two = jit(lambda y: np.sin(y) * 2 + 1).trace(X + 1).lower().compile()
    assert one.executable is two.executable
    other = jit(lambda x: np.sin(x) * 2 + 1, backend="ref").trace(X).lower().compile()
    assert other.executable is not one.executable


def test_lines_of_the_users_code_are_shown():
    text = str(jit(f).trace(X, X[0]))
    assert f"test_stages.py:{f.__code__.co_firstlineno + 1}" in text


def test_shapes_ahead_of_time_in_nests():
    p = {"x": ShapeDtype((4,), "f4"), "k": ShapeDtype((), np.float32)}
    traced = jit(lambda p, n: p["x"][:n] * p["k"]).trace(p, 2)
    assert [str(t) for t in traced.graph.out_types] == ["f32[2]"]


def test_reference_and_compiled_agree():
    graph = jit(f).trace(X, X[0]).lower().graph
    got = {}
    for backend in ("ref", "c", "numba"):
        made = executable(graph, backend)
        assert executable(graph, backend) is made
        if made.call is not None:
            out = np.empty(())
            assert made.call([X, X[0]], [out])[0] == 0
            got[backend] = out[()]
    np.testing.assert_allclose(list(got.values()), f(X, X[0]), rtol=1e-14)
    assert reference(graph).source == str(graph)


def test_flags_make_executables_of_their_own():
    graph = jit(lambda x: x + 3.25).trace(X).lower().graph
    plain = executable(graph)
    with config.context(fast=not config.fast):
        assert executable(graph) is not plain
    assert executable(graph) is plain


@pytest.mark.parametrize("backend", ["gpu", "C", ""])
def test_unknown_backends(backend):
    with pytest.raises(ValueError, match="backend"):
        jit(f, backend=backend)(X, X[0])
