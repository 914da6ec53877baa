"""Sorting, the order that sorts, and elements of given ranks, along one axis."""

from tracejit.kernels import sorts
from tracejit.kernels.c.routines import around, load, routine, shape_of
from tracejit.kernels.c.spell import memory_type
from tracejit.kernels.program import SCRATCH
from tracejit.symbolic.types import I64, REAL_OF, dtype_name

#: Elements from which on rows are sorted by several threads.
PARALLEL = 1 << 14
#: Elements up to which all are sorted where some ranks are asked for.
FEW = 1024


#: Complex numbers are ordered by their real parts, then by their imaginary ones; those with NaN come last.
_COMPLEX_BEFORE = """static inline int tj_before_{t}({C} x, {C} y) {{
  const {R} a = __real__ x, b = __imag__ x, c = __real__ y, d = __imag__ y;
  const int later = d != d && b == b;
  return a < c ? b == b || d != d : a > c ? later : a == c || (a != a && c != c) ? b < d || later : c != c;
}}"""


def sorts_before(unit, dtype, x, y):
    """Return the text that says whether x sorts before y: NaN comes last."""
    if dtype.kind == "c":
        name = dtype_name(dtype)
        unit.speller.support[_COMPLEX_BEFORE.format(t=name, C=memory_type(dtype), R=memory_type(REAL_OF[dtype]))] = None
        return f"tj_before_{name}({x}, {y})"
    return f"({x} < {y} || ({y} != {y} && {x} == {x}))" if dtype.kind == "f" else f"({x} < {y})"


#: A stable sort of our own, for where NumPy's are out of reach.
_MERGE = """static void {name}({P} *a, {P} *b, {extra}int64_t n) {{
  for (int64_t s = 0; s < n; s += 16)
    for (int64_t i = s + 1; i < n && i < s + 16; i++) {{
      const {P} v = a[i];
      int64_t j = i;
      while (j > s && {before_insert}) {{ a[j] = a[j - 1]; j--; }}
      a[j] = v;
    }}
  {P} *from = a, *to = b;
  for (int64_t w = 16; w < n; w *= 2) {{
    for (int64_t s = 0; s < n; s += 2 * w) {{
      int64_t m = s + w < n ? s + w : n, e = s + 2 * w < n ? s + 2 * w : n, i = s, j = m;
      for (int64_t k = s; k < e; k++) to[k] = i < m && (j >= e || !{before_merge}) ? from[i++] : from[j++];
    }}
    {P} *t = from; from = to; to = t;
  }}
  if (from != a) memcpy(a, from, n * sizeof({P}));
}}"""

#: Puts the positions of equal elements in rising order, which makes any order a stable one.
_SETTLE = """static void {name}(const {M} *x, int64_t *u, int64_t n, {type} sort) {{
  for (int64_t i = 0, j; i < n; i = j) {{
    j = i + 1;
    while (j < n && !{follows}) j++;
    if (j > i + 1) sort(u + i, j - i, 0);
  }}
}}"""


def _compare(unit, dtype, pattern="{}"):
    def text(u, v):
        return sorts_before(unit, dtype, *(load(unit, dtype, pattern.format(w)) for w in (u, v)))

    return text


def _merge_sort(unit, dtype, by_position):
    """Return the name of our own sort, ``name(a, work[, x], n)``."""
    name = f"tj_{'arg' if by_position else ''}sort_{dtype_name(dtype)}"
    compare = _compare(unit, dtype, "x[{}]" if by_position else "{}")
    unit.speller.support[
        _MERGE.format(
            name=name,
            P="int64_t" if by_position else memory_type(dtype),
            extra=f"const {memory_type(dtype)} *x, " if by_position else "",
            before_insert=compare("v", "a[j - 1]"),
            before_merge=compare("from[j]", "from[i]"),
        )
    ] = None
    return name


def _sorting(unit, dtype, line, n, work):
    """Return the statements that sort `n` elements at `line`, all of them C texts."""
    native = sorts.name("sort", dtype)
    if native:
        return [f"{unit.routine(native)}({line}, {n}, 0);"]
    return [f"{_merge_sort(unit, dtype, False)}({line}, (void *)({work}), {n});"]


