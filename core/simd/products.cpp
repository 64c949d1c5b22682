#include "core/simd/products.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/simd/products.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <type_traits>

#include "core/simd/tile-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class T, int Width>
void add_row_products(const RowProducts<T>& p) {
  const int64_t stride = Width * static_cast<int64_t>(hn::MaxLanes(hn::ScalableTag<T>()));
  multiply_add<T, Width>(p.a, p.a_row, p.a_step, p.rows, p.b, stride, p.depth, p.c, stride);
}

template <class T, int Width>
void row_products(const RowProducts<T>& p) {
  std::fill(p.c, p.c + p.rows * Width * static_cast<int64_t>(hn::MaxLanes(hn::ScalableTag<T>())), T{0});
  add_row_products<T, Width>(p);
}

using Doubles = hn::ScalableTag<double>;

HWY_INLINE hn::Vec<Doubles> load_doubles(const double* x) { return hn::LoadU(Doubles(), x); }
HWY_INLINE hn::Vec<Doubles> load_doubles(const float* x) {
  return hn::PromoteTo(Doubles(), hn::LoadU(hn::Rebind<float, Doubles>(), x));
}

template <class T, int Rows>
HWY_INLINE void some_dots(const RowDots<T>& p, int64_t first) {
  const Doubles d;
  const int64_t lanes = hn::MaxLanes(d);
  hn::Vec<Doubles> sum[Rows];
  HWY_UNROLL(4) for (int r = 0; r < Rows; ++r) sum[r] = hn::Zero(d);
  const T *const a = p.a + first * p.a_row, *const b = p.b + first * p.b_row;
  int64_t l = 0;
  for (; l + lanes <= p.depth; l += lanes) {
    HWY_UNROLL(4) for (int r = 0; r < Rows; ++r) {
      sum[r] = hn::MulAdd(load_doubles(a + r * p.a_row + l), load_doubles(b + r * p.b_row + l), sum[r]);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    double total = hn::GetLane(hn::SumOfLanes(d, sum[r]));
    for (int64_t rest = l; rest < p.depth; ++rest) {
      total += static_cast<double>(a[r * p.a_row + rest]) * static_cast<double>(b[r * p.b_row + rest]);
    }
    p.y[first + r] = total;
  }
}

template <class T>
void row_dots(const RowDots<T>& p) {
  int64_t i = 0;
  for (; i + 4 <= p.rows; i += 4) some_dots<T, 4>(p, i);
  for (; i < p.rows; ++i) some_dots<T, 1>(p, i);
}

void add_spectra_all(const double* a, const double* b, int64_t count, double* sum) {
  // As many frequencies at once as leave enough registers for the operands.
  const hn::CappedTag<double, kFrequencies> d;
  constexpr int64_t kLanes = hn::MaxLanes(d), kVectors = std::min<int64_t>(4, kFrequencies / kLanes);
  for (int64_t f = 0; f < kFrequencies; f += kVectors * kLanes) {
    hn::Vec<decltype(d)> re[kVectors], im[kVectors];
    HWY_UNROLL(4) for (int64_t v = 0; v < kVectors; ++v) {
      re[v] = hn::LoadU(d, sum + f + v * kLanes);
      im[v] = hn::LoadU(d, sum + kFrequencies + f + v * kLanes);
    }
    for (int64_t s = 0; s < count; ++s) {
      const double *const x = a + s * 2 * kFrequencies + f, *const y = b + s * 2 * kFrequencies + f;
      HWY_UNROLL(4) for (int64_t v = 0; v < kVectors; ++v) {
        const auto x_re = hn::LoadU(d, x + v * kLanes), x_im = hn::LoadU(d, x + kFrequencies + v * kLanes);
        const auto y_re = hn::LoadU(d, y + v * kLanes), y_im = hn::LoadU(d, y + kFrequencies + v * kLanes);
        re[v] = hn::MulAdd(x_im, y_im, hn::MulAdd(x_re, y_re, re[v]));
        im[v] = hn::NegMulAdd(x_re, y_im, hn::MulAdd(x_im, y_re, im[v]));
      }
    }
    HWY_UNROLL(4) for (int64_t v = 0; v < kVectors; ++v) {
      hn::StoreU(re[v], d, sum + f + v * kLanes);
      hn::StoreU(im[v], d, sum + kFrequencies + f + v * kLanes);
    }
  }
}

template <class T>
const ProductKernels<T>& product_table() {
  static constexpr ProductKernels<T> table = {
      static_cast<int64_t>(hn::MaxLanes(hn::ScalableTag<T>())),
      {row_products<T, 1>, row_products<T, 2>, row_products<T, 3>},
      {add_row_products<T, 1>, add_row_products<T, 2>, add_row_products<T, 3>},
      row_dots<T>,
  };
  return table;
}

const ProductKernels<float>& product_float() { return product_table<float>(); }
const ProductKernels<double>& product_double() { return product_table<double>(); }

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/simd/dispatch.hpp"

namespace subquad::simd {

HWY_EXPORT(product_float);
HWY_EXPORT(product_double);
HWY_EXPORT(add_spectra_all);

template <>
const ProductKernels<float>& product_kernels<float>(Target target) {
  return SUBQUAD_DISPATCH(product_float, target)();
}

template <>
const ProductKernels<double>& product_kernels<double>(Target target) {
  return SUBQUAD_DISPATCH(product_double, target)();
}

void add_spectra(Target target, const double* a, const double* b, int64_t count, double* sum) {
  SUBQUAD_DISPATCH(add_spectra_all, target)(a, b, count, sum);
}

}  // namespace subquad::simd
#endif
