// Products with conv bases against their dense oracle: every SIMD target, sizes around every block, heads, strides.
#include <doctest/doctest.h>

#include "tests/core/conv_matrix.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

struct Sizes {
  int64_t batch, heads, value_heads, n, k, columns;
};

const std::vector<Sizes> kSizes = {
    {1, 1, 1, 0, 0, 3},    {1, 1, 1, 1, 1, 1},    {1, 2, 1, 2, 2, 5},     {1, 1, 1, 3, 0, 2},    {1, 1, 1, 63, 4, 7},
    {2, 4, 2, 64, 3, 16},  {1, 1, 1, 65, 65, 33}, {1, 2, 2, 257, 5, 0},   {1, 1, 1, 383, 9, 31}, {1, 2, 1, 512, 7, 64},
    {1, 1, 1, 1500, 0, 3}, {1, 1, 1, 769, 2, 9},  {1, 1, 1, 1024, 1, 17}, {2, 2, 1, 601, 6, 4},  {1, 1, 1, 997, 64, 6},
};

template <class T>
void expect_product(const ConvBasis<T>& basis, ConvWeights weights, const Tensor<T>& y, const Tensor<long double>& expected) {
  for (int64_t b = 0; b < basis.batch; ++b) {
    for (int64_t h = 0; h < basis.heads; ++h) {
      const long double budget = weights == ConvWeights::softmax ? promised<T>() : matrix_budget(basis.head(b, h), basis.n);
      for (int64_t i = 0; i < basis.n; ++i) {
        for (int64_t c = 0; c < y.shape[3]; ++c) expect_within(y(b, h, i, c), expected(b, h, i, c), budget);
      }
    }
  }
}

template <class T>
void check_against_dense(const Sizes& s, ConvWeights weights) {
  const ConvBasis<T> basis = random_basis<T>(s.batch, s.heads, s.n, s.k, 3, 5);
  const int64_t heads = weights == ConvWeights::softmax ? s.value_heads : s.heads;
  const Tensor<T> x = random_tensor<T>(s.batch, heads, s.n, s.columns, 6, 0),
                  w = random_tensor<T>(s.batch, s.heads, s.n, s.columns, 6, 1);
  const auto expected = dense_product(basis, weights, x, false), expected_transposed = dense_product(basis, weights, w, true);
  Pool pool(2);
  for (const simd::Target target : simd::targets()) {
    CAPTURE(simd::name(target));
    Execution run = execution(pool, target);
    Tensor<T> y(s.batch, s.heads, s.n, s.columns);
    for (const bool strict : {false, true}) {
      attention::conv_forward<T>(run, basis, {{weights, strict}, true}, read(x), y.view(), {});
      expect_product(basis, weights, y, expected);
    }
    attention::conv_transposed<T>(run, basis, {{weights, false}, true}, read(w), y.view());
    expect_product(basis, weights, y, expected_transposed);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("products with a conv basis match the dense matrix", T, float, double) {
  for (const Sizes& s : kSizes) {
    CAPTURE(s.n);
    check_against_dense<T>(s, ConvWeights::softmax);
    check_against_dense<T>(s, ConvWeights::logits);
  }
}

TEST_CASE_TEMPLATE("the log-sum-exp of a conv basis is exact to round-off", T, float, double) {
  Pool pool(2);
  Execution run = execution(pool);
  for (const double range : {1.0, 80.0, sizeof(T) == 4 ? 1000.0 : 5000.0}) {
    const ConvBasis<T> basis = random_basis<T>(1, 2, 700, 11, range, 8);
    const Tensor<T> v = random_tensor<T>(1, 1, 700, 3, 6, 0);
    Tensor<T> o(1, 2, 700, 3), lse(1, 2, 700, 1);
    attention::conv_forward<T>(run, basis, {}, read(v), o.view(), {lse.data.data(), {1, 2, 700}, {1400, 700, 1}});
    for (int64_t h = 0; h < 2; ++h) {
      for (int64_t i = 0; i < 700; ++i) {
        long double top = -std::numeric_limits<long double>::infinity(), sum = 0;
        for (int64_t j = 0; j <= i; ++j) top = std::max(top, entry(basis.head(0, h), i, j));
        for (int64_t j = 0; j <= i; ++j) sum += std::exp(entry(basis.head(0, h), i, j) - top);
        // Sums are formed in double; exponents are products with log2(e), of up to 2 range / log(2).
        const long double budget =
            unit_roundoff<double>() * (4 * range + 700) + 2 * unit_roundoff<T>() * (range + std::log(700.0L));
        expect_within(lse(0, h, i, 0), top + std::log(sum), budget);
      }
    }
  }
}

TEST_CASE_TEMPLATE("any strides give the bits of a dense copy", T, float, double) {
  Pool pool(2);
  Execution run = execution(pool);
  constexpr int64_t n = 700, columns = 6;
  const ConvBasis<T> basis = random_basis<T>(1, 1, n, 4, 3, 5);
  const Tensor<T> x = random_tensor<T>(1, 1, columns, n, 6, 0);  // columns first
  Tensor<T> copy(1, 1, n, columns), expected = copy, y(1, 1, columns, n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < columns; ++c) copy(0, 0, i, c) = x(0, 0, columns - 1 - c, i);
  }
  const View<const T, 4> reversed{x.data.data() + (columns - 1) * n, {1, 1, n, columns}, {0, 0, 1, -n}};
  const View<T, 4> result{y.data.data(), {1, 1, n, columns}, {0, 0, 1, n}};
  attention::conv_forward<T>(run, basis, {}, read(copy), expected.view(), {});
  attention::conv_forward<T>(run, basis, {}, reversed, result, {});
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < columns; ++c) CHECK(y(0, 0, c, i) == expected(0, 0, i, c));
  }
}

