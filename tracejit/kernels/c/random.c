/* Random draws from a Philox4x64-10 generator, bit by bit those of numpy.random.Generator(numpy.random.Philox(seed)),
   and from PCG64, where TJ_PCG64 is defined.

   Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". The words are a function of their
   number, so that runs of them are made by several threads; whatever rejects draws takes them one by one. Bounded
   integers: Lemire 2019, "Fast random integer generation in an interval". Normal and exponential numbers: Marsaglia and
   Tsang 2000, "The ziggurat method"; samples without replacement: Floyd, in Bentley 1987, "A sample of brilliance".
   The samplers that reject in ways of their own are those of the NumPy that is there, by address, on our words. */

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#include <stdlib.h>
#else
void *malloc(size_t);
void free(void *);
#endif

static const tj_api *tj_pool;

/* NumPy's interface of bit generators. */
typedef struct bitgen {
  void *state;
  uint64_t (*next_uint64)(void *);
  uint32_t (*next_uint32)(void *);
  double (*next_double)(void *);
  uint64_t (*next_raw)(void *);
} bitgen;

TJ_INLINE uint64_t product(uint64_t a, uint64_t b, uint64_t *high) {
#if defined(_MSC_VER) && !defined(__clang__)
  return _umul128(a, b, high);
#else
  const unsigned __int128 p = (unsigned __int128)a * b;
  *high = (uint64_t)(p >> 64);
  return (uint64_t)p;
#endif
}

/* ---------------------------------------------------------------- words: a `source` lies in memory as NumPy's does
   word() gives the next one, again() takes it back, and whole_blocks() makes runs of them. */
#ifdef TJ_PCG64
/* O'Neill 2014, "PCG: a family of simple fast space-efficient statistically good algorithms for random number
   generation": the generator of numpy.random.default_rng, 128 bits with the output XSL-RR. */
typedef struct source {
  int32_t has_half;
  uint32_t half;
  uint64_t padding, state[2], increment[2];
} source;

TJ_INLINE void times_plus(uint64_t *x, uint64_t high, uint64_t low, const uint64_t *more) {
  uint64_t top, bottom = product(x[0], low, &top);
  top += x[0] * high + x[1] * low;
  x[0] = bottom + more[0];
  x[1] = top + more[1] + (x[0] < bottom);
}

TJ_INLINE uint64_t word(source *s) {
  times_plus(s->state, 0x2360ED051FC65DA4u, 0x4385DF649FCCF645u, s->increment);
  const uint64_t x = s->state[1] ^ s->state[0];
  const unsigned turn = (unsigned)(s->state[1] >> 58);
  return x >> turn | x << (-turn & 63);
}

TJ_INLINE void again(source *s) {
  static const uint64_t none[2] = {0, 0};
  s->state[1] -= s->increment[1] + (s->state[0] < s->increment[0]);
  s->state[0] -= s->increment[0];
  times_plus(s->state, 0x7dda22b93979860u, 0x98abc8b0716eac8du, none);
}
#else
typedef struct source {
  int32_t position, padding;
  uint64_t buffer[4];
  int32_t has_half;
  uint32_t half;
  uint64_t key[2], counter[4];
} source;

TJ_INLINE void block(const uint64_t *counter, const uint64_t *key, uint64_t *out) {
  uint64_t a = counter[0], b = counter[1], c = counter[2], d = counter[3], k = key[0], l = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t high, top;
    const uint64_t low = product(0xD2E7470EE14C6C93u, a, &high), under = product(0xCA5A826395121157u, c, &top);
    a = top ^ b ^ k, b = under, c = high ^ d ^ l, d = low;
    k += 0x9E3779B97F4A7C15u, l += 0xBB67AE8584CAA73Bu;
  }
  out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}

TJ_INLINE void advance(uint64_t *counter, uint64_t steps) {
  counter[0] += steps;
  if (counter[0] < steps && ++counter[1] == 0 && ++counter[2] == 0) counter[3]++;
}

TJ_NOINLINE uint64_t refill(source *s) {
  advance(s->counter, 1);
  block(s->counter, s->key, s->buffer);
  s->position = 1;
  return s->buffer[0];
}

TJ_INLINE uint64_t word(source *s) { return s->position < 4 ? s->buffer[s->position++] : refill(s); }

TJ_INLINE void again(source *s) { s->position--; }
#endif

