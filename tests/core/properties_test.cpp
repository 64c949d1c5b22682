// What must hold of attention whatever the numbers are.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

const Shape kShape = {2, 4, 2, 150, 170, 20, 12};
const Settings kCausal = {true, 20, 0, 4};

}  // namespace

TEST_CASE_TEMPLATE("the weights of a row sum to one", T, float, double) {
  Pool pool(2);
  AttentionCase<T> c(kShape, kCausal, 1);
  std::fill(c.v.data.begin(), c.v.data.end(), T{1});
  const Oracle<T> oracle(c);
  for (const T x : forward(c, execution(pool)).o.data) expect_within(x, 1, output_budget(c, oracle));
}

TEST_CASE_TEMPLATE("attention is linear in the values", T, float, double) {
  Pool pool(2);
  AttentionCase<T> a(kShape, kCausal, 1), b = a, sum = a;
  b.v = AttentionCase<T>(kShape, kCausal, 2).v;
  for (size_t i = 0; i < sum.v.data.size(); ++i) sum.v.data[i] = a.v.data[i] + 2 * b.v.data[i];
  const auto oa = forward(a, execution(pool)), ob = forward(b, execution(pool)), os = forward(sum, execution(pool));
  const long double budget = 2 * 3 * output_budget(a, Oracle<T>(a));  // either side, values up to 3 magnitudes
  for (size_t i = 0; i < os.o.data.size(); ++i) expect_within(os.o.data[i], oa.o.data[i] + 2.0L * ob.o.data[i], budget);
}

TEST_CASE_TEMPLATE("keys and values may be permuted together", T, float, double) {
  Pool pool(2);
  const AttentionCase<T> a(kShape, {}, 1);
  AttentionCase<T> b = a;
  const int64_t n = kShape.n_k;
  for (int64_t batch = 0; batch < kShape.batch; ++batch) {
    for (int64_t h = 0; h < kShape.kv_heads; ++h) {
      for (int64_t j = 0; j < n; ++j) {
        const int64_t from = (j * 37 + 11) % n;
        for (int64_t l = 0; l < kShape.d; ++l) b.k(batch, h, j, l) = a.k(batch, h, from, l);
        for (int64_t e = 0; e < kShape.d_v; ++e) b.v(batch, h, j, e) = a.v(batch, h, from, e);
      }
    }
  }
  const auto oa = forward(a, execution(pool)), ob = forward(b, execution(pool));
  const long double budget = 2 * output_budget(a, Oracle<T>(a));
  for (size_t i = 0; i < oa.o.data.size(); ++i) expect_within(ob.o.data[i], oa.o.data[i], budget);
}

TEST_CASE_TEMPLATE("a constant added to all logits changes nothing but the log-sum-exp", T, float, double) {
  Pool pool(2);
  const AttentionCase<T> a(kShape, {true, 20, 0, 1}, 1);
  AttentionCase<T> b = a;
  for (T& x : b.bias.data) x += T{40};
  const auto oa = forward(a, execution(pool)), ob = forward(b, execution(pool));
  const Oracle<T> oracle(b);
  for (size_t i = 0; i < oa.o.data.size(); ++i) expect_within(ob.o.data[i], oa.o.data[i], 2 * output_budget(b, oracle));
  for (size_t i = 0; i < oa.lse.data.size(); ++i) {
    expect_within(ob.lse.data[i], oa.lse.data[i] + 40.0L, 2 * lse_budget(b, oracle, oracle.out.lse.data[i]));
  }
}

TEST_CASE_TEMPLATE("a causal output does not see later keys or values, to the bit", T, float, double) {
  Pool pool(2);
  const AttentionCase<T> a(kShape, kCausal, 1);
  const auto before = forward(a, execution(pool));
  for (const int64_t j : {0, 1, 20, 21, 67, 68, 69, 128, 169}) {
    AttentionCase<T> b = a;
    for (int64_t batch = 0; batch < kShape.batch; ++batch) {
      for (int64_t h = 0; h < kShape.kv_heads; ++h) {
        for (int64_t l = 0; l < kShape.d; ++l) b.k(batch, h, j, l) = T{1000};
        for (int64_t e = 0; e < kShape.d_v; ++e) b.v(batch, h, j, e) = T{-1e6};
      }
    }
    const auto after = forward(b, execution(pool));
    for (int64_t i = 0; i < kShape.n_q; ++i) {
      const bool sees = j <= i + kCausal.causal_offset;
      bool same = true;
      for (int64_t e = 0; e < kShape.d_v; ++e) same &= after.o(1, 3, i, e) == before.o(1, 3, i, e);
      CHECK(same == !sees);
    }
  }
}

