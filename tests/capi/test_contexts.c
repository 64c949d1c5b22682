/* Contexts: settings and their bounds, SIMD targets, environment variables, and what subquad_info says of them. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

static int64_t reported_threads(subquad_context* context) {
  subquad_report* report = new_report();
  int64_t threads = 0;
  assert_ok(subquad_info(context, report));
  assert_ok(subquad_report_get_int(report, SUBQUAD_REPORT_THREADS, 0, &threads));
  subquad_report_destroy(report);
  return threads;
}

static void assert_reported_target(subquad_context* context, const char* expected) {
  subquad_report* report = new_report();
  const char* name = NULL;
  assert_ok(subquad_info(context, report));
  assert_ok(subquad_report_get_string(report, SUBQUAD_REPORT_SIMD_TARGET, 0, &name));
  assert_string_equal(name, expected);
  subquad_report_destroy(report);
}

static void test_threads(void** state) {
  (void)state;
  subquad_context* context = new_context();
  const int64_t usual = reported_threads(context);
  assert_true(usual >= 1);
  const int64_t legal[] = {1, 2, 1024};
  for (size_t i = 0; i < COUNT(legal); ++i) {
    assert_ok(subquad_context_set_threads(context, legal[i]));
    assert_int_equal(reported_threads(context), legal[i]);
  }
  const int64_t illegal[] = {-1, 1025, INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < COUNT(illegal); ++i) {
    assert_status(subquad_context_set_threads(context, illegal[i]), SUBQUAD_ERR_VALUE);
    assert_error_says("threads");
    assert_int_equal(reported_threads(context), 1024);
  }
  assert_ok(subquad_context_set_threads(context, 0));
  assert_int_equal(reported_threads(context), usual);
  subquad_context_destroy(context);
}

static void test_workspace_limit(void** state) {
  (void)state;
  subquad_context* context = new_context();
  assert_status(subquad_context_set_workspace_limit(context, -1), SUBQUAD_ERR_VALUE);
  assert_error_says("-1");
  assert_ok(subquad_context_set_workspace_limit(context, INT64_MAX));
  assert_ok(subquad_context_set_workspace_limit(context, 0));
  subquad_context_destroy(context);
}

static void test_workspace_limit_is_the_reported_need(void** state) {
  (void)state;
  subquad_context* context = new_context();
  subquad_report* report = new_report();
  problem p = square_problem(100, 8);
  int64_t need = -1, length = -1;
  assert_ok(subquad_context_set_threads(context, 1));
  assert_ok(subquad_attention(context, NULL, &p.q, &p.k, &p.v, NULL, NULL, &p.o, &p.lse, report));
  assert_ok(subquad_report_length(report, SUBQUAD_REPORT_WORKSPACE_BYTES, &length, NULL));
  assert_ok(subquad_report_get_int(report, SUBQUAD_REPORT_WORKSPACE_BYTES, 0, &need));
  assert_true(need > 1);
  assert_ok(subquad_context_set_workspace_limit(context, need));
  assert_ok(attend(context, NULL, &p));
  assert_ok(subquad_context_set_workspace_limit(context, need - 1));
  assert_status(attend(context, NULL, &p), SUBQUAD_ERR_WORKSPACE);
  assert_ok(subquad_context_set_workspace_limit(context, 0));
  assert_ok(attend(context, NULL, &p));
  problem_free(&p);
  subquad_report_destroy(report);
  subquad_context_destroy(context);
}

static void test_simd_targets_can_be_listed_and_forced(void** state) {
  (void)state;
  subquad_context* context = new_context();
  subquad_report* report = new_report();
  const char* name = NULL;
  const char* best = NULL;
  const char* listed = NULL;
  int64_t count = 0, length = 0;
  assert_ok(subquad_simd_target_at(0, &best));
  assert_reported_target(context, best);
  assert_ok(subquad_info(context, report));
  for (; subquad_simd_target_at(count, &name) == SUBQUAD_OK; ++count) {
    assert_ok(subquad_report_get_string(report, SUBQUAD_REPORT_SIMD_TARGETS, count, &listed));
    assert_string_equal(listed, name);
    assert_ok(subquad_context_set_simd_target(context, name));
    assert_reported_target(context, name);
  }
  assert_ok(subquad_report_length(report, SUBQUAD_REPORT_SIMD_TARGETS, &length, NULL));
  assert_int_equal(length, count);
  assert_status(subquad_simd_target_at(count, &name), SUBQUAD_ERR_VALUE);
  assert_status(subquad_simd_target_at(-1, &name), SUBQUAD_ERR_VALUE);
  assert_status(subquad_simd_target_at(0, NULL), SUBQUAD_ERR_NULL);
  assert_status(subquad_context_set_simd_target(context, "ABACUS"), SUBQUAD_ERR_UNKNOWN);
  assert_error_says("ABACUS");
  assert_status(subquad_context_set_simd_target(context, ""), SUBQUAD_ERR_UNKNOWN);
  assert_ok(subquad_context_set_simd_target(context, NULL));
  assert_reported_target(context, best);
  subquad_report_destroy(report);
  subquad_context_destroy(context);
}

static void test_environment_variables(void** state) {
  (void)state;
  subquad_context* context = NULL;
  const char* last = NULL;
  for (int64_t i = 0; subquad_simd_target_at(i, &last) == SUBQUAD_OK; ++i) {
  }
  assert_int_equal(setenv("SUBQUAD_NUM_THREADS", "3", 1), 0);
  assert_int_equal(setenv("SUBQUAD_SIMD_TARGET", last, 1), 0);
  context = new_context();
  assert_int_equal(reported_threads(context), 3);
  assert_reported_target(context, last);
  subquad_context_destroy(context);

  const char* bad[] = {"0", "-2", "many", "3x", "99999999999999999999"};
  for (size_t i = 0; i < COUNT(bad); ++i) {
    assert_int_equal(setenv("SUBQUAD_NUM_THREADS", bad[i], 1), 0);
    context = (subquad_context*)(void*)&bad;
    assert_status(subquad_context_create(&context), SUBQUAD_ERR_VALUE);
    assert_error_says("SUBQUAD_NUM_THREADS");
    assert_error_says(bad[i]);
    assert_null(context);
  }
  unsetenv("SUBQUAD_NUM_THREADS");
  assert_int_equal(setenv("SUBQUAD_SIMD_TARGET", "ABACUS", 1), 0);
  assert_status(subquad_context_create(&context), SUBQUAD_ERR_UNKNOWN);
  assert_error_says("ABACUS");
  assert_null(context);
  unsetenv("SUBQUAD_SIMD_TARGET");
}

static void test_null_pointers(void** state) {
  (void)state;
  assert_status(subquad_context_create(NULL), SUBQUAD_ERR_NULL);
  assert_error_says("context_out");
  assert_status(subquad_context_set_threads(NULL, 1), SUBQUAD_ERR_NULL);
  assert_status(subquad_context_set_workspace_limit(NULL, 1), SUBQUAD_ERR_NULL);
  assert_status(subquad_context_set_callback(NULL, NULL, NULL), SUBQUAD_ERR_NULL);
  assert_status(subquad_context_set_simd_target(NULL, NULL), SUBQUAD_ERR_NULL);
  subquad_context_destroy(NULL);
}

int main(void) {
  /* A setting of the user's must not decide what these tests see. */
  unsetenv("SUBQUAD_NUM_THREADS");
  unsetenv("SUBQUAD_SIMD_TARGET");
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_workspace_limit),
      cmocka_unit_test(test_workspace_limit_is_the_reported_need),
      cmocka_unit_test(test_simd_targets_can_be_listed_and_forced),
      cmocka_unit_test(test_environment_variables),
      cmocka_unit_test(test_null_pointers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
