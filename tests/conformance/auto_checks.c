#include "auto_checks.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_OPTIONS = 16, MESSAGE_SIZE = 2048 };

static void run(prepared_call* call, subquad_context* context) {
  char message[MESSAGE_SIZE];
  const subquad_status status = carry_out(call, context, message, sizeof message);
  if (status != SUBQUAD_OK) fail_msg("the call to compare with is refused with %s: %s", subquad_status_name(status), message);
}

static int is_of_auto(int32_t option) {
  switch (option) {
    case SUBQUAD_OPTION_METHOD:
    case SUBQUAD_OPTION_TOL:
    case SUBQUAD_OPTION_BUDGET:
    case SUBQUAD_OPTION_ESTIMATE:
    case SUBQUAD_OPTION_PARTS:
    case SUBQUAD_OPTION_STRICT_CAUSAL:
    case SUBQUAD_OPTION_SEED:
      return 1;
    default:
      return 0;
  }
}

/* The options that attention is planned with. */
static size_t planning_options(const call_spec* spec, const option_spec** options) {
  *options = spec->plan ? spec->plan->options : spec->options;
  return spec->plan ? spec->plan->option_count : spec->option_count;
}

/* The same arrays, mask and scale, by method exact. */
static call_spec exact_call(const call_spec* spec, option_spec options[MOST_OPTIONS]) {
  call_spec exact = *spec;
  const option_spec* given;
  const size_t count = planning_options(spec, &given);
  exact.function = ATTENTION;
  exact.plan = NULL;
  exact.options = options;
  exact.option_count = 0;
  for (size_t i = 0; i < count; ++i)
    if (!is_of_auto(given[i].id)) options[exact.option_count++] = given[i];
  return exact;
}

static void expect_heads(const prepared_call* call, const prepared_call* exact, size_t array) {
  const array_spec* spec = &call->spec->arrays[array];
  const int64_t head_size = element_count(spec) / call->spec->heads;
  for (int64_t head = 0; head < call->spec->heads; ++head) {
    double difference = 0, size = 0;
    for (int64_t i = head * head_size; i < (head + 1) * head_size; ++i) {
      const double wanted = value_at(exact, array, i), off = value_at(call, array, i) - wanted;
      difference += off * off;
      size += wanted * wanted;
    }
    const double error = sqrt(difference / size);
    if (!(error <= spec->head_error))
      fail_msg("%s, head %d: off by %.3g of its norm, budget %.3g", spec->name, (int)head, error, spec->head_error);
  }
}

void expect_head_errors(const prepared_call* call, subquad_context* context) {
  option_spec options[MOST_OPTIONS];
  int asked = 0;
  for (size_t array = 0; array < call->spec->array_count; ++array) asked |= call->spec->arrays[array].head_error > 0;
  if (!asked) return;
  const call_spec spec = exact_call(call->spec, options);
  prepared_call exact;
  prepare(&exact, &spec);
  run(&exact, context);
  for (size_t array = 0; array < call->spec->array_count; ++array)
    if (call->spec->arrays[array].head_error > 0) expect_heads(call, &exact, array);
  release(&exact);
}

/* The axis of an array that counts tokens. */
static int32_t token_axis(const array_spec* spec) { return strcmp(spec->name, "lse") == 0 ? spec->ndim - 1 : spec->ndim - 2; }

static int is_of_tokens(const char* name) { return strcmp(name, "lag_bias") != 0 && strcmp(name, "key_ranges") != 0; }

static void expect_same_rows(const prepared_call* call, const prepared_call* shorter, size_t array) {
  const array_spec* spec = &call->spec->arrays[array];
  const int64_t columns = token_axis(spec) == spec->ndim - 1 ? 1 : spec->shape[spec->ndim - 1];
  for (int64_t i = 0; i < element_count(spec); ++i) {
    const int64_t row = i / columns % spec->shape[token_axis(spec)];
    if (row < call->spec->prefix &&
        memcmp(element_at(call, array, i), element_at(shorter, array, i), element_bytes(spec->dtype)) != 0)
      fail_msg("%s[%lld], in row %lld, is %.17g, but %.17g without the rows from %lld on", spec->name, (long long)i,
               (long long)row, value_at(call, array, i), value_at(shorter, array, i), (long long)call->spec->prefix);
  }
}

