"""Loops and branches, compiled, against the interpreter: what is carried, updated in place, what changes places."""

import os
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import assert_close, both, graph_of, run

from tracejit.kernels.c.emit import compile_program, emit
from tracejit.kernels.program import build
from tracejit.stages import executable
from tracejit.symbolic.graph import close
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import const, new_variable
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.control import for_loop, results, switch, while_loop
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice, gather, scatter_add, scatter_set, sort
from tracejit.symbolic.ops.linalg import cholesky
from tracejit.symbolic.ops.reduce import cumsum, reduce_max, reduce_sum
from tracejit.symbolic.ops.scalar import (
    bitwise_and,
    bitwise_xor,
    cast,
    check,
    equal,
    exp,
    floor_divide,
    greater,
    less,
    maximum,
    minimum,
    remainder,
    select,
    shift_right,
    sin,
    sqrt,
)
from tracejit.symbolic.ops.shape import broadcast, full, reshape, set_slice, slice_, zeros
from tracejit.symbolic.types import F64, I64, Type

RNG = np.random.default_rng(3)
SCALAR, INDEX = Type(F64), Type(I64)


def integer(n):
    return n if hasattr(n, "op") else const(n, I64)


def traced(types, function):
    """Return the graph of a function of nodes of these types."""
    variables = [new_variable(t) for t in types]
    outs = function(*variables)
    return close(variables, outs if isinstance(outs, (tuple, list)) else [outs])


def loop(count, carries, body, *invariants):
    """Return what `body(k, *carries, *invariants)` makes of the carries."""
    graph = traced([INDEX, *(n.type for n in (*carries, *invariants))], body)
    return results(for_loop(integer(count), *carries, *invariants, body=graph, carries=len(carries)))


def until(cond, carries, body, *invariants):
    types = [n.type for n in (*carries, *invariants)]
    return results(while_loop(*carries, *invariants, cond=traced(types, cond), body=traced(types, body),
                              carries=len(carries)))


def wrapped(i, n):
    """Return a position as indexing makes it: checked, and counted from the end where it is negative."""
    fine = bitwise_and(greater(i, integer(-n - 1)), less(i, integer(n)))
    i = check(i, fine, error="index", detail=(0, n))
    return select(less(i, integer(0)), i + n, i)


def choose(index, operands, *branches):
    types = [n.type for n in operands]
    return results(switch(index, *operands, branches=tuple(traced(types, b) for b in branches)))


def get(x, *place):
    return reshape(dynamic_slice(x, *map(integer, place), sizes=(1,) * x.ndim), ())


def put(x, value, *place):
    return dynamic_set_slice(x, reshape(value, (1,) * x.ndim), *map(integer, place))


def row(x, i):
    return reshape(dynamic_slice(x, integer(i), integer(0), sizes=(1, x.shape[1])), (x.shape[1],))


def put_row(x, value, i):
    return dynamic_set_slice(x, reshape(value, (1, x.shape[1])), integer(i), integer(0))


def agree(function, *arrays, ulps=8):
    """Assert that a function of nodes, compiled, gives what the interpreter gives; returns the source."""
    arrays = [np.asarray(a) for a in arrays]
    graph = graph_of(function, *arrays)
    got, want = both(graph, *arrays)
    for g, w in zip(got, want):
        scale = np.abs(w[np.isfinite(w)]).astype(float).max(initial=1) if w.dtype.kind in "fc" else None
        assert_close(g, w, ulps, scale)
    return emit(build(graph))[0]


def region(source):
    """Return the text of the outermost loops' functions."""
    return "\n".join(re.findall(r"static void r\d+\(.*?\n}", source, re.S))


def inside_loops(source):
    """Return the text between the first loop of a region and its end."""
    text = region(source)
    at = min(k for k in (text.find("for (int64_t z"), text.find("for (;;)")) if k >= 0)
    return text[at:]


def normal(*shape):
    return RNG.normal(size=shape)


# ---------------------------------------------------------------- scalars
def test_dot_product_by_elements_stays_in_registers():
    def dot(x, y):
        return loop(40, [const(0.0)], lambda k, s, x, y: s + get(x, k) * get(y, k), x, y)

    body = inside_loops(agree(dot, normal(40), normal(40)))
    assert "memcpy" not in body and "b[" not in body
    assert not re.search(r"\bk\d+\(", body)


