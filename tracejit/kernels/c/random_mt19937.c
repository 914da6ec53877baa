/* Matsumoto and Nishimura 1998, "Mersenne twister": the generator of numpy.random.seed. 624 words of 32 bits are made at
   once, and handed out one by one; a word of 64 bits is two of them, the upper half first. */
enum { KEYS = 624, FAR = 397, NEAR = KEYS - FAR };
typedef struct source {
  uint32_t key[KEYS];
  int32_t position;
} source;

TJ_INLINE uint32_t twisted(uint32_t upper, uint32_t lower) {
  const uint32_t y = (upper & 0x80000000u) | (lower & 0x7fffffffu);
  return y >> 1 ^ (-(y & 1) & 0x9908b0dfu);
}

TJ_NOINLINE void renew(source *s) {
  uint32_t *const key = s->key;
  int i = 0;
  for (; i < NEAR; i++) key[i] = key[i + FAR] ^ twisted(key[i], key[i + 1]);
  for (; i < KEYS - 1; i++) key[i] = key[i - NEAR] ^ twisted(key[i], key[i + 1]);
  key[KEYS - 1] = key[FAR - 1] ^ twisted(key[KEYS - 1], key[0]);
  s->position = 0;
}

TJ_INLINE uint32_t tempered(uint32_t y) {
  y ^= y >> 11;
  y ^= y << 7 & 0x9d2c5680u;
  y ^= y << 15 & 0xefc60000u;
  return y ^ y >> 18;
}

TJ_INLINE uint32_t half_word(source *s) {
  if (TJ_UNLIKELY(s->position >= KEYS)) renew(s);
  return tempered(s->key[s->position++]);
}

TJ_INLINE uint64_t word(source *s) {
  const uint64_t upper = half_word(s);
  return upper << 32 | half_word(s);
}

/* A place between two halves, to which one may go back from the next: it lies in the same keys. */
typedef int32_t mark;
TJ_INLINE mark here(const source *s) { return s->position; }
TJ_INLINE void back(source *s, mark m) { s->position = m == KEYS ? 0 : m; }

TJ_INLINE double unit_double(uint64_t w) {
  const int32_t upper = (int32_t)(w >> 37), lower = (int32_t)((uint32_t)w >> 6);
  return ((double)upper * 67108864.0 + (double)lower) * (1.0 / 9007199254740992.0);
}

/* Runs out of the keys that are there, one key or two for each; two may belong to different keys. */
#define FILL(name, type, value)                                              \
  static void name(source *s, type *TJ_RESTRICT out, int64_t n) {            \
    while (n > 0) {                                                          \
      if (s->position >= KEYS) renew(s);                                     \
      const int64_t have = KEYS - s->position, many = n < have ? n : have;   \
      const uint32_t *const key = s->key + s->position;                      \
      for (int64_t i = 0; i < many; i++) {                                   \
        const uint32_t w = tempered(key[i]);                                 \
        out[i] = value;                                                      \
      }                                                                      \
      s->position += (int32_t)many, out += many, n -= many;                  \
    }                                                                        \
  }
#define FILL_PAIRS(name, type, value)                                                                  \
  static void name(source *s, type *TJ_RESTRICT out, int64_t n) {                                      \
    while (n > 0) {                                                                                    \
      if (s->position >= KEYS) renew(s);                                                               \
      const int64_t have = (KEYS - s->position) / 2, many = n < have ? n : have;                       \
      const uint32_t *const key = s->key + s->position;                                                \
      for (int64_t i = 0; i < many; i++) {                                                             \
        const uint64_t w = (uint64_t)tempered(key[2 * i]) << 32 | tempered(key[2 * i + 1]);            \
        out[i] = value;                                                                                \
      }                                                                                                \
      s->position += 2 * (int32_t)many, out += many, n -= many;                                        \
      if (n > 0 && s->position == KEYS - 1) {                                                          \
        const uint64_t w = word(s);                                                                    \
        *out++ = value, n--;                                                                           \
      }                                                                                                \
    }                                                                                                  \
  }
FILL(fill_halves, uint32_t, w)
FILL(fill_floats, float, unit_float(w))
FILL_PAIRS(fill_words, uint64_t, w)
FILL_PAIRS(fill_doubles, double, unit_double(w))

#define BY_HALVES(type) \
  for (int64_t i = 0; i < n; i++) x[i] = first + below_half(s, (uint32_t)range);

/* The state is drawn from where it lies: it is too long to be moved. */
#define OPEN                             \
  if (after != before) *after = *before; \
  source *const s = after;
#define CLOSE

/* Two halves are looked at, where both are there, and left to NumPy where they are refused. */
#define READING(draw, accept, otherwise)                                                           \
  OPEN                                                                                             \
  bitgen generator = {s, next_word, next_half, next_unit, next_word}, *const g = &generator;       \
  double *x = out;                                                                                 \
  for (int64_t i = 0; i < n; i++) {                                                                \
    const uint32_t *const key = s->key + s->position;                                              \
    if (TJ_LIKELY(s->position + 2 <= KEYS)) {                                                      \
      const uint64_t w = (uint64_t)tempered(key[0]) << 32 | tempered(key[1]);                      \
      draw;                                                                                        \
      if (TJ_LIKELY(accept)) {                                                                     \
        s->position += 2;                                                                          \
        continue;                                                                                  \
      }                                                                                            \
    }                                                                                              \
    x[i] = otherwise(g);                                                                           \
  }
