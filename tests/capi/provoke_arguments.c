/* Codes of the tens 1x and 5x: arguments and options. */
#include "provocations.h"

subquad_status provoke_ok(void) {
  subquad_context* context = NULL;
  const subquad_status status = subquad_context_create(&context);
  subquad_context_destroy(context);
  return status;
}

subquad_status provoke_null(void) { return subquad_options_create(NULL); }

subquad_status provoke_value(void) {
  subquad_context* context = new_context();
  const subquad_status status = subquad_context_set_threads(context, -3);
  subquad_context_destroy(context);
  return status;
}

subquad_status provoke_unknown(void) {
  int64_t value;
  return subquad_constant("SUBQUAD_NONSENSE", &value);
}

subquad_status provoke_type(void) {
  subquad_options* options = new_options();
  const subquad_status status = subquad_options_set_int(options, SUBQUAD_OPTION_SCALE, 1);
  subquad_options_destroy(options);
  return status;
}

subquad_status provoke_unset(void) {
  subquad_options* options = new_options();
  double value;
  const subquad_status status = subquad_options_get_float(options, SUBQUAD_OPTION_SCALE, &value);
  subquad_options_destroy(options);
  return status;
}

/* Causal attention of 2 queries on 3 keys does not say where the queries stand. */
subquad_status provoke_conflict(void) {
  subquad_context* context = new_context();
  subquad_options* options = new_options();
  problem p = {1, 1, 1, 2, 3, 4, 4, SUBQUAD_FLOAT32, {0}, {0}, {0}, {0}, {0}};
  problem_create(&p);
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_CAUSAL, 1));
  const subquad_status status = attend(context, options, &p);
  problem_free(&p);
  subquad_options_destroy(options);
  subquad_context_destroy(context);
  return status;
}

/* A conv basis is of causal attention. */
subquad_status provoke_unsupported(void) {
  subquad_context* context = new_context();
  subquad_options* options = new_options();
  problem p = square_problem(2, 2);
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_METHOD, SUBQUAD_METHOD_CONV_BASIS));
  assert_ok(subquad_options_set_int(options, SUBQUAD_OPTION_BASES, 1));
  const subquad_status status = attend(context, options, &p);
  problem_free(&p);
  subquad_options_destroy(options);
  subquad_context_destroy(context);
  return status;
}
