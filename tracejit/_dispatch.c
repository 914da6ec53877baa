/* The hot path: from a Python call to one C call, with no Python in between.

   A Dispatcher holds Entries, most recent first. An Entry says what the arguments must look like (specs, flattened
   here into an array in preorder), which memory to hand to the compiled function, and how its outputs become the
   result. A call walks the specs over the arguments; where all match it allocates outputs, calls, and wraps;
   where none does it calls `slow`. tracejit/dispatch.py is the same in Python: its docstrings say what each thing
   means, its tests run over both.

   Nothing of an entry changes during a call, so threads share entries; each object a call looks at is held by a
   reference until it is over, because other threads may run while the compiled function does. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>
#include <numpy/arrayscalars.h>

#include "_pool.h"
#include "_copy.h"

#define MAX_ENTRIES 64
#define MAX_DEPTH 100
#define SLOT 32         /* bytes of the widest scalar, a complex of two long doubles */
#define FRAME 2048      /* bytes of bookkeeping kept on the stack; calls with hundreds of arrays take more */
#define FEW_BUFFERS 32  /* of a guard, on the stack */
#define ANSWERS 4       /* of guards, kept during a call */
#define ANSWER_LEAVES 16
#define ANSWER_BYTES 512
#define FORTRAN_MIN 16384 /* bytes from which on an array in Fortran order is read as it lies, not copied */
#define STRIDED_MIN 131072 /* likewise one of other strides, which may be many */
#define HASHED 32       /* with more arrays than this, finding the same array twice takes a hash table */

typedef int64_t (*tj_entry)(void **bufs, int64_t *err);

enum { ARRAY, SCALAR, STATIC, TUPLE, LIST, DICT, SAME, TREE };             /* kinds of specs */
enum { FROM_FLOAT, FROM_INT, FROM_BOOL, FROM_COMPLEX, FROM_NUMPY, FROM_ANY }; /* scalars' conversions */
enum { HELD, ATTRIBUTE, ITEM, SHARED };                                     /* where a captured array is found */
enum { ITEM_OF, ATTRIBUTE_OF, SIZE };                                       /* places that a trace has read */
enum { NEW_ARRAY, NEW_SCALAR, NEW_RAW };                                    /* what memory an output needs */
enum { OUT, OUT_SCALAR, OUT_SIZED, ARG, GIVEN, CONST, VIEW };               /* what an element of the result is */
enum { LEAF, AS_TUPLE, AS_LIST, AS_CALL };                                  /* how they are put together */

typedef struct {
  int kind, conversion, nd;
  int order;            /* ARRAY: 'C': only in C order, aligned and native; 'F': in Fortran order, likewise; 'S': strided */
  Py_ssize_t n;         /* children of a container; the leaf of SAME; bytes of an ARRAY, with those between its elements */
  PyArray_Descr *descr; /* ARRAY, SCALAR */
  npy_intp *dims;       /* ARRAY */
  npy_intp *strides;    /* ARRAY of order 'S', in bytes */
  PyTypeObject *type;   /* SCALAR, TREE */
  PyObject *value;      /* STATIC: the value; DICT: the keys; TREE: the structure */
} Spec;

typedef struct {
  int kind;
  PyObject *object, *name;
  Spec spec;
} Capture;

typedef struct {
  int kind, atom; /* atom: a number or text, for which equal is as good as identical */
  PyObject *holder, *key, *value;
} Read;

typedef struct {
  int mode, nd;
  int fortran; /* the result has the reversed shape, in Fortran order */
  PyArray_Descr *descr;
  npy_intp *dims;
  npy_intp bytes, offset; /* offset: of raw memory, behind the arena */
} Output;

typedef struct {
  int kind, nd;
  int python; /* OUT_SCALAR: as Python's own number */
  Py_ssize_t k;
  PyObject *value; /* CONST */
  PyArray_Descr *descr;             /* VIEW, OUT_SIZED */
  npy_intp *dims, *strides, offset; /* VIEW */
} Item;

typedef struct {
  Py_ssize_t output, leaf;
  int capture; /* index of the shared capture that takes the new array, or -1: copy into the leaf */
  int direct;  /* whether the code may write into the leaf's own memory */
  int strided; /* whether there is memory of others between the leaf's elements */
} Write;

typedef struct {
  PyObject *executable, *call, *answers; /* answers: a tuple of arrays */
  tj_entry address;
  int release_gil;
  Py_ssize_t n_out;
  npy_intp arena, bytes, *offsets, *sizes; /* bytes: of all answers, each at its offset */
  char *expected;
  void *table;
} Guard;

typedef struct {
  PyObject_HEAD
  PyObject *signature, *kwnames, *captures_, *executable, *outputs_, *tree, *writes_, *config_key, *reads_, *guards_; /* as given */
  PyObject *call;   /* for backends without an address */
  PyObject *errors; /* tuple of (exception class, format string) */
  tj_entry address;
  PyObject *look;   /* tells of floating-point events, or NULL */
  unsigned always;  /* flags that are looked at whatever the error state says */
  int careful;      /* whether nothing is written in place, because calls are looked at afterwards */
  int release_gil, shape, views;
  int handled; /* an error of compiled code is a miss: the function has handlers */
  Py_ssize_t n_specs, n_args, n_kw, n_leaves, n_in, n_captures, n_outputs, n_items, n_writes, n_reads, n_guards;
  void *table; /* of sizes, for code that serves many */
  npy_intp arena, scratch; /* scratch: arena and raw outputs */
  Spec *specs;
  Capture *captures;
  Output *outputs;
  Item *items;
  Write *writes;
  Read *reads;
  Guard *guards;
} Entry;

/* One call's bookkeeping, all in one block. */
typedef struct {
  Entry *entry;
  void **bufs;        /* inputs, outputs, arena, table */
  PyObject **leaf;    /* inputs as objects, borrowed from own */
  PyObject **own;     /* references to give back */
  PyObject **out;     /* output arrays, or NULL */
  char *slots;        /* scalars, inputs' and then outputs' */
  PyObject *const *args;
  PyObject **hash;    /* leaves by address, where there are many */
  size_t mask;
  int missed;         /* compiled code raised what a handler may take */
  Py_ssize_t n, n_own;
} Call;

/* What guards have answered in this call: a program, the inputs it was asked about, and its outputs. */
typedef struct {
  PyObject *executable;
  Py_ssize_t n;
  int failed;
  PyObject *leaf[ANSWER_LEAVES];
  union {
    long double align;
    char data[ANSWER_BYTES];
  } bytes;
} Answer;

typedef struct {
  int n;
  Answer answers[ANSWERS];
} Memory;