TJ_INLINE uint32_t half_word(source *s) {
  if (s->has_half) {
    s->has_half = 0;
    return s->half;
  }
  const uint64_t w = word(s);
  s->has_half = 1;
  s->half = (uint32_t)(w >> 32);
  return (uint32_t)w;
}

TJ_INLINE double unit_double(uint64_t w) { return (double)(w >> 11) * (1.0 / 9007199254740992.0); }
TJ_INLINE float unit_float(uint32_t w) { return (float)(w >> 8) * (1.0f / 16777216.0f); }

static uint64_t next_word(void *s) { return word(s); }
static uint32_t next_half(void *s) { return half_word(s); }
static double next_unit(void *s) { return unit_double(word(s)); }

#ifdef TJ_PCG64
/* on a copy of the state, which stays in registers */
#define FILL(name, type, value)                           \
  static void name(source *s, type *out, int64_t n) {     \
    source t = *s;                                        \
    for (int64_t i = 0; i < n; i++) out[i] = value;       \
    *s = t;                                               \
  }
FILL(fill_words, uint64_t, word(&t))
FILL(fill_doubles, double, unit_double(word(&t)))
FILL(fill_halves, uint32_t, half_word(&t))
FILL(fill_floats, float, unit_float(half_word(&t)))
#else
/* A run of whole blocks: what becomes of them, and where the counter stood before. */
typedef struct run {
  const source *from;
  void *out;
  int kind; /* 0: words, 1: doubles, 2: floats, 3: words of 32 bits */
} run;

static void fill_blocks(int64_t begin, int64_t end, void *context) {
  const run *r = context;
  const uint64_t key[2] = {r->from->key[0], r->from->key[1]};
  for (int64_t k = begin; k < end; k++) {
    uint64_t counter[4] = {r->from->counter[0], r->from->counter[1], r->from->counter[2], r->from->counter[3]}, w[4];
    advance(counter, (uint64_t)k + 1);
    block(counter, key, w);
    if (r->kind == 0) {
      memcpy((uint64_t *)r->out + 4 * k, w, 32);
    } else if (r->kind == 1) {
      double *out = (double *)r->out + 4 * k;
      for (int i = 0; i < 4; i++) out[i] = unit_double(w[i]);
    } else if (r->kind == 2) {
      float *out = (float *)r->out + 8 * k;
      for (int i = 0; i < 4; i++) out[2 * i] = unit_float((uint32_t)w[i]), out[2 * i + 1] = unit_float(w[i] >> 32);
    } else {
      memcpy((uint32_t *)r->out + 8 * k, w, 32);
    }
  }
}

/* Make `blocks` whole blocks, from a generator whose buffer is used up. */
static void whole_blocks(source *s, void *out, int64_t blocks, int kind) {
  if (blocks <= 0) return;
  run r = {s, out, kind};
  if (blocks < 2048) fill_blocks(0, blocks, &r);
  else tj_pool->parallel(fill_blocks, &r, blocks, 1024);
  advance(s->counter, (uint64_t)blocks);
  block(s->counter, s->key, s->buffer);
}

static void fill_words(source *s, uint64_t *out, int64_t n) {
  int64_t i = 0;
  for (; i < n && s->position < 4; i++) out[i] = word(s);
  whole_blocks(s, out + i, (n - i) / 4, 0);
  for (i += (n - i) / 4 * 4; i < n; i++) out[i] = word(s);
}

static void fill_doubles(source *s, double *out, int64_t n) {
  int64_t i = 0;
  for (; i < n && s->position < 4; i++) out[i] = unit_double(word(s));
  whole_blocks(s, out + i, (n - i) / 4, 1);
  for (i += (n - i) / 4 * 4; i < n; i++) out[i] = unit_double(word(s));
}

static void fill_halves(source *s, uint32_t *out, int64_t n) {
  int64_t i = 0;
  for (; i < n && (s->position < 4 || s->has_half); i++) out[i] = half_word(s);
  whole_blocks(s, out + i, (n - i) / 8, 3);
  if (n - i >= 8) s->half = (uint32_t)(s->buffer[3] >> 32);
  for (i += (n - i) / 8 * 8; i < n; i++) out[i] = half_word(s);
}

