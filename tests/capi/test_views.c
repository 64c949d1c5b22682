/* Views of any stride: transposed, spaced, reversed and broadcast inputs, spaced and reversed outputs, missing dimensions. */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

enum { HEADS = 2, ROWS = 37, COLUMNS = 6, SPARE = 64 * 1024 };

static const settings causal = {.causal = 1};

/* What a change of view does to an array of a problem: new memory of SPARE elements, new strides, the same shape. */
static void relayout(subquad_array* x, const int64_t strides[4], int64_t origin) {
  const size_t size = x->dtype == SUBQUAD_FLOAT32 ? sizeof(float) : sizeof(double);
  free(x->data);
  x->data = calloc(SPARE, size);
  assert_non_null(x->data);
  x->data = (char*)x->data + (size_t)origin * size;
  memcpy(x->strides, strides, sizeof x->strides);
}

static void* base_of(const subquad_array* x, int64_t origin) {
  const size_t size = x->dtype == SUBQUAD_FLOAT32 ? sizeof(float) : sizeof(double);
  return (char*)x->data - (size_t)origin * size;
}

/* Layouts of [1, HEADS, ROWS, COLUMNS]. */
typedef struct layout {
  const char* name;
  int64_t strides[4];
  int64_t origin;
  int output_too; /* whether no two elements share memory */
} layout;

static const layout layouts[] = {
    {"rows outermost", {HEADS * ROWS * COLUMNS, COLUMNS, HEADS* COLUMNS, 1}, 0, 1},
    {"columns outermost", {HEADS * ROWS * COLUMNS, ROWS, 1, HEADS* ROWS}, 0, 1},
    {"padded rows", {HEADS * ROWS * 11, ROWS * 11, 11, 1}, 0, 1},
    {"every third column", {HEADS * ROWS * 20, ROWS * 20, 20, 3}, 0, 1},
    {"rows reversed", {HEADS * ROWS * COLUMNS, ROWS* COLUMNS, -COLUMNS, 1}, (ROWS - 1) * COLUMNS, 1},
    {"columns reversed", {HEADS * ROWS * COLUMNS, ROWS* COLUMNS, COLUMNS, -1}, COLUMNS - 1, 1},
    {"all reversed", {1, -ROWS* COLUMNS, -COLUMNS, -1}, HEADS* ROWS* COLUMNS - 1, 1},
    {"one row for all", {0, COLUMNS, 0, 1}, 0, 0},
    {"one head for all", {0, 0, COLUMNS, 1}, 0, 0},
    {"one number for all", {0, 0, 0, 0}, 0, 0},
    {"overlapping rows", {0, 100, 1, 1}, 0, 0},
};

/* Random values at every place of the memory behind a view. */
static void fill(const subquad_array* x, int64_t origin, uint64_t stream) {
  const subquad_array all = vector(base_of(x, origin), x->dtype, SPARE);
  assert_ok(subquad_fill_uniform(&all, 9, stream, -1, 1));
}

static problem small_problem(int32_t dtype) {
  problem p = {1, HEADS, HEADS, ROWS, ROWS, COLUMNS, COLUMNS, dtype, {0}, {0}, {0}, {0}, {0}};
  problem_create(&p);
  return p;
}

static void test_inputs(void** state) {
  (void)state;
  subquad_context* context = new_context();
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    for (size_t i = 0; i < COUNT(layouts); ++i) {
      problem p = small_problem(dtype);
      subquad_array* inputs[] = {&p.q, &p.k, &p.v};
      for (size_t j = 0; j < COUNT(inputs); ++j) {
        relayout(inputs[j], layouts[i].strides, layouts[i].origin);
        fill(inputs[j], layouts[i].origin, j);
        assert_ok(attend_with(context, &p, &causal));
        assert_is_attention(&p, &causal);
      }
      for (size_t j = 0; j < COUNT(inputs); ++j) inputs[j]->data = base_of(inputs[j], layouts[i].origin);
      problem_free(&p);
    }
  }
  subquad_context_destroy(context);
}

