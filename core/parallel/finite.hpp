// The scan for NaN and infinities.
#pragma once

#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad {

// Row-major number of the first element that is NaN or infinite, or -1. -inf passes where it is allowed.
template <class T>
int64_t first_nonfinite(Execution& run, const View<const T, 4>& x, bool allow_minus_infinity);

}  // namespace subquad
