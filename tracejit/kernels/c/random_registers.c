/* Runs of words, and reading for ziggurats, of generators whose whole state stays in registers. */
#define FILL(name, type, value)                       \
  static void name(source *s, type *out, int64_t n) { \
    source t = *s;                                    \
    for (int64_t i = 0; i < n; i++) out[i] = value;   \
    *s = t;                                           \
  }
FILL(fill_words, uint64_t, word(&t))
FILL(fill_doubles, double, unit_double(word(&t)))
FILL(fill_halves, uint32_t, half_word(&t))
FILL(fill_floats, float, unit_float(half_word(&t)))

/* The state leaves the registers only where NumPy takes it. */
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
