/* The pool of threads on which kernels run their parallel loops; compiled once per thread count, behind
   tracejit.h and a line `#define TJ_THREADS n`.

   Workers sleep between loops, after a short spin that ends where BLAS is called: a pool that spins takes the cores
   from BLAS's own. Each thread has its share of the range, which it works off in pieces, so that a loop run again finds its
   data in the same core's cache; who is done takes pieces of the others' shares, so that nobody waits for a
   worker that wakes late or was sent away by the system. */
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <stdlib.h>
#include <windows.h>
typedef SRWLOCK lock_t;
typedef CONDITION_VARIABLE signal_t;
#define LOCK_INIT SRWLOCK_INIT
#define SIGNAL_INIT CONDITION_VARIABLE_INIT
#define lock(l) AcquireSRWLockExclusive(l)
#define unlock(l) ReleaseSRWLockExclusive(l)
#define wait_for(s, l) SleepConditionVariableSRW(s, l, INFINITE, 0)
#define wake_one(s) WakeConditionVariable(s)
#define wake_all(s) WakeAllConditionVariable(s)
#else
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
typedef pthread_mutex_t lock_t;
typedef pthread_cond_t signal_t;
#define LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define SIGNAL_INIT PTHREAD_COND_INITIALIZER
#define lock(l) pthread_mutex_lock(l)
#define unlock(l) pthread_mutex_unlock(l)
#define wait_for(s, l) pthread_cond_wait(s, l)
#define wake_one(s) pthread_cond_signal(s)
#define wake_all(s) pthread_cond_broadcast(s)
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#define fetch_add(p, v) _InterlockedExchangeAdd64((volatile long long *)(p), (v))
#define fetch_or(p, v) _InterlockedOr64((volatile long long *)(p), (v))
#define load(p) (*(volatile int64_t *)(p))
#define take(p) (_InterlockedExchange64((volatile long long *)(p), 1) == 0)
#define give(p) _InterlockedExchange64((volatile long long *)(p), 0)
#define set(p) _InterlockedExchange64((volatile long long *)(p), 1)
#define relax() YieldProcessor()
#else
#define fetch_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define fetch_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_ACQ_REL)
#define load(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define take(p) (__atomic_exchange_n((p), 1, __ATOMIC_ACQUIRE) == 0)
#define give(p) __atomic_store_n((p), 0, __ATOMIC_RELEASE)
#define set(p) __atomic_store_n((p), 1, __ATOMIC_RELEASE)
#if defined(__x86_64__) || defined(__i386__)
#define relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define relax() __asm__ volatile("yield")
#else
#define relax() (void)0
#endif
#endif

/* The floating-point flags of a thread. What workers raise becomes the caller's, as if it had done their work. */
#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#define flags_raised() ((int64_t)(_mm_getcsr() & 0x1d))
#define flags_clear() _mm_setcsr(_mm_getcsr() & ~0x3fu)
#define flags_raise(f) _mm_setcsr(_mm_getcsr() | (unsigned)(f))
#else
#include <fenv.h>
#define FLAGS (FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW)
#define flags_raised() ((int64_t)fetestexcept(FLAGS))
#define flags_clear() feclearexcept(FE_ALL_EXCEPT)
#define flags_raise(f) feraiseexcept((int)(f))
#endif

/* Looks at a flag before going to sleep: some 50 to 100 microseconds. Waking a sleeping worker costs 10 to 50, as much
   as a loop over 100,000 elements, and a program calls again soon. Before a BLAS call, whose own pool needs the
   cores, `rest` ends the wait at once. */
#define SPIN 2000
#define PIECES 8  /* into which a thread's share is cut at most */

typedef struct {
  TJ_ALIGN(64) int64_t taken; /* pieces that somebody has taken */
  int64_t pieces, begin, end;
} share_t;

/* One loop at a time: `busy` is held by the thread whose loop it is, everything else is written by it while no
   worker is inside (active == 0), and read by workers after they joined under the lock. */
static struct {
  TJ_ALIGN(64) int64_t busy;
  TJ_ALIGN(64) int64_t round; /* counts loops: a worker joins a round it has not seen */
  int64_t active;             /* workers inside the loop */
  int64_t open;                /* whether workers may still join */
  int64_t resting;            /* whether idle workers sleep at once */
  int64_t raised;             /* floating-point flags that workers have raised in this round */
  int caller_waits;
  int joined; /* workers that came to this round */
  int workers;
  int shares;
  int64_t piece;
  void (*body)(int64_t, int64_t, void *);
  void *ctx;
  lock_t lock;
  signal_t work, done;
  share_t share[TJ_THREADS];
} pool = {.lock = LOCK_INIT, .work = SIGNAL_INIT, .done = SIGNAL_INIT};

/* Loops go through the pieces forwards and backwards in turn: each begins where the one before it ended, whose data are
   still in the core's cache. */
static void run_shares(int first) {
  for (int k = 0; k < pool.shares; k++) {
    share_t *s = &pool.share[(first + k) % pool.shares];
    while (load(&s->taken) < s->pieces) {
      int64_t which = fetch_add(&s->taken, 1);
      if (which >= s->pieces) break;
      if (pool.round & 1) which = s->pieces - 1 - which;
      int64_t begin = s->begin + which * pool.piece;
      pool.body(begin, s->end - begin < pool.piece ? s->end : begin + pool.piece, pool.ctx);
    }
  }
}

