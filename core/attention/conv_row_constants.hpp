// Softmax does not see a number added to all logits of a row: what of the logits is such a number, a conv basis need not hold.
#pragma once

#include "core/attention/conv_basis.hpp"
#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// From kernels that are the lag means of H = scale q k', n x n, to those of H[i,j] - c_i with c fitted to leave the least squared error.
template <class T>
void remove_row_constants(Execution& run, Monitor& monitor, const View<const T, 2>& q, const View<const T, 2>& k, double scale,
                          ConvHead<T>& head);

}  // namespace subquad::attention
