// Dense symmetric matrices of doubles, of the size of a rank, that are inverted and multiplied thousands of times: products with few
// columns all along, by kernels of our own. Where OpenBLAS shares out such small work among threads, that takes longer than the work;
// and these bits do not depend on how many threads there are.
#pragma once

#include <cstdint>

#include "core/base/aligned.hpp"
#include "core/parallel/team.hpp"
#include "core/simd/products.hpp"

namespace subquad::linalg {

// The layout of such matrices: [panel][row][width], the columns of each panel side by side, both triangles. Rows and columns from
// `size` up to `padded`, a multiple of `width`, belong to the identity: matrices come and go with zeros off their diagonal there.
class Panels {
 public:
  Panels(simd::Target target, int64_t size)
      : kernels_(simd::product_kernels<double>(target)),
        size_(size),
        width_(kVectors * kernels_.lanes),
        padded_(round_up(size, width_)) {}

  int64_t size() const { return size_; }
  int64_t padded() const { return padded_; }
  int64_t elements() const { return padded_ * padded_; }
  int64_t at(int64_t row, int64_t column) const { return (column / width_ * padded_ + row) * width_ + column % width_; }

  // a = a^-1. False, and a is spoiled, unless it is positive definite. scratch: inverse_scratch() elements.
  int64_t inverse_scratch() const { return 2 * padded_ * width_ + width_ * width_; }
  bool invert(const Team& team, double* a, double* scratch) const;

  // c += a b for factors that commute: then the product is symmetric, too.
  void add_commuting(const Team& team, const double* a, const double* b, double* c) const;

  // c = x a for a few rows, `padded` elements each, with zeros beyond `size`.
  void multiply_rows(const Team& team, const double* x, int64_t rows, const double* a, double* c) const;

  // a += sum_r factors[r] x_r x_r' for such rows, at most kRows.
  static constexpr int64_t kRows = 16;
  void add_squares(const Team& team, const double* x, int64_t rows, const double* factors, double* a) const;

  // The matrix row by row, size x size.
  void unpack(const double* a, double* square) const;

  // The sum of all squared entries.
  double square_sum(const double* a) const;

  // y[r] = <a_r, b> for such rows.
  double dot(const double* a, const double* b) const {
    double y;
    dots(a, 1, b, &y);
    return y;
  }
  void dots(const double* a, int64_t rows, const double* b, double* y) const {
    kernels_.dots({a, b, padded_, 0, rows, padded_, y});
  }

 private:
  static constexpr int64_t kVectors = 2, kMostLanes = 8;  // that a panel is wide; doubles of the longest vectors
  using Tile = double[kVectors * kMostLanes * kVectors * kMostLanes];

  double* panel(double* a, int64_t p) const { return a + p * padded_ * width_; }
  const double* panel(const double* a, int64_t p) const { return a + p * padded_ * width_; }
  int64_t count() const { return padded_ / width_; }
  void transpose(const double* from, double factor, double* to) const;
  bool invert_tile(double* a) const;
  bool sweep(const Team& team, double* a, int64_t k, double* scratch) const;
  void mirror(double* a) const;

  const simd::ProductKernels<double>& kernels_;
  int64_t size_, width_, padded_;
};

}  // namespace subquad::linalg
