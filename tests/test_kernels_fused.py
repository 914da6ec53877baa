"""Whole graphs, compiled, against the interpreter: random programs, layouts, sizes that take the parallel paths."""

import os

import numpy as np
import pytest
from graphs import any_graphs, smooth_graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import assert_close, both, graph_of

from tracejit.kernels import sorts
from tracejit.kernels.program import build
from tracejit.symbolic.autodiff import grad, sum_nodes
from tracejit.symbolic.ops.composite import log_softmax, logsumexp, softmax
from tracejit.symbolic.ops.contract import dot_general, gemm, gemv, matmul
from tracejit.symbolic.ops.index import argsort, dynamic_slice, gather, ranked, scatter_add, sort
from tracejit.symbolic.ops.reduce import argmax, cumsum, reduce_max, reduce_min, reduce_prod, reduce_sum
from tracejit.symbolic.ops.scalar import check, exp, greater, less, maximum, select, sin, sqrt, tanh
from tracejit.symbolic.ops.shape import (
    broadcast,
    concatenate,
    embed,
    iota,
    reshape,
    set_slice,
    slice_,
    transpose,
    windows,
    zeros,
)
from tracejit.symbolic.types import F64, I64, Type

RNG = np.random.default_rng(7)


def agree(function, *arrays, ulps=64):
    """Assert that a function of nodes, compiled, gives what the interpreter gives."""
    graph = graph_of(function, *arrays)
    got, want = both(graph, *arrays)
    for g, w in zip(got, want):
        scale = np.abs(w[np.isfinite(w)]).astype(float).max(initial=1) if w.dtype.kind in "fc" else None
        assert_close(g, w, ulps, scale)


def normal(*shape, dtype="f8"):
    return RNG.normal(size=shape).astype(dtype)


def examples(few):
    """Return how many programs to draw: each is compiled, so only `make fuzz` draws many."""
    return settings.default.max_examples if "TRACEJIT_FUZZ" in os.environ else few


@given(smooth_graphs(size=14), st.integers(0, 1000))
@settings(max_examples=examples(30))
def test_random_graphs(graph, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(-1, 1, t.shape) for t in graph.params]
    got, want = both(graph, *arrays)
    for g, w in zip(got, want):
        scale = np.abs(w[np.isfinite(w)]).max(initial=1)
        if scale < 1e100:  # beyond, an error of one unit may be the difference to infinity
            assert_close(g, w, 1 << 16, scale)


@given(smooth_graphs(scalar=True, size=8), st.integers(0, 1000))
@settings(max_examples=examples(15))
def test_gradients_of_random_graphs(graph, seed):
    graph = grad(graph, tuple(range(len(graph.params))))
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(-1, 1, t.shape) for t in graph.params]
    got, want = both(graph, *arrays)
    for g, w in zip(got, want):
        scale = np.abs(w[np.isfinite(w)]).max(initial=1)
        if scale < 1e100:
            assert_close(g, w, 1 << 20, scale)


def defined(graph):
    """Say whether C and NumPy define every conversion in a graph: of floats to integers only those in range are."""
    return not any(
        n.op.name == "cast" and n.args[0].dtype.kind in "fc" and n.dtype.kind in "iu" for n in graph.topological()
    )


@given(any_graphs(size=12), st.integers(0, 1000))
@settings(max_examples=examples(40))
def test_random_graphs_of_all_dtypes(graph, seed):
    """Constants of any bytes, all dtypes: no crash, and where floats are involved the values up to rounding."""
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.integers(-5, 6, t.shape)).astype(t.dtype) for t in graph.params]
    got, want = both(graph, *arrays)
    for g, w in zip(got, want):
        assert g.dtype == w.dtype and g.shape == w.shape
        if defined(graph) and w.dtype.kind in "biu":
            np.testing.assert_array_equal(g, w)
        elif defined(graph):
            finite = np.isfinite(w) & np.isfinite(g)
            size = np.abs(w[finite]).astype(float).max(initial=1)
            assert_close(g[finite], w[finite], 64, size if np.isfinite(size) else None)


