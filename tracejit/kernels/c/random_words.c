/* Random draws, bit by bit NumPy's. This is the head of every unit: NumPy's interface of bit generators, and products.

   Behind it stand the words of one generator (random_philox.c and its like), and the samplers that draw from them:
   random.c has those of numpy.random.Generator, random_legacy.c those of numpy.random.RandomState. */

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

TJ_INLINE float unit_float(uint32_t w) { return (float)(w >> 8) * (1.0f / 16777216.0f); }
