"""Factorizations through LAPACK: QR, LU, singular values, eigenvalues, least squares; called as NumPy calls them."""

from tracejit.kernels.c.lapack import INT, call, into_columns, into_rows, lapack, letter, matrix, real_dtype, workspaces


def _dtype(node):
    return node.args[0].dtype


def _lead(n):
    return max(1, n)


def _identity(target, n):
    return f"for (int64_t i = 0; i < {n * n}; i++) {target}[i] = i % {n + 1} == 0;"


# ---------------------------------------------------------------- QR
def _generator(dtype):
    return "ungqr" if dtype.kind == "c" else "orgqr"


def _qr_areas(node, columns):
    (m, n), dtype = matrix(node), _dtype(node)
    k = min(m, n)
    sizes = [workspaces(letter(dtype) + "geqrf", m, n, None, _lead(m), None, dtype, -1)[0]]
    if columns:
        sizes += workspaces(letter(dtype) + _generator(dtype), m, columns, k, None, _lead(m), None, dtype, -1)
    return {"a": (dtype, m * max(n, columns)), "tau": (dtype, k), "work": (dtype, max(sizes))}


def _q_columns(node):
    m, n = matrix(node)
    return m if node.attr("full") else min(m, n)


def _triangular(unit, node, areas):
    """Return lines that factor the matrix in place."""
    m, n = matrix(node)
    return [into_columns("a", "p0", m, n),
            call(unit, "geqrf", _dtype(node), m, n, "a", _lead(m), "tau", "work", areas["work"][1])]


def _copy_r(target, node, rows):
    m, n = matrix(node)
    return (f"for (int64_t i = 0; i < {rows}; i++) for (int64_t j = 0; j < {n}; j++) "
            f"{target}[i * {n} + j] = j >= i ? a[i + j * {m}] : 0;")


@lapack("qr", lambda node: _qr_areas(node, _q_columns(node)))
def _qr(unit, node):
    (m, n), dtype, columns = matrix(node), _dtype(node), _q_columns(node)
    areas = _qr_areas(node, columns)
    return [
        *_triangular(unit, node, areas),
        _copy_r("r1", node, columns),
        call(unit, _generator(dtype), dtype, m, columns, min(m, n), "a", _lead(m), "tau", "work", areas["work"][1]),
        into_rows("r0", "a", m, columns),
    ]


@lapack("qr_r", lambda node: _qr_areas(node, 0))
def _qr_r(unit, node):
    return [*_triangular(unit, node, _qr_areas(node, 0)), _copy_r("r0", node, min(matrix(node)))]


@lapack("qr_raw", lambda node: _qr_areas(node, 0))
def _qr_raw(unit, node):
    (m, n), size = matrix(node), _dtype(node).itemsize
    return [*_triangular(unit, node, _qr_areas(node, 0)), f"memcpy(r0, a, {m * n * size});",
            f"memcpy(r1, tau, {min(m, n) * size});"]


def _order_areas(node):
    (m, n), dtype = matrix(node), _dtype(node)
    more = [None] if dtype.kind == "c" else []
    size, = workspaces(letter(dtype) + "geqp3", m, n, None, _lead(m), None, None, dtype, -1, *more)
    areas = {"a": (dtype, m * n), "tau": (dtype, min(m, n)), "work": (dtype, size)}
    return areas | ({"rwork": (real_dtype(dtype), 2 * n)} if more else {})


@lapack("qr_order", _order_areas)
def _qr_order(unit, node):
    (m, n), dtype = matrix(node), _dtype(node)
    if m * n == 0:
        return [f"for (int64_t j = 0; j < {n}; j++) r0[j] = j;"]
    return [
        into_columns("a", "p0", m, n),
        f"memset(r0, 0, {4 * n});",  # no column has to come first
        call(unit, "geqp3", dtype, m, n, "a", _lead(m), "r0", "tau", "work", _order_areas(node)["work"][1],
             *(["rwork"] if dtype.kind == "c" else [])),
        f"for (int64_t j = 0; j < {n}; j++) r0[j]--;",
    ]


# ---------------------------------------------------------------- LU
@lapack("lu", lambda node: {"a": (_dtype(node), matrix(node)[0] * matrix(node)[1])})
def _lu(unit, node):
    m, n = matrix(node)
    return [
        into_columns("a", "p0", m, n),
        call(unit, "getrf", _dtype(node), m, n, "a", _lead(m), "r1"),
        into_rows("r0", "a", m, n),
        f"for (int64_t i = 0; i < {min(m, n)}; i++) r1[i]--;",
    ]


@lapack("permute_rows", lambda node: {"a": (_dtype(node), matrix(node)[1])})
def _permute_rows(unit, node):
    m, n = matrix(node)
    size, count = _dtype(node).itemsize * n, node.args[1].shape[-1]
    loop = f"int64_t i = {count} - 1; i >= 0; i--" if node.attrs[0] else f"int64_t i = 0; i < {count}; i++"
    return [
        f"memcpy(r0, p0, {m * size});",
        f"for ({loop}) if (p1[i] != i) {{ memcpy(a, r0 + i * {n}, {size}); "
        f"memcpy(r0 + i * {n}, r0 + (int64_t)p1[i] * {n}, {size}); memcpy(r0 + (int64_t)p1[i] * {n}, a, {size}); }}",
    ]


