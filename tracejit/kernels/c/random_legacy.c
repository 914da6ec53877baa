/* The samplers of numpy.random.RandomState, and so of numpy.random.rand and its like, which NumPy has frozen.

   Normal numbers: Marsaglia and Bray 1964, "A convenient method for generating normal variables", two at a time, of
   which the second is kept; gamma numbers: Marsaglia and Tsang 2000, "A simple method for generating gamma variables",
   and Ahrens and Dieter 1974 for shapes below 1; beta numbers: Jöhnk 1964; inverse Gaussian: Michael, Schucany and Haas
   1976; von Mises: Best and Fisher 1979; Zipf: Devroye 1986; hypergeometric: Stadlober 1990; logarithmic: Kemp 1981;
   bounded integers: words below a mask, until one lies in the range. The order of operations is NumPy's: bits depend
   on it. Samplers that take a normal number get what is kept as p[0], and change it there. */
NUMPY_FUNCTION(double, random_loggam, double)
NUMPY(int64_t, random_poisson, double)
NUMPY(int64_t, random_geometric_search, double)
NUMPY(int64_t, random_binomial_inversion, int64_t, double, void *)
NUMPY(int64_t, random_binomial_btpe, int64_t, double, void *)
NUMPY(uint16_t, random_buffered_bounded_uint16, uint16_t, uint16_t, uint16_t, int, int *, uint32_t *)
NUMPY(uint8_t, random_buffered_bounded_uint8, uint8_t, uint8_t, uint8_t, int, int *, uint32_t *)
NUMPY(uint8_t, random_buffered_bounded_bool, uint8_t, uint8_t, uint8_t, int, int *, uint32_t *)

/* The C library's own: vectors of them have other last bits. */
#define PLAIN(name) \
  TJ_NOINLINE double plain_##name(double x) { return name(x); }
PLAIN(log)
PLAIN(exp)
PLAIN(log1p)
PLAIN(cos)
PLAIN(acos)
TJ_NOINLINE double plain_pow(double x, double y) { return pow(x, y); }

#define PI 3.14159265358979323846

/* The normal number that is kept, as it lies in NumPy's memory. */
typedef struct gaussian {
  int32_t there, padding;
  double value;
} gaussian;

typedef struct pair { double first, second; } pair;

#define WITH(type, value)                   \
  OPEN                                      \
  gaussian *const kept = (gaussian *)p[0];  \
  EACH(type, value)                         \
  CLOSE
#define WITHOUT(type, value) \
  OPEN                       \
  EACH(type, value)          \
  CLOSE

TJ_INLINE double unit(source *s) { return unit_double(word(s)); }

/* ---------------------------------------------------------------- normal numbers */
TJ_INLINE double normal(source *s, gaussian *kept) {
  if (kept->there) {
    const double x = kept->value;
    kept->there = 0, kept->value = 0;
    return x;
  }
  double a, b, r;
  do {
    a = 2.0 * unit(s) - 1.0;
    b = 2.0 * unit(s) - 1.0;
    r = a * a + b * b;
  } while (r >= 1.0 || r == 0.0);
  const double f = sqrt(-2.0 * plain_log(r) / r);
  kept->value = f * a, kept->there = 1;
  return f * b;
}

enum { BLOCK = 256, CHUNK = 1 << 14 };

/* Points in the unit circle, and the squares of their distances: `n` of each, never drawing more than it takes. */
static void points(source *s, double *a, double *b, double *r, int64_t n) {
  double u[2 * BLOCK];
  for (int64_t have = 0; have < n;) {
    const int64_t wanted = n - have < BLOCK ? n - have : BLOCK;
    fill_doubles(s, u, 2 * wanted);
    for (int64_t i = 0; i < wanted; i++) {
      const double x = 2.0 * u[2 * i] - 1.0, y = 2.0 * u[2 * i + 1] - 1.0, square = x * x + y * y;
      a[have] = x, b[have] = y, r[have] = square;
      have += !(square >= 1.0 || square == 0.0);
    }
  }
}

