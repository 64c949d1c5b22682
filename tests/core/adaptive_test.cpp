// Adaptive attention keeps its word: the tolerance, the interval, the budget, the parts; and is exact where it says so.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <numeric>

#include "core/attention/adaptive_sample.hpp"
#include "core/attention/exact_sample.hpp"
#include "tests/core/adaptive_case.hpp"
#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::attention;
using namespace subquad::test;

namespace {

constexpr double kHits = 0.95;  // of heads that meet 1.25 tol, and of intervals that hold the truth

// Misses that trials with this rate of hits stay within, but for a probability of p_fail: the tail of the binomial distribution.
int64_t chance(int64_t trials, double hits, double p_fail) {
  double term = std::pow(hits, static_cast<double>(trials)), total = term;
  int64_t misses = 0;
  for (; total < 1 - p_fail; ++misses) {
    term *= static_cast<double>(trials - misses) / static_cast<double>(misses + 1) * (1 - hits) / hits;
    total += term;
  }
  return misses;
}

AdaptiveRequest with_tol(double tol, std::optional<Estimate> estimate = std::nullopt) {
  AdaptiveRequest request;
  request.tol = tol;
  request.estimate = estimate;
  return request;
}

// How often the promises held.
struct Tally {
  int64_t heads = 0, over = 0, approximate = 0, outside = 0;

  template <class T>
  void add(const AttentionCase<T>& c, const AdaptiveRequest& request, const Output<T>& exact, Pool& pool) {
    const Adapted<T> a = adapt(c, request, execution(pool));
    for (int64_t h = 0; h < c.shape.q_heads; ++h) {
      const HeadPlan& plan = a.plan.heads[static_cast<size_t>(h)];
      const double error = relative_error(a.out.o, exact.o, h);
      CHECK(std::isfinite(error));
      CHECK(plan.exact() == !plan.fallback.empty());
      ++heads;
      over += error > 1.25 * *request.tol ? 1 : 0;
      if (plan.exact()) continue;
      ++approximate;
      CHECK(plan.error.low <= plan.error.error);
      CHECK(plan.error.error <= plan.error.high);
      outside += error < plan.error.low || error > plan.error.high ? 1 : 0;
    }
  }

  void check() const {
    INFO(over << " of " << heads << " heads err by more than 1.25 tol, " << outside << " of " << approximate
              << " intervals miss");
    CHECK(approximate >= heads / 2);  // else nothing was tested
    CHECK(over <= static_cast<int64_t>(static_cast<double>(heads) * (1 - kHits)));
    CHECK(outside <= chance(approximate, kHits, 1e-3));
  }
};

template <class T>
bool same_rows(const Tensor<T>& a, const Tensor<T>& b, int64_t head) {
  const int64_t size = a.shape[2] * a.shape[3];
  return std::equal(a.data.begin() + head * size, a.data.begin() + (head + 1) * size, b.data.begin() + head * size);
}

}  // namespace

TEST_CASE("errors stay within 1.25 tol in 95 % of heads, and intervals hold them at their rate") {
  Pool pool(2);
  Tally chosen, screened;  // the estimate that is the default for the length, and the one that sees every pair
  for (const int64_t n : {2048, 3001, 4096, 8192}) {
    for (uint64_t seed = 1; seed <= (n > 4096 ? 3 : 5); ++seed) {
      const auto c = pattern_case<float>({1, 5, 5, n, n, 32, 32}, {true}, seed);
      const auto exact = forward(c, execution(pool));
      for (const double tol : {0.1, 0.05}) {
        chosen.add(c, with_tol(tol), exact, pool);
        if (n > 4096) screened.add(c, with_tol(tol, Estimate::screened), exact, pool);
      }
    }
  }
  chosen.check();
  screened.check();
}

TEST_CASE("the same in double, not causal, with other columns, more queries or keys, and shared keys") {
  Pool pool(2);
  Tally tally;
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    const std::pair<Shape, Settings> cases[] = {
        {{1, 5, 5, 2500, 2500, 17, 80}, {true}},         {{1, 5, 5, 2048, 3000, 32, 3}, {true, 952}},
        {{1, 10, 5, 2100, 2100, 24, 16}, {true}},        {{1, 5, 5, 2000, 2300, 20, 24}, {}},
        {{1, 5, 5, 3000, 2500, 20, 24}, {true, 0}},      {{1, 5, 5, 2600, 2600, 16, 16}, {true, 0, 0, 0, {300, 2590}}},
        {{1, 5, 5, 2600, 2600, 16, 16}, {true, 40, 40}},
    };
    for (const auto& [shape, settings] : cases) {
      const auto c = pattern_case<double>(shape, settings, 50 + seed);
      tally.add(c, with_tol(0.1), forward(c, execution(pool)), pool);
    }
  }
  tally.check();
}

