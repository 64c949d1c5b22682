// Sums of v v' over columns v = W' x, in double precision and in an order that does not depend on threads.
#pragma once

#include <algorithm>
#include <armadillo>

#include "core/sparsify/packed.hpp"

namespace subquad::sparsify {

class GramSum {
 public:
  static constexpr int64_t kColumns = 64;  // most columns that are added at once

  GramSum(Execution& run, const Packed<double>& w) : w_(w), kernels_(simd::product_kernels<double>(run.target)) {
    int64_t entries = 0, columns = 0;
    for (const auto& a : w.panels()) {
      columns += a.width;
      for (const auto& b : w.panels()) {
        if (b.first <= a.first) entries += a.width * b.width;
      }
    }
    tiles_ = Lease<double>(run.workspace, std::max<int64_t>(entries, 1));
    std::fill(tiles_.get(), tiles_.get() + entries, 0.0);
    whitened_ = Lease<double>(run.workspace, std::max<int64_t>(columns * kColumns, 1));
  }

  // Columns [count][n].
  void add(Monitor& monitor, const double* x, int64_t count) {
    const int64_t n = w_.rows();
    double* v = whitened_.get();
    for (const auto& panel : w_.panels()) {
      w_.multiply(panel, x, n, count, v);
      v += panel.width * kColumns;
    }
    double* tile = tiles_.get();
    const double* a_block = whitened_.get();
    for (const auto& a : w_.panels()) {
      const double* b_block = whitened_.get();
      for (const auto& b : w_.panels()) {
        if (b.first > a.first) break;
        kernels_.add_rows[b.width / kernels_.lanes - 1]({a_block, 1, a.width, a.width, count, b_block, tile});
        tile += a.width * b.width;
        b_block += b.width * kColumns;
      }
      a_block += a.width * kColumns;
      monitor.advance(0);
    }
  }

  // gram += the sum, both triangles.
  void add_to(arma::mat& gram) const {
    visit([&](int64_t i, int64_t j, double value) {
      const auto row = static_cast<arma::uword>(i), column = static_cast<arma::uword>(j);
      gram(row, column) += value;
      if (row != column) gram(column, row) += value;
    });
  }

  // The same for a lower triangle that is stored row by row.
  void add_packed(double* gram) const {
    visit([&](int64_t i, int64_t j, double value) { gram[i * (i + 1) / 2 + j] += value; });
  }

 private:
  // function(i, j, sum of v_i v_j) for j <= i.
  template <class Function>
  void visit(const Function& function) const {
    const double* tile = tiles_.get();
    for (const auto& a : w_.panels()) {
      for (const auto& b : w_.panels()) {
        if (b.first > a.first) break;
        for (int64_t i = 0; i < a.columns; ++i) {
          for (int64_t j = 0; j < b.columns && b.first + j <= a.first + i; ++j)
            function(a.first + i, b.first + j, tile[i * b.width + j]);
        }
        tile += a.width * b.width;
      }
    }
  }

  const Packed<double>& w_;
  const simd::ProductKernels<double>& kernels_;
  Lease<double> tiles_, whitened_;
};

}  // namespace subquad::sparsify
