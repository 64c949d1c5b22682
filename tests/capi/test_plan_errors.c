/* Calls on plans that fail: every function with every argument spoilt in every way, and the errors of single functions. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "plan_calls.h"

static void no_array(plan_call* c, plan_array a) { c->given[a] = NULL; }
static void no_data(plan_call* c, plan_array a) { c->views[a].data = NULL; }
static void no_dimensions(plan_call* c, plan_array a) { c->views[a].ndim = 0; }
static void five_dimensions(plan_call* c, plan_array a) { c->views[a].ndim = 5; }
static void negative_extent(plan_call* c, plan_array a) { c->views[a].shape[0] = -1; }
/* Along an axis that other arguments have too: d of q and k, the columns of ranges, the rows of all else. */
static void longer(plan_call* c, plan_array a) {
  const int last = a == P_Q || a == P_K || a == P_KEY_RANGES;
  c->views[a].shape[c->views[a].ndim - (last ? 1 : 2)] += 1;
}
static void unknown_dtype(plan_call* c, plan_array a) { c->views[a].dtype = 77; }
static void other_dtype(plan_call* c, plan_array a) { c->views[a].dtype = SUBQUAD_INT32; }
static void misaligned(plan_call* c, plan_array a) { c->views[a].data = (char*)c->views[a].data + 3; }
static void endless(plan_call* c, plan_array a) { c->views[a].strides[c->views[a].ndim - 2] = INT64_MAX / 2; }
static void holds_nan(plan_call* c, plan_array a) { c->memory[a][1] = NAN; }
static void holds_infinity(plan_call* c, plan_array a) { c->memory[a][0] = INFINITY; }
static void one_place(plan_call* c, plan_array a) { memset(c->views[a].strides, 0, sizeof c->views[a].strides); }

typedef struct spoiling {
  const char* name;
  void (*spoil)(plan_call* c, plan_array a);
  subquad_status code;
} spoiling;

static const spoiling of_any_array[] = {
    {"NULL", no_array, SUBQUAD_ERR_NULL},
    {"without data", no_data, SUBQUAD_ERR_NULL},
    {"without dimensions", no_dimensions, SUBQUAD_ERR_SHAPE},
    {"with five dimensions", five_dimensions, SUBQUAD_ERR_SHAPE},
    {"with a negative extent", negative_extent, SUBQUAD_ERR_SHAPE},
    {"longer than it should be", longer, SUBQUAD_ERR_SHAPE},
    {"of an unknown dtype", unknown_dtype, SUBQUAD_ERR_DTYPE},
    {"of int32", other_dtype, SUBQUAD_ERR_DTYPE},
    {"misaligned", misaligned, SUBQUAD_ERR_STRIDE},
    {"beyond the address space", endless, SUBQUAD_ERR_SIZE},
};
static const spoiling of_inputs[] = {
    {"with a NaN", holds_nan, SUBQUAD_ERR_NONFINITE},
    {"with an infinity", holds_infinity, SUBQUAD_ERR_NONFINITE},
};
static const spoiling of_outputs[] = {{"with all elements in one place", one_place, SUBQUAD_ERR_STRIDE}};

/* Run a spoilt call, expect its error, and nothing written. */
static void expect_error(const plan_function* function, plan_call* c, subquad_status code, const char* says, const char* what) {
  static plan_call before;
  before = *c;
  const subquad_status found = plan_run(function, c);
  if (found != code || strstr(subquad_last_error(), says) == NULL) print_error("%s, %s:\n", function->name, what);
  assert_status(found, code);
  assert_error_says(says);
  /* An overflow is found while computing, outputs are then unspecified. */
  assert_memory_equal(before.memory, c->memory, (code == SUBQUAD_ERR_OVERFLOW ? P_O : PLAN_ARRAYS) * sizeof c->memory[0]);
}

static void expect_success(const plan_function* function, subquad_context* context) {
  static plan_call good;
  plan_call_create(&good, context);
  assert_ok(plan_run(function, &good));
  plan_call_free(&good);
}

static void spoil_and_run(subquad_context* context, const plan_function* function, plan_array a, const spoiling* s) {
  static plan_call c;
  plan_call_create(&c, context);
  s->spoil(&c, a);
  expect_error(function, &c, s->code, plan_array_name(a), s->name);
  plan_call_free(&c);
  expect_success(function, context);
}

static int may_be_left_out(const plan_function* function, int at) {
  const plan_array a = function->arrays[at];
  return at >= function->count - function->optional || a == P_LAG_BIAS || a == P_KEY_RANGES;
}

