// A random attention problem with its arrays, and the long double oracle of its output and gradients.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/attention/exact.hpp"
#include "core/random/philox.hpp"

namespace subquad::test {

struct Shape {
  int64_t batch = 1, q_heads = 1, kv_heads = 1, n_q = 1, n_k = 1, d = 1, d_v = 1;
};

struct Settings {
  bool causal = false;
  int64_t causal_offset = 0, key_offset = 0;
  int64_t bias_rows = 0;             // 0: no bias
  std::vector<int64_t> ranges = {};  // batch (or 1) pairs, or empty
  double magnitude = 1.5;            // entries of q, k, v, do are uniform in [-magnitude, magnitude]
};

// A dense row-major tensor with four axes.
template <class T>
struct Tensor {
  std::array<int64_t, 4> shape{};
  std::vector<T> data;

  Tensor() = default;
  Tensor(int64_t a, int64_t b, int64_t c, int64_t d) : shape{a, b, c, d}, data(static_cast<size_t>(a * b * c * d)) {}

  T& operator()(int64_t a, int64_t b, int64_t c, int64_t d) {
    return data[static_cast<size_t>(((a * shape[1] + b) * shape[2] + c) * shape[3] + d)];
  }
  const T& operator()(int64_t a, int64_t b, int64_t c, int64_t d) const { return const_cast<Tensor&>(*this)(a, b, c, d); }

  std::array<int64_t, 4> strides() const { return {shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1}; }
  View<T, 4> view() { return {data.data(), shape, strides()}; }
  View<const T, 4> view() const { return {data.data(), shape, strides()}; }
};

template <class T>
struct AttentionCase {
  Shape shape;
  Settings settings;
  Tensor<T> q, k, v, d_o, bias;
  int64_t lag_min = 0;

  AttentionCase(const Shape& s, const Settings& options, uint64_t seed) : shape(s), settings(options) {
    q = random(s.batch, s.q_heads, s.n_q, s.d, seed, 0);
    k = random(s.batch, s.kv_heads, s.n_k, s.d, seed, 1);
    v = random(s.batch, s.kv_heads, s.n_k, s.d_v, seed, 2);
    d_o = random(s.batch, s.q_heads, s.n_q, s.d_v, seed, 3);
    lag_min = options.causal_offset - options.key_offset - s.n_k;
    if (options.bias_rows > 0) bias = random(1, 1, options.bias_rows, s.n_q + s.n_k + 1, seed, 4);
  }

  Tensor<T> random(int64_t a, int64_t b, int64_t c, int64_t d, uint64_t seed, uint64_t stream) const {
    Tensor<T> x(a, b, c, d);
    for (size_t i = 0; i < x.data.size(); ++i)
      x.data[i] = static_cast<T>(settings.magnitude * (2 * random_uniform(seed, stream, i) - 1));
    return x;
  }

  attention::Problem<T> problem() const {
    attention::Problem<T> p;
    p.q = q.view();
    p.k = k.view();
    p.v = v.view();
    p.scale = 1 / std::sqrt(static_cast<double>(shape.d));
    p.causal = settings.causal;
    p.causal_offset = settings.causal_offset;
    p.key_offset = settings.key_offset;
    p.lag_min = lag_min;
    if (!bias.data.empty()) p.lag_bias = {bias.data.data(), {bias.shape[2], bias.shape[3]}, {bias.shape[3], 1}};
    if (!settings.ranges.empty())
      p.key_ranges = {settings.ranges.data(), {static_cast<int64_t>(settings.ranges.size()) / 2, 2}, {2, 1}};
    return p;
  }
};

template <class T>
struct Output {
  Tensor<T> o, lse;  // lse: [batch][q_heads][n_q][1]
};

template <class T>
struct GradientTensors {
  Tensor<T> dq, dk, dv, d_bias;
};

inline Execution execution(Pool& pool, simd::Target target = simd::targets().front()) {
  static fft::PlanCache plans;
  return {pool, Ticker({}), target, Workspace(0), plans};
}

template <class T>
Output<T> forward(const AttentionCase<T>& c, Execution run) {
  const Shape& s = c.shape;
  Output<T> out{{s.batch, s.q_heads, s.n_q, s.d_v}, {s.batch, s.q_heads, s.n_q, 1}};
  attention::exact_forward<T>(run, c.problem(), true, out.o.view(),
                              {out.lse.data.data(), {s.batch, s.q_heads, s.n_q}, {s.q_heads * s.n_q, s.n_q, 1}});
  return out;
}

template <class T>
GradientTensors<T> backward(const AttentionCase<T>& c, const Output<T>& out, Execution run) {
  const Shape& s = c.shape;
  GradientTensors<T> g{c.q, c.k, c.v, c.bias};
  attention::Gradients<T> views{g.dq.view(), g.dk.view(), g.dv.view(), {}};
  if (!c.bias.data.empty()) views.d_lag_bias = {g.d_bias.data.data(), {c.bias.shape[2], c.bias.shape[3]}, {c.bias.shape[3], 1}};
  attention::exact_backward<T>(run, c.problem(), true, out.o.view(),
                               {out.lse.data.data(), {s.batch, s.q_heads, s.n_q}, {s.q_heads * s.n_q, s.n_q, 1}}, c.d_o.view(),
                               views);
  return g;
}

// Everything by its definition, one pair at a time.
template <class T>
struct Oracle {
  Output<long double> out;
  GradientTensors<long double> gradient;
  Tensor<long double> key_weight;  // [batch][kv_heads][n_k][1]: weights of a key summed over queries and heads
  long double logit_scale = 0;     // largest sum of |terms| of a logit
  long double product_scale = 0;   // largest sum_c |do_c v_c|

