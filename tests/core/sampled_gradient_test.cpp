// Exact gradients of single queries against the oracle, and the error of dq that is measured with them.
#include <doctest/doctest.h>

#include <numeric>
#include <utility>

#include "core/attention/sampled_gradient.hpp"
#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::attention;
using namespace subquad::test;

namespace {

struct Named {
  const char* name;
  Shape shape;
  Settings settings;
};

std::vector<Named> cases() {
  return {
      {"one pair", {1, 1, 1, 1, 1, 1, 1}, {}},
      {"causal square", {1, 1, 1, 131, 131, 16, 16}, {true}},
      {"no keys", {1, 2, 1, 5, 0, 3, 2}, {}},
      {"no value columns", {1, 1, 1, 4, 6, 3, 0}, {}},
      {"grouped heads, chunks of keys", {2, 6, 3, 31, 2100, 8, 11}, {true, 2069}},
      {"rows that see nothing", {1, 1, 1, 61, 40, 5, 3}, {true, -20}},
      {"bias per head, ranges", {2, 4, 2, 49, 1331, 3, 5}, {true, 1200, 3, 4, {60, 1330, 131, 1250}}},
      {"bias, one row, not causal", {1, 2, 1, 53, 259, 5, 4}, {false, 6, 0, 1, {101, 259}}},
      {"wide logits", {1, 1, 1, 70, 1300, 16, 4}, {true, 1230, 0, 0, {}, 8.0}},
  };
}

std::vector<int64_t> all_queries(int64_t count) {
  std::vector<int64_t> queries(static_cast<size_t>(count));
  std::iota(queries.begin(), queries.end(), 0);
  return queries;
}

// With ew and es the relative errors of weights and of their sums, and eg that of g, dq = scale (sum w g k - delta sum w k) / sum w errs
// by ew + es + eg in the first sum, by that and 2 (ew + es) + eg of delta in the second one, and by ew + es in each quotient. Weights
// are rescaled once for each block of keys at most: three roundings.
template <class T>
long double dq_budget(const AttentionCase<T>& c, const Oracle<T>& oracle) {
  const long double u = unit_roundoff<double>(), blocks = static_cast<long double>(c.shape.n_k / simd::kKeyBlock + 1);
  const long double weight =
      u * ((static_cast<long double>(c.shape.d) + 6) * oracle.logit_scale + 3 + 3 * blocks) + sum_error<double>(c.shape.n_k);
  return static_cast<long double>(c.problem().scale) * c.settings.magnitude * oracle.product_scale *
         (6 * weight + 2 * u * static_cast<long double>(c.shape.d_v + 8));
}

// The same numbers in reverse order, two columns apart.
template <class T>
View<const T, 4> reversed(const Tensor<T>& x, std::vector<T>& storage) {
  storage.assign(2 * x.data.size(), T{7});
  for (size_t i = 0; i < x.data.size(); ++i) storage[storage.size() - 2 * i - 2] = x.data[i];
  const auto strides = x.strides();
  return {storage.data() + storage.size() - 2, x.shape, {-2 * strides[0], -2 * strides[1], -2 * strides[2], -2 * strides[3]}};
}

}  // namespace

