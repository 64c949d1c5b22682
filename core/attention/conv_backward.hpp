// Gradients of attention with the weights of a conv basis.
#pragma once

#include "core/attention/conv_basis.hpp"
#include "core/attention/conv_operator.hpp"
#include "core/attention/exact.hpp"
#include "core/attention/problem.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// Gradients by near-linear products with the basis, which has the problem's query heads. Of the problem only q, k, v and the
// scale are read; of the gradients dq, dk, dv are written unless they lack data. Method: [CONV, training],
// docs/math/conv_basis.md. The same bits for any number of threads.
template <class T>
ConvEffort conv_backward(Execution& run, const ConvBasis<T>& basis, const Problem<T>& problem, bool check_overflow,
                         const View<const T, 4>& d_o, const Gradients<T>& gradients);

// Gradients of exact attention, its output computed anew: what conv_backward approximates.
template <class T>
void exact_gradients(Execution& run, const Problem<T>& problem, bool check_overflow, const View<const T, 4>& d_o,
                     const Gradients<T>& gradients);

// Whether conv_backward is expected to take less time than exact_gradients.
template <class T>
bool conv_backward_is_faster(simd::Target target, const ConvBasis<T>& basis, const Problem<T>& problem);

}  // namespace subquad::attention
