/* Plans that are not exact: the error asked for, the budget, parts, estimates, and gradients, against exact attention. */
#include <math.h>
#include <string.h>

#include "plan_problem.h"

enum { N = 4096, HEADS = 4, HEADS_KV = 2 };

/* What method auto promises of all but a few heads, of its true error against tol; the heads of these tests are not among the few. */
static const double calibration = 1.25;

static const int32_t dtypes[] = {SUBQUAD_FLOAT32, SUBQUAD_FLOAT64};

typedef struct scene {
  subquad_context* context;
  problem p, exact; /* exact: the same inputs with the outputs of exact attention */
  subquad_options* options;
  subquad_report *made, *applied;
} scene;

static scene new_scene(subquad_context* context, int32_t dtype, double tol) {
  scene s = {.context = context, .options = plan_options(tol), .made = new_report(), .applied = new_report()};
  s.p = local_problem(HEADS, HEADS_KV, N, dtype);
  s.exact = same_inputs(&s.p);
  subquad_options* causal = new_options();
  assert_ok(subquad_options_set_int(causal, SUBQUAD_OPTION_CAUSAL, 1));
  assert_ok(attend(context, causal, &s.exact));
  subquad_options_destroy(causal);
  return s;
}

static void scene_free(scene* s) {
  same_inputs_free(&s->exact);
  problem_free(&s->p);
  subquad_options_destroy(s->options);
  subquad_report_destroy(s->made);
  subquad_report_destroy(s->applied);
}

static void plan_and_apply(scene* s) {
  subquad_plan* plan = new_plan(s->context, s->options, &s->p, s->made);
  assert_ok(plan_apply(s->context, plan, &s->p, s->applied));
  subquad_plan_destroy(plan);
}

/* Pairs of a head that a report accounts for, at most those that are visible. */
static double share_of(const subquad_report* report, int64_t head) {
  const int64_t weights =
      report_int(report, SUBQUAD_REPORT_PAIRS_EXACT, head) + report_int(report, SUBQUAD_REPORT_PAIRS_LOW, head);
  const int64_t visible = (int64_t)N * (N + 1) / 2, screened = report_int(report, SUBQUAD_REPORT_PAIRS_SCREENED, head);
  assert_true(weights >= 0 && screened >= 0 && weights + screened <= visible);
  return (double)weights / (double)visible;
}

static void test_tolerances_are_held(void** state) {
  static const double tols[] = {0.2, 0.1, 0.05, 0.01};
  for (size_t t = 0; t < COUNT(dtypes); ++t) {
    for (size_t i = 0; i < COUNT(tols); ++i) {
      scene s = new_scene(*state, dtypes[t], tols[i]);
      plan_and_apply(&s);
      for (int64_t head = 0; head < HEADS; ++head) {
        const double error = head_error(&s.p.o, &s.exact.o, head);
        if (!(error <= calibration * tols[i]))
          fail_msg("tol %g, head %d (%s): off by %.3g", tols[i], (int)head, report_text(s.made, SUBQUAD_REPORT_PARTS, head),
                   error);
        assert_true(report_float(s.made, SUBQUAD_REPORT_ERROR, head) <= tols[i]);
        share_of(s.applied, head);
      }
      if (tols[i] >= 0.05) assert_true(approximate_heads(s.made) > 0);
      scene_free(&s);
    }
  }
}

static void test_budgets_are_held(void** state) {
  static const double budgets[] = {0.2, 0.3, 600, 1};  // what screening computes at the least is about 0.16 of these pairs
  for (size_t i = 0; i < COUNT(budgets); ++i) {
    scene s = new_scene(*state, SUBQUAD_FLOAT32, 0);
    assert_ok(subquad_options_reset(s.options, SUBQUAD_OPTION_TOL));
    assert_ok(subquad_options_set_float(s.options, SUBQUAD_OPTION_BUDGET, budgets[i]));
    plan_and_apply(&s);
    const double most = budgets[i] <= 1 ? budgets[i] : budgets[i] * N / ((double)N * (N + 1) / 2);
    for (int64_t head = 0; head < HEADS; ++head) {
      const double share = share_of(s.applied, head);
      if (!(share <= most))
        fail_msg("budget %g, head %d (%s): %.4f of the pairs", budgets[i], (int)head,
                 report_text(s.made, SUBQUAD_REPORT_PARTS, head), share);
    }
    scene_free(&s);
  }
}

static int has_part(const subquad_report* report, int64_t head, const char* part) {
  return strstr(report_text(report, SUBQUAD_REPORT_PARTS, head), part) != NULL;
}

