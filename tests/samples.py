"""Sampled calls of every op: the inputs of the tests that exist because an op is registered.

``op_samples(name)`` gives ``(args, attrs)`` with NumPy arrays, over the op's dtypes. An op that is neither elementwise
nor in the table below brings its own by the `samples` field; one without any fails the tests.
"""

import importlib
import inspect
import itertools
import pkgutil
import re
import zlib

import numpy as np

import tracejit.symbolic.ops as ops_package
from tracejit.symbolic.ir import OPS, const, item
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.linalg import adjoint
from tracejit.symbolic.types import DTYPES, Type

for _module in pkgutil.iter_modules(ops_package.__path__):
    importlib.import_module(f"{ops_package.__name__}.{_module.name}")

LEAVES = {"param", "variable", "const", "hole", "literal", "item"}
NAMES = sorted(set(OPS) - LEAVES)
FLOATS = ("f16", "f32", "f64")
COMPLEX = ("c64", "c128")
SIGNED = ("i8", "i16", "i32", "i64")
UNSIGNED = ("u8", "u16", "u32", "u64")
INTEGERS = SIGNED + UNSIGNED
NUMBERS = INTEGERS + FLOATS + COMPLEX
ORDERED = ("bool", *INTEGERS, *FLOATS)
ANY = ORDERED + COMPLEX


def op_samples(name):
    """Return a list of (args, attrs) for the op `name`; the same at each call."""
    op, rng = OPS[name], np.random.default_rng(zlib.crc32(name.encode()))
    if op.samples is not None:
        return list(op.samples(rng))
    if name in TABLE:
        return list(TABLE[name](rng))
    return list(elementwise(op, rng)) if op.elementwise else []


def results(node):
    """Return the results of an application as nodes: itself, or each of several."""
    if isinstance(node, tuple):
        return node
    return (node,) if type(node.type) is Type else tuple(item(node, index=i) for i in range(len(node.type)))


def observed(node):
    """Return the results of a node, or what of them has a derivative where a phase or a basis is free."""
    found = results(node)
    return OBSERVED[node.op.name](*found) if node.op.name in OBSERVED else found


def arity(op):
    """Return how many arguments an elementwise op takes."""
    if isinstance(op.ref, np.ufunc):
        return op.ref.nin
    if op.expand is not None:
        return len(inspect.signature(op.expand).parameters)
    found = re.findall(r"\{(\d)\}", op.scalar.c + op.scalar.py)
    return 1 + max(map(int, found)) if found else len(inspect.signature(op.ref).parameters)


def draw(rng, dtype, shape, low=-2.0, high=2.0):
    """Return random values of a dtype: floats between low and high, small integers, both bools."""
    dtype = DTYPES.get(dtype, dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "u":
        return rng.integers(0, 7, shape).astype(dtype)
    if dtype.kind == "i":
        return rng.integers(-5, 6, shape).astype(dtype)
    value = rng.uniform(low, high, shape)
    if dtype.kind == "c":
        value = value + 1j * rng.uniform(low, high, shape)
    return np.asarray(value).astype(dtype)


def special(dtype):
    """Return the values of a dtype where mistakes live: zeros of both signs, extremes, infinities, nan."""
    dtype = DTYPES.get(dtype, dtype)
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        edge = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 7, 8, 10, 31, 64]
        return np.array(edge + ([-1, -2, -3, -10] if dtype.kind == "i" else []), object).astype(dtype)
    if dtype.kind == "f":
        info = np.finfo(dtype)
        return np.array(
            [
                0.0,
                -0.0,
                1,
                -1,
                0.5,
                -0.5,
                2,
                -2,
                2.5,
                3.7,
                -3.7,
                1e-3,
                10.25,
                info.max,
                -info.max,
                info.tiny,
                info.smallest_subnormal,
                np.inf,
                -np.inf,
                np.nan,
            ]
        ).astype(dtype)
    return np.array([0, 1, -1, 1j, -1j, 1 + 1j, -2 + 0.5j, 0.25 - 3j, 1e-3j], dtype)


