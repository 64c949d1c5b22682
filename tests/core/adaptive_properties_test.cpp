// What must hold of adaptive attention whatever its plan is: causality, threads, layouts, odd values.
#include <doctest/doctest.h>

#include <cstring>

#include "tests/core/adaptive_case.hpp"
#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::attention;
using namespace subquad::test;

namespace {

AdaptiveRequest with_tol(double tol) {
  AdaptiveRequest request;
  request.tol = tol;
  return request;
}

// Rows first to last - 1 of a head, bit by bit.
template <class T>
bool same_rows(const Output<T>& a, const Output<T>& b, int64_t head, int64_t first, int64_t last) {
  const auto same = [&](const Tensor<T>& x, const Tensor<T>& y) {
    const int64_t columns = x.shape[3];
    return std::memcmp(x.data.data() + (head * x.shape[2] + first) * columns,
                       y.data.data() + (head * y.shape[2] + first) * columns,
                       static_cast<size_t>((last - first) * columns) * sizeof(T)) == 0;
  };
  return same(a.o, b.o) && same(a.lse, b.lse);
}

// The first n tokens of a case with one batch element.
template <class T>
AttentionCase<T> first_tokens(const AttentionCase<T>& c, int64_t n) {
  Shape shape = c.shape;
  shape.n_q = shape.n_k = n;
  AttentionCase<T> part = blank_case<T>(shape, c.settings);
  for (const auto& [from, to] : {std::pair(&c.q, &part.q), std::pair(&c.k, &part.k), std::pair(&c.v, &part.v)}) {
    const int64_t columns = from->shape[3];
    for (int64_t h = 0; h < from->shape[1]; ++h)
      std::copy_n(from->data.begin() + h * c.shape.n_q * columns, n * columns, to->data.begin() + h * n * columns);
  }
  return part;
}

HeadChoice screened(float share) {
  HeadChoice choice;
  choice.kind = HeadKind::screened;
  choice.limits = {share, 16 * share, 0};
  return choice;
}

HeadChoice selected(float share, float expand, bool centroids) {
  HeadChoice choice;
  choice.kind = HeadKind::selected;
  choice.limits = {share, 16 * share, 0};
  choice.window = 128;
  choice.heavy = {0, 1, 2, 3, 700, 1111};
  choice.expand = expand;
  choice.centroids = centroids;
  return choice;
}

}  // namespace

TEST_CASE_TEMPLATE("strict causality: a longer sequence leaves earlier outputs as they are, to the bit", T, float, double) {
  Pool pool(2);
  const auto whole_case = pattern_case<T>({1, 10, 5, 4200, 4200, 16, 12}, {true}, 6);
  for (const Estimate estimate : {Estimate::screened, Estimate::sampled}) {
    AdaptiveRequest request = with_tol(0.2);
    request.strict_causal = true;
    request.estimate = estimate;
    const auto whole = adapt(whole_case, request, execution(pool));
    CHECK(std::any_of(whole.plan.heads.begin(), whole.plan.heads.end(), [](const HeadPlan& head) { return !head.exact(); }));
    for (const int64_t n : {100, 1023, 1024, 1025, 1500, 2047, 2049, 3333, 4097}) {
      const auto part = adapt(first_tokens(whole_case, n), request, execution(pool));
      for (int64_t h = 0; h < 10; ++h) {
        INFO("n " << n << ", head " << h);
        CHECK(same_rows(whole.out, part.out, h, 0, n));
      }
    }
  }
}

TEST_CASE("strict causality: values of later tokens, however small or large, leave earlier outputs as they are") {
  Pool pool(2);
  AdaptiveRequest request = with_tol(0.2);
  request.strict_causal = true;
  const auto c = pattern_case<float>({1, 5, 5, 3000, 3000, 16, 16}, {true}, 7);
  const auto before = adapt(c, request, execution(pool));
  for (const int64_t token : {1, 1030, 1500, 2100, 2999}) {
    for (const float factor : {0x1p-9f, 100.0f}) {
      auto other = c;
      for (int64_t h = 0; h < 5; ++h) {
        for (int64_t j = token; j < 3000; ++j) {
          for (int64_t e = 0; e < 16; ++e) other.v(0, h, j, e) *= factor;
        }
      }
      const auto after = adapt(other, request, execution(pool));
      for (int64_t h = 0; h < 5; ++h) {
        INFO("token " << token << ", factor " << factor << ", head " << h);
        CHECK(same_rows(before.out, after.out, h, 0, token));
      }
    }
  }
}

