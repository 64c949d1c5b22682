// Where to cut a sequence of keys into segments whose columns of logits, as functions of the lag, are alike.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"
#include "core/parallel/team.hpp"

namespace subquad::attention {

// The keys at which a segment may begin, the most worthwhile first: cutting at the first r of them gives r + 1 segments. Cuts between
// segments that are equal to round-off are left out. One head; q and k are n x d with contiguous columns.
template <class T>
std::vector<int64_t> rank_cuts(Execution& run, const Team& team, const View<const T, 2>& q, const View<const T, 2>& k,
                               double scale);

}  // namespace subquad::attention