TEST_CASE_TEMPLATE("values of any magnitude lose nothing, column by column", T, float, double) {
  Pool pool(2);
  Execution run = execution(pool);
  constexpr int64_t n = 900;
  const ConvBasis<T> basis = random_basis<T>(1, 1, n, 4, 3, 5);
  Tensor<T> v = random_tensor<T>(1, 1, n, 4, 6, 0), o(1, 1, n, 4);
  const T top = std::numeric_limits<T>::max(), magnitudes[] = {T{1}, top, 1 / std::sqrt(top), T{0}};
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < 4; ++c) v(0, 0, i, c) *= magnitudes[c];
  }
  attention::conv_forward<T>(run, basis, {}, read(v), o.view(), {});
  const auto expected = dense_product(basis, ConvWeights::softmax, v, false);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < 4; ++c) expect_within(o(0, 0, i, c), expected(0, 0, i, c), promised<T>() * magnitudes[c]);
  }
}

TEST_CASE_TEMPLATE("the matrix may have entries at the ends of the range where the product has not", T, float, double) {
  Pool pool(1);
  Execution run = execution(pool);
  constexpr int64_t n = 900;
  const T top = std::numeric_limits<T>::max(), least = std::numeric_limits<T>::min();
  for (const auto& [size, value] : {std::pair{top / 2, 1 / std::sqrt(top)}, {least, std::sqrt(top)}, {std::sqrt(top), 1 / top}}) {
    ConvBasis<T> basis{1, 1, n, {}};
    basis.list.push_back(conv_head<T>(n, {0}, {Kernel(static_cast<size_t>(n), static_cast<double>(size))}));
    Tensor<T> x(1, 1, n, 2), y = x, z = x;
    std::fill(x.data.begin(), x.data.end(), value);
    attention::conv_forward<T>(run, basis, {{ConvWeights::logits, false}, true}, read(x), y.view(), {});
    attention::conv_transposed<T>(run, basis, {{ConvWeights::logits, false}, true}, read(x), z.view());
    const long double product = static_cast<long double>(size) * value,
                      budget = matrix_budget(basis.head(0, 0), n) * value + n * least;
    for (int64_t i = 0; i < n; ++i) {
      expect_within(y(0, 0, i, 0), product * static_cast<long double>(i + 1), budget);
      expect_within(z(0, 0, i, 0), product * static_cast<long double>(n - i), budget);
    }
  }
}