static PyObject *config_state; /* context variable of the flags that hold in this thread, or None in it */
static PyObject *global_key;   /* key of the flags that hold outside of every context; NULL: not asked yet */
static PyObject *start;        /* asks for it, by way of set_key */
static PyObject *flatten;      /* tree.flatten, for containers other than tuple, list and dict */
static PyObject *str_key, *str_format, *miss;

/* ------------------------------------------------------------------------------------------ small things */
static int numeric(PyArray_Descr *d) {
  int t = d->type_num;
  return PyTypeNum_ISBOOL(t) || PyTypeNum_ISINTEGER(t) || PyTypeNum_ISFLOAT(t) || PyTypeNum_ISCOMPLEX(t);
}

static int same_dtype(PyArray_Descr *a, PyArray_Descr *b) {
  return a == b || a->type_num == b->type_num || (numeric(a) && PyArray_EquivTypenums(a->type_num, b->type_num));
}

/* Equal for a trace: of one type and equal, all the way down, where 0.0 differs from -0.0 and 1 from True.
   Returns -1 with an exception only where the program has to stop. */
static int alike(PyObject *a, PyObject *b) {
  if (a == b) return 1;
  if (Py_TYPE(a) != Py_TYPE(b)) return 0;
  if (PyFloat_CheckExact(a)) {
    double x = PyFloat_AS_DOUBLE(a), y = PyFloat_AS_DOUBLE(b);
    return memcmp(&x, &y, sizeof x) == 0;
  }
  if (PyComplex_CheckExact(a)) {
    Py_complex x = PyComplex_AsCComplex(a), y = PyComplex_AsCComplex(b);
    return memcmp(&x, &y, sizeof x) == 0;
  }
  if (PyTuple_Check(a) || PyList_CheckExact(a)) {
    if (Py_EnterRecursiveCall(" comparing static arguments")) return -1;
    int same = PySequence_Fast_GET_SIZE(a) == PySequence_Fast_GET_SIZE(b);
    for (Py_ssize_t i = 0; same == 1 && i < PySequence_Fast_GET_SIZE(a) && i < PySequence_Fast_GET_SIZE(b); i++) {
      PyObject *x = Py_NewRef(PySequence_Fast_GET_ITEM(a, i)), *y = Py_NewRef(PySequence_Fast_GET_ITEM(b, i));
      same = alike(x, y);
      Py_DECREF(x);
      Py_DECREF(y);
    }
    Py_LeaveRecursiveCall();
    return same;
  }
  if (PyDict_CheckExact(a)) {
    PyObject *x = PyDict_Items(a), *y = PyDict_Items(b);
    int same = x == NULL || y == NULL ? -1 : alike(x, y); /* with their order, which code can see */
    Py_XDECREF(x);
    Py_XDECREF(y);
    return same;
  }
  int same = PyObject_RichCompareBool(a, b, Py_EQ);
  if (same < 0 && PyErr_ExceptionMatches(PyExc_Exception)) { /* arrays, and whatever cannot be compared */
    PyErr_Clear();
    return 0;
  }
  return same;
}

static int is_text(PyObject *o, const char *text) {
  return PyUnicode_Check(o) && PyUnicode_CompareWithASCIIString(o, text) == 0;
}

/* The key of the flags that hold now: a new reference. */
static PyObject *key_now(void) {
  PyObject *state = NULL;
  if (config_state != NULL && PyContextVar_Get(config_state, NULL, &state) < 0) return NULL;
  if (state == NULL || state == Py_None) {
    Py_XDECREF(state);
    if (global_key == NULL && start != NULL) {
      PyObject *none = PyObject_CallNoArgs(start);
      if (none == NULL) return NULL;
      Py_DECREF(none);
    }
    return Py_NewRef(global_key ? global_key : Py_None);
  }
  PyObject *key = PyObject_GetAttr(state, str_key);
  Py_DECREF(state);
  return key;
}

/* ------------------------------------------------------------------------------------------ scalars */
#define STORE(type, value) (*(type *)to = (type)(value), 1)
#define STORE_IN(type, low, high) (v < (low) || v > (high) ? 0 : STORE(type, v))

static int store_double(int type_num, void *to, double re, double im) {
  switch (type_num) {
    case NPY_DOUBLE: return STORE(double, re);
    case NPY_FLOAT: return STORE(float, re);
    case NPY_CDOUBLE: ((double *)to)[0] = re, ((double *)to)[1] = im; return 1;
    case NPY_CFLOAT: ((float *)to)[0] = (float)re, ((float *)to)[1] = (float)im; return 1;
    default: return -1;
  }
}

/* Returns 1, 0 where the value does not fit, -1 for a type that is not for here. */
static int store_int(int type_num, void *to, long long v) {
  switch (type_num) {
    case NPY_BYTE: return STORE_IN(npy_byte, NPY_MIN_BYTE, NPY_MAX_BYTE);
    case NPY_UBYTE: return STORE_IN(npy_ubyte, 0, NPY_MAX_UBYTE);
    case NPY_SHORT: return STORE_IN(npy_short, NPY_MIN_SHORT, NPY_MAX_SHORT);
    case NPY_USHORT: return STORE_IN(npy_ushort, 0, NPY_MAX_USHORT);
    case NPY_INT: return STORE_IN(npy_int, NPY_MIN_INT, NPY_MAX_INT);
    case NPY_UINT: return STORE_IN(npy_uint, 0, (long long)NPY_MAX_UINT);
    case NPY_LONG: return STORE_IN(npy_long, NPY_MIN_LONG, NPY_MAX_LONG);
    case NPY_ULONG:
      return v < 0 || (sizeof(npy_ulong) == 4 && v > (long long)0xffffffffLL) ? 0 : STORE(npy_ulong, v);
    case NPY_LONGLONG: return STORE(npy_longlong, v);
    case NPY_ULONGLONG: return v < 0 ? 0 : STORE(npy_ulonglong, v);
    default: return store_double(type_num, to, (double)v, 0);
  }
}

static int store_scalar(const Spec *spec, PyObject *o, void *to) {
  int type_num = spec->descr->type_num, done = -1;
  switch (spec->conversion) {
    case FROM_FLOAT: done = store_double(type_num, to, PyFloat_AS_DOUBLE(o), 0); break;
    case FROM_BOOL:
      done = type_num == NPY_BOOL ? STORE(npy_bool, o == Py_True) : store_int(type_num, to, o == Py_True);
      break;
    case FROM_INT: {
      int overflow;
      long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
      if (overflow) return 0;
      done = store_int(type_num, to, v);
      break;
    }
    case FROM_COMPLEX: {
      Py_complex v = PyComplex_AsCComplex(o);
      done = store_double(type_num, to, v.real, v.imag);
      break;
    }
    case FROM_NUMPY: PyArray_ScalarAsCtype(o, to); return 1;
  }
  if (done < 0) { /* half, long double, and other rare pairs */
    done = PyArray_Pack(spec->descr, to, o) == 0;
    if (!done) PyErr_Clear();
  }
  return done;
}

