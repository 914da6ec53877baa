"""Where the boxes and lines of a drawn graph lie: layers by longest path, few crossings, straight lines."""

import bisect
import os
from dataclasses import dataclass

import numpy as np

from tracejit.symbolic.graph import Graph
from tracejit.symbolic.ir import const_op, const_value, param, scalar_literal
from tracejit.symbolic.types import Type, dtype_name

__all__ = ["Box", "Drawing", "Line", "drawing"]

TITLE, SMALL = 13.0, 10.5  # sizes of the two fonts, in pixels
_SIDE, _PORT = 26.0, 20.0  # least distances: between boxes, between lines that arrive at one box
_GAP = 30.0  # between layers

#: Ops that people write as a sign, for boxes that show a constant.
_SIGNS = {"add": "+", "subtract": "\u2212", "multiply": "\u00d7", "divide": "/", "power": "^", "less": "<",
          "greater": ">", "less_equal": "\u2264", "greater_equal": "\u2265", "equal": "=", "not_equal": "\u2260"}
#: Attrs that the type in the box already tells.
_TOLD = frozenset({"shape", "type", "dtype"})
#: The elements of a constant array that stands in the box of its user.
_INLINED = 4


@dataclass
class Box:
    """One node, param or result: what it says, what kind it is, and where it lies (centre and size)."""

    title: str
    lines: tuple
    kind: str
    tip: str
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0


@dataclass
class Line:
    """One line as points from top to bottom; ``head`` where it ends in a box and not in the next line."""

    points: list
    head: bool


@dataclass
class Drawing:
    """Boxes and lines, the room they take, and how many boxes are ops."""

    boxes: list
    lines: list
    width: float
    height: float
    count: int


def drawing(graph, names=None, notes=None, inner=None):
    """Return the laid-out Drawing of a graph.

    Parameters
    ----------
    graph : Graph
    names : sequence of str, optional
        Names of the params, in order; those not given are called as in the printed graph: ``x0``, ``x1``, …
    notes : dict, optional
        From node to source line, for the boxes' tips.
    inner : dict, optional
        From the graphs inside it, the bodies of loops and branches, to what they are called.
    """
    boxes, edges, count = _boxes(graph, list(names or ()), notes or {}, inner or {})
    layers = _layers(len(boxes), edges)
    net = _Net(boxes, edges, layers)
    net.order()
    net.place()
    return Drawing(boxes, net.lines(), *net.size(), count)


# ---------------------------------------------------------------- what the boxes say
def _boxes(graph, names, notes, inner):
    """Return the boxes, the edges ``(from, to, port)`` between them, and how many are ops."""
    order = graph.topological()
    shown, boxes, edges = {}, [], []
    inputs = graph.inputs()
    label = {node: names[i] if i < len(names) and names[i] else f"x{i}" for i, node in enumerate(inputs)}
    label.update(inner)
    visible = len(inputs) - graph.captures
    for i, node in enumerate(inputs):
        shown[node] = len(boxes)
        kind = "param" if i < visible else "capture"
        boxes.append(_box(label[node], (str(node.type),), kind, f"{kind} {label[node]}: {node.type}"))
    inlined = _inlined(order, set(graph.outs))
    count = 0
    for node in order:
        if node.op is param or node in inlined:
            continue
        count += 1
        shown[node] = len(boxes)
        boxes.append(_node_box(node, inlined, label, notes))
        arrivals = [a for a in (*node.args, *node.dims) if a not in inlined]
        edges += [(shown[a], len(boxes) - 1, k) for k, a in enumerate(arrivals)]
    written = {out: target for target, out in graph.writes}
    for k, node in enumerate(graph.outs):
        text = f"result {k}" if len(graph.outs) > 1 else "result"
        if k in written:
            text = f"write {label[inputs[written[k]]]}"
        boxes.append(_box(text, (), "result", f"{text}: {node.type}"))
        edges.append((shown[node], len(boxes) - 1, 0))
    return boxes, edges, count


