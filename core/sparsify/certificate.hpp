// The error of a sparsifier: the least e with (1 - e) X X' <= Y Y' <= (1 + e) X X' on the range of X.
#pragma once

#include "core/sparsify/whitening.hpp"

namespace subquad::sparsify {

// W' Y Y' W for y [n][columns].
template <class T>
arma::mat whitened_product(Monitor& monitor, const arma::mat& w, const std::vector<T>& y, int64_t columns);

// |W' Y Y' W - 1|_2, for an exact whitening.
double exact_epsilon(const arma::mat& product);

// A lower estimate of e from the whitened product by a sketched whitening: Rayleigh-Ritz for the pencil (W' Y Y' W, W' X X' W) on a
// space that grows by its residuals, one pass over X each. passes: how many it took.
template <class T>
double estimated_epsilon(Execution& run, Monitor& monitor, const Columns<T>& x, const arma::mat& w, const arma::mat& product,
                         int64_t* passes);

}  // namespace subquad::sparsify
