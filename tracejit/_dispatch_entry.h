/* Entries: from the tuples that describe them to the arrays that a call walks over. Part of _dispatch.c.

   Everything is checked here once, so that no call has to: shapes and dtypes of specs against those of the
   executable, indices, the nesting. A wrong description is a ValueError or a TypeError, never a crash. */

typedef struct {
  Entry *entry;
  PyObject *in_types, *out_types;
  Py_ssize_t n_specs; /* of which there is room for */
  Py_ssize_t used;
} Builder;

static void bad(const char *what) { PyErr_SetString(PyExc_ValueError, what); }

/* Reads a shape, a tuple of sizes from 0; the result is PyMem_Malloc'ed. */
static npy_intp *read_dims(PyObject *shape, int *nd, int any_sign) {
  PyObject *items = PySequence_Tuple(shape);
  if (items == NULL) return NULL;
  Py_ssize_t n = PyTuple_GET_SIZE(items);
  npy_intp *dims = PyMem_Malloc((n + 1) * sizeof(npy_intp));
  if (dims == NULL) PyErr_NoMemory();
  if (dims != NULL && n > NPY_MAXDIMS) bad("more dimensions than NumPy has");
  for (Py_ssize_t i = 0; i < n && !PyErr_Occurred(); i++) {
    dims[i] = PyNumber_AsSsize_t(PyTuple_GET_ITEM(items, i), PyExc_OverflowError);
    if (!any_sign && dims[i] < 0 && !PyErr_Occurred()) bad("a negative size");
  }
  Py_DECREF(items);
  if (PyErr_Occurred()) {
    PyMem_Free(dims);
    return NULL;
  }
  *nd = (int)n;
  return dims;
}

static PyArray_Descr *read_dtype(PyObject *dtype) {
  PyArray_Descr *descr = NULL, *native;
  if (!PyArray_DescrConverter(dtype, &descr)) return NULL;
  if (!numeric(descr)) {
    Py_DECREF(descr);
    PyErr_SetString(PyExc_TypeError, "only arrays of numbers and Booleans are compiled");
    return NULL;
  }
  native = PyArray_DescrNewByteorder(descr, NPY_NATIVE);
  Py_DECREF(descr);
  if (native == NULL) return NULL;
  /* the one that new arrays have, so that most comparisons are of addresses */
  descr = PyArray_DescrFromType(native->type_num);
  Py_DECREF(native);
  return descr;
}

static npy_intp bytes_of(PyArray_Descr *descr, int nd, const npy_intp *dims) {
  npy_intp n = PyDataType_ELSIZE(descr);
  for (int i = 0; i < nd; i++) {
    if (dims[i] == 0) return 0;
    if (n > NPY_MAX_INTP / dims[i]) {
      PyErr_SetString(PyExc_MemoryError, "an array larger than memory can be");
      return -1;
    }
    n *= dims[i];
  }
  return n;
}

/* Fills an ARRAY spec, and checks it against the executable's k-th input. */
static int read_array(Builder *b, Spec *spec, PyObject *dtype, PyObject *shape) {
  spec->kind = ARRAY;
  if ((spec->descr = read_dtype(dtype)) == NULL) return -1;
  if ((spec->dims = read_dims(shape, &spec->nd, 0)) == NULL) return -1;
  return (spec->n = bytes_of(spec->descr, spec->nd, spec->dims)) < 0 ? -1 : 0;
}

/* Reads the strides, in elements, of an array that is read as it lies. */
static int read_strides(Spec *spec, PyObject *strides) {
  int nd = 0;
  npy_intp size = PyDataType_ELSIZE(spec->descr);
  if ((spec->strides = read_dims(strides, &nd, 0)) == NULL) return -1;
  if (nd != spec->nd || spec->n == 0) {
    bad("strides of an array without elements, or of another rank");
    return -1;
  }
  spec->order = 'S';
  spec->n = size;
  for (int i = 0; i < nd; i++) {
    npy_intp most = spec->dims[i] > 1 ? (NPY_MAX_INTP - spec->n) / (spec->dims[i] - 1) / size : NPY_MAX_INTP / size;
    if (spec->strides[i] > most) {
      PyErr_SetString(PyExc_MemoryError, "an array larger than memory can be");
      return -1;
    }
    spec->strides[i] *= size;
    spec->n += (spec->dims[i] - 1) * spec->strides[i];
  }
  return 0;
}

/* Size of an axis of the executable's input: reversed for an array in Fortran order. */
static npy_intp dim_of(const Spec *spec, int i) {
  return spec->dims[spec->order == 'F' ? spec->nd - 1 - i : i];
}

static int check_input(Builder *b, Spec *spec) {
  Entry *e = b->entry;
  if (e->n_in >= PyTuple_GET_SIZE(b->in_types)) {
    bad("more arrays and scalars than the executable has inputs");
    return -1;
  }
  PyObject *type = PyTuple_GET_ITEM(b->in_types, e->n_in++);
  PyObject *dtype = PyObject_GetAttrString(type, "dtype"), *shape = PyObject_GetAttrString(type, "shape");
  PyArray_Descr *descr = dtype && shape ? read_dtype(dtype) : NULL;
  int nd = 0, same = 0;
  npy_intp *dims = descr ? read_dims(shape, &nd, 0) : NULL;
  if (dims != NULL) {
    same = same_dtype(descr, spec->descr) && nd == (spec->order == 'S' ? 1 : spec->nd);
    if (spec->order == 'S')
      same = same && dims[0] == spec->n / PyDataType_ELSIZE(descr);
    else
      for (int i = 0; same && i < nd; i++) same = dims[i] == dim_of(spec, i);
    if (!same) PyErr_Format(PyExc_ValueError, "input %zd of the executable has another type", e->n_in - 1);
  }
  PyMem_Free(dims);
  Py_XDECREF(descr);
  Py_XDECREF(dtype);
  Py_XDECREF(shape);
  return same ? 0 : -1;
}

