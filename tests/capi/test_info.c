/* What subquad_info says about the library and the machine. */
#include "support.h"

#include <string.h>

static const int32_t present[] = {
    SUBQUAD_REPORT_VERSION,   SUBQUAD_REPORT_SIMD_TARGET,  SUBQUAD_REPORT_SIMD_TARGETS,      SUBQUAD_REPORT_BLAS,
    SUBQUAD_REPORT_BLAS_CORE, SUBQUAD_REPORT_FFTW_VERSION, SUBQUAD_REPORT_ARMADILLO_VERSION,
};

static void check_info(subquad_context* context) {
  subquad_report* report = new_report();
  const char* text = NULL;
  int64_t threads = 0, length = -1;
  assert_ok(subquad_info(context, report));
  for (size_t i = 0; i < COUNT(present); ++i) {
    assert_ok(subquad_report_get_string(report, present[i], 0, &text));
    assert_true(strlen(text) > 0);
  }
  assert_ok(subquad_report_get_string(report, SUBQUAD_REPORT_VERSION, 0, &text));
  assert_string_equal(text, SUBQUAD_VERSION_STRING);
  assert_ok(subquad_report_get_int(report, SUBQUAD_REPORT_THREADS, 0, &threads));
  assert_true(threads >= 1);
  assert_ok(subquad_report_length(report, SUBQUAD_REPORT_BLAS_WARNING, &length, NULL));
  assert_in_range(length, 0, 1);
  const char* json = NULL;
  assert_ok(subquad_report_json(report, &json));
  const char* keys[] = {"\"version\":", "\"simd_target\":", "\"simd_targets\":",      "\"threads\":",
                        "\"blas\":",    "\"blas_core\":",   "\"armadillo_version\":", "\"fftw_version\":"};
  for (size_t i = 0; i < COUNT(keys); ++i) assert_non_null(strstr(json, keys[i]));
  subquad_report_destroy(report);
}

static void test_info_of_a_context(void** state) {
  (void)state;
  subquad_context* context = new_context();
  check_info(context);
  subquad_context_destroy(context);
}

static void test_info_without_a_context(void** state) {
  (void)state;
  check_info(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_info_of_a_context),
      cmocka_unit_test(test_info_without_a_context),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
