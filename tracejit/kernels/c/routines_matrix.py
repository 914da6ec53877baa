"""Functions of matrices: exponential by Padé approximants, square root and Sylvester's equation by Schur's form."""

from tracejit.kernels.c.lapack import INT, call, into_columns, into_rows, lapack, letter, matrix, real_dtype, workspaces
from tracejit.kernels.c.spell import memory_type

#: Coefficients of the approximants of exp of degrees 3, 5, 7, 9 and 13.
_PADE = {
    3: (120, 60, 12, 1),
    5: (30240, 15120, 3360, 420, 30, 1),
    7: (17297280, 8648640, 1995840, 277200, 25200, 1512, 56, 1),
    9: (17643225600, 8821612800, 2075673600, 302702400, 30270240, 2162160, 110880, 3960, 90, 1),
    13: (64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
         670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1),
}
#: Algorithm 5.1 of Al-Mohy and Higham. Matrices are passed transposed, which the exponential does not mind. `w` holds
#: nine matrices and `v` two vectors. Returns what the solver says.
_EXPM = """static double {name}_norm(const {T} *a, int64_t n) {{ /* the largest sum of sizes along rows, in C order */
  double most = 0;
  for (int64_t i = 0; i < n; i++) {{
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += {abs}(a[i * n + j]);
    if (!(sum <= most)) most = sum;
  }}
  return most;
}}
static int {name}_more(const {T} *a, int64_t n, int degree, double scale, double reciprocal, double *v) {{
  double *x = v, *y = v + n, norm = scale * {name}_norm(a, n), most = 0;
  for (int64_t i = 0; i < n; i++) x[i] = 1;
  for (int p = 0; p < 2 * degree + 1; p++) {{
    for (int64_t i = 0; i < n; i++) {{
      double sum = 0;
      for (int64_t j = 0; j < n; j++) sum += {abs}(a[i * n + j]) * x[j];
      y[i] = scale * sum;
    }}
    double *t = x; x = y; y = t;
  }}
  for (int64_t i = 0; i < n; i++) if (x[i] > most) most = x[i];
  if (most == 0 || !(most < TJ_INF)) return 0;
  const double more = ceil(log2(most / (norm * reciprocal) / 1.1102230246251565e-16) / (2 * degree));
  return more > 0 ? (int)more : 0;
}}
static void {name}_product(const {T} *a, const {T} *b, {T} *c, int n) {{
  {T} one = 1, zero = 0;
  {gemm}("N", "N", &n, &n, &n, &one, ({T} *)b, &n, ({T} *)a, &n, &zero, c, &n);
}}
static int {name}(const {T} *a, {T} *r, int n, {T} *w, double *v, int *pivots) {{
  static const double pade[5][14] = {{{pade}}};
  const int64_t k = (int64_t)n * n;
  {T} *p[5] = {{w, w + k, w + 2 * k, w + 3 * k, w + 4 * k}}, *u = w + 5 * k, *t = w + 6 * k, *x = w + 7 * k;
  memcpy(p[0], a, k * sizeof({T}));
  {name}_product(p[0], p[0], p[1], n);
  {name}_product(p[1], p[1], p[2], n);
  {name}_product(p[1], p[2], p[3], n);
  const double d4 = pow({name}_norm(p[2], n), 1.0 / 4), d6 = pow({name}_norm(p[3], n), 1.0 / 6);
  const double low = d4 > d6 ? d4 : d6;
  int degree = 0, s = 0;
  if (low < 1.495585217958292e-2 && !{name}_more(a, n, 3, 1, 100800.0, v)) degree = 3;
  else if (low < 2.53939833006323e-1 && !{name}_more(a, n, 5, 1, 10059033600.0, v)) degree = 5;
  else {{
    {name}_product(p[2], p[2], p[4], n);
    const double d8 = pow({name}_norm(p[4], n), 1.0 / 8), middle = d6 > d8 ? d6 : d8;
    if (middle < 9.504178996162932e-1 && !{name}_more(a, n, 7, 1, 4487938430976000.0, v)) degree = 7;
    else if (middle < 2.097847961257068 && !{name}_more(a, n, 9, 1, 5914384781877411840000.0, v)) degree = 9;
    else {{
      degree = 13;
      {name}_product(p[2], p[3], u, n);
      const double d10 = pow({name}_norm(u, n), 1.0 / 10), high = d8 > d10 ? d8 : d10;
      const double most = middle < high ? middle : high;
      if (most > 4.25 && most < TJ_INF) s = (int)ceil(log2(most / 4.25));
      s += {name}_more(a, n, 13, ldexp(1, -s), 113250775606021113483283660800000000.0, v);
    }}
  }}
  for (int j = 0, e = 1; s && j < 4; e = 2 * ++j) {{
    const {R} scale = ({R})ldexp(1, -e * s);
    for (int64_t i = 0; i < k; i++) p[j][i] *= scale;
  }}
  const double *b = pade[degree == 13 ? 4 : degree / 2 - 1];
  if (degree == 13) {{
    for (int64_t i = 0; i < k; i++) x[i] = ({R})b[13] * p[3][i] + ({R})b[11] * p[2][i] + ({R})b[9] * p[1][i];
    {name}_product(p[3], x, t, n);
    for (int64_t i = 0; i < k; i++)
      t[i] += ({R})b[7] * p[3][i] + ({R})b[5] * p[2][i] + ({R})b[3] * p[1][i] + (i % (n + 1) == 0 ? ({R})b[1] : 0);
    {name}_product(p[0], t, u, n);
    for (int64_t i = 0; i < k; i++) x[i] = ({R})b[12] * p[3][i] + ({R})b[10] * p[2][i] + ({R})b[8] * p[1][i];
    {name}_product(p[3], x, t, n);
    for (int64_t i = 0; i < k; i++)
      t[i] += ({R})b[6] * p[3][i] + ({R})b[4] * p[2][i] + ({R})b[2] * p[1][i] + (i % (n + 1) == 0 ? ({R})b[0] : 0);
  }} else {{
    for (int64_t i = 0; i < k; i++) {{
      {T} even = i % (n + 1) == 0 ? ({R})b[0] : 0, odd = i % (n + 1) == 0 ? ({R})b[1] : 0;
      for (int j = 1; j <= degree / 2; j++) {{
        even += ({R})b[2 * j] * p[j][i];
        odd += ({R})b[2 * j + 1] * p[j][i];
      }}
      t[i] = even;
      x[i] = odd;
    }}
    {name}_product(p[0], x, u, n);
  }}
  for (int64_t i = 0; i < k; i++) {{ const {T} d = t[i] - u[i]; r[i] = t[i] + u[i]; t[i] = d; }}
  int info = 0;
  {gesv}(&n, &n, t, &n, pivots, r, &n, &info);
  for (; s > 0 && !info; s--) {{
    {name}_product(r, r, x, n);
    memcpy(r, x, k * sizeof({T}));
  }}
  return info;
}}"""


