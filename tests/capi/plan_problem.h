/* Problems that approximation pays for, plans of them, and errors by head. */
#ifndef SUBQUAD_TESTS_PLAN_PROBLEM_H
#define SUBQUAD_TESTS_PLAN_PROBLEM_H

#include "support.h"

/* Heads as trained models have them: queries attend to keys close by, more or less closely by head, to the first four keys, and the rest
 * is noise. d is at least 24. */
void local_problem_create(problem* p);

/* One batch element of these heads, d = 64, d_v = 64, as many queries as keys. */
problem local_problem(int64_t heads_q, int64_t heads_kv, int64_t n, int32_t dtype);

/* The first n queries and keys of a problem as a view of it. */
problem first_rows(const problem* p, int64_t n);

/* The same inputs, which the other problem owns, and own outputs; end it with same_inputs_free. */
problem same_inputs(const problem* p);
void same_inputs_free(problem* p);

/* Options of a causal plan to a tolerance. */
subquad_options* plan_options(double tol);

/* A plan of a problem made with its values, and attention as planned into the problem's outputs. */
subquad_plan* new_plan(subquad_context* context, const subquad_options* options, const problem* p, subquad_report* report);
subquad_status plan_apply(subquad_context* context, const subquad_plan* plan, const problem* p, subquad_report* report);

/* |a - b|_F / |b|_F of a head, counted over batch and heads, of two arrays of one shape. */
double head_error(const subquad_array* a, const subquad_array* b, int64_t head);

/* Values of a report, which must have them. */
int64_t report_int(const subquad_report* report, int32_t key, int64_t index);
double report_float(const subquad_report* report, int32_t key, int64_t index);
const char* report_text(const subquad_report* report, int32_t key, int64_t index);
int64_t report_values(const subquad_report* report, int32_t key);

/* Heads that are not exact. */
int64_t approximate_heads(const subquad_report* report);

#endif
