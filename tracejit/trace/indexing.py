"""``x[index]`` and ``x[index] = value``: basic, integer, boolean and mixed, with indices known now or at run time."""

import operator

import numpy as np

from tracejit.errors import DimError, user_frame
from tracejit.symbolic import dims
from tracejit.symbolic.ir import Node, const, dim
from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.index import gather, scatter_set
from tracejit.symbolic.ops.reduce import cumsum, reduce_sum
from tracejit.symbolic.ops.scalar import cast, select
from tracejit.symbolic.ops.shape import broadcast, broadcast_to, full_like, reshape, transpose, zeros
from tracejit.symbolic.types import BOOL, I64
from tracejit.trace.floating import DISCARDED
from tracejit.trace.masks import coordinates, positions
from tracejit.trace.promote import broadcast_shapes, integer_as
from tracejit.trace.selection import Selection
from tracejit.trace.shapes import is_known, resized, shown, spread, stretched, widest
from tracejit.trace.sizes import Dynamic, integer_of, sized_view
from tracejit.trace.tracer import PYTHON_DTYPES, Tracer, as_tracer, current_trace, nest_node, python_const, wrap
from tracejit.trace.values import concrete, known
from tracejit.trace.views import Reshape, Slice, is_value, restride

_INVALID = ("only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean arrays are "
            "valid indices")


# ---------------------------------------------------------------- what an index is made of
class Positions:
    """Integer positions along one axis: an int64 node, already wrapped and checked."""

    __slots__ = ("node",)

    def __init__(self, node):
        self.node = node


def parse(x, index):
    """Return the entries of an index, one per axis or new axis: ints, slices, None, Positions, or one traced mask.

    The ellipsis is spelled out as full slices; static masks have become Positions.
    """
    entries = list(index) if type(index) is tuple else [index]
    entries = [_entry(e) for e in entries]
    used = sum(e.ndim if _is_mask(e) else 0 if e is None or e is Ellipsis else 1 for e in entries)
    if sum(e is Ellipsis for e in entries) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if used > x.ndim:
        raise IndexError(f"too many indices for array: array is {x.ndim}-dimensional, but {used} were indexed")
    rest = [slice(None)] * (x.ndim - used)
    place = next((k for k, e in enumerate(entries) if e is Ellipsis), None)
    # an ellipsis separates advanced indices even where it stands for no axis
    groups = entries + rest if place is None else entries[:place] + (rest or [_NOTHING]) + entries[place + 1:]
    out, axis = [], 0
    for e in groups:
        if e is None or e is _NOTHING:
            out.append(e)
        elif isinstance(e, slice):
            out.append(e)
            axis += 1
        elif _is_mask(e):
            out += _mask_entries(x, e, axis)
            axis += e.ndim
        else:
            out.append(_position(e, axis, x.type.shape[axis]))
            axis += 1
    return out


_NOTHING = object()


def _is_mask(e):
    return isinstance(e, Tracer) and e.dtype == BOOL


def _entry(e):
    """Return one item of an index as int, slice, None, Ellipsis, or a Tracer of integers or bools."""
    if e is None or e is Ellipsis:
        return e
    if isinstance(e, slice):
        bounds = [None if s is None else integer_of(s, _BOUND, _BOUND_REMEDY) for s in (e.start, e.stop)]
        return slice(*bounds, None if e.step is None else _static_int(e.step))
    if isinstance(e, (list, tuple)):
        node = nest_node(e)
        e = wrap(cast(node, I64) if 0 in node.shape and node.dtype.kind == "f" else node)
    if isinstance(e, (Tracer, np.ndarray)) or hasattr(type(e), "__tracejit_array__"):
        e = as_tracer(e)
        if e.dtype.kind in "iu" and e.ndim == 0:
            value = known(e)
            return e if value is None else int(value)
        if e.dtype.kind in "iub":
            return e
        if e.size or e.ndim == 0:
            raise IndexError(_INVALID if e.ndim == 0 else "arrays used as indices must be of integer (or boolean) type")
        raise IndexError("arrays used as indices must be of integer (or boolean) type")
    try:
        return operator.index(e)
    except TypeError:
        raise IndexError(_INVALID) from None


_BOUND = "a slice with the bound"
_BOUND_REMEDY = "index with start + np.arange(size), mask with np.where, or declare the bound as a static argument"


def _static_int(s):
    if isinstance(s, Tracer):
        s = concrete(s, "a slice with the step", _BOUND_REMEDY)[()]
    return operator.index(s)


