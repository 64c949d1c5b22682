/* Memory that runs out at any allocation gives MEMORY, and neither a crash nor a leak nor a spoilt handle. */
#include "sweep.h"

#if !SANITIZED
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

static subquad_status create_context(void* user) {
  subquad_context** context = user;
  *context = (subquad_context*)(void*)&context; /* must be overwritten */
  const subquad_status status = subquad_context_create(context);
  if (status != SUBQUAD_OK) assert_null(*context);
  return status;
}

static subquad_status create_options(void* user) {
  subquad_options** options = user;
  *options = (subquad_options*)(void*)&options;
  const subquad_status status = subquad_options_create(options);
  if (status != SUBQUAD_OK) assert_null(*options);
  return status;
}

static subquad_status create_report(void* user) {
  subquad_report** report = user;
  *report = (subquad_report*)(void*)&report;
  const subquad_status status = subquad_report_create(report);
  if (status != SUBQUAD_OK) assert_null(*report);
  return status;
}

static void test_creation(void** state) {
  (void)state;
  subquad_context* context = NULL;
  subquad_options* options = NULL;
  subquad_report* report = NULL;
  assert_true(sweep(create_context, &context) > 0);
  assert_true(sweep(create_options, &options) > 0);
  assert_true(sweep(create_report, &report) > 0);
  subquad_context_destroy(context);
  subquad_options_destroy(options);
  subquad_report_destroy(report);
}

typedef struct scene {
  subquad_context* context;
  subquad_report* report;
  problem p, gradients;
  int64_t threads;
} scene;

static subquad_status forward(void* user) {
  scene* s = user;
  return subquad_attention(s->context, NULL, &s->p.q, &s->p.k, &s->p.v, NULL, NULL, &s->p.o, &s->p.lse, s->report);
}

/* Threads start at the first call, so each attempt has a context of its own. */
static subquad_status forward_in_a_new_context(void* user) {
  scene* s = user;
  s->context = NULL;
  subquad_status status = subquad_context_create(&s->context);
  if (status == SUBQUAD_OK) status = subquad_context_set_threads(s->context, s->threads);
  if (status == SUBQUAD_OK) status = forward(s);
  subquad_context_destroy(s->context);
  return status;
}

static subquad_status backward(void* user) {
  scene* s = user;
  const problem* p = &s->p;
  const problem* g = &s->gradients;
  return subquad_attention_backward(s->context, NULL, &p->q, &p->k, &p->v, NULL, NULL, &p->o, &p->lse, &g->o, &g->q, &g->k, &g->v,
                                    NULL, s->report);
}

static subquad_status info(void* user) {
  scene* s = user;
  return subquad_info(s->context, s->report);
}

static subquad_status json(void* user) {
  scene* s = user;
  const char* text = NULL;
  return subquad_report_json(s->report, &text);
}

static void test_calls(void** state) {
  (void)state;
  scene s = {.context = new_context(), .report = new_report(), .p = square_problem(200, 8), .gradients = square_problem(200, 8)};
  problem expected = square_problem(200, 8);
  assert_ok(subquad_fill_uniform(&s.gradients.o, 2, 0, -1, 1));
  assert_ok(attend(s.context, NULL, &expected));
  assert_true(sweep(forward, &s) > 0);
  assert_true(same_bits(&expected.o, &s.p.o));
  assert_true(same_bits(&expected.q, &s.p.q) && same_bits(&expected.k, &s.p.k) && same_bits(&expected.v, &s.p.v));
  sweep(backward, &s);
  sweep(info, &s);
  subquad_context_destroy(s.context);
  for (s.threads = 1; s.threads <= 4; ++s.threads) {
    sweep(forward_in_a_new_context, &s);
    assert_true(same_bits(&expected.o, &s.p.o));
  }
  problem_free(&expected);
  problem_free(&s.p);
  problem_free(&s.gradients);
  subquad_report_destroy(s.report);
}

static void test_the_text_of_a_report(void** state) {
  (void)state;
  scene s = {.report = new_report()};
  assert_ok(subquad_info(NULL, s.report));
  assert_true(sweep(json, &s) > 0);
  subquad_report_destroy(s.report);
}

#if !SANITIZED
/* The same with the system's own limit: a child process uses up what it may have, then asks for more. */
static int child_without_memory(void) {
  subquad_context* context = NULL;
  const struct rlimit none = {0, 0};
  if (setrlimit(RLIMIT_AS, &none) != 0) return 1;
  for (size_t size = (size_t)1 << 30; size >= 16; size /= 2) {
    for (void** taken = malloc(size); taken != NULL; taken = malloc(size)) *taken = taken;
  }
  return subquad_context_create(&context) == SUBQUAD_ERR_MEMORY && context == NULL ? 0 : 2;
}

static void test_the_limit_of_the_system(void** state) {
  (void)state;
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) _exit(child_without_memory());
  int status = -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_creation),
    cmocka_unit_test(test_calls),
#if !SANITIZED
    cmocka_unit_test(test_the_limit_of_the_system),
#endif
    cmocka_unit_test(test_the_text_of_a_report),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
