/* The callback during long calls on sparsifiers: on the calling thread, in time, with a fraction that never falls; cancelling. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "long_call.h"
#include "sparsified.h"

/* What the header promises, in seconds. */
static const double longest_gap = 0.050;

enum { ROWS = 96, MOST_COLUMNS = 1 << 18, D_V = 4 };

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

/* A matrix of ROWS rows; row-major, or CSC with one entry of five. */
typedef struct material {
  subquad_matrix* x;
  subquad_array dense, scores;
  subquad_sparse sparse;
  void *offsets, *indices;
} material;

static void material_create(material* m, int64_t columns, int sparse) {
  const int64_t height = sparse ? ROWS / 4 : ROWS;
  m->dense = matrix(malloc((size_t)(height * columns) * sizeof(float)), SUBQUAD_FLOAT32, height, columns);
  m->scores = vector(malloc((size_t)columns * sizeof(double)), SUBQUAD_FLOAT64, columns);
  m->offsets = NULL;
  m->indices = NULL;
  assert_true(m->dense.data && m->scores.data);
  assert_ok(subquad_fill_uniform(&m->dense, 3, 0, -1, 1));
  if (!sparse) {
    assert_ok(subquad_matrix_from_dense(&m->dense, &m->x));
    return;
  }
  int64_t* offsets = malloc((size_t)(columns + 1) * sizeof *offsets);
  int64_t* rows = malloc((size_t)(height * columns) * sizeof *rows);
  assert_true(offsets && rows);
  for (int64_t j = 0; j <= columns; ++j) offsets[j] = j * height;
  for (int64_t e = 0; e < height * columns; ++e) rows[e] = e % height * 4 + e / height % 4;
  const subquad_sparse view = {offsets,          rows,        m->dense.data,   ROWS,          columns,
                               height * columns, SUBQUAD_CSC, SUBQUAD_FLOAT32, SUBQUAD_INT64, 0};
  m->sparse = view;
  m->offsets = offsets;
  m->indices = rows;
  assert_ok(subquad_matrix_from_sparse(&m->sparse, &m->x));
}

static void material_free(material* m) {
  subquad_matrix_destroy(m->x);
  free(m->dense.data);
  free(m->scores.data);
  free(m->offsets);
  free(m->indices);
}

typedef subquad_status (*operation)(subquad_context* context, const material* m);

static subquad_status score(subquad_context* context, const material* m, int32_t way) {
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_SCORES, way));
  const subquad_status status = subquad_leverage_scores(context, options, m->x, &m->scores, NULL);
  subquad_options_destroy(options);
  return status;
}
static subquad_status score_exactly(subquad_context* context, const material* m) {
  return score(context, m, SUBQUAD_SCORE_EXACT);
}
static subquad_status score_by_sketch(subquad_context* context, const material* m) {
  return score(context, m, SUBQUAD_SCORE_SKETCH);
}
static subquad_status sparsify_by(subquad_context* context, const material* m, int32_t method, int32_t certify) {
  subquad_sparsifier* made = (subquad_sparsifier*)(void*)context;
  subquad_options* options = sparsify_options(method, method == SUBQUAD_SPARSIFIER_GRAM ? 0 : 2 * ROWS);
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SPARSIFY_CERTIFY, certify));
  const subquad_status status = subquad_sparsify(context, options, m->x, &made, NULL);
  if (status != SUBQUAD_OK) assert_null(made);
  subquad_sparsifier_destroy(made);
  subquad_options_destroy(options);
  return status;
}
static subquad_status sample(subquad_context* context, const material* m) {
  return sparsify_by(context, m, SUBQUAD_SPARSIFIER_LEVERAGE, SUBQUAD_CERTIFICATE_EXACT);
}
static subquad_status sample_and_estimate(subquad_context* context, const material* m) {
  return sparsify_by(context, m, SUBQUAD_SPARSIFIER_LEVERAGE, SUBQUAD_CERTIFICATE_ESTIMATE);
}
static subquad_status choose_by_barriers(subquad_context* context, const material* m) {
  return sparsify_by(context, m, SUBQUAD_SPARSIFIER_DETERMINISTIC, SUBQUAD_CERTIFICATE_EXACT);
}
static subquad_status factor(subquad_context* context, const material* m) {
  return sparsify_by(context, m, SUBQUAD_SPARSIFIER_GRAM, SUBQUAD_CERTIFICATE_EXACT);
}

static const struct {
  const char* name;
  operation run;
} operations[] = {
    {"exact scores", score_exactly},
    {"sketched scores", score_by_sketch},
    {"leverage", sample},
    {"leverage with an estimate", sample_and_estimate},
    {"barriers", choose_by_barriers},
    {"gram", factor},
};

/* One call under the watch; returns its seconds. */
static double watched(subquad_context* context, operation run, const material* m, watch* w, subquad_status* status) {
  const watch fresh = {.owner = pthread_self(), .cancel_at = w->cancel_at};
  *w = fresh;
  assert_ok(subquad_context_set_callback(context, look, w));
  w->last = thread_seconds();
  const double began = seconds_now();
  *status = run(context, m);
  const double seconds = seconds_now() - began, silence = thread_seconds() - w->last;
  if (silence > w->gap) w->gap = silence;
  assert_ok(subquad_context_set_callback(context, NULL, NULL));
  return seconds;
}

