#include "sparsify_calls.h"

#include <string.h>

enum { N = 3, N_Q = 2, D = 14, M = 6, D_V = 2 };

static const struct {
  const char* name;
  int32_t ndim;
  int64_t shape[2];
} shapes[SPARSIFY_ARRAYS] = {
    [A_X] = {"x", 2, {N, D}},
    [A_V] = {"v", 2, {N, D_V}},
    [A_SCORES] = {"scores", 1, {D, 0}},
    [A_INDICES] = {"indices", 1, {M, 0}},
    [A_WEIGHTS] = {"weights", 1, {M, 0}},
    [A_Y] = {"y", 2, {N, M}},
    [A_O] = {"o", 2, {N, D_V}},
    [A_LSE] = {"lse", 1, {N, 0}},
};

const char* sparsify_array_name(sparsify_array a) { return shapes[a].name; }

static subquad_sparsifier** made(sparsify_call* c) { return c->lacks_out ? NULL : &c->sparsifier_out; }

static subquad_status from_dense(sparsify_call* c) {
  return subquad_matrix_from_dense(c->given[A_X], c->lacks_out ? NULL : &c->matrix_out);
}
static subquad_status leverage_scores(sparsify_call* c) {
  return subquad_leverage_scores(c->context, c->options, c->x, c->given[A_SCORES], c->report);
}
static subquad_status sparsify(sparsify_call* c) { return subquad_sparsify(c->context, c->options, c->x, made(c), c->report); }
static subquad_status sparsify_pair(sparsify_call* c) {
  return subquad_sparsify_pair(c->context, c->options, c->q, c->k, made(c), c->report);
}
static subquad_status get(sparsify_call* c) {
  return subquad_sparsifier_get(c->sparsifier, c->given[A_INDICES], c->given[A_WEIGHTS], c->given[A_Y]);
}
static subquad_status certificate(sparsify_call* c) {
  return subquad_sparsifier_certificate(c->sparsifier, &c->numbers[0], &c->kind, &c->numbers[1]);
}
static subquad_status ratio_bound(sparsify_call* c) { return subquad_sparsifier_ratio_bound(c->sparsifier, 0.5, &c->numbers[0]); }
static subquad_status attention(sparsify_call* c) {
  return subquad_sparsifier_attention(c->context, c->options, c->sparsifier, c->given[A_V], c->given[A_O], c->given[A_LSE],
                                      c->report);
}
static subquad_status softmax_error(sparsify_call* c) {
  return subquad_sparsifier_softmax_error(c->context, c->options, c->sparsifier, c->x, NULL, &c->numbers[0], &c->numbers[1]);
}

const sparsify_function sparsify_functions[SPARSIFY_FUNCTIONS] = {
    {"from_dense", from_dense, {A_X}, 1, 0, MAKES_MATRIX},
    {"leverage_scores", leverage_scores, {A_SCORES}, 1, 0, CONTEXT | MATRIX_X},
    {"sparsify", sparsify, {0}, 0, 0, CONTEXT | MATRIX_X | MAKES_SPARSIFIER},
    {"sparsify_pair", sparsify_pair, {0}, 0, 0, CONTEXT | PAIR | MAKES_SPARSIFIER},
    {"get", get, {A_INDICES, A_WEIGHTS, A_Y}, 3, 3, SPARSIFIER},
    {"certificate", certificate, {0}, 0, 0, SPARSIFIER},
    {"ratio_bound", ratio_bound, {0}, 0, 0, SPARSIFIER},
    {"attention", attention, {A_V, A_O, A_LSE}, 3, 1, CONTEXT | SPARSIFIER},
    {"softmax_error", softmax_error, {0}, 0, 0, CONTEXT | MATRIX_X | SPARSIFIER},
};

const sparsify_function* sparsify_function_named(const char* name) {
  for (int i = 0; i < SPARSIFY_FUNCTIONS; ++i)
    if (strcmp(sparsify_functions[i].name, name) == 0) return &sparsify_functions[i];
  fail_msg("no function %s", name);
  return NULL;
}

void sparsify_call_create(sparsify_call* c, subquad_context* context) {
  memset(c, 0, sizeof *c);
  c->context = context;
  c->options = new_options();
  c->report = new_report();
  assert_ok(subquad_options_set_int(c->options, SUBQUAD_OPTION_SPARSIFY_COLUMNS, M));
  assert_ok(subquad_options_set_int(c->options, SUBQUAD_OPTION_SPARSIFY_CERTIFY, SUBQUAD_CERTIFICATE_EXACT));
  for (int a = 0; a < SPARSIFY_ARRAYS; ++a) {
    const int integers = a == A_INDICES;
    c->views[a] = row_major(c->memory[a], integers ? SUBQUAD_INT64 : SUBQUAD_FLOAT64, shapes[a].ndim, shapes[a].shape);
    c->given[a] = &c->views[a];
    if (!integers) assert_ok(subquad_fill_uniform(&c->views[a], 31, (uint64_t)a, -1, 1));
  }
  const subquad_array q = matrix(c->q_memory, SUBQUAD_FLOAT64, N_Q, D);
  assert_ok(subquad_fill_uniform(&q, 31, 50, -1, 1));
  assert_ok(subquad_matrix_from_dense(&c->views[A_X], &c->owned[0]));
  assert_ok(subquad_matrix_from_dense(&q, &c->owned[1]));
  assert_ok(subquad_matrix_from_dense(&c->views[A_X], &c->owned[2]));
  c->x = c->owned[0];
  c->q = c->owned[1];
  c->k = c->owned[2];
  assert_ok(sparsify(c));
  c->sparsifier = c->owned_sparsifier = c->sparsifier_out;
  c->sparsifier_out = NULL;
}

void sparsify_call_free(sparsify_call* c) {
  for (size_t i = 0; i < COUNT(c->owned); ++i) subquad_matrix_destroy(c->owned[i]);
  subquad_sparsifier_destroy(c->owned_sparsifier);
  subquad_options_destroy(c->options);
  subquad_report_destroy(c->report);
}

subquad_status sparsify_run(const sparsify_function* function, sparsify_call* c) {
  c->matrix_out = (subquad_matrix*)(void*)c; /* must be overwritten */
  c->sparsifier_out = (subquad_sparsifier*)(void*)c;
  const subquad_status status = function->run(c);
  if (function->takes & MAKES_MATRIX && !c->lacks_out) {
    assert_int_equal(status == SUBQUAD_OK, c->matrix_out != NULL);
    subquad_matrix_destroy(c->matrix_out);
  }
  if (function->takes & MAKES_SPARSIFIER && !c->lacks_out) {
    assert_int_equal(status == SUBQUAD_OK, c->sparsifier_out != NULL);
    subquad_sparsifier_destroy(c->sparsifier_out);
  }
  c->matrix_out = NULL;
  c->sparsifier_out = NULL;
  return status;
}
