// Method: docs/adaptive.md. Heads are planned side by side; then tiles of queries of all heads are one list of tasks.
#include "core/attention/adaptive.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>

#include "core/attention/adaptive_choose.hpp"
#include "core/attention/conv_far_merge.hpp"
#include "core/attention/exact.hpp"
#include "core/attention/row_result.hpp"

namespace subquad::attention {

namespace {

using Clock = std::chrono::steady_clock;

// Sequences up to here are screened in whole where nothing else is asked for: docs/adaptive.md, table of crossovers.
constexpr int64_t kScreenedKeys = 4096;
constexpr int64_t kCenterKeys = 960;    // strict causality: keys whose mean may be taken off all
constexpr int64_t kTilesPerTask = 4;    // of queries
constexpr int64_t kTilesPerLook = 256;  // of keys, between looks at the monitor

// One head, some of its rows: a problem of its own.
template <class T>
Problem<T> rows_of_head(const Problem<T>& problem, int64_t batch, int64_t head, int64_t first, int64_t last,
                        const int64_t* ends) {
  Problem<T> rows = problem;
  const int64_t kv_head = head / problem.group_size();
  rows.q = {problem.q.at(batch, head, first), {1, 1, last - first, problem.d()}, problem.q.strides};
  rows.k = {problem.k.at(batch, kv_head), {1, 1, problem.n_k(), problem.d()}, problem.k.strides};
  rows.v = {problem.v.at(batch, kv_head), {1, 1, problem.n_k(), problem.d_v()}, problem.v.strides};
  rows.causal_offset += first;
  if (problem.has_bias() && problem.lag_bias.shape[0] > 1) rows.lag_bias.data = problem.lag_bias.at(head);
  if (problem.has_bias()) rows.lag_bias.shape[0] = 1;
  rows.key_ranges = {ends, {1, 2}, {2, 1}};
  return rows;
}

template <class T>
class Application {
 public:
  Application(Execution& run, const LowProblem<T>& low, const AdaptivePlan& plan, std::vector<PassKeys>& keys,
              std::vector<std::optional<ConvFarField<T>>>& far, bool check_overflow, const View<T, 4>& o, const View<T, 3>& lse,
              VisitedTiles* visited)
      : run_(run),
        low_(low),
        p_(low.problem()),
        plan_(plan),
        keys_(keys),
        far_(far),
        far_o_(plan.heads.size()),
        check_overflow_(check_overflow),
        o_(o),
        lse_(lse),
        visited_(visited),
        monitor_(run.ticker, p_.pairs()),
        efforts_(plan.heads.size()) {}

  std::vector<HeadEffort> compute() {
    apply_far_fields();
    list_tasks();
    std::vector<Passes> passes(static_cast<size_t>(run_.pool.threads()));
    std::vector<std::vector<HeadEffort>> shares(passes.size(), std::vector<HeadEffort>(efforts_.size()));
    run_.pool.run(static_cast<int64_t>(tasks_.size()), monitor_, [&](int64_t task, int64_t worker) {
      Passes& own = passes[static_cast<size_t>(worker)];
      while (own.size() < kTilesPerTask) own.emplace_back(p_.d(), p_.d_v());
      const Task& t = tasks_[static_cast<size_t>(task)];
      attend(t, own, shares[static_cast<size_t>(worker)][static_cast<size_t>(t.head)]);
    });
    for (const auto& share : shares) {
      for (size_t h = 0; h < efforts_.size(); ++h) {
        efforts_[h].counts.join(share[h].counts);
        efforts_[h].seconds += share[h].seconds;
      }
    }
    if (check_overflow_ && overflowed_.load()) throw Error(Status::err_overflow, "an output overflows the arrays' data type");
    exact_stretches();
    return efforts_;
  }

 private:
  using Passes = std::vector<HeadPass>;  // one per tile of a task

  struct Task {
    int64_t head;
    const Stretch* stretch;
    int64_t first, last;  // rows
  };

