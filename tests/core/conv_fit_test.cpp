// Fits of conv bases to arbitrary logits: their parts against the definitions, structures found to round-off, errors as measured.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <numeric>

#include "core/attention/conv_error.hpp"
#include "core/attention/conv_fit.hpp"
#include "core/attention/conv_lag_sums.hpp"
#include "core/base/error.hpp"
#include "tests/core/budgets.hpp"
#include "tests/core/conv_case.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

template <class T>
View<const T, 2> matrix(const Tensor<T>& x) {
  return {x.data.data(), {x.shape[2], x.shape[3]}, {x.shape[3], 1}};
}

template <class T>
struct Fitted {
  attention::ConvBasis<T> basis;
  attention::FitErrors errors;

  const attention::ConvHead<T>& head() const { return basis.list.front(); }
};

template <class T>
Fitted<T> fit(const View<const T, 4>& q, const View<const T, 4>& k, double scale, const attention::FitRequest& request,
              int64_t threads = 1, simd::Target target = simd::targets().front()) {
  Pool pool(threads);
  Execution run = execution(pool, target);
  attention::FitErrors errors;
  auto basis = attention::fit_conv_basis<T>(run, q, k, scale, request, &errors);
  return {std::move(basis), std::move(errors)};
}

template <class T>
Fitted<T> fit(const Tensor<T>& q, const Tensor<T>& k, int64_t bases) {
  return fit<T>(read(q), read(k), 1 / std::sqrt(static_cast<double>(q.shape[3])), {bases, std::nullopt, 0});
}

template <class T>
Tensor<T> random(int64_t heads, int64_t n, int64_t d, uint64_t seed, uint64_t stream, double magnitude = 1.7) {
  Tensor<T> x(1, heads, n, d);
  for (size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<T>(magnitude * (2 * random_uniform(seed, stream, i) - 1));
  return x;
}

// |P~[i,:] - P[i,:]|_1 of all rows, by the definition.
template <class T, class Entry>
std::vector<long double> dense_errors(const Tensor<T>& q, const Tensor<T>& k, long double scale, const Entry& fitted) {
  std::vector<long double> errors;
  for (int64_t i = 0; i < q.shape[2]; ++i) {
    const auto exact = softmax_row(i, [&](int64_t j) {
      long double sum = 0;
      for (int64_t l = 0; l < q.shape[3]; ++l) sum += static_cast<long double>(q(0, 0, i, l)) * k(0, 0, j, l);
      return scale * sum;
    });
    const auto found = softmax_row(i, [&](int64_t j) { return fitted(i, j); });
    long double error = 0;
    for (int64_t j = 0; j <= i; ++j) error += std::fabs(found[static_cast<size_t>(j)] - exact[static_cast<size_t>(j)]);
    errors.push_back(error);
  }
  return errors;
}

template <class T>
std::vector<long double> dense_errors(const Tensor<T>& q, const Tensor<T>& k, const attention::ConvHead<T>& head) {
  return dense_errors(q, k, 1 / std::sqrt(static_cast<long double>(q.shape[3])),
                      [&](int64_t i, int64_t j) { return entry(head, i, j); });
}

long double mean(const std::vector<long double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0L) / static_cast<long double>(x.size());
}

// What a fit of an exact structure may leave: kernels are means of logits that `rounding` perturbs, made of sums whose transforms err by
// log2(2 n) u of double relative to the norms of a block, and rounded once a round where row constants are taken out.
template <class T>
long double structure_budget(const ConvCase<T>& c) {
  const long double n = static_cast<long double>(c.shape.n), u = unit_roundoff<double>();
  const long double transforms = 4 * u * std::log2(2 * n) * n * c.logit_scale, rounds = 8 * unit_roundoff<T>() * c.logit_scale;
  return 2 * std::tanh(2 * c.rounding() + transforms + rounds);
}

Status status_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.status();
  }
  return Status::ok;
}

