#include "core/attention/conv_far_direct.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/attention/layout.hpp"
#include "core/simd/exp2.hpp"

namespace subquad::attention {

// weights[t] = w_ij exp(-lse) for the keys j = first_key + t, t < kKeys; 0 for those that row i does not see.
template <class T>
void FarDirect<T>::fill_weights(int64_t i, double lse, int64_t first_key, T* weights) const {
  const int64_t a = i - far_.window, count = std::clamp<int64_t>(a + 1 - first_key, 0, kKeys);
  std::fill(weights + count, weights + kKeys, T{0});
  if (count == 0) return;
  const double constant = far_.row[static_cast<size_t>(i)] - lse;
  const double* const keys = far_.key.data() + first_key;
  const T* const lags = far_.kernel.data() + (a - first_key);
  for (int64_t t = 0; t < count; ++t)
    weights[t] = static_cast<T>(kLog2E * std::max(keys[t] + static_cast<double>(lags[-t]) + constant, -1e30));
  simd::exp2_array<T>(run_.target, weights, weights, count);
}

// [panel of columns][count][panel()], zero beyond the columns.
template <class T>
void FarDirect<T>::load_panels(const T* const* rows, int64_t count, int64_t columns, T* panels) const {
  for (int64_t first = 0; first < columns; first += panel()) {
    const int64_t width = std::min(panel(), columns - first);
    for (int64_t r = 0; r < count; ++r, panels += panel())
      std::fill(std::copy_n(rows[r] + first, width, panels), panels + panel(), T{0});
  }
}

// c += a b, in panels of columns.
template <class T>
void FarDirect<T>::multiply(const T* a, int64_t a_row, int64_t a_step, int64_t rows, int64_t depth, const T* b, int64_t columns,
                            T* c) const {
  for (int64_t first = 0; first < columns; first += panel(), b += depth * panel(), c += rows * panel())
    kernels_.add_rows[simd::kMaxWidth - 1]({a, a_row, a_step, rows, depth, b, c});
}

template <class T>
void FarDirect<T>::forward(const View<const T, 2>& v, const std::vector<int64_t>& rows, const std::function<T*(size_t r)>& place,
                           int64_t step) const {
  const auto total = static_cast<int64_t>(rows.size());
  const int64_t columns = v.shape[1], padded = round_up(columns, panel()),
                entries = round_up(kRows * kKeys + (kRows + kKeys) * padded, 16);
  const Lease<T> memory(run_.workspace, team_.size() * entries);
  team_.run((total + kRows - 1) / kRows, [&](int64_t task, int64_t member) {
    const int64_t begin = task * kRows, count = std::min(kRows, total - begin);
    T *const weights = memory.get() + member * entries, *const panels = weights + kRows * kKeys,
             *const sums = panels + kKeys * padded;
    std::fill(sums, sums + kRows * padded, T{0});
    const auto row = [&](int64_t r) { return rows[static_cast<size_t>(begin + r)]; };
    const auto sees = [&](int64_t r) { return std::isfinite(far_.lse[static_cast<size_t>(row(r))]); };
    int64_t last = 0;  // key after the last that some row sees
    for (int64_t r = 0; r < count; ++r) last = std::max(last, sees(r) ? row(r) - far_.window + 1 : 0);
    for (int64_t first = 0; first < last; first += kKeys) {
      const int64_t keys = std::min(kKeys, far_.size() - first);
      const T* from[kKeys];
      for (int64_t t = 0; t < keys; ++t) from[t] = v.at(first + t);
      load_panels(from, keys, columns, panels);
      for (int64_t r = 0; r < count; ++r) {
        if (sees(r))
          fill_weights(row(r), far_.lse[static_cast<size_t>(row(r))], first, weights + r * kKeys);
        else
          std::fill_n(weights + r * kKeys, kKeys, T{0});
      }
      multiply(weights, kKeys, 1, count, keys, panels, columns, sums);
      team_.monitor().advance(0);
    }
    for (int64_t r = 0; r < count; ++r) {
      T* const to = place(static_cast<size_t>(begin + r));
      for (int64_t c = 0; c < columns; ++c) to[c * step] = sums[(c / panel() * count + r) * panel() + c % panel()];
    }
    team_.monitor().advance(0);
  });
}

template <class T>
void FarDirect<T>::transposed(const View<const T, 1>& lse, const View<const T, 2>& d_o, const std::vector<int64_t>& rows,
                              const View<T, 2>& dv) const {
  const auto total = static_cast<int64_t>(rows.size());
  if (total == 0) return;
  const int64_t columns = d_o.shape[1], padded = round_up(columns, panel()),
                entries = round_up(kRows * kKeys + (kRows + kKeys) * padded, 16);
  const Lease<T> memory(run_.workspace, team_.size() * entries);
  team_.run((far_.size() + kKeys - 1) / kKeys, [&](int64_t task, int64_t member) {
    const int64_t first = task * kKeys, keys = std::min(kKeys, far_.size() - first);
    T *const weights = memory.get() + member * entries, *const panels = weights + kRows * kKeys,
             *const sums = panels + kRows * padded;
    std::fill(sums, sums + kKeys * padded, T{0});
    for (int64_t begin = 0; begin < total; begin += kRows) {
      const int64_t count = std::min(kRows, total - begin);
      const T* from[kRows];
      bool any = false;
      for (int64_t r = 0; r < count; ++r) {
        const int64_t i = rows[static_cast<size_t>(begin + r)];
        from[r] = d_o.at(i);
        any |= i - far_.window >= first;
        fill_weights(i, static_cast<double>(*lse.at(i)), first, weights + r * kKeys);
      }
      if (!any) continue;
      load_panels(from, count, columns, panels);
      multiply(weights, 1, kKeys, keys, count, panels, columns, sums);
      team_.monitor().advance(0);
    }
    for (int64_t t = 0; t < keys; ++t) {
      for (int64_t c = 0; c < columns; ++c) *dv.at(first + t, c) += sums[(c / panel() * keys + t) * panel() + c % panel()];
    }
  });
}

template class FarDirect<float>;
template class FarDirect<double>;

}  // namespace subquad::attention
