/* Leverage scores against the oracle: exact ones within round-off, sketched ones within the factor that the report states. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sparsify_problem.h"

static const long double tolerance = 1e-13L; /* of singular values that count: far below those of ILL_CONDITIONED */

static subquad_options* options_for(int32_t scores) {
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_SCORES, scores));
  return options;
}

static int64_t whole(const subquad_report* report, int32_t key) {
  int64_t value = -1;
  assert_ok(subquad_report_get_int(report, key, 0, &value));
  return value;
}

static double number(const subquad_report* report, int32_t key) {
  double value = NAN;
  assert_ok(subquad_report_get_float(report, key, 0, &value));
  return value;
}

static void assert_text(const subquad_report* report, int32_t key, const char* expected) {
  const char* text = NULL;
  assert_ok(subquad_report_get_string(report, key, 0, &text));
  assert_string_equal(text, expected);
}

/* Exact scores of one problem in one storage. */
static void check_exact(subquad_context* context, const sparsify_problem* p, const whitened* w, storage how) {
  stored s;
  double* scores = malloc((size_t)(p->d + 1) * sizeof *scores);
  const subquad_array view = vector(scores, SUBQUAD_FLOAT64, p->d);
  subquad_options* options = options_for(SUBQUAD_SCORE_EXACT);
  subquad_report* report = new_report();
  assert_non_null(scores);
  store(&s, p, how);
  assert_ok(subquad_leverage_scores(context, options, s.handle, &view, report));
  const long double budget = score_budget(w, unit_of(p->dtype));
  for (int64_t j = 0; j < p->d; ++j) {
    if (!(fabsl(scores[j] - score_of(w, j)) <= budget))
      fail_msg("%s, %d x %d: scores[%d] = %.17g, not %.17Lg within %.2Lg", storage_names[how], (int)p->n, (int)p->d, (int)j,
               scores[j], score_of(w, j), budget);
    assert_true(scores[j] >= 0 && scores[j] <= 1);
  }
  assert_text(report, SUBQUAD_REPORT_SCORES, "exact");
  assert_int_equal(whole(report, SUBQUAD_REPORT_RANK), w->rank);
  assert_true(number(report, SUBQUAD_REPORT_SCORE_FACTOR) == 1);
  assert_true(whole(report, SUBQUAD_REPORT_PASSES) > 0);
  subquad_report_destroy(report);
  subquad_options_destroy(options);
  stored_free(&s);
  free(scores);
}

static void check_everywhere(subquad_context* context, kind of, int64_t n, int64_t d, int32_t dtype) {
  sparsify_problem p = new_problem(of, n, d, dtype, 3);
  whitened w = whiten(p.x, n, d, tolerance);
  for (storage how = 0; how < STORAGES; ++how) check_exact(context, &p, &w, how);
  whitened_free(&w);
  sparsify_problem_free(&p);
}

static void test_all_shapes(void** state) {
  static const int64_t shapes[][2] = {{0, 0}, {0, 3},  {3, 0},  {1, 1},  {1, 9},  {2, 1},   {7, 3},  {5, 5},
                                      {6, 7}, {3, 31}, {8, 63}, {8, 64}, {9, 65}, {4, 127}, {5, 300}};
  for (size_t i = 0; i < COUNT(shapes); ++i)
    for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype)
      check_everywhere(*state, GENERIC, shapes[i][0], shapes[i][1], dtype);
}

static void test_all_kinds(void** state) {
  for (kind of = GENERIC; of < KINDS; ++of) {
    for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
      check_everywhere(*state, of, 5, 40, dtype);
      check_everywhere(*state, of, 4, 500, dtype);
    }
  }
}

/* The condition in the report is an estimate: it may be off by the number of rows, as norms by sums are, and sketches by 3. */
static void test_the_condition(void** state) {
  sparsify_problem p = new_problem(ILL_CONDITIONED, 4, 50, SUBQUAD_FLOAT64, 3);
  whitened w = whiten(p.x, p.n, p.d, tolerance);
  assert_true(w.condition > 1e9L);
  stored s;
  double scores[50];
  const subquad_array view = vector(scores, SUBQUAD_FLOAT64, 50);
  subquad_report* report = new_report();
  store(&s, &p, CSC_32);
  assert_ok(subquad_leverage_scores(*state, NULL, s.handle, &view, report));
  const double condition = number(report, SUBQUAD_REPORT_CONDITION);
  assert_true(condition <= 3 * 4 * w.condition && condition >= w.condition / (3 * 4));
  subquad_report_destroy(report);
  stored_free(&s);
  whitened_free(&w);
  sparsify_problem_free(&p);
}