TEST_CASE("under the same plan an output does not see later tokens, to the bit") {
  Pool pool(2);
  const auto c = pattern_case<float>({1, 5, 5, 2500, 2500, 16, 16}, {true}, 8);
  for (const HeadChoice& choice :
       {screened(0), screened(0x1p-3f), screened(4), selected(0x1p-3f, 2, false), selected(0x1p-3f, 2, true),
        selected(0x1p-3f, 0x1p-4f, false), selected(0.5f, 0x1p-4f, true)}) {
    const AdaptivePlan plan = plan_of(c, choice);
    const Output<float> before = apply(c, plan, execution(pool));
    // Rows of a tile share what is taken apart: there the tokens of later tiles are the later ones.
    const bool shared = choice.kind == HeadKind::selected && choice.expand <= 1;
    for (const int64_t later : {1, 30, 1200, 1231, 2400, 2450}) {
      const int64_t token = shared ? (later + kQueryTile - 1) / kQueryTile * kQueryTile : later;
      for (const float factor : {0x1p-9f, 30.0f}) {
        auto other = c;
        for (int64_t h = 0; h < 5; ++h) {
          for (int64_t j = token; j < 2500; ++j) {
            for (int64_t l = 0; l < 16; ++l) {
              other.q(0, h, j, l) *= -1.25f;
              other.k(0, h, j, l) = other.q(0, h, j, l);
              other.v(0, h, j, l) *= factor;
            }
          }
        }
        const Output<float> after = apply(other, plan, execution(pool));
        for (int64_t h = 0; h < 5; ++h) {
          INFO("selected " << (choice.kind == HeadKind::selected) << ", expand " << choice.expand << ", centroids "
                           << choice.centroids << ", share " << choice.limits.tile << ", token " << token << ", factor " << factor
                           << ", head " << h);
          CHECK(same_rows(before, after, h, 0, token));
        }
      }
    }
  }
}

TEST_CASE("a pair that is gone over counts once, whatever parts go over it") {
  Pool pool(2);
  for (const int64_t n : {2500, 2563}) {
    for (const bool causal : {true, false}) {
      const auto c = pattern_case<float>({1, 5, 5, n, n, 16, 16}, {causal}, 11);
      for (const HeadChoice& choice : {screened(0), selected(0, 0, false), selected(0, 0, true)}) {
        Execution run = execution(pool);
        Output<float> out = empty_output(c);
        const auto efforts =
            apply_plan<float>(run, c.problem(), plan_of(c, choice), true, out.o.view(), lse_view(c, out), nullptr);
        INFO("n " << n << ", causal " << causal << ", selected " << (choice.kind == HeadKind::selected));
        for (const HeadEffort& effort : efforts) CHECK(effort.counts.pairs.looked == (causal ? n * (n + 1) / 2 : n * n));
      }
    }
  }
}

TEST_CASE_TEMPLATE("adaptive attention has the same bits for any number of threads, and planned apart from applied", T, float,
                   double) {
  Pool one(1), two(2), three(3);
  const auto c = pattern_case<T>({1, 10, 5, 2600, 2600, 24, 20}, {true}, 9);
  for (const Estimate estimate : {Estimate::screened, Estimate::sampled}) {
    AdaptiveRequest request = with_tol(0.1);
    request.estimate = estimate;
    const auto first = adapt(c, request, execution(one));
    for (Pool* const pool : {&two, &three}) {
      const auto again = adapt(c, request, execution(*pool));
      CHECK(first.out.o.data == again.out.o.data);
      CHECK(first.out.lse.data == again.out.lse.data);
      for (size_t h = 0; h < 10; ++h) {
        CHECK(first.plan.heads[h].error.high == again.plan.heads[h].error.high);
        CHECK(first.efforts[h].counts.pairs.computed == again.efforts[h].counts.pairs.computed);
      }
    }
    Execution run = execution(two);
    const AdaptivePlan plan = plan_attention<T>(run, c.problem(), request);
    const Output<T> applied = apply(c, plan, execution(two));
    CHECK(applied.o.data == first.out.o.data);
    CHECK(applied.lse.data == first.out.lse.data);
    // A plan serves other values: as well as int8 values can.
    auto other = c;
    for (int64_t g = 0; g < 5; ++g) fill_head(other.v, g, 3.0, 77, 3);
    const Output<T> exact = forward(other, execution(two)), with_plan = apply(other, plan, execution(two));
    for (int64_t h = 0; h < 10; ++h) CHECK(relative_error(with_plan.o, exact.o, h) <= 2 * 0.1);
  }
}

