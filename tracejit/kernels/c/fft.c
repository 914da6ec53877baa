/* Fourier transforms of lines of an array, for one real type: REAL is float or double, S(name) adds its suffix, VEC is
   a vector of V numbers. Above this text stand the passes of fft_passes.py.

   A transform takes one of these forms:
   columns    many transforms side by side, all arithmetic on vectors along them;
   row        one transform of V * m: its first pass goes over V places at once, the rest are V columns;
   split      one large transform, or one whose size is no multiple of V, as columns of n1, then columns of n2
              (Bailey 1990, "FFTs in external or hierarchical memory"), shared out among threads;
   chirp      one of a size with a large prime factor, as a convolution (Bluestein 1970).
   Sizes without a form of their own go as columns of which all but one are idle. Inverse transforms are forward ones of
   conjugates. Powers of roots are computed once per size, in extended precision, and kept. */

#define LANES 16           /* columns taken together where there are more */
#define LARGE (1 << 14)    /* sizes from which on a single transform is split */
#define SMOOTH 50          /* larger prime factors take the chirp form */

typedef struct S(plan) {
  struct S(plan) *next;
  int64_t n;
  int smooth, count, radix[64];
  REAL *roots[64];         /* per pass: for each p, the powers 1 .. radix - 1 */
  REAL *circle[64];        /* per pass of a radix without a function of its own: its roots of unity */
  struct S(plan) *rest;    /* row: the plan of n / V */
  REAL *row_roots;
  struct S(plan) *one, *two; /* split: the plans of n1 and n2 */
  REAL *near;              /* powers of the n-th root: k1 * b, for b < LANES */
  double *fine, *coarse;   /* and of e % 1024 and e / 1024 * 1024 */
  struct S(plan) *chirp;   /* the plan of the convolution */
  REAL *bend, *kernel;
} S(plan);

static S(plan) *S(plans)[64];

static S(plan) *S(plan_of)(int64_t n);

static int S(whole)(int64_t n) { return n % V == 0 && n / V >= V; }

static REAL *S(pass_roots)(const tj_circle *c, int64_t r, int64_t m, int64_t step) {
  REAL *w = malloc(sizeof(REAL) * (size_t)(2 * (r - 1) * m + 2)), *at = w;
  for (int64_t p = 0; p < m; p++)
    for (int64_t k = 1; k < r; k++, at += 2) {
      double z[2];
      tj_root(c, p * k * step, z);
      at[0] = (REAL)z[0]; at[1] = (REAL)z[1];
    }
  return w;
}

static void S(factor)(S(plan) *p, const tj_circle *c) {
  int64_t m = p->n;
  int odd[64], odds = 0, twos = 0;
  p->smooth = 1;
  for (; m % 2 == 0; m /= 2) twos++;
  for (int64_t r = 3; r * r <= m; r += 2)
    for (; m % r == 0; m /= r) odd[odds++] = (int)(r <= SMOOTH ? r : (p->smooth = 0, 3));
  if (m > 1) odd[odds++] = (int)(m <= SMOOTH ? m : (p->smooth = 0, 3));
  if (!p->smooth) return;
  /* eights and fours first and last: only they read and write complex numbers without a copy */
  int eights = twos / 3, fours = 0, pairs = 0;
  if (twos % 3 == 1) { if (eights) { eights--; fours = 2; } else pairs = 1; }
  if (twos % 3 == 2) fours = 1;
  while (eights--) p->radix[p->count++] = 8;
  for (int k = odds - 1; k >= 0; k--) p->radix[p->count++] = odd[k];
  while (fours--) p->radix[p->count++] = 4;
  if (pairs) p->radix[p->count++] = 2;
  int64_t s = 1;
  m = p->n;
  for (int k = 0; k < p->count; k++) {
    const int r = p->radix[k];
    m /= r;
    if (k + 1 < p->count || r > 8) p->roots[k] = S(pass_roots)(c, r, m, s);
    if (r > 8) {
      p->circle[k] = malloc(sizeof(REAL) * 2 * (size_t)r);
      for (int j = 0; j < r; j++) {
        double z[2];
        tj_root(c, j * (p->n / r), z);
        p->circle[k][2 * j] = (REAL)z[0]; p->circle[k][2 * j + 1] = (REAL)z[1];
      }
    }
    s *= r;
  }
}

