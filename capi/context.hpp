// The subquad_context handle.
#pragma once

#include <atomic>
#include <memory>

#include "capi/subquad.h"
#include "core/parallel/execution.hpp"

struct subquad_context {
  std::unique_ptr<subquad::Pool> pool;
  subquad::fft::PlanCache plans;
  subquad::KeptMemory kept_memory;
  subquad::simd::Target target;
  int64_t workspace_limit = 0;
  subquad_callback callback = nullptr;
  void* user = nullptr;
  std::atomic<int64_t> owner{0};  // process that a call runs in, 0 when idle

  subquad_context();
};

namespace subquad::capi {

// Holds a context for the length of a call; throws Error(busy) when another call holds it.
class ContextUse {
 public:
  explicit ContextUse(subquad_context* context);
  ~ContextUse() { context_->owner.store(0); }
  ContextUse(const ContextUse&) = delete;
  ContextUse& operator=(const ContextUse&) = delete;

  Execution execution() const;

 private:
  subquad_context* context_;
};

}  // namespace subquad::capi
