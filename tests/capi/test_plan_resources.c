/* What the machine or the context's limits withhold from calls on plans: WORKSPACE and THREADS. */
#include <pthread.h>

#include "plan_calls.h"
#include "plan_problem.h"

enum { N = 2500, OPERATIONS = 3 };

typedef struct scene {
  problem p, gradients;
  subquad_options* options;
  subquad_plan* plan;
} scene;

static scene new_scene(subquad_context* context) {
  scene s = {.p = local_problem(2, 1, N, SUBQUAD_FLOAT32), .gradients = local_problem(2, 1, N, SUBQUAD_FLOAT32)};
  s.options = plan_options(0.1);
  s.plan = new_plan(context, s.options, &s.p, NULL);
  assert_ok(plan_apply(context, s.plan, &s.p, NULL));
  assert_ok(subquad_fill_uniform(&s.gradients.o, 5, 0, -1, 1));
  return s;
}

static void scene_free(scene* s) {
  subquad_plan_destroy(s->plan);
  subquad_options_destroy(s->options);
  problem_free(&s->p);
  problem_free(&s->gradients);
}

static subquad_status run(subquad_context* context, int number, const scene* s, subquad_report* report) {
  subquad_plan* plan = NULL;
  subquad_status status;
  switch (number) {
    case 0:
      status = subquad_plan_create(context, s->options, &s->p.q, &s->p.k, &s->p.v, NULL, NULL, &plan, report);
      subquad_plan_destroy(plan);
      return status;
    case 1:
      return plan_apply(context, s->plan, &s->p, report);
    default:
      return subquad_plan_backward(context, NULL, s->plan, &s->p.v, &s->p.o, &s->p.lse, &s->gradients.o, &s->gradients.q,
                                   &s->gradients.k, &s->gradients.v, report);
  }
}

static void test_a_workspace_of_one_byte(void** state) {
  scene s = new_scene(*state);
  for (int number = 0; number < OPERATIONS; ++number) {
    assert_ok(subquad_context_set_workspace_limit(*state, 1));
    assert_status(run(*state, number, &s, NULL), SUBQUAD_ERR_WORKSPACE);
    assert_error_says("1");
    assert_ok(subquad_context_set_workspace_limit(*state, 0));
    assert_ok(run(*state, number, &s, NULL));
  }
  scene_free(&s);
}

/* Small calls may do without workspace; they give WORKSPACE or nothing. */
static void test_every_function_in_a_workspace_of_one_byte(void** state) {
  static plan_call c;
  for (int f = 0; f < PLAN_FUNCTIONS; ++f) {
    plan_call_create(&c, *state);
    assert_ok(subquad_context_set_workspace_limit(*state, 1));
    const subquad_status status = plan_run(&plan_functions[f], &c);
    assert_ok(subquad_context_set_workspace_limit(*state, 0));
    if (status != SUBQUAD_OK) assert_status(status, SUBQUAD_ERR_WORKSPACE);
    assert_ok(plan_run(&plan_functions[f], &c));
    plan_call_free(&c);
  }
}

/* The report says how much a call took; with that as the limit it succeeds, with a byte less it does not. */
static void test_a_workspace_that_just_suffices(void** state) {
  scene s = new_scene(*state);
  subquad_report* report = new_report();
  assert_ok(subquad_context_set_threads(*state, 1));
  for (int number = 0; number < OPERATIONS; ++number) {
    assert_ok(run(*state, number, &s, report));
    const int64_t bytes = report_int(report, SUBQUAD_REPORT_WORKSPACE_BYTES, 0);
    assert_true(bytes > 0);
    assert_ok(subquad_context_set_workspace_limit(*state, bytes));
    assert_ok(run(*state, number, &s, report));
    assert_ok(subquad_context_set_workspace_limit(*state, bytes - 1));
    assert_status(run(*state, number, &s, report), SUBQUAD_ERR_WORKSPACE);
    assert_ok(subquad_context_set_workspace_limit(*state, 0));
  }
  assert_ok(subquad_context_set_threads(*state, 0));
  subquad_report_destroy(report);
  scene_free(&s);
}

/* A new thread asks for a stack larger than any address space, so the system refuses it, whoever runs this. */
static void test_threads_that_cannot_start(void** state) {
  pthread_attr_t usual, huge;
  assert_int_equal(pthread_getattr_default_np(&usual), 0);
  assert_int_equal(pthread_attr_init(&huge), 0);
  assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 60), 0);
  scene s = new_scene(*state);
  for (int number = 0; number < OPERATIONS; ++number) {
    subquad_context* context = new_context();
    assert_ok(subquad_context_set_threads(context, 2));
    assert_int_equal(pthread_setattr_default_np(&huge), 0);
    const subquad_status status = run(context, number, &s, NULL);
    assert_int_equal(pthread_setattr_default_np(&usual), 0);
    assert_status(status, SUBQUAD_ERR_THREADS);
    assert_error_says("thread");
    assert_ok(run(context, number, &s, NULL));
    subquad_context_destroy(context);
  }
  scene_free(&s);
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
