/* The raw layer: capi/subquad.h as a module of plain functions, subquad._subquad. The package subquad is the human layer above it.
 *   subquad_status        a failing call raises what the function given to set_error_factory makes of (code, text)
 *   T* name_out           returned, as a list where there are several
 *   const subquad_array*  None, or a tuple (address, dtype, shape, strides in elements)
 *   subquad_array* _out   returned as a tuple (dtype, shape)
 *   const subquad_sparse* a tuple (offsets, indices, values, rows, columns, nonzeros, layout, dtype, index dtype, index base), the first
 *                         three addresses
 *   subquad_callback      True: the call looks for signals (Ctrl-C) while it runs; False: it does not; a callable: it looks for them, and
 *                         calls that with the fraction done. Whoever sets it keeps it alive
 *   subquad_column_blocks a callable (first, count, address of the block); whoever makes the matrix keeps it alive */
%module subquad_raw

%{
#include <stddef.h>
#include <stdlib.h>
#include "subquad.h"

_Static_assert(sizeof(subquad_array) == 80 && offsetof(subquad_array, dtype) == 8 && offsetof(subquad_array, ndim) == 12 &&
                   offsetof(subquad_array, shape) == 16 && offsetof(subquad_array, strides) == 48,
               "subquad_array has the layout that the header fixes");
_Static_assert(sizeof(subquad_sparse) == 64 && offsetof(subquad_sparse, rows) == 24 && offsetof(subquad_sparse, layout) == 48 &&
                   offsetof(subquad_sparse, index_base) == 60,
               "subquad_sparse has the layout that the header fixes");

static PyObject* error_factory = NULL; /* owned; set once, when the package is imported */

/* Set the Python exception of a status, unless one is pending: that of a signal's handler or of a function that reads blocks, which is
 * why the call was cancelled. */
static void raise_status(subquad_status status) {
  PyObject* error;
  if (PyErr_Occurred()) return;
  if (!error_factory) {
    PyErr_SetString(PyExc_SystemError, "subquad: set_error_factory was not called");
    return;
  }
  error = PyObject_CallFunction(error_factory, "is", (int)status, subquad_last_error());
  if (!error) return;
  PyErr_SetObject((PyObject*)Py_TYPE(error), error);
  Py_DECREF(error);
}

/* Copy a tuple of integers into one of the arrays of a view. */
static int copy_extents(PyObject* tuple, Py_ssize_t count, int64_t* extents) {
  Py_ssize_t i;
  if (!PyTuple_Check(tuple) || PyTuple_Size(tuple) != count) {
    PyErr_SetString(PyExc_TypeError, "a view's shape and strides are tuples of one length");
    return -1;
  }
  for (i = 0; i < count; ++i) {
    extents[i] = PyLong_AsLongLong(PyTuple_GetItem(tuple, i));
    if (extents[i] == -1 && PyErr_Occurred()) return -1;
  }
  return 0;
}

/* Read (address, dtype, shape, strides). The caller's frame keeps the array alive during the call. */
static int read_view(PyObject* tuple, subquad_array* view) {
  unsigned long long address;
  int dtype;
  PyObject *shape, *strides;
  Py_ssize_t ndim;
  if (!PyTuple_Check(tuple)) {
    PyErr_SetString(PyExc_TypeError, "a view is a tuple (address, dtype, shape, strides)");
    return -1;
  }
  if (!PyArg_ParseTuple(tuple, "KiOO", &address, &dtype, &shape, &strides)) return -1;
  ndim = PyTuple_Check(shape) ? PyTuple_Size(shape) : 0;
  if (ndim > SUBQUAD_MAX_NDIM) {
    PyErr_SetString(PyExc_TypeError, "a view has more dimensions than SUBQUAD_MAX_NDIM");
    return -1;
  }
  view->data = (void*)(uintptr_t)address;
  view->dtype = dtype;
  view->ndim = (int32_t)ndim;
  return copy_extents(shape, ndim, view->shape) < 0 || copy_extents(strides, ndim, view->strides) < 0 ? -1 : 0;
}

/* Read (offsets, indices, values, rows, .., index base). The caller's frame keeps the three arrays alive. */
static int read_sparse(PyObject* tuple, subquad_sparse* x) {
  unsigned long long offsets, indices, values;
  long long rows, columns, nonzeros;
  int layout, dtype, index_dtype, index_base;
  if (!PyTuple_Check(tuple)) {
    PyErr_SetString(PyExc_TypeError, "a sparse matrix is a tuple (offsets, indices, values, rows, columns, nonzeros, layout, ..)");
    return -1;
  }
  if (!PyArg_ParseTuple(tuple, "KKKLLLiiii", &offsets, &indices, &values, &rows, &columns, &nonzeros, &layout, &dtype, &index_dtype,
                        &index_base)) {
    return -1;
  }
  x->offsets = (const void*)(uintptr_t)offsets;
  x->indices = (const void*)(uintptr_t)indices;
  x->values = (const void*)(uintptr_t)values;
  x->rows = rows;
  x->columns = columns;
  x->nonzeros = nonzeros;
  x->layout = layout;
  x->dtype = dtype;
  x->index_dtype = index_dtype;
  x->index_base = index_base;
  return 0;
}

/* What an array must be, as (dtype, shape). */
static PyObject* describe_view(const subquad_array* view) {
  PyObject* shape = PyTuple_New(view->ndim);
  int32_t i;
  for (i = 0; shape && i < view->ndim; ++i) {
    PyObject* extent = PyLong_FromLongLong(view->shape[i]);
    if (!extent || PyTuple_SetItem(shape, i, extent) < 0) Py_CLEAR(shape);
  }
  return shape ? Py_BuildValue("(iN)", (int)view->dtype, shape) : NULL;
}

/* Read a list of pairs (o part, lse part) into two arrays of views. */
static int read_parts(PyObject* pairs, Py_ssize_t count, subquad_array* o_parts, subquad_array* lse_parts) {
  Py_ssize_t i;
  for (i = 0; i < count; ++i) {
    PyObject *pair = PyList_GetItem(pairs, i), *o_part, *lse_part;
    if (!PyTuple_Check(pair)) {
      PyErr_SetString(PyExc_TypeError, "a part is a pair of views");
      return -1;
    }
    if (!PyArg_ParseTuple(pair, "OO", &o_part, &lse_part)) return -1;
    if (read_view(o_part, &o_parts[i]) < 0 || read_view(lse_part, &lse_parts[i]) < 0) return -1;
  }
  return 0;
}

/* A subquad_callback: run the handlers of signals that arrived, and cancel if one raised. The exception stays pending in this
 * thread's state until the wrapper of the cancelled call returns. No handler runs while one is pending. */
static int32_t check_signals(void* user, double fraction) {
  PyGILState_STATE state = PyGILState_Ensure();
  int32_t raised = PyErr_Occurred() || PyErr_CheckSignals() != 0;
  (void)user;
  (void)fraction;
  PyGILState_Release(state);
  return raised;
}

/* A subquad_callback: as check_signals, and tell the callable that user points to how much is done; cancel if it raised. */
static int32_t tell_progress(void* user, double fraction) {
  PyGILState_STATE state = PyGILState_Ensure();
  PyObject* done = NULL;
  int32_t failed;
  if (!PyErr_Occurred() && PyErr_CheckSignals() == 0) done = PyObject_CallFunction((PyObject*)user, "d", fraction);
  failed = !done;
  Py_XDECREF(done);
  PyGILState_Release(state);
  return failed;
}

/* A subquad_column_blocks: let the callable that user points to write a block, and cancel if it raised. Its exception stays pending as
 * that of a signal's handler does. */
static int32_t write_block(void* user, int64_t first, int64_t count, void* block) {
  PyGILState_STATE state = PyGILState_Ensure();
  PyObject* done = NULL;
  int32_t failed;
  if (!PyErr_Occurred()) {
    done = PyObject_CallFunction((PyObject*)user, "LLK", (long long)first, (long long)count, (unsigned long long)(uintptr_t)block);
  }
  failed = !done;
  Py_XDECREF(done);
  PyGILState_Release(state);
  return failed;
}
%}

