// The vectorised 2^x of the attention kernels as a function of arrays, for the tests of its accuracy.
#pragma once

#include <cstdint>

#include "core/simd/exp2_range.hpp"
#include "core/simd/target.hpp"

namespace subquad::simd {

// y[i] = 2^x[i] for x[i] <= kExp2Most<T>.  T: float or double.
template <class T>
void exp2_array(Target target, const T* x, T* y, int64_t count);

}  // namespace subquad::simd