/* ------------------------------------------------------------------------------------------ matching */
static int seen_before(Call *c, PyObject *o) {
  if (c->hash == NULL) {
    for (Py_ssize_t i = 0; i < c->n; i++)
      if (c->leaf[i] == o) return 1;
    return 0;
  }
  size_t at = ((size_t)o >> 4) * (size_t)0x9E3779B97F4A7C15u;
  for (at ^= at >> 29;; at++) {
    PyObject **place = &c->hash[at & c->mask];
    if (*place == o) return 1;
    if (*place == NULL) {
      *place = o;
      return 0;
    }
  }
}

static void push(Call *c, PyObject *o, void *data) {
  c->own[c->n_own++] = Py_NewRef(o);
  c->leaf[c->n] = o;
  c->bufs[c->n++] = data;
}

static int same_strides(const Spec *spec, PyArrayObject *a) {
  for (int i = 0; i < spec->nd; i++)
    if (spec->dims[i] != 1 && PyArray_STRIDE(a, i) != spec->strides[i]) return 0;
  return 1;
}

/* Whether an array that is not contiguous is read as it lies: its strides are whole numbers of elements, none negative. */
static int is_strided(PyArrayObject *a) {
  if (PyArray_NBYTES(a) < STRIDED_MIN) return 0;
  for (int i = 0; i < PyArray_NDIM(a); i++)
    if (PyArray_DIM(a, i) != 1 && (PyArray_STRIDE(a, i) < 0 || PyArray_STRIDE(a, i) % PyArray_ITEMSIZE(a))) return 0;
  return 1;
}

/* Matches an array; one that may be read as it lies is copied for a capture, and for a `leaf` a case for another entry. */
static int match_array(const Spec *spec, Call *c, PyObject *o, int leaf) {
  if (!PyArray_CheckExact(o)) return 0;
  PyArrayObject *a = (PyArrayObject *)o;
  if (!same_dtype(PyArray_DESCR(a), spec->descr) || PyArray_NDIM(a) != spec->nd) return 0;
  for (int i = 0; i < spec->nd; i++)
    if (PyArray_DIM(a, i) != spec->dims[i]) return 0;
  int flags = PyArray_FLAGS(a), fine = (flags & NPY_ARRAY_ALIGNED) && PyArray_ISNOTSWAPPED(a);
  int plain = fine && (flags & NPY_ARRAY_C_CONTIGUOUS);
  int fortran = fine && !plain && (flags & NPY_ARRAY_F_CONTIGUOUS) && PyArray_NBYTES(a) >= FORTRAN_MIN;
  int strided = fine && !plain && !fortran && is_strided(a);
  if (spec->order == 'F' ? fortran : spec->order == 'S' ? strided && same_strides(spec, a) : plain) {
    push(c, o, PyArray_DATA(a));
    return 1;
  }
  if (spec->order || ((fortran || strided) && leaf)) return 0;
  /* transposed, sliced, byte-swapped: the compiled function gets a copy */
  PyObject *copy = PyArray_NBYTES(a) >= POOL_MIN && pool_limit > 0
                       ? pooled_array(spec->descr, spec->nd, spec->dims, PyArray_NBYTES(a), 0)
                       : PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)Py_NewRef(spec->descr), spec->nd, spec->dims,
                                              NULL, NULL, 0, NULL);
  if (copy == NULL) return -1;
  if (!(fine && copy_plain(PyArray_BYTES((PyArrayObject *)copy), a)) && PyArray_CopyInto((PyArrayObject *)copy, a) < 0) {
    Py_DECREF(copy);
    return -1;
  }
  push(c, o, PyArray_DATA((PyArrayObject *)copy));
  c->own[c->n_own++] = copy;
  return 1;
}

static int match_scalar(const Spec *spec, Call *c, PyObject *o) {
  if (Py_TYPE(o) != spec->type) return 0;
  char *slot = c->slots + c->n * SLOT;
  if (!store_scalar(spec, o, slot)) return 0;
  push(c, o, slot);
  return 1;
}

static int match(const Spec **cursor, Call *c, PyObject *o);

/* Matches one item of a container that other code may change while we look at it. */
static int match_held(const Spec **cursor, Call *c, PyObject *o) {
  Py_INCREF(o);
  int same = match(cursor, c, o);
  Py_DECREF(o);
  return same;
}

static int match_dict(const Spec *spec, const Spec **cursor, Call *c, PyObject *o) {
  if (!PyDict_CheckExact(o) || PyDict_GET_SIZE(o) != spec->n) return 0;
  PyObject *key, *value;
  Py_ssize_t at = 0, i = 0;
  while (PyDict_Next(o, &at, &key, &value)) {
    if (i >= spec->n) return 0;
    PyObject *wanted = PyTuple_GET_ITEM(spec->value, i++);
    Py_INCREF(value);
    int same = key == wanted;
    if (!same) {
      Py_INCREF(key);
      same = alike(key, wanted);
      Py_DECREF(key);
    }
    if (same == 1) same = match(cursor, c, value);
    Py_DECREF(value);
    if (same != 1) return same;
  }
  return i == spec->n;
}

static int match_tree(const Spec *spec, const Spec **cursor, Call *c, PyObject *o) {
  if (Py_TYPE(o) != spec->type) return 0;
  PyObject *flat = PyObject_CallOneArg(flatten, o);
  if (flat == NULL) return -1;
  int same = 0;
  PyObject *leaves, *structure;
  if (PyTuple_Check(flat) && PyTuple_GET_SIZE(flat) == 2 && PyList_Check(leaves = PyTuple_GET_ITEM(flat, 0))) {
    structure = PyTuple_GET_ITEM(flat, 1);
    same = PyList_GET_SIZE(leaves) == spec->n ? alike(structure, spec->value) : 0;
    for (Py_ssize_t i = 0; same == 1 && i < spec->n; i++) same = match(cursor, c, PyList_GET_ITEM(leaves, i));
  }
  Py_DECREF(flat);
  return same;
}

