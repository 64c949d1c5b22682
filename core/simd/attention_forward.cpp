#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/simd/attention_forward.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/simd/attention_forward-inl.hpp"
#include "core/simd/attention_kernels.hpp"
#include "core/simd/attention_row-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

template <class T>
const ForwardKernels<T>& forward_table() {
  static constexpr ForwardKernels<T> table = {
      static_cast<int64_t>(hwy::HWY_NAMESPACE::MaxLanes(hwy::HWY_NAMESPACE::ScalableTag<T>())),
      {forward_block<T, 1>, forward_block<T, 2>, forward_block<T, 3>},
      row_block<T>,
  };
  return table;
}

const ForwardKernels<float>& forward_float() { return forward_table<float>(); }
const ForwardKernels<double>& forward_double() { return forward_table<double>(); }

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/simd/dispatch.hpp"

namespace subquad::simd {

HWY_EXPORT(forward_float);
HWY_EXPORT(forward_double);

template <>
const ForwardKernels<float>& forward_kernels<float>(Target target) {
  return SUBQUAD_DISPATCH(forward_float, target)();
}

template <>
const ForwardKernels<double>& forward_kernels<double>(Target target) {
  return SUBQUAD_DISPATCH(forward_double, target)();
}

}  // namespace subquad::simd
#endif
