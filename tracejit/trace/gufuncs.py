"""matmul and the products of vectors with vectors and matrices, on stacks."""

import numpy as np

from tracejit.errors import DimError, UnsupportedError, user_frame
from tracejit.symbolic.ir import Node
from tracejit.symbolic.ops.contract import matmul
from tracejit.symbolic.ops.reduce import reduce_or, reduce_sum
from tracejit.symbolic.ops.scalar import bitwise_and, conjugate, multiply
from tracejit.symbolic.ops.shape import reshape, transpose
from tracejit.symbolic.types import BOOL
from tracejit.trace.shapes import common, is_known, resized, spread


def contract(ufunc, nodes, axes=None, axis=None, keepdims=False):
    """Return the result of a gufunc on nodes of one dtype; `axes`, `axis` and `keepdims` are NumPy's."""
    build = TABLE.get(ufunc)
    if build is None:
        raise UnsupportedError(f"the ufunc {ufunc.__name__} of a traced array", where=user_frame(),
                               do="write it with np.einsum or np.matmul")
    if axis is not None:
        axes = [(axis,), (axis,), (axis,) if keepdims else ()]
    last = ()
    if axes is not None:
        axes = axes if len(axes) > len(nodes) else [*axes, ()]
        *first, last = [(a,) if isinstance(a, int) else tuple(a) for a in axes]
        nodes = [_to_end(x, a) for x, a in zip(nodes, first)]
    nodes = _aligned(ufunc, *nodes)
    _check_core(ufunc, *nodes)
    out = build(*nodes)
    if keepdims:
        if ufunc is not np.vecdot:
            raise TypeError(f"{ufunc.__name__} does not support keepdims: its signature "
                            "requires operand 1 to have 2 core dimensions")
        out = reshape(out, (*out.shape, 1))
    return _from_end(out, last)


def _to_end(x, axes):
    axes = [a % x.ndim for a in axes]
    return transpose(x, [*(a for a in range(x.ndim) if a not in axes), *axes])


def _from_end(x, axes):
    axes = [a % x.ndim for a in axes]
    rest = iter(range(x.ndim - len(axes)))
    place = {a: x.ndim - len(axes) + k for k, a in enumerate(axes)}
    return transpose(x, [place[a] if a in place else next(rest) for a in range(x.ndim)])


def _aligned(ufunc, x, y):
    """Return the operands with one size of the core axis, where it is a dim of either."""
    place = max(y.ndim - 2, 0) if ufunc.__name__ in ("matmul", "vecmat") else y.ndim - 1
    if x.ndim and y.ndim and not is_known((x.shape[-1], y.shape[place])) and x.shape[-1] is not y.shape[place]:
        if isinstance(y.shape[place], Node):
            y = resized(y, place, x.shape[-1], "contracted")
        else:
            x = resized(x, x.ndim - 1, y.shape[place], "contracted")
    return x, y


def _check_core(ufunc, x, y):
    """Raise NumPy's errors for too few axes and for sizes that differ."""
    name, signature = ufunc.__name__, ufunc.signature
    core = {"matmul": (1, 1), "vecdot": (1, 1), "matvec": (2, 1), "vecmat": (1, 2)}[name]
    for k, (operand, least) in enumerate(zip((x, y), core)):
        if operand.ndim < least:
            raise DimError(f"{name}: Input operand {k} does not have enough dimensions (has {operand.ndim}, gufunc "
                           f"core with signature {signature} requires {least})", where=user_frame(),
                           do="use * for products with a scalar")
    place = max(y.ndim - 2, 0) if name in ("matmul", "vecmat") else y.ndim - 1
    if x.shape[-1] != y.shape[place]:
        core_place = place - (y.ndim - (2 if name in ("matmul", "vecmat") and y.ndim > 1 else 1))
        raise DimError(f"{name}: Input operand 1 has a mismatch in its core dimension {core_place}, with gufunc "
                       f"signature {signature} (size {y.shape[place]} is different from {x.shape[-1]})",
                       where=user_frame(), do="compare the shapes of the two operands")
    core = (2, 2) if name == "matmul" else core
    stacks = [o.shape[:max(o.ndim - n, 0)] for o, n in zip((x, y), core)]
    if not all(map(is_known, stacks)):
        return
    try:
        np.broadcast_shapes(*stacks)
    except ValueError:
        shapes = " ".join("(" + ",".join(map(str, o.shape)) + ")" for o in (x, y))
        raise DimError(f"operands could not be broadcast together with remapped shapes [original->remapped]: {shapes}",
                       where=user_frame(), do="compare the leading axes of the two operands") from None


def _conjugate(x):
    return conjugate(x) if x.type.kind == "c" else x


def _vecdot(x, y):
    ndim = max(x.ndim, y.ndim)
    pairs = zip((1,) * (ndim - x.ndim) + x.shape, (1,) * (ndim - y.ndim) + y.shape)
    shape = tuple([common(m, n) for m, n in pairs])
    x, y = spread(_conjugate(x), shape), spread(y, shape)
    if x.dtype == BOOL:
        return reduce_or(bitwise_and(x, y), axes=(x.ndim - 1,))
    return reduce_sum(multiply(x, y), axes=(x.ndim - 1,))


def _matvec(a, x):
    if x.ndim == 1:
        return matmul(a, x)
    out = matmul(a, reshape(x, (*x.shape, 1)))
    return reshape(out, out.shape[:-1])


def _vecmat(x, a):
    x = _conjugate(x)
    out = matmul(reshape(x, (*x.shape[:-1], 1, x.shape[-1])), a)
    return reshape(out, (*out.shape[:-2], out.shape[-1]))


TABLE = {np.matmul: matmul}
for _name, _build in {"vecdot": _vecdot, "matvec": _matvec, "vecmat": _vecmat}.items():
    if hasattr(np, _name):  # NumPy 2.0 has vecdot, 2.2 the others
        TABLE[getattr(np, _name)] = _build
