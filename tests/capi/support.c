#include "support.h"

#include <stdlib.h>
#include <string.h>

void check_status(subquad_status found, subquad_status expected, const char* call, const char* file, int line) {
  if (found == expected) return;
  print_error("%s\n  returned %s instead of %s; last error: \"%s\"\n", call, subquad_status_name(found),
              subquad_status_name(expected), subquad_last_error());
  _fail(file, line);
}

void check_error_says(const char* text, const char* file, int line) {
  if (strstr(subquad_last_error(), text) != NULL) return;
  print_error("the last error does not say \"%s\": \"%s\"\n", text, subquad_last_error());
  _fail(file, line);
}

subquad_array row_major(void* data, int32_t dtype, int32_t ndim, const int64_t* shape) {
  subquad_array view = {0};
  view.data = data;
  view.dtype = dtype;
  view.ndim = ndim;
  int64_t stride = 1;
  for (int32_t axis = ndim - 1; axis >= 0; --axis) {
    view.shape[axis] = shape[axis];
    view.strides[axis] = stride;
    stride *= shape[axis];
  }
  return view;
}

subquad_array vector(void* data, int32_t dtype, int64_t n) { return row_major(data, dtype, 1, &n); }

subquad_array matrix(void* data, int32_t dtype, int64_t rows, int64_t columns) {
  const int64_t shape[] = {rows, columns};
  return row_major(data, dtype, 2, shape);
}

subquad_array stack(void* data, int32_t dtype, int64_t heads, int64_t rows, int64_t columns) {
  const int64_t shape[] = {heads, rows, columns};
  return row_major(data, dtype, 3, shape);
}

int64_t element_count(const subquad_array* view) {
  int64_t count = 1;
  for (int32_t axis = 0; axis < view->ndim; ++axis) count *= view->shape[axis];
  return count;
}

double element(const subquad_array* view, int64_t i0, int64_t i1, int64_t i2, int64_t i3) {
  const int64_t index[SUBQUAD_MAX_NDIM] = {i0, i1, i2, i3};
  int64_t offset = 0;
  for (int32_t axis = 0; axis < view->ndim; ++axis) offset += index[axis] * view->strides[axis];
  return view->dtype == SUBQUAD_FLOAT32 ? (double)((const float*)view->data)[offset] : ((const double*)view->data)[offset];
}

static subquad_array new_array(int32_t dtype, int32_t ndim, int64_t batch, int64_t heads, int64_t rows, int64_t columns) {
  const int64_t shape[] = {batch, heads, rows, columns};
  subquad_array view = row_major(NULL, dtype, ndim, shape);
  const size_t bytes = (size_t)element_count(&view) * (dtype == SUBQUAD_FLOAT32 ? sizeof(float) : sizeof(double));
  view.data = malloc(bytes > 0 ? bytes : 1);
  assert_non_null(view.data);
  return view;
}

void problem_create(problem* p) {
  p->q = new_array(p->dtype, 4, p->batch, p->heads_q, p->n_q, p->d);
  p->k = new_array(p->dtype, 4, p->batch, p->heads_kv, p->n_k, p->d);
  p->v = new_array(p->dtype, 4, p->batch, p->heads_kv, p->n_k, p->d_v);
  p->o = new_array(p->dtype, 4, p->batch, p->heads_q, p->n_q, p->d_v);
  p->lse = new_array(p->dtype, 3, p->batch, p->heads_q, p->n_q, 0);
  assert_ok(subquad_fill_uniform(&p->q, 1, 0, -1, 1));
  assert_ok(subquad_fill_uniform(&p->k, 1, 1, -1, 1));
  assert_ok(subquad_fill_uniform(&p->v, 1, 2, -1, 1));
}

void problem_free(problem* p) {
  free(p->q.data);
  free(p->k.data);
  free(p->v.data);
  free(p->o.data);
  free(p->lse.data);
}

subquad_status attend(subquad_context* context, const subquad_options* options, const problem* p) {
  return subquad_attention(context, options, &p->q, &p->k, &p->v, NULL, NULL, &p->o, &p->lse, NULL);
}

problem square_problem(int64_t n, int64_t d) {
  problem p = {1, 1, 1, n, n, d, d, SUBQUAD_FLOAT32, {0}, {0}, {0}, {0}, {0}};
  problem_create(&p);
  return p;
}

subquad_context* new_context(void) {
  subquad_context* context = NULL;
  assert_ok(subquad_context_create(&context));
  assert_non_null(context);
  return context;
}

subquad_options* new_options(void) {
  subquad_options* options = NULL;
  assert_ok(subquad_options_create(&options));
  assert_non_null(options);
  return options;
}

subquad_report* new_report(void) {
  subquad_report* report = NULL;
  assert_ok(subquad_report_create(&report));
  assert_non_null(report);
  return report;
}

int same_bits(const subquad_array* a, const subquad_array* b) {
  assert_int_equal(a->dtype, b->dtype);
  assert_int_equal(element_count(a), element_count(b));
  const size_t size = a->dtype == SUBQUAD_FLOAT32 ? sizeof(float) : sizeof(double);
  return memcmp(a->data, b->data, (size_t)element_count(a) * size) == 0;
}
