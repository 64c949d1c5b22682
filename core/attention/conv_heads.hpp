// What calls with conv bases do for each head.
#pragma once

#include <cstdint>

#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"
#include "core/parallel/team.hpp"

namespace subquad::attention {

// Calls body(team, b, h) for every head: one after the other with all threads, or a thread each where there are enough of them.
template <class Body>
void for_heads(Execution& run, Monitor& monitor, int64_t batch, int64_t heads, int64_t n, const Body& body) {
  constexpr int64_t kLongHead = int64_t{1} << 16;  // beyond, the memory of one head at a time is enough
  if (batch * heads >= run.pool.threads() && n < kLongHead) {
    run.pool.run(batch * heads, monitor, [&](int64_t task, int64_t) { body(Team(monitor), task / heads, task % heads); });
  } else {
    for (int64_t head = 0; head < batch * heads; ++head) body(Team(run.pool, monitor), head / heads, head % heads);
  }
}

template <class T>
View<T, 2> head_matrix(const View<T, 4>& view, int64_t b, int64_t h) {
  return {view.at(b, h), {view.shape[2], view.shape[3]}, {view.strides[2], view.strides[3]}};
}

// Throws Error(overflow) naming the first row of a result that holds a NaN or an infinity. A view without data passes.
template <class T>
void check_no_overflow(Execution& run, const View<T, 4>& result, const char* name);

}  // namespace subquad::attention