@pytest.mark.parametrize("count", [-3, 0, 1, 7])
def test_counts_known_at_run_time(count):
    agree(lambda n, x: loop(n, [x, const(1.0)], lambda k, s, p: (s + cast(k, F64), p * s)), np.int64(count), 1.5)


def test_zero_trips_hand_the_initial_values_on():
    agree(lambda x, s: loop(0, [x, s], lambda k, x, s: (put(x, s, 0), s + 1)), normal(3), 2.0)


def test_carries_that_exchange_their_values():
    agree(lambda a, b, c: loop(5, [a, b, c], lambda k, a, b, c: (b, c, a + b)), 1.0, 2.0, 3.0)


def test_collatz_nests_while_in_for():
    def steps(k, most):
        n, count = until(lambda n, c: greater(n, integer(1)), [k + 1, integer(0)], lambda n, c: (
            select(equal(bitwise_and(n, integer(1)), integer(0)), shift_right(n, integer(1)), n * 3 + 1), c + 1))
        return maximum(most, count)

    agree(lambda n: loop(n, [integer(0)], steps), np.int64(200))


def test_escape_time_three_deep():
    def pixel(i, j):
        x, y = cast(j, F64) * 0.2 - 2.0, cast(i, F64) * 0.2 - 1.0
        return until(
            lambda a, b, n, x, y: bitwise_and(less(a * a + b * b, const(4.0)), less(n, integer(50))),
            [const(0.0), const(0.0), integer(0)],
            lambda a, b, n, x, y: (a * a - b * b + x, a * b * 2 + y, n + 1), x, y)[2]

    def image(out):
        return loop(11, [out], lambda i, out: loop(15, [out], lambda j, out, i: put(out, pixel(i, j), i, j), i))

    body = inside_loops(agree(image, np.zeros((11, 15), np.int64)))
    assert "memcpy" not in body


def test_crc_on_unsigned_integers():
    def crc(data):
        def byte(k, c, data):
            c = bitwise_xor(c, get(data, k))
            return loop(8, [c], lambda j, c: select(
                equal(bitwise_and(c, const(np.uint32(1))), const(np.uint32(1))),
                bitwise_xor(shift_right(c, const(np.uint32(1))), const(np.uint32(0xEDB88320))),
                shift_right(c, const(np.uint32(1)))))

        return loop(20, [const(np.uint32(0xFFFFFFFF))], byte, data)

    agree(crc, RNG.integers(0, 256, 20).astype(np.uint32))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16", "i1", "u8", "?"])
def test_dtypes(dtype):
    x = (RNG.normal(size=6) * 3).astype(dtype)
    grow = (lambda s, v: s * v + v) if dtype not in ("?", "i1", "u8") else (lambda s, v: bitwise_xor(s, v))
    agree(lambda x, s: loop(6, [s, x], lambda k, s, x: (grow(s, get(x, k)), put(x, s, k))), x, x[2], ulps=64)


# ---------------------------------------------------------------- elements and slices in place
def test_element_recurrence_in_place():
    source = agree(lambda x: loop(8, [x], lambda k, x: put(x, get(x, k) + get(x, k + 1), k + 2)), normal(10))
    assert source.count("memcpy") == 1  # of the argument, once


def test_swap_of_two_elements():
    def reverse(k, x):
        a, b = get(x, k), get(x, 9 - k)
        return put(put(x, b, k), a, 9 - k)

    assert "memcpy" not in inside_loops(agree(lambda x: loop(5, [x], reverse), normal(10)))


def test_swap_of_two_rows_keeps_one_aside():
    def swap(k, x):
        a, b = row(x, k), row(x, 5 - k)
        return put_row(put_row(x, b, k), a, 5 - k)

    agree(lambda x: loop(3, [x], swap), normal(6, 4))


@pytest.mark.parametrize("shift", [1, -1])
def test_slices_that_overlap_what_they_are_computed_from(shift):
    def move(k, x):
        return dynamic_set_slice(x, dynamic_slice(x, k + (1 + shift), sizes=(5,)) * 0.5, k + 1)

    agree(lambda x: loop(4, [x], move), normal(12))


