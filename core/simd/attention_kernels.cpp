#include "core/simd/attention_kernels.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/simd/attention_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/simd/attention_backward-inl.hpp"
#include "core/simd/attention_forward-inl.hpp"
#include "core/simd/exp2-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

static_assert(kMaxTileRows <= kBlockSlack);

template <class T>
const AttentionKernels<T>& kernels() {
  static constexpr AttentionKernels<T> table = {
      static_cast<int64_t>(hn::MaxLanes(hn::ScalableTag<T>())),
      {forward_block<T, 1>, forward_block<T, 2>, forward_block<T, 3>},
      {backward_keys<T, 1>, backward_keys<T, 2>, backward_keys<T, 3>},
      {backward_queries<T, 1>, backward_queries<T, 2>, backward_queries<T, 3>},
  };
  return table;
}

const AttentionKernels<float>& kernels_float() { return kernels<float>(); }
const AttentionKernels<double>& kernels_double() { return kernels<double>(); }

template <class T>
void exp2_all(const T* x, T* y, int64_t count) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = hn::MaxLanes(d);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(exp2(d, hn::LoadU(d, x + i)), d, y + i);
  const hn::CappedTag<T, 1> one;
  for (; i < count; ++i) hn::StoreU(exp2(one, hn::LoadU(one, x + i)), one, y + i);
}

void exp2_float(const float* x, float* y, int64_t count) { exp2_all(x, y, count); }
void exp2_double(const double* x, double* y, int64_t count) { exp2_all(x, y, count); }

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/simd/dispatch.hpp"

namespace subquad::simd {

HWY_EXPORT(kernels_float);
HWY_EXPORT(kernels_double);
HWY_EXPORT(exp2_float);
HWY_EXPORT(exp2_double);

template <>
const AttentionKernels<float>& attention_kernels<float>(Target target) {
  return SUBQUAD_DISPATCH(kernels_float, target)();
}

template <>
const AttentionKernels<double>& attention_kernels<double>(Target target) {
  return SUBQUAD_DISPATCH(kernels_double, target)();
}

template <>
void exp2_array<float>(Target target, const float* x, float* y, int64_t count) {
  SUBQUAD_DISPATCH(exp2_float, target)(x, y, count);
}

template <>
void exp2_array<double>(Target target, const double* x, double* y, int64_t count) {
  SUBQUAD_DISPATCH(exp2_double, target)(x, y, count);
}

}  // namespace subquad::simd
#endif
