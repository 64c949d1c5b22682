/* The matrices of a call: made of its arrays, released after it. */
#ifndef SUBQUAD_CONFORMANCE_MATRICES_H
#define SUBQUAD_CONFORMANCE_MATRICES_H

#include "carry_out.h"

typedef struct prepared_matrix {
  subquad_matrix* handle; /* NULL where the call does not give the argument */
  subquad_array view;     /* what the blocks are copied from */
  void *offsets, *indices;
} prepared_matrix;

/* The matrix of an argument, as its array says. Release it after a failure too. */
subquad_status make_matrix(const prepared_call* call, const char* name, prepared_matrix* matrix);
void release_matrix(prepared_matrix* matrix);

#endif
