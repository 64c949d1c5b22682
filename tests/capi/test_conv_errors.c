/* Calls on conv bases that fail: every function with every argument spoilt in every way, and the errors of single functions. */
#include <math.h>
#include <string.h>

#include "conv_calls.h"

static void no_array(conv_call* c, argument a) { c->given[a] = NULL; }
static void no_data(conv_call* c, argument a) { c->views[a].data = NULL; }
static void no_dimensions(conv_call* c, argument a) { c->views[a].ndim = 0; }
static void five_dimensions(conv_call* c, argument a) { c->views[a].ndim = 5; }
static void negative_extent(conv_call* c, argument a) { c->views[a].shape[0] = -1; }
static void longer(conv_call* c, argument a) { c->views[a].shape[c->views[a].ndim - 2] += 1; }
static void unknown_dtype(conv_call* c, argument a) { c->views[a].dtype = 77; }
static void other_dtype(conv_call* c, argument a) { c->views[a].dtype = SUBQUAD_INT32; }
static void misaligned(conv_call* c, argument a) { c->views[a].data = (char*)c->views[a].data + 3; }
static void endless(conv_call* c, argument a) { c->views[a].strides[c->views[a].ndim - 2] = INT64_MAX / 2; }
static void holds_nan(conv_call* c, argument a) { c->memory[a][1] = NAN; }
static void holds_infinity(conv_call* c, argument a) { c->memory[a][0] = -INFINITY; }
static void one_place(conv_call* c, argument a) { memset(c->views[a].strides, 0, sizeof c->views[a].strides); }

typedef struct spoiling {
  const char* name;
  void (*spoil)(conv_call* c, argument a);
  subquad_status code;
} spoiling;