%inline %{
static void set_error_factory(PyObject* factory) {
  Py_XDECREF(error_factory);
  Py_INCREF(factory);
  error_factory = factory;
}
%}

%include <stdint.i>

/* The GIL is released by the calls that take long, and held by all others. */
%nothread;
%thread subquad_attention;
%thread subquad_attention_backward;
%thread subquad_attention_merge;
%thread subquad_fill_uniform;
%thread subquad_attention_loss;
%thread subquad_conv_basis_create;
%thread subquad_conv_basis_from_dense;
%thread subquad_conv_basis_recover;
%thread subquad_conv_basis_fit;
%thread subquad_conv_basis_get;
%thread subquad_conv_basis_exp;
%thread subquad_conv_basis_to_dense;
%thread subquad_conv_basis_multiply;
%thread subquad_conv_basis_multiply_transposed;
%thread subquad_conv_basis_apply;
%thread subquad_conv_basis_apply_transposed;
%thread subquad_conv_basis_backward;
%thread subquad_plan_create;
%thread subquad_plan_apply;
%thread subquad_plan_backward;
%thread subquad_leverage_scores;
%thread subquad_sparsify;
%thread subquad_sparsify_pair;
%thread subquad_sparsifier_get;
%thread subquad_sparsifier_attention;
%thread subquad_sparsifier_softmax_error;
%thread subquad_wisdom_export; /* waits for FFTW's planner, which another thread may hold */
%thread subquad_wisdom_import;

