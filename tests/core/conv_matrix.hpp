// Conv bases by their kernels, their long double oracle, and what the products may err.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/attention/conv_apply.hpp"
#include "tests/core/budgets.hpp"
#include "tests/core/conv_case.hpp"

namespace subquad::test {

using attention::ConvBasis;
using attention::ConvHead;
using attention::ConvWeights;

using Kernel = std::vector<double>;

template <class T>
ConvHead<T> conv_head(int64_t n, const std::vector<int64_t>& starts, const std::vector<Kernel>& kernels) {
  ConvHead<T> head(n, starts);
  for (int64_t r = 0; r < head.bases(); ++r) {
    for (int64_t t = 0; t < head.length(r); ++t)
      head.kernel(r)[t] = static_cast<T>(kernels[static_cast<size_t>(r)][static_cast<size_t>(t)]);
  }
  return head;
}

inline Kernel random_kernel(int64_t n, double range, uint64_t seed, uint64_t stream) {
  Kernel kernel;
  for (int64_t t = 0; t < n; ++t) kernel.push_back(range * (2 * random_uniform(seed, stream, static_cast<uint64_t>(t)) - 1));
  return kernel;
}

// k distinct starts, the first 0 or anywhere.
inline std::vector<int64_t> random_starts(int64_t n, int64_t k, bool from_zero, uint64_t seed) {
  return random_shape(n, 1, k, from_zero ? 0 : std::min<int64_t>(1, n - 1), seed).starts;
}

// One basis of random kernels per head.
template <class T>
ConvBasis<T> random_basis(int64_t batch, int64_t heads, int64_t n, int64_t k, double range, uint64_t seed) {
  ConvBasis<T> basis{batch, heads, n, {}};
  for (int64_t h = 0; h < batch * heads; ++h) {
    const uint64_t own = seed + 1000 * static_cast<uint64_t>(h);
    std::vector<Kernel> kernels;
    for (int64_t r = 0; r < k; ++r) kernels.push_back(random_kernel(n, range, own, 20 + static_cast<uint64_t>(r)));
    basis.list.push_back(conv_head<T>(n, n > 0 ? random_starts(n, k, h % 2 == 0, own) : std::vector<int64_t>(), kernels));
  }
  return basis;
}

// Row i of W: of the matrix or of its softmax.
template <class T>
std::vector<long double> weights_row(const ConvHead<T>& head, ConvWeights weights, int64_t i) {
  if (weights == ConvWeights::softmax) return softmax_row(i, [&](int64_t j) { return entry(head, i, j); });
  std::vector<long double> row;
  for (int64_t j = 0; j <= i; ++j) row.push_back(entry(head, i, j));
  return row;
}

// W x and W' x.
template <class T>
Tensor<long double> dense_product(const ConvBasis<T>& basis, ConvWeights weights, const Tensor<T>& x, bool transposed) {
  const int64_t group = basis.heads / x.shape[1];
  Tensor<long double> y(basis.batch, basis.heads, basis.n, x.shape[3]);
  for (int64_t b = 0; b < basis.batch; ++b) {
    for (int64_t h = 0; h < basis.heads; ++h) {
      for (int64_t i = 0; i < basis.n; ++i) {
        const std::vector<long double> row = weights_row(basis.head(b, h), weights, i);
        for (int64_t j = 0; j <= i; ++j) {
          for (int64_t c = 0; c < x.shape[3]; ++c) {
            if (transposed) {
              y(b, h, j, c) += row[static_cast<size_t>(j)] * x(b, h / group, i, c);
            } else {
              y(b, h, i, c) += row[static_cast<size_t>(j)] * x(b, h / group, j, c);
            }
          }
        }
      }
    }
  }
  return y;
}

template <class T>
Tensor<T> random_tensor(int64_t a, int64_t b, int64_t c, int64_t d, uint64_t seed, uint64_t stream) {
  Tensor<T> x(a, b, c, d);
  for (size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<T>(2 * random_uniform(seed, stream, i) - 1);
  return x;
}

// What subquad_conv_basis_apply promises of an output, for max|v| = 1.
template <class T>
constexpr long double promised() {
  return sizeof(T) == 4 ? 1e-4L : 1e-9L;
}

// Any entry of a product with the matrix itself: transforms spread u log2(N) |kernel| |x| over the rows of a block, Euclidean
// norms of a segment's kernel and of the columns it multiplies, summed over segments; direct products err less.
template <class T>
long double matrix_budget(const ConvHead<T>& head, int64_t columns_norm_squared) {
  long double total = 0;
  for (int64_t r = 0; r < head.bases(); ++r) {
    long double squares = 0;
    for (int64_t t = 0; t < head.length(r); ++t) squares += static_cast<long double>(head.kernel(r)[t]) * head.kernel(r)[t];
    total += std::sqrt(squares * static_cast<long double>(std::min(head.end(r) - head.start(r), columns_norm_squared)));
  }
  return 4 * unit_roundoff<T>() * std::log2(static_cast<long double>(4 * head.n() + 4)) * total;
}

}  // namespace subquad::test
