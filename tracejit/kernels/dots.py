"""Products of arrays: which go to BLAS, in which layout, and what the others become."""

from dataclasses import dataclass

import numpy as np

from tracejit.kernels.updates import base
from tracejit.symbolic import dims
from tracejit.symbolic.ir import Op, make
from tracejit.symbolic.ops.contract import dot_general_op, free_axes
from tracejit.symbolic.ops.reduce import reduce_or, reduce_sum
from tracejit.symbolic.ops.scalar import bitwise_and, cast
from tracejit.symbolic.ops.shape import broadcast, transpose
from tracejit.symbolic.types import BOOL, C64, C128, F16, F32, F64

BLAS_DTYPES = (F32, F64, C64, C128)
#: Multiplications below which a loop nest of our own beats the call of a library.
SMALL = 4096

#: The identity; its elements are put into a buffer in C order, whatever views lie beneath.
keep = Op("keep", type=lambda x: x, ref=lambda x: x, elementwise=True)

#: Sums of products of a filter with the windows of a vector that `before` zeros precede (and others follow).
slide = Op("slide", attrs=("before", "count"), type=lambda x, h, before, count: x.with_shape((count,)), routine="slide",
           ref=lambda x, h, before, count: np.convolve(x, h[::-1])[len(h) - 1 - before:][:count])
#: Elements of a filter, and of the result, from which on it is worth a routine.
LONG = 96


def is_dot(node):
    """Say whether a node is a product that BLAS computes."""
    return node.op is dot_general_op


@dataclass(frozen=True)
class Layout:
    """A stack of matrices in a buffer: ``rows x columns`` these strides in elements; `batch` strides over `stack`."""

    node: object
    rows: int
    row_stride: int
    columns: int
    column_stride: int
    stack: tuple
    batch: tuple

    @property
    def fits(self):
        """Whether BLAS can read it: one of the two axes is contiguous."""
        return (self.column_stride == 1 or self.columns == 1) or (self.row_stride == 1 or self.rows == 1)


def peeled(node):
    """Return (the node under transposes and reshapes, the shape, the strides of the axes in its buffer)."""
    perm = list(range(node.ndim))
    while node.op.name == "transpose":
        perm = [node.attrs[0][p] for p in perm]
        node = node.args[0]
    strides, total = [], 1
    for n in reversed(node.shape):
        strides.insert(0, total)
        total = dims.times(total, n)
    shape = node.shape
    return base(node), [shape[p] for p in perm], [strides[p] for p in perm]


def _merged(shape, strides, axes):
    """Return (size, stride) of several axes as one, or None where they do not lie behind each other."""
    size, stride = 1, 1
    for a in reversed(axes):
        if shape[a] == 1:
            continue
        if size == 1:
            size, stride = shape[a], strides[a]
        elif not dims.same(strides[a], dims.times(size, stride)):
            return None
        else:
            size = dims.times(size, shape[a])
    return size, stride


def layout(node, rows, columns, batch):
    """Return the Layout of an operand with these groups of axes, or None where they do not form matrices."""
    source, shape, strides = peeled(node)
    r, c = _merged(shape, strides, rows), _merged(shape, strides, columns)
    if r is None or c is None:
        return None
    found = Layout(source, *r, *c, tuple(shape[a] for a in batch), tuple(strides[a] for a in batch))
    return found if found.fits else None


def layouts(node):
    """Return the Layouts of a dot_general's operands: x as free by contracted, y as contracted by free."""
    x, y = node.args
    (cx, cy), (bx, by) = node.attrs
    return (layout(x, free_axes(x.ndim, cx, bx), cx, bx), layout(y, cy, free_axes(y.ndim, cy, by), by))


def operands(node):
    """Return the nodes whose buffers a dot_general reads."""
    return [found.node for found in layouts(node)]


