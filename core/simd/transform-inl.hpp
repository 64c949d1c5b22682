// Radix-4 transforms in place: decimation in frequency forward, in time backward, so that neither reorders. Depth first: a quarter
// that fits a cache is finished before the next.
// Included once per SIMD target, by core/simd/spectral.cpp.
#if defined(SUBQUAD_TRANSFORM_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef SUBQUAD_TRANSFORM_INL
#undef SUBQUAD_TRANSFORM_INL
#else
#define SUBQUAD_TRANSFORM_INL
#endif

#include <cstdint>

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace subquad::simd::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <class R>
struct Complex {
  using D = hn::ScalableTag<R>;
  using V = hn::Vec<D>;
  V re, im;

  static constexpr int64_t kRow = 2 * hn::MaxLanes(D());
  static HWY_INLINE Complex load(const R* row) { return {hn::Load(D(), row), hn::Load(D(), row + kRow / 2)}; }
  HWY_INLINE void store(R* row) const {
    hn::Store(re, D(), row);
    hn::Store(im, D(), row + kRow / 2);
  }
  HWY_INLINE Complex operator+(const Complex& o) const { return {hn::Add(re, o.re), hn::Add(im, o.im)}; }
  HWY_INLINE Complex operator-(const Complex& o) const { return {hn::Sub(re, o.re), hn::Sub(im, o.im)}; }
  // this + i o and this - i o
  HWY_INLINE Complex plus_i(const Complex& o) const { return {hn::Sub(re, o.im), hn::Add(im, o.re)}; }
  HWY_INLINE Complex minus_i(const Complex& o) const { return {hn::Add(re, o.im), hn::Sub(im, o.re)}; }
  HWY_INLINE Complex times(const R* w) const {  // w = (re, im)
    const V wr = hn::Set(D(), w[0]), wi = hn::Set(D(), w[1]);
    return {hn::NegMulAdd(im, wi, hn::Mul(re, wr)), hn::MulAdd(im, wr, hn::Mul(re, wi))};
  }
  HWY_INLINE Complex times_conjugate(const R* w) const {
    const V wr = hn::Set(D(), w[0]), wi = hn::Set(D(), w[1]);
    return {hn::MulAdd(im, wi, hn::Mul(re, wr)), hn::NegMulAdd(re, wi, hn::Mul(im, wr))};
  }
};

template <class R>
HWY_INLINE void butterfly(Complex<R> x0, Complex<R> x1, Complex<R> x2, Complex<R> x3, Complex<R> (&y)[4]) {
  const auto s0 = x0 + x2, s1 = x0 - x2, s2 = x1 + x3, s3 = x1 - x3;
  y[0] = s0 + s2;
  y[1] = s1.minus_i(s3);
  y[2] = s0 - s2;
  y[3] = s1.plus_i(s3);
}

template <class R>
HWY_INLINE void inverse_butterfly(Complex<R> x0, Complex<R> x1, Complex<R> x2, Complex<R> x3, Complex<R> (&y)[4]) {
  const auto s0 = x0 + x2, s1 = x0 - x2, s2 = x1 + x3, s3 = x1 - x3;
  y[0] = s0 + s2;
  y[1] = s1.plus_i(s3);
  y[2] = s0 - s2;
  y[3] = s1.minus_i(s3);
}

inline constexpr double kHalfRoot = 0.70710678118654752440;

// Lengths 4 and 8.
template <class R>
HWY_INLINE void transform_4(Complex<R> x0, Complex<R> x1, Complex<R> x2, Complex<R> x3, R* rows) {
  constexpr int64_t kRow = Complex<R>::kRow;
  Complex<R> y[4];
  butterfly(x0, x1, x2, x3, y);
  for (int q = 0; q < 4; ++q) y[q].store(rows + q * kRow);
}

template <class R>
HWY_INLINE void transform_8(R* rows) {
  using C = Complex<R>;
  constexpr int64_t kRow = C::kRow;
  constexpr R kH = static_cast<R>(kHalfRoot);
  const R w1[] = {kH, -kH}, w3[] = {-kH, -kH};
  C low[4], high[4];
  HWY_UNROLL(4) for (int j = 0; j < 4; ++j) {
    const C a = C::load(rows + j * kRow), b = C::load(rows + (j + 4) * kRow);
    low[j] = a + b;
    high[j] = a - b;
  }
  transform_4(low[0], low[1], low[2], low[3], rows);
  const C turned{high[2].im, hn::Neg(high[2].re)};
  transform_4(high[0], high[1].times(w1), turned, high[3].times(w3), rows + 4 * kRow);
}

