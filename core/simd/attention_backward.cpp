#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/simd/attention_backward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/simd/attention_backward-inl.hpp"
#include "core/simd/attention_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

template <class T>
const BackwardKernels<T>& backward_table() {
  static constexpr BackwardKernels<T> table = {
      static_cast<int64_t>(hwy::HWY_NAMESPACE::MaxLanes(hwy::HWY_NAMESPACE::ScalableTag<T>())),
      {backward_keys<T, 1>, backward_keys<T, 2>, backward_keys<T, 3>},
      {backward_queries<T, 1>, backward_queries<T, 2>, backward_queries<T, 3>},
  };
  return table;
}

const BackwardKernels<float>& backward_float() { return backward_table<float>(); }
const BackwardKernels<double>& backward_double() { return backward_table<double>(); }

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/simd/dispatch.hpp"

namespace subquad::simd {

HWY_EXPORT(backward_float);
HWY_EXPORT(backward_double);

template <>
const BackwardKernels<float>& backward_kernels<float>(Target target) {
  return SUBQUAD_DISPATCH(backward_float, target)();
}

template <>
const BackwardKernels<double>& backward_kernels<double>(Target target) {
  return SUBQUAD_DISPATCH(backward_double, target)();
}

}  // namespace subquad::simd
#endif