CASES = {
    "elementwise and sum in one pass": (lambda x, y: (exp(x) + y, reduce_sum(x * y, axes=(1,))), (30, 50), (30, 50)),
    "several sums of leading axes": (
        lambda x, y: (reduce_sum(x, axes=(0,)), reduce_sum(x * y, axes=(0,)), x + y),
        (30, 50),
        (30, 50),
    ),
    "sums of both kinds": (
        lambda x, y: (reduce_sum(x, axes=(0,)), reduce_sum(x, axes=(1,)), reduce_max(y, axes=(0, 1))),
        (33, 47),
        (33, 47),
    ),
    "middle axis": (
        lambda x: (reduce_sum(x, axes=(1,)), reduce_max(x, axes=(0, 2)), reduce_prod(x, axes=(0,))),
        (5, 7, 9),
    ),
    "softmax": (lambda x: (softmax(x, axes=(1,)), log_softmax(x, axes=(0,)), logsumexp(x, axes=(0, 1))), (20, 30)),
    "transposes": (
        lambda x, y: (transpose(x, (1, 0)) + y, reduce_sum(transpose(x, (1, 0)), axes=(1,))),
        (40, 60),
        (60, 40),
    ),
    "cube transposed": (
        lambda x: (transpose(x, (2, 0, 1)) * 2, transpose(x, (1, 0, 2)) + 1, transpose(x, (2, 1, 0))),
        (17, 18, 19),
    ),
    "reshapes": (
        lambda x: (
            reshape(exp(x), (60, 10)) * 2,
            reshape(transpose(x, (1, 0)), (600,)) + 1,
            reshape(x, (6, 5, 20)) - 1,
        ),
        (20, 30),
    ),
    "reshape that splits": (lambda x, y: reshape(x, (4, 5, 6)) + broadcast(y, (4, 5, 6), (2,)), (120,), (6,)),
    "reshape that joins": (lambda x, y: reshape(x * broadcast(y, (4, 6), (1,)), (24,)) + 1, (4, 6), (6,)),
    "concatenate": (lambda x, y: (concatenate([x, exp(y), x], 1), concatenate([x, y], 0) * 2), (4, 6), (4, 6)),
    "embed": (
        lambda x: (
            embed(x, (1, 2), (2, 1), (9, 12)),
            embed(x, (0, 1), (1, 1), (4, 7)) + embed(x, (0, 0), (1, 1), (4, 7)),
        ),
        (4, 6),
    ),
    "set_slice": (
        lambda x, y: (set_slice(x, y, (1, 5), (1, -2)), set_slice(x * 2, exp(y), (0, 0), (2, 2))),
        (4, 6),
        (2, 3),
    ),
    "slices": (lambda x: slice_(x, (3, 0), (-1, 2), (4, 3)) + slice_(x, (0, 1), (1, 1), (4, 3)), (4, 6)),
    "differences": (lambda x: slice_(x, (1,), (1,), (99,)) - slice_(x, (0,), (1,), (99,)), (100,)),
    "matrix products": (
        lambda x, y: (matmul(x, y), matmul(transpose(y, (1, 0)), transpose(x, (1, 0)))),
        (30, 40),
        (40, 20),
    ),
    "products with transposes": (
        lambda x, y: (matmul(x, transpose(y, (1, 0))), dot_general(x, y, ((0,), (0,)))),
        (30, 40),
        (30, 40),
    ),
    "product of something computed": (lambda x, y: tanh(matmul(exp(x), y * 2)) + 1, (30, 40), (40, 20)),
    "matrix vector": (
        lambda x, y, z: (matmul(x, y), dot_general(z, x, ((0,), (0,))), matmul(transpose(x, (1, 0)), z)),
        (90, 80),
        (80,),
        (90,),
    ),
    "dot": (lambda x, y: (matmul(x, y), dot_general(x, y, ((), ()))), (5000,), (5000,)),
    "stacks": (lambda x, y: (matmul(x, y), dot_general(x, y, ((1,), (2,)), ((0,), (0,)))), (3, 20, 30), (3, 30, 20)),
    "stack axis in the middle": (lambda x, y: dot_general(x, y, ((2,), (0,)), ((1,), (1,))), (20, 3, 30), (30, 3, 10)),
    "contraction of two axes": (
        lambda x, y: (dot_general(x, y, ((1, 2), (0, 1))), dot_general(x, y, ((2, 1), (1, 0)))),
        (20, 5, 6),
        (5, 6, 30),
    ),
    "contraction out of order": (lambda x, y: dot_general(x, y, ((0, 2), (1, 0))), (20, 15, 16), (16, 20, 13)),
    "gemm": (
        lambda a, b, c: gemm(a, b, c, reduce_sum(c, axes=(0, 1)), zeros(Type(F64)) + 1, trans_a=True, trans_b=False),
        (40, 20),
        (40, 30),
        (20, 30),
    ),
    "gemm on a literal": (
        lambda a, b: gemm(
            a, b, zeros(Type(F64, (20, 30))), zeros(Type(F64)) + 2, zeros(Type(F64)), trans_a=True, trans_b=True
        ),
        (40, 20),
        (30, 40),
    ),
    "gemv": (
        lambda a, x, y: (gemv(a, x, y, zeros(Type(F64)) - 1, zeros(Type(F64)) + 0.5, trans=False),),
        (90, 80),
        (80,),
        (90,),
    ),
    "scan": (lambda x: (cumsum(x, axis=0, reverse=True), cumsum(exp(x), axis=1, reverse=False)), (20, 30)),
    "sort and order": (lambda x: (sort(x, axis=1, stable=False), argsort(x, axis=0, stable=True), argmax(x, axis=1),
                              sort(x, axis=0, stable=True)), (40, 70)),
    "sliding": (
        lambda x, y: dot_general(windows(embed(x, (4,), (1,), (208,)), (0,), (5,)), y, ((1,), (0,))),
        (200,),
        (5,),
    ),
    "sliding filters over images": (
        lambda x, y: dot_general(windows(exp(x), (1, 2), (3, 2)), y, ((0, 3, 4), (1, 2, 3))),
        (3, 9, 40),
        (4, 3, 3, 2),
    ),
    "sliding along each row": (
        lambda x, y: dot_general(transpose(windows(x, (1,), (7,)), (2, 0, 1)), y, ((0,), (1,)), ((1,), (0,))),
        (6, 50),
        (6, 7, 3),
    ),
    "one pass for several minima": (
        lambda x: (reduce_min(x, axes=(1,)), reduce_max(x, axes=(1,)), reduce_sum(x, axes=(1,))),
        (50, 1000),
    ),
    "iota": (lambda x: x * iota(F64, (20, 30), 1) + iota(F64, (20, 30), 0), (20, 30)),
    "outer product": (lambda x, y: broadcast(exp(x), (50, 60), (0,)) * broadcast(sin(y), (50, 60), (1,)), (50,), (60,)),
    "batch norm": (
        lambda x: (
            (x - broadcast(reduce_sum(x, axes=(0,)) / 50, (50, 20), (1,)))
            / broadcast(sqrt(reduce_sum(x * x, axes=(0,)) / 50), (50, 20), (1,))
        ),
        (50, 20),
    ),
    "short last axis": (
        lambda x, y: (x * broadcast(y, (100, 3), (1,)), reduce_sum(x, axes=(1,)), reduce_sum(x, axes=(0,))),
        (100, 3),
        (3,),
    ),
    "the same output twice": (lambda x: (x, exp(x), exp(x), x, reshape(exp(x), (6,))), (2, 3)),
    "a constant output": (lambda x: (zeros(Type(F64, (3, 4))), iota(I64, (5,), 0)), (2,)),
    "empty": (
        lambda x: (
            exp(x),
            reduce_sum(x, axes=(0,)),
            reduce_prod(x, axes=(0,)),
            reduce_sum(x, axes=(1,)),
            transpose(x, (1, 0)),
        ),
        (0, 3),
    ),
    "length one": (
        lambda x: (reduce_sum(x, axes=(0,)), reduce_max(x, axes=(1, 2)), x + 1, transpose(x, (2, 1, 0))),
        (1, 7, 1),
    ),
    "rank 0": (lambda x, y: (exp(x) * y, x + y, maximum(x, y)), (), ()),
    "select on both sides": (lambda x, y: select(greater(x, y), exp(x), y), (20, 30), (20, 30)),
}