static void S(row_plan)(S(plan) *p, const tj_circle *c) {
  const int64_t m = p->n / V;
  p->rest = S(plan_of)(m);
  const int64_t blocks = (m + V - 1) / V;
  REAL *at = p->row_roots = malloc(sizeof(REAL) * (size_t)(blocks * (2 * V - 2) * V));
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t first = b * V + V > m ? m - V : b * V;
    for (int k = 1; k < V; k++, at += 2 * V)
      for (int l = 0; l < V; l++) {
        double z[2];
        tj_root(c, (first + l) * k, z);
        at[l] = (REAL)z[0]; at[V + l] = (REAL)z[1];
      }
  }
}

static void S(split_plan)(S(plan) *p, const tj_circle *c) {
  int64_t best = 0;
  for (int64_t a = V; a * a <= p->n; a++)
    if (p->n % a == 0 && p->n / a >= V && (a % V == 0 || best == 0 || best % V)) best = a;
  if (!best) return;
  const int64_t n1 = best;
  p->one = S(plan_of)(n1);
  p->two = S(plan_of)(p->n / n1);
  p->near = malloc(sizeof(REAL) * 2 * LANES * (size_t)n1);
  for (int64_t k = 0; k < n1; k++)
    for (int64_t b = 0; b < LANES; b++) {
      double z[2];
      tj_root(c, k * b % p->n, z);
      p->near[2 * LANES * k + b] = (REAL)z[0]; p->near[2 * LANES * k + LANES + b] = (REAL)z[1];
    }
  p->fine = malloc(sizeof(double) * 2 * 1024);
  p->coarse = malloc(sizeof(double) * 2 * (size_t)(p->n / 1024 + 1));
  for (int64_t e = 0; e < 1024; e++) tj_root(c, e % p->n, p->fine + 2 * e);
  for (int64_t e = 0; e <= p->n / 1024; e++) tj_root(c, e * 1024 % p->n, p->coarse + 2 * e);
}

static int S(split)(const S(plan) *p) { return p->one && (p->n >= LARGE || !p->rest); }

static void S(single)(const tj_api *api, const S(plan) *p, const REAL *x, REAL sign, REAL *y, REAL scale,
    REAL end_sign);

static void S(chirp_plan)(S(plan) *p) {
  const int64_t n = p->n;
  int64_t best = 0;
  for (int64_t odd = 1; odd < 16; odd += 2) {
    if (odd == 7 || odd == 11 || odd == 13) continue;
    int64_t m = odd * 64;
    while (m < 2 * n - 1) m *= 2;
    if (!best || m < best) best = m;
  }
  tj_circle c;
  if (tj_open_circle(&c, 2 * n)) return;
  p->bend = malloc(sizeof(REAL) * 2 * (size_t)n);
  REAL *b = calloc(2 * (size_t)best, sizeof(REAL));
  for (int64_t j = 0, e = 0; j < n; e = (e + 2 * j + 1) % (2 * n), j++) { /* e = j * j mod 2n */
    double z[2];
    tj_root(&c, e, z);
    p->bend[2 * j] = (REAL)z[0]; p->bend[2 * j + 1] = (REAL)z[1];
    b[2 * j] = (REAL)z[0]; b[2 * j + 1] = (REAL)-z[1];
    if (j) { b[2 * (best - j)] = (REAL)z[0]; b[2 * (best - j) + 1] = (REAL)-z[1]; }
  }
  tj_close_circle(&c);
  S(plan) *conv = S(plan_of)(best);
  p->kernel = malloc(sizeof(REAL) * 2 * (size_t)best);
  S(single)(0, conv, b, 1, p->kernel, (REAL)(1.0 / (double)best), 1);
  free(b);
  p->chirp = conv;
}

