// Sparsifiers by every method: what Y is made of, the certificate against long double, the promises on e.
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/sparsify/softmax_error.hpp"
#include "core/sparsify/sparsifier.hpp"
#include "tests/core/attention_case.hpp"
#include "tests/core/sparsify_case.hpp"

using namespace subquad;
using namespace subquad::test;
using sparsify::Certificate;
using sparsify::Certify;
using sparsify::Method;

namespace {

template <class T>
struct Found {
  sparsify::Sparsifier<T> value;
  sparsify::Facts facts;
};

template <class T>
Found<T> find(const sparsify::Columns<T>& x, const sparsify::Request& request, int64_t threads = 1) {
  Pool pool(threads);
  Execution run = execution(pool);
  Found<T> found;
  found.value = sparsify::sparsify<T>(run, x, request, &found.facts);
  return found;
}

sparsify::Request with_columns(Method method, int64_t columns) {
  sparsify::Request result = request(method);
  result.columns = columns;
  return result;
}

sparsify::Request with_eps(Method method, double eps, uint64_t seed = 0) {
  sparsify::Request result = request(method);
  result.eps = eps;
  result.seed = seed;
  return result;
}

// Y is sqrt(weight) times the columns of X that it says, rounded once.
template <class T>
void check_columns(const Matrix<T>& x, const sparsify::Sparsifier<T>& found) {
  REQUIRE(found.indices.size() == static_cast<size_t>(found.width));
  for (int64_t c = 0; c < found.width; ++c) {
    const auto place = static_cast<size_t>(c);
    REQUIRE(found.indices[place] >= (c == 0 ? 0 : found.indices[place - 1] + 1));
    REQUIRE(found.indices[place] < x.d);
    REQUIRE(found.weights[place] > 0);
    for (int64_t i = 0; i < x.n; ++i) {
      const double expected = std::sqrt(found.weights[place]) * static_cast<double>(x(i, found.indices[place]));
      CHECK(found.y[static_cast<size_t>(i * found.width + c)] == static_cast<T>(expected));
    }
  }
}

template <class T>
void check_certificate(const Found<T>& found, const RangeOracle& oracle, int64_t n) {
  CHECK(found.value.certificate == Certificate::exact);
  const long double truth = oracle.epsilon(found.value.indices, found.value.weights);
  expect_within(found.value.epsilon, truth, whitening_error<T>(n, *found.facts.condition) * (1 + truth));
}

}  // namespace

TEST_CASE_TEMPLATE("the certificate is the distance that long double finds, for every method, matrix and form", T, float,
                   double) {
  const int64_t n = 12, d = 1500;
  for (const Kind kind : kKinds) {
    const Matrix<T> x = make_matrix<T>(kind, n, d, 7);
    const RangeOracle oracle(x);
    for (const Form form : kForms) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(static_cast<int>(form));
      const Source<T> source(x, form);
      for (const Method method : {Method::leverage, Method::deterministic}) {
        const Found<T> found = find(source.columns(), with_columns(method, 6 * n));
        check_columns(x, found.value);
        check_certificate(found, oracle, n);
        CHECK(found.value.width <= 6 * n);
        if (method == Method::leverage) CHECK(found.value.width == 6 * n);
        const double c = 6;
        if (method == Method::deterministic) CHECK(found.value.epsilon <= 2 * std::sqrt(c) / (c + 1));
      }
    }
  }
}

TEST_CASE_TEMPLATE("the barriers keep their promise for every number of steps", T, float, double) {
  const int64_t n = 9, d = 800;
  for (const Kind kind : kKinds) {
    const Matrix<T> x = make_matrix<T>(kind, n, d, 8);
    const RangeOracle oracle(x);
    const Source<T> source(x, Form::rows);
    for (const int64_t steps : {n + 1, 2 * n - 1, 4 * n, 30 * n}) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(steps);
      const Found<T> found = find(source.columns(), with_columns(Method::deterministic, steps));
      const double c = static_cast<double>(steps) / static_cast<double>(n);
      CHECK(*found.facts.steps == steps);
      CHECK(*found.facts.bound == doctest::Approx(2 * std::sqrt(c) / (c + 1)));
      CHECK(found.value.epsilon <= *found.facts.bound);
      CHECK(*found.facts.epsilon_barriers <= *found.facts.bound);
      CHECK(found.value.epsilon <=
            *found.facts.epsilon_barriers * (1 + 1e-6) + static_cast<double>(whitening_error<T>(n, *found.facts.condition)));
      check_certificate(found, oracle, n);
    }
    for (const double eps : {0.3, 0.8}) CHECK(find(source.columns(), with_eps(Method::deterministic, eps)).value.epsilon <= eps);
  }
}

