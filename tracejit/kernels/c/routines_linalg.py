"""Equations, inverses, determinants and the Cholesky factor, through LAPACK."""

from tracejit.kernels.c.lapack import INT, call, into_columns, into_rows, lapack, letter, matrix, real_dtype, workspaces
from tracejit.kernels.c.spell import memory_type, number, value_type


def _equations(node):
    """Return scratch for a matrix, right-hand sides and pivots."""
    (n, _), dtype = matrix(node), node.args[0].dtype
    columns = node.args[1].shape[-1] if len(node.args) > 1 else n
    return {"a": (dtype, n * n), "c": (dtype, n * columns), "pivots": (INT, n)}


def _solved(unit, node, right):
    """Return lines that solve for the right-hand sides which `right` puts into c."""
    n, dtype = matrix(node)[0], node.dtype
    columns = node.shape[-1]
    return [
        into_columns("a", "p0", n, n),
        right,
        call(unit, "gesv", dtype, n, columns, "a", max(1, n), "pivots", "c", max(1, n)),
        into_rows("r0", "c", n, columns),
    ]


@lapack("solve", _equations)
def _solve(unit, node):
    return _solved(unit, node, into_columns("c", "p1", *node.shape[-2:]))


@lapack("inv", _equations)
def _inv(unit, node):
    n = matrix(node)[0]
    return _solved(unit, node, f"for (int64_t i = 0; i < {n * n}; i++) c[i] = i % {n + 1} == 0;")


@lapack("triangular_solve", lambda node: {"c": (node.dtype, node.shape[-2] * node.shape[-1])})
def _triangular_solve(unit, node):
    lower, trans, ones = node.attrs
    n, columns = node.shape[-2:]
    # p0 is row-major: LAPACK sees its transpose, so both words turn around and no copy of it is needed.
    words = "U" if lower else "L", "N" if trans else "T", "U" if ones else "N"
    return [
        into_columns("c", "p1", n, columns),
        call(unit, "trtrs", node.dtype, *words, n, columns, "p0", max(1, n), "c", max(1, n)),
        into_rows("r0", "c", n, columns),
    ]


@lapack("cholesky", lambda node: {})
def _cholesky(unit, node):
    n = matrix(node)[0]
    # The lower triangle of a row-major matrix is the upper one of its transpose, and U = L^T.
    return [
        f"memcpy(r0, p0, {node.dtype.itemsize * n * n});",
        call(unit, "potrf", node.dtype, "U", n, "r0", max(1, n)),
        f"for (int64_t i = 0; i < {n}; i++) for (int64_t j = i + 1; j < {n}; j++) r0[i * {n} + j] = 0;",
    ]


# ---------------------------------------------------------------- determinants
def _determinant(name, finish):
    """Register a routine that works on the triangular factor, whose diagonal `finish` reads."""
    @lapack(name, lambda node: {"a": (node.args[0].dtype, matrix(node)[0] ** 2), "pivots": (INT, matrix(node)[0])})
    def write(unit, node):
        n, dtype = matrix(node)[0], node.args[0].dtype
        return [
            f"memcpy(a, p0, {dtype.itemsize * n * n});",
            call(unit, "getrf", dtype, n, n, "a", max(1, n), "pivots"),
            *_parity(n),
            *finish(dtype, n),
        ]


def _parity(n):
    return ["int odd = 0;", f"for (int64_t i = 0; i < {n}; i++) odd ^= pivots[i] != i + 1;"]


def _product(dtype, n, target):
    kind = value_type(dtype)
    return [
        f"{kind} {target} = odd ? {number(dtype.type(-1), dtype)} : {number(dtype.type(1), dtype)};",
        f"for (int64_t i = 0; i < {n}; i++) {target} *= a[i * {n + 1}];",
    ]


def _det_sign(dtype, n):
    kind = value_type(dtype)
    if dtype.kind == "c":
        f = "f" if real_dtype(dtype).itemsize == 4 else ""
        step = f"sign *= d == 0 ? d : d / cabs{f}(d);"
    else:
        step = "sign *= d < 0 ? -1 : d == 0 ? 0 : d > 0 ? 1 : d;"
    return [
        f"{kind} sign = odd ? -1 : 1;",
        f"for (int64_t i = 0; i < {n}; i++) {{ const {kind} d = a[i * {n + 1}]; {step} }}",
        "*r0 = sign;",
    ]


