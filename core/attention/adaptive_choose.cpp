// Method: docs/adaptive.md, section on choosing.
#include "core/attention/adaptive_choose.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <numeric>
#include <optional>

#include "core/attention/conv_far_merge.hpp"
#include "core/base/text.hpp"

namespace subquad::attention {

namespace {

constexpr double kPlanningShare = 0.08;  // of exact attention's time
constexpr int64_t kTiles = 16;           // of each sample
constexpr float kNeedleShare = 0x1p-2f;  // of a row's weights, from which a group is taken apart in any case
constexpr double kConvPairs = 36;        // exact pairs that a row's conv far field costs per doubling of their number
constexpr double kDearConv = 0.06;       // relative to exact attention: beyond, fitting one costs too much of planning
constexpr double kDearSelection = 0.3;   // relative to exact attention: screening then costs less
// Shares of a row's mass below which it leaves a tile out: by a bound that is loose, so they may be far above the tolerance.
constexpr float kTilesLeftOut = 16;  // all tiles that a row leaves out, relative to one
constexpr float kLeftOut = 0x1p-5f, kLeftOutPerShare = 8, kMostLeftOut = 0.5f;
constexpr double kBudgetMargin = 0.9;  // of a budget: pairs are counted on sampled rows
constexpr double kMargin = 0.85;       // a choice must meet this much of the tolerance on the rows it is chosen by
constexpr int64_t kWindow = 128;
constexpr int64_t kSinks = 4, kHeavy = 60;
constexpr float kHeavyShare = 0.002f;             // of the sampled rows' mass: a key with less is not heavy
constexpr uint64_t kStream = 0x616461;            // of random numbers, plus the head's number
constexpr int64_t kStrictStretch = 960;           // rows that strict causality leaves exact; stretches end at its doublings
static_assert(kStrictStretch % kQueryTile == 0);  // a tile of queries belongs to one stretch

constexpr float kShares[] = {8, 4, 2, 1, 0x1p-1f, 0x1p-2f, 0x1p-3f, 0x1p-4f, 0x1p-5f, 0x1p-6f, 0x1p-7f, 0x1p-9f, 0x1p-11f, 0};

constexpr char kStrictWhy[] = "strict causality leaves the first 960 rows exact";
constexpr char kCheaper[] = "exact attention is cheaper";
constexpr int64_t kLeastTiles = 4;  // of each sample

// Tiles of each sample whose exact rows take half of what planning may: rows come in six per pair of tiles, and their tiles run half
// as far again as the rows do.
int64_t affordable_tiles(int64_t rows, int64_t keys, double pairs) {
  if (rows < 2 * kLeastTiles * kQueryTile) return 0;
  return static_cast<int64_t>(kPlanningShare / 2 * pairs / (1.5 * 6 * static_cast<double>(keys)));
}

template <class T>
int64_t visible_pairs(const Problem<T>& problem, int64_t batch, int64_t first, int64_t last) {
  const KeyRange range = problem.keys_in_range(batch);
  int64_t pairs = 0;
  if (!problem.causal) return range.size() * (last - first);
  for (int64_t row = first; row < last; ++row) pairs += problem.visible(range, row).size();
  return pairs;
}

std::string brief(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2g", value);
  return buffer;
}

// What a candidate did on a sample.
struct Trial {
  TileErrors errors;
  double cost = 0;      // relative to exact attention
  double computed = 0;  // share of the visible pairs
  PassCounts counts;
  int64_t pairs = 0;  // visible ones of the rows that it ran
};

template <class T>
class HeadChooser {
 public:
  HeadChooser(const ChoiceInput<T>& input, int64_t batch, int64_t head, HeadPass& pass, PassKeys& keys,
              std::optional<ConvFarField<T>>& far)
      : in_(input),
        p_(input.low.problem()),
        batch_(batch),
        head_(head),
        low_(input.low.head(batch, head)),
        pass_(pass),
        keys_(keys),
        far_(far),
        stream_(kStream + static_cast<uint64_t>(batch * p_.q_heads() + head)) {
    keys_.all = &input.low.keys(batch, head);
  }

