"""The pattern notation and the driver: matching, budget, fixed points, the work it takes, the log."""

import numpy as np
import pytest

from tracejit.config import config
from tracejit.errors import RewriteError
from tracejit.opt import rewrite as rewriting
from tracejit.opt.pattern import instantiate, match
from tracejit.opt.pipeline import optimize, prepare, run_phase
from tracejit.opt.rewrite import Budget, Rule, rewrite_nodes, rules
from tracejit.symbolic.graph import close
from tracejit.symbolic.ir import const, hole, literal, new_variable, scalar_literal
from tracejit.symbolic.ops.composite import softmax
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import cos, exp, log, multiply, negative, sigmoid, sin, softplus, tanh
from tracejit.symbolic.ops.shape import full, transpose
from tracejit.symbolic.types import F32, F64, I64, Type

P, Q = hole(name="p"), hole(name="q")


def vector(dtype=F64, n=3):
    return new_variable(Type(dtype, (n,)))


# ---------------------------------------------------------------- patterns
def test_hole_bound_twice_is_one_node():
    x, y = vector(), vector()
    pattern = exp(P) * P
    assert match(pattern, exp(x) * x) == {"p": x}
    assert match(pattern, x * exp(x)) == {"p": x}
    assert match(pattern, exp(x) * y) is None


def test_commutative_arguments_backtrack():
    """The first order binds p to x, and only the second leaves p for the divisor."""
    x, y = vector(), vector()
    assert match((P * Q) / P, (x * y) / y) == {"p": y, "q": x}
    assert match((P * Q) / P, (x * y) / x) == {"p": x, "q": y}
    assert match((P - Q) / Q, (x - y) / x) is None


@pytest.mark.parametrize("dtype", [F64, F32, I64])
def test_literal_matches_in_every_type_and_shape(dtype):
    x = vector(dtype)
    for one in (const([1, 1, 1], dtype), full(1, x.type)):
        expected = {"p": x} if one.op.name == "broadcast" else None
        assert match(P + 1, x + one) == expected
    assert match(P + 1, x + full(2, x.type)) is None


def test_literal_zero_is_the_positive_one():
    x = vector()
    assert match(P + 0, x + full(0.0, x.type)) is not None
    assert match(P + 0, x + full(-0.0, x.type)) is None


def test_a_literal_that_the_dtype_cannot_hold_matches_nothing():
    i = vector(I64)
    assert match(P * literal(value=0.5), i * full(0, i.type)) is None


def test_attrs_hold_holes():
    x = new_variable(Type(F64, (2, 3)))
    found = match(softmax(P, axes=hole(name="a")), softmax(x, axes=(1,)))
    assert found == {"p": x, "a": (1,)}
    assert instantiate(reduce_sum(P, axes=hole(name="a")), found, None) is reduce_sum(x, axes=(1,))


def test_literals_take_the_type_beside_them():
    x = vector(F32)
    assert instantiate(2 * exp(P), {"p": x}, x.type) is full(2, x.type) * exp(x)
    assert instantiate(literal(value=1), {}, x.type) is full(1, x.type)


# ---------------------------------------------------------------- the driver
def table_of(*rules_):
    found = {}
    for rule in rules_:
        found.setdefault(rule.op, []).append(rule)
    return found


def rule(lhs, rhs):
    return Rule("test", lhs.op, "canonicalize", "exact", rewriting._pattern_rule(lhs, rhs, []), (), lhs, rhs)


def test_result_of_a_rule_is_brought_to_rest():
    x = vector()
    by_op = table_of(rule(sin(P), cos(P)), rule(cos(P), exp(P)), rule(exp(P), tanh(P)))
    assert rewrite_nodes([sin(sin(x))], by_op) == (tanh(tanh(x)),)


def test_rules_that_fight_are_an_error_under_check_and_harmless_otherwise():
    x = vector()
    outs = [exp(sin(x)) + cos(x)]
    for fight in ((rule(sin(P), cos(P)), rule(cos(P), sin(P))), (rule(sin(P), sin(sin(P))),)):
        with config.context(check=True), pytest.raises(RewriteError, match="come to rest; the last to fire was test"):
            rewrite_nodes(outs, table_of(*fight))
        with config.context(check=False):
            (left,) = rewrite_nodes(outs, table_of(*fight))
        assert left.type is outs[0].type