static int conversion(PyTypeObject *type, PyArray_Descr *descr) {
  if (type == &PyBool_Type) return FROM_BOOL;
  int from = type == &PyFloat_Type ? NPY_DOUBLE : type == &PyLong_Type ? NPY_LONGLONG : type == &PyComplex_Type ? NPY_CDOUBLE : -1;
  PyArray_Descr *own = NULL;
  if (from < 0) {
    if (!PyType_IsSubtype(type, &PyGenericArrType_Type) || (own = PyArray_DescrFromTypeObject((PyObject *)type)) == NULL) {
      PyErr_Clear();
      PyErr_Format(PyExc_TypeError, "%s is not a scalar type", type->tp_name);
      return -1;
    }
    int same = own->type_num == descr->type_num;
    Py_DECREF(own);
    return same ? FROM_NUMPY : FROM_ANY;
  }
  int integer = PyTypeNum_ISINTEGER(descr->type_num), inexact = PyTypeNum_ISFLOAT(descr->type_num);
  if ((from == NPY_LONGLONG && PyTypeNum_ISBOOL(descr->type_num)) ||
      (from == NPY_DOUBLE && (integer || PyTypeNum_ISBOOL(descr->type_num))) ||
      (from == NPY_CDOUBLE && (integer || inexact || PyTypeNum_ISBOOL(descr->type_num)))) {
    PyErr_Format(PyExc_TypeError, "a Python %s does not become %R", type->tp_name, descr);
    return -1;
  }
  return from == NPY_DOUBLE ? FROM_FLOAT : from == NPY_LONGLONG ? FROM_INT : FROM_COMPLEX;
}

static int read_spec(Builder *b, PyObject *given, int depth);

static int read_children(Builder *b, PyObject *children, int depth, Spec *spec) {
  PyObject *items = PySequence_Tuple(children);
  if (items == NULL) return -1;
  int failed = 0;
  spec->n = PyTuple_GET_SIZE(items);
  for (Py_ssize_t i = 0; !failed && i < PyTuple_GET_SIZE(items); i++)
    failed = read_spec(b, PyTuple_GET_ITEM(items, i), depth + 1);
  Py_DECREF(items);
  return failed;
}

static int read_scalar(Builder *b, Spec *spec, PyObject *type, PyObject *dtype) {
  if (!PyType_Check(type)) {
    bad("a scalar's spec names its Python type");
    return -1;
  }
  spec->kind = SCALAR;
  spec->type = (PyTypeObject *)Py_NewRef(type);
  if ((spec->descr = read_dtype(dtype)) == NULL) return -1;
  if ((spec->conversion = conversion(spec->type, spec->descr)) < 0) return -1;
  return check_input(b, spec);
}

static int read_spec(Builder *b, PyObject *given, int depth) {
  if (depth > MAX_DEPTH) {
    bad("arguments nested more than 100 deep");
    return -1;
  }
  if (!PyTuple_Check(given) || PyTuple_GET_SIZE(given) < 2) {
    bad("a spec is a tuple that begins with its kind");
    return -1;
  }
  if (b->used >= b->n_specs) {
    bad("a signature that changes while it is read");
    return -1;
  }
  Spec *spec = &b->entry->specs[b->used++];
  PyObject *kind = PyTuple_GET_ITEM(given, 0), *first = PyTuple_GET_ITEM(given, 1);
  Py_ssize_t n = PyTuple_GET_SIZE(given);
  if (is_text(kind, "array") && (n == 3 || n == 4)) {
    PyObject *order = n == 4 ? PyTuple_GET_ITEM(given, 3) : NULL;
    int failed = read_array(b, spec, first, PyTuple_GET_ITEM(given, 2));
    if (failed == 0 && order != NULL && PyTuple_Check(order))
      failed = read_strides(spec, order);
    else if (failed == 0 && order != NULL && (is_text(order, "C") || is_text(order, "F")))
      spec->order = is_text(order, "C") ? 'C' : 'F';
    else if (failed == 0 && order != NULL) {
      bad("an array's order is C, F or strides");
      failed = -1;
    }
    return failed < 0 ? -1 : check_input(b, spec);
  }
  if (is_text(kind, "scalar") && n == 3) return read_scalar(b, spec, first, PyTuple_GET_ITEM(given, 2));
  if (is_text(kind, "static") && n == 2) {
    spec->kind = STATIC;
    spec->value = Py_NewRef(first);
    return 0;
  }
  if (is_text(kind, "same") && n == 2) {
    spec->kind = SAME;
    spec->n = PyNumber_AsSsize_t(first, PyExc_ValueError);
    if (PyErr_Occurred()) return -1;
    if (spec->n >= 0 && spec->n < b->entry->n_in) return 0;
    bad("`same` must name a leaf before it");
    return -1;
  }
  if (is_text(kind, "tuple") && n == 2) {
    spec->kind = TUPLE;
    return read_children(b, first, depth, spec);
  }
  if (is_text(kind, "list") && n == 2) {
    spec->kind = LIST;
    return read_children(b, first, depth, spec);
  }
  if (is_text(kind, "dict") && n == 3) {
    spec->kind = DICT;
    if ((spec->value = PySequence_Tuple(first)) == NULL) return -1;
    if (read_children(b, PyTuple_GET_ITEM(given, 2), depth, spec) < 0) return -1;
    if (spec->n == PyTuple_GET_SIZE(spec->value)) return 0;
    bad("a dict's spec has as many keys as values");
    return -1;
  }
  if (is_text(kind, "tree") && n == 4 && PyType_Check(first)) {
    spec->kind = TREE;
    spec->type = (PyTypeObject *)Py_NewRef(first);
    spec->value = Py_NewRef(PyTuple_GET_ITEM(given, 2));
    if (flatten == NULL) {
      bad("a tree's spec, and nobody has said how to flatten it");
      return -1;
    }
    return read_children(b, PyTuple_GET_ITEM(given, 3), depth, spec);
  }
  PyErr_Format(PyExc_ValueError, "not a spec: %R", given);
  return -1;
}

