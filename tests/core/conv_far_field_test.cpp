// The conv far field: its fit against dense least squares, its products against their definition, whatever rows, keys and lags vary over.
#include <doctest/doctest.h>

#include <functional>
#include <numeric>
#include <utility>

#include "core/attention/conv_far_field.hpp"
#include "core/attention/conv_far_mass.hpp"
#include "core/attention/conv_far_sums.hpp"
#include "tests/core/conv_matrix.hpp"

using namespace subquad;
using namespace subquad::test;
using attention::ConvFarField;

namespace {

constexpr double kNothing = -std::numeric_limits<double>::infinity();

template <class T>
View<const T, 2> matrix(const Tensor<T>& x) {
  return {x.data.data(), {x.shape[2], x.shape[3]}, {x.shape[3], 1}};
}
template <class T>
View<T, 2> matrix(Tensor<T>& x) {
  return {x.data.data(), {x.shape[2], x.shape[3]}, {x.shape[3], 1}};
}

// body(run, team) with a team of so many threads.
template <class Body>
auto with_team(int64_t threads, simd::Target target, const Body& body) {
  Pool pool(threads);
  Execution run = execution(pool, target);
  Monitor monitor(run.ticker, 0);
  const Team team(pool, monitor);
  return body(run, team);
}
template <class Body>
auto with_team(const Body& body) {
  return with_team(1, simd::targets().front(), body);
}

template <class T>
ConvFarField<T> fit(const Tensor<T>& q, const Tensor<T>& k, double scale, int64_t window, const std::vector<int64_t>& heavy,
                    const std::vector<int64_t>& sampled = {}, int64_t threads = 1,
                    simd::Target target = simd::targets().front()) {
  return with_team(threads, target, [&](Execution& run, const Team& team) {
    return attention::fit_conv_far_field<T>(run, team, matrix(q), matrix(k), scale, window, heavy, sampled);
  });
}

// Every third key, some at either end, or such like.
std::vector<int64_t> some_keys(int64_t n, int64_t kind) {
  std::vector<int64_t> keys;
  for (int64_t j = 0; j < n; ++j) {
    const bool in = kind == 1 ? j % 3 == 1 : kind == 2 ? j < 4 || j >= n - 3 : kind == 3 ? true : kind == 4 && (j == 0 || j == 2);
    if (in) keys.push_back(j);
  }
  return keys;
}

// How rows, keys or lags vary.
enum class Form { level, random, rising, falling, spike, step };
constexpr Form kForms[] = {Form::level, Form::random, Form::rising, Form::falling, Form::spike, Form::step};

double form_value(Form form, int64_t x, int64_t count, double range, uint64_t stream) {
  const double share = static_cast<double>(x) / static_cast<double>(count);
  switch (form) {
    case Form::level: return 2 * random_uniform(7, stream, static_cast<uint64_t>(x)) - 1;
    case Form::random: return range * (2 * random_uniform(7, stream, static_cast<uint64_t>(x)) - 1);
    case Form::rising: return range * (2 * share - 1);
    case Form::falling: return range * (1 - 2 * share);
    case Form::spike: return x == count / 3 ? range : -range;
    default: return x < count / 3 ? -range : range;
  }
}

template <class T>
ConvFarField<T> make_far(int64_t n, int64_t window, const std::vector<int64_t>& heavy, Form keys, Form lags, double range) {
  const auto count = static_cast<size_t>(n);
  ConvFarField<T> far{window, std::vector<double>(count), std::vector<double>(count, kNothing), {}, std::vector<double>(count, kNothing)};
  const attention::FarPairs pairs(n, window, heavy);
  for (int64_t a = 0; a < pairs.size; ++a) {
    far.row[static_cast<size_t>(a + window)] = form_value(Form::random, a, pairs.size, range, 1);
    if (pairs.kept[static_cast<size_t>(a)]) far.key[static_cast<size_t>(a)] = form_value(keys, a, pairs.size, range, 2);
    far.kernel.push_back(static_cast<T>(form_value(lags, a, pairs.size, range, 3)));
  }
  if (pairs.size > 0)
    with_team([&](Execution& run, const Team& team) { attention::far_masses<T>(run, team, far); });
  return far;
}

// Everything by the definition.
template <class T>
struct Dense {
  const ConvFarField<T>& far;
  std::vector<long double> lse;
  std::vector<std::vector<long double>> weights;  // rows relative to exp(lse), empty where there is none
  long double logits = 0;                  // largest sum of |terms| of a logit
  long double kernel_norm = 0, key_norm = 0;  // log of the Euclidean norms of their exponentials

