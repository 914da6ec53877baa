"""Fourier transforms: c/fft.c, compiled once per precision, and reached by address as BLAS is."""

import ctypes
import functools
import re
import sys
from pathlib import Path

from tracejit.kernels import blas
from tracejit.kernels import compile as compiling
from tracejit.kernels.c import fft_passes

#: Complex to complex, real to the first half, the first half to real.
KINDS = ("complex", "real", "back")
_PROTOTYPE = ("typedef void (*tj_{name})(const tj_api *, const void *, void *, int64_t, int64_t, int64_t, int64_t, "
              "double);")
_NAME = re.compile(r"fft_(complex|real|back)_f(32|64)")

_HEAD = """#pragma GCC optimize("fp-contract=fast")
void *malloc(size_t);
void *calloc(size_t, size_t);
void free(void *);
long double sinl(long double);
long double cosl(long double);
static const tj_api *tj_pool;

#define SHUFFLE_(kind, a, b, ...) __builtin_shuffle(a, b, (kind){__VA_ARGS__})
#if defined(__clang__)
#pragma clang fp contract(fast)
#define SHUFFLE2(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#define SHUFFLE4 SHUFFLE2
#define SHUFFLE8 SHUFFLE2
#else
#define SHUFFLE2(a, b, ...) SHUFFLE_(PLACES, a, b, __VA_ARGS__)
#define SHUFFLE4 SHUFFLE2
#define SHUFFLE8 SHUFFLE2
#endif
#define LOAD(p) ((VEC)*(const LOOSE *)(p))
#define STORE(p, v) (*(LOOSE *)(p) = (v))
#define SPLAT(x) ((VEC){0} + (x))

/* Memory of a thread that stays with it, by purpose: what is asked for again in one call is asked for in one place. */
typedef struct { void *at; size_t size; } tj_kept;
static void *tj_room(int slot, size_t size) {
  static __thread tj_kept kept[6];
  tj_kept *k = kept + slot;
  if (k->size < size) {
    free(k->at);
    k->size = size + size / 4;
    k->at = malloc(k->size + 64);
  }
  return (void *)(((uintptr_t)k->at + 63) & ~(uintptr_t)63);
}

/* The n-th roots of unity, as products of a few; extended precision leaves the last bit of the result right. */
typedef struct { int64_t n, step; long double *fine, *coarse; } tj_circle;
static void tj_exact_root(int64_t e, int64_t n, long double *z) {
  /* exp(-2 pi i e / n) by symmetry from an angle of at most pi / 4 */
  const long double pi = 3.14159265358979323846264338327950288L;
  int64_t a = 8 * (e % n);
  const int octant = (int)(a / n);
  a -= octant * n;
  const long double t = pi / 4 * (long double)(octant % 2 ? n - a : a) / (long double)n, c = cosl(t), s = sinl(t);
  const long double x[8] = {c, s, -s, -c, -c, -s, s, c}, y[8] = {s, c, c, s, -s, -c, -c, -s};
  z[0] = x[octant];
  z[1] = -y[octant];
}
static int tj_open_circle(tj_circle *c, int64_t n) {
  c->n = n;
  c->step = 1;
  while (c->step * c->step < n) c->step *= 2;
  const int64_t rows = n / c->step + 1;
  c->fine = malloc(2 * sizeof(long double) * (size_t)c->step);
  c->coarse = malloc(2 * sizeof(long double) * (size_t)rows);
  if (!c->fine || !c->coarse) return 1;
  for (int64_t e = 0; e < c->step; e++) tj_exact_root(e, n, c->fine + 2 * e);
  for (int64_t e = 0; e < rows; e++) tj_exact_root(e * c->step % n, n, c->coarse + 2 * e);
  return 0;
}
static void tj_close_circle(tj_circle *c) { free(c->fine); free(c->coarse); }
static void tj_root(const tj_circle *c, int64_t e, double *z) {
  e %= c->n;
  const long double *a = c->fine + 2 * (e % c->step), *b = c->coarse + 2 * (e / c->step);
  z[0] = (double)(a[0] * b[0] - a[1] * b[1]);
  z[1] = (double)(a[0] * b[1] + a[1] * b[0]);
}
"""
_KIND = """
#define REAL {real}
#if defined(__AVX512F__) || ({size} == 4 && defined(__AVX__))
#define V 8
#elif defined(__AVX__) || {size} == 4
#define V 4
#else
#define V 2
#endif
typedef {real} tj_vec_{name} __attribute__((vector_size(V * {size})));
typedef {real} tj_loose_{name} __attribute__((vector_size(V * {size}), aligned({size}), may_alias));
typedef int{bits}_t tj_places_{name} __attribute__((vector_size(V * {size})));
#define VEC tj_vec_{name}
#define LOOSE tj_loose_{name}
#define PLACES tj_places_{name}
#define S(name) name##_{name}
"""


def is_name(text):
    """Say whether a routine's name is that of a transform."""
    return _NAME.fullmatch(text) is not None


def prototype(text):
    """Return the C text that declares the type of a transform."""
    return _PROTOTYPE.format(name=text)


def pointer(text):
    """Return the address of a transform."""
    kind, bits = _NAME.fullmatch(text).groups()
    return _transforms(int(bits))[KINDS.index(kind)]


def source(bits):
    """Return the whole C text of the transforms of one precision."""
    real = {32: "float", 64: "double"}[bits]
    head = _HEAD + _KIND.format(real=real, name=f"f{bits}", size=bits // 8, bits=bits)
    body = [(Path(__file__).parent / "c" / name).read_text(encoding="utf-8") for name in ("fft.c", "fft_real.c")]
    given = [f"  b[{k}] = (void *)fft_{kind}_f{bits};" for k, kind in enumerate(KINDS)]
    tail = ["TJ_EXPORT void tj_bind(const tj_api *api, void *const *routines) { tj_pool = api; }",
            "TJ_EXPORT int64_t tj_entry(void **b, int64_t *err) {", *given, "  return 0;", "}", ""]
    return "\n".join([head, fft_passes.text(), *body, *tail])


@functools.cache
def _transforms(bits):
    """Return the addresses of the transforms of one precision."""
    loaded = compiling.load(source(bits))
    table = (ctypes.c_void_p * len(KINDS))()
    ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(loaded.address)(table, None)
    return tuple(table)


blas.PROVIDERS.append(sys.modules[__name__])