/* Counts the specs of a signature, so that their array can be made in one piece. */
static Py_ssize_t count_specs(PyObject *given, int depth) {
  Py_ssize_t total = 1;
  if (depth > MAX_DEPTH || !PyTuple_Check(given) || PyTuple_GET_SIZE(given) < 2) return 1; /* read_spec complains */
  PyObject *kind = PyTuple_GET_ITEM(given, 0);
  if (!is_text(kind, "tuple") && !is_text(kind, "list") && !is_text(kind, "dict") && !is_text(kind, "tree")) return 1;
  PyObject *items = PySequence_Tuple(PyTuple_GET_ITEM(given, PyTuple_GET_SIZE(given) - 1));
  if (items == NULL) return -1;
  for (Py_ssize_t i = 0; total > 0 && i < PyTuple_GET_SIZE(items); i++) {
    Py_ssize_t n = count_specs(PyTuple_GET_ITEM(items, i), depth + 1);
    total = n < 0 ? -1 : total + n;
  }
  Py_DECREF(items);
  return total;
}

static int read_signature(Builder *b, PyObject *signature) {
  Entry *e = b->entry;
  Py_ssize_t total = 0;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(signature); i++) {
    Py_ssize_t n = count_specs(PyTuple_GET_ITEM(signature, i), 0);
    if (n < 0) return -1;
    total += n;
  }
  if ((e->specs = PyMem_Calloc(total + 1, sizeof(Spec))) == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  e->n_specs = b->n_specs = total;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(signature); i++)
    if (read_spec(b, PyTuple_GET_ITEM(signature, i), 0) < 0) return -1;
  e->n_leaves = e->n_in;
  return 0;
}

static int read_captures(Builder *b, PyObject *captures) {
  Entry *e = b->entry;
  Py_ssize_t n = PyTuple_GET_SIZE(captures);
  if ((e->captures = PyMem_Calloc(n + 1, sizeof(Capture))) == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *given = PyTuple_GET_ITEM(captures, i);
    Py_ssize_t size = PyTuple_Check(given) ? PyTuple_GET_SIZE(given) : 0;
    PyObject *kind = size ? PyTuple_GET_ITEM(given, 0) : Py_None;
    int number = is_text(kind, "number") && size == 6, first = 1 + number; /* a number's place begins at the second */
    if (number) kind = PyTuple_GET_ITEM(given, 1);
    int held = is_text(kind, "array") && size == 4, item = is_text(kind, "item") && size - number == 5;
    int shared = is_text(kind, "shared") && size == 5;
    int attribute = shared || (is_text(kind, "attr") && size - number == 5);
    if (!held && !attribute && !item) {
      PyErr_Format(PyExc_ValueError, "not a capture: %R", given);
      return -1;
    }
    Capture *capture = &e->captures[e->n_captures++];
    capture->kind = held ? HELD : shared ? SHARED : attribute ? ATTRIBUTE : ITEM;
    capture->object = Py_NewRef(PyTuple_GET_ITEM(given, first));
    if (!held) capture->name = Py_NewRef(PyTuple_GET_ITEM(given, first + 1));
    if (attribute && !PyUnicode_Check(capture->name)) {
      bad("an attribute's name is a text");
      return -1;
    }
    PyObject *last = PyTuple_GET_ITEM(given, size - 1), *before = PyTuple_GET_ITEM(given, size - 2);
    if (number && read_scalar(b, &capture->spec, before, last) < 0) return -1;
    if (!number && (read_array(b, &capture->spec, before, last) < 0 || check_input(b, &capture->spec) < 0)) return -1;
  }
  if (e->n_in == PyTuple_GET_SIZE(b->in_types)) return 0;
  bad("fewer arrays and scalars than the executable has inputs");
  return -1;
}

static int read_reads(Entry *e) {
  Py_ssize_t n = PyTuple_GET_SIZE(e->reads_);
  if ((e->reads = PyMem_Calloc(n + 1, sizeof(Read))) == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *given = PyTuple_GET_ITEM(e->reads_, i);
    int whole = PyTuple_Check(given) && PyTuple_GET_SIZE(given) == 4;
    PyObject *kind = whole ? PyTuple_GET_ITEM(given, 0) : Py_None;
    Read read = {.kind = is_text(kind, "item") ? ITEM_OF : is_text(kind, "attr") ? ATTRIBUTE_OF
                         : is_text(kind, "size") ? SIZE : -1};
    if (read.kind < 0 || (read.kind == ATTRIBUTE_OF && !PyUnicode_Check(PyTuple_GET_ITEM(given, 2)))) {
      PyErr_Format(PyExc_ValueError, "not a place to read: %R", given);
      return -1;
    }
    PyObject *v = PyTuple_GET_ITEM(given, 3);
    read.holder = Py_NewRef(PyTuple_GET_ITEM(given, 1));
    read.key = Py_NewRef(PyTuple_GET_ITEM(given, 2));
    read.value = Py_NewRef(v);
    read.atom = PyBool_Check(v) || PyLong_CheckExact(v) || PyFloat_CheckExact(v) ||
                PyComplex_CheckExact(v) || PyUnicode_CheckExact(v) || PyBytes_CheckExact(v) || PyArray_CheckScalar(v);
    e->reads[e->n_reads++] = read;
  }
  return 0;
}

