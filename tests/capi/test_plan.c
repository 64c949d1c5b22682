/* Plans: what they keep, what they describe and report, and that tol 0 and small problems are exact, in every shape and storage. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"
#include "plan_problem.h"

static const int32_t dtypes[] = {SUBQUAD_FLOAT32, SUBQUAD_FLOAT64};

static subquad_options* options_of(const settings* s, double tol) {
  subquad_options* options = plan_options(tol);
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, s->causal));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL_OFFSET, s->offset));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_KEY_OFFSET, s->key_offset));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_LAG_MIN, s->lag_min));
  if (s->scale != 0) assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SCALE, s->scale));
  return options;
}

/* A plan with tol 0 of a problem as it stands, applied; its outputs must be those of the definition. */
static void check_exact(subquad_context* context, const problem* p, const settings* s) {
  subquad_options* options = options_of(s, 0);
  subquad_report* report = new_report();
  subquad_array ranges = {0};
  subquad_plan* plan = NULL;
  if (s->key_ranges != NULL) ranges = matrix((void*)(uintptr_t)s->key_ranges, SUBQUAD_INT64, p->batch, 2);
  assert_ok(subquad_plan_create(context, options, &p->q, &p->k, NULL, s->lag_bias, s->key_ranges == NULL ? NULL : &ranges, &plan,
                                report));
  for (int64_t head = 0; head < p->batch * p->heads_q; ++head) {
    assert_string_equal(report_text(report, SUBQUAD_REPORT_PARTS, head), "exact");
    assert_non_null(strstr(report_text(report, SUBQUAD_REPORT_FALLBACK, head), "tol"));
    assert_true(report_float(report, SUBQUAD_REPORT_ERROR, head) == 0 &&
                report_float(report, SUBQUAD_REPORT_ERROR_HIGH, head) == 0);
  }
  assert_ok(plan_apply(context, plan, p, NULL));
  assert_is_attention(p, s);
  subquad_plan_destroy(plan);
  subquad_report_destroy(report);
  subquad_options_destroy(options);
}

static problem shape(int64_t batch, int64_t heads_q, int64_t heads_kv, int64_t n_q, int64_t n_k, int64_t d, int64_t d_v) {
  const problem p = {batch, heads_q, heads_kv, n_q, n_k, d, d_v, 0, {0}, {0}, {0}, {0}, {0}};
  return p;
}

static void check(subquad_context* context, problem p, const settings* s) {
  for (size_t t = 0; t < COUNT(dtypes); ++t) {
    p.dtype = dtypes[t];
    problem_create(&p);
    check_exact(context, &p, s);
    problem_free(&p);
  }
}

static void test_sizes(void** state) {
  static const int64_t sizes[] = {0, 1, 2, 31, 33, 64, 127};
  for (size_t i = 0; i < COUNT(sizes); ++i) {
    for (int causal = 0; causal < 2; ++causal) {
      const settings s = {.causal = causal};
      check(*state, shape(1, 1, 1, sizes[i], sizes[i], 8, 5), &s);
      check(*state, shape(1, 2, 1, sizes[i], 17, 5, 3), &s);
      check(*state, shape(1, 2, 2, 17, sizes[i], 3, 5), &s);
    }
  }
  const settings s = {.causal = 1};
  check(*state, shape(2, 6, 2, 13, 13, 4, 4), &s);
  check(*state, shape(2, 2, 1, 13, 13, 1, 200), &s);
  check(*state, shape(2, 2, 1, 13, 13, 4, 0), &s);
  check(*state, shape(0, 2, 1, 13, 13, 4, 4), &s);
  check(*state, shape(2, 0, 1, 13, 13, 4, 4), &s);
}