template <class T>
bool same_fit(const Fitted<T>& a, const Fitted<T>& b) {
  if (a.basis.list.size() != b.basis.list.size() || a.errors.mean != b.errors.mean || a.errors.max != b.errors.max) return false;
  for (size_t i = 0; i < a.basis.list.size(); ++i) {
    const auto &x = a.basis.list[i], &y = b.basis.list[i];
    if (x.starts() != y.starts()) return false;
    for (int64_t r = 0; r < x.bases(); ++r) {
      if (std::memcmp(x.kernel(r), y.kernel(r), static_cast<size_t>(x.length(r)) * sizeof(T)) != 0) return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE_TEMPLATE("sums at each lag match their definition", T, float, double) {
  for (const int64_t n : {1, 2, 15, 16, 17, 63, 64, 65, 100, 255, 257, 600}) {
    const int64_t d = 11;
    const auto q = random<T>(1, n, d, 1, 0), k = random<T>(1, n, d, 1, 1);
    Pool pool(2);
    Execution run = execution(pool);
    Monitor monitor(run.ticker, 0);
    const Team team(pool, monitor);
    attention::LagSums<T> sums(run, team, matrix(q), matrix(k));
    for (const auto& [first, last] : std::vector<std::pair<int64_t, int64_t>>{
             {0, n}, {0, 1}, {n - 1, n}, {n / 3, n / 2 + 1}, {0, n / 2 + 1}, {n / 2, n}, {n / 5, n / 5 + 1}}) {
      std::vector<double> found(static_cast<size_t>(n - first));
      sums.compute(team, first, last, found.data());
      // Norms over all rows, where a block has fewer; a transform of length N <= 8 n adds log2 N levels of two roundings.
      const long double norms = static_cast<long double>(n * d) * 1.7L * 1.7L;
      const long double budget = 4 * unit_roundoff<double>() * std::log2(8.0L * static_cast<long double>(n) + 32) * norms;
      for (int64_t t = 0; t < n - first; ++t) {
        long double sum = 0;
        for (int64_t j = first; j < last && j + t < n; ++j) {
          for (int64_t l = 0; l < d; ++l) sum += static_cast<long double>(q(0, 0, j + t, l)) * k(0, 0, j, l);
        }
        expect_within(found[static_cast<size_t>(t)], sum, budget);
      }
    }
  }
}

TEST_CASE_TEMPLATE("turned queries and keys are one basis, to round-off", T, float, double) {
  for (const int64_t n : {1, 2, 50, 1000}) {
    const ConvCase<T> c({n, 1, {0}, 8}, 0, 3);
    for (const int64_t asked : {1, 5}) {
      const auto f = fit<T>(read(c.q), read(c.k), 1, {asked, std::nullopt, 0});
      CHECK(f.head().starts() == std::vector<int64_t>{0});
      CHECK(f.errors.max[0] <= structure_budget(c));
    }
  }
}

TEST_CASE_TEMPLATE("a structure of several bases is found, whatever number is asked for or reached by tolerance", T, float,
                   double) {
  uint64_t seed = 20;
  for (const int64_t frequencies : {1, 4}) {  // one: constant queries, keys constant on pieces
    for (const int64_t bases : {2, 7, 16}) {
      const int64_t n = 900;
      ++seed;
      ConvShape shape = random_shape(n, 20, bases, 0, seed);
      shape.frequencies = frequencies;
      const ConvCase<T> c(shape, 0, seed);
      CAPTURE(bases);
      CAPTURE(frequencies);
      for (const int64_t asked : {bases, bases + 1, 3 * bases}) {
        const auto f = fit<T>(read(c.q), read(c.k), 1, {asked, std::nullopt, 0});
        CHECK(f.head().starts() == c.shape.starts);
        CHECK(f.errors.max[0] <= structure_budget(c));
      }
      const auto few = fit<T>(read(c.q), read(c.k), 1, {bases - 1, std::nullopt, 0});
      CHECK(few.head().bases() == bases - 1);
      const auto reached = fit<T>(read(c.q), read(c.k), 1, {0, static_cast<double>(structure_budget(c)), 0});
      CHECK(reached.head().starts() == c.shape.starts);
    }
  }
}

TEST_CASE_TEMPLATE("the measured errors are those of the definition", T, float, double) {
  for (const int64_t n : {1, 2, 40, 64, 150}) {
    const auto q = random<T>(1, n, 8, 2, 0), k = random<T>(1, n, 8, 2, 1);
    const auto f = fit(q, k, 3);
    const auto errors = dense_errors(q, k, f.head());
    CHECK(f.errors.rows == std::min<int64_t>(n, 64));
    // In double: a logit of 8 products, an exponential, sums of n weights.
    const long double budget = 4 * unit_roundoff<double>() * static_cast<long double>(8 * 8 * 3 + n);
    if (n <= 64) {  // all rows are in the sample
      expect_within(f.errors.mean[0], mean(errors), budget);
      expect_within(f.errors.max[0], *std::max_element(errors.begin(), errors.end()), budget);
    } else {
      CHECK(f.errors.max[0] <= *std::max_element(errors.begin(), errors.end()) + budget);
      CHECK(f.errors.mean[0] >= *std::min_element(errors.begin(), errors.end()) - budget);
    }
  }
}

TEST_CASE("sampled rows are one of each equal range, and depend on the seed") {
  // Rows tell themselves apart by their errors: against a basis of zeros, row i has an error of its own.
  const int64_t n = 640;
  const auto q = random<double>(1, n, 4, 5, 0), k = random<double>(1, n, 4, 5, 1);
  const attention::ConvHead<double> zero(n, {});
  const auto errors = dense_errors(q, k, zero);
  Pool pool(1);
  Execution run = execution(pool);
  Monitor monitor(run.ticker, 0);
  const Team team(pool, monitor);
  const auto sample = [&](uint64_t seed) {
    return attention::sample_errors<double>(run, team, matrix(q), matrix(k), 0.5, zero, seed, 0).mean;
  };
  CHECK(sample(1) == sample(1));
  CHECK(sample(1) != sample(2));
  // Every sample's mean lies between the means of the ranges' least and greatest errors.
  long double least = 0, greatest = 0;
  for (int64_t s = 0; s < 64; ++s) {
    const auto range = std::minmax_element(errors.begin() + s * 10, errors.begin() + (s + 1) * 10);
    least += *range.first / 64;
    greatest += *range.second / 64;
  }
  const long double budget = 4 * unit_roundoff<double>() * static_cast<long double>(4 * 4 * 3 + n);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    CHECK(sample(seed) >= least - budget);
    CHECK(sample(seed) <= greatest + budget);
  }
}

namespace {

// Typical inputs: independent rows, rows around a mean, walks, topics; each also turned by its position.
enum class Kind { independent, around_means, walk, topics };

Tensor<float> sequence(Kind kind, bool turned, int64_t n, int64_t d, uint64_t seed, uint64_t stream) {
  const Tensor<float> noise = random<float>(1, n, d, seed, stream), centres = random<float>(1, 12, d, seed, stream + 2);
  Tensor<float> x = noise;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t l = 0; l < d; ++l) {
      if (kind == Kind::around_means) x(0, 0, i, l) = 0.5F * noise(0, 0, i, l) + centres(0, 0, 0, l);
      if (kind == Kind::walk && i > 0) x(0, 0, i, l) = 0.99F * x(0, 0, i - 1, l) + 0.14F * noise(0, 0, i, l);
      if (kind == Kind::topics) x(0, 0, i, l) = 0.3F * noise(0, 0, i, l) + centres(0, 0, i * i / 3 % n * 12 / n, l);
    }
  }
  for (int64_t i = 0; turned && i < n; ++i) {
    for (int64_t l = 0; l + 1 < d; l += 2) {
      const double angle = static_cast<double>(i) * std::pow(1e4, -static_cast<double>(l) / static_cast<double>(d));
      const auto c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
      const float a = x(0, 0, i, l), b = x(0, 0, i, l + 1);
      x(0, 0, i, l) = c * a - s * b;
      x(0, 0, i, l + 1) = s * a + c * b;
    }
  }
  return x;
}

// Mean error of uniform segments with lag means as kernels.
long double uniform_error(const Tensor<float>& q, const Tensor<float>& k, int64_t bases) {
  const int64_t n = q.shape[2], d = q.shape[3];
  std::vector<std::vector<long double>> kernels;
  std::vector<int64_t> segment(static_cast<size_t>(n));
  for (int64_t r = 0; r < bases; ++r) {
    const int64_t first = r * n / bases, last = (r + 1) * n / bases;
    kernels.emplace_back();
    for (int64_t j = first; j < last; ++j) segment[static_cast<size_t>(j)] = r;
    for (int64_t t = 0; t < n - first; ++t) {
      double sum = 0;
      const int64_t end = std::min(last, n - t);
      for (int64_t j = first; j < end; ++j) {
        for (int64_t l = 0; l < d; ++l) sum += static_cast<double>(q(0, 0, j + t, l)) * static_cast<double>(k(0, 0, j, l));
      }
      kernels.back().push_back(sum / std::sqrt(static_cast<double>(d)) / static_cast<double>(end - first));
    }
  }
  return mean(dense_errors(q, k, 1 / std::sqrt(static_cast<long double>(d)), [&](int64_t i, int64_t j) {
    return kernels[static_cast<size_t>(segment[static_cast<size_t>(j)])][static_cast<size_t>(i - j)];
  }));
}

}  // namespace

