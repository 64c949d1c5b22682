// The promise of the header over the whole range of logits: smooth, rising, step and spike kernels at every lag position.
#include <doctest/doctest.h>

#include "tests/core/conv_matrix.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

template <class T>
constexpr double kRange = sizeof(T) == 4 ? 80 : 600;

enum class Form { rising, falling, wave, random, step_up, step_down, spike, dip };

Kernel make_kernel(Form form, int64_t n, int64_t place, double range, uint64_t seed) {
  Kernel kernel;
  for (int64_t t = 0; t < n; ++t) {
    const double share = n > 1 ? static_cast<double>(t) / static_cast<double>(n - 1) : 0;
    switch (form) {
      case Form::rising:
        kernel.push_back(range * (2 * share - 1));
        break;
      case Form::falling:
        kernel.push_back(range * (1 - 2 * share));
        break;
      case Form::wave:
        kernel.push_back(range * std::cos(static_cast<double>(t + place) / 37));
        break;
      case Form::random:
        kernel.push_back(range * (2 * random_uniform(seed, 40, static_cast<uint64_t>(t)) - 1));
        break;
      case Form::step_up:
        kernel.push_back(t < place ? -range : range);
        break;
      case Form::step_down:
        kernel.push_back(t < place ? range : -range);
        break;
      case Form::spike:
        kernel.push_back(t == place ? range : -range);
        break;
      case Form::dip:
        kernel.push_back(t == place ? -range : range);
        break;
    }
  }
  return kernel;
}

constexpr Form kForms[] = {Form::rising,  Form::falling,   Form::wave,  Form::random,
                           Form::step_up, Form::step_down, Form::spike, Form::dip};

// Forward, strict and transposed, for values in [-1, 1], one column of them 1. largest: logit in magnitude, where a double's round-off
// of it counts beside the promise.
template <class T>
void check_promise(const ConvHead<T>& head, uint64_t seed, double largest = 0) {
  Pool pool(1);
  Execution run = execution(pool);
  const int64_t n = head.n(), columns = 3;
  ConvBasis<T> basis{1, 1, n, {}};
  Tensor<T> v = random_tensor<T>(1, 1, n, columns, seed, 7), o(1, 1, n, columns), strict = o, y = o;
  for (int64_t i = 0; i < n; ++i) v(0, 0, i, 0) = 1;
  ConvHead<T> copy(n, head.starts());
  for (int64_t r = 0; r < head.bases(); ++r) std::copy(head.kernel(r), head.kernel(r) + head.length(r), copy.kernel(r));
  basis.list.push_back(std::move(copy));
  attention::conv_forward<T>(run, basis, {}, read(v), o.view(), {});
  attention::conv_forward<T>(run, basis, {{ConvWeights::softmax, true}, true}, read(v), strict.view(), {});
  const attention::ConvEffort effort = attention::conv_transposed<T>(run, basis, {}, read(v), y.view());
  const auto expected = dense_product(basis, ConvWeights::softmax, v, false),
             expected_y = dense_product(basis, ConvWeights::softmax, v, true);
  const long double promise =
      promised<T>() + 4 * unit_roundoff<double>() * largest;  // a product with log2(e), a sum, a difference
  const long double blocks = effort.block > 0 ? static_cast<long double>((n + effort.block - 1) / effort.block) : 1;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < columns; ++c) {
      expect_within(o(0, 0, i, c), expected(0, 0, i, c), promise);
      expect_within(strict(0, 0, i, c), expected(0, 0, i, c), promise);
      // Direct products and sums over up to n rows round, too.
      expect_within(y(0, 0, i, c), expected_y(0, 0, i, c), promise * blocks + unit_roundoff<T>() * static_cast<long double>(n));
    }
  }
}

}  // namespace

TEST_CASE_TEMPLATE("one kernel of any form keeps the promise", T, float, double) {
  for (const int64_t n : {130, 700}) {
    for (const Form form : kForms) {
      const bool placed = form >= Form::step_up;
      for (int64_t place = 0; place<(placed ? n : 1); place += n> 200 ? 53 : 7) {
        CAPTURE(static_cast<int>(form));
        CAPTURE(place);
        check_promise<T>(conv_head<T>(n, {0}, {make_kernel(form, n, place, kRange<T>, 3)}), 4);
      }
    }
  }
}