  HeadPlan choose() {
    const auto start = std::chrono::steady_clock::now();
    HeadPlan plan;
    plan.pairs = visible_pairs(0, p_.n_q());
    if (in_.request.strict_causal) {
      choose_stretches(plan);
    } else {
      plan.stretches.push_back({0, p_.n_q(), choose_rows(plan, 0, p_.n_q(), static_cast<double>(plan.pairs))});
      if (!plan.exact()) judge(plan);
    }
    if (!plan.exact()) plan.fallback.clear();
    if (!plan.stretches.empty() && plan.exact()) plan.error = {};
    plan.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return plan;
  }

 private:
  int64_t visible_pairs(int64_t first, int64_t last) const { return attention::visible_pairs(p_, batch_, first, last); }

  // The first rows exact, then stretches that double, each by what the rows before it say.
  void choose_stretches(HeadPlan& plan) {
    const int64_t n = p_.n_q();
    plan.stretches.push_back({0, std::min(kStrictStretch, n), {}});
    plan.fallback = kStrictWhy;
    for (int64_t first = kStrictStretch; first < n; first *= 2) {
      // The cost of the whole stretch, even where the rows end before it: a choice must not know how many there are.
      const double pairs = static_cast<double>(visible_pairs(first / 2, first)) * 4;
      plan.stretches.push_back({first, std::min(2 * first, n), choose_rows(plan, first / 2, first, pairs)});
    }
    if (!plan.exact()) judge(plan);
  }

  // A choice by rows first .. last - 1, for rows that have so many pairs.
  HeadChoice choose_rows(HeadPlan& plan, int64_t first, int64_t last, double pairs) {
    pairs_ = pairs;
    spent_ = 0;
    const int64_t tiles = affordable_tiles(last - first, last_key(last), pairs);
    if (tiles < kLeastTiles) return exact(plan, kCheaper);
    sample_ = sample_rows(first, last, std::min(kTiles, tiles), in_.request.seed, stream_);
    take_exact_rows();
    if (in_.request.budget) return best_within_budget(plan);
    return cheapest_within_tolerance(plan);
  }

  int64_t last_key(int64_t end_row) const { return std::max<int64_t>(low_.last_key(end_row - 1) + 1 - low_.first_key, 1); }

  HeadChoice exact(HeadPlan& plan, std::string why) const {
    plan.fallback = std::move(why);
    return {};
  }

  // Exact outputs of both samples: of their rows together, since tiles of rows are what exact attention is fast in.
  void take_exact_rows() {
    std::vector<int64_t> rows = rows_of(sample_.choosing);
    const std::vector<int64_t> fresh = rows_of(sample_.fresh);
    rows.insert(rows.end(), fresh.begin(), fresh.end());
    std::sort(rows.begin(), rows.end());
    exact_ = in_.exact.rows(batch_, head_, rows);
  }

  const T* exact_row(int64_t row) const {
    const auto found = std::lower_bound(exact_.rows.begin(), exact_.rows.end(), row);
    return exact_.o.data() + (found - exact_.rows.begin()) * p_.d_v();
  }

  // The cheapest that meets the tolerance on the rows to choose by and on fresh ones.
  HeadChoice cheapest_within_tolerance(HeadPlan& plan) {
    // What no choice can do without: if it errs too much, nothing else need be tried.
    const double least = least_error();
    if (least > margin() * *in_.request.tol) return exact(plan, "8-bit integers alone err by " + brief(least));
    std::optional<Candidate> selected, screened;
    if (selects()) selected = cheapest_selected();
    const bool cheap = selected && selected->cost <= logit_cost();  // no screening costs less
    if (!cheap && (in_.request.parts & kPartScreening) != 0) screened = cheapest_screened(plan);
    if (selected && (!screened || selected->cost <= screened->cost)) {
      prepare(selected->choice);
      if (meets(selected->choice, sample_.fresh, 1)) return selected->choice;
      if (!screened && (in_.request.parts & kPartScreening) != 0) screened = cheapest_screened(plan);
    }
    if (screened) {
      if (screened->cost >= 1) return exact(plan, kCheaper);
      return screened->choice;
    }
    if (plan.fallback.empty()) plan.fallback = "no part in use meets the tolerance";
    return {};
  }

  // Selection is for blocks of rows together: with strict causality a row's choice may depend on no later one.
  bool selects() const { return in_.estimate == Estimate::sampled && !in_.request.strict_causal; }