TEST_CASE("a fit is no worse than uniform segments on typical input, and errs less with more bases") {
  for (const Kind kind : {Kind::independent, Kind::around_means, Kind::walk, Kind::topics}) {
    for (const bool turned : {false, true}) {
      const int64_t n = 400, d = 16;
      const auto q = sequence(kind, turned, n, d, 31, 0), k = sequence(kind, turned, n, d, 31, 1);
      CAPTURE(static_cast<int>(kind));
      CAPTURE(turned);
      long double before = 2;
      for (const int64_t bases : {1, 4, 16, 64}) {
        CAPTURE(bases);
        const long double error = mean(dense_errors(q, k, fit(q, k, bases).head()));
        CHECK(error <= uniform_error(q, k, bases));
        CHECK(error <= before);
        before = error;
      }
    }
  }
}

TEST_CASE_TEMPLATE("as many bases as keys leave no error but round-off", T, float, double) {
  const int64_t n = 70, d = 6;
  const auto q = random<T>(1, n, d, 4, 0), k = random<T>(1, n, d, 4, 1);
  const auto f = fit(q, k, n);
  CHECK(f.head().bases() == n);
  const long double size = 1.7L * 1.7L * std::sqrt(static_cast<long double>(d));
  // One pair per kernel entry; transforms as in structure_budget, kernels rounded once a round.
  const long double transforms = 4 * unit_roundoff<double>() * 8 * static_cast<long double>(n) * size;
  CHECK(f.errors.max[0] <= 2 * std::tanh(transforms + 8 * unit_roundoff<T>() * size * 2));
  CHECK(fit(q, k, 10 * n).head().bases() == n);
}

