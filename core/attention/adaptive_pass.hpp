// One head in low precision: what a tile of queries goes over, by the parts that were chosen for the head.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/attention/low_levels.hpp"
#include "core/attention/low_queries.hpp"

namespace subquad::attention {

enum class HeadKind { exact, screened, selected };

// What was chosen for a head.
struct HeadChoice {
  HeadKind kind = HeadKind::exact;
  simd::LowLimits limits;      // of what rows may leave out
  int64_t window = 0;          // selected: keys before it that a query sees at least
  std::vector<int64_t> heavy;  // selected: keys for all queries, increasing
  float expand = 2;            // selected: share of a row's weights from which a group of keys is taken apart; above 1 none is
  bool centroids = false;      // selected: groups that are not taken apart count by their means
  bool conv = false;           // selected: pairs at least the window apart, but for heavy keys, by a conv far field
  std::vector<int64_t> conv_rows;  // whose masses it is fitted to
};

// What a pass took, in pairs.
struct PassCounts {
  PairCounts work, pairs;  // see LowQueries
  int64_t selected = 0;    // pairs of rows and keys of chosen groups
  double missed = 0;       // largest over rows
  void join(const PassCounts& other) {
    work.computed += other.work.computed;
    work.looked += other.work.looked;
    pairs.computed += other.pairs.computed;
    pairs.looked += other.pairs.looked;
    selected += other.selected;
    missed = std::max(missed, other.missed);
  }
};

// The quantized keys that a head's passes read, where the choice has such parts.
struct PassKeys {
  const LowKeys* all = nullptr;
  std::optional<LowKeys> heavy, rest;  // rest: all but the heavy ones
  std::optional<LowLevels> levels;     // of the rest
};

// The passes of one worker.
class HeadPass {
 public:
  HeadPass(int64_t d, int64_t d_v) : queries_(d, d_v) {}

  // Take up rows of a head (increasing), with nothing seen yet.
  template <class T>
  void begin(const simd::LowPrecisionKernels& kernels, const LowHead<T>& head, const int64_t* rows, int64_t count) {
    kernels_ = &kernels;
    queries_.begin(kernels, head, rows, count);
    first_key_ = head.first_key;
    end_key_ = head.last_key(rows[count - 1]) + 1;
    whole_ = head.last_key(rows[0]) + 1;
    first_position_ = rows[0] + head.diagonal;
    last_position_ = rows[count - 1] + head.diagonal;
    selected_ = 0;
  }

  // All that `choice` has for these rows; results then come from queries().finish. Selected: rows must be consecutive.
  // visit(first key, end key) is told of tiles of keys that mattered to a row.
  template <class Visit>
  void run(const PassKeys& keys, const HeadChoice& choice, const Visit& visit) {
    if (end_key_ <= first_key_) return;
    if (choice.kind == HeadKind::selected) return select(keys, choice, visit);
    screen_tile(*keys.all, first_tile(), choice.limits, visit);
    for (int64_t tile = last_tile(); tile > first_tile(); --tile) screen_tile(*keys.all, tile, choice.limits, visit);
  }

  // Screening one tile of keys at a time, of those from first to last: the first one, then from the last one back, where most of a
  // row's mass tends to lie, so that the rest can be left out. last_tile() < first_tile() where rows see nothing.
  int64_t first_tile() const { return first_key_ / simd::kTileKeys; }
  int64_t last_tile() const { return end_key_ > first_key_ ? (end_key_ - 1) / simd::kTileKeys : first_tile() - 1; }
  template <class Visit>
  void screen_tile(const LowKeys& keys, int64_t tile, const simd::LowLimits& limits, const Visit& visit) {
    const int64_t groups[] = {4 * tile, 4 * tile + 1, 4 * tile + 2, 4 * tile + 3};
    const int64_t start = tile * simd::kTileKeys, end = start + simd::kTileKeys;
    if (queries_.attend({&keys, start < first_key_ || end > whole_, limits}, groups, simd::kTileGroups) > 0) visit(start, end);
  }

  // Share of the rows' masses that each key beyond the window has, summed over the rows of the last run, which must have left nothing
  // out. The rows have no results afterwards.
  std::vector<float> column_mass(const LowKeys& keys, int64_t window);

  const LowQueries& queries() const { return queries_; }
  PassCounts counts() const;

 private:
  template <class Visit>
  void select(const PassKeys& keys, const HeadChoice& choice, const Visit& visit) {
    near_start_ = std::clamp(first_position_ - choice.window + 1, first_key_, end_key_) / simd::kGroupKeys * simd::kGroupKeys;
    near_end_ = std::min(round_up(std::max<int64_t>(last_position_ + choice.window, near_start_), simd::kGroupKeys), end_key_);
    const LowKeys& rest = keys.rest ? *keys.rest : *keys.all;
    const bool expands = choice.expand <= 1;
    if (expands) weigh_window(rest, keys.heavy ? &*keys.heavy : nullptr);
    // A conv far field begins where each row's own window ends, the other parts where the tile's does.
    if (choice.conv) queries_.look_back(choice.window);
    attend_range(rest, near_start_, near_end_, choice.conv, choice.limits, visit);
    queries_.look_back(0);
    if (keys.heavy) attend_heavy(*keys.heavy, choice.limits, visit);
    if (choice.centroids || choice.expand <= 1) expand(*keys.levels, rest, choice, visit);
  }