TEST_CASE_TEMPLATE("tol 0, short sequences and a full budget are exact, and say why", T, float, double) {
  Pool pool(2);
  const auto check_exact = [&](const AttentionCase<T>& c, const AdaptiveRequest& request) {
    const auto a = adapt(c, request, execution(pool));
    const auto exact = forward(c, execution(pool));
    CHECK(a.out.o.data == exact.o.data);
    CHECK(a.out.lse.data == exact.lse.data);
    for (const HeadPlan& head : a.plan.heads) {
      CHECK(head.exact());
      CHECK(!head.fallback.empty());
      CHECK(head.error.high == 0);
    }
    for (const HeadEffort& effort : a.efforts) CHECK(effort.counts.pairs.computed == 0);
    CHECK(std::accumulate(a.efforts.begin(), a.efforts.end(), int64_t{0},
                          [](int64_t sum, const HeadEffort& e) { return sum + e.exact_pairs; }) == c.problem().pairs());
  };
  for (const int64_t n : {0, 1, 2, 47, 64, 65, 500}) {
    for (const Estimate estimate : {Estimate::screened, Estimate::sampled}) {
      check_exact(AttentionCase<T>({2, 4, 2, n, n + 3, 5, 7}, {true, 3}, 1), with_tol(0.3, estimate));
    }
  }
  check_exact(AttentionCase<T>({1, 2, 1, 40, 0, 5, 7}, {}, 1), with_tol(0.3));
  const AttentionCase<T> large({1, 2, 1, 2048, 2048, 8, 8}, {true}, 1);
  check_exact(large, with_tol(0));
  AdaptiveRequest all;
  all.budget = 1;
  check_exact(large, all);
}

namespace {

// Share of a head's pairs that were computed.
template <class T>
double spent(const Adapted<T>& a, int64_t head) {
  const auto h = static_cast<size_t>(head);
  return static_cast<double>(a.efforts[h].counts.pairs.computed) / static_cast<double>(a.plan.heads[h].pairs);
}

}  // namespace

// A budget is kept on sampled rows.
TEST_CASE("a budget is kept, and more of it errs less") {
  Pool pool(2);
  const int64_t n = 4096;
  const auto c = pattern_case<float>({1, 5, 5, n, n, 32, 32}, {true}, 3);
  const auto exact = forward(c, execution(pool));
  for (const std::optional<Estimate> estimate : {Estimate::screened, Estimate::sampled}) {
    AdaptiveRequest least;
    least.budget = 1e-6;
    least.estimate = estimate;
    const auto smallest = adapt(c, least, execution(pool));
    std::array<double, 5> before;
    before.fill(std::numeric_limits<double>::infinity());
    for (const double budget : {0.1, 0.3, 0.6}) {
      AdaptiveRequest request;
      request.budget = budget;
      request.estimate = estimate;
      const auto a = adapt(c, request, execution(pool));
      for (int64_t h = 0; h < 5; ++h) {
        const auto head = static_cast<size_t>(h);
        INFO("budget " << budget << ", head " << h);
        if (a.plan.heads[head].exact()) continue;  // nothing fits the budget
        const double error = relative_error(a.out.o, exact.o, h);
        // Choices are by a sample, whose errors have a spread of a third at most.
        CHECK(error <= 1.5 * before[head]);
        before[head] = error;
        if (spent(smallest, h) > 0.9 * budget) continue;  // nothing fits, and the choice is the one of fewest pairs
        // The share of the sampled rows has a spread of 1 / sqrt(tiles).
        const double slack = 1 + 3 / std::sqrt(16.0);
        CHECK(static_cast<double>(a.efforts[head].counts.pairs.computed) <=
              slack * budget * static_cast<double>(a.plan.heads[head].pairs));
      }
    }
  }
  // Above 1 a budget is keys per query.
  AdaptiveRequest keys, share;
  keys.budget = 0.25 * static_cast<double>(n + 1) / 2;
  share.budget = 0.25;
  CHECK(adapt(c, keys, execution(pool)).out.o.data == adapt(c, share, execution(pool)).out.o.data);
}

