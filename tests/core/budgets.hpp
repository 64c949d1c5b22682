// The error that a numeric assertion may spend: computed from the type, sizes and magnitudes of its problem, never typed.
//
// With u = unit roundoff, L = the largest sum of |terms| of a logit, n keys and dimension d:
//   a logit errs by at most (d + 6) u L: d products, two roundings each of the folded scale and of the bias, and two for the
//   subtraction of the maximum, which is at most 2 L,
//   a weight relatively by that plus 3 u (the exponential), and by |lse| u more where it is made from a stored lse;
//   a sum over keys by (kKeyBlock + n / kKeyBlock + 4) u (a block's terms one after the other, then the blocks),
//   a sum over queries by (n + 4) u (some order).
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "core/simd/attention_kernels.hpp"
#include "tests/core/attention_case.hpp"

namespace subquad::test {

template <class T>
constexpr long double unit_roundoff() {
  return std::numeric_limits<T>::epsilon() / 2;
}

template <class T>
long double weight_error(const AttentionCase<T>& c, const Oracle<T>& oracle) {
  return unit_roundoff<T>() * ((static_cast<long double>(c.shape.d) + 6) * oracle.logit_scale + 3);
}

template <class T>
long double sum_error(int64_t terms) {
  return unit_roundoff<T>() * static_cast<long double>(simd::kKeyBlock + terms / simd::kKeyBlock + 4);
}

template <class T>
long double query_sum_error(int64_t terms) {
  return unit_roundoff<T>() * static_cast<long double>(terms + 4);
}

// Numerator and denominator of a quotient both err.
template <class T>
long double output_budget(const AttentionCase<T>& c, const Oracle<T>& oracle) {
  return 2 * c.settings.magnitude * (weight_error(c, oracle) + sum_error<T>(c.shape.n_k));
}

template <class T>
long double lse_budget(const AttentionCase<T>& c, const Oracle<T>& oracle, long double lse) {
  return weight_error(c, oracle) + sum_error<T>(c.shape.n_k) + 2 * unit_roundoff<T>() * std::fabs(lse);
}

// Relative error of the weights of the backward pass.
template <class T>
long double backward_weight_error(const AttentionCase<T>& c, const Oracle<T>& oracle) {
  long double largest = 0;
  for (const long double lse : oracle.out.lse.data) {
    if (std::isfinite(lse)) largest = std::max(largest, std::fabs(lse));
  }
  return weight_error(c, oracle) + lse_budget(c, oracle, largest) + 2 * unit_roundoff<T>() * largest;
}

// Error of dS relative to the weight it belongs to: the weight's error, that of do v' and of delta (which inherits o's), on a
// difference of at most twice product_scale.
template <class T>
long double d_logit_error(const AttentionCase<T>& c, const Oracle<T>& oracle) {
  const long double inner = unit_roundoff<T>() * static_cast<long double>(c.shape.d_v + 4);
  return 2 * oracle.product_scale * (backward_weight_error(c, oracle) + inner) +
         static_cast<long double>(c.shape.d_v) * c.settings.magnitude * output_budget(c, oracle);
}

// NaN and an unequal infinity fail.
inline void expect_within(long double value, long double expected, long double budget) {
  if (value == expected) return;
  CHECK(std::fabs(value - expected) <= budget);
}

}  // namespace subquad::test
