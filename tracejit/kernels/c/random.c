/* The samplers of numpy.random.Generator.

   Bounded integers: Lemire 2019, "Fast random integer generation in an interval". Normal and exponential numbers:
   Marsaglia and Tsang 2000, "The ziggurat method"; samples without replacement: Floyd, in Bentley 1987, "A sample of
   brilliance". The samplers that reject in ways of their own are those of the NumPy that is there, by address, on our
   words. */
NUMPY(double, random_standard_normal)
NUMPY(float, random_standard_normal_f)
NUMPY(double, random_standard_exponential)
NUMPY(float, random_standard_exponential_f)
NUMPY(void, random_standard_exponential_inv_fill, intptr_t, double *)
NUMPY(void, random_standard_exponential_inv_fill_f, intptr_t, float *)
NUMPY(double, random_standard_gamma, double)
NUMPY(float, random_standard_gamma_f, float)
NUMPY(double, random_standard_cauchy)
NUMPY(double, random_chisquare, double)
NUMPY(double, random_standard_t, double)
NUMPY(double, random_pareto, double)
NUMPY(double, random_weibull, double)
NUMPY(double, random_power, double)
NUMPY(double, random_rayleigh, double)
NUMPY(double, random_beta, double, double)
NUMPY(double, random_f, double, double)
NUMPY(double, random_noncentral_chisquare, double, double)
NUMPY(double, random_laplace, double, double)
NUMPY(double, random_gumbel, double, double)
NUMPY(double, random_logistic, double, double)
NUMPY(double, random_lognormal, double, double)
NUMPY(double, random_wald, double, double)
NUMPY(double, random_vonmises, double, double)
NUMPY(double, random_noncentral_f, double, double, double)
NUMPY(double, random_triangular, double, double, double)
NUMPY(int64_t, random_poisson, double)
NUMPY(int64_t, random_geometric, double)
NUMPY(int64_t, random_zipf, double)
NUMPY(int64_t, random_logseries, double)
NUMPY(int64_t, random_negative_binomial, double, double)
NUMPY(int64_t, random_binomial, double, int64_t, void *)
NUMPY(int64_t, random_hypergeometric, int64_t, int64_t, int64_t)
NUMPY(void, random_multinomial, int64_t, int64_t *, double *, intptr_t, void *)
NUMPY(uint64_t, random_interval, uint64_t)
NUMPY(uint64_t, random_bounded_uint64, uint64_t, uint64_t, uint64_t, int)
NUMPY(void, random_bounded_uint16_fill, uint16_t, uint16_t, intptr_t, int, uint16_t *)
NUMPY(void, random_bounded_uint8_fill, uint8_t, uint8_t, intptr_t, int, uint8_t *)
NUMPY(void, random_bounded_bool_fill, uint8_t, uint8_t, intptr_t, int, uint8_t *)
NUMPY(uint16_t, random_buffered_bounded_uint16, uint16_t, uint16_t, uint16_t, int, int *, uint32_t *)
NUMPY(uint8_t, random_buffered_bounded_uint8, uint8_t, uint8_t, uint8_t, int, int *, uint32_t *)
NUMPY(uint8_t, random_buffered_bounded_bool, uint8_t, uint8_t, uint8_t, int, int *, uint32_t *)

SAMPLER(random_f64) {
  if (after != before) *after = *before;
  if (n == 1) *(double *)out = unit_double(word(after)); /* in a loop, mostly */
  else fill_doubles(after, out, n);
}
SAMPLER(random_f32) { BEGIN fill_floats(after, out, n); }

/* ---------------------------------------------------------------- ziggurats: the widths and bounds of NumPy's layers
   A layer's width, and up to where its numbers are accepted at once, are learned from NumPy's own sampler, by giving it
   words of our choice: its tables are hidden. A number that is not accepted at once is NumPy's to decide. */
typedef struct probe {
  uint64_t next;
  int calls;
} probe;

