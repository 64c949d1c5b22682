#include "core/attention/merge.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace subquad::attention {

namespace {

// Shares of the parts in one row and the row's log-sum-exp, in double.
template <class T>
double shares(const std::vector<View<const T, 3>>& lse_parts, int64_t b, int64_t h, int64_t i, std::vector<double>& share) {
  constexpr double kNothing = -std::numeric_limits<double>::infinity();
  double top = kNothing, sum = 0;
  for (const auto& part : lse_parts) top = std::max(top, static_cast<double>(*part.at(b, h, i)));
  if (top == kNothing) {
    std::fill(share.begin(), share.end(), 0.0);
    return kNothing;
  }
  for (size_t p = 0; p < share.size(); ++p) sum += share[p] = std::exp(static_cast<double>(*lse_parts[p].at(b, h, i)) - top);
  for (double& x : share) x /= sum;
  return top + std::log(sum);
}

}  // namespace

template <class T>
void merge(Execution& run, const std::vector<View<const T, 4>>& o_parts, const std::vector<View<const T, 3>>& lse_parts,
           const View<T, 4>& o, const View<T, 3>& lse) {
  constexpr int64_t kRows = 256;  // per task
  const int64_t heads = o.shape[1], rows = o.shape[2], blocks = (rows + kRows - 1) / kRows;
  Monitor monitor(run.ticker, o.shape[0] * heads * rows);
  run.pool.run(o.shape[0] * heads * blocks, monitor, [&](int64_t task, int64_t) {
    const int64_t b = task / (heads * blocks), h = task / blocks % heads, first = task % blocks * kRows,
                  last = std::min(first + kRows, rows);
    std::vector<double> share(o_parts.size());
    for (int64_t i = first; i < last; ++i) {
      const double total = shares(lse_parts, b, h, i, share);
      for (int64_t c = 0; c < o.shape[3]; ++c) {
        double sum = 0;
        // A part that saw nothing counts nothing, whatever its row holds.
        for (size_t p = 0; p < share.size(); ++p)
          sum += share[p] == 0 ? 0 : share[p] * static_cast<double>(*o_parts[p].at(b, h, i, c));
        *o.at(b, h, i, c) = static_cast<T>(sum);
      }
      if (lse.data != nullptr) *lse.at(b, h, i) = static_cast<T>(total);
    }
    monitor.advance(last - first);
  });
}

template void merge<float>(Execution&, const std::vector<View<const float, 4>>&, const std::vector<View<const float, 3>>&,
                           const View<float, 4>&, const View<float, 3>&);
template void merge<double>(Execution&, const std::vector<View<const double, 4>>&, const std::vector<View<const double, 3>>&,
                            const View<double, 4>&, const View<double, 3>&);

}  // namespace subquad::attention