static S(plan) *S(plan_of)(int64_t n) {
  S(plan) **place = &S(plans)[n & 63];
  S(plan) *head = __atomic_load_n(place, __ATOMIC_ACQUIRE);
  for (S(plan) *p = head; p; p = p->next)
    if (p->n == n) return p;
  S(plan) *p = calloc(1, sizeof(S(plan)));
  p->n = n;
  tj_circle c;
  tj_open_circle(&c, n);
  S(factor)(p, &c);
  if (p->smooth) {
    if (S(whole)(n) && n < 8 * LARGE) S(row_plan)(p, &c);
    if (n >= LARGE || !p->rest) S(split_plan)(p, &c);
  }
  tj_close_circle(&c);
  if (!p->smooth) S(chirp_plan)(p);
  /* two threads may have made the same plan; both serve */
  p->next = __atomic_load_n(place, __ATOMIC_ACQUIRE);
  while (!__atomic_compare_exchange_n(place, &p->next, p, 0, __ATOMIC_RELEASE, __ATOMIC_ACQUIRE)) {}
  return p;
}

/* ---------------------------------------------------------------- columns */
/* A pass of any odd radix, of the order of its square; x and y hold real and imaginary parts apart. */
static void S(any)(int64_t r, int64_t m, int64_t s, const REAL *xr, const REAL *xi, REAL *yr, REAL *yi, const REAL *w,
    const REAL *circle) {
  VEC sr[SMOOTH], si[SMOOTH], dr[SMOOTH], di[SMOOTH];
  const int64_t half = r / 2;
  for (int64_t p = 0; p < m; p++, w += 2 * (r - 1))
    for (int64_t c = 0; c < s; c += V) {
      const int64_t q = c + V > s ? s - V : c;
      const VEC zr = LOAD(xr + p * s + q), zi = LOAD(xi + p * s + q);
      VEC tr = zr, ti = zi;
      for (int64_t j = 1; j <= half; j++) {
        const int64_t a = (p + m * j) * s + q, b = (p + m * (r - j)) * s + q;
        const VEC ar = LOAD(xr + a), ai = LOAD(xi + a), br = LOAD(xr + b), bi = LOAD(xi + b);
        sr[j] = ar + br; si[j] = ai + bi; dr[j] = ar - br; di[j] = ai - bi;
        tr += sr[j]; ti += si[j];
      }
      STORE(yr + p * r * s + q, tr);
      STORE(yi + p * r * s + q, ti);
      for (int64_t k = 1; k <= half; k++) {
        VEC ur = zr, ui = zi, vr = zr - zr, vi = vr;
        for (int64_t j = 1, e = k; j <= half; j++, e += k) {
          if (e >= r) e -= r;
          const REAL co = circle[2 * e], si_ = -circle[2 * e + 1];
          ur += co * sr[j]; ui += co * si[j]; vr += si_ * dr[j]; vi += si_ * di[j];
        }
        const REAL *a = w + 2 * (k - 1), *b = w + 2 * (r - k - 1);
        const VEC pr = ur + vi, pi = ui - vr, nr = ur - vi, ni = ui + vr;
        STORE(yr + (p * r + k) * s + q, pr * a[0] - pi * a[1]);
        STORE(yi + (p * r + k) * s + q, pr * a[1] + pi * a[0]);
        STORE(yr + (p * r + r - k) * s + q, nr * b[0] - ni * b[1]);
        STORE(yi + (p * r + r - k) * s + q, nr * b[1] + ni * b[0]);
      }
    }
}

/* `width` >= V columns of a smooth size. The source holds rows of complex numbers (xi is null) or real and imaginary
   parts apart, xld numbers from row to row; the target likewise. `a` and `b` are work of 2 n width numbers each; the
   source may be `b`. */
