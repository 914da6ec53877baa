/* Runs of words of Philox, and reading for ziggurats. */
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
