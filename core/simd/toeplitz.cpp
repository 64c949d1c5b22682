#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/simd/toeplitz.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/simd/toeplitz-inl.hpp"
#include "core/simd/toeplitz_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

template <class T>
const ToeplitzKernels<T>& toeplitz_table() {
  static constexpr ToeplitzKernels<T> table = {
      static_cast<int64_t>(hwy::HWY_NAMESPACE::MaxLanes(hwy::HWY_NAMESPACE::ScalableTag<T>())),
      {toeplitz_forward<T, 1>, toeplitz_forward<T, 2>, toeplitz_forward<T, 3>},
      {toeplitz_transposed<T, 1>, toeplitz_transposed<T, 2>, toeplitz_transposed<T, 3>},
  };
  return table;
}

const ToeplitzKernels<float>& toeplitz_float() { return toeplitz_table<float>(); }
const ToeplitzKernels<double>& toeplitz_double() { return toeplitz_table<double>(); }

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/simd/dispatch.hpp"

namespace subquad::simd {

HWY_EXPORT(toeplitz_float);
HWY_EXPORT(toeplitz_double);

template <>
const ToeplitzKernels<float>& toeplitz_kernels<float>(Target target) {
  return SUBQUAD_DISPATCH(toeplitz_float, target)();
}

template <>
const ToeplitzKernels<double>& toeplitz_kernels<double>(Target target) {
  return SUBQUAD_DISPATCH(toeplitz_double, target)();
}

}  // namespace subquad::simd
#endif
