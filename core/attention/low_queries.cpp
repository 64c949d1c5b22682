#include "core/attention/low_queries.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace subquad::attention {

using simd::kTileGroups;
using simd::kTileKeys;
using simd::kTileQueries;

LowQueries::LowQueries(int64_t d, int64_t d_v)
    : d_(round_up(d, 4)),
      d_v_(round_up(d_v, 16)),
      q_(kTileQueries * d_),
      q_scale_(kTileQueries),
      max_(kTileQueries),
      sum_(kTileQueries),
      mass_(kTileQueries),
      missed_(kTileQueries),
      missed_sum_(kTileQueries),
      o_(kTileQueries * d_v_),
      logits_(kTileQueries * kTileKeys),
      tops_(kTileQueries * 16),
      masses_(kTileQueries * 16),
      q_start_(kTileQueries),
      first_(kTileQueries),
      last_(kTileQueries),
      row_(kTileQueries),
      weights_(kTileQueries * kTileKeys) {
  state_ = {0,          q_.get(),   q_scale_.get(), q_start_.get(), last_.get(),       row_.get(), first_.get(),
            max_.get(), sum_.get(), mass_.get(),    missed_.get(),  missed_sum_.get(), o_.get()};
  scratch_ = {logits_.get(), tops_.get(), masses_.get(), weights_.get()};
  std::fill_n(tops_.get(), kTileQueries * 16, 0.0f);
  std::fill_n(masses_.get(), kTileQueries * 16, 0.0f);
}

template <class T>
void LowQueries::begin(const simd::LowPrecisionKernels& kernels, const LowHead<T>& head, const int64_t* rows, int64_t count) {
  constexpr int32_t kLevels = 127;
  kernels_ = &kernels;
  const int64_t d = head.q.shape[1];
  std::vector<float> buffer;
  std::fill_n(q_.get(), kTileQueries * d_, int8_t{0});
  for (int64_t r = 0; r < kTileQueries; ++r) {
    last_.get()[r] = -1;
    row_.get()[r] = static_cast<int32_t>(rows[std::min(r, count - 1)]);
    q_scale_.get()[r] = 0;
    q_start_.get()[r] = 0;
    if (r >= count) continue;
    rows_[static_cast<size_t>(r)] = rows[r];
    int8_t* const q = q_.get() + r * d_;
    const float scale = kernels.quantize(float_row(head.q, rows[r], buffer), nullptr, d, kLevels, q);
    q_scale_.get()[r] = static_cast<float>(static_cast<double>(scale) * head.scale * kLog2E);
    q_start_.get()[r] = -(kernels.key_levels + 1) * std::accumulate(q, q + d, int32_t{0});
    last_.get()[r] = static_cast<int32_t>(head.last_key(rows[r]));
  }
  std::fill_n(max_.get(), kTileQueries, simd::kHiddenLogit);
  for (float* const zero : {sum_.get(), mass_.get(), missed_.get(), missed_sum_.get()}) std::fill_n(zero, kTileQueries, 0.0f);
  std::fill_n(o_.get(), kTileQueries * d_v_, 0.0f);
  state_.rows = count;
  first_key_ = static_cast<int32_t>(head.first_key);
  look_back(0);
  bias_ = head.bias;
  work_ = pairs_ = {};
}

simd::LowTile LowQueries::tile(const LowGroups& set, const int64_t* groups, int64_t count, const uint16_t* lanes) const {
  simd::LowTile tile{
      &(set.by_keys ? set.keys->key_view() : set.keys->view()), {}, set.masked || count < kTileGroups, {}, bias_, set.limits};
  for (int64_t g = 0; g < kTileGroups; ++g) {
    tile.group[g] = groups[std::min(g, count - 1)];
    tile.lanes[g] = g >= count ? uint16_t{0} : lanes != nullptr ? lanes[g] : uint16_t{0xFFFF};
  }
  return tile;
}

