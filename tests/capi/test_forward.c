/* Exact attention against its definition in long double: sizes, masks, biases, ranges, scales, targets, thread counts. */
#include "oracle.h"

static const int32_t dtypes[] = {SUBQUAD_FLOAT32, SUBQUAD_FLOAT64};

static void check(subquad_context* context, problem p, const settings* s) {
  for (size_t t = 0; t < COUNT(dtypes); ++t) {
    p.dtype = dtypes[t];
    problem_create(&p);
    assert_ok(attend_with(context, &p, s));
    assert_is_attention(&p, s);
    problem_free(&p);
  }
}

static problem shape(int64_t batch, int64_t heads_q, int64_t heads_kv, int64_t n_q, int64_t n_k, int64_t d, int64_t d_v) {
  const problem p = {batch, heads_q, heads_kv, n_q, n_k, d, d_v, 0, {0}, {0}, {0}, {0}, {0}};
  return p;
}

static void test_sizes(void** state) {
  (void)state;
  subquad_context* context = new_context();
  static const int64_t sizes[] = {0, 1, 2, 7, 31, 32, 33, 127, 128, 129};
  for (size_t i = 0; i < COUNT(sizes); ++i) {
    for (int causal = 0; causal < 2; ++causal) {
      const settings s = {.causal = causal};
      check(context, shape(1, 1, 1, sizes[i], sizes[i], 8, 8), &s);
      check(context, shape(1, 1, 1, sizes[i], 17, 5, 3), &s);
      check(context, shape(1, 1, 1, 17, sizes[i], 3, 5), &s);
    }
  }
  subquad_context_destroy(context);
}

static void test_widths(void** state) {
  (void)state;
  subquad_context* context = new_context();
  static const int64_t widths[] = {1, 2, 15, 16, 17, 64, 65, 128, 200};
  const settings s = {.causal = 1};
  for (size_t i = 0; i < COUNT(widths); ++i) {
    check(context, shape(1, 1, 1, 20, 20, widths[i], 9), &s);
    check(context, shape(1, 1, 1, 20, 20, 9, widths[i]), &s);
  }
  check(context, shape(1, 1, 1, 20, 20, 9, 0), &s);
  subquad_context_destroy(context);
}

static void test_grouped_heads_and_batches(void** state) {
  (void)state;
  subquad_context* context = new_context();
  const settings s = {.causal = 1};
  static const int64_t heads[][2] = {{1, 1}, {4, 4}, {4, 2}, {6, 2}, {5, 1}};
  for (size_t i = 0; i < COUNT(heads); ++i) {
    check(context, shape(1, heads[i][0], heads[i][1], 13, 13, 4, 4), &s);
    check(context, shape(3, heads[i][0], heads[i][1], 13, 13, 4, 4), &s);
  }
  check(context, shape(0, 2, 1, 13, 13, 4, 4), &s);
  check(context, shape(2, 0, 1, 13, 13, 4, 4), &s);
  subquad_context_destroy(context);
}

static void test_causal_offsets(void** state) {
  (void)state;
  subquad_context* context = new_context();
  static const int64_t offsets[] = {-100, -20, -19, -1, 0, 1, 12, 30, 100};
  for (size_t i = 0; i < COUNT(offsets); ++i) {
    settings s = {.causal = 1, .offset = offsets[i]};
    check(context, shape(1, 2, 1, 20, 33, 4, 4), &s);
    s.key_offset = 5;
    check(context, shape(1, 2, 1, 20, 33, 4, 4), &s);
    s.key_offset = -40;
    check(context, shape(1, 2, 1, 20, 33, 4, 4), &s);
  }
  subquad_context_destroy(context);
}

