// Method: sums over a row's keys are its product with a running sum of keys; those over a key's rows likewise. Sums over lags are
// cross-correlations by overlap-save: windows of two blocks of queries with one block of keys, transformed across columns in the arrays'
// precision, products of equally distant blocks summed in the frequency domain over columns, too.
#include "core/attention/conv_far_sums.hpp"

#include <algorithm>
#include <cmath>

#include "core/parallel/new_memory.hpp"
#include "core/simd/correlation.hpp"
#include "core/simd/products.hpp"
#include "core/simd/spectral_kernels.hpp"

namespace subquad::attention {

namespace {

constexpr int64_t kChunk = 1024;  // rows per task of a pass over rows
constexpr int64_t kRun = 32;      // rows whose running sums are kept at a time
constexpr int64_t kFrequencies = 16;

// Near 4 sqrt(size), as for conv_lag_sums.
int64_t choose_block(int64_t size) {
  int64_t block = 32;
  while (block * block < 16 * size && block < size) block *= 2;
  return block;
}

template <class T>
class Sums {
 public:
  Sums(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k, double scale,
       const FarPairs& pairs)
      : run_(run),
        team_(team),
        q_{q.at(q.shape[0] - pairs.size), {pairs.size, q.shape[1]}, q.strides},
        k_{k.data, {pairs.size, k.shape[1]}, k.strides},
        scale_(scale),
        pairs_(pairs),
        kernels_(simd::spectral_kernels<T>(run.target)),
        products_(simd::product_kernels<T>(run.target)),
        width_(round_up(q.shape[1], 2 * kernels_.lanes)) {}

  FarSums compute() {
    find_means(q_, false, q_mean_, q_unit_);
    find_means(k_, true, k_mean_, k_unit_);
    reserve_mapped(team_, run_.workspace, q_rest_, size() * width_);
    reserve_mapped(team_, run_.workspace, k_rest_, size() * width_);
    result_.row_part.resize(static_cast<size_t>(size()));
    result_.key_part.resize(static_cast<size_t>(size()));
    team_.run(chunks(), [&](int64_t chunk, int64_t) { take_means(chunk); });
    sum_rows_and_keys();
    sum_lags();
    return std::move(result_);
  }

 private:
  int64_t size() const { return pairs_.size; }
  int64_t chunks() const { return (size() + kChunk - 1) / kChunk; }
  int64_t last_of(int64_t chunk) const { return std::min((chunk + 1) * kChunk, size()); }
  double unit() const { return scale_ * q_unit_ * k_unit_; }

  // The mean row, in T, and a power of two near the largest difference from it. only_kept: of the keys.
  void find_means(const View<const T, 2>& x, bool only_kept, std::vector<T>& mean, double& unit) const {
    const auto d = static_cast<size_t>(x.shape[1]);
    std::vector<std::vector<double>> totals(static_cast<size_t>(chunks()));
    std::vector<std::vector<T>> most(static_cast<size_t>(chunks()));
    team_.run(chunks(), [&](int64_t chunk, int64_t) {
      std::vector<double> total(d);
      std::vector<T> largest(d);
      for (int64_t i = chunk * kChunk; i < last_of(chunk); ++i) {
        if (only_kept && !pairs_.kept[static_cast<size_t>(i)]) continue;
        const T* const row = x.at(i);
        for (size_t l = 0; l < d; ++l) total[l] += static_cast<double>(row[l]);
        for (size_t l = 0; l < d; ++l) largest[l] = std::max(largest[l], std::fabs(row[l]));
      }
      totals[static_cast<size_t>(chunk)] = std::move(total);
      most[static_cast<size_t>(chunk)] = std::move(largest);
      team_.monitor().advance(0);
    });
    const int64_t count = only_kept ? size() - static_cast<int64_t>(pairs_.left_out.size()) : size();
    mean.assign(d, T{0});
    for (size_t l = 0; l < d && count > 0; ++l) {
      double sum = 0;
      for (const auto& total : totals) sum += total[l];
      mean[l] = static_cast<T>(sum / static_cast<double>(count));
    }
    T largest = 0;
    for (const auto& own : most) largest = std::max(largest, *std::max_element(own.begin(), own.end()));
    constexpr int kMost = sizeof(T) == 4 ? 126 : 1022;
    unit = largest > 0 && std::isfinite(largest) ? std::ldexp(1.0, std::clamp(std::ilogb(largest), -kMost, kMost)) : 1;
  }

