/* Conv bases through the C API: life cycle, round trips, and every product against its definition. */
#include "conv_problem.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static subquad_status apply_transposed(subquad_context* context, const subquad_conv_basis* basis, const conv_problem* p) {
  return subquad_conv_basis_apply_transposed(context, NULL, basis, &p->x, &p->y, NULL);
}

static void check_attention(subquad_context* context, conv_problem* p, int64_t first) {
  conv_problem_create(p, first);
  subquad_conv_basis* basis = new_basis(context, p);
  assert_ok(conv_apply(context, NULL, basis, p));
  assert_is_conv_attention(p);
  assert_ok(apply_transposed(context, basis, p));
  assert_is_conv_transposed(p);
  subquad_conv_basis_destroy(basis);
  conv_problem_free(p);
}

static void test_attention_of_many_sizes(void** state) {
  static const int64_t sizes[] = {1, 2, 3, 31, 63, 64, 65, 127, 129, 257, 521};
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    for (size_t s = 0; s < COUNT(sizes); ++s) {
      for (int64_t part = 0; part <= 1; ++part) {
        const int64_t n = sizes[s], first = part * n / 3, room = n - first;
        conv_problem p = {.batch = 1, .heads = 1, .heads_v = 1, .n = n, .d_v = 3, .dtype = dtype, .reach = 2};
        p.bases = room < 5 ? room : 5;
        check_attention(*state, &p, first);
      }
    }
  }
}

static void test_attention_of_later_columns_only(void** state) {
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    conv_problem p = {.batch = 1, .heads = 1, .heads_v = 1, .n = 150, .bases = 3, .d_v = 2, .dtype = dtype, .reach = 2};
    check_attention(*state, &p, 149 - 2);
  }
}

static void test_attention_of_batches_and_grouped_heads(void** state) {
  static const int64_t heads_v[] = {1, 2, 6};
  for (size_t i = 0; i < COUNT(heads_v); ++i) {
    conv_problem p = {.batch = 2, .heads = 6, .heads_v = heads_v[i], .n = 40, .bases = 3, .d_v = 4, .dtype = SUBQUAD_FLOAT32};
    p.reach = 2;
    check_attention(*state, &p, 1);
  }
}

static void test_attention_of_the_widest_promised_logits(void** state) {
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    conv_problem p = {.batch = 1, .heads = 2, .heads_v = 2, .n = 300, .bases = 4, .d_v = 2, .dtype = dtype};
    p.reach = dtype == SUBQUAD_FLOAT32 ? 80 : 600;
    check_attention(*state, &p, 7);
  }
}

static void test_rows_that_cannot_be_empty(void** state) {
  conv_problem p = {.batch = 1, .heads = 1, .heads_v = 1, .n = 9, .bases = 0, .d_v = 2, .dtype = SUBQUAD_FLOAT64};
  check_attention(*state, &p, 0); /* no bases: all logits are 0 */
  p.n = 0;
  check_attention(*state, &p, 0);
  p.n = 5;
  p.bases = 2;
  p.d_v = 0;
  check_attention(*state, &p, 0);
}

/* Rows of v backwards, columns of o spaced, lse reversed: the bits are those of the plain call. */
static void test_strides_change_no_bit(void** state) {
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    const size_t size = dtype == SUBQUAD_FLOAT32 ? sizeof(float) : sizeof(double);
    conv_problem p = small_conv_problem(dtype, 100, 3);
    subquad_conv_basis* basis = new_basis(*state, &p);
    assert_ok(conv_apply(*state, NULL, basis, &p));
    const int64_t n = p.n, d_v = p.d_v;
    char* back = malloc(size * (size_t)(n * d_v));
    char* wide = calloc((size_t)(2 * n * d_v), size);
    char* reversed = malloc(size * (size_t)n);
    assert_true(back != NULL && wide != NULL && reversed != NULL);
    subquad_array v = p.v, o = p.o, lse = p.lse;
    for (int64_t i = 0; i < n; ++i)
      memcpy(back + (size_t)((n - 1 - i) * d_v) * size, (char*)p.v.data + (size_t)(i * d_v) * size, (size_t)d_v * size);
    v.data = back + (size_t)((n - 1) * d_v) * size;
    v.strides[2] = -d_v;
    o.data = wide;
    o.strides[2] = 2 * d_v;
    o.strides[3] = 2;
    lse.data = reversed + (size_t)(n - 1) * size;
    lse.strides[2] = -1;
    assert_ok(subquad_conv_basis_apply(*state, NULL, basis, &v, &o, &lse, NULL));
    for (int64_t i = 0; i < n; ++i) {
      assert_true(element(&lse, 0, 0, i, 0) == element(&p.lse, 0, 0, i, 0));
      for (int64_t c = 0; c < d_v; ++c) assert_true(element(&o, 0, 0, i, c) == element(&p.o, 0, 0, i, c));
    }
    free(back);
    free(wide);
    free(reversed);
    subquad_conv_basis_destroy(basis);
    conv_problem_free(&p);
  }
}

