// Memory that is shared out before it is used.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/base/workspace.hpp"
#include "core/parallel/team.hpp"

namespace subquad {

// Memory for `count` elements. The system maps new memory when it is first written, which takes far longer than writing: here threads
// share it, and the callback is asked in between; a strided first pass would wait for all pages in one task.
template <class T>
void reserve_mapped(const Team& team, Workspace& workspace, Lease<T>& lease, int64_t count) {
  constexpr int64_t kPage = 4096 / static_cast<int64_t>(sizeof(T)), kChunk = 256 * kPage;
  if (!lease.reserve(workspace, count)) return;
  team.run((count + kChunk - 1) / kChunk, [&](int64_t chunk, int64_t) {
    for (int64_t e = chunk * kChunk; e < std::min((chunk + 1) * kChunk, count); e += kPage) lease.get()[e] = T{0};
    team.monitor().advance(0);
  });
}

}  // namespace subquad