def _expm_areas(node):
    n = matrix(node)[0]
    return {"w": (node.dtype, 8 * n * n), "v": ("f8", 2 * n), "pivots": (INT, n)}


@lapack("expm", _expm_areas)
def _expm(unit, node):
    n, dtype = matrix(node)[0], node.dtype
    name = f"tj_expm_{letter(dtype)}"
    rows = ", ".join("{" + ", ".join(f"{c}.0" for c in row) + "}" for row in _PADE.values())
    f = "f" if real_dtype(dtype).itemsize == 4 else ""
    unit.helpers[_EXPM.format(
        name=name, T=memory_type(dtype), R=memory_type(real_dtype(dtype)), pade=rows,
        abs=f"cabs{f}" if dtype.kind == "c" else f"fabs{f}",
        gemm=unit.routine(f"{letter(dtype)}gemm"), gesv=unit.routine(f"{letter(dtype)}gesv"))] = None
    if n == 1:
        return [f"*r0 = {'c' if dtype.kind == 'c' else ''}exp{f}(*p0);"]
    return [f"info = {name}(p0, r0, {n}, w, v, pivots);"]


# ---------------------------------------------------------------- Schur's form
def _schur_work(dtype, n):
    lead = max(1, n)
    return workspaces(letter(dtype) + "gees", "V", "N", None, n, None, lead, None, None, None, lead, dtype, -1, None,
                      None)[0]


def _schur(unit, dtype, n, t, z, size):
    """Return the line that puts the triangular form of t in its place, and the unitary matrix into z."""
    return call(unit, "gees", dtype, "V", "N", "(void *)0", n, t, max(1, n), "count", "values", z, max(1, n), "work",
                size, "rwork", "count")


