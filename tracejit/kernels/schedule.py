"""From a nest to loops: their order, which is vectorised, which runs in parallel, how sums are accumulated.

Sums over a contiguous axis go into `lanes` (as many independent accumulators as keep the vector units busy) for a block
of elements; lanes are added as a balanced tree, and block sums in a wider type or with compensation. So the rounding
error does not grow with the length, and the result depends neither on the vector width nor on the number of threads.
"""

import math

from tracejit.kernels.fuse import op_cost
from tracejit.kernels.loop_ir import (
    COMPENSATED,
    Accumulate,
    Alloc,
    Buffer,
    Combine,
    For,
    Let,
    Store,
    index,
    index_op,
    integer,
    load_op,
)
from tracejit.kernels.lower import accesses
from tracejit.symbolic.graph import topological
from tracejit.symbolic.ir import OPS, const, make
from tracejit.symbolic.ops.reduce import identity
from tracejit.symbolic.types import C64, C128, F16, F32, F64

#: Elements of one block of a sum, and of one block of row accumulators.
BLOCK = 512
#: Estimated nanoseconds below which a loop is not worth waking other threads for.
PARALLEL_NS = 30_000
#: Pieces a long reduction is cut into: fixed, so that results do not depend on the threads.
CHUNKS = 32
#: Units of work that a parallel loop is divided into, at least where there are so many: threads come and go.
UNITS = 128
#: Loops shorter than this are not worth vectorising.
SHORT = 8


def element_cost(outputs):
    """Return the estimated nanoseconds per element of a nest's innermost loop, vectorised."""
    nodes = topological([o.value for o in outputs])
    work = sum(0.06 * op_cost(n.op) for n in nodes)
    moved = sum(0.03 * n.dtype.itemsize for n in nodes if n.op is load_op)
    return work + moved + sum(0.03 * o.buffer.dtype.itemsize for o in outputs if not o.fold) + 0.05


