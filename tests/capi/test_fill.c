/* The fill function: known answers of Philox4x32-10, streams, strides, bounds, errors. */
#include "support.h"

#include <math.h>

/* Philox4x32-10 in its textbook form, as an independent second implementation. */
static void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
  uint32_t k[2] = {key[0], key[1]};
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = (uint64_t)0xD2511F53u * c[0];
    const uint64_t b = (uint64_t)0xCD9E8D57u * c[2];
    const uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};
    for (int i = 0; i < 4; ++i) c[i] = next[i];
    k[0] += 0x9E3779B9u;
    k[1] += 0xBB67AE85u;
  }
  for (int i = 0; i < 4; ++i) out[i] = c[i];
}

/* u = w / 2^24 with w the top 24 bits, exact in float32 and float64. */
static double unit(uint32_t word) { return (double)(word >> 8) / 16777216.0; }

static void test_the_second_implementation_gives_the_published_answers(void** state) {
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], answer[4];
  } published[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}},
      {{0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu},
       {0xffffffffu, 0xffffffffu},
       {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}},
      {{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
       {0xa4093822u, 0x299f31d0u},
       {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}},
  };
  for (size_t i = 0; i < COUNT(published); ++i) {
    uint32_t out[4];
    philox(published[i].counter, published[i].key, out);
    for (int j = 0; j < 4; ++j) assert_int_equal(out[j], published[i].answer[j]);
  }
}

static void test_elements_are_the_words_of_the_generator(void** state) {
  (void)state;
  static const uint64_t pairs[][2] = {{0, 0}, {1, 2}, {0x123456789abcdef0u, 0xfedcba9876543210u}, {UINT64_MAX, UINT64_MAX}};
  for (size_t p = 0; p < COUNT(pairs); ++p) {
    const uint64_t seed = pairs[p][0], stream = pairs[p][1];
    float single[23];
    double twice[23];
    subquad_array x = vector(single, SUBQUAD_FLOAT32, 23);
    subquad_array y = vector(twice, SUBQUAD_FLOAT64, 23);
    assert_ok(subquad_fill_uniform(&x, seed, stream, 0, 1));
    assert_ok(subquad_fill_uniform(&y, seed, stream, 0, 1));
    for (uint32_t i = 0; i < 23; ++i) {
      const uint32_t counter[4] = {i / 4, 0, (uint32_t)stream, (uint32_t)(stream >> 32)};
      const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
      uint32_t words[4];
      philox(counter, key, words);
      assert_true((double)single[i] == unit(words[i % 4]));
      assert_true(twice[i] == unit(words[i % 4]));
    }
  }
}

static void test_elements_are_a_pure_function_of_their_number(void** state) {
  (void)state;
  double whole[1001], part[17], reversed[1001];
  subquad_array x = vector(whole, SUBQUAD_FLOAT64, 1001);
  subquad_array y = vector(part, SUBQUAD_FLOAT64, 17);
  subquad_array z = vector(reversed + 1000, SUBQUAD_FLOAT64, 1001);
  z.strides[0] = -1;
  assert_ok(subquad_fill_uniform(&x, 42, 7, -2, 3));
  assert_ok(subquad_fill_uniform(&y, 42, 7, -2, 3));
  assert_ok(subquad_fill_uniform(&z, 42, 7, -2, 3));
  for (int i = 0; i < 17; ++i) assert_true(part[i] == whole[i]);
  for (int i = 0; i < 1001; ++i) {
    assert_true(reversed[1000 - i] == whole[i]);
    assert_true(whole[i] >= -2 && whole[i] < 3);
  }
}

static void test_row_major_order_for_any_strides(void** state) {
  (void)state;
  double rows[6], columns[6], flat[6];
  const int64_t shape[] = {2, 3};
  subquad_array a = row_major(rows, SUBQUAD_FLOAT64, 2, shape);
  subquad_array b = a;
  b.data = columns;
  b.strides[0] = 1;
  b.strides[1] = 2;
  subquad_array c = vector(flat, SUBQUAD_FLOAT64, 6);
  assert_ok(subquad_fill_uniform(&a, 5, 6, 0, 1));
  assert_ok(subquad_fill_uniform(&b, 5, 6, 0, 1));
  assert_ok(subquad_fill_uniform(&c, 5, 6, 0, 1));
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 3; ++j) {
      assert_true(rows[3 * i + j] == flat[3 * i + j]);
      assert_true(columns[i + 2 * j] == flat[3 * i + j]);
    }
  }
}