typedef struct circle {
  const double *a, *b, *r;
  double *out;
} circle;

static void from_points(int64_t begin, int64_t end, void *context) {
  const circle *const c = context;
  for (int64_t start = begin; start < end; start += BLOCK) {
    const int64_t stop = start + BLOCK < end ? start + BLOCK : end;
    double f[BLOCK];
    for (int64_t i = start; i < stop; i++) f[i - start] = plain_log(c->r[i]);
    for (int64_t i = start; i < stop; i++) {
      const double g = sqrt(-2.0 * f[i - start] / c->r[i]);
      c->out[2 * i] = g * c->b[i], c->out[2 * i + 1] = g * c->a[i];
    }
  }
}

SAMPLER(legacy_normal_f64) {
  OPEN
  gaussian *const kept = (gaussian *)p[0];
  double *x = out;
  if (n > 0 && kept->there) *x++ = normal(s, kept), n--;
  int64_t pairs = n / 2, room = pairs < CHUNK ? pairs : CHUNK;
  double *const a = room > 4 ? malloc((size_t)(24 * room)) : 0;
  if (a) {
    double *const b = a + room, *const r = b + room;
    for (; pairs > 0; pairs -= room, x += 2 * room, n -= 2 * room) {
      if (pairs < room) room = pairs;
      points(s, a, b, r, room);
      circle c = {a, b, r, x};
      if (room < 4096) from_points(0, room, &c);
      else tj_pool->parallel(from_points, &c, room, 2048);
    }
    free(a);
  }
  for (; n > 0; n--) *x++ = normal(s, kept);
  CLOSE
}

/* ---------------------------------------------------------------- exponential numbers */
TJ_INLINE double exponential(source *s) { return -plain_log(1.0 - unit(s)); }

static void negative_logs(int64_t begin, int64_t end, void *context) {
  double *const x = context;
  for (int64_t i = begin; i < end; i++) x[i] = -plain_log(1.0 - x[i]);
}

SAMPLER(legacy_exponential_f64) {
  OPEN
  fill_doubles(s, out, n);
  if (n < 8192) negative_logs(0, n, out);
  else tj_pool->parallel(negative_logs, out, n, 4096);
  CLOSE
}

/* ---------------------------------------------------------------- gamma numbers, and what is made of them */
static double gamma_of(source *s, gaussian *kept, double shape) {
  if (shape == 1.0) return exponential(s);
  if (shape == 0.0) return 0.0;
  if (shape < 1.0) {
    for (;;) {
      const double u = unit(s), v = exponential(s);
      if (u <= 1.0 - shape) {
        const double x = plain_pow(u, 1. / shape);
        if (x <= v) return x;
      } else {
        const double y = -plain_log((1 - u) / shape), x = plain_pow(1.0 - shape + shape * y, 1. / shape);
        if (x <= v + y) return x;
      }
    }
  }
  const double b = shape - 1. / 3., c = 1. / sqrt(9 * b);
  for (;;) {
    double x, v;
    do {
      x = normal(s, kept);
      v = 1.0 + c * x;
    } while (v <= 0.0);
    v = v * v * v;
    const double u = unit(s);
    if (u < 1.0 - 0.0331 * (x * x) * (x * x)) return b * v;
    if (plain_log(u) < 0.5 * x * x + b * (1. - v + plain_log(v))) return b * v;
  }
}

TJ_INLINE double chisquare(source *s, gaussian *kept, double df) { return 2.0 * gamma_of(s, kept, df / 2.0); }

static double noncentral(source *s, gaussian *kept, double df, double nonc) {
  if (nonc == 0) return chisquare(s, kept, df);
  if (1 < df) {
    const double x = chisquare(s, kept, df - 1), y = normal(s, kept) + sqrt(nonc);
    return x + y * y;
  }
  bitgen g = {s, next_word, next_half, next_unit, next_word};
  const int64_t i = random_poisson(&g, nonc / 2.0);
  const double x = chisquare(s, kept, df + 2 * i);
  return nonc != nonc ? nonc : x;
}