static void test_masks_and_scales(void** state) {
  static double numbers[2 * 64];
  static const int64_t ranges[2][2] = {{3, 18}, {-5, 100}}, none[2][2] = {{4, 4}, {40, 90}};
  const subquad_array bias = matrix(numbers, SUBQUAD_FLOAT64, 2, 64);
  assert_ok(subquad_fill_uniform(&bias, 3, 0, -2, 2));
  const settings all[] = {
      {.causal = 1, .offset = 12},
      {.causal = 1, .offset = -7},
      {.causal = 1, .offset = 5, .key_offset = 9},
      {.scale = -1.5},
      {.scale = 40},
      {.lag_min = -32, .lag_bias = &bias},
      {.causal = 1, .lag_bias = &bias},
      {.key_ranges = ranges},
      {.causal = 1, .key_ranges = none},
  };
  for (size_t i = 0; i < COUNT(all); ++i) {
    problem p = shape(2, 2, 1, 20, 29, 6, 4);
    p.dtype = SUBQUAD_FLOAT64;
    problem_create(&p);
    check_exact(*state, &p, &all[i]);
    problem_free(&p);
  }
}

static void test_missing_dimensions(void** state) {
  problem p = shape(1, 1, 1, 20, 20, 6, 4);
  p.dtype = SUBQUAD_FLOAT32;
  problem_create(&p);
  for (int left_out = 0; left_out <= 2; ++left_out) {
    subquad_array* arrays[] = {&p.q, &p.k, &p.v, &p.o, &p.lse};
    for (size_t i = 0; left_out > 0 && i < COUNT(arrays); ++i) {
      --arrays[i]->ndim;
      memmove(arrays[i]->shape, arrays[i]->shape + 1, 3 * sizeof(int64_t));
      memmove(arrays[i]->strides, arrays[i]->strides + 1, 3 * sizeof(int64_t));
    }
    subquad_options* options = plan_options(0);
    subquad_plan* plan = new_plan(*state, options, &p, NULL);
    subquad_array o, lse;
    int64_t n_k = -1, kv_heads = -1;
    assert_ok(subquad_plan_describe(plan, 4, &o, &lse, &n_k, &kv_heads));
    assert_int_equal(o.ndim, 4 - left_out);
    assert_int_equal(lse.ndim, 3 - left_out);
    assert_memory_equal(o.shape, p.o.shape, (size_t)o.ndim * sizeof(int64_t));
    assert_memory_equal(o.strides, p.o.strides, (size_t)o.ndim * sizeof(int64_t));
    assert_memory_equal(lse.shape, p.lse.shape, (size_t)lse.ndim * sizeof(int64_t));
    assert_int_equal(n_k, 20);
    assert_int_equal(kv_heads, 1);
    assert_ok(plan_apply(*state, plan, &p, NULL));
    subquad_plan_destroy(plan);
    subquad_options_destroy(options);
  }
  problem_free(&p);
}

static void test_what_a_plan_describes(void** state) {
  for (size_t t = 0; t < COUNT(dtypes); ++t) {
    problem p = shape(2, 6, 3, 5, 7, 4, 3);
    p.dtype = dtypes[t];
    problem_create(&p);
    subquad_options* options = plan_options(0.1);
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 0));
    subquad_plan* plan = new_plan(*state, options, &p, NULL);
    subquad_array o, lse;
    int64_t n_k = -1, kv_heads = -1;
    assert_ok(subquad_plan_describe(plan, 9, &o, &lse, &n_k, &kv_heads));
    const int64_t o_shape[] = {2, 6, 5, 9}, o_strides[] = {6 * 5 * 9, 5 * 9, 9, 1};
    assert_true(o.data == NULL && lse.data == NULL && o.dtype == dtypes[t] && lse.dtype == dtypes[t]);
    assert_int_equal(o.ndim, 4);
    assert_int_equal(lse.ndim, 3);
    assert_memory_equal(o.shape, o_shape, sizeof o_shape);
    assert_memory_equal(lse.shape, o_shape, 3 * sizeof *o_shape);
    assert_memory_equal(o.strides, o_strides, sizeof o_strides);
    assert_int_equal(lse.strides[0], 6 * 5);
    assert_int_equal(n_k, 7);
    assert_int_equal(kv_heads, 3);
    assert_ok(subquad_plan_describe(plan, 0, &o, NULL, NULL, NULL));
    assert_int_equal(o.shape[3], 0);
    assert_ok(subquad_plan_describe(plan, 3, NULL, NULL, NULL, NULL));
    const subquad_array before = o;
    assert_int_equal(subquad_plan_describe(plan, INT64_MAX, &o, NULL, NULL, NULL), SUBQUAD_ERR_SIZE);
    assert_non_null(strstr(subquad_last_error(), "9223372036854775807"));
    assert_memory_equal(&o, &before, sizeof o);
    subquad_plan_destroy(plan);
    subquad_options_destroy(options);
    problem_free(&p);
  }
}