  explicit Oracle(const AttentionCase<T>& c);
};

template <class T>
Oracle<T>::Oracle(const AttentionCase<T>& c) {
  using R = long double;
  const Shape& s = c.shape;
  const attention::Problem<T> p = c.problem();
  const int64_t group = s.q_heads / s.kv_heads;
  out = {{s.batch, s.q_heads, s.n_q, s.d_v}, {s.batch, s.q_heads, s.n_q, 1}};
  gradient = {{s.batch, s.q_heads, s.n_q, s.d},
              {s.batch, s.kv_heads, s.n_k, s.d},
              {s.batch, s.kv_heads, s.n_k, s.d_v},
              {1, 1, c.settings.bias_rows, c.bias.shape[3]}};
  key_weight = {s.batch, s.kv_heads, s.n_k, 1};
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.q_heads; ++h) {
      const int64_t g = h / group, bias_row = c.settings.bias_rows > 1 ? h : 0;
      for (int64_t i = 0; i < s.n_q; ++i) {
        std::vector<R> weight(static_cast<size_t>(s.n_k));
        std::vector<int64_t> seen;
        R top = -std::numeric_limits<R>::infinity(), sum = 0;
        for (int64_t j = 0; j < s.n_k; ++j) {
          const int64_t lag = p.lag(i, j), position = j + p.key_offset;
          if (p.causal && lag < 0) continue;
          if (!c.settings.ranges.empty()) {
            const size_t row = c.settings.ranges.size() == 2 ? 0 : static_cast<size_t>(2 * b);
            if (position < c.settings.ranges[row] || position >= c.settings.ranges[row + 1]) continue;
          }
          R logit = 0, size = 0;
          for (int64_t l = 0; l < s.d; ++l) {
            const R term = R{p.scale} * c.q(b, h, i, l) * c.k(b, g, j, l);
            logit += term;
            size += std::fabs(term);
          }
          if (c.settings.bias_rows > 0) {
            logit += c.bias(0, 0, bias_row, lag - c.lag_min);
            size += std::fabs(c.bias(0, 0, bias_row, lag - c.lag_min));
          }
          logit_scale = std::max(logit_scale, size);
          weight[static_cast<size_t>(j)] = logit;
          seen.push_back(j);
          top = std::max(top, logit);
        }
        for (int64_t j : seen) sum += weight[static_cast<size_t>(j)] = std::exp(weight[static_cast<size_t>(j)] - top);
        out.lse(b, h, i, 0) = seen.empty() ? -std::numeric_limits<R>::infinity() : top + std::log(sum);
        R delta = 0;
        for (int64_t j : seen) {
          R& w = weight[static_cast<size_t>(j)];
          w /= sum;
          key_weight(b, g, j, 0) += w;
          for (int64_t e = 0; e < s.d_v; ++e) out.o(b, h, i, e) += w * c.v(b, g, j, e);
        }
        for (int64_t e = 0; e < s.d_v; ++e) delta += R{c.d_o(b, h, i, e)} * out.o(b, h, i, e);
        for (int64_t j : seen) {
          const R w = weight[static_cast<size_t>(j)];
          R product = 0, size = 0;
          for (int64_t e = 0; e < s.d_v; ++e) {
            const R term = R{c.d_o(b, h, i, e)} * c.v(b, g, j, e);
            product += term;
            size += std::fabs(term);
            gradient.dv(b, g, j, e) += w * c.d_o(b, h, i, e);
          }
          product_scale = std::max(product_scale, size);
          const R d_logit = w * (product - delta);
          for (int64_t l = 0; l < s.d; ++l) {
            gradient.dq(b, h, i, l) += R{p.scale} * d_logit * c.k(b, g, j, l);
            gradient.dk(b, g, j, l) += R{p.scale} * d_logit * c.q(b, h, i, l);
          }
          if (c.settings.bias_rows > 0) gradient.d_bias(0, 0, bias_row, p.lag(i, j) - c.lag_min) += d_logit;
        }
      }
    }
  }
}

}  // namespace subquad::test