TEST_CASE("parts restrict what is used") {
  Pool pool(2);
  const auto c = pattern_case<float>({1, 5, 5, 4500, 4500, 24, 24}, {true}, 4);
  const auto choices = [&](int64_t parts, Estimate estimate) {
    AdaptiveRequest request = with_tol(0.15, estimate);
    request.parts = parts;
    std::vector<HeadChoice> list;
    Execution run = execution(pool);
    for (const HeadPlan& head : plan_attention<float>(run, c.problem(), request).heads) {
      for (const Stretch& stretch : head.stretches) list.push_back(stretch.choice);
    }
    return list;
  };
  const auto count = [](const std::vector<HeadChoice>& list, HeadKind kind) {
    return std::count_if(list.begin(), list.end(), [&](const HeadChoice& choice) { return choice.kind == kind; });
  };
  const auto screening = choices(kPartScreening, Estimate::sampled);
  CHECK(count(screening, HeadKind::screened) > 0);
  for (const HeadChoice& choice : screening) {
    CHECK(choice.heavy.size() <= 4);
    CHECK(choice.expand > 1);
    CHECK(!choice.centroids);
  }
  CHECK(count(choices(31, Estimate::screened), HeadKind::selected) == 0);
  const auto heavy = choices(kPartHeavy, Estimate::sampled);
  CHECK(count(heavy, HeadKind::screened) == 0);
  CHECK(std::any_of(heavy.begin(), heavy.end(), [](const HeadChoice& choice) { return choice.heavy.size() > 4; }));
  for (const HeadChoice& choice : heavy) CHECK((choice.expand > 1 && !choice.centroids));
  const auto selection = choices(kPartSelection, Estimate::sampled);
  CHECK(count(selection, HeadKind::screened) == 0);
  for (const HeadChoice& choice : selection) {
    CHECK(choice.heavy.size() <= 4);
    CHECK(!choice.centroids);
  }
  const auto centroids = choices(kPartCentroids, Estimate::sampled);
  for (const HeadChoice& choice : centroids) CHECK(choice.expand > 1);
  for (const HeadChoice& choice : choices(0, Estimate::screened)) CHECK(choice.kind == HeadKind::exact);
}

// Rows anywhere, against the whole forward pass: either side errs by its round-off.
TEST_CASE_TEMPLATE("sampled exact rows are those of exact attention", T, float, double) {
  Pool pool(2);
  const std::pair<Shape, Settings> cases[] = {
      {{1, 1, 1, 700, 700, 16, 16}, {true}},
      {{2, 4, 2, 150, 1300, 17, 3}, {true, 1150, 0, 4}},
      {{2, 2, 1, 300, 900, 5, 20}, {false, 0, 0, 0, {10, 880, 400, 401}}},
      {{1, 2, 1, 200, 150, 3, 5}, {true, -60, 0, 1}},
      {{1, 1, 1, 40, 0, 3, 5}, {}},
  };
  for (const auto& [shape, settings] : cases) {
    const AttentionCase<T> c(shape, settings, 9);
    Execution run = execution(pool);
    Monitor monitor(run.ticker, 0);
    const Problem<T> problem = c.problem();
    const ExactSample<T> sample(run, monitor, problem);
    const auto exact = forward(c, execution(pool));
    const Oracle<T> oracle(c);
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < shape.n_q; i += 1 + i % 7) rows.push_back(i);
    for (int64_t b = 0; b < shape.batch; ++b) {
      for (int64_t h = 0; h < shape.q_heads; ++h) {
        const SampledRows<T> found = sample.rows(b, h, rows);
        REQUIRE(found.rows == rows);
        for (size_t r = 0; r < rows.size(); ++r) {
          for (int64_t e = 0; e < shape.d_v; ++e)
            expect_within(found.o[r * static_cast<size_t>(shape.d_v) + static_cast<size_t>(e)], exact.o(b, h, rows[r], e),
                          2 * output_budget(c, oracle));
          expect_within(found.lse[r], exact.lse(b, h, rows[r], 0), 2 * lse_budget(c, oracle, exact.lse(b, h, rows[r], 0)));
        }
      }
    }
    CHECK(sample.rows(0, 0, {}).rows.empty());
  }
}

TEST_CASE("samples: two disjoint ones, in every part of the rows, the same for a seed") {
  for (const int64_t last : {100, 769, 4096}) {
    const RowSample sample = sample_rows(64, last, 8, 3, 5), again = sample_rows(64, last, 8, 3, 5);
    const std::vector<int64_t> choosing = rows_of(sample.choosing), fresh = rows_of(sample.fresh);
    CHECK(rows_of(again.choosing) == choosing);
    CHECK(rows_of(again.fresh) == fresh);
    for (const std::vector<int64_t>& rows : {choosing, fresh}) {
      CHECK(std::is_sorted(rows.begin(), rows.end()));
      CHECK(std::adjacent_find(rows.begin(), rows.end()) == rows.end());
      for (const int64_t row : rows) CHECK((row >= 64 && row < last));
    }
    std::vector<int64_t> both;
    std::set_intersection(choosing.begin(), choosing.end(), fresh.begin(), fresh.end(), std::back_inserter(both));
    CHECK(both.empty());
    if (last < 4096) continue;
    CHECK(rows_of(sample_rows(64, last, 8, 4, 5).fresh) != fresh);
    CHECK(rows_of(sample_rows(64, last, 8, 3, 6).fresh) != fresh);
    for (int64_t from = 64; from + 1008 <= last; from += 504) {
      CHECK(std::any_of(fresh.begin(), fresh.end(), [&](int64_t row) { return row >= from && row < from + 1008; }));
    }
  }
}