static void fill_floats(source *s, float *out, int64_t n) {
  int64_t i = 0;
  for (; i < n && (s->position < 4 || s->has_half); i++) out[i] = unit_float(half_word(s));
  whole_blocks(s, out + i, (n - i) / 8, 2);
  if (n - i >= 8) s->half = (uint32_t)(s->buffer[3] >> 32);
  for (i += (n - i) / 8 * 8; i < n; i++) out[i] = unit_float(half_word(s));
}
#endif

/* ---------------------------------------------------------------- NumPy's samplers, filled in by tj_bind */
#define NUMPY(result, name, ...) static result (*name)(bitgen *, ##__VA_ARGS__);
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

/* ---------------------------------------------------------------- samplers
   Each fills `out` with n numbers, from the generator as it is `before`, and says how it is `after`. Parameters come as
   arrays p[k] of size[k] elements: one for all, or one for each number. */
#define SAMPLER(name)                                                                                       \
  static void sample_##name(const source *before, source *after, void *out, int64_t n, const void *const *p, \
                            const int64_t *size)
#define BEGIN                            \
  if (after != before) *after = *before; \
  bitgen generator = {after, next_word, next_half, next_unit, next_word}, *const g = &generator;
#define PARAM(type, name, k)       \
  const type *name = p[k];         \
  const int64_t step_##name = size[k] == 1 ? 0 : 1;
#define EACH(type, value) \
  for (int64_t i = 0; i < n; i++) ((type *)out)[i] = value;

SAMPLER(random_f64) { BEGIN fill_doubles(after, out, n); }
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
  const int had = s->has_half;
  const uint32_t old = s->half;
  const uint32_t w = half_word(s), m = w >> 9;
  const int k = (int)(w & 0xff);
  if (TJ_LIKELY(m < normals.bound_f[k])) {
    const float x = (float)(int32_t)m * normals.width_f[k];
    return w >> 8 & 1 ? -x : x;
  }
  if (!had) again(s);
  s->has_half = had, s->half = old;
  return random_standard_normal_f(g);
}

TJ_INLINE float exponential_f(source *s, bitgen *g) {
  const int had = s->has_half;
  const uint32_t old = s->half;
  const uint32_t w = half_word(s) >> 1, m = w >> 8;
  const int k = (int)(w & 0xff);
  if (TJ_LIKELY(m < exponentials.bound_f[k])) return (float)(int32_t)m * exponentials.width_f[k];
  if (!had) again(s);
  s->has_half = had, s->half = old;
  return random_standard_exponential_f(g);
}

/* The generator on the stack, where the compiler keeps it in registers, while `fill` draws. */
#define LOCAL(type, value)                                                                                       \
  source local = *before;                                                                                        \
  bitgen generator = {&local, next_word, next_half, next_unit, next_word}, *const g = &generator;                \
  for (int64_t i = 0; i < n; i++) ((type *)out)[i] = value;                                                      \
  *after = local;

#ifdef TJ_PCG64
/* The state stays in registers, but where NumPy takes it. */
#define READING(draw, accept, otherwise)                                                           \
  source s = *before, t = s;                                                                       \
  bitgen generator = {&s, next_word, next_half, next_unit, next_word}, *const g = &generator;      \
  double *x = out;                                                                                 \
  for (int64_t i = 0; i < n; i++) {                                                                \
    const uint64_t w = word(&t);                                                                   \
    draw;                                                                                          \
    if (TJ_LIKELY(accept)) continue;                                                               \
    again(&t);                                                                                     \
    s = t;                                                                                         \
    x[i] = otherwise(g);                                                                           \
    t = s;                                                                                         \
  }                                                                                                \
  *after = t;
#else
/* Words are read ahead, some blocks at once, since blocks do not wait for each other; what is not used goes back. */
enum { AHEAD = 32 };

TJ_NOINLINE int read_ahead(source *s, uint64_t *words) {
  int have = 0;
  while (s->position < 4) words[have++] = s->buffer[s->position++];
  if (have) return have;
  for (int k = 0; k < AHEAD / 4; k++) {
    uint64_t counter[4] = {s->counter[0], s->counter[1], s->counter[2], s->counter[3]};
    advance(counter, (uint64_t)k + 1);
    block(counter, s->key, words + 4 * k);
  }
  advance(s->counter, AHEAD / 4);
  memcpy(s->buffer, words + AHEAD - 4, 32);
  return AHEAD;
}

