#include "core/simd/correlation.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/simd/correlation.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// kAtOnce frequencies side by side: no sum waits for the one before it.
template <class R, int kAtOnce>
HWY_INLINE void correlate_some(const SpectralCorrelation<R>& c, int64_t f) {
  const hn::ScalableTag<R> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int64_t kLanes = hn::MaxLanes(d), kRow = 2 * kLanes;
  V re[kAtOnce], im[kAtOnce];
  HWY_UNROLL(4) for (int x = 0; x < kAtOnce; ++x) re[x] = im[x] = hn::Zero(d);
  const R *a = c.a + f * kRow, *b = c.b + f * kRow;
  for (int64_t s = 0; s < c.count; ++s, a += c.stride, b += c.stride) {
    HWY_UNROLL(4) for (int x = 0; x < kAtOnce; ++x) {
      const V a_re = hn::Load(d, a + x * kRow), a_im = hn::Load(d, a + x * kRow + kLanes);
      const V b_re = hn::Load(d, b + x * kRow), b_im = hn::Load(d, b + x * kRow + kLanes);
      re[x] = hn::MulAdd(a_im, b_im, hn::MulAdd(a_re, b_re, re[x]));
      im[x] = hn::NegMulAdd(a_re, b_im, hn::MulAdd(a_im, b_re, im[x]));
    }
  }
  for (int x = 0; x < kAtOnce; ++x) {
    R* const sum = c.sums + (f + x) * c.row;
    sum[0] += hn::GetLane(hn::SumOfLanes(d, re[x]));
    sum[kLanes] += hn::GetLane(hn::SumOfLanes(d, im[x]));
  }
}

template <class R>
void correlate_all(const SpectralCorrelation<R>& c) {
  int64_t f = c.first;
  for (; f + 4 <= c.last; f += 4) correlate_some<R, 4>(c, f);
  for (; f < c.last; ++f) correlate_some<R, 1>(c, f);
}

void correlate_float(const SpectralCorrelation<float>& c) { correlate_all(c); }
void correlate_double(const SpectralCorrelation<double>& c) { correlate_all(c); }

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/simd/dispatch.hpp"

namespace subquad::simd {

HWY_EXPORT(correlate_float);
HWY_EXPORT(correlate_double);

template <>
void correlate<float>(Target target, const SpectralCorrelation<float>& c) {
  SUBQUAD_DISPATCH(correlate_float, target)(c);
}

template <>
void correlate<double>(Target target, const SpectralCorrelation<double>& c) {
  SUBQUAD_DISPATCH(correlate_double, target)(c);
}

}  // namespace subquad::simd
#endif