static uint64_t probe_word(void *s) {
  probe *const q = s;
  const uint64_t w = q->next;
  /* behind the first word any will do that ends a rejection */
  q->next = (q->next ^ 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
  q->next ^= q->next >> 29;
  q->calls++;
  return w;
}
static uint32_t probe_half(void *s) { return (uint32_t)probe_word(s); }
static double probe_unit(void *s) { return unit_double(probe_word(s)); }

typedef struct layers {
  double width[256];
  uint64_t bound[256];
  float width_f[256];
  uint32_t bound_f[256];
  int ready;
} layers;
static layers normals, exponentials;

/* Return NumPy's answer to a word for layer k with the magnitude m, and how many words it took. */
static double answer(int exponential, int single, int k, uint64_t m, int *calls) {
  uint64_t w = exponential ? (single ? m << 9 | (uint64_t)k << 1 : m << 11 | (uint64_t)k << 3)
                           : (m << 9 | (uint64_t)k);
  probe state = {w, 0};
  bitgen g = {&state, probe_word, probe_half, probe_unit, probe_word};
  double value = exponential ? (single ? random_standard_exponential_f(&g) : random_standard_exponential(&g))
                             : (single ? random_standard_normal_f(&g) : random_standard_normal(&g));
  *calls = state.calls;
  return value;
}

static void learn(layers *t, int exponential) {
  for (int single = 0; single < 2; single++) {
    const int bits = single ? 23 : exponential ? 53 : 52;
    for (int k = 0; k < 256; k++) {
      int calls;
      uint64_t low = 0, high = (uint64_t)1 << bits; /* accepted below `low`, refused from `high` on */
      while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        answer(exponential, single, k, middle, &calls);
        if (calls == 1) low = middle + 1;
        else high = middle;
      }
      /* the width shows in a number of one bit; a layer that accepts nothing needs none */
      uint64_t one = 1;
      while (2 * one < low) one *= 2;
      const double width = low > one ? answer(exponential, single, k, one, &calls) / (double)one : 0;
      if (single) t->width_f[k] = (float)width, t->bound_f[k] = (uint32_t)low;
      else t->width[k] = width, t->bound[k] = low;
    }
  }
  t->ready = 1;
}

TJ_INLINE float normal_f(source *s, bitgen *g) {
  const mark start = here(s);
  const uint32_t w = half_word(s), m = w >> 9;
  const int k = (int)(w & 0xff);
  if (TJ_LIKELY(m < normals.bound_f[k])) {
    const float x = (float)(int32_t)m * normals.width_f[k];
    return w >> 8 & 1 ? -x : x;
  }
  back(s, start);
  return random_standard_normal_f(g);
}

TJ_INLINE float exponential_f(source *s, bitgen *g) {
  const mark start = here(s);
  const uint32_t w = half_word(s) >> 1, m = w >> 8;
  const int k = (int)(w & 0xff);
  if (TJ_LIKELY(m < exponentials.bound_f[k])) return (float)(int32_t)m * exponentials.width_f[k];
  back(s, start);
  return random_standard_exponential_f(g);
}

#define SINGLE(value)                                                                        \
  OPEN                                                                                       \
  bitgen generator = {s, next_word, next_half, next_unit, next_word}, *const g = &generator; \
  EACH(float, value)                                                                         \
  CLOSE

SAMPLER(standard_normal_f64) {
  READING(const int k = (int)(w & 0xff); const uint64_t m = (w >> 9) & 0x000fffffffffffffu;
          const double v = (double)(int64_t)m * normals.width[k];
          x[i] = w >> 8 & 1 ? -v : v, m < normals.bound[k], random_standard_normal)
}
SAMPLER(standard_exponential_f64) {
  READING(const int k = (int)(w >> 3 & 0xff); const uint64_t m = w >> 11;
          x[i] = (double)(int64_t)m * exponentials.width[k], m < exponentials.bound[k], random_standard_exponential)
}
SAMPLER(standard_normal_f32) { SINGLE(normal_f(s, g)) }
SAMPLER(standard_exponential_f32) { SINGLE(exponential_f(s, g)) }
SAMPLER(standard_exponential_inv_f64) { BEGIN random_standard_exponential_inv_fill(g, n, out); }
SAMPLER(standard_exponential_inv_f32) { BEGIN random_standard_exponential_inv_fill_f(g, n, out); }
SAMPLER(standard_gamma_f32) { BEGIN PARAM(float, a, 0) EACH(float, random_standard_gamma_f(g, a[i * step_a])) }