  // One head after the other, with all threads.
  void apply_far_fields() {
    const Team team(run_.pool, monitor_);
    for (size_t h = 0; h < plan_.heads.size(); ++h) {
      const HeadChoice& choice = plan_.heads[h].stretches.front().choice;
      if (!choice.conv) continue;
      const auto start = Clock::now();
      const int64_t batch = static_cast<int64_t>(h) / p_.q_heads(), head = static_cast<int64_t>(h) % p_.q_heads();
      if (!far_[h]) far_[h] = fit_far_field<T>(run_, team, low_.head(batch, head).q, low_.k(batch, head), p_.scale, choice);
      far_o_[h] = Lease<T>(run_.workspace, p_.n_q() * p_.d_v());
      apply_conv_far_field<T>(run_, team, *far_[h], low_.v(batch, head), {far_o_[h].get(), {p_.n_q(), p_.d_v()}, {p_.d_v(), 1}});
      efforts_[h].seconds +=
          std::chrono::duration<double>(Clock::now() - start).count() * static_cast<double>(run_.pool.threads());
    }
  }

  // The last rows, which see the most keys, first.
  void list_tasks() {
    for (size_t h = 0; h < plan_.heads.size(); ++h) {
      for (const Stretch& stretch : plan_.heads[h].stretches) {
        if (stretch.choice.kind == HeadKind::exact) continue;
        constexpr int64_t kRows = kTilesPerTask * kQueryTile;
        for (int64_t first = stretch.first; first < stretch.last; first += kRows)
          tasks_.push_back({static_cast<int64_t>(h), &stretch, first, std::min(first + kRows, stretch.last)});
      }
    }
    std::stable_sort(tasks_.begin(), tasks_.end(), [](const Task& a, const Task& b) { return a.first > b.first; });
  }

  void attend(const Task& task, Passes& passes, HeadEffort& effort) {
    const auto start = Clock::now();
    const int64_t batch = task.head / p_.q_heads(), head = task.head % p_.q_heads();
    const LowHead<T> low = low_.head(batch, head);
    const HeadChoice& choice = task.stretch->choice;
    const PassKeys& keys = keys_[static_cast<size_t>(task.head)];
    int64_t tiles = 0;
    for (int64_t first = task.first; first < task.last; first += kQueryTile, ++tiles) {
      int64_t rows[kQueryTile];
      const int64_t count = std::min(kQueryTile, task.last - first);
      for (int64_t r = 0; r < count; ++r) rows[r] = first + r;
      passes[static_cast<size_t>(tiles)].begin(low_.kernels(), low, rows, count);
    }
    if (choice.kind == HeadKind::screened) {
      screen(batch, head, keys, choice, passes, tiles);
    } else {
      for (int64_t t = 0; t < tiles; ++t) {
        passes[static_cast<size_t>(t)].run(keys, choice, visitor(batch, head, passes[static_cast<size_t>(t)]));
        monitor_.advance(0);
      }
    }
    for (int64_t t = 0; t < tiles; ++t) finish(batch, head, low, passes[static_cast<size_t>(t)], effort);
    effort.seconds += std::chrono::duration<double>(Clock::now() - start).count();
  }

  // Tells of the tiles of keys that a pass visits.
  auto visitor(int64_t batch, int64_t head, const HeadPass& pass) {
    return [this, batch, head, query_tile = pass.queries().row(0) / kQueryTile](int64_t from, int64_t to) {
      if (visited_ == nullptr) return;
      for (int64_t tile = from / kKeyTile; tile * kKeyTile < to; ++tile) visited_->set(batch, head, query_tile, tile);
    };
  }

  // The tiles of queries go over the keys together, so that a tile of keys is read from the second-level cache. Each has its own order.
  void screen(int64_t batch, int64_t head, const PassKeys& keys, const HeadChoice& choice, Passes& passes, int64_t tiles) {
    const int64_t first = passes[0].first_tile();
    const auto go = [&](int64_t tile) {
      for (int64_t t = 0; t < tiles; ++t) {
        HeadPass& pass = passes[static_cast<size_t>(t)];
        if (tile <= pass.last_tile()) pass.screen_tile(*keys.all, tile, choice.limits, visitor(batch, head, pass));
      }
      if (tile % kTilesPerLook == 0) monitor_.advance(0);
    };
    go(first);
    for (int64_t tile = passes[static_cast<size_t>(tiles - 1)].last_tile(); tile > first; --tile) go(tile);
  }