  // rest = (x - mean) / unit, in whole column groups; keys that are not kept are zero.
  void take_means(int64_t chunk) {
    const int64_t d = q_.shape[1], first = chunk * kChunk, count = last_of(chunk) - first;
    products_.dots({q_.at(first), k_mean_.data(), q_.strides[0], 0, count, d, &result_.row_part[static_cast<size_t>(first)]});
    products_.dots({k_.at(first), q_mean_.data(), k_.strides[0], 0, count, d, &result_.key_part[static_cast<size_t>(first)]});
    double both = 0;
    for (size_t l = 0; l < q_mean_.size(); ++l) both += static_cast<double>(q_mean_[l]) * static_cast<double>(k_mean_[l]);
    const T q_inverse = static_cast<T>(1 / q_unit_), k_inverse = static_cast<T>(1 / k_unit_);
    const auto subtract = [&](const T* from, const T* mean, T inverse, T* to) {
      for (int64_t l = 0; l < d; ++l) to[l] = (from[l] - mean[l]) * inverse;
      std::fill(to + d, to + width_, T{0});
    };
    for (int64_t i = first; i < first + count; ++i) {
      const auto at = static_cast<size_t>(i);
      subtract(q_.at(i), q_mean_.data(), q_inverse, q_rest_.get() + i * width_);
      result_.row_part[at] *= scale_;
      if (pairs_.kept[at]) {
        subtract(k_.at(i), k_mean_.data(), k_inverse, k_rest_.get() + i * width_);
        result_.key_part[at] = scale_ * (result_.key_part[at] - both);
      } else {
        std::fill(k_rest_.get() + i * width_, k_rest_.get() + (i + 1) * width_, T{0});
        result_.key_part[at] = 0;
      }
    }
    team_.monitor().advance(0);
  }

  void sum_rows_and_keys() {
    result_.rows.resize(static_cast<size_t>(size()));
    result_.keys.resize(static_cast<size_t>(size()));
    std::vector<std::vector<double>> of_keys(static_cast<size_t>(chunks())), of_rows(of_keys);
    team_.run(chunks(), [&](int64_t chunk, int64_t) {
      const auto total = [&](const Lease<T>& rest) {
        std::vector<double> sum(static_cast<size_t>(width_));
        for (int64_t i = chunk * kChunk; i < last_of(chunk); ++i) add(rest.get() + i * width_, sum);
        return sum;
      };
      of_keys[static_cast<size_t>(chunk)] = total(k_rest_);
      of_rows[static_cast<size_t>(chunk)] = total(q_rest_);
      team_.monitor().advance(0);
    });
    const Lease<T> memory(run_.workspace, team_.size() * kRun * width_);
    team_.run(chunks(), [&](int64_t chunk, int64_t member) {
      T* const running = memory.get() + member * kRun * width_;
      std::vector<double> before(static_cast<size_t>(width_)), after(before);
      for (int64_t c = 0; c < chunks(); ++c) {
        for (size_t l = 0; l < before.size(); ++l) {
          before[l] += c < chunk ? of_keys[static_cast<size_t>(c)][l] : 0;
          after[l] += c > chunk ? of_rows[static_cast<size_t>(c)][l] : 0;
        }
      }
      const int64_t first = chunk * kChunk, last = last_of(chunk);
      for (int64_t i = first; i < last; i += kRun) {
        const int64_t count = std::min(kRun, last - i);
        for (int64_t x = 0; x < count; ++x) note(k_rest_.get() + (i + x) * width_, before, running + x * width_);
        dot(q_rest_.get() + i * width_, running, count, &result_.rows[static_cast<size_t>(i)]);
      }
      for (int64_t end = last; end > first;) {
        const int64_t count = (end - first - 1) % kRun + 1, i = end - count;
        for (int64_t x = count - 1; x >= 0; --x) note(q_rest_.get() + (i + x) * width_, after, running + x * width_);
        dot(k_rest_.get() + i * width_, running, count, &result_.keys[static_cast<size_t>(i)]);
        end = i;
      }
      team_.monitor().advance(0);
    });
  }

  void add(const T* row, std::vector<double>& sum) const {
    double* const to = sum.data();
    for (int64_t l = 0; l < width_; ++l) to[l] += static_cast<double>(row[l]);
  }
  void note(const T* row, std::vector<double>& sum, T* running) const {
    double* const to = sum.data();
    for (int64_t l = 0; l < width_; ++l) running[l] = static_cast<T>(to[l] += static_cast<double>(row[l]));
  }
  void dot(const T* rows, const T* running, int64_t count, double* sums) const {
    products_.dots({rows, running, width_, width_, count, width_, sums});
    for (int64_t x = 0; x < count; ++x) sums[x] *= unit();
  }