static void check_heard(subquad_context* context, size_t i, int sparse, int64_t threads) {
  watch w = {0};
  subquad_status status = SUBQUAD_OK;
  double seconds = 0;
  assert_ok(subquad_context_set_threads(context, threads));
  for (int64_t d = 4096; seconds < 0.12 && d <= MOST_COLUMNS; d *= 2) {
    material m;
    material_create(&m, d, sparse);
    seconds = watched(context, operations[i].run, &m, &w, &status);
    assert_ok(status);
    /* The best of five: the system's work for first-touched memory counts as the thread's, and a busy machine lets it wait. */
    for (int again = 0; again < 4 && (w.gap > longest_gap || w.count == 0); ++again)
      seconds = watched(context, operations[i].run, &m, &w, &status);
    material_free(&m);
    if (!SANITIZED && threads == 1 && w.gap > longest_gap)
      fail_msg("%s of %d columns is silent for %.1f ms", operations[i].name, (int)d, 1e3 * w.gap);
    if (w.wrong_thread || w.fell || w.outside)
      fail_msg("%s of %d columns: %s", operations[i].name, (int)d,
               w.fell      ? "the fraction falls"
               : w.outside ? "the fraction leaves [0, 1]"
                           : "called on another thread");
  }
  if (seconds > 0.08) assert_true(w.count > 0);
}

static void test_calls_are_heard_in_time(void** state) {
  for (size_t i = 0; i < COUNT(operations); ++i)
    for (int64_t threads = 1; threads <= 2; ++threads)
      for (int sparse = 0; sparse <= 1; ++sparse) check_heard(*state, i, sparse, threads);
}

/* At its first look, and at later ones: each point leaves everything fine. */
static void test_cancelling(void** state) {
  assert_ok(subquad_context_set_threads(*state, 2));
  for (size_t i = 0; i < COUNT(operations); ++i) {
    material m, small;
    material_create(&m, 1 << 16, 1);
    material_create(&small, 300, 0);
    watch w = {0};
    subquad_status status = SUBQUAD_OK;
    watched(*state, operations[i].run, &m, &w, &status);
    assert_ok(status);
    const int64_t looks = w.count;
    for (int64_t at = 1; at <= looks; at += 1 + looks / 4) {
      w.cancel_at = at;
      watched(*state, operations[i].run, &m, &w, &status);
      if (w.count < at) break; /* it was faster this time */
      assert_status(status, SUBQUAD_ERR_CANCELLED);
      assert_error_says("cancel");
      w.cancel_at = 0;
      watched(*state, operations[i].run, &small, &w, &status);
      assert_ok(status);
    }
    material_free(&small);
    material_free(&m);
  }
}

/* Attention from a sparsifier, and its error, of many rows. */
static void test_attention_is_heard_and_cancelled(void** state) {
  enum { N = 3000, D = 8 };
  float *x = malloc(sizeof(float) * N * D), *v = malloc(sizeof(float) * N * D_V), *o = malloc(sizeof(float) * N * D_V);
  const subquad_array of_x = matrix(x, SUBQUAD_FLOAT32, N, D), of_v = matrix(v, SUBQUAD_FLOAT32, N, D_V),
                      of_o = matrix(o, SUBQUAD_FLOAT32, N, D_V);
  assert_true(x && v && o);
  assert_ok(subquad_fill_uniform(&of_x, 1, 0, -1, 1));
  assert_ok(subquad_fill_uniform(&of_v, 1, 1, -1, 1));
  subquad_matrix* handle = NULL;
  subquad_options* options = sparsify_options(SUBQUAD_SPARSIFIER_LEVERAGE, D);
  assert_ok(subquad_matrix_from_dense(&of_x, &handle));
  sparsified s = sparsify(*state, options, handle, NULL);
  for (int error = 0; error <= 1; ++error) {
    for (int64_t cancel = 0; cancel <= 1; ++cancel) {
      double most = 0;
      watch w = {.owner = pthread_self(), .cancel_at = cancel};
      assert_ok(subquad_context_set_callback(*state, look, &w));
      w.last = thread_seconds();
      const subquad_status status = error ? subquad_sparsifier_softmax_error(*state, NULL, s.handle, handle, NULL, &most, NULL)
                                          : subquad_sparsifier_attention(*state, NULL, s.handle, &of_v, &of_o, NULL, NULL);
      assert_ok(subquad_context_set_callback(*state, NULL, NULL));
      assert_false(w.wrong_thread || w.fell || w.outside);
      assert_status(status, cancel && w.count > 0 ? SUBQUAD_ERR_CANCELLED : SUBQUAD_OK);
    }
  }
  sparsified_free(&s);
  subquad_options_destroy(options);
  subquad_matrix_destroy(handle);
  free(x);
  free(v);
  free(o);
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
      cmocka_unit_test(test_attention_is_heard_and_cancelled),
  };
  return cmocka_run_group_tests(tests, prepare, finish);
}