static void S(columns)(const S(plan) *p, int64_t width, const REAL *xr, const REAL *xi, int64_t xld, REAL sign,
    REAL *yr, REAL *yi, int64_t yld, REAL scale, REAL end_sign, REAL *a, REAL *b) {
  const int64_t n = p->n, block = n * width;
  int64_t m = n, s = width;
  REAL *to = a, *other = b;
  int apart = xi != 0, k = 0;
  if (apart && xr == b) { to = a; other = b; }
  if (!(apart && xld == width) && (p->count < 2 || p->radix[0] > 8)) { /* the first pass wants parts apart */
    for (int64_t row = 0; row < n; row++)
      for (int64_t c = 0; c < width; c += V) {
        const int64_t q = c + V > width ? width - V : c;
        VEC r, i;
        if (apart) { r = LOAD(xr + row * xld + q); i = LOAD(xi + row * xld + q); }
        else { S(load2)(xr + 2 * (row * xld + q), &r, &i); i *= sign; }
        STORE(to + row * width + q, r);
        STORE(to + block + row * width + q, i);
      }
    xr = to; xi = to + block; xld = width; apart = 1;
    to = other; other = (REAL *)xr;
  }
  for (; k < p->count; k++) {
    const int r = p->radix[k];
    m /= r;
    if (r > 8) S(any)(r, m, s, xr, xi, to, to + block, p->roots[k], p->circle[k]);
    else if (k + 1 == p->count) {
      if (yi) S(last_apart)(r, s / width, width, xr, xi, scale, scale * end_sign, yr, yi, yld);
      else S(last)(r, s / width, width, xr, xi, scale, scale * end_sign, yr, 0, yld);
      return;
    } else if (apart) S(middle)(r, m, s, xr, xi, xld, 1, to, to + block, p->roots[k]);
    else S(first)(r, m, s, xr, 0, xld, sign, to, to + block, p->roots[k]);
    xr = to; xi = to + block; apart = 1;
    { REAL *t = to; to = other; other = t; }
    s *= r;
    xld = s;
  }
  for (int64_t row = 0; row < n; row++) /* no pass has written the result yet */
    for (int64_t c = 0; c < width; c += V) {
      const int64_t q = c + V > width ? width - V : c;
      const VEC r = LOAD(xr + row * width + q) * scale, i = LOAD(xi + row * width + q) * (scale * end_sign);
      if (yi) { STORE(yr + row * yld + q, r); STORE(yi + row * yld + q, i); }
      else S(store2)(yr + 2 * (row * yld + q), r, i);
    }
}

/* ---------------------------------------------------------------- rows to columns and back */
/* Rows of complex numbers, `step` complex numbers from row to row, as columns with parts apart, and back. */
static void S(gather)(const REAL *x, int64_t rows, int64_t step, int64_t n, REAL sign, REAL *r, REAL *i, int64_t ld) {
  int64_t j = 0;
  for (; j + V <= n; j += V) {
    int64_t row = 0;
    for (; row + V <= rows; row += V) {
      VEC a[V], b[V];
      for (int k = 0; k < V; k++) S(load2)(x + 2 * ((row + k) * step + j), &a[k], &b[k]);
      S(turn)(a);
      S(turn)(b);
      for (int k = 0; k < V; k++) { STORE(r + (j + k) * ld + row, a[k]); STORE(i + (j + k) * ld + row, b[k] * sign); }
    }
    for (; row < rows; row++)
      for (int k = 0; k < V; k++) {
        r[(j + k) * ld + row] = x[2 * (row * step + j + k)];
        i[(j + k) * ld + row] = sign * x[2 * (row * step + j + k) + 1];
      }
  }
  for (; j < n; j++)
    for (int64_t row = 0; row < rows; row++) {
      r[j * ld + row] = x[2 * (row * step + j)];
      i[j * ld + row] = sign * x[2 * (row * step + j) + 1];
    }
}

