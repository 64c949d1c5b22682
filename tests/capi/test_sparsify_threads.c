/* Sparsifiers and threads: the same bits for any number of threads, and one matrix and one sparsifier in several calls at once. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sparsified.h"
#include "sparsify_calls.h"

enum { THREADS = 4, CALLS = 3 };

static void check_same_scores(const stored* from, int64_t d, int32_t way) {
  double *one = malloc((size_t)d * sizeof *one), *many = malloc((size_t)d * sizeof *many);
  assert_true(one && many);
  const subquad_array first = vector(one, SUBQUAD_FLOAT64, d), other = vector(many, SUBQUAD_FLOAT64, d);
  subquad_context* context = new_context();
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_SCORES, way));
  assert_ok(subquad_context_set_threads(context, 1));
  assert_ok(subquad_leverage_scores(context, options, from->handle, &first, NULL));
  for (int64_t threads = 2; threads <= 3; ++threads) {
    assert_ok(subquad_context_set_threads(context, threads));
    assert_ok(subquad_leverage_scores(context, options, from->handle, &other, NULL));
    assert_true(same_bits(&first, &other));
  }
  subquad_options_destroy(options);
  subquad_context_destroy(context);
  free(one);
  free(many);
}

static void test_scores(void** state) {
  (void)state;
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    sparsify_problem wide = new_problem(SPARSE, 24, 6000, dtype, 8), small = new_problem(GENERIC, 5, 90, dtype, 8);
    for (storage how = 0; how < STORAGES; ++how) {
      stored from;
      store(&from, &wide, how);
      check_same_scores(&from, wide.d, SUBQUAD_SCORE_EXACT);
      check_same_scores(&from, wide.d, SUBQUAD_SCORE_SKETCH);
      stored_free(&from);
      store(&from, &small, how);
      check_same_scores(&from, small.d, SUBQUAD_SCORE_EXACT);
      stored_free(&from);
    }
    sparsify_problem_free(&wide);
    sparsify_problem_free(&small);
  }
}

static int same_sparsifier(const sparsified* a, const sparsified* b) {
  if (a->m != b->m || !same_bits(&a->y, &b->y) || a->epsilon != b->epsilon || a->radius != b->radius) return 0;
  return a->indices == NULL || (memcmp(a->indices, b->indices, (size_t)a->m * sizeof *a->indices) == 0 &&
                                memcmp(a->weights, b->weights, (size_t)a->m * sizeof *a->weights) == 0);
}

static void test_selections(void** state) {
  (void)state;
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    sparsify_problem p = new_problem(SPARSE, 20, 5000, dtype, 8);
    for (storage how = 0; how < STORAGES; how += 2) {
      stored from;
      store(&from, &p, how);
      for (int32_t method = SUBQUAD_SPARSIFIER_LEVERAGE; method <= SUBQUAD_SPARSIFIER_GRAM; ++method) {
        subquad_context* context = new_context();
        subquad_options* options = sparsify_options(method, method == SUBQUAD_SPARSIFIER_GRAM ? 0 : 80);
        assert_ok(subquad_context_set_threads(context, 1));
        sparsified one = sparsify(context, options, from.handle, NULL);
        for (int64_t threads = 2; threads <= 3; ++threads) {
          assert_ok(subquad_context_set_threads(context, threads));
          sparsified many = sparsify(context, options, from.handle, NULL);
          if (!same_sparsifier(&one, &many))
            fail_msg("%s, method %d: other bits with %d threads", storage_names[how], (int)method, (int)threads);
          sparsified_free(&many);
        }
        sparsified_free(&one);
        subquad_options_destroy(options);
        subquad_context_destroy(context);
      }
      stored_free(&from);
    }
    sparsify_problem_free(&p);
  }
}

/* All functions that write arrays, on small ones. */
static void test_every_function_gives_the_same_bits(void** state) {
  (void)state;
  static sparsify_call one, two;
  subquad_context *first = new_context(), *second = new_context();
  assert_ok(subquad_context_set_threads(first, 1));
  assert_ok(subquad_context_set_threads(second, 2));
  sparsify_call_create(&one, first);
  sparsify_call_create(&two, second);
  for (int f = 0; f < SPARSIFY_FUNCTIONS; ++f) {
    assert_ok(sparsify_run(&sparsify_functions[f], &one));
    assert_ok(sparsify_run(&sparsify_functions[f], &two));
    assert_memory_equal(one.memory, two.memory, sizeof one.memory);
    assert_memory_equal(one.numbers, two.numbers, sizeof one.numbers);
  }
  sparsify_call_free(&one);
  sparsify_call_free(&two);
  subquad_context_destroy(first);
  subquad_context_destroy(second);
}

