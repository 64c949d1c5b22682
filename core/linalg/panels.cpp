#include "core/linalg/panels.hpp"

#include <algorithm>

namespace subquad::linalg {

// to = factor * from', tiles of width x width.
void Panels::transpose(const double* from, double factor, double* to) const {
  for (int64_t i = 0; i < width_; ++i) {
    for (int64_t j = 0; j < width_; ++j) to[j * width_ + i] = factor * from[i * width_ + j];
  }
}

// Gauss-Jordan elimination of one tile; the pivots are those of its Cholesky factor, squared.
bool Panels::invert_tile(double* a) const {
  double factors[kVectors * kMostLanes], pivot_row[kVectors * kMostLanes];
  for (int64_t p = 0; p < width_; ++p) {
    const double pivot = a[p * width_ + p];
    if (!(pivot > 0)) return false;
    for (int64_t i = 0; i < width_; ++i) {
      factors[i] = -a[i * width_ + p];
      a[i * width_ + p] = 0;
    }
    factors[p] = 1;
    for (int64_t j = 0; j < width_; ++j) {
      pivot_row[j] = a[p * width_ + j] / pivot;
      a[p * width_ + j] = 0;
    }
    pivot_row[p] = 1 / pivot;
    kernels_.add_rows[kVectors - 1]({factors, 1, 1, width_, 1, pivot_row, a});
  }
  return true;
}

// The symmetric sweep of rows and columns k: with P the inverse of their diagonal tile, A_kk = -P, A_ik = A_ik P, A_ij -= A_ik P A_kj.
// Only tiles on and below the diagonal are kept.
bool Panels::sweep(const Team& team, double* a, int64_t k, double* scratch) const {
  const int64_t tile = width_ * width_;
  double *const column = scratch, *const product = column + padded_ * width_, *const inverse = product + padded_ * width_;
  for (int64_t i = 0; i < k; ++i) transpose(panel(a, i) + k * tile, 1, column + i * tile);
  std::copy(panel(a, k) + k * tile, panel(a, k) + padded_ * width_, column + k * tile);
  std::copy(column + k * tile, column + (k + 1) * tile, inverse);
  if (!invert_tile(inverse)) return false;
  kernels_.rows[kVectors - 1]({column, width_, 1, padded_, width_, inverse, product});
  team.run(count(), [&](int64_t j, int64_t) {
    if (j == k) return;
    Tile factor;
    transpose(column + j * tile, -1, factor);
    kernels_.add_rows[kVectors - 1](
        {product + j * tile, width_, 1, padded_ - j * width_, width_, factor, panel(a, j) + j * tile});
  });
  for (int64_t i = 0; i < k; ++i) transpose(product + i * tile, 1, panel(a, i) + k * tile);
  for (int64_t e = 0; e < tile; ++e) panel(a, k)[k * tile + e] = -inverse[e];
  std::copy(product + (k + 1) * tile, product + padded_ * width_, panel(a, k) + (k + 1) * tile);
  return true;
}

// Tiles above the diagonal, from those below.
void Panels::mirror(double* a) const {
  const int64_t tile = width_ * width_;
  for (int64_t j = 0; j < count(); ++j) {
    for (int64_t i = j + 1; i < count(); ++i) transpose(panel(a, j) + i * tile, 1, panel(a, i) + j * tile);
  }
}

bool Panels::invert(const Team& team, double* a, double* scratch) const {
  for (int64_t k = 0; k < count(); ++k) {
    if (!sweep(team, a, k, scratch)) return false;
    team.monitor().advance(0);
  }
  for (int64_t j = 0; j < count(); ++j) {  // what was swept is minus the inverse
    for (int64_t e = j * width_ * width_; e < padded_ * width_; ++e) panel(a, j)[e] = -panel(a, j)[e];
  }
  mirror(a);
  return true;
}

void Panels::add_commuting(const Team& team, const double* a, const double* b, double* c) const {
  const int64_t tile = width_ * width_;
  team.run(count(), [&](int64_t j, int64_t) {
    for (int64_t i = j; i < count(); ++i) {  // rows of a are its columns
      kernels_.add_rows[kVectors - 1]({panel(a, i), 1, width_, width_, padded_, panel(b, j), panel(c, j) + i * tile});
    }
    team.monitor().advance(0);
  });
  mirror(c);
}

double Panels::square_sum(const double* a) const {
  double sum;
  kernels_.dots({a, a, 0, 0, 1, elements(), &sum});
  return sum;
}

void Panels::unpack(const double* a, double* square) const {
  for (int64_t j = 0; j < size_; j += width_) {
    const int64_t columns = std::min(width_, size_ - j);
    const double* const from = panel(a, j / width_);
    for (int64_t i = 0; i < size_; ++i) std::copy(from + i * width_, from + i * width_ + columns, square + i * size_ + j);
  }
}

void Panels::multiply_rows(const Team& team, const double* x, int64_t rows, const double* a, double* c) const {
  team.run(count(), [&](int64_t j, int64_t) {
    double product[kRows * kVectors * kMostLanes];
    for (int64_t first = 0; first < rows; first += kRows) {
      const int64_t some = std::min(kRows, rows - first);
      kernels_.rows[kVectors - 1]({x + first * padded_, padded_, 1, some, padded_, panel(a, j), product});
      for (int64_t r = 0; r < some; ++r) {
        std::copy(product + r * width_, product + (r + 1) * width_, c + (first + r) * padded_ + j * width_);
      }
    }
    team.monitor().advance(0);
  });
}

void Panels::add_squares(const Team& team, const double* x, int64_t rows, const double* factors, double* a) const {
  team.run(count(), [&](int64_t j, int64_t) {
    double scaled[kRows * kVectors * kMostLanes];
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t s = 0; s < width_; ++s) scaled[r * width_ + s] = factors[r] * x[r * padded_ + j * width_ + s];
    }
    kernels_.add_rows[kVectors - 1]({x, 1, padded_, padded_, rows, scaled, panel(a, j)});
  });
}

}  // namespace subquad::linalg
