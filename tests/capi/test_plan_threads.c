/* Plans and threads: the same bits for any number of threads, and one plan in several calls at once. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "plan_calls.h"
#include "plan_problem.h"

enum { N = 2500, THREADS = 4, CALLS = 4 };

static const int32_t dtypes[] = {SUBQUAD_FLOAT32, SUBQUAD_FLOAT64};

/* A plan and its use, gradients too; the report of the plan without what clocks say. */
static void use(subquad_context* context, const subquad_options* options, const problem* p, const problem* gradients,
                subquad_report* report) {
  subquad_plan* plan = new_plan(context, options, p, report);
  assert_ok(plan_apply(context, plan, p, NULL));
  assert_ok(subquad_plan_backward(context, NULL, plan, &p->v, &p->o, &p->lse, &gradients->o, &gradients->q, &gradients->k,
                                  &gradients->v, NULL));
  subquad_plan_destroy(plan);
}

static void expect_same_report(const subquad_report* a, const subquad_report* b) {
  for (int64_t head = 0; head < report_values(a, SUBQUAD_REPORT_PARTS); ++head) {
    assert_string_equal(report_text(a, SUBQUAD_REPORT_PARTS, head), report_text(b, SUBQUAD_REPORT_PARTS, head));
    assert_true(report_float(a, SUBQUAD_REPORT_ERROR, head) == report_float(b, SUBQUAD_REPORT_ERROR, head));
    assert_true(report_float(a, SUBQUAD_REPORT_ERROR_HIGH, head) == report_float(b, SUBQUAD_REPORT_ERROR_HIGH, head));
    assert_int_equal(report_int(a, SUBQUAD_REPORT_PAIRS_LOW, head), report_int(b, SUBQUAD_REPORT_PAIRS_LOW, head));
  }
}

static void test_the_same_bits_for_any_number_of_threads(void** state) {
  (void)state;
  subquad_context* context = new_context();
  subquad_report *of_one = new_report(), *of_many = new_report();
  for (size_t t = 0; t < COUNT(dtypes); ++t) {
    for (int strict = 0; strict <= 1; ++strict) {
      problem one = local_problem(4, 2, N, dtypes[t]), many = same_inputs(&one);
      problem gradient = local_problem(4, 2, N, dtypes[t]), other = gradient;
      problem_create(&other);
      assert_ok(subquad_fill_uniform(&gradient.o, 5, 0, -1, 1));
      assert_ok(subquad_fill_uniform(&other.o, 5, 0, -1, 1));
      subquad_options* options = plan_options(0.1);
      assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_STRICT_CAUSAL, strict));
      assert_ok(subquad_context_set_threads(context, 1));
      use(context, options, &one, &gradient, of_one);
      assert_true(approximate_heads(of_one) > 0);
      for (int64_t threads = 2; threads <= 3; ++threads) {
        assert_ok(subquad_context_set_threads(context, threads));
        use(context, options, &many, &other, of_many);
        assert_true(same_bits(&one.o, &many.o) && same_bits(&one.lse, &many.lse));
        assert_true(same_bits(&gradient.q, &other.q) && same_bits(&gradient.k, &other.k) && same_bits(&gradient.v, &other.v));
        expect_same_report(of_one, of_many);
      }
      subquad_options_destroy(options);
      same_inputs_free(&many);
      problem_free(&one);
      problem_free(&gradient);
      problem_free(&other);
    }
  }
  subquad_report_destroy(of_one);
  subquad_report_destroy(of_many);
  subquad_context_destroy(context);
}

typedef struct worker {
  pthread_t thread;
  const subquad_plan* plan;
  const problem* shared; /* inputs are shared, outputs are not */
  problem own;
  subquad_array d_v;
  const subquad_array* expected_d_v;
  int number, failures;
} worker;

