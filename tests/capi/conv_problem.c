#include "conv_problem.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static subquad_array filled(int32_t dtype, int32_t ndim, const int64_t* shape, uint64_t stream, double reach) {
  subquad_array view = row_major(NULL, dtype, ndim, shape);
  const size_t bytes = (size_t)element_count(&view) * (dtype == SUBQUAD_FLOAT32 ? sizeof(float) : sizeof(double));
  view.data = malloc(bytes > 0 ? bytes : 1);
  assert_non_null(view.data);
  assert_ok(subquad_fill_uniform(&view, 11, stream, -reach, reach));
  return view;
}

static subquad_array repeated_starts(conv_problem* p) {
  const int64_t shape[] = {p->batch, p->heads, p->bases};
  subquad_array view = row_major(p->starts, SUBQUAD_INT64, 3, shape);
  view.strides[0] = view.strides[1] = 0;
  return view;
}

void conv_problem_create(conv_problem* p, int64_t first) {
  assert_true(p->bases <= MAX_BASES);
  for (int64_t r = 0; r < p->bases; ++r) p->starts[r] = first + r * (p->n - first) / p->bases;
  const int64_t kernels[] = {p->batch, p->heads, p->bases, p->n}, v[] = {p->batch, p->heads_v, p->n, p->d_v};
  const int64_t o[] = {p->batch, p->heads, p->n, p->d_v};
  p->starts_view = repeated_starts(p);
  p->kernels = filled(p->dtype, 4, kernels, 0, p->reach);
  p->v = filled(p->dtype, 4, v, 1, 1);
  p->x = filled(p->dtype, 4, o, 2, 1);
  p->o = filled(p->dtype, 4, o, 3, 1);
  p->y = filled(p->dtype, 4, o, 4, 1);
  p->lse = filled(p->dtype, 3, o, 5, 1);
}

void conv_problem_free(conv_problem* p) {
  free(p->kernels.data);
  free(p->v.data);
  free(p->x.data);
  free(p->o.data);
  free(p->y.data);
  free(p->lse.data);
}

conv_problem small_conv_problem(int32_t dtype, int64_t n, int64_t d_v) {
  conv_problem p = {.batch = 1, .heads = 1, .heads_v = 1, .n = n, .bases = n < 2 ? n : 2, .d_v = d_v, .dtype = dtype, .reach = 1};
  conv_problem_create(&p, 0);
  return p;
}

/* The problem may have moved since it was created, and its starts with it. */
subquad_conv_basis* new_basis(subquad_context* context, const conv_problem* p) {
  conv_problem own = *p;
  const subquad_array starts = repeated_starts(&own);
  subquad_conv_basis* basis = NULL;
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CUMULATIVE, 1));
  assert_ok(subquad_conv_basis_create(context, options, &starts, &p->kernels, &basis));
  assert_non_null(basis);
  subquad_options_destroy(options);
  return basis;
}

subquad_status conv_apply(subquad_context* context, const subquad_options* options, const subquad_conv_basis* basis,
                          const conv_problem* p) {
  return subquad_conv_basis_apply(context, options, basis, &p->v, &p->o, &p->lse, NULL);
}

double conv_logit(const conv_problem* p, int64_t b, int64_t h, int64_t i, int64_t j) {
  int64_t r = p->bases - 1;
  while (r >= 0 && p->starts[r] > j) --r;
  return r < 0 ? 0 : element(&p->kernels, b, h, r, i - j);
}

/* Weights of query i, which sum to 1; returns their log-sum-exp. */
static long double weights_of(const conv_problem* p, int64_t b, int64_t h, int64_t i, long double* weight) {
  long double highest = -INFINITY, sum = 0;
  for (int64_t j = 0; j <= i; ++j) highest = fmaxl(highest, conv_logit(p, b, h, i, j));
  for (int64_t j = 0; j <= i; ++j) sum += weight[j] = expl(conv_logit(p, b, h, i, j) - highest);
  for (int64_t j = 0; j <= i; ++j) weight[j] /= sum;
  return highest + logl(sum);
}

static long double eps_of(const conv_problem* p) { return p->dtype == SUBQUAD_FLOAT32 ? FLT_EPSILON : DBL_EPSILON; }

/* Budget method: the header's promise for logits in [-80, 80] (float32) and [-600, 600] (float64); inputs lie in [-1, 1]. */
static long double promise(const conv_problem* p) { return p->dtype == SUBQUAD_FLOAT32 ? 1e-4L : 1e-9L; }

static void check(const char* name, const subquad_array* found, int64_t b, int64_t h, int64_t i, int64_t c, long double expected,
                  long double budget) {
  const long double value = element(found, b, h, i, c);
  if (!(fabsl(value - expected) <= budget)) {
    fail_msg("%s[%d,%d,%d,%d] = %.17Lg, not %.17Lg within %.2Lg", name, (int)b, (int)h, (int)i, (int)c, value, expected, budget);
  }
}

static long double* new_row(const conv_problem* p) {
  long double* row = calloc((size_t)p->n + 1, sizeof *row);
  assert_non_null(row);
  return row;
}

void assert_is_conv_attention(const conv_problem* p) {
  long double* weight = new_row(p);
  for (int64_t row = 0; row < p->batch * p->heads * p->n; ++row) {
    const int64_t b = row / (p->heads * p->n), h = row / p->n % p->heads, i = row % p->n;
    const int64_t h_v = h / (p->heads / p->heads_v);
    const long double lse = weights_of(p, b, h, i, weight);
    /* Budget roundoff, to first order in eps: a weight errs by 8 u and by 4 u times the distance of its logit from the largest, their sum
     * by that and u per key. */
    const long double relative = eps_of(p) * ((long double)(i + 9) + 4 * 2 * (long double)p->reach);
    check("lse", &p->lse, b, h, i, 0, lse, relative + 2 * eps_of(p) * fabsl(lse));
    for (int64_t c = 0; c < p->d_v; ++c) {
      long double o = 0;
      for (int64_t j = 0; j <= i; ++j) o += weight[j] * element(&p->v, b, h_v, j, c);
      check("o", &p->o, b, h, i, c, o, promise(p));
    }
  }
  free(weight);
}

/* The promise of the transposed form adds up over blocks, which have at least 32 rows. */
void assert_is_conv_transposed(const conv_problem* p) {
  long double *weight = new_row(p), *y = calloc((size_t)(p->n * p->d_v) + 1, sizeof *y);
  const long double blocks = (long double)((p->n + 31) / 32);
  assert_non_null(y);
  for (int64_t head = 0; head < p->batch * p->heads; ++head) {
    const int64_t b = head / p->heads, h = head % p->heads;
    for (int64_t at = 0; at < p->n * p->d_v; ++at) y[at] = 0;
    for (int64_t i = 0; i < p->n; ++i) {
      weights_of(p, b, h, i, weight);
      for (int64_t at = 0; at < (i + 1) * p->d_v; ++at) y[at] += weight[at / p->d_v] * element(&p->x, b, h, i, at % p->d_v);
    }
    for (int64_t at = 0; at < p->n * p->d_v; ++at) {
      check("y", &p->y, b, h, at / p->d_v, at % p->d_v, y[at], promise(p) * blocks);
    }
  }
  free(y);
  free(weight);
}