static void test_parts_that_are_not_allowed(void** state) {
  enum { ALL = 31 };
  static const int64_t allowed[] = {0, 1, 2, 4, 8, 16, ALL - 1, ALL - 2, ALL - 4, ALL - 8, ALL - 16};
  for (size_t i = 0; i < COUNT(allowed); ++i) {
    const int64_t parts = allowed[i];
    scene s = new_scene(*state, SUBQUAD_FLOAT32, 0.1);
    assert_ok(subquad_options_set_int(s.options, SUBQUAD_OPTION_PARTS, parts));
    plan_and_apply(&s);
    for (int64_t head = 0; head < HEADS; ++head) {
      if (!(parts & SUBQUAD_PART_HEAVY)) assert_int_equal(report_int(s.made, SUBQUAD_REPORT_HEAVY_COLUMNS, head), 0);
      if (!(parts & SUBQUAD_PART_SELECTION)) assert_true(report_float(s.made, SUBQUAD_REPORT_SELECTED_KEYS, head) == 0);
      if (!(parts & SUBQUAD_PART_CENTROIDS)) assert_false(has_part(s.made, head, "centroids"));
      if (!(parts & SUBQUAD_PART_CONV)) assert_int_equal(report_int(s.made, SUBQUAD_REPORT_CONV_BASES, head), 0);
      if (!(parts & SUBQUAD_PART_SCREENING)) assert_false(has_part(s.made, head, "screen"));
      assert_true(head_error(&s.p.o, &s.exact.o, head) <= calibration * 0.1);
    }
    scene_free(&s);
  }
}

static void test_estimates_by_name(void** state) {
  static const char* const names[] = {[SUBQUAD_ESTIMATE_SCREENED] = "screened", [SUBQUAD_ESTIMATE_SAMPLED] = "sampled"};
  for (int32_t estimate = SUBQUAD_ESTIMATE_SCREENED; estimate <= SUBQUAD_ESTIMATE_SAMPLED; ++estimate) {
    scene s = new_scene(*state, SUBQUAD_FLOAT32, 0.1);
    assert_ok(subquad_options_set_int(s.options, SUBQUAD_OPTION_ESTIMATE, estimate));
    plan_and_apply(&s);
    assert_string_equal(report_text(s.made, SUBQUAD_REPORT_ESTIMATE, 0), names[estimate]);
    for (int64_t head = 0; head < HEADS; ++head) assert_true(head_error(&s.p.o, &s.exact.o, head) <= calibration * 0.1);
    scene_free(&s);
  }
}

/* A plan without values errs as much on those it has never seen. */
static void test_a_plan_for_any_values(void** state) {
  scene s = new_scene(*state, SUBQUAD_FLOAT32, 0.1);
  subquad_plan* plan = NULL;
  assert_ok(subquad_plan_create(*state, s.options, &s.p.q, &s.p.k, NULL, NULL, NULL, &plan, s.made));
  assert_true(approximate_heads(s.made) > 0);
  assert_ok(plan_apply(*state, plan, &s.p, s.applied));
  for (int64_t head = 0; head < HEADS; ++head) assert_true(head_error(&s.p.o, &s.exact.o, head) <= calibration * 0.1);
  subquad_plan_destroy(plan);
  scene_free(&s);
}

/* The same seed gives the same plan; what else a seed gives is another sample of the same. */
static void test_seeds(void** state) {
  scene s = new_scene(*state, SUBQUAD_FLOAT32, 0.1);
  problem again = same_inputs(&s.p);
  for (int64_t seed = 0; seed < 3; ++seed) {
    assert_ok(subquad_options_set_int(s.options, SUBQUAD_OPTION_SEED, seed));
    plan_and_apply(&s);
    subquad_plan* plan = new_plan(*state, s.options, &again, NULL);
    assert_ok(plan_apply(*state, plan, &again, NULL));
    subquad_plan_destroy(plan);
    assert_true(same_bits(&s.p.o, &again.o) && same_bits(&s.p.lse, &again.lse));
    for (int64_t head = 0; head < HEADS; ++head) assert_true(head_error(&s.p.o, &s.exact.o, head) <= calibration * 0.1);
  }
  same_inputs_free(&again);
  scene_free(&s);
}

/* Four rows that need one far key each, which no other row does, whatever its logit: where every pair is screened they get its value, but
 * for the method's 8-bit integers of weights and values: half a step of each, 1/254 of the largest entry. */
static void test_needles_are_found(void** state) {
  static const int64_t needles[][2] = {{4000, 1234}, {2048, 0}, {1023, 960}, {N - 1, 63}};
  static const float heights[] = {8, 16, 32};
  enum { FIRST = 24, COLUMNS = 8 }; /* those of noise */
  for (size_t i = 0; i < COUNT(heights); ++i) {
    scene s = new_scene(*state, SUBQUAD_FLOAT32, 0.1);
    float *q = s.p.q.data, *k = s.p.k.data;
    for (int64_t needle = 0; needle < (int64_t)COUNT(needles); ++needle) {
      for (int64_t c = FIRST + needle * COLUMNS; c < FIRST + (needle + 1) * COLUMNS; ++c) {
        q[needles[needle][0] * s.p.d + c] = heights[i]; /* in head 0 */
        k[needles[needle][1] * s.p.d + c] = heights[i];
      }
    }
    assert_ok(subquad_options_set_int(s.options, SUBQUAD_OPTION_ESTIMATE, SUBQUAD_ESTIMATE_SCREENED));
    plan_and_apply(&s);
    for (int64_t needle = 0; needle < (int64_t)COUNT(needles); ++needle) {
      double off = 0, size = 0, largest = 0;
      for (int64_t c = 0; c < s.p.d_v; ++c) {
        const double value = element(&s.p.v, 0, 0, needles[needle][1], c);
        const double difference = element(&s.p.o, 0, 0, needles[needle][0], c) - value;
        off += difference * difference;
        size += value * value;
        largest = fmax(largest, fabs(value));
      }
      if (!(off <= pow(2 * largest / 254, 2) * (double)s.p.d_v))
        fail_msg("height %g, row %d: off by %.3g of its norm (%s)", heights[i], (int)needles[needle][0], sqrt(off / size),
                 report_text(s.made, SUBQUAD_REPORT_PARTS, 0));
    }
    scene_free(&s);
  }
}