def _position(e, axis, size):
    """Return an integer entry as a non-negative int or as Positions, checked against the size of its axis."""
    if type(e) is int and type(size) is not int:
        e = wrap(const(e, I64))
    elif type(e) is int:
        if not -size <= e < size:
            raise IndexError(f"index {e} is out of bounds for axis {axis} with size {size}")
        return e % size
    node = cast(e.node, I64)
    if node.ndim == 0 and _is_inside(node, size):
        return Positions(node)
    value = known(e) if type(size) is int else None
    if value is not None:
        value = value.astype(np.int64)
        outside = (value < -size) | (value >= size)
        if outside.any():
            raise IndexError(f"index {value[outside].flat[0]} is out of bounds for axis {axis} with size {size}")
        return Positions(const(np.where(value < 0, value + size, value)) if value.size <= 64 else _wrapped(node, size))
    if 0 in node.shape:
        return Positions(node)
    if node.ndim == 0 and dims.interval(node)[0] >= 0:
        return Positions(ops.check(node, ops.less(node, _everywhere(size, node)), error="index", detail=(axis, size)))
    fine = ops.bitwise_and(ops.greater_equal(node, _everywhere(dims.minus(0, size), node)),
                           ops.less(node, _everywhere(size, node)))
    return Positions(_wrapped(ops.check(node, fine, error="index", detail=(axis, size)), size))


def _wrapped(node, size):
    return select(ops.less(node, zeros(node.type)), node + _everywhere(size, node), node)


def _everywhere(n, node):
    """Return a size as an array of the shape of `node`."""
    return full_like(n, node) if type(n) is int else broadcast(n, node.shape, ())


def _is_inside(node, size):
    """Return whether a position is known to lie within an axis, counted from its beginning."""
    return dims.interval(node)[0] >= 0 and dims.interval(dims.minus(node, size))[1] < 0


def _mask_entries(x, mask, axis):
    """Return Positions along the axes that a mask covers; their number is asked for where the mask is traced."""
    for k, n in enumerate(mask.shape):
        if n != x.shape[axis + k] and n != 0:  # NumPy takes an empty mask for an axis of any size
            raise IndexError(f"boolean index did not match indexed array along axis {axis + k}; size of axis is "
                             f"{x.shape[axis + k]} but size of corresponding boolean axis is {n}")
    value = np.zeros(mask.shape, bool) if 0 in mask.type.shape else known(mask)
    if value is None:
        return [Positions(p) for p in coordinates(positions(mask.node), mask.shape)]
    return [Positions(const(p)) for p in np.nonzero(value)]


def _without_single_bools(x, index):
    """Return (x, index) where a single bool has become an axis of length 1 or 0, as NumPy reads it."""
    entries = index if type(index) is tuple else (index,)
    single = [isinstance(e, (bool, np.bool_)) or isinstance(e, (Tracer, np.ndarray)) and e.dtype == BOOL and e.ndim == 0
              for e in entries]
    if not any(single):
        return x, index
    if is_value(x):
        x = wrap(x.node)
    around, rest = [], []
    for e, alone in zip(entries, single):
        if alone:
            holds = bool(concrete(as_tracer(e), "a bool used as an index"))
            around.append(None)
            rest.append(as_tracer(np.zeros(int(holds), np.int64)))
        else:
            rest.append(e)
            if e is not None:
                mask = isinstance(e, (Tracer, np.ndarray)) and e.dtype == BOOL
                around += [e] if e is Ellipsis else [slice(None)] * (e.ndim if mask else 1)
    return basic_view(x, parse(x, tuple(around))), tuple(rest)


# ---------------------------------------------------------------- basic indexing: views
def basic_view(x, entries):
    """Return the view that ints, slices, None and single run-time positions make; errors are NumPy's."""
    if not x.type.is_static or any(isinstance(e, slice) and _has_dims(e) for e in entries):
        return sized_view(x, [e.node if isinstance(e, Positions) else e for e in entries if e is not _NOTHING])
    static = tuple(0 if isinstance(e, Positions) else e for e in entries if e is not _NOTHING)
    if any(isinstance(e, Positions) for e in entries):
        x, static = _moving(x, [e for e in entries if e is not _NOTHING])
    shadow = x.shadow[(*static, ...)]
    start, step, sizes, axis = [], [], [], 0
    for e in static:
        if e is None:
            continue
        n = x.shape[axis]
        if isinstance(e, slice):
            a, b, s = e.indices(n)
            size = len(range(a, b, s))
            start.append(a if size else 0)
            step.append(s if size else 1)
            sizes.append(size)
        else:
            start.append(e)
            step.append(1)
            sizes.append(1)
        axis += 1
    sizes = tuple(sizes)
    sliced = x.derive(Slice(tuple(start), tuple(step), sizes), shadow)
    return sliced if sizes == shadow.shape else sliced.derive(Reshape(shadow.shape), shadow)


