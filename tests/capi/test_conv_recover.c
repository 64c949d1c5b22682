/* Recovery and fit of conv bases through the C API: what they find, what they report, and attention by method conv_basis. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { N = 200, D = 4, BASES = 3, WINDOW = 5 };

static const int64_t all_starts[BASES] = {17, 90, 141};

/* Queries and keys that turn with their position, keys constant otherwise on pieces: a logit depends on the lag and the piece alone. Keys
 * before the first start are zero. Deviations of the logits are at most `noise`. */
typedef struct pair {
  double q[N * D], k[N * D], v[N * 2];
  subquad_array q_view, k_view, v_view;
} pair;

static void turn(double* row, const double* from, int64_t position) {
  for (int f = 0; f < D / 2; ++f) {
    const double angle = 0.37 * (f + 1) * (double)position;
    row[f] = from[f] * cos(angle) - from[f + D / 2] * sin(angle);
    row[f + D / 2] = from[f] * sin(angle) + from[f + D / 2] * cos(angle);
  }
}

static void create(pair* p, double noise) {
  double pieces[BASES + 1][D], query[D];
  const subquad_array pieces_view = matrix(pieces, SUBQUAD_FLOAT64, BASES + 1, D), query_view = vector(query, SUBQUAD_FLOAT64, D);
  assert_ok(subquad_fill_uniform(&pieces_view, 3, 0, -2, 2));
  assert_ok(subquad_fill_uniform(&query_view, 3, 1, 0.5, 1.5));
  memset(pieces[0], 0, sizeof pieces[0]);
  p->q_view = matrix(p->q, SUBQUAD_FLOAT64, N, D);
  p->k_view = matrix(p->k, SUBQUAD_FLOAT64, N, D);
  p->v_view = matrix(p->v, SUBQUAD_FLOAT64, N, 2);
  assert_ok(subquad_fill_uniform(&p->k_view, 3, 2, -1, 1));
  assert_ok(subquad_fill_uniform(&p->v_view, 3, 3, -1, 1));
  for (int64_t i = 0; i < N; ++i) {
    double turned[D];
    int piece = 0;
    while (piece < BASES && all_starts[piece] <= i) ++piece;
    turn(p->q + i * D, query, i);
    turn(turned, pieces[piece], i);
    /* |q| <= 1.5 sqrt(D), |k's deviation| <= sqrt(D) times its largest entry */
    for (int c = 0; c < D; ++c) p->k[i * D + c] = turned[c] + noise / (1.5 * D) * p->k[i * D + c];
  }
}

static subquad_options* recovery_options(int64_t bases, double eps) {
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SCALE, 1));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_BASES, bases));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CONV_WINDOW, WINDOW));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_CONV_DELTA, 2));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_CONV_EPS, eps));
  return options;
}

static int64_t reported(const subquad_report* report, int32_t key) {
  int64_t value = -1;
  assert_ok(subquad_report_get_int(report, key, 0, &value));
  return value;
}

static void expect_starts(const subquad_conv_basis* basis, const int64_t* starts, int64_t count) {
  int64_t found[BASES + 2] = {0};
  subquad_array kernels;
  assert_ok(subquad_conv_basis_describe(basis, &kernels));
  assert_int_equal(kernels.shape[2], count);
  const subquad_array view = row_major(found, SUBQUAD_INT64, 3, kernels.shape);
  assert_ok(subquad_conv_basis_get(basis, NULL, &view, NULL));
  assert_memory_equal(found, starts, (size_t)count * sizeof *starts);
}

