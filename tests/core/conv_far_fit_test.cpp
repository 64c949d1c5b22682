// The fit of a far field against dense least squares, and its shift towards the true weights of sampled rows.
#include <doctest/doctest.h>

#include <utility>

#include "tests/core/far_field_case.hpp"

using namespace subquad;
using namespace subquad::test;

TEST_CASE_TEMPLATE("sums over rows, keys and lags are those of the logits", T, float, double) {
  struct Sizes {
    int64_t n, window, d;
  };
  for (const Sizes& s : {Sizes{2, 1, 1}, {40, 8, 1}, {331, 16, 5}, {1400, 64, 70}}) {
    const auto q = random_tensor<T>(1, 1, s.n, s.d, 3, 0), k = random_tensor<T>(1, 1, s.n, s.d, 3, 1);
    const attention::FarPairs pairs(s.n, s.window, some_keys(s.n, 1));
    const double scale = 0.7;
    const auto sums = with_team(
        [&](Execution& run, const Team& team) { return attention::far_sums<T>(run, team, matrix(q), matrix(k), scale, pairs); });
    const auto size = static_cast<size_t>(pairs.size);
    std::vector<long double> rows(size), keys(size), lags(size);
    for (size_t a = 0; a < size; ++a) {
      for (size_t j = 0; j <= a; ++j) {
        if (!pairs.kept[j]) continue;
        long double logit = 0;
        for (int64_t l = 0; l < s.d; ++l)
          logit += static_cast<long double>(q(0, 0, static_cast<int64_t>(a) + s.window, l)) * k(0, 0, static_cast<int64_t>(j), l);
        const long double rest = scale * logit - sums.row_part[a] - sums.key_part[j];
        rows[a] += rest;
        keys[j] += rest;
        lags[a - j] += rest;
      }
    }
    // Entries less their means are below 2; running sums are rounded once per term at most, transforms err by norms.
    const long double largest = 4 * scale * static_cast<long double>(s.d), count = static_cast<long double>(size),
                      each = unit_roundoff<T>() * static_cast<long double>(s.d + 8) * largest,
                      transforms = unit_roundoff<T>() * std::log2(4 * count + 64) * largest * count;
    for (size_t a = 0; a < size; ++a) {
      expect_within(sums.rows[a], rows[a], each * count);
      expect_within(sums.keys[a], keys[a], each * count);
      expect_within(sums.lags[a], lags[a], each * count + transforms);
    }
  }
}

TEST_CASE_TEMPLATE("the fit is that of least squares, but for what three rounds leave", T, float, double) {
  const int64_t n = 180, window = 20, d = 6;
  for (const int64_t kind : {0, 1, 4}) {
    for (const double drift : {0.0, 3.0}) {  // with drift, logits fall with the lag
      auto q = random_tensor<T>(1, 1, n, d, 5, 0), k = random_tensor<T>(1, 1, n, d, 5, 1);
      for (int64_t i = 0; i < n; ++i) {
        q(0, 0, i, 0) = static_cast<T>(drift);
        k(0, 0, i, 0) += static_cast<T>(drift * static_cast<double>(i) / static_cast<double>(n));
      }
      const ConvFarField<T> far = fit(q, k, 1, window, some_keys(n, kind));
      const int64_t size = n - window;
      const attention::FarPairs pairs(n, window, some_keys(n, kind));
      std::vector<std::vector<double>> rest(static_cast<size_t>(size));
      double squares = 0, whole = 0;
      const auto for_pairs = [&](const auto& body) {
        for (int64_t a = 0; a < size; ++a) {
          for (int64_t j = 0; j <= a; ++j) {
            if (pairs.kept[static_cast<size_t>(j)]) body(static_cast<size_t>(a), static_cast<size_t>(j));
          }
        }
      };
      for (auto& row : rest) row.resize(static_cast<size_t>(size));
      for_pairs([&](size_t a, size_t j) {
        double logit = 0;
        for (int64_t l = 0; l < d; ++l)
          logit += static_cast<double>(q(0, 0, static_cast<int64_t>(a) + window, l)) *
                   static_cast<double>(k(0, 0, static_cast<int64_t>(j), l));
        rest[a][j] = logit - far.row[a + static_cast<size_t>(window)] - far.key[j] - static_cast<double>(far.kernel[a - j]);
        squares += rest[a][j] * rest[a][j];
        whole += logit * logit;
      });
      // The same rounds, densely, until nothing changes: means over rows, keys and lags in turn.
      for (int64_t step = 0; step < 300; ++step) {
        std::vector<double> sum(static_cast<size_t>(size)), count(sum);
        const auto group = [&](size_t a, size_t j) { return step % 3 == 0 ? a : step % 3 == 1 ? j : a - j; };
        for_pairs([&](size_t a, size_t j) { sum[group(a, j)] += rest[a][j], count[group(a, j)] += 1; });
        for_pairs([&](size_t a, size_t j) { rest[a][j] -= sum[group(a, j)] / count[group(a, j)]; });
      }
      double least = 0;
      for_pairs([&](size_t a, size_t j) { least += rest[a][j] * rest[a][j]; });
      const double left = 2e-3;  // method: of the least squares, as the fit's number of rounds is chosen
      CHECK(squares <= (1 + left) * least + static_cast<double>(1e4L * unit_roundoff<T>()) * whole);
    }
  }
}

