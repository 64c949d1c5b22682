/* Matrices whose columns a function writes: what it is asked for, in which order, and what happens when it cancels or misbehaves. */
#include <math.h>
#include <stdlib.h>

#include "sparsified.h"

typedef struct source {
  subquad_array x;
  int64_t width, next, calls, cancel_at; /* the call to cancel at, counted from 1; 0: none */
  int passes, in_order, too_wide, ended;
} source;

static int32_t watched_columns(void* user, int64_t first, int64_t count, void* block) {
  source* s = user;
  if (first == 0 && s->next != 0) s->in_order &= s->next == s->x.shape[1];
  if (first == 0) ++s->passes;
  s->in_order &= first == 0 || first == s->next;
  s->next = first + count;
  s->too_wide |= count < 1 || (s->width > 0 && count > s->width) || first + count > s->x.shape[1];
  if (++s->calls == s->cancel_at) return 1;
  return copy_columns(&s->x, first, count, block);
}

static source new_source(const stored* from, int64_t width) {
  source s = {.x = from->dense, .width = width, .in_order = 1};
  return s;
}

static subquad_matrix* matrix_of(source* s) {
  subquad_matrix* x = NULL;
  assert_ok(subquad_matrix_from_blocks(s->x.shape[0], s->x.shape[1], s->x.dtype, s->width, watched_columns, s, &x));
  return x;
}

static void test_blocks_are_read_in_order_and_twice(void** state) {
  static const int64_t widths[] = {0, 1, 2, 7, 99, 100, 101, 1000000};
  sparsify_problem p = new_problem(GENERIC, 3, 1500, SUBQUAD_FLOAT32, 4);
  whitened w = whiten(p.x, 3, 1500, 1e-13L);
  stored from;
  static double scores[1500];
  const subquad_array out = vector(scores, SUBQUAD_FLOAT64, 1500);
  store(&from, &p, COLUMN_MAJOR);
  for (size_t i = 0; i < COUNT(widths); ++i) {
    for (int32_t method = SUBQUAD_SPARSIFIER_LEVERAGE; method <= SUBQUAD_SPARSIFIER_GRAM; ++method) {
      source s = new_source(&from, widths[i]);
      subquad_matrix* x = matrix_of(&s);
      subquad_options* options = sparsify_options(method, method == SUBQUAD_SPARSIFIER_GRAM ? 0 : 30);
      sparsified y = sparsify(*state, options, x, NULL);
      if (method != SUBQUAD_SPARSIFIER_GRAM) assert_sparsifies(&y, &w);
      assert_false(s.too_wide);
      if (method != SUBQUAD_SPARSIFIER_DETERMINISTIC) {
        assert_true(s.in_order);
        assert_int_equal(s.passes, 2);
        assert_int_equal(s.next, 1500);
        assert_int_equal(report_count(&y, SUBQUAD_REPORT_PASSES), 2);
      }
      sparsified_free(&y);
      subquad_options_destroy(options);
      subquad_matrix_destroy(x);
    }
    source s = new_source(&from, widths[i]);
    subquad_matrix* x = matrix_of(&s);
    assert_ok(subquad_leverage_scores(*state, NULL, x, &out, NULL));
    assert_true(s.in_order && s.passes == 2 && s.next == 1500 && !s.too_wide);
    subquad_matrix_destroy(x);
  }
  stored_free(&from);
  whitened_free(&w);
  sparsify_problem_free(&p);
}

/* Cancelling at each of the calls leaves everything fine. */
static void test_blocks_that_cancel(void** state) {
  sparsify_problem p = new_problem(GENERIC, 3, 40, SUBQUAD_FLOAT64, 4);
  stored from;
  store(&from, &p, COLUMN_MAJOR);
  for (int32_t method = SUBQUAD_SPARSIFIER_LEVERAGE; method <= SUBQUAD_SPARSIFIER_GRAM; ++method) {
    subquad_options* options = sparsify_options(method, method == SUBQUAD_SPARSIFIER_GRAM ? 0 : 9);
    source s = new_source(&from, 11);
    subquad_matrix* x = matrix_of(&s);
    sparsified y = sparsify(*state, options, x, NULL);
    const int64_t calls = s.calls;
    assert_true(calls >= 4);
    for (int64_t cancel = 1; cancel <= calls; ++cancel) {
      subquad_sparsifier* made = (subquad_sparsifier*)(void*)&s;
      s = new_source(&from, 11);
      s.cancel_at = cancel;
      assert_status(subquad_sparsify(*state, options, x, &made, NULL), SUBQUAD_ERR_CANCELLED);
      assert_error_says("cancel");
      assert_null(made);
      assert_int_equal(s.calls, cancel);
    }
    s = new_source(&from, 11);
    sparsified again = sparsify(*state, options, x, NULL);
    assert_true(same_bits(&y.y, &again.y));
    sparsified_free(&again);
    sparsified_free(&y);
    subquad_matrix_destroy(x);
    subquad_options_destroy(options);
  }
  stored_free(&from);
  sparsify_problem_free(&p);
}

