/* Gradients against their formulas in long double, on grouped heads under a causal mask; and the arguments of the call. */
#include "support.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { HEADS = 4, KV_HEADS = 2, N_Q = 19, N_K = 23, D = 6, D_V = 5, OFFSET = 2 };

/* A forward call and everything that its gradients need. */
typedef struct scene {
  subquad_context* context;
  subquad_options* options;
  problem p;
  problem g; /* q, k, v: the gradients; o: what flows back into the output */
} scene;

static scene new_scene(int32_t dtype) {
  scene s = {.context = new_context(), .options = new_options()};
  const problem sizes = {1, HEADS, KV_HEADS, N_Q, N_K, D, D_V, dtype, {0}, {0}, {0}, {0}, {0}};
  s.p = s.g = sizes;
  problem_create(&s.p);
  problem_create(&s.g);
  assert_ok(subquad_fill_uniform(&s.g.o, 1, 3, -1, 1));
  assert_ok(subquad_options_set_int(s.options, SUBQUAD_OPTION_CAUSAL, 1));
  assert_ok(subquad_options_set_int(s.options, SUBQUAD_OPTION_CAUSAL_OFFSET, OFFSET));
  assert_ok(attend(s.context, s.options, &s.p));
  return s;
}

static void free_scene(scene* s) {
  problem_free(&s->p);
  problem_free(&s->g);
  subquad_options_destroy(s->options);
  subquad_context_destroy(s->context);
}

static subquad_status differentiate(scene* s, const subquad_array* dq, const subquad_array* dk, const subquad_array* dv) {
  return subquad_attention_backward(s->context, s->options, &s->p.q, &s->p.k, &s->p.v, NULL, NULL, &s->p.o, &s->p.lse, &s->g.o,
                                    dq, dk, dv, NULL, NULL);
}

/* Sums that make up one entry of a gradient, and the same sums of absolute values times the relative error of their terms. */
typedef struct sums {
  long double value, budget;
} sums;

static sums dq[HEADS][N_Q][D], dk[KV_HEADS][N_K][D], dv[KV_HEADS][N_K][D_V];

static void add(sums* s, long double term, long double size, long double error) {
  s->value += term;
  s->budget += size * error;
}

/* Weights of one query; returns the relative error that round-off allows them: twice the logit's (its own and that of lse), and that of
 * the sum over the keys. */
static long double weights_of(const scene* s, int64_t h, int64_t i, long double eps, long double* weight) {
  const long double scale = 1 / sqrtl(D);
  long double total = 0, magnitude = 0;
  for (int64_t j = 0; j < N_K; ++j) {
    long double logit = 0, size = 0;
    for (int64_t c = 0; c < D; ++c) {
      const long double term = scale * element(&s->p.q, 0, h, i, c) * element(&s->p.k, 0, h / 2, j, c);
      logit += term;
      size += fabsl(term);
    }
    weight[j] = j <= i + OFFSET ? expl(logit) : 0;
    total += weight[j];
    magnitude = fmaxl(magnitude, size);
  }
  for (int64_t j = 0; j < N_K; ++j) weight[j] /= total;
  return eps * (2 * (D + 8) * magnitude + N_K + 8 + fabsl(logl(total)));
}

/* Budget roundoff, to first order in eps: dS = P (do v' - do o') errs by that of P, twice (o holds it too), and by its products and sums
 * over D_V columns, relative to P (|do| |v|' + |do| |o|'); each gradient by its own sums besides. */
static void add_row(const scene* s, int64_t h, int64_t i, long double eps) {
  const long double scale = 1 / sqrtl(D);
  long double weight[N_K], delta = 0, delta_size = 0;
  const long double weight_error = weights_of(s, h, i, eps, weight);
  const long double error = 3 * weight_error + eps * (D_V + N_K + HEADS / KV_HEADS * N_Q + 16);
  for (int64_t j = 0; j < N_K; ++j) {
    for (int64_t c = 0; c < D_V; ++c) {
      const long double term = weight[j] * element(&s->g.o, 0, h, i, c) * element(&s->p.v, 0, h / 2, j, c);
      delta += term;
      delta_size += fabsl(term);
    }
  }
  for (int64_t j = 0; j < N_K; ++j) {
    long double dp = 0, dp_size = 0;
    for (int64_t c = 0; c < D_V; ++c) {
      const long double flow = element(&s->g.o, 0, h, i, c), term = flow * element(&s->p.v, 0, h / 2, j, c);
      dp += term;
      dp_size += fabsl(term);
      add(&dv[h / 2][j][c], weight[j] * flow, weight[j] * fabsl(flow), error);
    }
    const long double ds = scale * weight[j] * (dp - delta), ds_size = scale * weight[j] * (dp_size + delta_size);
    for (int64_t c = 0; c < D; ++c) {
      const long double q = element(&s->p.q, 0, h, i, c), k = element(&s->p.k, 0, h / 2, j, c);
      add(&dq[h][i][c], ds * k, ds_size * fabsl(k), error);
      add(&dk[h / 2][j][c], ds * q, ds_size * fabsl(q), error);
    }
  }
}