#: Cases that name a dtype themselves.
DOUBLE = {"gemm", "gemm on a literal", "gemv", "iota", "a constant output"}


@pytest.mark.parametrize("name,dtype", [(n, d) for n in CASES for d in ("f8", "f4") if d == "f8" or n not in DOUBLE])
def test_case(name, dtype):
    function, *shapes = CASES[name]
    agree(function, *[normal(*s, dtype=dtype) for s in shapes])


LARGE = {
    "elementwise": (lambda x, y: x * 2 + y * 3, (1001, 1003), (1001, 1003)),
    "rows": (lambda x, y: exp(x) + broadcast(y, (1001, 1003), (0,)), (1001, 1003), (1001,)),
    "few long rows": (lambda x, y: x + broadcast(y, (3, 400001), (0,)), (3, 400001), (3,)),
    "sum": (lambda x: reduce_sum(exp(x), axes=(0, 1)), (1001, 1003)),
    "sum of a vector": (lambda x: (reduce_sum(x, axes=(0,)), reduce_max(x, axes=(0,)), x + 1), (1000003,)),
    "sum of rows": (lambda x: reduce_sum(x * x, axes=(1,)), (1001, 1003)),
    "sum of columns": (lambda x: reduce_sum(x * x, axes=(0,)), (1001, 1003)),
    "few columns": (lambda x: (reduce_sum(x, axes=(0,)), reduce_sum(x, axes=(1,))), (200003, 3)),
    "ten columns": (lambda x: (reduce_sum(x, axes=(0,)), reduce_sum(x, axes=(1,))), (100003, 10)),
    "few long sums": (lambda x: reduce_sum(x, axes=(1,)), (3, 400001)),
    "middle axis": (lambda x: reduce_sum(x, axes=(1,)), (11, 301, 303)),
    "outer axes": (lambda x: reduce_sum(x, axes=(0, 2)), (301, 11, 303)),
    "transpose": (lambda x: transpose(x, (1, 0)) + 1, (1001, 1003)),
    "softmax": (lambda x: softmax(x, axes=(1,)), (1001, 503)),
    "product": (lambda x, y: tanh(matmul(x, y)), (301, 403), (403, 305)),
    "matrix vector": (lambda x, y: (matmul(x, y), matmul(y, transpose(x, (1, 0)))), (1001, 1003), (1003,)),
}


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", LARGE)
def test_large(name, dtype):
    function, *shapes = LARGE[name]
    agree(function, *[normal(*s, dtype=dtype) for s in shapes], ulps=512)