  // The error of 8-bit integers on the rows to choose by, with nothing left out; and what keys matter to them.
  double least_error() {
    HeadChoice all;
    all.kind = HeadKind::screened;
    const Trial trial = attempt(all, sample_.choosing);
    whole_cost_ = trial.cost;
    if (selects()) key_mass_ = pass_.column_mass(*keys_.all, kWindow);
    return trial.errors.relative();
  }

  struct Candidate {
    HeadChoice choice;
    double cost;
  };

  bool meets(const HeadChoice& choice, const std::vector<SampleTile>& tiles, double margin) {
    return attempt(choice, tiles).errors.relative() <= margin * *in_.request.tol;
  }

  // With strict causality the rows that are chosen by are others than those that are chosen for.
  double margin() const { return in_.request.strict_causal ? kMargin / 2 : kMargin; }

  // Errors fall and costs rise along the list: the window with heavy keys first, then the range of the others is halved.
  std::optional<Candidate> cheapest_selected() {
    const std::vector<HeadChoice> list = selected_candidates();
    std::optional<Candidate> best;
    for (size_t low = 0, high = list.size(), next = 0; low < high && spent_ < kPlanningShare; next = (low + high) / 2) {
      prepare(list[next]);
      const Trial trial = attempt(list[next], sample_.choosing);
      const bool met = trial.errors.relative() <= margin() * *in_.request.tol;
      if (met && trial.cost < 1) best = Candidate{list[next], trial.cost};
      if (met || trial.cost > kDearSelection) {
        high = next;
      } else {
        low = next + 1;
      }
    }
    if (!best && conv_cost() < kDearConv && takes_conv() && spent_ < kPlanningShare) {
      HeadChoice choice = list.front();
      choice.conv = true;
      choice.expand = 2;  // what is taken apart would count twice
      choice.conv_rows = rows_of(sample_.choosing);
      prepare(choice);
      const Trial trial = attempt(choice, sample_.choosing);
      if (trial.errors.relative() <= margin() * *in_.request.tol && (!best || trial.cost < best->cost))
        best = Candidate{choice, trial.cost};
    }
    return best;
  }

  // A conv far field is for causal self-attention of contiguous rows.
  bool takes_conv() const {
    const bool aligned =
        p_.causal && p_.n_q() == p_.n_k() && low_.diagonal == 0 && low_.first_key == 0 && low_.end_key == p_.n_k();
    const auto k = in_.low.k(batch_, head_), v = in_.low.v(batch_, head_);
    const bool contiguous = low_.q.strides[1] == 1 && k.strides[1] == 1 && v.strides[1] == 1;
    return (in_.request.parts & kPartConv) != 0 && aligned && contiguous && !p_.has_bias();
  }

  // Of fit and product, relative to exact attention.
  double conv_cost() const {
    return kConvPairs * static_cast<double>(p_.n_q()) * std::log2(static_cast<double>(p_.n_q())) / pairs_;
  }

  // Screening always computes the window.
  static simd::LowLimits limits_of(float share) { return {share, kTilesLeftOut * share, static_cast<int32_t>(kWindow)}; }

  // Errors rise with the share that rows may leave out: the range of shares is halved.
  std::optional<Candidate> cheapest_screened(HeadPlan& plan) {
    HeadChoice choice;
    choice.kind = HeadKind::screened;
    size_t low = 0, high = std::size(kShares) - 1;  // the last, of nothing left out, is known to meet the tolerance
    double cost = whole_cost_;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      choice.limits = limits_of(kShares[middle]);
      const Trial trial = attempt(choice, sample_.choosing);
      if (trial.errors.relative() <= margin() * *in_.request.tol) {
        high = middle;
        cost = trial.cost;
      } else {
        low = middle + 1;
      }
    }
    for (; high < std::size(kShares);
         high = high + 1 == std::size(kShares) ? high + 1 : std::min(high + 2, std::size(kShares) - 1)) {
      choice.limits = limits_of(kShares[high]);
      // No row may leave out more than the sampled ones did: their errors say nothing of such a row.
      const double missed = attempt(choice, sample_.choosing).counts.missed;
      choice.limits.all = std::min(choice.limits.all, static_cast<float>(missed / std::max(1 - missed, 1e-6)));
      if (meets(choice, sample_.fresh, 1)) return Candidate{choice, cost};
      if (plan.fallback.empty()) plan.fallback = "fresh rows err by more than the tolerance";
    }
    return {};
  }