static subquad_context* scalar_context(void) {
  subquad_context* context = new_context();
  const char* name = NULL;
  for (int64_t i = 0; subquad_simd_target_at(i, &name) == SUBQUAD_OK; ++i) continue;
  assert_ok(subquad_context_set_simd_target(context, name));
  return context;
}

/* The portable target may choose other parts; it holds the tolerance as well. */
static void test_the_portable_target(void** state) {
  (void)state;
  subquad_context* context = scalar_context();
  scene s = new_scene(context, SUBQUAD_FLOAT32, 0.1);
  plan_and_apply(&s);
  for (int64_t head = 0; head < HEADS; ++head) assert_true(head_error(&s.p.o, &s.exact.o, head) <= calibration * 0.1);
  scene_free(&s);
  subquad_context_destroy(context);
}

/* Budget chance: by how much the square of an error that is estimated from sampled rows may exceed or miss the true one, at six standard
 * deviations of such a mean. The sample is no less spread than a random one. */
static double chance(const subquad_array* a, const subquad_array* b, int64_t head, int64_t rows, double error) {
  double size = 0, spread = 0;
  for (int64_t i = 0; i < N; ++i) {
    double off = 0, whole = 0;
    for (int64_t c = 0; c < a->shape[3]; ++c) {
      const double wanted = element(b, 0, head, i, c), difference = element(a, 0, head, i, c) - wanted;
      off += difference * difference;
      whole += wanted * wanted;
    }
    size += whole;
    spread += (off - error * error * whole) * (off - error * error * whole);
  }
  return 6 * sqrt(spread / N / (double)rows) / (size / N);
}

/* Gradients of approximate heads: dq is as far from the exact one as the report estimates it to be. */
static void test_gradients(void** state) {
  scene s = new_scene(*state, SUBQUAD_FLOAT32, 0.05);
  problem upstream = local_problem(HEADS, HEADS_KV, N, SUBQUAD_FLOAT32), exact = upstream, planned = upstream;
  problem_create(&exact);
  problem_create(&planned);
  assert_ok(subquad_fill_uniform(&upstream.o, 5, 0, -1, 1));
  subquad_plan* plan = new_plan(*state, s.options, &s.p, s.made);
  assert_true(approximate_heads(s.made) > 0);
  assert_ok(plan_apply(*state, plan, &s.p, NULL));
  assert_ok(subquad_plan_backward(*state, NULL, plan, &s.p.v, &s.p.o, &s.p.lse, &upstream.o, &planned.q, &planned.k, &planned.v,
                                  s.applied));
  subquad_options* causal = new_options();
  assert_ok(subquad_options_set_int(causal, SUBQUAD_OPTION_CAUSAL, 1));
  assert_ok(subquad_attention_backward(*state, causal, &s.p.q, &s.p.k, &s.p.v, NULL, NULL, &s.exact.o, &s.exact.lse, &upstream.o,
                                       &exact.q, &exact.k, &exact.v, NULL, NULL));
  const int64_t rows = report_int(s.applied, SUBQUAD_REPORT_SAMPLED_ROWS, 0);
  for (int64_t head = 0; head < HEADS; ++head) {
    const double estimate = report_float(s.applied, SUBQUAD_REPORT_ERROR_BACKWARD, head);
    const double error = head_error(&planned.q, &exact.q, head);
    const double budget = chance(&planned.q, &exact.q, head, rows, error);
    if (!(fabs(estimate * estimate - error * error) <= budget))
      fail_msg("dq of head %d is off by %.3g, estimated as %.3g, budget of the squares %.2g", (int)head, error, estimate, budget);
  }
  subquad_plan_destroy(plan);
  subquad_options_destroy(causal);
  problem_free(&upstream);
  problem_free(&exact);
  problem_free(&planned);
  scene_free(&s);
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
      cmocka_unit_test(test_tolerances_are_held),
      cmocka_unit_test(test_budgets_are_held),
      cmocka_unit_test(test_parts_that_are_not_allowed),
      cmocka_unit_test(test_estimates_by_name),
      cmocka_unit_test(test_a_plan_for_any_values),
      cmocka_unit_test(test_seeds),
      cmocka_unit_test(test_needles_are_found),
      cmocka_unit_test(test_the_portable_target),
      cmocka_unit_test(test_gradients),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