static void test_rows_of_other_units_change_nothing(void** state) {
  sparsify_problem p = new_problem(GENERIC, 4, 60, SUBQUAD_FLOAT64, 3);
  static const long double units[] = {1e120L, 1, 1e-120L, 1e-3L};
  for (int64_t i = 0; i < p.n; ++i)
    for (int64_t j = 0; j < p.d; ++j) p.x[i * p.d + j] = (double)(p.x[i * p.d + j] * units[i]);
  whitened w = whiten(p.x, p.n, p.d, tolerance);
  for (storage how = 0; how < STORAGES; ++how) check_exact(*state, &p, &w, how);
  whitened_free(&w);
  sparsify_problem_free(&p);
}

/* Chance: every call misses its factor with probability at most 1e-9, so that all of them together hold but with 1e-7. */
static void check_sketch(subquad_context* context, kind of, int64_t n, int64_t d, int32_t dtype, storage how) {
  enum { SEEDS = 5 };
  sparsify_problem p = new_problem(of, n, d, dtype, 3);
  whitened w = whiten(p.x, n, d, tolerance);
  stored s;
  double* scores = malloc((size_t)d * sizeof *scores);
  const subquad_array view = vector(scores, SUBQUAD_FLOAT64, d);
  subquad_options* options = options_for(SUBQUAD_SCORE_SKETCH);
  subquad_report* report = new_report();
  assert_non_null(scores);
  store(&s, &p, how);
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SPARSIFY_DELTA, 1e-9));
  for (int64_t seed = 0; seed < SEEDS; ++seed) {
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SEED, seed));
    assert_ok(subquad_leverage_scores(context, options, s.handle, &view, report));
    const double factor = number(report, SUBQUAD_REPORT_SCORE_FACTOR);
    const long double roundoff = score_budget(&w, unit_of(dtype));
    assert_true(factor >= 1);
    for (int64_t j = 0; j < d; ++j) {
      const long double true_score = score_of(&w, j);
      if (!(scores[j] <= factor * (true_score + roundoff) && scores[j] >= (true_score - roundoff) / factor))
        fail_msg("%s, %d x %d: scores[%d] = %.9g is not within a factor %.3g of %.9Lg", storage_names[how], (int)n, (int)d,
                 (int)j, scores[j], factor, true_score);
    }
    assert_int_equal(whole(report, SUBQUAD_REPORT_RANK), w.rank);
    assert_text(report, SUBQUAD_REPORT_SCORES, whole(report, SUBQUAD_REPORT_SKETCH_ROWS) > 0 ? "sketch" : "exact");
  }
  subquad_report_destroy(report);
  subquad_options_destroy(options);
  stored_free(&s);
  free(scores);
  whitened_free(&w);
  sparsify_problem_free(&p);
}

static void test_sketched_scores(void** state) {
  static const storage stores[] = {ROW_MAJOR, COLUMN_MAJOR, CSC_32, CSR_64_FROM_1, BLOCKS_OF_7};
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    for (size_t i = 0; i < COUNT(stores); ++i) {
      check_sketch(*state, GENERIC, 3, 900, dtype, stores[i]);
      check_sketch(*state, SPARSE, 6, 2000, dtype, stores[i]);
      check_sketch(*state, DOMINANT, 4, 1200, dtype, stores[i]);
      check_sketch(*state, DEPENDENT, 5, 1000, dtype, stores[i]);
      check_sketch(*state, ILL_CONDITIONED, 4, 1000, dtype, stores[i]);
    }
  }
}

/* More rows than there are Gaussian vectors, so that these are used. */
static void test_projected_scores(void** state) {
  check_sketch(*state, GENERIC, 40, 1500, SUBQUAD_FLOAT64, COLUMN_MAJOR);
  check_sketch(*state, SPARSE, 24, 1500, SUBQUAD_FLOAT32, CSC_32);
}