  HeadChoice best_within_budget(HeadPlan& plan) {
    const double budget = *in_.request.budget;
    const double share =
        budget <= 1 ? budget : budget * static_cast<double>(p_.n_q()) / std::max(1.0, static_cast<double>(plan.pairs));
    if (share >= 1) return exact(plan, "the budget is all pairs");
    std::vector<HeadChoice> candidates;
    least_error();
    if (selects()) candidates = selected_candidates();
    if ((in_.request.parts & kPartScreening) != 0) {
      for (const float left_out : kShares) {
        candidates.emplace_back();
        candidates.back().kind = HeadKind::screened;
        candidates.back().limits = limits_of(left_out);
      }
    }
    const HeadChoice *best = nullptr, *smallest = nullptr;
    double least = 0, fewest = 0;
    for (const HeadChoice& choice : candidates) {
      prepare(choice);
      const Trial trial = attempt(choice, sample_.choosing);
      const double error = trial.errors.relative();
      if (smallest == nullptr || trial.computed < fewest) {
        smallest = &choice;
        fewest = trial.computed;
      }
      if (trial.computed > kBudgetMargin * share || !(error < 1) || (best != nullptr && error >= least)) continue;
      best = &choice;
      least = error;
    }
    if (best == nullptr && fewest > kBudgetMargin * share) best = smallest;
    if (best == nullptr) return exact(plan, "nothing within the budget errs by less than 1");
    prepare(*best);
    return *best;
  }

  // In order of cost: a window, with heavy columns, with centroids, with more and more groups of keys.
  std::vector<HeadChoice> selected_candidates() {
    const int64_t parts = in_.request.parts;
    if (p_.has_bias()) return {};  // summaries of keys know no lags
    HeadChoice choice;
    choice.kind = HeadKind::selected;
    choice.window = kWindow;
    choice.limits = {kLeftOut, kTilesLeftOut * kLeftOut, 0};
    std::vector<HeadChoice> list;
    if ((parts & kPartHeavy) != 0) choice.heavy = heavy_keys();
    // Even the least selection looks at all groups for all rows: a key that one row needs is found by its group's mean.
    if ((parts & kPartSelection) != 0) choice.expand = kNeedleShare;
    list.push_back(choice);
    if ((parts & kPartCentroids) != 0) {
      choice.centroids = true;
      list.push_back(choice);
    }
    if ((parts & kPartSelection) != 0) {
      for (const float share : {0x1p-3f, 0x1p-4f, 0x1p-5f, 0x1p-6f, 0x1p-7f, 0x1p-8f}) {
        choice.expand = share;
        const float left_out = std::min(kLeftOutPerShare * share, kMostLeftOut);
        choice.limits = {left_out, kTilesLeftOut * left_out, 0};
        list.push_back(choice);
      }
    }
    return list;
  }

  std::vector<int64_t> sinks() const {
    std::vector<int64_t> keys(static_cast<size_t>(std::clamp<int64_t>(low_.end_key - low_.first_key, 0, kSinks)));
    std::iota(keys.begin(), keys.end(), low_.first_key);
    return keys;
  }

  // Keys with the largest mass over the rows to choose by, beyond their windows.
  std::vector<int64_t> heavy_keys() {
    const std::vector<float>& mass = key_mass_;
    const float least = kHeavyShare * static_cast<float>(rows_of(sample_.choosing).size());
    std::vector<int64_t> order;
    for (int64_t j = low_.first_key + kSinks; j < low_.end_key; ++j) {
      if (mass[static_cast<size_t>(j)] > least) order.push_back(j);
    }
    const auto most = std::min<size_t>(order.size(), kHeavy);
    std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(most), order.end(), [&](int64_t a, int64_t b) {
      const float x = mass[static_cast<size_t>(a)], y = mass[static_cast<size_t>(b)];
      return x != y ? x > y : a < b;
    });
    order.resize(most);
    const std::vector<int64_t> first = sinks();
    order.insert(order.end(), first.begin(), first.end());
    std::sort(order.begin(), order.end());
    return order;
  }

