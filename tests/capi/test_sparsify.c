/* Sparsifiers of single matrices, by all methods, against the oracle. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sparsified.h"

static const long double tolerance = 1e-13L; /* of singular values that count */

typedef struct scene {
  sparsify_problem p;
  whitened w;
} scene;

static scene new_scene(kind of, int64_t n, int64_t d, int32_t dtype) {
  scene s = {.p = new_problem(of, n, d, dtype, 9)};
  s.w = whiten(s.p.x, n, d, tolerance);
  return s;
}

static void scene_free(scene* s) {
  whitened_free(&s->w);
  sparsify_problem_free(&s->p);
}

static int64_t nonzero_columns(const whitened* w) {
  int64_t count = 0;
  for (int64_t j = 0; j < w->d; ++j) {
    int nonzero = 0;
    for (int64_t i = 0; i < w->n; ++i) nonzero |= w->x[i * w->d + j] != 0;
    count += nonzero;
  }
  return count;
}

/* ---- leverage ---- */

static void check_sampled(subquad_context* context, const scene* s, storage how, int64_t columns) {
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, columns);
  sparsified y = sparsify_stored(context, options, &s->p, how);
  const int64_t nonzero = nonzero_columns(&s->w);
  assert_int_equal(y.method, SUBQUAD_SPARSIFIER_LEVERAGE);
  assert_int_equal(y.query_rows, -1);
  assert_int_equal(y.m, columns < nonzero ? columns : nonzero);
  assert_sparsifies(&y, &s->w);
  assert_gram_within(&y, &s->w, y.epsilon);
  if (columns < s->w.rank) assert_true(y.epsilon >= 1 - certificate_budget(&s->w, unit_of(s->p.dtype), y.m, 1));
  assert_int_equal(report_count(&y, SUBQUAD_REPORT_RANK), s->w.rank);
  sparsified_free(&y);
  subquad_options_destroy(options);
}

static void test_sampled_columns(void** state) {
  static const int64_t columns[] = {1, 3, 10, 29};
  for (kind of = GENERIC; of < KINDS; ++of) {
    for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
      scene small = new_scene(of, 5, 40, dtype), long_one = new_scene(of, 4, 700, dtype);
      for (storage how = 0; how < STORAGES; ++how) {
        for (size_t i = 0; i < COUNT(columns); ++i) check_sampled(*state, &small, how, columns[i]);
        check_sampled(*state, &long_one, how, 60);
      }
      scene_free(&small);
      scene_free(&long_one);
    }
  }
}

/* On generic data no choice hangs on round-off: the same columns from every storage. */
static void test_every_storage_gives_the_same_columns(void** state) {
  scene s = new_scene(GENERIC, 6, 120, SUBQUAD_FLOAT64);
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 25);
  sparsified first = sparsify_stored(*state, options, &s.p, ROW_MAJOR);
  for (storage how = COLUMN_MAJOR; how < STORAGES; ++how) {
    sparsified other = sparsify_stored(*state, options, &s.p, how);
    assert_int_equal(other.m, first.m);
    assert_memory_equal(other.indices, first.indices, (size_t)first.m * sizeof *first.indices);
    sparsified_free(&other);
  }
  sparsified_free(&first);
  subquad_options_destroy(options);
  scene_free(&s);
}

/* Fewest failures that may not happen: more of them in `trials` independent ones of probability p come with at most 1e-9. */
static int64_t too_many_failures(int64_t trials, double p) {
  double term = pow(1 - p, (double)trials), tail = 1 - term;
  int64_t k = 1;
  for (; tail > 1e-9; ++k) {
    term *= (double)(trials - k + 1) / (double)k * p / (1 - p);
    tail -= term;
  }
  return k;
}

