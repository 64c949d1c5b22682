#include "plan_calls.h"

#include <string.h>

enum { BATCH = 2, HEADS = 2, HEADS_KV = 1, N = 5, D = 3, D_V = 2 };

static const struct {
  const char* name;
  int32_t ndim;
  int64_t shape[SUBQUAD_MAX_NDIM];
} shapes[PLAN_ARRAYS] = {
    [P_Q] = {"q", 4, {BATCH, HEADS, N, D}},         [P_K] = {"k", 4, {BATCH, HEADS_KV, N, D}},
    [P_V] = {"v", 4, {BATCH, HEADS_KV, N, D_V}},    [P_LAG_BIAS] = {"lag_bias", 2, {HEADS, N}},
    [P_KEY_RANGES] = {"key_ranges", 2, {BATCH, 2}}, [P_O_IN] = {"o", 4, {BATCH, HEADS, N, D_V}},
    [P_LSE_IN] = {"lse", 3, {BATCH, HEADS, N}},     [P_D_O] = {"d_o", 4, {BATCH, HEADS, N, D_V}},
    [P_O] = {"o", 4, {BATCH, HEADS, N, D_V}},       [P_LSE] = {"lse", 3, {BATCH, HEADS, N}},
    [P_DQ] = {"dq", 4, {BATCH, HEADS, N, D}},       [P_DK] = {"dk", 4, {BATCH, HEADS_KV, N, D}},
    [P_DV] = {"dv", 4, {BATCH, HEADS_KV, N, D_V}},
};

const char* plan_array_name(plan_array a) { return shapes[a].name; }

static subquad_status create(plan_call* c) {
  const subquad_array* const* a = c->given;
  return subquad_plan_create(c->context, c->options, a[P_Q], a[P_K], a[P_V], a[P_LAG_BIAS], a[P_KEY_RANGES],
                             c->lacks_plan_out ? NULL : &c->plan_out, c->report);
}
static subquad_status describe(plan_call* c) {
  return subquad_plan_describe(c->plan, D_V, &c->described[0], &c->described[1], &c->n_k, &c->kv_heads);
}
static subquad_status report(plan_call* c) {
  subquad_report* own = c->report ? c->report : new_report();
  const subquad_status status = subquad_plan_report(c->plan, own);
  if (!c->report) subquad_report_destroy(own);
  return status;
}
static subquad_status apply(plan_call* c) {
  return subquad_plan_apply(c->context, c->options, c->plan, c->given[P_V], c->given[P_O], c->given[P_LSE], c->report);
}
static subquad_status backward(plan_call* c) {
  const subquad_array* const* a = c->given;
  return subquad_plan_backward(c->context, c->options, c->plan, a[P_V], a[P_O_IN], a[P_LSE_IN], a[P_D_O], a[P_DQ], a[P_DK],
                               a[P_DV], c->report);
}
static subquad_status attention(plan_call* c) {
  const subquad_array* const* a = c->given;
  return subquad_attention(c->context, c->options, a[P_Q], a[P_K], a[P_V], a[P_LAG_BIAS], a[P_KEY_RANGES], a[P_O], a[P_LSE],
                           c->report);
}

/* name, function, arrays, how many, how many of them optional, takes a context, takes a plan, makes one. */
const plan_function plan_functions[PLAN_FUNCTIONS] = {
    {"create", create, {P_Q, P_K, P_V, P_LAG_BIAS, P_KEY_RANGES}, 5, 3, 1, 0, 1},
    {"describe", describe, {0}, 0, 0, 0, 1, 0},
    {"report", report, {0}, 0, 0, 0, 1, 0},
    {"apply", apply, {P_V, P_O, P_LSE}, 3, 1, 1, 1, 0},
    {"backward", backward, {P_V, P_O_IN, P_LSE_IN, P_D_O, P_DQ, P_DK, P_DV}, 7, 3, 1, 1, 0},
    {"attention", attention, {P_LAG_BIAS, P_KEY_RANGES, P_Q, P_K, P_V, P_O, P_LSE}, 7, 1, 1, 0, 0},
};

const plan_function* plan_function_named(const char* name) {
  for (int i = 0; i < PLAN_FUNCTIONS; ++i)
    if (strcmp(plan_functions[i].name, name) == 0) return &plan_functions[i];
  fail_msg("no function %s", name);
  return NULL;
}

static void set_options(subquad_options* options) {
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_METHOD, SUBQUAD_METHOD_AUTO));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL_OFFSET, 0));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_SCALE, 0.5));
  assert_ok(subquad_options_set_float(options, SUBQUAD_OPTION_TOL, 0.125));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_ESTIMATE, SUBQUAD_ESTIMATE_SCREENED));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_PARTS, SUBQUAD_PART_HEAVY | SUBQUAD_PART_SELECTION));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_SEED, 3));
}

void plan_call_create(plan_call* c, subquad_context* context) {
  memset(c, 0, sizeof *c);
  c->context = context;
  c->options = new_options();
  c->report = new_report();
  set_options(c->options);
  for (int a = 0; a < PLAN_ARRAYS; ++a) {
    const int integers = a == P_KEY_RANGES;
    c->views[a] = row_major(c->memory[a], integers ? SUBQUAD_INT64 : SUBQUAD_FLOAT64, shapes[a].ndim, shapes[a].shape);
    c->given[a] = &c->views[a];
    assert_true(element_count(&c->views[a]) <= MOST_PLAN_ELEMENTS);
    if (!integers) assert_ok(subquad_fill_uniform(&c->views[a], 23, (uint64_t)a, -1, 1));
  }
  const int64_t ranges[BATCH][2] = {{0, N}, {0, N - 1}};
  memcpy(c->memory[P_KEY_RANGES], ranges, sizeof ranges);
  assert_ok(create(c));
  c->plan = c->owned = c->plan_out;
  c->plan_out = NULL;
}

void plan_call_free(plan_call* c) {
  subquad_plan_destroy(c->owned);
  subquad_options_destroy(c->options);
  subquad_report_destroy(c->report);
}

subquad_status plan_run(const plan_function* function, plan_call* c) {
  c->plan_out = function->makes_plan ? (subquad_plan*)(void*)c : NULL; /* must be overwritten */
  const subquad_status status = function->run(c);
  if (function->makes_plan && !c->lacks_plan_out) {
    assert_int_equal(status == SUBQUAD_OK, c->plan_out != NULL);
    subquad_plan_destroy(c->plan_out);
  }
  c->plan_out = NULL;
  return status;
}