def test_rows_updated_by_other_rows_need_no_copy():
    def eliminate(k, a):
        return loop(6, [a], lambda i, a, k: put_row(a, row(a, i) - row(a, k) * 0.1, i), k)

    assert "memcpy" not in inside_loops(agree(lambda a: loop(6, [a], eliminate), normal(6, 6)))


def test_an_old_version_that_is_needed_later_is_kept():
    agree(lambda x: loop(4, [x, x], lambda k, x, old: (put(x, get(old, k) * 2, k + 1), x)), normal(6))


def test_a_version_read_by_a_sum_before_and_after():
    def body(k, x, s):
        before = reduce_sum(x, axes=(0,))
        y = put(x, before * 0.1, k)
        return y, s + before * reduce_sum(y, axes=(0,))

    agree(lambda x: loop(5, [x, const(0.0)], body), normal(7))


def test_a_whole_old_version_in_a_later_value():
    agree(lambda x: loop(3, [x], lambda k, x: put(x, get(x, 0) + 1, k) + x), normal(5))


def test_static_slices_and_scatters_in_place():
    def body(k, x, i, v):
        x = set_slice(x, slice_(x, (4,), (1,), (2,)) + 1, (1,), (3,))
        x = scatter_add(x, v, i)
        return scatter_set(x, get(x, 2) * 2, k)

    agree(lambda x, i, v: loop(4, [x], body, i, v), normal(9), np.array([1, 3, 1]), normal(3))


def test_edit_distance():
    def table(a, b):
        n, m = a.shape[0], b.shape[0]
        d = zeros(Type(I64, (n + 1, m + 1)))
        d = loop(n + 1, [d], lambda i, d: put(d, i, i, 0))[0]
        d = loop(m + 1, [d], lambda j, d: put(d, j, 0, j))[0]

        def cell(j, d, i, a, b):
            cost = cast(equal(equal(get(a, i), get(b, j)), const(False)), I64)
            best = minimum(minimum(get(d, i, j + 1) + 1, get(d, i + 1, j) + 1), get(d, i, j) + cost)
            return put(d, best, i + 1, j + 1)

        return loop(n, [d], lambda i, d, a, b: loop(m, [d], cell, i, a, b), a, b)

    source = agree(table, RNG.integers(0, 3, 9), RNG.integers(0, 3, 7))
    assert "memcpy" not in source


def test_floyd_warshall():
    def shortest(d):
        n = d.shape[0]
        return loop(n, [d], lambda k, d: loop(n, [d], lambda i, d, k: loop(
            n, [d], lambda j, d, i, k: put(d, minimum(get(d, i, j), get(d, i, k) + get(d, k, j)), i, j), i, k), k))

    assert "memcpy" not in inside_loops(agree(shortest, RNG.uniform(0, 1, (7, 7))))


def test_gauss_seidel():
    def sweep(i, u):
        return loop(6, [u], lambda j, u, i: put(u, (
            get(u, i, j + 1) + get(u, i + 2, j + 1) + get(u, i + 1, j) + get(u, i + 1, j + 2)) * 0.25, i + 1, j + 1), i)

    agree(lambda u: loop(10, [u], lambda t, u: loop(5, [u], sweep)), normal(7, 8))


# ---------------------------------------------------------------- arrays that change places
def stencil(k, u):
    inner = (slice_(u, (0,), (1,), (18,)) + slice_(u, (2,), (1,), (18,))) * 0.5
    return set_slice(u, inner, (1,), (1,))


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_stencils_have_two_buffers(count):
    agree(lambda u: loop(count, [u], stencil), normal(20))
    agree(lambda u, n: loop(n, [u], lambda k, u: sin(slice_(u, (19,), (-1,), (20,))) + u), normal(20), np.int64(count))


@pytest.mark.parametrize("count", [1, 4, 5])
def test_swapped_arrays_are_not_copied(count):
    def wave(k, u, v):
        new = u * 2 - v + (broadcast(reduce_sum(u, axes=(0,)), (30,), ()) - u * 30) * 0.01
        return new, u

    assert "memcpy" not in inside_loops(agree(lambda u, v: loop(count, [u, v], wave), normal(30), normal(30), ulps=64))
    body = inside_loops(agree(lambda u, v: loop(count, [u, v], lambda k, u, v: (v, put(u, get(v, k), 3))),
                              normal(30), normal(30)))
    assert "memcpy" not in body