def _log_abs_det(dtype, n):
    part = real_dtype(dtype)
    f = "f" if part.itemsize == 4 else ""
    magnitude = f"cabs{f}" if dtype.kind == "c" else f"fabs{f}"
    return [
        f"{value_type(part)} total = 0;",
        f"for (int64_t i = 0; i < {n}; i++) total += log{f}({magnitude}(a[i * {n + 1}]));",
        "*r0 = total;",
    ]


_determinant("det", lambda dtype, n: [*_product(dtype, n, "product"), "*r0 = product;"])
_determinant("det_sign", _det_sign)
_determinant("log_abs_det", _log_abs_det)


def _adjugate_areas(node):
    n, dtype = matrix(node)[0], node.dtype
    real = real_dtype(dtype)
    work, = workspaces(letter(dtype) + "gesdd", "A", n, n, None, max(1, n), None, None, max(1, n), None, max(1, n),
                       dtype, -1, *([None] if dtype.kind == "c" else []), None)
    inverse, = workspaces(letter(dtype) + "getri", n, None, max(1, n), None, dtype, -1)
    areas = {"a": (dtype, n * n), "u": (dtype, n * n), "v": (dtype, n * n), "sigma": (real, n), "others": (real, n),
             "work": (dtype, max(work, inverse)), "iwork": (INT, 8 * n), "pivots": (INT, n)}
    if dtype.kind == "c":
        areas["rwork"] = (real, 6 * n * n + 8 * n)
    return areas


@lapack("adjugate", _adjugate_areas)
def _adjugate(unit, node):
    """By the inverse where there clearly is one, else by singular values, whose products need no division."""
    n, dtype = matrix(node)[0], node.dtype
    kind, real = memory_type(dtype), memory_type(real_dtype(dtype))
    f = "f" if real == "float" else ""
    size = f"cabs{f}" if dtype.kind == "c" else f"fabs{f}"
    size_of_work = _adjugate_areas(node)["work"][1]
    copy = f"memcpy(a, {{}}, {dtype.itemsize * n * n});"
    lead = max(1, n)
    factored = call(unit, "getrf", dtype, n, n, "a", lead, "pivots")
    rwork = ["rwork"] if dtype.kind == "c" else []
    conj = f"conj{f}" if dtype.kind == "c" else ""
    return [
        into_columns("a", "p0", n, n),
        factored,
        f"{real} low = 0, high = 0;",
        f"for (int64_t i = 0; i < {n}; i++) {{ const {real} d = {size}(a[i * {n + 1}]); "
        "low = i == 0 || d < low ? d : low; high = i == 0 || d > high ? d : high; }",
        f"if (low > {'1e-3f' if f else '1e-8'} * high) {{",
        *("  " + line for line in (*_parity(n), *_product(dtype, n, "det"))),
        "  " + call(unit, "getri", dtype, n, "a", lead, "pivots", "work", size_of_work),
        f"  for (int64_t i = 0; i < {n}; i++) for (int64_t j = 0; j < {n}; j++) "
        f"r0[i * {n} + j] = det * a[i + j * {n}];",
        "} else {",
        f"  {kind} det = 1;",
        "  " + into_columns("a", "p0", n, n),
        "  " + call(unit, "gesdd", dtype, "A", n, n, "a", lead, "sigma", "u", lead, "v", lead, "work", size_of_work,
                    *rwork, "iwork"),
        "  const int failed_here = info;",
        *[line for factor in "uv" for line in (
            "  {", "    " + copy.format(factor), "    " + factored, *("    " + line for line in _parity(n)),
            *("    " + line for line in _product(dtype, n, "part")), "    det *= part;", "  }")],
        "  info = failed_here;",
        f"  for (int64_t i = 0; i < {n}; i++) {{ others[i] = 1; "
        f"for (int64_t j = 0; j < {n}; j++) if (j != i) others[i] *= sigma[j]; }}",
        f"  for (int64_t i = 0; i < {n}; i++) for (int64_t j = 0; j < {n}; j++) {{",
        f"    {kind} sum = 0;",
        f"    for (int64_t l = 0; l < {n}; l++) sum += {conj}(v[l + i * {n}]) * others[l] * {conj}(u[j + l * {n}]);",
        f"    r0[i * {n} + j] = det * sum;",
        "  }",
        "}",
    ]
