// What must hold of products with conv bases whatever the numbers are.
#include <doctest/doctest.h>

#include <cstring>

#include "tests/core/conv_matrix.hpp"

using namespace subquad;
using namespace subquad::test;

namespace {

constexpr int64_t kN = 1300, kColumns = 5;

template <class T>
Tensor<T> apply(const ConvBasis<T>& basis, const Tensor<T>& v, bool strict, int64_t threads = 2) {
  Pool pool(threads);
  Execution run = execution(pool);
  Tensor<T> o(basis.batch, basis.heads, basis.n, v.shape[3]);
  attention::conv_forward<T>(run, basis, {{ConvWeights::softmax, strict}, true}, read(v), o.view(), {});
  return o;
}

template <class T>
Tensor<T> apply_transposed(const ConvBasis<T>& basis, const Tensor<T>& x, int64_t threads = 2) {
  Pool pool(threads);
  Execution run = execution(pool);
  Tensor<T> y(basis.batch, basis.heads, basis.n, x.shape[3]);
  attention::conv_transposed<T>(run, basis, {}, read(x), y.view());
  return y;
}

template <class T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return std::memcmp(a.data.data(), b.data.data(), a.data.size() * sizeof(T)) == 0;
}

}  // namespace

TEST_CASE_TEMPLATE("rows of conv attention sum to one", T, float, double) {
  Tensor<T> ones(1, 1, kN, kColumns);
  std::fill(ones.data.begin(), ones.data.end(), T{1});
  for (const T x : apply(random_basis<T>(1, 2, kN, 7, 4, 1), ones, false).data) expect_within(x, 1, promised<T>());
}

TEST_CASE_TEMPLATE("a constant added to all kernels changes nothing where every column has one", T, float, double) {
  const Tensor<T> v = random_tensor<T>(1, 1, kN, kColumns, 2, 0);
  ConvBasis<T> basis = random_basis<T>(1, 1, kN, 7, 4, 1);
  const Tensor<T> before = apply(basis, v, false);
  for (int64_t r = 0; r < 7; ++r) {
    for (int64_t t = 0; t < basis.list[0].length(r); ++t) basis.list[0].kernel(r)[t] += T{16};
  }
  const Tensor<T> after = apply(basis, v, false);
  const long double rounding = 2 * unit_roundoff<T>() * 20;  // of a kernel's entry, on either side of a quotient
  for (size_t i = 0; i < before.data.size(); ++i) expect_within(after.data[i], before.data[i], 2 * promised<T>() + rounding);
}

TEST_CASE_TEMPLATE("the transposed product is the adjoint", T, float, double) {
  const ConvBasis<T> basis = random_basis<T>(1, 1, kN, 7, 4, 1);
  const Tensor<T> v = random_tensor<T>(1, 1, kN, kColumns, 2, 0), w = random_tensor<T>(1, 1, kN, kColumns, 2, 1);
  const Tensor<T> o = apply(basis, v, false), y = apply_transposed(basis, w);
  long double left = 0, right = 0;
  for (size_t i = 0; i < o.data.size(); ++i) {
    left += static_cast<long double>(o.data[i]) * w.data[i];
    right += static_cast<long double>(y.data[i]) * v.data[i];
  }
  // Each of the n columns' terms errs by what is promised of an output, and of a transposed one per block.
  expect_within(left, right, promised<T>() * static_cast<long double>(o.data.size()) * 2);
}

TEST_CASE_TEMPLATE("conv attention has the same bits for any number of threads", T, float, double) {
  for (const int64_t heads : {1, 5}) {
    for (const double range : {3.0, sizeof(T) == 4 ? 80.0 : 600.0}) {
      const ConvBasis<T> basis = random_basis<T>(1, heads, kN, 7, range, 1);
      const Tensor<T> v = random_tensor<T>(1, heads, kN, kColumns, 2, 0);
      for (const bool strict : {false, true}) CHECK(same_bits(apply(basis, v, strict, 1), apply(basis, v, strict, 3)));
      CHECK(same_bits(apply_transposed(basis, v, 1), apply_transposed(basis, v, 3)));
    }
  }
}

TEST_CASE_TEMPLATE("strict: an output does not see later values, to the bit", T, float, double) {
  for (const double range : {3.0, sizeof(T) == 4 ? 80.0 : 600.0}) {
    const ConvBasis<T> basis = random_basis<T>(1, 1, kN, 7, range, 1);
    const Tensor<T> v = random_tensor<T>(1, 1, kN, kColumns, 2, 0), before = apply(basis, v, true);
    for (const int64_t j : {0, 1, 47, 48, 511, 512, 513, 700, 1023, 1024, 1299}) {
      for (const T size : {T{1}, static_cast<T>(1e8), static_cast<T>(1e15)}) {
        Tensor<T> changed = v;
        for (int64_t c = 0; c < kColumns; ++c) changed(0, 0, j, c) = size;
        const Tensor<T> after = apply(basis, changed, true);
        CHECK(std::memcmp(before.data.data(), after.data.data(), static_cast<size_t>(j * kColumns) * sizeof(T)) == 0);
      }
    }
  }
}

TEST_CASE_TEMPLATE("an output sees later values by no more than round-off of its block's values", T, float, double) {
  const ConvBasis<T> basis = random_basis<T>(1, 1, kN, 7, 3, 1);
  const Tensor<T> v = random_tensor<T>(1, 1, kN, kColumns, 2, 0), before = apply(basis, v, false);
  for (const int64_t j : {1, 48, 300, 700, 1299}) {
    for (const T size : {T{1}, static_cast<T>(1e8)}) {
      Tensor<T> changed = v;
      for (int64_t c = 0; c < kColumns; ++c) changed(0, 0, j, c) = size;
      const Tensor<T> after = apply(basis, changed, false);
      for (int64_t i = 0; i < j; ++i) {
        for (int64_t c = 0; c < kColumns; ++c)
          expect_within(after(0, 0, i, c), before(0, 0, i, c), 2 * promised<T>() * std::max(size, T{1}));
      }
    }
  }
}

TEST_CASE_TEMPLATE("conv attention is linear in the values", T, float, double) {
  const ConvBasis<T> basis = random_basis<T>(1, 1, kN, 7, 4, 1);
  const Tensor<T> a = random_tensor<T>(1, 1, kN, kColumns, 2, 0), b = random_tensor<T>(1, 1, kN, kColumns, 2, 1);
  Tensor<T> sum = a;
  for (size_t i = 0; i < sum.data.size(); ++i) sum.data[i] += 2 * b.data[i];
  const Tensor<T> oa = apply(basis, a, false), ob = apply(basis, b, false), os = apply(basis, sum, false);
  for (size_t i = 0; i < os.data.size(); ++i)
    expect_within(os.data[i], oa.data[i] + 2.0L * ob.data[i], (3 + 1 + 2) * promised<T>());
}

TEST_CASE("a product can be cancelled") {
  Pool pool(2);
  Execution run = execution(pool);
  int64_t calls = 0;
  Execution cancelled{pool, Ticker([&](double) { return ++calls >= 2; }), run.target, Workspace(0), run.plans};
  const ConvBasis<double> basis = random_basis<double>(1, 4, 60000, 32, 3, 1);
  const Tensor<double> v = random_tensor<double>(1, 4, 60000, 64, 2, 0);
  Tensor<double> o(1, 4, 60000, 64);
  CHECK_THROWS_AS(attention::conv_forward<double>(cancelled, basis, {}, read(v), o.view(), {}), Error);
  CHECK(calls == 2);
}