TEST_CASE_TEMPLATE("heads and batch elements are each as they are alone", T, float, double) {
  Pool pool(2);
  const int64_t n = 2300;
  AttentionCase<T> c = blank_case<T>({2, 6, 3, n, n, 12, 20}, {true, 0, 0, 0, {0, n, 150, n - 100}});
  for (int64_t h = 0; h < 12; ++h) fill_head(c.q, h, 2, 4, 1);
  for (int64_t h = 0; h < 6; ++h) {
    fill_head(c.k, h, 2, 4, 2);
    fill_head(c.v, h, 2, 4, 3);
  }
  const AdaptivePlan plan = plan_of(c, screened(0x1p-3f));
  const Output<T> all = apply(c, plan, execution(pool)), exact = forward(c, execution(pool));
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t h = 0; h < 6; ++h) {
      AttentionCase<T> single = blank_case<T>({1, 1, 1, n, n, 12, 20}, {true, 0, 0, 0, {b == 0 ? 0 : 150, b == 0 ? n : n - 100}});
      std::copy_n(&c.q(b, h, 0, 0), n * 12, single.q.data.begin());
      std::copy_n(&c.k(b, h / 2, 0, 0), n * 12, single.k.data.begin());
      std::copy_n(&c.v(b, h / 2, 0, 0), n * 20, single.v.data.begin());
      const Output<T> alone = apply(single, plan_of(single, screened(0x1p-3f)), execution(pool));
      CHECK(std::equal(alone.o.data.begin(), alone.o.data.end(), &all.o(b, h, 0, 0)));
      CHECK(std::equal(alone.lse.data.begin(), alone.lse.data.end(), &all.lse(b, h, 0, 0)));
    }
  }
  for (size_t i = 0; i < all.lse.data.size(); ++i) CHECK(std::isinf(all.lse.data[i]) == std::isinf(exact.lse.data[i]));
}

TEST_CASE_TEMPLATE("a lag bias counts, whatever the lengths are", T, float, double) {
  Pool pool(2);
  for (const int64_t n : {2048, 2101, 2127, 2003}) {
    for (const bool causal : {true, false}) {
      AttentionCase<T> c({1, 2, 1, n, n + 40, 8, 8}, {causal, 40, 0, 2, {}, 1}, 5);
      for (int64_t h = 0; h < 2; ++h) {
        for (int64_t x = 0; x < c.bias.shape[3]; ++x)
          c.bias(0, 0, h, x) = static_cast<T>(-0.02 * static_cast<double>(1 + h) * static_cast<double>(std::abs(x + c.lag_min)));
      }
      const auto a = adapt(c, with_tol(0.1), execution(pool));
      const auto exact = forward(c, execution(pool));
      for (int64_t h = 0; h < 2; ++h) {
        INFO("n " << n << ", causal " << causal);
        CHECK(!a.plan.heads[static_cast<size_t>(h)].exact());
        CHECK(relative_error(a.out.o, exact.o, h) <= 1.25 * 0.1);
      }
    }
  }
}

TEST_CASE_TEMPLATE("zeros, huge and tiny numbers: within the tolerance, or exact", T, float, double) {
  Pool pool(2);
  const int64_t n = 2200;
  const auto plain = pattern_case<T>({1, 5, 5, n, n, 16, 16}, {true}, 10);
  const auto scaled = [&](double q, double k, double v) {
    auto c = plain;
    for (T& x : c.q.data) x *= static_cast<T>(q);
    for (T& x : c.k.data) x *= static_cast<T>(k);
    for (T& x : c.v.data) x *= static_cast<T>(v);
    return c;
  };
  std::vector<AttentionCase<T>> cases = {
      scaled(0, 1, 1),      scaled(1, 0, 1),     scaled(1, 1, 0),     scaled(1e15, 1e-15, 1), scaled(1e-15, 1e15, 1),
      scaled(1, 1, 1e-25),  scaled(1, 1, 1e-42), scaled(1, 1, 1e30),  scaled(1e-40, 1, 1),    scaled(1, 1e-40, 1),
      scaled(1e10, 1e6, 1), scaled(30, 1, 1),    scaled(-30, 30, 1.0)};
  for (const double first : {0.0, 1e-20, 1e20}) {  // values that grow or shrink along the sequence
    cases.push_back(plain);
    for (int64_t h = 0; h < 5; ++h) {
      for (int64_t j = 0; j < n / 2; ++j) {
        for (int64_t e = 0; e < 16; ++e) cases.back().v(0, h, j, e) *= static_cast<T>(first);
      }
    }
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    for (const Estimate estimate : {Estimate::screened, Estimate::sampled}) {
      AdaptiveRequest request = with_tol(0.1);
      request.estimate = estimate;
      const auto a = adapt(cases[i], request, execution(pool));
      const auto exact = forward(cases[i], execution(pool));
      for (int64_t h = 0; h < 5; ++h) {
        INFO("case " << i << ", head " << h << ", estimate " << static_cast<int>(estimate));
        for (int64_t row = 0; row < n; ++row) {
          bool finite = std::isfinite(a.out.lse(0, h, row, 0));
          for (int64_t e = 0; e < 16; ++e) finite &= std::isfinite(a.out.o(0, h, row, e));
          CHECK(finite);
        }
        const double error = relative_error(a.out.o, exact.o, h);
        if (a.plan.heads[static_cast<size_t>(h)].exact()) {
          CHECK(error == 0);
        } else {
          CHECK(error <= 3 * 0.1);  // what the worst of many heads may err by
        }
      }
    }
  }
}
