/* Several threads at once: distinct contexts compute side by side, and each thread has its own last error. */
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4, CALLS = 6 };

typedef struct worker {
  pthread_t thread;
  const subquad_options* options; /* shared, read only */
  const problem* shared;          /* inputs are shared, outputs are not */
  problem own;
  int number, failures;
} worker;

static void start_all(worker* workers, void* (*run)(void*)) {
  for (int i = 0; i < THREADS; ++i) assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
  for (int i = 0; i < THREADS; ++i) assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
  for (int i = 0; i < THREADS; ++i) assert_int_equal(workers[i].failures, 0);
}

static void* compute(void* user) {
  worker* w = user;
  for (int i = 0; i < CALLS; ++i) {
    subquad_context* context = NULL;
    subquad_report* report = NULL;
    int64_t pairs = -1;
    w->failures += subquad_context_create(&context) != SUBQUAD_OK;
    w->failures += subquad_report_create(&report) != SUBQUAD_OK;
    w->failures += subquad_context_set_threads(context, 1 + (w->number + i) % 3) != SUBQUAD_OK;
    w->failures += subquad_attention(context, w->options, &w->shared->q, &w->shared->k, &w->shared->v, NULL, NULL, &w->own.o,
                                     &w->own.lse, report) != SUBQUAD_OK;
    w->failures += subquad_report_get_int(report, SUBQUAD_REPORT_PAIRS, 0, &pairs) != SUBQUAD_OK;
    w->failures += !same_bits(&w->shared->o, &w->own.o);
    w->failures += subquad_info(context, report) != SUBQUAD_OK;
    subquad_report_destroy(report);
    subquad_context_destroy(context);
  }
  return NULL;
}

static void test_distinct_contexts_compute_the_same_bits(void** state) {
  (void)state;
  subquad_context* context = new_context();
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1));
  problem p = square_problem(300, 16);
  assert_ok(attend(context, options, &p));
  worker workers[THREADS] = {0};
  for (int i = 0; i < THREADS; ++i) {
    workers[i].options = options;
    workers[i].shared = &p;
    workers[i].own = square_problem(300, 16);
    workers[i].number = i;
  }
  start_all(workers, compute);
  for (int i = 0; i < THREADS; ++i) problem_free(&workers[i].own);
  problem_free(&p);
  subquad_options_destroy(options);
  subquad_context_destroy(context);
}

static void* fail_in_its_own_way(void* user) {
  worker* w = user;
  char name[32];
  int64_t value = 0;
  w->failures += strcmp(subquad_last_error(), "") != 0;
  snprintf(name, sizeof name, "SUBQUAD_WRONG_%d", w->number);
  for (int i = 0; i < 1000; ++i) {
    w->failures += subquad_constant(name, &value) != SUBQUAD_ERR_UNKNOWN;
    w->failures += strstr(subquad_last_error(), name) == NULL;
  }
  return NULL;
}

static void test_each_thread_has_its_own_last_error(void** state) {
  (void)state;
  int64_t value = 0;
  assert_status(subquad_constant("SUBQUAD_WRONG_MAIN", &value), SUBQUAD_ERR_UNKNOWN);
  worker workers[THREADS] = {0};
  for (int i = 0; i < THREADS; ++i) workers[i].number = i;
  start_all(workers, fail_in_its_own_way);
  assert_error_says("SUBQUAD_WRONG_MAIN");
}

static void test_success_leaves_the_last_error(void** state) {
  (void)state;
  int64_t value = 0;
  assert_status(subquad_constant("SUBQUAD_WRONG_MAIN", &value), SUBQUAD_ERR_UNKNOWN);
  assert_ok(subquad_constant("SUBQUAD_OK", &value));
  assert_error_says("SUBQUAD_WRONG_MAIN");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_distinct_contexts_compute_the_same_bits),
      cmocka_unit_test(test_each_thread_has_its_own_last_error),
      cmocka_unit_test(test_success_leaves_the_last_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
