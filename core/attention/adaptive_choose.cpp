// Method: docs/adaptive.md, section on choosing.
#include "core/attention/adaptive_choose.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>
#include <vector>

#include "core/attention/adaptive_candidates.hpp"

namespace subquad::attention {

namespace {

constexpr double kPlanningShare = 0.08;  // of exact attention's time
constexpr int64_t kTiles = 16;           // of each sample
constexpr int64_t kLeastTiles = 4;       // of each sample: below, estimates would be worth little
constexpr double kDearConv = 0.06;       // relative to exact attention: beyond, fitting one costs too much of planning
constexpr double kLikelySaving = 0.25;   // of what separates a selection's cost from the least one's, by trying another
constexpr double kFastestFall = 0.5;     // of errors, from one selection to the next: docs/adaptive.md
constexpr double kBudgetMargin = 0.9;    // of a budget: pairs are counted on sampled rows
constexpr int kBeyondBudget = 2;         // candidates of a kind beyond a budget, after which no finer one is tried
constexpr double kMargin = 0.85;         // a choice must meet this much of the tolerance on the rows it is chosen by
constexpr uint64_t kStream = 0x616461;   // of random numbers, plus the head's number
constexpr uint64_t kJudgeStream = uint64_t{1} << 32;  // added to it, where the judged rows are others
constexpr int64_t kStrictStretch = 960;               // rows that strict causality leaves exact; stretches end at its doublings
static_assert(kStrictStretch % kQueryTile == 0);      // a tile of queries belongs to one stretch

constexpr char kStrictWhy[] = "strict causality leaves the first 960 rows exact";
constexpr char kCheaper[] = "exact attention is cheaper";

// Tiles of each sample whose exact rows take half of what planning may: rows come in six per pair of tiles, and their tiles run half
// as far again as the rows do.
int64_t affordable_tiles(int64_t rows, int64_t keys, double pairs) {
  if (rows < 2 * kLeastTiles * kQueryTile || keys == 0) return 0;
  return static_cast<int64_t>(kPlanningShare / 2 * pairs / (1.5 * 6 * static_cast<double>(keys)));
}

std::string brief(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2g", value);
  return buffer;
}

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
        trials_(input, batch, head, pass, keys, far),
        stream_(kStream + static_cast<uint64_t>(batch * p_.q_heads() + head)) {}

  HeadPlan choose(int64_t pairs) {
    const auto start = std::chrono::steady_clock::now();
    HeadPlan plan;
    plan.pairs = pairs;
    if (in_.request.strict_causal) {
      choose_stretches(plan);
    } else {
      plan.stretches.push_back({0, p_.n_q(), choose_rows(plan, 0, p_.n_q(), static_cast<double>(pairs))});
    }
    if (!plan.exact()) {
      plan.fallback.clear();
      judge(plan);
    }
    plan.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return plan;
  }

 private:
  struct Candidate {
    HeadChoice choice;
    double cost;
  };

  // The first rows exact, then stretches that double, each by what the rows before it say.
  void choose_stretches(HeadPlan& plan) {
    plan.stretches.push_back({0, std::min(kStrictStretch, p_.n_q()), {}});
    plan.fallback = kStrictWhy;
    for (int64_t first = kStrictStretch; first < p_.n_q(); first *= 2) {
      // The cost of the whole stretch, even where the rows end before it: a choice must not know how many there are.
      int64_t pairs = 0;
      for (int64_t row = first / 2; row < first; ++row) pairs += low_.visible(row);
      const HeadChoice choice = choose_rows(plan, first / 2, first, 4 * static_cast<double>(pairs));
      plan.stretches.push_back({first, std::min(2 * first, p_.n_q()), choice});
    }
  }

  // A choice by rows first .. last - 1, for rows that have so many pairs.
  HeadChoice choose_rows(HeadPlan& plan, int64_t first, int64_t last, double pairs) {
    pairs_ = pairs;
    spent_before_ = trials_.spent_pairs();
    const int64_t tiles = affordable_tiles(last - first, low_.visible(last - 1), pairs);
    if (tiles < kLeastTiles) return exact(plan, kCheaper);
    trials_.take(sample_rows(first, last, std::min(kTiles, tiles), in_.request.seed, stream_));
    return in_.request.budget ? best_within_budget(plan) : cheapest_within_tolerance(plan);
  }

