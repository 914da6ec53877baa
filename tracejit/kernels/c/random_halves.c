/* What generators of 64-bit words have in common: half a word is kept for the next call. */
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

/* A place between two halves, to which one may go back from the next. */
typedef struct mark {
  int32_t has_half;
  uint32_t half;
} mark;

TJ_INLINE mark here(const source *s) { return (mark){s->has_half, s->half}; }

TJ_INLINE void back(source *s, mark m) {
  if (!m.has_half) again(s);
  s->has_half = m.has_half, s->half = m.half;
}

TJ_INLINE double unit_double(uint64_t w) { return (double)(w >> 11) * (1.0 / 9007199254740992.0); }

/* x[i] = first + a number in [0, range], by halves of words: both at once, where both are accepted. */
#define BY_HALVES(type)                                                                                   \
  const uint64_t count = (uint64_t)(uint32_t)range + 1;                                                   \
  for (int64_t i = 0; i < n;) {                                                                           \
    if (i + 1 < n && !s->has_half) {                                                                      \
      const uint64_t w = word(s), low = (uint32_t)w * count, high = (w >> 32) * count;                    \
      if (TJ_LIKELY((uint32_t)low >= count && (uint32_t)high >= count)) {                                 \
        s->half = (uint32_t)(w >> 32);                                                                    \
        x[i] = first + (type)(low >> 32), x[i + 1] = first + (type)(high >> 32);                          \
        i += 2;                                                                                           \
        continue;                                                                                         \
      }                                                                                                   \
      again(s);                                                                                           \
    }                                                                                                     \
    x[i++] = first + below_half(s, (uint32_t)range);                                                      \
  }

/* The generator on the stack, where the compiler keeps it in registers, while numbers are drawn. */
#define OPEN source local = *before, *const s = &local;
#define CLOSE *after = local;