static void test_every_argument_spoilt(void** state) {
  for (int f = 0; f < PLAN_FUNCTIONS; ++f) {
    const plan_function* function = &plan_functions[f];
    for (int at = 0; at < function->count; ++at) {
      const plan_array a = function->arrays[at];
      for (size_t s = (size_t)may_be_left_out(function, at); s < COUNT(of_any_array); ++s)
        spoil_and_run(*state, function, a, &of_any_array[s]);
      for (size_t s = 0; a >= P_O && s < COUNT(of_outputs); ++s) spoil_and_run(*state, function, a, &of_outputs[s]);
      for (size_t s = 0; a < P_O && a != P_KEY_RANGES && s < COUNT(of_inputs); ++s)
        spoil_and_run(*state, function, a, &of_inputs[s]);
    }
  }
}

static void test_optional_arguments_may_be_left_out(void** state) {
  static plan_call c;
  for (int f = 0; f < PLAN_FUNCTIONS; ++f) {
    const plan_function* function = &plan_functions[f];
    for (int at = 0; at < function->count; ++at) {
      if (!may_be_left_out(function, at)) continue;
      plan_call_create(&c, *state);
      c.given[function->arrays[at]] = NULL;
      assert_ok(plan_run(function, &c));
      plan_call_free(&c);
    }
    plan_call_create(&c, *state);
    subquad_report_destroy(c.report);
    c.report = NULL;
    assert_ok(plan_run(function, &c));
    plan_call_free(&c);
  }
}

static void test_outputs_over_other_arrays(void** state) {
  static plan_call c;
  for (int f = 0; f < PLAN_FUNCTIONS; ++f) {
    const plan_function* function = &plan_functions[f];
    for (int at = 0; at < function->count; ++at) {
      const plan_array output = function->arrays[at];
      for (int under = 0; output >= P_O && under < at; ++under) {
        const plan_array other = function->arrays[under];
        plan_call_create(&c, *state);
        c.views[output].data = c.memory[other];
        expect_error(function, &c, SUBQUAD_ERR_ALIAS, plan_array_name(output), plan_array_name(other));
        assert_error_says(plan_array_name(other));
        plan_call_free(&c);
        expect_success(function, *state);
      }
    }
  }
}

static void test_null_handles(void** state) {
  static plan_call c;
  for (int f = 0; f < PLAN_FUNCTIONS; ++f) {
    const plan_function* function = &plan_functions[f];
    if (function->takes_context) {
      plan_call_create(&c, *state);
      c.context = NULL;
      expect_error(function, &c, SUBQUAD_ERR_NULL, "context", "without a context");
      plan_call_free(&c);
    }
    if (function->takes_plan) {
      plan_call_create(&c, *state);
      c.plan = NULL;
      expect_error(function, &c, SUBQUAD_ERR_NULL, "plan", "without a plan");
      plan_call_free(&c);
    }
    if (function->makes_plan) {
      plan_call_create(&c, *state);
      c.lacks_plan_out = 1;
      expect_error(function, &c, SUBQUAD_ERR_NULL, "plan_out", "without a place for the result");
      plan_call_free(&c);
    }
  }
  plan_call_create(&c, *state);
  assert_status(subquad_plan_report(c.plan, NULL), SUBQUAD_ERR_NULL);
  assert_error_says("report");
  plan_call_free(&c);
  subquad_plan_destroy(NULL);
}

static void set_int(plan_call* c, int32_t option, int64_t value) {
  assert_ok(subquad_options_set_int(c->options, option, value));
}
static void set_float(plan_call* c, int32_t option, double value) {
  assert_ok(subquad_options_set_float(c->options, option, value));
}

static void neither(plan_call* c) { assert_ok(subquad_options_reset(c->options, SUBQUAD_OPTION_TOL)); }
static void both(plan_call* c) { set_float(c, SUBQUAD_OPTION_BUDGET, 0.25); }
static void no_method(plan_call* c) { assert_ok(subquad_options_reset(c->options, SUBQUAD_OPTION_METHOD)); }
static void conv_basis(plan_call* c) { set_int(c, SUBQUAD_OPTION_METHOD, SUBQUAD_METHOD_CONV_BASIS); }
static void bases(plan_call* c) { set_int(c, SUBQUAD_OPTION_BASES, 3); }
static void estimate_only(plan_call* c) {
  no_method(c);
  neither(c);
}
static void budget_only(plan_call* c) {
  estimate_only(c);
  assert_ok(subquad_options_reset(c->options, SUBQUAD_OPTION_ESTIMATE));
  set_float(c, SUBQUAD_OPTION_BUDGET, 0.5);
}
static void no_offset(plan_call* c) {
  assert_ok(subquad_options_reset(c->options, SUBQUAD_OPTION_CAUSAL_OFFSET));
  c->views[P_K].shape[2] = c->views[P_V].shape[2] = 4;
}
static void short_bias(plan_call* c) { c->views[P_LAG_BIAS].shape[1] = 4; }
static void dense_mask(plan_call* c) {
  c->views[P_LAG_BIAS].shape[0] = 5;
  c->views[P_LAG_BIAS].shape[1] = 5;
}
static void start_after_end(plan_call* c) { ((int64_t*)c->views[P_KEY_RANGES].data)[2] = 9; }
static void odd_heads(plan_call* c) { c->views[P_K].shape[1] = c->views[P_V].shape[1] = 3; }
static void no_width(plan_call* c) { c->views[P_Q].shape[3] = c->views[P_K].shape[3] = 0; }
static void large_logits(plan_call* c) {
  assert_ok(subquad_fill_uniform(&c->views[P_Q], 0, 0, 1e200, 2e200));
  assert_ok(subquad_fill_uniform(&c->views[P_K], 0, 0, 1e200, 2e200));
}
static void other_values(plan_call* c) { c->views[P_V].shape[2] = 4; }
static void more_pairs_than_numbers(plan_call* c) {
  c->views[P_Q].shape[2] = c->views[P_K].shape[2] = c->views[P_V].shape[2] = (int64_t)1 << 40;
  c->views[P_Q].strides[2] = c->views[P_K].strides[2] = c->views[P_V].strides[2] = 0;
}
static void large_gradient(plan_call* c) {
  assert_ok(subquad_fill_uniform(&c->views[P_V], 0, 0, 1e300, 1.5e300));
  assert_ok(subquad_fill_uniform(&c->views[P_D_O], 0, 0, 1e300, 1.5e300));
}