TEST_CASE_TEMPLATE("leverage sampling meets eps with probability 1 - delta", T, float, double) {
  // 120 runs with delta = 0.05 each: 16 or more misses have a probability below 0.0006, were the promise only just kept.
  for (const Kind kind : {Kind::gaussian, Kind::coherent, Kind::skewed}) {
    const Source<T> source(make_matrix<T>(kind, 6, 3000, 9), Form::rows);
    int misses = 0;
    for (uint64_t seed = 0; seed < 120; ++seed) {
      sparsify::Request wanted = with_eps(Method::leverage, 0.6, seed);
      wanted.delta = 0.05;
      misses += find(source.columns(), wanted).value.epsilon <= 0.6 ? 0 : 1;
    }
    CHECK(misses < 16);
  }
}

TEST_CASE("leverage sampling is unbiased: the mean of Y Y' over seeds is X X'") {
  const int64_t n = 3, seeds = 4000;
  const Matrix<double> x = make_matrix<double>(Kind::skewed, n, 400, 10);
  const RangeOracle oracle(x);
  const Source<double> source(x, Form::columns);
  std::vector<double> sum(static_cast<size_t>(x.d)), squares(static_cast<size_t>(x.d));
  for (int64_t seed = 0; seed < seeds; ++seed) {
    sparsify::Request wanted = with_columns(Method::leverage, 40);
    wanted.seed = static_cast<uint64_t>(seed);
    wanted.certify = Certify::none;
    const Found<double> found = find(source.columns(), wanted);
    for (size_t c = 0; c < found.value.indices.size(); ++c)
      sum[static_cast<size_t>(found.value.indices[c])] += found.value.weights[c];
  }
  // A weight is 0 or 1 / p with mean 1 and variance 1 / p - 1, p at least the least weight's inverse. Sums of all columns' weights, by
  // their scores: chance of 400 columns at 5.5 standard deviations each, below 2e-5.
  for (int64_t j = 0; j < x.d; ++j) {
    const long double score = oracle.score(j);
    if (score < 1e-3) continue;  // chosen too rarely for a normal approximation
    const double deviation = std::sqrt(1 / (10 * static_cast<double>(score)) / static_cast<double>(seeds));  // T is above 10
    expect_within(sum[static_cast<size_t>(j)] / static_cast<double>(seeds), 1, 5.5 * deviation);
  }
}

TEST_CASE_TEMPLATE("an estimate is below the certificate, and not far", T, float, double) {
  for (const Kind kind : kKinds) {
    const Source<T> source(make_matrix<T>(kind, 60, 6000, 11), Form::rows);
    sparsify::Request wanted = with_columns(Method::leverage, 400);
    const Found<T> exact = find(source.columns(), wanted);
    wanted.certify = Certify::estimate;
    const Found<T> estimated = find(source.columns(), wanted);
    CAPTURE(static_cast<int>(kind));
    CHECK(estimated.value.certificate == Certificate::estimate);
    CHECK(estimated.value.indices == exact.value.indices);
    const double rounding = static_cast<double>(whitening_error<T>(60, *exact.facts.condition)) * (1 + exact.value.epsilon);
    CHECK(estimated.value.epsilon <= exact.value.epsilon + rounding);
    CHECK(estimated.value.epsilon >= 0.5 * exact.value.epsilon - rounding);
  }
}

TEST_CASE_TEMPLATE("the Gram factor is exact to round-off times the condition", T, float, double) {
  for (const Kind kind : kKinds) {
    const int64_t n = 12;
    const Matrix<T> x = make_matrix<T>(kind, n, 900, 12);
    for (const Form form : kForms) {
      const Found<T> found = find(Source<T>(x, form).columns(), request(Method::gram));
      CHECK_FALSE(found.value.has_columns);
      CHECK(found.value.width == n);
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t k = 0; k < n; ++k) {
          long double expected = 0, square_i = 0, square_k = 0, value = 0;
          for (int64_t j = 0; j < x.d; ++j) {
            expected += static_cast<long double>(x(i, j)) * x(k, j);
            square_i += static_cast<long double>(x(i, j)) * x(i, j);
            square_k += static_cast<long double>(x(k, j)) * x(k, j);
          }
          for (int64_t c = 0; c < n; ++c) {
            value += static_cast<long double>(found.value.y[static_cast<size_t>(i * n + c)]) *
                     found.value.y[static_cast<size_t>(k * n + c)];
          }
          expect_within(value, expected, whitening_error<T>(n, 2 * *found.facts.condition) * std::sqrt(square_i * square_k));
        }
      }
      CHECK(found.value.epsilon <= static_cast<double>(whitening_error<T>(n, *found.facts.condition)));
    }
  }
}