def allowed(op, dtypes=ANY, count=1):
    """Return the dtypes among `dtypes` which an elementwise op takes."""
    out = []
    for name in dtypes:
        try:
            op.type(*[Type(DTYPES[name], (2,))] * count)
        except (TypeError, KeyError):
            continue
        out.append(name)
    return out


def elementwise(op, rng):
    """Calls of an elementwise op: plain ranges, for derivatives, then every pair of special values."""
    n = arity(op)
    for dtype in allowed(op, count=n):
        for low, high in ((0.2, 0.8), (1.2, 2.5), (-0.8, -0.2)):
            yield [draw(rng, dtype, (2, 3), low, high) for _ in range(n)], {}
        yield [draw(rng, dtype, ()) for _ in range(n)], {}
        edges = special(dtype)
        pairs = np.array(list(itertools.product(range(len(edges)), repeat=n)))
        yield [edges[pairs[:, i]] for i in range(n)], {}


def _unary(dtypes, *cases, **draws):
    """Samples of an op of one argument: cases are (shape, attrs)."""

    def samples(rng):
        for dtype in dtypes:
            for shape, attrs in cases:
                yield [draw(rng, dtype, shape, **draws)], attrs

    return samples


# ---------------------------------------------------------------- shape
def _embed(rng):
    for dtype in ("f64", "bool", "i8", "c64"):
        for shape, start, step, to in (
            ((2, 3), (1, 0), (1, 1), (4, 3)),
            ((3,), (8,), (-3,), (10,)),
            ((2, 2), (0, 1), (3, 2), (5, 6)),
            ((0, 2), (0, 0), (1, 1), (3, 2)),
            ((1,), (2,), (1,), (3,)),
        ):
            yield [draw(rng, dtype, shape)], dict(start=start, step=step, shape=to)


def _set_slice(rng):
    for dtype in ("f64", "bool", "i16", "c128"):
        for shape, value, start, step in (
            ((4, 3), (2, 3), (1, 0), (1, 1)),
            ((10,), (3,), (8,), (-3,)),
            ((5, 6), (2, 2), (0, 1), (3, 2)),
            ((3, 2), (0, 2), (0, 0), (1, 1)),
            ((3,), (3,), (2,), (-1,)),
        ):
            yield [draw(rng, dtype, shape), draw(rng, dtype, value)], dict(start=start, step=step)


def _concatenate(rng):
    for dtype in ("f64", "bool", "u8", "c128"):
        for shapes, axis in (
            (((2, 3), (1, 3)), 0),
            (((2, 1), (2, 2), (2, 3)), 1),
            (((0,), (3,), (0,), (2,)), 0),
            (((0,), (0,)), 0),
        ):
            yield [draw(rng, dtype, s) for s in shapes], dict(axis=axis)


def _iota(rng):
    for dtype in NUMBERS:
        for shape, axis in (((5,), 0), ((2, 3), 0), ((2, 3), 1), ((0, 2), 0)):
            yield [], dict(dtype=DTYPES[dtype], shape=shape, axis=axis)


# ---------------------------------------------------------------- index
def _positions(rng, shape, sizes):
    return [rng.integers(0, n, shape) for n in sizes]


def _gather(rng):
    for dtype in ("f64", "f32", "bool", "c128", "i8"):
        for shape, at, count in (
            ((5,), (3,), 1),
            ((4, 3), (2, 2), 1),
            ((4, 3), (5,), 2),
            ((2, 3, 2), (), 2),
            ((3, 2), (0,), 1),
        ):
            yield [draw(rng, dtype, shape), *_positions(rng, at, shape[:count])], {}


def _scatter(dtypes):
    def samples(rng):
        for dtype in dtypes:
            for shape, at, count in (
                ((5,), (3,), 1),
                ((4, 3), (2, 2), 1),
                ((4, 3), (9,), 2),
                ((2, 3, 2), (), 2),
                ((3, 2), (0,), 1),
            ):
                yield (
                    [
                        draw(rng, dtype, shape),
                        draw(rng, dtype, (*at, *shape[count:])),
                        *_positions(rng, at, shape[:count]),
                    ],
                    {},
                )

    return samples


