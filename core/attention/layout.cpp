#include "core/attention/layout.hpp"

#include <algorithm>

namespace subquad::attention {

template <class T>
void transpose_rows(Monitor& monitor, const View<const T, 2>& rows, T factor, int64_t stride, T* out) {
  // Columns in short runs, so that the rows' cache lines are read once and the lines written stay in the first-level cache.
  constexpr int64_t kRun = 16, kLook = 2048;
  const int64_t count = rows.shape[0], columns = rows.shape[1];
  for (int64_t c0 = 0; c0 < columns; c0 += kRun) {
    if (c0 % kLook == kLook - kRun) monitor.advance(0);
    const int64_t c1 = std::min(c0 + kRun, columns);
    for (int64_t i = 0; i < count; ++i) {
      const T* row = rows.at(i, 0);
      for (int64_t c = c0; c < c1; ++c) out[c * stride + i] = factor * row[c * rows.strides[1]];
    }
  }
  for (int64_t c = 0; c < columns; ++c) std::fill(out + c * stride + count, out + (c + 1) * stride, T{0});
}

template <class T>
View<const T, 4> with_contiguous_columns(Execution& run, Monitor& monitor, const View<const T, 4>& view, Aligned<T>& storage) {
  if (view.strides[3] == 1 || view.shape[3] <= 1 || view.count() == 0) return view;
  const int64_t heads = view.shape[1], rows = view.shape[2], columns = view.shape[3];
  storage = run.workspace.take<T>(view.count());
  constexpr int64_t kRows = 256;
  const int64_t blocks = (rows + kRows - 1) / kRows;
  run.pool.run(view.shape[0] * heads * blocks, monitor, [&](int64_t task, int64_t) {
    const int64_t b = task / (heads * blocks), h = task / blocks % heads, first = task % blocks * kRows;
    for (int64_t r = first; r < std::min(first + kRows, rows); ++r) {
      const T* from = view.at(b, h, r);
      T* to = storage.get() + ((b * heads + h) * rows + r) * columns;
      for (int64_t c = 0; c < columns; ++c) to[c] = from[c * view.strides[3]];
    }
    monitor.advance(0);
  });
  return {storage.get(), view.shape, {heads * rows * columns, rows * columns, columns, 1}};
}

template <class T>
KeysAndValues<T>::KeysAndValues(Execution& run, Monitor& monitor, const Problem<T>& problem)
    : k_(with_contiguous_columns(run, monitor, problem.k, k_copy_)),
      v_(with_contiguous_columns(run, monitor, problem.v, v_copy_)) {}

template <class T>
BiasTable<T>::BiasTable(Execution& run, Monitor& monitor, const Problem<T>& problem) {
  const auto [least, greatest] = problem.visible_lags();
  if (!problem.has_bias() || least > greatest) return;
  rows_ = problem.lag_bias.shape[0];
  first_ = least - simd::kBiasMargin;
  stride_ = greatest - least + 1 + 2 * simd::kBiasMargin;
  data_ = run.workspace.template take<T>(rows_ * stride_);
  constexpr int64_t kEntries = 1 << 16;  // per task
  const int64_t pieces = (stride_ + kEntries - 1) / kEntries;
  run.pool.run(rows_ * pieces, monitor, [&](int64_t task, int64_t) {
    const int64_t head = task / pieces, from = task % pieces * kEntries;
    T* const row = data_.get() + head * stride_;
    for (int64_t t = from; t < std::min(from + kEntries, stride_); ++t) {
      const bool in_use = t >= simd::kBiasMargin && t < stride_ - simd::kBiasMargin;
      row[t] = in_use ? static_cast<T>(kLog2E * *problem.lag_bias.at(head, first_ + t - problem.lag_min)) : T{0};
    }
    monitor.advance(0);
  });
}

#define SUBQUAD_INSTANTIATE(T)                                                                                      \
  template void transpose_rows<T>(Monitor&, const View<const T, 2>&, T, int64_t, T*);                               \
  template View<const T, 4> with_contiguous_columns<T>(Execution&, Monitor&, const View<const T, 4>&, Aligned<T>&); \
  template class KeysAndValues<T>;                                                                                  \
  template class BiasTable<T>;
SUBQUAD_INSTANTIATE(float)
SUBQUAD_INSTANTIATE(double)
#undef SUBQUAD_INSTANTIATE

}  // namespace subquad::attention
