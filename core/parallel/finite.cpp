#include "core/parallel/finite.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace subquad {

namespace {

// Whether a row holds an exponent of all ones, without a branch per element so that the loop vectorises.
template <class T>
bool any_nonfinite(const T* x, int64_t count, int64_t stride) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  constexpr Bits kExponent = sizeof(T) == 4 ? Bits{0x7f800000} : static_cast<Bits>(uint64_t{0x7ff} << 52);
  Bits found = 0;
  const auto look = [&](int64_t i) {
    Bits bits;
    std::memcpy(&bits, x + i, sizeof bits);
    found |= (bits & kExponent) == kExponent ? Bits{1} : Bits{0};
  };
  if (stride == 1) {
    for (int64_t i = 0; i < count; ++i) look(i);
  } else {
    for (int64_t i = 0; i < count; ++i) look(i * stride);
  }
  return found != 0;
}

// The same for a row that is known to hold a suspect.
template <class T>
int64_t first_in_row(const T* x, int64_t count, int64_t stride, bool allow_minus_infinity) {
  for (int64_t i = 0; i < count; ++i) {
    const T value = x[i * stride];
    const bool allowed = allow_minus_infinity && value == -std::numeric_limits<T>::infinity();
    if (!std::isfinite(value) && !allowed) return i;
  }
  return -1;
}

void lower(std::atomic<int64_t>& least, int64_t value) {
  int64_t seen = least.load();
  while (value < seen && !least.compare_exchange_weak(seen, value)) {
  }
}

}  // namespace

template <class T>
int64_t first_nonfinite(Execution& run, const View<const T, 4>& x, bool allow_minus_infinity) {
  if (x.count() == 0) return -1;
  constexpr int64_t kEntries = 1 << 17;  // per task: worth waking a thread, and done in less than a millisecond
  const int64_t rows = x.shape[0] * x.shape[1] * x.shape[2], columns = x.shape[3];
  const int64_t rows_per_task = std::max<int64_t>(kEntries / columns, 1);
  std::atomic<int64_t> found{INT64_MAX};
  Monitor monitor(run.ticker, 0);
  run.pool.run((rows + rows_per_task - 1) / rows_per_task, monitor, [&](int64_t task, int64_t) {
    const int64_t last = std::min((task + 1) * rows_per_task, rows);
    for (int64_t r = task * rows_per_task; r < last; ++r) {
      const T* row = x.at(r / (x.shape[1] * x.shape[2]), r / x.shape[2] % x.shape[1], r % x.shape[2]);
      if (!any_nonfinite(row, columns, x.strides[3])) continue;
      const int64_t column = first_in_row(row, columns, x.strides[3], allow_minus_infinity);
      if (column >= 0) lower(found, r * columns + column);
    }
    monitor.advance(0);
  });
  return found.load() == INT64_MAX ? -1 : found.load();
}

template int64_t first_nonfinite<float>(Execution&, const View<const float, 4>&, bool);
template int64_t first_nonfinite<double>(Execution&, const View<const double, 4>&, bool);

}  // namespace subquad
