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

  int64_t last_key(int64_t row) const { return causal ? std::min(row + diagonal, end_key - 1) : end_key - 1; }
};

// Groups of a set of keys that a tile of queries goes over.
struct LowGroups {
  const LowKeys* keys;
  bool masked;  // whether some row may not see some of the keys, or some keys do not count
  float share;  // what a row may leave out, as a multiple of what it has seen: see simd::LowTile
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

  // The results of row number r: d_v sums times 1 / sum, and the log-sum-exp (natural; -inf where nothing was seen).
  template <class T>
  void finish(const LowHead<T>& head, int64_t r, int64_t d_v, T* o, int64_t o_stride, T* lse) const;

  int64_t count() const { return state_.rows; }
  int64_t row(int64_t r) const { return rows_[static_cast<size_t>(r)]; }
  // log2 of the mass seen so far, weights times scales of values; far below 0 where nothing was seen.
  float log2_mass(int64_t r) const;
  // Bound of the share of its weights, and of its weights times their values' scales, that row r left out.
  double missed_share(int64_t r) const;
  int64_t computed_rows() const { return computed_; }  // rows times tiles of keys whose weights were computed, since begin
  int64_t looked_rows() const { return looked_; }      // rows times tiles whose logits were

 private:
  simd::LowTile tile(const LowGroups& set, const int64_t* groups, int64_t count, const uint16_t* lanes) const;

  const simd::LowPrecisionKernels* kernels_ = nullptr;
  int64_t d_, d_v_;  // padded
  std::array<int64_t, simd::kTileQueries> rows_{};
  Aligned<int8_t> q_;
  Aligned<float> q_scale_, max_, sum_, mass_, missed_, missed_sum_, o_, logits_, tops_, masses_;
  Aligned<int32_t> q_start_, last_, row_;
  Aligned<uint8_t> weights_;
  const float* bias_ = nullptr;
  simd::LowQueries state_{};
  simd::LowScratch scratch_{};
  int64_t computed_ = 0, looked_ = 0;
};

}  // namespace subquad::attention
