// The subquad_matrix handle.
#pragma once

#include <variant>

#include "capi/arrays.hpp"
#include "capi/subquad.h"
#include "core/sparsify/columns.hpp"

struct subquad_matrix {
  struct Blocks {
    subquad_column_blocks write;
    void* user;
    int64_t width;
  };

  int64_t rows, columns;
  int32_t dtype;
  std::variant<subquad_array, subquad_sparse, Blocks> source;

  template <class T>
  subquad::sparsify::Part<T> part(const char* name) const;

  // Throws where an output would write over what the matrix is read from.
  void check_apart(const char* name, const subquad::capi::Argument& output) const;
};

namespace subquad::capi {

// An argument that is a matrix: its name in messages, and what was given.
struct MatrixArgument {
  const char* name;
  const subquad_matrix* matrix;
};

// The columns of one matrix, or of several with as many columns and the same dtype, one above the other.
template <class T>
sparsify::Columns<T> columns_of(const std::vector<MatrixArgument>& matrices) {
  std::vector<sparsify::Part<T>> parts;
  for (const auto& argument : matrices) parts.push_back(argument.matrix->part<T>(argument.name));
  return {std::move(parts), matrices[0].matrix->columns};
}

// Throws unless they are all there and fit together.
void check_matrices(const std::vector<MatrixArgument>& matrices);

}  // namespace subquad::capi
