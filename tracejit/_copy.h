/* Copies of arrays that lie in other ways than in C order: sliced, transposed, backwards. Part of _dispatch.c.

   NumPy's own copy goes along the order of the target, and so through all of memory for each row of a transposed array;
   and it writes into fresh memory, whose pages have to be made first. */

#define TILE 32 /* elements: lines of both arrays stay in the nearest cache */

/* Copies `rows` x `n` elements, `row` and `step` bytes apart in the source, `lead` bytes from row to row in the target. */
#define DEFINE_COPY(T)                                                                                                  \
  static void copy_##T(char *to, const char *from, npy_intp rows, npy_intp n, npy_intp lead, npy_intp row, npy_intp step) { \
    for (npy_intp i = 0; i < rows; i++, to += lead, from += row) {                                                      \
      T *t = (T *)to;                                                                                                   \
      if (step == (npy_intp)sizeof(T)) {                                                                                \
        memcpy(t, from, n * sizeof(T));                                                                                 \
      } else if (step == -(npy_intp)sizeof(T)) {                                                                        \
        const T *f = (const T *)from;                                                                                   \
        for (npy_intp j = 0; j < n; j++) t[j] = f[-j];                                                                  \
      } else {                                                                                                          \
        for (npy_intp j = 0; j < n; j++) t[j] = *(const T *)(from + j * step);                                          \
      }                                                                                                                 \
    }                                                                                                                   \
  }
DEFINE_COPY(uint8_t)
DEFINE_COPY(uint16_t)
DEFINE_COPY(uint32_t)
DEFINE_COPY(uint64_t)

typedef void (*copy_t)(char *, const char *, npy_intp, npy_intp, npy_intp, npy_intp, npy_intp);

/* Copies an aligned array of native numbers into `to`, in C order; returns 0 where it is none for this. */
static int copy_plain(char *to, PyArrayObject *a) {
  npy_intp size = PyDataType_ELSIZE(PyArray_DESCR(a)), dims[NPY_MAXDIMS], steps[NPY_MAXDIMS], leads[NPY_MAXDIMS];
  copy_t copy = size == 8 ? copy_uint64_t : size == 4 ? copy_uint32_t : size == 2 ? copy_uint16_t : size == 1 ? copy_uint8_t
                                                                                                             : NULL;
  if (copy == NULL || PyArray_SIZE(a) == 0) return 0;
  int nd = 0;
  for (int i = 0; i < PyArray_NDIM(a); i++) { /* axes that lie behind each other are one */
    npy_intp n = PyArray_DIM(a, i), step = PyArray_STRIDE(a, i);
    if (n == 1) continue;
    if (nd && steps[nd - 1] == n * step)
      dims[nd - 1] *= n, steps[nd - 1] = step;
    else
      dims[nd] = n, steps[nd++] = step;
  }
  if (nd == 0) dims[0] = 1, steps[nd++] = size;
  leads[nd - 1] = size;
  for (int i = nd - 1; i > 0; i--) leads[i - 1] = leads[i] * dims[i];
  /* beside the last axis goes the one along which the source lies closest; with none before it, a row of one */
  int last = nd - 1, beside = -1;
  for (int i = 0; i < last; i++)
    if (beside < 0 || llabs(steps[i]) <= llabs(steps[beside])) beside = i;
  npy_intp rows = beside < 0 ? 1 : dims[beside], row = beside < 0 ? 0 : steps[beside], lead = beside < 0 ? 0 : leads[beside];
  int tiled = beside >= 0 && llabs(row) < llabs(steps[last]);
  npy_intp at[NPY_MAXDIMS] = {0};
  const char *from = PyArray_BYTES(a);
  for (;;) {
    if (tiled)
      for (npy_intp i = 0; i < rows; i += TILE)
        for (npy_intp j = 0; j < dims[last]; j += TILE)
          copy(to + i * lead + j * size, from + i * row + j * steps[last], rows - i < TILE ? rows - i : TILE,
               dims[last] - j < TILE ? dims[last] - j : TILE, lead, row, steps[last]);
    else
      copy(to, from, rows, dims[last], lead, row, steps[last]);
    int i = last - 1;
    for (; i >= 0; i--) { /* the other axes count on */
      if (i == beside) continue;
      to += leads[i], from += steps[i];
      if (++at[i] < dims[i]) break;
      to -= leads[i] * dims[i], from -= steps[i] * dims[i];
      at[i] = 0;
    }
    if (i < 0) return 1;
  }
}
