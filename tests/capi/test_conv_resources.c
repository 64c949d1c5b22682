/* What the machine or the context's limits withhold from calls on conv bases: WORKSPACE and THREADS. */
#include <pthread.h>
#include <string.h>

#include "conv_calls.h"
#include "conv_problem.h"

static conv_problem long_problem(void) {
  conv_problem p = {.batch = 1, .heads = 1, .heads_v = 1, .n = 4000, .bases = 3, .d_v = 4, .dtype = SUBQUAD_FLOAT32, .reach = 20};
  conv_problem_create(&p, 0);
  return p;
}

static subquad_status run(subquad_context* context, int number, const subquad_conv_basis* basis, const conv_problem* p) {
  switch (number) {
    case 0:
      return conv_apply(context, NULL, basis, p);
    case 1:
      return subquad_conv_basis_apply_transposed(context, NULL, basis, &p->x, &p->y, NULL);
    case 2:
      return subquad_conv_basis_multiply(context, NULL, basis, &p->x, &p->y, NULL);
    default:
      return subquad_conv_basis_multiply_transposed(context, NULL, basis, &p->x, &p->y, NULL);
  }
}

enum { PRODUCTS = 4 };

static void test_a_workspace_of_one_byte(void** state) {
  conv_problem p = long_problem();
  subquad_conv_basis* basis = new_basis(*state, &p);
  for (int number = 0; number < PRODUCTS; ++number) {
    assert_ok(subquad_context_set_workspace_limit(*state, 1));
    assert_status(run(*state, number, basis, &p), SUBQUAD_ERR_WORKSPACE);
    assert_error_says("1");
    assert_ok(subquad_context_set_workspace_limit(*state, 0));
    assert_ok(run(*state, number, basis, &p));
  }
  subquad_conv_basis_destroy(basis);
  conv_problem_free(&p);
}

/* Small calls may do without workspace; they give WORKSPACE or nothing. */
static void test_every_function_in_a_workspace_of_one_byte(void** state) {
  static conv_call c;
  for (int f = 0; f < CONV_FUNCTIONS; ++f) {
    conv_call_create(&c, *state);
    assert_ok(subquad_context_set_workspace_limit(*state, 1));
    const subquad_status status = conv_run(&conv_functions[f], &c);
    assert_ok(subquad_context_set_workspace_limit(*state, 0));
    if (status != SUBQUAD_OK) assert_status(status, SUBQUAD_ERR_WORKSPACE);
    assert_ok(conv_run(&conv_functions[f], &c));
    conv_call_free(&c);
  }
}

/* The report says how much a call took; with that as the limit it succeeds, with a byte less it does not. */
static void test_a_workspace_that_just_suffices(void** state) {
  conv_problem p = long_problem();
  subquad_conv_basis* basis = new_basis(*state, &p);
  subquad_report* report = new_report();
  int64_t bytes = 0;
  assert_ok(subquad_context_set_threads(*state, 1));
  assert_ok(subquad_conv_basis_apply(*state, NULL, basis, &p.v, &p.o, NULL, report));
  assert_ok(subquad_report_get_int(report, SUBQUAD_REPORT_WORKSPACE_BYTES, 0, &bytes));
  assert_true(bytes > 0);
  assert_ok(subquad_context_set_workspace_limit(*state, bytes));
  assert_ok(subquad_conv_basis_apply(*state, NULL, basis, &p.v, &p.o, NULL, report));
  assert_ok(subquad_context_set_workspace_limit(*state, bytes - 1));
  assert_status(subquad_conv_basis_apply(*state, NULL, basis, &p.v, &p.o, NULL, report), SUBQUAD_ERR_WORKSPACE);
  assert_ok(subquad_context_set_workspace_limit(*state, 0));
  assert_ok(subquad_context_set_threads(*state, 0));
  subquad_report_destroy(report);
  subquad_conv_basis_destroy(basis);
  conv_problem_free(&p);
}

/* A new thread asks for a stack larger than any address space, so the system refuses it, whoever runs this. */
static void test_threads_that_cannot_start(void** state) {
  pthread_attr_t usual, huge;
  assert_int_equal(pthread_getattr_default_np(&usual), 0);
  assert_int_equal(pthread_attr_init(&huge), 0);
  assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 60), 0);
  conv_problem p = long_problem();
  subquad_conv_basis* basis = new_basis(*state, &p);
  for (int number = 0; number < PRODUCTS; ++number) {
    subquad_context* context = new_context();
    assert_ok(subquad_context_set_threads(context, 2));
    assert_int_equal(pthread_setattr_default_np(&huge), 0);
    const subquad_status status = run(context, number, basis, &p);
    assert_int_equal(pthread_setattr_default_np(&usual), 0);
    assert_status(status, SUBQUAD_ERR_THREADS);
    assert_error_says("thread");
    assert_ok(run(context, number, basis, &p));
    subquad_context_destroy(context);
  }
  subquad_conv_basis_destroy(basis);
  conv_problem_free(&p);
  pthread_attr_destroy(&huge);
  pthread_attr_destroy(&usual);
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
      cmocka_unit_test(test_a_workspace_of_one_byte),
      cmocka_unit_test(test_every_function_in_a_workspace_of_one_byte),
      cmocka_unit_test(test_a_workspace_that_just_suffices),
      cmocka_unit_test(test_threads_that_cannot_start),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