  void prepare(const HeadChoice& choice) {
    if (choice.kind != HeadKind::selected) return;
    if (choice.heavy != prepared_heavy_) {
      keys_ = {};
      far_.reset();
      prepared_heavy_ = choice.heavy;
    }
    add_pass_keys(in_.run.workspace, in_.monitor, in_.low, batch_, head_, choice, keys_);
    if (!choice.conv) {
      far_.reset();
    } else if (!far_) {
      far_ = fit_far_field<T>(in_.run, Team(in_.monitor), low_.q, in_.low.k(batch_, head_), p_.scale, choice);
      spend(conv_cost() / 2 * pairs_);
    }
  }

  // Runs a candidate on a sample.
  Trial attempt(const HeadChoice& choice, const std::vector<SampleTile>& tiles) {
    Trial trial;
    if (choice.kind == HeadKind::screened) {
      attempt_rows(choice, tiles, trial);
    } else {
      attempt_tiles(choice, tiles, trial);
    }
    return trial;
  }

  // Rows of all tiles together: a screened row does not depend on those beside it.
  void attempt_rows(const HeadChoice& choice, const std::vector<SampleTile>& tiles, Trial& trial) {
    const std::vector<int64_t> rows = rows_of(tiles);
    const auto count = static_cast<int64_t>(rows.size());
    pass_.begin(in_.low.kernels(), low_, rows.data(), count);
    pass_.run(keys_, choice, [](int64_t, int64_t) {});
    trial.counts = pass_.counts();
    int64_t r = 0, pairs = 0;
    for (const SampleTile& tile : tiles) {
      trial.errors.add_tile();
      for (const int64_t row : tile.rows) {
        add_error(row, r++, trial.errors);
        pairs += visible(row);
      }
    }
    trial.pairs = pairs;
    const double all = std::max<double>(static_cast<double>(pairs), 1);
    trial.computed = static_cast<double>(trial.counts.pairs.computed) / all;
    trial.cost = logit_cost() + weight_cost() * static_cast<double>(trial.counts.work.computed) / all;
    spend(static_cast<double>(count) * static_cast<double>(last_key(rows.back() + 1)) * trial.cost);
  }

  void attempt_tiles(const HeadChoice& choice, const std::vector<SampleTile>& tiles, Trial& trial) {
    int64_t pairs = 0;
    if (choice.conv) take_far_rows(rows_of(tiles));
    for (const SampleTile& tile : tiles) {
      std::vector<int64_t> rows(static_cast<size_t>(tile.count));
      std::iota(rows.begin(), rows.end(), tile.first);
      pass_.begin(in_.low.kernels(), low_, rows.data(), tile.count);
      pass_.run(keys_, choice, [](int64_t, int64_t) {});
      trial.counts.join(pass_.counts());
      trial.errors.add_tile();
      for (const int64_t row : tile.rows) add_error(row, row - tile.first, trial.errors);
      for (const int64_t row : rows) pairs += visible(row);
      in_.monitor.advance(0);
    }
    trial.pairs = pairs;
    const double all = std::max<double>(static_cast<double>(pairs), 1);
    trial.computed = static_cast<double>(trial.counts.pairs.computed) / all;
    trial.cost = logit_cost() * static_cast<double>(trial.counts.work.looked) / all +
                 weight_cost() * static_cast<double>(trial.counts.work.computed) / all;
    spend(all * trial.cost);
    if (choice.conv) trial.cost += conv_cost();
    far_rows_.clear();
  }

  void take_far_rows(const std::vector<int64_t>& rows) {
    far_rows_ = rows;
    far_o_.resize(rows.size() * static_cast<size_t>(p_.d_v()));
    const View<T, 2> o{far_o_.data(), {static_cast<int64_t>(rows.size()), p_.d_v()}, {p_.d_v(), 1}};
    far_field_rows<T>(in_.run, Team(in_.monitor), *far_, in_.low.v(batch_, head_), rows, o);
  }