/* 1: matches, 0: does not, -1: an exception. The cursor moves over the spec and its children. */
static int match(const Spec **cursor, Call *c, PyObject *o) {
  const Spec *spec = (*cursor)++;
  int same = 1;
  switch (spec->kind) {
    case ARRAY: return seen_before(c, o) ? 0 : match_array(spec, c, o, 1);
    case SCALAR: return match_scalar(spec, c, o);
    case STATIC: return alike(spec->value, o);
    case SAME: return c->leaf[spec->n] == o;
    case TUPLE:
      if (!PyTuple_CheckExact(o) || PyTuple_GET_SIZE(o) != spec->n) return 0;
      for (Py_ssize_t i = 0; same == 1 && i < spec->n; i++) same = match(cursor, c, PyTuple_GET_ITEM(o, i));
      return same;
    case LIST:
      if (!PyList_CheckExact(o) || PyList_GET_SIZE(o) != spec->n) return 0;
      for (Py_ssize_t i = 0; same == 1 && i < spec->n; i++)
        same = i < PyList_GET_SIZE(o) ? match_held(cursor, c, PyList_GET_ITEM(o, i)) : 0;
      return same;
    case DICT: return match_dict(spec, cursor, c, o);
    default: return match_tree(spec, cursor, c, o);
  }
}

static int same_names(PyObject *a, PyObject *b) {
  if (a == b) return 1;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(a); i++) {
    PyObject *x = PyTuple_GET_ITEM(a, i), *y = PyTuple_GET_ITEM(b, i);
    if (x != y && PyUnicode_Compare(x, y) != 0) return 0;
  }
  return 1;
}

/* A new reference to what a place holds now; NULL without an exception where it holds nothing. */
static PyObject *read_place(const Read *read) {
  PyObject *now = NULL;
  if (read->kind == ITEM_OF && PyDict_Check(read->holder))
    now = Py_XNewRef(PyDict_GetItemWithError(read->holder, read->key)); /* makes no default */
  else if (read->kind == ITEM_OF)
    now = PyObject_GetItem(read->holder, read->key);
  else if (read->kind == ATTRIBUTE_OF)
    now = PyObject_GetAttr(read->holder, read->key);
  else {
    Py_ssize_t n = PyObject_Size(read->holder);
    if (n >= 0) now = PyLong_FromSsize_t(n);
  }
  if (now == NULL && PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception)) PyErr_Clear();
  return now;
}

/* 1: everything that the trace read outside of its arguments is as it was. */
static int match_reads(const Entry *e) {
  for (Py_ssize_t i = 0; i < e->n_reads; i++) {
    const Read *read = &e->reads[i];
    PyObject *now = read_place(read);
    if (now == NULL) return PyErr_Occurred() ? -1 : 0;
    int same = now == read->value ? 1 : read->atom ? alike(now, read->value) : 0;
    Py_DECREF(now);
    if (same != 1) return same;
  }
  return 1;
}

static int match_captures(Call *c) {
  Entry *e = c->entry;
  for (Py_ssize_t i = 0; i < e->n_captures; i++) {
    Capture *capture = &e->captures[i];
    PyObject *o = capture->kind == HELD   ? Py_NewRef(capture->object)
                  : capture->kind == ITEM ? PyObject_GetItem(capture->object, capture->name)
                                          : PyObject_GetAttr(capture->object, capture->name);
    if (o == NULL) {
      if (!PyErr_ExceptionMatches(PyExc_Exception)) return -1;
      PyErr_Clear(); /* deleted: slow says what is wrong */
      return 0;
    }
    int same = capture->spec.kind == SCALAR ? match_scalar(&capture->spec, c, o) : match_array(&capture->spec, c, o, 0);
    Py_DECREF(o);
    if (same != 1) return same;
  }
  return 1;
}

/* ------------------------------------------------------------------------------------------ writes and views */
static void extent(PyArrayObject *a, char **low, char **high) {
  *low = *high = PyArray_BYTES(a);
  for (int i = 0; i < PyArray_NDIM(a); i++) {
    npy_intp n = PyArray_DIM(a, i), step = PyArray_STRIDE(a, i);
    if (n == 0) {
      *high = *low = PyArray_BYTES(a);
      return;
    }
    *(step < 0 ? low : high) += step * (n - 1);
  }
  *high += PyArray_ITEMSIZE(a);
}

/* 1: the targets can be written; 0: one shares memory with another input, which only the slow path sorts out. */
static int check_writes(Call *c) {
  Entry *e = c->entry;
  for (Py_ssize_t w = 0; w < e->n_writes; w++) {
    if (e->writes[w].capture >= 0) continue;
    PyArrayObject *target = (PyArrayObject *)c->leaf[e->writes[w].leaf];
    if (!PyArray_ISWRITEABLE(target)) {
      PyErr_SetString(PyExc_ValueError, "assignment destination is read-only");
      return -1;
    }
    char *low, *high, *l, *h;
    extent(target, &low, &high);
    for (Py_ssize_t i = 0; i < c->n; i++) {
      if (i == e->writes[w].leaf || !PyArray_CheckExact(c->leaf[i])) continue;
      extent((PyArrayObject *)c->leaf[i], &l, &h);
      if (l < high && low < h) return 0;
    }
  }
  return 1;
}

/* Copies what the function wrote into the caller's arrays. Runs no Python code. */
static int write_back(Call *c) {
  Entry *e = c->entry;
  for (Py_ssize_t w = 0; w < e->n_writes; w++) {
    if (e->writes[w].capture >= 0) continue;
    Output *output = &e->outputs[e->writes[w].output];
    PyArrayObject *target = (PyArrayObject *)c->leaf[e->writes[w].leaf];
    void *from = c->bufs[e->n_in + e->writes[w].output];
    if (from == PyArray_DATA(target)) continue;
    if (c->bufs[e->writes[w].leaf] == PyArray_DATA(target) && !e->writes[w].strided) { /* in the order of the input */
      memcpy(PyArray_DATA(target), from, output->bytes);
      continue;
    }
    PyObject *view = PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)Py_NewRef(output->descr), output->nd,
                                          output->dims, NULL, from, NPY_ARRAY_CARRAY, NULL);
    int failed = view == NULL || PyArray_CopyInto(target, (PyArrayObject *)view) < 0;
    Py_XDECREF(view);
    if (failed) return -1;
  }
  return 0;
}

static int write_captures(Call *c) {
  Entry *e = c->entry;
  for (Py_ssize_t w = 0; w < e->n_writes; w++) {
    if (e->writes[w].capture < 0) continue;
    Capture *capture = &e->captures[e->writes[w].capture];
    if (PyObject_SetAttr(capture->object, capture->name, c->out[e->writes[w].output]) < 0) return -1;
  }
  return 0;
}