def test_gather_and_scatter():
    x, i = normal(50, 7), RNG.integers(0, 50, 200)
    agree(lambda x, i: (gather(x, i), gather(exp(x), i) + 1, scatter_add(zeros(x.type), gather(x, i), i)), x, i)


def test_moving_slice():
    agree(lambda x, a, b: dynamic_slice(exp(x), a, b, sizes=(2, 3)) + 1, normal(5, 6), np.int64(2), np.int64(1))


def test_integer_products():
    a, b = RNG.integers(-9, 9, (30, 40)), RNG.integers(-9, 9, (40, 20))
    agree(matmul, a, b)
    agree(lambda a, b: matmul(a, transpose(b, (1, 0))), a, b.T.copy())
    agree(matmul, a > 0, b > 5)


def test_refused_values_are_reported():
    graph = graph_of(
        lambda x, i: gather(x, check(i, less(i, iota(I64, i.shape) * 0 + 5), error="index", detail=(0, 5))),
        normal(5),
        np.arange(3),
    )
    got, want = both(graph, normal(5), np.array([0, 4, 2]))
    with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size 5"):
        both(graph, normal(5), np.array([0, 7, 9]))


def test_long_chains_compile():
    def function(x):
        for k in range(1500):
            x = sin(x) + 1 if k % 3 == 0 else x * 0.5 if k % 3 == 1 else x - 0.25
        return x

    agree(function, normal(40))
    agree(function, np.float64(0.3))


# ---------------------------------------------------------------- sorting
@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "u2", "i1"])
def test_sorting_with_and_without_functions_of_numpy(monkeypatch, native, dtype):
    if not native:
        monkeypatch.setattr(sorts, "pointer", lambda name: 0)
        monkeypatch.setattr(sorts, "name", lambda what, dtype: None)
    x = RNG.integers(0, 100, (7, 3000)).astype(dtype)
    if dtype[0] == "f":
        x[2, ::7] = np.nan
    ranks = (0, 299, 300, 1500, 2570, 2999)
    # without NumPy's own quicksort, every order is stable
    agree(lambda x: (sort(x, axis=1, stable=False), argsort(x, axis=1, stable=True), sort(x, axis=0, stable=True),
                     argsort(x, axis=0, stable=True), ranked(x, axis=1, ranks=ranks)), x)
    if native:
        agree(lambda x: argsort(x, axis=1, stable=False), x)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from(["smooth", "rising", "falling", "two values", "heavy", "mostly nan"]))
def test_elements_of_ranks_whatever_the_distribution(seed, kind):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(20000)
    x = {"smooth": x, "rising": np.sort(x), "falling": np.sort(x)[::-1].copy(), "two values": (x > 1) * 1.0,
         "heavy": np.exp(20 * x), "mostly nan": np.where(x > -1, np.nan, x)}[kind]
    agree(lambda x: ranked(x, axis=0, ranks=(0, 7, 1999, 2000, 10000, 19990, 19999)), x)


def padded_by_pieces(x):
    n, m = x.shape
    parts = [slice_(x, (0, 0), (1, 1), (n, 2)), x, slice_(x, (0, m - 2), (1, 1), (n, 2))]
    wide = concatenate(parts, axis=1)
    above, below = (slice_(wide, (at, 0), (1, 1), (2, m + 4)) for at in (0, n - 2))
    return concatenate([above, wide, below], axis=0)


def test_a_formula_that_a_stencil_reads_is_computed_once():
    def blur(x):
        padded = padded_by_pieces(x)
        rows = sum_nodes([exp(slice_(padded, (0, k), (1, 1), (44, 40))) for k in range(5)])
        return sum_nodes([slice_(rows, (k, 0), (1, 1), (40, 40)) for k in range(5)])

    x = np.random.default_rng(0).random((40, 40))
    graph = graph_of(blur, x)
    ours, theirs = both(graph, x)
    assert_close(ours[0], theirs[0])
    assert str(build(graph)).count("exp(") == 5  # and not 25
