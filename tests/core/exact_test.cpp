// Exact attention, forward and backward, against the oracle: every SIMD target, both precisions, shapes around every block size.
#include <doctest/doctest.h>

#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

struct Named {
  const char* name;
  Shape shape;
  Settings settings;
};

std::vector<Named> cases() {
  std::vector<Named> list = {
      {"one pair", {1, 1, 1, 1, 1, 1, 1}, {}},
      {"no keys", {1, 2, 1, 5, 0, 3, 2}, {}},
      {"no value columns", {1, 1, 1, 4, 6, 3, 0}, {}},
      {"causal square", {1, 1, 1, 67, 67, 16, 16}, {true}},
      {"causal, more keys", {1, 1, 1, 13, 150, 7, 9}, {true, 137}},
      {"causal, rows that see nothing", {1, 1, 1, 61, 40, 5, 3}, {true, -20}},
      {"grouped heads", {2, 6, 3, 31, 37, 8, 11}, {true, 6}},
      {"one key/value head", {1, 4, 1, 50, 50, 64, 64}, {true}},
      {"bias, one row", {2, 2, 1, 53, 59, 5, 4}, {true, 6, 0, 1}},
      {"bias per head, not causal", {2, 4, 2, 49, 131, 3, 5}, {false, -7, 3, 4}},
      {"ranges", {3, 2, 1, 40, 137, 6, 7}, {true, 97, 0, 0, {0, 137, 20, 90, 130, 131}}},
      {"one range for all, a slice of keys", {2, 1, 1, 33, 140, 4, 4}, {true, 300, 200, 1, {190, 320}}},
      {"empty range", {2, 1, 1, 9, 30, 4, 4}, {false, 0, 0, 0, {0, 30, 12, 12}}},
      {"few queries, chunks of keys", {2, 6, 2, 3, 4500, 5, 70}, {true, 4497, 0, 6, {0, 4500, 100, 2200}}},
      {"few queries, one of which sees one chunk", {1, 2, 1, 4, 2100, 20, 3}, {true, 2045}},
      {"few queries, a slice of keys, bias", {1, 2, 1, 2, 2300, 33, 17}, {true, 2400, 110, 1}},
      {"a group in several waves", {1, 3, 1, 6, 5, 70000, 70000}, {false, 0, 0, 1, {}, 0.1}},
      {"wide logits", {1, 1, 1, 70, 300, 16, 4}, {true, 230, 0, 0, {}, 8.0}},
  };
  // Around the tile, the query group of each vector width, and the block of keys.
  for (const int64_t n :
       {2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 15, 17, 23, 24, 25, 47, 48, 49, 95, 97, 127, 128, 129, 191, 193, 257}) {
    list.push_back({"a size near a block's", {1, 1, 1, n, n, 3, 5}, {true}});
  }
  return list;
}

template <class T>
void check_forward(const AttentionCase<T>& c, const Oracle<T>& oracle, const Output<T>& out) {
  for (size_t i = 0; i < out.o.data.size(); ++i) expect_within(out.o.data[i], oracle.out.o.data[i], output_budget(c, oracle));
  for (size_t i = 0; i < out.lse.data.size(); ++i) {
    expect_within(out.lse.data[i], oracle.out.lse.data[i], lse_budget(c, oracle, oracle.out.lse.data[i]));
  }
}

// A sum over pairs whose weights add up to `weight` errs by their own errors and by the summation.
template <class T>
long double pair_budget(const AttentionCase<T>& c, long double weight, long double error, long double size,
                        long double summation) {
  return weight * (error + size * (summation + 4 * unit_roundoff<T>())) + c.settings.magnitude * std::numeric_limits<T>::min();
}

