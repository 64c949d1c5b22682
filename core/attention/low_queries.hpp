// A tile of queries in 8-bit integers, and its online softmax over tiles of keys.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/attention/layout.hpp"
#include "core/attention/low_keys.hpp"
#include "core/base/aligned.hpp"
#include "core/simd/low_precision_kernels.hpp"

namespace subquad::attention {

// What the rows of one query head have in common.
template <class T>
struct LowHead {
  View<const T, 2> q;   // n_q x d
  double scale;         // of inner products
  const float* center;  // taken off every key, [d]
  bool causal;
  int64_t diagonal;            // causal: row i sees keys up to i + diagonal
  int64_t first_key, end_key;  // keys that rows see, before causality
  const float* bias;           // NULL, or bias[j - i] is added to the logit of row i and key j, in units of log 2

  // Below first_key where the row sees none.
  int64_t last_key(int64_t row) const {
    return causal ? std::max<int64_t>(std::min(row + diagonal, end_key - 1), -1) : end_key - 1;
  }
  // Keys that the row sees.
  int64_t visible(int64_t row) const { return std::max<int64_t>(last_key(row) + 1 - first_key, 0); }
};

// Groups of a set of keys that a tile of queries goes over.
struct LowGroups {
  const LowKeys* keys;
  bool masked;             // whether some row may not see some of the keys, or some keys do not count
  simd::LowLimits limits;  // of what rows may leave out
  bool by_keys = false;    // logits without the scales of values, for choices that values have no part in
};

// Pairs of which a logit was computed, and of these the ones whose weight was.
struct PairCounts {
  int64_t looked = 0, computed = 0;
};

class LowQueries {
 public:
  LowQueries(int64_t d, int64_t d_v);

  // Take up rows of a head (at most kTileQueries, in increasing order), with nothing seen yet.
  template <class T>
  void begin(const simd::LowPrecisionKernels& kernels, const LowHead<T>& head, const int64_t* rows, int64_t count);

  // Go over groups first .. first + count - 1 of a set of keys (count <= 4), or over listed ones. Returns the rows that it mattered to.
  int64_t attend(const LowGroups& set, const int64_t* groups, int64_t count, const uint16_t* lanes = nullptr);
  // Logits of groups, in logits().
  void look(const LowGroups& set, const int64_t* groups, int64_t count, const uint16_t* lanes = nullptr);
  const float* logits() const { return logits_.get(); }

  // From now on rows see keys up to so many fewer.
  void shorten(int64_t keys);
  // From now on rows see only the last `keys` of the keys that the head lets them see, or all of them (0).
  void look_back(int64_t keys);

  // The results of row number r: d_v sums times 1 / sum, and the log-sum-exp (natural; -inf where nothing was seen).
  template <class T>
  void finish(const LowHead<T>& head, int64_t r, int64_t d_v, T* o, int64_t o_stride, T* lse) const;

  int64_t count() const { return state_.rows; }
  int64_t row(int64_t r) const { return rows_[static_cast<size_t>(r)]; }
  // log2 of the mass seen so far, weights times scales of values; far below 0 where nothing was seen.
  float log2_mass(int64_t r) const;
  // Bound of the share of its weights, and of its weights times their values' scales, that row r left out.
  double missed_share(int64_t r) const;
  PairCounts work() const { return work_; }    // since begin, with what no row sees and with keys that stand for others
  PairCounts pairs() const { return pairs_; }  // of queries and keys that they see
  // Largest logit of row r in the last tile that was looked at, in units of log 2.
  float log2_top(int64_t r) const;

 private:
  void count_pairs(const LowGroups& set, const int64_t* groups, int64_t count, int64_t active);
  simd::LowTile tile(const LowGroups& set, const int64_t* groups, int64_t count, const uint16_t* lanes) const;

  const simd::LowPrecisionKernels* kernels_ = nullptr;
  int64_t d_, d_v_;  // padded
  std::array<int64_t, simd::kTileQueries> rows_{};
  Aligned<int8_t> q_;
  Aligned<float> q_scale_, max_, sum_, mass_, missed_, missed_sum_, o_, logits_, tops_, masses_;
  Aligned<int32_t> q_start_, first_, last_, row_;
  int32_t first_key_ = 0;
  Aligned<uint8_t> weights_;
  const float* bias_ = nullptr;
  simd::LowQueries state_{};
  simd::LowScratch scratch_{};
  PairCounts work_, pairs_;
};

}  // namespace subquad::attention