def test_rotation_of_four_arrays_of_two_types():
    def turn(k, a, b, c, d):
        return b, c, put(a, const(1.0), k), d * 2

    agree(lambda a, b, c, d: loop(4, [a, b, c, d], turn), normal(6), normal(6), normal(6), normal(2, 3))


def test_one_array_for_two_carries_and_constants():
    agree(lambda a, b: loop(3, [a, b], lambda k, a, b: (b, b)), normal(6), normal(6))
    agree(lambda a, b, c: loop(3, [a, b], lambda k, a, b, c: (c, a), c), normal(6), normal(6), normal(6))
    agree(lambda a, b: loop(3, [a, b], lambda k, a, b: (full(2.0, a.type), a)), normal(6), normal(6))


def test_inner_loops_that_swap_what_outer_ones_carry():
    def outer(i, u, s):
        (u,) = loop(3, [u], stencil)
        return put(u, cast(i, F64), i), s + get(u, 5)

    agree(lambda u: loop(5, [u, const(0.0)], outer), normal(20))
    agree(lambda u, v: loop(5, [u, v], lambda i, u, v: (v, *loop(i, [u], stencil))), normal(20), normal(20))


# ---------------------------------------------------------------- while and switch
def test_newton_until_close():
    agree(lambda x: until(lambda y, x: greater(reduce_max(maximum(y * y - x, x - y * y), axes=(0,)), const(1e-9)), [x],
                          lambda y, x: (y + x / y) * 0.5, x), RNG.uniform(1, 9, 8))


def test_while_that_never_runs():
    agree(lambda x: until(lambda x, s: less(s, const(0.0)), [x, const(1.0)], lambda x, s: (x + 1, s + 1)), normal(4))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_switch_of_scalars_and_arrays(index):
    def program(i, x, s):
        return choose(i, [x, s], lambda x, s: (x, s), lambda x, s: (put(x, s, 1), s * 2),
                      lambda x, s: (x + s.type.dtype.type(1), get(x, 2)))

    agree(program, np.int64(index), normal(5), 0.5)


def test_element_updates_under_a_condition_cost_no_copy():
    def bubble(j, x):
        a, b = get(x, j), get(x, j + 1)
        return choose(cast(greater(a, b), I64), [x, j, a, b], lambda x, j, a, b: x,
                      lambda x, j, a, b: put(put(x, b, j), a, j + 1))

    source = agree(lambda x: loop(11, [x], lambda i, x: loop(11, [x], bubble)), normal(12))
    assert "memcpy" not in inside_loops(source)


def test_branches_that_exchange_arrays():
    def program(a, b):
        return loop(5, [a, b], lambda k, a, b: choose(
            cast(equal(remainder(k, integer(2)), integer(0)), I64), [a, b], lambda a, b: (b, a),
            lambda a, b: (put(a, const(7.0), 0), b)))

    agree(program, normal(4), normal(4))


def test_small_branches_are_chosen_from():
    def both_sides(j, x, s):
        a, b = get(x, j), get(x, j + 1)
        return choose(cast(less(a, b), I64), [x, j, a, b, s],
                      lambda x, j, a, b, s: (put(x, a - b, j), s), lambda x, j, a, b, s: (
                          (lambda y: put(y, get(y, j) * 0.5 + b, j + 1))(put(x, b, j)), s + a))

    body = inside_loops(agree(lambda x: loop(11, [x, const(0.0)], both_sides), normal(12)))
    assert "if (" not in body


def test_branches_that_keep_an_index_in_range_stay_branches():
    def before(j, s, x):
        return choose(cast(greater(j, integer(0)), I64), [j, s, x], lambda j, s, x: s,
                      lambda j, s, x: s * 0.5 + get(x, wrapped(j - 1, 12)))

    body = inside_loops(agree(lambda x: loop(12, [const(0.0)], before, x), normal(12)))
    assert "fail" not in body and "if (" in body


