/* Attention over slices of the keys, merged, is attention over all keys; in place too. */
#include "oracle.h"

#include <math.h>
#include <string.h>

enum { N = 50, D = 8, PARTS = 3 };

static const int64_t cuts[PARTS + 1] = {0, 20, 20, N};

typedef struct parts {
  double o[PARTS][N * D], lse[PARTS][N];
  subquad_array o_views[PARTS], lse_views[PARTS];
} parts;

static void compute_parts(subquad_context* context, const problem* p, parts* out) {
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL_OFFSET, 0));
  for (int part = 0; part < PARTS; ++part) {
    subquad_array k = p->k, v = p->v;
    k.shape[2] = v.shape[2] = cuts[part + 1] - cuts[part];
    k.data = (double*)k.data + cuts[part] * D;
    v.data = (double*)v.data + cuts[part] * D;
    out->o_views[part] = p->o;
    out->o_views[part].data = out->o[part];
    out->lse_views[part] = p->lse;
    out->lse_views[part].data = out->lse[part];
    assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_KEY_OFFSET, cuts[part]));
    assert_ok(subquad_attention(context, options, &p->q, &k, &v, NULL, NULL, &out->o_views[part], &out->lse_views[part], NULL));
  }
  subquad_options_destroy(options);
}

static problem whole(void) {
  problem p = {1, 1, 1, N, N, D, D, SUBQUAD_FLOAT64, {0}, {0}, {0}, {0}, {0}};
  problem_create(&p);
  return p;
}

static void test_merged_slices_are_the_whole(void** state) {
  (void)state;
  static const settings causal = {.causal = 1};
  subquad_context* context = new_context();
  problem p = whole();
  parts pieces;
  compute_parts(context, &p, &pieces);
  for (int64_t i = 0; i < N; ++i) assert_true(isinf(pieces.lse[1][i]) && pieces.lse[1][i] < 0);
  /* The merge adds PARTS roundings, far fewer than the N + 8 that the budget for one row allows, of which a row uses few. */
  assert_ok(subquad_attention_merge(context, NULL, PARTS, pieces.o_views, pieces.lse_views, &p.o, &p.lse));
  assert_is_attention(&p, &causal);
  problem_free(&p);
  subquad_context_destroy(context);
}

static void test_in_place_gives_the_same_bits(void** state) {
  (void)state;
  subquad_context* context = new_context();
  problem p = whole();
  for (int target = 0; target < PARTS; ++target) {
    parts pieces;
    compute_parts(context, &p, &pieces);
    assert_ok(subquad_attention_merge(context, NULL, PARTS, pieces.o_views, pieces.lse_views, &p.o, &p.lse));
    assert_ok(subquad_attention_merge(context, NULL, PARTS, pieces.o_views, pieces.lse_views, &pieces.o_views[target],
                                      &pieces.lse_views[target]));
    assert_true(same_bits(&p.o, &pieces.o_views[target]) && same_bits(&p.lse, &pieces.lse_views[target]));
  }
  problem_free(&p);
  subquad_context_destroy(context);
}

static void test_rows_that_no_part_sees(void** state) {
  (void)state;
  subquad_context* context = new_context();
  double o_data[2][2] = {{1, 2}, {3, 4}}, lse_data[2][2] = {{-INFINITY, 0}, {-INFINITY, -INFINITY}}, o[2], lse[2];
  const subquad_array o_parts[] = {matrix(o_data[0], SUBQUAD_FLOAT64, 2, 1), matrix(o_data[1], SUBQUAD_FLOAT64, 2, 1)};
  const subquad_array lse_parts[] = {vector(lse_data[0], SUBQUAD_FLOAT64, 2), vector(lse_data[1], SUBQUAD_FLOAT64, 2)};
  const subquad_array o_view = matrix(o, SUBQUAD_FLOAT64, 2, 1), lse_view = vector(lse, SUBQUAD_FLOAT64, 2);
  assert_ok(subquad_attention_merge(context, NULL, 2, o_parts, lse_parts, &o_view, &lse_view));
  assert_true(o[0] == 0 && isinf(lse[0]) && lse[0] < 0);
  assert_true(o[1] == 2 && lse[1] == 0);
  assert_ok(subquad_attention_merge(context, NULL, 1, o_parts, lse_parts, &o_view, NULL));
  assert_true(o[0] == 0 && o[1] == 2);
  subquad_context_destroy(context);
}

