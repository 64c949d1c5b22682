/* What sparse views may hold: good ones give what the dense matrix gives, bad ones are refused by every call that reads them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sparsified.h"

enum { N = 4, D = 6, NONZEROS = 8 };

/* Entries of 4 x 6, by columns; the fourth is empty. */
static const int32_t good_offsets[D + 1] = {0, 2, 3, 5, 5, 7, 8}, good_rows[NONZEROS] = {0, 2, 1, 0, 3, 1, 2, 3};

typedef struct holder {
  int32_t offsets[D + 2], indices[NONZEROS];
  double values[NONZEROS];
  subquad_sparse view;
} holder;

static holder good_csc(void) {
  holder h;
  const subquad_array values = vector(h.values, SUBQUAD_FLOAT64, NONZEROS);
  assert_ok(subquad_fill_uniform(&values, 3, 0, -1, 1));
  memcpy(h.offsets, good_offsets, sizeof good_offsets);
  memcpy(h.indices, good_rows, sizeof good_rows);
  const subquad_sparse view = {NULL, NULL, NULL, N, D, NONZEROS, SUBQUAD_CSC, SUBQUAD_FLOAT64, SUBQUAD_INT32, 0};
  h.view = view;
  return h;
}

/* The same numbers read as the rows of 6 x 4: columns increase within each. */
static holder good_csr(void) {
  holder h = good_csc();
  h.view.layout = SUBQUAD_CSR;
  h.view.rows = D;
  h.view.columns = N;
  return h;
}

static subquad_status scores_of(subquad_context* context, holder* h, double* scores) {
  subquad_matrix* x = NULL;
  const subquad_array out = vector(scores, SUBQUAD_FLOAT64, h->view.columns);
  h->view.offsets = h->offsets;
  h->view.indices = h->indices;
  h->view.values = h->values;
  assert_ok(subquad_matrix_from_sparse(&h->view, &x));
  const subquad_status status = subquad_leverage_scores(context, NULL, x, &out, NULL);
  subquad_matrix_destroy(x);
  return status;
}

static void offsets_begin_late(holder* h) { h->offsets[0] = 1; }
static void offsets_begin_early(holder* h) { h->offsets[0] = -1; }
static void offsets_fall(holder* h) { h->offsets[2] = 6; }
static void offsets_end_early(holder* h) { h->offsets[D] = 7; }
static void offsets_end_late(holder* h) { h->offsets[D] = 9; }
static void offsets_far_away(holder* h) { h->offsets[3] = INT32_MAX; }
static void offsets_negative(holder* h) { h->offsets[3] = INT32_MIN; }
static void index_too_large(holder* h) { h->indices[4] = N; }
static void index_negative(holder* h) { h->indices[4] = -1; }
static void index_far_away(holder* h) { h->indices[7] = INT32_MAX; }
static void wrong_base(holder* h) { h->view.index_base = 1; }
static void fewer_nonzeros(holder* h) { h->view.nonzeros = NONZEROS - 1; }
static void columns_out_of_order(holder* h) {
  h->indices[5] = 3;
  h->indices[6] = 2;
}

static const struct {
  const char* name;
  void (*spoil)(holder*);
  int csr_only;
  const char* says;
} spoilings[] = {
    {"offsets that begin late", offsets_begin_late, 0, "offsets"},
    {"offsets that begin early", offsets_begin_early, 0, "offsets"},
    {"offsets that fall", offsets_fall, 0, "offsets"},
    {"offsets that end early", offsets_end_early, 0, "offsets"},
    {"offsets that end late", offsets_end_late, 0, "offsets"},
    {"an offset far away", offsets_far_away, 0, "offsets"},
    {"a negative offset", offsets_negative, 0, "offsets"},
    {"an index too large", index_too_large, 0, "indices"},
    {"a negative index", index_negative, 0, "indices"},
    {"an index far away", index_far_away, 0, "indices"},
    {"another base", wrong_base, 0, "offsets"},
    {"fewer nonzeros than offsets say", fewer_nonzeros, 0, "offsets"},
    {"columns of a row out of order", columns_out_of_order, 1, "indices"},
};

static void test_bad_structure_is_refused(void** state) {
  double scores[D];
  for (size_t i = 0; i < COUNT(spoilings); ++i) {
    for (int csr = spoilings[i].csr_only; csr <= 1; ++csr) {
      holder h = csr ? good_csr() : good_csc();
      assert_ok(scores_of(*state, &h, scores));
      spoilings[i].spoil(&h);
      const holder before = h;
      for (int j = 0; j < D; ++j) scores[j] = -7;
      const subquad_status found = scores_of(*state, &h, scores);
      if (found != SUBQUAD_ERR_VALUE) print_error("%s, %s:\n", csr ? "csr" : "csc", spoilings[i].name);
      assert_status(found, SUBQUAD_ERR_VALUE);
      assert_error_says(spoilings[i].says);
      assert_memory_equal(before.indices, h.indices, sizeof h.indices);
      for (int j = 0; j < D; ++j) assert_true(scores[j] == -7);
    }
  }
}

