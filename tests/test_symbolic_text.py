"""The text of a graph is a contract: it reads well, and parsing it gives the very same graph."""

import numpy as np
import pytest
from graphs import any_graphs, smooth_graphs
from hypothesis import given
from hypothesis import strategies as st

from tracejit.errors import TracejitError
from tracejit.symbolic.graph import close
from tracejit.symbolic.ir import const, new_variable
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import cast, softplus
from tracejit.symbolic.text import parse, to_text
from tracejit.symbolic.types import F32, F64, Type

LOSS = """\
graph logloss(x0: f64[400,784], x1: f64[784]) {
  v0: f64[400] = dot_general(x0, x1, contract=((1,), (0,),), batch=((), (),))
  v1: f64[400] = softplus(v0)                               # model.py:12 (and more)
  v2: f64 = reduce_sum(v1, axes=(0,))
  return v2
}"""


def logloss():
    x, w = new_variable(Type(F64, (400, 784))), new_variable(Type(F64, (784,)))
    return close([x, w], [reduce_sum(softplus(matmul(x, w)), axes=(0,))])


def test_the_text_is_the_documented_one():
    graph = logloss()
    assert to_text(graph, "logloss", {graph.outs[0].args[0]: "model.py:12 (and more)"}) == LOSS
    assert parse(LOSS) is graph


@given(any_graphs())
def test_random_graphs_round_trip(graph):
    assert parse(str(graph)) is graph


@given(smooth_graphs())
def test_random_programs_round_trip(graph):
    assert parse(str(graph)) is graph


@pytest.mark.parametrize(
    "value",
    [
        0.0,
        -0.0,
        1e-320,
        np.inf,
        -np.inf,
        np.nan,
        1 + 2j,
        True,
        np.float16(0.1),
        np.float32(0.1),
        np.uint64(2**64 - 1),
        np.int64(-(2**63)),
        [],
        [[1.0, -np.inf], [np.inf, -0.0]],
        np.zeros((2, 0, 3), "f4"),
        np.arange(100.0),
        [True, False],
        np.array([np.nan, 1.0]),
        np.frombuffer(b"\1\0\0\0\0\0\xf8\x7f", "f8"),
    ],
)
def test_constants_round_trip(value):
    graph = close([], [const(value)])
    assert parse(str(graph)) is graph


def test_constants_are_read_by_people():
    assert "const(-inf)" in str(close([], [const(-np.inf)]))
    assert "const([[1, 2], [3, 4]])" in str(close([], [const([[1, 2], [3, 4]])]))


def test_dtypes_in_attrs():
    x = new_variable(Type(F64, (2,)))
    graph = close([x], [cast(x, F32)])
    assert "cast(x0, dtype=f32)" in str(graph) and parse(str(graph)) is graph


@pytest.mark.parametrize(
    "text",
    [
        "",
        "graph",
        "graph f() {",
        "nonsense\n}",
        "graph f() {\n  return v0\n}",
        "graph f(x0: f65) {\n  return x0\n}",
        "graph f(x0: f64[-1]) {\n  return x0\n}",
        "graph f(x1: f64) {\n  return x1\n}",
        "graph f(x0: f64; y) {\n  return x0\n}",
        "graph f(x0: f64) {\n  v0: f64 = sinus(x0)\n  return v0\n}",
        "graph f(x0: f64) {\n  v0: f64 = sin(x0\n  return v0\n}",
        "graph f(x0: f64) {\n  v0: f64 = sin(x0, x0, axis=3)\n  return v0\n}",
        "graph f(x0: f64) {\n  v0: f64 = sin(x9)\n  return v0\n}",
        "graph f(x0: f64) {\n  v0: f32 = sin(x0)\n  return v0\n}",
        "graph f(x0: f64) {\n  v0: f64 = reduce_sum(x0)\n  return v0\n}",
        "graph f() {\n  v0: f64 = const('a')\n  return v0\n}",
        "graph f() {\n  v0: f64[3] = const(b64='AAAA')\n  return v0\n}",
        "graph f() {\n  v0: f64[3] = const([1, 2])\n  return v0\n}",
        "graph f() {\n  v0: f64 = const(__import__('os'))\n  return v0\n}",
        "graph f(x0: f64[x1]) {\n  return x0\n}",
        "graph f() {\n  captures many\n  return\n}",
    ],
)
def test_bad_text_is_refused_with_a_remedy(text):
    with pytest.raises(TracejitError) as caught:
        parse(text)
    assert len(str(caught.value)) < 400


@given(st.data())
def test_damaged_text_never_escapes(data):
    """One character more or less gives a graph or an error of ours, and nothing else."""
    text = LOSS
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = (
        text[:at]
        + data.draw(st.sampled_from(["", "(", ")", "0", "x", ",", "[", " ", "\n", "=", "'", "-"]))
        + text[at + 1 :]
    )
    try:
        graph = parse(damaged)
    except TracejitError:
        return
    assert parse(str(graph)) is graph