def _sorting(rng):
    for dtype in ANY:
        for shape, axis in (((6,), 0), ((3, 4), 0), ((3, 4), 1), ((0, 2), 0), ((2, 1), 1)):
            for stable in (False, True):
                yield [draw(rng, dtype, shape)], dict(axis=axis, stable=stable)
        if dtype != "f64":  # neighbours lie so close that a difference quotient would swap them
            yield [draw(rng, dtype, (2, 500))], dict(axis=1, stable=True)
            yield [draw(rng, dtype, (500, 2))], dict(axis=0, stable=False)
    for dtype in FLOATS:
        yield [special(dtype)], dict(axis=0, stable=True)
    yield [spoilt_complex()], dict(axis=0, stable=True)


def spoilt_complex():
    """Return complex numbers with ties, infinities and NaN in either part."""
    parts = np.array([0.0, -0.0, 1.0, -np.inf, np.inf, np.nan])
    out = np.empty((6, 6), complex)
    out.real, out.imag = parts[:, None], parts
    return out.ravel()


def _searchsorted(rng):
    for dtype in ANY:
        for side in ("left", "right"):
            yield [np.sort(draw(rng, dtype, (6,))), draw(rng, dtype, (2, 3))], dict(side=side)
            yield [draw(rng, dtype, (0,)), draw(rng, dtype, (2,))], dict(side=side)
    for side in ("left", "right"):
        yield [np.sort(special("f64")), special("f64")], dict(side=side)
        yield [np.sort(spoilt_complex()), spoilt_complex()], dict(side=side)


def _dynamic_slice(rng):
    for dtype in ("f64", "bool", "c64"):
        yield [draw(rng, dtype, (6,)), np.int64(2)], dict(sizes=(3,))
        yield [draw(rng, dtype, (4, 5)), np.int64(1), np.int64(0)], dict(sizes=(2, 5))
        yield [draw(rng, dtype, ())], dict(sizes=())


def _dynamic_set_slice(rng):
    for dtype in ("f64", "bool", "c64"):
        yield [draw(rng, dtype, (6,)), draw(rng, dtype, (3,)), np.int64(2)], {}
        yield [draw(rng, dtype, (4, 5)), draw(rng, dtype, (2, 5)), np.int64(1), np.int64(0)], {}


# ---------------------------------------------------------------- reduce
def _reduction(dtypes, empty=True):
    def samples(rng):
        for dtype in dtypes:
            for shape, axes in (
                ((5,), (0,)),
                ((3, 4), (0,)),
                ((3, 4), (1,)),
                ((2, 3, 2), (0, 2)),
                ((2, 3), (0, 1)),
                ((2, 3), ()),
                ((2, 1), (1,)),
                ((), ()),
            ):
                yield [draw(rng, dtype, shape)], dict(axes=axes)
            if empty:
                yield [draw(rng, dtype, (0, 2))], dict(axes=(0,))
            yield [draw(rng, dtype, (0, 2))], dict(axes=(1,))
            if DTYPES[dtype].kind == "f":
                yield [np.stack([special(dtype), draw(rng, dtype, 20)])], dict(axes=(0,))
                yield [special(dtype)], dict(axes=(0,))

    return samples


def _positions_of_extremes(rng):
    for dtype in ORDERED:
        for shape, axis in (((5,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 1), 1), ((2, 0), 0)):
            yield [draw(rng, dtype, shape)], dict(axis=axis)
    yield [np.array([[0.0, np.nan, 2.0], [3.0, np.nan, np.nan], [-0.0, 0.0, -0.0]])], dict(axis=1)


def _running(dtypes):
    def samples(rng):
        for dtype in dtypes:
            for shape, axis in (((6,), 0), ((3, 4), 0), ((3, 4), 1), ((0, 2), 0), ((2, 1), 1)):
                for reverse in (False, True):
                    yield [draw(rng, dtype, shape)], dict(axis=axis, reverse=reverse)

    return samples