static void test_outputs_and_what_lies_between_their_elements(void** state) {
  (void)state;
  subquad_context* context = new_context();
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    const size_t bytes = SPARE * (dtype == SUBQUAD_FLOAT32 ? sizeof(float) : sizeof(double));
    for (size_t i = 0; i < COUNT(layouts); ++i) {
      if (!layouts[i].output_too) continue;
      problem p = small_problem(dtype);
      relayout(&p.o, layouts[i].strides, layouts[i].origin);
      unsigned char* before = base_of(&p.o, layouts[i].origin);
      memset(before, 0xa5, bytes);
      assert_ok(attend_with(context, &p, &causal));
      assert_is_attention(&p, &causal);
      /* Overwrite the elements of the view with the pattern: then nothing else may differ from it. */
      const size_t size = bytes / SPARE;
      for (int64_t h = 0; h < HEADS; ++h) {
        for (int64_t r = 0; r < ROWS; ++r) {
          for (int64_t c = 0; c < COLUMNS; ++c) {
            const int64_t at = h * p.o.strides[1] + r * p.o.strides[2] + c * p.o.strides[3];
            memset((char*)p.o.data + at * (int64_t)size, 0xa5, size);
          }
        }
      }
      for (size_t byte = 0; byte < bytes; ++byte) assert_int_equal(before[byte], 0xa5);
      p.o.data = before;
      problem_free(&p);
    }
  }
  subquad_context_destroy(context);
}

static void test_a_strided_lse(void** state) {
  (void)state;
  subquad_context* context = new_context();
  problem p = small_problem(SUBQUAD_FLOAT32);
  const int64_t strides[4] = {HEADS * ROWS * 3, -3 * ROWS, -3, 0};
  const int64_t origin = 3 * HEADS * ROWS - 1;
  relayout(&p.lse, strides, origin);
  assert_ok(attend_with(context, &p, &causal));
  assert_is_attention(&p, &causal);
  p.lse.data = base_of(&p.lse, origin);
  problem_free(&p);
  subquad_context_destroy(context);
}

/* Two dimensions mean one head; three mean heads without a batch. */
static void test_fewer_dimensions_give_the_same_bits(void** state) {
  (void)state;
  subquad_context* context = new_context();
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1));
  problem p = small_problem(SUBQUAD_FLOAT32);
  assert_ok(attend(context, options, &p));
  float o[HEADS * ROWS * COLUMNS], lse[HEADS * ROWS];
  const int32_t f32 = SUBQUAD_FLOAT32;

  const subquad_array q3 = stack(p.q.data, f32, HEADS, ROWS, COLUMNS), k3 = stack(p.k.data, f32, HEADS, ROWS, COLUMNS);
  const subquad_array v3 = stack(p.v.data, f32, HEADS, ROWS, COLUMNS), o3 = stack(o, f32, HEADS, ROWS, COLUMNS);
  const subquad_array lse2 = matrix(lse, f32, HEADS, ROWS);
  assert_ok(subquad_attention(context, options, &q3, &k3, &v3, NULL, NULL, &o3, &lse2, NULL));
  assert_true(same_bits(&p.o, &o3) && same_bits(&p.lse, &lse2));

  memset(o, 0, sizeof o);
  memset(lse, 0, sizeof lse);
  for (int64_t h = 0; h < HEADS; ++h) {
    const int64_t at = h * ROWS * COLUMNS;
    const subquad_array q2 = matrix((float*)p.q.data + at, f32, ROWS, COLUMNS),
                        k2 = matrix((float*)p.k.data + at, f32, ROWS, COLUMNS);
    const subquad_array v2 = matrix((float*)p.v.data + at, f32, ROWS, COLUMNS), o2 = matrix(o + at, f32, ROWS, COLUMNS);
    const subquad_array lse1 = vector(lse + h * ROWS, f32, ROWS);
    assert_ok(subquad_attention(context, options, &q2, &k2, &v2, NULL, NULL, &o2, &lse1, NULL));
  }
  assert_true(same_bits(&p.o, &o3) && same_bits(&p.lse, &lse2));
  problem_free(&p);
  subquad_options_destroy(options);
  subquad_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_inputs),
      cmocka_unit_test(test_outputs_and_what_lies_between_their_elements),
      cmocka_unit_test(test_a_strided_lse),
      cmocka_unit_test(test_fewer_dimensions_give_the_same_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
