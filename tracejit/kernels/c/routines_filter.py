"""Recursive filters, row by row; rows go to several threads."""

from tracejit.kernels.c.routines import routine
from tracejit.kernels.c.spell import memory_type

#: Numbers from which on rows are filtered by several threads.
PARALLEL = 1 << 14

_FORWARD = """    memcpy(z, u + {n}, {state});
    for (int64_t i = 0; i < {n}; i++) {{
      const {T} x = u[i], y = z[0] + b[0] * x;
      for (int64_t k = 0; k < {last}; k++) z[k] = z[k + 1] + x * b[k + 1] - y * a[k + 1];
      z[{last}] = x * b[{order}] - y * a[{order}];
      v[i] = y;
    }}"""
_BACKWARD = """    memcpy(z, u + {n}, {state});
    for (int64_t i = {n} - 1; i >= 0; i--) {{
      {T} total = u[i], x = 0;
      for (int64_t k = 0; k < {order}; k++) total -= a[k + 1] * z[k];
      for (int64_t k = 0; k < {order}; k++) x += b[k + 1] * z[k];
      v[i] = x + b[0] * total;
      for (int64_t k = {last}; k > 0; k--) z[k] = z[k - 1];
      z[0] = total;
    }}"""


def _filter(pattern):
    def write(unit, call):
        b, a, u = call.operands
        rows, width = call.node.shape
        order = call.node.args[0].shape[0] - 1
        if rows == 0:
            return []
        kind = memory_type(u.dtype)
        inner = pattern.format(n=width - order, order=order, last=order - 1, T=kind, state=order * u.dtype.itemsize)
        body = [
            f"  const {kind} *TJ_RESTRICT b = {unit.pointer(b)};".replace("b[", "p["),
            f"  const {kind} *TJ_RESTRICT a = {unit.pointer(a)};".replace("b[", "p["),
            f"  const {kind} *TJ_RESTRICT u = {unit.pointer(u)};".replace("b[", "p["),
            f"  {kind} *TJ_RESTRICT v = {unit.pointer(call.results[0])};".replace("b[", "p["),
            f"  u += begin * {width}, v += begin * {width};",
            f"  for (int64_t s = begin; s < end; s++, u += {width}, v += {width}) {{",
            f"    {kind} z[{order}];",
            inner,
            f"    memcpy(v + {width - order}, z, {order * u.dtype.itemsize});",
            "  }",
        ]
        function = f"g{len(unit.functions)}"
        head = [f"static void {function}(int64_t begin, int64_t end, void *ctx) {{", "  void **const p = ctx;"]
        unit.functions.append("\n".join([*head, *body, "}"]))
        if rows * width < PARALLEL or rows == 1:
            return [f"{function}(0, {rows}, b);"]
        return [f"tj_pool->parallel({function}, b, {rows}, {max(1, 4096 // width)});"]

    return write


routine("lfilter")(_filter(_FORWARD))
routine("lfilter_adjoint")(_filter(_BACKWARD))


@routine("sosfilt")
def _sosfilt(unit, call):
    """All sections take one number before the next: their recursions overlap in time."""
    sos, u = call.operands
    rows, width = call.node.shape
    sections = call.node.args[0].shape[0]
    if rows == 0:
        return []
    kind, n = memory_type(u.dtype), width - 2 * sections
    step = []
    for k in range(sections):
        c = [f"c[{6 * k + i}]" for i in range(6)]
        step += [
            f"      {{ const {kind} y = z{k} + {c[0]} * x;",
            f"        z{k} = w{k} + x * {c[1]} - y * {c[4]};",
            f"        w{k} = x * {c[2]} - y * {c[5]};",
            "        x = y; }",
        ]
    at = [f"v[{n + 2 * k}] = z{k}; v[{n + 2 * k + 1}] = w{k};" for k in range(sections)]
    body = [
        f"  const {kind} *TJ_RESTRICT c = {unit.pointer(sos)};".replace("b[", "p["),
        f"  const {kind} *TJ_RESTRICT u = {unit.pointer(u)};".replace("b[", "p["),
        f"  {kind} *TJ_RESTRICT v = {unit.pointer(call.results[0])};".replace("b[", "p["),
        f"  u += begin * {width}, v += begin * {width};",
        f"  for (int64_t s = begin; s < end; s++, u += {width}, v += {width}) {{",
        *[f"    {kind} z{k} = u[{n + 2 * k}], w{k} = u[{n + 2 * k + 1}];" for k in range(sections)],
        f"    for (int64_t i = 0; i < {n}; i++) {{",
        f"      {kind} x = u[i];",
        *step,
        "      v[i] = x;",
        "    }",
        *["    " + line for line in at],
        "  }",
    ]
    function = f"g{len(unit.functions)}"
    head = [f"static void {function}(int64_t begin, int64_t end, void *ctx) {{", "  void **const p = ctx;"]
    unit.functions.append("\n".join([*head, *body, "}"]))
    if rows * width < PARALLEL or rows == 1:
        return [f"{function}(0, {rows}, b);"]
    return [f"tj_pool->parallel({function}, b, {rows}, {max(1, 4096 // width)});"]
