/* One good call of each function of sparsifiers, for tests that spoil one argument of it. */
#ifndef SUBQUAD_TESTS_SPARSIFY_CALLS_H
#define SUBQUAD_TESTS_SPARSIFY_CALLS_H

#include "support.h"

/* Arguments that are arrays. Inputs come first. */
typedef enum sparsify_array { A_X, A_V, A_SCORES, A_INDICES, A_WEIGHTS, A_Y, A_O, A_LSE, SPARSIFY_ARRAYS } sparsify_array;

/* What a function takes and makes, as flags. */
enum { CONTEXT = 1, MATRIX_X = 2, PAIR = 4, SPARSIFIER = 8, MAKES_MATRIX = 16, MAKES_SPARSIFIER = 32 };

enum { MOST_ENTRIES = 64 };

typedef struct sparsify_call {
  subquad_context* context;
  subquad_options* options;
  const subquad_matrix *x, *q, *k;
  const subquad_sparsifier* sparsifier; /* of x */
  subquad_array views[SPARSIFY_ARRAYS];
  const subquad_array* given[SPARSIFY_ARRAYS];
  subquad_report* report;
  double memory[SPARSIFY_ARRAYS][MOST_ENTRIES], q_memory[MOST_ENTRIES];
  double numbers[3]; /* certificate and radius, bound, errors of the softmax */
  int32_t kind;
  subquad_matrix *matrix_out, *owned[3]; /* the result; x, q and k */
  subquad_sparsifier *sparsifier_out, *owned_sparsifier;
  int lacks_out; /* call what makes a handle with NULL in its place */
} sparsify_call;

typedef struct sparsify_function {
  const char* name;
  subquad_status (*run)(sparsify_call* call);
  sparsify_array arrays[4];
  int count, optional; /* of arrays; the last `optional` may be NULL */
  int takes;           /* flags */
} sparsify_function;

enum { SPARSIFY_FUNCTIONS = 9 };
extern const sparsify_function sparsify_functions[SPARSIFY_FUNCTIONS];

/* Name of an array in messages. */
const char* sparsify_array_name(sparsify_array a);

/* Matrices of 3 x 14 and 2 x 14, float64, and a sparsifier of 6 columns. */
void sparsify_call_create(sparsify_call* call, subquad_context* context);
void sparsify_call_free(sparsify_call* call);

/* Run a function and destroy what it made. After a failure of one that makes a handle, fail unless its result is NULL. */
subquad_status sparsify_run(const sparsify_function* function, sparsify_call* call);

/* The function of this name. */
const sparsify_function* sparsify_function_named(const char* name);

#endif