/* Budget roundoff of transforms: three of at most 4096 entries for each segment, 5 u per level; no entry exceeds 1, so that the kernel's
 * l1 norm is at most n, and the l2 norm of a column's segment at most sqrt(n). */
static long double transform_budget(const conv_problem* p) {
  const long double eps = p->dtype == SUBQUAD_FLOAT32 ? FLT_EPSILON : DBL_EPSILON;
  return (3 * 5 * 12 + 4) * eps * p->bases * p->reach * p->n * sqrtl(p->n);
}

static void check_product(const conv_problem* p, int64_t i, int64_t c, int transposed) {
  long double expected = 0;
  for (int64_t j = 0; j < p->n; ++j) {
    const int64_t row = transposed ? j : i, column = transposed ? i : j;
    if (column <= row) expected += (long double)conv_logit(p, 0, 0, row, column) * element(&p->x, 0, 0, j, c);
  }
  const long double found = element(&p->y, 0, 0, i, c);
  if (!(fabsl(found - expected) <= transform_budget(p))) {
    fail_msg("y[%d,%d] = %.17Lg, not %.17Lg within %.2Lg", (int)i, (int)c, found, expected, transform_budget(p));
  }
}

static void test_products_with_the_matrix(void** state) {
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    for (int transposed = 0; transposed <= 1; ++transposed) {
      conv_problem p = {.batch = 1, .heads = 1, .heads_v = 1, .n = 200, .bases = 3, .d_v = 2, .dtype = dtype, .reach = 1};
      conv_problem_create(&p, 11);
      subquad_conv_basis* basis = new_basis(*state, &p);
      assert_ok((transposed ? subquad_conv_basis_multiply_transposed : subquad_conv_basis_multiply)(*state, NULL, basis, &p.x,
                                                                                                    &p.y, NULL));
      for (int64_t at = 0; at < p.n * p.d_v; ++at) check_product(&p, at / p.d_v, at % p.d_v, transposed);
      subquad_conv_basis_destroy(basis);
      conv_problem_free(&p);
    }
  }
}

static void test_dense_round_trip(void** state) {
  enum { N = 30 };
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    double memory[2][N * N];
    conv_problem p = small_conv_problem(dtype, N, 1);
    subquad_conv_basis *basis = new_basis(*state, &p), *again = NULL;
    const subquad_array h = matrix(memory[0], dtype, N, N), back = matrix(memory[1], dtype, N, N);
    assert_ok(subquad_conv_basis_to_dense(*state, basis, &h));
    for (int64_t i = 0; i < N; ++i)
      for (int64_t j = 0; j < N; ++j) assert_true(element(&h, i, j, 0, 0) == (j <= i ? conv_logit(&p, 0, 0, i, j) : 0));
    assert_ok(subquad_conv_basis_from_dense(*state, NULL, &h, &again));
    subquad_array kernels;
    assert_ok(subquad_conv_basis_describe(again, &kernels));
    assert_int_equal(kernels.shape[2], p.bases);
    assert_ok(subquad_conv_basis_to_dense(*state, again, &back));
    assert_true(same_bits(&h, &back));
    subquad_conv_basis_destroy(again);
    subquad_conv_basis_destroy(basis);
    conv_problem_free(&p);
  }
}

static void test_describe_and_get(void** state) {
  conv_problem p = {.batch = 2, .heads = 3, .heads_v = 3, .n = 10, .bases = 4, .d_v = 1, .dtype = SUBQUAD_FLOAT32, .reach = 1};
  conv_problem_create(&p, 1);
  subquad_conv_basis *basis = new_basis(*state, &p), *again = NULL;
  subquad_array kernels;
  assert_ok(subquad_conv_basis_describe(basis, &kernels));
  assert_int_equal(kernels.dtype, SUBQUAD_FLOAT32);
  assert_int_equal(kernels.ndim, 4);
  const int64_t shape[] = {2, 3, 4, 10}, strides[] = {120, 40, 10, 1};
  assert_memory_equal(kernels.shape, shape, sizeof shape);
  assert_memory_equal(kernels.strides, strides, sizeof strides);
  assert_null(kernels.data);

  float values[240];
  int64_t starts[24];
  const int64_t starts_shape[] = {2, 3, 4};
  const subquad_array starts_view = row_major(starts, SUBQUAD_INT64, 3, starts_shape);
  kernels.data = values;
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CUMULATIVE, 1));
  assert_ok(subquad_conv_basis_get(basis, options, NULL, NULL));
  assert_ok(subquad_conv_basis_get(basis, options, &starts_view, NULL));
  assert_ok(subquad_conv_basis_get(basis, options, NULL, &kernels));
  for (int at = 0; at < 240; ++at) {
    const int64_t start = p.starts[at / 10 % 4];
    if (at % 10 == 0) assert_int_equal(starts[at / 10], start);
    assert_true(values[at] == (at % 10 < p.n - start ? ((float*)p.kernels.data)[at] : 0));
  }
  assert_ok(subquad_conv_basis_create(*state, options, &starts_view, &kernels, &again));
  assert_ok(conv_apply(*state, NULL, basis, &p));
  const conv_problem first = p;
  p.o.data = p.y.data;
  assert_ok(conv_apply(*state, NULL, again, &p));
  assert_true(same_bits(&first.o, &p.o));
  subquad_conv_basis_destroy(again);
  subquad_conv_basis_destroy(basis);
  subquad_options_destroy(options);
  p.o = first.o;
  conv_problem_free(&p);
}

