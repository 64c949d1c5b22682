/* Calls on plans. */
#include <stdlib.h>

#include "carry_out.h"

static subquad_status make_plan(const prepared_call* call, subquad_context* context, subquad_plan** plan_out) {
  const plan_spec* spec = call->spec->plan;
  subquad_options* options = NULL;
  subquad_status status = make_options(spec->options, spec->option_count, &options);
  if (status == SUBQUAD_OK) {
    *plan_out = (subquad_plan*)(void*)&options; /* a call that fails leaves NULL */
    status = subquad_plan_create(context, options, view(call, "q"), view(call, "k"), spec->values ? view(call, "v") : NULL,
                                 view(call, "lag_bias"), view(call, "key_ranges"), plan_out, call->report);
    if ((status == SUBQUAD_OK) != (*plan_out != NULL)) abort();
  }
  subquad_options_destroy(options);
  return status;
}

subquad_status carry_out_plan(prepared_call* call, subquad_context* context, const subquad_options* options) {
  subquad_plan* plan = NULL;
  subquad_status status = make_plan(call, context, &plan);
  const subquad_plan* used = call->spec->plan->state == STATE_NULL ? NULL : plan;
  const subquad_array *v = view(call, "v"), *o = view(call, "o"), *lse = view(call, "lse");
  if (status == SUBQUAD_OK && call->spec->function == PLAN_APPLY)
    status = subquad_plan_apply(context, options, used, v, o, lse, call->report);
  else if (status == SUBQUAD_OK)
    status = subquad_plan_backward(context, options, used, v, o, lse, view(call, "d_o"), view(call, "dq"), view(call, "dk"),
                                   view(call, "dv"), call->report);
  subquad_plan_destroy(plan);
  return status;
}
