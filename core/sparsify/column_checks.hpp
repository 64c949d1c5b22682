// What the columns of X must be before they are used.
#pragma once

#include "core/sparsify/columns.hpp"

namespace subquad::sparsify {

// Throws Error(value) unless sparse offsets and indices are in order and in range. Comes before every other access.
template <class T>
void check_indices(Execution& run, const Columns<T>& x);

// Throws Error(nonfinite), naming the entry, where there is a NaN or an infinity; for parts in memory.
template <class T>
void check_finite(Execution& run, const Columns<T>& x);

// The same for columns from `first` on that a function has written, one after the other.
template <class T>
void check_block(Execution& run, const Part<T>& part, const T* block, int64_t first, int64_t count);

}  // namespace subquad::sparsify
