"""Running reductions, recurrences, positions of extremes and searching, along one axis."""

from functools import partial

from tracejit.kernels.c.routines import around, at_least, fold, load, routine, shape_of, store
from tracejit.kernels.c.routines_sort import sorts_before
from tracejit.kernels.c.spell import memory_type, value_type
from tracejit.symbolic.types import F16

_RUNNING = {"cumsum": "add", "cumprod": "multiply", "cummax": "maximum", "cummin": "minimum"}


def _arrays(unit, call):
    """Return the declarations of p, q, … (operands) and r (the result)."""
    (out,) = call.results
    lines = [
        f"const {memory_type(b.dtype)} *TJ_RESTRICT {name} = {unit.pointer(b)};"
        for name, b in zip("pqstuv", call.operands)
    ]
    return [*lines, f"{memory_type(out.dtype)} *TJ_RESTRICT r = {unit.pointer(out)};"]


def _runs(unit, node, axis, reverse, first, later):
    """Return the loops of a recurrence: `first` at its start, then `later`, where `d` is the place before `a`."""
    before, n, behind = around(shape_of(unit, node.shape), axis)
    if 0 in node.shape:
        return []
    start, step = ((n - 1) * behind, -behind) if reverse else (0, behind)
    simd = "TJ_SIMD" if at_least(behind, 4) else ""
    across = f"for (int64_t i = 0; i < {behind}; i++)"
    return [
        f"for (int64_t o = 0; o < {before}; o++) {{" if type(n) is int else
        f"for (int64_t o = 0; {n} && o < {before}; o++) {{",
        f"  int64_t at = o * {n * behind} + {start};",
        f"  {simd}",
        f"  {across} {{ const int64_t a = at + i; {first} }}",
        f"  for (int64_t k = 1; k < {n}; k++) {{",
        f"    at += {step};",
        f"    {simd}",
        f"    {across} {{ const int64_t a = at + i, d = a - ({step}); {later} }}",
        "  }",
        "}",
    ]


@routine("accumulate", sized=True)
def _accumulate(unit, call):
    node, dtype = call.node, call.node.dtype
    value = fold(unit, _RUNNING[node.op.name], dtype, load(unit, dtype, "r[d]"), load(unit, dtype, "p[a]"))
    return [*_arrays(unit, call), *_runs(unit, node, *node.attrs, "r[a] = p[a];", store(unit, dtype, "r[a]", value))]


@routine("linear_scan", sized=True)
def _linear_scan(unit, call):
    node, dtype = call.node, call.node.dtype
    product = fold(unit, "multiply", dtype, load(unit, dtype, "p[a]"), load(unit, dtype, "r[d]"))
    value = fold(unit, "add", dtype, product, load(unit, dtype, "q[a]"))
    return [*_arrays(unit, call), *_runs(unit, node, *node.attrs, "r[a] = q[a];", store(unit, dtype, "r[a]", value))]


def _extreme(op, better):
    def write(unit, call):
        x = call.node.args[0]
        before, n, behind = around(shape_of(unit, x.shape), *call.node.attrs)
        if before * behind == 0:
            return []
        rows = type(behind) is int and behind == 1
        lines = _extreme_rows(unit, call, op, better, before, n) if rows else _extreme_columns(
            unit, x.dtype, better, before, n, behind)
        if type(n) is not int:  # of nothing there is no extreme
            lines = [f"if ({n}) {{", *lines, "}"]
        return [*_arrays(unit, call), *lines]

    return write


