/* Options: what can be asked about them, setting, resetting, and every way to get it wrong. */
#include "support.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "generated_constants.h"

/* The ids of all options, taken from the constants of the header. */
static const char prefix[] = "SUBQUAD_OPTION_";
static int32_t ids[COUNT(generated_constants)];
static const char* id_names[COUNT(generated_constants)];
static size_t id_count = 0;

static int collect_ids(void** state) {
  (void)state;
  for (size_t i = 0; i < COUNT(generated_constants); ++i) {
    if (strncmp(generated_constants[i].name, prefix, strlen(prefix)) != 0) continue;
    ids[id_count] = (int32_t)generated_constants[i].value;
    id_names[id_count++] = generated_constants[i].name + strlen(prefix);
  }
  return id_count == 0;
}

static int32_t type_of(int32_t option) {
  int32_t type = 0;
  assert_ok(subquad_option_describe(option, NULL, &type, NULL));
  return type;
}

static void test_descriptions(void** state) {
  (void)state;
  for (size_t i = 0; i < id_count; ++i) {
    const char* name = NULL;
    const char* doc = NULL;
    int32_t type = 0;
    assert_ok(subquad_option_describe(ids[i], &name, &type, &doc));
    assert_int_equal(strlen(name), strlen(id_names[i]));
    for (size_t c = 0; c < strlen(name); ++c) assert_int_equal(name[c], tolower((unsigned char)id_names[i][c]));
    assert_true(strlen(doc) > 0);
    assert_in_range(type, SUBQUAD_TYPE_BOOL, SUBQUAD_TYPE_FLOAT);
  }
  const char* name = NULL;
  assert_ok(subquad_option_describe(SUBQUAD_OPTION_CAUSAL_OFFSET, &name, NULL, NULL));
  assert_string_equal(name, "causal_offset");
  assert_int_equal(type_of(SUBQUAD_OPTION_CAUSAL), SUBQUAD_TYPE_BOOL);
  assert_int_equal(type_of(SUBQUAD_OPTION_METHOD), SUBQUAD_TYPE_INT);
  assert_int_equal(type_of(SUBQUAD_OPTION_SCALE), SUBQUAD_TYPE_FLOAT);
  assert_ok(subquad_option_describe(SUBQUAD_OPTION_SCALE, NULL, NULL, NULL));
}

static void test_defaults(void** state) {
  (void)state;
  subquad_options* options = new_options();
  int64_t integer = -1;
  assert_ok(subquad_options_get_int(options, SUBQUAD_OPTION_METHOD, &integer));
  assert_int_equal(integer, SUBQUAD_METHOD_EXACT);
  assert_ok(subquad_options_get_int(options, SUBQUAD_OPTION_CAUSAL, &integer));
  assert_int_equal(integer, 0);
  assert_ok(subquad_options_get_int(options, SUBQUAD_OPTION_LAG_MIN, &integer));
  assert_int_equal(integer, 0);
  assert_ok(subquad_options_get_int(options, SUBQUAD_OPTION_KEY_OFFSET, &integer));
  assert_int_equal(integer, 0);
  assert_ok(subquad_options_get_int(options, SUBQUAD_OPTION_CHECK_FINITE, &integer));
  assert_int_equal(integer, 1);
  double number = -1;
  assert_status(subquad_options_get_int(options, SUBQUAD_OPTION_CAUSAL_OFFSET, &integer), SUBQUAD_ERR_UNSET);
  assert_error_says("causal_offset");
  assert_status(subquad_options_get_float(options, SUBQUAD_OPTION_SCALE, &number), SUBQUAD_ERR_UNSET);
  assert_error_says("scale");
  assert_status(subquad_options_get_float(options, SUBQUAD_OPTION_TOL, &number), SUBQUAD_ERR_UNSET);
  assert_status(subquad_options_get_float(options, SUBQUAD_OPTION_BUDGET, &number), SUBQUAD_ERR_UNSET);
  subquad_options_destroy(options);
}

