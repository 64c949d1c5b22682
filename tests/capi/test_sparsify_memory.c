/* Memory that runs out at any allocation of a call on sparsifiers gives MEMORY, spoils no handle and leaves no result. */
#include "sparsified.h"
#include "sparsify_calls.h"
#include "sweep.h"

typedef struct attempt {
  const sparsify_function* function;
  sparsify_call call;
} attempt;

static subquad_status run(void* user) {
  attempt* a = user;
  return sparsify_run(a->function, &a->call);
}

static void test_every_function(void** state) {
  static attempt a;
  for (int f = 0; f < SPARSIFY_FUNCTIONS; ++f) {
    a.function = &sparsify_functions[f];
    sparsify_call_create(&a.call, *state);
    const int64_t allocations = sweep(run, &a);
    if (a.function->takes & (MAKES_MATRIX | MAKES_SPARSIFIER)) assert_true(allocations > 0);
    assert_ok(sparsify_run(a.function, &a.call));
    sparsify_call_free(&a.call);
  }
}

static subquad_status from_sparse(void* user) {
  subquad_matrix* x = (subquad_matrix*)user;
  const subquad_status status = subquad_matrix_from_sparse(&((stored*)user)->sparse, &x);
  if (status != SUBQUAD_OK) assert_null(x);
  subquad_matrix_destroy(x);
  return status;
}

static subquad_status from_blocks(void* user) {
  subquad_matrix* x = (subquad_matrix*)user;
  const subquad_status status = subquad_matrix_from_blocks(3, 5, SUBQUAD_FLOAT64, 0, copy_columns, user, &x);
  if (status != SUBQUAD_OK) assert_null(x);
  subquad_matrix_destroy(x);
  return status;
}

static void test_making_matrices(void** state) {
  (void)state;
  sparsify_problem p = new_problem(SPARSE, 3, 30, SUBQUAD_FLOAT64, 1);
  stored s;
  store(&s, &p, CSC_32);
  assert_true(sweep(from_sparse, &s) > 0);
  assert_true(sweep(from_blocks, &s) > 0);
  stored_free(&s);
  sparsify_problem_free(&p);
}

/* Enough columns for a sketch, projections, trees and threads. */
typedef struct scene {
  subquad_context* context;
  const subquad_options* options;
  const subquad_matrix* x;
  subquad_array scores;
  int64_t threads;
} scene;

static subquad_status sparsify_once(void* user) {
  const scene* s = user;
  subquad_sparsifier* made = (subquad_sparsifier*)user;
  const subquad_status status = subquad_sparsify(s->context, s->options, s->x, &made, NULL);
  if (status != SUBQUAD_OK) assert_null(made);
  subquad_sparsifier_destroy(made);
  return status;
}

static subquad_status score(void* user) {
  const scene* s = user;
  return subquad_leverage_scores(s->context, s->options, s->x, &s->scores, NULL);
}

static subquad_status score_in_a_new_context(void* user) {
  scene* s = user;
  s->context = NULL;
  subquad_status status = subquad_context_create(&s->context);
  if (status == SUBQUAD_OK) status = subquad_context_set_threads(s->context, s->threads);
  if (status == SUBQUAD_OK) status = score(s);
  subquad_context_destroy(s->context);
  return status;
}

static void test_many_columns(void** state) {
  enum { D = 600 };
  static double scores[D];
  static const storage stores[] = {ROW_MAJOR, CSC_32, CSR_64, BLOCKS};
  sparsify_problem p = new_problem(SPARSE, 20, D, SUBQUAD_FLOAT64, 1);
  for (size_t i = 0; i < COUNT(stores); ++i) {
    stored from;
    store(&from, &p, stores[i]);
    for (int32_t method = SUBQUAD_SPARSIFIER_LEVERAGE; method <= SUBQUAD_SPARSIFIER_GRAM; ++method) {
      subquad_options* options = sparsify_options(method, method == SUBQUAD_SPARSIFIER_GRAM ? 0 : 30);
      scene s = {.context = *state, .options = options, .x = from.handle, .scores = vector(scores, SUBQUAD_FLOAT64, D)};
      assert_true(sweep(sparsify_once, &s) > 0);
      subquad_options_destroy(options);
    }
    subquad_options* options = new_options();
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_SCORES, SUBQUAD_SCORE_SKETCH));
    scene s = {.context = *state, .options = options, .x = from.handle, .scores = vector(scores, SUBQUAD_FLOAT64, D)};
    assert_true(sweep(score, &s) > 0);
    for (s.threads = 1; s.threads <= 2; ++s.threads) assert_true(sweep(score_in_a_new_context, &s) > 0);
    subquad_options_destroy(options);
    stored_free(&from);
  }
  sparsify_problem_free(&p);
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
      cmocka_unit_test(test_making_matrices),
      cmocka_unit_test(test_many_columns),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
