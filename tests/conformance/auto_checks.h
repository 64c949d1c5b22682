/* What holds exactly of method auto, or within the tolerance that was asked for. Each fails the running test otherwise. */
#ifndef SUBQUAD_CONFORMANCE_AUTO_CHECKS_H
#define SUBQUAD_CONFORMANCE_AUTO_CHECKS_H

#include "carry_out.h"

/* Every head of an output is within its head_error of that by exact attention. */
void expect_head_errors(const prepared_call* call, subquad_context* context);

/* The call on the first rows of q, k and v gives the first rows of every output, bit by bit. */
void expect_prefix(const prepared_call* call, subquad_context* context);

/* The report has a value for each head, and they agree with one another. */
void expect_report_of_heads(const prepared_call* call);

#endif
