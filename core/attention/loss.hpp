// The steps of the training problem around attention: products with its parameters, and the squared error.
#pragma once

#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// out = a x: [n][m] from [n][d] and [d][m].
template <class T>
void matrix_product(Execution& run, const View<const T, 2>& a, const View<const T, 2>& x, const View<T, 2>& out);

// out = a' b: [d][m] from [n][d] and [n][m], summed in double precision.
template <class T>
void transposed_product(Execution& run, const View<const T, 2>& a, const View<const T, 2>& b, const View<T, 2>& out);

// residual = o - e, and half the sum of its squares.
template <class T>
double squared_error(Execution& run, const View<const T, 2>& o, const View<const T, 2>& e, const View<T, 2>& residual);

}  // namespace subquad::attention