template <class R>
HWY_INLINE void inverse_8(R* rows) {
  using C = Complex<R>;
  constexpr int64_t kRow = C::kRow;
  constexpr R kH = static_cast<R>(kHalfRoot);
  const R w1[] = {kH, -kH}, w3[] = {-kH, -kH};
  C low[4], high[4];
  inverse_butterfly(C::load(rows), C::load(rows + kRow), C::load(rows + 2 * kRow), C::load(rows + 3 * kRow), low);
  inverse_butterfly(C::load(rows + 4 * kRow), C::load(rows + 5 * kRow), C::load(rows + 6 * kRow), C::load(rows + 7 * kRow), high);
  high[1] = high[1].times_conjugate(w1);
  high[2] = C{hn::Neg(high[2].im), high[2].re};
  high[3] = high[3].times_conjugate(w3);
  HWY_UNROLL(4) for (int j = 0; j < 4; ++j) {
    (low[j] + high[j]).store(rows + j * kRow);
    (low[j] - high[j]).store(rows + (j + 4) * kRow);
  }
}

// One pass of radix 4. kHalf: the second half of the rows is zero.
template <class R, bool kHalf>
HWY_INLINE void transform_pass(R* rows, int64_t quarter, const R* w) {
  using C = Complex<R>;
  constexpr int64_t kRow = C::kRow;
  R *p0 = rows, *p1 = rows + quarter * kRow, *p2 = p1 + quarter * kRow, *p3 = p2 + quarter * kRow;
  for (int64_t j = 0; j < quarter; ++j, p0 += kRow, p1 += kRow, p2 += kRow, p3 += kRow, w += 6) {
    C y[4];
    const C x0 = C::load(p0), x1 = C::load(p1);
    if constexpr (kHalf) {
      y[0] = x0 + x1;
      y[1] = x0.minus_i(x1);
      y[2] = x0 - x1;
      y[3] = x0.plus_i(x1);
    } else {
      butterfly(x0, x1, C::load(p2), C::load(p3), y);
    }
    y[0].store(p0);
    y[1].times(w).store(p1);
    y[2].times(w + 2).store(p2);
    y[3].times(w + 4).store(p3);
  }
}

template <class R, bool kHalf>
HWY_INLINE void inverse_pass(R* rows, int64_t quarter, const R* w) {
  using C = Complex<R>;
  constexpr int64_t kRow = C::kRow;
  R *p0 = rows, *p1 = rows + quarter * kRow, *p2 = p1 + quarter * kRow, *p3 = p2 + quarter * kRow;
  for (int64_t j = 0; j < quarter; ++j, p0 += kRow, p1 += kRow, p2 += kRow, p3 += kRow, w += 6) {
    C y[4];
    inverse_butterfly(C::load(p0), C::load(p1).times_conjugate(w), C::load(p2).times_conjugate(w + 2),
                      C::load(p3).times_conjugate(w + 4), y);
    y[0].store(p0);
    y[1].store(p1);
    if constexpr (!kHalf) {
      y[2].store(p2);
      y[3].store(p3);
    }
  }
}

template <class R>
HWY_NOINLINE void transform(R* rows, int64_t length, const R* twiddles) {
  constexpr int64_t kRow = Complex<R>::kRow;
  if (length == 8) return transform_8(rows);
  if (length == 4) {
    using C = Complex<R>;
    return transform_4(C::load(rows), C::load(rows + kRow), C::load(rows + 2 * kRow), C::load(rows + 3 * kRow), rows);
  }
  const int64_t quarter = length / 4;
  transform_pass<R, false>(rows, quarter, twiddles);
  for (int q = 0; q < 4; ++q) transform(rows + q * quarter * kRow, quarter, twiddles + 6 * quarter);
}

template <class R>
HWY_NOINLINE void transform_half(R* rows, int64_t length, const R* twiddles) {
  constexpr int64_t kRow = Complex<R>::kRow;
  const int64_t quarter = length / 4;
  transform_pass<R, true>(rows, quarter, twiddles);
  for (int q = 0; q < 4; ++q) transform(rows + q * quarter * kRow, quarter, twiddles + 6 * quarter);
}

template <class R>
HWY_NOINLINE void inverse(R* rows, int64_t length, const R* twiddles) {
  using C = Complex<R>;
  constexpr int64_t kRow = C::kRow;
  if (length == 8) return inverse_8(rows);
  if (length == 4) {
    C y[4];
    inverse_butterfly(C::load(rows), C::load(rows + kRow), C::load(rows + 2 * kRow), C::load(rows + 3 * kRow), y);
    for (int q = 0; q < 4; ++q) y[q].store(rows + q * kRow);
    return;
  }
  const int64_t quarter = length / 4;
  for (int q = 0; q < 4; ++q) inverse(rows + q * quarter * kRow, quarter, twiddles + 6 * quarter);
  inverse_pass<R, false>(rows, quarter, twiddles);
}

template <class R>
HWY_NOINLINE void inverse_half(R* rows, int64_t length, const R* twiddles) {
  constexpr int64_t kRow = Complex<R>::kRow;
  const int64_t quarter = length / 4;
  for (int q = 0; q < 4; ++q) inverse(rows + q * quarter * kRow, quarter, twiddles + 6 * quarter);
  inverse_pass<R, true>(rows, quarter, twiddles);
}

}  // namespace subquad::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
