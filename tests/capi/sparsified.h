/* A sparsifier taken apart, and what must hold of any. */
#ifndef SUBQUAD_TESTS_SPARSIFIED_H
#define SUBQUAD_TESTS_SPARSIFIED_H

#include "sparsify_problem.h"

typedef struct sparsified {
  subquad_sparsifier* handle;
  subquad_report* report;
  subquad_array y;
  int64_t m, query_rows;
  int32_t method, certificate;
  int64_t* indices; /* NULL where it has no columns of x; weights too */
  double* weights;
  double epsilon, radius;
} sparsified;

/* Sparsify x, or x above k where k is not NULL, which must succeed. */
sparsified sparsify(subquad_context* context, const subquad_options* options, const subquad_matrix* x, const subquad_matrix* k);
void sparsified_free(sparsified* s);

/* The same of a problem in one storage. */
sparsified sparsify_stored(subquad_context* context, const subquad_options* options, const sparsify_problem* p, storage how);

/* Options with a method, exact certificates, and columns where this is not 0. */
subquad_options* sparsify_options(int32_t method, int64_t columns);

/* Indices increase, weights are positive, Y[:, i] = sqrt(weights[i]) X[:, indices[i]], no column is zero, e is that of the oracle,
 * the ratio bound and the report agree with it. */
void assert_sparsifies(const sparsified* s, const whitened* w);

/* Y Y' - X X' is at most e sqrt(G_ii G_jj), entry by entry, but for round-off. */
void assert_gram_within(const sparsified* s, const whitened* w, long double e);

double report_number(const sparsified* s, int32_t key);
int64_t report_count(const sparsified* s, int32_t key);

#endif
