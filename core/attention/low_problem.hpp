// All keys and values of a problem in 8-bit integers, and what its heads' passes read beside them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/low_keys.hpp"
#include "core/attention/low_queries.hpp"
#include "core/attention/problem.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// Rows of more columns, and more keys, go to exact attention.
inline constexpr int64_t kMostLowColumns = 4096;
inline constexpr int64_t kMostLowKeys = int64_t{1} << 30;

template <class T>
bool fits_low_precision(const Problem<T>& problem) {
  return std::max(problem.d(), problem.d_v()) <= kMostLowColumns && std::max(problem.n_k(), problem.n_q()) <= kMostLowKeys;
}

// Mean of the first `count` keys of each key/value head: [batch][kv_heads][d].
template <class T>
std::vector<std::vector<float>> mean_keys(Execution& run, Monitor& monitor, const Problem<T>& problem, int64_t count);

template <class T>
class LowProblem {
 public:
  // centers: taken off all keys of a key/value head, [batch][kv_heads][d].
  LowProblem(Execution& run, Monitor& monitor, const Problem<T>& problem, std::vector<std::vector<float>> centers);

  const Problem<T>& problem() const { return p_; }
  const simd::LowPrecisionKernels& kernels() const { return kernels_; }
  const LowKeys& keys(int64_t batch, int64_t head) const { return keys_[unit(batch, head)]; }
  const std::vector<float>& center(int64_t batch, int64_t head) const { return centers_[unit(batch, head)]; }
  // Whether 8 bits with scales in single precision hold the head's queries and keys, and its values.
  bool holds_logits(int64_t batch, int64_t head) const;
  bool holds_values(int64_t batch, int64_t head) const;
  View<const T, 2> k(int64_t batch, int64_t head) const;
  View<const T, 2> v(int64_t batch, int64_t head) const;
  LowHead<T> head(int64_t batch, int64_t head) const;

 private:
  size_t unit(int64_t batch, int64_t head) const { return static_cast<size_t>(batch * p_.kv_heads() + head / p_.group_size()); }
  void reverse_bias();

  const Problem<T>& p_;
  const simd::LowPrecisionKernels& kernels_;
  std::vector<std::vector<float>> centers_;
  std::vector<LowKeys> keys_;
  std::vector<std::vector<float>> bias_;  // per row of the table: entry j - i + n_q - 1, with a margin on either side
};

}  // namespace subquad::attention
