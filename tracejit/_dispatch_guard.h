/* Guards: questions that are asked of a call's inputs before anything else is done. Part of _dispatch.c.

   A guard is a program over the inputs of its entry, and the answers that it gave while the function was traced. Where
   it answers otherwise, or raises, the entry is not meant for this call: nothing has been written then, and no error
   seen. Entries that are variants of one another ask the same questions, so that the answers of one call are kept until
   it is over. */

static PyObject *input_list(Call *c);

/* 0: answered; 1: the program raised, which is forgotten; -1: an exception that has to go on. */
static int ask_address(Call *c, const Guard *g, char *to) {
  Entry *e = c->entry;
  int64_t err[4] = {0, 0, 0, 0}, code;
  void *few[FEW_BUFFERS], **bufs = few;
  char *arena = NULL;
  Py_ssize_t n = e->n_in + g->n_out + 2;
  if (n > FEW_BUFFERS && (bufs = PyMem_Malloc(n * sizeof(void *))) == NULL) goto no_memory;
  if (g->arena > 0 && (arena = arena_take(g->arena)) == NULL) goto no_memory;
  memcpy(bufs, c->bufs, e->n_in * sizeof(void *));
  for (Py_ssize_t k = 0; k < g->n_out; k++) bufs[e->n_in + k] = to + g->offsets[k];
  bufs[n - 2] = arena;
  bufs[n - 1] = g->table;
  if (g->release_gil) {
    PyThreadState *thread = PyEval_SaveThread();
    code = g->address(bufs, err);
    PyEval_RestoreThread(thread);
  } else {
    code = g->address(bufs, err);
  }
  if (arena != NULL) arena_give(arena, g->arena);
  if (bufs != few) PyMem_Free(bufs);
  return code != 0;
no_memory:
  if (bufs != few) PyMem_Free(bufs);
  PyErr_NoMemory();
  return -1;
}

static int ask_callable(Call *c, const Guard *g, char *to) {
  PyObject *inputs = input_list(c), *outputs = PyList_New(g->n_out), *answer = NULL;
  int failed = -1;
  if (inputs == NULL || outputs == NULL) goto end;
  for (Py_ssize_t k = 0; k < g->n_out; k++) {
    PyObject *array = PyArray_NewCopy((PyArrayObject *)PyTuple_GET_ITEM(g->answers, k), NPY_CORDER);
    if (array == NULL) goto end;
    PyList_SET_ITEM(outputs, k, array);
  }
  answer = PyObject_CallFunctionObjArgs(g->call, inputs, outputs, NULL);
  if (answer == NULL) {
    if (!PyErr_ExceptionMatches(PyExc_Exception)) goto end;
    PyErr_Clear();
    failed = 1;
    goto end;
  }
  PyObject *code = PyTuple_Check(answer) && PyTuple_GET_SIZE(answer) == 2 ? PyTuple_GET_ITEM(answer, 0) : answer;
  failed = PyObject_IsTrue(code);
  for (Py_ssize_t k = 0; failed == 0 && k < g->n_out; k++)
    memcpy(to + g->offsets[k], PyArray_DATA((PyArrayObject *)PyList_GET_ITEM(outputs, k)), g->sizes[k]);
end:
  Py_XDECREF(answer);
  Py_XDECREF(inputs);
  Py_XDECREF(outputs);
  return failed;
}

static int as_expected(const Guard *g, const char *found) {
  for (Py_ssize_t k = 0; k < g->n_out; k++)
    if (memcmp(found + g->offsets[k], g->expected + g->offsets[k], g->sizes[k])) return 0;
  return 1;
}

static int ask(Call *c, const Guard *g, char *to) { return g->address ? ask_address(c, g, to) : ask_callable(c, g, to); }

/* 1: this entry is meant, as far as this guard goes; 0: another. */
static int match_guard(Call *c, const Guard *g, Memory *memory) {
  Entry *e = c->entry;
  if (memory == NULL || e->n_in > ANSWER_LEAVES || g->bytes > ANSWER_BYTES) {
    char *found = PyMem_Malloc(g->bytes + 1);
    if (found == NULL) {
      PyErr_NoMemory();
      return -1;
    }
    int failed = ask(c, g, found), same = failed == 0 && as_expected(g, found);
    PyMem_Free(found);
    return failed < 0 ? -1 : same;
  }
  for (int i = 0; i < memory->n; i++) {
    Answer *known = &memory->answers[i];
    if (known->executable == g->executable && known->n == e->n_in &&
        !memcmp(known->leaf, c->leaf, e->n_in * sizeof(PyObject *)))
      return !known->failed && as_expected(g, known->bytes.data);
  }
  Answer *new = &memory->answers[memory->n < ANSWERS ? memory->n++ : ANSWERS - 1];
  if (new->executable != NULL)
    for (Py_ssize_t i = 0; i < new->n; i++) Py_DECREF(new->leaf[i]);
  new->executable = NULL; /* until it is whole */
  new->n = 0;
  int failed = ask(c, g, new->bytes.data);
  if (failed < 0) return -1;
  new->executable = g->executable;
  new->n = e->n_in;
  new->failed = failed;
  for (Py_ssize_t i = 0; i < e->n_in; i++) new->leaf[i] = Py_NewRef(c->leaf[i]);
  return !failed && as_expected(g, new->bytes.data);
}

static void forget(Memory *memory) {
  for (int i = 0; i < memory->n; i++)
    for (Py_ssize_t k = 0; k < memory->answers[i].n; k++) Py_DECREF(memory->answers[i].leaf[k]);
}

/* 1: all guards hold, each asked only after those before it. */
static int match_guards(Call *c, Memory *memory) {
  int same = 1;
  for (Py_ssize_t i = 0; same == 1 && i < c->entry->n_guards; i++) same = match_guard(c, &c->entry->guards[i], memory);
  return same;
}