def test_what_loops_prove_is_not_checked():
    def triangle(k, a):
        return loop(integer(5) - k, [a], lambda q, a, k: loop(q + 1, [a], lambda p, a, k, i: put(
            a, get(a, wrapped(i, 7), wrapped(k, 7)) + get(a, wrapped(k + p, 7), wrapped(i - p - 7, 7)),
            wrapped(i, 7), wrapped(k + p, 7)), k, k + 1 + q), k)

    assert "fail" not in inside_loops(agree(lambda a: loop(6, [a], triangle), normal(7, 7)))

    def halves(low, high, x, s):
        middle = floor_divide(low + high, integer(2))
        below = less(get(x, wrapped(middle, 40)), s)
        return select(below, middle + 1, low), select(below, high, middle), x, s

    agree(lambda x, s: until(lambda low, high, x, s: less(low, high), [integer(0), integer(40), x, s], halves),
          np.sort(normal(40)), 0.1)
    counted = agree(lambda x: until(lambda i, s: less(i, integer(9)), [integer(0), const(0.0)], lambda i, s: (
        i + 2, s + get(broadcast(s, (10,), ()), wrapped(i, 10))))[1] + get(x, 0), normal(3))
    assert "fail" not in inside_loops(counted)


def test_sieve():
    def sieve(flags):
        def cross(i, flags):
            first = (i + 2) * (i + 2)
            count = maximum(floor_divide(integer(60) - first + i + 1, i + 2), integer(0))
            return choose(cast(get(flags, i + 2), I64), [flags, i, count], lambda f, i, n: f,
                          lambda f, i, n: loop(n, [f], lambda k, f, i: put(f, const(False), (i + 2) * (i + 2 + k)), i))

        return loop(8, [flags], cross)

    assert "memcpy" not in inside_loops(agree(sieve, np.ones(60, bool)))


# ---------------------------------------------------------------- errors
def checked(x, i, n):
    return check(i, bitwise_and(less(i, integer(n)), greater(i, integer(-1))), error="index", detail=(0, n))


def test_errors_leave_at_once_and_tell_the_value():
    graph = graph_of(lambda x: loop(1 << 62, [x], lambda k, x: put(x, const(1.0), checked(x, k, 5))), normal(5))
    with pytest.raises(IndexError, match="index 5 is out of bounds for axis 0 with size 5"):
        run(compile_program(build(graph)), [normal(5)])


def test_a_failing_while_ends():
    graph = graph_of(lambda x: until(lambda s, x: less(s, const(1e300)), [const(0.0)], lambda s, x: (
        s + get(x, checked(x, integer(7) + cast(s, I64), 5))), x), normal(5))
    with pytest.raises(IndexError, match="index 7"):
        run(compile_program(build(graph)), [normal(5)])


def test_checks_of_arrays_and_of_branches_not_taken():
    def gathered(k, s, x, i):
        i = i + broadcast(k, i.shape, ())
        i = check(i, less(i, full(6, i.type)), error="index", detail=(0, 6))
        return s + reduce_sum(gather(x, i), axes=(0,))

    def program(n, x, i):
        return loop(n, [const(0.0)], lambda k, s, x, i: choose(
            cast(less(k, integer(3)), I64), [k, s, x, i], lambda k, s, x, i: s, gathered), x, i)

    arrays = np.int64(9), normal(6), np.array([0, 3])
    agree(program, *arrays)
    graph = graph_of(program, *arrays)
    with pytest.raises(IndexError, match="index 6 is out of bounds"):
        run(compile_program(build(graph)), [arrays[0], arrays[1], np.array([0, 4])])


def test_library_errors_inside_loops():
    graph = graph_of(lambda a: loop(3, [a], lambda k, a: cholesky(a - full(1.0, a.type))), np.eye(3))
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        run(compile_program(build(graph)), [np.eye(3) * 0.5])


# ---------------------------------------------------------------- library routines and vector kernels inside
def test_products_sorts_and_sums_inside():
    def body(k, x, s, a):
        y = matmul(a, x) * 0.1
        return sort(y, axis=0, stable=True) + cumsum(x, axis=0, reverse=False), s + get(y, k, 0)

    agree(lambda x, a: loop(4, [x, const(0.0)], body, a), normal(30, 30), normal(30, 30), ulps=256)


def test_power_iteration_with_a_gemv():
    def body(k, x, a):
        y = matmul(a, x)
        return y / broadcast(sqrt(reduce_sum(y * y, axes=(0,))), y.shape, ())

    agree(lambda x, a: loop(20, [x], body, a), normal(70), normal(70, 70) + 10 * np.eye(70), ulps=1 << 12)


