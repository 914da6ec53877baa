"""Graphs for people: as text, and as pictures."""

import os
from html import escape

from tracejit.drawing import SMALL, TITLE, drawing, text_width
from tracejit.symbolic.graph import Graph
from tracejit.symbolic.text import inner_graphs, to_text

__all__ = ["draw", "svg", "text"]

#: Per kind of box: fill, border, text, and the word in the legend.
STYLES = {
    "param": ("#d7f0df", "#3d9a63", "#12492b", "argument"),
    "capture": ("#cdeeee", "#2b8f95", "#0d4448", "captured or shared"),
    "const": ("#eceef1", "#98a2b0", "#333b46", "constant"),
    "elementwise": ("#e1ebfb", "#5c8ad6", "#17376e", "elementwise"),
    "composite": ("#e9e2fa", "#8a6cd1", "#3a2377", "composite"),
    "reduce": ("#fdebd0", "#d9952f", "#6b430a", "reduction"),
    "routine": ("#fbdcd9", "#d0655c", "#70211b", "library routine"),
    "control": ("#fdf3c3", "#c7a01f", "#594708", "loop or branch"),
    "element": ("#f4f4f0", "#a9a695", "#4a4839", "view or index"),
    "result": ("#2f3a4a", "#2f3a4a", "#ffffff", "result"),
}
_LINE, _INK, _PALE, _FRAME = "#8893a3", "#1d2530", "#6a7585", "#dfe3e8"
_SANS = "Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"
_MARGIN, _HEAD, _FOOT = 26.0, 44.0, 40.0


def text(what):
    """Return the text of a graph, or of a stage's graph with the function's name and the user's lines."""
    if isinstance(what, Graph):
        return to_text(what)
    traced = what._traced
    return to_text(what.graph, traced.name or "f", traced.notes)


def draw(what, path, *, names=None):
    """Draw graphs into a file.

    Parameters
    ----------
    what : Graph, or a stage with ``.graph``, or dict of str to these
        A dict makes one picture of several graphs side by side, with its keys as headings.
    path : path-like
        ``.svg`` is written by tracejit itself; other suffixes (``.png``, ``.pdf``) need matplotlib.
    names : sequence of str, optional
        Names of the arguments, in order. Shared variables have their own.

    Examples
    --------
    >>> traced = tracejit.jit(f).trace(x)
    >>> tracejit.printing.draw({"traced": traced, "rewritten": traced.lower()}, "f.svg")
    """
    panels = _panels(what, names)
    path = os.fspath(path)
    if path.lower().endswith(".svg"):
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(_svg(panels))
    else:
        _figure(panels, path)


def svg(what, *, names=None):
    """Return the SVG text that `draw` writes, for notebooks."""
    return _svg(_panels(what, names))


def _panels(what, names):
    """Return ``(heading, Drawing)`` per graph, and behind it those of the graphs inside."""
    headed = what if isinstance(what, dict) else {"": what}
    return [panel for heading, one in headed.items() for panel in _panels_of(heading, one, names)]


def _panels_of(heading, one, names):
    graph = one if isinstance(one, Graph) else getattr(one, "graph", None)
    inner = {} if not isinstance(graph, Graph) else {g: f"g{k}" for k, g in enumerate(inner_graphs(graph))}
    yield heading, _drawing(one, names, inner)
    traced = getattr(one, "_traced", None)
    for g, name in inner.items():
        title = f"{heading}: {name}" if heading else name
        yield title, drawing(g, None, getattr(traced, "notes", None), inner)


def _drawing(one, names, inner):
    if isinstance(one, Graph):
        return drawing(one, names, None, inner)
    graph = getattr(one, "graph", None)
    if not isinstance(graph, Graph):
        raise TypeError(f"draw takes a graph or a stage such as jit(f).trace(x), not {type(one).__name__}")
    traced = getattr(one, "_traced", None)
    hidden = [getattr(c, "name", None) for c in getattr(traced, "captures", ())]
    visible = len(graph.params) - graph.captures
    given = [*(names or ())][:visible]
    return drawing(graph, [*given, *[None] * (visible - len(given)), *hidden], getattr(traced, "notes", None), inner)