static PyObject *make_view(Item *item, Call *c) {
  PyArrayObject *base = (PyArrayObject *)c->leaf[item->k];
  int writeable = PyArray_FLAGS(base) & NPY_ARRAY_WRITEABLE;
  PyObject *view = PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)Py_NewRef(item->descr), item->nd, item->dims,
                                        item->strides, PyArray_BYTES(base) + item->offset, writeable, NULL);
  if (view == NULL) return NULL;
  PyArray_UpdateFlags((PyArrayObject *)view, NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS | NPY_ARRAY_ALIGNED);
  if (PyArray_SetBaseObject((PyArrayObject *)view, Py_NewRef(base)) < 0) Py_CLEAR(view);
  return view;
}

/* ------------------------------------------------------------------------------------------ running */
static PyObject *new_array(Output *output) {
  npy_intp reversed[NPY_MAXDIMS], *dims = output->dims;
  if (output->fortran) {
    for (int i = 0; i < output->nd; i++) reversed[i] = dims[output->nd - 1 - i];
    dims = reversed;
  }
  if (output->bytes >= POOL_MIN && pool_limit > 0)
    return pooled_array(output->descr, output->nd, dims, output->bytes, output->fortran);
  return PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)Py_NewRef(output->descr), output->nd, dims, NULL, NULL,
                              output->fortran ? NPY_ARRAY_F_CONTIGUOUS : 0, NULL);
}

static int make_outputs(Call *c) {
  Entry *e = c->entry;
  for (Py_ssize_t k = 0; k < e->n_outputs; k++) {
    Output *output = &e->outputs[k];
    c->out[k] = NULL;
    if (output->mode == NEW_SCALAR) c->bufs[e->n_in + k] = c->slots + (e->n_in + k) * SLOT;
    if (output->mode != NEW_ARRAY) continue;
    PyObject *new = new_array(output);
    if (new == NULL) return -1;
    c->own[c->n_own++] = c->out[k] = new;
    c->bufs[e->n_in + k] = PyArray_DATA((PyArrayObject *)new);
  }
  return 0;
}

/* Raises the error of a code; where its class is None there is none, and the call counts as a miss. */
static void raise_error(Call *c, int64_t code, const int64_t *err) {
  Entry *e = c->entry;
  if (e->handled) {
    c->missed = 1;
    return;
  }
  if (code < 1 || code > PyTuple_GET_SIZE(e->errors)) {
    PyErr_Format(PyExc_SystemError, "compiled code returned the unknown error %lld", (long long)code);
    return;
  }
  PyObject *pair = PyTuple_GET_ITEM(e->errors, code - 1);
  if (PyTuple_GET_ITEM(pair, 0) == Py_None) {
    c->missed = 1;
    return;
  }
  PyObject *format = PyObject_GetAttr(PyTuple_GET_ITEM(pair, 1), str_format);
  if (format == NULL) return;
  PyObject *text = PyObject_CallFunction(format, "LLLL", (long long)err[0], (long long)err[1], (long long)err[2],
                                         (long long)err[3]);
  Py_DECREF(format);
  if (text == NULL) return;
  /* made here, because a class may give an exception that is there already, with its traceback */
  PyObject *error = PyObject_CallOneArg(PyTuple_GET_ITEM(pair, 0), text);
  Py_DECREF(text);
  if (error == NULL) return;
  PyErr_SetObject((PyObject *)Py_TYPE(error), error);
  Py_DECREF(error);
}

#include "_dispatch_look.h"

/* Calls compiled code and copies what it wrote, and has the call looked at where it raised flags. */
static int run_address(Call *c) {
  Entry *e = c->entry;
  int64_t err[4] = {0, 0, 0, 0}, code;
  char *arena = NULL;
  if (e->scratch > 0 && (arena = arena_take(e->scratch)) == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t k = 0; k < e->n_outputs; k++)
    if (e->outputs[k].mode == NEW_RAW) c->bufs[e->n_in + k] = arena + e->outputs[k].offset;
  for (Py_ssize_t w = 0; w < e->n_writes && !e->careful; w++) {
    Write *write = &e->writes[w];
    PyArrayObject *target = (PyArrayObject *)c->leaf[write->leaf];
    if (e->look && e->outputs[write->output].bytes < DIRECT_MIN) continue; /* a copy costs nothing, and can be looked at */
    if (write->direct && e->outputs[write->output].mode == NEW_RAW && c->bufs[write->leaf] == PyArray_DATA(target))
      c->bufs[e->n_in + write->output] = c->bufs[write->leaf];
  }
  c->bufs[e->n_in + e->n_outputs] = arena;
  c->bufs[e->n_in + e->n_outputs + 1] = e->table;
  if (e->look) flags_forget();
  if (e->release_gil) {
    PyThreadState *thread = PyEval_SaveThread();
    code = e->address(c->bufs, err);
    PyEval_RestoreThread(thread);
  } else {
    code = e->address(c->bufs, err);
  }
  unsigned flags = e->look && code == 0 ? flags_raised() | (e->always & STANDING) : 0;
  int failed = flags ? look_back(c, flags) : 0;
  if (code == 0 && !failed && e->n_writes > 0) failed = write_back(c);
  if (arena != NULL) arena_give(arena, e->scratch);
  if (code != 0) raise_error(c, code, err);
  return code != 0 || failed ? -1 : 0;
}

/* Returns the inputs as a list of arrays. */
static PyObject *input_list(Call *c) {
  Entry *e = c->entry;
  PyObject *inputs = PyList_New(e->n_in);
  if (inputs == NULL) return NULL;
  const Spec *spec = e->specs;
  for (Py_ssize_t i = 0; i < e->n_in; i++) {
    const Spec *own = &e->captures[i < e->n_leaves ? 0 : i - e->n_leaves].spec;
    if (i < e->n_leaves) {
      while (spec->kind != ARRAY && spec->kind != SCALAR) spec++;
      own = spec++;
    }
    PyObject *o = c->leaf[i];
    if (own->order == 'S') { /* the memory from its first to its last element */
      npy_intp n = own->n / PyDataType_ELSIZE(own->descr);
      PyObject *flat = PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)Py_NewRef(own->descr), 1, &n, NULL, c->bufs[i],
                                            NPY_ARRAY_CARRAY_RO, NULL);
      if (flat != NULL && PyArray_SetBaseObject((PyArrayObject *)flat, Py_NewRef(o)) < 0) Py_CLEAR(flat);
      o = flat;
    } else if (PyArray_CheckExact(o) && c->bufs[i] == PyArray_DATA((PyArrayObject *)o)) {
      o = own->order == 'F' ? PyArray_Transpose((PyArrayObject *)o, NULL) : Py_NewRef(o);
    } else { /* a scalar, or the copy of an array: wrapped, and copied once more, because Python may keep it */
      PyObject *wrapped = PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)Py_NewRef(own->descr), own->nd, own->dims,
                                               NULL, c->bufs[i], NPY_ARRAY_CARRAY, NULL);
      o = wrapped ? PyArray_NewCopy((PyArrayObject *)wrapped, NPY_CORDER) : NULL;
      Py_XDECREF(wrapped);
    }
    if (o == NULL) {
      Py_DECREF(inputs);
      return NULL;
    }
    PyList_SET_ITEM(inputs, i, o);
  }
  return inputs;
}

