// Deterministic choice of weighted columns by two barriers.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel/execution.hpp"
#include "core/sparsify/selection_columns.hpp"

namespace subquad::sparsify {

struct BarrierChoice {
  std::vector<int64_t> indices;  // increasing
  std::vector<double> weights;   // positive
  double epsilon;                // |sum_j weight_j v_j v_j' - 1|_2 of the choice, weights improved
  double epsilon_barriers;       // the same before they were improved, with the best common factor
  int64_t steps;                 // that were taken
};

// `steps` > rank steps, or as few of them as give epsilon_barriers <= enough; otherwise epsilon <= epsilon_barriers <=
// 2 sqrt(c) / (c + 1) with c = steps / rank.
BarrierChoice choose_by_barriers(Execution& run, const SelectionColumns& columns, int64_t steps, double enough = 0);

}  // namespace subquad::sparsify
