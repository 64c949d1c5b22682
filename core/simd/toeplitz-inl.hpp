// Products with weights that depend on the lag: a tile of weights from a table, then the register tile.
// Included once per SIMD target, by core/simd/toeplitz.cpp.
#if defined(SUBQUAD_TOEPLITZ_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_TOEPLITZ_INL
#undef SUBQUAD_TOEPLITZ_INL
#else
#define SUBQUAD_TOEPLITZ_INL
#endif

#include <algorithm>

#include "core/simd/exp2-inl.hpp"
#include "core/simd/tile-inl.hpp"
#include "core/simd/toeplitz_kernels.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Keys that some query of the group sees.
template <class T, int Vectors>
HWY_INLINE int64_t toeplitz_visible(const ToeplitzBlock<T>& b) {
  return std::min<int64_t>(b.keys, Vectors * hn::MaxLanes(hn::ScalableTag<T>()) + b.diagonal);
}

template <class T, int Vectors>
HWY_INLINE void toeplitz_weights(const ToeplitzBlock<T>& b, int64_t keys) {
  const hn::ScalableTag<T> d;
  constexpr int64_t kLanes = hn::MaxLanes(d), kGroup = Vectors * kLanes;
  for (int64_t t = 0; t < keys; ++t) {
    for (int64_t v = 0; v < Vectors; ++v) {
      auto weight = hn::LoadU(d, b.table + v * kLanes - t);
      if (b.lse != nullptr) {
        const auto low = hn::Sub(hn::LoadU(d, b.table_low + v * kLanes - t), hn::LoadU(d, b.lse_low + v * kLanes));
        const auto exponent = hn::Add(hn::Sub(weight, hn::LoadU(d, b.lse + v * kLanes)), low);
        weight = exp2(d, at_most(d, kExp2Most<T>, exponent));
      }
      const int64_t hidden = std::clamp<int64_t>(t - b.diagonal - v * kLanes, 0, kLanes);
      weight = hn::IfThenElseZero(hn::Not(hn::FirstN(d, static_cast<size_t>(hidden))), weight);
      hn::StoreU(weight, d, b.weights + t * kGroup + v * kLanes);
    }
  }
}

template <class T, int Vectors>
HWY_NOINLINE void toeplitz_forward(const ToeplitzBlock<T>& b, const T* v, int64_t v_stride, int64_t columns, T* o_t) {
  constexpr int64_t kGroup = Vectors * hn::MaxLanes(hn::ScalableTag<T>());
  const int64_t keys = toeplitz_visible<T, Vectors>(b);
  if (keys <= 0) return;
  toeplitz_weights<T, Vectors>(b, keys);
  multiply_add<T, Vectors>(v, 1, v_stride, columns, b.weights, kGroup, keys, o_t, kGroup);
}

template <class T, int Vectors>
HWY_NOINLINE void toeplitz_transposed(const ToeplitzBlock<T>& b, const T* x, int64_t padded, T* out) {
  constexpr int64_t kLanes = hn::MaxLanes(hn::ScalableTag<T>()), kGroup = Vectors * kLanes;
  const int64_t keys = toeplitz_visible<T, Vectors>(b);
  if (keys <= 0) return;
  toeplitz_weights<T, Vectors>(b, keys);
  int64_t c = 0;
  for (; c + 2 * kLanes <= padded; c += 2 * kLanes)
    multiply_add<T, 2>(b.weights, kGroup, 1, keys, x + c, padded, kGroup, out + c, padded);
  if (c < padded) multiply_add<T, 1>(b.weights, kGroup, 1, keys, x + c, padded, kGroup, out + c, padded);
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
