// A row's far field joins what it has of other keys.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace subquad::attention {

// o (o_stride apart) and *lse of disjoint sets of keys, joined with far_o and far_lse; natural logarithms, -inf where there are no keys.
template <class T>
void merge_far(double far_lse, const T* far_o, int64_t d_v, T* o, int64_t o_stride, T* lse) {
  const double near_lse = static_cast<double>(*lse), top = std::max(near_lse, far_lse);
  if (top == -std::numeric_limits<double>::infinity()) return;
  const double near = std::exp(near_lse - top), far = std::exp(far_lse - top), sum = near + far;
  for (int64_t c = 0; c < d_v; ++c)
    o[c * o_stride] = static_cast<T>((near * static_cast<double>(o[c * o_stride]) + far * static_cast<double>(far_o[c])) / sum);
  *lse = static_cast<T>(top + std::log(sum));
}

}  // namespace subquad::attention
