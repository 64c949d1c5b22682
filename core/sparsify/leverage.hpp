// Columns sampled by their leverage scores.
#pragma once

#include <optional>

#include "core/sparsify/scores.hpp"

namespace subquad::sparsify {

// Chosen columns with their weights, and the columns themselves.
template <class T>
struct Choice {
  std::vector<int64_t> indices;  // increasing
  std::vector<double> weights;
  std::vector<T> columns;  // [indices][n], without their weights
  double end = 0;          // of the race: columns that arrive later are not kept
};

// How long columns may take to arrive, so that the certificate is at most eps with probability 1 - failure where rates are at least
// `least` times the leverage scores.
double arrival_limit(int64_t rank, double eps, double failure, double least);

// The eps that this limit is for.
double arrival_bound(int64_t rank, double limit, double failure, double least);

// Columns are kept by their time of arrival: exponential with the rate r_j, which is |W' x_j|^2, or less where `projections` say so.
// With `most`, the first so many columns; else all that arrive before `limit`. `gram` gains W' X X' W in the same pass, where it is
// asked for (which takes O(n^2) per column).
template <class T>
struct Sampling {
  const Whitening& whitening;
  const Projections* projections;  // NULL: norms of all columns in full
  std::optional<int64_t> most;
  double limit;
  uint64_t seed;
  arma::mat* gram;
};
template <class T>
Choice<T> sample_columns(Execution& run, Monitor& monitor, const Columns<T>& x, const Sampling<T>& sampling);

// The columns of these indices, one after the other.
template <class T>
std::vector<T> gather_columns(Execution& run, Monitor& monitor, const Columns<T>& x, const std::vector<int64_t>& indices);

}  // namespace subquad::sparsify
