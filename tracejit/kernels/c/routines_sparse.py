"""Products with sparse matrices, row by row, and sparse equations by our own library (kernels/sparse.py)."""

import math

from tracejit.kernels import sparse
from tracejit.kernels.c.routines import routine, shape_of
from tracejit.kernels.c.spell import memory_type
from tracejit.symbolic.types import dtype_name

#: Multiplications from which on rows are shared between threads.
PARALLEL = 1 << 15

_MATMUL = """for (int64_t i = begin; i < end; i++) {{
  {T} total = 0;
  for (int64_t k = starts[i]; k < starts[i + 1]; k++) total += data[k] * x[places[k]];
  r[i] = total;
}}"""
_MATMUL_WIDE = """for (int64_t i = begin; i < end; i++) {{
  {T} *TJ_RESTRICT row = r + i * ({wide});
  for (int64_t j = 0; j < {wide}; j++) row[j] = 0;
  for (int64_t k = starts[i]; k < starts[i + 1]; k++) {{
    const {T} a = data[k], *TJ_RESTRICT v = x + places[k] * ({wide});
    TJ_SIMD
    for (int64_t j = 0; j < {wide}; j++) row[j] += a * v[j];
  }}
}}"""
_RMATMUL = """for (int64_t i = begin; i < end; i++) {{
  const {T} a = x[i];
  for (int64_t k = starts[i]; k < starts[i + 1]; k++) r[places[k]] += data[k] * a;
}}"""
_RMATMUL_WIDE = """for (int64_t i = begin; i < end; i++) {{
  const {T} *TJ_RESTRICT v = x + i * ({wide});
  for (int64_t k = starts[i]; k < starts[i + 1]; k++) {{
    const {T} a = data[k];
    {T} *TJ_RESTRICT row = r + places[k] * ({wide});
    TJ_SIMD
    for (int64_t j = 0; j < {wide}; j++) row[j] += a * v[j];
  }}
}}"""
_SAMPLED = """for (int64_t i = begin; i < end; i++) {{
  const {T} a = x[i];
  for (int64_t k = starts[i]; k < starts[i + 1]; k++) r[k] = a * y[places[k]];
}}"""
_SAMPLED_WIDE = """for (int64_t i = begin; i < end; i++) {{
  const {T} *TJ_RESTRICT u = x + i * ({wide});
  for (int64_t k = starts[i]; k < starts[i + 1]; k++) {{
    const {T} *TJ_RESTRICT v = y + places[k] * ({wide});
    {T} total = 0;
    for (int64_t j = 0; j < {wide}; j++) total += u[j] * v[j];
    r[k] = total;
  }}
}}"""


def _product(unit, call, operands, patterns, parallel):
    """Return the lines that run a pattern over the rows; `operands` names what is given, in order."""
    (out,) = call.results
    indptr = call.node.args[operands.index("starts")]
    dense = shape_of(unit, call.node.args[-1].shape)
    rows = shape_of(unit, indptr.shape)[0] - 1
    wide = str(dense[1]) if len(dense) == 2 else "1"
    kind, position = memory_type(out.dtype), memory_type(indptr.dtype)
    types = {"starts": position, "places": position}
    lines = [f"const {types.get(name, kind)} *TJ_RESTRICT {name} = {unit.pointer(b)};"
             for name, b in zip(operands, call.operands)]
    lines += [f"{kind} *TJ_RESTRICT r = {unit.pointer(out)};",
              *patterns[len(dense) - 1].format(T=kind, wide=wide).split("\n")]
    work = math.prod(n for n in (*call.node.args[operands.index("places")].shape, *dense[1:]) if type(n) is int)
    if not parallel or type(rows) is not int or work < PARALLEL:
        return [f"const int64_t begin = 0, end = {rows};", *lines]
    function = f"g{len(unit.functions)}"
    head = [f"static void {function}(int64_t begin, int64_t end, void *ctx) {{", "  void **const p = ctx;"]
    unit.functions.append("\n".join([*head, *("  " + line.replace("b[", "p[") for line in lines), "}"]))
    return [f"tj_pool->parallel({function}, b, {rows}, {max(1, rows * 4096 // max(1, work))});"]


@routine("csr_matmul", sized=True)
def _matmul(unit, call):
    return _product(unit, call, ("data", "places", "starts", "x"), (_MATMUL, _MATMUL_WIDE), True)


@routine("csr_rmatmul", sized=True)
def _rmatmul(unit, call):
    """Rows add to the same places of the result, one after the other."""
    (out,) = call.results
    return [f"memset({unit.pointer(out)}, 0, {unit.size(out.nbytes)});",
            *_product(unit, call, ("data", "places", "starts", "x"), (_RMATMUL, _RMATMUL_WIDE), False)]


@routine("csr_sampled", sized=True)
def _sampled(unit, call):
    return _product(unit, call, ("places", "starts", "x", "y"), (_SAMPLED, _SAMPLED_WIDE), True)


@routine("csr_solve", sized=True)
def _solve(unit, call):
    data, places, starts, b = map(unit.pointer, call.operands)
    (out,) = call.results
    rows, columns = shape_of(unit, call.node.shape)
    count, = shape_of(unit, call.node.args[0].shape)
    wide = int(call.node.args[1].dtype.itemsize == 8)
    name = unit.routine(f"sparse_solve_{dtype_name(out.dtype)}")
    return [f"{name}({rows}, {count}, {data}, {places}, {starts}, {wide}, {columns}, {b}, {unit.pointer(out)}, "
            f"{int(call.node.attr('transposed'))});"]


#: The library whose functions the routines call by name.
LIBRARY = sparse
