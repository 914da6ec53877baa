"""Pictures of graphs: well formed, complete, the same each time, and without overlaps."""

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracejit import printing
from tracejit.drawing import drawing
from tracejit.symbolic.graph import Graph, close
from tracejit.symbolic.ir import const, new_variable
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.control import for_loop, results
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import add, exp, log, multiply, tanh
from tracejit.symbolic.ops.shape import full_like
from tracejit.symbolic.text import inner_graphs
from tracejit.symbolic.types import F64, I64, Type

SVG = "{http://www.w3.org/2000/svg}"


def loss():
    """A small graph with all kinds of boxes: argument, capture, op, constant, result and write."""
    x, w = new_variable(Type(F64, (4, 3))), new_variable(Type(F64, (3,)))
    z = matmul(x, w)
    p = full_like(1, z) / (full_like(1, z) + exp(-z)) + const(np.arange(4.0) + np.array([0, 0, 0, 9]))
    cost = reduce_sum(log(p), axes=(0,))
    return close([x], [cost, w - full_like(0.1, w)], [w], ((1, 1),))


@st.composite
def graphs(draw):
    """Any graph of up to 60 binary ops over a few params."""
    nodes = [new_variable(Type(F64, (3,))) for _ in range(draw(st.integers(1, 4)))]
    params = list(nodes)
    for _ in range(draw(st.integers(0, 60))):
        a, b = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))
        nodes.append(draw(st.sampled_from([add, multiply, lambda a, b: tanh(a)]))(a, b))
    return close(params, draw(st.lists(st.sampled_from(nodes), min_size=1, max_size=4)))


def tips(svg):
    return [t.text for t in ElementTree.fromstring(svg).iter(f"{SVG}title")]


def test_svg_is_well_formed_and_has_every_node():
    graph = loss()
    svg = printing.svg(graph, names=["x<y"])
    found = tips(svg)
    ops = [t.split("(")[0] for t in found]
    for node in graph.topological():
        if node.op.name not in ("param", "const", "broadcast"):
            assert node.op.name in ops
    words = "".join(t for e in ElementTree.fromstring(svg).iter() for t in (e.text or "", e.tail or ""))
    for expected in ("x<y", "x1", "write x1", "result 0", "1 / ·", "1 + ·", "argument", "captured or shared"):
        assert expected in words
    assert len([t for t in found if t.startswith("argument") or t.startswith("param")]) == 1


@settings(max_examples=40)
@given(graphs())
def test_every_node_has_one_box_and_every_argument_a_line(graph):
    picture = drawing(graph)
    nodes = graph.topological()
    ops = [n for n in nodes if n.op.name != "param"]
    assert len(picture.boxes) == len(graph.params) + len(ops) + len(graph.outs)
    assert sum(line.head for line in picture.lines) == sum(len(n.args) for n in ops) + len(graph.outs)
    assert picture.count == len(ops)


@settings(max_examples=40)
@given(graphs())
def test_boxes_lie_apart_inside_the_picture_and_lines_run_downward(graph):
    picture = drawing(graph)
    for a, b in itertools.combinations(picture.boxes, 2):
        beside = abs(a.x - b.x) >= (a.width + b.width) / 2
        below = abs(a.y - b.y) >= (a.height + b.height) / 2
        assert beside or below, (a, b)
    for box in picture.boxes:
        assert box.width / 2 <= box.x + 1e-6 and box.x + box.width / 2 <= picture.width + 1e-6
        assert box.height / 2 <= box.y + 1e-6 and box.y + box.height / 2 <= picture.height + 1e-6
    for line in picture.lines:
        heights = [y for _, y in line.points]
        assert heights == sorted(heights)


@settings(max_examples=40)
@given(graphs())
def test_the_same_graph_is_drawn_the_same(graph):
    assert printing.svg(graph) == printing.svg(graph)


def test_a_few_hundred_nodes():
    rng = np.random.default_rng(0)
    nodes = [new_variable(Type(F64, (3,))) for _ in range(6)]
    params = list(nodes)
    for _ in range(400):
        near, far = rng.integers(max(0, len(nodes) - 12), len(nodes)), rng.integers(len(nodes))
        nodes.append(add(nodes[near], nodes[far]))
    graph = close(params, nodes[-1:])
    assert len(tips(printing.svg(graph))) == len(drawing(graph).boxes)


def test_a_graph_without_ops_and_one_without_outputs():
    x = new_variable(Type(F64, ()))
    assert len(drawing(close([x], [x])).boxes) == 2
    ElementTree.fromstring(printing.svg(Graph((), ())))


def test_constants_stand_in_the_box_of_their_user():
    x = new_variable(Type(F64, (3,)))
    graph = close([x], [exp(full_like(2.5, x) * x) + const(np.array([1.0, 2.0, 3.0]))])
    titles = [b.title for b in drawing(graph).boxes]
    assert titles == ["x0", "2.5 × ·", "exp", "· + [1, 2, 3]", "result"]


def test_bodies_of_loops_are_drawn_beside():
    x, k, y = (new_variable(Type(t, ())) for t in (F64, I64, F64))
    graph = close([x], results(for_loop(const(3), x, body=close([k, y], [exp(y)]), carries=1)))
    assert any("body=g0" in line for box in drawing(graph, inner={g: "g0" for g in inner_graphs(graph)}).boxes
               for line in box.lines)
    words = [t.text for t in ElementTree.fromstring(printing.svg(graph)).iter(f"{SVG}text")]
    assert {"g0", "exp"} <= set(words) and "body=g0" in " ".join(filter(None, words))
    assert "again: g0" in [t.text for t in ElementTree.fromstring(printing.svg({"again": graph})).iter(f"{SVG}text")]


def test_two_graphs_side_by_side_with_headings(tmp_path):
    path = tmp_path / "both.svg"
    printing.draw({"before": loss(), "after & done": loss()}, path)
    words = [t.text for t in ElementTree.fromstring(path.read_text(encoding="utf-8")).iter(f"{SVG}text")]
    assert "before" in words and "after & done" in words


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_other_formats_through_matplotlib(tmp_path, suffix):
    pytest.importorskip("matplotlib")
    path = tmp_path / f"graph{suffix}"
    printing.draw({"before": loss()}, path)
    start = path.read_bytes()[:5]
    assert start == {".png": b"\x89PNG\r", ".pdf": b"%PDF-"}[suffix]


def test_what_has_no_graph_is_refused(tmp_path):
    with pytest.raises(TypeError, match="draw takes a graph or a stage"):
        printing.draw(3, tmp_path / "x.svg")


def test_text_of_a_graph():
    graph = loss()
    assert printing.text(graph) == str(graph)
