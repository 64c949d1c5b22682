// Sums of exp(H) along the rows of a conv basis, without cancellation and for any range of logits.
#pragma once

#include <cstdint>
#include <vector>

#include "core/attention/conv_segments.hpp"
#include "core/base/workspace.hpp"
#include "core/parallel/team.hpp"
#include "core/simd/target.hpp"

namespace subquad::attention {

struct ConvRowSums {
  std::vector<double> log2_sums;                 // per row: log2 sum_j exp(H[i,j])
  std::vector<std::vector<double>> log2_energy;  // per segment and block of lags: log2 sum exp(kernel)^2, -inf for none
  double log2_highest = 0;                       // log2 of the largest exp(H[i,j])
};

// lag_block: lags per entry of log2_energy.
template <class T>
ConvRowSums conv_row_sums(const Team& team, simd::Target target, Workspace& workspace,
                          const std::vector<ConvSegment<T>>& segments, int64_t n, int64_t lag_block);

}  // namespace subquad::attention
