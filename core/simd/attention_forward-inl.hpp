// Forward block kernel: logits of a tile of keys in registers, 2^(logit - row_max) stored as weights, then weights' v.
//
// The running maximum is lazy: it moves only when a logit exceeds it by more than kMaximumSlack, so most tiles go from logits to weights
// without leaving registers and without touching o_t. Any maximum gives the same quotient; weights stay below 2^kMaximumSlack. A query's
// maximum moves by its own logits alone, and its sums have the same order in any group: its bits do not depend on other queries.
// Included once per SIMD target, by core/simd/attention_forward.cpp and its siblings.
#if defined(SUBQUAD_ATTENTION_FORWARD_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_ATTENTION_FORWARD_INL
#undef SUBQUAD_ATTENTION_FORWARD_INL
#else
#define SUBQUAD_ATTENTION_FORWARD_INL
#endif

#include <algorithm>
#include <limits>

#include "core/simd/attention_kernels.hpp"
#include "core/simd/exp2-inl.hpp"
#include "core/simd/logits-inl.hpp"
#include "core/simd/tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// total + low += x, with the rounding error of total carried along in low [TwoSum]: exact whichever of the two is larger.
template <class D>
HWY_INLINE void add_carrying(D d, hn::Vec<D> x, hn::TFromD<D>* total, hn::TFromD<D>* low) {
  const auto before = hn::LoadU(d, total), after = hn::Add(before, x);
  const auto part = hn::Sub(after, before);
  const auto error = hn::Add(hn::Sub(before, hn::Sub(after, part)), hn::Sub(x, part));
  hn::StoreU(after, d, total);
  hn::StoreU(hn::Add(hn::LoadU(d, low), error), d, low);
}

template <class T, int Vectors>
class ForwardPass {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  using LogitTile = Tile<T, kTileRows, Vectors>;
  static constexpr int64_t kLanes = hn::MaxLanes(D());
  static constexpr int64_t kGroup = Vectors * kLanes;

 public:
  HWY_INLINE explicit ForwardPass(const ForwardBlock<T>& block) : b_(block) {
    const D d;
    for (int v = 0; v < Vectors; ++v) {
      max_[v] = hn::LoadU(d, b_.row_max + v * kLanes);
      sum_[v] = hn::Zero(d);
    }
  }

  HWY_INLINE void run() {
    const int64_t visible = std::min(b_.keys, kGroup + b_.mask.diagonal);       // keys that some query sees
    const int64_t whole = std::min(b_.keys, b_.mask.diagonal + 1) - kTileRows;  // last tile that every query sees whole
    int64_t t = 0;
    for (; t <= whole; t += kTileRows) process<false>(t);
    for (; t < visible; t += kTileRows) process<true>(t);
    // o_t += v' weights
    if (t > 0) multiply_add<T, Vectors>(b_.v, 1, b_.v_stride, b_.d_v, b_.weights, kGroup, std::min(t, visible), b_.o_t, kGroup);
    save();
  }

 private:
  // One tile, from logits to weights.
  template <bool kPartial>
  HWY_INLINE void process(int64_t t) {
    LogitTile tile;
    V top[Vectors];
    compute<kPartial>(t, tile, top);
    if (HWY_UNLIKELY(exceeds(top))) {
      raise(t, kPartial);
      compute<kPartial>(t, tile, top);  // again rather than kept: a tile kept across the branch would leave its registers
    }
    store_weights<kPartial>(tile, t);
  }

