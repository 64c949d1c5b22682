/* What generated/cases.h and generated/bad_calls.h are made of; README.md says what the fields mean. */
#ifndef SUBQUAD_CONFORMANCE_TABLES_H
#define SUBQUAD_CONFORMANCE_TABLES_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "subquad.h"

typedef enum function_id {
  ATTENTION,
  ATTENTION_BACKWARD,
  ATTENTION_LOSS,
  ATTENTION_MERGE,
  CONV_BASIS_APPLY,
  CONV_BASIS_APPLY_TRANSPOSED,
  CONV_BASIS_BACKWARD,
  CONV_BASIS_GET,
  CONV_BASIS_MULTIPLY,
  CONV_BASIS_MULTIPLY_TRANSPOSED,
  CONV_BASIS_TO_DENSE,
  FILL_UNIFORM,
  LEVERAGE_SCORES,
  PLAN_APPLY,
  PLAN_BACKWARD,
  SPARSIFIER_ATTENTION,
  SPARSIFIER_RATIO_BOUND,
  SPARSIFIER_SOFTMAX_ERROR,
  SPARSIFY,
  SPARSIFY_PAIR
} function_id;
typedef enum basis_maker { BASIS_CREATE, BASIS_FROM_DENSE, BASIS_RECOVER, BASIS_FIT } basis_maker;
typedef enum data_kind { DATA_WHOLE, DATA_NULL, DATA_MISALIGNED, DATA_ONE } data_kind;
typedef enum matrix_kind { MATRIX_BLOCKS, MATRIX_SPARSE } matrix_kind;
typedef enum handle_state { STATE_OPEN, STATE_NULL, STATE_BUSY } handle_state;

typedef struct fill_spec {
  uint64_t seed, stream;
  double low, high;
} fill_spec;

typedef struct set_spec {
  int64_t index;
  double value;
} set_spec;

/* What becomes a matrix, where it is not a dense array: the array then holds its values, or its columns for the blocks. */
typedef struct matrix_spec {
  int64_t rows, columns;
  matrix_kind kind;
  int64_t block_columns;
  int32_t layout, index_dtype, index_base;
  int64_t nonzeros;
  const int64_t* offsets;
  size_t offset_count;
  int has_offsets; /* a bad call may lack them */
  const int64_t* indices;
  size_t index_count;
  int has_indices;
} matrix_spec;

typedef struct array_spec {
  const char* name;
  int is_output;
  int32_t dtype, ndim;
  int64_t shape[SUBQUAD_MAX_NDIM], strides[SUBQUAD_MAX_NDIM];
  int64_t offset, size; /* of element (0, 0, ..) in its buffer, and of the buffer, in elements */
  const fill_spec* fill;
  const double* values; /* given (inputs) or expected (outputs); NULL where there are none */
  double budget;
  double head_error; /* of each head against exact attention, relative Frobenius norm; 0: not compared */
  const set_spec* set;
  size_t set_count;
  const char* same_as; /* NULL or the array whose memory this one shares */
  data_kind data;
  const matrix_spec* matrix; /* NULL for what is dense, or no matrix */
} array_spec;

typedef struct option_spec {
  int32_t id;
  int is_float;
  int64_t int_value;
  double float_value;
} option_spec;

/* The conv basis that a function is called on, made first. */
typedef struct basis_spec {
  basis_maker made_by;
  const option_spec* options;
  size_t option_count;
  int exp; /* whether the function gets its exp transform */
  handle_state state;
} basis_spec;

/* The sparsifier that a function is called on, made first. */
typedef struct sparsifier_spec {
  const option_spec* options;
  size_t option_count;
  handle_state state;
} sparsifier_spec;

/* The plan that a function is called on, made first. */
typedef struct plan_spec {
  const option_spec* options;
  size_t option_count;
  int values; /* whether it is made with v */
  handle_state state;
} plan_spec;

typedef struct context_spec {
  const int64_t* threads;
  const int64_t* workspace_limit;
  const char* simd_target;
  handle_state state;
} context_spec;

typedef struct call_spec {
  const char* name;
  function_id function;
  const option_spec* options;
  size_t option_count;
  const basis_spec* basis;           /* NULL for functions that take none */
  const sparsifier_spec* sparsifier; /* the same */
  const plan_spec* plan;             /* the same */
  const array_spec* arrays;
  size_t array_count;
  int64_t count;         /* of parts, for a merge */
  const fill_spec* fill; /* arguments of fill_uniform */
  context_spec context;
  int in_place;  /* part whose views are the outputs, or -1 */
  int64_t pairs; /* expected in the report, or -1; rank likewise */
  int64_t rank;
  int64_t heads;           /* query heads of a call whose report is that of method auto, or -1 */
  int64_t prefix;          /* rows of a shorter sequence that gives the same bits, or -1 */
  const char* scores;      /* expected in the report, or NULL */
  const char* certificate; /* the same; "none" where the report must not have one */
} call_spec;

typedef struct bad_call {
  call_spec call;
  size_t base; /* in bad_bases */
  subquad_status code;
  const char* const* words; /* ends with NULL */
  const char* not_in_c;     /* NULL or why C cannot make this call */
} bad_call;

#endif
