/* What the machine or the context's limits withhold from calls on sparsifiers: WORKSPACE and THREADS. */
#include <pthread.h>
#include <stdlib.h>

#include "sparsified.h"
#include "sparsify_calls.h"

enum { N = 30, D = 4000, D_V = 2 };

/* A call of each kind that needs workspace, by number. */
enum { EXACT_SCORES, SKETCHED_SCORES, LEVERAGE, BARRIERS, GRAM, ATTENTION, SOFTMAX_ERROR, CALLS };

typedef struct scene {
  sparsify_problem p;
  stored from;
  sparsified y;
  double v[N * D_V], o[N * D_V], scores[D];
} scene;

static subquad_status sparsify_once(subquad_context* context, const scene* s, int32_t method, subquad_report* report) {
  subquad_sparsifier* made = NULL;
  subquad_options* options = sparsify_options(method, method == SUBQUAD_SPARSIFIER_GRAM ? 0 : 70);
  const subquad_status status = subquad_sparsify(context, options, s->from.handle, &made, report);
  assert_int_equal(status == SUBQUAD_OK, made != NULL);
  subquad_sparsifier_destroy(made);
  subquad_options_destroy(options);
  return status;
}

static subquad_status score_once(subquad_context* context, scene* s, int32_t way, subquad_report* report) {
  const subquad_array scores = vector(s->scores, SUBQUAD_FLOAT64, D);
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_SCORES, way));
  const subquad_status status = subquad_leverage_scores(context, options, s->from.handle, &scores, report);
  subquad_options_destroy(options);
  return status;
}

static subquad_status run(subquad_context* context, int number, scene* s, subquad_report* report) {
  const subquad_array v = matrix(s->v, SUBQUAD_FLOAT64, N, D_V), o = matrix(s->o, SUBQUAD_FLOAT64, N, D_V);
  double error = 0;
  switch (number) {
    case EXACT_SCORES:
      return score_once(context, s, SUBQUAD_SCORE_EXACT, report);
    case SKETCHED_SCORES:
      return score_once(context, s, SUBQUAD_SCORE_SKETCH, report);
    case LEVERAGE:
      return sparsify_once(context, s, SUBQUAD_SPARSIFIER_LEVERAGE, report);
    case BARRIERS:
      return sparsify_once(context, s, SUBQUAD_SPARSIFIER_DETERMINISTIC, report);
    case GRAM:
      return sparsify_once(context, s, SUBQUAD_SPARSIFIER_GRAM, report);
    case ATTENTION:
      return subquad_sparsifier_attention(context, NULL, s->y.handle, &v, &o, NULL, report);
    default:
      return subquad_sparsifier_softmax_error(context, NULL, s->y.handle, s->from.handle, NULL, &error, NULL);
  }
}

static void scene_create(scene* s, subquad_context* context, storage how) {
  s->p = new_problem(SPARSE, N, D, SUBQUAD_FLOAT64, 6);
  store(&s->from, &s->p, how);
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 70);
  s->y = sparsify(context, options, s->from.handle, NULL);
  subquad_options_destroy(options);
}

static void scene_free(scene* s) {
  sparsified_free(&s->y);
  stored_free(&s->from);
  sparsify_problem_free(&s->p);
}

static const storage stores[] = {ROW_MAJOR, CSC_32, CSR_64, BLOCKS};
static const char* const call_names[CALLS] = {"exact scores", "sketched scores", "leverage",     "barriers",
                                              "gram",         "attention",       "softmax error"};

static void test_a_workspace_of_one_byte(void** state) {
  static scene s;
  for (size_t i = 0; i < COUNT(stores); ++i) {
    scene_create(&s, *state, stores[i]);
    for (int number = 0; number < CALLS; ++number) {
      assert_ok(subquad_context_set_workspace_limit(*state, 1));
      const subquad_status status = run(*state, number, &s, NULL);
      assert_ok(subquad_context_set_workspace_limit(*state, 0));
      if (status != SUBQUAD_ERR_WORKSPACE) print_error("%s, %s:\n", call_names[number], storage_names[stores[i]]);
      assert_status(status, SUBQUAD_ERR_WORKSPACE);
      assert_error_says("1");
      assert_ok(run(*state, number, &s, NULL));
    }
    scene_free(&s);
  }
}

