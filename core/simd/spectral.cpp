#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/simd/spectral.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/simd/spectral_kernels.hpp"
#include "core/simd/spectral_product-inl.hpp"
#include "core/simd/spectral_rows-inl.hpp"
#include "core/simd/transform-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

template <class R>
const SpectralKernels<R>& spectral_table() {
  static constexpr SpectralKernels<R> table = {
      static_cast<int64_t>(hwy::HWY_NAMESPACE::MaxLanes(hwy::HWY_NAMESPACE::ScalableTag<R>())),
      kSpectralTile,
      transform<R>,
      transform_half<R>,
      inverse_half<R>,
      spectral_product<R, false>,
      spectral_product<R, true>,
      fill_powers<float, R>,
      fill_powers<R, R>,
      lay_side_by_side<R>,
      scale_rows<R>,
  };
  return table;
}

const SpectralKernels<float>& spectral_float() { return spectral_table<float>(); }
const SpectralKernels<double>& spectral_double() { return spectral_table<double>(); }

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>
#include <type_traits>

#include "core/simd/dispatch.hpp"

namespace subquad::simd {

HWY_EXPORT(spectral_float);
HWY_EXPORT(spectral_double);

template <>
const SpectralKernels<float>& spectral_kernels<float>(Target target) {
  return SUBQUAD_DISPATCH(spectral_float, target)();
}

template <>
const SpectralKernels<double>& spectral_kernels<double>(Target target) {
  return SUBQUAD_DISPATCH(spectral_double, target)();
}

// Each radix-4 pass over `length` rows has length / 4 triples of factors w, w^2, w^3 with w = exp(-2 pi i j / length).
int64_t twiddle_count(int64_t length) {
  int64_t count = 0;
  for (; length > 8; length /= 4) count += 6 * (length / 4);
  return count;
}

template <class R>
void fill_twiddles(int64_t length, R* twiddles) {
  using Wide = std::conditional_t<sizeof(R) == 4, double, long double>;
  constexpr Wide kTwoPi = static_cast<Wide>(6.283185307179586476925286766559L);
  for (; length > 8; length /= 4) {
    for (int64_t j = 0; j < length / 4; ++j) {
      for (int64_t power = 1; power < 4; ++power) {
        const Wide angle = kTwoPi * static_cast<Wide>(j * power) / static_cast<Wide>(length);
        *twiddles++ = static_cast<R>(std::cos(angle));
        *twiddles++ = static_cast<R>(-std::sin(angle));
      }
    }
  }
}

template void fill_twiddles<float>(int64_t, float*);
template void fill_twiddles<double>(int64_t, double*);

}  // namespace subquad::simd
#endif