  HeadChoice exact(HeadPlan& plan, std::string why) const {
    plan.fallback = std::move(why);
    return {};
  }

  // The cheapest that meets the tolerance on the rows to choose by and on fresh ones.
  HeadChoice cheapest_within_tolerance(HeadPlan& plan) {
    // What no choice can do without: if it errs too much, nothing else need be tried.
    const Trial all = try_all_pairs();
    if (!meets(all)) return exact(plan, "8-bit integers alone err by " + brief(all.errors.relative()));
    std::optional<Candidate> selected, screened;
    if (selects()) selected = cheapest_selected();
    const bool cheap = selected && selected->cost <= trials_.logit_cost();  // no screening costs less
    if (!cheap && screens()) screened = cheapest_screened(plan, all.cost);
    if (selected && (!screened || selected->cost <= screened->cost)) {
      if (meets_on_fresh_rows(selected->choice)) return selected->choice;
      const double dear = screened ? screened->cost : screens() ? trials_.logit_cost() : 1;
      if (const auto finer = finer_selected(selected->choice, dear)) return *finer;
      if (!screened && screens()) screened = cheapest_screened(plan, all.cost);
    }
    if (screened) return screened->cost < 1 ? screened->choice : exact(plan, kCheaper);
    if (plan.fallback.empty()) plan.fallback = "no part in use meets the tolerance";
    return {};
  }

  // Selection is for blocks of rows together: with strict causality a row's choice may depend on no later one. Summaries of keys know
  // no lags.
  bool selects() const { return in_.estimate == Estimate::sampled && !in_.request.strict_causal && !p_.has_bias(); }
  bool screens() const { return (in_.request.parts & kPartScreening) != 0; }

  // All pairs in 8-bit integers, and what keys matter to the rows to choose by.
  Trial try_all_pairs() {
    Trial trial = on_choosing_rows(screening(kScreenings - 1));
    if (selects()) {
      const auto rows = static_cast<int64_t>(rows_of(trials_.sample().choosing).size());
      heavy_ = heavy_keys(low_.first_key, low_.end_key, trials_.key_mass(kWindow), rows);
    }
    return trial;
  }

  Trial on_choosing_rows(const HeadChoice& choice) { return trials_.attempt(choice, trials_.sample().choosing); }

  // With strict causality the rows that are chosen by are others than those that are chosen for.
  double most_error() const { return (in_.request.strict_causal ? kMargin / 2 : kMargin) * *in_.request.tol; }
  bool meets(const Trial& trial) const { return trial.errors.relative() <= most_error(); }

  bool meets_on_fresh_rows(const HeadChoice& choice) {
    return trials_.attempt(choice, trials_.sample().fresh).errors.relative() <= *in_.request.tol;
  }

  bool may_plan_on() const { return trials_.spent_pairs() - spent_before_ < kPlanningShare * pairs_; }

  // The least selection first, then the range of the others is halved, as long as that may save more than it takes.
  std::optional<Candidate> cheapest_selected() {
    const std::vector<HeadChoice> list = selections(in_.request.parts, heavy_);
    const double dear = screens() ? trials_.logit_cost() : 1;  // what takes its place costs as much at least
    std::optional<Candidate> best;
    double least_cost = 0;
    for (size_t low = 0, high = list.size(), next = 0; low < high && may_plan_on(); next = (low + high) / 2) {
      const Trial trial = trials_.attempt(list[next], trials_.sample().choosing, most_error());
      if (next == 0) least_cost = trial.cost;
      if (meets(trial)) {
        if (trial.cost < 1) best = Candidate{list[next], trial.cost};
        if (trial.cost * static_cast<double>(trial.pairs) > kLikelySaving * (trial.cost - least_cost) * pairs_) break;
        high = next;
      } else {
        low = next + 1;
        const double reach = std::pow(kFastestFall, list.size() - low) * trial.errors.relative();
        if (trial.cost > dear || reach > most_error()) break;
      }
    }
    const double conv_cost = trials_.conv_pairs() / pairs_;
    if (!best && conv_cost < kDearConv && takes_conv() && may_plan_on()) {
      const HeadChoice choice = with_conv(list.front(), rows_of(trials_.sample().choosing));
      const Trial trial = on_choosing_rows(choice);
      if (meets(trial)) best = Candidate{choice, trial.cost + conv_cost};
    }
    return best;
  }