/* ---------------------------------------------------------------- continuous, with parameters in double precision */
#define CONTINUOUS0(name) \
  SAMPLER(name##_f64) { BEGIN EACH(double, random_##name(g)) }
#define CONTINUOUS1(name) \
  SAMPLER(name##_f64) { BEGIN PARAM(double, a, 0) EACH(double, random_##name(g, a[i * step_a])) }
#define CONTINUOUS2(name) \
  SAMPLER(name##_f64) {   \
    BEGIN PARAM(double, a, 0) PARAM(double, b, 1) EACH(double, random_##name(g, a[i * step_a], b[i * step_b])) }
#define CONTINUOUS3(name) \
  SAMPLER(name##_f64) {   \
    BEGIN PARAM(double, a, 0) PARAM(double, b, 1) PARAM(double, c, 2) \
    EACH(double, random_##name(g, a[i * step_a], b[i * step_b], c[i * step_c])) }
CONTINUOUS0(standard_cauchy)
CONTINUOUS1(standard_gamma)
CONTINUOUS1(chisquare)
CONTINUOUS1(standard_t)
CONTINUOUS1(pareto)
CONTINUOUS1(weibull)
CONTINUOUS1(power)
CONTINUOUS1(rayleigh)
CONTINUOUS2(beta)
CONTINUOUS2(f)
CONTINUOUS2(noncentral_chisquare)
CONTINUOUS2(laplace)
CONTINUOUS2(gumbel)
CONTINUOUS2(logistic)
CONTINUOUS2(lognormal)
CONTINUOUS2(wald)
CONTINUOUS2(vonmises)
CONTINUOUS3(noncentral_f)
CONTINUOUS3(triangular)

/* Dirichlet: normalised gamma numbers, or sticks broken by beta numbers where all are small. */
SAMPLER(dirichlet_f64) {
  BEGIN
  const double *alpha = p[0];
  const int64_t k = size[0];
  double largest = 0, *x = out, *sums = malloc((size_t)(8 * k + 8));
  if (!sums) return;
  for (int64_t j = 0; j < k; j++) largest = alpha[j] > largest ? alpha[j] : largest;
  if (largest < 0.1) {
    sums[k - 1] = 0;
    for (int64_t j = k - 2; j >= 0; j--) sums[j] = j == k - 2 ? alpha[k - 1] : sums[j + 1] + alpha[j + 1];
    for (int64_t i = 0; i + k <= n; i += k) {
      double rest = 1;
      for (int64_t j = 0; j < k - 1; j++) {
        const double v = random_beta(g, alpha[j], sums[j]);
        x[i + j] = rest * v;
        rest *= 1 - v;
        if (sums[j] == 0) {
          for (int64_t l = j + 1; l < k - 1; l++) x[i + l] = 0;
          break;
        }
      }
      x[i + k - 1] = rest;
    }
  } else {
    for (int64_t i = 0; i + k <= n; i += k) {
      double total = 0;
      for (int64_t j = 0; j < k; j++) total += x[i + j] = random_standard_gamma(g, alpha[j]);
      const double inverse = 1 / total;
      for (int64_t j = 0; j < k; j++) x[i + j] *= inverse;
    }
  }
  free(sums);
}

/* ---------------------------------------------------------------- whole numbers */
#define COUNTS1(name) \
  SAMPLER(name##_i64) { BEGIN PARAM(double, a, 0) EACH(int64_t, random_##name(g, a[i * step_a])) }
COUNTS1(poisson)
COUNTS1(geometric)
COUNTS1(zipf)
COUNTS1(logseries)

SAMPLER(negative_binomial_i64) {
  BEGIN PARAM(double, a, 0) PARAM(double, b, 1)
  EACH(int64_t, random_negative_binomial(g, a[i * step_a], b[i * step_b]))
}

SAMPLER(binomial_i64) {
  BEGIN PARAM(int64_t, a, 0) PARAM(double, b, 1)
  kept memory;
  memset(&memory, 0, sizeof memory);
  EACH(int64_t, random_binomial(g, b[i * step_b], a[i * step_a], &memory))
}

SAMPLER(hypergeometric_i64) {
  BEGIN PARAM(int64_t, a, 0) PARAM(int64_t, b, 1) PARAM(int64_t, c, 2)
  EACH(int64_t, random_hypergeometric(g, a[i * step_a], b[i * step_b], c[i * step_c]))
}

/* p[0]: numbers of trials; p[1]: the probabilities of each row, one row for all or one for each. */
SAMPLER(multinomial_i64) {
  BEGIN
  const int64_t *trials = p[0], d = *(const int64_t *)p[2], rows = d ? n / d : 0;
  double *odds = (double *)p[1];
  int64_t *x = out;
  kept memory;
  memset(&memory, 0, sizeof memory);
  memset(out, 0, (size_t)(8 * n));
  for (int64_t i = 0; i < rows; i++)
    random_multinomial(g, trials[size[0] == 1 ? 0 : i], x + i * d, odds + (size[1] == d ? 0 : i * d), d, &memory);
}

/* ---------------------------------------------------------------- integers in [first, first + range], modulo 2^bits */
TJ_INLINE uint32_t below_half(source *s, uint32_t range) {
  const uint64_t count = (uint64_t)range + 1;
  uint64_t m = half_word(s) * count;
  if (TJ_UNLIKELY((uint32_t)m < count)) {
    const uint32_t refused = (uint32_t)((0xffffffffu - range) % count);
    while ((uint32_t)m < refused) m = half_word(s) * count;
  }
  return (uint32_t)(m >> 32);
}

TJ_INLINE uint64_t below_word(source *s, uint64_t range) {
  const uint64_t count = range + 1;
  uint64_t high, low = product(word(s), count, &high);
  if (TJ_UNLIKELY(low < count)) {
    const uint64_t refused = (0xffffffffffffffffu - range) % count;
    while (low < refused) low = product(word(s), count, &high);
  }
  return high;
}

SAMPLER(bounded_u64) {
  OPEN
  const uint64_t first = *(const uint64_t *)p[0], range = *(const uint64_t *)p[1];
  uint64_t *x = out;
  if (range == 0xffffffffffffffffu) {
    fill_words(s, x, n);
    if (first) for (int64_t i = 0; i < n; i++) x[i] += first;
  } else if (range == 0) for (int64_t i = 0; i < n; i++) x[i] = first;
  else if (range == 0xffffffffu) for (int64_t i = 0; i < n; i++) x[i] = first + half_word(s);
  else if (range < 0xffffffffu) { BY_HALVES(uint64_t) }
  else for (int64_t i = 0; i < n; i++) x[i] = first + below_word(s, range);
  CLOSE
}

SAMPLER(bounded_u32) {
  OPEN
  const uint32_t first = (uint32_t)*(const uint64_t *)p[0], range = (uint32_t)*(const uint64_t *)p[1];
  uint32_t *x = out;
  if (range == 0xffffffffu) {
    fill_halves(s, x, n);
    if (first) for (int64_t i = 0; i < n; i++) x[i] += first;
  } else if (range == 0) for (int64_t i = 0; i < n; i++) x[i] = first;
  else { BY_HALVES(uint32_t) }
  CLOSE
}

#define BOUNDED(name, type, filler)                                                                           \
  SAMPLER(bounded_##name) {                                                                                   \
    BEGIN filler(g, (type) * (const uint64_t *)p[0], (type) * (const uint64_t *)p[1], n, 0, out);             \
  }
BOUNDED(u16, uint16_t, random_bounded_uint16_fill)
BOUNDED(u8, uint8_t, random_bounded_uint8_fill)
BOUNDED(bool, uint8_t, random_bounded_bool_fill)

SAMPLER(bounded_each_u64) {
  BEGIN PARAM(uint64_t, first, 0) PARAM(uint64_t, range, 1)
  EACH(uint64_t, random_bounded_uint64(g, first[i * step_first], range[i * step_range], 0, 0))
}
SAMPLER(bounded_each_u32) {
  BEGIN PARAM(uint64_t, first, 0) PARAM(uint64_t, range, 1)
  for (int64_t i = 0; i < n; i++) {
    const uint32_t r = (uint32_t)range[i * step_range];
    const uint32_t v = r == 0 ? 0 : r == 0xffffffffu ? half_word(after) : below_half(after, r);
    ((uint32_t *)out)[i] = (uint32_t)first[i * step_first] + v;
  }
}
#define BOUNDED_EACH(name, type, one)                                                                        \
  SAMPLER(bounded_each_##name) {                                                                             \
    BEGIN PARAM(uint64_t, first, 0) PARAM(uint64_t, range, 1)                                                \
    int count = 0;                                                                                           \
    uint32_t buffer = 0;                                                                                     \
    EACH(type, one(g, (type)first[i * step_first], (type)range[i * step_range], 0, 0, &count, &buffer))      \
  }
BOUNDED_EACH(u16, uint16_t, random_buffered_bounded_uint16)
BOUNDED_EACH(u8, uint8_t, random_buffered_bounded_uint8)
BOUNDED_EACH(bool, uint8_t, random_buffered_bounded_bool)

/* ---------------------------------------------------------------- orders and choices */
static void shuffle(bitgen *g, int64_t *x, int64_t n, int64_t first) {
  for (int64_t i = n - 1; i >= first; i--) {
    const int64_t j = (int64_t)random_bounded_uint64(g, 0, (uint64_t)i, 0, 0), t = x[j];
    x[j] = x[i], x[i] = t;
  }
}

/* The order into which rows of p[0] elements are shuffled, each for itself. */
SAMPLER(permuted_i64) {
  BEGIN
  const int64_t row = *(const int64_t *)p[0];
  int64_t *x = out;
  for (int64_t at = 0; row && at < n; at += row) {
    for (int64_t i = 0; i < row; i++) x[at + i] = i;
    for (int64_t i = row - 1; i >= 1; i--) {
      const int64_t j = (int64_t)random_interval(g, (uint64_t)i), t = x[at + j];
      x[at + j] = x[at + i], x[at + i] = t;
    }
  }
}

/* n distinct numbers below p[0], which are shuffled if p[1]. */
SAMPLER(distinct_i64) {
  BEGIN
  const int64_t all = *(const int64_t *)p[0], mixed = *(const int64_t *)p[1];
  int64_t *x = out;
  if (all > 10000 && n > all / (mixed ? 50 : 20)) {
    int64_t *order = malloc((size_t)(8 * all));
    if (!order) return;
    for (int64_t i = 0; i < all; i++) order[i] = i;
    shuffle(g, order, all, all - n > 1 ? all - n : 1);
    memcpy(x, order + (all - n), (size_t)(8 * n));
    free(order);
    return;
  }
  uint64_t mask = (uint64_t)(1.2 * (double)n);
  for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
  uint64_t *set = malloc((size_t)(8 * (mask + 1)));
  if (!set) return;
  const uint64_t empty = ~(uint64_t)0;
  for (uint64_t i = 0; i <= mask; i++) set[i] = empty;
  for (int64_t j = all - n; j < all; j++) {
    uint64_t v = random_bounded_uint64(g, 0, (uint64_t)j, 0, 0), at = v & mask;
    while (set[at] != empty && set[at] != v) at = (at + 1) & mask;
    if (set[at] != empty) {
      v = (uint64_t)j;
      at = v & mask;
      while (set[at] != empty) at = (at + 1) & mask;
    }
    set[at] = v;
    x[j - all + n] = (int64_t)v;
  }
  free(set);
  if (mixed) shuffle(g, x, n, 1);
}

/* n distinct places drawn with the probabilities p[0]: draw what is missing, keep the new ones, and so on. */
SAMPLER(distinct_weighted_i64) {
  BEGIN
  const int64_t all = size[0];
  int64_t *x = out, found = 0;
  double *odds = malloc((size_t)(16 * all + 16));
  if (!odds) return;
  double *sums = odds + all;
  memcpy(odds, p[0], (size_t)(8 * all));
  while (found < n) {
    for (int64_t k = 0; k < found; k++) odds[x[k]] = 0;
    double total = 0;
    for (int64_t k = 0; k < all; k++) sums[k] = total += odds[k];
    for (int64_t k = 0; k < all; k++) sums[k] /= total;
    const int64_t before_round = found, wanted = n - found;
    for (int64_t i = 0; i < wanted; i++) {
      const double u = next_unit(after);
      int64_t low = 0, high = all;
      while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (sums[middle] <= u) low = middle + 1;
        else high = middle;
      }
      int fresh = 1;
      for (int64_t k = before_round; k < found && fresh; k++) fresh = x[k] != low;
      if (fresh) x[found++] = low;
    }
  }
  free(odds);
}