def test_budget_counts_rewrites():
    x = vector()
    budget = Budget(0)
    budget.rewrites = 1
    with config.context(check=False):
        assert rewrite_nodes([sin(sin(sin(x)))], table_of(rule(sin(P), cos(P))), budget)[0].type is x.type


def test_type_must_be_kept():
    x = vector()
    with pytest.raises(RewriteError, match="turned sin"):
        bad = Rule("bad", sin, "canonicalize", "exact", lambda node: reduce_sum(node.args[0], axes=(0,)))
        rewrite_nodes([sin(x)], table_of(bad))


def test_a_rule_needs_a_known_phase_and_an_own_name():
    with pytest.raises(RewriteError, match="phase 'later'"):
        rules("later")(lambda x: iter([(sin(x), cos(x))]))

    def log1p_and_expm1(x):
        yield sin(x), sin(x)
        yield log(1 + x), log(1 + x)

    with pytest.raises(RewriteError, match="defined twice"):
        rules("stabilize")(log1p_and_expm1)


def test_exchanged_arguments_become_one_node():
    x, y = vector(), vector()
    g = optimize(close([x, y], [sin(x * y) + cos(y * x)]))
    assert sum(n.op is multiply for n in g.topological()) == 1


def test_phases_print_their_firings(capsys):
    x = vector()
    with config.context(log="rules"):
        prepare(close([x], [log(1 + exp(x))]))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in lines] == ["log1p_and_expm1.1", "softpluses.1"]
    assert "log(add(1.0, exp(x0)))  ->  log1p(exp(x0))" in lines[0]


def test_check_reads_every_pass_back(monkeypatch):
    from tracejit.opt import pipeline

    x = vector()
    graph = close([x], [exp(x) - 1])
    monkeypatch.setattr(pipeline, "parse", lambda text: close([x], [x]))
    with config.context(check=True), pytest.raises(RewriteError, match="does not read back"):
        run_phase(graph, "canonicalize")
    with config.context(check=False):
        run_phase(graph, "canonicalize")


# ---------------------------------------------------------------- size and work
def steps(graph):
    """Return the optimized graph and the steps the driver took, which, unlike seconds, no busy machine adds to."""
    budgets = []

    class Counted(Budget):
        def __init__(self, *args):
            super().__init__(*args)
            self.all = self.steps
            budgets.append(self)

    with config.context(check=False), pytest.MonkeyPatch.context() as patch:
        patch.setattr(rewriting, "Budget", Counted)
        found = optimize(graph)
    return found, sum(b.all - b.steps for b in budgets)


def chain(count):
    x = vector()
    node = x
    for k in range(count):
        node = sin(node) * 1.0 + float(k % 3)
    return close([x], [node])


def web(count):
    """Return a program whose every value is made of two of the last thirty."""
    rng = np.random.default_rng(0)
    pool = [vector() for _ in range(4)]
    for _ in range(count):
        x, y = (pool[i] for i in rng.integers(max(0, len(pool) - 30), len(pool), 2))
        op = rng.integers(6)
        pool.append([lambda: x + y, lambda: x * y, lambda: sigmoid(x), lambda: -x, lambda: x - 2.0 * y,
                     lambda: softplus(x) * 0.5][op]())
    return close(pool[:4], pool[-40:])


def test_chains_of_20000_nodes():
    found, work = steps(chain(10_000))
    assert len(found.topological()) < 20_010
    assert work < 5.1 * steps(chain(2_000))[1]


def test_programs_of_2000_ops_take_as_many_steps_for_each_as_small_ones():
    assert steps(web(2_000))[1] < 10.5 * steps(web(200))[1]


def test_views_move_out_of_long_chains():
    x = new_variable(Type(F64, (3, 4)))
    node = transpose(x, (1, 0))
    for _ in range(3000):
        node = tanh(node)
    with config.context(check=False):
        (out,) = optimize(close([x], [node])).outs
    assert out.op.name == "transpose"


def test_optimized_graph_is_kept_weakly():
    import gc
    import weakref

    x = vector()
    graph = close([x], [negative(-tanh(x)) * 1.25])
    found = optimize(graph)
    assert found is not graph and optimize(graph) is found and optimize(found) is found
    alive = weakref.ref(graph), weakref.ref(found)
    del graph, found
    gc.collect()
    assert [r() for r in alive] == [None, None]


def test_add_of_literals_is_folded():
    x = vector()
    (out,) = optimize(close([x], [x * (full(2.0, x.type) + 1.0)])).outs
    assert out.op is multiply and {scalar_literal(a) for a in out.args} == {None, 3.0}