def _ordering(unit, dtype, line, places, n, stable, work):
    """Return the statements that put the order that sorts `line` into `places`."""
    native, own = sorts.name("argsort", dtype), sorts.name("sort", I64)
    start = f"for (int64_t k = 0; k < {n}; k++) {places}[k] = k;"
    if not native or not own:
        return [start, f"{_merge_sort(unit, dtype, True)}({places}, (void *)({work}), {line}, {n});"]
    lines = [start, f"{unit.routine(native)}((void *){line}, {places}, {n}, 0);"]
    if not stable:
        return lines
    name, sort = f"tj_settle_{dtype_name(dtype)}", unit.routine(own)
    unit.helpers[
        _SETTLE.format(
            name=name, M=memory_type(dtype), type=f"tj_{own}", follows=_compare(unit, dtype, "x[{}]")("u[i]", "u[j]")
        )
    ] = None
    return [*lines, f"{name}({line}, {places}, {n}, {sort});"]


def wide(dtype):
    """Return the bytes that an element, or a position, takes at most."""
    return max(8, dtype.itemsize)


def _room(count, size=8):
    """Return the bytes of `count` elements, rounded up to a cache line."""
    if type(count) is not int:
        return (count * size + 63) // 64 * 64
    return -(-count * size // 64) * 64


def _row_loop(unit, shape, axis, call, lines):
    """Return the loop over the rows of an array whose axis lies inside, for `lines` of a row `o`."""
    rows, n, _ = around(shape, axis)
    if rows * n < PARALLEL or rows == 1:
        return [f"for (int64_t o = 0; o < {rows}; o++) {{", *("  " + line for line in lines), "}"]
    function = f"g{len(unit.functions)}"
    loop = ["for (int64_t o = begin; o < end; o++) {", *("  " + line for line in lines), "}"]
    text = [f"static void {function}(int64_t begin, int64_t end, void *ctx) {{", "  void **const b = ctx;"]
    unit.functions.append("\n".join([*text, *("  " + line for line in [*_arrays(unit, call), *loop]), "}"]))
    return [f"tj_pool->parallel({function}, b, {rows}, {max(1, 1024 // n)});"]


def _arrays(unit, call):
    """Return the declarations of p, the operand, and r, the result."""
    (x,), (out,) = call.operands, call.results
    return [
        f"const {memory_type(x.dtype)} *TJ_RESTRICT p = {unit.pointer(x)};",
        f"{memory_type(out.dtype)} *TJ_RESTRICT r = {unit.pointer(out)};",
    ]


def _is_serial(dtype):
    """Say whether sorting takes memory of its own, of which there is one for all threads."""
    return not (sorts.name("sort", dtype) and sorts.name("argsort", dtype) and sorts.name("sort", I64))


@routine("sort", sized=True)
def _sort(unit, call):
    x = call.node.args[0]
    before, n, behind = around(shape_of(unit, x.shape), call.node.attr("axis"))
    if 0 in x.shape:
        return []
    kind, size = memory_type(x.dtype), x.dtype.itemsize
    work = f"(char *){unit.pointer(call.scratch)}"
    if type(behind) is int and behind == 1:
        row = f"r + o * {n}"
        lines = [f"memcpy({row}, p + o * {n}, {n * size});", *_sorting(unit, x.dtype, row, n, work)]
        if _is_serial(x.dtype) or call.sizes:
            rows = [f"for (int64_t o = 0; o < {before}; o++) {{", *lines, "}"]
        else:
            rows = _row_loop(unit, x.shape, call.node.attr("axis"), call, lines)
        return [*_arrays(unit, call), *rows]
    return [
        *_arrays(unit, call),
        f"{kind} *line = (void *)({work});",
        *_strided(
            (before, n, behind),
            f"line[k] = p[at + k * {behind}];",
            _sorting(unit, x.dtype, "line", n, f"{work} + {_room(n, wide(x.dtype))}"),
            f"r[at + k * {behind}] = line[k];",
        ),
    ]


def _strided(extents, get, lines, put):
    """Return loops over lines that do not lie contiguous: gather one, work on it, scatter the results."""
    before, n, behind = extents
    return [
        f"for (int64_t o = 0; o < {before}; o++)",
        f"  for (int64_t i = 0; i < {behind}; i++) {{",
        f"    const int64_t at = o * {n * behind} + i;",
        f"    for (int64_t k = 0; k < {n}; k++) {get}",
        *("    " + line for line in lines),
        f"    for (int64_t k = 0; k < {n}; k++) {put}",
        "  }",
    ]


@routine("argsort", sized=True)
def _argsort(unit, call):
    x = call.node.args[0]
    axis, stable = call.node.attrs
    before, n, behind = around(shape_of(unit, x.shape), axis)
    if 0 in x.shape:
        return []
    kind = memory_type(x.dtype)
    work = f"(char *){unit.pointer(call.scratch)}"
    spare = f"{work} + {2 * _room(n, wide(x.dtype))}"
    if type(behind) is int and behind == 1:
        lines = [
            f"const {kind} *line = p + o * {n};",
            f"int64_t *u = r + o * {n};",
            *_ordering(unit, x.dtype, "line", "u", n, stable, spare),
        ]
        if _is_serial(x.dtype) or call.sizes:
            rows = [f"for (int64_t o = 0; o < {before}; o++) {{", *lines, "}"]
        else:
            rows = _row_loop(unit, x.shape, axis, call, lines)
        return [*_arrays(unit, call), *rows]
    return [
        *_arrays(unit, call),
        f"{kind} *line = (void *)({work});",
        f"int64_t *u = (void *)({work} + {_room(n, wide(x.dtype))});",
        *_strided(
            (before, n, behind),
            f"line[k] = p[at + k * {behind}];",
            _ordering(unit, x.dtype, "line", "u", n, stable, spare),
            f"r[at + k * {behind}] = u[k];",
        ),
    ]


#: A stable order of rows: merged as above, compared element by element.
_MERGE_ROWS = """static int tj_row_before_{name}(const {M} *x, const {M} *y, int64_t width) {{
  for (int64_t k = 0; k < width; k++) {{
    if ({x_first}) return 1;
    if ({y_first}) return 0;
  }}
  return 0;
}}
static void tj_argsort_rows_{name}(const {M} *x, int64_t n, int64_t width, int64_t *a, int64_t *b) {{
  int64_t *from = a, *to = b;
  for (int64_t i = 0; i < n; i++) a[i] = i;
  for (int64_t w = 1; w < n; w *= 2) {{
    for (int64_t s = 0; s < n; s += 2 * w) {{
      int64_t m = s + w < n ? s + w : n, e = s + 2 * w < n ? s + 2 * w : n, i = s, j = m;
      for (int64_t k = s; k < e; k++)
        to[k] = i < m && (j >= e || !tj_row_before_{name}(x + from[j] * width, x + from[i] * width, width))
          ? from[i++] : from[j++];
    }}
    int64_t *t = from; from = to; to = t;
  }}
  if (from != a) memcpy(a, from, n * sizeof(int64_t));
}}"""


@routine("argsort_rows")
def _argsort_rows(unit, call):
    (x,), (out,) = call.operands, call.results
    n, width = call.node.args[0].shape
    name, compare = dtype_name(x.dtype), _compare(unit, x.dtype)
    unit.helpers[_MERGE_ROWS.format(name=name, M=memory_type(x.dtype), x_first=compare("x[k]", "y[k]"),
                                    y_first=compare("y[k]", "x[k]"))] = None
    return [f"tj_argsort_rows_{name}({unit.pointer(x)}, {n}, {width}, {unit.pointer(out)}, "
            f"(void *){unit.pointer(call.scratch)});"] if n else []


SCRATCH["argsort_rows"] = lambda node: max(8, 8 * node.args[0].shape[0])


# ---------------------------------------------------------------- elements of given ranks
#: A sample says between which two values the ranks lie; only what lies between them is kept and looked at again.
_SELECT = """static void {name}({M} *a, int64_t n, {M} *work, const int64_t *ranks, int64_t count, int64_t shift,
                   {M} *out{sort}) {{
  int64_t done = 0;
  while (n > {few} && done < count) {{
    const int64_t first = ranks[done] - shift;
    int64_t many = 1;
    while (done + many < count && ranks[done + many] - shift - first <= n / 16) many++;
    const int64_t last = ranks[done + many - 1] - shift;
    int64_t size = 256;
    while (size * size < 4 * n && size < 16384) size *= 2;
    /* places at random, so that no regularity of the data is met */
    uint64_t state = (uint64_t)n;
    for (int64_t i = 0; i < size; i++) {{
      state = state * 6364136223846793005u + 1442695040888963407u;
      work[i] = a[(int64_t)((state >> 32) * (uint64_t)(n < 4294967295 ? n : 4294967295) >> 32)];
    }}
    {sort_sample}
    int64_t margin = 2;
    while (margin * margin < 4 * size) margin++;
    const int64_t low = (int64_t)((double)first / (double)n * (double)size) - margin;
    const int64_t high = (int64_t)((double)last / (double)n * (double)size) + margin;
    const int open_below = low < 0, open_above = high >= size;
    const {M} u = work[open_below ? 0 : low], v = work[open_above ? size - 1 : high];
    int64_t below = 0, kept = 0;
    for (int64_t i = 0; i < n; i++) {{
      const {M} t = a[i];
      const int under = !open_below & {t_before_u}, over = !open_above & {v_before_t};
      below += under;
      work[kept] = t;
      kept += !(under | over);
    }}
    if (first < below || last >= below + kept) break;
    if (!open_below && !open_above && !{u_before_v}) {{
      for (int64_t i = 0; i < many; i++) out[done + i] = u;
    }} else if (kept > n / 2) {{
      break;
    }} else {{
      {name}(work, kept, work + kept, ranks + done, many, shift + below, out + done{sort_again});
    }}
    done += many;
  }}
  if (done == count) return;
  {sort_all}
  for (; done < count; done++) out[done] = a[ranks[done] - shift];
}}"""


def _branchless(text):
    return text.replace("||", "|").replace("&&", "&")


def selection(unit, dtype):
    """Return the name of the C function that selects, and the text of the argument that it takes more, or nothing.

    ``name(line, n, work, ranks, count, 0, found, more)`` mixes up the line.
    """
    compare, name, native = _compare(unit, dtype), f"tj_select_{dtype_name(dtype)}", sorts.name("sort", dtype)

    def sorted_(line, count):
        if native:
            return f"sort({line}, {count}, 0);"
        return f"{_merge_sort(unit, dtype, False)}({line}, {line} + {count}, {count});"

    pointer = unit.routine(native) if native else None
    unit.helpers[
        _SELECT.format(
            name=name, M=memory_type(dtype), few=FEW, sort=f", tj_{native} sort" if native else "",
            sort_again=", sort" if native else "",
            sort_sample=sorted_("work", "size"),
            sort_all=sorted_("a", "n") if native else
            f"{_merge_sort(unit, dtype, False)}(a, work, n);",
            # without branches, which could not be predicted
            t_before_u=_branchless(compare("t", "u")), v_before_t=_branchless(compare("v", "t")),
            u_before_v=compare("u", "v"),
        )
    ] = None
    return name, f", {pointer}" if native else ""


@routine("ranked")
def _ranked(unit, call):
    x = call.node.args[0]
    axis, ranks = call.node.attrs
    before, n, behind = around(x.shape, axis)
    if x.type.size == 0:
        return []
    name, more = selection(unit, x.dtype)
    count = len(ranks)
    return [
        *_arrays(unit, call),
        *selecting(unit, call, ranks),
        f"for (int64_t o = 0; o < {before}; o++)",
        f"  for (int64_t i = 0; i < {behind}; i++) {{",
        f"    const int64_t at = o * {n * behind} + i;",
        f"    for (int64_t k = 0; k < {n}; k++) line[k] = p[at + k * {behind}];",
        f"    {name}(line, {n}, work, ranks, {count}, 0, found{more});",
        f"    for (int64_t k = 0; k < {count}; k++) r[(o * {count} + k) * {behind} + i] = found[k];",
        "  }",
    ]


def selecting(unit, call, ranks):
    """Return the declarations of what a selection works with: `line`, `work`, `found` and `ranks`."""
    x = call.operands[0]
    kind, size = memory_type(x.dtype), x.dtype.itemsize
    n = call.node.args[0].shape[call.node.attr("axis")]
    work = f"(char *){unit.pointer(call.scratch)}"
    return [
        f"{kind} *line = (void *)({work}), *work = (void *)({work} + {_room(n, size)});",
        f"{kind} found[{len(ranks)}];",
        f"const int64_t ranks[] = {{{', '.join(map(str, ranks))}}};",
    ]


def _bytes(node):
    """Return the bytes for a line, positions, and a sort of our own."""
    x = node.args[0]
    return 3 * _room(x.shape[node.attr("axis")], wide(x.dtype)) + 64


def selection_bytes(node):
    """Return the bytes for a line and for what is kept of it, time after time, with the samples."""
    x = node.args[0]
    return _room(x.shape[node.attr("axis")], x.dtype.itemsize) * 3 + 64 + 4 * 16384 * x.dtype.itemsize


SCRATCH["sort"] = SCRATCH["argsort"] = _bytes
SCRATCH["ranked"] = selection_bytes
