// How much weight the rows of a far field have: the model's own sums, and their shift towards the true ones.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/conv_far_field.hpp"

namespace subquad::attention {

// Fills far.lse from the rest.
template <class T>
void far_masses(Execution& run, const Team& team, ConvFarField<T>& far);

// Shifts far.row and far.lse by one number, as fit_conv_far_field says.
template <class T>
void calibrate(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k, double scale,
               const std::vector<int64_t>& sampled_rows, ConvFarField<T>& far);

}  // namespace subquad::attention