static void work(int index) {
  int64_t seen = 0;
  for (;;) {
    for (int i = 0; i < SPIN && load(&pool.round) == seen && !load(&pool.resting); i++) relax();
    lock(&pool.lock);
    while (load(&pool.round) == seen) wait_for(&pool.work, &pool.lock);
    seen = load(&pool.round);
    /* with a share for each thread each has its own, always; else the first to come get one */
    int in = pool.open && pool.joined < pool.shares - 1;
    int first = in ? ++pool.joined : 0;
    if (pool.shares == TJ_THREADS) first = index;
    if (in) fetch_add(&pool.active, 1);
    unlock(&pool.lock);
    if (!in) continue;
    run_shares(first);
    if (flags_raised()) {
      fetch_or(&pool.raised, flags_raised());
      flags_clear();
    }
    lock(&pool.lock);
    if (fetch_add(&pool.active, -1) == 1 && pool.caller_waits) wake_one(&pool.done);
    unlock(&pool.lock);
  }
}

#if defined(_WIN32)
static DWORD WINAPI start(void *index) {
  work((int)(intptr_t)index);
  return 0;
}
static int spawn(int index) {
  HANDLE thread = CreateThread(NULL, 0, start, (void *)(intptr_t)index, 0, NULL);
  if (thread == NULL) return 0;
  CloseHandle(thread);
  return 1;
}
#else
static void *start(void *index) {
  work((int)(intptr_t)index);
  return 0;
}
static int spawn(int index) {
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all); /* signals are for Python's own threads */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed = pthread_create(&thread, 0, start, (void *)(intptr_t)index);
  pthread_sigmask(SIG_SETMASK, &before, 0);
  if (!failed) pthread_detach(thread);
  return !failed;
}

/* A child has its forking thread and no other: it starts from an empty pool, whatever the parent was doing. */
static void in_child(void) {
  pthread_mutex_init(&pool.lock, 0);
  pthread_cond_init(&pool.work, 0);
  pthread_cond_init(&pool.done, 0);
  pool.workers = 0;
  pool.round = pool.active = pool.open = pool.resting = pool.caller_waits = 0;
  give(&pool.busy);
}
#endif

static void parallel(void (*body)(int64_t, int64_t, void *), void *ctx, int64_t n, int64_t grain) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  int64_t grains = n / grain + (n % grain != 0);
  int64_t shares = grains < TJ_THREADS ? grains : TJ_THREADS;
  if (shares < 2 || !take(&pool.busy)) {
    body(0, n, ctx);
    return;
  }
  while (pool.workers < TJ_THREADS - 1) { /* the first loop ever, or the first in a forked child */
    if (!spawn(pool.workers + 1)) break;  /* no more threads to be had: those there are do it */
    pool.workers++;
  }
  /* equal shares, cut where vectors and lines of a cache are not */
  int64_t unit = grain % 64 ? 1 : 64, units = n / unit + (n % unit != 0), begin = 0;
  int64_t piece = units / shares / PIECES * unit;
  if (piece < grain) piece = grain;
  lock(&pool.lock);
  for (int k = 0; k < shares; k++) {
    int64_t end = begin + (units / shares + (k < units % shares)) * unit;
    if (end > n) end = n;
    pool.share[k] = (share_t){.pieces = (end - begin + piece - 1) / piece, .begin = begin, .end = end};
    begin = end;
  }
  pool.shares = (int)shares;
  pool.piece = piece;
  pool.body = body;
  pool.ctx = ctx;
  pool.open = 1;
  pool.caller_waits = pool.joined = 0;
  give(&pool.resting);
  give(&pool.raised);
  fetch_add(&pool.round, 1); /* spinning workers look without the lock */
  unlock(&pool.lock);
  if (shares == TJ_THREADS)
    wake_all(&pool.work);
  else
    for (int64_t k = 1; k < shares; k++) wake_one(&pool.work);

  run_shares(0);
  lock(&pool.lock);
  pool.open = 0; /* who wakes from here on goes back to sleep; who is inside finishes */
  unlock(&pool.lock);
  for (int i = 0; i < SPIN && load(&pool.active); i++) relax();
  if (load(&pool.active)) {
    lock(&pool.lock);
    pool.caller_waits = 1;
    while (load(&pool.active)) wait_for(&pool.done, &pool.lock);
    unlock(&pool.lock);
  }
  int64_t raised = load(&pool.raised);
  give(&pool.busy);
  if (raised) flags_raise(raised);
}

static void rest(void) { set(&pool.resting); }

static void *alloc(int64_t bytes) { return bytes < 0 ? NULL : malloc(bytes < 64 ? 64 : (size_t)bytes); }

static void release(void *memory) { free(memory); }

static const tj_api api = {TJ_THREADS, parallel, rest, alloc, release};

/* Called once after loading. */
TJ_EXPORT const tj_api *tj_runtime(void) {
#if !defined(_WIN32)
  pthread_atfork(0, 0, in_child);
#endif
  return &api;
}
