/* The prelude of every generated source, pasted in front of it: no #include where the compiler can do without,
   because each header costs compile time at a user's first call.

   It declares the pool a kernel runs its parallel loops on (tj_api), the few macros that differ between
   compilers, and the functions of the C library. TJ_LIBMVEC says which of those have vector versions in glibc's
   libmvec (0: none; 1: glibc 2.22; 2: glibc 2.35): glibc's own math.h declares them only under -ffast-math. */
#ifndef TRACEJIT_H
#define TRACEJIT_H

#ifndef TJ_LIBMVEC
#define TJ_LIBMVEC 0
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#include <math.h>
#include <stdint.h>
#include <string.h>
#define TJ_RESTRICT __restrict
#define TJ_INLINE static __forceinline
#define TJ_NOINLINE static __declspec(noinline)
#define TJ_ALIGN(n) __declspec(align(n))
#define TJ_ALIGNED(p, n) (p)
#define TJ_LIKELY(x) (x)
#define TJ_UNLIKELY(x) (x)
#define TJ_PRAGMA(...)
#define TJ_SIMD __pragma(loop(ivdep))
#define TJ_SIMD_SUM(...)
#define TJ_SIMD_PROD(...)
#define TJ_SIMD_MIN(...)
#define TJ_SIMD_MAX(...)
#define TJ_UNROLL(n)
#define TJ_FETCH(array, at, lines, written)
#define TJ_BOTH(x, y)
#define TJ_INF ((double)INFINITY)
#define TJ_NAN ((double)NAN)
#define TJ_SINCOS(x, s, c) (*(s) = sin(x), *(c) = cos(x))
#else
typedef __INT8_TYPE__ int8_t;
typedef __INT16_TYPE__ int16_t;
typedef __INT32_TYPE__ int32_t;
typedef __INT64_TYPE__ int64_t;
typedef __UINT8_TYPE__ uint8_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __UINT32_TYPE__ uint32_t;
typedef __UINT64_TYPE__ uint64_t;
typedef __INTPTR_TYPE__ intptr_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef __SIZE_TYPE__ size_t;
#define TJ_RESTRICT __restrict__
#define TJ_INLINE static inline __attribute__((always_inline, unused))
#define TJ_NOINLINE static __attribute__((noinline, unused))
#define TJ_ALIGN(n) __attribute__((aligned(n)))
#define TJ_ALIGNED(p, n) __builtin_assume_aligned((p), (n))
#define TJ_LIKELY(x) __builtin_expect(!!(x), 1)
#define TJ_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define TJ_PRAGMA(...) _Pragma(#__VA_ARGS__)
/* Before a for statement. A reduction names its scalars: the compiler may then reorder their sum, as NumPy's
   pairwise sum does too, without any licence to reorder the rest of the program. */
#define TJ_SIMD TJ_PRAGMA(omp simd)
#define TJ_SIMD_SUM(...) TJ_PRAGMA(omp simd reduction(+ : __VA_ARGS__))
#define TJ_SIMD_PROD(...) TJ_PRAGMA(omp simd reduction(* : __VA_ARGS__))
#define TJ_SIMD_MIN(...) TJ_PRAGMA(omp simd reduction(min : __VA_ARGS__))
#define TJ_SIMD_MAX(...) TJ_PRAGMA(omp simd reduction(max : __VA_ARGS__))
#if defined(__clang__)
#define TJ_UNROLL(n) TJ_PRAGMA(clang loop unroll_count(n))
#else
#define TJ_UNROLL(n) TJ_PRAGMA(GCC unroll n)
#endif
/* Has some lines fetched that lie 1.5 KiB ahead of a place: where arrays do not begin at a line, as NumPy's seldom do, the
   processor's own foresight leaves a sixth of the second level's speed unused. Beyond the end it does nothing. */
#define TJ_FETCH(array, at, lines, written) \
  for (int l_ = 0; l_ < (lines); l_++) __builtin_prefetch((const char *)((array) + (at)) + 1536 + 64 * l_, written)
/* Has two integers computed before one of them is chosen: a processor guesses a jump on data wrong half of the time. */
#define TJ_BOTH(x, y) __asm__("" : "+r"(x), "+r"(y))
#define TJ_INF __builtin_inf()
#define TJ_NAN __builtin_nan("")
#endif

#if defined(_WIN32)
#define TJ_EXPORT __declspec(dllexport)
#else
#define TJ_EXPORT __attribute__((visibility("default")))
#endif

/* a*b + c, fused where the machine does that in one instruction and never by a slow library call. The compiler
   itself may not fuse (-ffp-contract=off): sqrt(a*a - b*b) with a == b must be 0 and never NaN. */
#if defined(__FP_FAST_FMA) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define tj_fma(a, b, c) __builtin_fma((a), (b), (c))
#define tj_fmaf(a, b, c) __builtin_fmaf((a), (b), (c))
#else
#define tj_fma(a, b, c) ((a) * (b) + (c))
#define tj_fmaf(a, b, c) ((a) * (b) + (c))
#endif

