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
  PassCounts counts{queries_.computed_rows() * kTileKeys, queries_.looked_rows() * kTileKeys, selected_, 0};
  for (int64_t r = 0; r < queries_.count(); ++r) counts.missed = std::max(counts.missed, queries_.missed_share(r));
  return counts;
}

std::vector<float> HeadPass::column_mass(const LowKeys& keys, int64_t window) {
  const int64_t rows = queries_.count(), tiles = (keys.count() + kTileKeys - 1) / kTileKeys;
  std::array<float, kTileQueries> reference{}, sums{};
  std::array<float, kTileKeys> largest{};
  for (int64_t r = 0; r < rows; ++r) reference[static_cast<size_t>(r)] = queries_.log2_mass(r);
  queries_.shorten(window);
  std::vector<float> mass(static_cast<size_t>(tiles * kTileKeys), 0.0f);
  for (int64_t tile = first_key_ / kTileKeys; tile * kTileKeys < end_key_; ++tile) {
    const int64_t groups[] = {4 * tile, 4 * tile + 1, 4 * tile + 2, 4 * tile + 3};
    queries_.look({&keys, true, 0}, groups, kTileGroups);
    kernels_->shares(queries_.logits(), reference.data(), rows, sums.data(), largest.data(), mass.data() + tile * kTileKeys);
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

// Finds which nodes some row gives a large share of its mass, counting all nodes at this level; they leave lanes_ for next_.
void HeadPass::weigh_nodes(const LowKeys& nodes, const HeadChoice& choice) {
  if (choice.expand > 1) return;
  const size_t tiles = (frontier_.size() + kTileGroups - 1) / kTileGroups;
  const int64_t rows = queries_.count(), tile_size = kTileQueries * kTileKeys;
  logits_.resize(tiles * static_cast<size_t>(tile_size));
  std::array<float, kTileQueries> reference{}, sums{};
  std::array<float, kTileKeys> largest{}, totals{};
  for (int64_t r = 0; r < rows; ++r) reference[static_cast<size_t>(r)] = queries_.log2_mass(r);
  for (size_t t = 0; t < tiles; ++t) {
    const size_t f = t * kTileGroups;
    queries_.look({&nodes, true, 0}, &frontier_[f], tile_count(f), &lanes_[f]);
    float* const logits = logits_.data() + t * static_cast<size_t>(tile_size);
    std::copy_n(queries_.logits(), rows * kTileKeys, logits);
    kernels_->shares(logits, reference.data(), rows, sums.data(), largest.data(), totals.data());
  }
  for (int64_t r = 0; r < rows; ++r) reference[static_cast<size_t>(r)] += std::log2(1 + sums[static_cast<size_t>(r)]);
  for (size_t t = 0; t < tiles; ++t) {
    kernels_->shares(logits_.data() + t * static_cast<size_t>(tile_size), reference.data(), rows, sums.data(), largest.data(),
                     totals.data());
    for (int64_t key = 0; key < tile_count(t * kTileGroups) * kGroupKeys; ++key) {
      if (!(largest[static_cast<size_t>(key)] > choice.expand)) continue;
      const size_t f = t * kTileGroups + static_cast<size_t>(key / kGroupKeys);
      const auto bit = static_cast<uint16_t>(1u << key % kGroupKeys);
      if ((lanes_[f] & bit) == 0) continue;
      lanes_[f] = static_cast<uint16_t>(lanes_[f] & ~bit);
      next_.push_back(frontier_[f] * kGroupKeys + key % kGroupKeys);
    }
  }
}

}  // namespace subquad::attention