/* The same through a Python callable, for backends that have no address. */
static int run_callable(Call *c) {
  Entry *e = c->entry;
  int failed = -1;
  PyObject *answer = NULL, *inputs = input_list(c), *outputs = PyList_New(e->n_outputs);
  if (inputs == NULL || outputs == NULL) goto end;
  for (Py_ssize_t k = 0; k < e->n_outputs; k++) {
    PyObject *out = e->outputs[k].fortran ? PyArray_Transpose((PyArrayObject *)c->out[k], NULL) : Py_NewRef(c->out[k]);
    if (out == NULL) goto end;
    PyList_SET_ITEM(outputs, k, out);
  }
  if (e->look) flags_forget();
  answer = PyObject_CallFunctionObjArgs(e->call, inputs, outputs, NULL);
  if (answer == NULL && e->handled && PyErr_ExceptionMatches(PyExc_Exception)) {
    PyErr_Clear();
    c->missed = 1;
  }
  if (answer == NULL) goto end;
  unsigned flags = e->look ? flags_raised() | (e->always & STANDING) : 0;
  PyObject *code_object = answer, *detail = NULL;
  if (PyTuple_Check(answer) && PyTuple_GET_SIZE(answer) == 2)
    code_object = PyTuple_GET_ITEM(answer, 0), detail = PyTuple_GET_ITEM(answer, 1);
  long long code = PyLong_AsLongLong(code_object);
  if (code == -1 && PyErr_Occurred()) goto end;
  if (code != 0) {
    int64_t err[4] = {0, 0, 0, 0};
    for (Py_ssize_t i = 0; detail != NULL && i < 4; i++) {
      PyObject *number = PySequence_GetItem(detail, i), *index = number ? PyNumber_Index(number) : NULL;
      err[i] = index ? PyLong_AsLongLong(index) : 0;
      Py_XDECREF(number);
      Py_XDECREF(index);
      if (PyErr_Occurred()) PyErr_Clear();
    }
    raise_error(c, code, err);
    goto end;
  }
  failed = flags ? look_back(c, flags) : 0;
  if (!failed) failed = write_back(c);
end:
  Py_XDECREF(answer);
  Py_XDECREF(inputs);
  Py_XDECREF(outputs);
  return failed;
}

/* The array of a size that only the compiled code knew: the output holds the address of its memory, and its sizes. From
   then on the array stands in its place, since another element of the result may be the same. */
static PyObject *make_sized(Item *item, Call *c) {
  PyObject *handle = c->out[item->k];
  void **taken = &c->bufs[c->entry->n_in + item->k];
  if (*taken == NULL) return Py_NewRef(handle);
  int nd = (int)c->entry->outputs[item->k].dims[0] - 1;
  const int64_t *numbers = *taken;
  npy_intp dims[NPY_MAXDIMS], bytes = PyDataType_ELSIZE(item->descr);
  for (int i = 0; i < nd; i++) bytes *= dims[i] = (npy_intp)numbers[i + 1];
  PyObject *array = owning_array(item->descr, nd, dims, bytes, (void *)(intptr_t)numbers[0]);
  if (array == NULL) return NULL;
  for (Py_ssize_t i = 0; i < c->n_own; i++)
    if (c->own[i] == handle) {
      c->own[i] = array;
      Py_DECREF(handle);
      break;
    }
  c->out[item->k] = array;
  *taken = NULL;
  return Py_NewRef(array);
}

/* The Python number of a scalar: those of Python's own widths without a NumPy scalar in between. */
static PyObject *python_number(const void *place, PyArray_Descr *descr) {
  switch (descr->type_num) {
    case NPY_DOUBLE: return PyFloat_FromDouble(*(const double *)place);
    case NPY_BOOL: return PyBool_FromLong(*(const npy_bool *)place);
    case NPY_LONG: return PyLong_FromLong(*(const long *)place);
    case NPY_LONGLONG: return PyLong_FromLongLong(*(const long long *)place);
  }
  PyObject *scalar = PyArray_Scalar((void *)place, descr, NULL);
  if (scalar == NULL) return NULL;
  PyObject *number = PyObject_CallMethod(scalar, "item", NULL);
  Py_DECREF(scalar);
  return number;
}

static PyObject *make_item(Item *item, Call *c) {
  Entry *e = c->entry;
  switch (item->kind) {
    case OUT_SIZED: return make_sized(item, c);
    case OUT: return Py_NewRef(c->out[item->k]);
    case OUT_SCALAR: {
      const void *place = c->bufs[e->n_in + item->k];
      PyArray_Descr *descr = e->outputs[item->k].descr;
      if (item->python) return python_number(place, descr);
      return PyArray_Scalar((void *)place, descr, NULL);
    }
    case ARG: return Py_NewRef(c->leaf[item->k]);
    case GIVEN: return Py_NewRef(c->args[item->k]);
    case VIEW: return make_view(item, c);
    default: return Py_NewRef(item->value);
  }
}

static PyObject *make_result(Call *c) {
  Entry *e = c->entry;
  if (e->shape == LEAF) return make_item(&e->items[0], c);
  PyObject *all = e->shape == AS_TUPLE ? PyTuple_New(e->n_items) : PyList_New(e->n_items);
  if (all == NULL) return NULL;
  for (Py_ssize_t i = 0; i < e->n_items; i++) {
    PyObject *item = make_item(&e->items[i], c);
    if (item == NULL) {
      Py_DECREF(all);
      return NULL;
    }
    if (e->shape == AS_TUPLE)
      PyTuple_SET_ITEM(all, i, item);
    else
      PyList_SET_ITEM(all, i, item);
  }
  if (e->shape != AS_CALL) return all;
  PyObject *result = PyObject_CallOneArg(e->tree, all);
  Py_DECREF(all);
  return result;
}

#include "_dispatch_guard.h"

