/* Doty-Humphrey 2010, "PractRand": the small fast chaotic generator of 64 bits. */
typedef struct source {
  uint64_t a, b, c, count;
  int32_t has_half;
  uint32_t half;
} source;

TJ_INLINE uint64_t word(source *s) {
  const uint64_t w = s->a + s->b + s->count++;
  s->a = s->b ^ s->b >> 11;
  s->b = s->c + (s->c << 3);
  s->c = (s->c << 24 | s->c >> 40) + w;
  return w;
}

/* Take the last word back. */
TJ_INLINE void again(source *s) {
  const uint64_t c = s->b * 0x8e38e38e38e38e39u; /* a ninth */
  const uint64_t w = s->c - (c << 24 | c >> 40);
  uint64_t b = s->a;
  for (int i = 0; i < 5; i++) b = s->a ^ b >> 11;
  s->count--;
  s->a = w - b - s->count;
  s->b = b;
  s->c = c;
}
