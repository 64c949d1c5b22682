// One attention problem, validated: views, mask and logit options, with the questions that forward and backward ask of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "core/base/views.hpp"

namespace subquad::attention {

// Keys [first, last) by index.
struct KeyRange {
  int64_t first, last;
  int64_t size() const { return std::max<int64_t>(last - first, 0); }
};

// Largest magnitude of a position or offset: sums of a few stay far from overflow.
inline constexpr int64_t kMaxPosition = int64_t{1} << 62;  // options are held to a quarter of it

template <class T>
struct Problem {
  View<const T, 4> q;  // [batch][q_heads][n_q][d]
  View<const T, 4> k;  // [batch][kv_heads][n_k][d]
  View<const T, 4> v;  // [batch][kv_heads][n_k][d_v]
  double scale = 1;
  bool causal = false;
  int64_t causal_offset = 0;  // query i stands at i + causal_offset
  int64_t key_offset = 0;     // key j stands at j + key_offset
  View<const T, 2> lag_bias;  // [q_heads or 1][lags]; no data: none
  int64_t lag_min = 0;
  View<const int64_t, 2> key_ranges;  // [batch or 1][2]; no data: none

  int64_t batch() const { return q.shape[0]; }
  int64_t q_heads() const { return q.shape[1]; }
  int64_t kv_heads() const { return k.shape[1]; }
  int64_t n_q() const { return q.shape[2]; }
  int64_t n_k() const { return k.shape[2]; }
  int64_t d() const { return q.shape[3]; }
  int64_t d_v() const { return v.shape[3]; }
  int64_t group_size() const { return kv_heads() > 0 ? q_heads() / kv_heads() : 0; }
  bool has_bias() const { return lag_bias.data != nullptr; }

  // Keys that some query of this batch element may see, before causality.
  KeyRange keys_in_range(int64_t batch_index) const {
    if (key_ranges.data == nullptr) return {0, n_k()};
    const int64_t row = key_ranges.shape[0] == 1 ? 0 : batch_index;
    const int64_t start = std::max(*key_ranges.at(row, 0), key_offset),
                  end = std::min(*key_ranges.at(row, 1), key_offset + n_k());
    return start < end ? KeyRange{start - key_offset, end - key_offset} : KeyRange{0, 0};
  }

  // Query i sees key j where j <= i + diagonal(), if causal.
  int64_t diagonal() const { return causal ? causal_offset - key_offset : kMaxPosition; }

  // Those of `range` that query i sees.
  KeyRange visible(KeyRange range, int64_t i) const {
    if (causal) range.last = std::clamp(i + diagonal() + 1, range.first, std::max(range.first, range.last));
    return range;
  }

  int64_t lag(int64_t i, int64_t j) const { return (i + causal_offset) - (j + key_offset); }

  // Visible pairs over batch and query heads.
  int64_t pairs() const;

  // Least and greatest lag of a visible pair; first > second when there is none.
  std::pair<int64_t, int64_t> visible_lags() const;
};

template <class T>
int64_t Problem<T>::pairs() const {
  int64_t total = 0;
  for (int64_t b = 0; b < batch(); ++b) {
    const KeyRange range = keys_in_range(b);
    if (!causal) {
      total += n_q() * range.size();
      continue;
    }
    // Queries before `start` see nothing, those from `full` on see the whole range, the number grows by one in between.
    const int64_t start = std::clamp<int64_t>(range.first - diagonal(), 0, n_q());
    const int64_t full = std::clamp<int64_t>(range.last - 1 - diagonal(), start, n_q());
    const int64_t at_start = visible(range, start).size();
    total += (full - start) * at_start + (full - start) * (full - start - 1) / 2 + (n_q() - full) * range.size();
  }
  return total * q_heads();
}

template <class T>
std::pair<int64_t, int64_t> Problem<T>::visible_lags() const {
  std::pair<int64_t, int64_t> lags{std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()};
  for (int64_t b = 0; b < batch() && n_q() > 0; ++b) {
    const KeyRange range = keys_in_range(b);
    if (range.size() == 0) continue;
    const int64_t greatest = lag(n_q() - 1, range.first), least = lag(0, range.last - 1);
    if (causal && greatest < 0) continue;
    lags.first = std::min(lags.first, causal ? std::max<int64_t>(least, 0) : least);
    lags.second = std::max(lags.second, greatest);
  }
  return lags;
}

}  // namespace subquad::attention
