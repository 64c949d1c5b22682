/* A call on a context that is in use: made by the function that hands out the columns of a matrix, while their scores are computed. */
#include <stdio.h>
#include <stdlib.h>

#include "carry_out.h"

typedef struct inner_call {
  prepared_call* call;
  subquad_context* context;
  const subquad_options* options;
  subquad_status status;
  char* message;
  size_t message_size;
} inner_call;

static int32_t call_and_write_ones(void* user, int64_t first, int64_t count, void* block) {
  inner_call* inner = user;
  (void)first;
  inner->status = call_function(inner->call, inner->context, inner->options);
  snprintf(inner->message, inner->message_size, "%s", inner->status == SUBQUAD_OK ? "" : subquad_last_error());
  for (int64_t column = 0; column < count; ++column) ((double*)block)[column] = 1;
  return 0;
}

subquad_status carry_out_busy(prepared_call* call, subquad_context* context, const subquad_options* options, char* message,
                              size_t message_size) {
  inner_call inner = {call, context, options, SUBQUAD_OK, message, message_size};
  double scores[2];
  const subquad_array view = {scores, SUBQUAD_FLOAT64, 1, {2, 0, 0, 0}, {1, 0, 0, 0}};
  subquad_matrix* x = NULL;
  if (subquad_matrix_from_blocks(1, 2, SUBQUAD_FLOAT64, 0, call_and_write_ones, &inner, &x) != SUBQUAD_OK) abort();
  const subquad_status outer = subquad_leverage_scores(context, NULL, x, &view, NULL);
  subquad_matrix_destroy(x);
  /* The call that has the context does not notice. */
  if (outer != SUBQUAD_OK) abort();
  return inner.status;
}
