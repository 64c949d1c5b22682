/* Matrices to sparsify: of all kinds, stored in all ways. */
#ifndef SUBQUAD_TESTS_SPARSIFY_PROBLEM_H
#define SUBQUAD_TESTS_SPARSIFY_PROBLEM_H

#include "sparsify_oracle.h"

typedef enum kind {
  GENERIC,         /* uniform in [-1, 1] */
  SKEWED,          /* columns that fall off like 1 / j */
  DOMINANT,        /* one column a thousand times the others */
  NEAR_DUPLICATES, /* columns that come in nearly equal pairs */
  ILL_CONDITIONED, /* two rows equal to 10 digits (float64) or 3 (float32) */
  DEPENDENT,       /* whole numbers; row 1 twice row 0, the last row zero, every fifth column zero */
  SPARSE,          /* four entries of five are zero */
  KINDS
} kind;

typedef struct sparsify_problem {
  int64_t n, d;
  int32_t dtype;
  long double* x; /* n x d, row-major: numbers of the dtype */
} sparsify_problem;

sparsify_problem new_problem(kind of, int64_t n, int64_t d, int32_t dtype, uint64_t seed);
void sparsify_problem_free(sparsify_problem* p);

typedef enum storage {
  ROW_MAJOR,
  COLUMN_MAJOR,
  REVERSED, /* both strides negative, with gaps */
  CSC_32,
  CSC_32_FROM_1,
  CSC_64,
  CSC_64_FROM_1,
  CSR_32,
  CSR_32_FROM_1,
  CSR_64,
  CSR_64_FROM_1,
  BLOCKS,
  BLOCKS_OF_1,
  BLOCKS_OF_7,
  STORAGES
} storage;
extern const char* const storage_names[STORAGES];

/* A matrix handle and the memory that it is made of. It must stay where it is: blocks are read through its address. */
typedef struct stored {
  subquad_matrix* handle;
  subquad_array dense;   /* of dense storages, and what blocks are copied from */
  subquad_sparse sparse; /* of sparse ones */
  void *data, *offsets, *indices;
} stored;

void store(stored* s, const sparsify_problem* p, storage how);
void stored_free(stored* s);

/* A sparse view of a problem's nonzeros and the memory behind it; data, offsets and indices are of `s`. */
void store_sparse(stored* s, const sparsify_problem* p, int32_t layout, int32_t index_dtype, int32_t base);

/* A subquad_column_blocks that copies the columns of the subquad_array behind user. */
int32_t copy_columns(void* user, int64_t first, int64_t count, void* block);

/* An element of a buffer of this dtype. */
void put(void* data, int32_t dtype, int64_t at, long double value);

#endif