typedef struct worker {
  pthread_t thread;
  const subquad_matrix* x;
  const sparsified* shared;
  const subquad_array* attention; /* of the shared sparsifier with `v` */
  subquad_array v, o;
  int number, failures;
} worker;

/* cmocka's assertions are for the main thread. */
static void* compute(void* user) {
  worker* w = user;
  for (int i = 0; i < CALLS; ++i) {
    subquad_context* context = NULL;
    subquad_options* options = NULL;
    subquad_sparsifier* own = NULL;
    double e = -1;
    w->failures += subquad_context_create(&context) != SUBQUAD_OK || subquad_options_create(&options) != SUBQUAD_OK;
    w->failures += subquad_context_set_threads(context, 1 + (w->number + i) % 2) != SUBQUAD_OK;
    w->failures += subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_COLUMNS, 60) != SUBQUAD_OK;
    w->failures += subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_CERTIFY, SUBQUAD_CERTIFICATE_EXACT) != SUBQUAD_OK;
    w->failures += subquad_sparsify(context, options, w->x, &own, NULL) != SUBQUAD_OK;
    w->failures += subquad_sparsifier_certificate(own, &e, NULL, NULL) != SUBQUAD_OK || e != w->shared->epsilon;
    w->failures += subquad_sparsifier_attention(context, NULL, w->shared->handle, &w->v, &w->o, NULL, NULL) != SUBQUAD_OK;
    w->failures += !same_bits(w->attention, &w->o);
    subquad_sparsifier_destroy(own);
    subquad_options_destroy(options);
    subquad_context_destroy(context);
  }
  return NULL;
}

static void test_one_matrix_and_one_sparsifier_in_several_threads(void** state) {
  (void)state;
  enum { N = 12, D_V = 2 };
  static double v[N * D_V], o[N * D_V], own[THREADS][N * D_V];
  static worker workers[THREADS];
  subquad_context* context = new_context();
  sparsify_problem p = new_problem(SPARSE, N, 3000, SUBQUAD_FLOAT64, 8);
  stored from;
  store(&from, &p, CSR_32);
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 60);
  sparsified shared = sparsify(context, options, from.handle, NULL);
  const subquad_array values = matrix(v, SUBQUAD_FLOAT64, N, D_V), attention = matrix(o, SUBQUAD_FLOAT64, N, D_V);
  assert_ok(subquad_fill_uniform(&values, 1, 0, -1, 1));
  assert_ok(subquad_sparsifier_attention(context, NULL, shared.handle, &values, &attention, NULL, NULL));
  for (int i = 0; i < THREADS; ++i) {
    const worker w = {.x = from.handle,
                      .shared = &shared,
                      .attention = &attention,
                      .v = values,
                      .o = matrix(own[i], SUBQUAD_FLOAT64, N, D_V),
                      .number = i};
    workers[i] = w;
    assert_int_equal(pthread_create(&workers[i].thread, NULL, compute, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; ++i) assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
  for (int i = 0; i < THREADS; ++i) assert_int_equal(workers[i].failures, 0);
  sparsified_free(&shared);
  subquad_options_destroy(options);
  stored_free(&from);
  sparsify_problem_free(&p);
  subquad_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_scores),
      cmocka_unit_test(test_selections),
      cmocka_unit_test(test_every_function_gives_the_same_bits),
      cmocka_unit_test(test_one_matrix_and_one_sparsifier_in_several_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
