/* Memory for large outputs and for scratch, kept between calls: page-faulting fresh memory costs more than the
   arithmetic. Part of _dispatch.c.

   The pool is a NumPy memory handler (NEP 49): arrays own their data as always, and when the last reference to one
   goes, its memory comes here instead of to the system. Blocks have a header of one page and a size class, four per
   power of two; free ones hang in a list per class, the most recently freed first (it is warm), and in one list by
   age, whose oldest end goes to the system when the limit is passed. */
#include <stdlib.h>
#include <string.h>
#if defined(_WIN32)
#include <malloc.h>
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#include <pthread.h>
#include <sys/mman.h>
#endif

#define POOL_MIN ((npy_intp)128 << 10)
/* A page: arrays begin where pages do. NumPy's own large arrays begin 16 bytes behind; a result that began further behind
   would be stored to addresses whose low 12 bits are those of the operand's next loads, and these would wait for it. */
#define HEADER 4096
#define CLASSES 256
#define HUGE_FROM ((size_t)4 << 20) /* from here on huge pages are asked for, as NumPy does */

typedef struct Block {
  size_t capacity; /* bytes behind the header */
  int class;
  struct Block *next, *previous; /* free blocks of one class */
  struct Block *older, *newer;   /* free blocks of all classes */
} Block;

static Block *pool_free_list[CLASSES], *pool_newest, *pool_oldest;
static size_t pool_limit, pool_kept;
static unsigned long long pool_blocks, pool_hits, pool_misses;
static PyObject *pool_handler;

#if defined(_MSC_VER) && !defined(__clang__)
static volatile long pool_lock_word;
#define pool_lock() while (_InterlockedExchange(&pool_lock_word, 1)) YieldProcessor()
#define pool_unlock() _InterlockedExchange(&pool_lock_word, 0)
#define THREAD_LOCAL __declspec(thread)
#else
static char pool_lock_word; /* held for a few list operations; a fork happens outside, because it holds the GIL */
#define pool_lock() while (__atomic_test_and_set(&pool_lock_word, __ATOMIC_ACQUIRE)) (void)0
#define pool_unlock() __atomic_clear(&pool_lock_word, __ATOMIC_RELEASE)
#define THREAD_LOCAL __thread
#endif

static void *system_take(size_t size) {
#if defined(_WIN32)
  return _aligned_malloc(size, HEADER);
#else
  void *p = NULL;
  if (posix_memalign(&p, HEADER, size) != 0) return NULL;
#if defined(MADV_HUGEPAGE)
  if (size >= HUGE_FROM) madvise(p, size & ~(size_t)4095, MADV_HUGEPAGE);
#endif
  return p;
#endif
}

static void system_give(void *p) {
#if defined(_WIN32)
  _aligned_free(p);
#else
  free(p);
#endif
}

/* The class of the smallest capacity that holds `size` bytes, and that capacity. */
static int pool_class(size_t size, size_t *capacity) {
  int power = 6;
  while (power < 62 && ((size_t)1 << power) < size) power++;
  size_t whole = (size_t)1 << power, quarter = whole >> 3, low = whole >> 1;
  int step = size <= low ? 0 : (int)((size - low + quarter - 1) / quarter);
  if (step > 4) step = 4;
  *capacity = low + step * quarter;
  return (power - 1) * 4 + step; /* step 4 is the next power's step 0 */
}

static void pool_unlink(Block *b) {
  *(b->previous ? &b->previous->next : &pool_free_list[b->class]) = b->next;
  if (b->next) b->next->previous = b->previous;
  *(b->newer ? &b->newer->older : &pool_newest) = b->older;
  *(b->older ? &b->older->newer : &pool_oldest) = b->newer;
  pool_kept -= b->capacity;
  pool_blocks--;
}

/* Gives the oldest blocks back until no more than `keep` bytes are kept; the lock is held. */
static void pool_shrink(size_t keep) {
  while (pool_oldest != NULL && pool_kept > keep) {
    Block *b = pool_oldest;
    pool_unlink(b);
    system_give(b);
  }
}

