// Far fields by their numbers, and the long double oracle of their products.
#pragma once

#include <cmath>
#include <vector>

#include "core/attention/conv_far_field.hpp"
#include "core/attention/conv_far_mass.hpp"
#include "core/attention/conv_far_sums.hpp"
#include "tests/core/conv_matrix.hpp"

namespace subquad::test {

using attention::ConvFarField;

inline constexpr double kNothing = -std::numeric_limits<double>::infinity();

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
inline std::vector<int64_t> some_keys(int64_t n, int64_t kind) {
  std::vector<int64_t> keys;
  for (int64_t j = 0; j < n; ++j) {
    const bool in = kind == 1 ? j % 3 == 1 : kind == 2 ? j < 4 || j >= n - 3 : kind == 3 ? true : kind == 4 && (j == 0 || j == 2);
    if (in) keys.push_back(j);
  }
  return keys;
}

// How rows, keys or lags vary.
enum class Form { level, random, rising, falling, spike, step };
inline constexpr Form kForms[] = {Form::level, Form::random, Form::rising, Form::falling, Form::spike, Form::step};

inline double form_value(Form form, int64_t x, int64_t count, double range, uint64_t stream) {
  const double share = static_cast<double>(x) / static_cast<double>(count);
  switch (form) {
    case Form::level:
      return 2 * random_uniform(7, stream, static_cast<uint64_t>(x)) - 1;
    case Form::random:
      return range * (2 * random_uniform(7, stream, static_cast<uint64_t>(x)) - 1);
    case Form::rising:
      return range * (2 * share - 1);
    case Form::falling:
      return range * (1 - 2 * share);
    case Form::spike:
      return x == count / 3 ? range : -range;
    default:
      return x < count / 3 ? -range : range;
  }
}

template <class T>
ConvFarField<T> make_far(int64_t n, int64_t window, const std::vector<int64_t>& heavy, Form keys, Form lags, double range) {
  const auto count = static_cast<size_t>(n);
  ConvFarField<T> far{
      window, std::vector<double>(count), std::vector<double>(count, kNothing), {}, std::vector<double>(count, kNothing)};
  const attention::FarPairs pairs(n, window, heavy);
  for (int64_t a = 0; a < pairs.size; ++a) {
    far.row[static_cast<size_t>(a + window)] = form_value(Form::random, a, pairs.size, range, 1);
    if (pairs.kept[static_cast<size_t>(a)]) far.key[static_cast<size_t>(a)] = form_value(keys, a, pairs.size, range, 2);
    far.kernel.push_back(static_cast<T>(form_value(lags, a, pairs.size, range, 3)));
  }
  if (pairs.size > 0) with_team([&](Execution& run, const Team& team) { attention::far_masses<T>(run, team, far); });
  return far;
}

// Everything by the definition.
template <class T>
struct Dense {
  const ConvFarField<T>& far;
  std::vector<long double> lse;
  std::vector<std::vector<long double>> weights;  // rows relative to exp(lse), empty where there is none
  long double logits = 0;                         // largest sum of |terms| of a logit
  long double kernel_norm = 0, key_norm = 0;      // log of the Euclidean norms of their exponentials

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
    return transform_roundoff() *
           std::exp(kernel_norm + key_norm + far.row[static_cast<size_t>(i)] - lse[static_cast<size_t>(i)]);
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
Tensor<T> apply(const ConvFarField<T>& far, const Tensor<T>& v, int64_t threads = 1,
                simd::Target target = simd::targets().front()) {
  Tensor<T> o(1, 1, far.n(), v.shape[3]);
  std::fill(o.data.begin(), o.data.end(), std::numeric_limits<T>::quiet_NaN());
  with_team(threads, target,
            [&](Execution& run, const Team& team) { attention::apply_conv_far_field<T>(run, team, far, matrix(v), matrix(o)); });
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

}  // namespace subquad::test