TEST_CASE_TEMPLATE("a query's output does not depend on the other queries, to the bit", T, float, double) {
  // The same rows alone, at another place of another query group, and in a longer sequence.
  Pool pool(2);
  const AttentionCase<T> all({1, 1, 1, 150, 150, 20, 12}, {true, 0, 0, 0, {}, 12}, 1);
  const auto whole = forward(all, execution(pool));
  for (const int64_t first : {0, 1, 30, 101}) {
    const int64_t rows = 49;
    AttentionCase<T> part({1, 1, 1, rows, first + rows, 20, 12}, {true, first}, 1);
    std::copy_n(all.q.data.begin() + first * 20, rows * 20, part.q.data.begin());
    std::copy_n(all.k.data.begin(), (first + rows) * 20, part.k.data.begin());
    std::copy_n(all.v.data.begin(), (first + rows) * 12, part.v.data.begin());
    const auto out = forward(part, execution(pool));
    CHECK(std::equal(out.o.data.begin(), out.o.data.end(), whole.o.data.begin() + first * 12));
    CHECK(std::equal(out.lse.data.begin(), out.lse.data.end(), whole.lse.data.begin() + first));
  }
}

TEST_CASE_TEMPLATE("the gradient in the values is the adjoint: <O(V), W> = <V, dV(W)>", T, float, double) {
  Pool pool(2);
  const AttentionCase<T> c(kShape, kCausal, 1);
  const Oracle<T> oracle(c);
  const auto out = forward(c, execution(pool));
  const auto g = backward(c, out, execution(pool));
  long double left = 0, right = 0;
  for (size_t i = 0; i < out.o.data.size(); ++i) left += static_cast<long double>(out.o.data[i]) * c.d_o.data[i];
  for (size_t i = 0; i < c.v.data.size(); ++i) right += static_cast<long double>(c.v.data[i]) * g.dv.data[i];
  // Every output entry may err by the output's budget, and its weights again by the backward's.
  const long double m = c.settings.magnitude, entries = static_cast<long double>(out.o.data.size());
  expect_within(left, right,
                entries * m * (output_budget(c, oracle) + m * (backward_weight_error(c, oracle) + sum_error<T>(kShape.n_q))));
}

namespace {

template <class T>
void check_threads(const AttentionCase<T>& c) {
  Pool one(1);
  const auto out = forward(c, execution(one));
  const auto g = backward(c, out, execution(one));
  for (const int64_t threads : {2, 3, 5}) {
    Pool many(threads);
    for (int repeat = 0; repeat < 3; ++repeat) {
      const auto again = forward(c, execution(many));
      CHECK(same_bits(out.o.data, again.o.data));
      CHECK(same_bits(out.lse.data, again.lse.data));
      const auto h = backward(c, out, execution(many));
      CHECK(same_bits(g.dq.data, h.dq.data));
      CHECK(same_bits(g.dk.data, h.dk.data));
      CHECK(same_bits(g.dv.data, h.dv.data));
      CHECK(same_bits(g.d_bias.data, h.d_bias.data));
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("the same bits for any number of threads", T, float, double) {
  check_threads(AttentionCase<T>({2, 4, 2, 700, 720, 9, 10}, {true, 20, 0, 1, {0, 720, 5, 700}}, 1));
  check_threads(AttentionCase<T>({1, 4, 2, 300, 300, 9, 10}, {true, 0, 0, 4}, 1));
  // Few queries: chunks of keys. Then heads so large that a wave of the backward pass holds one of the three of a group.
  check_threads(AttentionCase<T>({2, 4, 2, 3, 4500, 9, 10}, {true, 4497, 0, 1}, 1));
  check_threads(AttentionCase<T>({1, 3, 1, 15, 10, 70000, 70000}, {false, 0, 0, 1}, 1));
}
