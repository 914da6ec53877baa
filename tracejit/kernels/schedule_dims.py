"""Loops whose extents are known at run time: the plain forms of what `schedule` does with numbers.

Where a choice needs a number (is this worth several threads, which axis is long) an extent counts as its bound, at most
`LARGE`; loops that may be long are parallel with a grain, below which they run in place.
"""

import math

from tracejit.kernels.loop_ir import Alloc, Combine, For, Let, Store, integer
from tracejit.kernels.lower import accesses
from tracejit.kernels.schedule import (
    BLOCK,
    PARALLEL_NS,
    SHORT,
    UNITS,
    Scheduler,
    _add_to,
    _as,
    _lane_dtype,
    _nested,
    _neutral,
    _value_of,
    element_cost,
)
from tracejit.symbolic.ir import OPS, Node, make

#: Elements that an axis may have, for all we know.
LARGE = 4096


def _guess(axis):
    if type(axis.extent) is int:
        return axis.extent
    return LARGE if axis.most is None else min(LARGE, axis.most)


def _op(name, x, y):
    return make(OPS[name], (integer(x), integer(y)), ())


class DimScheduler(Scheduler):
    """Turns one nest with extents known at run time into the body of a kernel."""

    def __init__(self, nest, name):
        super().__init__(nest, name, math.prod(_guess(a) for a in nest.axes))

    # ---------------------------------------------------------------- elementwise
    def _elementwise(self, axes):
        inner = [Store(o.buffer, o.offset, o.value) for o in self.stores]
        *outer, last = self._innermost(axes)
        if type(last.extent) is int and last.extent <= SHORT and outer and isinstance(outer[-1].extent, Node):
            inner = [For(last.index, integer(0), integer(last.extent), inner)]
            last = outer.pop()
        row = [For(last.index, integer(0), integer(last.extent), inner, "simd")]
        if not self.parallel:
            return _nested(outer, row)
        each = element_cost(self.nest.outputs)
        if not outer:
            row[0].kind, row[0].grain = "parallel simd", max(64, int(PARALLEL_NS / each) // 64 * 64)
            return row
        return self._units(outer, row, each * _guess(last))

    def _innermost(self, axes):
        """Put the axis along which most bytes lie contiguous last."""
        forms, _ = accesses(self.nest.outputs, self.nest.indices)
        score = lambda a: sum(size for size, f in forms if self._step(f, a) == 1)
        best = max(reversed(axes), key=score)
        if score(best) <= score(axes[-1]):
            return axes
        return [*[a for a in axes if a is not best], best]

    @staticmethod
    def _step(form, axis):
        """Return the distance of neighbours along an axis in elements, as far as it is a number."""
        stride = form.stride(axis.index)
        return stride.constant if not stride.terms else None

    def _units(self, loops, inner, ns):
        """Return the first loops, as many as make enough units, as one parallel loop; a unit of the last takes `ns`."""
        count, taken = 1, 0
        while taken < len(loops) and count < UNITS:
            count *= _guess(loops[taken])
            taken += 1
        ns *= math.prod(_guess(a) for a in loops[taken:])
        inner, loops = _nested(loops[taken:], inner), loops[:taken]
        grain = max(1, int(PARALLEL_NS / ns))
        if len(loops) == 1:
            return [For(loops[0].index, integer(0), integer(loops[0].extent), inner, "parallel", grain=grain)]
        units = loops[0].extent
        for axis in loops[1:]:
            units = _op("multiply", units, axis.extent)
        flat = self._fresh(units)
        rest, lets = flat, []
        for axis in reversed(loops[1:]):
            lets.append(Let(axis.index, _op("fmod", rest, axis.extent)))
            rest = _op("quotient", rest, axis.extent)
        lets.append(Let(loops[0].index, rest))
        return [For(flat, integer(0), integer(units), lets + inner, "parallel", grain=grain)]

    # ---------------------------------------------------------------- reductions
    def _ordered(self, axes):
        """Put the axis along which most bytes lie contiguous, or stay, last; the others keep their order."""
        forms, _ = accesses(self.nest.outputs, self.nest.indices)
        forms = forms[len(self.nest.outputs):] + [
            (o.buffer.dtype.itemsize, self.nest.indices.affine(o.offset)) for o in self.stores]
        best, best_score = axes[-1], -1
        for axis in reversed(axes):
            score = sum(size for size, f in forms if self._step(f, axis) in (0, 1))
            if _guess(axis) >= SHORT and score > best_score:
                best, best_score = axis, score
        rest = [a for a in axes if a is not best]
        return [*[a for a in rest if not a.reduced], *[a for a in rest if a.reduced], best]

    def _reduction(self, axes):
        kept = [a for a in axes if not a.reduced]
        reduced = [a for a in axes if a.reduced]
        cut = reduced[0]
        finals = [self._final(o) for o in self.folds]
        each = element_cost(self.nest.outputs)
        if not axes[-1].reduced:
            *outer, last = kept
            if type(last.extent) is int and last.extent <= BLOCK:
                whole = integer(0), integer(cut.extent)
                body = self._rows(kept, reduced, whole, integer(0), integer(last.extent), finals)
                ns = each * math.prod(_guess(a) for a in (*reduced, last))
                return self._units(outer, body, ns) if self.parallel and outer else _nested(outer, body)
            blocks = _op("quotient", _op("add", last.extent, BLOCK - 1), BLOCK)
            block = self._fresh(blocks)
            begin = block * integer(BLOCK)
            end = _op("minimum", begin + integer(BLOCK), last.extent)
            body = self._rows(kept, reduced, (integer(0), integer(cut.extent)), begin, end, finals)
            loops = [*outer, _Block(block, blocks)]
            ns = each * math.prod(_guess(a) for a in reduced) * BLOCK
            return self._units(loops, body, ns) if self.parallel else _nested(loops, body)
        body = self._lanes_by_blocks(reduced, finals)
        if self.parallel and kept:
            return self._units(kept, body, each * math.prod(_guess(a) for a in reduced))
        return _nested(kept, body)

    def _lanes_by_blocks(self, reduced, finals):
        """Fold over `reduced`, the last of which runs contiguously: block by block into lanes, and into the total."""
        *outer, last = reduced
        width = self._lane_count()
        if type(last.extent) is int and last.extent < width:
            return self._plain(reduced, (integer(0), integer(reduced[0].extent)), finals)
        totals = [self._total(o) for o in self.folds]
        lanes = [self._local(_lane_dtype(o), width) for o in self.folds]
        start, step, lane, late = (self._fresh(n) for n in (last.extent, BLOCK, width, width))
        high = _op("minimum", start + integer(BLOCK), last.extent)
        whole = _op("multiply", _op("quotient", high - start, width), width)
        main = [For(lane, integer(0), integer(width), self._into(lanes, lane, last, start + step + lane), "simd")]
        rest = self._into(lanes, late, last, start + whole + late)
        inner = [For(start, integer(0), integer(last.extent), [
            *[Alloc(b, _neutral(o, b.dtype)) for o, b in zip(self.folds, lanes)],
            For(step, integer(0), whole, main, step=width),
            For(late, integer(0), high - start - whole, rest, "simd"),
            *[Combine(b, width, o.fold) for o, b in zip(self.folds, lanes)],
            *[_add_to(t, _as(b.load(integer(0)), t.dtype), o.fold) for o, t, b in zip(self.folds, totals, lanes)],
        ], step=BLOCK)]
        return [
            *[Alloc(t, _neutral(o, t.dtype)) for o, t in zip(self.folds, totals)],
            *_nested(outer, inner),
            *[f(_value_of(b, o.fold)) for f, b, o in zip(finals, totals, self.folds)],
        ]


class _Block:
    """A loop of our own making, beside the axes of a nest."""

    def __init__(self, variable, extent):
        self.index, self.extent, self.most = variable, extent, None
