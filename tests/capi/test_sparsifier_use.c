/* What sparsifiers are for: attention from one, its true error, and the bound of that error; of single matrices and of pairs. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sparsified.h"

static const long double tolerance = 1e-13L;

typedef struct pair {
  sparsify_problem q, k, both;
  stored stored_q, stored_k;
  whitened w; /* of queries above keys */
} pair;

/* In place: blocks of columns are read through an address inside the pair. */
static void pair_create(pair* p, kind of, int64_t n_q, int64_t n_k, int64_t d, int32_t dtype, storage how_q, storage how_k) {
  p->q = new_problem(of, n_q, d, dtype, 21);
  p->k = new_problem(of, n_k, d, dtype, 22);
  p->both = new_problem(GENERIC, n_q + n_k, d, dtype, 0);
  for (int64_t i = 0; i < n_q * d; ++i) p->both.x[i] = p->q.x[i];
  for (int64_t i = 0; i < n_k * d; ++i) p->both.x[n_q * d + i] = p->k.x[i];
  p->w = whiten(p->both.x, n_q + n_k, d, tolerance);
  store(&p->stored_q, &p->q, how_q);
  store(&p->stored_k, &p->k, how_k);
}

static void pair_free(pair* p) {
  whitened_free(&p->w);
  sparsify_problem_free(&p->q);
  sparsify_problem_free(&p->k);
  sparsify_problem_free(&p->both);
  stored_free(&p->stored_q);
  stored_free(&p->stored_k);
}

/* A pair is its stack, whatever its halves are stored in. */
static void test_pairs(void** state) {
  static const storage stores[][2] = {{ROW_MAJOR, ROW_MAJOR},  {COLUMN_MAJOR, CSC_32}, {CSC_64_FROM_1, CSC_32}, {CSR_32, CSC_64},
                                      {BLOCKS_OF_7, REVERSED}, {BLOCKS_OF_1, CSR_64},  {BLOCKS_OF_7, BLOCKS}};
  static const kind kinds[] = {GENERIC, SPARSE, DEPENDENT};
  for (size_t i = 0; i < COUNT(stores); ++i) {
    for (size_t kind_at = 0; kind_at < COUNT(kinds); ++kind_at) {
      for (int32_t method = SUBQUAD_SPARSIFIER_LEVERAGE; method <= SUBQUAD_SPARSIFIER_GRAM; ++method) {
        const int32_t dtype = i % 2 ? SUBQUAD_FLOAT32 : SUBQUAD_FLOAT64;
        pair p;
        pair_create(&p, kinds[kind_at], 3, 4, 300, dtype, stores[i][0], stores[i][1]);
        subquad_options* options = sparsify_options(method, method == SUBQUAD_SPARSIFIER_GRAM ? 0 : 40);
        sparsified s = sparsify(*state, options, p.stored_q.handle, p.stored_k.handle);
        assert_int_equal(s.query_rows, 3);
        assert_int_equal(s.y.shape[0], 7);
        assert_int_equal(s.y.dtype, dtype);
        if (s.indices) assert_sparsifies(&s, &p.w);
        assert_gram_within(&s, &p.w, s.epsilon);
        long double q = 0, k = 0;
        for (int64_t row = 0; row < 7; ++row) {
          long double* largest = row < 3 ? &q : &k;
          *largest = fmaxl(*largest, sqrtl(gram_of(&p.w, row, row)));
        }
        assert_true(fabsl(s.radius - q * k) <= 2 * 300 * unit_of(dtype) * q * k);
        sparsified_free(&s);
        subquad_options_destroy(options);
        pair_free(&p);
      }
    }
  }
}

/* Selections of a pair are those of the stack. */
static void test_a_pair_is_its_stack(void** state) {
  pair p;
  pair_create(&p, GENERIC, 2, 3, 60, SUBQUAD_FLOAT64, CSC_32, BLOCKS_OF_7);
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 20);
  sparsified s = sparsify(*state, options, p.stored_q.handle, p.stored_k.handle);
  sparsified stack = sparsify_stored(*state, options, &p.both, ROW_MAJOR);
  assert_int_equal(s.m, stack.m);
  assert_memory_equal(s.indices, stack.indices, (size_t)s.m * sizeof *s.indices);
  sparsified_free(&s);
  sparsified_free(&stack);
  subquad_options_destroy(options);
  pair_free(&p);
}

/* ---- attention ---- */

typedef struct setting {
  double scale;
  int causal;
  int64_t offset, n_q, n_k; /* rows of Y, n_q == n_k for a single matrix */
} setting;

