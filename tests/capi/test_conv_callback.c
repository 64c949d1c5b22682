/* The callback during long calls on conv bases: on the calling thread, in time, with a fraction that never falls; cancelling. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "conv_problem.h"
#include "long_call.h"

/* What the header promises, in seconds. */
static const double longest_gap = 0.050;

enum { D_V = 32, MOST_ROWS = 1 << 19 };

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

typedef subquad_status (*operation)(subquad_context* context, const subquad_conv_basis* basis, const conv_problem* p);

static subquad_status apply(subquad_context* context, const subquad_conv_basis* basis, const conv_problem* p) {
  return conv_apply(context, NULL, basis, p);
}
static subquad_status apply_transposed(subquad_context* context, const subquad_conv_basis* basis, const conv_problem* p) {
  return subquad_conv_basis_apply_transposed(context, NULL, basis, &p->x, &p->y, NULL);
}
static subquad_status multiply(subquad_context* context, const subquad_conv_basis* basis, const conv_problem* p) {
  return subquad_conv_basis_multiply(context, NULL, basis, &p->x, &p->y, NULL);
}
static subquad_status backward(subquad_context* context, const subquad_conv_basis* basis, const conv_problem* p) {
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_BACKWARD, SUBQUAD_METHOD_CONV_BASIS));
  const subquad_status status =
      subquad_conv_basis_backward(context, options, basis, &p->v, &p->v, &p->v, &p->x, &p->o, &p->y, NULL, NULL);
  subquad_options_destroy(options);
  return status;
}
static subquad_status recover(subquad_context* context, const subquad_conv_basis* basis, const conv_problem* p) {
  (void)basis;
  subquad_conv_basis* found = NULL;
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_BASES, 64));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CONV_WINDOW, 4));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_CONV_DELTA, 1e-3));
  const subquad_status status = subquad_conv_basis_recover(context, options, &p->v, &p->v, &found, NULL);
  if (status != SUBQUAD_OK) assert_null(found);
  subquad_conv_basis_destroy(found);
  subquad_options_destroy(options);
  return status;
}
static subquad_status fit(subquad_context* context, const subquad_conv_basis* basis, const conv_problem* p) {
  (void)basis;
  subquad_conv_basis* found = NULL;
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_BASES, 16));
  const subquad_status status = subquad_conv_basis_fit(context, options, &p->v, &p->v, &found, NULL);
  if (status != SUBQUAD_OK) assert_null(found);
  subquad_conv_basis_destroy(found);
  subquad_options_destroy(options);
  return status;
}

static const struct {
  const char* name;
  operation run;
} operations[] = {
    {"apply", apply},       {"apply_transposed", apply_transposed},
    {"multiply", multiply}, {"backward", backward},
    {"recover", recover},   {"fit", fit},
};

/* One call under the watch; returns its seconds. */
static double watched(subquad_context* context, operation run, int64_t n, watch* w, subquad_status* status) {
  conv_problem p = {.batch = 1, .heads = 1, .heads_v = 1, .n = n, .bases = 4, .d_v = D_V, .dtype = SUBQUAD_FLOAT32, .reach = 5};
  conv_problem_create(&p, 0);
  assert_ok(subquad_context_set_callback(context, NULL, NULL));
  subquad_conv_basis* basis = new_basis(context, &p);
  const watch fresh = {.owner = pthread_self(), .cancel_at = w->cancel_at};
  *w = fresh;
  assert_ok(subquad_context_set_callback(context, look, w));
  w->last = thread_seconds();
  const double began = seconds_now();
  *status = run(context, basis, &p);
  const double seconds = seconds_now() - began, silence = thread_seconds() - w->last;
  if (silence > w->gap) w->gap = silence;
  subquad_conv_basis_destroy(basis);
  conv_problem_free(&p);
  return seconds;
}

static void test_calls_are_heard_in_time(void** state) {
  for (size_t i = 0; i < COUNT(operations); ++i) {
    for (int64_t threads = 1; threads <= 2; ++threads) {
      watch w = {0};
      subquad_status status = SUBQUAD_OK;
      assert_ok(subquad_context_set_threads(*state, threads));
      double seconds = 0;
      for (int64_t n = 4096; seconds < 0.2 && n <= MOST_ROWS; n *= 2) {
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