class Scheduler:
    """Turns one nest into the body of a kernel; `temporaries` are buffers it needs besides."""

    def __init__(self, nest, name, count=None):
        self.nest, self.name = nest, name
        self.temporaries, self._counter = [], 0
        self.folds = [o for o in nest.outputs if o.fold]
        self.stores = [o for o in nest.outputs if not o.fold]
        count = math.prod(a.extent for a in nest.axes) if count is None else count
        self.ns = element_cost(nest.outputs) * count

    def body(self):
        """Return the statements."""
        axes = self.nest.axes
        if not any(a.reduced for a in axes):
            self.stores, self.folds = self.nest.outputs, []
            return self._elementwise(axes)
        return self._reduction(self._ordered(axes))

    def _fresh(self, extent):
        self._counter += 1
        return index(f"k{self._counter}", extent)

    def _local(self, dtype, size):
        self._counter += 1
        return Buffer(f"a{self._counter}", dtype, size, "local")

    @property
    def parallel(self):
        """Whether the nest is worth more than one thread."""
        return self.ns > PARALLEL_NS and not any(
            n.op.name == "guard" for n in topological([o.value for o in self.nest.outputs])
        )

    # ---------------------------------------------------------------- elementwise
    def _elementwise(self, axes):
        inner = [Store(o.buffer, o.offset, o.value) for o in self.stores]
        if not axes:
            return inner
        tiled = self._tiled(axes, inner)
        if tiled is not None:
            return tiled
        *outer, last = axes
        simd = "simd"
        if last.extent <= SHORT and outer and outer[-1].extent > last.extent:
            # The compiler unrolls a short loop; the one around it is the one to vectorise.
            inner = [For(last.index, integer(0), integer(last.extent), inner)]
            last = outer.pop()
        return self._spread(outer, last, inner, simd)

    def _spread(self, outer, last, inner, kind):
        """Return loops over `outer` and a vector loop over `last`, in parallel where that pays."""
        count = math.prod(a.extent for a in outer)
        zero, end = integer(0), integer(last.extent)
        if not self.parallel:
            return _nested(outer, [For(last.index, zero, end, inner, kind)])
        if not outer:
            grain = max(64, int(PARALLEL_NS / 2 / (self.ns / last.extent)) // 64 * 64)
            return [For(last.index, zero, end, inner, f"parallel {kind}".strip(), grain=grain)]
        if count >= 8 or count >= last.extent:
            return self._flat(outer, [For(last.index, zero, end, inner, kind)])
        # Few long rows: blocks of the rows are the units.
        width = max(1024, -(-last.extent // 16) // 64 * 64)
        blocks = -(-last.extent // width)
        block = self._fresh(blocks)
        high = make(OPS["minimum"], ((block + integer(1)) * integer(width), end), ())
        row = For(last.index, block * integer(width), high, inner, kind)
        return [For(block, zero, integer(blocks), _nested(outer, [row]), "parallel")]

    def _flat(self, outer, inner):
        """Return one parallel loop over the outer axes together: as many of them as make enough units."""
        units, taken = 1, 0
        while taken < len(outer) and units < UNITS:
            units *= outer[taken].extent
            taken += 1
        inner = _nested(outer[taken:], inner)
        outer = outer[:taken]
        grain = max(1, int(PARALLEL_NS / 2 / (self.ns / units)))
        if len(outer) == 1:
            return [For(outer[0].index, integer(0), integer(outer[0].extent), inner, "parallel", grain=grain)]
        flat, lets = self._fresh(units), []
        rest = flat
        for axis in reversed(outer[1:]):
            lets.append(Let(axis.index, OPS["fmod"](rest, integer(axis.extent))))
            rest = OPS["quotient"](rest, integer(axis.extent))
        lets.append(Let(outer[0].index, rest))
        return [For(flat, integer(0), integer(units), lets + inner, "parallel", grain=grain)]

    def _tiled(self, axes, inner):
        """Return loops over square tiles where some array runs along another axis than the last, or None."""
        if len(axes) < 2 or axes[-1].extent < 16:
            return None
        forms, _ = accesses(self.nest.outputs, self.nest.indices)
        last = axes[-1]
        other = next(
            (
                a
                for a in reversed(axes[:-1])
                if a.extent >= 16 and any(f.factor(a.index) == 1 and f.factor(last.index) > 1 for _, f in forms)
            ),
            None,
        )
        if other is None or other.extent * last.extent < 4096:
            return None
        tile = 16 if max(size for size, _ in forms) > 4 else 32
        rest = [a for a in axes if a is not other and a is not last]
        blocks = [self._fresh(-(-a.extent // tile)) for a in (other, last)]
        for axis, block in ((last, blocks[1]), (other, blocks[0])):
            begin = block * integer(tile)
            end = integer(axis.extent) if axis.extent % tile == 0 else None
            end = (
                begin + integer(tile)
                if end is not None
                else make(OPS["minimum"], (begin + integer(tile), integer(axis.extent)), ())
            )
            inner = [For(axis.index, begin, end, inner, "simd" if axis is last else "serial")]
        body = [For(blocks[1], integer(0), integer(blocks[1].attrs[1]), inner)]
        loops = [*rest, _Loop(blocks[0], blocks[0].attrs[1])]
        if self.parallel:
            return self._flat(loops, body)
        return _nested(loops, body)

    # ---------------------------------------------------------------- reductions
    def _ordered(self, axes):
        """Put the axis along which most bytes lie contiguous, or stay, last; the others keep their order."""
        forms, _ = accesses(self.nest.outputs, self.nest.indices)
        # what a fold results in is stored once, not in each turn
        forms = forms[len(self.nest.outputs) :] + [
            (o.buffer.dtype.itemsize, self.nest.indices.affine(o.offset)) for o in self.stores
        ]
        best, best_score = axes[-1], -1
        for axis in reversed(axes):
            score = sum(size for size, f in forms if f.factor(axis.index) in (0, 1)) if axis.extent >= SHORT else -1
            if score > best_score:
                best, best_score = axis, score
        rest = [a for a in axes if a is not best]
        return [*[a for a in rest if not a.reduced], *[a for a in rest if a.reduced], best]

    def _reduction(self, axes):
        kept = [a for a in axes if not a.reduced]
        reduced = [a for a in axes if a.reduced]
        by_rows = not axes[-1].reduced
        make_body = self._rows if by_rows else self._lanes
        units = math.prod(a.extent for a in kept)
        cut = reduced[0]
        independent = -(-units // BLOCK) if by_rows else units
        if self.parallel and independent < 8 and cut.extent >= 16:
            return self._in_chunks(kept, reduced, make_body)
        whole = (integer(0), integer(cut.extent))
        finals = [self._final(o) for o in self.folds]
        if by_rows:
            return self._over_blocks(kept, lambda begin, end: make_body(kept, reduced, whole, begin, end, finals))
        inner = make_body(kept, reduced, whole, finals)
        if self.parallel and kept:
            return self._flat(kept, inner)
        return _nested(kept, inner)

    @staticmethod
    def _final(o):
        return lambda total: Store(o.buffer, o.offset, _as(total, o.buffer.dtype))

    def _in_chunks(self, kept, reduced, make_body):
        """Cut the outermost reduced axis into chunks, fold each in parallel, then fold the results."""
        cut = reduced[0]
        unit = BLOCK if len(reduced) == 1 and make_body == self._lanes else 1
        size = max(unit, -(-cut.extent // CHUNKS // unit) * unit)
        chunks = -(-cut.extent // size)
        chunk = self._fresh(chunks)
        begin = chunk * integer(size)
        end = make(OPS["minimum"], (begin + integer(size), integer(cut.extent)), ())
        units = math.prod(a.extent for a in kept)
        finals, after = [], []
        for o in self.folds:
            dtype = _total_dtype(o)
            partial = Buffer(f"{self.name}p{len(self.temporaries)}", dtype, chunks * units, "temp")
            self.temporaries.append(partial)
            place = _flat_place(kept)
            at = chunk * integer(units) + place
            finals.append(lambda total, b=partial, at=at: Store(b, at, _as(total, b.dtype)))
            after.append((o, partial, place))
        if make_body == self._rows:
            inner = self._over_blocks(
                kept, lambda low, high: make_body(kept, reduced, (begin, end), low, high, finals), serial=True
            )
        else:
            inner = _nested(kept, make_body(kept, reduced, (begin, end), finals))
        first = For(chunk, integer(0), integer(chunks), inner, "parallel")
        return [first, *self._fold_partials(kept, after, chunks, units)]

    def _fold_partials(self, kept, after, chunks, units):
        """Return the statements that fold the chunks' results, rows of `units` elements, into the nest's."""
        lanes = [self._local(partial.dtype, units) for _, partial, _ in after]
        chunk, unit = self._fresh(chunks), self._fresh(units)
        rows = [
            Accumulate(b, unit, partial.load(chunk * integer(units) + unit), o.fold)
            for b, (o, partial, _) in zip(lanes, after)
        ]
        ends = [Store(o.buffer, o.offset, _as(b.load(place), o.buffer.dtype)) for b, (o, _, place) in zip(lanes, after)]
        return [
            *[Alloc(b, _neutral(o, b.dtype)) for b, (o, _, _) in zip(lanes, after)],
            For(chunk, integer(0), integer(chunks), [For(unit, integer(0), integer(units), rows, "simd")]),
            *_nested(kept, ends),
        ]

    def _total(self, o):
        """Return the local buffer of a running total: two elements where it is compensated."""
        dtype = _total_dtype(o)
        return self._local(dtype, 2 if _compensated(o.fold, dtype) else 1)

    def _lanes(self, kept, reduced, bounds, finals):
        """Fold over `reduced`, the last of which runs contiguously, for one element of the kept axes."""
        *outer, last = reduced
        width = self._lane_count()
        if last.extent < width // 2 or last.extent < SHORT:
            return self._plain(reduced, bounds, finals)
        begin, end = bounds if not outer else (integer(0), integer(last.extent))
        tail = last.extent % width
        main = integer(last.extent - tail)
        single = not outer and last.extent <= BLOCK and bounds[1] is integer(last.extent)
        totals = [self._total(o) for o in self.folds]
        body = [] if single else [Alloc(t, _neutral(o, t.dtype)) for o, t in zip(self.folds, totals)]

        def block(low, high, with_tail):
            lanes = [self._local(_lane_dtype(o), width) for o in self.folds]
            out = [Alloc(b, _neutral(o, b.dtype)) for o, b in zip(self.folds, lanes)]
            lane = self._fresh(width)
            if not with_tail:
                start = self._fresh(last.extent)
                step = [For(lane, integer(0), integer(width), self._into(lanes, lane, last, start + lane), "simd")]
                out.append(For(start, low, high, step, step=width))
            else:
                out.append(For(lane, integer(0), integer(tail), self._into(lanes, lane, last, low + lane), "simd"))
            out += [Combine(b, width, o.fold) for o, b in zip(self.folds, lanes)]
            if not single:
                out += [
                    _add_to(t, _as(b.load(integer(0)), t.dtype), o.fold) for o, t, b in zip(self.folds, totals, lanes)
                ]
            return out, lanes

        if single:
            inner, results = self._main_and_tail(last, width, tail)
            body += inner
        else:
            # both parts, also where one is empty: so that sources of many sizes differ in numbers only
            results = totals
            start = self._fresh(last.extent)
            stop = (
                main
                if begin is integer(0) and end is integer(last.extent)
                else make(OPS["minimum"], (end, main), ())
            )
            high = make(OPS["minimum"], (start + integer(BLOCK), stop), ())
            inner = [For(start, begin, stop, block(start, high, False)[0], step=BLOCK)]
            statements = block(main, None, True)[0]
            present = integer(int(tail > 0))
            if tail and end is not integer(last.extent):
                # Only the chunk with the end of the axis has the tail.
                at_end = make(OPS["equal"], (end, integer(last.extent)), ())
                present = make(OPS["cast"], (at_end,), (integer(0).dtype,))
            inner.append(For(self._fresh(2), integer(0), present, statements))
            for axis in reversed(outer):
                low, high = bounds if axis is outer[0] else (integer(0), integer(axis.extent))
                inner = [For(axis.index, low, high, inner)]
            body += inner
        return body + [f(_value_of(b, o.fold)) for f, b, o in zip(finals, results, self.folds)]

    def _main_and_tail(self, last, width, tail):
        """Fold a single short row: whole steps, then the rest, into the same lanes."""
        lanes = [self._local(_lane_dtype(o), width) for o in self.folds]
        out = [Alloc(b, _neutral(o, b.dtype)) for o, b in zip(self.folds, lanes)]
        start, lane, late = self._fresh(last.extent), self._fresh(width), self._fresh(width)
        main = integer(last.extent - tail)
        step = [For(lane, integer(0), integer(width), self._into(lanes, lane, last, start + lane), "simd")]
        out.append(For(start, integer(0), main, step, step=width))
        out.append(For(late, integer(0), integer(tail), self._into(lanes, late, last, main + late), "simd"))
        return out + [Combine(b, width, o.fold) for o, b in zip(self.folds, lanes)], lanes

    def _into(self, lanes, lane, last, place):
        """Return the innermost statements: the stores of the nest, and each fold into its lane."""
        return [
            Let(last.index, place),
            *[Store(o.buffer, o.offset, o.value) for o in self.stores],
            *[Accumulate(b, lane, _as(o.value, b.dtype), o.fold) for o, b in zip(self.folds, lanes)],
        ]

    def _plain(self, reduced, bounds, finals):
        """Fold one element after the other: for a few elements."""
        totals = [self._local(_total_dtype(o), 1) for o in self.folds]
        inner = [
            *[Store(o.buffer, o.offset, o.value) for o in self.stores],
            *[Accumulate(t, integer(0), _as(o.value, t.dtype), o.fold) for o, t in zip(self.folds, totals)],
        ]
        for k, axis in reversed(list(enumerate(reduced))):
            low, high = bounds if k == 0 else (integer(0), integer(axis.extent))
            inner = [For(axis.index, low, high, inner)]
        return [
            *[Alloc(t, _neutral(o, t.dtype)) for o, t in zip(self.folds, totals)],
            *inner,
            *[f(t.load(integer(0))) for f, t in zip(finals, totals)],
        ]

    def _lane_count(self):
        widest = max(_lane_dtype(o).itemsize for o in self.folds)
        return 32 if widest >= 8 else 64

    def _over_blocks(self, kept, make_inner, serial=False):
        """Return loops over the outer kept axes and over blocks of the last one."""
        *outer, last = kept
        parallel = self.parallel and not serial
        size = min(BLOCK, last.extent)
        if parallel and math.prod(a.extent for a in outer) * -(-last.extent // size) < 16:
            size = max(64, min(size, last.extent // 16 // 32 * 32))
        blocks = -(-last.extent // size)
        if blocks == 1:
            inner = make_inner(integer(0), integer(last.extent))
            if parallel and outer:
                return self._flat(outer, inner)
            return _nested(outer, inner)
        block = self._fresh(blocks)
        begin = block * integer(size)
        end = (
            begin + integer(size)
            if last.extent % size == 0
            else make(OPS["minimum"], (begin + integer(size), integer(last.extent)), ())
        )
        inner = make_inner(begin, end)
        loops = [*outer, _Loop(block, blocks)]
        return self._flat(loops, inner) if parallel else _nested(loops, inner)

    def _rows(self, kept, reduced, bounds, begin, end, finals):
        """Fold rows into a block of accumulators along the last kept axis."""
        last = kept[-1]
        size, count = _extents(last, reduced)
        lanes = [self._local(_lane_dtype(o), size) for o in self.folds]
        deep = count > 256 and any(o.fold == "add" and o.value.dtype.kind in "fc" for o in self.folds)
        inner = [
            *[Store(o.buffer, o.offset, o.value) for o in self.stores],
            *[Accumulate(b, last.index - begin, _as(o.value, b.dtype), o.fold) for o, b in zip(self.folds, lanes)],
        ]
        inner = [For(last.index, begin, end, inner, "simd")]
        for axis in reversed(reduced[1:]):
            inner = [For(axis.index, integer(0), integer(axis.extent), inner)]
        first = reduced[0]
        fills = [Alloc(b, _neutral(o, b.dtype)) for o, b in zip(self.folds, lanes)]
        results = lanes
        if not deep:
            body = [*fills, For(first.index, *bounds, inner)]
        else:
            # Sums of many rows: sums of 64 rows or so are added up, in a wider type where there is one.
            rows = max(1, 64 // _extents(last, reduced[1:])[1])
            results = [self._local(_row_total_dtype(o), size) for o in self.folds]
            group = self._fresh(first.extent)
            high = make(OPS["minimum"], (group + integer(rows), bounds[1]), ())
            column = self._fresh(size)
            flush = [
                Accumulate(t, column, _as(b.load(column), t.dtype), o.fold)
                for o, t, b in zip(self.folds, results, lanes)
            ]
            body = [
                *[Alloc(t, _neutral(o, t.dtype)) for o, t in zip(self.folds, results)],
                For(
                    group,
                    *bounds,
                    [*fills, For(first.index, group, high, inner), For(column, integer(0), end - begin, flush, "simd")],
                    step=rows,
                ),
            ]
        out = For(last.index, begin, end, [f(b.load(last.index - begin)) for f, b in zip(finals, results)], "simd")
        return [*body, out]


class _Loop:
    """A loop of our own making, beside the axes of a nest."""

    def __init__(self, variable, extent):
        self.index, self.extent = variable, extent


def _extents(last, reduced):
    """Return (accumulators for one block of an axis, elements folded into each); unknown extents count as large."""
    known = [a.extent if type(a.extent) is int else BLOCK for a in (last, *reduced)]
    return min(BLOCK, known[0]), math.prod(known[1:])


def _nested(axes, body):
    """Return serial loops over `axes` around `body`."""
    for axis in reversed(axes):
        body = [For(axis.index, integer(0), integer(axis.extent), body)]
    return body


def _flat_place(kept):
    """Return the position among the elements of the kept axes, in loop order."""
    place = integer(0)
    for axis in kept:
        place = place * integer(axis.extent) + axis.index
    return place


def _as(value, dtype):
    return value if value.dtype == dtype else make(OPS["cast"], (value,), (dtype,))


_WIDER = {F32: F64, C64: C128, F16: F32}


def _lane_dtype(o):
    return F32 if o.value.dtype == F16 else o.value.dtype


def _total_dtype(o):
    return _WIDER.get(o.value.dtype, o.value.dtype) if o.fold == "add" else _lane_dtype(o)


def _row_total_dtype(o):
    return _total_dtype(o)


def _compensated(fold, dtype):
    return fold == "add" and dtype in (F64, C128)


def _neutral(o, dtype):
    return const(identity(o.fold, dtype), dtype)


def _add_to(total, value, fold):
    """Return the statement that folds a value into a running total."""
    kind = COMPENSATED if total.size == 2 else fold
    return Accumulate(total, integer(0), value, kind)


def _value_of(buffer, fold):
    """Return the expression of what a local buffer holds: a compensated total has its second part added."""
    value = buffer.load(integer(0))
    return value + buffer.load(integer(1)) if buffer.size == 2 and _compensated(fold, buffer.dtype) else value


__all__ = ["Scheduler", "element_cost", "index_op"]