TEST_CASE_TEMPLATE("many kernels of mixed forms keep the promise", T, float, double) {
  for (const int64_t n : {300, 900}) {
    for (const int64_t k : {2, 5, 16, 64}) {
      for (uint64_t trial = 0; trial < 3; ++trial) {
        std::vector<Kernel> kernels;
        for (int64_t r = 0; r < k; ++r) {
          const uint32_t pick = random_word(trial, 50, static_cast<uint64_t>(r)),
                         place = random_word(trial, 51, static_cast<uint64_t>(r));
          kernels.push_back(make_kernel(kForms[pick % 8], n, static_cast<int64_t>(place) % n, kRange<T>,
                                        trial + 60 + static_cast<uint64_t>(r)));
        }
        CAPTURE(k);
        CAPTURE(trial);
        check_promise<T>(conv_head<T>(n, random_starts(n, k, trial % 2 == 0, trial), kernels), trial);
      }
    }
  }
}

TEST_CASE("a moderate step far below a distant peak keeps the promise") {
  for (const double peak : {150.0, 300.0, 450.0, 600.0}) {
    for (const double low : {-20.0, 0.0, 50.0}) {
      Kernel kernel(1200, low);
      std::fill(kernel.begin() + 400, kernel.begin() + 450, low + 150);
      kernel.back() = peak;
      CAPTURE(peak);
      check_promise<double>(conv_head<double>(1200, {0}, {kernel}), 4);
    }
  }
}

TEST_CASE_TEMPLATE("lags that are masked by hugely negative logits keep the promise", T, float, double) {
  for (const double masked : {-1e4, -1e6, -1e9}) {
    for (const int64_t n : {90, 1000}) {
      Kernel near(static_cast<size_t>(n), 0.0), far = near;
      std::fill(near.begin(), near.begin() + 40, masked);
      std::fill(far.begin() + 60, far.end(), masked);
      check_promise<T>(conv_head<T>(n, {0}, {near}), 4, -masked);
      check_promise<T>(conv_head<T>(n, {0}, {far}), 4, -masked);
      check_promise<T>(conv_head<T>(n, {0, 30}, {near, far}), 4, -masked);
    }
  }
}

TEST_CASE_TEMPLATE("logits too large for a double to tell apart are refused", T, float, double) {
  Pool pool(1);
  Execution run = execution(pool);
  for (const double logit : {1e12, -1e30, 1e37}) {
    ConvBasis<T> basis{1, 1, 700, {}};
    basis.list.push_back(conv_head<T>(700, {0}, {Kernel(700, logit)}));
    const Tensor<T> v = random_tensor<T>(1, 1, 700, 3, 4, 7);
    Tensor<T> o(1, 1, 700, 3);
    CHECK_THROWS_AS(attention::conv_forward<T>(run, basis, {}, read(v), o.view(), {}), Error);
  }
}

TEST_CASE_TEMPLATE("moderate logits err by round-off, not by what is promised of all", T, float, double) {
  // For logits in [-1, 1] a row's sum is at least its count over e; the transform's error is log2(N) u |K| |V| per piece, and the rows
  // that are served have a sum that is large against it.
  Pool pool(2);
  Execution run = execution(pool);
  constexpr int64_t n = 1500;
  const ConvBasis<T> basis = random_basis<T>(1, 1, n, 8, 1, 9);
  const Tensor<T> v = random_tensor<T>(1, 1, n, 8, 6, 0);
  Tensor<T> o(1, 1, n, 8);
  const attention::ConvEffort effort = attention::conv_forward<T>(run, basis, {}, read(v), o.view(), {});
  CHECK(effort.block > 0);
  CHECK(effort.layers == 1);
  const auto expected = dense_product(basis, ConvWeights::softmax, v, false);
  const long double e_squared = 7.39L;
  for (int64_t i = 200; i < n; ++i) {
    const long double norms =
        std::sqrt(2.0L * static_cast<long double>(effort.block)) * std::sqrt(static_cast<long double>(effort.block));
    const long double pieces = static_cast<long double>(i / effort.block + 1 + 8);
    const long double budget = unit_roundoff<T>() * std::log2(2.0L * static_cast<long double>(effort.block)) * e_squared * norms *
                               pieces / static_cast<long double>(i);
    for (int64_t c = 0; c < 8; ++c) expect_within(o(0, 0, i, c), expected(0, 0, i, c), budget);
  }
}
