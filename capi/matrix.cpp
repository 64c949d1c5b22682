// Matrices for sparsifiers: views of dense arrays and sparse matrices, and functions that write blocks of columns.
#include "capi/matrix.hpp"

#include <limits>
#include <memory>

#include "capi/barrier.hpp"
#include "core/base/text.hpp"

using namespace subquad;
using capi::Argument;
using capi::required;

namespace {

constexpr int64_t kMostExtent = int64_t{1} << 48;  // products with a few small numbers stay integers

int64_t bytes_of(int32_t dtype) { return dtype == SUBQUAD_FLOAT32 || dtype == SUBQUAD_INT32 ? 4 : 8; }

// Part of a sparse matrix as an array: checks it, and compares it with outputs.
subquad_array list(const void* data, int32_t dtype, int64_t length) {
  return {const_cast<void*>(data), dtype, 1, {length, 0, 0, 0}, {1, 0, 0, 0}};
}

void check_floating_dtype(const char* name, int32_t dtype) {
  if (dtype == SUBQUAD_FLOAT32 || dtype == SUBQUAD_FLOAT64) return;
  throw Error(Status::err_dtype, std::string(name) + " is the " + capi::dtype_text(dtype) + ", not float32 or float64");
}

void check_extents(int64_t rows, int64_t columns, int64_t bytes) {
  for (const auto& [name, extent] : {std::pair{"rows", rows}, std::pair{"columns", columns}}) {
    if (extent < 0) throw Error(Status::err_shape, std::string(name) + " is " + text(extent) + ", which is negative");
    if (extent > kMostExtent) throw Error(Status::err_size, std::string(name) + " is " + text(extent) + ", more than 2^48");
  }
  int64_t total = 0;
  if (__builtin_mul_overflow(rows, columns, &total) || total > std::numeric_limits<int64_t>::max() / bytes / 4) {
    throw Error(Status::err_size,
                "rows is " + text(rows) + " and columns " + text(columns) + ": more entries than can be addressed");
  }
}

void check_sparse(const subquad_sparse& x) {
  if (x.layout != SUBQUAD_CSC && x.layout != SUBQUAD_CSR) {
    throw Error(Status::err_value, "x.layout is " + text(int64_t{x.layout}) + ", neither SUBQUAD_CSC nor SUBQUAD_CSR");
  }
  if (x.index_base != 0 && x.index_base != 1)
    throw Error(Status::err_value, "x.index_base is " + text(int64_t{x.index_base}) + ", not 0 or 1");
  check_floating_dtype("x.dtype", x.dtype);
  if (x.index_dtype != SUBQUAD_INT32 && x.index_dtype != SUBQUAD_INT64)
    throw Error(Status::err_dtype, "x.index_dtype is the " + capi::dtype_text(x.index_dtype) + ", not int32 or int64");
  check_extents(x.rows, x.columns, bytes_of(x.dtype));
  if (x.rows > std::numeric_limits<int32_t>::max() / 2)
    throw Error(Status::err_size, "rows is " + text(x.rows) + ", more than a sparse matrix may have here");
  constexpr int64_t kMostInt32 = std::numeric_limits<int32_t>::max() - (1 << 16);  // ends of blocks of columns are int32, too
  if (x.index_dtype == SUBQUAD_INT32 && x.columns > kMostInt32)
    throw Error(Status::err_size,
                "columns is " + text(x.columns) + ", more than x.index_dtype int32 can count; give int64 indices");
  if (x.nonzeros < 0) throw Error(Status::err_shape, "x.nonzeros is " + text(x.nonzeros) + ", which is negative");
  const int64_t outer = x.layout == SUBQUAD_CSC ? x.columns : x.rows;
  const subquad_array offsets = list(x.offsets, x.index_dtype, outer + 1), indices = list(x.indices, x.index_dtype, x.nonzeros),
                      values = list(x.values, x.dtype, x.nonzeros);
  capi::check_array({"x.offsets", &offsets}, 1, 1);
  capi::check_array({"x.indices", &indices}, 1, 1);
  capi::check_array({"x.values", &values}, 1, 1);
}

void check_dense(const Argument& x) {
  capi::check_array(x, 2, 2);
  capi::check_floating(x);
}

}  // namespace