static double beta(source *s, gaussian *kept, double a, double b) {
  if (a <= 1.0 && b <= 1.0) {
    for (;;) {
      const double u = unit(s), v = unit(s), x = plain_pow(u, 1.0 / a), y = plain_pow(v, 1.0 / b), sum = x + y;
      if (!(sum <= 1.0 && u + v > 0.0)) continue;
      if (sum > 0) return x / sum;
      double k = plain_log(u) / a, l = plain_log(v) / b;
      const double most = k > l ? k : l;
      k -= most, l -= most;
      return plain_exp(k - plain_log(plain_exp(k) + plain_exp(l)));
    }
  }
  const double x = gamma_of(s, kept, a), y = gamma_of(s, kept, b);
  return x / (x + y);
}

static double wald(source *s, gaussian *kept, double mean, double scale) {
  const double half = mean / (2 * scale);
  double y = normal(s, kept);
  y = mean * y * y;
  const double x = mean + half * (y - sqrt(4 * scale * y + y * y));
  return unit(s) <= mean / (mean + x) ? x : mean * mean / x;
}

static double student(source *s, gaussian *kept, double df) {
  const double x = normal(s, kept), y = gamma_of(s, kept, df / 2);
  return sqrt(df / 2) * x / sqrt(y);
}

static double quotient(pair q) { return q.first / q.second; }

static pair two_normals(source *s, gaussian *kept) {
  const double x = normal(s, kept);
  return (pair){x, normal(s, kept)};
}

static pair two_gammas(source *s, gaussian *kept, double a, double b) {
  const double x = chisquare(s, kept, a) * b;
  return (pair){x, chisquare(s, kept, b) * a};
}

static pair noncentral_and_central(source *s, gaussian *kept, double a, double b, double nonc) {
  const double x = noncentral(s, kept, a, nonc) * b;
  return (pair){x, chisquare(s, kept, b) * a};
}

