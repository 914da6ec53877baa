/* Transforms of real numbers and back, behind fft.c: of even length n as complex ones of half the length, whose result
   is taken apart; of odd length as complex ones. */

typedef struct S(ends) { struct S(ends) *next; int64_t n; REAL *roots; } S(ends);

static S(ends) *S(all_ends)[64];

/* The roots exp(-2 pi i k / n), k <= n / 4, which take a complex transform of n / 2 to a real one of n and back. */
static const REAL *S(ends_of)(int64_t n) {
  S(ends) **place = &S(all_ends)[n / 2 & 63];
  for (S(ends) *p = __atomic_load_n(place, __ATOMIC_ACQUIRE); p; p = p->next)
    if (p->n == n) return p->roots;
  S(ends) *p = calloc(1, sizeof(S(ends)));
  p->n = n;
  p->roots = malloc(sizeof(REAL) * 2 * (size_t)(n / 4 + 1));
  tj_circle c;
  tj_open_circle(&c, n);
  for (int64_t k = 0; k <= n / 4; k++) {
    double z[2];
    tj_root(&c, k, z);
    p->roots[2 * k] = (REAL)z[0]; p->roots[2 * k + 1] = (REAL)z[1];
  }
  tj_close_circle(&c);
  p->next = __atomic_load_n(place, __ATOMIC_ACQUIRE);
  while (!__atomic_compare_exchange_n(place, &p->next, p, 0, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {}
  return p->roots;
}

/* ---------------------------------------------------------------- half lengths */
/* Between the transform z of the complex numbers x[2j] + i x[2j + 1] and that of x, both of which have rows k and h - k
   that belong together; `width` complex numbers lie in each row, ld from row to row. In place. */
static void S(unfold)(REAL *z, int64_t h, int64_t width, int64_t ld, const REAL *w) {
  for (int64_t c = 0; c < width; c++) {
    REAL *a = z + 2 * c, *b = z + 2 * (h * ld + c);
    const REAL r = a[0], i = a[1];
    a[0] = r + i; a[1] = 0;
    b[0] = r - i; b[1] = 0;
  }
  for (int64_t k = 1; 2 * k <= h; k++) {
    const REAL wr = w[2 * k], wi = w[2 * k + 1];
    REAL *a = z + 2 * k * ld, *b = z + 2 * (h - k) * ld;
    int64_t c = 0;
    for (; c + 2 * V <= 2 * width; c += 2 * V) {
      VEC ar, ai, br, bi;
      S(load2)(a + c, &ar, &ai);
      S(load2)(b + c, &br, &bi);
      const VEC er = (ar + br) * (REAL)0.5, ei = (ai - bi) * (REAL)0.5;
      const VEC fr = (ai + bi) * (REAL)0.5, fi = (br - ar) * (REAL)0.5;
      const VEC gr = fr * wr - fi * wi, gi = fr * wi + fi * wr;
      S(store2)(a + c, er + gr, ei + gi);
      S(store2)(b + c, er - gr, gi - ei);
    }
    for (; c < 2 * width; c += 2) {
      const REAL ar = a[c], ai = a[c + 1], br = b[c], bi = b[c + 1];
      const REAL er = (ar + br) * (REAL)0.5, ei = (ai - bi) * (REAL)0.5;
      const REAL fr = (ai + bi) * (REAL)0.5, fi = (br - ar) * (REAL)0.5;
      const REAL gr = fr * wr - fi * wi, gi = fr * wi + fi * wr;
      a[c] = er + gr; a[c + 1] = ei + gi;
      b[c] = er - gr; b[c + 1] = gi - ei;
    }
  }
}

/* The same for one row: V places at once. */
static void S(unfold_row)(REAL *z, int64_t h, const REAL *w) {
  const REAL r0 = z[0], i0 = z[1];
  z[0] = r0 + i0; z[1] = 0;
  z[2 * h] = r0 - i0; z[2 * h + 1] = 0;
  int64_t k = 1;
  for (; 2 * (k + V - 1) < h && h - k - V + 1 > k + V - 1; k += V) {
    VEC ar, ai, br, bi, wr, wi;
    S(load2)(z + 2 * k, &ar, &ai);
    S(load2)(z + 2 * (h - k - V + 1), &br, &bi);
    S(load2)(w + 2 * k, &wr, &wi);
    br = S(reversed)(br); bi = S(reversed)(bi);
    const VEC er = (ar + br) * (REAL)0.5, ei = (ai - bi) * (REAL)0.5;
    const VEC fr = (ai + bi) * (REAL)0.5, fi = (br - ar) * (REAL)0.5;
    const VEC gr = fr * wr - fi * wi, gi = fr * wi + fi * wr;
    S(store2)(z + 2 * k, er + gr, ei + gi);
    S(store2)(z + 2 * (h - k - V + 1), S(reversed)(er - gr), S(reversed)(gi - ei));
  }
  for (; 2 * k <= h; k++) {
    const REAL wr = w[2 * k], wi = w[2 * k + 1];
    REAL *a = z + 2 * k, *b = z + 2 * (h - k);
    const REAL ar = a[0], ai = a[1], br = b[0], bi = b[1];
    const REAL er = (ar + br) * (REAL)0.5, ei = (ai - bi) * (REAL)0.5;
    const REAL fr = (ai + bi) * (REAL)0.5, fi = (br - ar) * (REAL)0.5;
    const REAL gr = fr * wr - fi * wi, gi = fr * wi + fi * wr;
    a[0] = er + gr; a[1] = ei + gi;
    b[0] = er - gr; b[1] = gi - ei;
  }
}

/* From the first h + 1 rows of the transform of real numbers to the (conjugated) rows whose forward transform gives
   them: z[k] = conj(a + b') + conj(i (a - b') conj(w)), b' the conjugate of row h - k. The imaginary parts of the ends
   do not count. */
#define FOLD(kind, pr, pi, qr, qi, wr, wi)                                                       \
  const kind sr = pr + qr, si = pi - qi, dr = pr - qr, di = pi + qi;                             \
  const kind gr = dr * wr + di * wi, gi = di * wr - dr * wi; /* (a - b') conj(w) */

static void S(fold)(const REAL *x, int64_t h, int64_t width, int64_t ld, const REAL *w, REAL *zr, REAL *zi,
    int64_t zld) {
  for (int64_t k = 0; 2 * k <= h; k++) {
    const REAL wr = w[2 * k], wi = w[2 * k + 1];
    const REAL *a = x + 2 * k * ld, *b = x + 2 * (h - k) * ld;
    REAL *ar = zr + k * zld, *ai = zi + k * zld, *br = zr + (h - k) * zld, *bi = zi + (h - k) * zld;
    int64_t c = 0;
    for (; k && c + V <= width; c += V) {
      VEC pr, pi, qr, qi;
      S(load2)(a + 2 * c, &pr, &pi);
      S(load2)(b + 2 * c, &qr, &qi);
      FOLD(VEC, pr, pi, qr, qi, wr, wi)
      STORE(ar + c, sr - gi);
      STORE(ai + c, -(si + gr));
      STORE(br + c, sr + gi);
      STORE(bi + c, si - gr);
    }
    for (; c < width; c++) {
      const REAL pr = a[2 * c], pi = k ? a[2 * c + 1] : 0, qr = b[2 * c], qi = k ? b[2 * c + 1] : 0;
      FOLD(REAL, pr, pi, qr, qi, wr, wi)
      ar[c] = sr - gi; ai[c] = -(si + gr);
      if (k) { br[c] = sr + gi; bi[c] = si - gr; }
    }
  }
}

/* The same for one row, into complex numbers. */
static void S(fold_row)(const REAL *x, int64_t h, const REAL *w, REAL *z) {
  {
    FOLD(REAL, x[0], 0, x[2 * h], 0, w[0], w[1])
    z[0] = sr - gi; z[1] = -(si + gr);
  }
  int64_t k = 1;
  for (; 2 * (k + V - 1) < h && h - k - V + 1 > k + V - 1; k += V) {
    VEC pr, pi, qr, qi, wr, wi;
    S(load2)(x + 2 * k, &pr, &pi);
    S(load2)(x + 2 * (h - k - V + 1), &qr, &qi);
    S(load2)(w + 2 * k, &wr, &wi);
    qr = S(reversed)(qr); qi = S(reversed)(qi);
    FOLD(VEC, pr, pi, qr, qi, wr, wi)
    S(store2)(z + 2 * k, sr - gi, -(si + gr));
    S(store2)(z + 2 * (h - k - V + 1), S(reversed)(sr + gi), S(reversed)(si - gr));
  }
  for (; 2 * k <= h; k++) {
    const REAL *a = x + 2 * k, *b = x + 2 * (h - k);
    FOLD(REAL, a[0], a[1], b[0], b[1], w[2 * k], w[2 * k + 1])
    z[2 * k] = sr - gi; z[2 * k + 1] = -(si + gr);
    z[2 * (h - k)] = sr + gi; z[2 * (h - k) + 1] = si - gr;
  }
}

/* ---------------------------------------------------------------- arrays of real numbers */
static void S(real_rows)(int64_t begin, int64_t end, void *ctx) {
  const S(job) *d = ctx;
  const int64_t n = d->n, h = n / 2;
  for (int64_t g = begin; g < end; g++) {
    const REAL *x = d->x + g * n;
    REAL *y = d->y + 2 * g * (h + 1);
    if (n % 2 == 0) {
      S(single)(d->api, d->p, x, 1, y, d->scale, 1);
      S(unfold_row)(y, h, d->ends);
      continue;
    }
    REAL *line = tj_room(4, sizeof(REAL) * (size_t)(4 * n)), *out = line + 2 * n;
    for (int64_t j = 0; j < n; j++) { line[2 * j] = x[j]; line[2 * j + 1] = 0; }
    S(single)(d->api, d->p, line, 1, out, d->scale, 1);
    memcpy(y, out, sizeof(REAL) * (size_t)(2 * (h + 1)));
    y[1] = 0;
  }
}

static void S(real_groups)(int64_t begin, int64_t end, void *ctx) {
  const S(job) *d = ctx;
  const int64_t n = d->n, h = n / 2, lanes = d->lanes, inner = d->inner, groups = (inner + lanes - 1) / lanes;
  const int64_t m = d->p->n, block = m * lanes, out_block = (h + 1) * lanes;
  REAL *a = tj_room(0, sizeof(REAL) * (size_t)(6 * block + 2 * out_block)), *b = a + 2 * block, *o = b + 2 * block;
  for (int64_t g = begin; g < end; g++) {
    /* lines are taken one by one where few lie side by side, else as columns */
    const int64_t first = g * lanes;
    int64_t lines;
    memset(b, 0, sizeof(REAL) * (size_t)(2 * block));
    const REAL *x = 0;
    REAL *y = 0;
    if (inner < V) {
      lines = d->outer * inner - first < lanes ? d->outer * inner - first : lanes;
      if (inner > 1)
        for (int64_t l = 0; l < lines; l++) {
          x = d->x + S(line)(first + l, n, inner);
          for (int64_t j = 0; j < n; j++) b[(n % 2 ? j : j / 2 + (j % 2 ? m : 0)) * lanes + l] = x[j * inner];
        }
      else if (n % 2) S(across)(d->x + first * n, lines, n, n, b, lanes);
      else S(gather)(d->x + first * n, lines, m, m, 1, b, b + block, lanes);
    } else {
      const int64_t c = g % groups * lanes;
      lines = inner - c < lanes ? inner - c : lanes;
      x = d->x + g / groups * n * inner + c;
      y = d->y + 2 * (g / groups * (h + 1) * inner + c);
      if (lines < V || n % 2)
        for (int64_t j = 0; j < n; j++)
          memcpy(b + (n % 2 ? j : j / 2 + (j % 2 ? m : 0)) * lanes, x + j * inner, sizeof(REAL) * (size_t)lines);
    }
    const int whole = inner >= V && lines >= V && n % 2 == 0;
    if (whole) { /* from and into the arrays */
      S(columns)(d->p, lines, x, x + inner, 2 * inner, 1, y, 0, inner, d->scale, 1, a, b);
      S(unfold)(y, h, lines, inner, d->ends);
      continue;
    }
    S(columns)(d->p, lanes, b, b + block, lanes, 1, o, 0, lanes, d->scale, 1, a, b);
    if (n % 2 == 0) S(unfold)(o, h, lanes, lanes, d->ends);
    else for (int64_t l = 0; l < lanes; l++) o[2 * l + 1] = 0;
    if (inner < V)
      for (int64_t l = 0; l < lines; l++) {
        y = d->y + 2 * S(line)(first + l, h + 1, inner);
        for (int64_t k = 0; k <= h; k++) {
          y[2 * k * inner] = o[2 * (k * lanes + l)];
          y[2 * k * inner + 1] = o[2 * (k * lanes + l) + 1];
        }
      }
    else
      for (int64_t k = 0; k <= h; k++)
        memcpy(y + 2 * k * inner, o + 2 * k * lanes, sizeof(REAL) * (size_t)(2 * lines));
  }
}

static void S(real_lone)(int64_t begin, int64_t end, void *ctx) {
  const S(job) *d = ctx;
  const int64_t n = d->n, h = n / 2, inner = d->inner;
  REAL *line = tj_room(5, sizeof(REAL) * (size_t)(n + 2 * (h + 1)));
  for (int64_t g = begin; g < end; g++) {
    const REAL *x = d->x + g / inner * n * inner + g % inner;
    REAL *y = d->y + 2 * (g / inner * (h + 1) * inner + g % inner);
    for (int64_t j = 0; j < n; j++) line[j] = x[j * inner];
    S(job) one = *d;
    one.api = 0; one.x = line; one.y = line + n; one.inner = one.outer = 1;
    S(real_rows)(0, 1, &one);
    for (int64_t k = 0; k <= h; k++) {
      y[2 * k * inner] = line[n + 2 * k];
      y[2 * k * inner + 1] = line[n + 2 * k + 1];
    }
  }
}

/* y[outer][n / 2 + 1][inner] = scale * the transform along the middle axis of the real numbers x[outer][n][inner]. */
static void S(fft_real)(const tj_api *api, const void *x, void *y, int64_t outer, int64_t n, int64_t inner,
    int64_t inverse, double scale) {
  (void)inverse;
  S(plan) *p = S(plan_of)(n % 2 ? n : n / 2);
  S(job) d = {api, p, x, y, outer, n, inner, V, 1, (REAL)scale, 1, n % 2 ? 0 : S(ends_of)(n)};
  if (inner == 1 && (outer == 1 || p->rest || !S(lined_up)(p))) {
    if (outer > 1) d.api = 0;
    S(share)(api, S(real_rows), &d, outer);
  } else if (S(lined_up)(p)) {
    while (inner >= V && d.lanes < 64 && d.lanes * n < 16384) d.lanes *= 2;
    const int64_t thin = (outer * inner + V - 1) / V, wide = outer * ((inner + d.lanes - 1) / d.lanes);
    S(share)(api, S(real_groups), &d, inner < V ? thin : wide);
  } else S(share)(api, S(real_lone), &d, outer * inner);
}

/* The inverse: rows of n / 2 + 1 complex numbers, of which the imaginary parts of the ends do not count. */
static void S(back_rows)(int64_t begin, int64_t end, void *ctx) {
  const S(job) *d = ctx;
  const int64_t n = d->n, h = n / 2, m = d->p->n;
  REAL *line = tj_room(4, sizeof(REAL) * (size_t)(4 * m + 2));
  for (int64_t g = begin; g < end; g++) {
    const REAL *x = d->x + 2 * g * (h + 1);
    REAL *y = d->y + g * n;
    if (n % 2 == 0) {
      S(fold_row)(x, h, d->ends, line);
      S(single)(d->api, d->p, line, 1, y, d->scale, -1);
      continue;
    }
    line[0] = x[0]; line[1] = 0;
    for (int64_t k = 1; k <= h; k++) {
      line[2 * k] = line[2 * (n - k)] = x[2 * k];
      line[2 * k + 1] = -x[2 * k + 1];
      line[2 * (n - k) + 1] = x[2 * k + 1];
    }
    S(single)(d->api, d->p, line, 1, line + 2 * m, d->scale, 1);
    for (int64_t j = 0; j < n; j++) y[j] = line[2 * m + 2 * j];
  }
}

static void S(back_groups)(int64_t begin, int64_t end, void *ctx) {
  const S(job) *d = ctx;
  const int64_t n = d->n, h = n / 2, lanes = d->lanes, inner = d->inner, groups = (inner + lanes - 1) / lanes;
  const int64_t m = d->p->n, block = m * lanes;
  REAL *a = tj_room(0, sizeof(REAL) * (size_t)(8 * block + 2 * lanes)), *b = a + 2 * block, *o = b + 2 * block;
  REAL *t = o + 2 * block;
  for (int64_t g = begin; g < end; g++) {
    const int64_t first = g * lanes;
    int64_t lines, ld = inner;
    const REAL *x;
    REAL *y = 0;
    if (inner < V) {
      lines = d->outer * inner - first < lanes ? d->outer * inner - first : lanes;
      for (int64_t l = 0; l < lines && (n % 2 == 0 || inner > 1); l++) {
        const REAL *from = d->x + 2 * S(line)(first + l, h + 1, inner);
        REAL *to = t + 2 * l;
        for (int64_t k = 0; k <= h; k++, from += 2 * inner, to += 2 * lanes) { to[0] = from[0]; to[1] = from[1]; }
      }
      x = t;
      ld = lanes;
    } else {
      const int64_t c = g % groups * lanes;
      lines = inner - c < lanes ? inner - c : lanes;
      x = d->x + 2 * (g / groups * (h + 1) * inner + c);
      y = d->y + g / groups * n * inner + c;
    }
    if (lines < lanes) memset(b, 0, sizeof(REAL) * (size_t)(2 * block));
    if (n % 2 == 0) S(fold)(x, h, lines, ld, d->ends, b, b + block, lanes);
    else if (inner == 1) {
      S(gather)(d->x + 2 * first * (h + 1), lines, h + 1, h + 1, -1, b, b + block, lanes);
      for (int64_t l = 0; l < lanes; l++) b[block + l] = 0;
      for (int64_t k = 1; k <= h; k++)
        for (int64_t l = 0; l < lanes; l += V) {
          STORE(b + (n - k) * lanes + l, LOAD(b + k * lanes + l));
          STORE(b + block + (n - k) * lanes + l, -LOAD(b + block + k * lanes + l));
        }
    } else
      for (int64_t k = 0; k <= h; k++)
        for (int64_t l = 0; l < lines; l++) {
          const REAL r = x[2 * (k * ld + l)], i = k ? x[2 * (k * ld + l) + 1] : 0;
          b[k * lanes + l] = r;
          b[block + k * lanes + l] = -i;
          if (k) { b[(n - k) * lanes + l] = r; b[block + (n - k) * lanes + l] = i; }
        }
    if (inner >= V && lines == lanes && n % 2 == 0) {
      S(columns)(d->p, lanes, b, b + block, lanes, 1, y, y + inner, 2 * inner, d->scale, -1, a, b);
      continue;
    }
    S(columns)(d->p, lanes, b, b + block, lanes, 1, o, o + block, lanes, d->scale, n % 2 ? 1 : -1, a, b);
    if (inner == 1 && n % 2 == 0) S(scatter)(d->y + first * n, lines, m, m, o, o + block, lanes);
    else if (inner == 1) S(across)(o, n, lanes, lines, d->y + first * n, n);
    else if (inner < V)
      for (int64_t l = 0; l < lines; l++) {
        REAL *to = d->y + S(line)(first + l, n, inner);
        for (int64_t j = 0; j < n; j++) to[j * inner] = o[(n % 2 ? j : j / 2 + (j % 2 ? m : 0)) * lanes + l];
      }
    else
      for (int64_t j = 0; j < n; j++)
        memcpy(y + j * inner, o + (n % 2 ? j : j / 2 + (j % 2 ? m : 0)) * lanes, sizeof(REAL) * (size_t)lines);
  }
}

static void S(back_lone)(int64_t begin, int64_t end, void *ctx) {
  const S(job) *d = ctx;
  const int64_t n = d->n, h = n / 2, inner = d->inner;
  REAL *line = tj_room(5, sizeof(REAL) * (size_t)(n + 2 * (h + 1)));
  for (int64_t g = begin; g < end; g++) {
    const REAL *x = d->x + 2 * (g / inner * (h + 1) * inner + g % inner);
    REAL *y = d->y + g / inner * n * inner + g % inner;
    for (int64_t k = 0; k <= h; k++) {
      line[2 * k] = x[2 * k * inner];
      line[2 * k + 1] = x[2 * k * inner + 1];
    }
    S(job) one = *d;
    one.api = 0; one.x = line; one.y = line + 2 * (h + 1); one.inner = one.outer = 1;
    S(back_rows)(0, 1, &one);
    for (int64_t j = 0; j < n; j++) y[j * inner] = line[2 * (h + 1) + j];
  }
}

/* The real numbers y[outer][n][inner] whose transform along the middle axis begins with x[outer][n / 2 + 1][inner]. */
static void S(fft_back)(const tj_api *api, const void *x, void *y, int64_t outer, int64_t n, int64_t inner,
    int64_t inverse, double scale) {
  (void)inverse;
  S(plan) *p = S(plan_of)(n % 2 ? n : n / 2);
  S(job) d = {api, p, x, y, outer, n, inner, V, 1, (REAL)scale, 1, n % 2 ? 0 : S(ends_of)(n)};
  if (inner == 1 && (outer == 1 || p->rest || !S(lined_up)(p))) {
    if (outer > 1) d.api = 0;
    S(share)(api, S(back_rows), &d, outer);
  } else if (S(lined_up)(p)) {
    while (inner >= V && d.lanes < 64 && d.lanes * n < 16384) d.lanes *= 2;
    const int64_t thin = (outer * inner + V - 1) / V, wide = outer * ((inner + d.lanes - 1) / d.lanes);
    S(share)(api, S(back_groups), &d, inner < V ? thin : wide);
  } else S(share)(api, S(back_lone), &d, outer * inner);
}
