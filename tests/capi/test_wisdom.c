/* What FFTW has learnt: text that comes out goes in again, and changes no result beyond round-off. */
#include <stdlib.h>
#include <string.h>

#include "conv_problem.h"

static char* exported(void) {
  const char* text = NULL;
  assert_ok(subquad_wisdom_export(&text));
  assert_non_null(text);
  char* copy = malloc(strlen(text) + 1);
  assert_non_null(copy);
  return strcpy(copy, text);
}

static void test_round_trip(void** state) {
  (void)state;
  subquad_context* context = new_context();
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    conv_problem p = small_conv_problem(dtype, 1001, 2);
    subquad_conv_basis* basis = new_basis(context, &p);
    assert_ok(conv_apply(context, NULL, basis, &p));
    subquad_conv_basis_destroy(basis);
    conv_problem_free(&p);
  }
  char* first = exported();
  assert_true(strlen(first) > 0);
  assert_ok(subquad_wisdom_import(first));
  char* second = exported();
  assert_string_equal(first, second);
  free(first);
  free(second);
  subquad_context_destroy(context);
}

static void test_attention_after_an_import(void** state) {
  (void)state;
  char* text = exported();
  assert_ok(subquad_wisdom_import(text));
  free(text);
  subquad_context* context = new_context();
  conv_problem p = small_conv_problem(SUBQUAD_FLOAT32, 500, 2);
  subquad_conv_basis* basis = new_basis(context, &p);
  assert_ok(conv_apply(context, NULL, basis, &p));
  assert_is_conv_attention(&p);
  subquad_conv_basis_destroy(basis);
  conv_problem_free(&p);
  subquad_context_destroy(context);
}

static void test_text_that_is_no_wisdom(void** state) {
  (void)state;
  char* text = exported();
  assert_status(subquad_wisdom_import(""), SUBQUAD_ERR_VALUE);
  assert_status(subquad_wisdom_import("(fftw-0.0 wisdom"), SUBQUAD_ERR_VALUE);
  text[strlen(text) / 2] = '\0';
  assert_status(subquad_wisdom_import(text), SUBQUAD_ERR_VALUE);
  assert_error_says("wisdom");
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_attention_after_an_import),
      cmocka_unit_test(test_text_that_is_no_wisdom),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