TEST_CASE("with a tolerance bases are doubled until it is met or the cost is exact attention's") {
  const int64_t n = 1500, d = 8;
  const auto q = sequence(Kind::walk, false, n, d, 6, 0), k = sequence(Kind::walk, false, n, d, 6, 1);
  const auto fit_to = [&](int64_t bases, std::optional<double> tol) {
    return fit<float>(read(q), read(k), 1 / std::sqrt(8.0), {bases, tol, 3});
  };
  CHECK(fit_to(0, 2).head().bases() == 1);
  for (const int64_t bases : {2, 8, 16}) {
    // The error of so many bases is met by so many, and by no fewer of those tried.
    const double tol = fit_to(bases, std::nullopt).errors.mean[0];
    CHECK(fit_to(bases / 2, std::nullopt).errors.mean[0] > tol);
    CHECK(same_fit(fit_to(0, tol), fit_to(bases, std::nullopt)));
  }
  const auto out_of_reach = fit_to(0, 0);
  CHECK(out_of_reach.errors.mean[0] > 0);
  CHECK(out_of_reach.head().bases() <= n / 64);
}

TEST_CASE_TEMPLATE("heads, grouped heads, strides, threads and targets", T, float, double) {
  const int64_t heads = 6, n = 300, d = 5;
  const auto q = random<T>(heads, n, d, 8, 0), k = random<T>(heads / 3, n, d, 8, 1);
  const double scale = 0.4;
  const attention::FitRequest request{7, std::nullopt, 5};
  const auto all = fit<T>(read(q), read(k), scale, request);
  REQUIRE(all.basis.list.size() == 6);
  for (int64_t h = 0; h < heads; ++h) {
    const View<const T, 4> own_q{&q(0, h, 0, 0), {1, 1, n, d}, {0, 0, d, 1}},
        own_k{&k(0, h / 3, 0, 0), {1, 1, n, d}, {0, 0, d, 1}};
    const auto alone = fit<T>(own_q, own_k, scale, request);
    CHECK(alone.head().starts() == all.basis.head(0, h).starts());
    for (int64_t r = 0; r < alone.head().bases(); ++r) {
      CHECK(std::equal(alone.head().kernel(r), alone.head().kernel(r) + alone.head().length(r), all.basis.head(0, h).kernel(r)));
    }
  }
  for (const int64_t threads : {2, 3, 8}) CHECK(same_fit(all, fit<T>(read(q), read(k), scale, request, threads)));
  Tensor<T> q_columns(1, heads, d, n);
  for (int64_t h = 0; h < heads; ++h) {
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t l = 0; l < d; ++l) q_columns(0, h, l, n - 1 - i) = q(0, h, i, l);
    }
  }
  const View<const T, 4> turned{q_columns.data.data() + n - 1, q.shape, {0, n * d, -1, n}};
  CHECK(same_fit(all, fit<T>(turned, read(k), scale, request)));
  for (const simd::Target target : simd::targets()) {
    const auto other = fit<T>(read(q), read(k), scale, request, 1, target);
    for (size_t h = 0; h < 6; ++h) {
      CHECK(other.basis.list[h].starts() == all.basis.list[h].starts());
      // The same segments; kernels differ by the rounding of their sums.
      expect_within(other.errors.mean[h], all.errors.mean[h], 64 * unit_roundoff<T>() * scale * 5 * 1.7L * 1.7L);
    }
  }
}

