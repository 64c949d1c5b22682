/* Calls on sparsifiers that fail: every function with every argument spoilt, and the errors of single functions. */
#include <math.h>
#include <string.h>

#include "sparsify_calls.h"

static void no_array(sparsify_call* c, sparsify_array a) { c->given[a] = NULL; }
static void no_data(sparsify_call* c, sparsify_array a) { c->views[a].data = NULL; }
static void no_dimensions(sparsify_call* c, sparsify_array a) { c->views[a].ndim = 0; }
static void five_dimensions(sparsify_call* c, sparsify_array a) { c->views[a].ndim = 5; }
static void one_dimension_more(sparsify_call* c, sparsify_array a) { c->views[a].shape[c->views[a].ndim++] = 1; }
static void negative_extent(sparsify_call* c, sparsify_array a) { c->views[a].shape[0] = -1; }
static void unknown_dtype(sparsify_call* c, sparsify_array a) { c->views[a].dtype = 77; }
static void other_dtype(sparsify_call* c, sparsify_array a) { c->views[a].dtype = SUBQUAD_INT32; }
static void misaligned(sparsify_call* c, sparsify_array a) { c->views[a].data = (char*)c->views[a].data + 3; }
static void endless(sparsify_call* c, sparsify_array a) { c->views[a].strides[0] = INT64_MAX / 2; }
static void longer(sparsify_call* c, sparsify_array a) { c->views[a].shape[0] += 1; }
static void one_place(sparsify_call* c, sparsify_array a) { memset(c->views[a].strides, 0, sizeof c->views[a].strides); }

typedef struct spoiling {
  const char* name;
  void (*spoil)(sparsify_call* c, sparsify_array a);
  subquad_status code;
} spoiling;

static const spoiling of_any_array[] = {
    {"NULL", no_array, SUBQUAD_ERR_NULL},
    {"without data", no_data, SUBQUAD_ERR_NULL},
    {"without dimensions", no_dimensions, SUBQUAD_ERR_SHAPE},
    {"with five dimensions", five_dimensions, SUBQUAD_ERR_SHAPE},
    {"with one dimension more", one_dimension_more, SUBQUAD_ERR_SHAPE},
    {"with a negative extent", negative_extent, SUBQUAD_ERR_SHAPE},
    {"of an unknown dtype", unknown_dtype, SUBQUAD_ERR_DTYPE},
    {"of int32", other_dtype, SUBQUAD_ERR_DTYPE},
    {"misaligned", misaligned, SUBQUAD_ERR_STRIDE},
    {"beyond the address space", endless, SUBQUAD_ERR_SIZE},
};
static const spoiling of_results[] = {
    {"with one entry more", longer, SUBQUAD_ERR_SHAPE},
    {"with all elements in one place", one_place, SUBQUAD_ERR_STRIDE},
};

/* Run a spoilt call, and expect its error, with nothing written and no other handle changed. */
static void expect_error(const sparsify_function* function, sparsify_call* c, subquad_status code, const char* says,
                         const char* what) {
  static sparsify_call before;
  before = *c;
  const subquad_status found = sparsify_run(function, c);
  if (found != code || strstr(subquad_last_error(), says) == NULL) print_error("%s, %s:\n", function->name, what);
  assert_status(found, code);
  assert_error_says(says);
  assert_memory_equal(before.memory, c->memory, sizeof c->memory);
  assert_memory_equal(before.numbers, c->numbers, sizeof c->numbers);
}

static void expect_success(const sparsify_function* function, subquad_context* context) {
  static sparsify_call good;
  sparsify_call_create(&good, context);
  assert_ok(sparsify_run(function, &good));
  sparsify_call_free(&good);
}

static void spoil_and_run(subquad_context* context, const sparsify_function* function, sparsify_array a, const spoiling* s) {
  static sparsify_call c;
  sparsify_call_create(&c, context);
  s->spoil(&c, a);
  expect_error(function, &c, s->code, sparsify_array_name(a), s->name);
  sparsify_call_free(&c);
  expect_success(function, context);
}

