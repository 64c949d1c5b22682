// The conv basis of logits that are close to having one, from few probes of their columns.
#pragma once

#include <cstdint>

#include "core/attention/conv_basis.hpp"
#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// What is asked of a recovery: at most `bases` bases; columns differ that are delta / 2 or more apart, in the l1 norm of their first
// `window` entries. 1 <= window <= n and delta > 0 (unless n = 0).
struct RecoveryLimits {
  int64_t bases, window;
  double delta;
};

// Columns of logits that a recovery computed, most over heads.
struct RecoveryCounts {
  int64_t probes = 0;   // their first `window` entries
  int64_t columns = 0;  // whole
};

// Of M * (scale q k') for q [batch][heads][n][d], k [batch][kv_heads][n][d]. Throws Error(overflow) when a logit it meets is not finite.
template <class T>
ConvBasis<T> recover_conv_basis(Execution& run, const View<const T, 4>& q, const View<const T, 4>& k, double scale,
                                const RecoveryLimits& limits, RecoveryCounts* most);

}  // namespace subquad::attention