/* cmocka's assertions are for the main thread. */
static void* compute(void* user) {
  worker* w = user;
  const problem* p = &w->own;
  for (int i = 0; i < CALLS; ++i) {
    subquad_context* context = NULL;
    subquad_report* report = NULL;
    subquad_array described;
    w->failures += subquad_context_create(&context) != SUBQUAD_OK || subquad_report_create(&report) != SUBQUAD_OK;
    w->failures += subquad_context_set_threads(context, 1 + (w->number + i) % 2) != SUBQUAD_OK;
    w->failures += subquad_plan_apply(context, NULL, w->plan, &p->v, &p->o, &p->lse, report) != SUBQUAD_OK;
    w->failures += !same_bits(&w->shared->o, &p->o) || !same_bits(&w->shared->lse, &p->lse);
    w->failures +=
        subquad_plan_backward(context, NULL, w->plan, &p->v, &p->o, &p->lse, &p->o, NULL, NULL, &w->d_v, NULL) != SUBQUAD_OK;
    w->failures += !same_bits(w->expected_d_v, &w->d_v);
    w->failures += subquad_plan_report(w->plan, report) != SUBQUAD_OK;
    w->failures += subquad_plan_describe(w->plan, 3, &described, NULL, NULL, NULL) != SUBQUAD_OK;
    subquad_report_destroy(report);
    subquad_context_destroy(context);
  }
  return NULL;
}

static void test_one_plan_in_several_threads(void** state) {
  (void)state;
  subquad_context* context = new_context();
  problem shared = local_problem(4, 2, N, SUBQUAD_FLOAT32), gradients = shared;
  problem_create(&gradients);
  subquad_options* options = plan_options(0.1);
  subquad_plan* plan = new_plan(context, options, &shared, NULL);
  assert_ok(plan_apply(context, plan, &shared, NULL));
  assert_ok(
      subquad_plan_backward(context, NULL, plan, &shared.v, &shared.o, &shared.lse, &shared.o, NULL, NULL, &gradients.v, NULL));
  static worker workers[THREADS];
  for (int i = 0; i < THREADS; ++i) {
    worker* w = &workers[i];
    w->plan = plan;
    w->shared = &shared;
    w->own = same_inputs(&shared);
    w->d_v = gradients.v;
    w->d_v.data = calloc((size_t)element_count(&gradients.v), sizeof(float));
    assert_non_null(w->d_v.data);
    w->expected_d_v = &gradients.v;
    w->number = i;
    assert_int_equal(pthread_create(&w->thread, NULL, compute, w), 0);
  }
  for (int i = 0; i < THREADS; ++i) assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
  for (int i = 0; i < THREADS; ++i) {
    assert_int_equal(workers[i].failures, 0);
    same_inputs_free(&workers[i].own);
    free(workers[i].d_v.data);
  }
  subquad_plan_destroy(plan);
  subquad_options_destroy(options);
  problem_free(&shared);
  problem_free(&gradients);
  subquad_context_destroy(context);
}

/* All functions that write arrays or make a plan, on small ones. */
static void test_every_function_gives_the_same_bits(void** state) {
  (void)state;
  static plan_call one, two;
  subquad_context *first = new_context(), *second = new_context();
  assert_ok(subquad_context_set_threads(first, 1));
  assert_ok(subquad_context_set_threads(second, 2));
  plan_call_create(&one, first);
  plan_call_create(&two, second);
  for (int f = 0; f < PLAN_FUNCTIONS; ++f) {
    assert_ok(plan_run(&plan_functions[f], &one));
    assert_ok(plan_run(&plan_functions[f], &two));
    assert_memory_equal(one.memory, two.memory, sizeof one.memory);
  }
  plan_call_free(&one);
  plan_call_free(&two);
  subquad_context_destroy(first);
  subquad_context_destroy(second);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_same_bits_for_any_number_of_threads),
      cmocka_unit_test(test_one_plan_in_several_threads),
      cmocka_unit_test(test_every_function_gives_the_same_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
