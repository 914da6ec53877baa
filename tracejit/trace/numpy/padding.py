"""Borders around arrays."""


import numpy as np

from tracejit.symbolic.ops import scalar as ops
from tracejit.symbolic.ops.shape import broadcast, broadcast_to, slice_
from tracejit.symbolic.ops.shape import concatenate as join
from tracejit.trace.numpy.borrowed import twin
from tracejit.trace.numpy.common import known, literal, static
from tracejit.trace.numpy.joining import concatenate
from tracejit.trace.numpy.mapping import mapped
from tracejit.trace.numpy.registry import implements
from tracejit.trace.tracer import as_tracer, wrap


def _pairs(value, ndim, what):
    """Return one (before, after) pair per axis of a `pad` argument, which must be known."""
    if isinstance(value, dict):
        pairs = np.zeros((ndim, 2), int)
        for axis, width in value.items():
            pairs[axis] = width
        return pairs.tolist()
    plain = static(value, what, np.pad)
    pairs = np.broadcast_to(np.asarray(plain), (ndim, 2))
    if what == "pad_width":
        if not np.issubdtype(pairs.dtype, np.integer):
            raise TypeError("`pad_width` must be of integral type.")
        if pairs.size and pairs.min() < 0:
            raise ValueError("index can't contain negative values")
    return pairs.tolist()


#: Options each mode takes, as NumPy lists them.
_PAD_OPTIONS = {"constant": {"constant_values"}, "empty": set(), "edge": set(), "wrap": set(),
                "linear_ramp": {"end_values"}, "reflect": {"reflect_type"}, "symmetric": {"reflect_type"},
                "maximum": {"stat_length"}, "minimum": {"stat_length"}, "mean": {"stat_length"},
                "median": {"stat_length"}}


@implements(np.pad)
def pad(array, pad_width, mode="constant", **kwargs):
    """Return an array with borders around it."""
    x = as_tracer(array)
    if callable(mode):
        return _pad_by_function(x, _pairs(pad_width, x.ndim, "pad_width"), mode, kwargs)
    if mode not in _PAD_OPTIONS:
        raise ValueError(f"mode '{mode}' is not supported")
    extra = set(kwargs) - _PAD_OPTIONS[mode]
    if extra:
        raise ValueError(f"unsupported keyword arguments for mode '{mode}': {extra}")
    if kwargs.get("reflect_type", "even") != "even":
        return twin(np.pad)(x, _pairs(pad_width, x.ndim, "pad_width"), mode, **kwargs)
    widths = _pairs(pad_width, x.ndim, "pad_width")
    if x.ndim == 0:
        return wrap(x.node)
    if mode == "constant":
        return _pad_constant(x, widths, kwargs.get("constant_values", 0))
    if mode == "empty":
        return _pad_constant(x, widths, 0)
    if mode in ("edge", "wrap", "reflect", "symmetric"):
        return _pad_by_position(x, widths, mode)
    if mode == "linear_ramp":
        return _pad_ramp(x, widths, _pairs(kwargs.get("end_values", 0), x.ndim, "end_values"))
    return _pad_statistic(x, widths, mode, kwargs.get("stat_length"))


def _pad_by_function(x, widths, function, options):
    """Let a function of vectors write the borders, along one axis after the other."""
    out = _pad_constant(x, widths, 0)
    for axis, width in enumerate(widths):
        moved = np.moveaxis(out, axis, -1)

        def border(vector, width=tuple(width), axis=axis):
            function(vector, width, axis, options)
            return vector
        (rows,), _ = mapped(border, [moved.reshape(-1, moved.shape[-1])], lambda row: row.copy())
        out = np.moveaxis(rows.reshape(moved.shape), -1, axis)
    return out