def test_large_arrays_run_in_parallel_inside():
    def program(u):
        return loop(3, [u, const(0.5)], lambda k, u, s: (
            exp(u * -0.5) + broadcast(s, u.shape, ()), s + reduce_sum(u, axes=(0,)) * 1e-5))

    source = agree(program, normal(300_000), ulps=256)
    assert "parallel(" in source


def test_vector_functions_in_place_of_their_arguments():
    """Arguments beyond the range of the fast functions are computed again, from what they were."""
    x = normal(4, 64)
    x[2, 5] = 1e30
    agree(lambda x: loop(4, [x], lambda k, x: put_row(x, sin(row(x, k)), k)), x, ulps=16)


def test_loops_one_after_the_other_and_values_used_twice():
    def program(x):
        (y,) = loop(3, [x], lambda k, x: put(x, get(x, k) * 2, k + 1))
        z, s = loop(2, [y, const(1.0)], lambda k, y, s: (y * 2, s + get(y, k)))
        return y, z, z, s, y + z, reshape(z, (2, 3)), x

    agree(program, normal(6))


def test_chains_of_writes_outside_of_loops_share_one_buffer():
    def program(x, i):
        y = x * 2
        for k in range(5):
            y = put(y, get(y, i) + k, i + k)
        return y

    source = agree(program, normal(10), np.int64(3))
    assert source.count("for (int64_t") == 1


def test_programs_print_their_nested_steps():
    graph = graph_of(lambda x: loop(3, [x], lambda k, x: loop(4, [x], lambda j, x, k: put(x, cast(k, F64), j), k)),
                     normal(4))
    text = str(build(graph))
    outer, inner = (rf"{' ' * n}for z\d+ in 0 \.\. {count} \{{\n" for n, count in ((2, 3), (4, 4)))
    assert re.search(rf"region r0 \{{\n(?:  .*\n)*?{outer}(?:    .*\n)*?{inner}", text)


@pytest.mark.parametrize("backend", ["c", "numba", "ref"])
def test_every_backend(backend):
    def program(x, n):
        def body(k, x, s):
            s = s + get(x, remainder(k, integer(6)))
            return choose(cast(greater(s, const(0.0)), I64), [x, s, k], lambda x, s, k: (x, s + 1),
                          lambda x, s, k: (put(x, s, remainder(k, integer(6))) * 0.5, s))

        return loop(n, [x, const(0.0)], body)

    x, n = normal(6), np.int64(20)
    graph = graph_of(program, x, n)
    found = executable(graph, backend)
    assert backend == "ref" or found.source != str(graph)
    want = evaluate(graph, x, n)
    if found.call is None:
        got = run(found, [x, n])
    else:
        got = [np.empty(t.shape, t.dtype) for t in graph.out_types]
        assert not found.call([x, n], got)[0]
    for g, w in zip(got, want):
        assert_close(g, w)