  template <bool kPartial>
  HWY_INLINE void compute(int64_t t, LogitTile& tile, V (&top)[Vectors]) const {
    logits<T, Vectors>(b_, t, tile);
    if constexpr (kPartial) hide<T, Vectors>(b_, t, tile);
    HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) {
      top[v] = tile.sum[0][v];
      HWY_UNROLL(8) for (int r = 1; r < kTileRows; ++r) top[v] = hn::Max(top[v], tile.sum[r][v]);
    }
  }

  static HWY_INLINE auto exceeds(V top, V max) {
    const D d;
    return hn::Gt(top, hn::Add(max, hn::Set(d, static_cast<T>(kMaximumSlack))));
  }

  HWY_INLINE bool exceeds(const V (&top)[Vectors]) const {
    const D d;
    bool any = false;
    HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) any |= !hn::AllFalse(d, exceeds(top[v], max_[v]));
    return any;
  }

  // Where tile t exceeds the maximum, move it there and rescale all that was summed so far and the block's weights.
  HWY_NOINLINE void raise(int64_t t, bool partial) {
    const D d;
    LogitTile tile;
    V top[Vectors];
    if (partial) {
      compute<true>(t, tile, top);
    } else {
      compute<false>(t, tile, top);
    }
    for (int v = 0; v < Vectors; ++v) {
      const V raised = hn::IfThenElse(exceeds(top[v], max_[v]), top[v], max_[v]);
      const V factor = exp2(d, hn::Sub(max_[v], finite_or_zero(raised)));
      max_[v] = raised;
      sum_[v] = hn::Mul(sum_[v], factor);
      rescale(b_.row_sum + v * kLanes, 1, factor);
      rescale(b_.row_sum_low + v * kLanes, 1, factor);
      rescale(b_.weights + v * kLanes, t, factor);
      rescale(b_.o_t + v * kLanes, b_.d_v, factor);
    }
  }

  // One vector in each of `rows` rows.
  static HWY_INLINE void rescale(T* x, int64_t rows, V factor) {
    const D d;
    for (int64_t r = 0; r < rows; ++r, x += kGroup) hn::StoreU(hn::Mul(hn::LoadU(d, x), factor), d, x);
  }

  template <bool kPartial>
  HWY_INLINE void store_weights(LogitTile& tile, int64_t t) {
    const D d;
    HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) {
      const V max = finite_or_zero(max_[v]);
      HWY_UNROLL(8) for (int r = 0; r < kTileRows; ++r) {
        tile.sum[r][v] = exp2(d, hn::Sub(tile.sum[r][v], max));
        if constexpr (kPartial) tile.sum[r][v] = hn::IfThenElseZero(visible_lanes<T>(b_, t + r, v), tile.sum[r][v]);
        hn::StoreU(tile.sum[r][v], d, b_.weights + (t + r) * kGroup + v * kLanes);
      }
      sum_[v] = hn::Add(sum_[v], column_sum(tile, v));
    }
  }

  // -inf - -inf would be NaN. A row that has seen nothing, or only logits of -inf, keeps the maximum -inf.
  static HWY_INLINE V finite_or_zero(V max) {
    const D d;
    return hn::IfThenZeroElse(hn::Eq(max, hn::Set(d, -std::numeric_limits<T>::infinity())), max);
  }

  static HWY_INLINE V column_sum(const LogitTile& tile, int v) {
    if constexpr (kTileRows == 8) {
      return hn::Add(hn::Add(hn::Add(tile.sum[0][v], tile.sum[1][v]), hn::Add(tile.sum[2][v], tile.sum[3][v])),
                     hn::Add(hn::Add(tile.sum[4][v], tile.sum[5][v]), hn::Add(tile.sum[6][v], tile.sum[7][v])));
    } else {
      return hn::Add(hn::Add(tile.sum[0][v], tile.sum[1][v]), hn::Add(tile.sum[2][v], tile.sum[3][v]));
    }
  }

  HWY_INLINE void save() const {
    const D d;
    for (int v = 0; v < Vectors; ++v) {
      hn::StoreU(max_[v], d, b_.row_max + v * kLanes);
      add_carrying(d, sum_[v], b_.row_sum + v * kLanes, b_.row_sum_low + v * kLanes);
    }
  }

  const ForwardBlock<T>& b_;
  V max_[Vectors], sum_[Vectors];
};

template <class T, int Vectors>
HWY_NOINLINE void forward_block(const ForwardBlock<T>& block) {
  ForwardPass<T, Vectors>(block).run();
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
