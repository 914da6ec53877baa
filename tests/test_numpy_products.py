"""Products and linear algebra against NumPy."""

import numpy as np
import pytest
from numpy_samples import any_arrays, bools, call, cases, check, floats, ints

import tracejit

A, B, C, S = floats(3, 4), floats(4), floats(2, 3, 4), floats(3, 3, seed=2)
I = ints(3, 4, dtype=np.int32)
Z = floats(3, 4) + 1j * floats(3, 4, seed=1)
SPD = S @ S.T + np.eye(3)
STACK = np.stack([SPD, SPD + np.eye(3)])
F32 = S.astype(np.float32)

PRODUCT = [call(A, B), call(B, B), call(A, A.T), call(C, B), call(C, floats(5, 4, 2)), call(A, 2.0), call(2.0, A),
           call(2.0, 3.0), call(A, C[0].T),
           call(I, I.T), call(I, B), call(A, B[:3]), call(bools(3, 4), bools(4)), call(Z, Z.T),
           call(A.astype(np.float32), B.astype(np.float32)),
           call(A.astype(np.float16), B.astype(np.float16)), call(floats(3, 0), floats(0, 2)),
           call([[1, 2], [3, 4]], [5, 6]),
           call(A.astype(np.float32), 2.0), call(A.T, A), call(A[:, ::2], A[:, ::2].T), call(np.array(2.0), B),
           call(ints(3, 3, dtype=np.int8), ints(3, 3, dtype=np.int8)),
           call(np.array([1, np.nan]), np.array([0.0, 1])), call(floats(0), floats(0))]
EINSUM = ["ij,j->i", "ij,j", "ij->ji", "ij->", "ij->j", "ij,ij->ij", "ij,ij->i", "...j,j->...", "ij,j->ij",
          "ij , j -> i"]

