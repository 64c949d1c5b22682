/* Conv bases and threads: the same bits for any number of threads, and one basis in several calls at once. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "conv_calls.h"
#include "conv_problem.h"

enum { N = 1500, THREADS = 4, CALLS = 5 };

static conv_problem wide_problem(int32_t dtype) {
  conv_problem p = {.batch = 2, .heads = 2, .heads_v = 1, .n = N, .bases = 4, .d_v = 5, .dtype = dtype, .reach = 30};
  conv_problem_create(&p, 3);
  return p;
}

typedef subquad_status (*product)(subquad_context* context, const subquad_options* options, const subquad_conv_basis* basis,
                                  const conv_problem* p);

static subquad_status apply_transposed(subquad_context* context, const subquad_options* options, const subquad_conv_basis* basis,
                                       const conv_problem* p) {
  return subquad_conv_basis_apply_transposed(context, options, basis, &p->x, &p->o, NULL);
}

static subquad_status multiply(subquad_context* context, const subquad_options* options, const subquad_conv_basis* basis,
                               const conv_problem* p) {
  return subquad_conv_basis_multiply(context, options, basis, &p->x, &p->o, NULL);
}

static subquad_status multiply_transposed(subquad_context* context, const subquad_options* options,
                                          const subquad_conv_basis* basis, const conv_problem* p) {
  return subquad_conv_basis_multiply_transposed(context, options, basis, &p->x, &p->o, NULL);
}

static const product products[] = {conv_apply, apply_transposed, multiply, multiply_transposed};

static void test_the_same_bits_for_any_number_of_threads(void** state) {
  (void)state;
  subquad_context* context = new_context();
  subquad_options* options = new_options();
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    conv_problem one = wide_problem(dtype), many = wide_problem(dtype);
    subquad_conv_basis* basis = new_basis(context, &one);
    for (size_t f = 0; f < COUNT(products); ++f) {
      for (int strict = 0; strict <= 1; ++strict) {
        assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_STRICT_CAUSAL, strict));
        assert_ok(subquad_context_set_threads(context, 1));
        assert_ok(products[f](context, options, basis, &one));
        for (int64_t threads = 2; threads <= 3; ++threads) {
          assert_ok(subquad_context_set_threads(context, threads));
          assert_ok(products[f](context, options, basis, &many));
          assert_true(same_bits(&one.o, &many.o) && same_bits(&one.lse, &many.lse));
        }
      }
    }
    subquad_conv_basis_destroy(basis);
    conv_problem_free(&one);
    conv_problem_free(&many);
  }
  subquad_options_destroy(options);
  subquad_context_destroy(context);
}

/* All functions that write arrays or make a basis, on small ones. */
static void test_every_function_gives_the_same_bits(void** state) {
  (void)state;
  static conv_call one, two;
  subquad_context *first = new_context(), *second = new_context();
  assert_ok(subquad_context_set_threads(first, 1));
  assert_ok(subquad_context_set_threads(second, 2));
  conv_call_create(&one, first);
  conv_call_create(&two, second);
  for (int f = 0; f < CONV_FUNCTIONS; ++f) {
    assert_ok(conv_run(&conv_functions[f], &one));
    assert_ok(conv_run(&conv_functions[f], &two));
    assert_memory_equal(one.memory, two.memory, sizeof one.memory);
    assert_true(one.loss == two.loss);
  }
  conv_call_free(&one);
  conv_call_free(&two);
  subquad_context_destroy(first);
  subquad_context_destroy(second);
}

typedef struct worker {
  pthread_t thread;
  const subquad_conv_basis* basis;
  const conv_problem* shared; /* inputs are shared, outputs are not */
  conv_problem own;
  int number, failures;
} worker;

/* cmocka's assertions are for the main thread. */
static void* compute(void* user) {
  worker* w = user;
  conv_problem p = *w->shared;
  p.o = w->own.o;
  p.lse = w->own.lse;
  for (int i = 0; i < CALLS; ++i) {
    subquad_context* context = NULL;
    subquad_conv_basis* exponentials = NULL;
    w->failures += subquad_context_create(&context) != SUBQUAD_OK;
    w->failures += subquad_context_set_threads(context, 1 + (w->number + i) % 2) != SUBQUAD_OK;
    w->failures += conv_apply(context, NULL, w->basis, &p) != SUBQUAD_OK;
    w->failures += !same_bits(&w->shared->o, &p.o) || !same_bits(&w->shared->lse, &p.lse);
    w->failures += subquad_conv_basis_exp(context, w->basis, &exponentials) != SUBQUAD_OK;
    subquad_conv_basis_destroy(exponentials);
    subquad_context_destroy(context);
  }
  return NULL;
}

static void test_one_basis_in_several_threads(void** state) {
  (void)state;
  subquad_context* context = new_context();
  conv_problem shared = wide_problem(SUBQUAD_FLOAT32);
  subquad_conv_basis* basis = new_basis(context, &shared);
  assert_ok(conv_apply(context, NULL, basis, &shared));
  static worker workers[THREADS];
  for (int i = 0; i < THREADS; ++i) {
    workers[i].basis = basis;
    workers[i].shared = &shared;
    workers[i].own = wide_problem(SUBQUAD_FLOAT32);
    workers[i].number = i;
    assert_int_equal(pthread_create(&workers[i].thread, NULL, compute, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; ++i) assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
  for (int i = 0; i < THREADS; ++i) {
    assert_int_equal(workers[i].failures, 0);
    conv_problem_free(&workers[i].own);
  }
  subquad_conv_basis_destroy(basis);
  conv_problem_free(&shared);
  subquad_context_destroy(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_same_bits_for_any_number_of_threads),
      cmocka_unit_test(test_every_function_gives_the_same_bits),
      cmocka_unit_test(test_one_basis_in_several_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
