/* After fork() a child goes on with the context of its parent, and gets the same bits. */
#include "conv_problem.h"
#include "plan_problem.h"
#include "sparsified.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SUCCESS = 0, FAILED_CALL = 10, OTHER_BITS = 11, FAILED_OWN_CONTEXT = 12 };

/* In the child: no cmocka, which would report in two processes. */
static int child(subquad_context* context, const problem* expected, const problem* p) {
  if (attend(context, NULL, p) != SUBQUAD_OK) return FAILED_CALL;
  if (!same_bits(&expected->o, &p->o) || !same_bits(&expected->lse, &p->lse)) return OTHER_BITS;
  subquad_context_destroy(context);
  subquad_context* own = NULL;
  if (subquad_context_create(&own) != SUBQUAD_OK || subquad_context_set_threads(own, 2) != SUBQUAD_OK) return FAILED_OWN_CONTEXT;
  memset(p->o.data, 0, sizeof(float) * (size_t)element_count(&p->o));
  if (attend(own, NULL, p) != SUBQUAD_OK) return FAILED_OWN_CONTEXT;
  subquad_context_destroy(own);
  return same_bits(&expected->o, &p->o) ? SUCCESS : OTHER_BITS;
}

static void fork_and_compare(int64_t threads) {
  subquad_context* context = new_context();
  assert_ok(subquad_context_set_threads(context, threads));
  problem expected = square_problem(500, 16), again = square_problem(500, 16);
  assert_ok(attend(context, NULL, &expected));
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) _exit(child(context, &expected, &again));
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), SUCCESS);
  assert_ok(attend(context, NULL, &again));
  assert_true(same_bits(&expected.o, &again.o));
  problem_free(&expected);
  problem_free(&again);
  subquad_context_destroy(context);
}

/* In the child too: a basis, and transforms that were planned before. */
static int conv_child(subquad_context* context, const subquad_conv_basis* basis, const conv_problem* p, const void* expected,
                      size_t bytes) {
  memset(p->o.data, 0, bytes);
  if (conv_apply(context, NULL, basis, p) != SUBQUAD_OK) return FAILED_CALL;
  if (memcmp(p->o.data, expected, bytes) != 0) return OTHER_BITS;
  subquad_conv_basis* own = NULL;
  if (subquad_conv_basis_exp(context, basis, &own) != SUBQUAD_OK) return FAILED_CALL;
  subquad_conv_basis_destroy(own);
  subquad_context_destroy(context);
  return SUCCESS;
}

static void test_a_conv_basis(void** state) {
  (void)state;
  enum { N = 3000, D_V = 4 };
  static float expected[N * D_V];
  subquad_context* context = new_context();
  assert_ok(subquad_context_set_threads(context, 2));
  conv_problem p = small_conv_problem(SUBQUAD_FLOAT32, N, D_V);
  subquad_conv_basis* basis = new_basis(context, &p);
  assert_ok(conv_apply(context, NULL, basis, &p));
  memcpy(expected, p.o.data, sizeof expected);
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) _exit(conv_child(context, basis, &p, expected, sizeof expected));
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), SUCCESS);
  assert_ok(conv_apply(context, NULL, basis, &p));
  assert_memory_equal(p.o.data, expected, sizeof expected);
  subquad_conv_basis_destroy(basis);
  conv_problem_free(&p);
  subquad_context_destroy(context);
}

/* In the child: a selection and attention from a sparsifier that the parent made, in the parent's context. */
static int sparsify_child(subquad_context* context, const subquad_options* options, const subquad_matrix* x,
                          const sparsified* expected, const subquad_array* v, const subquad_array* o, const void* expected_o,
                          size_t bytes) {
  subquad_sparsifier* made = NULL;
  double e = -1;
  if (subquad_sparsify(context, options, x, &made, NULL) != SUBQUAD_OK) return FAILED_CALL;
  if (subquad_sparsifier_certificate(made, &e, NULL, NULL) != SUBQUAD_OK || e != expected->epsilon) return OTHER_BITS;
  if (subquad_sparsifier_attention(context, NULL, expected->handle, v, o, NULL, NULL) != SUBQUAD_OK) return FAILED_CALL;
  if (memcmp(o->data, expected_o, bytes) != 0) return OTHER_BITS;
  subquad_sparsifier_destroy(made);
  subquad_context_destroy(context);
  return SUCCESS;
}

