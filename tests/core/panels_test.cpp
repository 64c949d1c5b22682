// Symmetric matrices in panels: inverse, products and sums against long double, on every SIMD target.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "core/linalg/panels.hpp"
#include "core/random/philox.hpp"
#include "tests/core/budgets.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

using Square = std::vector<std::vector<long double>>;

double entry(uint64_t stream, int64_t i, int64_t j) {
  return 2 * random_uniform(91, stream, static_cast<uint64_t>(i * 1000 + j)) - 1;
}

// Diagonal 2 n, other entries within [-1, 1]: eigenvalues within [n, 3 n].
std::vector<double> diagonally_dominant(const linalg::Panels& panels, uint64_t stream) {
  std::vector<double> a(static_cast<size_t>(panels.elements()));
  for (int64_t i = 0; i < panels.padded(); ++i) {
    for (int64_t j = 0; j < panels.padded(); ++j) {
      const bool inside = i < panels.size() && j < panels.size();
      a[static_cast<size_t>(panels.at(i, j))] = i == j ? (inside ? 2.0 * static_cast<double>(panels.size()) : 1)
                                                       : (inside ? entry(stream, std::max(i, j), std::min(i, j)) : 0);
    }
  }
  return a;
}

template <class Body>
void on_all_targets(const Body& body) {
  Pool pool(2);
  Ticker ticker({});
  Monitor monitor(ticker, 0);
  for (const simd::Target target : simd::targets()) {
    for (const int64_t n : {1, 2, 7, 16, 17, 40, 67}) {
      INFO(simd::name(target) << ", n = " << n);
      body(linalg::Panels(target, n), Team(monitor));
      body(linalg::Panels(target, n), Team(pool, monitor));
    }
  }
}

constexpr long double kUnit = unit_roundoff<double>();

}  // namespace

TEST_CASE("an inverse is one") {
  on_all_targets([](const linalg::Panels& panels, const Team& team) {
    const std::vector<double> a = diagonally_dominant(panels, 1);
    std::vector<double> inverse = a, scratch(static_cast<size_t>(panels.inverse_scratch()));
    REQUIRE(panels.invert(team, inverse.data(), scratch.data()));
    const int64_t n = panels.size();
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        long double product = 0;
        for (int64_t k = 0; k < n; ++k) {
          product +=
              static_cast<long double>(a[static_cast<size_t>(panels.at(i, k))]) * inverse[static_cast<size_t>(panels.at(k, j))];
        }
        // Each of n eliminations errs by a few roundoffs of |a| |inverse|, which is at most 3.
        expect_within(product, i == j ? 1 : 0, 3 * 4 * static_cast<long double>(n + 1) * kUnit);
      }
    }
  });
}

TEST_CASE("a matrix that is not positive definite has no inverse here") {
  on_all_targets([](const linalg::Panels& panels, const Team& team) {
    std::vector<double> scratch(static_cast<size_t>(panels.inverse_scratch()));
    for (const double last : {0.0, -1.0, std::nan("")}) {
      std::vector<double> a = diagonally_dominant(panels, 2);
      a[static_cast<size_t>(panels.at(panels.size() - 1, panels.size() - 1))] = last;
      CHECK(!panels.invert(team, a.data(), scratch.data()));
    }
  });
}

TEST_CASE("the square of a matrix is its product with itself") {
  on_all_targets([](const linalg::Panels& panels, const Team& team) {
    const int64_t n = panels.size();
    const std::vector<double> a = diagonally_dominant(panels, 3);
    std::vector<double> packed(a.size()), square(static_cast<size_t>(n * n));
    panels.add_commuting(team, a.data(), a.data(), packed.data());
    panels.unpack(packed.data(), square.data());
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        long double product = 0, magnitude = 0;
        for (int64_t k = 0; k < n; ++k) {
          const long double term =
              static_cast<long double>(a[static_cast<size_t>(panels.at(i, k))]) * a[static_cast<size_t>(panels.at(k, j))];
          product += term;
          magnitude += std::fabs(term);
        }
        expect_within(square[static_cast<size_t>(i * n + j)], product, static_cast<long double>(n + 1) * kUnit * magnitude);
      }
    }
  });
}

TEST_CASE("rows times a matrix, and the squares of rows") {
  on_all_targets([](const linalg::Panels& panels, const Team& team) {
    const int64_t n = panels.size(), stride = panels.padded();
    for (const int64_t rows : {1, 5, 16, 19}) {
      std::vector<double> a = diagonally_dominant(panels, 4), x(static_cast<size_t>(rows * stride)), y(x.size());
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t i = 0; i < n; ++i) x[static_cast<size_t>(r * stride + i)] = entry(5, r, i);
      }
      panels.multiply_rows(team, x.data(), rows, a.data(), y.data());
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t j = 0; j < n; ++j) {
          long double product = 0, magnitude = 0;
          for (int64_t i = 0; i < n; ++i) {
            const long double term =
                static_cast<long double>(x[static_cast<size_t>(r * stride + i)]) * a[static_cast<size_t>(panels.at(i, j))];
            product += term;
            magnitude += std::fabs(term);
          }
          expect_within(y[static_cast<size_t>(r * stride + j)], product, static_cast<long double>(n + 1) * kUnit * magnitude);
        }
      }
      if (rows > linalg::Panels::kRows) continue;
      std::vector<double> factors(static_cast<size_t>(rows)), sum = a;
      for (int64_t r = 0; r < rows; ++r) factors[static_cast<size_t>(r)] = entry(6, r, 0);
      panels.add_squares(team, x.data(), rows, factors.data(), sum.data());
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          long double expected = a[static_cast<size_t>(panels.at(i, j))], magnitude = std::fabs(expected);
          for (int64_t r = 0; r < rows; ++r) {
            const long double term = static_cast<long double>(factors[static_cast<size_t>(r)]) *
                                     x[static_cast<size_t>(r * stride + i)] * x[static_cast<size_t>(r * stride + j)];
            expected += term;
            magnitude += std::fabs(term);
          }
          expect_within(sum[static_cast<size_t>(panels.at(i, j))], expected,
                        static_cast<long double>(rows + 3) * kUnit * magnitude);
        }
      }
    }
  });
}
