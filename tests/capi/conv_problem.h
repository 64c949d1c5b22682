/* Conv bases for the tests: random starts and kernels, attention with them by definition in long double, and the comparison. */
#ifndef SUBQUAD_TESTS_CONV_PROBLEM_H
#define SUBQUAD_TESTS_CONV_PROBLEM_H

#include "support.h"

enum { MAX_BASES = 8 };

/* One basis and one set of values; set the numbers, then create. Kernels are cumulative; starts are the same for all heads. */
typedef struct conv_problem {
  int64_t batch, heads, heads_v, n, bases, d_v;
  int32_t dtype;
  double reach;              /* logits lie in [-reach, reach] */
  int64_t starts[MAX_BASES]; /* of one head */
  subquad_array starts_view, kernels, v, x, o, lse, y;
} conv_problem;

/* Bases at even distances from column `first` on, random kernels, v and x; free it after use. */
void conv_problem_create(conv_problem* p, int64_t first);
void conv_problem_free(conv_problem* p);

/* One head, float32 or float64, logits in [-1, 1], two bases from column 0. */
conv_problem small_conv_problem(int32_t dtype, int64_t n, int64_t d_v);

/* The basis of a problem, through subquad_conv_basis_create; destroy it after use. */
subquad_conv_basis* new_basis(subquad_context* context, const conv_problem* p);

subquad_status conv_apply(subquad_context* context, const subquad_options* options, const subquad_conv_basis* basis,
                          const conv_problem* p);

/* Logit of query i and key j <= i. */
double conv_logit(const conv_problem* p, int64_t b, int64_t h, int64_t i, int64_t j);

/* Fail unless o and lse are the attention of the problem, y the transposed attention of x, within what the header promises. */
void assert_is_conv_attention(const conv_problem* p);
void assert_is_conv_transposed(const conv_problem* p);

#endif