def _product(unit, dtype, words, m, n, k, a, lda, b, ldb, c):
    kind = memory_type(dtype)
    sizes = f"int m_ = {m}, n_ = {n}, k_ = {k}, a_ = {max(1, lda)}, b_ = {max(1, ldb)};"
    gemm = unit.routine(f"{letter(dtype)}gemm")
    return (f'{{ {kind} one = 1, zero = 0; {sizes} {gemm}("{words[0]}", "{words[1]}", &m_, &n_, &k_, &one, {a}, &a_, '
            f"{b}, &b_, &zero, {c}, &m_); }}")


def _sqrtm_areas(node):
    n, dtype = matrix(node)[0], node.dtype
    return {"t": (dtype, n * n), "z": (dtype, n * n), "y": (dtype, n * n), "work": (dtype, _schur_work(dtype, n)),
            "values": (dtype, n), "rwork": (real_dtype(dtype), n), "count": (INT, n)}


@lapack("sqrtm", _sqrtm_areas)
def _sqrtm(unit, node):
    """Column by column of the triangular form: r_ij = (t_ij - sum r_ik r_kj) / (r_ii + r_jj)."""
    n, dtype = matrix(node)[0], node.dtype
    kind = memory_type(dtype)
    f = "f" if real_dtype(dtype).itemsize == 4 else ""
    return [
        into_columns("t", "p0", n, n),
        _schur(unit, dtype, n, "t", "z", _sqrtm_areas(node)["work"][1]),
        f"for (int64_t j = 0; j < {n}; j++) {{",
        f"  {kind} *c = t + j * {n};",
        f"  c[j] = csqrt{f}(c[j]);",
        "  for (int64_t i = j - 1; i >= 0; i--) {",
        f"    {kind} sum = c[i], below = t[i * {n + 1}] + c[j];",
        f"    for (int64_t k = i + 1; k < j; k++) sum -= t[i + k * {n}] * c[k];",
        "    c[i] = below == 0 && sum == 0 ? 0 : sum / below;",
        "  }",
        f"  for (int64_t i = j + 1; i < {n}; i++) c[i] = 0;",
        "}",
        _product(unit, dtype, "NN", n, n, n, "z", n, "t", n, "y"),
        _product(unit, dtype, "NC", n, n, n, "y", n, "z", n, "t"),
        into_rows("r0", "t", n, n),
    ]


def _sylvester_areas(node):
    m, n, dtype = node.args[0].shape[-1], node.args[1].shape[-1], node.dtype
    return {"a": (dtype, m * m), "b": (dtype, n * n), "u": (dtype, m * m), "v": (dtype, n * n), "c": (dtype, m * n),
            "d": (dtype, m * n), "work": (dtype, max(_schur_work(dtype, m), _schur_work(dtype, n))),
            "values": (dtype, max(m, n)), "rwork": (real_dtype(dtype), max(m, n)), "count": (INT, max(m, n))}


@lapack("sylvester", _sylvester_areas)
def _sylvester(unit, node):
    m, n, dtype = node.args[0].shape[-1], node.args[1].shape[-1], node.dtype
    size = _sylvester_areas(node)["work"][1]
    real = memory_type(real_dtype(dtype))
    solve = call(unit, "trsyl", dtype, "N", "N", 1, m, n, "a", max(1, m), "b", max(1, n), "c", max(1, m), "&scale")
    return [
        into_columns("a", "p0", m, m),
        into_columns("b", "p1", n, n),
        into_columns("c", "p2", m, n),
        _schur(unit, dtype, m, "a", "u", size),
        _schur(unit, dtype, n, "b", "v", size),
        _product(unit, dtype, "CN", m, n, m, "u", m, "c", m, "d"),
        _product(unit, dtype, "NN", m, n, n, "d", m, "v", n, "c"),
        f"{real} scale = 1;",
        solve,
        _product(unit, dtype, "NN", m, n, m, "u", m, "c", m, "d"),
        _product(unit, dtype, "NC", m, n, n, "d", m, "v", n, "c"),
        f"for (int64_t i = 0; i < {m * n}; i++) c[i] /= scale;",
        into_rows("r0", "c", m, n),
    ]