# ---------------------------------------------------------------- singular values
def _svd_areas(node, job):
    (m, n), dtype = matrix(node), _dtype(node)
    k, more = min(m, n), max(m, n)
    left, right = (m if job == "A" else k), (n if job == "A" else k)
    real = [None] if dtype.kind == "c" else []
    size, = workspaces(letter(dtype) + "gesdd", job, m, n, None, _lead(m), None, None, _lead(m), None, _lead(right),
                       dtype, -1, *real, None)
    areas = {"a": (dtype, m * n), "work": (dtype, size), "iwork": (INT, 8 * k)}
    if job != "N":
        areas |= {"u": (dtype, m * left), "v": (dtype, right * n)}
    if real:
        areas["rwork"] = (real_dtype(dtype), 7 * k if job == "N" else
                          max(5 * k * k + 5 * k, 2 * more * k + 2 * k * k + k))
    return areas


def _gesdd(unit, node, job, values):
    (m, n), dtype = matrix(node), _dtype(node)
    areas = _svd_areas(node, job)
    u, v = ("u", "v") if job != "N" else ("a", "a")
    right = n if job == "A" else min(m, n)
    return [into_columns("a", "p0", m, n),
            call(unit, "gesdd", dtype, job, m, n, "a", _lead(m), values, u, _lead(m), v, _lead(right), "work",
                 areas["work"][1], *(["rwork"] if dtype.kind == "c" else []), "iwork")]


def _job(node):
    return "A" if node.attr("full") else "S"


@lapack("svd", lambda node: _svd_areas(node, _job(node)))
def _svd(unit, node):
    m, n = matrix(node)
    u, _, v = node.type
    if m * n == 0:
        return [_identity("r0", m), _identity("r2", n)] if node.attr("full") else []
    return [*_gesdd(unit, node, _job(node), "r1"), into_rows("r0", "u", m, u.shape[-1]),
            into_rows("r2", "v", v.shape[-2], n)]


@lapack("singular_values", lambda node: _svd_areas(node, "N"))
def _singular_values(unit, node):
    return _gesdd(unit, node, "N", "r0")


# ---------------------------------------------------------------- eigenvalues
def _symmetric_areas(node, job):
    n, dtype = matrix(node)[0], _dtype(node)
    real, kind = real_dtype(dtype), "heevd" if dtype.kind == "c" else "syevd"
    more = [real, -1] if dtype.kind == "c" else []
    sizes = workspaces(letter(dtype) + kind, job, "L", n, None, _lead(n), None, dtype, -1, *more, INT, -1)
    areas = {"a": (dtype, n * n), "work": (dtype, sizes[0]), "iwork": (INT, sizes[-1])}
    return areas | ({"rwork": (real, sizes[1])} if more else {})


def _symmetric(unit, node, job, values):
    n, dtype = matrix(node)[0], _dtype(node)
    areas = _symmetric_areas(node, job)
    more = ["rwork", areas["rwork"][1]] if dtype.kind == "c" else []
    return [into_columns("a", "p0", n, n),
            call(unit, "heevd" if more else "syevd", dtype, job, "L" if node.attr("lower") else "U", n, "a", _lead(n),
                 values, "work", areas["work"][1], *more, "iwork", areas["iwork"][1])]


def _robust_areas(node):
    n, dtype = matrix(node)[0], _dtype(node)
    real, kind = real_dtype(dtype), "heevr" if dtype.kind == "c" else "syevr"
    more = [real, -1] if dtype.kind == "c" else []
    sizes = workspaces(letter(dtype) + kind, "V", "A", "L", n, None, _lead(n), None, None, 1, 1, None, None, None, None,
                       _lead(n), None, dtype, -1, *more, INT, -1)
    areas = {"a": (dtype, n * n), "z": (dtype, n * n), "support": (INT, 2 * n), "count": (INT, 1), "bounds": (real, 3),
             "work": (dtype, sizes[0]), "iwork": (INT, sizes[-1])}
    return areas | ({"rwork": (real, sizes[1])} if more else {})


@lapack("eigh", lambda node: _symmetric_areas(node, "V") if node.attr("driver") == "evd" else _robust_areas(node))
def _eigh(unit, node):
    n, dtype = matrix(node)[0], _dtype(node)
    if node.attr("driver") == "evd":
        return [*_symmetric(unit, node, "V", "r0"), into_rows("r1", "a", n, n)]
    areas = _robust_areas(node)
    more = ["rwork", areas["rwork"][1]] if dtype.kind == "c" else []
    triangle = "L" if node.attr("lower") else "U"
    return [
        into_columns("a", "p0", n, n),
        "bounds[0] = bounds[1] = bounds[2] = 0;",
        call(unit, "heevr" if more else "syevr", dtype, "V", "A", triangle, n, "a", _lead(n), "bounds", "bounds + 1", 1,
             max(1, n), "bounds + 2", "count", "r0", "z", _lead(n), "support", "work", areas["work"][1], *more, "iwork",
             areas["iwork"][1]),
        into_rows("r1", "z", n, n),
    ]


