// Where the vectorised 2^x is accurate: beyond it the exponent field would wrap.
#pragma once

namespace subquad::simd {

template <class T>
inline constexpr T kExp2Least = sizeof(T) == 4 ? T{-125} : T{-1021};
template <class T>
inline constexpr T kExp2Most = sizeof(T) == 4 ? T{127} : T{1023};

}  // namespace subquad::simd
