"""Rules for loops and branches: the same meaning, and bodies without what does not belong there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracejit.opt.loops import drop_unused, map_inner
from tracejit.opt.pipeline import optimize, prepare
from tracejit.symbolic.graph import close, substitute
from tracejit.symbolic.interp import evaluate
from tracejit.symbolic.ir import const, item, new_variable
from tracejit.symbolic.ops.control import for_loop, results, switch, while_loop
from tracejit.symbolic.ops.index import dynamic_set_slice, dynamic_slice
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import cast, check, exp, greater, less, select, sin, tanh
from tracejit.symbolic.ops.shape import broadcast, full, iota, reshape
from tracejit.symbolic.text import inner_graphs, parse
from tracejit.symbolic.types import BOOL, F64, I64, Type

SCALAR, VECTOR, INDEX = Type(F64), Type(F64, (3,)), Type(I64)


def variables(*types):
    return [new_variable(t) for t in types]


def ops(graph):
    """Return the names of the ops of a graph that have arguments, without literals, sorted."""
    literal = lambda n: n.op.name == "broadcast" and not n.args[0].args
    return sorted(n.op.name for n in graph.topological() if n.args and not literal(n) and n.op.name != "item")


def body_of(graph, k=-1):
    return inner_graphs(graph)[k]


# ---------------------------------------------------------------- meaning, on random programs
def step(draw, pool):
    """Return one more node of a random body, over float64 of rank 0 and shape (3,)."""
    x = draw(st.sampled_from(pool))
    kind = draw(st.sampled_from(("unary", "binary", "binary", "sum", "spread", "choose", "inner", "constant")))
    if kind == "unary":
        return draw(st.sampled_from((sin, tanh)))(x)
    if kind == "sum" and x.ndim:
        return reduce_sum(x, axes=(0,))
    if kind == "spread" and not x.ndim:
        return broadcast(x, (3,), ())
    if kind == "choose":
        y = draw(st.sampled_from([n for n in pool if n.type is x.type]))
        return select(greater(x, full(0.5, x.type)), y, x)
    if kind == "constant":
        return full(draw(st.sampled_from((0.0, 0.5, 2.0))), x.type)
    if kind == "inner" and len(pool) < 12:
        return draw(st.sampled_from(control(draw, pool)))
    y = draw(st.sampled_from([n for n in pool if n.type is x.type]))
    return draw(st.sampled_from((lambda a, b: a + b, lambda a, b: a * b * 0.5, lambda a, b: a - b)))(x, y)


def grown(draw, pool, size):
    pool = list(pool)
    for _ in range(draw(st.integers(0, size))):
        pool.append(step(draw, pool))
    return pool


def control(draw, pool, size=4):
    """Return the results of a random loop or switch over nodes of a pool."""
    operands = [draw(st.sampled_from(pool)) for _ in range(draw(st.integers(1, 4)))]
    inner = [new_variable(n.type) for n in operands]
    carries = draw(st.integers(1, len(operands)))
    k = new_variable(INDEX)

    def outs(pool):
        pool = grown(draw, pool, size)
        return [draw(st.sampled_from([n for n in pool if n.type is v.type])) for v in inner[:carries]]
    kind = draw(st.sampled_from(("for", "for", "while", "switch")))
    if kind == "for":
        count = draw(st.sampled_from((const(0, I64), const(1, I64), const(3, I64), None)))
        if count is None:
            count = cast(greater(reduce_sum(broadcast(pool[0], (3,), () if not pool[0].ndim else (0,)), axes=(0,)),
                                 const(0.3)), I64) * 2
        body = close([k, *inner], outs([*inner, cast(k, F64)]))
        return results(for_loop(count, *operands, body=body, carries=carries))
    if kind == "while":
        made = close([k, *inner], [k + 1, *outs(inner)])
        test = close([k, *inner], [less(k, const(draw(st.integers(0, 3)), I64))])
        return results(while_loop(const(0, I64), *operands, cond=test, body=made, carries=carries + 1))[1:]
    branches = tuple([close(inner, outs(inner)) for _ in range(draw(st.integers(1, 3)))])
    index = const(draw(st.integers(0, len(branches) - 1)), I64)
    if draw(st.booleans()):
        test = greater(reduce_sum(broadcast(pool[0], (3,), () if not pool[0].ndim else (0,)), axes=(0,)), const(0.3))
        index = cast(test, I64) if len(branches) > 1 else index
    return results(switch(index, *operands, branches=branches))


@st.composite
def programs(draw):
    """Draw a graph of params of float64 with loops and branches in it."""
    inputs = variables(SCALAR, VECTOR, SCALAR)
    pool = grown(draw, inputs, 2)
    pool += control(draw, pool)
    pool = grown(draw, pool, 3)
    return close(inputs, pool[-2:])


@given(programs(), st.integers(0, 100))
def test_random_programs(graph, seed):
    """Optimised, they mean the same, are at rest, and print and parse."""
    rng = np.random.default_rng(seed)
    args = [rng.uniform(-1, 1, t.shape) for t in graph.params]
    found = optimize(graph)
    for got, want in zip(evaluate(found, *args), evaluate(graph, *args)):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
    assert optimize(found) is found and prepare(prepare(graph)) is prepare(graph)
    assert parse(str(found)) is found and found.check() is found


# ---------------------------------------------------------------- what leaves the body
def loop_over(body, count, *operands, carries=1):
    """Return the graph of a for_loop over variables of the operands' types."""
    k, *inner = variables(INDEX, *(n.type for n in operands))
    return for_loop(count, *operands, body=close([k, *inner], body(k, *inner)), carries=carries)


