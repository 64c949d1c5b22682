// Plans of transforms against the definition, their cache and lock, and wisdom.
#include <doctest/doctest.h>
#include <fftw3.h>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include "core/base/error.hpp"
#include "core/fft/plan_cache.hpp"
#include "core/fft/wisdom.hpp"
#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

// Rows of a transform with their spectra, reals random.
template <class T>
struct Signal {
  fft::Rows rows;
  Aligned<T> reals;
  Aligned<std::complex<T>> spectrum;
  std::vector<T> original;

  Signal(int64_t length, int64_t count, uint64_t seed)
      : rows(fft::aligned_rows<T>(length, count)),
        reals(count * rows.real_distance),
        spectrum(count * rows.spectrum_distance),
        original(static_cast<size_t>(count * rows.real_distance)) {
    for (size_t i = 0; i < original.size(); ++i) original[i] = static_cast<T>(2 * random_uniform(seed, 0, i) - 1);
    std::copy(original.begin(), original.end(), reals.get());
  }

  T real(int64_t row, int64_t x) const { return original[static_cast<size_t>(row * rows.real_distance + x)]; }

  // A transform adds no more terms than the definition, each of them a product of a rounded factor.
  long double budget(int64_t row) const {
    long double size = 0;
    for (int64_t x = 0; x < rows.length; ++x) size += std::fabs(static_cast<long double>(real(row, x)));
    return unit_roundoff<T>() * static_cast<long double>(rows.length + 4) * size;
  }
};

std::complex<long double> turn(int64_t steps, int64_t length) {
  const long double angle = -2 * std::acos(-1.0L) * static_cast<long double>(steps % length) / static_cast<long double>(length);
  return {std::cos(angle), std::sin(angle)};
}

// The entries of FFTW's wisdom have no order.
std::vector<std::string> exported_lines() {
  std::istringstream text(fft::export_wisdom());
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

// Makes FFTW measure, and so learn.
void learn(int length) {
  double* const x = fftw_alloc_real(static_cast<size_t>(length));
  fftw_destroy_plan(fftw_plan_r2r_1d(length, x, x, FFTW_R2HC, FFTW_MEASURE));
  fftw_free(x);
}

}  // namespace

TEST_CASE_TEMPLATE("transforms match their definition at every kind of length", T, float, double) {
  fft::PlanCache plans;
  for (const int64_t length : {1, 2, 3, 4, 5, 7, 16, 17, 31, 32, 60, 64, 97, 127, 128, 251, 256}) {
    for (const int64_t count : {1, 3}) {
      const Signal<T> s(length, count, 1);
      plans.forward<T>(s.rows).execute(s.reals.get(), s.spectrum.get());
      for (int64_t row = 0; row < count; ++row) {
        for (int64_t f = 0; f <= length / 2; ++f) {
          std::complex<long double> sum = 0;
          for (int64_t x = 0; x < length; ++x) sum += static_cast<long double>(s.real(row, x)) * turn(f * x, length);
          const std::complex<T> found = s.spectrum.get()[row * s.rows.spectrum_distance + f];
          expect_within(found.real(), sum.real(), s.budget(row));
          expect_within(found.imag(), sum.imag(), s.budget(row));
        }
      }
      plans.inverse<T>(s.rows).execute(s.spectrum.get(), s.reals.get());
      for (int64_t row = 0; row < count; ++row) {
        for (int64_t x = 0; x < length; ++x) {
          // Each of the spectrum's entries errs by a budget, and there are `length` of them; then the inverse's own error.
          const long double n = static_cast<long double>(length);
          expect_within(s.reals.get()[row * s.rows.real_distance + x], n * s.real(row, x), 2 * n * s.budget(row));
        }
      }
    }
  }
}

TEST_CASE("a cache makes one plan per shape and direction") {
  fft::PlanCache plans;
  const auto rows = fft::aligned_rows<double>(100);
  const auto& plan = plans.forward<double>(rows);
  CHECK(&plans.forward<double>(rows) == &plan);
  CHECK(&plans.forward<double>(fft::aligned_rows<double>(100, 2)) != &plan);
  CHECK(&plans.forward<double>(fft::aligned_rows<double>(101)) != &plan);
  CHECK(&plans.forward<double>(rows) == &plan);
}

TEST_CASE("a transform too long for FFTW is an error") {
  fft::PlanCache plans;
  CHECK_THROWS_AS(plans.forward<float>(fft::aligned_rows<float>(int64_t{1} << 32)), Error);
}

TEST_CASE("plans may be made, used and destroyed on many threads at once, of one cache and of several") {
  Pool pool(4);
  fft::PlanCache shared;
  Ticker ticker({});
  Monitor monitor(ticker, 0);
  const Signal<float> reference(48, 1, 5);
  fft::PlanCache().forward<float>(reference.rows).execute(reference.reals.get(), reference.spectrum.get());
  std::vector<int> same(64);
  pool.run(static_cast<int64_t>(same.size()), monitor, [&](int64_t task, int64_t) {
    fft::PlanCache own;
    const Signal<float> s(48, 1, 5);
    (task % 2 == 0 ? own : shared).forward<float>(s.rows).execute(s.reals.get(), s.spectrum.get());
    own.inverse<double>(fft::aligned_rows<double>(16 + task));
    shared.inverse<double>(fft::aligned_rows<double>(16 + task % 5));
    same[static_cast<size_t>(task)] = std::equal(s.spectrum.get(), s.spectrum.get() + 25, reference.spectrum.get());
  });
  for (const int one : same) CHECK(one == 1);
}

TEST_CASE("wisdom that was exported can be imported, and is then exported again") {
  learn(96);
  const std::string text = fft::export_wisdom();
  const auto lines = exported_lines();
  fftw_forget_wisdom();
  CHECK(exported_lines() != lines);
  for (int times = 0; times < 2; ++times) {
    fft::import_wisdom(text);
    CHECK(exported_lines() == lines);
  }
  fftw_forget_wisdom();
}

TEST_CASE("a text that is not wisdom is an error and changes nothing") {
  learn(40);
  const std::string good = fft::export_wisdom();
  const auto lines = exported_lines();
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::string texts[] = {"",
                               "wisdom",
                               good.substr(0, 20),
                               good.substr(0, good.size() / 2),
                               good.substr(0, good.size() - 4),
                               replaced("float64", "float16"),
                               replaced("float32", "float64"),
                               replaced("fftw_wisdom", "fftw_witsend"),
                               replaced("fftwf_wisdom", "fftw_wisdom"),
                               replaced("wisdom 1", "wisdom 2"),
                               std::string(1 << 16, '(')};
  for (const std::string& text : texts) {
    CAPTURE(text.substr(0, 100));
    bool refused = false;
    try {
      fft::import_wisdom(text);
    } catch (const Error& error) {
      refused = error.status() == Status::err_value;
    }
    CHECK(refused);
    CHECK(exported_lines() == lines);
  }
  fftw_forget_wisdom();
}