static void test_errors(void** state) {
  (void)state;
  subquad_context* context = new_context();
  problem p = whole();
  parts pieces;
  compute_parts(context, &p, &pieces);
  subquad_array* const o_parts = pieces.o_views;
  subquad_array* const lse_parts = pieces.lse_views;
  assert_status(subquad_attention_merge(context, NULL, 0, o_parts, lse_parts, &p.o, &p.lse), SUBQUAD_ERR_VALUE);
  assert_error_says("count");
  assert_status(subquad_attention_merge(context, NULL, -1, o_parts, lse_parts, &p.o, &p.lse), SUBQUAD_ERR_VALUE);
  assert_status(subquad_attention_merge(NULL, NULL, PARTS, o_parts, lse_parts, &p.o, &p.lse), SUBQUAD_ERR_NULL);
  assert_status(subquad_attention_merge(context, NULL, PARTS, NULL, lse_parts, &p.o, &p.lse), SUBQUAD_ERR_NULL);
  assert_status(subquad_attention_merge(context, NULL, PARTS, o_parts, NULL, &p.o, &p.lse), SUBQUAD_ERR_NULL);
  assert_status(subquad_attention_merge(context, NULL, PARTS, o_parts, lse_parts, NULL, &p.lse), SUBQUAD_ERR_NULL);
  subquad_array shifted = o_parts[1];
  shifted.data = pieces.o[1] + 1;
  shifted.shape[2] = N - 1;
  assert_status(subquad_attention_merge(context, NULL, PARTS, o_parts, lse_parts, &shifted, &p.lse), SUBQUAD_ERR_SHAPE);
  shifted = o_parts[1];
  shifted.strides[3] = 0;
  assert_status(subquad_attention_merge(context, NULL, PARTS, o_parts, lse_parts, &shifted, &p.lse), SUBQUAD_ERR_STRIDE);
  shifted = o_parts[1];
  shifted.data = pieces.o[1] - 1; /* not the view of a part, but over one */
  assert_status(subquad_attention_merge(context, NULL, PARTS, o_parts, lse_parts, &shifted, &p.lse), SUBQUAD_ERR_ALIAS);
  pieces.lse[2][3] = INFINITY;
  assert_status(subquad_attention_merge(context, NULL, PARTS, o_parts, lse_parts, &p.o, &p.lse), SUBQUAD_ERR_NONFINITE);
  assert_error_says("lse_parts");
  pieces.lse[2][3] = NAN;
  assert_status(subquad_attention_merge(context, NULL, PARTS, o_parts, lse_parts, &p.o, &p.lse), SUBQUAD_ERR_NONFINITE);
  pieces.lse[2][3] = 0;
  pieces.o[0][5] = NAN;
  assert_status(subquad_attention_merge(context, NULL, PARTS, o_parts, lse_parts, &p.o, &p.lse), SUBQUAD_ERR_NONFINITE);
  assert_error_says("o_parts");
  o_parts[1].dtype = SUBQUAD_FLOAT32;
  assert_status(subquad_attention_merge(context, NULL, PARTS, o_parts, lse_parts, &p.o, &p.lse), SUBQUAD_ERR_DTYPE);
  problem_free(&p);
  subquad_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_merged_slices_are_the_whole),
      cmocka_unit_test(test_in_place_gives_the_same_bits),
      cmocka_unit_test(test_rows_that_no_part_sees),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
