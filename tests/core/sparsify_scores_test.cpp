// Leverage scores: exact ones against an orthonormal basis in long double, sketched ones within the factor that they promise.
#include <doctest/doctest.h>

#include "core/base/error.hpp"
#include "core/sparsify/scores.hpp"
#include "tests/core/attention_case.hpp"
#include "tests/core/sparsify_case.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

struct Scores {
  std::vector<double> list;
  sparsify::ScoreFacts facts;
};

template <class T>
Scores scores(const Source<T>& source, bool exact, uint64_t seed = 0, int64_t threads = 1,
              simd::Target target = simd::targets().front()) {
  Pool pool(threads);
  Execution run = execution(pool, target);
  Scores result;
  result.list.resize(static_cast<size_t>(source.matrix().d));
  result.facts = sparsify::leverage_scores<T>(run, source.columns(), {exact, 0.01, seed, true}, result.list.data(), 1);
  return result;
}

template <class T>
void check_exact(const Source<T>& source, const RangeOracle& oracle, int64_t rank) {
  const Scores found = scores(source, true);
  CHECK(found.facts.exact);
  CHECK(found.facts.rank == rank);
  const long double budget = whitening_error<double>(source.matrix().n, found.facts.condition);
  for (int64_t j = 0; j < source.matrix().d; ++j) expect_within(found.list[static_cast<size_t>(j)], oracle.score(j), budget);
}

}  // namespace

TEST_CASE_TEMPLATE("exact leverage scores are the squared norms of an orthonormal basis's rows, whatever form X has", T, float,
                   double) {
  for (const Kind kind : kKinds) {
    const Matrix<T> x = make_matrix<T>(kind, 12, 1500, 3);
    const RangeOracle oracle(x);
    for (const Form form : kForms) {
      CAPTURE(static_cast<int>(kind));
      CAPTURE(static_cast<int>(form));
      check_exact(Source<T>(x, form), oracle, 12);
    }
  }
}

TEST_CASE_TEMPLATE("exact leverage scores of matrices with fewer columns than rows, or of lower rank", T, float, double) {
  for (const int64_t d : {1, 7, 64, 90, 700}) {
    const int64_t n = 20, rank = std::min<int64_t>(d, 9);
    Matrix<T> x(n, d);  // small integers, so that the product is exact
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < d; ++j) {
        for (int64_t k = 0; k < 9; ++k) {
          const auto digit = [](uint64_t stream, int64_t index) {
            return static_cast<T>(static_cast<int>(random_word(5, stream, static_cast<uint64_t>(index)) % 7) - 3);
          };
          if (i != 4 && j % 11 != 5) x(i, j) += digit(1, i * 9 + k) * digit(2, j * 9 + k);  // row 4 and some columns are zero
        }
      }
    }
    const int64_t nonzero = d - (d + 5) / 11;
    for (const Form form : kForms) {
      CAPTURE(d);
      CAPTURE(static_cast<int>(form));
      check_exact(Source<T>(x, form), RangeOracle(x, std::min(rank, nonzero)), std::min(rank, nonzero));
    }
  }
}

TEST_CASE_TEMPLATE("sketched leverage scores are within their factor of the exact ones", T, float, double) {
  // 7 kinds x 5 forms x 6 seeds with delta = 0.01 each: 8 or more misses of 210 have a probability below 0.002.
  int misses = 0;
  for (const Kind kind : kKinds) {
    const Matrix<T> x = make_matrix<T>(kind, 40, 4000, 4);
    for (const Form form : kForms) {
      const Source<T> source(x, form);
      const Scores exact = scores(source, true);
      for (uint64_t seed = 0; seed < 6; ++seed) {
        const Scores sketched = scores(source, false, seed);
        CHECK_FALSE(sketched.facts.exact);
        CHECK(sketched.facts.passes == 2);
        CHECK(sketched.facts.projections > 0);
        CHECK(sketched.facts.factor < 64);
        bool within = true;
        for (size_t j = 0; j < exact.list.size(); ++j) {
          const double slack = static_cast<double>(whitening_error<T>(40, exact.facts.condition));
          within &= sketched.list[j] <= sketched.facts.factor * exact.list[j] + slack &&
                    sketched.list[j] >= std::min(exact.list[j] / sketched.facts.factor, 1.0) - slack;
        }
        misses += within ? 0 : 1;
      }
    }
  }
  CHECK(misses < 8);
}

TEST_CASE_TEMPLATE("scores do not depend on threads, and hardly on the SIMD target", T, float, double) {
  const Source<T> source(make_matrix<T>(Kind::skewed, 40, 9000, 5), Form::rows);
  for (const bool exact : {false, true}) {
    const Scores first = scores(source, exact);
    for (const int64_t threads : {2, 3, 8}) CHECK(scores(source, exact, 0, threads).list == first.list);
    for (const simd::Target target : simd::targets()) {
      const Scores other = scores(source, exact, 0, 1, target);
      const long double budget = 64 * whitening_error<T>(40, first.facts.condition);  // 9000 columns to a sketch, 64 per bucket
      for (size_t j = 0; j < first.list.size(); ++j) expect_within(other.list[j], first.list[j], budget * first.list[j]);
    }
  }
}

TEST_CASE("a row whose squared norm is no double, or whose inverse norm is none, is an overflow, named") {
  Matrix<double> x = make_matrix<double>(Kind::gaussian, 5, 3000, 6);
  x(3, 1234) = 1e200;
  for (const Form form : kForms) {
    CAPTURE(static_cast<int>(form));
    try {
      scores(Source<double>(x, form), false);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.status() == Status::err_overflow);
      CHECK(std::string(error.what()).find("x: the norm of row 3") != std::string::npos);
    }
  }
}

TEST_CASE("no direction is lost where columns of different blocks meet in the sketch") {
  // The unit vectors at the same place of every block of 64: two such blocks on the same rows are told apart by their signs alone. With
  // n = 8 and 2000 seeds, and signs that do not differ, several sketches lose one.
  const int64_t n = 8;
  Matrix<double> x(n, 64 * n + 2000);
  for (int64_t i = 0; i < n; ++i) x(i, 64 * i) = 1;
  const Source<double> source(x, Form::columns);
  for (uint64_t seed = 0; seed < 2000; ++seed) REQUIRE(scores(source, false, seed).facts.rank == n);
}

TEST_CASE_TEMPLATE("rows too small to be squared or inverted are refused by name, rows of zeros are not", T, float, double) {
  Matrix<T> x = make_matrix<T>(Kind::gaussian, 4, 2000, 6);
  for (int64_t j = 0; j < x.d; ++j) x(1, j) = 0;
  CHECK(scores(Source<T>(x, Form::rows), false).facts.rank == 3);
  for (int64_t j = 0; j < x.d; ++j) x(1, j) = static_cast<T>(sizeof(T) == 4 ? 1e-38 : 1e-170);
  try {
    scores(Source<T>(x, Form::rows), false);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.status() == Status::err_overflow);
    CHECK(std::string(error.what()).find("x: the norm of row 1 is") != std::string::npos);
  }
}
