// Method: docs/adaptive.md, section on 8-bit integers. A key that softmax cannot tell from another is taken off all of them first.
#include "core/attention/low_keys.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "core/base/aligned.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kRowsPerTask = 512;   // a multiple of the kernels' group
constexpr float kTinyScale = 0x1p-90f;  // smaller values count as zero: their scale's inverse must not overflow

}  // namespace

LowKeys::LowKeys(Workspace& workspace, int64_t d, int64_t d_v, int64_t count) : count_(count) {
  const int64_t slots = round_up(std::max<int64_t>(count, 1), simd::kTileKeys);
  view_.d = round_up(d, 4);
  view_.d_v = round_up(d_v, 16);
  k_ = Lease<uint8_t>(workspace, slots * view_.d);
  v_ = Lease<int8_t>(workspace, slots * view_.d_v);
  k_scale_ = Lease<float>(workspace, slots);
  offset_ = Lease<float>(workspace, slots);
  key_offset_ = Lease<float>(workspace, slots);
  unit_ = Lease<float>(workspace, slots);
  position_ = Lease<int32_t>(workspace, slots);
  for (int64_t slot = count; slot < slots; ++slot) {
    hide(slot);
    k_scale_.get()[slot] = unit_.get()[slot] = 0;
    position_.get()[slot] = std::numeric_limits<int32_t>::max() - 1;
  }
  const int64_t tail = count / simd::kGroupKeys * simd::kGroupKeys;  // the last group's absent keys
  std::fill(k_.get() + tail * view_.d, k_.get() + slots * view_.d, uint8_t{0});
  std::fill(v_.get() + tail * view_.d_v, v_.get() + slots * view_.d_v, int8_t{0});
  view_.k = k_.get();
  view_.k_scale = k_scale_.get();
  view_.offset = offset_.get();
  view_.unit = unit_.get();
  view_.v = v_.get();
  view_.position = position_.get();
  key_view_ = view_;
  key_view_.offset = key_offset_.get();
}

void LowKeys::continue_positions() {
  const int64_t slots = round_up(std::max<int64_t>(count_, 1), simd::kTileKeys);
  for (int64_t slot = count_; slot < slots; ++slot) position_.get()[slot] = static_cast<int32_t>(slot);
}

void LowKeys::leave_out(int64_t slot) {
  hide(slot);
  left_out_.resize(static_cast<size_t>(groups()));
  left_out_[static_cast<size_t>(slot / simd::kGroupKeys)].set(static_cast<size_t>(slot % simd::kGroupKeys));
}

LowKeys LowKeys::sharing(Workspace& workspace, const LowKeys& other) {
  const int64_t slots = round_up(std::max<int64_t>(other.count_, 1), simd::kTileKeys);
  LowKeys keys;
  keys.count_ = other.count_;
  keys.view_ = other.view_;
  keys.key_view_ = other.key_view_;
  keys.offset_ = Lease<float>(workspace, slots);
  keys.key_offset_ = Lease<float>(workspace, slots);
  std::copy_n(other.view_.offset, slots, keys.offset_.get());
  std::copy_n(other.key_view_.offset, slots, keys.key_offset_.get());
  keys.view_.offset = keys.offset_.get();
  keys.key_view_.offset = keys.key_offset_.get();
  return keys;
}

void LowKeys::set_key(const simd::LowPrecisionKernels& kernels, int64_t slot, const float* row, const float* center, int64_t d,
                      int32_t position, float log2_count) {
  constexpr int64_t kMost = 4096;
  int8_t integers[kMost];
  k_scale_.get()[slot] = kernels.quantize(row, center, d, kernels.key_levels, integers);
  std::fill(integers + d, integers + view_.d, int8_t{0});
  const int64_t group = slot / simd::kGroupKeys, lane = slot % simd::kGroupKeys;
  uint8_t* const to = k_.get() + group * simd::kGroupKeys * view_.d + lane * 4;
  for (int64_t l = 0; l < view_.d; l += 4) {
    uint8_t four[4];
    for (int64_t b = 0; b < 4; ++b) four[b] = static_cast<uint8_t>(integers[l + b] + kernels.key_levels + 1);
    std::memcpy(to + l * simd::kGroupKeys, four, 4);
  }
  position_.get()[slot] = position;
  offset_.get()[slot] = key_offset_.get()[slot] = log2_count;
}

float LowKeys::set_value(const simd::LowPrecisionKernels& kernels, int64_t slot, const float* row, int64_t d_v,
                         float least_scale) {
  constexpr int64_t kMost = 4096;
  int8_t integers[kMost];
  constexpr int32_t kLevels = 127;
  float own = kernels.quantize(row, nullptr, d_v, kLevels, integers);
  if (own < kTinyScale) {
    own = 0;
    std::fill(integers, integers + d_v, int8_t{0});
  }
  float scale = own;
  if (own < least_scale) {
    scale = least_scale;
    for (int64_t c = 0; c < d_v; ++c)
      integers[c] = static_cast<int8_t>(std::lrint(static_cast<float>(integers[c]) * own / scale));
  }
  int8_t* const to = v_.get() + slot / 4 * 4 * view_.d_v + slot % 4;
  for (int64_t c = 0; c < d_v; ++c) to[c * 4] = integers[c];
  for (int64_t c = d_v; c < view_.d_v; ++c) to[c * 4] = 0;
  const float divisor = scale > 0 ? scale : kTinyScale;  // 0: no value before this one differs from 0 either
  offset_.get()[slot] += std::log2(divisor);
  unit_.get()[slot] = 1 / divisor;
  return scale;
}

