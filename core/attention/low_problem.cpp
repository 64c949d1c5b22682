#include "core/attention/low_problem.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/parallel/team.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kMargin = 2 * simd::kTileKeys;  // of the bias table: kernels read beyond the pairs that count

template <class T>
View<const T, 2> matrix(const View<const T, 4>& x, int64_t batch, int64_t head) {
  return {x.at(batch, head), {x.shape[2], x.shape[3]}, {x.strides[2], x.strides[3]}};
}

// Sums of products and sums over keys stay finite, and a value that rounds to nothing is nothing beside the largest.
constexpr float kLargest = 0x1p60f, kLargestValue = 0x1p90f, kLeastLargestValue = 0x1p-60f;

template <class T>
bool lies_within(const View<const T, 2>& x, T bound) {
  for (int64_t i = 0; i < x.shape[0]; ++i) {
    bool within = true;  // of a NaN: false
    for (int64_t c = 0; c < x.shape[1]; ++c) within &= std::abs(*x.at(i, c)) <= bound;
    if (!within) return false;
  }
  return true;
}

}  // namespace

template <class T>
std::vector<std::vector<float>> mean_keys(Execution& run, Monitor& monitor, const Problem<T>& problem, int64_t count) {
  std::vector<std::vector<float>> means;
  for (int64_t b = 0; b < problem.batch(); ++b) {
    for (int64_t h = 0; h < problem.kv_heads(); ++h)
      means.push_back(mean_key(Team(run.pool, monitor), matrix(problem.k, b, h), count));
  }
  return means;
}

template <class T>
LowProblem<T>::LowProblem(Execution& run, Monitor& monitor, const Problem<T>& problem, std::vector<std::vector<float>> centers)
    : p_(problem), kernels_(simd::low_precision_kernels(run.target)), centers_(std::move(centers)) {
  const Team team(run.pool, monitor);
  for (int64_t b = 0; b < p_.batch(); ++b) {
    for (int64_t h = 0; h < p_.q_heads(); h += p_.group_size())
      keys_.push_back(quantize_keys(team, run.workspace, kernels_, k(b, h), v(b, h), center(b, h)));
  }
  if (p_.has_bias()) reverse_bias();
}

template <class T>
void LowProblem<T>::reverse_bias() {
  const auto [least, greatest] = p_.visible_lags();
  for (int64_t row = 0; row < p_.lag_bias.shape[0]; ++row) {
    std::vector<float> table(static_cast<size_t>(p_.n_q() + p_.n_k() + 2 * kMargin), 0.0f);
    for (int64_t x = 1 - p_.n_q(); x < p_.n_k(); ++x) {
      const int64_t lag = p_.lag(0, x);
      if (lag < least || lag > greatest) continue;
      table[static_cast<size_t>(x + p_.n_q() - 1 + kMargin)] =
          static_cast<float>(static_cast<double>(*p_.lag_bias.at(row, lag - p_.lag_min)) * kLog2E);
    }
    bias_.push_back(std::move(table));
  }
}

template <class T>
bool LowProblem<T>::holds_logits(int64_t batch, int64_t head) const {
  return lies_within<T>(matrix(p_.q, batch, head), kLargest) && lies_within<T>(k(batch, head), kLargest);
}

template <class T>
bool LowProblem<T>::holds_values(int64_t batch, int64_t head) const {
  const float largest = keys(batch, head).largest_value();
  return largest == 0 || (largest >= kLeastLargestValue && largest <= kLargestValue);
}

template <class T>
View<const T, 2> LowProblem<T>::k(int64_t batch, int64_t head) const {
  return matrix(p_.k, batch, head / p_.group_size());
}

template <class T>
View<const T, 2> LowProblem<T>::v(int64_t batch, int64_t head) const {
  return matrix(p_.v, batch, head / p_.group_size());
}

template <class T>
LowHead<T> LowProblem<T>::head(int64_t batch, int64_t head) const {
  const KeyRange range = p_.keys_in_range(batch);
  const float* const bias =
      bias_.empty() ? nullptr : bias_[bias_.size() == 1 ? 0 : static_cast<size_t>(head)].data() + p_.n_q() - 1 + kMargin;
  return {matrix(p_.q, batch, head),
          p_.scale,
          center(batch, head).data(),
          p_.causal,
          p_.causal_offset - p_.key_offset,
          range.first,
          range.last,
          bias};
}

#define SUBQUAD_INSTANTIATE(T)                                                                             \
  template std::vector<std::vector<float>> mean_keys<T>(Execution&, Monitor&, const Problem<T>&, int64_t); \
  template class LowProblem<T>;
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
