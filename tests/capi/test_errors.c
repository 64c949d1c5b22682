/* Calls that fail in validation: the right code, an error that names the argument, nothing written, everything still usable. */
#include "support.h"

#include <math.h>
#include <string.h>

/* One call of subquad_attention with all optional arguments, and memory to compare. */
typedef struct call {
  subquad_options* options;
  subquad_array q, k, v, bias, ranges, o, lse;
  const subquad_array *q_given, *k_given, *v_given, *bias_given, *ranges_given, *o_given, *lse_given;
} call;

enum { HEADS = 2, N = 5, D = 3, LAGS = 2 * N };

/* Inputs first, then the outputs. */
static struct {
  int64_t ranges[2];
  double q[HEADS * N * D], k[HEADS * N * D], v[HEADS * N * D], bias[LAGS], o[HEADS * N * D], lse[HEADS * N];
} memory;

static void good_call(call* c) {
  const int32_t f64 = SUBQUAD_FLOAT64;
  c->options = new_options();
  assert_ok(subquad_options_set_int(c->options, SUBQUAD_OPTION_LAG_MIN, -N));
  c->q = stack(memory.q, f64, HEADS, N, D);
  c->k = stack(memory.k, f64, HEADS, N, D);
  c->v = stack(memory.v, f64, HEADS, N, D);
  c->bias = matrix(memory.bias, f64, 1, LAGS);
  c->ranges = matrix(memory.ranges, SUBQUAD_INT64, 1, 2);
  c->o = stack(memory.o, f64, HEADS, N, D);
  c->lse = matrix(memory.lse, f64, HEADS, N);
  c->q_given = &c->q;
  c->k_given = &c->k;
  c->v_given = &c->v;
  c->bias_given = &c->bias;
  c->ranges_given = &c->ranges;
  c->o_given = &c->o;
  c->lse_given = &c->lse;
  assert_ok(subquad_fill_uniform(&c->q, 1, 0, -1, 1));
  assert_ok(subquad_fill_uniform(&c->k, 1, 1, -1, 1));
  assert_ok(subquad_fill_uniform(&c->v, 1, 2, -1, 1));
  assert_ok(subquad_fill_uniform(&c->bias, 1, 3, -1, 1));
  assert_ok(subquad_fill_uniform(&c->o, 1, 4, -1, 1));
  assert_ok(subquad_fill_uniform(&c->lse, 1, 5, -1, 1));
  memory.ranges[0] = 1;
  memory.ranges[1] = 4;
}

static subquad_status run(subquad_context* context, const call* c) {
  return subquad_attention(context, c->options, c->q_given, c->k_given, c->v_given, c->bias_given, c->ranges_given, c->o_given,
                           c->lse_given, NULL);
}