static const struct {
  const char *function, *name;
  void (*spoil)(plan_call*);
  subquad_status code;
  const char* says;
} single[] = {
    {"create", "neither tol nor budget", neither, SUBQUAD_ERR_CONFLICT, "tol"},
    {"create", "both tol and budget", both, SUBQUAD_ERR_CONFLICT, "budget is 0.25"},
    {"create", "method conv_basis", conv_basis, SUBQUAD_ERR_CONFLICT, "conv_basis"},
    {"create", "bases", bases, SUBQUAD_ERR_CONFLICT, "bases is 3"},
    {"create", "no offset where it matters", no_offset, SUBQUAD_ERR_CONFLICT, "causal_offset"},
    {"create", "a bias that does not reach", short_bias, SUBQUAD_ERR_VALUE, "lag_bias covers lags"},
    {"create", "a dense mask", dense_mask, SUBQUAD_ERR_UNSUPPORTED, "dense"},
    {"create", "a range that starts after its end", start_after_end, SUBQUAD_ERR_VALUE, "key_ranges[1] is (9"},
    {"create", "heads of q no multiple", odd_heads, SUBQUAD_ERR_SHAPE, "q has 2 heads"},
    {"create", "d = 0", no_width, SUBQUAD_ERR_SHAPE, "d, its last extent, is 0"},
    {"create", "values of fewer keys", other_values, SUBQUAD_ERR_SHAPE, "v has shape ["},
    {"create", "more pairs than can be counted", more_pairs_than_numbers, SUBQUAD_ERR_SIZE, "q has shape ["},
    {"apply", "values of fewer keys", other_values, SUBQUAD_ERR_SHAPE, "v has shape ["},
    {"backward", "gradients that overflow", large_gradient, SUBQUAD_ERR_OVERFLOW, ""},
    {"attention", "neither tol nor budget", neither, SUBQUAD_ERR_CONFLICT, "tol"},
    {"attention", "both tol and budget", both, SUBQUAD_ERR_CONFLICT, "budget is 0.25"},
    {"attention", "tol without a method", no_method, SUBQUAD_ERR_CONFLICT, "tol is 0.125"},
    {"attention", "budget without a method", budget_only, SUBQUAD_ERR_CONFLICT, "budget is 0.5"},
    {"attention", "estimate without a method", estimate_only, SUBQUAD_ERR_CONFLICT, "estimate"},
    {"attention", "bases", bases, SUBQUAD_ERR_CONFLICT, "bases is 3"},
    {"attention", "logits that overflow", large_logits, SUBQUAD_ERR_OVERFLOW, "logit"},
};

static void test_errors_of_single_functions(void** state) {
  static plan_call c;
  for (size_t i = 0; i < COUNT(single); ++i) {
    const plan_function* function = plan_function_named(single[i].function);
    plan_call_create(&c, *state);
    single[i].spoil(&c);
    expect_error(function, &c, single[i].code, single[i].says, single[i].name);
    plan_call_free(&c);
    expect_success(function, *state);
  }
}

/* A plan's options need not name the method, and those of its use need not repeat them. */
static void test_options_that_are_left_out(void** state) {
  static plan_call c;
  plan_call_create(&c, *state);
  no_method(&c);
  assert_ok(plan_run(plan_function_named("create"), &c));
  budget_only(&c);
  assert_ok(plan_run(plan_function_named("create"), &c));
  subquad_options_destroy(c.options);
  c.options = NULL;
  assert_ok(plan_run(plan_function_named("apply"), &c));
  assert_ok(plan_run(plan_function_named("backward"), &c));
  assert_status(plan_run(plan_function_named("create"), &c), SUBQUAD_ERR_CONFLICT);
  plan_call_free(&c);
}