SAMPLES = {
    np.dot: [*PRODUCT, call(A, B, np.zeros(3)), call(A, B, np.zeros(3, np.float32)), call(A, B, np.zeros(4))],
    np.inner: [*PRODUCT, call(A, A), call(C, A), call(C, C)],
    np.vdot: [call(A, A), call(Z, Z), call(B, B), call(I, I), call(A, B), call(2.0, 3.0), call(A, A.T), call(Z, A),
              call(A, A.reshape(-1))],
    np.outer: [call(B, B), call(A, B), call(B, 2.0), call(I, B), call(Z, Z), call(B, B, np.zeros((4, 4))),
               call([1, 2], [3, 4]), call(floats(0), B)],
    np.kron: [call(A, A), call(B, A), call(A, B), call(2.0, A), call(I, I), call(np.eye(2), S), call(2.0, 3.0),
              call([1, 2], [3, 4])],
    np.cross: [call(floats(5, 3), floats(5, 3, seed=1)), call(floats(3), floats(3, seed=1)),
               call(floats(3, 5), floats(3, 5), axis=0),
               call(floats(5, 3), floats(3)), call(A, A), call(floats(2, 3), floats(3, 2), axisb=0),
               call(floats(5, 3), floats(5, 3), axisc=0),
               call(ints(3), ints(3, seed=1)), call([1, 2, 3], [4, 5, 6]), call(2.0, B)],
    np.tensordot: [call(A, A, 2), call(A, A.T, 1), call(B, B, 1), call(A, B, 0), call(C, C, ([0, 1], [0, 1])),
                   call(C, A, ([1, 2], [0, 1])),
                   call(C, A, (2, 1)), call(C, A, 2), call(A, B, 1), call(A, A, 1), call(A, A, ([0], [0, 1])),
                   call(A, A, ([0, 5], [0, 1])), call(I, I, 2),
                   call(C, C, ([-1], [-1])), call(A, 2.0, 0), call(C, C, ((), ()))],
    np.einsum: [call(s, A, B) if "," in s else call(s, A) for s in EINSUM[:2] + EINSUM[2:5]]
        + [call(s, A, A) for s in EINSUM[5:7]] + [call(s, A, B) for s in EINSUM[7:]] + [
        call("ii", S), call("ii->i", S), call("i,i", B, B), call("i,j", B, B), call("ij,jk", A, A.T),
            call("ij,jk->ki", A, A.T), call("bij,bjk->bik", C, C.transpose(0, 2, 1)),
        call("...ij,jk->...ik", C, A.T), call("ij,jk,kl->il", A, A.T, A), call("i,j,k->ijk", B, B, B),
            call("ij,kj", A, I), call("ij,jk", I, I.T),
        call(A, [0, 1], A, [0, 1]), call(A, [0, 1], B, [1], [0]), call(A, [0, 1], [1, 0]),
            call(C, [Ellipsis, 1], B, [1], [Ellipsis]),
        call("ij,jk", A, A), call("ij,j", A), call("i", A), call("ij->ik", A), call("ij->ii", A), call(""), call(),
            call("i$", B), call("ij->i", A, B),
        call("ij,ij", Z, Z), call("ij,j", bools(3, 4), bools(4)),
            call("ij,j", A.astype(np.float32), B.astype(np.float32)), call("ij,j->i", A, B, optimize=True),
        call("ij,jk,kl->il", A, A.T, A, optimize="greedy"), call("ij->i", A, out=np.zeros(3)),
            call("ij->i", A, dtype=np.float32), call("ij->i", I, dtype=float),
        call("ij->i", A, dtype=np.float32, casting="unsafe"), call("ij,j->", A, 2.0), call("i,->i", B, 2.0),
            call("ij,ij->ij", A, A[:, :1]), call("iij->ij", floats(3, 3, 2)),
        call("...,...", A, B), call("i...,i...->...", C, C), call("ab,bc,cd,de->ae", A, A.T, A, A.T),
            call("ij,jk", floats(3, 0), floats(0, 2)),
        call("...i,...i", C, A), call("ijk,ilm,njm,nlk,abc->", floats(2, 3, 4), floats(2, 5, 6), floats(7, 3, 6),
                                      floats(7, 5, 4), floats(2, 2, 2)),
        call("chwij,ocij->ohw", np.lib.stride_tricks.sliding_window_view(floats(2, 6, 6), (3, 3), (1, 2)),
             floats(4, 2, 3, 3))],
    np.einsum_path: [call("ij,jk,kl->il", A, A.T, A), call("ij,j", A, B)],
    np.linalg.outer: [call(B, B), call(A, B), call(I[0], B)],
    np.linalg.matmul: [call(A, A.T), call(A, B), call(C, C.transpose(0, 2, 1)), call(A, A)],
    np.linalg.vecdot: [call(A, A), call(A, B), call(Z, Z), call(A, A, axis=0)],
    np.linalg.cross: [call(floats(5, 3), floats(5, 3, seed=1)), call(A, A), call(floats(3, 5), floats(3, 5), axis=0)],
    np.linalg.tensordot: [call(A, A, axes=2), call(A, A.T, axes=1)],
    np.linalg.solve: [call(S, floats(3)), call(S, floats(3, 2)), call(STACK, floats(3, 2)),
                      call(STACK, floats(2, 3, 1)), call(S, B), call(A, floats(3)),
                      call(ints(3, 3) + 20 * np.eye(3, dtype=int), ints(3)), call(F32, F32).close(1e-4),
                      call(SPD + 1j * S, floats(3)), call(np.zeros((3, 3)), floats(3)),
                      call(S.astype(np.float16), floats(3)), call(B, B), call(np.zeros((0, 0)), floats(0)),
                      call(STACK, floats(3))],
    np.linalg.inv: [call(S), call(STACK), call(A), call(B), call(ints(3, 3) + 20 * np.eye(3, dtype=int)),
                    call(F32).close(1e-4), call(SPD + 1j * S), call(np.zeros((2, 2))),
                    call([[1.0, 2], [3, 4]]), call(S.T)],
    np.linalg.tensorsolve: [call(floats(2, 3, 6), floats(2, 3)), call(floats(2, 3, 2, 3), floats(2, 3)),
                            call(floats(2, 3, 5), floats(2, 3))],
    np.linalg.tensorinv: [call(floats(2, 3, 6)), call(floats(6, 2, 3), 1), call(floats(2, 3, 6), 0)],
    np.linalg.det: [call(S), call(STACK), call(A), call(ints(3, 3)), call(F32).close(1e-4), call(SPD + 1j * S),
                    call(np.zeros((2, 2))), call(np.zeros((0, 0))), call([[1.0, 2], [3, 4]])],
    np.linalg.slogdet: [call(S), call(STACK), call(A), call(ints(3, 3)), call(F32).close(1e-4), call(np.zeros((2, 2)))],
    np.linalg.cholesky: [call(SPD), call(STACK), call(A), call(SPD.astype(np.float32)).close(1e-4),
                         call(SPD, upper=True), call(-SPD), call(SPD + np.tril(S, -1))],
    np.linalg.matrix_power: [call(S, 0), call(S, 1), call(S, 2), call(S, 5), call(S, -2).close(1e-9), call(STACK, 3),
                             call(ints(3, 3), 3), call(A, 2), call(S, 2.5)],
    np.linalg.multi_dot: [call([A, A.T]), call([A, A.T, A]), call([B, A.T, A]), call([A.T, A, B]), call([B, A.T, A, B]),
                          call([A, A.T, A, A.T]), call([A]), call([A, C, A]),
                          call([A, A, A]), call([A, A.T, A], out=np.zeros((3, 4))),
                          call([floats(2, 3, dtype=np.float32), F32, F32])],
    np.linalg.norm: [call(a) for a in any_arrays()] + [call(B, o) for o in (1, 2, 3, 0.5, np.inf, -np.inf, 0, -1, "fro",
                                                                            None)]
        + [call(A, o) for o in (1, -1, np.inf, -np.inf, "fro", None, 3, "f")]
        + [call(A, axis=0), call(A, axis=1, keepdims=True), call(C, axis=(0, 2)),
           call(C, 1, axis=(1, 2), keepdims=True), call(C, "fro", (0, -1)), call(C, 2), call(A, 2, 0),
           call(Z, 1), call(Z, axis=0), call(I, 2, 1), call(A, axis=5), call(C, axis=(1, 1)), call(C, axis=(0, 1, 2)),
           call(B, keepdims=True), call(floats(0)), call([3.0, 4.0]),
           call(Z, 3, 0), call(C, keepdims=True)],
    np.linalg.vector_norm: [call(A), call(A, axis=0), call(A, axis=(0, 1), keepdims=True), call(B, ord=1),
                            call(B, ord=np.inf), call(C, axis=(0, 2)), call(I, axis=1), call(Z)],
    np.linalg.matrix_norm: [call(A), call(C), call(C, ord=1), call(C, keepdims=True), call(B)],
    np.linalg.cond: [call(S, 1).close(1e-9), call(S, "fro").close(1e-9), call(STACK, np.inf).close(1e-9), call(A, 1)],
    np.linalg.diagonal: [call(A), call(C), call(C, offset=1), call(B)],
    np.linalg.trace: [call(A), call(C), call(C, offset=1), call(I, dtype=float), call(B)],
}


