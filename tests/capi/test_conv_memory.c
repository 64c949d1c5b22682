/* Memory that runs out at any allocation of a call on conv bases gives MEMORY, spoils no handle and leaves no result. */
#include "conv_calls.h"
#include "conv_problem.h"
#include "sweep.h"

typedef struct attempt {
  const conv_function* function;
  conv_call call;
} attempt;

static subquad_status run(void* user) {
  attempt* a = user;
  return conv_run(a->function, &a->call);
}

static void test_every_function(void** state) {
  static attempt a;
  for (int f = 0; f < CONV_FUNCTIONS; ++f) {
    a.function = &conv_functions[f];
    conv_call_create(&a.call, *state);
    const int64_t allocations = sweep(run, &a);
    if (a.function->makes_basis) assert_true(allocations > 0);
    assert_ok(conv_run(a.function, &a.call));
    conv_call_free(&a.call);
  }
}

/* Enough rows for transforms, plans and workspace. */
typedef struct scene {
  subquad_context* context;
  const subquad_conv_basis* basis;
  conv_problem p;
  int64_t threads;
} scene;

static subquad_status apply(void* user) {
  const scene* s = user;
  return conv_apply(s->context, NULL, s->basis, &s->p);
}

static subquad_status apply_transposed(void* user) {
  const scene* s = user;
  return subquad_conv_basis_apply_transposed(s->context, NULL, s->basis, &s->p.x, &s->p.y, NULL);
}

static subquad_status multiply(void* user) {
  const scene* s = user;
  return subquad_conv_basis_multiply(s->context, NULL, s->basis, &s->p.x, &s->p.y, NULL);
}

static subquad_status apply_in_a_new_context(void* user) {
  scene* s = user;
  s->context = NULL;
  subquad_status status = subquad_context_create(&s->context);
  if (status == SUBQUAD_OK) status = subquad_context_set_threads(s->context, s->threads);
  if (status == SUBQUAD_OK) status = apply(s);
  subquad_context_destroy(s->context);
  return status;
}

static void test_many_rows(void** state) {
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    scene s = {.context = *state, .p = {.batch = 1, .heads = 2, .heads_v = 1, .n = 700, .bases = 3, .d_v = 3, .dtype = dtype}};
    s.p.reach = 40; /* so that one transform does not serve every row */
    conv_problem_create(&s.p, 5);
    subquad_conv_basis* basis = new_basis(*state, &s.p);
    s.basis = basis;
    assert_true(sweep(apply, &s) > 0);
    assert_is_conv_attention(&s.p);
    assert_true(sweep(apply_transposed, &s) > 0);
    assert_true(sweep(multiply, &s) > 0);
    for (s.threads = 1; s.threads <= 2; ++s.threads) sweep(apply_in_a_new_context, &s);
    subquad_conv_basis_destroy(basis);
    conv_problem_free(&s.p);
  }
}

static subquad_status export_wisdom(void* user) { return subquad_wisdom_export(user); }

static void test_wisdom(void** state) {
  (void)state;
  const char* text = NULL;
  sweep(export_wisdom, &text);
  assert_non_null(text);
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
      cmocka_unit_test(test_every_function),
      cmocka_unit_test(test_many_rows),
      cmocka_unit_test(test_wisdom),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