/* Nothing that a plan was made with is read again, and it serves any values, of any width. */
static void test_a_plan_keeps_its_own(void** state) {
  enum { N = 40, LAGS = N };
  static float numbers[LAGS];
  static int64_t range[2] = {2, N};
  const subquad_array bias = matrix(numbers, SUBQUAD_FLOAT32, 1, LAGS), ranges = matrix(range, SUBQUAD_INT64, 1, 2);
  problem p = shape(1, 2, 1, N, N, 6, 4), wide = shape(1, 2, 1, N, N, 6, 9);
  p.dtype = wide.dtype = SUBQUAD_FLOAT32;
  problem_create(&p);
  problem_create(&wide);
  assert_ok(subquad_fill_uniform(&bias, 2, 0, -1, 1));
  assert_ok(subquad_fill_uniform(&wide.v, 2, 1, -1, 1));
  problem expected = same_inputs(&p), expected_wide = same_inputs(&wide);
  subquad_options* options = plan_options(0.1);
  subquad_plan* plan = NULL;
  assert_ok(subquad_plan_create(*state, options, &p.q, &p.k, &p.v, &bias, &ranges, &plan, NULL));
  assert_ok(plan_apply(*state, plan, &expected, NULL));
  assert_ok(plan_apply(*state, plan, &expected_wide, NULL));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SCALE, 9));
  assert_ok(subquad_fill_uniform(&p.q, 0, 0, 5, 9));
  assert_ok(subquad_fill_uniform(&p.k, 0, 0, 5, 9));
  assert_ok(subquad_fill_uniform(&bias, 0, 0, 5, 9));
  range[1] = 3;
  assert_ok(plan_apply(*state, plan, &p, NULL));
  assert_ok(plan_apply(*state, plan, &wide, NULL));
  assert_true(same_bits(&p.o, &expected.o) && same_bits(&p.lse, &expected.lse));
  assert_true(same_bits(&wide.o, &expected_wide.o) && same_bits(&wide.lse, &expected.lse));
  subquad_plan_destroy(plan);
  subquad_options_destroy(options);
  same_inputs_free(&expected);
  same_inputs_free(&expected_wide);
  problem_free(&p);
  problem_free(&wide);
}

/* The same numbers at other strides, with outputs spaced. */
static void test_strides(void** state) {
  enum { N = 40, D = 6 };
  problem p = shape(1, 2, 2, N, N, D, D);
  p.dtype = SUBQUAD_FLOAT64;
  problem_create(&p);
  subquad_options* options = plan_options(0.1);
  subquad_plan* plan = new_plan(*state, options, &p, NULL);
  assert_ok(plan_apply(*state, plan, &p, NULL));
  static double memory[4][2 * 2 * N * D], lse[2 * N];
  problem other = p;
  subquad_array *from[] = {&p.q, &p.k, &p.v}, *to[] = {&other.q, &other.k, &other.v, &other.o};
  for (size_t a = 0; a < COUNT(to); ++a) {
    /* heads inside rows, rows reversed, every second place */
    const int64_t strides[] = {0, 2 * D, -4 * D, 2};
    to[a]->data = memory[a] + 4 * D * (N - 1);
    memcpy(to[a]->strides, strides, sizeof strides);
    for (int64_t at = 0; a < COUNT(from) && at < 2 * N * D; ++at) {
      const int64_t h = at / (N * D), i = at / D % N, c = at % D;
      ((double*)to[a]->data)[h * strides[1] + i * strides[2] + c * strides[3]] = element(from[a], 0, h, i, c);
    }
  }
  subquad_plan* of_other = new_plan(*state, options, &other, NULL);
  other.lse.data = lse;
  assert_ok(plan_apply(*state, of_other, &other, NULL));
  assert_true(same_bits(&p.lse, &other.lse));
  for (int64_t at = 0; at < 2 * N * D; ++at)
    assert_true(element(&p.o, 0, at / (N * D), at / D % N, at % D) == element(&other.o, 0, at / (N * D), at / D % N, at % D));
  subquad_plan_destroy(plan);
  subquad_plan_destroy(of_other);
  subquad_options_destroy(options);
  problem_free(&p);
}