static void give_back(source *s, int count) {
  int position = s->position - count;
  if (position < 1 && count) {
    const uint64_t blocks = (uint64_t)(4 - position) / 4, low = s->counter[0];
    s->counter[0] -= blocks;
    if (low < blocks && s->counter[1]-- == 0 && s->counter[2]-- == 0) s->counter[3]--;
    block(s->counter, s->key, s->buffer);
    position += 4 * (int)blocks;
  }
  s->position = position;
}

#define READING(draw, accept, otherwise)                                                           \
  source s = *before;                                                                              \
  bitgen generator = {&s, next_word, next_half, next_unit, next_word}, *const g = &generator;      \
  uint64_t words[AHEAD];                                                                           \
  double *x = out;                                                                                 \
  int at = 0, have = 0;                                                                            \
  for (int64_t i = 0; i < n; i++) {                                                                \
    if (at == have) have = read_ahead(&s, words), at = 0;                                          \
    const uint64_t w = words[at++];                                                                \
    draw;                                                                                          \
    if (TJ_LIKELY(accept)) continue;                                                               \
    give_back(&s, have - at + 1);                                                                  \
    at = have = 0;                                                                                 \
    x[i] = otherwise(g);                                                                           \
  }                                                                                                \
  give_back(&s, have - at);                                                                        \
  *after = s;
#endif

SAMPLER(standard_normal_f64) {
  READING(const int k = (int)(w & 0xff); const uint64_t m = (w >> 9) & 0x000fffffffffffffu;
          const double v = (double)(int64_t)m * normals.width[k];
          x[i] = w >> 8 & 1 ? -v : v, m < normals.bound[k], random_standard_normal)
}
SAMPLER(standard_exponential_f64) {
  READING(const int k = (int)(w >> 3 & 0xff); const uint64_t m = w >> 11;
          x[i] = (double)(int64_t)m * exponentials.width[k], m < exponentials.bound[k], random_standard_exponential)
}
SAMPLER(standard_normal_f32) { LOCAL(float, normal_f(&local, g)) }
SAMPLER(standard_exponential_f32) { LOCAL(float, exponential_f(&local, g)) }
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

/* What NumPy keeps from one binomial draw to the next. */
typedef struct kept { double room[32]; } kept;

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

/* x[i] = first + a number in [0, range], by halves of words: both at once, where both are accepted. */
#define BY_HALVES(type)                                                                                   \
  const uint64_t count = (uint64_t)(uint32_t)range + 1;                                                   \
  for (int64_t i = 0; i < n;) {                                                                           \
    if (i + 1 < n && !s.has_half) {                                                                       \
      const uint64_t w = word(&s), low = (uint32_t)w * count, high = (w >> 32) * count;                   \
      if (TJ_LIKELY((uint32_t)low >= count && (uint32_t)high >= count)) {                                 \
        s.half = (uint32_t)(w >> 32);                                                                     \
        x[i] = first + (type)(low >> 32), x[i + 1] = first + (type)(high >> 32);                          \
        i += 2;                                                                                           \
        continue;                                                                                         \
      }                                                                                                   \
      again(&s);                                                                                          \
    }                                                                                                     \
    x[i++] = first + below_half(&s, (uint32_t)range);                                                     \
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
  if (after != before) *after = *before;
  const uint64_t first = *(const uint64_t *)p[0], range = *(const uint64_t *)p[1];
  uint64_t *x = out;
  if (range == 0xffffffffffffffffu) {
    fill_words(after, x, n);
    if (first) for (int64_t i = 0; i < n; i++) x[i] += first;
    return;
  }
  source s = *after;
  if (range == 0) for (int64_t i = 0; i < n; i++) x[i] = first;
  else if (range == 0xffffffffu) for (int64_t i = 0; i < n; i++) x[i] = first + half_word(&s);
  else if (range < 0xffffffffu) { BY_HALVES(uint64_t) }
  else for (int64_t i = 0; i < n; i++) x[i] = first + below_word(&s, range);
  *after = s;
}

SAMPLER(bounded_u32) {
  if (after != before) *after = *before;
  const uint32_t first = (uint32_t)*(const uint64_t *)p[0], range = (uint32_t)*(const uint64_t *)p[1];
  uint32_t *x = out;
  if (range == 0xffffffffu) {
    fill_halves(after, x, n);
    if (first) for (int64_t i = 0; i < n; i++) x[i] += first;
    return;
  }
  source s = *after;
  if (range == 0) for (int64_t i = 0; i < n; i++) x[i] = first;
  else { BY_HALVES(uint32_t) }
  *after = s;
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
