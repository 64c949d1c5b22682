#include "core/simd/sketch.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/simd/sketch.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The Hadamard transform of order 8, on vectors.
template <class V>
HWY_INLINE void hadamard8(V* x) {
  HWY_UNROLL(3) for (int half = 1; half < 8; half *= 2) {
    HWY_UNROLL(8) for (int i = 0; i < 8; ++i) {
      if ((i & half) != 0) continue;
      const V sum = hn::Add(x[i], x[i + half]), difference = hn::Sub(x[i], x[i + half]);
      x[i] = sum;
      x[i + half] = difference;
    }
  }
}

// Lanes of rows from `row` on, of all 64 columns: H of order 64 is that of order 8 twice, over columns 8 apart and over neighbours.
template <class D>
HWY_INLINE void mix_rows(D d, const MixedColumns<hn::TFromD<D>>& p, int64_t row) {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  const int64_t lanes = hn::MaxLanes(d);
  HWY_ALIGN T scratch[kMixed * hn::MaxLanes(d)];
  for (int64_t c = 0; c < 8; ++c) {
    V x[8];
    HWY_UNROLL(8) for (int i = 0; i < 8; ++i) {
      const int64_t column = 8 * i + c;
      hwy::Prefetch(p.x + (kMixed + column) * p.stride + row);  // of the columns that most likely come next
      const V sign = hn::Set(d, (p.negative >> column & 1) != 0 ? T{-1} / 8 : T{1} / 8);
      x[i] = hn::Mul(hn::LoadU(d, p.x + column * p.stride + row), sign);
    }
    hadamard8(x);
    HWY_UNROLL(8) for (int i = 0; i < 8; ++i) hn::Store(x[i], d, scratch + (8 * i + c) * lanes);
  }
  int64_t bucket = p.first_bucket;
  for (int64_t i = 0; i < 8; ++i) {
    V x[8];
    HWY_UNROLL(8) for (int c = 0; c < 8; ++c) x[c] = hn::Load(d, scratch + (8 * i + c) * lanes);
    hadamard8(x);
    HWY_UNROLL(8) for (int c = 0; c < 8; ++c) {
      T* const place = p.sketch + bucket * p.rows + row;
      hwy::Prefetch(place + lanes);  // of the rows that come next: the processor does not foresee 64 places at once
      const V sign = hn::Set(d, (p.negative_results >> (8 * i + c) & 1) != 0 ? T{-1} : T{1});
      hn::StoreU(hn::MulAdd(sign, x[c], hn::LoadU(d, place)), d, place);
      bucket += p.step;
      bucket = bucket >= p.buckets ? bucket - p.buckets : bucket;
    }
  }
}

template <class D>
HWY_INLINE hn::Vec<D> load_doubles(D d, const double* x) {
  return hn::LoadU(d, x);
}
template <class D>
HWY_INLINE hn::Vec<D> load_doubles(D d, const float* x) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), x));
}

// In double precision: the squares of floats may not be floats.
template <class D, class T>
HWY_INLINE void add_squares(D d, const MixedColumns<T>& p, int64_t row) {
  hn::Vec<D> even = hn::LoadU(d, p.squares + row), odd = hn::Zero(d);
  for (int64_t c = 0; c < kMixed; c += 2) {
    const auto first = load_doubles(d, p.x + c * p.stride + row), second = load_doubles(d, p.x + (c + 1) * p.stride + row);
    even = hn::MulAdd(first, first, even);
    odd = hn::MulAdd(second, second, odd);
  }
  hn::StoreU(hn::Add(even, odd), d, p.squares + row);
}

template <class T>
void mix(const MixedColumns<T>& p) {
  const hn::ScalableTag<T> d;
  const hn::ScalableTag<double> doubles;
  const int64_t lanes = hn::MaxLanes(d), double_lanes = hn::MaxLanes(doubles);
  int64_t row = 0;
  for (; row + lanes <= p.rows; row += lanes) {
    for (int64_t part = 0; part < lanes; part += double_lanes) add_squares(doubles, p, row + part);
    mix_rows(d, p, row);
  }
  for (; row < p.rows; ++row) {
    add_squares(hn::CappedTag<double, 1>(), p, row);
    mix_rows(hn::CappedTag<T, 1>(), p, row);
  }
}

#if HWY_TARGET != HWY_SCALAR
// Squares of four entries a side, or two, turned over in registers.
HWY_INLINE void turn_square(const float* x, int64_t x_stride, float* out, int64_t out_stride) {
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> wide;
  const auto a = hn::LoadU(d, x), b = hn::LoadU(d, x + x_stride), c = hn::LoadU(d, x + 2 * x_stride),
             e = hn::LoadU(d, x + 3 * x_stride);
  const auto ab_low = hn::BitCast(wide, hn::InterleaveLower(d, a, b)), ab_high = hn::BitCast(wide, hn::InterleaveUpper(d, a, b)),
             ce_low = hn::BitCast(wide, hn::InterleaveLower(d, c, e)), ce_high = hn::BitCast(wide, hn::InterleaveUpper(d, c, e));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, ab_low, ce_low)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, ab_low, ce_low)), d, out + out_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(wide, ab_high, ce_high)), d, out + 2 * out_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(wide, ab_high, ce_high)), d, out + 3 * out_stride);
}
HWY_INLINE void turn_square(const double* x, int64_t x_stride, double* out, int64_t out_stride) {
  const hn::FixedTag<double, 2> d;
  const auto a = hn::LoadU(d, x), b = hn::LoadU(d, x + x_stride);
  hn::StoreU(hn::InterleaveLower(d, a, b), d, out);
  hn::StoreU(hn::InterleaveUpper(d, a, b), d, out + out_stride);
}
#endif