static void test_options_out_of_range(void** state) {
  (void)state;
  static const struct {
    int32_t option;
    double value;
    const char* says;
  } numbers[] = {
      {SUBQUAD_OPTION_TOL, -0.125, "tol is -0.125"},
      {SUBQUAD_OPTION_TOL, 1 + 2 * DBL_EPSILON, "tol is 1"},
      {SUBQUAD_OPTION_TOL, NAN, "tol is nan"},
      {SUBQUAD_OPTION_BUDGET, -1, "budget is -1"},
      {SUBQUAD_OPTION_BUDGET, INFINITY, "budget is inf"},
      {SUBQUAD_OPTION_ESTIMATE, 0, "estimate is 0"},
      {SUBQUAD_OPTION_ESTIMATE, 3, "estimate is 3"},
      {SUBQUAD_OPTION_PARTS, -1, "parts is -1"},
      {SUBQUAD_OPTION_PARTS, 32, "parts is 32"},
      {SUBQUAD_OPTION_SEED, -1, "seed is -1"},
      {SUBQUAD_OPTION_STRICT_CAUSAL, 2, "strict_causal is"},
      {SUBQUAD_OPTION_METHOD, 4, "method is 4"},
  };
  subquad_options* options = new_options();
  for (size_t i = 0; i < COUNT(numbers); ++i) {
    const int is_float = numbers[i].option == SUBQUAD_OPTION_TOL || numbers[i].option == SUBQUAD_OPTION_BUDGET;
    const subquad_status status = is_float ? subquad_options_set_float(options, numbers[i].option, numbers[i].value)
                                           : subquad_options_set_int(options, numbers[i].option, (int64_t)numbers[i].value);
    assert_status(status, SUBQUAD_ERR_VALUE);
    assert_error_says(numbers[i].says);
  }
  assert_status(subquad_options_set_int(options, SUBQUAD_OPTION_TOL, 0), SUBQUAD_ERR_TYPE);
  assert_status(subquad_options_set_float(options, SUBQUAD_OPTION_PARTS, 1), SUBQUAD_ERR_TYPE);
  subquad_options_destroy(options);
}

/* Planning need not look at every logit; using the plan does. */
static void test_logits_that_overflow(void** state) {
  static plan_call c;
  plan_call_create(&c, *state);
  large_logits(&c);
  subquad_plan* plan = NULL;
  subquad_status status = subquad_plan_create(*state, c.options, c.given[P_Q], c.given[P_K], NULL, NULL, NULL, &plan, NULL);
  if (status == SUBQUAD_OK) status = subquad_plan_apply(*state, NULL, plan, c.given[P_V], c.given[P_O], NULL, NULL);
  assert_status(status, SUBQUAD_ERR_OVERFLOW);
  assert_error_says("logit");
  subquad_plan_destroy(plan);
  plan_call_free(&c);
}

static void test_a_negative_width(void** state) {
  static plan_call c;
  plan_call_create(&c, *state);
  assert_status(subquad_plan_describe(c.plan, -1, &c.described[0], NULL, NULL, NULL), SUBQUAD_ERR_VALUE);
  assert_error_says("d_v is -1");
  plan_call_free(&c);
}

static void test_without_the_scan_values_pass_through(void** state) {
  static plan_call c;
  plan_call_create(&c, *state);
  assert_ok(subquad_options_set_int(c.options, SUBQUAD_OPTION_CHECK_FINITE, 0));
  c.memory[P_V][1] = NAN; /* of key 0, which every query of the first batch element sees */
  assert_ok(plan_run(plan_function_named("apply"), &c));
  for (int64_t row = 0; row < 10; ++row) {
    assert_true(isnan(c.memory[P_O][2 * row + 1]));
    assert_true(isfinite(c.memory[P_O][2 * row]) && isfinite(c.memory[P_LSE][row]));
    assert_true(isfinite(c.memory[P_O][20 + 2 * row + 1]));
  }
  plan_call_free(&c);
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
      cmocka_unit_test(test_every_argument_spoilt),      cmocka_unit_test(test_optional_arguments_may_be_left_out),
      cmocka_unit_test(test_outputs_over_other_arrays),  cmocka_unit_test(test_null_handles),
      cmocka_unit_test(test_errors_of_single_functions), cmocka_unit_test(test_options_that_are_left_out),
      cmocka_unit_test(test_options_out_of_range),       cmocka_unit_test(test_logits_that_overflow),
      cmocka_unit_test(test_a_negative_width),           cmocka_unit_test(test_without_the_scan_values_pass_through),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
