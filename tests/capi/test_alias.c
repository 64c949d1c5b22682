/* Outputs that overlap another argument are refused, before anything is written; neighbours are fine. */
#include "support.h"

#include <string.h>

enum { N = 8, D = 4, SIZE = N * D };

/* Memory for all arrays of one call, in known order. */
static float memory[8 * SIZE];

typedef struct call {
  subquad_array q, k, v, o, lse;
} call;

static call apart(void) {
  const int32_t f32 = SUBQUAD_FLOAT32;
  const call c = {matrix(memory, f32, N, D), matrix(memory + SIZE, f32, N, D), matrix(memory + 2 * SIZE, f32, N, D),
                  matrix(memory + 3 * SIZE, f32, N, D), vector(memory + 4 * SIZE, f32, N)};
  return c;
}

static subquad_status run(subquad_context* context, const call* c) {
  return subquad_attention(context, NULL, &c->q, &c->k, &c->v, NULL, NULL, &c->o, &c->lse, NULL);
}

static void assert_refused(subquad_context* context, const call* c, const char* argument) {
  float before[COUNT(memory)];
  memcpy(before, memory, sizeof memory);
  assert_status(run(context, c), SUBQUAD_ERR_ALIAS);
  assert_error_says(argument);
  assert_memory_equal(before, memory, sizeof memory);
}

static int prepare(void** state) {
  const subquad_array all = vector(memory, SUBQUAD_FLOAT32, COUNT(memory));
  *state = new_context();
  return (int)subquad_fill_uniform(&all, 1, 2, -1, 1);
}

static int finish(void** state) {
  subquad_context_destroy(*state);
  return 0;
}

static void test_adjacent_arrays_are_fine(void** state) {
  const call c = apart();
  assert_ok(run(*state, &c));
}

static void test_o_over_an_input(void** state) {
  call c = apart();
  const int64_t overlaps[] = {0, 1, SIZE - 1, SIZE + 3, 2 * SIZE, 3 * SIZE - 1};
  for (size_t i = 0; i < COUNT(overlaps); ++i) {
    c.o.data = memory + overlaps[i];
    c.lse.data = memory + 6 * SIZE;
    assert_refused(*state, &c, "o");
  }
}

static void test_lse_over_an_input_and_over_o(void** state) {
  call c = apart();
  c.lse.data = memory + SIZE - 1;
  assert_refused(*state, &c, "lse");
  c.lse.data = (float*)c.o.data + SIZE - 1;
  assert_refused(*state, &c, "lse");
}

static void test_extents_count_even_where_elements_interleave(void** state) {
  call c = apart();
  c.v.strides[0] = 2 * D;
  c.o.data = (float*)c.v.data + D;
  c.o.strides[0] = 2 * D;
  c.lse.data = memory + 7 * SIZE;
  assert_refused(*state, &c, "o");
}

static void test_a_reversed_output_is_seen_from_its_lowest_address(void** state) {
  call c = apart();
  c.o.data = memory + 4 * SIZE - D;
  c.o.strides[0] = -D;
  assert_ok(run(*state, &c));
  c.o.data = memory + 4 * SIZE - D - 1;
  assert_refused(*state, &c, "o");
}

static void test_key_ranges_and_lag_bias(void** state) {
  call c = apart();
  int64_t ranges[2] = {0, N};
  const subquad_array view = matrix(ranges, SUBQUAD_INT64, 1, 2);
  c.lse.data = (float*)(void*)ranges;
  assert_status(subquad_attention(*state, NULL, &c.q, &c.k, &c.v, NULL, &view, &c.o, &c.lse, NULL), SUBQUAD_ERR_ALIAS);
  assert_int_equal(ranges[1], N);

  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_LAG_MIN, -N));
  c = apart();
  const subquad_array bias = matrix(memory + 4 * SIZE, SUBQUAD_FLOAT32, 1, 2 * N);
  assert_status(subquad_attention(*state, options, &c.q, &c.k, &c.v, &bias, NULL, &c.o, &c.lse, NULL), SUBQUAD_ERR_ALIAS);
  subquad_options_destroy(options);
}

static void test_inputs_may_be_one_array(void** state) {
  call c = apart();
  c.k = c.v = c.q;
  assert_ok(run(*state, &c));
}

static void test_gradients(void** state) {
  call c = apart();
  assert_ok(run(*state, &c));
  float d_o[SIZE] = {0};
  const subquad_array go = matrix(d_o, SUBQUAD_FLOAT32, N, D);
  subquad_array dq = matrix(memory + 5 * SIZE, SUBQUAD_FLOAT32, N, D), dk = matrix(memory + 6 * SIZE, SUBQUAD_FLOAT32, N, D);
  assert_ok(
      subquad_attention_backward(*state, NULL, &c.q, &c.k, &c.v, NULL, NULL, &c.o, &c.lse, &go, &dq, &dk, NULL, NULL, NULL));
  dk.data = (float*)dq.data + 1;
  assert_status(
      subquad_attention_backward(*state, NULL, &c.q, &c.k, &c.v, NULL, NULL, &c.o, &c.lse, &go, &dq, &dk, NULL, NULL, NULL),
      SUBQUAD_ERR_ALIAS);
  dk.data = d_o;
  assert_status(
      subquad_attention_backward(*state, NULL, &c.q, &c.k, &c.v, NULL, NULL, &c.o, &c.lse, &go, &dq, &dk, NULL, NULL, NULL),
      SUBQUAD_ERR_ALIAS);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_adjacent_arrays_are_fine, prepare, finish),
      cmocka_unit_test_setup_teardown(test_o_over_an_input, prepare, finish),
      cmocka_unit_test_setup_teardown(test_lse_over_an_input_and_over_o, prepare, finish),
      cmocka_unit_test_setup_teardown(test_extents_count_even_where_elements_interleave, prepare, finish),
      cmocka_unit_test_setup_teardown(test_a_reversed_output_is_seen_from_its_lowest_address, prepare, finish),
      cmocka_unit_test_setup_teardown(test_key_ranges_and_lag_bias, prepare, finish),
      cmocka_unit_test_setup_teardown(test_inputs_may_be_one_array, prepare, finish),
      cmocka_unit_test_setup_teardown(test_gradients, prepare, finish),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