/* Chance: every call misses its eps with probability at most delta; the seeds are independent. */
static void check_promise(subquad_context* context, kind of, int64_t d, storage how, double eps, double delta) {
  enum { TRIALS = 200 };
  scene s = new_scene(of, 3, d, SUBQUAD_FLOAT64);
  stored from;
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 0);
  store(&from, &s.p, how);
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SPARSIFY_EPS, eps));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SPARSIFY_DELTA, delta));
  int64_t failures = 0, fewest = d;
  for (int64_t seed = 0; seed < TRIALS; ++seed) {
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SEED, seed));
    sparsified y = sparsify(context, options, from.handle, NULL);
    assert_sparsifies(&y, &s.w);
    failures += y.epsilon > eps;
    if (y.m < fewest) fewest = y.m;
    assert_true(report_number(&y, SUBQUAD_REPORT_EPSILON_BOUND) == eps);
    sparsified_free(&y);
  }
  if (failures >= too_many_failures(TRIALS, delta)) fail_msg("%d of %d failed", (int)failures, (int)TRIALS);
  assert_true(fewest < d / 2);
  subquad_options_destroy(options);
  stored_free(&from);
  scene_free(&s);
}

static void test_eps_with_its_probability(void** state) {
  check_promise(*state, GENERIC, 2000, COLUMN_MAJOR, 0.5, 0.1);
  check_promise(*state, GENERIC, 2000, CSC_32, 0.8, 0.5);
  check_promise(*state, SKEWED, 1500, CSR_64_FROM_1, 0.7, 0.2);
  check_promise(*state, DEPENDENT, 3000, BLOCKS, 0.6, 0.3);
}

/* Planted: X is k identities side by side. Every score is 1/k, all weights are equal, and Y Y' is diagonal. */
static void test_a_planted_certificate(void** state) {
  enum { N = 4, K = 25, D = N * K };
  static double x[N * D];
  for (int64_t j = 0; j < D; ++j) x[j % N * D + j] = 1;
  const subquad_array view = matrix(x, SUBQUAD_FLOAT64, N, D);
  subquad_matrix* matrix_of_x = NULL;
  assert_ok(subquad_matrix_from_dense(&view, &matrix_of_x));
  for (int64_t columns = N; columns < D; columns += 13) {
    subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, columns);
    sparsified y = sparsify(*state, options, matrix_of_x, NULL);
    double sums[N] = {0}, e = 0;
    for (int64_t c = 0; c < y.m; ++c) sums[y.indices[c] % N] += y.weights[c];
    for (int64_t i = 0; i < N; ++i) e = fmax(e, fabs(sums[i] / K - 1));
    assert_true(fabs(y.epsilon - e) <= 1e-16 * N * (2 * D + 7) * (2 + e) * N); /* as certificate_budget, condition 1 */
    for (int64_t c = 1; c < y.m; ++c) assert_true(fabs(y.weights[c] / y.weights[0] - 1) <= 1e-16 * 4 * N * N * (2 * D + 7));
    sparsified_free(&y);
    subquad_options_destroy(options);
  }
  subquad_matrix_destroy(matrix_of_x);
}

/* ---- barriers ---- */

static void check_barriers(subquad_context* context, const scene* s, storage how, double c) {
  const int64_t columns = (int64_t)ceil(c * (double)s->w.rank);
  if (columns >= s->p.d) return;
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_DETERMINISTIC, columns);
  sparsified y = sparsify_stored(context, options, &s->p, how);
  const long double promise = barrier_promise((long double)columns / s->w.rank);
  const long double roundoff = certificate_budget(&s->w, unit_of(s->p.dtype), y.m, promise);
  assert_true(y.m <= columns && y.m >= s->w.rank);
  assert_sparsifies(&y, &s->w);
  if (!(y.epsilon <= promise + roundoff))
    fail_msg("%s, c = %g: e = %.9g, promised %.9Lg", storage_names[how], c, y.epsilon, promise);
  assert_gram_within(&y, &s->w, promise + roundoff);
  assert_int_equal(report_count(&y, SUBQUAD_REPORT_STEPS), columns);
  assert_true(fabsl(report_number(&y, SUBQUAD_REPORT_EPSILON_BOUND) - promise) <= 8 * unit_of(SUBQUAD_FLOAT64));
  assert_true(y.epsilon <= report_number(&y, SUBQUAD_REPORT_EPSILON_BARRIERS) + roundoff);
  sparsified_free(&y);
  subquad_options_destroy(options);
}