static void S(scatter)(REAL *x, int64_t rows, int64_t step, int64_t n, const REAL *r, const REAL *i, int64_t ld) {
  int64_t j = 0;
  for (; j + V <= n; j += V) {
    int64_t row = 0;
    for (; row + V <= rows; row += V) {
      VEC a[V], b[V];
      for (int k = 0; k < V; k++) { a[k] = LOAD(r + (j + k) * ld + row); b[k] = LOAD(i + (j + k) * ld + row); }
      S(turn)(a);
      S(turn)(b);
      for (int k = 0; k < V; k++) S(store2)(x + 2 * ((row + k) * step + j), a[k], b[k]);
    }
    for (; row < rows; row++)
      for (int k = 0; k < V; k++) {
        x[2 * (row * step + j + k)] = r[(j + k) * ld + row];
        x[2 * (row * step + j + k) + 1] = i[(j + k) * ld + row];
      }
  }
  for (; j < n; j++)
    for (int64_t row = 0; row < rows; row++) {
      x[2 * (row * step + j)] = r[j * ld + row];
      x[2 * (row * step + j) + 1] = i[j * ld + row];
    }
}

/* Real numbers: x[row * step + j] to y[j * ld + row]. */
static void S(across)(const REAL *x, int64_t rows, int64_t step, int64_t n, REAL *y, int64_t ld) {
  int64_t j = 0;
  for (; j + V <= n; j += V) {
    int64_t row = 0;
    for (; row + V <= rows; row += V) {
      VEC a[V];
      for (int k = 0; k < V; k++) a[k] = LOAD(x + (row + k) * step + j);
      S(turn)(a);
      for (int k = 0; k < V; k++) STORE(y + (j + k) * ld + row, a[k]);
    }
    for (; row < rows; row++)
      for (int k = 0; k < V; k++) y[(j + k) * ld + row] = x[row * step + j + k];
  }
  for (; j < n; j++)
    for (int64_t row = 0; row < rows; row++) y[j * ld + row] = x[row * step + j];
}

/* ---------------------------------------------------------------- one transform */
typedef struct { const S(plan) *p; const REAL *x; REAL *y, *t; REAL sign, scale, end_sign; } S(split_work);

static void S(split_columns)(int64_t begin, int64_t end, void *ctx) {
  const S(split_work) *d = ctx;
  const S(plan) *p = d->p;
  const int64_t n1 = p->one->n, n2 = p->two->n, lanes = n2 < LANES ? n2 : LANES, block = n1 * lanes;
  REAL *work = tj_room(0, sizeof(REAL) * (size_t)(6 * block)), *o = work + 4 * block;
  for (int64_t g = begin; g < end; g++) {
    const int64_t c = g * LANES + lanes > n2 ? n2 - lanes : g * LANES;
    S(columns)(p->one, lanes, d->x + 2 * c, 0, n2, d->sign, o, o + block, lanes, 1, 1, work, work + 2 * block);
    for (int64_t k = 0; k < n1; k++) {
      const int64_t e = k * c;
      const double *f = p->fine + 2 * (e & 1023), *h = p->coarse + 2 * (e >> 10);
      const REAL wr = (REAL)(f[0] * h[0] - f[1] * h[1]), wi = (REAL)(f[0] * h[1] + f[1] * h[0]);
      for (int64_t l = 0; l < lanes; l += V) {
        const int64_t q = l + V > lanes ? lanes - V : l;
        const VEC nr = LOAD(p->near + 2 * LANES * k + q), ni = LOAD(p->near + 2 * LANES * k + LANES + q);
        const VEC tr = nr * wr - ni * wi, ti = nr * wi + ni * wr;
        const VEC r = LOAD(o + k * lanes + q), i = LOAD(o + block + k * lanes + q);
        STORE(d->t + k * n2 + c + q, r * tr - i * ti);
        STORE(d->t + p->n + k * n2 + c + q, r * ti + i * tr);
      }
    }
  }
}