  explicit Dense(const ConvFarField<T>& f) : far(f) {
    for (int64_t i = 0; i < far.n(); ++i) {
      long double top = kNothing, sum = 0;
      for (int64_t j = 0; j <= i - far.window; ++j) top = std::max(top, logit(i, j));
      for (int64_t j = 0; j <= i - far.window && top != kNothing; ++j) sum += std::exp(logit(i, j) - top);
      lse.push_back(sum > 0 ? top + std::log(sum) : kNothing);
      weights.emplace_back();
      for (int64_t j = 0; j <= i - far.window && sum > 0; ++j) weights.back().push_back(std::exp(logit(i, j) - lse.back()));
      if (i < far.window) continue;
      const auto at = static_cast<size_t>(i - far.window);
      const long double key = far.key[at] == kNothing ? 0 : std::fabs(far.key[at]);
      logits = std::max(logits, std::fabs(static_cast<long double>(far.row[static_cast<size_t>(i)])) + key +
                                    std::fabs(static_cast<long double>(far.kernel[at])));
    }
    logits *= 3;  // the three largest terms need not meet in one pair
    kernel_norm = norm([&](int64_t a) { return static_cast<long double>(far.kernel[static_cast<size_t>(a)]); });
    key_norm = norm([&](int64_t a) { return static_cast<long double>(far.key[static_cast<size_t>(a)]); });
  }

  long double logit(int64_t i, int64_t j) const {
    return static_cast<long double>(far.row[static_cast<size_t>(i)]) + far.key[static_cast<size_t>(j)] +
           far.kernel[static_cast<size_t>(i - j - far.window)];
  }
  bool sees(int64_t i) const { return lse[static_cast<size_t>(i)] != kNothing; }

  long double o(const Tensor<T>& v, int64_t i, int64_t c) const {
    long double sum = 0;
    for (size_t j = 0; j < weights[static_cast<size_t>(i)].size(); ++j)
      sum += weights[static_cast<size_t>(i)][j] * v(0, 0, static_cast<int64_t>(j), c);
    return sum;
  }