static void check(const subquad_array* found, const sums* expected) {
  for (int64_t at = 0; at < element_count(found); ++at) {
    const subquad_array flat = vector(found->data, found->dtype, element_count(found));
    const long double value = element(&flat, at, 0, 0, 0);
    if (!(fabsl(value - expected[at].value) <= expected[at].budget)) {
      fail_msg("entry %d is %.17Lg, not %.17Lg within %.2Lg", (int)at, value, expected[at].value, expected[at].budget);
    }
  }
}

static void test_gradients(void** state) {
  (void)state;
  for (int32_t dtype = SUBQUAD_FLOAT32; dtype <= SUBQUAD_FLOAT64; ++dtype) {
    scene s = new_scene(dtype);
    assert_ok(differentiate(&s, &s.g.q, &s.g.k, &s.g.v));
    memset(dq, 0, sizeof dq);
    memset(dk, 0, sizeof dk);
    memset(dv, 0, sizeof dv);
    for (int64_t h = 0; h < HEADS; ++h) {
      for (int64_t i = 0; i < N_Q; ++i) add_row(&s, h, i, dtype == SUBQUAD_FLOAT32 ? FLT_EPSILON : DBL_EPSILON);
    }
    check(&s.g.q, &dq[0][0][0]);
    check(&s.g.k, &dk[0][0][0]);
    check(&s.g.v, &dv[0][0][0]);
    free_scene(&s);
  }
}

static void test_each_gradient_alone_and_with_any_number_of_threads(void** state) {
  (void)state;
  scene s = new_scene(SUBQUAD_FLOAT32), all = new_scene(SUBQUAD_FLOAT32);
  assert_ok(subquad_context_set_threads(all.context, 1));
  assert_ok(differentiate(&all, &all.g.q, &all.g.k, &all.g.v));
  for (int64_t threads = 1; threads <= 4; ++threads) {
    assert_ok(subquad_context_set_threads(s.context, threads));
    assert_ok(differentiate(&s, &s.g.q, NULL, NULL));
    assert_ok(differentiate(&s, NULL, &s.g.k, NULL));
    assert_ok(differentiate(&s, NULL, NULL, &s.g.v));
    assert_true(same_bits(&all.g.q, &s.g.q));
    assert_true(same_bits(&all.g.k, &s.g.k));
    assert_true(same_bits(&all.g.v, &s.g.v));
  }
  assert_ok(differentiate(&s, NULL, NULL, NULL));
  free_scene(&s);
  free_scene(&all);
}

static void test_errors(void** state) {
  (void)state;
  scene s = new_scene(SUBQUAD_FLOAT32);
  const problem *p = &s.p, *g = &s.g;
  float table[64];
  const subquad_array bias = matrix(table, SUBQUAD_FLOAT32, 1, 64);
  assert_status(subquad_attention_backward(s.context, s.options, &p->q, &p->k, &p->v, NULL, NULL, &p->o, &p->lse, &g->o, NULL,
                                           NULL, NULL, &bias, NULL),
                SUBQUAD_ERR_CONFLICT);
  assert_error_says("d_lag_bias");
  const subquad_array* given[] = {&p->q, &p->k, &p->v, &p->o, &p->lse, &g->o};
  const char* names[] = {"q", "k", "v", "o", "lse", "d_o"};
  for (size_t i = 0; i < COUNT(given); ++i) {
    const subquad_array* a[COUNT(given)];
    memcpy(a, given, sizeof given);
    a[i] = NULL;
    assert_status(subquad_attention_backward(s.context, s.options, a[0], a[1], a[2], NULL, NULL, a[3], a[4], a[5], &g->q, NULL,
                                             NULL, NULL, NULL),
                  SUBQUAD_ERR_NULL);
    assert_error_says(names[i]);
  }
  subquad_array bad = g->q;
  bad.shape[3] = D - 1;
  assert_status(differentiate(&s, &bad, NULL, NULL), SUBQUAD_ERR_SHAPE);
  assert_error_says("dq");
  bad = g->k;
  bad.strides[1] = 0;
  assert_status(differentiate(&s, NULL, &bad, NULL), SUBQUAD_ERR_STRIDE);
  assert_error_says("dk");
  bad = g->v;
  bad.data = p->k.data;
  assert_status(differentiate(&s, NULL, NULL, &bad), SUBQUAD_ERR_ALIAS);
  assert_error_says("dv");
  ((float*)g->o.data)[7] = INFINITY;
  assert_status(differentiate(&s, &g->q, NULL, NULL), SUBQUAD_ERR_NONFINITE);
  assert_error_says("d_o[0, 0, 1, 2]");
  free_scene(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradients),
      cmocka_unit_test(test_each_gradient_alone_and_with_any_number_of_threads),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