TEST_CASE_TEMPLATE("no bases, and no rows", T, float, double) {
  const auto q = random<T>(1, 20, 3, 9, 0), k = random<T>(1, 20, 3, 9, 1);
  const auto none = fit(q, k, 0);
  CHECK(none.head().bases() == 0);
  CHECK(none.errors.mean[0] > 0);
  const Tensor<T> empty(2, 2, 0, 3);
  for (const attention::FitRequest& request : {attention::FitRequest{4, std::nullopt, 0}, attention::FitRequest{0, 0.1, 0}}) {
    const auto f = fit<T>(read(empty), read(empty), 1, request);
    CHECK(f.basis.list.size() == 4);
    CHECK(f.basis.most_bases() == 0);
    CHECK(f.errors.rows == 0);
    CHECK(f.errors.mean == std::vector<double>(4));
  }
}

TEST_CASE_TEMPLATE("a logit that overflows is an error", T, float, double) {
  auto q = random<T>(1, 50, 3, 9, 0), k = random<T>(1, 50, 3, 9, 1);
  q(0, 0, 20, 1) = std::numeric_limits<T>::max();
  k(0, 0, 3, 1) = T{100};
  std::string text;
  try {
    fit(q, k, 2);
  } catch (const Error& error) {
    CHECK(error.status() == Status::err_overflow);
    text = error.what();
  }
  CHECK(text.find("batch 0, head 0, query 20") != std::string::npos);
}

TEST_CASE("a fit that is cancelled or lacks workspace ends with an error") {
  const auto q = random<float>(1, 20000, 16, 9, 0);
  Pool pool(2);
  fft::PlanCache plans;
  attention::FitErrors errors;
  Execution cancelled{pool, Ticker([](double) { return true; }), simd::targets().front(), Workspace(0), plans};
  CHECK(status_of([&] {
          for (int calls = 0; calls < 1000; ++calls)
            attention::fit_conv_basis<float>(cancelled, read(q), read(q), 1, {8, std::nullopt, 0}, &errors);
        }) == Status::err_cancelled);
  Execution small{pool, Ticker({}), simd::targets().front(), Workspace(1 << 20), plans};
  CHECK(status_of([&] {
          attention::fit_conv_basis<float>(small, read(q), read(q), 1, {8, std::nullopt, 0}, &errors);
        }) == Status::err_workspace);
}