/* Every call that reads a matrix checks it, in either place of a pair. */
static void test_every_reader_checks(void** state) {
  holder bad = good_csc(), good = good_csc();
  subquad_matrix *x = NULL, *fine = NULL;
  subquad_sparsifier* made = NULL;
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, D);
  double e = 0;
  bad.indices[3] = 77;
  bad.view.offsets = good.view.offsets = good.offsets;
  bad.view.indices = bad.indices;
  good.view.indices = good.indices;
  bad.view.values = good.view.values = good.values;
  assert_ok(subquad_matrix_from_sparse(&bad.view, &x));
  assert_ok(subquad_matrix_from_sparse(&good.view, &fine));
  for (int64_t columns = 3; columns <= D; columns += D - 3) { /* x itself, too */
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_COLUMNS, columns));
    assert_status(subquad_sparsify(*state, options, x, &made, NULL), SUBQUAD_ERR_VALUE);
    assert_error_says("77");
    assert_null(made);
    assert_status(subquad_sparsify_pair(*state, options, fine, x, &made, NULL), SUBQUAD_ERR_VALUE);
    assert_error_says("k");
    assert_status(subquad_sparsify_pair(*state, options, x, fine, &made, NULL), SUBQUAD_ERR_VALUE);
    assert_error_says("q");
  }
  assert_ok(subquad_sparsify(*state, options, fine, &made, NULL));
  assert_status(subquad_sparsifier_softmax_error(*state, NULL, made, x, NULL, &e, NULL), SUBQUAD_ERR_VALUE);
  assert_error_says("77");
  subquad_sparsifier_destroy(made);
  subquad_options_destroy(options);
  subquad_matrix_destroy(x);
  subquad_matrix_destroy(fine);
}

static void no_offsets(subquad_sparse* x) { x->offsets = NULL; }
static void no_indices(subquad_sparse* x) { x->indices = NULL; }
static void no_values(subquad_sparse* x) { x->values = NULL; }
static void no_layout(subquad_sparse* x) { x->layout = 0; }
static void odd_layout(subquad_sparse* x) { x->layout = 3; }
static void base_of_2(subquad_sparse* x) { x->index_base = 2; }
static void base_negative(subquad_sparse* x) { x->index_base = -1; }
static void negative_rows(subquad_sparse* x) { x->rows = -4; }
static void negative_columns(subquad_sparse* x) { x->columns = -6; }
static void negative_nonzeros(subquad_sparse* x) { x->nonzeros = -8; }
static void integer_values(subquad_sparse* x) { x->dtype = SUBQUAD_INT64; }
static void unknown_values(subquad_sparse* x) { x->dtype = 77; }
static void float_indices(subquad_sparse* x) { x->index_dtype = SUBQUAD_FLOAT64; }
static void shift(const void** pointer) { *pointer = (const char*)*pointer + 1; }
static void misaligned_offsets(subquad_sparse* x) { shift(&x->offsets); }
static void misaligned_indices(subquad_sparse* x) { shift(&x->indices); }
static void misaligned_values(subquad_sparse* x) { shift(&x->values); }
static void endless_columns(subquad_sparse* x) { x->columns = INT64_MAX; }
static void endless_nonzeros(subquad_sparse* x) { x->nonzeros = INT64_MAX / 2; }

static const struct {
  void (*spoil)(subquad_sparse*);
  subquad_status code;
  const char* says;
} views[] = {
    {no_offsets, SUBQUAD_ERR_NULL, "offsets"},
    {no_indices, SUBQUAD_ERR_NULL, "indices"},
    {no_values, SUBQUAD_ERR_NULL, "values"},
    {no_layout, SUBQUAD_ERR_VALUE, "layout is 0"},
    {odd_layout, SUBQUAD_ERR_VALUE, "layout is 3"},
    {base_of_2, SUBQUAD_ERR_VALUE, "index_base is 2"},
    {base_negative, SUBQUAD_ERR_VALUE, "index_base is -1"},
    {negative_rows, SUBQUAD_ERR_SHAPE, "-4"},
    {negative_columns, SUBQUAD_ERR_SHAPE, "-6"},
    {negative_nonzeros, SUBQUAD_ERR_SHAPE, "-8"},
    {integer_values, SUBQUAD_ERR_DTYPE, "int64"},
    {unknown_values, SUBQUAD_ERR_DTYPE, "77"},
    {float_indices, SUBQUAD_ERR_DTYPE, "float64"},
    {misaligned_offsets, SUBQUAD_ERR_STRIDE, "offsets"},
    {misaligned_indices, SUBQUAD_ERR_STRIDE, "indices"},
    {misaligned_values, SUBQUAD_ERR_STRIDE, "values"},
    {endless_columns, SUBQUAD_ERR_SIZE, "9223372036854775807"},
    {endless_nonzeros, SUBQUAD_ERR_SIZE, "4611686018427387903"},
};