static void *pool_take(size_t size) {
  size_t capacity;
  if (size > (size_t)PY_SSIZE_T_MAX - 4096) return NULL;
  int class = pool_class(size, &capacity);
  pool_lock();
  Block *b = pool_free_list[class];
  if (b != NULL) {
    pool_unlink(b);
    pool_hits++;
  } else {
    pool_misses++;
  }
  pool_unlock();
  if (b == NULL) {
    b = system_take(HEADER + capacity);
    if (b == NULL) { /* what we keep may be what is missing */
      pool_lock();
      pool_shrink(0);
      pool_unlock();
      b = system_take(HEADER + capacity);
      if (b == NULL) return NULL;
    }
    b->capacity = capacity;
    b->class = class;
  }
  return (char *)b + HEADER;
}

static void pool_give(void *p) {
  if (p == NULL) return;
  Block *b = (Block *)((char *)p - HEADER);
  pool_lock();
  if (b->capacity > pool_limit || b->capacity < (size_t)POOL_MIN) {
    pool_unlock();
    system_give(b);
    return;
  }
  pool_shrink(pool_limit - b->capacity);
  b->previous = NULL;
  b->next = pool_free_list[b->class];
  if (b->next) b->next->previous = b;
  pool_free_list[b->class] = b;
  b->newer = NULL;
  b->older = pool_newest;
  *(b->older ? &b->older->newer : &pool_oldest) = b;
  pool_newest = b;
  pool_kept += b->capacity;
  pool_blocks++;
  pool_unlock();
}

/* ------------------------------------------------------------------------------------------ as NumPy wants it */
static void *handler_malloc(void *ctx, size_t size) { return pool_take(size ? size : 1); }

static void *handler_calloc(void *ctx, size_t n, size_t size) {
  if (size && n > (size_t)PY_SSIZE_T_MAX / size) return NULL;
  void *p = handler_malloc(ctx, n * size);
  if (p != NULL) memset(p, 0, n * size);
  return p;
}

static void *handler_realloc(void *ctx, void *old, size_t size) {
  if (old == NULL) return handler_malloc(ctx, size);
  Block *b = (Block *)((char *)old - HEADER);
  if (size <= b->capacity) return old;
  void *p = pool_take(size);
  if (p == NULL) return NULL;
  memcpy(p, old, b->capacity);
  pool_give(old);
  return p;
}

static void handler_free(void *ctx, void *p, size_t size) { pool_give(p); }

static PyDataMem_Handler handler = {
    "tracejit_pool", 1, {NULL, handler_malloc, handler_calloc, handler_realloc, handler_free}};

/* A fresh array on pooled memory. */
static PyObject *pooled_array(PyArray_Descr *descr, int nd, npy_intp *dims, npy_intp bytes, int fortran) {
  void *data = pool_take(bytes);
  if (data == NULL) return PyErr_NoMemory();
  npy_intp strides[NPY_MAXDIMS], step = PyDataType_ELSIZE(descr);
  for (int i = 0; fortran && i < nd; step *= dims[i++]) strides[i] = step;
  PyObject *a = PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)Py_NewRef(descr), nd, dims, fortran ? strides : NULL,
                                     data, fortran ? NPY_ARRAY_FARRAY : NPY_ARRAY_CARRAY, NULL);
  if (a == NULL) {
    pool_give(data);
    return NULL;
  }
  /* what PyDataMem_SetHandler around the constructor would do, without switching the context twice */
  ((PyArrayObject_fields *)a)->mem_handler = Py_NewRef(pool_handler);
  PyArray_ENABLEFLAGS((PyArrayObject *)a, NPY_ARRAY_OWNDATA);
  return a;
}

/* Memory that compiled code has allocated, by the C library, becomes an array's: whether the code that frees it is the
   same library's is only sure where there is one for all. */
#if defined(_WIN32)
#define SIZED 0
static PyObject *owning_array(PyArray_Descr *descr, int nd, npy_intp *dims, npy_intp bytes, void *data) { return NULL; }
#else
#define SIZED 1
static void *system_malloc(void *ctx, size_t size) { return malloc(size ? size : 1); }
static void *system_calloc(void *ctx, size_t n, size_t size) { return calloc(n ? n : 1, size ? size : 1); }
static void *system_realloc(void *ctx, void *p, size_t size) { return realloc(p, size ? size : 1); }
static void system_free(void *ctx, void *p, size_t size) { free(p); }
static PyDataMem_Handler system_handler = {
    "tracejit_system", 1, {NULL, system_malloc, system_calloc, system_realloc, system_free}};