/* Row i of softmax(scale Y_q Y_k'), in long double; returns its log-sum-exp, -inf where it sees nothing. */
static long double weights_of(const sparsified* s, const setting* t, int64_t i, long double* weight, long double* size) {
  const int64_t keys = s->query_rows < 0 ? 0 : s->query_rows;
  long double highest = -INFINITY, sum = 0;
  *size = 0;
  for (int64_t j = 0; j < t->n_k; ++j) {
    long double logit = 0, magnitude = 0;
    for (int64_t c = 0; c < s->m; ++c) {
      const long double term = (long double)element(&s->y, i, c, 0, 0) * element(&s->y, keys + j, c, 0, 0);
      logit += term;
      magnitude += fabsl(term);
    }
    weight[j] = t->causal && j > i + t->offset ? -INFINITY : t->scale * logit;
    *size = fmaxl(*size, fabsl(t->scale) * magnitude);
    highest = fmaxl(highest, weight[j]);
  }
  for (int64_t j = 0; j < t->n_k; ++j) sum += weight[j] = weight[j] == -INFINITY ? 0 : expl(weight[j] - highest);
  for (int64_t j = 0; j < t->n_k; ++j) weight[j] = sum > 0 ? weight[j] / sum : 0;
  return sum > 0 ? highest + logl(sum) : -INFINITY;
}

static void check_attention(subquad_context* context, const sparsified* s, const setting* t, int64_t d_v) {
  const int64_t most = t->n_k * d_v + t->n_q * d_v + t->n_q + 1;
  double* memory = calloc((size_t)most, sizeof *memory);
  long double* weight = calloc((size_t)t->n_k + 1, sizeof *weight);
  assert_true(memory && weight);
  const subquad_array v = matrix(memory, s->y.dtype, t->n_k, d_v), o = matrix(memory + t->n_k * d_v, s->y.dtype, t->n_q, d_v),
                      lse = vector(memory + (t->n_k + t->n_q) * d_v, s->y.dtype, t->n_q);
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SCALE, t->scale));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, t->causal));
  if (t->offset != 0) assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL_OFFSET, t->offset));
  assert_ok(subquad_fill_uniform(&v, 5, 0, -1, 1));
  assert_ok(subquad_sparsifier_attention(context, options, s->handle, &v, &o, &lse, NULL));
  const long double eps = 2 * unit_of(s->y.dtype);
  for (int64_t i = 0; i < t->n_q; ++i) {
    long double size = 0;
    const long double expected = weights_of(s, t, i, weight, &size), found = element(&lse, i, 0, 0, 0);
    /* Budget roundoff, to first order: a logit's products and sum, the exponential's argument twice, a running sum over the keys. */
    const long double relative = eps * ((long double)(s->m + 8) * size + 4 * size + 2 * (long double)(t->n_k + 8));
    if (expected == -INFINITY) {
      assert_true(found == -INFINITY);
    } else if (!(fabsl(found - expected) <= relative + eps * fabsl(expected))) {
      fail_msg("lse[%d] = %.17Lg, not %.17Lg within %.2Lg", (int)i, found, expected, relative);
    }
    for (int64_t c = 0; c < d_v; ++c) {
      long double sum = 0;
      for (int64_t j = 0; j < t->n_k; ++j) sum += weight[j] * element(&v, j, c, 0, 0);
      if (!(fabsl(element(&o, i, c, 0, 0) - sum) <= 2 * relative))
        fail_msg("o[%d,%d] = %.17g, not %.17Lg within %.2Lg", (int)i, (int)c, element(&o, i, c, 0, 0), sum, 2 * relative);
    }
  }
  subquad_options_destroy(options);
  free(memory);
  free(weight);
}

static void test_attention_from_a_single_matrix(void** state) {
  static const int64_t sizes[] = {1, 2, 7, 33};
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    for (int32_t method = SUBQUAD_SPARSIFIER_LEVERAGE; method <= SUBQUAD_SPARSIFIER_GRAM; ++method) {
      for (size_t i = 0; i < COUNT(sizes); ++i) {
        sparsify_problem p = new_problem(GENERIC, sizes[i], 120, dtype, 2);
        subquad_options* options = sparsify_options(method, method == SUBQUAD_SPARSIFIER_GRAM ? 0 : 50);
        sparsified s = sparsify_stored(*state, options, &p, CSC_32);
        const setting settings[] = {{1, 0, 0, sizes[i], sizes[i]},
                                    {-0.125, 0, 0, sizes[i], sizes[i]},
                                    {0.25, 1, 0, sizes[i], sizes[i]},
                                    {0.25, 1, -1, sizes[i], sizes[i]},
                                    {0, 1, 3, sizes[i], sizes[i]}};
        for (size_t t = 0; t < COUNT(settings); ++t) check_attention(*state, &s, &settings[t], (int64_t)t);
        sparsified_free(&s);
        subquad_options_destroy(options);
        sparsify_problem_free(&p);
      }
    }
  }
}

static void test_attention_from_a_pair(void** state) {
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    pair p;
    pair_create(&p, GENERIC, 5, 9, 90, dtype, ROW_MAJOR, CSR_32);
    subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 60);
    sparsified s = sparsify(*state, options, p.stored_q.handle, p.stored_k.handle);
    const setting settings[] = {{1, 0, 0, 5, 9}, {-0.5, 0, 0, 5, 9}, {0.25, 1, 4, 5, 9}, {0.25, 1, -2, 5, 9}};
    for (size_t t = 0; t < COUNT(settings); ++t) check_attention(*state, &s, &settings[t], 3);
    sparsified_free(&s);
    subquad_options_destroy(options);
    pair_free(&p);
  }
}