TEST_CASE_TEMPLATE("the shift is the best one for the sampled rows' shares", T, float, double) {
  const int64_t n = 400, window = 32, d = 8;
  auto q = random_tensor<T>(1, 1, n, d, 6, 0), k = random_tensor<T>(1, 1, n, d, 6, 1);
  for (T& x : q.data) x *= 3;
  const std::vector<int64_t> rows{5, 31, 32, 40, 77, 200, 399, 250}, heavy = some_keys(n, 1);
  const ConvFarField<T> far = fit(q, k, 0.5, window, heavy, rows), plain = fit(q, k, 0.5, window, heavy);
  const double shift = far.row[50] - plain.row[50];
  CHECK(shift != 0);
  for (size_t i = static_cast<size_t>(window); i < far.row.size(); ++i) {
    CHECK(std::fabs(far.row[i] - plain.row[i] - shift) <= 1e-13);  // one number, added to logits of a few units
    CHECK(std::fabs(far.lse[i] - plain.lse[i] - shift) <= 1e-13);
  }
  long double product = 0, squares = 0;
  for (const int64_t i : rows) {
    long double all = 0, beyond = 0;
    for (int64_t j = 0; j <= i; ++j) {
      long double logit = 0;
      for (int64_t l = 0; l < d; ++l) logit += static_cast<long double>(q(0, 0, i, l)) * k(0, 0, j, l);
      all += std::exp(0.5L * logit);
      if (j <= i - window && !std::binary_search(heavy.begin(), heavy.end(), j)) beyond += std::exp(0.5L * logit);
    }
    const long double model = std::exp(static_cast<long double>(far.lse[static_cast<size_t>(i)])) / all;
    product += model * (beyond / all - model);
    squares += model * model;
  }
  CHECK(std::fabs(product) <= (2 * attention::kMassTolerance + 1e-12L) * squares);
  // Rows without far pairs tell nothing.
  CHECK(fit(q, k, 0.5, window, heavy, {0, 5, 31}).row == plain.row);
}

TEST_CASE_TEMPLATE("logits that overflow are refused; a fit may be cancelled, or lack workspace", T, float, double) {
  Tensor<T> q = random_tensor<T>(1, 1, 500, 3, 9, 0), k = random_tensor<T>(1, 1, 500, 3, 9, 1);
  const auto status_of = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.status();
    }
    return Status::ok;
  };
  const auto fit_with = [&](Execution run) {
    Monitor monitor(run.ticker, 0);
    return attention::fit_conv_far_field<T>(run, Team(monitor), matrix(std::as_const(q)), matrix(std::as_const(k)), 1, 16, {},
                                            {300});
  };
  Pool pool(1);
  fft::PlanCache plans;
  CHECK(status_of([&] {
          fit_with({pool, Ticker({}), simd::targets().front(), Workspace(1 << 10), plans});
        }) == Status::err_workspace);
  CHECK(status_of([&] {
          Execution run{pool, Ticker([](double) { return true; }), simd::targets().front(), Workspace(0), plans};
          Monitor monitor(run.ticker, 0);
          for (int calls = 0; calls < 10000; ++calls)
            attention::fit_conv_far_field<T>(run, Team(monitor), matrix(std::as_const(q)), matrix(std::as_const(k)), 1, 16, {},
                                             {300});
        }) == Status::err_cancelled);
  q(0, 0, 100, 1) = std::numeric_limits<T>::max();
  k(0, 0, 3, 1) = std::numeric_limits<T>::max() / 4;
  CHECK(status_of([&] { fit_with({pool, Ticker({}), simd::targets().front(), Workspace(0), plans}); }) == Status::err_overflow);
}
