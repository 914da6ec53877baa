"""Products of matrices through BLAS."""

import math

from tracejit.kernels import dots
from tracejit.kernels.c.routines import PREFIX, fill_or_copy, routine, shape_of
from tracejit.kernels.c.spell import memory_type, number
from tracejit.symbolic.ir import scalar_literal
from tracejit.symbolic.types import dtype_name

#: Multiplications from which on a product is shared out among threads, and elements of a matrix that meets a vector.
PARALLEL_GEMM = 400_000
PARALLEL_GEMV = 100_000
_CONTEXT = "typedef struct {{ const {kind} *p, *q; {kind} *r; {kind} alpha, beta; void **b; }} tj_product_{t};"


@routine("dot_general", sized=True)
def _dot_general(unit, call):
    node = call.node
    left, right = dots.layouts(node)
    x, y = call.operands
    (out,) = call.results
    zero, one = (number(node.dtype.type(v), node.dtype) for v in (0, 1))
    if call.sizes:
        return _sized_product(unit, node.dtype, (unit.pointer(x), unit.pointer(y), unit.pointer(out)), left, right)
    return _product(unit, node.dtype, (unit.pointer(x), unit.pointer(y), unit.pointer(out), one, zero), left, right)


def _product(unit, dtype, values, left, right):
    """Return lines that make r alpha p q + beta r, for `values` p, q, r, alpha, beta and the Layouts of p and q.

    BLAS runs single-threaded, and its products are shared out among our own threads: the workers of two pools would
    take the cores from each other.
    """
    m, k, n = left.rows, left.columns, right.columns
    stack, kind = math.prod(left.stack), memory_type(dtype)
    unit.speller.support[_CONTEXT.format(kind=kind, t=dtype_name(dtype))] = None
    work, size = m * k * n * stack, max(m, n)
    limit = PARALLEL_GEMV if min(m, n) == 1 else PARALLEL_GEMM
    names = f"const {kind} *p = d->p, *q = d->q; {kind} *r = d->r; const {kind} alpha = d->alpha, beta = d->beta;"
    lines = []
    if stack > 1:
        lines.append(
            f"for (int64_t s = begin; s < end; s++) {{ const {kind} *p = d->p, *q = d->q; "
            f"{kind} *r = d->r + s * {m * n};"
        )
        rest = "s"
        for count, a, b in reversed(list(zip(left.stack, left.batch, right.batch))):
            lines.append(f"  p += {rest} % {count} * {a}, q += {rest} % {count} * {b};")
            rest = f"({rest} / {count})"
        lines[0] += f" const {kind} alpha = d->alpha, beta = d->beta;"
        total, grain = stack, "1"
        inner = _once(unit, dtype, left, right, str(m), str(n))
        lines += ["  " + line for line in inner] + ["}"]
    else:
        rows = m >= n
        total, unit_size = size, 16 if min(m, n) > 1 else 64
        grain = f"({total} / tj_pool->threads / {unit_size} + 1) * {unit_size}"
        move = (
            f"p += begin * {left.row_stride}, r += begin * {n};"
            if rows
            else f"q += begin * {right.column_stride}, r += begin;"
        )
        sizes = ("end - begin", str(n)) if rows else (str(m), "end - begin")
        lines += [names, move, *_once(unit, dtype, left, right, *sizes)]
    function = f"g{len(unit.functions)}"
    head = [
        f"static void {function}(int64_t begin, int64_t end, void *ctx) {{",
        f"  const tj_product_{dtype_name(dtype)} *d = ctx;",
        "  void **const b = d->b;",
    ]
    unit.functions.append("\n".join([*head, *("  " + line for line in lines), "}"]))
    p, q, r, alpha, beta = values
    start = f"tj_product_{dtype_name(dtype)} d = {{{p}, {q}, {r}, {alpha}, {beta}, b}};"
    if work < limit:
        return [start, f"{function}(0, {total}, &d);"]
    get, put = unit.routine("blas_get_threads"), unit.routine("blas_set_threads")
    return [
        start,
        f"const int threads = {put} ? {get}() : 0;",
        "if (threads) {",
        f"  if (threads > 1) {put}(1);",
        f"  tj_pool->parallel({function}, &d, {total}, {grain});",
        f"  if (threads > 1) {put}(threads);",
        f"}} else {{ tj_pool->rest(); {function}(0, {total}, &d); }}",
    ]


def _once(unit, dtype, left, right, m, n):
    """Return lines that make r alpha p q + beta r for `m` rows of p and `n` columns of q (C texts)."""
    letter, kind, k = PREFIX[dtype], memory_type(dtype), left.columns
    if right.columns == 1:
        return _matrix_vector(unit, dtype, "p", (left.row_stride, left.column_stride), m, k, "q", right.row_stride)
    if left.rows == 1:
        return _matrix_vector(unit, dtype, "q", (right.column_stride, right.row_stride), n, k, "p", left.column_stride)
    gemm = unit.routine(f"{letter}gemm")
    # Fortran, whose matrices are column-major, sees the transposes: r' = q' p'.
    flag_p, lda = _transposed(left.row_stride, left.column_stride, left.rows, k)
    flag_q, ldb = _transposed(right.row_stride, right.column_stride, k, right.columns)
    return [
        f"int m = {m}, k = {k}, n = {n}, lda = {lda}, ldb = {ldb}, ldr = {right.columns};",
        f'{gemm}("{flag_q}", "{flag_p}", &n, &m, &k, ({kind} *)&alpha, ({kind} *)q, &ldb, ({kind} *)p, &lda, '
        f"({kind} *)&beta, r, &ldr);",
    ]