/* No way asked for: one of the two, within what the report says of it, and the scores add up to the rank where it was the exact one. */
static void test_the_way_is_chosen(void** state) {
  static const int64_t sizes[] = {1, 10, 100, 3000};
  for (size_t i = 0; i < COUNT(sizes); ++i) {
    sparsify_problem p = new_problem(GENERIC, 6, sizes[i], SUBQUAD_FLOAT64, 3);
    stored s;
    double* scores = malloc((size_t)p.d * sizeof *scores);
    const subquad_array view = vector(scores, SUBQUAD_FLOAT64, p.d);
    subquad_report* report = new_report();
    const char* way = NULL;
    store(&s, &p, ROW_MAJOR);
    assert_ok(subquad_leverage_scores(*state, NULL, s.handle, &view, report));
    assert_ok(subquad_report_get_string(report, SUBQUAD_REPORT_SCORES, 0, &way));
    const double factor = number(report, SUBQUAD_REPORT_SCORE_FACTOR);
    assert_true(strcmp(way, "exact") == 0 ? factor == 1 : factor > 1);
    long double sum = 0;
    for (int64_t j = 0; j < p.d; ++j) sum += scores[j];
    whitened w = whiten(p.x, p.n, p.d, tolerance);
    assert_true(fabsl(sum - w.rank) <= (factor - 1) * w.rank + p.d * factor * score_budget(&w, unit_of(SUBQUAD_FLOAT64)));
    whitened_free(&w);
    subquad_report_destroy(report);
    stored_free(&s);
    free(scores);
    sparsify_problem_free(&p);
  }
}

static void test_a_seed_decides(void** state) {
  sparsify_problem p = new_problem(GENERIC, 4, 1000, SUBQUAD_FLOAT64, 3);
  static double scores[3][1000];
  stored s;
  store(&s, &p, COLUMN_MAJOR);
  for (int i = 0; i < 3; ++i) {
    const subquad_array view = vector(scores[i], SUBQUAD_FLOAT64, 1000);
    subquad_options* options = options_for(SUBQUAD_SCORE_SKETCH);
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SEED, i == 2 ? INT64_MAX : 7));
    assert_ok(subquad_leverage_scores(*state, options, s.handle, &view, NULL));
    subquad_options_destroy(options);
  }
  assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
  assert_memory_not_equal(scores[0], scores[2], sizeof scores[0]);
  stored_free(&s);
  sparsify_problem_free(&p);
}

static void test_scores_of_any_stride(void** state) {
  sparsify_problem p = new_problem(GENERIC, 3, 20, SUBQUAD_FLOAT64, 3);
  double plain[20], wide[60];
  subquad_array view = vector(plain, SUBQUAD_FLOAT64, 20);
  stored s;
  store(&s, &p, CSR_32);
  assert_ok(subquad_leverage_scores(*state, NULL, s.handle, &view, NULL));
  for (int64_t i = 0; i < 60; ++i) wide[i] = -1;
  view.data = wide + 57;
  view.strides[0] = -3;
  assert_ok(subquad_leverage_scores(*state, NULL, s.handle, &view, NULL));
  for (int64_t i = 0; i < 60; ++i) assert_true(wide[i] == (i % 3 == 0 ? plain[19 - i / 3] : -1));
  stored_free(&s);
  sparsify_problem_free(&p);
}

/* A handle holds views: what they show may change between calls. */
static void test_data_that_changed(void** state) {
  sparsify_problem p = new_problem(GENERIC, 3, 12, SUBQUAD_FLOAT64, 3);
  double scores[12];
  const subquad_array view = vector(scores, SUBQUAD_FLOAT64, 12);
  stored s;
  store(&s, &p, ROW_MAJOR);
  assert_ok(subquad_leverage_scores(*state, NULL, s.handle, &view, NULL));
  assert_true(scores[5] > 0);
  for (int64_t i = 0; i < 3; ++i) ((double*)s.data)[i * 12 + 5] = 0;
  assert_ok(subquad_leverage_scores(*state, NULL, s.handle, &view, NULL));
  assert_true(scores[5] == 0);
  stored_free(&s);
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
      cmocka_unit_test(test_all_shapes),           cmocka_unit_test(test_all_kinds),
      cmocka_unit_test(test_the_condition),        cmocka_unit_test(test_rows_of_other_units_change_nothing),
      cmocka_unit_test(test_sketched_scores),      cmocka_unit_test(test_projected_scores),
      cmocka_unit_test(test_the_way_is_chosen),    cmocka_unit_test(test_a_seed_decides),
      cmocka_unit_test(test_scores_of_any_stride), cmocka_unit_test(test_data_that_changed),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