def _linear_scan(rng):
    for dtype in FLOATS + COMPLEX:
        for shape, axis in (((6,), 0), ((3, 4), 0), ((3, 4), 1), ((0, 2), 0)):
            for reverse in (False, True):
                yield [draw(rng, dtype, shape), draw(rng, dtype, shape)], dict(axis=axis, reverse=reverse)


# ---------------------------------------------------------------- contract and linalg
def _dot_general(rng):
    none = ((), ())
    for dtype in ANY:
        for x, y, contract, batch in (
            ((3, 4), (4, 5), ((1,), (0,)), none),
            ((4,), (4,), ((0,), (0,)), none),
            ((3,), (2,), none, none),
            ((2, 3, 4), (2, 4, 5), ((2,), (1,)), ((0,), (0,))),
            ((3, 4, 2), (4, 2, 3), ((1, 2), (0, 1)), none),
            ((3, 4, 2), (2, 5, 4), ((1, 2), (2, 0)), none),
            ((3, 0), (0, 2), ((1,), (0,)), none),
            ((2, 3, 4), (4, 3, 5), ((2,), (0,)), ((1,), (1,))),
            ((), (3,), none, none),
        ):
            yield [draw(rng, dtype, x), draw(rng, dtype, y)], dict(contract=contract, batch=batch)


def _gemm(rng):
    for dtype in ("f32", "f64", "c64", "c128"):
        for trans_a, trans_b in itertools.product((False, True), repeat=2):
            a, b = draw(rng, dtype, (4, 3) if trans_a else (3, 4)), draw(rng, dtype, (2, 4) if trans_b else (4, 2))
            yield (
                [a, b, draw(rng, dtype, (3, 2)), *draw(rng, dtype, (2,)).reshape(2, 1)[:, 0]],
                dict(trans_a=trans_a, trans_b=trans_b),
            )


def _gemv(rng):
    for dtype in ("f32", "f64", "c64", "c128"):
        for trans in (False, True):
            yield (
                [
                    draw(rng, dtype, (4, 3) if trans else (3, 4)),
                    draw(rng, dtype, (4,)),
                    draw(rng, dtype, (3,)),
                    *draw(rng, dtype, (2,)),
                ],
                dict(trans=trans),
            )


def matrices(rng, dtype, shape):
    """Return well-conditioned square matrices."""
    return (draw(rng, dtype, shape) * 0.2 + np.eye(shape[-1]) * 2).astype(DTYPES[dtype])


def _square(dtypes=("f32", "f64", "c64", "c128")):
    def samples(rng):
        for dtype in dtypes:
            for shape in ((3, 3), (2, 2, 2), (1, 1)):
                yield [matrices(rng, dtype, shape)], {}

    return samples


def _adjugate(rng):
    yield from _square()(rng)
    yield [np.zeros((1, 1), np.float32)], {}
    for dtype in ("f32", "c64"):
        yield [draw(rng, dtype, (3, 2)) @ draw(rng, dtype, (2, 3))], {}


def _positive(rng):
    for (a,), attrs in _square()(rng):
        yield [(a @ np.conj(np.swapaxes(a, -1, -2)))], attrs


def _solve(rng):
    for (a,), attrs in _square()(rng):
        for columns in (1, 2):
            yield [a, draw(rng, a.dtype, (*a.shape[:-1], columns))], attrs


def _triangular(rng):
    for (a, b), _ in _solve(rng):
        for lower, trans, unit in itertools.product((False, True), repeat=3):
            yield [a, b], dict(lower=lower, trans=trans, unit=unit)


# ---------------------------------------------------------------- scalar ops with attrs or arguments of several types
def _select(rng):
    for dtype in ANY:
        for shape in ((2, 3), ()):
            yield [draw(rng, "bool", shape), draw(rng, dtype, shape), draw(rng, dtype, shape)], {}


def _cast(rng):
    for source, target in itertools.product(ANY, repeat=2):
        yield [draw(rng, source, (2, 3))], dict(dtype=DTYPES[target])
        value = special(source)
        if DTYPES[source].kind != "f" or DTYPES[target].kind in "fcb":  # out of range to integer: C leaves it open
            yield [value], dict(dtype=DTYPES[target])


