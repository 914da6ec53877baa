"""Types, nodes and graphs: interned, frozen, closed, flat."""

import gc
import math
import pickle
import sys
import threading

import numpy as np
import pytest

from tracejit.errors import LeakError, TypeRuleError
from tracejit.symbolic import ir
from tracejit.symbolic.graph import Graph, close, free_variables, substitute, topological, users
from tracejit.symbolic.interp import evaluate, evaluate_nodes
from tracejit.symbolic.ir import (
    OPS,
    const,
    const_value,
    define,
    hole,
    item,
    literal,
    make,
    new_variable,
    param,
    scalar_literal,
)
from tracejit.symbolic.ops.linalg import cholesky
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import add, cos, exp, log, multiply, sin
from tracejit.symbolic.ops.shape import broadcast, full, iota, reshape
from tracejit.symbolic.text import parse
from tracejit.symbolic.types import F32, F64, I64, UNKNOWN, Type, dtype_name, supported_dtype, type_of

F64_3 = Type(F64, (3,))
DEEP = 20_000


def chain(x, n=DEEP):
    for _ in range(n // 2):
        x = cos(sin(x))
    return x


# ---------------------------------------------------------------- types
def test_equal_types_are_the_same_object():
    assert Type("float64", [3]) is Type(np.float64, (np.int32(3),)) is F64_3
    assert Type(">f8", (3,)) is F64_3
    assert Type(F32, (3,)) is not F64_3
    assert pickle.loads(pickle.dumps(F64_3)) is F64_3
    assert F64_3.with_shape(()).with_dtype(F32) is Type(F32)


def test_type_properties():
    kind = Type("c16", (2, 3))
    assert (kind.ndim, kind.kind, kind.size, kind.nbytes, kind.is_static, repr(kind)) == (
        2,
        "c",
        6,
        96,
        True,
        "c128[2,3]",
    )
    assert repr(Type("bool")) == dtype_name(np.dtype(bool)) == "bool"
    assert Type(F64, (0, 5)).size == 0
    with pytest.raises(AttributeError):
        kind.dtype = F64


@pytest.mark.parametrize("dtype", ["O", "S3", "U1", "M8[s]", "m8[ms]", "V4", np.dtype([("a", int)])])
def test_dtypes_that_graphs_do_not_hold(dtype):
    assert supported_dtype(dtype) is None
    with pytest.raises(TypeError, match="no place in a graph"):
        Type(dtype, (2,))


@pytest.mark.parametrize("shape", [(-1,), (2.5,), ("3",)])
def test_shapes_that_are_none(shape):
    with pytest.raises((TypeError, ValueError)):
        Type(F64, shape)


def test_type_of_values():
    assert type_of(np.zeros((2, 0), "f4")) is Type(F32, (2, 0))
    assert type_of(np.int64(3)) is Type(I64)


# ---------------------------------------------------------------- interning
def test_equal_nodes_are_the_same_object():
    x, y = new_variable(F64_3), new_variable(F64_3)
    assert x is not y
    assert sin(x) is sin(x) and sin(x) is not sin(y)
    assert add(x, y) is not add(y, x)
    assert reduce_sum(x, axes=(0,)) is reduce_sum(x, axes=(0,)) is not reduce_sum(x, axes=())


@pytest.mark.parametrize(
    "a, b, same",
    [
        (0.0, -0.0, False),
        (np.nan, np.nan, True),
        (1.0, 1, False),
        (True, 1, False),
        (np.float32(1), np.float64(1), False),
        ([1.0, 2.0], [1.0, 2.0], True),
        (np.nan, -np.nan, False),
        ([1.0], 1.0, False),
        (0j, complex(0, -0.0), False),
    ],
)
def test_constants_are_keyed_by_dtype_shape_and_bytes(a, b, same):
    assert (const(a) is const(b)) == same


def test_constants_keep_their_value():
    for value in (np.arange(6).reshape(2, 3).T, np.float16(1.5), np.array([], "c8"), np.array(3, ">i4")):
        held = const_value(const(value))
        np.testing.assert_array_equal(held, value)
        assert held.shape == np.shape(value) and held.dtype == np.asarray(value).dtype.newbyteorder("=")
    mutable = np.zeros(3)
    node = const(mutable)
    mutable[:] = 1
    np.testing.assert_array_equal(const_value(node), [0, 0, 0])
    with pytest.raises(ValueError):
        const_value(node)[0] = 5


def test_literals_of_patterns_do_not_mix():
    values = [1, 1.0, True, 0.0, -0.0, 0, np.nan]
    assert len({literal(value=v) for v in values}) == len(values)
    assert literal(value=2) is literal(value=2)


def test_patterns_have_no_type():
    x = hole(name="x")
    assert x is hole(name="x") is not hole(name="y")
    pattern = log(1 + exp(x))
    assert pattern.type is UNKNOWN and pattern.args[0].args[0].attr("value") == 1


def test_nodes_are_frozen():
    x = new_variable(F64_3)
    for name, value in (("op", sin), ("args", ()), ("note", 1)):
        with pytest.raises(AttributeError):
            setattr(x, name, value)
    with pytest.raises(AttributeError):
        sin.type = None
    with pytest.raises(TypeError, match="`is`"):
        bool(x)


def test_node_accessors():
    x = new_variable(Type(F32, (2, 3)))
    node = reduce_sum(x, axes=(1,))
    assert (node.shape, node.dtype, node.ndim, node.attr("axes")) == ((2,), F32, 1, (1,))
    assert node.rebuild([x]) is node
    y = new_variable(x.type)
    assert node.rebuild([y]) is reduce_sum(y, axes=(1,))
    assert "reduce_sum" in repr(node) and "f32[2,3]" in repr(node)


def test_operators_take_python_numbers():
    x = new_variable(F64_3)
    table = {x: np.array([1.0, -2.0, 3.5])}
    v = table[x]
    for node, want in (
        (x + 1, v + 1),
        (1 - x, 1 - v),
        (2 * x, 2 * v),
        (1 / x, 1 / v),
        (x**2, v**2),
        (2**x, 2**v),
        (-x, -v),
        (x // 2, v // 2),
        (x % 2, v % 2),
        (5 % x, 5 % v),
    ):
        np.testing.assert_array_equal(evaluate_nodes([node], table)[0], want)
        assert node.type is F64_3


def test_scalar_literal_looks_through_broadcasts():
    assert scalar_literal(full(2.5, F64_3)) == 2.5
    assert scalar_literal(const([4.0])) == 4.0
    assert scalar_literal(const([4.0, 4.0])) is None
    assert scalar_literal(new_variable(Type(F64))) is None


def test_unused_nodes_are_freed():
    x = new_variable(F64_3)
    gc.collect()
    before = len(ir._nodes)
    kept = [exp(x * k) for k in range(100)]
    assert len(ir._nodes) > before
    del kept
    gc.collect()
    assert len(ir._nodes) <= before


def test_a_deep_chain_is_built_walked_and_freed():
    x = new_variable(Type(F64))
    node = chain(x)
    assert len(topological([node])) == DEEP + 1
    graph = close([x], [node])
    assert graph is close([x], [chain(x)])
    (value,) = evaluate(graph, 0.5)
    assert 0.5 < value < 1
    y = new_variable(Type(F64))
    assert substitute([node], {x: y})[0] is chain(y)
    assert free_variables([node]) == [x]
    assert parse(str(graph)) is graph
    assert graph.check() is graph
    gc.collect()
    before = len(ir._nodes)
    del node, graph
    gc.collect()
    assert len(ir._nodes) <= before - DEEP


def test_pickling_keeps_identity_and_stays_flat():
    node = chain(param(index=0, type=Type(F64)))
    assert pickle.loads(pickle.dumps(node)) is node
    assert pickle.loads(pickle.dumps(const(np.nan))) is const(np.nan)
    assert pickle.loads(pickle.dumps(sin)) is sin
    graph = Graph((Type(F64),), (node,))
    assert pickle.loads(pickle.dumps(graph)) is graph
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(sin(new_variable(F64_3)))


def test_many_threads_intern_one_node():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for attempt in range(20):
            barrier, made = threading.Barrier(8), []

            def work():
                barrier.wait()
                nodes = []
                for k in range(50):
                    kind = Type(F64, (1000 + attempt, k + 1))
                    nodes.append(sin(full(attempt + 0.5, kind)))
                made.append((nodes, Graph((), nodes[:1])))

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            first, graph = made[0]
            assert all(a is b and a.type is b.type for nodes, _ in made for a, b in zip(nodes, first))
            assert all(g is graph for _, g in made)
    finally:
        sys.setswitchinterval(interval)


# ---------------------------------------------------------------- define
def rule(x):
    return x


@pytest.mark.parametrize(
    "fields, message",
    [
        ({}, "exactly one lowering"),
        ({"expand": rule, "routine": "r"}, "exactly one lowering"),
        ({"expand": rule, "partials": rule, "jvp": rule}, "one derivative rule"),
        ({"expand": rule, "gradient": rule}, "unknown fields"),
    ],
)
def test_define_refuses(fields, message):
    with pytest.raises(TypeError, match=message):
        define("not_an_op", type=rule, ref=rule, **fields)
    with pytest.raises(TypeError, match="twice"):
        define("sin", type=rule, ref=rule, expand=rule)
    assert "not_an_op" not in OPS


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_record_is_whole(name):
    """One lowering; at most one derivative, or a stated reason; a transpose says in what the op is linear."""
    op = OPS[name]
    assert op.name == name and callable(op.type) and callable(op.ref)
    assert sum(getattr(op, k) is not None for k in ir.LOWERINGS) == 1
    assert (op.transpose is not None) == (op.linear is not None)
    assert op.linear in (None, "joint", "each", "inside") or all(type(i) is int for i in op.linear)
    if op.partials or op.jvp or op.transpose:
        assert op.differentiable is not False  # None: it refuses some of its arguments
    if op.reduce:
        assert op.reduce in OPS


# ---------------------------------------------------------------- graphs
def test_equal_functions_are_one_graph():
    def trace():
        x, y = new_variable(F64_3), new_variable(F64_3)
        return close([x, y], [sin(x) * y])

    graph = trace()
    assert trace() is graph
    assert graph is not close([x := new_variable(F64_3), y := new_variable(F64_3)], [sin(y) * x])
    assert graph.out_types == (F64_3,) and graph.params == (F64_3, F64_3)
    with pytest.raises(AttributeError):
        graph.outs = ()


def test_captures_and_writes():
    x, w = new_variable(F64_3), new_variable(F64_3)
    graph = close([x], [x + w, w * 2], [w], [(1, 1)])
    assert (graph.captures, graph.writes, len(graph.params)) == (1, ((1, 1),), 2)
    assert parse(str(graph)) is graph
    assert graph.replace([graph.inputs()[0], graph.inputs()[1]]).writes == graph.writes


def test_a_variable_of_another_trace_leaks():
    x, y = new_variable(F64_3), new_variable(F64_3)
    with pytest.raises(LeakError, match="another trace"):
        close([x], [x + y])


def test_params_must_be_declared():
    with pytest.raises(TypeRuleError, match="not among the params"):
        Graph((F64_3,), (param(index=1, type=F64_3),))
    with pytest.raises(TypeRuleError, match="not among the params"):
        Graph((Type(F32, (3,)),), (param(index=0, type=F64_3),))


def test_call_inlines():
    x = new_variable(F64_3)
    graph = close([x], [sin(x), x])
    y = new_variable(F64_3)
    assert graph.call([cos(y)]) == (sin(cos(y)), cos(y))
    with pytest.raises(TypeRuleError, match="called with"):
        graph.call([new_variable(Type(F64))])


def test_substitute_rebuilds_only_what_depends():
    x, y, z = (new_variable(F64_3) for _ in range(3))
    kept = exp(y)
    (out,) = substitute([sin(x) + kept], {sin(x): z})
    assert out is z + kept and out.args[1] is kept


def test_users_lists_each_once():
    x = new_variable(F64_3)
    square, s = x * x, sin(x)
    table = users([square + s])
    assert table[x] == [square, s] and table[square] == [square + s]


def test_topological_keeps_arguments_first():
    x = new_variable(F64_3)
    order = topological([sin(x) * cos(x) + sin(x)])
    assert len(order) == len(set(order)) == 5
    place = {n: k for k, n in enumerate(order)}
    assert all(place[a] < place[n] for n in order for a in n.args)


def test_check_finds_a_wrong_type():
    x = param(index=0, type=F64_3)
    wrong = object.__new__(ir.Node)
    for name, value in dict(op=sin, args=(x,), attrs=(), type=Type(F32, (3,)), dims=()).items():
        object.__setattr__(wrong, name, value)
    with pytest.raises(TypeRuleError, match="should have type f64"):
        Graph((F64_3,), (wrong,)).check()


@pytest.mark.parametrize(
    "build",
    [
        lambda x, y: add(x, y),
        lambda x, y: multiply(x, broadcast(const(1.0), (2,), ())),
        lambda x, y: reduce_sum(x, axes=(1,)),
        lambda x, y: reshape(x, (2,)),
        lambda x, y: broadcast(x, (4,), (0,)),
        lambda x, y: OPS["bitwise_and"](x, x),
        lambda x, y: OPS["select"](x, x, x),
        lambda x, y: OPS["transpose"](x, perm=(1,)),
        lambda x, y: cholesky(x),
    ],
)
def test_type_rules_refuse(build):
    with pytest.raises(TypeRuleError):
        build(new_variable(F64_3), new_variable(Type(F32, (3,))))


# ---------------------------------------------------------------- several results
@pytest.fixture
def divided():
    op = define("divided", type=lambda x, y: (x, x), ref=lambda x, y: np.divmod(x, y), routine="test")
    yield op
    del OPS["divided"]


def test_an_op_with_several_results(divided):
    x, y = new_variable(F64_3), new_variable(F64_3)
    both = divided(x, y)
    graph = close([x, y], [item(both, index=1), item(both, index=0)])
    assert graph.out_types == (F64_3, F64_3)
    assert parse(str(graph)) is graph and graph.check() is graph
    a, b = np.array([7.0, -7.0, 3.0]), np.array([2.0, 2.0, 0.5])
    rest, whole = evaluate(graph, a, b)
    np.testing.assert_array_equal(whole, a // b)
    np.testing.assert_array_equal(rest, a % b)


# ---------------------------------------------------------------- the interpreter
def test_evaluate_checks_what_it_is_given():
    x = new_variable(F64_3)
    graph = close([x], [sin(x)])
    with pytest.raises(TypeError, match="1 params was given 2"):
        evaluate(graph, np.zeros(3), np.zeros(3))
    with pytest.raises(ValueError):
        evaluate(graph, np.zeros(4))
    with pytest.raises(KeyError, match="no value"):
        evaluate_nodes([sin(x)], {})


def test_evaluate_is_silent_about_floating_point():
    x = new_variable(F64_3)
    with np.errstate(all="raise"):
        (value,) = evaluate(close([x], [log(x) / x]), np.zeros(3))
    assert np.all(value == -np.inf)


def test_a_ref_that_breaks_its_type_is_found():
    op = define("liar", type=lambda x: x, ref=lambda x: x.astype("f4"), routine="test")
    try:
        x = new_variable(F64_3)
        with pytest.raises(AssertionError, match="a ref returned float32"):
            evaluate_nodes([op(x)], {x: np.zeros(3)})
    finally:
        del OPS["liar"]


# ---------------------------------------------------------------- dims
@pytest.fixture
def sized():
    """A graph of x: f64[n,3], n given beside it."""
    n = new_variable(Type(I64))
    x = new_variable(Type(F64, (n, 3)))
    shifted = sin(x) + broadcast(iota(F64, (3,)), (n, 3), (1,))
    flat = reshape(shifted, (n * 3,))
    return n, x, close([n, x], [flat, reduce_sum(shifted, axes=(0,)), OPS["transpose"](x, perm=(1, 0))])


def test_dims_pass_through_type_rules(sized):
    n, x, graph = sized
    size = graph.inputs()[0]
    flat, total, turned = graph.outs
    assert flat.shape == (size * 3,) and total.shape == (3,) and turned.shape == (3, size)
    assert not flat.type.is_static and total.type.is_static
    assert graph.params[1] is Type(F64, (size, 3))
    assert graph.check() is graph
    assert sin(x) * 2 is sin(x) * 2  # the literal is spread over the dim
    with pytest.raises(TypeRuleError):
        add(x, new_variable(Type(F64, (new_variable(Type(I64)), 3))))


def test_dims_in_text(sized):
    _, _, graph = sized
    text = str(graph)
    assert "x1: f64[x0,3]" in text
    assert parse(text) is graph
    x, n = new_variable(Type(F64)), new_variable(Type(I64))  # a size may come after what it sizes
    y = new_variable(Type(F64, (n,)))
    late = close([y, x, n], [y + broadcast(x, (n,), ())])
    assert "x0: f64[x2]" in str(late) and parse(str(late)) is late


def test_dims_are_substituted(sized):
    n, x, graph = sized
    m = new_variable(Type(I64))
    y = new_variable(Type(F64, (m, 3)))
    flat, _, turned = graph.call([m, y])
    assert flat.shape == (m * 3,) and turned.shape == (3, m)
    with pytest.raises(TypeRuleError, match="called with"):
        graph.call([m, x])


def test_a_dim_that_becomes_a_literal_is_an_int(sized):
    _, _, graph = sized
    z = new_variable(Type(F64, (4, 3)))
    flat, total, turned = graph.call([const(4), z])
    assert turned.type is Type(F64, (3, 4))
    assert Type(F64, (const(5, I64),)) is Type(F64, (5,))
    with pytest.raises(TypeError, match="rank-0 int64"):
        Type(F64, (new_variable(F64_3),))


def test_dims_are_evaluated(sized):
    _, _, graph = sized
    for n in (1, 4):
        x = np.arange(n * 3.0).reshape(n, 3)
        flat, total, turned = evaluate(graph, n, x)
        want = np.sin(x) + np.arange(3)
        np.testing.assert_allclose(flat, want.ravel())
        np.testing.assert_allclose(total, want.sum(0))
        np.testing.assert_array_equal(turned, x.T)


def test_a_size_in_a_param_is_itself_a_param():
    n = param(index=0, type=Type(I64))
    kind = Type(F64, (n + 1,))
    with pytest.raises(TypeRuleError, match="not itself a param"):
        Graph((Type(I64), kind), (param(index=1, type=kind),))


def test_dims_are_found_in_attrs():
    n = new_variable(Type(I64))
    x = new_variable(Type(F64, (10,)))
    moved = OPS["slice"](x, start=(n,), step=(1,), sizes=(2,))
    assert moved.dims == (n,) and n in topological([moved])
    m = new_variable(Type(I64))
    assert substitute([moved], {n: m})[0] is OPS["slice"](x, start=(m,), step=(1,), sizes=(2,))
    assert math.prod(evaluate_nodes([moved], {x: np.arange(10.0), n: np.int64(3)})[0]) == 12
    assert make(moved.op, moved.args, moved.attrs) is moved
