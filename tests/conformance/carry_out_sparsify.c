/* Calls of leverage scores and of sparsifiers. */
#include <stdlib.h>

#include "carry_out.h"
#include "matrices.h"

typedef struct sources {
  prepared_matrix x, k; /* a single matrix; or queries and keys */
  int is_pair;
} sources;

static subquad_status make_sources(const prepared_call* call, sources* s) {
  s->is_pair = call->spec->function == SPARSIFY_PAIR || view(call, "q") || view(call, "k");
  const subquad_status status = make_matrix(call, s->is_pair ? "q" : "x", &s->x);
  const subquad_status of_keys = make_matrix(call, "k", &s->k);
  return status != SUBQUAD_OK ? status : of_keys;
}

static subquad_status sparsify(const prepared_call* call, subquad_context* context, const subquad_options* options,
                               const sources* s, subquad_sparsifier** sparsifier) {
  *sparsifier = (subquad_sparsifier*)(void*)sparsifier; /* a call that fails leaves NULL */
  const subquad_status status = s->is_pair
                                    ? subquad_sparsify_pair(context, options, s->x.handle, s->k.handle, sparsifier, call->report)
                                    : subquad_sparsify(context, options, s->x.handle, sparsifier, call->report);
  if ((status == SUBQUAD_OK) != (*sparsifier != NULL)) abort();
  return status;
}

/* yy = Y Y', in double. */
static subquad_status multiply_out(const subquad_sparsifier* sparsifier, const subquad_array* yy) {
  subquad_array y;
  subquad_status status = subquad_sparsifier_describe(sparsifier, &y, NULL, NULL);
  if (status != SUBQUAD_OK) return status;
  const int64_t n = y.shape[0], m = y.shape[1];
  if (n != yy->shape[0] || !(y.data = malloc((size_t)(n * m) * sizeof(double) + 1))) abort();
  status = subquad_sparsifier_get(sparsifier, NULL, NULL, &y);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t c = 0; c < m; ++c) {
        sum += y.dtype == SUBQUAD_FLOAT32 ? (double)((float*)y.data)[i * m + c] * ((float*)y.data)[j * m + c]
                                          : ((double*)y.data)[i * m + c] * ((double*)y.data)[j * m + c];
      }
      ((double*)yy->data)[i * yy->strides[0] + j * yy->strides[1]] = sum;
    }
  }
  free(y.data);
  return status;
}

static double* number(const prepared_call* call, const char* name) {
  const subquad_array* given = view(call, name);
  return given ? given->data : NULL;
}

/* What the call asks to know of a sparsifier. */
static subquad_status look_at(const prepared_call* call, const subquad_sparsifier* sparsifier) {
  const subquad_array* yy = view(call, "yy");
  subquad_status status = subquad_sparsifier_get(sparsifier, view(call, "indices"), view(call, "weights"), view(call, "y"));
  if (status == SUBQUAD_OK) status = subquad_sparsifier_certificate(sparsifier, number(call, "epsilon"), NULL, NULL);
  if (status == SUBQUAD_OK && number(call, "ratio_bound"))
    status = subquad_sparsifier_ratio_bound(sparsifier, 1.0, number(call, "ratio_bound"));
  return status == SUBQUAD_OK && yy ? multiply_out(sparsifier, yy) : status;
}

static subquad_status softmax_error(const prepared_call* call, subquad_context* context, const subquad_options* options,
                                    const subquad_sparsifier* sparsifier, const sources* s) {
  prepared_matrix other, other_k;
  subquad_status status = make_matrix(call, "other", &other), of_keys = make_matrix(call, "other_k", &other_k);
  const subquad_matrix *x = other.handle ? other.handle : s->x.handle, *k = other_k.handle ? other_k.handle : s->k.handle;
  if (status == SUBQUAD_OK) status = of_keys;
  if (status == SUBQUAD_OK)
    status = subquad_sparsifier_softmax_error(context, options, sparsifier, x, k, number(call, "error"), number(call, "ratio"));
  release_matrix(&other);
  release_matrix(&other_k);
  return status;
}

/* The bound for the scale of the call's options. */
static subquad_status ratio_bound(const call_spec* spec, const subquad_sparsifier* sparsifier) {
  double bound, scale = 1;
  for (size_t i = 0; i < spec->option_count; ++i)
    if (spec->options[i].id == SUBQUAD_OPTION_SCALE) scale = spec->options[i].float_value;
  return subquad_sparsifier_ratio_bound(sparsifier, scale, &bound);
}

static subquad_status use_sparsifier(prepared_call* call, subquad_context* context, const subquad_options* options,
                                     const sources* s) {
  const sparsifier_spec* made = call->spec->sparsifier;
  subquad_options* own = NULL;
  subquad_sparsifier* sparsifier = NULL;
  subquad_status status = make_options(made->options, made->option_count, &own);
  if (status == SUBQUAD_OK) status = sparsify(call, context, own, s, &sparsifier);
  if (status == SUBQUAD_OK && call->spec->function == SPARSIFIER_ATTENTION)
    status = subquad_sparsifier_attention(context, options, made->state == STATE_NULL ? NULL : sparsifier, view(call, "v"),
                                          view(call, "o"), view(call, "lse"), call->report);
  else if (status == SUBQUAD_OK && call->spec->function == SPARSIFIER_SOFTMAX_ERROR)
    status = softmax_error(call, context, options, sparsifier, s);
  else if (status == SUBQUAD_OK)
    status = ratio_bound(call->spec, sparsifier);
  subquad_sparsifier_destroy(sparsifier);
  subquad_options_destroy(own);
  return status;
}

subquad_status carry_out_sparsify(prepared_call* call, subquad_context* context, const subquad_options* options) {
  sources s;
  subquad_sparsifier* sparsifier = NULL;
  subquad_status status = make_sources(call, &s);
  if (status == SUBQUAD_OK && call->spec->function == LEVERAGE_SCORES)
    status = subquad_leverage_scores(context, options, s.x.handle, view(call, "scores"), call->report);
  else if (status == SUBQUAD_OK && call->spec->sparsifier)
    status = use_sparsifier(call, context, options, &s);
  else if (status == SUBQUAD_OK && (status = sparsify(call, context, options, &s, &sparsifier)) == SUBQUAD_OK)
    status = look_at(call, sparsifier);
  subquad_sparsifier_destroy(sparsifier);
  release_matrix(&s.x);
  release_matrix(&s.k);
  return status;
}