void expect_prefix(const prepared_call* call, subquad_context* context) {
  if (call->spec->prefix < 0) return;
  prepared_call shorter;
  prepare(&shorter, call->spec);
  for (size_t array = 0; array < call->spec->array_count; ++array) {
    const array_spec* spec = &call->spec->arrays[array];
    if (is_of_tokens(spec->name)) shorter.views[array].shape[token_axis(spec)] = call->spec->prefix;
  }
  run(&shorter, context);
  for (size_t array = 0; array < call->spec->array_count; ++array)
    if (call->spec->arrays[array].is_output) expect_same_rows(call, &shorter, array);
  release(&shorter);
}

static const char* text_of(const prepared_call* call, int32_t key, int64_t head) {
  const char* value = NULL;
  assert_int_equal(subquad_report_get_string(call->report, key, head, &value), SUBQUAD_OK);
  return value;
}

static int64_t count_of(const prepared_call* call, int32_t key, int64_t head) {
  int64_t value = -1;
  assert_int_equal(subquad_report_get_int(call->report, key, head, &value), SUBQUAD_OK);
  assert_true(value >= 0);
  return value;
}

static double number_of(const prepared_call* call, int32_t key, int64_t head) {
  double value = -1;
  assert_int_equal(subquad_report_get_float(call->report, key, head, &value), SUBQUAD_OK);
  assert_true(value >= 0);
  return value;
}

static void expect_length(const prepared_call* call, int32_t key, int64_t expected) {
  int64_t length = -1;
  assert_int_equal(subquad_report_length(call->report, key, &length, NULL), SUBQUAD_OK);
  if (length != expected) fail_msg("report key %d holds %d values, not %d", (int)key, (int)length, (int)expected);
}

/* A head uses only those parts that the call allows. */
static void expect_allowed_parts(const prepared_call* call, const char* used) {
  static const struct {
    const char* name;
    int64_t part;
  } names[] = {{"heavy", SUBQUAD_PART_HEAVY},
               {"selection", SUBQUAD_PART_SELECTION},
               {"centroids", SUBQUAD_PART_CENTROIDS},
               {"conv", SUBQUAD_PART_CONV},
               {"screened", SUBQUAD_PART_SCREENING}};
  const option_spec* options;
  const size_t count = planning_options(call->spec, &options);
  for (size_t i = 0; i < count; ++i)
    for (size_t n = 0; options[i].id == SUBQUAD_OPTION_PARTS && n < sizeof names / sizeof names[0]; ++n)
      if (strstr(used, names[n].name) && !(options[i].int_value & names[n].part))
        fail_msg("a head is %s, but parts is %d", used, (int)options[i].int_value);
}

static int64_t expect_head_report(const prepared_call* call, int64_t head) {
  const int exact = strcmp(text_of(call, SUBQUAD_REPORT_PARTS, head), "exact") == 0;
  const double low = number_of(call, SUBQUAD_REPORT_ERROR_LOW, head), error = number_of(call, SUBQUAD_REPORT_ERROR, head),
               high = number_of(call, SUBQUAD_REPORT_ERROR_HIGH, head);
  const int64_t pairs = count_of(call, SUBQUAD_REPORT_PAIRS_EXACT, head), of_low = count_of(call, SUBQUAD_REPORT_PAIRS_LOW, head),
                screened = count_of(call, SUBQUAD_REPORT_PAIRS_SCREENED, head);
  expect_allowed_parts(call, text_of(call, SUBQUAD_REPORT_PARTS, head));
  assert_true(low <= error && error <= high);
  assert_int_equal(exact, text_of(call, SUBQUAD_REPORT_FALLBACK, head)[0] != '\0');
  if (exact) assert_true(high == 0 && of_low == 0 && screened == 0);
  return pairs + of_low + screened;
}

void expect_report_of_heads(const prepared_call* call) {
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
  const int64_t heads = call->spec->heads;
  int64_t pairs = 0;
  if (heads < 0) return;
  for (size_t i = 0; i < sizeof of_heads / sizeof of_heads[0]; ++i) expect_length(call, of_heads[i], heads);
  expect_length(call, SUBQUAD_REPORT_SEED, 1);
  expect_length(call, SUBQUAD_REPORT_ESTIMATE, 1);
  for (int64_t head = 0; head < heads; ++head) pairs += expect_head_report(call, head);
  if (call->spec->pairs >= 0) assert_true(pairs <= call->spec->pairs);
}
