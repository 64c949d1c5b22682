#include "matrices.h"

#include <stdlib.h>
#include <string.h>

static const array_spec* spec_of(const prepared_call* call, const char* name) {
  for (size_t array = 0; array < call->spec->array_count; ++array)
    if (strcmp(call->spec->arrays[array].name, name) == 0) return &call->spec->arrays[array];
  return NULL;
}

/* Numbers as the index dtype has them; another dtype is refused before they are read. */
static void* new_indices(const int64_t* numbers, size_t count, int32_t dtype) {
  const size_t bytes = element_bytes(dtype);
  unsigned char* made = malloc(count * bytes + 1);
  if (!made) abort();
  for (size_t i = 0; i < count; ++i) {
    const int32_t narrow = (int32_t)numbers[i];
    if (dtype == SUBQUAD_INT64) {
      memcpy(made + i * bytes, &numbers[i], sizeof numbers[i]);
    } else {
      memcpy(made + i * bytes, &narrow, sizeof narrow);
    }
  }
  return made;
}

static subquad_status make_sparse(const matrix_spec* spec, const subquad_array* values, prepared_matrix* matrix) {
  const int64_t none[1] = {0};
  if (spec->has_offsets)
    matrix->offsets = new_indices(spec->offsets ? spec->offsets : none, spec->offset_count, spec->index_dtype);
  if (spec->has_indices)
    matrix->indices = new_indices(spec->indices ? spec->indices : none, spec->index_count, spec->index_dtype);
  const subquad_sparse x = {matrix->offsets, matrix->indices, values->data,  spec->rows,        spec->columns,
                            spec->nonzeros,  spec->layout,    values->dtype, spec->index_dtype, spec->index_base};
  return subquad_matrix_from_sparse(&x, &matrix->handle);
}

static int32_t copy_columns(void* user, int64_t first, int64_t count, void* block) {
  const subquad_array* x = user;
  const size_t bytes = element_bytes(x->dtype);
  unsigned char* to = block;
  for (int64_t j = first; j < first + count; ++j) {
    for (int64_t i = 0; i < x->shape[0]; ++i, to += bytes)
      memcpy(to, (const unsigned char*)x->data + (size_t)(i * x->strides[0] + j * x->strides[1]) * bytes, bytes);
  }
  return 0;
}

subquad_status make_matrix(const prepared_call* call, const char* name, prepared_matrix* matrix) {
  const subquad_array* given = view(call, name);
  memset(matrix, 0, sizeof *matrix);
  if (!given) return SUBQUAD_OK;
  matrix->view = *given;
  matrix->handle = (subquad_matrix*)(void*)matrix; /* a call that fails leaves NULL */
  const matrix_spec* spec = spec_of(call, name)->matrix;
  subquad_status status;
  if (!spec)
    status = subquad_matrix_from_dense(given, &matrix->handle);
  else if (spec->kind == MATRIX_SPARSE)
    status = make_sparse(spec, given, matrix);
  else
    status = subquad_matrix_from_blocks(spec->rows, spec->columns, given->dtype, spec->block_columns, copy_columns, &matrix->view,
                                        &matrix->handle);
  if ((status == SUBQUAD_OK) != (matrix->handle != NULL)) abort();
  return status;
}

void release_matrix(prepared_matrix* matrix) {
  subquad_matrix_destroy(matrix->handle);
  free(matrix->offsets);
  free(matrix->indices);
}
