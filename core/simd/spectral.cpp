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

namespace {

struct UnitRoot {
  double re, im;
};

// exp(-2 pi i index / length), from an angle of at most pi / 4: as precise as doubles are.
UnitRoot unit_root(int64_t index, int64_t length) {
  constexpr double kTwoPi = 6.283185307179586476925286766559;
  const int64_t quarter = length / 4, quadrant = index / quarter % 4, rest = index % quarter;
  const bool beyond = 2 * rest > quarter;
  const double angle = kTwoPi * static_cast<double>(beyond ? quarter - rest : rest) / static_cast<double>(length);
  const double c = beyond ? std::sin(angle) : std::cos(angle), s = beyond ? std::cos(angle) : std::sin(angle);
  switch (quadrant) {
    case 0: return {c, -s};
    case 1: return {-s, -c};
    case 2: return {-c, s};
    default: return {s, c};
  }
}

}  // namespace

template <class R>
void fill_twiddles(int64_t length, R* twiddles) {
  for (; length > 8; length /= 4) {
    for (int64_t j = 0; j < length / 4; ++j) {
      for (int64_t power = 1; power < 4; ++power) {
        const UnitRoot root = unit_root(j * power, length);
        *twiddles++ = static_cast<R>(root.re);
        *twiddles++ = static_cast<R>(root.im);
      }
    }
  }
}

template void fill_twiddles<float>(int64_t, float*);
template void fill_twiddles<double>(int64_t, double*);

}  // namespace subquad::simd
#endif