  // What a transform may err, of max|v|: u log2(N) |kernel| |exp(key)| over the row's sum (docs/math/conv_basis.md).
  long double transform_error(int64_t i) const {
    return transform_roundoff() * std::exp(kernel_norm + key_norm + far.row[static_cast<size_t>(i)] - lse[static_cast<size_t>(i)]);
  }
  // A transform has up to 4 size points; norms over pieces add up to at most sqrt(2) times that over all.
  long double transform_roundoff() const {
    return unit_roundoff<T>() * std::log2(4 * static_cast<long double>(far.size())) * std::sqrt(2.0L);
  }
  // log of the Euclidean norm of exp(value)
  template <class Value>
  long double norm(const Value& value) const {
    long double top = kNothing, sum = 0;
    for (int64_t a = 0; a < far.size(); ++a) top = std::max(top, value(a));
    for (int64_t a = 0; a < far.size(); ++a) sum += std::exp(2 * (value(a) - top));
    return top + std::log(sum) / 2;
  }
  // A weight 2^-x errs by |x| u, and sum 2^-x x <= log2(n); those of transforms are relative to the largest of all, and small ones do not
  // count beside a transform's error; the sums' own errors.
  long double round_off() const {
    return unit_roundoff<T>() * (64 + std::log2(static_cast<long double>(far.n()) + 1)) + sum_error<T>(far.n()) +
           attention::kMassTolerance + 16 * unit_roundoff<double>() * logits;
  }
};

template <class T>
Tensor<T> apply(const ConvFarField<T>& far, const Tensor<T>& v, int64_t threads = 1, simd::Target target = simd::targets().front()) {
  Tensor<T> o(1, 1, far.n(), v.shape[3]);
  std::fill(o.data.begin(), o.data.end(), std::numeric_limits<T>::quiet_NaN());
  with_team(threads, target, [&](Execution& run, const Team& team) {
    attention::apply_conv_far_field<T>(run, team, far, matrix(v), matrix(o));
  });
  return o;
}

template <class T>
Tensor<T> transposed(const ConvFarField<T>& far, const std::vector<T>& lse, const Tensor<T>& d_o, int64_t threads = 1) {
  Tensor<T> dv(1, 1, far.n(), d_o.shape[3]);
  std::fill(dv.data.begin(), dv.data.end(), T{1});
  with_team(threads, simd::targets().front(), [&](Execution& run, const Team& team) {
    attention::apply_conv_far_field_transposed<T>(run, team, far, {lse.data(), {far.n()}, {1}}, matrix(d_o), matrix(dv));
  });
  return dv;
}

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
  with_team([&](Execution& run, const Team& team) {
    attention::far_field_rows<T>(run, team, far, matrix(v), rows, matrix(single));
  });
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
    if (dense.sees(i)) squares += std::exp(2 * (far.row[static_cast<size_t>(i)] - static_cast<long double>(lse[static_cast<size_t>(i)])));
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

TEST_CASE_TEMPLATE("sums over rows, keys and lags are those of the logits", T, float, double) {
  struct Sizes {
    int64_t n, window, d;
  };
  for (const Sizes& s : {Sizes{2, 1, 1}, {40, 8, 1}, {331, 16, 5}, {1400, 64, 70}}) {
    const auto q = random_tensor<T>(1, 1, s.n, s.d, 3, 0), k = random_tensor<T>(1, 1, s.n, s.d, 3, 1);
    const attention::FarPairs pairs(s.n, s.window, some_keys(s.n, 1));
    const double scale = 0.7;
    const auto sums = with_team([&](Execution& run, const Team& team) {
      return attention::far_sums<T>(run, team, matrix(q), matrix(k), scale, pairs);
    });
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
          logit += static_cast<double>(q(0, 0, static_cast<int64_t>(a) + window, l)) * static_cast<double>(k(0, 0, static_cast<int64_t>(j), l));
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
  const auto q = random_tensor<T>(1, 1, n, d, 9, 0), k = random_tensor<T>(1, 1, n, d, 9, 1), v = random_tensor<T>(1, 1, n, d, 9, 2);
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
    attention::apply_conv_far_field<T>(run, team, one, {wide.data.data(), {n, d}, {d + 3, 1}}, {columns.data.data(), {n, d}, {1, n}});
  });
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < d; ++c) CHECK(columns(0, 0, c, i) == o(0, 0, i, c));
  }
  const Dense<T> dense(one);
  for (const simd::Target target : simd::targets()) {
    const Tensor<T> other = apply(one, v, 1, target);
    for (int64_t i = 0; i < n; ++i) {
      const long double budget = 2 * (std::min<long double>(attention::kFarTolerance<T>, dense.transform_error(i)) + dense.round_off());
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
    return attention::fit_conv_far_field<T>(run, Team(monitor), matrix(std::as_const(q)), matrix(std::as_const(k)), 1, 16, {}, {300});
  };
  Pool pool(1);
  fft::PlanCache plans;
  CHECK(status_of([&] { fit_with({pool, Ticker({}), simd::targets().front(), Workspace(1 << 10), plans}); }) == Status::err_workspace);
  CHECK(status_of([&] {
          Execution run{pool, Ticker([](double) { return true; }), simd::targets().front(), Workspace(0), plans};
          Monitor monitor(run.ticker, 0);
          for (int calls = 0; calls < 10000; ++calls)
            attention::fit_conv_far_field<T>(run, Team(monitor), matrix(std::as_const(q)), matrix(std::as_const(k)), 1, 16, {}, {300});
        }) == Status::err_cancelled);
  q(0, 0, 100, 1) = std::numeric_limits<T>::max();
  k(0, 0, 3, 1) = std::numeric_limits<T>::max() / 4;
  CHECK(status_of([&] { fit_with({pool, Ticker({}), simd::targets().front(), Workspace(0), plans}); }) == Status::err_overflow);
}
