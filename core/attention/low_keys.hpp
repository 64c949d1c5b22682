// Keys and values in 8-bit integers, as the low-precision kernels read them.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/base/views.hpp"
#include "core/base/workspace.hpp"
#include "core/parallel/team.hpp"
#include "core/simd/low_precision_kernels.hpp"

namespace subquad::attention {

// Memory for `count` keys, rounded up to whole tiles; keys that are not there are hidden.
class LowKeys {
 public:
  LowKeys() = default;
  LowKeys(Workspace& workspace, int64_t d, int64_t d_v, int64_t count);

  int64_t count() const { return count_; }
  // Largest magnitude of the values of quantize_keys; NaN where one is.
  float largest_value() const { return largest_value_; }
  int64_t groups() const { return (count_ + simd::kGroupKeys - 1) / simd::kGroupKeys; }
  const simd::LowKeys& view() const { return view_; }
  // The same without the scales of values.
  const simd::LowKeys& key_view() const { return key_view_; }
  // Keys of a group, at any position or at positions first to last, without the ones that were left out.
  int64_t count_of(int64_t group) const {
    return std::min(simd::kGroupKeys, count_ - group * simd::kGroupKeys) - static_cast<int64_t>(left_out(group).count());
  }
  int64_t count_between(int64_t group, int32_t first, int32_t last) const {
    const int32_t* const position = view_.position + group * simd::kGroupKeys;
    const auto left = left_out(group);
    if (left.none() && position[simd::kGroupKeys - 1] - position[0] == simd::kGroupKeys - 1) {
      return std::max(0, std::min(last, position[simd::kGroupKeys - 1]) - std::max(first, position[0]) + 1);
    }
    int64_t count = 0;
    for (size_t lane = 0; lane < simd::kGroupKeys; ++lane)
      count += position[lane] >= first && position[lane] <= last && !left[lane] ? 1 : 0;
    return count;
  }

  // Key number `slot`: its row minus center, its place in the order of positions, and log2 of how many keys it stands for.
  void set_key(const simd::LowPrecisionKernels& kernels, int64_t slot, const float* row, const float* center, int64_t d,
               int32_t position, float log2_count);
  // The value of key number `slot`, with a scale of at least `least_scale`; returns its scale. After set_key.
  float set_value(const simd::LowPrecisionKernels& kernels, int64_t slot, const float* row, int64_t d_v, float least_scale);
  // No query sees a slot without a key.
  void hide(int64_t slot) { offset_.get()[slot] = key_offset_.get()[slot] = simd::kHiddenLogit; }
  // Leave a key out.
  void leave_out(int64_t slot);

  void set_largest_value(float magnitude) { largest_value_ = magnitude; }
  // Absent keys get the positions that follow the last one, where key number i stands at position i.
  void continue_positions();

  // Keys and values are shared with `other`, which must live as long; what hides keys is this one's own.
  static LowKeys sharing(Workspace& workspace, const LowKeys& other);

 private:
  using Group = std::bitset<simd::kGroupKeys>;
  Group left_out(int64_t group) const { return left_out_.empty() ? Group() : left_out_[static_cast<size_t>(group)]; }

  int64_t count_ = 0;
  std::vector<Group> left_out_;  // by group; empty where none is
  float largest_value_ = 0;
  Lease<uint8_t> k_;
  Lease<int8_t> v_;
  Lease<float> k_scale_, offset_, key_offset_, unit_;
  Lease<int32_t> position_;
  simd::LowKeys view_{}, key_view_{};
};

// A value's scale is at least this share of the largest before it: far smaller ones would leave their key's weight no digits.
inline constexpr float kLeastValueScale = 0x1p-10f;

// The rows of one head as contiguous floats: in place, or through `buffer`.
template <class T>
const float* float_row(const View<const T, 2>& rows, int64_t i, std::vector<float>& buffer);

// All keys and values of a head. center: what is taken off each key, [d].
template <class T>
LowKeys quantize_keys(const Team& team, Workspace& workspace, const simd::LowPrecisionKernels& kernels, const View<const T, 2>& k,
                      const View<const T, 2>& v, const std::vector<float>& center);

// Some of them, in increasing order.
template <class T>
LowKeys quantize_some_keys(Workspace& workspace, const simd::LowPrecisionKernels& kernels, const View<const T, 2>& k,
                           const View<const T, 2>& v, const std::vector<float>& center, const std::vector<int64_t>& keys);

// Mean of the first `count` keys.
template <class T>
std::vector<float> mean_key(const Team& team, const View<const T, 2>& k, int64_t count);

}  // namespace subquad::attention
