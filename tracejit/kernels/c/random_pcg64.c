/* O'Neill 2014, "PCG: a family of simple fast space-efficient statistically good algorithms for random number
   generation": 128 bits, with the output XSL-RR (the generator of numpy.random.default_rng), or DXSM where TJ_DXSM is
   defined. The memory of the latter begins with a pointer of NumPy's, which stays as it is. */
typedef struct source {
#ifdef TJ_DXSM
  uint64_t pointer;
#endif
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

#ifdef TJ_DXSM
TJ_INLINE uint64_t word(source *s) {
  uint64_t high = s->state[1];
  const uint64_t low = s->state[0] | 1;
  high ^= high >> 32;
  high *= 0xda942042e4dd58b5u;
  high ^= high >> 48;
  times_plus(s->state, 0, 0xda942042e4dd58b5u, s->increment);
  return high * low;
}
#define BEFORE 0x0cd365d2cb1a6a6cu, 0x8b838d0354ead59du
#else
TJ_INLINE uint64_t word(source *s) {
  times_plus(s->state, 0x2360ED051FC65DA4u, 0x4385DF649FCCF645u, s->increment);
  const uint64_t x = s->state[1] ^ s->state[0];
  const unsigned turn = (unsigned)(s->state[1] >> 58);
  return x >> turn | x << (-turn & 63);
}
#define BEFORE 0x7dda22b93979860u, 0x98abc8b0716eac8du
#endif

/* Take the last word back: the multiplier's inverse. */
TJ_INLINE void again(source *s) {
  static const uint64_t none[2] = {0, 0};
  s->state[1] -= s->increment[1] + (s->state[0] < s->increment[0]);
  s->state[0] -= s->increment[0];
  times_plus(s->state, BEFORE, none);
}