static void test_lag_bias(void** state) {
  (void)state;
  subquad_context* context = new_context();
  for (size_t t = 0; t < COUNT(dtypes); ++t) {
    for (int64_t rows = 1; rows <= 4; rows += 3) {
      union {
        float single[4 * 80];
        double twice[4 * 80];
      } table;
      const subquad_array bias = matrix(&table, dtypes[t], rows, 80);
      assert_ok(subquad_fill_uniform(&bias, 3, 3, -4, 4));
      problem p = shape(2, 4, 2, 30, 40, 6, 6);
      p.dtype = dtypes[t];
      for (int causal = 0; causal < 2; ++causal) {
        const settings s = {.causal = causal, .offset = 3, .lag_min = -40, .lag_bias = &bias};
        problem_create(&p);
        assert_ok(attend_with(context, &p, &s));
        assert_is_attention(&p, &s);
        problem_free(&p);
      }
    }
  }
  subquad_context_destroy(context);
}

static void test_key_ranges(void** state) {
  (void)state;
  subquad_context* context = new_context();
  static const int64_t ranges[][2] = {{0, 40}, {3, 17}, {5, 5}, {-100, 100}, {39, 41}, {INT64_MIN, INT64_MAX}, {50, 60}};
  for (int causal = 0; causal < 2; ++causal) {
    const settings s = {.causal = causal, .offset = 10, .key_ranges = ranges};
    check(context, shape((int64_t)COUNT(ranges), 2, 1, 30, 40, 4, 4), &s);
  }
  subquad_context_destroy(context);
}

static void test_scales(void** state) {
  (void)state;
  subquad_context* context = new_context();
  static const double scales[] = {1, -1, 1e-30, 0.125, 100};
  for (size_t i = 0; i < COUNT(scales); ++i) {
    const settings s = {.causal = 1, .scale = scales[i]};
    check(context, shape(1, 1, 1, 40, 40, 8, 8), &s);
  }
  subquad_context_destroy(context);
}

static void test_every_simd_target(void** state) {
  (void)state;
  subquad_context* context = new_context();
  const settings s = {.causal = 1, .offset = 7};
  const char* name = NULL;
  for (int64_t i = 0; subquad_simd_target_at(i, &name) == SUBQUAD_OK; ++i) {
    assert_ok(subquad_context_set_simd_target(context, name));
    check(context, shape(1, 2, 1, 131, 137, 17, 19), &s);
  }
  subquad_context_destroy(context);
}

static void test_the_same_bits_for_any_number_of_threads(void** state) {
  (void)state;
  subquad_context* context = new_context();
  static const int64_t threads[] = {1, 2, 3, 7};
  const settings s = {.causal = 1};
  for (size_t t = 0; t < COUNT(dtypes); ++t) {
    problem first = shape(2, 4, 2, 301, 301, 16, 24), again = first;
    first.dtype = again.dtype = dtypes[t];
    problem_create(&first);
    problem_create(&again);
    for (size_t i = 0; i < COUNT(threads); ++i) {
      const problem* p = i == 0 ? &first : &again;
      assert_ok(subquad_context_set_threads(context, threads[i]));
      assert_ok(attend_with(context, p, &s));
      assert_true(same_bits(&first.o, &p->o) && same_bits(&first.lse, &p->lse));
    }
    problem_free(&first);
    problem_free(&again);
  }
  subquad_context_destroy(context);
}

static void test_lse_may_be_left_out(void** state) {
  (void)state;
  subquad_context* context = new_context();
  problem with = square_problem(50, 8), without = square_problem(50, 8);
  assert_ok(attend(context, NULL, &with));
  assert_ok(subquad_attention(context, NULL, &without.q, &without.k, &without.v, NULL, NULL, &without.o, NULL, NULL));
  assert_true(same_bits(&with.o, &without.o));
  problem_free(&with);
  problem_free(&without);
  subquad_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_widths),
      cmocka_unit_test(test_grouped_heads_and_batches),
      cmocka_unit_test(test_causal_offsets),
      cmocka_unit_test(test_lag_bias),
      cmocka_unit_test(test_key_ranges),
      cmocka_unit_test(test_scales),
      cmocka_unit_test(test_every_simd_target),
      cmocka_unit_test(test_the_same_bits_for_any_number_of_threads),
      cmocka_unit_test(test_lse_may_be_left_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
