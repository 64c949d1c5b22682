/* What plans and their use report, and attention by method auto, which is both in one. */
#include <string.h>

#include "plan_problem.h"

static void test_attention_is_a_plan_applied(void** state) {
  problem p = local_problem(2, 1, 2500, SUBQUAD_FLOAT32), direct = same_inputs(&p);
  subquad_options* options = plan_options(0.1);
  subquad_report* report = new_report();
  subquad_plan* plan = new_plan(*state, options, &p, NULL);
  assert_ok(plan_apply(*state, plan, &p, NULL));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_METHOD, SUBQUAD_METHOD_AUTO));
  assert_ok(subquad_attention(*state, options, &p.q, &p.k, &p.v, NULL, NULL, &direct.o, &direct.lse, report));
  assert_true(same_bits(&p.o, &direct.o) && same_bits(&p.lse, &direct.lse));
  assert_string_equal(report_text(report, SUBQUAD_REPORT_METHOD, 0), "auto");
  assert_int_equal(report_values(report, SUBQUAD_REPORT_HEAD_SECONDS_APPLY), 2);
  subquad_plan_destroy(plan);
  subquad_report_destroy(report);
  subquad_options_destroy(options);
  same_inputs_free(&direct);
  problem_free(&p);
}

static void expect_values(const subquad_report* report, const int32_t* keys, size_t count, int64_t values) {
  for (size_t i = 0; i < count; ++i) {
    const int64_t found = report_values(report, keys[i]);
    if (found != values) fail_msg("key %d holds %d values, not %d", (int)keys[i], (int)found, (int)values);
  }
}

static void test_reports(void** state) {
  static const int32_t of_heads[] = {SUBQUAD_REPORT_PARTS,
                                     SUBQUAD_REPORT_PAIRS_EXACT,
                                     SUBQUAD_REPORT_PAIRS_LOW,
                                     SUBQUAD_REPORT_PAIRS_SCREENED,
                                     SUBQUAD_REPORT_ERROR,
                                     SUBQUAD_REPORT_ERROR_LOW,
                                     SUBQUAD_REPORT_ERROR_HIGH,
                                     SUBQUAD_REPORT_FALLBACK,
                                     SUBQUAD_REPORT_WINDOW,
                                     SUBQUAD_REPORT_HEAVY_COLUMNS,
                                     SUBQUAD_REPORT_SELECTED_KEYS,
                                     SUBQUAD_REPORT_CONV_BASES,
                                     SUBQUAD_REPORT_HEAD_SECONDS_PLAN};
  static const int32_t of_calls[] = {SUBQUAD_REPORT_METHOD,       SUBQUAD_REPORT_PAIRS,       SUBQUAD_REPORT_SECONDS,
                                     SUBQUAD_REPORT_THREADS,      SUBQUAD_REPORT_SIMD_TARGET, SUBQUAD_REPORT_WORKSPACE_BYTES,
                                     SUBQUAD_REPORT_SAMPLED_ROWS, SUBQUAD_REPORT_SEED,        SUBQUAD_REPORT_ESTIMATE};
  static const int32_t of_apply[] = {SUBQUAD_REPORT_MISSED_MASS, SUBQUAD_REPORT_HEAD_SECONDS_APPLY};
  for (int64_t n = 50; n <= 2500; n *= 50) {
    problem p = {2, 4, 2, n, n, 32, 32, SUBQUAD_FLOAT32, {0}, {0}, {0}, {0}, {0}};
    local_problem_create(&p);
    subquad_options* options = plan_options(0.1);
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SEED, 77));
    subquad_report *made = new_report(), *kept = new_report(), *applied = new_report();
    subquad_plan* plan = new_plan(*state, options, &p, made);
    const char *made_text = NULL, *kept_text = NULL;
    assert_ok(subquad_plan_report(plan, kept));
    assert_ok(subquad_report_json(made, &made_text));
    assert_ok(subquad_report_json(kept, &kept_text));
    assert_string_equal(made_text, kept_text);
    assert_ok(plan_apply(*state, plan, &p, applied));
    expect_values(made, of_heads, COUNT(of_heads), 8);
    expect_values(applied, of_heads, COUNT(of_heads), 8);
    expect_values(made, of_calls, COUNT(of_calls), 1);
    expect_values(applied, of_calls, COUNT(of_calls), 1);
    expect_values(made, of_apply, COUNT(of_apply), 0);
    expect_values(applied, of_apply, COUNT(of_apply), 8);
    assert_int_equal(report_int(made, SUBQUAD_REPORT_PAIRS, 0), 8 * n * (n + 1) / 2);
    assert_int_equal(report_int(made, SUBQUAD_REPORT_SEED, 0), 77);
    for (int64_t head = 0; head < 8; ++head) {
      assert_true(report_float(applied, SUBQUAD_REPORT_ERROR, head) == report_float(made, SUBQUAD_REPORT_ERROR, head));
      assert_string_equal(report_text(applied, SUBQUAD_REPORT_PARTS, head), report_text(made, SUBQUAD_REPORT_PARTS, head));
    }
    subquad_plan_destroy(plan);
    subquad_report_destroy(made);
    subquad_report_destroy(kept);
    subquad_report_destroy(applied);
    subquad_options_destroy(options);
    problem_free(&p);
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
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention_is_a_plan_applied), cmocka_unit_test(test_reports)};
  return cmocka_run_group_tests(tests, prepare, finish);
}
