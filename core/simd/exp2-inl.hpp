// 2^x for vectors: x = n + f with n the nearest integer, a minimax polynomial for 2^f on [-1/2, 1/2], n added to the exponent.
// Range and error: core/simd/exp2_range.hpp.
// Coefficients: tools/exp2_coefficients.py; relative error 1.9e-9 (degree 6, float) and 3.1e-18 (degree 11, double).
// Included once per SIMD target, by core/simd/attention_forward.cpp and its siblings.
#if defined(SUBQUAD_EXP2_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_EXP2_INL
#undef SUBQUAD_EXP2_INL
#else
#define SUBQUAD_EXP2_INL
#endif

#include <hwy/highway.h>

#include "core/simd/exp2_range.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_polynomial(D d, V f) {
  using T = hn::TFromD<D>;
  static constexpr double kFloat[] = {
      1.0, 0.693147205737, 0.240226468906, 0.0555032877695, 0.0096184889571, 0.00133999312242, 0.000153458120512};
  static constexpr double kDouble[] = {1.0,
                                       0.69314718055994533046,
                                       0.24022650695910156205,
                                       0.055504108664819921474,
                                       0.0096181291075883350548,
                                       0.0013333558146789952658,
                                       0.00015403530462514659432,
                                       0.000015252733489958406783,
                                       1.3215433089568544174e-6,
                                       1.0178198034379319153e-7,
                                       7.0741056309666745278e-9,
                                       4.4352807803080311931e-10};
  constexpr int kDegree = sizeof(T) == 4 ? 6 : 11;
  constexpr const double* kCoefficients = sizeof(T) == 4 ? kFloat : kDouble;
  V p = hn::Set(d, static_cast<T>(kCoefficients[kDegree]));
  HWY_UNROLL(11)
  for (int power = kDegree - 1; power >= 0; --power) p = hn::MulAdd(p, f, hn::Set(d, static_cast<T>(kCoefficients[power])));
  return p;
}

// Bounds that a NaN passes unchanged, which Min and Max do on some targets only.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V at_least(D d, hn::TFromD<D> bound, V x) {
  return hn::IfThenElse(hn::Lt(x, hn::Set(d, bound)), hn::Set(d, bound), x);
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE V at_most(D d, hn::TFromD<D> bound, V x) {
  return hn::IfThenElse(hn::Gt(x, hn::Set(d, bound)), hn::Set(d, bound), x);
}

// x <= kExp2Most<T>; a smaller x than kExp2Least<T> gives 2^kExp2Least, a NaN stays one.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2(D d, V x) {
  using T = hn::TFromD<D>;
  const hn::RebindToSigned<D> di;
  constexpr int kMantissaBits = sizeof(T) == 4 ? 23 : 52;
  // Adding 1.5 * 2^mantissa rounds to an integer and leaves it in the low bits.
  const V magic = hn::Set(d, sizeof(T) == 4 ? static_cast<T>(12582912.0) : static_cast<T>(6755399441055744.0));
  x = at_least(d, kExp2Least<T>, x);
  const V shifted = hn::Add(x, magic);
  const V f = hn::Sub(x, hn::Sub(shifted, magic));
  const auto exponent = hn::ShiftLeft<kMantissaBits>(hn::BitCast(di, shifted));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, exp2_polynomial(d, f)), exponent));
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
