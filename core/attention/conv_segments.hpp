// The columns of a conv basis, cut where its bases start.
#pragma once

#include <vector>

#include "core/attention/conv_basis.hpp"

namespace subquad::attention {

// What a conv basis stands for in a product: its entries H[i,j], or exp(H[i,j]) with each row divided by its sum.
enum class ConvWeights { logits, softmax };

// Columns [first, last) share one kernel, of lags 0 .. n - first - 1. No kernel: all entries are 0.
template <class T>
struct ConvSegment {
  int64_t first, last;
  const T* kernel;

  T entry(int64_t lag) const { return kernel != nullptr ? kernel[lag] : T{0}; }
};

// Columns before the first start have entries 0: they count for the softmax and not for the matrix itself.
template <class T>
std::vector<ConvSegment<T>> conv_segments(const ConvHead<T>& head, ConvWeights weights) {
  std::vector<ConvSegment<T>> list;
  const int64_t first = head.bases() > 0 ? head.start(0) : head.n();
  if (first > 0 && weights == ConvWeights::softmax) list.push_back({0, first, nullptr});
  for (int64_t r = 0; r < head.bases(); ++r) list.push_back({head.start(r), head.end(r), head.kernel(r)});
  return list;
}

}  // namespace subquad::attention