def _inlined(order, outs):
    """Return the constants that their users show: numbers, also through broadcasts, and short arrays."""
    found = {}
    for node in order:
        value = scalar_literal(node)
        if value is not None:
            found[node] = _number(value)
        elif node.op is const_op and const_value(node).size <= _INLINED:
            found[node] = _array(const_value(node))
    return {node: text for node, text in found.items() if node not in outs}


def _number(value):
    if isinstance(value, (np.bool_, np.integer)):
        return str(value)
    return f"{value:.6g}" if isinstance(value, np.floating) else f"{complex(value):.4g}"


def _array(value):
    return "[" + ", ".join(_number(v) if v.ndim == 0 else _array(v) for v in value) + "]"


def _node_box(node, inlined, label, notes):
    name = node.op.name
    title = name
    if any(a in inlined for a in node.args):
        parts = [inlined.get(a, "\u00b7") for a in node.args]
        sign = _SIGNS.get(name)
        title = f"{parts[0]} {sign} {parts[1]}" if sign and len(parts) == 2 else f"{name}({', '.join(parts)})"
    attrs = [f"{k}={_attr(v, label)}" for k, v in zip(node.op.attrs, node.attrs)
             if k not in _TOLD and v is not None and not _empty(v)]
    if node.op is const_op:
        attrs = []
    kinds = node.type if isinstance(node.type, tuple) else (node.type,)
    lines = (*(_clipped(a) for a in attrs), ", ".join(_type(t, label) for t in kinds))
    tip = f"{name}({', '.join([*(_type(a.type, label) for a in node.args), *attrs])}) : {lines[-1]}"
    if node in notes:
        tip += f"\n{os.path.basename(notes[node])}"  # a picture may be published, the path is nobody's business
    return _box(title, lines, _kind(node), tip)


def _kind(node):
    """Return what the colour of a box tells: how the op is lowered."""
    op = node.op
    if op is const_op:
        return "const"
    if op.linear == "inside":
        return "control"
    if op.elementwise:
        return "elementwise"
    for lowering in ("reduce", "routine", "element"):
        if getattr(op, lowering) is not None:
            return lowering
    return "composite"


def _type(kind, label):
    if not isinstance(kind, Type):
        return "(" + ", ".join(_type(t, label) for t in kind) + ")"
    if kind.is_static:
        return str(kind)
    return f"{dtype_name(kind.dtype)}[{','.join(_attr(n, label) for n in kind.shape)}]"


def _empty(value):
    return isinstance(value, tuple) and all(map(_empty, value))


def _attr(value, label):
    if isinstance(value, np.dtype):
        return dtype_name(value)
    if isinstance(value, tuple):
        return "(" + ",".join(_attr(v, label) for v in value) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, Graph):
        return label.get(value, "{\u2026}")
    if isinstance(value, type) and issubclass(value, Exception):
        return value.__name__
    if hasattr(value, "op"):
        return label.get(value, "?")
    return repr(value)


def _clipped(text, limit=44):
    return text if len(text) <= limit else text[:limit - 1] + "\u2026"


def _box(title, lines, kind, tip):
    width = max([text_width(title, TITLE, bold=True), *(text_width(t, SMALL) for t in lines)])
    return Box(title, tuple(lines), kind, tip, max(46.0, width + 24.0), 28.0 + 14.5 * len(lines))


def text_width(text, size, bold=False):
    """Return the width of a text in pixels, a little more than common sans-serif fonts need."""
    total = sum(0.36 if c in "iljtfr.,:;|()[]' !" else 0.95 if c in "mwMW\u2026" else 0.62 for c in text)
    return total * size * (1.09 if bold else 1.0)


# ---------------------------------------------------------------- layers
def _layers(count, edges):
    """Return the layer of each box: the longest path to it; sources and splitters move down to their users."""
    layer = [0] * count
    into, out = [0] * count, {}
    for a, b, _ in edges:  # a box comes after the boxes it uses
        layer[b] = max(layer[b], layer[a] + 1)
        into[b] += 1
        out.setdefault(a, []).append(b)
    for box in reversed(range(count)):
        if box in out and into[box] <= len(out[box]):
            layer[box] = max(layer[box], min(layer[b] for b in out[box]) - 1)
    return layer


