/* Every constant equals its function twin, and every status has its name and message. */
#include "support.h"

#include <string.h>

#include "generated_constants.h"

static void test_each_constant_has_its_twin(void** state) {
  (void)state;
  for (size_t i = 0; i < COUNT(generated_constants); ++i) {
    int64_t value = -1;
    assert_ok(subquad_constant(generated_constants[i].name, &value));
    assert_int_equal(value, generated_constants[i].value);
  }
}

static void test_the_enumeration_is_complete_and_in_order(void** state) {
  (void)state;
  for (size_t i = 0; i < COUNT(generated_constants); ++i) {
    const char* name = NULL;
    int64_t value = -1;
    assert_ok(subquad_constant_at((int64_t)i, &name, &value));
    assert_string_equal(name, generated_constants[i].name);
    assert_int_equal(value, generated_constants[i].value);
  }
  const char* name = NULL;
  int64_t value = 0;
  assert_status(subquad_constant_at((int64_t)COUNT(generated_constants), &name, &value), SUBQUAD_ERR_VALUE);
  assert_error_says("index");
  assert_status(subquad_constant_at(-1, &name, &value), SUBQUAD_ERR_VALUE);
  assert_error_says("-1");
}

static void test_bad_arguments(void** state) {
  (void)state;
  const char* name = NULL;
  int64_t value = 77;
  assert_status(subquad_constant("SUBQUAD_NO_SUCH_THING", &value), SUBQUAD_ERR_UNKNOWN);
  assert_error_says("SUBQUAD_NO_SUCH_THING");
  assert_int_equal(value, 77);
  assert_status(subquad_constant("", &value), SUBQUAD_ERR_UNKNOWN);
  assert_status(subquad_constant(NULL, &value), SUBQUAD_ERR_NULL);
  assert_error_says("name");
  assert_status(subquad_constant("SUBQUAD_OK", NULL), SUBQUAD_ERR_NULL);
  assert_error_says("value_out");
  assert_status(subquad_constant_at(0, NULL, &value), SUBQUAD_ERR_NULL);
  assert_status(subquad_constant_at(0, &name, NULL), SUBQUAD_ERR_NULL);
}

static void test_version(void** state) {
  (void)state;
  assert_int_equal(subquad_version(), SUBQUAD_VERSION_NUMBER);
  assert_int_equal(SUBQUAD_VERSION_NUMBER,
                   SUBQUAD_VERSION_MAJOR * 1000000 + SUBQUAD_VERSION_MINOR * 1000 + SUBQUAD_VERSION_PATCH);
  assert_string_equal(subquad_version_string(), SUBQUAD_VERSION_STRING);
}

static void test_status_names_and_messages(void** state) {
  (void)state;
  for (size_t i = 0; i < COUNT(generated_statuses); ++i) {
    assert_string_equal(subquad_status_name(generated_statuses[i].code), generated_statuses[i].name);
    assert_string_equal(subquad_status_message(generated_statuses[i].code), generated_statuses[i].message);
  }
}

static void test_a_number_that_is_no_status(void** state) {
  (void)state;
  const subquad_status numbers[] = {-1, 1, 9, 16, 91, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < COUNT(numbers); ++i) {
    assert_string_equal(subquad_status_name(numbers[i]), "UNKNOWN");
    assert_true(strlen(subquad_status_message(numbers[i])) > 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_constant_has_its_twin),
      cmocka_unit_test(test_the_enumeration_is_complete_and_in_order),
      cmocka_unit_test(test_bad_arguments),
      cmocka_unit_test(test_version),
      cmocka_unit_test(test_status_names_and_messages),
      cmocka_unit_test(test_a_number_that_is_no_status),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
