// Coordinates in which the columns of X sum to the identity: W with W' X X' W = 1 on the range of X.
#pragma once

#include <armadillo>

#include "core/sparsify/sketch.hpp"

namespace subquad::sparsify {

struct Whitening {
  arma::mat w;           // n x rank
  arma::mat inverse;     // n x rank: X X' = inverse inverse' (exact whitening), w' inverse = 1
  double condition = 1;  // of X on its range with rows scaled to norm 1, estimated
  bool exact = false;    // else the eigenvalues of W' X X' W are within 1 / (1 +- kDistortion)^2

  int64_t rank() const { return static_cast<int64_t>(w.n_cols); }
};

// From a sketch, by QR: the condition of X is not squared. `unit` is the roundoff of the columns' type.
Whitening whiten_sketch(Sketch& sketch, double unit);

// W' X X' W: one pass in double precision.
template <class T>
arma::mat whitened_gram(Execution& run, Monitor& monitor, const Columns<T>& x, const arma::mat& w);

// Makes a whitening by sketch exact, from its whitened_gram. False, and no change, where the sketch has missed a direction of X's range:
// then the rows of the inverse do not have the norms of X's rows, whose squares are given.
bool refine(const arma::mat& gram, const std::vector<double>& squares, Whitening* whitening);

}  // namespace subquad::sparsify