  // The kernels' costs are for 64 columns in single precision: operations per pair, of vectors of 32-bit lanes, scale them.
  double exact_operations() const { return (static_cast<double>(p_.d() + p_.d_v()) + 20) * (sizeof(T) / sizeof(float)); }
  double logit_cost() const {
    return in_.low.kernels().logit_cost * (static_cast<double>(round_up(p_.d(), 4)) / 4 + 5) / 21 * 148 / exact_operations();
  }
  double weight_cost() const {
    return in_.low.kernels().weight_cost * (static_cast<double>(round_up(p_.d_v(), 16)) / 4 + 16) / 32 * 148 / exact_operations();
  }

  int64_t visible(int64_t row) const { return std::max<int64_t>(low_.last_key(row) + 1 - low_.first_key, 0); }
  void spend(double pairs) { spent_ += pairs / pairs_; }

  void add_error(int64_t row, int64_t r, TileErrors& errors) {
    output_.resize(static_cast<size_t>(p_.d_v()));
    T lse;
    pass_.queries().finish(low_, r, p_.d_v(), output_.data(), 1, &lse);
    if (!far_rows_.empty()) {
      const auto place = std::lower_bound(far_rows_.begin(), far_rows_.end(), row) - far_rows_.begin();
      merge_far(far_->lse[static_cast<size_t>(row)], far_o_.data() + place * p_.d_v(), p_.d_v(), output_.data(), 1, &lse);
    }
    const T* const o = exact_row(row);
    for (int64_t c = 0; c < p_.d_v(); ++c) {
      const double y = static_cast<double>(o[c]), x = static_cast<double>(output_[static_cast<size_t>(c)]);
      errors.error.back() += (x - y) * (x - y);
      errors.norm.back() += y * y;
    }
  }

  // The estimate of the whole head, by rows that no choice has seen.
  void judge(HeadPlan& plan) {
    if (in_.request.strict_causal) {
      sample_ = sample_rows(0, p_.n_q(), kTiles, in_.request.seed, stream_ + (uint64_t{1} << 32));
      take_exact_rows();
    }
    TileErrors errors;
    for (const Stretch& stretch : plan.stretches) {
      std::vector<SampleTile> tiles;
      for (const SampleTile& tile : sample_.fresh) {
        if (tile.rows.front() >= stretch.first && tile.rows.front() < stretch.last) tiles.push_back(tile);
      }
      if (tiles.empty()) continue;
      Trial trial;
      if (stretch.choice.kind == HeadKind::exact) {
        for (const SampleTile& tile : tiles) add_norms(tile, trial.errors);
      } else {
        trial = attempt(stretch.choice, tiles);
        plan.expected.join(trial.counts);
        judged_pairs_ += trial.pairs;
      }
      errors.error.insert(errors.error.end(), trial.errors.error.begin(), trial.errors.error.end());
      errors.norm.insert(errors.norm.end(), trial.errors.norm.begin(), trial.errors.norm.end());
    }
    plan.error = errors.estimate();
    scale_expected(plan);
    plan.sampled_rows = static_cast<int64_t>(rows_of(sample_.fresh).size());
  }

  // From the rows that the judging passes had to all rows of the head.
  void scale_expected(HeadPlan& plan) const {
    if (judged_pairs_ == 0) return;
    const double factor = static_cast<double>(plan.pairs) / static_cast<double>(judged_pairs_);
    for (int64_t* const count : {&plan.expected.pairs.looked, &plan.expected.pairs.computed, &plan.expected.selected})
      *count = static_cast<int64_t>(static_cast<double>(*count) * factor);
    plan.expected.pairs.looked = std::min(plan.expected.pairs.looked, plan.pairs);
    plan.expected.pairs.computed = std::min(plan.expected.pairs.computed, plan.expected.pairs.looked);
  }

  void add_norms(const SampleTile& tile, TileErrors& errors) const {
    errors.add_tile();
    for (const int64_t row : tile.rows) {
      const T* const o = exact_row(row);
      for (int64_t c = 0; c < p_.d_v(); ++c) errors.norm.back() += static_cast<double>(o[c]) * static_cast<double>(o[c]);
    }
  }