static void test_starts_and_counts(void** state) {
  static pair p;
  static const double noises[] = {0, 0.01, 0.08};
  for (size_t i = 0; i < COUNT(noises); ++i) {
    for (int64_t bases = BASES; bases <= BASES + 2; ++bases) {
      create(&p, noises[i]);
      subquad_report* report = new_report();
      subquad_options* options = recovery_options(bases, noises[i]);
      subquad_conv_basis* basis = NULL;
      assert_ok(subquad_conv_basis_recover(*state, options, &p.q_view, &p.k_view, &basis, report));
      expect_starts(basis, all_starts, BASES);
      assert_int_equal(reported(report, SUBQUAD_REPORT_BASES), BASES);
      assert_in_range(reported(report, SUBQUAD_REPORT_PROBES), 1, bases * 8 + bases); /* 8 = ceil(log2 200) */
      assert_int_equal(reported(report, SUBQUAD_REPORT_COLUMNS), BASES);
      double bound = -1;
      assert_ok(subquad_report_get_float(report, SUBQUAD_REPORT_ERROR_BOUND, 0, &bound));
      assert_true(fabs(bound - 2 * tanh(noises[i])) <= 1e-15);
      subquad_conv_basis_destroy(basis);
      subquad_options_destroy(options);
      subquad_report_destroy(report);
    }
  }
}

static void test_fewer_bases_asked_for_than_there_are(void** state) {
  static pair p;
  create(&p, 0);
  for (int64_t bases = 0; bases < BASES; ++bases) {
    subquad_report* report = new_report();
    subquad_options* options = recovery_options(bases, 0);
    subquad_conv_basis* basis = NULL;
    assert_ok(subquad_conv_basis_recover(*state, options, &p.q_view, &p.k_view, &basis, report));
    expect_starts(basis, all_starts, bases);
    assert_in_range(reported(report, SUBQUAD_REPORT_PROBES), 0, bases * 8 + bases);
    assert_in_range(reported(report, SUBQUAD_REPORT_COLUMNS), 0, bases);
    subquad_conv_basis_destroy(basis);
    subquad_options_destroy(options);
    subquad_report_destroy(report);
  }
}

/* Budgets: the theorem's 2 tanh(eps) max|v|, and the apply's promise. Exact attention on the same arrays is the oracle. */
static void test_attention_by_conv_basis(void** state) {
  static pair p;
  static double exact[N * 2], found[N * 2];
  static const double noises[] = {0, 0.01, 0.08};
  const subquad_array exact_view = matrix(exact, SUBQUAD_FLOAT64, N, 2), found_view = matrix(found, SUBQUAD_FLOAT64, N, 2);
  for (size_t i = 0; i < COUNT(noises); ++i) {
    create(&p, noises[i]);
    subquad_options *options = recovery_options(BASES, noises[i]), *plain = new_options();
    subquad_report* report = new_report();
    assert_ok(subquad_options_set_int(plain, SUBQUAD_OPTION_CAUSAL, 1));
    assert_ok(subquad_options_set_float(plain, SUBQUAD_OPTION_SCALE, 1));
    assert_ok(subquad_attention(*state, plain, &p.q_view, &p.k_view, &p.v_view, NULL, NULL, &exact_view, NULL, NULL));
    subquad_options_destroy(plain);
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_METHOD, SUBQUAD_METHOD_CONV_BASIS));
    assert_ok(subquad_attention(*state, options, &p.q_view, &p.k_view, &p.v_view, NULL, NULL, &found_view, NULL, report));
    for (int at = 0; at < N * 2; ++at) assert_true(fabs(exact[at] - found[at]) <= 2 * tanh(noises[i]) + 2e-9);
    const char* method = NULL;
    assert_ok(subquad_report_get_string(report, SUBQUAD_REPORT_METHOD, 0, &method));
    assert_string_equal(method, "conv_basis");
    assert_int_equal(reported(report, SUBQUAD_REPORT_PAIRS), N * (N + 1) / 2);
    assert_int_equal(reported(report, SUBQUAD_REPORT_BASES), BASES);
    assert_int_equal(reported(report, SUBQUAD_REPORT_COLUMNS), BASES);
    assert_true(reported(report, SUBQUAD_REPORT_LAYERS) >= 1 || reported(report, SUBQUAD_REPORT_BLOCK) == 0);
    assert_true(reported(report, SUBQUAD_REPORT_DIRECT_ROWS) >= 0);
    subquad_report_destroy(report);
    subquad_options_destroy(options);
  }
}

