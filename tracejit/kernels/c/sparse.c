/* Sparse equations by LU factors, behind tracejit.h and the definitions of NUMBER and MAGNITUDE.

   The given matrix lies by rows; by columns, as it is read here, that is its transpose M. Columns are ordered by least
   degree on the pattern of M + M^T (Amestoy, Davis and Duff 1996, "An approximate minimum degree ordering algorithm"),
   then eliminated from left to right, each in time proportional to the multiplications that it takes, with partial
   pivoting that prefers the diagonal (Gilbert and Peierls 1988, "Sparse partial pivoting in time proportional to
   arithmetic operations"). The last factors stay with their thread: a loop that solves with one matrix again and
   again, and the derivative, factor it once. */
void *malloc(size_t);
void *calloc(size_t, size_t);
void *realloc(void *, size_t);
void free(void *);

/* A pivot on the diagonal may be this much smaller than the largest in its column. */
#define DIAGONAL 0.1

typedef struct { int64_t size; int32_t *at; NUMBER *x; } entries_t;
typedef struct {
  int ready, singular;
  int64_t n, count;
  NUMBER *data; int32_t *rows; int64_t *starts; /* the matrix that was factored */
  int32_t *order, *place;                       /* step -> column, row -> step */
  int64_t *below_starts, *above_starts;
  entries_t below, above;                       /* L and U by columns, without their diagonals */
  NUMBER *pivots;
} factors_t;

static __thread factors_t kept;

static void forget(void) {
  void *all[] = {kept.data, kept.rows, kept.starts, kept.order, kept.place, kept.below_starts, kept.above_starts,
                 kept.below.at, kept.below.x, kept.above.at, kept.above.x, kept.pivots};
  for (int k = 0; k < (int)(sizeof(all) / sizeof(*all)); k++) free(all[k]);
  memset(&kept, 0, sizeof(kept));
}

static void *room(int64_t count, size_t size) { return malloc((size_t)(count > 0 ? count : 1) * size); }

static int grow(entries_t *e, int64_t need) {
  if (need <= e->size) return 1;
  int64_t size = need + need / 2 + 64;
  int32_t *at = realloc(e->at, (size_t)size * sizeof(*at));
  if (at) e->at = at;
  NUMBER *x = realloc(e->x, (size_t)size * sizeof(*x));
  if (x) e->x = x;
  if (!at || !x) return 0;
  e->size = size;
  return 1;
}

/* ---------------------------------------------------------------- the order of the columns */
/* A variable's list begins with the elements it is in, then come the variables it is still joined to directly. An
   element is an eliminated variable: its list has the variables it has joined to each other. */
typedef struct {
  int64_t n;
  int64_t *start, *element;     /* of a variable's list in `joined`, of an element's in `members` */
  int32_t *joined, *members;
  int32_t *elements, *length;   /* of a variable's list: how many elements it begins with, and its length */
  int32_t *size;                /* of an element's list; 0: it is gone */
  int32_t *degree, *next, *previous, *first; /* variables of one degree, as a list */
  int64_t *mark, *outside_mark;
  int32_t *outside;             /* of an element, the members that are not in the new one */
  int32_t *held;
  int64_t used, space;
} quotient_t;

static void leave(quotient_t *q, int32_t i) {
  if (q->previous[i] >= 0) q->next[q->previous[i]] = q->next[i];
  else q->first[q->degree[i]] = q->next[i];
  if (q->next[i] >= 0) q->previous[q->next[i]] = q->previous[i];
}

static void enter(quotient_t *q, int32_t i, int32_t degree) {
  q->degree[i] = degree;
  q->previous[i] = -1;
  q->next[i] = q->first[degree];
  if (q->next[i] >= 0) q->previous[q->next[i]] = i;
  q->first[degree] = i;
}

