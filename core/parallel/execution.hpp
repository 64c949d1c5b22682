// What one call computes with: threads, callback, workspace, SIMD target, plans of transforms.
#pragma once

#include "core/base/workspace.hpp"
#include "core/fft/plan_cache.hpp"
#include "core/parallel/monitor.hpp"
#include "core/parallel/pool.hpp"
#include "core/simd/target.hpp"

namespace subquad {

struct Execution {
  Pool& pool;
  Ticker ticker;
  simd::Target target;
  Workspace workspace;
  fft::PlanCache& plans;
};

}  // namespace subquad
