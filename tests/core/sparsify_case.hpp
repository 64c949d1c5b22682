// Matrices for sparsifiers, in every form that columns may come in, and what is true of them, in long double.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "core/random/philox.hpp"
#include "core/sparsify/columns.hpp"
#include "core/sparsify/sparsifier.hpp"
#include "tests/core/budgets.hpp"

namespace subquad::test {

enum class Form { rows, columns, csc, csr, blocks };
inline constexpr Form kForms[] = {Form::rows, Form::columns, Form::csc, Form::csr, Form::blocks};

// An n x d matrix, [row][column].
template <class T>
struct Matrix {
  int64_t n, d;
  std::vector<T> entries;

  Matrix(int64_t rows, int64_t columns) : n(rows), d(columns), entries(static_cast<size_t>(rows * columns)) {}
  T& operator()(int64_t i, int64_t j) { return entries[static_cast<size_t>(i * d + j)]; }
  T operator()(int64_t i, int64_t j) const { return entries[static_cast<size_t>(i * d + j)]; }
};

// A standard normal variable, nearly.
inline double normal(uint64_t seed, int64_t index) {
  double sum = -6;
  for (uint64_t k = 0; k < 12; ++k) sum += random_uniform(seed, 77, 12 * static_cast<uint64_t>(index) + k);
  return sum;
}

enum class Kind {
  gaussian,
  skewed,           // columns of very different norms
  one_dominant,     // a column that carries a direction alone, and most of the norm
  near_duplicates,  // few columns, over and over, with little noise
  coherent,         // noise, and n columns that are multiples of the unit vectors
  sparse,           // one entry in ten
  ill_conditioned,  // singular values from 1 to 1e-10; float: to 1e-3
};
inline constexpr Kind kKinds[] = {Kind::gaussian, Kind::skewed, Kind::one_dominant,   Kind::near_duplicates,
                                  Kind::coherent, Kind::sparse, Kind::ill_conditioned};

template <class T>
Matrix<T> make_matrix(Kind kind, int64_t n, int64_t d, uint64_t seed) {
  Matrix<T> x(n, d);
  const auto g = [&](int64_t i, int64_t j) { return normal(seed, i * d + j); };
  for (int64_t j = 0; j < d; ++j) {
    for (int64_t i = 0; i < n; ++i) {
      double value = g(i, j);
      if (kind == Kind::skewed) value *= std::exp(1.5 * normal(seed + 1, j));
      if (kind == Kind::one_dominant) value = i == 0 ? (j == d / 2 ? 1e4 : 0) : value;
      if (kind == Kind::near_duplicates) value = g(i, j % (2 * n)) + 1e-4 * value;
      if (kind == Kind::coherent) value = j % (d / n) == 3 && j / (d / n) < n ? (j / (d / n) == i ? 1e3 : 0) : 1e-2 * value;
      if (kind == Kind::sparse) value = random_uniform(seed, 78, static_cast<uint64_t>(i * d + j)) < 0.1 ? value : 0;
      x(i, j) = static_cast<T>(value);
    }
  }
  if (kind != Kind::ill_conditioned) return x;
  // Rows turned by a reflection, so that the small singular values are not those of small rows.
  const double least = sizeof(T) == 4 ? 1e-3 : 1e-10;
  for (int64_t j = 0; j < d; ++j) {
    std::vector<double> column(static_cast<size_t>(n));
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      column[static_cast<size_t>(i)] =
          g(i, j) * std::pow(least, static_cast<double>(i) / static_cast<double>(std::max<int64_t>(n - 1, 1)));
      sum += column[static_cast<size_t>(i)];
    }
    for (int64_t i = 0; i < n; ++i) x(i, j) = static_cast<T>(column[static_cast<size_t>(i)] - 2 * sum / static_cast<double>(n));
  }
  return x;
}

// The columns of a matrix in some form; keeps what they are read from.
template <class T>
class Source {
 public:
  Source(Matrix<T> x, Form form) : x_(std::move(x)), form_(form) {
    const int64_t outer = form == Form::csr ? x_.n : x_.d, inner = form == Form::csr ? x_.d : x_.n;
    offsets_.push_back(1);
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t i = 0; i < inner; ++i) {
        const T value = form == Form::csr ? x_(o, i) : x_(i, o);
        if (form == Form::columns || form == Form::blocks) values_.push_back(value);
        if ((form != Form::csc && form != Form::csr) || value == 0) continue;
        indices_.push_back(static_cast<int32_t>(i) + 1);
        values_.push_back(value);
      }
      offsets_.push_back(static_cast<int32_t>(indices_.size()) + 1);
    }
  }

  sparsify::Columns<T> columns() const { return {{part()}, x_.d}; }

  sparsify::Part<T> part() const {
    if (form_ == Form::rows) return {"x", x_.n, sparsify::DenseColumns<T>{x_.entries.data(), x_.d, 1}};
    if (form_ == Form::columns) return {"x", x_.n, sparsify::DenseColumns<T>{values_.data(), 1, x_.n}};
    if (form_ == Form::blocks) {
      const auto write = [this](int64_t first, int64_t count, void* block) {
        std::copy_n(values_.data() + first * x_.n, count * x_.n, static_cast<T*>(block));
        return true;
      };
      return {"x", x_.n, sparsify::BlockColumns{write, 77}};
    }
    return {"x", x_.n,
            sparsify::SparseColumns<T>{offsets_.data(), indices_.data(), values_.data(), static_cast<int64_t>(values_.size()),
                                       form_ == Form::csc, false, 1}};
  }

  const Matrix<T>& matrix() const { return x_; }

 private:
  Matrix<T> x_;
  Form form_;
  std::vector<int32_t> offsets_, indices_;
  std::vector<T> values_;
};

