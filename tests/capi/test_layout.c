/* The layouts of subquad_array and subquad_sparse are part of the ABI. */
#include "support.h"

static void test_layout_of_subquad_array(void** state) {
  (void)state;
  assert_int_equal(sizeof(subquad_array), 80);
  assert_int_equal(offsetof(subquad_array, data), 0);
  assert_int_equal(offsetof(subquad_array, dtype), 8);
  assert_int_equal(offsetof(subquad_array, ndim), 12);
  assert_int_equal(offsetof(subquad_array, shape), 16);
  assert_int_equal(offsetof(subquad_array, strides), 48);
  assert_int_equal(COUNT(((subquad_array*)NULL)->shape), SUBQUAD_MAX_NDIM);
}

static void test_layout_of_subquad_sparse(void** state) {
  (void)state;
  assert_int_equal(sizeof(subquad_sparse), 64);
  assert_int_equal(offsetof(subquad_sparse, offsets), 0);
  assert_int_equal(offsetof(subquad_sparse, indices), 8);
  assert_int_equal(offsetof(subquad_sparse, values), 16);
  assert_int_equal(offsetof(subquad_sparse, rows), 24);
  assert_int_equal(offsetof(subquad_sparse, columns), 32);
  assert_int_equal(offsetof(subquad_sparse, nonzeros), 40);
  assert_int_equal(offsetof(subquad_sparse, layout), 48);
  assert_int_equal(offsetof(subquad_sparse, dtype), 52);
  assert_int_equal(offsetof(subquad_sparse, index_dtype), 56);
  assert_int_equal(offsetof(subquad_sparse, index_base), 60);
}

static void test_width_of_the_scalar_types(void** state) {
  (void)state;
  assert_int_equal(sizeof(subquad_status), 4);
  assert_int_equal(sizeof(subquad_callback), sizeof(void*));
  assert_int_equal(sizeof(subquad_column_blocks), sizeof(void*));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layout_of_subquad_array),
      cmocka_unit_test(test_layout_of_subquad_sparse),
      cmocka_unit_test(test_width_of_the_scalar_types),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
