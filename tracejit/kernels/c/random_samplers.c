/* What samplers are made of: our words as a bit generator of NumPy's, NumPy's samplers by address, and the frame of one.

   Each sampler fills `out` with n numbers, from the generator as it is `before`, and says how it is `after`. Parameters
   come as arrays p[k] of size[k] elements: one for all, or one for each number. */
static uint64_t next_word(void *s) { return word(s); }
static uint32_t next_half(void *s) { return half_word(s); }
static double next_unit(void *s) { return unit_double(word(s)); }

/* Samplers and functions of NumPy, filled in by tj_bind. */
#define NUMPY(result, name, ...) static result (*name)(bitgen *, ##__VA_ARGS__);
#define NUMPY_FUNCTION(result, name, ...) static result (*name)(__VA_ARGS__);

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

/* What NumPy keeps from one binomial draw to the next. */
typedef struct kept { double room[32]; } kept;