// An orthonormal basis of the space that the rows of X span, by Gram and Schmidt, twice: V with X' = V R. The rows beyond a rank that
// is known are left out, the largest first.
class RangeOracle {
 public:
  template <class T>
  explicit RangeOracle(const Matrix<T>& x, int64_t rank = -1) {
    std::vector<std::vector<long double>> rows;
    for (int64_t i = 0; i < x.n; ++i) {
      std::vector<long double> row(static_cast<size_t>(x.d));
      long double norm = 0;
      for (int64_t j = 0; j < x.d; ++j) {
        row[static_cast<size_t>(j)] = x(i, j);
        norm += row[static_cast<size_t>(j)] * row[static_cast<size_t>(j)];
      }
      for (auto& value : row) value /= norm > 0 ? std::sqrt(norm) : 1;
      rows.push_back(std::move(row));
    }
    if (rank < 0) rank = std::min(x.n, x.d);
    while (static_cast<int64_t>(basis.size()) < rank) {
      const auto largest =
          std::max_element(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return dot(a, a) < dot(b, b); });
      std::vector<long double> v = *largest;
      for (int repeat = 0; repeat < 2; ++repeat) {
        for (const auto& earlier : basis) subtract(v, earlier, dot(v, earlier));
        const long double norm = std::sqrt(dot(v, v));
        for (auto& value : v) value /= norm;
      }
      basis.push_back(v);
      for (auto& row : rows) subtract(row, v, dot(row, v));
    }
  }

  long double score(int64_t j) const {
    long double sum = 0;
    for (const auto& v : basis) sum += v[static_cast<size_t>(j)] * v[static_cast<size_t>(j)];
    return sum;
  }

  // |sum_c weight_c v_c v_c' - 1|_2 over chosen columns v_c of V'.
  long double epsilon(const std::vector<int64_t>& indices, const std::vector<double>& weights) const {
    const size_t r = basis.size();
    std::vector<std::vector<long double>> a(r, std::vector<long double>(r));
    for (size_t c = 0; c < indices.size(); ++c) {
      const auto j = static_cast<size_t>(indices[c]);
      for (size_t k = 0; k < r; ++k) {
        for (size_t l = 0; l < r; ++l) a[k][l] += weights[c] * basis[k][j] * basis[l][j];
      }
    }
    return distance_from_one(a);
  }

  std::vector<std::vector<long double>> basis;  // [rank][d]

 private:
  static long double dot(const std::vector<long double>& a, const std::vector<long double>& b) {
    long double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  }
  static void subtract(std::vector<long double>& a, const std::vector<long double>& b, long double factor) {
    for (size_t i = 0; i < a.size(); ++i) a[i] -= factor * b[i];
  }

  // Eigenvalues by Jacobi's rotations.
  static long double distance_from_one(std::vector<std::vector<long double>>& a) {
    const size_t r = a.size();
    for (int sweep = 0; sweep < 30; ++sweep) {
      for (size_t p = 0; p < r; ++p) {
        for (size_t q = p + 1; q < r; ++q) {
          if (a[p][q] == 0) continue;
          const long double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
          const long double t = (theta >= 0 ? 1 : -1) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
          const long double c = 1 / std::sqrt(t * t + 1), s = t * c;
          for (size_t k = 0; k < r; ++k) {
            const long double x = a[k][p], y = a[k][q];
            a[k][p] = c * x - s * y;
            a[k][q] = s * x + c * y;
          }
          for (size_t k = 0; k < r; ++k) {
            const long double x = a[p][k], y = a[q][k];
            a[p][k] = c * x - s * y;
            a[q][k] = s * x + c * y;
          }
        }
      }
    }
    long double worst = 0;
    for (size_t k = 0; k < r; ++k) worst = std::max(worst, std::fabs(a[k][k] - 1));
    return worst;
  }
};

// What is computed in whitened coordinates errs relatively by rounding times the condition of X: n products each, in double precision,
// of entries that Y holds in T.
template <class T>
long double whitening_error(int64_t n, double condition) {
  return 8 * condition * (static_cast<long double>(n) * unit_roundoff<double>() + unit_roundoff<T>());
}

inline sparsify::Request request(sparsify::Method method) {
  return {method, std::nullopt, std::nullopt, 0.01, sparsify::Certify::exact, 0, true};
}

}  // namespace subquad::test
