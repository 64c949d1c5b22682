/* Reports: reading by key, every way to get it wrong, what attention writes, and the JSON text. */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "generated_constants.h"

static void test_an_empty_report_has_every_key_without_values(void** state) {
  (void)state;
  static const char prefix[] = "SUBQUAD_REPORT_";
  subquad_report* report = new_report();
  size_t keys = 0;
  for (size_t i = 0; i < COUNT(generated_constants); ++i) {
    if (strncmp(generated_constants[i].name, prefix, strlen(prefix)) != 0) continue;
    int64_t length = -1;
    int32_t type = 0;
    assert_ok(subquad_report_length(report, (int32_t)generated_constants[i].value, &length, &type));
    assert_int_equal(length, 0);
    assert_in_range(type, SUBQUAD_TYPE_INT, SUBQUAD_TYPE_STRING);
    ++keys;
  }
  assert_true(keys > 0);
  const char* json = NULL;
  assert_ok(subquad_report_json(report, &json));
  assert_string_equal(json, "{}");
  subquad_report_destroy(report);
}

static void test_reading_what_is_not_there(void** state) {
  (void)state;
  subquad_report* report = new_report();
  int64_t integer = 0;
  double number = 0;
  const char* text = NULL;
  assert_status(subquad_report_get_int(report, SUBQUAD_REPORT_PAIRS, 0, &integer), SUBQUAD_ERR_UNSET);
  assert_error_says("pairs");
  assert_status(subquad_report_get_float(report, SUBQUAD_REPORT_SECONDS, 0, &number), SUBQUAD_ERR_UNSET);
  assert_status(subquad_report_get_string(report, SUBQUAD_REPORT_METHOD, 0, &text), SUBQUAD_ERR_UNSET);
  assert_status(subquad_report_get_int(report, SUBQUAD_REPORT_SECONDS, 0, &integer), SUBQUAD_ERR_TYPE);
  assert_status(subquad_report_get_float(report, SUBQUAD_REPORT_PAIRS, 0, &number), SUBQUAD_ERR_TYPE);
  assert_status(subquad_report_get_string(report, SUBQUAD_REPORT_PAIRS, 0, &text), SUBQUAD_ERR_TYPE);
  assert_status(subquad_report_get_int(report, 999, 0, &integer), SUBQUAD_ERR_UNKNOWN);
  assert_error_says("999");
  assert_status(subquad_report_get_float(report, -1, 0, &number), SUBQUAD_ERR_UNKNOWN);
  assert_status(subquad_report_get_string(report, 0, 0, &text), SUBQUAD_ERR_UNKNOWN);
  assert_status(subquad_report_length(report, 999, &integer, NULL), SUBQUAD_ERR_UNKNOWN);
  subquad_report_destroy(report);
}

static void test_null_pointers(void** state) {
  (void)state;
  subquad_report* report = new_report();
  int64_t integer = 0;
  double number = 0;
  const char* text = NULL;
  assert_status(subquad_report_create(NULL), SUBQUAD_ERR_NULL);
  assert_error_says("report_out");
  assert_status(subquad_report_length(NULL, SUBQUAD_REPORT_PAIRS, &integer, NULL), SUBQUAD_ERR_NULL);
  assert_status(subquad_report_length(report, SUBQUAD_REPORT_PAIRS, NULL, NULL), SUBQUAD_ERR_NULL);
  assert_status(subquad_report_get_int(NULL, SUBQUAD_REPORT_PAIRS, 0, &integer), SUBQUAD_ERR_NULL);
  assert_status(subquad_report_get_int(report, SUBQUAD_REPORT_PAIRS, 0, NULL), SUBQUAD_ERR_NULL);
  assert_status(subquad_report_get_float(NULL, SUBQUAD_REPORT_SECONDS, 0, &number), SUBQUAD_ERR_NULL);
  assert_status(subquad_report_get_float(report, SUBQUAD_REPORT_SECONDS, 0, NULL), SUBQUAD_ERR_NULL);
  assert_status(subquad_report_get_string(NULL, SUBQUAD_REPORT_METHOD, 0, &text), SUBQUAD_ERR_NULL);
  assert_status(subquad_report_get_string(report, SUBQUAD_REPORT_METHOD, 0, NULL), SUBQUAD_ERR_NULL);
  assert_status(subquad_report_json(NULL, &text), SUBQUAD_ERR_NULL);
  assert_status(subquad_report_json(report, NULL), SUBQUAD_ERR_NULL);
  assert_status(subquad_info(NULL, NULL), SUBQUAD_ERR_NULL);
  subquad_report_destroy(report);
  subquad_report_destroy(NULL);
}