static void test_a_basis_keeps_its_own_copy(void** state) {
  conv_problem p = small_conv_problem(SUBQUAD_FLOAT64, 50, 2);
  subquad_conv_basis *basis = new_basis(*state, &p), *exponentials = NULL;
  assert_ok(subquad_conv_basis_exp(*state, basis, &exponentials));
  double before[50 * 2], h[50 * 50];
  const subquad_array dense = matrix(h, SUBQUAD_FLOAT64, 50, 50);
  assert_ok(conv_apply(*state, NULL, basis, &p));
  memcpy(before, p.o.data, sizeof before);
  memset(p.kernels.data, 0, sizeof(double) * (size_t)element_count(&p.kernels));
  subquad_context* other = new_context(); /* a basis does not belong to the context that made it */
  assert_ok(conv_apply(other, NULL, basis, &p));
  assert_memory_equal(before, p.o.data, sizeof before);
  subquad_conv_basis_destroy(basis);
  assert_ok(subquad_conv_basis_to_dense(other, exponentials, &dense));
  for (int64_t i = 0; i < 50; ++i) assert_true(h[i * 50] > 0 && isfinite(h[i * 50]));
  subquad_conv_basis_destroy(exponentials);
  subquad_conv_basis_destroy(NULL);
  subquad_context_destroy(other);
  conv_problem_free(&p);
}

/* Entries without meaning may be anything. */
static void test_the_rest_of_a_kernel_is_never_read(void** state) {
  conv_problem p = {.batch = 1, .heads = 1, .heads_v = 1, .n = 20, .bases = 2, .d_v = 2, .dtype = SUBQUAD_FLOAT64, .reach = 1};
  conv_problem_create(&p, 5);
  for (int64_t r = 0; r < 2; ++r)
    for (int64_t t = 20 - p.starts[r]; t < 20; ++t) ((double*)p.kernels.data)[r * 20 + t] = NAN;
  subquad_conv_basis* basis = new_basis(*state, &p);
  assert_ok(conv_apply(*state, NULL, basis, &p));
  assert_is_conv_attention(&p);
  subquad_conv_basis_destroy(basis);
  conv_problem_free(&p);
}

/* With STRICT_CAUSAL outputs do not change by a bit when later values do; without it by round-off of the block's values at most. */
static void test_later_values(void** state) {
  enum { N = 600, CHANGED = 301 };
  for (int strict = 0; strict <= 1; ++strict) {
    subquad_options* options = new_options();
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_STRICT_CAUSAL, strict));
    conv_problem p = small_conv_problem(SUBQUAD_FLOAT32, N, 2);
    subquad_conv_basis* basis = new_basis(*state, &p);
    float before[N * 2];
    assert_ok(conv_apply(*state, options, basis, &p));
    memcpy(before, p.o.data, sizeof before);
    for (int at = CHANGED * 2; at < N * 2; ++at) ((float*)p.v.data)[at] *= -1;
    assert_ok(conv_apply(*state, options, basis, &p));
    for (int at = 0; at < CHANGED * 2; ++at) {
      const float difference = fabsf(before[at] - ((float*)p.o.data)[at]);
      assert_true(strict ? difference == 0 : difference <= 2e-4F); /* both err by 1e-4 max|v| at most */
    }
    assert_true(memcmp(before + CHANGED * 2, (float*)p.o.data + CHANGED * 2, sizeof(float)) != 0);
    subquad_conv_basis_destroy(basis);
    subquad_options_destroy(options);
    conv_problem_free(&p);
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
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_attention_of_many_sizes),
      cmocka_unit_test(test_attention_of_later_columns_only),
      cmocka_unit_test(test_attention_of_batches_and_grouped_heads),
      cmocka_unit_test(test_attention_of_the_widest_promised_logits),
      cmocka_unit_test(test_rows_that_cannot_be_empty),
      cmocka_unit_test(test_strides_change_no_bit),
      cmocka_unit_test(test_products_with_the_matrix),
      cmocka_unit_test(test_dense_round_trip),
      cmocka_unit_test(test_describe_and_get),
      cmocka_unit_test(test_a_basis_keeps_its_own_copy),
      cmocka_unit_test(test_the_rest_of_a_kernel_is_never_read),
      cmocka_unit_test(test_later_values),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
