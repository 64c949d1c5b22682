// Gradients with the weights of a conv basis: against their definition, and against exact attention's where the basis is close to it.
#include <doctest/doctest.h>

#include "core/attention/conv_backward.hpp"
#include "core/attention/conv_recover.hpp"
#include "tests/core/conv_matrix.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

template <class T>
struct BackwardCase {
  int64_t heads, kv_heads, n, d, d_v;
  Tensor<T> q, k, v, d_o;
  double scale = 0.3;

  BackwardCase(int64_t h, int64_t kv, int64_t length, int64_t dim, int64_t dim_v)
      : heads(h),
        kv_heads(kv),
        n(length),
        d(dim),
        d_v(dim_v),
        q(random_tensor<T>(1, h, length, dim, 1, 0)),
        k(random_tensor<T>(1, kv, length, dim, 1, 1)),
        v(random_tensor<T>(1, kv, length, dim_v, 1, 2)),
        d_o(random_tensor<T>(1, h, length, dim_v, 1, 3)) {}

  attention::Problem<T> problem() const {
    attention::Problem<T> p;
    p.q = read(q);
    p.k = read(k);
    p.v = read(v);
    p.scale = scale;
    p.causal = true;
    return p;
  }

  // By definition, one pair at a time; weights(h, i) gives row i of head h.
  template <class Weights>
  GradientTensors<long double> oracle(const Weights& weights) const {
    GradientTensors<long double> g{{1, heads, n, d}, {1, kv_heads, n, d}, {1, kv_heads, n, d_v}, {}};
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t kv = h / (heads / kv_heads);
      for (int64_t i = 0; i < n; ++i) {
        const std::vector<long double> row = weights(h, i);
        std::vector<long double> inner(row.size());
        long double delta = 0;
        for (int64_t j = 0; j <= i; ++j) {
          for (int64_t c = 0; c < d_v; ++c) {
            inner[static_cast<size_t>(j)] += static_cast<long double>(d_o(0, h, i, c)) * v(0, kv, j, c);
            g.dv(0, kv, j, c) += row[static_cast<size_t>(j)] * d_o(0, h, i, c);
          }
          delta += row[static_cast<size_t>(j)] * inner[static_cast<size_t>(j)];
        }
        for (int64_t j = 0; j <= i; ++j) {
          const long double d_logit = scale * row[static_cast<size_t>(j)] * (inner[static_cast<size_t>(j)] - delta);
          for (int64_t l = 0; l < d; ++l) {
            g.dq(0, h, i, l) += d_logit * k(0, kv, j, l);
            g.dk(0, kv, j, l) += d_logit * q(0, h, i, l);
          }
        }
      }
    }
    return g;
  }
};

template <class T>
GradientTensors<T> conv_gradients(const BackwardCase<T>& c, const ConvBasis<T>& basis, int64_t threads = 2) {
  Pool pool(threads);
  Execution run = execution(pool);
  GradientTensors<T> g{c.q, c.k, c.v, {}};
  attention::conv_backward<T>(run, basis, c.problem(), true, read(c.d_o), {g.dq.view(), g.dk.view(), g.dv.view(), {}});
  return g;
}

template <class T>
void expect_all(const Tensor<T>& value, const Tensor<long double>& expected, long double budget) {
  for (size_t i = 0; i < value.data.size(); ++i) expect_within(value.data[i], expected.data[i], budget);
}

}  // namespace

TEST_CASE_TEMPLATE("gradients with a conv basis match their definition", T, float, double) {
  struct Sizes {
    int64_t heads, kv_heads, n, d, d_v, k;
  };
  for (const Sizes& s :
       {Sizes{1, 1, 1, 3, 2, 1}, {2, 1, 67, 5, 7, 3}, {4, 2, 300, 16, 5, 4}, {1, 1, 600, 80, 3, 8}, {1, 1, 40, 2, 0, 2}}) {
    const BackwardCase<T> c(s.heads, s.kv_heads, s.n, s.d, s.d_v);
    const ConvBasis<T> basis = random_basis<T>(1, s.heads, s.n, s.k, 3, 5);
    const auto g = conv_gradients(c, basis);
    const auto expected = c.oracle([&](int64_t h, int64_t i) { return weights_row(basis.head(0, h), ConvWeights::softmax, i); });
    // Every entry is a sum of d_v + 1 products, each within what is promised, times factors of at most 1 (d_v for delta).
    const auto terms = static_cast<long double>(2 * s.d_v + 1);
    const long double group = static_cast<long double>(s.heads / s.kv_heads), blocks = static_cast<long double>(s.n / 32 + 1);
    expect_all(g.dq, expected.dq, c.scale * terms * promised<T>());
    expect_all(g.dk, expected.dk, c.scale * terms * promised<T>() * group * blocks);
    expect_all(g.dv, expected.dv, promised<T>() * group * blocks);
  }
}