static void test_every_array_spoilt(void** state) {
  for (int f = 0; f < SPARSIFY_FUNCTIONS; ++f) {
    const sparsify_function* function = &sparsify_functions[f];
    for (int at = 0; at < function->count; ++at) {
      const sparsify_array a = function->arrays[at];
      const int optional = at >= function->count - function->optional;
      for (size_t s = (size_t)optional; s < COUNT(of_any_array); ++s) spoil_and_run(*state, function, a, &of_any_array[s]);
      for (size_t s = 0; a >= A_SCORES && s < COUNT(of_results); ++s) spoil_and_run(*state, function, a, &of_results[s]);
    }
  }
}

static void test_optional_arrays_may_be_left_out(void** state) {
  static sparsify_call c;
  for (int f = 0; f < SPARSIFY_FUNCTIONS; ++f) {
    const sparsify_function* function = &sparsify_functions[f];
    for (int left_out = 0; left_out <= function->optional; ++left_out) {
      sparsify_call_create(&c, *state);
      for (int at = function->count - left_out; at < function->count; ++at) c.given[function->arrays[at]] = NULL;
      subquad_report_destroy(c.report);
      c.report = NULL;
      assert_ok(sparsify_run(function, &c));
      sparsify_call_free(&c);
    }
  }
}

static void test_outputs_over_other_arrays(void** state) {
  static sparsify_call c;
  for (int f = 0; f < SPARSIFY_FUNCTIONS; ++f) {
    const sparsify_function* function = &sparsify_functions[f];
    for (int at = 0; at < function->count; ++at) {
      const sparsify_array output = function->arrays[at];
      for (int under = 0; output >= A_SCORES && under < at; ++under) {
        const sparsify_array other = function->arrays[under];
        sparsify_call_create(&c, *state);
        c.views[output].data = c.memory[other];
        expect_error(function, &c, SUBQUAD_ERR_ALIAS, sparsify_array_name(output), sparsify_array_name(other));
        sparsify_call_free(&c);
        expect_success(function, *state);
      }
    }
  }
}

static void test_scores_over_x(void** state) {
  static sparsify_call c;
  sparsify_call_create(&c, *state);
  c.views[A_SCORES].data = &c.memory[A_X][41]; /* its last entry */
  expect_error(sparsify_function_named("leverage_scores"), &c, SUBQUAD_ERR_ALIAS, "x", "scores over x");
  assert_error_says("scores");
  sparsify_call_free(&c);
}

static void test_null_handles(void** state) {
  static sparsify_call c;
  static const struct {
    int flag;
    size_t place;
    const char* name;
  } handles[] = {
      {CONTEXT, offsetof(sparsify_call, context), "context"},
      {MATRIX_X, offsetof(sparsify_call, x), "x"},
      {PAIR, offsetof(sparsify_call, q), "q"},
      {PAIR, offsetof(sparsify_call, k), "k"},
      {SPARSIFIER, offsetof(sparsify_call, sparsifier), "sparsifier"},
  };
  for (int f = 0; f < SPARSIFY_FUNCTIONS; ++f) {
    const sparsify_function* function = &sparsify_functions[f];
    for (size_t h = 0; h < COUNT(handles); ++h) {
      if (!(function->takes & handles[h].flag)) continue;
      sparsify_call_create(&c, *state);
      memset((char*)&c + handles[h].place, 0, sizeof(void*));
      expect_error(function, &c, SUBQUAD_ERR_NULL, handles[h].name, "without a handle");
      sparsify_call_free(&c);
    }
    if (function->takes & (MAKES_MATRIX | MAKES_SPARSIFIER)) {
      sparsify_call_create(&c, *state);
      c.lacks_out = 1;
      expect_error(function, &c, SUBQUAD_ERR_NULL, "_out", "without a place for the result");
      sparsify_call_free(&c);
    }
  }
  subquad_matrix_destroy(NULL);
  subquad_sparsifier_destroy(NULL);
}