def multiplications(node):
    """Return how many products a dot_general sums."""
    cx = node.attrs[0][0]
    return node.type.size * int(np.prod([node.args[0].shape[a] for a in cx], dtype=np.int64))


def prepared(node):
    """Return a dot_general as BLAS can do it, operands in fitting layouts, or as a reduction where it cannot."""
    x, y = node.args
    (cx, cy), (bx, by) = node.attrs
    if x.dtype == F16:
        return cast(prepared(make(node.op, (cast(x, F32), cast(y, F32)), node.attrs)), F16)
    if not (x.type.is_static and y.type.is_static) and not _is_matrix_product(node):
        return as_reduction(node)
    if x.dtype in (F32, F64) and (slid := _as_slide(node)) is not None:
        return slid
    if x.dtype in BLAS_DTYPES and is_convolution(node):
        return as_convolution(node)
    if x.dtype not in BLAS_DTYPES or (x.type.is_static and y.type.is_static and (
            multiplications(node) <= SMALL or max(x.type.size, y.type.size) >= 1 << 31)):
        return as_reduction(node)
    found = layouts(node)
    fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
    if found[0] is None:
        x = transpose(x, (*bx, *fx, *cx))
        x, bx, cx = keep(x), tuple(range(len(bx))), tuple(range(len(bx) + len(fx), x.ndim))
    if found[1] is None:
        y = transpose(y, (*by, *cy, *fy))
        y, by, cy = keep(y), tuple(range(len(by))), tuple(range(len(by), len(by) + len(cy)))
    if found[0] is not None and found[1] is not None:
        return node
    return make(node.op, (x, y), ((cx, cy), (bx, by)))


def _is_matrix_product(node):
    """Say whether a product with sizes known at run time is for BLAS: of matrices, neither of them a few rows."""
    x, y = node.args
    (cx, cy), (bx, by) = node.attrs
    sides = [[x.shape[a] for a in free_axes(x.ndim, cx, bx)], [y.shape[a] for a in free_axes(y.ndim, cy, by)],
             [x.shape[a] for a in cx]]
    few = any(all(type(n) is int and n < 4 for n in side) for side in sides)
    return not (few or bx or x.dtype not in BLAS_DTYPES)


#: Filters up to which sliding beats a product of matrices, whose left one would hold every window.
FILTERS = 8


def _base_of_windows(node):
    """Return (the `windows` node under transposes, its axis for each axis of the node), or None."""
    perm = list(range(node.ndim))
    while node.op.name == "transpose":
        perm = [node.attrs[0][p] for p in perm]
        node = node.args[0]
    return (node, perm) if node.op.name == "windows" else None


def is_convolution(node):
    """Say whether a dot_general slides a few filters over x: they meet its windows, a run of which lies contiguous."""
    x, y = node.args
    (cx, cy), (bx, by) = node.attrs
    found, free = _base_of_windows(x), free_axes(x.ndim, cx, bx)
    if found is None or not free or not cx:
        return False
    inside = found[0].args[0].ndim - 1
    filters = int(np.prod([y.shape[a] for a in free_axes(y.ndim, cy, by)], dtype=np.int64))
    return found[1][free[-1]] == inside and x.shape[free[-1]] >= 16 and filters <= FILTERS


def _as_slide(node):
    """Return the product of a long filter with all windows of a vector, padded or not, as the routine; or None."""
    x, h = node.args
    if node.attrs != (((1,), (0,)), ((), ())) or x.op.name != "windows" or x.ndim != 2 or h.ndim != 1:
        return None
    (source,), count = x.args, x.shape[0]
    if h.shape[0] < LONG or count < LONG:
        return None
    if source.op.name == "embed" and source.attrs[1] == (1,) and source.args[0].type.size:
        return slide(source.args[0], h, before=source.attrs[0][0], count=count)
    return slide(source, h, before=0, count=count)