@lapack("eigvalsh", lambda node: _symmetric_areas(node, "N"))
def _eigvalsh(unit, node):
    return _symmetric(unit, node, "N", "r0")


def _general_areas(node, job):
    n, dtype = matrix(node)[0], _dtype(node)
    values = [None] if dtype.kind == "c" else [None, None]
    more = [None] if dtype.kind == "c" else []
    size, = workspaces(letter(dtype) + "geev", "N", job, n, None, _lead(n), *values, None, _lead(n), None, _lead(n),
                       dtype, -1, *more)
    areas = {"a": (dtype, n * n), "v": (dtype, n * n if job == "V" else 1), "work": (dtype, size)}
    return areas | ({"rwork": (real_dtype(dtype), 2 * n)} if more else {"re": (dtype, n), "im": (dtype, n)})


def _general(unit, node, job):
    n, dtype = matrix(node)[0], _dtype(node)
    values, more = (["r0"], ["rwork"]) if dtype.kind == "c" else (["re", "im"], [])
    lines = [into_columns("a", "p0", n, n),
             call(unit, "geev", dtype, "N", job, n, "a", _lead(n), *values, "v", _lead(n), "v", _lead(n), "work",
                  _general_areas(node, job)["work"][1], *more)]
    if not more:
        lines.append(f"for (int64_t i = 0; i < {n}; i++) {{ __real__ r0[i] = re[i]; __imag__ r0[i] = im[i]; }}")
    return lines


@lapack("eig", lambda node: _general_areas(node, "V"))
def _eig(unit, node):
    n, dtype = matrix(node)[0], _dtype(node)
    lines = _general(unit, node, "V")
    if dtype.kind == "c":
        return [*lines, into_rows("r1", "v", n, n)]
    # of a pair of conjugate values, the columns hold the real and the imaginary parts of the first one's vector
    return [
        *lines,
        f"for (int64_t j = 0; j < {n}; j++) {{",
        "  const int first = im[j] > 0, second = im[j] < 0;",
        f"  for (int64_t i = 0; i < {n}; i++) {{",
        f"    __real__ r1[i * {n} + j] = v[i + (second ? j - 1 : j) * {n}];",
        f"    __imag__ r1[i * {n} + j] = first ? v[i + (j + 1) * {n}] : second ? -v[i + j * {n}] : 0;",
        "  }",
        "}",
    ]


@lapack("eigvals", lambda node: _general_areas(node, "N"))
def _eigvals(unit, node):
    return _general(unit, node, "N")


# ---------------------------------------------------------------- least squares
def _lstsq_areas(node):
    (m, n), dtype = matrix(node), _dtype(node)
    columns, lead, real = node.args[1].shape[-1], max(1, *matrix(node)), real_dtype(dtype)
    more = [real] if dtype.kind == "c" else []
    sizes = workspaces(letter(dtype) + "gelsd", m, n, columns, None, _lead(m), None, lead, None, None, None, dtype, -1,
                       *more, INT)
    areas = {"a": (dtype, m * n), "c": (dtype, lead * columns), "work": (dtype, sizes[0]), "iwork": (INT, sizes[-1])}
    return areas | ({"rwork": (real, sizes[1])} if more else {})


@lapack("lstsq", _lstsq_areas)
def _lstsq(unit, node):
    (m, n), dtype = matrix(node), _dtype(node)
    columns, lead = node.args[1].shape[-1], max(1, m, n)
    square = "__real__ c[{0}] * __real__ c[{0}] + __imag__ c[{0}] * __imag__ c[{0}]" if dtype.kind == "c" else \
        "c[{0}] * c[{0}]"
    place = f"i + j * {lead}"
    if m * n == 0:
        return [f"memset(r0, 0, {n * columns * dtype.itemsize});", "*r2 = 0;",
                f"for (int64_t j = 0; j < {columns}; j++) r1[j] = 0;",
                *([f"for (int64_t i = 0; i < {m}; i++) for (int64_t j = 0; j < {columns}; j++) {{ "
                   f"c[j] = p1[i * {columns} + j]; r1[j] += {square.format('j')}; }}"] if m else [])]
    return [
        into_columns("a", "p0", m, n),
        into_columns("c", "p1", m, columns, lead),
        call(unit, "gelsd", dtype, m, n, columns, "a", _lead(m), "c", lead, "r3", "p2", "r2", "work",
             _lstsq_areas(node)["work"][1], *(["rwork"] if dtype.kind == "c" else []), "iwork"),
        into_rows("r0", "c", n, columns, lead),
        f"for (int64_t j = 0; j < {columns}; j++) {{ r1[j] = 0; "
        f"for (int64_t i = {n}; i < {m}; i++) r1[j] += {square.format(place)}; }}",
    ]
