// A sketch of the rows of X: S X' with few rows, whose singular values are those of X' to within a factor.
#pragma once

#include <armadillo>
#include <vector>

#include "core/sparsify/columns.hpp"

namespace subquad::sparsify {

// The singular values of (S X') R^-1 are within 1 -+ kDistortion of 1, X' = (orthonormal) R, with the probability asked for.
inline constexpr double kDistortion = 0.5;

// Rows that a sketch needs for it, with probability 1 - failure.
int64_t sketch_rows(int64_t rank, double failure);

struct Sketch {
  arma::mat matrix;             // rows of the sketch x n
  std::vector<double> squares;  // [n]: |row i of X|^2
  int64_t rows = 0;             // of the sketch; 0 where matrix is X' itself, which has fewer
  double additions = 1;         // terms that an entry of the matrix is a sum of, on average
};

// attempt: another one is another sketch of the same seed.
template <class T>
Sketch sketch_columns(Execution& run, Monitor& monitor, const Columns<T>& x, double failure, uint64_t seed, int64_t attempt,
                      typename Columns<T>::Check check);

}  // namespace subquad::sparsify
