// Plans of real transforms by FFTW, made once per context and shape.
//
// Plans are made by estimate: measuring would choose by the clock, and so change the last bits from run to run. FFTW's planner is not
// safe for threads: whatever touches it holds one lock of the process (core/fft/planner.hpp). Executing a plan needs none.
#pragma once

#include <complex>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <type_traits>

#include "core/base/aligned.hpp"

namespace subquad::fft {

// `count` rows of `length` reals, real_distance apart, and their spectra of length / 2 + 1 numbers, spectrum_distance apart.
struct Rows {
  int64_t length, count, real_distance, spectrum_distance;
};

// Rows that begin at multiples of kAlignment.
template <class T>
Rows aligned_rows(int64_t length, int64_t count = 1) {
  constexpr int64_t kReals = kAlignment / sizeof(T);
  return {length, count, round_up(length, kReals), round_up(length / 2 + 1, kReals / 2)};
}

// forward: spectrum[f] = sum_x real[x] exp(-2 pi i f x / length).  inverse: length times its inverse.
enum class Direction { forward, inverse };

template <class T, Direction kDirection>
class Plan {
  static constexpr bool kForward = kDirection == Direction::forward;

 public:
  using Input = std::conditional_t<kForward, T, std::complex<T>>;
  using Output = std::conditional_t<kForward, std::complex<T>, T>;

  explicit Plan(const Rows& rows);
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  // Arrays aligned to kAlignment that do not overlap. Overwrites the input of an inverse transform. Any thread, at any time.
  void execute(Input* input, Output* output) const;

 private:
  void* plan_;
};

template <class T>
using ForwardPlan = Plan<T, Direction::forward>;
template <class T>
using InversePlan = Plan<T, Direction::inverse>;

// The plans that a context has made; they live as long as it does. Any thread may ask at any time.
class PlanCache {
 public:
  // T: float or double.
  template <class T>
  const ForwardPlan<T>& forward(const Rows& rows) {
    return find(std::get<Table<ForwardPlan<T>>>(tables_), rows);
  }
  template <class T>
  const InversePlan<T>& inverse(const Rows& rows) {
    return find(std::get<Table<InversePlan<T>>>(tables_), rows);
  }

 private:
  template <class Plan>
  using Table = std::map<std::tuple<int64_t, int64_t, int64_t, int64_t>, std::unique_ptr<const Plan>>;

  template <class Plan>
  const Plan& find(Table<Plan>& table, const Rows& rows) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto& plan = table[{rows.length, rows.count, rows.real_distance, rows.spectrum_distance}];
    if (!plan) plan = std::make_unique<const Plan>(rows);
    return *plan;
  }

  std::mutex mutex_;
  std::tuple<Table<ForwardPlan<float>>, Table<ForwardPlan<double>>, Table<InversePlan<float>>, Table<InversePlan<double>>>
      tables_;
};

}  // namespace subquad::fft
