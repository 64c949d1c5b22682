// Heads of the kinds that models have, made up; and adaptive attention of them beside exact attention.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "core/attention/adaptive.hpp"
#include "tests/core/attention_case.hpp"

namespace subquad::test {

enum class Pattern { local, heavy, needles, diffuse, clustered };
inline constexpr Pattern kPatterns[] = {Pattern::local, Pattern::heavy, Pattern::needles, Pattern::diffuse, Pattern::clustered};

// x's entries of one head uniform in [-magnitude, magnitude].
template <class T>
void fill_head(Tensor<T>& x, int64_t head, double magnitude, uint64_t seed, uint64_t stream) {
  const int64_t size = x.shape[2] * x.shape[3];
  T* const entries = x.data.data() + head * size;
  for (int64_t i = 0; i < size; i += 4) {
    const auto low = static_cast<uint32_t>(i / 4), high = static_cast<uint32_t>(head);
    const PhiloxBlock words = philox4x32({low, high, static_cast<uint32_t>(stream), 0}, {static_cast<uint32_t>(seed), 0});
    for (int64_t w = 0; w < std::min<int64_t>(4, size - i); ++w)
      entries[i + w] = static_cast<T>(magnitude * ((words[static_cast<size_t>(w)] >> 8) * 0x1p-23 - 1));
  }
}

// A case whose tensors hold zeros.
template <class T>
AttentionCase<T> blank_case(const Shape& shape, const Settings& settings) {
  AttentionCase<T> c({1, 1, 1, 0, 0, 1, 1}, settings, 0);
  c.shape = shape;
  c.q = {shape.batch, shape.q_heads, shape.n_q, shape.d};
  c.k = {shape.batch, shape.kv_heads, shape.n_k, shape.d};
  c.v = {shape.batch, shape.kv_heads, shape.n_k, shape.d_v};
  c.lag_min = settings.causal_offset - settings.key_offset - shape.n_k;
  return c;
}

// One key/value head of a case and the query heads that read it; key j and query i stand at the same place for i = j - shift.
template <class T>
void fill_pattern(AttentionCase<T>& c, int64_t kv_head, Pattern pattern, uint64_t seed) {
  const int64_t d = c.shape.d, n_q = c.shape.n_q, n_k = c.shape.n_k, shift = n_k - n_q,
                group = c.shape.q_heads / c.shape.kv_heads;
  const auto random = [&](uint64_t stream, int64_t i) { return random_uniform(seed, stream, static_cast<uint64_t>(i)); };
  const auto place = [&](int64_t position, int64_t l) {  // nearby positions have nearby vectors
    const double speed = 2 / std::pow(600.0, static_cast<double>(l / 2) / static_cast<double>(std::max<int64_t>(d / 2, 1)));
    return std::cos(speed * static_cast<double>(position) + (l % 2 == 0 ? 0 : 1.5707963267948966));
  };
  fill_head(c.v, kv_head, 1.5, seed, 2);
  fill_head(c.k, kv_head, pattern == Pattern::diffuse ? 0.7 : 1.0, seed, 1);
  for (int64_t j = 0; j < n_k; ++j) {
    const bool heavy = random(3, j) < 0.004;
    for (int64_t l = 0; l < d; ++l) {
      T& k = c.k(0, kv_head, j, l);
      if (pattern == Pattern::local || pattern == Pattern::needles) k = static_cast<T>(2 * place(j, l)) + static_cast<T>(0.7) * k;
      if (pattern == Pattern::heavy && heavy) k += T{4} * (l % 2 == 0 ? T{1} : T{-1});
      if (pattern == Pattern::clustered) k = static_cast<T>(2.5 * place(977 * (j / 64), l)) + static_cast<T>(0.3) * k;
    }
  }
  for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    fill_head(c.q, h, pattern == Pattern::diffuse ? 0.7 : 1.0, seed, 5);
    for (int64_t i = 0; i < n_q; ++i) {
      const int64_t own = std::clamp<int64_t>(i + shift, 0, n_k - 1);
      const auto far = static_cast<int64_t>(random(6, h * n_q + i) * static_cast<double>(own + 1));
      const bool looks_far = random(7, h * n_q + i) < 0.01;
      for (int64_t l = 0; l < d; ++l) {
        T& q = c.q(0, h, i, l);
        if (pattern == Pattern::local || pattern == Pattern::needles) q = static_cast<T>(2 * place(own, l)) + T{0.5} * q;
        if (pattern == Pattern::needles && looks_far) q = T{3} * c.k(0, kv_head, far, l);
        if (pattern == Pattern::heavy) q += l % 2 == 0 ? T{1} : T{-1};
        if (pattern == Pattern::clustered) q = static_cast<T>(2 * place(977 * (far / 64), l)) + static_cast<T>(0.3) * q;
      }
    }
  }
}