class _Page:
    """Where the panels, their headings and the legend lie."""

    def __init__(self, panels):
        self.panels, self.bars = [], []
        headed = any(heading for heading, _ in panels)
        top = _MARGIN + (_HEAD if headed else 0.0)
        at, tall = _MARGIN, 0.0
        for heading, picture in panels:
            count = f"{picture.count} op{'' if picture.count == 1 else 's'}"
            head = text_width(heading, 15.0, True) + text_width(count, SMALL) + 14.0 if heading else 0.0
            width = max(picture.width, head)
            self.panels.append((heading, count, picture, at + (width - picture.width) / 2, top, at + width / 2))
            if at > _MARGIN:
                self.bars.append(at - _MARGIN)
            at += width + 2 * _MARGIN
            tall = max(tall, picture.height)
        self.width = at - _MARGIN
        kinds = {b.kind for _, picture in panels for b in picture.boxes}
        self.legend, x, y = [], _MARGIN, top + tall + _FOOT
        for kind, (*_, word) in STYLES.items():
            if kind in kinds and kind != "result":
                step = text_width(word, SMALL) + 32.0
                if x > _MARGIN and x + step > self.width:
                    x, y = _MARGIN, y + 20.0
                self.legend.append((kind, word, x, y))
                x += step
                self.width = max(self.width, step + _MARGIN)
        self.height = y + _MARGIN - 8.0


# ---------------------------------------------------------------- SVG
def _svg(panels):
    page = _Page(panels)
    n = _short
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{n(page.width)}" height="{n(page.height)}" '
        f'viewBox="0 0 {n(page.width)} {n(page.height)}" font-family="{_SANS}" text-anchor="middle">',
        f'<rect width="100%" height="100%" rx="12" fill="#ffffff" stroke="{_FRAME}"/>',
    ]
    for x in page.bars:
        rows.append(f'<path d="M{n(x)} {n(_MARGIN)}V{n(page.height - _FOOT - 14)}" stroke="{_FRAME}"/>')
    for heading, count, picture, left, top, middle in page.panels:
        if heading:
            rows.append(f'<text x="{n(middle)}" y="{n(_MARGIN + 12)}" font-size="15" font-weight="600" fill="{_INK}">'
                        f'{escape(heading)}<tspan dx="10" font-size="{SMALL}" font-weight="400" fill="{_PALE}">{count}'
                        "</tspan></text>")
        rows.append(f'<g transform="translate({n(left)} {n(top)})">')
        rows += [_svg_line(line) for line in picture.lines]
        rows += [_svg_box(box) for box in picture.boxes]
        rows.append("</g>")
    for kind, word, x, y in page.legend:
        fill, border, *_ = STYLES[kind]
        rows.append(f'<rect x="{n(x)}" y="{n(y - 9)}" width="12" height="12" rx="3" fill="{fill}" stroke="{border}"/>'
                    f'<text x="{n(x + 18)}" y="{n(y + 1)}" font-size="{SMALL}" fill="{_PALE}" text-anchor="start">'
                    f"{word}</text>")
    return "\n".join([*rows, "</svg>\n"])


def _svg_box(box):
    fill, border, ink, _ = STYLES[box.kind]
    n = _short
    x, y = box.x - box.width / 2, box.y - box.height / 2
    round_ = box.height / 2 if box.kind in ("param", "capture", "result") else 7.0
    rows = [f'<g><title>{escape(box.tip)}</title>',
            f'<rect x="{n(x)}" y="{n(y)}" width="{n(box.width)}" height="{n(box.height)}" rx="{n(min(round_, 15.0))}" '
            f'fill="{fill}" stroke="{border}" stroke-width="1.2"/>']
    for words, size, weight, baseline in _texts(box):
        soft = "" if weight == 600 else ' opacity="0.78"'
        rows.append(f'<text x="{n(box.x)}" y="{n(baseline)}" font-size="{size}" font-weight="{weight}" '
                    f'fill="{ink}"{soft}>{escape(words)}</text>')
    return "".join([*rows, "</g>"])