def as_convolution(node):
    """Return a sliding product as a sum over the places in the window, innermost along the contiguous run."""
    x, y = node.args
    (cx, cy), (bx, by) = node.attrs
    slid, perm = _base_of_windows(x)
    source = slid.args[0]
    if source.op.name not in ("param", "variable", "const"):  # what slides is computed once, not in each window
        x = transpose(make(slid.op, (keep(source),), slid.attrs), perm)
    fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
    shape = [*[x.shape[a] for a in (*bx, *cx)], *[y.shape[a] for a in fy], *[x.shape[a] for a in fx]]
    nb, nc, ny, nx = len(bx), len(cx), len(fy), len(fx)
    batch, contracted = list(range(nb)), list(range(nb, nb + nc))
    behind, inside = list(range(nb + nc, nb + nc + ny)), list(range(nb + nc + ny, nb + nc + ny + nx))
    left = _laid_out(x, [*bx, *fx, *cx], [*batch, *inside, *contracted], shape)
    right = _laid_out(y, [*by, *cy, *fy], [*batch, *contracted, *behind], shape)
    out = reduce_sum(left * right, axes=tuple(contracted))
    return transpose(out, [*range(nb), *range(nb + ny, nb + ny + nx), *range(nb, nb + ny)])


def as_reduction(node):
    """Return a dot_general as a sum (of bools, an any) of products, the innermost axis contiguous in y."""
    x, y = node.args
    (cx, cy), (bx, by) = node.attrs
    fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
    nb, nx, nc, ny = len(bx), len(fx), len(cx), len(fy)
    _, _, strides = peeled(y)
    # The free axes of y stay inside where they are the contiguous ones: rows of y are added up.
    y_inside = ny and not any(strides[a] == 1 and y.shape[a] not in (0, 1) for a in cy)
    sizes = ([x.shape[a] for a in bx], [x.shape[a] for a in fx], [x.shape[a] for a in cx], [y.shape[a] for a in fy])
    groups = {"b": nb, "x": nx, "c": nc, "y": ny}
    order = "bxcy" if y_inside else "bxyc"
    start, shape = {}, []
    for key in order:
        start[key] = len(shape)
        shape += dict(zip("bxcy", sizes))[key]
    axes = {key: list(range(start[key], start[key] + groups[key])) for key in order}
    left = _laid_out(x, [*bx, *fx, *cx], [*axes["b"], *axes["x"], *axes["c"]], shape)
    right = _laid_out(y, [*by, *cy, *fy], [*axes["b"], *axes["c"], *axes["y"]], shape)
    if x.dtype == BOOL:
        return reduce_or(bitwise_and(left, right), axes=tuple(axes["c"])) if nc else bitwise_and(left, right)
    return reduce_sum(left * right, axes=tuple(axes["c"])) if nc else left * right


def prepared_sum(node):
    """Return a gemm or gemv, or where BLAS is not for it the sum that it stands for."""
    a, x, c, alpha, beta = node.args
    trans = node.attrs
    sized = not all(n.type.is_static for n in node.args)
    count = 0 if sized else node.type.size * a.shape[0 if trans[0] else 1]
    if a.dtype in BLAS_DTYPES and count > SMALL:
        return node
    right = (1 if trans[1] else 0,) if len(trans) > 1 else (0,)
    product = make(dot_general_op, (a, x), (((0 if trans[0] else 1,), right), ((), ())))
    spread = [broadcast(s, node.shape, ()) for s in (alpha, beta)]
    return spread[0] * product + spread[1] * c


def _laid_out(x, own, places, shape):
    """Return x broadcast to `shape` with its axis own[i] at places[i]."""
    order = sorted(range(len(own)), key=lambda i: places[i])
    return broadcast(transpose(x, [own[i] for i in order]), shape, [places[i] for i in order])


__all__ = [
    "BLAS_DTYPES",
    "Layout",
    "as_reduction",
    "is_dot",
    "keep",
    "layouts",
    "multiplications",
    "operands",
    "prepared",
    "prepared_sum",
]