@pytest.mark.parametrize("function, sample", cases(SAMPLES))
def test_as_numpy(function, sample):
    check(function, sample)


def graph_of(function, *arrays):
    from tracejit.symbolic.types import Type
    from tracejit.trace.staging import Leaf, stage

    return stage(function, [Leaf(Type(a.dtype, a.shape)) for a in arrays], {}).graph


def test_convolution_is_one_contraction_of_windows():
    """The idiom of convolution keeps its shape in the graph: windows, then dot_general."""
    def program(x, w):
        patches = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
        return np.einsum("chwij,ocij->ohw", patches, w)

    graph = graph_of(program, floats(2, 6, 6), floats(4, 2, 3, 3))
    assert [n.op.name for n in graph.topological() if n.op.name != "param"] == ["windows", "dot_general"]
    check(program, call(floats(2, 6, 6), floats(4, 2, 3, 3)))


def test_several_operands_go_in_the_cheapest_order():
    """A matrix chain that ends in a vector is two products with vectors, whatever the order it is written in."""
    graph = graph_of(lambda a, b, v: np.einsum("ij,jk,k->i", a, b, v), floats(5, 5), floats(5, 5), floats(5))
    assert sorted(n.ndim for n in graph.topological() if n.op.name == "dot_general") == [1, 1]


def test_a_product_needs_no_transposition():
    graph = graph_of(lambda a, b: np.einsum("ij,jk->ki", a, b), floats(3, 4), floats(4, 5))
    assert [n.op.name for n in graph.topological() if n.op.name != "param"] == ["dot_general"]


@pytest.mark.parametrize(("subscripts", "square"), [("ij->ji", False), ("...i->i...", False), ("ii->i", True)])
def test_einsum_that_sums_nothing_is_a_view(subscripts, square):
    def write(x):
        view = np.einsum(subscripts, x)
        view[0] = 7
        return view

    ours, theirs = (np.arange(9.0).reshape(3, 3) if square else np.arange(6.0).reshape(2, 3) for _ in range(2))
    np.testing.assert_array_equal(tracejit.jit(write)(ours), write(theirs))
    np.testing.assert_array_equal(ours, theirs)
