// Logits of one tile of keys against a query group, with bias and mask: what the forward and the backward kernel share.
// Included once per SIMD target, by core/simd/attention_forward.cpp and its siblings.
#if defined(SUBQUAD_LOGITS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_LOGITS_INL
#undef SUBQUAD_LOGITS_INL
#else
#define SUBQUAD_LOGITS_INL
#endif

#include <algorithm>
#include <limits>

#include "core/simd/attention_kernels.hpp"
#include "core/simd/tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Where the queries of vector v see key t: t < keys and query >= t - diagonal.
template <class T, class Block>
HWY_INLINE auto visible_lanes(const Block& b, int64_t t, int v) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = hn::MaxLanes(d);
  const int64_t hidden = t < b.keys ? std::clamp<int64_t>(t - b.mask.diagonal - v * lanes, 0, lanes) : lanes;
  return hn::Not(hn::FirstN(d, static_cast<size_t>(hidden)));
}

// Rows of k from t on, the last one repeated where the block ends: what is computed beyond it is masked.
template <class T, class Block, int Rows>
HWY_INLINE void tile_rows(const Block& b, const T* base, int64_t stride, int64_t t, const T* (&rows)[Rows]) {
  for (int r = 0; r < Rows; ++r) rows[r] = base + std::min(t + r, b.keys - 1) * stride;
}

// tile = logits of keys t .. t + kTileRows - 1, every one of them in the block.
template <class T, int Vectors, class Block>
HWY_INLINE void logits(const Block& b, int64_t t, Tile<T, kTileRows, Vectors>& tile) {
  const hn::ScalableTag<T> d;
  constexpr int64_t kLanes = hn::MaxLanes(d);
  const T* rows[kTileRows];
  tile_rows(b, b.k, b.k_stride, t, rows);
  tile.multiply(rows, 1, b.q_t, Vectors * kLanes, b.d);
  if (HWY_UNLIKELY(b.mask.bias != nullptr)) {
    HWY_UNROLL(8) for (int r = 0; r < kTileRows; ++r) {
      HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) {
        tile.sum[r][v] = hn::Add(tile.sum[r][v], hn::LoadU(d, b.mask.bias + v * kLanes - (t + r)));
      }
    }
  }
}

// -inf where a query does not see a key of the tile, or the block ends.
template <class T, int Vectors, class Block>
HWY_INLINE void hide(const Block& b, int64_t t, Tile<T, kTileRows, Vectors>& tile) {
  const hn::ScalableTag<T> d;
  const auto hidden = hn::Set(d, -std::numeric_limits<T>::infinity());
  HWY_UNROLL(8) for (int r = 0; r < kTileRows; ++r) {
    HWY_UNROLL(4)
    for (int v = 0; v < Vectors; ++v) tile.sum[r][v] = hn::IfThenElse(visible_lanes<T>(b, t + r, v), tile.sum[r][v], hidden);
  }
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