  const ChoiceInput<T>& in_;
  const Problem<T>& p_;
  const int64_t batch_, head_;
  const LowHead<T> low_;
  HeadPass& pass_;
  PassKeys& keys_;
  std::optional<ConvFarField<T>>& far_;
  const uint64_t stream_;
  int64_t judged_pairs_ = 0;
  double pairs_ = 0, spent_ = 0;  // of the rows a choice is for; shares of exact attention's time
  RowSample sample_;
  SampledRows<T> exact_;
  std::vector<int64_t> prepared_heavy_;
  double whole_cost_ = 0;          // of all pairs in 8-bit integers
  std::vector<float> key_mass_;    // per key beyond the windows, summed over the rows to choose by
  std::vector<T> output_, far_o_;  // of a row; of the far field of far_rows_
  std::vector<int64_t> far_rows_;
};

}  // namespace

template <class T>
void add_pass_keys(Workspace& workspace, Monitor& monitor, const LowProblem<T>& low, int64_t batch, int64_t head,
                   const HeadChoice& choice, PassKeys& keys) {
  keys.all = &low.keys(batch, head);
  if (choice.kind != HeadKind::selected) return;
  const auto k = low.k(batch, head), v = low.v(batch, head);
  const std::vector<float>& center = low.center(batch, head);
  if (!choice.heavy.empty() && !keys.heavy) {
    keys.heavy = quantize_some_keys(workspace, low.kernels(), k, v, center, choice.heavy);
    keys.rest = LowKeys::sharing(workspace, *keys.all);
    for (const int64_t j : choice.heavy) keys.rest->hide(j);
  }
  if ((choice.centroids || choice.expand <= 1) && !keys.levels)
    keys.levels = LowLevels::build(Team(monitor), workspace, low.kernels(), k, v, center, choice.heavy);
}

template void add_pass_keys<float>(Workspace&, Monitor&, const LowProblem<float>&, int64_t, int64_t, const HeadChoice&,
                                   PassKeys&);
template void add_pass_keys<double>(Workspace&, Monitor&, const LowProblem<double>&, int64_t, int64_t, const HeadChoice&,
                                    PassKeys&);

template <class T>
std::string exact_by_shape(const Problem<T>& problem, int64_t batch, const AdaptiveRequest& request) {
  if (request.tol && *request.tol == 0) return "tol is 0";
  if (!fits_low_precision(problem)) return "rows or sequences are too long for 8-bit passes";
  if (request.strict_causal) return problem.n_q() <= kStrictStretch ? kStrictWhy : std::string();
  const KeyRange range = problem.keys_in_range(batch);
  const int64_t keys = problem.n_q() > 0 ? problem.visible(range, problem.n_q() - 1).size() : 0;
  const double pairs = static_cast<double>(visible_pairs(problem, batch, 0, problem.n_q()));
  return keys == 0 || affordable_tiles(problem.n_q(), keys, pairs) < kLeastTiles ? kCheaper : std::string();
}

template std::string exact_by_shape<float>(const Problem<float>&, int64_t, const AdaptiveRequest&);
template std::string exact_by_shape<double>(const Problem<double>&, int64_t, const AdaptiveRequest&);

template <class T>
ConvFarField<T> fit_far_field(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k,
                              double scale, const HeadChoice& choice) {
  return fit_conv_far_field<T>(run, team, q, k, scale, choice.window, choice.heavy, choice.conv_rows);
}

template ConvFarField<float> fit_far_field<float>(Execution&, const Team&, const View<const float, 2>&,
                                                  const View<const float, 2>&, double, const HeadChoice&);
template ConvFarField<double> fit_far_field<double>(Execution&, const Team&, const View<const double, 2>&,
                                                    const View<const double, 2>&, double, const HeadChoice&);

template <class T>
HeadPlan choose_head(const ChoiceInput<T>& input, int64_t batch, int64_t head, HeadPass& pass, PassKeys& keys,
                     std::optional<ConvFarField<T>>& far) {
  return HeadChooser<T>(input, batch, head, pass, keys, far).choose();
}

template HeadPlan choose_head<float>(const ChoiceInput<float>&, int64_t, int64_t, HeadPass&, PassKeys&,
                                     std::optional<ConvFarField<float>>&);
template HeadPlan choose_head<double>(const ChoiceInput<double>&, int64_t, int64_t, HeadPass&, PassKeys&,
                                      std::optional<ConvFarField<double>>&);

}  // namespace subquad::attention
