// Partial results of attention over disjoint sets of keys, joined by their log-sum-exp.
#pragma once

#include <vector>

#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// o[i,:] = sum_p exp(lse_p[i] - lse[i]) o_p[i,:], lse[i] = log sum_p exp(lse_p[i]); zero and -inf where no part saw a key.
// o and lse may be the views of one part. lse may lack data.
template <class T>
void merge(Execution& run, const std::vector<View<const T, 4>>& o_parts, const std::vector<View<const T, 3>>& lse_parts,
           const View<T, 4>& o, const View<T, 3>& lse);

}  // namespace subquad::attention
