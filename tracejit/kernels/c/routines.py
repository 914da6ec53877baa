"""C for library routines: one function per routine, from a Call to lines of C."""

import math

from tracejit.errors import UnsupportedError
from tracejit.kernels import dots
from tracejit.kernels.c.spell import memory_type, number
from tracejit.symbolic.types import C64, C128, F32, F64

_PREFIX = {F32: "s", F64: "d", C64: "c", C128: "z"}

ROUTINES = {}


def routine(name):
    """Register the function that writes a routine: ``(unit, call) -> lines``."""
    def register(function):
        ROUTINES[name] = function
        return function
    return register


def emit(unit, call):
    """Return the lines of C that run a Call."""
    if call.name not in ROUTINES:
        raise UnsupportedError(f"the C backend has no routine {call.name!r}", do="write this part without it")
    return ROUTINES[call.name](unit, call)


@routine("dot_general")
def _dot_general(unit, call):
    node = call.node
    left, right = dots.layouts(node)
    x, y = call.operands
    out, = call.results
    kind = memory_type(node.dtype)
    m, k, n = left.rows, left.columns, right.columns
    lines = [f"const {kind} *p = {unit.pointer(x)}, *q = {unit.pointer(y)};", f"{kind} *r = {unit.pointer(out)};"]
    inner = _gemm_lines(unit, node.dtype, m, k, n, left, right)
    stack = math.prod(left.stack)
    if stack == 1:
        return lines + inner
    lines.append(f"for (int64_t s = 0; s < {stack}; s++, r += {m * n}) {{")
    offsets = [], []
    rest = "s"
    for size, a, b in reversed(list(zip(left.stack, left.batch, right.batch))):
        offsets[0].append(f"({rest}) % {size} * {a}")
        offsets[1].append(f"({rest}) % {size} * {b}")
        rest = f"({rest}) / {size}"
    lines.append(f"  const {kind} *p0 = p + {' + '.join(offsets[0])}, *q0 = q + {' + '.join(offsets[1])};")
    lines.append(f"  {{ const {kind} *p = p0, *q = q0;")
    return [*lines, *("  " + line for line in inner), "  } }"]


def _gemm_lines(unit, dtype, m, k, n, left, right):
    """Return lines that put the product of p (m by k) and q (k by n) into r, row-major."""
    prefix = _PREFIX[dtype]
    one, zero = number(dtype.type(1), dtype), number(dtype.type(0), dtype)
    kind = memory_type(dtype)
    if m == 1 and n == 1 and dtype.kind == "f":
        dot = unit.routine(f"{prefix}dot")
        return [f"int k = {k}, a = {left.column_stride or 1}, c = {right.row_stride or 1};",
                f"*r = {dot}(&k, ({kind} *)p, &a, ({kind} *)q, &c);"]
    scale = f"{kind} one = {one}, zero = {zero};"
    if n == 1 or m == 1:
        return [scale, *_gemv_lines(unit, dtype, left, right, m, k, n)]
    gemm = unit.routine(f"{prefix}gemm")
    # Fortran sees the transposes: r' = q' p'.
    ta, lda = _flag(left.row_stride, left.column_stride, m, k)
    tb, ldb = _flag(right.row_stride, right.column_stride, k, n)
    return [scale, f"int m = {m}, k = {k}, n = {n}, lda = {lda}, ldb = {ldb};",
            f'{gemm}("{tb}", "{ta}", &n, &m, &k, &one, ({kind} *)q, &ldb, ({kind} *)p, &lda, &zero, r, &n);']


def _flag(row_stride, column_stride, rows, columns):
    """Return (letter, leading dimension) of a row-major matrix that Fortran reads as its transpose."""
    if column_stride == 1 or columns == 1:
        if not (columns == 1 and row_stride == 1 and rows > 1):
            return "N", max(1, row_stride if rows > 1 else columns, columns)
        return "N", 1
    return "T", max(1, column_stride, rows)


def _gemv_lines(unit, dtype, left, right, m, k, n):
    prefix, kind = _PREFIX[dtype], memory_type(dtype)
    gemv = unit.routine(f"{prefix}gemv")
    if n == 1:
        rows, columns, rs, cs, matrix, vector, step = m, k, left.row_stride, left.column_stride, "p", "q", right.row_stride
    else:
        rows, columns, rs, cs, matrix, vector, step = n, k, right.column_stride, right.row_stride, "q", "p", left.column_stride
    # A row-major matrix (rows x columns) is for Fortran a (columns x rows) one.
    if cs == 1 or columns == 1:
        letter, a, b, lda = "T", columns, rows, rs if rows > 1 else columns
    else:
        letter, a, b, lda = "N", rows, columns, cs
    return [f"int a = {a}, c = {b}, lda = {max(1, lda, a)}, step = {step or 1}, unit = 1;",
            f'{gemv}("{letter}", &a, &c, &one, ({kind} *){matrix}, &lda, ({kind} *){vector}, &step, &zero, r, &unit);']