static int32_t infinite_columns(void* user, int64_t first, int64_t count, void* block) {
  copy_columns(user, first, count, block);
  if (first <= 20 && first + count > 20) ((double*)block)[(20 - first) * 3 + 1] = INFINITY;
  return 0;
}

static void test_blocks_that_are_not_finite(void** state) {
  sparsify_problem p = new_problem(GENERIC, 3, 40, SUBQUAD_FLOAT64, 4);
  stored from;
  subquad_matrix* x = NULL;
  subquad_sparsifier* made = NULL;
  store(&from, &p, COLUMN_MAJOR);
  assert_ok(subquad_matrix_from_blocks(3, 40, SUBQUAD_FLOAT64, 6, infinite_columns, &from.dense, &x));
  for (int64_t columns = 9; columns <= 40; columns += 31) {
    subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, columns);
    assert_status(subquad_sparsify(*state, options, x, &made, NULL), SUBQUAD_ERR_NONFINITE);
    assert_error_says("x[1, 20]");
    subquad_options_destroy(options);
  }
  subquad_matrix_destroy(x);
  stored_free(&from);
  sparsify_problem_free(&p);
}

static void test_bad_blocks_are_refused(void** state) {
  sparsify_problem p = new_problem(GENERIC, 3, 40, SUBQUAD_FLOAT64, 4);
  stored from;
  store(&from, &p, COLUMN_MAJOR);
  static const struct {
    int64_t rows, columns, width;
    int32_t dtype;
    subquad_status code;
    const char* says;
  } bad[] = {
      {-3, 40, 0, SUBQUAD_FLOAT64, SUBQUAD_ERR_SHAPE, "-3"},
      {3, -40, 0, SUBQUAD_FLOAT64, SUBQUAD_ERR_SHAPE, "-40"},
      {3, 40, -1, SUBQUAD_FLOAT64, SUBQUAD_ERR_VALUE, "block_columns is -1"},
      {3, 40, 0, SUBQUAD_INT32, SUBQUAD_ERR_DTYPE, "int32"},
      {3, 40, 0, 77, SUBQUAD_ERR_DTYPE, "77"},
      {INT64_MAX, 40, 0, SUBQUAD_FLOAT64, SUBQUAD_ERR_SIZE, "9223372036854775807"},
  };
  for (size_t i = 0; i < COUNT(bad); ++i) {
    subquad_matrix* x = (subquad_matrix*)(void*)&from;
    assert_status(
        subquad_matrix_from_blocks(bad[i].rows, bad[i].columns, bad[i].dtype, bad[i].width, copy_columns, &from.dense, &x),
        bad[i].code);
    assert_error_says(bad[i].says);
    assert_null(x);
  }
  subquad_matrix* x = (subquad_matrix*)(void*)&from;
  assert_status(subquad_matrix_from_blocks(3, 40, SUBQUAD_FLOAT64, 0, NULL, NULL, &x), SUBQUAD_ERR_NULL);
  assert_error_says("blocks");
  assert_null(x);
  assert_status(subquad_matrix_from_blocks(3, 40, SUBQUAD_FLOAT64, 0, copy_columns, NULL, NULL), SUBQUAD_ERR_NULL);
  assert_error_says("matrix_out");
  assert_ok(subquad_matrix_from_blocks(3, 40, SUBQUAD_FLOAT64, 0, copy_columns, &from.dense, &x));
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 9);
  subquad_sparsifier* made = NULL;
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_CERTIFY, SUBQUAD_CERTIFICATE_ESTIMATE));
  assert_status(subquad_sparsify(*state, options, x, &made, NULL), SUBQUAD_ERR_UNSUPPORTED);
  assert_error_says("sparsify_certify");
  assert_null(made);
  subquad_options_destroy(options);
  subquad_matrix_destroy(x);
  stored_free(&from);
  sparsify_problem_free(&p);
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
      cmocka_unit_test(test_blocks_are_read_in_order_and_twice),
      cmocka_unit_test(test_blocks_that_cancel),
      cmocka_unit_test(test_blocks_that_are_not_finite),
      cmocka_unit_test(test_bad_blocks_are_refused),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
