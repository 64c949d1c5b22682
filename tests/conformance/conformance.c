/* The conformance cases through the C API: good calls on every SIMD target, bad calls once. See README.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>

#include "auto_checks.h"
#include "carry_out.h"
#include "generated/bad_calls.h"
#include "generated/cases.h"
#include "tables.h"

enum {
  CASE_COUNT = sizeof cases / sizeof cases[0],
  BASE_COUNT = sizeof bad_bases / sizeof bad_bases[0],
  BAD_COUNT = sizeof bad_calls / sizeof bad_calls[0],
  MESSAGE_SIZE = 2048
};

static subquad_context* context; /* one for all tests of a group: a refused call must leave it intact */

static void expect_output(const prepared_call* call, size_t array) {
  const array_spec* spec = &call->spec->arrays[array];
  for (int64_t number = 0; number < element_count(spec); ++number) {
    const double got = value_at(call, array, number), want = spec->values[number];
    const int right = isinf(want) ? got == want : fabs(got - want) <= spec->budget; /* a NaN is not right */
    if (!right)
      fail_msg("%s[%lld] is %.17g, should be %.17g, off by %.3g, budget %.3g", spec->name, (long long)number, got, want,
               fabs(got - want), spec->budget);
  }
}

static void expect_gaps_untouched(const prepared_call* call, size_t array) {
  const array_spec* spec = &call->spec->arrays[array];
  const memory* m = &call->memories[array];
  unsigned char* used = elements_of_buffer(spec);
  const size_t bytes = element_bytes(spec->dtype);
  for (int64_t place = 0; place < spec->size; ++place)
    if (!used[place] && memcmp(m->base + (size_t)place * bytes, m->before + (size_t)place * bytes, bytes) != 0)
      fail_msg("%s: the call wrote to a gap between its elements, at %lld", spec->name, (long long)place);
  free(used);
}

static void expect_untouched(const prepared_call* call, size_t array) {
  const memory* m = &call->memories[array];
  if (memcmp(m->allocation, m->before, m->bytes) != 0) fail_msg("%s was changed", call->spec->arrays[array].name);
}

static void expect_report(const prepared_call* call, int32_t key, int64_t expected) {
  int64_t value = -1;
  if (expected < 0) return;
  assert_int_equal(subquad_report_get_int(call->report, key, 0, &value), SUBQUAD_OK);
  assert_int_equal(value, expected);
}

static void expect_text(const prepared_call* call, int32_t key, const char* expected) {
  const char* value = NULL;
  if (!expected) return;
  assert_int_equal(subquad_report_get_string(call->report, key, 0, &value), SUBQUAD_OK);
  assert_string_equal(value, expected);
}

static void expect_certificate(const prepared_call* call) {
  int64_t length = -1;
  if (!call->spec->certificate || strcmp(call->spec->certificate, "none") != 0) {
    expect_text(call, SUBQUAD_REPORT_CERTIFICATE, call->spec->certificate);
    return;
  }
  assert_int_equal(subquad_report_length(call->report, SUBQUAD_REPORT_EPSILON, &length, NULL), SUBQUAD_OK);
  assert_int_equal(length, 0);
}

static void test_case(void** state) {
  char message[MESSAGE_SIZE];
  prepared_call call;
  prepare(&call, *state);
  const subquad_status status = carry_out(&call, context, message, sizeof message);
  if (status != SUBQUAD_OK) fail_msg("refused with %s: %s", subquad_status_name(status), message);
  for (size_t array = 0; array < call.spec->array_count; ++array) {
    if (!call.spec->arrays[array].is_output) {
      expect_untouched(&call, array);
      continue;
    }
    if (call.spec->arrays[array].values) expect_output(&call, array);
    expect_gaps_untouched(&call, array);
  }
  expect_report(&call, SUBQUAD_REPORT_PAIRS, call.spec->pairs);
  expect_report(&call, SUBQUAD_REPORT_RANK, call.spec->rank);
  expect_text(&call, SUBQUAD_REPORT_SCORES, call.spec->scores);
  expect_certificate(&call);
  expect_report_of_heads(&call);
  expect_head_errors(&call, context);
  expect_prefix(&call, context);
  release(&call);
}