static void test_barriers_hold_what_they_promise(void** state) {
  static const double widths[] = {1.01, 1.5, 2, 4, 9, 16};
  for (kind of = GENERIC; of < KINDS; ++of) {
    for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
      scene small = new_scene(of, 4, 90, dtype), larger = new_scene(of, 9, 400, dtype);
      for (size_t i = 0; i < COUNT(widths); ++i) {
        check_barriers(*state, &small, (storage)(i * 3 % STORAGES), widths[i]);
        check_barriers(*state, &larger, (storage)((i * 5 + (size_t)of) % STORAGES), widths[i]);
      }
      scene_free(&small);
      scene_free(&larger);
    }
  }
}

static void test_barriers_in_every_storage(void** state) {
  scene s = new_scene(SPARSE, 5, 60, SUBQUAD_FLOAT64);
  for (storage how = 0; how < STORAGES; ++how) check_barriers(*state, &s, how, 4);
  scene_free(&s);
}

static void test_barriers_for_an_eps(void** state) {
  static const double wanted[] = {0.3, 0.6, 0.95};
  scene s = new_scene(GENERIC, 4, 400, SUBQUAD_FLOAT64);
  for (size_t i = 0; i < COUNT(wanted); ++i) {
    subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_DETERMINISTIC, 0);
    assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SPARSIFY_EPS, wanted[i]));
    sparsified y = sparsify_stored(*state, options, &s.p, CSC_64);
    assert_sparsifies(&y, &s.w);
    assert_true(y.epsilon <= wanted[i] + certificate_budget(&s.w, unit_of(SUBQUAD_FLOAT64), y.m, wanted[i]));
    assert_true(y.m < 400);
    sparsified_free(&y);
    subquad_options_destroy(options);
  }
  scene_free(&s);
}

/* ---- gram ---- */

static void test_gram(void** state) {
  for (kind of = GENERIC; of < KINDS; ++of) {
    for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
      scene s = new_scene(of, 5, 200, dtype);
      subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_GRAM, 0);
      for (storage how = 0; how < STORAGES; ++how) {
        sparsified y = sparsify_stored(*state, options, &s.p, how);
        assert_int_equal(y.m, s.w.rank);
        assert_null(y.indices);
        assert_gram_within(&y, &s.w, 0);
        assert_true(y.epsilon <= certificate_budget(&s.w, unit_of(dtype), y.m, 0));
        sparsified_free(&y);
      }
      subquad_options_destroy(options);
      scene_free(&s);
    }
  }
}

/* ---- what all methods share ---- */

static void check_itself(subquad_context* context, int32_t method, int64_t n, int64_t d, int64_t columns, storage how) {
  scene s = new_scene(GENERIC, n, d, SUBQUAD_FLOAT64);
  subquad_options* options = sparsify_options(method, columns);
  sparsified y = sparsify_stored(context, options, &s.p, how);
  assert_int_equal(y.m, d);
  assert_true(y.epsilon == 0);
  assert_int_equal(y.certificate, SUBQUAD_CERTIFICATE_EXACT);
  for (int64_t j = 0; j < d; ++j) {
    assert_int_equal(y.indices[j], j);
    assert_true(y.weights[j] == 1);
    for (int64_t i = 0; i < n; ++i) assert_true(element(&y.y, i, j, 0, 0) == s.p.x[i * d + j]);
  }
  sparsified_free(&y);
  subquad_options_destroy(options);
  scene_free(&s);
}

static void test_all_columns_are_x_itself(void** state) {
  for (storage how = 0; how < STORAGES; ++how) {
    for (int32_t method = SUBQUAD_SPARSIFIER_LEVERAGE; method <= SUBQUAD_SPARSIFIER_DETERMINISTIC; ++method) {
      check_itself(*state, method, 3, 8, 8, how);
      check_itself(*state, method, 3, 8, INT64_C(1) << 60, how);
      check_itself(*state, method, 5, 2, 2, how);
      check_itself(*state, method, 1, 1, 1, how);
      check_itself(*state, method, 3, 0, 4, how);
      check_itself(*state, method, 0, 3, 3, how);
    }
    check_itself(*state, SUBQUAD_SPARSIFIER_GRAM, 5, 2, 0, how);
  }
}