static int read_outputs(Builder *b) {
  Entry *e = b->entry;
  Py_ssize_t n = PyTuple_GET_SIZE(b->out_types);
  if ((e->outputs = PyMem_Calloc(n + 1, sizeof(Output))) == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t k = 0; k < n; k++) {
    Output *output = &e->outputs[e->n_outputs++];
    PyObject *type = PyTuple_GET_ITEM(b->out_types, k);
    PyObject *dtype = PyObject_GetAttrString(type, "dtype"), *shape = PyObject_GetAttrString(type, "shape");
    if (dtype && shape && (output->descr = read_dtype(dtype)) != NULL)
      output->dims = read_dims(shape, &output->nd, 0);
    Py_XDECREF(dtype);
    Py_XDECREF(shape);
    if (output->dims == NULL || (output->bytes = bytes_of(output->descr, output->nd, output->dims)) < 0) return -1;
    output->mode = e->address ? NEW_RAW : NEW_ARRAY; /* until somebody wants it as an array or a scalar */
  }
  return 0;
}

/* Reads ("view", leaf, dtype, shape, strides, offset) and checks that it stays inside the leaf. */
static int read_view(Builder *b, PyObject *given, Item *item) {
  int n_strides = 0;
  Entry *e = b->entry;
  if ((item->descr = read_dtype(PyTuple_GET_ITEM(given, 2))) == NULL) return -1;
  if ((item->dims = read_dims(PyTuple_GET_ITEM(given, 3), &item->nd, 0)) == NULL) return -1;
  if ((item->strides = read_dims(PyTuple_GET_ITEM(given, 4), &n_strides, 1)) == NULL) return -1;
  item->offset = PyNumber_AsSsize_t(PyTuple_GET_ITEM(given, 5), PyExc_OverflowError);
  if (PyErr_Occurred()) return -1;
  Spec *spec = NULL; /* of the leaf */
  if (item->k >= e->n_leaves) {
    spec = &e->captures[item->k - e->n_leaves].spec;
  } else {
    Py_ssize_t leaf = -1;
    for (Py_ssize_t i = 0; i < e->n_specs && leaf < item->k; i++)
      if (e->specs[i].kind == ARRAY || e->specs[i].kind == SCALAR) leaf++, spec = &e->specs[i];
  }
  double low = (double)item->offset, high = low + PyDataType_ELSIZE(item->descr); /* doubles do not overflow */
  int empty = 0;
  for (int i = 0; i < item->nd && i < n_strides; i++) {
    empty |= item->dims[i] == 0;
    *(item->strides[i] < 0 ? &low : &high) += (double)item->strides[i] * ((double)item->dims[i] - 1);
  }
  int inside = empty ? item->offset >= 0 && item->offset <= spec->n : low >= 0 && high <= (double)spec->n;
  if (spec->kind == ARRAY && n_strides == item->nd && inside) return 0;
  bad("a view that does not lie within its array");
  return -1;
}

static int read_items(Builder *b, PyObject *outputs) {
  Entry *e = b->entry;
  Py_ssize_t n = PyTuple_GET_SIZE(outputs);
  if ((e->items = PyMem_Calloc(n + 1, sizeof(Item))) == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    PyObject *given = PyTuple_GET_ITEM(outputs, i);
    Py_ssize_t size = PyTuple_Check(given) ? PyTuple_GET_SIZE(given) : 0;
    PyObject *kind = size > 1 ? PyTuple_GET_ITEM(given, 0) : Py_None;
    Item *item = &e->items[e->n_items++];
    item->kind = CONST;
    if (is_text(kind, "const") && size == 2) {
      item->value = Py_NewRef(PyTuple_GET_ITEM(given, 1));
      continue;
    }
    int sized = SIZED && is_text(kind, "sized") && size == 3;
    int out = sized || (is_text(kind, "out") && size == 3), view = is_text(kind, "view") && size == 6;
    int whole = is_text(kind, "given") && size == 2; /* an argument as it was given, a list perhaps */
    if (!out && !view && !whole && !(is_text(kind, "arg") && size == 2)) {
      PyErr_Format(PyExc_ValueError, "not an output: %R", given);
      return -1;
    }
    item->k = PyNumber_AsSsize_t(PyTuple_GET_ITEM(given, 1), PyExc_ValueError);
    if (PyErr_Occurred()) return -1;
    if (item->k < 0 || item->k >= (out ? e->n_outputs : whole ? e->n_args + e->n_kw : e->n_in)) {
      bad("an output's index is out of range");
      return -1;
    }
    if (view) {
      if (read_view(b, given, item) < 0) return -1;
      item->kind = VIEW;
      e->views = 1;
    } else if (sized) {
      Output *output = &e->outputs[item->k];
      if ((item->descr = read_dtype(PyTuple_GET_ITEM(given, 2))) == NULL) return -1;
      if (output->nd != 1 || output->dims[0] < 1 || output->dims[0] > NPY_MAXDIMS || output->descr->type_num != NPY_INT64) {
        bad("an array of unknown size comes as its address and sizes");
        return -1;
      }
      item->kind = OUT_SIZED;
      output->mode = NEW_ARRAY;
    } else if (out) {
      int scalar = PyObject_IsTrue(PyTuple_GET_ITEM(given, 2));
      if (scalar < 0) return -1;
      if (is_text(PyTuple_GET_ITEM(given, 2), "F")) e->outputs[item->k].fortran = 1;
      item->python = is_text(PyTuple_GET_ITEM(given, 2), "python");
      Output *output = &e->outputs[item->k];
      item->kind = scalar && output->nd == 0 ? OUT_SCALAR : OUT;
      if (item->kind == OUT) output->mode = NEW_ARRAY;
      if (item->kind == OUT_SCALAR && output->mode == NEW_RAW) output->mode = NEW_SCALAR;
    } else {
      item->kind = whole ? GIVEN : ARG;
    }
  }
  return 0;
}

