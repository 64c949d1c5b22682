#include "core/attention/conv_apply.hpp"

#include <atomic>
#include <cmath>
#include <mutex>
#include <string>

#include "core/attention/layout.hpp"
#include "core/parallel/finite.hpp"

namespace subquad::attention {

namespace {

// Calls body(team, b, h) for every head: one after the other with all threads, or a thread each where there are enough of them.
template <class Body>
void for_heads(Execution& run, Monitor& monitor, int64_t batch, int64_t heads, int64_t n, const Body& body) {
  constexpr int64_t kLongHead = int64_t{1} << 16;  // beyond, memory for one head at a time is enough
  if (batch * heads >= run.pool.threads() && n < kLongHead) {
    run.pool.run(batch * heads, monitor, [&](int64_t task, int64_t) { body(Team(monitor), task / heads, task % heads); });
  } else {
    for (int64_t head = 0; head < batch * heads; ++head) body(Team(run.pool, monitor), head / heads, head % heads);
  }
}

template <class T>
View<T, 2> matrix_of(const View<T, 4>& view, int64_t b, int64_t h) {
  return {view.at(b, h), {view.shape[2], view.shape[3]}, {view.strides[2], view.strides[3]}};
}

template <class T>
void check_finite_results(Execution& run, const View<T, 4>& y) {
  const View<const T, 4> results{y.data, y.shape, y.strides};
  const int64_t at = first_nonfinite(run, results, false);
  if (at < 0) return;
  const int64_t row = at / y.shape[3];
  throw Error(Status::err_overflow, "y[batch " + std::to_string(row / y.shape[2] / y.shape[1]) + ", head " +
                                        std::to_string(row / y.shape[2] % y.shape[1]) + ", row " +
                                        std::to_string(row % y.shape[2]) + "] overflows the arrays' data type");
}

// The driver of both directions: product(operator, team, x of one head, y of one head, b, h).
template <class T, class Product>
ConvEffort for_operators(Execution& run, const ConvBasis<T>& basis, const ConvSettings& settings, const View<const T, 4>& x,
                         const View<T, 4>& y, const Product& product) {
  ConvEffort effort;
  if (y.shape[0] * y.shape[1] * y.shape[2] == 0) return effort;
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
  if (settings.check_overflow) check_finite_results(run, y);
  return effort;
}

}  // namespace

template <class T>
ConvEffort conv_forward(Execution& run, const ConvBasis<T>& basis, const ConvSettings& settings, const View<const T, 4>& x,
                        const View<T, 4>& y, const View<T, 3>& lse) {
  return for_operators(run, basis, settings, x, y, [&](auto& op, const Team& team, auto source, auto result, int64_t b, int64_t h) {
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

#define SUBQUAD_INSTANTIATE(T)                                                                                                 \
  template ConvEffort conv_forward<T>(Execution&, const ConvBasis<T>&, const ConvSettings&, const View<const T, 4>&,           \
                                      const View<T, 4>&, const View<T, 3>&);                                                   \
  template ConvEffort conv_transposed<T>(Execution&, const ConvBasis<T>&, const ConvSettings&, const View<const T, 4>&, \
                                         const View<T, 4>&);
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
