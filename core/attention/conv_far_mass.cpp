// Method: sums of weights by one convolution in double precision, whose error has the size of the largest terms; rows whose sum is not
// large against it are summed term by term.
#include "core/attention/conv_far_mass.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/attention/layout.hpp"
#include "core/simd/exp2.hpp"
#include "core/simd/products.hpp"

namespace subquad::attention {

namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();
constexpr int64_t kChunk = 4096;  // keys between two looks at the callback

// In parts, so that no operation waits for the one before.
double largest(const double* x, int64_t count) {
  double parts[8];
  std::fill(parts, parts + 8, kNothing);
  int64_t t = 0;
  for (; t + 8 <= count; t += 8) {
    for (int64_t p = 0; p < 8; ++p) parts[p] = std::max(parts[p], x[t + p]);
  }
  for (; t < count; ++t) parts[0] = std::max(parts[0], x[t]);
  return *std::max_element(parts, parts + 8);
}
double total(const double* x, int64_t count) {
  double parts[8] = {};
  int64_t t = 0;
  for (; t + 8 <= count; t += 8) {
    for (int64_t p = 0; p < 8; ++p) parts[p] += x[t + p];
  }
  for (; t < count; ++t) parts[0] += x[t];
  return ((parts[0] + parts[1]) + (parts[2] + parts[3])) + ((parts[4] + parts[5]) + (parts[6] + parts[7]));
}

// A sum of powers 2^x, kept relative to the largest x seen.
class PowerSum {
 public:
  // x is spoilt.
  void add(simd::Target target, double* x, int64_t count) {
    const double top = largest(x, count);
    if (top == kNothing) return;
    if (top > top_) {
      sum_ *= std::exp2(top_ - top);
      top_ = top;
    }
    for (int64_t t = 0; t < count; ++t) x[t] -= top_;
    simd::exp2_array<double>(target, x, x, count);
    sum_ += total(x, count);
  }
  double log2() const { return sum_ > 0 ? top_ + std::log2(sum_) : kNothing; }

 private:
  double top_ = kNothing, sum_ = 0;
};

// log2 of row a's sum of weights without its own factor.
template <class T>
double direct_mass(const Execution& run, Monitor& monitor, const ConvFarField<T>& far, int64_t a) {
  PowerSum sum;
  std::vector<double> x(static_cast<size_t>(std::min(kChunk, a + 1)));
  for (int64_t first = 0; first <= a; first += kChunk) {
    const int64_t count = std::min(kChunk, a + 1 - first);
    for (int64_t t = 0; t < count; ++t) {
      const int64_t j = first + t;
      x[static_cast<size_t>(t)] =
          kLog2E * (far.key[static_cast<size_t>(j)] + static_cast<double>(far.kernel[static_cast<size_t>(a - j)]));
    }
    sum.add(run.target, x.data(), count);
    monitor.advance(0);
  }
  return sum.log2();
}

// powers[x] = exp(values[x] - top), zero where that is 0 and beyond the values; returns their Euclidean norm.
template <class V>
double fill_powers(simd::Target target, const V* values, int64_t count, double top, int64_t length, double* powers) {
  double square = 0;
  for (int64_t x = 0; x < count; ++x) powers[x] = kLog2E * (static_cast<double>(values[x]) - top);
  simd::exp2_array<double>(target, powers, powers, count);
  for (int64_t x = 0; x < count; ++x) {
    if (static_cast<double>(values[x]) == kNothing) powers[x] = 0;
    square += powers[x] * powers[x];
  }
  std::fill(powers + count, powers + length, 0.0);
  return std::sqrt(square);
}

}  // namespace