def test_what_does_not_change_is_computed_before_the_loop():
    n, x, w, m = variables(INDEX, VECTOR, VECTOR, Type(F64, (3, 3)))
    graph = optimize(close([n, x, w, m], results(loop_over(
        lambda k, x, w, m: [x * tanh(exp(w))],
        n, x, w, m))))
    assert ops(body_of(graph)) == ["multiply"] and {"exp", "tanh"} <= set(ops(graph))
    assert len(body_of(graph).params) == 3  # the index, the carry, tanh(exp(w)): the matrix is not needed


def test_what_costs_nothing_stays():
    n, x, s = variables(INDEX, VECTOR, SCALAR)
    graph = optimize(close([n, x, s], results(loop_over(
        lambda k, x, s: [x * broadcast(s, (3,), ()) + cast(iota(I64, (3,)), F64)], n, x, s))))
    assert [str(t) for t in body_of(graph).params] == ["i64", "f64[3]", "f64"]


def test_a_long_constant_is_there_once():
    n, x, y = variables(INDEX, Type(F64, (100,)), Type(F64, (100,)))
    table = const(np.arange(100.0) ** 2)
    graph = optimize(close([n, x, y], [*results(loop_over(lambda k, a: [a * table], n, x)),
                                       *results(loop_over(lambda k, a: [a + table], n, y))]))
    assert str(graph).count("b64") == 1


def test_a_check_stays_in_a_loop_that_may_not_run():
    n, x, s = variables(INDEX, VECTOR, SCALAR)

    def body(k, x, s):
        fine = check(s, greater(s, const(0.0)), error="zero_division", detail=())
        return [x * broadcast(exp(fine), (3,), ())]
    graph = optimize(close([n, x, s], results(loop_over(body, n, x, s))))
    assert "check" in ops(body_of(graph))
    np.testing.assert_array_equal(evaluate(graph, 0, np.ones(3), -1.0)[0], np.ones(3))
    with pytest.raises(ZeroDivisionError):
        evaluate(graph, 1, np.ones(3), -1.0)
    surely = optimize(close([x, s], results(loop_over(body, const(4, I64), x, s))))
    assert "check" not in ops(body_of(surely)) and "check" in ops(surely)


def test_a_loop_in_a_loop_is_hoisted_whole():
    n, x, w = variables(INDEX, VECTOR, VECTOR)

    def body(k, x, w):
        inner = item(loop_over(lambda j, w: [sin(w)], const(5, I64), w), index=0)
        return [x + inner]
    graph = optimize(close([n, x, w], results(loop_over(body, n, x, w))))
    assert ops(body_of(graph, -1)) == ["add"] or ops(body_of(graph, 0)) == ["add"]
    assert ops(graph).count("for_loop") == 2


# ---------------------------------------------------------------- what is carried
def test_a_carry_that_does_not_change_is_held():
    n, x, w = variables(INDEX, VECTOR, VECTOR)
    graph = optimize(close([n, x, w], results(loop_over(lambda k, x, w: [x + w, w], n, x, w, carries=2))))
    (loop,) = [m for m in graph.topological() if m.op is for_loop]
    assert loop.attr("carries") == 1 and graph.outs[1] is graph.inputs()[2]


