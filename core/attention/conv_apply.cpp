#include "core/attention/conv_apply.hpp"

#include <mutex>

#include "core/attention/for_heads.hpp"
#include "core/attention/layout.hpp"
#include "core/attention/overflow_check.hpp"

namespace subquad::attention {

namespace {

// Values are not scaled with strict_causal: beyond this a transform may overflow, and reach rows that do not see the value.
template <class T>
constexpr double kMostStrictValue = sizeof(T) == 4 ? 1e16 : 1e150;

// The driver of both directions: product(operator, team, x of one head, y of one head, b, h).
template <class T, class Product>
ConvEffort for_operators(Execution& run, const ConvBasis<T>& basis, const ConvSettings& settings, const View<const T, 4>& x,
                         const View<T, 4>& y, const Product& product) {
  ConvEffort effort;
  if (y.shape[0] * y.shape[1] * y.shape[2] == 0) return effort;
  if (settings.mode.strict_causal && settings.check_overflow) check_magnitude(run, x, kMostStrictValue<T>);
  Monitor monitor(run.ticker, y.count());
  Aligned<T> storage;
  const View<const T, 4> source = with_contiguous_columns(run, monitor, x, storage);
  const int64_t heads_per_source = y.shape[1] / x.shape[1];
  std::mutex mutex;
  for_heads(run, monitor, y.shape[0], y.shape[1], y.shape[2], [&](const Team& team, int64_t b, int64_t h) {
    ConvOperator<T> op(team, run.target, run.workspace, basis.head(b, h), settings.mode, y.shape[3]);
    product(op, team, matrix_of(source, b, h / heads_per_source), matrix_of(y, b, h), b, h);
    const std::lock_guard<std::mutex> lock(mutex);
    effort.join(op.effort());
  });
  if (settings.check_overflow) check_no_overflow(run, y, settings.result);
  return effort;
}

}  // namespace

template <class T>
ConvEffort conv_forward(Execution& run, const ConvBasis<T>& basis, const ConvSettings& settings, const View<const T, 4>& x,
                        const View<T, 4>& y, const View<T, 3>& lse) {
  return for_operators(run, basis, settings, x, y,
                       [&](auto& op, const Team& team, auto source, auto result, int64_t b, int64_t h) {
                         op.forward(team, source, result);
                         for (int64_t i = 0; lse.data != nullptr && i < basis.n; ++i)
                           *lse.at(b, h, i) = static_cast<T>(op.log2_sums()[static_cast<size_t>(i)] * kLn2);
                       });
}

template <class T>
ConvEffort conv_transposed(Execution& run, const ConvBasis<T>& basis, const ConvSettings& settings, const View<const T, 4>& x,
                           const View<T, 4>& y) {
  return for_operators(run, basis, settings, x, y, [&](auto& op, const Team& team, auto source, auto result, int64_t, int64_t) {
    op.transposed(team, source, result);
  });
}

#define SUBQUAD_INSTANTIATE(T)                                                                                          \
  template ConvEffort conv_forward<T>(Execution&, const ConvBasis<T>&, const ConvSettings&, const View<const T, 4>&,    \
                                      const View<T, 4>&, const View<T, 3>&);                                            \
  template ConvEffort conv_transposed<T>(Execution&, const ConvBasis<T>&, const ConvSettings&, const View<const T, 4>&, \
                                         const View<T, 4>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