  void finish(int64_t batch, int64_t head, const LowHead<T>& low, const HeadPass& pass, HeadEffort& effort) {
    const LowQueries& queries = pass.queries();
    for (int64_t r = 0; r < queries.count(); ++r) {
      const int64_t row = queries.row(r);
      T* const o = o_.at(batch, head, row);
      T lse;
      queries.finish(low, r, p_.d_v(), o, o_.strides[3], &lse);
      const auto h = static_cast<size_t>(batch * p_.q_heads() + head);
      if (far_[h])
        merge_far(far_[h]->lse[static_cast<size_t>(row)], far_o_[h].get() + row * p_.d_v(), p_.d_v(), o, o_.strides[3], &lse);
      if (lse_.data != nullptr) *lse_.at(batch, head, row) = lse;
      bool finite = true;
      for (int64_t c = 0; c < p_.d_v(); ++c) finite &= std::isfinite(o[c * o_.strides[3]]);
      if (!finite) overflowed_.store(true);
    }
    effort.counts.join(pass.counts());
    monitor_.advance(queries.count() * low.visible(queries.row(queries.count() - 1)));
  }

  void exact_stretches() {
    for (size_t h = 0; h < plan_.heads.size(); ++h) {
      for (const Stretch& stretch : plan_.heads[h].stretches) {
        if (stretch.choice.kind == HeadKind::exact && stretch.first < stretch.last)
          exact_stretch(static_cast<int64_t>(h), stretch, efforts_[h]);
      }
    }
  }

  void exact_stretch(int64_t index, const Stretch& stretch, HeadEffort& effort) {
    const auto start = Clock::now();
    const int64_t batch = index / p_.q_heads(), head = index % p_.q_heads();
    const KeyRange range = p_.keys_in_range(batch);
    const int64_t ends[] = {range.first + p_.key_offset, range.last + p_.key_offset};
    const Problem<T> rows = rows_of_head(p_, batch, head, stretch.first, stretch.last, ends);
    View<T, 3> lse;
    if (lse_.data != nullptr) lse = {lse_.at(batch, head, stretch.first), {1, 1, stretch.last - stretch.first}, lse_.strides};
    exact_forward_as_of_many<T>(run_, rows, check_overflow_,
                                {o_.at(batch, head, stretch.first), {1, 1, stretch.last - stretch.first, p_.d_v()}, o_.strides},
                                lse);
    effort.exact_pairs += rows.pairs();
    effort.seconds += std::chrono::duration<double>(Clock::now() - start).count() * static_cast<double>(run_.pool.threads());
    if (visited_ == nullptr) return;
    if (plan_.heads[static_cast<size_t>(index)].exact()) return visited_->set_all(batch, head);
    for (int64_t row = stretch.first; row < stretch.last; row += kQueryTile) {
      for (int64_t tile = 0; tile * kKeyTile < p_.n_k(); ++tile) visited_->set(batch, head, row / kQueryTile, tile);
    }
  }

  Execution& run_;
  const LowProblem<T>& low_;
  const Problem<T>& p_;
  const AdaptivePlan& plan_;
  std::vector<PassKeys>& keys_;
  std::vector<std::optional<ConvFarField<T>>>& far_;
  std::vector<Lease<T>> far_o_;  // per head that has a far field: [n][d_v]
  const bool check_overflow_;
  const View<T, 4>& o_;
  const View<T, 3>& lse_;
  VisitedTiles* const visited_;
  Monitor monitor_;
  std::vector<Task> tasks_;
  std::vector<HeadEffort> efforts_;
  std::atomic<bool> overflowed_{false};
};

// What planning and application share.
template <class T>
class Adaptive {
 public:
  Adaptive(Execution& run, const Problem<T>& problem)
      : run_(run),
        p_(problem),
        monitor_(run.ticker, 0),
        keys_(static_cast<size_t>(problem.batch() * problem.q_heads())),
        far_(keys_.size()) {}