static void no_q(call* c) { c->q_given = NULL; }
static void no_k(call* c) { c->k_given = NULL; }
static void no_v(call* c) { c->v_given = NULL; }
static void no_o(call* c) { c->o_given = NULL; }
static void no_data(call* c) { c->k.data = NULL; }
static void no_dimensions(call* c) { c->q.ndim = 0; }
static void one_dimension(call* c) { c->q.ndim = 1; }
static void five_dimensions(call* c) { c->v.ndim = 5; }
static void mixed_dimensions(call* c) { c->k = matrix(memory.k, SUBQUAD_FLOAT64, N, D); }
static void negative_extent(call* c) { c->k.shape[1] = -1; }
static void zero_width(call* c) { c->q.shape[2] = c->k.shape[2] = 0; }
static void other_width(call* c) { c->q.shape[2] = 2; }
static void other_keys(call* c) { c->v.shape[1] = 4; }
static void odd_heads(call* c) { c->q.shape[0] = c->o.shape[0] = c->lse.shape[0] = 1; }
static void other_o(call* c) { c->o.shape[1] = 4; }
static void other_lse(call* c) { c->lse.shape[1] = 4; }
static void bias_heads(call* c) { c->bias.shape[0] = 3; }
static void bias_dimensions(call* c) { c->bias.ndim = 1; }
static void ranges_width(call* c) { c->ranges.shape[1] = 3; }
static void mixed_dtypes(call* c) { c->k.dtype = SUBQUAD_FLOAT32; }
static void unknown_dtype(call* c) { c->q.dtype = 77; }
static void float_ranges(call* c) { c->ranges.dtype = SUBQUAD_FLOAT64; }
static void integer_bias(call* c) { c->bias.dtype = SUBQUAD_INT64; }
static void float_lse(call* c) { c->lse.dtype = SUBQUAD_FLOAT32; }
static void shared_o(call* c) { c->o.strides[1] = 1; }
static void shared_lse(call* c) { c->lse.strides[0] = 0; }
static void misaligned_q(call* c) { c->q.data = (char*)memory.q + 4; }
static void o_on_k(call* c) { c->o.data = memory.k; }
static void nan_in_q(call* c) { ((double*)c->q.data)[N * D + 4] = NAN; }
static void infinity_in_v(call* c) { ((double*)c->v.data)[0] = INFINITY; }
static void nan_in_bias(call* c) { ((double*)c->bias.data)[3] = NAN; }
static void short_bias(call* c) { c->bias.shape[1] = 4; }
static void start_after_end(call* c) { ((int64_t*)c->ranges.data)[0] = 9; }
static void budget(call* c) { assert_ok(subquad_options_set_float(c->options, SUBQUAD_OPTION_BUDGET, 0.5)); }
static void huge_rows(call* c) { c->k.shape[1] = c->v.shape[1] = INT64_MAX / 2; }

static const struct {
  const char* name;
  void (*spoil)(call*);
  subquad_status code;
  const char* says;
} bad_calls[] = {
    {"q is NULL", no_q, SUBQUAD_ERR_NULL, "q is null"},
    {"k is NULL", no_k, SUBQUAD_ERR_NULL, "k is null"},
    {"v is NULL", no_v, SUBQUAD_ERR_NULL, "v is null"},
    {"o is NULL", no_o, SUBQUAD_ERR_NULL, "o is null"},
    {"k has no data", no_data, SUBQUAD_ERR_NULL, "but its data is null"},
    {"q has no dimensions", no_dimensions, SUBQUAD_ERR_SHAPE, "q has 0 dimensions"},
    {"q has one dimension", one_dimension, SUBQUAD_ERR_SHAPE, "q has 1 dimensions"},
    {"v has five dimensions", five_dimensions, SUBQUAD_ERR_SHAPE, "v has 5 dimensions"},
    {"k has fewer dimensions than q", mixed_dimensions, SUBQUAD_ERR_SHAPE, "dimensions, q has"},
    {"negative extent", negative_extent, SUBQUAD_ERR_SHAPE, "with a negative extent"},
    {"d = 0", zero_width, SUBQUAD_ERR_SHAPE, "d, its last extent, is 0"},
    {"q and k differ in width", other_width, SUBQUAD_ERR_SHAPE, "k has shape ["},
    {"k and v differ in length", other_keys, SUBQUAD_ERR_SHAPE, "v has shape ["},
    {"heads of q no multiple", odd_heads, SUBQUAD_ERR_SHAPE, "heads, not a multiple of the"},
    {"o too short", other_o, SUBQUAD_ERR_SHAPE, "o has shape ["},
    {"lse too short", other_lse, SUBQUAD_ERR_SHAPE, "lse has shape ["},
    {"lag_bias has three heads", bias_heads, SUBQUAD_ERR_SHAPE, "lag_bias has shape ["},
    {"lag_bias has one dimension", bias_dimensions, SUBQUAD_ERR_SHAPE, "lag_bias has 1 dimensions"},
    {"key_ranges has three columns", ranges_width, SUBQUAD_ERR_SHAPE, "key_ranges has shape ["},
    {"mixed dtypes", mixed_dtypes, SUBQUAD_ERR_DTYPE, "k is float"},
    {"unknown dtype", unknown_dtype, SUBQUAD_ERR_DTYPE, "unknown dtype 77"},
    {"key_ranges of floats", float_ranges, SUBQUAD_ERR_DTYPE, "key_ranges is float"},
    {"lag_bias of integers", integer_bias, SUBQUAD_ERR_DTYPE, "lag_bias is int"},
    {"lse of another dtype", float_lse, SUBQUAD_ERR_DTYPE, "lse is float"},
    {"rows of o share memory", shared_o, SUBQUAD_ERR_STRIDE, "o has shape ["},
    {"heads of lse share memory", shared_lse, SUBQUAD_ERR_STRIDE, "lse has shape ["},
    {"q misaligned", misaligned_q, SUBQUAD_ERR_STRIDE, "q has data that is not aligned"},
    {"o on k", o_on_k, SUBQUAD_ERR_ALIAS, "o overlaps k"},
    {"NaN in q", nan_in_q, SUBQUAD_ERR_NONFINITE, "q[1, 1, 1]"},
    {"infinity in v", infinity_in_v, SUBQUAD_ERR_NONFINITE, "v[0, 0, 0]"},
    {"NaN in lag_bias", nan_in_bias, SUBQUAD_ERR_NONFINITE, "lag_bias[0, 3]"},
    {"lag_bias does not reach", short_bias, SUBQUAD_ERR_VALUE, "lag_bias covers lags"},
    {"key_ranges start > end", start_after_end, SUBQUAD_ERR_VALUE, "key_ranges[0] is (9"},
    {"budget", budget, SUBQUAD_ERR_CONFLICT, "budget is 0.5"},
    {"more bytes than addresses", huge_rows, SUBQUAD_ERR_SIZE, "k has shape ["},
};

