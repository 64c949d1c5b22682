#include "core/simd/exp2.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/simd/exp2.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/simd/exp2-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class T>
void exp2_all(const T* x, T* y, int64_t count) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> one;
  const int64_t lanes = hn::MaxLanes(d);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(exp2(d, hn::LoadU(d, x + i)), d, y + i);
  for (; i < count; ++i) hn::StoreU(exp2(one, hn::LoadU(one, x + i)), one, y + i);
}

void exp2_float(const float* x, float* y, int64_t count) { exp2_all(x, y, count); }
void exp2_double(const double* x, double* y, int64_t count) { exp2_all(x, y, count); }

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/simd/dispatch.hpp"

namespace subquad::simd {

HWY_EXPORT(exp2_float);
HWY_EXPORT(exp2_double);

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