def _pad_constant(x, widths, values):
    node = x.node
    plain = known(values)
    if plain is not None:
        borders = [[literal(v) for v in pair] for pair in np.broadcast_to(plain, (x.ndim, 2))]
    else:
        grid = np.broadcast_to(as_tracer(values), (x.ndim, 2))
        borders = [[grid[a, 0], grid[a, 1]] for a in range(x.ndim)]
    for axis, ((before, after), (low, high)) in enumerate(zip(widths, borders)):
        parts = []
        for width, value in ((before, low), (None, None), (after, high)):
            if width is None:
                parts.append(node)
            elif width:
                shape = [*node.shape[:axis], width, *node.shape[axis + 1:]]
                parts.append(broadcast(ops.cast(value.node, x.dtype), shape, ()))
        node = join(parts, axis)
    return wrap(node) if node is not x.node else x.copy()


def _pad_by_position(x, widths, mode):
    """Modes that repeat elements: the positions come from NumPy, padding the plain indices."""
    out = x
    for axis, (before, after) in enumerate(widths):
        if not (before or after):
            continue
        order = np.pad(np.arange(x.shape[axis]), (before, after), mode)  # raises for an empty axis as NumPy does
        out = pieces(out, order, axis)
    return out if out is not x else x.copy()


def pieces(x, order, axis):
    """Return ``x.take(order, axis)`` for known positions, as a few slices where they are few runs, else a gather."""
    runs, begin = [], 0
    for i in range(1, len(order) + 1):
        if i - begin >= 2 and i < len(order) and order[i] - order[i - 1] == order[begin + 1] - order[begin]:
            continue
        if i < len(order) and i - begin == 1 and abs(order[i] - order[begin]) <= 1:
            continue
        runs.append((begin, i))
        begin = i
    if len(runs) > 8 or len(order) == 0:
        return np.take(x, literal(order), axis)
    parts = []
    for begin, end in runs:
        first, n = int(order[begin]), end - begin
        step = int(order[begin + 1] - order[begin]) if n > 1 else 1
        start, by, sizes = [0] * x.ndim, [1] * x.ndim, list(x.shape)
        if step == 0:
            start[axis], sizes[axis] = first, 1
            shape = [*x.shape[:axis], n, *x.shape[axis + 1:]]
            parts.append(broadcast_to(slice_(x.node, start, by, sizes), shape))
            continue
        start[axis], by[axis], sizes[axis] = first, step, n
        parts.append(slice_(x.node, start, by, sizes))
    return wrap(join(parts, axis))


def _pad_ramp(x, widths, ends):
    for axis, ((before, after), (low, high)) in enumerate(zip(widths, ends)):
        parts = [x]
        if before:
            parts.insert(0, _ramp(low, x, 0, axis, before))
        if after:
            parts.append(np.flip(_ramp(high, x, x.shape[axis] - 1, axis, after), axis))
        x = concatenate(parts, axis)
    return x


def _ramp(end, x, edge, axis, width):
    """Return `width` slices that lead from a value to one slice of `x`, without that one."""
    inner = x[(slice(None),) * axis + (edge,)]
    return np.linspace(as_tracer(end), inner, width, endpoint=False, dtype=x.dtype, axis=axis)


def _pad_statistic(x, widths, mode, lengths):
    fold = getattr(np, {"maximum": "max", "minimum": "min"}.get(mode, mode))
    lengths = [[None, None]] * x.ndim if lengths is None else _pairs(lengths, x.ndim, "stat_length")
    out = x
    for axis, ((before, after), (left, right)) in enumerate(zip(widths, lengths)):
        n, parts = out.shape[axis], [out]
        if before:
            parts.insert(0, _border(fold, out, axis, before, 0, n if left is None else min(left, n)))
        if after:
            parts.append(_border(fold, out, axis, after, 0 if right is None else max(n - right, 0), n))
        out = concatenate(parts, axis)
    return out if out is not x else x.copy()


def _border(fold, x, axis, width, begin, end):
    """Return `width` slices that hold a statistic of the slices from `begin` to `end`."""
    value = fold(x[(slice(None),) * axis + (slice(begin, end),)], axis=axis, keepdims=True)
    if value.dtype.kind == "f" and x.dtype.kind in "iu":
        value = np.round(value)
    shape = [*x.shape[:axis], width, *x.shape[axis + 1:]]
    return wrap(broadcast_to(ops.cast(value.node, x.dtype), shape))