static void S(split_rows)(int64_t begin, int64_t end, void *ctx) {
  const S(split_work) *d = ctx;
  const S(plan) *p = d->p;
  const int64_t n1 = p->one->n, n2 = p->two->n, lanes = n1 < LANES ? n1 : LANES, block = n2 * lanes;
  REAL *work = tj_room(0, sizeof(REAL) * (size_t)(4 * block)), *b = work + 2 * block;
  for (int64_t g = begin; g < end; g++) {
    const int64_t c = g * LANES + lanes > n1 ? n1 - lanes : g * LANES;
    S(across)(d->t + c * n2, lanes, n2, n2, b, lanes);
    S(across)(d->t + p->n + c * n2, lanes, n2, n2, b + block, lanes);
    S(columns)(p->two, lanes, b, b + block, lanes, 1, d->y + 2 * c, 0, n1, d->scale, d->end_sign, work, b);
  }
}

static void S(single)(const tj_api *api, const S(plan) *p, const REAL *x, REAL sign, REAL *y, REAL scale,
    REAL end_sign) {
  const int64_t n = p->n;
  if (S(split)(p)) {
    S(split_work) d = {p, x, y, tj_room(1, sizeof(REAL) * 2 * (size_t)n), sign, scale, end_sign};
    const int64_t first = (p->two->n + LANES - 1) / LANES, second = (p->one->n + LANES - 1) / LANES;
    if (api && n >= 1 << 13) {
      api->parallel(S(split_columns), &d, first, 1);
      api->parallel(S(split_rows), &d, second, 1);
    } else {
      S(split_columns)(0, first, &d);
      S(split_rows)(0, second, &d);
    }
  } else if (p->rest) {
    REAL *b = tj_room(0, sizeof(REAL) * 4 * (size_t)n), *a = b + 2 * n;
    S(row_first)(n / V, x, sign, b, b + n, p->row_roots);
    S(columns)(p->rest, V, b, b + n, V, 1, y, 0, V, scale, end_sign, a, b);
  } else if (p->chirp) {
    const int64_t m = p->chirp->n;
    REAL *u = tj_room(2, sizeof(REAL) * 4 * (size_t)m), *v = u + 2 * m;
    for (int64_t j = 0; j < n; j++) {
      const REAL r = x[2 * j], i = sign * x[2 * j + 1], c = p->bend[2 * j], s = p->bend[2 * j + 1];
      u[2 * j] = r * c - i * s;
      u[2 * j + 1] = r * s + i * c;
    }
    memset(u + 2 * n, 0, sizeof(REAL) * 2 * (size_t)(m - n));
    S(single)(api, p->chirp, u, 1, v, 1, 1);
    for (int64_t j = 0; j < m; j++) { /* conjugated, so that a forward transform goes back */
      const REAL r = v[2 * j], i = v[2 * j + 1], c = p->kernel[2 * j], s = p->kernel[2 * j + 1];
      v[2 * j] = r * c - i * s;
      v[2 * j + 1] = r * s + i * c;
    }
    S(single)(api, p->chirp, v, -1, u, 1, -1);
    for (int64_t j = 0; j < n; j++) {
      const REAL r = u[2 * j] * scale, i = u[2 * j + 1] * scale, c = p->bend[2 * j], s = p->bend[2 * j + 1];
      y[2 * j] = r * c - i * s;
      y[2 * j + 1] = end_sign * (r * s + i * c);
    }
  } else { /* one column of V */
    REAL *a = tj_room(0, sizeof(REAL) * 4 * (size_t)(n * V)), *b = a + 2 * n * V;
    for (int64_t j = 0; j < n; j++) {
      STORE(b + j * V, SPLAT(x[2 * j]));
      STORE(b + (n + j) * V, SPLAT(sign * x[2 * j + 1]));
    }
    REAL *o = tj_room(3, sizeof(REAL) * 2 * (size_t)(n * V));
    S(columns)(p, V, b, b + n * V, V, 1, o, o + n * V, V, scale, end_sign, a, b);
    for (int64_t k = 0; k < n; k++) { y[2 * k] = o[k * V]; y[2 * k + 1] = o[(n + k) * V]; }
  }
}

