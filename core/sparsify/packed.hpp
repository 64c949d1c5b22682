// An n x k matrix packed for products with columns from the left, in panels of as many columns as the kernels take at once.
#pragma once

#include <algorithm>
#include <armadillo>

#include "core/base/workspace.hpp"
#include "core/parallel/execution.hpp"
#include "core/simd/products.hpp"

namespace subquad::sparsify {

template <class T>
class Packed {
 public:
  struct Panel {
    int64_t first, columns, width;  // of the matrix; width in elements, a multiple of the lanes: columns beyond are zero
    const T* data;                  // [n][width]
  };

  // The columns of `matrix` times `factor`.
  Packed(Execution& run, const arma::mat& matrix, double factor = 1)
      : kernels_(simd::product_kernels<T>(run.target)), rows_(static_cast<int64_t>(matrix.n_rows)) {
    const auto columns = static_cast<int64_t>(matrix.n_cols);
    const int64_t total = round_up(columns, kernels_.lanes);
    data_ = Lease<T>(run.workspace, std::max<int64_t>(total * rows_, 1));
    T* place = data_.get();
    for (int64_t first = 0; first < columns; first += simd::kMaxWidth * kernels_.lanes) {
      const int64_t width = std::min(simd::kMaxWidth * kernels_.lanes, total - first);
      panels_.push_back({first, std::min(width, columns - first), width, place});
      for (int64_t i = 0; i < rows_; ++i) {
        for (int64_t j = 0; j < width; ++j) {
          *place++ = first + j < columns ? static_cast<T>(factor * matrix.memptr()[(first + j) * rows_ + i]) : T{0};
        }
      }
    }
  }

  const std::vector<Panel>& panels() const { return panels_; }
  int64_t rows() const { return rows_; }
  int64_t lanes() const { return kernels_.lanes; }

  // c[r][:] = x_r' (panel), for `count` columns x_r at x + r * stride.
  void multiply(const Panel& panel, const T* x, int64_t stride, int64_t count, T* c) const {
    kernels_.rows[panel.width / kernels_.lanes - 1]({x, stride, 1, count, rows_, panel.data, c});
  }

 private:
  const simd::ProductKernels<T>& kernels_;
  int64_t rows_;
  Lease<T> data_;
  std::vector<Panel> panels_;
};

}  // namespace subquad::sparsify
