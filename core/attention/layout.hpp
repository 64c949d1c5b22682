// How the exact kernels want their operands: rows with contiguous columns, queries transposed into groups, a padded bias table.
#pragma once

#include <cstdint>

#include "core/attention/problem.hpp"
#include "core/base/aligned.hpp"
#include "core/parallel/execution.hpp"
#include "core/simd/attention_kernels.hpp"

namespace subquad::attention {

inline constexpr double kLog2E = 1.44269504088896340736;  // the kernels work with powers of two
inline constexpr double kLn2 = 0.69314718055994530942;

// Consecutive queries that one kernel call handles, in vectors that hold them all.
struct QueryGroup {
  int64_t first, rows;  // queries first .. first + rows - 1
  int64_t width;        // vectors

  int64_t stride(int64_t lanes) const { return width * lanes; }
};

// The index-th group: groups are full but for the last one, which takes no more vectors than it needs.
inline QueryGroup query_group(int64_t index, int64_t n_q, int64_t lanes) {
  const int64_t full = simd::kMaxWidth * lanes, first = index * full, rows = std::min(full, n_q - first);
  return {first, rows, (rows + lanes - 1) / lanes};
}

// Keys that a kernel takes in one call: fewer where rows are long, so that a call stays far below the callback's interval. A function
// of the shape alone, since sums depend on it.
inline int64_t keys_per_block(int64_t d, int64_t d_v) {
  constexpr int64_t kEntries = int64_t{1} << 20;
  return std::clamp(kEntries / std::max<int64_t>(d + d_v, 1) / simd::kBlockSlack * simd::kBlockSlack, simd::kBlockSlack,
                    simd::kKeyBlock);
}

inline int64_t query_groups(int64_t n_q, int64_t lanes) {
  return (n_q + simd::kMaxWidth * lanes - 1) / (simd::kMaxWidth * lanes);
}

// out[c * stride + i] = factor * rows[i][c], zero for the lanes beyond the rows. Looks at the monitor where rows are long.
template <class T>
void transpose_rows(Monitor& monitor, const View<const T, 2>& rows, T factor, int64_t stride, T* out);

// The view if its columns are contiguous, else one of a copy in `storage`.
template <class T>
View<const T, 4> with_contiguous_columns(Execution& run, Monitor& monitor, const View<const T, 4>& view, Aligned<T>& storage);

// Keys and values with contiguous columns, as the kernels read them: in place, or copied where the caller's columns are not.
template <class T>
class KeysAndValues {
 public:
  KeysAndValues(Execution& run, Monitor& monitor, const Problem<T>& problem);

  // Point a kernel's block at `keys` keys from key j on.
  template <class Block>
  void point(Block& block, int64_t batch, int64_t kv_head, int64_t j, int64_t keys) const {
    block.d = k_.shape[3];
    block.d_v = v_.shape[3];
    block.keys = keys;
    block.k = k_.at(batch, kv_head, j);
    block.k_stride = k_.strides[2];
    block.v = v_.at(batch, kv_head, j);
    block.v_stride = v_.strides[2];
  }

 private:
  Aligned<T> k_copy_, v_copy_;
  View<const T, 4> k_, v_;
};

// The part of a bias table that visible pairs use, per head, times 1 / log 2, with a margin that kernels may read and never use.
template <class T>
class BiasTable {
 public:
  BiasTable(Execution& run, Monitor& monitor, const Problem<T>& problem);

  // Entry of a lag for a head, or NULL when the problem has no bias.
  const T* at(int64_t head, int64_t lag) const {
    return rows_ == 0 ? nullptr : data_.get() + row(head) * stride_ + (lag - first_);
  }

  int64_t rows() const { return rows_; }
  int64_t row(int64_t head) const { return rows_ == 1 ? 0 : head; }
  int64_t stride() const { return stride_; }  // margins included
  int64_t first() const { return first_; }    // lag of entry 0, a margin below the least one in use
  int64_t least() const { return first_ + simd::kBiasMargin; }
  int64_t count() const { return stride_ - 2 * simd::kBiasMargin; }  // lags in use

 private:
  int64_t rows_ = 0, stride_ = 0, first_ = 0;
  Aligned<T> data_;
};

}  // namespace subquad::attention