%typemap(out) subquad_status {
  if ($1 != SUBQUAD_OK || PyErr_Occurred()) {
    raise_status($1);
    SWIG_fail;
  }
  $result = SWIG_Py_Void();
}

/* Outputs: the value replaces None, or joins a list. */
%define OUTPUT(TYPE, START, TO_PYTHON)
%typemap(in, numinputs=0) TYPE* (TYPE value = START) "$1 = ($1_ltype)&value;"
%typemap(argout) TYPE* { $result = SWIG_Python_AppendOutput($result, TO_PYTHON(*$1), 1); }
%enddef

/* A handle is given out, or destroyed where an exception of a signal's handler takes the place of a result that is ready. */
%define HANDLE(TYPE)
%typemap(in, numinputs=0) TYPE** (TYPE* value = NULL) "$1 = &value;"
%typemap(argout) TYPE** {
  $result = SWIG_Python_AppendOutput($result, SWIG_NewPointerObj(*$1, $descriptor(TYPE*), 0), 1);
  *$1 = NULL;
}
%typemap(freearg) TYPE** { TYPE##_destroy(*$1); }
%enddef

OUTPUT(int32_t, 0, PyLong_FromLong)
OUTPUT(int64_t, 0, PyLong_FromLongLong)
OUTPUT(double, 0, PyFloat_FromDouble)
OUTPUT(const char*, NULL, PyUnicode_FromString)
HANDLE(subquad_context)
HANDLE(subquad_options)
HANDLE(subquad_report)
HANDLE(subquad_conv_basis)
HANDLE(subquad_plan)
HANDLE(subquad_matrix)
HANDLE(subquad_sparsifier)

%typemap(in, numinputs=0) subquad_array* kernels_out (subquad_array value) "$1 = &value;"
%typemap(argout) subquad_array* kernels_out { $result = SWIG_Python_AppendOutput($result, describe_view($1), 1); }
%apply subquad_array* kernels_out { subquad_array* y_out, subquad_array* o_out, subquad_array* lse_out };

%typemap(in) const subquad_array* (subquad_array view) {
  $1 = NULL;
  if ($input != Py_None) {
    if (read_view($input, &view) < 0) SWIG_fail;
    $1 = &view;
  }
}

%typemap(in) const subquad_sparse* (subquad_sparse sparse) {
  if (read_sparse($input, &sparse) < 0) SWIG_fail;
  $1 = &sparse;
}

/* Parts of a merge: one argument, a list of pairs of views. */
%typemap(in) (int64_t count, const subquad_array* o_parts, const subquad_array* lse_parts) {
  Py_ssize_t count;
  if (!PyList_Check($input)) SWIG_exception_fail(SWIG_TypeError, "parts: expected a list of pairs of views");
  count = PyList_Size($input);
  $1 = count;
  $2 = calloc(count + 1, sizeof(subquad_array)); /* + 1: never NULL for want of parts */
  $3 = calloc(count + 1, sizeof(subquad_array));
  if (!$2 || !$3) {
    PyErr_NoMemory();
    SWIG_fail;
  }
  if (read_parts($input, count, $2, $3) < 0) SWIG_fail;
}
%typemap(freearg) (int64_t count, const subquad_array* o_parts, const subquad_array* lse_parts) {
  free($2);
  free($3);
}

%typemap(in) (subquad_callback callback, void* user) {
  int callable = PyCallable_Check($input);
  $1 = callable ? tell_progress : PyObject_IsTrue($input) ? check_signals : NULL;
  $2 = callable ? $input : NULL;
}

%typemap(in) (subquad_column_blocks blocks, void* user) {
  if (!PyCallable_Check($input)) SWIG_exception_fail(SWIG_TypeError, "blocks: expected a callable (first, count, address)");
  $1 = write_block;
  $2 = $input;
}

%ignore subquad_array;
%ignore subquad_sparse;
%include "subquad.h"