def _extreme_rows(unit, call, op, better, before, n):
    """Find the extreme of each block, NaN if it has one; then search the first block whose extreme is that of all."""
    dtype, done = call.node.args[0].dtype, f"found_{call.results[0].name}"
    kind, lanes, block = value_type(dtype), max(32, 128 // dtype.itemsize), 1024
    worse = f"!(top {'<=' if better == '>' else '>='} best)"  # also where top is NaN
    floating = dtype.kind == "f"  # NaN is told apart from the others: an instruction that keeps it has to be made up
    extreme = (lambda x, y: f"{y} {better} {x} ? {y} : {x}") if floating else partial(fold, unit, op, dtype)
    hit = f"int{8 * min(8, 4 if dtype == F16 else dtype.itemsize)}_t"  # as wide as what is compared
    main = n - n % lanes
    # the rest is seen as the last lanes, some of which come again: the extreme stays what it was, and so does its place
    rest = type(n) is int and 0 < main < n
    value = load(unit, dtype, "line[k + l]")
    take = [
        "TJ_SIMD",
        f"for (int64_t l = 0; l < {lanes}; l++) {{",
        f"  const {kind} v = {value};",
        f"  lane[l] = {extreme('lane[l]', 'v')};",
        *(["  odd[l] |= v != v;"] if floating else ()),
        "}",
    ]
    look = [
        f"{hit} hit = 0;",
        "TJ_PRAGMA(omp simd reduction(| : hit))",
        f"for (int64_t l = 0; l < {lanes}; l++) {{ const {kind} v = {value}; hit |= v == best; }}",
        "if (hit) {",
        f"  for (int64_t l = 0; l < {lanes}; l++) {{",
        f"    const {kind} v = {value};",
        "    if (v == best) { place = k + l; break; }",
        "  }",
        f"  goto {done};",
        "}",
    ]
    lines = [
        f"for (int64_t o = 0; o < {before}; o++) {{",
        f"  const {memory_type(dtype)} *line = p + o * {n};",
        f"  {kind} best = {load(unit, dtype, 'line[0]')};",
        "  int64_t place = 0;",
    ]
    if main:
        lines += [
            f"  for (int64_t s = 0; s < {main} && best == best; s += {block}) {{",
            f"    const int64_t e = s + {block} < {main} ? s + {block} : {main};",
            f"    TJ_ALIGN(64) {kind} lane[{lanes}];",
            f"    for (int64_t l = 0; l < {lanes}; l++) lane[l] = best;",
            *([f"    TJ_ALIGN(64) {hit} odd[{lanes}] = {{0}};"] if floating else ()),
            f"    for (int64_t k = s; k < e; k += {lanes}) {{", *take, "    }",
            *([f"    if (e == {main}) {{ const int64_t k = {n - lanes};", *take, "    }"] if rest else ()),
            *(_halved(lanes, lambda x, y: f"{x} | {y}", "odd") if floating else ()),
            *_halved(lanes, extreme, "lane"),
            f"    {kind} top = lane[0];",
            *(["    if (TJ_UNLIKELY(odd[0])) top = TJ_NAN;"] if floating else ()),
            f"    if ({worse}) {{ best = top; place = s; }}",
            "  }",
            "  if (best != best) {",
            f"    while ({load(unit, dtype, 'line[place]')} == {load(unit, dtype, 'line[place]')}) place++;",
            f"    goto {done};",
            "  }",
            f"  for (int64_t k = place; k < {main}; k += {lanes}) {{", *look, "  }",
            *([f"  {{ const int64_t k = {n - lanes};", *look, "  }"] if rest else ()),
            f"  {done}:;",
        ]
    return [
        *lines,
        f"  for (int64_t k = {n if rest else main}, l = 0; k < {n}; k++) {{",
        f"    const {kind} top = {value};",
        f"    if (best == best && {worse}) {{ best = top; place = k; }}",
        "  }",
        "  r[o] = place;",
        "}",
    ]


def _halved(lanes, join, name):
    """Fold an array of lanes into its first element, as a balanced tree."""
    lines = []
    while lanes > 1:
        lanes //= 2
        if lanes >= 4:
            lines.append("    TJ_SIMD")
        lines.append(f"    for (int64_t l = 0; l < {lanes}; l++) "
                     f"{name}[l] = {join(f'{name}[l]', f'{name}[l + {lanes}]')};")
    return lines


def _extreme_columns(unit, dtype, better, before, n, behind):
    """Keep the extremes so far, and their places, of a block of neighbouring columns."""
    kind, width = value_type(dtype), min(256, behind) if type(behind) is int else 256
    index = "int32_t" if dtype.itemsize <= 4 and not at_least(n, 1 << 31) else "int64_t"
    # NaN is the extreme: it beats everything but an earlier NaN.
    wins = f"v {better} best[i]"
    if dtype.kind == "f":
        wins = f"(best[i] == best[i]) & (({wins}) | (v != v))"
    return [
        f"for (int64_t o = 0; o < {before}; o++)",
        f"  for (int64_t s = 0; s < {behind}; s += {width}) {{",
        f"    const int64_t m = s + {width} < {behind} ? {width} : {behind} - s;",
        f"    const {memory_type(dtype)} *line = p + o * {n * behind} + s;",
        f"    TJ_ALIGN(64) {kind} best[{width}];",
        f"    TJ_ALIGN(64) {index} place[{width}];",
        f"    for (int64_t i = 0; i < m; i++) {{ best[i] = {load(unit, dtype, 'line[i]')}; place[i] = 0; }}",
        f"    for (int64_t k = 1; k < {n}; k++) {{",
        "      TJ_SIMD",
        "      for (int64_t i = 0; i < m; i++) {",
        f"        const {kind} v = {load(unit, dtype, f'line[k * {behind} + i]')};",
        f"        const int wins = {wins};",
        "        best[i] = wins ? v : best[i];",
        f"        place[i] = wins ? ({index})k : place[i];",
        "      }",
        "    }",
        f"    for (int64_t i = 0; i < m; i++) r[o * {behind} + s + i] = place[i];",
        "  }",
    ]


routine("argmax", sized=True)(_extreme("maximum", ">"))
routine("argmin", sized=True)(_extreme("minimum", "<"))


# ---------------------------------------------------------------- searching
#: Elements that are searched for side by side: each halving is one step for all of them.
_TOGETHER = 16
#: Places from the neighbour's on that are looked at before all others.
_NEAR = 32


@routine("searchsorted", sized=True)
def _searchsorted(unit, call):
    """Search by halves, without branches, for several at once; neighbours in one interval are found before that."""
    node = call.node
    table, x = node.args
    dtype, kind, (n,) = x.dtype, value_type(x.dtype), shape_of(unit, table.shape)
    total = unit.size(call.results[0].size)
    if type(n) is int and n == 0:
        return [f"memset({unit.pointer(call.results[0])}, 0, {unit.size(call.results[0].nbytes)});"]
    at = lambda place: load(unit, dtype, f"p[{place}]")

    def before(t):
        text = sorts_before(unit, dtype, t, "v[l]") if node.attr("side") == "left" else (
            f"!{sorts_before(unit, dtype, 'v[l]', t)}")
        return text.replace("||", "|").replace("&&", "&")
    each = f"for (int64_t l = 0; l < {_TOGETHER}; l++)"
    return [
        *_arrays(unit, call),
        "int64_t low = 0;",
        f"for (int64_t i = 0; i < {total}; i += {_TOGETHER}) {{",
        *([f"  if (!{n}) {{ for (int64_t j = i; j < {total}; j++) r[j] = 0; break; }}"] if type(n) is not int else []),
        f"  const int64_t some = {total} - i < {_TOGETHER} ? {total} - i : {_TOGETHER};",
        f"  TJ_ALIGN(64) {kind} v[{_TOGETHER}];",
        f"  TJ_ALIGN(64) int64_t found[{_TOGETHER}];",
        f"  {each} v[l] = {load(unit, dtype, 'q[i + (l < some ? l : 0)]')};",
        "  int64_t below = 0, above = 0, begin = 0, end = {n};".replace("{n}", str(n)),
        f"  if (low > 0) {{ const {kind} t = {at('low - 1')}; {each} below |= !({before('t')}); }}",
        f"  if (low < {n}) {{ const {kind} t = {at('low')}; {each} above |= {before('t')}; }}",
        "  if (!below && !above) { for (int64_t l = 0; l < some; l++) r[i + l] = low; continue; }",
        f"  if (!below && low + {_NEAR} <= {n}) {{",
        f"    const {kind} t = {at(f'low + {_NEAR} - 1')};",
        "    int64_t far = 0;",
        f"    {each} far |= {before('t')};",
        f"    if (!far) {{ begin = low; end = low + {_NEAR}; }}",
        "  }",
        f"  {each} found[l] = begin;",
        "  for (int64_t rest = end - begin; rest > 1;) {",
        "    const int64_t half = rest / 2;",
        "    TJ_SIMD",
        f"    {each} {{ const {kind} t = {at('found[l] + half - 1')}; found[l] += {before('t')} ? half : 0; }}",
        "    rest -= half;",
        "  }",
        f"  {each} {{ const {kind} t = {at('found[l]')}; found[l] += {before('t')} ? 1 : 0; }}",
        "  for (int64_t l = 0; l < some; l++) r[i + l] = found[l];",
        "  low = found[some - 1];",
        "}",
    ]