def test_a_constant_that_is_carried_and_does_not_change_is_a_constant():
    n, x = variables(INDEX, VECTOR)
    graph = optimize(close([n, x], results(loop_over(
        lambda k, x, c: [x * broadcast(c, (3,), ()), c], n, x, const(2.0), carries=2))))
    assert len(body_of(graph).params) == 2


def test_carries_that_nothing_needs_are_dropped():
    n, x, w = variables(INDEX, VECTOR, VECTOR)
    loop = loop_over(lambda k, x, w: [x * 0.5, w + x], n, x, w, carries=2)
    assert len(item(loop, index=0).args[0].type) == 2
    graph = drop_unused(close([n, x, w], [item(loop, index=0)]))
    assert graph.outs[0].args[0].attr("carries") == 1
    graph = drop_unused(close([n, x, w], [item(loop, index=1)]))  # which depends on the other
    assert graph.outs[0].args[0].attr("carries") == 2


def test_equal_carries_are_one():
    n, x = variables(INDEX, VECTOR)
    graph = optimize(close([n, x], results(loop_over(
        lambda k, a, b, c: [sin(a), sin(b), c + a - b], n, x, x, x, carries=3))))
    (loop,) = [m for m in graph.topological() if m.op is for_loop]
    assert loop.attr("carries") == 2 and graph.outs[0] is graph.outs[1]


def test_swapped_carries_stay_two():
    n, x, y = variables(INDEX, VECTOR, VECTOR)
    graph = optimize(close([n, x, y], results(loop_over(lambda k, a, b: [b, a], n, x, y, carries=2))))
    (loop,) = [m for m in graph.topological() if m.op is for_loop]
    assert loop.attr("carries") == 2


def test_writes_stay_in_the_loop():
    n, x = variables(INDEX, VECTOR)

    def body(k, x):
        one = dynamic_slice(x, k, sizes=(1,))
        return [dynamic_set_slice(x, one * 2, k)]
    graph = optimize(close([n, x], results(loop_over(body, n, x))))
    assert sorted(ops(body_of(graph)))[:2] == ["dynamic_set_slice", "dynamic_slice"]


# ---------------------------------------------------------------- what is no loop and no branch
@pytest.mark.parametrize("count, expected", [(0, []), (-3, []), (1, ["sin"])])
def test_loops_of_no_or_one_turn(count, expected):
    x, = variables(VECTOR)
    graph = optimize(close([x], results(loop_over(lambda k, x: [sin(x)],
                                                  const(count, I64), x))))
    assert ops(graph) == expected


def test_a_condition_that_never_holds():
    x, = variables(VECTOR)
    inner, = variables(VECTOR)
    graph = optimize(close([x], results(while_loop(
        x, cond=close([inner], [less(const(3), const(2))]), body=close([inner], [sin(inner)]), carries=1))))
    assert ops(graph) == []


def branching(index, *rows):
    s, x = variables(SCALAR, VECTOR)
    a, b = variables(SCALAR, VECTOR)
    branches = tuple([close([a, b], row(a, b)) for row in rows])
    return s, x, results(switch(index, s, x, branches=branches))


def test_a_known_branch():
    s, x, outs = branching(const(1, I64), lambda a, b: [b], lambda a, b: [sin(b)])
    assert ops(optimize(close([s, x], outs))) == ["sin"]


def test_a_small_choice_of_scalars_is_a_select():
    c, = variables(Type(BOOL))
    s, x, outs = branching(cast(c, I64), lambda a, b: [a + 1], lambda a, b: [a * a])
    assert ops(optimize(close([c, s, x], outs))) == ["add", "multiply", "select"]


def test_a_costly_choice_stays_a_switch():
    c, = variables(Type(BOOL))
    for first in (lambda a, b: [exp(a)], lambda a, b: [reduce_sum(b, axes=(0,))],
                  lambda a, b: [check(a, greater(a, const(0.0)), error="zero_division", detail=())]):
        s, x, outs = branching(cast(c, I64), first, lambda a, b: [a])
        assert "switch" in ops(optimize(close([c, s, x], outs)))


def test_what_all_branches_give_is_taken_outside():
    c, = variables(Type(BOOL))
    s, x, outs = branching(cast(c, I64), lambda a, b: [b, sin(a), exp(b)], lambda a, b: [b, sin(a), b * 2])
    graph = optimize(close([c, s, x], outs))
    assert graph.outs[0] is graph.inputs()[2] and "sin" in ops(graph)
    assert len(body_of(graph).outs) == 1 and len(body_of(graph).params) == 1