/* The pattern of M + M^T without its diagonal and without crowded variables, each neighbour once. */
static int neighbours(quotient_t *q, const int64_t *starts, const int32_t *rows, const uint8_t *crowded) {
  const int64_t n = q->n;
  int64_t *end = calloc((size_t)n + 1, sizeof(*end));
  if (!end) return 0;
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t j = 0; j < n; j++)
      for (int64_t k = starts[j]; k < starts[j + 1]; k++) {
        const int64_t i = rows[k];
        if (i == j || (crowded && (crowded[i] || crowded[j]))) continue;
        if (!pass) end[i]++, end[j]++;
        else q->joined[end[i]++] = (int32_t)j, q->joined[end[j]++] = (int32_t)i;
      }
    if (pass) break;
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) {
      const int64_t own = end[i];
      q->start[i] = end[i] = total;
      total += own;
    }
    free(q->joined);
    if (!(q->joined = room(total, sizeof(*q->joined)))) { free(end); return 0; }
  }
  for (int64_t i = 0; i < n; i++) q->mark[i] = -1;
  for (int64_t i = 0; i < n; i++) {
    int64_t at = q->start[i];
    for (int64_t k = q->start[i]; k < end[i]; k++)
      if (q->mark[q->joined[k]] != i) q->mark[q->joined[k]] = i, q->joined[at++] = q->joined[k];
    q->length[i] = (int32_t)(at - q->start[i]);
    q->elements[i] = 0;
  }
  free(end);
  return 1;
}

/* Make an element of variable p: what it is joined to, directly and through elements, which it takes over. */
static int eliminate(quotient_t *q, int32_t p, int64_t stamp) {
  int64_t need = q->length[p];
  const int32_t *list = q->joined + q->start[p];
  for (int32_t k = 0; k < q->elements[p]; k++) need += q->size[list[k]];
  if (q->used + need > q->space) {
    q->space = (q->used + need) * 2 + 64;
    int32_t *members = realloc(q->members, (size_t)q->space * sizeof(*members));
    if (!members) return 0;
    q->members = members;
  }
  int32_t *made = q->members + q->used, count = 0;
  q->mark[p] = stamp;
  for (int32_t k = 0; k < q->length[p]; k++) {
    if (k >= q->elements[p]) {
      if (q->mark[list[k]] != stamp) q->mark[list[k]] = stamp, made[count++] = list[k];
      continue;
    }
    const int32_t e = list[k], *inner = q->members + q->element[e];
    for (int32_t m = 0; m < q->size[e]; m++)
      if (q->mark[inner[m]] != stamp) q->mark[inner[m]] = stamp, made[count++] = inner[m];
    q->size[e] = 0;
  }
  q->element[p] = q->used;
  q->size[p] = count;
  return 1;
}

/* Bring the lists and degrees of the members of element p up to date; those that p alone has joined to anything are
   eliminated with it. Returns the end of the order. */
static int64_t update(quotient_t *q, int32_t p, int64_t stamp, int32_t *order, int64_t done, int32_t *least) {
  int32_t *made = q->members + q->element[p];
  const int32_t count = q->size[p];
  int32_t stay = 0;
  for (int32_t m = 0; m < count; m++) {
    const int32_t i = made[m], *list = q->joined + q->start[i];
    for (int32_t k = 0; k < q->elements[i]; k++) {
      const int32_t e = list[k];
      if (q->outside_mark[e] != stamp) q->outside_mark[e] = stamp, q->outside[e] = q->size[e];
      q->outside[e]--;
    }
  }
  for (int32_t m = 0; m < count; m++) {
    const int32_t i = made[m];
    int32_t *list = q->joined + q->start[i], at = 0, direct = 0;
    int64_t degree = count - 1;
    for (int32_t k = 0; k < q->elements[i]; k++) {
      const int32_t e = list[k];
      if (q->size[e] == 0) continue;
      if (q->outside[e] <= 0) { q->size[e] = 0; continue; } /* all its members are in p */
      degree += q->outside[e];
      list[at++] = e;
    }
    for (int32_t k = q->elements[i]; k < q->length[i]; k++)
      if (q->mark[list[k]] != stamp) q->held[direct++] = list[k];
    leave(q, i);
    if (at == 0 && direct == 0) {
      order[done++] = i;
      continue;
    }
    list[at++] = p;
    q->elements[i] = at;
    for (int32_t k = 0; k < direct; k++) list[at++] = q->held[k];
    q->length[i] = at;
    degree += direct;
    if (degree > q->n - done - 1) degree = q->n - done - 1;
    if (degree > (int64_t)q->degree[i] + count - 1) degree = q->degree[i] + count - 1;
    made[stay++] = i;
    enter(q, i, (int32_t)(degree < 0 ? 0 : degree));
    if (q->degree[i] < *least) *least = q->degree[i];
  }
  q->size[p] = stay;
  q->used += stay;
  return done;
}