typedef struct errors {
  double mean, most;
  int64_t rows, bases;
} errors;

static errors errors_of(const subquad_report* report, int64_t head) {
  errors e;
  assert_ok(subquad_report_get_float(report, SUBQUAD_REPORT_ERROR_MEAN, head, &e.mean));
  assert_ok(subquad_report_get_float(report, SUBQUAD_REPORT_ERROR_MAX, head, &e.most));
  assert_ok(subquad_report_get_int(report, SUBQUAD_REPORT_BASES, head, &e.bases));
  e.rows = reported(report, SUBQUAD_REPORT_SAMPLED_ROWS);
  assert_true(e.mean >= 0 && e.mean <= e.most && e.most <= 2);
  assert_in_range(e.rows, 1, N);
  return e;
}

static errors fit_with(subquad_context* context, const pair* p, int64_t bases, double tol) {
  subquad_options* options = new_options();
  subquad_report* report = new_report();
  subquad_conv_basis* basis = NULL;
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SCALE, 1));
  if (bases >= 0) assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_BASES, bases));
  if (tol >= 0) assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_TOL, tol));
  assert_ok(subquad_conv_basis_fit(context, options, &p->q_view, &p->k_view, &basis, report));
  const errors e = errors_of(report, 0);
  if (bases >= 0) assert_in_range(e.bases, 0, bases);
  subquad_conv_basis_destroy(basis);
  subquad_report_destroy(report);
  subquad_options_destroy(options);
  return e;
}

/* A structure of BASES bases, and the columns before them as one more, leaves round-off: FFTs of 2 N entries in double, logits up to 12. */
static void test_a_fit_finds_a_structure(void** state) {
  static pair p;
  create(&p, 0);
  const errors enough = fit_with(*state, &p, BASES + 1, -1), too_few = fit_with(*state, &p, 1, -1);
  assert_true(enough.most <= 1e-9);
  assert_true(too_few.mean > 1e-3);
}

static void test_a_fit_to_a_tolerance(void** state) {
  static pair p;
  create(&p, 0.3);
  const errors rough = fit_with(*state, &p, -1, 0.5);
  assert_true(rough.mean <= 0.5);
  const errors fine = fit_with(*state, &p, -1, 0.05);
  assert_true(fine.bases >= rough.bases);
}

static void test_a_fit_reports_each_head(void** state) {
  enum { HEADS = 3 };
  static float q[HEADS * 40 * 2], k[40 * 2];
  const subquad_array q_view = stack(q, SUBQUAD_FLOAT32, HEADS, 40, 2), k_view = stack(k, SUBQUAD_FLOAT32, 1, 40, 2);
  assert_ok(subquad_fill_uniform(&q_view, 5, 0, -1, 1));
  assert_ok(subquad_fill_uniform(&k_view, 5, 1, -1, 1));
  subquad_options* options = new_options();
  subquad_report* report = new_report();
  subquad_conv_basis* basis = NULL;
  int64_t length = 0;
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_BASES, 6));
  assert_ok(subquad_conv_basis_fit(*state, options, &q_view, &k_view, &basis, report));
  assert_ok(subquad_report_length(report, SUBQUAD_REPORT_ERROR_MEAN, &length, NULL));
  assert_int_equal(length, HEADS);
  for (int64_t h = 0; h < HEADS; ++h) assert_in_range(errors_of(report, h).bases, 1, 6);
  subquad_conv_basis_destroy(basis);
  subquad_report_destroy(report);
  subquad_options_destroy(options);
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
      cmocka_unit_test(test_starts_and_counts),       cmocka_unit_test(test_fewer_bases_asked_for_than_there_are),
      cmocka_unit_test(test_attention_by_conv_basis), cmocka_unit_test(test_a_fit_finds_a_structure),
      cmocka_unit_test(test_a_fit_to_a_tolerance),    cmocka_unit_test(test_a_fit_reports_each_head),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
