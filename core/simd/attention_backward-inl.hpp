// Backward block kernel: weights again from the logits and the log-sum-exp, then the four products of the gradient.
// Included once per SIMD target, by core/simd/attention_forward.cpp and its siblings.
#if defined(SUBQUAD_ATTENTION_BACKWARD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_ATTENTION_BACKWARD_INL
#undef SUBQUAD_ATTENTION_BACKWARD_INL
#else
#define SUBQUAD_ATTENTION_BACKWARD_INL
#endif

#include <algorithm>

#include "core/simd/attention_kernels.hpp"
#include "core/simd/exp2-inl.hpp"
#include "core/simd/logits-inl.hpp"
#include "core/simd/tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// weights[t..][:] = P, zero where a query does not see a key (which only a partial tile has)
template <class T, int Vectors, bool kPartial>
HWY_INLINE void recompute_weights(const BackwardBlock<T>& b, int64_t t) {
  const hn::ScalableTag<T> d;
  constexpr int64_t kLanes = hn::MaxLanes(d), kGroup = Vectors * kLanes;
  Tile<T, kTileRows, Vectors> tile;
  logits<T, Vectors>(b, t, tile);
  HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) {
    const auto lse = hn::LoadU(d, b.lse + v * kLanes);
    HWY_UNROLL(8) for (int r = 0; r < kTileRows; ++r) {
      auto weight = exp2(d, at_most(d, b.most, hn::Sub(tile.sum[r][v], lse)));
      if constexpr (kPartial) weight = hn::IfThenElseZero(visible_lanes<T>(b, t + r, v), weight);
      hn::StoreU(weight, d, b.weights + (t + r) * kGroup + v * kLanes);
    }
  }
}

// d_logits[t..][:] = P * (v do' - delta)
template <class T, int Vectors>
HWY_INLINE void differentiate_weights(const BackwardBlock<T>& b, int64_t t) {
  const hn::ScalableTag<T> d;
  constexpr int64_t kLanes = hn::MaxLanes(d), kGroup = Vectors * kLanes;
  const T* rows[kTileRows];
  tile_rows(b, b.v, b.v_stride, t, rows);
  Tile<T, kTileRows, Vectors> tile;
  tile.multiply(rows, 1, b.d_o_t, kGroup, b.d_v);
  HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) {
    const auto delta = hn::LoadU(d, b.delta + v * kLanes);
    HWY_UNROLL(8) for (int r = 0; r < kTileRows; ++r) {
      const int64_t place = (t + r) * kGroup + v * kLanes;
      hn::StoreU(hn::Mul(hn::LoadU(d, b.weights + place), hn::Sub(tile.sum[r][v], delta)), d, b.d_logits + place);
    }
  }
}

// d_bias[i - t] += dS[t][i]
template <class T, int Vectors>
HWY_INLINE void add_bias_gradient(const BackwardBlock<T>& b, int64_t visible) {
  const hn::ScalableTag<T> d;
  constexpr int64_t kLanes = hn::MaxLanes(d), kGroup = Vectors * kLanes;
  for (int64_t t = 0; t < visible; ++t) {
    for (int v = 0; v < Vectors; ++v) {
      T* place = b.d_bias + v * kLanes - t;
      hn::StoreU(hn::Add(hn::LoadU(d, place), hn::LoadU(d, b.d_logits + t * kGroup + v * kLanes)), d, place);
    }
  }
}

// out[keys][padded] += a[keys][group] rows[group][padded]: here the lanes run across the padded columns.
template <class T, int Vectors>
HWY_INLINE void add_row_gradient(const T* a, int64_t keys, const T* rows, int64_t rows_stride, int64_t columns, T* out) {
  constexpr int64_t kLanes = hn::MaxLanes(hn::ScalableTag<T>()), kGroup = Vectors * kLanes;
  const int64_t padded = (columns + kLanes - 1) / kLanes * kLanes;
  int64_t c = 0;
  for (; c + 2 * kLanes <= padded; c += 2 * kLanes)
    multiply_add<T, 2>(a, kGroup, 1, keys, rows + c, rows_stride, kGroup, out + c, padded);
  if (c < padded) multiply_add<T, 1>(a, kGroup, 1, keys, rows + c, rows_stride, kGroup, out + c, padded);
}

// Keys of the block that some query of the group sees.
template <class T, int Vectors>
HWY_INLINE int64_t visible_keys(const BackwardBlock<T>& b) {
  return std::min<int64_t>(b.keys, Vectors * hn::MaxLanes(hn::ScalableTag<T>()) + b.mask.diagonal);
}

template <class T, int Vectors>
HWY_NOINLINE void backward_keys(const BackwardBlock<T>& b) {
  const int64_t visible = visible_keys<T, Vectors>(b);
  const int64_t whole = std::min(b.keys, b.mask.diagonal + 1) - kTileRows;  // last tile that every query sees whole
  for (int64_t t = 0; t < visible; t += kTileRows) {
    if (t <= whole) {
      recompute_weights<T, Vectors, false>(b, t);
    } else {
      recompute_weights<T, Vectors, true>(b, t);
    }
    differentiate_weights<T, Vectors>(b, t);
  }
  if (b.d_bias != nullptr) add_bias_gradient<T, Vectors>(b, visible);
  add_row_gradient<T, Vectors>(b.weights, visible, b.d_o_rows, b.d_o_rows_stride, b.d_v, b.dv);
  add_row_gradient<T, Vectors>(b.d_logits, visible, b.q_rows, b.q_rows_stride, b.d, b.dk);
}

template <class T, int Vectors>
HWY_NOINLINE void backward_queries(const BackwardBlock<T>& b) {
  constexpr int64_t kGroup = Vectors * hn::MaxLanes(hn::ScalableTag<T>());
  multiply_add<T, Vectors>(b.k, 1, b.k_stride, b.d, b.d_logits, kGroup, visible_keys<T, Vectors>(b), b.dq_t, kGroup);
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
