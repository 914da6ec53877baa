"""A long filter that slides over a vector: blocks of outputs in registers, and each read serves several of them."""

from tracejit.kernels.c.routines import routine
from tracejit.kernels.c.spell import memory_type
from tracejit.symbolic.types import F64, dtype_name

#: Vectors of outputs in registers, and elements of the filter, a vector apart, that meet one read of the signal.
VECTORS, STEPS = 8, 4
#: Products in one sum; such sums are added up, so that the rounding error does not grow with the filter.
PART = 1024

_FUNCTION = """#if defined(__clang__)
#define TJ_FUSED
#elif defined(__GNUC__)
#define TJ_FUSED __attribute__((optimize("fp-contract=fast")))
#else
#define TJ_FUSED
#endif
/* r[j] = the sum of h[k] * x[j + k - before] over the k for which x has that element. */
TJ_FUSED TJ_NOINLINE void tj_slide_{t}(const {T} *x, int64_t n, const {T} *h, int64_t m, int64_t before, {T} *r,
                                 int64_t begin, int64_t end) {{
#if defined(__clang__)
#pragma clang fp contract(fast)
#endif
#if defined(__AVX512F__)
  enum {{ W = {wide}, B = {vectors} * W }};
#else
  enum {{ W = {wide} / 2, B = {vectors} * W }};
#endif
#if defined(__GNUC__)
  typedef {T} V __attribute__((vector_size(W * sizeof({T})), aligned(sizeof({T})), may_alias));
#endif
  for (int64_t j = begin; j < end; j += B) {{
    const int64_t width = end - j < B ? end - j : B;
    {T} total[B] = {{0}};
    /* what all outputs of the block have */
    int64_t low = before - j > 0 ? before - j : 0, high = n + before - (j + width - 1);
    if (high > m) high = m;
    if (high < low) high = low;
    for (int64_t s = low; s < high; s += {part}) {{
      const int64_t e = s + {part} < high ? s + {part} : high;
#if defined(__GNUC__)
      if (width == B) {{
        V {zeros};
        for (int64_t o = s; o < s + W && o < e; o++) {{
          int64_t k = o;
          for (; k + {last} * W < e; k += {steps} * W) {{
            const {T} *q = x + (j + k - before);
            V v;
            const {T} {factors};
{body}
          }}
          for (; k < e; k += W) {{
            const {T} *q = x + (j + k - before), f = h[k];
            {single}
          }}
        }}
        {store}
        continue;
      }}
#endif
      for (int64_t l = 0; l < width; l++) {{
        {T} sum = 0;
        for (int64_t k = s; k < e; k++) sum += h[k] * x[j + l + k - before];
        total[l] += sum;
      }}
    }}
    for (int64_t l = 0; l < width; l++) {{ /* and what only some of them have */
      const int64_t ahead = before - j - l, first = ahead > 0 ? ahead : 0, over = n + ahead < m ? n + ahead : m;
      {T} sum = 0;
      for (int64_t k = first; k < low && k < over; k++) sum += h[k] * x[j + l + k - before];
      for (int64_t k = high > first ? high : first; k < over; k++) sum += h[k] * x[j + l + k - before];
      r[j + l] = total[l] + sum;
    }}
  }}
}}"""


def _helper(dtype):
    body = []
    for t in range(VECTORS + STEPS - 1):
        terms = [f"a{t - c} += f{c} * v;" for c in range(STEPS) if 0 <= t - c < VECTORS]
        body.append(f"            v = *(const V *)(q + {t} * W); {' '.join(terms)}")
    return _FUNCTION.format(
        t=dtype_name(dtype), T=memory_type(dtype), wide=64 // dtype.itemsize, vectors=VECTORS, part=PART, steps=STEPS,
        last=STEPS - 1, body="\n".join(body), zeros=", ".join(f"a{a} = {{0}}" for a in range(VECTORS)),
        factors=", ".join(f"f{c} = h[k + {c} * W]" for c in range(STEPS)),
        single=" ".join(f"a{a} += f * *(const V *)(q + {a} * W);" for a in range(VECTORS)),
        store=" ".join(f"*(V *)(total + {a} * W) += a{a};" for a in range(VECTORS)),
    )


@routine("slide")
def _slide(unit, call):
    x, h = call.operands
    before, count = call.node.attrs
    dtype, kind = x.dtype, memory_type(x.dtype)
    unit.helpers[_helper(dtype)] = None
    pointer = lambda b: unit.pointer(b).replace("b[", "p[")
    function = f"g{len(unit.functions)}"
    unit.functions.append("\n".join([
        f"static void {function}(int64_t begin, int64_t end, void *ctx) {{",
        "  void **const p = ctx;",
        f"  tj_slide_{dtype_name(dtype)}((const {kind} *){pointer(x)}, {x.size}, (const {kind} *){pointer(h)}, "
        f"{h.size}, {before}, ({kind} *){pointer(call.results[0])}, begin, end);",
        "}",
    ]))
    block = VECTORS * (8 if dtype == F64 else 16)
    grain = block * max(1, 300_000 // (block * min(x.size, h.size)))
    return [f"tj_pool->parallel({function}, b, {count}, {grain});"]