static void test_results_that_may_be_null(void** state) {
  static sparsify_call c;
  subquad_array y;
  sparsify_call_create(&c, *state);
  assert_ok(subquad_sparsifier_describe(c.sparsifier, &y, NULL, NULL));
  assert_status(subquad_sparsifier_describe(c.sparsifier, NULL, NULL, NULL), SUBQUAD_ERR_NULL);
  assert_error_says("y_out");
  assert_status(subquad_sparsifier_describe(NULL, &y, NULL, NULL), SUBQUAD_ERR_NULL);
  assert_error_says("sparsifier");
  assert_ok(subquad_sparsifier_certificate(c.sparsifier, NULL, NULL, NULL));
  assert_status(subquad_sparsifier_ratio_bound(c.sparsifier, 1, NULL), SUBQUAD_ERR_NULL);
  assert_error_says("bound_out");
  assert_ok(subquad_sparsifier_softmax_error(*state, NULL, c.sparsifier, c.x, NULL, NULL, NULL));
  assert_ok(subquad_sparsify(*state, c.options, c.x, &c.sparsifier_out, NULL));
  subquad_sparsifier_destroy(c.sparsifier_out);
  sparsify_call_free(&c);
}

static void set_int(sparsify_call* c, int32_t option, int64_t value) {
  assert_ok(subquad_options_set_int(c->options, option, value));
}
static void set_float(sparsify_call* c, int32_t option, double value) {
  assert_ok(subquad_options_set_float(c->options, option, value));
}
static void neither(sparsify_call* c) { assert_ok(subquad_options_reset(c->options, SUBQUAD_OPTION_SPARSIFY_COLUMNS)); }
static void eps_too(sparsify_call* c) { set_float(c, SUBQUAD_OPTION_SPARSIFY_EPS, 0.5); }
static void gram_with_columns(sparsify_call* c) { set_int(c, SUBQUAD_OPTION_SPARSIFY_METHOD, SUBQUAD_SPARSIFIER_GRAM); }
static void gram_with_eps(sparsify_call* c) {
  neither(c);
  eps_too(c);
  gram_with_columns(c);
}
static void barriers(sparsify_call* c, int64_t columns) {
  set_int(c, SUBQUAD_OPTION_SPARSIFY_METHOD, SUBQUAD_SPARSIFIER_DETERMINISTIC);
  set_int(c, SUBQUAD_OPTION_SPARSIFY_COLUMNS, columns);
}
static void barriers_at_rank(sparsify_call* c) { barriers(c, 3); }
static void barriers_below_rank(sparsify_call* c) { barriers(c, 2); }
static void barriers_at_rank_of_pair(sparsify_call* c) { barriers(c, 5); }
static void nan_in_x(sparsify_call* c) { c->memory[A_X][14 + 5] = NAN; }
static void infinity_in_x(sparsify_call* c) { c->memory[A_X][28 + 3] = -INFINITY; }
static void nan_in_v(sparsify_call* c) { c->memory[A_V][3] = NAN; }
static void nan_in_q(sparsify_call* c) { c->q_memory[14] = NAN; }
static void huge_x(sparsify_call* c) {
  for (int i = 0; i < 14; ++i) c->memory[A_X][14 + i] = 1e200;
}
static void infinite_scale(sparsify_call* c) { set_float(c, SUBQUAD_OPTION_SCALE, 1e30); }