/* Small calls may do without workspace; they give WORKSPACE or nothing. */
static void test_every_function_in_a_workspace_of_one_byte(void** state) {
  static sparsify_call c;
  for (int f = 0; f < SPARSIFY_FUNCTIONS; ++f) {
    sparsify_call_create(&c, *state);
    assert_ok(subquad_context_set_workspace_limit(*state, 1));
    const subquad_status status = sparsify_run(&sparsify_functions[f], &c);
    assert_ok(subquad_context_set_workspace_limit(*state, 0));
    if (status != SUBQUAD_OK) assert_status(status, SUBQUAD_ERR_WORKSPACE);
    assert_ok(sparsify_run(&sparsify_functions[f], &c));
    sparsify_call_free(&c);
  }
}

/* The report says how much a call took; with that as the limit it succeeds, with a byte less it does not. */
static void test_a_workspace_that_just_suffices(void** state) {
  static scene s;
  assert_ok(subquad_context_set_threads(*state, 1));
  for (size_t i = 0; i < COUNT(stores); ++i) {
    scene_create(&s, *state, stores[i]);
    for (int number = 0; number < SOFTMAX_ERROR; ++number) { /* which has no report */
      subquad_report* report = new_report();
      int64_t bytes = 0;
      assert_ok(run(*state, number, &s, report));
      assert_ok(subquad_report_get_int(report, SUBQUAD_REPORT_WORKSPACE_BYTES, 0, &bytes));
      assert_true(bytes > 0);
      assert_ok(subquad_context_set_workspace_limit(*state, bytes));
      const subquad_status enough = run(*state, number, &s, report);
      assert_ok(subquad_context_set_workspace_limit(*state, bytes - 1));
      const subquad_status less = run(*state, number, &s, report);
      assert_ok(subquad_context_set_workspace_limit(*state, 0));
      if (enough != SUBQUAD_OK || less != SUBQUAD_ERR_WORKSPACE)
        print_error("%s, %s, %d bytes:\n", call_names[number], storage_names[stores[i]], (int)bytes);
      assert_status(enough, SUBQUAD_OK);
      assert_status(less, SUBQUAD_ERR_WORKSPACE);
      subquad_report_destroy(report);
    }
    scene_free(&s);
  }
  assert_ok(subquad_context_set_threads(*state, 0));
}

/* Beyond its arrays, a call takes less than half of what a large x takes: the tree of the barriers too. */
static void test_memory_beyond_x(void** state) {
  enum { ROWS = 64, COLUMNS = 20000 };
  sparsify_problem p = new_problem(GENERIC, ROWS, COLUMNS, SUBQUAD_FLOAT64, 6);
  stored from;
  store(&from, &p, COLUMN_MAJOR);
  assert_ok(subquad_context_set_threads(*state, 2));
  for (int32_t method = SUBQUAD_SPARSIFIER_LEVERAGE; method <= SUBQUAD_SPARSIFIER_GRAM; ++method) {
    subquad_options* options = sparsify_options(method, method == SUBQUAD_SPARSIFIER_GRAM ? 0 : 100);
    sparsified y = sparsify(*state, options, from.handle, NULL);
    const int64_t bytes = report_count(&y, SUBQUAD_REPORT_WORKSPACE_BYTES), of_x = (int64_t)ROWS * COLUMNS * 8;
    if (bytes >= of_x / 2) fail_msg("method %d takes %.3g bytes, x has %.3g", (int)method, (double)bytes, (double)of_x);
    sparsified_free(&y);
    subquad_options_destroy(options);
  }
  assert_ok(subquad_context_set_threads(*state, 0));
  stored_free(&from);
  sparsify_problem_free(&p);
}

/* A new thread asks for a stack larger than any address space, so the system refuses it, whoever runs this. */
static void test_threads_that_cannot_start(void** state) {
  static scene s;
  pthread_attr_t usual, huge;
  assert_int_equal(pthread_getattr_default_np(&usual), 0);
  assert_int_equal(pthread_attr_init(&huge), 0);
  assert_int_equal(pthread_attr_setstacksize(&huge, (size_t)1 << 60), 0);
  scene_create(&s, *state, COLUMN_MAJOR);
  for (int number = 0; number < ATTENTION; ++number) {
    subquad_context* context = new_context();
    assert_ok(subquad_context_set_threads(context, 2));
    assert_int_equal(pthread_setattr_default_np(&huge), 0);
    const subquad_status status = run(context, number, &s, NULL);
    assert_int_equal(pthread_setattr_default_np(&usual), 0);
    if (status != SUBQUAD_ERR_THREADS) print_error("%s:\n", call_names[number]);
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
      cmocka_unit_test(test_a_workspace_of_one_byte),        cmocka_unit_test(test_every_function_in_a_workspace_of_one_byte),
      cmocka_unit_test(test_a_workspace_that_just_suffices), cmocka_unit_test(test_memory_beyond_x),
      cmocka_unit_test(test_threads_that_cannot_start),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
