// FFTW's planner: the lock that guards it, and its functions for float and double under one name.
#pragma once

#include <fftw3.h>

#include <mutex>

namespace subquad::fft {

// Held by whoever makes, destroys, exports or imports plans: FFTW keeps what it plans with in one place per precision and process.
// That place has other users, such as another copy of this library: once the mutex is taken, FFTW itself keeps the making and
// destroying of plans, theirs too, apart. Exporting and importing it does not.
std::mutex& planner_mutex();

template <class T>
struct Fftw;

#define SUBQUAD_FFTW(T, PREFIX)                                               \
  template <>                                                                 \
  struct Fftw<T> {                                                            \
    using Plan = PREFIX##_plan;                                               \
    using Complex = PREFIX##_complex;                                         \
    static constexpr auto plan_forward = PREFIX##_plan_many_dft_r2c;          \
    static constexpr auto plan_inverse = PREFIX##_plan_many_dft_c2r;          \
    static constexpr auto execute_forward = PREFIX##_execute_dft_r2c;         \
    static constexpr auto execute_inverse = PREFIX##_execute_dft_c2r;         \
    static constexpr auto destroy = PREFIX##_destroy_plan;                    \
    static constexpr auto export_wisdom = PREFIX##_export_wisdom_to_string;   \
    static constexpr auto import_wisdom = PREFIX##_import_wisdom_from_string; \
    static constexpr auto forget_wisdom = PREFIX##_forget_wisdom;             \
  };
SUBQUAD_FFTW(float, fftwf)
SUBQUAD_FFTW(double, fftw)
#undef SUBQUAD_FFTW

}  // namespace subquad::fft