  // log2 of the rows' weights in the window and of heavy keys, by queries and keys alone: what shares of groups are relative to.
  void weigh_window(const LowKeys& rest, const LowKeys* heavy);
  void weigh_groups(const LowKeys& keys, int64_t first, int64_t last);

  // Groups of keys from start to end, the last ones first.
  template <class Visit>
  void attend_range(const LowKeys& keys, int64_t start, int64_t end, bool masked, const simd::LowLimits& limits,
                    const Visit& visit) {
    const int64_t first = start / simd::kGroupKeys;
    for (int64_t last = (end + simd::kGroupKeys - 1) / simd::kGroupKeys; last > first; last -= simd::kTileGroups) {
      int64_t groups[simd::kTileGroups];
      const int64_t begin = std::max(first, last - simd::kTileGroups), count = last - begin;
      for (int64_t g = 0; g < count; ++g) groups[g] = begin + g;
      const int64_t from = begin * simd::kGroupKeys, to = last * simd::kGroupKeys;
      if (queries_.attend({&keys, masked || from < first_key_ || to > whole_, limits}, groups, count) > 0) visit(from, to);
    }
  }

  template <class Visit>
  void attend_heavy(const LowKeys& heavy, const simd::LowLimits& limits, const Visit& visit) {
    const int32_t* const position = heavy.view().position;
    for (int64_t slot = 0; slot < heavy.count() && position[slot] < end_key_; slot += simd::kTileKeys) {
      const int64_t group = slot / simd::kGroupKeys, last = std::min(slot + simd::kTileKeys, heavy.count());
      const int64_t count = (last - slot + simd::kGroupKeys - 1) / simd::kGroupKeys;
      const int64_t groups[] = {group, group + 1, group + 2, group + 3};
      const bool masked = position[slot] < first_key_ || position[last - 1] >= whole_;
      if (queries_.attend({&heavy, masked, limits}, groups, count) == 0) continue;
      for (int64_t s = slot; s < last; ++s) visit(position[s], position[s] + 1);
    }
  }

  // From the top level down: nodes with a large share of some row's mass are taken apart, the others count by their means or not
  // at all.
  template <class Visit>
  void expand(const LowLevels& levels, const LowKeys& rest, const HeadChoice& choice, const Visit& visit) {
    frontier_.clear();
    for (int64_t group = 0; group < levels.level(levels.top()).groups(); ++group) frontier_.push_back(group);
    for (int64_t level = levels.top(); level >= 1 && !frontier_.empty(); --level) {
      find_far_nodes(level);
      weigh_nodes(levels.level(level), choice);
      if (choice.centroids) {
        for (size_t t = 0; t < frontier_.size(); t += simd::kTileGroups)
          queries_.attend({&levels.level(level), some_lanes(t), choice.limits}, &frontier_[t], tile_count(t), &lanes_[t]);
      }
      std::sort(next_.begin(), next_.end());
      frontier_.swap(next_);
    }
    for (size_t t = 0; t < frontier_.size(); t += simd::kTileGroups) attend_groups(rest, t, choice.limits, visit);
    selected_ += static_cast<int64_t>(frontier_.size()) * simd::kGroupKeys * queries_.count();
  }

  template <class Visit>
  void attend_groups(const LowKeys& keys, size_t t, const simd::LowLimits& limits, const Visit& visit) {
    const int64_t count = tile_count(t);
    bool masked = false;
    for (int64_t g = 0; g < count; ++g) {
      const int64_t start = frontier_[t + static_cast<size_t>(g)] * simd::kGroupKeys;
      masked |= start < first_key_ || start + simd::kGroupKeys > whole_;
    }
    if (queries_.attend({&keys, masked, limits}, &frontier_[t], count) == 0) return;
    for (int64_t g = 0; g < count; ++g) {
      const int64_t start = frontier_[t + static_cast<size_t>(g)] * simd::kGroupKeys;
      visit(start, start + simd::kGroupKeys);
    }
  }

  int64_t tile_count(size_t t) const { return std::min<int64_t>(simd::kTileGroups, static_cast<int64_t>(frontier_.size() - t)); }
  // Whether some nodes of a tile of the frontier do not count.
  bool some_lanes(size_t t) const {
    bool some = false;
    for (int64_t g = 0; g < tile_count(t); ++g) some |= lanes_[t + static_cast<size_t>(g)] != 0xFFFF;
    return some;
  }
  void find_far_nodes(int64_t level);
  void weigh_nodes(const LowKeys& nodes, const HeadChoice& choice);

  const simd::LowPrecisionKernels* kernels_ = nullptr;
  LowQueries queries_;
  int64_t first_key_ = 0, end_key_ = 0;             // keys that some row sees
  int64_t whole_ = 0;                               // every row sees the keys from first_key_ up to here
  int64_t first_position_ = 0, last_position_ = 0;  // of the rows among the keys
  int64_t near_start_ = 0, near_end_ = 0;
  int64_t selected_ = 0;
  std::array<float, simd::kTileQueries> reference_{}, sums_{};  // log2 of each row's weights in its window and of heavy keys
  std::vector<int64_t> frontier_, next_;                        // groups of nodes of a level; nodes to take apart
  std::vector<float> logits_;                                   // [tile of the frontier][row][kTileKeys]
  std::vector<uint16_t> lanes_;                                 // nodes of each group of the frontier that count as such
};

}  // namespace subquad::attention