/* Of a matrix of zeros nothing is left, by any method. */
static void test_zeros(void** state) {
  static double zeros[3 * 9];
  const subquad_array view = matrix(zeros, SUBQUAD_FLOAT64, 3, 9);
  subquad_matrix* x = NULL;
  assert_ok(subquad_matrix_from_dense(&view, &x));
  for (int32_t method = SUBQUAD_SPARSIFIER_LEVERAGE; method <= SUBQUAD_SPARSIFIER_GRAM; ++method) {
    subquad_options* options = sparsify_options(method, method == SUBQUAD_SPARSIFIER_GRAM ? 0 : 4);
    sparsified y = sparsify(*state, options, x, NULL);
    assert_int_equal(y.m, 0);
    assert_true(y.epsilon == 0 && y.radius == 0);
    assert_int_equal(report_count(&y, SUBQUAD_REPORT_RANK), 0);
    sparsified_free(&y);
    subquad_options_destroy(options);
  }
  subquad_matrix_destroy(x);
}

static void test_no_certificate(void** state) {
  scene s = new_scene(GENERIC, 3, 30, SUBQUAD_FLOAT32);
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 9);
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_CERTIFY, SUBQUAD_CERTIFICATE_NONE));
  sparsified y = sparsify_stored(*state, options, &s.p, ROW_MAJOR);
  assert_true(isnan(y.epsilon));
  assert_int_equal(y.certificate, SUBQUAD_CERTIFICATE_NONE);
  assert_true(fabsl(y.radius - largest_gram(&s.w)) <= 40 * unit_of(SUBQUAD_FLOAT32) * largest_gram(&s.w));
  sparsified_free(&y);
  subquad_options_destroy(options);
  scene_free(&s);
}

/* An estimate lies below the true e, and is called one; AUTO gives one or the other. */
static void test_estimates_lie_below(void** state) {
  static const storage stores[] = {ROW_MAJOR, CSC_32, CSR_64};
  for (size_t i = 0; i < COUNT(stores); ++i) {
    for (int32_t certify = SUBQUAD_CERTIFICATE_AUTO; certify <= SUBQUAD_CERTIFICATE_ESTIMATE; ++certify) {
      scene s = new_scene(SPARSE, 12, 4000, SUBQUAD_FLOAT64);
      subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 90);
      assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_CERTIFY, certify));
      sparsified y = sparsify_stored(*state, options, &s.p, stores[i]);
      const long double e = certificate_of(&s.w, y.m, y.indices, y.weights);
      const long double roundoff = certificate_budget(&s.w, unit_of(SUBQUAD_FLOAT64), y.m, e);
      assert_true(y.certificate == SUBQUAD_CERTIFICATE_EXACT || y.certificate == SUBQUAD_CERTIFICATE_ESTIMATE);
      if (certify != SUBQUAD_CERTIFICATE_AUTO && certify != SUBQUAD_CERTIFICATE_ESTIMATE)
        assert_int_equal(y.certificate, SUBQUAD_CERTIFICATE_EXACT);
      assert_true(y.epsilon <= e + roundoff && y.epsilon > 0);
      if (y.certificate == SUBQUAD_CERTIFICATE_EXACT) assert_true(y.epsilon >= e - roundoff);
      const char* how = NULL;
      assert_ok(subquad_report_get_string(y.report, SUBQUAD_REPORT_CERTIFICATE, 0, &how));
      assert_string_equal(how, y.certificate == SUBQUAD_CERTIFICATE_EXACT ? "exact" : "estimate");
      sparsified_free(&y);
      subquad_options_destroy(options);
      scene_free(&s);
    }
  }
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
      cmocka_unit_test(test_sampled_columns),
      cmocka_unit_test(test_every_storage_gives_the_same_columns),
      cmocka_unit_test(test_eps_with_its_probability),
      cmocka_unit_test(test_a_planted_certificate),
      cmocka_unit_test(test_barriers_hold_what_they_promise),
      cmocka_unit_test(test_barriers_in_every_storage),
      cmocka_unit_test(test_barriers_for_an_eps),
      cmocka_unit_test(test_gram),
      cmocka_unit_test(test_all_columns_are_x_itself),
      cmocka_unit_test(test_zeros),
      cmocka_unit_test(test_no_certificate),
      cmocka_unit_test(test_estimates_lie_below),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