/* A bound of an int option, which the double may hold rounded outward, beyond what fits. */
static int64_t integer_bound(double bound) { return bound >= 0x1p63 ? INT64_MAX : (int64_t)bound; }

static void test_every_option_takes_its_bounds_and_returns_to_its_default(void** state) {
  (void)state;
  subquad_options* options = new_options();
  for (size_t i = 0; i < id_count; ++i) {
    double lowest = NAN, highest = NAN;
    assert_ok(subquad_option_bounds(ids[i], &lowest, &highest));
    assert_true(lowest <= highest);
    if (type_of(ids[i]) == SUBQUAD_TYPE_FLOAT) {
      const double bounds[] = {lowest, highest};
      double before = 0, found = NAN;
      const subquad_status unset = subquad_options_get_float(options, ids[i], &before);
      for (size_t b = 0; b < 2; ++b) {
        assert_ok(subquad_options_set_float(options, ids[i], bounds[b]));
        assert_ok(subquad_options_get_float(options, ids[i], &found));
        assert_true(found == bounds[b]);
      }
      assert_ok(subquad_options_reset(options, ids[i]));
      assert_int_equal(subquad_options_get_float(options, ids[i], &found), unset);
      if (unset == SUBQUAD_OK) assert_true(found == before);
    } else {
      const int64_t bounds[] = {integer_bound(lowest), integer_bound(highest)};
      int64_t before = 0, found = -1;
      const subquad_status unset = subquad_options_get_int(options, ids[i], &before);
      for (size_t b = 0; b < 2; ++b) {
        assert_ok(subquad_options_set_int(options, ids[i], bounds[b]));
        assert_ok(subquad_options_get_int(options, ids[i], &found));
        assert_int_equal(found, bounds[b]);
      }
      assert_ok(subquad_options_reset(options, ids[i]));
      assert_int_equal(subquad_options_get_int(options, ids[i], &found), unset);
      if (unset == SUBQUAD_OK) assert_int_equal(found, before);
    }
  }
  subquad_options_destroy(options);
}

static void test_values_outside_the_bounds(void** state) {
  (void)state;
  subquad_options* options = new_options();
  assert_status(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 2), SUBQUAD_ERR_VALUE);
  assert_error_says("causal");
  assert_error_says("2");
  assert_status(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, -1), SUBQUAD_ERR_VALUE);
  assert_status(subquad_options_set_int(options, SUBQUAD_OPTION_METHOD, 0), SUBQUAD_ERR_VALUE);
  assert_status(subquad_options_set_int(options, SUBQUAD_OPTION_METHOD, 9999), SUBQUAD_ERR_VALUE);
  assert_error_says("9999");
  assert_status(subquad_options_set_int(options, SUBQUAD_OPTION_LAG_MIN, INT64_MIN), SUBQUAD_ERR_VALUE);
  assert_status(subquad_options_set_int(options, SUBQUAD_OPTION_KEY_OFFSET, INT64_MAX), SUBQUAD_ERR_VALUE);
  assert_error_says("9223372036854775807");
  assert_status(subquad_options_set_float(options, SUBQUAD_OPTION_TOL, 1.5), SUBQUAD_ERR_VALUE);
  assert_error_says("1.5");
  const double unreal[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < COUNT(unreal); ++i) {
    assert_status(subquad_options_set_float(options, SUBQUAD_OPTION_SCALE, unreal[i]), SUBQUAD_ERR_VALUE);
    assert_error_says("scale");
  }
  int64_t value = -1;
  assert_ok(subquad_options_get_int(options, SUBQUAD_OPTION_CAUSAL, &value));
  assert_int_equal(value, 0);
  subquad_options_destroy(options);
}

