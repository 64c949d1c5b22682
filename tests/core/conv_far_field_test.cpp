// Products with far fields against their definition, whatever rows, keys and lags vary over.
#include <doctest/doctest.h>

#include <numeric>

#include "tests/core/far_field_case.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

// Both products and single rows, for values in [-1, 1].
template <class T>
void check_products(const ConvFarField<T>& far, uint64_t seed) {
  const int64_t n = far.n(), columns = 3;
  const Tensor<T> v = random_tensor<T>(1, 1, n, columns, seed, 7);
  const Dense<T> dense(far);
  const Tensor<T> o = apply(far, v);
  std::vector<int64_t> rows(static_cast<size_t>(n));
  std::iota(rows.rbegin(), rows.rend(), 0);
  Tensor<T> single(1, 1, n, columns);
  with_team(
      [&](Execution& run, const Team& team) { attention::far_field_rows<T>(run, team, far, matrix(v), rows, matrix(single)); });
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    expect_within(far.lse[at], dense.lse[at], attention::kMassTolerance + 16 * unit_roundoff<double>() * dense.logits);
    const long double transform =
        dense.sees(i) ? std::min<long double>(attention::kFarTolerance<T>, dense.transform_error(i)) : 0;
    for (int64_t c = 0; c < columns; ++c) {
      const long double expected = dense.o(v, i, c);
      expect_within(o(0, 0, i, c), expected, transform + dense.round_off());
      expect_within(single(0, 0, n - 1 - i, c), expected, dense.round_off());
    }
  }
  // The rows' whole sums are a little more than the far field's.
  std::vector<T> lse;
  std::vector<long double> share;
  for (int64_t i = 0; i < n; ++i) {
    lse.push_back(dense.sees(i) ? static_cast<T>(dense.lse[static_cast<size_t>(i)] + 0.5L) : T{0});
    share.push_back(dense.sees(i) ? std::exp(dense.lse[static_cast<size_t>(i)] - lse.back()) : 0);
  }
  const Tensor<T> dv = transposed(far, lse, v);
  const long double lse_error = unit_roundoff<T>() * (dense.logits + std::log(static_cast<long double>(n) + 1) + 1);
  long double squares = 0;  // of what a transform's rows are multiplied by
  for (int64_t i = far.window; i < n; ++i) {
    if (dense.sees(i))
      squares += std::exp(2 * (far.row[static_cast<size_t>(i)] - static_cast<long double>(lse[static_cast<size_t>(i)])));
  }
  for (int64_t j = 0; j < n; ++j) {
    const long double key = far.key[static_cast<size_t>(j)],
                      transform = dense.transform_roundoff() * std::exp(dense.kernel_norm + key) * std::sqrt(squares);
    long double weights = 0;
    std::vector<long double> expected(static_cast<size_t>(columns), 1);
    for (int64_t i = j + far.window; i < n; ++i) {
      if (!dense.sees(i)) continue;
      const long double weight = dense.weights[static_cast<size_t>(i)][static_cast<size_t>(j)] * share[static_cast<size_t>(i)];
      weights += weight;
      for (int64_t c = 0; c < columns; ++c) expected[static_cast<size_t>(c)] += weight * v(0, 0, i, c);
    }
    for (int64_t c = 0; c < columns; ++c)
      expect_within(dv(0, 0, j, c), expected[static_cast<size_t>(c)],
                    transform + (weights + 1) * (dense.round_off() + lse_error + query_sum_error<T>(n)));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("products of far fields match their definition, whatever keys and lags vary over", T, float, double) {
  const double range = sizeof(T) == 4 ? 25 : 100;
  for (const int64_t n : {61, 700}) {
    for (const Form keys : kForms) {
      for (const Form lags : kForms) {
        CAPTURE(n);
        CAPTURE(static_cast<int>(keys));
        CAPTURE(static_cast<int>(lags));
        check_products<T>(make_far<T>(n, 16, some_keys(n, 4), keys, lags, range), 3);
      }
    }
  }
}

TEST_CASE_TEMPLATE("any length, window and set of keys that are left out", T, float, double) {
  for (const int64_t n : {1, 2, 5, 63, 64, 65, 131, 257}) {
    for (const int64_t window : {int64_t{1}, int64_t{7}, n - 1, n, n + 5}) {
      for (int64_t kind = 0; kind < 5 && window > 0; ++kind) {
        CAPTURE(n);
        CAPTURE(window);
        CAPTURE(kind);
        check_products<T>(make_far<T>(n, window, some_keys(n, kind), Form::random, Form::level, 4), 5);
      }
    }
  }
}

TEST_CASE_TEMPLATE("no far pairs: nothing to fit, results of zeros", T, float, double) {
  for (const int64_t n : {0, 1, 9, 40}) {
    for (const int64_t window : {n + 1, n + 7, int64_t{3}}) {
      const auto q = random_tensor<T>(1, 1, n, 4, 8, 0);
      const ConvFarField<T> far = fit(q, q, 1, window, window == 3 ? some_keys(n, 3) : std::vector<int64_t>{}, {});
      for (const double lse : far.lse) CHECK(lse == kNothing);
      for (const T x : apply(far, q).data) CHECK(x == 0);
      for (const T x : transposed(far, std::vector<T>(static_cast<size_t>(n)), q).data) CHECK(x == 1);
    }
  }
}

TEST_CASE_TEMPLATE("the same bits for any number of threads; any strides; targets agree", T, float, double) {
  const int64_t n = 1500, window = 64, d = 20;
  const auto q = random_tensor<T>(1, 1, n, d, 9, 0), k = random_tensor<T>(1, 1, n, d, 9, 1),
             v = random_tensor<T>(1, 1, n, d, 9, 2);
  const std::vector<int64_t> heavy = some_keys(n, 2), rows{100, 900, 1200, 1499};
  const ConvFarField<T> one = fit(q, k, 2, window, heavy, rows);
  const Tensor<T> o = apply(one, v);
  const std::vector<T> lse(static_cast<size_t>(n), T{20});
  const Tensor<T> dv = transposed(one, lse, v);
  for (const int64_t threads : {2, 5}) {
    const ConvFarField<T> other = fit(q, k, 2, window, heavy, rows, threads);
    CHECK(other.row == one.row);
    CHECK(other.key == one.key);
    CHECK(other.kernel == one.kernel);
    CHECK(other.lse == one.lse);
    CHECK(apply(other, v, threads).data == o.data);
    CHECK(transposed(other, lse, v, threads).data == dv.data);
  }
  Tensor<T> wide(1, 1, n, d + 3), columns(1, 1, d, n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < d; ++c) wide(0, 0, i, c) = v(0, 0, i, c);
  }
  with_team([&](Execution& run, const Team& team) {
    attention::apply_conv_far_field<T>(run, team, one, {wide.data.data(), {n, d}, {d + 3, 1}},
                                       {columns.data.data(), {n, d}, {1, n}});
  });
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < d; ++c) CHECK(columns(0, 0, c, i) == o(0, 0, i, c));
  }
  const Dense<T> dense(one);
  for (const simd::Target target : simd::targets()) {
    const Tensor<T> other = apply(one, v, 1, target);
    for (int64_t i = 0; i < n; ++i) {
      const long double budget =
          2 * (std::min<long double>(attention::kFarTolerance<T>, dense.transform_error(i)) + dense.round_off());
      for (int64_t c = 0; c < d && dense.sees(i); ++c) expect_within(other(0, 0, i, c), o(0, 0, i, c), budget);
    }
    // Sums over lags err most, by u log2(N) of up to n products of entries below 2; a fit's error is theirs over its pairs.
    const ConvFarField<T> refit = fit(q, k, 2, window, heavy, rows, 1, target);
    for (size_t a = 0; a + 1000 < refit.kernel.size(); ++a) {
      CHECK(std::fabs(refit.kernel[a] - one.kernel[a]) <=
            static_cast<T>(unit_roundoff<T>() * 16 * 2 * 4 * 20 * static_cast<long double>(n) / 900));
    }
  }
}
