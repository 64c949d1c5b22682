// What the passes of a head read beside its quantized keys: made from queries, keys and values by what was chosen for the head.
#pragma once

#include "core/attention/adaptive_pass.hpp"
#include "core/attention/conv_far_field.hpp"
#include "core/attention/low_problem.hpp"

namespace subquad::attention {

// Adds what a choice reads to `keys`, which may hold that of another choice with the same heavy keys.
template <class T>
void add_pass_keys(Workspace& workspace, Monitor& monitor, const LowProblem<T>& low, int64_t batch, int64_t head,
                   const HeadChoice& choice, PassKeys& keys);

// The conv far field of a choice that has one.
template <class T>
ConvFarField<T> fit_far_field(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k,
                              double scale, const HeadChoice& choice) {
  return fit_conv_far_field<T>(run, team, q, k, scale, choice.window, choice.heavy, choice.conv_rows);
}

}  // namespace subquad::attention