template <class T>
void check_backward(const AttentionCase<T>& c, const Oracle<T>& oracle, const GradientTensors<T>& g) {
  const Shape& s = c.shape;
  const long double scale = c.problem().scale, m = c.settings.magnitude, d_logit = d_logit_error(c, oracle),
                    size = 2 * oracle.product_scale;
  const int64_t queries = s.n_q * s.q_heads / std::max<int64_t>(s.kv_heads, 1);
  for (size_t i = 0; i < g.dq.data.size(); ++i) {
    expect_within(g.dq.data[i], oracle.gradient.dq.data[i], scale * m * pair_budget(c, 1, d_logit, size, sum_error<T>(s.n_k)));
  }
  for (size_t i = 0; i < g.dk.data.size(); ++i) {
    const long double weight = oracle.key_weight.data[i / static_cast<size_t>(s.d)];
    expect_within(g.dk.data[i], oracle.gradient.dk.data[i],
                  scale * m * pair_budget(c, weight, d_logit, size, query_sum_error<T>(queries)));
  }
  for (size_t i = 0; i < g.dv.data.size(); ++i) {
    const long double weight = oracle.key_weight.data[i / static_cast<size_t>(s.d_v)];
    expect_within(g.dv.data[i], oracle.gradient.dv.data[i],
                  m * pair_budget(c, weight, backward_weight_error(c, oracle), 1, query_sum_error<T>(queries)));
  }
  for (size_t i = 0; i < g.d_bias.data.size(); ++i) {
    // All pairs of one lag: at most one per query.
    const long double pairs = static_cast<long double>(s.n_q * s.batch * s.q_heads);
    expect_within(g.d_bias.data[i], oracle.gradient.d_bias.data[i],
                  pair_budget(c, pairs, d_logit, size, query_sum_error<T>(s.n_q)));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("exact attention and its gradient match the oracle on every SIMD target", T, float, double) {
  Pool pool(2);
  for (const Named& named : cases()) {
    INFO(named.name << ", n_q " << named.shape.n_q << ", n_k " << named.shape.n_k);
    const AttentionCase<T> c(named.shape, named.settings, 7);
    const Oracle<T> oracle(c);
    for (const simd::Target target : simd::targets()) {
      INFO("target " << simd::name(target));
      const Output<T> out = forward(c, execution(pool, target));
      check_forward(c, oracle, out);
      check_backward(c, oracle, backward(c, out, execution(pool, target)));
    }
  }
}

TEST_CASE_TEMPLATE("exact attention reports a logit that overflows, and which row it is in", T, float, double) {
  Pool pool(1);
  AttentionCase<T> few({1, 2, 1, 2, 5000, 2, 2}, {}, 3);
  for (const int64_t channel : {0, 1})
    few.q(0, 1, 1, channel) = few.k(0, 0, 4900, channel) = std::sqrt(std::numeric_limits<T>::max()) * T{2};
  CHECK_THROWS_WITH_AS(forward(few, execution(pool)), doctest::Contains("head 1, query 1"), Error);
  AttentionCase<T> c({1, 2, 1, 60, 60, 2, 2}, {}, 3);
  for (const int64_t channel : {0, 1})
    c.q(0, 1, 55, channel) = c.k(0, 0, 3, channel) = std::sqrt(std::numeric_limits<T>::max()) * T{2};
  CHECK_THROWS_WITH_AS(forward(c, execution(pool)), doctest::Contains("head 1, query 55"), Error);
}

TEST_CASE_TEMPLATE("logits of minus infinity count nothing, wherever they are; a row of nothing else overflows", T, float,
                   double) {
  Pool pool(1);
  for (const simd::Target target : simd::targets()) {
    INFO(simd::name(target));
    for (const int64_t n_q : {1, 20}) {
      for (const int64_t leading : {1, 3, 4, 7, 8, 9, 120, 128, 150, 200}) {
        AttentionCase<T> c({1, 1, 1, n_q, 200, 1, 3}, {}, 3);
        std::fill(c.q.data.begin(), c.q.data.end(), std::numeric_limits<T>::max() / 4);
        for (int64_t j = 0; j < 200; ++j) c.k(0, 0, j, 0) = j < leading ? T{-1e6} : T{0};
        if (leading == 200) {
          CHECK_THROWS_WITH_AS(forward(c, execution(pool, target)), doctest::Contains("query 0"), Error);
          continue;
        }
        const Output<T> out = forward(c, execution(pool, target));
        for (int64_t e = 0; e < 3; ++e) {
          long double mean = 0;
          for (int64_t j = leading; j < 200; ++j) mean += c.v(0, 0, j, e);
          mean /= static_cast<long double>(200 - leading);
          for (int64_t i = 0; i < n_q; ++i) expect_within(out.o(0, 0, i, e), mean, 2 * c.settings.magnitude * sum_error<T>(200));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("an output or a gradient that overflows is reported, not returned", T, float, double) {
  Pool pool(2);
  for (const int64_t n_q : {2, 20}) {
    AttentionCase<T> c({1, 1, 1, n_q, 200, 2, 3}, {}, 3);
    const Output<T> out = forward(c, execution(pool));
    std::fill(c.d_o.data.begin(), c.d_o.data.end(), std::numeric_limits<T>::max());
    CHECK_THROWS_WITH_AS(backward(c, out, execution(pool)), doctest::Contains("gradient"), Error);
    std::fill(c.v.data.begin(), c.v.data.end(), std::numeric_limits<T>::max() / 2);
    CHECK_THROWS_WITH_AS(forward(c, execution(pool)), doctest::Contains("query 0"), Error);
  }
}

TEST_CASE_TEMPLATE("huge finite logits stay exact", T, float, double) {
  // Logits of +-1e30: each row is one key's value, to the bit.
  Pool pool(1);
  AttentionCase<T> c({1, 1, 1, 30, 64, 1, 3}, {}, 3);
  for (int64_t i = 0; i < 30; ++i) c.q(0, 0, i, 0) = static_cast<T>(1e15);
  for (int64_t j = 0; j < 64; ++j) c.k(0, 0, j, 0) = static_cast<T>(j == 41 ? 1e15 : -1e15 + 1e13 * static_cast<double>(j));
  const Output<T> out = forward(c, execution(pool));
  for (int64_t i = 0; i < 30; ++i) {
    for (int64_t e = 0; e < 3; ++e) CHECK(out.o(0, 0, i, e) == c.v(0, 0, 41, e));
  }
}

TEST_CASE_TEMPLATE("a row whose logits keep rising is rescaled as often as it needs", T, float, double) {
  // Key j has logit 3 j: the running maximum moves at almost every tile.
  Pool pool(1);
  AttentionCase<T> c({1, 1, 1, 50, 200, 1, 4}, {}, 3);
  for (T& x : c.q.data) x = T{1};
  for (int64_t j = 0; j < 200; ++j) c.k(0, 0, j, 0) = static_cast<T>(3 * j);
  const Oracle<T> oracle(c);
  check_forward(c, oracle, forward(c, execution(pool)));
}
