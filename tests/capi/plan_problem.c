#include "plan_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FREQUENCIES = 8, SINK_COLUMNS = 8, SINKS = 4 };

/* Logits at lag 0, and of the first keys, before noise. */
static const double logit_near = 12, logit_of_sinks = 8;

static void put(const subquad_array* x, int64_t b, int64_t h, int64_t i, int64_t c, double value) {
  const int64_t at = b * x->strides[0] + h * x->strides[1] + i * x->strides[2] + c * x->strides[3];
  if (x->dtype == SUBQUAD_FLOAT32) ((float*)x->data)[at] = (float)value;
  if (x->dtype == SUBQUAD_FLOAT64) ((double*)x->data)[at] = value;
}

/* Pairs of columns that turn with the position at ever lower frequencies: their inner products are sums of cosines of the lag, largest
 * at lag 0. The last columns are the same in all queries and the first keys, and 0 in all other keys. */
static void add_structure(const problem* p, const subquad_array* x, int64_t heads, int is_key) {
  for (int64_t row = 0; row < p->batch * heads * x->shape[2]; ++row) {
    const int64_t b = row / (heads * x->shape[2]), h = row / x->shape[2] % heads, i = row % x->shape[2];
    const double height = sqrt(logit_near * sqrt((double)p->d) / FREQUENCIES);
    const double sink = sqrt(logit_of_sinks * sqrt((double)p->d) / SINK_COLUMNS);
    const double reach = 1 + (double)(is_key ? h : h * p->heads_kv / heads);
    for (int64_t f = 0; f < FREQUENCIES; ++f) {
      const double angle = (double)i * exp2(-(double)f) / reach;
      put(x, b, h, i, 2 * f, height * cos(angle));
      put(x, b, h, i, 2 * f + 1, height * sin(angle));
    }
    for (int64_t c = p->d - SINK_COLUMNS; c < p->d; ++c) put(x, b, h, i, c, is_key && i >= SINKS ? 0 : sink);
  }
}

void local_problem_create(problem* p) {
  assert_true(p->d >= 2 * FREQUENCIES + SINK_COLUMNS);
  problem_create(p);
  add_structure(p, &p->q, p->heads_q, 0);
  add_structure(p, &p->k, p->heads_kv, 1);
}

problem local_problem(int64_t heads_q, int64_t heads_kv, int64_t n, int32_t dtype) {
  problem p = {1, heads_q, heads_kv, n, n, 64, 64, dtype, {0}, {0}, {0}, {0}, {0}};
  local_problem_create(&p);
  return p;
}

problem first_rows(const problem* p, int64_t n) {
  problem first = *p;
  first.n_q = first.n_k = n;
  subquad_array* arrays[] = {&first.q, &first.k, &first.v, &first.o, &first.lse};
  for (size_t i = 0; i < COUNT(arrays); ++i) arrays[i]->shape[2] = n;
  return first;
}

static void* new_memory(const subquad_array* x) {
  void* memory = calloc((size_t)element_count(x) + 1, x->dtype == SUBQUAD_FLOAT32 ? sizeof(float) : sizeof(double));
  assert_non_null(memory);
  return memory;
}

problem same_inputs(const problem* p) {
  problem other = *p;
  other.o.data = new_memory(&p->o);
  other.lse.data = new_memory(&p->lse);
  return other;
}

void same_inputs_free(problem* p) {
  free(p->o.data);
  free(p->lse.data);
}

subquad_options* plan_options(double tol) {
  subquad_options* options = new_options();
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_TOL, tol));
  return options;
}

subquad_plan* new_plan(subquad_context* context, const subquad_options* options, const problem* p, subquad_report* report) {
  subquad_plan* plan = NULL;
  assert_ok(subquad_plan_create(context, options, &p->q, &p->k, &p->v, NULL, NULL, &plan, report));
  assert_non_null(plan);
  return plan;
}

subquad_status plan_apply(subquad_context* context, const subquad_plan* plan, const problem* p, subquad_report* report) {
  return subquad_plan_apply(context, NULL, plan, &p->v, &p->o, &p->lse, report);
}

double head_error(const subquad_array* a, const subquad_array* b, int64_t head) {
  double difference = 0, size = 0;
  for (int64_t i = 0; i < a->shape[2]; ++i) {
    for (int64_t c = 0; c < a->shape[3]; ++c) {
      const double wanted = element(b, head / b->shape[1], head % b->shape[1], i, c);
      const double off = element(a, head / a->shape[1], head % a->shape[1], i, c) - wanted;
      difference += off * off;
      size += wanted * wanted;
    }
  }
  return sqrt(difference / size);
}

int64_t report_int(const subquad_report* report, int32_t key, int64_t index) {
  int64_t value = -1;
  assert_ok(subquad_report_get_int(report, key, index, &value));
  return value;
}

double report_float(const subquad_report* report, int32_t key, int64_t index) {
  double value = -1;
  assert_ok(subquad_report_get_float(report, key, index, &value));
  return value;
}

const char* report_text(const subquad_report* report, int32_t key, int64_t index) {
  const char* value = NULL;
  assert_ok(subquad_report_get_string(report, key, index, &value));
  return value;
}

int64_t report_values(const subquad_report* report, int32_t key) {
  int64_t length = -1;
  assert_ok(subquad_report_length(report, key, &length, NULL));
  return length;
}

int64_t approximate_heads(const subquad_report* report) {
  int64_t count = 0;
  for (int64_t head = 0; head < report_values(report, SUBQUAD_REPORT_PARTS); ++head)
    count += strcmp(report_text(report, SUBQUAD_REPORT_PARTS, head), "exact") != 0;
  return count;
}