def _sized_product(unit, dtype, values, left, right):
    """Return lines that make r = p q for matrices with sizes known at run time, by BLAS and its own threads."""
    kind, gemm = memory_type(dtype), unit.routine(f"{PREFIX[dtype]}gemm")
    m, k = shape_of(unit, (left.rows, left.columns))
    (n,) = shape_of(unit, (right.columns,))
    flags, leads = [], []
    for side in (left, right):
        inside = type(side.column_stride) is int and side.column_stride == 1
        (lead,) = shape_of(unit, (side.row_stride if inside else side.column_stride,))
        flags.append("N" if inside else "T")
        leads.append(f"({lead}) > 1 ? ({lead}) : 1")
    one, zero = (number(dtype.type(v), dtype) for v in (1, 0))
    return [
        f"int m = {m}, k = {k}, n = {n}, lda = {leads[0]}, ldb = {leads[1]}, ldr = n > 1 ? n : 1;",
        f"const {kind} alpha = {one}, beta = {zero};",
        f"if (m && n) {{ tj_pool->rest(); if (!k) memset({values[2]}, 0, sizeof({kind}) * m * n); else",
        f'  {gemm}("{flags[1]}", "{flags[0]}", &n, &m, &k, ({kind} *)&alpha, ({kind} *)({values[1]}), &ldb, '
        f"({kind} *)({values[0]}), &lda, ({kind} *)&beta, {values[2]}, &ldr); }}",
    ]


def _transposed(row_stride, column_stride, rows, columns):
    """Return (letter, leading dimension) with which Fortran reads the transpose of a matrix of these strides."""
    if column_stride == 1 or columns == 1:
        if columns == 1 and rows > 1:
            return "N", max(1, row_stride)
        return "N", max(1, columns, row_stride if rows > 1 else 1)
    return "T", max(1, rows, column_stride)


def _matrix_vector(unit, dtype, matrix, strides, rows, columns, vector, step):
    """Return lines that make r alpha matrix vector + beta r, for `rows` (a C text) of the matrix."""
    letter, kind = PREFIX[dtype], memory_type(dtype)
    row, column = strides
    if rows == "1" and dtype.kind == "f":
        dot = unit.routine(f"{letter}dot")
        return [
            f"int k = {columns}, step = {column or 1}, other = {step or 1};",
            f"const {kind} sum = {dot}(&k, ({kind} *){matrix}, &step, ({kind} *){vector}, &other);",
            "*r = beta == 0 ? alpha * sum : alpha * sum + beta * *r;",
        ]
    gemv = unit.routine(f"{letter}gemv")
    if column == 1 or columns == 1:
        return [
            f"int a = {columns}, c = {rows}, lead = {max(1, row, columns)}, step = {step or 1}, unit = 1;",
            f'{gemv}("T", &a, &c, ({kind} *)&alpha, ({kind} *){matrix}, &lead, ({kind} *){vector}, &step, '
            f"({kind} *)&beta, r, &unit);",
        ]
    return [
        f"int a = {rows}, c = {columns}, lead = {max(1, column)}, step = {step or 1}, unit = 1;",
        f'{gemv}("N", &a, &c, ({kind} *)&alpha, ({kind} *){matrix}, &lead, ({kind} *){vector}, &step, '
        f"({kind} *)&beta, r, &unit);",
    ]


def _scalar(unit, node, operand):
    value = scalar_literal(node)
    kind = memory_type(node.dtype)
    return number(value, node.dtype) if value is not None else f"*(const {kind} *){unit.pointer(operand)}"


@routine("gemm")
def _gemm(unit, call):
    node = call.node
    m, n = node.shape
    k = node.args[0].shape[0 if node.attr("trans_a") else 1]
    left = dots.Layout(None, m, 1 if node.attr("trans_a") else k, k, m if node.attr("trans_a") else 1, (), ())
    right = dots.Layout(None, k, 1 if node.attr("trans_b") else n, n, k if node.attr("trans_b") else 1, (), ())
    return _onto(unit, call, left, right)


@routine("gemv")
def _gemv(unit, call):
    node = call.node
    (rows,), (columns,) = node.shape, node.args[1].shape
    left = dots.Layout(
        None, rows, 1 if node.attr("trans") else columns, columns, rows if node.attr("trans") else 1, (), ()
    )
    return _onto(unit, call, left, dots.Layout(None, columns, 1, 1, 1, (), ()))


def _onto(unit, call, left, right):
    """Return the lines of a gemm or gemv, with the addend put into the result first."""
    node = call.node
    a, b, c, alpha, beta = call.operands
    (out,) = call.results
    zero = scalar_literal(node.args[4]) == 0 or scalar_literal(node.args[2]) == 0
    lines = [] if zero else fill_or_copy(unit, node.args[2], c, out)
    beta_text = number(node.dtype.type(0), node.dtype) if zero else _scalar(unit, node.args[4], beta)
    values = unit.pointer(a), unit.pointer(b), unit.pointer(out), _scalar(unit, node.args[3], alpha), beta_text
    return [*lines, *_product(unit, node.dtype, values, left, right)]
