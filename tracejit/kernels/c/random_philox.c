/* Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3": Philox4x64-10. The words are a
   function of their number, so that runs of them are made by several threads. */
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