  void sum_lags() {
    const int64_t block = choose_block(size()), length = 2 * block, blocks = (size() + block - 1) / block, lanes = kernels_.lanes,
                  row = 2 * lanes, stride = (length + kFrequencies) * row, groups = (blocks + lanes - 1) / lanes;
    Lease<T> q_spectra, k_spectra, sums, twiddles(run_.workspace, simd::twiddle_count(length));
    simd::fill_twiddles<T>(length, twiddles.get());
    reserve_mapped(team_, run_.workspace, q_spectra, blocks * stride);
    reserve_mapped(team_, run_.workspace, k_spectra, blocks * stride);
    reserve_mapped(team_, run_.workspace, sums, groups * stride);
    const auto load = [&](const T* from, int64_t first, int64_t count, T* to) {
      count = std::min(count, size() - first);
      for (int64_t i = 0; i < count; ++i) std::copy_n(from + (first + i) * width_, row, to + i * row);
      return to + count * row;
    };
    for (int64_t column = 0; column < width_; column += row) {
      team_.run(blocks, [&](int64_t b, int64_t) {
        T *const q = q_spectra.get() + b * stride, *const k = k_spectra.get() + b * stride;
        std::fill(load(q_rest_.get() + column, b * block, length, q), q + length * row, T{0});
        std::fill(load(k_rest_.get() + column, b * block, block, k), k + block * row, T{0});
        kernels_.transform(q, length, twiddles.get());
        kernels_.transform_half(k, length, twiddles.get());
        team_.monitor().advance(0);
      });
      team_.run(length / kFrequencies, [&](int64_t task, int64_t) {
        const int64_t first = task * kFrequencies, last = first + kFrequencies;
        for (int64_t g = 0; g < groups && column == 0; ++g)
          std::fill(sums.get() + g * stride + first * row, sums.get() + g * stride + last * row, T{0});
        for (int64_t apart = 0; apart < blocks; ++apart) {
          simd::correlate<T>(run_.target, {q_spectra.get() + apart * stride, k_spectra.get(), stride, blocks - apart, first, last,
                                           sums.get() + apart / lanes * stride + apart % lanes, row});
          if (apart % 16 == 0) team_.monitor().advance(0);
        }
      });
    }
    result_.lags.resize(static_cast<size_t>(size()));
    const double factor = unit() / static_cast<double>(length);
    team_.run(groups, [&](int64_t g, int64_t) {
      T* const rows = sums.get() + g * stride;
      kernels_.inverse_half(rows, length, twiddles.get());
      for (int64_t s = g * lanes * block; s < std::min((g + 1) * lanes * block, size()); ++s)
        result_.lags[static_cast<size_t>(s)] = factor * static_cast<double>(rows[s % block * row + s / block % lanes]);
      team_.monitor().advance(0);
    });
  }

  Execution& run_;
  const Team& team_;
  const View<const T, 2> q_, k_;
  const double scale_;
  const FarPairs& pairs_;
  const simd::SpectralKernels<T>& kernels_;
  const simd::ProductKernels<T>& products_;
  const int64_t width_;  // columns of the rests
  std::vector<T> q_mean_, k_mean_;
  double q_unit_ = 1, k_unit_ = 1;
  Lease<T> q_rest_, k_rest_;
  FarSums result_;
};

}  // namespace

FarPairs::FarPairs(int64_t n, int64_t window, const std::vector<int64_t>& heavy)
    : size(std::max<int64_t>(n - window, 0)), kept(static_cast<size_t>(size), true) {
  for (const int64_t j : heavy) {
    if (j >= size) break;
    kept[static_cast<size_t>(j)] = false;
    left_out.push_back(j);
  }
}

template <class T>
FarSums far_sums(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k, double scale,
                 const FarPairs& pairs) {
  return Sums<T>(run, team, q, k, scale, pairs).compute();
}

template FarSums far_sums<float>(Execution&, const Team&, const View<const float, 2>&, const View<const float, 2>&, double,
                                 const FarPairs&);
template FarSums far_sums<double>(Execution&, const Team&, const View<const double, 2>&, const View<const double, 2>&, double,
                                  const FarPairs&);

}  // namespace subquad::attention
