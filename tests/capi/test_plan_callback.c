/* The callback during long calls on plans: on the calling thread, in time, with a fraction that never falls; cancelling. */
#include <pthread.h>
#include <time.h>

#include "long_call.h"
#include "plan_problem.h"

/* What the header promises, in seconds. */
static const double longest_gap = 0.050;

enum { MOST_ROWS = 1 << 15 };

typedef struct watch {
  pthread_t owner;
  int64_t count, cancel_at; /* which look asks to cancel; 0: none */
  double last, gap;         /* processor time of the calling thread: other programs do not count */
  double fraction;
  int wrong_thread, fell, outside;
} watch;

static double thread_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int32_t look(void* user, double fraction) {
  watch* w = user;
  const double now = thread_seconds();
  if (!pthread_equal(w->owner, pthread_self())) w->wrong_thread = 1;
  if (fraction < w->fraction) w->fell = 1;
  if (!(fraction >= 0 && fraction <= 1)) w->outside = 1;
  if (now - w->last > w->gap) w->gap = now - w->last;
  w->last = now;
  w->fraction = fraction;
  return ++w->count == w->cancel_at;
}

typedef struct scene {
  problem p, gradients;
  subquad_options* options;
  const subquad_plan* plan;
} scene;

typedef subquad_status (*operation)(subquad_context* context, const scene* s);

static subquad_status create(subquad_context* context, const scene* s) {
  subquad_plan* plan = (subquad_plan*)(void*)&context; /* must be overwritten */
  const subquad_status status = subquad_plan_create(context, s->options, &s->p.q, &s->p.k, &s->p.v, NULL, NULL, &plan, NULL);
  if (status != SUBQUAD_OK) assert_null(plan);
  subquad_plan_destroy(plan);
  return status;
}
static subquad_status apply(subquad_context* context, const scene* s) { return plan_apply(context, s->plan, &s->p, NULL); }
static subquad_status backward(subquad_context* context, const scene* s) {
  return subquad_plan_backward(context, NULL, s->plan, &s->p.v, &s->p.o, &s->p.lse, &s->gradients.o, &s->gradients.q,
                               &s->gradients.k, &s->gradients.v, NULL);
}
static subquad_status strict(subquad_context* context, const scene* s) {
  assert_ok(subquad_options_set_int(s->options, SUBQUAD_OPTION_STRICT_CAUSAL, 1));
  const subquad_status status = create(context, s);
  assert_ok(subquad_options_reset(s->options, SUBQUAD_OPTION_STRICT_CAUSAL));
  return status;
}
static subquad_status attention(subquad_context* context, const scene* s) {
  assert_ok(subquad_options_set_int(s->options, SUBQUAD_OPTION_METHOD, SUBQUAD_METHOD_AUTO));
  return attend(context, s->options, &s->p);
}

static const struct {
  const char* name;
  operation run;
} operations[] = {
    {"create", create}, {"apply", apply}, {"backward", backward}, {"strict", strict}, {"attention", attention},
};

/* One call under the watch; returns its seconds. */
static double watched(subquad_context* context, operation run, int64_t n, watch* w, subquad_status* status) {
  scene s = {.p = local_problem(1, 1, n, SUBQUAD_FLOAT32), .gradients = local_problem(1, 1, n, SUBQUAD_FLOAT32)};
  s.options = plan_options(0.1);
  assert_ok(subquad_fill_uniform(&s.gradients.o, 5, 0, -1, 1));
  assert_ok(subquad_context_set_callback(context, NULL, NULL));
  subquad_plan* plan = new_plan(context, s.options, &s.p, NULL);
  s.plan = plan;
  assert_ok(plan_apply(context, plan, &s.p, NULL)); /* what backward takes */
  const watch fresh = {.owner = pthread_self(), .cancel_at = w->cancel_at};
  *w = fresh;
  assert_ok(subquad_context_set_callback(context, look, w));
  w->last = thread_seconds();
  const double began = seconds_now();
  *status = run(context, &s);
  const double seconds = seconds_now() - began, silence = thread_seconds() - w->last;
  if (silence > w->gap) w->gap = silence;
  subquad_plan_destroy(plan);
  subquad_options_destroy(s.options);
  problem_free(&s.p);
  problem_free(&s.gradients);
  return seconds;
}

static void test_calls_are_heard_in_time(void** state) {
  for (size_t i = 0; i < COUNT(operations); ++i) {
    for (int64_t threads = 1; threads <= 2; ++threads) {
      watch w = {0};
      subquad_status status = SUBQUAD_OK;
      assert_ok(subquad_context_set_threads(*state, threads));
      double seconds = 0;
      for (int64_t n = 4096; seconds < 0.1 && n <= MOST_ROWS; n *= 2) {
        seconds = watched(*state, operations[i].run, n, &w, &status);
        assert_ok(status);
        /* The best of three: the system's work for first-touched memory counts as the thread's, and is slow on a busy machine. */
        for (int again = 0; again < 2 && w.gap > longest_gap; ++again) watched(*state, operations[i].run, n, &w, &status);
        if (!SANITIZED && threads == 1 && w.gap > longest_gap)
          fail_msg("%s of %d rows is silent for %.1f ms", operations[i].name, (int)n, 1e3 * w.gap);
        if (w.wrong_thread || w.fell || w.outside)
          fail_msg("%s of %d rows: %s", operations[i].name, (int)n,
                   w.fell      ? "the fraction falls"
                   : w.outside ? "the fraction leaves [0, 1]"
                               : "called on another thread");
      }
      assert_true(w.count > 0);
    }
  }
}

static void test_cancelling(void** state) {
  for (size_t i = 0; i < COUNT(operations); ++i) {
    subquad_status status = SUBQUAD_OK;
    watch w = {.cancel_at = 1};
    for (int64_t n = 4096; status == SUBQUAD_OK && n <= MOST_ROWS; n *= 2) watched(*state, operations[i].run, n, &w, &status);
    assert_status(status, SUBQUAD_ERR_CANCELLED);
    assert_error_says("cancel");
    assert_int_equal(w.count, 1);
    w.cancel_at = 0;
    watched(*state, operations[i].run, 300, &w, &status);
    assert_ok(status);
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
      cmocka_unit_test(test_calls_are_heard_in_time),
      cmocka_unit_test(test_cancelling),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