static int least_degree(int64_t n, const int64_t *starts, const int32_t *rows, int32_t *order) {
  quotient_t q = {.n = n};
  uint8_t *crowded = calloc((size_t)n + 1, 1);
  q.start = room(n, 8), q.element = room(n, 8), q.mark = room(n, 8), q.outside_mark = room(n, 8);
  q.elements = room(n, 4), q.length = room(n, 4), q.size = room(n, 4), q.degree = room(n, 4);
  q.next = room(n, 4), q.previous = room(n, 4), q.first = room(n + 1, 4), q.outside = room(n, 4), q.held = room(n, 4);
  int ok = crowded && q.start && q.element && q.mark && q.outside_mark && q.elements && q.length && q.size &&
           q.degree && q.next && q.previous && q.first && q.outside && q.held;
  ok = ok && neighbours(&q, starts, rows, 0);
  int64_t done = 0, crowd = 0;
  if (ok) {
    /* what is joined to almost everything comes last, and is not counted */
    const int64_t many = 16 + (int64_t)(10 * sqrt((double)n));
    for (int64_t i = 0; i < n; i++) crowd += crowded[i] = q.length[i] > many;
    if (crowd) ok = neighbours(&q, starts, rows, crowded);
  }
  if (ok) {
    for (int64_t i = 0; i <= n; i++) q.first[i] = -1;
    for (int64_t i = n - 1; i >= 0; i--) {
      q.mark[i] = q.outside_mark[i] = -1;
      q.size[i] = 0;
      if (!crowded[i]) enter(&q, (int32_t)i, q.length[i]);
    }
    int32_t least = 0;
    while (ok && done < n - crowd) {
      while (q.first[least] < 0) least++;
      const int32_t p = q.first[least];
      const int64_t stamp = done;
      leave(&q, p);
      order[done++] = p;
      if ((ok = eliminate(&q, p, stamp))) done = update(&q, p, stamp, order, done, &least);
    }
    for (int64_t i = 0; i < n; i++)
      if (crowded[i]) order[done++] = (int32_t)i;
  }
  void *all[] = {crowded, q.start, q.element, q.mark, q.outside_mark, q.elements, q.length, q.size, q.degree, q.next,
                 q.previous, q.first, q.outside, q.held, q.joined, q.members};
  for (int k = 0; k < (int)(sizeof(all) / sizeof(*all)); k++) free(all[k]);
  return ok;
}

/* ---------------------------------------------------------------- factors */
/* The rows that column j of M reaches through the columns of L, in an order in which each comes after those it depends
   on; they end at `top`, which is returned first. */
static int64_t reach(const factors_t *f, int64_t column, int64_t step, int32_t *found, int32_t *stack, int64_t *at,
                     int64_t *mark) {
  int64_t top = f->n;
  for (int64_t k = f->starts[column]; k < f->starts[column + 1]; k++) {
    if (mark[f->rows[k]] == step) continue;
    int64_t depth = 0;
    stack[0] = f->rows[k];
    mark[stack[0]] = step;
    at[0] = f->place[stack[0]] < 0 ? 0 : f->below_starts[f->place[stack[0]]];
    while (depth >= 0) {
      const int32_t node = stack[depth], own = f->place[node];
      const int64_t end = own < 0 ? 0 : f->below_starts[own + 1];
      int64_t p = at[depth];
      while (p < end && mark[f->below.at[p]] == step) p++;
      if (p >= end) {
        found[--top] = node;
        depth--;
        continue;
      }
      at[depth] = p + 1;
      const int32_t inner = f->below.at[p];
      mark[inner] = step;
      stack[++depth] = inner;
      at[depth] = f->place[inner] < 0 ? 0 : f->below_starts[f->place[inner]];
    }
  }
  return top;
}