/* q and x are read through handles made before they were spoilt: a handle holds views. */
static const struct {
  const char *function, *name;
  void (*spoil)(sparsify_call*);
  subquad_status code;
  const char* says;
} single[] = {
    {"leverage_scores", "a NaN", nan_in_x, SUBQUAD_ERR_NONFINITE, "x[1, 5]"},
    {"leverage_scores", "an infinity", infinity_in_x, SUBQUAD_ERR_NONFINITE, "x[2, 3]"},
    {"leverage_scores", "a row whose squared norm overflows", huge_x, SUBQUAD_ERR_OVERFLOW, "row 1"},
    {"sparsify", "neither columns nor eps", neither, SUBQUAD_ERR_CONFLICT, "sparsify_columns"},
    {"sparsify", "columns and eps", eps_too, SUBQUAD_ERR_CONFLICT, "sparsify_eps"},
    {"sparsify", "gram with columns", gram_with_columns, SUBQUAD_ERR_CONFLICT, "sparsify_columns"},
    {"sparsify", "gram with eps", gram_with_eps, SUBQUAD_ERR_CONFLICT, "sparsify_eps"},
    {"sparsify", "as many columns as the rank", barriers_at_rank, SUBQUAD_ERR_VALUE, "sparsify_columns is 3"},
    {"sparsify", "fewer columns than the rank", barriers_below_rank, SUBQUAD_ERR_VALUE, "sparsify_columns is 2"},
    {"sparsify", "a NaN", nan_in_x, SUBQUAD_ERR_NONFINITE, "x[1, 5]"},
    {"sparsify", "a row whose squared norm overflows", huge_x, SUBQUAD_ERR_OVERFLOW, "row 1"},
    {"sparsify_pair", "neither columns nor eps", neither, SUBQUAD_ERR_CONFLICT, "sparsify_columns"},
    {"sparsify_pair", "a NaN in q", nan_in_q, SUBQUAD_ERR_NONFINITE, "q[1, 0]"},
    {"sparsify_pair", "a NaN in k", nan_in_x, SUBQUAD_ERR_NONFINITE, "k[1, 5]"},
    {"sparsify_pair", "as many columns as the rank", barriers_at_rank_of_pair, SUBQUAD_ERR_VALUE, "sparsify_columns is 5"},
    {"attention", "a NaN", nan_in_v, SUBQUAD_ERR_NONFINITE, "v[1, 1]"},
    {"softmax_error", "a NaN", nan_in_x, SUBQUAD_ERR_NONFINITE, "x[1, 5]"},
};

static void test_errors_of_single_functions(void** state) {
  static sparsify_call c;
  for (size_t i = 0; i < COUNT(single); ++i) {
    const sparsify_function* function = sparsify_function_named(single[i].function);
    sparsify_call_create(&c, *state);
    single[i].spoil(&c);
    expect_error(function, &c, single[i].code, single[i].says, single[i].name);
    sparsify_call_free(&c);
    expect_success(function, *state);
  }
}

static void test_logits_that_overflow(void** state) {
  static sparsify_call c;
  sparsify_call_create(&c, *state);
  subquad_sparsifier* large = NULL;
  for (int i = 0; i < 42; ++i) c.memory[A_X][i] *= 1e150;
  assert_ok(subquad_sparsify(*state, c.options, c.x, &large, NULL));
  c.sparsifier = large;
  infinite_scale(&c);
  assert_status(sparsify_run(sparsify_function_named("attention"), &c), SUBQUAD_ERR_OVERFLOW);
  assert_error_says("logit");
  subquad_sparsifier_destroy(large);
  sparsify_call_free(&c);
}

/* A sparsifier by GRAM has no columns of x, unless it is x. */
static void test_indices_that_there_are_not(void** state) {
  static sparsify_call c;
  sparsify_call_create(&c, *state);
  subquad_sparsifier* gram = NULL;
  gram_with_columns(&c);
  neither(&c);
  assert_ok(subquad_sparsify(*state, c.options, c.x, &gram, NULL));
  c.sparsifier = gram;
  c.views[A_Y] = matrix(c.memory[A_Y], SUBQUAD_FLOAT64, 3, 3);
  expect_error(sparsify_function_named("get"), &c, SUBQUAD_ERR_UNSET, "indices", "indices of a factor");
  c.given[A_INDICES] = NULL;
  expect_error(sparsify_function_named("get"), &c, SUBQUAD_ERR_UNSET, "weights", "weights of a factor");
  c.given[A_WEIGHTS] = NULL;
  assert_ok(sparsify_run(sparsify_function_named("get"), &c));
  subquad_sparsifier_destroy(gram);
  sparsify_call_free(&c);
}

