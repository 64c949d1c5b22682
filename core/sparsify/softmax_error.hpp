// The true error of the softmax of a sparsifier, from n x n matrices: for small n.
#pragma once

#include "core/sparsify/sparsifier.hpp"

namespace subquad::sparsify {

struct SoftmaxError {
  double largest = 0;  // max |P~_ij - P_ij|
  double ratio = 1;    // max exp |log P~_ij - log P_ij|
};

template <class T>
SoftmaxError softmax_error(Execution& run, const Columns<T>& x, const Sparsifier<T>& sparsifier, double scale, bool check_finite);

}  // namespace subquad::sparsify
