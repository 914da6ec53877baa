/* Floating-point events: the processor's flags around compiled code, and who is told. Part of _dispatch.c.

   A call whose code has raised a flag that the error state does not ignore is looked at by the entry's `look`, in Python:
   it may warn, or raise. A call that raises none pays for reading the flags twice. Flags here: 1 invalid, 2 division by
   zero, 4 overflow, 8 underflow. */
#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
static inline unsigned flags_raised(void) {
  unsigned raw = _mm_getcsr() & 0x1d; /* without inexact results and subnormal operands */
  return (raw & 1) | (raw >> 1 & 14);
}
static inline void flags_forget(void) {
  unsigned state = _mm_getcsr();
  if (state & 0x1d) _mm_setcsr(state & ~0x3fu);
}
#else
#include <fenv.h>
static inline unsigned flags_raised(void) {
  int raw = fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW);
  return raw == 0 ? 0 : (raw & FE_INVALID ? 1 : 0) | (raw & FE_DIVBYZERO ? 2 : 0) | (raw & FE_OVERFLOW ? 4 : 0) |
                        (raw & FE_UNDERFLOW ? 8 : 0);
}
static inline void flags_forget(void) {
  if (flags_raised()) feclearexcept(FE_ALL_EXCEPT);
}
#endif

#define STANDING 16         /* in an entry's `always`: each of its calls has something to tell */
#define STRICT 32           /* among the modes of an error state: more than a warning may come of an event */
#define LOUD 7              /* flags that may stand for one another */
#define DIRECT_MIN 16384    /* bytes from which on an update in place is done in place, and not copied there */

static PyObject *error_variable, *error_modes; /* NumPy's context variable of the error state; what asks for its flags */
static PyObject *known_state;                  /* its value when that was asked last */
static unsigned known_modes;

/* The flags that the error state does not ignore; -1 with an exception. */
static int modes_now(void) {
  PyObject *state = NULL;
  if (error_modes == NULL) return 0;
  if (error_variable != NULL && PyContextVar_Get(error_variable, NULL, &state) < 0) return -1;
  if (state != NULL && state == known_state) {
    Py_DECREF(state);
    return (int)known_modes;
  }
  PyObject *answer = PyObject_CallNoArgs(error_modes);
  long modes = answer ? PyLong_AsLong(answer) : -1;
  Py_XDECREF(answer);
  if (modes < 0) {
    Py_XDECREF(state);
    return -1;
  }
  known_modes = (unsigned)modes;
  Py_XSETREF(known_state, state);
  return (int)modes;
}

/* 1: the call has to be looked at. */
static int is_wanted(Entry *e, unsigned flags) {
  int modes = modes_now();
  if (modes < 0) return -1;
  modes |= (int)e->always;
  if (!((flags & LOUD) && (modes & LOUD)) && !(flags & modes)) return 0;
  PyObject *answer = PyObject_CallMethod(e->look, "wanted", "I", flags | ((unsigned)modes & STRICT));
  int wanted = answer ? PyObject_IsTrue(answer) : -1;
  Py_XDECREF(answer);
  return wanted;
}

static PyObject *input_list(Call *c);

/* Has the entry's look tell of a call that raised flags, before anything is written; an input that compiled code has
   overwritten already is None to it. Where the function has handlers, what it raises is a miss. */
static int look_back(Call *c, unsigned flags) {
  Entry *e = c->entry;
  int wanted = is_wanted(e, flags);
  if (wanted <= 0) return wanted;
  PyObject *inputs = input_list(c), *none = NULL;
  for (Py_ssize_t w = 0; inputs != NULL && w < e->n_writes; w++) {
    Write *write = &e->writes[w];
    if (c->bufs[e->n_in + write->output] != c->bufs[write->leaf]) continue;
    e->careful = 1; /* from now on there will be something to look at */
    if (PyList_SetItem(inputs, write->leaf, Py_NewRef(Py_None)) < 0) Py_CLEAR(inputs);
  }
  if (inputs != NULL) none = PyObject_CallMethod(e->look, "tell", "IO", flags, inputs);
  Py_XDECREF(inputs);
  Py_XDECREF(none);
  if (none == NULL && e->handled && PyErr_ExceptionMatches(PyExc_Exception)) {
    PyErr_Clear();
    c->missed = 1;
  }
  return none ? 0 : -1;
}
