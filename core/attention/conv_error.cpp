#include "core/attention/conv_error.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/random/philox.hpp"
#include "core/simd/products.hpp"

namespace subquad::attention {

namespace {

// Logits to weights, in place.
void softmax(double* row, int64_t count) {
  const double top = *std::max_element(row, row + count);
  double sum = 0;
  for (int64_t j = 0; j < count; ++j) {
    row[j] = std::exp(row[j] - top);
    sum += row[j];
  }
  for (int64_t j = 0; j < count; ++j) row[j] /= sum;
}

// Row i of the head's matrix.
template <class T>
void write_row(const ConvHead<T>& head, int64_t i, double* row) {
  std::fill(row, row + i + 1, 0.0);
  for (int64_t r = 0; r < head.bases(); ++r) {
    for (int64_t j = head.start(r); j < std::min(head.end(r), i + 1); ++j) row[j] = static_cast<double>(head.kernel(r)[i - j]);
  }
}

}  // namespace

template <class T>
RowErrors sample_errors(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k, double scale,
                        const ConvHead<T>& head, uint64_t seed, uint64_t stream) {
  const int64_t n = head.n(), rows = std::min(kSampledRows, n);
  const simd::ProductKernels<T>& kernels = simd::product_kernels<T>(run.target);
  const Lease<double> memory(run.workspace, team.size() * 2 * n);
  std::array<double, kSampledRows> errors{};
  team.run(rows, [&](int64_t sample, int64_t member) {
    const double place = static_cast<double>(sample) + random_uniform(seed, stream, static_cast<uint64_t>(sample));
    const auto i =
        std::clamp<int64_t>(static_cast<int64_t>(place * static_cast<double>(n) / static_cast<double>(rows)), 0, n - 1);
    double *const exact = memory.get() + member * 2 * n, *const fitted = exact + n;
    constexpr int64_t kKeys = 4096;
    for (int64_t j = 0; j <= i; j += kKeys) {
      kernels.dots({q.at(i), k.at(j), 0, k.strides[0], std::min(kKeys, i + 1 - j), q.shape[1], exact + j});
      team.monitor().advance(0);
    }
    for (int64_t j = 0; j <= i; ++j) exact[j] *= scale;
    write_row(head, i, fitted);
    softmax(exact, i + 1);
    team.monitor().advance(0);
    softmax(fitted, i + 1);
    team.monitor().advance(0);
    double error = 0;
    for (int64_t j = 0; j <= i; ++j) error += std::fabs(fitted[j] - exact[j]);
    errors[static_cast<size_t>(sample)] = error;
    team.monitor().advance(0);
  });
  RowErrors result;
  for (int64_t sample = 0; sample < rows; ++sample) {
    const double error = errors[static_cast<size_t>(sample)];
    result.mean += error / static_cast<double>(rows);
    if (!(error <= result.max)) result.max = error;
  }
  return result;
}

template RowErrors sample_errors<float>(Execution&, const Team&, const View<const float, 2>&, const View<const float, 2>&, double,
                                        const ConvHead<float>&, uint64_t, uint64_t);
template RowErrors sample_errors<double>(Execution&, const Team&, const View<const double, 2>&, const View<const double, 2>&,
                                         double, const ConvHead<double>&, uint64_t, uint64_t);

}  // namespace subquad::attention
