/* One good call of each function of conv bases, for tests that spoil one argument of it. */
#ifndef SUBQUAD_TESTS_CONV_CALLS_H
#define SUBQUAD_TESTS_CONV_CALLS_H

#include "support.h"

/* Arguments that are arrays. Inputs come first. */
typedef enum argument {
  STARTS,
  KERNELS,
  H,
  Q,
  K,
  V,
  X,
  D_O,
  A1,
  A2,
  A3,
  WEIGHTS,
  Y_OF_LOSS,
  E,
  STARTS_OUT,
  KERNELS_OUT,
  H_OUT,
  O,
  LSE,
  Y,
  DQ,
  DK,
  DV,
  GRAD_X,
  ARGUMENTS
} argument;

enum { MOST_ELEMENTS = 64 };

typedef struct conv_call {
  subquad_context* context;
  subquad_options* options;
  const subquad_conv_basis* basis;
  subquad_array views[ARGUMENTS];
  const subquad_array* given[ARGUMENTS];
  subquad_report* report;
  double* loss_out;
  double memory[ARGUMENTS][MOST_ELEMENTS], loss;
  subquad_conv_basis* basis_out; /* what the functions that make a basis made */
  int lacks_basis_out;           /* call them with NULL in its place */
} conv_call;

typedef struct conv_function {
  const char* name;
  subquad_status (*run)(conv_call* call);
  argument arguments[8];
  int count, optional; /* of arguments; the last `optional` may be NULL */
  int takes_context, takes_basis, makes_basis;
} conv_function;

enum { CONV_FUNCTIONS = 15 };
extern const conv_function conv_functions[CONV_FUNCTIONS];

/* Name of an argument in messages. */
const char* argument_name(argument a);

/* Arrays of two heads and n = 5, float64, and a basis of them. All options are such that every function succeeds. */
void conv_call_create(conv_call* call, subquad_context* context);
void conv_call_free(conv_call* call);

/* Run a function and destroy what it made. After a failure of one that makes a basis, fail unless its result is NULL. */
subquad_status conv_run(const conv_function* function, conv_call* call);

/* The function of this name. */
const conv_function* conv_function_named(const char* name);

#endif
