// Products of spectra, summed: a tile of outputs in registers, one column vector (re and im) wide, kernels broadcast.
// Included once per SIMD target, by core/simd/spectral.cpp.
#if defined(SUBQUAD_SPECTRAL_PRODUCT_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_SPECTRAL_PRODUCT_INL
#undef SUBQUAD_SPECTRAL_PRODUCT_INL
#else
#define SUBQUAD_SPECTRAL_PRODUCT_INL
#endif

#include <hwy/highway.h>

#include "core/simd/spectral_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Two accumulators per output, of 32 registers or 16.
inline constexpr int kSpectralTile = HWY_TARGET == HWY_SSSE3 || HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_AVX2 ? 6 : 12;

template <class R, bool kConjugate>
HWY_NOINLINE void spectral_product(const SpectralProduct<R>& b) {
  const hn::ScalableTag<R> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int64_t kLanes = hn::MaxLanes(d), kRow = 2 * kLanes;
  for (int64_t f = b.first; f < b.last; ++f) {
    V re[kSpectralTile], im[kSpectralTile];
    HWY_UNROLL(12) for (int o = 0; o < kSpectralTile; ++o) re[o] = im[o] = hn::Zero(d);
    const R* const windows = b.windows + f * kRow;
    const R* input = b.inputs + b.first_input * b.input_stride + f * kRow;
    const int64_t* offset = b.offsets + b.first_input * kSpectralTile;
    for (int64_t p = b.first_input; p < b.last_input; ++p, input += b.input_stride, offset += kSpectralTile) {
      const V xr = hn::Load(d, input), xi = hn::Load(d, input + kLanes);
      HWY_UNROLL(12) for (int o = 0; o < kSpectralTile; ++o) {
        const R* const k = windows + offset[o];
        const V kr = hn::Set(d, k[0]), ki = hn::Set(d, k[kLanes]);
        re[o] = hn::MulAdd(kr, xr, re[o]);
        im[o] = hn::MulAdd(kr, xi, im[o]);
        re[o] = kConjugate ? hn::MulAdd(ki, xi, re[o]) : hn::NegMulAdd(ki, xi, re[o]);
        im[o] = kConjugate ? hn::NegMulAdd(ki, xr, im[o]) : hn::MulAdd(ki, xr, im[o]);
      }
    }
    R* const output = b.outputs + f * kRow;
    HWY_UNROLL(12) for (int o = 0; o < kSpectralTile; ++o) {
      hn::Store(re[o], d, output + o * b.output_stride);
      hn::Store(im[o], d, output + o * b.output_stride + kLanes);
    }
  }
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
