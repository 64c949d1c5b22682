/* Leverage scores and certificates in long double, through an orthonormal basis of the rows of X by one-sided Jacobi rotations: their
 * condition is not squared. For small n. */
#ifndef SUBQUAD_TESTS_SPARSIFY_ORACLE_H
#define SUBQUAD_TESTS_SPARSIFY_ORACLE_H

#include "support.h"

typedef struct whitened {
  int64_t n, d, rank;
  long double* x;        /* n x d, row-major */
  long double* v;        /* rank x d, orthonormal rows: column j is the whitened x_j */
  long double condition; /* of X on its range, rows scaled to norm 1 */
} whitened;

/* Copies x. Singular values below `tolerance` times the largest count as zero. */
whitened whiten(const long double* x, int64_t n, int64_t d, long double tolerance);
void whitened_free(whitened* w);

long double score_of(const whitened* w, int64_t column);

/* Largest |eigenvalue - 1| of the whitened Y Y', Y the columns with weights. */
long double certificate_of(const whitened* w, int64_t count, const int64_t* indices, const double* weights);

/* <x_i, x_j> of two rows, and the largest of a row with itself. */
long double gram_of(const whitened* w, int64_t i, int64_t j);
long double largest_gram(const whitened* w);

/* Budgets roundoff, as tests/conformance/README.md derives them. u: unit roundoff of the dtype. */
long double unit_of(int32_t dtype);
long double row_error(const whitened* w, long double u);
long double score_budget(const whitened* w, long double u);
long double certificate_budget(const whitened* w, long double u, int64_t width, long double e);

/* What the barriers promise for c = columns / rank. */
long double barrier_promise(long double c);

#endif