# ---------------------------------------------------------------- random bodies
class Bodies:
    """Draws loops over two vectors, a matrix and two scalars: updates, swaps, nested loops and branches."""

    TYPES = (Type(F64, (5,)), Type(F64, (5,)), Type(F64, (3, 5)), SCALAR, INDEX)

    def __init__(self, draw):
        self.draw = draw

    def pick(self, *options):
        return self.draw(st.sampled_from(options))

    def place(self, index, n):
        """Return a position in range, also one counted from the end that is wrapped and checked."""
        kind = self.pick("remainder", "literal", "checked", "clipped")
        at = remainder(index * self.pick(1, 2, 3) + self.pick(0, 1, 4), integer(n))
        if kind == "literal":
            return integer(self.pick(0, n - 1))
        if kind == "clipped":
            return maximum(minimum(index + self.pick(-2, 0, 1), integer(n - 1)), integer(0))
        return wrapped(at - self.pick(0, 1, n), n) if kind == "checked" else at

    def statement(self, state, depth):
        x, y, a, s, i = state
        kind = self.pick("element", "element", "read", "row", "swap", "copy", "whole", "rows", "sum", "scatter",
                         "scalar", "exchange", "block", "part", "slice", "column",
                         *(("for", "while", "switch") if depth else ()))
        if kind == "element":
            x = put(x, get(y, self.place(i, 5)) * 0.5 + s, self.place(i, 5))
        elif kind == "read":
            s = s * 0.5 + get(a, self.place(i, 3), self.place(i, 5)) - get(x, self.place(i, 5))
        elif kind == "row":
            a = put_row(a, row(a, self.place(i, 3)) * 0.5 + self.pick(x, y), self.place(i, 3))
        elif kind == "swap":
            x, y = y, x
        elif kind == "copy":
            y = x
        elif kind == "whole":
            x = slice_(x, (4,), (-1,), (5,)) * 0.5 + y
        elif kind == "rows":
            p, q = self.place(i, 3), self.place(i, 3)
            a = put_row(put_row(a, row(a, p), q), row(a, q), p)
        elif kind == "sum":
            s = reduce_sum(a * 0.1, axes=(0, 1)) + s * 0.1
        elif kind == "scatter":
            x = scatter_add(x, slice_(y, (0,), (2,), (3,)) * 0.1, const(np.array([1, 1, 3])))
        elif kind == "scalar":
            i, s = remainder(i + 3, integer(7)), minimum(s * 1.5, const(10.0))
        elif kind == "exchange":
            p, q = self.place(i, 5), self.place(i, 5)
            u, v = get(x, p), get(x, q)
            x, s = choose(cast(less(u, v), I64), [x, s, p, q, u, v], lambda x, s, p, q, u, v: (
                put(x, u * 0.5, self.pick(p, q)), s), lambda x, s, p, q, u, v: (put(put(x, v, p), u, q), s + u))
        elif kind == "block":
            p, q, r, t = (self.pick(0, 1) if self.draw(st.booleans()) else remainder(i, integer(2)) for _ in range(4))
            part = dynamic_slice(a, integer(p), integer(q), sizes=(2, 3))
            line = dynamic_slice(a, integer(p), integer(t), sizes=(1, 3))
            side = dynamic_slice(a, integer(r), integer(q), sizes=(2, 1))
            more = self.pick(part, broadcast(reshape(line, (3,)), (2, 3), (1,)), broadcast(
                reshape(side, (2,)), (2, 3), (0,)), dynamic_slice(a, integer(p), integer(t), sizes=(2, 3)))
            a = dynamic_set_slice(a, more * 0.5 + 1, integer(r), integer(t))
        elif kind == "part":
            p = self.place(i, 3)
            line = row(a, p)
            part = slice_(self.pick(line, row(a, self.place(i, 3))), (self.pick(0, 1),), (1,), (3,))
            line = set_slice(line, part + broadcast(s, (3,), ()), (self.pick(0, 1, 2),), (1,))
            a = put_row(a, line, p)
        elif kind == "slice":
            x = dynamic_set_slice(x, dynamic_slice(x, self.place(i, 3), sizes=(3,)), self.place(i, 3))
        elif kind == "column":
            a = dynamic_set_slice(a, reshape(slice_(x, (0,), (1,), (3,)), (3, 1)), integer(0), self.place(i, 5))
        elif kind == "for":
            return tuple(loop(self.pick(0, 1, 2, 3), [x, y, a, s, i], lambda k, *state: self.block(
                (*state[:4], state[4] + k), depth - 1)))
        elif kind == "while":
            turns = integer(0)
            return until(lambda *state: less(state[5], integer(2)), [x, y, a, s, i, turns],
                         lambda *state: (*self.block(state[:5], depth - 1), state[5] + 1))[:5]
        else:
            return choose(remainder(i, integer(2)), [x, y, a, s, i], *[
                lambda *state: self.block(state, depth - 1) for _ in range(2)])
        return x, y, a, s, i

    def block(self, state, depth):
        for _ in range(self.draw(st.integers(0, 4))):
            state = self.statement(state, depth)
        return state


@given(st.data())
@settings(max_examples=settings.default.max_examples if "TRACEJIT_FUZZ" in os.environ else 25)
def test_random_bodies(data):
    bodies = Bodies(data.draw)
    x, y, a = normal(5), normal(5), normal(3, 5)
    graph = graph_of(lambda *state: loop(3, list(state), lambda k, *inner: bodies.block(
        (*inner[:4], inner[4] + k), 2)), x, y, a, 0.5, np.int64(1))
    got, want = both(graph, x, y, a, 0.5, np.int64(1))
    for g, w in zip(got, want):
        assert_close(g, w, 1 << 10, np.abs(w).max(initial=1) if w.dtype.kind == "f" else None)