def _has_dims(s):
    return isinstance(s.start, Node) or isinstance(s.stop, Node)


def _moving(x, entries):
    """Return (the view at the run-time positions, with axes of length 1 there; entries for the rest)."""
    starts, sizes, rest, axis = [], [], [], 0
    for e in entries:
        if e is None:
            rest.append(e)
            continue
        moving = isinstance(e, Positions)
        starts.append(e.node if moving else const(0, I64))
        sizes.append(1 if moving else x.shape[axis])
        rest.append(0 if moving else e)
        axis += 1
    shadow = restride(x.shadow, tuple(sizes), x.shadow.strides)
    return x.derive(Dynamic(tuple(starts), tuple(sizes)), shadow), tuple(rest)


def _is_basic(entries):
    return all(not isinstance(e, Positions) or e.node.ndim == 0 for e in entries)


def _all_ints(entries, ndim):
    """Return whether every axis is indexed by a single position, so that NumPy gives a scalar."""
    return all(type(e) is int or isinstance(e, Positions) for e in entries)


# ---------------------------------------------------------------- advanced indexing: gather and scatter
class Advanced:
    """An index with arrays: the basic part as a view, and how gathered axes lie in the result."""

    def __init__(self, x, entries):
        first_axes, positions, places = [], [], []
        for k, e in enumerate(entries):
            if type(e) is int or isinstance(e, Positions):
                places.append(k)
                positions.append(const(e, I64) if type(e) is int else e.node)
                first_axes.append(slice(None))
            elif e is not _NOTHING:
                first_axes.append(e)
        self.view = basic_view(x, first_axes)
        kept = [k for k, e in enumerate(entries) if e is not _NOTHING]
        axes = [kept.index(k) for k in places]
        if not all(map(is_known, (p.shape for p in positions))) and all(p.ndim <= 1 for p in positions):
            size = widest([p.shape[0] for p in positions if p.ndim])
            positions = [stretched(p, size, "indexed") if p.ndim else p for p in positions]
        try:
            self.shape = broadcast_shapes([p.shape for p in positions])
        except DimError:
            shapes = " ".join(str(p.shape).replace(" ", "") for p in positions)
            raise IndexError("shape mismatch: indexing arrays could not be broadcast together with shapes "
                             f"{shapes} ") from None
        self.positions = [spread(p, self.shape) for p in positions]
        adjacent = places == list(range(places[0], places[0] + len(places)))
        rest = [a for a in range(self.view.ndim) if a not in axes]
        self.front = axes + rest          # the gathered axes of the view come first
        place, depth = (axes[0] if adjacent else 0), len(self.shape)
        # axis of (gathered..., rest...) that each axis of the result is
        self.order = [*range(depth, depth + place), *range(depth), *range(depth + place, depth + len(rest))]

    def read(self):
        """Return the gathered elements as a node."""
        return transpose(gather(transpose(self.view.node, self.front), *self.positions), self.order)

    def layout(self):
        """Return an array laid out in memory as NumPy lays out what is read, None for C order.

        The order of its axes is that of a small array whose strides compare as these do, which NumPy is asked to index.
        """
        shape = self.result_shape()
        if not (self.view.type.is_static and is_known(shape)):
            return None
        small = lambda shape: [2 if n > 1 else 1 for n in shape]
        x = self.view.shadow.transpose(self.front)
        first = (np.zeros(small(self.shape), np.int64),) * len(self.positions)
        strides = _sample(small(x.shape), x.strides)[first].transpose(self.order).strides
        order = sorted(range(len(shape)), key=lambda a: -abs(strides[a]))
        if order == sorted(order):
            return None
        return np.empty([shape[a] for a in order], self.view.dtype).transpose(np.argsort(order))

    def result_shape(self):
        """Return the shape that reading gives."""
        rest = [self.view.type.shape[a] for a in self.front[len(self.positions):]]
        out = [*self.shape, *rest]
        return tuple(out[a] for a in self.order)

    def write(self, value, scatter=scatter_set):
        """Scatter a node of the result's shape into the array."""
        moved = transpose(value, np.argsort(self.order))
        out = scatter(transpose(self.view.node, self.front), moved, *self.positions)
        self.view._write(transpose(out, np.argsort(self.front)))