static void test_wrong_types(void** state) {
  (void)state;
  subquad_options* options = new_options();
  int64_t integer = 0;
  double number = 0;
  assert_status(subquad_options_set_int(options, SUBQUAD_OPTION_SCALE, 1), SUBQUAD_ERR_TYPE);
  assert_error_says("scale");
  assert_status(subquad_options_set_float(options, SUBQUAD_OPTION_CAUSAL, 1), SUBQUAD_ERR_TYPE);
  assert_status(subquad_options_set_float(options, SUBQUAD_OPTION_METHOD, 1), SUBQUAD_ERR_TYPE);
  assert_status(subquad_options_get_int(options, SUBQUAD_OPTION_SCALE, &integer), SUBQUAD_ERR_TYPE);
  assert_status(subquad_options_get_float(options, SUBQUAD_OPTION_CAUSAL, &number), SUBQUAD_ERR_TYPE);
  subquad_options_destroy(options);
}

static void test_unknown_ids(void** state) {
  (void)state;
  subquad_options* options = new_options();
  const int32_t unknown[] = {0, -1, 11, 999, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < COUNT(unknown); ++i) {
    const char* name = NULL;
    int64_t integer = 0;
    double number = 0, lowest = 0, highest = 0;
    assert_status(subquad_options_set_int(options, unknown[i], 0), SUBQUAD_ERR_UNKNOWN);
    assert_status(subquad_options_set_float(options, unknown[i], 0), SUBQUAD_ERR_UNKNOWN);
    assert_status(subquad_options_reset(options, unknown[i]), SUBQUAD_ERR_UNKNOWN);
    assert_status(subquad_options_get_int(options, unknown[i], &integer), SUBQUAD_ERR_UNKNOWN);
    assert_status(subquad_options_get_float(options, unknown[i], &number), SUBQUAD_ERR_UNKNOWN);
    assert_status(subquad_option_describe(unknown[i], &name, NULL, NULL), SUBQUAD_ERR_UNKNOWN);
    assert_status(subquad_option_bounds(unknown[i], &lowest, &highest), SUBQUAD_ERR_UNKNOWN);
  }
  assert_status(subquad_options_set_int(options, 999, 0), SUBQUAD_ERR_UNKNOWN);
  assert_error_says("999");
  subquad_options_destroy(options);
}

static void test_null_pointers(void** state) {
  (void)state;
  subquad_options* options = new_options();
  int64_t integer = 0;
  double number = 0;
  assert_status(subquad_options_create(NULL), SUBQUAD_ERR_NULL);
  assert_error_says("options_out");
  assert_status(subquad_options_set_int(NULL, SUBQUAD_OPTION_CAUSAL, 1), SUBQUAD_ERR_NULL);
  assert_status(subquad_options_set_float(NULL, SUBQUAD_OPTION_SCALE, 1), SUBQUAD_ERR_NULL);
  assert_status(subquad_options_reset(NULL, SUBQUAD_OPTION_SCALE), SUBQUAD_ERR_NULL);
  assert_status(subquad_options_get_int(NULL, SUBQUAD_OPTION_CAUSAL, &integer), SUBQUAD_ERR_NULL);
  assert_status(subquad_options_get_int(options, SUBQUAD_OPTION_CAUSAL, NULL), SUBQUAD_ERR_NULL);
  assert_error_says("value_out");
  assert_status(subquad_options_get_float(NULL, SUBQUAD_OPTION_SCALE, &number), SUBQUAD_ERR_NULL);
  assert_status(subquad_options_get_float(options, SUBQUAD_OPTION_SCALE, NULL), SUBQUAD_ERR_NULL);
  assert_status(subquad_option_bounds(SUBQUAD_OPTION_SCALE, NULL, &number), SUBQUAD_ERR_NULL);
  assert_status(subquad_option_bounds(SUBQUAD_OPTION_SCALE, &number, NULL), SUBQUAD_ERR_NULL);
  subquad_options_destroy(options);
  subquad_options_destroy(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_descriptions),
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_every_option_takes_its_bounds_and_returns_to_its_default),
      cmocka_unit_test(test_values_outside_the_bounds),
      cmocka_unit_test(test_wrong_types),
      cmocka_unit_test(test_unknown_ids),
      cmocka_unit_test(test_null_pointers),
  };
  return cmocka_run_group_tests(tests, collect_ids, NULL);
}