static PyObject *system_capsule;

/* An array on memory from malloc, which is freed with it; a small one on memory of NumPy's. */
static PyObject *owning_array(PyArray_Descr *descr, int nd, npy_intp *dims, npy_intp bytes, void *data) {
  if (system_capsule == NULL && (system_capsule = PyCapsule_New(&system_handler, "mem_handler", NULL)) == NULL) {
    free(data);
    return NULL;
  }
  int small = bytes < 1024;
  PyObject *a = PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)Py_NewRef(descr), nd, dims, NULL, small ? NULL : data,
                                     small ? 0 : NPY_ARRAY_CARRAY, NULL);
  if (a == NULL || small) {
    if (a != NULL) memcpy(PyArray_DATA((PyArrayObject *)a), data, bytes);
    free(data);
    return a;
  }
  ((PyArrayObject_fields *)a)->mem_handler = Py_NewRef(system_capsule);
  PyArray_ENABLEFLAGS((PyArrayObject *)a, NPY_ARRAY_OWNDATA);
  return a;
}
#endif

static PyObject *pool_info(PyObject *self, PyObject *unused) {
  pool_lock();
  size_t limit = pool_limit, kept = pool_kept;
  unsigned long long blocks = pool_blocks, hits = pool_hits, misses = pool_misses;
  pool_unlock();
  return Py_BuildValue("{s:n,s:n,s:K,s:K,s:K}", "limit", (Py_ssize_t)limit, "bytes", (Py_ssize_t)kept, "blocks", blocks,
                       "hits", hits, "misses", misses);
}

static PyObject *pool_clear(PyObject *self, PyObject *unused) {
  pool_lock();
  pool_shrink(0);
  pool_unlock();
  Py_RETURN_NONE;
}

static PyObject *set_pool(PyObject *self, PyObject *limit) {
  Py_ssize_t bytes = PyNumber_AsSsize_t(limit, NULL); /* what does not fit is as good as no limit */
  if (bytes == -1 && PyErr_Occurred()) return NULL;
  pool_lock();
  pool_limit = bytes < 0 ? 0 : (size_t)bytes;
  pool_shrink(pool_limit);
  pool_unlock();
  Py_RETURN_NONE;
}

static int pool_start(void) {
  pool_limit = (size_t)1 << 30;
  pool_handler = PyCapsule_New(&handler, "mem_handler", NULL);
  return pool_handler != NULL;
}

/* ------------------------------------------------------------------------------------------ the arena */
#define ARENA_KEPT ((npy_intp)64 << 20)

typedef struct {
  char *data;
  npy_intp size;
  int lent;
} Arena;

static THREAD_LOCAL Arena arena; /* this thread's scratch memory */

#if defined(_WIN32)
static DWORD arena_slot;
static void WINAPI arena_end(void *data) { system_give(data); }
static int arena_start(void) { return (arena_slot = FlsAlloc(arena_end)) != FLS_OUT_OF_INDEXES; }
#define arena_at_end(data) FlsSetValue(arena_slot, (data))
#else
static pthread_key_t arena_slot;
static int arena_start(void) { return pthread_key_create(&arena_slot, system_give) == 0; }
#define arena_at_end(data) pthread_setspecific(arena_slot, (data))
#endif

static char *arena_take(npy_intp size) {
  if (size > ARENA_KEPT || arena.lent) return pool_take(size);
  if (size > arena.size) {
    size_t capacity;
    pool_class(size, &capacity);
    char *data = system_take(capacity);
    if (data == NULL) return NULL;
    system_give(arena.data);
    arena.data = data;
    arena.size = capacity;
    arena_at_end(data); /* freed when the thread ends */
  }
  arena.lent = 1;
  return arena.data;
}

static void arena_give(char *data, npy_intp size) {
  if (data == arena.data)
    arena.lent = 0;
  else
    pool_give(data);
}