def test_an_operand_that_no_branch_needs_is_dropped():
    c, = variables(Type(BOOL))
    s, x, outs = branching(cast(c, I64), lambda a, b: [exp(b)], lambda a, b: [sin(b)])
    assert len(body_of(optimize(close([c, s, x], outs))).params) == 1


def test_map_inner_gives_back_what_is_at_rest():
    x, = variables(VECTOR)
    graph = close([x], results(loop_over(lambda k, x: [sin(x)], const(3, I64), x)))
    assert map_inner(graph, lambda g: g) is graph
    assert map_inner(graph, prepare) is graph


# ---------------------------------------------------------------- loops side by side
def test_a_loop_that_another_contains_is_not_run_twice():
    n, x, y = variables(INDEX, VECTOR, VECTOR)
    plain = loop_over(lambda k, a: [sin(a)], n, x)
    more = loop_over(lambda k, b, a: [b + a, sin(a)], n, y, x, carries=2)
    graph = optimize(close([n, x, y], [*results(plain), *results(more)]))
    assert ops(graph) == ["for_loop"] and graph.outs[0] is graph.outs[2]
    args = (3, np.ones(3), np.arange(3.0))
    for got, want in zip(evaluate(graph, *args), evaluate(close([n, x, y], [*results(plain), *results(more)]), *args)):
        np.testing.assert_array_equal(got, want)


def test_loops_of_which_one_needs_the_other_stay_two():
    n, x = variables(INDEX, VECTOR)
    first = item(loop_over(lambda k, a: [sin(a)], n, x), index=0)
    second = results(loop_over(lambda k, a, b: [sin(a), b * a], n, x, first, carries=2))
    graph = optimize(close([n, x], [first, *second]))
    assert ops(graph) == ["for_loop", "for_loop"]


def test_loops_that_share_nothing_stay_two():
    n, x, y = variables(INDEX, VECTOR, VECTOR)
    graph = optimize(close([n, x, y], [*results(loop_over(lambda k, a: [sin(a)], n, x)),
                                       *results(loop_over(lambda k, a: [tanh(a)], n, y))]))
    assert ops(graph) == ["for_loop", "for_loop"]


def test_branches_on_one_index_are_one():
    c, = variables(Type(BOOL))
    s, x, outs = branching(cast(c, I64), lambda a, b: [exp(b)], lambda a, b: [sin(b)])
    a, b = variables(SCALAR, VECTOR)
    branches = tuple([close([a, b], row) for row in ([exp(b), exp(b) * 2], [sin(b), b])])
    more = results(switch(cast(c, I64), s, x, branches=branches))
    graph = optimize(close([c, s, x], [*outs, *more]))
    assert ops(graph).count("switch") == 1 and graph.outs[0] is graph.outs[1]


def test_a_part_that_was_just_written_is_read_directly():
    n, x = variables(INDEX, VECTOR)

    def body(k, x):
        written = dynamic_set_slice(x, sin(dynamic_slice(x, k, sizes=(1,))), k)
        again = dynamic_set_slice(written, dynamic_slice(written, k, sizes=(1,)) * 2, k)
        return [again]
    graph = optimize(close([n, x], results(loop_over(body, n, x))))
    assert ops(body_of(graph)) == ["dynamic_set_slice", "dynamic_slice", "multiply", "sin"]


def test_a_size_that_becomes_known_is_known_in_the_body():
    n, m = variables(INDEX, INDEX)
    rows = Type(F64, (m,))
    inner_m = new_variable(INDEX)
    k, stack = new_variable(INDEX), new_variable(Type(F64, (inner_m,)))
    body = close([k, stack, inner_m], [dynamic_set_slice(stack, reshape(cast(k, F64), (1,)), k)])
    loop = item(for_loop(n, full(1, rows), m, body=body, carries=1), index=0)
    graph = close([n, m], [loop])
    np.testing.assert_array_equal(evaluate(graph, 2, 4)[0], [0, 1, 1, 1])
    known = close([n], substitute([loop], {m: const(4)}))
    found = optimize(known)
    assert found.out_types == (Type(F64, (4,)),) and "f64[4]" in str(body_of(found)) and "[x" not in str(found)
    for g in (known, found):
        np.testing.assert_array_equal(evaluate(g, 2)[0], [0, 1, 1, 1])
