#include "oracle.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

subquad_status attend_with(subquad_context* context, const problem* p, const settings* s) {
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, s->causal));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL_OFFSET, s->offset));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_KEY_OFFSET, s->key_offset));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_LAG_MIN, s->lag_min));
  if (s->scale != 0) assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SCALE, s->scale));
  subquad_array ranges = {0};
  if (s->key_ranges != NULL) ranges = matrix((void*)(uintptr_t)s->key_ranges, SUBQUAD_INT64, p->batch, 2);
  const subquad_status status = subquad_attention(context, options, &p->q, &p->k, &p->v, s->lag_bias,
                                                  s->key_ranges == NULL ? NULL : &ranges, &p->o, &p->lse, NULL);
  subquad_options_destroy(options);
  return status;
}

/* Logits of one query, and a bound of what enters them: |scale| sum |q k| + |bias|, the factor of eps in their error. */
typedef struct row {
  long double* logits; /* -inf where the query does not see the key */
  long double magnitude;
  int64_t seen;
} row;

static void fill_row(row* r, const problem* p, const settings* s, int64_t b, int64_t h, int64_t i) {
  const int64_t kv = h / (p->heads_q / p->heads_kv);
  const long double scale = s->scale != 0 ? (long double)s->scale : 1 / sqrtl((long double)p->d);
  r->magnitude = 0;
  r->seen = 0;
  for (int64_t j = 0; j < p->n_k; ++j) {
    const int64_t position = j + s->key_offset;
    const int64_t lag = i + s->offset - position;
    r->logits[j] = -INFINITY;
    if (s->causal && lag < 0) continue;
    if (s->key_ranges != NULL && (position < s->key_ranges[b][0] || position >= s->key_ranges[b][1])) continue;
    long double dot = 0, size = 0;
    for (int64_t c = 0; c < p->d; ++c) {
      const long double term = (long double)element(&p->q, b, h, i, c) * element(&p->k, b, kv, j, c);
      dot += term;
      size += fabsl(term);
    }
    const long double bias =
        s->lag_bias == NULL ? 0 : element(s->lag_bias, s->lag_bias->shape[0] == 1 ? 0 : h, lag - s->lag_min, 0, 0);
    r->logits[j] = scale * dot + bias;
    r->magnitude = fmaxl(r->magnitude, fabsl(scale) * size + fabsl(bias));
    ++r->seen;
  }
}

/* Budget roundoff, to first order in eps = 2 u: a logit errs by at most (d + 8) u times its magnitude (d products and sums, scale,
 * bias, change of base, subtraction of the maximum); a weight by that and 8 u of its exponential; sums over n keys by n u each. */
static long double logit_roundoff(long double eps, const problem* p, const row* r) { return (p->d + 8) * eps * r->magnitude; }
static long double sum_roundoff(long double eps, const row* r) { return (r->seen + 8) * eps; }

static void check_row(const problem* p, const row* r, int64_t b, int64_t h, int64_t i) {
  const int64_t kv = h / (p->heads_q / p->heads_kv);
  const long double eps = p->dtype == SUBQUAD_FLOAT32 ? FLT_EPSILON : DBL_EPSILON;
  const long double lse_found = element(&p->lse, b, h, i, 0);
  if (r->seen == 0) {
    assert_true(isinf(lse_found) && lse_found < 0);
    for (int64_t c = 0; c < p->d_v; ++c) assert_true(element(&p->o, b, h, i, c) == 0);
    return;
  }
  long double highest = -INFINITY, sum = 0;
  for (int64_t j = 0; j < p->n_k; ++j) highest = fmaxl(highest, r->logits[j]);
  for (int64_t j = 0; j < p->n_k; ++j) sum += expl(r->logits[j] - highest);
  const long double lse = highest + logl(sum);
  const long double lse_budget = logit_roundoff(eps, p, r) + sum_roundoff(eps, r) + eps * fabsl(lse);
  if (!(fabsl(lse_found - lse) <= lse_budget)) {
    fail_msg("lse[%d,%d,%d] = %.17Lg, not %.17Lg within %.2Lg", (int)b, (int)h, (int)i, lse_found, lse, lse_budget);
  }
  for (int64_t c = 0; c < p->d_v; ++c) {
    long double o = 0, size = 0;
    for (int64_t j = 0; j < p->n_k; ++j) {
      const long double weighted = expl(r->logits[j] - highest) / sum * element(&p->v, b, kv, j, c);
      o += weighted;
      size += fabsl(weighted);
    }
    const long double found = element(&p->o, b, h, i, c);
    /* Both the numerator and the denominator err. */
    const long double budget = 2 * (logit_roundoff(eps, p, r) + sum_roundoff(eps, r)) * size;
    if (!(fabsl(found - o) <= budget)) {
      fail_msg("o[%d,%d,%d,%d] = %.17Lg, not %.17Lg within %.2Lg", (int)b, (int)h, (int)i, (int)c, found, o, budget);
    }
  }
}

void assert_is_attention(const problem* p, const settings* s) {
  row r = {malloc(sizeof(long double) * (size_t)(p->n_k + 1)), 0, 0};
  assert_non_null(r.logits);
  for (int64_t b = 0; b < p->batch; ++b) {
    for (int64_t h = 0; h < p->heads_q; ++h) {
      for (int64_t i = 0; i < p->n_q; ++i) {
        fill_row(&r, p, s, b, h, i);
        check_row(p, &r, b, h, i);
      }
    }
  }
  free(r.logits);
}