/* ---- the error of the softmax ---- */

/* Logits of the true matrices and of the sparsifier, rows scaled to sums of 1 by their log-sum-exp: largest |difference| of entries, and
 * of their logarithms. */
static void true_error(const sparsified* s, const whitened* w, const setting* t, long double* error, long double* log_ratio) {
  const int64_t first_key = s->query_rows < 0 ? 0 : s->query_rows;
  long double* row = calloc((size_t)t->n_k + 1, sizeof *row);
  *error = *log_ratio = 0;
  for (int64_t i = 0; i < t->n_q; ++i) {
    long double size = 0, highest = -INFINITY, sum = 0;
    weights_of(s, t, i, row, &size);
    for (int64_t j = 0; j < t->n_k; ++j) highest = fmaxl(highest, t->scale * gram_of(w, i, first_key + j));
    for (int64_t j = 0; j < t->n_k; ++j) sum += expl(t->scale * gram_of(w, i, first_key + j) - highest);
    for (int64_t j = 0; j < t->n_k; ++j) {
      const long double expected = expl(t->scale * gram_of(w, i, first_key + j) - highest) / sum;
      *error = fmaxl(*error, fabsl(row[j] - expected));
      *log_ratio = fmaxl(*log_ratio, fabsl(logl(row[j] / expected)));
    }
  }
  free(row);
}

static void check_error(subquad_context* context, const sparsified* s, const whitened* w, const setting* t,
                        const subquad_matrix* x, const subquad_matrix* k) {
  double error = -1, ratio = -1, bound = -1;
  long double true_one = 0, log_ratio = 0;
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SCALE, t->scale));
  assert_ok(subquad_sparsifier_softmax_error(context, options, s->handle, x, k, &error, &ratio));
  assert_ok(subquad_sparsifier_ratio_bound(s->handle, t->scale, &bound));
  true_error(s, w, t, &true_one, &log_ratio);
  /* Budget roundoff: of logits on both sides, of exponentials and of sums of n_k of them. */
  const long double u = unit_of(s->y.dtype), largest = fabsl(t->scale) * largest_gram(w) * (1 + s->epsilon);
  const long double roundoff = 4 * u * ((long double)(w->d + s->m + 16) * largest + (long double)(t->n_k + 16));
  if (!(fabsl(error - true_one) <= roundoff)) fail_msg("error %.17g, not %.17Lg within %.2Lg", error, true_one, roundoff);
  if (!(fabsl(logl(ratio) - log_ratio) <= roundoff))
    fail_msg("log ratio %.17g, not %.17Lg within %.2Lg", log(ratio), log_ratio, roundoff);
  assert_true(log(ratio) <= log(bound) + roundoff);
  subquad_options_destroy(options);
}

static void test_the_true_error_keeps_within_its_bound(void** state) {
  static const double scales[] = {1, 0.0625, -0.5};
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    for (storage how = 0; how < STORAGES; how += 3) {
      for (size_t i = 0; i < COUNT(scales); ++i) {
        pair p;
        pair_create(&p, GENERIC, 4, 3, 80, dtype, how, (storage)(STORAGES - 1 - how));
        subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 60);
        sparsified both = sparsify(*state, options, p.stored_q.handle, p.stored_k.handle);
        const setting of_pair = {scales[i], 0, 0, 4, 3}, of_one = {scales[i], 0, 0, 7, 7};
        check_error(*state, &both, &p.w, &of_pair, p.stored_q.handle, p.stored_k.handle);
        stored stack;
        store(&stack, &p.both, how);
        sparsified one = sparsify(*state, options, stack.handle, NULL);
        check_error(*state, &one, &p.w, &of_one, stack.handle, NULL);
        sparsified_free(&one);
        sparsified_free(&both);
        stored_free(&stack);
        subquad_options_destroy(options);
        pair_free(&p);
      }
    }
  }
}

/* The bound is exp(2 e |scale| r), and beyond the range of double it is infinite. */
static void test_ratio_bounds(void** state) {
  sparsify_problem p = new_problem(GENERIC, 3, 40, SUBQUAD_FLOAT64, 2);
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 9);
  sparsified s = sparsify_stored(*state, options, &p, ROW_MAJOR);
  double bound = 0;
  assert_ok(subquad_sparsifier_ratio_bound(s.handle, 0, &bound));
  assert_true(bound == 1);
  assert_ok(subquad_sparsifier_ratio_bound(s.handle, 1e30, &bound));
  assert_true(bound == INFINITY);
  sparsified_free(&s);
  subquad_options_destroy(options);
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
      cmocka_unit_test(test_pairs),
      cmocka_unit_test(test_a_pair_is_its_stack),
      cmocka_unit_test(test_attention_from_a_single_matrix),
      cmocka_unit_test(test_attention_from_a_pair),
      cmocka_unit_test(test_the_true_error_keeps_within_its_bound),
      cmocka_unit_test(test_ratio_bounds),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