  // A finer selection than one that fresh rows err too much with, by these rows.
  std::optional<HeadChoice> finer_selected(const HeadChoice& failed, double dear) {
    const std::vector<HeadChoice> list = selections(in_.request.parts, heavy_);
    const auto same = [&](const HeadChoice& choice) {
      return choice.expand == failed.expand && choice.centroids == failed.centroids;
    };
    auto s = static_cast<size_t>(std::find_if(list.begin(), list.end(), same) - list.begin());
    while (s + 1 < list.size() && may_plan_on()) {
      s = std::min(s + 2, list.size() - 1);
      const Trial trial = trials_.attempt(list[s], trials_.sample().fresh, *in_.request.tol);
      if (trial.cost >= dear) break;
      if (trial.errors.relative() <= *in_.request.tol) return list[s];
    }
    return std::nullopt;
  }

  // A conv far field is for causal self-attention of contiguous rows.
  bool takes_conv() const {
    const bool aligned =
        p_.causal && p_.n_q() == p_.n_k() && low_.diagonal == 0 && low_.first_key == 0 && low_.end_key == p_.n_k();
    const auto k = in_.low.k(batch_, head_), v = in_.low.v(batch_, head_);
    return (in_.request.parts & kPartConv) != 0 && aligned && low_.q.strides[1] == 1 && k.strides[1] == 1 && v.strides[1] == 1;
  }

  // The range of screenings is halved; the last, which costs whole_cost, is known to meet the tolerance.
  std::optional<Candidate> cheapest_screened(HeadPlan& plan, double whole_cost) {
    size_t low = 0, high = kScreenings - 1;
    double cost = whole_cost;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      const Trial trial = on_choosing_rows(screening(middle));
      if (meets(trial)) {
        high = middle;
        cost = trial.cost;
      } else {
        low = middle + 1;
      }
    }
    return finest_on_fresh_rows(plan, high, cost);
  }

  // Screening number s, or a finer one where fresh rows ask for it.
  std::optional<Candidate> finest_on_fresh_rows(HeadPlan& plan, size_t s, double cost) {
    while (true) {
      HeadChoice choice = screening(s);
      // No row may leave out more than the sampled ones did: their errors say nothing of such a row.
      const Trial trial = on_choosing_rows(choice);
      const double missed = trial.counts.missed;
      choice.limits.all = std::min(choice.limits.all, static_cast<float>(missed / std::max(1 - missed, 1e-6)));
      if (meets_on_fresh_rows(choice)) return Candidate{choice, std::max(cost, trial.cost)};
      if (s == kScreenings - 1) break;
      s = std::min(s + 2, kScreenings - 1);
    }
    plan.fallback = "fresh rows err by more than the tolerance";
    return {};
  }

