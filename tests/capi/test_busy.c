/* A context in use: a second thread and the callback itself get BUSY, and the running call does not notice. */
#include "conv_calls.h"
#include "long_call.h"
#include "plan_calls.h"
#include "sparsify_calls.h"

#include <pthread.h>

typedef struct scene {
  subquad_context* context;
  int played;
  problem small;
  conv_call conv;
  sparsify_call sparsify;
  plan_call plan;
} scene;

static int was_played(void* user) { return ((const scene*)user)->played; }

/* Every function that needs the context for itself. */
static void try_everything(scene* s) {
  problem* p = &s->small;
  assert_status(attend(s->context, NULL, p), SUBQUAD_ERR_BUSY);
  assert_error_says("context");
  assert_status(subquad_attention_backward(s->context, NULL, &p->q, &p->k, &p->v, NULL, NULL, &p->o, &p->lse, &p->v, NULL, NULL,
                                           NULL, NULL, NULL),
                SUBQUAD_ERR_BUSY);
  assert_status(subquad_attention_merge(s->context, NULL, 1, &p->o, &p->lse, &p->o, &p->lse), SUBQUAD_ERR_BUSY);
  for (int f = 0; f < CONV_FUNCTIONS; ++f)
    assert_status(conv_run(&conv_functions[f], &s->conv), conv_functions[f].takes_context ? SUBQUAD_ERR_BUSY : SUBQUAD_OK);
  for (int f = 0; f < SPARSIFY_FUNCTIONS; ++f)
    assert_status(sparsify_run(&sparsify_functions[f], &s->sparsify),
                  sparsify_functions[f].takes & CONTEXT ? SUBQUAD_ERR_BUSY : SUBQUAD_OK);
  for (int f = 0; f < PLAN_FUNCTIONS; ++f)
    assert_status(plan_run(&plan_functions[f], &s->plan), plan_functions[f].takes_context ? SUBQUAD_ERR_BUSY : SUBQUAD_OK);
  assert_status(subquad_context_set_threads(s->context, 1), SUBQUAD_ERR_BUSY);
  assert_status(subquad_context_set_workspace_limit(s->context, 1), SUBQUAD_ERR_BUSY);
  assert_status(subquad_context_set_callback(s->context, NULL, NULL), SUBQUAD_ERR_BUSY);
  assert_status(subquad_context_set_simd_target(s->context, NULL), SUBQUAD_ERR_BUSY);
}

static int32_t from_the_callback(void* user, double fraction) {
  (void)fraction;
  scene* s = user;
  if (!s->played) try_everything(s);
  s->played = 1;
  return 0;
}

/* cmocka's assertions are for the main thread: the other one only brings home what it saw. */
static void* other_thread(void* user) {
  scene* s = user;
  static subquad_status found[2];
  found[0] = attend(s->context, NULL, &s->small);
  found[1] = subquad_context_set_threads(s->context, 1);
  return found;
}

static int32_t from_another_thread(void* user, double fraction) {
  (void)fraction;
  scene* s = user;
  if (s->played) return 0;
  pthread_t thread;
  void* found = NULL;
  assert_int_equal(pthread_create(&thread, NULL, other_thread, s), 0);
  assert_int_equal(pthread_join(thread, &found), 0);
  assert_status(((subquad_status*)found)[0], SUBQUAD_ERR_BUSY);
  assert_status(((subquad_status*)found)[1], SUBQUAD_ERR_BUSY);
  s->played = 1;
  return 0;
}

static void play(subquad_callback callback) {
  static scene s;
  s.context = new_context();
  s.played = 0;
  s.small = square_problem(3, 2);
  conv_call_create(&s.conv, s.context);
  sparsify_call_create(&s.sparsify, s.context);
  plan_call_create(&s.plan, s.context);
  assert_ok(attend(s.context, NULL, &s.small));
  assert_ok(subquad_context_set_callback(s.context, callback, &s));
  assert_ok(attend_until(s.context, was_played, &s));
  assert_ok(attend(s.context, NULL, &s.small));
  problem_free(&s.small);
  conv_call_free(&s.conv);
  sparsify_call_free(&s.sparsify);
  plan_call_free(&s.plan);
  subquad_context_destroy(s.context);
}

static void test_from_the_callback(void** state) {
  (void)state;
  play(from_the_callback);
}

static void test_from_another_thread(void** state) {
  (void)state;
  play(from_another_thread);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_from_the_callback),
      cmocka_unit_test(test_from_another_thread),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
