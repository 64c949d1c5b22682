/* What later tokens may change: under one plan, nothing but round-off; of strict plans, not one bit. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "plan_problem.h"

static const int32_t dtypes[] = {SUBQUAD_FLOAT32, SUBQUAD_FLOAT64};

/* Other values from row `from` on, in all heads. */
static void change_values(const problem* p, int64_t from, double reach) {
  for (int64_t h = 0; h < p->heads_kv; ++h) {
    const size_t size = p->dtype == SUBQUAD_FLOAT32 ? sizeof(float) : sizeof(double);
    const subquad_array rows =
        matrix((char*)p->v.data + (size_t)(h * p->n_k + from) * (size_t)p->d_v * size, p->dtype, p->n_k - from, p->d_v);
    assert_ok(subquad_fill_uniform(&rows, 99, (uint64_t)h, -reach, reach));
  }
}

/* Largest difference of two outputs before row `from`, over all heads that have a conv far field (conv = 1) or none. */
static double difference(const problem* a, const problem* b, int64_t from, const subquad_report* report, int conv) {
  double worst = 0;
  for (int64_t h = 0; h < a->heads_q; ++h) {
    if ((report_int(report, SUBQUAD_REPORT_CONV_BASES, h) > 0) != conv) continue;
    for (int64_t i = 0; i < from; ++i)
      for (int64_t c = 0; c < a->d_v; ++c) worst = fmax(worst, fabs(element(&a->o, 0, h, i, c) - element(&b->o, 0, h, i, c)));
  }
  return worst;
}

/* Budget roundoff of a conv far field, the promise of conv bases: 1e-4 of the largest value in float32, 1e-9 in float64. */
static double promise(const problem* p) { return p->dtype == SUBQUAD_FLOAT32 ? 1e-4 : 1e-9; }

static void test_later_values_under_one_plan(void** state) {
  static const int64_t froms[] = {1, 63, 64, 1000, 2047, 3071};
  enum { N = 3072 };
  for (size_t t = 0; t < COUNT(dtypes); ++t) {
    problem p = local_problem(4, 2, N, dtypes[t]), changed = same_inputs(&p);
    subquad_options* options = plan_options(0.1);
    subquad_report* report = new_report();
    subquad_plan* plan = new_plan(*state, options, &p, report);
    assert_true(approximate_heads(report) > 0);
    assert_ok(plan_apply(*state, plan, &p, NULL));
    for (size_t i = COUNT(froms); i-- > 0;) { /* ever more values are changed */
      change_values(&p, froms[i], 3);
      assert_ok(plan_apply(*state, plan, &changed, NULL));
      assert_true(difference(&p, &changed, froms[i], report, 0) == 0);
      assert_true(difference(&p, &changed, froms[i], report, 1) <= 3 * promise(&p));
    }
    subquad_plan_destroy(plan);
    subquad_report_destroy(report);
    subquad_options_destroy(options);
    same_inputs_free(&changed);
    problem_free(&p);
  }
}

static void expect_same_rows(const problem* longer, const problem* shorter, int64_t rows) {
  for (int64_t h = 0; h < longer->heads_q; ++h) {
    for (int64_t i = 0; i < rows; ++i) {
      int same = element(&longer->lse, 0, h, i, 0) == element(&shorter->lse, 0, h, i, 0);
      for (int64_t c = 0; c < longer->d_v; ++c) same &= element(&longer->o, 0, h, i, c) == element(&shorter->o, 0, h, i, c);
      if (!same) fail_msg("row %d of head %d changes with rows from %d on", (int)i, (int)h, (int)rows);
    }
  }
}

static void strict(subquad_context* context, const subquad_options* options, const problem* p, subquad_report* report) {
  subquad_plan* plan = new_plan(context, options, p, report);
  assert_ok(plan_apply(context, plan, p, NULL));
  subquad_plan_destroy(plan);
}

/* Rows of a longer sequence, whatever comes after them. */
static void test_strict_plans_of_a_longer_sequence(void** state) {
  enum { N = 3500 };
  static const int64_t lengths[] = {1, 100, 1023, 1024, 1700, 2048, 2500, 3499};
  for (size_t t = 0; t < COUNT(dtypes); ++t) {
    problem p = local_problem(2, 1, N, dtypes[t]);
    subquad_options* options = plan_options(0.1);
    subquad_report* report = new_report();
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_STRICT_CAUSAL, 1));
    strict(*state, options, &p, report);
    assert_true(approximate_heads(report) > 0);
    for (size_t i = 0; i < COUNT(lengths); ++i) {
      problem shorter = same_inputs(&p);
      const problem first = first_rows(&shorter, lengths[i]);
      strict(*state, options, &first, NULL);
      expect_same_rows(&p, &shorter, lengths[i]);
      same_inputs_free(&shorter);
    }
    subquad_report_destroy(report);
    subquad_options_destroy(options);
    problem_free(&p);
  }
}

/* The same length, but other queries, keys and values later on. */
static void test_strict_plans_with_other_later_tokens(void** state) {
  enum { N = 3000, FROM = 1900 };
  problem p = local_problem(2, 2, N, SUBQUAD_FLOAT32), other = local_problem(2, 2, N, SUBQUAD_FLOAT32);
  const subquad_array* arrays[] = {&other.q, &other.k, &other.v};
  for (size_t a = 0; a < COUNT(arrays); ++a) {
    for (int64_t h = 0; h < 2; ++h) {
      const subquad_array rows =
          matrix((float*)arrays[a]->data + (h * N + FROM) * arrays[a]->shape[3], SUBQUAD_FLOAT32, N - FROM, arrays[a]->shape[3]);
      assert_ok(subquad_fill_uniform(&rows, 98, 2 * a + (uint64_t)h, -5, 5));
    }
  }
  subquad_options* options = plan_options(0.1);
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_STRICT_CAUSAL, 1));
  for (int64_t random = 0; random <= 1; ++random) {
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SEED, random));
    strict(*state, options, &p, NULL);
    strict(*state, options, &other, NULL);
    expect_same_rows(&p, &other, FROM);
  }
  subquad_options_destroy(options);
  problem_free(&p);
  problem_free(&other);
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
      cmocka_unit_test(test_later_values_under_one_plan),
      cmocka_unit_test(test_strict_plans_of_a_longer_sequence),
      cmocka_unit_test(test_strict_plans_with_other_later_tokens),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