/* What the runtime hands to each program once, in tj_bind. `parallel` splits 0..n into pieces of some grain
   indices and more, which begin at multiples of 64 where grain is one, runs body on each from several threads (the
   caller's among them), and returns when all are done. From inside a body, or while another thread's call holds the
   pool, it runs everything in place. `rest` lets idle workers sleep at once, before a library with threads of its own
   is called. `alloc` gives memory (NULL where there is none) which whoever holds it last hands to `release`. */
typedef struct tj_api {
  int threads;
  void (*parallel)(void (*body)(int64_t begin, int64_t end, void *ctx), void *ctx, int64_t n, int64_t grain);
  void (*rest)(void);
  void *(*alloc)(int64_t bytes);
  void (*release)(void *memory);
} tj_api;

#if !(defined(_MSC_VER) && !defined(__clang__))
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && TJ_LIBMVEC >= 1
#define TJ_VEC1 __attribute__((simd("notinbranch"), const))
#else
#define TJ_VEC1 __attribute__((const))
#endif
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && TJ_LIBMVEC >= 2
#define TJ_VEC2 __attribute__((simd("notinbranch"), const))
#else
#define TJ_VEC2 __attribute__((const))
#endif
#define TJ_NOVEC __attribute__((const))
#define TJ_MATH1(attr, name) attr double name(double); attr float name##f(float);
#define TJ_MATH2(attr, name) attr double name(double, double); attr float name##f(float, float);

TJ_MATH1(TJ_VEC1, sin) TJ_MATH1(TJ_VEC1, cos) TJ_MATH1(TJ_VEC1, exp) TJ_MATH1(TJ_VEC1, log)
TJ_MATH2(TJ_VEC1, pow)
TJ_MATH1(TJ_VEC2, tan) TJ_MATH1(TJ_VEC2, asin) TJ_MATH1(TJ_VEC2, acos) TJ_MATH1(TJ_VEC2, atan)
TJ_MATH1(TJ_VEC2, sinh) TJ_MATH1(TJ_VEC2, cosh) TJ_MATH1(TJ_VEC2, tanh)
TJ_MATH1(TJ_VEC2, asinh) TJ_MATH1(TJ_VEC2, acosh) TJ_MATH1(TJ_VEC2, atanh)
TJ_MATH1(TJ_VEC2, exp2) TJ_MATH1(TJ_VEC2, expm1)
TJ_MATH1(TJ_VEC2, log2) TJ_MATH1(TJ_VEC2, log10) TJ_MATH1(TJ_VEC2, log1p)
TJ_MATH1(TJ_VEC2, cbrt) TJ_MATH1(TJ_VEC2, erf) TJ_MATH1(TJ_VEC2, erfc)
TJ_MATH2(TJ_VEC2, atan2) TJ_MATH2(TJ_VEC2, hypot)
TJ_MATH1(TJ_NOVEC, sqrt) TJ_MATH1(TJ_NOVEC, fabs) TJ_MATH1(TJ_NOVEC, floor) TJ_MATH1(TJ_NOVEC, ceil)
TJ_MATH1(TJ_NOVEC, trunc) TJ_MATH1(TJ_NOVEC, rint) TJ_MATH1(TJ_NOVEC, nearbyint) TJ_MATH1(TJ_NOVEC, round)
TJ_MATH1(TJ_NOVEC, logb) TJ_MATH1(TJ_NOVEC, tgamma)
TJ_MATH2(TJ_NOVEC, fmod) TJ_MATH2(TJ_NOVEC, remainder) TJ_MATH2(TJ_NOVEC, copysign) TJ_MATH2(TJ_NOVEC, nextafter)
TJ_MATH2(TJ_NOVEC, fmin) TJ_MATH2(TJ_NOVEC, fmax) TJ_MATH2(TJ_NOVEC, fdim)
double fma(double, double, double);
float fmaf(float, float, float);
double ldexp(double, int);
float ldexpf(float, int);
double frexp(double, int *);
float frexpf(float, int *);
double modf(double, double *);
float modff(float, float *);
double lgamma(double);
float lgammaf(float);
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf_sign(x)
#define isfinite(x) __builtin_isfinite(x)
#define signbit(x) (__builtin_signbit(x) != 0)

#define TJ_CMATH1(name) double _Complex name(double _Complex); float _Complex name##f(float _Complex);
TJ_CMATH1(cexp) TJ_CMATH1(clog) TJ_CMATH1(csqrt) TJ_CMATH1(csin) TJ_CMATH1(ccos) TJ_CMATH1(ctan)
TJ_CMATH1(casin) TJ_CMATH1(cacos) TJ_CMATH1(catan) TJ_CMATH1(csinh) TJ_CMATH1(ccosh) TJ_CMATH1(ctanh)
TJ_CMATH1(casinh) TJ_CMATH1(cacosh) TJ_CMATH1(catanh)
double _Complex cpow(double _Complex, double _Complex);
float _Complex cpowf(float _Complex, float _Complex);
double cabs(double _Complex);
float cabsf(float _Complex);
double carg(double _Complex);
float cargf(float _Complex);
#endif

#endif
