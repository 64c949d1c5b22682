// The watch for results that overflowed.
#pragma once

#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// Throws Error(overflow) naming the first row of a result that holds a NaN or an infinity. A view without data passes.
template <class T>
void check_no_overflow(Execution& run, const View<T, 4>& result, const char* name);

// Throws Error(overflow) naming an operand that holds an entry of larger magnitude.
template <class T>
void check_magnitude(Execution& run, const View<const T, 4>& operand, double most);

}  // namespace subquad::attention
