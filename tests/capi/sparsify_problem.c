#include "sparsify_problem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char* const storage_names[STORAGES] = {"row-major",          "column-major", "reversed",           "csc, int32",
                                             "csc, int32, from 1", "csc, int64",   "csc, int64, from 1", "csr, int32",
                                             "csr, int32, from 1", "csr, int64",   "csr, int64, from 1", "blocks",
                                             "blocks of 1",        "blocks of 7"};

void put(void* data, int32_t dtype, int64_t at, long double value) {
  switch (dtype) {
    case SUBQUAD_FLOAT32:
      ((float*)data)[at] = (float)value;
      break;
    case SUBQUAD_FLOAT64:
      ((double*)data)[at] = (double)value;
      break;
    case SUBQUAD_INT32:
      ((int32_t*)data)[at] = (int32_t)value;
      break;
    default:
      ((int64_t*)data)[at] = (int64_t)value;
      break;
  }
}

static size_t bytes_of(int32_t dtype) { return dtype == SUBQUAD_FLOAT32 || dtype == SUBQUAD_INT32 ? 4 : 8; }

static void* new_memory(int64_t count, int32_t dtype) {
  void* memory = calloc((size_t)count + 1, bytes_of(dtype));
  assert_non_null(memory);
  return memory;
}

static double value_of(kind of, const double* u, int64_t n, int64_t d, int64_t i, int64_t j, double closeness) {
  const double plain = u[i * d + j];
  switch (of) {
    case SKEWED:
      return plain / (double)(j + 1);
    case DOMINANT:
      return j == d / 3 ? 1000 * plain : plain;
    case NEAR_DUPLICATES:
      return u[i * d + j / 2 * 2] + 1e-3 * closeness * plain;
    case ILL_CONDITIONED:
      return i + 1 == n && n > 1 ? u[j] + closeness * plain : plain;
    case DEPENDENT:
      if ((i + 1 == n && n > 2) || j % 5 == 4) return 0;
      return i == 1 ? 2 * floor(8 * u[j]) : floor(8 * plain);
    case SPARSE:
      return fmod(fabs(plain) * 4096, 1) < 0.2 ? plain : 0;
    default:
      return plain;
  }
}

sparsify_problem new_problem(kind of, int64_t n, int64_t d, int32_t dtype, uint64_t seed) {
  sparsify_problem p = {n, d, dtype, malloc((size_t)(n * d + 1) * sizeof(long double))};
  double* u = new_memory(n * d, SUBQUAD_FLOAT64);
  const subquad_array view = matrix(u, SUBQUAD_FLOAT64, n, d);
  assert_non_null(p.x);
  assert_ok(subquad_fill_uniform(&view, seed, 5, -1, 1));
  const double closeness = dtype == SUBQUAD_FLOAT32 ? 1e-3 : 1e-10;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < d; ++j) {
      const double value = value_of(of, u, n, d, i, j, closeness);
      p.x[i * d + j] = dtype == SUBQUAD_FLOAT32 ? (float)value : value;
    }
  }
  free(u);
  return p;
}

void sparsify_problem_free(sparsify_problem* p) { free(p->x); }

void store_sparse(stored* s, const sparsify_problem* p, int32_t layout, int32_t index_dtype, int32_t base) {
  const int64_t outer = layout == SUBQUAD_CSC ? p->d : p->n, inner = layout == SUBQUAD_CSC ? p->n : p->d;
  s->data = new_memory(p->n * p->d, p->dtype);
  s->offsets = new_memory(outer + 1, index_dtype);
  s->indices = new_memory(p->n * p->d, index_dtype);
  int64_t nonzeros = 0;
  for (int64_t o = 0; o < outer; ++o) {
    put(s->offsets, index_dtype, o, nonzeros + base);
    for (int64_t i = 0; i < inner; ++i) {
      const long double value = layout == SUBQUAD_CSC ? p->x[i * p->d + o] : p->x[o * p->d + i];
      if (value == 0) continue;
      put(s->data, p->dtype, nonzeros, value);
      put(s->indices, index_dtype, nonzeros++, i + base);
    }
  }
  put(s->offsets, index_dtype, outer, nonzeros + base);
  const subquad_sparse view = {s->offsets, s->indices, s->data, p->n, p->d, nonzeros, layout, p->dtype, index_dtype, base};
  s->sparse = view;
}

static void store_dense(stored* s, const sparsify_problem* p, storage how) {
  const int64_t n = p->n, d = p->d;
  s->dense = matrix(NULL, p->dtype, n, d);
  if (how == COLUMN_MAJOR) {
    s->dense.strides[0] = 1;
    s->dense.strides[1] = n;
  } else if (how == REVERSED) {
    s->dense.strides[0] = -(3 * d + 1);
    s->dense.strides[1] = -3;
  }
  const int64_t first = how == REVERSED && n > 0 && d > 0 ? (n - 1) * (3 * d + 1) + (d - 1) * 3 : 0;
  s->data = new_memory((n + 1) * (3 * d + 1), p->dtype);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < d; ++j)
      put(s->data, p->dtype, first + i * s->dense.strides[0] + j * s->dense.strides[1], p->x[i * d + j]);
  s->dense.data = (char*)s->data + (size_t)first * bytes_of(p->dtype);
}

int32_t copy_columns(void* user, int64_t first, int64_t count, void* block) {
  const subquad_array* x = user;
  for (int64_t c = 0; c < count; ++c)
    for (int64_t i = 0; i < x->shape[0]; ++i) put(block, x->dtype, c * x->shape[0] + i, element(x, i, first + c, 0, 0));
  return 0;
}

void store(stored* s, const sparsify_problem* p, storage how) {
  static const int64_t widths[] = {0, 1, 7};
  memset(s, 0, sizeof *s);
  if (how < CSC_32) {
    store_dense(s, p, how);
    assert_ok(subquad_matrix_from_dense(&s->dense, &s->handle));
  } else if (how < BLOCKS) {
    const int number = (int)(how - CSC_32);
    store_sparse(s, p, number < 4 ? SUBQUAD_CSC : SUBQUAD_CSR, number % 4 < 2 ? SUBQUAD_INT32 : SUBQUAD_INT64, number % 2);
    assert_ok(subquad_matrix_from_sparse(&s->sparse, &s->handle));
  } else {
    store_dense(s, p, COLUMN_MAJOR);
    assert_ok(subquad_matrix_from_blocks(p->n, p->d, p->dtype, widths[how - BLOCKS], copy_columns, &s->dense, &s->handle));
  }
  assert_non_null(s->handle);
}

void stored_free(stored* s) {
  subquad_matrix_destroy(s->handle);
  free(s->data);
  free(s->offsets);
  free(s->indices);
}