  // What errs least within the budget; where nothing computes so few pairs, what computes the fewest.
  HeadChoice best_within_budget(HeadPlan& plan) {
    const double budget = *in_.request.budget;
    const double rows_per_pair = static_cast<double>(p_.n_q()) / std::max(1.0, static_cast<double>(plan.pairs));
    const double share = budget <= 1 ? budget : budget * rows_per_pair;
    if (share >= 1) return exact(plan, "the budget is all pairs");
    try_all_pairs();
    std::vector<HeadChoice> candidates;
    if (selects()) candidates = selections(in_.request.parts, heavy_);
    for (size_t s = 0; screens() && s < kScreenings; ++s) candidates.push_back(screening(s));
    const HeadChoice *best = nullptr, *smallest = nullptr;
    double least = 0, fewest = 0;
    std::array<int, 2>
        beyond{};  // screened and selected candidates that compute more than the budget: finer ones compute still more
    for (const HeadChoice& choice : candidates) {
      int& dearer = beyond[choice.kind == HeadKind::selected ? 1 : 0];
      if (dearer >= kBeyondBudget) continue;
      const Trial trial = on_choosing_rows(choice);
      if (trial.computed > kBudgetMargin * share) ++dearer;
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
    return best != nullptr ? *best : exact(plan, "nothing within the budget errs by less than 1");
  }

  // The estimate of the whole head, by rows that no choice has seen.
  void judge(HeadPlan& plan) {
    if (in_.request.strict_causal) trials_.take(sample_rows(0, p_.n_q(), kTiles, in_.request.seed, stream_ + kJudgeStream));
    TileErrors errors;
    int64_t judged_pairs = 0;
    for (const Stretch& stretch : plan.stretches) {
      std::vector<SampleTile> tiles;
      for (const SampleTile& tile : trials_.sample().fresh) {
        if (tile.first >= stretch.first && tile.first < stretch.last) tiles.push_back(tile);
      }
      if (tiles.empty()) continue;
      if (stretch.choice.kind == HeadKind::exact) {
        errors.append(trials_.exact(tiles));
        continue;
      }
      const Trial trial = trials_.attempt(stretch.choice, tiles);
      errors.append(trial.errors);
      plan.expected.join(trial.counts);
      judged_pairs += trial.pairs;
    }
    plan.error = errors.estimate();
    plan.sampled_rows = static_cast<int64_t>(rows_of(trials_.sample().fresh).size());
    scale_expected(plan, judged_pairs);
  }

  // From the rows that were judged to all rows of the head.
  static void scale_expected(HeadPlan& plan, int64_t judged_pairs) {
    if (judged_pairs == 0) return;
    const double factor = static_cast<double>(plan.pairs) / static_cast<double>(judged_pairs);
    for (int64_t* const count : {&plan.expected.pairs.looked, &plan.expected.pairs.computed, &plan.expected.selected})
      *count = static_cast<int64_t>(static_cast<double>(*count) * factor);
    plan.expected.pairs.looked = std::min(plan.expected.pairs.looked, plan.pairs);
    plan.expected.pairs.computed = std::min(plan.expected.pairs.computed, plan.expected.pairs.looked);
  }

  const ChoiceInput<T>& in_;
  const Problem<T>& p_;
  const int64_t batch_, head_;
  const LowHead<T> low_;
  HeadTrials<T> trials_;
  const uint64_t stream_;
  double pairs_ = 0, spent_before_ = 0;  // of the rows that a choice is for; on choices before it
  std::vector<int64_t> heavy_;
};

}  // namespace

template <class T>
std::string exact_by_shape(const Problem<T>& problem, int64_t batch, int64_t pairs, const AdaptiveRequest& request) {
  if (request.tol && *request.tol == 0) return "tol is 0";
  if (problem.d_v() == 0) return "values have no columns";
  if (!fits_low_precision(problem)) return "rows or sequences are too long for 8-bit passes";
  const int64_t keys = problem.n_q() > 0 ? problem.visible(problem.keys_in_range(batch), problem.n_q() - 1).size() : 0;
  if (keys == 0) return kCheaper;
  if (request.strict_causal) return problem.n_q() <= kStrictStretch ? kStrictWhy : std::string();
  return affordable_tiles(problem.n_q(), keys, static_cast<double>(pairs)) < kLeastTiles ? kCheaper : std::string();
}

template std::string exact_by_shape<float>(const Problem<float>&, int64_t, int64_t, const AdaptiveRequest&);
template std::string exact_by_shape<double>(const Problem<double>&, int64_t, int64_t, const AdaptiveRequest&);

template <class T>
HeadPlan choose_head(const ChoiceInput<T>& input, int64_t batch, int64_t head, int64_t pairs, HeadPass& pass, PassKeys& keys,
                     std::optional<ConvFarField<T>>& far) {
  return HeadChooser<T>(input, batch, head, pass, keys, far).choose(pairs);
}

template HeadPlan choose_head<float>(const ChoiceInput<float>&, int64_t, int64_t, int64_t, HeadPass&, PassKeys&,
                                     std::optional<ConvFarField<float>>&);
template HeadPlan choose_head<double>(const ChoiceInput<double>&, int64_t, int64_t, int64_t, HeadPass&, PassKeys&,
                                      std::optional<ConvFarField<double>>&);

}  // namespace subquad::attention
