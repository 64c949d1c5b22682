// Forward kernel for one query and one block of keys: bound by reading keys and values, which happens once, in order.
// Included once per SIMD target, by core/simd/attention_forward.cpp.
#if defined(SUBQUAD_ATTENTION_ROW_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_ATTENTION_ROW_INL
#undef SUBQUAD_ATTENTION_ROW_INL
#else
#define SUBQUAD_ATTENTION_ROW_INL
#endif

#include <algorithm>
#include <limits>

#include "core/simd/attention_forward-inl.hpp"
#include "core/simd/attention_kernels.hpp"
#include "core/simd/exp2-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class T>
class RowPass {
  using D = hn::ScalableTag<T>;
  using V = hn::Vec<D>;
  using One = hn::CappedTag<T, 1>;
  static constexpr int64_t kLanes = hn::MaxLanes(D());
  static constexpr int64_t kKeysAtOnce = 4;
  static constexpr int kColumnVectors = 4;
  static_assert(kKeyBlock % kLanes == 0 && kKeyBlock % kKeysAtOnce == 0);

 public:
  HWY_INLINE explicit RowPass(const RowBlock<T>& block) : b_(block) {}

  HWY_INLINE void run() const {
    const int64_t padded = (b_.keys + kLanes - 1) / kLanes * kLanes;
    for (int64_t t = 0; t < b_.keys; t += kKeysAtOnce) store_logits(t);
    std::fill(b_.weights + b_.keys, b_.weights + padded, -std::numeric_limits<T>::infinity());
    raise_to(largest(padded));
    store_weights(padded);
    int64_t c = 0;
    for (; c + kColumnVectors * kLanes <= b_.d_v; c += kColumnVectors * kLanes) add_values<kColumnVectors>(c);
    for (; c + kLanes <= b_.d_v; c += kLanes) add_values<1>(c);
    for (; c < b_.d_v; ++c) add_value(c);
  }

 private:
  // weights[t..] = logits of the next few keys
  HWY_INLINE void store_logits(int64_t t) const {
    const D d;
    const T* row[kKeysAtOnce];
    V sum[kKeysAtOnce];
    HWY_UNROLL(4) for (int64_t r = 0; r < kKeysAtOnce; ++r) {
      row[r] = b_.k + std::min(t + r, b_.keys - 1) * b_.k_stride;
      sum[r] = hn::Zero(d);
    }
    int64_t l = 0;
    for (; l + kLanes <= b_.d; l += kLanes) {
      const V q = hn::LoadU(d, b_.q + l);
      HWY_UNROLL(4) for (int64_t r = 0; r < kKeysAtOnce; ++r) sum[r] = hn::MulAdd(q, hn::LoadU(d, row[r] + l), sum[r]);
    }
    for (int64_t r = 0; r < std::min(kKeysAtOnce, b_.keys - t); ++r) {
      T logit = hn::GetLane(hn::SumOfLanes(d, sum[r]));
      for (int64_t rest = l; rest < b_.d; ++rest) logit += b_.q[rest] * row[r][rest];
      if (b_.bias != nullptr) logit += b_.bias[-(t + r)];
      b_.weights[t + r] = logit;
    }
  }

  HWY_INLINE T largest(int64_t padded) const {
    const D d;
    V top = hn::LoadU(d, b_.weights);
    for (int64_t t = kLanes; t < padded; t += kLanes) top = hn::Max(top, hn::LoadU(d, b_.weights + t));
    return hn::GetLane(hn::MaxOfLanes(d, top));
  }

  // The lazy maximum of the group kernel.
  HWY_INLINE void raise_to(T top) const {
    if (!(top > *b_.row_max + static_cast<T>(kMaximumSlack))) return;
    const One one;
    // Before the first maximum there is nothing to rescale, and any finite factor will do; top is not -inf here.
    const T factor = hn::GetLane(exp2(one, hn::Set(one, *b_.row_max - top)));
    *b_.row_max = top;
    *b_.row_sum *= factor;
    *b_.row_sum_low *= factor;
    for (int64_t c = 0; c < b_.d_v; ++c) b_.o[c] *= factor;
  }

  HWY_INLINE void store_weights(int64_t padded) const {
    const D d;
    const One one;
    // A row that has only seen logits of -inf keeps that maximum; -inf - -inf would be NaN.
    const V max = hn::Set(d, *b_.row_max == -std::numeric_limits<T>::infinity() ? T{0} : *b_.row_max);
    V sum = hn::Zero(d);
    for (int64_t t = 0; t < padded; t += kLanes) {
      const V weight = exp2(d, hn::Sub(hn::LoadU(d, b_.weights + t), max));
      hn::StoreU(weight, d, b_.weights + t);
      sum = hn::Add(sum,
                    t + kLanes <= b_.keys ? weight : hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(b_.keys - t)), weight));
    }
    add_carrying(one, hn::Set(one, hn::GetLane(hn::SumOfLanes(d, sum))), b_.row_sum, b_.row_sum_low);
  }

  // o[c..] += weights v[:, c..], the block's sum apart from the total
  template <int Vectors>
  HWY_INLINE void add_values(int64_t c) const {
    const D d;
    V sum[Vectors];
    HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) sum[v] = hn::Zero(d);
    const T* row = b_.v + c;
    for (int64_t t = 0; t < b_.keys; ++t, row += b_.v_stride) {
      const V weight = hn::Set(d, b_.weights[t]);
      HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) sum[v] = hn::MulAdd(weight, hn::LoadU(d, row + v * kLanes), sum[v]);
    }
    HWY_UNROLL(4) for (int v = 0; v < Vectors; ++v) {
      T* o = b_.o + c + v * kLanes;
      hn::StoreU(hn::Add(hn::LoadU(d, o), sum[v]), d, o);
    }
  }

  HWY_INLINE void add_value(int64_t c) const {
    T sum = 0;
    for (int64_t t = 0; t < b_.keys; ++t) sum += b_.weights[t] * b_.v[t * b_.v_stride + c];
    b_.o[c] += sum;
  }

  const RowBlock<T>& b_;
};

template <class T>
HWY_NOINLINE void row_block(const RowBlock<T>& block) {
  RowPass<T>(block).run();
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
