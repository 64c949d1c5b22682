// What lies between arrays and column groups: kernels' entries as powers, windows side by side, rows scaled on their way in and
// out. Included once per SIMD target, by core/simd/spectral.cpp.
#if defined(SUBQUAD_SPECTRAL_ROWS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_SPECTRAL_ROWS_INL
#undef SUBQUAD_SPECTRAL_ROWS_INL
#else
#define SUBQUAD_SPECTRAL_ROWS_INL
#endif

#include <hwy/highway.h>

#include "core/simd/exp2-inl.hpp"
#include "core/simd/spectral_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class To, class D, class V>
HWY_INLINE auto convert(D d, V v) {
  const hn::Rebind<To, D> to;
  if constexpr (sizeof(To) > sizeof(hn::TFromD<D>)) {
    return hn::PromoteTo(to, v);
  } else if constexpr (sizeof(To) < sizeof(hn::TFromD<D>)) {
    return hn::DemoteTo(to, v);
  } else {
    static_cast<void>(d);
    return v;
  }
}

// The exponent is formed in double: the rounding error of a large logit would be one of the weight.
template <class T, class R, class D>
HWY_INLINE void store_power(D d, const T* from, const PowerRange& range, R* to) {
  const hn::Rebind<T, D> dt;
  const hn::Rebind<R, D> dr;
  const auto logit = convert<double>(dt, hn::LoadU(dt, from));
  const auto exponent = hn::MulSub(logit, hn::Set(d, range.factor), hn::Set(d, range.reference));
  const auto kept = hn::IfThenElse(hn::Gt(exponent, hn::Set(d, range.limit)), hn::Set(d, kExp2Least<double>), exponent);
  hn::StoreU(exp2(dr, convert<R>(d, hn::Max(kept, hn::Set(d, kExp2Least<double>)))), dr, to);
}

template <class T, class R>
HWY_NOINLINE void fill_powers(const T* from, int64_t count, const PowerRange& range, R* to) {
  const hn::ScalableTag<double> d;
  const hn::CappedTag<double, 1> one;
  const int64_t lanes = hn::MaxLanes(d);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store_power(d, from + i, range, to + i);
  for (; i < count; ++i) store_power(one, from + i, range, to + i);
}

// rows[x] = [from[0][x], from[1][x], .. | 0 ..], the signals `stride` apart.
template <class R>
HWY_NOINLINE void lay_side_by_side(const R* from, int64_t stride, int64_t count, R* rows) {
  const hn::ScalableTag<R> d;
  const hn::RebindToSigned<decltype(d)> di;
  using Index = hn::TFromD<decltype(di)>;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  const auto places = hn::Mul(hn::Iota(di, 0), hn::Set(di, static_cast<Index>(stride)));
  for (int64_t x = 0; x < count; ++x, rows += 2 * kLanes) {
    hn::Store(hn::GatherIndex(d, from + x, places), d, rows);
    hn::Store(hn::Zero(d), d, rows + kLanes);
  }
}

// to[i] = from[i] * scale * factors[i] for whole rows of a column group; NULL: no factors.
template <class R>
HWY_NOINLINE void scale_rows(const R* from, int64_t from_stride, int64_t count, const R* scale, const R* factors, R* to,
                             int64_t to_stride) {
  const hn::ScalableTag<R> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  const auto low = hn::LoadU(d, scale), high = hn::LoadU(d, scale + kLanes);
  for (int64_t i = 0; i < count; ++i, from += from_stride, to += to_stride) {
    auto a = hn::LoadU(d, from), b = hn::LoadU(d, from + kLanes);
    if (factors != nullptr) {  // first, as those of an inverse transform bring entries back to their size
      a = hn::Mul(a, hn::Set(d, factors[i]));
      b = hn::Mul(b, hn::Set(d, factors[i]));
    }
    hn::StoreU(hn::Mul(a, low), d, to);
    hn::StoreU(hn::Mul(b, high), d, to + kLanes);
  }
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