// Every pattern in turn, one per key/value head; batch 1.
template <class T>
AttentionCase<T> pattern_case(const Shape& shape, const Settings& settings, uint64_t seed) {
  AttentionCase<T> c = blank_case<T>(shape, settings);
  for (int64_t g = 0; g < shape.kv_heads; ++g)
    fill_pattern(c, g, kPatterns[static_cast<size_t>(g) % std::size(kPatterns)], seed + 100 * static_cast<uint64_t>(g));
  return c;
}

template <class T>
Output<T> empty_output(const AttentionCase<T>& c) {
  const Shape& s = c.shape;
  return {{s.batch, s.q_heads, s.n_q, s.d_v}, {s.batch, s.q_heads, s.n_q, 1}};
}

template <class T>
View<T, 3> lse_view(const AttentionCase<T>& c, Output<T>& out) {
  const Shape& s = c.shape;
  return {out.lse.data.data(), {s.batch, s.q_heads, s.n_q}, {s.q_heads * s.n_q, s.n_q, 1}};
}

template <class T>
struct Adapted {
  attention::AdaptivePlan plan;
  std::vector<attention::HeadEffort> efforts;
  Output<T> out;
};

template <class T>
Adapted<T> adapt(const AttentionCase<T>& c, const attention::AdaptiveRequest& request, Execution run,
                 bool check_overflow = true) {
  Adapted<T> a{{}, {}, empty_output(c)};
  a.efforts =
      attention::plan_and_apply<T>(run, c.problem(), request, check_overflow, a.out.o.view(), lse_view(c, a.out), &a.plan);
  return a;
}

template <class T>
Output<T> apply(const AttentionCase<T>& c, const attention::AdaptivePlan& plan, Execution run) {
  Output<T> out = empty_output(c);
  attention::apply_plan<T>(run, c.problem(), plan, true, out.o.view(), lse_view(c, out), nullptr);
  return out;
}

// The same choice for all rows of all heads.
template <class T>
attention::AdaptivePlan plan_of(const AttentionCase<T>& c, const attention::HeadChoice& choice) {
  attention::AdaptivePlan plan;
  plan.heads.resize(static_cast<size_t>(c.shape.batch * c.shape.q_heads));
  for (attention::HeadPlan& head : plan.heads) head.stretches = {{0, c.shape.n_q, choice}};
  plan.centers.assign(static_cast<size_t>(c.shape.batch * c.shape.kv_heads),
                      std::vector<float>(static_cast<size_t>(c.shape.d), 0.0f));
  return plan;
}

// Relative Frobenius error of a head's rows first to last - 1.
template <class T>
double relative_error(const Tensor<T>& o, const Tensor<T>& exact, int64_t head, int64_t first, int64_t last) {
  double error = 0, norm = 0;
  for (int64_t i = first; i < last; ++i) {
    for (int64_t e = 0; e < o.shape[3]; ++e) {
      const size_t at = static_cast<size_t>((head * o.shape[2] + i) * o.shape[3] + e);
      const auto x = static_cast<double>(o.data[at]), y = static_cast<double>(exact.data[at]);
      error += (x - y) * (x - y);
      norm += y * y;
    }
  }
  return norm > 0 ? std::sqrt(error / norm) : std::sqrt(error);
}

template <class T>
double relative_error(const Tensor<T>& o, const Tensor<T>& exact, int64_t head) {
  return relative_error(o, exact, head, 0, o.shape[2]);
}

}  // namespace subquad::test
