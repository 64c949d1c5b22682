// The heads of a call, one after the other with all threads or side by side with a thread each.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/views.hpp"
#include "core/parallel/execution.hpp"
#include "core/parallel/team.hpp"

namespace subquad::attention {

// body(team, b, h) for every head.
template <class Body>
void for_heads(Execution& run, Monitor& monitor, int64_t batch, int64_t heads, int64_t n, const Body& body) {
  constexpr int64_t kLongHead = int64_t{1} << 16;  // beyond, memory for one head at a time is enough
  if (batch * heads >= run.pool.threads() && n < kLongHead) {
    run.pool.run(batch * heads, monitor, [&](int64_t task, int64_t) { body(Team(monitor), task / heads, task % heads); });
  } else {
    for (int64_t head = 0; head < batch * heads; ++head) body(Team(run.pool, monitor), head / heads, head % heads);
  }
}

// The matrix of one head.
template <class T>
View<T, 2> matrix_of(const View<T, 4>& view, int64_t b, int64_t h) {
  return {view.at(b, h), {view.shape[2], view.shape[3]}, {view.strides[2], view.strides[3]}};
}

template <class T>
void fill_zero(const Team& team, const View<T, 2>& x) {
  constexpr int64_t kRows = 1024;  // per task
  team.run((x.shape[0] + kRows - 1) / kRows, [&](int64_t task, int64_t) {
    for (int64_t i = task * kRows; i < std::min((task + 1) * kRows, x.shape[0]); ++i) {
      for (int64_t c = 0; c < x.shape[1]; ++c) *x.at(i, c) = T{0};
    }
    team.monitor().advance(0);
  });
}

}  // namespace subquad::attention