SAMPLER(legacy_cauchy_f64) { WITH(double, quotient(two_normals(s, kept))) }
SAMPLER(legacy_gamma_f64) { PARAM(double, a, 1) WITH(double, gamma_of(s, kept, a[i * step_a])) }
SAMPLER(legacy_chisquare_f64) { PARAM(double, a, 1) WITH(double, chisquare(s, kept, a[i * step_a])) }
SAMPLER(legacy_t_f64) { PARAM(double, a, 1) WITH(double, student(s, kept, a[i * step_a])) }
#define WITH_TWO(name, value) \
  SAMPLER(legacy_##name##_f64) { PARAM(double, a, 1) PARAM(double, b, 2) WITH(double, value) }
WITH_TWO(lognormal, plain_exp(a[i * step_a] + b[i * step_b] * normal(s, kept)))
WITH_TWO(beta, beta(s, kept, a[i * step_a], b[i * step_b]))
WITH_TWO(wald, wald(s, kept, a[i * step_a], b[i * step_b]))
WITH_TWO(f, quotient(two_gammas(s, kept, a[i * step_a], b[i * step_b])))
WITH_TWO(noncentral_chisquare, noncentral(s, kept, a[i * step_a], b[i * step_b]))
SAMPLER(legacy_noncentral_f_f64) {
  PARAM(double, a, 1) PARAM(double, b, 2) PARAM(double, c, 3)
  WITH(double, quotient(noncentral_and_central(s, kept, a[i * step_a], b[i * step_b], c[i * step_c])))
}

/* p[1]: the shapes of one row. */
SAMPLER(legacy_dirichlet_f64) {
  OPEN
  gaussian *const kept = (gaussian *)p[0];
  const double *const alpha = p[1];
  const int64_t k = size[1];
  double *const x = out;
  for (int64_t i = 0; i + k <= n && k; i += k) {
    double total = 0;
    for (int64_t j = 0; j < k; j++) total += x[i + j] = gamma_of(s, kept, alpha[j]);
    const double inverse = 1 / total;
    for (int64_t j = 0; j < k; j++) x[i + j] *= inverse;
  }
  CLOSE
}

/* ---------------------------------------------------------------- continuous, by inversion or rejection */
static double vonmises(source *s, double mu, double kappa) {
  if (kappa != kappa) return TJ_NAN;
  if (kappa < 1e-8) return PI * (2 * unit(s) - 1);
  double a = 1. / kappa + kappa, w;
  if (kappa >= 1e-5) {
    const double r = 1 + sqrt(1 + 4 * kappa * kappa), rho = (r - sqrt(2 * r)) / (2 * kappa);
    a = (1 + rho * rho) / (2 * rho);
  }
  for (;;) {
    const double z = plain_cos(PI * unit(s));
    w = (1 + a * z) / (a + z);
    const double y = kappa * (a - w), v = unit(s);
    if (y * (2 - y) - v >= 0 || plain_log(y / v) + 1 - y >= 0) break;
  }
  const double u = unit(s);
  double x = plain_acos(w);
  if (u < 0.5) x = -x;
  x += mu;
  const double turned = fmod(fabs(x) + PI, 2 * PI) - PI;
  return x < 0 ? -turned : turned;
}

#define ONE(name, type, value) \
  SAMPLER(legacy_##name) { PARAM(double, a, 0) WITHOUT(type, value) }
ONE(pareto_f64, double, plain_exp(exponential(s) / a[i * step_a]) - 1)
ONE(weibull_f64, double, a[i * step_a] == 0.0 ? 0.0 : plain_pow(exponential(s), 1. / a[i * step_a]))
ONE(power_f64, double, plain_pow(1 - plain_exp(-exponential(s)), 1. / a[i * step_a]))
ONE(rayleigh_f64, double, a[i * step_a] * sqrt(-2.0 * plain_log1p(-unit(s))))
SAMPLER(legacy_vonmises_f64) {
  PARAM(double, a, 0) PARAM(double, b, 1)
  WITHOUT(double, vonmises(s, a[i * step_a], b[i * step_b]))
}

/* ---------------------------------------------------------------- whole numbers */
static int64_t zipf(source *s, double a) {
  const double less = a - 1.0, b = plain_pow(2.0, less);
  for (;;) {
    const double u = 1.0 - unit(s), v = unit(s), x = floor(plain_pow(u, -1.0 / less));
    if (x > 9223372036854775807.0 || x < 1.0) continue;
    const double t = plain_pow(1.0 + 1.0 / x, less);
    if (v * x * (t - 1.0) / (b - 1.0) <= t / b) return (int64_t)x;
  }
}

static int64_t logseries(source *s, double p) {
  const double r = plain_log(1.0 - p);
  for (;;) {
    const double v = unit(s);
    if (v >= p) return 1;
    const double q = 1.0 - plain_exp(r * unit(s));
    if (v <= q * q) {
      const int64_t x = (int64_t)floor(1 + plain_log(v) / plain_log(q));
      if (x < 1 || v == 0.0) continue;
      return x;
    }
    return v >= q ? 1 : 2;
  }
}

static int64_t geometric(source *s, double p) {
  if (p >= 0.333333333333333333333333) {
    bitgen g = {s, next_word, next_half, next_unit, next_word};
    return random_geometric_search(&g, p);
  }
  return (int64_t)ceil(plain_log1p(-unit(s)) / plain_log(1 - p));
}

static int64_t few_of(source *s, int64_t good, int64_t bad, int64_t sample) {
  const int64_t rest = bad + good - sample;
  const double least = (double)(bad < good ? bad : good);
  double y = least;
  for (int64_t k = sample; y > 0.0 && k > 0; k--) y -= (int64_t)floor(unit(s) + y / (rest + k));
  const int64_t z = (int64_t)(least - y);
  return good > bad ? sample - z : z;
}

TJ_INLINE double gammas(int64_t z, int64_t least, int64_t most, int64_t m) {
  return random_loggam(z + 1) + random_loggam(least - z + 1) + random_loggam(m - z + 1) + random_loggam(most - m + z + 1);
}

static int64_t many_of(source *s, int64_t good, int64_t bad, int64_t sample) {
  const int64_t least = good < bad ? good : bad, most = good < bad ? bad : good, all = good + bad;
  const int64_t m = sample < all - sample ? sample : all - sample;
  const double share = (double)least / all, centre = m * share + 0.5;
  const double spread = sqrt((double)(all - m) * sample * share * (1.0 - share) / (all - 1) + 0.5);
  const double width = 1.7155277699214135 * spread + 0.8989161620588988;
  const int64_t mode = (int64_t)floor((double)(m + 1) * (least + 1) / (all + 2));
  const double top = gammas(mode, least, most, m), far = floor(centre + 16 * spread);
  const double first = (m < least ? m : least) + 1.0, end = first < far ? first : far;
  int64_t z;
  for (;;) {
    const double x = unit(s), y = unit(s), w = centre + width * (y - 0.5) / x;
    if (w < 0.0 || w >= end) continue;
    z = (int64_t)floor(w);
    const double t = top - gammas(z, least, most, m);
    if (x * (4.0 - x) - 3.0 <= t) break;
    if (x * (x - t) >= 1) continue;
    if (2.0 * plain_log(x) <= t) break;
  }
  if (good > bad) z = m - z;
  return m < sample ? good - z : z;
}

static int64_t hypergeometric(source *s, int64_t good, int64_t bad, int64_t sample) {
  return sample > 10 ? many_of(s, good, bad, sample) : sample > 0 ? few_of(s, good, bad, sample) : 0;
}

static int64_t binomial(bitgen *g, int64_t n, double p, kept *memory) {
  if (p <= 0.5)
    return p * n <= 30.0 ? random_binomial_inversion(g, n, p, memory) : random_binomial_btpe(g, n, p, memory);
  const double q = 1.0 - p;
  return n - (q * n <= 30.0 ? random_binomial_inversion(g, n, q, memory) : random_binomial_btpe(g, n, q, memory));
}

ONE(zipf_i64, int64_t, zipf(s, a[i * step_a]))
ONE(logseries_i64, int64_t, logseries(s, a[i * step_a]))
ONE(geometric_i64, int64_t, geometric(s, a[i * step_a]))
SAMPLER(legacy_binomial_i64) {
  BEGIN PARAM(int64_t, a, 0) PARAM(double, b, 1)
  kept memory;
  memset(&memory, 0, sizeof memory);
  EACH(int64_t, binomial(g, a[i * step_a], b[i * step_b], &memory))
}
SAMPLER(legacy_negative_binomial_i64) {
  BEGIN PARAM(double, a, 1) PARAM(double, b, 2)
  gaussian *const kept = (gaussian *)p[0];
  for (int64_t i = 0; i < n; i++) {
    const double odds = b[i * step_b];
    ((int64_t *)out)[i] = random_poisson(g, (1 - odds) / odds * gamma_of(after, kept, a[i * step_a]));
  }
}
SAMPLER(legacy_hypergeometric_i64) {
  PARAM(int64_t, a, 0) PARAM(int64_t, b, 1) PARAM(int64_t, c, 2)
  WITHOUT(int64_t, hypergeometric(s, a[i * step_a], b[i * step_b], c[i * step_c]))
}

/* ---------------------------------------------------------------- integers in [first, first + range], modulo 2^bits */
TJ_INLINE uint64_t mask_of(uint64_t range) {
  for (int shift = 1; shift < 64; shift *= 2) range |= range >> shift;
  return range;
}

/* x[i] = first + the next of the words below a mask that lies in the range; none more is drawn than it takes. */
#define MASKED(type, filler, drawn)                                                         \
  const drawn mask = (drawn)mask_of(range);                                                 \
  drawn words[2 * BLOCK];                                                                   \
  for (int64_t have = 0; have < n;) {                                                       \
    const int64_t wanted = n - have < 2 * BLOCK ? n - have : 2 * BLOCK;                     \
    if (wanted < 4) {                                                                       \
      filler(s, words, 1);                                                                  \
      if ((words[0] & mask) <= range) x[have++] = (type)(first + (words[0] & mask));        \
      continue;                                                                             \
    }                                                                                       \
    filler(s, words, wanted);                                                               \
    for (int64_t i = 0; i < wanted; i++) {                                                  \
      const drawn w = words[i] & mask;                                                      \
      x[have] = (type)(first + w);                                                          \
      have += w <= range;                                                                   \
    }                                                                                       \
  }

#define MASKED_FILL(name, type, filler)                                                               \
  SAMPLER(legacy_masked_##name) {                                                                     \
    OPEN                                                                                              \
    const type first = (type) * (const uint64_t *)p[0], range = (type) * (const uint64_t *)p[1];      \
    type *x = out;                                                                                    \
    if (range == 0) for (int64_t i = 0; i < n; i++) x[i] = first;                                     \
    else { filler }                                                                                   \
    CLOSE                                                                                             \
  }
MASKED_FILL(u32, uint32_t, MASKED(uint32_t, fill_halves, uint32_t))
MASKED_FILL(u64, uint64_t, if (range >> 32) { MASKED(uint64_t, fill_words, uint64_t) }
                           else { MASKED(uint64_t, fill_halves, uint32_t) })

#define MASKED_NUMPY(name, type, one)                                                                        \
  SAMPLER(legacy_masked_##name) {                                                                            \
    BEGIN                                                                                                    \
    const type first = (type) * (const uint64_t *)p[0], range = (type) * (const uint64_t *)p[1];             \
    const type mask = (type)mask_of(range);                                                                  \
    int count = 0;                                                                                           \
    uint32_t buffer = 0;                                                                                     \
    EACH(type, one(g, first, range, mask, 1, &count, &buffer))                                               \
  }
MASKED_NUMPY(u16, uint16_t, random_buffered_bounded_uint16)
MASKED_NUMPY(u8, uint8_t, random_buffered_bounded_uint8)
MASKED_NUMPY(bool, uint8_t, random_buffered_bounded_bool)

TJ_INLINE uint64_t below(source *s, uint64_t range) {
  const uint64_t mask = mask_of(range);
  uint64_t w = 0;
  if (range) do w = (range >> 32 ? word(s) : half_word(s)) & mask; while (w > range);
  return w;
}

#define MASKED_EACH(name, type)                                                                   \
  SAMPLER(legacy_masked_each_##name) {                                                            \
    PARAM(uint64_t, first, 0) PARAM(uint64_t, range, 1)                                           \
    WITHOUT(type, (type)first[i * step_first] + (type)below(s, (type)range[i * step_range]))      \
  }
MASKED_EACH(u64, uint64_t)
MASKED_EACH(u32, uint32_t)
#define MASKED_EACH_NUMPY(name, type, one)                                                                  \
  SAMPLER(legacy_masked_each_##name) {                                                                      \
    BEGIN PARAM(uint64_t, first, 0) PARAM(uint64_t, range, 1)                                               \
    int count = 0;                                                                                          \
    uint32_t buffer = 0;                                                                                    \
    EACH(type, one(g, (type)first[i * step_first], (type)range[i * step_range],                             \
                   (type)mask_of((type)range[i * step_range]), 1, &count, &buffer))                         \
  }
MASKED_EACH_NUMPY(u16, uint16_t, random_buffered_bounded_uint16)
MASKED_EACH_NUMPY(u8, uint8_t, random_buffered_bounded_uint8)
MASKED_EACH_NUMPY(bool, uint8_t, random_buffered_bounded_bool)

/* The order into which a row of n elements is shuffled. */
SAMPLER(legacy_permuted_i64) {
  OPEN
  int64_t *const x = out;
  for (int64_t i = 0; i < n; i++) x[i] = i;
  for (int64_t i = n - 1; i >= 1; i--) {
    const int64_t j = (int64_t)below(s, (uint64_t)i), t = x[j];
    x[j] = x[i], x[i] = t;
  }
  CLOSE
}