static void test_bad_calls_write_nothing(void** state) {
  (void)state;
  subquad_context* context = new_context();
  for (size_t i = 0; i < COUNT(bad_calls); ++i) {
    call c;
    good_call(&c);
    bad_calls[i].spoil(&c);
    unsigned char before[sizeof memory];
    memcpy(before, &memory, sizeof memory);
    const subquad_status found = run(context, &c);
    if (found != bad_calls[i].code) print_error("in the case: %s\n", bad_calls[i].name);
    assert_status(found, bad_calls[i].code);
    assert_error_says(bad_calls[i].says);
    assert_memory_equal(before, &memory, sizeof memory);
    subquad_options_destroy(c.options);
    good_call(&c);
    assert_ok(run(context, &c));
    subquad_options_destroy(c.options);
  }
  subquad_context_destroy(context);
}

static void test_without_a_context(void** state) {
  (void)state;
  call c;
  good_call(&c);
  assert_status(run(NULL, &c), SUBQUAD_ERR_NULL);
  assert_error_says("context");
  subquad_options_destroy(c.options);
}

static void test_inputs_survive_a_late_failure(void** state) {
  (void)state;
  subquad_context* context = new_context();
  call c;
  good_call(&c);
  assert_ok(subquad_fill_uniform(&c.q, 0, 0, 1e200, 2e200));
  assert_ok(subquad_fill_uniform(&c.k, 0, 0, 1e200, 2e200));
  unsigned char before[sizeof memory];
  memcpy(before, &memory, sizeof memory);
  assert_status(run(context, &c), SUBQUAD_ERR_OVERFLOW);
  assert_memory_equal(before, &memory, (size_t)((char*)memory.o - (char*)&memory));
  subquad_options_destroy(c.options);
  subquad_context_destroy(context);
}

static void test_without_the_scan_values_pass_through(void** state) {
  (void)state;
  subquad_context* context = new_context();
  call c;
  good_call(&c);
  assert_ok(subquad_options_set_int(c.options, SUBQUAD_OPTION_CHECK_FINITE, 0));
  memory.v[1 * D + 2] = NAN; /* a key in the range, so every query of head 0 sees it */
  assert_ok(run(context, &c));
  for (int i = 0; i < N; ++i) {
    assert_true(isnan(memory.o[i * D + 2]));
    assert_true(isfinite(memory.o[i * D + 1]));
    assert_true(isfinite(memory.o[(N + i) * D + 2]));
  }
  subquad_options_destroy(c.options);
  subquad_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bad_calls_write_nothing),
      cmocka_unit_test(test_without_a_context),
      cmocka_unit_test(test_inputs_survive_a_late_failure),
      cmocka_unit_test(test_without_the_scan_values_pass_through),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
