// Where the vectorised 2^x is accurate (beyond, the exponent field would wrap), and how accurate it is there.
#pragma once

namespace subquad::simd {

template <class T>
inline constexpr T kExp2Least = sizeof(T) == 4 ? T{-125} : T{-1021};
template <class T>
inline constexpr T kExp2Most = sizeof(T) == 4 ? T{127} : T{1023};

// Largest error in units in the last place, with and without fused multiply-add; tests/core/exp2_test.cpp measures it.
inline constexpr double kExp2UlpsFused = 1.0;
inline constexpr double kExp2UlpsSeparate = 1.5;

}  // namespace subquad::simd