  AdaptivePlan plan(const AdaptiveRequest& request) {
    AdaptivePlan plan;
    plan.estimate = request.estimate.value_or(p_.n_k() <= kScreenedKeys ? Estimate::screened : Estimate::sampled);
    plan.strict_causal = request.strict_causal;
    plan.heads.resize(keys_.size());
    std::vector<int64_t> open;  // heads whose queries and keys decide
    for (size_t h = 0; h < plan.heads.size(); ++h) {
      HeadPlan& head = plan.heads[h];
      const int64_t batch = static_cast<int64_t>(h) / p_.q_heads();
      head.pairs = pairs_of(batch);
      head.fallback = exact_by_shape(p_, batch, head.pairs, request);
      head.stretches = {{0, p_.n_q(), {}}};
      if (head.fallback.empty()) open.push_back(static_cast<int64_t>(h));
    }
    if (open.empty()) return plan;
    plan.centers = mean_keys(run_, monitor_, p_, request.strict_causal ? kCenterKeys : p_.n_k());
    low_.emplace(run_, monitor_, p_, plan.centers);
    leave_out_of_range(request, open, plan);
    const ExactSample<T> exact(run_, monitor_, p_);
    const ChoiceInput<T> input{run_, monitor_, *low_, exact, request, plan.estimate};
    std::vector<std::unique_ptr<HeadPass>> passes(static_cast<size_t>(run_.pool.threads()));
    run_.pool.run(static_cast<int64_t>(open.size()), monitor_, [&](int64_t task, int64_t worker) {
      auto& pass = passes[static_cast<size_t>(worker)];
      if (pass == nullptr) pass = std::make_unique<HeadPass>(p_.d(), p_.d_v());
      const int64_t h = open[static_cast<size_t>(task)];
      HeadPlan& head = plan.heads[static_cast<size_t>(h)];
      PassKeys& keys = keys_[static_cast<size_t>(h)];
      auto& far = far_[static_cast<size_t>(h)];
      head = choose_head(input, h / p_.q_heads(), h % p_.q_heads(), head.pairs, *pass, keys, far);
      if (!selects(head)) keys = {};
      if (!head.stretches.front().choice.conv) far.reset();
      monitor_.advance(0);
    });
    return plan;
  }

  std::vector<HeadEffort> apply(const AdaptivePlan& plan, bool check_overflow, const View<T, 4>& o, const View<T, 3>& lse,
                                VisitedTiles* visited) {
    const bool exact = std::all_of(plan.heads.begin(), plan.heads.end(), [](const HeadPlan& head) { return head.exact(); });
    if (exact) return apply_exact(plan.strict_causal, check_overflow, o, lse, visited);
    if (!low_) low_.emplace(run_, monitor_, p_, plan.centers);
    const AdaptivePlan served = with_values_in_range(plan);
    run_.pool.run(static_cast<int64_t>(keys_.size()), monitor_, [&](int64_t h, int64_t) {
      PassKeys& keys = keys_[static_cast<size_t>(h)];
      const auto& stretches = served.heads[static_cast<size_t>(h)].stretches;  // one, where keys are selected
      if (keys.all == nullptr) {
        add_pass_keys(run_.workspace, monitor_, *low_, h / p_.q_heads(), h % p_.q_heads(), stretches.front().choice, keys);
      }
    });
    return Application<T>(run_, *low_, served, keys_, far_, check_overflow, o, lse, visited).compute();
  }

 private:
  static bool selects(const HeadPlan& head) { return head.stretches.front().choice.kind == HeadKind::selected; }

  // Takes heads that 8 bits do not hold off the open ones.
  void leave_out_of_range(const AdaptiveRequest& request, std::vector<int64_t>& open, AdaptivePlan& plan) const {
    const bool finite = request.checked && std::is_same_v<T, float>;  // where the products overflow, the estimate sees it
    const auto left_out = [&](int64_t h) {
      const int64_t batch = h / p_.q_heads(), head = h % p_.q_heads();
      std::string& fallback = plan.heads[static_cast<size_t>(h)].fallback;
      if (!low_->holds_values(batch, head)) {
        fallback = "values are not finite, or outside the range of 8-bit integers";
      } else if (!finite && !low_->holds_logits(batch, head)) {
        fallback = "queries or keys are not finite, or outside the range of 8-bit integers";
      }
      return !fallback.empty();
    };
    open.erase(std::remove_if(open.begin(), open.end(), left_out), open.end());
  }