static void test_bounds_that_there_are_not(void** state) {
  static sparsify_call c;
  sparsify_call_create(&c, *state);
  double bound = 0;
  static const double scales[] = {NAN, INFINITY, -INFINITY};
  for (size_t i = 0; i < COUNT(scales); ++i) {
    assert_status(subquad_sparsifier_ratio_bound(c.sparsifier, scales[i], &bound), SUBQUAD_ERR_VALUE);
    assert_error_says("scale");
  }
  set_int(&c, SUBQUAD_OPTION_SPARSIFY_CERTIFY, SUBQUAD_CERTIFICATE_NONE);
  subquad_sparsifier* without = NULL;
  assert_ok(subquad_sparsify(*state, c.options, c.x, &without, NULL));
  assert_status(subquad_sparsifier_ratio_bound(without, 1, &bound), SUBQUAD_ERR_UNSET);
  assert_error_says("certificate");
  assert_true(bound == 0);
  subquad_sparsifier_destroy(without);
  sparsify_call_free(&c);
}

/* What the softmax's error is asked of must be what was sparsified. */
static void test_other_matrices(void** state) {
  static sparsify_call c;
  sparsify_call_create(&c, *state);
  subquad_sparsifier* pair = NULL;
  double* e = c.numbers;
  assert_ok(subquad_sparsify_pair(*state, c.options, c.q, c.k, &pair, NULL));
  assert_status(subquad_sparsifier_softmax_error(*state, NULL, c.sparsifier, c.q, NULL, e, e + 1), SUBQUAD_ERR_SHAPE);
  assert_error_says("x");
  assert_status(subquad_sparsifier_softmax_error(*state, NULL, c.sparsifier, c.x, c.k, e, e + 1), SUBQUAD_ERR_CONFLICT);
  assert_error_says("k");
  assert_status(subquad_sparsifier_softmax_error(*state, NULL, pair, c.q, NULL, e, e + 1), SUBQUAD_ERR_CONFLICT);
  assert_error_says("k");
  assert_status(subquad_sparsifier_softmax_error(*state, NULL, pair, c.q, c.q, e, e + 1), SUBQUAD_ERR_SHAPE);
  assert_error_says("k");
  float narrow[42] = {0};
  const subquad_array view = matrix(narrow, SUBQUAD_FLOAT32, 3, 14), thin = matrix(c.memory[A_X], SUBQUAD_FLOAT64, 3, 13);
  subquad_matrix *floats = NULL, *fewer = NULL;
  assert_ok(subquad_matrix_from_dense(&view, &floats));
  assert_ok(subquad_matrix_from_dense(&thin, &fewer));
  assert_status(subquad_sparsifier_softmax_error(*state, NULL, c.sparsifier, floats, NULL, e, e + 1), SUBQUAD_ERR_DTYPE);
  assert_status(subquad_sparsify_pair(*state, c.options, c.q, floats, &c.sparsifier_out, NULL), SUBQUAD_ERR_DTYPE);
  assert_error_says("k");
  assert_null(c.sparsifier_out);
  assert_status(subquad_sparsify_pair(*state, c.options, c.q, fewer, &c.sparsifier_out, NULL), SUBQUAD_ERR_SHAPE);
  assert_error_says("13");
  assert_ok(subquad_sparsifier_softmax_error(*state, NULL, pair, c.q, c.k, e, e + 1));
  subquad_matrix_destroy(floats);
  subquad_matrix_destroy(fewer);
  subquad_sparsifier_destroy(pair);
  sparsify_call_free(&c);
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
      cmocka_unit_test(test_every_array_spoilt),
      cmocka_unit_test(test_optional_arrays_may_be_left_out),
      cmocka_unit_test(test_outputs_over_other_arrays),
      cmocka_unit_test(test_scores_over_x),
      cmocka_unit_test(test_null_handles),
      cmocka_unit_test(test_results_that_may_be_null),
      cmocka_unit_test(test_errors_of_single_functions),
      cmocka_unit_test(test_logits_that_overflow),
      cmocka_unit_test(test_indices_that_there_are_not),
      cmocka_unit_test(test_bounds_that_there_are_not),
      cmocka_unit_test(test_other_matrices),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