static int read_each_write(Builder *b, PyObject *writes, PyObject *inplace) {
  Entry *e = b->entry;
  Py_ssize_t n = PyTuple_GET_SIZE(writes);
  if ((e->writes = PyMem_Calloc(n + 1, sizeof(Write))) == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < n; i++) {
    Write *write = &e->writes[e->n_writes];
    PyObject *pair = PySequence_Tuple(PyTuple_GET_ITEM(writes, i));
    if (pair == NULL) return -1;
    int fine = PyTuple_GET_SIZE(pair) == 2;
    if (fine) {
      write->output = PyNumber_AsSsize_t(PyTuple_GET_ITEM(pair, 0), PyExc_ValueError);
      if (!PyErr_Occurred()) write->leaf = PyNumber_AsSsize_t(PyTuple_GET_ITEM(pair, 1), PyExc_ValueError);
    }
    Py_DECREF(pair);
    if (PyErr_Occurred()) return -1;
    fine = fine && write->output >= 0 && write->output < e->n_outputs && write->leaf >= 0 && write->leaf < e->n_in;
    if (fine) {
      Spec *spec = NULL;
      Output *output = &e->outputs[write->output];
      write->capture = -1;
      if (write->leaf >= e->n_leaves) {
        Py_ssize_t c = write->leaf - e->n_leaves;
        spec = &e->captures[c].spec;
        if (e->captures[c].kind == SHARED) {
          write->capture = (int)c;
          output->mode = NEW_ARRAY;
        }
      } else {
        Py_ssize_t leaf = -1;
        for (Py_ssize_t s = 0; s < e->n_specs && leaf < write->leaf; s++)
          if (e->specs[s].kind == ARRAY || e->specs[s].kind == SCALAR) leaf++, spec = &e->specs[s];
      }
      fine = spec->kind == ARRAY && spec->nd == output->nd && same_dtype(spec->descr, output->descr);
      for (int d = 0; fine && d < spec->nd; d++) fine = dim_of(spec, d) == output->dims[d];
      if (inplace != NULL && write->capture < 0) {
        write->direct = PySequence_Contains(inplace, PyTuple_GET_ITEM(writes, i));
        if (write->direct < 0) PyErr_Clear();
        write->direct = write->direct > 0 && spec->order != 'S';
      }
      write->strided = spec->order == 'S';
      e->n_writes++;
    }
    if (!fine) {
      bad("a write pairs an output with an input array of the same type");
      return -1;
    }
  }
  return 0;
}

static int read_writes(Builder *b, PyObject *writes) {
  PyObject *inplace = PyObject_GetAttrString(b->entry->executable, "inplace"); /* optional */
  if (inplace == NULL) PyErr_Clear();
  int status = read_each_write(b, writes, inplace);
  Py_XDECREF(inplace);
  return status;
}

/* Places raw outputs behind the arena. */
static int place_scratch(Entry *e) {
  npy_intp at = (e->arena + 63) & ~(npy_intp)63;
  for (Py_ssize_t k = 0; k < e->n_outputs; k++) {
    if (e->outputs[k].mode != NEW_RAW) continue;
    e->outputs[k].offset = at;
    if (e->outputs[k].bytes > NPY_MAX_INTP / 2 - at) {
      PyErr_NoMemory();
      return -1;
    }
    at = (at + e->outputs[k].bytes + 63) & ~(npy_intp)63;
  }
  e->scratch = at;
  return 0;
}

/* ------------------------------------------------------------------------------------------ what the executable is */
static PyObject *tuple_of(PyObject *executable, const char *name) {
  PyObject *value = PyObject_GetAttrString(executable, name);
  PyObject *items = value ? PySequence_Tuple(value) : NULL;
  Py_XDECREF(value);
  return items;
}

/* Reads the address of a table of int64, which the executable keeps alive; NULL where it has none. */
static int read_table(PyObject *executable, void **table) {
  PyObject *found = PyObject_GetAttrString(executable, "table"); /* optional */
  *table = NULL;
  if (found == NULL) PyErr_Clear();
  if (found == NULL || found == Py_None) {
    Py_XDECREF(found);
    return 0;
  }
  int fine = PyArray_CheckExact(found) && PyArray_TYPE((PyArrayObject *)found) == NPY_INT64 &&
             PyArray_IS_C_CONTIGUOUS((PyArrayObject *)found);
  if (fine)
    *table = PyArray_DATA((PyArrayObject *)found);
  else
    PyErr_SetString(PyExc_TypeError, "a table of sizes is an array of int64");
  Py_DECREF(found);
  return fine ? 0 : -1;
}

/* Reads what is called, and how. */
static int read_code(PyObject *executable, tj_entry *entry, PyObject **call, npy_intp *bytes, int *long_, void **table) {
  PyObject *address = PyObject_GetAttrString(executable, "address");
  if (address == NULL) return -1;
  *entry = (tj_entry)PyLong_AsVoidPtr(address);
  Py_DECREF(address);
  if (PyErr_Occurred()) return -1;
  if (*entry == NULL) {
    if ((*call = PyObject_GetAttrString(executable, "call")) == NULL) return -1;
    if (!PyCallable_Check(*call)) {
      PyErr_SetString(PyExc_TypeError, "an executable has an address or something to call");
      return -1;
    }
  }
  PyObject *arena = PyObject_GetAttrString(executable, "arena_bytes");
  if (arena == NULL) return -1;
  *bytes = PyNumber_AsSsize_t(arena, PyExc_OverflowError);
  Py_DECREF(arena);
  if (PyErr_Occurred()) return -1;
  if (*bytes < 0 || *bytes > NPY_MAX_INTP / 2) {
    bad("an arena of impossible size");
    return -1;
  }
  PyObject *longer = PyObject_GetAttrString(executable, "long");
  if (longer == NULL) return -1;
  *long_ = PyObject_IsTrue(longer);
  Py_DECREF(longer);
  return *long_ < 0 ? -1 : read_table(executable, table);
}

