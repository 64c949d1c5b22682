// Exact attention for few queries per head: decoding. Bound by reading keys and values, not by arithmetic.
#pragma once

#include "core/attention/problem.hpp"
#include "core/parallel/execution.hpp"

namespace subquad::attention {

// Up to here this path is the faster one (bench/run decoding, table in docs/decisions/0006).
inline constexpr int64_t kFewQueries = 4;

// As exact_forward.
template <class T>
void exact_rows(Execution& run, const Problem<T>& problem, bool check_overflow, const View<T, 4>& o, const View<T, 3>& lse);

}  // namespace subquad::attention