/* ---------------------------------------------------------------- arrays */
typedef struct {
  const tj_api *api;
  const S(plan) *p;
  const REAL *x;
  REAL *y;
  int64_t outer, n, inner, lanes;
  REAL sign, scale, end_sign;
  const REAL *ends;
} S(job);

static void S(rows)(int64_t begin, int64_t end, void *ctx) {
  const S(job) *d = ctx;
  for (int64_t g = begin; g < end; g++)
    S(single)(0, d->p, d->x + 2 * g * d->n, d->sign, d->y + 2 * g * d->n, d->scale, d->end_sign);
}

/* The place of the first number of a line among `lines` of n numbers each, `inner` of which lie interwoven. */
static int64_t S(line)(int64_t k, int64_t n, int64_t inner) { return k / inner * n * inner + k % inner; }

/* Rows, or columns where there are few side by side, `lanes` lines at a time as columns. */
static void S(row_groups)(int64_t begin, int64_t end, void *ctx) {
  const S(job) *d = ctx;
  const int64_t n = d->n, lanes = d->lanes, block = n * lanes, inner = d->inner, count = d->outer * inner;
  REAL *a = tj_room(0, sizeof(REAL) * (size_t)(6 * block)), *b = a + 2 * block, *o = b + 2 * block;
  for (int64_t g = begin; g < end; g++) {
    const int64_t first = g * lanes, lines = count - first < lanes ? count - first : lanes;
    if (lines < lanes) memset(b, 0, sizeof(REAL) * (size_t)(2 * block));
    if (inner == 1) S(gather)(d->x + 2 * first * n, lines, n, n, d->sign, b, b + block, lanes);
    else
      for (int64_t l = 0; l < lines; l++) {
        const REAL *x = d->x + 2 * S(line)(first + l, n, inner);
        for (int64_t j = 0; j < n; j++) {
          b[j * lanes + l] = x[2 * j * inner];
          b[(n + j) * lanes + l] = d->sign * x[2 * j * inner + 1];
        }
      }
    S(columns)(d->p, lanes, b, b + block, lanes, 1, o, o + block, lanes, d->scale, d->end_sign, a, b);
    if (inner == 1) S(scatter)(d->y + 2 * first * n, lines, n, n, o, o + block, lanes);
    else
      for (int64_t l = 0; l < lines; l++) {
        REAL *y = d->y + 2 * S(line)(first + l, n, inner);
        for (int64_t j = 0; j < n; j++) {
          y[2 * j * inner] = o[j * lanes + l];
          y[2 * j * inner + 1] = o[(n + j) * lanes + l];
        }
      }
  }
}

/* Columns of an array, `lanes` of them at a time. */
static void S(column_groups)(int64_t begin, int64_t end, void *ctx) {
  const S(job) *d = ctx;
  const int64_t n = d->n, inner = d->inner, lanes = d->lanes, block = n * lanes, groups = (inner + lanes - 1) / lanes;
  REAL *a = tj_room(0, sizeof(REAL) * (size_t)(6 * block)), *b = a + 2 * block, *o = b + 2 * block;
  for (int64_t g = begin; g < end; g++) {
    int64_t c = g % groups * lanes, width = inner - c < lanes ? inner - c : lanes;
    const REAL *x = d->x + 2 * (g / groups * n * inner + c);
    REAL *y = d->y + 2 * (g / groups * n * inner + c);
    if (width >= V) {
      S(columns)(d->p, width, x, 0, inner, d->sign, y, 0, inner, d->scale, d->end_sign, a, b);
      continue;
    }
    memset(b, 0, sizeof(REAL) * (size_t)(2 * n * V));
    for (int64_t row = 0; row < n; row++)
      for (int64_t l = 0; l < width; l++) {
        b[row * V + l] = x[2 * (row * inner + l)];
        b[(n + row) * V + l] = d->sign * x[2 * (row * inner + l) + 1];
      }
    S(columns)(d->p, V, b, b + n * V, V, 1, o, o + n * V, V, d->scale, d->end_sign, a, b);
    for (int64_t row = 0; row < n; row++)
      for (int64_t l = 0; l < width; l++) {
        y[2 * (row * inner + l)] = o[row * V + l];
        y[2 * (row * inner + l) + 1] = o[(n + row) * V + l];
      }
  }
}

