/* Every status code of the table is provoked by a real call, and the library says what was wrong. */
#include "generated_constants.h"
#include "provocations.h"

typedef struct provocation {
  subquad_status code;
  subquad_status (*provoke)(void);
  const char* says; /* in the last error: the argument, or its value */
} provocation;

static const provocation provocations[] = {
    {SUBQUAD_OK, provoke_ok, ""},
    {SUBQUAD_ERR_NULL, provoke_null, "options_out"},
    {SUBQUAD_ERR_VALUE, provoke_value, "-3"},
    {SUBQUAD_ERR_UNKNOWN, provoke_unknown, "SUBQUAD_NONSENSE"},
    {SUBQUAD_ERR_TYPE, provoke_type, "scale"},
    {SUBQUAD_ERR_UNSET, provoke_unset, "scale"},
    {SUBQUAD_ERR_CONFLICT, provoke_conflict, "causal_offset"},
    {SUBQUAD_ERR_SHAPE, provoke_shape, "k"},
    {SUBQUAD_ERR_DTYPE, provoke_dtype, "v"},
    {SUBQUAD_ERR_STRIDE, provoke_stride, "o"},
    {SUBQUAD_ERR_ALIAS, provoke_alias, "o"},
    {SUBQUAD_ERR_NONFINITE, provoke_nonfinite, "[0, 0, 2, 1]"},
    {SUBQUAD_ERR_SIZE, provoke_size, "q"},
    {SUBQUAD_ERR_OVERFLOW, provoke_overflow, "logit"},
    {SUBQUAD_ERR_MEMORY, provoke_memory, "memory"},
    {SUBQUAD_ERR_WORKSPACE, provoke_workspace, "1"},
    {SUBQUAD_ERR_BUSY, provoke_busy, "context"},
    {SUBQUAD_ERR_THREADS, provoke_threads, "thread"},
    {SUBQUAD_ERR_CANCELLED, provoke_cancelled, "cancel"},
    {SUBQUAD_ERR_UNSUPPORTED, provoke_unsupported, "causal"},
    {SUBQUAD_ERR_INTERNAL, provoke_internal, "thrown by the test's callback"},
};

static void test_provocation(void** state) {
  const provocation* p = *state;
  assert_status(p->provoke(), p->code);
  assert_error_says(p->says);
}

static void test_every_code_of_the_table_is_provoked_once(void** state) {
  (void)state;
  assert_int_equal(COUNT(provocations), COUNT(generated_statuses));
  for (size_t i = 0; i < COUNT(provocations); ++i) assert_int_equal(provocations[i].code, generated_statuses[i].code);
}

int main(void) {
  struct CMUnitTest tests[COUNT(provocations) + 1] = {cmocka_unit_test(test_every_code_of_the_table_is_provoked_once)};
  for (size_t i = 0; i < COUNT(provocations); ++i) {
    struct CMUnitTest test = cmocka_unit_test_prestate(test_provocation, (void*)(uintptr_t)&provocations[i]);
    test.name = subquad_status_name(provocations[i].code);
    tests[i + 1] = test;
  }
  return cmocka_run_group_tests_name("status codes", tests, NULL, NULL);
}