def _bitcast(rng):
    for source, target in itertools.product(ANY, repeat=2):
        if source != "bool" and target != "bool" and DTYPES[source].itemsize == DTYPES[target].itemsize:
            yield [draw(rng, source, (2, 3))], dict(dtype=DTYPES[target])


def _check(rng):
    for dtype in ("f64", "i64", "c128"):
        yield [draw(rng, dtype, (2, 3)), np.ones((2, 3), bool)], dict(error="index", detail=(0, 9))


def _ldexp(rng):
    for dtype in FLOATS:
        yield [draw(rng, dtype, (2, 3)), draw(rng, "i32", (2, 3))], {}
        yield [special(dtype), draw(rng, "i32", special(dtype).shape)], {}


def _power(rng):
    """Integers only with exponents of at least 0: others are refused by a check before."""
    for args, attrs in elementwise(OPS["power"], rng):
        yield (
            [
                args[0],
                np.where(args[1] < 0, 2, args[1]).astype(args[1].dtype) if args[1].dtype.kind == "i" else args[1],
            ],
            attrs,
        )


def _where_c_is_defined(name):
    """C's integer division and shifts: without the arguments that C leaves open."""

    def samples(rng):
        for args, attrs in elementwise(OPS[name], rng):
            x, y = args
            if x.dtype.kind in "iu":
                if name.startswith("shift"):
                    y = (y % (8 * x.dtype.itemsize)).astype(x.dtype)
                else:
                    y = np.where((y == 0) | ((y.astype(object) == -1) & (x == np.iinfo(x.dtype).min)), 3, y).astype(
                        x.dtype
                    )
            yield [x, y], attrs

    return samples


def _log1mexp(rng):
    for dtype in FLOATS:
        for low, high in ((-0.5, -0.1), (-3, -0.8), (-8, -4)):
            yield [draw(rng, dtype, (2, 3), low, high)], {}
        yield [np.array([-0.0, 0.0, -np.inf, np.nan, -1e-4, -0.7, -30], DTYPES[dtype])], {}


def _polygamma(rng):
    for dtype in FLOATS:
        for n in (1, 2, 3):
            for low, high in ((0.2, 0.8), (1.2, 12), (-0.8, -0.2)):
                yield [draw(rng, dtype, (2, 3), low, high)], dict(n=n)
            yield [np.array([0.0, -1.0, 0.5, np.nan, 30.0], DTYPES[dtype])], dict(n=n)


def _axes_of_floats(rng):
    for dtype in FLOATS:
        for shape, axes in (
            ((5,), (0,)),
            ((3, 4), (1,)),
            ((3, 4), (0,)),
            ((2, 3, 2), (0, 2)),
            ((0, 2), (1,)),
            ((2, 1), (1,)),
        ):
            yield [draw(rng, dtype, shape)], dict(axes=axes)
        yield [np.array([[1e4, 1e4, -1e4], [-1e4, -1e4, -1e4], [0, -np.inf, 1]], DTYPES[dtype])], dict(axes=(1,))


def _projections(vectors, first=0):
    """Return sums of the projections on vectors, each with another weight, and on all those from `first` on."""
    shape, count = vectors.shape, vectors.shape[-1]
    weights = np.where(np.arange(count) < first, np.arange(1.0, count + 1), 1.0) if first else np.arange(1.0, count + 1)
    return matmul(vectors * const(np.broadcast_to(weights, shape), vectors.dtype), adjoint(vectors))


#: What of an op's results has a derivative, where their phases or parts of a basis are free: functions of nodes.
OBSERVED = {
    "svd": lambda u, s, vh: [s, _projections(u, s.shape[-1]), _projections(adjoint(vh), s.shape[-1])],
    "eigh": lambda w, v: [w, _projections(v)],
    "qr": lambda q, r: [matmul(q, r), _projections(q, min(r.shape[-1], q.shape[-2]))],
}

