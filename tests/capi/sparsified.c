#include "sparsified.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void* new_memory(int64_t count, size_t bytes) {
  void* memory = calloc((size_t)count + 1, bytes);
  assert_non_null(memory);
  return memory;
}

sparsified sparsify(subquad_context* context, const subquad_options* options, const subquad_matrix* x, const subquad_matrix* k) {
  sparsified s = {.report = new_report()};
  assert_ok(k ? subquad_sparsify_pair(context, options, x, k, &s.handle, s.report)
              : subquad_sparsify(context, options, x, &s.handle, s.report));
  assert_ok(subquad_sparsifier_describe(s.handle, &s.y, &s.method, &s.query_rows));
  assert_true(s.y.data == NULL && s.y.ndim == 2 && s.y.strides[0] == s.y.shape[1] && s.y.strides[1] == 1);
  s.m = s.y.shape[1];
  s.y.data = new_memory(s.y.shape[0] * s.m, sizeof(double));
  assert_ok(subquad_sparsifier_get(s.handle, NULL, NULL, &s.y));
  s.indices = new_memory(s.m, sizeof *s.indices);
  s.weights = new_memory(s.m, sizeof *s.weights);
  const subquad_array indices = vector(s.indices, SUBQUAD_INT64, s.m), weights = vector(s.weights, SUBQUAD_FLOAT64, s.m);
  const subquad_status status = subquad_sparsifier_get(s.handle, &indices, &weights, NULL);
  if (status != SUBQUAD_OK) {
    assert_status(status, SUBQUAD_ERR_UNSET);
    assert_int_equal(s.method, SUBQUAD_SPARSIFIER_GRAM);
    free(s.indices);
    free(s.weights);
    s.indices = NULL;
    s.weights = NULL;
  }
  assert_ok(subquad_sparsifier_certificate(s.handle, &s.epsilon, &s.certificate, &s.radius));
  return s;
}

void sparsified_free(sparsified* s) {
  subquad_sparsifier_destroy(s->handle);
  subquad_report_destroy(s->report);
  free(s->y.data);
  free(s->indices);
  free(s->weights);
}

sparsified sparsify_stored(subquad_context* context, const subquad_options* options, const sparsify_problem* p, storage how) {
  stored from;
  store(&from, p, how);
  const sparsified s = sparsify(context, options, from.handle, NULL);
  stored_free(&from); /* a sparsifier keeps nothing of x */
  return s;
}

subquad_options* sparsify_options(int32_t method, int64_t columns) {
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_METHOD, method));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_CERTIFY, SUBQUAD_CERTIFICATE_EXACT));
  if (columns > 0) assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_COLUMNS, columns));
  return options;
}

double report_number(const sparsified* s, int32_t key) {
  double value = NAN;
  assert_ok(subquad_report_get_float(s->report, key, 0, &value));
  return value;
}

int64_t report_count(const sparsified* s, int32_t key) {
  int64_t value = -1;
  assert_ok(subquad_report_get_int(s->report, key, 0, &value));
  return value;
}

/* Budget roundoff: a root, a product and the rounding of Y. */
static void check_columns(const sparsified* s, const whitened* w) {
  const long double u = unit_of(s->y.dtype);
  for (int64_t c = 0; c < s->m; ++c) {
    const int64_t j = s->indices[c];
    long double size = 0;
    assert_true(j >= 0 && j < w->d && (c == 0 || j > s->indices[c - 1]));
    assert_true(s->weights[c] > 0 && isfinite(s->weights[c]));
    for (int64_t i = 0; i < w->n; ++i) {
      const long double expected = sqrtl(s->weights[c]) * w->x[i * w->d + j], found = element(&s->y, i, c, 0, 0);
      size = fmaxl(size, fabsl(expected));
      if (!(fabsl(found - expected) <= 4 * u * fabsl(expected)))
        fail_msg("y[%d,%d] = %.17Lg, not %.17Lg", (int)i, (int)c, found, expected);
    }
    if (s->m < w->d) assert_true(size > 0);
  }
}

void assert_sparsifies(const sparsified* s, const whitened* w) {
  assert_int_equal(s->y.shape[0], w->n);
  check_columns(s, w);
  const long double e = certificate_of(w, s->m, s->indices, s->weights);
  const long double budget = certificate_budget(w, unit_of(s->y.dtype), s->m, e);
  assert_int_equal(s->certificate, SUBQUAD_CERTIFICATE_EXACT);
  if (!(fabsl(s->epsilon - e) <= budget)) fail_msg("e = %.17g, not %.17Lg within %.2Lg", s->epsilon, e, budget);
  double bound = 0;
  assert_ok(subquad_sparsifier_ratio_bound(s->handle, -0.25, &bound));
  const double exponent = 2 * s->epsilon * 0.25 * s->radius;
  if (exponent < 700) assert_true(fabs(log(bound) - exponent) <= 8 * DBL_EPSILON * (1 + exponent));
  assert_int_equal(report_count(s, SUBQUAD_REPORT_WIDTH), s->m);
  assert_true(report_number(s, SUBQUAD_REPORT_EPSILON) == s->epsilon);
  const char* how = NULL;
  assert_ok(subquad_report_get_string(s->report, SUBQUAD_REPORT_CERTIFICATE, 0, &how));
  assert_string_equal(how, "exact");
}

void assert_gram_within(const sparsified* s, const whitened* w, long double e) {
  const long double u = unit_of(s->y.dtype), roundoff = (1 + e) * (2 * row_error(w, u) + (long double)(s->m + 8) * u);
  for (int64_t i = 0; i < w->n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      long double sum = 0;
      for (int64_t c = 0; c < s->m; ++c) sum += (long double)element(&s->y, i, c, 0, 0) * element(&s->y, j, c, 0, 0);
      const long double size = sqrtl(gram_of(w, i, i) * gram_of(w, j, j)), off = fabsl(sum - gram_of(w, i, j));
      if (!(off <= (e + roundoff) * size)) fail_msg("(Y Y')[%d,%d] is off by %.3Lg of %.3Lg", (int)i, (int)j, off, size);
    }
  }
}
