#include "core/fft/plan_cache.hpp"

#include <climits>
#include <new>
#include <string>

#include "core/base/error.hpp"
#include "core/fft/planner.hpp"

namespace subquad::fft {

std::mutex& planner_mutex() {
  static std::mutex mutex;
  [[maybe_unused]] static const bool kept_apart = [] {
    fftw_make_planner_thread_safe();
    fftwf_make_planner_thread_safe();
    return true;
  }();
  return mutex;
}

template <class T, Direction kDirection>
Plan<T, kDirection>::Plan(const Rows& rows) {
  using F = Fftw<T>;
  using Complex = typename F::Complex;
  if (rows.length > INT_MAX || rows.count > INT_MAX || rows.real_distance > INT_MAX || rows.spectrum_distance > INT_MAX) {
    throw Error(Status::err_size, "a transform of " + std::to_string(rows.length) + " numbers is longer than FFTW can plan");
  }
  const int length = static_cast<int>(rows.length), count = static_cast<int>(rows.count),
            real = static_cast<int>(rows.real_distance), spectrum = static_cast<int>(rows.spectrum_distance);
  // Planning by estimate reads and writes no array; it looks at the addresses, for their alignment and for overlap.
  alignas(kAlignment) static T reals[kAlignment];
  alignas(kAlignment) static Complex numbers[kAlignment];
  const std::lock_guard<std::mutex> lock(planner_mutex());
  if constexpr (kForward) {
    plan_ = F::plan_forward(1, &length, count, reals, nullptr, 1, real, numbers, nullptr, 1, spectrum, FFTW_ESTIMATE);
  } else {
    plan_ = F::plan_inverse(1, &length, count, numbers, nullptr, 1, spectrum, reals, nullptr, 1, real,
                            FFTW_ESTIMATE | FFTW_DESTROY_INPUT);
  }
  if (plan_ == nullptr) throw std::bad_alloc();
}

template <class T, Direction kDirection>
Plan<T, kDirection>::~Plan() {
  const std::lock_guard<std::mutex> lock(planner_mutex());
  Fftw<T>::destroy(static_cast<typename Fftw<T>::Plan>(plan_));
}

template <class T, Direction kDirection>
void Plan<T, kDirection>::execute(Input* input, Output* output) const {
  const auto plan = static_cast<typename Fftw<T>::Plan>(plan_);
  if constexpr (kForward) {
    Fftw<T>::execute_forward(plan, input, reinterpret_cast<typename Fftw<T>::Complex*>(output));
  } else {
    Fftw<T>::execute_inverse(plan, reinterpret_cast<typename Fftw<T>::Complex*>(input), output);
  }
}

template class Plan<float, Direction::forward>;
template class Plan<double, Direction::forward>;
template class Plan<float, Direction::inverse>;
template class Plan<double, Direction::inverse>;

}  // namespace subquad::fft