TEST_CASE_TEMPLATE("selections do not depend on threads or on the form of dense data", T, float, double) {
  const Matrix<T> x = make_matrix<T>(Kind::skewed, 40, 5000, 13);
  // How the deterministic method cuts its tree depends on the memory that X takes.
  const Form forms[] = {Form::columns, Form::blocks, Form::csc, Form::csr};
  for (const Method method : {Method::leverage, Method::deterministic}) {
    const Found<T> first = find(Source<T>(x, Form::rows).columns(), with_columns(method, 120));
    for (const int64_t threads : {2, 5}) {
      const Found<T> again = find(Source<T>(x, Form::rows).columns(), with_columns(method, 120), threads);
      CHECK(again.value.indices == first.value.indices);
      CHECK(again.value.weights == first.value.weights);
    }
    for (const Form form : forms) {
      if (method == Method::deterministic && form == Form::csc) break;
      CAPTURE(static_cast<int>(method));
      CAPTURE(static_cast<int>(form));
      CHECK(find(Source<T>(x, form).columns(), with_columns(method, 120)).value.indices == first.value.indices);
    }
  }
}

TEST_CASE_TEMPLATE("as many columns as X has are X itself; no rows, no columns and zeros are no error", T, float, double) {
  const Matrix<T> x = make_matrix<T>(Kind::gaussian, 5, 33, 14);
  for (const Method method : {Method::leverage, Method::deterministic}) {
    for (const Form form : kForms) {
      const Found<T> found = find(Source<T>(x, form).columns(), with_columns(method, 33));
      CHECK(found.value.y == x.entries);
      CHECK(found.value.epsilon == 0);
      const Found<T> none = find(Source<T>(Matrix<T>(5, 0), form).columns(), with_columns(method, 7));
      CHECK(none.value.width == 0);
      CHECK(none.value.epsilon == 0);
      CHECK(find(Source<T>(Matrix<T>(0, 9), form).columns(), with_columns(method, 7)).value.epsilon == 0);
      const Found<T> zero = find(Source<T>(Matrix<T>(5, 900), form).columns(), with_columns(method, 7));
      CHECK(zero.value.width == 0);
      CHECK(*zero.facts.rank == 0);
      CHECK(zero.value.epsilon == 0);
    }
  }
}

TEST_CASE_TEMPLATE("an eps that the deterministic method cannot reach gives X itself", T, float, double) {
  for (const double eps : {1e-6, 1e-3}) {
    const Found<T> found =
        find(Source<T>(make_matrix<T>(Kind::gaussian, 3, 50, 18), Form::rows).columns(), with_eps(Method::deterministic, eps));
    CHECK(found.value.width == 50);
    CHECK(found.value.epsilon == 0);
  }
}

TEST_CASE("the deterministic method refuses as many columns as the rank, and names both") {
  const Source<double> source(make_matrix<double>(Kind::gaussian, 8, 500, 15), Form::rows);
  try {
    find(source.columns(), with_columns(Method::deterministic, 8));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.status() == Status::err_value);
    CHECK(std::string(error.what()).find("sparsify_columns is 8, not more than the rank 8") != std::string::npos);
  }
}

TEST_CASE_TEMPLATE("the true error of the softmax stays within the bound of the certificate, for pairs too", T, float, double) {
  const Source<T> q(make_matrix<T>(Kind::skewed, 7, 900, 16), Form::rows),
      k(make_matrix<T>(Kind::skewed, 11, 900, 17), Form::csr);
  const sparsify::Columns<T> pair({q.part(), k.part()}, 900);
  for (const auto& x : {q.columns(), pair}) {
    for (const Method method : {Method::leverage, Method::deterministic, Method::gram}) {
      sparsify::Request wanted = request(method);
      if (method != Method::gram) wanted.columns = 200;
      const Found<T> found = find(x, wanted);
      CHECK(found.value.query_rows == (x.parts().size() == 2 ? 7 : -1));
      Pool pool(1);
      Execution run = execution(pool);
      const double scale = 1 / found.value.radius;
      const auto error = sparsify::softmax_error<T>(run, x, found.value, scale, true);
      CHECK(error.ratio <=
            std::exp(2 * found.value.epsilon * scale * found.value.radius) * (1 + 100 * static_cast<double>(unit_roundoff<T>())));
      CHECK(error.largest <= error.ratio - 1 + 4 * static_cast<double>(unit_roundoff<double>()));
    }
  }
}
