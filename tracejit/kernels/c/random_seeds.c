/* Seeds of the Mersenne twister, as numpy.random.seed takes them: p[0] has one number, or several where p[1] says so.
   They are given back. */
static void seed_with(source *s, uint32_t seed) {
  for (int i = 0; i < KEYS; i++) {
    s->key[i] = seed;
    seed = 1812433253u * (seed ^ seed >> 30) + (uint32_t)i + 1;
  }
  s->position = KEYS;
}

SAMPLER(legacy_seeded_i64) {
  source *const s = after;
  const int64_t *const seeds = p[0], count = size[0];
  memcpy(out, seeds, (size_t)(8 * n));
  if (!*(const int64_t *)p[1]) {
    seed_with(s, (uint32_t)seeds[0]);
    return;
  }
  seed_with(s, 19650218u);
  uint32_t *const key = s->key;
  int at = 1;
  int64_t j = 0;
  for (int64_t k = KEYS > count ? KEYS : count; k; k--) {
    key[at] = (key[at] ^ (key[at - 1] ^ key[at - 1] >> 30) * 1664525u) + (uint32_t)seeds[j] + (uint32_t)j;
    if (++at >= KEYS) key[0] = key[KEYS - 1], at = 1;
    if (++j >= count) j = 0;
  }
  for (int k = KEYS - 1; k; k--) {
    key[at] = (key[at] ^ (key[at - 1] ^ key[at - 1] >> 30) * 1566083941u) - (uint32_t)at;
    if (++at >= KEYS) key[0] = key[KEYS - 1], at = 1;
  }
  key[0] = 0x80000000u;
}