template <class T>
void copy_strided(const CopiedColumns<T>& p, int64_t first_row, int64_t last_row, int64_t first_column, int64_t last_column) {
  for (int64_t c = first_column; c < last_column; ++c) {
    const T* const from = p.x + c * p.column_stride;
    for (int64_t r = first_row; r < last_row; ++r) p.out[c * p.out_stride + r] = from[r * p.row_stride];
  }
}

template <class T>
void copy_columns(const CopiedColumns<T>& p) {
#if HWY_TARGET == HWY_SCALAR
  copy_strided(p, 0, p.rows, 0, p.columns);
#else
  if (p.column_stride != 1) return copy_strided(p, 0, p.rows, 0, p.columns);
  constexpr int64_t kSquare = 16 / static_cast<int64_t>(sizeof(T)), kColumns = 16;
  const int64_t rows = p.rows / kSquare * kSquare, columns = p.columns / kSquare * kSquare;
  for (int64_t c = 0; c < columns; c += kColumns) {
    const int64_t last = std::min(c + kColumns, columns);
    for (int64_t r = 0; r < rows; r += kSquare) {
      // Of the columns that most likely come next, on the same pages: so many rows are beyond what the processor foresees.
      for (int64_t i = 0; i < kSquare; ++i) hwy::Prefetch(p.x + (r + i) * p.row_stride + p.columns + c);
      for (int64_t square = c; square < last; square += kSquare) {
        turn_square(p.x + r * p.row_stride + square, p.row_stride, p.out + square * p.out_stride + r, p.out_stride);
      }
    }
  }
  copy_strided(p, rows, p.rows, 0, columns);
  copy_strided(p, 0, p.rows, columns, p.columns);
#endif
}

template <class T, int Width>
void sparse_projections(const SparseProjections<T>& p) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int64_t kLanes = hn::MaxLanes(d), kStride = Width * kLanes;
  const T* const z = p.z - p.base * kStride;
  for (int64_t c = 0; c < p.count; ++c) {
    V even[Width], odd[Width];  // two chains: one would wait for itself
    HWY_UNROLL(3) for (int v = 0; v < Width; ++v) even[v] = odd[v] = hn::Zero(d);
    int64_t e = p.offsets[c];
    const int64_t last = p.offsets[c + 1];
    for (; e + 2 <= last; e += 2) {
      const T *const first_row = z + p.rows[e] * kStride, *const second_row = z + p.rows[e + 1] * kStride;
      const V first = hn::Set(d, p.values[e]), second = hn::Set(d, p.values[e + 1]);
      HWY_UNROLL(3) for (int v = 0; v < Width; ++v) {
        even[v] = hn::MulAdd(first, hn::LoadU(d, first_row + v * kLanes), even[v]);
        odd[v] = hn::MulAdd(second, hn::LoadU(d, second_row + v * kLanes), odd[v]);
      }
    }
    if (e < last) {
      const T* const row = z + p.rows[e] * kStride;
      HWY_UNROLL(3) for (int v = 0; v < Width; ++v) {
        even[v] = hn::MulAdd(hn::Set(d, p.values[e]), hn::LoadU(d, row + v * kLanes), even[v]);
      }
    }
    V squares = hn::Zero(d);
    HWY_UNROLL(3) for (int v = 0; v < Width; ++v) {
      const V sum = hn::Add(even[v], odd[v]);
      squares = hn::MulAdd(sum, sum, squares);
    }
    p.norms[c] += static_cast<double>(hn::GetLane(hn::SumOfLanes(d, squares)));
  }
}

template <class T>
const SketchKernels<T>& sketch_table() {
  static constexpr SketchKernels<T> table = {static_cast<int64_t>(hn::MaxLanes(hn::ScalableTag<T>())),
                                             mix<T>,
                                             {sparse_projections<T, 1>, sparse_projections<T, 2>, sparse_projections<T, 3>},
                                             copy_columns<T>};
  return table;
}

const SketchKernels<float>& sketch_float() { return sketch_table<float>(); }
const SketchKernels<double>& sketch_double() { return sketch_table<double>(); }

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/simd/dispatch.hpp"

namespace subquad::simd {

HWY_EXPORT(sketch_float);
HWY_EXPORT(sketch_double);

template <>
const SketchKernels<float>& sketch_kernels<float>(Target target) {
  return SUBQUAD_DISPATCH(sketch_float, target)();
}

template <>
const SketchKernels<double>& sketch_kernels<double>(Target target) {
  return SUBQUAD_DISPATCH(sketch_double, target)();
}

}  // namespace subquad::simd
#endif