/* Compute column `step` of both factors; 0 where there is no memory, -1 where no pivot is left. */
static int one_column(factors_t *f, int64_t step, NUMBER *x, int32_t *found, int32_t *stack, int64_t *at,
                      int64_t *mark) {
  const int64_t n = f->n, column = f->order[step];
  int64_t below = f->below_starts[step], above = f->above_starts[step];
  if (!grow(&f->below, below + n) || !grow(&f->above, above + n)) return 0;
  const int64_t top = reach(f, column, step, found, stack, at, mark);
  for (int64_t k = top; k < n; k++) x[found[k]] = 0;
  for (int64_t k = f->starts[column]; k < f->starts[column + 1]; k++) x[f->rows[k]] += f->data[k];
  double largest = 0;
  int32_t pivot = -1;
  for (int64_t k = top; k < n; k++) {
    const int32_t row = found[k], own = f->place[row];
    const NUMBER v = x[row];
    if (own < 0) {
      if (MAGNITUDE(v) > largest) largest = MAGNITUDE(v), pivot = row;
      continue;
    }
    f->above.at[above] = own;
    f->above.x[above++] = v;
    for (int64_t p = f->below_starts[own]; p < f->below_starts[own + 1]; p++) x[f->below.at[p]] -= f->below.x[p] * v;
  }
  if (pivot < 0) return -1;
  if (mark[column] == step && f->place[column] < 0 && MAGNITUDE(x[column]) >= DIAGONAL * largest)
    pivot = (int32_t)column;
  f->pivots[step] = x[pivot];
  f->place[pivot] = (int32_t)step;
  for (int64_t k = top; k < n; k++) {
    const int32_t row = found[k];
    if (f->place[row] >= 0 || x[row] == 0) continue;
    f->below.at[below] = row;
    f->below.x[below++] = x[row] / f->pivots[step];
  }
  f->below_starts[step + 1] = below;
  f->above_starts[step + 1] = above;
  return 1;
}

static int factor(factors_t *f) {
  const int64_t n = f->n;
  f->order = room(n, 4), f->place = room(n, 4), f->pivots = room(n, sizeof(NUMBER));
  f->below_starts = room(n + 1, 8), f->above_starts = room(n + 1, 8);
  NUMBER *x = room(n, sizeof(NUMBER));
  int32_t *found = room(n, 4), *stack = room(n, 4);
  int64_t *at = room(n, 8), *mark = room(n, 8);
  int ok = f->order && f->place && f->pivots && f->below_starts && f->above_starts && x && found && stack && at && mark;
  ok = ok && least_degree(n, f->starts, f->rows, f->order);
  if (ok) {
    f->below_starts[0] = f->above_starts[0] = 0;
    for (int64_t i = 0; i < n; i++) f->place[i] = -1, mark[i] = -1;
    for (int64_t k = 0; k < n && ok > 0; k++) ok = one_column(f, k, x, found, stack, at, mark);
    f->singular = ok < 0;
    if (ok > 0)
      for (int64_t p = 0; p < f->below_starts[n]; p++) f->below.at[p] = f->place[f->below.at[p]];
  }
  free(x), free(found), free(stack), free(at), free(mark);
  return ok != 0;
}

/* Let `kept` have the factors of this matrix; 0 where there is no memory. */
static int have(int64_t n, int64_t count, const NUMBER *data, const void *columns, const void *starts, int wide) {
  int same = kept.ready && kept.n == n && kept.count == count &&
             !memcmp(kept.data, data, (size_t)count * sizeof(NUMBER));
  for (int64_t k = 0; same && k < count; k++)
    same = kept.rows[k] == (wide ? ((const int64_t *)columns)[k] : ((const int32_t *)columns)[k]);
  for (int64_t k = 0; same && k <= n; k++)
    same = kept.starts[k] == (wide ? ((const int64_t *)starts)[k] : ((const int32_t *)starts)[k]);
  if (same) return 1;
  forget();
  kept.n = n, kept.count = count;
  kept.data = room(count, sizeof(NUMBER)), kept.rows = room(count, 4), kept.starts = room(n + 1, 8);
  if (!kept.data || !kept.rows || !kept.starts) return 0;
  memcpy(kept.data, data, (size_t)count * sizeof(NUMBER));
  for (int64_t k = 0; k < count; k++)
    kept.rows[k] = (int32_t)(wide ? ((const int64_t *)columns)[k] : ((const int32_t *)columns)[k]);
  for (int64_t k = 0; k <= n; k++)
    kept.starts[k] = wide ? ((const int64_t *)starts)[k] : ((const int32_t *)starts)[k];
  return kept.ready = factor(&kept);
}