static void test_seed_and_stream_both_matter(void** state) {
  (void)state;
  const uint64_t seeds[] = {0, 1, (uint64_t)1 << 32, UINT64_MAX};
  float values[16];
  size_t count = 0;
  for (size_t i = 0; i < COUNT(seeds); ++i) {
    for (size_t j = 0; j < COUNT(seeds); ++j) {
      subquad_array x = vector(&values[count++], SUBQUAD_FLOAT32, 1);
      assert_ok(subquad_fill_uniform(&x, seeds[i], seeds[j], 0, 1));
    }
  }
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < i; ++j) assert_true(values[i] != values[j]);
  }
}

static void test_errors(void** state) {
  (void)state;
  float data[4] = {1, 2, 3, 4};
  subquad_array x = vector(data, SUBQUAD_FLOAT32, 4);
  assert_status(subquad_fill_uniform(NULL, 0, 0, 0, 1), SUBQUAD_ERR_NULL);
  assert_status(subquad_fill_uniform(&x, 0, 0, 1, 0), SUBQUAD_ERR_VALUE);
  assert_status(subquad_fill_uniform(&x, 0, 0, NAN, 1), SUBQUAD_ERR_VALUE);
  assert_status(subquad_fill_uniform(&x, 0, 0, 0, INFINITY), SUBQUAD_ERR_VALUE);
  subquad_array bad = x;
  bad.dtype = SUBQUAD_INT64;
  assert_status(subquad_fill_uniform(&bad, 0, 0, 0, 1), SUBQUAD_ERR_DTYPE);
  bad.dtype = 0;
  assert_status(subquad_fill_uniform(&bad, 0, 0, 0, 1), SUBQUAD_ERR_DTYPE);
  bad = x;
  bad.ndim = 5;
  assert_status(subquad_fill_uniform(&bad, 0, 0, 0, 1), SUBQUAD_ERR_SHAPE);
  bad.ndim = 0;
  assert_status(subquad_fill_uniform(&bad, 0, 0, 0, 1), SUBQUAD_ERR_SHAPE);
  bad = x;
  bad.shape[0] = -1;
  assert_status(subquad_fill_uniform(&bad, 0, 0, 0, 1), SUBQUAD_ERR_SHAPE);
  bad = x;
  bad.strides[0] = 0;
  assert_status(subquad_fill_uniform(&bad, 0, 0, 0, 1), SUBQUAD_ERR_STRIDE);
  bad = x;
  bad.data = (char*)data + 1;
  assert_status(subquad_fill_uniform(&bad, 0, 0, 0, 1), SUBQUAD_ERR_STRIDE);
  bad = x;
  bad.data = NULL;
  assert_status(subquad_fill_uniform(&bad, 0, 0, 0, 1), SUBQUAD_ERR_NULL);
  bad = x;
  bad.shape[0] = INT64_MAX;
  assert_status(subquad_fill_uniform(&bad, 0, 0, 0, 1), SUBQUAD_ERR_SIZE);
  for (int i = 0; i < 4; ++i) assert_true(data[i] == (float)(i + 1));
  subquad_array empty = vector(NULL, SUBQUAD_FLOAT32, 0);
  assert_ok(subquad_fill_uniform(&empty, 0, 0, 0, 1));
  subquad_array rows_of_nothing = {NULL, SUBQUAD_FLOAT32, 2, {1 << 24, 0}, {1, 1}};
  assert_ok(subquad_fill_uniform(&rows_of_nothing, 0, 0, 0, 1));
  ++rows_of_nothing.shape[0];
  assert_status(subquad_fill_uniform(&rows_of_nothing, 0, 0, 0, 1), SUBQUAD_ERR_SIZE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_second_implementation_gives_the_published_answers),
      cmocka_unit_test(test_elements_are_the_words_of_the_generator),
      cmocka_unit_test(test_elements_are_a_pure_function_of_their_number),
      cmocka_unit_test(test_row_major_order_for_any_strides),
      cmocka_unit_test(test_seed_and_stream_both_matter),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
