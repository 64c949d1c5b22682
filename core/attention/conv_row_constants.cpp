// Method: H[i,j] ~ c_i + B_r[i-j] by alternating least squares: c is the mean residual of each row, B_r[t] the mean of H - c over the
// pairs of segment r at lag t. Both means come from running sums, O(n (k + d)) a round. Where H has a conv basis, c stays 0.
#include "core/attention/conv_row_constants.hpp"

#include <algorithm>
#include <vector>

namespace subquad::attention {

namespace {

constexpr int64_t kRounds = 5;  // on random problems ten more lowered no error by more than 2 %

// sums[i] = sum over j <= i of H[i,j]
template <class T>
void sum_rows(Monitor& monitor, const View<const T, 2>& q, const View<const T, 2>& k, double scale, double* sums) {
  std::vector<double> keys(static_cast<size_t>(q.shape[1]));  // their sum up to row i
  for (int64_t i = 0; i < q.shape[0]; ++i) {
    double sum = 0;
    for (int64_t l = 0; l < q.shape[1]; ++l) {
      double& key = keys[static_cast<size_t>(l)];
      key += static_cast<double>(*k.at(i, l));
      sum += static_cast<double>(*q.at(i, l)) * key;
    }
    sums[i] = scale * sum;
    if (i % std::max<int64_t>((int64_t{1} << 20) / q.shape[1], 1) == 0) monitor.advance(0);
  }
}

// residuals[i] -= sum over j <= i of B[i,j]
template <class T>
void subtract_rows(Monitor& monitor, const ConvHead<T>& head, double* residuals) {
  for (int64_t r = 0; r < head.bases(); ++r) {
    const T* const kernel = head.kernel(r);
    double sum = 0;  // over the lags that the segment's keys have from row i
    for (int64_t i = head.start(r); i < head.n(); ++i) {
      sum += static_cast<double>(kernel[i - head.start(r)]);
      if (i >= head.end(r)) sum -= static_cast<double>(kernel[i - head.end(r)]);
      residuals[i] -= sum;
    }
    monitor.advance(0);
  }
}

// Kernels of H - c from those of H; totals[i] = c_0 + .. + c_(i-1).
template <class T>
void subtract_means(Monitor& monitor, const double* totals, ConvHead<T>& head) {
  const int64_t n = head.n();
  for (int64_t r = 0; r < head.bases(); ++r) {
    T* const kernel = head.kernel(r);
    const int64_t first = head.start(r), last = head.end(r);
    for (int64_t t = 0; t < n - first; ++t) {
      const int64_t end = std::min(last + t, n);
      const double mean = (totals[end] - totals[first + t]) / static_cast<double>(end - first - t);
      kernel[t] = static_cast<T>(static_cast<double>(kernel[t]) - mean);
    }
    monitor.advance(0);
  }
}

}  // namespace

template <class T>
void remove_row_constants(Execution& run, Monitor& monitor, const View<const T, 2>& q, const View<const T, 2>& k, double scale,
                          ConvHead<T>& head) {
  const int64_t n = head.n();
  const Lease<double> memory(run.workspace, 4 * n + 1);
  double *const sums = memory.get(), *const constants = sums + n, *const residuals = constants + n, *const totals = residuals + n;
  sum_rows(monitor, q, k, scale, sums);
  std::fill(constants, constants + n, 0.0);
  for (int64_t round = 0; round < kRounds; ++round) {
    for (int64_t i = 0; i < n; ++i) residuals[i] = sums[i] - static_cast<double>(i + 1) * constants[i];
    subtract_rows(monitor, head, residuals);
    totals[0] = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double change = residuals[i] / static_cast<double>(i + 1);
      constants[i] += change;
      totals[i + 1] = totals[i] + change;
    }
    subtract_means(monitor, totals, head);
  }
}

template void remove_row_constants<float>(Execution&, Monitor&, const View<const float, 2>&, const View<const float, 2>&, double,
                                          ConvHead<float>&);
template void remove_row_constants<double>(Execution&, Monitor&, const View<const double, 2>&, const View<const double, 2>&,
                                           double, ConvHead<double>&);

}  // namespace subquad::attention