static void test_a_sparsifier(void** state) {
  (void)state;
  enum { N = 20, D_V = 3 };
  static double values[N * D_V], found[N * D_V], expected_o[N * D_V];
  const subquad_array v = matrix(values, SUBQUAD_FLOAT64, N, D_V), o = matrix(found, SUBQUAD_FLOAT64, N, D_V);
  subquad_context* context = new_context();
  assert_ok(subquad_context_set_threads(context, 2));
  assert_ok(subquad_fill_uniform(&v, 1, 0, -1, 1));
  sparsify_problem p = new_problem(GENERIC, N, 5000, SUBQUAD_FLOAT64, 1);
  stored from;
  store(&from, &p, COLUMN_MAJOR);
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, 70);
  sparsified expected = sparsify(context, options, from.handle, NULL);
  assert_ok(subquad_sparsifier_attention(context, NULL, expected.handle, &v, &o, NULL, NULL));
  memcpy(expected_o, found, sizeof found);
  memset(found, 0, sizeof found);
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) _exit(sparsify_child(context, options, from.handle, &expected, &v, &o, expected_o, sizeof found));
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), SUCCESS);
  sparsified again = sparsify(context, options, from.handle, NULL);
  assert_true(same_bits(&again.y, &expected.y));
  sparsified_free(&again);
  sparsified_free(&expected);
  subquad_options_destroy(options);
  stored_free(&from);
  sparsify_problem_free(&p);
  subquad_context_destroy(context);
}

/* In the child: a plan that the parent made, and one of its own. */
static int plan_child(subquad_context* context, const subquad_options* options, const subquad_plan* plan, const problem* expected,
                      const problem* p) {
  subquad_plan* own = NULL;
  if (plan_apply(context, plan, p, NULL) != SUBQUAD_OK) return FAILED_CALL;
  if (!same_bits(&expected->o, &p->o)) return OTHER_BITS;
  memset(p->o.data, 0, sizeof(float) * (size_t)element_count(&p->o));
  if (subquad_plan_create(context, options, &p->q, &p->k, &p->v, NULL, NULL, &own, NULL) != SUBQUAD_OK) return FAILED_CALL;
  if (plan_apply(context, own, p, NULL) != SUBQUAD_OK) return FAILED_CALL;
  subquad_plan_destroy(own);
  subquad_context_destroy(context);
  return same_bits(&expected->o, &p->o) ? SUCCESS : OTHER_BITS;
}

static void test_a_plan(void** state) {
  (void)state;
  subquad_context* context = new_context();
  assert_ok(subquad_context_set_threads(context, 2));
  problem expected = local_problem(2, 1, 2048, SUBQUAD_FLOAT32), again = same_inputs(&expected);
  subquad_options* options = plan_options(0.1);
  subquad_plan* plan = new_plan(context, options, &expected, NULL);
  assert_ok(plan_apply(context, plan, &expected, NULL));
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) _exit(plan_child(context, options, plan, &expected, &again));
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), SUCCESS);
  assert_ok(plan_apply(context, plan, &again, NULL));
  assert_true(same_bits(&expected.o, &again.o));
  subquad_plan_destroy(plan);
  subquad_options_destroy(options);
  same_inputs_free(&again);
  problem_free(&expected);
  subquad_context_destroy(context);
}

static void test_a_context_with_threads(void** state) {
  (void)state;
  fork_and_compare(2);
  fork_and_compare(4);
}

static void test_a_context_without_threads(void** state) {
  (void)state;
  fork_and_compare(1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_context_with_threads),
      cmocka_unit_test(test_a_context_without_threads),
      cmocka_unit_test(test_a_conv_basis),
      cmocka_unit_test(test_a_sparsifier),
      cmocka_unit_test(test_a_plan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