TEST_CASE_TEMPLATE("gradients have the same bits for any number of threads", T, float, double) {
  const BackwardCase<T> c(2, 1, 700, 8, 8);
  const ConvBasis<T> basis = random_basis<T>(1, 2, 700, 4, 3, 5);
  const auto one = conv_gradients(c, basis, 1), three = conv_gradients(c, basis, 3);
  CHECK(one.dq.data == three.dq.data);
  CHECK(one.dk.data == three.dk.data);
  CHECK(one.dv.data == three.dv.data);
}

TEST_CASE("gradients with a recovered basis are within the bound of exact attention's") {
  for (const double noise_share : {0.0, 0.3, 1.0}) {
    for (uint64_t seed = 0; seed < 10; ++seed) {
      ConvCase<double> structured(random_shape(200, 8, 5, 0, seed), noise_share, seed);
      BackwardCase<double> c(1, 1, 200, structured.d(), 6);
      c.q = structured.q;
      c.k = structured.k;
      c.scale = 1;
      Pool pool(2);
      Execution run = execution(pool);
      const auto delta = static_cast<double>(structured.delta());
      attention::RecoveryCounts counts;
      const auto basis = attention::recover_conv_basis<double>(run, read(c.q), read(c.k), 1.0, {5, 8, delta}, &counts);
      CHECK(basis.list[0].bases() == structured.bases());
      const auto g = conv_gradients(c, basis);
      const auto expected =
          c.oracle([&](int64_t, int64_t i) { return softmax_row(i, [&](int64_t j) { return structured.logit(i, j); }); });
      // The recovered kernels are themselves noisy columns: within 2 eps of the logits.
      const long double eps = 2 * structured.noise + structured.rounding();
      long double k_most = 0;
      for (const double x : c.k.data) k_most = std::max(k_most, std::fabs(static_cast<long double>(x)));
      for (int64_t i = 0; i < c.n; ++i) {
        long double d_o_norm = 0;
        for (int64_t e = 0; e < c.d_v; ++e) d_o_norm += std::fabs(static_cast<long double>(c.d_o(0, 0, i, e)));
        const long double bound = 6 * std::tanh(eps) * d_o_norm * k_most;  // |dS~ - dS|_1 max|k|, with max|v| = 1
        const long double budget = bound + promised<double>() * static_cast<long double>(2 * c.d_v + 1) * k_most;
        for (int64_t l = 0; l < c.d; ++l) expect_within(g.dq(0, 0, i, l), expected.dq(0, 0, i, l), budget);
      }
    }
  }
}

TEST_CASE_TEMPLATE("recomputed exact gradients match their definition", T, float, double) {
  const BackwardCase<T> c(2, 1, 90, 5, 7);
  Pool pool(2);
  Execution run = execution(pool);
  GradientTensors<T> g{c.q, c.k, c.v, {}};
  attention::exact_gradients<T>(run, c.problem(), true, read(c.d_o), {g.dq.view(), g.dk.view(), g.dv.view(), {}});
  const auto expected = c.oracle([&](int64_t h, int64_t i) {
    return softmax_row(i, [&](int64_t j) {
      long double logit = 0;
      for (int64_t l = 0; l < c.d; ++l) logit += static_cast<long double>(c.q(0, h, i, l)) * c.k(0, 0, j, l);
      return c.scale * logit;
    });
  });
  const long double budget =
      unit_roundoff<T>() * 2 * 90 * (7 + 5 + 6) * 4;  // sums over pairs and coordinates, entries of at most 1
  expect_all(g.dq, expected.dq, budget);
  expect_all(g.dk, expected.dk, budget);
  expect_all(g.dv, expected.dv, budget);
}