TEST_CASE_TEMPLATE("gradients of single queries match the oracle on every SIMD target", T, float, double) {
  Pool pool(2);
  for (const Named& named : cases()) {
    INFO(named.name);
    const AttentionCase<T> c(named.shape, named.settings, 7);
    const Shape& s = c.shape;
    const Oracle<T> oracle(c);
    const std::vector<int64_t> queries = all_queries(s.n_q);
    for (const simd::Target target : simd::targets()) {
      INFO("target " << simd::name(target));
      Execution run = execution(pool, target);
      for (int64_t b = 0; b < s.batch; ++b) {
        for (int64_t h = 0; h < s.q_heads; ++h) {
          const auto dq = exact_dq_rows<T>(run, c.problem(), c.d_o.view(), b, h, queries);
          REQUIRE(dq.size() == static_cast<size_t>(s.n_q * s.d));
          for (size_t i = 0; i < dq.size(); ++i) expect_within(dq[i], (&oracle.gradient.dq(b, h, 0, 0))[i], dq_budget(c, oracle));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("a query's gradient hangs neither on the others, nor on strides, nor on threads", T, float, double) {
  const AttentionCase<T> c({2, 4, 2, 149, 1331, 3, 5}, {true, 1200, 3, 4, {60, 1330, 131, 1250}}, 3);
  Pool one(1), three(3);
  Execution run = execution(one), threads = execution(three);
  const auto all = exact_dq_rows<T>(run, c.problem(), c.d_o.view(), 1, 2, all_queries(149));
  CHECK(exact_dq_rows<T>(threads, c.problem(), c.d_o.view(), 1, 2, all_queries(149)) == all);

  std::vector<T> q, k, v, d_o;
  Problem<T> strided = c.problem();
  strided.q = reversed(c.q, q);
  strided.k = reversed(c.k, k);
  strided.v = reversed(c.v, v);
  const std::vector<int64_t> some = {148, 3, 3, 77};
  const auto rows = exact_dq_rows<T>(run, strided, reversed(c.d_o, d_o), 1, 2, some);
  for (size_t r = 0; r < some.size(); ++r) {
    for (size_t l = 0; l < 3; ++l) CHECK(rows[r * 3 + l] == all[static_cast<size_t>(some[r]) * 3 + l]);
  }
  CHECK(exact_dq_rows<T>(run, c.problem(), c.d_o.view(), 1, 2, {}).empty());
}

TEST_CASE_TEMPLATE("the error of the exact backward pass is its round-off", T, float, double) {
  Pool pool(2);
  const AttentionCase<T> c({1, 4, 2, 401, 401, 16, 16}, {true}, 3);
  const Oracle<T> oracle(c);
  const auto g = backward(c, forward(c, execution(pool)), execution(pool));
  const std::vector<int64_t> queries = {5, 77, 130, 200, 333, 400};
  // dq of the backward pass as in tests/core/exact_test.cpp, entry by entry.
  const long double m = c.settings.magnitude,
                    entry = c.problem().scale * m *
                                (d_logit_error(c, oracle) +
                                 2 * oracle.product_scale * (sum_error<T>(c.shape.n_k) + 4 * unit_roundoff<T>())) +
                            dq_budget(c, oracle);
  Execution run = execution(pool);
  for (int64_t h = 0; h < 4; ++h) {
    long double norm = 0;
    for (const int64_t i : queries) {
      for (int64_t l = 0; l < 16; ++l) norm += oracle.gradient.dq(0, h, i, l) * oracle.gradient.dq(0, h, i, l);
    }
    const double error = sampled_dq_error<T>(run, c.problem(), c.d_o.view(), g.dq.view(), 0, h, queries);
    expect_within(error, 0, entry * std::sqrt(static_cast<long double>(queries.size() * 16) / norm));
    CHECK(error > 0);
  }
}

TEST_CASE("the error is relative, in the Frobenius norm, and of the given rows only") {
  Pool pool(1);
  Execution run = execution(pool);
  const AttentionCase<double> c({1, 1, 1, 40, 40, 4, 4}, {true, -2}, 3);
  const Oracle<double> oracle(c);
  Tensor<double> dq(1, 1, 40, 4);
  const auto error = [&](const std::vector<int64_t>& queries) {
    return sampled_dq_error<double>(run, c.problem(), c.d_o.view(), std::as_const(dq).view(), 0, 0, queries);
  };
  for (int64_t i = 0; i < 40; ++i) {
    for (int64_t l = 0; l < 4; ++l) dq(0, 0, i, l) = (i < 20 ? 1.25 : 1e9) * static_cast<double>(oracle.gradient.dq(0, 0, i, l));
  }
  long double norm = 0;
  for (const int64_t i : {3, 19, 7}) {
    for (int64_t l = 0; l < 4; ++l) norm += oracle.gradient.dq(0, 0, i, l) * oracle.gradient.dq(0, 0, i, l);
  }
  expect_within(error({3, 19, 7}), 0.25, 3 * dq_budget(c, oracle) * std::sqrt(12 / norm));
  CHECK(error({}) == 0);

  // Query 0 sees nothing.
  CHECK(error({0}) == 0);
  dq(0, 0, 0, 0) = 1;
  CHECK(error({0}) == std::numeric_limits<double>::infinity());
}
