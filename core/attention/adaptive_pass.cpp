// Method: docs/adaptive.md, sections on screening and on selection.
#include "core/attention/adaptive_pass.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace subquad::attention {

using simd::kGroupKeys;
using simd::kTileGroups;
using simd::kTileKeys;
using simd::kTileQueries;

PassCounts HeadPass::counts() const {
  PassCounts counts{queries_.work(), queries_.pairs(), selected_, 0};
  for (int64_t r = 0; r < queries_.count(); ++r) counts.missed = std::max(counts.missed, queries_.missed_share(r));
  return counts;
}

std::vector<float> HeadPass::column_mass(const LowKeys& keys, int64_t window) {
  const int64_t rows = queries_.count(), tiles = (keys.count() + kTileKeys - 1) / kTileKeys;
  std::array<float, kTileQueries> reference{}, sums{};
  for (int64_t r = 0; r < rows; ++r) reference[static_cast<size_t>(r)] = queries_.log2_mass(r);
  queries_.shorten(window);
  std::vector<float> mass(static_cast<size_t>(tiles * kTileKeys), 0.0f);
  for (int64_t tile = first_key_ / kTileKeys; tile * kTileKeys < end_key_; ++tile) {
    const int64_t groups[] = {4 * tile, 4 * tile + 1, 4 * tile + 2, 4 * tile + 3};
    queries_.look({&keys, true, {}}, groups, kTileGroups);
    kernels_->shares(queries_.logits(), reference.data(), rows, sums.data(), mass.data() + tile * kTileKeys);
  }
  return mass;
}

// Nodes that every row sees whole and none has in its window stay; those that are so in part are taken apart at once.
void HeadPass::find_far_nodes(int64_t level) {
  int64_t keys_per_node = 1;
  for (int64_t l = 0; l < level; ++l) keys_per_node *= kGroupKeys;
  lanes_.assign(frontier_.size(), 0);
  next_.clear();
  for (size_t f = 0; f < frontier_.size(); ++f) {
    for (int64_t lane = 0; lane < kGroupKeys; ++lane) {
      const int64_t node = frontier_[f] * kGroupKeys + lane, start = node * keys_per_node, end = start + keys_per_node;
      if (start >= end_key_ || end <= first_key_ || (start >= near_start_ && std::min(end, end_key_) <= near_end_)) continue;
      const bool far = start >= first_key_ && end <= whole_ && (end <= near_start_ || start >= near_end_);
      if (far) {
        lanes_[f] = static_cast<uint16_t>(lanes_[f] | 1u << lane);
      } else {
        next_.push_back(node);
      }
    }
  }
}

void HeadPass::weigh_window(const LowKeys& rest, const LowKeys* heavy) {
  reference_.fill(simd::kHiddenLogit);
  sums_.fill(0);
  weigh_groups(rest, near_start_ / kGroupKeys, (near_end_ + kGroupKeys - 1) / kGroupKeys);
  if (heavy != nullptr) weigh_groups(*heavy, 0, heavy->groups());
  for (size_t r = 0; r < static_cast<size_t>(queries_.count()); ++r) {
    // A row that has seen nothing takes whatever group it sees for much.
    if (sums_[r] > 0) reference_[r] += std::log2(sums_[r]);
  }
}

void HeadPass::weigh_groups(const LowKeys& keys, int64_t first, int64_t last) {
  std::array<float, kTileKeys> totals{};
  for (int64_t group = first; group < last; group += kTileGroups) {
    const int64_t groups[] = {group, group + 1, group + 2, group + 3};
    const int64_t count = std::min(kTileGroups, last - group);
    const int32_t* const position = keys.view().position;
    const bool masked = position[group * kGroupKeys] < first_key_ || position[(group + count) * kGroupKeys - 1] >= whole_;
    queries_.look({&keys, masked, {}, true}, groups, count);
    for (size_t r = 0; r < static_cast<size_t>(queries_.count()); ++r) {
      const float top = queries_.log2_top(static_cast<int64_t>(r));
      if (!(top > reference_[r])) continue;
      sums_[r] *= std::exp2(reference_[r] - top);
      reference_[r] = top;
    }
    kernels_->shares(queries_.logits(), reference_.data(), queries_.count(), sums_.data(), totals.data());
  }
}

// Finds which nodes have a large share of some row's weights, all nodes of the level counted; they leave lanes_ for next_.
void HeadPass::weigh_nodes(const LowKeys& nodes, const HeadChoice& choice) {
  if (choice.expand > 1) return;
  const size_t rows = static_cast<size_t>(queries_.count()), tile_size = kTileQueries * kTileKeys;
  std::array<float, kTileQueries> reference = reference_, sums{};
  std::array<float, kTileKeys> totals{}, tops{};
  logits_.resize((frontier_.size() + kTileGroups - 1) / kTileGroups * tile_size);
  for (size_t f = 0, t = 0; f < frontier_.size(); f += kTileGroups, ++t) {
    queries_.look({&nodes, some_lanes(f), {}, true}, &frontier_[f], tile_count(f), &lanes_[f]);
    std::copy_n(queries_.logits(), rows * kTileKeys, logits_.data() + t * tile_size);
    kernels_->shares(queries_.logits(), reference.data(), queries_.count(), sums.data(), totals.data());
  }
  for (size_t r = 0; r < rows; ++r) {
    if (std::isfinite(sums[r])) reference[r] += std::log2(1 + sums[r]);
  }
  const float least = std::log2(choice.expand);
  for (size_t f = 0, t = 0; f < frontier_.size(); f += kTileGroups, ++t) {
    kernels_->tops(logits_.data() + t * tile_size, reference.data(), queries_.count(), tops.data());
    for (int64_t key = 0; key < tile_count(f) * kGroupKeys; ++key) {
      if (!(tops[static_cast<size_t>(key)] > least)) continue;
      const size_t group = f + static_cast<size_t>(key / kGroupKeys);
      const auto bit = static_cast<uint16_t>(1u << key % kGroupKeys);
      if ((lanes_[group] & bit) == 0) continue;
      lanes_[group] = static_cast<uint16_t>(lanes_[group] & ~bit);
      next_.push_back(frontier_[group] * kGroupKeys + key % kGroupKeys);
    }
  }
}

}  // namespace subquad::attention
