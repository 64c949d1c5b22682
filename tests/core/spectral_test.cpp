// Transforms across columns and products of spectra, on every SIMD target, against sums written out.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "core/base/aligned.hpp"
#include "core/simd/spectral_kernels.hpp"
#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

template <class R>
struct Signals {
  const simd::SpectralKernels<R>& kernels;
  int64_t length;
  Aligned<R> rows, twiddles;

  Signals(simd::Target target, int64_t n)
      : kernels(simd::spectral_kernels<R>(target)), length(n), rows(n * 2 * kernels.lanes), twiddles(simd::twiddle_count(n) + 1) {
    simd::fill_twiddles<R>(n, twiddles.get());
  }

  R& at(int64_t row, int64_t column) { return rows.get()[row * 2 * kernels.lanes + column]; }
  void fill(uint64_t seed, int64_t used_rows) {
    for (int64_t j = 0; j < length; ++j) {
      for (int64_t c = 0; c < 2 * kernels.lanes; ++c)
        at(j, c) = j < used_rows
                       ? static_cast<R>(2 * random_uniform(seed, static_cast<uint64_t>(c), static_cast<uint64_t>(j)) - 1)
                       : R{0};
    }
  }
};

const std::vector<int64_t> kLengths = {16, 32, 64, 128, 256, 512, 1024, 4096};

// Of an entry of a transform, forth and back, of signals in [-1, 1]: log2(length) passes on values whose norm is sqrt(length).
template <class R>
long double round_trip_budget(int64_t length) {
  return 4 * unit_roundoff<R>() * std::log2(static_cast<long double>(length)) * std::sqrt(2.0L);
}

}  // namespace

TEST_CASE_TEMPLATE("a transform and its inverse give the signal back", R, float, double) {
  for (const simd::Target target : simd::targets()) {
    for (const int64_t n : kLengths) {
      Signals<R> s(target, n), expected(target, n);
      s.fill(1, n / 2);
      expected.fill(1, n / 2);
      s.kernels.transform_half(s.rows.get(), n, s.twiddles.get());
      s.kernels.inverse_half(s.rows.get(), n, s.twiddles.get());
      for (int64_t j = 0; j < n / 2; ++j) {
        for (int64_t c = 0; c < 2 * s.kernels.lanes; ++c)
          expect_within(s.at(j, c) / static_cast<R>(n), expected.at(j, c), round_trip_budget<R>(n));
      }
    }
  }
}

TEST_CASE_TEMPLATE("a transform holds every frequency of the discrete Fourier transform once", R, float, double) {
  constexpr long double kTwoPi = 6.283185307179586476925286766559L;
  for (const simd::Target target : simd::targets()) {
    for (const int64_t n : {16, 32, 64, 128}) {
      // The j-th unit vector has exp(-2 pi i j f / n) at frequency f: with j = 1 each frequency says which it is.
      Signals<R> s(target, n), unit(target, n);
      unit.fill(1, 0);
      unit.at(1, 0) = 1;
      unit.kernels.transform(unit.rows.get(), n, unit.twiddles.get());
      s.fill(2, n);
      std::vector<long double> re, im;
      for (int64_t j = 0; j < n; ++j) {
        re.push_back(s.at(j, 0));
        im.push_back(s.at(j, s.kernels.lanes));
      }
      s.kernels.transform(s.rows.get(), n, s.twiddles.get());
      std::vector<int> seen(static_cast<size_t>(n));
      for (int64_t place = 0; place < n; ++place) {
        const long double angle = -std::atan2(static_cast<long double>(unit.at(place, unit.kernels.lanes)),
                                              static_cast<long double>(unit.at(place, 0)));
        const auto f = static_cast<int64_t>(std::llround(angle / kTwoPi * static_cast<long double>(n)) + n) % n;
        ++seen[static_cast<size_t>(f)];
        long double sum_re = 0, sum_im = 0;
        for (int64_t j = 0; j < n; ++j) {
          const long double turn = kTwoPi * static_cast<long double>(j * f % n) / static_cast<long double>(n);
          sum_re += re[static_cast<size_t>(j)] * std::cos(turn) + im[static_cast<size_t>(j)] * std::sin(turn);
          sum_im += im[static_cast<size_t>(j)] * std::cos(turn) - re[static_cast<size_t>(j)] * std::sin(turn);
        }
        const long double budget = round_trip_budget<R>(n) * std::sqrt(static_cast<long double>(n));
        expect_within(s.at(place, 0), sum_re, budget);
        expect_within(s.at(place, s.kernels.lanes), sum_im, budget);
      }
      for (const int count : seen) CHECK(count == 1);
    }
  }
}

TEST_CASE_TEMPLATE("products of spectra sum over their inputs", R, float, double) {
  constexpr int64_t kLength = 16, kInputs = 5;
  for (const simd::Target target : simd::targets()) {
    const auto& kernels = simd::spectral_kernels<R>(target);
    const int64_t row = 2 * kernels.lanes, stride = kLength * row;
    Aligned<R> inputs(kInputs * stride), windows(stride), outputs(kernels.tile * stride);
    for (int64_t e = 0; e < kInputs * stride; ++e)
      inputs.get()[e] = static_cast<R>(2 * random_uniform(3, 0, static_cast<uint64_t>(e)) - 1);
    for (int64_t e = 0; e < stride; ++e)
      windows.get()[e] = static_cast<R>(2 * random_uniform(3, 1, static_cast<uint64_t>(e)) - 1);
    std::vector<int64_t> offsets;
    for (int64_t p = 0; p < kInputs; ++p) {
      for (int64_t o = 0; o < kernels.tile; ++o) offsets.push_back((p + 3 * o) % kernels.lanes);
    }
    for (const bool conjugate : {false, true}) {
      const simd::SpectralProduct<R> product{inputs.get(),   stride,        1,      kInputs, windows.get(),
                                             offsets.data(), outputs.get(), stride, 2,       kLength};
      (conjugate ? kernels.product_conjugate : kernels.product)(product);
      for (int64_t o = 0; o < kernels.tile; ++o) {
        for (int64_t f = 2; f < kLength; ++f) {
          for (int64_t c = 0; c < kernels.lanes; ++c) {
            long double re = 0, im = 0;
            for (int64_t p = 1; p < kInputs; ++p) {
              const R *x = inputs.get() + p * stride + f * row + c,
                      *w = windows.get() + f * row + offsets[static_cast<size_t>(p * kernels.tile + o)];
              const long double wr = w[0], wi = conjugate ? -w[kernels.lanes] : w[kernels.lanes], xr = x[0],
                                xi = x[kernels.lanes];
              re += wr * xr - wi * xi;
              im += wr * xi + wi * xr;
            }
            const R* y = outputs.get() + o * stride + f * row + c;
            const long double budget = unit_roundoff<R>() * 2 * kInputs * (2 * kInputs);  // terms of at most 1, two per input
            expect_within(y[0], re, budget);
            expect_within(y[kernels.lanes], im, budget);
          }
        }
      }
    }
  }
}