def _texts(box):
    """Yield ``(text, size, weight, baseline)`` of a box's lines."""
    top = box.y - box.height / 2
    yield box.title, TITLE, 600, top + 18.5
    for k, words in enumerate(box.lines):
        yield words, SMALL, 400, top + 33.0 + 14.5 * k


def _svg_line(line):
    n = _short
    (x0, y0), (x1, y1), *rest = line.points
    y1 = y1 - 6.0 if line.head else y1
    middle = (y0 + y1) / 2
    path = f"M{n(x0)} {n(y0)}C{n(x0)} {n(middle)} {n(x1)} {n(middle)} {n(x1)} {n(y1)}"
    path += "".join(f"L{n(x)} {n(y)}" for x, y in rest)
    found = f'<path d="{path}" fill="none" stroke="{_LINE}" stroke-width="1.3"/>'
    if line.head:
        found += f'<path d="M{n(x1 - 3.6)} {n(y1 - 1)}h7.2l-3.6 7z" fill="{_LINE}"/>'
    return found


def _short(value):
    return f"{value:.1f}".removesuffix(".0")


# ---------------------------------------------------------------- other formats
def _figure(panels, path):
    # matplotlib takes a quarter of a second to import and is an extra
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
    from matplotlib.path import Path

    page = _Page(panels)
    figure = Figure(figsize=(page.width / 96, page.height / 96), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, page.width), ylim=(page.height, 0))
    axes.axis("off")
    points = 72 / 96

    def words(x, y, text, size, ink, weight=400, ha="center"):
        axes.text(x, y, text.replace("$", r"\$"), fontsize=size * points, color=ink, ha=ha, va="baseline", zorder=3,
                  fontweight="bold" if weight > 400 else "normal")

    def box(x, y, width, height, round_, fill, border):
        axes.add_patch(FancyBboxPatch((x + round_, y + round_), width - 2 * round_, height - 2 * round_, facecolor=fill,
                                      boxstyle=f"round,pad={round_}", edgecolor=border, linewidth=0.9, zorder=2))

    for x in page.bars:
        axes.plot([x, x], [_MARGIN, page.height - _FOOT - 14], color=_FRAME, linewidth=0.8)
    for heading, count, picture, left, top, middle in page.panels:
        if heading:
            shift = text_width(heading, 15.0, True) / 2
            words(middle - 20, _MARGIN + 12, heading, 15.0, _INK, 600)
            words(middle - 20 + shift + 10, _MARGIN + 12, count, SMALL, _PALE, ha="left")
        for line in picture.lines:
            (x0, y0), (x1, y1), *rest = [(x + left, y + top) for x, y in line.points]
            y1 = y1 - 6.0 if line.head else y1
            half = (y0 + y1) / 2
            codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4, *[Path.LINETO] * len(rest)]
            track = Path([(x0, y0), (x0, half), (x1, half), (x1, y1), *rest], codes)
            axes.add_patch(PathPatch(track, facecolor="none", edgecolor=_LINE, linewidth=1.0, zorder=1))
            if line.head:
                tip = [(x1 - 3.6, y1 - 1), (x1 + 3.6, y1 - 1), (x1, y1 + 6)]
                axes.add_patch(Polygon(tip, facecolor=_LINE, edgecolor="none", zorder=1))
        for b in picture.boxes:
            fill, border, ink, _ = STYLES[b.kind]
            round_ = min(15.0, b.height / 2) if b.kind in ("param", "capture", "result") else 7.0
            box(left + b.x - b.width / 2, top + b.y - b.height / 2, b.width, b.height, round_, fill, border)
            for line, size, weight, baseline in _texts(b):
                words(left + b.x, top + baseline, line, size, ink, weight)
    for kind, word, x, y in page.legend:
        box(x, y - 9, 12, 12, 3.0, *STYLES[kind][:2])
        words(x + 18, y + 1, word, SMALL, _PALE, ha="left")
    figure.savefig(path, dpi=192, metadata={"Software": None} if path.lower().endswith(".png") else None)
