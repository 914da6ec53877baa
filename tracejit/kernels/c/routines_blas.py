"""Products of matrices through BLAS."""

import math

from tracejit.kernels import dots
from tracejit.kernels.c.routines import PREFIX, fill_or_copy, routine
from tracejit.kernels.c.spell import memory_type, number
from tracejit.symbolic.ir import scalar_literal


@routine("dot_general")
def _dot_general(unit, call):
    node = call.node
    left, right = dots.layouts(node)
    x, y = call.operands
    out, = call.results
    kind = memory_type(node.dtype)
    m, k, n = left.rows, left.columns, right.columns
    zero, one = (number(node.dtype.type(v), node.dtype) for v in (0, 1))
    lines = [f"const {kind} *p = {unit.pointer(x)}, *q = {unit.pointer(y)};", f"{kind} *r = {unit.pointer(out)};",
             f"const {kind} alpha = {one}, beta = {zero};"]
    inner = _product(unit, node.dtype, (left.row_stride, left.column_stride), (right.row_stride, right.column_stride), m, k, n)
    stack = math.prod(left.stack)
    if stack == 1:
        return lines + inner
    lines.append(f"for (int64_t s = 0; s < {stack}; s++, r += {m * n}) {{")
    at_p, at_q, rest = [], [], "s"
    for size, a, b in reversed(list(zip(left.stack, left.batch, right.batch))):
        at_p.append(f"{rest} % {size} * {a}")
        at_q.append(f"{rest} % {size} * {b}")
        rest = f"({rest} / {size})"
    lines.append(f"  const {kind} *p0 = p + {' + '.join(at_p)}, *q0 = q + {' + '.join(at_q)};")
    lines.append(f"  {{ const {kind} *p = p0, *q = q0;")
    return [*lines, *("    " + line for line in inner), "  }", "}"]


def _product(unit, dtype, p, q, m, k, n):
    """Return lines that make r (m by n, row-major) alpha p q + beta r; p and q are (row stride, column stride)."""
    letter, kind = PREFIX[dtype], memory_type(dtype)
    if n == 1:
        return _matrix_vector(unit, dtype, "p", p, m, k, "q", q[0])
    if m == 1:
        return _matrix_vector(unit, dtype, "q", q[::-1], n, k, "p", p[1])
    gemm = unit.routine(f"{letter}gemm")
    # Fortran, whose matrices are column-major, sees the transposes: r' = q' p'.
    (flag_p, lda), (flag_q, ldb) = _transposed(*p, m, k), _transposed(*q, k, n)
    return [f"int m = {m}, k = {k}, n = {n}, lda = {lda}, ldb = {ldb};",
            f'{gemm}("{flag_q}", "{flag_p}", &n, &m, &k, ({kind} *)&alpha, ({kind} *)q, &ldb, ({kind} *)p, &lda, '
            f"({kind} *)&beta, r, &n);"]


def _transposed(row_stride, column_stride, rows, columns):
    """Return (letter, leading dimension) with which Fortran reads the transpose of a matrix of these strides."""
    if column_stride == 1 or columns == 1:
        if columns == 1 and rows > 1:
            return "N", max(1, row_stride)
        return "N", max(1, columns, row_stride if rows > 1 else 1)
    return "T", max(1, rows, column_stride)


def _matrix_vector(unit, dtype, matrix, strides, rows, columns, vector, step):
    """Return lines that make r alpha matrix vector + beta r."""
    letter, kind = PREFIX[dtype], memory_type(dtype)
    row, column = strides
    if rows == 1 and dtype.kind == "f":
        dot = unit.routine(f"{letter}dot")
        return [f"int k = {columns}, step = {column or 1}, other = {step or 1};",
                f"const {kind} sum = {dot}(&k, ({kind} *){matrix}, &step, ({kind} *){vector}, &other);",
                "*r = beta == 0 ? alpha * sum : alpha * sum + beta * *r;"]
    gemv = unit.routine(f"{letter}gemv")
    if column == 1 or columns == 1:
        flag, a, b, lead = "T", columns, rows, row if rows > 1 else columns
    else:
        flag, a, b, lead = "N", rows, columns, column
    return [f"int a = {a}, c = {b}, lead = {max(1, lead, a)}, step = {step or 1}, unit = 1;",
            f'{gemv}("{flag}", &a, &c, ({kind} *)&alpha, ({kind} *){matrix}, &lead, ({kind} *){vector}, &step, '
            f"({kind} *)&beta, r, &unit);"]


def _scalar(unit, node, operand):
    value = scalar_literal(node)
    kind = memory_type(node.dtype)
    return number(value, node.dtype) if value is not None else f"*(const {kind} *){unit.pointer(operand)}"


@routine("gemm")
def _gemm(unit, call):
    node = call.node
    a, b, c, alpha, beta = call.operands
    m, n = node.shape
    k = node.args[0].shape[0 if node.attr("trans_a") else 1]
    p = (1, m) if node.attr("trans_a") else (k, 1)
    q = (1, k) if node.attr("trans_b") else (n, 1)
    return [*_onto(unit, call, c, alpha, beta), *_product(unit, node.dtype, p, q, m, k, n)]


@routine("gemv")
def _gemv(unit, call):
    node = call.node
    rows, = node.shape
    columns, = node.args[1].shape
    _, _, c, alpha, beta = call.operands
    strides = (1, rows) if node.attr("trans") else (columns, 1)
    return [*_onto(unit, call, c, alpha, beta), *_matrix_vector(unit, node.dtype, "p", strides, rows, columns, "q", 1)]


def _onto(unit, call, c, alpha, beta):
    """Return the declarations of p, q, r, alpha, beta, with the addend in r."""
    node, kind = call.node, memory_type(call.node.dtype)
    a, b = call.operands[:2]
    out, = call.results
    lines = [f"const {kind} *p = {unit.pointer(a)}, *q = {unit.pointer(b)};", f"{kind} *r = {unit.pointer(out)};"]
    zero = scalar_literal(node.args[4]) == 0 or scalar_literal(node.args[2]) == 0
    if not zero:
        lines += fill_or_copy(unit, node.args[2], c, out)
    beta_text = number(node.dtype.type(0), node.dtype) if zero else _scalar(unit, node.args[4], beta)
    return [*lines, f"const {kind} alpha = {_scalar(unit, node.args[3], alpha)}, beta = {beta_text};"]