/* Whether text holds word with no letter, digit or underscore beside it, in any case. */
static int contains_word(const char* text, const char* word) {
  const size_t length = strlen(word);
  for (size_t at = 0; text[at] != '\0'; ++at) {
    size_t same = 0;
    while (same < length && tolower((unsigned char)text[at + same]) == tolower((unsigned char)word[same])) ++same;
    if (same < length) continue;
    const unsigned char before = at > 0 ? (unsigned char)text[at - 1] : ' ', after = (unsigned char)text[at + length];
    if (!isalnum(before) && before != '_' && !isalnum(after) && after != '_') return 1;
  }
  return 0;
}

static void expect_success(const call_spec* spec, subquad_context* with) {
  char message[MESSAGE_SIZE];
  prepared_call call;
  prepare(&call, spec);
  const subquad_status status = carry_out(&call, with, message, sizeof message);
  if (status != SUBQUAD_OK) fail_msg("%s is refused with %s: %s", spec->name, subquad_status_name(status), message);
  release(&call);
}

static void test_base(void** state) { expect_success(*state, context); }

static void test_bad_call(void** state) {
  const bad_call* bad = *state;
  char message[MESSAGE_SIZE];
  prepared_call call;
  subquad_context* own = NULL; /* settings may stick, so each call has its own context */
  if (bad->not_in_c) skip();
  assert_int_equal(subquad_context_create(&own), SUBQUAD_OK);
  prepare(&call, &bad->call);
  const subquad_status status = carry_out(&call, own, message, sizeof message);
  if (status != bad->code)
    fail_msg("gives %s, should give %s: %s", subquad_status_name(status), subquad_status_name(bad->code), message);
  for (const char* const* word = bad->words; *word; ++word)
    if (!contains_word(message, *word)) fail_msg("the message lacks \"%s\": %s", *word, message);
  for (size_t array = 0; array < call.spec->array_count; ++array)
    if (!call.spec->arrays[array].is_output || status != SUBQUAD_ERR_OVERFLOW) expect_untouched(&call, array);
  release(&call);
  assert_int_equal(subquad_context_set_workspace_limit(own, 0), SUBQUAD_OK);
  expect_success(&bad_bases[bad->base], own);
  subquad_context_destroy(own);
}

static int run_cases(const char* simd_target, int64_t threads) {
  static struct CMUnitTest tests[CASE_COUNT];
  char group[64];
  for (size_t i = 0; i < CASE_COUNT; ++i) {
    const struct CMUnitTest test = {cases[i].name, test_case, NULL, NULL, (void*)&cases[i]};
    tests[i] = test;
  }
  if (subquad_context_create(&context) != SUBQUAD_OK || subquad_context_set_simd_target(context, simd_target) != SUBQUAD_OK ||
      subquad_context_set_threads(context, threads) != SUBQUAD_OK) {
    fprintf(stderr, "no context for %s: %s\n", simd_target, subquad_last_error());
    return 1;
  }
  snprintf(group, sizeof group, "cases on %s, %d threads", simd_target, (int)threads);
  const int failures = cmocka_run_group_tests_name(group, tests, NULL, NULL);
  subquad_context_destroy(context);
  return failures;
}

static int run_bad_calls(void) {
  static struct CMUnitTest tests[BASE_COUNT + BAD_COUNT];
  for (size_t i = 0; i < BASE_COUNT; ++i) {
    const struct CMUnitTest test = {bad_bases[i].name, test_base, NULL, NULL, (void*)&bad_bases[i]};
    tests[i] = test;
  }
  for (size_t i = 0; i < BAD_COUNT; ++i) {
    const struct CMUnitTest test = {bad_calls[i].call.name, test_bad_call, NULL, NULL, (void*)&bad_calls[i]};
    tests[BASE_COUNT + i] = test;
  }
  if (subquad_context_create(&context) != SUBQUAD_OK) return 1;
  const int failures = cmocka_run_group_tests_name("bad calls", tests, NULL, NULL);
  subquad_context_destroy(context);
  return failures;
}

int main(void) {
  const char* target = NULL;
  int failures = run_bad_calls();
  for (int64_t i = 0; subquad_simd_target_at(i, &target) == SUBQUAD_OK; ++i) failures += run_cases(target, 1 + i % 3);
  return failures != 0;
}