static int read_executable(Builder *b, PyObject *executable) {
  Entry *e = b->entry;
  if (read_code(executable, &e->address, &e->call, &e->arena, &e->release_gil, &e->table) < 0) return -1;
  if ((b->in_types = tuple_of(executable, "in_types")) == NULL) return -1;
  if ((b->out_types = tuple_of(executable, "out_types")) == NULL) return -1;
  if ((e->errors = tuple_of(executable, "errors")) == NULL) return -1;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(e->errors); i++) {
    PyObject *pair = PyTuple_GET_ITEM(e->errors, i);
    if (!PyTuple_Check(pair) || PyTuple_GET_SIZE(pair) != 2 || !PyUnicode_Check(PyTuple_GET_ITEM(pair, 1)) ||
        (PyTuple_GET_ITEM(pair, 0) != Py_None && !PyExceptionClass_Check(PyTuple_GET_ITEM(pair, 0)))) {
      bad("an error is an exception class, or None, and a format string");
      return -1;
    }
  }
  return 0;
}

/* Reads the inputs' types of a guard's program, which are those of the entry's. */
static int same_inputs(Builder *b, PyObject *executable) {
  PyObject *types = tuple_of(executable, "in_types");
  int same = types ? PyObject_RichCompareBool(types, b->in_types, Py_EQ) : -1;
  Py_XDECREF(types);
  if (same == 0) bad("a guard's inputs are those of its entry");
  return same == 1 ? 0 : -1;
}

static int read_guard(Builder *b, PyObject *given) {
  Entry *e = b->entry;
  Guard *g = &e->guards[e->n_guards++];
  if (!PyTuple_Check(given) || PyTuple_GET_SIZE(given) != 2) {
    PyErr_Format(PyExc_ValueError, "not a guard: %R", given);
    return -1;
  }
  g->executable = Py_NewRef(PyTuple_GET_ITEM(given, 0));
  if (read_code(g->executable, &g->address, &g->call, &g->arena, &g->release_gil, &g->table) < 0) return -1;
  if (same_inputs(b, g->executable) < 0 || (g->answers = PySequence_Tuple(PyTuple_GET_ITEM(given, 1))) == NULL) return -1;
  PyObject *types = tuple_of(g->executable, "out_types");
  if (types == NULL) return -1;
  g->n_out = PyTuple_GET_SIZE(types);
  int fine = g->n_out == PyTuple_GET_SIZE(g->answers);
  g->offsets = PyMem_Calloc(g->n_out + 1, sizeof(npy_intp));
  g->sizes = PyMem_Calloc(g->n_out + 1, sizeof(npy_intp));
  for (Py_ssize_t k = 0; fine && g->offsets && g->sizes && k < g->n_out; k++) {
    PyObject *type = PyTuple_GET_ITEM(types, k), *array = PyTuple_GET_ITEM(g->answers, k);
    PyObject *dtype = PyObject_GetAttrString(type, "dtype"), *shape = PyObject_GetAttrString(type, "shape");
    PyArray_Descr *descr = dtype && shape ? read_dtype(dtype) : NULL;
    int nd = 0;
    npy_intp *dims = descr ? read_dims(shape, &nd, 0) : NULL;
    fine = dims && PyArray_CheckExact(array) && PyArray_IS_C_CONTIGUOUS((PyArrayObject *)array) &&
           same_dtype(PyArray_DESCR((PyArrayObject *)array), descr) && PyArray_NDIM((PyArrayObject *)array) == nd &&
           PyArray_CompareLists(PyArray_DIMS((PyArrayObject *)array), dims, nd);
    if (fine) {
      g->offsets[k] = g->bytes;
      g->sizes[k] = PyArray_NBYTES((PyArrayObject *)array);
      g->bytes += (g->sizes[k] + SLOT - 1) & ~(npy_intp)(SLOT - 1);
    }
    PyMem_Free(dims);
    Py_XDECREF(descr);
    Py_XDECREF(dtype);
    Py_XDECREF(shape);
  }
  Py_DECREF(types);
  if (PyErr_Occurred()) return -1;
  if (!fine) {
    bad("a guard has an answer of the right type for each output");
    return -1;
  }
  if (!g->offsets || !g->sizes || (g->expected = PyMem_Calloc(1, g->bytes + 1)) == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t k = 0; k < g->n_out; k++)
    memcpy(g->expected + g->offsets[k], PyArray_DATA((PyArrayObject *)PyTuple_GET_ITEM(g->answers, k)), g->sizes[k]);
  return 0;
}