template <class T>
void far_masses(Execution& run, const Team& team, ConvFarField<T>& far) {
  const int64_t size = far.size();
  int64_t length = 2;
  while (length < 2 * size) length *= 2;
  const fft::Rows rows = fft::aligned_rows<double>(length);
  const Lease<double> memory(run.workspace, 2 * rows.real_distance);
  const Lease<std::complex<double>> spectra(run.workspace, 2 * rows.spectrum_distance);
  double *const keys = memory.get(), *const lags = keys + rows.real_distance;
  std::complex<double>*const keys_hat = spectra.get(), *const lags_hat = keys_hat + rows.spectrum_distance;
  const double top_key = *std::max_element(far.key.begin(), far.key.begin() + size),
               top_lag = static_cast<double>(*std::max_element(far.kernel.begin(), far.kernel.end()));
  if (top_key == kNothing) return;
  const double norms = fill_powers(run.target, far.key.data(), size, top_key, length, keys) *
                       fill_powers(run.target, far.kernel.data(), size, top_lag, length, lags);
  const auto& forward = run.plans.template forward<double>(rows);
  forward.execute(keys, keys_hat);
  team.monitor().advance(0);
  forward.execute(lags, lags_hat);
  team.monitor().advance(0);
  const double unit = 1 / static_cast<double>(length);
  for (int64_t x = 0; x <= length / 2; ++x) {
    const std::complex<double> a = keys_hat[x], b = lags_hat[x];  // plain products: library ones look for infinities
    lags_hat[x] = {unit * (a.real() * b.real() - a.imag() * b.imag()), unit * (a.real() * b.imag() + a.imag() * b.real())};
  }
  run.plans.template inverse<double>(rows).execute(lags_hat, lags);
  team.monitor().advance(0);
  // Three transforms and a product: as derived for conv_plan.hpp, with the constant of a sum of their errors.
  const double least = 4 * 0x1p-53 * std::log2(static_cast<double>(length)) * norms / kMassTolerance;
  int64_t first = 0;  // row with a kept key
  while (far.key[static_cast<size_t>(first)] == kNothing) ++first;
  constexpr int64_t kRows = 64;
  team.run((size - first + kRows - 1) / kRows, [&](int64_t task, int64_t) {
    for (int64_t a = first + task * kRows; a < std::min(first + (task + 1) * kRows, size); ++a) {
      const auto i = static_cast<size_t>(a + far.window);
      far.lse[i] = far.row[i] +
                   (lags[a] >= least ? std::log(lags[a]) + top_key + top_lag : kLn2 * direct_mass(run, team.monitor(), far, a));
    }
    team.monitor().advance(0);
  });
}

template <class T>
void calibrate(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k, double scale,
               const std::vector<int64_t>& sampled_rows, ConvFarField<T>& far) {
  const simd::ProductKernels<T>& kernels = simd::product_kernels<T>(run.target);
  const Lease<double> memory(run.workspace, team.size() * 2 * kChunk);
  const auto count = static_cast<int64_t>(sampled_rows.size());
  std::vector<double> shares(sampled_rows.size()), modelled(shares), left_out(far.key.size());
  for (size_t j = 0; j < left_out.size(); ++j) left_out[j] = far.key[j] == kNothing ? kNothing : 0;
  team.run(count, [&](int64_t sample, int64_t member) {
    const int64_t i = sampled_rows[static_cast<size_t>(sample)];
    const double lse = far.lse[static_cast<size_t>(i)];
    if (lse == kNothing) return;
    double *const logits = memory.get() + member * 2 * kChunk, *const far_logits = logits + kChunk;
    PowerSum all, beyond;
    for (int64_t first = 0; first <= i; first += kChunk) {
      const int64_t keys = std::min(kChunk, i + 1 - first);
      kernels.dots({q.at(i), k.at(first), 0, k.strides[0], keys, q.shape[1], logits});
      for (int64_t t = 0; t < keys; ++t) logits[t] *= scale * kLog2E;
      const int64_t far_keys = std::min(keys, i - far.window + 1 - first);
      for (int64_t t = 0; t < far_keys; ++t) far_logits[t] = logits[t] + left_out[static_cast<size_t>(first + t)];
      all.add(run.target, logits, keys);
      if (far_keys > 0) beyond.add(run.target, far_logits, far_keys);
      team.monitor().advance(0);
    }
    shares[static_cast<size_t>(sample)] = std::exp2(beyond.log2() - all.log2());
    constexpr double kMost = 300;  // keeps squares finite
    modelled[static_cast<size_t>(sample)] = std::exp(std::min(lse - kLn2 * all.log2(), kMost));
  });
  double product = 0, square = 0;
  for (size_t s = 0; s < shares.size(); ++s) {
    product += shares[s] * modelled[s];
    square += modelled[s] * modelled[s];
  }
  if (!(square > 0) || !(product > 0)) return;
  const double shift = std::log(product / square);
  for (double& r : far.row) r += shift;
  for (double& lse : far.lse) lse += shift;
}

#define SUBQUAD_INSTANTIATE(T)                                                                                  \
  template void far_masses<T>(Execution&, const Team&, ConvFarField<T>&);                                       \
  template void calibrate<T>(Execution&, const Team&, const View<const T, 2>&, const View<const T, 2>&, double, \
                             const std::vector<int64_t>&, ConvFarField<T>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