/* 1: a hit, with a result or an exception; 0: a miss. */
static int entry_try(Entry *e, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames, PyObject *key,
                     Memory *memory, PyObject **result) {
  *result = NULL;
  Py_ssize_t n_kw = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  if (e->n_args != n_args || e->n_kw != n_kw || e->config_key != key) return 0;
  if (n_kw && !same_names(e->kwnames, kwnames)) return 0;

  Py_ssize_t n_in = e->n_in, n_out = e->n_outputs;
  size_t slots = (size_t)(n_in + n_out) * SLOT, table = 0;
  if (e->n_leaves > HASHED)
    for (table = 4 * HASHED; table < (size_t)e->n_leaves * 2; table *= 2);
  size_t words = (size_t)(n_in + n_out + 2) + n_in + 2 * n_in + n_out + n_out + table;
  size_t bytes = slots + words * sizeof(void *);
  union {
    long double align;
    char bytes[FRAME];
  } frame;
  char *block = bytes <= FRAME ? frame.bytes : PyMem_Malloc(bytes);
  if (block == NULL) {
    PyErr_NoMemory();
    return 1;
  }
  Call c = {.entry = e, .slots = block, .args = args};
  c.bufs = (void **)(block + slots);
  c.leaf = (PyObject **)(c.bufs + n_in + n_out + 2);
  c.own = c.leaf + n_in;
  c.out = c.own + 2 * n_in + n_out;
  if (table) {
    c.hash = c.out + n_out;
    c.mask = table - 1;
    memset(c.hash, 0, table * sizeof(void *));
  }

  const Spec *cursor = e->specs;
  int hit = 1;
  for (Py_ssize_t i = 0; hit == 1 && i < n_args + n_kw; i++) hit = match(&cursor, &c, args[i]);
  if (hit == 1 && e->n_reads) hit = match_reads(e);
  if (hit == 1 && e->n_captures) hit = match_captures(&c);
  if (hit == 1 && e->n_guards) hit = match_guards(&c, memory); /* before anything can be refused */
  if (hit == 1 && e->n_writes) hit = check_writes(&c);
  for (Py_ssize_t i = 0; hit == 1 && e->views && i < e->n_items; i++) /* strides hold for plain arrays only */
    if (e->items[i].kind == VIEW && c.bufs[e->items[i].k] != PyArray_DATA((PyArrayObject *)c.leaf[e->items[i].k]))
      hit = 0;
  if (hit == 1 && make_outputs(&c) == 0 && (e->address ? run_address(&c) : run_callable(&c)) == 0 &&
      write_captures(&c) == 0)
    *result = make_result(&c);
  if (c.missed) hit = 0;

  for (Py_ssize_t i = 0; i < c.n_own; i++) Py_DECREF(c.own[i]);
  if (block != frame.bytes) PyMem_Free(block);
  return hit != 0; /* an exception while matching is the call's result */
}

#include "_dispatch_entry.h"

/* ------------------------------------------------------------------------------------------ the dispatcher */
typedef struct {
  PyObject_HEAD
  PyObject *slow, *entries, *dict, *weak;
  unsigned long long hits, misses;
  vectorcallfunc vectorcall;
} Dispatcher;

static PyTypeObject Dispatcher_Type;
static PyObject *dispatcher_get(PyObject *self, PyObject *object, PyObject *owner);

static PyObject *call_slow(Dispatcher *self, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames) {
  self->misses++;
  if (self->slow == NULL) {
    PyErr_SetString(PyExc_RuntimeError, "a dispatcher that was never initialised");
    return NULL;
  }
  PyObject *result = NULL, *kwargs = PyDict_New(), *positional = PyTuple_New(n_args);
  if (kwargs == NULL || positional == NULL) goto end;
  for (Py_ssize_t i = 0; i < n_args; i++) PyTuple_SET_ITEM(positional, i, Py_NewRef(args[i]));
  for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++)
    if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(kwnames, i), args[n_args + i]) < 0) goto end;
  PyObject *slow = Py_NewRef(self->slow);
  result = PyObject_CallFunctionObjArgs(slow, positional, kwargs, NULL);
  Py_DECREF(slow);
end:
  Py_XDECREF(kwargs);
  Py_XDECREF(positional);
  return result;
}

static PyObject *dispatcher_vectorcall(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames) {
  Dispatcher *self = (Dispatcher *)callable;
  Py_ssize_t n_args = PyVectorcall_NARGS(nargsf);
  PyObject *entries = self->entries;
  if (entries != NULL && PyTuple_GET_SIZE(entries) > 0) {
    Py_INCREF(entries); /* a tuple: what others add or clear meanwhile makes a new one */
    PyObject *result = NULL, *key = key_now();
    int hit = key == NULL;
    Memory memory;
    memory.n = 0;
    for (int i = 0; i < ANSWERS; i++) memory.answers[i].executable = NULL;
    for (Py_ssize_t i = 0; !hit && i < PyTuple_GET_SIZE(entries); i++)
      hit = entry_try((Entry *)PyTuple_GET_ITEM(entries, i), args, n_args, kwnames, key, &memory, &result);
    if (memory.n) forget(&memory);
    Py_XDECREF(key);
    Py_DECREF(entries);
    if (hit) {
      self->hits++;
      return result;
    }
  }
  return call_slow(self, args, n_args, kwnames);
}

static PyObject *dispatcher_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  /* Python 3.11 gives neither flag to subclasses, and 3.12 only the first; both hold while the slots are ours */
  if (type->tp_call == PyVectorcall_Call) type->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
  if (type->tp_descr_get == dispatcher_get) type->tp_flags |= Py_TPFLAGS_METHOD_DESCRIPTOR;
  Dispatcher *self = (Dispatcher *)type->tp_alloc(type, 0);
  if (self == NULL) return NULL;
  self->vectorcall = dispatcher_vectorcall;
  self->entries = PyTuple_New(0);
  if (self->entries == NULL) Py_CLEAR(self);
  return (PyObject *)self;
}

static int dispatcher_init(Dispatcher *self, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"slow", NULL};
  PyObject *slow;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Dispatcher", names, &slow)) return -1;
  if (!PyCallable_Check(slow)) {
    PyErr_SetString(PyExc_TypeError, "slow must be callable");
    return -1;
  }
  Py_XSETREF(self->slow, Py_NewRef(slow));
  return 0;
}

static int dispatcher_traverse(Dispatcher *self, visitproc visit, void *arg) {
  Py_VISIT(self->slow);
  Py_VISIT(self->entries);
  Py_VISIT(self->dict);
  return 0;
}

static int dispatcher_clear_refs(Dispatcher *self) {
  Py_CLEAR(self->slow);
  Py_CLEAR(self->entries);
  Py_CLEAR(self->dict);
  return 0;
}