int64_t LowQueries::attend(const LowGroups& set, const int64_t* groups, int64_t count, const uint16_t* lanes) {
  const int64_t active = kernels_->attend(tile(set, groups, count, lanes), state_, scratch_);
  work_.computed += active * kTileKeys;
  work_.looked += state_.rows * kTileKeys;
  if (lanes == nullptr) count_pairs(set, groups, count, active);
  return active;
}

// Of the rows that see a key of these groups, in proportion to those that it mattered to.
void LowQueries::count_pairs(const LowGroups& set, const int64_t* groups, int64_t count, int64_t active) {
  int64_t pairs = 0, rows = 0;
  if (!set.masked) {
    rows = state_.rows;
    for (int64_t g = 0; g < count; ++g) pairs += rows * set.keys->count_of(groups[g]);
  } else {
    for (int64_t r = 0; r < state_.rows; ++r) {
      int64_t seen = 0;
      for (int64_t g = 0; g < count; ++g) seen += set.keys->count_between(groups[g], first_.get()[r], last_.get()[r]);
      pairs += seen;
      rows += seen > 0 ? 1 : 0;
    }
  }
  pairs_.looked += pairs;
  if (rows > 0) pairs_.computed += pairs * std::min(active, rows) / rows;
}

void LowQueries::look(const LowGroups& set, const int64_t* groups, int64_t count, const uint16_t* lanes) {
  kernels_->logits(tile(set, groups, count, lanes), state_, scratch_);
  work_.looked += state_.rows * kTileKeys;
}

void LowQueries::shorten(int64_t keys) {
  for (int64_t r = 0; r < state_.rows; ++r) last_.get()[r] = static_cast<int32_t>(std::max<int64_t>(last_.get()[r] - keys, -1));
}

float LowQueries::log2_top(int64_t r) const {
  const float* const tops = tops_.get() + r * 16;
  return *std::max_element(tops, tops + 16);
}

void LowQueries::look_back(int64_t keys) {
  for (int64_t r = 0; r < kTileQueries; ++r)
    first_.get()[r] = keys == 0 ? first_key_ : static_cast<int32_t>(std::max<int64_t>(last_.get()[r] - keys + 1, first_key_));
}

float LowQueries::log2_mass(int64_t r) const {
  return mass_.get()[r] > 0 ? max_.get()[r] + std::log2(mass_.get()[r]) : simd::kHiddenLogit;
}

double LowQueries::missed_share(int64_t r) const {
  const auto share = [](float missed, float seen) {
    return missed > 0 ? static_cast<double>(missed) / (static_cast<double>(missed) + static_cast<double>(seen)) : 0.0;
  };
  return std::max(share(missed_.get()[r], mass_.get()[r]), share(missed_sum_.get()[r], sum_.get()[r]));
}

template <class T>
void LowQueries::finish(const LowHead<T>& head, int64_t r, int64_t d_v, T* o, int64_t o_stride, T* lse) const {
  const float sum = sum_.get()[r];
  const float* const sums = o_.get() + r * d_v_;
  const float inverse = sum > 0 ? 1 / sum : 0;
  for (int64_t c = 0; c < d_v; ++c) o[c * o_stride] = static_cast<T>(sums[c] * inverse);
  if (lse == nullptr) return;
  if (!(sum > 0)) {
    *lse = -std::numeric_limits<T>::infinity();
    return;
  }
  double shift = 0;  // of all logits: that of the center
  const int64_t i = row(r);
  for (int64_t c = 0; c < head.q.shape[1]; ++c)
    shift += static_cast<double>(*head.q.at(i, c)) * static_cast<double>(head.center[c]);
  *lse = static_cast<T>((static_cast<double>(max_.get()[r]) + std::log2(static_cast<double>(sum))) * kLn2 + head.scale * shift);
}

#define SUBQUAD_INSTANTIATE(T)                                                                                      \
  template void LowQueries::begin<T>(const simd::LowPrecisionKernels&, const LowHead<T>&, const int64_t*, int64_t); \
  template void LowQueries::finish<T>(const LowHead<T>&, int64_t, int64_t, T*, int64_t, T*) const;
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
