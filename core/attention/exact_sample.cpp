// Method: the tiles of exact attention (exact_forward.cpp) with queries gathered from anywhere. A query that has seen its last whole
// block leaves the tile and ends on its own.
#include "core/attention/exact_sample.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/attention/layout.hpp"

namespace subquad::attention {

namespace {

template <class T>
class SampleGroup {
 public:
  SampleGroup(Monitor& monitor, const simd::ForwardKernels<T>& kernels, const Problem<T>& problem,
              const KeysAndValues<T>& keys_values, const BiasTable<T>& bias, int64_t batch, int64_t head)
      : monitor_(monitor),
        kernels_(kernels),
        p_(problem),
        keys_values_(keys_values),
        bias_(bias),
        batch_(batch),
        head_(head),
        block_(keys_per_block(problem.d(), problem.d_v())) {}

  // Results of rows first .. first + count - 1 of the sample.
  void attend(SampledRows<T>& sample, int64_t first, int64_t count) {
    const int64_t width = (count + kernels_.lanes - 1) / kernels_.lanes;
    stride_ = width * kernels_.lanes;
    const int64_t* const rows = sample.rows.data() + first;
    const KeyRange range = p_.keys_in_range(batch_);
    begin(rows, count);
    for (int64_t ended = 0, j = range.first; ended < count; j += block_) {
      // Rows that do not see the whole block end here; the tile goes on with what the others see. Where there is a bias, which the
      // tile takes for consecutive rows only, each row goes alone.
      while (ended < count && (p_.has_bias() || p_.visible(range, rows[ended]).last < j + block_)) {
        end(sample, first + ended, ended, {j, p_.visible(range, rows[ended]).last});
        ++ended;
      }
      if (ended < count) whole_block(width, j);
      monitor_.advance(0);
    }
  }

 private:
  void begin(const int64_t* rows, int64_t count) {
    const int64_t d = p_.d(), d_v = p_.d_v();
    memory_.assign(static_cast<size_t>((d + d_v + 3 + simd::kKeyBlock + simd::kBlockSlack) * stride_), T{0});
    q_t_ = memory_.data();
    o_t_ = q_t_ + d * stride_;
    row_max_ = o_t_ + d_v * stride_;
    weights_ = row_max_ + 3 * stride_;
    std::fill(row_max_, row_max_ + stride_, -std::numeric_limits<T>::infinity());
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t c = 0; c < d; ++c)
        q_t_[c * stride_ + r] = static_cast<T>(p_.scale * kLog2E) * *p_.q.at(batch_, head_, rows[r], c);
    }
  }

  void whole_block(int64_t width, int64_t j) {
    simd::ForwardBlock<T> block;
    keys_values_.point(block, batch_, head_ / p_.group_size(), j, block_);
    block.mask = {block_, nullptr};
    block.q_t = q_t_;
    block.o_t = o_t_;
    block.row_max = row_max_;
    block.row_sum = row_max_ + stride_;
    block.row_sum_low = row_max_ + 2 * stride_;
    block.weights = weights_;
    kernels_.block[width - 1](block);
  }

  // The last keys of row number r of the tile, and its result.
  void end(SampledRows<T>& sample, int64_t place, int64_t r, KeyRange keys) {
    const int64_t d = p_.d(), d_v = p_.d_v();
    std::vector<T> q(static_cast<size_t>(d)), o(static_cast<size_t>(d_v)), weights(simd::kKeyBlock);
    for (int64_t c = 0; c < d; ++c) q[static_cast<size_t>(c)] = q_t_[c * stride_ + r];
    for (int64_t c = 0; c < d_v; ++c) o[static_cast<size_t>(c)] = o_t_[c * stride_ + r];
    T max = row_max_[r], sum = row_max_[stride_ + r], low = row_max_[2 * stride_ + r];
    for (int64_t j = keys.first; j < keys.last; j += block_) {
      simd::RowBlock<T> block;
      keys_values_.point(block, batch_, head_ / p_.group_size(), j, std::min(block_, keys.last - j));
      block.bias = bias_.at(head_, p_.lag(sample.rows[static_cast<size_t>(place)], j));
      block.q = q.data();
      block.o = o.data();
      block.row_max = &max;
      block.row_sum = &sum;
      block.row_sum_low = &low;
      block.weights = weights.data();
      kernels_.row(block);
      monitor_.advance(0);
    }
    const T total = sum + low;
    for (int64_t c = 0; c < d_v; ++c)
      sample.o[static_cast<size_t>(place * d_v + c)] = total > 0 ? o[static_cast<size_t>(c)] / total : T{0};
    sample.lse[static_cast<size_t>(place)] =
        total > 0 ? static_cast<T>((static_cast<double>(max) + std::log2(static_cast<double>(total))) * kLn2)
                  : -std::numeric_limits<T>::infinity();
  }

  Monitor& monitor_;
  const simd::ForwardKernels<T>& kernels_;
  const Problem<T>& p_;
  const KeysAndValues<T>& keys_values_;
  const BiasTable<T>& bias_;
  const int64_t batch_, head_, block_;
  int64_t stride_ = 0;
  std::vector<T> memory_;
  T *q_t_ = nullptr, *o_t_ = nullptr, *row_max_ = nullptr, *weights_ = nullptr;
};

}  // namespace

template <class T>
ExactSample<T>::ExactSample(Execution& run, Monitor& monitor, const Problem<T>& problem)
    : monitor_(monitor),
      problem_(problem),
      kernels_(simd::forward_kernels<T>(run.target)),
      keys_values_(run, monitor, problem),
      bias_(run, monitor, problem) {}

template <class T>
SampledRows<T> ExactSample<T>::rows(int64_t batch, int64_t head, const std::vector<int64_t>& rows) const {
  const int64_t count = static_cast<int64_t>(rows.size());
  SampledRows<T> sample{rows, std::vector<T>(static_cast<size_t>(count * problem_.d_v())),
                        std::vector<T>(static_cast<size_t>(count))};
  SampleGroup<T> group(monitor_, kernels_, problem_, keys_values_, bias_, batch, head);
  const int64_t most = simd::kMaxWidth * kernels_.lanes;
  for (int64_t first = 0; first < count; first += most) group.attend(sample, first, std::min(most, count - first));
  return sample;
}

template class ExactSample<float>;
template class ExactSample<double>;

}  // namespace subquad::attention
