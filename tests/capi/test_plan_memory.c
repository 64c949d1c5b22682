/* Memory that runs out at any allocation of a call on plans gives MEMORY, spoils no handle and leaves no result. */
#include "plan_calls.h"
#include "plan_problem.h"
#include "sweep.h"

typedef struct attempt {
  const plan_function* function;
  plan_call call;
} attempt;

static subquad_status run(void* user) {
  attempt* a = user;
  return plan_run(a->function, &a->call);
}

static void test_every_function(void** state) {
  static attempt a;
  for (int f = 0; f < PLAN_FUNCTIONS; ++f) {
    a.function = &plan_functions[f];
    plan_call_create(&a.call, *state);
    const int64_t allocations = sweep(run, &a);
    if (a.function->makes_plan) assert_true(allocations > 0);
    assert_ok(plan_run(a.function, &a.call));
    plan_call_free(&a.call);
  }
}

/* Long enough for heads that are not exact. */
typedef struct scene {
  subquad_context* context;
  const subquad_plan* plan;
  subquad_options* options;
  subquad_report* report;
  problem p, gradients;
  int64_t threads;
} scene;

static subquad_status create(void* user) {
  const scene* s = user;
  subquad_plan* plan = (subquad_plan*)(void*)user; /* must be overwritten */
  const subquad_status status =
      subquad_plan_create(s->context, s->options, &s->p.q, &s->p.k, &s->p.v, NULL, NULL, &plan, s->report);
  assert_int_equal(status == SUBQUAD_OK, plan != NULL);
  subquad_plan_destroy(plan);
  return status;
}

static subquad_status apply(void* user) {
  const scene* s = user;
  return plan_apply(s->context, s->plan, &s->p, s->report);
}

static subquad_status backward(void* user) {
  const scene* s = user;
  return subquad_plan_backward(s->context, NULL, s->plan, &s->p.v, &s->p.o, &s->p.lse, &s->gradients.o, &s->gradients.q,
                               &s->gradients.k, &s->gradients.v, s->report);
}

static subquad_status apply_in_a_new_context(void* user) {
  scene* s = user;
  s->context = NULL;
  subquad_status status = subquad_context_create(&s->context);
  if (status == SUBQUAD_OK) status = subquad_context_set_threads(s->context, s->threads);
  if (status == SUBQUAD_OK) status = apply(s);
  subquad_context_destroy(s->context);
  return status;
}

static void test_many_rows(void** state) {
  scene s = {.context = *state, .options = plan_options(0.1), .report = new_report()};
  s.p = local_problem(2, 1, 2048, SUBQUAD_FLOAT32);
  s.gradients = local_problem(2, 1, 2048, SUBQUAD_FLOAT32);
  assert_ok(subquad_fill_uniform(&s.gradients.o, 5, 0, -1, 1));
  subquad_plan* plan = new_plan(*state, s.options, &s.p, s.report);
  assert_true(approximate_heads(s.report) > 0);
  s.plan = plan;
  assert_ok(apply(&s));
  problem expected = same_inputs(&s.p);
  assert_ok(plan_apply(*state, plan, &expected, NULL));
  assert_true(sweep(create, &s) > 0);
  assert_true(sweep(apply, &s) > 0);
  assert_true(same_bits(&expected.o, &s.p.o) && same_bits(&expected.lse, &s.p.lse));
  assert_true(sweep(backward, &s) > 0);
  for (s.threads = 1; s.threads <= 2; ++s.threads) sweep(apply_in_a_new_context, &s);
  assert_true(same_bits(&expected.o, &s.p.o));
  subquad_plan_destroy(plan);
  subquad_report_destroy(s.report);
  subquad_options_destroy(s.options);
  same_inputs_free(&expected);
  problem_free(&s.p);
  problem_free(&s.gradients);
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
      cmocka_unit_test(test_every_function),
      cmocka_unit_test(test_many_rows),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
