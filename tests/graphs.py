"""Random graphs for the tests: hypothesis draws a program of ops on small arrays."""

import numpy as np
from hypothesis import strategies as st
from samples import OPS

from tracejit.symbolic.graph import close
from tracejit.symbolic.ir import const, new_variable
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.index import gather
from tracejit.symbolic.ops.reduce import reduce_sum
from tracejit.symbolic.ops.scalar import cast, select
from tracejit.symbolic.ops.shape import broadcast, concatenate, reshape, set_slice, slice_, transpose
from tracejit.symbolic.types import BOOL, DTYPES, F64, I64, Type

SHAPES = ((), (2,), (3,), (2, 3), (3, 2), (1, 3))
#: Unary ops that are smooth and tame everywhere, so that differences can be compared with derivatives.
SMOOTH = ("sin", "cos", "tanh", "sigmoid", "softplus", "arctan", "erf", "arcsinh", "negative")


@st.composite
def smooth_graphs(draw, scalar=False, size=8):
    """Draw a graph of float64 params and outputs that has derivatives of every order."""
    variables = [new_variable(Type(F64, draw(st.sampled_from(SHAPES)))) for _ in range(draw(st.integers(1, 3)))]
    pool = list(variables)
    for _ in range(draw(st.integers(1, size))):
        pool.append(_smooth_step(draw, pool))
    outs = [pool[-1]] if scalar else pool[-draw(st.integers(1, 2)) :]
    if scalar:
        outs = [reduce_sum(outs[0], axes=tuple(range(outs[0].ndim)))]
    return close(variables, outs)


def _smooth_step(draw, pool):
    x = draw(st.sampled_from(pool))
    kind = draw(st.sampled_from(("unary", "binary", "move", "reduce", "matmul", "choose", "scan", "recent")))
    if kind == "unary":
        return OPS[draw(st.sampled_from(SMOOTH))](x)
    if kind == "binary":
        y = draw(st.sampled_from([n for n in pool if n.shape == x.shape]))
        name = draw(st.sampled_from(("add", "subtract", "multiply", "divide", "logaddexp", "hypot")))
        return OPS[name](x, y * y + 1 if name in ("divide", "hypot") else y)
    if kind == "move":
        return _move(draw, x)
    if kind == "reduce":
        axes = tuple(a for a in range(x.ndim) if draw(st.booleans()))
        return (
            OPS[draw(st.sampled_from(("reduce_sum", "reduce_prod", "logsumexp")))](x, axes=axes)
            if axes
            else OPS["sin"](x)
        )
    if kind == "matmul" and x.ndim == 2:
        return matmul(x, transpose(x, (1, 0)))
    if kind == "choose":
        mask = const(np.resize([True, False, False], x.shape))
        return select(mask, x, OPS["tanh"](x))
    if kind == "scan" and x.ndim:
        name = draw(st.sampled_from(("cumsum", "cumprod", "softmax", "log_softmax")))
        if name in ("softmax", "log_softmax"):
            return OPS[name](x, axes=(draw(st.integers(0, x.ndim - 1)),))
        return OPS[name](x, axis=draw(st.integers(0, x.ndim - 1)), reverse=draw(st.booleans()))
    return pool[-1] * 0.5 + OPS["cos"](pool[-1])


def _move(draw, x):
    if x.ndim == 0:
        return broadcast(x, (2,), ())
    kind = draw(st.sampled_from(("reshape", "transpose", "slice", "concatenate", "gather", "set_slice", "broadcast")))
    n = x.shape[0]
    if kind == "reshape":
        return reshape(x, (x.type.size,))
    if kind == "transpose":
        return transpose(x, draw(st.permutations(range(x.ndim))))
    if kind == "slice":
        return slice_(x, [n - 1] + [0] * (x.ndim - 1), [-1] + [1] * (x.ndim - 1), x.shape)
    if kind == "concatenate":
        return concatenate([x, OPS["sin"](x)], draw(st.integers(0, x.ndim - 1)))
    if kind == "gather":
        return gather(x, const([draw(st.integers(0, n - 1)) for _ in range(2)], I64))
    if kind == "set_slice":
        row = slice_(x, [0] * x.ndim, [1] * x.ndim, (1, *x.shape[1:]))
        return set_slice(x, OPS["sin"](row), [n - 1] + [0] * (x.ndim - 1), [1] * x.ndim)
    return broadcast(x, (2, *x.shape), range(1, x.ndim + 1))


@st.composite
def any_graphs(draw, size=10):
    """Draw a graph over all dtypes, with constants of any content, captures and writes."""
    dtypes = st.sampled_from(sorted(DTYPES))
    variables = [
        new_variable(Type(DTYPES[draw(dtypes)], draw(st.sampled_from(SHAPES)))) for _ in range(draw(st.integers(0, 3)))
    ]
    pool = [*variables, _constant(draw)]
    for _ in range(draw(st.integers(0, size))):
        pool.append(_any_step(draw, pool))
    outs = draw(st.lists(st.sampled_from(pool), max_size=3))
    cut = draw(st.integers(0, len(variables)))
    writes = tuple((i, k) for i, v in enumerate(variables) for k, n in enumerate(outs) if n.type is v.type)[:1]
    return close(variables[:cut], outs, variables[cut:], writes)


def _constant(draw):
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    shape = draw(st.sampled_from((*SHAPES, (0,), (9, 8))))
    count = int(np.prod(shape)) * dtype.itemsize
    data = draw(st.binary(min_size=count, max_size=count))
    if dtype == BOOL:
        data = bytes(b & 1 for b in data)
    return const(np.frombuffer(data, dtype).reshape(shape))


def _any_step(draw, pool):
    x = draw(st.sampled_from(pool))
    kind = draw(st.sampled_from(("constant", "move", "cast", "elementwise", "reduce")))
    if kind == "constant":
        return _constant(draw)
    if kind == "move" and x.type.size:
        return _move_any(draw, x)
    if kind == "elementwise":
        name = draw(
            st.sampled_from(("add", "maximum", "sin", "equal", "bitwise_and", "floor", "absolute", "conjugate"))
        )
        args = (x,) if name in ("sin", "floor", "absolute", "conjugate") else (x, x)
        try:
            return OPS[name](*args)
        except TypeError:
            pass
    if kind == "reduce" and x.ndim and x.type.kind in "iufc":
        return reduce_sum(x, axes=(x.ndim - 1,))
    return cast(x, DTYPES[draw(st.sampled_from(sorted(DTYPES)))])


def _move_any(draw, x):
    if x.ndim and draw(st.booleans()):
        return slice_(x, [0] * x.ndim, [1] * x.ndim, [draw(st.integers(0, n)) for n in x.shape])
    return broadcast(x, (2, *x.shape), range(1, x.ndim + 1))


def inputs_of(graph, seed=0):
    """Return random float64 arguments for a graph."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1.5, 1.5, t.shape) for t in graph.params]