template <class T>
const float* float_row(const View<const T, 2>& rows, int64_t i, std::vector<float>& buffer) {
  const T* const row = rows.at(i);
  if constexpr (std::is_same_v<T, float>) {
    if (rows.strides[1] == 1) return row;
  }
  buffer.resize(static_cast<size_t>(rows.shape[1]));
  for (int64_t c = 0; c < rows.shape[1]; ++c) buffer[static_cast<size_t>(c)] = static_cast<float>(row[c * rows.strides[1]]);
  return buffer.data();
}

template <class T>
LowKeys quantize_keys(const Team& team, Workspace& workspace, const simd::LowPrecisionKernels& kernels, const View<const T, 2>& k,
                      const View<const T, 2>& v, const std::vector<float>& center) {
  const int64_t n = k.shape[0], tasks = (n + kRowsPerTask - 1) / kRowsPerTask;
  LowKeys keys(workspace, k.shape[1], v.shape[1], n);
  keys.continue_positions();
  // Largest magnitude of the values of each stretch, then of all before it: a value's least scale depends on none after it.
  std::vector<float> largest(static_cast<size_t>(tasks) + 1, 0.0f);
  const auto size_of = [](T x) {
    const float size = std::abs(static_cast<float>(x));
    return size == 0 && x != 0 ? std::numeric_limits<float>::denorm_min() : size;
  };
  const auto larger = [](float a, float b) { return a >= b || std::isnan(a) ? a : b; };
  const auto magnitude = [&](int64_t i) {
    float most = 0;
    for (int64_t c = 0; c < v.shape[1]; ++c) most = larger(most, size_of(*v.at(i, c)));
    return most;
  };
  team.run(tasks, [&](int64_t task, int64_t) {
    float most = 0;
    for (int64_t i = task * kRowsPerTask; i < std::min((task + 1) * kRowsPerTask, n); ++i) most = larger(most, magnitude(i));
    largest[static_cast<size_t>(task) + 1] = most;
    team.monitor().advance(0);
  });
  for (size_t task = 1; task < largest.size(); ++task) largest[task] = larger(largest[task - 1], largest[task]);
  keys.set_largest_value(largest.back());
  team.run(tasks, [&](int64_t task, int64_t) {
    std::vector<float> buffer;
    float before = largest[static_cast<size_t>(task)] / 127;
    for (int64_t i = task * kRowsPerTask; i < std::min((task + 1) * kRowsPerTask, n); ++i) {
      keys.set_key(kernels, i, float_row(k, i, buffer), center.data(), k.shape[1], static_cast<int32_t>(i), 0);
      before = std::max(before, keys.set_value(kernels, i, float_row(v, i, buffer), v.shape[1], before * kLeastValueScale));
    }
    team.monitor().advance(0);
  });
  return keys;
}

template <class T>
LowKeys quantize_some_keys(Workspace& workspace, const simd::LowPrecisionKernels& kernels, const View<const T, 2>& k,
                           const View<const T, 2>& v, const std::vector<float>& center, const std::vector<int64_t>& keys) {
  LowKeys some(workspace, k.shape[1], v.shape[1], static_cast<int64_t>(keys.size()));
  std::vector<float> buffer;
  float before = 0;
  for (size_t slot = 0; slot < keys.size(); ++slot) {
    const int64_t i = keys[slot];
    some.set_key(kernels, static_cast<int64_t>(slot), float_row(k, i, buffer), center.data(), k.shape[1], static_cast<int32_t>(i),
                 0);
    before = std::max(before, some.set_value(kernels, static_cast<int64_t>(slot), float_row(v, i, buffer), v.shape[1],
                                             before * kLeastValueScale));
  }
  return some;
}

template <class T>
std::vector<float> mean_key(const Team& team, const View<const T, 2>& k, int64_t count) {
  const int64_t d = k.shape[1], n = std::min(count, k.shape[0]), tasks = (n + kRowsPerTask - 1) / kRowsPerTask;
  std::vector<double> sums(static_cast<size_t>(tasks * d), 0.0);
  team.run(tasks, [&](int64_t task, int64_t) {
    double* const sum = sums.data() + task * d;
    for (int64_t i = task * kRowsPerTask; i < std::min((task + 1) * kRowsPerTask, n); ++i) {
      for (int64_t c = 0; c < d; ++c) sum[c] += static_cast<double>(*k.at(i, c));
    }
    team.monitor().advance(0);
  });
  std::vector<float> mean(static_cast<size_t>(d), 0.0f);
  for (int64_t c = 0; c < d; ++c) {
    double total = 0;
    for (int64_t task = 0; task < tasks; ++task) total += sums[static_cast<size_t>(task * d + c)];
    mean[static_cast<size_t>(c)] = static_cast<float>(n > 0 ? total / static_cast<double>(n) : 0);
  }
  return mean;
}

#define SUBQUAD_INSTANTIATE(T)                                                                                             \
  template const float* float_row<T>(const View<const T, 2>&, int64_t, std::vector<float>&);                               \
  template LowKeys quantize_keys<T>(const Team&, Workspace&, const simd::LowPrecisionKernels&, const View<const T, 2>&,    \
                                    const View<const T, 2>&, const std::vector<float>&);                                   \
  template LowKeys quantize_some_keys<T>(Workspace&, const simd::LowPrecisionKernels&, const View<const T, 2>&,            \
                                         const View<const T, 2>&, const std::vector<float>&, const std::vector<int64_t>&); \
  template std::vector<float> mean_key<T>(const Team&, const View<const T, 2>&, int64_t);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