class _Net:
    """Boxes and the bends of long lines, layer by layer: their order, and then their places.

    Lines from one box that pass a layer share one bend there, so they run together until they part.
    """

    def __init__(self, boxes, edges, layers):
        self.boxes = boxes
        self.layer = list(layers)
        self.width = [b.width for b in boxes]
        self.segments = {}  # (from, to) -> ports at which the line arrives, none for a bend
        bends = {}
        for a, b, port in edges:
            last = a
            for k in range(layers[a] + 1, layers[b]):
                if (a, k) not in bends:
                    bends[a, k] = len(self.layer)
                    self.layer.append(k)
                    self.width.append(4.0)
                bend = bends[a, k]
                self.segments.setdefault((last, bend), ())
                last = bend
            self.segments[last, b] = (*self.segments.get((last, b), ()), port)
        self.rows = [[] for _ in range(max(self.layer, default=0) + 1)]
        for item, k in enumerate(self.layer):
            self.rows[k].append(item)
        self.arrivals = {}
        for (_, b), ports in self.segments.items():
            self.arrivals[b] = self.arrivals.get(b, 0) + len(ports)
        for b, box in enumerate(boxes):
            box.width = self.width[b] = max(self.width[b], _PORT * (self.arrivals.get(b, 0) - 1) + 28.0)
        self.above, self.below = {}, {}
        for (a, b), ports in self.segments.items():
            for shift in self._shifts(b, ports):
                self.above.setdefault(b, []).append((a, shift))
                self.below.setdefault(a, []).append((b, shift))

    def _shifts(self, b, ports):
        """Return how far from the middle of `b` its ports are."""
        return [(port - (self.arrivals[b] - 1) / 2) * _PORT for port in ports] or [0.0]

    # ------------------------------------------------------------ order
    def order(self, sweeps=16):
        """Sort each layer by the mean place of its neighbours, downward and upward in turn; keep the best."""
        best, fewest = [list(r) for r in self.rows], self._crossings()
        for sweep in range(sweeps):
            down = sweep % 2 == 0
            for row in self.rows if down else reversed(self.rows):
                self._sort(row, self.above if down else self.below)
            self._swap()
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(r) for r in self.rows], crossings
            if fewest == 0:
                break
        self.rows = best

    def _sort(self, row, neighbours):
        place = self._places()
        middle = {}
        for k, item in enumerate(row):
            near = [place[n] + shift * 1e-3 for n, shift in neighbours.get(item, ())]
            middle[item] = sum(near) / len(near) if near else (k + 0.5) / len(row)
        row.sort(key=middle.__getitem__)

    def _places(self):
        return {item: (k + 0.5) / len(row) for row in self.rows for k, item in enumerate(row)}

    def _swap(self):
        """Exchange neighbours in a layer while that removes crossings."""
        position = {item: k for row in self.rows for k, item in enumerate(row)}
        up = lambda item: [(position[n], 0.0) for n, _ in self.above.get(item, ())]
        down = lambda item: [(position[n], s) for n, s in self.below.get(item, ())]
        for row in self.rows:
            for k in range(len(row) - 1):
                left, right = row[k], row[k + 1]
                if sum(_inversions(n(left), n(right)) - _inversions(n(right), n(left)) for n in (up, down)) > 0:
                    row[k], row[k + 1] = row[k + 1], row[k]
                    position[row[k]], position[row[k + 1]] = k, k + 1

    def _crossings(self):
        position = {item: k for row in self.rows for k, item in enumerate(row)}
        total = 0
        for row in self.rows:
            ends = []
            for item in row:
                for n, shift in sorted((position[n], s) for n, s in self.below.get(item, ())):
                    total += len(ends) - bisect.bisect_right(ends, (n, shift))
                    ends.append((n, shift))
                ends.sort()
        return total

    # ------------------------------------------------------------ places
    def place(self, rounds=300):
        """Make lines short and long lines straight, in the given order and with the given distances.

        Lines are springs. The solution of the springs and the projection onto what order and distances allow, layer by
        layer, take turns until they agree (the alternating direction method of multipliers).
        """
        # scipy takes time to import, and only pictures need it
        from scipy.sparse import coo_array, eye_array
        from scipy.sparse.linalg import splu

        n = len(self.layer)
        ends, force, pull = [], [], np.zeros(n)
        for b, near in self.above.items():
            for a, shift in near:
                w = (6.0 if a >= len(self.boxes) else 1.0) * (6.0 if b >= len(self.boxes) else 1.0)
                ends += [(a, a), (b, b), (a, b), (b, a)]
                force += [w, w, -w, -w]
                pull[a] += w * shift
                pull[b] -= w * shift
        rows, columns = zip(*ends) if ends else ((), ())
        springs = splu((coo_array((force, (rows, columns)), shape=(n, n)) + eye_array(n)).tocsc()) if n else None
        allowed, debt = np.zeros(n), np.zeros(n)
        for _ in range(rounds if n else 0):
            wish = springs.solve(pull + allowed - debt) + debt
            for row in self.rows:
                allowed[row] = _apart(wish[row].tolist(), [self.width[i] for i in row])
            debt = wish - allowed
        self.x = allowed.tolist()
        self._straighten()
        left = min((x - w / 2 for x, w in zip(self.x, self.width)), default=0.0)
        self.x = [x - left for x in self.x]
        self._heights()
        for item, box in enumerate(self.boxes):
            box.x, box.y = self.x[item], self.middle[self.layer[item]]

    def _straighten(self, tolerance=12.0):
        """Put bends that lie nearly above each other exactly so."""
        runs = {}
        for row in self.rows:
            for bend in row:
                if bend < len(self.boxes):
                    continue
                run = runs.get(self.above[bend][0][0])
                if run is None or abs(self.x[bend] - sum(self.x[i] for i in run) / len(run)) > tolerance:
                    run = []
                run.append(bend)
                runs[bend] = run
        for run in {id(run): run for run in runs.values()}.values():
            mean = sum(self.x[i] for i in run) / len(run)
            for bend in run:
                self.x[bend] = mean

    def _heights(self):
        """Give each layer its height, and more air where lines run far sideways."""
        self.tall = [max((self.boxes[i].height for i in row if i < len(self.boxes)), default=0.0) for row in self.rows]
        far = [0.0] * len(self.rows)
        for a, b in self.segments:
            far[self.layer[b]] = max(far[self.layer[b]], abs(self.x[a] - self.x[b]))
        self.middle, at = [], 0.0
        for tall, dx in zip(self.tall, far):
            at += min(84.0, _GAP + dx * 0.07) if self.middle else 0.0
            self.middle.append(at + tall / 2)
            at += tall

    def size(self):
        """Return the width and height of everything."""
        right = max((x + w / 2 for x, w in zip(self.x, self.width)), default=0.0)
        return right, (self.middle[-1] + self.tall[-1] / 2 if self.middle else 0.0)

    def lines(self):
        """Return the lines; those through bends are whole from bend to bend."""
        half = lambda i: (self.boxes[i].height if i < len(self.boxes) else self.tall[self.layer[i]]) / 2
        found = []
        for (a, b), ports in self.segments.items():
            y0, y1 = self.middle[self.layer[a]] + half(a), self.middle[self.layer[b]] - half(b)
            for shift in self._shifts(b, ports):
                points = [(self.x[a], y0), (self.x[b] + shift, y1)]
                if b >= len(self.boxes):
                    points.append((self.x[b], y1 + 2 * half(b)))
                found.append(Line(points, b < len(self.boxes)))
        return found


def _inversions(left, right):
    return sum(b < a for a in left for b in right)


def _apart(wishes, widths):
    """Return the places nearest to the wishes (least squares) that keep order and distances: isotonic regression."""
    offset, at = [], 0.0
    for k, width in enumerate(widths):
        at += 0.0 if k == 0 else (widths[k - 1] + width) / 2 + _SIDE
        offset.append(at)
    pools = []  # mean, how many
    for wish, shift in zip(wishes, offset):
        pools.append([wish - shift, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            value, n = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + value * n) / (last[1] + n)
            last[1] += n
    flat = [value for value, n in pools for _ in range(n)]
    return [value + shift for value, shift in zip(flat, offset)]