template <class T>
sparsify::Part<T> subquad_matrix::part(const char* name) const {
  if (const auto* x = std::get_if<subquad_array>(&source)) {
    const auto view = capi::view_of<const T, 2>({name, x});
    return {name, rows, sparsify::DenseColumns<T>{view.data, view.strides[0], view.strides[1]}};
  }
  if (const auto* x = std::get_if<subquad_sparse>(&source)) {
    return {name, rows,
            sparsify::SparseColumns<T>{x->offsets, x->indices, static_cast<const T*>(x->values), x->nonzeros,
                                       x->layout == SUBQUAD_CSC, x->index_dtype == SUBQUAD_INT64, x->index_base}};
  }
  const auto& x = std::get<Blocks>(source);
  return {name, rows,
          sparsify::BlockColumns{[write = x.write, user = x.user](int64_t first, int64_t count, void* block) {
                                   return write(user, first, count, block) == 0;
                                 },
                                 x.width}};
}

template sparsify::Part<float> subquad_matrix::part<float>(const char*) const;
template sparsify::Part<double> subquad_matrix::part<double>(const char*) const;

void subquad_matrix::check_apart(const char* name, const Argument& output) const {
  if (const auto* x = std::get_if<subquad_array>(&source)) {
    capi::check_output(output, {{name, x}});
  } else if (const auto* sparse = std::get_if<subquad_sparse>(&source)) {
    const int64_t outer = sparse->layout == SUBQUAD_CSC ? columns : rows;
    const subquad_array offsets = list(sparse->offsets, sparse->index_dtype, outer + 1),
                        indices = list(sparse->indices, sparse->index_dtype, sparse->nonzeros),
                        values = list(sparse->values, dtype, sparse->nonzeros);
    capi::check_output(output, {{name, &offsets}, {name, &indices}, {name, &values}});
  } else {
    capi::check_output(output, {});
  }
}

void capi::check_matrices(const std::vector<MatrixArgument>& matrices) {
  for (const auto& argument : matrices) required(argument.matrix, argument.name);
  const auto& [first_name, first] = matrices[0];
  for (const auto& [name, matrix] : matrices) {
    if (matrix->dtype != first->dtype) {
      throw Error(Status::err_dtype, std::string(name) + " has the " + dtype_text(matrix->dtype) + ", " + first_name + " the " +
                                         dtype_text(first->dtype));
    }
    if (matrix->columns != first->columns) {
      throw Error(Status::err_shape, std::string(name) + " has " + text(matrix->columns) + " columns, " + first_name + " has " +
                                         text(first->columns));
    }
  }
}

subquad_status subquad_matrix_from_dense(const subquad_array* x, subquad_matrix** matrix_out) {
  return capi::guarded([&] {
    *required(matrix_out, "matrix_out") = nullptr;
    check_dense({"x", x});
    *matrix_out = new subquad_matrix{x->shape[0], x->shape[1], x->dtype, *x};
  });
}

subquad_status subquad_matrix_from_sparse(const subquad_sparse* x, subquad_matrix** matrix_out) {
  return capi::guarded([&] {
    *required(matrix_out, "matrix_out") = nullptr;
    check_sparse(*required(x, "x"));
    *matrix_out = new subquad_matrix{x->rows, x->columns, x->dtype, *x};
  });
}

subquad_status subquad_matrix_from_blocks(int64_t rows, int64_t columns, int32_t dtype, int64_t block_columns,
                                          subquad_column_blocks blocks, void* user, subquad_matrix** matrix_out) {
  return capi::guarded([&] {
    *required(matrix_out, "matrix_out") = nullptr;
    check_floating_dtype("dtype", dtype);
    check_extents(rows, columns, bytes_of(dtype));
    if (block_columns < 0) throw Error(Status::err_value, "block_columns is " + text(block_columns) + ", which is negative");
    if (blocks == nullptr) throw Error(Status::err_null, "blocks is null");
    *matrix_out = new subquad_matrix{rows, columns, dtype, subquad_matrix::Blocks{blocks, user, block_columns}};
  });
}

void subquad_matrix_destroy(subquad_matrix* matrix) { delete matrix; }