/* The gradients of exact heads are those of exact attention, up to round-off; here of tol 0, where the same kernels run. */
static void test_exact_heads_have_exact_gradients(void** state) {
  for (size_t t = 0; t < COUNT(dtypes); ++t) {
    problem p = shape(2, 4, 2, 37, 37, 6, 5);
    p.dtype = dtypes[t];
    problem_create(&p);
    problem upstream = p, exact = p, planned = p;
    problem_create(&upstream);
    problem_create(&exact);
    problem_create(&planned);
    assert_ok(subquad_fill_uniform(&upstream.o, 5, 0, -1, 1));
    subquad_options* options = plan_options(0);
    subquad_report* report = new_report();
    subquad_plan* plan = new_plan(*state, options, &p, NULL);
    assert_ok(plan_apply(*state, plan, &p, NULL));
    assert_ok(
        subquad_plan_backward(*state, NULL, plan, &p.v, &p.o, &p.lse, &upstream.o, &planned.q, &planned.k, &planned.v, report));
    subquad_options* causal = new_options();
    assert_ok(subquad_options_set_int(causal, SUBQUAD_OPTION_CAUSAL, 1));
    assert_ok(subquad_attention_backward(*state, causal, &p.q, &p.k, &p.v, NULL, NULL, &p.o, &p.lse, &upstream.o, &exact.q,
                                         &exact.k, &exact.v, NULL, NULL));
    assert_true(same_bits(&planned.q, &exact.q) && same_bits(&planned.k, &exact.k) && same_bits(&planned.v, &exact.v));
    assert_int_equal(report_values(report, SUBQUAD_REPORT_ERROR_BACKWARD), 8);
    for (int64_t head = 0; head < 8; ++head) assert_true(report_float(report, SUBQUAD_REPORT_ERROR_BACKWARD, head) == 0);
    /* Each gradient may be left out. */
    assert_ok(subquad_plan_backward(*state, NULL, plan, &p.v, &p.o, &p.lse, &upstream.o, NULL, NULL, &planned.v, NULL));
    assert_ok(subquad_plan_backward(*state, NULL, plan, &p.v, &p.o, &p.lse, &upstream.o, &planned.q, NULL, NULL, NULL));
    assert_ok(subquad_plan_backward(*state, NULL, plan, &p.v, &p.o, &p.lse, &upstream.o, NULL, NULL, NULL, NULL));
    assert_true(same_bits(&planned.q, &exact.q) && same_bits(&planned.v, &exact.v));
    subquad_plan_destroy(plan);
    subquad_report_destroy(report);
    subquad_options_destroy(options);
    subquad_options_destroy(causal);
    problem_free(&p);
    problem_free(&upstream);
    problem_free(&exact);
    problem_free(&planned);
  }
}

static int prepare(void** state) {
  *state = new_context();
  return 0;
}

static int finish(void** state) {
  subquad_context_destroy(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_masks_and_scales),
      cmocka_unit_test(test_missing_dimensions),
      cmocka_unit_test(test_what_a_plan_describes),
      cmocka_unit_test(test_a_plan_keeps_its_own),
      cmocka_unit_test(test_strides),
      cmocka_unit_test(test_exact_heads_have_exact_gradients),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
