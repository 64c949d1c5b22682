// Forward block kernel: logits of a tile of keys in registers, 2^(logit - row_max) stored as weights, then weights' v.
//
// The running maximum is lazy: it moves only when a logit exceeds it by more than kSlack, so most tiles go from logits to weights
// without leaving registers and without touching o_t. Any maximum gives the same quotient; weights stay below 2^kSlack.
// Included once per SIMD target: see core/simd/attention_kernels.cpp.
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

template <class T, int Vectors>
class ForwardPass {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  using LogitTile = Tile<T, kTileRows, Vectors>;
  static constexpr int64_t kLanes = hn::MaxLanes(D());
  static constexpr int64_t kGroup = Vectors * kLanes;
  static constexpr int kSlack = 8;

 public:
  HWY_INLINE explicit ForwardPass(const ForwardBlock<T>& block) : b_(block) {
    const D d;
    for (int v = 0; v < Vectors; ++v) {
      max_[v] = hn::LoadU(d, b_.row_max + v * kLanes);
      sum_[v] = hn::Zero(d);
    }
  }

  HWY_INLINE void run() {
    const int64_t visible = std::min(b_.keys, kGroup + b_.mask.diagonal);  // keys that some query sees
    int64_t first = 0;                                                     // of the keys whose weights wait for their values
    for (int64_t t = 0; t < visible; t += kTileRows) {
      LogitTile tile;
      V top[Vectors];
      const bool whole = t + kTileRows <= std::min(b_.keys, b_.mask.diagonal + 1);
      logits<T, Vectors>(b_, t, whole, tile, top);
      if (HWY_UNLIKELY(exceeds(top))) {
        apply_weights(first, t);
        first = t;
        raise(top);
        logits<T, Vectors>(b_, t, whole, tile, top);  // again rather than kept: a value kept across the branch would leave its register
      }
      if (HWY_LIKELY(whole)) {
        store_weights(tile, t);
      } else {
        store_visible_weights(tile, t);
      }
    }
    apply_weights(first, visible);
    save();
  }

 private:
  HWY_INLINE bool exceeds(const V (&top)[Vectors]) const {
    const D d;
    bool any = false;
    HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) {
      any |= !hn::AllFalse(d, hn::Gt(top[v], hn::Add(max_[v], hn::Set(d, static_cast<T>(kSlack)))));
    }
    return any;
  }

  // Move the maximum to `top` and rescale all that was summed so far.
  HWY_NOINLINE void raise(const V (&top)[Vectors]) {
    const D d;
    for (int v = 0; v < Vectors; ++v) {
      const V raised = hn::Max(max_[v], top[v]);
      const V factor = exp2(d, hn::Sub(max_[v], finite_or_zero(raised)));
      max_[v] = raised;
      sum_[v] = hn::Mul(sum_[v], factor);
      for (T* row : {b_.row_sum, b_.row_sum_low}) {
        hn::StoreU(hn::Mul(hn::LoadU(d, row + v * kLanes), factor), d, row + v * kLanes);
      }
      for (int64_t c = 0; c < b_.d_v; ++c) {
        T* o = b_.o_t + c * kGroup + v * kLanes;
        hn::StoreU(hn::Mul(hn::LoadU(d, o), factor), d, o);
      }
    }
  }

  HWY_INLINE void store_weights(LogitTile& tile, int64_t t) {
    const D d;
    HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) {
      HWY_UNROLL(8) for (int r = 0; r < kTileRows; ++r) {
        tile.sum[r][v] = exp2(d, hn::Sub(tile.sum[r][v], max_[v]));
        hn::StoreU(tile.sum[r][v], d, b_.weights + (t + r) * kGroup + v * kLanes);
      }
      sum_[v] = hn::Add(sum_[v], column_sum(tile, v));
    }
  }

  HWY_NOINLINE void store_visible_weights(LogitTile& tile, int64_t t) {
    const D d;
    for (int v = 0; v < Vectors; ++v) {
      const V max = finite_or_zero(max_[v]);
      for (int r = 0; r < kTileRows; ++r) {
        const V weight = exp2(d, hn::Sub(tile.sum[r][v], max));
        tile.sum[r][v] = hn::IfThenElseZero(visible_lanes<T>(b_, t + r, v), weight);
        hn::StoreU(tile.sum[r][v], d, b_.weights + (t + r) * kGroup + v * kLanes);
      }
      sum_[v] = hn::Add(sum_[v], column_sum(tile, v));
    }
  }

  // -inf - -inf would be NaN: a row that has seen nothing keeps the maximum -inf and weights that are masked anyway.
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

  // o_t += v' weights over keys first .. last-1
  HWY_INLINE void apply_weights(int64_t first, int64_t last) {
    if (first == last) return;
    multiply_add<T, Vectors>(b_.v + first * b_.v_stride, 1, b_.v_stride, b_.d_v, b_.weights + first * kGroup, kGroup, last - first, b_.o_t,
                             kGroup);
  }

  // The block's sum joins the total with the rounding error carried along.
  HWY_INLINE void save() const {
    const D d;
    for (int v = 0; v < Vectors; ++v) {
      hn::StoreU(max_[v], d, b_.row_max + v * kLanes);
      T* total = b_.row_sum + v * kLanes;
      T* low = b_.row_sum_low + v * kLanes;
      const V before = hn::LoadU(d, total), after = hn::Add(before, sum_[v]);
      // Knuth's two-sum: exact whichever of the two is larger.
      const V part = hn::Sub(after, before);
      const V error = hn::Add(hn::Sub(before, hn::Sub(after, part)), hn::Sub(sum_[v], part));
      hn::StoreU(after, d, total);
      hn::StoreU(hn::Add(hn::LoadU(d, low), error), d, low);
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
