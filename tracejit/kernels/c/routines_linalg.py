"""Dense linear algebra through LAPACK, on stacks of matrices.

LAPACK's matrices are column-major: operands are copied transposed into scratch memory, and results back.
"""

import math

from tracejit.kernels.c.routines import PREFIX, routine
from tracejit.kernels.c.spell import memory_type, number, value_type
from tracejit.kernels.program import SCRATCH
from tracejit.symbolic.types import REAL_OF


def _sizes(node):
    """Return (matrices in the stack, their order, columns of the right-hand side)."""
    a = node.args[0]
    columns = node.args[1].shape[-1] if len(node.args) > 1 else a.shape[-1]
    return math.prod(a.shape[:-2]), a.shape[-1], columns


def _bytes(node):
    _, n, columns = _sizes(node)
    size = node.args[0].dtype.itemsize
    return size * n * n + size * n * columns + 8 * n + 192


for _name in ("cholesky", "solve", "triangular_solve", "inv", "det", "det_sign", "log_abs_det"):
    SCRATCH[_name] = _bytes


def _frame(unit, call, inner, row):
    """Return the loop over a stack around `inner`: operands p and q, result r (`row` elements), scratch a, c."""
    node = call.node
    count, n, columns = _sizes(node)
    kind = memory_type(node.args[0].dtype)
    (out,) = call.results
    size = node.args[0].dtype.itemsize
    work = f"(char *){unit.pointer(call.scratch)}"
    if count == 0 or out.size == 0 and n == 0:
        return []
    second = -(-size * n * n // 64) * 64
    third = second + -(-size * n * columns // 64) * 64
    lines = [
        f"const {kind} *p = {unit.pointer(call.operands[0])};",
        f"{memory_type(out.dtype)} *r = {unit.pointer(out)};",
    ]
    step = f"p += {n * n}, r += {row}"
    if len(call.operands) > 1:
        lines.append(f"const {kind} *q = {unit.pointer(call.operands[1])};")
        step += f", q += {n * columns}"
    # LAPACK's own threads need the cores.
    return [
        "tj_pool->rest();",
        *lines,
        f"{kind} *a = (void *)({work}), *c = (void *)({work} + {second});",
        f"int *pivots = (void *)({work} + {third}), n = {n}, m = {columns}, info = 0;",
        f"for (int64_t s = 0; s < {count}; s++, {step}) {{",
        *("  " + line for line in inner),
        "}",
    ]


def _flip(target, source, rows, columns):
    """Return the line that puts the transpose of a row-major matrix into `target`."""
    return (
        f"for (int64_t i = 0; i < {rows}; i++) for (int64_t j = 0; j < {columns}; j++) "
        f"{target}[i + j * {rows}] = {source}[i * {columns} + j];"
    )


def _back(target, source, rows, columns):
    """Return the line that puts a column-major matrix into row-major `target`."""
    return (
        f"for (int64_t i = 0; i < {rows}; i++) for (int64_t j = 0; j < {columns}; j++) "
        f"{target}[i * {columns} + j] = {source}[i + j * {rows}];"
    )


def _fails(call):
    return f"if (info > 0) {{ fail[0] = {call.code}; goto failed; }}"


@routine("solve")
def _solve(unit, call):
    _, n, columns = _sizes(call.node)
    gesv = unit.routine(f"{PREFIX[call.node.dtype]}gesv")
    return _frame(
        unit,
        call,
        [
            _flip("a", "p", n, n),
            _flip("c", "q", n, columns),
            f"{gesv}(&n, &m, a, &n, pivots, c, &n, &info);",
            _fails(call),
            _back("r", "c", n, columns),
        ],
        n * columns,
    )


@routine("inv")
def _inv(unit, call):
    _, n, _ = _sizes(call.node)
    gesv = unit.routine(f"{PREFIX[call.node.dtype]}gesv")
    unit_matrix = f"for (int64_t i = 0; i < {n * n}; i++) c[i] = i % {n + 1} == 0;"
    return _frame(
        unit,
        call,
        [
            _flip("a", "p", n, n),
            unit_matrix,
            f"{gesv}(&n, &m, a, &n, pivots, c, &n, &info);",
            _fails(call),
            _back("r", "c", n, n),
        ],
        n * n,
    )


@routine("triangular_solve")
def _triangular_solve(unit, call):
    node = call.node
    _, n, columns = _sizes(node)
    trtrs = unit.routine(f"{PREFIX[node.dtype]}trtrs")
    lower, trans = node.attrs
    # p is row-major: LAPACK sees its transpose, so both words turn around and no copy of it is needed.
    triangle, flag = "U" if lower else "L", "N" if trans else "T"
    kind = memory_type(node.dtype)
    return _frame(
        unit,
        call,
        [
            _flip("c", "q", n, columns),
            f'{trtrs}("{triangle}", "{flag}", "N", &n, &m, ({kind} *)p, &n, c, &n, &info);',
            _fails(call),
            _back("r", "c", n, columns),
        ],
        n * columns,
    )


@routine("cholesky")
def _cholesky(unit, call):
    _, n, _ = _sizes(call.node)
    potrf = unit.routine(f"{PREFIX[call.node.dtype]}potrf")
    # The lower triangle of a row-major matrix is the upper one of its transpose, and U = L^T.
    return _frame(
        unit,
        call,
        [
            f"memcpy(r, p, {call.results[0].dtype.itemsize * n * n});",
            f'{potrf}("U", &n, r, &n, &info);',
            _fails(call),
            f"for (int64_t i = 0; i < {n}; i++) for (int64_t j = i + 1; j < {n}; j++) r[i * {n} + j] = 0;",
        ],
        n * n,
    )


def _determinant(finish):
    def write(unit, call):
        node = call.node
        _, n, _ = _sizes(node)
        dtype = node.args[0].dtype
        getrf = unit.routine(f"{PREFIX[dtype]}getrf")
        return _frame(
            unit,
            call,
            [f"memcpy(a, p, {dtype.itemsize * n * n});", f"{getrf}(&n, &n, a, &n, pivots, &info);", *finish(dtype, n)],
            1,
        )

    return write


def _sign_line(n):
    return f"int odd = 0; for (int64_t i = 0; i < {n}; i++) odd ^= pivots[i] != i + 1;"


def _det(dtype, n):
    kind = value_type(dtype)
    return [
        _sign_line(n),
        f"{kind} product = odd ? {number(dtype.type(-1), dtype)} : {number(dtype.type(1), dtype)};",
        f"for (int64_t i = 0; i < {n}; i++) product *= a[i * {n + 1}];",
        "*r = product;",
    ]


def _det_sign(dtype, n):
    if dtype.kind == "c":
        f = "f" if REAL_OF[dtype].itemsize == 4 else ""
        return [
            _sign_line(n),
            f"{value_type(dtype)} sign = odd ? -1 : 1;",
            f"for (int64_t i = 0; i < {n}; i++) {{ const {value_type(dtype)} d = a[i * {n + 1}]; "
            f"sign *= d == 0 ? d : d / cabs{f}(d); }}",
            "*r = sign;",
        ]
    return [
        _sign_line(n),
        f"{value_type(dtype)} sign = odd ? -1 : 1;",
        f"for (int64_t i = 0; i < {n}; i++) {{ const {value_type(dtype)} d = a[i * {n + 1}]; "
        "sign *= d < 0 ? -1 : d == 0 ? 0 : 1; }",
        "*r = sign;",
    ]


def _log_abs_det(dtype, n):
    part = REAL_OF.get(dtype, dtype)
    f = "f" if part.itemsize == 4 else ""
    magnitude = f"cabs{f}" if dtype.kind == "c" else f"fabs{f}"
    return [
        f"{value_type(part)} total = 0;",
        f"for (int64_t i = 0; i < {n}; i++) total += log{f}({magnitude}(a[i * {n + 1}]));",
        "*r = total;",
    ]


routine("det")(_determinant(_det))
routine("det_sign")(_determinant(_det_sign))
routine("log_abs_det")(_determinant(_log_abs_det))
