// Method: docs/adaptive.md, sections on screening and on selection.
#include "core/attention/adaptive_candidates.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "core/attention/adaptive.hpp"

namespace subquad::attention {

namespace {

// Of a row's mass, below which it leaves a tile out. By a bound that is loose, so they may be far above the tolerance.
constexpr float kShares[] = {8, 4, 2, 1, 0x1p-1f, 0x1p-2f, 0x1p-3f, 0x1p-4f, 0x1p-5f, 0x1p-6f, 0x1p-7f, 0x1p-9f, 0x1p-11f, 0};
static_assert(std::size(kShares) == kScreenings);
constexpr float kTilesLeftOut = 16;  // all tiles that a row leaves out, relative to one: docs/decisions/0014

// Of a row's weights, from which a group is taken apart; the first in any case, so that a key that one row needs is found by its group's
// mean.
constexpr float kExpandShares[] = {0x1p-2f, 0x1p-3f, 0x1p-4f, 0x1p-5f, 0x1p-6f, 0x1p-7f, 0x1p-8f, 0x1p-9f, 0x1p-10f, 0x1p-11f};
// What rows leave out of tiles that were selected: by themselves, and relative to the share of a group that is taken apart.
constexpr float kLeftOut = 0x1p-5f, kLeftOutPerShare = 8, kMostLeftOut = 0.5f;

constexpr int64_t kSinks = 4, kHeavy = 60;
constexpr float kHeavyShare = 0.002f;  // of a row's mass on average: a key with less is not heavy

simd::LowLimits limits(float share, int64_t near) { return {share, kTilesLeftOut * share, static_cast<int32_t>(near)}; }

}  // namespace

HeadChoice screening(size_t s) {
  HeadChoice choice;
  choice.kind = HeadKind::screened;
  choice.limits = limits(kShares[s], kWindow);
  return choice;
}

std::vector<HeadChoice> selections(int64_t parts, const std::vector<int64_t>& heavy) {
  const bool selects = (parts & kPartSelection) != 0;
  HeadChoice choice;
  choice.kind = HeadKind::selected;
  choice.window = kWindow;
  choice.limits = limits(kLeftOut, 0);
  if ((parts & kPartHeavy) != 0) choice.heavy = heavy;
  if (selects) choice.expand = kExpandShares[0];
  std::vector<HeadChoice> list{choice};
  if ((parts & kPartCentroids) != 0) {
    choice.centroids = true;
    list.push_back(choice);
  }
  for (size_t s = 1; selects && s < std::size(kExpandShares); ++s) {
    choice.expand = kExpandShares[s];
    choice.limits = limits(std::min(kLeftOutPerShare * choice.expand, kMostLeftOut), 0);
    list.push_back(choice);
  }
  return list;
}

HeadChoice with_conv(HeadChoice choice, std::vector<int64_t> rows) {
  choice.conv = true;
  choice.expand = 2;  // what is taken apart would count twice
  choice.conv_rows = std::move(rows);
  return choice;
}

std::vector<int64_t> heavy_keys(int64_t first_key, int64_t end_key, const std::vector<float>& mass, int64_t rows) {
  const int64_t sinks = std::min(first_key + kSinks, end_key);
  std::vector<int64_t> keys;
  for (int64_t j = sinks; j < end_key; ++j) {
    if (mass[static_cast<size_t>(j)] > kHeavyShare * static_cast<float>(rows)) keys.push_back(j);
  }
  const auto most = std::min<size_t>(keys.size(), kHeavy);
  std::partial_sort(keys.begin(), keys.begin() + static_cast<int64_t>(most), keys.end(), [&](int64_t a, int64_t b) {
    const float x = mass[static_cast<size_t>(a)], y = mass[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  keys.resize(most);
  for (int64_t j = first_key; j < sinks; ++j) keys.push_back(j);
  std::sort(keys.begin(), keys.end());
  return keys;
}

}  // namespace subquad::attention
