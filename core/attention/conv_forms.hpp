// The forms a conv basis comes in and goes out: starts and kernels, a dense matrix, the exp transform.
#pragma once

#include "core/attention/conv_basis.hpp"
#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// Whether kernels hold increments b_r or sums B_r = b_0 + .. + b_r.
enum class ConvKernels { increments, cumulative };

// starts: [batch][heads][k], strictly increasing in [0, n), then any number of n; kernels: [batch][heads][k][n].
// Error(overflow) where a sum of increments overflows.
template <class T>
ConvBasis<T> conv_from_kernels(Execution& run, const View<const int64_t, 3>& starts, const View<const T, 4>& kernels,
                               ConvKernels form);

// The fewest bases of h: [batch][heads][n][n], whose entries above the diagonal are not read.
template <class T>
ConvBasis<T> conv_from_dense(Execution& run, const View<const T, 4>& h);

// starts: [batch][heads][k] and kernels: [batch][heads][k][n], each written unless it lacks data; k >= most_bases().
template <class T>
void conv_to_kernels(const ConvBasis<T>& basis, ConvKernels form, const View<int64_t, 3>& starts, const View<T, 4>& kernels);

template <class T>
void conv_to_dense(Execution& run, const ConvBasis<T>& basis, const View<T, 4>& h);

// Method: [CONV] exp transform, in cumulative form: kernels exp(B_r), after a basis of ones where columns come before the first start.
template <class T>
ConvBasis<T> conv_exp(Execution& run, const ConvBasis<T>& basis);

// The basis of H + bias by lag. lag_bias: [heads or 1][lags] from lag_min on, covering all lags 0 .. n - 1.
template <class T>
ConvBasis<T> conv_add_lag_bias(const ConvBasis<T>& basis, const View<const T, 2>& lag_bias, int64_t lag_min);

}  // namespace subquad::attention
