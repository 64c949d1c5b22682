/* One good call of each function of plans, for tests that spoil one argument of it. */
#ifndef SUBQUAD_TESTS_PLAN_CALLS_H
#define SUBQUAD_TESTS_PLAN_CALLS_H

#include "support.h"

/* Arguments that are arrays. Inputs come first. */
typedef enum plan_array {
  P_Q,
  P_K,
  P_V,
  P_LAG_BIAS,
  P_KEY_RANGES,
  P_O_IN,
  P_LSE_IN,
  P_D_O,
  P_O,
  P_LSE,
  P_DQ,
  P_DK,
  P_DV,
  PLAN_ARRAYS
} plan_array;

enum { MOST_PLAN_ELEMENTS = 64 };

typedef struct plan_call {
  subquad_context* context;
  subquad_options* options;
  const subquad_plan* plan;
  subquad_array views[PLAN_ARRAYS];
  const subquad_array* given[PLAN_ARRAYS];
  subquad_report* report;
  double memory[PLAN_ARRAYS][MOST_PLAN_ELEMENTS];
  subquad_array described[2]; /* o and lse */
  int64_t n_k, kv_heads;
  subquad_plan *plan_out, *owned;
  int lacks_plan_out; /* call what makes a plan with NULL in its place */
} plan_call;

typedef struct plan_function {
  const char* name;
  subquad_status (*run)(plan_call* call);
  plan_array arrays[8];
  int count, optional; /* of arrays; the last `optional` may be NULL */
  int takes_context, takes_plan, makes_plan;
} plan_function;

enum { PLAN_FUNCTIONS = 6 };
extern const plan_function plan_functions[PLAN_FUNCTIONS];

/* Name of an array in messages. */
const char* plan_array_name(plan_array a);

/* Two batch elements of two heads over one, n = 5, float64, causal, with bias and ranges; a plan of them, and all options set that
 * method auto takes. */
void plan_call_create(plan_call* call, subquad_context* context);
void plan_call_free(plan_call* call);

/* Run a function and destroy what it made. After a failure of one that makes a plan, fail unless its result is NULL. */
subquad_status plan_run(const plan_function* function, plan_call* call);

/* The function of this name. */
const plan_function* plan_function_named(const char* name);

#endif