static int read_guards(Builder *b) {
  Entry *e = b->entry;
  Py_ssize_t n = PyTuple_GET_SIZE(e->guards_);
  if ((e->guards = PyMem_Calloc(n + 1, sizeof(Guard))) == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  for (Py_ssize_t i = 0; i < n; i++)
    if (read_guard(b, PyTuple_GET_ITEM(e->guards_, i)) < 0) return -1;
  return 0;
}

static int read_look(Entry *e) {
  PyObject *flags = e->look ? PyObject_GetAttrString(e->look, "always") : NULL;
  if (e->look && flags == NULL) return -1;
  e->always = flags ? (unsigned)PyLong_AsUnsignedLong(flags) : 0;
  e->careful = flags && e->handled; /* NumPy may have to do the call again */
  Py_XDECREF(flags);
  return PyErr_Occurred() ? -1 : 0;
}

static int read_shape(Entry *e, PyObject *tree) {
  if (tree == Py_None) {
    e->shape = LEAF;
    if (e->n_items == 1) return 0;
    bad("a result that is one leaf has one output");
    return -1;
  }
  e->shape = is_text(tree, "tuple") ? AS_TUPLE : is_text(tree, "list") ? AS_LIST : AS_CALL;
  if (e->shape != AS_CALL || PyCallable_Check(tree)) return 0;
  PyErr_SetString(PyExc_TypeError, "a tree is None, \"tuple\", \"list\" or a callable");
  return -1;
}

/* ------------------------------------------------------------------------------------------ the Python type */
static PyTypeObject Entry_Type;

static int entry_fill(Builder *b) {
  Entry *e = b->entry;
  e->n_kw = PyTuple_GET_SIZE(e->kwnames);
  e->n_args = PyTuple_GET_SIZE(e->signature) - e->n_kw;
  if (e->n_args < 0) {
    bad("more keyword names than specs");
    return -1;
  }
  for (Py_ssize_t i = 0; i < e->n_kw; i++)
    if (!PyUnicode_Check(PyTuple_GET_ITEM(e->kwnames, i))) {
      bad("a keyword's name is a text");
      return -1;
    }
  if (read_executable(b, e->executable) < 0 || read_signature(b, e->signature) < 0) return -1;
  if (read_captures(b, e->captures_) < 0 || read_reads(e) < 0 || read_outputs(b) < 0) return -1;
  if (read_guards(b) < 0 || read_look(e) < 0) return -1;
  if (read_items(b, e->outputs_) < 0 || read_writes(b, e->writes_) < 0) return -1;
  return place_scratch(e) < 0 ? -1 : read_shape(e, e->tree);
}

static PyObject *entry_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"signature", "captures", "executable", "outputs", "tree", "writes", "config_key", "kwnames",
                          "reads", "guards", "look", "handled", NULL};
  PyObject *signature, *captures, *executable, *outputs, *tree, *writes, *key, *kwnames = NULL, *reads = NULL, *guards = NULL;
  PyObject *look = Py_None;
  int handled = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOOOOO|OOOOp:Entry", names, &signature, &captures, &executable, &outputs,
                                   &tree, &writes, &key, &kwnames, &reads, &guards, &look, &handled))
    return NULL;
  Entry *e = (Entry *)type->tp_alloc(type, 0);
  if (e == NULL) return NULL;
  e->executable = Py_NewRef(executable);
  e->tree = Py_NewRef(tree);
  e->config_key = Py_NewRef(key);
  if (look != Py_None) e->look = Py_NewRef(look);
  e->handled = handled;
  Builder b = {.entry = e};
  int failed = (e->signature = PySequence_Tuple(signature)) == NULL || (e->captures_ = PySequence_Tuple(captures)) == NULL ||
               (e->outputs_ = PySequence_Tuple(outputs)) == NULL || (e->writes_ = PySequence_Tuple(writes)) == NULL ||
               (e->kwnames = kwnames ? PySequence_Tuple(kwnames) : PyTuple_New(0)) == NULL ||
               (e->reads_ = reads ? PySequence_Tuple(reads) : PyTuple_New(0)) == NULL ||
               (e->guards_ = guards ? PySequence_Tuple(guards) : PyTuple_New(0)) == NULL || entry_fill(&b) < 0;
  Py_XDECREF(b.in_types);
  Py_XDECREF(b.out_types);
  if (failed) Py_CLEAR(e);
  return (PyObject *)e;
}

static int entry_traverse(Entry *e, visitproc visit, void *arg) {
  Py_VISIT(e->signature);
  Py_VISIT(e->kwnames);
  Py_VISIT(e->reads_);
  Py_VISIT(e->guards_);
  Py_VISIT(e->captures_);
  Py_VISIT(e->executable);
  Py_VISIT(e->outputs_);
  Py_VISIT(e->tree);
  Py_VISIT(e->writes_);
  Py_VISIT(e->config_key);
  Py_VISIT(e->call);
  Py_VISIT(e->errors);
  Py_VISIT(e->look);
  for (Py_ssize_t i = 0; e->specs != NULL && i < e->n_specs; i++) {
    Py_VISIT(e->specs[i].value);
    Py_VISIT(e->specs[i].type);
  }
  for (Py_ssize_t i = 0; i < e->n_captures; i++) {
    Py_VISIT(e->captures[i].object);
    Py_VISIT(e->captures[i].name);
  }
  for (Py_ssize_t i = 0; i < e->n_reads; i++) {
    Py_VISIT(e->reads[i].holder);
    Py_VISIT(e->reads[i].key);
    Py_VISIT(e->reads[i].value);
  }
  for (Py_ssize_t i = 0; i < e->n_items; i++) Py_VISIT(e->items[i].value);
  for (Py_ssize_t i = 0; i < e->n_guards; i++) {
    Py_VISIT(e->guards[i].executable);
    Py_VISIT(e->guards[i].call);
    Py_VISIT(e->guards[i].answers);
  }
  return 0;
}

static void spec_free(Spec *spec) {
  Py_XDECREF(spec->descr);
  Py_XDECREF(spec->type);
  Py_XDECREF(spec->value);
  PyMem_Free(spec->dims);
  PyMem_Free(spec->strides);
}

/* No tp_clear: calls may be walking over an entry, which therefore changes never. Cycles through it are broken at the
   dispatcher, which clears its entries. */
