// Products with conv bases over batch and heads: the matrices themselves, and softmax attention with them as logits.
#pragma once

#include "core/attention/conv_basis.hpp"
#include "core/attention/conv_operator.hpp"
#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

struct ConvSettings {
  ConvMode mode;
  bool check_overflow = true;  // a result that is not finite is an Error(overflow)
  const char* result = "y";    // its name in messages
};

// y = W x: [batch][heads of the basis][n][columns] from [batch][heads or a divisor][n][columns]. lse: softmax only, may lack
// data. The same bits for any number of threads.
template <class T>
ConvEffort conv_forward(Execution& run, const ConvBasis<T>& basis, const ConvSettings& settings, const View<const T, 4>& x,
                        const View<T, 4>& y, const View<T, 3>& lse);

// y = W' x, both [batch][heads of the basis][n][columns].
template <class T>
ConvEffort conv_transposed(Execution& run, const ConvBasis<T>& basis, const ConvSettings& settings, const View<const T, 4>& x,
                           const View<T, 4>& y);

}  // namespace subquad::attention