/* Columns of a size that has no column form or is large: each is copied out, transformed, and copied back. */
static void S(lone_columns)(int64_t begin, int64_t end, void *ctx) {
  const S(job) *d = ctx;
  const int64_t n = d->n, inner = d->inner, groups = (inner + V - 1) / V;
  REAL *line = tj_room(4, sizeof(REAL) * (size_t)(4 * n * V)), *out = line + 2 * n * V;
  for (int64_t g = begin; g < end; g++) {
    const int64_t c = g % groups * V, width = inner - c < V ? inner - c : V;
    const REAL *x = d->x + 2 * (g / groups * n * inner + c);
    REAL *y = d->y + 2 * (g / groups * n * inner + c);
    for (int64_t row = 0; row < n; row++)
      for (int64_t l = 0; l < width; l++) {
        line[2 * (l * n + row)] = x[2 * (row * inner + l)];
        line[2 * (l * n + row) + 1] = x[2 * (row * inner + l) + 1];
      }
    for (int64_t l = 0; l < width; l++)
      S(single)(0, d->p, line + 2 * l * n, d->sign, out + 2 * l * n, d->scale, d->end_sign);
    for (int64_t row = 0; row < n; row++)
      for (int64_t l = 0; l < width; l++) {
        y[2 * (row * inner + l)] = out[2 * (l * n + row)];
        y[2 * (row * inner + l) + 1] = out[2 * (l * n + row) + 1];
      }
  }
}

static void S(share)(const tj_api *api, void (*body)(int64_t, int64_t, void *), S(job) *d, int64_t count) {
  const double work = (double)d->outer * (double)d->inner * (double)d->n;
  if (api && count > 1 && work > 20000) api->parallel(body, d, count, 1);
  else body(0, count, d);
}

static int S(lined_up)(const S(plan) *p) { return p->smooth && p->n <= 4096; }

/* y = scale * the transform along the middle axis of x[outer][n][inner], of complex numbers; sign -1 is the inverse. */
static void S(fft_complex)(const tj_api *api, const void *x, void *y, int64_t outer, int64_t n, int64_t inner,
    int64_t inverse, double scale) {
  S(plan) *p = S(plan_of)(n);
  const REAL sign = inverse ? -1 : 1;
  S(job) d = {api, p, x, y, outer, n, inner, V, sign, (REAL)scale, sign, 0};
  if (inner == 1) {
    if (outer == 1) S(single)(api, p, x, sign, y, (REAL)scale, sign);
    else if (S(lined_up)(p) && !p->rest) S(share)(api, S(row_groups), &d, (outer + V - 1) / V);
    else S(share)(api, S(rows), &d, outer);
  } else if (S(lined_up)(p) && inner < V) S(share)(api, S(row_groups), &d, (outer * inner + V - 1) / V);
  else if (S(lined_up)(p)) {
    while (d.lanes < 64 && d.lanes * n < 16384) d.lanes *= 2;
    S(share)(api, S(column_groups), &d, outer * ((inner + d.lanes - 1) / d.lanes));
  } else S(share)(api, S(lone_columns), &d, outer * ((inner + V - 1) / V));
}