def _sample(shape, strides):
    """Return an array of bytes with memory of its own, whose strides compare as `strides` do, in size and sign."""
    lengths = sorted({0, *map(abs, strides)})
    steps = [lengths.index(abs(s)) * (1 if s >= 0 else -1) for s in strides]
    before, behind = (sum(max(sign * s, 0) * (n - 1) for s, n in zip(steps, shape)) for sign in (-1, 1))
    return np.lib.stride_tricks.as_strided(np.zeros(before + behind + 1, np.int8)[before:], shape, steps)


# ---------------------------------------------------------------- the two operations
def getitem(x, index):
    """Return ``x[index]``: a view where NumPy gives one, a scalar where every axis has one position, else a copy."""
    if x.weak:
        raise TypeError(f"'{x.python_type.__name__}' object is not subscriptable")
    x, index = _without_single_bools(x, index)
    if is_value(x):
        return _scalar_item(x, index)
    mask = _traced_mask(x, index)
    behind = None if mask is None else _behind_mask(x, mask)
    if behind is not None:
        target, axis = behind
        return Selection(wrap(target.node), mask[0].node, axis)
    entries = parse(x, index)
    if not _is_basic(entries):
        found = Advanced(x, entries)
        return wrap(found.read(), layout=found.layout(), like=[x])
    out = basic_view(x, entries)
    whole = Ellipsis in _items(index) if x.ndim else index is Ellipsis or Ellipsis in _items(index)
    if _all_ints(entries, x.ndim) and not whole:
        return wrap(out.node, scalar=True)
    return out


def _items(index):
    return [e for e in (index if type(index) is tuple else (index,)) if e is Ellipsis]


def _scalar_item(x, index):
    if index == ():
        return x
    if type(index) is tuple and all(e is None or e is Ellipsis for e in index) or index is None or index is Ellipsis:
        shape = (1,) * sum(e is None for e in (index if type(index) is tuple else (index,)))
        return wrap(reshape(x.node, shape))
    raise IndexError("invalid index to scalar variable.")


def setitem(x, index, value):
    """Do ``x[index] = value``; of several values for one place the last wins."""
    if x.scalar or x.weak:
        name = f"numpy.{x.dtype.type.__name__}" if x.scalar else x.python_type.__name__
        raise TypeError(f"'{name}' object does not support item assignment")
    if x.is_readonly():
        raise ValueError("assignment destination is read-only")
    x, index = _without_single_bools(x, index)
    mask = _traced_mask(x, index)
    if mask is not None and _write_masked(x, mask, value):
        return
    entries = parse(x, index)
    if _is_basic(entries):
        target = basic_view(x, entries)
        target._write(fitted(value, target.type.shape, x.dtype))
    else:
        target = Advanced(x, entries)
        target.write(fitted(value, target.result_shape(), x.dtype))


def scatter_at(x, index, value, scatter):
    """Do ``ufunc.at(x, index, value)``, repeated places counting again, for the ufunc of the op `scatter`.

    Returns the view where the index names no place twice, for an ordinary update; None where the work is done.
    """
    entries = parse(x, index)
    if _is_basic(entries):
        return basic_view(x, entries)
    target = Advanced(x, entries)
    target.write(fitted(value, target.result_shape(), x.dtype), scatter)
    return None


def fitted(value, shape, dtype):
    """Return a value to be assigned as a node of this shape and dtype; NumPy drops leading axes of length 1."""
    if type(value) in PYTHON_DTYPES:
        return broadcast_to(python_const(value, dtype), shape)
    if isinstance(value, (str, bytes)):
        return broadcast_to(const(np.array(value).astype(dtype)), shape)
    value = as_tracer(value)
    node = value.node
    if value.weak and node.dtype.kind == "i":
        node = integer_as(node, dtype)
    while node.ndim > len(shape) and (node.shape[0] == 1 or isinstance(node.shape[0], Node)):
        node = node if node.shape[0] == 1 else resized(node, 0, 1, "assigned")
        node = reshape(node, node.shape[1:])
    fits = node.ndim <= len(shape) and all(
        n in (1, m) or isinstance(n, Node) or isinstance(m, Node) and n != 1
        for n, m in zip(reversed(node.shape), reversed(shape)))
    if not fits:
        raise DimError(f"could not broadcast input array from shape {shown(node.shape)} into shape {shown(shape)}",
                       where=user_frame(), do="assign an array of the shape on the left, or one that broadcasts to it")
    if node.dtype.kind == "c" and dtype.kind != "c" and dtype != BOOL:
        current_trace().notice(DISCARDED, np.exceptions.ComplexWarning)
        node = ops.real(node)
    return spread(cast(node, dtype), shape, "assigned")