static void dispatcher_dealloc(Dispatcher *self) {
  PyObject_GC_UnTrack(self);
  if (self->weak != NULL) PyObject_ClearWeakRefs((PyObject *)self);
  dispatcher_clear_refs(self);
  Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *dispatcher_add(Dispatcher *self, PyObject *entry) {
  if (!PyObject_TypeCheck(entry, &Entry_Type)) {
    PyErr_Format(PyExc_TypeError, "not an Entry but a %s", Py_TYPE(entry)->tp_name);
    return NULL;
  }
  Py_ssize_t n = self->entries ? PyTuple_GET_SIZE(self->entries) : 0;
  if (n >= MAX_ENTRIES) n = MAX_ENTRIES - 1;
  PyObject *entries = PyTuple_New(n + 1);
  if (entries == NULL) return NULL;
  PyTuple_SET_ITEM(entries, 0, Py_NewRef(entry));
  for (Py_ssize_t i = 0; i < n; i++) PyTuple_SET_ITEM(entries, i + 1, Py_NewRef(PyTuple_GET_ITEM(self->entries, i)));
  Py_XSETREF(self->entries, entries);
  Py_RETURN_NONE;
}

static PyObject *dispatcher_clear(Dispatcher *self, PyObject *unused) {
  PyObject *entries = PyTuple_New(0);
  if (entries == NULL) return NULL;
  Py_XSETREF(self->entries, entries);
  Py_RETURN_NONE;
}

static PyObject *dispatcher_get(PyObject *self, PyObject *object, PyObject *owner) {
  return object == NULL || object == Py_None ? Py_NewRef(self) : PyMethod_New(self, object);
}

static PyMethodDef dispatcher_methods[] = {
    {"add", (PyCFunction)dispatcher_add, METH_O, "Put an Entry in front of the others; the oldest beyond 64 goes."},
    {"clear", (PyCFunction)dispatcher_clear, METH_NOARGS, "Forget all entries."},
    {NULL},
};

static PyMemberDef dispatcher_members[] = {
    {"slow", T_OBJECT_EX, offsetof(Dispatcher, slow), READONLY, "What does the calls that no entry serves."},
    {"entries", T_OBJECT_EX, offsetof(Dispatcher, entries), READONLY, "The entries, most recent first."},
    {"hits", T_ULONGLONG, offsetof(Dispatcher, hits), READONLY, "Calls that an entry served."},
    {"misses", T_ULONGLONG, offsetof(Dispatcher, misses), READONLY, "Calls that went to slow."},
    {NULL},
};

static PyGetSetDef dispatcher_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict},
    {NULL},
};

static PyTypeObject Dispatcher_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tracejit._dispatch.Dispatcher",
    .tp_doc = "A callable: entries where they match, slow(args, kwargs) where none does.",
    .tp_basicsize = sizeof(Dispatcher),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                Py_TPFLAGS_METHOD_DESCRIPTOR,
    .tp_new = dispatcher_new,
    .tp_init = (initproc)dispatcher_init,
    .tp_dealloc = (destructor)dispatcher_dealloc,
    .tp_traverse = (traverseproc)dispatcher_traverse,
    .tp_clear = (inquiry)dispatcher_clear_refs,
    .tp_call = PyVectorcall_Call,
    .tp_vectorcall_offset = offsetof(Dispatcher, vectorcall),
    .tp_descr_get = dispatcher_get,
    .tp_dictoffset = offsetof(Dispatcher, dict),
    .tp_weaklistoffset = offsetof(Dispatcher, weak),
    .tp_methods = dispatcher_methods,
    .tp_members = dispatcher_members,
    .tp_getset = dispatcher_getset,
};

/* ------------------------------------------------------------------------------------------ the module */
static PyObject *connect(PyObject *self, PyObject *args) {
  PyObject *variable, *first, *function, *errors, *modes;
  if (!PyArg_ParseTuple(args, "O!OOOO:connect", &PyContextVar_Type, &variable, &first, &function, &errors, &modes))
    return NULL;
  Py_XSETREF(config_state, Py_NewRef(variable));
  Py_XSETREF(start, Py_NewRef(first));
  Py_XSETREF(flatten, Py_NewRef(function));
  Py_XSETREF(error_variable, PyContextVar_CheckExact(errors) ? Py_NewRef(errors) : NULL);
  Py_XSETREF(error_modes, Py_NewRef(modes));
  Py_RETURN_NONE;
}

static PyObject *set_key(PyObject *self, PyObject *key) {
  Py_XSETREF(global_key, Py_NewRef(key));
  Py_RETURN_NONE;
}

static PyObject *current_key(PyObject *self, PyObject *unused) { return key_now(); }

static PyMethodDef functions[] = {
    {"connect", connect, METH_VARARGS,
     "connect(variable, start, flatten, errors, modes): the context variable of the flags that hold in a thread; what\n"
     "calls set_key when the others are first asked for; what takes containers apart into leaves and structure; the\n"
     "context variable of NumPy's error state, or None, and what gives the floating-point flags it does not ignore."},
    {"set_key", set_key, METH_O, "Set the key of the flags that hold outside of every context."},
    {"current_key", current_key, METH_NOARGS, "Return the key of the flags that hold here."},
    {"pool_info", pool_info, METH_NOARGS, "Return the pool's limit, contents and counters."},
    {"pool_clear", pool_clear, METH_NOARGS, "Give the pool's memory back to the system."},
    {"set_pool", set_pool, METH_O, "Set how many bytes the pool may keep; 0 switches it off."},
    {NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "tracejit._dispatch",
                                    "The compiled hot path; see tracejit.dispatch.", -1, functions};

PyMODINIT_FUNC PyInit__dispatch(void) {
  import_array();
  str_key = PyUnicode_InternFromString("key");
  str_format = PyUnicode_InternFromString("format");
  if (str_key == NULL || str_format == NULL || !pool_start() || !arena_start()) return NULL;
  if (PyType_Ready(&Entry_Type) < 0 || PyType_Ready(&Dispatcher_Type) < 0) return NULL;
  PyObject *m = PyModule_Create(&module);
  if (m == NULL) return NULL;
  miss = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
  if (miss == NULL || PyModule_AddObjectRef(m, "MISS", miss) < 0 ||
      PyModule_AddIntConstant(m, "SIZED", SIZED) < 0 || PyModule_AddObjectRef(m, "Entry", (PyObject *)&Entry_Type) < 0 ||
      PyModule_AddObjectRef(m, "Dispatcher", (PyObject *)&Dispatcher_Type) < 0 ||
      PyModule_AddIntConstant(m, "MAX_ENTRIES", MAX_ENTRIES) < 0 || PyModule_AddIntConstant(m, "MAX_DEPTH", MAX_DEPTH) < 0)
    Py_CLEAR(m);
  return m;
}
