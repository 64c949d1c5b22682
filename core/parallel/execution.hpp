// What one call computes with: threads, callback, workspace, SIMD target.
#pragma once

#include "core/base/workspace.hpp"
#include "core/parallel/monitor.hpp"
#include "core/parallel/pool.hpp"
#include "core/simd/target.hpp"

namespace subquad {

struct Execution {
  Pool& pool;
  Ticker ticker;
  simd::Target target;
  Workspace workspace;
};

}  // namespace subquad
