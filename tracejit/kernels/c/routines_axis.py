"""Running reductions, recurrences, positions of extremes and searching, along one axis."""

from tracejit.kernels.c.routines import around, fold, load, routine, store
from tracejit.kernels.c.routines_sort import sorts_before
from tracejit.kernels.c.spell import memory_type, value_type

_RUNNING = {"cumsum": "add", "cumprod": "multiply", "cummax": "maximum", "cummin": "minimum"}


def _arrays(unit, call):
    """Return the declarations of p, q, … (operands) and r (the result)."""
    (out,) = call.results
    lines = [
        f"const {memory_type(b.dtype)} *TJ_RESTRICT {name} = {unit.pointer(b)};"
        for name, b in zip("pqstuv", call.operands)
    ]
    return [*lines, f"{memory_type(out.dtype)} *TJ_RESTRICT r = {unit.pointer(out)};"]


def _runs(node, axis, reverse, first, later):
    """Return the loops of a recurrence: `first` at its start, then `later`, where `d` is the place before `a`."""
    before, n, behind = around(node.shape, axis)
    if node.type.size == 0:
        return []
    start, step = ((n - 1) * behind, -behind) if reverse else (0, behind)
    simd = "TJ_SIMD" if behind >= 4 else ""
    across = f"for (int64_t i = 0; i < {behind}; i++)"
    return [
        f"for (int64_t o = 0; o < {before}; o++) {{",
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


@routine("accumulate")
def _accumulate(unit, call):
    node, dtype = call.node, call.node.dtype
    value = fold(unit, _RUNNING[node.op.name], dtype, load(unit, dtype, "r[d]"), load(unit, dtype, "p[a]"))
    return [*_arrays(unit, call), *_runs(node, *node.attrs, "r[a] = p[a];", store(unit, dtype, "r[a]", value))]


@routine("linear_scan")
def _linear_scan(unit, call):
    node, dtype = call.node, call.node.dtype
    product = fold(unit, "multiply", dtype, load(unit, dtype, "p[a]"), load(unit, dtype, "r[d]"))
    value = fold(unit, "add", dtype, product, load(unit, dtype, "q[a]"))
    return [*_arrays(unit, call), *_runs(node, *node.attrs, "r[a] = q[a];", store(unit, dtype, "r[a]", value))]


def _extreme(better):
    def write(unit, call):
        node, x = call.node, call.node.args[0]
        before, n, behind = around(x.shape, *node.attrs)
        kind = value_type(x.dtype)
        value = load(unit, x.dtype, f"line[k * {behind}]")
        # NaN is the extreme: it beats everything but an earlier NaN.
        wins = f"best == best && (v {better} best || v != v)" if x.dtype.kind == "f" else f"v {better} best"
        return [
            *_arrays(unit, call),
            f"for (int64_t o = 0; o < {before}; o++)",
            f"  for (int64_t i = 0; i < {behind}; i++) {{",
            f"    const {memory_type(x.dtype)} *line = p + o * {n * behind} + i;",
            f"    {kind} best = {load(unit, x.dtype, 'line[0]')};",
            "    int64_t place = 0;",
            f"    for (int64_t k = 1; k < {n}; k++) {{",
            f"      const {kind} v = {value};",
            f"      if ({wins}) {{ best = v; place = k; }}",
            "    }",
            f"    r[o * {behind} + i] = place;",
            "  }",
        ]

    return write


routine("argmax")(_extreme(">"))
routine("argmin")(_extreme("<"))


# ---------------------------------------------------------------- searching
@routine("searchsorted")
def _searchsorted(unit, call):
    node = call.node
    table, x = node.args
    dtype, kind = x.dtype, value_type(x.dtype)
    entry = load(unit, dtype, "p[mid]")
    goes_right = sorts_before(dtype, "t", "v") if node.attr("side") == "left" else f"!{sorts_before(dtype, 'v', 't')}"
    return [
        *_arrays(unit, call),
        f"for (int64_t i = 0; i < {x.type.size}; i++) {{",
        f"  const {kind} v = {load(unit, dtype, 'q[i]')};",
        f"  int64_t low = 0, high = {table.type.size};",
        "  while (low < high) {",
        "    const int64_t mid = (low + high) / 2;",
        f"    const {kind} t = {entry};",
        f"    if ({goes_right}) low = mid + 1; else high = mid;",
        "  }",
        "  r[i] = low;",
        "}",
    ]