  // The plan for these values, which may be others than it was made with.
  AdaptivePlan with_values_in_range(AdaptivePlan plan) const {
    for (size_t h = 0; h < plan.heads.size(); ++h) {
      const auto index = static_cast<int64_t>(h);
      if (!low_->holds_values(index / p_.q_heads(), index % p_.q_heads())) plan.heads[h].stretches = {{0, p_.n_q(), {}}};
    }
    return plan;
  }

  int64_t pairs_of(int64_t batch) const {
    Problem<T> one = p_;
    one.q.shape[0] = one.q.shape[1] = one.k.shape[0] = one.k.shape[1] = 1;
    if (p_.key_ranges.data != nullptr && p_.key_ranges.shape[0] > 1) one.key_ranges.data = p_.key_ranges.at(batch);
    return one.pairs();
  }

  // All heads at once: as fast as exact attention is.
  std::vector<HeadEffort> apply_exact(bool strict_causal, bool check_overflow, const View<T, 4>& o, const View<T, 3>& lse,
                                      VisitedTiles* visited) {
    const auto start = Clock::now();
    if (strict_causal) {
      exact_forward_as_of_many<T>(run_, p_, check_overflow, o, lse);
    } else {
      exact_forward<T>(run_, p_, check_overflow, o, lse);
    }
    std::vector<HeadEffort> efforts(keys_.size());
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    for (size_t h = 0; h < efforts.size(); ++h) {
      const int64_t batch = static_cast<int64_t>(h) / p_.q_heads();
      efforts[h].exact_pairs = pairs_of(batch);
      efforts[h].seconds = seconds * static_cast<double>(run_.pool.threads()) / static_cast<double>(efforts.size());
      if (visited != nullptr) visited->set_all(batch, static_cast<int64_t>(h) % p_.q_heads());
    }
    return efforts;
  }

  Execution& run_;
  const Problem<T>& p_;
  Monitor monitor_;
  std::optional<LowProblem<T>> low_;
  std::vector<PassKeys> keys_;                       // per head
  std::vector<std::optional<ConvFarField<T>>> far_;  // per head
};

}  // namespace

template <class T>
AdaptivePlan plan_attention(Execution& run, const Problem<T>& problem, const AdaptiveRequest& request) {
  return Adaptive<T>(run, problem).plan(request);
}

template <class T>
std::vector<HeadEffort> apply_plan(Execution& run, const Problem<T>& problem, const AdaptivePlan& plan, bool check_overflow,
                                   const View<T, 4>& o, const View<T, 3>& lse, VisitedTiles* visited) {
  return Adaptive<T>(run, problem).apply(plan, check_overflow, o, lse, visited);
}

template <class T>
std::vector<HeadEffort> plan_and_apply(Execution& run, const Problem<T>& problem, const AdaptiveRequest& request,
                                       bool check_overflow, const View<T, 4>& o, const View<T, 3>& lse, AdaptivePlan* plan_out) {
  Adaptive<T> adaptive(run, problem);
  *plan_out = adaptive.plan(request);
  return adaptive.apply(*plan_out, check_overflow, o, lse, nullptr);
}

#define SUBQUAD_INSTANTIATE(T)                                                                                                \
  template AdaptivePlan plan_attention<T>(Execution&, const Problem<T>&, const AdaptiveRequest&);                             \
  template std::vector<HeadEffort> apply_plan<T>(Execution&, const Problem<T>&, const AdaptivePlan&, bool, const View<T, 4>&, \
                                                 const View<T, 3>&, VisitedTiles*);                                           \
  template std::vector<HeadEffort> plan_and_apply<T>(Execution&, const Problem<T>&, const AdaptiveRequest&, bool,             \
                                                     const View<T, 4>&, const View<T, 3>&, AdaptivePlan*);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