static void test_bad_views_are_refused(void** state) {
  (void)state;
  for (size_t i = 0; i < COUNT(views); ++i) {
    holder h = good_csc();
    h.view.offsets = h.offsets;
    h.view.indices = h.indices;
    h.view.values = h.values;
    views[i].spoil(&h.view);
    subquad_matrix* x = (subquad_matrix*)(void*)&h;
    const subquad_status found = subquad_matrix_from_sparse(&h.view, &x);
    if (found != views[i].code) print_error("view %d:\n", (int)i);
    assert_status(found, views[i].code);
    assert_error_says(views[i].says);
    assert_null(x);
  }
  subquad_matrix* x = (subquad_matrix*)(void*)state;
  assert_status(subquad_matrix_from_sparse(NULL, &x), SUBQUAD_ERR_NULL);
  assert_null(x);
  holder h = good_csc();
  assert_status(subquad_matrix_from_sparse(&h.view, NULL), SUBQUAD_ERR_NULL);
  assert_error_says("matrix_out");
}

static void test_nothing_stored(void** state) {
  int64_t offsets[4] = {1, 1, 1, 1};
  double scores[3] = {-1, -1, -1};
  const subquad_sparse view = {offsets, NULL, NULL, 5, 3, 0, SUBQUAD_CSC, SUBQUAD_FLOAT32, SUBQUAD_INT64, 1};
  const subquad_array out = vector(scores, SUBQUAD_FLOAT64, 3);
  subquad_matrix* x = NULL;
  assert_ok(subquad_matrix_from_sparse(&view, &x));
  assert_ok(subquad_leverage_scores(*state, NULL, x, &out, NULL));
  for (int j = 0; j < 3; ++j) assert_true(scores[j] == 0);
  subquad_matrix_destroy(x);
}

/* Rows of a column in any order, places named twice, zeros that are stored: the matrix is the sum of its entries. */
static void test_entries_add_up(void** state) {
  static const int32_t offsets[4] = {0, 4, 6, 9}, rows[9] = {2, 0, 2, 1, 1, 1, 2, 0, 0};
  static const double values[9] = {1, 4, -3, 0, 2, 2, 0.5, 1, -1};
  static const double dense[9] = {4, 0, 0, 0, 4, 0, -2, 0, 0.5};
  const subquad_sparse view = {offsets, rows, values, 3, 3, 9, SUBQUAD_CSC, SUBQUAD_FLOAT64, SUBQUAD_INT32, 0};
  const subquad_array plain = matrix((void*)(uintptr_t)dense, SUBQUAD_FLOAT64, 3, 3);
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 3);
  subquad_matrix* x = NULL;
  assert_ok(subquad_matrix_from_sparse(&view, &x));
  sparsified s = sparsify(*state, options, x, NULL);
  assert_true(same_bits(&s.y, &plain));
  sparsified_free(&s);
  subquad_matrix_destroy(x);

  static const int32_t row_offsets[4] = {0, 3, 5, 8}, columns[8] = {0, 0, 2, 1, 1, 0, 0, 2};
  static const double row_values[8] = {3, 1, 0, 1, 3, -1, -1, 0.5};
  const subquad_sparse by_rows = {row_offsets, columns, row_values, 3, 3, 8, SUBQUAD_CSR, SUBQUAD_FLOAT64, SUBQUAD_INT32, 0};
  assert_ok(subquad_matrix_from_sparse(&by_rows, &x));
  s = sparsify(*state, options, x, NULL);
  assert_true(same_bits(&s.y, &plain));
  sparsified_free(&s);
  subquad_matrix_destroy(x);
  subquad_options_destroy(options);
}

static void test_values_that_are_not_finite(void** state) {
  double scores[D];
  static const double bad[] = {NAN, INFINITY, -INFINITY};
  for (int csr = 0; csr <= 1; ++csr) {
    for (size_t i = 0; i < COUNT(bad); ++i) {
      holder h = csr ? good_csr() : good_csc();
      h.values[4] = bad[i]; /* row 3 of column 2, or the other way round */
      assert_status(scores_of(*state, &h, scores), SUBQUAD_ERR_NONFINITE);
      assert_error_says(csr ? "x[2, 3]" : "x[3, 2]");
    }
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
      cmocka_unit_test(test_bad_structure_is_refused), cmocka_unit_test(test_every_reader_checks),
      cmocka_unit_test(test_bad_views_are_refused),    cmocka_unit_test(test_nothing_stored),
      cmocka_unit_test(test_entries_add_up),           cmocka_unit_test(test_values_that_are_not_finite),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