/* ---------------------------------------------------------------- solutions */
/* M is L U with rows and columns put in order, and `w` right-hand sides lie beside each other. */
TJ_INLINE void with_transpose(const factors_t *f, const NUMBER *b, NUMBER *x, NUMBER *z, const int64_t w) {
  const int64_t n = f->n;
  for (int64_t k = 0; k < n; k++) {
    NUMBER *zk = z + k * w;
    for (int64_t j = 0; j < w; j++) zk[j] = b[f->order[k] * w + j];
    for (int64_t p = f->above_starts[k]; p < f->above_starts[k + 1]; p++)
      for (int64_t j = 0; j < w; j++) zk[j] -= f->above.x[p] * z[f->above.at[p] * w + j];
    for (int64_t j = 0; j < w; j++) zk[j] /= f->pivots[k];
  }
  for (int64_t k = n - 1; k >= 0; k--)
    for (int64_t p = f->below_starts[k]; p < f->below_starts[k + 1]; p++)
      for (int64_t j = 0; j < w; j++) z[k * w + j] -= f->below.x[p] * z[f->below.at[p] * w + j];
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < w; j++) x[i * w + j] = z[f->place[i] * w + j];
}

TJ_INLINE void with_itself(const factors_t *f, const NUMBER *b, NUMBER *x, NUMBER *z, const int64_t w) {
  const int64_t n = f->n;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < w; j++) z[f->place[i] * w + j] = b[i * w + j];
  for (int64_t k = 0; k < n; k++)
    for (int64_t p = f->below_starts[k]; p < f->below_starts[k + 1]; p++)
      for (int64_t j = 0; j < w; j++) z[f->below.at[p] * w + j] -= f->below.x[p] * z[k * w + j];
  for (int64_t k = n - 1; k >= 0; k--) {
    for (int64_t j = 0; j < w; j++) z[k * w + j] /= f->pivots[k];
    for (int64_t p = f->above_starts[k]; p < f->above_starts[k + 1]; p++)
      for (int64_t j = 0; j < w; j++) z[f->above.at[p] * w + j] -= f->above.x[p] * z[k * w + j];
  }
  for (int64_t k = 0; k < n; k++)
    for (int64_t j = 0; j < w; j++) x[f->order[k] * w + j] = z[k * w + j];
}

/* Solve A x = b, or A^T x = b, for the matrix A by rows; NaN where A is singular, or there is no memory. */
static void solve(int64_t n, int64_t count, const void *data, const void *columns, const void *starts, int wide,
                  int64_t w, const void *b, void *x, int transposed) {
  const int ok = have(n, count, data, columns, starts, wide);
  NUMBER *z = ok && !kept.singular ? room(n * w, sizeof(NUMBER)) : 0;
  if (!z) {
    for (int64_t k = 0; k < n * w; k++) ((NUMBER *)x)[k] = TJ_NAN;
    if (!ok) forget();
    return;
  }
  if (transposed && w == 1) with_itself(&kept, b, x, z, 1);
  else if (transposed) with_itself(&kept, b, x, z, w);
  else if (w == 1) with_transpose(&kept, b, x, z, 1);
  else with_transpose(&kept, b, x, z, w);
  free(z);
}

TJ_EXPORT void tj_bind(const tj_api *api, void *const *routines) { (void)api, (void)routines; }
TJ_EXPORT int64_t tj_entry(void **b, int64_t *err) {
  (void)err;
  b[0] = (void *)solve;
  return 0;
}