/* Text of a JSON object from the value of a key on; fails without the key. */
static const char* json_value(const char* json, const char* key) {
  char quoted[64];
  snprintf(quoted, sizeof quoted, "\"%s\"", key);
  const char* at = strstr(json, quoted);
  assert_non_null(at);
  at += strlen(quoted);
  return at + strspn(at, ": ");
}

static void test_what_attention_reports(void** state) {
  (void)state;
  subquad_context* context = new_context();
  subquad_options* options = new_options();
  subquad_report* report = new_report();
  problem p = square_problem(37, 5);
  assert_ok(subquad_context_set_threads(context, 2));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1));
  assert_ok(subquad_attention(context, options, &p.q, &p.k, &p.v, NULL, NULL, &p.o, NULL, report));

  int64_t integer = -1, length = -1;
  int32_t type = 0;
  double seconds = -1;
  const char* text = NULL;
  assert_ok(subquad_report_get_string(report, SUBQUAD_REPORT_METHOD, 0, &text));
  assert_string_equal(text, "exact");
  assert_ok(subquad_report_get_int(report, SUBQUAD_REPORT_PAIRS, 0, &integer));
  assert_int_equal(integer, 37 * 38 / 2);
  assert_ok(subquad_report_get_float(report, SUBQUAD_REPORT_SECONDS, 0, &seconds));
  assert_true(seconds >= 0 && seconds < 60);
  assert_ok(subquad_report_get_int(report, SUBQUAD_REPORT_THREADS, 0, &integer));
  assert_int_equal(integer, 2);
  assert_ok(subquad_report_get_string(report, SUBQUAD_REPORT_SIMD_TARGET, 0, &text));
  const char* best = NULL;
  assert_ok(subquad_simd_target_at(0, &best));
  assert_string_equal(text, best);
  assert_ok(subquad_report_get_int(report, SUBQUAD_REPORT_WORKSPACE_BYTES, 0, &integer));
  assert_true(integer >= 0);
  assert_ok(subquad_report_length(report, SUBQUAD_REPORT_PAIRS, &length, &type));
  assert_int_equal(length, 1);
  assert_int_equal(type, SUBQUAD_TYPE_INT);
  assert_status(subquad_report_get_int(report, SUBQUAD_REPORT_PAIRS, 1, &integer), SUBQUAD_ERR_VALUE);
  assert_error_says("index");
  assert_status(subquad_report_get_int(report, SUBQUAD_REPORT_PAIRS, -1, &integer), SUBQUAD_ERR_VALUE);

  const char* json = NULL;
  assert_ok(subquad_report_json(report, &json));
  assert_memory_equal(json_value(json, "method"), "\"exact\"", strlen("\"exact\""));
  assert_memory_equal(json_value(json, "pairs"), "703", 3);
  assert_in_range(*json_value(json, "seconds"), '0', '9');
  assert_memory_equal(json_value(json, "threads"), "2", 1);
  json_value(json, "simd_target");
  json_value(json, "workspace_bytes");

  problem_free(&p);
  subquad_report_destroy(report);
  subquad_options_destroy(options);
  subquad_context_destroy(context);
}

static void test_a_report_holds_the_last_call_only(void** state) {
  (void)state;
  subquad_context* context = new_context();
  subquad_report* report = new_report();
  int64_t length = -1;
  assert_ok(subquad_info(context, report));
  assert_ok(subquad_report_length(report, SUBQUAD_REPORT_VERSION, &length, NULL));
  assert_int_equal(length, 1);
  problem p = square_problem(3, 2);
  assert_ok(subquad_attention(context, NULL, &p.q, &p.k, &p.v, NULL, NULL, &p.o, NULL, report));
  assert_ok(subquad_report_length(report, SUBQUAD_REPORT_VERSION, &length, NULL));
  assert_int_equal(length, 0);
  problem_free(&p);
  subquad_report_destroy(report);
  subquad_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_an_empty_report_has_every_key_without_values),
      cmocka_unit_test(test_reading_what_is_not_there),
      cmocka_unit_test(test_null_pointers),
      cmocka_unit_test(test_what_attention_reports),
      cmocka_unit_test(test_a_report_holds_the_last_call_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
