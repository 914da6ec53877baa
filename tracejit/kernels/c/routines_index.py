"""Writes at positions that are data."""

import math

from tracejit.kernels.c.routines import fill_or_copy, fold, load, routine, shape_of, store
from tracejit.kernels.c.spell import memory_type, number
from tracejit.symbolic.ir import scalar_literal
from tracejit.symbolic.types import F16, F32

_FOLDS = {
    "scatter_set": None,
    "scatter_add": "add",
    "scatter_multiply": "multiply",
    "scatter_max": "maximum",
    "scatter_min": "minimum",
}


def _scatter(unit, call):
    node = call.node
    x, value, *indices = node.args
    under, new, *places = call.operands
    (out,) = call.results
    dtype, kind = node.dtype, memory_type(node.dtype)
    lines = fill_or_copy(unit, x, under, out)
    depth = len(indices)
    shape = shape_of(unit, x.shape)
    row = math.prod(shape[depth:])
    terms = [f"i{k}[e] * {math.prod(shape[k + 1 :])}" for k in range(depth)]
    lines += [
        f"{kind} *r = {unit.pointer(out)};",
        *([f"const {kind} *v = {unit.pointer(new)};"] if new is not None else []),
        *[f"const int64_t *i{k} = {unit.pointer(b)};" for k, b in enumerate(places)],
    ]
    place = f"r[at + {'j' if row != 1 else 0}]"
    if new is None:
        fresh = number(scalar_literal(value), F32 if dtype == F16 else dtype)
    else:
        fresh = load(unit, dtype, f"v[e * {row} + {'j' if row != 1 else 0}]")
    folding = _FOLDS[node.op.name]
    text = fresh if folding is None else fold(unit, folding, dtype, load(unit, dtype, place), fresh)
    write = store(unit, dtype, place, text)
    inner = [f"    {write}"] if row == 1 else ["    TJ_SIMD", f"    for (int64_t j = 0; j < {row}; j++) {{ {write} }}"]
    return [
        *lines,
        f"for (int64_t e = 0; e < {math.prod(shape_of(unit, indices[0].shape))}; e++) {{",
        f"  const int64_t at = {' + '.join(terms)};",
        *inner,
        "}",
    ]


for _name in _FOLDS:
    routine(_name, sized=True)(_scatter)


@routine("dynamic_set_slice")
def _dynamic_set_slice(unit, call):
    node = call.node
    x, value, *starts = node.args
    under, new, *places = call.operands
    (out,) = call.results
    kind = memory_type(node.dtype)
    lines = [
        *fill_or_copy(unit, x, under, out),
        f"{kind} *r = {unit.pointer(out)};",
        f"const {kind} *v = {unit.pointer(new)};",
    ]
    if value.type.size == 0:
        return lines
    at = []
    for k, (n, b) in enumerate(zip(value.shape, places)):
        lines.append(f"const int64_t s{k} = *(const int64_t *){unit.pointer(b)};")
        at.append((k, n, math.prod(x.shape[k + 1 :]), math.prod(value.shape[k + 1 :])))
    target = " + ".join([f"(s{k} + j{k}) * {a}" for k, _, a, _ in at]) or "0"
    source = " + ".join([f"j{k} * {b}" for k, _, _, b in at]) or "0"
    loops = [f"for (int64_t j{k} = 0; j{k} < {n}; j{k}++)" for k, n, _, _ in at]
    return [*lines, *loops, f"  r[{target}] = v[{source}];"]


#: Writes i + k for each byte k of a word of eight that is 1, one behind the other, and perhaps something behind them.
_PLACES = """#if defined(__BMI2__) && defined(__AVX2__) && defined(__GNUC__) && !defined(__clang__)
typedef char tj_bytes __attribute__((vector_size(16)));
typedef long long tj_pair __attribute__((vector_size(16))), tj_four __attribute__((vector_size(32)));
TJ_INLINE void tj_put_places(int64_t *r, uint64_t eight, int64_t i) {
  const uint64_t places = __builtin_ia32_pext_di(0x0706050403020100u, eight * 255u);
  const tj_pair low = {(long long)places, 0}, high = {(long long)(places >> 32), 0};
  const tj_four a = (tj_four)__builtin_ia32_pmovzxbq256((tj_bytes)low) + i;
  const tj_four b = (tj_four)__builtin_ia32_pmovzxbq256((tj_bytes)high) + i;
  memcpy(r, &a, 32), memcpy(r + 4, &b, 32);
}
#else
TJ_INLINE void tj_put_places(int64_t *r, uint64_t eight, int64_t i) {
  for (int k = 0; k < 8; k++, eight >>= 8) *r = i + k, r += eight & 1; /* no branch to predict */
}
#endif"""


@routine("nonzero", sized=True)
def _nonzero(unit, call):
    """Eight places are written at once, those that hold first, and the next ones go over the others."""
    (mask,), (out,) = call.operands, call.results
    size, count = unit.size(out.size), unit.size(mask.size)
    unit.helpers[_PLACES] = None
    low = "0x7f7f7f7f7f7f7f7fu"
    return [
        f"const uint8_t *TJ_RESTRICT m = {unit.pointer(mask)};",
        f"int64_t *TJ_RESTRICT r = {unit.pointer(out)}, found = 0, i = 0;",
        f"for (; i + 8 <= {count} && found + 8 <= {size}; i += 8) {{",
        "  uint64_t eight;",
        "  memcpy(&eight, m + i, 8);",
        "  if (!eight) continue;",
        f"  eight = (((eight & {low}) + {low}) | eight) >> 7 & 0x0101010101010101u;",
        "  tj_put_places(r + found, eight, i);",
        "  found += eight * 0x0101010101010101u >> 56;",
        "}",
        f"for (; i < {count} && found < {size}; i++) {{",
        "  uint64_t eight;",
        f"  while (i + 8 <= {count} && (memcpy(&eight, m + i, 8), !eight)) i += 8;",
        f"  if (i < {count} && m[i]) r[found++] = i;",
        "}",
        f"for (; found < {size}; found++) r[found] = 0;",
    ]


@routine("repeated", sized=True)
def _repeated(unit, call):
    """Count up: each position fills its stretch."""
    (counts,), (out,) = call.operands, call.results
    size = unit.size(out.size)
    return [
        f"const int64_t *c = {unit.pointer(counts)};",
        f"int64_t *r = {unit.pointer(out)}, at = 0;",
        f"for (int64_t i = 0; i < {unit.size(counts.size)}; i++) {{",
        f"  const int64_t end = at + c[i] < {size} ? at + c[i] : {size};",
        "  for (; at < end; at++) r[at] = i;",
        "}",
    ]