# ---------------------------------------------------------------- writes through a traced mask
def _traced_mask(x, index):
    """Return a mask that is known only at run time where it is alone among slices, else None."""
    entries = index if type(index) is tuple else (index,)
    masks = [e for e in entries if isinstance(e, (Tracer, np.ndarray)) and e.dtype == BOOL]
    if not masks:
        return None
    mask = as_tracer(masks[0])
    if 0 in mask.type.shape or known(mask) is not None:
        return None
    others = [e for e in entries if e is not masks[0]]
    if len(masks) > 1 or any(not (e is Ellipsis or isinstance(e, slice)) for e in others):
        return None
    return mask, [masks[0] is e for e in entries].index(True), entries


def _behind_mask(x, found):
    """Return (the view that the slices beside the mask make, the first of the mask's axes in it); None where a mask of
    unknown size has no elements in this call, which NumPy takes for an axis of any size.
    """
    mask, place, entries = found
    before, after = list(entries[:place]), list(entries[place + 1:])
    if Ellipsis in before:
        lead = x.ndim - mask.ndim - len(after)
        before = [e for e in before if e is not Ellipsis]
        before = before + [slice(None)] * (lead - len(before))
    target = basic_view(x, parse(x, (*before, *[slice(None)] * mask.ndim, *after)))
    axis = len(before)
    for k, n in enumerate(mask.shape):
        if axis + k >= x.ndim:
            raise IndexError(f"too many indices for array: array is {x.ndim}-dimensional, but {axis + mask.ndim} were "
                             "indexed")
        if n != x.shape[axis + k]:
            if n == 0:
                return None
            raise IndexError(f"boolean index did not match indexed array along axis {axis + k}; size of axis is "
                             f"{x.shape[axis + k]} but size of corresponding boolean axis is {n}")
    return target, axis


def _write_masked(x, found, value):
    """Do ``x[..., mask, ...] = value`` as a choice for every element; returns whether that can be done."""
    mask = found[0]
    behind = _behind_mask(x, found)
    if behind is None:
        return False
    target, axis = behind
    node = target.node
    spread = broadcast(mask.node, node.shape, range(axis, axis + mask.ndim))
    new = _masked_value(value, mask, node, axis, x.dtype)
    if new is None:
        return False
    target._write(select(spread, new, node))
    return True


def _masked_value(value, mask, node, axis, dtype):
    """Return what the mask's places get, in the shape of the whole: broadcast, or one row after another in C order.

    None where they have to be counted: other axes come before those of the mask, or there is no value at all.
    """
    rest_before, rest_after = node.shape[:axis], node.shape[axis + mask.ndim:]
    if type(value) in PYTHON_DTYPES:
        return broadcast_to(python_const(value, dtype), node.shape)
    if isinstance(value, Selection) and value.matches(mask.node, axis, node.shape):
        return fitted(value.whole, node.shape, dtype)
    value = as_tracer(value)
    if value.ndim == 0:
        return fitted(value, node.shape, dtype)
    source = value.node
    own = len(rest_after) + 1  # axes of the value from the masked one on
    if source.ndim < own or source.shape[source.ndim - own] == 1:
        if source.ndim >= own:
            lead = source.ndim - own
            source = reshape(source, [*source.shape[:lead], *[1] * mask.ndim, *source.shape[lead + 1:]])
        return fitted(wrap(source), node.shape, dtype)
    count = source.shape[0]
    if rest_before or count == 0:
        return None
    flat = reshape(cast(mask.node, I64), (mask.type.size,))
    order = cumsum(flat, axis=0, reverse=False) - 1
    total = reduce_sum(flat, axes=(0,))
    fine = ops.equal(total, dim(count))
    checked = ops.check(total, fine, error="mask_count", detail=(count,))
    # no place of the mask comes after the last, so this bound changes nothing and makes the check count
    order = ops.minimum(order, broadcast(checked - 1, order.shape, ()))
    order = ops.minimum(ops.maximum(order, zeros(order.type)), _everywhere(dims.minus(count, 1), order))
    rows = gather(source, reshape(order, mask.shape))
    return fitted(wrap(rows), node.shape, dtype)