static const spoiling of_any_array[] = {
    {"NULL", no_array, SUBQUAD_ERR_NULL},
    {"without data", no_data, SUBQUAD_ERR_NULL},
    {"without dimensions", no_dimensions, SUBQUAD_ERR_SHAPE},
    {"with five dimensions", five_dimensions, SUBQUAD_ERR_SHAPE},
    {"with a negative extent", negative_extent, SUBQUAD_ERR_SHAPE},
    {"with one row more", longer, SUBQUAD_ERR_SHAPE},
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

/* Run a spoilt call, expect its error, and then success with a good one. */
static void expect_error(const conv_function* function, conv_call* c, subquad_status code, const char* says, const char* what) {
  static conv_call before;
  before = *c;
  const subquad_status found = conv_run(function, c);
  if (found != code || (says != NULL && strstr(subquad_last_error(), says) == NULL))
    print_error("%s, %s:\n", function->name, what);
  assert_status(found, code);
  if (says != NULL) assert_error_says(says);
  if (code == SUBQUAD_ERR_OVERFLOW) { /* found while computing, outputs are then unspecified */
    assert_memory_equal(before.memory, c->memory, STARTS_OUT * sizeof c->memory[0]);
  } else {
    assert_memory_equal(before.memory, c->memory, sizeof c->memory);
    assert_true(before.loss == c->loss);
  }
}

static void expect_success(const conv_function* function, subquad_context* context) {
  static conv_call good;
  conv_call_create(&good, context);
  assert_ok(conv_run(function, &good));
  conv_call_free(&good);
}

static void spoil_and_run(subquad_context* context, const conv_function* function, argument a, const spoiling* s) {
  static conv_call c;
  conv_call_create(&c, context);
  s->spoil(&c, a);
  expect_error(function, &c, s->code, argument_name(a), s->name);
  conv_call_free(&c);
  expect_success(function, context);
}

static void test_every_argument_spoilt(void** state) {
  for (int f = 0; f < CONV_FUNCTIONS; ++f) {
    const conv_function* function = &conv_functions[f];
    for (int at = 0; at < function->count; ++at) {
      const argument a = function->arguments[at];
      const int optional = at >= function->count - function->optional;
      for (size_t s = (size_t)optional; s < COUNT(of_any_array); ++s) spoil_and_run(*state, function, a, &of_any_array[s]);
      if (a >= STARTS_OUT) spoil_and_run(*state, function, a, &of_outputs[0]);
      for (size_t s = 0; a < STARTS_OUT && a != STARTS && s < COUNT(of_inputs); ++s)
        spoil_and_run(*state, function, a, &of_inputs[s]);
    }
  }
}

static void test_optional_arguments_may_be_left_out(void** state) {
  static conv_call c;
  for (int f = 0; f < CONV_FUNCTIONS; ++f) {
    const conv_function* function = &conv_functions[f];
    for (int left_out = 1; left_out <= function->optional; ++left_out) {
      conv_call_create(&c, *state);
      for (int at = function->count - left_out; at < function->count; ++at) c.given[function->arguments[at]] = NULL;
      assert_ok(conv_run(function, &c));
      conv_call_free(&c);
    }
    conv_call_create(&c, *state);
    subquad_report_destroy(c.report);
    c.report = NULL;
    assert_ok(conv_run(function, &c));
    conv_call_free(&c);
  }
}

static void test_outputs_over_other_arrays(void** state) {
  static conv_call c;
  for (int f = 0; f < CONV_FUNCTIONS; ++f) {
    const conv_function* function = &conv_functions[f];
    for (int at = 0; at < function->count; ++at) {
      const argument output = function->arguments[at];
      for (int under = 0; output >= STARTS_OUT && under < at; ++under) {
        const argument other = function->arguments[under];
        conv_call_create(&c, *state);
        c.views[output].data = c.memory[other];
        expect_error(function, &c, SUBQUAD_ERR_ALIAS, argument_name(output), argument_name(other));
        conv_call_free(&c);
        expect_success(function, *state);
      }
    }
  }
}

static void test_null_handles(void** state) {
  static conv_call c;
  for (int f = 0; f < CONV_FUNCTIONS; ++f) {
    const conv_function* function = &conv_functions[f];
    if (function->takes_context) {
      conv_call_create(&c, *state);
      c.context = NULL;
      expect_error(function, &c, SUBQUAD_ERR_NULL, "context", "without a context");
      conv_call_free(&c);
    }
    if (function->takes_basis) {
      conv_call_create(&c, *state);
      const subquad_conv_basis* basis = c.basis;
      c.basis = NULL;
      expect_error(function, &c, SUBQUAD_ERR_NULL, "basis", "without a basis");
      c.basis = basis;
      conv_call_free(&c);
    }
    if (function->makes_basis) {
      conv_call_create(&c, *state);
      c.lacks_basis_out = 1;
      expect_error(function, &c, SUBQUAD_ERR_NULL, "basis_out", "without a place for the result");
      conv_call_free(&c);
    }
  }
  conv_call_create(&c, *state);
  assert_status(subquad_conv_basis_describe(c.basis, NULL), SUBQUAD_ERR_NULL);
  assert_error_says("kernels_out");
  c.loss_out = NULL;
  expect_error(conv_function_named("loss"), &c, SUBQUAD_ERR_NULL, "loss_out", "without a place for the loss");
  conv_call_free(&c);
  assert_status(subquad_wisdom_export(NULL), SUBQUAD_ERR_NULL);
  assert_error_says("text_out");
  assert_status(subquad_wisdom_import(NULL), SUBQUAD_ERR_NULL);
  assert_error_says("text");
}

static void set_int(conv_call* c, int32_t option, int64_t value) {
  assert_ok(subquad_options_set_int(c->options, option, value));
}
static void set_float(conv_call* c, int32_t option, double value) {
  assert_ok(subquad_options_set_float(c->options, option, value));
}
static void unset(conv_call* c, int32_t option) { assert_ok(subquad_options_reset(c->options, option)); }
static void set_start(conv_call* c, int at, int64_t value) { ((int64_t*)(void*)c->memory[STARTS])[at] = value; }

static void fill(conv_call* c, argument a, double value) { assert_ok(subquad_fill_uniform(&c->views[a], 0, 0, value, value)); }

static void start_before_last(conv_call* c) { set_start(c, 3, 0); }
static void start_twice(conv_call* c) { set_start(c, 1, 0); }
static void start_negative(conv_call* c) { set_start(c, 2, -7); }
static void start_beyond(conv_call* c) { set_start(c, 3, 6); }
static void start_after_absent(conv_call* c) {
  set_start(c, 0, 5);
  set_start(c, 1, 2);
}
static void sums_overflow(conv_call* c) {
  set_int(c, SUBQUAD_OPTION_CUMULATIVE, 0);
  fill(c, KERNELS, 1e308);
}
static void upper_entry(conv_call* c) { c->memory[H][25 + 1] = 0.125; }
static void no_bases(conv_call* c) { unset(c, SUBQUAD_OPTION_BASES); }
static void no_window(conv_call* c) { unset(c, SUBQUAD_OPTION_CONV_WINDOW); }
static void no_delta(conv_call* c) { unset(c, SUBQUAD_OPTION_CONV_DELTA); }
static void long_window(conv_call* c) { set_int(c, SUBQUAD_OPTION_CONV_WINDOW, 6); }
static void zero_delta(conv_call* c) { set_float(c, SUBQUAD_OPTION_CONV_DELTA, 0); }
static void large_eps(conv_call* c) { set_float(c, SUBQUAD_OPTION_CONV_EPS, 0.2001); }
static void tol_too(conv_call* c) { set_float(c, SUBQUAD_OPTION_TOL, 0.0625); }
static void large_logits(conv_call* c) {
  fill(c, Q, 1e200);
  fill(c, K, 1e200);
}
static void large_values(conv_call* c) { fill(c, X, 1.7e308); }
static void not_causal(conv_call* c) { set_int(c, SUBQUAD_OPTION_CAUSAL, 0); }
static void offset(conv_call* c) { set_int(c, SUBQUAD_OPTION_CAUSAL_OFFSET, 1); }
static void key_offset(conv_call* c) { set_int(c, SUBQUAD_OPTION_KEY_OFFSET, 1); }
static void fewer_keys(conv_call* c) {
  set_int(c, SUBQUAD_OPTION_CAUSAL_OFFSET, 0);
  c->views[K].shape[1] = c->views[V].shape[1] = 4;
}
static void budget(conv_call* c) { set_float(c, SUBQUAD_OPTION_BUDGET, 0.5); }
static void heads_that_do_not_divide(conv_call* c) { c->views[V].shape[0] = 0; }
static void wide_weights(conv_call* c) { c->views[WEIGHTS].shape[1] = 4; }
static void large_weights(conv_call* c) { fill(c, WEIGHTS, 1e308); }

static const struct {
  const char *function, *name;
  void (*spoil)(conv_call*);
  subquad_status code;
  const char* says;
} single[] = {
    {"create", "a start before the last", start_before_last, SUBQUAD_ERR_VALUE, "starts"},
    {"create", "the same start twice", start_twice, SUBQUAD_ERR_VALUE, "is 0"},
    {"create", "a negative start", start_negative, SUBQUAD_ERR_VALUE, "is -7"},
    {"create", "a start beyond n", start_beyond, SUBQUAD_ERR_VALUE, "is 6"},
    {"create", "a start after an absent one", start_after_absent, SUBQUAD_ERR_VALUE, "is 2"},
    {"create", "sums that overflow", sums_overflow, SUBQUAD_ERR_OVERFLOW, "kernels"},
    {"from_dense", "an entry above the diagonal", upper_entry, SUBQUAD_ERR_VALUE, "0.125"},
    {"recover", "no bases", no_bases, SUBQUAD_ERR_CONFLICT, "bases"},
    {"recover", "no window", no_window, SUBQUAD_ERR_CONFLICT, "conv_window"},
    {"recover", "no delta", no_delta, SUBQUAD_ERR_CONFLICT, "conv_delta"},
    {"recover", "a window of n + 1", long_window, SUBQUAD_ERR_VALUE, "conv_window is 6"},
    {"recover", "delta of 0", zero_delta, SUBQUAD_ERR_VALUE, "conv_delta is 0"},
    {"recover", "eps above delta / (5 window)", large_eps, SUBQUAD_ERR_VALUE, "conv_eps is 0.2001"},
    {"recover", "logits that overflow", large_logits, SUBQUAD_ERR_OVERFLOW, "logit"},
    {"fit", "neither bases nor tol", no_bases, SUBQUAD_ERR_CONFLICT, "bases"},
    {"fit", "both bases and tol", tol_too, SUBQUAD_ERR_CONFLICT, "tol"},
    {"fit", "logits that overflow", large_logits, SUBQUAD_ERR_OVERFLOW, "logit"},
    {"multiply", "products that overflow", large_values, SUBQUAD_ERR_OVERFLOW, "y"},
    {"apply", "no heads of v", heads_that_do_not_divide, SUBQUAD_ERR_SHAPE, "v"},
    {"attention", "not causal", not_causal, SUBQUAD_ERR_UNSUPPORTED, "causal"},
    {"attention", "an offset", offset, SUBQUAD_ERR_UNSUPPORTED, "causal_offset"},
    {"attention", "a key offset", key_offset, SUBQUAD_ERR_UNSUPPORTED, "key_offset"},
    {"attention", "fewer keys than queries", fewer_keys, SUBQUAD_ERR_UNSUPPORTED, "4"},
    {"attention", "tol", tol_too, SUBQUAD_ERR_CONFLICT, "tol is 0.0625"},
    {"attention", "budget", budget, SUBQUAD_ERR_CONFLICT, "budget is 0.5"},
    {"attention", "no bases", no_bases, SUBQUAD_ERR_CONFLICT, "bases"},
    {"attention", "a window without delta", no_delta, SUBQUAD_ERR_CONFLICT, "conv_delta"},
    {"attention", "a delta without window", no_window, SUBQUAD_ERR_CONFLICT, "conv_window"},
    {"attention", "logits that overflow", large_logits, SUBQUAD_ERR_OVERFLOW, "logit"},
    {"loss", "x that is not square", wide_weights, SUBQUAD_ERR_SHAPE, "x has shape ["},
    {"loss", "no bases", no_bases, SUBQUAD_ERR_CONFLICT, "bases"},
    {"loss", "logits that overflow", large_weights, SUBQUAD_ERR_OVERFLOW, ""},
};

static void test_errors_of_single_functions(void** state) {
  static conv_call c;
  for (size_t i = 0; i < COUNT(single); ++i) {
    const conv_function* function = conv_function_named(single[i].function);
    conv_call_create(&c, *state);
    single[i].spoil(&c);
    expect_error(function, &c, single[i].code, single[i].says, single[i].name);
    conv_call_free(&c);
    expect_success(function, *state);
  }
}

static void test_exponentials_that_overflow(void** state) {
  static conv_call c;
  conv_call_create(&c, *state);
  fill(&c, KERNELS, 800); /* in the promised range of softmax attention no more, which has no such limit */
  subquad_conv_basis *basis = NULL, *exponentials = (subquad_conv_basis*)(void*)&c;
  assert_ok(subquad_conv_basis_create(*state, c.options, &c.views[STARTS], &c.views[KERNELS], &basis));
  assert_status(subquad_conv_basis_exp(*state, basis, &exponentials), SUBQUAD_ERR_OVERFLOW);
  assert_null(exponentials);
  assert_ok(subquad_conv_basis_apply(*state, NULL, basis, &c.views[V], &c.views[O], NULL, NULL));
  subquad_conv_basis_destroy(basis);
  conv_call_free(&c);
}

static void test_wisdom_that_is_none(void** state) {
  (void)state;
  assert_status(subquad_wisdom_import("once upon a time"), SUBQUAD_ERR_VALUE);
  assert_error_says("text");
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
      cmocka_unit_test(test_errors_of_single_functions), cmocka_unit_test(test_exponentials_that_overflow),
      cmocka_unit_test(test_wisdom_that_is_none),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