static void entry_dealloc(Entry *e) {
  PyObject_GC_UnTrack(e);
  for (Py_ssize_t i = 0; e->specs != NULL && i < e->n_specs; i++) spec_free(&e->specs[i]);
  for (Py_ssize_t i = 0; i < e->n_captures; i++) {
    Py_XDECREF(e->captures[i].object);
    Py_XDECREF(e->captures[i].name);
    spec_free(&e->captures[i].spec);
  }
  for (Py_ssize_t i = 0; i < e->n_reads; i++) {
    Py_XDECREF(e->reads[i].holder);
    Py_XDECREF(e->reads[i].key);
    Py_XDECREF(e->reads[i].value);
  }
  PyMem_Free(e->reads);
  for (Py_ssize_t i = 0; i < e->n_guards; i++) {
    Guard *g = &e->guards[i];
    Py_XDECREF(g->executable);
    Py_XDECREF(g->call);
    Py_XDECREF(g->answers);
    PyMem_Free(g->offsets);
    PyMem_Free(g->sizes);
    PyMem_Free(g->expected);
  }
  PyMem_Free(e->guards);
  for (Py_ssize_t k = 0; k < e->n_outputs; k++) {
    Py_XDECREF(e->outputs[k].descr);
    PyMem_Free(e->outputs[k].dims);
  }
  for (Py_ssize_t i = 0; i < e->n_items; i++) {
    Py_XDECREF(e->items[i].value);
    Py_XDECREF(e->items[i].descr);
    PyMem_Free(e->items[i].dims);
    PyMem_Free(e->items[i].strides);
  }
  PyMem_Free(e->specs);
  PyMem_Free(e->captures);
  PyMem_Free(e->outputs);
  PyMem_Free(e->items);
  PyMem_Free(e->writes);
  Py_XDECREF(e->signature);
  Py_XDECREF(e->kwnames);
  Py_XDECREF(e->reads_);
  Py_XDECREF(e->guards_);
  Py_XDECREF(e->captures_);
  Py_XDECREF(e->executable);
  Py_XDECREF(e->outputs_);
  Py_XDECREF(e->tree);
  Py_XDECREF(e->writes_);
  Py_XDECREF(e->config_key);
  Py_XDECREF(e->call);
  Py_XDECREF(e->errors);
  Py_XDECREF(e->look);
  Py_TYPE(e)->tp_free((PyObject *)e);
}

static PyObject *entry_run(Entry *e, PyObject *given) {
  PyObject *args, *kwargs;
  if (!PyArg_ParseTuple(given, "O!O!:run", &PyTuple_Type, &args, &PyDict_Type, &kwargs)) return NULL;
  Py_ssize_t n_args = PyTuple_GET_SIZE(args), n_kw = PyDict_GET_SIZE(kwargs);
  PyObject *names = PyTuple_New(n_kw), *all = PyTuple_New(n_args + n_kw), *result = NULL, *key, *value;
  if (names == NULL || all == NULL) goto end;
  for (Py_ssize_t i = 0; i < n_args; i++) PyTuple_SET_ITEM(all, i, Py_NewRef(PyTuple_GET_ITEM(args, i)));
  for (Py_ssize_t at = 0, i = 0; i < n_kw && PyDict_Next(kwargs, &at, &key, &value); i++) {
    if (!PyUnicode_Check(key)) {
      PyErr_SetString(PyExc_TypeError, "keywords must be strings");
      goto end;
    }
    PyTuple_SET_ITEM(names, i, Py_NewRef(key));
    PyTuple_SET_ITEM(all, n_args + i, Py_NewRef(value));
  }
  if (!entry_try(e, ((PyTupleObject *)all)->ob_item, n_args, n_kw ? names : NULL, e->config_key, NULL, &result))
    result = Py_NewRef(miss);
end:
  Py_XDECREF(names);
  Py_XDECREF(all);
  return result;
}

static PyMethodDef entry_methods[] = {
    {"run", (PyCFunction)entry_run, METH_VARARGS, "run(args, kwargs): the call's result, or MISS where it does not match."},
    {NULL},
};

static PyMemberDef entry_members[] = {
    {"signature", T_OBJECT_EX, offsetof(Entry, signature), READONLY, "Specs of the arguments."},
    {"kwnames", T_OBJECT_EX, offsetof(Entry, kwnames), READONLY, "Names of those given by keyword."},
    {"captures", T_OBJECT_EX, offsetof(Entry, captures_), READONLY, "Where further inputs are found."},
    {"executable", T_OBJECT_EX, offsetof(Entry, executable), READONLY, "What is called."},
    {"outputs", T_OBJECT_EX, offsetof(Entry, outputs_), READONLY, "What the result is made of."},
    {"tree", T_OBJECT_EX, offsetof(Entry, tree), READONLY, "How it is put together."},
    {"writes", T_OBJECT_EX, offsetof(Entry, writes_), READONLY, "Outputs that go into inputs."},
    {"reads", T_OBJECT_EX, offsetof(Entry, reads_), READONLY, "What the trace relied on outside of the arguments."},
    {"guards", T_OBJECT_EX, offsetof(Entry, guards_), READONLY, "Questions, and the answers for which it is meant."},
    {"config_key", T_OBJECT_EX, offsetof(Entry, config_key), READONLY, "Key of the flags it was compiled under."},
    {NULL},
};

static PyTypeObject Entry_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tracejit._dispatch.Entry",
    .tp_doc = "One way to call: a signature and what to do for it.",
    .tp_basicsize = sizeof(Entry),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_new = entry_new,
    .tp_dealloc = (destructor)entry_dealloc,
    .tp_traverse = (traverseproc)entry_traverse,
    .tp_methods = entry_methods,
    .tp_members = entry_members,
};
