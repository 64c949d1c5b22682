// Gradients of adaptive attention: of the pairs that its forward pass computed, with an estimate of what that leaves out.
#pragma once

#include <vector>

#include "core/attention/adaptive.hpp"
#include "core/attention/exact.hpp"

namespace subquad::attention {

// As exact_backward, over the tiles that the plan visits; o and lse are those of apply_plan. Returns per head the relative Frobenius
// error of dq on sampled rows: 0 for exact heads, and for all where dq is not asked for.
template <class T>
std::vector<double> plan_backward(Execution& run, const Problem<T>& problem, const AdaptivePlan& plan, uint64_t seed,
                                  bool check_overflow, const View<const T, 4>& o, const View<const T, 3>& lse,
                                  const View<const T, 4>& d_o, const Gradients<T>& gradients);

}  // namespace subquad::attention