TABLE = {
    "broadcast": _unary(
        ("f64", "bool", "i32", "c64"),
        ((3,), dict(shape=(2, 3), dims=(1,))),
        ((), dict(shape=(2, 2), dims=())),
        ((2, 3), dict(shape=(2, 4, 3), dims=(0, 2))),
        ((2,), dict(shape=(2, 0), dims=(0,))),
    ),
    "reshape": _unary(
        ("f64", "bool", "i32", "c64"),
        ((2, 6), dict(shape=(3, 4))),
        ((1, 4), dict(shape=(2, 1, 2))),
        ((0, 3), dict(shape=(3, 0))),
        ((), dict(shape=(1, 1))),
        ((2, 3, 4), dict(shape=(6, 4))),
        ((6, 2), dict(shape=(2, 3, 2))),
        ((1, 1), dict(shape=())),
        ((4, 3, 2), dict(shape=(2, 12))),
    ),
    "transpose": _unary(
        ("f64", "bool", "i32", "c64"),
        ((2, 3), dict(perm=(1, 0))),
        ((2, 3, 4), dict(perm=(2, 0, 1))),
        ((2, 3, 4), dict(perm=(1, 2, 0))),
        ((0, 2), dict(perm=(1, 0))),
    ),
    "slice": _unary(
        ("f64", "bool", "i32", "c64"),
        ((6,), dict(start=(1,), step=(2,), sizes=(3,))),
        ((6,), dict(start=(5,), step=(-2,), sizes=(3,))),
        ((4, 3), dict(start=(1, 0), step=(1, 1), sizes=(2, 3))),
        ((4, 3), dict(start=(0, 2), step=(1, -1), sizes=(4, 3))),
        ((4,), dict(start=(0,), step=(1,), sizes=(0,))),
    ),
    "embed": _embed,
    "set_slice": _set_slice,
    "concatenate": _concatenate,
    "iota": _iota,
    "gather": _gather,
    "scatter_set": _scatter(("f64", "f32", "bool", "c128", "i8")),
    "scatter_add": _scatter(("f64", "f32", "c128", "i8")),
    "scatter_multiply": _scatter(("f64", "f32", "c128", "i8")),
    "scatter_max": _scatter(("f64", "f32", "bool", "i8")),
    "scatter_min": _scatter(("f64", "f32", "bool", "i8")),
    "sort": _sorting,
    "argsort": _sorting,
    "searchsorted": _searchsorted,
    "dynamic_slice": _dynamic_slice,
    "dynamic_set_slice": _dynamic_set_slice,
    "reduce_sum": _reduction(NUMBERS),
    "reduce_prod": _reduction(NUMBERS),
    "reduce_max": _reduction(ORDERED, empty=False),
    "reduce_min": _reduction(ORDERED, empty=False),
    "reduce_and": _reduction(("bool", *INTEGERS)),
    "reduce_or": _reduction(("bool", *INTEGERS)),
    "reduce_xor": _reduction(("bool", *INTEGERS)),
    "argmax": _positions_of_extremes,
    "argmin": _positions_of_extremes,
    "cumsum": _running(NUMBERS),
    "cumprod": _running(NUMBERS),
    "cummax": _running(ORDERED),
    "cummin": _running(ORDERED),
    "linear_scan": _linear_scan,
    "dot_general": _dot_general,
    "gemm": _gemm,
    "gemv": _gemv,
    "cholesky": _positive,
    "solve": _solve,
    "triangular_solve": _triangular,
    "inv": _square(),
    "det": _square(),
    "det_sign": _square(),
    "log_abs_det": _square(),
    "adjugate": _adjugate,
    "select": _select,
    "cast": _cast,
    "bitcast": _bitcast,
    "check": _check,
    "ldexp": _ldexp,
    "power": _power,
    "quotient": _where_c_is_defined("quotient"),
    "fmod": _where_c_is_defined("fmod"),
    "shift_left": _where_c_is_defined("shift_left"),
    "shift_right": _where_c_is_defined("shift_right"),
    "log1mexp": _log1mexp,
    "polygamma": _polygamma,
    "logsumexp": _axes_of_floats,
    "softmax": _axes_of_floats,
    "log_softmax": _axes_of_floats,
}
